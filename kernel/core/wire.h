/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Frames between two nodes: codec [N4]. One table drives one bounds-checked decoder.
 *
 * Header, 32 bytes, little endian:
 *   0  u32 magic        WIRE_MAGIC
 *   4  u8  version      WIRE_VERSION
 *   5  u8  type         enum wire_type
 *   6  u16 flags        enum wire_flags
 *   8  u32 sequence     of this lane and direction, from 0 by 1: a gap ends the session
 *   12 u32 length       bytes that follow: fixed part, then payload
 *   16 u64 request_id   sequence number of the requester; echoed in answers; 0 where none
 *   24 u32 body_crc     wire_body_crc(): of the bytes that follow
 *   28 u32 header_crc   CRC32C of bytes 0..27
 *
 * A body is a fixed or counted part that is decoded into struct wire_body, then (WRITE, READ_DATA, RESYNC_DATA)
 * payload: data bytes, whose number follows from the decoded part.
 */
#ifndef BRAID_CORE_WIRE_H
#define BRAID_CORE_WIRE_H

#include "lineage.h"

#define WIRE_MAGIC 0x31445242u	/* "BRD1" */

enum wire_type {
	/* before authentication, every lane */
	WIRE_HELLO = 1,		/* initiator: versions, features, ids, lane, nonce */
	WIRE_CHALLENGE = 2,	/* responder: its version and feature choice, ids, nonce */
	WIRE_PROOF = 3,		/* initiator's MAC, then responder's MAC */
	WIRE_REFUSE = 4,	/* code; the sender closes */
	/* control lane, session */
	WIRE_PING = 16,
	WIRE_PONG = 17,
	WIRE_NODE = 18,		/* another node of the cluster that the sender knows */
	WIRE_BYE = 19,		/* orderly end with a reason: the peer was told, not lost */
	/* control lane, volume control plane; every body starts with the volume id */
	WIRE_GREET = 32,	/* all facts of this replica, numbered */
	WIRE_VERDICT = 33,	/* what was computed from which two greetings [I9] */
	WIRE_RECORD = 34,	/* make this generation record durable */
	WIRE_RECORD_ACK = 35,
	WIRE_PROMOTE_ASK = 36,
	WIRE_PROMOTE_ANSWER = 37,
	WIRE_SYNC_START = 38,	/* target -> source; RANGES follow, SYNC_RANGES_END ends them */
	WIRE_RANGES = 39,	/* blocks that @node lacks */
	WIRE_RANGES_END = 40,
	WIRE_SYNC_ACCEPT = 41,	/* source -> target: with the chain to adopt */
	WIRE_SYNC_READY = 42,	/* target -> source: adopted durably, stream and resync may begin */
	WIRE_SYNC_DONE = 43,	/* source -> target: nothing differs any more */
	WIRE_VOLUME_GONE = 44,	/* the sender took the volume down */
	WIRE_RESOLVE = 45,	/* winner -> loser: yield in the named split */
	/* data lanes */
	WIRE_WRITE = 64,
	WIRE_DISCARD = 65,
	WIRE_ZEROES = 66,
	WIRE_FLUSH = 67,
	WIRE_ACKS = 68,		/* any number of requests of this lane ended */
	WIRE_READ = 69,
	WIRE_READ_DATA = 70,
	WIRE_EVICT = 71,	/* regions that may leave the activity log [W6] */
	WIRE_DIGESTS = 72,	/* resync: digests of a chunk's pieces */
	WIRE_DIFFERS = 73,	/* resync: mask of the pieces that differ */
	WIRE_RESYNC_DATA = 74,	/* resync: the pieces */
};

enum wire_flags {
	WIRE_FUA = 1 << 0,
	WIRE_LAST = 1 << 1,
	WIRE_ZERO_PIECES = 1 << 2,	/* RESYNC_DATA: pieces are zero, no payload [R4] */
};

struct wire_header {
	u8 type;
	u16 flags;
	u32 sequence;
	u32 length_bytes;
	u64 request_id;
	u32 body_crc;
};

enum wire_error {
	WIRE_OK = 0,
	WIRE_BAD_MAGIC,
	WIRE_BAD_VERSION,
	WIRE_BAD_HEADER_CRC,
	WIRE_BAD_BODY_CRC,
	WIRE_BAD_TYPE,
	WIRE_BAD_LENGTH,	/* outside the type's limits, or counts do not fit the length */
	WIRE_BAD_FIELD,		/* a value out of range */
	WIRE_BAD_STATE,		/* legal frame in a state where it is not */
	WIRE_BAD_DIRECTION,	/* a frame that this end never receives */
	WIRE_BAD_LANE,		/* control frame on a data lane or the reverse */
	WIRE_BAD_SEQUENCE,
};

