// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that the core of one volume works in: activity log, and dirty maps as they come into use [D3] [L4].
 *
 * A slot, that is the map of a peer and its newest greeting, has memory when the superblock names a node for it, else from the
 * first event on that may take the slot: the core says which (volume_slot_lacking()).
 * Pages of the maps are allocated ahead of their use: one for each region in the activity log, each of which becomes dirty when a
 * peer is lost, and some. Where there is none, a map says FULL, which claims more than is true. They are kept until detach.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include "device.h"

enum {
	POOL_PAGES_MAX = 10000,		/* 40 MiB of dirty bits in memory; more is FULL entries [D3] */
};

static struct kmem_cache *greet_cache;	/* kmalloc() would take 4 KiB for each */

static u32 entries_needed(const struct braid_volume *volume)
{
	return dirty_entries_needed(volume->core.super.volume_bytes, volume->core.super.granule_bytes);
}

/* Not kmalloc() for what is large: it takes powers of two. The refusal says it when there is no memory. */
static void *array_alloc(size_t nr, size_t bytes)
{
	gfp_t gfp = GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN;

	return nr * bytes <= KMALLOC_MAX_CACHE_SIZE ? kmalloc_array(nr, bytes, gfp) : __vmalloc(array_size(nr, bytes), gfp);
}

/* ---- pages ---- */

/* Under volume->lock. */
static bool page_wanted(const struct braid_volume *volume, u32 nr_ahead)
{
	const struct dirty_pool *pool = &volume->memory.pool;
	u32 nr_entries = entries_needed(volume), nr_slots = volume->memory.nr_slots;

	/* The page that each map keeps for itself is all that a map of one entry needs. */
	return nr_entries > 1 && pool->nr_pages < min_t(u32, nr_slots * nr_entries, POOL_PAGES_MAX) + nr_slots &&
	       pool->nr_free < volume->core.log.nr_used + nr_ahead;
}

void braid_memory_pages(struct braid_volume *volume, u32 nr_ahead, gfp_t gfp)
{
	struct dirty_page *page = NULL;
	bool wanted;

	for (;;) {
		spin_lock_irq(&volume->lock);
		wanted = page_wanted(volume, nr_ahead);
		if (wanted && page) {
			dirty_pool_add(&volume->memory.pool, page);
			page = NULL;
			wanted = page_wanted(volume, nr_ahead);
		}
		spin_unlock_irq(&volume->lock);
		if (wanted && !page)
			page = kmalloc(sizeof(*page), gfp | __GFP_NOWARN);
		if (!wanted || !page)
			break;
	}
	kfree(page);
}

/* ---- slots ---- */

/* With the page that its map keeps for itself, and the peer's greeting. Sleeps; 0 or -ENOMEM. */
static int slot_add(struct braid_volume *volume, u32 slot, gfp_t gfp)
{
	struct dirty_entry *entries = kvcalloc(entries_needed(volume), sizeof(*entries), gfp);
	struct dirty_page *page = kmalloc(sizeof(*page), gfp);
	struct wire_greet *facts = kmem_cache_alloc(greet_cache, gfp);

	if (!entries || !page || !facts) {
		kvfree(entries);
		kfree(page);
		if (facts)
			kmem_cache_free(greet_cache, facts);
		return -ENOMEM;
	}
	spin_lock_irq(&volume->lock);
	volume->memory.entries[slot] = entries;
	volume->memory.facts[slot] = facts;
	volume->memory.nr_slots++;
	dirty_pool_add(&volume->memory.pool, page);
	volume_slot_give(&volume->core, slot, &volume->memory.pool, entries, facts);
	spin_unlock_irq(&volume->lock);
	return 0;
}

static int slots_add(struct braid_volume *volume, const struct volume_event *event, gfp_t gfp)
{
	int error = 0;
	u32 slot;

	/* Only this task takes slots, so what the core says stays so without the lock. */
	while (!error && (slot = volume_slot_lacking(&volume->core, event)) < REPLICAS_MAX)
		error = slot_add(volume, slot, gfp);
	return error;
}

void braid_memory_slots(struct braid_volume *volume, const struct volume_event *event)
{
	slots_add(volume, event, GFP_NOIO | __GFP_NOFAIL);
}

/* ---- life ---- */

int braid_memory_init(void)
{
	greet_cache = kmem_cache_create("braid_greet", sizeof(struct wire_greet), 0, 0, NULL);
	return greet_cache ? 0 : -ENOMEM;
}

void braid_memory_exit(void)
{
	kmem_cache_destroy(greet_cache);
}

enum braid_error braid_memory_create(struct braid_volume *volume, const struct ondisk_super *super)
{
	u32 nr_entries = dirty_entries_needed(super->volume_bytes, super->granule_bytes);
	u32 nr_pages_max = min_t(u32, nr_entries * REPLICAS_MAX, POOL_PAGES_MAX) + REPLICAS_MAX;

	volume->memory.slots = array_alloc(actlog_slots_needed(super->actlog_parts, super->volume_bytes),
					    sizeof(*volume->memory.slots));
	volume->memory.hash = array_alloc(actlog_hash_size(super->actlog_parts, super->volume_bytes),
					   sizeof(*volume->memory.hash));
	volume->memory.pages = array_alloc(nr_pages_max, sizeof(*volume->memory.pages));
	volume->memory.next_free = array_alloc(nr_pages_max, sizeof(*volume->memory.next_free));
	volume->body = kzalloc(sizeof(*volume->body), GFP_KERNEL);
	if (!volume->memory.slots || !volume->memory.hash || !volume->memory.pages || !volume->memory.next_free || !volume->body)
		return BRAID_ERROR_MEMORY;
	dirty_pool_init(&volume->memory.pool, NULL, volume->memory.next_free, 0);
	volume->memory.pool.more = volume->memory.pages;
	actlog_init(&volume->core.log, volume->memory.slots, volume->memory.hash, super->actlog_parts,
		    super->volume_bytes);
	volume_init(&volume->core, super, super->node_id, &volume->body->greet);
	return slots_add(volume, NULL, GFP_KERNEL | __GFP_NOWARN) ? BRAID_ERROR_MEMORY : BRAID_OK;
}

void braid_memory_free(struct braid_volume *volume)
{
	u32 i;

	for (i = 0; i < volume->memory.pool.nr_pages; i++)
		kfree(volume->memory.pages[i]);
	for (i = 0; i < REPLICAS_MAX; i++) {
		kvfree(volume->memory.entries[i]);
		if (volume->memory.facts[i])
			kmem_cache_free(greet_cache, volume->memory.facts[i]);
	}
	kfree(volume->body);
	kvfree(volume->memory.pages);
	kvfree(volume->memory.next_free);
	kvfree(volume->memory.hash);
	kvfree(volume->memory.slots);
}
