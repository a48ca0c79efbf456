// SPDX-License-Identifier: GPL-2.0
/*
 * Administrators' commands, one refusal after the other: each says why and changes nothing [G4] [G7] [G8] [I12] [I19].
 */
#include "volume_bed.h"

/* ---- promotion ---- */

static void refused_promotion(bool force, u32 peer_down, enum volume_refusal refusal, u32 nodes)
{
	u32 serial = volume->facts_serial;

	post_promote(force, peer_down);
	expect_done(refusal, nodes);
	assert_int_equal(volume->role, VOLUME_SECONDARY);
	assert_int_equal(volume->facts_serial, serial);
	assert_null(wanted(VOLUME_DO_SAVE_SUPER, NODE_NONE));
	assert_null(wanted(VOLUME_DO_SEND, NODE_NONE));
}

static void test_promote_wants_a_complete_replica_G4(void **state)
{
	struct chain chain = chain_of(EVERYBODY), alone = chain_of(NODE_BIT(ME)), none = { 0 };

	(void)state;
	bed_attach(&alone, NODE_BIT(ME));
	refused_promotion(false, 0, VOLUME_REFUSED_BUSY, 0);		/* not online */
	post_node(VOLUME_EVENT_ONLINE, NODE_NONE);
	volume->super.flags |= ONDISK_SYNCING;
	refused_promotion(false, 0, VOLUME_REFUSED_SYNCING, 0);
	volume->super.flags &= ~ONDISK_SYNCING;
	post_node(VOLUME_EVENT_DISK_FAILED, NODE_NONE);
	refused_promotion(false, 0, VOLUME_REFUSED_NO_DISK, 0);
	refused_promotion(true, 0, VOLUME_REFUSED_NO_DISK, 0);
	post_node(VOLUME_EVENT_DISK_FAILED, NODE_NONE);
	assert_int_equal(bed.actions.nr, 0);				/* it failed once */

	bed_start(&none, NODE_BIT(ME));
	refused_promotion(true, 0, VOLUME_REFUSED_STALE, 0);		/* it holds nothing at all */
	chain = chain_of(NODE_BIT(LOW) | NODE_BIT(HIGH));
	bed_start(&chain, EVERYBODY);
	refused_promotion(false, ~0u, VOLUME_REFUSED_STALE, 0);		/* not a member */
}

static void test_promote_wants_every_member_G8(void **state)
{
	struct chain chain = chain_of(EVERYBODY);

	(void)state;
	bed_start(&chain, EVERYBODY);
	refused_promotion(false, 0, VOLUME_REFUSED_UNREACHABLE, NODE_BIT(LOW) | NODE_BIT(HIGH));
	refused_promotion(false, NODE_BIT(LOW), VOLUME_REFUSED_UNREACHABLE, NODE_BIT(HIGH));
	post_node(VOLUME_EVENT_PEER_UP, HIGH);				/* a session is no answer */
	refused_promotion(false, NODE_BIT(LOW), VOLUME_REFUSED_UNREACHABLE, NODE_BIT(HIGH));
	post_promote(false, NODE_BIT(LOW) | NODE_BIT(HIGH));
	expect_done(VOLUME_OK, 0);
	assert_int_equal(volume->role, VOLUME_PRIMARY);
	post_promote(false, 0);
	expect_done(VOLUME_OK, 0);					/* it is already */
}

/* HIGH wrote without this node, took LOW in, and got a new disk: only LOW knows (seed 9300000023046, 3 nodes). */
static void test_a_new_disk_is_no_witness_G4(void **state)
{
	struct chain chain = chain_of(NODE_BIT(ME) | NODE_BIT(HIGH)), none = { 0 };
	struct wire_greet empty;

	(void)state;
	bed_start(&chain, EVERYBODY);
	post_node(VOLUME_EVENT_PEER_UP, HIGH);
	empty = facts_of(HIGH, &none, 0);
	empty.replica_id = 900;
	greet_with(HIGH, empty);
	agree_all();
	assert_int_equal(volume->super.replaced, NODE_BIT(HIGH));
	refused_promotion(false, 0, VOLUME_REFUSED_UNREACHABLE, NODE_BIT(LOW));
	assert_int_equal(volume_promote_check(volume, false, NODE_BIT(LOW), &(u32){ 0 }), VOLUME_OK);
	meet(LOW, &chain, 0);
	agree_all();
	post_promote(false, 0);					/* everybody is heard */
	answer_promotion(HIGH, true, VOLUME_OK);
	answer_promotion(LOW, true, VOLUME_OK);
	expect_done(VOLUME_OK, 0);
}

/* The writer's first record since speaks for all who are in it. When it cannot be kept, nothing is known as before. */
static void test_a_writer_vouches_for_its_members_G4(void **state)
{
	(void)state;
	bed_writing();
	volume->super.replaced = NODE_BIT(HIGH) | NODE_BIT(THIRD);
	post_node(VOLUME_EVENT_FACTS, NODE_NONE);		/* a step notices */
	assert_int_equal(volume_gate_write(volume), VOLUME_GATE_WAIT);
	post_node(VOLUME_EVENT_IO_WAITS, NODE_NONE);
	assert_int_equal(lineage_tail(&volume->super.chain)->members, EVERYBODY);
	assert_int_equal(volume->super.replaced, NODE_BIT(THIRD));

	bed_writing();
	post_node(VOLUME_EVENT_DISK_FAILED, NODE_NONE);
	ack_record(LOW, volume->proposal.serial, true);
	ack_record(HIGH, volume->proposal.serial, true);
	volume->super.replaced = NODE_BIT(HIGH);
	post_node(VOLUME_EVENT_IO_WAITS, NODE_NONE);
	assert_int_equal(volume->super.replaced, 0);
	post_node(VOLUME_EVENT_PEER_DOWN, LOW);
	post_node(VOLUME_EVENT_PEER_DOWN, HIGH);			/* no disk has it: withdrawn */
	assert_int_equal(volume->super.replaced, NODE_BIT(HIGH));
}

