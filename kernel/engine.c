// SPDX-License-Identifier: GPL-2.0
/*
 * The engine of one volume: events in, steps of the core, actions out.
 *
 * Why it exists: the core decides, and decides one event at a time. One work item per volume pops events in the order in
 * which they were posted, makes the step under volume->lock and carries out the step's actions before the next step.
 * Nothing here waits for I/O: actions that need the disk go to meta.c, and their answers come back as events. That keeps
 * every wait of the control plane visible in the core's state [L1].
 *
 * Sessions: this is where a volume enters and leaves them (volume->session[], see dispatch.c). After PEER_DOWN was
 * stepped, and not before, reads that wait for the peer look for another one: the core must not name the lost one again.
 *
 * Events that need memory (a frame's body, a token) are posted from process context and wait for memory. Events that
 * are only a type and a node may come from interrupts; when there is no memory for one, it becomes a bit in
 * volume->overflow, which the engine turns back into an event after the queue ran dry. Such events may be repeated or
 * merged without harm, so none is ever lost [L4].
 */
#include <linux/random.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include "device.h"

enum {
	EVENTS_QUEUED_MAX = 512,	/* peers' frames wait beyond that */
	RUNS_MAX = 65536,		/* ranges in one SEND_RANGES; more are merged */
	MERGES_MAX = 2048,		/* under one hold of the lock; a range that has more goes out in parts */
	CANCEL_WAIT_MS = 1000,		/* until the engine has seen that a command was cancelled */
	IDLE_TURN_MS = 200,		/* a wait for the data path looks so often whether the volume is forced down */
	SETTLE_WAIT_MS = 2000,		/* a new primary, for its disk */
	OPENERS_WAIT_MS = 1000,		/* whoever has just closed the device may be followed by a short probe */
};

/* ---- queue ---- */

/* Only a type and a node: may be repeated or merged. */
static bool event_is_simple(const struct volume_event *event)
{
	switch (event->type) {
	case VOLUME_EVENT_DISK_FAILED:
	case VOLUME_EVENT_PEER_IO_FAILED:
	case VOLUME_EVENT_IO_WAITS:
	case VOLUME_EVENT_RESYNC_DRY:
	case VOLUME_EVENT_RESYNC_FAILED:
		return true;
	default:
		return false;
	}
}

static void event_free(struct braid_event *event)
{
	kfree(event->body);
	kfree(event);
}

/*
 * A session ends whose begin has not been stepped: the core need not hear of it at all. So what sessions leave in the queue of an engine
 * that waits for a disk is bounded, however often they come and go, and the peers' other volumes are not held up. Under volume->lock.
 */
static bool session_unseen(struct braid_volume *volume, u8 node, struct list_head *dropped)
{
	struct braid_event *event, *next;
	bool found = false;

	list_for_each_entry_reverse(event, &volume->events, entry) {
		if (event->event.node != node)
			continue;
		found = event->event.type == VOLUME_EVENT_PEER_UP;
		if (found || event->event.type == VOLUME_EVENT_PEER_DOWN)
			break;
	}
	if (!found)
		return false;
	list_for_each_entry_safe_from(event, next, &volume->events, entry) {
		if (event->event.node != node || (event->event.type != VOLUME_EVENT_PEER_UP &&
						  event->event.type != VOLUME_EVENT_FRAME))
			continue;
		list_move_tail(&event->entry, dropped);
		volume->nr_events--;
	}
	return true;
}

