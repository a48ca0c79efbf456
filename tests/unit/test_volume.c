// SPDX-License-Identifier: GPL-2.0
/*
 * What a volume does with peers, records and requests that are not as they should be: answers that come too late, more
 * replicas than slots, ends that disagree. Nothing is lost by any of them [D1] [G3] [G5] [I15] [I20].
 */
#include "volume_bed.h"

/* ---- names ---- */

static void check_names(const char *(*name)(u32), u32 nr)
{
	u32 i, j;

	for (i = 0; i < nr; i++) {
		assert_non_null(name(i));
		assert_string_not_equal(name(i), "?");
		for (j = 0; j < i; j++)
			assert_string_not_equal(name(i), name(j));
	}
	assert_string_equal(name(nr), "?");
	assert_string_equal(name(255), "?");
}

static const char *relation_name(u32 value)
{
	return volume_relation_name((enum volume_relation)value);
}

static const char *refusal_name(u32 value)
{
	return volume_refusal_name((enum volume_refusal)value);
}

static const char *plan_name(u32 value)
{
	return volume_plan_name((enum volume_plan)value);
}

static void test_names_of_codes(void **state)
{
	(void)state;
	check_names(relation_name, VOLUME_RELATIONS);
	check_names(refusal_name, VOLUME_REFUSALS);
	check_names(plan_name, VOLUME_PLANS);
	assert_string_equal(volume_refusal_name(VOLUME_REFUSED_UNREACHABLE), "unreachable");
	assert_string_equal(volume_relation_name(VOLUME_IN_SYNC), "in-sync");
	assert_string_equal(volume_plan_name(VOLUME_PLAN_WAIT_DISK), "wait-disk");
}

/* ---- slots ---- */

static void test_more_replicas_than_slots(void **state)
{
	struct chain chain = chain_of(0xffff);
	struct volume before;

	(void)state;
	assert_true(0xffff & NODE_BIT(ME));
	bed_start(&chain, 0xffff);			/* nodes 0..15: all replicas that there may be */
	assert_int_equal(codec_count_bits(volume->super.replicas), REPLICAS_MAX);
	post_node(VOLUME_EVENT_PEER_UP, 20);		/* only announces the volume there: the one slot left */
	assert_non_null(sent(20, WIRE_GREET));
	before = *volume;
	greet(20, &chain, 0);
	assert_int_equal(bed.actions.nr, 0);		/* a replica there is one too many */
	assert_false(peer_of(20)->greeted);
	assert_int_equal(volume->super.replicas, before.super.replicas);
	assert_memory_equal(volume->super.slot_node, before.super.slot_node, sizeof(before.super.slot_node));
	post_node(VOLUME_EVENT_PEER_UP, 21);
	assert_int_equal(bed.actions.nr, 0);
	assert_null(volume_peer(volume, 21));
}

static void test_replica_takes_over_a_slot_that_announces(void **state)
{
	struct chain chain = chain_of(NODE_BIT(ME) | NODE_BIT(LOW));
	struct volume_peer *peer;
	u8 node;

	(void)state;
	bed_start(&chain, NODE_BIT(ME) | NODE_BIT(LOW));
	meet(LOW, &chain, 0);
	agree_all();
	for (node = 10; node < 10 + REPLICAS_MAX - 1; node++)
		post_node(VOLUME_EVENT_PEER_UP, node);
	post_node(VOLUME_EVENT_PEER_UP, 30);
	assert_null(volume_peer(volume, 30));		/* no slot free, and none needed */
	peer = peer_of(10);
	chain_add(&chain, 2, NODE_BIT(ME) | NODE_BIT(LOW) | NODE_BIT(30), LOW, false);
	memset(&bed.body, 0, sizeof(bed.body));		/* a record tells of a replica there */
	bed.body.record.serial = 1;
	bed.body.record.record = *lineage_tail(&chain);
	post_frame(LOW, WIRE_RECORD);
	assert_true(volume->super.replicas & NODE_BIT(30));
	assert_ptr_equal(peer_of(30), peer);
	assert_int_equal(volume->super.slot_node[peer - volume->peer], 30);
	assert_null(volume_peer(volume, 10));
	expect_relation(30, VOLUME_OFF);
	expect_relation(LOW, VOLUME_IN_SYNC);		/* a replica's slot is never taken */
}

/* A greeting names so many replicas that a slot which only announces is needed: never the greeter's own. */
static void test_greeter_keeps_its_slot(void **state)
{
	struct chain chain = chain_of(NODE_BIT(ME) | NODE_BIT(LOW));
	struct volume_peer *peer;
	struct wire_greet facts;
	u8 node;

	(void)state;
	bed_start(&chain, NODE_BIT(ME) | NODE_BIT(LOW));
	for (node = 10; node < 10 + REPLICAS_MAX - 1; node++)
		post_node(VOLUME_EVENT_PEER_UP, node);
	peer = peer_of(10);				/* the first that would be taken over */
	facts = facts_of(10, &chain, 0);
	facts.replicas |= NODE_BIT(9);			/* heard of for the first time, and before node 10 in order */
	greet_with(10, facts);
	assert_ptr_equal(peer_of(10), peer);
	assert_true(peer->greeted);
	assert_int_equal(volume->super.slot_node[peer - volume->peer], 10);
	assert_non_null(peer_of(9));
	expect_relation(9, VOLUME_OFF);
	assert_false(peer_of(9)->greeted);
}

