// SPDX-License-Identifier: GPL-2.0
/*
 * The dirty map against a naive model (one byte a granule), in memory, through exhaustion of the pool and through
 * crashes between any two block writes. Keeps [D1] [D2] [D3] [I5] [I17]. Replay with SEED=<number>.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "../../kernel/core/dirty.h"

enum {
	GRANULE = 4096,
	MODEL_BITS_MAX = 4 * DIRTY_PAGE_BITS,
	MODEL_ENTRIES_MAX = 4,
	POOL_MAX = 16,
	INDEX_BLOCKS_MAX = 3,
};

#define PAGE_SPAN_BYTES ((u64)DIRTY_PAGE_BITS * GRANULE)

/* One map with its pool. */
struct bed {
	struct dirty_page pages[POOL_MAX];
	u32 next_free[POOL_MAX];
	struct dirty_pool pool;
	struct dirty_entry entries[MODEL_ENTRIES_MAX];
	struct dirty_map map;
};

static struct bed bed, bed_loaded;
static u8 truth[MODEL_BITS_MAX];	/* granules that are dirty indeed */
static u8 seen[MODEL_BITS_MAX];		/* what a map claims */
static u64 random_state;

static u64 random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static u64 below(u64 limit)
{
	return random_next() % limit;
}

static void random_start(void)
{
	const char *seed = getenv("SEED");

	random_state = seed ? strtoull(seed, NULL, 0) : (u64)time(NULL) * 2 + 1;
	if (!random_state)
		random_state = 1;
	printf("SEED=%llu\n", (unsigned long long)random_state);
}

static void bed_start(struct bed *b, u64 volume_bytes, u32 granule_bytes, u32 nr_pages)
{
	assert_true(dirty_entries_needed(volume_bytes, granule_bytes) <= MODEL_ENTRIES_MAX);
	dirty_pool_init(&b->pool, b->pages, b->next_free, nr_pages);
	dirty_init(&b->map, &b->pool, b->entries, volume_bytes, granule_bytes);
}

/* Fill seen[] by walking the runs, and check every count of the map on the way. */
static void bed_read(const struct bed *b)
{
	const struct dirty_map *map = &b->map;
	u64 at = 0, start, length, bytes = 0, nr = 0;
	u64 limit = below(2) ? ~0ull : 4096 * (1 + below(100000));
	u32 i, nr_unsaved = 0, nr_pages = b->pool.nr_free + (map->reserve_page != DIRTY_NO_PAGE);

	memset(seen, 0, sizeof(seen));
	while (dirty_next(map, at, limit, &start, &length)) {
		u64 granule = start >> map->granule_shift;

		assert_true(start >= at && length > 0 && length <= limit);
		assert_true(start + length <= map->volume_bytes);
		for (; granule << map->granule_shift < start + length; granule++) {
			nr += !seen[granule];
			seen[granule] = 1;
		}
		bytes += length;
		at = start + length;
	}
	assert_int_equal(nr, map->nr_set);
	assert_int_equal(bytes, dirty_bytes(map));
	for (i = 0; i < map->nr_entries; i++) {
		nr_unsaved += map->entries[i].unsaved;
		nr_pages += map->entries[i].page != DIRTY_NO_PAGE;
	}
	assert_int_equal(nr_unsaved, map->nr_unsaved);
	assert_int_equal(nr_pages, b->pool.nr_pages);
}

static void check_same(const struct bed *b)
{
	bed_read(b);
	assert_memory_equal(seen, truth, b->map.nr_granules);
}

static void check_superset(const struct bed *b)
{
	u64 i;

	bed_read(b);
	for (i = 0; i < b->map.nr_granules; i++)
		assert_true(seen[i] >= truth[i]);
}

static void test_granule(void **state)
{
	(void)state;
	assert_int_equal(dirty_granule_bytes(4096), 4096);
	assert_int_equal(dirty_granule_bytes(64ull << 30), 4096);
	assert_int_equal(dirty_granule_bytes((64ull << 30) + 4096), 8192);
	assert_int_equal(dirty_granule_bytes(16ull << 40), GRANULE_BYTES_MAX);
	assert_int_equal(dirty_granule_bytes(VOLUME_BYTES_MAX), GRANULE_BYTES_MAX);
	assert_int_equal(dirty_entries_needed(PAGE_SPAN_BYTES, GRANULE), 1);
	assert_int_equal(dirty_entries_needed(PAGE_SPAN_BYTES + 1, GRANULE), 2);
	assert_int_equal(dirty_entries_needed(512, GRANULE), 1);
}

