// SPDX-License-Identifier: GPL-2.0
/*
 * The data path of the simulated volumes. The decisions are the core's; what is here corresponds to kernel/io.c, io_read.c
 * and io_log.c (requests of the primary) and to apply.c (requests that arrive).
 */
#include "world.h"
#include "../../kernel/core/probe.h"

static u32 group_of(u32 cells)
{
	return (u32)__builtin_ctz(cells) / GROUP_CELLS;
}

/* Regions of a run of cells: one or, across the border, two. */
static u32 regions_of(u32 cells, u32 *regions)
{
	u32 first = (u32)__builtin_ctz(cells), last = 31 - (u32)__builtin_clz(cells);

	regions[0] = actlog_region(cell_offset(first));
	regions[1] = actlog_region(cell_offset(last));
	return regions[0] == regions[1] ? 1 : 2;
}

static u64 offset_of(u32 cells)
{
	return cell_offset((u32)__builtin_ctz(cells));
}

static u32 bytes_of(u32 cells)
{
	return (u32)__builtin_popcount(cells) * CELL_BYTES;
}

/* [data_path.c] An attempt that left stamps kept two regions in a log of two for ever (seed 1795397572655, 5 nodes). */
static enum actlog_get_result regions_get(struct actlog *log, const u32 *regions, u32 nr, u64 epoch)
{
	return actlog_get_regions(log, regions[0], regions[nr - 1], epoch);
}

static void regions_put(struct actlog *log, const u32 *regions, u32 nr, bool stamp)
{
	u32 i;

	for (i = 0; i < nr; i++)
		actlog_put(log, regions[i], stamp);
}

static bool regions_ready(const struct actlog *log, const u32 *regions, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++)
		if (!actlog_is_ready(log, regions[i]))
			return false;
	return true;
}

/* The range lock of this node: requests of its own, resync, writes that arrive. */
bool path_busy(const struct node *n, u32 cells, const struct request *but)
{
	u32 i, seen = 0;

	for (i = 0; i < WORLD_WRITES_MAX; i++) {
		const struct request *r = &n->requests[i];

		if (r != but && r->ranged && r->cells & cells)
			return true;
	}
	for (i = 0; i < WORLD_APPLIES_MAX && seen < n->nr_applies; i++) {
		const struct apply *a = &n->applies[i];

		seen += a->used;
		if (a->used && a->cells & cells)
			return true;
	}
	return sync_holds(n, cells);
}

bool path_idle(const struct node *n)
{
	u32 i;

	for (i = 0; i < WORLD_WRITES_MAX; i++)
		if (n->requests[i].state != REQUEST_FREE)
			return false;
	return true;
}

/* ---- requests of the primary ---- */

static struct request *free_request(struct node *n)
{
	u32 i;

	for (i = 0; i < WORLD_WRITES_MAX - 1; i++)
		if (n->requests[i].state == REQUEST_FREE)
			return &n->requests[i];
	return NULL;
}

bool path_submit(struct world *world, u8 node, enum request_kind kind, u32 cells, bool fua)
{
	struct node *n = &world->node[node];
	struct request *r = free_request(n);

	if (!r)
		return false;
	memset(r, 0, offsetof(struct request, floor));
	r->state = REQUEST_QUEUED;
	r->kind = kind;
	r->cells = kind == REQUEST_FLUSH ? 0 : cells;
	r->fua = r->fua_asked = fua;
	r->read_node = NODE_NONE;
	check_floor(world, node, kind, r->floor);
	return true;
}

bool path_internal_flush(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	struct request *r = &n->requests[WORLD_WRITES_MAX - 1];

	if (r->state != REQUEST_FREE || n->round_active)
		return false;
	memset(r, 0, sizeof(*r));
	r->state = REQUEST_QUEUED;
	r->kind = REQUEST_FLUSH;
	r->internal = true;
	r->read_node = NODE_NONE;
	n->round_active = true;
	return true;
}

void path_demote_broken_off(struct node *n)
{
	n->demote = DEMOTE_NONE;
	n->command_pending = false;
	volume_unquiesce(&n->volume);
}

