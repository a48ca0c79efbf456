// SPDX-License-Identifier: GPL-2.0
/*
 * The dialogue of a resync when a frame comes at the wrong moment, twice, or says what cannot be: no bit is cleared
 * without proof, no half-synced content counts as whole [D1] [D2] [G4] [I8] [I15].
 */
#include "volume_bed.h"

static void post_accept(u8 node, const struct chain *chain)
{
	memset(&bed.body, 0, sizeof(bed.body));
	bed.body.accept.chain = *chain;
	post_frame(node, WIRE_SYNC_ACCEPT);
}

static void post_ranges(u8 node, u8 lacking, u64 start_bytes, u64 length_bytes)
{
	memset(&bed.body, 0, sizeof(bed.body));
	bed.body.ranges.node = lacking;
	bed.body.ranges.nr = 1;
	bed.body.ranges.range[0].start_bytes = start_bytes;
	bed.body.ranges.range[0].length_bytes = length_bytes;
	post_frame(node, WIRE_RANGES);
}

/* HIGH was left out by a record: this node is its source. */
static struct chain bed_source(void)
{
	struct chain chain = chain_of(EVERYBODY), longer = chain;

	chain_add(&longer, 2, NODE_BIT(ME) | NODE_BIT(LOW), NODE_NONE, true);
	bed_start(&longer, EVERYBODY);
	meet(LOW, &longer, 0);
	meet(HIGH, &chain, 0);
	agree_all();
	expect_relation(LOW, VOLUME_IN_SYNC);
	expect_relation(HIGH, VOLUME_WAITING);
	assert_int_equal(peer_of(HIGH)->plan, VOLUME_PLAN_I_AM_SOURCE);
	return longer;
}

/* The same, and HIGH is ready: it gets every write. */
static void bed_resyncing(void)
{
	bed_source();
	post_value(HIGH, WIRE_SYNC_START, 0);
	post_ranges(HIGH, HIGH, 4096, 4096);
	post_value(HIGH, WIRE_RANGES_END, 0);
	post_value(HIGH, WIRE_SYNC_READY, 2);
	expect_relation(HIGH, VOLUME_TARGET);
	assert_non_null(wanted(VOLUME_DO_RESYNC_START, HIGH));
	assert_true(volume->streaming & NODE_BIT(HIGH));
}

/* This node was left out, and LOW is asked to resync it. */
static struct chain bed_target(void)
{
	struct chain chain = chain_of(EVERYBODY), longer = chain;

	chain_add(&longer, 2, NODE_BIT(HIGH) | NODE_BIT(LOW), NODE_NONE, true);
	bed_start(&chain, EVERYBODY);
	meet(LOW, &longer, 0);
	agree_all();
	expect_relation(LOW, VOLUME_SOURCE_ASKED);
	return longer;
}

/* ---- the source ---- */