/* B12: sizes at which other bitmaps failed. */
static void test_sizes(void **state)
{
	static const u64 sizes[] = {
		512, 4096, 8192, PAGE_SPAN_BYTES, PAGE_SPAN_BYTES - 4096, PAGE_SPAN_BYTES + 4096,
		2 * PAGE_SPAN_BYTES, 128ull << 20, 256ull << 20, 384ull << 20,
		PAGE_SPAN_BYTES + 512, 2 * PAGE_SPAN_BYTES - 512, 4096 + 512, 3 * PAGE_SPAN_BYTES + 12288,
	};
	u32 granule_bytes, i;
	u64 start, length;

	(void)state;
	for (granule_bytes = GRANULE; granule_bytes <= 65536; granule_bytes *= 16) {
		for (i = 0; i < CORE_ARRAY_SIZE(sizes); i++) {
			struct dirty_map *map = &bed.map;
			u64 size = sizes[i], last = size - 1;
			u64 last_granule = last / granule_bytes * granule_bytes;

			bed_start(&bed, size, granule_bytes, 8);
			dirty_mark(map, last, 1);
			assert_int_equal(map->nr_set, 1);
			assert_int_equal(dirty_bytes(map), size - last_granule);
			assert_true(dirty_next(map, 0, ~0ull, &start, &length));
			assert_int_equal(start, last_granule);
			assert_int_equal(length, size - last_granule);
			assert_false(dirty_test(map, size));
			assert_false(dirty_any(map, size, 4096));
			assert_false(dirty_next(map, size, 4096, &start, &length));
			dirty_mark(map, size, ~0ull);
			dirty_mark(map, 0, 0);
			assert_int_equal(map->nr_set, 1);
			assert_int_equal(dirty_clear(map, last_granule, size - last_granule), 1);
			assert_int_equal(map->nr_set, 0);
			assert_int_equal(map->entries[map->nr_entries - 1].state, DIRTY_CLEAN);

			dirty_mark(map, 0, ~0ull);
			assert_int_equal(dirty_bytes(map), size);
			assert_int_equal(map->nr_set, map->nr_granules);
			assert_true(dirty_next(map, 0, ~0ull, &start, &length));
			assert_int_equal(length, size);
			if (size > granule_bytes)
				assert_int_equal(dirty_clear(map, 1, granule_bytes), granule_bytes + 1 >= size);
			assert_int_equal(dirty_clear(map, 0, ~0ull) > 0, 1);
			assert_int_equal(map->nr_set, 0);
			dirty_mark_all(map);
			assert_int_equal(dirty_bytes(map), size);
			dirty_clear_all(map);
			assert_int_equal(dirty_bytes(map), 0);
			assert_int_equal(bed.pool.nr_free, 7);
			dirty_release(map);
			assert_int_equal(bed.pool.nr_free, 8);
		}
	}
}

static void test_next_inside_granule(void **state)
{
	u64 start, length;

	(void)state;
	bed_start(&bed, 1 << 20, 65536, 4);
	dirty_mark(&bed.map, 70000, 1);
	assert_true(dirty_next(&bed.map, 65536 + 4096, 8192, &start, &length));
	assert_int_equal(start, 65536 + 4096);
	assert_int_equal(length, 8192);
	assert_true(dirty_next(&bed.map, 2 * 65536 - 4096, 8192, &start, &length));
	assert_int_equal(length, 4096);
	assert_false(dirty_next(&bed.map, 2 * 65536, 8192, &start, &length));
}

/* A range that comes near entry borders often. */
static void random_range(u64 volume_bytes, u64 *start, u64 *length)
{
	u64 end;

	*start = below(3) ? below(volume_bytes) : below(4) * PAGE_SPAN_BYTES;
	if (below(4) == 0 && *start >= GRANULE)
		*start -= GRANULE;
	switch (below(5)) {
	case 0:
		*length = below(64 * GRANULE);
		break;
	case 1:
		*length = 1 + below(512);
		break;
	case 2:
		*length = below(volume_bytes);
		break;
	case 3:
		*length = PAGE_SPAN_BYTES;
		break;
	default:
		end = (*start / PAGE_SPAN_BYTES + 1) * PAGE_SPAN_BYTES;
		*length = end - *start;
	}
}

