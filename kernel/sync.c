// SPDX-License-Identifier: GPL-2.0
/*
 * Resync, the side that has the data [R] [D2]. One run per target.
 *
 * Life of a chunk (up to RESYNC_CHUNK_BYTES of a dirty run):
 *
 *   FREE -> RANGE (waits for writes of that range) -> READ (work reads and sends digests) -> DIGESTS (waits for
 *   DIFFERS) -> equal, or SEND (work sends the pieces) -> DATA (waits for their acknowledgement) -> into the open batch
 *
 * The range lock is held from READ to the end, so no application write can be overtaken by older data [R1] [I15].
 *
 * Proof: a batch of chunks that are known to be the same is flushed at the target and here; when both flushes ended, its
 * bits are cleared, if the peer is still our target at that moment, looked at under the lock that the core changes
 * relations under, and nothing was marked for it since the data was read: a secondary that is the source of one node takes
 * writes of a primary that does not stream to that node. A granule larger than a chunk is cleared when its chunks are
 * neighbours in one batch; what remains at the seams of batches is done again in the next pass. A pass that finds nothing
 * dirty ends the run.
 *
 * Memory: the run owns its chunks; a chunk owns its buffer between READ and SEND. Works are queued under volume->lock and
 * only while the run is not stopped, so braid_sync_stop() can cancel them and free the run. No polling: every
 * step follows from a completion.
 */
#include <linux/random.h>
#include <linux/siphash.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/string.h>
#include "data_path.h"

enum sync_limits {
	WINDOW_MIN = 2,		/* while applications write [R3] */
	WINDOW_START = 8,
	WINDOW_MAX = 32,
	BATCH_CHUNKS = 256,	/* 32 MiB of full chunks: what one proof covers */
	FRUITLESS_PASSES_MAX = 8,
};

enum chunk_state {
	CHUNK_FREE,
	CHUNK_RANGE,
	CHUNK_READ,
	CHUNK_DIGESTS,
	CHUNK_SEND,
	CHUNK_DATA,
};

struct sync_chunk {
	struct sync_run *run;
	struct braid_range range;
	struct work_struct work;
	struct braid_buffer *buffer;
	u64 offset_bytes;
	u64 marks;		/* of the peer's map, before the data was read */
	u32 length_bytes;
	u32 pieces;		/* that differ */
	u64 id[2];		/* of the frames out; the first is that of the digests as well */
	u32 waiting;		/* mask of id[] not acknowledged */
	u8 state;		/* enum chunk_state */
};

struct sync_extent {
	u64 start_bytes;
	u64 end_bytes;
	u64 marks;
};

struct sync_batch {
	struct sync_extent *extent;	/* BATCH_CHUNKS */
	u32 nr;
};

struct sync_run {
	struct braid_volume *volume;
	u8 node;
	bool stopped, failed, dry;
	bool at_end;		/* nothing dirty at or after cursor in this pass */
	u64 cursor_bytes;
	u32 window;
	u32 nr_busy;		/* chunks not FREE */
	u32 fruitless_passes;
	u64 cleared_in_pass;
	siphash_key_t key;
	struct work_struct plan_work, proof_work;
	struct sync_batch open, proving;
	u64 proof_id;
	bool proof_active, proof_here, proof_there;
	unsigned long saved_at;	/* jiffies of the last save of the maps */
	struct sync_chunk *chunk;	/* WINDOW_MAX */
};

struct braid_sync {
	struct bio_set bio_set;
	struct sync_run *run[NODES_MAX];	/* under volume->lock */
};

/* Under volume->lock. */
static void queue_run(struct sync_run *run, struct work_struct *work)
{
	if (!run->stopped && !run->failed)
		queue_work(run->volume->workqueue, work);
}

/* The run cannot go on; the core ends it. Not under the lock. */
static void run_failed(struct sync_run *run)
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