static void test_source_takes_what_the_target_changed_I8(void **state)
{
	(void)state;
	bed_source();
	post_ranges(HIGH, HIGH, 4096, 4096);			/* before it asked: of no resync */
	assert_int_equal(peer_of(HIGH)->map.nr_set, 0);
	post_value(LOW, WIRE_SYNC_START, 0);			/* in sync: nothing to resync */
	expect_relation(LOW, VOLUME_IN_SYNC);
	post_value(HIGH, WIRE_RANGES_END, 0);
	assert_null(sent(HIGH, WIRE_SYNC_ACCEPT));
	post_value(HIGH, WIRE_SYNC_START, 0);
	expect_relation(HIGH, VOLUME_TARGET_STARTING);
	post_ranges(HIGH, HIGH, 4096, 4096);
	assert_int_equal(peer_of(HIGH)->map.nr_set, 1);
	assert_true(dirty_test(&peer_of(HIGH)->map, 4096));
	post_value(HIGH, WIRE_RANGES_END, 0);
	assert_null(sent(HIGH, WIRE_SYNC_ACCEPT));		/* it may forget them then: on disk here first [R2] */
	assert_true(wanted(VOLUME_DO_SAVE_SUPER, NODE_NONE)->maps_first);
	post_saved(false);
	assert_null(sent(HIGH, WIRE_SYNC_ACCEPT));
	post_value(HIGH, WIRE_SYNC_START, 0);			/* asked again: still not on disk */
	post_ranges(HIGH, HIGH, 4096, 4096);
	post_value(HIGH, WIRE_RANGES_END, 0);
	assert_null(sent(HIGH, WIRE_SYNC_ACCEPT));
	post_saved(true);
	assert_non_null(sent(HIGH, WIRE_SYNC_ACCEPT));
	assert_int_equal(volume->streaming & NODE_BIT(HIGH), 0);
	post_value(HIGH, WIRE_SYNC_READY, 1);			/* of an older chain: told again */
	assert_non_null(sent(HIGH, WIRE_SYNC_ACCEPT));
	expect_relation(HIGH, VOLUME_TARGET_STARTING);
	post_value(HIGH, WIRE_SYNC_READY, 2);
	expect_relation(HIGH, VOLUME_TARGET);
	assert_int_equal(peer_of(HIGH)->map.nr_set, 1);		/* nothing is proven yet */
	post_value(HIGH, WIRE_SYNC_READY, 2);
	assert_null(wanted(VOLUME_DO_RESYNC_START, HIGH));	/* once is enough */
}

static void test_start_under_an_old_plan(void **state)
{
	(void)state;
	bed_source();
	greet(HIGH, &peer_of(HIGH)->facts->chain, WIRE_GREET_SYNCING);	/* no common verdict about this one yet */
	post_value(HIGH, WIRE_SYNC_START, 0);
	expect_relation(HIGH, VOLUME_WAITING);
	post_value(HIGH, WIRE_SYNC_READY, 2);			/* it waits for a resync that is none */
	expect_end(HIGH, WIRE_BYE_STUCK);
	agree_all();
	volume->sync_source = LOW;				/* who is a target itself is no source [I5] */
	post_value(HIGH, WIRE_SYNC_START, 0);
	expect_relation(HIGH, VOLUME_WAITING);
}

/* Its mark is on the disk by now, and the target may find that nothing differs: it has to hear that first. */
static void test_start_before_the_greeting_I9(void **state)
{
	(void)state;
	bed_source();
	peer_of(HIGH)->greet_wanted = true;
	post_value(HIGH, WIRE_SYNC_START, 0);
	expect_relation(HIGH, VOLUME_WAITING);
	assert_non_null(sent(HIGH, WIRE_GREET));
	agree_all();
	post_value(HIGH, WIRE_SYNC_START, 0);
	expect_relation(HIGH, VOLUME_TARGET_STARTING);
}

static void test_dry_but_dirty_D2(void **state)
{
	(void)state;
	bed_resyncing();
	post_node(VOLUME_EVENT_RESYNC_DRY, LOW);
	assert_int_equal(bed.actions.nr, 0);			/* there is no resync of LOW */
	post_node(VOLUME_EVENT_RESYNC_DRY, HIGH);
	expect_relation(HIGH, VOLUME_TARGET);
	assert_non_null(wanted(VOLUME_DO_RESYNC_START, HIGH));	/* bits were set since */
	assert_int_equal(dirty_clear(&peer_of(HIGH)->map, 4096, 4096), 1);
	post_node(VOLUME_EVENT_RESYNC_DRY, HIGH);
	expect_relation(HIGH, VOLUME_JOINING);
	assert_int_equal(volume->proposal.adding, HIGH);
	assert_int_equal(lineage_tail(&volume->super.chain)->members, EVERYBODY);
	assert_true(wanted(VOLUME_DO_SAVE_SUPER, NODE_NONE)->maps_first);
	post_saved(true);
	ack_record(LOW, volume->proposal.serial, true);
	expect_relation(HIGH, VOLUME_JOINING);
	ack_record(HIGH, volume->proposal.serial, true);
	expect_relation(HIGH, VOLUME_IN_SYNC);
}

