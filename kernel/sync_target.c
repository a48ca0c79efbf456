// SPDX-License-Identifier: GPL-2.0
/*
 * Resync, the side that gets data [R1] [R4] [D4]: compares digests of pieces with the local disk and writes the pieces
 * that differ.
 *
 * The source holds its own lock on the range from the digests to the end of the write, so nothing newer can be on its way
 * here for that range; the range lock here keeps an older write that is still being applied apart from both [I15].
 * The log is not needed: the source keeps the bits until a flush here proved the content [D2]. Requests are those of
 * apply.c. Data without gaps, which is nearly all, goes to the disk like a write; the rest is a work for each, which
 * sleeps on the local disk only.
 */
#include <linux/bio.h>
#include <linux/siphash.h>
#include "data_path.h"

int braid_send_resync(struct braid_volume *volume, u8 node, u8 type, u16 flags, u64 request_id,
		      struct wire_resync *resync, struct braid_buffer *payload, u32 payload_offset_bytes,
		      u32 payload_bytes)
{
	unsigned int lane = braid_session_data_lane(volume->bn, node);
	struct braid_frame *frame;

	if (!lane)
		return -ENOTCONN;
	resync->volume_id = volume->id;
	frame = braid_frame_alloc(type, flags, request_id, (const union wire_body *)resync, payload, payload_offset_bytes,
				  payload_bytes, GFP_NOIO);
	if (!frame) {
		braid_session_end(volume->bn, node, WIRE_BYE_STUCK);
		return -ENOMEM;
	}
	return braid_session_send(volume->bn, node, lane, frame, LANE_IN_BURSTS);
}

static u32 compare(const struct braid_apply_request *request)
{
	const struct wire_resync *resync = &request->resync;
	const siphash_key_t key = { { resync->key[0], resync->key[1] } };
	u32 piece, differ = 0;

	for (piece = 0; piece < resync->length_bytes / RESYNC_PIECE_BYTES; piece++) {
		void *data = braid_map_piece(request->buffer, piece);

		if (siphash(data, RESYNC_PIECE_BYTES, &key) != resync->digest[piece])
			differ |= 1u << piece;
		kunmap_local(data);
		cond_resched();
	}
	return differ;
}

static void digests_work(struct work_struct *work)
{
	struct braid_apply_request *request = container_of(work, struct braid_apply_request, work);
	struct braid_volume *volume = request->volume;
	struct wire_resync answer = {
		.offset_bytes = request->resync.offset_bytes,
		.length_bytes = request->resync.length_bytes,
	};

	if (!request->error) {
		request->buffer = braid_buffer_alloc(request->resync.length_bytes, BRAID_PAYLOAD_RECEIVED, GFP_NOIO);
		/* An unreadable chunk is not equal: the write that follows makes it good or fails the disk [W7]. */
		if (braid_local_wait(volume, braid_bio_set(volume), REQ_OP_READ, request->buffer, 0,
				     request->resync.offset_bytes, request->resync.length_bytes))
			answer.pieces = (u32)(~0ull >> (64 - answer.length_bytes / RESYNC_PIECE_BYTES));
		else
			answer.pieces = compare(request);
	}
	answer.error = request->error;
	if (braid_apply_current(request))
		braid_send_resync(volume, request->node, WIRE_DIFFERS, 0, request->id, &answer, NULL, 0, 0);
	braid_apply_end(request, false);
}

/* One run of neighbouring pieces; @buffer_bytes: where its data begins in the payload. */
static int write_run(struct braid_apply_request *request, u32 first, u32 nr, u32 buffer_bytes)
{
	struct braid_volume *volume = request->volume;
	u64 offset_bytes = request->resync.offset_bytes + (u64)first * RESYNC_PIECE_BYTES;

	if (request->flags & WIRE_ZERO_PIECES)
		return braid_local_zeroes(volume, offset_bytes, nr * RESYNC_PIECE_BYTES, true, false);
	return braid_local_wait(volume, braid_bio_set(volume), REQ_OP_WRITE, request->buffer, buffer_bytes,
				offset_bytes, nr * RESYNC_PIECE_BYTES);
}

