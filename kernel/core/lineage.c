// SPDX-License-Identifier: GPL-2.0
/*
 * Who is newer: the chain of generation records and its one comparison. Pure arithmetic over two chains, so that
 * both ends reach the same answer from the same facts. Keeps [G1] [G2] [G5] [I9].
 */
#include "lineage.h"
#include "probe.h"

CORE_STATIC_ASSERT(CHAIN_RECORDS_MAX / 2 + NODES_MAX - 1 < CHAIN_RECORDS_MAX,
		   "a full chain always has a record that may go");

const char *lineage_verdict_name(enum lineage_verdict verdict)
{
	switch (verdict) {
	case LINEAGE_SAME:
		return "SAME";
	case LINEAGE_I_AM_AHEAD:
		return "I_AM_AHEAD";
	case LINEAGE_PEER_IS_AHEAD:
		return "PEER_IS_AHEAD";
	case LINEAGE_SPLIT:
		return "SPLIT";
	case LINEAGE_UNRELATED:
		return "UNRELATED";
	}
	return "INVALID";
}

enum lineage_verdict lineage_mirror(enum lineage_verdict verdict)
{
	if (verdict == LINEAGE_I_AM_AHEAD)
		return LINEAGE_PEER_IS_AHEAD;
	if (verdict == LINEAGE_PEER_IS_AHEAD)
		return LINEAGE_I_AM_AHEAD;
	return verdict;
}

const struct generation *lineage_stripped_tail(const struct chain *chain)
{
	u32 i = chain->count;

	if (!i)
		return NULL;
	while (i > 1 && !chain->record[i - 1].written && !MUTANT(unwritten_tail_counts))
		i--;
	return &chain->record[i - 1];
}

/* Newest record of @mine that @peer has too, or NULL. */
static const struct generation *newest_common(const struct chain *mine, const struct chain *peer)
{
	const struct generation *newest = NULL;
	u32 i, j;

	for (i = 0; i < mine->count; i++) {
		const struct generation *m = &mine->record[i];

		if (newest && m->number <= newest->number)
			continue;
		for (j = 0; j < peer->count; j++) {
			if ((peer->record[j].id == m->id || MUTANT(common_by_number)) && peer->record[j].number == m->number) {
				newest = m;
				break;
			}
		}
	}
	return newest;
}

/*
 * [G5] Up to the newest common record both chains tell one history; a stripped tail at or before it is a prefix
 * of the other's history, one beyond it is not. The unstripped chains are searched, because a record that one end
 * strips and the other has built on still proves that everything before it is common.
 */
enum lineage_verdict lineage_compare(const struct chain *mine, const struct chain *peer,
				     struct generation *ancestor)
{
	const struct generation *my_tail = lineage_stripped_tail(mine);
	const struct generation *peer_tail = lineage_stripped_tail(peer);
	const struct generation *common;
	bool mine_beyond, peer_beyond;

	if (!my_tail && !peer_tail)
		return LINEAGE_SAME;
	if (!peer_tail)
		return LINEAGE_I_AM_AHEAD;
	if (!my_tail)
		return LINEAGE_PEER_IS_AHEAD;

	common = newest_common(mine, peer);
	if (!common && MUTANT(unrelated_by_number))
		return my_tail->number < peer_tail->number ? LINEAGE_PEER_IS_AHEAD : LINEAGE_I_AM_AHEAD;
	if (!common) {
		MARK(chains_unrelated);
		return LINEAGE_UNRELATED;
	}
	mine_beyond = my_tail->number > common->number;
	peer_beyond = peer_tail->number > common->number;
	if (mine_beyond && peer_beyond && !MUTANT(split_by_number)) {
		MARK(chains_split);
		if (ancestor)
			*ancestor = *common;
		return LINEAGE_SPLIT;
	}
	if (my_tail->number == peer_tail->number)
		return LINEAGE_SAME;
	return my_tail->number > peer_tail->number ? LINEAGE_I_AM_AHEAD : LINEAGE_PEER_IS_AHEAD;
}

/* Bijective scrambling of 64 bits: neighbouring inputs end up far apart. */
static u64 mix(u64 x)
{
	x ^= x >> 31;
	x *= 0xd6e8feb86659fd93ull;
	x ^= x >> 29;
	x *= 0xa0761d6478bd642full;
	x ^= x >> 32;
	return x;
}

/* The record of @chain that follows @ancestor; the first one without an ancestor; NULL if there is none. */
static const struct generation *follower(const struct chain *chain, const struct generation *ancestor)
{
	u32 i;

	for (i = 0; i < chain->count; i++)
		if (!ancestor || chain->record[i].parent_id == ancestor->id)
			return &chain->record[i];
	return NULL;
}

u64 lineage_split_id(const struct chain *mine, const struct chain *peer)
{
	const struct generation *common = newest_common(mine, peer);
	const struct generation *a = follower(mine, common);
	const struct generation *b = follower(peer, common);
	u64 low = a ? a->id : 0;
	u64 high = b ? b->id : 0;
	u64 id;

	if (low > high) {
		u64 swap = low;

		low = high;
		high = swap;
	}
	id = mix(mix(low) + high);
	return id ? id : 1;
}

const struct generation *lineage_tail(const struct chain *chain)
{
	return chain->count ? &chain->record[chain->count - 1] : NULL;
}

const struct generation *lineage_find(const struct chain *chain, u64 id)
{
	u32 i;

	for (i = 0; i < chain->count; i++)
		if (chain->record[i].id == id)
			return &chain->record[i];
	return NULL;
}

