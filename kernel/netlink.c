// SPDX-License-Identifier: GPL-2.0
/*
 * The generic netlink family [C1]: one strict policy per command, so that what a command does not know is refused before
 * anything happens, and the commands that change something. uapi/linux/braid.h is the manual.
 *
 * Commands run in parallel (parallel_ops): of ours, a promotion that waits for peers holds its volume's command_lock and nothing
 * else, and attach and down, which wait for disks, hold nothing that others need. bn->lock is taken for configuration. The core
 * holds a lock of its own as a reader, which only a family that comes or goes waits for: a module that brings one waits for the
 * command, and everybody then waits for that module.
 */
#include <linux/module.h>
#include <linux/string.h>
#include "netlink.h"

static_assert((int)BRAID_NODE_ID_MAX == (int)NODES_MAX - 1);
static_assert((int)BRAID_NAME_BYTES == (int)NAME_BYTES_MAX);
static_assert((int)BRAID_UUID_BYTES == (int)UUID_BYTES);
static_assert((int)BRAID_SECRET_BYTES == (int)SECRET_BYTES);
static_assert((int)BRAID_PORT_DEFAULT == (int)WIRE_PORT);

enum {
	TIMEOUT_MS_DEFAULT = 5000,	/* failure timeout of sessions */
	DATA_LANES_DEFAULT = 2,
	DISK_TIMEOUT_MS_DEFAULT = 30000,	/* [W4] */
};

/* Not const: struct nla_policy of 6.1 points to them so. */
static struct netlink_range_validation failure_timeout_range = { .min = 500, .max = 60000 };
static struct netlink_range_validation command_timeout_range = { .min = 1, .max = BRAID_TIMEOUT_MS_MAX };

#define POLICY_NODE	NLA_POLICY_MAX(NLA_U8, BRAID_NODE_ID_MAX)
#define POLICY_NAME	{ .type = NLA_NUL_STRING, .len = BRAID_NAME_BYTES - 1 }
#define POLICY_PATH	{ .type = NLA_NUL_STRING, .len = BRAID_PATH_BYTES - 1 }
#define POLICY_ADDRESS	NLA_POLICY_RANGE(NLA_BINARY, 4, 16)
#define POLICY_PORT	NLA_POLICY_MIN(NLA_U16, 1)
#define POLICY_SCOPE	NLA_POLICY_MIN(NLA_U32, 1)
#define POLICY_FLAG	{ .type = NLA_FLAG }
#define POLICY_ID	NLA_POLICY_MIN(NLA_U64, 1)
#define POLICY_TIMEOUT	NLA_POLICY_FULL_RANGE(NLA_U32, &command_timeout_range)
#define POLICY_FAILURE_TIMEOUT	NLA_POLICY_FULL_RANGE(NLA_U32, &failure_timeout_range)
#define POLICY_DATA_LANES	NLA_POLICY_RANGE(NLA_U32, 1, WIRE_LANES_MAX - 1)

static const struct nla_policy node_start_policy[] = {
	[BRAID_A_NODE_ID] = POLICY_NODE,
	[BRAID_A_NODE_NAME] = POLICY_NAME,
	[BRAID_A_NODE_CLUSTER] = NLA_POLICY_EXACT_LEN(UUID_BYTES),
	[BRAID_A_NODE_INSTANCE] = NLA_POLICY_EXACT_LEN(UUID_BYTES),
	[BRAID_A_NODE_SECRET] = NLA_POLICY_EXACT_LEN(SECRET_BYTES),
	[BRAID_A_NODE_INSECURE] = POLICY_FLAG,
	[BRAID_A_NODE_ADDRESS] = POLICY_ADDRESS,
	[BRAID_A_NODE_PORT] = POLICY_PORT,
	[BRAID_A_NODE_SCOPE] = POLICY_SCOPE,
	[BRAID_A_NODE_TIMEOUT_MS] = POLICY_FAILURE_TIMEOUT,
	[BRAID_A_NODE_DATA_LANES] = POLICY_DATA_LANES,
};

