/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The explorer's world: two or three nodes that run the shipped core (kernel/core), two or three blocks, one message queue
 * for control frames and one for data in each direction. Nothing here is drawn by chance: move.c lists every step that is
 * possible, search.c takes them all. What the module's glue does is reduced to what the core can observe:
 *
 * - A frame is delivered and handled in one step. The module queues it first; that is only a later delivery, and frames that
 *   it still handles after END_SESSION are delivered after END_SESSION here, too (SESSION_ENDING).
 * - Both ends learn of a new session in one step; each end learns of its end in a step of its own.
 * - A superblock write is one step that answers every save asked for before it, as the module's save_supers() does; with
 *   two_phase_saves it is two, and other things happen between the snapshot and its durability.
 * - A commit of the activity log is one step. Dirty maps are saved whole.
 * - One write per block and one flush at a time; what waits at the gate is tried again in the step that opens it.
 * - A granule, a block and, unless one_region is set, a region are the same range of bytes.
 */
#ifndef BRAID_EXPLORE_WORLD_H
#define BRAID_EXPLORE_WORLD_H

#include "volume.h"

enum {
	WORLD_NODES_MAX = 3,
	WORLD_BLOCKS_MAX = 3,
	WORLD_WRITES = WORLD_BLOCKS_MAX + 1,	/* one slot per block, the last is for a flush */
	WORLD_FLUSH = WORLD_BLOCKS_MAX,
	WORLD_QUEUE_MAX = 40,
	WORLD_RECORDS_MAX = 16,			/* records of a chain in a message */
	WORLD_APPLIES_MAX = 8,
	WORLD_SAVES_MAX = 24,
	WORLD_EVENTS_MAX = 48,
	WORLD_IDS_MAX = 200,			/* generation ids alive at a time */
	WORLD_PAGES = REPLICAS_MAX + WORLD_NODES_MAX,
	WORLD_JUNK = 250,			/* content that nobody wrote: newer than any stamp */
	WORLD_STALE = 200,			/* id, token or number that nothing refers to any more */
};

/* How the replicas came to be; see explore.c. */
enum world_first {
	FIRST_TOGETHER,
	FIRST_DATA,
	FIRST_BLANK,
	FIRST_JUNK,
};

struct small_chain {
	u32 count;
	struct generation record[WORLD_RECORDS_MAX];
};

enum message_kind {
	MESSAGE_FRAME,		/* control */
	MESSAGE_WRITE,
	MESSAGE_ACK,
	MESSAGE_EVICT,
	MESSAGE_RESYNC,		/* source's content of one block */
	MESSAGE_RESYNCED,	/* the target holds it on stable storage [D2] */
	MESSAGE_ERROR,		/* the write was refused */
	MESSAGE_RESYNC_ERROR,	/* the block was refused */
};

struct message {
	u8 kind;
	u8 frame_type;
	u8 slot;		/* WRITE, ACK: block, or WORLD_FLUSH; RESYNC, RESYNCED: block; EVICT, RANGES: mask of blocks */
	u8 stamp;		/* WRITE, RESYNC: content */
	u8 bits[6];		/* small fields of a frame, see message.c */
	u32 id;			/* WRITE, ACK: of the write. Frames: number or serial of the sender */
	u32 your_number;	/* VERDICT */
	u32 epoch;
	u32 flags;		/* GREET */
	u64 generation_id;	/* WRITE; SYNC_READY, SYNC_DONE */
	struct generation record;	/* RECORD */
	struct small_chain chain;	/* GREET, SYNC_ACCEPT */
};

struct queue {
	u32 nr;
	struct message entry[WORLD_QUEUE_MAX];
};

enum write_state {
	WRITE_FREE,
	WRITE_BLOCKED,		/* waits for the range */
	WRITE_GATED,		/* waits at the gate; the core knows (IO_WAITS) */
	WRITE_LOGGING,		/* sent to the peers; the local write waits for the log */
	WRITE_LOCAL,		/* local write can end any time */
	WRITE_LOCAL_DONE,
};

struct world_write {
	u8 state;
	u8 stamp;
	u32 id;
	u32 epoch;
	u64 generation_id;
	struct volume_ack ack;
	u8 firm[WORLD_BLOCKS_MAX];	/* flush: what was acknowledged when it began */
};

