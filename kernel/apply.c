// SPDX-License-Identifier: GPL-2.0
/*
 * The replica's side: other nodes' writes, discards, flushes and reads on the local disk [W1] [W3] [W5] [W6] [I20].
 *
 * Life of a request (struct braid_apply_request, data_path.h):
 *
 *   arrived -> waits for its range -> waits for room in the log (full_waiters) -> marked, waits for the log to be durable
 *   (log_waiters) -> local disk -> ended: range and log given back -> on io acks list -> acknowledged, freed
 *
 * To the disk: a lane's receive context must not wait for a disk that is out of tags or hangs, since the lane carries the
 * session of all volumes [L1]. A write or flush goes out with BRAID_NOWAIT; what the disk does not take at once, and
 * everything for disks that cannot say "would wait" is on `submits`, from where one work submits it and waits. Zeroes and
 * reads, which sleep anyway, are a work each.
 *
 * The range is queued in the lane's receive context, in the order of arrival, so a frame of an older session always
 * stands before those of a newer one. Requests belong to the session instance in which they came: when the session ends,
 * local work goes on to its end and nothing is answered.
 *
 * References: the request owns its buffer; the local bio owns neither. Lock: lists, range and log under volume->lock.
 * Acknowledgements are collected on a list and sent by one work, so many go in one frame [W4].
 *
 * A data lane may be faster than the control lane: a write can arrive before the verdict that makes this node in sync.
 * Such a request keeps its place in the range tree and waits on `early` until a step changes something
 * (volume->changed is woken) or the session ends.
 */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/mempool.h>
#include <linux/slab.h>
#include "data_path.h"

enum {
	APPLY_POOL = 4,		/* reserve of a volume [L4]; docs/architecture.md, Memory */
	ACK_BATCH = 126,	/* in one frame: 2 KiB of memory */
};

struct evict_item {
	struct list_head entry;
	bool last;
	struct wire_evict evict;
};

struct braid_apply {
	struct braid_volume *volume;
	mempool_t *requests;
	struct list_head log_waiters;
	struct list_head full_waiters;
	struct list_head early;		/* the relation with their sender is not decided yet */
	struct wait_queue_entry changed;	/* on volume->changed, for early */
	struct list_head retry;		/* to be started by start_work */
	struct list_head submits;	/* ready for the disk, which may make submit_work wait */
	struct list_head acks;		/* ended, to be acknowledged */
	struct list_head evictions;
	struct work_struct start_work;
	struct work_struct submit_work;
	struct work_struct ack_work;
	struct work_struct evict_work;
	struct wire_acks *ack_body;	/* ack_work only; room for ACK_BATCH */
	u32 instance[NODES_MAX];	/* of the session with each node */
	u32 nr_active;
	u64 refused;			/* frames that came when the relation was over */
	bool tidy;			/* take evicted regions off the disk too */
};

/* ---- requests ---- */

struct braid_apply_request *braid_apply_request_alloc(struct braid_volume *volume, u8 node, unsigned int lane,
						      const struct wire_header *header, struct braid_buffer *payload)
{
	struct braid_apply *apply = volume->apply;
	struct braid_apply_request *request = mempool_alloc(apply->requests, GFP_NOIO);
	unsigned long flags;

	memset(request, 0, sizeof(*request));
	INIT_LIST_HEAD(&request->entry);
	request->volume = volume;
	request->buffer = payload;
	request->id = header->request_id;
	request->flags = header->flags;
	request->type = header->type;
	request->node = node;
	request->lane = lane;
	spin_lock_irqsave(&volume->lock, flags);
	request->instance = apply->instance[node];
	apply->nr_active++;
	spin_unlock_irqrestore(&volume->lock, flags);
	return request;
}

bool braid_apply_current(const struct braid_apply_request *request)
{
	return READ_ONCE(request->volume->apply->instance[request->node]) == request->instance;
}

/* The last touch of a request. Under the lock. */
static void request_free(struct braid_apply_request *request)
{
	struct braid_volume *volume = request->volume;

	mempool_free(request, volume->apply->requests);
	if (!--volume->apply->nr_active && volume->idle_waiters)
		wake_up_all(&volume->changed);
}

