// SPDX-License-Identifier: GPL-2.0
/*
 * The activity log against a naive model: sets of regions for memory and for what each part holds on disk.
 * Keeps [W3] [W6] [D6]. Replay a random run with SEED=<number> in the environment.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "../../kernel/core/actlog.h"

enum { REGIONS = 5000, PARTS = 2, OPERATIONS = 200000 };

static struct actlog_slot slots[ACTLOG_REGIONS_MAX];
static u32 hash[16384];
static struct actlog log_;

static u64 random_state;

static u64 random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static u32 below(u32 limit)
{
	return (u32)(random_next() % limit);
}

static void random_start(void)
{
	const char *seed = getenv("SEED");

	random_state = seed ? strtoull(seed, NULL, 0) : (u64)time(NULL) * 2 + 1;
	if (!random_state)
		random_state = 1;
	printf("SEED=%llu\n", (unsigned long long)random_state);
}

static void log_start(u32 parts, u64 volume_bytes)
{
	assert_true(actlog_hash_size(parts, volume_bytes) <= CORE_ARRAY_SIZE(hash));
	actlog_init(&log_, slots, hash, parts, volume_bytes);
}

static void commit_ok(void)
{
	assert_int_not_equal(actlog_commit_begin(&log_), 0);
	actlog_commit_end(&log_, true);
}

static void test_sizes(void **state)
{
	(void)state;
	assert_int_equal(actlog_default_parts(4096), 1);
	assert_int_equal(actlog_default_parts(64ull << 30), 1);
	assert_int_equal(actlog_default_parts((64ull << 30) + 1), 2);
	assert_int_equal(actlog_default_parts(1ull << 40), 2);
	assert_int_equal(actlog_default_parts(16ull << 40), 4);
	assert_int_equal(actlog_default_parts((16ull << 40) + 1), 8);
	assert_int_equal(actlog_default_parts(VOLUME_BYTES_MAX), ACTLOG_PARTS_MAX);
	assert_true(actlog_hash_size(1, VOLUME_BYTES_MAX) >= ACTLOG_PART_REGIONS);
	assert_true(actlog_hash_size(ACTLOG_PARTS_MAX, VOLUME_BYTES_MAX) >= ACTLOG_REGIONS_MAX);
	assert_int_equal(actlog_hash_size(1, 4096), 1);
	assert_int_equal(actlog_hash_size(1, 4 * ACTLOG_REGION_BYTES), 4);
	assert_int_equal(actlog_hash_size(1, 4 * ACTLOG_REGION_BYTES + 4096), 8);
	log_start(1, VOLUME_BYTES_MAX);
	assert_int_equal(log_.nr_regions, VOLUME_BYTES_MAX / ACTLOG_REGION_BYTES);
	log_start(1, ACTLOG_REGION_BYTES + 4096);
	assert_int_equal(log_.nr_regions, 2);
}

/* [W3] No write goes on before the commit that contains its region has ended well. */
static void test_intent_before_data(void **state)
{
	u32 regions[ACTLOG_PART_REGIONS];
	u32 part, i, found = 0;

	(void)state;
	log_start(1, 1ull << 40);
	assert_false(actlog_commit_wanted(&log_));
	assert_int_equal(actlog_commit_begin(&log_), 0);
	assert_int_equal(actlog_get(&log_, 7, 1), ACTLOG_WAIT);
	assert_int_equal(actlog_get(&log_, 7, 1), ACTLOG_WAIT);
	assert_false(actlog_is_ready(&log_, 7));
	assert_int_equal(actlog_commit_begin(&log_), 1);
	for (part = 0; part < 1; part++)
		actlog_encode_part(&log_, part, regions);
	for (i = 0; i < ACTLOG_PART_REGIONS; i++)
		found += regions[i] == 7;
	assert_int_equal(found, 1);
	assert_int_equal(actlog_commit_begin(&log_), 0);

	/* This one came after the encoding: the commit under way must not make it ready. */
	assert_int_equal(actlog_get(&log_, 8, 1), ACTLOG_WAIT);
	actlog_commit_end(&log_, true);
	assert_true(actlog_is_ready(&log_, 7));
	assert_false(actlog_is_ready(&log_, 8));
	assert_int_equal(actlog_get(&log_, 7, 1), ACTLOG_READY);
	assert_true(actlog_commit_wanted(&log_));

	commit_ok();
	assert_true(actlog_is_ready(&log_, 8));
	assert_int_equal(log_.transactions, 2);
}

