// SPDX-License-Identifier: GPL-2.0
/*
 * Writes that wait for the activity log [W3] [G2], and how regions leave it again [W6] [D1] [D6].
 *
 * An eviction round: one internal flush on every streaming replica and here (flush epoch E); when it ended everywhere,
 * round_work makes the dirty bits durable, drops the regions whose writes all ended by E, and tells the peers which.
 * A round begins when the log gets full, 5 s after the last write (the timer is armed by writes and by a failed round,
 * so an idle volume wakes nobody), and on demand. One at a time; what is wanted meanwhile makes the next one.
 *
 * Bounded acknowledgement [W4]: a peer whose session is alive while its disk hangs answers pings and nothing else. While a request
 * waits for peers, a timer looks for those that owe an answer for longer than options.disk_timeout_ms: of a change, of a read, of a
 * chunk of a resync that holds a range. The core is told once, drops the peer and so lets the requests go on.
 */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/slab.h>
#include "io_internal.h"

/* ---- the log is durable ---- */

static struct braid_request *next_logged(struct braid_volume *volume, bool *failed)
{
	struct braid_request *request;

	*failed = volume->core.disk != VOLUME_DISK_OK;
	list_for_each_entry(request, &volume->io->log_waiters, entry) {
		if (!*failed && (!braid_regions_ready(volume, &request->regions) ||
				 (!braid_request_is_internal(request) && volume_mark_wanted(&volume->core, request->generation_id))))
			continue;
		list_del_init(&request->entry);
		request->log_waiting = false;
		refcount_inc(&request->references);
		return request;
	}
	return NULL;
}

/* Regions that left are still on disk; a commit without additions takes them off: less to resync after a crash. */
static void tidy_log(struct braid_volume *volume)
{
	struct actlog *log = &volume->core.log;

	if (!volume->io->tidy || volume->core.disk != VOLUME_DISK_OK)
		return;
	if (log->part_removed)
		log->forced = true;
	else
		volume->io->tidy = false;
}

void braid_io_log_committed(struct braid_volume *volume)
{
	struct braid_request *request;
	struct blk_plug plug;
	unsigned long flags;
	bool failed, wanted;

	blk_start_plug(&plug);
	for (;;) {
		spin_lock_irqsave(&volume->lock, flags);
		request = next_logged(volume, &failed);
		if (!request)
			tidy_log(volume);
		wanted = actlog_commit_wanted(&volume->core.log);
		spin_unlock_irqrestore(&volume->lock, flags);
		if (!request)
			break;
		if (failed)
			braid_request_local_end(request, true);
		else
			braid_request_local_start(request);
		braid_request_put(request);
	}
	blk_finish_plug(&plug);
	if (wanted)
		braid_meta_kick_commit(volume);
}

/* ---- eviction ---- */

/* Peers may have smaller logs than this node; they cannot ask, so the writer evicts for the smallest. */
bool braid_io_evict_wanted(struct braid_volume *volume)
{
	const struct volume *core = &volume->core;
	u32 slots = core->log.nr_slots;
	u32 i;

	for (i = 0; i < REPLICAS_MAX; i++) {
		const struct volume_peer *peer = &core->peer[i];

		if (peer->node != NODE_NONE && core->streaming & NODE_BIT(peer->node) && peer->facts->actlog_parts)
			slots = min_t(u32, slots, peer->facts->actlog_parts * ACTLOG_PART_REGIONS);
	}
	return actlog_evict_wanted(&core->log) || core->log.nr_used > slots / 8 * 7;
}

void braid_io_round_want(struct braid_io *io, bool all)
{
	if (io->failing)
		return;
	io->round_all |= all;
	if (io->round_active) {
		io->round_wanted |= all;
		return;
	}
	io->round_active = true;
	io->round_flushed = false;
	io->round_wanted = false;
	io->rounds_begun++;
	queue_work(io->volume->workqueue, &io->round_work);
}

void braid_io_round_flushed(struct braid_io *io, bool ok)
{
	if (!io->round_active || io->round_flushed)
		return;
	io->round_flushed = true;
	io->round_error = ok ? 0 : -EIO;
	if (!io->failing)
		queue_work(io->volume->workqueue, &io->round_work);
}

static void send_evicted(struct braid_volume *volume, u32 nodes, bool last)
{
	struct wire_evict *evict = volume->io->evict;
	u8 node;

	for (node = 0; node < NODES_MAX; node++) {
		unsigned int lane = nodes & NODE_BIT(node) ? braid_session_data_lane(volume->bn, node) : 0;
		struct braid_frame *frame;

		if (!lane)
			continue;
		frame = braid_frame_alloc(WIRE_EVICT, last ? WIRE_LAST : 0, 0, (const union wire_body *)evict, NULL, 0,
					  0, GFP_NOIO);
		if (frame)	/* else the peer keeps regions for longer than it has to */
			braid_session_send(volume->bn, node, lane, frame, LANE_IN_BURSTS);
	}
}

