// SPDX-License-Identifier: GPL-2.0
/*
 * Who counts as holding everything [G4], whose copy counts [G6], and what may be read before that is known [I3]: rules of which
 * random runs show a breach rarely.
 */
#include "volume_bed.h"

/* This node's chain and one record more, of HIGH, with everybody in it. */
static struct chain longer(const struct chain *mine, bool written)
{
	struct chain chain = *mine;

	chain_add(&chain, 2, EVERYBODY, HIGH, written);
	return chain;
}

/* This node becomes the target of HIGH, up to SYNC_READY. */
static void adopt(const struct chain *chain)
{
	expect_relation(HIGH, VOLUME_SOURCE_ASKED);
	memset(&bed.body, 0, sizeof(bed.body));
	bed.body.accept.chain = *chain;
	post_frame(HIGH, WIRE_SYNC_ACCEPT);
	post_saved(true);
	assert_non_null(sent(HIGH, WIRE_SYNC_READY));
	expect_relation(HIGH, VOLUME_SOURCE);
}

static void test_missed_record_means_half_synced_G4(void **state)
{
	struct chain mine = chain_of(EVERYBODY), chain;
	u32 written;

	(void)state;
	for (written = 0; written < 2; written++) {
		chain = longer(&mine, written);
		bed_start(&mine, EVERYBODY);
		meet(HIGH, &chain, 0);
		adopt(&chain);
		assert_int_equal(!!(volume->super.flags & ONDISK_SYNCING), written);
	}
}

static void test_target_that_a_record_drops_G4(void **state)
{
	struct chain mine = chain_of(EVERYBODY), chain;

	(void)state;
	chain = longer(&mine, false);
	bed_start(&mine, EVERYBODY);
	meet(HIGH, &chain, 0);
	adopt(&chain);
	assert_false(volume->super.flags & ONDISK_SYNCING);
	memset(&bed.body, 0, sizeof(bed.body));
	bed.body.record.serial = 1;
	bed.body.record.record = lineage_next(&chain, 3, NODE_BIT(HIGH) | NODE_BIT(LOW), HIGH);
	post_frame(HIGH, WIRE_RECORD);
	assert_int_equal(lineage_tail(&volume->super.chain)->id, 3);
	assert_true(volume->super.flags & ONDISK_SYNCING);
}

static void test_ready_with_an_older_chain_R1(void **state)
{
	struct chain theirs = chain_of(EVERYBODY), mine = theirs;

	(void)state;
	chain_add(&mine, 2, NODE_BIT(ME) | NODE_BIT(HIGH), ME, true);
	bed_start(&mine, EVERYBODY);
	meet(LOW, &theirs, 0);
	post_value(LOW, WIRE_SYNC_START, 0);
	expect_relation(LOW, VOLUME_TARGET_STARTING);
	post_value(LOW, WIRE_RANGES_END, 0);
	assert_non_null(sent(LOW, WIRE_SYNC_ACCEPT));
	post_value(LOW, WIRE_SYNC_READY, 1);
	assert_non_null(sent(LOW, WIRE_SYNC_ACCEPT));
	expect_relation(LOW, VOLUME_TARGET_STARTING);
	post_value(LOW, WIRE_SYNC_READY, 2);
	expect_relation(LOW, VOLUME_TARGET);
}

/*
 * A target that is to wait for the primary instead, and what it waits for happened while it was not greeted: this node is in sync
 * with that primary. Found by the explorer: FIRST=1 START=cold NODES=3 BLOCKS=1 CUTS=1 DELAYS=1.
 */
static void test_target_is_told_when_it_goes_G5(void **state)
{
	struct chain theirs = chain_of(EVERYBODY), mine = theirs;
	struct wire_greet facts;

	(void)state;
	chain_add(&mine, 2, EVERYBODY, LOW, true);
	bed_start(&mine, EVERYBODY);
	meet(HIGH, &theirs, 0);
	post_value(HIGH, WIRE_SYNC_START, 0);
	expect_relation(HIGH, VOLUME_TARGET_STARTING);
	post_node(VOLUME_EVENT_PEER_UP, LOW);
	greet(LOW, &mine, WIRE_GREET_PRIMARY);
	facts = facts_of(HIGH, &theirs, 0);
	facts.primary = LOW;
	greet_with(HIGH, facts);
	assert_int_equal(peer_of(HIGH)->plan, VOLUME_PLAN_WAIT_PRIMARY);
	agree(LOW);
	expect_relation(LOW, VOLUME_IN_SYNC);
	assert_null(sent(HIGH, WIRE_GREET));
	agree(HIGH);
	assert_non_null(sent(HIGH, WIRE_GREET));	/* what they agreed on is of before */
	assert_true(peer_of(HIGH)->sent_flags & WIRE_GREET_WITH_PRIMARY);
	agree(HIGH);
	expect_relation(HIGH, VOLUME_WAITING);
	assert_null(sent(HIGH, WIRE_GREET));		/* once */
}