static void test_nodes_that_are_none(void **state)
{
	struct chain chain = chain_of(NODE_BIT(ME));
	static const u8 nodes[] = { ME, NODES_MAX, NODE_NONE };
	u32 i, event;

	(void)state;
	bed_start(&chain, NODE_BIT(ME));
	for (i = 0; i < CORE_ARRAY_SIZE(nodes); i++) {
		post_node(VOLUME_EVENT_PEER_UP, nodes[i]);
		assert_int_equal(bed.actions.nr, 0);
		assert_null(volume_peer(volume, nodes[i]));
	}
	for (event = VOLUME_EVENT_PEER_UP + 1; event <= VOLUME_EVENT_RESYNC_FAILED; event++) {
		if (event == VOLUME_EVENT_SUPER_SAVED || event == VOLUME_EVENT_LOG_RESET || event == VOLUME_EVENT_DISK_FAILED ||
		    event == VOLUME_EVENT_IO_WAITS)
			continue;
		post_node((enum volume_event_type)event, THIRD);	/* no such peer */
		assert_int_equal(bed.actions.nr, 0);
	}
	post_node(VOLUME_EVENT_PEER_UP, THIRD);
	post_node((enum volume_event_type)99, THIRD);			/* no event of ours */
	assert_int_equal(bed.actions.nr, 0);
	post_node(VOLUME_EVENT_PEER_DOWN, THIRD);
	post_value(THIRD, WIRE_SYNC_START, 0);				/* after the end of its session */
	assert_int_equal(bed.actions.nr, 0);
	post_node(VOLUME_EVENT_PEER_DOWN, THIRD);
	assert_int_equal(bed.actions.nr, 0);
}

static void test_token_zero_means_none(void **state)
{
	(void)state;
	bed_in_sync();
	volume->next_token = ~0u;
	chain_add(&volume->super.chain, 2, EVERYBODY, LOW, true);
	post_node(VOLUME_EVENT_FORGET, THIRD);
	post_node(VOLUME_EVENT_PEER_DOWN, HIGH);
	assert_int_equal(wanted(VOLUME_DO_SAVE_SUPER, NODE_NONE)->token, 1);
}

/* ---- greetings ---- */

static void test_back_within_one_session(void **state)
{
	struct chain chain = chain_of(EVERYBODY);

	(void)state;
	bed_in_sync();
	bed.number[LOW] = 3 << 20;			/* numbers of its next life */
	greet(LOW, &chain, 0);
	expect_relation(LOW, VOLUME_GREETING);		/* not in sync with what it is now */
	assert_int_equal(volume->streaming & NODE_BIT(LOW), 0);
	assert_non_null(sent(LOW, WIRE_GREET));
	expect_relation(HIGH, VOLUME_IN_SYNC);
	agree_all();
	expect_relation(LOW, VOLUME_IN_SYNC);
}

static void test_ends_that_disagree_part_G5(void **state)
{
	struct chain chain = chain_of(EVERYBODY);
	u32 wrong;

	(void)state;
	for (wrong = 0; wrong < 2; wrong++) {
		bed_start(&chain, EVERYBODY);
		post_node(VOLUME_EVENT_PEER_UP, LOW);
		greet(LOW, &chain, 0);
		memset(&bed.body, 0, sizeof(bed.body));
		bed.body.verdict.my_number = 1;
		bed.body.verdict.your_number = peer_of(LOW)->my_number;
		bed.body.verdict.verdict = wrong ? LINEAGE_SAME : LINEAGE_SPLIT;
		bed.body.verdict.plan = wrong ? VOLUME_PLAN_SPLIT : VOLUME_PLAN_IN_SYNC;
		post_frame(LOW, WIRE_VERDICT);
		expect_end(LOW, WIRE_BYE_VERDICT);
		assert_false(peer_of(LOW)->confirmed);
		expect_relation(LOW, VOLUME_GREETING);
	}
}

/* 0 stands for no greeting, and 1 would say that a life begins: the number after the last one is 2. */
static void test_greeting_numbers_wrap(void **state)
{
	struct chain chain = chain_of(EVERYBODY);

	(void)state;
	bed_start(&chain, EVERYBODY);
	post_node(VOLUME_EVENT_PEER_UP, LOW);
	greet(LOW, &chain, 0);
	agree(LOW);
	expect_relation(LOW, VOLUME_IN_SYNC);
	peer_of(LOW)->my_number = 0xffffffff;
	bed.number[LOW] = 0;
	greet(LOW, &chain, 0);			/* 1: it starts anew, and is greeted */
	assert_non_null(sent(LOW, WIRE_GREET));
	assert_int_equal(peer_of(LOW)->my_number, 2);
	expect_relation(LOW, VOLUME_GREETING);
	agree(LOW);
	expect_relation(LOW, VOLUME_IN_SYNC);
}

static void test_verdicts_of_other_greetings_G5(void **state)
{
	struct chain chain = chain_of(EVERYBODY);

	(void)state;
	bed_start(&chain, EVERYBODY);
	post_node(VOLUME_EVENT_PEER_UP, LOW);
	memset(&bed.body, 0, sizeof(bed.body));
	post_frame(LOW, WIRE_VERDICT);			/* has not greeted */
	assert_int_equal(bed.actions.nr, 0);
	greet(LOW, &chain, 0);
	memset(&bed.body, 0, sizeof(bed.body));
	bed.body.verdict.my_number = 1;
	bed.body.verdict.your_number = peer_of(LOW)->my_number + 1;
	bed.body.verdict.verdict = LINEAGE_SPLIT;
	post_frame(LOW, WIRE_VERDICT);			/* not even looked at */
	assert_int_equal(bed.actions.nr, 0);
	assert_false(peer_of(LOW)->confirmed);
	volume->resetting = true;
	agree(LOW);
	assert_false(peer_of(LOW)->confirmed);
	post((struct volume_event){ .type = VOLUME_EVENT_LOG_RESET, .ok = true });
	assert_non_null(sent(LOW, WIRE_GREET));		/* anew, of what holds after the reset */
	agree(LOW);
	expect_relation(LOW, VOLUME_IN_SYNC);
}

