/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The crash replay in parts: dmlog.c (the recorded log), disk.c (content of one node's disk), judge.c (what braid makes of
 * it), mutate.c (damage on purpose), replay.c (which states, and what must hold in each).
 *
 * Positions are indexes of log entries: the state at position p is what the entries before p left.
 */
#ifndef BRAID_CRASH_H
#define BRAID_CRASH_H

#include "../../kernel/core/volume.h"
#include "format.h"

enum {
	REGIONS_MAX = 64,	/* regions of the volume, so that a set of them is a u64 */
	HEAD_BYTES_MAX = 4 << 20,	/* everything before the data */
	TEXT_MAX = 512,
};

/* ---- dmlog.c: the format is that of the kernel's Documentation/admin-guide/device-mapper/log-writes.rst ---- */

enum dmlog_flags {
	DMLOG_FLUSH = 1 << 0,
	DMLOG_FUA = 1 << 1,
	DMLOG_DISCARD = 1 << 2,
	DMLOG_MARK = 1 << 3,
};

enum place {		/* what part of the disk a write belongs to */
	PLACE_NONE,	/* marks and flushes */
	PLACE_SUPER,
	PLACE_LOG,
	PLACE_INDEX,
	PLACE_PAGE,
	PLACE_DATA,
};

struct entry {
	u64 sector, nr_sectors;
	u32 flags;
	enum place place;
	const u8 *bytes;	/* of a write, else NULL */
	char *mark;		/* of a mark, else NULL */
	u64 *value;		/* PLACE_DATA: see disk.h, one for each sector */
	u32 flushed_at;		/* plain writes: position behind the flush that made it durable, or nr of the log */
	u32 from;		/* plain writes: first position at which it may be on the disk */
};

struct dmlog {
	const char *name;	/* for messages */
	u32 nr, max;
	struct entry *entry;
	struct ondisk_super super;	/* a superblock of this log: what does not change is right */
	struct ondisk_layout layout;
	u32 head_sectors;	/* before the data */
	u64 data_sectors;
};

/* Reads all of @path. Ends the program with a message when it is no log, or one in which nothing was formatted. */
void dmlog_read(struct dmlog *log, const char *path, const char *name);
/* Fills what depends on the order of entries: place, flushed_at, from. Again after entries were moved. */
void dmlog_link(struct dmlog *log);
static inline bool dmlog_is_write(const struct entry *entry)
{
	return entry->nr_sectors && !(entry->flags & DMLOG_MARK);
}
static inline bool dmlog_is_plain(const struct entry *entry)
{
	return dmlog_is_write(entry) && !(entry->flags & (DMLOG_FUA | DMLOG_FLUSH));
}

/* ---- disk.c ---- */

#define VALUE_OTHER (1ull << 63)	/* a value of other content: its hash */

struct undo {
	u64 sector, value;
	u32 fua_at;
	u8 bytes[CRASH_SECTOR_BYTES];
};

/* Content: metadata as bytes, of each data sector one value: 0 zeroes, its stamp, or VALUE_OTHER and a hash. */
struct disk {
	const struct dmlog *log;
	u32 position;		/* entries before it have been looked at */
	u8 *head;
	u64 *value;
	u32 *fua_at;		/* of each data sector: position behind the FUA write that wrote it last, 0 none */
	u64 meta_serial;	/* counts changes of the metadata */
	struct undo *undo;
	u32 nr_undo, max_undo;
	bool recording;		/* changes are noted in @undo */
};

void disk_init(struct disk *disk, const struct dmlog *log);
void disk_free(struct disk *disk);
/* Value of data sector @sector of the volume that holds @bytes. */
u64 disk_value(u64 sector, const u8 *bytes);
/* Go on by one entry: what it makes durable is on the disk. True when that changed anything. */
bool disk_advance(struct disk *disk);
/* Is a write under way, or done and not flushed, at this position? */
bool disk_unsettled(const struct disk *disk);
/*
 * A state that a crash at this position may leave besides the settled one: each unflushed write is there, or not, or in
 * some of its sectors; and some sectors of the write that ends next. disk_restore() takes it back.
 */
void disk_sample(struct disk *disk, u64 *random, bool *torn_meta);
void disk_restore(struct disk *disk);
u64 crash_random(u64 *random, u64 below);

/* ---- judge.c ---- */

enum attach_result {
	ATTACH_OK,
	ATTACH_BLANK,	/* was never formatted: both superblocks are zeroes */
	ATTACH_REFUSED,
};

struct replica {
	enum attach_result result;
	const char *why;		/* of a refusal */
	enum ondisk_error error[2];	/* of each superblock copy */
	u32 damaged;			/* metadata blocks that were not there: index, pages, log parts */
	u64 regions;			/* set of those that the activity log named */
	bool log_lost;
	struct ondisk_super super;	/* as attach would go on with it: written mark of the log included */
	struct volume *volume;
};

struct judge {
	bool ignore_log;		/* self-test: as if nobody read the activity log */
};

void replica_init(struct replica *replica, const struct dmlog *log);
/* What attach makes of @disk, by the core's codec and in the order of the module (meta_maps.c, attach.c). */
void replica_attach(struct replica *replica, const struct disk *disk, const struct judge *judge);
/* Regions that this log block names, as a set; 0 when it is not intact. */
u64 replica_log_regions(const struct dmlog *log, const struct entry *entry);

struct meeting {
	enum volume_plan plan;		/* of the first replica */
	enum lineage_verdict verdict;	/* the first about the second */
	bool agreed;
	bool up_to_date[2];
};

/* Both came up after the crash and greet each other: the core's own dialogue up to the plan. Both attached with ATTACH_OK. */
void replicas_meet(struct replica *a, struct replica *b, struct meeting *meeting);
/* Will the resync look at this byte of the volume? After replicas_meet(), unless the plan is IN_SYNC. */
bool replicas_know(const struct replica *a, const struct replica *b, u64 offset_bytes);

/* ---- mutate.c ---- */

/* False when there is no such kind. */
bool mutate(struct dmlog *log, const char *kind, bool is_second);
void mutate_list(void);

#endif