void braid_apply_end(struct braid_apply_request *request, bool ack)
{
	struct braid_volume *volume = request->volume;
	struct braid_apply *apply = volume->apply;
	unsigned long flags;

	braid_buffer_put(request->buffer);
	request->buffer = NULL;
	spin_lock_irqsave(&volume->lock, flags);
	braid_regions_put(volume, &request->regions, false);
	braid_range_unlock(&volume->ranges, &request->range);
	if (ack && braid_apply_current(request)) {
		list_add_tail(&request->entry, &apply->acks);
		queue_work(volume->workqueue, &apply->ack_work);
	} else {
		request_free(request);
	}
	spin_unlock_irqrestore(&volume->lock, flags);
}

/* ---- acknowledgements ---- */

/* Fill a frame from the list with what goes the same way as its first entry. False: nothing to send. */
static bool collect_acks(struct braid_apply *apply, u8 *node, u8 *lane, bool *current_session)
{
	struct wire_acks *acks = apply->ack_body;
	struct braid_apply_request *request, *next;
	unsigned long flags;
	u64 features = 0;

	acks->nr = 0;
	spin_lock_irqsave(&apply->volume->lock, flags);
	list_for_each_entry_safe(request, next, &apply->acks, entry) {
		bool current_instance = braid_apply_current(request);

		if (!acks->nr) {
			*node = request->node;
			*lane = request->lane;
			*current_session = current_instance;
			features = braid_session_features(apply->volume->bn, request->node);
		} else if (request->node != *node || request->lane != *lane || current_instance != *current_session) {
			continue;
		}
		acks->ack[acks->nr].request_id = request->id;
		acks->ack[acks->nr].result = wire_ack_result(features, request->error, request->stable);
		list_del(&request->entry);
		request_free(request);
		if (++acks->nr == ACK_BATCH)
			break;
	}
	spin_unlock_irqrestore(&apply->volume->lock, flags);
	return acks->nr != 0;
}

static void ack_work(struct work_struct *work)
{
	struct braid_apply *apply = container_of(work, struct braid_apply, ack_work);
	struct braid_net *bn = apply->volume->bn;
	struct braid_frame *frame;
	bool current_session;
	u8 node, lane;

	while (collect_acks(apply, &node, &lane, &current_session)) {
		if (!current_session)
			continue;
		frame = braid_frame_alloc(WIRE_ACKS, 0, 0, (const union wire_body *)apply->ack_body, NULL, 0, 0,
					  GFP_NOIO);
		if (frame)
			braid_session_send(bn, node, lane, frame, LANE_AT_ONCE);
		else	/* an acknowledgement must not get lost silently */
			braid_session_end(bn, node, WIRE_BYE_STUCK);
	}
}

/* ---- local disk ---- */

static void local_ended(struct braid_apply_request *request, int error)
{
	if (error) {
		braid_disk_failed(request->volume, "replicated write", error);
		request->error = true;
	}
	request->stable = flush_is_stable(request->type == WIRE_FLUSH, request->flags & WIRE_FUA,
					  request->cached || braid_local_cached(request->volume));
	braid_apply_end(request, true);
}

void braid_apply_submit(struct braid_apply_request *request)
{
	struct braid_volume *volume = request->volume;

	list_add_tail(&request->entry, &volume->apply->submits);
	queue_work(volume->workqueue, &volume->apply->submit_work);
}

static void submit_later(struct braid_apply_request *request)
{
	unsigned long flags;

	spin_lock_irqsave(&request->volume->lock, flags);
	braid_apply_submit(request);
	spin_unlock_irqrestore(&request->volume->lock, flags);
}

static void local_endio(struct bio *bio)
{
	struct braid_apply_request *request = bio->bi_private;
	blk_status_t status = bio->bi_status;

	bio_put(bio);
	/* Its range is still held, so the same data may be written again. */
	if (request->nowait && (status == BLK_STS_AGAIN || status == BLK_STS_NOTSUPP))
		submit_later(request);
	else
		local_ended(request, blk_status_to_errno(status));
}

/* Write or flush. */
static struct bio *local_bio(struct braid_apply_request *request, gfp_t gfp)
{
	struct braid_volume *volume = request->volume;
	struct bio_set *set = braid_bio_set(volume);

	request->cached = braid_local_cached(volume);
	if (request->type == WIRE_FLUSH)
		return braid_local_bio(volume, set, REQ_OP_WRITE | REQ_PREFLUSH, NULL, 0, 0, local_endio, request, gfp);
	return braid_local_bio(volume, set, REQ_OP_WRITE | BRAID_WAITED | (request->flags & WIRE_FUA ? REQ_FUA : 0),
			       request->buffer, request->io.offset_bytes, request->io.length_bytes, local_endio, request, gfp);
}

