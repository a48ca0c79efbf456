// SPDX-License-Identifier: GPL-2.0
/*
 * What a resync's source decides: the governor against a small model of two machines in which writes and chunks queue for
 * one server [R3], the choice between comparing and sending [D4], and what extents prove [D2]. Everything is
 * deterministic but the random extents: replay with SEED=<number>.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "../../kernel/core/resync.h"

#define US 1000ull
#define MS 1000000ull

static u64 random_state = 1;

static u64 below(u64 limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % limit;
}

/* ---- latencies ---- */

static void test_latency_quantiles(void **state)
{
	struct resync_latency latency = { .weight = 0 };
	u64 ns, q;
	u32 i;

	(void)state;
	assert_int_equal(resync_latency_quantile(&latency, 950), 0);
	for (i = 1; i <= 100; i++)
		resync_latency_add(&latency, i * 100 * US, 1000);
	assert_int_equal(resync_latency_samples(&latency), 100);
	q = resync_latency_quantile(&latency, 950);
	assert_in_range(q, 9500 * US, 9500 * US * 9 / 8 + 1);
	q = resync_latency_quantile(&latency, 500);
	assert_in_range(q, 5000 * US, 5000 * US * 9 / 8 + 1);
	for (ns = 1; ns < 1ull << 40; ns = ns * 5 / 4 + 1) {	/* any one value: its bucket holds it */
		struct resync_latency one = { .weight = 0 };

		resync_latency_add(&one, ns, 10);
		q = resync_latency_quantile(&one, 950);
		if (ns < 2000 * MS) {
			assert_true(q > ns);
			assert_true(q <= ns + ns / 8 + 8192);
		}
	}
}

static void test_latency_forgets(void **state)
{
	struct resync_latency latency = { .weight = 0 };
	u32 i;

	(void)state;
	for (i = 0; i < 128; i++)
		resync_latency_add(&latency, 10 * MS, 128);
	for (i = 0; i < 128 * 8; i++) {
		resync_latency_add(&latency, 1 * MS, 128);
		assert_true(resync_latency_samples(&latency) <= 128);
	}
	assert_true(resync_latency_quantile(&latency, 950) < 2 * MS);
}

/* ---- the governor and a queue ---- */

enum { MODEL_JOBS_MAX = 512 };

struct job {
	u64 begin_ns;		/* when it was given to the server */
	u64 left_ns;		/* service */
	u64 delay_ns;		/* after service: the wire */
	u64 ready_ns;		/* service done, ends then */
	u32 bytes;		/* of a chunk; 0: a write */
	bool used, served;
};

/* One server, first come first served (a processor, a disk, a line), then a delay that costs nothing. */
struct model {
	struct resync_governor governor;
	struct job job[MODEL_JOBS_MAX];
	u32 queue[MODEL_JOBS_MAX];
	u32 head, nr;
	u64 now_ns;
	u64 wake_ns;		/* the governor said: ask again */
	u64 write_service_ns, jitter_ns, wire_ns;
	u64 chunk_ns_per_kib, chunk_ns_each;
	u32 depth;		/* writes that the application keeps under way */
	u32 writes_in_flight;
	u32 chunks_in_flight;
	u64 chunk_bytes_done;
	struct resync_latency writes;
	u64 nr_writes;
	u64 longest_still_ns, last_chunk_ns;
	bool resync;
};

static struct model model;

static void model_init(u32 depth, u64 write_service_ns, u64 wire_ns)
{
	memset(&model, 0, sizeof(model));
	random_state = 88172645463325252ull;
	resync_governor_init(&model.governor);
	model.now_ns = 1000 * MS;
	model.depth = depth;
	model.write_service_ns = write_service_ns;
	model.jitter_ns = write_service_ns / 2;
	model.wire_ns = wire_ns;
	model.chunk_ns_per_kib = 5 * US;	/* 200 MiB/s */
	model.chunk_ns_each = 50 * US;
	model.last_chunk_ns = model.now_ns;
	model.wake_ns = ~0ull;
}

