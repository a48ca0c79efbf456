// SPDX-License-Identifier: GPL-2.0
/*
 * Decisions of a resync's source: comparing or sending [D4], what a batch proves [D2]. See resync.h.
 */
#include "resync.h"

/* ---- compare or send ---- */

bool resync_compare_wanted(struct resync_compare *compare, u32 chunk_bytes)
{
	if (chunk_bytes <= RESYNC_SEND_BYTES)
		return false;
	if (compare->sending && ++compare->nr_sent < (u32)RESYNC_SAMPLE_PERIOD << compare->doublings)
		return false;
	compare->nr_sent = 0;
	return true;
}

void resync_compare_result(struct resync_compare *compare, u32 pieces, u32 differ)
{
	if (compare->sending) {
		compare->sending = differ * 4 >= pieces * 3;
		compare->nr_differed = 0;
		if (differ != pieces)
			compare->doublings = 0;
		else if (compare->doublings < RESYNC_SAMPLE_DOUBLINGS)
			compare->doublings++;
		return;
	}
	compare->nr_differed = differ == pieces ? compare->nr_differed + 1 : 0;
	compare->sending = compare->nr_differed >= RESYNC_DIFFER_RUN;
}

/* ---- proof ---- */

/* Cuts off what of an extent its whole granules were. False: nothing is left that may prove a granule later. */
static bool leave_parts(const struct dirty_map *map, struct resync_extent *extent)
{
	u64 granule_bytes = 1ull << map->granule_shift;
	u64 head_end = (extent->start_bytes + granule_bytes - 1) & ~(granule_bytes - 1);
	u64 tail_start = extent->end_bytes & ~(granule_bytes - 1);
	bool head = head_end > extent->start_bytes && dirty_test(map, extent->start_bytes);
	bool tail = extent->end_bytes > tail_start && dirty_test(map, tail_start);

	if (extent->marks != map->nr_marks)
		return false;
	if (tail_start < head_end)	/* inside one granule */
		return head;
	if (!head)
		extent->start_bytes = tail_start;
	else if (!tail)
		extent->end_bytes = head_end;
	return head || tail;
}

u64 resync_prove(struct dirty_map *map, struct resync_extent *extents, u32 *nr)
{
	u32 i = 0, nr_left = 0;
	u64 cleared = 0;

	while (i < *nr) {
		struct resync_extent whole = extents[i++];

		while (i < *nr && extents[i].start_bytes <= whole.end_bytes) {
			if (extents[i].end_bytes > whole.end_bytes)
				whole.end_bytes = extents[i].end_bytes;
			if (extents[i].marks < whole.marks)
				whole.marks = extents[i].marks;
			i++;
		}
		cleared += dirty_clear_proven(map, whole.start_bytes, whole.end_bytes - whole.start_bytes, whole.marks);
		if (leave_parts(map, &whole))
			extents[nr_left++] = whole;
	}
	*nr = nr_left;
	return cleared;
}