const char *wire_error_name(enum wire_error error);
const char *wire_type_name(u8 type);	/* "?" if unknown */

/* State of the lane for the table's "legal states" column. */
enum wire_phase {
	WIRE_PHASE_HELLO,	/* nothing received yet */
	WIRE_PHASE_PROOF,	/* hello done, peer's proof outstanding */
	WIRE_PHASE_OPEN,	/* authenticated */
};

enum wire_direction {
	WIRE_TO_RESPONDER = 1,	/* only the initiator of the connection sends it */
	WIRE_TO_INITIATOR = 2,
	WIRE_BOTH = 3,
};

struct wire_rule {
	const char *name;	/* NULL: no such type */
	u32 min_bytes, max_bytes;	/* of the body, payload included */
	u8 phases;		/* mask of 1 << enum wire_phase */
	u8 direction;		/* enum wire_direction */
	u8 control, data;	/* lanes on which it is legal */
};

/* The table row of @type or NULL. docs/protocol.md prints the table (tests/unit prints it for comparison). */
const struct wire_rule *wire_rule(u8 type);
/* Mask of enum wire_flags that may be set in a frame of @type. */
u16 wire_flags_allowed(u8 type);

/*
 * Features, chosen when both ends have them [N7]. Where one end's processor has no instruction for CRC32C, payloads get XXH64 (its
 * low half) instead, which takes a fifth of the time there [N4].
 */
enum wire_features {
	WIRE_FEATURE_CRC32C_FAST = 1 << 0,
	WIRE_FEATURE_XXH64 = 1 << 1,
	WIRE_FEATURE_STABLE = 1 << 2,	/* acknowledgements may say WIRE_ACK_STABLE [W5] */
	WIRE_FEATURE_BLANK = 1 << 3,	/* greetings may say WIRE_GREET_BLANK [R4] */
};

enum wire_checksum {
	WIRE_CHECKSUM_NONE,
	WIRE_CHECKSUM_CRC32C,
	WIRE_CHECKSUM_XXH64,
};

/* Of payloads; header and fixed part always have CRC32C. @features: the chosen ones of the session. */
enum wire_checksum wire_payload_checksum(u64 features);

struct wire_hello {		/* HELLO and CHALLENGE */
	u16 version_min, version_max;	/* CHALLENGE: both are the chosen one */
	u64 features;		/* HELLO: offered; CHALLENGE: chosen */
	u8 cluster_id[UUID_BYTES];
	u8 node_instance[UUID_BYTES];
	u8 nonce[NONCE_BYTES];
	u64 session_id;		/* initiator's random number; the same on all lanes of a session */
	u8 node_id;		/* sender */
	u8 peer_id;		/* whom the sender believes to talk to */
	u8 lane;
	u8 nr_lanes;
	u8 insecure;		/* 1: no secret, written out by the administrator on both ends [N2] */
};

struct wire_proof {
	u8 mac[MAC_BYTES];
};

enum wire_refusal {
	WIRE_REFUSED_CLUSTER = 1,	/* other cluster id */
	WIRE_REFUSED_NODE,		/* node id unknown or not the one expected */
	WIRE_REFUSED_VERSION,
	WIRE_REFUSED_LANE,		/* lane number or session id does not fit */
	WIRE_REFUSED_PROOF,		/* wrong secret */
	WIRE_REFUSED_INSTANCE,		/* another machine uses this node id [G10] */
	WIRE_REFUSED_BUSY,		/* too many connections */
	WIRE_REFUSED_INSECURE,		/* one end wants a secret, the other has none */
	WIRE_REFUSED_DISCONNECTED,	/* the administrator disconnected this peer */
	WIRE_REFUSED_MAX = WIRE_REFUSED_DISCONNECTED,
};

const char *wire_refusal_name(u8 refusal);

struct wire_refuse {
	u8 code;		/* enum wire_refusal */
};

struct wire_ping {
	u64 stamp_ns;		/* sender's clock, echoed in PONG */
};

struct wire_node {
	u8 node_id;
	char name[NAME_BYTES_MAX];
	u8 family;		/* 4 or 6 */
	u8 address[16];
	u16 port;
};

