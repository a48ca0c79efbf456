/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Disks as the command sees them: opened so that nobody else uses them, their size, and what they hold already.
 */
#ifndef BRAID_USER_DISK_H
#define BRAID_USER_DISK_H

#include "../kernel/core/limits.h"

struct disk {
	int fd;
	const char *path;	/* absolute, as given (a stable link stays one) */
	u64 bytes;
	u32 block_bytes;	/* logical blocks; 512 for a file */
	bool is_block;
};

/* Reading only, no claim: block device or regular file. Returns STATUS_OK or reports for @what. */
int disk_open_read(struct disk *disk, const char *path, const char *what);
/* Claimed for writing. Regular files only with @allow_file. Refuses what is mounted or in use and says by whom. */
int disk_open_claim(struct disk *disk, const char *path, bool allow_file, const char *what);
void disk_close(struct disk *disk);

/* What the disk holds: "ext4 filesystem, label web", "gpt partition table", "braid metadata of volume web"; NULL: nothing
 * known. *@failed: it could not be read. */
const char *disk_signature(const struct disk *disk, bool *failed);

/* Whole range or false with errno. */
bool disk_read(const struct disk *disk, u64 offset_bytes, void *buffer, size_t length_bytes);
bool disk_write(const struct disk *disk, u64 offset_bytes, const void *buffer, size_t length_bytes);
bool disk_flush(const struct disk *disk);

#endif
