// SPDX-License-Identifier: GPL-2.0
/*
 * The log of a dm-log-writes device: superblock {magic, version, entries, sector size}, then for each entry one sector
 * {sector, sectors, flags, bytes of inline data} and what was written.
 *
 * When an entry is there: writes with FUA and marks as soon as they ended. Other writes are held back and come, together and
 * in the order in which they ended, right before the flush that made them durable, if they had ended when it was submitted.
 * So where a plain write stands says when it became durable, not when it was made.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crash.h"

#define LOG_MAGIC 0x6a736677736872ull

enum { LOG_VERSION = 1, ENTRY_BYTES = 32 };

static void __attribute__((noreturn)) bad(const struct dmlog *log, const char *what, u64 at)
{
	fprintf(stderr, "replay: log of %s: %s (entry %llu)\n", log->name, what, (unsigned long long)at);
	exit(2);
}

static const u8 *map_file(const struct dmlog *log, const char *path, u64 *length_bytes)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	void *bytes;

	if (file < 0 || fstat(file, &status))
		bad(log, "cannot be opened", 0);
	*length_bytes = (u64)status.st_size;
	bytes = mmap(NULL, *length_bytes, PROT_READ, MAP_PRIVATE, file, 0);
	close(file);
	if (bytes == MAP_FAILED)
		bad(log, "cannot be read", 0);
	return bytes;
}

static void read_entries(struct dmlog *log, const u8 *bytes, u64 length_bytes)
{
	u64 nr = core_get_le64(bytes + 16), at = CRASH_SECTOR_BYTES, i;

	log->max = (u32)nr + 1;
	log->entry = calloc(log->max, sizeof(*log->entry));
	for (i = 0; i < nr; i++) {
		struct entry *entry = &log->entry[i];
		const u8 *head = bytes + at;
		u64 data_len;

		if (at + CRASH_SECTOR_BYTES > length_bytes)
			bad(log, "ends too early", i);
		entry->sector = core_get_le64(head);
		entry->nr_sectors = core_get_le64(head + 8);
		entry->flags = core_get_le32(head + 16) & (DMLOG_FLUSH | DMLOG_FUA | DMLOG_DISCARD | DMLOG_MARK);
		data_len = core_get_le64(head + 24);
		at += CRASH_SECTOR_BYTES;
		if (entry->flags & DMLOG_MARK) {
			if (data_len > CRASH_SECTOR_BYTES - ENTRY_BYTES)
				bad(log, "has a mark that is too long", i);
			entry->mark = strndup((const char *)head + ENTRY_BYTES, data_len);
			entry->nr_sectors = 0;
		} else if (entry->nr_sectors && !(entry->flags & DMLOG_DISCARD)) {
			if (data_len || (entry->flags & DMLOG_FLUSH))
				bad(log, "has an entry of a kind that braid does not make", i);
			entry->bytes = bytes + at;
			at += entry->nr_sectors * CRASH_SECTOR_BYTES;
			if (at > length_bytes)
				bad(log, "ends too early", i);
		}
	}
	log->nr = (u32)nr;
}

/* Any superblock that was ever written whole: sizes and ids stay as they are. */
static void find_super(struct dmlog *log)
{
	u32 i, copy;

	for (i = 0; i < log->nr; i++) {
		const struct entry *entry = &log->entry[i];

		for (copy = 0; copy < 2 && entry->bytes; copy++) {
			u64 sector = ondisk_super_offset(copy) / CRASH_SECTOR_BYTES;

			if (entry->sector > sector || entry->sector + entry->nr_sectors < sector + CRASH_BLOCK_SECTORS)
				continue;
			if (ondisk_super_decode(entry->bytes + (sector - entry->sector) * CRASH_SECTOR_BYTES, copy,
						&log->super) != ONDISK_OK)
				continue;
			if (!ondisk_layout(log->super.volume_bytes, log->super.granule_bytes, &log->layout) ||
			    log->super.data_offset_bytes > HEAD_BYTES_MAX || !log->super.data_offset_bytes ||
			    log->super.volume_bytes > (u64)REGIONS_MAX * ACTLOG_REGION_BYTES)
				bad(log, "is of a volume that is too large, or has separate metadata", i);
			log->head_sectors = (u32)(log->super.data_offset_bytes / CRASH_SECTOR_BYTES);
			log->data_sectors = log->super.volume_bytes / CRASH_SECTOR_BYTES;
			return;
		}
	}
	bad(log, "has no superblock: nothing was formatted", log->nr);
}

static void find_values(struct dmlog *log)
{
	u32 i;
	u64 s;

	for (i = 0; i < log->nr; i++) {
		struct entry *entry = &log->entry[i];

		if (!dmlog_is_write(entry) || entry->sector + entry->nr_sectors <= log->head_sectors)
			continue;
		entry->value = calloc(entry->nr_sectors, sizeof(*entry->value));
		for (s = 0; s < entry->nr_sectors && entry->bytes; s++)
			if (entry->sector + s >= log->head_sectors)
				entry->value[s] = disk_value(entry->sector + s - log->head_sectors,
							     entry->bytes + s * CRASH_SECTOR_BYTES);
	}
}

static enum place place_of(const struct dmlog *log, const struct entry *entry)
{
	u64 at = entry->sector * CRASH_SECTOR_BYTES;

	if (!dmlog_is_write(entry))
		return PLACE_NONE;
	if (entry->sector + entry->nr_sectors > log->head_sectors)
		return PLACE_DATA;
	if (at < log->layout.actlog_offset)
		return PLACE_SUPER;
	if (at < log->layout.index_offset)
		return PLACE_LOG;
	return at < log->layout.page_offset ? PLACE_INDEX : PLACE_PAGE;
}

void dmlog_link(struct dmlog *log)
{
	u32 i, batch, flush;

	for (i = 0; i < log->nr; i++)
		log->entry[i].place = place_of(log, &log->entry[i]);
	for (i = 0; i < log->nr; i = flush) {
		flush = i + 1;
		if (!dmlog_is_plain(&log->entry[i]))
			continue;
		while (flush < log->nr && dmlog_is_plain(&log->entry[flush]))
			flush++;
		for (batch = i; batch < flush; batch++) {
			log->entry[batch].from = i + 1;
			/* What was never flushed comes at the very end, when the device is removed. */
			log->entry[batch].flushed_at = flush < log->nr && (log->entry[flush].flags & DMLOG_FLUSH) ?
						       flush + 1 : log->nr + 1;
		}
	}
}

void dmlog_read(struct dmlog *log, const char *path, const char *name)
{
	u64 length_bytes;
	const u8 *bytes;

	memset(log, 0, sizeof(*log));
	log->name = name;
	bytes = map_file(log, path, &length_bytes);
	if (length_bytes < CRASH_SECTOR_BYTES || core_get_le64(bytes) != LOG_MAGIC ||
	    core_get_le64(bytes + 8) != LOG_VERSION || core_get_le32(bytes + 24) != CRASH_SECTOR_BYTES)
		bad(log, "is not a log of dm-log-writes with sectors of 512 bytes", 0);
	read_entries(log, bytes, length_bytes);
	find_super(log);
	find_values(log);
	dmlog_link(log);
}
