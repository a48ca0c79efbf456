// SPDX-License-Identifier: GPL-2.0
/*
 * The primary's writes, discards, zeroes and flushes: from the user's bio to every replica and back.
 * Places of a request, references and locking: io_internal.h. Keeps [W1] to [W5], [W8], [L4], [I14].
 *
 * Errors: a peer that fails a write is reported to the core and stays waited for until the core releases it, so that it
 * has left the in-sync set before the write completes [W4]. The same holds for the local disk while other replicas
 * have the write; when there is no other, the write ends with an error at once. A request succeeds when one
 * replica acknowledged it and every other acknowledged it or was released.
 */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/hash.h>
#include <linux/slab.h>
#include "io_internal.h"

/* ---- requests ---- */

struct braid_request *braid_request_alloc(struct braid_volume *volume, mempool_t *pool)
{
	struct braid_io *io = volume->io;
	struct braid_request *request = mempool_alloc(pool, GFP_NOIO);

	memset(request, 0, sizeof(*request));
	request->volume = volume;
	request->pool = pool;
	INIT_LIST_HEAD(&request->entry);
	INIT_LIST_HEAD(&request->ending);
	INIT_HLIST_NODE(&request->by_id);
	refcount_set(&request->references, 1);
	atomic_inc(&io->nr_requests);
	return request;
}

void braid_request_put(struct braid_request *request)
{
	struct braid_volume *volume = request->volume;

	if (!refcount_dec_and_test(&request->references))
		return;
	braid_buffer_put(request->buffer);
	mempool_free(request, request->pool);
	braid_request_uncount(volume);
}

void braid_request_uncount(struct braid_volume *volume)
{
	unsigned long flags;

	/* The last one under the lock to the end: braid_io_free() frees the volume when it has seen 0 there. */
	if (!atomic_dec_and_lock_irqsave(&volume->io->nr_requests, &volume->lock, flags))
		return;
	if (volume->idle_waiters)
		wake_up_all(&volume->changed);
	spin_unlock_irqrestore(&volume->lock, flags);
}

struct bio *braid_request_take_bio(struct braid_request *request, bool ok)
{
	struct bio *bio = request->bio;

	if (!bio)
		return NULL;
	bio_end_io_acct(bio, request->start_time);
	if (!ok)
		bio->bi_status = BLK_STS_IOERR;
	request->bio = NULL;
	/* Disks and sockets that refer to its pages are waited for [W2]. */
	return braid_request_has_lender(request) ? NULL : bio;
}

static void end_bio(struct bio *bio)
{
	if (bio)
		bio_endio(bio);
}

static void count_request(struct braid_volume *volume, const struct braid_request *request)
{
	if (request->kind == REQUEST_FLUSH) {
		volume->count.flushes++;
	} else if (request->kind == REQUEST_READ) {
		volume->count.reads++;
		volume->count.read_bytes += request->length_bytes;
	} else {
		volume->count.writes++;
		volume->count.written_bytes += request->length_bytes;
	}
}

static void over(struct braid_request *request, bool ok)
{
	struct braid_volume *volume = request->volume;
	struct bio *bio;
	unsigned long flags;

	spin_lock_irqsave(&volume->lock, flags);
	bio = braid_request_take_bio(request, ok);
	braid_range_unlock(&volume->ranges, &request->range);
	if (ok)
		count_request(volume, request);
	if (request->admitted && !--volume->io->nr_reads && volume->idle_waiters)
		wake_up_all(&volume->changed);
	if (!ok && !bio && request->kind == REQUEST_FLUSH)
		braid_io_round_flushed(volume->io, false);
	spin_unlock_irqrestore(&volume->lock, flags);
	end_bio(bio);
	braid_request_put(request);
}

void braid_request_succeed(struct braid_request *request)
{
	over(request, true);
}

void braid_request_fail(struct braid_request *request)
{
	over(request, false);
}

void braid_request_ready(struct braid_request *request)
{
	struct braid_io *io = request->volume->io;

	list_add_tail(&request->entry, &io->ready);
	queue_work(request->volume->workqueue, &io->work);
}