/* The target has this content. Under the lock. */
static void chunk_done(struct sync_chunk *chunk)
{
	struct sync_run *run = chunk->run;
	struct volume *core = &run->volume->core;

	run->open.extent[run->open.nr++] = (struct sync_extent) {
		.start_bytes = chunk->offset_bytes,
		.end_bytes = chunk->offset_bytes + chunk->length_bytes,
		.marks = chunk->marks,
	};
	braid_range_unlock(&run->volume->ranges, &chunk->range);
	chunk->state = CHUNK_FREE;
	run->nr_busy--;
	run->window = core->in_flight ? WINDOW_MIN : min_t(u32, run->window * 2, WINDOW_MAX);
	queue_run(run, &run->plan_work);
}

/* Under the lock. */
static void chunk_range_ready(struct braid_range *range)
{
	struct sync_chunk *chunk = container_of(range, struct sync_chunk, range);
	const struct volume_peer *peer = volume_peer_const(&chunk->run->volume->core, chunk->run->node);

	chunk->marks = peer ? peer->map.nr_marks : 0;
	chunk->state = CHUNK_READ;
	queue_run(chunk->run, &chunk->work);
}

/* Enter the state that waits for answers to @nr frames. False: the run is stopped, nothing may be sent. */
static bool chunk_expect(struct sync_chunk *chunk, enum chunk_state state, u32 nr)
{
	struct sync_run *run = chunk->run;
	unsigned long flags;
	bool go;
	u32 i;

	spin_lock_irqsave(&run->volume->lock, flags);
	go = !run->stopped && !run->failed;
	if (go) {
		chunk->state = state;
		chunk->waiting = (1u << nr) - 1;
		for (i = 0; i < nr; i++)
			chunk->id[i] = braid_request_id(run->volume, true);
	}
	spin_unlock_irqrestore(&run->volume->lock, flags);
	return go;
}

static void chunk_read(struct sync_chunk *chunk)
{
	struct sync_run *run = chunk->run;
	struct braid_volume *volume = run->volume;
	struct wire_resync resync = {
		.offset_bytes = chunk->offset_bytes,
		.length_bytes = chunk->length_bytes,
		.key = { run->key.key[0], run->key.key[1] },
	};
	u32 piece;

	chunk->buffer = braid_buffer_alloc(chunk->length_bytes, GFP_NOIO);
	if (braid_local_wait(volume, &volume->sync->bio_set, REQ_OP_READ, chunk->buffer, 0, chunk->offset_bytes,
			     chunk->length_bytes)) {
		run_failed(run);
		return;
	}
	for (piece = 0; piece < chunk->length_bytes / RESYNC_PIECE_BYTES; piece++) {
		void *data = braid_map_piece(chunk->buffer, piece);

		resync.digest[piece] = siphash(data, RESYNC_PIECE_BYTES, &run->key);
		kunmap_local(data);
	}
	/* Not sent: the session is gone, PEER_DOWN ends the run. */
	if (chunk_expect(chunk, CHUNK_DIGESTS, 1))
		braid_send_resync(volume, run->node, WIRE_DIGESTS, 0, chunk->id[0], &resync, NULL);
}

static u32 zero_pieces(const struct braid_buffer *buffer, u32 pieces)
{
	u32 piece, zero = 0;

	for (piece = 0; piece < RESYNC_CHUNK_PIECES; piece++) {
		void *data;

		if (!(pieces >> piece & 1))
			continue;
		data = braid_map_piece(buffer, piece);
		if (!memchr_inv(data, 0, RESYNC_PIECE_BYTES))
			zero |= 1u << piece;
		kunmap_local(data);
	}
	return zero;
}

/* A buffer with only the pieces in the mask, checksummed for the frame. */
static struct braid_buffer *gather(const struct braid_buffer *from, u32 pieces)
{
	struct braid_buffer *buffer = braid_buffer_alloc(hweight32(pieces) * RESYNC_PIECE_BYTES, GFP_NOIO);
	u32 piece, nr = 0;

	for (piece = 0; piece < RESYNC_CHUNK_PIECES; piece++) {
		void *source, *target;

		if (!(pieces >> piece & 1))
			continue;
		source = braid_map_piece(from, piece);
		target = braid_map_piece(buffer, nr++);
		memcpy(target, source, RESYNC_PIECE_BYTES);
		kunmap_local(target);
		kunmap_local(source);
	}
	buffer->crc = braid_buffer_crc(buffer, 0, buffer->length_bytes);
	return buffer;
}

