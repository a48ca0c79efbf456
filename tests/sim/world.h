/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The simulated world: machines that run the shipped core, a network, disks, administrators. One thread, virtual time;
 * everything that happens is drawn from one seed.
 *
 *   world.c   engines, sessions, the network, the clock: the counterpart of engine.c, dispatch.c, session.c
 *   schedule.c  what happens next
 *   meta.c    metadata on a simulated disk, through the shipped codec: meta.c, meta_maps.c, device.c
 *   path.c    writes, reads, eviction of the primary; writes that arrive: io*.c, apply.c
 *   sync.c    resync: sync.c, sync_target.c
 *   fault.c   what goes wrong, what administrators and users do
 *   check.c   the invariants, judged from outside: it knows what was acknowledged, not how the core decides
 *   sim.c     seeds, shrinking, the command line
 *   story.c   scenarios by name
 *
 * The workload touches WORLD_CELLS cells of half a granule: groups of four that lie across the border of two regions of
 * the activity log, so that writes overlap, share granules and regions, and can be torn. Larger granules hold the same two cells.
 */
#ifndef BRAID_SIM_WORLD_H
#define BRAID_SIM_WORLD_H

#include "../../kernel/core/volume.h"

enum {
	WORLD_NODES_MAX = 5,
	WORLD_GROUPS = 8,
	GROUP_CELLS = 4,
	WORLD_CELLS = WORLD_GROUPS * GROUP_CELLS,
	CELL_BYTES = 2048,
	WORLD_WRITES_MAX = 7,		/* requests in flight on a primary; the last one is for its own flushes */
	WORLD_APPLIES_MAX = 96,
	WORLD_LANES = 3,		/* lane 0 is the control lane */
	LANE_MESSAGES_MAX = 1024,
	WORLD_EVENTS_MAX = 256,
	WORLD_SAVES_MAX = 32,
	WORLD_META_BLOCKS = 52,
	WORLD_META_WRITES = 2,
	WORLD_BRANCHES_MAX = 256,
	WORLD_RECORDS_MAX = 4096,
	SECTORS_PER_BLOCK = 8,
};

#define WORLD_VOLUME_BYTES (64ull << 20)
#define NO_BRANCH 0xffffu

/* ---- network ---- */

enum message_kind {
	MESSAGE_FRAME,		/* control plane */
	MESSAGE_WRITE,		/* write, discard or zeroes */
	MESSAGE_FLUSH,
	MESSAGE_READ,
	MESSAGE_READ_DATA,
	MESSAGE_ACK,		/* of writes, flushes, resync data */
	MESSAGE_EVICT,
	MESSAGE_RESYNC,		/* the source's content of a granule */
};

struct message {
	struct message *next;
	enum message_kind kind;
	u8 frame_type;
	bool failed, fua, last, stable;
	union wire_body *body;	/* MESSAGE_FRAME */
	u64 ready_us;
	u64 id, epoch, generation_id;
	u32 cells;		/* mask */
	u32 stamp[GROUP_CELLS];	/* of the cells of one group, by their place in it */
	u32 regions[16];
	u32 nr_regions;
};

struct lane {
	struct message *first, *last;
	u32 nr;
	u64 last_ready_us;
};

/* ---- disks ---- */

struct meta_write {
	u16 block;
	u8 data[META_BLOCK_BYTES];
};

struct disk {
	u32 platter[WORLD_CELLS];
	u32 cache[WORLD_CELLS];		/* what reads see; a power cut keeps any mix of both */
	u32 bad;			/* cells that cannot be read until they are written */
	u64 unreadable;			/* metadata blocks, until they are written */
	bool dead;			/* every I/O fails */
	bool through;			/* no volatile cache */
	u32 meta_fails_in;		/* the n-th metadata write from now fails, 0 none */
	u8 meta[WORLD_META_BLOCKS][META_BLOCK_BYTES];	/* all writes are FUA */
};

enum save_kind {
	SAVE_SUPER,
	SAVE_RESET,
	SAVE_EVICT,		/* end of the writer's round */
	SAVE_EVICTED,		/* an EVICT that arrived */
	SAVE_DRY,
	SAVE_MARKS,		/* of resync data that arrives */
	SAVE_ATTACH,
	SAVE_DETACH,
};