/* False: it would have to wait for the disk or for memory. */
static bool submit_at_once(struct braid_apply_request *request)
{
	struct bio *bio;

	if (!braid_local_nowait(request->volume))
		return false;
	bio = local_bio(request, GFP_NOWAIT | __GFP_NOWARN);
	if (!bio)
		return false;
	request->nowait = true;
	bio->bi_opf |= BRAID_NOWAIT;
	submit_bio(bio);
	return true;
}

static void submit_work(struct work_struct *work)
{
	struct braid_apply *apply = container_of(work, struct braid_apply, submit_work);
	struct braid_apply_request *request;
	struct blk_plug plug;
	unsigned long flags;
	struct bio *bio;

	blk_start_plug(&plug);
	for (;;) {
		spin_lock_irqsave(&apply->volume->lock, flags);
		request = list_first_entry_or_null(&apply->submits, struct braid_apply_request, entry);
		if (request)
			list_del_init(&request->entry);
		spin_unlock_irqrestore(&apply->volume->lock, flags);
		if (!request)
			break;
		request->nowait = false;
		bio = local_bio(request, GFP_NOIO);
		if (bio)
			submit_bio(bio);
		else
			local_ended(request, -EIO);
		cond_resched();
	}
	blk_finish_plug(&plug);
}

static void zeroes_work(struct work_struct *work)
{
	struct braid_apply_request *request = container_of(work, struct braid_apply_request, work);

	request->cached = braid_local_cached(request->volume);
	local_ended(request, braid_local_zeroes(request->volume, request->io.offset_bytes, request->io.length_bytes,
						request->type == WIRE_DISCARD, request->flags & WIRE_FUA));
}

/* A read for another node; an answer with an error when it was refused. */
static void read_work(struct work_struct *work)
{
	struct braid_apply_request *request = container_of(work, struct braid_apply_request, work);
	struct braid_volume *volume = request->volume;
	struct wire_io answer = {
		.offset_bytes = request->io.offset_bytes,
		.length_bytes = request->io.length_bytes,
	};
	int error = -EIO;

	if (!request->error) {
		request->buffer = braid_buffer_alloc(request->io.length_bytes, BRAID_PAYLOAD_SENT, GFP_NOIO);
		error = braid_local_wait(volume, braid_bio_set(volume), REQ_OP_READ, request->buffer, 0,
					 request->io.offset_bytes, request->io.length_bytes);
	}
	if (error) {
		answer.length_bytes = 0;
		answer.error = 1;
	}
	if (braid_apply_current(request) &&
	    braid_send_io(volume, request->node, WIRE_READ_DATA, 0, request->id, &answer,
			  error ? NULL : request->buffer, LANE_AT_ONCE) == -ENOMEM)
		braid_session_end(volume->bn, request->node, WIRE_BYE_STUCK);
	braid_apply_end(request, false);
}

/* The log is durable: to the disk. Process context; does not wait for the disk. */
static void local_start(struct braid_apply_request *request)
{
	switch (request->type) {
	case WIRE_READ:
	case WIRE_DISCARD:
	case WIRE_ZEROES:
		INIT_WORK(&request->work, request->type == WIRE_READ ? read_work : zeroes_work);
		queue_work(request->volume->sleeper_workqueue, &request->work);
		return;
	default:
		if (!submit_at_once(request))
			submit_later(request);
		return;
	}
}

/* ---- range, log, marks ---- */

static void retry_later(struct braid_apply_request *request)
{
	struct braid_apply *apply = request->volume->apply;

	list_add_tail(&request->entry, &apply->retry);
	queue_work(request->volume->workqueue, &apply->start_work);
}

static void range_ready(struct braid_range *range)
{
	retry_later(container_of(range, struct braid_apply_request, range));
}

enum apply_step { APPLY_GO, APPLY_QUEUED, APPLY_REFUSED };

/* A completed flush needs the written mark as well [G2], except resync's, which no user waits for. */
static bool log_ready(struct braid_apply_request *request)
{
	struct braid_volume *volume = request->volume;

	if (!braid_regions_ready(volume, &request->regions))
		return false;
	return request->id & BRAID_REQUEST_RESYNC ||
	       !volume_mark_wanted(&volume->core, request->io.generation_id);
}

static bool changes(u8 type)
{
	return type == WIRE_WRITE || type == WIRE_DISCARD || type == WIRE_ZEROES;
}