static void truth_mark(u64 volume_bytes, u64 start, u64 length)
{
	u64 at;

	for (at = start / GRANULE * GRANULE; length && at < start + length && at < volume_bytes; at += GRANULE)
		truth[at / GRANULE] = 1;
}

/* Returns how many changed in the truth. */
static u64 truth_clear(u64 volume_bytes, u64 start, u64 length)
{
	u64 at, nr = 0;

	for (at = (start + GRANULE - 1) / GRANULE * GRANULE; at < volume_bytes; at += GRANULE) {
		u64 end = at + GRANULE < volume_bytes ? at + GRANULE : volume_bytes;

		if (end > start + length)
			break;
		nr += truth[at / GRANULE];
		truth[at / GRANULE] = 0;
	}
	return nr;
}

static void random_operation(struct dirty_map *map, bool exact)
{
	u64 start, length, nr, cleared;

	random_range(map->volume_bytes, &start, &length);
	switch (below(40)) {
	case 0:
		dirty_mark_all(map);
		memset(truth, 1, map->nr_granules);
		break;
	case 1:
		dirty_clear_all(map);
		memset(truth, 0, map->nr_granules);
		break;
	default:
		if (below(2)) {
			dirty_mark(map, start, length);
			truth_mark(map->volume_bytes, start, length);
		} else {
			nr = truth_clear(map->volume_bytes, start, length);
			cleared = dirty_clear(map, start, length);
			if (exact)
				assert_int_equal(cleared, nr);
		}
	}
}

static void test_random_exact(void **state)
{
	static const u64 sizes[] = { 2 * PAGE_SPAN_BYTES, 3 * PAGE_SPAN_BYTES + 5 * GRANULE, PAGE_SPAN_BYTES - 512 };
	u32 i, n;

	(void)state;
	random_start();
	for (n = 0; n < CORE_ARRAY_SIZE(sizes); n++) {
		bed_start(&bed, sizes[n], GRANULE, POOL_MAX);
		memset(truth, 0, sizeof(truth));
		for (i = 0; i < 1500; i++) {
			u64 at = below(sizes[n]), length = 1 + below(100 * GRANULE), g;
			bool any = false;

			random_operation(&bed.map, true);
			assert_int_equal(dirty_test(&bed.map, at), truth[at / GRANULE]);
			for (g = at / GRANULE; g * GRANULE < at + length && g < bed.map.nr_granules; g++)
				any |= truth[g];
			assert_int_equal(dirty_any(&bed.map, at, length), any);
			if (i % 4 == 0)
				check_same(&bed);
		}
	}
}

/* [D1] Marking without memory claims more, never less; what clear returns is what it cleared. */
static void test_random_small_pool(void **state)
{
	u32 nr_pages, i;

	(void)state;
	random_start();
	for (nr_pages = 1; nr_pages <= 3; nr_pages++) {
		bed_start(&bed, 3 * PAGE_SPAN_BYTES + 5 * GRANULE, GRANULE, nr_pages);
		memset(truth, 0, sizeof(truth));
		for (i = 0; i < 1500; i++) {
			random_operation(&bed.map, false);
			check_superset(&bed);
		}
		dirty_release(&bed.map);
		assert_int_equal(bed.pool.nr_free, nr_pages);
	}
}

