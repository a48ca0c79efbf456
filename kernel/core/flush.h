/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Whom a flush has to reach [W5]. A flush covers what was acknowledged before it. A replica that has all of that on stable storage
 * already needs none: its disk has no volatile cache, or every write since its last flush was FUA. Nobody promises that in
 * advance. Every acknowledgement of a write says what became of that write, "stable" or not, as the replica's disk was
 * when it did it; so disks may be replaced, and caches be turned on and off, at any time.
 *
 * A node is settled when a flush under this generation ended there, and none of its acknowledgements since that flush began
 * said "maybe in a volatile cache". The flush under this generation also is what makes the written mark durable there [G2].
 * Nothing is known, so the node is not settled, when the generation changes, when the node joins or leaves the stream, and at
 * a promotion: another writer's acknowledgements went elsewhere.
 *
 * The guess: who writes once and flushes, again and again (a log of a database), will flush after the next write too. That write
 * goes out as FUA: then the flush finds every node settled, and a round trip is saved. A wrong guess costs one FUA write, since
 * a second write without a flush ends it.
 *
 * Data plane: call under the volume's lock.
 */
#ifndef BRAID_CORE_FLUSH_H
#define BRAID_CORE_FLUSH_H

#include "limits.h"

enum { FLUSH_STREAK_MIN = 2 };	/* so many flushes, each after one write, and the next write is FUA */

struct flush {
	u64 generation_id;	/* that settled is about */
	u32 settled;		/* nodes */
	u64 answers;		/* how many said "maybe in a volatile cache", all nodes together */
	u64 newest[NODES_MAX];	/* number of each node's newest such answer, from 1 */
	u32 changes;		/* submitted since the last flush and not FUA: 0, 1, or 2 for more */
	u32 streak;		/* flushes in a row that found one change */
};

/* Of @nodes, those that a flush under @generation_id has to reach. */
u32 flush_needed(const struct flush *flush, u64 generation_id, u32 nodes);
/* A user's flush begins under @generation_id. Returns what flush_ended() wants to know. */
u64 flush_begin(struct flush *flush, u64 generation_id);
/* It ended well at @node; @since from its flush_begin(). */
void flush_ended(struct flush *flush, u8 node, u64 generation_id, u64 since);
/*
 * Is what a node just did on stable storage: a flush, a change with FUA, or one on a disk that had no volatile cache, neither before nor
 * after it (@volatile_cache: it had one at either moment)?
 */
bool flush_is_stable(bool is_flush, bool fua, bool volatile_cache);
/* @node acknowledged a change, which may be in a volatile cache. */
void flush_volatile(struct flush *flush, u8 node);
/* What @nodes acknowledged is not known any more. */
void flush_forget(struct flush *flush, u32 nodes);
/* A change without FUA is about to be submitted. True: FUA would save a flush, most likely. */
bool flush_expected(struct flush *flush);

#endif