struct save_request {
	enum save_kind kind;
	u32 token;
	bool maps_first, all;
	u8 node;
	u64 epoch;
	u64 spell;		/* of a demotion's SAVE_RESET */
	u32 regions[16];
	u32 nr_regions;
};

enum save_phase {
	PHASE_IDLE,
	PHASE_FLUSH,
	PHASE_MAPS,
	PHASE_EVICT,
	PHASE_LOG,
	PHASE_LOG_WAIT,
	PHASE_SUPER,
	PHASE_END,
};

struct meta {
	struct save_request queue[WORLD_SAVES_MAX];
	u32 nr_queued;
	struct save_request current;
	enum save_phase phase;
	bool failed;
	u32 slot, entry, map_state;	/* of PHASE_MAPS */
	bool index_wanted;
	u64 epoch;
	u32 tokens[WORLD_SAVES_MAX];
	u32 nr_tokens;
	struct meta_write pending[WORLD_META_WRITES];
	u32 nr_pending;
	struct ondisk_super super;	/* being written */
	u32 super_copy, part_copy;
	u64 part_sequence, body_sequence;
	/* the activity log's transaction, which runs beside all that */
	bool log_busy, log_failed;
	u64 log_mark_id;
	struct meta_write log_pending;
	bool log_written;
};

/* ---- requests ---- */

enum request_kind {
	REQUEST_WRITE,
	REQUEST_FLUSH,
	REQUEST_READ,
};

enum request_state {
	REQUEST_FREE,
	REQUEST_QUEUED,		/* waits for the gate, its range or the log */
	REQUEST_LOGGING,	/* sent; the local part waits for the log */
	REQUEST_LOCAL,		/* the local part can happen any time */
	REQUEST_SENT,		/* the local part is over */
	REQUEST_REMOTE,		/* a read that a peer was asked for */
};

struct request {
	enum request_state state;
	enum request_kind kind;
	bool fua, fua_asked, internal, ranged;	/* fua: asked, or expected to save a flush */
	u8 read_node;
	u32 failed_nodes;
	u64 id, epoch, flush_epoch, generation_id;
	u32 cells;
	u32 stamp;
	struct volume_ack ack;
	u32 ok_nodes;
	u32 regions[2], nr_regions;
	u32 floor[WORLD_CELLS];		/* owed when it was submitted: by a read, or covered by a flush */
	u64 since_us;
};

struct apply {
	bool used, logged, flush, resync, ready;
	u8 save;		/* resync data: 1 a save of the maps is wanted first, 2 it runs */
	bool fua;
	u8 from, lane;
	u32 session;
	u64 id, epoch, order, generation_id;
	u32 cells;
	u32 stamp[4];
	u32 regions[2], nr_regions;
};

struct resync {
	bool running, failed, dry_posted;
	u8 node;
	u32 busy;		/* granules (even cells) whose range is held */
	u32 equal;		/* cells known to be the same, not proven */
	u32 proving;
	bool proof_active, proof_here, proof_there;
	u64 proof_id;
	u64 id[WORLD_CELLS];
	u64 marks[WORLD_CELLS];	/* of the peer's map, when the granule was read */
};

enum demote_phase { DEMOTE_NONE, DEMOTE_QUIET, DEMOTE_FLUSHING, DEMOTE_EVICTING, DEMOTE_RESETTING, DEMOTE_ASKED };

/* ---- machines ---- */

