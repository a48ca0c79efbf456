// SPDX-License-Identifier: GPL-2.0
/*
 * What a resync's source decides: the choice between comparing and sending [D4], and what extents prove [D2]. Everything is
 * deterministic but the random extents: replay with SEED=<number>.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../../kernel/core/resync.h"
#include "../lib/random.h"

/* ---- compare or send ---- */

static void test_compare_until_all_differs(void **state)
{
	struct resync_compare compare = { 0 };
	u32 i, compared = 0;

	(void)state;
	for (i = 0; i < RESYNC_DIFFER_RUN - 1; i++) {
		assert_true(resync_compare_wanted(&compare, RESYNC_CHUNK_BYTES));
		resync_compare_result(&compare, 32, 32);
	}
	assert_true(resync_compare_wanted(&compare, RESYNC_CHUNK_BYTES));
	resync_compare_result(&compare, 32, 31);	/* not throughout: from the start again */
	for (i = 0; i < RESYNC_DIFFER_RUN; i++) {
		assert_true(resync_compare_wanted(&compare, RESYNC_CHUNK_BYTES));
		resync_compare_result(&compare, 1, 1);
	}
	for (i = 0; i < 10 * RESYNC_SAMPLE_PERIOD; i++)
		if (resync_compare_wanted(&compare, RESYNC_CHUNK_BYTES)) {
			compared++;
			resync_compare_result(&compare, 32, 24);	/* three quarters: still worth it */
		}
	assert_int_equal(compared, 10);
	while (!resync_compare_wanted(&compare, RESYNC_CHUNK_BYTES))
		;
	resync_compare_result(&compare, 32, 23);
	for (i = 0; i < 100; i++) {
		assert_true(resync_compare_wanted(&compare, RESYNC_CHUNK_BYTES));
		resync_compare_result(&compare, 32, 0);
	}
}

/* Chunks that are sent before the next one is compared, which differs in @differ of 32 pieces. */
static u32 sent_before(struct resync_compare *compare, u32 differ)
{
	u32 nr = 1;

	while (!resync_compare_wanted(compare, RESYNC_CHUNK_BYTES))
		nr++;
	resync_compare_result(compare, 32, differ);
	return nr;
}

static void test_samples_become_rare_while_all_differs(void **state)
{
	struct resync_compare compare = { 0 };
	u32 i;

	(void)state;
	for (i = 0; i < RESYNC_DIFFER_RUN; i++)
		assert_int_equal(sent_before(&compare, 32), 1);
	assert_int_equal(sent_before(&compare, 32), 16);
	assert_int_equal(sent_before(&compare, 32), 32);
	assert_int_equal(sent_before(&compare, 32), 64);
	assert_int_equal(sent_before(&compare, 32), 128);
	assert_int_equal(sent_before(&compare, 31), 128);
	assert_int_equal(sent_before(&compare, 32), 16);	/* something is equal here: look again soon */
	assert_int_equal(sent_before(&compare, 0), 32);
	for (i = 0; i < RESYNC_DIFFER_RUN; i++)
		assert_int_equal(sent_before(&compare, 32), 1);
	assert_int_equal(sent_before(&compare, 32), 16);
}

static void test_small_chunks_are_sent(void **state)
{
	struct resync_compare compare = { 0 };

	(void)state;
	assert_false(resync_compare_wanted(&compare, RESYNC_PIECE_BYTES));
	assert_false(resync_compare_wanted(&compare, RESYNC_SEND_BYTES));
	assert_true(resync_compare_wanted(&compare, RESYNC_SEND_BYTES + RESYNC_PIECE_BYTES));
}

/* ---- proof ---- */

enum { MAP_ENTRIES = 2, MAP_PAGES = 4 };

static struct {
	struct dirty_page pages[MAP_PAGES];
	u32 next_free[MAP_PAGES];
	struct dirty_pool pool;
	struct dirty_entry entries[MAP_ENTRIES];
	struct dirty_map map;
} bed;

static void map_init(u64 volume_bytes, u32 granule_bytes)
{
	dirty_pool_init(&bed.pool, bed.pages, bed.next_free, MAP_PAGES);
	dirty_init(&bed.map, &bed.pool, bed.entries, volume_bytes, granule_bytes);
	dirty_mark_all(&bed.map);
}