static void range_ready(struct braid_range *range)
{
	struct braid_request *request = container_of(range, struct braid_request, range);

	list_del_init(&request->entry);
	braid_request_ready(request);
}

bool braid_request_range(struct braid_request *request)
{
	struct braid_volume *volume = request->volume;

	if (request->range.queued)
		return true;
	if (braid_range_lock(&volume->ranges, &request->range, request->offset_bytes, request->length_bytes, range_ready))
		return true;
	list_add_tail(&request->entry, &volume->io->range_waiters);
	braid_io_late_watch(request);
	return false;
}

bool braid_request_gate(struct braid_request *request)
{
	struct braid_io *io = request->volume->io;
	bool first = list_empty(&io->gate_waiters);

	braid_range_unlock(&request->volume->ranges, &request->range);
	list_add_tail(&request->entry, &io->gate_waiters);
	braid_io_late_watch(request);
	return first;
}

static struct hlist_head *hash_head(struct braid_io *io, u64 id)
{
	return &io->in_flight[hash_64(id, REQUEST_HASH_BITS)];
}

void braid_request_insert(struct braid_request *request)
{
	request->id = braid_request_id(request->volume, request->gathers ? SESSION_ID_GATHERS : 0);
	hlist_add_head(&request->by_id, hash_head(request->volume->io, request->id));
	braid_io_late_watch(request);
}

struct braid_request *braid_request_find(struct braid_volume *volume, u64 id)
{
	struct braid_request *request;

	hlist_for_each_entry(request, hash_head(volume->io, id), by_id)
		if (request->id == id)
			return request;
	return NULL;
}

/* ---- the end ---- */

/* Every acknowledgement is in and sending is over. Any context. */
static void request_ended(struct braid_request *request)
{
	struct braid_volume *volume = request->volume;
	bool ok = request->ok_nodes && !request->doomed;
	LIST_HEAD(followers);
	struct bio *bio;
	unsigned long flags;

	spin_lock_irqsave(&volume->lock, flags);
	hlist_del_init(&request->by_id);
	braid_flush_led(request, &followers);
	braid_regions_put(volume, &request->regions, true);
	if (request->log_waited && request->here_ns)
		gather_ended(&volume->gather, request->here_ns, request->peers_ns);
	if (volume->core.log.nr_adding && gather_complete(&volume->gather, &volume->core.log))
		braid_meta_kick_commit(volume);	/* nobody else is under way for whom it was put off */
	if (request->flushing && ok)
		actlog_flush_end(&volume->core.log, request->flush_epoch);
	volume_end(&volume->core, &request->ack);
	if (!volume->core.in_flight && volume->idle_waiters)
		wake_up_all(&volume->changed);
	if (request->preflush && request->flushing && ok && request->bio) {
		request->preflush = false;	/* now the write itself */
		request->flushing = false;
		braid_request_ready(request);
		spin_unlock_irqrestore(&volume->lock, flags);
		braid_flush_end(&followers, ok);
		return;
	}
	braid_range_unlock(&volume->ranges, &request->range);
	if (ok)
		count_request(volume, request);
	if (request->felt_ns)
		braid_sync_io_end(volume, request->felt_ns);
	if (request->flushing && !request->bio && request->kind == REQUEST_FLUSH)
		braid_io_round_flushed(volume->io, ok);
	else if (!request->flushing)
		braid_io_not_idle(volume->io);
	bio = braid_request_take_bio(request, ok);
	spin_unlock_irqrestore(&volume->lock, flags);
	braid_flush_end(&followers, ok);
	end_bio(bio);
	braid_request_put(request);
}

void braid_request_drop_hold(struct braid_request *request)
{
	if (atomic_dec_and_test(&request->holds))
		request_ended(request);
}

/* This node is waited for no more: a local part that has not begun never will. Under the lock. */
static void leave_log(struct braid_request *request, u8 node)
{
	if (node != request->volume->core.node || !request->log_waiting)
		return;
	request->log_waiting = false;
	list_del_init(&request->entry);
}