/* [D2] With one page only, clearing piece by piece from start to end empties the map. */
static void test_clearing_never_stops_for_memory(void **state)
{
	u64 start, length, at, size = 3 * PAGE_SPAN_BYTES + 5 * GRANULE;

	(void)state;
	bed_start(&bed, size, GRANULE, 1);
	dirty_mark(&bed.map, 4096, 4096);
	assert_int_equal(bed.entries[0].state, DIRTY_FULL);	/* the reserve is not for marking */
	dirty_mark_all(&bed.map);
	assert_int_equal(dirty_clear(&bed.map, 2 * PAGE_SPAN_BYTES, GRANULE), 1);
	assert_int_equal(bed.entries[2].state, DIRTY_MIXED);
	assert_int_equal(dirty_clear(&bed.map, PAGE_SPAN_BYTES, GRANULE), 1);	/* robs the higher one */
	assert_int_equal(bed.entries[1].state, DIRTY_MIXED);
	assert_int_equal(bed.entries[2].state, DIRTY_FULL);
	assert_int_equal(dirty_clear(&bed.map, 2 * PAGE_SPAN_BYTES, GRANULE), 1);	/* and the lower one */
	assert_int_equal(bed.entries[1].state, DIRTY_FULL);
	for (at = 0; dirty_next(&bed.map, at, 131072, &start, &length); at = start + length)
		assert_true(dirty_clear(&bed.map, start, length) > 0);
	assert_int_equal(bed.map.nr_set, 0);
	assert_int_not_equal(bed.map.reserve_page, DIRTY_NO_PAGE);

	/* A range over a border cannot have both: the second half stays, the count is right. */
	dirty_mark_all(&bed.map);
	assert_int_equal(dirty_clear(&bed.map, PAGE_SPAN_BYTES - GRANULE, 3 * GRANULE), 1);
	assert_int_equal(bed.map.nr_set, bed.map.nr_granules - 1);
}

/* [D2] A proof says nothing about what was marked since its data was read, be it dirty already. */
/* A map of one entry needs no page but the one that it keeps for itself. */
static void test_one_entry_one_page_D3(void **state)
{
	u32 i;

	(void)state;
	for (i = 0; i < 3; i++) {
		bed_start(&bed, 4096 * GRANULE, GRANULE, 1);
		assert_int_equal(bed.pool.nr_free, 0);
		dirty_mark(&bed.map, 5 * GRANULE, GRANULE);
		assert_int_equal(bed.map.nr_set, 1);
		dirty_mark_all(&bed.map);
		dirty_clear(&bed.map, 7 * GRANULE, GRANULE);
		assert_int_equal(bed.map.nr_set, 4095);
		dirty_clear_all(&bed.map);
		assert_int_equal(bed.map.nr_set, 0);
		dirty_mark(&bed.map, 9 * GRANULE, 2 * GRANULE);
		dirty_clear(&bed.map, 9 * GRANULE, GRANULE);
		assert_int_equal(bed.map.nr_set, 1);
		dirty_release(&bed.map);
		assert_int_equal(bed.pool.nr_free, 1);
	}
}

static void test_a_mark_ends_a_proof(void **state)
{
	u64 marks;

	(void)state;
	bed_start(&bed, 64 * GRANULE, GRANULE, 2);
	dirty_mark(&bed.map, 0, 8 * GRANULE);
	marks = bed.map.nr_marks;
	assert_int_equal(dirty_clear_proven(&bed.map, 0, GRANULE, marks), 1);
	dirty_mark(&bed.map, GRANULE, GRANULE);
	assert_int_equal(dirty_clear_proven(&bed.map, GRANULE, 7 * GRANULE, marks), 0);
	assert_int_equal(bed.map.nr_set, 7);
	marks = bed.map.nr_marks;
	dirty_mark(&bed.map, 0, 0);	/* nothing is marked */
	assert_int_equal(dirty_clear_proven(&bed.map, GRANULE, 3 * GRANULE, marks), 3);
	dirty_mark_all(&bed.map);
	assert_int_equal(dirty_clear_proven(&bed.map, 0, 64 * GRANULE, marks), 0);
}

/* [D3] The largest volume costs no page while clean or wholly dirty. */
static void test_one_pebibyte(void **state)
{
	u32 nr = dirty_entries_needed(VOLUME_BYTES_MAX, GRANULE_BYTES_MAX);
	struct dirty_entry *entries = calloc(nr, sizeof(*entries));
	u8 body[META_BODY_BYTES], bits[DIRTY_PAGE_BYTES];
	clock_t begun = clock();
	bool page_write, index_write;
	u64 start, length;
	u32 block, round, e;

	(void)state;
	assert_non_null(entries);
	assert_true(nr <= INDEX_BLOCKS_MAX * DIRTY_INDEX_ENTRIES);
	for (round = 0; round < 2; round++) {
		dirty_pool_init(&bed.pool, bed.pages, bed.next_free, 2);
		dirty_init(&bed.map, &bed.pool, entries, VOLUME_BYTES_MAX, GRANULE_BYTES_MAX);
		memset(body, round ? 0x55 : 0, sizeof(body));
		for (block = 0; block < INDEX_BLOCKS_MAX; block++)
			dirty_load_index(&bed.map, block, body);
		assert_int_equal(dirty_bytes(&bed.map), round ? VOLUME_BYTES_MAX : 0);
		assert_int_equal(dirty_load_next_mixed(&bed.map, 0), nr);
		assert_int_equal(bed.map.nr_unsaved, 0);
		assert_int_equal(dirty_next(&bed.map, 0, ~0ull, &start, &length), round);
	}
	assert_int_equal(length, VOLUME_BYTES_MAX);
	assert_int_equal(dirty_clear(&bed.map, 1, VOLUME_BYTES_MAX - 2), (1 << 30) - 2);
	for (e = 0; (e = dirty_save_next(&bed.map, e, bits, &page_write, &index_write)) < nr; e++)
		dirty_save_end(&bed.map, e, true);
	assert_true(clock() - begun < CLOCKS_PER_SEC);
	free(entries);
}

