/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One volume on one node: every decision about roles, generations, who is in sync, who must
 * acknowledge a write, who resyncs whom [G] [W4] [D] [R].
 *
 * Control plane: volume_step(volume, event, actions). Steps of one volume never run concurrently and the
 * actions of one step are carried out, in order, before the next step. Data plane: the small volume_* calls at
 * the end of this file and those of actlog.h and dirty.h. Both run under the volume's lock (a spinlock in the
 * module): a step is bounded and touches memory only.
 *
 * Node sets are u32 masks by node id. A peer is indexed by its dirty-map slot (0..REPLICAS_MAX-1).
 *
 * Relations between two replicas (one session per node pair; restarts with every session):
 *
 *   OFF -> ABSENT -> GREETING -> { WAITING | IN_SYNC | SPLIT | REFUSED
 *                                | SOURCE_ASKED -> SOURCE -> IN_SYNC            (we are the target)
 *                                | TARGET_STARTING -> TARGET -> JOINING -> IN_SYNC } (we are the source)
 *
 * GREETING: both send GREET (all facts, numbered), each computes volume_plan() from the two newest greetings and
 * sends VERDICT with both numbers; a matching VERDICT of the peer makes the plan effective [G5] [I9]. Changed facts
 * are greeted again; an IN_SYNC pair agrees on new generations with RECORD / RECORD_ACK instead.
 */
#ifndef BRAID_CORE_VOLUME_H
#define BRAID_CORE_VOLUME_H

#include "actlog.h"
#include "dirty.h"
#include "flush.h"
#include "lineage.h"
#include "ondisk.h"
#include "wire.h"

enum volume_role {
	VOLUME_SECONDARY,
	VOLUME_PRIMARY,
};

enum volume_disk {
	VOLUME_DISK_NONE,	/* detached */
	VOLUME_DISK_OK,
	VOLUME_DISK_FAILED,	/* given up after an error */
};

enum volume_relation {
	VOLUME_OFF,		/* no session */
	VOLUME_ABSENT,		/* session, but the peer has not greeted for this volume */
	VOLUME_GREETING,
	VOLUME_WAITING,		/* nothing to do for now; see why */
	VOLUME_IN_SYNC,
	VOLUME_SOURCE_ASKED,	/* we sent SYNC_START */
	VOLUME_SOURCE,		/* the peer resyncs us */
	VOLUME_TARGET_STARTING,	/* the peer sends what it knows to differ */
	VOLUME_TARGET,		/* we resync the peer; it gets our writes */
	VOLUME_JOINING,		/* the record that adds the peer is under way */
	VOLUME_SPLIT,		/* [G7] */
	VOLUME_REFUSED,		/* see why */
	VOLUME_RELATIONS,
};

/* What two replicas do with each other: one total function of both greetings, mirrored at the other end. */
enum volume_plan {
	VOLUME_PLAN_IN_SYNC,
	VOLUME_PLAN_I_AM_SOURCE,
	VOLUME_PLAN_PEER_IS_SOURCE,
	VOLUME_PLAN_WAIT_INCOMPLETE,	/* neither holds everything */
	VOLUME_PLAN_WAIT_PRIMARY,	/* a primary elsewhere has to be the source */
	VOLUME_PLAN_WAIT_DISK,		/* one of them has no disk */
	VOLUME_PLAN_SPLIT,
	VOLUME_PLAN_REFUSE_UNRELATED,
	VOLUME_PLAN_REFUSE_TWO_PRIMARIES,
	VOLUME_PLAN_REFUSE_STALE_PRIMARY,	/* the target is primary */
	VOLUME_PLAN_REFUSE_SIZE,
	VOLUME_PLANS,
};

const char *volume_relation_name(enum volume_relation relation);
const char *volume_plan_name(enum volume_plan plan);
enum volume_plan volume_plan_mirror(enum volume_plan plan);
/* @verdict receives lineage_compare(mine, peer). */
enum volume_plan volume_plan(const struct wire_greet *mine, u8 my_node, const struct wire_greet *peer, u8 peer_node,
			     enum lineage_verdict *verdict);

