// SPDX-License-Identifier: GPL-2.0
/*
 * The governor of a volume's resyncs [R3]. See governor.h.
 */
#include "governor.h"

CORE_STATIC_ASSERT(GOVERNOR_BUSY_CHUNK_BYTES % RESYNC_PIECE_BYTES == 0, "a portion is whole pieces");

enum { MICROSECONDS_MAX = 1 << 30 };	/* a limit has room */

void governor_init(struct governor *governor)
{
	memset(governor, 0, sizeof(*governor));
	governor->busy_bytes = GOVERNOR_BUSY_BYTES_START;
	governor->permitted_bytes = GOVERNOR_BUSY_BYTES_START;
	governor->idle_bytes = GOVERNOR_IDLE_BYTES_START;
}

/* ---- what writes take by themselves ---- */

static u32 microseconds(u64 ns)
{
	return ns >> 10 < MICROSECONDS_MAX ? (u32)(ns >> 10) : MICROSECONDS_MAX;
}

static void insert_sorted(u32 *sorted, u32 nr, u32 value)
{
	for (; nr && sorted[nr - 1] > value; nr--)
		sorted[nr] = sorted[nr - 1];
	sorted[nr] = value;
}

/* Three quarters more than is felt without a resync: what lies beyond, which is not counted, stays within twice that. */
static u32 limit_us(u32 quiet_us)
{
	return quiet_us + quiet_us / 2 + quiet_us / 4 + 1;
}

static void set_limits(struct governor *governor, u32 nr)
{
	u32 median_us[GOVERNOR_MEASURES], longest_us[GOVERNOR_MEASURES];
	u32 i;

	if (nr > GOVERNOR_MEASURES)
		nr = GOVERNOR_MEASURES;
	for (i = 0; i < nr; i++) {
		insert_sorted(median_us, i, governor->measure[i].median_us);
		insert_sorted(longest_us, i, governor->measure[i].longest_us);
	}
	governor->limit.median_us = limit_us(median_us[(nr - 1) / 2]);
	governor->limit.longest_us = limit_us(longest_us[(nr - 1) / 2]);
}

/* The first measure counts before it is whole, and is taken again then. */
static void take_measure(struct governor *governor)
{
	u32 nr = governor->nr_writes;

	if (nr < (governor->nr_measures ? GOVERNOR_MEASURE_WRITES : GOVERNOR_MEASURE_WRITES_MIN))
		return;
	governor->measure[governor->nr_measures % GOVERNOR_MEASURES] = (struct governor_measure) {
		.median_us = governor->write_us[nr / 2],
		.longest_us = governor->write_us[nr - 1],
	};
	set_limits(governor, governor->nr_measures + 1);
	if (nr < GOVERNOR_MEASURE_WRITES)
		return;
	governor->nr_measures++;
	governor->nr_writes = 0;
}

static void probe_begin(struct governor *governor, u64 now_ns)
{
	governor->probing = true;
	governor->probe_end_ns = now_ns + GOVERNOR_PROBE_NS;
	governor->quiet_since_ns = governor->in_flight_bytes ? 0 : now_ns;
}

static void probe_end(struct governor *governor, u64 now_ns)
{
	bool often = governor->busy_bytes == GOVERNOR_BUSY_BYTES_MIN || governor->nr_measures < GOVERNOR_MEASURES_MIN;

	take_measure(governor);
	if (governor->credit < 0)
		governor->credit /= 2;
	governor->probing = false;
	governor->probe_next_ns = now_ns + (often ? GOVERNOR_PROBE_PERIOD_SHORT_NS : GOVERNOR_PROBE_PERIOD_NS);
	governor->judged_since_ns = now_ns;
}

/* True: the probe ended. */
static bool probe_io(struct governor *governor, u64 now_ns, u64 begin_ns)
{
	if (!governor->quiet_since_ns || begin_ns < governor->quiet_since_ns)
		return false;
	insert_sorted(governor->write_us, governor->nr_writes++, microseconds(now_ns - begin_ns));
	if (governor->nr_writes < GOVERNOR_MEASURE_WRITES)
		return false;
	probe_end(governor, now_ns);
	return true;
}

/* ---- the allowance of a busy application ---- */

