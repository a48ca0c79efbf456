// SPDX-License-Identifier: GPL-2.0
/*
 * Codec of the frames between nodes [N4] [I22]: one table of rules, one decoder that trusts nothing.
 *
 * Bodies, offsets in bytes, little endian; what is not named is zero and checked to be zero:
 *   HELLO, CHALLENGE   96  0 u16 version_min, 2 u16 version_max, 4 node, 5 peer, 6 lane, 7 nr_lanes, 8 u64 features,
 *                          16 u64 session, 24 insecure, 32 cluster[16], 48 instance[16], 64 nonce[32]
 *   PROOF              32  0 mac[32]
 *   REFUSE, BYE         4  0 code
 *   PING, PONG          8  0 u64 stamp_ns
 *   NODE               88  0 node, 1 family, 2 u16 port, 8 address[16], 24 name[64]
 *   GREET       128 + chain  0 u64 volume, 8 u64 replica, 16 u64 volume_bytes, 24 u32 granule_bytes, 28 u32 actlog_parts,
 *                          32 u32 number, 36 u32 flags, 40 u32 replicas, 44 primary, 45 sync_source, 46 authority, 47 block_shift,
 *                          48 name[64], 128 chain (codec.h)
 *   VERDICT            24  0 u64 volume, 8 u32 my_number, 12 u32 your_number, 16 verdict, 17 plan
 *   RECORD             48  0 u64 volume, 8 u32 serial, 16 generation record (codec.h)
 *   RECORD_ACK         16  0 u64 volume, 8 u32 serial, 12 ok
 *   PROMOTE_*          16  0 u64 volume, 8 u32 serial, 12 granted, 13 reason
 *   SYNC_START, _READY, _DONE, VOLUME_GONE, RESOLVE, RANGES_END
 *                      24  0 u64 volume, 8 u64 value, 16 node
 *   RANGES   16 + 16 * nr  0 u64 volume, 8 node, 10 u16 nr, 16 { u64 start_bytes, u64 length_bytes }
 *   SYNC_ACCEPT 8 + chain  0 u64 volume, 8 chain
 * Those of the data lanes: wire_data.c.
 */
#include "codec.h"
#include "volume.h"
#include "wire_internal.h"

enum {
	PING_BYTES = 8,
	NODE_BYTES = 88,
	BYE_BYTES = 4,
	GREET_BYTES = 128,	/* without the chain */
	VERDICT_BYTES = 24,
	RECORD_BYTES = 16 + CODEC_GENERATION_BYTES,
	SERIAL_BYTES = 16,	/* RECORD_ACK, PROMOTE_ASK, PROMOTE_ANSWER */
	VOLUME_BYTES = 24,
	RANGES_BYTES = 16,
	RANGE_BYTES = 16,
	ACCEPT_BYTES = 8,	/* without the chain */

	GREET_FLAGS_KNOWN = WIRE_GREET_PRIMARY | WIRE_GREET_DISK | WIRE_GREET_SYNCING | WIRE_GREET_DIRTY |
			    WIRE_GREET_YIELD | WIRE_GREET_SPLIT | WIRE_GREET_IN_SYNC |
			    WIRE_GREET_WITH_PRIMARY | WIRE_GREET_BLANK,
};

CORE_STATIC_ASSERT(GREET_BYTES + CODEC_CHAIN_BYTES_MAX <= WIRE_FIXED_BYTES_MAX, "GREET fits");
CORE_STATIC_ASSERT(RANGES_BYTES + WIRE_RANGES_MAX * RANGE_BYTES <= WIRE_FIXED_BYTES_MAX, "RANGES fits");
CORE_STATIC_ASSERT((u32)WIRE_HELLO_BYTES <= (u32)WIRE_PREAUTH_BYTES_MAX, "HELLO fits before authentication");

struct codec {
	struct wire_rule rule;
	u16 flags;		/* that may be set */
	u16 payload_after;	/* fixed bytes before payload; 0: the type has no payload */
	u32 (*encode)(u8 type, const union wire_body *body, u8 *buffer);
	enum wire_error (*decode)(const struct wire_input *in, union wire_body *body);
};

