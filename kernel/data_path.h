/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the primary's side (io*.c), the replica's side (apply.c) and resync (sync*.c) share: I/O on the local disk,
 * activity log references of a write, frames with an extent.
 */
#ifndef BRAID_DATA_PATH_H
#define BRAID_DATA_PATH_H

#include <linux/highmem.h>
#include "device.h"

/* Activity log regions of one write: at most two, because IO_BYTES_MAX <= ACTLOG_REGION_BYTES. */
struct braid_regions {
	u32 region[2];
	u32 nr;			/* held; 0: none */
};

/* Take the regions of an extent, all or none (ACTLOG_FULL). Under volume->lock. */
enum actlog_get_result braid_regions_get(struct braid_volume *volume, struct braid_regions *regions, u64 offset_bytes,
					 u32 length_bytes, u64 epoch);
bool braid_regions_ready(const struct braid_volume *volume, const struct braid_regions *regions);
void braid_regions_put(struct braid_volume *volume, struct braid_regions *regions, bool stamp);

/*
 * A bio for the local disk with pages of @buffer (NULL and length 0: a flush). NULL when the disk is gone. Takes no
 * reference on @buffer. With GFP_NOIO it sleeps and never fails for want of memory: caller lets earlier bios of @set go
 * first. With GFP_NOWAIT NULL may mean: no memory now.
 */
struct bio *braid_local_bio(struct braid_volume *volume, struct bio_set *set, blk_opf_t operation,
			    const struct braid_buffer *buffer, u64 offset_bytes, u32 length_bytes,
			    bio_end_io_t *end_io, void *private, gfp_t gfp);
/*
 * May bios for the local disk carry BRAID_NOWAIT? Then submit_bio() never waits for the disk; a bio that would have to ends
 * with BLK_STS_AGAIN, or with BLK_STS_NOTSUPP when the disk has changed its mind.
 */
bool braid_local_nowait(struct braid_volume *volume);
/* What offsets and lengths of pieces of memory have to be multiples of to be written by the local disk, less 1. */
u32 braid_local_alignment(struct braid_volume *volume);
/*
 * Has the local disk a volatile cache, or is it gone? As the block layer sees it, which would drop a flush for a disk without one.
 * That can change at any time: what is true before and after a write is true of it.
 */
bool braid_local_cached(struct braid_volume *volume);
/*
 * Writes that others wait for. Writeback throttling makes asynchronous ones wait, whatever REQ_NOWAIT says, in the thread that
 * submits them, and all who stand behind it; it lets those pass that are marked as direct I/O is.
 */
#define BRAID_WAITED (REQ_SYNC | REQ_IDLE)
#define BRAID_NOWAIT (REQ_NOWAIT | BRAID_WAITED)
/* Read or write @length_bytes at @offset_bytes from/to @buffer at @buffer_bytes, wait. 0 or negative errno. */
int braid_local_wait(struct braid_volume *volume, struct bio_set *set, blk_opf_t operation,
		     const struct braid_buffer *buffer, u32 buffer_bytes, u64 offset_bytes, u32 length_bytes);
/*
 * Zeroes on the local disk, with space given back when @unmap and the disk can, with zero pages when it cannot [W8].
 * Sleeps. 0 or negative errno.
 */
int braid_local_zeroes(struct braid_volume *volume, u64 offset_bytes, u32 length_bytes, bool unmap, bool flush);

/*
 * One frame with an extent, on a data lane. @payload: all of it, or NULL. @haste: braid_session_send(). Sleeps. The number of the
 * lane, 1 and up; -ENOTCONN: no session, nothing sent; -ENOMEM.
 */
int braid_send_io(struct braid_volume *volume, u8 node, u8 type, u16 flags, u64 request_id, struct wire_io *io,
		  struct braid_buffer *payload, enum lane_haste haste);

/* ---- apply.c, for sync_target.c: answers and lifetime of what other nodes ask here ---- */

struct braid_apply_request;
typedef void braid_apply_run(struct braid_apply_request *request);

/* One frame of another node that is being worked on; owned by apply.c. */
struct braid_apply_request {
	struct list_head entry;		/* one of the lists of struct braid_apply; under volume->lock */
	struct braid_volume *volume;
	struct braid_range range;
	struct braid_regions regions;
	struct work_struct work;
	struct braid_buffer *buffer;
	union {
		struct wire_io io;
		struct wire_resync resync;
	};
	u64 id;				/* request id of the frame */
	u32 instance;			/* of the session: answers to an older one are dropped */
	u16 flags;
	u8 type;
	u8 node;
	u8 lane;
	bool error;
	bool cached;			/* the disk had a volatile cache when it took the change */
	bool stable;			/* done, and on stable storage */
	bool nowait;			/* on the disk with BRAID_NOWAIT */
	bool save_first;		/* resync data: dirty maps before it [D1] */
};

/* Counts as in flight until braid_apply_end(). GFP_NOIO, never NULL. Takes over @payload. */
struct braid_apply_request *braid_apply_request_alloc(struct braid_volume *volume, u8 node, unsigned int lane,
						      const struct wire_header *header, struct braid_buffer *payload);
/* End: leaves range and log, and queues the acknowledgement when @ack. Any context. */
void braid_apply_end(struct braid_apply_request *request, bool ack);
/* Write its buffer at request->io, then end and acknowledge it. Under volume->lock. */
void braid_apply_submit(struct braid_apply_request *request);
/* Still the session in which the frame came? */
bool braid_apply_current(const struct braid_apply_request *request);
/* io.c: of this volume, for writes, repairs, peers and resync; one bio is in reserve. */
struct bio_set *braid_bio_set(struct braid_volume *volume);

/* ---- sync_target.c ---- */
/* DIGESTS and RESYNC_DATA; takes over @payload. 0 or -EPROTO. */
int braid_sync_target_frame(struct braid_volume *volume, u8 node, unsigned int lane, const struct wire_header *header,
			    const struct wire_resync *resync, struct braid_buffer *payload);
/* One frame of resync; @resync->volume_id is filled in; @payload: a part of it, or NULL. As braid_send_io(). */
int braid_send_resync(struct braid_volume *volume, u8 node, u8 type, u16 flags, u64 request_id,
		      struct wire_resync *resync, struct braid_buffer *payload, u32 payload_offset_bytes,
		      u32 payload_bytes);
/* Address of a piece's page and offset in it; pieces never cross a page. */
static inline void *braid_map_piece(const struct braid_buffer *buffer, u32 piece)
{
	u32 offset_bytes = piece * RESYNC_PIECE_BYTES;

	BUILD_BUG_ON(PAGE_SIZE % RESYNC_PIECE_BYTES);
	return kmap_local_page(buffer->vec[offset_bytes / PAGE_SIZE].bv_page) + offset_bytes % PAGE_SIZE;
}

#endif
