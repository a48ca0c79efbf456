// SPDX-License-Identifier: GPL-2.0
/*
 * The data plane of the explorer's nodes: what io*.c, apply.c, sync*.c and the group commit do in the module. All decisions
 * are the core's: gate, who must acknowledge, what is marked, when the log allows what.
 */
#include <stdio.h>

#include "world.h"

bool path_block_busy(const struct world *world, u8 node, u8 block)
{
	const struct node *n = &world->node[node];
	u32 i;

	if (n->writes[block].state > WRITE_GATED)
		return true;
	for (i = 0; i < world->nr_nodes; i++)
		if (n->resync[i].running && n->resync[i].locked >> block & 1)
			return true;
	for (i = 0; i < n->nr_applies; i++)
		if (n->applies[i].slot == block)
			return true;
	return false;
}

/* ---- the log ---- */

void path_commit(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	struct actlog *log = &n->volume.log;
	u32 slot, region;
	u64 mark;

	if (!actlog_commit_begin(log))
		return;
	mark = volume_mark_id(&n->volume);
	n->disk_log = 0;
	for (slot = actlog_next(log, 0, &region); slot != ACTLOG_NO_SLOT; slot = actlog_next(log, slot + 1, &region))
		n->disk_log |= (u8)(1u << region);
	if (mark)
		n->disk_written_id = mark;
	actlog_commit_end(log, true);
	volume_marked(&n->volume, mark);
}

/* ---- the primary's writes ---- */

static void send_write(struct world *world, u8 node, u8 slot)
{
	const struct world_write *w = &world->node[node].writes[slot];
	u8 peer;

	for (peer = 0; peer < world->nr_nodes; peer++) {
		struct message *message;

		if (peer == node || !volume_waits_for(&w->ack, peer))
			continue;
		message = world_send(world, node, peer, false);
		if (!message)
			continue;
		message->kind = MESSAGE_WRITE;
		message->slot = slot;
		message->stamp = w->stamp;
		message->id = w->id;
		message->epoch = w->epoch;
		message->generation_id = w->generation_id;
	}
}

static void finish(struct world *world, u8 node, u8 slot)
{
	struct node *n = &world->node[node];
	struct world_write *w = &n->writes[slot];
	u32 i;

	if (slot == WORLD_FLUSH) {
		actlog_flush_end(&n->volume.log, w->epoch);
		for (i = 0; i < world->nr_blocks; i++)
			if (w->firm[i] > world->firm[i])
				world->firm[i] = w->firm[i];
	} else {
		actlog_put(&n->volume.log, world_region(world, slot), true);
		if (w->stamp > world->acked[slot])
			world->acked[slot] = w->stamp;
	}
	world_trace("%u: %s is acknowledged", node, slot == WORLD_FLUSH ? "flush" : "write");
	volume_end(&n->volume, &w->ack);
	memset(w, 0, sizeof(*w));
	path_retry(world, node, false);
}

/* Past the gate: [D1] [G2] [W3], all in one hold of the volume's lock. */
static void begin(struct world *world, u8 node, u8 slot)
{
	struct node *n = &world->node[node];
	struct volume *v = &n->volume;
	struct world_write *w = &n->writes[slot];
	const struct generation *tail = lineage_tail(&v->super.chain);
	bool flush = slot == WORLD_FLUSH, ready = true;

	if (tail->writer != node)
		world_violation(world, "I12", "node %u writes under a generation of %u", node, tail->writer);
	w->epoch = (u32)v->log.epoch;
	if (flush) {
		w->epoch = (u32)actlog_flush_begin(&v->log);
		memcpy(w->firm, world->acked, sizeof(w->firm));
	} else {
		ready = actlog_get(&v->log, world_region(world, slot), v->log.epoch) == ACTLOG_READY;
		w->stamp = ++world->next_stamp;
	}
	w->generation_id = tail->id;
	if (volume_mark_wanted(v, w->generation_id))
		ready = false;
	w->id = world->next_id++;
	volume_begin(v, &w->ack, flush ? 0 : world_offset(world, slot), flush ? 0 : 4096);
	world->real[tail->id] = true;
	w->state = ready ? WRITE_LOCAL : WRITE_LOGGING;
	send_write(world, node, slot);
	world_trace("%u: goes to nodes %x under generation %llu", node, w->ack.nodes, (unsigned long long)tail->id);
	if (!volume_waits_for(&w->ack, node))
		w->state = WRITE_LOCAL_DONE;
}