static void submit(u64 service_ns, u32 bytes)
{
	u32 i;

	for (i = 0; model.job[i].used; i++)
		assert_true(i < MODEL_JOBS_MAX - 1);
	model.job[i] = (struct job) { .begin_ns = model.now_ns, .left_ns = service_ns, .delay_ns = model.wire_ns,
				      .bytes = bytes, .used = true };
	model.queue[(model.head + model.nr++) % MODEL_JOBS_MAX] = i;
}

static void application(void)
{
	while (model.writes_in_flight < model.depth) {
		submit(model.write_service_ns + below(model.jitter_ns + 1), 0);
		model.writes_in_flight++;
	}
}

static void resync(void)
{
	struct resync_grant grant;

	while (model.resync) {
		grant = resync_governor_ask(&model.governor, model.now_ns, model.writes_in_flight,
					    model.governor.in_flight_bytes, 1);
		assert_true(grant.chunk_bytes <= RESYNC_CHUNK_BYTES && grant.chunk_bytes % RESYNC_PIECE_BYTES == 0);
		assert_true(!grant.chunk_bytes || !grant.wait_ns);
		assert_true(grant.wait_ns <= RESYNC_PROBE_NS);		/* bounded */
		if (!model.chunks_in_flight)
			assert_true(grant.chunk_bytes || grant.wait_ns);	/* nobody else would wake it up */
		if (!grant.chunk_bytes) {
			if (grant.wait_ns && model.now_ns + grant.wait_ns < model.wake_ns)
				model.wake_ns = model.now_ns + grant.wait_ns;
			return;
		}
		assert_true(model.governor.in_flight_bytes <= RESYNC_WINDOW_BYTES_MAX);
		resync_governor_launched(&model.governor, grant.chunk_bytes);
		model.chunks_in_flight++;
		submit(model.chunk_ns_each + model.chunk_ns_per_kib * (grant.chunk_bytes >> 10), grant.chunk_bytes);
	}
}

static void job_ended(struct job *job)
{
	u64 took_ns = model.now_ns - job->begin_ns;

	job->used = false;
	if (job->bytes) {
		model.chunks_in_flight--;
		model.chunk_bytes_done += job->bytes;
		if (model.now_ns - model.last_chunk_ns > model.longest_still_ns)
			model.longest_still_ns = model.now_ns - model.last_chunk_ns;
		model.last_chunk_ns = model.now_ns;
		resync_governor_done(&model.governor, model.now_ns, job->bytes, took_ns);
		return;
	}
	model.writes_in_flight--;
	model.nr_writes++;
	resync_latency_add(&model.writes, took_ns, 2000);
	resync_governor_io(&model.governor, model.now_ns, job->begin_ns);
}

/* To the next event, at most @limit_ns. */
static void model_step(u64 limit_ns)
{
	struct job *first = model.nr ? &model.job[model.queue[model.head]] : NULL;
	u64 at_ns = limit_ns;
	u32 i;

	if (first && model.now_ns + first->left_ns < at_ns)
		at_ns = model.now_ns + first->left_ns;
	for (i = 0; i < MODEL_JOBS_MAX; i++)
		if (model.job[i].served && model.job[i].used && model.job[i].ready_ns < at_ns)
			at_ns = model.job[i].ready_ns;
	if (model.wake_ns < at_ns)
		at_ns = model.wake_ns;
	if (first)
		first->left_ns -= at_ns - model.now_ns;
	model.now_ns = at_ns;
	if (model.wake_ns <= at_ns)
		model.wake_ns = ~0ull;
	if (first && !first->left_ns) {
		first->served = true;
		first->ready_ns = at_ns + first->delay_ns;
		model.head = (model.head + 1) % MODEL_JOBS_MAX;
		model.nr--;
	}
	for (i = 0; i < MODEL_JOBS_MAX; i++)
		if (model.job[i].used && model.job[i].served && model.job[i].ready_ns <= model.now_ns)
			job_ended(&model.job[i]);
	application();
	resync();
}

static void model_run(u64 ns)
{
	u64 end_ns = model.now_ns + ns;

	application();
	resync();
	while (model.now_ns < end_ns)
		model_step(end_ns);
}