static void test_failed_commit_waits_again(void **state)
{
	u32 i;

	(void)state;
	log_start(1, 1ull << 40);
	assert_int_equal(actlog_get(&log_, 7, 1), ACTLOG_WAIT);
	assert_int_equal(actlog_commit_begin(&log_), 1);
	actlog_commit_end(&log_, false);
	assert_false(actlog_is_ready(&log_, 7));
	assert_true(actlog_commit_wanted(&log_));
	commit_ok();
	assert_true(actlog_is_ready(&log_, 7));

	/* Two parts failed: both are in the next transaction. */
	log_start(2, 1ull << 50);
	for (i = 0; i < ACTLOG_PART_REGIONS + 5; i++)
		assert_int_equal(actlog_get(&log_, i, 1), ACTLOG_WAIT);
	assert_int_equal(actlog_commit_begin(&log_), 3);
	actlog_commit_end(&log_, false);
	assert_int_equal(log_.nr_adding, ACTLOG_PART_REGIONS + 5);
	assert_int_equal(actlog_commit_begin(&log_), 3);
	actlog_commit_end(&log_, true);
	for (i = 0; i < ACTLOG_PART_REGIONS + 5; i++)
		assert_true(actlog_is_ready(&log_, i));
}

/* A written mark [G2] wants a commit though no region is new; a failed one is wanted again. */
static void test_forced_commit(void **state)
{
	(void)state;
	log_start(2, 1ull << 40);
	log_.forced = true;
	assert_true(actlog_commit_wanted(&log_));
	assert_int_equal(actlog_commit_begin(&log_), 1);
	actlog_commit_end(&log_, false);
	assert_true(actlog_commit_wanted(&log_));
	commit_ok();
	assert_false(actlog_commit_wanted(&log_));
}

/* [D6] Many new regions in a row cost one block. */
static void test_group_commit_is_one_block(void **state)
{
	u32 mask, i;

	(void)state;
	log_start(ACTLOG_PARTS_MAX, 1ull << 50);
	for (i = 0; i < 500; i++)
		assert_int_equal(actlog_get(&log_, i * 17, 1), ACTLOG_WAIT);
	mask = actlog_commit_begin(&log_);
	assert_int_not_equal(mask, 0);
	assert_int_equal(mask & (mask - 1), 0);
	actlog_commit_end(&log_, true);
	assert_int_equal(actlog_get(&log_, 999999, 1), ACTLOG_WAIT);
	assert_int_not_equal(actlog_commit_begin(&log_), mask);	/* the emptiest part is another one now */
	actlog_commit_end(&log_, true);
}

/* [W6] A region leaves only after a flush that began after its last write ended. */
static void test_flush_epochs(void **state)
{
	u32 regions[4];
	u64 flush;

	(void)state;
	log_start(1, 1ull << 40);
	actlog_get(&log_, 1, log_.epoch);
	actlog_get(&log_, 2, log_.epoch);
	commit_ok();
	actlog_put(&log_, 1, true);
	flush = actlog_flush_begin(&log_);
	actlog_put(&log_, 2, true);	/* ended after the flush began: not covered */
	actlog_flush_end(&log_, flush);
	assert_int_equal(actlog_evict_candidates(&log_, regions, 4), 1);
	assert_int_equal(regions[0], 1);
	assert_false(actlog_evict(&log_, 2, log_.stable_epoch));
	assert_int_equal(actlog_get(&log_, 1, log_.epoch), ACTLOG_READY);
	assert_false(actlog_evict(&log_, 1, log_.stable_epoch));	/* in flight */
	actlog_put(&log_, 1, false);
	assert_false(actlog_evict(&log_, 1, log_.stable_epoch));	/* submitted after the flush began */
	actlog_flush_end(&log_, actlog_flush_begin(&log_));
	assert_int_equal(actlog_evict_candidates(&log_, regions, 4), 2);
	assert_int_equal(regions[0], 2);
	assert_true(actlog_evict(&log_, 2, log_.stable_epoch));
	assert_false(actlog_evict(&log_, 2, log_.stable_epoch));
	assert_false(actlog_commit_wanted(&log_));	/* removals need no commit */
}

