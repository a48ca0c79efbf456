/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Exclusion of overlapping byte ranges of one volume [W1] [R1] [I15]: application writes, other nodes' writes that are
 * applied here, and resync chunks. Owners and waiters stand in one interval tree; a newcomer waits for everything
 * that overlaps it and came earlier, so the order is first come, first served and nobody starves.
 */
#ifndef BRAID_RANGE_H
#define BRAID_RANGE_H

#include <linux/rbtree.h>
#include <linux/types.h>

struct braid_range {
	struct rb_node node;
	u64 start_bytes;
	u64 last_bytes;		/* inclusive */
	u64 subtree_last;
	u64 sequence;
	u32 blockers;		/* earlier overlapping ranges; 0: owned */
	bool queued;		/* in the tree, as owner or waiter */
	/* Owned now. Called under volume->lock, from any context: may only put the owner on a list or queue a work. */
	void (*ready)(struct braid_range *range);
};

struct braid_range_tree {	/* all zero is empty; under volume->lock */
	struct rb_root_cached root;
	u64 sequence;
};

/* True: owned now. False: queued, ->ready comes later. @length_bytes > 0. Under volume->lock. */
bool braid_range_lock(struct braid_range_tree *tree, struct braid_range *range, u64 start_bytes, u64 length_bytes,
		      void (*ready)(struct braid_range *range));
/* Owner or waiter leaves; nothing if it is not in the tree. After this its ->ready is not called. Under volume->lock. */
void braid_range_unlock(struct braid_range_tree *tree, struct braid_range *range);

#endif