/* MiB/s of the resync in the next @ns. */
static u64 model_rate(u64 ns)
{
	u64 before = model.chunk_bytes_done;

	model_run(ns);
	return ((model.chunk_bytes_done - before) >> 20) * 1000 * MS / ns;
}

static void forget_writes(void)
{
	memset(&model.writes, 0, sizeof(model.writes));
	model.nr_writes = 0;
}

static void busy_case(u32 depth, u64 service_ns, u64 wire_ns, u64 least_mib)
{
	u64 alone_ns, with_ns, rate;

	model_init(depth, service_ns, wire_ns);
	model_run(2000 * MS);
	alone_ns = resync_latency_quantile(&model.writes, 990);
	model.resync = true;
	model.last_chunk_ns = model.now_ns;
	model_run(3000 * MS);
	forget_writes();
	model.longest_still_ns = 0;
	rate = model_rate(5000 * MS);
	with_ns = resync_latency_quantile(&model.writes, 990);
	print_message("depth %u, service %llu us, wire %llu us: p99 %llu us alone, %llu us with %llu MiB/s, still %llu ms\n",
		      depth, (unsigned long long)(service_ns / US), (unsigned long long)(wire_ns / US),
		      (unsigned long long)(alone_ns / US), (unsigned long long)(with_ns / US),
		      (unsigned long long)rate, (unsigned long long)(model.longest_still_ns / MS));
	assert_true(with_ns <= alone_ns * 2);
	assert_true(rate >= least_mib);
	assert_true(model.longest_still_ns <= 2 * RESYNC_PROBE_NS);
}

static void test_busy_application_keeps_its_tail(void **state)
{
	(void)state;
	busy_case(1, 300 * US, 200 * US, 10);
	busy_case(1, 1000 * US, 0, 20);
	busy_case(8, 200 * US, 500 * US, 10);
	busy_case(32, 100 * US, 200 * US, 10);
	busy_case(1, 50 * US, 20000 * US, 10);
}

/* Even where nothing that the resync does is cheap enough, it moves. */
static void test_never_starves(void **state)
{
	(void)state;
	model_init(4, 20 * US, 0);
	model.chunk_ns_each = 3 * MS;
	model.resync = true;
	model_run(5000 * MS);
	model.longest_still_ns = 0;
	model_run(5000 * MS);
	assert_true(model.longest_still_ns <= 2 * RESYNC_PROBE_NS);
	assert_true(model.chunk_bytes_done > 2 << 20);
}

/* An allowance that was right for another load comes down. */
static void test_too_much_is_taken_back(void **state)
{
	u64 alone_ns;

	(void)state;
	model_init(1, 300 * US, 200 * US);
	model_run(2000 * MS);
	alone_ns = resync_latency_quantile(&model.writes, 990);
	model.governor.busy_bytes = RESYNC_IDLE_BYTES_START;
	model.resync = true;
	model_run(4000 * MS);
	forget_writes();
	model_run(2000 * MS);
	assert_true(resync_latency_quantile(&model.writes, 990) <= alone_ns * 2);
}

/* Whatever the application feels: a portion, then a pause that ends, and the least allowance. */
static void test_least_allowance(void **state)
{
	struct resync_governor governor;
	struct resync_grant grant = { 0 };
	u64 now_ns = 1000 * MS, chunks = 0, i;

	(void)state;
	resync_governor_init(&governor);
	for (i = 0; i < 20000; i++, now_ns += 5 * MS) {
		grant = resync_governor_ask(&governor, now_ns, true, 0, 1);
		if (grant.chunk_bytes) {
			chunks++;
			resync_governor_launched(&governor, grant.chunk_bytes);
			resync_governor_done(&governor, now_ns + MS, grant.chunk_bytes, MS);
		}
		resync_governor_io(&governor, now_ns + 4 * MS, governor.probing ? now_ns + 3 * MS : now_ns - 40 * MS);
		assert_true(governor.busy_bytes >= RESYNC_BUSY_BYTES_MIN);
		assert_true(governor.pause_until_ns <= now_ns + MS + RESYNC_PAUSE_MAX_NS);
	}
	assert_int_equal(governor.busy_bytes, RESYNC_BUSY_BYTES_MIN);
	assert_int_equal(governor.in_flight_bytes, 0);
	assert_true(chunks > 20000 / 20 / 4);
}

