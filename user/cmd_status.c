// SPDX-License-Identifier: GPL-2.0
/*
 * status, events, wait, options: looking, and waiting for what was looked at.
 */
#include <stdio.h>
#include <stdlib.h>
#include "../kernel/uapi/linux/braid.h"
#include "cmd.h"
#include "print.h"

enum { WAIT_DEFAULT_MS = 60000, WAIT_TICK_MS = 1000 };

int cmd_status(const struct verb *verb, int argc, char **argv)
{
	bool json = false;
	const struct option_spec specs[] = { { .name = "json", .help = "machine-readable", .flag = &json }, { 0 } };
	struct volume_list volumes = { 0 };
	struct peer_list peers = { 0 };
	struct operands operands;
	const char *only;
	struct cmd *cmd;
	int status;

	if (!args_parse(verb, argc, argv, specs, 0, 1, &operands, &status))
		return status;
	only = operands.nr ? operands.word[0] : NULL;
	status = cmd_open(&cmd, CMD_STATE | CMD_KERNEL, "cannot show the status");
	if (status == STATUS_OK) {
		cmd_learn(cmd);
		if (!ipc_volumes(cmd->ipc, &volumes, &cmd->error) || !ipc_peers(cmd->ipc, &peers, &cmd->error))
			if (strcmp(cmd->error.code, "not-configured"))
				status = cmd_fail(cmd, textf("node %s", cmd->state.name), NULL);
	}
	if (status == STATUS_OK && only && !state_find_volume(&cmd->state, only)) {
		struct volume_status volume;

		status = cmd_volume(cmd, only, &volume);
	}
	if (status == STATUS_OK)
		print_status(&cmd->state, &volumes, &peers, only, cmd_now_ns(), json);
	ipc_volumes_free(&volumes);
	cmd_close(cmd);
	return status;
}

/* Print the gap in front of @event, if there is one. */
static void show_gap(const struct state *state, const struct model_event *event, u32 expected, bool json)
{
	u32 lost = event->sequence - expected;

	/* An old event may be delivered after the dump that told the expected number. */
	if (lost && lost < UINT32_MAX / 2)
		print_event(state, event, lost, json);
}

static int follow(struct cmd *cmd, u64 limit, int timeout_ms, bool json)
{
	static struct model_event event;
	struct node_status node;
	u64 shown = 0;
	u32 expected;

	if (!ipc_listen(cmd->ipc, &cmd->error))
		return cmd_fail(cmd, "events of this node", NULL);
	if (!ipc_node_get(cmd->ipc, &node, &cmd->error))
		return cmd_fail(cmd, "this node", NULL);
	for (expected = node.sequence + 1; !limit || shown < limit; shown++) {
		switch (ipc_next_event(cmd->ipc, timeout_ms, &event, &cmd->error)) {
		case IPC_FAILED:
			return cmd_fail(cmd, "events of this node", NULL);
		case IPC_NO_EVENT:
			return fail(&(struct failure){ .status = STATUS_TIMEOUT, .code = "timeout", .what = cmd->what,
				    .object = "events of this node", .cause = "there was no further event",
				    .remedy = "wait longer: --timeout SECONDS" });
		case IPC_EVENT:
			break;
		}
		if (event.lost) {
			print_event(&cmd->state, &event, 0, json);
			continue;
		}
		show_gap(&cmd->state, &event, expected, json);
		expected = event.sequence + 1;
		print_event(&cmd->state, &event, 0, json);
		if (ferror(stdout))
			return fail_system(cmd->what, "standard output", 5);
	}
	return STATUS_OK;
}

int cmd_events(const struct verb *verb, int argc, char **argv)
{
	const char *count = NULL, *timeout = NULL;
	bool json = false;
	const struct option_spec specs[] = {
		{ .name = "json", .help = "one object per line", .flag = &json },
		{ .name = "count", .value = "N", .help = "end after so many events", .string = &count },
		{ .name = "timeout", .value = "SECONDS", .help = "end when nothing happens for so long (status 5)",
		  .string = &timeout },
		{ 0 },
	};
	struct operands operands;
	u32 timeout_ms;
	struct cmd *cmd;
	u64 limit = 0;
	int status;

	if (!args_parse(verb, argc, argv, specs, 0, 0, &operands, &status) ||
	    !cmd_timeout(verb, timeout, &timeout_ms, &status))
		return status;
	if (count && (!text_parse_u64(count, UINT32_MAX, &limit) || !limit))
		return fail_usage("braid events", textf("'%s' is not a number of events", count));
	status = cmd_open(&cmd, CMD_STATE | CMD_KERNEL, "cannot follow the events");
	if (status == STATUS_OK)
		status = follow(cmd, limit, timeout ? (int)timeout_ms : -1, json);
	cmd_close(cmd);
	return status;
}