u32 wire_encode_hello(const struct wire_hello *hello, u8 *buffer)
{
	memset(buffer, 0, WIRE_HELLO_BYTES);
	core_put_le16(buffer, hello->version_min);
	core_put_le16(buffer + 2, hello->version_max);
	buffer[4] = hello->node_id;
	buffer[5] = hello->peer_id;
	buffer[6] = hello->lane;
	buffer[7] = hello->nr_lanes;
	core_put_le64(buffer + 8, hello->features);
	core_put_le64(buffer + 16, hello->session_id);
	buffer[24] = hello->insecure;
	memcpy(buffer + 32, hello->cluster_id, UUID_BYTES);
	memcpy(buffer + 48, hello->node_instance, UUID_BYTES);
	memcpy(buffer + 64, hello->nonce, NONCE_BYTES);
	return WIRE_HELLO_BYTES;
}

static u32 encode_hello(u8 type, const union wire_body *body, u8 *buffer)
{
	(void)type;
	return wire_encode_hello(&body->hello, buffer);
}

static enum wire_error decode_hello(const struct wire_input *in, union wire_body *body)
{
	struct wire_hello *hello = &body->hello;
	const u8 *b = in->bytes;

	hello->version_min = core_get_le16(b);
	hello->version_max = core_get_le16(b + 2);
	hello->node_id = b[4];
	hello->peer_id = b[5];
	hello->lane = b[6];
	hello->nr_lanes = b[7];
	hello->features = core_get_le64(b + 8);
	hello->session_id = core_get_le64(b + 16);
	hello->insecure = b[24];
	memcpy(hello->cluster_id, b + 32, UUID_BYTES);
	memcpy(hello->node_instance, b + 48, UUID_BYTES);
	memcpy(hello->nonce, b + 64, NONCE_BYTES);
	if (in->type == WIRE_CHALLENGE && hello->version_min != hello->version_max)
		return WIRE_BAD_FIELD;
	return wire_field_error(hello->version_min >= 1 && hello->version_min <= hello->version_max &&
				codec_node_valid(hello->node_id, false) && codec_node_valid(hello->peer_id, false) &&
				hello->session_id && hello->nr_lanes <= WIRE_LANES_MAX && hello->lane < hello->nr_lanes &&
				hello->insecure <= 1 && codec_is_zero(b + 25, 7));
}

u32 wire_encode_proof(const struct wire_proof *proof, u8 *buffer)
{
	memcpy(buffer, proof->mac, MAC_BYTES);
	return WIRE_PROOF_BYTES;
}

static u32 encode_proof(u8 type, const union wire_body *body, u8 *buffer)
{
	(void)type;
	return wire_encode_proof(&body->proof, buffer);
}

static enum wire_error decode_proof(const struct wire_input *in, union wire_body *body)
{
	memcpy(body->proof.mac, in->bytes, MAC_BYTES);
	return WIRE_OK;
}

u32 wire_encode_refuse(const struct wire_refuse *refuse, u8 *buffer)
{
	core_put_le32(buffer, refuse->code);
	return WIRE_REFUSE_BYTES;
}

static u32 encode_refuse(u8 type, const union wire_body *body, u8 *buffer)
{
	(void)type;
	return wire_encode_refuse(&body->refuse, buffer);
}

static enum wire_error decode_refuse(const struct wire_input *in, union wire_body *body)
{
	body->refuse.code = in->bytes[0];
	return wire_field_error(in->bytes[0] >= 1 && in->bytes[0] <= WIRE_REFUSED_MAX && codec_is_zero(in->bytes + 1, 3));
}

static u32 encode_ping(u8 type, const union wire_body *body, u8 *buffer)
{
	(void)type;
	core_put_le64(buffer, body->ping.stamp_ns);
	return PING_BYTES;
}

static enum wire_error decode_ping(const struct wire_input *in, union wire_body *body)
{
	body->ping.stamp_ns = core_get_le64(in->bytes);
	return WIRE_OK;
}

static u32 encode_node(u8 type, const union wire_body *body, u8 *buffer)
{
	const struct wire_node *node = &body->node;

	(void)type;
	memset(buffer, 0, NODE_BYTES);
	buffer[0] = node->node_id;
	buffer[1] = node->family;
	core_put_le16(buffer + 2, node->port);
	memcpy(buffer + 8, node->address, node->family == 4 ? 4 : 16);
	codec_name_encode(node->name, buffer + 24);
	return NODE_BYTES;
}

static enum wire_error decode_node(const struct wire_input *in, union wire_body *body)
{
	struct wire_node *node = &body->node;
	const u8 *b = in->bytes;

	node->node_id = b[0];
	node->family = b[1];
	node->port = core_get_le16(b + 2);
	memcpy(node->address, b + 8, sizeof(node->address));
	if (!codec_name_decode(b + 24, node->name) || !codec_node_valid(b[0], false) || !codec_is_zero(b + 4, 4))
		return WIRE_BAD_FIELD;
	return wire_field_error(node->port && (b[1] == 6 || (b[1] == 4 && codec_is_zero(b + 12, 12))));
}

