/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the source of a resync decides [R3] [D2] [D4]: how much may be under way, in what portions and with what
 * pauses; whether to compare before sending; which bits a batch proves. All of it under volume->lock; no clock here:
 * callers say what time it is, in ns of a clock that never goes back.
 */
#ifndef BRAID_CORE_RESYNC_H
#define BRAID_CORE_RESYNC_H

#include "dirty.h"
#include "limits.h"

enum resync_limits {
	RESYNC_LATENCY_BUCKETS = 128,		/* eight for each power of two, from 8 us to 2 s */
	RESYNC_TAIL_PERMILLE = 970,		/* the quantile that is governed */
	RESYNC_QUIET_SAMPLES = 128,		/* older ones count less and less */
	RESYNC_LOADED_SAMPLES_MIN = 30,		/* between two changes of the allowance, */
	RESYNC_LOADED_SAMPLES_MAX = 200,	/* if they come fast */
	RESYNC_PROBE_SAMPLES = 24,
	RESYNC_SAMPLES_MIN = 8,			/* fewer say nothing */

	RESYNC_BUSY_CHUNK_BYTES = 32 << 10,	/* smallest portion */
	RESYNC_BUSY_BYTES_MIN = 2 << 10,	/* allowance that is always there: pauses of fifteen times a portion */
	RESYNC_BUSY_BYTES_START = 64 << 10,
	RESYNC_IDLE_BYTES_MIN = 1 << 20,
	RESYNC_IDLE_BYTES_START = 2 << 20,
	RESYNC_WINDOW_BYTES_MAX = 8 << 20,

	RESYNC_LOADED_NS = 100 * 1000 * 1000,	/* shortest time between two changes otherwise */
	RESYNC_IDLE_NS = 80 * 1000 * 1000,	/* without a write for so long the application is idle */
	RESYNC_PROBE_NS = 100 * 1000 * 1000,	/* longest probe, from when nothing is under way */
	RESYNC_PROBE_PERIOD_NS = 1000 * 1000 * 1000,
	RESYNC_PROBE_PERIOD_SHORT_NS = 300 * 1000 * 1000,	/* while the allowance is smallest, and at first */
	RESYNC_PAUSE_MAX_NS = 100 * 1000 * 1000,
	RESYNC_QUEUE_NS = 30 * 1000 * 1000,	/* of the resync's own making, while the application is idle */

	RESYNC_DIFFER_RUN = 8,			/* chunks that differ throughout, before comparing ends */
	RESYNC_SAMPLE_PERIOD = 16,		/* while sending, one chunk of so many is compared; */
	RESYNC_SAMPLE_DOUBLINGS = 3,		/* of twice as many after each that differed throughout, so often */
	RESYNC_SEND_BYTES = 16 << 10,		/* a chunk of so few is sent: comparing costs as much */
};

/* Latencies in buckets. */
struct resync_latency {
	u16 bucket[RESYNC_LATENCY_BUCKETS];	/* weights */
	u32 weight;
};

void resync_latency_add(struct resync_latency *latency, u64 ns, u32 nr_max);
/* The upper edge of the bucket in which the quantile lies, in ns; 0 when there is no sample. */
u64 resync_latency_quantile(const struct resync_latency *latency, u32 permille);
u32 resync_latency_samples(const struct resync_latency *latency);

/*
 * One for all resyncs of a volume. What the application would feel without a resync is known from probes: for some
 * writes, at most 100 ms of every second, nothing of the resync is under way. While the application is busy, the
 * allowance follows from comparing what its writes take with that. While it is idle the window follows from how long
 * the resync's own chunks queue.
 */
struct resync_governor {
	struct resync_latency quiet;	/* writes during probes */
	struct resync_latency loaded;	/* other writes, since the last change */
	u64 busy_until_ns;		/* the application counts as busy */
	u64 probe_next_ns;
	u64 probe_end_ns;		/* at the latest */
	u64 quiet_since_ns;		/* probing: nothing is under way since then; 0: something is */
	u64 loaded_since_ns;		/* writes that began earlier are no samples */
	u64 adjusted_ns;		/* last look at the allowance */
	u64 pause_until_ns;
	u64 chunk_ns_min;		/* shortest time that a chunk took; 0: none yet */
	u32 in_flight_bytes;
	u32 busy_bytes;			/* allowance while busy; below one portion there are pauses */
	u32 idle_bytes;			/* window while idle */
	u32 nr_probed;
	bool probing;
};

struct resync_grant {
	u32 chunk_bytes;	/* launch one of at most so many; 0: not now */
	u64 wait_ns;		/* not now, and no completion will come to ask again: ask after so long; else 0 */
};

void resync_governor_init(struct resync_governor *governor);
/*
 * May a run that has @run_bytes under way, one of @nr_runs of the volume, launch a chunk? @io_in_flight: writes of the
 * application are under way.
 */
struct resync_grant resync_governor_ask(struct resync_governor *governor, u64 now_ns, bool io_in_flight, u32 run_bytes,
					u32 nr_runs);
void resync_governor_launched(struct resync_governor *governor, u32 bytes);
/* The chunk ended, @took_ns after it began. */
void resync_governor_done(struct resync_governor *governor, u64 now_ns, u32 bytes, u64 took_ns);
/* @bytes will not end: their run was stopped. */
void resync_governor_dropped(struct resync_governor *governor, u64 now_ns, u32 bytes);
/* A write of the application, begun at @begin_ns, ended. True: the runs should ask again now. */
bool resync_governor_io(struct resync_governor *governor, u64 now_ns, u64 begin_ns);

/* Whether the digests' round trip and the target's read pay: not while everything differs. Zeroed: compare. */
struct resync_compare {
	u32 nr_differed;	/* compared chunks in a row that differed throughout */
	u32 nr_sent;		/* not compared, since the last that was */
	u32 doublings;		/* of RESYNC_SAMPLE_PERIOD */
	bool sending;
};

/* Is the next chunk to be compared? Counts it. */
bool resync_compare_wanted(struct resync_compare *compare, u32 chunk_bytes);
/* Of @pieces that were compared, @differ did. */
void resync_compare_result(struct resync_compare *compare, u32 pieces, u32 differ);

struct resync_extent {
	u64 start_bytes;
	u64 end_bytes;
	u64 marks;		/* of the map, before the data was read */
};

/*
 * @nr extents, sorted by start, are the same and stable at both ends: clears the granules that they cover wholly [D2].
 * What covers a granule in part, and may complete it together with later ones, is left in the array; *@nr is how many.
 * Returns the granules cleared.
 */
u64 resync_prove(struct dirty_map *map, struct resync_extent *extents, u32 *nr);

#endif
