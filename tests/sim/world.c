// SPDX-License-Identifier: GPL-2.0
/*
 * The simulated world: machines, engine of each volume, ends of sessions, the network, the clock.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "world.h"

bool world_tracing;
static struct world *traced;

void core_trace(u64 id, const char *text)
{
	(void)id;
	if (world_tracing && traced)
		world_trace(traced, "      core: %s", text);
}

void world_trace(struct world *world, const char *format, ...)
{
	va_list args;

	if (!world_tracing)
		return;
	printf("%7llu %9llu ", (unsigned long long)world->steps, (unsigned long long)world->now_us);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

u64 world_random(struct world *world)
{
	u64 z = world->chance += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

u32 world_below(struct world *world, u32 limit)
{
	return (u32)((world_random(world) >> 32) * limit >> 32);
}

bool world_percent(struct world *world, u32 percent)
{
	return world_below(world, 100) < percent;
}

bool world_is_primary(const struct world *world, u8 node)
{
	return world->node[node].attached && world->node[node].volume.role == VOLUME_PRIMARY;
}

u8 world_primary(const struct world *world)
{
	u8 i;

	for (i = 0; i < world->nr_nodes; i++)
		if (world_is_primary(world, i))
			return i;
	return NODE_NONE;
}

/* ---- messages ---- */

struct message *world_message(struct world *world, enum message_kind kind)
{
	struct message *message = world->free_messages;

	if (message)
		world->free_messages = message->next;
	else
		message = malloc(sizeof(*message));
	memset(message, 0, sizeof(*message));
	message->kind = kind;
	return message;
}

void world_message_free(struct world *world, struct message *message)
{
	free(message->body);
	message->next = world->free_messages;
	world->free_messages = message;
}

struct message *world_lane_take(struct lane *lane)
{
	struct message *message = lane->first;

	lane->first = message->next;
	if (!lane->first)
		lane->last = NULL;
	lane->nr--;
	return message;
}

void world_lanes_clear(struct world *world, u8 from, u8 to)
{
	u32 i;

	for (i = 0; i < WORLD_LANES; i++)
		while (world->lane[from][to][i].nr)
			world_message_free(world, world_lane_take(&world->lane[from][to][i]));
}

void world_send(struct world *world, u8 from, u8 to, u32 index, struct message *message)
{
	struct lane *lane = &world->lane[from][to][index];
	struct node *n = &world->node[from];
	u64 latency_us = world->slow[from][to] ? world->knobs.slow_us : world->knobs.latency_us;

	/* [dispatch.c] Only within the session that this volume has seen begin. */
	if (!n->session[to] || n->session[to] != n->volume_session[to]) {
		world_message_free(world, message);
		return;
	}
	if (lane->nr == LANE_MESSAGES_MAX)
		world_violation(world, "bound", "lane %u of %u -> %u is full", index, from, to);
	message->ready_us = world->now_us + 1 + world_below(world, (u32)latency_us);
	if (message->ready_us < lane->last_ready_us)	/* a lane is a TCP stream */
		message->ready_us = lane->last_ready_us;
	lane->last_ready_us = message->ready_us;
	message->next = NULL;
	if (lane->last)
		lane->last->next = message;
	else
		lane->first = message;
	lane->last = message;
	lane->nr++;
}

/* ---- events ---- */

void world_event(struct world *world, u8 node, const struct volume_event *event)
{
	struct node *n = &world->node[node];
	u32 at;

	if (n->nr_events == WORLD_EVENTS_MAX)
		world_violation(world, "bound", "event queue of %u is full", node);
	at = (n->first_event + n->nr_events++) % WORLD_EVENTS_MAX;
	n->events[at] = *event;
}

void world_event_simple(struct world *world, u8 node, enum volume_event_type type, u8 peer)
{
	struct volume_event event = { .type = type, .node = peer };

	world_event(world, node, &event);
}

