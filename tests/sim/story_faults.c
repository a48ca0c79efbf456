// SPDX-License-Identifier: GPL-2.0
/*
 * Plays of groups D and N: disks and metadata that fail, links that do [M] [N].
 */
#include "story.h"

/* docs/format.md */
enum {
	LOG_BLOCK = 4,		/* and the next one */
	SEQUENCE_AT = 32,
};

static struct disk *disk_of(u8 node)
{
	return &stage.node[node].disk;
}

static void primary_again(u8 node)
{
	if (world_primary(&stage) == NODE_NONE)
		promote(node);
}

static bool never_written(u8 node, u32 block)
{
	return !disk_of(node)->meta[block][0] && !disk_of(node)->meta[block][1];
}

static void every_block_damaged(void)
{
	u8 victim = (u8)choice(2);
	u32 block;

	small_log(victim, 4);
	until(together(3));
	for (block = 2; block < WORLD_META_BLOCKS; block++) {
		if (never_written(victim, block))
			continue;
		primary_again(0);
		cut(0, 1);
		write_done(0, group(choice(WORLD_GROUPS)));
		power_cut(victim);
		if (choice(2))
			disk_of(victim)->meta[block][choice(META_BLOCK_BYTES)] ^= (u8)(1 + choice(255));
		else
			memset(disk_of(victim)->meta[block] + choice(8) * 512, 0, 512);
		boot(victim);
		heal(0, 1);
		until(together(3));
		everyone_equal();
	}
	settle();
}

/* The older copy of the superblock, torn or flipped: the newer one counts. */
static void old_superblock_damaged(void)
{
	struct ondisk_super super[2];
	enum ondisk_error error[2];
	u64 number;
	u32 older;

	promote(0);
	write_everything(0);
	cut(0, 1);
	write_done(0, group(1));
	until(quiet(0));
	number = tail(0)->number;
	error[0] = ondisk_super_decode(disk_of(0)->meta[0], 0, &super[0]);
	error[1] = ondisk_super_decode(disk_of(0)->meta[1], 1, &super[1]);
	must(error[0] == ONDISK_OK && error[1] == ONDISK_OK);
	older = super[0].sequence > super[1].sequence;
	power_cut(0);
	disk_of(0)->meta[older][choice(META_BLOCK_BYTES)] ^= (u8)(1 + choice(255));
	boot(0);
	must(tail(0)->number == number);
	settle();
}

static void record_cannot_be_saved_here(void)
{
	struct ticket ticket;

	promote(0);
	write_everything(0);
	until(together(7));
	isolate(2);
	until(quiet(0) && quiet(1));
	disk_of(0)->meta_fails_in = 1;
	ticket = write_begins(0, group(1));
	until(over(ticket));
	must(acked(ticket));
	must(disk_is_given_up(0) && tail(1)->members == NODE_BIT(1) && tail(1)->writer == 0);
	disk_recovers(0);
	settle();
}

static void record_cannot_be_saved_there(void)
{
	struct ticket ticket;

	promote(0);
	write_everything(0);
	until(together(7));
	isolate(2);
	until(quiet(0) && quiet(1));
	disk_of(1)->meta_fails_in = 1;
	ticket = write_begins(0, group(1));
	until(over(ticket));
	must(acked(ticket));
	must(disk_is_given_up(1) && tail(0)->members == NODE_BIT(0));
	disk_recovers(1);
	settle();
}

static void adoption_cannot_be_saved(void)
{
	promote(0);
	write_everything(0);
	isolate(1);
	write_done(0, group(1));
	hold(0, 1, LANE_CONTROL, WIRE_SYNC_ACCEPT);
	rejoin(1);
	until(next_frame(0, 1, WIRE_SYNC_ACCEPT) && quiet(1));
	disk_of(1)->meta_fails_in = 1;
	release_all();
	until(disk_is_given_up(1));
	throughout(200, !in_stream(0, 1));
	disk_recovers(1);
	settle();
}

