// SPDX-License-Identifier: GPL-2.0
/*
 * Metadata of one attached volume: when it is written, and in which order [M] [W3] [D1].
 *
 * Every block is written with FUA: when a write here ends, it is durable. From that follow the orders below.
 *
 *   activity log   commit_work writes the parts that changed, each into the copy that does not count, under one group
 *                  commit; writers wait for it before their data goes to the disk [W3]. The commit carries the written
 *                  mark [G2].
 *   dirty maps     pages, then the index blocks that speak of them (meta_maps.c). A region leaves the activity log only
 *                  after the bits that were set while it was there are durable [D1].
 *   superblock     copies alternate; with maps_first all bits set so far are durable before it.
 *   log reset      flush of the data, maps, then regions leave: only those whose writes ended before the flush began.
 *                  What is still in use is tried again, up to RESET_PATIENCE_MS; regions that remain claim too much, never
 *                  too little.
 *
 * Locks, none of them taken under volume->lock: maps_lock (mutex: one saver of maps or superblock at a time) > log_lock
 * (mutex: one transaction of the activity log from begin to end). Data path and engine never take them.
 *
 * A metadata write that fails gives the disk up: braid_disk_failed(), and every later request is answered with ok ==
 * false without touching the disk.
 */
#include <linux/blkdev.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include "meta_internal.h"

enum {
	RESET_RETRY_MS = 20,
	RESET_PATIENCE_MS = 10000,
	WAIT_TURN_MS = 200,
};

enum request_type {
	REQUEST_SUPER,
	REQUEST_LOG_RESET,
};

/* Work for save_work; counted, since who waits may give up. */
struct braid_meta_request {
	struct list_head entry;
	refcount_t references;
	enum request_type type;
	bool maps_first;
	bool post;		/* answer with an event; else complete @done */
	u32 token;
	u64 spell;		/* of quiet that a log reset was asked in; 0: none */
	u64 deadline;		/* jiffies: patience of a log reset */
	int result;
	struct completion done;
};

static void request_put(struct braid_meta_request *request)
{
	if (refcount_dec_and_test(&request->references))
		kfree(request);
}

void braid_disk_failed(struct braid_volume *volume, const char *what, int error)
{
	unsigned long flags;
	bool first;

	spin_lock_irqsave(&volume->lock, flags);
	first = !volume->disk_failed_posted;
	volume->disk_failed_posted = true;
	spin_unlock_irqrestore(&volume->lock, flags);
	if (!first)
		return;
	pr_err("braid: %s: %s failed (%d) -> the disk is given up\n", volume->name, what, error);
	braid_engine_post_simple(volume, VOLUME_EVENT_DISK_FAILED, NODE_NONE);
}

int braid_meta_flush_data(struct braid_volume *volume)
{
	int error;

	if (READ_ONCE(volume->disk_failed_posted))
		return -EIO;
	error = blkdev_issue_flush(volume->data->bdev);
	if (error) {
		braid_disk_failed(volume, "flush", error);
		return -EIO;
	}
	return 0;
}

/* ---- activity log ---- */

/* Encode the parts of a transaction that has begun, into the copies that do not count. Under volume->lock. */
static void log_encode(struct braid_volume *volume, u32 parts)
{
	struct braid_meta *meta = volume->meta_private;
	u64 mark_id = volume_mark_id(&volume->core);
	u32 part, nr = 0, *regions;
	u8 *block;

	gather_began(&volume->gather, &volume->core.log);
	meta->log_mark_id = mark_id;
	for (part = 0; part < volume->core.log.nr_parts; part++) {
		struct ondisk_header header;

		if (!(parts >> part & 1))
			continue;
		meta->part_sequence[part]++;
		header = braid_meta_header(volume, ONDISK_ACTLOG, meta->part_sequence[part],
					   ondisk_actlog_offset(&volume->layout, part, !meta->part_copy[part]));
		block = braid_meta_block(&meta->log_batch, nr++);
		regions = (u32 *)(block + ONDISK_ACTLOG_REGIONS);	/* encoded in place */
		actlog_encode_part(&volume->core.log, part, regions);
		ondisk_actlog_encode(&header, mark_id, regions, block);
	}
}