static void test_promote_looks_at_the_peers_I12(void **state)
{
	struct chain chain = chain_of(EVERYBODY), longer = chain;

	(void)state;
	chain_add(&longer, 2, NODE_BIT(HIGH), HIGH, true);
	bed_start(&chain, EVERYBODY);
	post_node(VOLUME_EVENT_PEER_UP, HIGH);
	greet(HIGH, &chain, 0);
	refused_promotion(false, NODE_BIT(LOW), VOLUME_REFUSED_BUSY, NODE_BIT(HIGH));	/* no common verdict yet */
	agree(HIGH);
	greet(HIGH, &chain, WIRE_GREET_PRIMARY | WIRE_GREET_IN_SYNC);
	agree(HIGH);
	assert_int_equal(volume->primary, HIGH);
	refused_promotion(false, NODE_BIT(LOW), VOLUME_REFUSED_PEER_PRIMARY, NODE_BIT(HIGH));
	refused_promotion(true, NODE_BIT(LOW), VOLUME_REFUSED_PEER_PRIMARY, NODE_BIT(HIGH));

	bed_start(&chain, EVERYBODY);
	post_node(VOLUME_EVENT_PEER_UP, LOW);
	greet_with(LOW, facts_of(LOW, &longer, WIRE_GREET_SYNCING));		/* ahead, and no source */
	agree_all();
	expect_relation(LOW, VOLUME_WAITING);
	refused_promotion(false, ~0u, VOLUME_REFUSED_STALE, NODE_BIT(LOW));
	post_node(VOLUME_EVENT_PEER_DOWN, LOW);
	meet(HIGH, &longer, 0);
	expect_relation(HIGH, VOLUME_SOURCE_ASKED);
	agree_all();
	refused_promotion(false, ~0u, VOLUME_REFUSED_STALE, NODE_BIT(HIGH));
}

static void test_promote_waits_for_the_resync(void **state)
{
	struct chain chain = chain_of(EVERYBODY);

	(void)state;
	bed_start(&chain, EVERYBODY);
	meet(LOW, &chain, WIRE_GREET_DIRTY);		/* of two equals the lower node is the source */
	expect_relation(LOW, VOLUME_SOURCE_ASKED);
	agree_all();
	refused_promotion(false, NODE_BIT(HIGH), VOLUME_REFUSED_BUSY, NODE_BIT(LOW));
	post_promote(true, 0);				/* by force it does not wait */
	answer_promotion(LOW, true, VOLUME_OK);
	expect_done(VOLUME_OK, 0);
	assert_int_equal(volume->sync_source, NODE_NONE);
	expect_relation(LOW, VOLUME_GREETING);
}

static void test_promotion_hears_every_answer_I12(void **state)
{
	(void)state;
	bed_in_sync();
	post_node(VOLUME_EVENT_CANCEL, NODE_NONE);
	assert_int_equal(bed.actions.nr, 0);				/* nothing to cancel */
	post_promote(false, 0);
	assert_non_null(sent(LOW, WIRE_PROMOTE_ASK));
	assert_non_null(sent(HIGH, WIRE_PROMOTE_ASK));
	assert_null(wanted(VOLUME_DO_COMMAND_DONE, NODE_NONE));
	refused_promotion(false, 0, VOLUME_REFUSED_BUSY, 0);		/* one at a time */
	answer_promotion(LOW, true, VOLUME_OK);
	answer_promotion(LOW, true, VOLUME_OK);				/* once is enough, twice is not two */
	assert_int_equal(volume->command.waiting, NODE_BIT(HIGH));
	answer_promotion(HIGH, true, VOLUME_OK);
	expect_done(VOLUME_OK, 0);

	bed_in_sync();
	post_promote(false, 0);
	memset(&bed.body, 0, sizeof(bed.body));
	bed.body.promote.serial = volume->command.serial - 1;		/* of a promotion before */
	bed.body.promote.granted = 1;
	post_frame(HIGH, WIRE_PROMOTE_ANSWER);
	assert_int_equal(volume->command.waiting, NODE_BIT(LOW) | NODE_BIT(HIGH));
	answer_promotion(LOW, false, VOLUME_REFUSED_PEER_PRIMARY);
	expect_done(VOLUME_REFUSED_PEER_PRIMARY, NODE_BIT(LOW));
	assert_non_null(sent(HIGH, WIRE_GREET));			/* ends what was granted */
	answer_promotion(HIGH, true, VOLUME_OK);
	assert_int_equal(bed.actions.nr, 0);
	assert_int_equal(volume->role, VOLUME_SECONDARY);
	agree_all();
	post_promote(false, 0);
	answer_promotion(HIGH, false, VOLUME_OK);			/* no reason given */
	expect_done(VOLUME_REFUSED_BUSY, NODE_BIT(HIGH));
}

static void test_promotion_ends_early(void **state)
{
	(void)state;
	bed_in_sync();
	post_promote(false, 0);
	answer_promotion(LOW, true, VOLUME_OK);
	post_node(VOLUME_EVENT_CANCEL, NODE_NONE);
	expect_done(VOLUME_REFUSED_BUSY, NODE_BIT(HIGH));
	assert_non_null(sent(LOW, WIRE_GREET));
	agree_all();
	post_promote(false, 0);
	answer_promotion(LOW, true, VOLUME_OK);
	post_node(VOLUME_EVENT_PEER_DOWN, LOW);				/* its answer stands */
	assert_null(wanted(VOLUME_DO_COMMAND_DONE, NODE_NONE));
	post_node(VOLUME_EVENT_PEER_DOWN, HIGH);			/* what it would have said nobody knows */
	expect_done(VOLUME_REFUSED_BUSY, NODE_BIT(HIGH));
	assert_int_equal(volume->role, VOLUME_SECONDARY);

	bed_in_sync();
	post_promote(false, 0);
	answer_promotion(HIGH, true, VOLUME_OK);
	greet(HIGH, &volume->super.chain, WIRE_GREET_PRIMARY | WIRE_GREET_IN_SYNC);	/* changed its mind */
	agree_all();
	answer_promotion(LOW, true, VOLUME_OK);
	expect_done(VOLUME_REFUSED_PEER_PRIMARY, NODE_BIT(HIGH));
	assert_int_equal(volume->role, VOLUME_SECONDARY);
}

