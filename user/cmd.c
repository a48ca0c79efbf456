// SPDX-License-Identifier: GPL-2.0
/*
 * What the verbs share.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>
#include "cmd.h"

enum { ATTACH_POLL_MS = 100 };

static struct cmd the_cmd;

int cmd_fail_state(const char *what, enum state_result result, const char *why)
{
	static const char *const codes[] = {
		[STATE_MISSING] = "no-identity",
		[STATE_DAMAGED] = "state-damaged",
		[STATE_ERROR] = "system",
		[STATE_LOCKED] = "state-locked",
	};
	const char *remedy = result == STATE_ERROR ? "check the directory and its permissions (run as root)" : NULL;

	return fail(&(struct failure){ .status = fail_status(codes[result]), .code = codes[result], .what = what,
		    .object = textf("state of this node in %s", state_directory()), .cause = why, .remedy = remedy });
}

static int fail_ipc(const char *what, const char *object, const struct ipc_error *error, const char *nodes,
		    const char *remedy)
{
	const char *code = error->code;
	enum exit_status status;

	if (error->no_module)
		code = "module-missing";
	else if (error->old_module)
		code = "module-old";
	else if (!*code && (error->error == EPERM || error->error == EACCES))
		code = "permission";
	else if (!*code && error->error == ETIMEDOUT)
		code = "timeout";
	else if (!*code)
		code = "kernel";
	status = fail_status(code);
	return fail(&(struct failure){ .status = status, .code = code, .what = what, .object = object,
		    .cause = error->nodes ? textf("%s: %s", error->sentence, nodes) : error->sentence, .remedy = remedy });
}

int cmd_fail(struct cmd *cmd, const char *object, const char *remedy)
{
	return fail_ipc(cmd->what, object, &cmd->error, cmd_nodes(cmd, cmd->error.nodes), remedy);
}

/*
 * The node runs; a command that was killed between two requests may have left it without some of its peers. Under the lock only:
 * `node remove` takes a peer out of the kernel first.
 */
static int add_missing_peers(struct cmd *cmd)
{
	struct peer_list peers = { 0 };
	u32 known = 0, i;

	if (!ipc_peers(cmd->ipc, &peers, &cmd->error))
		return cmd_fail(cmd, "this node", NULL);
	for (i = 0; i < peers.nr; i++)
		known |= NODE_BIT(peers.item[i].node);
	for (i = 0; i < cmd->state.nr_peers; i++)
		if (!(known & NODE_BIT(cmd->state.peer[i].node)) &&
		    !ipc_peer_add(cmd->ipc, &cmd->state.peer[i], &cmd->error) && strcmp(cmd->error.code, "exists"))
			return cmd_fail(cmd, textf("node %s", cmd->state.peer[i].name), NULL);
	return STATUS_OK;
}

int cmd_open(struct cmd **result, u32 flags, const char *what)
{
	struct cmd *cmd = &the_cmd;
	enum state_result loaded;
	const char *why = "";
	int status;

	*result = cmd;
	cmd->what = what;
	if (flags & CMD_LOCK) {
		loaded = state_lock(&why);
		if (loaded != STATE_OK)
			return cmd_fail_state(what, loaded, why);
	}
	loaded = state_load(&cmd->state, &why);
	cmd->has_state = loaded == STATE_OK;
	if (!cmd->has_state && ((flags & CMD_STATE) || loaded != STATE_MISSING))
		return cmd_fail_state(what, loaded, why);
	if (flags & (CMD_KERNEL | CMD_START)) {
		cmd->ipc = ipc_open(flags & CMD_START, &cmd->error);
		if (!cmd->ipc)
			return cmd_fail(cmd, "kernel module braid", NULL);
	}
	if (flags & CMD_START) {
		status = cmd_start_node(cmd);
		if (status == STATUS_OK && flags & CMD_LOCK)
			status = add_missing_peers(cmd);
		if (status != STATUS_OK)
			return status;
	}
	return STATUS_OK;
}

void cmd_close(struct cmd *cmd)
{
	ipc_close(cmd->ipc);
	cmd->ipc = NULL;
	state_unlock();
}

void cmd_unlock(struct cmd *cmd)
{
	(void)cmd;
	state_unlock();
}

