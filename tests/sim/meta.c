// SPDX-License-Identifier: GPL-2.0
/*
 * Metadata of the simulated volumes, block by block through the shipped codec: what kernel/meta.c, meta_maps.c and the
 * attach and detach of device.c do. Every block write can be the one that a power cut tears, fails, or that damage hits.
 */
#include <stdlib.h>

#include "world.h"
#include "../../kernel/core/probe.h"

static struct ondisk_layout layout;	/* the same for all: one size of volume */

static u32 block_of(u64 offset)
{
	u32 block = (u32)(offset / META_BLOCK_BYTES);

	return block < WORLD_META_BLOCKS ? block : 0;
}

static struct ondisk_header header_of(const struct node *n, enum ondisk_kind kind, u64 sequence, u64 location)
{
	return (struct ondisk_header){ .volume_id = n->volume.super.volume_id, .replica_id = n->volume.super.replica_id,
				       .location = location, .sequence = sequence, .kind = (u16)kind };
}

void disk_flush(struct disk *disk)
{
	memcpy(disk->platter, disk->cache, sizeof(disk->platter));
}

void disk_failed(struct world *world, u8 node)
{
	struct node *n = &world->node[node];

	if (n->disk_failed_posted)
		return;
	n->disk_failed_posted = true;
	world->count_disk_errors++;
	world_trace(world, "%u: disk is given up", node);
	if (n->listed)
		world_event_simple(world, node, VOLUME_EVENT_DISK_FAILED, NODE_NONE);
}

/* A replica as `braid create` (one of several that were made alike, or the only one) or `braid replicate` leaves it. */
void meta_format(struct world *world, u8 node, enum format format, u32 flags)
{
	struct node *n = &world->node[node];
	struct generation first = { .id = 1, .number = 1, .members = (1u << world->nr_nodes) - 1, .writer = 0,
				    .written = true };
	struct ondisk_super super = { .volume_id = 7, .sequence = 1, .volume_bytes = WORLD_VOLUME_BYTES,
				      .granule_bytes = (u32)GRANULE_BYTES_MIN << world->knobs.granule_shift[node], .actlog_parts = 1, .node_id = node,
				      .split_peer = NODE_NONE, .data_offset_bytes = 1 << 20, .replicas = NODE_BIT(node),
				      .flags = flags };
	u8 other, slot = 0;

	ondisk_layout(WORLD_VOLUME_BYTES, GRANULE_BYTES_MIN, &layout);	/* that of any granule: one page */
	super.meta_bytes = layout.end;
	super.replica_id = ++world->sequence << 8 | node;
	memcpy(super.name, "web", 4);
	memset(super.slot_node, NODE_NONE, sizeof(super.slot_node));
	if (format == FORMAT_ALONE)
		first = (struct generation){ .id = 1, .number = 1, .members = NODE_BIT(node), .writer = NODE_NONE };
	if (format != FORMAT_NEW) {
		super.replicas = first.members;
		super.chain.count = 1;
		super.chain.record[0] = first;
		for (other = 0; other < world->nr_nodes; other++)
			if (other != node && (first.members & NODE_BIT(other)))
				super.slot_node[slot++] = other;
	}
	memset(n->disk.meta, 0, sizeof(n->disk.meta));
	n->disk.bad = 0;
	n->disk.unreadable = 0;
	n->disk.dead = false;
	n->disk.meta_fails_in = 0;
	ondisk_super_encode(&super, 0, n->disk.meta[0]);
	for (slot = 0; slot < REPLICAS_MAX; slot++) {
		static const u8 clean[META_BODY_BYTES];
		struct ondisk_header header = { .volume_id = super.volume_id, .replica_id = super.replica_id, .sequence = 1,
						.location = ondisk_index_offset(&layout, slot, 0),
						.kind = ONDISK_DIRTY_INDEX };

		ondisk_body_encode(&header, clean, n->disk.meta[block_of(header.location)]);
	}
}

/* ---- writing ---- */

/* @data arrives on the disk, or the disk says that it did not. */
static bool block_written(struct world *world, struct node *n, const struct meta_write *write)
{
	if (n->disk.meta_fails_in && --n->disk.meta_fails_in == 0)
		return false;
	if (n->disk.dead)
		return false;
	(void)world;
	memcpy(n->disk.meta[write->block], write->data, META_BLOCK_BYTES);
	n->disk.unreadable &= ~(1ull << write->block);
	return true;
}

