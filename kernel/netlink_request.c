// SPDX-License-Identifier: GPL-2.0
/*
 * What comes first in every command of the netlink family: refusals with a stable code [C1] [C3], lookups and locks in one
 * place, names and addresses. Also the one table from reasons to errno and text.
 */
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/inet.h>
#include <net/ipv6.h>
#include "core/codec.h"
#include "netlink.h"

struct refusal {
	int error;
	const char *code;
	const char *text;
};

#define REFUSAL(error, code, sentence) { error, code, code ": " sentence }

/* Index: enum volume_refusal and enum braid_error. Codes never change; sentences may. */
static const struct refusal refusals[] = {
	[VOLUME_REFUSED_NO_DISK] = REFUSAL(-ENODEV, "no-disk", "this replica has no working disk"),
	[VOLUME_REFUSED_STALE] = REFUSAL(-ESTALE, "stale",
		"this replica is not in the in-sync set of the newest generation known"),
	[VOLUME_REFUSED_SYNCING] = REFUSAL(-EINPROGRESS, "syncing",
		"this replica is half-synced; its content is of no single point in time until the resync ends"),
	[VOLUME_REFUSED_PEER_PRIMARY] = REFUSAL(-EBUSY, "peer-primary", "another node is primary; demote it there first"),
	[VOLUME_REFUSED_UNREACHABLE] = REFUSAL(-EHOSTUNREACH, "unreachable",
		"a node that may know of newer data cannot be asked; say that it is down if you know that it is"),
	[VOLUME_REFUSED_BUSY] = REFUSAL(-EBUSY, "busy", "another change of this volume is under way; try again"),
	[VOLUME_REFUSED_NOT_PRIMARY] = REFUSAL(-EINVAL, "not-primary", "this node is not primary"),
	[VOLUME_REFUSED_NO_SPLIT] = REFUSAL(-EINVAL, "no-split", "there is no split to resolve"),
	[VOLUME_REFUSED_OTHER_SPLIT] = REFUSAL(-ESTALE, "other-split",
		"the split has another id; look at status again before deciding"),
	[VOLUME_REFUSED_IS_PRIMARY] = REFUSAL(-EBUSY, "is-primary", "the losing side has a primary; demote it first"),
	[VOLUME_REFUSED_META] = REFUSAL(-EIO, "metadata-write", "metadata could not be written"),
	[VOLUME_REFUSED_MEMBER] = REFUSAL(-EBUSY, "in-sync-member",
		"that replica is still counted in the in-sync set: the first write without it takes it out"),
	[BRAID_ERROR_NOT_CONFIGURED] = REFUSAL(-ENONET, "not-configured",
		"this network namespace has no node identity; start the node first"),
	[BRAID_ERROR_ALREADY_CONFIGURED] = REFUSAL(-EALREADY, "already-configured",
		"the node of this network namespace is started already"),
	[BRAID_ERROR_NO_SUCH_PEER] = REFUSAL(-ENOENT, "no-such-peer", "no peer has this node id"),
	[BRAID_ERROR_NO_SUCH_VOLUME] = REFUSAL(-ENOENT, "no-such-volume", "no such volume is attached here"),
	[BRAID_ERROR_EXISTS] = REFUSAL(-EEXIST, "exists", "there is one with this id or name already"),
	[BRAID_ERROR_OPEN_DISK] = REFUSAL(-EBUSY, "open-disk",
		"the disk cannot be opened exclusively: missing, read-only or in use by something else"),
	[BRAID_ERROR_NO_METADATA] = REFUSAL(-EMEDIUMTYPE, "no-metadata", "no braid metadata on this disk"),
	[BRAID_ERROR_BAD_METADATA] = REFUSAL(-EUCLEAN, "bad-metadata",
		"the metadata is damaged or contradicts itself; nothing was changed"),
	[BRAID_ERROR_META_INCOMPATIBLE] = REFUSAL(-EPROTONOSUPPORT, "metadata-incompatible",
		"the metadata needs a newer version of braid"),
	[BRAID_ERROR_OTHER_NODE] = REFUSAL(-EXDEV, "other-node",
		"the metadata belongs to another node or cluster; is this a copied disk?"),
	[BRAID_ERROR_DISK_SIZE] = REFUSAL(-ENOSPC, "disk-size", "the disk is smaller than its metadata says"),
	[BRAID_ERROR_DISK_IO] = REFUSAL(-EIO, "disk-io", "the disk failed a read or write; see the kernel log"),
	[BRAID_ERROR_IN_USE] = REFUSAL(-EBUSY, "in-use", "it is in use; close the device first"),
	[BRAID_ERROR_TIMEOUT] = REFUSAL(-ETIMEDOUT, "timeout", "not done within the time given; status shows what it waits for"),
	[BRAID_ERROR_INTERRUPTED] = REFUSAL(-EINTR, "interrupted", "the caller was killed"),
	[BRAID_ERROR_MEMORY] = REFUSAL(-ENOMEM, "memory", "not enough memory"),
	[BRAID_ERROR_ADDRESS] = REFUSAL(-EADDRNOTAVAIL, "address", "cannot listen at this address and port"),
	[BRAID_ERROR_LIMIT] = REFUSAL(-EUSERS, "limit", "a limit is reached: number of peers, replicas or volumes"),
	[BRAID_ERROR_BLOCK_SIZE] = REFUSAL(-EINVAL, "block-size", "the disk's logical blocks are larger than the volume's"),
	[BRAID_ERROR_DISK_BUSY] = REFUSAL(-EBUSY, "disk-busy",
		"an attach or a down of this disk has not ended: the disk owes answers"),
};

