// SPDX-License-Identifier: GPL-2.0
/*
 * The two functions that decide who holds the newer history, completely enumerated up to a bound [G5]:
 *
 * lineage_compare(): every pair of chains that are paths in trees of records, each end with written marks of its own. Total;
 * antisymmetric [I9]; SAME exactly when what counts is equal; AHEAD is transitive; a tail of unwritten records never makes a
 * SPLIT and changes no verdict [G2]; the ancestor and the id of a split are the same at both ends [G7].
 *
 * volume_plan(): every pair of greetings over a reduced domain of facts. Mirrored at the other end [I9]; a source is complete
 * [G4], never copies over a primary, and lacks nothing that its target may have acknowledged [I8].
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "volume.h"

void core_trace(u64 id, const char *text)
{
	(void)id;
	(void)text;
}

static u32 nr_failed;

static void failed(const char *label, const char *what, u32 a, u32 b)
{
	if (nr_failed++ < 10)
		printf("VIOLATION %s: %s: pair %u, %u\n", label, what, a, b);
}

/* ---- chains ---- */

enum { CHAINS_MAX = 4096, RECORDS_MAX = 4 };

/* One end's chain, small: struct chain has room for 64. */
struct path {
	u32 count;
	u32 stripped;			/* records that count [G2] */
	u64 id[RECORDS_MAX];
	u32 members[RECORDS_MAX];
	u32 marks;
};

static struct path path[CHAINS_MAX];
static struct chain chain[CHAINS_MAX], without_tail[CHAINS_MAX];
static u8 *matrix;
static u32 nr_paths;

static void add_path(const struct path *from)
{
	u32 marks, i;

	for (marks = 0; marks < 1u << from->count; marks++) {
		struct path *p = &path[nr_paths];
		struct chain *c = &chain[nr_paths];

		if (nr_paths == CHAINS_MAX)
			abort();
		*p = *from;
		p->marks = marks;
		for (p->stripped = p->count; p->stripped > 1 && !(marks >> (p->stripped - 1) & 1);)
			p->stripped--;
		memset(c, 0, sizeof(*c));
		for (i = 0; i < p->count; i++) {
			struct generation record = lineage_next(c, p->id[i], p->members[i], (u8)(p->members[i] & 1));

			record.written = marks >> i & 1;
			if (!lineage_append(c, &record))
				failed("G1", "a record is refused", nr_paths, i);
		}
		without_tail[nr_paths] = *c;
		without_tail[nr_paths].count = p->stripped;
		nr_paths++;
	}
}

/* All paths below @at: @nr_members sets of members, @nr_twins different records for each. */
static void grow(struct path *at, u32 length, u32 nr_members, u32 nr_twins)
{
	u32 members, twin;

	add_path(at);
	if (at->count == length)
		return;
	for (members = 1; members <= (at->count ? nr_members : 1); members++)
		for (twin = 0; twin < (at->count ? nr_twins : 2); twin++) {
			struct path next = *at;

			next.id[next.count] = (at->count ? at->id[at->count - 1] : 1) * 64 + members * 8 + twin;
			next.members[next.count++] = at->count ? members : 7;
			grow(&next, length, nr_members, nr_twins);
		}
}

/* The definition: which stripped chain is a prefix of which. */
static enum lineage_verdict defined(const struct path *a, const struct path *b)
{
	u32 common = 0;

	while (common < a->stripped && common < b->stripped && a->id[common] == b->id[common])
		common++;
	if (common == a->stripped)
		return common == b->stripped ? LINEAGE_SAME : LINEAGE_PEER_IS_AHEAD;
	if (common == b->stripped)
		return LINEAGE_I_AM_AHEAD;
	return common ? LINEAGE_SPLIT : LINEAGE_UNRELATED;
}

static void check_pair(u32 a, u32 b)
{
	struct generation mine = { 0 }, theirs = { 0 };
	enum lineage_verdict verdict = lineage_compare(&chain[a], &chain[b], &mine);

	matrix[a * nr_paths + b] = (u8)verdict;
	if (verdict > LINEAGE_UNRELATED)
		failed("G5", "not total", a, b);
	if (verdict != defined(&path[a], &path[b]))
		failed("G5", "not what the stripped chains say", a, b);
	if (lineage_compare(&chain[b], &chain[a], &theirs) != lineage_mirror(verdict))
		failed("I9", "not antisymmetric", a, b);
	if (mine.id != theirs.id)
		failed("G7", "two ancestors of one split", a, b);
	if (lineage_compare(&without_tail[a], &without_tail[b], NULL) != verdict)
		failed("G2", "a tail of unwritten records counts", a, b);
	if (verdict == LINEAGE_SPLIT && lineage_split_id(&chain[a], &chain[b]) != lineage_split_id(&chain[b], &chain[a]))
		failed("G7", "two ids of one split", a, b);
}