static void data_work(struct work_struct *work)
{
	struct braid_apply_request *request = container_of(work, struct braid_apply_request, work);
	struct braid_volume *volume = request->volume;
	u32 piece = 0, buffer_bytes = 0, pieces = request->resync.pieces;
	unsigned long flags;
	int error = 0;

	if (!request->error && request->save_first && braid_meta_save_maps(volume))
		request->error = true;
	while (!request->error && !error && piece < RESYNC_CHUNK_PIECES) {
		u32 nr = 0;

		while (piece + nr < RESYNC_CHUNK_PIECES && pieces >> (piece + nr) & 1)
			nr++;
		if (nr)
			error = write_run(request, piece, nr, buffer_bytes);
		buffer_bytes += nr * RESYNC_PIECE_BYTES;
		piece += nr + 1;
	}
	if (error) {
		braid_disk_failed(volume, "resync write", error);
		request->error = true;
	}
	spin_lock_irqsave(&volume->lock, flags);
	volume->count.resync_received_bytes += buffer_bytes;
	spin_unlock_irqrestore(&volume->lock, flags);
	braid_apply_end(request, true);
}

/* One run of pieces with data, as an ordinary write. False: it is not that. Under volume->lock. */
static bool write_plainly(struct braid_apply_request *request)
{
	u32 first, pieces = request->resync.pieces;

	if (request->error || request->save_first || !request->buffer || !pieces)
		return false;
	first = __ffs(pieces);
	pieces >>= first;
	if ((u64)pieces & ((u64)pieces + 1))
		return false;
	request->volume->count.resync_received_bytes += request->buffer->length_bytes;
	request->io = (struct wire_io) {
		.offset_bytes = request->resync.offset_bytes + first * RESYNC_PIECE_BYTES,
		.length_bytes = request->buffer->length_bytes,
	};
	braid_apply_submit(request);
	return true;
}

/* Under volume->lock. */
static void target_ready(struct braid_range *range)
{
	struct braid_apply_request *request = container_of(range, struct braid_apply_request, range);

	/* The relation may have ended while the range was waited for; refused aloud, never silently. */
	request->error = !braid_apply_current(request) || !volume_may_resync(&request->volume->core, request->node);
	if (!request->error && request->type == WIRE_RESYNC_DATA)
		request->save_first = volume_apply_resync(&request->volume->core, request->node,
							  request->resync.offset_bytes, request->resync.length_bytes);
	if (request->type == WIRE_RESYNC_DATA && write_plainly(request))
		return;
	INIT_WORK(&request->work, request->type == WIRE_DIGESTS ? digests_work : data_work);
	queue_work(request->volume->sleeper_workqueue, &request->work);
}

int braid_sync_target_frame(struct braid_volume *volume, u8 node, unsigned int lane, const struct wire_header *header,
			    const struct wire_resync *resync, struct braid_buffer *payload)
{
	bool wants_payload = header->type == WIRE_RESYNC_DATA && !(header->flags & WIRE_ZERO_PIECES);
	u32 nr_pieces = resync->length_bytes / RESYNC_PIECE_BYTES;
	struct braid_apply_request *request;
	unsigned long flags;

	if (wants_payload != (payload != NULL) || !nr_pieces || nr_pieces > RESYNC_CHUNK_PIECES ||
	    resync->offset_bytes > volume->core.super.volume_bytes ||
	    resync->length_bytes > volume->core.super.volume_bytes - resync->offset_bytes ||
	    (u64)resync->pieces >> nr_pieces || (payload && payload->length_bytes != hweight32(resync->pieces) *
						 RESYNC_PIECE_BYTES)) {
		braid_buffer_put(payload);
		return -EPROTO;
	}
	request = braid_apply_request_alloc(volume, node, lane, header, payload);
	request->resync = *resync;
	spin_lock_irqsave(&volume->lock, flags);
	if (braid_range_lock(&volume->ranges, &request->range, resync->offset_bytes, resync->length_bytes,
			     target_ready))
		target_ready(&request->range);
	spin_unlock_irqrestore(&volume->lock, flags);
	return 0;
}
