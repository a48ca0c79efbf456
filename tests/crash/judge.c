// SPDX-License-Identifier: GPL-2.0
/*
 * What braid makes of a disk after a crash: the steps of attach (kernel/attach.c, kernel/meta_maps.c) on memory, and the
 * dialogue of two replicas up to their plan. Every decision is the core's; here is only the order.
 */
#include <stdio.h>
#include <stdlib.h>

#include "crash.h"

enum { POOL_PAGES = 64, ENTRIES_MAX = 4, QUEUE_MAX = 256 };

/* Memory of one replica's core, as core_create() of the module gives it. */
struct memory {
	struct volume volume;
	struct actlog_slot slots[ACTLOG_REGIONS_MAX];
	u32 hash[2 * ACTLOG_REGIONS_MAX];
	struct dirty_page pages[POOL_PAGES];
	u32 next_free[POOL_PAGES];
	struct dirty_pool pool;
	struct dirty_entry entries[REPLICAS_MAX][ENTRIES_MAX];
	struct wire_greet facts[REPLICAS_MAX], scratch;
};

void replica_init(struct replica *replica, const struct dmlog *log)
{
	struct memory *memory = calloc(1, sizeof(*memory));

	if (!memory || dirty_entries_needed(log->super.volume_bytes, log->super.granule_bytes) > ENTRIES_MAX ||
	    actlog_hash_size(log->super.actlog_parts, log->super.volume_bytes) > CORE_ARRAY_SIZE(memory->hash))
		exit(2);
	memset(replica, 0, sizeof(*replica));
	replica->volume = &memory->volume;
}

static void core_create(struct replica *replica)
{
	struct memory *memory = (struct memory *)replica->volume;
	const struct ondisk_super *super = &replica->super;
	u32 slot;

	memset(&memory->volume, 0, sizeof(memory->volume));
	memset(memory->entries, 0, sizeof(memory->entries));
	dirty_pool_init(&memory->pool, memory->pages, memory->next_free, POOL_PAGES);
	actlog_init(&memory->volume.log, memory->slots, memory->hash, super->actlog_parts, super->volume_bytes);
	volume_init(&memory->volume, super, super->node_id, &memory->scratch);
	for (slot = 0; slot < REPLICAS_MAX; slot++)
		volume_slot_give(&memory->volume, slot, &memory->pool, memory->entries[slot], &memory->facts[slot]);
}

/* ---- loading ---- */

static struct ondisk_header header_of(const struct ondisk_super *super, enum ondisk_kind kind, u64 location)
{
	return (struct ondisk_header){
		.volume_id = super->volume_id, .replica_id = super->replica_id, .location = location, .kind = kind,
	};
}

static bool is_zero(const u8 *bytes, u32 length_bytes)
{
	return !bytes[0] && !memcmp(bytes, bytes + 1, length_bytes - 1);
}

/* Body of a block, NULL when it is not there. */
static const u8 *body_of(struct replica *replica, const struct disk *disk, enum ondisk_kind kind, u64 location)
{
	struct ondisk_header expected = header_of(&replica->super, kind, location);
	const u8 *block = disk->head + location, *body;
	u64 sequence;

	if (ondisk_body_decode(&expected, block, &body, &sequence) == ONDISK_OK)
		return body;
	replica->damaged++;
	return NULL;
}

static void load_map(struct replica *replica, const struct disk *disk, u32 slot)
{
	const struct ondisk_layout *layout = &disk->log->layout;
	struct dirty_map *map = &replica->volume->peer[slot].map;
	u32 block, entry;

	for (block = 0; block < layout->index_blocks_per_slot; block++)
		dirty_load_index(map, block, body_of(replica, disk, ONDISK_DIRTY_INDEX,
						     ondisk_index_offset(layout, slot, block)));
	for (entry = dirty_load_next_mixed(map, 0); entry < map->nr_entries; entry = dirty_load_next_mixed(map, entry + 1))
		dirty_load_page(map, entry, body_of(replica, disk, ONDISK_DIRTY_PAGE,
						    ondisk_page_offset(layout, slot, entry)));
}

