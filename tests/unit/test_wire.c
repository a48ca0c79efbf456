// SPDX-License-Identifier: GPL-2.0
/*
 * [N4] [I22]: every frame survives the way out and in, and nothing else is accepted. A frame is received here as
 * the glue does it: header, then body checksum, then body.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../kernel/core/codec.h"
#include "../../kernel/core/volume.h"
#include "../lib/random.h"

enum { INCOMPLETE = 100, ROUNDS = 40 };

static u8 frame[WIRE_HEADER_BYTES + WIRE_FIXED_BYTES_MAX + WIRE_PAYLOAD_BYTES_MAX];
static u32 frame_bytes;
static union wire_body sent, received, again;

static bool preauth(u8 type)
{
	return type <= WIRE_REFUSE;
}

static bool on_control_lane(u8 type)
{
	return type < WIRE_WRITE;
}

static enum wire_phase legal_phase(u8 type)
{
	if (!preauth(type))
		return WIRE_PHASE_OPEN;
	return type == WIRE_PROOF ? WIRE_PHASE_PROOF : WIRE_PHASE_HELLO;
}

/* Of a body whose first @fixed_bytes are its fixed part. */
static u32 body_crc(const u8 *body, u32 fixed_bytes, u32 body_bytes)
{
	u32 crc;

	if (fixed_bytes >= body_bytes)
		return core_crc32c(0, body, body_bytes);
	crc = core_crc32c(0, body, fixed_bytes);
	return wire_body_crc(crc, core_crc32c(0, body + fixed_bytes, body_bytes - fixed_bytes));
}

static int receive(const u8 *bytes, u32 length_bytes, u8 sent_type)
{
	struct wire_header header;
	enum wire_error error;
	u32 fixed_bytes;

	if (length_bytes < WIRE_HEADER_BYTES)
		return INCOMPLETE;
	error = wire_decode_header(bytes, on_control_lane(sent_type), legal_phase(sent_type),
				   sent_type == WIRE_CHALLENGE, 7, &header);
	if (error != WIRE_OK)
		return error;
	if (length_bytes - WIRE_HEADER_BYTES < header.length_bytes)
		return INCOMPLETE;
	fixed_bytes = wire_fixed_bytes(&header);
	if (body_crc(bytes + WIRE_HEADER_BYTES, fixed_bytes, header.length_bytes) != header.body_crc)
		return WIRE_BAD_BODY_CRC;
	if (fixed_bytes > header.length_bytes)
		return WIRE_BAD_LENGTH;
	memset(&received, 0, sizeof(received));
	return wire_decode_body(&header, bytes + WIRE_HEADER_BYTES, fixed_bytes, &received);
}

/* Header and checksums over a body that lies in @frame already. */
static void seal(u8 type, u16 flags, u32 body_bytes)
{
	struct wire_header header = {
		.type = type,
		.flags = flags,
		.sequence = 7,
		.length_bytes = body_bytes,
		.request_id = preauth(type) ? 0 : random_u64(),
	};

	header.body_crc = body_crc(frame + WIRE_HEADER_BYTES, wire_fixed_bytes(&header), body_bytes);
	wire_encode_header(&header, frame);
	frame_bytes = WIRE_HEADER_BYTES + body_bytes;
}

static void build(u8 type, u16 flags, const union wire_body *body)
{
	u32 fixed_bytes = wire_encode_body(type, body, frame + WIRE_HEADER_BYTES);
	u32 payload_bytes = wire_payload_bytes(type, flags, body);

	assert_true(fixed_bytes > 0 && fixed_bytes <= WIRE_FIXED_BYTES_MAX);
	memset(frame + WIRE_HEADER_BYTES + fixed_bytes, 0x5a, payload_bytes);
	seal(type, flags, fixed_bytes + payload_bytes);
}

static void random_name(char *name)
{
	static const char letters[] = "abcXYZ019_.-";
	u32 length = 1 + (u32)random_below(NAME_BYTES_MAX - 1);
	u32 i;

	for (i = 0; i < length; i++)
		name[i] = letters[random_u64() % (i ? 12 : 10)];
}

static void random_generation(struct generation *record, u64 parent_id, u64 number)
{
	record->id = random_u64() | 1;
	record->parent_id = parent_id;
	record->number = number;
	record->members = (u32)random_u64() | 1;
	record->writer = random_u64() & 1 ? NODE_NONE : (u8)random_below(NODES_MAX);
	record->written = random_u64() & 1;
}