static u8 *pend(struct meta *meta, u64 offset)
{
	struct meta_write *write = &meta->pending[meta->nr_pending++];

	write->block = (u16)block_of(offset);
	return write->data;
}

static void tear(struct world *world, struct node *n, const struct meta_write *write)
{
	u32 sector;

	world->count_torn++;
	for (sector = 0; sector < SECTORS_PER_BLOCK; sector++)
		if (world_random(world) & 1)
			memcpy(n->disk.meta[write->block] + sector * 512, write->data + sector * 512, 512);
}

void meta_torn(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	u32 i;

	if (!n->disk.dead) {
		for (i = 0; i < n->meta.nr_pending; i++)
			tear(world, n, &n->meta.pending[i]);
		if (n->meta.log_busy)
			tear(world, n, &n->meta.log_pending);
	}
	n->meta.nr_pending = 0;
	n->meta.log_busy = false;
}

/* ---- activity log ---- */

static bool log_begin(struct node *n, bool all)
{
	struct actlog *log = &n->volume.log;
	struct meta *meta = &n->meta;
	u32 regions[ACTLOG_PART_REGIONS];
	struct ondisk_header header;
	u64 location;

	if (!(all ? actlog_commit_all_begin(log) : actlog_commit_begin(log)))
		return false;
	meta->log_mark_id = volume_mark_id(&n->volume);
	meta->part_sequence++;
	location = ondisk_actlog_offset(&layout, 0, !meta->part_copy);
	header = header_of(n, ONDISK_ACTLOG, meta->part_sequence, location);
	actlog_encode_part(log, 0, regions);
	ondisk_actlog_encode(&header, meta->log_mark_id, regions, meta->log_pending.data);
	meta->log_pending.block = (u16)block_of(location);
	meta->log_busy = true;
	return true;
}

static void log_end(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	struct meta *meta = &n->meta;
	bool ok = !n->disk_failed_posted && block_written(world, n, &meta->log_pending);

	meta->log_busy = false;
	actlog_commit_end(&n->volume.log, ok);
	if (ok) {
		meta->part_copy = !meta->part_copy;
		if (volume_marked(&n->volume, meta->log_mark_id) && n->nr_events < WORLD_EVENTS_MAX / 2)
			world_event_simple(world, node, VOLUME_EVENT_FACTS, NODE_NONE);
		return;
	}
	meta->log_failed = true;
	disk_failed(world, node);
}

bool meta_log_wanted(const struct node *n)
{
	return n->meta.log_busy || (!n->disk_failed_posted && n->listed &&
				    (n->volume.log.part_removed || actlog_commit_wanted(&n->volume.log)));
}

bool meta_log_step(struct world *world, u8 node)
{
	struct node *n = &world->node[node];

	if (n->meta.log_busy) {
		log_end(world, node);
		return true;
	}
	if (n->disk_failed_posted || !n->listed)
		return false;
	if (n->volume.log.part_removed && world_below(world, 8) == 0)
		n->volume.log.forced = true;	/* [io_log.c] what left is taken off the disk some time */
	return actlog_commit_wanted(&n->volume.log) && log_begin(n, false);
}

/* ---- maps ---- */

/* One entry a map at this size of volume: its page, then the index that speaks of it. */
static bool maps_next(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	struct meta *meta = &n->meta;

	(void)world;
	while (meta->slot < REPLICAS_MAX) {
		struct dirty_map *map = &n->volume.peer[meta->slot].map;
		struct ondisk_header header;
		u8 body[META_BODY_BYTES];
		bool page = false;
		u64 location;

		switch (meta->map_state++) {
		case 0:
			if (!map->nr_unsaved) {
				meta->slot++;
				meta->map_state = 0;
				break;
			}
			meta->index_wanted = false;
			meta->entry = dirty_save_next(map, 0, body, &page, &meta->index_wanted);
			if (meta->entry >= map->nr_entries) {
				meta->slot++;
				meta->map_state = 0;
				break;
			}
			if (!page)
				break;
			location = ondisk_page_offset(&layout, meta->slot, meta->entry);
			header = header_of(n, ONDISK_DIRTY_PAGE, ++meta->body_sequence, location);
			ondisk_body_encode(&header, body, pend(meta, location));
			return true;
		case 1:
			if (!meta->index_wanted)
				break;
			location = ondisk_index_offset(&layout, meta->slot, 0);
			header = header_of(n, ONDISK_DIRTY_INDEX, ++meta->body_sequence, location);
			dirty_index_encode(map, 0, body);
			ondisk_body_encode(&header, body, pend(meta, location));
			return true;
		default:
			dirty_save_end(map, meta->entry, true);
			meta->slot++;
			meta->map_state = 0;
			break;
		}
	}
	return false;
}

