// SPDX-License-Identifier: GPL-2.0
/*
 * The comparison of chains, exhaustively over small worlds against a naive oracle [G5] [I9], and the promise that
 * trimming a chain changes no verdict. Keeps [G1] [G2]. Replay a random run with SEED=<number>.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "../../kernel/core/lineage.h"

enum {
	SMALL_RECORDS = 4,	/* records of a chain in the exhaustive test */
	LONG_RECORDS = 1000,	/* records of an untrimmed history */
	NODES = 6,
};

static u64 random_state;

static u64 below(u64 limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % limit;
}

static void random_start(void)
{
	const char *seed = getenv("SEED");

	random_state = seed ? strtoull(seed, NULL, 0) : (u64)time(NULL) * 2 + 1;
	if (!random_state)
		random_state = 1;
	printf("SEED=%llu\n", (unsigned long long)random_state);
}

/* An untrimmed history, for the oracle. */
struct history {
	u32 count;
	u64 id[LONG_RECORDS];
	bool written[LONG_RECORDS];
};

static u32 stripped_count(const struct history *h)
{
	u32 n = h->count;

	while (n > 1 && !h->written[n - 1])
		n--;
	return n;
}

static bool is_prefix(const struct history *a, u32 nr_a, const struct history *b, u32 nr_b)
{
	return nr_a <= nr_b && !memcmp(a->id, b->id, nr_a * sizeof(a->id[0]));
}

/* The definition: prefixes of stripped chains. */
static enum lineage_verdict oracle(const struct history *mine, const struct history *peer)
{
	u32 nr_mine = stripped_count(mine), nr_peer = stripped_count(peer);
	bool behind = is_prefix(mine, nr_mine, peer, nr_peer);
	bool ahead = is_prefix(peer, nr_peer, mine, nr_mine);

	if (behind && ahead)
		return LINEAGE_SAME;
	if (behind)
		return LINEAGE_PEER_IS_AHEAD;
	if (ahead)
		return LINEAGE_I_AM_AHEAD;
	return mine->id[0] == peer->id[0] ? LINEAGE_SPLIT : LINEAGE_UNRELATED;
}

static void append(struct chain *chain, struct history *h, u64 id, u32 members, bool written)
{
	struct generation record = lineage_next(chain, id, members, 0);

	record.written = written;
	assert_true(lineage_append(chain, &record));
	h->id[h->count] = id;
	h->written[h->count++] = written;
}

/* Chain of @count records; the first @common have ids that both sides use, the others are @side's own. */
static void build(struct chain *chain, struct history *h, u32 count, u32 common, u32 marks, u32 side)
{
	u32 i;

	memset(chain, 0, sizeof(*chain));
	h->count = 0;
	for (i = 0; i < count; i++)
		append(chain, h, i < common ? 100 + i : (side + 2) * 1000 - i, 3, marks >> i & 1);
}

static void check_pair(const struct chain *a, const struct history *ha, const struct chain *b,
		       const struct history *hb, u32 common)
{
	struct generation ancestor = { .id = 1 };
	enum lineage_verdict verdict = lineage_compare(a, b, &ancestor);

	assert_int_equal(verdict, oracle(ha, hb));
	assert_int_equal(lineage_compare(b, a, NULL), lineage_mirror(verdict));		/* [I9] */
	assert_int_equal(lineage_split_id(a, b), lineage_split_id(b, a));
	assert_int_equal(ancestor.id, verdict == LINEAGE_SPLIT ? 100 + common - 1 : 1);
	assert_int_equal(lineage_compare(a, a, NULL), LINEAGE_SAME);
}