static void test_refused_plans(void **state)
{
	struct chain chain = chain_of(EVERYBODY), foreign = { 0 };
	struct wire_greet facts;

	(void)state;
	chain_add(&foreign, 99, EVERYBODY, NODE_NONE, true);
	bed_start(&chain, EVERYBODY);
	post_node(VOLUME_EVENT_PEER_UP, LOW);
	facts = facts_of(LOW, &chain, 0);
	facts.volume_bytes /= 2;
	greet_with(LOW, facts);
	agree(LOW);
	assert_int_equal(peer_of(LOW)->plan, VOLUME_PLAN_REFUSE_SIZE);
	expect_relation(LOW, VOLUME_REFUSED);
	facts = facts_of(LOW, &chain, 0);
	facts.block_shift = VOLUME_BLOCK_SHIFT_MAX;
	greet_with(LOW, facts);
	agree(LOW);
	assert_int_equal(peer_of(LOW)->plan, VOLUME_PLAN_REFUSE_SIZE);
	expect_relation(LOW, VOLUME_REFUSED);
	greet(LOW, &foreign, 0);
	agree_all();
	assert_int_equal(peer_of(LOW)->plan, VOLUME_PLAN_REFUSE_UNRELATED);
	facts = facts_of(LOW, &chain, 0);
	facts.flags = 0;
	greet_with(LOW, facts);
	agree_all();
	assert_int_equal(peer_of(LOW)->plan, VOLUME_PLAN_WAIT_DISK);
	expect_relation(LOW, VOLUME_WAITING);
}

static void test_bodies_of_what_is_gone(void **state)
{
	struct volume_action action = { .node = THIRD, .frame_type = WIRE_GREET };

	(void)state;
	bed_in_sync();
	volume_fill(volume, &action, &bed.body);	/* no such peer: says nothing, a decoder refuses it */
	assert_int_equal(bed.body.greet.number, 0);
	action.frame_type = WIRE_RECORD;
	action.frame.value = 4711;			/* no such record any more */
	volume_fill(volume, &action, &bed.body);
	assert_int_equal(bed.body.record.record.id, 0);
	assert_int_equal(bed.body.record.parent_written, 0);
	action.frame.value = 1;				/* the first one has no parent */
	volume_fill(volume, &action, &bed.body);
	assert_int_equal(bed.body.record.record.id, 1);
	assert_int_equal(bed.body.record.parent_written, 0);
}

/* A target never adopts what its maker may forget; that record may be younger than the action that sends it [G3]. */
static void test_accept_without_the_record_that_is_saved_G3(void **state)
{
	struct volume_action action = { .type = VOLUME_DO_SEND, .node = HIGH, .frame_type = WIRE_SYNC_ACCEPT };

	(void)state;
	bed_writing();
	post_node(VOLUME_EVENT_PEER_DOWN, LOW);
	post_node(VOLUME_EVENT_IO_WAITS, NODE_NONE);
	assert_int_equal(volume->super.chain.count, 3);
	volume_fill(volume, &action, &bed.body);
	assert_int_equal(bed.body.accept.chain.count, 2);
	bed.token = volume->proposal.token;
	post_saved(true);
	volume_fill(volume, &action, &bed.body);
	assert_int_equal(bed.body.accept.chain.count, 3);
}

/* ---- records ---- */

/* What is answered at once to a record that continues @chain: -1 nothing yet. */
static int offer_record(u8 node, const struct chain *chain, u64 id, u32 members)
{
	const struct volume_action *answer;

	memset(&bed.body, 0, sizeof(bed.body));
	bed.body.record.serial = 9;
	bed.body.record.parent_written = 1;
	bed.body.record.record = lineage_next(chain, id, members, node);
	post_frame(node, WIRE_RECORD);
	answer = sent(node, WIRE_RECORD_ACK);
	if (!answer)
		return -1;
	assert_int_equal(answer->frame.serial, 9);
	return answer->frame.ok;
}

static void test_records_refused_G3(void **state)
{
	struct chain chain = chain_of(EVERYBODY), other = chain_of(EVERYBODY);

	(void)state;
	other.record[0].id = 99;
	bed_start(&chain, EVERYBODY);
	post_node(VOLUME_EVENT_PEER_UP, LOW);
	assert_int_equal(offer_record(LOW, &chain, 2, EVERYBODY), 0);	/* not in sync */
	bed_in_sync();
	assert_int_equal(offer_record(LOW, &other, 2, EVERYBODY), 0);	/* does not continue the chain */
	bed_primary();
	assert_int_equal(offer_record(LOW, &chain, 2, EVERYBODY), 0);	/* here is the writer */
	assert_int_equal(volume->super.chain.count, 1);
}

static void test_record_is_answered_when_durable_G3(void **state)
{
	struct chain chain;

	(void)state;
	bed_in_sync();
	chain = volume->super.chain;
	volume->super.chain.record[0].written = false;
	assert_int_equal(offer_record(LOW, &chain, 2, EVERYBODY), -1);
	assert_true(volume->super.chain.record[0].written);		/* the writer knew [G2] */
	assert_int_equal(volume_mark_wanted(volume, 2), false);		/* not in force before it is durable */
	post_promote(false, 0);
	expect_done(VOLUME_REFUSED_BUSY, 0);
	post_saved(true);
	assert_int_equal(sent(LOW, WIRE_RECORD_ACK)->frame.ok, 1);
	assert_true(volume_mark_wanted(volume, 2));

	chain = volume->super.chain;
	assert_int_equal(offer_record(LOW, &chain, 3, EVERYBODY), -1);
	post_saved(false);
	assert_int_equal(sent(LOW, WIRE_RECORD_ACK)->frame.ok, 0);

	chain = volume->super.chain;
	assert_int_equal(offer_record(LOW, &chain, 4, EVERYBODY), -1);
	post_node(VOLUME_EVENT_PEER_DOWN, LOW);
	post_saved(true);						/* nobody to tell */
	assert_null(sent(LOW, WIRE_RECORD_ACK));
	assert_int_equal(lineage_tail(&volume->super.chain)->id, 4);
}

/* Of the writer's records all members are vouched for; of one that adds a member, who joins. */
static void test_record_vouches_for_members_G4(void **state)
{
	struct chain chain;

	(void)state;
	bed_in_sync();
	chain = volume->super.chain;
	volume->super.replaced = NODE_BIT(HIGH) | NODE_BIT(THIRD);
	assert_int_equal(offer_record(LOW, &chain, 2, EVERYBODY | NODE_BIT(THIRD)), -1);
	assert_int_equal(volume->super.replaced, NODE_BIT(HIGH));
	post_saved(true);
	chain = volume->super.chain;
	assert_int_equal(offer_record(LOW, &chain, 3, EVERYBODY), -1);
	assert_int_equal(volume->super.replaced, 0);
}