/* May the sender ask this, or will it be known soon? Under the lock. */
static enum apply_step permission(const struct braid_apply_request *request)
{
	const struct volume *core = &request->volume->core;
	const struct volume_peer *peer = volume_peer_const(core, request->node);
	bool allowed;

	if (!braid_apply_current(request) || core->disk != VOLUME_DISK_OK || !peer)
		return APPLY_REFUSED;
	if (request->type == WIRE_READ)
		allowed = volume_may_read(core, request->node);
	else if (request->id & BRAID_REQUEST_RESYNC)
		allowed = volume_may_resync(core, request->node);
	else
		allowed = volume_may_apply(core, request->node, request->io.offset_bytes, request->io.length_bytes);
	if (allowed)
		return APPLY_GO;
	/* A writer has this node's verdict, which followed a greeting: who is absent has gone, and would be waited for without an end. */
	return core->role == VOLUME_SECONDARY && (peer->relation == VOLUME_GREETING || peer->relation == VOLUME_SOURCE_ASKED) ?
	       APPLY_QUEUED : APPLY_REFUSED;
}

/* Owns its range. Under the lock. */
static enum apply_step prepare(struct braid_apply_request *request)
{
	struct braid_volume *volume = request->volume;
	enum apply_step step = permission(request);
	struct wire_io *io = &request->io;

	if (step == APPLY_QUEUED && volume->removing)
		return APPLY_REFUSED;	/* nobody would wake it up */
	if (step == APPLY_QUEUED)
		list_add_tail(&request->entry, &volume->apply->early);
	if (step != APPLY_GO || request->type == WIRE_READ)
		return step;
	if (changes(request->type)) {
		if (braid_regions_get(volume, &request->regions, io->offset_bytes, io->length_bytes, io->epoch) ==
		    ACTLOG_FULL) {
			if (volume->removing)
				return APPLY_REFUSED;
			list_add_tail(&request->entry, &volume->apply->full_waiters);
			return APPLY_QUEUED;
		}
		volume_apply(&volume->core, request->node, io->offset_bytes, io->length_bytes);
		volume->count.writes++;
		volume->count.written_bytes += io->length_bytes;
	} else {
		volume->count.flushes++;
	}
	if (log_ready(request))
		return APPLY_GO;
	list_add_tail(&request->entry, &volume->apply->log_waiters);
	return APPLY_QUEUED;
}

/* Process context. @fresh: its range is not queued yet. */
static void apply_start(struct braid_apply_request *request, bool fresh)
{
	struct braid_volume *volume = request->volume;
	struct wire_io *io = &request->io;
	enum apply_step step = APPLY_QUEUED;
	unsigned long flags;

	spin_lock_irqsave(&volume->lock, flags);
	if (!fresh || !changes(request->type) ||
	    braid_range_lock(&volume->ranges, &request->range, io->offset_bytes, io->length_bytes, range_ready))
		step = prepare(request);
	if (step == APPLY_REFUSED)
		volume->apply->refused++;
	spin_unlock_irqrestore(&volume->lock, flags);
	switch (step) {
	case APPLY_GO:
		local_start(request);
		break;
	case APPLY_QUEUED:
		braid_meta_kick_commit(volume);
		break;
	case APPLY_REFUSED:
		/* Never silent: the writer would wait for ever. It takes this node out of the in-sync set [W4]. */
		request->error = true;
		if (request->type == WIRE_READ)
			local_start(request);
		else
			braid_apply_end(request, true);
		break;
	}
}

/* Something of the volume changed. May be called under volume->lock, so it only queues the work. */
static int relations_changed(struct wait_queue_entry *entry, unsigned int mode, int flags, void *key)
{
	struct braid_apply *apply = container_of(entry, struct braid_apply, changed);

	if (!list_empty_careful(&apply->early) || !list_empty_careful(&apply->full_waiters))
		queue_work(apply->volume->workqueue, &apply->start_work);
	return 0;
}

static void start_work(struct work_struct *work)
{
	struct braid_apply *apply = container_of(work, struct braid_apply, start_work);
	struct braid_apply_request *request;
	unsigned long flags;

	spin_lock_irqsave(&apply->volume->lock, flags);
	list_splice_init(&apply->full_waiters, &apply->retry);
	list_splice_init(&apply->early, &apply->retry);
	spin_unlock_irqrestore(&apply->volume->lock, flags);
	for (;;) {
		spin_lock_irqsave(&apply->volume->lock, flags);
		request = list_first_entry_or_null(&apply->retry, struct braid_apply_request, entry);
		if (request)
			list_del_init(&request->entry);
		spin_unlock_irqrestore(&apply->volume->lock, flags);
		if (!request)
			return;
		apply_start(request, false);
		cond_resched();
	}
}