void braid_engine_post(struct braid_volume *volume, const struct volume_event *event)
{
	gfp_t gfp = event_is_simple(event) ? GFP_ATOMIC | __GFP_NOWARN : GFP_NOIO | __GFP_NOFAIL;
	struct braid_event *queued = kmalloc(sizeof(*queued), gfp), *next;
	LIST_HEAD(dropped);
	unsigned long flags;

	if (queued) {
		queued->event = *event;
		queued->body = NULL;
		if (event->body) {
			queued->body = kmemdup(event->body, sizeof(*event->body), GFP_NOIO | __GFP_NOFAIL);
			queued->event.body = queued->body;
		}
	}
	spin_lock_irqsave(&volume->lock, flags);
	if (event->type == VOLUME_EVENT_PEER_DOWN && session_unseen(volume, event->node, &dropped)) {
		list_add(&queued->entry, &dropped);
	} else if (queued) {
		list_add_tail(&queued->entry, &volume->events);
		volume->nr_events++;
	} else {
		volume->overflow.types |= 1u << event->type;
		if (event->node < NODES_MAX)
			volume->overflow.nodes[event->type] |= NODE_BIT(event->node);
	}
	if (volume->engine_running)
		queue_work(volume->workqueue, &volume->engine_work);
	spin_unlock_irqrestore(&volume->lock, flags);
	if (list_empty(&dropped))
		return;
	list_for_each_entry_safe(queued, next, &dropped, entry)
		event_free(queued);
	wake_up_all(&volume->changed);	/* braid_engine_throttle() */
}

void braid_engine_post_simple(struct braid_volume *volume, enum volume_event_type type, u8 node)
{
	struct volume_event event = { .type = type, .node = node };

	braid_engine_post(volume, &event);
}

/* One event out of the overflow bits. Under volume->lock. */
static bool overflow_pop(struct braid_volume *volume, struct volume_event *event)
{
	u32 type, *nodes;

	if (!volume->overflow.types)
		return false;
	type = __ffs(volume->overflow.types);
	nodes = &volume->overflow.nodes[type];
	*event = (struct volume_event){ .type = type, .node = NODE_NONE };
	if (*nodes) {
		event->node = __ffs(*nodes);
		*nodes &= *nodes - 1;
	}
	if (!*nodes)
		volume->overflow.types &= ~(1u << type);
	return true;
}

/* Under volume->lock. */
static void overflow_drop(struct braid_volume *volume, enum volume_event_type type, u8 node)
{
	u32 *nodes = &volume->overflow.nodes[type];

	if (!(volume->overflow.types >> type & 1))
		return;
	*nodes &= ~NODE_BIT(node);
	if (!*nodes)
		volume->overflow.types &= ~(1u << type);
}

/* False when there is nothing to do. *@queued is NULL for an event from the overflow bits. */
static bool event_pop(struct braid_volume *volume, struct volume_event *event, struct braid_event **queued)
{
	bool found = true;
	bool short_again = false;

	*queued = NULL;
	spin_lock_irq(&volume->lock);
	if (!volume->engine_running) {
		found = false;
	} else if (!list_empty(&volume->events)) {
		*queued = list_first_entry(&volume->events, struct braid_event, entry);
		list_del(&(*queued)->entry);
		short_again = volume->nr_events-- <= EVENTS_QUEUED_MAX && wq_has_sleeper(&volume->changed);
		*event = (*queued)->event;
	} else {
		found = overflow_pop(volume, event);
	}
	spin_unlock_irq(&volume->lock);
	if (short_again)
		wake_up_all(&volume->changed);
	return found;
}

/* After VOLUME_DO_RESYNC_STOP no result of the resync with @node reaches the core any more, queued ones included. */
static void drop_resync_results(struct braid_volume *volume, u8 node)
{
	struct braid_event *event, *next;
	LIST_HEAD(dropped);

	spin_lock_irq(&volume->lock);
	list_for_each_entry_safe(event, next, &volume->events, entry) {
		if (event->event.node != node || (event->event.type != VOLUME_EVENT_RESYNC_DRY &&
						  event->event.type != VOLUME_EVENT_RESYNC_FAILED))
			continue;
		list_move(&event->entry, &dropped);
		volume->nr_events--;
	}
	overflow_drop(volume, VOLUME_EVENT_RESYNC_DRY, node);
	overflow_drop(volume, VOLUME_EVENT_RESYNC_FAILED, node);
	spin_unlock_irq(&volume->lock);
	list_for_each_entry_safe(event, next, &dropped, entry)
		event_free(event);
}

static void resync_stop(struct braid_volume *volume, u8 node)
{
	braid_sync_stop(volume, node);
	drop_resync_results(volume, node);
}

/* ---- actions ---- */

