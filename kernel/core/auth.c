// SPDX-License-Identifier: GPL-2.0
/*
 * The handshake of one lane [N2]: both ends prove the cluster secret over everything that was said, before
 * anything else is parsed; a lane that fails has changed nothing but its own struct auth [I22]. Impossible
 * identities (two machines with one id, an own message that returns) are refused, never repaired [G10].
 */
#include "auth.h"

#define LABEL_BYTES 17

static const char label_initiator[LABEL_BYTES + 1] = "braid initiator 1";
static const char label_responder[LABEL_BYTES + 1] = "braid responder 1";

bool auth_equal(const u8 *a, const u8 *b, size_t length_bytes)
{
	const volatile u8 *va = a, *vb = b;
	u8 differs = 0;
	size_t i;

	for (i = 0; i < length_bytes; i++)
		differs |= va[i] ^ vb[i];
	return differs == 0;
}

/* Without a secret the key is all zero: the transcript is still compared, nothing is proven. */
static void compute_mac(const struct auth *auth, const struct auth_local *local, const char *label, u8 mac[MAC_BYTES])
{
	static const u8 no_secret[SECRET_BYTES];
	u8 transcript[LABEL_BYTES + 2 * WIRE_HELLO_BYTES];

	memcpy(transcript, label, LABEL_BYTES);
	memcpy(transcript + LABEL_BYTES, auth->hello_bytes, WIRE_HELLO_BYTES);
	memcpy(transcript + LABEL_BYTES + WIRE_HELLO_BYTES, auth->challenge_bytes, WIRE_HELLO_BYTES);
	core_hmac_sha256(local->insecure ? no_secret : local->secret, SECRET_BYTES, transcript, sizeof(transcript), mac);
}

static void init(struct auth *auth, const u8 nonce[NONCE_BYTES])
{
	memset(auth, 0, sizeof(*auth));
	memcpy(auth->nonce, nonce, NONCE_BYTES);
}

void auth_init_initiator(struct auth *auth, const struct auth_local *local, u8 peer_id, u64 session_id, u8 lane,
			 u8 nr_lanes, const u8 nonce[NONCE_BYTES])
{
	struct wire_hello *hello = &auth->hello;

	init(auth, nonce);
	auth->state = AUTH_SEND_HELLO;
	auth->initiator = true;
	auth->peer_id = peer_id;
	auth->session_id = session_id;
	auth->lane = lane;
	auth->nr_lanes = nr_lanes;
	hello->version_min = WIRE_VERSION;
	hello->version_max = WIRE_VERSION;
	hello->features = local->features;
	memcpy(hello->cluster_id, local->cluster_id, UUID_BYTES);
	memcpy(hello->node_instance, local->node_instance, UUID_BYTES);
	memcpy(hello->nonce, nonce, NONCE_BYTES);
	hello->session_id = session_id;
	hello->node_id = local->node_id;
	hello->peer_id = peer_id;
	hello->lane = lane;
	hello->nr_lanes = nr_lanes;
	hello->insecure = local->insecure;
}

void auth_init_responder(struct auth *auth, const u8 nonce[NONCE_BYTES])
{
	init(auth, nonce);
	auth->state = AUTH_WAIT_HELLO;
	auth->peer_id = NODE_NONE;
}

void auth_hello(struct auth *auth, const struct auth_local *local, struct auth_reply *reply)
{
	(void)local;
	reply->type = 0;
	reply->length_bytes = 0;
	if (auth->state != AUTH_SEND_HELLO)
		return;
	auth->hello_length = wire_encode_hello(&auth->hello, auth->hello_bytes);
	auth->state = AUTH_WAIT_CHALLENGE;
	reply->type = WIRE_HELLO;
	reply->length_bytes = auth->hello_length;
	memcpy(reply->body, auth->hello_bytes, auth->hello_length);
}

static void refuse(struct auth *auth, u8 refusal, const char *text, struct auth_reply *reply)
{
	struct wire_refuse body = { .code = refusal };

	core_trace(auth->session_id, text);
	auth->state = AUTH_FAILED;
	auth->refusal = refusal;
	reply->type = WIRE_REFUSE;
	reply->length_bytes = wire_encode_refuse(&body, reply->body);
}

/* Wire error: what the peer sent has no place here, so there is nothing to explain to it. */
static void fail(struct auth *auth, const char *text)
{
	core_trace(auth->session_id, text);
	auth->state = AUTH_FAILED;
	auth->refusal = 0;
}