/* An eighth more for each tenth of a second since the last change, or twice as much. */
static void allow_more(struct governor *governor, u64 now_ns)
{
	u64 eighth_end_ns = governor->changed_ns + GOVERNOR_RAISE_EIGHTH_NS;
	u32 eighths = governor->busy_bytes < governor->doubling_bytes ? 8 : 1, bytes = governor->busy_bytes;

	while (eighths < 8 && eighth_end_ns + GOVERNOR_RAISE_EIGHTH_NS <= now_ns) {
		eighth_end_ns += GOVERNOR_RAISE_EIGHTH_NS;
		eighths++;
	}
	bytes += bytes / 8 * eighths;
	governor->busy_bytes = bytes < governor->idle_bytes ? bytes : governor->idle_bytes;
	governor->credit = GOVERNOR_RESERVE;
	governor->shrinking = false;
	governor->changed_ns = now_ns;
}

/* Writes that are under way do not tell about what is left. */
static void allow_less(struct governor *governor, u64 now_ns)
{
	u32 bytes = governor->busy_bytes - governor->busy_bytes / 4;

	if (!governor->shrinking)
		governor->doubling_bytes = governor->busy_bytes / 2;
	governor->busy_bytes = bytes > GOVERNOR_BUSY_BYTES_MIN ? bytes : GOVERNOR_BUSY_BYTES_MIN;
	governor->median_credit = 0;
	governor->shrinking = true;
	governor->changed_ns = now_ns;
	governor->judged_since_ns = now_ns;
}

static int credit_after(int credit, int change, int least, int most)
{
	credit += change;
	if (credit < least)
		return least;
	return credit < most ? credit : most;
}

static bool more_is_earned(const struct governor *governor, u64 now_ns)
{
	u64 since_ns = now_ns - governor->changed_ns;

	if (governor->median_credit < 0 || since_ns < GOVERNOR_RAISE_NS)
		return false;
	return governor->credit >= GOVERNOR_RESERVE + (since_ns < GOVERNOR_SLOW_NS ? GOVERNOR_PRICE : GOVERNOR_PRICE_SLOW);
}

static void judge(struct governor *governor, u64 now_ns, u32 took_us)
{
	bool beyond = took_us > governor->limit.longest_us;

	governor->credit = credit_after(governor->credit, beyond ? -GOVERNOR_BEYOND_COST : 1, -GOVERNOR_DEBT_MAX,
					GOVERNOR_RESERVE + GOVERNOR_PRICE);
	governor->median_credit = credit_after(governor->median_credit, took_us > governor->limit.median_us ? -1 : 1,
					       -GOVERNOR_MEDIAN_CREDIT_MAX, GOVERNOR_MEDIAN_CREDIT_MAX);
	if ((beyond && governor->credit < 0) || governor->median_credit == -GOVERNOR_MEDIAN_CREDIT_MAX)
		allow_less(governor, now_ns);
	else if (more_is_earned(governor, now_ns))
		allow_more(governor, now_ns);
}

bool governor_io(struct governor *governor, u64 now_ns, u64 begin_ns)
{
	governor->busy_until_ns = now_ns + GOVERNOR_IDLE_NS;
	if (governor->probing)
		return probe_io(governor, now_ns, begin_ns);
	if (governor->limit.longest_us && begin_ns >= governor->judged_since_ns &&
	    governor->in_flight_bytes <= governor->permitted_bytes)
		judge(governor, now_ns, microseconds(now_ns - begin_ns));
	return false;
}

/* ---- grants ---- */

/* The portion for an allowance: half of it, a power of two. */
static u32 portion_bytes(u32 busy_bytes)
{
	u32 bytes = GOVERNOR_BUSY_CHUNK_BYTES;

	while (bytes < RESYNC_CHUNK_BYTES && bytes * 4 <= busy_bytes)
		bytes *= 2;
	return bytes;
}

static struct governor_grant grant_now(u32 chunk_bytes)
{
	return (struct governor_grant) { .chunk_bytes = chunk_bytes };
}

static struct governor_grant grant_after(u64 wait_ns)
{
	return (struct governor_grant) { .wait_ns = wait_ns };
}

