// SPDX-License-Identifier: GPL-2.0
/*
 * The governor of a resync [R3] against a small model of two machines in which writes and chunks queue for one server, and
 * what it makes of single writes. Everything is deterministic.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../../kernel/core/governor.h"
#include "../lib/random.h"

#define US 1000ull
#define MS 1000000ull

/* ---- the governor and a queue ---- */

enum { MODEL_JOBS_MAX = 512, MODEL_WRITES_MAX = 1 << 20 };

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
	struct governor governor;
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
	u64 stir_until_ns, stir_ns;	/* until then each write needs so much more, whatever the resync does */
	u64 hiccup_period_ns, hiccup_ns;	/* writes that come at the begin of each period wait till so late in it */
	u64 chunk_bytes_done;
	u64 write_ns[MODEL_WRITES_MAX];	/* what writes took since forget_writes() */
	u32 nr_writes;
	u64 longest_still_ns, last_chunk_ns;
	bool resync;
};

static struct model model;

static void model_init(u32 depth, u64 write_service_ns, u64 wire_ns)
{
	memset(&model, 0, sizeof(model));
	random_state = 1;
	governor_init(&model.governor);
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
		u64 service_ns = model.write_service_ns + random_u64() % (model.jitter_ns + 1);

		if (model.now_ns < model.stir_until_ns)
			service_ns += model.stir_ns;
		if (model.hiccup_period_ns && model.now_ns % model.hiccup_period_ns < model.hiccup_ns)
			service_ns += model.hiccup_ns - model.now_ns % model.hiccup_period_ns;
		submit(service_ns, 0);
		model.writes_in_flight++;
	}
}

static void resync(void)
{
	struct governor_grant grant;

	while (model.resync) {
		grant = governor_ask(&model.governor, model.now_ns, model.writes_in_flight, model.governor.in_flight_bytes, 1);
		assert_true(grant.chunk_bytes <= RESYNC_CHUNK_BYTES && grant.chunk_bytes % RESYNC_PIECE_BYTES == 0);
		assert_true(!grant.chunk_bytes || !grant.wait_ns);
		assert_true(grant.wait_ns <= GOVERNOR_PROBE_NS);	/* bounded */
		if (!model.chunks_in_flight)
			assert_true(grant.chunk_bytes || grant.wait_ns);	/* nobody else would wake it up */
		if (!grant.chunk_bytes) {
			if (grant.wait_ns && model.now_ns + grant.wait_ns < model.wake_ns)
				model.wake_ns = model.now_ns + grant.wait_ns;
			return;
		}
		assert_true(model.governor.in_flight_bytes <= GOVERNOR_WINDOW_BYTES_MAX);
		governor_launched(&model.governor, grant.chunk_bytes);
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
		governor_done(&model.governor, model.now_ns, job->bytes, took_ns);
		return;
	}
	model.writes_in_flight--;
	assert_true(model.nr_writes < MODEL_WRITES_MAX);
	model.write_ns[model.nr_writes++] = took_ns;
	governor_io(&model.governor, model.now_ns, job->begin_ns);
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
	model.nr_writes = 0;
}

static int by_size(const void *a, const void *b)
{
	const u64 *first = a, *second = b;

	return *first < *second ? -1 : *first > *second;
}

/* Of what writes took since they were forgotten; they are now. */
static u64 quantile_ns(u32 permille)
{
	u64 ns;

	assert_true(model.nr_writes >= 90);
	qsort(model.write_ns, model.nr_writes, sizeof(model.write_ns[0]), by_size);
	ns = model.write_ns[(u64)model.nr_writes * permille / 1000];
	forget_writes();
	return ns;
}

