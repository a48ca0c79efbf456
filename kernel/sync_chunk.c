// SPDX-License-Identifier: GPL-2.0
/*
 * One chunk of a resync at its source: read, compare or send [R1] [R4] [D4]; its life is in sync_internal.h.
 *
 * Reads are bios that end in interrupts; what follows (checksums, digests, frames) is done by a few works that take
 * chunks off one list, so that many small chunks cost one run of a work.
 */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/hash.h>
#include <linux/ktime.h>
#include <linux/string.h>
#include "sync_internal.h"

static u32 all_pieces(const struct sync_chunk *chunk)
{
	return (u32)(~0ull >> (64 - chunk->length_bytes / RESYNC_PIECE_BYTES));
}

static struct hlist_head *waiting_head(struct sync_run *run, u64 id)
{
	return &run->waiting[hash_64(id, ilog2(SYNC_ID_BUCKETS))];
}

struct sync_chunk *braid_sync_answered(struct sync_run *run, u64 id, enum chunk_state state)
{
	struct sync_wait *wait;

	hlist_for_each_entry(wait, waiting_head(run, id), by_id) {
		if (wait->id != id || wait->chunk->state != state)
			continue;
		hlist_del_init(&wait->by_id);
		wait->chunk->nr_waiting--;
		return wait->chunk;
	}
	return NULL;
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
		chunk->nr_waiting = nr;
		for (i = 0; i < nr; i++) {
			chunk->wait[i].id = braid_request_id(run->volume, BRAID_REQUEST_RESYNC);
			hlist_add_head(&chunk->wait[i].by_id, waiting_head(run, chunk->wait[i].id));
		}
		if (state == CHUNK_DATA)
			run->volume->count.resync_sent_bytes += hweight32(chunk->pieces) * RESYNC_PIECE_BYTES;
	}
	spin_unlock_irqrestore(&run->volume->lock, flags);
	return go;
}

/* ---- reading ---- */

void braid_sync_chunk_owns(struct sync_chunk *chunk)
{
	const struct volume_peer *peer = volume_peer_const(&chunk->run->volume->core, chunk->run->node);

	chunk->marks = peer ? peer->map.nr_marks : 0;
	chunk->state = CHUNK_READ;
	chunk->unreadable = false;
	chunk->begun_ns = ktime_get_ns();
	list_add_tail(&chunk->entry, &chunk->run->reads);
}

void braid_sync_chunk_ready(struct sync_chunk *chunk)
{
	struct sync_run *run = chunk->run;

	list_add_tail(&chunk->entry, &run->ready);
	if (run->submitting && run->nr_senders == 1)
		return;
	run->next_sender = (run->next_sender + 1) % run->nr_senders;
	braid_sync_queue(run, &run->sender[run->next_sender].work);
}

static void read_ended(struct sync_chunk *chunk, bool failed)
{
	struct sync_run *run = chunk->run;
	struct braid_volume *volume = run->volume;
	unsigned long flags;

	/* To the end under the lock: a run that is being stopped is freed when nothing is read for it any more. */
	spin_lock_irqsave(&volume->lock, flags);
	chunk->unreadable = failed;
	braid_sync_chunk_ready(chunk);
	if (!--run->nr_reading && run->stopped)
		wake_up_all(&volume->changed);
	spin_unlock_irqrestore(&volume->lock, flags);
}

static void read_endio(struct bio *bio)
{
	struct sync_chunk *chunk = bio->bi_private;
	bool failed = bio->bi_status != BLK_STS_OK;

	bio_put(bio);
	read_ended(chunk, failed);
}

/* No memory for its data: it is the first to be tried again. */
static void read_again(struct sync_chunk *chunk)
{
	struct sync_run *run = chunk->run;
	struct braid_volume *volume = run->volume;
	unsigned long flags;

	spin_lock_irqsave(&volume->lock, flags);
	list_add(&chunk->entry, &run->reads);
	braid_sync_again(volume->sync, SYNC_MEMORY_TURN_MS * NSEC_PER_MSEC);
	if (!--run->nr_reading && run->stopped)
		wake_up_all(&volume->changed);
	spin_unlock_irqrestore(&volume->lock, flags);
}

