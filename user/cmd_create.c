// SPDX-License-Identifier: GPL-2.0
/*
 * create and replicate: a disk becomes a replica. Everything that can refuse is asked before the first byte is written, and
 * only the metadata area is written, unless zeroes are asked for.
 */
#include <errno.h>
#include <stdio.h>
#include <time.h>
#include "../kernel/core/codec.h"
#include "blank.h"
#include "cmd.h"
#include "meta.h"

enum { KNOWN_WAIT_MS = 10000, KNOWN_POLL_MS = 100 };

/* What create and replicate have in common. */
struct plan {
	const char *verb;
	const char *name;
	const char *disk_path;
	const char *meta_path;	/* NULL: internal */
	struct text_list overwrite;
	bool keeps_content;	/* the data disk's content becomes the volume's (create with --meta) */
	bool zero, blank;	/* the data area is to be made zeroes; is zeroes by the administrator's word [R4] */
	u64 wanted_bytes;	/* 0: the whole disk */
	u32 actlog_parts;	/* 0: default */
	u32 block_bytes;	/* 0: those of the data disk */
	const char *payload;	/* as given; NULL: copy */
	bool trusts;		/* the same */
	struct disk data, meta;	/* meta is data when internal */
	struct ondisk_super super;
};

static bool may_overwrite(const struct plan *plan, const char *path)
{
	u32 i;

	for (i = 0; i < plan->overwrite.nr; i++)
		if (!strcmp(plan->overwrite.item[i], path))
			return true;
	return false;
}

/* Refuse content that would be lost unless exactly this disk was named again. */
static int check_content(const struct cmd *cmd, const struct plan *plan, const struct disk *disk, const char *path)
{
	bool failed;
	const char *found = disk_signature(disk, &failed);

	if (failed)
		return fail_system(cmd->what, textf("disk %s", path), errno ? errno : EIO);
	if (!found || may_overwrite(plan, path))
		return STATUS_OK;
	return fail(&(struct failure){ .status = STATUS_REFUSED, .code = "signature", .what = cmd->what,
		    .object = textf("disk %s", path), .cause = textf("it holds: %s", found),
		    .remedy = textf("choose another disk; 'braid %s --help' tells how to confirm that this content is not needed",
				    plan->verb) });
}

static int report_no_room(const struct cmd *cmd, const struct plan *plan)
{
	struct ondisk_super internal = plan->super;
	const char *cause = textf("%s is too little for metadata and data", text_size(plan->data.bytes));

	if (plan->wanted_bytes)
		cause = textf("%s (%llu bytes) do not hold a volume of %s (%llu bytes)%s", text_size(plan->data.bytes),
			      (unsigned long long)plan->data.bytes, text_size(plan->wanted_bytes),
			      (unsigned long long)plan->wanted_bytes, plan->meta_path ? "" : " and its metadata");
	if (plan->meta_path && ondisk_plan(plan->data.bytes, UINT64_MAX, true, plan->wanted_bytes, plan->actlog_parts, &internal))
		cause = textf("metadata needs %llu bytes, %s has %llu", (unsigned long long)internal.meta_bytes,
			      plan->meta_path, (unsigned long long)plan->meta.bytes);
	return fail(&(struct failure){ .status = STATUS_REFUSED, .code = "too-small", .what = cmd->what,
		    .object = textf("disk %s", plan->disk_path), .cause = cause });
}

/* The volume's logical blocks: what every replica's disk can take, now and later. They are for good. */
static int choose_blocks(const struct cmd *cmd, struct plan *plan)
{
	u32 disk_bytes = plan->data.block_bytes, wanted_bytes = plan->block_bytes ? plan->block_bytes : disk_bytes;

	if (wanted_bytes < disk_bytes || disk_bytes > VOLUME_SECTOR_BYTES << VOLUME_BLOCK_SHIFT_MAX)
		return fail(&(struct failure){ .status = STATUS_REFUSED, .code = "block-size", .what = cmd->what,
			    .object = textf("disk %s", plan->disk_path),
			    .cause = textf("its logical blocks are of %u bytes, the volume's of %u", disk_bytes,
					   plan->block_bytes ? plan->block_bytes : VOLUME_SECTOR_BYTES << VOLUME_BLOCK_SHIFT_MAX) });
	plan->super.block_shift = wanted_bytes > VOLUME_SECTOR_BYTES ? VOLUME_BLOCK_SHIFT_MAX : 0;
	return STATUS_OK;
}

