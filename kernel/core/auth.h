/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Authentication of one lane [N2] [I22]: three messages each way at most, no allocation, bounded time.
 *
 *   initiator                         responder
 *   HELLO  -------------------------> checks cluster, node, lane, version
 *          <------------------------- CHALLENGE (or REFUSE)
 *   PROOF (MAC "initiator") --------> checks in constant time
 *          <------------------------- PROOF (MAC "responder") (or REFUSE)
 *   OPEN                              OPEN after its PROOF is queued
 *
 * MAC = HMAC-SHA256(secret, label || body of HELLO || body of CHALLENGE), label "braid initiator 1" or
 * "braid responder 1": versions, features offered and chosen, ids, direction, lane and both nonces are in the bodies.
 * An own nonce that comes back as the peer's is a reflection and refused.
 *
 * Used by one lane's receive context at a time; no lock. May sleep (HMAC).
 */
#ifndef BRAID_CORE_AUTH_H
#define BRAID_CORE_AUTH_H

#include "wire.h"

enum auth_state {
	AUTH_SEND_HELLO,	/* initiator, before anything */
	AUTH_WAIT_HELLO,	/* responder */
	AUTH_WAIT_CHALLENGE,
	AUTH_WAIT_PROOF_INITIATOR,	/* responder waits for the initiator's proof */
	AUTH_WAIT_PROOF_RESPONDER,	/* initiator waits for the responder's proof */
	AUTH_OPEN,
	AUTH_FAILED,
};

/* What this end knows and demands. The pointer targets live as long as the auth. */
struct auth_local {
	u8 cluster_id[UUID_BYTES];
	u8 node_instance[UUID_BYTES];
	u8 node_id;
	u64 features;		/* offered */
	u64 features_required;
	bool insecure;		/* no secret: said so explicitly by the administrator */
	u8 secret[SECRET_BYTES];
};

/* The responder's answer to "do you know this peer and lane?", given by the glue from its tables. */
struct auth_peer {
	bool known;		/* node id is configured */
	bool disconnected;	/* administrator disconnected it */
	bool instance_known;
	u8 node_instance[UUID_BYTES];	/* instance seen before with this node id */
	bool lane_fits;		/* data lane: session id belongs to the current control lane, lane free; control: true */
};

struct auth {
	enum auth_state state;
	bool initiator;
	u8 lane, nr_lanes;
	u8 peer_id;		/* initiator: expected; responder: from HELLO */
	u8 refusal;		/* enum wire_refusal when AUTH_FAILED by REFUSE (either end's), 0: wire error */
	bool refused_by_peer;
	u64 session_id;
	u64 features;		/* chosen */
	u8 nonce[NONCE_BYTES];	/* own */
	struct wire_hello hello, challenge;
	u8 hello_bytes[WIRE_PREAUTH_BYTES_MAX], challenge_bytes[WIRE_PREAUTH_BYTES_MAX];
	u32 hello_length, challenge_length;
};

/* @nonce: fresh random bytes. Initiator then calls auth_hello() for the frame to send. */
void auth_init_initiator(struct auth *auth, const struct auth_local *local, u8 peer_id, u64 session_id, u8 lane,
			 u8 nr_lanes, const u8 nonce[NONCE_BYTES]);
void auth_init_responder(struct auth *auth, const u8 nonce[NONCE_BYTES]);

/* One frame to send: type (0: none) and encoded body. */
struct auth_reply {
	u8 type;
	u32 length_bytes;
	u8 body[WIRE_PREAUTH_BYTES_MAX];
};

void auth_hello(struct auth *auth, const struct auth_local *local, struct auth_reply *reply);

/*
 * Feed a decoded frame of a lane that is not open. @raw/@raw_bytes: its body bytes as received (they enter the MAC).
 * @lookup is asked by the responder when HELLO is decoded, before anything else changes; NULL: nobody is known. The
 * initiator, if it gave one, asks it about CHALLENGE: of the answer only .disconnected and the instance count then.
 * @reply->type != 0: send it, also when the state became AUTH_FAILED (a REFUSE), then close. The responder is OPEN when
 * its PROOF was put in @reply.
 */
typedef void (*auth_lookup_fn)(void *context, const struct wire_hello *hello, struct auth_peer *peer);
void auth_receive(struct auth *auth, const struct auth_local *local, const struct wire_header *header,
		  const union wire_body *body, const u8 *raw, u32 raw_bytes, auth_lookup_fn lookup, void *context,
		  struct auth_reply *reply);

/* The phase for wire_decode_header(). AUTH_FAILED: close instead of reading on. */
enum wire_phase auth_phase(const struct auth *auth);
/* Constant-time comparison. */
bool auth_equal(const u8 *a, const u8 *b, size_t length_bytes);

#endif