static void end_session(struct braid_volume *volume, u8 node, u8 reason)
{
	/* Not one that began since: what is wrong is of the one that the core knows. */
	if (node < NODES_MAX && volume->session[node])
		braid_session_end_numbered(volume->bn, node, volume->session[node], reason);
}

static void send_frame(struct braid_volume *volume, u8 node, u8 type, const union wire_body *body)
{
	struct braid_frame *frame;

	if (node >= NODES_MAX || !volume->session[node])
		return;
	frame = braid_frame_alloc(type, 0, 0, body, NULL, 0, 0, GFP_NOIO);
	if (!frame) {
		end_session(volume, node, WIRE_BYE_STUCK);
		return;
	}
	/* No such session any more: its end is on the way to us as an event. */
	braid_session_send_in(volume->bn, node, volume->session[node], 0, frame);
}

static void do_send(struct braid_volume *volume, const struct volume_action *action)
{
	spin_lock_irq(&volume->lock);
	volume_fill(&volume->core, action, volume->body);
	spin_unlock_irq(&volume->lock);
	send_frame(volume, action->node, action->frame_type, volume->body);
}

/* Where a walk over a map or the log has come to. */
struct ranges_walk {
	const struct dirty_map *map;	/* NULL: nothing lacks */
	u64 offset_bytes;
	u64 gap_bytes;			/* runs closer than this become one */
	u32 merges_left;		/* under this hold of the lock */
	u32 slot;			/* of the activity log */
};

/* The next run of the map with its close neighbours. Under volume->lock. */
static bool walk_map(struct ranges_walk *walk, struct wire_range *range)
{
	u64 limit_bytes, start_bytes, length_bytes;

	if (!walk->map)
		return false;
	limit_bytes = walk->map->volume_bytes;
	if (walk->offset_bytes >= limit_bytes ||
	    !dirty_next(walk->map, walk->offset_bytes, limit_bytes, &range->start_bytes, &range->length_bytes))
		return false;
	walk->offset_bytes = range->start_bytes + range->length_bytes;
	while (walk->gap_bytes && walk->merges_left && walk->offset_bytes < limit_bytes &&
	       dirty_next(walk->map, walk->offset_bytes, limit_bytes, &start_bytes, &length_bytes) &&
	       start_bytes - walk->offset_bytes < walk->gap_bytes) {
		walk->merges_left--;
		walk->offset_bytes = start_bytes + length_bytes;
		range->length_bytes = walk->offset_bytes - range->start_bytes;
	}
	return true;
}

static bool walk_log(const struct volume *core, struct ranges_walk *walk, struct wire_range *range)
{
	u32 region;

	walk->slot = actlog_next(&core->log, walk->slot, &region);
	if (walk->slot == ACTLOG_NO_SLOT)
		return false;
	walk->slot++;
	range->start_bytes = (u64)region * ACTLOG_REGION_BYTES;
	range->length_bytes = min_t(u64, ACTLOG_REGION_BYTES, core->super.volume_bytes - range->start_bytes);
	return true;
}

/* Gap that keeps the number of ranges bounded; claiming more than differs is legal, forgetting is not. */
static u64 walk_gap(struct braid_volume *volume, const struct dirty_map *map)
{
	struct ranges_walk walk = { .map = map };
	struct wire_range range;
	u32 nr = 0, batch;
	bool more = true;

	while (more && nr <= RUNS_MAX) {
		spin_lock_irq(&volume->lock);
		for (batch = 0; batch < WIRE_RANGES_MAX && (more = walk_map(&walk, &range)); batch++)
			nr++;
		spin_unlock_irq(&volume->lock);
		cond_resched();
	}
	return nr <= RUNS_MAX ? 0 : round_up(map->volume_bytes / RUNS_MAX, VOLUME_BLOCK_BYTES);
}

/*
 * Batches, so that the lock is never held for long. Bits that are set behind the walk belong to writes after this step;
 * what makes those reach the peer is the core's business (it streams to the peer, or marks it again).
 */