/* Open both disks, look at what they hold, reckon the geometry. Writes nothing. */
static int prepare(const struct cmd *cmd, struct plan *plan)
{
	int status = disk_open_claim(&plan->data, plan->disk_path, false, cmd->what);

	if (status == STATUS_OK && plan->meta_path)
		status = disk_open_claim(&plan->meta, plan->meta_path, false, cmd->what);
	if (status == STATUS_OK && !plan->keeps_content)
		status = check_content(cmd, plan, &plan->data, plan->disk_path);
	if (status == STATUS_OK && plan->meta_path)
		status = check_content(cmd, plan, &plan->meta, plan->meta_path);
	if (status != STATUS_OK)
		return status;
	if (!ondisk_plan(plan->data.bytes, plan->meta.bytes, plan->meta_path != NULL, plan->wanted_bytes,
			 plan->actlog_parts, &plan->super))
		return report_no_room(cmd, plan);
	return choose_blocks(cmd, plan);
}

static bool valid_zeroes(const struct plan *plan, int *status)
{
	if (!plan->zero || !plan->blank)
		return true;
	*status = fail_usage(textf("braid %s", plan->verb), "--zero makes zeroes, --blank says that they are there: only one of them");
	return false;
}

static int check_name(struct cmd *cmd, const char *name);

/*
 * Hours, maybe: other commands do their work meanwhile, and the disks stay claimed. Metadata that was there is gone before the first
 * zero is written, so that nobody who ends this command attaches what it left.
 */
static int make_zeroes(struct cmd *cmd, const struct plan *plan)
{
	const struct disk *meta = plan->meta_path ? &plan->meta : &plan->data;
	int status;

	if (!meta_wipe(meta))
		return fail_system(cmd->what, textf("disk %s", meta->path), errno);
	cmd_unlock(cmd);
	status = blank_make(&plan->data, plan->super.data_offset_bytes, plan->super.volume_bytes, cmd->what);
	if (status == STATUS_OK)
		status = cmd_lock_again(cmd);
	return status == STATUS_OK ? check_name(cmd, plan->name) : status;
}

/* What was made is looked at as well: a disk that promises zeroes may break its word. */
static int make_blank(struct cmd *cmd, struct plan *plan)
{
	int status = plan->zero ? make_zeroes(cmd, plan) : STATUS_OK;

	if (status == STATUS_OK && (plan->zero || plan->blank))
		status = blank_check(&plan->data, plan->super.data_offset_bytes, plan->super.volume_bytes, cmd->what);
	if (status == STATUS_OK && (plan->zero || plan->blank))
		plan->super.flags |= ONDISK_BLANK;
	return status;
}

static bool fill_super(const struct cmd *cmd, struct plan *plan, u64 volume_id)
{
	struct ondisk_super *super = &plan->super;

	super->volume_id = volume_id;
	super->replica_id = cmd_random_id();
	memcpy(super->cluster_id, cmd->state.cluster_id, UUID_BYTES);
	memcpy(super->name, plan->name, strlen(plan->name));
	super->flags |= plan->meta_path ? ONDISK_SEPARATE : 0;
	super->compat = plan->trusts ? ONDISK_COMPAT_TRUST : 0;
	super->replicas = NODE_BIT(cmd->state.node);
	super->node_id = cmd->state.node;
	memset(super->slot_node, NODE_NONE, sizeof(super->slot_node));
	super->split_peer = NODE_NONE;
	memcpy(super->node_instance, cmd->state.instance, UUID_BYTES);
	return super->volume_id && super->replica_id;
}