static const struct nla_policy node_stop_policy[] = {
	[BRAID_A_NODE_FORCE] = POLICY_FLAG,
};

static const struct nla_policy node_set_policy[] = {
	[BRAID_A_NODE_TIMEOUT_MS] = POLICY_FAILURE_TIMEOUT,
	[BRAID_A_NODE_DATA_LANES] = POLICY_DATA_LANES,
};

static const struct nla_policy peer_add_policy[] = {
	[BRAID_A_PEER_ID] = POLICY_NODE,
	[BRAID_A_PEER_NAME] = POLICY_NAME,
	[BRAID_A_PEER_ADDRESS] = POLICY_ADDRESS,
	[BRAID_A_PEER_PORT] = POLICY_PORT,
	[BRAID_A_PEER_SCOPE] = POLICY_SCOPE,
	[BRAID_A_PEER_INSTANCE] = NLA_POLICY_EXACT_LEN(UUID_BYTES),
};

static const struct nla_policy peer_policy[] = {
	[BRAID_A_PEER_ID] = POLICY_NODE,
};

static const struct nla_policy attach_policy[] = {
	[BRAID_A_VOLUME_DATA_PATH] = POLICY_PATH,
	[BRAID_A_VOLUME_META_PATH] = POLICY_PATH,
	[BRAID_A_VOLUME_TIMEOUT_MS] = POLICY_TIMEOUT,
};

static const struct nla_policy volume_policy[] = {
	[BRAID_A_VOLUME_ID] = POLICY_ID,
	[BRAID_A_VOLUME_NAME] = POLICY_NAME,
};

static const struct nla_policy down_policy[] = {
	[BRAID_A_VOLUME_ID] = POLICY_ID,
	[BRAID_A_VOLUME_NAME] = POLICY_NAME,
	[BRAID_A_VOLUME_FORCE] = POLICY_FLAG,
	[BRAID_A_VOLUME_TIMEOUT_MS] = POLICY_TIMEOUT,
};

static const struct nla_policy promote_policy[] = {
	[BRAID_A_VOLUME_ID] = POLICY_ID,
	[BRAID_A_VOLUME_NAME] = POLICY_NAME,
	[BRAID_A_VOLUME_FORCE] = POLICY_FLAG,
	[BRAID_A_VOLUME_TIMEOUT_MS] = POLICY_TIMEOUT,
	[BRAID_A_VOLUME_PEER_DOWN] = { .type = NLA_U32 },
};

static const struct nla_policy demote_policy[] = {
	[BRAID_A_VOLUME_ID] = POLICY_ID,
	[BRAID_A_VOLUME_NAME] = POLICY_NAME,
	[BRAID_A_VOLUME_TIMEOUT_MS] = POLICY_TIMEOUT,
};

static const struct nla_policy resolve_policy[] = {
	[BRAID_A_VOLUME_ID] = POLICY_ID,
	[BRAID_A_VOLUME_NAME] = POLICY_NAME,
	[BRAID_A_VOLUME_TIMEOUT_MS] = POLICY_TIMEOUT,
	[BRAID_A_VOLUME_SPLIT_ID] = POLICY_ID,
	[BRAID_A_VOLUME_NODE] = POLICY_NODE,
};

static const struct nla_policy forget_policy[] = {
	[BRAID_A_VOLUME_ID] = POLICY_ID,
	[BRAID_A_VOLUME_NAME] = POLICY_NAME,
	[BRAID_A_VOLUME_TIMEOUT_MS] = POLICY_TIMEOUT,
	[BRAID_A_VOLUME_NODE] = POLICY_NODE,
};

static const struct nla_policy set_policy[] = {
	[BRAID_A_VOLUME_ID] = POLICY_ID,
	[BRAID_A_VOLUME_NAME] = POLICY_NAME,
	[BRAID_A_VOLUME_TIMEOUT_MS] = POLICY_TIMEOUT,
	[BRAID_A_VOLUME_PAYLOAD] = NLA_POLICY_MAX(NLA_U8, BRAID_PAYLOAD_MAX),
};

