// SPDX-License-Identifier: GPL-2.0
/*
 * Plays about space that was never written: a new replica of it costs nothing, and nobody is taken for one who is not [R4] [D2].
 */
#include "story.h"

/* Everything is off. Node 0 has the first replica of a volume, the others have disks; @flags: ONDISK_BLANK or none. */
static void new_volume(u32 flags)
{
	u8 node;

	for (node = 0; node < stage.nr_nodes; node++)
		power_cut(node);
	for (node = 0; node < stage.nr_nodes; node++)
		meta_format(&stage, node, node ? FORMAT_NEW : FORMAT_ALONE, flags);
	stage.count_resync_sent = 0;
	boot(0);
}

static void new_replica(u8 node, u32 flags)
{
	meta_format(&stage, node, FORMAT_NEW, flags);
	boot(node);
}

/* What was on the disk before it became a replica. */
static void old_content(u8 node)
{
	u32 stamp = check_foreign_stamp(&stage), i;

	for (i = 0; i < WORLD_CELLS; i++)
		stage.node[node].disk.platter[i] = stage.node[node].disk.cache[i] = stamp;
}

static bool has_flag(u8 node)
{
	return stage.node[node].volume.super.flags & ONDISK_BLANK;
}

static void blank_replica(void)
{
	bool primary = choice(2);

	new_volume(ONDISK_BLANK);
	if (primary)
		promote(0);
	new_replica(1, ONDISK_BLANK);
	until(together(3));
	new_replica(2, ONDISK_BLANK);
	until(together(7));
	must(!stage.count_resync_sent && has_flag(0) && has_flag(1) && has_flag(2));
	if (!primary)
		promote(choice(3));
	write_everything(world_primary(&stage));
	flush_done(world_primary(&stage));
	settle();
}

/* It greets when nothing is written yet, and is ready when something was. */
static void written_while_it_joins(void)
{
	struct ticket ticket;

	new_volume(ONDISK_BLANK);
	promote(0);
	hold(1, 0, LANE_CONTROL, choice(2) ? WIRE_SYNC_START : WIRE_SYNC_READY);
	new_replica(1, ONDISK_BLANK);
	until(next_frame(1, 0, WIRE_SYNC_START) || next_frame(1, 0, WIRE_SYNC_READY));
	write_done(0, group(choice(WORLD_GROUPS)));
	ticket = write_begins(0, group(choice(WORLD_GROUPS)));
	release_all();
	until(over(ticket) && together(3));
	must(acked(ticket) && stage.count_resync_sent);
	settle();
}

static void blank_but_written(void)
{
	new_volume(ONDISK_BLANK);
	promote(0);
	write_everything(0);
	flush_done(0);
	demote(0);		/* the log is empty after that */
	if (choice(2)) {
		power_cut(0);
		boot(0);
	}
	new_replica(1, ONDISK_BLANK);
	until(together(3));
	must(stage.count_resync_sent);
	settle();
}

/* The replica that was there never had a write; the new one is a used disk. Or the other way round. */
static void blank_at_one_end(void)
{
	bool source = choice(2);

	new_volume(source ? ONDISK_BLANK : 0);
	old_content(source ? 1 : 0);
	new_replica(1, source ? 0 : ONDISK_BLANK);
	until(together(3));
	must(stage.count_resync_sent);
	everyone_equal();
	settle();
}

/* Its content was blank before it was resynced, and nobody has written since: still it is a source of what it got. */
static void blank_no_more(void)
{
	new_volume(0);
	old_content(0);
	new_replica(1, ONDISK_BLANK);
	until(together(3));
	power_cut(0);
	if (choice(2)) {
		power_cut(1);
		boot(1);
	}
	new_replica(2, ONDISK_BLANK);
	until(together(6));
	boot(0);
	settle();
}

/* Before the source has cleared its map, or before the record that adds the new one is there; then there are writes. */
static void blank_broken_off(void)
{
	bool late = choice(2);

	new_volume(ONDISK_BLANK);
	promote(0);
	hold(late ? 0 : 1, !late ? 0 : 1, LANE_CONTROL, late ? WIRE_RECORD : WIRE_SYNC_READY);
	new_replica(1, ONDISK_BLANK);
	until(late ? next_frame(0, 1, WIRE_RECORD) : next_frame(1, 0, WIRE_SYNC_READY));
	must(!stage.count_resync_sent && !has_flag(1));
	isolate(1);
	release_all();
	write_done(0, group(choice(WORLD_GROUPS)));
	if (choice(2)) {
		power_cut(1);
		boot(1);
	}
	rejoin(1);
	until(together(3));
	must(stage.count_resync_sent);
	settle();
}

static const struct story stories[] = {
	{ "R4-blank-replica", 3, "R4", "replicas of a volume that was never written join it without a byte of data", blank_replica, NULL },
	{ "R4-blank-until-written", 2, "R4 D2", "a new replica joins, and the first writes come before it is ready", written_while_it_joins,
	  NULL },
	{ "R4-blank-but-written", 2, "R4 D2", "a replica that was blank once and was written since is compared", blank_but_written, NULL },
	{ "R4-blank-at-one-end", 2, "R4 D2", "one replica reads as zeroes, the other one does not say so: compared", blank_at_one_end, NULL },
	{ "R4-blank-no-more", 3, "R4 I7", "a replica that was resynced is no source of zeroes", blank_no_more, NULL },
	{ "R4-blank-broken-off", 2, "R4 R2", "a first resync that is broken off compares everything when it goes on", blank_broken_off,
	  NULL },
};

STORY_TABLE(stories)
