// SPDX-License-Identifier: GPL-2.0
/*
 * Memory for slots [D3]: what volume_slot_lacking() names before a step is all that the step may take. Two volumes see the same
 * events, of every kind and about random nodes: one has memory for all slots from the start, the other what is named. They
 * must know the same replicas after each step.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "../../kernel/core/codec.h"
#include "../../kernel/core/volume.h"

enum {
	ME = 5,
	ENTRIES = 4,
	PAGES = 64,
	ROUNDS = 3000,
	STEPS = 24,
	FRAMES = WIRE_RESOLVE + 1,	/* control frames of volumes are below */
	VOLUME_BYTES = 64 << 20,
};

struct side {
	struct volume volume;
	struct dirty_pool pool;
	struct dirty_page pages[PAGES];
	u32 next_free[PAGES];
	struct dirty_entry entries[REPLICAS_MAX][ENTRIES];
	struct wire_greet facts[REPLICAS_MAX];
	struct actlog_slot slots[ACTLOG_PART_REGIONS];
	u32 hash[4096];
};

static struct side all, named;
static struct volume_actions actions;
static struct wire_greet scratch;
static u64 random_state;

static u64 draw(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static u32 below(u32 limit)
{
	return (u32)(draw() % limit);
}

/* Some nodes: few, so that slots last a while, and now and then many. */
static u32 some_nodes(void)
{
	u32 nodes = (u32)(draw() & draw() & draw() & draw());

	return below(20) ? nodes & (u32)draw() : nodes | (u32)draw();
}

static void give(struct side *side, u32 slot)
{
	volume_slot_give(&side->volume, slot, &side->pool, side->entries[slot], &side->facts[slot]);
}

static void start(struct side *side, const struct ondisk_super *super)
{
	memset(side, 0, sizeof(*side));
	dirty_pool_init(&side->pool, side->pages, side->next_free, PAGES);
	actlog_init(&side->volume.log, side->slots, side->hash, 1, VOLUME_BYTES);
	volume_init(&side->volume, super, ME, &scratch);
}

static void start_both(void)
{
	struct ondisk_super super = { .volume_id = 7, .replica_id = 8, .volume_bytes = VOLUME_BYTES, .granule_bytes = GRANULE_BYTES_MIN,
				      .actlog_parts = 1, .node_id = ME, .split_peer = NODE_NONE };
	struct generation first = lineage_next(&super.chain, 1, NODE_BIT(ME) | some_nodes(), NODE_NONE);
	u32 slot, node;

	lineage_append(&super.chain, &first);
	super.replicas = NODE_BIT(ME);
	memset(super.slot_node, NODE_NONE, sizeof(super.slot_node));
	for (node = 0; node < 3; node++) {		/* wherever they were put in former lives */
		slot = below(REPLICAS_MAX);
		if (super.slot_node[slot] == NODE_NONE) {
			super.slot_node[slot] = (u8)(node + 6);
			super.replicas |= NODE_BIT(node + 6);
		}
	}
	start(&all, &super);
	start(&named, &super);
	for (slot = 0; slot < REPLICAS_MAX; slot++)
		give(&all, slot);
	while ((slot = volume_slot_lacking(&named.volume, NULL)) < REPLICAS_MAX) {
		assert_int_not_equal(super.slot_node[slot], NODE_NONE);
		give(&named, slot);
	}
	for (slot = 0; slot < REPLICAS_MAX; slot++)
		assert_int_equal(!named.volume.peer[slot].map.entries, super.slot_node[slot] == NODE_NONE);
}

/* The same relation on both sides, whatever the way to it: what a step does with a frame depends on it. */
static void relate(u8 node, enum volume_relation relation)
{
	struct side *side;

	for (side = &all; side; side = side == &all ? &named : NULL) {
		struct volume_peer *peer = volume_peer(&side->volume, node);

		if (!peer)
			continue;
		peer->relation = relation;
		peer->up = peer->greeted = peer->confirmed = relation > VOLUME_OFF;
		side->volume.online = true;
		side->volume.resetting = false;
		side->volume.role = VOLUME_SECONDARY;
		side->volume.adopting.token = 0;
		side->volume.accepting.token = 0;
		side->volume.proposal.active = false;
	}
}

static void fill(union wire_body *body, u8 frame_type, u8 sender)
{
	const struct chain *chain = &all.volume.super.chain;
	struct generation record = lineage_next(chain, draw() | 1, some_nodes() | NODE_BIT(sender), sender);

	memset(body, 0, sizeof(*body));
	switch (frame_type) {
	case WIRE_GREET:
		body->greet.number = 1 + below(3);
		body->greet.replicas = some_nodes() | NODE_BIT(sender);
		body->greet.replica_id = draw();
		body->greet.primary = body->greet.sync_source = NODE_NONE;
		body->greet.chain = *chain;
		lineage_append(&body->greet.chain, &record);
		break;
	case WIRE_RECORD:
		body->record.serial = below(3);
		body->record.record = record;
		break;
	case WIRE_SYNC_ACCEPT:
		body->accept.chain = *chain;
		lineage_append(&body->accept.chain, &record);
		break;
	case WIRE_RANGES:
		body->ranges.node = (u8)(below(8) ? below(NODES_MAX) : NODE_NONE);
		break;
	default:
		body->volume.value = below(4);
		break;
	}
}

/* Of what a peer is known as a replica, and how many slots are used. */
static u32 durable(const struct volume *volume, u32 *nr_used)
{
	const struct volume_peer *peer;
	u32 nodes = 0;

	*nr_used = 0;
	for (peer = volume->peer; peer < volume->peer + REPLICAS_MAX; peer++) {
		if (peer->node == NODE_NONE)
			continue;
		assert_non_null(peer->map.entries);
		assert_non_null(peer->facts);
		++*nr_used;
		if (volume->super.slot_node[peer - volume->peer] == peer->node)
			nodes |= NODE_BIT(peer->node);
	}
	return nodes;
}

/* True when a slot was taken. */
static bool step_both(const struct volume_event *event)
{
	u32 slot, used_before, used[2], before = durable(&named.volume, &used_before), nodes;

	while ((slot = volume_slot_lacking(&named.volume, event)) < REPLICAS_MAX) {
		assert_int_equal(named.volume.peer[slot].node, NODE_NONE);
		assert_null(named.volume.peer[slot].map.entries);
		give(&named, slot);
	}
	volume_step(&all.volume, event, &actions);
	volume_step(&named.volume, event, &actions);
	nodes = durable(&named.volume, &used[1]);
	assert_int_equal(nodes, durable(&all.volume, &used[0]));
	assert_int_equal(used[0], used[1]);
	assert_int_equal(named.volume.super.replicas, all.volume.super.replicas);
	assert_int_equal(named.volume.slots_short, 0);
	return used[1] > used_before || (nodes & ~before);
}

static void random_event(struct volume_event *event, union wire_body *body)
{
	*event = (struct volume_event){ .type = below(VOLUME_EVENT_GOING_DOWN + 1), .node = (u8)below(NODES_MAX), .body = NULL,
					.random = draw() | 1, .nodes = (u32)draw(), .token = below(3), .ok = below(2),
					.force = below(2) };
	if (below(2))
		event->type = below(3) ? VOLUME_EVENT_FRAME : VOLUME_EVENT_PEER_UP;
	if (event->type != VOLUME_EVENT_FRAME)
		return;
	event->node = (u8)(6 + below(3));		/* known from the start, if anybody is */
	event->frame_type = (u8)below(FRAMES);
	if (below(2))
		event->frame_type = (const u8[]){ WIRE_GREET, WIRE_RECORD, WIRE_SYNC_ACCEPT, WIRE_RANGES }[below(4)];
	fill(body, event->frame_type, event->node);
	event->body = body;
	relate(event->node, event->frame_type == WIRE_RECORD || event->frame_type == WIRE_RANGES ? VOLUME_SOURCE :
			    event->frame_type == WIRE_SYNC_ACCEPT ? VOLUME_SOURCE_ASKED :
			    VOLUME_ABSENT + below(VOLUME_RELATIONS - VOLUME_ABSENT));
}

static void test_named_slots_are_all_that_a_step_takes_D3(void **state)
{
	u32 taken_by[VOLUME_EVENT_GOING_DOWN + 1] = { 0 }, taken_by_frame[256] = { 0 }, round, step, type;
	struct volume_event event;
	union wire_body body;

	(void)state;
	for (round = 0; round < ROUNDS; round++) {
		start_both();
		for (step = 0; step < STEPS; step++) {
			random_event(&event, &body);
			if (!step_both(&event))
				continue;
			taken_by[event.type]++;
			if (event.type == VOLUME_EVENT_FRAME)
				taken_by_frame[event.frame_type]++;
		}
	}
	for (type = 0; type <= VOLUME_EVENT_GOING_DOWN; type++)
		if (type != VOLUME_EVENT_PEER_UP && type != VOLUME_EVENT_FRAME)
			assert_int_equal(taken_by[type], 0);
	assert_true(taken_by[VOLUME_EVENT_PEER_UP] > 100);
	for (type = 0; type < 256; type++) {
		bool takes = type == WIRE_GREET || type == WIRE_RECORD || type == WIRE_SYNC_ACCEPT || type == WIRE_RANGES;

		if (takes != (taken_by_frame[type] > 100))
			fail_msg("frame %u took %u slots", type, taken_by_frame[type]);
	}
}

/* An idle volume has memory for the slots of its replicas only; what is known, or not asked for, takes none. */
static void test_memory_follows_use_D3(void **state)
{
	struct volume_event event = { .type = VOLUME_EVENT_PEER_UP, .node = 20, .random = 1 };
	u32 slot;

	(void)state;
	start_both();
	assert_int_equal(volume_slot_lacking(&named.volume, NULL), REPLICAS_MAX);
	event.node = ME;
	assert_int_equal(volume_slot_lacking(&named.volume, &event), REPLICAS_MAX);
	event.node = NODE_NONE;
	assert_int_equal(volume_slot_lacking(&named.volume, &event), REPLICAS_MAX);
	event.node = 20;
	slot = volume_slot_lacking(&named.volume, &event);
	assert_true(slot < REPLICAS_MAX);
	give(&named, slot);
	assert_int_equal(volume_slot_lacking(&named.volume, &event), REPLICAS_MAX);
	volume_step(&named.volume, &event, &actions);
	assert_int_equal(named.volume.peer[slot].node, 20);
	assert_int_equal(volume_slot_lacking(&named.volume, &event), REPLICAS_MAX);
	event.node = 21;
	assert_true(volume_slot_lacking(&named.volume, &event) < REPLICAS_MAX);
}

/* Should the caller not give what was named, no memory is touched that is not there, and it can be seen. */
static void test_missing_memory_is_seen_and_harmless_D3(void **state)
{
	struct volume_event event = { .type = VOLUME_EVENT_PEER_UP, .node = 20, .random = 1 };

	(void)state;
	start_both();
	volume_step(&named.volume, &event, &actions);
	assert_int_equal(named.volume.slots_short, 1);
	assert_null(volume_peer(&named.volume, 20));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_named_slots_are_all_that_a_step_takes_D3),
		cmocka_unit_test(test_memory_follows_use_D3),
		cmocka_unit_test(test_missing_memory_is_seen_and_harmless_D3),
	};
	const char *seed = getenv("SEED");

	random_state = seed ? strtoull(seed, NULL, 0) : (u64)time(NULL);
	printf("SEED=%llu\n", (unsigned long long)random_state);
	random_state = random_state * 0x9e3779b97f4a7c15ull | 1;
	return cmocka_run_group_tests_name("volume_slot", tests, NULL, NULL);
}
