/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The activity log: the regions of a replica that may differ from other replicas after a crash,
 * because writes were in flight or only in a volatile cache [W3] [W6] [D6].
 *
 * A region (ACTLOG_REGION_BYTES of the volume) must be durably in the log before a write to it starts.
 * On disk the log is an array of parts; each part is a complete snapshot of ACTLOG_PART_REGIONS slots and
 * has two alternating copies, so a torn write leaves the older one. One group commit writes the parts that
 * changed; new regions are put into the part with the most changes so that this is one block mostly.
 *
 * Life of a slot: FREE -> ADDING (in memory; waits for a commit) -> COMMITTING (in the transaction being
 * written) -> ACTIVE -> (evicted in memory) FREE; the removal reaches the disk with a later commit, a region
 * too many on disk being harmless.
 *
 * Eviction [W6]: the writer decides. Time is counted in flush epochs. epoch is the number of the next flush;
 * actlog_flush_begin() returns it and increments. A write that ends is stamped with the epoch current at its end.
 * When flush E ended on every streaming replica, regions without writes in flight whose stamp <= E may leave.
 * The writer tells the others which regions left at which E; they drop those that they have no newer write for
 * (the frame of a write carries the epoch of its submission).
 *
 * Data plane: call under the volume's lock.
 */
#ifndef BRAID_CORE_ACTLOG_H
#define BRAID_CORE_ACTLOG_H

#include "limits.h"

enum actlog_slot_state {
	ACTLOG_FREE,
	ACTLOG_ADDING,
	ACTLOG_COMMITTING,
	ACTLOG_ACTIVE,
};

#define ACTLOG_NO_SLOT 0xffffffffu
#define ACTLOG_NO_REGION 0xffffffffu

struct actlog_slot {
	u32 region;
	u32 in_flight;		/* writes that hold the region */
	u64 epoch;		/* stamp of the newest write */
	u32 hash_next;		/* next slot of the same hash chain, or of the part's free list; ACTLOG_NO_SLOT ends */
	u32 lru_prev, lru_next;	/* of slots ACTIVE with in_flight == 0, least recently used first */
	u8 state;		/* enum actlog_slot_state */
};

struct actlog {
	u32 nr_parts;		/* nr_slots == nr_parts * ACTLOG_PART_REGIONS */
	u32 nr_slots;
	u32 nr_memory;		/* of these there is memory for the first ones, all that can be in use at a time */
	u32 nr_used;		/* slots not FREE */
	u32 nr_adding;
	u32 nr_committing;
	u32 nr_busy;		/* slots with in_flight */
	u32 busy_limit;		/* at most as many; 0: no limit. Of the writer: slots of the smallest log that its writes go to */
	u32 nr_regions;		/* regions of the volume */
	u32 hash_mask;
	u32 lru_first, lru_last;
	u64 epoch;		/* number of the next flush; starts at 1 */
	u64 stable_epoch;	/* last flush that ended everywhere */
	u64 transactions;	/* counted for status: commits begun [D6] */
	struct actlog_slot *slots;
	u32 *hash;		/* hash_mask + 1 heads */
	u32 part_changed;	/* mask of parts whose memory differs from disk in additions */
	u32 part_removed;	/* mask of parts that differ in removals only (needs no commit) */
	u32 part_committing;	/* mask of parts in the transaction under way */
	u32 part_free[ACTLOG_PARTS_MAX];	/* free slots of the part */
	u32 part_adding[ACTLOG_PARTS_MAX];	/* ADDING slots of the part */
	u32 part_first_free[ACTLOG_PARTS_MAX];	/* its free list */
	bool forced;		/* a commit is wanted though no region is new (written mark) */
	bool refused;		/* actlog_get() said FULL since the last eviction */
};

enum actlog_get_result {
	ACTLOG_READY,	/* the region is durably logged: go on */
	ACTLOG_WAIT,	/* reference taken; wait until the commit that contains it ended */
	ACTLOG_FULL,	/* no reference taken: evict, then try again */
};

