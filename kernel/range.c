// SPDX-License-Identifier: GPL-2.0
/*
 * Interval tree of the byte ranges that are being written [W1] [R1] [I15]; see range.h.
 *
 * Every range counts the overlapping ones that came before it. When one leaves, those that came after it count down;
 * a range that reaches zero is owned. A waiter that leaves early counts its followers down the same way.
 */
#include <linux/interval_tree_generic.h>
#include "range.h"

#define RANGE_START(range) ((range)->start_bytes)
#define RANGE_LAST(range) ((range)->last_bytes)

INTERVAL_TREE_DEFINE(struct braid_range, node, u64, subtree_last, RANGE_START, RANGE_LAST, static __maybe_unused, tree)

bool braid_range_lock(struct braid_range_tree *tree, struct braid_range *range, u64 start_bytes, u64 length_bytes,
		      void (*ready)(struct braid_range *range))
{
	struct braid_range *other;

	range->start_bytes = start_bytes;
	range->last_bytes = start_bytes + length_bytes - 1;
	range->sequence = tree->sequence++;
	range->blockers = 0;
	range->ready = ready;
	for (other = tree_iter_first(&tree->root, range->start_bytes, range->last_bytes); other;
	     other = tree_iter_next(other, range->start_bytes, range->last_bytes))
		range->blockers++;
	tree_insert(range, &tree->root);
	range->queued = true;
	return !range->blockers;
}

void braid_range_unlock(struct braid_range_tree *tree, struct braid_range *range)
{
	struct braid_range *other;

	if (!range->queued)
		return;
	range->queued = false;
	tree_remove(range, &tree->root);
	for (other = tree_iter_first(&tree->root, range->start_bytes, range->last_bytes); other;
	     other = tree_iter_next(other, range->start_bytes, range->last_bytes)) {
		if (other->sequence > range->sequence && !--other->blockers)
			other->ready(other);
	}
}
