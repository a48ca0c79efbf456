/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One volume on a test bed: the test plays the glue and every other node. Steps are posted one by one, and what a step
 * wanted done stands in bed.actions until the next. Peers are made of greetings: meet() brings one as far as both ends agree.
 */
#ifndef BRAID_TEST_VOLUME_BED_H
#define BRAID_TEST_VOLUME_BED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../../kernel/core/codec.h"
#include "../../kernel/core/volume.h"

enum {
	ME = 5,		/* between LOW and HIGH: some rules go by node id */
	LOW = 2,
	HIGH = 9,
	THIRD = 12,
	BED_BYTES = 64 << 20,
	BED_PAGES = 64,
};

#define EVERYBODY (NODE_BIT(ME) | NODE_BIT(LOW) | NODE_BIT(HIGH))

static struct {
	struct volume volume;
	struct volume_actions actions;
	struct ondisk_super super;
	struct actlog_slot slots[ACTLOG_PART_REGIONS];
	u32 hash[4096];
	struct dirty_pool pool;
	struct dirty_page pages[BED_PAGES];
	u32 next_free[BED_PAGES];
	struct dirty_entry entries[REPLICAS_MAX][4];
	struct wire_greet facts[REPLICAS_MAX], scratch;
	union wire_body body;
	u32 number[NODES_MAX];	/* newest greeting of each node */
	u32 token;		/* of the newest save */
	u64 random;
} bed;

static struct volume *const volume = &bed.volume;

static inline struct volume_peer *peer_of(u8 node)
{
	struct volume_peer *peer = volume_peer(volume, node);

	assert_non_null(peer);
	return peer;
}

/* ---- chains ---- */

static inline void chain_add(struct chain *chain, u64 id, u32 members, u8 writer, bool written)
{
	struct generation record = lineage_next(chain, id, members, writer);

	record.written = written;
	assert_true(lineage_append(chain, &record));
}

static inline struct chain chain_of(u32 members)
{
	struct chain chain = { 0 };

	chain_add(&chain, 1, members, NODE_NONE, true);
	return chain;
}

/* ---- steps ---- */

/* As the module does, before each step. */
static inline void give_slots(const struct volume_event *event)
{
	u32 slot;

	while ((slot = volume_slot_lacking(volume, event)) < REPLICAS_MAX)
		volume_slot_give(volume, slot, &bed.pool, bed.entries[slot], &bed.facts[slot]);
}

static inline void post(struct volume_event event)
{
	u32 i;

	event.random = ++bed.random;
	give_slots(&event);
	volume_step(volume, &event, &bed.actions);
	assert_int_equal(volume->slots_short, 0);
	assert_true(bed.actions.nr < VOLUME_ACTIONS_MAX);
	for (i = 0; i < bed.actions.nr; i++)
		if (bed.actions.action[i].type == VOLUME_DO_SAVE_SUPER)
			bed.token = bed.actions.action[i].token;
}

static inline void post_node(enum volume_event_type type, u8 node)
{
	post((struct volume_event){ .type = type, .node = node });
}

static inline void post_frame(u8 node, u8 frame_type)
{
	post((struct volume_event){ .type = VOLUME_EVENT_FRAME, .node = node, .frame_type = frame_type, .body = &bed.body });
}

/* A frame of struct wire_volume. */
static inline void post_value(u8 node, u8 frame_type, u64 value)
{
	memset(&bed.body, 0, sizeof(bed.body));
	bed.body.volume.value = value;
	post_frame(node, frame_type);
}

static inline void post_saved(bool ok)
{
	post((struct volume_event){ .type = VOLUME_EVENT_SUPER_SAVED, .token = bed.token, .ok = ok });
}

static inline void post_promote(bool force, u32 peer_down)
{
	post((struct volume_event){ .type = VOLUME_EVENT_PROMOTE, .force = force, .nodes = peer_down });
}