/* Write the metadata, release the disks, attach, remember. */
static int finish(struct cmd *cmd, struct plan *plan)
{
	struct state_volume entry = { .id = plan->super.volume_id, .wanted_up = true, .data_path = plan->data.path,
				      .meta_path = plan->meta_path ? plan->meta.path : NULL };
	struct disk *meta = plan->meta_path ? &plan->meta : &plan->data;
	struct volume_status volume;
	bool attached;
	int status;

	memcpy(entry.name, plan->super.name, NAME_BYTES_MAX);
	if (!meta_format(meta, &plan->super))
		return fail_system(cmd->what, textf("disk %s", meta->path), errno);
	disk_close(&plan->data);
	disk_close(&plan->meta);
	if (!state_put_volume(&cmd->state, &entry))
		return fail(&(struct failure){ .status = STATUS_REFUSED, .code = "limit", .what = cmd->what,
			    .object = textf("volume %s", plan->name), .cause = "too many volumes" });
	status = cmd_save(cmd);
	if (status != STATUS_OK)
		return status;
	cmd_unlock(cmd);
	if (!cmd_attach(cmd, &entry, CMD_ATTACH_MS, &volume, &attached))
		return cmd_fail(cmd, cmd_volume_object(cmd, plan->name), strcmp(cmd->error.code, "timeout") ? NULL :
				textf("the disk is prepared; when it answers, 'braid up %s'", plan->name));
	status = cmd_settle(cmd, plan->name, CMD_WANTED_AS_IT_WAS);
	if (status != STATUS_OK)
		return status;
	printf("%s  id %016llx  %s  %s\n", plan->name, (unsigned long long)entry.id, text_size(plan->super.volume_bytes),
	       link_path(plan->name));
	return STATUS_OK;
}

static int check_name(struct cmd *cmd, const char *name)
{
	const struct state_volume *old = state_find_volume(&cmd->state, name);
	struct volume_status volume;

	if (!old && !ipc_volume_get(cmd->ipc, name, &volume, &cmd->error)) {
		if (!strcmp(cmd->error.code, "no-such-volume"))
			return STATUS_OK;
		return cmd_fail(cmd, cmd_volume_object(cmd, name), NULL);
	}
	return fail(&(struct failure){ .status = STATUS_REFUSED, .code = "exists", .what = cmd->what,
		    .object = cmd_volume_object(cmd, name), .cause = old ?
		    textf("this node has a replica of it on %s already", old->data_path) : "it is up here already" });
}

static bool valid_volume_name(const struct verb *verb, const char *name, int *status)
{
	if (codec_name_valid(name))
		return true;
	*status = fail_usage(textf("braid %s", verb->name),
			     textf("'%s' is not a valid name: up to 63 of A-Z a-z 0-9 _ . -, not starting with . or -", name));
	return false;
}

static const struct known_volume *find_known(const struct known_list *known, const char *name)
{
	u32 i;

	for (i = 0; i < known->nr; i++)
		if (!strcmp(known->item[i].name, name))
			return &known->item[i];
	return NULL;
}

/* A volume of this name that a peer told about, however short ago. */
static int refuse_known(struct cmd *cmd, const char *name)
{
	struct known_list known;
	const struct known_volume *other;
	int status = STATUS_OK;

	if (!ipc_known(cmd->ipc, &known, &cmd->error))
		return cmd_fail(cmd, cmd_volume_object(cmd, name), NULL);
	other = find_known(&known, name);
	if (other)
		status = fail(&(struct failure){ .status = STATUS_REFUSED, .code = "exists", .what = cmd->what,
			      .object = textf("volume %s", name),
			      .cause = textf("nodes %s have a volume of this name", cmd_nodes(cmd, other->seen_from)),
			      .remedy = textf("'braid replicate %s DISK' makes a replica of it here; else choose another name",
					      name) });
	ipc_known_free(&known);
	return status;
}

