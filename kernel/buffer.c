// SPDX-License-Identifier: GPL-2.0
/*
 * Payload buffers: what is checksummed, sent and written is the same memory [W2]. Pages that braid owns, or those of a bio.
 *
 * Memory [L4]: the page allocator first, else one of two module-wide pools. A buffer takes many pages; two tasks that each
 * hold half of a pool would wait for each other, so a buffer that needs the pool takes all its pages under one
 * mutex: one task waits at a time, and it gets what those that finish give back.
 * Two pools: what is sent waits for peers' answers, and these may stand behind payload that has to be received first. What is
 * received waits for the local disk alone. With one pool two nodes that write to each other could wait for each other.
 * A page that a socket still references when the buffer goes is only dropped, and the pool gets a fresh page in its
 * place as soon as the allocator has one; until then later allocations find the pool smaller, never empty for good,
 * because a buffer whose pages are not referenced refills it.
 */
#include <linux/highmem.h>
#include <linux/mempool.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/net.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/xxhash.h>
#include <crypto/hash.h>
#include "buffer.h"
#include "core/limits.h"

enum {
	POOL_BUFFERS = 8,
	POOL_PAGES_SENT = 1024,
	BUFFER_PAGES_MAX = IO_BYTES_MAX / PAGE_SIZE,
	STACK_PAGES = BUFFER_PAGES_MAX,
};

/*
 * Pages that were given back, kept for the next buffer: many kernels clear each page that they hand out, which costs about as much
 * as the copy into it. What is in them is overwritten, or lies behind the end of what is sent and written.
 */
struct page_stack {
	u32 nr;
	struct page *page[STACK_PAGES];
};

struct payload_pool {
	mempool_t *structs;
	mempool_t *pages;
	int nr_pages;		/* in reserve */
	struct mutex mutex;	/* who takes reserved pages */
};

static struct page_stack __percpu *page_stacks;
static struct payload_pool pools[] = {
	[BRAID_PAYLOAD_SENT] = { .nr_pages = POOL_PAGES_SENT },
	[BRAID_PAYLOAD_RECEIVED] = { .nr_pages = 2 * BUFFER_PAGES_MAX },
};
static bool fast_crc;

/* The kernel takes the fastest implementation it has: is there a better one than that in C? */
static bool find_fast_crc(void)
{
	struct crypto_shash *hash = crypto_alloc_shash("crc32c", 0, 0);
	bool fast;

	if (IS_ERR(hash))
		return false;
	fast = !strstr(crypto_shash_driver_name(hash), "generic");
	crypto_free_shash(hash);
	return fast;
}

u64 braid_buffer_features(void)
{
	return (fast_crc ? WIRE_FEATURE_CRC32C_FAST : 0) | (IS_REACHABLE(CONFIG_XXHASH) ? WIRE_FEATURE_XXH64 : 0);
}

int braid_buffer_init(void)
{
	u32 i;

	BUILD_BUG_ON(POOL_PAGES_SENT < 2 * BUFFER_PAGES_MAX);
	fast_crc = find_fast_crc();
	page_stacks = alloc_percpu(struct page_stack);
	if (!page_stacks)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(pools); i++) {
		mutex_init(&pools[i].mutex);
		pools[i].structs = mempool_create_kmalloc_pool(POOL_BUFFERS,
							       struct_size_t(struct braid_buffer, vec, BUFFER_PAGES_MAX));
		pools[i].pages = mempool_create_page_pool(pools[i].nr_pages, 0);
		if (!pools[i].structs || !pools[i].pages) {
			braid_buffer_exit();
			return -ENOMEM;
		}
	}
	return 0;
}

void braid_buffer_exit(void)
{
	u32 i;
	int cpu;

	for_each_possible_cpu(cpu) {
		struct page_stack *stack = per_cpu_ptr(page_stacks, cpu);

		while (stack->nr)
			__free_page(stack->page[--stack->nr]);
	}
	free_percpu(page_stacks);
	for (i = 0; i < ARRAY_SIZE(pools); i++) {
		mempool_destroy(pools[i].pages);
		mempool_destroy(pools[i].structs);
		pools[i].pages = NULL;
		pools[i].structs = NULL;
	}
}

/* Pages at hand, of the current processor. Interrupts off: buffers end in them. */
static struct page *page_take(void)
{
	struct page_stack *stack;
	struct page *page = NULL;
	unsigned long flags;