static void test_force_begins_its_own_history_I10(void **state)
{
	struct chain others = chain_of(NODE_BIT(LOW) | NODE_BIT(HIGH)), mixed = chain_of(EVERYBODY);

	(void)state;
	bed_start(&others, EVERYBODY);
	volume->super.flags |= ONDISK_SYNCING;
	volume->super.chain.trimmed = true;
	post_promote(true, 0);
	expect_done(VOLUME_OK, 0);
	assert_int_equal(volume->super.flags & ONDISK_SYNCING, 0);
	assert_int_equal(volume->super.chain.count, 1);
	assert_int_equal(volume->super.chain.record[0].members, NODE_BIT(ME));
	assert_int_not_equal(volume->super.chain.record[0].id, bed.random);	/* a record of the same step may have that */
	assert_int_equal(volume_gate_write(volume), VOLUME_GATE_WAIT);	/* nothing of this is durable yet [G3] */
	assert_true(lineage_valid(&volume->super.chain));
	assert_true(wanted(VOLUME_DO_SAVE_SUPER, NODE_NONE)->maps_first);

	chain_add(&mixed, 2, NODE_BIT(LOW) | NODE_BIT(HIGH), LOW, true);
	bed_start(&mixed, EVERYBODY);
	post_promote(true, 0);
	assert_int_equal(lineage_tail(&volume->super.chain)->parent_id, 1);	/* back to where it was a member */
	assert_false(lineage_tail(&volume->super.chain)->written);
	assert_int_equal(volume_gate_write(volume), VOLUME_GATE_WAIT);

	bed_in_sync();							/* and a peer that knows better is overruled */
	post_promote(true, 0);
	answer_promotion(LOW, false, VOLUME_REFUSED_STALE);
	assert_null(wanted(VOLUME_DO_COMMAND_DONE, NODE_NONE));
	answer_promotion(HIGH, true, VOLUME_OK);
	expect_done(VOLUME_OK, 0);
	assert_int_equal(volume->role, VOLUME_PRIMARY);
}

/* [W6] What this node writes must be younger than what the log has seen of the former writer. */
static void test_epochs_of_a_new_primary_W6(void **state)
{
	(void)state;
	bed_in_sync();
	assert_int_equal(actlog_get(&volume->log, 3, 1), ACTLOG_WAIT);
	volume->log.slots[actlog_next(&volume->log, 0, &(u32){ 0 })].epoch = 41;
	post_promote(false, 0);
	answer_promotion(LOW, true, VOLUME_OK);
	answer_promotion(HIGH, true, VOLUME_OK);
	assert_int_equal(volume->log.epoch, 42);
}

/* ---- another one's promotion ---- */

/* What is said to @node's question. */
static enum volume_refusal ask(u8 node, u32 serial)
{
	const struct volume_action *answer;

	memset(&bed.body, 0, sizeof(bed.body));
	bed.body.promote.serial = serial;
	post_frame(node, WIRE_PROMOTE_ASK);
	answer = sent(node, WIRE_PROMOTE_ANSWER);
	assert_non_null(answer);
	assert_int_equal(answer->frame.serial, serial);
	assert_int_equal(answer->frame.ok, answer->frame.why == VOLUME_OK);
	volume_fill(volume, answer, &bed.body);
	assert_int_equal(bed.body.promote.granted, answer->frame.ok);
	return (enum volume_refusal)answer->frame.why;
}

static void test_grants_one_at_a_time_I12(void **state)
{
	(void)state;
	bed_in_sync();
	assert_int_equal(ask(HIGH, 7), VOLUME_OK);
	assert_int_equal(ask(LOW, 8), VOLUME_REFUSED_BUSY);
	refused_promotion(false, 0, VOLUME_REFUSED_BUSY, NODE_BIT(HIGH));	/* nor this node's own */
	greet(HIGH, &volume->super.chain, WIRE_GREET_IN_SYNC);			/* ends it */
	agree_all();
	assert_int_equal(ask(LOW, 9), VOLUME_OK);
	post_node(VOLUME_EVENT_PEER_DOWN, LOW);					/* so does the end of the session */
	assert_int_equal(ask(HIGH, 10), VOLUME_OK);

	bed_in_sync();
	post_promote(false, 0);
	assert_int_equal(ask(HIGH, 1), VOLUME_REFUSED_BUSY);			/* the lower node goes on */
	assert_int_equal(ask(LOW, 2), VOLUME_OK);
}

static void test_refuses_beside_a_primary_I12(void **state)
{
	struct chain chain = chain_of(EVERYBODY), mine = chain, theirs = chain;

	(void)state;
	bed_primary();
	assert_int_equal(ask(LOW, 1), VOLUME_REFUSED_PEER_PRIMARY);

	bed_in_sync();
	greet(HIGH, &chain, WIRE_GREET_PRIMARY | WIRE_GREET_IN_SYNC);
	agree_all();
	assert_int_equal(ask(LOW, 1), VOLUME_REFUSED_PEER_PRIMARY);	/* of HIGH this node knows */
	post_node(VOLUME_EVENT_PEER_DOWN, LOW);
	post_node(VOLUME_EVENT_PEER_UP, LOW);
	assert_int_equal(ask(LOW, 2), VOLUME_OK);	/* who has not greeted is of no known history: HIGH refuses */

	chain_add(&mine, 2, NODE_BIT(ME) | NODE_BIT(HIGH), HIGH, true);
	chain_add(&theirs, 3, NODE_BIT(LOW), LOW, true);
	bed_start(&mine, EVERYBODY);
	meet(HIGH, &mine, WIRE_GREET_PRIMARY);
	meet(LOW, &theirs, 0);
	agree_all();
	expect_relation(LOW, VOLUME_SPLIT);
	assert_int_equal(volume->primary, HIGH);
	assert_int_equal(ask(LOW, 1), VOLUME_OK);			/* on its side of the split it may [G7] */
}

static void test_refuses_whom_a_record_left_out_G4(void **state)
{
	struct chain chain = chain_of(EVERYBODY), longer = chain;

	(void)state;
	chain_add(&longer, 2, NODE_BIT(ME) | NODE_BIT(HIGH), NODE_NONE, true);
	bed_start(&longer, EVERYBODY);
	meet(LOW, &chain, 0);
	assert_int_equal(peer_of(LOW)->verdict, LINEAGE_I_AM_AHEAD);
	assert_int_equal(ask(LOW, 1), VOLUME_REFUSED_STALE);
	meet(HIGH, &longer, 0);
	assert_int_equal(ask(HIGH, 1), VOLUME_OK);
}