/* Why a command is refused. Stable: shown to users as codes (uapi) and on the wire. */
enum volume_refusal {
	VOLUME_OK = 0,
	VOLUME_REFUSED_NO_DISK,		/* no working disk here */
	VOLUME_REFUSED_STALE,		/* [G4] not in the in-sync set of the newest generation known */
	VOLUME_REFUSED_SYNCING,		/* content is half-synced */
	VOLUME_REFUSED_PEER_PRIMARY,	/* nodes: the primary */
	VOLUME_REFUSED_UNREACHABLE,	/* nodes: members of the in-sync set that cannot be asked [G8] */
	VOLUME_REFUSED_BUSY,		/* another change is under way; try again */
	VOLUME_REFUSED_NOT_PRIMARY,
	VOLUME_REFUSED_NO_SPLIT,	/* nothing to resolve */
	VOLUME_REFUSED_OTHER_SPLIT,	/* the split id is not this one */
	VOLUME_REFUSED_IS_PRIMARY,	/* the losing side has a primary, maybe on another node: demote it first */
	VOLUME_REFUSED_META,		/* metadata could not be written */
	VOLUME_REFUSED_MEMBER,		/* nodes: still in the in-sync set */
	VOLUME_REFUSALS,
};

const char *volume_refusal_name(enum volume_refusal refusal);

enum volume_event_type {
	VOLUME_EVENT_ONLINE,		/* attach finished: the log on disk is empty, sessions may be used */
	VOLUME_EVENT_PEER_UP,		/* node: session authenticated (once per session); features: what both ends have */
	VOLUME_EVENT_PEER_DOWN,		/* node: session ended; nothing of it arrives any more */
	VOLUME_EVENT_FRAME,		/* node, frame_type, body (of a volume's control plane; decoded and checked) */
	VOLUME_EVENT_SUPER_SAVED,	/* token, ok */
	VOLUME_EVENT_LOG_RESET,		/* ok: what VOLUME_DO_LOG_RESET wanted is done */
	VOLUME_EVENT_DISK_FAILED,
	VOLUME_EVENT_PEER_IO_FAILED,	/* node: answered a write or flush with an error */
	VOLUME_EVENT_IO_WAITS,		/* I/O waits at the gate (volume_gate() said WAIT) or on a lost member */
	VOLUME_EVENT_RESYNC_DRY,	/* node: the resync found nothing dirty and everything proven */
	VOLUME_EVENT_RESYNC_FAILED,	/* node: the resync cannot go on (local read error) */
	VOLUME_EVENT_PROMOTE,		/* force, nodes (peer_down) */
	VOLUME_EVENT_CANCEL,		/* of a PROMOTE or DEMOTE: the caller went away or its deadline passed */
	VOLUME_EVENT_DEMOTE,		/* no opener, nothing in flight, log reset done; it may wait for a record before it ends */
	VOLUME_EVENT_RESOLVE,		/* value: split id; node: the winner (this node or one of the other side) */
	VOLUME_EVENT_FORGET,		/* node: its replica is gone for good */
	VOLUME_EVENT_FACTS,		/* volume_marked() wants it */
	VOLUME_EVENT_GOING_DOWN,	/* tell the peers; the disk is detached after this step */
};

struct volume_event {
	enum volume_event_type type;
	u8 node;
	u8 frame_type;
	bool ok;
	bool force;
	u32 token;
	u32 nodes;
	u64 value;
	u64 features;	/* enum wire_features */
	const union wire_body *body;
	u64 random;	/* fresh random number, never 0: ids of new records */
};

