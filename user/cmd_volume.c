// SPDX-License-Identifier: GPL-2.0
/*
 * up, down, delete, set: volumes come and go on this node, and what they do there.
 */
#include <errno.h>
#include <stdio.h>
#include "../kernel/core/codec.h"
#include "cmd.h"
#include "meta.h"

enum { PROMPT_MS = 5000 };	/* a disk that needs longer comes after those that do not */

static const struct state_volume *need_volume(struct cmd *cmd, const char *name, int *status)
{
	const struct state_volume *volume = state_find_volume(&cmd->state, name);

	if (volume)
		return volume;
	*status = fail(&(struct failure){ .status = STATUS_NOT_FOUND, .code = "no-such-volume", .what = cmd->what,
		       .object = cmd_volume_object(cmd, name), .cause = "this node has no replica of it",
		       .remedy = "'braid status' lists the volumes of this node; 'braid replicate' makes a replica here" });
	return NULL;
}

/* One name, or --all: exactly one of them. */
static bool one_or_all(const struct verb *verb, const struct operands *operands, bool all, int *status)
{
	if (all == !operands->nr)
		return true;
	*status = fail_usage(textf("braid %s", verb->name), all ? "either NAME or --all" : "a NAME or --all is missing");
	return false;
}

/* Disks may have changed places. What this call brought up goes down again: nobody asked for it. */
static int fail_other_volume(struct cmd *cmd, const struct state_volume *entry, const struct volume_status *found, bool attached)
{
	struct ipc_volume_request request = { .verb = IPC_VOLUME_DOWN, .name = found->name, .node = NODE_NONE };
	struct ipc_error error;

	if (attached)
		ipc_volume_do(cmd->ipc, &request, &error);
	return fail(&(struct failure){ .status = STATUS_REFUSED, .code = "wrong-id", .what = cmd->what,
		    .object = textf("%s, disk %s", cmd_volume_object(cmd, entry->name), entry->data_path),
		    .cause = textf("it is volume %s, id %016llx; the state file says %s, id %016llx", found->name,
				   (unsigned long long)found->id, entry->name, (unsigned long long)entry->id),
		    .remedy = textf("name disks by /dev/disk/by-id; 'braid meta dump DISK' shows which disk holds %s", entry->name) });
}

/*
 * Without the lock of the state file, but for moments. With @timed_out the disk's silence is not reported, but said there: the others come
 * first. What is not wanted up any more is left out with --all.
 */
static int up_one(struct cmd *cmd, const char *name, bool all, u32 timeout_ms, bool *timed_out)
{
	const struct state_volume *entry;
	struct volume_status volume;
	bool attached;
	int status;

	cmd->what = textf("cannot bring up %s", name);
	status = cmd_lock_again(cmd);
	cmd_unlock(cmd);
	entry = status == STATUS_OK ? state_find_volume(&cmd->state, name) : NULL;
	if (status == STATUS_OK && !all)
		entry = need_volume(cmd, name, &status);
	if (!entry || (all && !entry->wanted_up))
		return status;
	if (!cmd_attach(cmd, entry, timeout_ms, &volume, &attached)) {
		bool timeout = !strcmp(cmd->error.code, "timeout") || !strcmp(cmd->error.code, "disk-busy");

		if (timed_out && timeout) {
			*timed_out = true;
			return STATUS_OK;
		}
		return cmd_fail(cmd, textf("%s, disk %s", cmd_volume_object(cmd, name), entry->data_path),
				strcmp(cmd->error.code, "timeout") ? NULL :
				textf("the kernel log may say what the disk does; when it answers, 'braid up %s'", name));
	}
	if (volume.id != entry->id || strcmp(volume.name, entry->name))
		return fail_other_volume(cmd, entry, &volume, attached);
	return cmd_settle(cmd, name, all ? CMD_WANTED_AS_IT_WAS : CMD_WANTED_UP);
}

/*
 * Disks that do not answer at once come last and share the time, so that many of them do not keep the others down, nor the machine from
 * booting.
 */
static int up_all(struct cmd *cmd, u32 timeout_ms)
{
	static char late[STATE_VOLUMES_MAX][NAME_BYTES_MAX];
	static char names[STATE_VOLUMES_MAX][NAME_BYTES_MAX];
	u32 nr = cmd->state.nr_volumes, nr_late = 0, i;
	int status = STATUS_OK, one;
	u64 deadline_ns, now_ns;
	bool timed_out;

	for (i = 0; i < nr; i++)
		memcpy(names[i], cmd->state.volume[i].name, NAME_BYTES_MAX);
	for (i = 0; i < nr; i++) {
		timed_out = false;
		one = up_one(cmd, names[i], true, timeout_ms < PROMPT_MS ? timeout_ms : PROMPT_MS, &timed_out);
		if (timed_out)
			memcpy(late[nr_late++], names[i], NAME_BYTES_MAX);
		if (status == STATUS_OK)
			status = one;
	}
	deadline_ns = cmd_now_ns() + (u64)timeout_ms * 1000000;
	for (i = 0; i < nr_late; i++) {
		now_ns = cmd_now_ns();
		one = up_one(cmd, late[i], true, now_ns < deadline_ns ? (u32)((deadline_ns - now_ns) / 1000000) + 1 : 1, NULL);
		if (status == STATUS_OK)
			status = one;
	}
	return status;
}