/* LOW is called down, comes up while HIGH is asked, and goes again: it may have been made primary meanwhile. */
static void test_called_down_and_seen_G8(void **state)
{
	u32 seen;

	(void)state;
	for (seen = 0; seen < 2; seen++) {
		bed_in_sync();
		post_node(VOLUME_EVENT_PEER_DOWN, LOW);
		agree_all();
		post_promote(false, NODE_BIT(LOW));
		assert_null(wanted(VOLUME_DO_COMMAND_DONE, NODE_NONE));
		if (seen) {
			post_node(VOLUME_EVENT_PEER_UP, LOW);
			post_node(VOLUME_EVENT_PEER_DOWN, LOW);
		}
		answer_promotion(HIGH, true, VOLUME_OK);
		expect_done(seen ? VOLUME_REFUSED_UNREACHABLE : VOLUME_OK, seen ? NODE_BIT(LOW) : 0);
	}
}

static void test_demote(void **state)
{
	(void)state;
	bed_in_sync();
	post_node(VOLUME_EVENT_DEMOTE, NODE_NONE);
	expect_done(VOLUME_OK, 0);
	assert_null(wanted(VOLUME_DO_CHANGED, NODE_NONE));
	bed_writing();
	post_node(VOLUME_EVENT_DEMOTE, NODE_NONE);
	expect_done(VOLUME_OK, 0);
	assert_int_equal(volume->role, VOLUME_SECONDARY);
	assert_int_equal(volume->primary, NODE_NONE);
	assert_non_null(sent(LOW, WIRE_GREET));
	assert_int_equal(volume_gate_write(volume), VOLUME_GATE_FAIL);
}

/* A write of users, done everywhere, and not flushed: its region is in the log. */
static void write_at_once(void)
{
	struct volume_ack ack;

	assert_int_not_equal(actlog_get(&volume->log, 0, volume->log.epoch), ACTLOG_FULL);
	volume_begin(volume, &ack, 0, 4096);
	volume_marked(volume, lineage_tail(&volume->super.chain)->id);
	volume_acked(volume, &ack, LOW, VOLUME_ANSWER_VOLATILE);
	volume_acked(volume, &ack, HIGH, VOLUME_ANSWER_VOLATILE);
	volume_acked(volume, &ack, ME, VOLUME_ANSWER_VOLATILE);
	volume_end(volume, &ack);
	actlog_put(&volume->log, 0, true);
}

/* LOW has gone with a write that only its cache may have had; then all is flushed where it can be, and the log empty. */
static void bed_lacking(void)
{
	bed_writing();
	write_at_once();
	post_node(VOLUME_EVENT_PEER_DOWN, LOW);
	assert_false(volume->proposal.active);				/* nobody writes [G2] */
	actlog_clear(&volume->log);
}

/* Only the writer knows that LOW lacks something: before it goes, a record has to say so (seed 9500000033768, 2 nodes). */
static void test_demotion_leaves_out_who_may_lack_G3(void **state)
{
	const struct generation *tail;

	(void)state;
	bed_lacking();
	post_node(VOLUME_EVENT_DEMOTE, NODE_NONE);
	assert_null(wanted(VOLUME_DO_COMMAND_DONE, NODE_NONE));
	assert_non_null(wanted(VOLUME_DO_SAVE_SUPER, NODE_NONE));
	tail = lineage_tail(&volume->super.chain);
	assert_int_equal(tail->members, NODE_BIT(ME) | NODE_BIT(HIGH));
	assert_int_equal(tail->writer, ME);
	assert_true(tail->written);					/* for what was acknowledged before it [I8] */
	post_saved(true);
	assert_non_null(sent(HIGH, WIRE_RECORD));
	assert_null(wanted(VOLUME_DO_COMMAND_DONE, NODE_NONE));
	assert_int_equal(volume->role, VOLUME_PRIMARY);
	ack_record(HIGH, volume->proposal.serial, true);
	expect_done(VOLUME_OK, 0);
	assert_int_equal(volume->role, VOLUME_SECONDARY);
	assert_false(volume->proposal.active);

	bed_lacking();							/* HIGH goes, too: it lacks nothing */
	post_node(VOLUME_EVENT_DEMOTE, NODE_NONE);
	post_saved(true);
	post_node(VOLUME_EVENT_PEER_DOWN, HIGH);
	expect_done(VOLUME_OK, 0);
	assert_int_equal(lineage_tail(&volume->super.chain)->members, NODE_BIT(ME) | NODE_BIT(HIGH));
}

static void test_demotion_that_needs_no_record_G2(void **state)
{
	u32 count;

	(void)state;
	bed_writing();
	write_at_once();
	actlog_clear(&volume->log);					/* flushed everywhere, and evicted */
	post_node(VOLUME_EVENT_PEER_DOWN, LOW);
	count = volume->super.chain.count;
	post_node(VOLUME_EVENT_DEMOTE, NODE_NONE);
	expect_done(VOLUME_OK, 0);
	assert_int_equal(volume->super.chain.count, count);

	bed_primary();							/* what the log names here, another writer wrote */
	assert_int_not_equal(actlog_get(&volume->log, 0, volume->log.epoch), ACTLOG_FULL);
	actlog_put(&volume->log, 0, true);
	post_node(VOLUME_EVENT_PEER_DOWN, LOW);
	actlog_clear(&volume->log);
	post_node(VOLUME_EVENT_DEMOTE, NODE_NONE);
	expect_done(VOLUME_OK, 0);
	assert_int_equal(volume->super.chain.count, 1);

	bed_lacking();							/* the next one begins anew */
	post_node(VOLUME_EVENT_DEMOTE, NODE_NONE);
	post_saved(true);
	ack_record(HIGH, volume->proposal.serial, true);
	expect_done(VOLUME_OK, 0);
	assert_int_equal(volume->lacking, 0);
}

/*
 * What the log names is from the writer before this one, which left with everything flushed: the record that drops a member protects
 * nothing, and would be a split's proof (explorer: WRITES=2 CUTS=2 PROMOTES=2 MISTAKES=1 DEMOTES=1).
 */
static void test_record_without_writes_I11(void **state)
{
	u32 wrote;

	(void)state;
	for (wrote = 0; wrote < 2; wrote++) {
		bed_primary();
		assert_int_not_equal(actlog_get(&volume->log, 0, volume->log.epoch), ACTLOG_FULL);
		actlog_put(&volume->log, 0, true);
		post_node(VOLUME_EVENT_IO_WAITS, NODE_NONE);		/* a first record of its own */
		post_saved(true);
		ack_record(LOW, volume->proposal.serial, true);
		ack_record(HIGH, volume->proposal.serial, true);
		assert_int_equal(lineage_tail(&volume->super.chain)->writer, ME);
		if (wrote)
			lineage_mark_written(&volume->super.chain, lineage_tail(&volume->super.chain)->id);
		post_node(VOLUME_EVENT_PEER_DOWN, LOW);
		post_node(VOLUME_EVENT_IO_WAITS, NODE_NONE);
		assert_int_equal(lineage_tail(&volume->super.chain)->members, NODE_BIT(ME) | NODE_BIT(HIGH));
		assert_int_equal(lineage_tail(&volume->super.chain)->written, wrote);
	}
}

