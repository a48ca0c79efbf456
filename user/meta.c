// SPDX-License-Identifier: GPL-2.0
/*
 * Metadata on disk, offline [M] [I17]. What cannot be read is reported and counted as dirty, as the module does.
 */
#include <errno.h>
#include <stdlib.h>
#include "../kernel/core/actlog.h"
#include "../kernel/core/dirty.h"
#include "meta.h"
#include "text.h"

enum { ZERO_CHUNK_BYTES = 1 << 16, MAGIC_BYTES = 8 };

static bool write_zeroes(const struct disk *meta, u64 from_bytes, u64 to_bytes)
{
	static const u8 zero[ZERO_CHUNK_BYTES];

	while (from_bytes < to_bytes) {
		u64 length = to_bytes - from_bytes < ZERO_CHUNK_BYTES ? to_bytes - from_bytes : ZERO_CHUNK_BYTES;

		if (!disk_write(meta, from_bytes, zero, length))
			return false;
		from_bytes += length;
	}
	return true;
}

static struct ondisk_header header_of(const struct ondisk_super *super, u16 kind, u64 location)
{
	return (struct ondisk_header){
		.volume_id = super->volume_id,
		.replica_id = super->replica_id,
		.location = location,
		.sequence = META_SEQUENCE_FIRST,
		.kind = kind,
	};
}

/* Every index says: all pages clean. Pages need not be written, no index points to them. */
static bool write_clean_indexes(const struct disk *meta, const struct ondisk_super *super,
				const struct ondisk_layout *layout)
{
	static const u8 clean[META_BODY_BYTES];
	u8 encoded[META_BLOCK_BYTES];
	u32 slot, block;

	for (slot = 0; slot < REPLICAS_MAX; slot++) {
		for (block = 0; block < layout->index_blocks_per_slot; block++) {
			u64 location = ondisk_index_offset(layout, slot, block);
			struct ondisk_header header = header_of(super, ONDISK_DIRTY_INDEX, location);

			ondisk_body_encode(&header, clean, encoded);
			if (!disk_write(meta, location, encoded, sizeof(encoded)))
				return false;
		}
	}
	return true;
}

static bool write_super(const struct disk *meta, const struct ondisk_super *super, u32 copy)
{
	u8 encoded[META_BLOCK_BYTES];

	ondisk_super_encode(super, copy, encoded);
	return disk_write(meta, ondisk_super_offset(copy), encoded, sizeof(encoded));
}

bool meta_format(const struct disk *meta, struct ondisk_super *super)
{
	struct ondisk_layout layout;

	if (!ondisk_super_valid(super) || !ondisk_layout(super->volume_bytes, super->granule_bytes, &layout)) {
		errno = EINVAL;
		return false;
	}
	if (!write_zeroes(meta, 0, layout.index_offset) || !disk_flush(meta) ||
	    !write_clean_indexes(meta, super, &layout) || !disk_flush(meta))
		return false;
	super->sequence = META_SEQUENCE_FIRST;
	if (!write_super(meta, super, 0))
		return false;
	super->sequence++;
	return write_super(meta, super, 1) && disk_flush(meta);
}

/* One block of the area; false when it lies behind the end of the disk or cannot be read. */
static bool read_block(const struct disk *meta, u64 offset_bytes, u8 *block)
{
	return offset_bytes + META_BLOCK_BYTES <= meta->bytes && disk_read(meta, offset_bytes, block, META_BLOCK_BYTES);
}

static void read_log(const struct disk *meta, struct meta_view *view)
{
	u32 nr_regions = (u32)((view->super.volume_bytes + ACTLOG_REGION_BYTES - 1) / ACTLOG_REGION_BYTES);
	u8 block[2][META_BLOCK_BYTES];
	u64 newest = 0;
	u32 part, copy;

	for (part = 0; part < view->super.actlog_parts; part++) {
		struct ondisk_header expected[2];
		bool readable[2];
		u64 sequence, written_id = 0;
		u32 nr = 0, newest_copy;

		for (copy = 0; copy < 2; copy++) {
			u64 location = ondisk_actlog_offset(&view->layout, part, copy);

			expected[copy] = header_of(&view->super, ONDISK_ACTLOG, location);
			readable[copy] = read_block(meta, location, block[copy]);
		}
		if (!ondisk_actlog_load(&expected[0], &expected[1], readable[0] ? block[0] : NULL,
					readable[1] ? block[1] : NULL, nr_regions, view->region + view->nr_regions, &nr,
					&sequence, &written_id, &newest_copy)) {
			view->log_damaged = true;
			view->damaged_log_parts++;
			continue;
		}
		view->nr_regions += nr;
		if (written_id && sequence >= newest) {
			newest = sequence;
			view->written_id = written_id;
		}
	}
}

static u64 page_bytes(const struct meta_view *view, u32 page)
{
	u64 span = (u64)DIRTY_PAGE_BITS * view->super.granule_bytes;
	u64 start = page * span;

	if (start >= view->super.volume_bytes)
		return 0;
	return view->super.volume_bytes - start < span ? view->super.volume_bytes - start : span;
}

static u64 count_page(const struct meta_view *view, u32 page, const u8 *bits)
{
	u64 limit = page_bytes(view, page), counted = 0;
	u32 bit;

	for (bit = 0; bit < DIRTY_PAGE_BITS; bit++) {
		u64 start = (u64)bit * view->super.granule_bytes;

		if (start >= limit)
			break;
		if (bits[bit / 8] >> bit % 8 & 1)
			counted += limit - start < view->super.granule_bytes ? limit - start : view->super.granule_bytes;
	}
	return counted;
}