/* Commands without attributes: maxattr 0 would mean "not checked". */
static const struct nla_policy empty_policy[] = {
	[1] = { .type = NLA_REJECT },
};

/* ---- node ---- */

static void read_options(const struct genl_info *info, struct braid_options *options)
{
	if (info->attrs[BRAID_A_NODE_TIMEOUT_MS])
		options->timeout_ms = nla_get_u32(info->attrs[BRAID_A_NODE_TIMEOUT_MS]);
	if (info->attrs[BRAID_A_NODE_DATA_LANES])
		options->nr_data_lanes = nla_get_u32(info->attrs[BRAID_A_NODE_DATA_LANES]);
}

static int read_secret(struct genl_info *info, struct braid_identity *identity)
{
	const struct nlattr *secret = info->attrs[BRAID_A_NODE_SECRET];

	identity->insecure = info->attrs[BRAID_A_NODE_INSECURE];
	if (!secret && !identity->insecure)
		return braid_request_wants(info, BRAID_A_NODE_SECRET);
	if (secret && identity->insecure)
		return braid_refuse_attribute(info, BRAID_A_NODE_INSECURE, "invalid: either a secret or insecure, not both");
	if (!secret)
		return 0;
	nla_memcpy(identity->secret, secret, SECRET_BYTES);
	if (!memchr_inv(identity->secret, 0, SECRET_BYTES))
		return braid_refuse_attribute(info, BRAID_A_NODE_SECRET, "invalid: the secret is all zero");
	return 0;
}

static int read_identity(struct genl_info *info, struct braid_identity *identity)
{
	static const struct braid_address_attributes attributes = {
		.address = BRAID_A_NODE_ADDRESS,
		.port = BRAID_A_NODE_PORT,
		.scope = BRAID_A_NODE_SCOPE,
		.listen = true,
	};
	int error = braid_request_wants(info, BRAID_A_NODE_ID) ?:
		    braid_request_wants(info, BRAID_A_NODE_NAME) ?:
		    braid_request_wants(info, BRAID_A_NODE_CLUSTER) ?:
		    braid_request_wants(info, BRAID_A_NODE_INSTANCE) ?:
		    braid_request_wants(info, BRAID_A_NODE_ADDRESS);

	if (error)
		return error;
	identity->node_id = nla_get_u8(info->attrs[BRAID_A_NODE_ID]);
	nla_memcpy(identity->cluster_id, info->attrs[BRAID_A_NODE_CLUSTER], UUID_BYTES);
	nla_memcpy(identity->instance, info->attrs[BRAID_A_NODE_INSTANCE], UUID_BYTES);
	return read_secret(info, identity) ?:
	       braid_request_name(info, BRAID_A_NODE_NAME, identity->name) ?:
	       braid_request_address(info, &attributes, &identity->listen);
}

static int node_start(struct sk_buff *skb, struct genl_info *info)
{
	struct braid_options options = {
		.timeout_ms = TIMEOUT_MS_DEFAULT,
		.nr_data_lanes = DATA_LANES_DEFAULT,
		.disk_timeout_ms = DISK_TIMEOUT_MS_DEFAULT,
	};
	struct braid_identity identity = { };
	struct braid_request request;
	int error = read_identity(info, &identity);

	read_options(info, &options);
	if (!error)
		error = braid_request_begin(info, &request, BRAID_NEEDS_LOCK);
	if (!error) {
		if (request.bn->configured)
			error = braid_refuse(info, BRAID_ERROR_ALREADY_CONFIGURED, 0);
		else
			error = braid_refuse_errno(info, braid_node_start(request.bn, &identity, &options));
		braid_request_end(&request);
	}
	/* No copies of the secret stay behind, nor does an error message quote it. */
	memzero_explicit(&identity, sizeof(identity));
	if (info->attrs[BRAID_A_NODE_SECRET])
		memzero_explicit(nla_data(info->attrs[BRAID_A_NODE_SECRET]), nla_len(info->attrs[BRAID_A_NODE_SECRET]));
	return error;
}

