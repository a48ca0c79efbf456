/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Metadata on disk, offline [M]: format, read, check, repair. Only through the core's codec.
 */
#ifndef BRAID_USER_META_H
#define BRAID_USER_META_H

#include "../kernel/core/ondisk.h"
#include "disk.h"

enum { META_SEQUENCE_FIRST = 1, META_REGIONS_MAX = 2 * ACTLOG_REGIONS_MAX };

/* What is read of one dirty map. */
struct meta_map {
	u8 node;		/* NODE_NONE: slot not used */
	u64 dirty_bytes;
	u32 full_pages, mixed_pages;
	u32 damaged_blocks;	/* index blocks and pages that do not decode; they count as wholly dirty */
};

struct meta_view {
	int chosen;		/* copy that counts, or -1 */
	enum ondisk_error copy_error[2];
	u64 copy_sequence[2];	/* 0 when the copy does not decode */
	struct ondisk_super super;	/* valid when chosen >= 0; what follows too */
	struct ondisk_layout layout;
	bool log_damaged;	/* a part is unreadable: everything may differ */
	u32 damaged_log_parts;
	u64 written_id;		/* generation that the log marks as written, 0 none */
	u32 nr_regions;
	u32 region[META_REGIONS_MAX];
	struct meta_map map[REPLICAS_MAX];
};

/*
 * Write the metadata of a new replica: everything in @super but sequence is given. The old superblocks go first and the new
 * ones come last, so that a format that is broken off leaves none. Nothing behind the area is touched. False: errno.
 */
bool meta_format(const struct disk *meta, struct ondisk_super *super);

/* Read superblocks, log and maps. False: the disk cannot be read (errno). */
bool meta_read(const struct disk *meta, struct meta_view *view);
/* Damage found by meta_read(), as sentences; returns how many were put to @problems. */
u32 meta_problems(const struct meta_view *view, const char **problems, u32 max);

/* May the other copy be rewritten from the chosen one? NULL, or why not. */
const char *meta_repair_refusal(const struct meta_view *view);
/* Do it. False: errno. */
bool meta_repair(const struct disk *meta, const struct meta_view *view);

/* Take away the magic of both superblocks, and nothing else. False: errno. */
bool meta_wipe(const struct disk *meta);

#endif