/* [engine.c] Everything was flushed and the log is empty, or that failed. */
void path_demote_asks(struct world *world, u8 node, bool ok)
{
	struct node *n = &world->node[node];

	if (ok) {
		n->demote = DEMOTE_ASKED;
		world_event_simple(world, node, VOLUME_EVENT_DEMOTE, NODE_NONE);
		return;
	}
	path_demote_broken_off(n);
}

void path_round_ended(struct world *world, u8 node, bool ok)
{
	struct node *n = &world->node[node];
	struct save_request save = { .kind = SAVE_RESET, .spell = n->volume.quiet_spell };

	n->round_active = false;
	if (n->demote != DEMOTE_EVICTING)
		return;
	if (ok && n->volume.disk == VOLUME_DISK_OK) {
		n->demote = DEMOTE_RESETTING;
		meta_save(world, node, &save);
	} else {	/* no log of its own to empty */
		path_demote_asks(world, node, ok);
	}
}

static void round_flushed(struct world *world, u8 node, bool ok)
{
	struct node *n = &world->node[node];
	struct save_request save = { .kind = SAVE_EVICT, .all = n->demote == DEMOTE_FLUSHING };

	if (n->demote == DEMOTE_FLUSHING)
		n->demote = DEMOTE_EVICTING;
	if (ok && n->volume.disk == VOLUME_DISK_OK)
		meta_save(world, node, &save);
	else
		path_round_ended(world, node, ok);
}

static void free_it(struct request *r)
{
	r->state = REQUEST_FREE;
	r->ranged = false;
	r->ack.pending = 0;
}

static void request_fails(struct world *world, u8 node, struct request *r)
{
	world_trace(world, "%u: request fails", node);
	if (r->internal)
		round_flushed(world, node, false);
	free_it(r);
}

static void finish(struct world *world, u8 node, struct request *r)
{
	struct volume *v = &world->node[node].volume;

	if (r->state == REQUEST_LOCAL || r->state == REQUEST_LOGGING)	/* [io.c] its local part is over when nobody waits for it */
		world_trace(world, "%u: ends before its local part", node);
	if (r->kind == REQUEST_FLUSH)
		actlog_flush_end(&v->log, r->flush_epoch);
	else
		regions_put(&v->log, r->regions, r->nr_regions, true);
	if (r->ok_nodes)
		check_acked(world, node, r);
	world_trace(world, "%u: acknowledged %llu cells %x stamp %u by %x", node, (unsigned long long)r->id, r->cells, r->stamp, r->ok_nodes);
	volume_end(v, &r->ack);
	if (r->internal)
		round_flushed(world, node, r->ok_nodes != 0);
	free_it(r);
}

static void acked(struct world *world, u8 node, struct request *r, u8 from, enum volume_answer answer)
{
	if (answer != VOLUME_ANSWER_NONE && volume_waits_for(&r->ack, from))
		r->ok_nodes |= NODE_BIT(from);
	if (volume_acked(&world->node[node].volume, &r->ack, from, answer))
		finish(world, node, r);
}

static void local_end(struct world *world, u8 node, struct request *r, bool failed)
{
	bool stable = flush_is_stable(r->kind == REQUEST_FLUSH, r->fua, !world->node[node].disk.through);
	u32 others = r->ack.nodes & ~NODE_BIT(node);

	r->state = REQUEST_SENT;
	if (failed)
		disk_failed(world, node);
	/* While others hold the write this node leaves the in-sync set first. */
	if (!failed || !others || MUTANT(local_error_acked))
		acked(world, node, r, node, failed ? VOLUME_ANSWER_NONE : stable ? VOLUME_ANSWER_STABLE : VOLUME_ANSWER_VOLATILE);
}

static void fill_stamps(struct message *message, u32 cells, u32 stamp)
{
	u32 i;

	message->cells = cells;
	for (i = 0; i < GROUP_CELLS; i++)
		message->stamp[i] = stamp;
}