	local_irq_save(flags);
	stack = this_cpu_ptr(page_stacks);
	if (stack->nr)
		page = stack->page[--stack->nr];
	local_irq_restore(flags);
	return page;
}

static bool page_keep(struct page *page)
{
	struct page_stack *stack;
	unsigned long flags;
	bool kept;

	local_irq_save(flags);
	stack = this_cpu_ptr(page_stacks);
	kept = stack->nr < STACK_PAGES;
	if (kept)
		stack->page[stack->nr++] = page;
	local_irq_restore(flags);
	return kept;
}

/*
 * A page that the socket still references must not be reused: its content would change under a retransmission. The pool
 * comes first, so that what waits for it goes on.
 */
static void page_release(struct payload_pool *pool, struct page *page)
{
	if (page_ref_count(page) > 1)
		put_page(page);
	else if (READ_ONCE(pool->pages->curr_nr) < pool->nr_pages || !page_keep(page))
		mempool_free(page, pool->pages);
}

static void struct_free(struct braid_buffer *buffer)
{
	if (buffer->pooled)
		mempool_free(buffer, pools[buffer->use].structs);
	else
		kfree(buffer);
}

static void buffer_release(struct braid_buffer *buffer)
{
	struct bio *lender = buffer->lender;
	u32 i;

	for (i = 0; !lender && i < buffer->nr_vecs; i++)
		page_release(&pools[buffer->use], buffer->vec[i].bv_page);
	struct_free(buffer);
	if (lender)
		bio_endio(lender);
}

static struct braid_buffer *struct_alloc(u32 length_bytes, u32 nr_vecs, enum braid_payload_use use, gfp_t gfp)
{
	struct braid_buffer *buffer = kmalloc(struct_size(buffer, vec, nr_vecs), GFP_NOWAIT | __GFP_NOWARN);
	bool pooled = !buffer;

	if (pooled)
		buffer = mempool_alloc(pools[use].structs, gfp);
	if (!buffer)
		return NULL;
	refcount_set(&buffer->references, 1);
	buffer->length_bytes = length_bytes;
	buffer->sum_kind = WIRE_CHECKSUM_NONE;
	buffer->nr_vecs = 0;
	buffer->pooled = pooled;
	buffer->scarce = pooled;
	buffer->use = use;
	buffer->lender = NULL;
	return buffer;
}

static void add_page(struct braid_buffer *buffer, struct page *page)
{
	u32 done_bytes = buffer->nr_vecs * PAGE_SIZE;

	buffer->vec[buffer->nr_vecs++] = (struct bio_vec) {
		.bv_page = page,
		.bv_len = min_t(u32, PAGE_SIZE, buffer->length_bytes - done_bytes),
	};
}

struct braid_buffer *braid_buffer_alloc(u32 length_bytes, enum braid_payload_use use, gfp_t gfp)
{
	u32 nr_pages = DIV_ROUND_UP(length_bytes, PAGE_SIZE);
	struct braid_buffer *buffer = struct_alloc(length_bytes, nr_pages, use, gfp);
	struct page *page;

	if (!buffer)
		return NULL;
	while (buffer->nr_vecs < nr_pages) {
		page = page_take();
		if (!page)
			page = alloc_page(GFP_NOWAIT | __GFP_NOWARN);
		if (!page)
			break;
		add_page(buffer, page);
	}
	if (buffer->nr_vecs == nr_pages)
		return buffer;
	if (!gfpflags_allow_blocking(gfp)) {
		buffer_release(buffer);
		return NULL;
	}
	buffer->scarce = true;
	mutex_lock(&pools[use].mutex);
	while (buffer->nr_vecs < nr_pages)
		add_page(buffer, mempool_alloc(pools[use].pages, gfp));
	mutex_unlock(&pools[use].mutex);
	return buffer;
}

struct braid_buffer *braid_buffer_borrow(struct bio *bio, u32 alignment_mask)
{
	u32 nr_vecs = bio_segments(bio);
	struct braid_buffer *buffer;
	struct bvec_iter iter;
	struct bio_vec vec;

