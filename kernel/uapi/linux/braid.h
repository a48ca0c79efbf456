/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * braid: control interface of the module [C1]. This comment is the manual.
 *
 * Generic netlink family BRAID_GENL_NAME, version 0: experimental, attributes may still change. Everything is per network
 * namespace: a namespace is one node. The same family in the kernel's YAML form: braid.yaml beside this directory.
 *
 * Conventions
 *
 *   Every command has its own strict policy: an attribute that the command does not list, one out of range or of the wrong
 *   length is refused and nothing happens. Integers are in host byte order, port numbers too; u64 as usual with PAD.
 *   A set of nodes is a u32 mask by node id. Strings end with zero; names hold 1 to 63 bytes. Flags are NLA_FLAG: present or
 *   absent. "No node" is an absent attribute. Times are CLOCK_MONOTONIC nanoseconds.
 *
 *   Refusals: a negative errno, and with NETLINK_EXT_ACK set on the socket (it should be) NLMSGERR_ATTR_MSG of the form
 *   "CODE: sentence". CODE is stable, lower case, letters and '-'; programs decide by it. NLMSGERR_ATTR_OFFS names the
 *   attribute at fault, NLMSGERR_ATTR_MISS_TYPE the one that lacks. Where a refusal is about certain nodes (codes
 *   peer-primary, unreachable), NLMSGERR_ATTR_COOKIE is the u32 mask of them. Messages of the netlink core itself
 *   (policy violations) have no code.
 *
 *   A volume is addressed by VOLUME_ID or VOLUME_NAME; when both are given they must name the same volume. Commands that can
 *   destroy changes (forced promotion, resolve, forget) want VOLUME_ID: it is the confirmation (code confirm).
 *
 *   Messages can be long (CHAIN_GET up to 8 KiB): receive buffers should have 32 KiB.
 *
 * Permission: CAP_NET_ADMIN in the user namespace that owns the network namespace, for GET and for joining the events group
 * too: a node belongs to its network namespace, and whoever rules that may rule the node. VOLUME_ATTACH opens block
 * devices by path, in the caller's mount namespace and with the rights of the kernel; so it wants CAP_SYS_ADMIN in the
 * initial user namespace besides (code permission). The cluster secret never leaves the module.
 *
 * Commands ("do" unless said otherwise; R: must be given)
 *
 *   NODE_START       identity and listening address of this node.
 *                    R NODE_ID, NODE_NAME, NODE_CLUSTER, NODE_INSTANCE, one of NODE_SECRET and NODE_INSECURE, NODE_ADDRESS.
 *                    NODE_PORT (BRAID_PORT_DEFAULT), NODE_SCOPE, NODE_TIMEOUT_MS (5000), NODE_DATA_LANES (2).
 *   NODE_STOP        ends all sessions, forgets peers and secret. NODE_FORCE: takes attached volumes down first, by force;
 *                    else refused (in-use) while there are any.
 *   NODE_GET         reply with NODE_* except NODE_SECRET and NODE_FORCE. Refused (not-configured) before NODE_START.
 *   NODE_SET         NODE_TIMEOUT_MS, NODE_DATA_LANES; what is not given stays. New sessions use the new values.
 *   PEER_ADD         adds a peer, or changes one with the same id. R PEER_ID, PEER_NAME, PEER_ADDRESS. PEER_PORT, PEER_SCOPE,
 *                    PEER_INSTANCE (else learnt from the first authenticated session).
 *   PEER_REMOVE, PEER_CONNECT, PEER_DISCONNECT      R PEER_ID.
 *   PEER_GET         do (R PEER_ID) or dump. Reply: PEER_*.
 *   VOLUME_ATTACH    R VOLUME_DATA_PATH. VOLUME_META_PATH: metadata on its own device, else it is on the data device.
 *                    Reply as VOLUME_GET. VOLUME_TIMEOUT_MS: how long the disks may take. Then (code timeout), or when the caller is
 *                    killed, nothing is attached; the disks are released when they have answered. Until then, and until a
 *                    down has closed them: code disk-busy.
 *   VOLUME_DOWN      refused (in-use) while the device is open; a primary is demoted first. VOLUME_FORCE: even then; pending I/O
 *                    fails. VOLUME_TIMEOUT_MS; code timeout can also mean that the volume is down, but that its disk is
 *                    closed only when it has answered (the sentence says so, VOLUME_GET does not find it any more).
 *   VOLUME_PROMOTE   VOLUME_TIMEOUT_MS. VOLUME_PEER_DOWN: nodes that the administrator or cluster manager knows to be down.
 *                    VOLUME_FORCE with VOLUME_ID: promote content that is stale or half-synced.
 *   VOLUME_DEMOTE    refused (in-use) while the device is open. It may wait for the others to record that a member was lost
 *                    (VOLUME_PROPOSAL_WAITING). VOLUME_TIMEOUT_MS.
 *   VOLUME_RESOLVE   ends a split: R VOLUME_ID, VOLUME_SPLIT_ID, VOLUME_NODE (whose changes stay). VOLUME_TIMEOUT_MS.
 *   VOLUME_FORGET    R VOLUME_ID, VOLUME_NODE (its replica is gone for good). VOLUME_TIMEOUT_MS.
 *   VOLUME_SET       R VOLUME_PAYLOAD, of this replica. Refused (in-use) with BRAID_PAYLOAD_TRUST while the device is open.
 *                    VOLUME_TIMEOUT_MS.
 *   VOLUME_GET       do (VOLUME_ID or VOLUME_NAME) or dump, ordered by id (a dump looks at no attribute). Reply: VOLUME_*.
 *   KNOWN_GET        dump: volumes that peers have told about and that have no replica here. Reply: KNOWN_*.
 *   CHAIN_GET        do: the generation records of a volume. Reply: VOLUME_ID, VOLUME_NAME, VOLUME_CHAIN_TRIMMED (flag),
 *                    VOLUME_GENERATION once per record, oldest first.
 *
 * Every wait is killable, and ends at VOLUME_TIMEOUT_MS (1..BRAID_TIMEOUT_MS_MAX, default BRAID_TIMEOUT_MS_DEFAULT) with code
 * timeout. Status of everything and commands of other volumes go on meanwhile. Commands of node and peers of one namespace take
 * turns; they wait for no disk, except that NODE_STOP by force takes the volumes down one after the other.
 *
 * Events: multicast group BRAID_GENL_EVENTS. PEER_EVENT and VOLUME_EVENT carry what PEER_GET and VOLUME_GET would answer, and a
 * sequence number (PEER_SEQUENCE, VOLUME_SEQUENCE; one u32 counter of the namespace, wraps). A gap: events were lost, dump
 * again. Several changes shortly after each other may be one event. PEER_GONE or VOLUME_GONE (flag): the peer was
 * removed, the volume taken down; then only id and, if known, name are there.
 *
 * Codes of refusals (see also the remedies that `braid` prints)
 *
 *   of the volume's state: no-disk stale syncing peer-primary unreachable busy not-primary no-split other-split is-primary
 *                          metadata-write in-sync-member
 *   of things at hand:     not-configured already-configured no-such-peer no-such-volume exists open-disk no-metadata
 *                          bad-metadata metadata-incompatible other-node disk-size disk-io in-use timeout interrupted
 *                          memory address limit block-size disk-busy
 *   of the request:        missing invalid confirm permission internal
 */
