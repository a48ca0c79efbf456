// SPDX-License-Identifier: GPL-2.0
/*
 * Damage on purpose: what the log of a braid with a bug would look like. The self-test wants each of them found.
 */
#include <stdio.h>
#include <stdlib.h>

#include "crash.h"

enum { EARLY_ENTRIES = 24 };

struct mutation {
	const char *kind, *what;
	bool second_only;
	void (*apply)(struct dmlog *log);
};

static void drop(struct dmlog *log, u32 at)
{
	memmove(&log->entry[at], &log->entry[at + 1], (log->nr - at - 1) * sizeof(*log->entry));
	log->nr--;
}

static void move(struct dmlog *log, u32 from, u32 to)
{
	struct entry entry = log->entry[from];

	if (to > from)
		memmove(&log->entry[from], &log->entry[from + 1], (to - from) * sizeof(entry));
	else
		memmove(&log->entry[to + 1], &log->entry[to], (from - to) * sizeof(entry));
	log->entry[to] = entry;
}

/* Drop each write of @place after the first @keep. */
static void drop_after(struct dmlog *log, enum place place, u32 keep)
{
	u32 at, seen = 0;

	for (at = 0; at < log->nr;)
		if (log->entry[at].place == place && (log->entry[at].flags & DMLOG_FUA) && seen++ >= keep)
			drop(log, at);
		else
			at++;
}

static void drop_log(struct dmlog *log) { drop_after(log, PLACE_LOG, 1); }
static void drop_super(struct dmlog *log) { drop_after(log, PLACE_SUPER, 2); }

/* Pages and the index: bits never reach the disk. */
static void drop_maps(struct dmlog *log)
{
	drop_after(log, PLACE_PAGE, 0);
	drop_after(log, PLACE_INDEX, 0);
}

/* Only the first version of each page is there: bits that came later are not. */
static void drop_page(struct dmlog *log) { drop_after(log, PLACE_PAGE, 1); }

/* Every twentieth data write is lost. */
static void drop_data(struct dmlog *log)
{
	u32 at, seen = 0;

	for (at = 0; at < log->nr;)
		if (log->entry[at].place == PLACE_DATA && seen++ % 20 == 19)
			drop(log, at);
		else
			at++;
}

static u32 next_of(const struct dmlog *log, u32 at, bool (*wanted)(const struct entry *entry))
{
	while (at < log->nr && !wanted(&log->entry[at]))
		at++;
	return at;
}

static bool is_fua_data(const struct entry *entry)
{
	return entry->place == PLACE_DATA && (entry->flags & DMLOG_FUA);
}

static bool is_log_or_super(const struct entry *entry)
{
	return entry->place == PLACE_LOG || entry->place == PLACE_SUPER;
}

static bool is_log(const struct entry *entry)
{
	return entry->place == PLACE_LOG;
}

static bool is_super(const struct entry *entry)
{
	return entry->place == PLACE_SUPER;
}

/* Each write that is @wanted is made after the next one that is @other, not before it. */
static void late(struct dmlog *log, bool (*wanted)(const struct entry *entry), bool (*other)(const struct entry *entry))
{
	u32 at, to;

	for (at = log->nr; at-- > 0;) {
		if (!wanted(&log->entry[at]))
			continue;
		to = next_of(log, at + 1, other);
		if (to < log->nr)
			move(log, at, to);
	}
}

static bool is_map(const struct entry *entry)
{
	return entry->place == PLACE_INDEX || entry->place == PLACE_PAGE;
}

static bool is_flush(const struct entry *entry)
{
	return entry->flags & DMLOG_FLUSH;
}

static void late_log(struct dmlog *log) { late(log, is_log, is_fua_data); }
static void late_maps(struct dmlog *log) { late(log, is_map, is_log_or_super); }