struct apply {
	u8 from;
	bool orphan;		/* the session that brought it is over */
	bool logged;
	bool resync;
	u8 slot;
	u8 stamp;
	u32 id;
	u64 generation_id;
};

enum session_state {
	SESSION_NONE,
	SESSION_UP,
	SESSION_ENDING,		/* ended from this end; the volume has not handled PEER_DOWN yet */
};

/* What a superblock on disk says, and the pair of generation ids that its split id is made of. */
struct durable_super {
	struct ondisk_super super;
	u64 split_pair[2];
};

struct node {
	bool up;
	u8 session[WORLD_NODES_MAX];
	/* memory */
	struct volume volume;
	u64 split_pair[2];
	struct dirty_pool pool;
	struct dirty_page pages[WORLD_PAGES];
	u32 next_free[WORLD_PAGES];
	struct dirty_entry entries[REPLICAS_MAX][1];
	struct wire_greet facts[REPLICAS_MAX], scratch;
	struct actlog_slot slots[ACTLOG_PART_REGIONS];
	u32 hash[1024];
	struct { u32 token; bool maps_first; } saves[WORLD_SAVES_MAX];
	u32 nr_saves;
	u32 saving;		/* two_phase_saves: this many of @saves are covered by @pending */
	struct durable_super pending;
	u8 pending_map[WORLD_NODES_MAX];
	bool pending_maps_first;
	bool reset_wanted;
	u32 reset_after;	/* saves asked for before the log reset: they are durable first, as in meta.c */
	struct world_write writes[WORLD_WRITES];
	struct apply applies[WORLD_APPLIES_MAX];
	u32 nr_applies;
	struct { bool running; u8 locked; } resync[WORLD_NODES_MAX];
	u8 cache[WORLD_BLOCKS_MAX];	/* what reads see: stamps */
	/* within one step */
	struct volume_event events[WORLD_EVENTS_MAX];
	u32 nr_events;
	/* durable */
	struct durable_super disk;
	u8 disk_map[WORLD_NODES_MAX];	/* masks of blocks */
	u8 disk_log;
	u64 disk_written_id;
	u8 platter[WORLD_BLOCKS_MAX];
};

enum budget {
	BUDGET_WRITES, BUDGET_FLUSHES, BUDGET_EVICTIONS, BUDGET_CRASHES, BUDGET_CUTS, BUDGET_PROMOTES, BUDGET_DEMOTES,
	BUDGET_MISTAKES,	/* promotions over a peer that is alive, called down by mistake */
	BUDGET_DISK_FAILURES,
	BUDGET_DELAYS,		/* steps out of the order of move.c; only with delay_bounded */
	BUDGETS,
};

struct world {
	/* the same in every state of a run */
	u32 nr_nodes, nr_blocks;
	bool one_region, two_phase_saves, delay_bounded;
	u8 first;				/* enum world_first */
	/* state */
	struct node node[WORLD_NODES_MAX];
	bool cut[WORLD_NODES_MAX][WORLD_NODES_MAX];
	struct queue control[WORLD_NODES_MAX][WORLD_NODES_MAX];	/* [from][to] */
	struct queue data[WORLD_NODES_MAX][WORLD_NODES_MAX];
	u8 left[BUDGETS];
	u8 next_stamp;
	u8 touched;			/* blocks ever written: block n + 1 is first written after block n */
	u8 acked[WORLD_BLOCKS_MAX];	/* newest acknowledged stamp */
	u8 firm[WORLD_BLOCKS_MAX];	/* acknowledged before a flush that completed */
	bool peer_down_used;		/* by an administrator who knew */
	bool mistaken;			/* by one who did not: a split may follow */
	u64 next_generation;
	bool real[WORLD_IDS_MAX + 1];	/* by generation id: a write or flush was in flight under it [I11] */
	/* within one step */
	u32 next_id;
	char violation[200];		/* empty: none */
};