static void random_chain(struct chain *chain)
{
	u32 i;

	chain->count = (u32)random_below(CHAIN_RECORDS_MAX + 1);
	for (i = 0; i < chain->count; i++)
		random_generation(&chain->record[i], i ? chain->record[i - 1].id : 0, i + 1);
}

static u64 random_offset(u64 length_bytes, u32 unit_bytes)
{
	return random_below((VOLUME_BYTES_MAX - length_bytes) / unit_bytes + 1) * unit_bytes;
}

static void random_hello(u8 type, struct wire_hello *hello)
{
	random_fill(hello->cluster_id, UUID_BYTES);
	random_fill(hello->node_instance, UUID_BYTES);
	random_fill(hello->nonce, NONCE_BYTES);
	hello->version_min = 1 + (u16)random_below(0xffff);
	hello->version_max = type == WIRE_CHALLENGE ? hello->version_min : 0xffff;
	hello->features = random_u64();
	hello->session_id = random_u64();
	hello->node_id = (u8)random_below(NODES_MAX);
	hello->peer_id = (u8)random_below(NODES_MAX);
	hello->nr_lanes = 1 + (u8)random_below(WIRE_LANES_MAX);
	hello->lane = (u8)random_below(hello->nr_lanes);
	hello->insecure = random_u64() & 1;
}

static void random_greet(struct wire_greet *greet)
{
	greet->volume_id = random_u64() | 1;
	greet->replica_id = random_u64() | 1;
	greet->volume_bytes = VOLUME_BLOCK_BYTES * (1 + random_below(VOLUME_BYTES_MAX / VOLUME_BLOCK_BYTES));
	greet->granule_bytes = GRANULE_BYTES_MIN << random_below(9);
	greet->actlog_parts = 1 + (u32)random_below(ACTLOG_PARTS_MAX);
	greet->number = 1 + (u32)random_below(0xffffffff);
	greet->flags = (u32)random_below(2 * WIRE_GREET_BLANK);
	greet->replicas = ((u32)random_u64() & 0xffff) | 1;
	greet->primary = random_u64() & 1 ? NODE_NONE : (u8)random_below(NODES_MAX);
	greet->sync_source = random_u64() & 1 ? NODE_NONE : (u8)random_below(NODES_MAX);
	greet->authority = (u8)random_below(NODES_MAX);
	greet->block_shift = random_u64() & 1 ? VOLUME_BLOCK_SHIFT_MAX : 0;
	random_name(greet->name);
	random_chain(&greet->chain);
}

static void random_io(u8 type, struct wire_io *io)
{
	bool changes = type == WIRE_WRITE || type == WIRE_DISCARD || type == WIRE_ZEROES;

	io->volume_id = random_u64() | 1;
	if (changes || type == WIRE_FLUSH)
		io->generation_id = random_u64() | 1;
	if (type == WIRE_FLUSH)
		return;
	io->error = type == WIRE_READ_DATA && random_u64() % 4 == 0;
	io->length_bytes = io->error ? 0 : 512 * (1 + (u32)random_below(IO_BYTES_MAX / 512));
	io->offset_bytes = random_offset(io->length_bytes, 512);
	io->epoch = changes ? random_u64() : 0;
}

static void random_lists(u8 type, union wire_body *body)
{
	u32 i;

	if (type == WIRE_RANGES) {
		body->ranges.volume_id = random_u64() | 1;
		body->ranges.node = (u8)random_below(NODES_MAX);
		body->ranges.nr = (u16)random_below(WIRE_RANGES_MAX + 1);
		for (i = 0; i < body->ranges.nr; i++) {
			struct wire_range *range = &body->ranges.range[i];

			range->length_bytes = 512 * (1 + random_below(VOLUME_BYTES_MAX / 512));
			range->start_bytes = random_offset(range->length_bytes, 512);
		}
	} else if (type == WIRE_ACKS) {
		body->acks.nr = (u16)random_below(WIRE_ACKS_MAX + 1);
		for (i = 0; i < body->acks.nr; i++) {
			body->acks.ack[i].request_id = random_u64();
			body->acks.ack[i].result = (u8)random_below(WIRE_ACK_RESULTS);
		}
	} else {
		body->evict.volume_id = random_u64() | 1;
		body->evict.epoch = random_u64();
		body->evict.nr = (u16)random_below(WIRE_REGIONS_MAX + 1);
		for (i = 0; i < body->evict.nr; i++)
			body->evict.region[i] = (u32)random_below(VOLUME_BYTES_MAX / ACTLOG_REGION_BYTES);
	}
}