static void send_request(struct world *world, u8 node, const struct request *r)
{
	u8 peer;

	for (peer = 0; peer < world->nr_nodes; peer++) {
		struct message *message;

		if (peer == node || !volume_waits_for(&r->ack, peer))
			continue;
		message = world_message(world, r->kind == REQUEST_FLUSH ? MESSAGE_FLUSH : MESSAGE_WRITE);
		message->id = r->id;
		message->epoch = r->epoch;
		message->generation_id = r->generation_id;
		message->fua = r->fua;
		fill_stamps(message, r->cells, r->stamp);
		world_send(world, node, peer, 1 + (u32)(r->id % (WORLD_LANES - 1)), message);
	}
}

static bool log_ready(struct volume *v, const struct request *r)
{
	return (r->kind == REQUEST_FLUSH || regions_ready(&v->log, r->regions, r->nr_regions)) &&
	       (r->internal || !volume_mark_wanted(v, r->generation_id) || MUTANT(mark_not_waited_for));
}

static void wait_at_gate(struct world *world, u8 node)
{
	if (world->node[node].nr_events < 8)
		world_event_simple(world, node, VOLUME_EVENT_IO_WAITS, NODE_NONE);
}

static void take_off(struct world *world, u8 node, struct request *r)
{
	struct volume *v = &world->node[node].volume;

	r->generation_id = r->internal ? 0 : lineage_tail(&v->super.chain)->id;
	r->epoch = v->log.epoch;
	if (r->kind == REQUEST_FLUSH)
		r->flush_epoch = actlog_flush_begin(&v->log);
	else
		r->stamp = ++world->next_stamp;
	if (r->kind == REQUEST_FLUSH && !r->internal)
		volume_begin_flush(v, &r->ack);
	else
		volume_begin(v, &r->ack, r->cells ? offset_of(r->cells) : 0, r->cells ? bytes_of(r->cells) : 0);
	if (r->kind == REQUEST_WRITE && !r->fua)
		r->fua = volume_expects_flush(v);
	r->ok_nodes = r->ack.nodes & ~r->ack.pending;
	r->id = ++world->sequence;
	r->since_us = world->now_us;
	r->ranged = r->kind == REQUEST_WRITE;
	r->state = REQUEST_SENT;
	if (!r->internal)
		check_attempt(world, node, r->cells, r->stamp);
	send_request(world, node, r);
	world_trace(world, "%u: %s %llu cells %x stamp %u to %x", node, r->kind == REQUEST_FLUSH ? "flush" : "write",
		    (unsigned long long)r->id, r->cells, r->stamp, r->ack.pending);
	if (volume_waits_for(&r->ack, node))
		r->state = log_ready(v, r) ? REQUEST_LOCAL : REQUEST_LOGGING;
	else if (!r->ack.pending)
		finish(world, node, r);
}

/* What the last step left must be what a question would answer [G2]. */
static void gate_is_right(struct world *world, u8 node)
{
	struct volume *v = &world->node[node].volume;
	enum volume_gate gate = volume_gate_write(v);
	bool fits = v->record_fits;

	v->record_fits = false;
	if (volume_gate_write(v) != gate)
		world_violation(world, "G2", "%u: record_fits is out of date", node);
	v->record_fits = fits;
}

static bool try_change(struct world *world, u8 node, struct request *r)
{
	struct node *n = &world->node[node];
	struct volume *v = &n->volume;
	enum volume_gate gate = r->internal || MUTANT(gate_ignored) ? VOLUME_GATE_OPEN : volume_gate_write(v);

	gate_is_right(world, node);
	if (gate == VOLUME_GATE_FAIL || v->role != VOLUME_PRIMARY) {
		request_fails(world, node, r);
		return true;
	}
	if (gate == VOLUME_GATE_WAIT) {
		wait_at_gate(world, node);
		return true;
	}
	if (r->kind == REQUEST_WRITE) {
		if (path_busy(n, r->cells, r) && !MUTANT(ranges_unlocked))
			return false;
		r->nr_regions = regions_of(r->cells, r->regions);
		if (regions_get(&v->log, r->regions, r->nr_regions, v->log.epoch) == ACTLOG_FULL)
			return path_internal_flush(world, node);
	}
	take_off(world, node, r);
	return true;
}

