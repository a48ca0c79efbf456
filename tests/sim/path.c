// SPDX-License-Identifier: GPL-2.0
/*
 * The data path of the simulated nodes. The decisions are the core's; what is here corresponds to io.c (writes of the
 * primary), apply.c (writes that arrive), sync.c (resync) and the group commit of meta.c.
 */
#include "path.h"

static u32 region_of(u32 block)
{
	return actlog_region(world_block_offset(block));
}

static bool block_busy(struct node *n, u32 block)
{
	u32 i;

	for (i = 0; i < WORLD_WRITES_MAX; i++)
		if (n->writes[i].state > WRITE_QUEUED && !n->writes[i].flush && n->writes[i].block == block)
			return true;
	for (i = 0; i < WORLD_NODES_MAX; i++)
		if (n->resync[i].running && n->resync[i].block_locked[block])
			return true;
	for (i = 0; i < WORLD_APPLIES_MAX; i++)
		if (n->applies[i].used && !n->applies[i].flush && n->applies[i].block == block)
			return true;
	return false;
}

bool path_applying(struct world *world, u8 node)
{
	u32 i;

	for (i = 0; i < WORLD_APPLIES_MAX; i++)
		if (world->node[node].applies[i].used)
			return true;
	return false;
}

bool path_idle(struct world *world, u8 node)
{
	u32 i;

	for (i = 0; i < WORLD_WRITES_MAX; i++)
		if (world->node[node].writes[i].state)
			return false;
	return true;
}

/* ---- the log ---- */

static bool commit_step(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	struct actlog *log = &n->volume.log;
	u32 slot, region;

	if (n->committing) {
		memset(n->disk_log, 0, sizeof(n->disk_log));
		for (slot = actlog_next(log, 0, &region); slot != ACTLOG_NO_SLOT;
		     slot = actlog_next(log, slot + 1, &region))
			if (log->slots[slot].state >= ACTLOG_COMMITTING)
				n->disk_log[region] = true;
		if (n->commit_id)
			n->disk_written_id = n->commit_id;
		actlog_commit_end(log, true);
		volume_marked(&n->volume, n->commit_id);
		n->committing = false;
		return true;
	}
	if (!actlog_commit_begin(log))
		return false;
	n->commit_id = volume_mark_id(&n->volume);
	n->committing = true;
	return true;
}

/* ---- the primary's writes ---- */

bool path_submit(struct world *world, u8 node, u32 block)
{
	struct node *n = &world->node[node];
	u32 i;

	for (i = 0; i < WORLD_WRITES_MAX; i++) {
		struct world_write *w = &n->writes[i];

		if (w->state)
			continue;
		memset(w, 0, sizeof(*w));
		w->state = WRITE_QUEUED;
		w->flush = block == WORLD_BLOCKS;
		w->block = block;
		return true;
	}
	return false;
}

static void send_write(struct world *world, u8 node, const struct world_write *w)
{
	struct message message = { .kind = w->flush ? MESSAGE_FLUSH : MESSAGE_WRITE, .id = w->id, .epoch = w->epoch,
				   .generation_id = w->generation_id, .block = w->block, .stamp = w->stamp };
	u8 peer;

	for (peer = 0; peer < world->nr_nodes; peer++)
		if (peer != node && volume_waits_for(&w->ack, peer))
			world_send(world, node, peer, false, &message);
}

static bool try_write(struct world *world, u8 node, struct world_write *w)
{
	struct node *n = &world->node[node];
	struct volume *v = &n->volume;
	struct volume_event waits = { .type = VOLUME_EVENT_IO_WAITS };
	enum volume_gate gate = volume_gate_write(v);
	u64 epoch = v->log.epoch;
	bool ready = true;

	if (!w->flush && block_busy(n, w->block))
		return false;
	if (gate == VOLUME_GATE_FAIL) {
		w->state = WRITE_FREE;
		return true;
	}
	if (gate == VOLUME_GATE_WAIT) {
		if (n->nr_events > 8)
			return false;
		world_event(world, node, &waits);
		return true;
	}
	if (w->flush) {
		epoch = actlog_flush_begin(&v->log);
		memcpy(w->firm, world->acked, sizeof(w->firm));
	} else {
		ready = actlog_get(&v->log, region_of(w->block), v->log.epoch) == ACTLOG_READY;
	}
	w->generation_id = lineage_tail(&v->super.chain)->id;
	if (volume_mark_wanted(v, w->generation_id))
		ready = false;
	w->stamp = ++world->next_stamp;
	if (!w->flush)
		world->maybe[w->block] = w->stamp;
	w->id = ++n->next_id;
	w->epoch = epoch;
	volume_begin(v, &w->ack, w->flush ? 0 : world_block_offset(w->block), w->flush ? 0 : 4096);
	w->state = ready ? WRITE_LOCAL : WRITE_LOGGING;
	send_write(world, node, w);
	world_trace(world, "%u: %s %llu block %u stamp %u to %x", node, w->flush ? "flush" : "write",
		    (unsigned long long)w->id, w->block, w->stamp, w->ack.nodes);
	return true;
}