static void random_resync(u8 type, struct wire_resync *resync)
{
	u32 pieces = 1 + (u32)random_below(RESYNC_CHUNK_PIECES);

	resync->volume_id = random_u64() | 1;
	resync->length_bytes = pieces * RESYNC_PIECE_BYTES;
	resync->offset_bytes = random_offset(resync->length_bytes, RESYNC_PIECE_BYTES);
	if (type == WIRE_DIGESTS) {
		random_fill(resync->key, sizeof(resync->key));
		random_fill(resync->digest, pieces * 8);
		return;
	}
	resync->pieces = (u32)(random_u64() & ((1ull << pieces) - 1));
	resync->error = type == WIRE_DIFFERS && (random_u64() & 1);
}

static void random_volume(u8 type, struct wire_volume *volume)
{
	volume->volume_id = random_u64() | 1;
	volume->value = type == WIRE_SYNC_READY || type == WIRE_SYNC_DONE || type == WIRE_RESOLVE ? random_u64() | 1 : 0;
	volume->node = type == WIRE_RANGES_END ? (u8)random_below(NODES_MAX) : NODE_NONE;
}

static void random_session(u8 type, union wire_body *body)
{
	if (type == WIRE_PROOF) {
		random_fill(body->proof.mac, MAC_BYTES);
	} else if (type == WIRE_REFUSE) {
		body->refuse.code = 1 + (u8)random_below(WIRE_REFUSED_MAX);
	} else if (type == WIRE_BYE) {
		body->bye.reason = 1 + (u8)random_below(WIRE_BYE_MAX);
	} else if (type == WIRE_NODE) {
		body->node.node_id = (u8)random_below(NODES_MAX);
		body->node.family = random_u64() & 1 ? 4 : 6;
		random_fill(body->node.address, body->node.family == 4 ? 4 : 16);
		body->node.port = 1 + (u16)random_below(0xffff);
		random_name(body->node.name);
	} else {
		body->ping.stamp_ns = random_u64();
	}
}

static void random_agreement(u8 type, union wire_body *body)
{
	if (type == WIRE_VERDICT) {
		body->verdict.volume_id = random_u64() | 1;
		body->verdict.my_number = 1 + (u32)random_below(0xffffffff);
		body->verdict.your_number = 1 + (u32)random_below(0xffffffff);
		body->verdict.verdict = (u8)random_below(LINEAGE_UNRELATED + 1);
		body->verdict.plan = (u8)random_below(VOLUME_PLANS);
	} else if (type == WIRE_RECORD) {
		body->record.volume_id = random_u64() | 1;
		body->record.serial = (u32)random_u64();
		body->record.parent_written = random_u64() & 1;
		random_generation(&body->record.record, random_u64() & ~1ull, random_u64() >> 2);
	} else if (type == WIRE_RECORD_ACK) {
		body->record_ack.volume_id = random_u64() | 1;
		body->record_ack.serial = (u32)random_u64();
		body->record_ack.ok = random_u64() & 1;
	} else {
		body->promote.volume_id = random_u64() | 1;
		body->promote.serial = (u32)random_u64();
		if (type == WIRE_PROMOTE_ANSWER) {
			body->promote.granted = random_u64() & 1;
			body->promote.reason = body->promote.granted ? 0 : (u8)random_below(VOLUME_REFUSALS);
		}
	}
}

/* Legal values, all else zero, so that bodies can be compared as memory. */
static void random_body(u8 type, union wire_body *body)
{
	memset(body, 0, sizeof(*body));
	if (type == WIRE_HELLO || type == WIRE_CHALLENGE)
		random_hello(type, &body->hello);
	else if (type <= WIRE_BYE)
		random_session(type, body);
	else if (type == WIRE_GREET)
		random_greet(&body->greet);
	else if (type <= WIRE_PROMOTE_ANSWER)
		random_agreement(type, body);
	else if (type == WIRE_RANGES || type == WIRE_ACKS || type == WIRE_EVICT)
		random_lists(type, body);
	else if (type == WIRE_SYNC_ACCEPT) {
		body->accept.volume_id = random_u64() | 1;
		random_chain(&body->accept.chain);
	} else if (type < WIRE_WRITE)
		random_volume(type, &body->volume);
	else if (type >= WIRE_DIGESTS)
		random_resync(type, &body->resync);
	else
		random_io(type, &body->io);
}