static void resolve_cannot_be_saved(void)
{
	struct volume_event event = { .type = VOLUME_EVENT_RESOLVE };

	stage.knobs.splits = true;
	promote(0);
	cut(0, 1);
	write_done(0, group(1));
	promote_peer_down(1, NODE_BIT(0));
	write_done(1, group(2));
	demote(1);
	heal(0, 1);
	until(relation(0, 1) == VOLUME_SPLIT && relation(1, 0) == VOLUME_SPLIT && quiet(0) && quiet(1));
	disk_of(1)->meta_fails_in = 1;
	event.value = stage.node[1].volume.super.split_id;
	event.node = 0;
	check_yields(&stage, 1, 0);
	stage.node[1].command_pending = true;
	world_event(&stage, 1, &event);
	until(!stage.node[1].command_pending);
	must(stage.node[1].command_refusal == VOLUME_REFUSED_META);
	until(disk_is_given_up(1));
	disk_recovers(1);
	must(stage.node[1].volume.super.flags & ONDISK_SPLIT);
	if (!(stage.node[1].volume.super.flags & ONDISK_YIELD)) {
		until(relation(0, 1) == VOLUME_SPLIT && relation(1, 0) == VOLUME_SPLIT);
		resolve(1);
	}
	settle();
}

static void source_cannot_read(void)
{
	promote(0);
	write_everything(0);
	isolate(1);
	write_everything(0);
	disk_of(0)->bad = group(2);
	rejoin(1);
	until(in_stream(0, 1));
	throughout(2000, relation(0, 1) != VOLUME_IN_SYNC && relation(1, 0) != VOLUME_IN_SYNC);
	must(try_command(1, VOLUME_EVENT_PROMOTE, 1, false) != VOLUME_OK);
	disk_of(0)->bad = 0;
	settle();
}

static void target_dies(void)
{
	promote(0);
	write_everything(0);
	isolate(1);
	write_everything(0);
	hold_kind(0, 1, choice(2) ? MESSAGE_RESYNC : MESSAGE_FLUSH);
	rejoin(1);
	until(next_kind(0, 1, MESSAGE_RESYNC) || next_kind(0, 1, MESSAGE_FLUSH));
	disk_dies(1);
	release_all();
	until(disk_is_given_up(1));
	write_done(0, group(1));
	disk_recovers(1);
	settle();
}

static void flush_fails_there(void)
{
	struct ticket ticket;

	promote(0);
	write_everything(0);
	until(together(3));
	disk_dies(1);
	ticket = flush_begins(0);
	until(over(ticket));
	must(acked(ticket) && tail(0)->members == NODE_BIT(0));
	power_cut(0);
	must_refuse(1, NODE_BIT(0), VOLUME_REFUSED_NO_DISK);
	disk_recovers(1);
	boot(0);
	settle();
}

static void down_at_any_time(void)
{
	u32 i;

	promote(0);
	write_everything(0);
	for (i = 0; i < 6; i++) {
		isolate(1);
		write_done(0, group(choice(WORLD_GROUPS)));
		rejoin(1);
		pass(choice(250));
		write_begins(0, group(choice(WORLD_GROUPS)));
		take_down(1);
		pass(choice(40));
		boot(1);
		if (choice(2))
			continue;
		until(fault_detach(&stage, 1));
		until(!stage.node[1].attached);
		boot(1);
		until(together(3));
	}
	settle();
}

/* Is a metadata write on its way to this disk? */
static bool writing(u8 node)
{
	return stage.node[node].meta.nr_pending || stage.node[node].meta.log_busy;
}

static void crash_at_the_nth(u8 victim, u32 nth)
{
	u32 left = 20000;

	primary_again(0);
	cut(0, 1);
	write_done(0, group(choice(WORLD_GROUPS)));
	heal(0, 1);
	write_begins(0, group(choice(WORLD_GROUPS)));
	flush_begins(0);
	while (nth-- && !together(3)) {
		while (writing(victim) && left > 1)
			step_towards(&left, "", __FILE__, __LINE__);
		while (!writing(victim) && !together(3) && left > 1)
			step_towards(&left, "", __FILE__, __LINE__);
	}
	power_cut(victim);
	boot(victim);
	until(together(3));
	everyone_equal();
}

static void crash_at_each_metadata_write(void)
{
	u32 i;

	small_log(0, 4);
	until(together(3));
	for (i = 1; i <= 10; i++)
		crash_at_the_nth(i & 1, 1 + i / 2);
	settle();
}

static void other_place(void)
{
	u8 saved[META_BLOCK_BYTES];
	u32 block;

	promote(0);
	write_everything(0);
	cut(0, 1);
	write_done(0, group(1));
	power_cut(0);
	power_cut(1);
	for (block = 4; block + 1 < WORLD_META_BLOCKS; block++) {	/* each block at its neighbour's place */
		if (never_written(0, block) || never_written(0, block + 1))
			continue;
		memcpy(saved, disk_of(0)->meta[block], sizeof(saved));
		memcpy(disk_of(0)->meta[block + 1], saved, sizeof(saved));
		break;
	}
	boot(0);
	boot(1);
	settle();
}