int cmd_up(const struct verb *verb, int argc, char **argv)
{
	const char *timeout = NULL;
	bool all = false;
	const struct option_spec specs[] = {
		{ .name = "all", .help = "every volume that was up", .flag = &all },
		{ .name = "timeout", .value = "SECONDS", .help = "how long to wait for disks that do not answer (60)",
		  .string = &timeout },
		{ 0 },
	};
	struct operands operands;
	struct cmd *cmd;
	u32 timeout_ms;
	int status;

	if (!args_parse(verb, argc, argv, specs, 0, 1, &operands, &status) ||
	    !one_or_all(verb, &operands, all, &status) || !cmd_timeout(verb, timeout, &timeout_ms, &status))
		return status;
	if (!timeout_ms)
		timeout_ms = CMD_ATTACH_MS;
	status = cmd_open(&cmd, CMD_LOCK | CMD_STATE | CMD_START,
			  all ? "cannot bring up the volumes" : textf("cannot bring up %s", operands.word[0]));
	cmd_unlock(cmd);
	if (status == STATUS_OK)
		status = all ? up_all(cmd, timeout_ms) : up_one(cmd, operands.word[0], false, timeout_ms, NULL);
	cmd_close(cmd);
	return status;
}

/* Nobody can use it any more, though its disk may still owe answers. */
static bool is_down(struct cmd *cmd, const char *name)
{
	struct volume_status volume;
	struct ipc_error error;

	return !ipc_volume_get(cmd->ipc, name, &volume, &error) && !strcmp(error.code, "no-such-volume");
}

static int down_one(struct cmd *cmd, const char *name, bool force, u32 timeout_ms, enum cmd_wanted wanted)
{
	struct ipc_volume_request request = { .verb = IPC_VOLUME_DOWN, .name = name, .force = force,
					      .timeout_ms = timeout_ms, .node = NODE_NONE };
	int status = STATUS_OK, settled = STATUS_OK;
	bool down, busy;

	cmd->what = textf("cannot take down %s", name);
	down = ipc_volume_do(cmd->ipc, &request, &cmd->error) || !strcmp(cmd->error.code, "no-such-volume") ||
	       !strcmp(cmd->error.code, "not-configured");	/* a node that is not started has no volume up */
	if (!down) {
		busy = !strcmp(cmd->error.code, "busy");	/* it may be on its way up */
		status = cmd_fail(cmd, cmd_volume_object(cmd, name), NULL);
		down = !busy && is_down(cmd, name);
	}
	if (down)
		settled = cmd_settle(cmd, name, wanted);
	return status == STATUS_OK ? settled : status;
}

static int down_all(struct cmd *cmd, bool force, u32 timeout_ms)
{
	struct volume_list volumes;
	int status = STATUS_OK;
	u32 i;

	if (!ipc_volumes(cmd->ipc, &volumes, &cmd->error))
		return cmd_fail(cmd, "volumes of this node", NULL);
	for (i = 0; i < volumes.nr; i++) {
		int one = down_one(cmd, volumes.item[i].name, force, timeout_ms, CMD_WANTED_AS_IT_WAS);

		if (status == STATUS_OK)
			status = one;
	}
	ipc_volumes_free(&volumes);
	return status;
}

int cmd_down(const struct verb *verb, int argc, char **argv)
{
	bool all = false, force = false;
	const char *timeout = NULL;
	const struct option_spec specs[] = {
		{ .name = "all", .help = "every volume that is up; 'up --all' brings them back", .flag = &all },
		{ .name = "force", .help = "even if it is open: its pending I/O fails", .flag = &force },
		{ .name = "timeout", .value = "SECONDS", .help = "how long to wait (10)", .string = &timeout },
		{ 0 },
	};
	const struct state_volume *entry;
	struct operands operands;
	struct volume_status volume;
	struct cmd *cmd;
	u32 timeout_ms;
	int status;

	if (!args_parse(verb, argc, argv, specs, 0, 1, &operands, &status) ||
	    !one_or_all(verb, &operands, all, &status) || !cmd_timeout(verb, timeout, &timeout_ms, &status))
		return status;
	/* The lock of the state file comes when it is down: others need not wait for this disk. */
	status = cmd_open(&cmd, CMD_STATE | CMD_KERNEL,
			  all ? "cannot take down the volumes" : textf("cannot take down %s", operands.word[0]));
	if (status != STATUS_OK)
		goto out;
	if (all) {
		status = down_all(cmd, force, timeout_ms);
		goto out;
	}
	entry = state_find_volume(&cmd->state, operands.word[0]);
	if (!entry && !ipc_volume_get(cmd->ipc, operands.word[0], &volume, &cmd->error)) {
		status = cmd_fail(cmd, cmd_volume_object(cmd, operands.word[0]), NULL);
		goto out;
	}
	status = down_one(cmd, operands.word[0], force, timeout_ms, CMD_WANTED_DOWN);
out:
	cmd_close(cmd);
	return status;
}