static u32 encode_bye(u8 type, const union wire_body *body, u8 *buffer)
{
	(void)type;
	core_put_le32(buffer, body->bye.reason);
	return BYE_BYTES;
}

static enum wire_error decode_bye(const struct wire_input *in, union wire_body *body)
{
	body->bye.reason = in->bytes[0];
	return wire_field_error(in->bytes[0] >= 1 && in->bytes[0] <= WIRE_BYE_MAX && codec_is_zero(in->bytes + 1, 3));
}

static u32 encode_greet(u8 type, const union wire_body *body, u8 *buffer)
{
	const struct wire_greet *greet = &body->greet;

	(void)type;
	memset(buffer, 0, GREET_BYTES);
	core_put_le64(buffer, greet->volume_id);
	core_put_le64(buffer + 8, greet->replica_id);
	core_put_le64(buffer + 16, greet->volume_bytes);
	core_put_le32(buffer + 24, greet->granule_bytes);
	core_put_le32(buffer + 28, greet->actlog_parts);
	core_put_le32(buffer + 32, greet->number);
	core_put_le32(buffer + 36, greet->flags);
	core_put_le32(buffer + 40, greet->replicas);
	buffer[44] = greet->primary;
	buffer[45] = greet->sync_source;
	buffer[46] = greet->authority;
	buffer[47] = greet->block_shift;
	codec_name_encode(greet->name, buffer + 48);
	return GREET_BYTES + codec_chain_encode(&greet->chain, buffer + GREET_BYTES);
}

/* A replica without a disk may not know its sizes; what it does say has to be possible. */
static bool greet_sizes_valid(const struct wire_greet *greet)
{
	bool disk = greet->flags & WIRE_GREET_DISK;

	if (disk && (!greet->replica_id || !greet->volume_bytes || !greet->granule_bytes || !greet->actlog_parts ||
		     !greet->replicas))
		return false;
	return codec_extent_valid(0, greet->volume_bytes, VOLUME_BLOCK_BYTES) && codec_block_shift_valid(greet->block_shift) &&
	       (!greet->granule_bytes || codec_granule_valid(greet->granule_bytes)) &&
	       greet->actlog_parts <= ACTLOG_PARTS_MAX && codec_count_bits(greet->replicas) <= REPLICAS_MAX;
}

static enum wire_error decode_greet(const struct wire_input *in, union wire_body *body)
{
	struct wire_greet *greet = &body->greet;
	const u8 *b = in->bytes;
	u32 used_bytes = 0;

	greet->volume_id = core_get_le64(b);
	greet->replica_id = core_get_le64(b + 8);
	greet->volume_bytes = core_get_le64(b + 16);
	greet->granule_bytes = core_get_le32(b + 24);
	greet->actlog_parts = core_get_le32(b + 28);
	greet->number = core_get_le32(b + 32);
	greet->flags = core_get_le32(b + 36);
	greet->replicas = core_get_le32(b + 40);
	greet->primary = b[44];
	greet->sync_source = b[45];
	greet->authority = b[46];
	greet->block_shift = b[47];
	if (!codec_name_decode(b + 48, greet->name) || !codec_is_zero(b + 112, 16) ||
	    !greet->volume_id || !greet->number || (greet->flags & ~(u32)GREET_FLAGS_KNOWN) ||
	    !codec_node_valid(greet->primary, true) || !codec_node_valid(greet->sync_source, true) ||
	    !codec_node_valid(greet->authority, false) || !greet_sizes_valid(greet))
		return WIRE_BAD_FIELD;
	if (!codec_chain_decode(b + GREET_BYTES, in->length_bytes - GREET_BYTES, &greet->chain, &used_bytes))
		return WIRE_BAD_FIELD;
	return used_bytes == in->length_bytes - GREET_BYTES ? WIRE_OK : WIRE_BAD_LENGTH;
}

static u32 encode_verdict(u8 type, const union wire_body *body, u8 *buffer)
{
	const struct wire_verdict *verdict = &body->verdict;

	(void)type;
	memset(buffer, 0, VERDICT_BYTES);
	core_put_le64(buffer, verdict->volume_id);
	core_put_le32(buffer + 8, verdict->my_number);
	core_put_le32(buffer + 12, verdict->your_number);
	buffer[16] = verdict->verdict;
	buffer[17] = verdict->plan;
	return VERDICT_BYTES;
}