int cmd_create(const struct verb *verb, int argc, char **argv)
{
	static struct plan plan;
	const char *size = NULL, *blocks = NULL;
	const struct option_spec specs[] = {
		{ .name = "meta", .value = "DISK", .help = "metadata there; the content of the data disk is kept",
		  .string = &plan.meta_path },
		{ .name = "size", .value = "BYTES", .help = "size of the volume (suffixes K M G T P); else all of the disk",
		  .string = &size },
		{ .name = "block-size", .value = "BYTES", .help = "logical blocks, 512 or 4096; else those of the disk. Replicas' disks may not "
		  "have larger ones", .string = &blocks },
		{ .name = "force-overwrite", .value = "DISK", .help = "the disk once more: its present content is not needed",
		  .list = &plan.overwrite },
		{ .name = "zero", .help = "make the data area zeroes first: replicas made so are in sync at once", .flag = &plan.zero },
		{ .name = "blank", .help = "the data area reads as zeroes already (a fresh thin volume); samples are read",
		  .flag = &plan.blank },
		{ .name = "payload", .value = "copy|trust", .help = "of writes: copied first (default), or their own pages",
		  .string = &plan.payload },
		{ 0 },
	};
	struct generation first = { .number = 1, .writer = NODE_NONE };
	struct operands operands;
	struct cmd *cmd;
	int status;

	plan.data.fd = plan.meta.fd = -1;
	plan.verb = verb->name;
	if (!args_parse(verb, argc, argv, specs, 2, 2, &operands, &status))
		return status;
	plan.name = operands.word[0];
	plan.disk_path = operands.word[1];
	plan.keeps_content = plan.meta_path != NULL && !plan.zero;
	if (!valid_volume_name(verb, plan.name, &status) || !valid_zeroes(&plan, &status) ||
	    (plan.payload && !cmd_payload(verb, plan.payload, &plan.trusts, &status)))
		return status;
	if (size && (!text_parse_size(size, &plan.wanted_bytes) || !plan.wanted_bytes ||
		     plan.wanted_bytes % VOLUME_BLOCK_BYTES || plan.wanted_bytes > VOLUME_BYTES_MAX))
		return fail_usage("braid create", textf("'%s' is not a size: a multiple of 4096 bytes, up to 1P", size));
	if (blocks && strcmp(blocks, "512") && strcmp(blocks, "4096"))
		return fail_usage("braid create", textf("'%s' is no size of blocks: 512 or 4096", blocks));
	if (blocks)
		plan.block_bytes = strcmp(blocks, "512") ? 4096 : 512;
	status = cmd_open(&cmd, CMD_LOCK | CMD_STATE | CMD_START, textf("cannot create %s", plan.name));
	if (status == STATUS_OK)
		status = check_name(cmd, plan.name);
	if (status == STATUS_OK)
		status = refuse_known(cmd, plan.name);
	if (status == STATUS_OK)
		status = prepare(cmd, &plan);
	if (status == STATUS_OK)
		status = make_blank(cmd, &plan);
	first.id = cmd_random_id();
	if (status == STATUS_OK && (!fill_super(cmd, &plan, cmd_random_id()) || !first.id))
		status = fail_system(cmd->what, "random numbers of the kernel", EIO);
	if (status == STATUS_OK) {
		first.members = NODE_BIT(cmd->state.node);
		plan.super.chain.count = 1;
		plan.super.chain.record[0] = first;
		status = finish(cmd, &plan);
	}
	disk_close(&plan.data);
	disk_close(&plan.meta);
	cmd_close(cmd);
	return status;
}