static void test_record_drops_a_member_D1(void **state)
{
	struct chain chain;

	(void)state;
	bed_in_sync();
	greet(LOW, &volume->super.chain, WIRE_GREET_PRIMARY | WIRE_GREET_IN_SYNC);
	agree_all();
	chain = volume->super.chain;
	assert_int_equal(actlog_get(&volume->log, 3, 1), ACTLOG_WAIT);
	assert_int_equal(offer_record(LOW, &chain, 2, NODE_BIT(ME) | NODE_BIT(LOW)), -1);
	assert_true(dirty_test(&peer_of(HIGH)->map, 3 * (u64)ACTLOG_REGION_BYTES));
	assert_false(dirty_test(&peer_of(HIGH)->map, 2 * (u64)ACTLOG_REGION_BYTES));
	expect_relation(HIGH, VOLUME_GREETING);
	expect_relation(LOW, VOLUME_IN_SYNC);
	assert_int_equal(peer_of(LOW)->map.nr_set, 0);
}

static void test_acknowledgements_of_records_G3(void **state)
{
	u32 serial;

	(void)state;
	bed_primary();
	ack_record(LOW, 1, true);					/* nothing was proposed */
	assert_int_equal(bed.actions.nr, 0);
	post_node(VOLUME_EVENT_IO_WAITS, NODE_NONE);
	serial = volume->proposal.serial;
	assert_true(volume->proposal.active);
	assert_null(sent(LOW, WIRE_RECORD));				/* durable here first */
	assert_int_equal(volume_gate_write(volume), VOLUME_GATE_WAIT);
	post_saved(true);
	assert_int_equal(sent(LOW, WIRE_RECORD)->frame.serial, serial);
	ack_record(LOW, serial - 1, true);				/* of one before */
	assert_int_equal(volume->proposal.waiting, NODE_BIT(LOW) | NODE_BIT(HIGH));
	ack_record(LOW, serial, true);
	ack_record(LOW, serial, true);
	assert_int_equal(volume->proposal.waiting, NODE_BIT(HIGH));
	ack_record(HIGH, serial, false);				/* its chain went another way */
	expect_end(HIGH, WIRE_BYE_STUCK);
	assert_int_equal(volume_gate_write(volume), VOLUME_GATE_WAIT);
	post_node(VOLUME_EVENT_PEER_DOWN, HIGH);
	assert_false(volume->proposal.active);
	assert_non_null(wanted(VOLUME_DO_GATE, NODE_NONE));
	post_node(VOLUME_EVENT_IO_WAITS, NODE_NONE);			/* HIGH is a member and gone: one without it */
	post_saved(true);
	ack_record(LOW, volume->proposal.serial, true);
	assert_int_equal(lineage_tail(&volume->super.chain)->members, NODE_BIT(ME) | NODE_BIT(LOW));
	assert_int_equal(volume_gate_write(volume), VOLUME_GATE_OPEN);
}

/* A random number that is no new one: nothing is proposed now, and nothing is lost by that. */
static void test_record_id_met_before(void **state)
{
	(void)state;
	bed_primary();
	bed.random = 0;						/* the next one is the id of the first record */
	post_node(VOLUME_EVENT_IO_WAITS, NODE_NONE);
	assert_false(volume->proposal.active);
	assert_int_equal(volume->super.chain.count, 1);
	assert_int_equal(volume_gate_write(volume), VOLUME_GATE_WAIT);
	post_node(VOLUME_EVENT_IO_WAITS, NODE_NONE);
	assert_true(volume->proposal.active);
	assert_int_equal(volume->super.chain.count, 2);
}

static void test_record_that_cannot_be_saved(void **state)
{
	(void)state;
	bed_primary();
	post_node(VOLUME_EVENT_IO_WAITS, NODE_NONE);
	assert_int_equal(volume->super.chain.count, 2);
	post_saved(false);						/* the disk may have it: it stays, and all get it */
	assert_int_equal(volume->super.chain.count, 2);
	assert_non_null(sent(LOW, WIRE_RECORD));
	post_node(VOLUME_EVENT_DISK_FAILED, NODE_NONE);			/* and the next one goes without this disk */
	assert_int_equal(volume_gate_write(volume), VOLUME_GATE_WAIT);
	ack_record(LOW, volume->proposal.serial, true);
	ack_record(HIGH, volume->proposal.serial, true);
	assert_int_equal(volume->super.chain.count, 3);
	assert_int_equal(lineage_tail(&volume->super.chain)->members, NODE_BIT(LOW) | NODE_BIT(HIGH));
	assert_int_equal(lineage_tail(&volume->super.chain)->writer, ME);
	assert_non_null(sent(LOW, WIRE_RECORD));
	ack_record(LOW, volume->proposal.serial, true);
	ack_record(HIGH, volume->proposal.serial, true);
	assert_non_null(wanted(VOLUME_DO_RELEASE, ME));
	assert_int_equal(volume_gate_write(volume), VOLUME_GATE_OPEN);
	assert_int_equal(volume_read_from(volume, 0), LOW);
	assert_int_equal(volume_read_from(volume, NODE_BIT(LOW)), HIGH);
	assert_int_equal(volume_read_from(volume, NODE_BIT(LOW) | NODE_BIT(HIGH)), NODE_NONE);
	post_node(VOLUME_EVENT_PEER_DOWN, LOW);
	post_node(VOLUME_EVENT_PEER_DOWN, HIGH);			/* now nobody can take a write */
	assert_int_equal(volume_gate_write(volume), VOLUME_GATE_FAIL);
	assert_int_equal(volume_gate_read(volume), VOLUME_GATE_FAIL);
}

