// SPDX-License-Identifier: GPL-2.0
/*
 * Requests to the module: netlink out and the waits for answers. ipc_decode.c is the second half of this file, which takes
 * messages apart; no other file includes libmnl.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "../kernel/uapi/linux/braid.h"
#include "../kernel/core/codec.h"
#include "ipc.h"
#include "ipc_decode.h"

enum {
	BUFFER_BYTES = 64 << 10,
	REPLY_TIMEOUT_MS = 20000,
	DUMP_RETRIES = 8,
};

struct ipc {
	struct mnl_socket *socket;
	u16 family;
	u32 group;
	u32 sequence;
	char request[BUFFER_BYTES];
	char reply[BUFFER_BYTES];
	size_t reply_left;	/* of a datagram with several events */
	char *reply_next;
};

/* Called for each message of a reply. False: no memory. */
typedef bool (*reply_reader)(const struct nlmsghdr *message, void *target);

static bool system_error(struct ipc_error *error, int number, const char *what)
{
	memset(error, 0, sizeof(*error));
	error->error = number;
	snprintf(error->sentence, sizeof(error->sentence), "%s: %s", what, strerror(number));
	return false;
}

static u64 now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec * 1000 + (u64)now.tv_nsec / 1000000;
}

/* Wait until there is something to receive. 1 yes, 0 time is up, -1 error (errno). */
static int wait_readable(struct ipc *ipc, u64 deadline_ms, bool forever)
{
	struct pollfd entry = { .fd = mnl_socket_get_fd(ipc->socket), .events = POLLIN };

	for (;;) {
		u64 now = now_ms();
		int timeout = forever ? -1 : now >= deadline_ms ? 0 : (int)(deadline_ms - now);
		int ready = poll(&entry, 1, timeout);

		if (ready >= 0 || errno != EINTR)
			return ready;
	}
}

static struct nlmsghdr *begin(struct ipc *ipc, u16 family, u8 command, u8 version, u16 flags)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(ipc->request);
	struct genlmsghdr *header;

	message->nlmsg_type = family;
	message->nlmsg_flags = (u16)(NLM_F_REQUEST | flags);
	message->nlmsg_seq = ++ipc->sequence;
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->cmd = command;
	header->version = version;
	return message;
}

static struct nlmsghdr *request(struct ipc *ipc, u8 command)
{
	return begin(ipc, ipc->family, command, BRAID_GENL_VERSION, NLM_F_ACK);
}

/* One datagram of the answer. 1 more to come, 0 complete, -1 failed. */
static int read_answer(struct ipc *ipc, ssize_t length, reply_reader reader, void *target, bool *torn,
		       struct ipc_error *error)
{
	const struct nlmsghdr *message = (const struct nlmsghdr *)ipc->reply;
	int left = (int)length;

	for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
		if (message->nlmsg_seq != ipc->sequence)
			continue;
		if (message->nlmsg_flags & NLM_F_DUMP_INTR)
			*torn = true;
		if (message->nlmsg_type == NLMSG_DONE)
			return ipc_decode_done(message, error) ? 0 : -1;
		if (message->nlmsg_type == NLMSG_ERROR)
			return ipc_decode_error(message, error) ? 0 : -1;
		if (message->nlmsg_type < NLMSG_MIN_TYPE || !reader)
			continue;
		if (!reader(message, target)) {
			system_error(error, ENOMEM, "reading the kernel's answer");
			return -1;
		}
	}
	return 1;
}

/* Send the request in ipc->request and read until it is acknowledged or the dump is done. */
static bool talk(struct ipc *ipc, const struct nlmsghdr *message, reply_reader reader, void *target, bool *torn,
		 struct ipc_error *error)
{
	u64 deadline_ms;
	bool unused;

	memset(error, 0, sizeof(*error));
	if (mnl_socket_sendto(ipc->socket, message, message->nlmsg_len) < 0)
		return system_error(error, errno, "netlink request");
	deadline_ms = now_ms() + REPLY_TIMEOUT_MS;
	for (;;) {
		int ready = wait_readable(ipc, deadline_ms, false);
		ssize_t length;
		int more;

		if (ready < 0)
			return system_error(error, errno, "waiting for the kernel");
		if (!ready)
			return system_error(error, ETIMEDOUT, "the kernel did not answer");
		length = mnl_socket_recvfrom(ipc->socket, ipc->reply, sizeof(ipc->reply));
		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0)
			return system_error(error, errno, "netlink answer");
		more = read_answer(ipc, length, reader, target, torn ? torn : &unused, error);
		if (more <= 0)
			return !more;
	}
}