/*
 * Down, and whoever listens is told. BRAID_ERROR_TIMEOUT may mean that the volume is down, but that its disk is closed
 * later: then *@is_down.
 */
static enum braid_error take_down(struct braid_volume *volume, bool force, u32 timeout_ms, bool *is_down)
{
	enum braid_error error = braid_volume_down(volume, force, timeout_ms);

	*is_down = READ_ONCE(volume->removing);
	if (*is_down)
		braid_notify_volume(volume);
	return error;
}

/* Every volume goes down, by force. */
static enum braid_error down_all(struct braid_net *bn)
{
	enum braid_error error = BRAID_OK;
	struct braid_volume *volume;
	bool is_down = true;

	while (is_down && error != BRAID_ERROR_INTERRUPTED && (volume = braid_volume_next(bn, 0))) {
		error = take_down(volume, true, BRAID_TIMEOUT_MS_DEFAULT, &is_down);
		braid_volume_put(volume);
	}
	return is_down && error != BRAID_ERROR_INTERRUPTED ? BRAID_OK : error;
}

static int node_stop(struct sk_buff *skb, struct genl_info *info)
{
	bool force = info->attrs[BRAID_A_NODE_FORCE];
	struct braid_request request;
	int error = 0;

	/* Without bn->lock: a disk may make it wait. A volume that comes up meanwhile is refused as in use. */
	if (force)
		error = braid_refuse(info, down_all(braid_net(genl_info_net(info))), 0);
	if (!error)
		error = braid_request_begin(info, &request, BRAID_NEEDS_LOCK | BRAID_NEEDS_NODE);
	if (error)
		return error;
	if (!list_empty(&request.bn->volumes))
		error = braid_refuse(info, BRAID_ERROR_IN_USE, 0);
	else if (!force && braid_volume_attaching(request.bn, 0, NULL))
		error = braid_refuse(info, BRAID_ERROR_DISK_BUSY, 0);
	else
		braid_node_stop(request.bn);
	braid_request_end(&request);
	return error;
}

static int node_set_options(struct sk_buff *skb, struct genl_info *info)
{
	struct braid_options options;
	struct braid_request request;
	int error = braid_request_begin(info, &request, BRAID_NEEDS_LOCK | BRAID_NEEDS_NODE);

	if (error)
		return error;
	options = request.bn->options;
	read_options(info, &options);
	braid_options_set(request.bn, &options);
	braid_request_end(&request);
	return 0;
}

/* ---- peers ---- */

static int read_peer(struct genl_info *info, struct braid_peer_config *peer)
{
	static const struct braid_address_attributes attributes = {
		.address = BRAID_A_PEER_ADDRESS,
		.port = BRAID_A_PEER_PORT,
		.scope = BRAID_A_PEER_SCOPE,
	};
	int error = braid_request_wants(info, BRAID_A_PEER_ID) ?:
		    braid_request_wants(info, BRAID_A_PEER_NAME) ?:
		    braid_request_wants(info, BRAID_A_PEER_ADDRESS);

	if (error)
		return error;
	peer->node_id = nla_get_u8(info->attrs[BRAID_A_PEER_ID]);
	peer->instance_known = info->attrs[BRAID_A_PEER_INSTANCE];
	if (peer->instance_known)
		nla_memcpy(peer->instance, info->attrs[BRAID_A_PEER_INSTANCE], UUID_BYTES);
	return braid_request_name(info, BRAID_A_PEER_NAME, peer->name) ?:
	       braid_request_address(info, &attributes, &peer->address);
}

static int peer_add(struct sk_buff *skb, struct genl_info *info)
{
	struct braid_peer_config peer = { };
	struct braid_request request;
	int error;

	error = read_peer(info, &peer) ?: braid_request_begin(info, &request, BRAID_NEEDS_LOCK | BRAID_NEEDS_NODE);
	if (error)
		return error;
	if (peer.node_id == request.bn->identity.node_id)
		error = braid_refuse_attribute(info, BRAID_A_PEER_ID, "invalid: this is the id of this node itself");
	else
		error = braid_refuse_errno(info, braid_peer_add(request.bn, &peer));
	braid_request_end(&request);
	return error;
}

