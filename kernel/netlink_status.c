// SPDX-License-Identifier: GPL-2.0
/*
 * Status for the control interface: copies of a volume's or session's state, taken under its lock, then put into
 * messages without it [C1]. Replies and dumps; a dump takes no lock for longer than one volume and goes on where it
 * stopped by id, so that whatever attach or promote waits for, status answers.
 */
#include "netlink.h"

static_assert((int)BRAID_PEER_DISCONNECTED == (int)BRAID_SESSION_DISCONNECTED);
static_assert((int)BRAID_PEER_CONNECTING == (int)BRAID_SESSION_CONNECTING);
static_assert((int)BRAID_PEER_AUTHENTICATING == (int)BRAID_SESSION_AUTHENTICATING);
static_assert((int)BRAID_PEER_OPEN == (int)BRAID_SESSION_OPEN);
static_assert((int)BRAID_PEER_ENDING == (int)BRAID_SESSION_ENDING);
static_assert((int)BRAID_ROLE_SECONDARY == (int)VOLUME_SECONDARY);
static_assert((int)BRAID_ROLE_PRIMARY == (int)VOLUME_PRIMARY);
static_assert((int)BRAID_DISK_NONE == (int)VOLUME_DISK_NONE);
static_assert((int)BRAID_DISK_OK == (int)VOLUME_DISK_OK);
static_assert((int)BRAID_DISK_FAILED == (int)VOLUME_DISK_FAILED);
static_assert((int)BRAID_RELATION_OFF == (int)VOLUME_OFF);
static_assert((int)BRAID_RELATION_ABSENT == (int)VOLUME_ABSENT);
static_assert((int)BRAID_RELATION_GREETING == (int)VOLUME_GREETING);
static_assert((int)BRAID_RELATION_WAITING == (int)VOLUME_WAITING);
static_assert((int)BRAID_RELATION_IN_SYNC == (int)VOLUME_IN_SYNC);
static_assert((int)BRAID_RELATION_SOURCE_ASKED == (int)VOLUME_SOURCE_ASKED);
static_assert((int)BRAID_RELATION_SOURCE == (int)VOLUME_SOURCE);
static_assert((int)BRAID_RELATION_TARGET_STARTING == (int)VOLUME_TARGET_STARTING);
static_assert((int)BRAID_RELATION_TARGET == (int)VOLUME_TARGET);
static_assert((int)BRAID_RELATION_JOINING == (int)VOLUME_JOINING);
static_assert((int)BRAID_RELATION_SPLIT == (int)VOLUME_SPLIT);
static_assert((int)BRAID_RELATION_REFUSED == (int)VOLUME_REFUSED);
static_assert((int)BRAID_RELATION_REFUSED + 1 == (int)VOLUME_RELATIONS);

enum { NAME_TEXT_BYTES = 48 };

struct dump_cursor {			/* in netlink_callback.ctx */
	u64 after_id;			/* volumes: the last one sent */
	u32 next;			/* peers: node id; known volumes: number of the last one sent */
};

static_assert(sizeof(struct dump_cursor) <= sizeof_field(struct netlink_callback, ctx));

const char *braid_role_name(enum volume_role role)
{
	return role == VOLUME_PRIMARY ? "primary" : "secondary";
}

const char *braid_disk_name(enum volume_disk disk)
{
	static const char *const names[] = {
		[VOLUME_DISK_NONE] = "none",
		[VOLUME_DISK_OK] = "ok",
		[VOLUME_DISK_FAILED] = "failed",
	};

	return names[disk];
}

const char *braid_gate_name(enum volume_gate gate)
{
	static const char *const names[] = {
		[VOLUME_GATE_OPEN] = "open",
		[VOLUME_GATE_WAIT] = "wait",
		[VOLUME_GATE_FAIL] = "fail",
	};

	return names[gate];
}

const char *braid_name_to_text(const char *name, char *text, size_t text_bytes)
{
	size_t i;

	for (i = 0; i + 1 < text_bytes && name[i]; i++)
		text[i] = name[i] == '_' ? '-' : tolower(name[i]);
	text[i] = '\0';
	return text;
}

/* ---- snapshots ---- */