static void try_write(struct world *world, u8 node, u8 slot)
{
	struct node *n = &world->node[node];
	struct world_write *w = &n->writes[slot];

	if (slot != WORLD_FLUSH && path_block_busy(world, node, slot)) {
		w->state = WRITE_BLOCKED;
		return;
	}
	switch (volume_gate_write(&n->volume)) {
	case VOLUME_GATE_OPEN:
		begin(world, node, slot);
		break;
	case VOLUME_GATE_WAIT:
		w->state = WRITE_GATED;
		world_simple_event(world, node, VOLUME_EVENT_IO_WAITS, NODE_NONE);
		break;
	case VOLUME_GATE_FAIL:
		memset(w, 0, sizeof(*w));
		world_trace("%u: the write fails", node);
		break;
	}
}

/* @slot: a block, or WORLD_FLUSH. */
void path_submit(struct world *world, u8 node, u8 slot)
{
	if (slot != WORLD_FLUSH)
		world->touched |= (u8)(1u << slot);
	try_write(world, node, slot);
	world_run(world);
}

/* What waits for its range, or with @gate at the gate, is tried again. */
void path_retry(struct world *world, u8 node, bool gate)
{
	struct node *n = &world->node[node];
	u8 slot;

	for (slot = 0; slot < WORLD_WRITES; slot++)
		if (n->writes[slot].state == WRITE_BLOCKED || (gate && n->writes[slot].state == WRITE_GATED))
			try_write(world, node, slot);
}

static void acked(struct world *world, u8 node, u8 slot, u32 id, u8 from)
{
	struct world_write *w = &world->node[node].writes[slot];

	if (w->state > WRITE_GATED && w->id == id && !(w->ack.missed >> from & 1) &&
	    volume_acked(&world->node[node].volume, &w->ack, from, VOLUME_ANSWER_VOLATILE))
		finish(world, node, slot);
}

void path_missed(struct world *world, u8 node, u8 peer)
{
	struct node *n = &world->node[node];
	u8 slot;

	for (slot = 0; slot < WORLD_WRITES; slot++)
		if (n->writes[slot].state > WRITE_GATED)
			volume_missed(&n->volume, &n->writes[slot].ack, peer);
}

void path_release(struct world *world, u8 node, u8 peer)
{
	struct node *n = &world->node[node];
	u8 slot;

	for (slot = 0; slot < WORLD_WRITES; slot++)
		if (n->writes[slot].state > WRITE_GATED && volume_released(&n->volume, &n->writes[slot].ack, peer))
			finish(world, node, slot);
}

/* The local write of a block into the volatile cache, or the local flush. After the log, and the written mark. */
void path_local(struct world *world, u8 node, u8 slot)
{
	struct node *n = &world->node[node];
	struct world_write *w = &n->writes[slot];

	if (w->state == WRITE_LOGGING && volume_mark_wanted(&n->volume, w->generation_id))
		return;		/* asked again: the next commit carries it */
	if (slot == WORLD_FLUSH)
		memcpy(n->platter, n->cache, sizeof(n->platter));
	else
		n->cache[slot] = w->stamp;
	w->state = WRITE_LOCAL_DONE;
	acked(world, node, slot, w->id, node);
	world_run(world);
}

/*
 * Regions leave the log [W6]: those that a flush which ended everywhere covers. Dirty maps first [D1]; then the members.
 * The log on disk says less from the next commit on; here at once, which is the worst case.
 */
void path_evict(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	struct actlog *log = &n->volume.log;
	u32 regions[WORLD_BLOCKS_MAX], nr, i;
	u8 peer, mask = 0;

	nr = actlog_evict_candidates(log, regions, WORLD_BLOCKS_MAX);
	world_save_maps(world, node);
	for (i = 0; i < nr; i++)
		if (actlog_evict(log, regions[i], log->stable_epoch))
			mask |= (u8)(1u << regions[i]);
	n->disk_log &= (u8)~mask;
	for (peer = 0; peer < world->nr_nodes; peer++) {
		struct message *message = n->volume.streaming >> peer & 1 ? world_send(world, node, peer, false) : NULL;

		if (!message)
			continue;
		message->kind = MESSAGE_EVICT;
		message->slot = mask;
		message->epoch = (u32)log->stable_epoch;
	}
}

/* ---- demotion: all is flushed everywhere, the log is emptied, then the event. One step. ---- */

