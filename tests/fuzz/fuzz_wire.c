// SPDX-License-Identifier: GPL-2.0
/*
 * [N4] [I22]: any bytes are safe; whatever is accepted fits the table and encodes to the same bytes again.
 *
 * Byte 0 of the input: 1 control lane, 2 initiator, 4.. phase. Then frames: header and fixed part; the payload that a header
 * claims is left out. The mutator repairs checksums and sequence numbers, so that the checks behind them are reached.
 */
#include "../../kernel/core/wire.h"
#include "fuzz.h"

static union wire_body body;
static u8 again[WIRE_FIXED_BYTES_MAX];

static const u8 types[] = {
	WIRE_HELLO, WIRE_CHALLENGE, WIRE_PROOF, WIRE_REFUSE, WIRE_PING, WIRE_PONG, WIRE_NODE, WIRE_BYE, WIRE_GREET, WIRE_VERDICT,
	WIRE_RECORD, WIRE_RECORD_ACK, WIRE_PROMOTE_ASK, WIRE_PROMOTE_ANSWER, WIRE_SYNC_START, WIRE_RANGES, WIRE_RANGES_END,
	WIRE_SYNC_ACCEPT, WIRE_SYNC_READY, WIRE_SYNC_DONE, WIRE_VOLUME_GONE, WIRE_RESOLVE, WIRE_WRITE, WIRE_DISCARD, WIRE_ZEROES,
	WIRE_FLUSH, WIRE_ACKS, WIRE_READ, WIRE_READ_DATA, WIRE_EVICT, WIRE_DIGESTS, WIRE_DIFFERS, WIRE_RESYNC_DATA,
};

/* The table again, from outside: what got through obeys it. */
static void check_header(const struct wire_header *header, bool control_lane, enum wire_phase phase, bool initiator)
{
	const struct wire_rule *rule = wire_rule(header->type);

	CHECK(rule);
	CHECK(rule->phases >> phase & 1);
	CHECK(rule->direction & (initiator ? WIRE_TO_INITIATOR : WIRE_TO_RESPONDER));
	CHECK(control_lane ? rule->control : rule->data);
	CHECK(header->length_bytes >= rule->min_bytes && header->length_bytes <= rule->max_bytes);
	CHECK(!(header->flags & ~wire_flags_allowed(header->type)));
	CHECK(wire_fixed_bytes(header) <= header->length_bytes && wire_fixed_bytes(header) <= WIRE_FIXED_BYTES_MAX);
	if (phase == WIRE_PHASE_OPEN)
		return;
	CHECK(header->length_bytes <= WIRE_PREAUTH_BYTES_MAX && !header->request_id);
	CHECK(wire_fixed_bytes(header) == header->length_bytes);
}

static void check_body(const struct wire_header *header)
{
	if (header->type == WIRE_GREET)
		CHECK(lineage_valid(&body.greet.chain) && strnlen(body.greet.name, NAME_BYTES_MAX) < NAME_BYTES_MAX);
	if (header->type == WIRE_SYNC_ACCEPT)
		CHECK(lineage_valid(&body.accept.chain));
	if (header->type == WIRE_NODE)
		CHECK(strnlen(body.node.name, NAME_BYTES_MAX) < NAME_BYTES_MAX);
	if (header->type == WIRE_RANGES)
		CHECK(body.ranges.nr <= WIRE_RANGES_MAX);
	if (header->type == WIRE_EVICT)
		CHECK(body.evict.nr <= WIRE_REGIONS_MAX);
	if (header->type == WIRE_ACKS)
		CHECK(body.acks.nr <= WIRE_ACKS_MAX);
}

