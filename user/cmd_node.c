// SPDX-License-Identifier: GPL-2.0
/*
 * Verbs about nodes: identity, invitation, joining, sessions.
 */
#include <stdio.h>
#include "../kernel/core/codec.h"
#include "cmd.h"
#include "print.h"
#include "token.h"

static const struct option_spec no_options[] = { { 0 } };

/* NAME and ADDRESS operands. */
static bool read_node(const struct verb *verb, const struct operands *operands, char name[NAME_BYTES_MAX],
		      struct node_address *address, int *status)
{
	const char *why = "";

	if (!codec_name_valid(operands->word[0])) {
		*status = fail_usage(textf("braid %s", verb->name),
				     textf("'%s' is not a valid name: up to 63 of A-Z a-z 0-9 _ . -, not starting with . or -",
					   operands->word[0]));
		return false;
	}
	memset(name, 0, NAME_BYTES_MAX);
	memcpy(name, operands->word[0], strlen(operands->word[0]));
	if (address_parse(operands->word[1], address, &why))
		return true;
	*status = fail_usage(textf("braid %s", verb->name), why);
	return false;
}

static int refuse_second_identity(const struct cmd *cmd)
{
	return fail(&(struct failure){ .status = STATUS_REFUSED, .code = "exists", .what = cmd->what,
		    .object = textf("state of this node in %s", state_directory()),
		    .cause = textf("this machine is node %s (id %u) already", cmd->state.name, cmd->state.node),
		    .remedy = "'braid node show' shows it; --state-dir names another directory for a second node" });
}

/*
 * Start a new identity, then save it: what does not start is not kept. A node of another identity that runs in the
 * namespace is a refusal; one that has just been started is stopped again when the identity cannot be saved.
 */
static int adopt_identity(struct cmd *cmd)
{
	int status;

	cmd->has_state = true;
	cmd->ipc = ipc_open(true, &cmd->error);
	if (!cmd->ipc)
		return cmd_fail(cmd, "kernel module braid", NULL);
	status = cmd_start_node(cmd);
	if (status != STATUS_OK)
		return status;
	status = cmd_save(cmd);
	if (status != STATUS_OK)
		ipc_node_stop(cmd->ipc, false, &cmd->error);
	return status;
}

int cmd_node_init(const struct verb *verb, int argc, char **argv)
{
	bool insecure = false;
	const struct option_spec specs[] = {
		{ .name = "insecure", .help = "no secret: whoever reaches the port may read and change data", .flag = &insecure },
		{ 0 },
	};
	struct node_address address;
	struct operands operands;
	char name[NAME_BYTES_MAX];
	struct cmd *cmd;
	int status;

	if (!args_parse(verb, argc, argv, specs, 2, 2, &operands, &status) ||
	    !read_node(verb, &operands, name, &address, &status))
		return status;
	status = cmd_open(&cmd, CMD_LOCK, textf("cannot create node %s", name));
	if (status == STATUS_OK && cmd->has_state)
		status = refuse_second_identity(cmd);
	if (status == STATUS_OK) {
		struct state *state = &cmd->state;

		memset(state, 0, sizeof(*state));
		memcpy(state->name, name, NAME_BYTES_MAX);
		state->listen = address;
		state->insecure = insecure;
		state->next_node = 1;
		state->timeout_ms = STATE_TIMEOUT_MS_DEFAULT;
		state->data_lanes = STATE_DATA_LANES_DEFAULT;
		if (!cmd_random(state->cluster_id, UUID_BYTES) || !cmd_random(state->instance, UUID_BYTES) ||
		    (!insecure && !cmd_random(state->secret, SECRET_BYTES)))
			status = fail_system(cmd->what, "random numbers of the kernel", 5);
		else
			status = adopt_identity(cmd);
	}
	cmd_close(cmd);
	return status;
}

static void fill_token(const struct state *state, const struct state_peer *joiner, struct token *token)
{
	u32 i;

	memcpy(token->cluster_id, state->cluster_id, UUID_BYTES);
	token->insecure = state->insecure;
	memcpy(token->secret, state->secret, SECRET_BYTES);
	token->joiner.node = joiner->node;
	memcpy(token->joiner.name, joiner->name, NAME_BYTES_MAX);
	token->joiner.address = joiner->address;
	token->node[0].node = state->node;
	memcpy(token->node[0].name, state->name, NAME_BYTES_MAX);
	token->node[0].address = state->listen;
	token->nr_nodes = 1;
	for (i = 0; i < state->nr_peers; i++) {
		struct token_node *node = &token->node[token->nr_nodes];

		if (state->peer[i].node == joiner->node)
			continue;
		node->node = state->peer[i].node;
		memcpy(node->name, state->peer[i].name, NAME_BYTES_MAX);
		node->address = state->peer[i].address;
		token->nr_nodes++;
	}
}

