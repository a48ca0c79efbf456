// SPDX-License-Identifier: GPL-2.0
/*
 * Resync, the side that has the data [R] [D2]: runs, one per target. Chunks: sync_chunk.c; decisions: core/resync.h, core/governor.h.
 *
 * Proof: a batch of chunks that are known to be the same is flushed at the target and here; when both flushes ended, its
 * bits are cleared, if the peer is still our target at that moment, looked at under the lock that the core changes
 * relations under, and nothing was marked for it since the data was read: a secondary that is the source of one node takes
 * writes of a primary that does not stream to that node. What a batch proves of granules larger than a chunk is carried
 * into the next until they are complete. A pass that finds nothing dirty ends the run.
 *
 * Memory: the run owns its chunks; a chunk owns its buffer. Works are queued under volume->lock and only while the run is not
 * stopped, so braid_sync_stop() can cancel them, wait for the bios and free the run. No polling: every step follows from a
 * completion, or from the timer that ends a pause of the governor while the application is busy [R3], or one for want of memory.
 * Resync frees no memory, so it takes no page of the reserve and waits for none in its works: the engine, which writes may wait
 * for, waits for these works when a run ends [L4].
 */
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/timer.h>
#include "sync_internal.h"

void braid_sync_queue(struct sync_run *run, struct work_struct *work)
{
	if (!run->stopped && !run->failed)
		queue_work(run->volume->workqueue, work);
}

void braid_sync_run_failed(struct sync_run *run)
{
	struct braid_volume *volume = run->volume;
	unsigned long flags;
	bool first;

	spin_lock_irqsave(&volume->lock, flags);
	first = !run->failed && !run->stopped;
	run->failed = true;
	spin_unlock_irqrestore(&volume->lock, flags);
	if (first)
		braid_engine_post_simple(volume, VOLUME_EVENT_RESYNC_FAILED, run->node);
}

/* ---- chunks ---- */

/* Its range is free, and it may be launched again. Under the lock. */
static void chunk_free(struct sync_chunk *chunk)
{
	struct sync_run *run = chunk->run;
	u64 now_ns = ktime_get_ns();

	braid_range_unlock(&run->volume->ranges, &chunk->range);
	chunk->state = CHUNK_FREE;
	list_add(&chunk->entry, &run->free);
	run->nr_busy--;
	run->busy_bytes -= chunk->length_bytes;
	governor_done(&run->volume->sync->governor, now_ns, chunk->length_bytes, now_ns - chunk->begun_ns);
	braid_sync_queue(run, &run->plan_work);
}

void braid_sync_chunk_skip(struct sync_chunk *chunk)
{
	chunk->run->nr_unreadable++;
	chunk_free(chunk);
}

void braid_sync_chunk_done(struct sync_chunk *chunk)
{
	struct sync_run *run = chunk->run;

	run->open.extent[run->open.nr++] = (struct resync_extent) {
		.start_bytes = chunk->offset_bytes,
		.end_bytes = chunk->offset_bytes + chunk->length_bytes,
		.marks = chunk->marks,
	};
	run->open.bytes += chunk->length_bytes;
	chunk_free(chunk);
}

/* Under the lock. */
static void range_ready(struct braid_range *range)
{
	struct sync_chunk *chunk = container_of(range, struct sync_chunk, range);

	braid_sync_chunk_owns(chunk);
	braid_sync_queue(chunk->run, &chunk->run->plan_work);
}

/* ---- proof [D2] ---- */

static int compare_extents(const void *a, const void *b)
{
	const struct resync_extent *first = a, *second = b;

	return first->start_bytes < second->start_bytes ? -1 : first->start_bytes > second->start_bytes;
}

static void proof_work(struct work_struct *work)
{
	struct sync_run *run = container_of(work, struct sync_run, proof_work);
	struct braid_volume *volume = run->volume;
	const struct generation *tail;
	struct wire_io io = { 0 };
	unsigned long flags;
	u64 id;

	spin_lock_irqsave(&volume->lock, flags);
	tail = lineage_tail(&volume->core.super.chain);
	io.generation_id = tail ? tail->id : 0;
	id = run->proof_id;
	spin_unlock_irqrestore(&volume->lock, flags);
	braid_send_io(volume, run->node, WIRE_FLUSH, 0, id, &io, NULL, LANE_AT_ONCE);
	if (braid_meta_flush_data(volume)) {
		braid_sync_run_failed(run);
		return;
	}
	spin_lock_irqsave(&volume->lock, flags);
	run->proof_here = true;
	braid_sync_queue(run, &run->plan_work);
	spin_unlock_irqrestore(&volume->lock, flags);
}

