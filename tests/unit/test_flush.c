// SPDX-License-Identifier: GPL-2.0
/*
 * Whom a flush reaches [W5] [G2]: core/flush.c alone, against a model that knows which replica could lose what, and in a volume.
 */
#include <stdio.h>

#include "volume_bed.h"

#define ALL (NODE_BIT(0) | NODE_BIT(3) | NODE_BIT(31))

static u32 flush_all(struct flush *flush, u64 generation_id, u32 nodes)
{
	u32 needed = flush_needed(flush, generation_id, nodes);
	u64 since = flush_begin(flush, generation_id);
	u8 node;

	for (node = 0; node < NODES_MAX; node++)
		if (needed & NODE_BIT(node))
			flush_ended(flush, node, generation_id, since);
	return needed;
}

static void test_nothing_to_flush_W5(void **state)
{
	struct flush flush = { 0 };

	(void)state;
	assert_int_equal(flush_all(&flush, 7, ALL), ALL);		/* nothing is known */
	assert_int_equal(flush_all(&flush, 7, ALL), 0);
	flush_volatile(&flush, 3);
	assert_int_equal(flush_all(&flush, 7, ALL), NODE_BIT(3));
	assert_int_equal(flush_all(&flush, 7, ALL | NODE_BIT(4)), NODE_BIT(4));
	flush_forget(&flush, NODE_BIT(31) | NODE_BIT(5));
	assert_int_equal(flush_needed(&flush, 7, ALL), NODE_BIT(31));
}

static void test_answer_after_the_flush_began_W5(void **state)
{
	struct flush flush = { 0 };
	u64 first, second;

	(void)state;
	first = flush_begin(&flush, 7);
	flush_volatile(&flush, 3);					/* maybe not covered */
	second = flush_begin(&flush, 7);
	flush_ended(&flush, 3, 7, first);
	flush_ended(&flush, 0, 7, first);
	assert_int_equal(flush_needed(&flush, 7, ALL), NODE_BIT(3) | NODE_BIT(31));
	flush_ended(&flush, 3, 7, second);
	assert_int_equal(flush_needed(&flush, 7, ALL), NODE_BIT(31));
	flush_ended(&flush, 31, 7, first);
	assert_int_equal(flush_needed(&flush, 7, ALL), 0);
}

/* The flush under a generation carries its written mark to every member: each generation has one at least. */
static void test_each_generation_flushes_G2(void **state)
{
	struct flush flush = { 0 };
	u64 old;

	(void)state;
	old = flush_begin(&flush, 7);
	flush_ended(&flush, 0, 7, old);
	assert_int_equal(flush_needed(&flush, 7, ALL), ALL & ~NODE_BIT(0));
	assert_int_equal(flush_needed(&flush, 8, ALL), ALL);
	flush_begin(&flush, 8);
	flush_ended(&flush, 3, 7, old);					/* late */
	assert_int_equal(flush_needed(&flush, 8, ALL), ALL);
	assert_int_equal(flush_all(&flush, 8, ALL), ALL);
}

static void test_a_flush_is_expected(void **state)
{
	struct flush flush = { 0 };
	u32 i;

	(void)state;
	for (i = 0; i < FLUSH_STREAK_MIN; i++) {
		assert_false(flush_expected(&flush));
		flush_begin(&flush, 7);
	}
	for (i = 0; i < 5; i++) {
		assert_true(flush_expected(&flush));
		flush_begin(&flush, 7);
		flush_begin(&flush, 7);					/* nothing was written: says nothing */
	}
	assert_true(flush_expected(&flush));
	for (i = 0; i < 5; i++)
		assert_false(flush_expected(&flush));			/* one wrong guess */
	flush_begin(&flush, 7);
	for (i = 0; i < FLUSH_STREAK_MIN; i++) {
		assert_false(flush_expected(&flush));
		flush_begin(&flush, 7);
	}
	assert_true(flush_expected(&flush));
}

/* ---- against a model ---- */

static u64 seed;

static u32 below(u32 limit)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(seed >> 33) % limit;
}

enum { MODEL_NODES = 4, MODEL_FLUSHES = 3 };