/* One batch of regions whose writes ended before flush @epoch; true if there may be more. */
static bool evict_batch(struct braid_volume *volume, u64 epoch)
{
	struct braid_io *io = volume->io;
	struct actlog *log = &volume->core.log;
	u32 candidates[EVICT_BATCH];
	unsigned long flags;
	bool more;
	u32 nodes, nr, i;

	spin_lock_irqsave(&volume->lock, flags);
	nr = actlog_evict_candidates(log, candidates, EVICT_BATCH);
	io->evict->volume_id = volume->id;
	io->evict->epoch = epoch;
	io->evict->nr = 0;
	for (i = 0; i < nr; i++)
		if (actlog_evict(log, candidates[i], epoch))
			io->evict->region[io->evict->nr++] = candidates[i];
	nodes = volume->core.streaming;
	more = nr == EVICT_BATCH && io->evict->nr && (io->round_all || log->nr_used > log->nr_slots / 2);
	if (!more && io->round_all)
		io->tidy = true;
	tidy_log(volume);
	spin_unlock_irqrestore(&volume->lock, flags);
	if (nr)
		send_evicted(volume, nodes, !more);
	return more;
}

static void evict_regions(struct braid_volume *volume)
{
	unsigned long flags;
	bool disk_ok;
	u64 epoch;

	/*
	 * [D1] While a region is in the log its bits may live in memory only; not afterwards. The epoch is taken before: a
	 * user's flush that ends while the maps are saved makes regions stable whose newest bits are not in that save.
	 */
	spin_lock_irqsave(&volume->lock, flags);
	epoch = volume->core.log.stable_epoch;
	disk_ok = volume->core.disk == VOLUME_DISK_OK;
	spin_unlock_irqrestore(&volume->lock, flags);
	if (disk_ok && braid_meta_save_maps(volume)) {
		volume->io->round_error = -EIO;
		return;
	}
	while (evict_batch(volume, epoch))
		cond_resched();
	braid_meta_kick_commit(volume);
}

static void end_round(struct braid_io *io)
{
	struct braid_volume *volume = io->volume;
	unsigned long flags;
	bool again;

	spin_lock_irqsave(&volume->lock, flags);
	io->round_active = false;
	io->rounds_ended++;
	again = io->round_wanted;
	io->round_all = again;
	if (again)
		braid_io_round_want(io, true);
	else if (io->round_error)	/* what it was to evict is still there */
		braid_io_not_idle(io);
	if (!list_empty(&io->full_waiters)) {
		list_splice_tail_init(&io->full_waiters, &io->ready);
		queue_work(volume->workqueue, &io->work);
	}
	wake_up_all(&volume->changed);
	spin_unlock_irqrestore(&volume->lock, flags);
}

static void round_work(struct work_struct *work)
{
	struct braid_io *io = container_of(work, struct braid_io, round_work);
	struct braid_volume *volume = io->volume;
	struct braid_request *request;
	unsigned long flags;
	bool active, flushed;

	spin_lock_irqsave(&volume->lock, flags);
	active = io->round_active;
	flushed = io->round_flushed;
	spin_unlock_irqrestore(&volume->lock, flags);
	if (!active)
		return;
	if (!flushed) {
		request = braid_request_alloc(volume, io->round_requests);
		request->kind = REQUEST_FLUSH;
		braid_request_start(request);
		return;
	}
	if (!io->round_error)
		evict_regions(volume);
	end_round(io);
}

/* The timer is not moved for every write: it finds out when it rings, and sets itself again. */
void braid_io_not_idle(struct braid_io *io)
{
	io->idle_due = jiffies + msecs_to_jiffies(IO_IDLE_MS);
	if (!timer_pending(&io->idle_timer) && !io->failing)
		mod_timer(&io->idle_timer, io->idle_due);
}

static void idle_timer(struct timer_list *timer)
{
	struct braid_io *io = from_timer(io, timer, idle_timer);
	struct braid_volume *volume = io->volume;
	unsigned long flags;

	spin_lock_irqsave(&volume->lock, flags);
	/* A demotion under way runs the last round itself: none may follow it. If it is given up, this one is due again. */
	if (volume->core.quiet)
		braid_io_not_idle(io);
	else if (time_before(jiffies, io->idle_due) && !io->failing)
		mod_timer(&io->idle_timer, io->idle_due);
	else if (volume->core.role == VOLUME_PRIMARY && volume->core.log.nr_used)
		braid_io_round_want(io, true);
	spin_unlock_irqrestore(&volume->lock, flags);
}

/* ---- peers that owe answers [W4] ---- */

void braid_io_late_watch(struct braid_request *request)
{
	struct braid_io *io = request->volume->io;

	request->sent_time = jiffies;
	if (!timer_pending(&io->late_timer))
		mod_timer(&io->late_timer, jiffies + msecs_to_jiffies(IO_LATE_TURN_MS));
}