int cmd_lock_again(struct cmd *cmd)
{
	const char *why = "";
	enum state_result result = state_lock(&why);

	if (result == STATE_OK && !state_is_current())
		result = state_load(&cmd->state, &why);
	return result == STATE_OK ? STATUS_OK : cmd_fail_state(cmd->what, result, why);
}

int cmd_save(struct cmd *cmd)
{
	const char *why = "";
	enum state_result result = state_save(&cmd->state, &why);

	return result == STATE_OK ? STATUS_OK : cmd_fail_state(cmd->what, result, why);
}

bool cmd_attach(struct cmd *cmd, const struct state_volume *entry, u32 timeout_ms, struct volume_status *volume, bool *attached)
{
	const struct timespec pause = { .tv_nsec = ATTACH_POLL_MS * 1000000L };
	const u64 deadline_ns = cmd_now_ns() + (u64)timeout_ms * 1000000;
	struct ipc_error error;
	u64 now_ns;

	*attached = false;
	if (ipc_volume_get(cmd->ipc, entry->name, volume, &cmd->error))
		return true;
	while (!strcmp(cmd->error.code, "no-such-volume")) {
		*attached = ipc_attach(cmd->ipc, entry->data_path, entry->meta_path, timeout_ms, volume, &cmd->error);
		if (*attached)
			return true;
		error = cmd->error;
		if (ipc_volume_get(cmd->ipc, entry->name, volume, &cmd->error))
			return true;
		now_ns = cmd_now_ns();
		if ((strcmp(error.code, "disk-busy") && strcmp(error.code, "busy")) || now_ns >= deadline_ns) {
			cmd->error = error;
			return false;
		}
		timeout_ms = (u32)((deadline_ns - now_ns) / 1000000) + 1;
		nanosleep(&pause, NULL);
	}
	return false;
}

int cmd_settle(struct cmd *cmd, const char *name, enum cmd_wanted wanted)
{
	bool wanted_up = wanted == CMD_WANTED_UP;
	int status = cmd_lock_again(cmd);
	struct state_volume *entry;
	struct volume_status volume;
	struct ipc_error error;
	bool up;

	if (status == STATUS_OK) {
		up = ipc_volume_get(cmd->ipc, name, &volume, &error);
		if (up)
			link_make(name, volume.device);
		else
			link_remove(name);
		entry = state_find_volume(&cmd->state, name);
		if (entry && wanted != CMD_WANTED_AS_IT_WAS && up == wanted_up && entry->wanted_up != wanted_up) {
			entry->wanted_up = wanted_up;
			status = cmd_save(cmd);
		}
	}
	cmd_unlock(cmd);
	return status;
}

/* Peers that are new or whose instance was learnt. True when the state changed. */
static bool merge_peers(struct state *state, const struct peer_list *peers)
{
	bool changed = false;
	u32 i;

	for (i = 0; i < peers->nr; i++) {
		const struct peer_status *found = &peers->item[i];
		const struct state_peer *old = state_find_peer(state, found->node);
		struct state_peer peer = { .node = found->node, .address = found->address,
					   .instance_known = found->instance_known };

		memcpy(peer.name, found->name, NAME_BYTES_MAX);
		memcpy(peer.instance, found->instance, UUID_BYTES);
		if (old && old->instance_known && !peer.instance_known)
			continue;
		if (old && !strcmp(old->name, peer.name) && address_equal(&old->address, &peer.address) &&
		    old->instance_known == peer.instance_known && !memcmp(old->instance, peer.instance, UUID_BYTES))
			continue;
		changed |= state_put_peer(state, &peer);
	}
	return changed;
}

void cmd_learn(struct cmd *cmd)
{
	struct peer_list peers = { 0 };
	struct node_status node;
	const char *why = "";

	if (!cmd->has_state || !cmd->ipc || !ipc_node_get(cmd->ipc, &node, &cmd->error) ||
	    memcmp(node.cluster_id, cmd->state.cluster_id, UUID_BYTES) || node.node != cmd->state.node ||
	    !ipc_peers(cmd->ipc, &peers, &cmd->error) || !merge_peers(&cmd->state, &peers))
		return;
	if (state_lock(&why) != STATE_OK || state_load(&cmd->state, &why) != STATE_OK ||
	    (merge_peers(&cmd->state, &peers) && state_save(&cmd->state, &why) != STATE_OK))
		fprintf(stderr, "braid: warning: nodes that others told about are not saved: %s\n", why);
	state_unlock();
}

