// SPDX-License-Identifier: GPL-2.0
/*
 * [N2] [I22]: a lane opens on both ends only when both know the secret and saw the same messages.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../kernel/core/auth.h"
#include "../../user/sha256.h"
#include "../lib/random.h"

enum { ALPHA = 0, BETA = 1, SESSION = 4711 };

static struct auth_local alpha, beta;
static struct auth_peer known_alpha;	/* what beta's tables say */
static struct auth initiator, responder;
static struct auth_reply message[4];	/* HELLO, CHALLENGE, PROOF, PROOF of the last run */
static union wire_body body;

static void lookup_alpha(void *context, const struct wire_hello *hello, struct auth_peer *peer)
{
	(void)hello;
	*peer = *(const struct auth_peer *)context;
}

static int setup(void **state)
{
	(void)state;
	memset(&alpha, 0, sizeof(alpha));
	memset(&known_alpha, 0, sizeof(known_alpha));
	random_fill(alpha.cluster_id, UUID_BYTES);
	random_fill(alpha.secret, SECRET_BYTES);
	alpha.features = 0x17;
	alpha.node_id = ALPHA;
	beta = alpha;
	beta.features = 0x35;
	beta.node_id = BETA;
	random_fill(alpha.node_instance, UUID_BYTES);
	random_fill(beta.node_instance, UUID_BYTES);
	known_alpha.known = true;
	known_alpha.lane_fits = true;
	return 0;
}

/* Receive a message as the glue does: decoded first; what the codec refuses fails the lane. */
static void deliver(struct auth *auth, const struct auth_local *local, const struct auth_reply *in,
		    auth_lookup_fn lookup, void *context, struct auth_reply *out)
{
	struct wire_header header = { .type = in->type, .length_bytes = in->length_bytes };
	u8 bytes[WIRE_HEADER_BYTES];

	memset(out, 0, sizeof(*out));
	wire_encode_header(&header, bytes);
	if (wire_decode_header(bytes, auth->lane == 0, auth_phase(auth), auth->initiator, 0, &header) != WIRE_OK ||
	    wire_decode_body(&header, in->body, in->length_bytes, &body) != WIRE_OK) {
		auth->state = AUTH_FAILED;
		return;
	}
	auth_receive(auth, local, &header, &body, in->body, in->length_bytes, lookup, context, out);
}

static void start(u8 lane)
{
	u8 nonce[NONCE_BYTES];

	random_fill(nonce, NONCE_BYTES);
	auth_init_initiator(&initiator, &alpha, BETA, SESSION, lane, 3, nonce);
	random_fill(nonce, NONCE_BYTES);
	auth_init_responder(&responder, nonce);
	auth_hello(&initiator, &alpha, &message[0]);
}

static void flip(struct auth_reply *reply, u32 step, u32 flip_step, u32 bit)
{
	if (step == flip_step)
		reply->body[bit / 8] ^= (u8)(1 << bit % 8);
}

/* A whole handshake with bit @bit of message @flip_step flipped (4: none). Stops when a message is missing. */
static void run(u8 lane, u32 flip_step, u32 bit)
{
	struct auth_reply none;

	start(lane);
	memset(&message[1], 0, 3 * sizeof(message[0]));
	flip(&message[0], 0, flip_step, bit);
	deliver(&responder, &beta, &message[0], lookup_alpha, &known_alpha, &message[1]);
	if (!message[1].type)
		return;
	flip(&message[1], 1, flip_step, bit);
	deliver(&initiator, &alpha, &message[1], NULL, NULL, &message[2]);
	if (!message[2].type)
		return;
	flip(&message[2], 2, flip_step, bit);
	deliver(&responder, &beta, &message[2], lookup_alpha, &known_alpha, &message[3]);
	if (!message[3].type)
		return;
	flip(&message[3], 3, flip_step, bit);
	deliver(&initiator, &alpha, &message[3], NULL, NULL, &none);
}

static void assert_open(void)
{
	assert_int_equal(initiator.state, AUTH_OPEN);
	assert_int_equal(responder.state, AUTH_OPEN);
}

/* Refused by the responder: the initiator was told. */
static void assert_responder_refused(u8 refusal)
{
	assert_int_equal(responder.state, AUTH_FAILED);
	assert_int_equal(responder.refusal, refusal);
	assert_false(responder.refused_by_peer);
	assert_int_equal(initiator.state, AUTH_FAILED);
	assert_int_equal(initiator.refusal, refusal);
	assert_true(initiator.refused_by_peer);
}

