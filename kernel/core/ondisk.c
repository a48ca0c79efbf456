// SPDX-License-Identifier: GPL-2.0
/*
 * Codec and layout of the metadata on disk [M] [D5]: what is read after a crash claims no more than was true [I17],
 * and blocks that are torn, misdirected, copied or of a former life are not there [G10].
 *
 * Superblock, offsets in bytes from the start of the block; what is not named is zero:
 *   64 u64 compat          168 u64 volume_bytes     208 node_id              256 u64 attach_count
 *   72 u64 ro_compat       176 u64 data_offset      209 split_peer           264 node_instance[16]
 *   80 u64 incompat        184 u64 meta_bytes       210 block_shift          280 u32 voters
 *   88 cluster_id[16]      192 u32 granule_bytes    216 slot_node[16]        288 u64 voters_epoch
 *   104 name[64]           196 u32 actlog_parts     232 u64 split_id
 *                          200 u32 flags            240 u64 split_ancestor_id
 *                          204 u32 replicas         248 u64 split_ancestor_number
 *                          212 u32 replaced         284 u32 reconcile
 *                          296 u64 slot_replica[16], 512 chain (codec.h), up to 2568
 * Activity log part: 64 u64 written_id, 72 u32 region[ACTLOG_PART_REGIONS].
 * Dirty index block and dirty page: 64 body[META_BODY_BYTES].
 */
#include "ondisk.h"
#include "actlog.h"
#include "codec.h"
#include "dirty.h"
#include "probe.h"

static const u8 magic[8] = { 'B', 'R', 'A', 'I', 'D', 'm', 'e', 't' };

enum {
	CHECKSUM_FROM = 12,
	SUPER_RESERVED = 424,	/* zero from here to the chain */
	SUPER_CHAIN = 512,
	ACTLOG_WRITTEN = META_HEADER_BYTES,
	SUPER_COPY_BYTES = META_BLOCK_BYTES,
	ACTLOG_OFFSET = 16384,
	DATA_ALIGNMENT_BYTES = 1 << 20,
	SUPER_FLAGS_KNOWN = ONDISK_SYNCING | ONDISK_SPLIT | ONDISK_YIELD | ONDISK_SEPARATE | ONDISK_ATTACHED |
			    ONDISK_BLANK,
};

CORE_STATIC_ASSERT((u32)SUPER_CHAIN + CODEC_CHAIN_BYTES_MAX <= META_BLOCK_BYTES, "the superblock holds a full chain");
CORE_STATIC_ASSERT(ONDISK_ACTLOG_REGIONS + ACTLOG_PART_REGIONS * 4 == META_BLOCK_BYTES, "a log part fills its block");

const char *ondisk_error_name(enum ondisk_error error)
{
	static const char *const names[] = {
		[ONDISK_OK] = "OK",
		[ONDISK_BAD_MAGIC] = "BAD_MAGIC",
		[ONDISK_BAD_CHECKSUM] = "BAD_CHECKSUM",
		[ONDISK_BAD_VERSION] = "BAD_VERSION",
		[ONDISK_BAD_KIND] = "BAD_KIND",
		[ONDISK_WRONG_PLACE] = "WRONG_PLACE",
		[ONDISK_WRONG_VOLUME] = "WRONG_VOLUME",
		[ONDISK_WRONG_REPLICA] = "WRONG_REPLICA",
		[ONDISK_BAD_FIELD] = "BAD_FIELD",
		[ONDISK_INCOMPATIBLE] = "INCOMPATIBLE",
	};

	return (size_t)error < CORE_ARRAY_SIZE(names) ? names[error] : "?";
}

static u64 round_up(u64 value, u64 unit)
{
	return (value + unit - 1) / unit * unit;
}

static u64 smaller(u64 a, u64 b)
{
	return a < b ? a : b;
}