static void finish(struct world *world, u8 node, struct world_write *w)
{
	struct volume *v = &world->node[node].volume;
	u32 i;

	if (w->flush) {
		actlog_flush_end(&v->log, w->epoch);
		for (i = 0; i < WORLD_BLOCKS; i++)
			if (w->firm[i] > world->firm[i])
				world->firm[i] = w->firm[i];
	} else {
		actlog_put(&v->log, region_of(w->block), true);
		if (w->stamp > world->acked[w->block])
			world->acked[w->block] = w->stamp;
	}
	world->count_acks++;
	world_trace(world, "%u: acknowledged %llu block %u stamp %u", node, (unsigned long long)w->id, w->block, w->stamp);
	volume_end(v, &w->ack);
	w->state = WRITE_FREE;
}

static void acked(struct world *world, u8 node, u64 id, u8 from)
{
	struct node *n = &world->node[node];
	u32 i;

	for (i = 0; i < WORLD_WRITES_MAX; i++) {
		struct world_write *w = &n->writes[i];

		if (w->state > WRITE_QUEUED && w->id == id && !(w->ack.missed >> from & 1) && volume_acked(&n->volume, &w->ack, from))
			finish(world, node, w);
	}
}

void path_missed(struct world *world, u8 node, u8 peer)
{
	struct node *n = &world->node[node];
	u32 i;

	for (i = 0; i < WORLD_WRITES_MAX; i++)
		if (n->writes[i].state > WRITE_QUEUED)
			volume_missed(&n->volume, &n->writes[i].ack, peer);
}

void path_release(struct world *world, u8 node, u8 peer)
{
	struct node *n = &world->node[node];
	u32 i;

	for (i = 0; i < WORLD_WRITES_MAX; i++)
		if (n->writes[i].state > WRITE_QUEUED && volume_released(&n->volume, &n->writes[i].ack, peer))
			finish(world, node, &n->writes[i]);
}

static bool write_step(struct world *world, u8 node, struct world_write *w)
{
	struct node *n = &world->node[node];
	struct volume *v = &n->volume;

	switch (w->state) {
	case WRITE_QUEUED:
		return try_write(world, node, w);
	case WRITE_LOGGING:
		if ((!w->flush && !actlog_is_ready(&v->log, region_of(w->block))) ||
		    volume_mark_wanted(v, w->generation_id))
			return false;
		w->state = WRITE_LOCAL;
		return true;
	case WRITE_LOCAL:
		if (w->flush)
			memcpy(n->platter, n->cache, sizeof(n->platter));
		else
			n->cache[w->block] = w->stamp;
		w->state = WRITE_LOCAL_DONE;
		acked(world, node, w->id, node);
		return true;
	default:
		return false;
	}
}

/* Internal flush round and eviction [W6]: atomic here as far as flushes go, the frames travel. */
static bool evict_step(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	struct volume *v = &n->volume;
	struct message message = { .kind = MESSAGE_EVICT, .epoch = v->log.stable_epoch };
	u32 regions[16], nr, i;
	u8 peer;

	if (v->role != VOLUME_PRIMARY || n->committing || n->reset_wanted)
		return false;
	nr = actlog_evict_candidates(&v->log, regions, 1 + (u32)(world_random() % 4));
	if (!nr)
		return false;
	world_save_maps(world, node);
	for (i = 0; i < nr; i++)
		if (actlog_evict(&v->log, regions[i], v->log.stable_epoch))
			message.regions[message.nr_regions++] = regions[i];
	for (peer = 0; peer < world->nr_nodes; peer++)
		if (v->streaming >> peer & 1)
			world_send(world, node, peer, world_random() % 2, &message);
	return true;
}

