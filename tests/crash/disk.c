// SPDX-License-Identifier: GPL-2.0
/*
 * The content of one node's disk at every position of its log: what is durable, and samples of what else a crash may leave.
 *
 * Writes with FUA are durable where they stand, plain ones at their flush. A plain write may have reached the disk before a
 * FUA write that stands before it in the log. Of such two to one sector the writer's stamps say which came later: braid has
 * writes that overlap wait for each other [W1].
 */
#include <stdio.h>
#include <stdlib.h>

#include "crash.h"

u64 crash_random(u64 *random, u64 below)
{
	u64 value = *random += 0x9e3779b97f4a7c15ull;

	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ull;
	value = (value ^ value >> 27) * 0x94d049bb133111ebull;
	return (value ^ value >> 31) % below;
}

u64 disk_value(u64 sector, const u8 *bytes)
{
	const struct crash_sector *stamped = (const void *)bytes;
	u64 hash = 0xcbf29ce484222325ull, any = 0, rest = 0;
	u32 i;

	for (i = 0; i < CRASH_SECTOR_BYTES; i += 8) {
		u64 word = core_get_le64(bytes + i);

		any |= word;
		rest |= i >= 24 ? word : 0;
		hash = (hash ^ word) * 0x100000001b3ull;
		hash ^= hash >> 29;
	}
	if (!any)
		return 0;
	if (stamped->magic == CRASH_MAGIC && stamped->sector == sector && !rest && !(stamped->stamp & VALUE_OTHER))
		return stamped->stamp;
	return hash | VALUE_OTHER;
}

void disk_init(struct disk *disk, const struct dmlog *log)
{
	memset(disk, 0, sizeof(*disk));
	disk->log = log;
	disk->head = calloc(log->head_sectors, CRASH_SECTOR_BYTES);
	disk->value = calloc(log->data_sectors, sizeof(*disk->value));
	disk->fua_at = calloc(log->data_sectors, sizeof(*disk->fua_at));
	disk->max_undo = 1 << 12;
	disk->undo = calloc(disk->max_undo, sizeof(*disk->undo));
	if (!disk->head || !disk->value || !disk->fua_at || !disk->undo)
		exit(2);
}

void disk_free(struct disk *disk)
{
	free(disk->head);
	free(disk->value);
	free(disk->fua_at);
	free(disk->undo);
}

static void note(struct disk *disk, u64 sector)
{
	struct undo *undo;

	if (!disk->recording)
		return;
	if (disk->nr_undo == disk->max_undo) {
		disk->max_undo *= 2;
		disk->undo = realloc(disk->undo, disk->max_undo * sizeof(*disk->undo));
		if (!disk->undo)
			exit(2);
	}
	undo = &disk->undo[disk->nr_undo++];
	undo->sector = sector;
	if (sector < disk->log->head_sectors) {
		memcpy(undo->bytes, disk->head + sector * CRASH_SECTOR_BYTES, CRASH_SECTOR_BYTES);
	} else {
		undo->value = disk->value[sector - disk->log->head_sectors];
		undo->fua_at = disk->fua_at[sector - disk->log->head_sectors];
	}
}

void disk_restore(struct disk *disk)
{
	u32 head_sectors = disk->log->head_sectors;

	while (disk->nr_undo) {
		const struct undo *undo = &disk->undo[--disk->nr_undo];

		if (undo->sector < head_sectors) {
			memcpy(disk->head + undo->sector * CRASH_SECTOR_BYTES, undo->bytes, CRASH_SECTOR_BYTES);
			disk->meta_serial++;
		} else {
			disk->value[undo->sector - head_sectors] = undo->value;
			disk->fua_at[undo->sector - head_sectors] = undo->fua_at;
		}
	}
	disk->recording = false;
}

/* The position of the flush before @at, or 0. */
static u32 flush_before(const struct dmlog *log, u32 at)
{
	while (at && !(log->entry[at - 1].flags & DMLOG_FLUSH))
		at--;
	return at ? at - 1 : 0;
}

/* Was the sector written by a FUA write that ended after this plain one, and stands before it? @window: window_of(). */
static bool overtaken(const struct disk *disk, u64 sector, u64 value, u32 window)
{
	u64 there = disk->value[sector];

	return disk->fua_at[sector] > window && value && there && !((value | there) & VALUE_OTHER) && there > value;
}