bool ondisk_layout(u64 volume_bytes, u32 granule_bytes, struct ondisk_layout *layout)
{
	u64 granules, pages, index_blocks;

	if (!volume_bytes || !codec_extent_valid(0, volume_bytes, VOLUME_BLOCK_BYTES) ||
	    !codec_granule_valid(granule_bytes))
		return false;
	granules = round_up(volume_bytes, granule_bytes) / granule_bytes;
	pages = round_up(granules, DIRTY_PAGE_BITS) / DIRTY_PAGE_BITS;
	index_blocks = round_up(pages, DIRTY_INDEX_ENTRIES) / DIRTY_INDEX_ENTRIES;
	layout->index_blocks_per_slot = (u32)index_blocks;
	layout->pages_per_slot = (u32)pages;
	layout->actlog_offset = ACTLOG_OFFSET;
	layout->index_offset = layout->actlog_offset + ACTLOG_PARTS_MAX * 2 * META_BLOCK_BYTES;
	layout->page_offset = layout->index_offset + REPLICAS_MAX * index_blocks * META_BLOCK_BYTES;
	layout->end = layout->page_offset + REPLICAS_MAX * pages * META_BLOCK_BYTES;
	return true;
}

u64 ondisk_super_offset(u32 copy)
{
	return (u64)copy * SUPER_COPY_BYTES;
}

u64 ondisk_actlog_offset(const struct ondisk_layout *layout, u32 part, u32 copy)
{
	return layout->actlog_offset + ((u64)part * 2 + copy) * META_BLOCK_BYTES;
}

u64 ondisk_index_offset(const struct ondisk_layout *layout, u32 slot, u32 block)
{
	return layout->index_offset + ((u64)slot * layout->index_blocks_per_slot + block) * META_BLOCK_BYTES;
}

u64 ondisk_page_offset(const struct ondisk_layout *layout, u32 slot, u32 page)
{
	return layout->page_offset + ((u64)slot * layout->pages_per_slot + page) * META_BLOCK_BYTES;
}

/*
 * Metadata first, the rest is data. Without a wanted size the room is reckoned for the whole disk with the granule of
 * the whole disk, which is an upper bound: a volume that fits one granule step lower would need more room.
 */
static bool plan_internal(u64 disk_bytes, u64 wanted_bytes, struct ondisk_super *super, struct ondisk_layout *layout)
{
	u64 bound_bytes = wanted_bytes ? wanted_bytes : smaller(disk_bytes, VOLUME_BYTES_MAX);
	u64 volume_bytes;

	super->granule_bytes = dirty_granule_bytes(bound_bytes);
	if (!ondisk_layout(bound_bytes, super->granule_bytes, layout))
		return false;
	super->data_offset_bytes = round_up(layout->end, DATA_ALIGNMENT_BYTES);
	if (disk_bytes <= super->data_offset_bytes)
		return false;
	volume_bytes = smaller(disk_bytes - super->data_offset_bytes, VOLUME_BYTES_MAX);
	if (wanted_bytes && wanted_bytes > volume_bytes)
		return false;
	super->volume_bytes = wanted_bytes ? wanted_bytes : volume_bytes;
	return ondisk_layout(super->volume_bytes, super->granule_bytes, layout);
}

static bool plan_separate(u64 disk_bytes, u64 meta_disk_bytes, u64 wanted_bytes, struct ondisk_super *super,
			  struct ondisk_layout *layout)
{
	if (wanted_bytes > disk_bytes)
		return false;
	super->volume_bytes = wanted_bytes ? wanted_bytes : smaller(disk_bytes, VOLUME_BYTES_MAX);
	super->data_offset_bytes = 0;
	super->granule_bytes = dirty_granule_bytes(super->volume_bytes);
	return ondisk_layout(super->volume_bytes, super->granule_bytes, layout) && layout->end <= meta_disk_bytes;
}

bool ondisk_plan(u64 disk_bytes, u64 meta_disk_bytes, bool separate, u64 wanted_bytes, u32 actlog_parts_wanted,
		 struct ondisk_super *super)
{
	struct ondisk_layout layout;

	disk_bytes -= disk_bytes % VOLUME_BLOCK_BYTES;
	if (!disk_bytes || actlog_parts_wanted > ACTLOG_PARTS_MAX ||
	    !codec_extent_valid(0, wanted_bytes, VOLUME_BLOCK_BYTES))
		return false;
	if (separate ? !plan_separate(disk_bytes, meta_disk_bytes, wanted_bytes, super, &layout) :
		       !plan_internal(disk_bytes, wanted_bytes, super, &layout))
		return false;
	super->meta_bytes = layout.end;
	super->actlog_parts = actlog_parts_wanted ? actlog_parts_wanted : actlog_default_parts(super->volume_bytes);
	return true;
}

