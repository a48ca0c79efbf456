/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inside of the session layer: what node.c, session.c and lane.c share. Nobody else includes it.
 *
 * node.c     listener, accepted connections that are not authenticated yet, configured peers;
 * session.c  one state machine per peer (its head comment says who owns what);
 * lane.c     life of one TCP connection; lane_send.c frames to bytes; lane_gather.c which ones wait for others; lane_receive.c
 *            bytes to frames, and authentication;
 * frame.c    memory of frames, encoding.
 */
#ifndef BRAID_LANE_H
#define BRAID_LANE_H

#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <net/sock.h>
#include "core/dues.h"
#include "node.h"

enum {
	NODE_PENDING_MAX = 64,		/* [I22] accepted and not authenticated, per namespace */
	NODE_LEARNED_MAX = NODES_MAX,	/* WIRE_NODE frames not yet looked at */
	LANE_AUTH_TIMEOUT_MS_MAX = 10000,
	LANE_RECEIVE_FRAMES = 64,	/* [N5] one run of the receive work ends after so many frames ... */
	LANE_RECEIVE_BYTES = 2 << 20,	/* ... or bytes, and queues itself again */
	LANE_MEMORY_PAUSE_MS = 10,
	LANE_SEND_CALLS = 64,		/* who queued a frame makes at most so many calls of the socket, then the work goes on */
	LANE_BURST_BYTES = 60 << 10,	/* so much fills a packet of the largest kind: no reason to collect more */
	LANE_COPY_BYTES = 4096,		/* payload up to here is copied to the socket */
	LANE_SEND_PIECES = IO_BYTES_MAX / PAGE_SIZE + 16,	/* pieces of memory in one call */
	LANE_DATA_PATIENCE = 10,	/* failure timeouts, and at least so long: */
	LANE_DATA_PATIENCE_MS_MIN = 60000,
	SESSION_PING_MS_MAX = 1000,
	SESSION_BACKOFF_MS_MIN = 100,
	SESSION_BACKOFF_MS_MAX = 2000,
};

enum lane_stage {
	LANE_HEADER,
	LANE_FIXED,
	LANE_PAYLOAD,
};

/* One TCP connection. Allocated per connection, freed after a grace period. */
struct braid_lane {
	struct rcu_head rcu;
	struct braid_net *bn;
	struct socket *socket;
	u8 number;		/* 0 control; an accepted one learns it from the HELLO */
	bool initiator;		/* this end connected */
	u64 deadline_ns;	/* to be authenticated by then */
	struct list_head pending;	/* accepted, not taken by a session: under braid_net_private.lock */

	spinlock_t lock;	/* bottom halves disabled */
	struct braid_session *session;	/* NULL while pending; under lock */
	struct list_head queue;	/* frames to send; under lock */
	u32 queued_bytes;	/* in it; under lock */
	bool open;		/* volumes may send; under lock */
	u64 session_number;	/* of the session that it is part of, 0 before that opens; under lock */
	struct list_head lent;	/* sent, with pages that TCP may still refer to, in order; under lock */
	bool stopped;		/* no work is queued any more, nobody becomes the sender; under lock */
	bool failed;		/* reported; under lock */
	bool sender;		/* somebody sends: the send work, or who queued a frame; under lock */
	bool send_again;	/* the send work came while somebody else was the sender; under lock */
	bool acks_waiting;	/* the tasklet found the socket in use: the sender runs it again; under lock */
	bool gathering;		/* what is queued is left to those of lane_gather.c; under lock */
	struct dues dues;	/* under lock */
	u64 unanswered_id;	/* of the newest change that was sent, until it is acknowledged; atomic */

	bool authenticated;	/* receive work sets it last (release); then auth does not change any more */
	bool deliver;		/* session work sets it: session is open, frames go to the volumes */
	bool connected;		/* receive work */

	/* whoever holds LANE_RECEIVING: the receive work, or the tasklet for acknowledgements */
	unsigned long receiving;	/* bit 0 */
	bool acks_expected;	/* the last frame was acknowledgements */
	struct tasklet_struct acks_tasklet;
	struct work_struct receive_work;
	struct auth auth;
	u8 claimed_node;	/* responder: who the HELLO says it is; not proved */
	struct braid_frame *proof;	/* responder: sent when the session takes the lane */
	enum lane_stage stage;
	u32 have_bytes;		/* of this stage */
	u32 fixed_bytes;
	u32 fixed_crc;
	u32 receive_sequence;
	struct braid_buffer *payload;
	struct wire_header header;
	u8 header_bytes[WIRE_HEADER_BYTES];
	u8 fixed[WIRE_FIXED_BYTES_MAX];
	union wire_body body;
	struct auth_reply reply;

