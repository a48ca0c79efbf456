// SPDX-License-Identifier: GPL-2.0
/*
 * Decisions of a resync's source: the governor [R3], comparing or sending [D4], what a batch proves [D2]. See resync.h.
 */
#include "resync.h"

CORE_STATIC_ASSERT(RESYNC_QUIET_SAMPLES * 16 < 1 << 16, "a bucket has room for all weight");
CORE_STATIC_ASSERT(RESYNC_BUSY_CHUNK_BYTES % RESYNC_PIECE_BYTES == 0, "a portion is whole pieces");

enum {
	SAMPLE_WEIGHT = 16,	/* halved again and again, so that a single sample fades instead of vanishing */
	LATENCY_SHIFT = 13,	/* ns of the first bucket */
};

/* ---- latencies ---- */

static u32 high_bit(u64 value)
{
	return 63 - (u32)__builtin_clzll(value);
}

static u32 latency_bucket(u64 ns)
{
	u64 value = ns >> LATENCY_SHIFT;
	u32 high, bucket;

	if (value < 8)
		return (u32)value;
	high = high_bit(value);
	bucket = (high - 2) * 8 + (u32)(value >> (high - 3) & 7);
	return bucket < RESYNC_LATENCY_BUCKETS ? bucket : RESYNC_LATENCY_BUCKETS - 1;
}

static u64 bucket_end_ns(u32 bucket)
{
	if (bucket < 8)
		return (u64)(bucket + 1) << LATENCY_SHIFT;
	return (u64)(8 + bucket % 8 + 1) << (bucket / 8 - 1 + LATENCY_SHIFT);
}

void resync_latency_add(struct resync_latency *latency, u64 ns, u32 nr_max)
{
	u32 i;

	if (latency->weight >= nr_max * SAMPLE_WEIGHT) {
		latency->weight = 0;
		for (i = 0; i < RESYNC_LATENCY_BUCKETS; i++) {
			latency->bucket[i] /= 2;
			latency->weight += latency->bucket[i];
		}
	}
	latency->bucket[latency_bucket(ns)] += SAMPLE_WEIGHT;
	latency->weight += SAMPLE_WEIGHT;
}

u64 resync_latency_quantile(const struct resync_latency *latency, u32 permille)
{
	u32 wanted = (latency->weight * permille + 999) / 1000;
	u32 bucket, below = 0;

	if (!latency->weight)
		return 0;
	for (bucket = 0; bucket < RESYNC_LATENCY_BUCKETS - 1; bucket++) {
		below += latency->bucket[bucket];
		if (below && below >= wanted)
			break;
	}
	return bucket_end_ns(bucket);
}

u32 resync_latency_samples(const struct resync_latency *latency)
{
	return latency->weight / SAMPLE_WEIGHT;
}

/* ---- the governor ---- */

void resync_governor_init(struct resync_governor *governor)
{
	memset(governor, 0, sizeof(*governor));
	governor->busy_bytes = RESYNC_BUSY_BYTES_START;
	governor->idle_bytes = RESYNC_IDLE_BYTES_START;
}

static void probe_begin(struct resync_governor *governor, u64 now_ns)
{
	governor->probing = true;
	governor->probe_end_ns = now_ns + RESYNC_PROBE_NS;
	governor->quiet_since_ns = governor->in_flight_bytes ? 0 : now_ns;
	governor->nr_probed = 0;
}

static void probe_end(struct resync_governor *governor, u64 now_ns)
{
	bool often = governor->busy_bytes == RESYNC_BUSY_BYTES_MIN ||
		     resync_latency_samples(&governor->quiet) < RESYNC_QUIET_SAMPLES / 2;

	governor->probing = false;
	governor->probe_next_ns = now_ns + (often ? RESYNC_PROBE_PERIOD_SHORT_NS : RESYNC_PROBE_PERIOD_NS);
	governor->loaded_since_ns = now_ns;
}

/* The portion for an allowance: half of it, a power of two. */
static u32 portion_bytes(u32 busy_bytes)
{
	u32 bytes = RESYNC_BUSY_CHUNK_BYTES;

	while (bytes < RESYNC_CHUNK_BYTES && bytes * 4 <= busy_bytes)
		bytes *= 2;
	return bytes;
}

static struct resync_grant grant_now(u32 chunk_bytes)
{
	return (struct resync_grant) { .chunk_bytes = chunk_bytes };
}

static struct resync_grant grant_after(u64 wait_ns)
{
	return (struct resync_grant) { .wait_ns = wait_ns };
}