/* A run with nothing under way is never told to wait for a completion: it gets a chunk, or a time. */
static struct governor_grant grant_in_window(u32 window_bytes, u32 chunk_bytes, u32 run_bytes, u32 nr_runs)
{
	if (nr_runs > 1)
		window_bytes /= nr_runs;
	if (run_bytes && run_bytes + chunk_bytes > window_bytes)
		return grant_now(0);
	return grant_now(chunk_bytes);
}

struct governor_grant governor_ask(struct governor *governor, u64 now_ns, bool io_in_flight, u32 run_bytes, u32 nr_runs)
{
	u32 portion;

	if (io_in_flight)
		governor->busy_until_ns = now_ns + GOVERNOR_IDLE_NS;
	if (now_ns >= governor->busy_until_ns) {
		governor->probing = false;
		return grant_in_window(governor->idle_bytes, RESYNC_CHUNK_BYTES, run_bytes, nr_runs);
	}
	if (!governor->probing && now_ns >= governor->probe_next_ns)
		probe_begin(governor, now_ns);
	if (governor->probing && now_ns >= governor->probe_end_ns)
		probe_end(governor, now_ns);
	if (governor->probing)
		return grant_after(governor->probe_end_ns - now_ns);
	if (now_ns < governor->pause_until_ns)
		return grant_after(governor->pause_until_ns - now_ns);
	portion = portion_bytes(governor->busy_bytes);
	governor->permitted_bytes = portion * nr_runs > governor->busy_bytes ? portion * nr_runs : governor->busy_bytes;
	return grant_in_window(governor->busy_bytes, portion, run_bytes, nr_runs);
}

void governor_launched(struct governor *governor, u32 bytes)
{
	governor->in_flight_bytes += bytes;
}

void governor_dropped(struct governor *governor, u64 now_ns, u32 bytes)
{
	bool too_much = governor->in_flight_bytes > governor->permitted_bytes;

	governor->in_flight_bytes -= bytes;
	if (too_much)	/* left from when the application was idle, or the allowance larger */
		governor->judged_since_ns = now_ns;
	if (!governor->probing || governor->in_flight_bytes)
		return;
	governor->quiet_since_ns = now_ns;
	governor->probe_end_ns = now_ns + GOVERNOR_PROBE_NS;
}

/* The rest of the time in which the allowance permits one portion. */
static u64 pause_ns(u32 busy_bytes, u64 took_ns)
{
	u32 share = busy_bytes >> 8;
	u32 took;

	if (busy_bytes >= GOVERNOR_BUSY_CHUNK_BYTES)
		return 0;
	if (took_ns > GOVERNOR_PAUSE_MAX_NS)
		return GOVERNOR_PAUSE_MAX_NS;
	took = (u32)took_ns / share * ((GOVERNOR_BUSY_CHUNK_BYTES >> 8) - share);
	return took < GOVERNOR_PAUSE_MAX_NS ? took : GOVERNOR_PAUSE_MAX_NS;
}

/* The window of an idle application grows while its chunks do not queue for long. */
static void idle_adjust(struct governor *governor, u32 bytes, u64 took_ns)
{
	u64 queued_ns = took_ns - governor->chunk_ns_min;
	u32 window = governor->idle_bytes;

	if (queued_ns > 2 * GOVERNOR_QUEUE_NS)
		window -= bytes / 2;
	else if (queued_ns <= GOVERNOR_QUEUE_NS && governor->in_flight_bytes >= window / 4 * 3)
		window += bytes;
	if (window < GOVERNOR_IDLE_BYTES_MIN)
		window = GOVERNOR_IDLE_BYTES_MIN;
	if (window > GOVERNOR_WINDOW_BYTES_MAX)
		window = GOVERNOR_WINDOW_BYTES_MAX;
	governor->idle_bytes = window;
}

void governor_done(struct governor *governor, u64 now_ns, u32 bytes, u64 took_ns)
{
	if (!governor->chunk_ns_min || took_ns < governor->chunk_ns_min)
		governor->chunk_ns_min = took_ns;
	if (now_ns < governor->busy_until_ns)
		governor->pause_until_ns = now_ns + pause_ns(governor->busy_bytes, took_ns);
	else
		idle_adjust(governor, bytes, took_ns);
	governor_dropped(governor, now_ns, bytes);
}