static struct braid_apply_request *next_logged(struct braid_apply *apply, bool *failed)
{
	struct braid_apply_request *request;

	*failed = apply->volume->core.disk != VOLUME_DISK_OK;
	list_for_each_entry(request, &apply->log_waiters, entry) {
		if (!*failed && !log_ready(request))
			continue;
		list_del_init(&request->entry);
		return request;
	}
	return NULL;
}

void braid_apply_log_committed(struct braid_volume *volume)
{
	struct braid_apply *apply = volume->apply;
	struct braid_apply_request *request;
	struct blk_plug plug;
	unsigned long flags;
	bool failed, wanted;

	blk_start_plug(&plug);
	for (;;) {
		spin_lock_irqsave(&volume->lock, flags);
		request = next_logged(apply, &failed);
		if (!request && apply->tidy && volume->core.disk == VOLUME_DISK_OK) {
			if (volume->core.log.part_removed)
				volume->core.log.forced = true;
			else
				apply->tidy = false;
		}
		wanted = actlog_commit_wanted(&volume->core.log);
		spin_unlock_irqrestore(&volume->lock, flags);
		if (!request)
			break;
		if (failed) {
			request->error = true;
			braid_apply_end(request, true);
		} else {
			local_start(request);
		}
	}
	blk_finish_plug(&plug);
	if (wanted)
		braid_meta_kick_commit(volume);
}

/* ---- eviction: the writer says which regions are the same and stable everywhere [W6] ---- */

static void evict_some(struct braid_volume *volume, const struct evict_item *item)
{
	struct braid_apply *apply = volume->apply;
	unsigned long flags;
	u32 i;

	spin_lock_irqsave(&volume->lock, flags);
	for (i = 0; i < item->evict.nr; i++)
		actlog_evict(&volume->core.log, item->evict.region[i], item->evict.epoch);
	if (item->last) {
		apply->tidy = true;
		if (volume->core.log.part_removed)
			volume->core.log.forced = true;
	}
	if (!list_empty(&apply->full_waiters)) {
		list_splice_tail_init(&apply->full_waiters, &apply->retry);
		queue_work(volume->workqueue, &apply->start_work);
	}
	spin_unlock_irqrestore(&volume->lock, flags);
}

static void evict_work(struct work_struct *work)
{
	struct braid_apply *apply = container_of(work, struct braid_apply, evict_work);
	struct braid_volume *volume = apply->volume;
	struct evict_item *item, *next;
	LIST_HEAD(items);
	unsigned long flags;
	bool ok;

	spin_lock_irqsave(&volume->lock, flags);
	list_splice_init(&apply->evictions, &items);
	spin_unlock_irqrestore(&volume->lock, flags);
	if (list_empty(&items))
		return;
	/* [D1] Once for all of them: bits of a region are on disk before it leaves the log. */
	ok = !braid_meta_save_maps(volume);
	list_for_each_entry_safe(item, next, &items, entry) {
		if (ok)
			evict_some(volume, item);
		kfree(item);
	}
	braid_meta_kick_commit(volume);
}

static void evict_arrived(struct braid_volume *volume, u8 node, bool last, const struct wire_evict *evict)
{
	struct evict_item *item = kmalloc(sizeof(*item), GFP_NOIO | __GFP_NOFAIL);
	unsigned long flags;
	bool taken;

	item->last = last;
	item->evict = *evict;
	spin_lock_irqsave(&volume->lock, flags);
	taken = volume_may_apply(&volume->core, node, 0, 0);
	if (taken) {
		list_add_tail(&item->entry, &volume->apply->evictions);
		queue_work(volume->workqueue, &volume->apply->evict_work);
	}
	spin_unlock_irqrestore(&volume->lock, flags);
	if (!taken)
		kfree(item);
}

/* ---- frames ---- */

static bool inside(const struct braid_volume *volume, const struct wire_io *io)
{
	return io->offset_bytes <= volume->core.super.volume_bytes &&
	       io->length_bytes <= volume->core.super.volume_bytes - io->offset_bytes;
}

