// SPDX-License-Identifier: GPL-2.0
/*
 * The simulated world: machines, network, engine of each volume, metadata. The data path is in path.c.
 */
#include <stdarg.h>

#include "path.h"
#include "world.h"
#include "../lib/random.h"

static struct world *traced;

void core_trace(u64 id, const char *text)
{
	(void)id;
	if (traced)
		world_trace(traced, "      core: %s", text);
}

void world_trace(struct world *world, const char *format, ...)
{
	va_list args;

	if (!getenv("BRAID_TRACE"))
		return;
	printf("%8llu ", (unsigned long long)world->steps);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

void world_violation(struct world *world, const char *label, const char *format, ...)
{
	va_list args;

	printf("VIOLATION %s at step %llu: ", label, (unsigned long long)world->steps);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\nreplay: sim SEED=%llu (BRAID_TRACE=1 for the trace)\n", (unsigned long long)world->seed);
	fflush(stdout);
	abort();
}

u64 world_random(void)
{
	return random_u64();
}

u64 world_block_offset(u32 block)
{
	return (u64)block * 5 * 1024 * 1024 + 8192;
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

static void queue_clear(struct queue *queue)
{
	while (queue->nr) {
		struct message *message = queue->entry[queue->first];

		free(message->body);
		free(message);
		queue->first = (queue->first + 1) % WORLD_MESSAGES_MAX;
		queue->nr--;
	}
}

void world_send(struct world *world, u8 from, u8 to, bool control, const struct message *message)
{
	struct queue *queue = control ? &world->control[from][to] : &world->data[from][to];
	struct message *copy;

	if (!world->node[from].session[to] || !world->node[to].session[from])
		return;
	if (queue->nr == WORLD_MESSAGES_MAX)
		world_violation(world, "bound", "queue %u -> %u is full", from, to);
	copy = malloc(sizeof(*copy));
	*copy = *message;
	queue->entry[(queue->first + queue->nr++) % WORLD_MESSAGES_MAX] = copy;
}

/* ---- engine ---- */

static void push_event(struct world *world, u8 node, const struct volume_event *event)
{
	struct node *n = &world->node[node];

	if (n->nr_events == CORE_ARRAY_SIZE(n->events))
		world_violation(world, "bound", "event queue of %u is full", node);
	n->events[n->nr_events] = *event;
	if (event->body) {
		union wire_body *body = malloc(sizeof(*body));

		*body = *event->body;
		n->events[n->nr_events].body = body;
	}
	n->nr_events++;
}

void world_event(struct world *world, u8 node, const struct volume_event *event)
{
	push_event(world, node, event);
}

static void simple_event(struct world *world, u8 node, enum volume_event_type type, u8 peer)
{
	struct volume_event event = { .type = type, .node = peer };

	push_event(world, node, &event);
}

static void send_frame(struct world *world, u8 from, const struct volume_action *action)
{
	struct message message = { .kind = MESSAGE_FRAME, .frame_type = action->frame_type };

	if (!world->node[from].session[action->node] || !world->node[action->node].session[from])
		return;
	message.body = malloc(sizeof(*message.body));
	volume_fill(&world->node[from].volume, action, message.body);
	world_send(world, from, action->node, true, &message);
}

static void send_ranges_frame(struct world *world, u8 from, u8 to, u8 map_node, u64 start, u64 length, bool end)
{
	struct message message = { .kind = MESSAGE_FRAME, .frame_type = end ? WIRE_RANGES_END : WIRE_RANGES };

	if (!world->node[from].session[to] || !world->node[to].session[from])
		return;
	message.body = calloc(1, sizeof(*message.body));
	if (end) {
		message.body->volume.node = map_node;
	} else {
		message.body->ranges.node = map_node;
		message.body->ranges.nr = 1;
		message.body->ranges.range[0].start_bytes = start;
		message.body->ranges.range[0].length_bytes = length;
	}
	world_send(world, from, to, true, &message);
}

static void send_ranges(struct world *world, u8 from, const struct volume_action *action)
{
	struct volume *volume = &world->node[from].volume;
	struct volume_peer *peer = volume_peer(volume, action->map_node);
	u64 at = 0, start, length;
	u32 slot, region;

	while (peer && dirty_next(&peer->map, at, 16 << 20, &start, &length)) {
		send_ranges_frame(world, from, action->node, action->map_node, start, length, false);
		at = start + length;
	}
	if (action->with_log)
		for (slot = actlog_next(&volume->log, 0, &region); slot != ACTLOG_NO_SLOT;
		     slot = actlog_next(&volume->log, slot + 1, &region))
			send_ranges_frame(world, from, action->node, action->map_node,
					  (u64)region * ACTLOG_REGION_BYTES, ACTLOG_REGION_BYTES, false);
	send_ranges_frame(world, from, action->node, action->map_node, 0, 0, true);
}

static void perform(struct world *world, u8 node, const struct volume_action *action)
{
	struct node *n = &world->node[node];

	switch (action->type) {
	case VOLUME_DO_SEND:
		send_frame(world, node, action);
		break;
	case VOLUME_DO_SEND_RANGES:
		send_ranges(world, node, action);
		break;
	case VOLUME_DO_SAVE_SUPER:
		n->saves[n->nr_saves].token = action->token;
		n->saves[n->nr_saves++].maps_first = action->maps_first;
		break;
	case VOLUME_DO_LOG_RESET:
		n->reset_wanted = true;
		break;
	case VOLUME_DO_MISSED:
		path_missed(world, node, action->node);
		break;
	case VOLUME_DO_RELEASE:
		path_release(world, node, action->node);
		break;
	case VOLUME_DO_GATE:
		break;		/* waiting writes are tried at random anyway */
	case VOLUME_DO_RESYNC_START:
		path_resync_start(world, node, action->node);
		break;
	case VOLUME_DO_RESYNC_STOP:
		path_resync_stop(world, node, action->node);
		break;
	case VOLUME_DO_END_SESSION:
		world_trace(world, "%u ends its session with %u, reason %u", node, action->node, action->reason);
		if (action->reason == WIRE_BYE_VERDICT)
			world_violation(world, "I9", "%u and %u disagree", node, action->node);
		n->session[action->node] = false;
		simple_event(world, node, VOLUME_EVENT_PEER_DOWN, action->node);
		break;
	case VOLUME_DO_COMMAND_DONE:
		n->command_pending = false;
		n->command_refusal = action->refusal;
		world_trace(world, "%u: command done: %s", node, volume_refusal_name(action->refusal));
		break;
	case VOLUME_DO_CHANGED:
		break;
	}
}

static void trace_relations(struct world *world, u8 node)
{
	const struct volume *v = &world->node[node].volume;
	const struct generation *tail = lineage_tail(&v->super.chain);
	char text[256];
	int at = 0;
	u8 i;

	for (i = 0; i < world->nr_nodes; i++) {
		const struct volume_peer *peer = volume_peer_const(v, i);

		if (peer)
			at += snprintf(text + at, sizeof(text) - (size_t)at, " %u:%s/%s/%llu", i,
				       volume_relation_name(peer->relation), volume_plan_name(peer->plan),
				       (unsigned long long)peer->map.nr_set);
	}
	world_trace(world, "    %u %s%s gen %llu{%x}%s stream %x rec %x prim %d%s", node,
		    v->role == VOLUME_PRIMARY ? "PRIMARY" : "secondary",
		    v->super.flags & ONDISK_SYNCING ? " SYNCING" : "", tail ? (unsigned long long)tail->number : 0,
		    tail ? tail->members : 0, tail && tail->written ? "w" : "", v->streaming, v->super.reconcile,
		    v->primary == NODE_NONE ? -1 : v->primary, text);
}

static void engine_step(struct world *world, u8 node)
{
	static struct volume_actions actions;
	struct node *n = &world->node[node];
	struct volume_event event = n->events[0];
	u32 i, joined = 0;

	n->nr_events--;
	memmove(&n->events[0], &n->events[1], n->nr_events * sizeof(event));
	event.random = random_u64() | 1;
	world_trace(world, "%u: event %u frame %s from %u", node, event.type,
		    event.type == VOLUME_EVENT_FRAME ? wire_type_name(event.frame_type) : "-", event.node);
	if (event.type == VOLUME_EVENT_PEER_DOWN)
		path_peer_down(world, node, event.node);
	for (i = 0; i < REPLICAS_MAX; i++)
		joined += n->volume.peer[i].relation == VOLUME_IN_SYNC;
	volume_step(&n->volume, &event, &actions);
	for (i = 0; i < REPLICAS_MAX; i++)
		joined -= n->volume.peer[i].relation == VOLUME_IN_SYNC;
	world->count_joins += joined != 0;
	free((void *)event.body);
	if (actions.nr == VOLUME_ACTIONS_MAX)
		world_violation(world, "bound", "too many actions");
	trace_relations(world, node);
	for (i = 0; i < actions.nr; i++)
		perform(world, node, &actions.action[i]);
}

/* ---- metadata ---- */

void world_save_maps(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	u32 slot;

	(void)world;
	for (slot = 0; slot < REPLICAS_MAX; slot++) {
		struct dirty_map *map = &n->volume.peer[slot].map;
		u8 bits[DIRTY_PAGE_BYTES], body[META_BODY_BYTES];
		bool page, index;
		u32 entry = 0;

		while ((entry = dirty_save_next(map, entry, bits, &page, &index)) < map->nr_entries) {
			if (page)
				memcpy(n->disk_bits[slot][entry], bits, sizeof(bits));
			dirty_index_encode(map, 0, body);
			n->disk_state[slot][entry] = body[entry / 4] >> (entry % 4 * 2) & 3;
			dirty_save_end(map, entry, true);
			entry++;
		}
	}
}

static void complete_save(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	struct volume_event event = { .type = VOLUME_EVENT_SUPER_SAVED, .token = n->saves[0].token, .ok = true };

	if (n->saves[0].maps_first)
		world_save_maps(world, node);
	n->disk_super = n->volume.super;
	n->nr_saves--;
	memmove(&n->saves[0], &n->saves[1], n->nr_saves * sizeof(n->saves[0]));
	push_event(world, node, &event);
}

static void complete_reset(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	struct volume_event event = { .type = VOLUME_EVENT_LOG_RESET, .ok = true };

	if (n->committing || path_applying(world, node))
		return;
	memcpy(n->platter, n->cache, sizeof(n->platter));
	world_save_maps(world, node);
	if (actlog_clear(&n->volume.log))
		return;
	memset(n->disk_log, 0, sizeof(n->disk_log));
	n->reset_wanted = false;
	push_event(world, node, &event);
}

/* ---- machines and sessions ---- */

static void lose_session(struct world *world, u8 node, u8 peer)
{
	if (!world->node[node].session[peer])
		return;
	world->node[node].session[peer] = false;
	if (world->node[node].up)
		simple_event(world, node, VOLUME_EVENT_PEER_DOWN, peer);
}

void world_crash(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	u32 i, keep = (u32)random_u64();

	world_trace(world, "%u loses power", node);
	world->count_crashes++;
	n->up = false;
	for (i = 0; i < n->nr_events; i++)
		free((void *)n->events[i].body);
	n->nr_events = 0;
	n->nr_saves = 0;
	n->command_pending = false;
	for (i = 0; i < WORLD_BLOCKS; i++)	/* any subset of the cache may have been written back */
		if (keep >> i & 1)
			n->platter[i] = n->cache[i];
	for (i = 0; i < world->nr_nodes; i++) {
		n->session[i] = false;
		queue_clear(&world->control[i][node]);
		queue_clear(&world->data[i][node]);
		queue_clear(&world->control[node][i]);
		queue_clear(&world->data[node][i]);
	}
}

static void load_maps(struct node *n)
{
	u32 slot;

	for (slot = 0; slot < REPLICAS_MAX; slot++) {
		struct dirty_map *map = &n->volume.peer[slot].map;
		u8 body[META_BODY_BYTES] = { 0 };
		u32 entry;

		for (entry = 0; entry < map->nr_entries; entry++)
			body[entry / 4] |= (u8)(n->disk_state[slot][entry] << (entry % 4 * 2));
		dirty_load_index(map, 0, body);
		while ((entry = dirty_load_next_mixed(map, 0)) < map->nr_entries)
			dirty_load_page(map, entry, n->disk_bits[slot][entry]);
	}
}

void world_boot(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	struct dirty_entry *entries[REPLICAS_MAX];
	struct volume_event event = { .type = VOLUME_EVENT_ONLINE };
	u32 i;

	world_trace(world, "%u boots", node);
	memset(&n->volume, 0, sizeof(n->volume));
	memset(n->writes, 0, sizeof(n->writes));
	memset(n->applies, 0, sizeof(n->applies));
	memset(n->resync, 0, sizeof(n->resync));
	n->committing = n->reset_wanted = n->evicting = false;
	dirty_pool_init(&n->pool, n->pages, n->next_free, CORE_ARRAY_SIZE(n->pages));
	for (i = 0; i < REPLICAS_MAX; i++)
		entries[i] = n->entries[i];
	volume_init(&n->volume, &n->disk_super, node, &n->pool, entries);
	actlog_init(&n->volume.log, n->slots, n->hash, 1, WORLD_VOLUME_BYTES);
	memcpy(n->cache, n->platter, sizeof(n->cache));
	load_maps(n);
	volume_written_found(&n->volume, n->disk_written_id);
	for (i = 0; i < CORE_ARRAY_SIZE(n->disk_log); i++)
		if (n->disk_log[i])
			volume_log_found(&n->volume, i);
	world_save_maps(world, node);
	n->disk_super = n->volume.super;
	memset(n->disk_log, 0, sizeof(n->disk_log));
	n->up = true;
	push_event(world, node, &event);
}

void world_cut(struct world *world, u8 a, u8 b, bool cut)
{
	world->cut[a][b] = cut;
	world->cut[b][a] = cut;
	world->count_cuts += cut;
	world_trace(world, "link %u-%u %s", a, b, cut ? "cut" : "heals");
}

/* Sessions follow the links: each end notices by itself; a new one starts when both have noticed. */
static bool session_step(struct world *world)
{
	u8 a = (u8)(random_u64() % world->nr_nodes), b = (u8)(random_u64() % world->nr_nodes);
	struct node *x = &world->node[a], *y = &world->node[b];

	if (a == b || !x->up)
		return false;
	if (x->session[b]) {
		bool pending = world->control[b][a].nr || world->data[b][a].nr;

		if (!y->up || !y->session[a] || (world->cut[a][b] && !pending) || (world->cut[a][b] && random_u64() % 2)) {
			queue_clear(&world->control[b][a]);
			queue_clear(&world->data[b][a]);
			lose_session(world, a, b);
			return true;
		}
		return false;
	}
	if (!y->up || y->session[a] || world->cut[a][b])
		return false;
	queue_clear(&world->control[a][b]);
	queue_clear(&world->data[a][b]);
	queue_clear(&world->control[b][a]);
	queue_clear(&world->data[b][a]);
	x->session[b] = y->session[a] = true;
	x->session_number[b]++;
	y->session_number[a]++;
	simple_event(world, a, VOLUME_EVENT_PEER_UP, b);
	simple_event(world, b, VOLUME_EVENT_PEER_UP, a);
	return true;
}

static bool deliver(struct world *world, u8 from, u8 to, bool control)
{
	struct queue *queue = control ? &world->control[from][to] : &world->data[from][to];
	struct message *message;

	if (!queue->nr || !world->node[to].up || !world->node[to].session[from])
		return false;
	message = queue->entry[queue->first];
	queue->first = (queue->first + 1) % WORLD_MESSAGES_MAX;
	queue->nr--;
	if (message->kind == MESSAGE_FRAME) {
		struct volume_event event = { .type = VOLUME_EVENT_FRAME, .node = from,
					      .frame_type = message->frame_type, .body = message->body };

		push_event(world, to, &event);
	} else {
		path_receive(world, from, to, message);
	}
	free(message->body);
	free(message);
	return true;
}

static void format(struct node *n, u8 node, u32 nr_nodes)
{
	struct ondisk_super *super = &n->disk_super;
	struct generation record = { .id = 1, .number = 1, .members = (1u << nr_nodes) - 1, .writer = 0, .written = true };
	u32 slot;

	super->volume_id = 7;
	super->replica_id = 100u + node;
	super->volume_bytes = WORLD_VOLUME_BYTES;
	super->granule_bytes = GRANULE_BYTES_MIN;
	super->actlog_parts = 1;
	super->node_id = node;
	super->replicas = record.members;
	super->chain.count = 1;
	super->chain.record[0] = record;
	for (slot = 0; slot < REPLICAS_MAX; slot++)
		super->slot_node[slot] = NODE_NONE;
	for (slot = 0; slot < nr_nodes; slot++)
		if (slot != node)
			super->slot_node[slot] = (u8)slot;
}

void world_init(struct world *world, u64 seed, u32 nr_nodes)
{
	u8 i;

	memset(world, 0, sizeof(*world));
	world->seed = seed;
	world->nr_nodes = nr_nodes;
	random_state = seed;
	traced = world;
	for (i = 0; i < nr_nodes; i++) {
		format(&world->node[i], i, nr_nodes);
		world_boot(world, i);
	}
}

void world_free(struct world *world)
{
	u8 a, b;
	u32 i;

	for (a = 0; a < world->nr_nodes; a++) {
		for (b = 0; b < world->nr_nodes; b++) {
			queue_clear(&world->control[a][b]);
			queue_clear(&world->data[a][b]);
		}
		for (i = 0; i < world->node[a].nr_events; i++)
			free((void *)world->node[a].events[i].body);
	}
}

bool world_step(struct world *world)
{
	u32 tries;

	world->steps++;
	for (tries = 0; tries < 400; tries++) {
		u8 node = (u8)(random_u64() % world->nr_nodes), peer = (u8)(random_u64() % world->nr_nodes);
		struct node *n = &world->node[node];
		bool did = false;

		switch (random_u64() % 8) {
		case 0:
			did = session_step(world);
			break;
		case 1:
		case 2:
			did = node != peer && deliver(world, peer, node, random_u64() % 2);
			break;
		case 3:
			did = n->up && n->nr_events;
			if (did)
				engine_step(world, node);
			break;
		case 4:
			did = n->up && n->nr_saves;
			if (did)
				complete_save(world, node);
			break;
		case 5:
			did = n->up && n->reset_wanted;
			if (did)
				complete_reset(world, node);
			break;
		default:
			did = n->up && path_step(world, node);
			break;
		}
		if (did)
			return true;
	}
	return false;
}