/* Header and checksum around a body that is complete. */
static void seal_block(const struct ondisk_header *header, u8 *block)
{
	memset(block, 0, META_HEADER_BYTES);
	memcpy(block, magic, sizeof(magic));
	core_put_le16(block + 12, header->kind);
	core_put_le16(block + 14, ONDISK_VERSION);
	core_put_le64(block + 16, header->volume_id);
	core_put_le64(block + 24, header->location);
	core_put_le64(block + 32, header->sequence);
	core_put_le64(block + 40, header->replica_id);
	core_put_le32(block + 8, core_crc32c(0, block + CHECKSUM_FROM, META_BLOCK_BYTES - CHECKSUM_FROM));
}

/* Is it an intact block of this kind at its place? Whose it is, the caller asks. */
static enum ondisk_error open_block(const u8 *block, u16 kind, u64 location, struct ondisk_header *found)
{
	if (memcmp(block, magic, sizeof(magic)) != 0)
		return ONDISK_BAD_MAGIC;
	if (core_get_le32(block + 8) != core_crc32c(0, block + CHECKSUM_FROM, META_BLOCK_BYTES - CHECKSUM_FROM))
		return ONDISK_BAD_CHECKSUM;
	if (core_get_le16(block + 14) != ONDISK_VERSION)
		return ONDISK_BAD_VERSION;
	found->kind = core_get_le16(block + 12);
	found->volume_id = core_get_le64(block + 16);
	found->location = core_get_le64(block + 24);
	found->sequence = core_get_le64(block + 32);
	found->replica_id = core_get_le64(block + 40);
	if (found->kind != kind)
		return ONDISK_BAD_KIND;
	if (found->location != location && !MUTANT(place_unchecked))
		return ONDISK_WRONG_PLACE;
	return codec_is_zero(block + 48, META_HEADER_BYTES - 48) ? ONDISK_OK : ONDISK_BAD_FIELD;
}

static enum ondisk_error open_own_block(const u8 *block, const struct ondisk_header *expected, u64 *sequence)
{
	struct ondisk_header found;
	enum ondisk_error error = open_block(block, expected->kind, expected->location, &found);

	if (error != ONDISK_OK)
		return error;
	if (found.volume_id != expected->volume_id)
		return ONDISK_WRONG_VOLUME;
	if (found.replica_id != expected->replica_id && !MUTANT(former_life_accepted))
		return ONDISK_WRONG_REPLICA;
	*sequence = found.sequence;
	return ONDISK_OK;
}

void ondisk_super_encode(const struct ondisk_super *super, u32 copy, u8 *block)
{
	struct ondisk_header header = {
		.volume_id = super->volume_id,
		.replica_id = super->replica_id,
		.location = ondisk_super_offset(copy),
		.sequence = super->sequence,
		.kind = ONDISK_SUPERBLOCK,
	};
	u32 slot;

	memset(block, 0, META_BLOCK_BYTES);
	core_put_le64(block + 64, super->compat);
	core_put_le64(block + 72, super->ro_compat);
	core_put_le64(block + 80, super->incompat);
	memcpy(block + 88, super->cluster_id, UUID_BYTES);
	codec_name_encode(super->name, block + 104);
	core_put_le64(block + 168, super->volume_bytes);
	core_put_le64(block + 176, super->data_offset_bytes);
	core_put_le64(block + 184, super->meta_bytes);
	core_put_le32(block + 192, super->granule_bytes);
	core_put_le32(block + 196, super->actlog_parts);
	core_put_le32(block + 200, super->flags);
	core_put_le32(block + 204, super->replicas);
	block[208] = super->node_id;
	block[209] = super->split_peer;
	block[210] = super->block_shift;
	core_put_le32(block + 212, super->replaced);
	memcpy(block + 216, super->slot_node, REPLICAS_MAX);
	core_put_le64(block + 232, super->split_id);
	core_put_le64(block + 240, super->split_ancestor_id);
	core_put_le64(block + 248, super->split_ancestor_number);
	core_put_le64(block + 256, super->attach_count);
	memcpy(block + 264, super->node_instance, UUID_BYTES);
	core_put_le32(block + 280, super->voters);
	core_put_le32(block + 284, super->reconcile);
	core_put_le64(block + 288, super->voters_epoch);
	for (slot = 0; slot < REPLICAS_MAX; slot++)
		core_put_le64(block + 296 + slot * 8, super->slot_replica[slot]);
	codec_chain_encode(&super->chain, block + SUPER_CHAIN);
	seal_block(&header, block);
}