static void test_load_errors(void **state)
{
	u8 body[META_BODY_BYTES] = { DIRTY_MIXED | DIRTY_MIXED << 2 | 3 << 4 | DIRTY_CLEAN << 6 };
	u8 bits[DIRTY_PAGE_BYTES] = { 0 };

	(void)state;
	bed_start(&bed, 3 * PAGE_SPAN_BYTES + 5 * GRANULE, GRANULE, 8);
	dirty_load_index(&bed.map, 0, body);
	assert_int_equal(bed.map.nr_set, 3 * DIRTY_PAGE_BITS);
	assert_true(dirty_test(&bed.map, 0));		/* not loaded yet: full */
	assert_int_equal(dirty_load_next_mixed(&bed.map, 0), 0);
	dirty_load_page(&bed.map, 0, NULL);
	assert_int_equal(bed.entries[0].state, DIRTY_FULL);
	assert_int_equal(bed.entries[2].state, DIRTY_FULL);
	assert_int_equal(dirty_load_next_mixed(&bed.map, 0), 1);
	dirty_mark(&bed.map, PAGE_SPAN_BYTES, 1);	/* marked before its page came: full for good */
	dirty_load_page(&bed.map, 1, bits);
	assert_true(dirty_test(&bed.map, PAGE_SPAN_BYTES));
	assert_int_equal(dirty_load_next_mixed(&bed.map, 0), 4);

	bed_start(&bed, 3 * PAGE_SPAN_BYTES + 5 * GRANULE, GRANULE, 8);
	dirty_load_index(&bed.map, 0, NULL);
	assert_int_equal(bed.map.nr_set, bed.map.nr_granules);
	assert_int_equal(bed.map.nr_unsaved, 4);	/* to be repaired on disk */

	/* Bits beyond the end; a page without any bit. */
	bed_start(&bed, PAGE_SPAN_BYTES + 5 * GRANULE, GRANULE, 8);
	memset(body, 0xaa, sizeof(body));
	dirty_load_index(&bed.map, 0, body);
	dirty_load_page(&bed.map, 0, bits);
	bits[0] = 0xf1;
	bits[100] = 1;
	dirty_load_page(&bed.map, 1, bits);
	assert_int_equal(bed.map.nr_set, 2);
	assert_int_equal(bed.entries[0].state, DIRTY_CLEAN);
	assert_int_equal(dirty_clear(&bed.map, PAGE_SPAN_BYTES, 5 * GRANULE), 2);
	assert_int_equal(bed.map.nr_set, 0);
	assert_int_equal(bed.pool.nr_free, 7);
}

/* The disk of the crash test: blocks are written whole or torn (unreadable). */
static struct {
	u8 index[META_BODY_BYTES];
	bool index_torn;
	u8 page[MODEL_ENTRIES_MAX][DIRTY_PAGE_BYTES];
	bool page_torn[MODEL_ENTRIES_MAX];
	u8 durable[MODEL_BITS_MAX];	/* granules that a completed save contains, and not cleared since */
	u8 saving[MODEL_BITS_MAX];	/* truth at dirty_save_next() of entries under way */
} disk;