static void copy_super(struct braid_volume_status *status, const struct ondisk_super *super)
{
	const struct generation *tail = lineage_tail(&super->chain);

	status->volume_bytes = super->volume_bytes;
	status->granule_bytes = super->granule_bytes;
	status->block_bytes = VOLUME_SECTOR_BYTES << super->block_shift;
	status->replica_id = super->replica_id;
	status->super_flags = super->flags;
	status->trusts = super->compat & ONDISK_COMPAT_TRUST;
	status->split_id = super->split_id;
	status->split_ancestor_id = super->split_ancestor_id;
	status->split_ancestor_number = super->split_ancestor_number;
	status->split_peer = super->split_peer;
	status->replicas = super->replicas;
	status->chain_trimmed = super->chain.trimmed;
	status->has_generation = tail;
	if (tail)
		status->generation = *tail;
}

static void copy_peers(struct braid_volume_status *status, const struct volume *core)
{
	u32 slot;

	for (slot = 0; slot < REPLICAS_MAX; slot++) {
		const struct volume_peer *peer = &core->peer[slot];

		if (peer->node == NODE_NONE)
			continue;
		status->peer[status->nr_peers++] = (struct braid_relation_status) {
			.node = peer->node,
			.relation = peer->relation,
			.up = peer->up,
			.compared = peer->greeted && peer->my_number,
			.confirmed = peer->confirmed,
			.reconcile = core->super.reconcile & NODE_BIT(peer->node),
			.plan = peer->plan,
			.verdict = peer->verdict,
			.dirty_bytes = dirty_bytes(&peer->map),
			.acks_pending = peer->acks_pending,
		};
	}
}

static void copy_core(struct braid_volume_status *status, const struct volume *core)
{
	copy_super(status, &core->super);
	copy_peers(status, core);
	status->node = core->node;
	status->role = core->role;
	status->disk = core->disk;
	status->online = core->online;
	status->up_to_date = volume_up_to_date(core);
	status->healthy = volume_healthy(core);
	status->primary = core->primary;
	status->sync_source = core->sync_source;
	status->streaming = core->streaming;
	status->in_flight = core->in_flight;
	status->io_waits = core->io_waits;
	status->gate_write = volume_gate_write(core);
	status->gate_read = volume_gate_read(core);
	status->quiet = core->quiet;
	status->command_active = core->command.active;
	status->command_waiting = core->command.active ? core->command.waiting : 0;
	status->proposal_active = core->proposal.active;
	status->proposal_waiting = core->proposal.active ? core->proposal.waiting : 0;
	if (core->role != VOLUME_PRIMARY)
		status->promote_refusal = volume_promote_check(core, false, 0, &status->promote_nodes);
	status->log.used = core->log.nr_used;
	status->log.capacity = core->log.nr_slots;
	status->log.transactions = core->log.transactions;
	status->log.epoch = core->log.epoch;
	status->log.stable_epoch = core->log.stable_epoch;
	status->count.proven_granules = core->resync_clears;
}

static void copy_counters(struct braid_volume_status *status, const struct braid_volume *volume)
{
	status->openers = volume->openers;
	status->writers = volume->writers;
	status->count.writes = volume->count.writes;
	status->count.reads = volume->count.reads;
	status->count.flushes = volume->count.flushes;
	status->count.written_bytes = volume->count.written_bytes;
	status->count.read_bytes = volume->count.read_bytes;
	braid_passes_count(volume, &status->count.reads, &status->count.read_bytes);
	status->count.log_commits = volume->count.log_commits;
	status->count.super_writes = volume->count.super_writes;
	status->count.dirty_page_writes = volume->count.dirty_page_writes;
	status->count.resync_sent_bytes = volume->count.resync_sent_bytes;
	status->count.resync_equal_bytes = volume->count.resync_equal_bytes;
	status->count.resync_received_bytes = volume->count.resync_received_bytes;
	status->count.remote_reads = volume->count.remote_reads;
}

void braid_volume_status(struct braid_volume *volume, struct braid_volume_status *status)
{
	unsigned long flags;

	memset(status, 0, sizeof(*status));
	status->id = volume->id;
	memcpy(status->name, volume->name, sizeof(status->name));
	status->minor = volume->minor;
	spin_lock_irqsave(&volume->lock, flags);
	copy_counters(status, volume);
	copy_core(status, &volume->core);
	/* A detach takes the disks away under this lock before it closes them. */
	if (volume->data)
		snprintf(status->data_name, sizeof(status->data_name), "%pg", volume->data->bdev);
	if (volume->meta && volume->meta != volume->data)
		snprintf(status->meta_name, sizeof(status->meta_name), "%pg", volume->meta->bdev);
	spin_unlock_irqrestore(&volume->lock, flags);
}

/* ---- messages ---- */

static int put_flag(struct sk_buff *skb, int attribute, bool value)
{
	return value ? nla_put_flag(skb, attribute) : 0;
}