/* How much a record matters when a full chain must lose one: the lowest worth goes, of equals the oldest. */
enum record_worth {
	WORTH_UNWRITTEN,
	WORTH_WRITTEN,
	WORTH_STRETCH,		/* ends a stretch of some node's membership; newest written one at or before that */
	WORTH_NODE,		/* newest written one at or before a node's last record, or with it as a member */
	WORTH_FIRST,		/* first record */
	WORTH_MUST_STAY,	/* newest half; last record of an absent node */
};

static void raise_worth(u8 *worth, enum record_worth to)
{
	if (*worth < to)
		*worth = (u8)to;
}

/*
 * A node that has gone may have missed the unwritten records at the end of its membership, even the one that made
 * it a member again; every written record with it as a member it has. So its stripped tail is the newest written
 * record at or before the end of its last stretch or, if it missed that, of an earlier one.
 */
static u32 record_to_drop(const struct chain *chain)
{
	u32 next_members = chain->record[chain->count - 1].members;
	u32 absent = ~next_members;
	u32 seen = 0, seen_written = 0;
	bool stretch_open = false, node_open = false;
	u8 worth[CHAIN_RECORDS_MAX] = { 0 };
	u32 i, drop = 0;

	for (i = chain->count; i-- > 0;) {
		const struct generation *record = &chain->record[i];

		worth[i] = record->written ? WORTH_WRITTEN : WORTH_UNWRITTEN;
		if (i >= chain->count / 2 || (record->members & ~seen & absent))
			raise_worth(&worth[i], WORTH_MUST_STAY);
		if (record->members & ~next_members) {
			raise_worth(&worth[i], WORTH_STRETCH);
			stretch_open = true;
		}
		node_open |= !!(record->members & ~seen);
		next_members = record->members;
		seen |= record->members;
		if (!record->written)
			continue;
		if (node_open || (record->members & ~seen_written))
			raise_worth(&worth[i], WORTH_NODE);
		if (stretch_open)
			raise_worth(&worth[i], WORTH_STRETCH);
		stretch_open = node_open = false;
		seen_written |= record->members;
	}
	raise_worth(&worth[0], WORTH_FIRST);
	for (i = 1; i < chain->count && !MUTANT(trim_oldest); i++)
		if (worth[i] < worth[drop])
			drop = i;
	return drop;
}

static void drop_record(struct chain *chain, u32 index)
{
	u32 after = chain->count - index - 1;

	memmove(&chain->record[index], &chain->record[index + 1], after * sizeof(chain->record[0]));
	chain->count--;
	chain->trimmed = true;
}

bool lineage_append(struct chain *chain, const struct generation *record)
{
	const struct generation *tail = lineage_tail(chain);
	struct generation copy = *record;	/* @record may stand in @chain */

	if (chain->count > CHAIN_RECORDS_MAX || !copy.id || !copy.members)
		return false;
	if (copy.parent_id != (tail ? tail->id : 0))
		return false;
	if (!copy.number || copy.number != (tail ? tail->number : 0) + 1)
		return false;
	if (lineage_find(chain, copy.id))
		return false;
	if (chain->count == CHAIN_RECORDS_MAX) {
		MARK(chain_trimmed);
		drop_record(chain, record_to_drop(chain));
	}
	chain->record[chain->count++] = copy;
	return true;
}

struct generation lineage_next(const struct chain *chain, u64 id, u32 members, u8 writer)
{
	const struct generation *tail = lineage_tail(chain);
	struct generation next;

	memset(&next, 0, sizeof(next));
	next.id = id;
	next.parent_id = tail ? tail->id : 0;
	next.number = (tail ? tail->number : 0) + 1;
	next.members = members;
	next.writer = writer;
	return next;
}

bool lineage_mark_written(struct chain *chain, u64 id)
{
	u32 i;

	for (i = 0; i < chain->count; i++) {
		if (chain->record[i].id != id)
			continue;
		if (chain->record[i].written)
			return false;
		chain->record[i].written = true;
		return true;
	}
	return false;
}

/* Does @record follow @previous (NULL: it is the first one of its chain)? Gaps are for trimmed chains only. */
static bool record_follows(const struct generation *record, const struct generation *previous, bool trimmed)
{
	u64 number = previous ? previous->number : 0;
	u64 id = previous ? previous->id : 0;

	if (record->number <= number)
		return false;
	if (record->number == number + 1)
		return record->parent_id == id;
	return trimmed && record->parent_id && record->parent_id != id;
}

bool lineage_valid(const struct chain *chain)
{
	u32 i, j;

	if (chain->count > CHAIN_RECORDS_MAX || (!chain->count && chain->trimmed))
		return false;
	for (i = 0; i < chain->count; i++) {
		const struct generation *record = &chain->record[i];

		if (!record->id || !record->members)
			return false;
		if (record->writer >= NODES_MAX && record->writer != NODE_NONE)
			return false;
		if (!record_follows(record, i ? record - 1 : NULL, chain->trimmed))
			return false;
		for (j = 0; j < i; j++)
			if (chain->record[j].id == record->id)
				return false;
	}
	return true;
}

bool lineage_equal(const struct chain *a, const struct chain *b)
{
	u32 i;

	if (a->count != b->count || a->trimmed != b->trimmed)
		return false;
	for (i = 0; i < a->count; i++) {
		const struct generation *x = &a->record[i];
		const struct generation *y = &b->record[i];

		if (x->id != y->id || x->parent_id != y->parent_id || x->number != y->number ||
		    x->members != y->members || x->writer != y->writer || x->written != y->written)
			return false;
	}
	return true;
}