static int log_write(struct braid_volume *volume, u32 parts)
{
	struct braid_meta *meta = volume->meta_private;
	u32 part;
	int error;

	braid_meta_batch_begin(&meta->log_batch, volume, REQ_OP_WRITE);
	for (part = 0; part < volume->core.log.nr_parts; part++) {
		if (parts >> part & 1)
			braid_meta_batch_add(&meta->log_batch,
					     ondisk_actlog_offset(&volume->layout, part, !meta->part_copy[part]));
	}
	error = braid_meta_batch_wait(&meta->log_batch);
	for (part = 0; part < volume->core.log.nr_parts && !error; part++) {
		if (parts >> part & 1)
			meta->part_copy[part] = !meta->part_copy[part];
	}
	return error;
}

/* Write the transaction @parts that has begun and is encoded; log_lock held. 0 or -EIO. */
static int log_transaction_end(struct braid_volume *volume, u32 parts)
{
	struct braid_meta *meta = volume->meta_private;
	int error = READ_ONCE(volume->disk_failed_posted) ? -EIO : log_write(volume, parts);
	bool tell = false;

	spin_lock_irq(&volume->lock);
	actlog_commit_end(&volume->core.log, !error);
	if (!error) {
		tell = volume_marked(&volume->core, meta->log_mark_id);
		volume->count.log_commits++;
	}
	spin_unlock_irq(&volume->lock);
	if (error)
		braid_disk_failed(volume, "writing the activity log", error);
	if (tell)
		braid_engine_post_simple(volume, VOLUME_EVENT_FACTS, NODE_NONE);
	/* After a failure as well: who waits finds out. */
	braid_io_log_committed(volume);
	braid_apply_log_committed(volume);
	return error ? -EIO : 0;
}

bool braid_meta_commit_put_off(struct braid_volume *volume)
{
	u64 wait_ns = 0;

	if (volume->core.role == VOLUME_PRIMARY)	/* peers' writes wait for nobody else */
		wait_ns = gather_wait(&volume->gather, &volume->core.log, ktime_get_ns());
	if (wait_ns && !hrtimer_is_queued(&volume->commit_timer))
		hrtimer_start(&volume->commit_timer, ns_to_ktime(wait_ns), HRTIMER_MODE_REL);
	return wait_ns;
}

static enum hrtimer_restart commit_timer(struct hrtimer *timer)
{
	struct braid_volume *volume = container_of(timer, struct braid_volume, commit_timer);

	braid_meta_kick_commit(volume);
	return HRTIMER_NORESTART;
}

/* Group commit [W3]: whoever came while a transaction was written is in the next one. */
static void commit_work(struct work_struct *work)
{
	struct braid_volume *volume = container_of(work, struct braid_volume, commit_work);
	struct braid_meta *meta = volume->meta_private;
	unsigned int noio = memalloc_noio_save();
	u32 parts;

	braid_memory_pages(volume, BRAID_PAGES_AHEAD, GFP_NOWAIT);
	mutex_lock(&meta->log_lock);
	for (;;) {
		spin_lock_irq(&volume->lock);
		parts = 0;
		if (!volume->disk_failed_posted && !meta->stopping && actlog_commit_wanted(&volume->core.log) &&
		    !braid_meta_commit_put_off(volume))
			parts = actlog_commit_begin(&volume->core.log);
		if (parts)
			log_encode(volume, parts);
		spin_unlock_irq(&volume->lock);
		if (!parts || log_transaction_end(volume, parts))
			break;
	}
	mutex_unlock(&meta->log_lock);
	memalloc_noio_restore(noio);
}

void braid_meta_kick_commit(struct braid_volume *volume)
{
	queue_work(volume->workqueue, &volume->commit_work);
}

/* One transaction with everything that differs from disk, removals included. 0 or -EIO. */
static int log_commit_all(struct braid_volume *volume)
{
	struct braid_meta *meta = volume->meta_private;
	int error = 0;
	u32 parts;

	mutex_lock(&meta->log_lock);
	spin_lock_irq(&volume->lock);
	parts = actlog_commit_all_begin(&volume->core.log);
	if (parts)
		log_encode(volume, parts);
	spin_unlock_irq(&volume->lock);
	if (parts)
		error = log_transaction_end(volume, parts);
	mutex_unlock(&meta->log_lock);
	return error;
}