static void super_read_fields(const u8 *block, struct ondisk_super *super)
{
	u32 slot;

	super->compat = core_get_le64(block + 64);
	super->ro_compat = core_get_le64(block + 72);
	super->incompat = core_get_le64(block + 80);
	memcpy(super->cluster_id, block + 88, UUID_BYTES);
	super->volume_bytes = core_get_le64(block + 168);
	super->data_offset_bytes = core_get_le64(block + 176);
	super->meta_bytes = core_get_le64(block + 184);
	super->granule_bytes = core_get_le32(block + 192);
	super->actlog_parts = core_get_le32(block + 196);
	super->flags = core_get_le32(block + 200);
	super->replicas = core_get_le32(block + 204);
	super->reconcile = core_get_le32(block + 284);
	super->node_id = block[208];
	super->split_peer = block[209];
	super->block_shift = block[210];
	super->replaced = core_get_le32(block + 212);
	memcpy(super->slot_node, block + 216, REPLICAS_MAX);
	super->split_id = core_get_le64(block + 232);
	super->split_ancestor_id = core_get_le64(block + 240);
	super->split_ancestor_number = core_get_le64(block + 248);
	super->attach_count = core_get_le64(block + 256);
	memcpy(super->node_instance, block + 264, UUID_BYTES);
	super->voters = core_get_le32(block + 280);
	super->voters_epoch = core_get_le64(block + 288);
	for (slot = 0; slot < REPLICAS_MAX; slot++)
		super->slot_replica[slot] = core_get_le64(block + 296 + slot * 8);
}

/* What a later version keeps there under a compat feature is not ours to judge; otherwise all of it is zero. */
static bool super_reserved_valid(const u8 *block, const struct ondisk_super *super, u32 chain_end)
{
	if ((super->compat & ~ONDISK_COMPAT_KNOWN) || (super->ro_compat & ~ONDISK_RO_COMPAT_KNOWN))
		return true;
	return codec_is_zero(block + 211, 1) &&
	       codec_is_zero(block + SUPER_RESERVED, SUPER_CHAIN - SUPER_RESERVED) &&
	       codec_is_zero(block + chain_end, META_BLOCK_BYTES - chain_end);
}

enum ondisk_error ondisk_super_decode(const u8 *block, u32 copy, struct ondisk_super *super)
{
	struct ondisk_header found;
	u32 chain_bytes = 0;
	enum ondisk_error error = open_block(block, ONDISK_SUPERBLOCK, ondisk_super_offset(copy), &found);

	if (error != ONDISK_OK)
		return error;
	super->volume_id = found.volume_id;
	super->replica_id = found.replica_id;
	super->sequence = found.sequence;
	super_read_fields(block, super);
	if (super->incompat & ~ONDISK_INCOMPAT_KNOWN)
		return ONDISK_INCOMPATIBLE;
	if (!codec_name_decode(block + 104, super->name) ||
	    !codec_chain_decode(block + SUPER_CHAIN, META_BLOCK_BYTES - SUPER_CHAIN, &super->chain, &chain_bytes) ||
	    !super_reserved_valid(block, super, SUPER_CHAIN + chain_bytes))
		return ONDISK_BAD_FIELD;
	return ondisk_super_valid(super) ? ONDISK_OK : ONDISK_BAD_FIELD;
}

static bool super_sizes_valid(const struct ondisk_super *super)
{
	struct ondisk_layout layout;

	if (!ondisk_layout(super->volume_bytes, super->granule_bytes, &layout) || super->meta_bytes < layout.end ||
	    !codec_extent_valid(0, super->meta_bytes, META_BLOCK_BYTES) || super->actlog_parts < 1 ||
	    super->actlog_parts > ACTLOG_PARTS_MAX)
		return false;
	if (super->flags & ONDISK_SEPARATE)
		return super->data_offset_bytes == 0;
	return super->data_offset_bytes >= super->meta_bytes &&
	       codec_extent_valid(0, super->data_offset_bytes, DATA_ALIGNMENT_BYTES);
}

