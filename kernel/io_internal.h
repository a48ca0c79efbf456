/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The primary's requests, between io.c (changes), io_event.c (what peers and the core say about them), io_read.c (reads;
 * io_pass.c has those that need no request), io_log.c (waiting for the log, eviction) and io_plug.c (what is sent together).
 *
 * Places of a request; it is in exactly one:
 *
 *   starting    in braid_request_start(), in the submitter's context or io->work; on no list
 *   GATE        io->gate_waiters: the core said WAIT; holds nothing; leaves by braid_io_gate()
 *   RANGE       io->range_waiters: an overlapping write, or a chunk of a resync, has the range; leaves by range.ready
 *   FULL        io->full_waiters: no room in the activity log; holds its range; leaves after an eviction round
 *   FLUSH       io->flush_waiters: a flush that came while another one is in flight; io->flush_followers: one that began with the
 *               flush in flight, whose end is its own (io_flush.c)
 *   IN_FLIGHT   io->in_flight (hash by id): sent; holds range and log regions; waits for ack.pending. The part on the local
 *               disk may be on io->log_waiters until the log is durable [W3]
 *   ready       io->ready: leaves one of the above, io->work starts it again
 *
 * When the last acknowledgement is in and the submitter is done with sending (holds == 0), the request ends: log, range,
 * core, then the user's bio. A request whose sending is not over never ends: a frame sent late could overtake the next
 * write of the same range.
 *
 * References: the request itself until it ended, and its I/O on the local disk, which may outlive it when the local
 * disk is given up or the volume is forced down. Then the user's bio is ended early, if the data is our copy [W2]; a bio whose
 * own pages are in use ends with the buffer, which disk, frames and sockets keep.
 *
 * Lock: everything here is under volume->lock, taken with interrupts disabled, because local I/O ends in interrupts.
 */
#ifndef BRAID_IO_INTERNAL_H
#define BRAID_IO_INTERNAL_H

#include <linux/mempool.h>
#include <linux/timer.h>
#include "data_path.h"

enum request_kind {
	REQUEST_READ,
	REQUEST_WRITE,
	REQUEST_DISCARD,	/* zeroes that may give space back */
	REQUEST_ZEROES,
	REQUEST_FLUSH,
};

enum request_limits {
	REQUEST_POOL = 4,	/* reserve of a volume [L4]; docs/architecture.md, Memory */
	REQUEST_HASH_BITS = 6,
	IO_IDLE_MS = 5000,	/* after the last write the activity log is emptied */
	IO_LATE_TURN_MS = 1000,	/* looks so often whether a peer is late */
	EVICT_BATCH = 250,
};

#define REQUEST_HINTS (REQ_SYNC | REQ_IDLE | REQ_META | REQ_PRIO | REQ_BACKGROUND)

struct braid_request {
	struct list_head entry;		/* the list of its place */
	struct list_head ending;	/* collected under the lock, ended after it */
	struct hlist_node by_id;
	struct braid_volume *volume;
	mempool_t *pool;		/* that it came from */
	struct bio *bio;		/* the user's; NULL: internal flush, or ended early */
	struct braid_buffer *buffer;
	struct braid_range range;
	struct braid_regions regions;
	struct work_struct work;	/* local part of discard and zeroes, which sleeps; read repair */
	struct volume_ack ack;
	unsigned long start_time;	/* jiffies, for the disk's statistics */
	unsigned long sent_time;	/* jiffies, into flight */
	u64 felt_ns;			/* write: begin, while a resync runs; else 0 */
	u64 id;
	u64 offset_bytes;
	u32 length_bytes;
	u64 epoch;
	u64 flush_epoch;		/* 0: not a flush */
	u64 generation_id;
	u32 ok_nodes;			/* who acknowledged without error */
	u32 failed_nodes;		/* read: who failed it */
	atomic_t holds;			/* acknowledgements outstanding, submitter still sending */
	refcount_t references;
	u8 kind;			/* enum request_kind */
	u8 read_node;
	blk_opf_t hints;		/* REQUEST_HINTS of the user's bio: for whoever orders or throttles the local disk */
	u16 priority;			/* the same: bi_ioprio */
	bool preflush;			/* flush round-trip to be done before the write */
	bool flushing;			/* in flight as a flush */
	bool doomed;			/* no complete replica is left: ends with an error */
	bool fua;
	bool gathers;			/* on lanes [N5]: io_plug.c says which ones */
	bool cached;			/* the local disk had a volatile cache when it took the change */
	bool log_waiting;		/* on io->log_waiters */
	bool log_waited;		/* was there; then: */
	u64 here_ns, peers_ns;		/* when the local part ended, and the last peer answered; 0: not yet */
	bool admitted;			/* read: counted in nr_reads */
};