/* Without a disk here, and lost before it answered: nobody would know that LOW lacks what HIGH has. */
static void test_record_that_no_disk_has_G3(void **state)
{
	struct volume_ack ack;
	u64 agreed;

	(void)state;
	bed_writing();
	post_node(VOLUME_EVENT_DISK_FAILED, NODE_NONE);
	ack_record(LOW, volume->proposal.serial, true);
	ack_record(HIGH, volume->proposal.serial, true);
	agreed = lineage_tail(&volume->super.chain)->id;
	volume_begin(volume, &ack, 0, 4096);
	volume_acked(volume, &ack, HIGH, VOLUME_ANSWER_STABLE);
	post_node(VOLUME_EVENT_PEER_DOWN, LOW);
	volume_missed(volume, &ack, LOW);
	assert_non_null(sent(HIGH, WIRE_RECORD));
	post_node(VOLUME_EVENT_PEER_DOWN, HIGH);
	assert_false(volume->proposal.active);
	assert_true(lineage_tail(&volume->super.chain)->id == agreed);
	assert_null(wanted(VOLUME_DO_RELEASE, LOW));			/* the write was promised to nobody, and fails */
	assert_non_null(wanted(VOLUME_DO_GATE, NODE_NONE));
	assert_int_equal(volume_gate_write(volume), VOLUME_GATE_FAIL);
}

/* On the disk here, which failed then: it counts as little, but is told while the disk might come back. */
static void test_record_that_a_failed_disk_has_G3(void **state)
{
	struct volume_ack ack;
	u64 saved;

	(void)state;
	bed_writing();
	volume_begin(volume, &ack, 0, 4096);
	volume_acked(volume, &ack, HIGH, VOLUME_ANSWER_STABLE);
	post_node(VOLUME_EVENT_PEER_DOWN, LOW);
	volume_missed(volume, &ack, LOW);
	post_saved(true);
	assert_non_null(sent(HIGH, WIRE_RECORD));
	saved = lineage_tail(&volume->super.chain)->id;
	post_node(VOLUME_EVENT_DISK_FAILED, NODE_NONE);
	post_node(VOLUME_EVENT_PEER_DOWN, HIGH);
	assert_false(volume->proposal.active);
	assert_true(lineage_tail(&volume->super.chain)->id == saved);
	assert_null(wanted(VOLUME_DO_RELEASE, LOW));
	assert_non_null(wanted(VOLUME_DO_GATE, NODE_NONE));
	assert_int_equal(volume_gate_write(volume), VOLUME_GATE_FAIL);
}

/* It may be on the disk here, whose save failed, and nobody else has it: it counts as little. */
static void test_record_whose_save_failed_G3(void **state)
{
	struct volume_ack ack;
	u64 saved;

	(void)state;
	bed_writing();
	volume_begin(volume, &ack, 0, 4096);
	post_node(VOLUME_EVENT_PEER_DOWN, LOW);
	volume_missed(volume, &ack, LOW);
	post_node(VOLUME_EVENT_PEER_DOWN, HIGH);
	volume_missed(volume, &ack, HIGH);
	saved = lineage_tail(&volume->super.chain)->id;
	bed.token = volume->proposal.token;
	post_saved(false);
	assert_false(volume->proposal.active);
	assert_true(lineage_tail(&volume->super.chain)->id == saved);
	assert_null(wanted(VOLUME_DO_RELEASE, LOW));
	post_node(VOLUME_EVENT_DISK_FAILED, NODE_NONE);
	assert_int_equal(volume_gate_write(volume), VOLUME_GATE_FAIL);
}

/* The same, with one that has it: so LOW will be known to be behind. */
static void test_record_that_a_lost_peer_has_G3(void **state)
{
	struct volume_ack ack;

	(void)state;
	bed_writing();
	post_node(VOLUME_EVENT_DISK_FAILED, NODE_NONE);
	ack_record(LOW, volume->proposal.serial, true);
	ack_record(HIGH, volume->proposal.serial, true);
	volume_begin(volume, &ack, 0, 4096);
	volume_acked(volume, &ack, HIGH, VOLUME_ANSWER_STABLE);
	post_node(VOLUME_EVENT_PEER_DOWN, LOW);
	volume_missed(volume, &ack, LOW);
	ack_record(HIGH, volume->proposal.serial, true);
	assert_false(volume->proposal.active);
	assert_int_equal(lineage_tail(&volume->super.chain)->members, NODE_BIT(HIGH));
	assert_non_null(wanted(VOLUME_DO_RELEASE, LOW));
}

/* ---- requests ---- */

static void test_gates(void **state)
{
	(void)state;
	bed_in_sync();
	assert_int_equal(volume_gate_write(volume), VOLUME_GATE_FAIL);
	assert_int_equal(volume_gate_read(volume), VOLUME_GATE_FAIL);
	bed_writing();
	volume_unquiesce(volume);					/* more often than closed: still 0 */
	volume_quiesce(volume);
	volume_quiesce(volume);
	assert_int_equal(volume_gate_write(volume), VOLUME_GATE_WAIT);
	assert_int_equal(volume_gate_read(volume), VOLUME_GATE_OPEN);
	volume_unquiesce(volume);
	assert_int_equal(volume_gate_write(volume), VOLUME_GATE_WAIT);
	volume_unquiesce(volume);
	assert_int_equal(volume_gate_write(volume), VOLUME_GATE_OPEN);
	volume->resetting = true;
	assert_int_equal(volume_gate_write(volume), VOLUME_GATE_WAIT);
	volume->resetting = false;
	volume->super.reconcile = NODE_BIT(HIGH);			/* in sync, or it would not be [I3] */
	assert_int_equal(volume_gate_read(volume), VOLUME_GATE_OPEN);
	post_node(VOLUME_EVENT_IO_WAITS, NODE_NONE);			/* nothing to wait for */
	assert_non_null(wanted(VOLUME_DO_GATE, NODE_NONE));
	assert_false(volume->io_waits);
}