/* Regions leave the log before the flush: each log write from which some are gone stands some entries earlier. */
static void early_evict(struct dmlog *log)
{
	u64 before = 0;
	u32 at;

	for (at = 0; at < log->nr; at++) {
		u64 now;

		if (!is_log(&log->entry[at]))
			continue;
		now = replica_log_regions(log, &log->entry[at]);
		if (before & ~now && at > EARLY_ENTRIES)
			move(log, at, at - EARLY_ENTRIES);
		before = now;
	}
}

/* Flushes are answered and not done: what a batch held becomes durable with the next one. */
static void no_flush(struct dmlog *log)
{
	u32 at, seen = 0;

	for (at = 0; at < log->nr;)
		if (is_flush(&log->entry[at]) && !log->entry[at].nr_sectors && seen++ % 2)
			drop(log, at);
		else
			at++;
}

/* From the eighth superblock write on each puts what was written six earlier, that is to the same copy. */
static void old_super(struct dmlog *log)
{
	const u8 *past[6] = { NULL };
	u32 at, seen = 0;

	for (at = 0; at < log->nr; at++) {
		const u8 *now = log->entry[at].bytes;

		if (!is_super(&log->entry[at]) || !(log->entry[at].flags & DMLOG_FUA))
			continue;
		if (seen++ >= 8)
			log->entry[at].bytes = past[0];
		memmove(past, past + 1, 5 * sizeof(*past));
		past[5] = now;
	}
}

/* The written mark stands in the first log block of a generation only. */
static void drop_mark(struct dmlog *log)
{
	u64 last = 0;
	u32 at;

	for (at = 0; at < log->nr; at++) {
		struct entry *entry = &log->entry[at];
		u64 sequence, written_id;
		u32 regions[ACTLOG_PART_REGIONS];
		struct ondisk_header header = {
			.volume_id = log->super.volume_id, .replica_id = log->super.replica_id,
			.location = entry->sector * CRASH_SECTOR_BYTES, .kind = ONDISK_ACTLOG,
		};
		u8 *block;

		if (!is_log(entry) || !entry->bytes ||
		    ondisk_actlog_decode(&header, entry->bytes, &sequence, &written_id, regions) != ONDISK_OK)
			continue;
		if (written_id != last) {
			last = written_id;
			continue;
		}
		block = malloc(META_BLOCK_BYTES);
		if (!block)
			exit(2);
		header.sequence = sequence;
		ondisk_actlog_encode(&header, 0, regions, block);
		entry->bytes = block;
	}
}

static const struct mutation mutations[] = {
	{ "drop-log", "the activity log never reaches the disk [W3]", false, drop_log },
	{ "late-log", "data before the log that names its region [W3]", false, late_log },
	{ "early-evict", "regions leave the log before the flush [W6]", false, early_evict },
	{ "no-flush", "flushes are answered and not done [W5]", false, no_flush },
	{ "drop-maps", "dirty bits never reach the disk [D1]", false, drop_maps },
	{ "drop-page", "later bits of a page never reach the disk [D1]", false, drop_page },
	{ "late-maps", "superblock and log before the bits that they rely on [D1] [M]", false, late_maps },
	{ "drop-super", "records never reach the disk [G3]", false, drop_super },
	{ "old-super", "an older superblock is written again [I17]", false, old_super },
	{ "drop-mark", "the written mark is not in every log block [G2]", false, drop_mark },
	{ "drop-data", "writes of the second node get lost [I1]", true, drop_data },
};

bool mutate(struct dmlog *log, const char *kind, bool is_second)
{
	u32 i;

	for (i = 0; i < CORE_ARRAY_SIZE(mutations); i++) {
		if (strcmp(mutations[i].kind, kind))
			continue;
		if (is_second || !mutations[i].second_only)
			mutations[i].apply(log);
		dmlog_link(log);
		return true;
	}
	return false;
}

void mutate_list(void)
{
	u32 i;

	for (i = 0; i < CORE_ARRAY_SIZE(mutations); i++)
		printf("%-12s %s\n", mutations[i].kind, mutations[i].what);
}