/* The caller's deadline passes: this node stays primary, and the record is agreed on all the same. */
static void test_demotion_given_up_L1(void **state)
{
	(void)state;
	bed_lacking();
	post_node(VOLUME_EVENT_DEMOTE, NODE_NONE);
	post_saved(true);
	post_node(VOLUME_EVENT_CANCEL, NODE_NONE);
	expect_done(VOLUME_REFUSED_BUSY, NODE_BIT(HIGH));
	ack_record(HIGH, volume->proposal.serial, true);
	assert_null(wanted(VOLUME_DO_COMMAND_DONE, NODE_NONE));
	assert_int_equal(volume->role, VOLUME_PRIMARY);
	assert_int_equal(volume_gate_write(volume), VOLUME_GATE_OPEN);
	post_node(VOLUME_EVENT_DEMOTE, NODE_NONE);
	expect_done(VOLUME_OK, 0);
}

/* The late answer to a demotion that was given up: users write again. */
static void test_demotion_too_late(void **state)
{
	struct volume_ack ack;

	(void)state;
	bed_writing();
	volume_begin(volume, &ack, 0, 0);
	post_node(VOLUME_EVENT_DEMOTE, NODE_NONE);
	expect_done(VOLUME_REFUSED_BUSY, 0);
	bed_writing();
	write_at_once();
	post_node(VOLUME_EVENT_DEMOTE, NODE_NONE);
	expect_done(VOLUME_REFUSED_BUSY, 0);
	assert_int_equal(volume->role, VOLUME_PRIMARY);
}

static void test_demotion_without_a_disk_G3(void **state)
{
	(void)state;
	bed_writing();
	write_at_once();
	post_node(VOLUME_EVENT_DISK_FAILED, NODE_NONE);
	assert_true(volume->proposal.active);
	post_node(VOLUME_EVENT_DEMOTE, NODE_NONE);
	assert_null(wanted(VOLUME_DO_COMMAND_DONE, NODE_NONE));		/* not before the others know that its disk counts no more */
	ack_record(LOW, volume->proposal.serial, true);
	assert_null(wanted(VOLUME_DO_COMMAND_DONE, NODE_NONE));
	ack_record(HIGH, volume->proposal.serial, true);
	expect_done(VOLUME_OK, 0);
	assert_true(lineage_tail(&volume->super.chain)->written);
	expect_relation(LOW, VOLUME_GREETING);				/* and do not take it for a replica any more [G4] */
	expect_relation(HIGH, VOLUME_GREETING);
	assert_int_equal(volume->streaming, 0);
	assert_non_null(sent(LOW, WIRE_GREET));
	volume_fill(volume, sent(LOW, WIRE_GREET), &bed.body);
	assert_int_equal(bed.body.greet.flags & (WIRE_GREET_DISK | WIRE_GREET_IN_SYNC), 0);

	bed_writing();
	write_at_once();
	post_node(VOLUME_EVENT_DISK_FAILED, NODE_NONE);
	post_node(VOLUME_EVENT_DEMOTE, NODE_NONE);
	post_node(VOLUME_EVENT_PEER_DOWN, LOW);
	assert_null(wanted(VOLUME_DO_COMMAND_DONE, NODE_NONE));
	post_node(VOLUME_EVENT_PEER_DOWN, HIGH);
	expect_done(VOLUME_OK, 0);					/* nobody is left to tell */
	assert_int_equal(volume->role, VOLUME_SECONDARY);
}

/* ---- the end of a split ---- */

static void post_resolve(u64 id, u8 winner)
{
	post((struct volume_event){ .type = VOLUME_EVENT_RESOLVE, .value = id, .node = winner });
}

static void refused_resolve(u64 id, u8 winner, enum volume_refusal refusal)
{
	u32 flags = volume->super.flags;

	post_resolve(id, winner);
	expect_done(refusal, NODE_BIT(volume->super.split_peer % NODES_MAX));
	assert_int_equal(volume->super.flags, flags);
	assert_null(wanted(VOLUME_DO_SEND, NODE_NONE));
	assert_null(wanted(VOLUME_DO_SAVE_SUPER, NODE_NONE));
}

/* This node alone and LOW and HIGH together went on after the ancestor; LOW is known to be @flags. */
static void bed_split(u32 flags)
{
	struct chain mine = chain_of(EVERYBODY), theirs = mine;

	chain_add(&mine, 2, NODE_BIT(ME), ME, true);
	chain_add(&theirs, 3, NODE_BIT(LOW) | NODE_BIT(HIGH), LOW, true);
	bed_start(&mine, EVERYBODY);
	meet(LOW, &theirs, flags);
	agree_all();
	expect_relation(LOW, VOLUME_SPLIT);
	assert_int_equal(volume->super.split_peer, LOW);
	assert_int_equal(volume->super.split_ancestor_id, 1);
	assert_true(volume->super.split_id == lineage_split_id(&mine, &theirs));
}

static void test_resolve_names_the_right_split_G7(void **state)
{
	(void)state;
	bed_in_sync();
	refused_resolve(1, LOW, VOLUME_REFUSED_NO_SPLIT);
	bed_split(0);
	refused_resolve(volume->super.split_id + 1, LOW, VOLUME_REFUSED_OTHER_SPLIT);
	refused_resolve(volume->super.split_id, HIGH, VOLUME_REFUSED_OTHER_SPLIT);	/* not met */
	refused_resolve(volume->super.split_id, THIRD, VOLUME_REFUSED_OTHER_SPLIT);	/* not known at all */
	post_node(VOLUME_EVENT_PEER_UP, HIGH);
	refused_resolve(volume->super.split_id, HIGH, VOLUME_REFUSED_OTHER_SPLIT);	/* has not said where it stands */
	greet(HIGH, &peer_of(LOW)->facts->chain, 0);
	agree_all();
	expect_relation(HIGH, VOLUME_SPLIT);
	assert_int_equal(volume->super.split_peer, LOW);
	post_resolve(volume->super.split_id, HIGH);					/* as good as LOW */
	assert_null(wanted(VOLUME_DO_COMMAND_DONE, NODE_NONE));
	assert_true(volume->super.flags & ONDISK_YIELD);
	post_saved(true);
	expect_done(VOLUME_OK, 0);
}

