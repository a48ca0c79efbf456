/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Payload memory [W2]: what is checksummed, sent and written locally is one and the same memory. Pages are braid's own, from pools
 * filled when the module loads [L4]; a page whose socket reference outlives the buffer (retransmission queue) goes back to the
 * page allocator, never into a pool. Or they are lent: those of a bio whose submitter is trusted to leave them alone, which ends
 * when the buffer's last reference goes, not before.
 */
#ifndef BRAID_BUFFER_H
#define BRAID_BUFFER_H

#include <linux/bio.h>
#include <linux/refcount.h>
#include "core/wire.h"

/* Which reserve a payload takes memory from when there is none else, and so what has to end before it comes back [L4]. */
enum braid_payload_use {
	BRAID_PAYLOAD_SENT,	/* peers' answers, or the socket */
	BRAID_PAYLOAD_RECEIVED,	/* I/O on the local disk */
};

struct braid_buffer {
	refcount_t references;
	u32 length_bytes;
	u32 sum;		/* of all of the content */
	u8 sum_kind;		/* enum wire_checksum; 0: not computed yet */
	u32 nr_vecs;
	bool pooled;		/* this struct came from the pool */
	bool scarce;		/* this or pages did: memory was short */
	u8 use;			/* enum braid_payload_use */
	struct bio *lender;	/* whose pages these are; NULL: our own */
	struct bio_vec vec[];	/* nr_vecs, none crosses a page; our own: full pages but the last */
};

int braid_buffer_init(void);
void braid_buffer_exit(void);
/* Never fails with a gfp that may sleep (pool); NULL only with GFP_NOWAIT/GFP_ATOMIC. 0 < length <= IO_BYTES_MAX. */
struct braid_buffer *braid_buffer_alloc(u32 length_bytes, enum braid_payload_use use, gfp_t gfp);
/*
 * A buffer of @bio's own pages, whose data stays as it is until the bio ends. From now on it is the buffer that ends the bio, with the
 * bi_status it has then. NULL: not these pages, copy them: some that a socket must not refer to, or not aligned for the local disk
 * (@alignment_mask). May sleep.
 */
struct braid_buffer *braid_buffer_borrow(struct bio *bio, u32 alignment_mask);
void braid_buffer_get(struct braid_buffer *buffer);
/* Any context, since local I/O ends in interrupts; not under a lock: a bio may end. */
void braid_buffer_put(struct braid_buffer *buffer);
/* For for_each_bvec(): a part of the content, page by page. */
static inline struct bvec_iter braid_buffer_part(const struct braid_buffer *buffer, u32 offset_bytes, u32 length_bytes)
{
	struct bvec_iter iter = { .bi_size = buffer->length_bytes };

	bvec_iter_advance(buffer->vec, &iter, offset_bytes);
	iter.bi_size = length_bytes;
	return iter;
}

/* Copy the data of @bio (its current iterator) into @buffer, which is our own [W2]. */
void braid_buffer_from_bio(struct braid_buffer *buffer, struct bio *bio);
/* Copy @buffer to @bio's data, for remote reads. Lengths are equal. */
void braid_buffer_to_bio(const struct braid_buffer *buffer, struct bio *bio);
/*
 * A checksum of a part; that of the whole is kept, so the content must not change any more. Over this memory and
 * no other: who is not trusted may change his pages between two readings [W2]. One at a time for a buffer. Any context.
 */
u32 braid_buffer_sum(struct braid_buffer *buffer, u32 offset_bytes, u32 length_bytes, enum wire_checksum kind);
/* Mask of enum wire_features: which checksums this machine can do, and does fast. Constant after braid_buffer_init(). */
u64 braid_buffer_features(void);

#endif