static void disk_load(struct bed *b, u64 volume_bytes, u32 nr_pages)
{
	u32 e;

	bed_start(b, volume_bytes, GRANULE, nr_pages);
	dirty_load_index(&b->map, 0, disk.index_torn ? NULL : disk.index);
	for (e = 0; (e = dirty_load_next_mixed(&b->map, e)) < b->map.nr_entries; e++)
		dirty_load_page(&b->map, e, disk.page_torn[e] ? NULL : disk.page[e]);
	assert_int_equal(dirty_load_next_mixed(&b->map, 0), b->map.nr_entries);
}

static void forget_cleared(u64 nr_granules)
{
	u64 i;

	for (i = 0; i < nr_granules; i++) {
		disk.durable[i] &= truth[i];
		disk.saving[i] &= truth[i];
	}
}

/* What a crash at this moment would leave must contain everything that was saved. [I17] */
static void check_crash(u64 volume_bytes, u32 nr_pages)
{
	u64 i;

	if (below(3))
		return;
	disk_load(&bed_loaded, volume_bytes, nr_pages);
	bed_read(&bed_loaded);
	for (i = 0; i < bed_loaded.map.nr_granules; i++)
		assert_true(seen[i] >= disk.durable[i]);
}

static void saved(u32 e, bool ok)
{
	u64 i, from = (u64)e * DIRTY_PAGE_BITS;

	dirty_save_end(&bed.map, e, ok);
	for (i = from; i < from + DIRTY_PAGE_BITS; i++) {
		if (ok)
			disk.durable[i] |= disk.saving[i];
		disk.saving[i] = 0;
	}
}

static void between(u64 volume_bytes, u32 nr_pages)
{
	if (!below(3)) {
		random_operation(&bed.map, false);
		forget_cleared(bed.map.nr_granules);
	}
	check_crash(volume_bytes, nr_pages);
}

/* One save of some entries in the order of the header; errors leave old, new or torn blocks. */
static void save_round(u64 volume_bytes, u32 nr_pages, bool quiet)
{
	bool ok[MODEL_ENTRIES_MAX] = { false }, begun[MODEL_ENTRIES_MAX] = { false };
	bool index_wanted = false, page_write, index_write, index_ok = quiet || below(10);
	u8 bits[DIRTY_PAGE_BYTES], body[META_BODY_BYTES];
	u32 e;

	for (e = 0; (e = dirty_save_next(&bed.map, e, bits, &page_write, &index_write)) < bed.map.nr_entries; e++) {
		assert_false(begun[e]);
		begun[e] = true;
		memcpy(&disk.saving[(u64)e * DIRTY_PAGE_BITS], &truth[(u64)e * DIRTY_PAGE_BITS], DIRTY_PAGE_BITS);
		ok[e] = quiet || below(10);
		index_wanted |= index_write && ok[e];
		if (!quiet)
			between(volume_bytes, nr_pages);
		if (page_write && (ok[e] || below(2))) {
			memcpy(disk.page[e], bits, sizeof(bits));
			disk.page_torn[e] = !ok[e] && below(2);
		}
		if (!ok[e])
			saved(e, false);	/* before the index is encoded: its page is not durable */
		if (!quiet)
			between(volume_bytes, nr_pages);
		if (!quiet && !below(3))
			break;
	}
	if (index_wanted) {
		dirty_index_encode(&bed.map, 0, body);
		if (!quiet)
			between(volume_bytes, nr_pages);
		if (index_ok || below(2)) {
			memcpy(disk.index, body, sizeof(body));
			disk.index_torn = !index_ok && below(2);
		}
	}
	if (!quiet)
		between(volume_bytes, nr_pages);
	for (e = 0; e < bed.map.nr_entries; e++)
		if (begun[e] && ok[e])
			saved(e, !index_wanted || index_ok);
	check_crash(volume_bytes, nr_pages);
}

/* After a quiet save the disk says exactly what memory says. */
static void check_quiet_save(u64 volume_bytes)
{
	static u8 memory[MODEL_BITS_MAX];

	save_round(volume_bytes, POOL_MAX, true);
	assert_int_equal(bed.map.nr_unsaved, 0);
	bed_read(&bed);
	memcpy(memory, seen, sizeof(memory));
	disk_load(&bed_loaded, volume_bytes, POOL_MAX);
	bed_read(&bed_loaded);
	assert_memory_equal(seen, memory, sizeof(seen));
}

