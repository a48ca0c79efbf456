// SPDX-License-Identifier: GPL-2.0
/*
 * Bodies of the frames on data lanes: writes, reads, acknowledgements, evictions, resync. See wire.c.
 *
 *   WRITE, DISCARD, ZEROES, FLUSH, READ, READ_DATA
 *                      40  0 u64 volume, 8 u64 offset, 16 u32 length, 20 error, 24 u64 epoch, 32 u64 generation
 *   ACKS       4 + 9 * nr  0 u16 nr, 4 { u64 request, result }
 *   EVICT     24 + 4 * nr  0 u64 volume, 8 u64 epoch, 16 u16 nr, 24 { u32 region }
 *   DIGESTS    40 + 8 * n  0 u64 volume, 8 u64 offset, 16 u32 length, 24 u64 key[2], 40 digest of each piece
 *   DIFFERS, RESYNC_DATA
 *                      32  0 u64 volume, 8 u64 offset, 16 u32 length, 20 u32 pieces, 24 error
 */
#include "codec.h"
#include "volume.h"
#include "wire_internal.h"

enum { REGIONS_END = VOLUME_BYTES_MAX / ACTLOG_REGION_BYTES };

CORE_STATIC_ASSERT(ACKS_BYTES + WIRE_ACKS_MAX * ACK_BYTES <= WIRE_FIXED_BYTES_MAX, "ACKS fits");
CORE_STATIC_ASSERT(EVICT_BYTES + WIRE_REGIONS_MAX * REGION_BYTES <= WIRE_FIXED_BYTES_MAX, "EVICT fits");

static bool io_changes(u8 type)
{
	return type == WIRE_WRITE || type == WIRE_DISCARD || type == WIRE_ZEROES;
}

u32 wire_data_encode_io(u8 type, const union wire_body *body, u8 *buffer)
{
	const struct wire_io *io = &body->io;
	bool flush = type == WIRE_FLUSH;

	memset(buffer, 0, IO_FIXED_BYTES);
	core_put_le64(buffer, io->volume_id);
	core_put_le64(buffer + 8, flush ? 0 : io->offset_bytes);
	core_put_le32(buffer + 16, flush ? 0 : io->length_bytes);
	buffer[20] = type == WIRE_READ_DATA ? io->error : 0;
	core_put_le64(buffer + 24, io_changes(type) ? io->epoch : 0);
	core_put_le64(buffer + 32, io_changes(type) || flush ? io->generation_id : 0);
	return IO_FIXED_BYTES;
}

enum wire_error wire_data_decode_io(const struct wire_input *in, union wire_body *body)
{
	struct wire_io *io = &body->io;
	const u8 *b = in->bytes;
	bool flush = in->type == WIRE_FLUSH;
	bool changes = io_changes(in->type);

	io->volume_id = core_get_le64(b);
	io->offset_bytes = core_get_le64(b + 8);
	io->length_bytes = core_get_le32(b + 16);
	io->error = b[20];
	io->epoch = core_get_le64(b + 24);
	io->generation_id = core_get_le64(b + 32);
	if (!io->volume_id || !codec_is_zero(b + 21, 3) || io->error > (in->type == WIRE_READ_DATA) ||
	    (io->epoch && !changes) || (changes && !io->generation_id) || (!changes && !flush && io->generation_id))
		return WIRE_BAD_FIELD;
	if (flush)
		return wire_field_error(io->offset_bytes == 0 && io->length_bytes == 0);
	if ((io->length_bytes == 0) != (io->error != 0) || io->length_bytes > IO_BYTES_MAX)
		return WIRE_BAD_FIELD;
	return wire_field_error(codec_extent_valid(io->offset_bytes, io->length_bytes, VOLUME_SECTOR_BYTES));
}

u32 wire_data_encode_acks(u8 type, const union wire_body *body, u8 *buffer)
{
	const struct wire_acks *acks = &body->acks;
	u8 *b = buffer + ACKS_BYTES;
	u32 i;

	(void)type;
	core_put_le32(buffer, acks->nr);
	for (i = 0; i < acks->nr && i < WIRE_ACKS_MAX; i++, b += ACK_BYTES) {
		core_put_le64(b, acks->ack[i].request_id);
		b[8] = acks->ack[i].result;
	}
	return (u32)(b - buffer);
}

enum wire_error wire_data_decode_acks(const struct wire_input *in, union wire_body *body)
{
	struct wire_acks *acks = &body->acks;
	const u8 *b = in->bytes + ACKS_BYTES;
	u32 i;

	acks->nr = core_get_le16(in->bytes);
	if (acks->nr > WIRE_ACKS_MAX || in->length_bytes != ACKS_BYTES + (u32)acks->nr * ACK_BYTES)
		return WIRE_BAD_LENGTH;
	if (!codec_is_zero(in->bytes + 2, 2))
		return WIRE_BAD_FIELD;
	for (i = 0; i < acks->nr; i++, b += ACK_BYTES) {
		acks->ack[i].request_id = core_get_le64(b);
		acks->ack[i].result = b[8];
		if (b[8] >= WIRE_ACK_RESULTS)
			return WIRE_BAD_FIELD;
	}
	return WIRE_OK;
}