static void read_page(const struct disk *meta, struct meta_view *view, u32 slot, u32 page)
{
	u64 location = ondisk_page_offset(&view->layout, slot, page);
	struct ondisk_header expected = header_of(&view->super, ONDISK_DIRTY_PAGE, location);
	struct meta_map *map = &view->map[slot];
	u8 block[META_BLOCK_BYTES];
	const u8 *body;
	u64 sequence;

	map->mixed_pages++;
	if (read_block(meta, location, block) && ondisk_body_decode(&expected, block, &body, &sequence) == ONDISK_OK) {
		map->dirty_bytes += count_page(view, page, body);
		return;
	}
	map->damaged_blocks++;
	map->dirty_bytes += page_bytes(view, page);
}

static void read_index(const struct disk *meta, struct meta_view *view, u32 slot, u32 index)
{
	u64 location = ondisk_index_offset(&view->layout, slot, index);
	struct ondisk_header expected = header_of(&view->super, ONDISK_DIRTY_INDEX, location);
	struct meta_map *map = &view->map[slot];
	u8 block[META_BLOCK_BYTES];
	const u8 *body = NULL;
	u32 entry, page;
	u64 sequence;

	if (!read_block(meta, location, block) || ondisk_body_decode(&expected, block, &body, &sequence) != ONDISK_OK) {
		body = NULL;
		map->damaged_blocks++;
	}
	for (entry = 0; entry < DIRTY_INDEX_ENTRIES; entry++) {
		u32 state = body ? body[entry / 4] >> 2 * (entry % 4) & 3 : DIRTY_FULL;

		page = index * DIRTY_INDEX_ENTRIES + entry;
		if (page >= view->layout.pages_per_slot)
			break;
		if (state == DIRTY_CLEAN)
			continue;
		if (state == DIRTY_MIXED) {
			read_page(meta, view, slot, page);
			continue;
		}
		map->full_pages++;
		map->dirty_bytes += page_bytes(view, page);
	}
}

bool meta_read(const struct disk *meta, struct meta_view *view)
{
	u8 block[2][META_BLOCK_BYTES];
	struct ondisk_super super;
	u32 copy, slot, index;

	memset(view, 0, sizeof(*view));
	for (copy = 0; copy < 2; copy++) {
		if (!disk_read(meta, ondisk_super_offset(copy), block[copy], META_BLOCK_BYTES))
			return false;
		if (ondisk_super_decode(block[copy], copy, &super) == ONDISK_OK)
			view->copy_sequence[copy] = super.sequence;
	}
	view->chosen = ondisk_super_choose(block[0], block[1], &view->super, view->copy_error);
	if (view->chosen < 0)
		return true;
	ondisk_layout(view->super.volume_bytes, view->super.granule_bytes, &view->layout);
	read_log(meta, view);
	for (slot = 0; slot < REPLICAS_MAX; slot++) {
		view->map[slot].node = view->super.slot_node[slot];
		if (view->map[slot].node == NODE_NONE)
			continue;
		for (index = 0; index < view->layout.index_blocks_per_slot; index++)
			read_index(meta, view, slot, index);
	}
	return true;
}

u32 meta_problems(const struct meta_view *view, const char **problems, u32 max)
{
	u32 nr = 0, i;

	if (view->chosen < 0 && nr < max)
		problems[nr++] = "neither superblock copy counts";
	for (i = 0; i < 2; i++)
		if (view->copy_error[i] != ONDISK_OK && nr < max)
			problems[nr++] = textf("superblock copy %u: %s", i, ondisk_error_name(view->copy_error[i]));
	if (view->damaged_log_parts && nr < max)
		problems[nr++] = textf("activity log: %u part(s) without a valid copy; every block counts as different",
				       view->damaged_log_parts);
	for (i = 0; i < REPLICAS_MAX; i++)
		if (view->map[i].damaged_blocks && nr < max)
			problems[nr++] = textf("dirty map of node %u: %u damaged block(s), counted as wholly dirty",
					       view->map[i].node, view->map[i].damaged_blocks);
	return nr;
}

const char *meta_repair_refusal(const struct meta_view *view)
{
	if (view->chosen < 0)
		return "neither superblock copy counts, there is no good one to copy from";
	switch (view->copy_error[!view->chosen]) {
	case ONDISK_OK:
		return "both superblock copies are valid";
	case ONDISK_BAD_VERSION:
	case ONDISK_INCOMPATIBLE:
		return "the other copy was written by a newer braid";
	case ONDISK_WRONG_VOLUME:
	case ONDISK_WRONG_REPLICA:
		return "the other copy belongs to another volume or replica";
	default:
		return NULL;
	}
}

bool meta_repair(const struct disk *meta, const struct meta_view *view)
{
	return write_super(meta, &view->super, !view->chosen) && disk_flush(meta);
}

bool meta_wipe(const struct disk *meta)
{
	static const u8 zero[MAGIC_BYTES];

	return disk_write(meta, ondisk_super_offset(0), zero, sizeof(zero)) &&
	       disk_write(meta, ondisk_super_offset(1), zero, sizeof(zero)) && disk_flush(meta);
}
