/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Control interface: what the files of the generic netlink family share [C1]. The interface itself is described in
 * uapi/linux/braid.h.
 *
 * Files: netlink.c         the family, policies, commands;       netlink_request.c  what comes first in every command: refusals,
 *        netlink_status.c  snapshots, replies, dumps;                               lookups and locks, addresses;
 *        netlink_event.c   multicast events;                     debugfs.c          the snapshots as text.
 */
#ifndef BRAID_NETLINK_H
#define BRAID_NETLINK_H

#include <net/genetlink.h>
#include <uapi/linux/braid.h>
#include "device.h"
#include "node.h"

enum {
	BRAID_DISK_NAME_BYTES = 40,
	BRAID_REPLY_BYTES = 16 << 10,	/* the longest reply, a full chain, needs half of it */
};

extern struct genl_family braid_genl_family;

/*
 * Registers the family: 0 or a negative errno. Everything that commands use must be ready. braid_netlink_exit() ends it: no
 * command runs and no event is sent when it returns; braid_notify_*() may still be called and do nothing. So it comes
 * first when the module goes. Both sleep.
 */
int braid_netlink_init(void);
void braid_netlink_exit(void);

/* netlink_event.c; sleep. After braid_events_stop() notifications are dropped. */
int braid_events_start(void);
void braid_events_stop(void);

/* debugfs.c: /sys/kernel/debug/braid; sleep. Without debugfs they do nothing. */
void braid_debugfs_init(void);
void braid_debugfs_exit(void);
/* One file per volume, for as long as it can be found. The caller holds a reference. Removal waits for readers. */
void braid_debugfs_add(struct braid_volume *volume);
void braid_debugfs_remove(struct braid_volume *volume);

/* ---- netlink_status.c ---- */

/* One other replica, as this one sees it. */
struct braid_relation_status {
	u8 node;
	enum volume_relation relation;
	bool up;
	bool compared;		/* plan and verdict are valid */
	bool confirmed;
	bool reconcile;
	enum volume_plan plan;
	enum lineage_verdict verdict;
	u64 dirty_bytes;
	u32 acks_pending;
};

/* Everything that status shows of a volume, copied under one hold of its lock: consistent in itself. */
struct braid_volume_status {
	u64 id;
	char name[NAME_BYTES_MAX];
	u32 minor;
	u64 volume_bytes;
	u32 granule_bytes;
	u32 block_bytes;		/* logical blocks */
	u64 replica_id;
	u8 node;
	enum volume_role role;
	enum volume_disk disk;
	bool online;
	u32 super_flags;		/* enum ondisk_super_flags */
	bool trusts;			/* [W2] */
	u64 split_id, split_ancestor_id, split_ancestor_number;
	u8 split_peer;
	bool has_generation;
	struct generation generation;
	bool chain_trimmed;
	u32 replicas;
	bool up_to_date, healthy;
	u8 primary, sync_source;	/* or NODE_NONE */
	u32 streaming;
	u32 in_flight;
	bool io_waits;
	enum volume_gate gate_write, gate_read;
	u32 quiet;
	bool command_active;
	u32 command_waiting;
	bool proposal_active;
	u32 proposal_waiting;
	enum volume_refusal promote_refusal;
	u32 promote_nodes;
	u32 openers, writers;
	char data_name[BRAID_DISK_NAME_BYTES];	/* empty: no disk */
	char meta_name[BRAID_DISK_NAME_BYTES];	/* empty: metadata is on the data disk */
	struct {
		u32 used, capacity;
		u64 transactions, epoch, stable_epoch;
	} log;
	struct {
		u64 writes, reads, flushes, written_bytes, read_bytes;
		u64 log_commits, super_writes, dirty_page_writes;
		u64 resync_sent_bytes, resync_equal_bytes, resync_received_bytes;
		u64 remote_reads, proven_granules;
	} count;
	u32 nr_peers;
	struct braid_relation_status peer[REPLICAS_MAX];
};