/* Which of the two blocks of the log counts. */
static u32 newest_log_block(u8 node)
{
	const u8 *first = disk_of(node)->meta[LOG_BLOCK], *second = disk_of(node)->meta[LOG_BLOCK + 1];

	return LOG_BLOCK + (core_get_le64(second + SEQUENCE_AT) > core_get_le64(first + SEQUENCE_AT));
}

static bool platters_differ(void)
{
	return memcmp(disk_of(0)->platter, disk_of(1)->platter, sizeof(disk_of(0)->platter)) != 0;
}

/*
 * A log that was lost begins anew; its first copy with a region is overwritten by a block of another place (seed 1795908083024 with
 * two nodes).
 */
static void log_begun_anew(void)
{
	u32 i;

	for (i = 0; i < 6; i++) {
		disk_of(0)->through = true;
		primary_again(0);
		write_everything(0);
		until(together(3));
		power_cut(0);
		disk_of(0)->unreadable |= 1ull << (LOG_BLOCK + choice(2));
		boot(0);
		until(together(3));
		primary_again(0);
		hold(0, 1, LANES_DATA, ANY);
		write_begins(0, group(choice(WORLD_GROUPS)));
		until(platters_differ());
		power_cut(0);
		power_cut(1);
		release_all();
		memcpy(disk_of(0)->meta[newest_log_block(0)], disk_of(0)->meta[choice(2)], META_BLOCK_BYTES);
		boot(0);
		boot(1);
		until(together(3));
		everyone_equal();
	}
	settle();
}

static void lost_message(u8 from, u8 to, u8 type)
{
	until(next_frame(from, to, type));
	pass(choice(60));
	session_ends(0, 1);
	release_all();
}

static void every_dialogue_broken(void)
{
	static const u8 greeting[] = { WIRE_GREET, WIRE_VERDICT };
	struct ticket ticket;
	u32 i;

	promote(0);
	write_everything(0);
	for (i = 0; i < 4; i++) {
		session_ends(0, 1);
		hold(i & 1, !(i & 1), LANE_CONTROL, greeting[i / 2]);
		lost_message(i & 1, !(i & 1), greeting[i / 2]);
		until(together(7));
	}
	for (i = 0; i < 2; i++) {
		isolate(2);
		hold(i ? 1 : 0, i ? 0 : 1, LANE_CONTROL, i ? WIRE_RECORD_ACK : WIRE_RECORD);
		ticket = write_begins(0, group(i));
		lost_message(i ? 1 : 0, i ? 0 : 1, i ? WIRE_RECORD_ACK : WIRE_RECORD);
		until(over(ticket));
		must(acked(ticket));
		rejoin(2);
		until(together(7));
	}
	demote(0);
	until(together(7));
	for (i = 0; i < 2; i++) {
		u8 from = i ? 0 : 1, type = i ? WIRE_PROMOTE_ANSWER : WIRE_PROMOTE_ASK;

		hold(from, 1 - from, LANE_CONTROL, type);
		while (!next_frame(from, 1 - from, type)) {	/* it may be refused here at once: busy */
			until(fault_command(&stage, 1, VOLUME_EVENT_PROMOTE, 0, false));
			until(!stage.node[1].command_pending || next_frame(from, 1 - from, type));
		}
		lost_message(from, 1 - from, type);
		until(!stage.node[1].command_pending);
		must(stage.node[1].command_refusal != VOLUME_OK && !world_is_primary(&stage, 1));
		until(together(7));
	}
	promote(0);
	settle();
}

static void only_control_blocked(void)
{
	struct ticket ticket;

	promote(0);
	write_everything(0);
	until(together(3));
	hold(0, 1, LANE_CONTROL, ANY);
	hold(1, 0, LANE_CONTROL, ANY);
	write_done(0, group(1));	/* nobody misses the control lane yet */
	cut_now(0, 1);			/* [N6] it is noticed */
	ticket = write_begins(0, group(2));
	until(over(ticket));
	must(acked(ticket));
	write_done(0, group(3));
	must(tail(0)->members == NODE_BIT(0) && is_dirty(0, 1, group(3)));
	settle();
}

static void only_data_blocked(void)
{
	struct ticket ticket;

	promote(0);
	write_everything(0);
	until(together(3));
	hold(0, 1, LANES_DATA, ANY);
	ticket = write_begins(0, group(1));
	throughout(300, !over(ticket));
	world_event_simple(&stage, 0, VOLUME_EVENT_PEER_IO_FAILED, 1);	/* its deadline */
	until(over(ticket));
	must(acked(ticket));
	release_all();
	settle();
}