static void maps_failed(struct node *n)
{
	struct meta *meta = &n->meta;

	if (meta->phase == PHASE_MAPS && meta->map_state && meta->slot < REPLICAS_MAX)
		dirty_save_end(&n->volume.peer[meta->slot].map, meta->entry, false);
}

/* ---- the saver ---- */

void meta_save(struct world *world, u8 node, const struct save_request *request)
{
	struct meta *meta = &world->node[node].meta;

	if (meta->nr_queued == WORLD_SAVES_MAX)
		world_violation(world, "bound", "%u has too many saves to do", node);
	meta->queue[meta->nr_queued++] = *request;
}

static struct save_request queue_take(struct meta *meta, u32 at)
{
	struct save_request request = meta->queue[at];

	meta->nr_queued--;
	memmove(&meta->queue[at], &meta->queue[at + 1], (meta->nr_queued - at) * sizeof(request));
	return request;
}

/* Superblock requests are answered together, in order; what comes after something else waits for its turn. */
static void absorb_supers(struct meta *meta)
{
	u32 at = 0;

	meta->tokens[0] = meta->current.token;
	meta->nr_tokens = 1;
	while (at < meta->nr_queued && meta->queue[at].kind == SAVE_SUPER) {
		struct save_request request = queue_take(meta, at);

		meta->current.maps_first |= request.maps_first;
		meta->tokens[meta->nr_tokens++] = request.token;
	}
}

static void begin(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	struct meta *meta = &n->meta;
	u32 at = world_below(world, meta->nr_queued);

	/* Superblocks keep their order among each other; all else has works of its own. */
	if (meta->queue[at].kind == SAVE_SUPER || meta->queue[at].kind == SAVE_DETACH)
		at = 0;
	meta->current = queue_take(meta, at);
	if (meta->current.kind == SAVE_SUPER)
		absorb_supers(meta);
	meta->failed = false;
	meta->slot = meta->map_state = 0;
	meta->epoch = meta->current.kind == SAVE_EVICT ? n->volume.log.stable_epoch : meta->current.epoch;
	meta->phase = meta->current.kind == SAVE_RESET || meta->current.kind == SAVE_DETACH ? PHASE_FLUSH : PHASE_MAPS;
	if (meta->current.kind == SAVE_SUPER && (!meta->current.maps_first || MUTANT(maps_first_ignored)))
		meta->phase = PHASE_SUPER;
	if ((meta->current.kind == SAVE_EVICT || meta->current.kind == SAVE_EVICTED) && MUTANT(evict_before_maps))
		meta->phase = PHASE_EVICT;
	if (meta->phase == PHASE_FLUSH)
		meta->epoch = volume_log_reset_begin(&n->volume, meta->current.spell);
	if (n->disk_failed_posted || (meta->phase == PHASE_FLUSH && !meta->epoch)) {
		meta->failed = true;
		meta->phase = PHASE_END;
	}
	if (meta->current.kind == SAVE_ATTACH && MUTANT(attach_log_first))
		meta->phase = PHASE_LOG;
	if (meta->current.kind == SAVE_MARKS)
		path_marks_saved(world, node, true);
}

static enum save_phase phase_after(enum save_kind kind, enum save_phase phase)
{
	static const enum save_phase order[][8] = {
		[SAVE_SUPER] = { PHASE_MAPS, PHASE_SUPER, PHASE_END },
		[SAVE_RESET] = { PHASE_FLUSH, PHASE_MAPS, PHASE_EVICT, PHASE_LOG, PHASE_LOG_WAIT, PHASE_END },
		[SAVE_EVICT] = { PHASE_MAPS, PHASE_EVICT, PHASE_END },
		[SAVE_EVICTED] = { PHASE_MAPS, PHASE_EVICT, PHASE_END },
		[SAVE_DRY] = { PHASE_MAPS, PHASE_END },
		[SAVE_MARKS] = { PHASE_MAPS, PHASE_END },
		[SAVE_ATTACH] = { PHASE_MAPS, PHASE_FLUSH, PHASE_SUPER, PHASE_LOG, PHASE_LOG_WAIT, PHASE_END },
		[SAVE_DETACH] = { PHASE_FLUSH, PHASE_MAPS, PHASE_EVICT, PHASE_LOG, PHASE_LOG_WAIT, PHASE_SUPER, PHASE_END },
	};
	u32 i = 0;