int braid_meta_empty_log(struct braid_volume *volume)
{
	unsigned int noio = memalloc_noio_save();
	u32 copy;
	int error = 0;

	for (copy = 0; copy < 2 && !error; copy++) {
		spin_lock_irq(&volume->lock);
		actlog_clear(&volume->core.log);
		spin_unlock_irq(&volume->lock);
		error = log_commit_all(volume);
	}
	memalloc_noio_restore(noio);
	return error;
}

/* One attempt of a log reset; *@remaining: regions still in use. maps_lock held. 0, -EIO or -ECANCELED. */
static int log_reset_pass(struct braid_volume *volume, u64 spell, u32 *remaining)
{
	u64 epoch;
	int error;

	/* The writes stamped up to here ended before the flush, and the bits that they set are in the maps. */
	spin_lock_irq(&volume->lock);
	epoch = volume_log_reset_begin(&volume->core, spell);
	spin_unlock_irq(&volume->lock);
	if (!epoch)
		return -ECANCELED;
	error = braid_meta_flush_data(volume);
	if (!error)
		error = braid_meta_save_maps_locked(volume);
	if (error)
		return error;
	spin_lock_irq(&volume->lock);
	*remaining = actlog_evict_before(&volume->core.log, epoch);
	spin_unlock_irq(&volume->lock);
	return log_commit_all(volume);
}

/* ---- superblock ---- */

/* maps_lock held. 0 or -EIO. */
static int super_write_locked(struct braid_volume *volume)
{
	struct braid_meta *meta = volume->meta_private;
	u32 copy = !meta->super_copy;
	int error;

	if (READ_ONCE(volume->disk_failed_posted))
		return -EIO;
	spin_lock_irq(&volume->lock);
	volume->core.super.sequence++;
	meta->super = volume->core.super;
	volume->count.super_writes++;
	spin_unlock_irq(&volume->lock);
	braid_meta_batch_begin(&meta->batch, volume, REQ_OP_WRITE);
	ondisk_super_encode(&meta->super, copy, braid_meta_batch_next(&meta->batch));
	braid_meta_batch_add(&meta->batch, ondisk_super_offset(copy));
	error = braid_meta_batch_wait(&meta->batch);
	if (error) {
		braid_disk_failed(volume, "writing the superblock", error);
		return -EIO;
	}
	meta->super_copy = copy;
	return 0;
}

int braid_meta_write_super(struct braid_volume *volume)
{
	unsigned int noio = memalloc_noio_save();
	int error;

	mutex_lock(&volume->meta_private->maps_lock);
	error = super_write_locked(volume);
	mutex_unlock(&volume->meta_private->maps_lock);
	memalloc_noio_restore(noio);
	return error;
}

int braid_meta_save_maps(struct braid_volume *volume)
{
	unsigned int noio = memalloc_noio_save();
	int error;

	mutex_lock(&volume->meta_private->maps_lock);
	error = braid_meta_save_maps_locked(volume);
	mutex_unlock(&volume->meta_private->maps_lock);
	memalloc_noio_restore(noio);
	return error;
}

/* ---- requests ---- */

static void request_answer(struct braid_volume *volume, struct braid_meta_request *request, int result)
{
	struct volume_event event = {
		.type = request->type == REQUEST_SUPER ? VOLUME_EVENT_SUPER_SAVED : VOLUME_EVENT_LOG_RESET,
		.node = NODE_NONE,
		.token = request->token,
		.ok = !result,
	};

	if (request->post)
		braid_engine_post(volume, &event);
	request->result = result;
	complete_all(&request->done);
	request_put(request);
}

/* One write answers every superblock request at the head of @requests, in order. */
static void save_supers(struct braid_volume *volume, struct list_head *requests)
{
	struct braid_meta *meta = volume->meta_private;
	struct braid_meta_request *request, *next;
	bool maps_first = false;
	LIST_HEAD(answered);
	int error = 0;

	list_for_each_entry_safe(request, next, requests, entry) {
		if (request->type != REQUEST_SUPER)
			break;
		maps_first |= request->maps_first;
		list_move_tail(&request->entry, &answered);
	}
	mutex_lock(&meta->maps_lock);
	if (maps_first)
		error = braid_meta_save_maps_locked(volume);
	if (!error)
		error = super_write_locked(volume);
	mutex_unlock(&meta->maps_lock);
	list_for_each_entry_safe(request, next, &answered, entry) {
		list_del(&request->entry);
		request_answer(volume, request, error);
	}
}