#ifndef _UAPI_LINUX_BRAID_H
#define _UAPI_LINUX_BRAID_H

#define BRAID_GENL_NAME		"braid"
#define BRAID_GENL_VERSION	0
#define BRAID_GENL_EVENTS	"events"

#define BRAID_PORT_DEFAULT		7790
#define BRAID_TIMEOUT_MS_DEFAULT	10000	/* of commands that wait */
#define BRAID_TIMEOUT_MS_MAX		3600000
#define BRAID_NODE_ID_MAX		31
#define BRAID_NAME_BYTES		64	/* terminating zero included */
#define BRAID_UUID_BYTES		16
#define BRAID_SECRET_BYTES		32
#define BRAID_PATH_BYTES		4096	/* terminating zero included */

enum braid_command {
	BRAID_CMD_UNSPEC,
	BRAID_CMD_NODE_START,
	BRAID_CMD_NODE_STOP,
	BRAID_CMD_NODE_GET,
	BRAID_CMD_NODE_SET,
	BRAID_CMD_PEER_ADD,
	BRAID_CMD_PEER_REMOVE,
	BRAID_CMD_PEER_CONNECT,
	BRAID_CMD_PEER_DISCONNECT,
	BRAID_CMD_PEER_GET,
	BRAID_CMD_VOLUME_ATTACH,
	BRAID_CMD_VOLUME_DOWN,
	BRAID_CMD_VOLUME_PROMOTE,
	BRAID_CMD_VOLUME_DEMOTE,
	BRAID_CMD_VOLUME_RESOLVE,
	BRAID_CMD_VOLUME_FORGET,
	BRAID_CMD_VOLUME_GET,
	BRAID_CMD_KNOWN_GET,
	BRAID_CMD_CHAIN_GET,
	BRAID_CMD_PEER_EVENT,		/* from the module only */
	BRAID_CMD_VOLUME_EVENT,		/* from the module only */
	BRAID_CMD_VOLUME_SET,

