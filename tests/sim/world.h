/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The simulated world: nodes that run the shipped core, a network that delays and cuts, disks with volatile caches,
 * crashes. One thread; everything that happens is drawn from one seed.
 */
#ifndef BRAID_SIM_WORLD_H
#define BRAID_SIM_WORLD_H

#include "../../kernel/core/volume.h"


enum {
	WORLD_NODES_MAX = 3,
	WORLD_BLOCKS = 12,		/* blocks that the workload touches */
	WORLD_WRITES_MAX = 6,		/* writes in flight on a primary */
	WORLD_APPLIES_MAX = 64,
	WORLD_MESSAGES_MAX = 4096,
	WORLD_OPS_MAX = 64,
};

#define WORLD_VOLUME_BYTES (64ull << 20)

enum message_kind {
	MESSAGE_FRAME,		/* control lane */
	MESSAGE_WRITE,
	MESSAGE_ACK,
	MESSAGE_FLUSH,
	MESSAGE_EVICT,
	MESSAGE_RESYNC,		/* source's content of one block */
	MESSAGE_RESYNCED,
};

struct message {
	enum message_kind kind;
	u8 frame_type;
	union wire_body *body;
	u64 id, epoch, generation_id;
	u32 block, stamp;
	u32 regions[16];
	u32 nr_regions;
};

struct queue {
	struct message *entry[WORLD_MESSAGES_MAX];
	u32 first, nr;
};

enum write_state {
	WRITE_FREE,
	WRITE_QUEUED,		/* waits for its block, the gate or the log */
	WRITE_LOGGING,		/* sent; the local write waits for the log */
	WRITE_LOCAL,		/* local write can happen any time */
	WRITE_LOCAL_DONE,
};

struct world_write {
	enum write_state state;
	bool flush;		/* a flush instead of a write */
	u64 id, epoch, generation_id;
	u32 block, stamp;
	struct volume_ack ack;
	u32 firm[WORLD_BLOCKS];	/* flush: what was acknowledged when it began */
};

struct apply {
	bool used, logged, flush, resync;
	u8 from;
	u32 session;		/* of that peer when it arrived */
	u64 id, epoch, order, generation_id;
	u32 block, stamp;
};

struct resync {
	bool running;
	u8 node;
	bool block_locked[WORLD_BLOCKS];
	bool written[WORLD_BLOCKS];	/* in the batch: equal at the target, not proven */
	bool flushing, proof_wanted;
	u64 flush_id;
};

struct node {
	bool up;		/* machine has power and the volume is attached */
	struct volume volume;
	struct dirty_pool pool;
	struct dirty_page pages[64];
	u32 next_free[64];
	struct dirty_entry entries[REPLICAS_MAX][4];
	struct actlog_slot slots[ACTLOG_PART_REGIONS];
	u32 hash[4096];
	/* durable */
	struct ondisk_super disk_super;
	u8 disk_bits[REPLICAS_MAX][4][DIRTY_PAGE_BYTES];
	u8 disk_state[REPLICAS_MAX][4];
	bool disk_log[64];
	u64 disk_written_id;
	u32 platter[WORLD_BLOCKS];
	u32 cache[WORLD_BLOCKS];	/* what reads see */
	/* work of the glue */
	struct volume_event events[256];
	u32 nr_events;
	struct { u32 token; bool maps_first; } saves[64];
	u32 nr_saves;
	bool committing, reset_wanted;
	u32 commit_mask;
	u64 commit_id;
	struct world_write writes[WORLD_WRITES_MAX];
	struct apply applies[WORLD_APPLIES_MAX];
	struct resync resync[WORLD_NODES_MAX];
	u64 next_id, next_order;
	bool evicting;
	bool command_pending;
	enum volume_refusal command_refusal;
	/* sessions as this node sees them */
	bool session[WORLD_NODES_MAX];
	u32 session_number[WORLD_NODES_MAX];
};

struct world {
	u32 nr_nodes;
	struct node node[WORLD_NODES_MAX];
	bool cut[WORLD_NODES_MAX][WORLD_NODES_MAX];
	struct queue control[WORLD_NODES_MAX][WORLD_NODES_MAX];
	struct queue data[WORLD_NODES_MAX][WORLD_NODES_MAX];
	u32 next_stamp;
	u32 acked[WORLD_BLOCKS];	/* newest acknowledged stamp */
	u32 firm[WORLD_BLOCKS];		/* acknowledged before a flush that completed */
	u32 maybe[WORLD_BLOCKS];	/* newest submitted */
	bool peer_down_used;		/* by an administrator */
	u64 steps, seed;
	u64 count_acks, count_crashes, count_cuts, count_promotes, count_resyncs, count_joins;
};

/* The one source of chance; world_init() seeds it. */
u64 world_random(void);
u64 world_block_offset(u32 block);
void world_init(struct world *world, u64 seed, u32 nr_nodes);
void world_free(struct world *world);
/* One random thing happens. False when nothing can happen. */
bool world_step(struct world *world);
void world_crash(struct world *world, u8 node);
void world_boot(struct world *world, u8 node);
void world_cut(struct world *world, u8 a, u8 b, bool cut);
void world_event(struct world *world, u8 node, const struct volume_event *event);
/* Primary, or NODE_NONE. */
u8 world_primary(const struct world *world);
/* Prints seed, step and the sentence, then aborts. */
void world_violation(struct world *world, const char *label, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void world_trace(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