static enum wire_error decode_verdict(const struct wire_input *in, union wire_body *body)
{
	struct wire_verdict *verdict = &body->verdict;
	const u8 *b = in->bytes;

	verdict->volume_id = core_get_le64(b);
	verdict->my_number = core_get_le32(b + 8);
	verdict->your_number = core_get_le32(b + 12);
	verdict->verdict = b[16];
	verdict->plan = b[17];
	return wire_field_error(verdict->volume_id && verdict->my_number && verdict->your_number &&
				b[16] <= LINEAGE_UNRELATED && b[17] < VOLUME_PLANS && codec_is_zero(b + 18, 6));
}

static u32 encode_record(u8 type, const union wire_body *body, u8 *buffer)
{
	(void)type;
	memset(buffer, 0, RECORD_BYTES);
	core_put_le64(buffer, body->record.volume_id);
	core_put_le32(buffer + 8, body->record.serial);
	buffer[12] = body->record.parent_written;
	codec_generation_encode(&body->record.record, buffer + 16);
	return RECORD_BYTES;
}

static enum wire_error decode_record(const struct wire_input *in, union wire_body *body)
{
	struct wire_record *record = &body->record;

	record->volume_id = core_get_le64(in->bytes);
	record->serial = core_get_le32(in->bytes + 8);
	record->parent_written = in->bytes[12];
	return wire_field_error(record->volume_id && record->parent_written <= 1 && codec_is_zero(in->bytes + 13, 3) &&
				codec_generation_decode(in->bytes + 16, &record->record));
}

static u32 encode_record_ack(u8 type, const union wire_body *body, u8 *buffer)
{
	(void)type;
	core_put_le64(buffer, body->record_ack.volume_id);
	core_put_le32(buffer + 8, body->record_ack.serial);
	core_put_le32(buffer + 12, body->record_ack.ok);
	return SERIAL_BYTES;
}

static enum wire_error decode_record_ack(const struct wire_input *in, union wire_body *body)
{
	struct wire_record_ack *ack = &body->record_ack;

	ack->volume_id = core_get_le64(in->bytes);
	ack->serial = core_get_le32(in->bytes + 8);
	ack->ok = in->bytes[12];
	return wire_field_error(ack->volume_id && ack->ok <= 1 && codec_is_zero(in->bytes + 13, 3));
}

static u32 encode_promote(u8 type, const union wire_body *body, u8 *buffer)
{
	const struct wire_promote *promote = &body->promote;

	core_put_le64(buffer, promote->volume_id);
	core_put_le32(buffer + 8, promote->serial);
	core_put_le32(buffer + 12, 0);
	if (type == WIRE_PROMOTE_ANSWER) {
		buffer[12] = promote->granted;
		buffer[13] = promote->granted ? 0 : promote->reason;
	}
	return SERIAL_BYTES;
}

static enum wire_error decode_promote(const struct wire_input *in, union wire_body *body)
{
	struct wire_promote *promote = &body->promote;

	promote->volume_id = core_get_le64(in->bytes);
	promote->serial = core_get_le32(in->bytes + 8);
	promote->granted = in->bytes[12];
	promote->reason = in->bytes[13];
	if (in->type == WIRE_PROMOTE_ASK && !codec_is_zero(in->bytes + 12, 2))
		return WIRE_BAD_FIELD;
	return wire_field_error(promote->volume_id && promote->granted <= 1 && promote->reason < VOLUME_REFUSALS &&
				!(promote->granted && promote->reason) && codec_is_zero(in->bytes + 14, 2));
}

static bool volume_type_has_value(u8 type)
{
	return type == WIRE_SYNC_READY || type == WIRE_SYNC_DONE || type == WIRE_RESOLVE;
}

static u32 encode_volume(u8 type, const union wire_body *body, u8 *buffer)
{
	memset(buffer, 0, VOLUME_BYTES);
	core_put_le64(buffer, body->volume.volume_id);
	core_put_le64(buffer + 8, volume_type_has_value(type) ? body->volume.value : 0);
	buffer[16] = type == WIRE_RANGES_END ? body->volume.node : NODE_NONE;
	return VOLUME_BYTES;
}

static enum wire_error decode_volume(const struct wire_input *in, union wire_body *body)
{
	struct wire_volume *volume = &body->volume;

