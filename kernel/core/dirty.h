/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The dirty map of one absent or returning replica: the granules that it lacks [D1] [D2] [D3].
 *
 * Two levels. Per page of DIRTY_PAGE_BITS granules one entry: CLEAN (no page), FULL (no page: every
 * granule is dirty) or a page of the pool. Marking never fails: without a free page the entry becomes
 * FULL, which claims more than is true and therefore loses nothing.
 *
 * On disk (ondisk.h): index blocks with two bits a page (clean, full, mixed) and one block for each
 * mixed page. A page block is written before the index that says "mixed"; an index that goes to clean
 * or full needs no page write. An unreadable page counts as full, an unreadable index block as all full.
 *
 * Data plane: call under the volume's lock (spinlock in the module). Bits are granule numbers; ranges are
 * bytes and are widened to whole granules when marking, narrowed when clearing.
 */
#ifndef BRAID_CORE_DIRTY_H
#define BRAID_CORE_DIRTY_H

#include "limits.h"

struct dirty_page {
	u8 bits[DIRTY_PAGE_BYTES];	/* bit n: byte n / 8, bit n % 8; same layout on disk */
};

/* One per volume, shared by its maps. Memory belongs to the caller. */
struct dirty_pool {
	struct dirty_page *pages;	/* the first nr_first */
	struct dirty_page **more;	/* those that came later, by index - nr_first; or NULL */
	u32 *next_free;		/* free list by index; DIRTY_NO_PAGE ends it */
	u32 nr_first;
	u32 nr_pages;
	u32 first_free;
	u32 nr_free;
};

#define DIRTY_NO_PAGE 0xffffffffu

enum dirty_entry_state {
	DIRTY_CLEAN,
	DIRTY_FULL,
	DIRTY_MIXED,
};

struct dirty_entry {
	u32 page;		/* index into the pool when DIRTY_MIXED; DIRTY_NO_PAGE: not loaded yet, counts as full */
	u32 nr_set : 16;	/* bits set in the page when DIRTY_MIXED: 1..bits-1 (all of them: not loaded yet) */
	u32 state : 2;		/* enum dirty_entry_state */
	u32 unsaved : 1;	/* differs from what is on disk: page, index or both */
	u32 saving : 1;		/* a save is under way, started at the last dirty_save_next */
	u32 saved_state : 2;	/* what the index on disk says: enum dirty_entry_state */
	u32 save_state : 2;	/* while saving: what the index is to say */
	u32 index_unsure : 1;	/* the index on disk may say more than saved_state: write it with the next save */
};

struct dirty_map {
	u64 nr_granules;	/* bits of the map */
	u64 nr_set;		/* bits set; 0 is the proof-only goal [D2] */
	u64 nr_marks;		/* calls that marked something, whether it was marked before or not: dirty_clear_proven() */
	u64 volume_bytes;
	u32 granule_shift;	/* log2 of the granule's bytes */
	u32 nr_entries;		/* pages of the map */
	u32 nr_unsaved;		/* entries with .unsaved */
	u32 reserve_page;	/* page kept for dirty_clear() (map of one entry: for all), or DIRTY_NO_PAGE while it is in use */
	struct dirty_entry *entries;	/* nr_entries, memory of the caller */
	struct dirty_pool *pool;
};

/* Granule for a volume: smallest power of two in bounds with at most DIRTY_BITS_WANTED_MAX bits. [D4] */
u32 dirty_granule_bytes(u64 volume_bytes);
/* Number of entries (pages) that a map of such a volume has. */
u32 dirty_entries_needed(u64 volume_bytes, u32 granule_bytes);

/* @pages and @next_free: arrays of @nr_pages. */
void dirty_pool_init(struct dirty_pool *pool, struct dirty_page *pages, u32 *next_free, u32 nr_pages);
/* One page more, which the pool keeps. @next_free and @more, which the caller has set, have room for it. */
void dirty_pool_add(struct dirty_pool *pool, struct dirty_page *page);
/* All clean, all saved; takes the map's reserve page, of which one has to be free. @entries: array of dirty_entries_needed(). */
void dirty_init(struct dirty_map *map, struct dirty_pool *pool, struct dirty_entry *entries,
		u64 volume_bytes, u32 granule_bytes);
/* Give every page back to the pool, the reserve too. The map must not be used afterwards. */
void dirty_release(struct dirty_map *map);