static void test_every_pair_of_small_chains(void **state)
{
	static struct history ha, hb;
	struct chain a, b;
	u32 nr_a, nr_b, common, marks_a, marks_b, nr = 0;
	u32 nr_verdict[LINEAGE_UNRELATED + 1] = { 0 };

	(void)state;
	for (nr_a = 0; nr_a <= SMALL_RECORDS; nr_a++)
	for (nr_b = 0; nr_b <= SMALL_RECORDS; nr_b++)
	for (common = 0; common <= nr_a && common <= nr_b; common++)
	for (marks_a = 0; marks_a < 1u << nr_a; marks_a++)
	for (marks_b = 0; marks_b < 1u << nr_b; marks_b++) {
		build(&a, &ha, nr_a, common, marks_a, 0);
		build(&b, &hb, nr_b, common, marks_b, 1);
		check_pair(&a, &ha, &b, &hb, common);
		nr_verdict[lineage_compare(&a, &b, NULL)]++;
		nr++;
	}
	assert_true(nr > 1000);
	for (nr = 0; nr <= LINEAGE_UNRELATED; nr++)
		assert_true(nr_verdict[nr] > 0);
}

/* [G2] An unwritten tail never makes a SPLIT, whoever made how many records. */
static void test_unwritten_tails_never_split(void **state)
{
	static struct history ha, hb;
	struct chain a, b;

	(void)state;
	build(&a, &ha, 4, 1, 1, 0);
	build(&b, &hb, 3, 1, 1, 1);
	assert_int_equal(lineage_compare(&a, &b, NULL), LINEAGE_SAME);
	build(&a, &ha, 4, 1, 1 | 4, 0);
	assert_int_equal(lineage_compare(&a, &b, NULL), LINEAGE_I_AM_AHEAD);
	build(&b, &hb, 3, 1, 1 | 2, 1);
	assert_int_equal(lineage_compare(&a, &b, NULL), LINEAGE_SPLIT);
	assert_int_not_equal(lineage_split_id(&a, &b), 0);
}

/* Total and antisymmetric over rubbish too: only ids within a chain are unique. */
static void test_antisymmetric_over_rubbish(void **state)
{
	struct chain chain[2];
	u32 i, n, k;

	(void)state;
	random_start();
	for (n = 0; n < 100000; n++) {
		memset(chain, 0, sizeof(chain));
		for (k = 0; k < 2; k++) {
			chain[k].count = (u32)below(5);
			for (i = 0; i < chain[k].count; i++) {
				chain[k].record[i].id = 1 + below(4);
				chain[k].record[i].number = below(4);
				chain[k].record[i].written = below(2);
			}
		}
		assert_int_equal(lineage_compare(&chain[0], &chain[1], NULL),
				 lineage_mirror(lineage_compare(&chain[1], &chain[0], NULL)));
	}
}

/* A node that left: its chain and history as they were, with what it did alone. */
struct absent {
	struct chain chain;
	struct history history;
};

/*
 * Node @node stops following. Records that it may not have got yet are the unwritten ones at the end; if the one
 * that made it a member again is among them, it is still what it was when it left before.
 */
static void leave(struct absent *x, u32 node, const struct chain *chain, const struct history *h)
{
	struct absent before = *x;

	x->chain = *chain;
	x->history = *h;
	while (x->chain.count > 1 && !x->chain.record[x->chain.count - 1].written && !below(3)) {
		if (!(x->chain.record[x->chain.count - 2].members & NODE_BIT(node))) {
			*x = before;
			return;
		}
		x->chain.count--;
		x->history.count--;
	}
	if (x->chain.count > 1 && !below(4)) {	/* its own mark was not written before it left */
		x->chain.record[x->chain.count - 1].written = false;
		x->history.written[x->history.count - 1] = false;
	}
	while (!below(3))
		append(&x->chain, &x->history, 1 + below(~0ull), 1, !below(3));
}