/* Rows of AHEAD as bits: whoever is behind b is behind everyone ahead of b. SAME stands for one another. */
static void check_transitive(void)
{
	u32 words = (nr_paths + 63) / 64, a, b, i;
	u64 *ahead = calloc((size_t)nr_paths * words, sizeof(*ahead)), *same = calloc((size_t)nr_paths * words, sizeof(*same));

	for (a = 0; a < nr_paths; a++)
		for (b = 0; b < nr_paths; b++) {
			ahead[a * words + b / 64] |= (u64)(matrix[a * nr_paths + b] == LINEAGE_I_AM_AHEAD) << b % 64;
			same[a * words + b / 64] |= (u64)(matrix[a * nr_paths + b] == LINEAGE_SAME) << b % 64;
		}
	for (a = 0; a < nr_paths; a++)
		for (b = 0; b < nr_paths; b++)
			for (i = 0; i < words; i++) {
				u64 row = ahead[a * words + i];

				if (matrix[a * nr_paths + b] == LINEAGE_I_AM_AHEAD &&
				    (ahead[b * words + i] | same[b * words + i]) & ~row)
					failed("G5", "AHEAD is not transitive", a, b);
				if (matrix[a * nr_paths + b] == LINEAGE_SAME && ahead[b * words + i] != row)
					failed("G5", "SAME, but ahead of others", a, b);
			}
	free(ahead);
	free(same);
}

static void check_chains(const char *name, u32 length, u32 nr_members, u32 nr_twins)
{
	struct path empty = { 0 };
	u32 verdicts[LINEAGE_UNRELATED + 1] = { 0 }, a, b;

	nr_paths = 0;
	grow(&empty, length, nr_members, nr_twins);
	matrix = malloc((size_t)nr_paths * nr_paths);
	for (a = 0; a < nr_paths; a++)
		for (b = 0; b < nr_paths; b++) {
			check_pair(a, b);
			verdicts[matrix[a * nr_paths + b] % CORE_ARRAY_SIZE(verdicts)]++;
		}
	check_transitive();
	free(matrix);
	printf("verdict: %s, up to %u records: %u chains, %u pairs (%u same, %u ahead, %u behind, %u split, %u unrelated)\n", name,
	       length, nr_paths, nr_paths * nr_paths, verdicts[0], verdicts[1], verdicts[2], verdicts[3], verdicts[4]);
}

/* ---- plans: nodes 0 and 1, and a third that is not there ---- */

enum { FACTS_MAX = 4096 };

static struct wire_greet facts[2][FACTS_MAX];	/* by node; chains are left to the loop */
static u32 nr_facts;

/* @yield: with the flag that only a split looks at. */
static void make_facts(bool yield)
{
	static const u32 flag[] = { WIRE_GREET_DISK, WIRE_GREET_SYNCING, WIRE_GREET_DIRTY, WIRE_GREET_IN_SYNC,
				    WIRE_GREET_WITH_PRIMARY, WIRE_GREET_YIELD };
	u32 flags, primary, source, authority, i;
	u8 node;

	nr_facts = 0;
	for (flags = 0; flags < 1u << (yield ? 6 : 5); flags++)
	for (primary = 0; primary < 4; primary++)	/* this one, the other, a third, nobody */
	for (source = 1; source < 4; source++)		/* the other, a third, nobody */
	for (authority = 0; authority < 2; authority++) {
		for (node = 0; node < 2; node++) {
			const u8 nodes[] = { node, 1 - node, 2, NODE_NONE };
			struct wire_greet *greet = &facts[node][nr_facts];

			memset(greet, 0, offsetof(struct wire_greet, chain));
			for (i = 0; i < CORE_ARRAY_SIZE(flag); i++)
				greet->flags |= flags >> i & 1 ? flag[i] : 0;
			greet->flags |= primary ? 0 : WIRE_GREET_PRIMARY;
			greet->volume_bytes = 1 << 20;
			greet->primary = nodes[primary];
			greet->sync_source = nodes[source];
			greet->authority = (u8)authority;
		}
		if (++nr_facts == FACTS_MAX)
			abort();
	}
}

static bool complete(const struct wire_greet *greet, u8 node)
{
	const struct generation *tail = lineage_tail(&greet->chain);

	return tail && (tail->members & NODE_BIT(node)) && (greet->flags & WIRE_GREET_DISK) &&
	       !(greet->flags & WIRE_GREET_SYNCING) && (greet->sync_source == NODE_NONE || greet->sync_source == 1 - node);
}

static void check_source(const struct wire_greet *source, u8 node, const struct wire_greet *target, enum lineage_verdict verdict,
			 u32 a, u32 b)
{
	bool ahead = verdict == (node ? LINEAGE_I_AM_AHEAD : LINEAGE_PEER_IS_AHEAD);	/* the target is */

	if (!complete(source, node))
		failed("G4", "the source is not complete", a, b);
	if (target->flags & WIRE_GREET_PRIMARY)
		failed("I8", "the target is primary", a, b);
	if (verdict == LINEAGE_UNRELATED)
		failed("G10", "a source for an unrelated replica", a, b);
	if (ahead && !lineage_find(&source->chain, lineage_stripped_tail(&target->chain)->id))
		failed("I8", "the target has a written record that the source lacks", a, b);
	if (verdict == LINEAGE_SPLIT && (!(target->flags & WIRE_GREET_YIELD) || (source->flags & WIRE_GREET_YIELD)))
		failed("G7", "a split is overwritten, and the target did not yield", a, b);
}

