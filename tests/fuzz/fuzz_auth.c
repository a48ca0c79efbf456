// SPDX-License-Identifier: GPL-2.0
/*
 * The handshake against an attacker who owns the network [N2] [I22]: four honest lane ends (each of two nodes, once as initiator
 * and once as responder), every message that was ever sent, and an attacker who delivers, repeats, changes and invents.
 *
 * What must hold: a lane opens only if an end of the other role, with the same secret, has sent its proof for the very
 * same HELLO and CHALLENGE; before that nothing but frames of the handshake gets through, and the end's identity is not
 * touched. An attacker who was given the secret may open lanes; the state machine holds all the same.
 */
#include "../../kernel/core/auth.h"
#include "fuzz.h"

enum { ENDS = 4, MESSAGES_MAX = 24, PROOFS_MAX = 24 };

struct message {
	u8 type;
	u32 length_bytes;
	u8 bytes[WIRE_PREAUTH_BYTES_MAX];
};

struct proof_sent {
	bool initiator;
	u32 secret;
	u8 hello[WIRE_HELLO_BYTES], challenge[WIRE_HELLO_BYTES];
};

static struct auth_local local[ENDS], untouched[ENDS];
static struct auth end[ENDS];
static u32 secret_of[ENDS], received[ENDS];
static bool given_away[ENDS];	/* its secret: nothing is promised then */
static struct message message[MESSAGES_MAX];
static struct proof_sent proof[PROOFS_MAX];
static u32 nr_messages, nr_proofs, nonces;
static u8 lookup_bits;

static void lookup(void *context, const struct wire_hello *hello, struct auth_peer *peer)
{
	(void)context;
	(void)hello;
	peer->known = !(lookup_bits & 1);
	peer->disconnected = lookup_bits & 2;
	peer->instance_known = lookup_bits & 4;
	peer->lane_fits = !(lookup_bits & 8);
	memset(peer->node_instance, lookup_bits & 16 ? 9 : 1 + hello->node_id, UUID_BYTES);
}

static void sent(const struct auth_reply *reply, u32 at)
{
	struct proof_sent *done = &proof[nr_proofs];

	if (!reply->type)
		return;
	CHECK(reply->length_bytes <= WIRE_PREAUTH_BYTES_MAX);
	if (nr_messages < MESSAGES_MAX) {
		message[nr_messages] = (struct message){ .type = reply->type, .length_bytes = reply->length_bytes };
		memcpy(message[nr_messages++].bytes, reply->body, reply->length_bytes);
	}
	if (reply->type != WIRE_PROOF)
		return;
	CHECK(nr_proofs < PROOFS_MAX);
	nr_proofs++;
	done->initiator = end[at].initiator;
	done->secret = secret_of[at];
	memcpy(done->hello, end[at].hello_bytes, WIRE_HELLO_BYTES);
	memcpy(done->challenge, end[at].challenge_bytes, WIRE_HELLO_BYTES);
}

static void begin(u32 at, u8 lane)
{
	struct auth_reply reply;
	u8 nonce[NONCE_BYTES];

	memset(nonce, 0, sizeof(nonce));
	core_put_le32(nonce, ++nonces);
	received[at] = 0;
	if (at % 2) {
		auth_init_responder(&end[at], nonce);
		return;
	}
	auth_init_initiator(&end[at], &local[at], !local[at].node_id, 77, lane % 3, 3, nonce);
	auth_hello(&end[at], &local[at], &reply);
	sent(&reply, at);
}

static void setup(struct fuzz_input *input)
{
	u32 at;

	nr_messages = 0;
	nr_proofs = 0;
	nonces = 0;
	for (at = 0; at < ENDS; at++) {
		u8 bits = fuzz_u8(input);
		struct auth_local *it = &local[at];

		memset(it, 0, sizeof(*it));
		it->node_id = at == 1 || at == 2;	/* 0: node 0 to 1; 1: node 1; 2: node 1 to 0; 3: node 0 */
		memset(it->node_instance, 1 + it->node_id, UUID_BYTES);
		it->features = bits & 3;
		it->features_required = bits >> 2 & 1;
		it->insecure = (bits & 24) == 24;
		secret_of[at] = it->insecure ? 99 : bits >> 5 & 1;
		memset(it->secret, 100 + (int)secret_of[at], SECRET_BYTES);
		given_away[at] = it->insecure || (bits & 192) == 192;
		untouched[at] = *it;
		begin(at, 0);
	}
}