	/* the sender only */
	struct work_struct send_work;
	struct kthread_work gather_work;
	struct list_head sending;	/* numbered and encoded; the first one may be sent in part */
	u32 sent_bytes;		/* of the first one */
	struct page *prefix_page;	/* headers and fixed parts of frames that go by reference; or NULL */
	u32 prefix_page_bytes;	/* used */
	u32 nr_pieces;
	size_t pieces_bytes;
	struct bio_vec pieces[LANE_SEND_PIECES];	/* of one call */
	u32 send_sequence;
	int send_error;

	/* the socket's own callbacks, restored before it is released */
	void (*data_ready)(struct sock *sk);
	void (*state_change)(struct sock *sk);
	void (*write_space)(struct sock *sk);
};

/* One configured peer; lives from braid_peer_add() to braid_peer_remove(). */
struct braid_session {
	struct rcu_head rcu;
	struct braid_net *bn;
	u8 node;
	bool initiator;		/* this end connects: its id is the smaller one */
	struct delayed_work work;
	wait_queue_head_t changed;	/* state */

	spinlock_t lock;	/* bottom halves disabled; protects the following */
	struct braid_peer_config config;
	enum braid_session_state state;
	u64 since_ns;
	u8 last_error;
	bool wanted;		/* by the administrator */
	bool removed;		/* work is not queued any more */
	bool end_wanted;
	u8 end_error;		/* enum braid_session_error */
	u8 end_bye;		/* enum wire_bye_reason to tell the peer, or 0 */
	bool retry_now;
	u64 session_id;		/* of this incarnation; 0: none */
	u64 number;		/* of the incarnation that is or was open last: braid_volumes_session_number() */
	u32 nr_lanes;
	u64 features;		/* enum wire_features, of the incarnation that is or was open last */
	u32 lanes;		/* mask of the lanes that exist */
	u64 opened_ns;
	u64 pong_ns;		/* when the newest PONG arrived */
	u64 rtt_ns;
	u32 reconnects;

	/* session work (or the remover, when the work has ended) */
	struct braid_lane __rcu *lane[WIRE_LANES_MAX];	/* written here only; readers under RCU */
	bool up;		/* braid_volumes_session_up() was called */
	u32 patience_ms;	/* failure timeout that its lanes know */
	u32 backoff_ms;
	u64 next_attempt_ns;
	u64 deadline_ns;	/* of the handshake */
	u64 next_ping_ns;
	union wire_body body;	/* scratch */

	atomic64_t sent_frames, received_frames, sent_bytes, received_bytes, dropped_frames;
};

/* The session layer's part of struct braid_net, from braid_node_start() to braid_node_stop(). */
struct braid_net_private {
	struct braid_net *bn;
	struct auth_local local;	/* constant */
	void (*listener_data_ready)(struct sock *sk);

	spinlock_t lock;		/* bottom halves disabled */
	struct list_head pending;	/* struct braid_lane.pending, oldest first */
	u32 nr_pending;
	struct list_head learned;	/* struct learned_node */
	u32 nr_learned;
	bool stopped;			/* no work is queued any more */
	bool accept_again;		/* accepting failed for lack of something: the reaper tries again */

	struct delayed_work reap_work;	/* closes pending lanes that failed or took too long */
	struct delayed_work learn_work;	/* tries bn->lock, never waits for it: node_stop ends it under that lock */
	atomic64_t rejected;		/* connections that were closed before they authenticated */
};

static inline struct braid_net_private *braid_private(struct braid_net *bn)
{
	return bn->session_private;
}

extern struct workqueue_struct *braid_session_queue;	/* may sleep long: session works, accepting, reaping */
extern struct workqueue_struct *braid_lane_queue;	/* receive works */
extern struct workqueue_struct *braid_send_queue;	/* send works */

/* ---- frame.c ---- */
int braid_frames_init(void);
void braid_frames_exit(void);
/* A message of the authentication. NULL when out of memory. Sleeps. */
struct braid_frame *braid_frame_from_reply(const struct auth_reply *reply);
void braid_frames_free(struct list_head *frames);	/* a list by entry */

/* ---- lane.c ---- */
/* Takes over @socket in any case. NULL when out of memory. Sleeps. The caller then sets auth, then braid_lane_start(). */
struct braid_lane *braid_lane_alloc(struct braid_net *bn, struct socket *socket, bool initiator);
/* Options that every socket of ours has. */
void braid_socket_prepare(struct braid_net *bn, struct socket *socket);
/* From now on callbacks arrive. @data_ready: the socket's own callback to restore later. */
void braid_lane_start(struct braid_lane *lane, void (*data_ready)(struct sock *sk));
/*
 * Sends what goes out without waiting, stops all work of the lane, frees queue, socket and lane. Nobody else may know the
 * lane any more, except RCU readers. Sleeps until running works ended; not from the lane's own works.
 */