/* ---- reads [W7] ---- */

static void read_ends(struct world *world, u8 node, struct request *r, const u32 *value)
{
	check_read(world, node, r, value);
	free_it(r);
}

static bool read_here(struct world *world, u8 node, struct request *r)
{
	struct node *n = &world->node[node];
	u32 value[GROUP_CELLS], i, base = group_of(r->cells) * GROUP_CELLS;

	if (n->disk.dead || n->disk.bad & r->cells) {
		r->failed_nodes |= NODE_BIT(node);
		return true;
	}
	for (i = 0; i < GROUP_CELLS; i++)
		value[i] = n->disk.cache[base + i];
	read_ends(world, node, r, value);
	return true;
}

static bool try_read(struct world *world, u8 node, struct request *r)
{
	struct node *n = &world->node[node];
	struct volume *v = &n->volume;
	enum volume_gate gate = volume_gate_read(v);
	u8 from = volume_read_from(v, r->failed_nodes);
	struct message *message;

	/* Without the lock, as the module does: what the last step left must be what a question would answer [W7]. */
	if (v->reads_here && !r->failed_nodes) {
		if (gate != VOLUME_GATE_OPEN || from != node)
			world_violation(world, "W7", "%u: reads_here is out of date", node);
		return read_here(world, node, r);
	}
	if (gate == VOLUME_GATE_FAIL || (gate == VOLUME_GATE_OPEN && from == NODE_NONE && r->failed_nodes)) {
		request_fails(world, node, r);
		return true;
	}
	if (gate == VOLUME_GATE_WAIT || from == NODE_NONE) {
		wait_at_gate(world, node);
		return true;
	}
	if (from == node)
		return read_here(world, node, r);
	if (!r->ranged && !MUTANT(read_there_unlocked)) {
		if (path_busy(n, r->cells, r))
			return false;
		r->ranged = true;
	}
	r->read_node = from;
	r->id = ++world->sequence;
	r->state = REQUEST_REMOTE;
	message = world_message(world, MESSAGE_READ);
	message->id = r->id;
	message->cells = r->cells;
	world_send(world, node, from, 1 + world_below(world, WORLD_LANES - 1), message);
	world_trace(world, "%u: reads cells %x from %u", node, r->cells, from);
	return true;
}

static void receive_read(struct world *world, u8 from, u8 to, u32 lane, const struct message *m)
{
	struct node *n = &world->node[to];
	struct message *answer = world_message(world, MESSAGE_READ_DATA);
	u32 i, base = group_of(m->cells) * GROUP_CELLS;

	answer->id = m->id;
	answer->cells = m->cells;
	answer->failed = !volume_may_read(&n->volume, from) || n->disk.dead || n->disk.bad & m->cells;
	for (i = 0; i < GROUP_CELLS; i++)
		answer->stamp[i] = n->disk.cache[base + i];
	world_send(world, to, from, lane, answer);
}

static void receive_read_data(struct world *world, u8 from, u8 to, const struct message *m)
{
	struct node *n = &world->node[to];
	u32 i, cell, base = group_of(m->cells) * GROUP_CELLS;

	if (m->id < n->session[from])
		return;
	for (i = 0; i < WORLD_WRITES_MAX; i++) {
		struct request *r = &n->requests[i];

		if (r->state != REQUEST_REMOTE || r->id != m->id || r->read_node != from)
			continue;
		if (m->failed) {
			r->failed_nodes |= NODE_BIT(from);
			r->state = REQUEST_QUEUED;
			return;
		}
		for (cell = 0; cell < GROUP_CELLS; cell++)	/* rewritten with what is good */
			if (r->ranged && n->volume.disk == VOLUME_DISK_OK && m->cells >> (base + cell) & 1) {
				n->disk.cache[base + cell] = n->disk.platter[base + cell] = m->stamp[cell];
				n->disk.bad &= ~(1u << (base + cell));
			}
		if (r->ranged && n->disk.dead)
			disk_failed(world, to);
		read_ends(world, to, r, m->stamp);
		return;
	}
}