struct node {
	bool powered;
	bool attached;		/* the volume is there; only then the core's state means anything */
	bool listed;		/* attach is over: events are posted */
	bool detaching;
	struct volume volume;
	struct dirty_pool pool;
	struct dirty_page pages[40];
	u32 next_free[40];
	struct dirty_entry entries[REPLICAS_MAX][1];	/* of slots that were given memory, as in the module */
	struct wire_greet facts[REPLICAS_MAX], scratch;
	struct actlog_slot slots[ACTLOG_PART_REGIONS];
	u32 hash[4096];
	struct disk disk;
	struct meta meta;
	bool disk_failed_posted;
	struct volume_event events[WORLD_EVENTS_MAX];
	u32 first_event, nr_events;
	struct request requests[WORLD_WRITES_MAX];
	struct apply applies[WORLD_APPLIES_MAX];
	u32 nr_applies;
	struct resync resync[WORLD_NODES_MAX];
	u64 next_order;
	bool round_active;
	enum demote_phase demote;
	bool command_pending;
	u32 command_down;
	bool command_force;
	enum volume_refusal command_refusal;
	u32 session[WORLD_NODES_MAX];		/* number of the open session, 0 none */
	u32 volume_session[WORLD_NODES_MAX];	/* of the one whose PEER_UP was stepped */
	/* what check.c knows */
	u16 branch;		/* while primary */
	bool yields;		/* an administrator said so in a split */
	bool resolving;		/* his word is on its way to the core */
	bool command_sure;	/* the administrator saw that nothing acknowledged is missing */
	u64 chain_id[CHAIN_RECORDS_MAX];	/* as of the last step */
	u64 chain_number[CHAIN_RECORDS_MAX];
	u32 chain_members[CHAIN_RECORDS_MAX];
	u32 chain_count;
	bool chain_complete;	/* and not half-synced then */
	u32 survives[WORLD_CELLS];	/* acknowledged, flushed or not, by a writer that lost its power while this one was in sync and went on */
	u64 cut_at;		/* world->sequence when it lost its power last */
	u32 in_sync;
};

/* One line of history as the outside sees it: a writer, and whoever took over from it without force. */
struct branch {
	u16 parent;
	bool yields;			/* an administrator gave it up */
	u64 under;			/* record of its parent that its first writes were acknowledged under, 0: its own only */
	u32 acked[WORLD_CELLS];		/* acknowledged or read, and not lost with the writer's power */
	u32 over[WORLD_CELLS];		/* the same, but its write is over: what a flush that is asked for now covers */
	u32 firm[WORLD_CELLS];		/* covered by a flush that completed */
};

/* A generation record, seen for the first time when its maker had it. */
struct record {
	u64 id;
	u16 branch;
	u8 maker;
	u32 attempts, acks;		/* of writes under it; a completed flush counts as both */
};

struct knobs {
	u32 log_slots[WORLD_NODES_MAX];	/* tiny activity logs, 0: the real size */
	u32 granule_shift[WORLD_NODES_MAX];	/* granules of the replica: GRANULE_BYTES_MIN << this [D4] */
	u32 latency_us, slow_us;
	u32 fault_every;		/* steps between faults */
	u32 workload_percent, flush_percent, read_percent;
	bool disk_errors, meta_errors, damage, splits, replacements, early_timeouts;
	bool through;			/* some disks have no volatile cache, and that changes */
	bool terse;			/* sessions without WIRE_FEATURE_STABLE and WIRE_FEATURE_BLANK */
	bool blank;			/* one replica is made, the others join it; some of them with data areas of zeroes [R4] */
};

struct world {
	u32 nr_nodes;
	struct knobs knobs;
	struct node node[WORLD_NODES_MAX];
	bool cut[WORLD_NODES_MAX][WORLD_NODES_MAX];	/* [from][to]: nothing passes that way */
	bool slow[WORLD_NODES_MAX][WORLD_NODES_MAX];
	struct lane lane[WORLD_NODES_MAX][WORLD_NODES_MAX][WORLD_LANES];
	struct message *free_messages;
	u64 now_us;
	u64 chance;			/* state of the scheduler's random numbers */
	u64 sequence;			/* ids of requests and sessions */
	u32 next_stamp;
	struct branch branch[WORLD_BRANCHES_MAX];
	u32 nr_branches;
	struct record record[WORLD_RECORDS_MAX];
	u32 nr_records;
	u16 record_at[2 * WORLD_RECORDS_MAX];	/* hash of ids: index + 1 */
	bool peer_down_used;
	bool overruled;			/* who was called down may have begun writes: its return is a split */
	bool healing;
	u64 steps, seed;
	u64 core_steps, count_acks, count_reads, count_crashes, count_cuts, count_promotes, count_forced, count_resyncs,
	    count_resync_sent, count_replaced, count_splits, count_detached, count_disk_errors, count_records, count_torn;
};