static bool super_slots_valid(const struct ondisk_super *super)
{
	u32 seen = 0;
	u32 slot;

	for (slot = 0; slot < REPLICAS_MAX; slot++) {
		u8 node = super->slot_node[slot];

		if (!codec_node_valid(node, true))
			return false;
		if (node == NODE_NONE)
			continue;
		if (seen & NODE_BIT(node))
			return false;
		seen |= NODE_BIT(node);
	}
	return true;
}

bool ondisk_super_valid(const struct ondisk_super *super)
{
	if (!super->volume_id || !super->replica_id || !codec_name_valid(super->name) ||
	    (super->flags & ~(u32)SUPER_FLAGS_KNOWN) || (super->incompat & ~ONDISK_INCOMPAT_KNOWN))
		return false;
	if (!codec_block_shift_valid(super->block_shift) || !codec_node_valid(super->node_id, false) || !(super->replicas & NODE_BIT(super->node_id)) ||
	    codec_count_bits(super->replicas) > REPLICAS_MAX || !codec_node_valid(super->split_peer, true))
		return false;
	if ((super->flags & ONDISK_SPLIT) &&
	    (super->split_peer == NODE_NONE || super->split_peer == super->node_id || !super->split_id))
		return false;
	return super_sizes_valid(super) && super_slots_valid(super) && lineage_valid(&super->chain);
}

/* May @copy, which this version cannot read, be the newer one? @other is valid and has @other_sequence. */
static bool may_be_newer(const u8 *block, enum ondisk_error error, u64 other_sequence)
{
	if (error == ONDISK_BAD_VERSION)
		return true;
	return error == ONDISK_INCOMPATIBLE && core_get_le64(block + 32) >= other_sequence;
}

int ondisk_super_choose(const u8 *block0, const u8 *block1, struct ondisk_super *chosen, enum ondisk_error error[2])
{
	u64 volume_id, replica_id, sequence;

	error[0] = ondisk_super_decode(block0, 0, chosen);
	volume_id = chosen->volume_id;
	replica_id = chosen->replica_id;
	sequence = chosen->sequence;
	error[1] = ondisk_super_decode(block1, 1, chosen);
	if (error[0] != ONDISK_OK) {
		if (error[1] != ONDISK_OK || (may_be_newer(block0, error[0], chosen->sequence) && !MUTANT(newer_format_ignored)))
			return -1;
		MARK(super_copy_damaged);
		return 1;
	}
	if (error[1] == ONDISK_OK && (volume_id != chosen->volume_id || replica_id != chosen->replica_id)) {
		error[0] = volume_id != chosen->volume_id ? ONDISK_WRONG_VOLUME : ONDISK_WRONG_REPLICA;
		error[1] = error[0];
		return -1;
	}
	if (error[1] == ONDISK_OK && (chosen->sequence > sequence) != MUTANT(old_super_preferred))
		return 1;
	if (may_be_newer(block1, error[1], sequence))
		return -1;
	ondisk_super_decode(block0, 0, chosen);
	return 0;
}

static u32 actlog_block_region(const u8 *block, u32 i)
{
	return core_get_le32(block + ONDISK_ACTLOG_REGIONS + i * 4);
}

/* Every slot free or a region below @nr_regions? */
static bool actlog_regions_valid(const u8 *block, u32 nr_regions)
{
	u32 i;

	for (i = 0; i < ACTLOG_PART_REGIONS; i++) {
		u32 region = actlog_block_region(block, i);

		if (region != ACTLOG_NO_REGION && region >= nr_regions)
			return false;
	}
	return true;
}

void ondisk_actlog_encode(const struct ondisk_header *header, u64 written_id, const u32 *regions, u8 *block)
{
	u32 i;

	core_put_le64(block + ACTLOG_WRITTEN, written_id);
	/* Each to its own place, so they may have been there before. */
	for (i = 0; i < ACTLOG_PART_REGIONS; i++)
		core_put_le32(block + ONDISK_ACTLOG_REGIONS + i * 4, regions[i]);
	seal_block(header, block);
}

