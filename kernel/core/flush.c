// SPDX-License-Identifier: GPL-2.0
/*
 * Whom a flush has to reach, and whether one is about to come [W5] [G2]. The rules: flush.h.
 */
#include "flush.h"
#include "probe.h"

enum { CHANGES_MANY = 2 };

u32 flush_needed(const struct flush *flush, u64 generation_id, u32 nodes)
{
	if (flush->generation_id != generation_id && !MUTANT(settled_in_any_generation))
		return nodes;
	return nodes & ~flush->settled;
}

u64 flush_begin(struct flush *flush, u64 generation_id)
{
	if (flush->generation_id != generation_id) {
		if (!MUTANT(settled_in_any_generation))
			flush->settled = 0;
		flush->generation_id = generation_id;
	}
	if (flush->changes == 1 && flush->streak < FLUSH_STREAK_MIN)
		flush->streak++;
	flush->changes = 0;
	return flush->answers;
}

void flush_ended(struct flush *flush, u8 node, u64 generation_id, u64 since)
{
	if (flush->generation_id != generation_id) {
		MARK(flush_of_older_generation);
		return;
	}
	if (flush->newest[node] > since && !MUTANT(flush_covers_later)) {
		MARK(flush_overtaken_by_write);
		return;
	}
	flush->settled |= NODE_BIT(node);
}

bool flush_is_stable(bool is_flush, bool fua, bool volatile_cache)
{
	return is_flush || fua || !volatile_cache || MUTANT(cache_not_told);
}

void flush_volatile(struct flush *flush, u8 node)
{
	flush->newest[node] = ++flush->answers;
	if (!MUTANT(flush_skipped_with_cache))
		flush->settled &= ~NODE_BIT(node);
}

void flush_forget(struct flush *flush, u32 nodes)
{
	if (!MUTANT(settled_for_ever))
		flush->settled &= ~nodes;
}

bool flush_expected(struct flush *flush)
{
	if (++flush->changes >= CHANGES_MANY) {
		flush->changes = CHANGES_MANY;
		flush->streak = 0;
		return false;
	}
	return flush->streak == FLUSH_STREAK_MIN;
}