	while (order[kind][i] != phase)
		i++;
	return order[kind][i + 1];
}

/* [W6] The writer's part of an eviction: regions leave, the others are told which. */
static void evict_and_tell(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	struct actlog *log = &n->volume.log;
	struct message told = { 0 };
	u32 candidates[16], nr, i;
	u8 peer;

	nr = actlog_evict_candidates(log, candidates, n->meta.current.all ? 16 : 1 + world_below(world, 4));
	for (i = 0; i < nr; i++)
		if (actlog_evict(log, candidates[i], n->meta.epoch))
			told.regions[told.nr_regions++] = candidates[i];
	for (peer = 0; peer < world->nr_nodes && told.nr_regions; peer++) {
		struct message *message;

		if (!(n->volume.streaming >> peer & 1))
			continue;
		message = world_message(world, MESSAGE_EVICT);
		message->epoch = MUTANT(evict_tells_next_epoch) ? n->volume.log.epoch : n->meta.epoch;
		message->nr_regions = told.nr_regions;
		memcpy(message->regions, told.regions, sizeof(told.regions));
		world_send(world, node, peer, 1 + world_below(world, WORLD_LANES - 1), message);
	}
}

static void evict(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	struct meta *meta = &n->meta;
	u32 i;

	switch (meta->current.kind) {
	case SAVE_EVICT:
		evict_and_tell(world, node);
		break;
	case SAVE_EVICTED:
		for (i = 0; i < meta->current.nr_regions; i++)
			actlog_evict(&n->volume.log, meta->current.regions[i], meta->epoch);
		break;
	default:
		actlog_evict_before(&n->volume.log, meta->epoch);
		break;
	}
}

static void super_begin(struct node *n)
{
	struct meta *meta = &n->meta;
	u32 copy = !meta->super_copy;

	if (meta->current.kind == SAVE_DETACH)
		n->volume.super.flags &= ~(u32)ONDISK_ATTACHED;
	n->volume.super.sequence++;
	meta->super = n->volume.super;
	ondisk_super_encode(&meta->super, copy, pend(meta, ondisk_super_offset(copy)));
}

static void came_online(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	u8 peer;

	n->listed = true;
	world_event_simple(world, node, VOLUME_EVENT_ONLINE, NODE_NONE);
	for (peer = 0; peer < world->nr_nodes; peer++) {
		struct volume_event event = { .type = VOLUME_EVENT_PEER_UP, .node = peer, .value = n->session[peer],
					      .features = world_features(world) };

		if (n->session[peer])
			world_event(world, node, &event);
	}
}

static void went_away(struct world *world, u8 node)
{
	struct node *n = &world->node[node];

	world_trace(world, "%u: volume is detached", node);
	while (n->nr_events) {
		free((void *)n->events[n->first_event].body);
		n->first_event = (n->first_event + 1) % WORLD_EVENTS_MAX;
		n->nr_events--;
	}
	n->attached = n->listed = n->detaching = n->command_pending = n->resolving = false;
}

static void answer_reset(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	struct meta *meta = &n->meta;
	struct volume_event event = { .type = VOLUME_EVENT_LOG_RESET, .ok = !meta->failed };

	if (!meta->failed && n->volume.log.nr_used && ++meta->current.token < 50) {
		meta_save(world, node, &meta->current);	/* regions are in use: again later */
		return;
	}
	if (meta->current.spell) {	/* a demotion's; nobody waits for it when that was broken off */
		if (n->demote == DEMOTE_RESETTING && meta->current.spell == n->volume.quiet_spell)
			path_demote_asks(world, node, !meta->failed);
		return;
	}
	world_event(world, node, &event);
}