static const struct refusal internal = REFUSAL(-EREMOTEIO, "internal", "unexpected error; see the kernel log");

static_assert(ARRAY_SIZE(refusals) == BRAID_ERROR_DISK_BUSY + 1, "every reason has a text");

static const struct refusal *find_refusal(u32 error)
{
	return error < ARRAY_SIZE(refusals) && refusals[error].text ? &refusals[error] : &internal;
}

const char *braid_refusal_code(u32 error)
{
	return find_refusal(error)->code;
}

int braid_refuse(struct genl_info *info, u32 error, u32 nodes)
{
	const struct refusal *refusal;

	if (error == BRAID_OK)
		return 0;
	refusal = find_refusal(error);
	if (info->extack) {
		info->extack->_msg = refusal->text;
		if (nodes) {
			memcpy(info->extack->cookie, &nodes, sizeof(nodes));
			info->extack->cookie_len = sizeof(nodes);
		}
	}
	return refusal->error;
}

int braid_refuse_errno(struct genl_info *info, int error)
{
	switch (error) {
	case 0:
		return 0;
	case -ENOMEM:
	case -ENOBUFS:
	case -ENFILE:	/* a socket without memory for its inode */
		return braid_refuse(info, BRAID_ERROR_MEMORY, 0);
	case -EEXIST:
		return braid_refuse(info, BRAID_ERROR_EXISTS, 0);
	case -EALREADY:
		return braid_refuse(info, BRAID_ERROR_ALREADY_CONFIGURED, 0);
	case -ENXIO:
	case -ESHUTDOWN:
		return braid_refuse(info, BRAID_ERROR_NOT_CONFIGURED, 0);
	case -ENOENT:
		return braid_refuse(info, BRAID_ERROR_NO_SUCH_PEER, 0);
	case -ETIMEDOUT:
		return braid_refuse(info, BRAID_ERROR_TIMEOUT, 0);
	case -EINVAL:
		GENL_SET_ERR_MSG(info, "invalid: id, name or address cannot be used");
		return error;
	case -EINTR:
	case -ERESTARTSYS:
		return braid_refuse(info, BRAID_ERROR_INTERRUPTED, 0);
	case -ENOSPC:
	case -EUSERS:
		return braid_refuse(info, BRAID_ERROR_LIMIT, 0);
	case -EADDRINUSE:
	case -EADDRNOTAVAIL:
	case -EAFNOSUPPORT:
	case -EACCES:
	case -ENODEV:
		return braid_refuse(info, BRAID_ERROR_ADDRESS, 0);
	}
	/* The errno may tell more than the text. */
	braid_refuse(info, ARRAY_SIZE(refusals), 0);
	return error;
}

int braid_request_wants(struct genl_info *info, int attribute)
{
	if (!GENL_REQ_ATTR_CHECK(info, attribute))
		return 0;
	GENL_SET_ERR_MSG(info, "missing: the command wants an attribute that is not given");
	return -EINVAL;
}