static void chunk_send(struct sync_chunk *chunk)
{
	struct sync_run *run = chunk->run;
	struct braid_volume *volume = run->volume;
	u32 zero = zero_pieces(chunk->buffer, chunk->pieces);
	u32 data = chunk->pieces & ~zero;
	struct braid_buffer *payload = data ? gather(chunk->buffer, data) : NULL;
	struct wire_resync resync = {
		.offset_bytes = chunk->offset_bytes,
		.length_bytes = chunk->length_bytes,
	};
	u64 id[2];
	bool go;

	braid_buffer_put(chunk->buffer);
	chunk->buffer = NULL;
	go = chunk_expect(chunk, CHUNK_DATA, (zero != 0) + (data != 0));
	/* While one frame is not sent yet, its acknowledgement is outstanding and the chunk stays ours. */
	id[0] = chunk->id[0];
	id[1] = chunk->id[data != 0];
	if (go && data) {
		resync.pieces = data;
		braid_send_resync(volume, run->node, WIRE_RESYNC_DATA, 0, id[0], &resync, payload);
	}
	if (go && zero) {	/* [R4] */
		resync.pieces = zero;
		braid_send_resync(volume, run->node, WIRE_RESYNC_DATA, WIRE_ZERO_PIECES, id[1], &resync, NULL);
	}
	braid_buffer_put(payload);
}

static void chunk_work(struct work_struct *work)
{
	struct sync_chunk *chunk = container_of(work, struct sync_chunk, work);

	if (READ_ONCE(chunk->state) == CHUNK_READ)
		chunk_read(chunk);
	else if (READ_ONCE(chunk->state) == CHUNK_SEND)
		chunk_send(chunk);
}

/* ---- proof [D2] ---- */

static int compare_extents(const void *a, const void *b)
{
	const struct sync_extent *first = a, *second = b;

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
	braid_send_io(volume, run->node, WIRE_FLUSH, 0, id, &io, NULL, true);
	if (braid_meta_flush_data(volume)) {
		run_failed(run);
		return;
	}
	spin_lock_irqsave(&volume->lock, flags);
	run->proof_here = true;
	queue_run(run, &run->plan_work);
	spin_unlock_irqrestore(&volume->lock, flags);
}

/* Both flushes ended. Under the lock; the batch is sorted. */
static void clear_proven(struct sync_run *run, struct volume_peer *peer)
{
	struct sync_batch *batch = &run->proving;
	u64 cleared = 0;
	u32 i = 0;

	while (i < batch->nr) {
		struct sync_extent whole = batch->extent[i++];

		while (i < batch->nr && batch->extent[i].start_bytes <= whole.end_bytes) {
			whole.end_bytes = max(whole.end_bytes, batch->extent[i].end_bytes);
			whole.marks = min(whole.marks, batch->extent[i].marks);
			i++;
		}
		cleared += dirty_clear_proven(&peer->map, whole.start_bytes, whole.end_bytes - whole.start_bytes,
					      whole.marks);
	}
	run->volume->core.resync_clears += cleared;
	run->cleared_in_pass += cleared;
	batch->nr = 0;
	run->proof_active = false;
}

/* Under the lock. */
static void proof_begin(struct sync_run *run)
{
	swap(run->open, run->proving);
	run->proof_active = true;
	run->proof_here = false;
	run->proof_there = false;
	run->proof_id = braid_request_id(run->volume, true);
	queue_run(run, &run->proof_work);
}

/* ---- plan ---- */

static struct sync_chunk *free_chunk(struct sync_run *run)
{
	u32 i;

	for (i = 0; i < WINDOW_MAX; i++)
		if (run->chunk[i].state == CHUNK_FREE)
			return &run->chunk[i];
	return NULL;
}

