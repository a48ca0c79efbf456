// SPDX-License-Identifier: GPL-2.0
/*
 * up, down, delete, set: volumes come and go on this node, and what they do there.
 */
#include <errno.h>
#include <stdio.h>
#include <time.h>
#include "../kernel/core/codec.h"
#include "cmd.h"
#include "meta.h"

enum { ATTACH_POLL_MS = 100 };

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
 * Without the lock of the state file: other commands need not wait for this disk. So another one may attach the same; its end is waited
 * for. *@attached: by this call. False: cmd->error.
 */
static bool attach(struct cmd *cmd, const struct state_volume *entry, u32 timeout_ms, struct volume_status *volume, bool *attached)
{
	const struct timespec pause = { .tv_nsec = ATTACH_POLL_MS * 1000000L };
	const u64 deadline_ns = cmd_now_ns() + (u64)timeout_ms * 1000000;
	struct ipc_error error;
	u64 now_ns;

	for (;;) {
		*attached = ipc_attach(cmd->ipc, entry->data_path, entry->meta_path, timeout_ms, volume, &cmd->error);
		if (*attached)
			return true;
		error = cmd->error;
		if (ipc_volume_get(cmd->ipc, entry->name, volume, &cmd->error))
			return true;
		cmd->error = error;
		now_ns = cmd_now_ns();
		if (strcmp(error.code, "attaching") || now_ns >= deadline_ns)
			return false;
		timeout_ms = (u32)((deadline_ns - now_ns) / 1000000) + 1;
		nanosleep(&pause, NULL);
	}
}

static int up_one(struct cmd *cmd, const struct state_volume *entry, u32 timeout_ms)
{
	struct volume_status volume;
	bool attached = false;

	cmd->what = textf("cannot bring up %s", entry->name);
	if (!ipc_volume_get(cmd->ipc, entry->name, &volume, &cmd->error) &&
	    (strcmp(cmd->error.code, "no-such-volume") || !attach(cmd, entry, timeout_ms, &volume, &attached)))
		return cmd_fail(cmd, textf("%s, disk %s", cmd_volume_object(cmd, entry->name), entry->data_path), NULL);
	if (volume.id != entry->id || strcmp(volume.name, entry->name))
		return fail_other_volume(cmd, entry, &volume, attached);
	link_make(volume.name, volume.device);
	return STATUS_OK;
}

/* With the lock of the state file once more: what others have changed meanwhile stays. */
static int remember_wanted(struct cmd *cmd, const char *name, bool wanted_up)
{
	int status = cmd_lock_again(cmd);
	struct state_volume *entry;

	if (status != STATUS_OK)
		return status;
	entry = state_find_volume(&cmd->state, name);
	if (!entry || entry->wanted_up == wanted_up)
		return STATUS_OK;
	entry->wanted_up = wanted_up;
	return cmd_save(cmd);
}

static int up_all(struct cmd *cmd, u32 timeout_ms)
{
	int status = STATUS_OK, one;
	u32 i;

	for (i = 0; i < cmd->state.nr_volumes; i++) {
		one = cmd->state.volume[i].wanted_up ? up_one(cmd, &cmd->state.volume[i], timeout_ms) : STATUS_OK;
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
		{ .name = "timeout", .value = "SECONDS", .help = "how long to wait for its disk (60)", .string = &timeout },
		{ 0 },
	};
	const struct state_volume *entry;
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
	if (status == STATUS_OK && all) {
		status = up_all(cmd, timeout_ms);
	} else if (status == STATUS_OK) {
		entry = need_volume(cmd, operands.word[0], &status);
		if (entry)
			status = up_one(cmd, entry, timeout_ms);
		if (status == STATUS_OK)
			status = remember_wanted(cmd, operands.word[0], true);
	}
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

/* *@down: it is, whatever the status says. */
static int down_one(struct cmd *cmd, const char *name, bool force, u32 timeout_ms, bool *down)
{
	struct ipc_volume_request request = { .verb = IPC_VOLUME_DOWN, .name = name, .force = force,
					      .timeout_ms = timeout_ms, .node = NODE_NONE };
	int status = STATUS_OK;

	cmd->what = textf("cannot take down %s", name);
	*down = ipc_volume_do(cmd->ipc, &request, &cmd->error) || !strcmp(cmd->error.code, "no-such-volume") ||
		!strcmp(cmd->error.code, "not-configured");	/* a node that is not started has no volume up */
	if (!*down) {
		status = cmd_fail(cmd, cmd_volume_object(cmd, name), NULL);
		*down = is_down(cmd, name);
	}
	if (*down)
		link_remove(name);
	return status;
}

static int down_all(struct cmd *cmd, bool force, u32 timeout_ms)
{
	struct volume_list volumes;
	int status = STATUS_OK;
	u32 i;

	if (!ipc_volumes(cmd->ipc, &volumes, &cmd->error))
		return cmd_fail(cmd, "volumes of this node", NULL);
	for (i = 0; i < volumes.nr; i++) {
		bool down;
		int one = down_one(cmd, volumes.item[i].name, force, timeout_ms, &down);

		if (status == STATUS_OK)
			status = one;
	}
	ipc_volumes_free(&volumes);
	return status;
}

int cmd_down(const struct verb *verb, int argc, char **argv)
{
	bool all = false, force = false, down;
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
	int status, saved;

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
	status = down_one(cmd, operands.word[0], force, timeout_ms, &down);
	/* Unless another command has brought it up again already. */
	if (down && entry && is_down(cmd, operands.word[0])) {
		saved = remember_wanted(cmd, operands.word[0], false);
		status = status == STATUS_OK ? saved : status;
	}
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