	__BRAID_CMD_LAST,
	BRAID_CMD_MAX = __BRAID_CMD_LAST - 1
};

enum braid_node_attribute {
	BRAID_A_NODE_UNSPEC,
	BRAID_A_NODE_PAD,
	BRAID_A_NODE_ID,		/* u8, 0..BRAID_NODE_ID_MAX */
	BRAID_A_NODE_NAME,		/* string */
	BRAID_A_NODE_CLUSTER,		/* binary, BRAID_UUID_BYTES */
	BRAID_A_NODE_INSTANCE,		/* binary, BRAID_UUID_BYTES: random per installation of this node */
	BRAID_A_NODE_SECRET,		/* binary, BRAID_SECRET_BYTES; never in a reply */
	BRAID_A_NODE_INSECURE,		/* flag: sessions without authentication */
	BRAID_A_NODE_ADDRESS,		/* binary, 4 bytes IPv4 or 16 bytes IPv6, network order: where to listen */
	BRAID_A_NODE_PORT,		/* u16, 1..65535, host order */
	BRAID_A_NODE_SCOPE,		/* u32, interface index of a link-local IPv6 address */
	BRAID_A_NODE_TIMEOUT_MS,	/* u32, 500..60000: a peer silent that long is gone */
	BRAID_A_NODE_DATA_LANES,	/* u32, 1..8: connections for data per session */
	BRAID_A_NODE_FORCE,		/* flag */
	BRAID_A_NODE_VOLUMES,		/* u32: number of attached volumes (reply) */
	BRAID_A_NODE_SEQUENCE,		/* u32: number of the last event sent (reply) */

	__BRAID_A_NODE_LAST,
	BRAID_A_NODE_MAX = __BRAID_A_NODE_LAST - 1
};

enum braid_peer_attribute {
	BRAID_A_PEER_UNSPEC,
	BRAID_A_PEER_PAD,
	BRAID_A_PEER_ID,		/* u8, 0..BRAID_NODE_ID_MAX */
	BRAID_A_PEER_NAME,		/* string */
	BRAID_A_PEER_ADDRESS,		/* as BRAID_A_NODE_ADDRESS: where the peer listens */
	BRAID_A_PEER_PORT,		/* u16 */
	BRAID_A_PEER_SCOPE,		/* u32 */
	BRAID_A_PEER_INSTANCE,		/* binary, BRAID_UUID_BYTES; absent: not known yet */
	/* replies and events only */
	BRAID_A_PEER_STATE,		/* u8, enum braid_peer_state */
	BRAID_A_PEER_STATE_NAME,	/* string: disconnected connecting authenticating open ending */
	BRAID_A_PEER_ERROR,		/* u8: why it is not open or ended last; 0 none */
	BRAID_A_PEER_ERROR_NAME,	/* string: none unreachable timeout closed protocol refused-... bye-... */
	BRAID_A_PEER_SINCE_NS,		/* u64, CLOCK_MONOTONIC: last change of state */
	BRAID_A_PEER_RTT_NS,		/* u64, smoothed round trip; 0 unknown */
	BRAID_A_PEER_SENT_FRAMES,	/* u64 */
	BRAID_A_PEER_RECEIVED_FRAMES,	/* u64 */
	BRAID_A_PEER_SENT_BYTES,	/* u64 */
	BRAID_A_PEER_RECEIVED_BYTES,	/* u64 */
	BRAID_A_PEER_DROPPED_FRAMES,	/* u64: bad input, all reasons */
	BRAID_A_PEER_RECONNECTS,	/* u32 */
	BRAID_A_PEER_LANES,		/* u32: connections of the open session, control lane included */
	BRAID_A_PEER_SEQUENCE,		/* u32, events */
	BRAID_A_PEER_GONE,		/* flag, events */