/* A run with nothing under way is never told to wait for a completion: it gets a chunk, or a time. */
static struct resync_grant grant_in_window(u32 window_bytes, u32 chunk_bytes, u32 run_bytes, u32 nr_runs)
{
	if (nr_runs > 1)
		window_bytes /= nr_runs;
	if (run_bytes && run_bytes + chunk_bytes > window_bytes)
		return grant_now(0);
	return grant_now(chunk_bytes);
}

struct resync_grant resync_governor_ask(struct resync_governor *governor, u64 now_ns, bool io_in_flight, u32 run_bytes,
					u32 nr_runs)
{
	if (io_in_flight)
		governor->busy_until_ns = now_ns + RESYNC_IDLE_NS;
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
	return grant_in_window(governor->busy_bytes, portion_bytes(governor->busy_bytes), run_bytes, nr_runs);
}

void resync_governor_launched(struct resync_governor *governor, u32 bytes)
{
	governor->in_flight_bytes += bytes;
}

void resync_governor_dropped(struct resync_governor *governor, u64 now_ns, u32 bytes)
{
	governor->in_flight_bytes -= bytes;
	if (!governor->probing || governor->in_flight_bytes)
		return;
	governor->quiet_since_ns = now_ns;
	governor->probe_end_ns = now_ns + RESYNC_PROBE_NS;
}

/* The rest of the time in which the allowance permits one portion. */
static u64 pause_ns(u32 busy_bytes, u64 took_ns)
{
	u32 share = busy_bytes >> 8;
	u32 took;

	if (busy_bytes >= RESYNC_BUSY_CHUNK_BYTES)
		return 0;
	if (took_ns > RESYNC_PAUSE_MAX_NS)
		return RESYNC_PAUSE_MAX_NS;
	took = (u32)took_ns / share * ((RESYNC_BUSY_CHUNK_BYTES >> 8) - share);
	return took < RESYNC_PAUSE_MAX_NS ? took : RESYNC_PAUSE_MAX_NS;
}

/* The window of an idle application grows while its chunks do not queue for long. */
static void idle_adjust(struct resync_governor *governor, u32 bytes, u64 took_ns)
{
	u64 queued_ns = took_ns - governor->chunk_ns_min;
	u32 window = governor->idle_bytes;

	if (queued_ns > 2 * RESYNC_QUEUE_NS)
		window -= bytes / 2;
	else if (queued_ns <= RESYNC_QUEUE_NS && governor->in_flight_bytes >= window / 4 * 3)
		window += bytes;
	if (window < RESYNC_IDLE_BYTES_MIN)
		window = RESYNC_IDLE_BYTES_MIN;
	if (window > RESYNC_WINDOW_BYTES_MAX)
		window = RESYNC_WINDOW_BYTES_MAX;
	governor->idle_bytes = window;
}

void resync_governor_done(struct resync_governor *governor, u64 now_ns, u32 bytes, u64 took_ns)
{
	if (!governor->chunk_ns_min || took_ns < governor->chunk_ns_min)
		governor->chunk_ns_min = took_ns;
	if (now_ns < governor->busy_until_ns)
		governor->pause_until_ns = now_ns + pause_ns(governor->busy_bytes, took_ns);
	else
		idle_adjust(governor, bytes, took_ns);
	resync_governor_dropped(governor, now_ns, bytes);
}

/* How much a quantile of the loaded writes is of that of the quiet ones, in percent; both have samples. */
static u32 felt_percent(const struct resync_governor *governor, u32 permille)
{
	u64 quiet_us = resync_latency_quantile(&governor->quiet, permille) >> 10;
	u64 loaded_us = resync_latency_quantile(&governor->loaded, permille) >> 10;

	if (loaded_us >= quiet_us * 10)
		return 1000;
	return (u32)loaded_us * 100 / (u32)quiet_us;	/* both are from 8 us to 2 s */
}

/*
 * The tail of the application's writes, and their median, are held between one and a half and one and three quarters of
 * what they are without the resync, so that the tail beyond it stays within twice that.
 */