	if (nr_vecs > BUFFER_PAGES_MAX)
		return NULL;
	buffer = struct_alloc(bio->bi_iter.bi_size, nr_vecs, BRAID_PAYLOAD_SENT, GFP_NOIO);
	bio_for_each_segment(vec, bio, iter) {
		if (!sendpage_ok(vec.bv_page) || (vec.bv_offset | vec.bv_len) & alignment_mask) {
			struct_free(buffer);
			return NULL;
		}
		buffer->vec[buffer->nr_vecs++] = vec;
	}
	buffer->lender = bio;
	return buffer;
}

void braid_buffer_get(struct braid_buffer *buffer)
{
	refcount_inc(&buffer->references);
}

void braid_buffer_put(struct braid_buffer *buffer)
{
	if (buffer && refcount_dec_and_test(&buffer->references))
		buffer_release(buffer);
}

void braid_buffer_from_bio(struct braid_buffer *buffer, struct bio *bio)
{
	struct bvec_iter iter;
	struct bio_vec from;
	u32 offset_bytes = 0;

	bio_for_each_segment(from, bio, iter) {
		const u8 *source = bvec_kmap_local(&from);
		u32 done_bytes = 0;

		while (done_bytes < from.bv_len) {
			u32 at = offset_bytes % PAGE_SIZE;
			u32 part_bytes = min_t(u32, from.bv_len - done_bytes, PAGE_SIZE - at);
			u8 *to = kmap_local_page(buffer->vec[offset_bytes / PAGE_SIZE].bv_page);

			memcpy(to + at, source + done_bytes, part_bytes);
			kunmap_local(to);
			done_bytes += part_bytes;
			offset_bytes += part_bytes;
		}
		kunmap_local(source);
	}
}

void braid_buffer_to_bio(const struct braid_buffer *buffer, struct bio *bio)
{
	struct bvec_iter iter;
	struct bio_vec to;
	u32 offset_bytes = 0;

	bio_for_each_segment(to, bio, iter) {
		u8 *target = bvec_kmap_local(&to);
		u32 done_bytes = 0;

		while (done_bytes < to.bv_len) {
			u32 at = offset_bytes % PAGE_SIZE;
			u32 part_bytes = min_t(u32, to.bv_len - done_bytes, PAGE_SIZE - at);
			const u8 *from = kmap_local_page(buffer->vec[offset_bytes / PAGE_SIZE].bv_page);

			memcpy(target + done_bytes, from + at, part_bytes);
			kunmap_local(from);
			done_bytes += part_bytes;
			offset_bytes += part_bytes;
		}
		flush_dcache_page(to.bv_page);
		kunmap_local(target);
	}
}

static u32 part_crc(const struct braid_buffer *buffer, u32 offset_bytes, u32 length_bytes)
{
	struct bvec_iter iter;
	struct bio_vec part;
	u32 crc = 0;

	for_each_bvec(part, buffer->vec, iter, braid_buffer_part(buffer, offset_bytes, length_bytes)) {
		const u8 *from = bvec_kmap_local(&part);

		crc = core_crc32c(crc, from, part.bv_len);
		kunmap_local(from);
	}
	return crc;
}

static u32 part_xxh(const struct braid_buffer *buffer, u32 offset_bytes, u32 length_bytes)
{
	struct xxh64_state state;
	struct bvec_iter iter;
	struct bio_vec part;

	xxh64_reset(&state, 0);
	for_each_bvec(part, buffer->vec, iter, braid_buffer_part(buffer, offset_bytes, length_bytes)) {
		const u8 *from = bvec_kmap_local(&part);

		xxh64_update(&state, from, part.bv_len);
		kunmap_local(from);
	}
	return (u32)xxh64_digest(&state);
}

u32 braid_buffer_sum(struct braid_buffer *buffer, u32 offset_bytes, u32 length_bytes, enum wire_checksum kind)
{
	bool whole = !offset_bytes && length_bytes == buffer->length_bytes;
	u32 sum;

	if (whole && buffer->sum_kind == kind)
		return buffer->sum;
	if (!IS_REACHABLE(CONFIG_XXHASH) || kind == WIRE_CHECKSUM_CRC32C)	/* the other is not offered then */
		sum = part_crc(buffer, offset_bytes, length_bytes);
	else
		sum = part_xxh(buffer, offset_bytes, length_bytes);
	if (whole) {
		buffer->sum = sum;
		buffer->sum_kind = kind;
	}
	return sum;
}
