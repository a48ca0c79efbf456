// SPDX-License-Identifier: GPL-2.0
/*
 * Metadata blocks of one volume: batches of block I/O, saving and loading of the dirty maps, loading of superblock and
 * activity log [D3] [D5] [M].
 *
 * Saving: a page is durable before the index block that says "mixed" is written, and the core hears of the end of an entry
 * only after both. Loading: what cannot be read or does not fit is dirty as a whole; only mixed pages are read, so that
 * attach costs what is dirty. Format writes every index block, so one of zeroes is damaged like any other.
 */
#include <linux/blkdev.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include "meta_internal.h"

enum { SLOW_DISK_MS = 60000 };	/* one turn of a wait for the disk */

struct ondisk_header braid_meta_header(const struct braid_volume *volume, enum ondisk_kind kind, u64 sequence,
				       u64 location)
{
	return (struct ondisk_header){
		.volume_id = volume->core.super.volume_id,
		.replica_id = volume->core.super.replica_id,
		.location = location,
		.sequence = sequence,
		.kind = kind,
	};
}

/* ---- batches ---- */

static void batch_put(struct braid_meta_batch *batch)
{
	if (atomic_dec_and_test(&batch->pending))
		complete(&batch->done);
}

/* Any context, hard interrupt included. */
static void block_end_io(struct bio *bio)
{
	struct braid_meta_batch *batch = bio->bi_private;
	struct braid_meta_bio *block = container_of(bio, struct braid_meta_bio, bio);

	block->error = blk_status_to_errno(bio->bi_status);
	if (block->error)
		WRITE_ONCE(batch->error, block->error);
	batch_put(batch);
}

static bool block_alloc(struct braid_meta_batch *batch, gfp_t gfp)
{
	struct braid_meta_bio *block = kzalloc(sizeof(*block), gfp);

	if (block)
		block->page = alloc_page(gfp);
	if (!block || !block->page) {
		kfree(block);
		return false;
	}
	batch->block[batch->nr_blocks++] = block;
	return true;
}

static void blocks_free(struct braid_meta_batch *batch, u32 nr_left)
{
	while (batch->nr_blocks > nr_left) {
		struct braid_meta_bio *block = batch->block[--batch->nr_blocks];

		__free_page(block->page);
		kfree(block);
	}
}

int braid_meta_batch_alloc(struct braid_meta_batch *batch, u32 nr_reserved)
{
	BUILD_BUG_ON(PAGE_SIZE < META_BLOCK_BYTES);
	while (batch->nr_blocks < nr_reserved)
		if (!block_alloc(batch, GFP_KERNEL))
			return -ENOMEM;
	batch->nr_reserved = nr_reserved;
	return 0;
}

void braid_meta_batch_free(struct braid_meta_batch *batch)
{
	blocks_free(batch, 0);
}

void braid_meta_batch_end(struct braid_meta_batch *batch)
{
	blocks_free(batch, batch->nr_reserved);
}

u8 *braid_meta_batch_next(struct braid_meta_batch *batch)
{
	if (batch->nr == batch->nr_blocks &&
	    (batch->nr == META_BATCH_BLOCKS || !block_alloc(batch, GFP_NOWAIT | __GFP_NOWARN)))
		return NULL;
	return braid_meta_block(batch, batch->nr);
}

void braid_meta_batch_begin(struct braid_meta_batch *batch, struct braid_volume *volume, enum req_op operation)
{
	batch->volume = volume;
	batch->operation = operation | REQ_META | REQ_SYNC | REQ_IDLE;
	if (operation == REQ_OP_WRITE)
		batch->operation |= REQ_FUA;
	batch->error = 0;
	batch->nr = 0;
	atomic_set(&batch->pending, 1);
	init_completion(&batch->done);
}

void braid_meta_batch_add(struct braid_meta_batch *batch, u64 location)
{
	struct braid_meta_bio *block = batch->block[batch->nr++];

	bio_init(&block->bio, batch->volume->meta->bdev, &block->vec, 1, batch->operation);
	block->bio.bi_iter.bi_sector = location >> SECTOR_SHIFT;
	block->bio.bi_end_io = block_end_io;
	block->bio.bi_private = batch;
	__bio_add_page(&block->bio, block->page, META_BLOCK_BYTES, 0);
	atomic_inc(&batch->pending);
	submit_bio(&block->bio);
}

