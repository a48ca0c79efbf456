// SPDX-License-Identifier: GPL-2.0
/*
 * Resync on the simulated nodes, the source's side: kernel/sync.c. The target's side is an ordinary apply (path.c) that
 * writes only what differs.
 */
#include "world.h"
#include "../../kernel/core/probe.h"

#define RESYNC_ID (1ull << 63)

void sync_start(struct world *world, u8 node, u8 peer)
{
	struct resync *r = &world->node[node].resync[peer];

	memset(r, 0, sizeof(*r));
	r->running = true;
	r->node = peer;
	world->count_resyncs++;
}

void sync_stop(struct world *world, u8 node, u8 peer)
{
	struct resync *r = &world->node[node].resync[peer];

	memset(r, 0, sizeof(*r));
}

bool sync_holds(const struct node *n, u32 cells)
{
	u32 i;

	for (i = 0; i < WORLD_NODES_MAX; i++)
		if (n->resync[i].running && n->resync[i].busy & cells && !MUTANT(resync_unlocked))
			return true;
	return false;
}

/* What the workload never touches is equal everywhere; granules that hold cells as well are not cleared in part. */
static void clear_untouched(struct dirty_map *map)
{
	u64 at = 0;
	u32 group;

	for (group = 0; group < WORLD_GROUPS; group++) {
		u64 offset = cell_offset(group * GROUP_CELLS);

		dirty_clear(map, at, offset - at);
		at = offset + (u64)GROUP_CELLS * CELL_BYTES;
	}
	dirty_clear(map, at, WORLD_VOLUME_BYTES - at);
}

static void prove(struct world *world, u8 node, struct resync *r, struct volume_peer *peer)
{
	u64 granule_bytes = 1ull << peer->map.granule_shift;
	u32 cell, cleared = 0;

	/* A granule of any size holds two cells at most, and what is equal everywhere. */
	for (cell = 0; cell < WORLD_CELLS; cell += 2)
		if (r->proving >> cell & 1 &&
		    dirty_clear_proven(&peer->map, cell_offset(cell) & ~(granule_bytes - 1), granule_bytes, r->marks[cell]))
			cleared |= granule_cells(cell);
	check_cleared(world, node, r->node, cleared);
	r->proving = 0;
	r->proof_active = false;
}

static bool send_granule(struct world *world, u8 node, struct resync *r, u32 cell)
{
	struct node *n = &world->node[node];
	u32 cells = granule_cells(cell), base = cell / GROUP_CELLS * GROUP_CELLS, i;
	struct message *message;

	if ((r->equal | r->proving | r->busy) & cells || path_busy(n, cells, NULL))
		return false;
	if (n->disk.dead || n->disk.bad & cells) {
		r->failed = true;
		world_event_simple(world, node, VOLUME_EVENT_RESYNC_FAILED, r->node);
		return true;
	}
	r->busy |= cells;
	world->count_resync_sent++;
	message = world_message(world, MESSAGE_RESYNC);
	message->id = r->id[cell & ~1u] = RESYNC_ID | ++world->sequence;
	r->marks[cell & ~1u] = volume_peer_const(&n->volume, r->node)->map.nr_marks;
	message->cells = cells;
	for (i = 0; i < GROUP_CELLS; i++)
		message->stamp[i] = n->disk.cache[base + i];
	world_send(world, node, r->node, 1 + world_below(world, WORLD_LANES - 1), message);
	return true;
}

static void proof_begin(struct world *world, u8 node, struct resync *r)
{
	struct message *message = world_message(world, MESSAGE_FLUSH);

	r->proving = r->equal;
	r->equal = 0;
	r->proof_active = true;
	r->proof_here = r->proof_there = false;
	r->proof_id = message->id = RESYNC_ID | ++world->sequence;
	world_send(world, node, r->node, 1 + world_below(world, WORLD_LANES - 1), message);
}

bool sync_wanted(const struct resync *r)
{
	return r->running && !r->failed && !r->dry_posted;
}

bool sync_step(struct world *world, u8 node, u8 to)
{
	struct node *n = &world->node[node];
	struct resync *r = &n->resync[to];
	struct volume_peer *peer;
	struct save_request save = { .kind = SAVE_DRY, .node = to };
	u32 cell, tries;

	if (!sync_wanted(r))
		return false;
	peer = volume_peer(&n->volume, to);
	if (!peer || peer->relation != VOLUME_TARGET)
		return false;
	if (r->proof_active && !r->proof_here) {
		if (n->disk.dead) {
			r->failed = true;
			world_event_simple(world, node, VOLUME_EVENT_RESYNC_FAILED, to);
			disk_failed(world, node);
			return true;
		}
		disk_flush(&n->disk);
		r->proof_here = true;
		return true;
	}
	if (r->proof_active && (r->proof_there || MUTANT(proof_without_peer))) {
		prove(world, node, r, peer);
		return true;
	}
	clear_untouched(&peer->map);
	for (tries = 0; peer->map.nr_set && tries < 6; tries++) {
		cell = world_below(world, WORLD_CELLS);
		if (dirty_test(&peer->map, cell_offset(cell)) && send_granule(world, node, r, cell))
			return true;
	}
	if ((r->proof_active || r->busy) && !MUTANT(dry_with_open_chunks))
		return false;
	if (r->equal && !MUTANT(dry_with_open_chunks)) {
		proof_begin(world, node, r);
		return true;
	}
	if (peer->map.nr_set)
		return false;
	r->dry_posted = true;
	meta_save(world, node, &save);
	return true;
}

void sync_ack(struct world *world, u8 node, u8 from, const struct message *message)
{
	struct node *n = &world->node[node];
	struct resync *r = &n->resync[from];
	u32 cell;

	if (!r->running || (message->id & ~RESYNC_ID) < n->session[from])
		return;
	if (message->failed) {
		world_event_simple(world, node, VOLUME_EVENT_PEER_IO_FAILED, from);
		return;
	}
	if (r->proof_active && message->id == r->proof_id) {
		r->proof_there = true;
		return;
	}
	for (cell = 0; cell < WORLD_CELLS; cell += 2)
		if (r->busy >> cell & 1 && r->id[cell] == message->id) {
			r->busy &= ~granule_cells(cell);
			r->equal |= granule_cells(cell);
			return;
		}
}