/* Id, name, or both: they must mean the same volume. Who wants to change one that is on its way up is told so. */
static int find_volume(struct genl_info *info, struct braid_request *request, u32 needs)
{
	bool changes = needs & (BRAID_NEEDS_COMMAND_LOCK | BRAID_NEEDS_NODE);
	const struct nlattr *id = info->attrs[BRAID_A_VOLUME_ID];
	const struct nlattr *name = info->attrs[BRAID_A_VOLUME_NAME];
	char text[NAME_BYTES_MAX];

	if (!id && needs & BRAID_NEEDS_VOLUME_ID) {
		NL_SET_ERR_ATTR_MISS(info->extack, NULL, BRAID_A_VOLUME_ID);
		GENL_SET_ERR_MSG(info, "confirm: this can destroy changes; give the volume's id as confirmation");
		return -EINVAL;
	}
	if (!id && !name)
		return braid_request_wants(info, BRAID_A_VOLUME_ID);
	if (name && nla_strscpy(text, name, sizeof(text)) < 0)
		return braid_refuse_attribute(info, BRAID_A_VOLUME_NAME, "invalid: the name is too long");
	request->volume = id ? braid_volume_find(request->bn, nla_get_u64(id)) : braid_volume_find_name(request->bn, text);
	if (!request->volume && changes && braid_volume_attaching(request->bn, id ? nla_get_u64(id) : 0, name ? text : ""))
		return braid_refuse(info, VOLUME_REFUSED_BUSY, 0);
	if (!request->volume) {
		NL_SET_BAD_ATTR(info->extack, id ?: name);
		return braid_refuse(info, BRAID_ERROR_NO_SUCH_VOLUME, 0);
	}
	if (id && name && strcmp(request->volume->name, text))
		return braid_refuse_attribute(info, BRAID_A_VOLUME_NAME, "invalid: the volume with this id has another name");
	return 0;
}

u32 braid_request_timeout_ms(const struct genl_info *info)
{
	const struct nlattr *timeout = info->attrs[BRAID_A_VOLUME_TIMEOUT_MS];

	return timeout ? nla_get_u32(timeout) : BRAID_TIMEOUT_MS_DEFAULT;
}

static int lock_volume(struct genl_info *info, struct braid_request *request)
{
	struct braid_volume *volume = request->volume;
	unsigned long flags;
	bool removing;
	int error;

	request->timeout_ms = braid_request_timeout_ms(info);
	error = braid_command_lock(volume, &request->timeout_ms);
	if (error)
		return braid_refuse_errno(info, error);
	request->held |= BRAID_NEEDS_COMMAND_LOCK;
	spin_lock_irqsave(&volume->lock, flags);
	removing = volume->removing;
	spin_unlock_irqrestore(&volume->lock, flags);
	/* It may have gone down while this command waited for its turn. */
	return removing ? braid_refuse(info, BRAID_ERROR_NO_SUCH_VOLUME, 0) : 0;
}

static int lock_node(struct genl_info *info, struct braid_request *request, u32 needs)
{
	if (mutex_lock_killable(&request->bn->lock))
		return braid_refuse(info, BRAID_ERROR_INTERRUPTED, 0);
	request->held |= BRAID_NEEDS_LOCK;
	if (request->bn->dying || (needs & BRAID_NEEDS_NODE && !request->bn->configured))
		return braid_refuse(info, BRAID_ERROR_NOT_CONFIGURED, 0);
	return 0;
}

int braid_request_begin(struct genl_info *info, struct braid_request *request, u32 needs)
{
	int error = 0;

	*request = (struct braid_request) { .bn = braid_net(genl_info_net(info)) };
	if (needs & BRAID_NEEDS_LOCK)
		error = lock_node(info, request, needs);
	else if (needs & BRAID_NEEDS_NODE && !READ_ONCE(request->bn->configured))
		error = braid_refuse(info, BRAID_ERROR_NOT_CONFIGURED, 0);
	if (!error && needs & BRAID_NEEDS_VOLUME)
		error = find_volume(info, request, needs);
	if (!error && needs & BRAID_NEEDS_COMMAND_LOCK)
		error = lock_volume(info, request);
	if (error)
		braid_request_end(request);
	return error;
}