static void crash_run(u64 volume_bytes, u32 nr_pages, u32 rounds)
{
	u64 i;

	memset(&disk, 0, sizeof(disk));
	memset(disk.page_torn, 1, sizeof(disk.page_torn));	/* never written */
	memset(truth, 0, sizeof(truth));
	bed_start(&bed, volume_bytes, GRANULE, nr_pages);
	while (rounds--) {
		random_operation(&bed.map, false);
		forget_cleared(bed.map.nr_granules);
		save_round(volume_bytes, nr_pages, false);
		check_superset(&bed);
		if (!below(8))
			check_quiet_save(volume_bytes);
		if (below(8))
			continue;
		/*
		 * Crash and go on: what the disk does not say the activity log does. With a small pool memory may
		 * claim more than the disk says; that is not durable yet.
		 */
		disk_load(&bed_loaded, volume_bytes, POOL_MAX);
		bed_read(&bed_loaded);
		for (i = 0; i < bed_loaded.map.nr_granules; i++)
			disk.durable[i] = truth[i] & seen[i];
		disk_load(&bed, volume_bytes, nr_pages);
		for (i = 0; i < bed.map.nr_granules; i++)
			if (truth[i])
				dirty_mark(&bed.map, i * GRANULE, 1);
		check_superset(&bed);
	}
}

static void test_crash_during_save(void **state)
{
	u32 nr_pages;

	(void)state;
	random_start();
	for (nr_pages = 1; nr_pages <= 5; nr_pages++) {
		crash_run(2 * PAGE_SPAN_BYTES + 5 * GRANULE, nr_pages, 200);
		crash_run(40 * GRANULE, nr_pages, 1000);
		crash_run(GRANULE, nr_pages, 200);
	}
}

/* Which blocks a save writes. */
static void test_save_writes(void **state)
{
	u8 bits[DIRTY_PAGE_BYTES], body[META_BODY_BYTES];
	bool page_write, index_write;
	struct dirty_map *map = &bed.map;

	(void)state;
	bed_start(&bed, 2 * PAGE_SPAN_BYTES, GRANULE, 8);
	assert_int_equal(dirty_save_next(map, 0, bits, &page_write, &index_write), 2);
	dirty_mark(map, 4096, 1);		/* clean to mixed: page, index */
	dirty_index_encode(map, 0, body);
	assert_int_equal(body[0], DIRTY_FULL);
	assert_int_equal(dirty_save_next(map, 0, bits, &page_write, &index_write), 0);
	assert_true(page_write && index_write);
	assert_int_equal(bits[0], 2);
	dirty_index_encode(map, 0, body);
	assert_int_equal(body[0], DIRTY_MIXED);
	dirty_mark(map, 0, 1);			/* meanwhile: unsaved again, not handed out before the end */
	assert_int_equal(dirty_save_next(map, 0, bits, &page_write, &index_write), 2);
	dirty_save_end(map, 0, true);
	assert_int_equal(dirty_save_next(map, 0, bits, &page_write, &index_write), 0);
	assert_true(page_write && !index_write);	/* mixed stays mixed: page only */
	dirty_save_end(map, 0, true);
	dirty_clear_all(map);			/* mixed to clean: index only */
	assert_int_equal(dirty_save_next(map, 0, bits, &page_write, &index_write), 0);
	assert_true(!page_write && index_write);
	dirty_index_encode(map, 0, body);
	assert_int_equal(body[0], DIRTY_CLEAN);
	dirty_save_end(map, 0, false);		/* failed: again, and cautious until then */
	dirty_index_encode(map, 0, body);
	assert_int_equal(body[0], DIRTY_FULL);
	assert_int_equal(dirty_save_next(map, 0, bits, &page_write, &index_write), 0);
	assert_true(!page_write && index_write);
	dirty_save_end(map, 0, true);
	assert_int_equal(map->nr_unsaved, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_granule),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_next_inside_granule),
		cmocka_unit_test(test_random_exact),
		cmocka_unit_test(test_random_small_pool),
		cmocka_unit_test(test_clearing_never_stops_for_memory),
		cmocka_unit_test(test_one_pebibyte),
		cmocka_unit_test(test_one_entry_one_page_D3),
		cmocka_unit_test(test_a_mark_ends_a_proof),
		cmocka_unit_test(test_load_errors),
		cmocka_unit_test(test_crash_during_save),
		cmocka_unit_test(test_save_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