static void do_send_ranges(struct braid_volume *volume, const struct volume_action *action)
{
	struct wire_ranges *ranges = &volume->body->ranges;
	struct ranges_walk walk = { };
	const struct volume_peer *peer;
	bool map_ended, log_ended = !action->with_log;

	spin_lock_irq(&volume->lock);
	peer = volume_peer_const(&volume->core, action->map_node);
	spin_unlock_irq(&volume->lock);
	walk.map = peer ? &peer->map : NULL;
	walk.gap_bytes = peer ? walk_gap(volume, walk.map) : 0;
	map_ended = !peer;
	do {
		ranges->volume_id = volume->id;
		ranges->node = action->map_node;
		ranges->nr = 0;
		walk.merges_left = MERGES_MAX;
		spin_lock_irq(&volume->lock);
		while (ranges->nr < WIRE_RANGES_MAX && !map_ended && walk.merges_left) {
			if (walk_map(&walk, &ranges->range[ranges->nr]))
				ranges->nr++;
			else
				map_ended = true;
		}
		while (ranges->nr < WIRE_RANGES_MAX && map_ended && !log_ended) {
			if (walk_log(&volume->core, &walk, &ranges->range[ranges->nr]))
				ranges->nr++;
			else
				log_ended = true;
		}
		spin_unlock_irq(&volume->lock);
		if (ranges->nr)
			send_frame(volume, action->node, WIRE_RANGES, volume->body);
		cond_resched();
	} while (!map_ended || !log_ended);
	memset(&volume->body->volume, 0, sizeof(volume->body->volume));
	volume->body->volume.volume_id = volume->id;
	volume->body->volume.node = action->map_node;
	send_frame(volume, action->node, WIRE_RANGES_END, volume->body);
}

static void do_command_done(struct braid_volume *volume, const struct volume_action *action)
{
	spin_lock_irq(&volume->lock);
	volume->command_result.refusal = action->refusal;
	volume->command_result.nodes = action->nodes;
	volume->command_result.done = true;
	spin_unlock_irq(&volume->lock);
	wake_up_all(&volume->changed);
}

static void perform(struct braid_volume *volume, const struct volume_action *action)
{
	switch (action->type) {
	case VOLUME_DO_SEND:
		do_send(volume, action);
		break;
	case VOLUME_DO_SEND_RANGES:
		do_send_ranges(volume, action);
		break;
	case VOLUME_DO_SAVE_SUPER:
		braid_meta_save_super(volume, action->token, action->maps_first);
		break;
	case VOLUME_DO_LOG_RESET:
		braid_meta_log_reset(volume);
		break;
	case VOLUME_DO_MISSED:
		braid_io_missed(volume, action->node);
		break;
	case VOLUME_DO_RELEASE:
		braid_io_release(volume, action->node);
		break;
	case VOLUME_DO_GATE:
		braid_io_gate(volume);
		break;
	case VOLUME_DO_RESYNC_START:
		braid_sync_start(volume, action->node);
		break;
	case VOLUME_DO_RESYNC_STOP:
		resync_stop(volume, action->node);
		break;
	case VOLUME_DO_END_SESSION:
		end_session(volume, action->node, action->reason);
		break;
	case VOLUME_DO_COMMAND_DONE:
		do_command_done(volume, action);
		break;
	case VOLUME_DO_CHANGED:
		braid_notify_volume(volume);
		wake_up_all(&volume->changed);
		break;
	}
}

