/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The marks of both logs: which of them are pairs, and which writes were promised when (format.h).
 */
#ifndef BRAID_CRASH_MARKS_H
#define BRAID_CRASH_MARKS_H

#include "crash.h"

struct span {
	u64 sector, nr_sectors, stamp;
};

struct batch {
	const char *id;
	u32 owner;		/* node that the writer ran on */
	u32 ended_at[2];	/* of each node: position behind its "s" mark, 0 none */
	u32 promised_at[2];	/* behind its "b" mark, 0 none */
	u32 nr_spans;
	struct span *span;
};

struct pair {
	const char *text;
	u32 first;		/* node that had the mark first */
	u32 at[2];		/* positions behind the marks */
	u32 confirmed_at;	/* in the log of @first */
	bool silent;		/* from here to the next pair the nodes hear nothing of each other */
};

struct marks {
	u32 nr_batches, nr_pairs;
	struct batch *batch;	/* in the order in which they were made */
	struct pair *pair;	/* ascending in both logs */
};

/* Reads the marks of both logs, and notes in each plain write of an acknowledged batch from where on it may be on disk. */
void marks_read(struct marks *marks, struct dmlog *first, struct dmlog *second);

#endif