/* Both flushes ended. Under the lock; the batch is sorted. */
static void clear_proven(struct sync_run *run, struct volume_peer *peer)
{
	struct sync_batch *batch = &run->proving;
	u64 cleared = resync_prove(&peer->map, batch->extent, &batch->nr);
	u32 i;

	run->volume->core.resync_clears += cleared;
	run->cleared_in_pass += cleared;
	for (i = 0; i < batch->nr && run->open.nr_carried < SYNC_CARRIED_MAX &&
	     run->open.nr + run->nr_busy < SYNC_BATCH_EXTENTS; i++) {
		run->open.extent[run->open.nr++] = batch->extent[i];
		run->open.nr_carried++;
	}
	batch->nr = 0;
	batch->nr_carried = 0;
	batch->bytes = 0;
	run->proof_active = false;
}

/* Under the lock. */
static void proof_begin(struct sync_run *run)
{
	swap(run->open, run->proving);
	run->proof_active = true;
	run->proof_here = false;
	run->proof_there = false;
	run->proof_id = braid_request_id(run->volume, BRAID_REQUEST_RESYNC);
	run->proved_at = jiffies;
	braid_sync_queue(run, &run->proof_work);
}

/* ---- plan ---- */

void braid_sync_again(struct braid_sync *sync, u64 wait_ns)
{
	unsigned long at = jiffies + max_t(unsigned long, nsecs_to_jiffies(wait_ns), 1);

	if (!timer_pending(&sync->timer) || time_before(at, sync->timer.expires))
		mod_timer(&sync->timer, at);
}

/* What may be launched now; 0: nothing. Under the lock. */
static u32 granted_bytes(struct sync_run *run)
{
	struct braid_volume *volume = run->volume;
	struct governor_grant grant;

	if (list_empty(&run->free) || run->open.nr + run->nr_busy >= SYNC_BATCH_EXTENTS)
		return 0;
	grant = governor_ask(&volume->sync->governor, ktime_get_ns(), volume->core.in_flight, run->busy_bytes,
				    volume->sync->nr_runs);
	if (grant.wait_ns)
		braid_sync_again(volume->sync, grant.wait_ns);
	return grant.chunk_bytes;
}

/* Nothing but what cannot be read here is left: it is tried again from time to time. Under the lock. */
static bool pausing(struct sync_run *run)
{
	if (!run->pausing)
		return false;
	if (time_before(jiffies, run->paused_until)) {
		braid_sync_again(run->volume->sync, jiffies_to_nsecs(run->paused_until - jiffies));
		return true;
	}
	run->pausing = false;
	return false;
}

/* Launch what the governor permits [R3]. Under the lock. */
static void launch(struct sync_run *run, struct volume_peer *peer)
{
	struct braid_volume *volume = run->volume;
	u32 chunk_bytes;

	if (pausing(run))
		return;
	while (!run->at_end && (chunk_bytes = granted_bytes(run))) {
		struct sync_chunk *chunk = list_first_entry(&run->free, struct sync_chunk, entry);
		u64 start_bytes, length_bytes;

		if (run->cursor_bytes >= volume->core.super.volume_bytes ||
		    !dirty_next(&peer->map, run->cursor_bytes, chunk_bytes, &start_bytes, &length_bytes)) {
			run->at_end = true;
			return;
		}
		run->cursor_bytes = start_bytes + length_bytes;
		list_del_init(&chunk->entry);
		chunk->offset_bytes = start_bytes;
		chunk->length_bytes = (u32)length_bytes;
		chunk->state = CHUNK_RANGE;
		run->nr_busy++;
		run->busy_bytes += chunk->length_bytes;
		governor_launched(&volume->sync->governor, chunk->length_bytes);
		if (braid_range_lock(&volume->ranges, &chunk->range, start_bytes, length_bytes, range_ready))
			braid_sync_chunk_owns(chunk);
	}
}

/* Time for a proof? Under the lock. */
static bool proof_due(const struct sync_run *run)
{
	if (run->proof_active || run->open.nr == run->open.nr_carried)
		return false;
	return run->open.nr + run->nr_busy >= SYNC_BATCH_EXTENTS || run->open.bytes >= SYNC_BATCH_BYTES ||
	       (run->at_end && !run->nr_busy) || time_after(jiffies, run->proved_at + SYNC_BATCH_SECONDS * HZ);
}