int cmd_set(const struct verb *verb, int argc, char **argv)
{
	static const char key[] = "payload=";
	struct ipc_volume_request request = { .verb = IPC_VOLUME_SET, .node = NODE_NONE };
	const struct option_spec specs[] = { { 0 } };
	struct operands operands;
	struct cmd *cmd;
	int status;

	if (!args_parse(verb, argc, argv, specs, 2, 2, &operands, &status))
		return status;
	if (strncmp(operands.word[1], key, strlen(key)))
		return fail_usage("braid set", textf("'%s' is not payload=copy or payload=trust", operands.word[1]));
	if (!cmd_payload(verb, operands.word[1] + strlen(key), &request.trusts, &status))
		return status;
	request.name = operands.word[0];
	status = cmd_open(&cmd, CMD_STATE | CMD_KERNEL, textf("cannot change %s", request.name));
	if (status == STATUS_OK && !ipc_volume_do(cmd->ipc, &request, &cmd->error))
		status = cmd_fail(cmd, cmd_volume_object(cmd, request.name), NULL);
	cmd_close(cmd);
	return status;
}

/* The metadata on the disk must be of this very volume and node. */
static int wipe(struct cmd *cmd, const struct state_volume *entry, u64 id)
{
	static struct meta_view view;
	const char *path = entry->meta_path ? entry->meta_path : entry->data_path;
	struct disk meta;
	int status = disk_open_claim(&meta, path, false, cmd->what);

	if (status != STATUS_OK)
		return status;
	if (!meta_read(&meta, &view))
		status = fail_system(cmd->what, textf("disk %s", path), errno);
	else if (view.copy_error[0] == ONDISK_BAD_MAGIC && view.copy_error[1] == ONDISK_BAD_MAGIC)
		status = STATUS_OK;	/* wiped: a former call was killed before it could say so in the state; or it is another disk */
	else if (view.chosen < 0)
		status = fail(&(struct failure){ .status = STATUS_NOT_FOUND, .code = "no-metadata", .what = cmd->what,
			      .object = textf("disk %s", path), .cause = "it holds no valid metadata" });
	else if (view.super.volume_id != id || view.super.node_id != cmd->state.node)
		status = fail(&(struct failure){ .status = STATUS_REFUSED, .code = "wrong-id", .what = cmd->what,
			      .object = textf("disk %s", path),
			      .cause = textf("it holds volume %s, id %016llx, of node %u", view.super.name,
					     (unsigned long long)view.super.volume_id, view.super.node_id) });
	else if (!meta_wipe(&meta))
		status = fail_system(cmd->what, textf("disk %s", path), errno);
	disk_close(&meta);
	return status;
}

static int delete_volume(struct cmd *cmd, const char *name, u64 id)
{
	const struct state_volume *entry;
	struct volume_status volume;
	int status = STATUS_OK;

	entry = need_volume(cmd, name, &status);
	if (!entry)
		return status;
	if (id != entry->id)
		return fail(&(struct failure){ .status = STATUS_REFUSED, .code = "wrong-id", .what = cmd->what,
			    .object = cmd_volume_object(cmd, name),
			    .cause = textf("its id is %016llx", (unsigned long long)entry->id) });
	cmd->ipc = ipc_open(false, &cmd->error);
	if (cmd->ipc && ipc_volume_get(cmd->ipc, name, &volume, &cmd->error))
		return fail(&(struct failure){ .status = STATUS_REFUSED, .code = "is-up", .what = cmd->what,
			    .object = cmd_volume_object(cmd, name), .cause = "it is up",
			    .remedy = textf("take it down first: braid down %s", name) });
	status = wipe(cmd, entry, id);
	if (status != STATUS_OK)
		return status;
	state_remove_volume(&cmd->state, name);
	link_remove(name);
	return cmd_save(cmd);
}

int cmd_delete(const struct verb *verb, int argc, char **argv)
{
	const char *id_text = NULL;
	const struct option_spec specs[] = {
		{ .name = "id", .value = "VOLUME-ID", .help = "confirmation; 'braid status' shows it", .string = &id_text },
		{ 0 },
	};
	struct operands operands;
	struct cmd *cmd;
	int status;
	u64 id;

	if (!args_parse(verb, argc, argv, specs, 1, 1, &operands, &status) || !cmd_id(verb, id_text, &id, &status))
		return status;
	if (!id)
		return fail_usage("braid delete", "the volume's id is wanted as confirmation: --id VOLUME-ID");
	status = cmd_open(&cmd, CMD_LOCK | CMD_STATE, textf("cannot delete %s", operands.word[0]));
	if (status == STATUS_OK)
		status = delete_volume(cmd, operands.word[0], id);
	cmd_close(cmd);
	return status;
}