static void assert_initiator_refused(u8 refusal)
{
	assert_int_equal(initiator.state, AUTH_FAILED);
	assert_int_equal(initiator.refusal, refusal);
	assert_false(initiator.refused_by_peer);
	assert_int_equal(responder.state, AUTH_FAILED);
	assert_true(responder.refused_by_peer);
}

static void test_good_handshake_on_every_lane(void **state)
{
	u8 lane;

	(void)state;
	for (lane = 0; lane < 3; lane++) {
		run(lane, 4, 0);
		assert_open();
		assert_int_equal(responder.peer_id, ALPHA);
		assert_int_equal(responder.lane, lane);
		assert_int_equal(responder.nr_lanes, 3);
		assert_true(responder.session_id == SESSION);
		assert_true(initiator.features == 0x15 && responder.features == 0x15);
		assert_int_equal(auth_phase(&initiator), WIRE_PHASE_OPEN);
		assert_memory_equal(initiator.challenge.node_instance, beta.node_instance, UUID_BYTES);
		assert_memory_equal(responder.hello.node_instance, alpha.node_instance, UUID_BYTES);
	}
}

static void test_wrong_secret_on_either_side(void **state)
{
	(void)state;
	alpha.secret[31] ^= 1;
	run(0, 4, 0);
	assert_responder_refused(WIRE_REFUSED_PROOF);
	setup(state);
	beta.secret[0] ^= 0x80;
	run(0, 4, 0);
	assert_responder_refused(WIRE_REFUSED_PROOF);
}

/* A responder that does not check and does not know the secret: the initiator finds out. */
static void test_responder_without_the_secret(void **state)
{
	struct auth_reply answer;

	(void)state;
	start(0);
	deliver(&responder, &beta, &message[0], lookup_alpha, &known_alpha, &message[1]);
	deliver(&initiator, &alpha, &message[1], NULL, NULL, &message[2]);
	message[3].type = WIRE_PROOF;
	message[3].length_bytes = MAC_BYTES;
	random_fill(message[3].body, MAC_BYTES);
	deliver(&initiator, &alpha, &message[3], NULL, NULL, &answer);
	assert_int_equal(initiator.state, AUTH_FAILED);
	assert_int_equal(initiator.refusal, WIRE_REFUSED_PROOF);
	assert_int_equal(answer.type, WIRE_REFUSE);
	/* The initiator's own proof is no proof of the responder. */
	start(0);
	deliver(&responder, &beta, &message[0], lookup_alpha, &known_alpha, &message[1]);
	deliver(&initiator, &alpha, &message[1], NULL, NULL, &message[2]);
	deliver(&initiator, &alpha, &message[2], NULL, NULL, &answer);
	assert_int_equal(initiator.state, AUTH_FAILED);
}

static void test_replayed_messages_of_a_former_run(void **state)
{
	struct auth_reply former[4], answer;

	(void)state;
	run(0, 4, 0);
	memcpy(former, message, sizeof(former));
	/* HELLO and PROOF again: the responder's nonce is a new one. */
	start(0);
	deliver(&responder, &beta, &former[0], lookup_alpha, &known_alpha, &answer);
	assert_int_equal(responder.state, AUTH_WAIT_PROOF_INITIATOR);
	deliver(&responder, &beta, &former[2], lookup_alpha, &known_alpha, &answer);
	assert_int_equal(responder.state, AUTH_FAILED);
	assert_int_equal(responder.refusal, WIRE_REFUSED_PROOF);
	/* CHALLENGE and PROOF again: the initiator's nonce is a new one. */
	start(0);
	deliver(&initiator, &alpha, &former[1], NULL, NULL, &answer);
	assert_int_equal(answer.type, WIRE_PROOF);
	deliver(&initiator, &alpha, &former[3], NULL, NULL, &answer);
	assert_int_equal(initiator.state, AUTH_FAILED);
}