static void load_log_part(struct replica *replica, const struct disk *disk, const struct judge *judge, u32 part)
{
	u64 at[2] = { ondisk_actlog_offset(&disk->log->layout, part, 0), ondisk_actlog_offset(&disk->log->layout, part, 1) };
	struct ondisk_header expected[2] = { header_of(&replica->super, ONDISK_ACTLOG, at[0]),
					     header_of(&replica->super, ONDISK_ACTLOG, at[1]) };
	u32 regions[2 * ACTLOG_PART_REGIONS], nr = 0, copy, i;
	u64 sequence, written_id = 0;
	bool known = ondisk_actlog_load(&expected[0], &expected[1], disk->head + at[0], disk->head + at[1],
					replica->volume->log.nr_regions, regions, &nr, &sequence, &written_id, &copy);

	for (i = 0; known && i < nr && !judge->ignore_log; i++) {
		volume_log_found(replica->volume, regions[i]);
		replica->regions |= 1ull << regions[i];
	}
	if (!known) {
		volume_log_lost(replica->volume);
		replica->log_lost = true;
	}
	if (written_id)
		volume_written_found(replica->volume, written_id);
}

/* Same volume and same sizes as in the rest of the log: the geometry of a replica does not change. */
static const char *foreign(const struct ondisk_super *super, const struct ondisk_super *known)
{
	if (super->volume_id != known->volume_id || super->replica_id != known->replica_id)
		return "is of another volume or replica";
	if (super->volume_bytes != known->volume_bytes || super->data_offset_bytes != known->data_offset_bytes ||
	    super->granule_bytes != known->granule_bytes || super->actlog_parts != known->actlog_parts)
		return "has another geometry";
	return NULL;
}

static enum attach_result load_super(struct replica *replica, const struct disk *disk)
{
	const u8 *copy[2] = { disk->head + ondisk_super_offset(0), disk->head + ondisk_super_offset(1) };

	if (ondisk_super_choose(copy[0], copy[1], &replica->super, replica->error) < 0) {
		replica->why = "no superblock copy counts";
		return is_zero(copy[0], META_BLOCK_BYTES) && is_zero(copy[1], META_BLOCK_BYTES) ? ATTACH_BLANK :
												  ATTACH_REFUSED;
	}
	replica->why = ondisk_super_valid(&replica->super) ? foreign(&replica->super, &disk->log->super) :
							     "superblock is not valid";
	return replica->why ? ATTACH_REFUSED : ATTACH_OK;
}

void replica_attach(struct replica *replica, const struct disk *disk, const struct judge *judge)
{
	u32 slot, part;

	replica->regions = 0;
	replica->damaged = 0;
	replica->log_lost = false;
	replica->result = load_super(replica, disk);
	if (replica->result != ATTACH_OK)
		return;
	core_create(replica);
	for (slot = 0; slot < REPLICAS_MAX; slot++)
		if (replica->super.slot_node[slot] != NODE_NONE)
			load_map(replica, disk, slot);
	for (part = 0; part < replica->super.actlog_parts; part++)
		load_log_part(replica, disk, judge, part);
	replica->volume->super.flags |= ONDISK_ATTACHED;
	replica->volume->super.attach_count++;
	replica->super.chain = replica->volume->super.chain;
}

u64 replica_log_regions(const struct dmlog *log, const struct entry *entry)
{
	struct ondisk_header expected = header_of(&log->super, ONDISK_ACTLOG, entry->sector * CRASH_SECTOR_BYTES);
	u32 regions[ACTLOG_PART_REGIONS], i;
	u64 sequence, written_id, set = 0;

	if (!entry->bytes || entry->nr_sectors != CRASH_BLOCK_SECTORS ||
	    ondisk_actlog_decode(&expected, entry->bytes, &sequence, &written_id, regions) != ONDISK_OK)
		return 0;
	for (i = 0; i < ACTLOG_PART_REGIONS; i++)
		if (regions[i] < REGIONS_MAX)
			set |= 1ull << regions[i];
	return set;
}