static struct sync_chunk *next_read(struct sync_run *run)
{
	struct sync_chunk *chunk = NULL;
	unsigned long flags;

	spin_lock_irqsave(&run->volume->lock, flags);
	if (!run->stopped && !run->failed)
		chunk = list_first_entry_or_null(&run->reads, struct sync_chunk, entry);
	if (chunk) {
		list_del_init(&chunk->entry);
		run->nr_reading++;
	}
	spin_unlock_irqrestore(&run->volume->lock, flags);
	return chunk;
}

/* ---- digests ---- */

static void send_digests(struct sync_chunk *chunk)
{
	struct sync_run *run = chunk->run;
	struct wire_resync resync = {
		.offset_bytes = chunk->offset_bytes,
		.length_bytes = chunk->length_bytes,
		.key = { run->key.key[0], run->key.key[1] },
	};
	u32 piece;

	for (piece = 0; piece < chunk->length_bytes / RESYNC_PIECE_BYTES; piece++) {
		void *data = braid_map_piece(chunk->buffer, piece);

		resync.digest[piece] = siphash(data, RESYNC_PIECE_BYTES, &run->key);
		kunmap_local(data);
		cond_resched();	/* the application's works want the processor too [R3] */
	}
	/* Not sent: the session is gone, PEER_DOWN ends the run. */
	if (chunk_expect(chunk, CHUNK_DIGESTS, 1))
		braid_send_resync(run->volume, run->node, WIRE_DIGESTS, 0, chunk->wait[0].id, &resync, NULL, 0, 0);
}

/* ---- data ---- */

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

/* A buffer with only the pieces in the mask, or NULL. */
static struct braid_buffer *gather(const struct braid_buffer *from, u32 pieces)
{
	struct braid_buffer *buffer = braid_buffer_alloc(hweight32(pieces) * RESYNC_PIECE_BYTES, BRAID_PAYLOAD_SENT,
							 GFP_NOWAIT | __GFP_NOWARN);
	u32 piece, nr = 0;

	if (!buffer)
		return NULL;
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
	return buffer;
}

/*
 * One frame with the pieces of @data; a single run of neighbours goes out from where it is. Without memory to put others side by
 * side, those in between go as well. Takes over @buffer.
 */
static void send_data(struct sync_chunk *chunk, struct braid_buffer *buffer, u64 id, u32 data)
{
	struct sync_run *run = chunk->run;
	u32 first = __ffs(data), nr = fls(data) - first;
	struct wire_resync resync = {
		.offset_bytes = chunk->offset_bytes,
		.length_bytes = chunk->length_bytes,
	};

	if (nr != hweight32(data)) {	/* with gaps */
		struct braid_buffer *gathered = gather(buffer, data);

		if (gathered) {
			braid_buffer_put(buffer);
			buffer = gathered;
			first = 0;
			nr = hweight32(data);
		} else {
			data = GENMASK(first + nr - 1, first);
		}
	}
	resync.pieces = data;
	braid_send_resync(run->volume, run->node, WIRE_RESYNC_DATA, 0, id, &resync, buffer, first * RESYNC_PIECE_BYTES,
			  nr * RESYNC_PIECE_BYTES);
	braid_buffer_put(buffer);
}

static void send_zeroes(struct sync_chunk *chunk, u64 id, u32 zero)
{
	struct sync_run *run = chunk->run;
	struct wire_resync resync = {
		.offset_bytes = chunk->offset_bytes,
		.length_bytes = chunk->length_bytes,
		.pieces = zero,
	};

	braid_send_resync(run->volume, run->node, WIRE_RESYNC_DATA, WIRE_ZERO_PIECES, id, &resync, NULL, 0, 0);
}

/* @zero: pieces that are known to be zero [R4]. */
static void send_pieces(struct sync_chunk *chunk, u32 zero)
{
	u32 data = chunk->pieces & ~zero;
	struct braid_buffer *buffer = chunk->buffer;

	chunk->buffer = NULL;
	/* While one frame is not sent yet, its acknowledgement is outstanding and the chunk stays ours. */
	if (!chunk_expect(chunk, CHUNK_DATA, (zero != 0) + (data != 0))) {
		braid_buffer_put(buffer);
		return;
	}
	if (zero && data) {
		u64 id = chunk->wait[1].id;

		send_zeroes(chunk, id, zero);
		send_data(chunk, buffer, chunk->wait[0].id, data);
	} else if (data) {
		send_data(chunk, buffer, chunk->wait[0].id, data);
	} else {
		braid_buffer_put(buffer);
		send_zeroes(chunk, chunk->wait[0].id, zero);
	}
}