static void send_proof(const struct auth *auth, const struct auth_local *local, const char *label,
		       struct auth_reply *reply)
{
	struct wire_proof proof;

	compute_mac(auth, local, label, proof.mac);
	reply->type = WIRE_PROOF;
	reply->length_bytes = wire_encode_proof(&proof, reply->body);
}

/* What both ends check of the other's HELLO or CHALLENGE. True if it was refused. */
static bool refuse_greeting(struct auth *auth, const struct auth_local *local, const struct wire_hello *peer,
			    struct auth_reply *reply)
{
	if (peer->version_min > WIRE_VERSION || peer->version_max < WIRE_VERSION)
		refuse(auth, WIRE_REFUSED_VERSION, "no common protocol version -> refuse", reply);
	else if (!auth_equal(peer->cluster_id, local->cluster_id, UUID_BYTES))
		refuse(auth, WIRE_REFUSED_CLUSTER, "peer belongs to another cluster -> refuse", reply);
	else if (peer->peer_id != local->node_id || peer->node_id == local->node_id)
		refuse(auth, WIRE_REFUSED_NODE, "peer does not mean this node or has its id -> refuse", reply);
	else if (peer->insecure != (local->insecure ? 1 : 0))
		refuse(auth, WIRE_REFUSED_INSECURE, "only one end has a secret -> refuse", reply);
	else if (auth_equal(peer->nonce, auth->nonce, NONCE_BYTES))
		refuse(auth, WIRE_REFUSED_PROOF, "own nonce came back -> refuse as reflection", reply);
	else if (auth_equal(peer->node_instance, local->node_instance, UUID_BYTES))
		refuse(auth, WIRE_REFUSED_INSTANCE, "peer has the instance id of this node -> refuse", reply);
	else
		return false;
	return true;
}

/* What the glue's tables say about the peer. True if it was refused. */
static bool refuse_peer(struct auth *auth, const struct auth_peer *known, const struct wire_hello *peer,
			struct auth_reply *reply)
{
	if (known->disconnected)
		refuse(auth, WIRE_REFUSED_DISCONNECTED, "administrator disconnected the peer -> refuse", reply);
	else if (known->instance_known && !auth_equal(known->node_instance, peer->node_instance, UUID_BYTES))
		refuse(auth, WIRE_REFUSED_INSTANCE, "another machine uses the peer's node id -> refuse", reply);
	else
		return false;
	return true;
}

static void answer_hello(struct auth *auth, const struct auth_local *local, struct auth_reply *reply)
{
	struct wire_hello *challenge = &auth->challenge;

	*challenge = auth->hello;
	challenge->version_min = WIRE_VERSION;
	challenge->version_max = WIRE_VERSION;
	challenge->features = auth->features;
	memcpy(challenge->node_instance, local->node_instance, UUID_BYTES);
	memcpy(challenge->nonce, auth->nonce, NONCE_BYTES);
	challenge->node_id = local->node_id;
	challenge->peer_id = auth->peer_id;
	auth->challenge_length = wire_encode_hello(challenge, auth->challenge_bytes);
	auth->state = AUTH_WAIT_PROOF_INITIATOR;
	reply->type = WIRE_CHALLENGE;
	reply->length_bytes = auth->challenge_length;
	memcpy(reply->body, auth->challenge_bytes, auth->challenge_length);
}

static void receive_hello(struct auth *auth, const struct auth_local *local, const struct wire_hello *hello,
			  const u8 *raw, auth_lookup_fn lookup, void *context, struct auth_reply *reply)
{
	struct auth_peer known;

	memset(&known, 0, sizeof(known));
	if (lookup)
		lookup(context, hello, &known);
	if (refuse_greeting(auth, local, hello, reply))
		return;
	if (!known.known) {
		refuse(auth, WIRE_REFUSED_NODE, "node id is not configured -> refuse", reply);
		return;
	}
	if (refuse_peer(auth, &known, hello, reply))
		return;
	if (!known.lane_fits) {
		refuse(auth, WIRE_REFUSED_LANE, "lane or session does not fit -> refuse", reply);
		return;
	}
	if (local->features_required & ~(hello->features & local->features)) {
		refuse(auth, WIRE_REFUSED_VERSION, "peer lacks a required feature -> refuse", reply);
		return;
	}
	auth->hello = *hello;
	auth->hello_length = WIRE_HELLO_BYTES;
	memcpy(auth->hello_bytes, raw, WIRE_HELLO_BYTES);
	auth->peer_id = hello->node_id;
	auth->session_id = hello->session_id;
	auth->lane = hello->lane;
	auth->nr_lanes = hello->nr_lanes;
	auth->features = hello->features & local->features;
	answer_hello(auth, local, reply);
}