/* Add the peer to state and kernel; returns its token. */
static int invite(struct cmd *cmd, struct state_peer *peer, char text[TOKEN_TEXT_MAX])
{
	struct token token = { 0 };
	int status;

	if (cmd->state.next_node >= NODES_MAX)
		return fail(&(struct failure){ .status = STATUS_REFUSED, .code = "limit", .what = cmd->what,
			    .object = "this cluster", .cause = "all 32 node ids have been given; ids are never given twice" });
	peer->node = cmd->state.next_node;
	if (!state_put_peer(&cmd->state, peer))
		return fail(&(struct failure){ .status = STATUS_REFUSED, .code = "exists", .what = cmd->what,
			    .object = textf("node %s", peer->name), .cause = "a node of this name is known here already" });
	if (!cmd_random(token.nonce, TOKEN_NONCE_BYTES))
		return fail_system(cmd->what, "random numbers of the kernel", 5);
	fill_token(&cmd->state, peer, &token);
	token_encode(&token, text);
	status = cmd_save(cmd);
	if (status != STATUS_OK)
		return status;
	if (!ipc_peer_add(cmd->ipc, peer, &cmd->error)) {
		status = cmd_fail(cmd, textf("node %s", peer->name), NULL);
		state_remove_peer(&cmd->state, peer->node);
		cmd_save(cmd);
	}
	return status;
}

int cmd_node_invite(const struct verb *verb, int argc, char **argv)
{
	struct state_peer peer = { 0 };
	char text[TOKEN_TEXT_MAX];
	struct operands operands;
	struct cmd *cmd;
	int status;

	if (!args_parse(verb, argc, argv, no_options, 2, 2, &operands, &status) ||
	    !read_node(verb, &operands, peer.name, &peer.address, &status))
		return status;
	/* Nodes that others invited first: their ids are taken. */
	status = cmd_open(&cmd, CMD_STATE | CMD_START, textf("cannot invite %s", peer.name));
	if (status == STATUS_OK)
		cmd_learn(cmd);
	cmd_close(cmd);
	if (status != STATUS_OK)
		return status;
	status = cmd_open(&cmd, CMD_LOCK | CMD_STATE | CMD_START, textf("cannot invite %s", peer.name));
	if (status == STATUS_OK)
		status = invite(cmd, &peer, text);
	if (status == STATUS_OK)
		puts(text);
	cmd_close(cmd);
	return status;
}

static int read_token(const char *what, const char *word, struct token *token)
{
	char text[TOKEN_TEXT_MAX];
	const char *why = "";
	bool ok;

	if (!strcmp(word, "-")) {
		size_t length = fread(text, 1, sizeof(text) - 1, stdin);

		text[length] = '\0';
		word = strlen(text) == length ? text : "";
	}
	ok = token_decode(word, token, &why);
	explicit_bzero(text, sizeof(text));
	if (ok)
		return STATUS_OK;
	return fail(&(struct failure){ .status = STATUS_USAGE, .code = "token", .what = what, .object = "the token",
		    .cause = why });
}

static bool state_from_token(struct state *state, const struct token *token)
{
	u32 i;

	memset(state, 0, sizeof(*state));
	memcpy(state->cluster_id, token->cluster_id, UUID_BYTES);
	memcpy(state->secret, token->secret, SECRET_BYTES);
	state->insecure = token->insecure;
	state->node = token->joiner.node;
	memcpy(state->name, token->joiner.name, NAME_BYTES_MAX);
	state->listen = token->joiner.address;
	state->next_node = (u8)(state->node + 1);
	state->timeout_ms = STATE_TIMEOUT_MS_DEFAULT;
	state->data_lanes = STATE_DATA_LANES_DEFAULT;
	for (i = 0; i < token->nr_nodes; i++) {
		struct state_peer peer = { .node = token->node[i].node, .address = token->node[i].address };

		memcpy(peer.name, token->node[i].name, NAME_BYTES_MAX);
		if (!state_put_peer(state, &peer))
			return false;
	}
	return cmd_random(state->instance, UUID_BYTES);
}

int cmd_node_join(const struct verb *verb, int argc, char **argv)
{
	struct operands operands;
	struct token token;
	struct cmd *cmd;
	int status;

	if (!args_parse(verb, argc, argv, no_options, 1, 1, &operands, &status))
		return status;
	status = read_token("cannot join", operands.word[0], &token);
	if (status != STATUS_OK)
		return status;
	status = cmd_open(&cmd, CMD_LOCK, textf("cannot join as %s", token.joiner.name));
	if (status == STATUS_OK && cmd->has_state)
		status = refuse_second_identity(cmd);
	if (status == STATUS_OK && !state_from_token(&cmd->state, &token))
		status = fail(&(struct failure){ .status = STATUS_USAGE, .code = "token", .what = cmd->what,
			      .object = "the token", .cause = "two of its nodes have one name" });
	else if (status == STATUS_OK)
		status = adopt_identity(cmd);
	explicit_bzero(&token, sizeof(token));
	cmd_close(cmd);
	return status;
}

/* Volumes here that the node has a replica of. */
static const char *volumes_of(struct cmd *cmd, u8 node)
{
	struct volume_list volumes;
	const char *names = NULL;
	u32 i;

	if (!ipc_volumes(cmd->ipc, &volumes, &cmd->error))
		return NULL;
	for (i = 0; i < volumes.nr; i++)
		if (volumes.item[i].replicas & NODE_BIT(node))
			names = text_join(names, volumes.item[i].name);
	ipc_volumes_free(&volumes);
	return names;
}

