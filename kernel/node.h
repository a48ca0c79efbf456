/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One node: everything braid has in one network namespace.
 */
#ifndef BRAID_NODE_H
#define BRAID_NODE_H

#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/in6.h>
#include <linux/socket.h>
#include <net/net_namespace.h>
#include "core/limits.h"
#include "session.h"

struct braid_options {
	u32 timeout_ms;		/* failure timeout: a peer that is silent that long is gone; default 5000, 500..60000 */
	u32 nr_data_lanes;	/* 1..WIRE_LANES_MAX - 1, default 2 */
	u32 disk_timeout_ms;	/* a peer that owes the answer to a write that long is dropped [W4]; default 30000, 5000..600000 */
};

struct braid_identity {
	u8 cluster_id[UUID_BYTES];
	u8 instance[UUID_BYTES];	/* random per installation of this node [G10] */
	u8 secret[SECRET_BYTES];
	bool insecure;
	u8 node_id;
	char name[NAME_BYTES_MAX];
	struct sockaddr_storage listen;	/* address and port */
};

struct braid_peer_config {
	u8 node_id;
	char name[NAME_BYTES_MAX];
	struct sockaddr_storage address;
	bool instance_known;
	u8 instance[UUID_BYTES];
};

struct braid_net {
	struct net *net;	/* not counted; not used once dying is set */
	refcount_t references;	/* the namespace and every volume: a volume may outlive it for a while [L3] */
	/* Configuration: identity, peers, names of volumes. Outermost, may sleep; no disk is waited for, but a second before a disconnect. */
	struct mutex lock;
	bool configured;
	u32 starts;		/* of the node: what began under another identity sees it */
	bool dying;		/* namespace is going away: nothing new */
	struct braid_identity identity;
	struct braid_options options;
	struct braid_session __rcu *session[NODES_MAX];	/* per configured peer; written under lock, readers under RCU */
	struct socket *listener;
	struct work_struct accept_work;
	struct list_head volumes;	/* struct braid_volume.entry; changed under dispatch.c's lock, added to with lock too; read under RCU */
	spinlock_t claims_lock;
	struct list_head claims;	/* struct braid_volume.claim: all whose disks are opened, open or not closed yet; under claims_lock */
	u32 event_sequence;	/* of multicast events, under event_lock */
	spinlock_t event_lock;
	void *device_private;	/* dispatch.c's own: sessions that are up, volumes known from peers */
	void *session_private;	/* session layer's own (accepted connections not yet matched, counters) */
};

struct braid_net *braid_net(struct net *net);
void braid_net_put(struct braid_net *bn);

/* ---- session layer (node.c, session.c, lane.c); all may sleep, caller holds bn->lock unless said otherwise ---- */
int braid_sessions_init(void);		/* module: workqueues, caches */
void braid_sessions_exit(void);
/* 0, -EALREADY, -EINVAL, -ESHUTDOWN (namespace goes), -ENOMEM, or what binding and listening said. */
int braid_node_start(struct braid_net *bn, const struct braid_identity *identity, const struct braid_options *options);
/*
 * Ends all sessions, closes the listener, wipes the secret: no socket, work or memory of the session layer remains.
 * Nothing happens when the node was not started. Also how a namespace that goes away ends.
 */
void braid_node_stop(struct braid_net *bn);
/* Connections that were closed before they had authenticated [I22]. */
u64 braid_node_rejected(const struct braid_net *bn);
/*
 * Add (and tell the other peers), or update name and address. -ENXIO: no identity here; -EINVAL: own id, bad id, name or
 * address; -EEXIST: another peer has that name; -ENOMEM.
 */
int braid_peer_add(struct braid_net *bn, const struct braid_peer_config *peer);
/* The others: -ENOENT unknown peer. Disconnect returns when the volumes were told, or -ETIMEDOUT after 5 s. */
int braid_peer_remove(struct braid_net *bn, u8 node);
int braid_peer_connect(struct braid_net *bn, u8 node);
int braid_peer_disconnect(struct braid_net *bn, u8 node);
void braid_options_set(struct braid_net *bn, const struct braid_options *options);

/* Snapshot for status; no lock needed. */
struct braid_session_status {
	struct braid_peer_config config;
	enum braid_session_state state;
	u8 last_error;		/* enum braid_session_error: why it is not open or ended last */
	u64 since_ns;		/* ktime_get_ns() of the last state change */
	u64 rtt_ns;		/* smoothed round trip on the control lane; 0 unknown */
	u64 sent_frames, received_frames, sent_bytes, received_bytes;
	u64 dropped_frames;	/* bad input, all reasons */
	u32 reconnects;
	u32 nr_lanes;
};

enum braid_session_error {
	BRAID_SESSION_NO_ERROR,
	BRAID_SESSION_UNREACHABLE,	/* connect failed or timed out */
	BRAID_SESSION_TIMEOUT,		/* silent for longer than the failure timeout */
	BRAID_SESSION_CLOSED,		/* peer closed or reset */
	BRAID_SESSION_PROTOCOL,		/* bad frame from the peer */
	BRAID_SESSION_REFUSED_FIRST = 32,	/* + enum wire_refusal: refused by us or by the peer */
	BRAID_SESSION_BYE_FIRST = 64,	/* + enum wire_bye_reason: the peer said bye, or we did for that reason */
};

bool braid_session_status(struct braid_net *bn, u8 node, struct braid_session_status *status);
/* A node that a peer told us about (WIRE_NODE): becomes a configured peer here; event to listeners. */

/* ---- netlink.c: events; any context ---- */
void braid_notify_peer(struct braid_net *bn, u8 node);
void braid_notify_volume(struct braid_volume *volume);

#endif