/* Any context; takes volume->lock. */
void braid_volume_status(struct braid_volume *volume, struct braid_volume_status *status);
const char *braid_role_name(enum volume_role role);
const char *braid_disk_name(enum volume_disk disk);
const char *braid_gate_name(enum volume_gate gate);
/* A name of the core the way users see it: lower case, '-' for '_'. Returns @text. */
const char *braid_name_to_text(const char *name, char *text, size_t text_bytes);

/* Append attributes: 0 or -EMSGSIZE. */
int braid_put_volume(struct sk_buff *skb, const struct braid_volume_status *status);
int braid_put_peer(struct sk_buff *skb, const struct braid_session_status *status);

int braid_node_get(struct sk_buff *skb, struct genl_info *info);
int braid_peer_get(struct sk_buff *skb, struct genl_info *info);
int braid_peer_dump(struct sk_buff *skb, struct netlink_callback *cb);
int braid_volume_get_command(struct sk_buff *skb, struct genl_info *info);
int braid_volume_dump(struct sk_buff *skb, struct netlink_callback *cb);
int braid_known_dump(struct sk_buff *skb, struct netlink_callback *cb);
int braid_chain_get(struct sk_buff *skb, struct genl_info *info);
/* Answer to VOLUME_ATTACH and VOLUME_GET. @reply (NULL: one is allocated) is taken over. 0 or a negative errno. */
int braid_reply_volume(struct genl_info *info, struct sk_buff *reply, struct braid_volume *volume);

/* ---- netlink_request.c ---- */

/* What a command needs before it may do anything. */
enum braid_request_needs {
	BRAID_NEEDS_LOCK = 1 << 0,		/* bn->lock */
	BRAID_NEEDS_NODE = 1 << 1,		/* an identity; with BRAID_NEEDS_LOCK it stays */
	BRAID_NEEDS_VOLUME = 1 << 2,		/* the volume that VOLUME_ID or VOLUME_NAME names */
	BRAID_NEEDS_VOLUME_ID = 1 << 3,		/* and VOLUME_ID was given: the confirmation */
	BRAID_NEEDS_COMMAND_LOCK = 1 << 4,	/* the volume's command_lock; the command has VOLUME_TIMEOUT_MS */
};

struct braid_request {
	struct braid_net *bn;
	struct braid_volume *volume;	/* reference held, or NULL */
	u32 held;			/* of enum braid_request_needs: locks */
	u32 timeout_ms;			/* with the command_lock: what waiting for it has left for the command */
};

/*
 * First call of every command: finds, takes references and locks (killable), or refuses. 0, or a negative errno with the
 * extack set; then nothing is held. Otherwise braid_request_end() when done.
 */
int braid_request_begin(struct genl_info *info, struct braid_request *request, u32 needs);
void braid_request_end(struct braid_request *request);

/* VOLUME_TIMEOUT_MS or its default; of commands whose policy has it. */
u32 braid_request_timeout_ms(const struct genl_info *info);
/* Is the attribute there? Else refused. */
int braid_request_wants(struct genl_info *info, int attribute);
/* Fill the extack, return the errno. @nodes: whom the refusal is about, 0 nobody. BRAID_OK returns 0. */
int braid_refuse(struct genl_info *info, u32 error, u32 nodes);
/* The same for an errno of the session layer. 0 returns 0. */
int braid_refuse_errno(struct genl_info *info, int error);
/* Stable code of a refusal. */
const char *braid_refusal_code(u32 error);
/* Refuse because of a value; @text is "CODE: sentence", a literal. */
#define braid_refuse_attribute(info, attribute, text)						\
	({											\
		NL_SET_ERR_MSG_ATTR((info)->extack, (info)->attrs[attribute], text);		\
		-EINVAL;									\
	})

/* A valid name out of the string attribute: 0 or refused. */
int braid_request_name(struct genl_info *info, int attribute, char name[NAME_BYTES_MAX]);
/* Attributes of an address. @listen: the unspecified address is allowed. */
struct braid_address_attributes {
	int address, port, scope;
	bool listen;
};
int braid_request_address(struct genl_info *info, const struct braid_address_attributes *attributes,
			  struct sockaddr_storage *address);
int braid_put_address(struct sk_buff *skb, const struct braid_address_attributes *attributes,
		      const struct sockaddr_storage *address);

#endif