static int put_node(struct sk_buff *skb, int attribute, u8 node)
{
	return node != NODE_NONE ? nla_put_u8(skb, attribute, node) : 0;
}

static int put_name(struct sk_buff *skb, int attribute, const char *name)
{
	char text[NAME_TEXT_BYTES];

	return nla_put_string(skb, attribute, braid_name_to_text(name, text, sizeof(text)));
}

static int put_generation(struct sk_buff *skb, const struct generation *generation)
{
	struct nlattr *nest = nla_nest_start(skb, BRAID_A_VOLUME_GENERATION);

	if (!nest ||
	    nla_put_u64_64bit(skb, BRAID_A_GENERATION_ID, generation->id, BRAID_A_GENERATION_PAD) ||
	    nla_put_u64_64bit(skb, BRAID_A_GENERATION_PARENT_ID, generation->parent_id, BRAID_A_GENERATION_PAD) ||
	    nla_put_u64_64bit(skb, BRAID_A_GENERATION_NUMBER, generation->number, BRAID_A_GENERATION_PAD) ||
	    nla_put_u32(skb, BRAID_A_GENERATION_MEMBERS, generation->members) ||
	    put_node(skb, BRAID_A_GENERATION_WRITER, generation->writer) ||
	    put_flag(skb, BRAID_A_GENERATION_WRITTEN, generation->written))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int put_split(struct sk_buff *skb, const struct braid_volume_status *status)
{
	struct nlattr *nest;

	if (!(status->super_flags & ONDISK_SPLIT))
		return 0;
	nest = nla_nest_start(skb, BRAID_A_VOLUME_SPLIT);
	if (!nest ||
	    nla_put_u64_64bit(skb, BRAID_A_SPLIT_ID, status->split_id, BRAID_A_SPLIT_PAD) ||
	    nla_put_u64_64bit(skb, BRAID_A_SPLIT_ANCESTOR_ID, status->split_ancestor_id, BRAID_A_SPLIT_PAD) ||
	    nla_put_u64_64bit(skb, BRAID_A_SPLIT_ANCESTOR_NUMBER, status->split_ancestor_number, BRAID_A_SPLIT_PAD) ||
	    put_node(skb, BRAID_A_SPLIT_PEER, status->split_peer))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int put_log(struct sk_buff *skb, const struct braid_volume_status *status)
{
	struct nlattr *nest = nla_nest_start(skb, BRAID_A_VOLUME_LOG);

	if (!nest ||
	    nla_put_u32(skb, BRAID_A_LOG_USED, status->log.used) ||
	    nla_put_u32(skb, BRAID_A_LOG_CAPACITY, status->log.capacity) ||
	    nla_put_u32(skb, BRAID_A_LOG_REGION_BYTES, ACTLOG_REGION_BYTES) ||
	    nla_put_u64_64bit(skb, BRAID_A_LOG_TRANSACTIONS, status->log.transactions, BRAID_A_LOG_PAD) ||
	    nla_put_u64_64bit(skb, BRAID_A_LOG_EPOCH, status->log.epoch, BRAID_A_LOG_PAD) ||
	    nla_put_u64_64bit(skb, BRAID_A_LOG_STABLE_EPOCH, status->log.stable_epoch, BRAID_A_LOG_PAD))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int put_counters(struct sk_buff *skb, const struct braid_volume_status *status)
{
	const u64 values[] = {
		[BRAID_A_COUNT_WRITES] = status->count.writes,
		[BRAID_A_COUNT_READS] = status->count.reads,
		[BRAID_A_COUNT_FLUSHES] = status->count.flushes,
		[BRAID_A_COUNT_WRITTEN_BYTES] = status->count.written_bytes,
		[BRAID_A_COUNT_READ_BYTES] = status->count.read_bytes,
		[BRAID_A_COUNT_LOG_COMMITS] = status->count.log_commits,
		[BRAID_A_COUNT_SUPER_WRITES] = status->count.super_writes,
		[BRAID_A_COUNT_DIRTY_PAGE_WRITES] = status->count.dirty_page_writes,
		[BRAID_A_COUNT_RESYNC_SENT_BYTES] = status->count.resync_sent_bytes,
		[BRAID_A_COUNT_RESYNC_EQUAL_BYTES] = status->count.resync_equal_bytes,
		[BRAID_A_COUNT_RESYNC_RECEIVED_BYTES] = status->count.resync_received_bytes,
		[BRAID_A_COUNT_REMOTE_READS] = status->count.remote_reads,
		[BRAID_A_COUNT_PROVEN_GRANULES] = status->count.proven_granules,
	};
	struct nlattr *nest = nla_nest_start(skb, BRAID_A_VOLUME_COUNTERS);
	int attribute;

	if (!nest)
		return -EMSGSIZE;
	for (attribute = BRAID_A_COUNT_WRITES; attribute <= BRAID_A_COUNT_MAX; attribute++)
		if (nla_put_u64_64bit(skb, attribute, values[attribute], BRAID_A_COUNT_PAD))
			return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int put_relation(struct sk_buff *skb, const struct braid_relation_status *peer)
{
	struct nlattr *nest = nla_nest_start(skb, BRAID_A_VOLUME_PEER);

	if (!nest ||
	    nla_put_u8(skb, BRAID_A_RELATION_NODE, peer->node) ||
	    nla_put_u8(skb, BRAID_A_RELATION_STATE, peer->relation) ||
	    put_name(skb, BRAID_A_RELATION_STATE_NAME, volume_relation_name(peer->relation)) ||
	    put_flag(skb, BRAID_A_RELATION_UP, peer->up) ||
	    put_flag(skb, BRAID_A_RELATION_CONFIRMED, peer->confirmed) ||
	    put_flag(skb, BRAID_A_RELATION_RECONCILE, peer->reconcile) ||
	    nla_put_u64_64bit(skb, BRAID_A_RELATION_DIRTY_BYTES, peer->dirty_bytes, BRAID_A_RELATION_PAD) ||
	    nla_put_u32(skb, BRAID_A_RELATION_ACKS_PENDING, peer->acks_pending))
		return -EMSGSIZE;
	if (peer->compared && (put_name(skb, BRAID_A_RELATION_PLAN, volume_plan_name(peer->plan)) ||
			       put_name(skb, BRAID_A_RELATION_VERDICT, lineage_verdict_name(peer->verdict))))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int put_volume_disk(struct sk_buff *skb, const struct braid_volume_status *status)
{
	char device[NAME_TEXT_BYTES];

	snprintf(device, sizeof(device), "braid%u", status->minor);
	if (nla_put_u32(skb, BRAID_A_VOLUME_MINOR, status->minor) ||
	    nla_put_string(skb, BRAID_A_VOLUME_DEVICE, device) ||
	    nla_put_u64_64bit(skb, BRAID_A_VOLUME_BYTES, status->volume_bytes, BRAID_A_VOLUME_PAD) ||
	    nla_put_u32(skb, BRAID_A_VOLUME_GRANULE_BYTES, status->granule_bytes) ||
	    nla_put_u32(skb, BRAID_A_VOLUME_BLOCK_BYTES, status->block_bytes) ||
	    nla_put_u8(skb, BRAID_A_VOLUME_THIS_NODE, status->node) ||
	    nla_put_u64_64bit(skb, BRAID_A_VOLUME_REPLICA_ID, status->replica_id, BRAID_A_VOLUME_PAD) ||
	    nla_put_u8(skb, BRAID_A_VOLUME_DISK, status->disk) ||
	    nla_put_string(skb, BRAID_A_VOLUME_DISK_NAME, braid_disk_name(status->disk)) ||
	    nla_put_u8(skb, BRAID_A_VOLUME_PAYLOAD, status->trusts ? BRAID_PAYLOAD_TRUST : BRAID_PAYLOAD_COPY) ||
	    nla_put_string(skb, BRAID_A_VOLUME_PAYLOAD_NAME, status->trusts ? "trust" : "copy") ||
	    nla_put_u32(skb, BRAID_A_VOLUME_OPENERS, status->openers) ||
	    nla_put_u32(skb, BRAID_A_VOLUME_WRITERS, status->writers))
		return -EMSGSIZE;
	if ((status->data_name[0] && nla_put_string(skb, BRAID_A_VOLUME_DATA_PATH, status->data_name)) ||
	    (status->meta_name[0] && nla_put_string(skb, BRAID_A_VOLUME_META_PATH, status->meta_name)))
		return -EMSGSIZE;
	return 0;
}

static int put_volume_state(struct sk_buff *skb, const struct braid_volume_status *status)
{
	if (nla_put_u8(skb, BRAID_A_VOLUME_ROLE, status->role) ||
	    nla_put_string(skb, BRAID_A_VOLUME_ROLE_NAME, braid_role_name(status->role)) ||
	    put_flag(skb, BRAID_A_VOLUME_ONLINE, status->online) ||
	    put_flag(skb, BRAID_A_VOLUME_SYNCING, status->super_flags & ONDISK_SYNCING) ||
	    put_flag(skb, BRAID_A_VOLUME_YIELD, status->super_flags & ONDISK_YIELD) ||
	    put_split(skb, status) ||
	    (status->has_generation && put_generation(skb, &status->generation)) ||
	    put_flag(skb, BRAID_A_VOLUME_CHAIN_TRIMMED, status->chain_trimmed) ||
	    nla_put_u32(skb, BRAID_A_VOLUME_REPLICAS, status->replicas) ||
	    put_flag(skb, BRAID_A_VOLUME_UP_TO_DATE, status->up_to_date) ||
	    put_flag(skb, BRAID_A_VOLUME_HEALTHY, status->healthy) ||
	    put_node(skb, BRAID_A_VOLUME_PRIMARY, status->primary) ||
	    put_node(skb, BRAID_A_VOLUME_SYNC_SOURCE, status->sync_source) ||
	    nla_put_u32(skb, BRAID_A_VOLUME_STREAMING, status->streaming))
		return -EMSGSIZE;
	return 0;
}

/* What waits and why; what would be refused. */
static int put_volume_waits(struct sk_buff *skb, const struct braid_volume_status *status)
{
	if (nla_put_u32(skb, BRAID_A_VOLUME_IN_FLIGHT, status->in_flight) ||
	    put_flag(skb, BRAID_A_VOLUME_IO_WAITS, status->io_waits) ||
	    nla_put_string(skb, BRAID_A_VOLUME_WRITES, braid_gate_name(status->gate_write)) ||
	    nla_put_string(skb, BRAID_A_VOLUME_READS, braid_gate_name(status->gate_read)) ||
	    put_flag(skb, BRAID_A_VOLUME_QUIET, status->quiet) ||
	    put_flag(skb, BRAID_A_VOLUME_COMMAND, status->command_active) ||
	    (status->command_active && nla_put_u32(skb, BRAID_A_VOLUME_COMMAND_WAITING, status->command_waiting)) ||
	    (status->proposal_active && nla_put_u32(skb, BRAID_A_VOLUME_PROPOSAL_WAITING, status->proposal_waiting)))
		return -EMSGSIZE;
	if (status->promote_refusal != VOLUME_OK &&
	    (nla_put_string(skb, BRAID_A_VOLUME_PROMOTE_CODE, braid_refusal_code(status->promote_refusal)) ||
	     nla_put_u32(skb, BRAID_A_VOLUME_PROMOTE_NODES, status->promote_nodes)))
		return -EMSGSIZE;
	return 0;
}

int braid_put_volume(struct sk_buff *skb, const struct braid_volume_status *status)
{
	u32 i;

	if (nla_put_u64_64bit(skb, BRAID_A_VOLUME_ID, status->id, BRAID_A_VOLUME_PAD) ||
	    nla_put_string(skb, BRAID_A_VOLUME_NAME, status->name) ||
	    put_volume_disk(skb, status) ||
	    put_volume_state(skb, status) ||
	    put_volume_waits(skb, status) ||
	    put_log(skb, status) ||
	    put_counters(skb, status))
		return -EMSGSIZE;
	for (i = 0; i < status->nr_peers; i++)
		if (put_relation(skb, &status->peer[i]))
			return -EMSGSIZE;
	return 0;
}

static void session_error_text(u8 error, char *text, size_t text_bytes)
{
	static const char *const names[] = {
		[BRAID_SESSION_NO_ERROR] = "none",
		[BRAID_SESSION_UNREACHABLE] = "unreachable",
		[BRAID_SESSION_TIMEOUT] = "timeout",
		[BRAID_SESSION_CLOSED] = "closed",
		[BRAID_SESSION_PROTOCOL] = "protocol",
	};
	static const char *const bye[] = {
		[WIRE_BYE_DOWN] = "bye-down",
		[WIRE_BYE_PROTOCOL] = "bye-protocol",
		[WIRE_BYE_STUCK] = "bye-stuck",
		[WIRE_BYE_VERDICT] = "bye-verdict",
	};
	const char *name = NULL;
	char refused[NAME_TEXT_BYTES];

	if (error >= BRAID_SESSION_BYE_FIRST) {
		error -= BRAID_SESSION_BYE_FIRST;
		name = error < ARRAY_SIZE(bye) ? bye[error] : NULL;
	} else if (error >= BRAID_SESSION_REFUSED_FIRST) {
		snprintf(refused, sizeof(refused), "refused-%s", wire_refusal_name(error - BRAID_SESSION_REFUSED_FIRST));
		name = refused;
	} else if (error < ARRAY_SIZE(names)) {
		name = names[error];
	}
	braid_name_to_text(name ?: "unknown", text, text_bytes);
}

static int put_session(struct sk_buff *skb, const struct braid_session_status *status)
{
	static const char *const states[] = {
		[BRAID_SESSION_DISCONNECTED] = "disconnected",
		[BRAID_SESSION_CONNECTING] = "connecting",
		[BRAID_SESSION_AUTHENTICATING] = "authenticating",
		[BRAID_SESSION_OPEN] = "open",
		[BRAID_SESSION_ENDING] = "ending",
	};
	char error[NAME_TEXT_BYTES];

	session_error_text(status->last_error, error, sizeof(error));
	if (nla_put_u8(skb, BRAID_A_PEER_STATE, status->state) ||
	    nla_put_string(skb, BRAID_A_PEER_STATE_NAME, states[status->state]) ||
	    nla_put_u8(skb, BRAID_A_PEER_ERROR, status->last_error) ||
	    nla_put_string(skb, BRAID_A_PEER_ERROR_NAME, error) ||
	    nla_put_u64_64bit(skb, BRAID_A_PEER_SINCE_NS, status->since_ns, BRAID_A_PEER_PAD) ||
	    nla_put_u64_64bit(skb, BRAID_A_PEER_RTT_NS, status->rtt_ns, BRAID_A_PEER_PAD) ||
	    nla_put_u64_64bit(skb, BRAID_A_PEER_SENT_FRAMES, status->sent_frames, BRAID_A_PEER_PAD) ||
	    nla_put_u64_64bit(skb, BRAID_A_PEER_RECEIVED_FRAMES, status->received_frames, BRAID_A_PEER_PAD) ||
	    nla_put_u64_64bit(skb, BRAID_A_PEER_SENT_BYTES, status->sent_bytes, BRAID_A_PEER_PAD) ||
	    nla_put_u64_64bit(skb, BRAID_A_PEER_RECEIVED_BYTES, status->received_bytes, BRAID_A_PEER_PAD) ||
	    nla_put_u64_64bit(skb, BRAID_A_PEER_DROPPED_FRAMES, status->dropped_frames, BRAID_A_PEER_PAD) ||
	    nla_put_u32(skb, BRAID_A_PEER_RECONNECTS, status->reconnects) ||
	    nla_put_u32(skb, BRAID_A_PEER_LANES, status->nr_lanes))
		return -EMSGSIZE;
	return 0;
}

int braid_put_peer(struct sk_buff *skb, const struct braid_session_status *status)
{
	static const struct braid_address_attributes attributes = {
		.address = BRAID_A_PEER_ADDRESS,
		.port = BRAID_A_PEER_PORT,
		.scope = BRAID_A_PEER_SCOPE,
	};
	const struct braid_peer_config *config = &status->config;

	if (nla_put_u8(skb, BRAID_A_PEER_ID, config->node_id) ||
	    nla_put_string(skb, BRAID_A_PEER_NAME, config->name) ||
	    braid_put_address(skb, &attributes, &config->address) ||
	    (config->instance_known && nla_put(skb, BRAID_A_PEER_INSTANCE, UUID_BYTES, config->instance)) ||
	    put_session(skb, status))
		return -EMSGSIZE;
	return 0;
}

/* ---- commands ---- */

static int put_node_identity(struct sk_buff *skb, const struct braid_net *bn)
{
	static const struct braid_address_attributes attributes = {
		.address = BRAID_A_NODE_ADDRESS,
		.port = BRAID_A_NODE_PORT,
		.scope = BRAID_A_NODE_SCOPE,
	};
	const struct braid_identity *identity = &bn->identity;

	/* The secret is never shown. */
	if (nla_put_u8(skb, BRAID_A_NODE_ID, identity->node_id) ||
	    nla_put_string(skb, BRAID_A_NODE_NAME, identity->name) ||
	    nla_put(skb, BRAID_A_NODE_CLUSTER, UUID_BYTES, identity->cluster_id) ||
	    nla_put(skb, BRAID_A_NODE_INSTANCE, UUID_BYTES, identity->instance) ||
	    put_flag(skb, BRAID_A_NODE_INSECURE, identity->insecure) ||
	    braid_put_address(skb, &attributes, &identity->listen) ||
	    nla_put_u32(skb, BRAID_A_NODE_TIMEOUT_MS, bn->options.timeout_ms) ||
	    nla_put_u32(skb, BRAID_A_NODE_DATA_LANES, bn->options.nr_data_lanes) ||
	    nla_put_u32(skb, BRAID_A_NODE_SEQUENCE, READ_ONCE(bn->event_sequence)))
		return -EMSGSIZE;
	return 0;
}

static int finish_reply(struct genl_info *info, struct sk_buff *reply, void *header, int error)
{
	if (error) {
		nlmsg_free(reply);
		return error;
	}
	genlmsg_end(reply, header);
	return genlmsg_reply(reply, info);
}

/* The empty reply of a "do", or NULL: the extack is set. */
static struct sk_buff *start_reply(struct genl_info *info, void **header)
{
	struct sk_buff *reply = genlmsg_new(BRAID_REPLY_BYTES, GFP_KERNEL);

	*header = reply ? genlmsg_put_reply(reply, info, &braid_genl_family, 0, info->genlhdr->cmd) : NULL;
	if (*header)
		return reply;
	nlmsg_free(reply);
	braid_refuse(info, BRAID_ERROR_MEMORY, 0);
	return NULL;
}

int braid_node_get(struct sk_buff *skb, struct genl_info *info)
{
	struct braid_request request;
	struct sk_buff *reply;
	struct braid_volume *volume;
	void *header;
	u32 nr_volumes = 0;
	int error;

	reply = start_reply(info, &header);
	if (!reply)
		return -ENOMEM;
	error = braid_request_begin(info, &request, BRAID_NEEDS_LOCK | BRAID_NEEDS_NODE);
	if (!error) {
		rcu_read_lock();
		list_for_each_entry_rcu(volume, &request.bn->volumes, entry)
			nr_volumes++;
		rcu_read_unlock();
		error = put_node_identity(reply, request.bn) ?: nla_put_u32(reply, BRAID_A_NODE_VOLUMES, nr_volumes);
		braid_request_end(&request);
	}
	return finish_reply(info, reply, header, error);
}

int braid_peer_get(struct sk_buff *skb, struct genl_info *info)
{
	struct braid_session_status status;
	struct braid_request request;
	struct sk_buff *reply;
	void *header;
	int error;

	error = braid_request_wants(info, BRAID_A_PEER_ID) ?: braid_request_begin(info, &request, 0);
	if (error)
		return error;
	if (!braid_session_status(request.bn, nla_get_u8(info->attrs[BRAID_A_PEER_ID]), &status)) {
		NL_SET_BAD_ATTR(info->extack, info->attrs[BRAID_A_PEER_ID]);
		error = braid_refuse(info, BRAID_ERROR_NO_SUCH_PEER, 0);
	}
	braid_request_end(&request);
	if (error)
		return error;
	reply = start_reply(info, &header);
	return reply ? finish_reply(info, reply, header, braid_put_peer(reply, &status)) : -ENOMEM;
}

/* Start of one message of a dump, or NULL when the buffer is full. */
static void *dump_message(struct sk_buff *skb, struct netlink_callback *cb, u8 command)
{
	return genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, &braid_genl_family, NLM_F_MULTI, command);
}

/* Ends one message of a dump: false when it did not fit, it is for the next buffer then. */
static bool dump_message_end(struct sk_buff *skb, void *header, int error)
{
	if (error)
		genlmsg_cancel(skb, header);
	else
		genlmsg_end(skb, header);
	return !error;
}

/* Nothing fitted into an empty buffer: an error, since an empty answer would end the dump as if it were complete. */
static int dump_result(const struct sk_buff *skb, bool full)
{
	return full && !skb->len ? -EMSGSIZE : skb->len;
}

int braid_peer_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct dump_cursor *cursor = (struct dump_cursor *)cb->ctx;
	struct braid_net *bn = braid_net(sock_net(skb->sk));
	struct braid_session_status status;
	void *header;

	for (; cursor->next < NODES_MAX; cursor->next++) {
		if (!braid_session_status(bn, cursor->next, &status))
			continue;
		header = dump_message(skb, cb, BRAID_CMD_PEER_GET);
		if (!header || !dump_message_end(skb, header, braid_put_peer(skb, &status)))
			return dump_result(skb, true);
	}
	return dump_result(skb, false);
}

int braid_reply_volume(struct genl_info *info, struct sk_buff *reply, struct braid_volume *volume)
{
	struct braid_volume_status *status = kmalloc(sizeof(*status), GFP_KERNEL);
	void *header = NULL;
	int error;

	if (!reply)
		reply = genlmsg_new(BRAID_REPLY_BYTES, GFP_KERNEL);
	if (reply)
		header = genlmsg_put_reply(reply, info, &braid_genl_family, 0, info->genlhdr->cmd);
	if (!status || !header) {
		nlmsg_free(reply);
		kfree(status);
		return braid_refuse(info, BRAID_ERROR_MEMORY, 0);
	}
	braid_volume_status(volume, status);
	error = braid_put_volume(reply, status);
	kfree(status);
	return finish_reply(info, reply, header, error);
}

int braid_volume_get_command(struct sk_buff *skb, struct genl_info *info)
{
	struct braid_request request;
	int error = braid_request_begin(info, &request, BRAID_NEEDS_VOLUME);

	if (error)
		return error;
	error = braid_reply_volume(info, NULL, request.volume);
	braid_request_end(&request);
	return error;
}

int braid_volume_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct dump_cursor *cursor = (struct dump_cursor *)cb->ctx;
	struct braid_net *bn = braid_net(sock_net(skb->sk));
	struct braid_volume_status *status = kmalloc(sizeof(*status), GFP_KERNEL);
	struct braid_volume *volume;
	bool full = false;
	void *header;

	if (!status)
		return -ENOMEM;
	while (!full && (volume = braid_volume_next(bn, cursor->after_id))) {
		braid_volume_status(volume, status);
		braid_volume_put(volume);
		header = dump_message(skb, cb, BRAID_CMD_VOLUME_GET);
		full = !header || !dump_message_end(skb, header, braid_put_volume(skb, status));
		if (!full)
			cursor->after_id = status->id;
	}
	kfree(status);
	return dump_result(skb, full);
}

static int put_known(struct sk_buff *skb, const struct braid_known_volume *known)
{
	if (nla_put_u64_64bit(skb, BRAID_A_KNOWN_ID, known->id, BRAID_A_KNOWN_PAD) ||
	    nla_put_string(skb, BRAID_A_KNOWN_NAME, known->name) ||
	    nla_put_u64_64bit(skb, BRAID_A_KNOWN_BYTES, known->volume_bytes, BRAID_A_KNOWN_PAD) ||
	    nla_put_u32(skb, BRAID_A_KNOWN_GRANULE_BYTES, known->granule_bytes) ||
	    nla_put_u32(skb, BRAID_A_KNOWN_LOG_PARTS, known->actlog_parts) ||
	    nla_put_u32(skb, BRAID_A_KNOWN_BLOCK_BYTES, known->block_bytes) ||
	    nla_put_u32(skb, BRAID_A_KNOWN_REPLICAS, known->replicas) ||
	    nla_put_u32(skb, BRAID_A_KNOWN_SEEN_FROM, known->seen_from))
		return -EMSGSIZE;
	return 0;
}

int braid_known_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct dump_cursor *cursor = (struct dump_cursor *)cb->ctx;
	struct braid_net *bn = braid_net(sock_net(skb->sk));
	struct braid_known_volume known;
	u32 number = cursor->next;
	void *header;

	for (; braid_known_volume(bn, &number, &known); cursor->next = number) {
		header = dump_message(skb, cb, BRAID_CMD_KNOWN_GET);
		if (!header || !dump_message_end(skb, header, put_known(skb, &known)))
			return dump_result(skb, true);
	}
	return dump_result(skb, false);
}

static int put_chain(struct sk_buff *skb, const struct braid_volume *volume, const struct chain *chain)
{
	u32 i;

	if (nla_put_u64_64bit(skb, BRAID_A_VOLUME_ID, volume->id, BRAID_A_VOLUME_PAD) ||
	    nla_put_string(skb, BRAID_A_VOLUME_NAME, volume->name) ||
	    put_flag(skb, BRAID_A_VOLUME_CHAIN_TRIMMED, chain->trimmed))
		return -EMSGSIZE;
	for (i = 0; i < chain->count; i++)
		if (put_generation(skb, &chain->record[i]))
			return -EMSGSIZE;
	return 0;
}

int braid_chain_get(struct sk_buff *skb, struct genl_info *info)
{
	struct chain *chain = kmalloc(sizeof(*chain), GFP_KERNEL);
	struct braid_request request;
	struct sk_buff *reply;
	unsigned long flags;
	void *header;
	int error;

	if (!chain)
		return braid_refuse(info, BRAID_ERROR_MEMORY, 0);
	error = braid_request_begin(info, &request, BRAID_NEEDS_VOLUME);
	if (!error) {
		spin_lock_irqsave(&request.volume->lock, flags);
		*chain = request.volume->core.super.chain;
		spin_unlock_irqrestore(&request.volume->lock, flags);
		reply = start_reply(info, &header);
		error = reply ? finish_reply(info, reply, header, put_chain(reply, request.volume, chain)) : -ENOMEM;
		braid_request_end(&request);
	}
	kfree(chain);
	return error;
}