u32 wire_data_encode_evict(u8 type, const union wire_body *body, u8 *buffer)
{
	const struct wire_evict *evict = &body->evict;
	u8 *b = buffer + EVICT_BYTES;
	u32 i;

	(void)type;
	memset(buffer, 0, EVICT_BYTES);
	core_put_le64(buffer, evict->volume_id);
	core_put_le64(buffer + 8, evict->epoch);
	core_put_le16(buffer + 16, evict->nr);
	for (i = 0; i < evict->nr && i < WIRE_REGIONS_MAX; i++, b += REGION_BYTES)
		core_put_le32(b, evict->region[i]);
	return (u32)(b - buffer);
}

enum wire_error wire_data_decode_evict(const struct wire_input *in, union wire_body *body)
{
	struct wire_evict *evict = &body->evict;
	const u8 *b = in->bytes + EVICT_BYTES;
	u32 i;

	evict->volume_id = core_get_le64(in->bytes);
	evict->epoch = core_get_le64(in->bytes + 8);
	evict->nr = core_get_le16(in->bytes + 16);
	if (evict->nr > WIRE_REGIONS_MAX || in->length_bytes != EVICT_BYTES + (u32)evict->nr * REGION_BYTES)
		return WIRE_BAD_LENGTH;
	if (!evict->volume_id || !codec_is_zero(in->bytes + 18, 6))
		return WIRE_BAD_FIELD;
	for (i = 0; i < evict->nr; i++, b += REGION_BYTES) {
		evict->region[i] = core_get_le32(b);
		if (evict->region[i] >= REGIONS_END)
			return WIRE_BAD_FIELD;
	}
	return WIRE_OK;
}

static u32 resync_pieces(u32 length_bytes)
{
	return length_bytes / RESYNC_PIECE_BYTES;
}

/* The extent of all three; the pieces stay within a u32 because the length is bounded. */
static bool resync_extent_decode(const u8 *b, struct wire_resync *resync)
{
	resync->volume_id = core_get_le64(b);
	resync->offset_bytes = core_get_le64(b + 8);
	resync->length_bytes = core_get_le32(b + 16);
	return resync->volume_id && resync->length_bytes && resync->length_bytes <= RESYNC_CHUNK_BYTES &&
	       codec_extent_valid(resync->offset_bytes, resync->length_bytes, RESYNC_PIECE_BYTES);
}

u32 wire_data_encode_digests(u8 type, const union wire_body *body, u8 *buffer)
{
	const struct wire_resync *resync = &body->resync;
	u8 *b = buffer + DIGESTS_BYTES;
	u32 i;

	(void)type;
	memset(buffer, 0, DIGESTS_BYTES);
	core_put_le64(buffer, resync->volume_id);
	core_put_le64(buffer + 8, resync->offset_bytes);
	core_put_le32(buffer + 16, resync->length_bytes);
	core_put_le64(buffer + 24, resync->key[0]);
	core_put_le64(buffer + 32, resync->key[1]);
	for (i = 0; i < resync_pieces(resync->length_bytes) && i < RESYNC_CHUNK_PIECES; i++, b += DIGEST_BYTES)
		core_put_le64(b, resync->digest[i]);
	return (u32)(b - buffer);
}

enum wire_error wire_data_decode_digests(const struct wire_input *in, union wire_body *body)
{
	struct wire_resync *resync = &body->resync;
	u32 i;

	resync->pieces = 0;
	resync->error = 0;
	if (!resync_extent_decode(in->bytes, resync) || !codec_is_zero(in->bytes + 20, 4))
		return WIRE_BAD_FIELD;
	if (in->length_bytes != DIGESTS_BYTES + resync_pieces(resync->length_bytes) * DIGEST_BYTES)
		return WIRE_BAD_LENGTH;
	resync->key[0] = core_get_le64(in->bytes + 24);
	resync->key[1] = core_get_le64(in->bytes + 32);
	for (i = 0; i < resync_pieces(resync->length_bytes); i++)
		resync->digest[i] = core_get_le64(in->bytes + DIGESTS_BYTES + i * DIGEST_BYTES);
	return WIRE_OK;
}

u32 wire_data_encode_resync(u8 type, const union wire_body *body, u8 *buffer)
{
	const struct wire_resync *resync = &body->resync;

	memset(buffer, 0, RESYNC_BYTES);
	core_put_le64(buffer, resync->volume_id);
	core_put_le64(buffer + 8, resync->offset_bytes);
	core_put_le32(buffer + 16, resync->length_bytes);
	core_put_le32(buffer + 20, resync->pieces);
	buffer[24] = type == WIRE_DIFFERS ? resync->error : 0;
	return RESYNC_BYTES;
}

enum wire_error wire_data_decode_resync(const struct wire_input *in, union wire_body *body)
{
	struct wire_resync *resync = &body->resync;
	const u8 *b = in->bytes;

	if (!resync_extent_decode(b, resync))
		return WIRE_BAD_FIELD;
	resync->pieces = core_get_le32(b + 20);
	resync->error = b[24];
	return wire_field_error(((u64)resync->pieces >> resync_pieces(resync->length_bytes)) == 0 &&
				resync->error <= (in->type == WIRE_DIFFERS) && codec_is_zero(b + 25, 7));
}