/* A replica that saw a writer's epoch and is promoted stamps above it. */
static void test_epoch_follows_the_writer(void **state)
{
	(void)state;
	log_start(1, 1ull << 40);
	actlog_get(&log_, 1, 1000);
	commit_ok();
	actlog_put(&log_, 1, false);
	actlog_flush_end(&log_, actlog_flush_begin(&log_));
	assert_true(actlog_evict(&log_, 1, log_.stable_epoch));
}

static void test_full_and_evict_wanted(void **state)
{
	u32 regions[ACTLOG_PART_REGIONS];
	u32 i, nr;

	(void)state;
	log_start(1, 1ull << 50);
	for (i = 0; i < log_.nr_slots; i++) {
		assert_int_equal(actlog_evict_wanted(&log_), log_.nr_slots - i < log_.nr_slots / 8);
		assert_int_equal(actlog_get(&log_, i, 1), ACTLOG_WAIT);
	}
	assert_int_equal(actlog_get(&log_, i, 1), ACTLOG_FULL);
	assert_int_equal(actlog_get(&log_, 0, 1), ACTLOG_WAIT);
	actlog_put(&log_, 0, true);
	commit_ok();
	for (i = 0; i < log_.nr_slots; i++)
		actlog_put(&log_, i, true);
	assert_int_equal(actlog_evict_candidates(&log_, regions, ACTLOG_PART_REGIONS), 0);
	actlog_flush_end(&log_, actlog_flush_begin(&log_));
	nr = actlog_evict_candidates(&log_, regions, ACTLOG_PART_REGIONS);
	assert_int_equal(nr, log_.nr_slots);
	for (i = 0; i < nr; i++) {
		assert_int_equal(regions[i], i);	/* least recently used first */
		assert_true(actlog_evict(&log_, regions[i], log_.stable_epoch));
	}
	assert_int_equal(log_.nr_used, 0);
	assert_false(actlog_evict_wanted(&log_));
	assert_int_equal(actlog_get(&log_, 4711, 1), ACTLOG_WAIT);
}

/*
 * [D6] A write across two regions takes both or leaves no trace: no slot, no stamp. Else those who try again and again keep each
 * other's regions in the log, and no flush is ever late enough to evict them.
 */
static void test_two_regions_or_no_trace(void **state)
{
	u32 i, last;

	(void)state;
	log_start(1, 1ull << 50);
	last = log_.nr_slots - 1;
	for (i = 0; i < last; i++)
		actlog_get(&log_, i, 1);
	assert_int_equal(actlog_get_regions(&log_, 5000, 5001, 1), ACTLOG_FULL);
	assert_int_equal(log_.nr_used, last);
	assert_true(log_.refused);
	assert_int_equal(actlog_get_regions(&log_, last - 1, last, 1), ACTLOG_WAIT);
	commit_ok();
	assert_int_equal(actlog_get_regions(&log_, last - 1, last, 1), ACTLOG_READY);
	for (i = 0; i <= last; i++)
		actlog_put(&log_, i, true);
	for (i = 0; i < 2; i++)
		actlog_put(&log_, last - 1, true);
	actlog_put(&log_, last, true);
	assert_int_equal(log_.nr_busy, 0);
	actlog_flush_end(&log_, actlog_flush_begin(&log_));
	assert_int_equal(actlog_get_regions(&log_, last, last + 1, log_.epoch), ACTLOG_FULL);
	assert_int_equal(log_.nr_busy, 0);
	assert_true(actlog_evict(&log_, last, log_.stable_epoch));

	/* The limit of regions in use: one is, another one may be, two may not. */
	assert_int_equal(actlog_get(&log_, 0, log_.epoch), ACTLOG_READY);
	log_.busy_limit = 2;
	assert_int_equal(actlog_get_regions(&log_, 1, 2, log_.epoch), ACTLOG_FULL);
	assert_true(actlog_evict(&log_, 1, log_.stable_epoch));
	assert_int_equal(actlog_get_regions(&log_, 0, 1, log_.epoch), ACTLOG_WAIT);
	assert_int_equal(actlog_get_regions(&log_, 0, 1, log_.epoch), ACTLOG_WAIT);
	assert_int_equal(log_.nr_busy, 2);
}