/* Is every other replica in one of the states of @mask? */
static bool all_relations(const struct volume_status *volume, u32 mask)
{
	u32 others = volume->replicas & ~NODE_BIT(volume->node);
	u32 i;

	for (i = 0; i < volume->nr_relations; i++) {
		if (!(mask >> volume->relation[i].state & 1))
			return false;
		if (volume->relation[i].node < NODES_MAX)
			others &= ~NODE_BIT(volume->relation[i].node);
	}
	return !others;
}

static bool connected(const struct volume_status *volume)
{
	return all_relations(volume, ~(1u << BRAID_RELATION_OFF | 1u << BRAID_RELATION_ABSENT));
}

static bool in_sync(const struct volume_status *volume)
{
	return volume->up_to_date && all_relations(volume, 1u << BRAID_RELATION_IN_SYNC);
}

static bool is_primary(const struct volume_status *volume)
{
	return volume->is_primary;
}

static bool is_secondary(const struct volume_status *volume)
{
	return !volume->is_primary;
}

static bool up_to_date(const struct volume_status *volume)
{
	return volume->up_to_date;
}

static bool healthy(const struct volume_status *volume)
{
	return volume->healthy;
}

static const struct {
	const char *name;
	bool (*holds)(const struct volume_status *volume);
} conditions[] = {
	{ "in-sync", in_sync },
	{ "connected", connected },
	{ "primary", is_primary },
	{ "secondary", is_secondary },
	{ "up-to-date", up_to_date },
	{ "healthy", healthy },
};

/* Words for relations, as the kernel names them: any peer in that state. */
static const char *const relation_states[] = {
	"off", "absent", "greeting", "waiting", "source-asked", "source", "target-starting", "target", "joining", "split",
	"refused",
};

/* -1: no such condition. Names of states compare without regard to case and '_'. */
static bool same_word(const char *a, const char *b)
{
	for (; *a && *b; a++, b++) {
		char x = *a == '_' ? '-' : *a >= 'A' && *a <= 'Z' ? (char)(*a + 32) : *a;
		char y = *b == '_' ? '-' : *b >= 'A' && *b <= 'Z' ? (char)(*b + 32) : *b;

		if (x != y)
			return false;
	}
	return *a == *b;
}

static bool condition_known(const char *word)
{
	size_t i;

	for (i = 0; i < CORE_ARRAY_SIZE(conditions); i++)
		if (!strcmp(conditions[i].name, word))
			return true;
	for (i = 0; i < CORE_ARRAY_SIZE(relation_states); i++)
		if (same_word(relation_states[i], word))
			return true;
	return false;
}

static bool condition_holds(const char *word, const struct volume_status *volume)
{
	size_t i;

	for (i = 0; i < CORE_ARRAY_SIZE(conditions); i++)
		if (!strcmp(conditions[i].name, word))
			return conditions[i].holds(volume);
	for (i = 0; i < volume->nr_relations; i++)
		if (same_word(volume->relation[i].state_name, word))
			return true;
	return false;
}

/* Look, then wait for an event (or a tick, should events be lost), until the condition holds or time is up. */
static int wait_for(struct cmd *cmd, const char *name, const char *word, u32 timeout_ms)
{
	const u64 deadline_ns = cmd_now_ns() + (u64)timeout_ms * 1000000;
	static struct model_event event;
	struct volume_status volume;
	struct ipc *events = ipc_open(false, &cmd->error);
	int status = STATUS_OK;

	if (!events || !ipc_listen(events, &cmd->error))
		status = cmd_fail(cmd, "events of this node", NULL);
	while (status == STATUS_OK) {
		u64 now_ns, left_ms;

		status = cmd_volume(cmd, name, &volume);
		if (status != STATUS_OK || condition_holds(word, &volume))
			break;
		now_ns = cmd_now_ns();
		if (now_ns >= deadline_ns) {
			status = fail(&(struct failure){ .status = STATUS_TIMEOUT, .code = "timeout", .what = cmd->what,
				      .object = cmd_volume_object(cmd, name),
				      .cause = textf("it is not %s after %.1f s", word, timeout_ms / 1000.0),
				      .remedy = textf("'braid why %s' shows what is in the way", name) });
			break;
		}
		left_ms = (deadline_ns - now_ns) / 1000000 + 1;
		if (ipc_next_event(events, (int)(left_ms < WAIT_TICK_MS ? left_ms : WAIT_TICK_MS), &event, &cmd->error) ==
		    IPC_FAILED)
			status = cmd_fail(cmd, "events of this node", NULL);
	}
	if (events)
		ipc_close(events);
	return status;
}