static void test_reflected_nonce(void **state)
{
	struct auth_reply answer;

	(void)state;
	start(0);
	deliver(&responder, &beta, &message[0], lookup_alpha, &known_alpha, &message[1]);
	memcpy(message[1].body + 64, initiator.nonce, NONCE_BYTES);
	deliver(&initiator, &alpha, &message[1], NULL, NULL, &answer);
	assert_int_equal(initiator.state, AUTH_FAILED);
	assert_int_equal(initiator.refusal, WIRE_REFUSED_PROOF);
	assert_int_equal(answer.type, WIRE_REFUSE);
	/* The whole HELLO sent back as a CHALLENGE. */
	start(0);
	message[0].type = WIRE_CHALLENGE;
	deliver(&initiator, &alpha, &message[0], NULL, NULL, &answer);
	assert_int_equal(initiator.state, AUTH_FAILED);
	start(0);
	memcpy(message[0].body + 64, responder.nonce, NONCE_BYTES);
	deliver(&responder, &beta, &message[0], lookup_alpha, &known_alpha, &answer);
	assert_int_equal(responder.refusal, WIRE_REFUSED_PROOF);
}

/* Every bit of every message: never OPEN on both ends, and never OPEN on the end that received the flip or later. */
static void test_every_flip_of_every_message(void **state)
{
	static const u32 length_bytes[4] = { WIRE_HELLO_BYTES, WIRE_HELLO_BYTES, MAC_BYTES, MAC_BYTES };
	u32 step, bit;

	(void)state;
	for (step = 0; step < 4; step++) {
		for (bit = 0; bit < length_bytes[step] * 8; bit++) {
			run(0, step, bit);
			assert_int_not_equal(initiator.state, AUTH_OPEN);
			if (step < 3)
				assert_int_not_equal(responder.state, AUTH_OPEN);
		}
	}
}

static void test_insecure_needs_both(void **state)
{
	(void)state;
	alpha.insecure = true;
	run(0, 4, 0);
	assert_responder_refused(WIRE_REFUSED_INSECURE);
	setup(state);
	beta.insecure = true;
	run(0, 4, 0);
	assert_responder_refused(WIRE_REFUSED_INSECURE);
	alpha.insecure = true;
	beta.secret[0] ^= 1;
	run(0, 4, 0);
	assert_open();
}

/* A flag that only the message claims: the responder says "insecure" to an initiator that has a secret. */
static void test_insecure_challenge_to_a_secure_initiator(void **state)
{
	(void)state;
	start(0);
	deliver(&responder, &beta, &message[0], lookup_alpha, &known_alpha, &message[1]);
	message[1].body[24] = 1;
	deliver(&initiator, &alpha, &message[1], NULL, NULL, &message[2]);
	assert_int_equal(message[2].type, WIRE_REFUSE);
	deliver(&responder, &beta, &message[2], lookup_alpha, &known_alpha, &message[3]);
	assert_initiator_refused(WIRE_REFUSED_INSECURE);
}

static void test_wrong_cluster(void **state)
{
	(void)state;
	beta.cluster_id[5] ^= 1;
	run(0, 4, 0);
	assert_responder_refused(WIRE_REFUSED_CLUSTER);
}

static void test_unknown_and_unexpected_nodes(void **state)
{
	(void)state;
	known_alpha.known = false;
	run(0, 4, 0);
	assert_responder_refused(WIRE_REFUSED_NODE);
	setup(state);
	beta.node_id = 2;
	run(0, 4, 0);
	assert_responder_refused(WIRE_REFUSED_NODE);
	setup(state);
	alpha.node_id = BETA;
	run(0, 4, 0);
	assert_responder_refused(WIRE_REFUSED_NODE);
	setup(state);
	start(0);
	deliver(&responder, &beta, &message[0], NULL, NULL, &message[1]);
	assert_int_equal(responder.refusal, WIRE_REFUSED_NODE);
	/* Another node answers the initiator. */
	setup(state);
	start(0);
	deliver(&responder, &beta, &message[0], lookup_alpha, &known_alpha, &message[1]);
	message[1].body[4] = 5;
	deliver(&initiator, &alpha, &message[1], NULL, NULL, &message[2]);
	assert_int_equal(initiator.refusal, WIRE_REFUSED_NODE);
}

static void test_disconnected_peer(void **state)
{
	(void)state;
	known_alpha.disconnected = true;
	run(0, 4, 0);
	assert_responder_refused(WIRE_REFUSED_DISCONNECTED);
}