	__BRAID_A_PEER_LAST,
	BRAID_A_PEER_MAX = __BRAID_A_PEER_LAST - 1
};

enum braid_peer_state {
	BRAID_PEER_DISCONNECTED,	/* by the administrator, until PEER_CONNECT */
	BRAID_PEER_CONNECTING,		/* or waiting for the peer to connect */
	BRAID_PEER_AUTHENTICATING,
	BRAID_PEER_OPEN,
	BRAID_PEER_ENDING,
};

enum braid_volume_attribute {
	BRAID_A_VOLUME_UNSPEC,
	BRAID_A_VOLUME_PAD,
	BRAID_A_VOLUME_ID,		/* u64, not 0 */
	BRAID_A_VOLUME_NAME,		/* string */
	/* requests */
	BRAID_A_VOLUME_FORCE,		/* flag */
	BRAID_A_VOLUME_TIMEOUT_MS,	/* u32, 1..BRAID_TIMEOUT_MS_MAX */
	BRAID_A_VOLUME_PEER_DOWN,	/* u32, mask of nodes */
	BRAID_A_VOLUME_SPLIT_ID,	/* u64, as in BRAID_A_SPLIT_ID */
	BRAID_A_VOLUME_NODE,		/* u8: RESOLVE the winner, FORGET the replica's node */
	/* requests (ATTACH: path) and replies (name of the disk as the kernel knows it, without /dev/) */
	BRAID_A_VOLUME_DATA_PATH,	/* string */
	BRAID_A_VOLUME_META_PATH,	/* string; reply: absent when metadata is on the data disk */
	/* replies and events */
	BRAID_A_VOLUME_MINOR,		/* u32: number N of /dev/braidN */
	BRAID_A_VOLUME_DEVICE,		/* string: braidN */
	BRAID_A_VOLUME_BYTES,		/* u64: usable size */
	BRAID_A_VOLUME_GRANULE_BYTES,	/* u32: one bit of the dirty map */
	BRAID_A_VOLUME_THIS_NODE,	/* u8: node id of this replica */
	BRAID_A_VOLUME_REPLICA_ID,	/* u64 */
	BRAID_A_VOLUME_ROLE,		/* u8, enum braid_role */
	BRAID_A_VOLUME_ROLE_NAME,	/* string: secondary primary */
	BRAID_A_VOLUME_DISK,		/* u8, enum braid_disk_state */
	BRAID_A_VOLUME_DISK_NAME,	/* string: none ok failed */
	BRAID_A_VOLUME_ONLINE,		/* flag: attach is complete */
	BRAID_A_VOLUME_SYNCING,		/* flag: content is half-synced */
	BRAID_A_VOLUME_YIELD,		/* flag: own changes may be overwritten, a split was resolved against this side */
	BRAID_A_VOLUME_SPLIT,		/* nest of BRAID_A_SPLIT_*; absent: no split */
	BRAID_A_VOLUME_GENERATION,	/* nest of BRAID_A_GENERATION_*: the newest one; CHAIN_GET: every one; absent: no history */
	BRAID_A_VOLUME_CHAIN_TRIMMED,	/* flag: older records have been dropped */
	BRAID_A_VOLUME_REPLICAS,	/* u32, mask of nodes that have a replica, this one included */
	BRAID_A_VOLUME_UP_TO_DATE,	/* flag: in the in-sync set of the newest generation known, complete, with a disk */
	BRAID_A_VOLUME_HEALTHY,		/* flag: all replicas are in sync */
	BRAID_A_VOLUME_PRIMARY,		/* u8: node that is primary as far as known; absent: none */
	BRAID_A_VOLUME_SYNC_SOURCE,	/* u8: node that resyncs this replica; absent: none */
	BRAID_A_VOLUME_STREAMING,	/* u32, mask of peers that get every write and must acknowledge it */
	BRAID_A_VOLUME_IN_FLIGHT,	/* u32: writes, discards, flushes admitted and not ended */
	BRAID_A_VOLUME_IO_WAITS,	/* flag: I/O waits for a decision or for a lost member */
	BRAID_A_VOLUME_WRITES,		/* string: open wait fail: what a write of the primary would meet now */
	BRAID_A_VOLUME_READS,		/* string: open wait fail */
	BRAID_A_VOLUME_QUIET,		/* flag: writes are held back by a command under way */
	BRAID_A_VOLUME_COMMAND,		/* flag: a promotion, demotion or resolve is under way */
	BRAID_A_VOLUME_COMMAND_WAITING,	/* u32, mask of nodes whose answer it waits for */
	BRAID_A_VOLUME_PROPOSAL_WAITING,	/* u32, mask of nodes that have not acknowledged a new generation; absent: none is under way */
	BRAID_A_VOLUME_PROMOTE_CODE,	/* string: code of the refusal that a plain PROMOTE would meet now; absent: none */
	BRAID_A_VOLUME_PROMOTE_NODES,	/* u32, mask: nodes that the refusal is about */
	BRAID_A_VOLUME_OPENERS,		/* u32: opens of the block device */
	BRAID_A_VOLUME_WRITERS,		/* u32: of them for writing */
	BRAID_A_VOLUME_LOG,		/* nest of BRAID_A_LOG_* */
	BRAID_A_VOLUME_COUNTERS,	/* nest of BRAID_A_COUNT_* */
	BRAID_A_VOLUME_PEER,		/* nest of BRAID_A_RELATION_*, once per other replica */
	BRAID_A_VOLUME_SEQUENCE,	/* u32, events */
	BRAID_A_VOLUME_GONE,		/* flag, events */
	BRAID_A_VOLUME_BLOCK_BYTES,	/* u32: logical block of the device, 512 or 4096 */
	BRAID_A_VOLUME_PAYLOAD,		/* u8, enum braid_payload: SET, replies and events */
	BRAID_A_VOLUME_PAYLOAD_NAME,	/* string, replies and events: copy trust */

