// SPDX-License-Identifier: GPL-2.0
/*
 * meta dump, check, repair: the metadata of a disk without the module. Dump and check only read, work on regular files too
 * and on disks that are up (what they show is in motion then).
 */
#include <errno.h>
#include <stdio.h>
#include "cmd.h"
#include "meta.h"
#include "print.h"

enum { PROBLEMS_MAX = 32 };

static int read_view(struct disk *disk, const char *path, const char *what, struct meta_view *view)
{
	int status = disk_open_read(disk, path, what);

	if (status == STATUS_OK && !meta_read(disk, view))
		status = fail_system(what, textf("disk %s", path), errno);
	return status;
}

static bool never_formatted(const struct meta_view *view)
{
	return view->chosen < 0 && view->copy_error[0] == ONDISK_BAD_MAGIC && view->copy_error[1] == ONDISK_BAD_MAGIC;
}

static int fail_no_metadata(const char *what, const char *path)
{
	return fail(&(struct failure){ .status = STATUS_NOT_FOUND, .code = "no-metadata", .what = what,
		    .object = textf("disk %s", path), .cause = "neither superblock copy is there",
		    .remedy = "check that this is the right disk; with separate metadata, name the metadata disk" });
}

int cmd_meta_dump(const struct verb *verb, int argc, char **argv)
{
	static struct meta_view view;
	bool json = false;
	const struct option_spec specs[] = { { .name = "json", .help = "machine-readable", .flag = &json }, { 0 } };
	struct operands operands;
	struct disk disk;
	const char *what;
	int status;

	if (!args_parse(verb, argc, argv, specs, 1, 1, &operands, &status))
		return status;
	what = textf("cannot dump the metadata of %s", operands.word[0]);
	status = read_view(&disk, operands.word[0], what, &view);
	if (status == STATUS_OK && never_formatted(&view))
		status = fail_no_metadata(what, operands.word[0]);
	else if (status == STATUS_OK)
		print_meta(&disk, &view, json);
	disk_close(&disk);
	return status;
}

static int report_problems(const char *what, const struct disk *disk, const struct meta_view *view)
{
	const char *problems[PROBLEMS_MAX];
	const char *text = NULL;
	u32 nr = meta_problems(view, problems, PROBLEMS_MAX);
	u32 i;

	if (!nr)
		return STATUS_OK;
	for (i = 0; i < nr; i++)
		text = i ? textf("%s; %s", text, problems[i]) : problems[0];
	return fail(&(struct failure){ .status = STATUS_REFUSED, .code = "bad-metadata", .what = what,
		    .object = textf("disk %s", disk->path), .cause = text,
		    .remedy = meta_repair_refusal(view) ? "keep the disk as it is; a damaged log or map costs a longer resync only, "
		    "without a superblock this replica is made anew from another node" :
		    textf("braid meta repair %s restores the damaged superblock copy from the good one", disk->path) });
}

int cmd_meta_check(const struct verb *verb, int argc, char **argv)
{
	static struct meta_view view;
	bool json = false;
	const struct option_spec specs[] = { { .name = "json", .help = "machine-readable", .flag = &json }, { 0 } };
	struct operands operands;
	struct disk disk;
	const char *what;
	int status;

	if (!args_parse(verb, argc, argv, specs, 1, 1, &operands, &status))
		return status;
	what = textf("the metadata of %s is not whole", operands.word[0]);
	status = read_view(&disk, operands.word[0], textf("cannot check the metadata of %s", operands.word[0]), &view);
	if (status == STATUS_OK && never_formatted(&view)) {
		status = fail_no_metadata(what, operands.word[0]);
	} else if (status == STATUS_OK) {
		if (json)
			print_meta(&disk, &view, true);
		status = report_problems(what, &disk, &view);
		if (status == STATUS_OK && !json)
			printf("%s: volume %s, metadata whole\n", disk.path, view.super.name);
	}
	disk_close(&disk);
	return status;
}

int cmd_meta_repair(const struct verb *verb, int argc, char **argv)
{
	static struct meta_view view;
	const struct option_spec specs[] = { { 0 } };
	struct operands operands;
	const char *what, *refusal;
	struct disk disk;
	int status;

	if (!args_parse(verb, argc, argv, specs, 1, 1, &operands, &status))
		return status;
	what = textf("cannot repair the metadata of %s", operands.word[0]);
	status = disk_open_claim(&disk, operands.word[0], true, what);
	if (status == STATUS_OK && !meta_read(&disk, &view))
		status = fail_system(what, textf("disk %s", disk.path), errno);
	if (status != STATUS_OK)
		goto out;
	refusal = meta_repair_refusal(&view);
	if (refusal)
		status = fail(&(struct failure){ .status = STATUS_REFUSED, .code = "nothing-to-repair", .what = what,
			      .object = textf("disk %s", disk.path), .cause = refusal,
			      .remedy = textf("'braid meta check %s' shows the state of everything", disk.path) });
	else if (!meta_repair(&disk, &view))
		status = fail_system(what, textf("disk %s", disk.path), errno);
	else
		printf("%s: superblock copy %u rewritten from copy %d\n", disk.path, !view.chosen, view.chosen);
out:
	disk_close(&disk);
	return status;
}