/* One attempt. While regions are in use the request is kept for another one. @request is in a list of the caller. */
static void reset_or_keep(struct braid_volume *volume, struct braid_meta_request *request)
{
	struct braid_meta *meta = volume->meta_private;
	u32 remaining = 0;
	int error;

	list_del(&request->entry);
	mutex_lock(&meta->maps_lock);
	error = log_reset_pass(volume, request->spell, &remaining);
	mutex_unlock(&meta->maps_lock);
	if (!error && remaining && time_before64(get_jiffies_64(), request->deadline)) {
		list_add_tail(&request->entry, &meta->resets);
		return;
	}
	if (!error && remaining)
		pr_info("braid: %s: %u regions are in use for too long -> they stay in the activity log\n",
			volume->name, remaining);
	request_answer(volume, request, error);
}

/*
 * A log reset that has to be tried again stays in meta->resets, out of the way of superblock requests: it may be such a
 * request that ends the writes that it waits for. The retry is a timer's turn, nobody sleeps.
 */
static void save_work(struct work_struct *work)
{
	struct braid_volume *volume = container_of(work, struct braid_volume, save_work);
	struct braid_meta *meta = volume->meta_private;
	unsigned int noio = memalloc_noio_save();
	struct braid_meta_request *request, *next;
	LIST_HEAD(requests);
	LIST_HEAD(resets);

	spin_lock_bh(&meta->requests_lock);
	list_splice_init(&meta->requests, &requests);
	spin_unlock_bh(&meta->requests_lock);
	list_splice_init(&meta->resets, &resets);
	list_for_each_entry_safe(request, next, &resets, entry)
		reset_or_keep(volume, request);
	while (!list_empty(&requests)) {
		request = list_first_entry(&requests, struct braid_meta_request, entry);
		if (request->type == REQUEST_SUPER)
			save_supers(volume, &requests);
		else
			reset_or_keep(volume, request);
	}
	if (!list_empty(&meta->resets) && !READ_ONCE(meta->stopping))
		mod_timer(&meta->retry_timer, jiffies + msecs_to_jiffies(RESET_RETRY_MS));
	memalloc_noio_restore(noio);
}

static void retry_timer(struct timer_list *timer)
{
	struct braid_meta *meta = container_of(timer, struct braid_meta, retry_timer);

	queue_work(meta->volume->workqueue, &meta->volume->save_work);
}

/* With @wait there is a second reference, for the caller, and no event. Process context. */
static struct braid_meta_request *request_new(enum request_type type, bool wait)
{
	struct braid_meta_request *request = kzalloc(sizeof(*request), GFP_NOIO | __GFP_NOFAIL);

	request->type = type;
	request->maps_first = true;
	request->post = !wait;
	request->deadline = get_jiffies_64() + msecs_to_jiffies(RESET_PATIENCE_MS);
	refcount_set(&request->references, wait ? 2 : 1);
	init_completion(&request->done);
	return request;
}

static void request_queue(struct braid_volume *volume, struct braid_meta_request *request)
{
	struct braid_meta *meta = volume->meta_private;

	spin_lock_bh(&meta->requests_lock);
	list_add_tail(&request->entry, &meta->requests);
	spin_unlock_bh(&meta->requests_lock);
	queue_work(volume->workqueue, &volume->save_work);
}

/* In turns: a command that waits ends when the volume is forced down meanwhile [L1]; the detach itself waits on. */
static int request_wait(struct braid_volume *volume, struct braid_meta_request *request, u32 timeout_ms)
{
	bool removing = READ_ONCE(volume->removing);
	u32 turn_ms;
	long left;
	int result;

	do {
		turn_ms = min_t(u32, timeout_ms, WAIT_TURN_MS);
		timeout_ms -= turn_ms;
		left = wait_for_completion_killable_timeout(&request->done, msecs_to_jiffies(turn_ms));
	} while (!left && timeout_ms && READ_ONCE(volume->removing) == removing);
	result = left > 0 ? request->result : left < 0 ? -EINTR : -ETIMEDOUT;
	request_put(request);
	return result;
}

