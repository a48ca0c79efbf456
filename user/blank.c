// SPDX-License-Identifier: GPL-2.0
/*
 * Zeroes: making them, in pieces of about a quarter of a second, and looking for what is none.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "blank.h"
#include "cmd.h"

enum {
	PIECE_FIRST_BYTES = 16 << 20,
	SAMPLES = 1024,
	SAMPLE_BYTES = 4096,
	EDGE_BYTES = 1 << 20,
};

static const u64 PIECE_BYTES_MAX = 64ull << 30;
static const u64 PIECE_TARGET_NS = 250000000;
static const u64 SHOW_EACH_NS = 1000000000, SHOW_EACH_NS_IN_LOGS = 30000000000;

/* ---- making them ---- */

/*
 * First in the way that gives space back, of thin volumes and flash; it does so only where the disk promises to return zeroes then. Else
 * zeroes are written.
 */
static int make_piece(const struct disk *disk, u64 offset_bytes, u64 length_bytes, bool *punch)
{
	u64 range[2] = { offset_bytes, length_bytes };

	if (*punch && !fallocate(disk->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset_bytes, (off_t)length_bytes))
		return 0;
	*punch = false;
	return ioctl(disk->fd, BLKZEROOUT, range);
}

static void show(u64 done_bytes, u64 length_bytes, u64 elapsed_ns, bool terminal)
{
	u64 left_s = (u64)((double)elapsed_ns / 1e9 * (double)(length_bytes - done_bytes) / (double)done_bytes);

	fprintf(stderr, "%szeroes: %s of %s, %llu %%, %llu:%02llu:%02llu left%s", terminal ? "\r" : "", text_size(done_bytes),
		text_size(length_bytes), (unsigned long long)((double)done_bytes * 100 / (double)length_bytes),
		(unsigned long long)left_s / 3600, (unsigned long long)left_s / 60 % 60, (unsigned long long)left_s % 60,
		terminal ? "  " : "\n");
	fflush(stderr);
}

int blank_make(const struct disk *disk, u64 offset_bytes, u64 length_bytes, const char *what)
{
	const u64 start_ns = cmd_now_ns();
	u64 done_bytes = 0, piece_bytes = PIECE_FIRST_BYTES, shown_ns = start_ns;
	bool terminal = isatty(STDERR_FILENO), punch = true, any = false;

	while (done_bytes < length_bytes) {
		u64 began_ns = cmd_now_ns(), took_ns, now_ns;
		u64 length = length_bytes - done_bytes < piece_bytes ? length_bytes - done_bytes : piece_bytes;

		if (make_piece(disk, offset_bytes + done_bytes, length, &punch))
			return fail_system(what, textf("zeroes on disk %s", disk->path), errno);
		done_bytes += length;
		now_ns = cmd_now_ns();
		took_ns = now_ns - began_ns;
		if (took_ns < PIECE_TARGET_NS / 2 && piece_bytes < PIECE_BYTES_MAX)
			piece_bytes *= 2;
		else if (took_ns > PIECE_TARGET_NS * 2 && piece_bytes > PIECE_FIRST_BYTES / 16)
			piece_bytes /= 2;
		if (now_ns - shown_ns < (terminal ? SHOW_EACH_NS : SHOW_EACH_NS_IN_LOGS))
			continue;
		show(done_bytes, length_bytes, now_ns - start_ns, terminal);
		shown_ns = now_ns;
		any = true;
	}
	if (any && terminal)
		fputc('\n', stderr);
	return disk_flush(disk) ? STATUS_OK : fail_system(what, textf("flush of disk %s", disk->path), errno);
}

/* ---- looking ---- */

/* *@at_bytes is where the first byte is that is not zero. False: the disk could not be read. */
static bool find_content(const struct disk *disk, u64 offset_bytes, size_t length_bytes, bool *found, u64 *at_bytes)
{
	static u8 buffer[EDGE_BYTES];
	size_t i;

	if (!disk_read(disk, offset_bytes, buffer, length_bytes))
		return false;
	for (i = 0; i < length_bytes && !buffer[i]; i++)
		;
	*found = i < length_bytes;
	*at_bytes = offset_bytes + i;
	return true;
}

static int report_content(const struct disk *disk, u64 at_bytes, const char *what)
{
	return fail(&(struct failure){ .status = STATUS_REFUSED, .code = "not-blank", .what = what,
		    .object = textf("disk %s", disk->path),
		    .cause = textf("it does not read as zeroes: there is something else at byte %llu", (unsigned long long)at_bytes) });
}

/* The @number-th of @nr places that are spread over the area, at random within its share. */
static u64 place(u64 length_bytes, u32 number, u32 nr)
{
	u64 share = length_bytes / SAMPLE_BYTES / nr, within = 0;

	cmd_random(&within, sizeof(within));
	return (number * share + within % share) * SAMPLE_BYTES;
}

int blank_check(const struct disk *disk, u64 offset_bytes, u64 length_bytes, const char *what)
{
	u64 edge_bytes = length_bytes < EDGE_BYTES ? length_bytes : EDGE_BYTES, at_bytes;
	u32 nr = length_bytes / SAMPLE_BYTES < SAMPLES ? (u32)(length_bytes / SAMPLE_BYTES) : SAMPLES, i;
	bool found = false, readable;

	posix_fadvise(disk->fd, 0, 0, POSIX_FADV_RANDOM);	/* else each sample is read with what is around it */
	readable = find_content(disk, offset_bytes, edge_bytes, &found, &at_bytes);
	for (i = 0; i < nr && readable && !found; i++)
		readable = find_content(disk, offset_bytes + place(length_bytes, i, nr), SAMPLE_BYTES, &found, &at_bytes);
	if (readable && !found)
		readable = find_content(disk, offset_bytes + length_bytes - edge_bytes, edge_bytes, &found, &at_bytes);
	if (!readable)
		return fail_system(what, textf("disk %s", disk->path), errno);
	return found ? report_content(disk, at_bytes, what) : STATUS_OK;
}