static void step(struct braid_volume *volume, struct volume_event *event)
{
	u32 i;

	if (event->type == VOLUME_EVENT_PEER_DOWN)
		braid_apply_peer_down(volume, event->node);
	braid_memory_slots(volume, event);
	braid_memory_pages(volume, event->frame_type == WIRE_RANGES ? WIRE_RANGES_MAX : BRAID_PAGES_AHEAD,
			   GFP_NOWAIT);
	do {
		event->random = get_random_u64();
	} while (!event->random);
	spin_lock_irq(&volume->lock);
	if (event->type == VOLUME_EVENT_PEER_UP) {
		WRITE_ONCE(volume->entered[event->node], braid_volumes_session_number());
		smp_store_release(&volume->session[event->node], event->value);
	} else if (event->type == VOLUME_EVENT_PEER_DOWN) {
		WRITE_ONCE(volume->session[event->node], 0);
	}
	volume_step(&volume->core, event, &volume->actions);
	WARN_ON_ONCE(volume->core.slots_short);
	spin_unlock_irq(&volume->lock);
	/* Before any action: nothing of an ended session is alive when another one may begin. */
	if (event->type == VOLUME_EVENT_PEER_DOWN) {
		braid_io_peer_down(volume, event->node);
		resync_stop(volume, event->node);
	}
	for (i = 0; i < volume->actions.nr; i++)
		perform(volume, &volume->actions.action[i]);
	if (event->type == VOLUME_EVENT_CANCEL) {
		WRITE_ONCE(volume->command_result.cancelled, true);
		wake_up_all(&volume->changed);
	}
	/* Who waits for a log commit looks again and finds that there is no disk to wait for. */
	if (event->type == VOLUME_EVENT_DISK_FAILED) {
		braid_io_log_committed(volume);
		braid_apply_log_committed(volume);
	}
}

static void engine_work(struct work_struct *work)
{
	struct braid_volume *volume = container_of(work, struct braid_volume, engine_work);
	unsigned int noio = memalloc_noio_save();
	struct braid_event *queued;
	struct volume_event event;

	while (event_pop(volume, &event, &queued)) {
		step(volume, &event);
		if (queued)
			event_free(queued);
		cond_resched();
	}
	memalloc_noio_restore(noio);
}

/* ---- life ---- */

/*
 * Two, of this volume alone, so that a disk that hangs holds up no other volume. What has to go on when memory is short
 * is in `workqueue`, whose rescuer is the only thread that a volume has: a few works, each of them once, and the resync. They
 * never fill it, so none waits for another to end, and none waits for payload pages. What comes once for each frame or
 * request, sleeps on the disk and frees no memory is in `sleeper_workqueue`.
 */
static int queues_create(struct braid_volume *volume)
{
	volume->workqueue = alloc_workqueue("braid%u", WQ_MEM_RECLAIM | WQ_UNBOUND | WQ_HIGHPRI, WQ_MAX_ACTIVE,
					    volume->minor);
	volume->sleeper_workqueue = alloc_workqueue("braid%u_disk", WQ_UNBOUND | WQ_HIGHPRI, 0, volume->minor);
	return volume->workqueue && volume->sleeper_workqueue ? 0 : -ENOMEM;
}

static void queues_destroy(struct braid_volume *volume)
{
	if (volume->sleeper_workqueue)
		destroy_workqueue(volume->sleeper_workqueue);
	if (volume->workqueue)
		destroy_workqueue(volume->workqueue);
}

int braid_engine_init(struct braid_volume *volume)
{
	INIT_LIST_HEAD(&volume->events);
	INIT_WORK(&volume->engine_work, engine_work);
	init_waitqueue_head(&volume->changed);
	if (queues_create(volume)) {
		queues_destroy(volume);
		return -ENOMEM;
	}
	return 0;
}

void braid_engine_start(struct braid_volume *volume)
{
	spin_lock_irq(&volume->lock);
	volume->engine_running = true;
	queue_work(volume->workqueue, &volume->engine_work);
	spin_unlock_irq(&volume->lock);
}

void braid_engine_stop(struct braid_volume *volume)
{
	struct braid_event *event, *next;
	LIST_HEAD(dropped);

	spin_lock_irq(&volume->lock);
	volume->engine_running = false;
	spin_unlock_irq(&volume->lock);
	cancel_work_sync(&volume->engine_work);
	spin_lock_irq(&volume->lock);
	list_splice_init(&volume->events, &dropped);
	volume->nr_events = 0;
	volume->overflow.types = 0;
	spin_unlock_irq(&volume->lock);
	wake_up_all(&volume->changed);
	list_for_each_entry_safe(event, next, &dropped, entry)
		event_free(event);
}

void braid_engine_free(struct braid_volume *volume)
{
	braid_engine_stop(volume);
	queues_destroy(volume);
}