/* The resync of HIGH is dry, and LOW is asked whether it agrees. */
static void bed_dry(void)
{
	bed_resyncing();
	assert_int_equal(dirty_clear(&peer_of(HIGH)->map, 4096, 4096), 1);
	post_node(VOLUME_EVENT_RESYNC_DRY, HIGH);
	post_saved(true);
	expect_relation(HIGH, VOLUME_JOINING);
	assert_non_null(sent(LOW, WIRE_RECORD));
}

/* It does, and the record is on its way to HIGH. */
static void bed_joining(void)
{
	bed_dry();
	ack_record(LOW, volume->proposal.serial, true);
	assert_non_null(sent(HIGH, WIRE_RECORD));
	expect_relation(HIGH, VOLUME_JOINING);
}

/*
 * LOW may have become a primary: what it writes is acknowledged without HIGH, until LOW has the record. So HIGH has it last, and not
 * at all when LOW refuses or leaves (seed 1795922760828, 4 nodes).
 */
static void test_joiner_is_asked_last_G2(void **state)
{
	(void)state;
	bed_dry();
	assert_null(sent(HIGH, WIRE_RECORD));
	ack_record(LOW, volume->proposal.serial, false);
	expect_end(LOW, WIRE_BYE_STUCK);
	assert_null(sent(HIGH, WIRE_RECORD));
	post_node(VOLUME_EVENT_PEER_DOWN, LOW);
	assert_null(sent(HIGH, WIRE_RECORD));
	expect_relation(HIGH, VOLUME_GREETING);			/* they compare again */
	assert_false(volume->proposal.active);
	assert_false(volume->streaming & NODE_BIT(HIGH));
}

/* Until it has the record it counts itself no member, and a verdict may part them. */
static void test_verdict_before_the_record_I9(void **state)
{
	(void)state;
	bed_dry();
	greet(LOW, &volume->super.chain, WIRE_GREET_PRIMARY | WIRE_GREET_IN_SYNC);
	greet(HIGH, &peer_of(HIGH)->facts->chain, WIRE_GREET_SYNCING);
	assert_string_equal(volume_plan_name(peer_of(HIGH)->plan), "wait-primary");
	agree(HIGH);
	expect_relation(HIGH, VOLUME_WAITING);
	ack_record(LOW, volume->proposal.serial, true);
	assert_null(sent(HIGH, WIRE_RECORD));
	assert_false(volume->proposal.active);
}

/* It goes on as this node's target, and is told by the end of the session that it is none (seed 12100000619047, 5 nodes). */
static void test_let_go_while_joining_R5(void **state)
{
	(void)state;
	bed_joining();
	post_node(VOLUME_EVENT_DISK_FAILED, NODE_NONE);
	assert_non_null(wanted(VOLUME_DO_END_SESSION, HIGH));
}

/* The new member has the record, and may count itself in sync before its answer is here: no verdict from before parts them. */
static void test_record_decides_while_joining_I9(void **state)
{
	struct wire_greet facts;

	(void)state;
	bed_joining();
	facts = facts_of(HIGH, &volume->super.chain, WIRE_GREET_DIRTY);
	facts.authority = 0;						/* by which it would be the source */
	greet_with(HIGH, facts);
	assert_string_equal(volume_plan_name(peer_of(HIGH)->plan), "target");
	agree(HIGH);
	expect_relation(HIGH, VOLUME_JOINING);
	ack_record(HIGH, volume->proposal.serial, true);
	expect_relation(HIGH, VOLUME_IN_SYNC);
	assert_non_null(wanted(VOLUME_DO_RESYNC_STOP, HIGH));
	assert_true(peer_of(HIGH)->confirmed);				/* nothing is left open that promotions would wait for */
	assert_int_equal(peer_of(HIGH)->plan, VOLUME_PLAN_IN_SYNC);
}