enum wire_bye_reason {
	WIRE_BYE_DOWN = 1,	/* node goes down or disconnects on purpose */
	WIRE_BYE_PROTOCOL,	/* a frame was wrong */
	WIRE_BYE_STUCK,		/* [R5] restart of a session without progress */
	WIRE_BYE_VERDICT,	/* [G5] the ends disagree */
	WIRE_BYE_MAX = WIRE_BYE_VERDICT,
};

struct wire_bye {
	u8 reason;
};

enum wire_greet_flags {
	WIRE_GREET_PRIMARY = 1 << 0,
	WIRE_GREET_DISK = 1 << 1,	/* has a working disk */
	WIRE_GREET_SYNCING = 1 << 2,	/* half-synced */
	WIRE_GREET_DIRTY = 1 << 3,	/* has dirty bits for the receiver */
	WIRE_GREET_YIELD = 1 << 4,	/* own changes may be overwritten (split resolved) */
	WIRE_GREET_SPLIT = 1 << 5,
	WIRE_GREET_IN_SYNC = 1 << 6,	/* regards the receiver as in sync in this session */
	WIRE_GREET_WITH_PRIMARY = 1 << 7,	/* is in sync with the primary that it names */
	WIRE_GREET_BLANK = 1 << 8,	/* its data area was never written, and reads as zeroes [R4]. With WIRE_FEATURE_BLANK */
};

struct wire_greet {
	u64 volume_id;
	u64 replica_id;
	u64 volume_bytes;
	u32 granule_bytes;
	u32 actlog_parts;
	u32 number;		/* greetings are numbered from 1 within a session */
	u32 flags;		/* enum wire_greet_flags */
	u32 replicas;
	u8 primary;		/* node that the sender sees as primary (itself included), or NODE_NONE */
	u8 sync_source;		/* node from which the sender is syncing, or NODE_NONE */
	u8 authority;		/* node whose copy the sender's is, where logs differed after a crash */
	u8 block_shift;		/* logical blocks of the volume, 512 << this */
	char name[NAME_BYTES_MAX];
	struct chain chain;
};

struct wire_verdict {
	u64 volume_id;
	u32 my_number, your_number;	/* greetings from which it was computed */
	u8 verdict;		/* enum lineage_verdict */
	u8 plan;		/* enum volume_plan (volume.h) */
};

struct wire_record {		/* RECORD */
	u64 volume_id;
	u32 serial;		/* of the sender's proposals */
	u8 parent_written;	/* [G2] the sender's mark of the record before it */
	struct generation record;
};

struct wire_record_ack {
	u64 volume_id;
	u32 serial;
	u8 ok;
};

struct wire_promote {		/* ASK and ANSWER */
	u64 volume_id;
	u32 serial;
	u8 granted;		/* ANSWER */
	u8 reason;		/* ANSWER, not granted: enum volume_refusal */
};

struct wire_volume {		/* SYNC_START, SYNC_READY, SYNC_DONE, VOLUME_GONE, RANGES_END, RESOLVE */
	u64 volume_id;
	u64 value;		/* SYNC_READY, SYNC_DONE: generation id; RESOLVE: split id; others 0 */
	u8 node;		/* RANGES_END: whose map; else NODE_NONE */
};

struct wire_range {
	u64 start_bytes;
	u64 length_bytes;
};

struct wire_ranges {
	u64 volume_id;
	u8 node;		/* the replica that lacks them */
	u16 nr;
	struct wire_range range[WIRE_RANGES_MAX];
};

struct wire_accept {		/* SYNC_ACCEPT */
	u64 volume_id;
	struct chain chain;
};

struct wire_io {		/* WRITE, DISCARD, ZEROES, READ, READ_DATA, FLUSH */
	u64 volume_id;
	u64 offset_bytes;	/* multiple of 512 */
	u32 length_bytes;	/* multiple of 512; WRITE, READ_DATA: the payload's; FLUSH: 0; READ_DATA of a failed read: 0 */
	u64 epoch;		/* WRITE, DISCARD, ZEROES: activity log epoch of submission */
	u64 generation_id;	/* WRITE, DISCARD, ZEROES, FLUSH */
	u8 error;		/* READ_DATA: 0 or 1 */
};

enum wire_ack_result {
	WIRE_ACK_DONE = 0,	/* maybe in a volatile cache only */
	WIRE_ACK_FAILED,	/* the replica's disk failed it */
	WIRE_ACK_STABLE,	/* done and on stable storage; a flush: all that was done before is. With WIRE_FEATURE_STABLE */
	WIRE_ACK_RESULTS,
};