static void test_clear_empties_the_disk(void **state)
{
	u32 regions[ACTLOG_PART_REGIONS];
	u32 part, i, mask;

	(void)state;
	log_start(2, 1ull << 40);
	for (i = 0; i < 20; i++)
		actlog_get(&log_, i, 1);
	commit_ok();
	for (i = 0; i < 20; i++)
		actlog_put(&log_, i, true);
	actlog_get(&log_, 100, 1);
	actlog_put(&log_, 100, false);		/* still ADDING, nobody waits any more */
	assert_int_equal(actlog_get(&log_, 5, 1), ACTLOG_READY);
	assert_int_equal(actlog_clear(&log_), 1);
	assert_false(actlog_commit_wanted(&log_));
	mask = actlog_commit_all_begin(&log_);
	assert_int_equal(mask, 3);
	for (part = 0; part < 2; part++) {
		actlog_encode_part(&log_, part, regions);
		for (i = 0; i < ACTLOG_PART_REGIONS; i++)
			assert_true(regions[i] == ACTLOG_NO_REGION || regions[i] == 5);
	}
	actlog_commit_end(&log_, true);
	assert_int_equal(actlog_commit_all_begin(&log_), 0);
	assert_true(actlog_is_ready(&log_, 5));
	actlog_clear(&log_);
	assert_int_equal(actlog_commit_all_begin(&log_), 3);	/* whatever is on disk, it is written anew */
}

/* The model of the random run. */
static struct {
	u32 in_flight[REGIONS];
	u64 stamp[REGIONS];	/* epoch at the end (or submission) of the newest write */
	u32 disk[PARTS][ACTLOG_PART_REGIONS];
	u32 pending[PARTS][ACTLOG_PART_REGIONS];
	u32 committing;
	u64 flush;
	bool on_disk[REGIONS];
} model;

static void model_read_disk(void)
{
	u32 part, i;

	memset(model.on_disk, 0, sizeof(model.on_disk));
	for (part = 0; part < PARTS; part++)
		for (i = 0; i < ACTLOG_PART_REGIONS; i++)
			if (model.disk[part][i] != ACTLOG_NO_REGION)
				model.on_disk[model.disk[part][i]] = true;
}

static void check_lists(void)
{
	u32 nr_lru = 0, nr_used = 0, slot = ACTLOG_NO_SLOT, region, index;
	u32 nr_state[ACTLOG_ACTIVE + 1] = { 0 };

	for (index = log_.lru_first; index != ACTLOG_NO_SLOT; index = slots[index].lru_next, nr_lru++) {
		assert_int_equal(slots[index].lru_prev, slot);
		assert_int_equal(slots[index].in_flight, 0);
		assert_int_equal(slots[index].state, ACTLOG_ACTIVE);
		slot = index;
	}
	assert_int_equal(log_.lru_last, slot);
	for (slot = actlog_next(&log_, 0, &region); slot != ACTLOG_NO_SLOT;
	     slot = actlog_next(&log_, slot + 1, &region)) {
		nr_used++;
		nr_state[slots[slot].state]++;
		assert_int_equal(slots[slot].in_flight, model.in_flight[region]);
		if (slots[slot].state == ACTLOG_ACTIVE && !slots[slot].in_flight)
			nr_lru--;
		if (slots[slot].state == ACTLOG_ACTIVE)	/* [W3] */
			assert_true(model.on_disk[region]);
	}
	assert_int_equal(nr_lru, 0);
	assert_int_equal(nr_used, log_.nr_used);
	assert_int_equal(nr_state[ACTLOG_ADDING], log_.nr_adding);
	assert_int_equal(nr_state[ACTLOG_COMMITTING], log_.nr_committing);
}