/* The log reset of a demotion that was broken off, though another one is under way by now. */
static void test_reset_of_a_spell_W6(void **state)
{
	u64 spell, again, epoch;

	(void)state;
	bed_writing();
	assert_int_equal(actlog_get(&volume->log, 3, volume->log.epoch), ACTLOG_WAIT);
	actlog_commit_begin(&volume->log);
	actlog_commit_end(&volume->log, true);
	actlog_put(&volume->log, 3, true);
	spell = volume_quiesce(volume);
	assert_int_not_equal(spell, 0);
	assert_int_equal(volume_quiesce(volume), spell);		/* nests: the gate stays closed */
	volume_unquiesce(volume);
	assert_int_not_equal(volume_log_reset_begin(volume, spell), 0);
	volume_unquiesce(volume);
	assert_int_equal(volume_log_reset_begin(volume, spell), 0);
	again = volume_quiesce(volume);
	assert_int_not_equal(again, spell);
	assert_int_equal(volume_log_reset_begin(volume, spell), 0);
	epoch = volume_log_reset_begin(volume, again);
	assert_int_equal(actlog_evict_before(&volume->log, 0), 1);
	assert_int_equal(actlog_evict_before(&volume->log, epoch), 0);
	volume_unquiesce(volume);
	assert_int_not_equal(volume_log_reset_begin(volume, 0), 0);	/* nobody writes */
}

/* [D6] What is in flight has to fit into the smallest log that it goes to. */
static void test_smallest_log_limits_D6(void **state)
{
	static const u8 nodes[] = { LOW, HIGH };
	struct wire_greet facts;
	u32 i;

	(void)state;
	bed_in_sync();
	assert_int_equal(volume->log.busy_limit, 0);			/* not the writer */
	bed_primary();
	for (i = 0; i < 2; i++) {
		facts = facts_of(nodes[i], &volume->super.chain, WIRE_GREET_IN_SYNC);
		facts.actlog_parts = i ? 2 : 4;
		greet_with(nodes[i], facts);
	}
	assert_int_equal(volume->log.busy_limit, 2 * ACTLOG_PART_REGIONS);
	post_node(VOLUME_EVENT_PEER_DOWN, HIGH);
	assert_int_equal(volume->log.busy_limit, 4 * ACTLOG_PART_REGIONS);
	post_node(VOLUME_EVENT_PEER_DOWN, LOW);
	assert_int_equal(volume->log.busy_limit, 0);
}

static void test_reads_go_where_a_disk_is(void **state)
{
	struct wire_greet facts;

	(void)state;
	bed_primary();
	assert_int_equal(volume_read_from(volume, 0), ME);
	assert_int_equal(volume_read_from(volume, NODE_BIT(ME)), LOW);
	facts = facts_of(LOW, &volume->super.chain, WIRE_GREET_IN_SYNC);
	facts.flags &= ~WIRE_GREET_DISK;
	greet_with(LOW, facts);
	expect_relation(LOW, VOLUME_IN_SYNC);				/* until a record says otherwise */
	assert_int_equal(volume_read_from(volume, NODE_BIT(ME)), HIGH);
	post_node(VOLUME_EVENT_DISK_FAILED, NODE_NONE);
	assert_int_equal(volume_read_from(volume, 0), HIGH);
	assert_int_equal(volume_read_from(volume, NODE_BIT(HIGH)), NODE_NONE);
}

static void test_answers_too_late_W4(void **state)
{
	struct volume_ack ack;

	(void)state;
	bed_writing();
	volume_begin(volume, &ack, 0, 4096);
	assert_int_equal(ack.pending, EVERYBODY);
	assert_false(volume_acked(volume, &ack, NODES_MAX, VOLUME_ANSWER_VOLATILE));
	assert_false(volume_acked(volume, &ack, THIRD, VOLUME_ANSWER_VOLATILE));
	assert_false(volume_acked(volume, &ack, ME, VOLUME_ANSWER_VOLATILE));
	assert_false(volume_acked(volume, &ack, ME, VOLUME_ANSWER_VOLATILE));			/* twice */
	assert_int_equal(ack.pending, NODE_BIT(LOW) | NODE_BIT(HIGH));
	volume_missed(volume, &ack, ME);
	volume_missed(volume, &ack, THIRD);
	assert_int_equal(ack.missed, 0);
	volume_missed(volume, &ack, LOW);
	volume_missed(volume, &ack, LOW);
	assert_int_equal(peer_of(LOW)->acks_missed, 1);
	assert_false(volume_released(volume, &ack, HIGH));		/* it got this one: its answer is awaited */
	assert_true(volume_waits_for(&ack, HIGH));
	assert_false(volume_released(volume, &ack, LOW));
	assert_int_equal(peer_of(LOW)->acks_missed, 0);
	assert_int_equal(peer_of(LOW)->acks_pending, 0);
	assert_true(volume_acked(volume, &ack, HIGH, VOLUME_ANSWER_VOLATILE));
	volume_end(volume, &ack);
	assert_int_equal(volume->in_flight, 0);
}

static void test_lost_member_holds_writes_until_a_record_W4(void **state)
{
	struct volume_ack ack;

	(void)state;
	bed_writing();
	volume_begin(volume, &ack, 8192, 4096);
	assert_false(volume_acked(volume, &ack, ME, VOLUME_ANSWER_VOLATILE));
	assert_false(volume_acked(volume, &ack, LOW, VOLUME_ANSWER_VOLATILE));
	post_node(VOLUME_EVENT_PEER_DOWN, HIGH);
	assert_non_null(wanted(VOLUME_DO_MISSED, HIGH));
	assert_null(wanted(VOLUME_DO_RELEASE, HIGH));
	volume_missed(volume, &ack, HIGH);
	assert_true(volume->proposal.active);
	assert_true(lineage_tail(&volume->super.chain)->written);	/* what is in flight ends under it [G2] */
	post_saved(true);
	assert_null(wanted(VOLUME_DO_RELEASE, HIGH));
	ack_record(LOW, volume->proposal.serial, true);
	assert_non_null(wanted(VOLUME_DO_RELEASE, HIGH));
	assert_true(volume_released(volume, &ack, HIGH));
	volume_end(volume, &ack);
	volume_begin(volume, &ack, 8192, 4096);				/* what it misses from now on is marked */
	assert_true(dirty_test(&peer_of(HIGH)->map, 8192));
	volume_begin(volume, &ack, 0, 0);				/* a flush marks nothing */
	assert_false(dirty_test(&peer_of(HIGH)->map, 0));
}