/* ---- steps of a request ---- */

static void write_cells(struct disk *disk, u32 cells, const u32 *stamp, bool fua)
{
	u32 i, base = group_of(cells) * GROUP_CELLS;

	for (i = 0; i < GROUP_CELLS; i++) {
		if (!(cells >> (base + i) & 1))
			continue;
		disk->cache[base + i] = stamp[i];
		disk->bad &= ~(1u << (base + i));
		if ((fua && !MUTANT(fua_ignored)) || disk->through)
			disk->platter[base + i] = stamp[i];
	}
}

static bool local_step(struct world *world, u8 node, struct request *r)
{
	struct node *n = &world->node[node];
	u32 stamp[GROUP_CELLS] = { r->stamp, r->stamp, r->stamp, r->stamp };
	bool failed = n->disk.dead || n->disk_failed_posted;

	if (!failed && r->kind == REQUEST_FLUSH && !MUTANT(flush_not_done))
		disk_flush(&n->disk);
	else if (!failed)
		write_cells(&n->disk, r->cells, stamp, r->fua);
	local_end(world, node, r, failed);
	return true;
}

bool path_request_wanted(const struct request *r)
{
	return r->state == REQUEST_QUEUED || r->state == REQUEST_LOGGING || r->state == REQUEST_LOCAL;
}

bool path_request_step(struct world *world, u8 node, struct request *r)
{
	struct node *n = &world->node[node];

	switch (r->state) {
	case REQUEST_QUEUED:
		return r->kind == REQUEST_READ ? try_read(world, node, r) : try_change(world, node, r);
	case REQUEST_LOGGING:
		if (n->volume.disk != VOLUME_DISK_OK) {
			local_end(world, node, r, true);
			return true;
		}
		if (!log_ready(&n->volume, r) && !MUTANT(local_write_before_log))
			return false;
		r->state = REQUEST_LOCAL;
		return true;
	case REQUEST_LOCAL:
		return local_step(world, node, r);
	default:
		return false;
	}
}

/* [io.c] No replica can take anything any more: what is in flight fails. */
void path_gate(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	u32 i, peer;

	if (n->volume.role != VOLUME_PRIMARY || volume_gate_write(&n->volume) != VOLUME_GATE_FAIL)
		return;
	for (i = 0; i < WORLD_WRITES_MAX; i++) {
		struct request *r = &n->requests[i];

		for (peer = 0; peer < NODES_MAX && r->state >= REQUEST_LOGGING && r->state <= REQUEST_SENT; peer++)
			if (volume_waits_for(&r->ack, (u8)peer)) {
				r->ok_nodes = 0;
				acked(world, node, r, (u8)peer, VOLUME_ANSWER_NONE);
			}
	}
}

void path_missed(struct world *world, u8 node, u8 peer)
{
	struct node *n = &world->node[node];
	u32 i;

	for (i = 0; i < WORLD_WRITES_MAX; i++)
		if (n->requests[i].state >= REQUEST_LOGGING && n->requests[i].state <= REQUEST_SENT)
			volume_missed(&n->volume, &n->requests[i].ack, peer);
}

void path_release(struct world *world, u8 node, u8 peer)
{
	struct node *n = &world->node[node];
	u32 i;

	for (i = 0; i < WORLD_WRITES_MAX; i++) {
		struct request *r = &n->requests[i];

		if (r->state >= REQUEST_LOGGING && r->state <= REQUEST_SENT && volume_waits_for(&r->ack, peer) &&
		    volume_released(&n->volume, &r->ack, peer))
			finish(world, node, r);
	}
}

void path_fail_queued(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	u32 i;

	for (i = 0; i < WORLD_WRITES_MAX; i++)
		if (n->requests[i].state == REQUEST_QUEUED || n->requests[i].state == REQUEST_REMOTE)
			request_fails(world, node, &n->requests[i]);
	for (i = 0; i < WORLD_APPLIES_MAX; i++)
		n->applies[i].used = false;
	n->nr_applies = 0;
}