static void step_commit(void)
{
	bool ok = below(8);
	u32 part;

	if (!model.committing) {
		model.committing = below(16) ? actlog_commit_begin(&log_) : actlog_commit_all_begin(&log_);
		for (part = 0; part < PARTS; part++)
			actlog_encode_part(&log_, part, model.pending[part]);
		return;
	}
	for (part = 0; part < PARTS; part++)	/* of a failed transaction any block may have landed */
		if ((model.committing >> part & 1) && (ok || below(2)))
			memcpy(model.disk[part], model.pending[part], sizeof(model.disk[part]));
	actlog_commit_end(&log_, ok);
	model.committing = 0;
	model_read_disk();
}

static void step_evict(void)
{
	u32 regions[64];
	u32 i, nr = actlog_evict_candidates(&log_, regions, 1 + below(64));

	for (i = 0; i < nr; i++) {
		assert_int_equal(model.in_flight[regions[i]], 0);
		assert_true(model.stamp[regions[i]] <= log_.stable_epoch);	/* [W6] */
		assert_true(actlog_evict(&log_, regions[i], log_.stable_epoch));
	}
	i = below(REGIONS);
	if (actlog_evict(&log_, i, log_.stable_epoch))
		assert_true(!model.in_flight[i] && model.stamp[i] <= log_.stable_epoch);
}

static void step_write(u32 region)
{
	bool durable = actlog_is_ready(&log_, region);
	enum actlog_get_result result = actlog_get(&log_, region, log_.epoch);

	assert_int_equal(result == ACTLOG_READY, durable);
	if (result == ACTLOG_FULL) {
		assert_int_equal(log_.nr_used, log_.nr_slots);
		assert_true(actlog_evict_wanted(&log_));
		return;
	}
	model.in_flight[region]++;
	if (model.stamp[region] < log_.epoch)
		model.stamp[region] = log_.epoch;
}

static void test_random(void **state)
{
	u32 i, region;

	(void)state;
	random_start();
	memset(&model, 0, sizeof(model));
	memset(model.disk, 0xff, sizeof(model.disk));
	log_start(PARTS, (u64)REGIONS * ACTLOG_REGION_BYTES);
	for (i = 0; i < OPERATIONS; i++) {
		u32 kind = below(100);

		region = below(4) ? below(REGIONS / 4) : below(REGIONS);
		if (kind < 45) {
			step_write(region);
		} else if (kind < 85) {
			while (region < REGIONS && !model.in_flight[region])
				region++;
			if (region == REGIONS)
				continue;
			model.in_flight[region]--;
			model.stamp[region] = log_.epoch;
			actlog_put(&log_, region, true);
		} else if (kind < 92) {
			step_commit();
		} else if (kind < 95) {
			if (model.flush)
				actlog_flush_end(&log_, model.flush);
			model.flush = model.flush ? 0 : actlog_flush_begin(&log_);
		} else if (kind < 99 || below(50)) {
			step_evict();
		} else {
			actlog_clear(&log_);
		}
		if (i % 64 == 0)
			check_lists();
	}
	check_lists();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_intent_before_data),
		cmocka_unit_test(test_failed_commit_waits_again),
		cmocka_unit_test(test_forced_commit),
		cmocka_unit_test(test_group_commit_is_one_block),
		cmocka_unit_test(test_flush_epochs),
		cmocka_unit_test(test_epoch_follows_the_writer),
		cmocka_unit_test(test_full_and_evict_wanted),
		cmocka_unit_test(test_two_regions_or_no_trace),
		cmocka_unit_test(test_clear_empties_the_disk),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