void braid_lane_close(struct braid_lane *lane);
/* Queue a frame of the session layer itself; takes it over, NULL is ignored. Any context but hard interrupt. */
void braid_lane_send(struct braid_lane *lane, struct braid_frame *frame);
/*
 * The same for frames of volumes: only while the session is open. *@sender: the caller has to call braid_lane_send_now(), until
 * when the lane stays. The caller may be under RCU, that call may not: it sleeps.
 */
int braid_lane_send_open(struct braid_lane *lane, struct braid_frame *frame, enum lane_haste haste, bool *sender);
void braid_lane_send_now(struct braid_lane *lane);
/*
 * Frames that were queued as LANE_HELD, or gathered, go out: LANE_BY_WORK, LANE_SOON or LANE_AT_ONCE. True: the caller sends them, with
 * braid_lane_send_now() as above. Any context but hard interrupt.
 */
bool braid_lane_send_held(struct braid_lane *lane, enum lane_haste haste);
/* Queue the receive work, the send work if something waits. Any context but hard interrupt. */
void braid_lane_kick_receive(struct braid_lane *lane);
void braid_lane_kick_send(struct braid_lane *lane);
void braid_lane_fail(struct braid_lane *lane, u8 error, u8 bye);
/*
 * The lane has its number, or the failure timeout is another one now. A data lane is patient: a peer whose disk stalls closes its
 * window and must not look dead [N6]. The control lane's PONG decides who is; the bound of the others is only for a connection
 * that is broken by itself. Sleeps.
 */
void braid_lane_set_patience(struct braid_lane *lane, u32 timeout_ms);

/* ---- lane_send.c, for lane.c and node.c ---- */
void braid_lane_send_init(struct braid_lane *lane);
/* Acknowledgements have to wait for the socket. True: for the sender, who sees to them; false: nobody does. In softirq. */
bool braid_lane_acks_wait(struct braid_lane *lane);
/* Frees what is in lent without need. The lane's own works and tasklet, and its sender; not under a lock. */
void braid_lane_return_lent(struct braid_lane *lane);
/* What was sent from it keeps it for as long as it has to. Not while there is a sender. */
void braid_lane_drop_prefix_page(struct braid_lane *lane);

/* ---- lane_gather.c ---- */
int braid_gatherers_init(void);
void braid_gatherers_exit(void);
void braid_lane_gather_init(struct braid_lane *lane);
/* @frame was queued. Under lane->lock. */
void braid_lane_came(struct braid_lane *lane, const struct braid_frame *frame);
/* Is what is queued, all of it LANE_SOON, left to others for now? Under lane->lock. */
bool braid_lane_gathers(struct braid_lane *lane);
/* Acknowledgements arrived on the lane; those whose changes end by them are told next. */
void braid_lane_answered(struct braid_lane *lane, const struct wire_acks *acks);
/* They were told: what has gathered goes out. */
void braid_lane_release(struct braid_lane *lane);

/* ---- lane_receive.c, for lane.c ---- */
void braid_lane_receive_init(struct braid_lane *lane);

/* ---- session.c ---- */
struct braid_session *braid_session_alloc(struct braid_net *bn, const struct braid_peer_config *config);
/* Ends it and frees it. Nobody finds it in bn->session any more. Sleeps. */
void braid_session_destroy(struct braid_session *session);
/* Run the state machine soon. Any context. */
void braid_session_kick(struct braid_session *session);
/* One of its lanes failed. Any context but hard interrupt. */
void braid_session_fail(struct braid_session *session, u8 error, u8 bye);
/* One checked frame of an open lane; takes over lane->payload. 0 or a negative errno: protocol error. */
int braid_session_frame(struct braid_session *session, struct braid_lane *lane);
/* Tell every open session but its own about @config. Sleeps. */
void braid_session_tell_all(struct braid_net *bn, const struct braid_peer_config *config);
u32 braid_auth_timeout_ms(const struct braid_net *bn);

/* ---- node.c ---- */
/* A pending lane failed or was authenticated. Any context but hard interrupt. */
void braid_node_lane_failed(struct braid_lane *lane, u8 error);
void braid_node_lane_authenticated(struct braid_lane *lane);
/* The oldest authenticated accepted lane from @node, removed from the pending ones; or NULL. */
struct braid_lane *braid_node_take_arrival(struct braid_net *bn, u8 node);
/* auth_lookup_fn; @context: struct braid_lane. */
void braid_node_lookup(void *context, const struct wire_hello *hello, struct auth_peer *peer);
/* WIRE_NODE arrived: looked at later, under bn->lock. */
void braid_node_learn(struct braid_net *bn, const struct wire_node *node);
u32 braid_address_bytes(const struct sockaddr_storage *address);

#endif