static void write_sector(struct disk *disk, const struct entry *entry, u64 i, u32 fua_at, u32 window)
{
	u64 sector = entry->sector + i, at;

	if (sector < disk->log->head_sectors) {
		note(disk, sector);
		if (entry->bytes)
			memcpy(disk->head + sector * CRASH_SECTOR_BYTES, entry->bytes + i * CRASH_SECTOR_BYTES,
			       CRASH_SECTOR_BYTES);
		else
			memset(disk->head + sector * CRASH_SECTOR_BYTES, 0, CRASH_SECTOR_BYTES);
		disk->meta_serial++;
		return;
	}
	at = sector - disk->log->head_sectors;
	if (at >= disk->log->data_sectors)
		return;		/* the disk is a little larger than the volume */
	if (!fua_at && overtaken(disk, at, entry->value[i], window))
		return;
	note(disk, sector);
	disk->value[at] = entry->value[i];
	disk->fua_at[at] = fua_at;
}

/*
 * A plain write that stands in the batch of one flush ended after the flush before it was submitted. FUA writes since
 * then may have ended earlier or later than it; that flush itself may have been under way during the one before.
 */
static u32 window_of(const struct dmlog *log, u32 at)
{
	return flush_before(log, flush_before(log, at));
}

static u32 batch_first(const struct dmlog *log, u32 flush)
{
	while (flush && dmlog_is_plain(&log->entry[flush - 1]))
		flush--;
	return flush;
}

static bool is_batch_end(const struct dmlog *log, u32 at)
{
	return (log->entry[at].flags & DMLOG_FLUSH) && at && dmlog_is_plain(&log->entry[at - 1]);
}

static bool settle_batch(struct disk *disk, u32 flush)
{
	u32 first = batch_first(disk->log, flush), window = window_of(disk->log, first), at;
	u64 i;

	for (at = first; at < flush; at++)
		for (i = 0; i < disk->log->entry[at].nr_sectors; i++)
			write_sector(disk, &disk->log->entry[at], i, 0, window);
	return true;
}

bool disk_advance(struct disk *disk)
{
	u32 at = disk->position++;
	const struct entry *entry = &disk->log->entry[at];
	u64 i;

	if (is_batch_end(disk->log, at))
		return settle_batch(disk, at);
	if (!dmlog_is_write(entry) || dmlog_is_plain(entry))
		return false;
	for (i = 0; i < entry->nr_sectors; i++)
		write_sector(disk, entry, i, at + 1, 0);
	return true;
}

/* ---- samples ---- */

enum { CANDIDATES_MAX = 256 };

/* Plain writes that may be on the disk at this position, the newest CANDIDATES_MAX, in their order. */
static u32 candidates(const struct disk *disk, const struct entry **list)
{
	const struct dmlog *log = disk->log;
	u32 at, nr = 0;

	/* No further than the second flush from here: a batch is acknowledged at most one flush before it is flushed. */
	for (at = disk->position < 1 ? 0 : batch_first(log, disk->position); at < log->nr && nr < CANDIDATES_MAX; at++) {
		const struct entry *entry = &log->entry[at];

		if (dmlog_is_plain(entry) && entry->from <= disk->position && disk->position < entry->flushed_at)
			list[nr++] = entry;
		else if ((entry->flags & DMLOG_FLUSH) && at > disk->position + CANDIDATES_MAX)
			break;
	}
	return nr;
}

static const struct entry *write_under_way(const struct disk *disk)
{
	const struct entry *next = disk->position < disk->log->nr ? &disk->log->entry[disk->position] : NULL;

	return next && dmlog_is_write(next) && !dmlog_is_plain(next) ? next : NULL;
}

bool disk_unsettled(const struct disk *disk)
{
	const struct entry *list[CANDIDATES_MAX];

	return write_under_way(disk) || candidates(disk, list);
}

/* All, none or some sectors of it. True unless all or none. */
static bool sample_write(struct disk *disk, const struct entry *entry, u64 *random, u32 window)
{
	u64 kind = crash_random(random, 4), i;
	u32 fua_at = dmlog_is_plain(entry) ? 0 : disk->position + 1;

	for (i = 0; i < entry->nr_sectors; i++)
		if (kind == 1 || (kind > 1 && crash_random(random, 2)))
			write_sector(disk, entry, i, fua_at, window);
	return kind > 1;
}

void disk_sample(struct disk *disk, u64 *random, bool *torn_meta)
{
	const struct entry *list[CANDIDATES_MAX], *next = write_under_way(disk);
	u32 nr = candidates(disk, list), window = window_of(disk->log, disk->position), i;

	disk->recording = true;
	*torn_meta = false;
	for (i = 0; i < nr; i++)
		*torn_meta |= sample_write(disk, list[i], random, window) && list[i]->place != PLACE_DATA;
	if (next)
		*torn_meta |= sample_write(disk, next, random, window) && next->place != PLACE_DATA;
}