int braid_meta_batch_wait(struct braid_meta_batch *batch)
{
	u32 i;

	batch_put(batch);
	/* As long as the disk takes; in turns, so that the log says who waits for what. */
	while (!wait_for_completion_io_timeout(&batch->done, msecs_to_jiffies(SLOW_DISK_MS)))
		pr_warn("braid: %s: waiting for %pg to answer for the metadata\n", batch->volume->name,
			batch->volume->meta->bdev);
	for (i = 0; i < batch->nr; i++)
		bio_uninit(&batch->block[i]->bio);
	return batch->error;
}

/* ---- saving ---- */

/* Entries of one map that are being saved together. */
struct save_batch {
	u32 nr;
	u32 entry[META_BATCH_BLOCKS];
	u32 index_blocks;	/* mask of index blocks to write */
};

/*
 * Take the next entries at or after @from and start the writes of their pages. Returns where to go on; nr_entries when
 * the map has no more.
 */
static u32 save_pages_begin(struct braid_volume *volume, u32 slot, u32 from, struct save_batch *save)
{
	struct braid_meta *meta = volume->meta_private;
	struct dirty_map *map = &volume->core.peer[slot].map;

	save->nr = 0;
	save->index_blocks = 0;
	while (save->nr < META_BATCH_BLOCKS && from < map->nr_entries) {
		bool page_write = false, index_write = false;
		u8 *block = braid_meta_batch_next(&meta->batch);
		struct ondisk_header header;
		u64 location;
		u32 entry;

		if (!block)
			return from;
		spin_lock_irq(&volume->lock);
		entry = dirty_save_next(map, from, block + META_HEADER_BYTES, &page_write, &index_write);
		if (page_write && entry < map->nr_entries)
			volume->count.dirty_page_writes++;
		spin_unlock_irq(&volume->lock);
		from = entry + 1;
		if (entry >= map->nr_entries)
			return map->nr_entries;
		if (index_write)
			save->index_blocks |= 1u << entry / DIRTY_INDEX_ENTRIES;
		if (page_write) {
			location = ondisk_page_offset(&volume->layout, slot, entry);
			header = braid_meta_header(volume, ONDISK_DIRTY_PAGE, ++meta->body_sequence, location);
			ondisk_body_encode(&header, block + META_HEADER_BYTES, block);
			braid_meta_batch_add(&meta->batch, location);
		}
		save->entry[save->nr++] = entry;
	}
	return from;
}

/* The pages are durable. */
static int save_index(struct braid_volume *volume, u32 slot, u32 index_blocks)
{
	struct braid_meta *meta = volume->meta_private;
	struct ondisk_header header;
	u64 location;
	u8 *memory;
	u32 block;

	braid_meta_batch_begin(&meta->batch, volume, REQ_OP_WRITE);
	for (block = 0; block < volume->layout.index_blocks_per_slot; block++) {
		if (!(index_blocks >> block & 1))
			continue;
		memory = braid_meta_batch_next(&meta->batch);	/* a slot's index fits the reserve */
		spin_lock_irq(&volume->lock);
		dirty_index_encode(&volume->core.peer[slot].map, block, memory + META_HEADER_BYTES);
		spin_unlock_irq(&volume->lock);
		location = ondisk_index_offset(&volume->layout, slot, block);
		header = braid_meta_header(volume, ONDISK_DIRTY_INDEX, ++meta->body_sequence, location);
		ondisk_body_encode(&header, memory + META_HEADER_BYTES, memory);
		braid_meta_batch_add(&meta->batch, location);
	}
	return braid_meta_batch_wait(&meta->batch);
}

/* One pass over one map: every bit that was set when it began is durable when it ends. */
static int save_map(struct braid_volume *volume, u32 slot)
{
	struct braid_meta *meta = volume->meta_private;
	struct dirty_map *map = &volume->core.peer[slot].map;
	struct save_batch save;
	u32 from = 0, i;
	int error = 0;

	while (!error && from < map->nr_entries) {
		braid_meta_batch_begin(&meta->batch, volume, REQ_OP_WRITE);
		from = save_pages_begin(volume, slot, from, &save);
		error = braid_meta_batch_wait(&meta->batch);
		if (!error && save.index_blocks)
			error = save_index(volume, slot, save.index_blocks);
		spin_lock_irq(&volume->lock);
		for (i = 0; i < save.nr; i++)
			dirty_save_end(map, save.entry[i], !error);
		spin_unlock_irq(&volume->lock);
	}
	braid_meta_batch_end(&meta->batch);
	return error;
}