bool braid_request_acked(struct braid_request *request, u8 node, enum volume_answer answer)
{
	if (!volume_waits_for(&request->ack, node))
		return false;
	if (answer != VOLUME_ANSWER_NONE)
		request->ok_nodes |= NODE_BIT(node);
	leave_log(request, node);
	if (request->log_waited)
		*(node == request->volume->core.node ? &request->here_ns : &request->peers_ns) = ktime_get_ns();
	return volume_acked(&request->volume->core, &request->ack, node, answer);
}

bool braid_request_released(struct braid_request *request, u8 node)
{
	if (!volume_waits_for(&request->ack, node))
		return false;
	leave_log(request, node);
	return volume_released(&request->volume->core, &request->ack, node);
}

/* ---- the local part ---- */

void braid_request_local_end(struct braid_request *request, bool failed)
{
	enum volume_answer answer = braid_request_local_answer(request, failed);
	struct braid_volume *volume = request->volume;
	u8 self = volume->core.node;
	unsigned long flags;
	bool last = false;

	if (failed)
		braid_disk_failed(volume, "write", -EIO);
	spin_lock_irqsave(&volume->lock, flags);
	/* While others hold the write this node leaves the in-sync set first: braid_io_release() of this node. */
	if (!failed || !(request->ack.nodes & ~NODE_BIT(self)))
		last = braid_request_acked(request, self, answer);
	spin_unlock_irqrestore(&volume->lock, flags);
	if (last)
		braid_request_drop_hold(request);
}

static void local_endio(struct bio *bio)
{
	struct braid_request *request = bio->bi_private;
	bool failed = bio->bi_status != BLK_STS_OK;

	bio_put(bio);
	braid_request_local_end(request, failed);
	braid_request_put(request);
}

static void zeroes_work(struct work_struct *work)
{
	struct braid_request *request = container_of(work, struct braid_request, work);
	int error = braid_local_zeroes(request->volume, request->offset_bytes, request->length_bytes,
				       request->kind == REQUEST_DISCARD, request->fua);

	braid_request_local_end(request, error != 0);
	braid_request_put(request);
}

void braid_request_local_start(struct braid_request *request)
{
	struct braid_volume *volume = request->volume;
	struct bio *bio;

	refcount_inc(&request->references);
	request->cached = braid_local_cached(volume);
	if (request->log_waited)	/* the log's commit submits it, and must not be made to wait for it */
		request->hints |= BRAID_WAITED;
	if (!request->flushing && request->kind != REQUEST_WRITE) {
		INIT_WORK(&request->work, zeroes_work);
		queue_work(volume->sleeper_workqueue, &request->work);
		return;
	}
	if (request->flushing)
		bio = braid_local_bio(volume, &volume->io->bio_set, REQ_OP_WRITE | REQ_PREFLUSH, NULL, 0, 0,
				      local_endio, request, GFP_NOIO);
	else
		bio = braid_local_bio(volume, &volume->io->bio_set, REQ_OP_WRITE | (request->fua ? REQ_FUA : 0) |
				      request->hints, request->buffer, request->offset_bytes, request->length_bytes,
				      local_endio, request, GFP_NOIO);
	if (bio) {
		bio->bi_ioprio = request->priority;
		submit_bio(bio);
		return;
	}
	braid_request_local_end(request, true);
	braid_request_put(request);
}

/* ---- the start ---- */

static u8 frame_type(const struct braid_request *request)
{
	if (request->flushing)
		return WIRE_FLUSH;
	switch (request->kind) {
	case REQUEST_DISCARD:
		return WIRE_DISCARD;
	case REQUEST_ZEROES:
		return WIRE_ZEROES;
	default:
		return WIRE_WRITE;
	}
}

/*
 * To everyone who must acknowledge, at once: the local log entry may still be under way [W3]. A flush takes along what its
 * submitter's plug held back.
 */