/* Everything of this pass is proven. True: another pass. Under the lock. */
static bool pass_ended(struct sync_run *run, const struct volume_peer *peer, bool *fruitless)
{
	if (!peer->map.nr_set) {
		run->dry = true;
		return false;
	}
	run->pausing = run->nr_unreadable && !run->cleared_in_pass;
	run->paused_until = jiffies + msecs_to_jiffies(SYNC_UNREADABLE_TURN_MS);
	run->fruitless_passes = run->cleared_in_pass || run->pausing ? 0 : run->fruitless_passes + 1;
	*fruitless = run->fruitless_passes > SYNC_FRUITLESS_PASSES_MAX;
	run->cleared_in_pass = 0;
	run->nr_unreadable = 0;
	run->cursor_bytes = 0;
	run->at_end = false;
	run->open.nr = 0;	/* parts of granules whose rest this pass did not reach */
	run->open.nr_carried = 0;
	return !*fruitless;
}

/* Under the lock. False: the run has ended or waits for its end. */
static bool plan_locked(struct sync_run *run, bool *fruitless)
{
	struct volume_peer *peer = volume_peer(&run->volume->core, run->node);

	if (run->stopped || run->failed || run->dry || !peer || peer->relation != VOLUME_TARGET)
		return false;
	if (run->proof_active && run->proof_here && run->proof_there)
		clear_proven(run, peer);
	do {
		launch(run, peer);
		if (proof_due(run))
			proof_begin(run);
	} while (run->at_end && !run->nr_busy && run->open.nr == run->open.nr_carried && !run->proof_active &&
		 pass_ended(run, peer, fruitless));
	return !run->dry && !*fruitless;
}

static void plan_work(struct work_struct *work)
{
	struct sync_run *run = container_of(work, struct sync_run, plan_work);
	struct braid_volume *volume = run->volume;
	bool fruitless = false, was_dry, save, sort_wanted;
	unsigned long flags;

	spin_lock_irqsave(&volume->lock, flags);
	sort_wanted = run->proof_active && run->proof_here && run->proof_there;
	spin_unlock_irqrestore(&volume->lock, flags);
	if (sort_wanted)	/* nobody else touches a batch that is being proven */
		sort(run->proving.extent, run->proving.nr, sizeof(struct resync_extent), compare_extents, NULL);

	spin_lock_irqsave(&volume->lock, flags);
	if (!sort_wanted && run->proof_active && run->proof_here && run->proof_there) {
		braid_sync_queue(run, &run->plan_work);	/* proven just now: sort first */
		spin_unlock_irqrestore(&volume->lock, flags);
		return;
	}
	was_dry = run->dry;
	plan_locked(run, &fruitless);
	save = run->dry != was_dry || (sort_wanted && time_after(jiffies, run->saved_at + HZ));
	spin_unlock_irqrestore(&volume->lock, flags);
	if (fruitless) {	/* [R5] */
		braid_sync_run_failed(run);
		return;
	}
	braid_sync_read_chunks(run);
	if (!save)
		return;
	run->saved_at = jiffies;
	if (braid_meta_save_maps(volume))
		return;		/* the disk has failed, which the core learns from there */
	if (run->dry && !was_dry)
		braid_engine_post_simple(volume, VOLUME_EVENT_RESYNC_DRY, run->node);
}

/* ---- answers ---- */

static int differs_arrived(struct braid_volume *volume, u8 node, u64 id, const struct wire_resync *resync)
{
	struct sync_chunk *chunk = NULL;
	struct sync_run *run;
	unsigned long flags;
	bool failed = false;
	int result = 0;

	spin_lock_irqsave(&volume->lock, flags);
	run = volume->sync->run[node];
	if (run)
		chunk = braid_sync_answered(run, id, CHUNK_DIGESTS);
	if (!chunk) {
		spin_unlock_irqrestore(&volume->lock, flags);
		return 0;	/* of a run that ended */
	}
	if (resync->offset_bytes != chunk->offset_bytes || resync->length_bytes != chunk->length_bytes ||
	    (u64)resync->pieces >> (chunk->length_bytes / RESYNC_PIECE_BYTES)) {
		result = -EPROTO;
	} else if (resync->error) {
		failed = !run->failed;
		run->failed = true;
	} else {
		u32 differ = hweight32(resync->pieces);

		resync_compare_result(&run->compare, chunk->length_bytes / RESYNC_PIECE_BYTES, differ);
		volume->count.resync_equal_bytes += chunk->length_bytes - differ * RESYNC_PIECE_BYTES;
		chunk->pieces = resync->pieces;
		if (differ) {
			chunk->state = CHUNK_SEND;
			braid_sync_chunk_ready(chunk);
		} else {
			braid_buffer_put(chunk->buffer);
			chunk->buffer = NULL;
			braid_sync_chunk_done(chunk);
		}
	}
	spin_unlock_irqrestore(&volume->lock, flags);
	if (failed)
		braid_engine_post_simple(volume, VOLUME_EVENT_RESYNC_FAILED, node);
	return result;
}