static void test_resolve_against_this_side_G7(void **state)
{
	(void)state;
	bed_split(0);
	post_resolve(volume->super.split_id, LOW);
	assert_true(volume->super.flags & ONDISK_YIELD);
	assert_true(wanted(VOLUME_DO_SAVE_SUPER, NODE_NONE)->maps_first);
	refused_resolve(volume->super.split_id, LOW, VOLUME_REFUSED_BUSY);
	post_node(VOLUME_EVENT_CANCEL, NODE_NONE);		/* that is another command */
	assert_null(wanted(VOLUME_DO_COMMAND_DONE, NODE_NONE));
	post_node(VOLUME_EVENT_PEER_DOWN, LOW);				/* nor does it hang on the peer */
	assert_null(wanted(VOLUME_DO_COMMAND_DONE, NODE_NONE));
	post_saved(false);
	expect_done(VOLUME_REFUSED_META, 0);

	bed_split(0);
	post_promote(false, NODE_BIT(HIGH));
	answer_promotion(LOW, true, VOLUME_OK);
	expect_done(VOLUME_OK, 0);
	refused_resolve(volume->super.split_id, LOW, VOLUME_REFUSED_IS_PRIMARY);
}

static void test_resolve_for_this_side_G7(void **state)
{
	const struct volume_action *action;

	(void)state;
	bed_split(WIRE_GREET_PRIMARY);
	refused_resolve(volume->super.split_id, ME, VOLUME_REFUSED_IS_PRIMARY);
	bed_split(0);
	meet(HIGH, &peer_of(LOW)->facts->chain, 0);
	agree_all();
	post_node(VOLUME_EVENT_PEER_DOWN, LOW);
	post_resolve(volume->super.split_id, ME);			/* whoever is there has to hear it */
	expect_done(VOLUME_OK, 0);
	assert_null(sent(LOW, WIRE_RESOLVE));
	action = sent(HIGH, WIRE_RESOLVE);
	assert_non_null(action);
	volume_fill(volume, action, &bed.body);
	assert_true(bed.body.volume.value == volume->super.split_id);
	assert_int_equal(volume->super.flags & ONDISK_YIELD, 0);
	post_node(VOLUME_EVENT_PEER_DOWN, HIGH);
	refused_resolve(volume->super.split_id, ME, VOLUME_REFUSED_UNREACHABLE);
}

/* Told to yield, and then to stay, while the other side yields as well: it stays, when that is durable. */
static void test_kept_after_all_G7(void **state)
{
	(void)state;
	bed_split(0);
	post_resolve(volume->super.split_id, LOW);
	post_saved(true);
	greet(LOW, &peer_of(LOW)->facts->chain, WIRE_GREET_YIELD);
	agree_all();
	expect_relation(LOW, VOLUME_SPLIT);
	post_resolve(volume->super.split_id, ME);
	assert_int_equal(volume->super.flags & ONDISK_YIELD, 0);
	assert_non_null(sent(LOW, WIRE_RESOLVE));
	assert_non_null(sent(LOW, WIRE_GREET));
	assert_null(wanted(VOLUME_DO_COMMAND_DONE, NODE_NONE));
	post_saved(true);
	expect_done(VOLUME_OK, 0);
}

static void test_told_to_yield_G7(void **state)
{
	(void)state;
	bed_in_sync();
	post_value(LOW, WIRE_RESOLVE, 1);
	assert_int_equal(volume->super.flags & ONDISK_YIELD, 0);	/* no split here */
	bed_split(0);
	post_value(LOW, WIRE_RESOLVE, volume->super.split_id + 1);
	assert_int_equal(volume->super.flags & ONDISK_YIELD, 0);	/* another one */
	post_promote(false, NODE_BIT(HIGH));
	post_value(LOW, WIRE_RESOLVE, volume->super.split_id);
	assert_int_equal(volume->super.flags & ONDISK_YIELD, 0);	/* this node may be primary in a moment */
	answer_promotion(LOW, true, VOLUME_OK);
	post_value(LOW, WIRE_RESOLVE, volume->super.split_id);
	assert_int_equal(volume->super.flags & ONDISK_YIELD, 0);	/* a primary never yields */
	post_node(VOLUME_EVENT_DEMOTE, NODE_NONE);
	post_value(LOW, WIRE_RESOLVE, volume->super.split_id);
	assert_true(volume->super.flags & ONDISK_YIELD);
	assert_non_null(wanted(VOLUME_DO_SAVE_SUPER, NODE_NONE));
	assert_non_null(sent(LOW, WIRE_GREET));
	post_saved(true);
	assert_null(wanted(VOLUME_DO_COMMAND_DONE, NODE_NONE));		/* nobody here asked for it */
}

/* This node and HIGH, who is @flags, went on after the ancestor, in sync with each other; so did LOW. */
static void bed_split_beside(u32 flags)
{
	struct chain mine = chain_of(EVERYBODY), theirs = mine;

	chain_add(&mine, 2, NODE_BIT(ME) | NODE_BIT(HIGH), HIGH, true);
	chain_add(&theirs, 3, NODE_BIT(LOW), LOW, true);
	bed_start(&mine, EVERYBODY);
	meet(HIGH, &mine, flags);
	meet(LOW, &theirs, 0);
	agree_all();
	expect_relation(HIGH, VOLUME_IN_SYNC);
	expect_relation(LOW, VOLUME_SPLIT);
}

static void test_side_with_a_primary_does_not_yield_G7(void **state)
{
	(void)state;
	bed_split_beside(WIRE_GREET_PRIMARY);
	refused_resolve(volume->super.split_id, LOW, VOLUME_REFUSED_IS_PRIMARY);
	post_value(LOW, WIRE_RESOLVE, volume->super.split_id);
	assert_int_equal(volume->super.flags & ONDISK_YIELD, 0);
	bed_split(WIRE_GREET_WITH_PRIMARY);				/* the same, seen from the other side */
	refused_resolve(volume->super.split_id, ME, VOLUME_REFUSED_IS_PRIMARY);

	bed_split_beside(0);
	assert_int_equal(ask(HIGH, 1), VOLUME_OK);			/* primary in a moment */
	refused_resolve(volume->super.split_id, LOW, VOLUME_REFUSED_BUSY);
}