int cmd_wait(const struct verb *verb, int argc, char **argv)
{
	const char *word = NULL, *timeout = NULL;
	const struct option_spec specs[] = {
		{ .name = "for", .value = "CONDITION", .help = "what to wait for (in-sync)", .string = &word },
		{ .name = "timeout", .value = "SECONDS", .help = "how long to wait (60)", .string = &timeout },
		{ 0 },
	};
	struct operands operands;
	u32 timeout_ms;
	struct cmd *cmd;
	int status;

	if (!args_parse(verb, argc, argv, specs, 1, 1, &operands, &status) ||
	    !cmd_timeout(verb, timeout, &timeout_ms, &status))
		return status;
	word = word ? word : "in-sync";
	if (!condition_known(word))
		return fail_usage("braid wait", textf("'%s' is no condition", word));
	status = cmd_open(&cmd, CMD_STATE | CMD_KERNEL, textf("cannot wait for %s", operands.word[0]));
	if (status == STATUS_OK)
		status = wait_for(cmd, operands.word[0], word, timeout ? timeout_ms : WAIT_DEFAULT_MS);
	cmd_close(cmd);
	return status;
}

/* KEY=VALUE into the state; NULL, or what is wrong. */
static const char *set_option(struct state *state, const char *assignment)
{
	const char *value = strchr(assignment, '=');
	u32 timeout_ms;
	u64 lanes;

	if (!value)
		return textf("'%s' is not of the form KEY=VALUE", assignment);
	value++;
	if (!strncmp(assignment, "timeout=", 8)) {
		if (!text_parse_seconds(value, &timeout_ms) || timeout_ms < STATE_TIMEOUT_MS_MIN ||
		    timeout_ms > STATE_TIMEOUT_MS_MAX)
			return textf("timeout: '%s' is not a time from 0.5 to 60 seconds", value);
		state->timeout_ms = timeout_ms;
		return NULL;
	}
	if (!strncmp(assignment, "data-lanes=", 11)) {
		if (!text_parse_u64(value, STATE_DATA_LANES_MAX, &lanes) || !lanes)
			return textf("data-lanes: '%s' is not a number from 1 to %u", value, STATE_DATA_LANES_MAX);
		state->data_lanes = (u32)lanes;
		return NULL;
	}
	return textf("'%.*s' is no option; there are timeout and data-lanes", (int)(value - 1 - assignment), assignment);
}

int cmd_options_set(const struct verb *verb, int argc, char **argv)
{
	const struct option_spec specs[] = { { 0 } };
	const char *wrong = NULL;
	struct operands operands;
	struct cmd *cmd;
	int status;
	u32 i;

	if (!args_parse(verb, argc, argv, specs, 1, TEXT_LIST_MAX, &operands, &status))
		return status;
	status = cmd_open(&cmd, CMD_LOCK | CMD_STATE, "cannot set options");
	for (i = 0; status == STATUS_OK && i < operands.nr && !wrong; i++)
		wrong = set_option(&cmd->state, operands.word[i]);
	if (status == STATUS_OK && wrong)
		status = fail_usage("braid options set", wrong);
	if (status == STATUS_OK)
		status = cmd_save(cmd);
	if (status == STATUS_OK) {
		/* A node that does not run takes them when it starts. */
		cmd->ipc = ipc_open(false, &cmd->error);
		if (cmd->ipc && !ipc_node_set(cmd->ipc, cmd->state.timeout_ms, cmd->state.data_lanes, &cmd->error) &&
		    strcmp(cmd->error.code, "not-configured"))
			status = cmd_fail(cmd, "this node", NULL);
	}
	cmd_close(cmd);
	return status;
}

int cmd_options_show(const struct verb *verb, int argc, char **argv)
{
	const struct option_spec specs[] = { { 0 } };
	struct operands operands;
	struct cmd *cmd;
	int status;

	if (!args_parse(verb, argc, argv, specs, 0, 0, &operands, &status))
		return status;
	status = cmd_open(&cmd, CMD_STATE, "cannot show the options");
	if (status == STATUS_OK)
		printf("timeout=%u.%03u\ndata-lanes=%u\n", cmd->state.timeout_ms / 1000, cmd->state.timeout_ms % 1000,
		       cmd->state.data_lanes);
	cmd_close(cmd);
	return status;
}