/* The first action of the last step that is of @type, and for @node unless that is NODE_NONE. */
static inline const struct volume_action *wanted(enum volume_action_type type, u8 node)
{
	u32 i;

	for (i = 0; i < bed.actions.nr; i++)
		if (bed.actions.action[i].type == type && (node == NODE_NONE || bed.actions.action[i].node == node))
			return &bed.actions.action[i];
	return NULL;
}

static inline const struct volume_action *sent(u8 node, u8 frame_type)
{
	u32 i;

	for (i = 0; i < bed.actions.nr; i++)
		if (bed.actions.action[i].type == VOLUME_DO_SEND && bed.actions.action[i].node == node &&
		    bed.actions.action[i].frame_type == frame_type)
			return &bed.actions.action[i];
	return NULL;
}

/* The session with @node was to end, for @reason. */
static inline void expect_end(u8 node, u8 reason)
{
	const struct volume_action *action = wanted(VOLUME_DO_END_SESSION, node);

	assert_non_null(action);
	assert_int_equal(action->reason, reason);
}

/* The command ended in the last step. */
static inline void expect_done(enum volume_refusal refusal, u32 nodes)
{
	const struct volume_action *action = wanted(VOLUME_DO_COMMAND_DONE, NODE_NONE);

	assert_non_null(action);
	assert_string_equal(volume_refusal_name(action->refusal), volume_refusal_name(refusal));
	assert_int_equal(action->nodes, nodes);
}

static inline void expect_relation(u8 node, enum volume_relation relation)
{
	assert_string_equal(volume_relation_name(peer_of(node)->relation), volume_relation_name(relation));
}

/* ---- a volume, its peers ---- */

/* Attached, not online yet. Whoever has a replica besides this node has had it before. */
static inline void bed_attach(const struct chain *chain, u32 replicas)
{
	u32 slot = 0, node;

	memset(&bed, 0, sizeof(bed));
	bed.random = 1000;
	bed.super.volume_id = 77;
	bed.super.replica_id = 100 + ME;
	bed.super.volume_bytes = BED_BYTES;
	bed.super.granule_bytes = GRANULE_BYTES_MIN;
	bed.super.actlog_parts = 1;
	bed.super.node_id = ME;
	bed.super.split_peer = NODE_NONE;
	bed.super.replicas = replicas;
	bed.super.chain = *chain;
	memset(bed.super.slot_node, NODE_NONE, sizeof(bed.super.slot_node));
	for (node = 0; node < NODES_MAX; node++)
		if (node != ME && (replicas & NODE_BIT(node))) {
			bed.super.slot_node[slot] = (u8)node;
			bed.super.slot_replica[slot++] = 100 + node;
		}
	assert_true(actlog_hash_size(1, BED_BYTES) <= CORE_ARRAY_SIZE(bed.hash));
	assert_true(dirty_entries_needed(BED_BYTES, GRANULE_BYTES_MIN) <= CORE_ARRAY_SIZE(bed.entries[0]));
	actlog_init(&volume->log, bed.slots, bed.hash, 1, BED_BYTES);
	dirty_pool_init(&bed.pool, bed.pages, bed.next_free, BED_PAGES);
	volume_init(volume, &bed.super, ME, &bed.scratch);
	give_slots(NULL);
}

static inline void bed_start(const struct chain *chain, u32 replicas)
{
	bed_attach(chain, replicas);
	post_node(VOLUME_EVENT_ONLINE, NODE_NONE);
}

/* The facts of @node as it would greet: a healthy secondary. */
static inline struct wire_greet facts_of(u8 node, const struct chain *chain, u32 flags)
{
	struct wire_greet greet = {
		.volume_id = 77,
		.replica_id = 100 + node,
		.volume_bytes = BED_BYTES,
		.granule_bytes = GRANULE_BYTES_MIN,
		.actlog_parts = 1,
		.flags = WIRE_GREET_DISK | flags,
		.replicas = volume->super.replicas,
		.primary = flags & WIRE_GREET_PRIMARY ? node : NODE_NONE,
		.sync_source = NODE_NONE,
		.authority = node,
		.chain = *chain,
	};

	return greet;
}