/* Commands that need nothing but a configured peer. */
static int peer_command(struct genl_info *info, int (*run)(struct braid_net *bn, u8 node))
{
	struct braid_request request;
	int error = braid_request_wants(info, BRAID_A_PEER_ID) ?:
		    braid_request_begin(info, &request, BRAID_NEEDS_LOCK | BRAID_NEEDS_NODE);
	u8 node;

	if (error)
		return error;
	node = nla_get_u8(info->attrs[BRAID_A_PEER_ID]);
	if (rcu_access_pointer(request.bn->session[node])) {
		error = braid_refuse_errno(info, run(request.bn, node));
	} else {
		NL_SET_BAD_ATTR(info->extack, info->attrs[BRAID_A_PEER_ID]);
		error = braid_refuse(info, BRAID_ERROR_NO_SUCH_PEER, 0);
	}
	braid_request_end(&request);
	return error;
}

static int peer_remove(struct sk_buff *skb, struct genl_info *info)
{
	return peer_command(info, braid_peer_remove);
}

static int peer_connect(struct sk_buff *skb, struct genl_info *info)
{
	return peer_command(info, braid_peer_connect);
}

static int peer_disconnect(struct sk_buff *skb, struct genl_info *info)
{
	return peer_command(info, braid_peer_disconnect);
}

/* ---- volumes ---- */

/* @reply is taken over. */
static int attach(struct genl_info *info, struct sk_buff *reply)
{
	const struct braid_attach disks = {
		.data_path = nla_data(info->attrs[BRAID_A_VOLUME_DATA_PATH]),
		.meta_path = info->attrs[BRAID_A_VOLUME_META_PATH] ? nla_data(info->attrs[BRAID_A_VOLUME_META_PATH]) : NULL,
	};
	struct braid_volume *volume;
	int error = braid_refuse(info, braid_volume_attach(braid_net(genl_info_net(info)), &disks,
							   braid_request_timeout_ms(info), &volume), 0);

	if (error == -ETIMEDOUT)
		GENL_SET_ERR_MSG(info, "timeout: the disk has not answered; the volume is not up, the disk is released when it has answered");
	if (error) {
		nlmsg_free(reply);
		return error;
	}
	error = braid_reply_volume(info, reply, volume);
	braid_volume_put(volume);
	return error;
}

/* No lock is held: a disk may make it wait. */
static int volume_attach(struct sk_buff *skb, struct genl_info *info)
{
	struct sk_buff *reply;
	int error;

	/*
	 * Paths are opened with the rights of the kernel: nobody but the machine's administrator may choose them, whoever
	 * rules the network namespace. Both the socket's opener and the sender are asked.
	 */
	if (!netlink_capable(skb, CAP_SYS_ADMIN)) {
		GENL_SET_ERR_MSG(info, "permission: attach opens block devices and wants CAP_SYS_ADMIN of the machine");
		return -EPERM;
	}
	error = braid_request_wants(info, BRAID_A_VOLUME_DATA_PATH);
	if (error)
		return error;
	/* Before anything happens: a volume must not be attached and the caller be told that there was no memory. */
	reply = genlmsg_new(BRAID_REPLY_BYTES, GFP_KERNEL);
	return reply ? attach(info, reply) : braid_refuse(info, BRAID_ERROR_MEMORY, 0);
}

/* Not the command_lock: braid_volume_down() waits for a command under way or, by force, ends it. */
static int volume_down(struct sk_buff *skb, struct genl_info *info)
{
	struct braid_request request;
	bool is_down;
	int error = braid_request_begin(info, &request, BRAID_NEEDS_NODE | BRAID_NEEDS_VOLUME);

	if (error)
		return error;
	error = braid_refuse(info, take_down(request.volume, info->attrs[BRAID_A_VOLUME_FORCE],
					     braid_request_timeout_ms(info), &is_down), 0);
	if (error == -ETIMEDOUT && is_down)
		GENL_SET_ERR_MSG(info, "timeout: the volume is down; its disk owes answers and is closed when it gave them");
	braid_request_end(&request);
	return error;
}

