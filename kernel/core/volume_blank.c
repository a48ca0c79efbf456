// SPDX-License-Identifier: GPL-2.0
/*
 * A new replica of space that was never written costs nothing [R4].
 *
 * The command may say, when it makes a replica, that its whole data area reads as zeroes: ONDISK_BLANK. A replica is blank while it has
 * that flag and nothing can have been written since. Two blank replicas are equal, and each end says so of its own content [D2]: a
 * target in its greeting; when it is ready, and the source is blank at that moment, the source clears what the target was believed to
 * lack, all of it.
 *
 * Why "never written" can be read from the chain. Whatever changes the data area of a complete replica is a write of a primary, and
 * the gate lets none through before a record with that primary as its writer is durable on every member [G3]; a new volume's first
 * record has no writer, nor has one that adds members before somebody wrote. So a record with a writer, or with a mark, counts as
 * written, and so does a chain that has lost records. What changes an incomplete one is a resync, and the flag goes with the save of
 * the chain that it adopts, before the first byte arrives. It comes back when that resync ends and no byte came: so the next new
 * replica may take any of them for its source. A log that names regions, or has a mark, belongs to somebody who wrote, whatever the
 * superblock beside it says. Promotion by force may cut records off: the flag goes, too.
 *
 * Why the target's word holds when it is ready, though it is older. It stops being blank with a record, or with a history that it adopts.
 * Either is told to all peers that it is in no stream with, by another greeting, before it asks one of them; and the greetings of one
 * session arrive in order. The one history that it may have adopted since is this source's own, and from then on it is in this source's
 * stream and nobody else's. With that history it forgot what it lacks, as every new replica does [R2]: from here on the source's map
 * alone says it, so a resync that is broken off goes on with what was written meanwhile.
 */
#include "probe.h"
#include "volume_internal.h"

static bool never_written(const struct chain *chain)
{
	u32 i;

	if (MUTANT(blank_kept_when_written))
		return true;
	for (i = 0; i < chain->count; i++)
		if (chain->record[i].written || chain->record[i].writer != NODE_NONE)
			return false;
	return !chain->trimmed || MUTANT(blank_with_trimmed_chain);
}

bool volume_is_blank(const struct volume *volume)
{
	return (volume->super.flags & ONDISK_BLANK) && volume->disk == VOLUME_DISK_OK && never_written(&volume->super.chain) &&
	       !volume->log.nr_used && !volume->in_flight;
}

void volume_not_blank(struct volume *volume)
{
	volume->super.flags &= ~(u32)ONDISK_BLANK;
}

void volume_blank_adopts(struct volume *volume)
{
	volume->unchanged |= volume_is_blank(volume);
	if (!MUTANT(blank_target_keeps_flag))
		volume_not_blank(volume);
}

void volume_blank_joins(struct volume *volume)
{
	if (volume->unchanged && never_written(&volume->super.chain)) {
		MARK(blank_again);
		volume->super.flags |= ONDISK_BLANK;
	}
	volume->unchanged = false;
}

/* @peer is a target, and ready: from the next write on it gets them all, and has missed none if this node never wrote. */
void volume_target_is_ready(struct volume *volume, struct volume_peer *peer)
{
	if (!(peer->facts->flags & WIRE_GREET_BLANK) && !MUTANT(blank_target_not_asked))
		return;
	if (!volume_is_blank(volume) && !MUTANT(blank_source_not_asked)) {
		MARK(blank_target_only);
		return;
	}
	MARK(blank_target_equal);
	core_trace(volume->super.volume_id, "neither end was ever written -> nothing differs [R4]");
	dirty_clear_all(&peer->map);
}