static void busy_adjust(struct resync_governor *governor, u64 now_ns)
{
	bool slow = now_ns - governor->adjusted_ns > 4 * RESYNC_LOADED_NS;	/* few writes: fewer, longer steps */
	u32 bytes = governor->busy_bytes, percent;

	governor->adjusted_ns = now_ns;
	governor->loaded_since_ns = now_ns;
	if (resync_latency_samples(&governor->quiet) >= RESYNC_SAMPLES_MIN) {
		percent = felt_percent(governor, RESYNC_TAIL_PERMILLE);
		if (felt_percent(governor, 500) > percent)
			percent = felt_percent(governor, 500);
		if (percent > 250)
			bytes /= 2;
		else if (percent > 175)
			bytes -= bytes / 4;
		else if (percent <= 113)	/* nothing: one bucket */
			bytes += slow ? bytes : bytes / 4;
		else if (percent < 150)
			bytes += bytes / 8;
	}
	memset(&governor->loaded, 0, sizeof(governor->loaded));
	if (bytes < RESYNC_BUSY_BYTES_MIN)
		bytes = RESYNC_BUSY_BYTES_MIN;
	if (bytes > governor->idle_bytes)
		bytes = governor->idle_bytes;
	governor->busy_bytes = bytes;
}

bool resync_governor_io(struct resync_governor *governor, u64 now_ns, u64 begin_ns)
{
	u64 took_ns = now_ns - begin_ns;
	u32 nr;

	governor->busy_until_ns = now_ns + RESYNC_IDLE_NS;
	if (governor->probing) {
		if (!governor->quiet_since_ns || begin_ns < governor->quiet_since_ns)
			return false;
		resync_latency_add(&governor->quiet, took_ns, RESYNC_QUIET_SAMPLES);
		if (++governor->nr_probed < RESYNC_PROBE_SAMPLES)
			return false;
		probe_end(governor, now_ns);
		return true;
	}
	if (begin_ns < governor->loaded_since_ns)
		return false;
	resync_latency_add(&governor->loaded, took_ns, RESYNC_LOADED_SAMPLES_MAX);
	nr = resync_latency_samples(&governor->loaded);
	if (nr >= RESYNC_LOADED_SAMPLES_MAX ||
	    (nr >= RESYNC_LOADED_SAMPLES_MIN && now_ns - governor->loaded_since_ns >= RESYNC_LOADED_NS))
		busy_adjust(governor, now_ns);
	return false;
}

/* ---- compare or send ---- */

bool resync_compare_wanted(struct resync_compare *compare, u32 chunk_bytes)
{
	if (chunk_bytes <= RESYNC_SEND_BYTES)
		return false;
	if (compare->sending && ++compare->nr_sent < (u32)RESYNC_SAMPLE_PERIOD << compare->doublings)
		return false;
	compare->nr_sent = 0;
	return true;
}

void resync_compare_result(struct resync_compare *compare, u32 pieces, u32 differ)
{
	if (compare->sending) {
		compare->sending = differ * 4 >= pieces * 3;
		compare->nr_differed = 0;
		if (differ != pieces)
			compare->doublings = 0;
		else if (compare->doublings < RESYNC_SAMPLE_DOUBLINGS)
			compare->doublings++;
		return;
	}
	compare->nr_differed = differ == pieces ? compare->nr_differed + 1 : 0;
	compare->sending = compare->nr_differed >= RESYNC_DIFFER_RUN;
}

/* ---- proof ---- */

/* Cuts off what of an extent its whole granules were. False: nothing is left that may prove a granule later. */
static bool leave_parts(const struct dirty_map *map, struct resync_extent *extent)
{
	u64 granule_bytes = 1ull << map->granule_shift;
	u64 head_end = (extent->start_bytes + granule_bytes - 1) & ~(granule_bytes - 1);
	u64 tail_start = extent->end_bytes & ~(granule_bytes - 1);
	bool head = head_end > extent->start_bytes && dirty_test(map, extent->start_bytes);
	bool tail = extent->end_bytes > tail_start && dirty_test(map, tail_start);

	if (extent->marks != map->nr_marks)
		return false;
	if (tail_start < head_end)	/* inside one granule */
		return head;
	if (!head)
		extent->start_bytes = tail_start;
	else if (!tail)
		extent->end_bytes = head_end;
	return head || tail;
}

u64 resync_prove(struct dirty_map *map, struct resync_extent *extents, u32 *nr)
{
	u32 i = 0, nr_left = 0;
	u64 cleared = 0;

	while (i < *nr) {
		struct resync_extent whole = extents[i++];

		while (i < *nr && extents[i].start_bytes <= whole.end_bytes) {
			if (extents[i].end_bytes > whole.end_bytes)
				whole.end_bytes = extents[i].end_bytes;
			if (extents[i].marks < whole.marks)
				whole.marks = extents[i].marks;
			i++;
		}
		cleared += dirty_clear_proven(map, whole.start_bytes, whole.end_bytes - whole.start_bytes, whole.marks);
		if (leave_parts(map, &whole))
			extents[nr_left++] = whole;
	}
	*nr = nr_left;
	return cleared;
}