void braid_engine_flush(struct braid_volume *volume)
{
	flush_work(&volume->engine_work);
}

int braid_engine_throttle(struct braid_volume *volume)
{
	u32 timeout_ms = READ_ONCE(volume->bn->options.timeout_ms);

	return wait_event_timeout(volume->changed,
				  READ_ONCE(volume->nr_events) < EVENTS_QUEUED_MAX ||
				  !READ_ONCE(volume->engine_running),
				  msecs_to_jiffies(timeout_ms)) ? 0 : -ETIMEDOUT;
}

/* ---- commands ---- */

/*
 * It may end well in this very moment: what the core says last counts. Bounded: an engine that waits for a hung disk must
 * not keep the caller, who holds command_lock, on which a forced down waits [L1].
 */
static void cancel_command(struct braid_volume *volume)
{
	WRITE_ONCE(volume->command_result.cancelled, false);
	braid_engine_post_simple(volume, VOLUME_EVENT_CANCEL, NODE_NONE);
	wait_event_timeout(volume->changed, READ_ONCE(volume->command_result.cancelled),
			   msecs_to_jiffies(CANCEL_WAIT_MS));
}

enum braid_error braid_engine_command(struct braid_volume *volume, const struct volume_event *event, u32 timeout_ms,
				      u32 *nodes)
{
	enum braid_error error;
	long left;

	lockdep_assert_held(&volume->command_lock);
	if (READ_ONCE(volume->removing))
		return BRAID_ERROR_NO_SUCH_VOLUME;
	spin_lock_irq(&volume->lock);
	volume->command_result.done = false;
	spin_unlock_irq(&volume->lock);
	braid_engine_post(volume, event);
	left = wait_event_killable_timeout(volume->changed,
					   READ_ONCE(volume->command_result.done) || READ_ONCE(volume->removing),
					   msecs_to_jiffies(timeout_ms));
	if (!READ_ONCE(volume->command_result.done))
		cancel_command(volume);
	spin_lock_irq(&volume->lock);
	if (volume->command_result.done) {
		error = (enum braid_error)volume->command_result.refusal;
		if (nodes)
			*nodes = volume->command_result.nodes;
		/* The core's word for a promotion that we cancelled. */
		if (error == (enum braid_error)VOLUME_REFUSED_BUSY && left <= 0)
			error = left ? BRAID_ERROR_INTERRUPTED : BRAID_ERROR_TIMEOUT;
	} else {
		error = left < 0 ? BRAID_ERROR_INTERRUPTED : BRAID_ERROR_TIMEOUT;
	}
	spin_unlock_irq(&volume->lock);
	return error;
}

static enum volume_role role_of(struct braid_volume *volume)
{
	enum volume_role role;

	spin_lock_irq(&volume->lock);
	role = volume->core.role;
	spin_unlock_irq(&volume->lock);
	return role;
}

static void announce_role(struct braid_volume *volume)
{
	kobject_uevent(&disk_to_dev(volume->gendisk)->kobj, KOBJ_CHANGE);
}

static u32 left_ms(u64 deadline)
{
	u64 now = get_jiffies_64();

	return time_before64(now, deadline) ? max(1u, jiffies_to_msecs(deadline - now)) : 0;
}

/*
 * What others wrote here, the last pieces of a resync above all, may still wait for the disk: no user should read what it will
 * replace. In turns: a forced down, which waits for command_lock, ends it. A disk that hangs for longer holds up the users themselves.
 */
static void settle_disk(struct braid_volume *volume, u64 deadline)
{
	int result;

	do {
		result = braid_apply_wait_idle(volume, min_t(u32, left_ms(deadline), IDLE_TURN_MS));
	} while (result == -ETIMEDOUT && left_ms(deadline) && !READ_ONCE(volume->removing));
}

enum braid_error braid_volume_promote(struct braid_volume *volume, bool force, u32 peer_down, u32 timeout_ms, u32 *nodes)
{
	struct volume_event event = {
		.type = VOLUME_EVENT_PROMOTE,
		.node = NODE_NONE,
		.force = force,
		.nodes = peer_down,
	};
	enum braid_error error = braid_engine_command(volume, &event, timeout_ms, nodes);