/* The same with short lists and the least payload: for tests that go through a frame bit by bit. */
static void random_small_body(u8 type, union wire_body *body)
{
	random_body(type, body);
	if (type == WIRE_GREET && body->greet.chain.count > 2)
		body->greet.chain.count = 2;
	else if (type == WIRE_SYNC_ACCEPT && body->accept.chain.count > 2)
		body->accept.chain.count = 2;
	else if (type == WIRE_RANGES)
		body->ranges.nr %= 4;
	else if (type == WIRE_ACKS)
		body->acks.nr %= 4;
	else if (type == WIRE_EVICT)
		body->evict.nr %= 4;
	else if (type == WIRE_WRITE || (type == WIRE_READ_DATA && !body->io.error))
		body->io.length_bytes = 512;
	else if (type == WIRE_RESYNC_DATA)
		body->resync.pieces &= 1;
}

static u16 random_flags(u8 type)
{
	return (u16)random_u64() & wire_flags_allowed(type);
}

/* The next type of the table after @type, 0 at the end. */
static u8 next_type(u8 type)
{
	u32 next;

	for (next = type + 1u; next <= 0xff; next++)
		if (wire_rule((u8)next))
			return (u8)next;
	return 0;
}

static void test_round_trip_of_every_type(void **state)
{
	u32 nr_types = 0;
	u8 type;
	int i;

	(void)state;
	for (type = next_type(0); type; type = next_type(type), nr_types++) {
		for (i = 0; i < ROUNDS; i++) {
			u16 flags = random_flags(type);
			u32 body_bytes, again_bytes;

			random_body(type, &sent);
			build(type, flags, &sent);
			if (receive(frame, frame_bytes, type) != WIRE_OK)
				fail_msg("%s: %s", wire_type_name(type),
					 wire_error_name(receive(frame, frame_bytes, type)));
			assert_memory_equal(&sent, &received, sizeof(sent));
			body_bytes = frame_bytes - WIRE_HEADER_BYTES - wire_payload_bytes(type, flags, &received);
			again_bytes = wire_encode_body(type, &received, (u8 *)&again);
			assert_int_equal(body_bytes, again_bytes);
			assert_memory_equal(frame + WIRE_HEADER_BYTES, &again, body_bytes);
		}
	}
	assert_int_equal(nr_types, 33);
}

static void test_every_truncation(void **state)
{
	u8 type;
	u32 n;

	(void)state;
	for (type = next_type(0); type; type = next_type(type)) {
		random_small_body(type, &sent);
		build(type, 0, &sent);
		for (n = 0; n < frame_bytes; n++) {
			/* An exact copy, so that a read beyond it is seen. */
			u8 *copy = malloc(n ? n : 1);

			memcpy(copy, frame, n);
			assert_int_equal(receive(copy, n, type), INCOMPLETE);
			free(copy);
		}
	}
}

/* The body itself shortened or lengthened, with right checksums: the length never fits by accident. */
static void test_every_other_body_length(void **state)
{
	u8 type;

	(void)state;
	for (type = next_type(0); type; type = next_type(type)) {
		u32 body_bytes, n, end;

		random_small_body(type, &sent);
		build(type, 0, &sent);
		body_bytes = frame_bytes - WIRE_HEADER_BYTES;
		end = body_bytes + 40;
		for (n = 0; n < end; n++) {
			u8 *copy;

			if (n == body_bytes)
				continue;
			if (n > body_bytes)
				memset(frame + WIRE_HEADER_BYTES + body_bytes, 0, n - body_bytes);
			seal(type, 0, n);
			copy = malloc(frame_bytes);
			memcpy(copy, frame, frame_bytes);
			assert_int_not_equal(receive(copy, frame_bytes, type), WIRE_OK);
			free(copy);
		}
	}
}

static void test_every_bit_flip_of_small_frames(void **state)
{
	u8 type;
	u32 bit;

	(void)state;
	for (type = next_type(0); type; type = next_type(type)) {
		random_small_body(type, &sent);
		build(type, 0, &sent);
		assert_int_equal(receive(frame, frame_bytes, type), WIRE_OK);
		for (bit = 0; bit < frame_bytes * 8; bit++) {
			frame[bit / 8] ^= (u8)(1 << bit % 8);
			assert_int_not_equal(receive(frame, frame_bytes, type), WIRE_OK);
			frame[bit / 8] ^= (u8)(1 << bit % 8);
		}
	}
}

