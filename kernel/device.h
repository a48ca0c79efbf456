/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One attached volume in the kernel: glue around struct volume of the core.
 *
 * Files: device.c  gendisk, detach; attach.c  attach;         engine.c  events in, actions out;
 *        memory.c  what the core works in;
 *        dispatch.c  frames and ends of sessions to volumes, names, what peers have;
 *        meta.c, meta_maps.c  everything on the metadata;    io*.c     the primary's reads and writes;
 *        apply.c   other nodes' writes and reads here;       sync.c    resync, both ends.
 *
 * Locks, outermost first: bn->lock (mutex) > volume->command_lock (mutex, one administrator's command at a time) >
 * volume->lock (spinlock, interrupts disabled, since local I/O ends in interrupts: core state, request lists). Nothing
 * sleeps under volume->lock.
 */
#ifndef BRAID_DEVICE_H
#define BRAID_DEVICE_H

#include <linux/blkdev.h>
#include <linux/completion.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include "compat.h"
#include "core/gather.h"
#include "core/volume.h"
#include "node.h"
#include "range.h"

/* Every reason why something at hand was refused; texts in netlink.c, remedies in the command. Stable numbers. */
enum braid_error {
	BRAID_OK = 0,
	/* 1..31: enum volume_refusal */
	BRAID_ERROR_NOT_CONFIGURED = 32,	/* no identity in this namespace */
	BRAID_ERROR_ALREADY_CONFIGURED,
	BRAID_ERROR_NO_SUCH_PEER,
	BRAID_ERROR_NO_SUCH_VOLUME,
	BRAID_ERROR_EXISTS,
	BRAID_ERROR_OPEN_DISK,		/* backing disk cannot be opened exclusively */
	BRAID_ERROR_NO_METADATA,
	BRAID_ERROR_BAD_METADATA,
	BRAID_ERROR_META_INCOMPATIBLE,
	BRAID_ERROR_OTHER_NODE,		/* metadata belongs to another node or cluster [G10] */
	BRAID_ERROR_DISK_SIZE,		/* disk is smaller than the metadata says */
	BRAID_ERROR_DISK_IO,
	BRAID_ERROR_IN_USE,		/* device is open */
	BRAID_ERROR_TIMEOUT,
	BRAID_ERROR_INTERRUPTED,
	BRAID_ERROR_MEMORY,
	BRAID_ERROR_ADDRESS,		/* cannot listen there */
	BRAID_ERROR_LIMIT,
	BRAID_ERROR_BLOCK_SIZE,		/* the disk's logical blocks are larger than the volume's */
	BRAID_ERROR_DISK_BUSY,		/* the disk belongs to an attach or a down that has not ended */
};

struct braid_event {			/* queued for the engine */
	struct list_head entry;
	struct volume_event event;
	union wire_body *body;		/* own copy, freed with the event; or NULL */
};

/* Reads that go straight to the local disk, of one processor (io_pass.c). */
struct braid_passes {
	unsigned long begun, ended;
	u64 reads, read_bytes;		/* that the disk answered */
};

/* From the begin of an attach until the disks are closed. */
enum braid_phase {
	BRAID_PHASE_ATTACHING,		/* a command waits for the attach */
	BRAID_PHASE_GIVEN_UP,		/* it does not any more: this one will not come up */
	BRAID_PHASE_UP,			/* no disk is waited for any more; it can be found, or will be, until it is removed */
};

struct braid_volume {
	struct kref references;
	struct list_head entry;		/* bn->volumes */
	struct hlist_node by_id, by_minor;	/* dispatch.c */
	struct braid_net *bn;		/* counted */
	u64 id;				/* volume id */
	char name[NAME_BYTES_MAX];
	u32 minor;
	struct mutex command_lock;
	struct list_head claim;		/* bn->claims; this and the next under bn->claims_lock */
	enum braid_phase phase;
	dev_t data_device, meta_device;	/* of the disks; 0: metadata is on the data disk */

	spinlock_t lock;
	struct volume core;		/* under lock */

	/* engine.c */
	struct workqueue_struct *workqueue;	/* of this volume: all that has to go on when memory is short [L4] */
	struct workqueue_struct *sleeper_workqueue;	/* of this volume: works of single requests that sleep on the disk */
	struct work_struct engine_work;
	struct list_head events;	/* under lock */
	u32 nr_events;			/* under lock */
	struct {			/* under lock: events without memory, see engine.c */
		u32 types;		/* bit: enum volume_event_type */
		u32 nodes[VOLUME_EVENT_GOING_DOWN + 1];
	} overflow;
	bool engine_running;		/* under lock: steps are made; before braid_engine_start() events only queue */
	struct volume_actions actions;	/* engine work only */
	union wire_body *body;		/* engine work only: scratch of a step, then of its actions */
	u64 session[NODES_MAX];		/* number of the session with each node that the core knows as up, 0 none; engine work
					 * writes it, under lock */
	u64 entered[NODES_MAX];		/* request ids of that session come after this number; written before the session */
	atomic_t receivers;		/* dispatch.c: frames being delivered */
	wait_queue_head_t changed;	/* woken by VOLUME_DO_CHANGED, when idle_waiters may go on, and when a command has ended */
	struct {
		bool done;
		bool cancelled;		/* CANCEL was stepped */
		enum volume_refusal refusal;
		u32 nodes;
	} command_result;		/* under lock; of the command_lock holder's command */

	/* meta.c */
	struct braid_disk *data;	/* compat.h's handle of an exclusively opened disk; NULL after detach */
	struct braid_disk *meta;	/* may be the same */
	struct ondisk_layout layout;
	struct work_struct commit_work;	/* activity log group commit */
	struct hrtimer commit_timer;	/* begins one that was put off */
	struct gather gather;		/* for how long that is */
	struct work_struct save_work;	/* superblock, dirty pages, log reset */
	struct braid_meta *meta_private;

	/* device.c */
	struct gendisk *gendisk;
	u32 openers;			/* under lock */
	u32 writers;
	bool removing;			/* no new openers, I/O fails */
	bool disk_failed_posted;
	bool demoting;			/* under lock: no new openers */
	bool trusts;			/* submitters: their pages are not copied [W2]; turned on while nobody has it open */
	struct rcu_work free_work;	/* after the last reference */
	struct work_struct close_work;	/* last part of a detach: waits for the disk as long as it takes */
	struct completion closed;	/* close_work ended */
	bool clean;			/* close_work: empty the log and say in the metadata that the detach was clean */
	struct {			/* memory of volume->core */
		struct actlog_slot *slots;
		u32 *hash;
		struct dirty_page **pages;
		u32 *next_free;
		struct dirty_entry *entries[REPLICAS_MAX];	/* of slots that have been used, or may be */
		struct wire_greet *facts[REPLICAS_MAX];		/* of the same slots */
		u32 nr_slots;		/* of these */
		struct dirty_pool pool;	/* under lock */
	} memory;

	struct braid_range_tree ranges;	/* of writes and resync chunks; under lock */
	/* io.c: the primary's requests; all lists under lock */
	struct braid_io *io;
	struct braid_passes __percpu *passes;	/* io_pass.c */
	u32 idle_waiters;		/* under lock: tasks that wait until no request is left, of users or of peers */
	/* apply.c */
	struct braid_apply *apply;
	/* sync.c */
	struct braid_sync *sync;

	/* counters for status [D6] [C5], under lock; reads without those in passes */
	struct {
		u64 writes, reads, flushes, written_bytes, read_bytes;
		u64 log_commits, super_writes, dirty_page_writes;
		u64 resync_sent_bytes, resync_equal_bytes, resync_received_bytes;
		u64 remote_reads;
	} count;
};

/* ---- attach.c ---- */
struct braid_attach {
	const char *data_path;
	const char *meta_path;		/* NULL: internal */
};
/*
 * Opens disks, loads metadata, creates /dev/braidN, goes online: *@volume, with a reference. TIMEOUT or INTERRUPTED: nothing is
 * attached, nor will be; the disks are closed as soon as they have answered. The wait is killable. Process context, bn->lock not held.
 */
enum braid_error braid_volume_attach(struct braid_net *bn, const struct braid_attach *disks, u32 timeout_ms,
				     struct braid_volume **volume);
/* Does a command wait for an attach: of this volume (@id 0: of this name), or (@name NULL) of any? Any context. */
bool braid_volume_attaching(struct braid_net *bn, u64 id, const char *name);

/* ---- device.c ---- */
int braid_devices_init(void);		/* module: caches, queues of works */
void braid_devices_exit(void);
/*
 * The volume is this command's: 0, and *@timeout_ms is what is left of it; -ETIMEDOUT or -EINTR (killed). Process context.
 * braid_command_unlock() ends it.
 */
int braid_command_lock(struct braid_volume *volume, u32 *timeout_ms);
void braid_command_unlock(struct braid_volume *volume);
/*
 * Down: refused with IN_USE while open unless @force: then pending I/O fails and openers get errors. Always ends within about
 * @timeout_ms. Process context, a reference held, bn->lock and command_lock not. With @force, and when it is to go down by another
 * command, BRAID_ERROR_TIMEOUT means: the volume is down and its names are free, but its disk has not given back every request; it is
 * closed as soon as it has.
 */
enum braid_error braid_volume_down(struct braid_volume *volume, bool force, u32 timeout_ms);
/*
 * Are writes to be copied, or are submitters trusted [W2]? Kept in the superblock. To trust is refused with IN_USE while the device is
 * open: who has it open was not asked for stable pages. Process context, command_lock held.
 */
enum braid_error braid_volume_set_trust(struct braid_volume *volume, bool trusts, u32 timeout_ms);

/* ---- memory.c ---- */
enum { BRAID_PAGES_AHEAD = 32 };
int braid_memory_init(void);		/* module */
void braid_memory_exit(void);		/* after the last volume was freed */
/* Creates volume->core as well. Process context, sleeps. braid_memory_free() after a failure, too. */
enum braid_error braid_memory_create(struct braid_volume *volume, const struct ondisk_super *super);
void braid_memory_free(struct braid_volume *volume);
/* Memory for the slots that a step of @event may take. The engine's context; waits for memory. */
void braid_memory_slots(struct braid_volume *volume, const struct volume_event *event);
/* Pages of dirty maps: one for each logged region and @nr_ahead are free afterwards, if @gfp yields them. Process context. */
void braid_memory_pages(struct braid_volume *volume, u32 nr_ahead, gfp_t gfp);

/* ---- dispatch.c ---- */
struct braid_volume *braid_volume_find(struct braid_net *bn, u64 id);		/* takes a reference; any context */
struct braid_volume *braid_volume_find_name(struct braid_net *bn, const char *name);
/*
 * Next attached volume in the order of ids, the first with an id above @after_id (0: the first of all), with a reference;
 * NULL: no more. Volumes that come or go meanwhile neither hide nor double others. Any context.
 */
struct braid_volume *braid_volume_next(struct braid_net *bn, u64 after_id);
void braid_volume_get(struct braid_volume *volume);
void braid_volume_put(struct braid_volume *volume);
/*
 * The volume goes online: it gets ONLINE, then PEER_UP for each session that is open, then whatever arrives; from now on it
 * is found by id and name. Process context, bn->lock held.
 */
void braid_dispatch_add(struct braid_volume *volume);
/*
 * No frame reaches it any more, its id and name are free. Frames that are being delivered may still be: see
 * braid_dispatch_drain(). Process context; sleeps for a grace period.
 */
void braid_dispatch_remove(struct braid_volume *volume);
/*
 * After the removal: wait until no frame is being delivered. Process context; the delivery of a write may wait for memory,
 * never for the disk.
 */
void braid_dispatch_drain(struct braid_volume *volume);
/* device.c: namespace exit: forced down of every volume. bn->lock not held. */
void braid_volumes_exit_net(struct braid_net *bn);
/*
 * A new id for a frame that asks for an answer; used by io.c and sync.c for EVERY such frame, because ACKS carry request
 * ids only: bits 48..62 name the asking volume on this node (braid_volumes_receive() finds it by them), bits 0..46 are a sequence number
 * of the whole module, so that no late answer ever fits. @flags: BRAID_REQUEST_RESYNC, the resync asks; SESSION_ID_GATHERS. Any context.
 */
#define BRAID_REQUEST_RESYNC (1ull << 63)
u64 braid_request_id(const struct braid_volume *volume, u64 flags);

/* A volume that a peer greeted for and that has no replica here: what `braid replicate NAME` needs to create one. */
struct braid_known_volume {
	u64 id;
	char name[NAME_BYTES_MAX];
	u64 volume_bytes;
	u32 granule_bytes;
	u32 actlog_parts;
	u32 block_bytes;	/* logical blocks */
	u32 replicas;		/* nodes that have one, as the peer said */
	u32 seen_from;		/* nodes that greeted for it */
};

enum { BRAID_KNOWN_VOLUMES_MAX = 1024 };

/*
 * The next known volume of the namespace behind *@number, which is 0 for the first and is moved on: false when there are no more.
 * Process context; takes a mutex of its own.
 */
bool braid_known_volume(struct braid_net *bn, u32 *number, struct braid_known_volume *known);
/* Namespace: set up and free what dispatch.c keeps there. */
int braid_devices_init_net(struct braid_net *bn);
void braid_devices_exit_net(struct braid_net *bn);

/* ---- engine.c ---- */
int braid_engine_init(struct braid_volume *volume);
void braid_engine_free(struct braid_volume *volume);	/* after braid_engine_stop(), or when never started */
void braid_engine_start(struct braid_volume *volume);	/* events that queued up are handled from now on */
void braid_engine_stop(struct braid_volume *volume);	/* drops queued events, waits for the work */
/* Everything posted so far has been stepped and its actions are carried out. Process context, not from the engine. */
void braid_engine_flush(struct braid_volume *volume);
/*
 * Wait until the queue of events is short again: what a peer sends must not fill our memory. 0 or -ETIMEDOUT. Process
 * context; bounded by the failure timeout.
 */
int braid_engine_throttle(struct braid_volume *volume);
/*
 * Queue an event (copied; @event->body is copied too). Never fails. Any context for events that are only a type and a
 * node (disk, I/O and resync results); those that carry more (body, token, value, force) may sleep (GFP_NOIO). Not under volume->lock.
 * event->random is filled when the step runs.
 */
void braid_engine_post(struct braid_volume *volume, const struct volume_event *event);
/* Shorthand for events that need only a type and a node. */
void braid_engine_post_simple(struct braid_volume *volume, enum volume_event_type type, u8 node);
/* Run an administrator's command to its end: killable, bounded. Caller holds command_lock. */
enum braid_error braid_engine_command(struct braid_volume *volume, const struct volume_event *event, u32 timeout_ms,
				      u32 *nodes);
/* Caller of these four holds a reference and command_lock, and not bn->lock: they wait for peers. */
enum braid_error braid_volume_promote(struct braid_volume *volume, bool force, u32 peer_down, u32 timeout_ms, u32 *nodes);
enum braid_error braid_volume_demote(struct braid_volume *volume, u32 timeout_ms);
enum braid_error braid_volume_resolve(struct braid_volume *volume, u64 split_id, u8 winner, u32 timeout_ms, u32 *nodes);
enum braid_error braid_volume_forget(struct braid_volume *volume, u8 node, u32 timeout_ms);

/* ---- meta.c ---- */
/* Read superblock only, for attach's checks; then load maps and log into volume->core (already volume_init'ed). May sleep. */
enum braid_error braid_meta_read_super(struct braid_disk *meta, struct ondisk_super *super);
int braid_meta_init(struct braid_volume *volume);
enum braid_error braid_meta_load(struct braid_volume *volume);
void braid_meta_stop(struct braid_volume *volume);	/* waits for its works */
void braid_meta_free(struct braid_volume *volume);
/* Start a group commit if one is wanted and none is under way; call under volume->lock or not. When it ended:
 * braid_io_log_committed() and braid_apply_log_committed(). */
void braid_meta_kick_commit(struct braid_volume *volume);
/* Is a transaction worth more when it begins later (gather.h)? Then a timer sees to it. Under the lock. */
bool braid_meta_commit_put_off(struct braid_volume *volume);
/* Queue work for save_work: any context. The answers are posted to the engine. */
void braid_meta_save_super(struct braid_volume *volume, u32 token, bool maps_first);
void braid_meta_log_reset(struct braid_volume *volume);
/* Make every unsaved dirty bit durable now. Process context, sleeps; 0 or -EIO. Serialised with save_work. */
int braid_meta_save_maps(struct braid_volume *volume);
/*
 * Superblock or log reset through save_work, then wait: 0, -EIO, -ETIMEDOUT or -EINTR (killed). Process context. Who gave up waiting
 * does not end the request; the log reset of a spell of quiet (volume_quiesce()) that is over does nothing. @spell 0: nobody writes.
 */
int braid_meta_save_super_wait(struct braid_volume *volume, u32 timeout_ms);
int braid_meta_log_reset_wait(struct braid_volume *volume, u64 spell, u32 timeout_ms);
/*
 * Attach, after all that the log held is durable elsewhere: both copies of every part become empty, whatever they held. Process
 * context, sleeps; 0 or -EIO.
 */
int braid_meta_empty_log(struct braid_volume *volume);
int braid_meta_write_super(struct braid_volume *volume);
/* Flush of the local data disk. Process context, sleeps. */
int braid_meta_flush_data(struct braid_volume *volume);
/* The local disk failed (first error wins): posts DISK_FAILED, no more I/O goes to it. Any context. */
void braid_disk_failed(struct braid_volume *volume, const char *what, int error);

/* ---- io.c, io_event.c, io_log.c, io_read.c ---- */
int braid_io_init(struct braid_volume *volume);
void braid_io_free(struct braid_volume *volume);
void braid_io_submit(struct braid_volume *volume, struct bio *bio);	/* from submit_bio of the gendisk */
void braid_io_gate(struct braid_volume *volume);			/* VOLUME_DO_GATE */
void braid_io_missed(struct braid_volume *volume, u8 node);		/* VOLUME_DO_MISSED */
void braid_io_release(struct braid_volume *volume, u8 node);		/* VOLUME_DO_RELEASE */
void braid_io_log_committed(struct braid_volume *volume);
void braid_io_acks(struct braid_volume *volume, u8 node, u64 request_id, u8 result);	/* enum wire_ack_result */
void braid_io_read_data(struct braid_volume *volume, u8 node, const struct wire_header *header,
			const struct wire_io *io, struct braid_buffer *payload);
/* Session of @node is gone: reads and resync flushes that wait for it are redirected or failed. */
void braid_io_peer_down(struct braid_volume *volume, u8 node);
/* Fail everything that waits, now and from now on (forced down). */
void braid_io_fail_all(struct braid_volume *volume);
/* Around a wait on volume->changed for what braid_io_wait_idle() or braid_apply_wait_idle() wait for. @change: 1, then -1. */
void braid_idle_waiters_add(struct braid_volume *volume, int change);
/* Wait until nothing is in flight: 0, -ETIMEDOUT or -EINTR (killed). */
int braid_io_wait_idle(struct braid_volume *volume, u32 timeout_ms);
/* One flush on every streaming replica and here, then the activity log is emptied everywhere as far as allowed [W6].
 * Process context, bounded by the failure timeout. Used for demotion and by the idle timer. */
int braid_io_flush_round(struct braid_volume *volume, u32 timeout_ms);
/* If @node gets this volume's writes: two such rounds, the second of which follows the first one's evictions. Ends in time, or not done. */
void braid_io_settle(struct braid_volume *volume, u8 node, u32 timeout_ms);

/* ---- io_pass.c ---- */
int braid_passes_init(void);		/* module */
void braid_passes_exit(void);
/* Adds reads that were passed to the local disk to the two. */
void braid_passes_count(const struct braid_volume *volume, u64 *reads, u64 *read_bytes);

/* ---- apply.c: takes over @payload. 0 or -EPROTO ---- */
int braid_apply_init(struct braid_volume *volume);
void braid_apply_free(struct braid_volume *volume);
int braid_apply_frame(struct braid_volume *volume, u8 node, unsigned int lane, const struct wire_header *header,
		      const union wire_body *body, struct braid_buffer *payload);
void braid_apply_log_committed(struct braid_volume *volume);
void braid_apply_peer_down(struct braid_volume *volume, u8 node);	/* answers to it are no longer sent */
int braid_apply_wait_idle(struct braid_volume *volume, u32 timeout_ms);

/* ---- sync.c ---- */
int braid_sync_init(struct braid_volume *volume);
void braid_sync_free(struct braid_volume *volume);
void braid_sync_start(struct braid_volume *volume, u8 node);
void braid_sync_stop(struct braid_volume *volume, u8 node);	/* returns when nothing of it runs any more; process context */
int braid_sync_frame(struct braid_volume *volume, u8 node, unsigned int lane, const struct wire_header *header,
		     const union wire_body *body, struct braid_buffer *payload);
void braid_sync_acks(struct braid_volume *volume, u8 node, u64 request_id, bool failed);
/*
 * What the application feels while a resync runs [R3]: when a write begins, the time in ns, 0 when no resync does; when it
 * ended, if that was not 0, under volume->lock.
 */
u64 braid_sync_io_begin(const struct braid_volume *volume);
/* Targets that have chunks of a resync under way, whose ranges are held. Under volume->lock. */
u32 braid_sync_busy_nodes(const struct braid_volume *volume);
void braid_sync_io_end(struct braid_volume *volume, u64 begun_ns);

#endif