static void send_to_peers(struct braid_request *request, u32 nodes)
{
	struct braid_volume *volume = request->volume;
	enum lane_haste haste = request->flushing ? LANE_AT_ONCE : braid_plug_haste(request);
	struct braid_buffer *payload = request->flushing ? NULL : request->buffer;
	u32 left, lanes = 0;

	for (left = nodes; left; left &= left - 1) {
		u8 node = __ffs(left);
		struct wire_io io = {
			.offset_bytes = request->offset_bytes,
			.length_bytes = request->length_bytes,
			.epoch = request->epoch,
			.generation_id = request->generation_id,
		};

		/* Not sent: the session is gone, PEER_DOWN is on its way and the core releases the request. */
		int lane = braid_send_io(volume, node, frame_type(request), !request->flushing && request->fua ? WIRE_FUA : 0,
					 request->id, &io, payload, haste);

		if (lane == -ENOMEM)
			braid_session_end(volume->bn, node, WIRE_BYE_STUCK);
		else if (lane > 0)
			lanes |= BIT(lane);
	}
	if (haste == LANE_HELD && lanes)
		braid_plug(request, nodes, lanes);
}

/* Is the request allowed on the local disk now [W3] [G2]? Under the lock. */
static bool log_ready(struct braid_request *request)
{
	struct braid_volume *volume = request->volume;

	return braid_regions_ready(volume, &request->regions) &&
	       (braid_request_is_internal(request) || !volume_mark_wanted(&volume->core, request->generation_id));
}

enum admission {
	ADMITTED,
	ADMISSION_QUEUED,	/* in another place now */
	ADMISSION_IO_WAITS,	/* the same, and the core has to know */
	ADMISSION_FAILED,
	ADMISSION_DONE,		/* a flush with nothing to do */
};

/* Gate, range, log. Under the lock. */
static enum admission admit(struct braid_request *request)
{
	struct braid_volume *volume = request->volume;
	struct braid_io *io = volume->io;
	enum volume_gate gate = braid_request_is_internal(request) ? VOLUME_GATE_OPEN : volume_gate_write(&volume->core);

	if (io->failing || gate == VOLUME_GATE_FAIL)
		return ADMISSION_FAILED;
	if (gate == VOLUME_GATE_WAIT)
		return braid_request_gate(request) ? ADMISSION_IO_WAITS : ADMISSION_QUEUED;
	request->flushing = request->kind == REQUEST_FLUSH || request->preflush;
	if (request->flushing && !braid_request_is_internal(request) && volume_flush_is_done(&volume->core)) {
		request->flushing = false;
		request->preflush = false;
		if (request->kind == REQUEST_FLUSH)
			return ADMISSION_DONE;
	}
	if (request->flushing)
		return braid_request_is_internal(request) || braid_flush_lead(request) ? ADMITTED : ADMISSION_QUEUED;
	if (!braid_request_range(request))
		return ADMISSION_QUEUED;
	switch (braid_regions_get(volume, &request->regions, request->offset_bytes, request->length_bytes,
				  volume->core.log.epoch)) {
	case ACTLOG_FULL:
		list_add_tail(&request->entry, &io->full_waiters);
		braid_io_round_want(io, false);
		return ADMISSION_QUEUED;
	case ACTLOG_WAIT:
		if (braid_io_evict_wanted(volume))
			braid_io_round_want(io, false);
		break;
	case ACTLOG_READY:
		break;
	}
	return ADMITTED;
}

/* Into flight. True: the local part may start at once. Under the lock. */
static bool take_off(struct braid_request *request, bool *log_wanted)
{
	struct braid_volume *volume = request->volume;
	const struct generation *tail = lineage_tail(&volume->core.super.chain);
	bool local;

	request->log_waiting = false;
	request->log_waited = false;
	/* A flush of this node's own is no sign that anybody wrote [G2]. */
	request->generation_id = tail && !braid_request_is_internal(request) ? tail->id : 0;
	request->epoch = volume->core.log.epoch;
	request->flush_epoch = request->flushing ? actlog_flush_begin(&volume->core.log) : 0;
	braid_request_into_flight(request);
	braid_request_insert(request);
	atomic_set(&request->holds, 2);
	if (!request->flushing)
		braid_io_not_idle(volume->io);
	local = volume_waits_for(&request->ack, volume->core.node);
	if (!local || log_ready(request))
		return local;
	request->log_waiting = true;
	request->log_waited = true;
	request->here_ns = 0;
	request->peers_ns = 0;
	list_add_tail(&request->entry, &volume->io->log_waiters);
	gather_came(&volume->gather, ktime_get_ns());
	*log_wanted = !braid_meta_commit_put_off(volume);
	return false;
}