/* Mark a byte range (widened to granules, clipped to the volume). Never fails. */
void dirty_mark(struct dirty_map *map, u64 start_bytes, u64 length_bytes);
void dirty_mark_all(struct dirty_map *map);
/*
 * [D2] Clear a byte range (only granules that lie wholly inside, the volume's last granule counting as
 * whole). The caller holds the proof. A FULL entry that is cleared in part takes a page (see below).
 * Returns the number of granules that are now clear and were not before.
 */
u64 dirty_clear(struct dirty_map *map, u64 start_bytes, u64 length_bytes);
/*
 * The same by a proof that takes time: content that was read when map->nr_marks was @marks has reached the other replica and is
 * stable there. Whatever was marked since may be content that it lacks; which of it lies in this range is not known, so
 * nothing is cleared then.
 */
u64 dirty_clear_proven(struct dirty_map *map, u64 start_bytes, u64 length_bytes, u64 marks);
void dirty_clear_all(struct dirty_map *map);
/*
 * Clearing never stops for want of memory: dirty_clear() on a FULL entry without a free page takes the map's
 * reserve; if that is in use, the MIXED entry of the same map with the highest offset becomes FULL (more is
 * claimed, nothing is lost) and its page is taken. Only an entry cleared by the same call is never robbed: the
 * part of the range that would need it stays dirty. A freed page refills the reserve first. The pool must have
 * at least one page for each map.
 */

bool dirty_test(const struct dirty_map *map, u64 offset_bytes);
/* Any granule dirty in the range? */
bool dirty_any(const struct dirty_map *map, u64 start_bytes, u64 length_bytes);
/*
 * Next dirty run at or after @from_bytes: true and *@start_bytes, *@length_bytes (clipped to the volume's end and
 * to @limit_bytes, which is a multiple of 4096 and at least 4096; a run may start inside a granule when
 * @from_bytes does). False when none.
 */
bool dirty_next(const struct dirty_map *map, u64 from_bytes, u64 limit_bytes, u64 *start_bytes,
		u64 *length_bytes);
/* Does what the map says of the range wait for a save, or for the end of one? */
bool dirty_unsaved(const struct dirty_map *map, u64 start_bytes, u64 length_bytes);
u64 dirty_bytes(const struct dirty_map *map);	/* nr_set granules in bytes, clipped to the volume */

/*
 * Saving. dirty_save_next() returns the next entry at or after @from whose disk copy is out of date, marks it
 * "saving" and clears "unsaved" (a later mark sets it again); if the entry is MIXED, the page's bits are copied
 * to @bits (DIRTY_PAGE_BYTES) and *@page_write is true. Returns nr_entries when there is none left. An entry that
 * is being saved is not returned again before its dirty_save_end().
 * When its page is durable, the glue writes the index block(s) from dirty_index_encode() if *@index_write was
 * true for any entry of that block; dirty_save_end() then records the outcome (failed: unsaved again).
 * Bits set after dirty_save_next() are saved by a later save only: they need the activity log until the entry is
 * neither unsaved nor saving.
 */
u32 dirty_save_next(struct dirty_map *map, u32 from, u8 *bits, bool *page_write, bool *index_write);
void dirty_save_end(struct dirty_map *map, u32 entry, bool ok);
/*
 * Body (META_BODY_BYTES) of index block @block: 2 bits an entry, enum dirty_entry_state. Call it only when every
 * page that dirty_save_next() handed out for entries of this block, and that has not ended, is durable. An entry
 * that is not being saved keeps what the disk says, except that dirty in memory and clean on disk becomes FULL:
 * true enough for a crash.
 */
void dirty_index_encode(const struct dirty_map *map, u32 block, u8 *body);
/*
 * Loading: one index block; dirty_load_next_mixed() then names each MIXED entry whose page is wanted and the glue
 * loads it with dirty_load_page(); bits == NULL (unreadable) makes it FULL. body == NULL: all FULL.
 * Values that no writer produces (3) count as FULL. Bits beyond the volume's end are ignored. Until its page is
 * loaded a MIXED entry behaves as FULL; a mark or clear makes it FULL for good and a page that comes later is ignored.
 */
void dirty_load_index(struct dirty_map *map, u32 block, const u8 *body);
u32 dirty_load_next_mixed(const struct dirty_map *map, u32 from);	/* nr_entries when none */
void dirty_load_page(struct dirty_map *map, u32 entry, const u8 *bits);

#endif