/* ---- writes that arrive ---- */

static struct apply *free_apply(struct world *world, struct node *n)
{
	u32 i;

	for (i = 0; i < WORLD_APPLIES_MAX; i++)
		if (!n->applies[i].used)
			return &n->applies[i];
	world_violation(world, "bound", "too many applies");
	return NULL;
}

static void receive_write(struct world *world, u8 from, u8 to, const struct message *m)
{
	struct node *n = &world->node[to];
	struct apply *a;

	if (m->kind == MESSAGE_RESYNC ? !volume_may_resync(&n->volume, from) :
	    !volume_may_apply(&n->volume, from, 0, 0))
		return;
	a = free_apply(world, n);
	memset(a, 0, sizeof(*a));
	a->used = true;
	a->order = ++n->next_order;
	a->flush = m->kind == MESSAGE_FLUSH;
	a->resync = m->kind == MESSAGE_RESYNC;
	a->from = from;
	a->session = n->session_number[from];
	a->id = m->id;
	a->epoch = m->epoch;
	a->block = m->block;
	a->stamp = m->stamp;
	if (a->resync && n->cache[a->block] != a->stamp)	/* what is equal is not written */
		volume_apply_resync(&n->volume, from, world_block_offset(a->block), 4096);
	if (!a->flush && !a->resync) {
		a->logged = actlog_get(&n->volume.log, region_of(a->block), a->epoch) == ACTLOG_READY;
		volume_apply(&n->volume, from, world_block_offset(a->block), 4096);
	} else {
		a->logged = true;
	}
	a->generation_id = m->generation_id;
	if (!a->resync && volume_mark_wanted(&n->volume, a->generation_id))
		a->logged = false;
}

static bool apply_step(struct world *world, u8 node, struct apply *a)
{
	struct node *n = &world->node[node];
	struct message ack = { .kind = a->resync ? MESSAGE_RESYNCED : MESSAGE_ACK, .id = a->id, .block = a->block };

	if (!a->logged) {
		if ((!a->flush && !actlog_is_ready(&n->volume.log, region_of(a->block))) ||
		    volume_mark_wanted(&n->volume, a->generation_id))
			return false;
		a->logged = true;
		return true;
	}
	if (a->flush)
		memcpy(n->platter, n->cache, sizeof(n->platter));
	else
		n->cache[a->block] = a->stamp;
	if (!a->flush && !a->resync)
		actlog_put(&n->volume.log, region_of(a->block), false);
	a->used = false;
	if (n->session[a->from] && n->session_number[a->from] == a->session)
		world_send(world, node, a->from, false, &ack);
	return true;
}

/* The range lock of the replica: writes to one block are applied in the order of their arrival. */
static bool is_first(const struct node *n, const struct apply *a)
{
	u32 i;

	for (i = 0; i < WORLD_APPLIES_MAX; i++) {
		const struct apply *b = &n->applies[i];

		if (b->used && !b->flush && !a->flush && b->block == a->block && b->order < a->order)
			return false;
	}
	return true;
}

static bool any_apply_step(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	u32 start = (u32)(world_random() % WORLD_APPLIES_MAX), i;

	for (i = 0; i < WORLD_APPLIES_MAX; i++) {
		struct apply *a = &n->applies[(start + i) % WORLD_APPLIES_MAX];

		if (a->used && is_first(n, a) && apply_step(world, node, a))
			return true;
	}
	return false;
}

static void receive_evict(struct world *world, u8 from, u8 to, const struct message *m)
{
	struct node *n = &world->node[to];
	u32 i;

	if (!volume_may_apply(&n->volume, from, 0, 0))
		return;
	world_save_maps(world, to);
	for (i = 0; i < m->nr_regions; i++)
		actlog_evict(&n->volume.log, m->regions[i], m->epoch);
}

/* ---- resync ---- */

void path_resync_start(struct world *world, u8 node, u8 peer)
{
	struct resync *r = &world->node[node].resync[peer];

	memset(r, 0, sizeof(*r));
	r->running = true;
	r->node = peer;
	world->count_resyncs++;
}