bool path_can_demote(const struct world *world, u8 node)
{
	const struct node *n = &world->node[node];
	u32 slot;
	u8 peer;

	if (n->volume.role != VOLUME_PRIMARY || n->volume.in_flight || n->volume.proposal.active || n->volume.disk != VOLUME_DISK_OK)
		return false;
	for (slot = 0; slot < WORLD_WRITES; slot++)
		if (n->writes[slot].state)
			return false;
	for (peer = 0; peer < world->nr_nodes; peer++)
		if ((n->volume.streaming >> peer & 1) &&
		    (n->session[peer] != SESSION_UP || world->node[peer].session[node] != SESSION_UP))
			return false;
	return true;
}

void path_demote(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	u8 peer;

	for (peer = 0; peer < world->nr_nodes; peer++)
		if (n->volume.streaming >> peer & 1)
			memcpy(world->node[peer].platter, world->node[peer].cache, sizeof(n->platter));
	memcpy(n->platter, n->cache, sizeof(n->platter));
	world_save_maps(world, node);
	actlog_clear(&n->volume.log);
	n->disk_log = 0;
	world_simple_event(world, node, VOLUME_EVENT_DEMOTE, NODE_NONE);
	world_run(world);
}

/* ---- writes that arrive ---- */

/*
 * A data lane may be faster than the control lane: what comes before the verdict that allows it waits, see permission() in
 * apply.c. In a queue everything behind it waits, too.
 */
bool path_may_deliver(const struct world *world, u8 from, u8 to)
{
	const struct node *n = &world->node[to];
	const struct message *m = &world->data[from][to].entry[0];
	enum volume_relation relation = n->volume.peer[from].relation;

	if (m->kind == MESSAGE_RESYNC)
		return volume_may_resync(&n->volume, from) || relation != VOLUME_SOURCE_ASKED;
	if (m->kind != MESSAGE_WRITE || volume_may_apply(&n->volume, from, 0, 0) || n->volume.role != VOLUME_SECONDARY)
		return true;
	return relation != VOLUME_ABSENT && relation != VOLUME_GREETING && relation != VOLUME_SOURCE_ASKED;
}

/* Answered with an error: the source restarts the session, the primary goes on without this node. */
static void refuse(struct world *world, u8 node, u8 from, const struct message *m)
{
	struct message *message = world_send(world, node, from, false);

	world_trace("%u refuses what %u sent", node, from);
	if (!message)
		return;
	message->kind = m->kind == MESSAGE_RESYNC ? MESSAGE_RESYNC_ERROR : MESSAGE_ERROR;
	message->slot = m->slot;
}

static void receive_write(struct world *world, u8 from, u8 to, const struct message *m)
{
	struct node *n = &world->node[to];
	struct apply *a = &n->applies[n->nr_applies];
	bool resync = m->kind == MESSAGE_RESYNC;

	if (resync ? !volume_may_resync(&n->volume, from) : !volume_may_apply(&n->volume, from, 0, 0)) {
		refuse(world, to, from, m);
		return;
	}
	if (n->nr_applies == WORLD_APPLIES_MAX) {
		world_violation(world, "bound", "too many writes arrive at %u", to);
		return;
	}
	n->nr_applies++;
	memset(a, 0, sizeof(*a));
	a->from = from;
	a->resync = resync;
	a->slot = m->slot;
	a->stamp = m->stamp;
	a->id = m->id;
	a->generation_id = m->generation_id;
	a->logged = true;
	if (resync) {
		if (n->cache[a->slot] != a->stamp &&	/* what is equal is not written */
		    volume_apply_resync(&n->volume, from, world_offset(world, a->slot), world_block_bytes(world)))
			world_save_maps(world, to);
		return;
	}
	if (a->slot != WORLD_FLUSH) {
		a->logged = actlog_get(&n->volume.log, world_region(world, a->slot), m->epoch) == ACTLOG_READY;
		volume_apply(&n->volume, from, world_offset(world, a->slot), 4096);
	}
	if (volume_mark_wanted(&n->volume, a->generation_id))
		a->logged = false;
}

/* Region and generation: does the log on disk say what it must before data is written? */
static bool log_allows(const struct world *world, const struct volume *volume, u8 slot, u64 generation_id)
{
	const struct generation *tail = lineage_tail(&volume->super.chain);

	if (slot != WORLD_FLUSH && !actlog_is_ready(&volume->log, world_region(world, slot)))
		return false;
	return tail->written || tail->id != generation_id || !volume->log.forced;
}

bool path_local_ready(const struct world *world, u8 node, u8 slot)
{
	const struct node *n = &world->node[node];
	const struct world_write *w = &n->writes[slot];

	if (w->state != WRITE_LOGGING && w->state != WRITE_LOCAL)
		return false;
	return volume_waits_for(&w->ack, node) &&
	       (w->state == WRITE_LOCAL || log_allows(world, &n->volume, slot, w->generation_id));
}

