// SPDX-License-Identifier: GPL-2.0
/*
 * promote, demote, resolve, forget: who writes, and whose history stays. Forced verbs want the volume's id.
 */
#include <stdio.h>
#include "cmd.h"

/* The sentence for a promotion that the kernel refused: nodes by name, and the way out when a node is known to be down. */
static const char *promote_remedy(const struct cmd *cmd, const char *name)
{
	const char *flags = "";
	u8 node;

	if (!strcmp(cmd->error.code, "peer-primary"))
		return textf("stop using %s on %s, then run there: braid demote %s", name, cmd_nodes(cmd, cmd->error.nodes), name);
	if (!strcmp(cmd->error.code, "stale") || !strcmp(cmd->error.code, "syncing"))
		return textf("promote a node that is up to date, or connect this one to such a node and wait: "
			     "braid wait %s --for up-to-date", name);
	if (strcmp(cmd->error.code, "unreachable"))
		return NULL;
	for (node = 0; node < NODES_MAX; node++) {
		const char *peer = state_node_name(node, &cmd->state);

		if (cmd->error.nodes & NODE_BIT(node))
			flags = textf("%s --peer-down %s", flags, peer ? peer : textf("'#%u'", node));
	}
	return textf("bring %s back and connected; only if that machine is known to be down: braid promote %s%s",
		     cmd_nodes(cmd, cmd->error.nodes), name, flags);
}

/* "#3": a node that is not known by name, or no longer. */
static u8 node_or_number(struct cmd *cmd, const char *text)
{
	u64 number;

	if (text[0] == '#' && text_parse_u64(text + 1, NODES_MAX - 1, &number))
		return (u8)number;
	return cmd_node(cmd, text);
}

static bool peer_mask(struct cmd *cmd, const struct text_list *names, u32 *mask, int *status)
{
	u32 i;

	*mask = 0;
	for (i = 0; i < names->nr; i++) {
		u8 node = node_or_number(cmd, names->item[i]);

		if (node == NODE_NONE || node == cmd->state.node) {
			*status = cmd_fail_node(cmd, names->item[i]);
			return false;
		}
		*mask |= NODE_BIT(node);
	}
	return true;
}

int cmd_promote(const struct verb *verb, int argc, char **argv)
{
	struct ipc_volume_request request = { .verb = IPC_VOLUME_PROMOTE, .node = NODE_NONE };
	const char *id = NULL, *timeout = NULL;
	struct text_list down = { 0 };
	const struct option_spec specs[] = {
		{ .name = "peer-down", .value = "NODE", .help = "this machine is known to be down (may be repeated)", .list = &down },
		{ .name = "force", .help = "promote stale or half-synced content; wants --id", .flag = &request.force },
		{ .name = "id", .value = "VOLUME-ID", .help = "confirmation for --force", .string = &id },
		{ .name = "timeout", .value = "SECONDS", .help = "how long to wait (10)", .string = &timeout },
		{ 0 },
	};
	struct operands operands;
	struct cmd *cmd;
	int status;

	if (!args_parse(verb, argc, argv, specs, 1, 1, &operands, &status) || !cmd_id(verb, id, &request.id, &status) ||
	    !cmd_timeout(verb, timeout, &request.timeout_ms, &status))
		return status;
	if (request.force && !request.id)
		return fail_usage("braid promote", "--force wants the volume's id as confirmation: --id VOLUME-ID");
	request.name = operands.word[0];
	status = cmd_open(&cmd, CMD_STATE | CMD_KERNEL, textf("cannot promote %s", request.name));
	if (status == STATUS_OK) {
		cmd_learn(cmd);
		if (peer_mask(cmd, &down, &request.peer_down, &status) &&
		    !ipc_volume_do(cmd->ipc, &request, &cmd->error))
			status = cmd_fail(cmd, cmd_volume_object(cmd, request.name), promote_remedy(cmd, request.name));
	}
	cmd_close(cmd);
	return status;
}