/* A grant that waits until it is durable that this side yields no more. */
static void ask_yielding(u8 node, u32 serial)
{
	memset(&bed.body, 0, sizeof(bed.body));
	bed.body.promote.serial = serial;
	post_frame(node, WIRE_PROMOTE_ASK);
	assert_int_equal(volume->super.flags & ONDISK_YIELD, 0);
	assert_null(sent(node, WIRE_PROMOTE_ANSWER));
}

static void test_a_grant_ends_the_yield_G7(void **state)
{
	(void)state;
	bed_split_beside(0);
	post_resolve(volume->super.split_id, LOW);
	post_saved(true);
	expect_done(VOLUME_OK, 0);
	assert_int_equal(ask(LOW, 1), VOLUME_OK);			/* what it writes does not come here */
	assert_true(volume->super.flags & ONDISK_YIELD);
	greet(LOW, &peer_of(LOW)->facts->chain, 0);			/* its promotion failed */
	ask_yielding(HIGH, 2);
	assert_non_null(wanted(VOLUME_DO_SAVE_SUPER, NODE_NONE));
	assert_non_null(sent(LOW, WIRE_GREET));
	assert_null(sent(HIGH, WIRE_GREET));
	ask_yielding(HIGH, 3);						/* the first one was given up */
	post_saved(true);
	assert_int_equal(sent(HIGH, WIRE_PROMOTE_ANSWER)->frame.serial, 3);
	assert_true(sent(HIGH, WIRE_PROMOTE_ANSWER)->frame.ok);
}

/* What ends it is a replica that comes in sync, or the administrator: neither is enough for a primary before it is durable. */
static void test_a_grant_waits_whatever_ended_the_yield_G7(void **state)
{
	(void)state;
	bed_split_beside(0);
	post_resolve(volume->super.split_id, LOW);
	post_saved(true);
	post_node(VOLUME_EVENT_PEER_DOWN, HIGH);
	meet(HIGH, &volume->super.chain, 0);
	agree_all();
	expect_relation(HIGH, VOLUME_IN_SYNC);
	ask_yielding(HIGH, 1);
	post_saved(true);
	assert_true(sent(HIGH, WIRE_PROMOTE_ANSWER)->frame.ok);

	bed_split_beside(0);
	post_resolve(volume->super.split_id, LOW);
	post_saved(true);
	post_resolve(volume->super.split_id, ME);
	ask_yielding(HIGH, 1);
	post_saved(true);
	assert_true(sent(HIGH, WIRE_PROMOTE_ANSWER)->frame.ok);
}

/* The disk may still say that this side yields: nobody is primary of it then. */
static void test_a_grant_waits_for_the_disk_G7(void **state)
{
	(void)state;
	bed_split_beside(0);
	post_resolve(volume->super.split_id, LOW);
	post_saved(true);
	ask_yielding(HIGH, 1);
	post_saved(false);
	assert_false(sent(HIGH, WIRE_PROMOTE_ANSWER)->frame.ok);
	assert_int_equal(sent(HIGH, WIRE_PROMOTE_ANSWER)->frame.why, VOLUME_REFUSED_META);

	bed_split_beside(0);
	post_resolve(volume->super.split_id, LOW);
	post_saved(true);
	ask_yielding(HIGH, 1);
	greet(HIGH, &volume->super.chain, WIRE_GREET_IN_SYNC);		/* ends the grant, not the question */
	post_saved(true);
	assert_false(sent(HIGH, WIRE_PROMOTE_ANSWER)->frame.ok);
	assert_int_equal(sent(HIGH, WIRE_PROMOTE_ANSWER)->frame.why, VOLUME_REFUSED_BUSY);

	bed_split_beside(0);
	post_resolve(volume->super.split_id, LOW);
	post_saved(true);
	ask_yielding(HIGH, 1);
	greet(HIGH, &volume->super.chain, WIRE_GREET_IN_SYNC);
	ask_yielding(LOW, 2);						/* takes its place: both get an answer */
	assert_int_equal(sent(HIGH, WIRE_PROMOTE_ANSWER)->frame.serial, 1);
	assert_int_equal(sent(HIGH, WIRE_PROMOTE_ANSWER)->frame.why, VOLUME_REFUSED_BUSY);
	post_saved(true);
	assert_true(sent(LOW, WIRE_PROMOTE_ANSWER)->frame.ok);

	bed_split_beside(0);
	post_resolve(volume->super.split_id, LOW);
	post_saved(true);
	ask_yielding(HIGH, 1);
	post_node(VOLUME_EVENT_PEER_DOWN, HIGH);			/* nobody waits for the answer any more */
	post_saved(true);
	assert_null(sent(HIGH, WIRE_PROMOTE_ANSWER));
}

static void test_a_primary_that_yielded_waits_for_the_disk_G7(void **state)
{
	bool ok;

	(void)state;
	for (ok = false;; ok = true) {
		bed_split_beside(0);
		post_resolve(volume->super.split_id, LOW);
		post_saved(true);
		post_node(VOLUME_EVENT_PEER_DOWN, LOW);
		agree_all();
		post_promote(false, 0);
		answer_promotion(HIGH, true, VOLUME_OK);
		assert_int_equal(volume->role, VOLUME_PRIMARY);
		assert_int_equal(volume->super.flags & ONDISK_YIELD, 0);
		volume->super.chain.record[volume->super.chain.count - 1].writer = ME;	/* no record has to be made first */
		assert_int_equal(volume_gate_write(volume), VOLUME_GATE_WAIT);
		post_node(VOLUME_EVENT_IO_WAITS, NODE_NONE);
		assert_null(wanted(VOLUME_DO_GATE, NODE_NONE));		/* else it would be asked again and again */
		post_saved(ok);
		assert_int_equal(volume_gate_write(volume), ok ? VOLUME_GATE_OPEN : VOLUME_GATE_WAIT);
		if (ok)
			break;
		post_node(VOLUME_EVENT_DISK_FAILED, NODE_NONE);		/* HIGH has what is written from now on, when a record says so */
		assert_int_equal(volume->unyielding.token, 0);
	}
	assert_non_null(wanted(VOLUME_DO_GATE, NODE_NONE));
}

/* ---- replicas that are gone for good ---- */

