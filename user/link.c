// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/braid/NAME, the stable name of a volume: a link to /dev/braidN. Made here and not only by udev, so that systems and
 * network namespaces without udev work.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

/* A minor number is used again: what an earlier volume left behind would lead to the one that has it now. */
static void remove_others(const char *name, const char *target)
{
	char found[128];
	struct dirent *entry;
	DIR *dir = opendir(directory());
	ssize_t length;

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || !strcmp(entry->d_name, name))
			continue;
		length = readlinkat(dirfd(dir), entry->d_name, found, sizeof(found) - 1);
		if (length <= 0)
			continue;
		found[length] = '\0';
		if (!strcmp(found, target) && unlinkat(dirfd(dir), entry->d_name, 0))
			warn(link_path(entry->d_name));
	}
	closedir(dir);
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
	remove_others(name, target);
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