static inline void greet_with(u8 node, struct wire_greet greet)
{
	greet.number = ++bed.number[node];
	memset(&bed.body, 0, sizeof(bed.body));
	bed.body.greet = greet;
	post_frame(node, WIRE_GREET);
}

static inline void greet(u8 node, const struct chain *chain, u32 flags)
{
	greet_with(node, facts_of(node, chain, flags));
}

/* The verdict of @node on the newest greetings: the same as here, from its side. */
static inline void agree(u8 node)
{
	const struct volume_peer *peer = peer_of(node);

	memset(&bed.body, 0, sizeof(bed.body));
	bed.body.verdict.my_number = peer->facts->number;
	bed.body.verdict.your_number = peer->my_number;
	bed.body.verdict.verdict = (u8)lineage_mirror(peer->verdict);
	bed.body.verdict.plan = (u8)volume_plan_mirror(peer->plan);
	post_frame(node, WIRE_VERDICT);
}

/* Up, greeted, agreed; whatever follows from it stands in @bed.actions. */
static inline void meet(u8 node, const struct chain *chain, u32 flags)
{
	bed.number[node] = 0;
	post_node(VOLUME_EVENT_PEER_UP, node);
	greet(node, chain, flags);
	agree(node);
}

/* Every peer that was greeted again since agrees to that, too. */
static inline void agree_all(void)
{
	struct volume_peer *peer;
	u32 rounds, open = 1;

	for (rounds = 0; open && rounds < 8; rounds++) {
		open = 0;
		for (peer = volume->peer; peer < volume->peer + REPLICAS_MAX; peer++)
			if (peer->node != NODE_NONE && peer->up && peer->greeted && !peer->confirmed) {
				open++;
				agree(peer->node);
			}
	}
	assert_int_equal(open, 0);
}

/* This node and LOW and HIGH, of one history, in sync. */
static inline void bed_in_sync(void)
{
	struct chain chain = chain_of(EVERYBODY);

	bed_start(&chain, EVERYBODY);
	meet(LOW, &chain, 0);
	meet(HIGH, &chain, 0);
	agree_all();
	expect_relation(LOW, VOLUME_IN_SYNC);
	expect_relation(HIGH, VOLUME_IN_SYNC);
}

static inline void answer_promotion(u8 node, bool granted, enum volume_refusal reason)
{
	memset(&bed.body, 0, sizeof(bed.body));
	bed.body.promote.serial = volume->command.serial;
	bed.body.promote.granted = granted;
	bed.body.promote.reason = (u8)reason;
	post_frame(node, WIRE_PROMOTE_ANSWER);
}

static inline void ack_record(u8 node, u32 serial, bool ok)
{
	memset(&bed.body, 0, sizeof(bed.body));
	bed.body.record_ack.serial = serial;
	bed.body.record_ack.ok = ok;
	post_frame(node, WIRE_RECORD_ACK);
}

/* In sync, and this node primary: no write yet, so no record of its own. */
static inline void bed_primary(void)
{
	bed_in_sync();
	post_promote(false, 0);
	answer_promotion(LOW, true, VOLUME_OK);
	answer_promotion(HIGH, true, VOLUME_OK);
	expect_done(VOLUME_OK, 0);
	assert_int_equal(volume->role, VOLUME_PRIMARY);
}

/* The same, with the record that the first write wants in force. */
static inline void bed_writing(void)
{
	bed_primary();
	post_node(VOLUME_EVENT_IO_WAITS, NODE_NONE);
	post_saved(true);
	ack_record(LOW, volume->proposal.serial, true);
	ack_record(HIGH, volume->proposal.serial, true);
	assert_non_null(wanted(VOLUME_DO_GATE, NODE_NONE));
	assert_int_equal(volume_gate_write(volume), VOLUME_GATE_OPEN);
}

#endif