/* A member that was lost and is back before the record without it was agreed: nothing waits for its old answers [L1] [W4]. */
static void test_member_back_before_the_record_W4(void **state)
{
	static const u8 nodes[] = { LOW, HIGH, THIRD };
	struct chain chain = chain_of(EVERYBODY | NODE_BIT(THIRD)), old;
	struct volume_ack flush;
	u32 i;

	(void)state;
	bed_start(&chain, EVERYBODY | NODE_BIT(THIRD));
	for (i = 0; i < 3; i++)
		meet(nodes[i], &chain, 0);
	agree_all();
	post_promote(false, 0);
	for (i = 0; i < 3; i++)
		answer_promotion(nodes[i], true, VOLUME_OK);
	post_node(VOLUME_EVENT_IO_WAITS, NODE_NONE);
	post_saved(true);
	for (i = 0; i < 3; i++)
		ack_record(nodes[i], volume->proposal.serial, true);
	assert_int_equal(actlog_get(&volume->log, 1, 1), ACTLOG_WAIT);
	old = volume->super.chain;
	volume_begin(volume, &flush, 0, 0);
	assert_false(volume_acked(volume, &flush, ME, VOLUME_ANSWER_VOLATILE));
	assert_false(volume_acked(volume, &flush, LOW, VOLUME_ANSWER_VOLATILE));
	post_node(VOLUME_EVENT_PEER_DOWN, THIRD);
	volume_missed(volume, &flush, THIRD);
	post_saved(true);				/* the record without THIRD waits for LOW and HIGH */
	post_node(VOLUME_EVENT_PEER_DOWN, HIGH);
	volume_missed(volume, &flush, HIGH);
	assert_int_equal(volume->proposal.waiting, NODE_BIT(LOW));
	meet(HIGH, &old, 0);				/* HIGH comes back and is resynced while LOW takes its time */
	agree_all();
	post_value(HIGH, WIRE_SYNC_START, 0);
	post_value(HIGH, WIRE_RANGES_END, 0);
	post_value(HIGH, WIRE_SYNC_READY, lineage_tail(&volume->super.chain)->id);
	dirty_clear_all(&peer_of(HIGH)->map);
	post_node(VOLUME_EVENT_RESYNC_DRY, HIGH);
	expect_relation(HIGH, VOLUME_IN_SYNC);
	if (wanted(VOLUME_DO_RELEASE, HIGH))
		assert_false(volume_released(volume, &flush, HIGH));
	ack_record(LOW, volume->proposal.serial, true);
	assert_non_null(wanted(VOLUME_DO_RELEASE, THIRD));
	if (wanted(VOLUME_DO_RELEASE, HIGH))
		assert_false(volume_released(volume, &flush, HIGH));
	assert_true(volume_released(volume, &flush, THIRD));
}

static void test_peer_that_failed_a_write(void **state)
{
	struct volume_ack ack;

	(void)state;
	bed_writing();
	post_node(VOLUME_EVENT_PEER_IO_FAILED, HIGH);			/* nothing of ours in flight there: start anew */
	expect_end(HIGH, WIRE_BYE_STUCK);
	expect_relation(HIGH, VOLUME_GREETING);
	assert_int_equal(volume->streaming, NODE_BIT(LOW));
	post_node(VOLUME_EVENT_PEER_IO_FAILED, HIGH);
	assert_null(wanted(VOLUME_DO_END_SESSION, HIGH));		/* not in the stream any more */
	bed_writing();
	volume_begin(volume, &ack, 0, 4096);
	post_node(VOLUME_EVENT_PEER_IO_FAILED, LOW);
	assert_non_null(wanted(VOLUME_DO_MISSED, LOW));
	expect_end(LOW, WIRE_BYE_STUCK);				/* older writes never after newer ones [I15] */
	post_node(VOLUME_EVENT_RESYNC_FAILED, HIGH);			/* there is none */
	assert_null(wanted(VOLUME_DO_END_SESSION, HIGH));
}

static void test_whose_writes_are_applied_I20(void **state)
{
	struct chain chain = chain_of(NODE_BIT(ME) | NODE_BIT(LOW));

	(void)state;
	bed_start(&chain, EVERYBODY);
	assert_false(volume_may_apply(volume, THIRD, 0, 4096));
	assert_false(volume_may_apply(volume, LOW, 0, 4096));
	assert_false(volume_may_read(volume, THIRD));
	assert_false(volume_may_read(volume, LOW));
	assert_false(volume_may_resync(volume, THIRD));
	meet(LOW, &chain, 0);
	agree_all();
	assert_true(volume_may_apply(volume, LOW, 0, 4096));
	assert_true(volume_may_apply(volume, LOW, BED_BYTES - 4096, 4096));
	assert_false(volume_may_apply(volume, LOW, BED_BYTES - 4096, 8192));
	assert_false(volume_may_apply(volume, LOW, BED_BYTES + 4096, 4096));
	assert_true(volume_may_read(volume, LOW));
	assert_false(volume_may_resync(volume, LOW));
	volume_apply(volume, LOW, 4096, 4096);
	assert_true(dirty_test(&peer_of(HIGH)->map, 4096));		/* no member: it lacks it */
	assert_false(dirty_test(&peer_of(LOW)->map, 4096));
	post_promote(false, 0);
	answer_promotion(LOW, true, VOLUME_OK);
	assert_false(volume_may_apply(volume, LOW, 0, 4096));
	post_node(VOLUME_EVENT_DISK_FAILED, NODE_NONE);
	assert_false(volume_may_read(volume, LOW));
}

static void test_written_mark_waits_for_a_commit_G2(void **state)
{
	u64 id;

	(void)state;
	bed_writing();
	id = lineage_tail(&volume->super.chain)->id;
	assert_false(volume_mark_wanted(volume, id + 1));		/* submitted under another record */
	volume_marked(volume, 1);
	assert_int_equal(volume_mark_id(volume), 1);			/* what the log says already */
	assert_true(volume_mark_wanted(volume, id));
	assert_true(volume->log.forced);
	assert_true(volume_mark_id(volume) == id);
	volume_marked(volume, id);
	assert_true(lineage_tail(&volume->super.chain)->written);
	assert_false(volume_mark_wanted(volume, id));
}