static void test_trimming_changes_no_verdict(void **state)
{
	static struct absent gone[NODES];
	static struct history h;
	struct chain chain;
	u32 run, i, node;

	(void)state;
	random_start();
	for (run = 0; run < 60; run++) {
		u32 members = (1u << NODES) - 1, away = 0;
		u32 written_one_in = 1 + (u32)below(5);

		memset(&chain, 0, sizeof(chain));
		h.count = 0;
		append(&chain, &h, 1 + below(~0ull), members, true);
		for (i = 0; i < 400; i++) {
			node = 1 + (u32)below(NODES - 1);
			if (!below(10) && !(away & NODE_BIT(node))) {
				leave(&gone[node], node, &chain, &h);
				away |= NODE_BIT(node);
				members &= ~NODE_BIT(node);
			} else if (!below(40)) {
				away &= ~NODE_BIT(node);	/* resynced: follows again */
				members |= NODE_BIT(node);
			}
			append(&chain, &h, 1 + below(~0ull), members, !below(written_one_in));
			assert_true(lineage_valid(&chain));
			assert_int_equal(lineage_tail(&chain)->id, h.id[h.count - 1]);
			for (node = 1; node < NODES; node++) {
				enum lineage_verdict verdict = oracle(&h, &gone[node].history);

				if (!(away & NODE_BIT(node)))
					continue;
				assert_int_equal(lineage_compare(&chain, &gone[node].chain, NULL), verdict);
				assert_int_equal(lineage_compare(&gone[node].chain, &chain, NULL),
						 lineage_mirror(verdict));
			}
		}
		assert_true(chain.trimmed);
	}
}

/* The newest half, and the last records of 31 absent nodes, stay whatever comes. */
static void test_trimming_keeps_what_it_promised(void **state)
{
	struct chain chain;
	static struct history h;
	u32 nodes, i;

	(void)state;
	for (nodes = REPLICAS_MAX; nodes <= NODES_MAX; nodes *= 2) {
		memset(&chain, 0, sizeof(chain));
		h.count = 0;
		for (i = 1; i < nodes; i++)
			append(&chain, &h, 1000 + i, 1 | NODE_BIT(i), i % 2);
		for (i = 0; i < 500; i++) {
			append(&chain, &h, 2000 + i, 1, i == 3);
			assert_true(lineage_valid(&chain));
		}
		assert_int_equal(chain.count, CHAIN_RECORDS_MAX);
		for (i = 1; i < nodes; i++)
			assert_non_null(lineage_find(&chain, 1000 + i));
		for (i = 500 - CHAIN_RECORDS_MAX / 2; i < 500; i++)
			assert_non_null(lineage_find(&chain, 2000 + i));
		if (nodes == REPLICAS_MAX)	/* newest written: the stripped tail */
			assert_non_null(lineage_find(&chain, 2003));
	}

	memset(&chain, 0, sizeof(chain));
	h.count = 0;
	for (i = 0; i < 200; i++)
		append(&chain, &h, 1 + i, 1, i == 5);
	assert_non_null(lineage_find(&chain, 1));	/* the first tells SPLIT from UNRELATED */
	assert_non_null(lineage_find(&chain, 6));
}

/* What the stripped tail of a node that went long ago may be, through missed records and other nodes that flap. */
static void test_trimming_keeps_stripped_tails(void **state)
{
	struct chain chain;
	static struct history h;
	u32 flapping, i;

	(void)state;
	for (flapping = 0; flapping < 2; flapping++) {
		memset(&chain, 0, sizeof(chain));
		h.count = 0;
		append(&chain, &h, 1, 1, true);
		append(&chain, &h, 2, 3, true);		/* node 1 has it for sure */
		append(&chain, &h, 3, 1, true);		/* its stripped tail, if record 4 reached it and 6 did not */
		append(&chain, &h, 4, 3, false);
		append(&chain, &h, 5, 1, true);		/* its stripped tail, if record 6 reached it */
		append(&chain, &h, 6, 3, false);
		for (i = 0; i < 400; i++)
			append(&chain, &h, 100 + i, flapping ? 1 | 4 << i % 2 : 1, true);
		assert_non_null(lineage_find(&chain, 2));
		assert_non_null(lineage_find(&chain, 5));
		assert_non_null(lineage_find(&chain, 6));
		if (!flapping)
			assert_non_null(lineage_find(&chain, 3));
	}
}