	__BRAID_A_VOLUME_LAST,
	BRAID_A_VOLUME_MAX = __BRAID_A_VOLUME_LAST - 1
};

enum braid_role {
	BRAID_ROLE_SECONDARY,
	BRAID_ROLE_PRIMARY,
};

enum braid_payload {		/* what of a write is checksummed, sent and written */
	BRAID_PAYLOAD_COPY,	/* a copy of it, made first */
	BRAID_PAYLOAD_TRUST,	/* its own pages: who changes them before the write is complete makes replicas differ */
	BRAID_PAYLOAD_MAX = BRAID_PAYLOAD_TRUST
};

enum braid_disk_state {
	BRAID_DISK_NONE,	/* detached */
	BRAID_DISK_OK,
	BRAID_DISK_FAILED,	/* given up after an error */
};

enum braid_split_attribute {
	BRAID_A_SPLIT_UNSPEC,
	BRAID_A_SPLIT_PAD,
	BRAID_A_SPLIT_ID,		/* u64, the same on both sides */
	BRAID_A_SPLIT_ANCESTOR_ID,	/* u64: newest generation that both sides hold */
	BRAID_A_SPLIT_ANCESTOR_NUMBER,	/* u64 */
	BRAID_A_SPLIT_PEER,		/* u8: node of the other side */

	__BRAID_A_SPLIT_LAST,
	BRAID_A_SPLIT_MAX = __BRAID_A_SPLIT_LAST - 1
};

enum braid_generation_attribute {
	BRAID_A_GENERATION_UNSPEC,
	BRAID_A_GENERATION_PAD,
	BRAID_A_GENERATION_ID,		/* u64 */
	BRAID_A_GENERATION_PARENT_ID,	/* u64; 0: the first one */
	BRAID_A_GENERATION_NUMBER,	/* u64 */
	BRAID_A_GENERATION_MEMBERS,	/* u32, mask: the in-sync set */
	BRAID_A_GENERATION_WRITER,	/* u8; absent: none */
	BRAID_A_GENERATION_WRITTEN,	/* flag: a write may have happened under it */

	__BRAID_A_GENERATION_LAST,
	BRAID_A_GENERATION_MAX = __BRAID_A_GENERATION_LAST - 1
};

enum braid_log_attribute {
	BRAID_A_LOG_UNSPEC,
	BRAID_A_LOG_PAD,
	BRAID_A_LOG_USED,		/* u32: regions in the activity log */
	BRAID_A_LOG_CAPACITY,		/* u32: regions it has room for */
	BRAID_A_LOG_REGION_BYTES,	/* u32 */
	BRAID_A_LOG_TRANSACTIONS,	/* u64: commits since attach */
	BRAID_A_LOG_EPOCH,		/* u64: number of the next flush */
	BRAID_A_LOG_STABLE_EPOCH,	/* u64: last flush that ended everywhere */

	__BRAID_A_LOG_LAST,
	BRAID_A_LOG_MAX = __BRAID_A_LOG_LAST - 1
};

