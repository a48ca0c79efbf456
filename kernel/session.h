/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Sessions between this node and its peers: lanes, authentication, failure detection [N].
 *
 * One session per peer and network namespace. The node with the smaller id opens the connections, the other one
 * accepts (no crossed connects). Lane 0 is the control lane; data lanes follow it; the session is open when all its
 * lanes are authenticated. When any lane fails, the whole session ends: all receive and send work of it is stopped
 * first, then braid_volumes_session_down() is called; then it connects again (backoff 0.1 to 2 s, seeded by node ids).
 */
#ifndef BRAID_SESSION_H
#define BRAID_SESSION_H

#include <linux/net.h>
#include <linux/workqueue.h>
#include "buffer.h"
#include "core/auth.h"
#include "core/wire.h"

struct braid_net;
struct braid_volume;
struct braid_session;

enum braid_session_state {
	BRAID_SESSION_DISCONNECTED,	/* by the administrator, until `connect` */
	BRAID_SESSION_CONNECTING,	/* or listening for the peer */
	BRAID_SESSION_AUTHENTICATING,
	BRAID_SESSION_OPEN,
	BRAID_SESSION_ENDING,
};

/* One outgoing frame. Header and fixed part are encoded at allocation; sequence number and header checksum when it is sent. */
struct braid_frame {
	struct list_head entry;		/* lane's queue */
	struct wire_header header;
	struct braid_buffer *payload;	/* or NULL; reference held */
	u32 payload_offset_bytes;
	u32 payload_bytes;
	u32 fixed_bytes;
	u32 prefix_offset_bytes;
	struct page *prefix_page;	/* lane_send.c: a copy of what follows here from encoded_header[] on, reference held; or NULL */
	u64 volume_id;		/* whose frame it is; 0: WIRE_ACKS, or the session's own */
	u32 end_sequence;	/* lane_send.c: of TCP, behind its last byte */
	u8 origin;			/* frame.c: where its memory belongs */
	u8 encoded_header[WIRE_HEADER_BYTES];	/* when it is sent; fixed[] follows without a gap */
	u8 fixed[];
};

/*
 * Build a frame. @payload may be NULL; else a reference is taken on it; its checksum is added when it is known who gets the
 * frame. NULL when out of memory (with GFP_NOIO never for small types: mempool).
 */
struct braid_frame *braid_frame_alloc(u8 type, u16 flags, u64 request_id, const union wire_body *body,
				      struct braid_buffer *payload, u32 payload_offset_bytes, u32 payload_bytes,
				      gfp_t gfp);
/* Not under a lock: the payload may be that of a bio that ends with it. */
void braid_frame_free(struct braid_frame *frame);

/* Does a body of @type start with the id of a volume? */
static inline bool braid_type_is_of_volume(u8 type)
{
	return (type >= WIRE_GREET && type <= WIRE_RESOLVE) ||
	       (type >= WIRE_WRITE && type <= WIRE_RESYNC_DATA && type != WIRE_ACKS);
}

/* In the request id of a write whose sender calls it LANE_SOON, and so in its answer: a lane sees what its answers end. */
#define SESSION_ID_GATHERS (1ull << 47)

/* Who sends a frame that is queued, and when (lane_send.c, head comment). */
enum lane_haste {
	LANE_BY_WORK,
	LANE_HELD,	/* nobody, until braid_session_send_held(); or who completes a burst */
	LANE_IN_BURSTS,	/* the work, or who completes a burst */
	LANE_SOON,	/* as at once if there is nothing to wait for; else with what is waited for, or by who has time before that */
	LANE_AT_ONCE,	/* who queues it, if it can be the sender */
};

/*
 * Queue @frame on @lane (0 control; 1.. data) of the session with @node; takes it over in any case. -ENOTCONN when there
 * is no open session, or one to which the frame does not belong (dispatch.c; frame freed). Sleeps: it may send itself, but never
 * waits for room in the socket. Frames of one lane keep their order.
 */
int braid_session_send(struct braid_net *bn, u8 node, unsigned int lane, struct braid_frame *frame,
		       enum lane_haste haste);
/*
 * What was queued as LANE_HELD for @node on @lanes (mask) goes out: LANE_SOON or LANE_AT_ONCE, which sleep; or LANE_BY_WORK, from any
 * context but hard interrupt.
 */
void braid_session_send_held(struct braid_net *bn, u8 node, u32 lanes, enum lane_haste haste);
/*
 * For a caller who knows the number of the session that the frame belongs to: -ENOTCONN when it is not this one. Only queues it.
 * Any context but hard interrupt, not under volume->lock.
 */
int braid_session_send_in(struct braid_net *bn, u8 node, u64 number, unsigned int lane, struct braid_frame *frame);
/* A data lane for the current CPU; 0 when there is no open session. Same lane for FLUSH and others: order between
 * lanes never matters [W5]. */
unsigned int braid_session_data_lane(struct braid_net *bn, u8 node);
/* What both ends of the session, open or last open, understand (enum wire_features); 0: none yet. Any context. */
u64 braid_session_features(struct braid_net *bn, u8 node);
/* End the session with a reason (enum wire_bye_reason), then reconnect. Any context. */
void braid_session_end(struct braid_net *bn, u8 node, u8 reason);
/* The same, unless the session is another one than that with @number. */
void braid_session_end_numbered(struct braid_net *bn, u8 node, u64 number, u8 reason);
bool braid_session_is_open(struct braid_net *bn, u8 node);

/* ---- called by the session layer, implemented by device.c / engine.c ---- */

/*
 * Number of a session that is about to open: never 0, above all earlier ones and above the sequence number of every request id
 * given out before (device.h), so an id tells whether it is older than a session. Any context.
 */
u64 braid_volumes_session_number(void);
/* May a volume's @frame go out on the session with @number? Under RCU, any context but hard interrupt. */
bool braid_volumes_may_send(struct braid_net *bn, u8 node, u64 number, const struct braid_frame *frame);
/* All lanes authenticated. Process context. Every volume gets PEER_UP before any frame of this session is delivered. */
void braid_volumes_session_up(struct braid_net *bn, u8 node, u64 number);
/* Nothing of the session arrives any more. Process context, bn->lock may or may not be held. Returns when every volume has
 * queued its PEER_DOWN. */
void braid_volumes_session_down(struct braid_net *bn, u8 node);
/*
 * The session is going to be ended on purpose: volumes that send their writes there take flushed regions out of the logs of both
 * ends first, since what is still logged then has to be compared later [D1]. As well as it goes within @timeout_ms. bn->lock held.
 */
void braid_volumes_settle(struct braid_net *bn, u8 node, u32 timeout_ms);
/*
 * One checked frame of an open session; lane's work context (process, GFP_NOIO scope). @payload: reference passed to the callee
 * (NULL if none); its crc is set. @body is valid only during the call. Returns 0, or a negative errno: the peer broke the protocol, the
 * session ends with WIRE_BYE_PROTOCOL; -ETIMEDOUT: a volume here is stuck, it ends with WIRE_BYE_STUCK. Frames for
 * volumes that are not here, or not in this session yet (dispatch.c), are ignored (0).
 */
int braid_volumes_receive(struct braid_net *bn, u8 node, u64 number, unsigned int lane, const struct wire_header *header,
			  const union wire_body *body, struct braid_buffer *payload);

#endif