static void change_start(struct braid_request *request)
{
	struct braid_volume *volume = request->volume;
	bool local, log_wanted = false, nobody;
	enum admission admission;
	unsigned long flags;
	u32 nodes;

	spin_lock_irqsave(&volume->lock, flags);
	admission = admit(request);
	if (admission != ADMITTED) {
		spin_unlock_irqrestore(&volume->lock, flags);
		if (admission == ADMISSION_IO_WAITS)
			braid_engine_post_simple(volume, VOLUME_EVENT_IO_WAITS, NODE_NONE);
		else if (admission == ADMISSION_FAILED)
			braid_request_fail(request);
		else if (admission == ADMISSION_DONE)
			braid_request_succeed(request);
		return;
	}
	local = take_off(request, &log_wanted);
	nodes = request->ack.pending & ~NODE_BIT(volume->core.node);
	nobody = !request->ack.pending;
	spin_unlock_irqrestore(&volume->lock, flags);

	if (log_wanted)
		braid_meta_kick_commit(volume);
	send_to_peers(request, nodes);
	if (local)
		braid_request_local_start(request);
	if (nobody)	/* a flush with nothing to do; or an error, as ok_nodes is empty */
		braid_request_drop_hold(request);
	braid_request_drop_hold(request);
}

void braid_request_start(struct braid_request *request)
{
	if (request->kind == REQUEST_READ)
		braid_read_start(request);
	else
		change_start(request);
}

void braid_read_take_back(struct braid_request *request)
{
	hlist_del_init(&request->by_id);
	request->volume->io->nr_asked--;
}

/*
 * Reads at peers that are not in sync any more: a volume that goes down, or a session that ended before the read was sent,
 * answers nothing. Another node is asked. Under the lock.
 */
static void redirect_reads(struct braid_volume *volume)
{
	struct braid_io *io = volume->io;
	struct braid_request *request;
	struct hlist_node *next;
	u32 bucket;

	for (bucket = 0; io->nr_asked && bucket < ARRAY_SIZE(io->in_flight); bucket++) {
		hlist_for_each_entry_safe(request, next, &io->in_flight[bucket], by_id) {
			const struct volume_peer *peer;

			if (request->kind != REQUEST_READ)
				continue;
			peer = volume_peer_const(&volume->core, request->read_node);
			if (peer && peer->relation == VOLUME_IN_SYNC)
				continue;
			braid_read_take_back(request);
			list_add_tail(&request->entry, &io->ready);
		}
	}
}

/* Something of the volume changed. May be called under volume->lock, so it only queues the work. */
static int relations_changed(struct wait_queue_entry *entry, unsigned int mode, int flags, void *key)
{
	struct braid_io *io = container_of(entry, struct braid_io, changed);

	if (READ_ONCE(io->nr_asked))
		queue_work(io->volume->workqueue, &io->work);
	return 0;
}

static void start_work(struct work_struct *work)
{
	struct braid_io *io = container_of(work, struct braid_io, work);
	struct braid_volume *volume = io->volume;
	struct braid_request *request;
	struct blk_plug plug;
	unsigned long flags;

	spin_lock_irqsave(&volume->lock, flags);
	redirect_reads(volume);
	spin_unlock_irqrestore(&volume->lock, flags);
	blk_start_plug(&plug);
	for (;;) {
		spin_lock_irqsave(&volume->lock, flags);
		if (list_empty(&io->ready))
			braid_flush_next(io);	/* one that has nothing left to flush leads nobody: the next is looked at as well */
		request = list_first_entry_or_null(&io->ready, struct braid_request, entry);
		if (request)
			list_del_init(&request->entry);
		spin_unlock_irqrestore(&volume->lock, flags);
		if (!request)
			break;
		braid_request_start(request);
		cond_resched();
	}
	blk_finish_plug(&plug);
}

/* ---- from the block layer ---- */