/* ---- two replicas meet ---- */

struct message {
	u32 to;
	struct volume_event event;
	union wire_body body;
};

struct dialogue {
	struct replica *replica[2];
	struct message queue[QUEUE_MAX];
	u32 first, nr;
	u64 random;
};

static struct message *post(struct dialogue *dialogue, u32 to, enum volume_event_type type)
{
	struct message *message = &dialogue->queue[(dialogue->first + dialogue->nr++) % QUEUE_MAX];

	if (dialogue->nr > QUEUE_MAX) {
		fprintf(stderr, "replay: greetings without end\n");
		exit(2);
	}
	message->to = to;
	memset(&message->event, 0, sizeof(message->event));
	message->event.type = type;
	message->event.node = NODE_NONE;
	message->event.ok = true;
	return message;
}

/* Greetings and verdicts only: what follows from the plan does not happen any more. */
static void carry_out(struct dialogue *dialogue, u32 who, const struct volume_action *action)
{
	const struct volume *volume = dialogue->replica[who]->volume;
	struct message *message;

	if (action->type == VOLUME_DO_SAVE_SUPER) {
		post(dialogue, who, VOLUME_EVENT_SUPER_SAVED)->event.token = action->token;
	} else if (action->type == VOLUME_DO_SEND &&
		   (action->frame_type == WIRE_GREET || action->frame_type == WIRE_VERDICT)) {
		message = post(dialogue, !who, VOLUME_EVENT_FRAME);
		message->event.node = volume->node;
		message->event.frame_type = action->frame_type;
		message->event.body = &message->body;
		volume_fill(volume, action, &message->body);
	}
}

static void step(struct dialogue *dialogue, struct message *message)
{
	static struct volume_actions actions;
	struct volume_event event = message->event;
	static union wire_body body;
	u32 i, who = message->to;

	if (event.body) {	/* its place in the queue may be used again by what this step sends */
		body = message->body;
		event.body = &body;
	}
	event.random = ++dialogue->random;
	volume_step(dialogue->replica[who]->volume, &event, &actions);
	for (i = 0; i < actions.nr; i++)
		carry_out(dialogue, who, &actions.action[i]);
}

void replicas_meet(struct replica *a, struct replica *b, struct meeting *meeting)
{
	static struct dialogue dialogue;
	const struct volume_peer *peer;
	u32 i;

	dialogue.replica[0] = a;
	dialogue.replica[1] = b;
	dialogue.first = 0;
	dialogue.nr = 0;
	dialogue.random = 1ull << 40;
	for (i = 0; i < 2; i++)
		post(&dialogue, i, VOLUME_EVENT_ONLINE);
	for (i = 0; i < 2; i++)
		post(&dialogue, i, VOLUME_EVENT_PEER_UP)->event.node = dialogue.replica[!i]->volume->node;
	while (dialogue.nr) {
		u32 at = dialogue.first;

		dialogue.first = (dialogue.first + 1) % QUEUE_MAX;
		dialogue.nr--;
		step(&dialogue, &dialogue.queue[at]);
	}
	memset(meeting, 0, sizeof(*meeting));
	peer = volume_peer_const(a->volume, b->volume->node);
	meeting->plan = peer->plan;
	meeting->verdict = peer->verdict;
	meeting->agreed = peer->confirmed && volume_peer_const(b->volume, a->volume->node)->confirmed;
	meeting->up_to_date[0] = volume_up_to_date(a->volume);
	meeting->up_to_date[1] = volume_up_to_date(b->volume);
}

bool replicas_know(const struct replica *a, const struct replica *b, u64 offset_bytes)
{
	return dirty_test(&volume_peer_const(a->volume, b->volume->node)->map, offset_bytes) ||
	       dirty_test(&volume_peer_const(b->volume, a->volume->node)->map, offset_bytes);
}