void braid_sync_acks(struct braid_volume *volume, u8 node, u64 request_id, bool failed)
{
	struct sync_chunk *chunk = NULL;
	struct sync_run *run;
	bool report = false;
	unsigned long flags;

	spin_lock_irqsave(&volume->lock, flags);
	run = volume->sync->run[node];
	if (run && run->proof_active && run->proof_id == request_id) {
		report = failed;
		run->proof_there = !failed;
		if (!failed)
			braid_sync_queue(run, &run->plan_work);
	} else if (run) {
		chunk = braid_sync_answered(run, request_id, CHUNK_DATA);
	}
	if (chunk) {
		report = failed;
		if (!failed && !chunk->nr_waiting)
			braid_sync_chunk_done(chunk);
	}
	if (report)
		run->failed = true;
	spin_unlock_irqrestore(&volume->lock, flags);
	if (report)
		braid_engine_post_simple(volume, VOLUME_EVENT_PEER_IO_FAILED, node);
}

int braid_sync_frame(struct braid_volume *volume, u8 node, unsigned int lane, const struct wire_header *header,
		     const union wire_body *body, struct braid_buffer *payload)
{
	if (header->type != WIRE_DIFFERS)
		return braid_sync_target_frame(volume, node, lane, header, &body->resync, payload);
	braid_buffer_put(payload);
	return differs_arrived(volume, node, header->request_id, &body->resync);
}

u32 braid_sync_busy_nodes(const struct braid_volume *volume)
{
	u32 node, nodes = 0;

	for (node = 0; node < NODES_MAX; node++)
		if (volume->sync->run[node] && volume->sync->run[node]->nr_busy)
			nodes |= NODE_BIT(node);
	return nodes;
}

/* ---- what the application feels [R3] ---- */

u64 braid_sync_io_begin(const struct braid_volume *volume)
{
	return READ_ONCE(volume->sync->nr_runs) ? ktime_get_ns() : 0;
}

/* Every run asks the governor again. Under the lock. */
static void kick_runs(struct braid_sync *sync)
{
	u8 node;

	for (node = 0; node < NODES_MAX; node++)
		if (sync->run[node])
			braid_sync_queue(sync->run[node], &sync->run[node]->plan_work);
}

void braid_sync_io_end(struct braid_volume *volume, u64 begun_ns)
{
	if (volume->sync->nr_runs && governor_io(&volume->sync->governor, ktime_get_ns(), begun_ns))
		kick_runs(volume->sync);
}

static void ask_again(struct timer_list *timer)
{
	struct braid_sync *sync = from_timer(sync, timer, timer);
	unsigned long flags;

	spin_lock_irqsave(&sync->volume->lock, flags);
	kick_runs(sync);
	spin_unlock_irqrestore(&sync->volume->lock, flags);
}

/* ---- life ---- */

static struct sync_run *run_alloc(struct braid_volume *volume, u8 node)
{
	const gfp_t gfp = GFP_NOIO | __GFP_NOFAIL | __GFP_ZERO;
	struct sync_run *run = kmalloc(sizeof(*run), gfp);
	u32 i;