int braid_meta_save_maps_locked(struct braid_volume *volume)
{
	u32 slot;
	int error;

	BUILD_BUG_ON(DIRTY_PAGE_BYTES != META_BODY_BYTES);
	if (READ_ONCE(volume->disk_failed_posted))
		return -EIO;
	braid_memory_pages(volume, BRAID_PAGES_AHEAD, GFP_NOWAIT);
	for (slot = 0; slot < REPLICAS_MAX; slot++) {
		if (!READ_ONCE(volume->core.peer[slot].map.nr_unsaved))
			continue;
		error = save_map(volume, slot);
		if (error) {
			braid_disk_failed(volume, "writing the dirty maps", error);
			return -EIO;
		}
	}
	return 0;
}

/* ---- loading ---- */

/* Body of the batch's block @i, or NULL when it is not there. */
static const u8 *block_body(struct braid_volume *volume, enum ondisk_kind kind, u64 location, u32 i)
{
	struct braid_meta *meta = volume->meta_private;
	struct ondisk_header expected = braid_meta_header(volume, kind, 0, location);
	const u8 *block = braid_meta_block(&meta->batch, i);
	const u8 *body;
	u64 sequence;

	if (meta->batch.block[i]->error)
		return NULL;
	if (ondisk_body_decode(&expected, block, &body, &sequence) != ONDISK_OK)
		return NULL;
	meta->body_sequence = max(meta->body_sequence, sequence);
	return body;
}

static void load_index(struct braid_volume *volume, u32 slot)
{
	struct braid_meta *meta = volume->meta_private;
	struct dirty_map *map = &volume->core.peer[slot].map;
	u32 block;

	braid_meta_batch_begin(&meta->batch, volume, REQ_OP_READ);
	for (block = 0; block < volume->layout.index_blocks_per_slot; block++)
		braid_meta_batch_add(&meta->batch, ondisk_index_offset(&volume->layout, slot, block));
	/* An unreadable block is no failure of the attach: what it spoke of is dirty. */
	braid_meta_batch_wait(&meta->batch);
	for (block = 0; block < volume->layout.index_blocks_per_slot; block++) {
		const u8 *body = block_body(volume, ONDISK_DIRTY_INDEX,
					    ondisk_index_offset(&volume->layout, slot, block), block);

		if (!body)
			pr_warn("braid: %s: index block %u of slot %u is damaged -> all that it covers is dirty\n",
				volume->name, block, slot);
		spin_lock_irq(&volume->lock);
		dirty_load_index(map, block, body);
		spin_unlock_irq(&volume->lock);
	}
}

static void load_pages(struct braid_volume *volume, u32 slot)
{
	struct braid_meta *meta = volume->meta_private;
	struct dirty_map *map = &volume->core.peer[slot].map;
	u32 entry[META_BATCH_BLOCKS];
	u32 from = 0, i, nr;

	do {
		BUILD_BUG_ON((int)BRAID_PAGES_AHEAD < (int)META_BATCH_BLOCKS);
		braid_memory_pages(volume, BRAID_PAGES_AHEAD, GFP_KERNEL);
		braid_meta_batch_begin(&meta->batch, volume, REQ_OP_READ);
		for (nr = 0; braid_meta_batch_next(&meta->batch); nr++) {
			entry[nr] = dirty_load_next_mixed(map, from);
			from = min(entry[nr] + 1, map->nr_entries);
			if (entry[nr] >= map->nr_entries)
				break;
			braid_meta_batch_add(&meta->batch, ondisk_page_offset(&volume->layout, slot, entry[nr]));
		}
		braid_meta_batch_wait(&meta->batch);
		for (i = 0; i < nr; i++) {
			const u8 *body = block_body(volume, ONDISK_DIRTY_PAGE,
						    ondisk_page_offset(&volume->layout, slot, entry[i]), i);

			spin_lock_irq(&volume->lock);
			dirty_load_page(map, entry[i], body);
			spin_unlock_irq(&volume->lock);
		}
	} while (from < map->nr_entries);
	braid_meta_batch_end(&meta->batch);
}

/* @regions: scratch of 2 * ACTLOG_PART_REGIONS. */
static void load_log_part(struct braid_volume *volume, u32 part, u32 *regions)
{
	struct braid_meta *meta = volume->meta_private;
	struct ondisk_header expected[2];
	const u8 *block[2];
	u64 written_id = 0;
	u32 copy, nr = 0, i;
	bool known;

	braid_meta_batch_begin(&meta->batch, volume, REQ_OP_READ);
	for (copy = 0; copy < 2; copy++) {
		u64 location = ondisk_actlog_offset(&volume->layout, part, copy);

		expected[copy] = braid_meta_header(volume, ONDISK_ACTLOG, 0, location);
		braid_meta_batch_add(&meta->batch, location);
	}
	braid_meta_batch_wait(&meta->batch);
	for (copy = 0; copy < 2; copy++)
		block[copy] = meta->batch.block[copy]->error ? NULL : braid_meta_block(&meta->batch, copy);
	known = ondisk_actlog_load(&expected[0], &expected[1], block[0], block[1], volume->core.log.nr_regions,
				   regions, &nr, &meta->part_sequence[part], &written_id, &meta->part_copy[part]);
	braid_memory_pages(volume, (known ? nr : 0) * volume->memory.nr_slots, GFP_KERNEL);
	spin_lock_irq(&volume->lock);
	for (i = 0; known && i < nr; i++)
		volume_log_found(&volume->core, regions[i]);
	if (!known)
		volume_log_lost(&volume->core);
	if (written_id)
		volume_written_found(&volume->core, written_id);
	spin_unlock_irq(&volume->lock);
	if (!known)
		pr_warn("braid: %s: activity log part %u is damaged -> everything may differ\n", volume->name, part);
}