static void test_append_refuses(void **state)
{
	struct chain chain = { 0 }, before;
	static struct history h;
	struct generation record;

	(void)state;
	assert_null(lineage_tail(&chain));
	assert_true(lineage_valid(&chain));
	assert_false(lineage_mark_written(&chain, 5));
	record = lineage_next(&chain, 5, 3, 1);
	assert_int_equal(record.parent_id, 0);
	assert_int_equal(record.number, 1);
	record.number = 2;
	assert_false(lineage_append(&chain, &record));
	h.count = 0;
	append(&chain, &h, 5, 3, false);
	assert_false(lineage_mark_written(&chain, 6));
	assert_true(lineage_mark_written(&chain, 5));
	assert_false(lineage_mark_written(&chain, 5));
	append(&chain, &h, 6, 1, false);
	before = chain;
	record = lineage_next(&chain, 7, 3, 1);
	record.parent_id = 5;
	assert_false(lineage_append(&chain, &record));
	record = lineage_next(&chain, 7, 3, 1);
	record.number++;
	assert_false(lineage_append(&chain, &record));
	record = lineage_next(&chain, 5, 3, 1);
	assert_false(lineage_append(&chain, &record));
	record = lineage_next(&chain, 0, 3, 1);
	assert_false(lineage_append(&chain, &record));
	record = lineage_next(&chain, 7, 0, 1);
	assert_false(lineage_append(&chain, &record));
	assert_true(lineage_equal(&chain, &before));
	record = lineage_next(&chain, 7, 3, 1);
	assert_true(lineage_append(&chain, &record));
	assert_false(lineage_equal(&chain, &before));
}

static void test_valid(void **state)
{
	struct chain good, bad;
	static struct history h;

	(void)state;
	build(&good, &h, 4, 4, 15, 0);
	assert_true(lineage_valid(&good));
#define SPOILED(change) (bad = good, bad.change, lineage_valid(&bad))
	assert_false(SPOILED(count = CHAIN_RECORDS_MAX + 1));
	assert_false(SPOILED(record[1].id = 0));
	assert_false(SPOILED(record[3].id = bad.record[1].id));
	assert_false(SPOILED(record[1].members = 0));
	assert_false(SPOILED(record[1].writer = NODES_MAX));
	assert_true(SPOILED(record[1].writer = NODE_NONE));
	assert_false(SPOILED(record[2].parent_id = 77));
	assert_false(SPOILED(record[0].parent_id = 77));
	assert_false(SPOILED(record[0].number = 0));
	assert_false(SPOILED(record[3].number = 3));
	assert_false(SPOILED(record[3].number = 9));
	good.trimmed = true;
	assert_false(SPOILED(record[3].number = 9));	/* a gap, yet the parent is the record before */
	good.record[3].parent_id = 77;
	assert_true(SPOILED(record[3].number = 9));
#undef SPOILED
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(lineage_verdict_name(LINEAGE_SAME), "SAME");
	assert_string_equal(lineage_verdict_name(LINEAGE_I_AM_AHEAD), "I_AM_AHEAD");
	assert_string_equal(lineage_verdict_name(LINEAGE_PEER_IS_AHEAD), "PEER_IS_AHEAD");
	assert_string_equal(lineage_verdict_name(LINEAGE_SPLIT), "SPLIT");
	assert_string_equal(lineage_verdict_name(LINEAGE_UNRELATED), "UNRELATED");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_pair_of_small_chains),
		cmocka_unit_test(test_unwritten_tails_never_split),
		cmocka_unit_test(test_antisymmetric_over_rubbish),
		cmocka_unit_test(test_trimming_changes_no_verdict),
		cmocka_unit_test(test_trimming_keeps_what_it_promised),
		cmocka_unit_test(test_trimming_keeps_stripped_tails),
		cmocka_unit_test(test_append_refuses),
		cmocka_unit_test(test_valid),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