/* The attacker knows the secret of @at and computes the proof that it waits for. */
static void make_proof(u32 at, struct message *made)
{
	static const u8 no_secret[SECRET_BYTES];
	u8 transcript[17 + 2 * WIRE_HELLO_BYTES];

	memcpy(transcript, end[at].initiator ? "braid responder 1" : "braid initiator 1", 17);
	memcpy(transcript + 17, end[at].hello_bytes, WIRE_HELLO_BYTES);
	memcpy(transcript + 17 + WIRE_HELLO_BYTES, end[at].challenge_bytes, WIRE_HELLO_BYTES);
	core_hmac_sha256(local[at].insecure ? no_secret : local[at].secret, SECRET_BYTES, transcript, sizeof(transcript),
			 made->bytes);
	made->type = WIRE_PROOF;
	made->length_bytes = WIRE_PROOF_BYTES;
}

static void check_opened(u32 at)
{
	u32 i;

	CHECK(auth_phase(&end[at]) == WIRE_PHASE_OPEN);
	if (given_away[at])
		return;
	for (i = 0; i < nr_proofs; i++)
		if (proof[i].initiator != end[at].initiator && proof[i].secret == secret_of[at] &&
		    !memcmp(proof[i].hello, end[at].hello_bytes, WIRE_HELLO_BYTES) &&
		    !memcmp(proof[i].challenge, end[at].challenge_bytes, WIRE_HELLO_BYTES))
			return;
	CHECK(!"a lane opened without a proof of the other end");
}

/* As a lane does with what arrives. */
static void deliver(u32 at, const struct message *it)
{
	struct wire_header header = { .type = it->type, .sequence = received[at], .length_bytes = it->length_bytes };
	enum auth_state before = end[at].state;
	u8 bytes[WIRE_HEADER_BYTES];
	struct auth_reply reply;
	union wire_body body;

	if (before == AUTH_FAILED || before == AUTH_OPEN || before == AUTH_SEND_HELLO)
		return;
	wire_encode_header(&header, bytes);
	if (wire_decode_header(bytes, end[at].lane == 0, auth_phase(&end[at]), end[at].initiator, received[at],
			       &header) != WIRE_OK)
		return;
	CHECK(header.type <= WIRE_REFUSE && header.length_bytes <= WIRE_PREAUTH_BYTES_MAX);
	if (wire_decode_body(&header, it->bytes, it->length_bytes, &body) != WIRE_OK)
		return;
	received[at]++;
	memset(&reply, 0xaa, sizeof(reply));
	auth_receive(&end[at], &local[at], &header, &body, it->bytes, it->length_bytes, lookup, NULL, &reply);
	CHECK(!reply.type || reply.type == WIRE_CHALLENGE || reply.type == WIRE_PROOF || reply.type == WIRE_REFUSE);
	CHECK((reply.type == WIRE_REFUSE) <= (end[at].state == AUTH_FAILED));
	CHECK(end[at].state > before);
	CHECK(!memcmp(&local[at], &untouched[at], sizeof(local[at])));
	CHECK(end[at].lane < WIRE_LANES_MAX);
	if (end[at].state == AUTH_OPEN)
		check_opened(at);
	sent(&reply, at);
}

static void attack(struct fuzz_input *input, u8 op)
{
	struct message made = { .length_bytes = WIRE_PROOF_BYTES };
	u32 at = op & 3, changes = op >> 6 & 3, i;

	lookup_bits = op & 8 ? fuzz_u8(input) : 0;
	if (op & 4 && given_away[at] && end[at].state > AUTH_WAIT_CHALLENGE)
		make_proof(at, &made);
	else if (op & 16 && nr_messages)
		made = message[nr_messages - 1];
	else if (nr_messages)
		made = message[fuzz_u8(input) % nr_messages];
	if (op & 32)
		made.type = fuzz_u8(input) % (WIRE_RESYNC_DATA + 1);
	for (i = 0; i < changes; i++) {
		u8 offset = fuzz_u8(input);

		made.bytes[offset % (made.length_bytes ? made.length_bytes : 1)] = fuzz_u8(input);
	}
	deliver(at, &made);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fuzz_input input = { data, size };
	u32 steps;

	setup(&input);
	for (steps = 0; input.left && steps < 20; steps++) {
		u8 op = fuzz_u8(&input);

		if (op == 0xff)
			begin(fuzz_u8(&input) % ENDS, op);
		else
			attack(&input, op);
	}
	return 0;
}