/* [G10] */
static void test_instance_mismatch(void **state)
{
	struct auth_peer known_beta = { .instance_known = true };

	(void)state;
	known_alpha.instance_known = true;
	memcpy(known_alpha.node_instance, alpha.node_instance, UUID_BYTES);
	run(0, 4, 0);
	assert_open();
	known_alpha.node_instance[0] ^= 1;
	run(0, 4, 0);
	assert_responder_refused(WIRE_REFUSED_INSTANCE);
	setup(state);
	memcpy(beta.node_instance, alpha.node_instance, UUID_BYTES);
	run(0, 4, 0);
	assert_responder_refused(WIRE_REFUSED_INSTANCE);
	/* The initiator asks its own tables about the one that answers. */
	setup(state);
	start(0);
	deliver(&responder, &beta, &message[0], lookup_alpha, &known_alpha, &message[1]);
	deliver(&initiator, &alpha, &message[1], lookup_alpha, &known_beta, &message[2]);
	deliver(&responder, &beta, &message[2], lookup_alpha, &known_alpha, &message[3]);
	assert_initiator_refused(WIRE_REFUSED_INSTANCE);
}

static void test_lane_mismatch(void **state)
{
	static const u8 offset[3] = { 6, 7, 16 };	/* lane, nr_lanes, session */
	u32 i;

	(void)state;
	known_alpha.lane_fits = false;
	run(1, 4, 0);
	assert_responder_refused(WIRE_REFUSED_LANE);
	known_alpha.lane_fits = true;
	for (i = 0; i < 3; i++) {
		start(1);
		deliver(&responder, &beta, &message[0], lookup_alpha, &known_alpha, &message[1]);
		message[1].body[offset[i]]++;
		deliver(&initiator, &alpha, &message[1], NULL, NULL, &message[2]);
		assert_int_equal(initiator.refusal, WIRE_REFUSED_LANE);
	}
}

static void test_versions_and_features(void **state)
{
	(void)state;
	start(0);
	core_put_le16(message[0].body, 2);
	core_put_le16(message[0].body + 2, 3);
	deliver(&responder, &beta, &message[0], lookup_alpha, &known_alpha, &message[1]);
	assert_int_equal(responder.refusal, WIRE_REFUSED_VERSION);
	beta.features_required = 0x20;
	run(0, 4, 0);
	assert_responder_refused(WIRE_REFUSED_VERSION);
	setup(state);
	alpha.features_required = 0x02;
	run(0, 4, 0);
	assert_initiator_refused(WIRE_REFUSED_VERSION);
	setup(state);
	start(0);
	deliver(&responder, &beta, &message[0], lookup_alpha, &known_alpha, &message[1]);
	message[1].body[8] = 0x40;
	deliver(&initiator, &alpha, &message[1], NULL, NULL, &message[2]);
	assert_int_equal(initiator.refusal, WIRE_REFUSED_VERSION);
}

/* Every type in every state but the one where it belongs. */
static void test_messages_in_wrong_order(void **state)
{
	static const u8 belongs[] = {
		[AUTH_SEND_HELLO] = 0, [AUTH_WAIT_HELLO] = WIRE_HELLO, [AUTH_WAIT_CHALLENGE] = WIRE_CHALLENGE,
		[AUTH_WAIT_PROOF_INITIATOR] = WIRE_PROOF, [AUTH_WAIT_PROOF_RESPONDER] = WIRE_PROOF, [AUTH_OPEN] = 0,
		[AUTH_FAILED] = 0,
	};
	struct auth_reply answer;
	u32 at, type;

	(void)state;
	for (at = AUTH_SEND_HELLO; at <= AUTH_FAILED; at++) {
		for (type = 0; type < 256; type++) {
			struct wire_header header = { .type = (u8)type, .length_bytes = WIRE_HELLO_BYTES };

			if (type == belongs[at] || type == WIRE_REFUSE)
				continue;
			start(0);
			initiator.state = at;
			memset(&body, 0, sizeof(body));
			auth_receive(&initiator, &alpha, &header, &body, message[0].body, WIRE_HELLO_BYTES, NULL, NULL,
				     &answer);
			assert_int_equal(initiator.state, AUTH_FAILED);
			assert_int_equal(answer.type, 0);
			auth_hello(&initiator, &alpha, &answer);
			assert_int_equal(answer.type, 0);
		}
	}
	run(0, 4, 0);
	deliver(&responder, &beta, &message[2], lookup_alpha, &known_alpha, &answer);
	assert_int_equal(responder.state, AUTH_FAILED);
}