enum volume_action_type {
	VOLUME_DO_SEND,		/* node, frame_type: control frame; body from volume_fill() */
	VOLUME_DO_SEND_RANGES,	/* to node: what map_node lacks (with_log: and the regions in the activity log), RANGES
				 * frames then RANGES_END */
	VOLUME_DO_SAVE_SUPER,	/* token; maps_first: all unsaved dirty bits before. Answer: SUPER_SAVED. Later saves may absorb
				 * earlier ones as long as every token is answered in order. */
	VOLUME_DO_LOG_RESET,	/* flush the local disk, make all dirty bits durable, empty the activity log (regions with a
				 * local write in flight: when it ended), commit it. Answer: LOG_RESET. */
	VOLUME_DO_MISSED,	/* node left the stream: volume_missed() for each request in flight; it may be back in the stream
				 * before they are released */
	VOLUME_DO_RELEASE,	/* requests that missed node: go on without it, volume_released() for each in flight */
	VOLUME_DO_GATE,		/* try again what waits at the gate */
	VOLUME_DO_RESYNC_START,	/* node */
	VOLUME_DO_RESYNC_STOP,	/* node: no RESYNC_DRY for an earlier start arrives after this */
	VOLUME_DO_END_SESSION,	/* node, reason (enum wire_bye_reason) */
	VOLUME_DO_COMMAND_DONE,	/* the pending PROMOTE, RESOLVE, DEMOTE or FORGET ended: refusal, nodes */
	VOLUME_DO_CHANGED,	/* status changed: tell listeners, wake who waits for a state */
};

struct volume_action {
	enum volume_action_type type;
	u8 node;
	u8 frame_type;
	u8 map_node;
	u8 reason;
	bool with_log;
	bool maps_first;
	u32 token;
	u32 nodes;
	enum volume_refusal refusal;
	struct {		/* what volume_fill() needs for this frame */
		u32 number, your_number, serial;
		u8 verdict, plan, ok, why;
		u64 value;
	} frame;
};

enum { VOLUME_ACTIONS_MAX = 8 * REPLICAS_MAX };

struct volume_actions {
	u32 nr;
	struct volume_action action[VOLUME_ACTIONS_MAX];
};

struct volume_peer {
	u8 node;		/* NODE_NONE: slot not used */
	enum volume_relation relation;
	bool up;
	bool greeted;		/* facts are valid */
	bool confirmed;		/* plan is agreed by both ends */
	bool granted;		/* we granted its promotion and wait for its greeting */
	bool greet_wanted;	/* facts changed that this peer has to know */
	bool knows_blank;	/* WIRE_FEATURE_BLANK */
	u32 my_number;		/* greeting sent last, 0 none */
	u32 judged_number;	/* the peer's greeting that plan and verdict were computed from */
	u32 sent_serial;	/* facts_serial of that greeting */
	u32 sent_flags;		/* flags of that greeting */
	enum lineage_verdict verdict;
	enum volume_plan plan;
	u32 acks_pending;	/* requests in flight that wait for this peer */
	u32 acks_missed;	/* of these: the peer left since they were sent */
	bool start_pending;	/* TARGET_STARTING: it is still telling, or what it told is not on our disk yet */
	bool start_unsaved;	/* of what it told; meanwhile it may be */
	u32 start_token;	/* that is being saved, 0: no */
	struct dirty_map map;	/* what the peer lacks; no entries: the slot has no memory, and is not used */
	struct wire_greet *facts;	/* its newest greeting; NULL: no memory */
};