/* Bits flipped under right checksums: whatever is accepted encodes to the same bytes again, so no bit is ignored. */
static void test_accepted_bodies_are_canonical(void **state)
{
	u8 type;
	u32 bit;

	(void)state;
	for (type = next_type(0); type; type = next_type(type)) {
		u32 fixed_bytes;

		random_small_body(type, &sent);
		fixed_bytes = wire_encode_body(type, &sent, frame + WIRE_HEADER_BYTES);
		for (bit = 0; bit < fixed_bytes * 8; bit++) {
			u8 *at = frame + WIRE_HEADER_BYTES + bit / 8;

			*at ^= (u8)(1 << bit % 8);
			seal(type, 0, fixed_bytes + wire_payload_bytes(type, 0, &sent));
			if (receive(frame, frame_bytes, type) == WIRE_OK) {
				assert_int_equal(wire_encode_body(type, &received, (u8 *)&again), fixed_bytes);
				assert_memory_equal(&again, frame + WIRE_HEADER_BYTES, fixed_bytes);
			}
			*at ^= (u8)(1 << bit % 8);
		}
	}
}

static enum wire_error decode_as(u8 type, u32 length_bytes, bool control, enum wire_phase phase, bool initiator,
				 u32 sequence)
{
	struct wire_header header = { .type = type, .sequence = 7, .length_bytes = length_bytes };
	u8 bytes[WIRE_HEADER_BYTES];

	wire_encode_header(&header, bytes);
	return wire_decode_header(bytes, control, phase, initiator, sequence, &header);
}

/* The sequence of a lane wraps: after the last number comes 0, and nothing else does. */
static void test_lane_sequence_wraps(void **state)
{
	struct wire_header header = { .type = WIRE_PING, .length_bytes = 8 };
	u32 last = 0xfffffffe, i;
	u8 bytes[WIRE_HEADER_BYTES];

	(void)state;
	for (i = 0; i < 4; i++) {
		header.sequence = last + i;
		wire_encode_header(&header, bytes);
		assert_int_equal(wire_decode_header(bytes, true, WIRE_PHASE_OPEN, false, last + i, &header), WIRE_OK);
		assert_true(wire_decode_header(bytes, true, WIRE_PHASE_OPEN, false, last + i + 1, &header) != WIRE_OK);
	}
}

/* [I22] Each type, lane, phase and direction; the limits of length in each; before authentication at most 512 bytes. */
static void test_limits_in_each_state_lane_direction(void **state)
{
	u32 type, phase, control, initiator;

	(void)state;
	for (type = 0; type < 256; type++) {
		const struct wire_rule *rule = wire_rule((u8)type);

		for (phase = 0; phase < 3; phase++) {
			for (control = 0; control < 2; control++) {
				for (initiator = 0; initiator < 2; initiator++) {
					u32 min = rule ? rule->min_bytes : 0, max = rule ? rule->max_bytes : 0;
					bool legal = rule && (rule->phases >> phase & 1) &&
						     (control ? rule->control : rule->data) &&
						     (rule->direction & (initiator ? 2 : 1));

					if (legal && phase != WIRE_PHASE_OPEN)
						assert_true(max <= WIRE_PREAUTH_BYTES_MAX);
					assert_int_equal(legal, decode_as((u8)type, min, control, phase, initiator, 7) ==
								WIRE_OK);
					assert_int_equal(legal, decode_as((u8)type, max, control, phase, initiator, 7) ==
								WIRE_OK);
					assert_true(decode_as((u8)type, max + 1, control, phase, initiator, 7) != WIRE_OK);
					assert_true(decode_as((u8)type, min - 1, control, phase, initiator, 7) != WIRE_OK);
					assert_true(decode_as((u8)type, 0xffffffff, control, phase, initiator, 7) !=
						    WIRE_OK);
				}
			}
		}
	}
	assert_int_equal(decode_as(WIRE_GREET, 200, false, WIRE_PHASE_OPEN, true, 7), WIRE_BAD_LANE);
	assert_int_equal(decode_as(WIRE_WRITE, 1024, true, WIRE_PHASE_OPEN, true, 7), WIRE_BAD_LANE);
	assert_int_equal(decode_as(WIRE_WRITE, 1024, false, WIRE_PHASE_PROOF, true, 7), WIRE_BAD_STATE);
	assert_int_equal(decode_as(WIRE_HELLO, 96, true, WIRE_PHASE_HELLO, true, 7), WIRE_BAD_DIRECTION);
	assert_int_equal(decode_as(WIRE_CHALLENGE, 96, true, WIRE_PHASE_HELLO, false, 7), WIRE_BAD_DIRECTION);
	assert_int_equal(decode_as(WIRE_PING, 8, true, WIRE_PHASE_OPEN, true, 8), WIRE_BAD_SEQUENCE);
	assert_int_equal(decode_as(5, 8, true, WIRE_PHASE_OPEN, true, 7), WIRE_BAD_TYPE);
	assert_int_equal(decode_as(WIRE_WRITE, IO_BYTES_MAX + 41, false, WIRE_PHASE_OPEN, true, 7), WIRE_BAD_LENGTH);
}