/* The first one for its block, and the log allows it? */
bool path_apply_ready(const struct world *world, u8 node, u32 index)
{
	const struct node *n = &world->node[node];
	const struct apply *a = &n->applies[index];
	u32 i;

	for (i = 0; i < index; i++)
		if (n->applies[i].slot == a->slot)
			return false;
	return a->logged || log_allows(world, &n->volume, a->slot, a->generation_id);
}

/* Into the volatile cache, then the acknowledgement. A flush, and the block of a resync, reach stable storage. */
void path_apply(struct world *world, u8 node, u32 index)
{
	struct node *n = &world->node[node];
	struct apply a = n->applies[index];
	struct message *message;

	if (!a.logged && volume_mark_wanted(&n->volume, a.generation_id))
		return;		/* asked again: the next commit carries it */
	if (a.slot == WORLD_FLUSH)
		memcpy(n->platter, n->cache, sizeof(n->platter));
	else
		n->cache[a.slot] = a.stamp;
	if (a.resync)
		n->platter[a.slot] = a.stamp;
	else if (a.slot != WORLD_FLUSH)
		actlog_put(&n->volume.log, world_region(world, a.slot), false);
	n->nr_applies--;
	memmove(&n->applies[index], &n->applies[index + 1], (n->nr_applies - index) * sizeof(a));
	message = a.orphan ? NULL : world_send(world, node, a.from, false);
	if (message) {
		message->kind = a.resync ? MESSAGE_RESYNCED : MESSAGE_ACK;
		message->slot = a.slot;
		message->id = a.id;
	}
	path_retry(world, node, false);
	world_run(world);
}

static void receive_evict(struct world *world, u8 from, u8 to, const struct message *m)
{
	struct node *n = &world->node[to];
	u32 region;

	if (!volume_may_apply(&n->volume, from, 0, 0))
		return;
	world_save_maps(world, to);
	for (region = 0; region < WORLD_BLOCKS_MAX; region++)
		if ((m->slot >> region & 1) && actlog_evict(&n->volume.log, region, m->epoch))
			n->disk_log &= (u8)~(1u << region);
}

/* ---- resync: one block at a time, under its range lock [I15] ---- */

void path_resync_send(struct world *world, u8 node, u8 peer, u8 block)
{
	struct node *n = &world->node[node];
	struct message *message = world_send(world, node, peer, false);

	n->resync[peer].locked |= (u8)(1u << block);
	if (!message)
		return;
	message->kind = MESSAGE_RESYNC;
	message->slot = block;
	message->stamp = n->cache[block];
}

/* The proof [D2]: on stable storage there, and here. */
static void receive_resynced(struct world *world, u8 from, u8 to, const struct message *m)
{
	struct node *n = &world->node[to];
	struct volume_peer *peer = volume_peer(&n->volume, from);

	if (!n->resync[from].running || !(n->resync[from].locked >> m->slot & 1))
		return;
	n->platter[m->slot] = n->cache[m->slot];
	n->resync[from].locked &= (u8)~(1u << m->slot);
	dirty_clear(&peer->map, world_offset(world, m->slot), world_block_bytes(world));
	path_retry(world, to, false);
}

void path_resync_dry(struct world *world, u8 node, u8 peer)
{
	world->node[node].resync[peer].running = false;
	world_save_maps(world, node);
	world_simple_event(world, node, VOLUME_EVENT_RESYNC_DRY, peer);
	world_run(world);
}

void path_deliver(struct world *world, u8 from, u8 to)
{
	struct message m = world->data[from][to].entry[0];

	world_queue_pop(&world->data[from][to]);
	switch (m.kind) {
	case MESSAGE_WRITE:
	case MESSAGE_RESYNC:
		receive_write(world, from, to, &m);
		break;
	case MESSAGE_EVICT:
		receive_evict(world, from, to, &m);
		break;
	case MESSAGE_RESYNCED:
		receive_resynced(world, from, to, &m);
		break;
	case MESSAGE_ERROR:
		world_simple_event(world, to, VOLUME_EVENT_PEER_IO_FAILED, from);
		break;
	case MESSAGE_RESYNC_ERROR:
		if (world->node[to].resync[from].running)
			world_simple_event(world, to, VOLUME_EVENT_RESYNC_FAILED, from);
		break;
	default:
		acked(world, to, m.slot, m.id, from);
		break;
	}
	world_run(world);
}