static void events_drop(struct node *n)
{
	while (n->nr_events) {
		free((void *)n->events[n->first_event].body);
		n->first_event = (n->first_event + 1) % WORLD_EVENTS_MAX;
		n->nr_events--;
	}
}

/* ---- engine ---- */

static void send_frame(struct world *world, u8 from, const struct volume_action *action)
{
	struct message *message = world_message(world, MESSAGE_FRAME);

	message->frame_type = action->frame_type;
	message->body = malloc(sizeof(*message->body));
	volume_fill(&world->node[from].volume, action, message->body);
	world_trace(world, "      %u -> %u: %s %u", from, action->node, wire_type_name(action->frame_type),
		    action->frame_type == WIRE_GREET ? message->body->greet.number : action->frame.number);
	world_send(world, from, action->node, 0, message);
}

static void send_ranges_frame(struct world *world, u8 from, u8 to, u8 map_node, u64 start, u64 length, bool end)
{
	struct message *message = world_message(world, MESSAGE_FRAME);

	message->frame_type = end ? WIRE_RANGES_END : WIRE_RANGES;
	message->body = calloc(1, sizeof(*message->body));
	if (end) {
		message->body->volume.node = map_node;
	} else {
		message->body->ranges.node = map_node;
		message->body->ranges.nr = 1;
		message->body->ranges.range[0].start_bytes = start;
		message->body->ranges.range[0].length_bytes = length;
	}
	world_send(world, from, to, 0, message);
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

static void command_done(struct world *world, u8 node, const struct volume_action *action)
{
	struct node *n = &world->node[node];

	n->command_pending = false;
	n->resolving = false;
	n->command_refusal = action->refusal;
	if (n->demote == DEMOTE_ASKED) {
		n->demote = DEMOTE_NONE;
		volume_unquiesce(&n->volume);
	}
	world_trace(world, "%u: command done: %s", node, volume_refusal_name(action->refusal));
}

static void perform(struct world *world, u8 node, const struct volume_action *action)
{
	struct save_request save = { .kind = SAVE_SUPER, .token = action->token, .maps_first = action->maps_first };

	switch (action->type) {
	case VOLUME_DO_SEND:
		send_frame(world, node, action);
		break;
	case VOLUME_DO_SEND_RANGES:
		send_ranges(world, node, action);
		break;
	case VOLUME_DO_SAVE_SUPER:
		meta_save(world, node, &save);
		break;
	case VOLUME_DO_LOG_RESET:
		save.kind = SAVE_RESET;
		meta_save(world, node, &save);
		break;
	case VOLUME_DO_MISSED:
		path_missed(world, node, action->node);
		break;
	case VOLUME_DO_RELEASE:
		path_release(world, node, action->node);
		break;
	case VOLUME_DO_GATE:		/* what waits is tried again and again anyway */
		path_gate(world, node);
		break;
	case VOLUME_DO_CHANGED:
		break;
	case VOLUME_DO_RESYNC_START:
		sync_start(world, node, action->node);
		break;
	case VOLUME_DO_RESYNC_STOP:
		sync_stop(world, node, action->node);
		break;
	case VOLUME_DO_END_SESSION:
		world_trace(world, "%u ends its session with %u, reason %u", node, action->node, action->reason);
		if (action->reason == WIRE_BYE_VERDICT)
			world_violation(world, "I9", "%u and %u disagree", node, action->node);
		if (world->node[node].volume_session[action->node] == world->node[node].session[action->node])
			world_end_session(world, node, action->node);
		break;
	case VOLUME_DO_COMMAND_DONE:
		command_done(world, node, action);
		break;
	}
}

void world_describe(struct world *world, u8 node)
{
	const struct volume *v = &world->node[node].volume;
	const struct generation *tail = lineage_tail(&v->super.chain);
	u8 i;

	printf("    %u %s%s%s%s%s gen %llu{%x}%s stream %x rec %x prim %d auth %u", node,
	       !world->node[node].attached ? "off" : v->role == VOLUME_PRIMARY ? "PRIMARY" : "secondary",
	       v->disk == VOLUME_DISK_OK ? "" : " NO-DISK", v->super.flags & ONDISK_SYNCING ? " SYNCING" : "",
	       v->super.flags & ONDISK_SPLIT ? " SPLIT" : "", v->super.flags & ONDISK_YIELD ? " YIELD" : "",
	       tail ? (unsigned long long)tail->number : 0, tail ? tail->members : 0, tail && tail->written ? "w" : "",
	       v->streaming, v->super.reconcile, v->primary == NODE_NONE ? -1 : v->primary, v->authority);
	for (i = 0; i < world->nr_nodes; i++) {
		const struct volume_peer *peer = volume_peer_const(v, i);

		if (peer)
			printf(" %u:%s/%s/%llu", i, volume_relation_name(peer->relation), volume_plan_name(peer->plan),
			       (unsigned long long)peer->map.nr_set);
	}
	putchar('\n');
}

static void trace_event(struct world *world, u8 node, const struct volume_event *event)
{
	static const char *const names[] = { "online", "peer-up", "peer-down", "frame", "super-saved", "log-reset",
		"disk-failed", "peer-io-failed", "io-waits", "resync-dry", "resync-failed", "promote", "promote-cancel",
		"demote", "resolve", "forget", "facts", "going-down" };

	if (!world_tracing)
		return;
	if (event->type == VOLUME_EVENT_FRAME && event->frame_type == WIRE_GREET)
		world_trace(world, "%u: greeting %u of %u: flags %x sync source %d primary %d", node, event->body->greet.number,
			    event->node, event->body->greet.flags, (signed char)event->body->greet.sync_source,
			    (signed char)event->body->greet.primary);
	else if (event->type == VOLUME_EVENT_FRAME && event->frame_type == WIRE_VERDICT)
		world_trace(world, "%u: verdict of %u: its %u, mine %u: %s, %s", node, event->node,
			    event->body->verdict.my_number, event->body->verdict.your_number,
			    lineage_verdict_name(event->body->verdict.verdict), volume_plan_name(event->body->verdict.plan));
	else
		world_trace(world, "%u: %s%s%s of %d", node, names[event->type],
			    event->type == VOLUME_EVENT_FRAME ? " " : "",
			    event->type == VOLUME_EVENT_FRAME ? wire_type_name(event->frame_type) : "",
			    event->node == NODE_NONE ? -1 : event->node);
}

static void session_seen(struct world *world, u8 node, const struct volume_event *event)
{
	struct node *n = &world->node[node];

	if (event->type == VOLUME_EVENT_PEER_UP)
		n->volume_session[event->node] = (u32)event->value;
	if (event->type != VOLUME_EVENT_PEER_DOWN)
		return;
	n->volume_session[event->node] = 0;
}

/* The core computes it from whole parts of the log; the logs here are smaller than one. */
static void limit_log(struct world *world, u8 node)
{
	struct volume *v = &world->node[node].volume;
	u32 limit = 0;
	u8 i;

	for (i = 0; i < world->nr_nodes; i++)
		if (v->log.busy_limit && v->streaming >> i & 1 && world->knobs.log_slots[i] &&
		    (!limit || world->knobs.log_slots[i] < limit))
			limit = world->knobs.log_slots[i];
	if (limit)
		v->log.busy_limit = limit;
}

void world_engine_step(struct world *world, u8 node)
{
	static struct volume_actions actions;
	struct node *n = &world->node[node];
	struct volume_event event = n->events[n->first_event];
	enum volume_role before = n->volume.role;
	u32 i;

	n->first_event = (n->first_event + 1) % WORLD_EVENTS_MAX;
	n->nr_events--;
	event.random = world_random(world) | 1;
	trace_event(world, node, &event);
	session_seen(world, node, &event);
	meta_give_slots(n, &event);
	volume_step(&n->volume, &event, &actions);
	limit_log(world, node);
	world->core_steps++;
	free((void *)event.body);
	if (actions.nr == VOLUME_ACTIONS_MAX)
		world_violation(world, "bound", "too many actions");
	if (world_tracing)
		world_describe(world, node);
	if (event.type == VOLUME_EVENT_PEER_DOWN) {
		path_peer_down(world, node, event.node);
		sync_stop(world, node, event.node);
	}
	for (i = 0; i < actions.nr; i++)
		perform(world, node, &actions.action[i]);
	if (event.type == VOLUME_EVENT_GOING_DOWN) {
		struct save_request save = { .kind = SAVE_DETACH };

		path_fail_queued(world, node);
		meta_save(world, node, &save);
	}
	check_after_step(world, node, before);
}

/* ---- machines and sessions ---- */

void world_end_session(struct world *world, u8 node, u8 peer)
{
	struct node *n = &world->node[node];

	if (!n->session[peer])
		return;
	n->session[peer] = 0;
	if (n->listed)
		world_event_simple(world, node, VOLUME_EVENT_PEER_DOWN, peer);
}

void world_power_cut(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	u32 cell;
	u8 i;

	world_trace(world, "%u loses power", node);
	world->count_crashes++;
	check_before_power_cut(world, node);
	path_power_cut(world, node);
	meta_torn(world, node);
	for (cell = 0; cell < WORLD_CELLS; cell++) {	/* any part of the cache may have been written back */
		if (world_random(world) & 1)
			n->disk.platter[cell] = n->disk.cache[cell];
		n->disk.cache[cell] = n->disk.platter[cell];
	}
	n->powered = n->attached = n->listed = n->detaching = false;
	n->command_pending = false;
	n->resolving = false;
	events_drop(n);
	for (i = 0; i < world->nr_nodes; i++) {
		n->session[i] = 0;
		world_lanes_clear(world, i, node);
		world_lanes_clear(world, node, i);
	}
}

void world_boot(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	u8 other;

	if (!n->powered)
		world_trace(world, "%u boots", node);
	n->powered = true;
	/* Who called it down saw it so, and it is no longer (seed 276020, 4 nodes). */
	for (other = 0; other < world->nr_nodes; other++)
		if (world->node[other].command_down >> node & 1)
			world->node[other].command_sure = false;
	if (!meta_attach(world, node))
		world_trace(world, "%u: metadata refused", node);
}

void world_cut(struct world *world, u8 from, u8 to, bool cut)
{
	world->count_cuts += cut && !world->cut[from][to];
	world->cut[from][to] = cut;
	world_trace(world, "link %u -> %u %s", from, to, cut ? "cut" : "heals");
}

/* ---- life ---- */

void world_init(struct world *world, u64 seed, u32 nr_nodes)
{
	u8 i;

	memset(world, 0, sizeof(*world));
	world->seed = seed;
	world->nr_nodes = nr_nodes;
	world->chance = seed * 0x2545f4914f6cdd1dull + 1;
	world->knobs = (struct knobs){ .latency_us = 200, .slow_us = 20000, .fault_every = 200, .workload_percent = 15,
				       .flush_percent = 15, .read_percent = 20 };
	traced = world;
	check_init(world);
	for (i = 0; i < nr_nodes; i++)
		meta_format(world, i, FORMAT_ALIKE, 0);
}

void world_free(struct world *world)
{
	struct message *message;
	u8 a, b;

	for (a = 0; a < world->nr_nodes; a++) {
		for (b = 0; b < world->nr_nodes; b++)
			world_lanes_clear(world, a, b);
		events_drop(&world->node[a]);
	}
	while ((message = world->free_messages)) {
		world->free_messages = message->next;
		free(message);
	}
}