	volume->volume_id = core_get_le64(in->bytes);
	volume->value = core_get_le64(in->bytes + 8);
	volume->node = in->bytes[16];
	if (!volume->volume_id || !codec_is_zero(in->bytes + 17, 7) ||
	    volume_type_has_value(in->type) != (volume->value != 0))
		return WIRE_BAD_FIELD;
	return wire_field_error(in->type == WIRE_RANGES_END ? codec_node_valid(volume->node, false) :
							      volume->node == NODE_NONE);
}

static u32 encode_ranges(u8 type, const union wire_body *body, u8 *buffer)
{
	const struct wire_ranges *ranges = &body->ranges;
	u8 *b = buffer + RANGES_BYTES;
	u32 i;

	(void)type;
	memset(buffer, 0, RANGES_BYTES);
	core_put_le64(buffer, ranges->volume_id);
	buffer[8] = ranges->node;
	core_put_le16(buffer + 10, ranges->nr);
	for (i = 0; i < ranges->nr && i < WIRE_RANGES_MAX; i++, b += RANGE_BYTES) {
		core_put_le64(b, ranges->range[i].start_bytes);
		core_put_le64(b + 8, ranges->range[i].length_bytes);
	}
	return (u32)(b - buffer);
}

static enum wire_error decode_ranges(const struct wire_input *in, union wire_body *body)
{
	struct wire_ranges *ranges = &body->ranges;
	const u8 *b = in->bytes + RANGES_BYTES;
	u32 i;

	ranges->volume_id = core_get_le64(in->bytes);
	ranges->node = in->bytes[8];
	ranges->nr = core_get_le16(in->bytes + 10);
	if (ranges->nr > WIRE_RANGES_MAX || in->length_bytes != RANGES_BYTES + (u32)ranges->nr * RANGE_BYTES)
		return WIRE_BAD_LENGTH;
	if (!ranges->volume_id || !codec_node_valid(ranges->node, false) || in->bytes[9] ||
	    !codec_is_zero(in->bytes + 12, 4))
		return WIRE_BAD_FIELD;
	for (i = 0; i < ranges->nr; i++, b += RANGE_BYTES) {
		struct wire_range *range = &ranges->range[i];

		range->start_bytes = core_get_le64(b);
		range->length_bytes = core_get_le64(b + 8);
		if (!range->length_bytes ||
		    !codec_extent_valid(range->start_bytes, range->length_bytes, VOLUME_SECTOR_BYTES))
			return WIRE_BAD_FIELD;
	}
	return WIRE_OK;
}

static u32 encode_accept(u8 type, const union wire_body *body, u8 *buffer)
{
	(void)type;
	core_put_le64(buffer, body->accept.volume_id);
	return ACCEPT_BYTES + codec_chain_encode(&body->accept.chain, buffer + ACCEPT_BYTES);
}

static enum wire_error decode_accept(const struct wire_input *in, union wire_body *body)
{
	struct wire_accept *accept = &body->accept;
	u32 used_bytes = 0;

	accept->volume_id = core_get_le64(in->bytes);
	if (!accept->volume_id || !codec_chain_decode(in->bytes + ACCEPT_BYTES, in->length_bytes - ACCEPT_BYTES,
						      &accept->chain, &used_bytes))
		return WIRE_BAD_FIELD;
	return used_bytes == in->length_bytes - ACCEPT_BYTES ? WIRE_OK : WIRE_BAD_LENGTH;
}

