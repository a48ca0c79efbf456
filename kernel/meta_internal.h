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
	META_BATCH_BLOCKS = 32,
	META_PAGES = META_BATCH_BLOCKS + ACTLOG_PARTS_MAX + 1,
};

/* One block in flight. */
struct braid_meta_bio {
	struct bio_vec vec;
	int error;		/* of this block, for reads */
	struct bio bio;		/* last: it ends in a flexible array that is not used */
};

/* Blocks in flight together, allocated at attach, so that nothing is when memory is short [L4]. */
struct braid_meta_batch {
	struct braid_volume *volume;
	blk_opf_t operation;
	atomic_t pending;	/* bios in flight, and one while the batch is being built */
	int error;		/* of any of them: negative errno */
	struct completion done;
	u32 nr;
	struct braid_meta_bio *block[META_BATCH_BLOCKS];
};

struct braid_meta {
	struct braid_volume *volume;
	struct mutex maps_lock;		/* maps and superblock: batch, batch_pages, body, super */
	struct mutex log_lock;		/* activity log: log_batch, log_pages, regions, part_* */

	u32 super_copy;			/* that counts now */
	struct ondisk_super super;	/* being written */
	struct page *super_page;

	u64 body_sequence;		/* of dirty pages and index blocks; above every one read at attach */
	u8 body[META_BODY_BYTES];
	struct page *batch_pages[META_BATCH_BLOCKS];
	struct braid_meta_batch batch;

	u64 part_sequence[ACTLOG_PARTS_MAX];
	u32 part_copy[ACTLOG_PARTS_MAX];	/* that counts now */
	u32 regions[2 * ACTLOG_PART_REGIONS];
	u64 log_mark_id;		/* in the transaction under way */
	struct page *log_pages[ACTLOG_PARTS_MAX];
	struct braid_meta_batch log_batch;

	spinlock_t requests_lock;
	struct list_head requests;	/* under requests_lock */
	struct list_head resets;	/* save_work's own: log resets to try again */
	struct timer_list retry_timer;
	bool stopping;

	struct page *all_pages[META_PAGES];
	u32 nr_all_pages;
};

/* ---- meta_maps.c ---- */
struct ondisk_header braid_meta_header(const struct braid_volume *volume, enum ondisk_kind kind, u64 sequence,
				       u64 location);
int braid_meta_batch_alloc(struct braid_meta_batch *batch);
void braid_meta_batch_free(struct braid_meta_batch *batch);	/* also what was never, or not wholly, allocated */
/* Build a batch of block reads (REQ_OP_READ) or durable writes (REQ_OP_WRITE), then wait for all. Sleeps. */
void braid_meta_batch_begin(struct braid_meta_batch *batch, struct braid_volume *volume, enum req_op operation);
void braid_meta_batch_add(struct braid_meta_batch *batch, struct page *page, u64 location);
int braid_meta_batch_wait(struct braid_meta_batch *batch);	/* 0 or the first error */
/* maps_lock held. 0 or -EIO, the disk is given up then. */
int braid_meta_save_maps_locked(struct braid_volume *volume);

#endif