static void test_auth_equal(void **state)
{
	u8 a[32], b[32];
	u32 bit;

	(void)state;
	random_fill(a, sizeof(a));
	memcpy(b, a, sizeof(b));
	assert_true(auth_equal(a, b, 32));
	for (bit = 0; bit < 256; bit++) {
		b[bit / 8] ^= (u8)(1 << bit % 8);
		assert_false(auth_equal(a, b, 32));
		b[bit / 8] ^= (u8)(1 << bit % 8);
	}
	assert_true(auth_equal(a, b, 0));
}

static void check_hex(const u8 *bytes, u32 length_bytes, const char *hex)
{
	char text[2 * SHA256_BYTES + 1];
	u32 i;

	for (i = 0; i < length_bytes; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	assert_string_equal(text, hex);
}

static void check_hmac(const u8 *key, u32 key_bytes, const void *data, u32 data_bytes, const char *hex)
{
	u8 mac[MAC_BYTES];

	core_hmac_sha256(key, key_bytes, data, data_bytes, mac);
	check_hex(mac, (u32)(strlen(hex) / 2), hex);
}

/* RFC 4231, test cases 1 to 7. */
static void test_hmac_sha256_vectors(void **state)
{
	u8 key[131], data[50];
	u32 i;

	(void)state;
	memset(key, 0x0b, sizeof(key));
	check_hmac(key, 20, "Hi There", 8, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	check_hmac((const u8 *)"Jefe", 4, "what do ya want for nothing?", 28,
		   "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof(key));
	memset(data, 0xdd, sizeof(data));
	check_hmac(key, 20, data, 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
	memset(data, 0xcd, sizeof(data));
	for (i = 0; i < 25; i++)
		key[i] = (u8)(i + 1);
	check_hmac(key, 25, data, 50, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
	memset(key, 0x0c, sizeof(key));
	check_hmac(key, 20, "Test With Truncation", 20, "a3b6167473100ee06e0c796c2955552b");
	memset(key, 0xaa, sizeof(key));
	check_hmac(key, 131, "Test Using Larger Than Block-Size Key - Hash Key First", 54,
		   "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	check_hmac(key, 131,
		   "This is a test using a larger than block-size key and a larger than block-size data. The key needs "
		   "to be hashed before being used by the HMAC algorithm.", 152,
		   "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
}

static void test_sha256_vectors(void **state)
{
	struct sha256 sha;
	u8 digest[SHA256_BYTES];
	int i;

	(void)state;
	sha256_init(&sha);
	sha256_final(&sha, digest);
	check_hex(digest, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	sha256_init(&sha);
	sha256_update(&sha, "abc", 3);
	sha256_final(&sha, digest);
	check_hex(digest, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	sha256_init(&sha);
	for (i = 0; i < 1000000; i++)
		sha256_update(&sha, "a", 1);
	sha256_final(&sha, digest);
	check_hex(digest, 32, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_good_handshake_on_every_lane, setup),
		cmocka_unit_test_setup(test_wrong_secret_on_either_side, setup),
		cmocka_unit_test_setup(test_responder_without_the_secret, setup),
		cmocka_unit_test_setup(test_replayed_messages_of_a_former_run, setup),
		cmocka_unit_test_setup(test_reflected_nonce, setup),
		cmocka_unit_test_setup(test_every_flip_of_every_message, setup),
		cmocka_unit_test_setup(test_insecure_needs_both, setup),
		cmocka_unit_test_setup(test_insecure_challenge_to_a_secure_initiator, setup),
		cmocka_unit_test_setup(test_wrong_cluster, setup),
		cmocka_unit_test_setup(test_unknown_and_unexpected_nodes, setup),
		cmocka_unit_test_setup(test_disconnected_peer, setup),
		cmocka_unit_test_setup(test_instance_mismatch, setup),
		cmocka_unit_test_setup(test_lane_mismatch, setup),
		cmocka_unit_test_setup(test_versions_and_features, setup),
		cmocka_unit_test_setup(test_messages_in_wrong_order, setup),
		cmocka_unit_test(test_auth_equal),
		cmocka_unit_test(test_hmac_sha256_vectors),
		cmocka_unit_test(test_sha256_vectors),
	};

	random_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