int cmd_demote(const struct verb *verb, int argc, char **argv)
{
	struct ipc_volume_request request = { .verb = IPC_VOLUME_DEMOTE, .node = NODE_NONE };
	const char *timeout = NULL;
	const struct option_spec specs[] = {
		{ .name = "timeout", .value = "SECONDS", .help = "how long to wait (10)", .string = &timeout },
		{ 0 },
	};
	struct operands operands;
	struct cmd *cmd;
	int status;

	if (!args_parse(verb, argc, argv, specs, 1, 1, &operands, &status) ||
	    !cmd_timeout(verb, timeout, &request.timeout_ms, &status))
		return status;
	request.name = operands.word[0];
	status = cmd_open(&cmd, CMD_STATE | CMD_KERNEL, textf("cannot demote %s", request.name));
	if (status == STATUS_OK && !ipc_volume_do(cmd->ipc, &request, &cmd->error))
		status = cmd_fail(cmd, cmd_volume_object(cmd, request.name), NULL);
	cmd_close(cmd);
	return status;
}

int cmd_resolve(const struct verb *verb, int argc, char **argv)
{
	struct ipc_volume_request request = { .verb = IPC_VOLUME_RESOLVE };
	const char *keep = NULL, *split = NULL, *timeout = NULL;
	const struct option_spec specs[] = {
		{ .name = "keep", .value = "NODE", .help = "whose changes stay; those of the other side are lost", .string = &keep },
		{ .name = "split", .value = "ID", .help = "id of the split, as 'braid status' shows on both sides", .string = &split },
		{ .name = "timeout", .value = "SECONDS", .help = "how long to wait (10)", .string = &timeout },
		{ 0 },
	};
	struct volume_status volume;
	struct operands operands;
	struct cmd *cmd;
	int status;

	if (!args_parse(verb, argc, argv, specs, 1, 1, &operands, &status) ||
	    !cmd_id(verb, split, &request.split_id, &status) || !cmd_timeout(verb, timeout, &request.timeout_ms, &status))
		return status;
	if (!keep || !split)
		return fail_usage("braid resolve", "both --keep NODE and --split ID are wanted");
	request.name = operands.word[0];
	status = cmd_open(&cmd, CMD_STATE | CMD_KERNEL, textf("cannot resolve %s", request.name));
	if (status == STATUS_OK) {
		cmd_learn(cmd);
		request.node = node_or_number(cmd, keep);
		if (request.node == NODE_NONE)
			status = cmd_fail_node(cmd, keep);
		else
			status = cmd_volume(cmd, request.name, &volume);
	}
	if (status == STATUS_OK) {
		request.id = volume.id;
		if (!ipc_volume_do(cmd->ipc, &request, &cmd->error))
			status = cmd_fail(cmd, cmd_volume_object(cmd, request.name), NULL);
	}
	cmd_close(cmd);
	return status;
}

int cmd_forget(const struct verb *verb, int argc, char **argv)
{
	struct ipc_volume_request request = { .verb = IPC_VOLUME_FORGET };
	const char *id = NULL, *timeout = NULL;
	const struct option_spec specs[] = {
		{ .name = "id", .value = "VOLUME-ID", .help = "confirmation; 'braid status' shows it", .string = &id },
		{ .name = "timeout", .value = "SECONDS", .help = "how long to wait (10)", .string = &timeout },
		{ 0 },
	};
	struct operands operands;
	struct cmd *cmd;
	int status;

	if (!args_parse(verb, argc, argv, specs, 2, 2, &operands, &status) || !cmd_id(verb, id, &request.id, &status) ||
	    !cmd_timeout(verb, timeout, &request.timeout_ms, &status))
		return status;
	if (!request.id)
		return fail_usage("braid forget", "the volume's id is wanted as confirmation: --id VOLUME-ID");
	request.name = operands.word[0];
	status = cmd_open(&cmd, CMD_STATE | CMD_KERNEL, textf("cannot forget the replica of %s on %s", operands.word[0],
							      operands.word[1]));
	if (status == STATUS_OK) {
		cmd_learn(cmd);
		request.node = node_or_number(cmd, operands.word[1]);
		if (request.node == NODE_NONE)
			status = cmd_fail_node(cmd, operands.word[1]);
		else if (!ipc_volume_do(cmd->ipc, &request, &cmd->error))
			status = cmd_fail(cmd, cmd_volume_object(cmd, request.name), NULL);
	}
	cmd_close(cmd);
	return status;
}