struct braid_io {
	struct braid_volume *volume;
	mempool_t *requests;
	mempool_t *round_requests;	/* of eviction rounds, which requests with a full log wait for */
	struct bio_set bio_set;		/* braid_bio_set() */
	struct bio_set read_set;	/* clones of reads */
	struct hlist_head in_flight[1 << REQUEST_HASH_BITS];
	struct list_head gate_waiters;
	struct list_head range_waiters;
	struct list_head full_waiters;
	struct list_head log_waiters;
	struct list_head flush_waiters;
	struct list_head flush_followers;
	struct braid_request *flush_leader;	/* the user's flush in flight, or NULL */
	struct list_head ready;
	struct work_struct work;	/* starts what is on ready */
	u32 nr_reads;
	u32 nr_asked;			/* reads in flight at peers */
	struct wait_queue_entry changed;	/* on volume->changed: looks after reads in flight at peers */
	atomic_t nr_requests;		/* allocated, local I/O and plugs included; to 0 under the lock only */
	bool failing;			/* braid_io_fail_all(): no way back */

	/* eviction round (io_log.c): IDLE -> flush in flight -> work evicts -> IDLE */
	struct work_struct round_work;
	struct timer_list idle_timer;
	unsigned long idle_due;	/* jiffies: the log is emptied unless something is written before */
	struct wire_evict *evict;	/* round_work only; room for EVICT_BATCH regions */
	u64 rounds_begun, rounds_ended;
	int round_error;		/* of the last that ended */
	bool round_active;
	bool round_flushed;		/* the flush of the active round ended */
	bool round_wanted;		/* another one after this */
	bool round_all;			/* evict everything that may go */
	bool tidy;			/* write removals to the log on disk too */

	/* bounded acknowledgement (io_log.c) [W4] */
	struct timer_list late_timer;	/* runs only while changes are in flight */
	u32 late_nodes;			/* reported, and still waited for */
};

/* A flush of an eviction round: no user waits for it. */
static inline bool braid_request_is_internal(const struct braid_request *request)
{
	return request->kind == REQUEST_FLUSH && !request->bio;
}

/* io.c */
/* From one of the pools of struct braid_io. Sleeps (GFP_NOIO), never NULL. */
struct braid_request *braid_request_alloc(struct braid_volume *volume, mempool_t *pool);
void braid_request_put(struct braid_request *request);
/* One of io->nr_requests is over: the caller's last touch of the volume. Any context. */
void braid_request_uncount(struct braid_volume *volume);
/* Process context: (re)start from the gate. */
void braid_request_start(struct braid_request *request);
/* Queue for io->work. Under the lock. */
void braid_request_ready(struct braid_request *request);
/* The range of the request: true when it has it, false: it waits, and is ready when it has. Under the lock. */
bool braid_request_range(struct braid_request *request);
/* End the user's bio of a request that is in no place any more, and drop it. */
void braid_request_succeed(struct braid_request *request);
void braid_request_fail(struct braid_request *request);
/* Wait at the gate: gives back range; true: post IO_WAITS after unlocking. Under the lock. */
bool braid_request_gate(struct braid_request *request);
void braid_request_insert(struct braid_request *request);	/* with a new id; under the lock */
/* A read leaves in_flight: answered, or another node is to be asked. Under the lock. */
void braid_read_take_back(struct braid_request *request);
struct braid_request *braid_request_find(struct braid_volume *volume, u64 id);	/* under the lock */
/*
 * What the user sees, with the disk's statistics. Takes the bio away from the request: under the lock. The caller ends it; NULL:
 * there is none, or the buffer ends it when nobody refers to its pages any more.
 */