static void acks_arrive(struct world *world, u8 from, u8 to, const struct message *m)
{
	struct node *n = &world->node[to];
	u32 i;

	if (m->id < n->session[from])
		return;		/* [dispatch.c] begun in an older session */
	for (i = 0; i < WORLD_WRITES_MAX; i++) {
		struct request *r = &n->requests[i];

		if (r->state < REQUEST_LOGGING || r->state > REQUEST_SENT || r->id != m->id || r->ack.missed >> from & 1)
			continue;
		if (!m->failed || MUTANT(peer_error_acked))
			acked(world, to, r, from, m->stable ? VOLUME_ANSWER_STABLE : VOLUME_ANSWER_VOLATILE);
		else if (volume_waits_for(&r->ack, from))
			world_event_simple(world, to, VOLUME_EVENT_PEER_IO_FAILED, from);
	}
}

/* ---- requests that arrive ---- */

static struct apply *free_apply(struct world *world, struct node *n)
{
	u32 i;

	for (i = 0; i < WORLD_APPLIES_MAX; i++)
		if (!n->applies[i].used)
			return &n->applies[i];
	world_violation(world, "bound", "too many requests of peers");
}

static void receive_request(struct world *world, u8 from, u8 to, u32 lane, const struct message *m)
{
	struct node *n = &world->node[to];
	struct apply *a = free_apply(world, n);

	memset(a, 0, sizeof(*a));
	n->nr_applies++;
	a->used = true;
	a->order = ++n->next_order;
	a->flush = m->kind == MESSAGE_FLUSH;
	a->resync = m->kind == MESSAGE_RESYNC;
	a->fua = m->fua;
	a->from = from;
	a->lane = (u8)lane;
	a->session = n->session[from];
	a->id = m->id;
	a->epoch = m->epoch;
	a->cells = m->cells;
	a->generation_id = m->generation_id;
	memcpy(a->stamp, m->stamp, sizeof(a->stamp));
	if (a->cells)
		a->nr_regions = regions_of(a->cells, a->regions);
}

static bool apply_is_current(const struct node *n, const struct apply *a)
{
	return n->session[a->from] == a->session && n->volume_session[a->from] == a->session;
}

static void apply_ends(struct world *world, u8 node, struct apply *a, bool failed)
{
	struct node *n = &world->node[node];
	struct message *ack;

	if (a->ready && !a->flush && !a->resync)
		regions_put(&n->volume.log, a->regions, a->nr_regions, false);
	a->used = false;
	n->nr_applies--;
	if (!apply_is_current(n, a))
		return;
	ack = world_message(world, MESSAGE_ACK);
	ack->id = a->id;
	ack->failed = failed;
	ack->stable = !failed && !world->knobs.terse && flush_is_stable(a->flush, a->fua, !n->disk.through);
	world_send(world, node, a->from, a->lane, ack);
}

/* Writes to one cell are applied in the order of their arrival; flushes need no range. */
static bool is_first(const struct node *n, const struct apply *a)
{
	u32 i, seen = 0;

	for (i = 0; i < WORLD_APPLIES_MAX && seen < n->nr_applies; i++) {
		const struct apply *b = &n->applies[i];

		seen += b->used;
		if (b->used && b->cells & a->cells && b->order < a->order)
			return false;
	}
	return true;
}

enum permission { MAY, LATER, NEVER };

static enum permission permission(const struct node *n, const struct apply *a)
{
	const struct volume *v = &n->volume;
	const struct volume_peer *peer = volume_peer_const(v, a->from);
	bool is_resync = a->resync || a->id >> 63;

	if (!apply_is_current(n, a) || v->disk != VOLUME_DISK_OK || n->disk_failed_posted || !peer)
		return NEVER;
	if (is_resync ? volume_may_resync(v, a->from) :
	    volume_may_apply(v, a->from, a->cells ? offset_of(a->cells) : 0, a->cells ? bytes_of(a->cells) : 0))
		return MAY;
	return v->role == VOLUME_SECONDARY && (peer->relation == VOLUME_GREETING || peer->relation == VOLUME_SOURCE_ASKED) ? LATER : NEVER;
}