int braid_apply_frame(struct braid_volume *volume, u8 node, unsigned int lane, const struct wire_header *header,
		      const union wire_body *body, struct braid_buffer *payload)
{
	struct braid_apply_request *request;

	if (header->type == WIRE_EVICT) {
		evict_arrived(volume, node, header->flags & WIRE_LAST, &body->evict);
		braid_buffer_put(payload);
		return 0;
	}
	if (!inside(volume, &body->io) || (header->type == WIRE_WRITE) != (payload != NULL)) {
		braid_buffer_put(payload);
		return -EPROTO;
	}
	request = braid_apply_request_alloc(volume, node, lane, header, payload);
	request->io = body->io;
	switch (header->type) {
	case WIRE_WRITE:
	case WIRE_DISCARD:
	case WIRE_ZEROES:
	case WIRE_FLUSH:
	case WIRE_READ:
		apply_start(request, true);
		return 0;
	default:
		braid_apply_end(request, false);
		return -EPROTO;
	}
}

void braid_apply_peer_down(struct braid_volume *volume, u8 node)
{
	struct braid_apply *apply = volume->apply;
	unsigned long flags;

	spin_lock_irqsave(&volume->lock, flags);
	apply->instance[node]++;
	/* These find that their session is over and end. */
	list_splice_tail_init(&apply->full_waiters, &apply->retry);
	list_splice_tail_init(&apply->early, &apply->retry);
	queue_work(volume->workqueue, &apply->start_work);
	queue_work(volume->workqueue, &apply->ack_work);
	spin_unlock_irqrestore(&volume->lock, flags);
}

/* ---- life ---- */

static bool apply_idle(struct braid_volume *volume)
{
	unsigned long flags;
	bool idle;

	spin_lock_irqsave(&volume->lock, flags);
	idle = !volume->apply->nr_active;
	spin_unlock_irqrestore(&volume->lock, flags);
	return idle;
}

int braid_apply_wait_idle(struct braid_volume *volume, u32 timeout_ms)
{
	long left;

	braid_idle_waiters_add(volume, 1);
	left = wait_event_killable_timeout(volume->changed, apply_idle(volume), msecs_to_jiffies(timeout_ms));
	braid_idle_waiters_add(volume, -1);
	if (left < 0)
		return -EINTR;
	return left ? 0 : -ETIMEDOUT;
}

int braid_apply_init(struct braid_volume *volume)
{
	struct braid_apply *apply = kzalloc(sizeof(*apply), GFP_KERNEL);

	if (!apply)
		return -ENOMEM;
	apply->volume = volume;
	INIT_LIST_HEAD(&apply->log_waiters);
	INIT_LIST_HEAD(&apply->full_waiters);
	INIT_LIST_HEAD(&apply->retry);
	INIT_LIST_HEAD(&apply->submits);
	INIT_LIST_HEAD(&apply->acks);
	INIT_LIST_HEAD(&apply->evictions);
	INIT_WORK(&apply->start_work, start_work);
	INIT_WORK(&apply->submit_work, submit_work);
	INIT_WORK(&apply->ack_work, ack_work);
	INIT_WORK(&apply->evict_work, evict_work);
	apply->ack_body = kzalloc(offsetof(struct wire_acks, ack[ACK_BATCH]), GFP_KERNEL);	/* not a whole body */
	if (!apply->ack_body)
		goto no_body;
	apply->requests = mempool_create_kmalloc_pool(APPLY_POOL, sizeof(struct braid_apply_request));
	if (!apply->requests)
		goto no_requests;
	INIT_LIST_HEAD(&apply->early);
	init_waitqueue_func_entry(&apply->changed, relations_changed);
	add_wait_queue(&volume->changed, &apply->changed);
	volume->apply = apply;
	return 0;

no_requests:
	kfree(apply->ack_body);
no_body:
	kfree(apply);
	return -ENOMEM;
}

/* Sessions are gone for this volume. What is left are bios in the hands of the local disk's driver; it bounds the wait. */
void braid_apply_free(struct braid_volume *volume)
{
	struct braid_apply *apply = volume->apply;
	struct evict_item *item, *next;

	if (!apply)
		return;
	braid_idle_waiters_add(volume, 1);
	wait_event(volume->changed, apply_idle(volume));
	braid_idle_waiters_add(volume, -1);
	remove_wait_queue(&volume->changed, &apply->changed);
	cancel_work_sync(&apply->start_work);
	cancel_work_sync(&apply->submit_work);
	cancel_work_sync(&apply->ack_work);
	cancel_work_sync(&apply->evict_work);
	list_for_each_entry_safe(item, next, &apply->evictions, entry)
		kfree(item);
	mempool_destroy(apply->requests);
	kfree(apply->ack_body);
	kfree(apply);
	volume->apply = NULL;
}