/* A frame of @sent, corrected checksums, must be refused with @error. */
static void expect(u8 type, u16 flags, int error)
{
	u32 fixed_bytes = wire_encode_body(type, &sent, frame + WIRE_HEADER_BYTES);
	u32 payload_bytes = wire_payload_bytes(type, flags, &sent);

	if (payload_bytes > WIRE_PAYLOAD_BYTES_MAX)
		payload_bytes = 512;
	seal(type, flags, fixed_bytes + payload_bytes);
	assert_int_equal(receive(frame, frame_bytes, type), error);
}

#define REFUSED(type, assignment)				\
	do {							\
		random_body(type, &sent);			\
		assignment;					\
		expect(type, 0, WIRE_BAD_FIELD);		\
	} while (0)

static void test_fields_out_of_range(void **state)
{
	(void)state;
	REFUSED(WIRE_HELLO, sent.hello.version_min = 0);
	REFUSED(WIRE_HELLO, (sent.hello.version_min = 3, sent.hello.version_max = 2));
	REFUSED(WIRE_HELLO, sent.hello.node_id = NODES_MAX);
	REFUSED(WIRE_HELLO, sent.hello.peer_id = NODE_NONE);
	REFUSED(WIRE_HELLO, sent.hello.lane = sent.hello.nr_lanes);
	REFUSED(WIRE_HELLO, sent.hello.nr_lanes = WIRE_LANES_MAX + 1);
	REFUSED(WIRE_HELLO, sent.hello.insecure = 2);
	REFUSED(WIRE_HELLO, sent.hello.session_id = 0);
	REFUSED(WIRE_CHALLENGE, sent.hello.version_max = sent.hello.version_min - 1);
	REFUSED(WIRE_REFUSE, sent.refuse.code = 0);
	REFUSED(WIRE_REFUSE, sent.refuse.code = WIRE_REFUSED_MAX + 1);
	REFUSED(WIRE_BYE, sent.bye.reason = WIRE_BYE_MAX + 1);
	REFUSED(WIRE_NODE, sent.node.family = 5);
	REFUSED(WIRE_NODE, sent.node.port = 0);
	REFUSED(WIRE_NODE, sent.node.name[0] = '-');
	REFUSED(WIRE_GREET, sent.greet.name[0] = '.');
	REFUSED(WIRE_GREET, sent.greet.name[0] = '\0');
	REFUSED(WIRE_GREET, sent.greet.name[0] = '/');
	REFUSED(WIRE_GREET, sent.greet.volume_id = 0);
	REFUSED(WIRE_GREET, sent.greet.number = 0);
	REFUSED(WIRE_GREET, sent.greet.volume_bytes = VOLUME_BYTES_MAX + 4096);
	REFUSED(WIRE_GREET, sent.greet.volume_bytes -= 512);
	REFUSED(WIRE_GREET, sent.greet.granule_bytes = 12288);
	REFUSED(WIRE_GREET, sent.greet.block_shift = 1);
	REFUSED(WIRE_GREET, sent.greet.block_shift = VOLUME_BLOCK_SHIFT_MAX + 1);
	REFUSED(WIRE_GREET, sent.greet.actlog_parts = ACTLOG_PARTS_MAX + 1);
	REFUSED(WIRE_GREET, sent.greet.flags = 2 * WIRE_GREET_BLANK);
	REFUSED(WIRE_GREET, sent.greet.authority = NODE_NONE);
	REFUSED(WIRE_GREET, sent.greet.replicas = 0x1ffff);
	REFUSED(WIRE_GREET, sent.greet.primary = NODES_MAX);
	REFUSED(WIRE_GREET, (sent.greet.flags |= WIRE_GREET_DISK, sent.greet.replica_id = 0));
	REFUSED(WIRE_VERDICT, sent.verdict.verdict = LINEAGE_UNRELATED + 1);
	REFUSED(WIRE_VERDICT, sent.verdict.plan = VOLUME_PLANS);
	REFUSED(WIRE_RECORD, sent.record.record.id = 0);
	REFUSED(WIRE_RECORD, sent.record.parent_written = 2);
	REFUSED(WIRE_RECORD, sent.record.record.members = 0);
	REFUSED(WIRE_RECORD, sent.record.record.writer = NODES_MAX);
	REFUSED(WIRE_RECORD_ACK, sent.record_ack.ok = 2);
	REFUSED(WIRE_PROMOTE_ANSWER, (sent.promote.granted = 0, sent.promote.reason = VOLUME_REFUSALS));
	REFUSED(WIRE_SYNC_DONE, sent.volume.value = 0);
	REFUSED(WIRE_SYNC_READY, sent.volume.value = 0);
	REFUSED(WIRE_RANGES_END, sent.volume.node = NODE_NONE);
	REFUSED(WIRE_SYNC_ACCEPT, (random_generation(&sent.accept.chain.record[0], 0, 1), sent.accept.chain.count = 1,
				   sent.accept.chain.record[0].id = 0));
	REFUSED(WIRE_WRITE, sent.io.offset_bytes += 1);
	REFUSED(WIRE_WRITE, sent.io.offset_bytes = VOLUME_BYTES_MAX);
	REFUSED(WIRE_WRITE, sent.io.offset_bytes = ~511ull);
	REFUSED(WIRE_WRITE, sent.io.generation_id = 0);
	REFUSED(WIRE_DISCARD, sent.io.length_bytes = IO_BYTES_MAX + 512);
	REFUSED(WIRE_DISCARD, sent.io.length_bytes = 0);
	REFUSED(WIRE_READ, sent.io.volume_id = 0);
	REFUSED(WIRE_DIGESTS, sent.resync.length_bytes = 4097);
	REFUSED(WIRE_DIGESTS, sent.resync.offset_bytes += 512);
	REFUSED(WIRE_DIFFERS, (sent.resync.length_bytes = 4096, sent.resync.pieces = 2));
	REFUSED(WIRE_DIFFERS, sent.resync.length_bytes = RESYNC_CHUNK_BYTES + 4096);
	REFUSED(WIRE_DIFFERS, sent.resync.error = 2);
	REFUSED(WIRE_EVICT, (sent.evict.nr = 1, sent.evict.region[0] = VOLUME_BYTES_MAX / ACTLOG_REGION_BYTES));
	REFUSED(WIRE_ACKS, (sent.acks.nr = 1, sent.acks.ack[0].result = WIRE_ACK_RESULTS));
	REFUSED(WIRE_RANGES, (sent.ranges.nr = 1, sent.ranges.range[0].length_bytes = 0));
	REFUSED(WIRE_RANGES, (sent.ranges.nr = 1, sent.ranges.range[0].start_bytes = 0,
			      sent.ranges.range[0].length_bytes = VOLUME_BYTES_MAX + 512));
	REFUSED(WIRE_RANGES, (sent.ranges.nr = 1, sent.ranges.range[0].start_bytes = ~0ull - 511,
			      sent.ranges.range[0].length_bytes = 1024));
}