enum braid_count_attribute {		/* all u64, since attach */
	BRAID_A_COUNT_UNSPEC,
	BRAID_A_COUNT_PAD,
	BRAID_A_COUNT_WRITES,
	BRAID_A_COUNT_READS,
	BRAID_A_COUNT_FLUSHES,
	BRAID_A_COUNT_WRITTEN_BYTES,
	BRAID_A_COUNT_READ_BYTES,
	BRAID_A_COUNT_LOG_COMMITS,
	BRAID_A_COUNT_SUPER_WRITES,
	BRAID_A_COUNT_DIRTY_PAGE_WRITES,
	BRAID_A_COUNT_RESYNC_SENT_BYTES,	/* data that differed */
	BRAID_A_COUNT_RESYNC_EQUAL_BYTES,	/* found equal by digest, not sent */
	BRAID_A_COUNT_RESYNC_RECEIVED_BYTES,
	BRAID_A_COUNT_REMOTE_READS,
	BRAID_A_COUNT_PROVEN_GRANULES,		/* dirty granules cleared by proof */

	__BRAID_A_COUNT_LAST,
	BRAID_A_COUNT_MAX = __BRAID_A_COUNT_LAST - 1
};

enum braid_relation_attribute {
	BRAID_A_RELATION_UNSPEC,
	BRAID_A_RELATION_PAD,
	BRAID_A_RELATION_NODE,		/* u8 */
	BRAID_A_RELATION_STATE,		/* u8, enum braid_relation */
	BRAID_A_RELATION_STATE_NAME,	/* string */
	BRAID_A_RELATION_UP,		/* flag: there is a session */
	BRAID_A_RELATION_PLAN,		/* string: what the two replicas would do with each other; absent: not compared */
	BRAID_A_RELATION_VERDICT,	/* string: comparison of the histories; absent: not compared */
	BRAID_A_RELATION_CONFIRMED,	/* flag: both ends agree on the plan */
	BRAID_A_RELATION_DIRTY_BYTES,	/* u64: what the peer lacks at most, as this replica knows */
	BRAID_A_RELATION_RECONCILE,	/* flag: the dirty bits come from a crash, contents may be equal */
	BRAID_A_RELATION_ACKS_PENDING,	/* u32: requests in flight that wait for this peer */

	__BRAID_A_RELATION_LAST,
	BRAID_A_RELATION_MAX = __BRAID_A_RELATION_LAST - 1
};

enum braid_relation {
	BRAID_RELATION_OFF,		/* no session */
	BRAID_RELATION_ABSENT,		/* session, but the volume is not up at the peer */
	BRAID_RELATION_GREETING,
	BRAID_RELATION_WAITING,		/* nothing to do for now; the plan says why */
	BRAID_RELATION_IN_SYNC,
	BRAID_RELATION_SOURCE_ASKED,	/* this replica asked the peer for a resync */
	BRAID_RELATION_SOURCE,		/* the peer resyncs this replica */
	BRAID_RELATION_TARGET_STARTING,	/* the peer tells what it knows to differ */
	BRAID_RELATION_TARGET,		/* this replica resyncs the peer */
	BRAID_RELATION_JOINING,		/* the generation that adds the peer is under way */
	BRAID_RELATION_SPLIT,
	BRAID_RELATION_REFUSED,		/* the plan says why */
};

enum braid_known_attribute {
	BRAID_A_KNOWN_UNSPEC,
	BRAID_A_KNOWN_PAD,
	BRAID_A_KNOWN_ID,		/* u64, volume id */
	BRAID_A_KNOWN_NAME,		/* string */
	BRAID_A_KNOWN_BYTES,		/* u64 */
	BRAID_A_KNOWN_GRANULE_BYTES,	/* u32 */
	BRAID_A_KNOWN_LOG_PARTS,	/* u32 */
	BRAID_A_KNOWN_REPLICAS,		/* u32, mask of nodes that have a replica, as the peer said */
	BRAID_A_KNOWN_SEEN_FROM,	/* u32, mask of nodes that told about it */
	BRAID_A_KNOWN_BLOCK_BYTES,	/* u32: logical block, 512 or 4096 */

	__BRAID_A_KNOWN_LAST,
	BRAID_A_KNOWN_MAX = __BRAID_A_KNOWN_LAST - 1
};

#endif /* _UAPI_LINUX_BRAID_H */