static void test_full_speed_soon_after_the_application(void **state)
{
	u64 idle_rate, rate;

	(void)state;
	model_init(0, 300 * US, 200 * US);
	model.resync = true;
	model_run(500 * MS);
	idle_rate = model_rate(1000 * MS);
	assert_true(idle_rate >= 180);		/* the server's 200 MiB/s less what each chunk costs */
	model.depth = 1;
	model_run(3000 * MS);
	assert_true(model_rate(1000 * MS) < idle_rate);
	model.depth = 0;
	model_run(100 * MS);
	rate = model_rate(100 * MS);
	assert_true(rate >= idle_rate * 9 / 10);
}

/* The queue that an idle application's next write finds is short. */
static void test_idle_window_is_no_longer_than_it_pays(void **state)
{
	(void)state;
	model_init(0, 0, 0);
	model.chunk_ns_per_kib = 100 * US;	/* 10 MiB/s */
	model.resync = true;
	model_run(5000 * MS);
	assert_int_equal(model.governor.idle_bytes, RESYNC_IDLE_BYTES_MIN);
	model_init(0, 0, 20 * MS);		/* a long line: the window grows until it is full */
	model.resync = true;
	model_run(2000 * MS);
	assert_true(model_rate(1000 * MS) >= 150);
}

static void test_runs_share(void **state)
{
	struct resync_governor governor;
	struct resync_grant grant;

	(void)state;
	resync_governor_init(&governor);
	grant = resync_governor_ask(&governor, 1000 * MS, false, RESYNC_IDLE_BYTES_START / 2 - RESYNC_CHUNK_BYTES, 2);
	assert_int_equal(grant.chunk_bytes, RESYNC_CHUNK_BYTES);
	grant = resync_governor_ask(&governor, 1000 * MS, false, RESYNC_IDLE_BYTES_START / 2, 2);
	assert_int_equal(grant.chunk_bytes, 0);
	assert_int_equal(grant.wait_ns, 0);
	grant = resync_governor_ask(&governor, 1000 * MS, false, 0, 100);	/* a share is never nothing */
	assert_int_equal(grant.chunk_bytes, RESYNC_CHUNK_BYTES);
}

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
	const char *seed = getenv("SEED");
	u32 round;

	(void)state;
	random_state = seed ? strtoull(seed, NULL, 0) : (u64)time(NULL) * 2 + 1;
	print_message("SEED=%llu\n", (unsigned long long)random_state);
	for (round = 0; round < 200; round++) {
		static bool proven[GRANULES * PIECES];
		struct resync_extent extent[64];
		u32 nr = 0, batch, i;

		map_init((u64)GRANULES * granule, granule);
		memset(proven, 0, sizeof(proven));
		for (batch = 0; batch < 30; batch++) {
			while (nr < 48) {
				u32 start = (u32)below(GRANULES * PIECES), length = (u32)below(PIECES) + 1;

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
		cmocka_unit_test(test_latency_quantiles),
		cmocka_unit_test(test_latency_forgets),
		cmocka_unit_test(test_busy_application_keeps_its_tail),
		cmocka_unit_test(test_never_starves),
		cmocka_unit_test(test_too_much_is_taken_back),
		cmocka_unit_test(test_least_allowance),
		cmocka_unit_test(test_full_speed_soon_after_the_application),
		cmocka_unit_test(test_idle_window_is_no_longer_than_it_pays),
		cmocka_unit_test(test_runs_share),
		cmocka_unit_test(test_compare_until_all_differs),
		cmocka_unit_test(test_samples_become_rare_while_all_differs),
		cmocka_unit_test(test_small_chunks_are_sent),
		cmocka_unit_test(test_parts_of_granules_are_carried),
		cmocka_unit_test(test_a_mark_ends_what_is_carried),
		cmocka_unit_test(test_random_batches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