/* What each node acknowledged and could lose, and the flushes under way: how much of that each found acknowledged. */
static void test_what_is_stable_W5(void **state)
{
	u32 bits;

	(void)state;
	for (bits = 0; bits < 8; bits++)
		assert_int_equal(flush_is_stable(bits & 1, bits & 2, bits & 4), bits != 4);
	assert_int_equal(wire_ack_result(WIRE_FEATURE_STABLE, false, true), WIRE_ACK_STABLE);
	assert_int_equal(wire_ack_result(0, false, true), WIRE_ACK_DONE);
	assert_int_equal(wire_ack_result(WIRE_FEATURE_STABLE, false, false), WIRE_ACK_DONE);
	assert_int_equal(wire_ack_result(WIRE_FEATURE_STABLE, true, true), WIRE_ACK_FAILED);
}

static void test_random(void **state)
{
	struct flush flush = { 0 };
	struct { bool active; u64 since, generation_id; u32 pending, acked[MODEL_NODES]; } under_way[MODEL_FLUSHES] = { 0 };
	u32 acked[MODEL_NODES] = { 0 }, firm[MODEL_NODES] = { 0 }, marked[MODEL_NODES] = { 0 }, i, node, skipped = 0;
	u64 generation_id = 1;

	(void)state;
	for (i = 0; i < 200000; i++) {
		u32 kind = below(100), at = below(MODEL_FLUSHES);

		node = below(MODEL_NODES);
		if (kind < 10) {
			acked[node]++;
			flush_volatile(&flush, (u8)node);
		} else if (kind < 60 && !under_way[at].active) {
			under_way[at].generation_id = generation_id;
			under_way[at].pending = flush_needed(&flush, generation_id, (1u << MODEL_NODES) - 1);
			under_way[at].active = under_way[at].pending;
			under_way[at].since = flush_begin(&flush, generation_id);
			memcpy(under_way[at].acked, acked, sizeof(acked));
			for (node = 0; node < MODEL_NODES; node++) {
				if (under_way[at].pending >> node & 1)
					continue;
				skipped++;
				assert_int_equal(firm[node], acked[node]);
				assert_int_equal(marked[node], generation_id);
			}
		} else if (kind < 98 && under_way[at].active && under_way[at].pending >> node & 1) {
			under_way[at].pending &= ~(1u << node);
			under_way[at].active = under_way[at].pending;
			if (firm[node] < under_way[at].acked[node])
				firm[node] = under_way[at].acked[node];
			if (marked[node] < under_way[at].generation_id)
				marked[node] = (u32)under_way[at].generation_id;
			flush_ended(&flush, (u8)node, under_way[at].generation_id, under_way[at].since);
		} else if (kind == 98) {
			generation_id += !below(10);
		} else if (kind == 99) {
			flush_forget(&flush, NODE_BIT(node));
		}
	}
	assert_true(skipped > 1000);
}

/* ---- in a volume ---- */

/* A write that @volatile_nodes acknowledge as maybe volatile, the others as stable. */
static void write_once(u32 volatile_nodes)
{
	struct volume_ack ack;
	u8 node;

	volume_begin(volume, &ack, 0, 4096);
	for (node = 0; node < NODES_MAX; node++)
		volume_acked(volume, &ack, node,
			     volatile_nodes & NODE_BIT(node) ? VOLUME_ANSWER_VOLATILE : VOLUME_ANSWER_STABLE);
	volume_end(volume, &ack);
}

/* A user's flush, answered by all that it goes to: these. */
static u32 flush_once(void)
{
	struct volume_ack ack;
	u32 went_to;
	u8 node;

	volume_begin_flush(volume, &ack);
	assert_int_equal(ack.nodes, volume->streaming | NODE_BIT(ME));
	went_to = ack.pending;
	for (node = 0; node < NODES_MAX; node++)
		volume_acked(volume, &ack, node, VOLUME_ANSWER_STABLE);
	volume_end(volume, &ack);
	return went_to;
}

static void test_disks_without_cache_W5(void **state)
{
	struct volume_ack ack;

	(void)state;
	bed_writing();
	write_once(0);
	assert_false(volume_flush_is_done(volume));
	assert_int_equal(flush_once(), EVERYBODY);			/* once for the generation [G2] */
	assert_true(volume_flush_is_done(volume));
	write_once(0);
	assert_int_equal(flush_once(), 0);
	write_once(NODE_BIT(HIGH));
	assert_false(volume_flush_is_done(volume));
	assert_int_equal(flush_once(), NODE_BIT(HIGH));
	assert_int_equal(flush_once(), 0);
	volume_begin(volume, &ack, 0, 0);				/* an eviction round goes to all [W6] */
	assert_int_equal(ack.pending, EVERYBODY);
}

