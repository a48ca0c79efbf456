/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The source's side of a resync, between sync.c (runs: plan, proof, answers) and sync_chunk.c (one chunk).
 *
 * Life of a chunk (up to RESYNC_CHUNK_BYTES of a dirty run):
 *
 *   FREE -> RANGE (waits for writes of that range) -> READ (on `reads`, then a bio, then on `ready`) -> DIGESTS (waits for
 *   DIFFERS) -> equal, or SEND (on `ready`) -> DATA (waits for the acknowledgement) -> into the open batch
 *
 * When everything differs anyway, a chunk goes from READ to DATA at once (resync_compare_wanted()). The range lock is
 * held from READ to the end, so no application write can be overtaken by older data [R1] [I15].
 *
 * Lock: everything under volume->lock, but the buffer of a chunk, which belongs to whoever works on the chunk.
 */
#ifndef BRAID_SYNC_INTERNAL_H
#define BRAID_SYNC_INTERNAL_H

#include <linux/siphash.h>
#include "core/governor.h"
#include "core/resync.h"
#include "data_path.h"

enum sync_limits {
	SYNC_CHUNKS = 256,		/* of one run */
	SYNC_BATCH_EXTENTS = 1024,	/* what one proof covers at most */
	SYNC_BATCH_BYTES = 64 << 20,	/* a proof begins */
	SYNC_BATCH_SECONDS = 2,
	SYNC_CARRIED_MAX = SYNC_BATCH_EXTENTS / 4,
	SYNC_SENDERS_MAX = 4,
	SYNC_ID_BUCKETS = 64,
	SYNC_FRUITLESS_PASSES_MAX = 8,
	SYNC_MEMORY_TURN_MS = 20,	/* without memory for the data of a chunk */
	SYNC_UNREADABLE_TURN_MS = 15000,	/* when nothing but blocks that the local disk fails is left */
};

enum chunk_state {
	CHUNK_FREE,
	CHUNK_RANGE,
	CHUNK_READ,
	CHUNK_DIGESTS,
	CHUNK_SEND,
	CHUNK_DATA,
};

/* A frame that is to be answered; in run->waiting while it is. */
struct sync_wait {
	struct hlist_node by_id;
	struct sync_chunk *chunk;
	u64 id;
};

struct sync_chunk {
	struct sync_run *run;
	struct list_head entry;		/* run->free, reads or ready */
	struct braid_range range;
	struct braid_buffer *buffer;	/* between READ and the last frame with data */
	u64 offset_bytes;
	u64 begun_ns;
	u64 marks;			/* of the peer's map, before the data was read */
	u32 length_bytes;
	u32 pieces;			/* that differ */
	struct sync_wait wait[2];	/* data, zeroes; the first for digests as well */
	u8 nr_waiting;
	u8 state;			/* enum chunk_state */
	bool unreadable;
};

struct sync_batch {
	struct resync_extent *extent;	/* SYNC_BATCH_EXTENTS */
	u32 nr;
	u32 nr_carried;			/* proven before; the rest of their granules is not */
	u64 bytes;
};

struct sync_sender {
	struct work_struct work;
	struct sync_run *run;
};

struct sync_run {
	struct braid_volume *volume;
	u8 node;
	bool stopped, failed, dry;
	bool at_end;			/* nothing dirty at or after cursor in this pass */
	u64 cursor_bytes;
	u32 nr_busy;			/* chunks not FREE */
	u32 busy_bytes;			/* theirs */
	u32 nr_reading;			/* bios */
	bool submitting;		/* plan_work does, and looks after `ready` then */
	u32 fruitless_passes;
	u64 cleared_in_pass;
	u32 nr_unreadable;		/* chunks in this pass that the local disk failed: they stay dirty */
	bool pausing;			/* until paused_until (jiffies): there is nothing else left */
	unsigned long paused_until;
	siphash_key_t key;
	struct resync_compare compare;
	struct list_head free;
	struct list_head reads;		/* own their range, to be read by plan_work */
	struct list_head ready;		/* for the senders */
	struct hlist_head waiting[SYNC_ID_BUCKETS];
	struct work_struct plan_work, proof_work;
	struct sync_sender sender[SYNC_SENDERS_MAX];
	u32 nr_senders, next_sender;
	struct sync_batch open, proving;
	u64 proof_id;
	bool proof_active, proof_here, proof_there;
	unsigned long proved_at;	/* jiffies of the last begin of a proof */
	unsigned long saved_at;		/* jiffies of the last save of the maps */
	struct sync_chunk *chunk;	/* SYNC_CHUNKS */
};

struct braid_sync {
	struct braid_volume *volume;
	struct sync_run *run[NODES_MAX];	/* under volume->lock */
	u32 nr_runs;
	struct governor governor;
	struct timer_list timer;	/* the governor said: ask again later; or there was no memory */
};

/* ---- sync.c ---- */

/* Under volume->lock. Nothing is queued for a run that was stopped or has failed. */
void braid_sync_queue(struct sync_run *run, struct work_struct *work);
/* The run cannot go on; the core ends it. Not under the lock. */
void braid_sync_run_failed(struct sync_run *run);
/* The plans of all runs are made again after that time at the latest. Under the lock. */
void braid_sync_again(struct braid_sync *sync, u64 wait_ns);
/* The target has this content. Under the lock. */
void braid_sync_chunk_done(struct sync_chunk *chunk);
/* The local disk fails it: it stays dirty, and the rest goes on. It has no buffer. Under the lock. */
void braid_sync_chunk_skip(struct sync_chunk *chunk);

/* ---- sync_chunk.c ---- */

/* The chunk owns its range: to be read. Under the lock. */
void braid_sync_chunk_owns(struct sync_chunk *chunk);
/* Reads what is on run->reads and sends what is there at once; waits for the disk's queue only. Process context. */
void braid_sync_read_chunks(struct sync_run *run);
/* Hand a chunk to the senders. Under the lock. */
void braid_sync_chunk_ready(struct sync_chunk *chunk);
void braid_sync_sender_init(struct sync_run *run, struct sync_sender *sender);
/* The chunk that waits in @state for the answer to @id, which it does no more; NULL: none. Under the lock. */
struct sync_chunk *braid_sync_answered(struct sync_run *run, u64 id, enum chunk_state state);

#endif