static void busy_case(u32 depth, u64 service_ns, u64 wire_ns, u64 least_mib)
{
	u64 alone_ns, with_ns, rate;

	model_init(depth, service_ns, wire_ns);
	model_run(5000 * MS);
	alone_ns = quantile_ns(990);
	model.resync = true;
	model.last_chunk_ns = model.now_ns;
	model_run(3000 * MS);
	forget_writes();
	model.longest_still_ns = 0;
	rate = model_rate(5000 * MS);
	with_ns = quantile_ns(990);
	print_message("depth %u, service %llu us, wire %llu us: p99 %llu us alone, %llu us with %llu MiB/s, still %llu ms\n",
		      depth, (unsigned long long)(service_ns / US), (unsigned long long)(wire_ns / US),
		      (unsigned long long)(alone_ns / US), (unsigned long long)(with_ns / US),
		      (unsigned long long)rate, (unsigned long long)(model.longest_still_ns / MS));
	assert_true(with_ns <= alone_ns * 2);
	assert_true(rate >= least_mib);
	assert_true(model.longest_still_ns <= 2 * GOVERNOR_PROBE_NS);
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

/* A resync begins when a peer returns, which writes feel for a while: that is not what they take without a resync. */
static void test_stir_of_the_begin_is_no_measure(void **state)
{
	u64 alone_ns, with_ns;

	(void)state;
	model_init(1, 400 * US, 200 * US);
	model_run(3000 * MS);
	alone_ns = quantile_ns(990);
	model.stir_ns = 2 * MS;
	model.stir_until_ns = model.now_ns + 400 * MS;
	model.resync = true;
	model_run(1500 * MS);
	forget_writes();
	model_run(3000 * MS);
	with_ns = quantile_ns(990);
	print_message("p99 %llu us alone, %llu us soon after a begin that took %llu us each\n", (unsigned long long)(alone_ns / US),
		      (unsigned long long)(with_ns / US), (unsigned long long)(model.stir_ns / US));
	assert_true(with_ns <= alone_ns * 2);
}

/* What holds writes up now and then, resync or not, neither lets the resync loose nor stops it. */
static void test_hiccups_of_others(void **state)
{
	u64 alone_ns, with_ns, rate;

	(void)state;
	model_init(4, 200 * US, 200 * US);
	model.hiccup_period_ns = 900 * MS;
	model.hiccup_ns = 15 * MS;
	model_run(5000 * MS);
	alone_ns = quantile_ns(980);
	model.resync = true;
	model_run(10000 * MS);
	forget_writes();
	rate = model_rate(10000 * MS);
	with_ns = quantile_ns(980);
	print_message("p98 %llu us alone, %llu us with %llu MiB/s\n", (unsigned long long)(alone_ns / US),
		      (unsigned long long)(with_ns / US), (unsigned long long)rate);
	assert_true(with_ns <= alone_ns * 2);
	assert_true(rate >= 10);
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
	assert_true(model.longest_still_ns <= 2 * GOVERNOR_PROBE_NS);
	assert_true(model.chunk_bytes_done > 2 << 20);
}

/* An allowance that was right for another load comes down. */
static void test_too_much_is_taken_back(void **state)
{
	u64 alone_ns;

	(void)state;
	model_init(1, 300 * US, 200 * US);
	model_run(2000 * MS);
	alone_ns = quantile_ns(990);
	model.governor.busy_bytes = GOVERNOR_IDLE_BYTES_START;
	model.resync = true;
	model_run(4000 * MS);
	forget_writes();
	model_run(2000 * MS);
	assert_true(quantile_ns(990) <= alone_ns * 2);
}

/* Whatever the application feels: a portion, then a pause that ends, and the least allowance. */
static void test_least_allowance(void **state)
{
	struct governor governor;
	struct governor_grant grant = { 0 };
	u64 now_ns = 1000 * MS, chunks = 0, i;

	(void)state;
	governor_init(&governor);
	for (i = 0; i < 20000; i++, now_ns += 5 * MS) {
		grant = governor_ask(&governor, now_ns, true, 0, 1);
		if (grant.chunk_bytes) {
			chunks++;
			governor_launched(&governor, grant.chunk_bytes);
			governor_done(&governor, now_ns + MS, grant.chunk_bytes, MS);
		}
		governor_io(&governor, now_ns + 4 * MS, governor.probing ? now_ns + 3 * MS : now_ns - 40 * MS);
		assert_true(governor.busy_bytes >= GOVERNOR_BUSY_BYTES_MIN);
		assert_true(governor.pause_until_ns <= now_ns + MS + GOVERNOR_PAUSE_MAX_NS);
	}
	assert_int_equal(governor.busy_bytes, GOVERNOR_BUSY_BYTES_MIN);
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
	assert_int_equal(model.governor.idle_bytes, GOVERNOR_IDLE_BYTES_MIN);
	model_init(0, 0, 20 * MS);		/* a long line: the window grows until it is full */
	model.resync = true;
	model_run(2000 * MS);
	assert_true(model_rate(1000 * MS) >= 150);
}

static void test_runs_share(void **state)
{
	struct governor governor;
	struct governor_grant grant;

	(void)state;
	governor_init(&governor);
	grant = governor_ask(&governor, 1000 * MS, false, GOVERNOR_IDLE_BYTES_START / 2 - RESYNC_CHUNK_BYTES, 2);
	assert_int_equal(grant.chunk_bytes, RESYNC_CHUNK_BYTES);
	grant = governor_ask(&governor, 1000 * MS, false, GOVERNOR_IDLE_BYTES_START / 2, 2);
	assert_int_equal(grant.chunk_bytes, 0);
	assert_int_equal(grant.wait_ns, 0);
	grant = governor_ask(&governor, 1000 * MS, false, 0, 100);	/* a share is never nothing */
	assert_int_equal(grant.chunk_bytes, RESYNC_CHUNK_BYTES);
}

/* ---- write by write: one at a time, nothing of the resync under way unless it is said ---- */

static struct governor governor;
static u64 now_ns;

static void write_took(u64 took_us)
{
	now_ns += took_us * US;
	governor_io(&governor, now_ns, now_ns - took_us * US);
}

static void writes_took(u32 nr, u64 took_us)
{
	while (nr--)
		write_took(took_us);
}

/* The next probe, of writes that take so much each, but for the longest. */
static void measure(u64 took_us, u64 longest_us)
{
	if (governor.probe_next_ns > now_ns)
		now_ns = governor.probe_next_ns;
	governor_io(&governor, now_ns, now_ns);
	assert_true(governor_ask(&governor, now_ns, true, 0, 1).wait_ns);
	assert_true(governor.probing);
	writes_took(GOVERNOR_MEASURE_WRITES - 1, took_us);
	write_took(longest_us);
	assert_false(governor.probing);
	governor.changed_ns = now_ns;		/* the way here took none of the time in which the price falls */
}

static void measured(u64 took_us, u64 longest_us)
{
	governor_init(&governor);
	now_ns = 1000 * MS;
	measure(took_us, longest_us);
}

/* Three quarters more than the governor's microseconds, which are of 1024 ns. */
static void assert_limit(u32 limit_us, u64 quiet_us)
{
	assert_in_range(limit_us, quiet_us * 1000 / 1024 * 7 / 4 - 2, quiet_us * 1000 / 1024 * 7 / 4 + 2);
}

static void test_middle_of_the_last_measures(void **state)
{
	u32 i;

	(void)state;
	measured(5000, 9000);
	assert_limit(governor.limit.median_us, 5000);
	assert_limit(governor.limit.longest_us, 9000);
	measure(500, 900);		/* of two the lower one */
	assert_limit(governor.limit.median_us, 500);
	assert_limit(governor.limit.longest_us, 900);
	measure(600, 1000);
	measure(400, 20000);
	measure(450, 800);
	assert_limit(governor.limit.median_us, 500);
	assert_limit(governor.limit.longest_us, 1000);
	for (i = 0; i < GOVERNOR_MEASURES - 1; i++)
		measure(2000, 3000);
	assert_limit(governor.limit.median_us, 2000);
	assert_limit(governor.limit.longest_us, 3000);
}

/* Few writes in each probe: a measure takes several, but the first one counts soon. */
static void test_first_measure_counts_soon(void **state)
{
	u32 probes, i;

	(void)state;
	governor_init(&governor);
	now_ns = 1000 * MS;
	for (probes = 1; probes <= 3; probes++) {
		governor_ask(&governor, now_ns, true, 0, 1);
		for (i = 0; i < 5; i++)
			write_took(19000);
		assert_true(governor.probing);
		now_ns = governor.probe_end_ns;
		governor_ask(&governor, now_ns, true, 0, 1);
		assert_false(governor.probing);
		assert_int_equal(governor.limit.longest_us != 0, probes * 5 >= GOVERNOR_MEASURE_WRITES_MIN);
		assert_int_equal(governor.nr_measures, 0);
		now_ns = governor.probe_next_ns;
	}
	assert_limit(governor.limit.longest_us, 19000);
}

/* @nr writes, every @nth of them beyond the limit. */
static void every_nth_beyond(u32 nr, u32 nth)
{
	u32 i;

	for (i = 1; i <= nr; i++)
		write_took(i % nth ? 500 : 5000);
}

static void test_one_in_a_hundred_may_be_beyond(void **state)
{
	(void)state;
	measured(500, 900);
	every_nth_beyond(10000, 110);
	assert_int_equal(governor.busy_bytes, governor.idle_bytes);
	measured(500, 900);
	every_nth_beyond(10000, 90);
	assert_true(governor.busy_bytes < GOVERNOR_BUSY_BYTES_START / 2);
}

static void test_debt_is_earned_back(void **state)
{
	u32 bytes, writes = 0;

	(void)state;
	measured(500, 900);
	writes_took(5, 5000);
	bytes = governor.busy_bytes;
	assert_true(bytes < GOVERNOR_BUSY_BYTES_START / 2);
	while (governor.busy_bytes == bytes && ++writes < 5000)
		write_took(500);
	assert_in_range(writes, 5 * GOVERNOR_BEYOND_COST, 5 * GOVERNOR_BEYOND_COST + GOVERNOR_RESERVE + GOVERNOR_PRICE + 1);

	measured(500, 900);		/* a probe forgives half of it, and all of it is bounded */
	writes_took(50, 5000);
	assert_int_equal(governor.credit, -GOVERNOR_DEBT_MAX);
	assert_int_equal(governor.busy_bytes, GOVERNOR_BUSY_BYTES_MIN);
	measure(500, 900);
	assert_in_range(-governor.credit, GOVERNOR_DEBT_MAX / 2 - 1, GOVERNOR_DEBT_MAX / 2);
}

/* After a hiccup it takes hundreds of writes, not thousands, to be where it was. */
static void test_hiccup_is_made_up_for(void **state)
{
	u32 writes = 0;

	(void)state;
	measured(500, 900);
	every_nth_beyond(1000, 2000);
	assert_true(governor.busy_bytes > GOVERNOR_BUSY_BYTES_START);
	writes_took(20, 5000);
	assert_int_equal(governor.busy_bytes, GOVERNOR_BUSY_BYTES_MIN);
	governor.credit = 0;			/* what is owed is another test's */
	while (governor.busy_bytes < GOVERNOR_BUSY_BYTES_START / 2 && ++writes < 10000)
		write_took(500);
	assert_true(writes <= 700);
}

static void test_median_is_held_too(void **state)
{
	(void)state;
	measured(500, 2000);
	writes_took(400, 1000);		/* none beyond the limit of the longest, all beyond that of the median */
	assert_true(governor.busy_bytes < GOVERNOR_BUSY_BYTES_START / 4);
}

/* Writes under way when the allowance shrinks were begun beside what it was: they shrink it no further. */
static void test_shrinks_once_for_writes_together(void **state)
{
	u32 i;

	(void)state;
	measured(500, 900);
	now_ns += 5 * MS;
	for (i = 0; i < 32; i++)
		governor_io(&governor, now_ns + i * US, now_ns - 5 * MS + i * US);
	assert_int_equal(governor.busy_bytes, GOVERNOR_BUSY_BYTES_START / 4 * 3);
}

/* What is left of the idle application's window is no matter of the allowance. */
static void test_leftovers_are_not_judged(void **state)
{
	u64 begin_ns;

	(void)state;
	measured(500, 900);
	governor_launched(&governor, GOVERNOR_IDLE_BYTES_START);
	writes_took(10, 9000);
	assert_int_equal(governor.busy_bytes, GOVERNOR_BUSY_BYTES_START);
	begin_ns = now_ns;
	now_ns += 9 * MS;
	governor_done(&governor, now_ns, GOVERNOR_IDLE_BYTES_START, 80 * MS);
	governor_io(&governor, now_ns, begin_ns);
	assert_int_equal(governor.busy_bytes, GOVERNOR_BUSY_BYTES_START);
	write_took(9000);
	assert_int_equal(governor.busy_bytes, GOVERNOR_BUSY_BYTES_START / 4 * 3);
}

static void test_less_than_a_portion_is_pauses(void **state)
{
	struct governor_grant grant;

	(void)state;
	measured(500, 900);
	governor.busy_bytes = GOVERNOR_BUSY_CHUNK_BYTES / 8;
	grant = governor_ask(&governor, now_ns, true, 0, 1);
	assert_int_equal(grant.chunk_bytes, GOVERNOR_BUSY_CHUNK_BYTES);
	governor_launched(&governor, grant.chunk_bytes);
	now_ns += MS;
	governor_done(&governor, now_ns, grant.chunk_bytes, MS);
	grant = governor_ask(&governor, now_ns, true, 0, 1);
	assert_int_equal(grant.chunk_bytes, 0);
	assert_in_range(grant.wait_ns, 7 * MS - 10 * US, 7 * MS);
	governor.busy_bytes = GOVERNOR_BUSY_CHUNK_BYTES;
	governor.pause_until_ns = 0;
	governor_launched(&governor, GOVERNOR_BUSY_CHUNK_BYTES);
	governor_done(&governor, now_ns, GOVERNOR_BUSY_CHUNK_BYTES, MS);
	assert_int_equal(governor_ask(&governor, now_ns, true, 0, 1).chunk_bytes, GOVERNOR_BUSY_CHUNK_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_busy_application_keeps_its_tail),
		cmocka_unit_test(test_stir_of_the_begin_is_no_measure),
		cmocka_unit_test(test_hiccups_of_others),
		cmocka_unit_test(test_never_starves),
		cmocka_unit_test(test_too_much_is_taken_back),
		cmocka_unit_test(test_least_allowance),
		cmocka_unit_test(test_full_speed_soon_after_the_application),
		cmocka_unit_test(test_idle_window_is_no_longer_than_it_pays),
		cmocka_unit_test(test_runs_share),
		cmocka_unit_test(test_middle_of_the_last_measures),
		cmocka_unit_test(test_first_measure_counts_soon),
		cmocka_unit_test(test_one_in_a_hundred_may_be_beyond),
		cmocka_unit_test(test_debt_is_earned_back),
		cmocka_unit_test(test_hiccup_is_made_up_for),
		cmocka_unit_test(test_median_is_held_too),
		cmocka_unit_test(test_shrinks_once_for_writes_together),
		cmocka_unit_test(test_leftovers_are_not_judged),
		cmocka_unit_test(test_less_than_a_portion_is_pauses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