static void end(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	struct meta *meta = &n->meta;
	struct volume_event event = { .type = VOLUME_EVENT_SUPER_SAVED,
				      .ok = !meta->failed || MUTANT(save_error_hidden) };
	u32 i;

	meta->phase = PHASE_IDLE;
	switch (meta->current.kind) {
	case SAVE_SUPER:
		for (i = 0; i < meta->nr_tokens; i++) {
			event.token = meta->tokens[i];
			world_event(world, node, &event);
		}
		break;
	case SAVE_RESET:
		answer_reset(world, node);
		break;
	case SAVE_EVICT:
		path_round_ended(world, node, !meta->failed);
		break;
	case SAVE_EVICTED:
		break;
	case SAVE_MARKS:
		if (!meta->failed)
			path_marks_saved(world, node, false);
		break;
	case SAVE_DRY:
		if (meta->failed || !n->resync[meta->current.node].dry_posted)
			break;
		event.type = VOLUME_EVENT_RESYNC_DRY;
		event.node = meta->current.node;
		world_event(world, node, &event);
		break;
	case SAVE_ATTACH:
		if (meta->failed)
			n->attached = false;
		else
			came_online(world, node);
		break;
	case SAVE_DETACH:
		went_away(world, node);
		break;
	}
}

/* What an attach writes is empty. */
static void log_begin_all(struct node *n)
{
	if (n->meta.current.kind == SAVE_ATTACH)
		actlog_clear(&n->volume.log);
	log_begin(n, true);
}

/* What a phase does when it is entered with nothing under way. True: it has begun writes or waits; else it is over. */
static bool phase_run(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	struct meta *meta = &n->meta;

	switch (meta->phase) {
	case PHASE_FLUSH:
		if (n->disk.dead)
			meta->failed = true;
		else
			disk_flush(&n->disk);
		return false;
	case PHASE_MAPS:
		return maps_next(world, node);
	case PHASE_EVICT:
		evict(world, node);
		return false;
	case PHASE_LOG:
		if (meta->log_busy)
			return true;
		meta->log_failed = false;
		log_begin_all(n);
		return false;
	case PHASE_LOG_WAIT:
		meta->failed |= meta->log_failed;
		if (meta->log_busy || meta->failed || meta->current.kind != SAVE_ATTACH || meta->map_state ||
		    MUTANT(attach_log_once))
			return meta->log_busy;
		meta->map_state = 1;	/* the other copy */
		log_begin_all(n);
		return true;
	case PHASE_SUPER:
		if (meta->map_state) {	/* written */
			meta->super_copy = !meta->super_copy;
			meta->map_state = 0;
			return false;
		}
		meta->map_state = 1;
		super_begin(n);
		return true;
	default:
		return false;
	}
}

static void fail(struct world *world, u8 node)
{
	struct node *n = &world->node[node];

	maps_failed(n);
	n->meta.nr_pending = 0;
	n->meta.failed = true;
	n->meta.phase = PHASE_END;
	disk_failed(world, node);
}

bool meta_save_wanted(const struct node *n)
{
	return n->meta.nr_pending || n->meta.phase != PHASE_IDLE || n->meta.nr_queued;
}

bool meta_save_step(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	struct meta *meta = &n->meta;

	if (meta->nr_pending) {
		if (n->disk_failed_posted || !block_written(world, n, &meta->pending[--meta->nr_pending]))
			fail(world, node);
		return true;
	}
	switch (meta->phase) {
	case PHASE_IDLE:
		if (!meta->nr_queued)
			return false;
		begin(world, node);
		return true;
	case PHASE_END:
		if (n->nr_events > WORLD_EVENTS_MAX - WORLD_SAVES_MAX)
			return false;
		end(world, node);
		return true;
	default:
		if (phase_run(world, node))
			return meta->nr_pending;
		if (meta->failed) {
			fail(world, node);
			return true;
		}
		meta->phase = phase_after(meta->current.kind, meta->phase);
		meta->map_state = 0;
		return true;
	}
}

/* ---- attach ---- */

static const u8 *load_body(struct node *n, enum ondisk_kind kind, u64 location)
{
	struct ondisk_header expected = header_of(n, kind, 0, location);
	const u8 *block = n->disk.meta[block_of(location)], *body;
	u64 sequence;

	if (n->disk.unreadable >> block_of(location) & 1)
		return NULL;
	if (ondisk_body_decode(&expected, block, &body, &sequence) != ONDISK_OK)
		return NULL;
	if (sequence > n->meta.body_sequence)
		n->meta.body_sequence = sequence;
	return body;
}