/* Marks and log, once the range is ours. */
static bool apply_prepare(struct world *world, u8 node, struct apply *a)
{
	struct node *n = &world->node[node];
	struct volume *v = &n->volume;
	enum permission may = permission(n, a);
	struct save_request save = { .kind = SAVE_MARKS };
	u32 i, base;

	if (may == LATER)
		return false;
	if (may == NEVER) {
		apply_ends(world, node, a, true);
		return true;
	}
	if (a->resync) {
		base = group_of(a->cells) * GROUP_CELLS;
		for (i = 0; i < GROUP_CELLS; i++)	/* what is equal is not written */
			if (a->cells >> (base + i) & 1 && n->disk.cache[base + i] != a->stamp[i])
				a->save |= volume_apply_resync(v, a->from, cell_offset(base + i), CELL_BYTES);
		if (a->save && n->meta.nr_queued == WORLD_SAVES_MAX)
			return false;
		if (a->save)
			meta_save(world, node, &save);
	} else if (!a->flush) {
		if (regions_get(&v->log, a->regions, a->nr_regions, a->epoch) == ACTLOG_FULL)
			return false;
		volume_apply(v, a->from, offset_of(a->cells), bytes_of(a->cells));
	}
	a->ready = true;
	return true;
}

/* A save of the maps begins or has ended well: what waited when it began may go on. */
void path_marks_saved(struct world *world, u8 node, bool begin)
{
	struct node *n = &world->node[node];
	u32 i;

	for (i = 0; i < WORLD_APPLIES_MAX; i++)
		if (n->applies[i].used && n->applies[i].save == (begin ? 1 : 2))
			n->applies[i].save = begin ? 2 : 0;
}

static bool apply_logged(struct node *n, const struct apply *a)
{
	if (a->resync)
		return !a->save || MUTANT(resync_before_marks);
	if (!a->flush && !regions_ready(&n->volume.log, a->regions, a->nr_regions) && !MUTANT(apply_before_log))
		return false;
	return a->id >> 63 || !volume_mark_wanted(&n->volume, a->generation_id);
}

static bool apply_step(struct world *world, u8 node, struct apply *a)
{
	struct node *n = &world->node[node];

	if (!a->ready)
		return apply_prepare(world, node, a);
	if (n->volume.disk != VOLUME_DISK_OK || n->disk_failed_posted || n->disk.dead) {
		if (n->disk.dead)
			disk_failed(world, node);
		apply_ends(world, node, a, true);
		return true;
	}
	if (!a->logged) {
		a->logged = apply_logged(n, a);
		return a->logged;
	}
	if (a->flush && !MUTANT(apply_flush_not_done))
		disk_flush(&n->disk);
	else if (!a->flush)
		write_cells(&n->disk, a->cells, a->stamp, a->fua);
	apply_ends(world, node, a, false);
	return true;
}

bool path_apply_step(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	u32 start, i, seen = 0;

	if (!n->nr_applies)
		return false;
	start = world_below(world, WORLD_APPLIES_MAX);
	for (i = 0; i < WORLD_APPLIES_MAX && seen < n->nr_applies; i++) {
		struct apply *a = &n->applies[(start + i) % WORLD_APPLIES_MAX];

		if (!a->used)
			continue;
		seen++;
		if (is_first(n, a) && !sync_holds(n, a->cells) && apply_step(world, node, a))
			return true;
	}
	return false;
}

static void receive_evict(struct world *world, u8 from, u8 to, const struct message *m)
{
	struct save_request save = { .kind = SAVE_EVICTED, .epoch = m->epoch, .nr_regions = m->nr_regions };

	if (!volume_may_apply(&world->node[to].volume, from, 0, 0) ||
	    world->node[to].meta.nr_queued > WORLD_SAVES_MAX / 2)
		return;
	memcpy(save.regions, m->regions, sizeof(save.regions));
	meta_save(world, to, &save);
}