static void test_resync_that_fails(void **state)
{
	(void)state;
	bed_resyncing();
	post_node(VOLUME_EVENT_RESYNC_FAILED, HIGH);
	expect_end(HIGH, WIRE_BYE_STUCK);
	post_node(VOLUME_EVENT_PEER_DOWN, HIGH);
	assert_non_null(wanted(VOLUME_DO_RESYNC_STOP, HIGH));
	assert_int_equal(peer_of(HIGH)->map.nr_set, 1);		/* it still lacks it */
	assert_int_equal(volume->streaming, NODE_BIT(LOW));
}

static void test_member_is_told_when_it_is_equal(void **state)
{
	struct chain chain = chain_of(EVERYBODY);

	(void)state;
	bed_start(&chain, EVERYBODY);
	meet(HIGH, &chain, WIRE_GREET_DIRTY);			/* a member whose log was not empty */
	agree_all();
	assert_int_equal(peer_of(HIGH)->plan, VOLUME_PLAN_I_AM_SOURCE);
	post_value(HIGH, WIRE_SYNC_START, 0);
	post_value(HIGH, WIRE_RANGES_END, 0);
	post_value(HIGH, WIRE_SYNC_READY, 1);
	post_node(VOLUME_EVENT_RESYNC_DRY, HIGH);
	assert_true(sent(HIGH, WIRE_SYNC_DONE)->frame.value == 1);	/* no record is needed */
	expect_relation(HIGH, VOLUME_IN_SYNC);
	assert_int_equal(volume->super.chain.count, 1);
}

/* ---- the target ---- */

/* Only a source that was never met may lack what a replica wrote on its own; a new replica wrote nothing. */
static void test_new_replica_keeps_no_bits_R2(void **state)
{
	struct chain none = { 0 }, theirs = chain_of(NODE_BIT(LOW));

	(void)state;
	bed_start(&none, NODE_BIT(ME));
	meet(LOW, &theirs, 0);
	agree_all();
	expect_relation(LOW, VOLUME_SOURCE_ASKED);
	assert_int_equal(peer_of(LOW)->map.nr_set, peer_of(LOW)->map.nr_granules);	/* all of it is told */
	post_accept(LOW, &theirs);
	assert_int_equal(peer_of(LOW)->map.nr_set, 0);
	assert_true(volume->super.flags & ONDISK_SYNCING);
	assert_true(wanted(VOLUME_DO_SAVE_SUPER, NODE_NONE)->maps_first);
	post_saved(true);
	expect_relation(LOW, VOLUME_SOURCE);
	post_node(VOLUME_EVENT_PEER_DOWN, LOW);
	meet(LOW, &theirs, 0);
	agree_all();
	expect_relation(LOW, VOLUME_SOURCE_ASKED);
	assert_int_equal(peer_of(LOW)->map.nr_set, 0);		/* the same disk: no other life */
}

/* The first source has proven a part and cleared it: what another one writes there, it has to be told (seed 9860000001371). */
static void test_new_replica_changes_its_source_R2(void **state)
{
	struct chain none = { 0 }, theirs = chain_of(NODE_BIT(LOW) | NODE_BIT(HIGH));

	(void)state;
	bed_start(&none, NODE_BIT(ME));
	meet(LOW, &theirs, 0);
	agree_all();
	post_accept(LOW, &theirs);
	post_saved(true);
	assert_false(volume_apply_resync(volume, LOW, 4096, 4096));
	assert_int_equal(peer_of(HIGH)->map.nr_set, 0);
	post_node(VOLUME_EVENT_PEER_DOWN, LOW);
	meet(HIGH, &theirs, 0);
	agree_all();
	expect_relation(HIGH, VOLUME_SOURCE_ASKED);
	post_accept(HIGH, &theirs);
	post_saved(true);
	assert_true(volume_apply_resync(volume, HIGH, 4096, 4096));
	assert_true(dirty_test(&peer_of(LOW)->map, 4096));
}