/* Slots that can be in use at a time: a small volume has fewer regions than the log has slots. */
u32 actlog_slots_needed(u32 nr_parts, u64 volume_bytes);
u32 actlog_hash_size(u32 nr_parts, u64 volume_bytes);	/* power of two, heads needed */
/* Arrays belong to the caller: slots[actlog_slots_needed()], hash[actlog_hash_size()]. */
void actlog_init(struct actlog *log, struct actlog_slot *slots, u32 *hash, u32 nr_parts, u64 volume_bytes);
/* Default number of parts for a volume: one part up to 64 GiB, doubling per factor 16, at most ACTLOG_PARTS_MAX. */
u32 actlog_default_parts(u64 volume_bytes);

/* Region of a byte offset. Writes never span more than two regions (IO_BYTES_MAX <= ACTLOG_REGION_BYTES). */
static inline u32 actlog_region(u64 offset_bytes)
{
	return (u32)(offset_bytes / ACTLOG_REGION_BYTES);
}

/*
 * Take one reference on @region for a write submitted at @epoch (the writer passes log->epoch; a higher one, from
 * the writer's frame, raises log->epoch, so that whoever is promoted goes on above every stamp it holds). FULL as well when
 * busy_limit regions are in use: a peer with a smaller log could not take them all, and none of them could be evicted.
 */
enum actlog_get_result actlog_get(struct actlog *log, u32 region, u64 epoch);
/*
 * The same for every region of a write, @first to @last (at most two): all or none. FULL leaves no trace of the attempt but the
 * wish to evict: neither a slot nor a stamp, which would keep regions from leaving that the next attempt has to wait for.
 */
enum actlog_get_result actlog_get_regions(struct actlog *log, u32 first, u32 last, u64 epoch);
/* Is @region durable now (ACTIVE)? For those that got ACTLOG_WAIT. */
bool actlog_is_ready(const struct actlog *log, u32 region);
/* Drop the reference when the write ended (acknowledged or failed); stamps max(stamp, log->epoch) when @stamp. */
void actlog_put(struct actlog *log, u32 region, bool stamp);

/*
 * Group commit. actlog_commit_begin() is refused (returns 0) while one is under way or when there is nothing to
 * commit; else the mask of parts to write: ADDING slots of the log become COMMITTING. Encode each part with
 * actlog_encode_part() (under the same lock hold), write all, then actlog_commit_end(). ok == false: the
 * slots stay COMMITTING -> ADDING again and the caller fails its disk.
 */
u32 actlog_commit_begin(struct actlog *log);
void actlog_encode_part(const struct actlog *log, u32 part, u32 regions[ACTLOG_PART_REGIONS]);
void actlog_commit_end(struct actlog *log, bool ok);
bool actlog_commit_wanted(const struct actlog *log);

/* Flush epochs (writer). */
u64 actlog_flush_begin(struct actlog *log);
void actlog_flush_end(struct actlog *log, u64 epoch);	/* ended on every streaming replica */

/* Is there need to evict (few free slots)? Then the writer starts a flush round. */
bool actlog_evict_wanted(const struct actlog *log);
/*
 * Writer: list up to @max least recently used regions that stable_epoch allows to evict; their numbers to @regions.
 * Changes nothing; returns how many. The caller makes the dirty bits of those regions durable ([D1]), then calls
 * actlog_evict() with stable_epoch for each and tells the others which left at which epoch.
 */
u32 actlog_evict_candidates(const struct actlog *log, u32 *regions, u32 max);
/* Evict one region if it is still allowed: in_flight == 0, ACTIVE, stamp <= @epoch. True if it left. */
bool actlog_evict(struct actlog *log, u32 region, u64 epoch);
/* The same for every region: for a log reset. Returns the number of slots still in use. */
u32 actlog_evict_before(struct actlog *log, u64 epoch);

/* Iterate over every region in the log in any state but FREE: next slot >= @from in use, or ACTLOG_NO_SLOT. */
u32 actlog_next(const struct actlog *log, u32 from, u32 *region);
/* Forget everything that has no write in flight; every part counts as differing from disk then, whatever it held
 * there. For a clean demotion, after attach when the regions became dirty bits on disk. Returns the number of
 * slots still in use. */
u32 actlog_clear(struct actlog *log);
/* The parts that differ from disk in any way, as a mask; used with actlog_clear to make the log on disk empty. */
u32 actlog_commit_all_begin(struct actlog *log);

#endif