static void lanes_reordered(void)
{
	u32 round, i;

	promote(0);
	write_everything(0);
	for (round = 0; round < 12; round++) {
		if (round % 4 == 0) {
			until(path_idle(&stage.node[0]));
			isolate(1 + (u8)choice(2));
			write_done(0, group(choice(WORLD_GROUPS)));
			rejoin(1);
			rejoin(2);
		}
		for (i = 0; i < 3; i++)
			hold((u8)choice(3), (u8)choice(3), 1 + choice(LANES_ALL - 1), ANY);
		for (i = 0; i < 3; i++)
			if (path_idle(&stage.node[0]) || i < 2)
				path_submit(&stage, 0, i == 2 ? REQUEST_FLUSH : REQUEST_WRITE, group(choice(WORLD_GROUPS)), false);
		pass(choice(150));
		release_all();
	}
	settle();
}

static void one_way_only(void)
{
	u8 from = (u8)choice(2);

	promote(0);
	write_everything(0);
	until(together(3));
	world_cut(&stage, from, 1 - from, true);
	write_begins(0, group(1));
	until(path_idle(&stage.node[0]));
	write_done(0, group(2));
	must(tail(0)->members == NODE_BIT(0) && is_dirty(0, 1, group(2)));
	settle();
}

/* Timeouts that nothing stands behind, again and again. */
static void false_alarms(void)
{
	u32 i;

	promote(0);
	write_everything(0);
	for (i = 0; i < 10; i++) {
		struct ticket ticket = write_begins(0, group(choice(WORLD_GROUPS)));

		pass(choice(80));
		if (choice(2))
			world_event_simple(&stage, 0, VOLUME_EVENT_PEER_IO_FAILED, 1);
		else
			session_ends(0, 1);
		until(over(ticket));
		must(acked(ticket));
		if (choice(2))
			until(together(3));
	}
	settle();
}

static const struct story stories[] = {
	{ "D1-every-block-damaged", 2, "I17 M", "each metadata block in turn is flipped or zeroed: more is compared, nothing is lost",
	  every_block_damaged, NULL },
	{ "D1-old-superblock-damaged", 2, "M", "the older copy of the superblock is damaged: the newer counts", old_superblock_damaged,
	  NULL },
	{ "D2-record-fails-here", 3, "G3", "the primary cannot save a record: it goes on without its disk",
	  record_cannot_be_saved_here, NULL },
	{ "D2-record-fails-there", 3, "G3", "a member cannot save a record: it is out", record_cannot_be_saved_there, NULL },
	{ "D2-adoption-fails", 2, "I17", "a target cannot save the chain that it adopts: it gets no write", adoption_cannot_be_saved,
	  NULL },
	{ "D2-resolve-fails", 2, "G7", "the losing side of a split cannot save that it yields", resolve_cannot_be_saved, NULL },
	{ "D3-source-cannot-read", 2, "G4 R5", "a bad block at the source of a resync: never in sync while it is there",
	  source_cannot_read, NULL },
	{ "D3-target-dies", 2, "W4", "the target's disk fails in a resync", target_dies, NULL },
	{ "D3-flush-fails-there", 2, "W5 G4", "a secondary's flush fails: it is out before the flush completes", flush_fails_there,
	  NULL },
	{ "D4-down-at-any-time", 2, "L2 R2", "a volume is taken down and up at any moment of a resync", down_at_any_time, NULL },
	{ "D6-crash-at-each-write", 2, "I17", "power is lost at the first, second, third ... metadata write",
	  crash_at_each_metadata_write, NULL },
	{ "D7-other-place", 2, "D5", "a metadata block turns up at another one's place", other_place, NULL },
	{ "D7-log-begun-anew", 2, "D6 I17", "a log that was lost begins anew, then its newer copy is overwritten", log_begun_anew, NULL },
	{ "N1-every-dialogue-broken", 3, "I9 G3 I12", "greeting, record and promotion are broken off at each message",
	  every_dialogue_broken, NULL },
	{ "N2-only-control-blocked", 2, "N6 W4", "the control lane is blocked, data passes", only_control_blocked, NULL },
	{ "N2-only-data-blocked", 2, "W4", "the data lanes are blocked, control passes", only_data_blocked, NULL },
	{ "N3-lanes-reordered", 3, "I5 I15", "lanes overtake each other, through losses and returns", lanes_reordered, NULL },
	{ "N6-one-way-only", 2, "N6 W4", "a link that carries one direction only", one_way_only, NULL },
	{ "N6-false-alarms", 2, "L1 I15", "timeouts that nothing stands behind", false_alarms, NULL },
};

STORY_TABLE(stories)