static void test_target_chooses_the_lowest(void **state)
{
	struct chain chain = chain_of(EVERYBODY | NODE_BIT(THIRD)), longer = chain;

	(void)state;
	chain_add(&longer, 2, NODE_BIT(HIGH) | NODE_BIT(LOW) | NODE_BIT(THIRD), NODE_NONE, true);
	bed_start(&chain, NODE_BIT(ME) | NODE_BIT(HIGH) | NODE_BIT(THIRD));
	meet(HIGH, &longer, 0);
	meet(THIRD, &longer, 0);
	meet(LOW, &longer, 0);
	agree_all();
	assert_int_equal(volume->sync_source, HIGH);		/* one at a time, once it was asked */
	expect_relation(THIRD, VOLUME_WAITING);
	expect_relation(LOW, VOLUME_WAITING);
	assert_true(peer_of(LOW) > peer_of(THIRD));
	post_node(VOLUME_EVENT_PEER_DOWN, HIGH);
	assert_int_equal(volume->sync_source, NODE_NONE);	/* the plans are about facts of before */
	agree_all();
	assert_int_equal(volume->sync_source, THIRD);		/* who agreed first */
	expect_relation(LOW, VOLUME_WAITING);
}

static void test_accept_at_the_wrong_time_G4(void **state)
{
	struct chain longer = bed_target(), foreign = { 0 }, none = { 0 };

	(void)state;
	chain_add(&foreign, 5, NODE_BIT(ME), NODE_NONE, true);
	post_accept(LOW, &foreign);				/* by its own chain the source is no member */
	expect_end(LOW, WIRE_BYE_PROTOCOL);
	post_accept(LOW, &none);
	expect_end(LOW, WIRE_BYE_PROTOCOL);
	assert_int_equal(volume->super.chain.count, 1);
	post_accept(LOW, &longer);
	assert_true(lineage_equal(&volume->super.chain, &longer));
	assert_true(volume->super.flags & ONDISK_SYNCING);
	assert_null(sent(LOW, WIRE_SYNC_READY));		/* not before it is durable [I17] */
	post_accept(LOW, &foreign);				/* one at a time */
	assert_true(lineage_equal(&volume->super.chain, &longer));
	post_value(LOW, WIRE_SYNC_DONE, 2);
	expect_relation(LOW, VOLUME_SOURCE_ASKED);
	post_saved(true);
	assert_true(sent(LOW, WIRE_SYNC_READY)->frame.value == 2);
	expect_relation(LOW, VOLUME_SOURCE);
	assert_true(volume_may_resync(volume, LOW));
	post_accept(LOW, &longer);				/* the answer to a second start */
	assert_true(sent(LOW, WIRE_SYNC_READY)->frame.value == 2);
	post_accept(HIGH, &longer);
	assert_int_equal(bed.actions.nr, 0);			/* nobody asked HIGH, nor is it there */

	longer = bed_target();
	longer.record[longer.count - 1].written = false;
	post_accept(LOW, &longer);
	post_saved(true);
	expect_relation(LOW, VOLUME_SOURCE);
	volume_marked(volume, 2);				/* by the first write of the stream */
	post_accept(LOW, &longer);				/* late: sent before that */
	assert_true(sent(LOW, WIRE_SYNC_READY)->frame.value == 2);
	expect_relation(LOW, VOLUME_SOURCE);
	assert_true(lineage_tail(&volume->super.chain)->written);

	longer = bed_target();
	longer.record[longer.count - 1].written = false;
	post_accept(LOW, &longer);
	post_saved(true);
	longer.record[longer.count - 1].written = true;		/* the other way round */
	post_accept(LOW, &longer);
	assert_true(sent(LOW, WIRE_SYNC_READY)->frame.value == 2);
	assert_true(lineage_tail(&volume->super.chain)->written);
	assert_non_null(wanted(VOLUME_DO_SAVE_SUPER, NODE_NONE));

	bed_primary();
	post_accept(LOW, &longer);
	assert_int_equal(bed.actions.nr, 0);
	assert_int_equal(volume->super.chain.count, 1);
}

