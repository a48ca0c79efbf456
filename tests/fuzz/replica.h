/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One volume of the core with what the module is to it: memory, saves that end later, requests in flight, sessions. Each step is
 * followed by checks from outside. Used by fuzz_session.
 */
#ifndef BRAID_FUZZ_REPLICA_H
#define BRAID_FUZZ_REPLICA_H

#include "../../kernel/core/volume.h"
#include "fuzz.h"

enum {
	REPLICA_REGIONS = 4,
	REPLICA_BYTES = REPLICA_REGIONS * ACTLOG_REGION_BYTES,
	REPLICA_PAGES = REPLICAS_MAX + 4,
	REPLICA_REQUESTS = 4,
	REPLICA_SAVES = 16,
	QUEUE_FRAMES = 24,
	QUEUE_BYTES = 6000,
};

/* Control frames on their way from one honest replica to the other, encoded. */
struct queue {
	u32 first, nr, bytes_used;
	struct {
		u8 type;
		u32 at, length_bytes;
	} frame[QUEUE_FRAMES];
	u8 bytes[QUEUE_BYTES];
};

struct request {
	bool active;
	struct volume_ack ack;
};

struct replica {
	struct volume volume;
	struct dirty_pool pool;
	u32 next_free[REPLICA_PAGES];
	struct dirty_entry entries[REPLICAS_MAX];
	struct wire_greet facts[REPLICAS_MAX], scratch;
	struct ondisk_super saved;	/* as on disk */
	u32 nr_saves, save[REPLICA_SAVES];	/* tokens that wait for their answer, in order */
	bool reset_wanted;
	u32 resyncing;		/* nodes whose resync runs */
	u32 sessions, ending;	/* nodes with a session; of these, those whose end is on its way */
	struct request request[REPLICA_REQUESTS];
	u64 ids;		/* of records: never the same twice */
};

/* What the fuzzer does with a frame that a step wants sent. */
typedef void (*replica_send_fn)(struct replica *replica, u8 node, u8 type, const u8 *bytes, u32 length_bytes);

void replica_init(struct replica *replica, u8 node, const struct ondisk_super *super, replica_send_fn send);
/* volume_step() with all the checks, then its actions. */
void replica_step(struct replica *replica, const struct volume_event *event);
void replica_simple(struct replica *replica, enum volume_event_type type, u8 node);
/* The oldest save ends. */
void replica_saved(struct replica *replica, bool ok);
/* The machine crashed and the volume is attached again, from what was saved. */
void replica_restart(struct replica *replica);
void replica_check(const struct replica *replica);
/* The arrays of the logs are not in struct replica: as they are with empty logs. */
void replica_logs_reset(void);

#endif