static void test_parts_of_granules_are_carried(void **state)
{
	const u32 granule = 1 << 20, chunk = 128 << 10;
	struct resync_extent extent[8];
	u32 nr = 2;

	(void)state;
	map_init(8 * granule + chunk, granule);
	extent[0] = (struct resync_extent) { 0, granule + 3 * chunk, bed.map.nr_marks };
	extent[1] = (struct resync_extent) { granule + 5 * chunk, granule + 6 * chunk, bed.map.nr_marks };
	assert_int_equal(resync_prove(&bed.map, extent, &nr), 1);
	assert_int_equal(nr, 2);
	assert_int_equal(extent[0].start_bytes, granule);
	assert_int_equal(extent[0].end_bytes, granule + 3 * chunk);
	extent[2] = (struct resync_extent) { granule + 6 * chunk, 2 * granule, bed.map.nr_marks };
	nr = 3;
	assert_int_equal(resync_prove(&bed.map, extent, &nr), 0);	/* a hole is left */
	assert_int_equal(nr, 2);
	extent[2] = extent[1];
	extent[1] = (struct resync_extent) { granule + 3 * chunk, granule + 5 * chunk, bed.map.nr_marks };
	nr = 3;
	assert_int_equal(resync_prove(&bed.map, extent, &nr), 1);
	assert_int_equal(nr, 0);
	assert_false(dirty_any(&bed.map, 0, 2 * granule));
	assert_true(dirty_test(&bed.map, 2 * granule));
	extent[0] = (struct resync_extent) { 8 * granule, 8 * granule + chunk, bed.map.nr_marks };
	nr = 1;
	assert_int_equal(resync_prove(&bed.map, extent, &nr), 1);	/* the volume's end completes its last granule */
	assert_int_equal(nr, 0);
}

static void test_a_mark_ends_what_is_carried(void **state)
{
	const u32 granule = 1 << 20;
	struct resync_extent extent[4];
	u32 nr = 1;

	(void)state;
	map_init(8 * granule, granule);
	extent[0] = (struct resync_extent) { 0, granule / 2, bed.map.nr_marks };
	assert_int_equal(resync_prove(&bed.map, extent, &nr), 0);
	assert_int_equal(nr, 1);
	dirty_mark(&bed.map, 0, 4096);			/* a write that the target does not get */
	extent[1] = (struct resync_extent) { granule / 2, granule, bed.map.nr_marks };
	nr = 2;
	assert_int_equal(resync_prove(&bed.map, extent, &nr), 0);	/* the older half counts */
	assert_int_equal(nr, 0);
	assert_true(dirty_test(&bed.map, 0));

	extent[0] = (struct resync_extent) { granule / 2, granule, bed.map.nr_marks };	/* the same, the older half behind */
	nr = 1;
	assert_int_equal(resync_prove(&bed.map, extent, &nr), 0);
	dirty_mark(&bed.map, 0, 4096);
	extent[1] = extent[0];
	extent[0] = (struct resync_extent) { 0, granule / 2, bed.map.nr_marks };
	nr = 2;
	assert_int_equal(resync_prove(&bed.map, extent, &nr), 0);
	assert_true(dirty_test(&bed.map, 0));
}

static int by_start(const void *a, const void *b)
{
	const struct resync_extent *first = a, *second = b;

	return first->start_bytes < second->start_bytes ? -1 : first->start_bytes > second->start_bytes;
}

/* Chunks of any size, in any order, proven in batches: a granule is clear if and only if all of it was proven. */
static void test_random_batches(void **state)
{
	enum { PIECES = 64, GRANULES = 40 };
	const u32 piece = 4096, granule = PIECES * 4096;
	u32 round;

	(void)state;
	for (round = 0; round < 200; round++) {
		static bool proven[GRANULES * PIECES];
		struct resync_extent extent[64];
		u32 nr = 0, batch, i;

		map_init((u64)GRANULES * granule, granule);
		memset(proven, 0, sizeof(proven));
		for (batch = 0; batch < 30; batch++) {
			while (nr < 48) {
				u32 start = (u32)random_below(GRANULES * PIECES), length = (u32)random_below(PIECES) + 1;

				if (start + length > GRANULES * PIECES)
					continue;
				extent[nr++] = (struct resync_extent) { (u64)start * piece, (u64)(start + length) * piece,
									bed.map.nr_marks };
				memset(&proven[start], true, length);
			}
			qsort(extent, nr, sizeof(extent[0]), by_start);
			resync_prove(&bed.map, extent, &nr);
			if (nr > 40)
				break;
			for (i = 0; i < GRANULES; i++)
				assert_int_equal(!dirty_test(&bed.map, (u64)i * granule),
						 !memchr(&proven[i * PIECES], false, PIECES));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compare_until_all_differs),
		cmocka_unit_test(test_samples_become_rare_while_all_differs),
		cmocka_unit_test(test_small_chunks_are_sent),
		cmocka_unit_test(test_parts_of_granules_are_carried),
		cmocka_unit_test(test_a_mark_ends_what_is_carried),
		cmocka_unit_test(test_random_batches),
	};

	random_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
