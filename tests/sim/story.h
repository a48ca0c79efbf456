/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Scenarios by name: short plays on the simulated world. Each drives one situation in which such a system has lost data
 * somewhere (tests/scenarios), the random scheduler fills in the rest, and check.c watches as in any other run. A play is
 * repeated with several seeds; what it waits for, and does not get, fails it.
 *
 *   story.c               the plays' runner and their vocabulary
 *   story_generations.c   G: generations and the direction of resync
 *   story_resync.c        B: dirty map, activity log, resync
 *   story_writes.c        W: the write path
 *   story_faults.c        D, N: disks, metadata, network
 *   story_roles.c         Q: who may be primary
 *   story_blank.c         R4: space that was never written
 */
#ifndef BRAID_SIM_STORY_H
#define BRAID_SIM_STORY_H

#include "world.h"

struct story {
	const char *name;	/* entry of tests/scenarios, then words */
	u8 nodes;
	const char *labels;
	const char *sentence;
	void (*play)(void);
	const char *known;	/* a defect that is not mended yet: fails, and says so */
};

/* A file's own table; from its constructor. */
void story_table(const struct story *stories, u32 nr);

#define STORY_TABLE(stories)								\
	__attribute__((constructor)) static void announce(void)				\
	{										\
		story_table(stories, CORE_ARRAY_SIZE(stories));				\
	}

/* ---- the vocabulary ---- */

extern struct world stage;

/* One step of the world with all checks; @what is said when it was the last one that @left allows. */
void step_towards(u32 *left, const char *what, const char *file, int line);
void story_fails(const char *what, const char *file, int line) __attribute__((noreturn));

/* The world goes on until @condition holds; a bound stands behind it. */
#define until(condition)								\
	do {										\
		u32 left_ = 60000;							\
											\
		while (!(condition))							\
			step_towards(&left_, "never: " #condition, __FILE__, __LINE__);	\
	} while (0)

#define must(condition)									\
	do {										\
		if (!(condition))							\
			story_fails("must be: " #condition, __FILE__, __LINE__);	\
	} while (0)

/* For @steps steps @condition must hold throughout. */
#define throughout(steps, condition)							\
	do {										\
		u32 left_ = (steps) + 1;						\
											\
		while (left_ > 1) {							\
			step_towards(&left_, "", __FILE__, __LINE__);			\
			must(condition);						\
		}									\
	} while (0)

void pass(u32 steps);
/* 0..@limit - 1, from the play's seed. */
u32 choice(u32 limit);

/* Requests of users. A ticket is good until the next request that finds its slot free. */
struct ticket {
	u8 node, at;
};

/* All cells of group 0..WORLD_GROUPS-1; one cell. */
u32 group(u32 number);
u32 cell(u32 number);

struct ticket write_begins(u8 node, u32 cells);
struct ticket flush_begins(u8 node);
struct ticket read_begins(u8 node, u32 cells);
const struct request *request_of(struct ticket ticket);
bool over(struct ticket ticket);
bool acked(struct ticket ticket);	/* over, and not with an error: of writes and flushes (of reads stage.count_reads counts) */
void write_done(u8 node, u32 cells);	/* waits; must be acknowledged */
void write_everything(u8 node);		/* all groups, one after the other */
void flush_done(u8 node);

/* Administrators. */
void promote(u8 node);
void promote_peer_down(u8 node, u32 down);
void promote_by_force(u8 node);
enum volume_refusal try_command(u8 node, enum volume_event_type type, u32 nodes, bool force);
/* PROMOTE without force, @down called down; "busy" is tried again. */
void must_refuse(u8 node, u32 down, enum volume_refusal refusal);
void demote(u8 node);
void take_down(u8 node);
/* @loser gives up its side of the split and both go on. */
void resolve(u8 loser);
enum volume_refusal forget(u8 node, u8 gone);

/* Network. Waiting until both ends have noticed, unless it says "now". */
void cut(u8 a, u8 b);
void cut_now(u8 a, u8 b);
void heal(u8 a, u8 b);
void isolate(u8 node);
void rejoin(u8 node);
void session_ends(u8 a, u8 b);		/* reset; both may connect again */

enum { ANY = -1, LANE_CONTROL = 1, LANES_DATA = 6, LANES_ALL = 7 };

/*
 * Nothing that way on these lanes (mask), or only up to the first control frame of type @what >= 0, which then stays at
 * the head with all that follows it.
 */
void hold(u8 from, u8 to, u32 lanes, int what);
/* The same for a kind of message on the data lanes. */
void hold_kind(u8 from, u8 to, enum message_kind kind);
void release(u8 from, u8 to);
void release_all(void);
/* Is such a frame, or message, the next to arrive? */
bool next_frame(u8 from, u8 to, u8 frame_type);
bool next_kind(u8 from, u8 to, enum message_kind kind);

/* Machines and disks. */
void power_cut(u8 node);
void boot(u8 node);			/* waits until the volume is there */
void new_disk(u8 node);			/* off, empty disk, on */
void disk_dies(u8 node);
void disk_recovers(u8 node);		/* off, its disk works as if nothing had been, on */
void granules(const u32 *shifts);	/* all off, the empty replicas made anew with granules of GRANULE_BYTES_MIN << shift, on */
void small_log(u8 node, u32 regions);	/* boots with an activity log of so many */
bool disk_is_given_up(u8 node);

/* What the core says of itself. */
enum volume_relation relation(u8 node, u8 peer);
const struct generation *tail(u8 node);
u64 granules_dirty(u8 node, u8 peer);
bool is_dirty(u8 node, u8 peer, u32 cells);	/* all of them */
bool in_stream(u8 node, u8 peer);
bool is_up(u8 node, u8 peer);			/* in one session, and the volumes have seen it */
bool quiet(u8 node);				/* nothing is under way there */
bool logs_empty(void);				/* of all that are up, and no request is in flight */
bool together(u32 nodes);			/* all in sync with each other, and quiet */

/* All links, all machines, all in sync with each other, and all equal. */
void settle(void);
void everyone_equal(void);

#endif