void path_receive(struct world *world, u8 from, u8 to, u32 lane, const struct message *message)
{
	switch (message->kind) {
	case MESSAGE_WRITE:
	case MESSAGE_FLUSH:
	case MESSAGE_RESYNC:
		receive_request(world, from, to, lane, message);
		break;
	case MESSAGE_READ:
		receive_read(world, from, to, lane, message);
		break;
	case MESSAGE_READ_DATA:
		receive_read_data(world, from, to, message);
		break;
	case MESSAGE_EVICT:
		receive_evict(world, from, to, message);
		break;
	default:
		if (message->id >> 63)
			sync_ack(world, to, from, message);
		else
			acks_arrive(world, from, to, message);
		break;
	}
}

/* Reads that were asked of a peer whose session ended look for another one. */
void path_peer_down(struct world *world, u8 node, u8 peer)
{
	struct node *n = &world->node[node];
	u32 i;

	for (i = 0; i < WORLD_WRITES_MAX; i++)
		if (n->requests[i].state == REQUEST_REMOTE && n->requests[i].read_node == peer)
			n->requests[i].state = REQUEST_QUEUED;
}

/* Writes that were on their way to the disk may be there in part. */
void path_power_cut(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	u32 i, cell;

	if (!n->attached || n->disk.dead)
		return;
	for (i = 0; i < WORLD_WRITES_MAX; i++) {
		struct request *r = &n->requests[i];

		if (r->state != REQUEST_LOCAL || r->kind != REQUEST_WRITE)
			continue;
		for (cell = 0; cell < WORLD_CELLS; cell++)
			if (r->cells >> cell & 1 && world_random(world) & 1)
				n->disk.cache[cell] = r->stamp;
	}
	for (i = 0; i < WORLD_APPLIES_MAX; i++) {
		struct apply *a = &n->applies[i];

		if (!a->used || !a->logged || a->flush)
			continue;
		for (cell = 0; cell < WORLD_CELLS; cell++)
			if (a->cells >> cell & 1 && world_random(world) & 1)
				n->disk.cache[cell] = a->stamp[cell % GROUP_CELLS];
	}
}

/* A quiet log is emptied some time; a demotion does it now. */
bool path_round_wanted(const struct node *n)
{
	return n->volume.role == VOLUME_PRIMARY && n->volume.log.nr_used && !n->volume.quiet;
}

bool path_round_step(struct world *world, u8 node)
{
	struct node *n = &world->node[node];

	if (!path_round_wanted(n) || world_below(world, actlog_evict_wanted(&n->volume.log) ? 2 : 100))
		return false;
	return path_internal_flush(world, node);
}

bool path_demote_wanted(const struct node *n)
{
	return n->demote != DEMOTE_NONE && (n->demote != DEMOTE_ASKED || n->volume.command.active);
}

/* [engine.c] braid_volume_demote(): quiet, flushed everywhere, log empty, then the role goes. */
bool path_demote_step(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	struct request *r;
	u32 i, open = 0;

	if (!path_demote_wanted(n))
		return false;
	if (n->demote == DEMOTE_ASKED) {	/* its deadline may pass while it waits for a record */
		if (world_below(world, 2000) || n->nr_events > WORLD_EVENTS_MAX / 4)
			return false;
		world_event_simple(world, node, VOLUME_EVENT_CANCEL, NODE_NONE);
		return true;
	}
	if (n->volume.role != VOLUME_PRIMARY || world_below(world, 5000) == 0) {	/* its deadline passed */
		path_demote_broken_off(n);
		return true;
	}
	if (n->demote != DEMOTE_QUIET || n->round_active)
		return false;
	for (i = 0; i < WORLD_WRITES_MAX; i++) {
		r = &n->requests[i];
		open += r->state != REQUEST_FREE;
	}
	if (open || !path_internal_flush(world, node))
		return false;
	n->demote = DEMOTE_FLUSHING;
	return true;
}