/*
 * While the next record is made durable, the superblock on the disk ends with the one before, and a crash leaves that: its mark has
 * to be in the log, and to stay there (seed 8000000001616, 2 nodes).
 */
static void test_mark_of_what_is_durable_G2(void **state)
{
	struct volume_ack ack;
	u64 id;

	(void)state;
	bed_writing();
	id = lineage_tail(&volume->super.chain)->id;
	volume_begin(volume, &ack, 0, 4096);
	post_node(VOLUME_EVENT_PEER_DOWN, LOW);
	assert_true(volume->proposal.active && lineage_tail(&volume->super.chain)->id != id);
	assert_true(lineage_tail(&volume->super.chain)->written);
	assert_true(volume_mark_wanted(volume, id));
	assert_true(volume_mark_id(volume) == id);
	volume_marked(volume, id);
	assert_false(volume_mark_wanted(volume, id));
	assert_true(volume_mark_id(volume) == id);
	post_saved(true);
	assert_true(volume_mark_id(volume) == id);			/* nothing has to be said of the new one */
}

/* ---- what status says ---- */

static void test_healthy_and_up_to_date(void **state)
{
	struct chain chain = chain_of(EVERYBODY), longer = chain;

	(void)state;
	bed_in_sync();
	assert_true(volume_up_to_date(volume));
	assert_true(volume_healthy(volume));
	post_node(VOLUME_EVENT_PEER_UP, THIRD);				/* a node without a replica changes nothing */
	assert_true(volume_healthy(volume));
	volume->super.flags |= ONDISK_SYNCING;
	assert_false(volume_up_to_date(volume));
	assert_false(volume_healthy(volume));
	volume->super.flags &= ~ONDISK_SYNCING;
	post_node(VOLUME_EVENT_PEER_DOWN, LOW);
	assert_true(volume_up_to_date(volume));
	assert_false(volume_healthy(volume));
	post_node(VOLUME_EVENT_DISK_FAILED, NODE_NONE);
	assert_false(volume_up_to_date(volume));

	chain_add(&longer, 2, NODE_BIT(LOW), LOW, true);
	bed_start(&chain, EVERYBODY);
	assert_true(volume_up_to_date(volume));
	post_node(VOLUME_EVENT_PEER_UP, LOW);
	greet(LOW, &longer, 0);
	assert_false(volume_up_to_date(volume));			/* it knows of something newer */
	bed_start(&longer, EVERYBODY);
	assert_false(volume_up_to_date(volume));			/* left out */
}

static void test_log_that_cannot_be_read_I17(void **state)
{
	struct chain chain = chain_of(NODE_BIT(ME) | NODE_BIT(LOW)), none = { 0 };

	(void)state;
	chain.record[0].written = false;
	bed_attach(&chain, EVERYBODY);
	volume_log_lost(volume);
	assert_true(volume->super.chain.record[0].written);		/* its mark may have stood there */
	assert_true(peer_of(LOW)->map.nr_set == peer_of(LOW)->map.nr_granules);
	assert_true(peer_of(HIGH)->map.nr_set == peer_of(HIGH)->map.nr_granules);
	assert_int_equal(volume->super.reconcile, NODE_BIT(LOW));
	bed_attach(&none, EVERYBODY);
	volume_log_lost(volume);
	assert_int_equal(volume->super.chain.count, 0);
	assert_true(peer_of(LOW)->map.nr_set == peer_of(LOW)->map.nr_granules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_of_codes),
		cmocka_unit_test(test_more_replicas_than_slots),
		cmocka_unit_test(test_replica_takes_over_a_slot_that_announces),
		cmocka_unit_test(test_greeter_keeps_its_slot),
		cmocka_unit_test(test_nodes_that_are_none),
		cmocka_unit_test(test_token_zero_means_none),
		cmocka_unit_test(test_back_within_one_session),
		cmocka_unit_test(test_ends_that_disagree_part_G5),
		cmocka_unit_test(test_verdicts_of_other_greetings_G5),
		cmocka_unit_test(test_refused_plans),
		cmocka_unit_test(test_greeting_numbers_wrap),
		cmocka_unit_test(test_bodies_of_what_is_gone),
		cmocka_unit_test(test_accept_without_the_record_that_is_saved_G3),
		cmocka_unit_test(test_records_refused_G3),
		cmocka_unit_test(test_record_is_answered_when_durable_G3),
		cmocka_unit_test(test_record_vouches_for_members_G4),
		cmocka_unit_test(test_record_drops_a_member_D1),
		cmocka_unit_test(test_acknowledgements_of_records_G3),
		cmocka_unit_test(test_record_id_met_before),
		cmocka_unit_test(test_record_that_cannot_be_saved),
		cmocka_unit_test(test_record_that_no_disk_has_G3),
		cmocka_unit_test(test_record_that_a_failed_disk_has_G3),
		cmocka_unit_test(test_record_whose_save_failed_G3),
		cmocka_unit_test(test_record_that_a_lost_peer_has_G3),
		cmocka_unit_test(test_gates),
		cmocka_unit_test(test_reset_of_a_spell_W6),
		cmocka_unit_test(test_smallest_log_limits_D6),
		cmocka_unit_test(test_reads_go_where_a_disk_is),
		cmocka_unit_test(test_answers_too_late_W4),
		cmocka_unit_test(test_lost_member_holds_writes_until_a_record_W4),
		cmocka_unit_test(test_member_back_before_the_record_W4),
		cmocka_unit_test(test_peer_that_failed_a_write),
		cmocka_unit_test(test_whose_writes_are_applied_I20),
		cmocka_unit_test(test_written_mark_waits_for_a_commit_G2),
		cmocka_unit_test(test_mark_of_what_is_durable_G2),
		cmocka_unit_test(test_healthy_and_up_to_date),
		cmocka_unit_test(test_log_that_cannot_be_read_I17),
	};

	return cmocka_run_group_tests_name("volume", tests, NULL, NULL);
}