struct bio *braid_request_take_bio(struct braid_request *request, bool ok);
/*
 * One acknowledgement without error, or @node is waited for no more (VOLUME_ANSWER_NONE). True: the last one; the caller drops
 * the hold after unlocking. Under the lock.
 */
bool braid_request_acked(struct braid_request *request, u8 node, enum volume_answer answer);
/* The same when the core releases the requests that missed @node, and this node's own. Under the lock. */
bool braid_request_released(struct braid_request *request, u8 node);
/* Every acknowledgement is in, or sending is over; with both, the request ends. Any context, not under the lock. */
void braid_request_drop_hold(struct braid_request *request);
/* The local part: start it (process context), or its end (any context). */
void braid_request_local_start(struct braid_request *request);
void braid_request_local_end(struct braid_request *request, bool failed);

/* Its payload is the user's own pages [W2]. */
static inline bool braid_request_has_lender(const struct braid_request *request)
{
	return request->buffer && request->buffer->lender;
}

/* io_flush.c */
/*
 * Into flight: who has to answer. A flush stands for those as well that have nothing to flush; a write that a flush will follow
 * becomes FUA. Under the lock.
 */
void braid_request_into_flight(struct braid_request *request);
/*
 * A flush passed the gate. True: it leads, and goes into flight; false: it waits until the one in flight has ended. Under the
 * lock.
 */
bool braid_flush_lead(struct braid_request *request);
/* Whoever led is over: collect who shares its end in @followers, for braid_flush_end() after unlocking. Under the lock. */
void braid_flush_led(struct braid_request *request, struct list_head *followers);
void braid_flush_end(struct list_head *followers, bool ok);
/* Nobody leads: the first who waits is ready. Under the lock. */
void braid_flush_next(struct braid_io *io);
/* Forced down: whoever waits or follows is ready, and will find io->failing. Under the lock. */
void braid_flush_fail_all(struct braid_io *io);
/* Stable: a flush, a FUA write, or a disk that had no volatile cache before and has none now. */
enum volume_answer braid_request_local_answer(const struct braid_request *request, bool failed);

/* io_read.c */
void braid_read_start(struct braid_request *request);

/* io_pass.c */
/* A read from the block layer. True: on its way to the local disk. False: nothing happened. From submit_bio only. */
bool braid_read_pass(struct braid_volume *volume, struct bio *bio);
/* None is under way; says so for good only where none can begin. */
bool braid_passes_idle(const struct braid_volume *volume);

/* io_plug.c */
/* Is the write of @bio one that gathers on lanes? */
bool braid_write_gathers(const struct bio *bio);
/* How to queue frames for peers: held, if the current task has a plug; then braid_plug() follows, when they are queued. */
enum lane_haste braid_plug_haste(const struct braid_request *request);
/*
 * What was queued as held for @nodes on @lanes (masks) goes out when the plug of the current task ends. Not before it is queued: a
 * task that has to sleep on the way ends its plug. Sleeps.
 */
void braid_plug(const struct braid_request *request, u32 nodes, u32 lanes);

/* io_log.c */
int braid_io_log_init(struct braid_io *io);
void braid_io_log_exit(struct braid_io *io);
void braid_io_round_want(struct braid_io *io, bool all);	/* under the lock */
void braid_io_round_flushed(struct braid_io *io, bool ok);	/* under the lock */
bool braid_io_evict_wanted(struct braid_volume *volume);	/* under the lock */
void braid_io_not_idle(struct braid_io *io);	/* the log is emptied IO_IDLE_MS after the last call; under the lock */
/* A request waits for peers from now on: somebody looks whether they answer in time. Under the lock. */
void braid_io_late_watch(struct braid_request *request);

#endif