static void test_flags_that_do_not_belong(void **state)
{
	u8 type;
	u32 bit;

	(void)state;
	for (type = next_type(0); type; type = next_type(type)) {
		for (bit = 0; bit < 16; bit++) {
			if (wire_flags_allowed(type) >> bit & 1)
				continue;
			random_body(type, &sent);
			expect(type, (u16)(1u << bit), WIRE_BAD_FIELD);
		}
	}
}

static void test_request_id_before_authentication(void **state)
{
	struct wire_header header = { .type = WIRE_HELLO, .length_bytes = 96, .request_id = 1 };
	u8 bytes[WIRE_HEADER_BYTES];

	(void)state;
	wire_encode_header(&header, bytes);
	assert_int_equal(wire_decode_header(bytes, true, WIRE_PHASE_HELLO, false, 0, &header), WIRE_BAD_FIELD);
}

static void test_payload_of_zero_pieces(void **state)
{
	(void)state;
	random_body(WIRE_RESYNC_DATA, &sent);
	sent.resync.length_bytes = RESYNC_CHUNK_BYTES;
	sent.resync.offset_bytes = 0;
	sent.resync.pieces = 0xffffffff;
	assert_int_equal(wire_payload_bytes(WIRE_RESYNC_DATA, 0, &sent), RESYNC_CHUNK_BYTES);
	assert_int_equal(wire_payload_bytes(WIRE_RESYNC_DATA, WIRE_ZERO_PIECES, &sent), 0);
	build(WIRE_RESYNC_DATA, WIRE_ZERO_PIECES, &sent);
	assert_int_equal(frame_bytes, WIRE_HEADER_BYTES + 32);
	assert_int_equal(receive(frame, frame_bytes, WIRE_RESYNC_DATA), WIRE_OK);
	seal(WIRE_RESYNC_DATA, WIRE_ZERO_PIECES, 32 + 4096);
	assert_int_equal(receive(frame, frame_bytes, WIRE_RESYNC_DATA), WIRE_BAD_LENGTH);
}