/* @at has exactly the fixed part behind it as far as ASan knows. */
static void try_body(const struct wire_header *header, const u8 *at, u32 fixed_bytes)
{
	u8 *exact = malloc(fixed_bytes ? fixed_bytes : 1);

	memcpy(exact, at, fixed_bytes);
	memset(&body, 0xaa, sizeof(body));
	if (wire_decode_body(header, exact, fixed_bytes, &body) == WIRE_OK) {
		check_body(header);
		CHECK(fixed_bytes + wire_payload_bytes(header->type, header->flags, &body) == header->length_bytes);
		CHECK(wire_encode_body(header->type, &body, again) == fixed_bytes);
		CHECK(memcmp(again, exact, fixed_bytes) == 0);
	}
	free(exact);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct wire_header header;
	u8 encoded[WIRE_HEADER_BYTES];
	u32 sequence = 0, fixed_bytes;
	enum wire_phase phase;
	bool control, initiator;

	if (!size)
		return 0;
	control = data[0] & 1;
	initiator = data[0] & 2;
	phase = (data[0] >> 2) % 3;
	for (data++, size--; size >= WIRE_HEADER_BYTES; data += fixed_bytes, size -= fixed_bytes) {
		memset(&header, 0xaa, sizeof(header));
		if (wire_decode_header(data, control, phase, initiator, sequence++, &header) != WIRE_OK)
			return 0;
		check_header(&header, control, phase, initiator);
		wire_encode_header(&header, encoded);
		CHECK(memcmp(encoded, data, WIRE_HEADER_BYTES) == 0);
		data += WIRE_HEADER_BYTES;
		size -= WIRE_HEADER_BYTES;
		fixed_bytes = wire_fixed_bytes(&header);
		if (fixed_bytes > size)
			return 0;
		if (fixed_bytes == header.length_bytes && header.body_crc != core_crc32c(0, data, fixed_bytes))
			return 0;
		try_body(&header, data, fixed_bytes);
	}
	return 0;
}

/* A frame of any type whose body is as short as it may be and mostly ones and zeroes. */
static size_t fresh_frame(u8 *data, size_t max_size, u32 *seed)
{
	struct wire_header header = { .type = types[fuzz_random(seed) % sizeof(types)] };
	const struct wire_rule *rule = wire_rule(header.type);
	u32 i;

	header.length_bytes = rule->min_bytes;
	if (max_size < 1 + WIRE_HEADER_BYTES + header.length_bytes)
		return 0;
	data[0] = (u8)(rule->control | 2 * (rule->direction == WIRE_TO_INITIATOR) |
		       4 * (u32)__builtin_ctz(rule->phases));
	wire_encode_header(&header, data + 1);
	for (i = 0; i < header.length_bytes; i++)
		data[1 + WIRE_HEADER_BYTES + i] = i % 8 == 0 && fuzz_random(seed) % 2;
	return 1 + WIRE_HEADER_BYTES + wire_fixed_bytes(&header);
}

/* Make headers and checksums right, and lengths such that the frames follow one another. */
static void repair(u8 *data, size_t size, u32 *seed)
{
	u32 sequence = 0;

	for (data++, size--; size >= WIRE_HEADER_BYTES; sequence++) {
		struct wire_header header = {
			.type = data[5], .flags = core_get_le16(data + 6), .sequence = sequence,
			.length_bytes = core_get_le32(data + 12), .request_id = core_get_le64(data + 16),
		};
		u32 room = (u32)size - WIRE_HEADER_BYTES, fixed_bytes;

		if (!wire_rule(header.type))
			header.type = types[fuzz_random(seed) % sizeof(types)];
		header.flags &= fuzz_random(seed) % 16 ? wire_flags_allowed(header.type) : 0xffff;
		fixed_bytes = wire_fixed_bytes(&header);
		if (fixed_bytes > room) {
			header.length_bytes = room;
			fixed_bytes = wire_fixed_bytes(&header);
		}
		if (fixed_bytes > room)
			fixed_bytes = room;
		header.body_crc = core_crc32c(0, data + WIRE_HEADER_BYTES, fixed_bytes);
		wire_encode_header(&header, data);
		data += WIRE_HEADER_BYTES + fixed_bytes;
		size -= WIRE_HEADER_BYTES + fixed_bytes;
	}
}

size_t LLVMFuzzerCustomMutator(u8 *data, size_t size, size_t max_size, unsigned int seed)
{
	u32 random = seed | 1;
	size_t fresh = 0;

	if (fuzz_random(&random) % 32 == 0)
		fresh = fresh_frame(data, max_size, &random);
	size = fresh ? fresh : LLVMFuzzerMutate(data, size, max_size);
	if (size && fuzz_random(&random) % 16)
		repair(data, size, &random);
	return size;
}