/* ---- story.c ---- */

/* Plays scenario @name, or "all". Exit status; prints `N passed, N failed`. */
int story_main(const char *name);

/* ---- world.c ---- */

u64 world_random(struct world *world);
/* 0..@limit - 1 */
u32 world_below(struct world *world, u32 limit);
bool world_percent(struct world *world, u32 percent);
/* Machines that are off, with formatted disks and quiet knobs. Then world_boot() each. */
void world_init(struct world *world, u64 seed, u32 nr_nodes);
void world_free(struct world *world);
void world_event(struct world *world, u8 node, const struct volume_event *event);
void world_event_simple(struct world *world, u8 node, enum volume_event_type type, u8 peer);
/* A message of @from's volume to @to; the caller fills it, body included. Lost unless both are in one session. */
struct message *world_message(struct world *world, enum message_kind kind);
void world_message_free(struct world *world, struct message *message);
void world_send(struct world *world, u8 from, u8 to, u32 lane, struct message *message);
void world_end_session(struct world *world, u8 node, u8 peer);
void world_power_cut(struct world *world, u8 node);
/* Power, then the volume. @node is off, or on without its volume. */
void world_boot(struct world *world, u8 node);
void world_cut(struct world *world, u8 from, u8 to, bool cut);
/* Primary of the lowest number, or NODE_NONE. */
u8 world_primary(const struct world *world);
bool world_is_primary(const struct world *world, u8 node);
void world_violation(struct world *world, const char *label, const char *format, ...)
	__attribute__((format(printf, 3, 4), noreturn));