static int volume_promote(struct sk_buff *skb, struct genl_info *info)
{
	const struct nlattr *peer_down = info->attrs[BRAID_A_VOLUME_PEER_DOWN];
	bool force = info->attrs[BRAID_A_VOLUME_FORCE];
	struct braid_request request;
	u32 nodes = 0;
	int error;

	error = braid_request_begin(info, &request, BRAID_NEEDS_VOLUME | BRAID_NEEDS_COMMAND_LOCK |
						    (force ? BRAID_NEEDS_VOLUME_ID : 0));
	if (error)
		return error;
	if (peer_down && nla_get_u32(peer_down) & NODE_BIT(request.volume->core.node)) {
		error = braid_refuse_attribute(info, BRAID_A_VOLUME_PEER_DOWN, "invalid: this node itself is not down");
	} else {
		error = braid_volume_promote(request.volume, force, peer_down ? nla_get_u32(peer_down) : 0,
					     request.timeout_ms, &nodes);
		error = braid_refuse(info, error, nodes);
	}
	braid_request_end(&request);
	return error;
}

static int volume_demote(struct sk_buff *skb, struct genl_info *info)
{
	struct braid_request request;
	int error = braid_request_begin(info, &request, BRAID_NEEDS_VOLUME | BRAID_NEEDS_COMMAND_LOCK);

	if (error)
		return error;
	error = braid_refuse(info, braid_volume_demote(request.volume, request.timeout_ms), 0);
	braid_request_end(&request);
	return error;
}

static int volume_resolve(struct sk_buff *skb, struct genl_info *info)
{
	struct braid_request request;
	u32 nodes = 0;
	int error;

	error = braid_request_wants(info, BRAID_A_VOLUME_SPLIT_ID) ?:
		braid_request_wants(info, BRAID_A_VOLUME_NODE) ?:
		braid_request_begin(info, &request, BRAID_NEEDS_VOLUME | BRAID_NEEDS_VOLUME_ID | BRAID_NEEDS_COMMAND_LOCK);
	if (error)
		return error;
	error = braid_volume_resolve(request.volume, nla_get_u64(info->attrs[BRAID_A_VOLUME_SPLIT_ID]),
				     nla_get_u8(info->attrs[BRAID_A_VOLUME_NODE]), request.timeout_ms, &nodes);
	error = braid_refuse(info, error, nodes);
	braid_request_end(&request);
	return error;
}

static int volume_forget(struct sk_buff *skb, struct genl_info *info)
{
	struct braid_request request;
	unsigned long flags;
	u32 others;
	int error;
	u8 node;

	error = braid_request_wants(info, BRAID_A_VOLUME_NODE) ?:
		braid_request_begin(info, &request, BRAID_NEEDS_VOLUME | BRAID_NEEDS_VOLUME_ID | BRAID_NEEDS_COMMAND_LOCK);
	if (error)
		return error;
	node = nla_get_u8(info->attrs[BRAID_A_VOLUME_NODE]);
	spin_lock_irqsave(&request.volume->lock, flags);
	others = request.volume->core.super.replicas & ~NODE_BIT(request.volume->core.node);
	spin_unlock_irqrestore(&request.volume->lock, flags);
	if (others & NODE_BIT(node))
		error = braid_refuse(info, braid_volume_forget(request.volume, node, request.timeout_ms), 0);
	else
		error = braid_refuse_attribute(info, BRAID_A_VOLUME_NODE, "invalid: this node has no other replica of the volume");
	braid_request_end(&request);
	return error;
}

static int volume_set(struct sk_buff *skb, struct genl_info *info)
{
	struct braid_request request;
	bool trusts;
	int error;

	error = braid_request_wants(info, BRAID_A_VOLUME_PAYLOAD) ?:
		braid_request_begin(info, &request, BRAID_NEEDS_VOLUME | BRAID_NEEDS_COMMAND_LOCK);
	if (error)
		return error;
	trusts = nla_get_u8(info->attrs[BRAID_A_VOLUME_PAYLOAD]) == BRAID_PAYLOAD_TRUST;
	error = braid_refuse(info, braid_volume_set_trust(request.volume, trusts, request.timeout_ms), 0);
	if (!error)
		braid_notify_volume(request.volume);
	braid_request_end(&request);
	return error;
}