static void test_random_bytes(void **state)
{
	u8 type;
	int i;

	(void)state;
	for (type = next_type(0); type; type = next_type(type)) {
		const struct wire_rule *rule = wire_rule(type);

		for (i = 0; i < 200; i++) {
			u32 max_bytes = rule->max_bytes < 5000 ? rule->max_bytes : 5000;
			u32 body_bytes = rule->min_bytes + (u32)random_below(max_bytes - rule->min_bytes + 1);

			random_fill(frame + WIRE_HEADER_BYTES, body_bytes);
			if (i & 1)
				memset(frame + WIRE_HEADER_BYTES + body_bytes / 4, 0, body_bytes / 2);
			seal(type, 0, body_bytes);
			receive(frame, frame_bytes, type);
		}
	}
}

static void test_names_of_codes(void **state)
{
	(void)state;
	assert_string_equal(wire_type_name(WIRE_GREET), "GREET");
	assert_string_equal(wire_type_name(0), "?");
	assert_string_equal(wire_type_name(255), "?");
	assert_string_equal(wire_error_name(WIRE_BAD_SEQUENCE), "BAD_SEQUENCE");
	assert_string_equal(wire_error_name(99), "?");
	assert_string_equal(wire_refusal_name(WIRE_REFUSED_MAX), "DISCONNECTED");
	assert_string_equal(wire_refusal_name(0), "?");
}

static void test_crc32c_vector(void **state)
{
	u8 zeroes[32] = { 0 };

	(void)state;
	assert_int_equal(core_crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(core_crc32c(0, zeroes, 32), 0x8a9136aa);
	assert_int_equal(core_crc32c(core_crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
}

static void test_body_crc_sees_both_parts(void **state)
{
	u32 fixed = core_crc32c(0, "fixed", 5), payload = core_crc32c(0, "payload", 7);
	u8 whole[9] = { 'f', 'i', 'x', 'e', 'd' };

	(void)state;
	core_put_le32(whole + 5, payload);
	assert_int_equal(wire_body_crc(fixed, payload), core_crc32c(0, whole, sizeof(whole)));
	assert_int_not_equal(wire_body_crc(fixed, payload), wire_body_crc(fixed, payload ^ 1));
	assert_int_not_equal(wire_body_crc(fixed, payload), wire_body_crc(fixed ^ 1, payload));
}

/* Both ends compute it from what they chose together: XXH64 only if both can, and not both have the instruction. */
static void test_payload_checksum_of_features(void **state)
{
	u64 mine, theirs;

	(void)state;
	for (mine = 0; mine < 4; mine++) {
		for (theirs = 0; theirs < 4; theirs++) {
			bool xxh = mine & theirs & WIRE_FEATURE_XXH64, fast = mine & theirs & WIRE_FEATURE_CRC32C_FAST;

			assert_int_equal(wire_payload_checksum(mine & theirs),
					 xxh && !fast ? WIRE_CHECKSUM_XXH64 : WIRE_CHECKSUM_CRC32C);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip_of_every_type),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_every_other_body_length),
		cmocka_unit_test(test_every_bit_flip_of_small_frames),
		cmocka_unit_test(test_accepted_bodies_are_canonical),
		cmocka_unit_test(test_limits_in_each_state_lane_direction),
		cmocka_unit_test(test_lane_sequence_wraps),
		cmocka_unit_test(test_fields_out_of_range),
		cmocka_unit_test(test_flags_that_do_not_belong),
		cmocka_unit_test(test_request_id_before_authentication),
		cmocka_unit_test(test_payload_of_zero_pieces),
		cmocka_unit_test(test_random_bytes),
		cmocka_unit_test(test_names_of_codes),
		cmocka_unit_test(test_crc32c_vector),
		cmocka_unit_test(test_body_crc_sees_both_parts),
		cmocka_unit_test(test_payload_checksum_of_features),
	};

	random_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