static void check_plan(struct wire_greet *mine, struct wire_greet *peer, u32 a, u32 b, u64 nr_plan[VOLUME_PLANS + 1])
{
	enum lineage_verdict here, there;
	enum volume_plan plan = volume_plan(mine, 0, peer, 1, &here);
	enum volume_plan mirrored = volume_plan(peer, 1, mine, 0, &there);

	nr_plan[plan < VOLUME_PLANS ? plan : VOLUME_PLANS]++;
	if (mirrored != volume_plan_mirror(plan) || here != lineage_mirror(there))
		failed("I9", "the ends disagree", a, b);
	if (plan == VOLUME_PLAN_I_AM_SOURCE)
		check_source(mine, 0, peer, here, a, b);
	if (plan == VOLUME_PLAN_PEER_IS_SOURCE)
		check_source(peer, 1, mine, here, a, b);
	if (plan == VOLUME_PLAN_IN_SYNC && !(mine->flags & peer->flags & WIRE_GREET_IN_SYNC) &&
	    (!complete(mine, 0) || !complete(peer, 1) || lineage_tail(&mine->chain)->id != lineage_tail(&peer->chain)->id))
		failed("G4", "in sync, and one of them is not complete or has another record", a, b);
}

static void extend(struct chain *to, u64 id, u32 members, u8 writer, bool written)
{
	struct generation record = lineage_next(to, id, members, writer);

	record.written = written;
	lineage_append(to, &record);
}

enum { PLAN_CHAINS = 13 };

/* Together; one alone, written or not; alone and joined again; another volume's; none. */
static void make_chains(void)
{
	u32 i;

	memset(chain, 0, PLAN_CHAINS * sizeof(chain[0]));
	for (i = 1; i < PLAN_CHAINS - 1; i++)
		extend(&chain[i], 1, 3, 0, true);
	extend(&chain[2], 2, 1, 0, true);
	extend(&chain[3], 2, 1, 0, false);
	extend(&chain[4], 3, 2, 1, true);
	extend(&chain[5], 3, 2, 1, false);
	extend(&chain[6], 2, 1, 0, true);
	extend(&chain[6], 4, 3, 0, false);
	extend(&chain[7], 2, 1, 0, true);
	extend(&chain[7], 4, 3, 0, true);
	extend(&chain[8], 5, 7, 2, true);
	extend(&chain[9], 5, 7, 2, false);
	extend(&chain[10], 6, 4, 2, true);
	extend(&chain[11], 3, 2, 1, true);
	extend(&chain[11], 7, 3, 1, false);
	extend(&chain[12], 9, 3, 0, true);
}

static void check_chain_pair(u32 a, u32 b, u64 nr_plan[VOLUME_PLANS + 1])
{
	static struct wire_greet mine, peer;
	u32 x, y;

	mine.chain = chain[a];
	peer.chain = chain[b];
	make_facts(lineage_compare(&chain[a], &chain[b], NULL) == LINEAGE_SPLIT);
	for (x = 0; x < nr_facts; x++) {
		memcpy(&mine, &facts[0][x], offsetof(struct wire_greet, chain));
		for (y = 0; y < nr_facts; y++) {
			memcpy(&peer, &facts[1][y], offsetof(struct wire_greet, chain));
			check_plan(&mine, &peer, a * FACTS_MAX + x, b * FACTS_MAX + y, nr_plan);
		}
	}
}

static void check_plans(void)
{
	u64 nr_plan[VOLUME_PLANS + 1] = { 0 }, nr = 0;
	u32 a, b, plan;

	make_chains();
	for (a = 0; a < PLAN_CHAINS; a++)
		for (b = 0; b < PLAN_CHAINS; b++)
			check_chain_pair(a, b, nr_plan);
	for (plan = 0; plan <= VOLUME_PLANS; plan++)
		nr += nr_plan[plan];
	if (nr_plan[VOLUME_PLANS])
		failed("G5", "no such plan", 0, 0);
	printf("verdict: plans: %llu pairs of greetings (", (unsigned long long)nr);
	for (plan = 0; plan < VOLUME_PLANS; plan++)
		printf("%s%llu %s", plan ? ", " : "", (unsigned long long)nr_plan[plan], volume_plan_name(plan));
	printf(")\n");
}

int main(void)
{
	u32 before;

	check_chains("trees of three branches", 4, 1, 3);
	check_chains("every set of three members", 3, 7, 2);
	check_chains("every set of two members", 4, 3, 1);
	before = nr_failed;
	check_plans();
	printf("%u passed, %u failed\n", !before + (nr_failed == before), !!before + (nr_failed != before));
	return !!nr_failed;
}