int cmd_start_node(struct cmd *cmd)
{
	struct node_status node;
	u32 i;

	if (ipc_node_get(cmd->ipc, &node, &cmd->error)) {
		if (node.node == cmd->state.node && !memcmp(node.cluster_id, cmd->state.cluster_id, UUID_BYTES))
			return STATUS_OK;
		return fail(&(struct failure){ .status = STATUS_REFUSED, .code = "already-configured", .what = cmd->what,
			    .object = "this network namespace",
			    .cause = textf("node %s (id %u) of another identity runs here", node.name, node.node) });
	}
	if (strcmp(cmd->error.code, "not-configured"))
		return cmd_fail(cmd, "this node", NULL);
	if (!ipc_node_start(cmd->ipc, &cmd->state, &cmd->error))
		return cmd_fail(cmd, textf("node %s", cmd->state.name), NULL);
	for (i = 0; i < cmd->state.nr_peers; i++) {
		int status;

		if (ipc_peer_add(cmd->ipc, &cmd->state.peer[i], &cmd->error))
			continue;
		status = cmd_fail(cmd, textf("node %s", cmd->state.peer[i].name), NULL);
		ipc_node_stop(cmd->ipc, false, &cmd->error);
		return status;
	}
	return STATUS_OK;
}

u8 cmd_node(struct cmd *cmd, const char *name)
{
	const struct state_peer *peer = state_find_peer_name(&cmd->state, name);

	if (!strcmp(name, cmd->state.name))
		return cmd->state.node;
	return peer ? peer->node : NODE_NONE;
}

int cmd_fail_node(struct cmd *cmd, const char *name)
{
	return fail(&(struct failure){ .status = STATUS_NOT_FOUND, .code = "no-such-peer", .what = cmd->what,
		    .object = textf("node %s", name), .cause = "no node of this name is known here" });
}

const char *cmd_nodes(const struct cmd *cmd, u32 mask)
{
	return text_nodes(mask, state_node_name, &cmd->state);
}

const char *cmd_volume_object(const struct cmd *cmd, const char *name)
{
	return cmd->has_state ? textf("volume %s on %s", name, cmd->state.name) : textf("volume %s", name);
}

int cmd_volume(struct cmd *cmd, const char *name, struct volume_status *volume)
{
	if (ipc_volume_get(cmd->ipc, name, volume, &cmd->error))
		return STATUS_OK;
	return cmd_fail(cmd, cmd_volume_object(cmd, name), NULL);
}

bool cmd_timeout(const struct verb *verb, const char *text, u32 *timeout_ms, int *status)
{
	*timeout_ms = 0;
	if (!text || (text_parse_seconds(text, timeout_ms) && *timeout_ms && *timeout_ms <= 3600000))
		return true;
	*status = fail_usage(textf("braid %s", verb->name),
			     textf("'%s' is not a time from 0.001 to 3600 seconds", text));
	return false;
}

bool cmd_id(const struct verb *verb, const char *text, u64 *id, int *status)
{
	*id = 0;
	if (!text || text_parse_id(text, id))
		return true;
	*status = fail_usage(textf("braid %s", verb->name), textf("'%s' is not an id of 16 hexadecimal digits", text));
	return false;
}

bool cmd_payload(const struct verb *verb, const char *text, bool *trusts, int *status)
{
	*trusts = !strcmp(text, "trust");
	if (*trusts || !strcmp(text, "copy"))
		return true;
	*status = fail_usage(textf("braid %s", verb->name), textf("'%s' is neither 'copy' nor 'trust'", text));
	return false;
}

bool cmd_random(void *bytes, size_t length_bytes)
{
	u8 *at = bytes;

	while (length_bytes) {
		ssize_t got = getrandom(at, length_bytes, 0);

		if (got < 0 && errno != EINTR)
			return false;
		if (got > 0) {
			at += got;
			length_bytes -= (size_t)got;
		}
	}
	return true;
}

u64 cmd_random_id(void)
{
	u64 id = 0;

	while (!id)
		if (!cmd_random(&id, sizeof(id)))
			return 0;
	return id;
}

u64 cmd_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec * 1000000000ull + (u64)now.tv_nsec;
}