struct volume {
	struct ondisk_super super;	/* durable facts as they are in memory; chain included */
	struct actlog log;
	struct volume_peer peer[REPLICAS_MAX];
	u8 node;		/* this node */
	enum volume_role role;
	enum volume_disk disk;
	bool online;
	bool fresh;		/* a new replica in its first resync, from one and the same source, which knows what it lacks */
	bool unchanged;		/* was blank when it adopted its source's history, and no data arrived since [R4] */
	bool resetting;		/* LOG_RESET under way: no greetings until it ended */
	bool stream_lost;	/* a writer's stream ended in this step */
	u8 primary;		/* node that is primary as far as we know, or NODE_NONE */
	u8 sync_source;		/* node that resyncs us or was asked to, or NODE_NONE */
	u8 authority;		/* whose copy this is where logs differed after a crash: this node or a former source */
	u32 facts_serial;	/* counts changes of what a greeting says */
	u64 mark_asked_id;	/* generation that a request waits to see marked written */
	u64 marked_id;		/* that the log on disk marks. It stays there until another mark is asked for: a superblock that knows more
				 * may be on its way and never arrive [G2] */
	u32 streaming;		/* peers that get every write and must acknowledge it (IN_SYNC, TARGET, JOINING) */
	struct flush flush;	/* while primary: whom a flush has to reach */
	u32 lacking;		/* while primary: who left with writes in the log, maybe in a volatile cache there only; this node: whose
				 * disk failed then. Until it is in sync again, or a record leaves it out */
	u32 next_token;
	struct {
		bool active;
		bool saved;	/* the save here is over, if there is a disk */
		bool kept;	/* and did not fail */
		bool held;	/* a peer has it on its disk */
		bool joiner_next;	/* whom it adds is asked when the others have answered */
		bool member_left;	/* before it answered: it may be writing */
		u32 replaced;	/* that mask as it was before, for the case that the record is withdrawn */
		u32 token, serial;
		u64 id;		/* of the record */
		u32 waiting;	/* acks outstanding */
		u8 adding;	/* node or NODE_NONE */
	} proposal;
	struct {		/* RECORD of another node that is being made durable */
		u8 from;
		u32 token, serial;
		bool joined;
	} accepting;
	struct {
		u8 from;	/* SYNC_ACCEPT being made durable */
		u32 token;
	} adopting;
	struct {		/* administrator's command under way */
		enum volume_event_type type;	/* PROMOTE, DEMOTE or RESOLVE; 0 is not among them */
		bool active;
		bool force;
		u32 serial;
		u32 waiting;
		u32 peer_down;	/* nodes that the administrator knows to be down */
		u32 token;
	} command;
	struct {		/* YIELD is being taken off the disk [G7]: what is acknowledged from then on, nobody has given up */
		u32 token;	/* until this save is over no write is admitted and no promotion granted; a disk that fails ends it, too */
		u8 to;		/* whose promotion is granted then, or NODE_NONE */
		u32 serial;
	} unyielding;
	u32 quiet;		/* > 0: gate closed by the glue (demotion): volume_quiesce() */
	u64 quiet_spell;	/* counts the times that it was closed so */
	bool reads_here;	/* every read may go to the local disk, unasked: as the last step left it; readable without the lock [W7] */
	bool record_fits;	/* the newest record is the one that writes need [G2]: as the last step left it */
	u32 in_flight;		/* writes, discards, flushes admitted and not ended */
	u64 resync_clears;	/* granules cleared by proof since attach, for status */
	bool io_waits;		/* I/O waits at the gate for a generation */
	u32 slots_short;	/* how often a free slot was not taken because it had no memory; always 0, see volume_slot.c */
	struct wire_greet *scratch;	/* own facts, for volume_plan() */
};

/*
 * Fresh volume from a decoded superblock. The glue has initialised volume->log. It gives memory to each slot that the
 * superblock names a node for (volume_slot_lacking() without an event), loads index and pages into
 * volume->peer[slot].map, then calls volume_log_found() for each region that the activity log on disk names
 * (or volume_log_lost() when it is unreadable), then saves maps and superblock, empties the log, posts ONLINE. @scratch: memory
 * of the caller that volume_step() overwrites and leaves, so volumes whose steps never run at the same time may share it.
 */
void volume_init(struct volume *volume, const struct ondisk_super *super, u8 node, struct wire_greet *scratch);
/*
 * A slot that has to be given memory before the step of @event, REPLICAS_MAX when there is none (any more). Before each step: the
 * step takes slots only from those that have it, and a replica without a slot is not known here. Without an event: the slots in use.
 */