static void receive_challenge(struct auth *auth, const struct auth_local *local, const struct wire_hello *challenge,
			      const u8 *raw, auth_lookup_fn lookup, void *context, struct auth_reply *reply)
{
	struct auth_peer known;

	memset(&known, 0, sizeof(known));
	if (lookup)
		lookup(context, challenge, &known);
	if (refuse_greeting(auth, local, challenge, reply))
		return;
	if (challenge->node_id != auth->peer_id) {
		refuse(auth, WIRE_REFUSED_NODE, "another node answered -> refuse", reply);
		return;
	}
	if (refuse_peer(auth, &known, challenge, reply))
		return;
	if (challenge->session_id != auth->session_id || challenge->lane != auth->lane ||
	    challenge->nr_lanes != auth->nr_lanes) {
		refuse(auth, WIRE_REFUSED_LANE, "answer is for another lane or session -> refuse", reply);
		return;
	}
	if ((challenge->features & ~local->features) || (local->features_required & ~challenge->features)) {
		refuse(auth, WIRE_REFUSED_VERSION, "chosen features do not fit -> refuse", reply);
		return;
	}
	auth->challenge = *challenge;
	auth->challenge_length = WIRE_HELLO_BYTES;
	memcpy(auth->challenge_bytes, raw, WIRE_HELLO_BYTES);
	auth->features = challenge->features;
	auth->state = AUTH_WAIT_PROOF_RESPONDER;
	send_proof(auth, local, label_initiator, reply);
}

static void receive_proof(struct auth *auth, const struct auth_local *local, const struct wire_proof *proof,
			  struct auth_reply *reply)
{
	u8 expected[MAC_BYTES];

	compute_mac(auth, local, auth->initiator ? label_responder : label_initiator, expected);
	if (!auth_equal(expected, proof->mac, MAC_BYTES)) {
		refuse(auth, WIRE_REFUSED_PROOF, "proof does not fit the secret and the transcript -> refuse", reply);
		return;
	}
	if (!auth->initiator)
		send_proof(auth, local, label_responder, reply);
	auth->state = AUTH_OPEN;
}

void auth_receive(struct auth *auth, const struct auth_local *local, const struct wire_header *header,
		  const union wire_body *body, const u8 *raw, u32 raw_bytes, auth_lookup_fn lookup, void *context,
		  struct auth_reply *reply)
{
	bool greeting = raw_bytes == WIRE_HELLO_BYTES;

	reply->type = 0;
	reply->length_bytes = 0;
	if (auth->state == AUTH_FAILED)
		return;
	if (header->type == WIRE_REFUSE && auth->state != AUTH_OPEN) {
		fail(auth, "peer refused -> close");
		auth->refusal = body->refuse.code;
		auth->refused_by_peer = true;
	} else if (header->type == WIRE_HELLO && auth->state == AUTH_WAIT_HELLO && greeting) {
		receive_hello(auth, local, &body->hello, raw, lookup, context, reply);
	} else if (header->type == WIRE_CHALLENGE && auth->state == AUTH_WAIT_CHALLENGE && greeting) {
		receive_challenge(auth, local, &body->hello, raw, lookup, context, reply);
	} else if (header->type == WIRE_PROOF && (auth->state == AUTH_WAIT_PROOF_INITIATOR ||
						  auth->state == AUTH_WAIT_PROOF_RESPONDER)) {
		receive_proof(auth, local, &body->proof, reply);
	} else {
		fail(auth, "frame has no place in this state -> close");
	}
}

enum wire_phase auth_phase(const struct auth *auth)
{
	switch (auth->state) {
	case AUTH_WAIT_PROOF_INITIATOR:
	case AUTH_WAIT_PROOF_RESPONDER:
		return WIRE_PHASE_PROOF;
	case AUTH_OPEN:
		return WIRE_PHASE_OPEN;
	default:
		return WIRE_PHASE_HELLO;
	}
}