/* ---- family ---- */

#define COMMAND(number, policy_table)			\
	.cmd = number,					\
	.flags = GENL_UNS_ADMIN_PERM,			\
	.policy = policy_table,				\
	.maxattr = ARRAY_SIZE(policy_table) - 1

static const struct genl_ops operations[] = {
	{ COMMAND(BRAID_CMD_NODE_START, node_start_policy), .doit = node_start },
	{ COMMAND(BRAID_CMD_NODE_STOP, node_stop_policy), .doit = node_stop },
	{ COMMAND(BRAID_CMD_NODE_GET, empty_policy), .doit = braid_node_get },
	{ COMMAND(BRAID_CMD_NODE_SET, node_set_policy), .doit = node_set_options },
	{ COMMAND(BRAID_CMD_PEER_ADD, peer_add_policy), .doit = peer_add },
	{ COMMAND(BRAID_CMD_PEER_REMOVE, peer_policy), .doit = peer_remove },
	{ COMMAND(BRAID_CMD_PEER_CONNECT, peer_policy), .doit = peer_connect },
	{ COMMAND(BRAID_CMD_PEER_DISCONNECT, peer_policy), .doit = peer_disconnect },
	{ COMMAND(BRAID_CMD_PEER_GET, peer_policy), .doit = braid_peer_get, .dumpit = braid_peer_dump },
	{ COMMAND(BRAID_CMD_VOLUME_ATTACH, attach_policy), .doit = volume_attach },
	{ COMMAND(BRAID_CMD_VOLUME_DOWN, down_policy), .doit = volume_down },
	{ COMMAND(BRAID_CMD_VOLUME_PROMOTE, promote_policy), .doit = volume_promote },
	{ COMMAND(BRAID_CMD_VOLUME_DEMOTE, demote_policy), .doit = volume_demote },
	{ COMMAND(BRAID_CMD_VOLUME_RESOLVE, resolve_policy), .doit = volume_resolve },
	{ COMMAND(BRAID_CMD_VOLUME_FORGET, forget_policy), .doit = volume_forget },
	{ COMMAND(BRAID_CMD_VOLUME_SET, set_policy), .doit = volume_set },
	{ COMMAND(BRAID_CMD_VOLUME_GET, volume_policy), .doit = braid_volume_get_command, .dumpit = braid_volume_dump },
	{ COMMAND(BRAID_CMD_KNOWN_GET, empty_policy), .dumpit = braid_known_dump },
	{ COMMAND(BRAID_CMD_CHAIN_GET, volume_policy), .doit = braid_chain_get },
};

static const struct genl_multicast_group groups[] = {
	{ .name = BRAID_GENL_EVENTS, .flags = GENL_MCAST_CAP_NET_ADMIN },
};

struct genl_family braid_genl_family __ro_after_init = {
	.name = BRAID_GENL_NAME,
	.version = BRAID_GENL_VERSION,
	.netnsok = true,
	.parallel_ops = true,
	.module = THIS_MODULE,
	.ops = operations,
	.n_ops = ARRAY_SIZE(operations),
	.mcgrps = groups,
	.n_mcgrps = ARRAY_SIZE(groups),
	.resv_start_op = BRAID_CMD_NODE_START,	/* reserved header fields are checked for all */
};

int braid_netlink_init(void)
{
	int error = braid_events_start();

	if (error)
		return error;
	error = genl_register_family(&braid_genl_family);
	if (error)
		braid_events_stop();
	return error;
}

void braid_netlink_exit(void)
{
	/* Events first: they are sent through the family. */
	braid_events_stop();
	genl_unregister_family(&braid_genl_family);
}

MODULE_ALIAS_GENL_FAMILY(BRAID_GENL_NAME);