/* Zeroes are compared in any case: a target that has never been written needs nothing of them [R4]. */
static void chunk_was_read(struct sync_chunk *chunk)
{
	struct sync_run *run = chunk->run;
	struct braid_volume *volume = run->volume;
	unsigned long flags;
	bool compare;

	spin_lock_irqsave(&volume->lock, flags);
	compare = resync_compare_wanted(&run->compare, chunk->length_bytes);
	spin_unlock_irqrestore(&volume->lock, flags);
	chunk->pieces = all_pieces(chunk);
	if (compare || zero_pieces(chunk->buffer, chunk->pieces))
		send_digests(chunk);
	else
		send_pieces(chunk, 0);
}

/*
 * A bad block of the source keeps this volume from being in sync, and nothing else: neither the rest of it nor the session, which
 * carries other volumes too [R5]. It is good again when it is written, or read through the volume while somebody else has it.
 */
static void skip_unreadable(struct sync_chunk *chunk)
{
	struct sync_run *run = chunk->run;
	struct braid_volume *volume = run->volume;
	unsigned long flags;

	pr_warn_ratelimited("braid: %s: %u bytes at %llu cannot be read here: node %u gets them when they can, or were written\n",
			    volume->name, chunk->length_bytes, chunk->offset_bytes, run->node);
	braid_buffer_put(chunk->buffer);
	chunk->buffer = NULL;
	spin_lock_irqsave(&volume->lock, flags);
	if (!run->stopped)
		braid_sync_chunk_skip(chunk);
	spin_unlock_irqrestore(&volume->lock, flags);
}

static void send_ready(struct sync_run *run)
{
	struct sync_chunk *chunk;
	unsigned long flags;

	for (;;) {
		spin_lock_irqsave(&run->volume->lock, flags);
		chunk = run->stopped ? NULL : list_first_entry_or_null(&run->ready, struct sync_chunk, entry);
		if (chunk)
			list_del_init(&chunk->entry);
		spin_unlock_irqrestore(&run->volume->lock, flags);
		if (!chunk)
			return;
		if (chunk->state == CHUNK_SEND)
			send_pieces(chunk, zero_pieces(chunk->buffer, chunk->pieces));
		else if (chunk->unreadable)
			skip_unreadable(chunk);
		else
			chunk_was_read(chunk);
		cond_resched();
	}
}

static void sender_work(struct work_struct *work)
{
	send_ready(container_of(work, struct sync_sender, work)->run);
}

static void set_submitting(struct sync_run *run, bool submitting)
{
	unsigned long flags;

	spin_lock_irqsave(&run->volume->lock, flags);
	run->submitting = submitting;
	spin_unlock_irqrestore(&run->volume->lock, flags);
}

void braid_sync_read_chunks(struct sync_run *run)
{
	struct braid_volume *volume = run->volume;
	struct sync_chunk *chunk;
	struct blk_plug plug;
	struct bio *bio;

	set_submitting(run, true);
	blk_start_plug(&plug);
	while ((chunk = next_read(run))) {
		chunk->buffer = braid_buffer_alloc(chunk->length_bytes, BRAID_PAYLOAD_SENT, GFP_NOWAIT | __GFP_NOWARN);
		if (!chunk->buffer) {
			read_again(chunk);
			break;
		}
		bio = braid_local_bio(volume, braid_bio_set(volume), REQ_OP_READ, chunk->buffer, chunk->offset_bytes,
				      chunk->length_bytes, read_endio, chunk, GFP_NOIO);
		if (bio)
			submit_bio(bio);
		else
			read_ended(chunk, true);
	}
	blk_finish_plug(&plug);
	set_submitting(run, false);
	send_ready(run);
}

void braid_sync_sender_init(struct sync_run *run, struct sync_sender *sender)
{
	sender->run = run;
	INIT_WORK(&sender->work, sender_work);
}