int cmd_node_remove(const struct verb *verb, int argc, char **argv)
{
	struct operands operands;
	const char *volumes;
	struct cmd *cmd;
	int status;
	u8 node;

	if (!args_parse(verb, argc, argv, no_options, 1, 1, &operands, &status))
		return status;
	status = cmd_open(&cmd, CMD_LOCK | CMD_STATE | CMD_START, textf("cannot remove %s", operands.word[0]));
	if (status != STATUS_OK)
		goto out;
	node = cmd_node(cmd, operands.word[0]);
	if (node == NODE_NONE || node == cmd->state.node) {
		status = cmd_fail_node(cmd, operands.word[0]);
		goto out;
	}
	volumes = volumes_of(cmd, node);
	if (volumes) {
		status = fail(&(struct failure){ .status = STATUS_REFUSED, .code = "in-use", .what = cmd->what,
			      .object = textf("node %s", operands.word[0]),
			      .cause = textf("it has replicas of volumes that are up here: %s", volumes),
			      .remedy = "while it has replicas it stays a node; 'braid forget --help' tells how to record that "
				"one is gone" });
		goto out;
	}
	if (!ipc_peer_do(cmd->ipc, IPC_PEER_REMOVE, node, &cmd->error) && strcmp(cmd->error.code, "no-such-peer")) {
		status = cmd_fail(cmd, textf("node %s", operands.word[0]), NULL);
		goto out;
	}
	state_remove_peer(&cmd->state, node);
	status = cmd_save(cmd);
out:
	cmd_close(cmd);
	return status;
}

int cmd_node_show(const struct verb *verb, int argc, char **argv)
{
	bool json = false;
	const struct option_spec specs[] = { { .name = "json", .help = "machine-readable", .flag = &json }, { 0 } };
	struct peer_list peers = { 0 };
	struct operands operands;
	struct node_status node;
	struct cmd *cmd;
	bool running;
	int status;

	if (!args_parse(verb, argc, argv, specs, 0, 0, &operands, &status))
		return status;
	status = cmd_open(&cmd, CMD_STATE, "cannot show this node");
	if (status == STATUS_OK) {
		cmd->ipc = ipc_open(false, &cmd->error);
		running = cmd->ipc && ipc_node_get(cmd->ipc, &node, &cmd->error);
		if (running && ipc_peers(cmd->ipc, &peers, &cmd->error))
			cmd_learn(cmd);
		print_node(&cmd->state, running, &peers, cmd_now_ns(), json);
	}
	cmd_close(cmd);
	return status;
}

int cmd_node_start(const struct verb *verb, int argc, char **argv)
{
	struct operands operands;
	struct cmd *cmd;
	int status;

	if (!args_parse(verb, argc, argv, no_options, 0, 0, &operands, &status))
		return status;
	status = cmd_open(&cmd, CMD_LOCK | CMD_STATE | CMD_START, "cannot start this node");
	cmd_close(cmd);
	return status;
}

int cmd_node_stop(const struct verb *verb, int argc, char **argv)
{
	struct operands operands;
	struct cmd *cmd;
	int status;

	if (!args_parse(verb, argc, argv, no_options, 0, 0, &operands, &status))
		return status;
	status = cmd_open(&cmd, CMD_KERNEL, "cannot stop this node");
	if (status == STATUS_OK) {
		cmd_learn(cmd);
		if (!ipc_node_stop(cmd->ipc, false, &cmd->error) && strcmp(cmd->error.code, "not-configured"))
			status = cmd_fail(cmd, "this node", strcmp(cmd->error.code, "in-use") ? NULL :
					  "take the volumes down first: braid down --all");
	}
	cmd_close(cmd);
	return status;
}

static int peer_verb(const struct verb *verb, int argc, char **argv, enum ipc_peer_verb what)
{
	struct operands operands;
	struct cmd *cmd;
	int status;
	u8 node;

	if (!args_parse(verb, argc, argv, no_options, 1, 1, &operands, &status))
		return status;
	status = cmd_open(&cmd, CMD_STATE | CMD_KERNEL, textf("cannot %s %s", verb->name, operands.word[0]));
	if (status == STATUS_OK) {
		cmd_learn(cmd);
		node = cmd_node(cmd, operands.word[0]);
		if (node == NODE_NONE || node == cmd->state.node)
			status = cmd_fail_node(cmd, operands.word[0]);
		else if (!ipc_peer_do(cmd->ipc, what, node, &cmd->error))
			status = cmd_fail(cmd, textf("node %s", operands.word[0]), NULL);
	}
	cmd_close(cmd);
	return status;
}

int cmd_connect(const struct verb *verb, int argc, char **argv)
{
	return peer_verb(verb, argc, argv, IPC_PEER_CONNECT);
}

int cmd_disconnect(const struct verb *verb, int argc, char **argv)
{
	return peer_verb(verb, argc, argv, IPC_PEER_DISCONNECT);
}