void braid_meta_save_super(struct braid_volume *volume, u32 token, bool maps_first)
{
	struct braid_meta_request *request = request_new(REQUEST_SUPER, false);

	request->token = token;
	request->maps_first = maps_first;
	request_queue(volume, request);
}

void braid_meta_log_reset(struct braid_volume *volume)
{
	request_queue(volume, request_new(REQUEST_LOG_RESET, false));
}

int braid_meta_save_super_wait(struct braid_volume *volume, u32 timeout_ms)
{
	struct braid_meta_request *request = request_new(REQUEST_SUPER, true);

	request_queue(volume, request);
	return request_wait(volume, request, timeout_ms);
}

int braid_meta_log_reset_wait(struct braid_volume *volume, u64 spell, u32 timeout_ms)
{
	struct braid_meta_request *request = request_new(REQUEST_LOG_RESET, true);

	request->spell = spell;
	request_queue(volume, request);
	return request_wait(volume, request, timeout_ms);
}

/* ---- life ---- */

/* What is saved at a time at least: the index of a slot; both copies of a log part are read together. */
static int batches_alloc(struct braid_volume *volume)
{
	struct braid_meta *meta = volume->meta_private;
	u32 nr_reserved = clamp_t(u32, volume->layout.index_blocks_per_slot, 2, META_BATCH_BLOCKS);

	return braid_meta_batch_alloc(&meta->batch, nr_reserved) ||
	       braid_meta_batch_alloc(&meta->log_batch, volume->core.log.nr_parts) ? -ENOMEM : 0;
}

int braid_meta_init(struct braid_volume *volume)
{
	struct braid_meta *meta = kvzalloc(sizeof(*meta), GFP_KERNEL | __GFP_NOWARN);

	if (!meta)
		return -ENOMEM;
	meta->volume = volume;
	mutex_init(&meta->maps_lock);
	mutex_init(&meta->log_lock);
	spin_lock_init(&meta->requests_lock);
	INIT_LIST_HEAD(&meta->requests);
	INIT_LIST_HEAD(&meta->resets);
	timer_setup(&meta->retry_timer, retry_timer, 0);
	INIT_WORK(&volume->commit_work, commit_work);
	braid_hrtimer_setup(&volume->commit_timer, commit_timer);
	INIT_WORK(&volume->save_work, save_work);
	volume->meta_private = meta;
	if (batches_alloc(volume)) {
		braid_meta_free(volume);
		return -ENOMEM;
	}
	return 0;
}

/* Requests that are still queued are answered with a failure: the engine has stopped, who waits goes on. */
void braid_meta_stop(struct braid_volume *volume)
{
	struct braid_meta *meta = volume->meta_private;
	struct braid_meta_request *request, *next;

	WRITE_ONCE(meta->stopping, true);
	braid_timer_stop(&meta->retry_timer);
	cancel_work_sync(&volume->save_work);
	/* The work may have set it once more before it saw stopping. */
	braid_timer_stop(&meta->retry_timer);
	cancel_work_sync(&volume->save_work);
	cancel_work_sync(&volume->commit_work);
	hrtimer_cancel(&volume->commit_timer);	/* it does not start the timer any more */
	cancel_work_sync(&volume->commit_work);
	list_splice_tail_init(&meta->resets, &meta->requests);
	list_for_each_entry_safe(request, next, &meta->requests, entry) {
		list_del(&request->entry);
		request->post = false;
		request_answer(volume, request, -EIO);
	}
}

void braid_meta_free(struct braid_volume *volume)
{
	struct braid_meta *meta = volume->meta_private;

	if (!meta)
		return;
	/* It may have been kicked since braid_meta_stop(), to no effect. */
	hrtimer_cancel(&volume->commit_timer);
	cancel_work_sync(&volume->commit_work);
	braid_meta_batch_free(&meta->batch);
	braid_meta_batch_free(&meta->log_batch);
	volume->meta_private = NULL;
	kvfree(meta);
}
