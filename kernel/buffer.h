/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Payload memory that braid owns [W2]: what is checksummed, sent and written locally is one and the
 * same memory. Pages come from pools filled when the module loads [L4]; a page whose socket reference
 * outlives the buffer (retransmission queue) goes back to the page allocator, never into a pool.
 */
#ifndef BRAID_BUFFER_H
#define BRAID_BUFFER_H

#include <linux/bio.h>
#include <linux/refcount.h>

struct braid_buffer {
	refcount_t references;
	u32 length_bytes;
	u32 crc;		/* CRC32C of the content, valid once filled */
	u32 nr_pages;
	bool pooled;		/* this struct came from the pool */
	struct bio_vec vec[];	/* nr_pages, full pages but the last */
};

int braid_buffer_init(void);
void braid_buffer_exit(void);
/* Never fails with a gfp that may sleep (pool); NULL only with GFP_NOWAIT/GFP_ATOMIC. 0 < length <= IO_BYTES_MAX. */
struct braid_buffer *braid_buffer_alloc(u32 length_bytes, gfp_t gfp);
void braid_buffer_get(struct braid_buffer *buffer);
void braid_buffer_put(struct braid_buffer *buffer);	/* any context: local I/O ends in interrupts */
/* Copy the data of @bio (its current iterator) into @buffer [W2]; buffer->crc is not computed. */
void braid_buffer_from_bio(struct braid_buffer *buffer, struct bio *bio);
/* Copy @buffer to @bio's data, for remote reads. Lengths are equal. */
void braid_buffer_to_bio(const struct braid_buffer *buffer, struct bio *bio);
u32 braid_buffer_crc(const struct braid_buffer *buffer, u32 offset_bytes, u32 length_bytes);

#endif