/* Fill the window. Under the lock. */
static void launch(struct sync_run *run, struct volume_peer *peer)
{
	struct braid_volume *volume = run->volume;

	while (!run->at_end && run->nr_busy < run->window && run->open.nr + run->nr_busy < BATCH_CHUNKS) {
		struct sync_chunk *chunk = free_chunk(run);
		u64 start_bytes, length_bytes;

		if (!chunk)
			return;
		if (run->cursor_bytes >= volume->core.super.volume_bytes ||
		    !dirty_next(&peer->map, run->cursor_bytes, RESYNC_CHUNK_BYTES, &start_bytes, &length_bytes)) {
			run->at_end = true;
			return;
		}
		run->cursor_bytes = start_bytes + length_bytes;
		chunk->offset_bytes = start_bytes;
		chunk->length_bytes = (u32)length_bytes;
		chunk->state = CHUNK_RANGE;
		run->nr_busy++;
		if (braid_range_lock(&volume->ranges, &chunk->range, start_bytes, length_bytes, chunk_range_ready))
			chunk_range_ready(&chunk->range);
	}
}

/* Everything of this pass is proven. True: another pass. Under the lock. */
static bool pass_ended(struct sync_run *run, const struct volume_peer *peer, bool *fruitless)
{
	if (!peer->map.nr_set) {
		run->dry = true;
		return false;
	}
	run->fruitless_passes = run->cleared_in_pass ? 0 : run->fruitless_passes + 1;
	*fruitless = run->fruitless_passes > FRUITLESS_PASSES_MAX;
	run->cleared_in_pass = 0;
	run->cursor_bytes = 0;
	run->at_end = false;
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
		if (!run->proof_active && run->open.nr &&
		    (run->open.nr + run->nr_busy >= BATCH_CHUNKS || (run->at_end && !run->nr_busy)))
			proof_begin(run);
	} while (run->at_end && !run->nr_busy && !run->open.nr && !run->proof_active &&
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
		sort(run->proving.extent, run->proving.nr, sizeof(struct sync_extent), compare_extents, NULL);

	spin_lock_irqsave(&volume->lock, flags);
	if (!sort_wanted && run->proof_active && run->proof_here && run->proof_there) {
		queue_run(run, &run->plan_work);	/* proven just now: sort first */
		spin_unlock_irqrestore(&volume->lock, flags);
		return;
	}
	was_dry = run->dry;
	plan_locked(run, &fruitless);
	save = run->dry != was_dry || (sort_wanted && time_after(jiffies, run->saved_at + HZ));
	spin_unlock_irqrestore(&volume->lock, flags);
	if (fruitless) {	/* [R5] */
		run_failed(run);
		return;
	}
	if (!save)
		return;
	run->saved_at = jiffies;
	if (braid_meta_save_maps(volume))
		return;		/* the disk has failed, which the core learns from there */
	if (run->dry && !was_dry)
		braid_engine_post_simple(volume, VOLUME_EVENT_RESYNC_DRY, run->node);
}

/* ---- answers ---- */

static struct sync_chunk *find_chunk(struct sync_run *run, u64 id, enum chunk_state state, u32 *index)
{
	u32 i, j;

	for (i = 0; i < WINDOW_MAX; i++) {
		struct sync_chunk *chunk = &run->chunk[i];

		for (j = 0; chunk->state == state && j < ARRAY_SIZE(chunk->id); j++) {
			if (!(chunk->waiting >> j & 1) || chunk->id[j] != id)
				continue;
			*index = j;
			return chunk;
		}
	}
	return NULL;
}