	/* Guards against the late answer of an earlier command that had timed out. */
	if (error == BRAID_OK && role_of(volume) != VOLUME_PRIMARY)
		error = (enum braid_error)VOLUME_REFUSED_BUSY;
	if (error != BRAID_OK)
		return error;
	settle_disk(volume, get_jiffies_64() + msecs_to_jiffies(min_t(u32, timeout_ms, SETTLE_WAIT_MS)));
	announce_role(volume);
	return error;
}

static enum braid_error error_of(int result)
{
	switch (result) {
	case 0:
		return BRAID_OK;
	case -ETIMEDOUT:
		return BRAID_ERROR_TIMEOUT;
	case -EINTR:
	case -ERESTARTSYS:
		return BRAID_ERROR_INTERRUPTED;
	default:
		return BRAID_ERROR_DISK_IO;
	}
}

/* In turns: a forced down, which waits for command_lock, ends it. */
static int wait_idle(struct braid_volume *volume, u64 deadline)
{
	int result;

	do {
		result = braid_io_wait_idle(volume, min_t(u32, left_ms(deadline), IDLE_TURN_MS));
	} while (result == -ETIMEDOUT && left_ms(deadline) && !READ_ONCE(volume->removing));
	return result;
}

/* The gate is closed and the device has no opener: everything written becomes stable everywhere [W6], then the role goes. */
static enum braid_error demote_quiet(struct braid_volume *volume, u64 spell, u64 deadline)
{
	struct volume_event event = { .type = VOLUME_EVENT_DEMOTE, .node = NODE_NONE };
	int result = wait_idle(volume, deadline);

	if (!result)
		result = braid_io_flush_round(volume, left_ms(deadline));
	if (!result && READ_ONCE(volume->core.disk) == VOLUME_DISK_OK)
		result = braid_meta_log_reset_wait(volume, spell, left_ms(deadline));
	if (result)
		return error_of(result);
	return braid_engine_command(volume, &event, left_ms(deadline), NULL);
}

enum braid_error braid_volume_demote(struct braid_volume *volume, u32 timeout_ms)
{
	u64 deadline = get_jiffies_64() + msecs_to_jiffies(timeout_ms);
	enum braid_error error = BRAID_OK;
	u64 spell = 0;

	/* A probe by udev after the last close is no user: give it a moment. */
	wait_event_killable_timeout(volume->changed, !READ_ONCE(volume->openers),
				    msecs_to_jiffies(min_t(u32, timeout_ms, OPENERS_WAIT_MS)));
	spin_lock_irq(&volume->lock);
	if (volume->core.role != VOLUME_PRIMARY)
		error = (enum braid_error)VOLUME_REFUSED_NOT_PRIMARY;
	else if (volume->openers)
		error = BRAID_ERROR_IN_USE;
	if (!error) {
		volume->demoting = true;
		spell = volume_quiesce(&volume->core);
	}
	spin_unlock_irq(&volume->lock);
	if (error)
		return error;
	error = demote_quiet(volume, spell, deadline);
	spin_lock_irq(&volume->lock);
	volume->demoting = false;
	volume_unquiesce(&volume->core);
	if (!error && volume->core.role == VOLUME_PRIMARY)
		error = (enum braid_error)VOLUME_REFUSED_BUSY;
	spin_unlock_irq(&volume->lock);
	braid_io_gate(volume);
	if (!error)
		announce_role(volume);
	return error;
}

enum braid_error braid_volume_resolve(struct braid_volume *volume, u64 split_id, u8 winner, u32 timeout_ms, u32 *nodes)
{
	struct volume_event event = { .type = VOLUME_EVENT_RESOLVE, .node = winner, .value = split_id };

	return braid_engine_command(volume, &event, timeout_ms, nodes);
}

enum braid_error braid_volume_forget(struct braid_volume *volume, u8 node, u32 timeout_ms)
{
	struct volume_event event = { .type = VOLUME_EVENT_FORGET, .node = node };

	return braid_engine_command(volume, &event, timeout_ms, NULL);
}
