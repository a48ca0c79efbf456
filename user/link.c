// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/braid/NAME, the stable name of a volume: a link to /dev/braidN. Made here and not only by udev, so that systems and
 * network namespaces without udev work.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "cmd.h"

static const char *directory(void)
{
	const char *environment = getenv("BRAID_DEV_DIR");

	return environment && *environment ? environment : "/dev/braid";
}

const char *link_path(const char *name)
{
	return textf("%s/%s", directory(), name);
}

static void warn(const char *path)
{
	fprintf(stderr, "braid: warning: %s: %s\n", path, strerror(errno));
}

/* Without devtmpfs nobody makes the device node. */
static void make_node(const char *device)
{
	const char *path = textf("/dev/%s", device);
	unsigned int number_major, number_minor;
	FILE *numbers;
	int nr;

	if (!access(path, F_OK))
		return;
	numbers = fopen(textf("/sys/block/%s/dev", device), "r");
	if (!numbers)
		return;
	nr = fscanf(numbers, "%u:%u", &number_major, &number_minor);
	fclose(numbers);
	if (nr == 2 && mknod(path, S_IFBLK | 0660, makedev(number_major, number_minor)) && errno != EEXIST)
		warn(path);
}

void link_make(const char *name, const char *device)
{
	const char *path = link_path(name);
	const char *temporary = textf("%s/.%s.new", directory(), name);
	const char *target = textf("/dev/%s", device);

	if (!*device)
		return;
	make_node(device);
	if (mkdir(directory(), 0755) && errno != EEXIST) {
		warn(directory());
		return;
	}
	if (unlink(temporary) && errno != ENOENT) {
		warn(temporary);
		return;
	}
	if (symlink(target, temporary) || rename(temporary, path))
		warn(path);
}

void link_remove(const char *name)
{
	struct stat info;

	if (!lstat(link_path(name), &info) && S_ISLNK(info.st_mode) && unlink(link_path(name)))
		warn(link_path(name));
}