/* What an acknowledgement says to a peer with these @features: what it cannot understand is not said. */
enum wire_ack_result wire_ack_result(u64 features, bool failed, bool stable);

struct wire_ack {
	u64 request_id;
	u8 result;		/* enum wire_ack_result */
};

struct wire_acks {
	u16 nr;
	struct wire_ack ack[WIRE_ACKS_MAX];
};

struct wire_evict {
	u64 volume_id;
	u64 epoch;
	u16 nr;
	u32 region[WIRE_REGIONS_MAX];
};

struct wire_resync {		/* DIGESTS, DIFFERS, RESYNC_DATA */
	u64 volume_id;
	u64 offset_bytes;	/* multiple of RESYNC_PIECE_BYTES */
	u32 length_bytes;	/* up to RESYNC_CHUNK_BYTES, multiple of RESYNC_PIECE_BYTES; DIFFERS, RESYNC_DATA: the chunk's */
	u32 pieces;		/* DIFFERS: mask that differ; RESYNC_DATA: mask that is in the payload */
	u64 key[2];		/* DIGESTS: key of the keyed digest */
	u64 digest[RESYNC_CHUNK_PIECES];	/* DIGESTS */
	u8 error;		/* DIFFERS: 1: reading failed */
};

union wire_body {
	struct wire_hello hello;
	struct wire_proof proof;
	struct wire_refuse refuse;
	struct wire_ping ping;
	struct wire_node node;
	struct wire_bye bye;
	struct wire_greet greet;
	struct wire_verdict verdict;
	struct wire_record record;
	struct wire_record_ack record_ack;
	struct wire_promote promote;
	struct wire_volume volume;
	struct wire_ranges ranges;
	struct wire_accept accept;
	struct wire_io io;
	struct wire_acks acks;
	struct wire_evict evict;
	struct wire_resync resync;
};

/*
 * Encode the fixed part of @type into @buffer (WIRE_FIXED_BYTES_MAX), return its bytes (0: @type unknown).
 * Counted parts take only what they need. Fields that the type does not use are written as zero (node: NODE_NONE).
 */
u32 wire_encode_body(u8 type, const union wire_body *body, u8 *buffer);

/* Body of HELLO and CHALLENGE, WIRE_HELLO_BYTES: for auth.c, whose replies are no union wire_body. Returns the bytes. */
enum { WIRE_HELLO_BYTES = 96, WIRE_PROOF_BYTES = MAC_BYTES, WIRE_REFUSE_BYTES = 4 };
u32 wire_encode_hello(const struct wire_hello *hello, u8 *buffer);
u32 wire_encode_proof(const struct wire_proof *proof, u8 *buffer);
u32 wire_encode_refuse(const struct wire_refuse *refuse, u8 *buffer);

/*
 * The header's body_crc. @fixed_crc: CRC32C of the fixed part, @payload_sum: of the payload (wire_payload_checksum()), computed
 * once for all who get it. Four bytes more are cheaper than the algebra that would make one checksum of both. Without a payload: @fixed_crc.
 */
u32 wire_body_crc(u32 fixed_crc, u32 payload_sum);
/* Encode a header. */
void wire_encode_header(const struct wire_header *header, u8 buffer[WIRE_HEADER_BYTES]);

/*
 * Decode and check a header against the table: lane, phase, direction (@i_am_initiator: this end opened the connection),
 * sequence, length limits. Nothing of the body is looked at.
 */
enum wire_error wire_decode_header(const u8 buffer[WIRE_HEADER_BYTES], bool control_lane, enum wire_phase phase,
				   bool i_am_initiator, u32 expected_sequence, struct wire_header *header);

/*
 * How many bytes of the body are the fixed part: for types without payload header->length_bytes; for WRITE, READ_DATA,
 * RESYNC_DATA a constant. The rest is payload and must equal wire_payload_bytes() after decoding.
 */
u32 wire_fixed_bytes(const struct wire_header *header);

/* Decode the fixed part (@length_bytes == wire_fixed_bytes()); every field range-checked; also checks that the payload
 * implied by the fields equals header->length_bytes - @length_bytes. Strings are terminated. */
enum wire_error wire_decode_body(const struct wire_header *header, const u8 *buffer, u32 length_bytes,
				 union wire_body *body);
u32 wire_payload_bytes(u8 type, u16 flags, const union wire_body *body);

#endif