/* Who is told what happens, for the trace of a violation. */
extern bool world_tracing;
void world_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Keeps the first one of a step. */
void world_violation(struct world *world, const char *label, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* world.c: machines, sessions, the control plane */
u32 world_block_bytes(const struct world *world);
u64 world_offset(const struct world *world, u32 block);
u32 world_region(const struct world *world, u32 block);
u8 world_map_mask(const struct world *world, const struct dirty_map *map);
void world_init(struct world *world);
void world_event(struct world *world, u8 node, const struct volume_event *event);
void world_simple_event(struct world *world, u8 node, enum volume_event_type type, u8 peer);
void world_run(struct world *world);
struct message *world_send(struct world *world, u8 from, u8 to, bool control);
void world_queue_pop(struct queue *queue);
void world_save_maps(struct world *world, u8 node);
void world_boot(struct world *world, u8 node);
void world_crash(struct world *world, u8 node, bool keep_cache);
void world_session(struct world *world, u8 a, u8 b);
void world_notice(struct world *world, u8 node, u8 peer);
void world_save_begin(struct world *world, u8 node);
void world_save_end(struct world *world, u8 node);
void world_reset(struct world *world, u8 node);
void world_deliver_frame(struct world *world, u8 from, u8 to);
u8 world_primary(const struct world *world);

/* message.c: bodies of control frames, small */
bool message_pack(struct world *world, u8 from, u8 to, const struct volume_action *action);
void message_unpack(const struct message *message, struct wire_greet const *constants, union wire_body *body);

/* path.c: the data plane */
void path_submit(struct world *world, u8 node, u8 slot);
void path_retry(struct world *world, u8 node, bool gate);
void path_commit(struct world *world, u8 node);
void path_local(struct world *world, u8 node, u8 slot);
void path_apply(struct world *world, u8 node, u32 index);
void path_deliver(struct world *world, u8 from, u8 to);
void path_missed(struct world *world, u8 node, u8 peer);
void path_release(struct world *world, u8 node, u8 peer);
void path_resync_send(struct world *world, u8 node, u8 peer, u8 block);
void path_resync_dry(struct world *world, u8 node, u8 peer);
void path_evict(struct world *world, u8 node);
void path_demote(struct world *world, u8 node);
bool path_can_demote(const struct world *world, u8 node);
bool path_block_busy(const struct world *world, u8 node, u8 block);
bool path_may_deliver(const struct world *world, u8 from, u8 to);
bool path_local_ready(const struct world *world, u8 node, u8 slot);
bool path_apply_ready(const struct world *world, u8 node, u32 index);

/* state.c: a world as a few hundred bytes, the same for worlds that nothing can tell apart */
enum { STATE_BYTES_MAX = 8192 };
u32 state_save(struct world *world, u8 *bytes);
void state_load(struct world *world, const u8 *bytes, u32 length_bytes);

/* move.c: what can happen */
enum move_kind {
	/* by itself; in the order that delay_bounded prefers */
	MOVE_SAVE, MOVE_SAVE_BEGIN, MOVE_RESET, MOVE_COMMIT, MOVE_LOCAL, MOVE_APPLY, MOVE_ENDING, MOVE_CONTROL, MOVE_DATA,
	MOVE_RESYNC_SEND, MOVE_RESYNC_DRY, MOVE_NOTICE, MOVE_SESSION,
	/* by the world outside, as the budgets allow */
	MOVE_WRITE, MOVE_EVICT, MOVE_PROMOTE, MOVE_DEMOTE, MOVE_MISTAKE, MOVE_CUT, MOVE_CRASH, MOVE_DISK_FAILS,
	/* by the world outside, always allowed */
	MOVE_BOOT, MOVE_HEAL,
	MOVES,
};

struct move {
	u8 kind, a, b, c;
};

enum { MOVES_MAX = 128 };
/* All that can happen, things that happen by themselves first; *@nr_internal of them. */
u32 move_list(struct world *world, struct move *moves, u32 *nr_internal);
void move_apply(struct world *world, struct move move);
void move_print(const struct world *world, struct move move);
/* An internal move beyond the first costs one delay; false: not within the budget. */
bool move_charge(struct world *world, u32 index);

/* check.c: what must hold [I]; violations go to world->violation */
void check_state(struct world *world);
void check_quiescent(struct world *world);
void check_print(const struct world *world);

static inline u64 world_replica_id(u8 node)
{
	return 100u + node;
}

#endif