static int differs_arrived(struct braid_volume *volume, u8 node, u64 id, const struct wire_resync *resync)
{
	struct sync_chunk *chunk = NULL;
	struct sync_run *run;
	unsigned long flags;
	bool failed = false;
	int result = 0;
	u32 index;

	spin_lock_irqsave(&volume->lock, flags);
	run = volume->sync->run[node];
	if (run)
		chunk = find_chunk(run, id, CHUNK_DIGESTS, &index);
	if (!chunk) {
		spin_unlock_irqrestore(&volume->lock, flags);
		return 0;	/* of a run that ended */
	}
	chunk->waiting = 0;
	if (resync->offset_bytes != chunk->offset_bytes || resync->length_bytes != chunk->length_bytes ||
	    (u64)resync->pieces >> (chunk->length_bytes / RESYNC_PIECE_BYTES)) {
		result = -EPROTO;
	} else if (resync->error) {
		failed = !run->failed;
		run->failed = true;
	} else {
		u32 sent_bytes = hweight32(resync->pieces) * RESYNC_PIECE_BYTES;

		volume->count.resync_sent_bytes += sent_bytes;
		volume->count.resync_equal_bytes += chunk->length_bytes - sent_bytes;
		chunk->pieces = resync->pieces;
		if (sent_bytes) {
			chunk->state = CHUNK_SEND;
			queue_run(run, &chunk->work);
		} else {
			braid_buffer_put(chunk->buffer);
			chunk->buffer = NULL;
			chunk_done(chunk);
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
	u32 index;

	spin_lock_irqsave(&volume->lock, flags);
	run = volume->sync->run[node];
	if (run && run->proof_active && run->proof_id == request_id) {
		report = failed;
		run->proof_there = !failed;
		if (!failed)
			queue_run(run, &run->plan_work);
	} else if (run) {
		chunk = find_chunk(run, request_id, CHUNK_DATA, &index);
	}
	if (chunk) {
		report = failed;
		if (!failed) {
			chunk->waiting &= ~(1u << index);
			if (!chunk->waiting)
				chunk_done(chunk);
		}
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

/* ---- life ---- */

void braid_sync_start(struct braid_volume *volume, u8 node)
{
	const gfp_t gfp = GFP_NOIO | __GFP_NOFAIL | __GFP_ZERO;
	struct sync_run *run;
	unsigned long flags;
	u32 i;

	braid_sync_stop(volume, node);
	run = kmalloc(sizeof(*run), gfp);
	run->chunk = kmalloc_array(WINDOW_MAX, sizeof(run->chunk[0]), gfp);
	run->open.extent = kmalloc_array(BATCH_CHUNKS, sizeof(struct sync_extent), gfp);
	run->proving.extent = kmalloc_array(BATCH_CHUNKS, sizeof(struct sync_extent), gfp);
	run->volume = volume;
	run->node = node;
	run->window = WINDOW_START;
	run->saved_at = jiffies;
	get_random_bytes(&run->key, sizeof(run->key));
	INIT_WORK(&run->plan_work, plan_work);
	INIT_WORK(&run->proof_work, proof_work);
	for (i = 0; i < WINDOW_MAX; i++) {
		run->chunk[i].run = run;
		INIT_WORK(&run->chunk[i].work, chunk_work);
	}
	spin_lock_irqsave(&volume->lock, flags);
	volume->sync->run[node] = run;
	queue_run(run, &run->plan_work);
	spin_unlock_irqrestore(&volume->lock, flags);
}

/*
 * Takes the run off, so that nothing is queued for it any more. True: data is on its way to a target that is still
 * connected; without the range lock, an application write could be overtaken by it. Under the lock.
 */
static bool run_detach(struct sync_run *run)
{
	struct volume_peer *peer = volume_peer(&run->volume->core, run->node);
	bool data_out = false;
	u32 i;

	run->stopped = true;
	run->volume->sync->run[run->node] = NULL;
	for (i = 0; i < WINDOW_MAX; i++) {
		data_out |= run->chunk[i].state == CHUNK_DATA;
		braid_range_unlock(&run->volume->ranges, &run->chunk[i].range);
	}
	return data_out && peer && peer->up;
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
	for (i = 0; i < WINDOW_MAX; i++) {
		cancel_work_sync(&run->chunk[i].work);
		braid_buffer_put(run->chunk[i].buffer);
	}
	kfree(run->proving.extent);
	kfree(run->open.extent);
	kfree(run->chunk);
	kfree(run);
}

int braid_sync_init(struct braid_volume *volume)
{
	struct braid_sync *sync = kzalloc(sizeof(*sync), GFP_KERNEL);

	if (!sync)
		return -ENOMEM;
	if (bioset_init(&sync->bio_set, WINDOW_MAX, 0, BIOSET_NEED_BVECS)) {
		kfree(sync);
		return -ENOMEM;
	}
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
	bioset_exit(&volume->sync->bio_set);
	kfree(volume->sync);
	volume->sync = NULL;
}