static bool kind_of(const struct bio *bio, struct braid_request *request)
{
	switch (bio_op(bio)) {
	case REQ_OP_READ:
		request->kind = REQUEST_READ;
		return true;
	case REQ_OP_WRITE:
		request->kind = bio->bi_iter.bi_size ? REQUEST_WRITE : REQUEST_FLUSH;
		return true;
	case REQ_OP_FLUSH:
		request->kind = REQUEST_FLUSH;
		return true;
	case REQ_OP_DISCARD:	/* executed as zeroes, so that replicas stay the same [W8] */
		request->kind = REQUEST_DISCARD;
		return true;
	case REQ_OP_WRITE_ZEROES:
		request->kind = bio->bi_opf & REQ_NOUNMAP ? REQUEST_ZEROES : REQUEST_DISCARD;
		return true;
	default:
		return false;
	}
}

/* Of reads and writes the disk limits nothing but the length: a short one is not worth a walk through its pages. */
static bool needs_split(const struct bio *bio)
{
	return (bio_op(bio) != REQ_OP_READ && bio_op(bio) != REQ_OP_WRITE) ||
	       bio_sectors(bio) > queue_max_sectors(bdev_get_queue(bio->bi_bdev));
}

/* A copy that nobody changes, or the very pages, if their owner is trusted not to and they are fit for it [W2]. */
static struct braid_buffer *payload_of(struct braid_volume *volume, struct bio *bio)
{
	struct braid_buffer *buffer = NULL;

	if (READ_ONCE(volume->trusts))
		buffer = braid_buffer_borrow(bio, braid_local_alignment(volume));
	if (buffer)
		return buffer;
	buffer = braid_buffer_alloc(bio->bi_iter.bi_size, BRAID_PAYLOAD_SENT, GFP_NOIO);
	braid_buffer_from_bio(buffer, bio);
	return buffer;
}

void braid_io_submit(struct braid_volume *volume, struct bio *bio)
{
	struct braid_request *request;

	if (needs_split(bio)) {
		bio = bio_split_to_limits(bio);
		if (!bio)
			return;
	}
	/* The disk's limits keep everything within one frame. */
	if (READ_ONCE(volume->removing) || READ_ONCE(volume->io->failing) ||
	    WARN_ON_ONCE(bio->bi_iter.bi_size > IO_BYTES_MAX)) {
		bio_io_error(bio);
		return;
	}
	if (bio_op(bio) == REQ_OP_READ && braid_read_pass(volume, bio))
		return;
	request = braid_request_alloc(volume, volume->io->requests);
	if (!kind_of(bio, request)) {
		bio->bi_status = BLK_STS_NOTSUPP;
		bio_endio(bio);
		braid_request_put(request);
		return;
	}
	request->bio = bio;
	request->start_time = bio_start_io_acct(bio);
	request->offset_bytes = bio->bi_iter.bi_sector << SECTOR_SHIFT;
	request->length_bytes = bio->bi_iter.bi_size;
	request->hints = bio->bi_opf & REQUEST_HINTS;
	request->priority = bio->bi_ioprio;
	if (request->kind == REQUEST_FLUSH) {
		request->offset_bytes = 0;
		request->length_bytes = 0;
	} else if (request->kind != REQUEST_READ) {
		request->fua = bio->bi_opf & REQ_FUA;
		request->preflush = bio->bi_opf & REQ_PREFLUSH;
	}
	if (request->kind == REQUEST_WRITE) {
		if (!request->preflush)
			request->felt_ns = braid_sync_io_begin(volume);
		request->gathers = braid_write_gathers(bio);
		request->buffer = payload_of(volume, bio);
	}
	braid_request_start(request);
}

/* Nothing runs for a user, nor on the local disk on behalf of one. */
static bool io_idle(struct braid_volume *volume)
{
	struct braid_io *io = volume->io;
	unsigned long flags;
	bool idle;

	spin_lock_irqsave(&volume->lock, flags);
	idle = !volume->core.in_flight && !io->nr_reads && (!io->failing || !atomic_read(&io->nr_requests)) &&
	       braid_passes_idle(volume);
	spin_unlock_irqrestore(&volume->lock, flags);
	return idle;
}