/* Wait until some peer announces the volume: it may have connected just now. */
static int wait_known(struct cmd *cmd, const char *name, struct known_volume *found)
{
	const struct timespec pause = { .tv_nsec = KNOWN_POLL_MS * 1000000L };
	const u64 deadline_ns = cmd_now_ns() + (u64)KNOWN_WAIT_MS * 1000000;
	const struct known_volume *other;
	struct known_list known;

	for (;;) {
		if (!ipc_known(cmd->ipc, &known, &cmd->error))
			return cmd_fail(cmd, textf("volume %s", name), NULL);
		other = find_known(&known, name);
		if (other)
			*found = *other;
		ipc_known_free(&known);
		if (other)
			return STATUS_OK;
		if (cmd_now_ns() >= deadline_ns)
			break;
		nanosleep(&pause, NULL);
	}
	return fail(&(struct failure){ .status = STATUS_NOT_FOUND, .code = "no-such-volume", .what = cmd->what,
		    .object = textf("volume %s", name),
		    .cause = textf("no connected node told about it within %u s", KNOWN_WAIT_MS / 1000),
		    .remedy = "check that it is up on a node that is connected to this one (braid status there, "
			      "braid node show here)" });
}

static int check_limit(const struct cmd *cmd, const struct known_volume *known)
{
	if (codec_count_bits((known->replicas | known->seen_from) & ~NODE_BIT(cmd->state.node)) < REPLICAS_MAX)
		return STATUS_OK;
	return fail(&(struct failure){ .status = STATUS_REFUSED, .code = "limit", .what = cmd->what,
		    .object = textf("volume %s", known->name), .cause = "it has 16 replicas already" });
}

int cmd_replicate(const struct verb *verb, int argc, char **argv)
{
	static struct plan plan;
	const struct option_spec specs[] = {
		{ .name = "meta", .value = "DISK", .help = "metadata on this disk", .string = &plan.meta_path },
		{ .name = "force-overwrite", .value = "DISK", .help = "the disk once more: its present content is not needed",
		  .list = &plan.overwrite },
		{ .name = "zero", .help = "make the data area zeroes first: replicas made so are in sync at once", .flag = &plan.zero },
		{ .name = "blank", .help = "the data area reads as zeroes already (a fresh thin volume); samples are read",
		  .flag = &plan.blank },
		{ .name = "payload", .value = "copy|trust", .help = "of writes: copied first (default), or their own pages",
		  .string = &plan.payload },
		{ 0 },
	};
	struct known_volume known = { 0 };
	struct operands operands;
	struct cmd *cmd;
	int status;

	plan.data.fd = plan.meta.fd = -1;
	plan.verb = verb->name;
	if (!args_parse(verb, argc, argv, specs, 2, 2, &operands, &status))
		return status;
	plan.name = operands.word[0];
	plan.disk_path = operands.word[1];
	if (!valid_volume_name(verb, plan.name, &status) || !valid_zeroes(&plan, &status) ||
	    (plan.payload && !cmd_payload(verb, plan.payload, &plan.trusts, &status)))
		return status;
	status = cmd_open(&cmd, CMD_LOCK | CMD_STATE | CMD_START, textf("cannot replicate %s", plan.name));
	if (status == STATUS_OK)
		status = check_name(cmd, plan.name);
	if (status == STATUS_OK)
		status = wait_known(cmd, plan.name, &known);
	if (status == STATUS_OK)
		status = check_limit(cmd, &known);
	plan.wanted_bytes = known.bytes;
	plan.block_bytes = known.block_bytes;
	if (known.log_parts <= ACTLOG_PARTS_MAX)
		plan.actlog_parts = known.log_parts;
	if (status == STATUS_OK)
		status = prepare(cmd, &plan);
	if (status == STATUS_OK)
		status = make_blank(cmd, &plan);
	/* The other replicas are learnt from their greetings: nothing is claimed here about what they hold [D2]. */
	if (status == STATUS_OK && !fill_super(cmd, &plan, known.id))
		status = fail_system(cmd->what, "random numbers of the kernel", EIO);
	if (status == STATUS_OK) {
		plan.super.flags |= ONDISK_SYNCING;
		status = finish(cmd, &plan);
	}
	disk_close(&plan.data);
	disk_close(&plan.meta);
	cmd_close(cmd);
	return status;
}