/* What another primary had sent here is marked as written only after the source was asked: nobody gave that up. */
static void test_split_since_it_asked_I8(void **state)
{
	struct chain mine = chain_of(EVERYBODY), theirs = mine;

	(void)state;
	chain_add(&mine, 9, NODE_BIT(ME) | NODE_BIT(HIGH), HIGH, false);
	chain_add(&theirs, 2, NODE_BIT(HIGH) | NODE_BIT(LOW), NODE_NONE, true);
	bed_start(&mine, EVERYBODY);
	meet(LOW, &theirs, 0);
	agree_all();
	expect_relation(LOW, VOLUME_SOURCE_ASKED);
	volume_marked(volume, 9);
	post_accept(LOW, &theirs);
	expect_end(LOW, WIRE_BYE_STUCK);
	assert_true(lineage_tail(&volume->super.chain)->id == 9);
	assert_false(volume->super.flags & ONDISK_SYNCING);
}

static void test_adopted_in_vain(void **state)
{
	struct chain longer = bed_target();

	(void)state;
	post_accept(LOW, &longer);
	post_saved(false);					/* the disk is about to be given up */
	expect_relation(LOW, VOLUME_SOURCE_ASKED);
	assert_null(sent(LOW, WIRE_SYNC_READY));
	longer = bed_target();
	post_accept(LOW, &longer);
	post_node(VOLUME_EVENT_PEER_DOWN, LOW);
	post_saved(true);
	assert_int_equal(bed.actions.nr, 0);
	assert_int_equal(volume->sync_source, NODE_NONE);
	assert_true(volume->super.flags & ONDISK_SYNCING);	/* until another resync ends */
}

static void test_done_must_be_about_this_record_D2(void **state)
{
	struct chain longer = bed_target();

	(void)state;
	post_value(HIGH, WIRE_SYNC_DONE, 2);
	assert_int_equal(bed.actions.nr, 0);
	post_accept(LOW, &longer);
	post_saved(true);
	post_value(LOW, WIRE_SYNC_DONE, 1);
	expect_end(LOW, WIRE_BYE_PROTOCOL);
	post_value(LOW, WIRE_SYNC_DONE, 2);			/* by that record this node is no member */
	expect_end(LOW, WIRE_BYE_PROTOCOL);
	assert_true(volume->super.flags & ONDISK_SYNCING);
	expect_relation(LOW, VOLUME_SOURCE);
}

static void test_joins_by_a_record_G2(void **state)
{
	struct chain longer = bed_target();
	u32 ok;

	(void)state;
	for (ok = 0; ok < 2; ok++) {
		longer = bed_target();
		post_accept(LOW, &longer);
		post_saved(true);
		post_ranges(LOW, HIGH, 8192, 4096);		/* what HIGH lacks, from now on for this node to remember */
		assert_true(dirty_test(&peer_of(HIGH)->map, 8192));
		post_ranges(LOW, THIRD, 8192, 4096);		/* of a replica that was not known */
		assert_true(volume->super.replicas & NODE_BIT(THIRD));
		assert_true(dirty_test(&peer_of(THIRD)->map, 8192));
		post_ranges(LOW, ME, 8192, 4096);		/* that makes no sense, and no harm */
		assert_null(volume_peer(volume, ME));
		memset(&bed.body, 0, sizeof(bed.body));
		bed.body.record.serial = 4;
		bed.body.record.record = lineage_next(&longer, 3, EVERYBODY, NODE_NONE);
		post_frame(LOW, WIRE_RECORD);
		assert_true(wanted(VOLUME_DO_SAVE_SUPER, NODE_NONE)->maps_first);
		post_saved(ok);
		assert_int_equal(sent(LOW, WIRE_RECORD_ACK)->frame.ok, ok);
		expect_relation(LOW, ok ? VOLUME_IN_SYNC : VOLUME_SOURCE);
	}
	assert_int_equal(volume->super.flags & ONDISK_SYNCING, 0);
}

