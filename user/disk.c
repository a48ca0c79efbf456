// SPDX-License-Identifier: GPL-2.0
/*
 * Disks: claim, size, signatures. Nothing is written to a disk that was not claimed (O_EXCL) first.
 */
#define _GNU_SOURCE
#include <blkid/blkid.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "../kernel/core/ondisk.h"
#include "disk.h"
#include "fail.h"
#include "text.h"

static const char *absolute(const char *path)
{
	char *here;

	if (path[0] == '/')
		return path;
	here = getcwd(NULL, 0);
	return here ? textf("%s/%s", here, path) : path;
}

static const char *mounted_on(dev_t device)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "r");
	char *line = NULL;
	const char *found = NULL;
	size_t size = 0;

	while (mounts && !found && getline(&line, &size, mounts) > 0) {
		unsigned int number_major, number_minor;
		char target[4096];

		if (sscanf(line, "%*u %*u %u:%u %*s %4095s", &number_major, &number_minor, target) == 3 &&
		    number_major == major(device) && number_minor == minor(device))
			found = text_copy(target);
	}
	free(line);
	if (mounts)
		fclose(mounts);
	return found;
}

static const char *held_by(dev_t device)
{
	DIR *holders = opendir(textf("/sys/dev/block/%u:%u/holders", major(device), minor(device)));
	const char *names = NULL;
	struct dirent *entry;

	while (holders && (entry = readdir(holders)))
		if (entry->d_name[0] != '.')
			names = text_join(names, entry->d_name);
	if (holders)
		closedir(holders);
	return names;
}

static int report_busy(const char *path, dev_t device, const char *what)
{
	const char *target = mounted_on(device);
	const char *holders = held_by(device);
	const char *cause = "another program or device uses it (or one of its partitions)";

	if (target)
		cause = textf("it is mounted on %s", target);
	else if (holders)
		cause = textf("it is used by %s", holders);
	return fail(&(struct failure){ .status = STATUS_REFUSED, .code = "in-use", .what = what,
		    .object = textf("disk %s", path), .cause = cause });
}

static int report_open(const char *path, const char *what, int error)
{
	if (error == ENOENT || error == ENXIO || error == ENODEV)
		return fail(&(struct failure){ .status = STATUS_NOT_FOUND, .code = "no-such-disk", .what = what,
			    .object = textf("disk %s", path), .cause = strerror(error) });
	return fail_system(what, textf("disk %s", path), error);
}

static int measure(struct disk *disk, const struct stat *info, const char *what)
{
	int block_bytes = VOLUME_SECTOR_BYTES;

	if (!disk->is_block) {
		disk->bytes = (u64)info->st_size;
		disk->block_bytes = VOLUME_SECTOR_BYTES;
		return STATUS_OK;
	}
	if (ioctl(disk->fd, BLKGETSIZE64, &disk->bytes) || ioctl(disk->fd, BLKSSZGET, &block_bytes)) {
		int error = errno;

		disk_close(disk);
		return fail_system(what, textf("size of disk %s", disk->path), error);
	}
	disk->block_bytes = (u32)block_bytes;
	return STATUS_OK;
}

static int report_kind(const char *path, const char *what)
{
	return fail(&(struct failure){ .status = STATUS_REFUSED, .code = "not-a-block-device", .what = what,
		    .object = textf("disk %s", path), .cause = "it is not a block device" });
}

static int open_disk(struct disk *disk, const char *path, int flags, bool allow_file, const char *what)
{
	struct stat info;

	*disk = (struct disk){ .fd = -1, .path = absolute(path) };
	if (stat(path, &info))
		return report_open(path, what, errno);
	disk->is_block = S_ISBLK(info.st_mode);
	if (!disk->is_block && !(allow_file && S_ISREG(info.st_mode)))
		return report_kind(path, what);
	disk->fd = open(path, flags | O_CLOEXEC | (disk->is_block && flags != O_RDONLY ? O_EXCL : 0));
	if (disk->fd < 0 && errno == EBUSY)
		return report_busy(path, info.st_rdev, what);
	if (disk->fd < 0)
		return report_open(path, what, errno);
	return measure(disk, &info, what);
}

int disk_open_read(struct disk *disk, const char *path, const char *what)
{
	return open_disk(disk, path, O_RDONLY, true, what);
}

int disk_open_claim(struct disk *disk, const char *path, bool allow_file, const char *what)
{
	return open_disk(disk, path, O_RDWR, allow_file, what);
}

void disk_close(struct disk *disk)
{
	if (disk->fd >= 0)
		close(disk->fd);
	disk->fd = -1;
}

bool disk_read(const struct disk *disk, u64 offset_bytes, void *buffer, size_t length_bytes)
{
	u8 *at = buffer;

	while (length_bytes) {
		ssize_t done = pread(disk->fd, at, length_bytes, (off_t)offset_bytes);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			errno = done ? errno : ENODATA;
			return false;
		}
		at += done;
		offset_bytes += (u64)done;
		length_bytes -= (size_t)done;
	}
	return true;
}

bool disk_write(const struct disk *disk, u64 offset_bytes, const void *buffer, size_t length_bytes)
{
	const u8 *at = buffer;

	while (length_bytes) {
		ssize_t done = pwrite(disk->fd, at, length_bytes, (off_t)offset_bytes);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return false;
		at += done;
		offset_bytes += (u64)done;
		length_bytes -= (size_t)done;
	}
	return true;
}

bool disk_flush(const struct disk *disk)
{
	return !fsync(disk->fd);
}

/* Our own metadata, whole or half. */
static const char *own_signature(const struct disk *disk)
{
	u8 block[META_BLOCK_BYTES];
	struct ondisk_super super;
	u32 copy;

	for (copy = 0; copy < 2; copy++) {
		enum ondisk_error error;

		if (!disk_read(disk, ondisk_super_offset(copy), block, sizeof(block)))
			continue;
		error = ondisk_super_decode(block, copy, &super);
		if (error == ONDISK_OK)
			return textf("braid metadata of volume %s", super.name);
		if (error != ONDISK_BAD_MAGIC)
			return textf("braid metadata (%s)", ondisk_error_name(error));
	}
	return NULL;
}

static const char *describe_probe(blkid_probe probe)
{
	const char *type = NULL, *table = NULL, *usage = NULL, *label = NULL;

	blkid_probe_lookup_value(probe, "PTTYPE", &table, NULL);
	blkid_probe_lookup_value(probe, "TYPE", &type, NULL);
	blkid_probe_lookup_value(probe, "USAGE", &usage, NULL);
	blkid_probe_lookup_value(probe, "LABEL", &label, NULL);
	if (!type)
		return textf("%s partition table", table ? table : "unknown");
	return textf("%s %s%s%s", type, usage ? usage : "signature", label ? ", label " : "", label ? label : "");
}

const char *disk_signature(const struct disk *disk, bool *failed)
{
	const char *found = own_signature(disk);
	blkid_probe probe;
	int result = -1;

	*failed = false;
	probe = blkid_new_probe();
	if (probe && !blkid_probe_set_device(probe, disk->fd, 0, 0)) {
		blkid_probe_enable_superblocks(probe, 1);
		blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE | BLKID_SUBLKS_LABEL |
						  BLKID_SUBLKS_BADCSUM);
		blkid_probe_enable_partitions(probe, 1);
		while (!(result = blkid_do_probe(probe)))
			found = text_join(found, describe_probe(probe));
	}
	*failed = result < 0 && !found;
	if (probe)
		blkid_free_probe(probe);
	return found;
}