void path_resync_stop(struct world *world, u8 node, u8 peer)
{
	world->node[node].resync[peer].running = false;
}

/* Granules that the workload never touches are equal everywhere. */
static void clear_untouched(struct dirty_map *map)
{
	u64 at = 0;
	u32 block;

	for (block = 0; block < WORLD_BLOCKS; block++) {
		dirty_clear(map, at, world_block_offset(block) - at);
		at = world_block_offset(block) + 4096;
	}
	dirty_clear(map, at, WORLD_VOLUME_BYTES - at);
}

static void resync_proved(struct world *world, struct node *n, struct resync *r)
{
	struct volume_peer *peer = volume_peer(&n->volume, r->node);
	u32 block;

	(void)world;
	memcpy(n->platter, n->cache, sizeof(n->platter));
	for (block = 0; block < WORLD_BLOCKS; block++)
		if (r->written[block])
			dirty_clear(&peer->map, world_block_offset(block), 4096);
	memset(r->written, 0, sizeof(r->written));
	r->flushing = false;
}

static bool resync_block(struct world *world, u8 node, struct resync *r, u32 block)
{
	struct node *n = &world->node[node];
	struct message message = { .kind = MESSAGE_RESYNC, .id = 1ull << 63 | block, .block = block,
				   .stamp = n->cache[block] };

	if (r->written[block] || r->block_locked[block] || block_busy(n, block))
		return false;
	r->block_locked[block] = true;
	world_send(world, node, r->node, false, &message);
	return true;
}

static bool resync_step(struct world *world, u8 node, struct resync *r)
{
	struct node *n = &world->node[node];
	struct volume_peer *peer = volume_peer(&n->volume, r->node);
	struct volume_event dry = { .type = VOLUME_EVENT_RESYNC_DRY, .node = r->node };
	struct message flush = { .kind = MESSAGE_FLUSH };
	u32 block = (u32)(world_random() % WORLD_BLOCKS), i;
	bool open = false, any = false;

	if (!r->running || !peer || peer->relation != VOLUME_TARGET)
		return false;
	clear_untouched(&peer->map);
	if (dirty_test(&peer->map, world_block_offset(block)) && resync_block(world, node, r, block))
		return true;
	for (i = 0; i < WORLD_BLOCKS; i++) {
		open |= r->block_locked[i];
		any |= r->written[i];
	}
	if (r->flushing || open)
		return false;
	if (any) {
		r->flushing = true;
		r->flush_id = flush.id = 1ull << 63 | 1ull << 62 | ++n->next_id;
		world_send(world, node, r->node, false, &flush);
		return true;
	}
	if (peer->map.nr_set)
		return false;
	r->running = false;
	world_save_maps(world, node);
	world_event(world, node, &dry);
	return true;
}

static void receive_ack(struct world *world, u8 from, u8 to, const struct message *m)
{
	struct node *n = &world->node[to];
	struct resync *r = &n->resync[from];

	if (m->kind == MESSAGE_RESYNCED && r->running) {
		r->block_locked[m->block] = false;
		r->written[m->block] = true;
	} else if (m->id >> 63 && r->running && r->flushing && m->id == r->flush_id) {
		resync_proved(world, n, r);
	} else {
		acked(world, to, m->id, from);
	}
}

void path_peer_down(struct world *world, u8 node, u8 peer)
{
	path_resync_stop(world, node, peer);
}

void path_receive(struct world *world, u8 from, u8 to, const struct message *message)
{
	switch (message->kind) {
	case MESSAGE_WRITE:
	case MESSAGE_FLUSH:
	case MESSAGE_RESYNC:
		receive_write(world, from, to, message);
		break;
	case MESSAGE_EVICT:
		receive_evict(world, from, to, message);
		break;
	default:
		receive_ack(world, from, to, message);
		break;
	}
}

bool path_step(struct world *world, u8 node)
{
	struct node *n = &world->node[node];

	switch (world_random() % 5) {
	case 0:
		return commit_step(world, node);
	case 1:
		return write_step(world, node, &n->writes[world_random() % WORLD_WRITES_MAX]);
	case 2:
		return any_apply_step(world, node);
	case 3:
		return resync_step(world, node, &n->resync[world_random() % world->nr_nodes]);
	default:
		return evict_step(world, node);
	}
}