static void load_map(struct node *n, u32 slot)
{
	struct dirty_map *map = &n->volume.peer[slot].map;
	u32 entry;

	dirty_load_index(map, 0, load_body(n, ONDISK_DIRTY_INDEX, ondisk_index_offset(&layout, slot, 0)));
	while ((entry = dirty_load_next_mixed(map, 0)) < map->nr_entries)
		dirty_load_page(map, entry, load_body(n, ONDISK_DIRTY_PAGE, ondisk_page_offset(&layout, slot, entry)));
}

static const u8 *readable(const struct disk *disk, u64 location)
{
	u32 block = block_of(location);

	return disk->unreadable >> block & 1 ? NULL : disk->meta[block];
}

static void load_log(struct node *n)
{
	u32 regions[2 * ACTLOG_PART_REGIONS], nr = 0, copy, i;
	struct ondisk_header expected[2];
	u64 written_id = 0;
	bool known;

	for (copy = 0; copy < 2; copy++)
		expected[copy] = header_of(n, ONDISK_ACTLOG, 0, ondisk_actlog_offset(&layout, 0, copy));
	known = ondisk_actlog_load(&expected[0], &expected[1], readable(&n->disk, expected[0].location),
				   readable(&n->disk, expected[1].location), n->volume.log.nr_regions, regions, &nr,
				   &n->meta.part_sequence, &written_id, &n->meta.part_copy);
	for (i = 0; known && i < nr; i++)
		volume_log_found(&n->volume, regions[i]);
	if (!known)
		volume_log_lost(&n->volume);
	if (written_id)
		volume_written_found(&n->volume, written_id);
}

/* An activity log of a few regions fills up and evicts all the time. */
static void shrink_log(struct node *n, u32 nr_slots)
{
	struct actlog *log = &n->volume.log;
	u32 slot = log->part_first_free[0], i;

	if (!nr_slots)
		return;
	for (i = 1; i < nr_slots; i++)
		slot = log->slots[slot].hash_next;
	log->slots[slot].hash_next = ACTLOG_NO_SLOT;
	log->part_free[0] = nr_slots;
	log->nr_slots = nr_slots;
}

/* [memory.c] Slots that the step may take get their memory before it; @event NULL: those in use. */
void meta_give_slots(struct node *n, const struct volume_event *event)
{
	u32 slot;

	while ((slot = volume_slot_lacking(&n->volume, event)) < REPLICAS_MAX)
		volume_slot_give(&n->volume, slot, &n->pool, n->entries[slot], &n->facts[slot]);
}

bool meta_attach(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	struct save_request request = { .kind = SAVE_ATTACH };
	enum ondisk_error error[2];
	struct ondisk_super super;
	int copy = n->disk.dead ? -1 : ondisk_super_choose(n->disk.meta[0], n->disk.meta[1], &super, error);
	u32 slot;

	if (copy >= 0 && !ondisk_super_valid(&super))
		copy = -1;
	if (copy < 0) {
		if (!n->disk.dead)
			world_violation(world, "I17", "%u: superblock refused: %s, %s", node, ondisk_error_name(error[0]),
					ondisk_error_name(error[1]));
		return false;
	}
	memset(&n->volume, 0, sizeof(n->volume));
	memset(&n->meta, 0, offsetof(struct meta, pending));
	memset(&n->meta.nr_pending, 0, sizeof(n->meta) - offsetof(struct meta, nr_pending));
	memset(n->requests, 0, sizeof(n->requests));
	memset(n->applies, 0, sizeof(n->applies));
	memset(n->resync, 0, sizeof(n->resync));
	memset(n->volume_session, 0, sizeof(n->volume_session));
	n->nr_applies = 0;
	n->disk_failed_posted = n->round_active = n->detaching = n->command_pending = n->resolving = false;
	n->demote = DEMOTE_NONE;
	dirty_pool_init(&n->pool, n->pages, n->next_free, CORE_ARRAY_SIZE(n->pages));
	actlog_init(&n->volume.log, n->slots, n->hash, 1, WORLD_VOLUME_BYTES);
	shrink_log(n, world->knobs.log_slots[node]);
	volume_init(&n->volume, &super, node, &n->scratch);
	meta_give_slots(n, NULL);
	n->meta.super_copy = (u32)copy;
	for (slot = 0; slot < REPLICAS_MAX; slot++)
		if (super.slot_node[slot] != NODE_NONE)
			load_map(n, slot);
	load_log(n);
	n->volume.super.flags |= ONDISK_ATTACHED;
	n->volume.super.attach_count++;
	n->attached = true;
	check_attached(world, node);
	meta_save(world, node, &request);
	return true;
}