static int super_blocks_read(struct braid_disk *meta, struct page *pages[2])
{
	u32 copy;
	int error = 0;

	for (copy = 0; copy < 2 && !error; copy++) {
		struct bio_vec vec;
		struct bio bio;

		bio_init(&bio, meta->bdev, &vec, 1, REQ_OP_READ | REQ_SYNC | REQ_META);
		bio.bi_iter.bi_sector = ondisk_super_offset(copy) >> SECTOR_SHIFT;
		__bio_add_page(&bio, pages[copy], META_BLOCK_BYTES, 0);
		error = submit_bio_wait(&bio);
		bio_uninit(&bio);
	}
	return error;
}

static enum braid_error super_error(const enum ondisk_error error[2])
{
	u32 copy;

	for (copy = 0; copy < 2; copy++) {
		if (error[copy] == ONDISK_INCOMPATIBLE || error[copy] == ONDISK_BAD_VERSION)
			return BRAID_ERROR_META_INCOMPATIBLE;
	}
	if (error[0] == ONDISK_BAD_MAGIC && error[1] == ONDISK_BAD_MAGIC)
		return BRAID_ERROR_NO_METADATA;
	return BRAID_ERROR_BAD_METADATA;
}

/*
 * A copy that cannot be read is not one that does not count: it may be the newer one, and going on with the older one would
 * roll the replica back [G10]. So the attach is refused then.
 */
static enum braid_error super_load(struct braid_disk *meta, struct ondisk_super *super, u32 *chosen_copy)
{
	struct page *pages[2] = { alloc_page(GFP_KERNEL), alloc_page(GFP_KERNEL) };
	enum ondisk_error verdict[2];
	enum braid_error error = BRAID_ERROR_MEMORY;
	int copy;

	if (!pages[0] || !pages[1])
		goto out;
	error = BRAID_ERROR_DISK_IO;
	if (super_blocks_read(meta, pages))
		goto out;
	copy = ondisk_super_choose(page_address(pages[0]), page_address(pages[1]), super, verdict);
	error = copy < 0 ? super_error(verdict) : BRAID_OK;
	if (!error && !ondisk_super_valid(super))
		error = BRAID_ERROR_BAD_METADATA;
	if (!error && chosen_copy)
		*chosen_copy = copy;
out:
	if (pages[0])
		__free_page(pages[0]);
	if (pages[1])
		__free_page(pages[1]);
	return error;
}

enum braid_error braid_meta_read_super(struct braid_disk *meta, struct ondisk_super *super)
{
	if (bdev_nr_bytes(meta->bdev) < 2 * META_BLOCK_BYTES)
		return BRAID_ERROR_NO_METADATA;
	return super_load(meta, super, NULL);
}

enum braid_error braid_meta_load(struct braid_volume *volume)
{
	struct braid_meta *meta = volume->meta_private;
	enum braid_error error = super_load(volume->meta, &meta->super, &meta->super_copy);
	u32 slot, part, *regions;

	if (error)
		return error;
	/* The core's limits say so; metadata that says otherwise was made by nobody we know. */
	if (volume->layout.index_blocks_per_slot > meta->batch.nr_reserved)
		return BRAID_ERROR_BAD_METADATA;
	regions = kcalloc(2 * ACTLOG_PART_REGIONS, sizeof(*regions), GFP_KERNEL);
	if (!regions)
		return BRAID_ERROR_MEMORY;
	for (slot = 0; slot < REPLICAS_MAX; slot++) {
		if (meta->super.slot_node[slot] == NODE_NONE)
			continue;
		load_index(volume, slot);
		load_pages(volume, slot);
	}
	for (part = 0; part < volume->core.log.nr_parts; part++)
		load_log_part(volume, part, regions);
	kfree(regions);
	return BRAID_OK;
}