static void test_forget_in_every_state_G8(void **state)
{
	struct chain chain = chain_of(NODE_BIT(ME) | NODE_BIT(LOW));
	u32 slot;

	(void)state;
	bed_start(&chain, EVERYBODY);
	post_node(VOLUME_EVENT_FORGET, THIRD);
	expect_done(VOLUME_OK, 0);					/* never known */
	assert_null(wanted(VOLUME_DO_SAVE_SUPER, NODE_NONE));
	post_node(VOLUME_EVENT_FORGET, LOW);
	expect_done(VOLUME_REFUSED_MEMBER, NODE_BIT(LOW));		/* it may hold what nobody else does */
	meet(HIGH, &chain, 0);
	post_node(VOLUME_EVENT_FORGET, HIGH);
	expect_done(VOLUME_REFUSED_BUSY, NODE_BIT(HIGH));		/* obviously not gone */
	meet(LOW, &chain, 0);
	post_node(VOLUME_EVENT_FORGET, LOW);
	expect_done(VOLUME_REFUSED_MEMBER, NODE_BIT(LOW));
	assert_int_equal(volume->super.replicas, EVERYBODY);

	post_value(HIGH, WIRE_VOLUME_GONE, 0);
	expect_relation(HIGH, VOLUME_ABSENT);
	slot = (u32)(peer_of(HIGH) - volume->peer);
	dirty_mark_all(&volume->peer[slot].map);
	volume->super.reconcile |= NODE_BIT(HIGH);
	post_node(VOLUME_EVENT_FORGET, HIGH);
	expect_done(VOLUME_OK, 0);
	assert_true(wanted(VOLUME_DO_SAVE_SUPER, NODE_NONE)->maps_first);
	assert_int_equal(volume->super.replicas, NODE_BIT(ME) | NODE_BIT(LOW));
	assert_int_equal(volume->super.reconcile & NODE_BIT(HIGH), 0);
	assert_int_equal(volume->super.slot_node[slot], NODE_NONE);
	assert_int_equal(volume->super.slot_replica[slot], 0);
	assert_int_equal(volume->peer[slot].map.nr_set, 0);
	expect_relation(HIGH, VOLUME_ABSENT);				/* its node is still there */
	greet(HIGH, &chain, 0);						/* and its replica: met for the first time */
	assert_int_equal(volume->super.replicas, EVERYBODY);
	assert_true(peer_of(HIGH)->map.nr_set == peer_of(HIGH)->map.nr_granules);
}

static void test_forget_frees_the_slot(void **state)
{
	struct chain chain = chain_of(NODE_BIT(ME) | NODE_BIT(LOW));
	struct volume_peer *peer;

	(void)state;
	bed_start(&chain, EVERYBODY);
	peer = peer_of(HIGH);
	post_node(VOLUME_EVENT_FORGET, HIGH);
	expect_done(VOLUME_OK, 0);
	assert_null(volume_peer(volume, HIGH));
	post_node(VOLUME_EVENT_PEER_UP, THIRD);
	assert_ptr_equal(peer_of(THIRD), peer);
}

/* Forgotten at once, nobody would release the write when the record that drops the replica is durable: it would wait for ever. */
static void test_forget_waits_for_writes_W4(void **state)
{
	struct volume_ack ack;

	(void)state;
	bed_writing();
	volume_begin(volume, &ack, 0, 4096);
	volume_acked(volume, &ack, ME, VOLUME_ANSWER_VOLATILE);
	volume_acked(volume, &ack, HIGH, VOLUME_ANSWER_VOLATILE);
	volume_missed(volume, &ack, LOW);
	post_node(VOLUME_EVENT_PEER_DOWN, LOW);
	post_node(VOLUME_EVENT_IO_WAITS, NODE_NONE);
	assert_true(volume->proposal.active);
	post_node(VOLUME_EVENT_FORGET, LOW);
	expect_done(VOLUME_REFUSED_BUSY, NODE_BIT(LOW));
	assert_true(volume->super.replicas & NODE_BIT(LOW));
	assert_true(volume_released(volume, &ack, LOW));
	volume_end(volume, &ack);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_promote_wants_a_complete_replica_G4),
		cmocka_unit_test(test_promote_wants_every_member_G8),
		cmocka_unit_test(test_a_new_disk_is_no_witness_G4),
		cmocka_unit_test(test_a_writer_vouches_for_its_members_G4),
		cmocka_unit_test(test_promote_looks_at_the_peers_I12),
		cmocka_unit_test(test_promote_waits_for_the_resync),
		cmocka_unit_test(test_promotion_hears_every_answer_I12),
		cmocka_unit_test(test_promotion_ends_early),
		cmocka_unit_test(test_force_begins_its_own_history_I10),
		cmocka_unit_test(test_epochs_of_a_new_primary_W6),
		cmocka_unit_test(test_grants_one_at_a_time_I12),
		cmocka_unit_test(test_refuses_beside_a_primary_I12),
		cmocka_unit_test(test_refuses_whom_a_record_left_out_G4),
		cmocka_unit_test(test_called_down_and_seen_G8),
		cmocka_unit_test(test_demote),
		cmocka_unit_test(test_demotion_leaves_out_who_may_lack_G3),
		cmocka_unit_test(test_demotion_that_needs_no_record_G2),
		cmocka_unit_test(test_record_without_writes_I11),
		cmocka_unit_test(test_demotion_given_up_L1),
		cmocka_unit_test(test_demotion_too_late),
		cmocka_unit_test(test_demotion_without_a_disk_G3),
		cmocka_unit_test(test_resolve_names_the_right_split_G7),
		cmocka_unit_test(test_resolve_against_this_side_G7),
		cmocka_unit_test(test_resolve_for_this_side_G7),
		cmocka_unit_test(test_kept_after_all_G7),
		cmocka_unit_test(test_told_to_yield_G7),
		cmocka_unit_test(test_side_with_a_primary_does_not_yield_G7),
		cmocka_unit_test(test_a_grant_ends_the_yield_G7),
		cmocka_unit_test(test_a_grant_waits_for_the_disk_G7),
		cmocka_unit_test(test_a_grant_waits_whatever_ended_the_yield_G7),
		cmocka_unit_test(test_a_primary_that_yielded_waits_for_the_disk_G7),
		cmocka_unit_test(test_forget_in_every_state_G8),
		cmocka_unit_test(test_forget_frees_the_slot),
		cmocka_unit_test(test_forget_waits_for_writes_W4),
	};

	return cmocka_run_group_tests_name("volume_command", tests, NULL, NULL);
}