/*
 * A session flaps right after the primary's first record. They start a resync, find that nothing differs after all, and the primary
 * has gone on without the target when that answer comes (explorer: FLUSHES=1 EVICTIONS=1 CRASHES=1 CUTS=1).
 */
static void test_verdict_of_before_a_write_I7(void **state)
{
	struct chain theirs;
	u64 id;

	(void)state;
	bed_writing();
	id = lineage_tail(&volume->super.chain)->id;
	theirs = volume->super.chain;
	lineage_mark_written(&theirs, id);
	post_node(VOLUME_EVENT_PEER_DOWN, HIGH);
	meet(HIGH, &theirs, 0);
	expect_relation(HIGH, VOLUME_WAITING);
	post_value(HIGH, WIRE_SYNC_START, 0);
	expect_relation(HIGH, VOLUME_TARGET_STARTING);
	assert_false(volume_marked(volume, id));				/* it is not greeted for that */
	greet(HIGH, &theirs, 0);
	assert_int_equal(peer_of(HIGH)->plan, VOLUME_PLAN_IN_SYNC);
	post_node(VOLUME_EVENT_IO_WAITS, NODE_NONE);
	post_saved(true);
	ack_record(LOW, volume->proposal.serial, true);
	assert_int_equal(volume_gate_write(volume), VOLUME_GATE_OPEN);
	dirty_mark(&peer_of(HIGH)->map, 0, 4096);				/* by a write */
	agree(HIGH);
	expect_relation(HIGH, VOLUME_TARGET_STARTING);
	assert_int_equal(peer_of(HIGH)->map.nr_set, 1);
	assert_non_null(sent(HIGH, WIRE_GREET));
	assert_int_equal(peer_of(HIGH)->plan, VOLUME_PLAN_I_AM_SOURCE);
}

static void test_reads_wait_for_the_comparison_I3(void **state)
{
	struct chain chain = chain_of(EVERYBODY);

	(void)state;
	bed_attach(&chain, EVERYBODY);
	volume_log_found(volume, 3);
	post_node(VOLUME_EVENT_ONLINE, NODE_NONE);
	post_promote(false, NODE_BIT(LOW) | NODE_BIT(HIGH));
	assert_int_equal(volume->role, VOLUME_PRIMARY);
	assert_int_equal(volume_gate_read(volume), VOLUME_GATE_WAIT);
	post_node(VOLUME_EVENT_IO_WAITS, NODE_NONE);
	post_saved(true);						/* a record without them */
	assert_int_equal(lineage_tail(&volume->super.chain)->members, NODE_BIT(ME));
	assert_int_equal(volume_gate_read(volume), VOLUME_GATE_OPEN);
}

/* Of two equal copies that of the better authority counts, then of the lower node. */
static void test_authority_goes_before_node_G6(void **state)
{
	struct chain chain = chain_of(EVERYBODY);
	enum lineage_verdict verdict;
	struct wire_greet mine, peer;

	(void)state;
	bed_start(&chain, EVERYBODY);
	mine = facts_of(ME, &chain, WIRE_GREET_DIRTY);
	peer = facts_of(HIGH, &chain, WIRE_GREET_DIRTY);
	assert_int_equal(volume_plan(&mine, ME, &peer, HIGH, &verdict), VOLUME_PLAN_I_AM_SOURCE);
	peer.authority = LOW;
	assert_int_equal(volume_plan(&mine, ME, &peer, HIGH, &verdict), VOLUME_PLAN_PEER_IS_SOURCE);
	mine.authority = LOW;
	assert_int_equal(volume_plan(&mine, ME, &peer, HIGH, &verdict), VOLUME_PLAN_I_AM_SOURCE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_missed_record_means_half_synced_G4),
		cmocka_unit_test(test_target_that_a_record_drops_G4),
		cmocka_unit_test(test_ready_with_an_older_chain_R1),
		cmocka_unit_test(test_target_is_told_when_it_goes_G5),
		cmocka_unit_test(test_verdict_of_before_a_write_I7),
		cmocka_unit_test(test_reads_wait_for_the_comparison_I3),
		cmocka_unit_test(test_authority_goes_before_node_G6),
	};

	return cmocka_run_group_tests_name("volume_complete", tests, NULL, NULL);
}