enum ondisk_error ondisk_actlog_decode(const struct ondisk_header *expected, const u8 *block, u64 *sequence,
				       u64 *written_id, u32 *regions)
{
	enum ondisk_error error = open_own_block(block, expected, sequence);
	u32 i;

	if (error != ONDISK_OK)
		return error;
	if (expected->kind != ONDISK_ACTLOG)
		return ONDISK_BAD_KIND;
	if (!actlog_regions_valid(block, VOLUME_BYTES_MAX / ACTLOG_REGION_BYTES))
		return ONDISK_BAD_FIELD;
	*written_id = core_get_le64(block + ACTLOG_WRITTEN);
	for (i = 0; i < ACTLOG_PART_REGIONS; i++)
		regions[i] = actlog_block_region(block, i);
	return ONDISK_OK;
}

static void actlog_add_regions(const u8 *block, u32 nr_regions, u32 *regions, u32 *nr)
{
	u32 i;

	for (i = 0; i < ACTLOG_PART_REGIONS; i++) {
		u32 region = actlog_block_region(block, i);

		if (region < nr_regions)
			regions[(*nr)++] = region;
	}
}

static enum ondisk_error actlog_open_copy(const struct ondisk_header *expected, const u8 *block, u32 nr_regions,
					  u64 *sequence)
{
	enum ondisk_error error = open_own_block(block, expected, sequence);

	if (error == ONDISK_OK && !actlog_regions_valid(block, nr_regions))
		return ONDISK_BAD_FIELD;
	return error;
}

/*
 * One copy counts and the other is no torn write of ours: something else was written over it, or it was never written, which
 * is so only after the first transaction. It may have been the newer one [D7]. The first transaction, and the first after a log that
 * was lost, name nothing: an attach writes both copies before anybody else writes one.
 */
static bool overwritten(const enum ondisk_error error[2], const u64 sequence[2])
{
	u32 bad = error[0] == ONDISK_OK;

	if (error[bad] == ONDISK_OK || error[bad] == ONDISK_BAD_CHECKSUM || error[bad] == ONDISK_BAD_FIELD)
		return false;
	return sequence[!bad] > 1;
}

bool ondisk_actlog_load(const struct ondisk_header *expected0, const struct ondisk_header *expected1,
			const u8 *block0, const u8 *block1, u32 nr_regions, u32 *regions, u32 *nr,
			u64 *sequence, u64 *written_id, u32 *newest_copy)
{
	const struct ondisk_header *expected[2] = { expected0, expected1 };
	const u8 *block[2] = { block0, block1 };
	enum ondisk_error error[2];
	u64 found[2] = { 0, 0 };
	u32 copy;

	*nr = 0;
	*sequence = 0;
	*written_id = 0;
	*newest_copy = 1;
	if (!block0 || !block1)
		return false;
	if (codec_is_zero(block0, META_BLOCK_BYTES) && codec_is_zero(block1, META_BLOCK_BYTES))
		return true;
	for (copy = 0; copy < 2; copy++) {
		error[copy] = actlog_open_copy(expected[copy], block[copy], nr_regions, &found[copy]);
		if ((error[copy] == ONDISK_BAD_CHECKSUM || error[copy] == ONDISK_BAD_FIELD) && !MUTANT(damaged_log_ignored)) {
			MARK(log_copy_damaged);
			actlog_add_regions(block[copy], nr_regions, regions, nr);
		}
	}
	if ((error[0] != ONDISK_OK && error[1] != ONDISK_OK) || overwritten(error, found)) {
		MARK(log_copies_lost);
		return MUTANT(lost_log_empty);
	}
	if (error[0] == ONDISK_OK && (error[1] != ONDISK_OK || (found[0] >= found[1]) != MUTANT(older_log_preferred)))
		*newest_copy = 0;
	*sequence = found[*newest_copy];
	*written_id = core_get_le64(block[*newest_copy] + ACTLOG_WRITTEN);
	actlog_add_regions(block[*newest_copy], nr_regions, regions, nr);
	return true;
}

void ondisk_body_encode(const struct ondisk_header *header, const u8 *body, u8 *block)
{
	if (body != block + META_HEADER_BYTES)
		memcpy(block + META_HEADER_BYTES, body, META_BODY_BYTES);
	seal_block(header, block);
}

enum ondisk_error ondisk_body_decode(const struct ondisk_header *expected, const u8 *block, const u8 **body,
				     u64 *sequence)
{
	enum ondisk_error error = open_own_block(block, expected, sequence);

	if (error == ONDISK_OK)
		*body = block + META_HEADER_BYTES;
	return error;
}