void braid_request_end(struct braid_request *request)
{
	if (request->held & BRAID_NEEDS_COMMAND_LOCK)
		braid_command_unlock(request->volume);
	if (request->volume)
		braid_volume_put(request->volume);
	if (request->held & BRAID_NEEDS_LOCK)
		mutex_unlock(&request->bn->lock);
}

int braid_request_name(struct genl_info *info, int attribute, char name[NAME_BYTES_MAX])
{
	memset(name, 0, NAME_BYTES_MAX);
	if (nla_strscpy(name, info->attrs[attribute], NAME_BYTES_MAX) < 0 || !codec_name_valid(name))
		return braid_refuse_attribute(info, attribute,
			"invalid: names are 1 to 63 of A-Z a-z 0-9 _ . - and start with a letter, digit or _");
	return 0;
}

static int read_ipv4(struct genl_info *info, const struct braid_address_attributes *attributes, u16 port,
		     struct sockaddr_in *address)
{
	address->sin_family = AF_INET;
	address->sin_port = htons(port);
	address->sin_addr.s_addr = nla_get_in_addr(info->attrs[attributes->address]);
	if (info->attrs[attributes->scope])
		return braid_refuse_attribute(info, attributes->scope, "invalid: a scope belongs to an IPv6 link-local address");
	if (ipv4_is_multicast(address->sin_addr.s_addr) || ipv4_is_lbcast(address->sin_addr.s_addr) ||
	    (ipv4_is_zeronet(address->sin_addr.s_addr) && !(attributes->listen && !address->sin_addr.s_addr)))
		return braid_refuse_attribute(info, attributes->address, "invalid: not the address of one node");
	return 0;
}

static int read_ipv6(struct genl_info *info, const struct braid_address_attributes *attributes, u16 port,
		     struct sockaddr_in6 *address)
{
	const struct nlattr *scope = info->attrs[attributes->scope];
	bool link_local;

	address->sin6_family = AF_INET6;
	address->sin6_port = htons(port);
	address->sin6_addr = nla_get_in6_addr(info->attrs[attributes->address]);
	link_local = ipv6_addr_type(&address->sin6_addr) & IPV6_ADDR_LINKLOCAL;
	if (ipv6_addr_is_multicast(&address->sin6_addr) || ipv6_addr_v4mapped(&address->sin6_addr) ||
	    (ipv6_addr_any(&address->sin6_addr) && !attributes->listen))
		return braid_refuse_attribute(info, attributes->address, "invalid: not the address of one node");
	if (scope && !link_local)
		return braid_refuse_attribute(info, attributes->scope, "invalid: a scope belongs to an IPv6 link-local address");
	if (!scope && link_local)
		return braid_refuse_attribute(info, attributes->address, "invalid: a link-local address needs a scope");
	if (scope)
		address->sin6_scope_id = nla_get_u32(scope);
	return 0;
}

int braid_request_address(struct genl_info *info, const struct braid_address_attributes *attributes,
			  struct sockaddr_storage *address)
{
	const struct nlattr *port_attribute = info->attrs[attributes->port];
	u16 port = port_attribute ? nla_get_u16(port_attribute) : BRAID_PORT_DEFAULT;

	memset(address, 0, sizeof(*address));
	switch (nla_len(info->attrs[attributes->address])) {
	case sizeof(struct in_addr):
		return read_ipv4(info, attributes, port, (struct sockaddr_in *)address);
	case sizeof(struct in6_addr):
		return read_ipv6(info, attributes, port, (struct sockaddr_in6 *)address);
	}
	return braid_refuse_attribute(info, attributes->address, "invalid: an address has 4 or 16 bytes");
}

int braid_put_address(struct sk_buff *skb, const struct braid_address_attributes *attributes,
		      const struct sockaddr_storage *address)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

	if (address->ss_family == AF_INET)
		return nla_put_in_addr(skb, attributes->address, in->sin_addr.s_addr) ?:
		       nla_put_u16(skb, attributes->port, ntohs(in->sin_port));
	if (address->ss_family != AF_INET6)
		return 0;
	return nla_put_in6_addr(skb, attributes->address, &in6->sin6_addr) ?:
	       nla_put_u16(skb, attributes->port, ntohs(in6->sin6_port)) ?:
	       (in6->sin6_scope_id ? nla_put_u32(skb, attributes->scope, in6->sin6_scope_id) : 0);
}