static void test_unknown_frames_change_nothing(void **state)
{
	u32 nr_set;

	(void)state;
	bed_resyncing();
	nr_set = (u32)peer_of(HIGH)->map.nr_set;
	post_value(HIGH, WIRE_PING, 0);				/* not of a volume's control plane */
	assert_int_equal(bed.actions.nr, 0);
	assert_int_equal(peer_of(HIGH)->map.nr_set, nr_set);
	expect_relation(HIGH, VOLUME_TARGET);
}

/* Records name nodes: a replica that never had the one which names it stands in the place of a former one. */
static void test_takes_a_former_place_G4(void **state)
{
	struct chain chain = bed_target(), none = { 0 };

	(void)state;
	post_accept(LOW, &chain);
	assert_true(wanted(VOLUME_DO_SAVE_SUPER, NODE_NONE)->maps_first);	/* with it its own bits [I8] */
	assert_int_equal(volume->super.replaced, 0);		/* it does not name this node */
	chain = bed_target();
	chain_add(&chain, 3, NODE_BIT(ME) | NODE_BIT(LOW), NODE_NONE, true);
	post_accept(LOW, &chain);
	assert_int_equal(volume->super.replaced, NODE_BIT(ME));

	/* And one that has met nobody yet does not know who else does. */
	chain = chain_of(EVERYBODY);
	bed_start(&none, EVERYBODY);
	meet(LOW, &chain, 0);
	agree_all();
	expect_relation(LOW, VOLUME_SOURCE_ASKED);
	post_accept(LOW, &chain);
	assert_int_equal(volume->super.replaced, NODE_BIT(ME) | NODE_BIT(HIGH));
}

/* A record that adds a member speaks for the replica that joins; any other, for all who are in it. */
static void test_whom_a_record_vouches_for_G4(void **state)
{
	(void)state;
	bed_resyncing();
	volume->super.replaced = NODE_BIT(HIGH) | NODE_BIT(LOW);
	dirty_clear_all(&peer_of(HIGH)->map);
	post_node(VOLUME_EVENT_RESYNC_DRY, HIGH);
	assert_int_equal(volume->proposal.adding, HIGH);
	assert_int_equal(volume->super.replaced, NODE_BIT(LOW));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_source_takes_what_the_target_changed_I8),
		cmocka_unit_test(test_new_replica_keeps_no_bits_R2),
		cmocka_unit_test(test_new_replica_changes_its_source_R2),
		cmocka_unit_test(test_start_under_an_old_plan),
		cmocka_unit_test(test_start_before_the_greeting_I9),
		cmocka_unit_test(test_dry_but_dirty_D2),
		cmocka_unit_test(test_let_go_while_joining_R5),
		cmocka_unit_test(test_joiner_is_asked_last_G2),
		cmocka_unit_test(test_verdict_before_the_record_I9),
		cmocka_unit_test(test_record_decides_while_joining_I9),
		cmocka_unit_test(test_resync_that_fails),
		cmocka_unit_test(test_member_is_told_when_it_is_equal),
		cmocka_unit_test(test_target_chooses_the_lowest),
		cmocka_unit_test(test_accept_at_the_wrong_time_G4),
		cmocka_unit_test(test_split_since_it_asked_I8),
		cmocka_unit_test(test_adopted_in_vain),
		cmocka_unit_test(test_done_must_be_about_this_record_D2),
		cmocka_unit_test(test_joins_by_a_record_G2),
		cmocka_unit_test(test_unknown_frames_change_nothing),
		cmocka_unit_test(test_takes_a_former_place_G4),
		cmocka_unit_test(test_whom_a_record_vouches_for_G4),
	};

	return cmocka_run_group_tests_name("volume_sync", tests, NULL, NULL);
}