void braid_idle_waiters_add(struct braid_volume *volume, int change)
{
	spin_lock_irq(&volume->lock);
	volume->idle_waiters += change;
	spin_unlock_irq(&volume->lock);
	smp_mb();	/* io_pass.c */
}

int braid_io_wait_idle(struct braid_volume *volume, u32 timeout_ms)
{
	long left;

	braid_idle_waiters_add(volume, 1);
	left = wait_event_killable_timeout(volume->changed, io_idle(volume), msecs_to_jiffies(timeout_ms));
	braid_idle_waiters_add(volume, -1);
	if (left < 0)
		return -EINTR;
	return left ? 0 : -ETIMEDOUT;
}

struct bio_set *braid_bio_set(struct braid_volume *volume)
{
	return &volume->io->bio_set;
}

/* ---- life ---- */

int braid_io_init(struct braid_volume *volume)
{
	struct braid_io *io = kzalloc(sizeof(*io), GFP_KERNEL);

	if (!io)
		return -ENOMEM;
	volume->io = io;
	io->volume = volume;
	INIT_LIST_HEAD(&io->gate_waiters);
	INIT_LIST_HEAD(&io->range_waiters);
	INIT_LIST_HEAD(&io->full_waiters);
	INIT_LIST_HEAD(&io->flush_waiters);
	INIT_LIST_HEAD(&io->flush_followers);
	INIT_LIST_HEAD(&io->log_waiters);
	INIT_LIST_HEAD(&io->ready);
	INIT_WORK(&io->work, start_work);
	if (braid_io_log_init(io))
		goto no_log;
	io->requests = mempool_create_kmalloc_pool(REQUEST_POOL, sizeof(struct braid_request));
	if (!io->requests)
		goto no_requests;
	io->round_requests = mempool_create_kmalloc_pool(1, sizeof(struct braid_request));
	if (!io->round_requests)
		goto no_round_requests;
	/*
	 * One of each is enough for progress: a bio comes back from the disk by itself, whoever took it. No rescuer: a call of
	 * braid_io_submit() takes one bio at most, and the block layer hands it on before it makes the next call; a plug is
	 * flushed by who waits.
	 */
	if (bioset_init(&io->bio_set, 1, 0, BIOSET_NEED_BVECS))
		goto no_bio_set;
	if (bioset_init(&io->read_set, 1, 0, 0))
		goto no_read_set;
	init_waitqueue_func_entry(&io->changed, relations_changed);
	add_wait_queue(&volume->changed, &io->changed);
	return 0;

no_read_set:
	bioset_exit(&io->bio_set);
no_bio_set:
	mempool_destroy(io->round_requests);
no_round_requests:
	mempool_destroy(io->requests);
no_requests:
	braid_io_log_exit(io);
no_log:
	kfree(io);
	volume->io = NULL;
	return -ENOMEM;
}

static bool no_requests(struct braid_volume *volume)
{
	unsigned long flags;
	bool none;

	spin_lock_irqsave(&volume->lock, flags);
	none = !atomic_read(&volume->io->nr_requests);
	spin_unlock_irqrestore(&volume->lock, flags);
	return none;
}

/*
 * Whatever still waits fails. What is left are bios in the hands of the local disk's driver, which owns our pages
 * until it ends them. The wait is bounded by that driver; status shows a volume that is going down.
 */
void braid_io_free(struct braid_volume *volume)
{
	struct braid_io *io = volume->io;

	if (!io)
		return;
	braid_io_fail_all(volume);	/* nothing arms the timer or begins a round any more */
	braid_timer_stop(&io->idle_timer);
	braid_timer_stop(&io->late_timer);
	braid_idle_waiters_add(volume, 1);
	wait_event(volume->changed, no_requests(volume));
	braid_idle_waiters_add(volume, -1);
	remove_wait_queue(&volume->changed, &io->changed);
	cancel_work_sync(&io->work);
	braid_io_log_exit(io);
	bioset_exit(&io->read_set);
	bioset_exit(&io->bio_set);
	mempool_destroy(io->round_requests);
	mempool_destroy(io->requests);
	kfree(io);
	volume->io = NULL;
}