/* Answers that prove nothing: an error, a peer that does not know the word, a flush that began before. */
static void test_answers_that_settle_nothing_W5(void **state)
{
	struct volume_ack flush, write;

	(void)state;
	bed_writing();
	volume_begin_flush(volume, &flush);
	volume_acked(volume, &flush, ME, VOLUME_ANSWER_NONE);
	volume_acked(volume, &flush, LOW, VOLUME_ANSWER_VOLATILE);
	volume_begin(volume, &write, 0, 4096);
	volume_acked(volume, &write, HIGH, VOLUME_ANSWER_VOLATILE);
	volume_acked(volume, &flush, HIGH, VOLUME_ANSWER_STABLE);
	assert_int_equal(flush_once(), EVERYBODY);
}

static void come_back(u8 node, const struct chain *chain)
{
	meet(node, chain, 0);
	agree_all();
	post_value(node, WIRE_SYNC_START, 0);
	post_value(node, WIRE_RANGES_END, 0);
	post_value(node, WIRE_SYNC_READY, lineage_tail(&volume->super.chain)->id);
}

static void test_peer_comes_back_W5(void **state)
{
	struct volume_ack flush, ack;
	struct chain old;

	(void)state;
	bed_writing();
	assert_int_equal(actlog_get(&volume->log, 1, 1), ACTLOG_WAIT);
	write_once(0);
	assert_int_equal(flush_once(), EVERYBODY);
	old = volume->super.chain;
	volume_begin_flush(volume, &flush);				/* goes to nobody */
	assert_int_equal(flush.pending, 0);
	write_once(NODE_BIT(HIGH));
	volume_begin_flush(volume, &flush);
	volume_begin(volume, &ack, 0, 4096);
	post_node(VOLUME_EVENT_PEER_DOWN, HIGH);
	volume_missed(volume, &flush, HIGH);
	volume_missed(volume, &ack, HIGH);
	come_back(HIGH, &old);						/* the generation is still the same */
	expect_relation(HIGH, VOLUME_TARGET);
	volume_acked(volume, &flush, HIGH, VOLUME_ANSWER_STABLE);	/* of its former life */
	assert_int_equal(flush_needed(&volume->flush, lineage_tail(&volume->super.chain)->id, EVERYBODY) & NODE_BIT(HIGH),
			 NODE_BIT(HIGH));
	assert_true(flush_once() & NODE_BIT(HIGH));
	assert_false(flush_once() & NODE_BIT(HIGH));
}

/* Another writer's acknowledgements went elsewhere. */
static void test_promotion_knows_nothing_W5(void **state)
{
	(void)state;
	bed_writing();
	write_once(0);
	flush_once();
	assert_int_equal(flush_once(), 0);
	post_node(VOLUME_EVENT_DEMOTE, NODE_NONE);
	assert_int_equal(volume->role, VOLUME_SECONDARY);
	agree_all();
	post_promote(false, 0);
	answer_promotion(LOW, true, VOLUME_OK);
	answer_promotion(HIGH, true, VOLUME_OK);
	assert_int_equal(volume->role, VOLUME_PRIMARY);
	assert_int_equal(flush_once(), volume->streaming | NODE_BIT(ME));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_to_flush_W5),
		cmocka_unit_test(test_answer_after_the_flush_began_W5),
		cmocka_unit_test(test_each_generation_flushes_G2),
		cmocka_unit_test(test_a_flush_is_expected),
		cmocka_unit_test(test_what_is_stable_W5),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_disks_without_cache_W5),
		cmocka_unit_test(test_answers_that_settle_nothing_W5),
		cmocka_unit_test(test_peer_comes_back_W5),
		cmocka_unit_test(test_promotion_knows_nothing_W5),
	};
	const char *given = getenv("SEED");

	seed = given ? strtoull(given, NULL, 0) : 1;
	printf("seed %llu\n", (unsigned long long)seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
