/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the source of a resync decides [D2] [D4]: whether to compare before sending; which bits a batch proves. All of it
 * under volume->lock. How much may be under way: governor.h.
 */
#ifndef BRAID_CORE_RESYNC_H
#define BRAID_CORE_RESYNC_H

#include "dirty.h"
#include "limits.h"

enum resync_limits {
	RESYNC_DIFFER_RUN = 8,			/* chunks that differ throughout, before comparing ends */
	RESYNC_SAMPLE_PERIOD = 16,		/* while sending, one chunk of so many is compared; */
	RESYNC_SAMPLE_DOUBLINGS = 3,		/* of twice as many after each that differed throughout, so often */
	RESYNC_SEND_BYTES = 16 << 10,		/* a chunk of so few is sent: comparing costs as much */
};

/* Whether the digests' round trip and the target's read pay: not while everything differs. Zeroed: compare. */
struct resync_compare {
	u32 nr_differed;	/* compared chunks in a row that differed throughout */
	u32 nr_sent;		/* not compared, since the last that was */
	u32 doublings;		/* of RESYNC_SAMPLE_PERIOD */
	bool sending;
};

/* Is the next chunk to be compared? Counts it. */
bool resync_compare_wanted(struct resync_compare *compare, u32 chunk_bytes);
/* Of @pieces that were compared, @differ did. */
void resync_compare_result(struct resync_compare *compare, u32 pieces, u32 differ);

struct resync_extent {
	u64 start_bytes;
	u64 end_bytes;
	u64 marks;		/* of the map, before the data was read */
};

/*
 * @nr extents, sorted by start, are the same and stable at both ends: clears the granules that they cover wholly [D2].
 * What covers a granule in part, and may complete it together with later ones, is left in the array; *@nr is how many.
 * Returns the granules cleared.
 */
u64 resync_prove(struct dirty_map *map, struct resync_extent *extents, u32 *nr);

#endif