u32 volume_slot_lacking(const struct volume *volume, const struct volume_event *event);
/*
 * Memory for one more slot, until the volume ends: @entries is an array of dirty_entries_needed(), @pool has a free page for its
 * map, @facts is overwritten.
 */
void volume_slot_give(struct volume *volume, u32 slot, struct dirty_pool *pool, struct dirty_entry *entries,
		      struct wire_greet *facts);
/* [G6] After a crash: the region may differ on any other replica. */
void volume_log_found(struct volume *volume, u32 region);
void volume_log_lost(struct volume *volume);
/* A generation that an activity log block marks as written [G2]. */
void volume_written_found(struct volume *volume, u64 generation_id);

/* The one door. @actions is overwritten. */
void volume_step(struct volume *volume, const struct volume_event *event, struct volume_actions *actions);
/* Body of a VOLUME_DO_SEND, before the next step. */
void volume_fill(const struct volume *volume, const struct volume_action *action, union wire_body *body);

/* ---- data plane, under the volume's lock ---- */

enum volume_gate {
	VOLUME_GATE_OPEN,
	VOLUME_GATE_WAIT,	/* queue it, post IO_WAITS, retry on VOLUME_DO_GATE */
	VOLUME_GATE_FAIL,	/* no replica can take it: end with an I/O error */
};

/* May a write (or discard, zeroes, flush) of the primary be submitted now? */
enum volume_gate volume_gate_write(const struct volume *volume);
enum volume_gate volume_gate_read(const struct volume *volume);
/* Node to read from: this node, or an in-sync peer, or NODE_NONE. @failed: nodes that failed this read. */
u8 volume_read_from(const struct volume *volume, u32 failed);
/* The gate is open and the local disk is the first to be asked. Nothing but volume_step() changes that; it keeps it in reads_here. */
bool volume_reads_are_local(const struct volume *volume);

/* Fate of one write, discard or flush of the primary. */
struct volume_ack {
	u32 pending;	/* nodes whose acknowledgement is outstanding, this one included while local I/O runs */
	u32 nodes;	/* all that it went to at submission */
	u32 missed;	/* of pending: nodes that left the stream since; no answer of theirs counts */
	u64 flush_generation_id;	/* a user's flush: under which it was submitted; else 0 */
	u64 flush_since;
};

/* What is known of a change, or a flush, at one node when it is waited for no more. */
enum volume_answer {
	VOLUME_ANSWER_NONE,	/* it failed, or nobody will ask any more */
	VOLUME_ANSWER_VOLATILE,	/* done, maybe in a volatile cache only */
	VOLUME_ANSWER_STABLE,	/* done, on stable storage; a flush: all that was done before is */
};

/*
 * Gate was open: who gets it? Sets ack->pending = streaming peers (| this node if its disk works). For writes
 * (@length_bytes > 0) marks what the replicas that do not get it miss [D1]: already complete when this returns.
 */
void volume_begin(struct volume *volume, struct volume_ack *ack, u64 offset_bytes, u32 length_bytes);
/*
 * The same for a user's flush: ack->nodes are all that it stands for, ack->pending those that have something to flush, maybe none
 * [W5]. An eviction round reaches all: volume_begin() with length 0.
 */
void volume_begin_flush(struct volume *volume, struct volume_ack *ack);
/* Gate was open: has the flush before a write (PREFLUSH) nothing to do anywhere? True: it counts as done. */
bool volume_flush_is_done(struct volume *volume);
/*
 * A change without FUA is about to be submitted; call for each. True: a flush is expected right after it, so it had better be FUA
 * on every node (a write; others cannot be).
 */