static bool run_modprobe(void)
{
	pid_t child = fork();
	int status;

	if (child < 0)
		return false;
	if (!child) {
		int null = open("/dev/null", O_RDWR);

		if (null >= 0)
			dup2(null, STDERR_FILENO);
		execlp("modprobe", "modprobe", "-q", "braid", (char *)NULL);
		_exit(127);
	}
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

static bool find_family(struct ipc *ipc, struct ipc_error *error)
{
	struct ipc_family family = { 0 };
	struct nlmsghdr *message = begin(ipc, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1, NLM_F_ACK);

	mnl_attr_put_strz(message, CTRL_ATTR_FAMILY_NAME, BRAID_GENL_NAME);
	if (!talk(ipc, message, ipc_decode_family, &family, NULL, error)) {
		error->no_module = error->error == ENOENT;
		if (error->no_module)
			snprintf(error->sentence, sizeof(error->sentence), "the module is not loaded and cannot be loaded");
		return false;
	}
	if (!family.id || family.version != BRAID_GENL_VERSION) {
		system_error(error, EPROTO, "the module speaks another version of the control interface");
		error->old_module = true;
		return false;
	}
	ipc->family = family.id;
	ipc->group = family.group;
	return true;
}

struct ipc *ipc_open(bool load, struct ipc_error *error)
{
	struct ipc *ipc = calloc(1, sizeof(*ipc));
	int one = 1;

	if (!ipc) {
		system_error(error, ENOMEM, "netlink");
		return NULL;
	}
	ipc->socket = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
	if (!ipc->socket || mnl_socket_bind(ipc->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		system_error(error, errno, "netlink socket");
		ipc_close(ipc);
		return NULL;
	}
	mnl_socket_setsockopt(ipc->socket, NETLINK_EXT_ACK, &one, sizeof(one));
	mnl_socket_setsockopt(ipc->socket, NETLINK_CAP_ACK, &one, sizeof(one));
	if (find_family(ipc, error))
		return ipc;
	if (load && error->no_module && run_modprobe() && find_family(ipc, error))
		return ipc;
	ipc_close(ipc);
	return NULL;
}

void ipc_close(struct ipc *ipc)
{
	if (ipc && ipc->socket)
		mnl_socket_close(ipc->socket);
	free(ipc);
}

static void put_address(struct nlmsghdr *message, u16 attribute, u16 port_attribute, const struct node_address *address)
{
	mnl_attr_put(message, attribute, address->family == 6 ? 16 : 4, address->bytes);
	mnl_attr_put_u16(message, port_attribute, address->port);
}

bool ipc_node_start(struct ipc *ipc, const struct state *state, struct ipc_error *error)
{
	struct nlmsghdr *message = request(ipc, BRAID_CMD_NODE_START);
	bool ok;

	mnl_attr_put_u8(message, BRAID_A_NODE_ID, state->node);
	mnl_attr_put_strz(message, BRAID_A_NODE_NAME, state->name);
	mnl_attr_put(message, BRAID_A_NODE_CLUSTER, UUID_BYTES, state->cluster_id);
	mnl_attr_put(message, BRAID_A_NODE_INSTANCE, UUID_BYTES, state->instance);
	if (state->insecure)
		mnl_attr_put(message, BRAID_A_NODE_INSECURE, 0, NULL);
	else
		mnl_attr_put(message, BRAID_A_NODE_SECRET, SECRET_BYTES, state->secret);
	put_address(message, BRAID_A_NODE_ADDRESS, BRAID_A_NODE_PORT, &state->listen);
	mnl_attr_put_u32(message, BRAID_A_NODE_TIMEOUT_MS, state->timeout_ms);
	mnl_attr_put_u32(message, BRAID_A_NODE_DATA_LANES, state->data_lanes);
	ok = talk(ipc, message, NULL, NULL, NULL, error);
	explicit_bzero(ipc->request, sizeof(ipc->request));
	return ok;
}

bool ipc_node_stop(struct ipc *ipc, bool force, struct ipc_error *error)
{
	struct nlmsghdr *message = request(ipc, BRAID_CMD_NODE_STOP);

	if (force)
		mnl_attr_put(message, BRAID_A_NODE_FORCE, 0, NULL);
	return talk(ipc, message, NULL, NULL, NULL, error);
}

bool ipc_node_get(struct ipc *ipc, struct node_status *node, struct ipc_error *error)
{
	memset(node, 0, sizeof(*node));
	return talk(ipc, request(ipc, BRAID_CMD_NODE_GET), ipc_decode_node, node, NULL, error);
}

bool ipc_node_set(struct ipc *ipc, u32 timeout_ms, u32 data_lanes, struct ipc_error *error)
{
	struct nlmsghdr *message = request(ipc, BRAID_CMD_NODE_SET);

	mnl_attr_put_u32(message, BRAID_A_NODE_TIMEOUT_MS, timeout_ms);
	mnl_attr_put_u32(message, BRAID_A_NODE_DATA_LANES, data_lanes);
	return talk(ipc, message, NULL, NULL, NULL, error);
}

bool ipc_peer_add(struct ipc *ipc, const struct state_peer *peer, struct ipc_error *error)
{
	struct nlmsghdr *message = request(ipc, BRAID_CMD_PEER_ADD);

	mnl_attr_put_u8(message, BRAID_A_PEER_ID, peer->node);
	mnl_attr_put_strz(message, BRAID_A_PEER_NAME, peer->name);
	put_address(message, BRAID_A_PEER_ADDRESS, BRAID_A_PEER_PORT, &peer->address);
	if (peer->instance_known)
		mnl_attr_put(message, BRAID_A_PEER_INSTANCE, UUID_BYTES, peer->instance);
	return talk(ipc, message, NULL, NULL, NULL, error);
}

bool ipc_peer_do(struct ipc *ipc, enum ipc_peer_verb verb, u8 node, struct ipc_error *error)
{
	static const u8 commands[] = {
		[IPC_PEER_REMOVE] = BRAID_CMD_PEER_REMOVE,
		[IPC_PEER_CONNECT] = BRAID_CMD_PEER_CONNECT,
		[IPC_PEER_DISCONNECT] = BRAID_CMD_PEER_DISCONNECT,
	};
	struct nlmsghdr *message = request(ipc, commands[verb]);

	mnl_attr_put_u8(message, BRAID_A_PEER_ID, node);
	return talk(ipc, message, NULL, NULL, NULL, error);
}

bool ipc_attach(struct ipc *ipc, const char *data_path, const char *meta_path, u32 timeout_ms, struct volume_status *volume,
		struct ipc_error *error)
{
	struct nlmsghdr *message = request(ipc, BRAID_CMD_VOLUME_ATTACH);

	memset(volume, 0, sizeof(*volume));
	mnl_attr_put_strz(message, BRAID_A_VOLUME_DATA_PATH, data_path);
	if (meta_path)
		mnl_attr_put_strz(message, BRAID_A_VOLUME_META_PATH, meta_path);
	mnl_attr_put_u32(message, BRAID_A_VOLUME_TIMEOUT_MS, timeout_ms);
	return talk(ipc, message, ipc_decode_volume, volume, NULL, error);
}

/* What cannot be a name is none: not of a volume, and it may not fit the message. */
static bool is_no_name(const char *name, struct ipc_error *error)
{
	if (codec_name_valid(name))
		return false;
	*error = (struct ipc_error){ .error = ENODEV };
	strcpy(error->code, "no-such-volume");
	strcpy(error->sentence, "no volume can have this name");
	return true;
}

bool ipc_volume_do(struct ipc *ipc, const struct ipc_volume_request *wanted, struct ipc_error *error)
{
	static const u8 commands[] = {
		[IPC_VOLUME_DOWN] = BRAID_CMD_VOLUME_DOWN,
		[IPC_VOLUME_PROMOTE] = BRAID_CMD_VOLUME_PROMOTE,
		[IPC_VOLUME_DEMOTE] = BRAID_CMD_VOLUME_DEMOTE,
		[IPC_VOLUME_RESOLVE] = BRAID_CMD_VOLUME_RESOLVE,
		[IPC_VOLUME_FORGET] = BRAID_CMD_VOLUME_FORGET,
		[IPC_VOLUME_SET] = BRAID_CMD_VOLUME_SET,
	};
	struct nlmsghdr *message;

	if (wanted->name && is_no_name(wanted->name, error))
		return false;
	message = request(ipc, commands[wanted->verb]);
	if (wanted->id)
		mnl_attr_put_u64(message, BRAID_A_VOLUME_ID, wanted->id);
	if (wanted->name)
		mnl_attr_put_strz(message, BRAID_A_VOLUME_NAME, wanted->name);
	if (wanted->force)
		mnl_attr_put(message, BRAID_A_VOLUME_FORCE, 0, NULL);
	if (wanted->timeout_ms)
		mnl_attr_put_u32(message, BRAID_A_VOLUME_TIMEOUT_MS, wanted->timeout_ms);
	if (wanted->peer_down)
		mnl_attr_put_u32(message, BRAID_A_VOLUME_PEER_DOWN, wanted->peer_down);
	if (wanted->split_id)
		mnl_attr_put_u64(message, BRAID_A_VOLUME_SPLIT_ID, wanted->split_id);
	if (wanted->node != NODE_NONE)
		mnl_attr_put_u8(message, BRAID_A_VOLUME_NODE, wanted->node);
	if (wanted->verb == IPC_VOLUME_SET)
		mnl_attr_put_u8(message, BRAID_A_VOLUME_PAYLOAD, wanted->trusts ? BRAID_PAYLOAD_TRUST : BRAID_PAYLOAD_COPY);
	return talk(ipc, message, NULL, NULL, NULL, error);
}

bool ipc_volume_get(struct ipc *ipc, const char *name, struct volume_status *volume, struct ipc_error *error)
{
	struct nlmsghdr *message;

	memset(volume, 0, sizeof(*volume));
	if (is_no_name(name, error))
		return false;
	message = request(ipc, BRAID_CMD_VOLUME_GET);
	mnl_attr_put_strz(message, BRAID_A_VOLUME_NAME, name);
	return talk(ipc, message, ipc_decode_volume, volume, NULL, error);
}

/* Dump until one was not changed under our feet. @reset empties the list before each attempt. */
static bool dump(struct ipc *ipc, u8 command, reply_reader reader, void *target, void (*reset)(void *target),
		 struct ipc_error *error)
{
	u32 attempt;

	for (attempt = 0; attempt < DUMP_RETRIES; attempt++) {
		struct nlmsghdr *message = begin(ipc, ipc->family, command, BRAID_GENL_VERSION, NLM_F_DUMP);
		bool torn = false;

		reset(target);
		if (!talk(ipc, message, reader, target, &torn, error))
			return false;
		if (!torn)
			return true;
	}
	return system_error(error, EAGAIN, "the state changes faster than it can be read");
}

static void reset_peers(void *target)
{
	struct peer_list *peers = target;

	peers->nr = 0;
}

bool ipc_peers(struct ipc *ipc, struct peer_list *peers, struct ipc_error *error)
{
	return dump(ipc, BRAID_CMD_PEER_GET, ipc_decode_peer_item, peers, reset_peers, error);
}

static void reset_volumes(void *target)
{
	ipc_volumes_free(target);
}

bool ipc_volumes(struct ipc *ipc, struct volume_list *volumes, struct ipc_error *error)
{
	*volumes = (struct volume_list){ 0 };
	return dump(ipc, BRAID_CMD_VOLUME_GET, ipc_decode_volume_item, volumes, reset_volumes, error);
}

void ipc_volumes_free(struct volume_list *volumes)
{
	free(volumes->item);
	*volumes = (struct volume_list){ 0 };
}

static void reset_known(void *target)
{
	ipc_known_free(target);
}

bool ipc_known(struct ipc *ipc, struct known_list *known, struct ipc_error *error)
{
	*known = (struct known_list){ 0 };
	return dump(ipc, BRAID_CMD_KNOWN_GET, ipc_decode_known_item, known, reset_known, error);
}

void ipc_known_free(struct known_list *known)
{
	free(known->item);
	*known = (struct known_list){ 0 };
}

bool ipc_listen(struct ipc *ipc, struct ipc_error *error)
{
	if (!ipc->group)
		return system_error(error, ENOENT, "the module has no group of events");
	if (mnl_socket_setsockopt(ipc->socket, NETLINK_ADD_MEMBERSHIP, &ipc->group, sizeof(ipc->group)) < 0)
		return system_error(error, errno, "joining the events");
	return true;
}

/* The next event of the datagram received last, if any is left in it. */
static bool take_event(struct ipc *ipc, struct model_event *event)
{
	const struct nlmsghdr *message = (const struct nlmsghdr *)ipc->reply_next;
	int left = (int)ipc->reply_left;

	while (ipc->reply_left && mnl_nlmsg_ok(message, left)) {
		const struct nlmsghdr *current = message;

		message = mnl_nlmsg_next(message, &left);
		ipc->reply_next = (char *)(uintptr_t)message;
		ipc->reply_left = (size_t)left;
		if (current->nlmsg_type == ipc->family && ipc_decode_event(current, event))
			return true;
	}
	ipc->reply_left = 0;
	return false;
}

enum ipc_next ipc_next_event(struct ipc *ipc, int timeout_ms, struct model_event *event, struct ipc_error *error)
{
	u64 deadline_ms = now_ms() + (timeout_ms < 0 ? 0 : (u64)timeout_ms);

	memset(event, 0, sizeof(*event));
	while (!take_event(ipc, event)) {
		int ready = wait_readable(ipc, deadline_ms, timeout_ms < 0);
		ssize_t length;

		if (!ready)
			return IPC_NO_EVENT;
		length = ready < 0 ? -1 : mnl_socket_recvfrom(ipc->socket, ipc->reply, sizeof(ipc->reply));
		if (length < 0 && errno == ENOBUFS) {
			event->lost = true;
			return IPC_EVENT;
		}
		if (length < 0) {
			system_error(error, errno, "waiting for events");
			return IPC_FAILED;
		}
		ipc->reply_next = ipc->reply;
		ipc->reply_left = (size_t)length;
	}
	return IPC_EVENT;
}