/* One line: what this node believes. */
void world_describe(struct world *world, u8 node);
void world_trace(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
extern bool world_tracing;

static inline u64 world_features(const struct world *world)
{
	return world->knobs.terse ? 0 : WIRE_FEATURE_STABLE | WIRE_FEATURE_BLANK;
}

static inline u64 cell_offset(u32 cell)
{
	return ((u64)(cell / GROUP_CELLS * 2 + 1) * ACTLOG_REGION_BYTES) - GRANULE_BYTES_MIN +
	       (u64)(cell % GROUP_CELLS) * CELL_BYTES;
}

/* Both cells of the granule that @cell is in. */
static inline u32 granule_cells(u32 cell)
{
	return 3u << (cell & ~1u);
}

void world_engine_step(struct world *world, u8 node);	/* its next event */
struct message *world_lane_take(struct lane *lane);
void world_lanes_clear(struct world *world, u8 from, u8 to);

/* ---- schedule.c ---- */

/* One random thing happens somewhere. False when nothing can happen. */
bool world_step(struct world *world);

/* ---- meta.c ---- */

enum format {
	FORMAT_ALIKE,		/* one of several that were made together */
	FORMAT_ALONE,		/* the first of a new volume */
	FORMAT_NEW,		/* one more of a volume that is there */
};

void meta_format(struct world *world, u8 node, enum format format, u32 flags);
/* Reads what is on the disk. False: the metadata is refused. Then SAVE_ATTACH goes on. */
bool meta_attach(struct world *world, u8 node);
void meta_give_slots(struct node *n, const struct volume_event *event);
void meta_save(struct world *world, u8 node, const struct save_request *request);
/* One step of what is being saved, or of the log's transaction. False: not now; *_wanted() false: never without something else. */
bool meta_save_step(struct world *world, u8 node);
bool meta_save_wanted(const struct node *n);
bool meta_log_step(struct world *world, u8 node);
bool meta_log_wanted(const struct node *n);
/* What the power cut leaves of writes that were under way. */
void meta_torn(struct world *world, u8 node);
void disk_failed(struct world *world, u8 node);
void disk_flush(struct disk *disk);

/* ---- path.c ---- */

/* The same for the data path: eviction, demotion, writes that arrived, requests of a primary's users. */
bool path_round_step(struct world *world, u8 node);
bool path_round_wanted(const struct node *n);
bool path_demote_step(struct world *world, u8 node);
bool path_demote_wanted(const struct node *n);
/* The caller does not wait any longer, before it has asked for the role to go: users may write again. */
void path_demote_broken_off(struct node *n);
bool path_apply_step(struct world *world, u8 node);
bool path_request_step(struct world *world, u8 node, struct request *r);
bool path_request_wanted(const struct request *r);
void path_receive(struct world *world, u8 from, u8 to, u32 lane, const struct message *message);
void path_gate(struct world *world, u8 node);
void path_missed(struct world *world, u8 node, u8 peer);
void path_release(struct world *world, u8 node, u8 peer);
void path_peer_down(struct world *world, u8 node, u8 peer);
bool path_busy(const struct node *n, u32 cells, const struct request *but);
/* A new request of a user; false when there is no room. */
bool path_submit(struct world *world, u8 node, enum request_kind kind, u32 cells, bool fua);
bool path_internal_flush(struct world *world, u8 node);
bool path_idle(const struct node *n);
void path_power_cut(struct world *world, u8 node);
void path_marks_saved(struct world *world, u8 node, bool begin);
void path_demote_asks(struct world *world, u8 node, bool ok);
void path_round_ended(struct world *world, u8 node, bool ok);
/* The device goes away: requests that never took off fail. */
void path_fail_queued(struct world *world, u8 node);

/* ---- sync.c ---- */

void sync_start(struct world *world, u8 node, u8 peer);
void sync_stop(struct world *world, u8 node, u8 peer);
bool sync_step(struct world *world, u8 node, u8 peer);
bool sync_wanted(const struct resync *r);
void sync_ack(struct world *world, u8 node, u8 from, const struct message *message);
bool sync_holds(const struct node *n, u32 cells);

/* ---- check.c ---- */

u16 check_branch(const struct world *world, u8 node);
void check_init(struct world *world);
/* A stamp that may be anywhere: what was on a disk before braid came. */
u32 check_foreign_stamp(struct world *world);
void check_attached(struct world *world, u8 node);
void check_after_step(struct world *world, u8 node, enum volume_role before);
void check_attempt(struct world *world, u8 node, u32 cells, u32 stamp);
void check_acked(struct world *world, u8 node, const struct request *request);
/* An administrator ends the split: what @node wrote on its own, and @winner has not, may go. */
/* The branch that the history here began with, 0: that of all. NO_BRANCH is after all others. */
u16 check_root(const struct world *world, u8 node);
void check_given_up(struct world *world, u8 node);	/* an administrator makes it anew, the last of its history */
void check_yields(struct world *world, u8 node, u8 winner);
/* What is owed to a request of that kind when it is submitted at @node. */
void check_floor(const struct world *world, u8 node, enum request_kind kind, u32 *floor);
void check_read(struct world *world, u8 node, const struct request *request, const u32 *value);
void check_cleared(struct world *world, u8 node, u8 peer, u32 cells);
void check_before_power_cut(struct world *world, u8 node);
/* At any moment: who is primary, what differs. */
void check_now(struct world *world);
void check_pairs(struct world *world);
void check_claims(struct world *world);
/* Would this node's copy lose anything acknowledged in its branch? */
bool check_holds_everything(const struct world *world, u8 node);
bool check_knows_newest(const struct world *world, u8 node);
void check_content(struct world *world, u8 node, const u32 *floor, const char *label, const char *what);
void check_equal(struct world *world, u32 nodes);

/* ---- fault.c ---- */

/* One action of the outside, number @index of this run: a fault, an administrator or a user. */
void fault_action(struct world *world, u64 index);
void fault_choose_knobs(struct world *world, u64 seed);
/* Administrators who want everything to work again. */
void fault_mend(struct world *world, u64 index, u32 core);
bool fault_command(struct world *world, u8 node, enum volume_event_type type, u32 nodes, bool force);
bool fault_demote(struct world *world, u8 node);
bool fault_detach(struct world *world, u8 node);
void fault_replace_disk(struct world *world, u8 node);
void fault_workload(struct world *world, u64 chance);

#endif