/* Peers that owe an answer since before @limit (jiffies); *@watch: somebody waits for one. Under the lock. */
static u32 late_nodes(const struct braid_io *io, unsigned long limit, bool *watch)
{
	const struct braid_request *request;
	u32 bucket, nodes = 0;

	for (bucket = 0; bucket < ARRAY_SIZE(io->in_flight); bucket++) {
		hlist_for_each_entry(request, &io->in_flight[bucket], by_id) {
			*watch = true;
			if (!time_before(request->sent_time, limit))
				continue;
			if (request->kind == REQUEST_READ)
				nodes |= NODE_BIT(request->read_node);
			else
				nodes |= request->ack.pending & ~request->ack.missed;
		}
	}
	/* A range is held by a change in flight, which is late itself, or by a resync. */
	list_for_each_entry(request, &io->range_waiters, entry) {
		*watch = true;
		if (time_before(request->sent_time, limit))
			nodes |= braid_sync_busy_nodes(io->volume);
	}
	/* What waits at the gate waits for peers that have to make a record durable [G3]. */
	list_for_each_entry(request, &io->gate_waiters, entry) {
		*watch = true;
		if (io->volume->core.proposal.active && time_before(request->sent_time, limit))
			nodes |= io->volume->core.proposal.waiting;
	}
	return nodes & ~NODE_BIT(io->volume->core.node);
}

static void late_timer(struct timer_list *timer)
{
	struct braid_io *io = from_timer(io, timer, late_timer);
	struct braid_volume *volume = io->volume;
	u32 timeout_ms = READ_ONCE(volume->bn->options.disk_timeout_ms);
	bool watch = false;
	unsigned long flags;
	u32 late, report;

	spin_lock_irqsave(&volume->lock, flags);
	late = late_nodes(io, jiffies - msecs_to_jiffies(timeout_ms), &watch);
	report = late & ~io->late_nodes;
	io->late_nodes = late;
	if (watch && !io->failing)
		mod_timer(&io->late_timer, jiffies + msecs_to_jiffies(IO_LATE_TURN_MS));
	spin_unlock_irqrestore(&volume->lock, flags);
	while (report) {
		u8 node = __ffs(report);

		report &= report - 1;
		pr_warn("braid: %s: node %u owes an answer for %u ms -> it is dropped\n", volume->name, node,
			timeout_ms);
		braid_engine_post_simple(volume, VOLUME_EVENT_PEER_IO_FAILED, node);
	}
}

/* ---- rounds on demand, life ---- */

static bool rounds_reached(struct braid_io *io, u64 target)
{
	unsigned long flags;
	bool reached;

	spin_lock_irqsave(&io->volume->lock, flags);
	reached = io->rounds_ended >= target || io->failing;
	spin_unlock_irqrestore(&io->volume->lock, flags);
	return reached;
}

int braid_io_flush_round(struct braid_volume *volume, u32 timeout_ms)
{
	struct braid_io *io = volume->io;
	unsigned long flags;
	u64 target;
	long left;

	spin_lock_irqsave(&volume->lock, flags);
	braid_io_round_want(io, true);
	target = io->rounds_begun + io->round_wanted;	/* one that begins now or later */
	spin_unlock_irqrestore(&volume->lock, flags);
	left = wait_event_killable_timeout(volume->changed, rounds_reached(io, target), msecs_to_jiffies(timeout_ms));
	if (left < 0)
		return -EINTR;
	if (!left)
		return -ETIMEDOUT;
	return READ_ONCE(io->failing) ? -EIO : READ_ONCE(io->round_error);
}

void braid_io_settle(struct braid_volume *volume, u8 node, u32 timeout_ms)
{
	u64 deadline = get_jiffies_64() + msecs_to_jiffies(timeout_ms);
	u32 rounds;

	for (rounds = 0; rounds < 2; rounds++) {
		u64 now = get_jiffies_64();
		unsigned long flags;
		bool streams;

		spin_lock_irqsave(&volume->lock, flags);
		streams = volume->core.role == VOLUME_PRIMARY && !volume->core.quiet &&
			  volume->core.streaming & NODE_BIT(node);
		spin_unlock_irqrestore(&volume->lock, flags);
		if (!streams || !time_before64(now, deadline) ||
		    braid_io_flush_round(volume, jiffies_to_msecs(deadline - now)))
			return;
	}
}

int braid_io_log_init(struct braid_io *io)
{
	/* Not a whole body: it has one batch at most. */
	io->evict = kzalloc(offsetof(struct wire_evict, region[EVICT_BATCH]), GFP_KERNEL);
	if (!io->evict)
		return -ENOMEM;
	INIT_WORK(&io->round_work, round_work);
	timer_setup(&io->idle_timer, idle_timer, 0);
	timer_setup(&io->late_timer, late_timer, 0);
	return 0;
}

/* Nothing starts a round any more. */
void braid_io_log_exit(struct braid_io *io)
{
	cancel_work_sync(&io->round_work);
	kfree(io->evict);
}
