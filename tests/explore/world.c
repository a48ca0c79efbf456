// SPDX-License-Identifier: GPL-2.0
/*
 * Machines, sessions and the control plane of the explorer: what engine.c, dispatch.c and meta*.c do in the module, one
 * observable step at a time.
 */
#include <stdarg.h>
#include <stdio.h>

#include "world.h"

bool world_tracing;

void world_trace(const char *format, ...)
{
	va_list args;

	if (!world_tracing)
		return;
	printf("        ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

void core_trace(u64 id, const char *text)
{
	(void)id;
	world_trace("core: %s", text);
}

void world_violation(struct world *world, const char *label, const char *format, ...)
{
	va_list args;
	int at;

	if (world->violation[0])
		return;
	at = snprintf(world->violation, sizeof(world->violation), "%s: ", label);
	va_start(args, format);
	vsnprintf(world->violation + at, sizeof(world->violation) - (size_t)at, format, args);
	va_end(args);
}

u32 world_block_bytes(const struct world *world)
{
	return world->one_region ? ACTLOG_REGION_BYTES / 2 : ACTLOG_REGION_BYTES;
}

u64 world_offset(const struct world *world, u32 block)
{
	return (u64)block * world_block_bytes(world);
}

u32 world_region(const struct world *world, u32 block)
{
	return actlog_region(world_offset(world, block));
}

u8 world_map_mask(const struct world *world, const struct dirty_map *map)
{
	u8 mask = 0;
	u32 block;

	for (block = 0; map->nr_set && block < world->nr_blocks; block++)
		mask |= (u8)(dirty_test(map, world_offset(world, block)) << block);
	return mask;
}

u8 world_primary(const struct world *world)
{
	u8 i;

	for (i = 0; i < world->nr_nodes; i++)
		if (world->node[i].up && world->node[i].volume.role == VOLUME_PRIMARY)
			return i;
	return NODE_NONE;
}

/* ---- queues ---- */

/* Room for a message in the queue, zeroed; NULL when one end has no session any more and it would vanish. */
struct message *world_send(struct world *world, u8 from, u8 to, bool control)
{
	struct queue *queue = control ? &world->control[from][to] : &world->data[from][to];
	struct message *message;

	if (world->node[from].session[to] != SESSION_UP || world->node[to].session[from] != SESSION_UP)
		return NULL;
	if (queue->nr == WORLD_QUEUE_MAX) {
		world_violation(world, "bound", "queue %u -> %u is full", from, to);
		return NULL;
	}
	message = &queue->entry[queue->nr++];
	memset(message, 0, sizeof(*message));
	return message;
}

void world_queue_pop(struct queue *queue)
{
	u32 i;

	for (i = 1; i < queue->nr; i++)
		queue->entry[i - 1] = queue->entry[i];
	queue->nr--;
}

/* ---- engine ---- */

void world_event(struct world *world, u8 node, const struct volume_event *event)
{
	struct node *n = &world->node[node];

	if (n->nr_events == WORLD_EVENTS_MAX)
		world_violation(world, "bound", "event queue of %u is full", node);
	else
		n->events[n->nr_events++] = *event;
}

void world_simple_event(struct world *world, u8 node, enum volume_event_type type, u8 peer)
{
	struct volume_event event = { .type = type, .node = peer };

	world_event(world, node, &event);
}

/* RANGES and RANGES_END of one map travel as one message. */
static void send_ranges(struct world *world, u8 from, const struct volume_action *action)
{
	struct volume *volume = &world->node[from].volume;
	const struct volume_peer *peer = volume_peer_const(volume, action->map_node);
	struct message *message = world_send(world, from, action->node, true);
	u32 slot, region, block;

	if (!message)
		return;
	message->kind = MESSAGE_FRAME;
	message->frame_type = WIRE_RANGES;
	message->bits[0] = action->map_node;
	if (peer)
		message->slot = world_map_mask(world, &peer->map);
	for (slot = actlog_next(&volume->log, 0, &region); action->with_log && slot != ACTLOG_NO_SLOT;
	     slot = actlog_next(&volume->log, slot + 1, &region))
		for (block = 0; block < world->nr_blocks; block++)
			if (world_region(world, block) == region)
				message->slot |= (u8)(1u << block);
}

static void save_wanted(struct world *world, u8 node, const struct volume_action *action)
{
	struct node *n = &world->node[node];

	if (n->nr_saves == WORLD_SAVES_MAX) {
		world_violation(world, "bound", "node %u asks for too many saves", node);
		return;
	}
	n->saves[n->nr_saves].token = action->token;
	n->saves[n->nr_saves++].maps_first = action->maps_first;
}

static void end_session(struct world *world, u8 node, const struct volume_action *action)
{
	struct node *n = &world->node[node];

	world_trace("%u ends its session with %u, reason %u", node, action->node, action->reason);
	if (action->reason == WIRE_BYE_VERDICT)
		world_violation(world, "I9", "%u and %u disagree", node, action->node);
	if (n->session[action->node] == SESSION_UP)
		n->session[action->node] = SESSION_ENDING;
}

static void perform(struct world *world, u8 node, const struct volume_action *action)
{
	struct node *n = &world->node[node];

	switch (action->type) {
	case VOLUME_DO_SEND:
		message_pack(world, node, action->node, action);
		break;
	case VOLUME_DO_SEND_RANGES:
		send_ranges(world, node, action);
		break;
	case VOLUME_DO_SAVE_SUPER:
		save_wanted(world, node, action);
		break;
	case VOLUME_DO_LOG_RESET:
		n->reset_wanted = true;
		n->reset_after = n->nr_saves;
		break;
	case VOLUME_DO_MISSED:
		path_missed(world, node, action->node);
		break;
	case VOLUME_DO_RELEASE:
		path_release(world, node, action->node);
		break;
	case VOLUME_DO_GATE:
		path_retry(world, node, true);
		break;
	case VOLUME_DO_RESYNC_START:
		n->resync[action->node].running = true;
		n->resync[action->node].locked = 0;
		break;
	case VOLUME_DO_RESYNC_STOP:
		n->resync[action->node].running = false;
		n->resync[action->node].locked = 0;
		path_retry(world, node, false);
		break;
	case VOLUME_DO_END_SESSION:
		end_session(world, node, action);
		break;
	case VOLUME_DO_COMMAND_DONE:
		world_trace("%u: command done: %s", node, volume_refusal_name(action->refusal));
		break;
	case VOLUME_DO_CHANGED:
		break;
	}
}

/* The split id of a superblock is a mix of two generation ids: which two? Found when it is made, renamed with them. */
static void find_split_pair(struct world *world, struct node *n)
{
	static struct chain low, high;
	const struct ondisk_super *super = &n->volume.super;
	u64 a, b;

	if (!(super->flags & ONDISK_SPLIT))
		return;
	low.count = high.count = 1;
	for (a = 0; a < world->next_generation; a++)
		for (b = a; b < world->next_generation; b++) {
			low.record[0].id = a;
			low.record[0].number = 1;
			high.record[0].id = b;
			high.record[0].number = 2;
			low.count = a != 0;
			high.count = b != 0;
			if (lineage_split_id(&low, &high) == super->split_id) {
				n->split_pair[0] = a;
				n->split_pair[1] = b;
				return;
			}
		}
	world_violation(world, "bound", "the split id is of no two generations");
}

/* A record may be written from its first moment: what its writer was asked to keep before, only this one protects. */
static bool wrote_before(const struct world *world, const struct chain *chain, u8 writer)
{
	u32 i;

	for (i = 0; i + 1 < chain->count; i++)
		if (chain->record[i].writer == writer && world->real[chain->record[i].id])
			return true;
	return false;
}

static void note_generation(struct world *world, const struct volume *volume)
{
	const struct generation *tail = lineage_tail(&volume->super.chain);

	if (tail && tail->id == world->next_generation) {
		world->next_generation++;
		if (tail->written && !volume->in_flight && !wrote_before(world, &volume->super.chain, tail->writer))
			world_violation(world, "I11", "generation %llu counts as written by %u, who wrote nothing",
					(unsigned long long)tail->id, tail->writer);
		if (volume->in_flight || tail->written)
			world->real[tail->id] = true;
	}
	if (world->next_generation >= WORLD_IDS_MAX)
		world_violation(world, "bound", "too many generations");
}

/* A node's events until there are none left. */
static void run_node(struct world *world, u8 node)
{
	static struct volume_actions actions;
	struct node *n = &world->node[node];
	u32 i, guard = 0;

	while (n->nr_events && !world->violation[0]) {
		struct volume_event event = n->events[0];

		n->nr_events--;
		memmove(&n->events[0], &n->events[1], n->nr_events * sizeof(event));
		event.random = world->next_generation;
		volume_step(&n->volume, &event, &actions);
		note_generation(world, &n->volume);
		find_split_pair(world, n);
		if (actions.nr == VOLUME_ACTIONS_MAX)
			world_violation(world, "bound", "too many actions");
		for (i = 0; i < actions.nr; i++)
			perform(world, node, &actions.action[i]);
		if (++guard > 200)
			world_violation(world, "liveness", "node %u goes round in circles", node);
	}
}

void world_run(struct world *world)
{
	u8 node;

	for (node = 0; node < world->nr_nodes; node++)
		if (world->node[node].up)
			run_node(world, node);
}

void world_deliver_frame(struct world *world, u8 from, u8 to)
{
	static union wire_body body;
	static struct wire_greet constants;
	struct queue *queue = &world->control[from][to];
	struct message *m = &queue->entry[0];
	struct volume_event event = { .type = VOLUME_EVENT_FRAME, .node = from, .frame_type = m->frame_type, .body = &body };
	u32 block;

	constants.volume_id = 7;
	constants.volume_bytes = world->nr_blocks * (u64)world_block_bytes(world);
	constants.granule_bytes = world_block_bytes(world);
	constants.actlog_parts = 1;
	constants.replica_id = world_replica_id(from);
	if (m->frame_type == WIRE_RANGES) {
		body.ranges.node = m->bits[0];
		body.ranges.nr = 0;
		for (block = 0; block < world->nr_blocks; block++)
			if (m->slot >> block & 1) {
				body.ranges.range[body.ranges.nr].start_bytes = world_offset(world, block);
				body.ranges.range[body.ranges.nr++].length_bytes = world_block_bytes(world);
			}
		world_event(world, to, &event);
		run_node(world, to);
		event.frame_type = WIRE_RANGES_END;
		memset(&body.volume, 0, sizeof(body.volume));
		body.volume.node = m->bits[0];
	} else {
		message_unpack(m, &constants, &body);
	}
	world_queue_pop(queue);
	world_event(world, to, &event);
	run_node(world, to);
}

/* ---- metadata ---- */

static void maps_to_masks(const struct world *world, u8 node, u8 *masks)
{
	const struct node *n = &world->node[node];
	u8 slot;

	for (slot = 0; slot < world->nr_nodes; slot++)
		masks[slot] = world_map_mask(world, &n->volume.peer[slot].map);
}

void world_save_maps(struct world *world, u8 node)
{
	maps_to_masks(world, node, world->node[node].disk_map);
}

void world_save_begin(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	u32 i;

	n->saving = n->nr_saves;
	n->pending_maps_first = false;
	for (i = 0; i < n->nr_saves; i++)
		n->pending_maps_first |= n->saves[i].maps_first;
	n->pending.super = n->volume.super;
	memcpy(n->pending.split_pair, n->split_pair, sizeof(n->split_pair));
	if (n->pending_maps_first)
		maps_to_masks(world, node, n->pending_map);
}

void world_save_end(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	u32 i;

	if (n->pending_maps_first)
		memcpy(n->disk_map, n->pending_map, sizeof(n->disk_map));
	n->disk = n->pending;
	for (i = 0; i < n->saving; i++) {
		struct volume_event event = { .type = VOLUME_EVENT_SUPER_SAVED, .token = n->saves[i].token, .ok = true };

		world_event(world, node, &event);
	}
	n->nr_saves -= n->saving;
	n->reset_after -= n->saving < n->reset_after ? n->saving : n->reset_after;
	memmove(&n->saves[0], &n->saves[n->saving], n->nr_saves * sizeof(n->saves[0]));
	n->saving = 0;
	n->pending_maps_first = false;
	world_run(world);
}

/* VOLUME_DO_LOG_RESET: flushed, maps durable, log empty. Nothing is being applied and no write is in flight. */
void world_reset(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	struct volume_event event = { .type = VOLUME_EVENT_LOG_RESET, .ok = true };

	memcpy(n->platter, n->cache, sizeof(n->platter));
	world_save_maps(world, node);
	actlog_clear(&n->volume.log);
	n->disk_log = 0;
	n->reset_wanted = false;
	world_event(world, node, &event);
	world_run(world);
}

/* ---- machines and sessions ---- */

static void clear_queues(struct world *world, u8 from, u8 to)
{
	world->control[from][to].nr = 0;
	world->data[from][to].nr = 0;
}

void world_crash(struct world *world, u8 node, bool keep_cache)
{
	struct node *n = &world->node[node];
	u8 i;

	n->up = false;
	n->nr_saves = n->saving = n->nr_applies = n->nr_events = 0;
	n->reset_wanted = false;
	memset(n->writes, 0, sizeof(n->writes));
	memset(n->resync, 0, sizeof(n->resync));
	if (keep_cache)
		memcpy(n->platter, n->cache, sizeof(n->platter));
	memcpy(n->cache, n->platter, sizeof(n->platter));
	for (i = 0; i < world->nr_nodes; i++) {
		n->session[i] = SESSION_NONE;
		clear_queues(world, i, node);
		clear_queues(world, node, i);
	}
	/* What was acknowledged and not flushed may be gone: it was never promised [I1]. */
	memcpy(world->acked, world->firm, sizeof(world->acked));
}

void world_boot(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	u32 slot, block, region;

	memset(&n->volume, 0, sizeof(n->volume));
	dirty_pool_init(&n->pool, n->pages, n->next_free, WORLD_PAGES);
	volume_init(&n->volume, &n->disk.super, node, &n->scratch);
	for (slot = 0; slot < REPLICAS_MAX; slot++)
		volume_slot_give(&n->volume, slot, &n->pool, n->entries[slot], &n->facts[slot]);
	memcpy(n->split_pair, n->disk.split_pair, sizeof(n->split_pair));
	actlog_init(&n->volume.log, n->slots, n->hash, 1, n->disk.super.volume_bytes);
	n->volume.log.nr_slots = WORLD_BLOCKS_MAX;	/* as many as there can be regions: the first ones of the free list */
	for (slot = 0; slot < world->nr_nodes; slot++)
		for (block = 0; block < world->nr_blocks; block++)
			if (n->disk_map[slot] >> block & 1)
				dirty_mark(&n->volume.peer[slot].map, world_offset(world, block), world_block_bytes(world));
	if (n->disk_written_id)
		volume_written_found(&n->volume, n->disk_written_id);
	for (region = 0; region < WORLD_BLOCKS_MAX; region++)
		if (n->disk_log >> region & 1)
			volume_log_found(&n->volume, region);
	world_save_maps(world, node);
	n->disk.super = n->volume.super;
	memcpy(n->disk.split_pair, n->split_pair, sizeof(n->split_pair));
	n->disk_log = 0;
	n->up = true;
	world_simple_event(world, node, VOLUME_EVENT_ONLINE, NODE_NONE);
	world_run(world);
}

static void peer_up(struct world *world, u8 node, u8 peer)
{
	struct volume_event event = { .type = VOLUME_EVENT_PEER_UP, .node = peer, .features = WIRE_FEATURE_BLANK };

	world->node[node].session[peer] = SESSION_UP;
	world_event(world, node, &event);
}

void world_session(struct world *world, u8 a, u8 b)
{
	clear_queues(world, a, b);
	clear_queues(world, b, a);
	peer_up(world, a, b);
	peer_up(world, b, a);
	world_run(world);
}

/* The node sees that its session with @peer is over, whoever ended it: what has not arrived never will. */
void world_notice(struct world *world, u8 node, u8 peer)
{
	struct node *n = &world->node[node];
	u32 i;

	n->session[peer] = SESSION_NONE;
	clear_queues(world, peer, node);
	n->resync[peer].running = false;
	n->resync[peer].locked = 0;
	for (i = 0; i < n->nr_applies; i++)
		n->applies[i].orphan |= n->applies[i].from == peer;
	world_simple_event(world, node, VOLUME_EVENT_PEER_DOWN, peer);
	world_run(world);
	path_retry(world, node, false);
	world_run(world);
}

static void format(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	struct ondisk_super *super = &n->disk.super;
	struct generation record = { .id = 1, .number = 1, .members = (1u << world->nr_nodes) - 1, .writer = 0, .written = true };
	u32 slot;

	memset(super, 0, sizeof(*super));
	super->volume_id = 7;
	super->replica_id = world_replica_id(node);
	/* Greetings are numbered from 1: the number base of each life (volume.c) is 0 here. */
	super->attach_count = -(super->replica_id * 0x9e3779b97f4a7c15ull >> 32);
	super->volume_bytes = world->nr_blocks * (u64)world_block_bytes(world);
	super->granule_bytes = world_block_bytes(world);
	super->actlog_parts = 1;
	super->node_id = node;
	super->replicas = record.members;
	super->split_peer = NODE_NONE;
	super->chain.count = 1;
	super->chain.record[0] = record;
	for (slot = 0; slot < REPLICAS_MAX; slot++) {
		bool other = slot < world->nr_nodes && slot != node;

		super->slot_node[slot] = other ? (u8)slot : NODE_NONE;
		super->slot_replica[slot] = other ? world_replica_id((u8)slot) : 0;
	}
}

/*
 * A replica as it is when it was made a moment ago and knows of the others, but has met none: they lack everything [R2]. Node 0's
 * is the only member of the first generation, which nobody wrote under.
 */
static void format_new(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	struct ondisk_super *super = &n->disk.super;
	bool blank = node ? world->first != FIRST_JUNK : world->first != FIRST_DATA;
	u8 i, all = (u8)((1u << world->nr_blocks) - 1), content = node && !blank ? WORLD_JUNK : !blank;

	super->chain.count = !node;
	super->chain.record[0] = (struct generation){ .id = 1, .number = 1, .members = NODE_BIT(0), .writer = NODE_NONE };
	super->flags = blank ? ONDISK_BLANK : 0;
	memset(super->slot_replica, 0, sizeof(super->slot_replica));
	for (i = 0; i < world->nr_nodes; i++)
		n->disk_map[i] = i == node ? 0 : all;
	memset(n->platter, content, sizeof(n->platter));
	memset(n->cache, content, sizeof(n->cache));
}

/* What node 0 has from before is acknowledged, and flushed. */
static void init_first(struct world *world)
{
	world->real[1] = false;
	world->next_stamp = world->first == FIRST_DATA;
	memset(world->acked, world->next_stamp, sizeof(world->acked));
	memset(world->firm, world->next_stamp, sizeof(world->firm));
}

/* All replicas attached, no session yet. The budgets are the caller's to set. */
void world_init(struct world *world)
{
	u8 i;

	world->next_generation = 2;
	world->next_id = 100;
	world->real[1] = true;
	if (world->first)
		init_first(world);
	for (i = 0; i < world->nr_nodes; i++) {
		format(world, i);
		if (world->first)
			format_new(world, i);
		world->node[i].pending = world->node[i].disk;
		world_boot(world, i);
	}
}