	run->chunk = kvmalloc_array(SYNC_CHUNKS, sizeof(run->chunk[0]), gfp);
	run->open.extent = kvmalloc_array(SYNC_BATCH_EXTENTS, sizeof(struct resync_extent), gfp);
	run->proving.extent = kvmalloc_array(SYNC_BATCH_EXTENTS, sizeof(struct resync_extent), gfp);
	run->volume = volume;
	run->node = node;
	run->saved_at = jiffies;
	run->proved_at = jiffies;
	get_random_bytes(&run->key, sizeof(run->key));
	INIT_WORK(&run->plan_work, plan_work);
	INIT_WORK(&run->proof_work, proof_work);
	INIT_LIST_HEAD(&run->free);
	INIT_LIST_HEAD(&run->reads);
	INIT_LIST_HEAD(&run->ready);
	run->nr_senders = min_t(u32, SYNC_SENDERS_MAX, num_online_cpus());
	for (i = 0; i < run->nr_senders; i++)
		braid_sync_sender_init(run, &run->sender[i]);
	for (i = 0; i < SYNC_CHUNKS; i++) {
		struct sync_chunk *chunk = &run->chunk[i];

		chunk->run = run;
		chunk->wait[0].chunk = chunk;
		chunk->wait[1].chunk = chunk;
		list_add_tail(&chunk->entry, &run->free);
	}
	return run;
}

static void run_free(struct sync_run *run)
{
	u32 i;

	for (i = 0; i < SYNC_CHUNKS; i++)
		braid_buffer_put(run->chunk[i].buffer);
	kvfree(run->proving.extent);
	kvfree(run->open.extent);
	kvfree(run->chunk);
	kfree(run);
}

void braid_sync_start(struct braid_volume *volume, u8 node)
{
	struct sync_run *run;
	unsigned long flags;

	braid_sync_stop(volume, node);
	run = run_alloc(volume, node);
	spin_lock_irqsave(&volume->lock, flags);
	if (!volume->sync->nr_runs++)
		governor_init(&volume->sync->governor);
	volume->sync->run[node] = run;
	braid_sync_queue(run, &run->plan_work);
	spin_unlock_irqrestore(&volume->lock, flags);
}

/*
 * Takes the run off, so that nothing is queued for it any more. True: data is on its way to a target that is still
 * connected; without the range lock, an application write could be overtaken by it. Under the lock.
 */
static bool run_detach(struct sync_run *run)
{
	struct braid_sync *sync = run->volume->sync;
	struct volume_peer *peer = volume_peer(&run->volume->core, run->node);
	bool data_out = false;
	u32 i;

	run->stopped = true;
	sync->run[run->node] = NULL;
	sync->nr_runs--;
	governor_dropped(&sync->governor, ktime_get_ns(), run->busy_bytes);
	for (i = 0; i < SYNC_CHUNKS; i++) {
		data_out |= run->chunk[i].state == CHUNK_DATA;
		braid_range_unlock(&run->volume->ranges, &run->chunk[i].range);
	}
	return data_out && peer && peer->up;
}

static bool nothing_read(struct sync_run *run)
{
	unsigned long flags;
	bool nothing;

	spin_lock_irqsave(&run->volume->lock, flags);
	nothing = !run->nr_reading;
	spin_unlock_irqrestore(&run->volume->lock, flags);
	return nothing;
}

void braid_sync_stop(struct braid_volume *volume, u8 node)
{
	struct sync_run *run;
	unsigned long flags;
	bool data_out = false;
	u32 i;

	spin_lock_irqsave(&volume->lock, flags);
	run = volume->sync->run[node];
	if (run)
		data_out = run_detach(run);
	spin_unlock_irqrestore(&volume->lock, flags);
	if (!run)
		return;
	if (data_out && braid_session_is_open(volume->bn, node))
		braid_session_end(volume->bn, node, WIRE_BYE_STUCK);
	cancel_work_sync(&run->plan_work);
	cancel_work_sync(&run->proof_work);
	/* Reads under way belong to the disk's driver, which bounds the wait. */
	wait_event(volume->changed, nothing_read(run));
	for (i = 0; i < run->nr_senders; i++)
		cancel_work_sync(&run->sender[i].work);
	run_free(run);
}

int braid_sync_init(struct braid_volume *volume)
{
	struct braid_sync *sync = kzalloc(sizeof(*sync), GFP_KERNEL);

	if (!sync)
		return -ENOMEM;
	sync->volume = volume;
	timer_setup(&sync->timer, ask_again, 0);
	volume->sync = sync;
	return 0;
}

void braid_sync_free(struct braid_volume *volume)
{
	u8 node;

	if (!volume->sync)
		return;
	for (node = 0; node < NODES_MAX; node++)
		braid_sync_stop(volume, node);
	braid_timer_stop(&volume->sync->timer);
	kfree(volume->sync);
	volume->sync = NULL;
}
