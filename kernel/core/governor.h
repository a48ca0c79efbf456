/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How much of a resync may be under way beside the application's writes [R3]: all of it under volume->lock; no clock here:
 * callers say what time it is, in ns of a clock that never goes back. One governor for all resyncs of a volume.
 *
 * While the application is idle the window follows from how long the resync's own chunks queue.
 *
 * While it is busy: what its writes take without a resync is known from probes, for at most 100 ms of every second, in which
 * nothing of the resync is under way. 48 such writes are a measure: their median and the longest of them. Of the last eight
 * measures the middle one counts, so neither the stir of the begin nor a hiccup is taken for what writes take. From it follow
 * two limits. One write in a hundred may take longer than the limit of the longest, half of them longer than that of the
 * median: both are counted write by write, so no sum over some time is needed that is too short to know a tail. Each write
 * within the limit is one credit, each beyond costs 99. The allowance grows for a hundred credits beyond a reserve that pays for
 * one write, and shrinks for a write that no credit pays for; what it owes then is to be earned before it grows again. It doubles
 * until it is half of what it was when it last had to shrink, so that a hiccup, which makes it shrink as well, costs little time.
 */
#ifndef BRAID_CORE_GOVERNOR_H
#define BRAID_CORE_GOVERNOR_H

#include "limits.h"

enum governor_limits {
	GOVERNOR_MEASURE_WRITES = 48,
	GOVERNOR_MEASURE_WRITES_MIN = 8,	/* fewer say nothing; the first measure counts before it is whole */
	GOVERNOR_MEASURES = 8,
	GOVERNOR_MEASURES_MIN = 4,		/* until then probes come soon */
	GOVERNOR_BEYOND_COST = 99,
	GOVERNOR_RESERVE = 100,
	GOVERNOR_PRICE = 100,			/* of growing, beyond the reserve */
	GOVERNOR_PRICE_SLOW = 25,		/* after GOVERNOR_SLOW_NS: so few writes would take too long */
	GOVERNOR_DEBT_MAX = 1000,		/* halved with every probe */
	GOVERNOR_MEDIAN_CREDIT_MAX = 24,

	GOVERNOR_BUSY_CHUNK_BYTES = 32 << 10,	/* smallest portion */
	GOVERNOR_BUSY_BYTES_MIN = 2 << 10,	/* allowance that is always there: pauses of fifteen times a portion */
	GOVERNOR_BUSY_BYTES_START = 64 << 10,
	GOVERNOR_IDLE_BYTES_MIN = 1 << 20,
	GOVERNOR_IDLE_BYTES_START = 2 << 20,
	GOVERNOR_WINDOW_BYTES_MAX = 8 << 20,

	GOVERNOR_RAISE_NS = 20 * 1000 * 1000,	/* shortest time between two */
	GOVERNOR_RAISE_EIGHTH_NS = 100 * 1000 * 1000,	/* an eighth more for each of these since the last change */
	GOVERNOR_SLOW_NS = 800 * 1000 * 1000,
	GOVERNOR_IDLE_NS = 80 * 1000 * 1000,	/* without a write for so long the application is idle */
	GOVERNOR_PROBE_NS = 100 * 1000 * 1000,	/* longest probe, from when nothing is under way */
	GOVERNOR_PROBE_PERIOD_NS = 1000 * 1000 * 1000,
	GOVERNOR_PROBE_PERIOD_SHORT_NS = 300 * 1000 * 1000,	/* while the allowance is smallest, and at first */
	GOVERNOR_PAUSE_MAX_NS = 100 * 1000 * 1000,
	GOVERNOR_QUEUE_NS = 30 * 1000 * 1000,	/* of the resync's own making, while the application is idle */
};

/* Of writes beside which nothing of the resync was under way. Microseconds are of 1024 ns. */
struct governor_measure {
	u32 median_us;
	u32 longest_us;
};

struct governor {
	u32 write_us[GOVERNOR_MEASURE_WRITES];	/* of probes, since the last measure; sorted */
	u32 nr_writes;
	struct governor_measure measure[GOVERNOR_MEASURES];
	u32 nr_measures;		/* ever; the last of them are kept */
	struct governor_measure limit;	/* 0: not known yet */
	int credit;
	int median_credit;
	u64 busy_until_ns;		/* the application counts as busy */
	u64 probe_next_ns;
	u64 probe_end_ns;		/* at the latest */
	u64 quiet_since_ns;		/* probing: nothing is under way since then; 0: something is */
	u64 judged_since_ns;		/* writes that began earlier do not tell about the allowance */
	u64 changed_ns;			/* the allowance */
	u64 pause_until_ns;
	u64 chunk_ns_min;		/* shortest time that a chunk took; 0: none yet */
	u32 in_flight_bytes;
	u32 busy_bytes;			/* allowance while busy; below one portion there are pauses */
	u32 doubling_bytes;		/* up to which it doubles */
	u32 permitted_bytes;		/* by it, for all runs */
	u32 idle_bytes;			/* window while idle */
	bool probing;
	bool shrinking;			/* the last change of the allowance */
};

struct governor_grant {
	u32 chunk_bytes;	/* launch one of at most so many; 0: not now */
	u64 wait_ns;		/* not now, and no completion will come to ask again: ask after so long; else 0 */
};

void governor_init(struct governor *governor);
/*
 * May a run that has @run_bytes under way, one of @nr_runs of the volume, launch a chunk? @io_in_flight: writes of the
 * application are under way.
 */
struct governor_grant governor_ask(struct governor *governor, u64 now_ns, bool io_in_flight, u32 run_bytes, u32 nr_runs);
void governor_launched(struct governor *governor, u32 bytes);
/* The chunk ended, @took_ns after it began. */
void governor_done(struct governor *governor, u64 now_ns, u32 bytes, u64 took_ns);
/* @bytes will not end: their run was stopped. */
void governor_dropped(struct governor *governor, u64 now_ns, u32 bytes);
/* A write of the application, begun at @begin_ns, ended. True: the runs should ask again now. */
bool governor_io(struct governor *governor, u64 now_ns, u64 begin_ns);

#endif