#define PHASE(name) (1u << WIRE_PHASE_##name)
#define BEFORE (PHASE(HELLO) | PHASE(PROOF))
#define CONTROL(text, min, max, allowed_flags, codec_name)						\
	{ { text, min, max, PHASE(OPEN), WIRE_BOTH, 1, 0 }, allowed_flags, 0, encode_##codec_name, decode_##codec_name }
#define DATA(text, min, max, allowed_flags, payload_after, codec_name)					\
	{ { text, min, max, PHASE(OPEN), WIRE_BOTH, 0, 1 }, allowed_flags, payload_after,		\
	  wire_data_encode_##codec_name, wire_data_decode_##codec_name }

static const struct codec codecs[] = {
	[WIRE_HELLO] = { { "HELLO", WIRE_HELLO_BYTES, WIRE_HELLO_BYTES, PHASE(HELLO), WIRE_TO_RESPONDER, 1, 1 },
			 0, 0, encode_hello, decode_hello },
	[WIRE_CHALLENGE] = { { "CHALLENGE", WIRE_HELLO_BYTES, WIRE_HELLO_BYTES, PHASE(HELLO), WIRE_TO_INITIATOR, 1, 1 },
			     0, 0, encode_hello, decode_hello },
	[WIRE_PROOF] = { { "PROOF", WIRE_PROOF_BYTES, WIRE_PROOF_BYTES, PHASE(PROOF), WIRE_BOTH, 1, 1 },
			 0, 0, encode_proof, decode_proof },
	[WIRE_REFUSE] = { { "REFUSE", WIRE_REFUSE_BYTES, WIRE_REFUSE_BYTES, BEFORE, WIRE_BOTH, 1, 1 },
			  0, 0, encode_refuse, decode_refuse },

	[WIRE_PING] = CONTROL("PING", PING_BYTES, PING_BYTES, 0, ping),
	[WIRE_PONG] = CONTROL("PONG", PING_BYTES, PING_BYTES, 0, ping),
	[WIRE_NODE] = CONTROL("NODE", NODE_BYTES, NODE_BYTES, WIRE_LAST, node),
	[WIRE_BYE] = CONTROL("BYE", BYE_BYTES, BYE_BYTES, 0, bye),

	[WIRE_GREET] = CONTROL("GREET", GREET_BYTES + CODEC_CHAIN_HEADER_BYTES, GREET_BYTES + CODEC_CHAIN_BYTES_MAX, 0,
			       greet),
	[WIRE_VERDICT] = CONTROL("VERDICT", VERDICT_BYTES, VERDICT_BYTES, 0, verdict),
	[WIRE_RECORD] = CONTROL("RECORD", RECORD_BYTES, RECORD_BYTES, 0, record),
	[WIRE_RECORD_ACK] = CONTROL("RECORD_ACK", SERIAL_BYTES, SERIAL_BYTES, 0, record_ack),
	[WIRE_PROMOTE_ASK] = CONTROL("PROMOTE_ASK", SERIAL_BYTES, SERIAL_BYTES, 0, promote),
	[WIRE_PROMOTE_ANSWER] = CONTROL("PROMOTE_ANSWER", SERIAL_BYTES, SERIAL_BYTES, 0, promote),
	[WIRE_SYNC_START] = CONTROL("SYNC_START", VOLUME_BYTES, VOLUME_BYTES, 0, volume),
	[WIRE_RANGES] = CONTROL("RANGES", RANGES_BYTES, RANGES_BYTES + WIRE_RANGES_MAX * RANGE_BYTES, WIRE_LAST, ranges),
	[WIRE_RANGES_END] = CONTROL("RANGES_END", VOLUME_BYTES, VOLUME_BYTES, 0, volume),
	[WIRE_SYNC_ACCEPT] = CONTROL("SYNC_ACCEPT", ACCEPT_BYTES + CODEC_CHAIN_HEADER_BYTES,
				     ACCEPT_BYTES + CODEC_CHAIN_BYTES_MAX, 0, accept),
	[WIRE_SYNC_READY] = CONTROL("SYNC_READY", VOLUME_BYTES, VOLUME_BYTES, 0, volume),
	[WIRE_SYNC_DONE] = CONTROL("SYNC_DONE", VOLUME_BYTES, VOLUME_BYTES, 0, volume),
	[WIRE_VOLUME_GONE] = CONTROL("VOLUME_GONE", VOLUME_BYTES, VOLUME_BYTES, 0, volume),
	[WIRE_RESOLVE] = CONTROL("RESOLVE", VOLUME_BYTES, VOLUME_BYTES, 0, volume),

	[WIRE_WRITE] = DATA("WRITE", IO_FIXED_BYTES + VOLUME_SECTOR_BYTES, IO_FIXED_BYTES + IO_BYTES_MAX, WIRE_FUA,
			    IO_FIXED_BYTES, io),
	[WIRE_DISCARD] = DATA("DISCARD", IO_FIXED_BYTES, IO_FIXED_BYTES, WIRE_FUA, 0, io),
	[WIRE_ZEROES] = DATA("ZEROES", IO_FIXED_BYTES, IO_FIXED_BYTES, WIRE_FUA, 0, io),
	[WIRE_FLUSH] = DATA("FLUSH", IO_FIXED_BYTES, IO_FIXED_BYTES, 0, 0, io),
	[WIRE_ACKS] = DATA("ACKS", ACKS_BYTES, ACKS_BYTES + WIRE_ACKS_MAX * ACK_BYTES, 0, 0, acks),
	[WIRE_READ] = DATA("READ", IO_FIXED_BYTES, IO_FIXED_BYTES, 0, 0, io),
	[WIRE_READ_DATA] = DATA("READ_DATA", IO_FIXED_BYTES, IO_FIXED_BYTES + IO_BYTES_MAX, WIRE_LAST, IO_FIXED_BYTES,
				io),
	[WIRE_EVICT] = DATA("EVICT", EVICT_BYTES, EVICT_BYTES + WIRE_REGIONS_MAX * REGION_BYTES, WIRE_LAST, 0, evict),
	[WIRE_DIGESTS] = DATA("DIGESTS", DIGESTS_BYTES + DIGEST_BYTES, DIGESTS_BYTES + RESYNC_CHUNK_PIECES * DIGEST_BYTES,
			      WIRE_LAST, 0, digests),
	[WIRE_DIFFERS] = DATA("DIFFERS", RESYNC_BYTES, RESYNC_BYTES, WIRE_LAST, 0, resync),
	[WIRE_RESYNC_DATA] = DATA("RESYNC_DATA", RESYNC_BYTES, RESYNC_BYTES + RESYNC_CHUNK_BYTES,
				  WIRE_FUA | WIRE_LAST | WIRE_ZERO_PIECES, RESYNC_BYTES, resync),
};

static const struct codec *find_codec(u8 type)
{
	if (type >= CORE_ARRAY_SIZE(codecs) || !codecs[type].rule.name)
		return NULL;
	return &codecs[type];
}

const struct wire_rule *wire_rule(u8 type)
{
	const struct codec *codec = find_codec(type);

	return codec ? &codec->rule : NULL;
}

u16 wire_flags_allowed(u8 type)
{
	const struct codec *codec = find_codec(type);

	return codec ? codec->flags : 0;
}

const char *wire_type_name(u8 type)
{
	const struct wire_rule *rule = wire_rule(type);

	return rule ? rule->name : "?";
}

const char *wire_error_name(enum wire_error error)
{
	static const char *const names[] = {
		[WIRE_OK] = "OK",
		[WIRE_BAD_MAGIC] = "BAD_MAGIC",
		[WIRE_BAD_VERSION] = "BAD_VERSION",
		[WIRE_BAD_HEADER_CRC] = "BAD_HEADER_CRC",
		[WIRE_BAD_BODY_CRC] = "BAD_BODY_CRC",
		[WIRE_BAD_TYPE] = "BAD_TYPE",
		[WIRE_BAD_LENGTH] = "BAD_LENGTH",
		[WIRE_BAD_FIELD] = "BAD_FIELD",
		[WIRE_BAD_STATE] = "BAD_STATE",
		[WIRE_BAD_DIRECTION] = "BAD_DIRECTION",
		[WIRE_BAD_LANE] = "BAD_LANE",
		[WIRE_BAD_SEQUENCE] = "BAD_SEQUENCE",
	};

	return (size_t)error < CORE_ARRAY_SIZE(names) ? names[error] : "?";
}

const char *wire_refusal_name(u8 refusal)
{
	static const char *const names[] = {
		[0] = "?",
		[WIRE_REFUSED_CLUSTER] = "CLUSTER",
		[WIRE_REFUSED_NODE] = "NODE",
		[WIRE_REFUSED_VERSION] = "VERSION",
		[WIRE_REFUSED_LANE] = "LANE",
		[WIRE_REFUSED_PROOF] = "PROOF",
		[WIRE_REFUSED_INSTANCE] = "INSTANCE",
		[WIRE_REFUSED_BUSY] = "BUSY",
		[WIRE_REFUSED_INSECURE] = "INSECURE",
		[WIRE_REFUSED_DISCONNECTED] = "DISCONNECTED",
	};

	return refusal < CORE_ARRAY_SIZE(names) ? names[refusal] : "?";
}

u32 wire_encode_body(u8 type, const union wire_body *body, u8 *buffer)
{
	const struct codec *codec = find_codec(type);

	return codec ? codec->encode(type, body, buffer) : 0;
}

void wire_encode_header(const struct wire_header *header, u8 buffer[WIRE_HEADER_BYTES])
{
	memcpy(buffer, "BRD1", 4);	/* WIRE_MAGIC */
	buffer[4] = WIRE_VERSION;
	buffer[5] = header->type;
	core_put_le16(buffer + 6, header->flags);
	core_put_le32(buffer + 8, header->sequence);
	core_put_le32(buffer + 12, header->length_bytes);
	core_put_le64(buffer + 16, header->request_id);
	core_put_le32(buffer + 24, header->body_crc);
	core_put_le32(buffer + 28, core_crc32c(0, buffer, 28));
}

enum wire_checksum wire_payload_checksum(u64 features)
{
	return (features & (WIRE_FEATURE_XXH64 | WIRE_FEATURE_CRC32C_FAST)) == WIRE_FEATURE_XXH64 ? WIRE_CHECKSUM_XXH64 :
	       WIRE_CHECKSUM_CRC32C;
}

enum wire_ack_result wire_ack_result(u64 features, bool failed, bool stable)
{
	if (failed)
		return WIRE_ACK_FAILED;
	return stable && (features & WIRE_FEATURE_STABLE) ? WIRE_ACK_STABLE : WIRE_ACK_DONE;
}

u32 wire_body_crc(u32 fixed_crc, u32 payload_sum)
{
	u8 bytes[4];

	core_put_le32(bytes, payload_sum);
	return core_crc32c(fixed_crc, bytes, sizeof(bytes));
}

/* What the table says about a frame whose header is intact. */
static enum wire_error check_rule(const struct wire_header *header, bool control_lane, enum wire_phase phase,
				  bool i_am_initiator)
{
	const struct codec *codec = find_codec(header->type);

	if (!codec)
		return WIRE_BAD_TYPE;
	if (!(codec->rule.direction & (i_am_initiator ? WIRE_TO_INITIATOR : WIRE_TO_RESPONDER)))
		return WIRE_BAD_DIRECTION;
	if (!(codec->rule.phases & 1u << phase))
		return WIRE_BAD_STATE;
	if (!(control_lane ? codec->rule.control : codec->rule.data))
		return WIRE_BAD_LANE;
	if (header->length_bytes < codec->rule.min_bytes || header->length_bytes > codec->rule.max_bytes)
		return WIRE_BAD_LENGTH;
	if (header->flags & ~codec->flags)
		return WIRE_BAD_FIELD;
	/* [I22] The MAC covers bodies only: before it is checked a header carries nothing of its own. */
	if (phase != WIRE_PHASE_OPEN && header->request_id)
		return WIRE_BAD_FIELD;
	return WIRE_OK;
}

enum wire_error wire_decode_header(const u8 buffer[WIRE_HEADER_BYTES], bool control_lane, enum wire_phase phase,
				   bool i_am_initiator, u32 expected_sequence, struct wire_header *header)
{
	enum wire_error error;

	if (core_get_le32(buffer) != WIRE_MAGIC)
		return WIRE_BAD_MAGIC;
	if (core_get_le32(buffer + 28) != core_crc32c(0, buffer, 28))
		return WIRE_BAD_HEADER_CRC;
	if (buffer[4] != WIRE_VERSION)
		return WIRE_BAD_VERSION;
	header->type = buffer[5];
	header->flags = core_get_le16(buffer + 6);
	header->sequence = core_get_le32(buffer + 8);
	header->length_bytes = core_get_le32(buffer + 12);
	header->request_id = core_get_le64(buffer + 16);
	header->body_crc = core_get_le32(buffer + 24);
	error = check_rule(header, control_lane, phase, i_am_initiator);
	if (error != WIRE_OK)
		return error;
	return header->sequence == expected_sequence ? WIRE_OK : WIRE_BAD_SEQUENCE;
}

u32 wire_fixed_bytes(const struct wire_header *header)
{
	const struct codec *codec = find_codec(header->type);

	return codec && codec->payload_after ? codec->payload_after : header->length_bytes;
}

u32 wire_payload_bytes(u8 type, u16 flags, const union wire_body *body)
{
	switch (type) {
	case WIRE_WRITE:
	case WIRE_READ_DATA:
		return body->io.length_bytes;
	case WIRE_RESYNC_DATA:
		if (flags & WIRE_ZERO_PIECES)
			return 0;
		return codec_count_bits(body->resync.pieces) * RESYNC_PIECE_BYTES;
	default:
		return 0;
	}
}

enum wire_error wire_decode_body(const struct wire_header *header, const u8 *buffer, u32 length_bytes,
				 union wire_body *body)
{
	const struct codec *codec = find_codec(header->type);
	struct wire_input in = { buffer, length_bytes, header->type, header->flags };
	enum wire_error error;

	if (!codec)
		return WIRE_BAD_TYPE;
	if (header->length_bytes < codec->rule.min_bytes || header->length_bytes > codec->rule.max_bytes ||
	    length_bytes != wire_fixed_bytes(header))
		return WIRE_BAD_LENGTH;
	error = codec->decode(&in, body);
	if (error != WIRE_OK)
		return error;
	if (wire_payload_bytes(header->type, header->flags, body) != header->length_bytes - length_bytes)
		return WIRE_BAD_LENGTH;
	return WIRE_OK;
}
