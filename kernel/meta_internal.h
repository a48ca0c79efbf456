/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What meta.c (when and in which order) and meta_maps.c (blocks: batches of I/O, dirty maps, loading) share.
 */
#ifndef BRAID_META_INTERNAL_H
#define BRAID_META_INTERNAL_H

#include <linux/bio.h>
#include <linux/completion.h>
#include <linux/timer.h>
#include "device.h"

enum {
	META_BATCH_BLOCKS = 32,	/* in flight together, when there is memory for them */
};

/* One block in flight. */
struct braid_meta_bio {
	struct page *page;
	struct bio_vec vec;
	int error;		/* of this block, for reads */
	struct bio bio;		/* last: it ends in a flexible array that is not used */
};

/*
 * Blocks in flight together. Some are allocated at attach and never given back, so that every save makes progress when
 * memory is short [L4]; more are allocated while a batch is built, and freed by braid_meta_batch_end().
 */
struct braid_meta_batch {
	struct braid_volume *volume;
	blk_opf_t operation;
	atomic_t pending;	/* bios in flight, and one while the batch is being built */
	int error;		/* of any of them: negative errno */
	struct completion done;
	u32 nr;			/* blocks in flight, the first ones */
	u32 nr_blocks;		/* allocated now */
	u32 nr_reserved;	/* allocated for good */
	struct braid_meta_bio *block[META_BATCH_BLOCKS];
};

struct braid_meta {
	struct braid_volume *volume;
	struct mutex maps_lock;		/* maps and superblock: batch, super */
	struct mutex log_lock;		/* activity log: log_batch, part_* */

	u32 super_copy;			/* that counts now */
	struct ondisk_super super;	/* being written */

	u64 body_sequence;		/* of dirty pages and index blocks; above every one read at attach */
	struct braid_meta_batch batch;

	u64 part_sequence[ACTLOG_PARTS_MAX];
	u32 part_copy[ACTLOG_PARTS_MAX];	/* that counts now */
	u64 log_mark_id;		/* in the transaction under way */
	struct braid_meta_batch log_batch;	/* a block for each part */

	spinlock_t requests_lock;
	struct list_head requests;	/* under requests_lock */
	struct list_head resets;	/* save_work's own: log resets to try again */
	struct timer_list retry_timer;
	bool stopping;
};

/* ---- meta_maps.c ---- */
struct ondisk_header braid_meta_header(const struct braid_volume *volume, enum ondisk_kind kind, u64 sequence,
				       u64 location);
/* @nr_reserved >= 1. Sleeps; 0 or -ENOMEM, then braid_meta_batch_free() as well. */
int braid_meta_batch_alloc(struct braid_meta_batch *batch, u32 nr_reserved);
void braid_meta_batch_free(struct braid_meta_batch *batch);	/* also what was never, or not wholly, allocated */
/* Build a batch of block reads (REQ_OP_READ) or durable writes (REQ_OP_WRITE), then wait for all. Sleeps. */
void braid_meta_batch_begin(struct braid_meta_batch *batch, struct braid_volume *volume, enum req_op operation);
/* META_BLOCK_BYTES for the next block, or NULL: wait for those in flight first. Never NULL for the reserved ones. */
u8 *braid_meta_batch_next(struct braid_meta_batch *batch);
void braid_meta_batch_add(struct braid_meta_batch *batch, u64 location);	/* the next block goes to or comes from there */
int braid_meta_batch_wait(struct braid_meta_batch *batch);	/* 0 or the first error */
/* What was read is not needed any more: frees what is not reserved. */
void braid_meta_batch_end(struct braid_meta_batch *batch);

/* Content of block @i < nr_blocks. */
static inline u8 *braid_meta_block(const struct braid_meta_batch *batch, u32 i)
{
	return page_address(batch->block[i]->page);
}

/* maps_lock held. 0 or -EIO, the disk is given up then. */
int braid_meta_save_maps_locked(struct braid_volume *volume);

#endif