bool volume_expects_flush(struct volume *volume);
/* One acknowledgement. True when it was the last one: the request ends (volume_end()). */
bool volume_acked(struct volume *volume, struct volume_ack *ack, u8 node, enum volume_answer answer);
void volume_end(struct volume *volume, const struct volume_ack *ack);
/* VOLUME_DO_MISSED and VOLUME_DO_RELEASE, for each request in flight; the second is true when the request ends. */
void volume_missed(struct volume *volume, struct volume_ack *ack, u8 node);
bool volume_released(struct volume *volume, struct volume_ack *ack, u8 node);
/* Is @node waited for? */
static inline bool volume_waits_for(const struct volume_ack *ack, u8 node)
{
	return ack->pending >> node & 1;
}

/* Another node's write arrives here: may it be applied? (relation, range, role; [I20]) The glue ends the session if not. */
bool volume_may_apply(const struct volume *volume, u8 from, u64 offset_bytes, u32 length_bytes);
/* Marks the bits of replicas that are not in the in-sync set [D1]; call when applying, under the same lock hold. */
void volume_apply(struct volume *volume, u8 from, u64 offset_bytes, u32 length_bytes);
/*
 * Resync data of @from is about to be written: marks what third replicas may differ in from now on [I5]. True: the maps have to
 * be saved before the data is written, since no log stands in for these bits [D1]. Same lock hold as volume_may_resync().
 */
bool volume_apply_resync(struct volume *volume, u8 from, u64 offset_bytes, u32 length_bytes);
/* May @from ask this replica for data (READ, DIGESTS, RESYNC_DATA)? */
bool volume_may_read(const struct volume *volume, u8 from);
bool volume_may_resync(const struct volume *volume, u8 from);

/*
 * [G2] A request (write or flush, this node's own or a peer's) submitted under @generation_id is about to be done here: when that
 * is the tail and not marked written yet, it must wait for the next log commit, which carries the mark and is asked for by
 * this call. Only for real requests: a mark that nothing stands behind would be a lie.
 */
bool volume_mark_wanted(struct volume *volume, u64 generation_id);
/*
 * Id to put into the log blocks of a commit; when that commit is durable: volume_marked(id). True: post VOLUME_EVENT_FACTS, since
 * peers that waited may find now that they are behind, or in a split [I10].
 * Without a new mark it is the one that the log has: the commit replaces the block that said so, and the superblock may not say so yet.
 */
u64 volume_mark_id(const struct volume *volume);
bool volume_marked(struct volume *volume, u64 generation_id);

/* Closes the gate for new writes; nests. Returns the number of the spell of quiet that has begun, or goes on; never 0. */
u64 volume_quiesce(struct volume *volume);
void volume_unquiesce(struct volume *volume);
/*
 * A log reset begins: returns the epoch of its flush. When the disk here is flushed and all dirty bits are durable,
 * actlog_evict_before() with that epoch. Only the disk here: who asks has had all others flushed, in the @spell of quiet that it
 * asks in. 0 when that spell is over (the demotion was broken off): then nothing may leave, since users may have written again,
 * and of that a flush here proves nothing for the others' caches [W6] (seed 12600000048228, 4 nodes). @spell 0: of
 * VOLUME_DO_LOG_RESET, or of the detach.
 */
u64 volume_log_reset_begin(struct volume *volume, u64 spell);

/* Peer of @node, or NULL when it has no slot. */
struct volume_peer *volume_peer(struct volume *volume, u8 node);
const struct volume_peer *volume_peer_const(const struct volume *volume, u8 node);
/* Are all replicas in sync, or what is the worst: for status and `wait`. */
bool volume_healthy(const struct volume *volume);
/* Is this replica in the in-sync set of the newest generation known, complete and with a disk? [G4] */
bool volume_up_to_date(const struct volume *volume);
/* Would PROMOTE be refused now? nodes: see enum volume_refusal. Does not change anything. */
enum volume_refusal volume_promote_check(const struct volume *volume, bool force, u32 peer_down, u32 *nodes);

#endif
