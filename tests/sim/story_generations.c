// SPDX-License-Identifier: GPL-2.0
/*
 * Plays of group G: who holds what, who is the source, what is a split [G].
 */
#include "story.h"

static struct volume *volume_of(u8 node)
{
	return &stage.node[node].volume;
}

static bool flag(u8 node, u32 which)
{
	return volume_of(node)->super.flags & which;
}

/* Both wrote for themselves: node 1 on somebody's wrong word. Node 0 holds groups 0, 1, node 1 groups 0, 2. */
static void both_write_apart(void)
{
	stage.knobs.splits = true;
	promote(0);
	write_done(0, group(0));
	cut(0, 1);
	write_done(0, group(1));
	promote_peer_down(1, NODE_BIT(0));
	write_done(1, group(2));
}

static void until_both_see_the_split(void)
{
	until(relation(0, 1) == VOLUME_SPLIT && relation(1, 0) == VOLUME_SPLIT && quiet(0) && quiet(1));
	must(flag(0, ONDISK_SPLIT) && flag(1, ONDISK_SPLIT));
	must(volume_of(0)->super.split_id == volume_of(1)->super.split_id);
}

static void behind_the_back(void)
{
	u32 i;

	promote(0);
	write_everything(0);
	isolate(1);
	disk_dies(0);
	write_done(0, group(0));
	must(tail(2)->members == NODE_BIT(2) && tail(2)->writer == 0);
	heal(1, 2);
	until(relation(1, 2) == VOLUME_WAITING && relation(2, 1) == VOLUME_WAITING);
	for (i = 1; i < 4; i++) {
		write_done(0, group(i));
		throughout(100, relation(2, 1) == VOLUME_WAITING || relation(2, 1) == VOLUME_GREETING);
		must(is_dirty(2, 1, group(i)));
	}
	must_refuse(1, 7, VOLUME_REFUSED_STALE);
	disk_recovers(0);
	settle();
	promote(2);
}

static void two_writers_without_disks(void)
{
	u64 first;

	promote(0);
	write_done(0, group(0));
	disk_dies(0);
	write_done(0, group(1));
	first = tail(2)->id;
	must(tail(2)->writer == 0 && tail(2)->members == 6);
	power_cut(0);
	promote(1);
	until(together(6));
	disk_dies(1);
	write_done(1, group(2));
	must(tail(2)->id != first && tail(2)->writer == 1 && tail(2)->members == 4);
	power_cut(1);
	hold(2, 0, LANE_CONTROL, WIRE_SYNC_ACCEPT);
	hold(2, 1, LANE_CONTROL, WIRE_SYNC_ACCEPT);
	disk_recovers(0);
	disk_recovers(1);
	until(next_frame(2, 0, WIRE_SYNC_ACCEPT) && next_frame(2, 1, WIRE_SYNC_ACCEPT));
	must(try_command(0, VOLUME_EVENT_PROMOTE, 7, false) != VOLUME_OK);
	must(try_command(1, VOLUME_EVENT_PROMOTE, 7, false) != VOLUME_OK);
	settle();
	promote(0);
}

static void writers_in_turn(void)
{
	u64 id = 0;
	u8 i;

	for (i = 0; i < 4; i++) {
		u8 writer = i & 1;

		promote(writer);
		write_done(writer, group(i));
		must(tail(writer)->writer == writer && tail(writer)->id != id);
		id = tail(writer)->id;
		demote(writer);
		until(together(3));
	}
	settle();
}

static void disk_and_peer_at_once(void)
{
	struct ticket ticket;

	promote(0);
	write_done(0, group(0));
	ticket = write_begins(0, group(1));
	until(request_of(ticket)->state != REQUEST_QUEUED);
	disk_dies(0);
	cut_now(0, 1);
	cut_now(1, 2);
	until(over(ticket));
	write_done(0, group(2));
	must(tail(2)->members == NODE_BIT(2) && tail(2)->writer == 0);
	must(is_dirty(2, 1, group(2)));
	power_cut(0);
	must_refuse(1, 0, VOLUME_REFUSED_UNREACHABLE);
	disk_recovers(0);
	settle();
}

static void disk_and_last_peer_at_once(void)
{
	struct ticket ticket;

	promote(0);
	write_everything(0);
	flush_done(0);
	disk_dies(0);
	cut(0, 1);
	ticket = write_begins(0, group(1));
	until(over(ticket));
	must(!acked(ticket));
	power_cut(0);
	promote_peer_down(1, NODE_BIT(0));
	write_done(1, group(1));
	disk_recovers(0);
	settle();
}

static void record_never_arrives(u8 from, u8 to, u8 frame_type)
{
	struct ticket ticket;

	promote(0);
	write_done(0, group(0));
	hold(from, to, LANE_CONTROL, frame_type);
	isolate(2);
	ticket = write_begins(0, group(1));
	until(next_frame(from, to, frame_type));
	throughout(300, !over(ticket));
	must(stage.node[1].disk.cache[GROUP_CELLS] == 0);	/* no write of a generation before its record */
	cut(0, 1);
	until(over(ticket));
	must(acked(ticket) && tail(0)->members == NODE_BIT(0));
	must_refuse(1, NODE_BIT(2), VOLUME_REFUSED_UNREACHABLE);
	release_all();
	heal(0, 1);
	until(together(3));
	settle();
}

static void record_lost(void)
{
	record_never_arrives(0, 1, WIRE_RECORD);
}

static void record_answer_lost(void)
{
	record_never_arrives(1, 0, WIRE_RECORD_ACK);
}

/* A member that is counted by its name: its acknowledgement is missing, so nothing is acknowledged with it. */
static void member_by_name(void)
{
	struct ticket ticket;

	promote(0);
	write_done(0, group(0));
	hold_kind(1, 0, MESSAGE_ACK);
	ticket = write_begins(0, group(1));
	until(next_kind(1, 0, MESSAGE_ACK));
	hold(0, 2, LANE_CONTROL, WIRE_RECORD);
	cut_now(0, 1);
	cut_now(1, 2);
	until(next_frame(0, 2, WIRE_RECORD));
	throughout(300, !over(ticket));
	power_cut(0);
	release_all();
	until(!is_up(2, 0) && !is_up(2, 1));
	must_refuse(2, NODE_BIT(0), VOLUME_REFUSED_UNREACHABLE);
	must_refuse(1, NODE_BIT(0), VOLUME_REFUSED_UNREACHABLE);
	settle();
}

static void bits_left_on_one_side(void)
{
	struct ticket ticket;
	u64 resyncs;

	promote(0);
	write_everything(0);
	hold(0, 1, LANES_DATA, ANY);
	ticket = write_begins(0, group(3));
	until(request_of(ticket)->state == REQUEST_SENT);
	power_cut(0);
	cut(0, 1);
	release_all();
	boot(0);
	until(quiet(0) && quiet(1));
	must(is_dirty(0, 1, group(3)));
	resyncs = stage.count_resyncs;
	heal(0, 1);
	until(together(3));
	must(stage.count_resyncs > resyncs);
	settle();
}

static void bits_left_on_both_sides(void)
{
	struct ticket here, there;
	u32 stamp;

	promote(0);
	write_everything(0);
	hold_kind(1, 0, MESSAGE_ACK);
	there = write_begins(0, group(2));
	until(request_of(there)->stamp);
	stamp = request_of(there)->stamp;
	until(stage.node[1].disk.cache[2 * GROUP_CELLS] == stamp);
	hold(0, 1, LANES_DATA, ANY);
	here = write_begins(0, group(5));
	until(request_of(here)->state == REQUEST_SENT);
	power_cut(0);
	power_cut(1);
	cut(0, 1);
	release_all();
	boot(0);
	boot(1);
	must(is_dirty(0, 1, group(5)) && is_dirty(1, 0, group(2)));
	until(quiet(0) && quiet(1));
	heal(0, 1);
	until(together(3));
	settle();
	promote((u8)choice(2));
}

static void back_from_a_clean_end(void)
{
	promote(0);
	write_everything(0);
	take_down(1);
	write_done(0, group(2));
	must(is_dirty(0, 1, group(2)) && is_dirty(2, 1, group(2)));
	hold_kind(0, 1, MESSAGE_RESYNC);
	hold_kind(2, 1, MESSAGE_RESYNC);
	boot(1);
	until(next_kind(0, 1, MESSAGE_RESYNC));
	throughout(200, is_dirty(0, 1, group(2)) && relation(1, 2) != VOLUME_IN_SYNC);
	settle();
}

static void forgotten_and_back(void)
{
	promote(0);
	write_everything(0);
	take_down(2);
	write_done(0, group(1));
	must(forget(0, 2) == VOLUME_OK && forget(1, 2) == VOLUME_OK);
	write_done(0, group(2));
	must(!(volume_of(0)->super.replicas & NODE_BIT(2)));
	hold(2, 0, LANE_CONTROL, WIRE_SYNC_START);
	boot(2);
	until(next_frame(2, 0, WIRE_SYNC_START));
	must(granules_dirty(0, 2) == WORLD_VOLUME_BYTES / GRANULE_BYTES_MIN);
	settle();
}

static void forget_a_member(void)
{
	promote(0);
	write_done(0, group(1));
	until(logs_empty());	/* nothing is in flight that would drop it at once */
	take_down(2);
	must(forget(0, 2) == VOLUME_REFUSED_MEMBER);
	must(forget(1, 2) == VOLUME_REFUSED_MEMBER);
	write_done(0, group(2));
	must(is_dirty(0, 2, group(2)));
	settle();
}

static void promoted_in_turn(void)
{
	u32 i;

	for (i = 0; i < 3; i++) {
		promote(0);
		demote(0);
		promote(1);
		demote(1);
	}
	cut(0, 1);
	promote_peer_down(0, NODE_BIT(1));
	promote_peer_down(1, NODE_BIT(0));
	heal(0, 1);
	until(relation(0, 1) == VOLUME_REFUSED && relation(1, 0) == VOLUME_REFUSED);
	demote(choice(2) ? 1 : 0);
	settle();
	write_done(world_primary(&stage), group(1));
	settle();
}

static void away_for_long(void)
{
	u32 i;

	promote(0);
	write_everything(0);
	isolate(2);
	for (i = 0; i < 36; i++) {
		cut(0, 1);
		write_done(0, group(i % WORLD_GROUPS));
		heal(0, 1);
		until(together(3));
	}
	must(volume_of(0)->super.chain.trimmed);
	settle();
}

static void stale_disk_of_a_primary(void)
{
	struct ticket lost, ticket;

	promote(0);
	write_everything(0);
	disk_dies(0);
	write_done(0, group(0));
	flush_done(0);
	until(disk_is_given_up(0));
	disk_dies(1);
	lost = write_begins(0, group(1));
	until(disk_is_given_up(1) && !in_stream(0, 1));
	ticket = write_begins(0, group(2));
	until(over(ticket));
	must(!acked(ticket) && !acked(lost));
	disk_recovers(0);
	until(is_up(0, 1));
	must_refuse(0, 0, VOLUME_REFUSED_STALE);
	cut(0, 1);
	must_refuse(0, 0, VOLUME_REFUSED_UNREACHABLE);
	disk_recovers(1);
	settle();
	promote(1);
}

static void facts_change_while_greeting(void)
{
	u32 round;

	promote(0);
	write_everything(0);
	for (round = 0; round < 4; round++) {
		u8 from = round & 1 ? 2 : 0, type = round & 2 ? WIRE_VERDICT : WIRE_GREET;
		struct ticket ticket;

		isolate(2);
		write_done(0, group(round));
		hold(from, 2 - from, LANE_CONTROL, type);
		rejoin(2);
		until(next_frame(from, 2 - from, type));
		pass(choice(100));
		cut_now(0, 1);
		ticket = write_begins(0, group(round + 1));
		until(over(ticket));
		must(acked(ticket));
		release_all();
		heal(0, 1);
		until(together(7));
	}
	settle();
}

static void split_seen_by_both(void)
{
	both_write_apart();
	heal(0, 1);
	until_both_see_the_split();
	must(world_is_primary(&stage, 0) && world_is_primary(&stage, 1));
	demote(1);
	throughout(200, relation(0, 1) == VOLUME_SPLIT || relation(0, 1) == VOLUME_GREETING);
	until_both_see_the_split();
	resolve(1);
	settle();
}

static void successor_writes_nothing(void)
{
	struct ticket ticket;

	promote(0);
	write_everything(0);
	flush_done(0);
	hold(0, 1, LANES_DATA, ANY);
	ticket = write_begins(0, group(1));
	until(request_of(ticket)->state == REQUEST_SENT);
	power_cut(0);
	release_all();
	promote_peer_down(1, NODE_BIT(0));
	boot(0);
	until(together(3));
	must(world_is_primary(&stage, 1) && volume_up_to_date(volume_of(1)));
	settle();
}

static void split_after_a_restart(void)
{
	u8 victim = (u8)choice(2);
	u64 id;

	both_write_apart();
	heal(0, 1);
	until_both_see_the_split();
	id = volume_of(0)->super.split_id;
	cut(0, 1);
	power_cut(victim);
	power_cut(1 - victim);
	boot(victim);
	boot(1 - victim);
	must(flag(0, ONDISK_SPLIT) && flag(1, ONDISK_SPLIT));
	must(volume_of(0)->super.split_id == id && volume_of(1)->super.split_id == id);
	heal(0, 1);
	until_both_see_the_split();
	throughout(200, relation(0, 1) == VOLUME_SPLIT && relation(1, 0) == VOLUME_SPLIT);
	resolve(victim);
	settle();
}

/* One end meets the split as a machine that just came up with its volume, the other is writing. */
static void split_met_at_attach(void)
{
	both_write_apart();
	power_cut(1);
	heal(0, 1);
	boot(1);
	until_both_see_the_split();
	write_done(0, group(3));
	resolve(1);
	settle();
}

static void victim_wrote_elsewhere(void)
{
	both_write_apart();
	write_done(1, group(3));
	write_done(1, group(6));
	flush_done(1);
	demote(1);		/* its log is empty now: only its dirty map knows */
	if (choice(2)) {
		power_cut(1);
		boot(1);
	}
	must(!is_dirty(0, 1, group(3)) && is_dirty(1, 0, group(3)));
	heal(0, 1);
	until_both_see_the_split();
	resolve(1);
	settle();
}

static void two_victims(void)
{
	stage.knobs.splits = true;
	promote(0);
	write_everything(0);
	isolate(0);
	write_done(0, group(1));
	promote_peer_down(1, NODE_BIT(0));
	until(together(6));
	write_done(1, group(2));
	write_done(1, group(3));
	demote(1);
	rejoin(0);
	until(relation(0, 1) == VOLUME_SPLIT && relation(0, 2) == VOLUME_SPLIT && relation(1, 0) == VOLUME_SPLIT &&
	      relation(2, 0) == VOLUME_SPLIT);
	resolve(1);
	until(!flag(1, ONDISK_YIELD));
	if (flag(2, ONDISK_SPLIT))
		resolve(2);
	settle();
}

/* Node 1 is primary on its side, node 2 follows it: what is acknowledged there goes on, so nobody there yields. */
static void side_with_a_primary(void)
{
	struct volume_event event = { .type = VOLUME_EVENT_RESOLVE, .node = 0 };

	stage.knobs.splits = true;
	promote(0);
	write_everything(0);
	isolate(0);
	write_done(0, group(1));
	demote(0);
	promote_peer_down(1, NODE_BIT(0));
	until(together(6));
	write_done(1, group(2));
	rejoin(0);
	until(relation(0, 2) == VOLUME_SPLIT && relation(2, 0) == VOLUME_SPLIT && flag(2, ONDISK_SPLIT) &&
	      !stage.node[2].command_pending);
	event.value = volume_of(2)->super.split_id;
	stage.node[2].command_pending = true;
	world_event(&stage, 2, &event);
	until(!stage.node[2].command_pending);
	must(stage.node[2].command_refusal == VOLUME_REFUSED_IS_PRIMARY && !flag(2, ONDISK_YIELD));
	write_done(1, group(3));
	power_cut(1);
	until(relation(2, 0) == VOLUME_SPLIT && quiet(2));
	throughout(200, relation(2, 0) == VOLUME_SPLIT || relation(2, 0) == VOLUME_GREETING);
	promote_peer_down(2, NODE_BIT(1));	/* holds what was acknowledged after the word [I1] */
	demote(2);
	boot(1);
	until(together(6) && relation(0, 1) == VOLUME_SPLIT && relation(0, 2) == VOLUME_SPLIT && relation(2, 0) == VOLUME_SPLIT);
	resolve(0);
	settle();
}

static void new_replica_claims_nothing(void)
{
	promote(0);
	write_everything(0);
	power_cut(1);
	cut(0, 1);
	new_disk(1);
	must_refuse(1, 3, VOLUME_REFUSED_STALE);
	must(try_command(1, VOLUME_EVENT_PROMOTE, 3, true) == VOLUME_REFUSED_STALE);
	hold_kind(0, 1, MESSAGE_RESYNC);
	heal(0, 1);
	until(next_kind(0, 1, MESSAGE_RESYNC));
	cut(0, 1);
	release_all();
	must_refuse(1, 3, VOLUME_REFUSED_SYNCING);
	settle();
}

static void replaced_secondary(void)
{
	promote(0);
	write_everything(0);
	flush_done(0);
	power_cut(1);
	write_done(0, group(1));
	must(!is_dirty(0, 1, group(7)) || stage.node[0].volume.log.nr_used);
	new_disk(1);
	until(together(3));
	settle();
}

static void replaced_primary(void)
{
	promote(0);
	write_everything(0);
	flush_done(0);
	power_cut(0);
	promote_peer_down(1, NODE_BIT(0));
	write_done(1, group(1));
	new_disk(0);
	until(together(3));
	settle();
}

/* Its disk tells another history, of the same length and the same numbers. */
static void other_history(u8 node)
{
	struct disk *disk = &stage.node[node].disk;
	enum ondisk_error error[2];
	struct ondisk_super super;
	u32 i;

	must(ondisk_super_choose(disk->meta[0], disk->meta[1], &super, error) >= 0);
	for (i = 0; i < super.chain.count; i++) {
		super.chain.record[i].id += 1000;
		super.chain.record[i].parent_id += i ? 1000 : 0;
	}
	super.sequence++;
	ondisk_super_encode(&super, 0, disk->meta[0]);
	ondisk_super_encode(&super, 1, disk->meta[1]);
}

static void unrelated_histories(void)
{
	u32 mine, theirs;

	promote(0);
	write_everything(0);
	cut(0, 1);
	write_done(0, group(1));
	power_cut(1);
	other_history(1);
	mine = stage.node[0].disk.cache[GROUP_CELLS];
	theirs = stage.node[1].disk.cache[GROUP_CELLS];
	boot(1);
	heal(0, 1);
	until(relation(0, 1) == VOLUME_REFUSED && relation(1, 0) == VOLUME_REFUSED);
	throughout(300, relation(0, 1) == VOLUME_REFUSED && relation(1, 0) == VOLUME_REFUSED &&
		   stage.node[0].disk.cache[GROUP_CELLS] == mine && stage.node[1].disk.cache[GROUP_CELLS] == theirs);
	new_disk(1);
	settle();
}

static void history_changes_at_the_end(void)
{
	struct ticket ticket;

	promote(0);
	write_everything(0);
	isolate(2);
	write_done(0, group(1));
	rejoin(2);
	if (choice(2))
		until(relation(0, 2) == VOLUME_JOINING);
	else
		until(relation(0, 2) == VOLUME_TARGET);
	cut_now(0, 1);
	cut_now(1, 2);
	ticket = write_begins(0, group(2));
	until(over(ticket));
	must(acked(ticket));
	until(together(5));
	settle();
}

static void writer_lost_at_the_end(void)
{
	struct ticket ticket;

	promote(0);
	write_everything(0);
	isolate(2);
	write_done(0, group(1));
	hold(2, 0, LANE_CONTROL, WIRE_RECORD_ACK);
	rejoin(2);
	until(relation(0, 2) == VOLUME_JOINING);
	ticket = write_begins(0, group(2));
	pass(choice(200));
	power_cut(0);
	release_all();
	until(!is_up(1, 0) && !is_up(2, 0));
	promote_peer_down(1, NODE_BIT(0));
	write_done(1, group(3));
	boot(0);
	settle();
	(void)ticket;
}

/*
 * Node 1 adds node 0, and does not know yet that node 2, with which it is in sync, is writing: what those two acknowledge, node 0 has
 * not. Then the writer is lost, and the two compare.
 */
static void added_behind_the_writer(void)
{
	promote(2);
	write_everything(2);
	isolate(0);
	write_done(2, group(1));
	demote(2);
	hold_kind(1, 0, MESSAGE_RESYNC);
	heal(0, 1);
	until(relation(1, 0) == VOLUME_TARGET);
	hold(2, 1, LANE_CONTROL, WIRE_GREET);
	promote(2);
	release(1, 0);
	until(tail(1)->members == 7);
	write_done(2, group(2));
	pass(choice(100));
	power_cut(2);
	release_all();
	until(!is_up(1, 2) && relation(1, 0) == VOLUME_IN_SYNC && relation(0, 1) == VOLUME_IN_SYNC);
	promote_peer_down(choice(2), NODE_BIT(2));
	boot(2);
	settle();
}

/* The node that is being added is lost before its answer, and stays away: work goes on without it. */
static void joiner_lost(u8 from, u8 to, u8 frame_type)
{
	promote(0);
	write_everything(0);
	isolate(1);
	write_done(0, group(1));
	hold(from, to, LANE_CONTROL, frame_type);
	rejoin(1);
	until(next_frame(from, to, frame_type));
	must(relation(0, 1) == VOLUME_JOINING);
	cut(0, 1);
	must(!in_stream(0, 1));
	write_done(0, group(2));
	must(tail(0)->members == NODE_BIT(0) && is_dirty(0, 1, group(2)));
	must_refuse(1, 0, frame_type == WIRE_RECORD ? VOLUME_REFUSED_SYNCING : VOLUME_REFUSED_UNREACHABLE);
	settle();
}

static void joiner_lost_unasked(void)
{
	joiner_lost(0, 1, WIRE_RECORD);
}

static void joiner_lost_unheard(void)
{
	joiner_lost(1, 0, WIRE_RECORD_ACK);
}

/* While nobody looks node 1 fills an empty disk at node 2. Node 0 may be ahead of node 1: it compares. */
static void new_disk_behind_the_back(void)
{
	u64 resyncs;

	promote(0);
	write_everything(0);
	demote(0);
	until(together(7));
	cut(0, 2);
	new_disk(2);
	until(together(6));
	resyncs = stage.count_resyncs;
	heal(0, 2);
	until(together(7));
	must(stage.count_resyncs > resyncs);
	settle();
}

/* A target has the chain of its source, half of its content, and is made primary by force: not its continuation. */
static void half_synced_by_force(void)
{
	promote(0);
	write_everything(0);
	cut(0, 1);
	write_done(0, group(0));
	hold_kind(0, 1, MESSAGE_RESYNC);
	heal(0, 1);
	until(relation(1, 0) == VOLUME_SOURCE && in_stream(0, 1));
	cut(0, 1);
	release_all();
	promote_by_force(1);
	write_done(1, group(2));
	write_done(0, group(3));
	heal(0, 1);
	until(relation(0, 1) == VOLUME_SPLIT && relation(1, 0) == VOLUME_SPLIT);
	demote(1);
	resolve(1);
	settle();
}

/* A resync starts while a record is being made: the chain waits until its maker cannot lose it any more. */
static void record_not_durable_yet(void)
{
	struct ticket ticket;
	u32 i;

	promote(0);
	write_done(0, group(0));
	isolate(2);
	write_done(0, group(1));
	hold(2, 0, LANE_CONTROL, WIRE_RANGES_END);
	rejoin(2);
	until(relation(0, 2) == VOLUME_TARGET_STARTING && next_frame(2, 0, WIRE_RANGES_END));
	cut_now(0, 1);
	cut_now(1, 2);
	ticket = write_begins(0, group(2));
	until(volume_of(0)->proposal.active && !volume_of(0)->proposal.saved);
	release_all();
	for (i = 0; i < 300 && volume_of(0)->proposal.active && !volume_of(0)->proposal.saved; i++) {
		must(!next_frame(0, 2, WIRE_SYNC_ACCEPT));
		pass(1);
	}
	until(over(ticket));
	settle();
}

static const struct story stories[] = {
	{ "G1-behind-the-back", 3, "G4 I5", "a primary without a disk writes; nobody resyncs a third replica behind its back",
	  behind_the_back, NULL },
	{ "G2-two-writers-without-disks", 3, "G2 G4", "two primaries without disks write in turn: each under its own record",
	  two_writers_without_disks, NULL },
	{ "G2-writers-in-turn", 2, "G2 I12", "every change of the writer is a record of its own", writers_in_turn, NULL },
	{ "G3-disk-and-peer-at-once", 3, "G3", "the primary loses its disk and a peer in the same moment", disk_and_peer_at_once,
	  NULL },
	{ "G3-nobody-left", 2, "G4 W4", "the primary loses its disk and its only peer: writes fail, nothing is lost",
	  disk_and_last_peer_at_once, NULL },
	{ "G4-record-lost", 3, "G3", "a record that does not reach a member holds all writes back until that member is out",
	  record_lost, NULL },
	{ "G4-record-not-durable", 3, "G3", "a target is not told of a record that its maker can still lose", record_not_durable_yet,
	  NULL },
	{ "G4-record-answer-lost", 3, "G3", "the same when only the answer is lost", record_answer_lost, NULL },
	{ "G4-member-by-name", 3, "W4 G8", "a member that is gone is not counted as a holder; its writes wait for the record",
	  member_by_name, NULL },
	{ "G5-bits-on-one-side", 2, "G6 D2", "equal records, bits left at one end: compared, not cleared", bits_left_on_one_side,
	  NULL },
	{ "G5-bits-on-both-sides", 2, "G6 I9", "equal records, bits left at both ends: one source, no deadlock",
	  bits_left_on_both_sides, NULL },
	{ "G6-back-from-a-clean-end", 3, "D2", "a secondary taken down cleanly returns: the survivors' bits stay until proven",
	  back_from_a_clean_end, NULL },
	{ "G7-forgotten-and-back", 3, "D1", "a forgotten replica that returns is compared throughout", forgotten_and_back, NULL },
	{ "G7-forget-a-member", 3, "G8", "a replica that still counts as in sync cannot be forgotten", forget_a_member, NULL },
	{ "G8-promoted-in-turn", 2, "G2 I11", "promoted in turn, even at once, without a write: never a split", promoted_in_turn,
	  NULL },
	{ "G8-away-for-long", 3, "G5 I11", "a node that was away for more records than a chain keeps is behind, not unrelated",
	  away_for_long, NULL },
	{ "G9-stale-disk-of-a-primary", 2, "G4 G8", "both disks fail, the older one comes back first: not promoted",
	  stale_disk_of_a_primary, NULL },
	{ "G10-facts-change-while-greeting", 3, "I9", "the record changes between greeting and verdict", facts_change_while_greeting,
	  NULL },
	{ "G11-split-seen-by-both", 2, "I10 G7", "a split between two primaries is seen at both ends, with one id",
	  split_seen_by_both, NULL },
	{ "G12-successor-writes-nothing", 2, "G6 I11", "the primary crashes, its successor writes nothing, the old one returns",
	  successor_writes_nothing, NULL },
	{ "G13-split-after-a-restart", 2, "G7", "both sides of a split restart: they still know, before they meet",
	  split_after_a_restart, NULL },
	{ "G13-split-met-at-attach", 2, "I10", "one side meets the split when its volume comes up", split_met_at_attach, NULL },
	{ "G14-victim-wrote-elsewhere", 2, "G6 I7", "what the losing side wrote is not in the winner's map: overwritten all the same",
	  victim_wrote_elsewhere, NULL },
	{ "G14-half-synced-by-force", 2, "I10", "a half-synced replica promoted by force does not continue its source's history",
	  half_synced_by_force, NULL },
	{ "G14-two-victims", 3, "G7 I7", "two replicas on the losing side of a split", two_victims, NULL },
	{ "G14-side-with-a-primary", 3, "G7 I1", "a side of a split that has a primary does not yield, on whichever node it is asked",
	  side_with_a_primary, NULL },
	{ "G15-new-replica", 2, "G4", "a new replica is never promoted before its first resync is complete",
	  new_replica_claims_nothing, NULL },
	{ "G16-replaced-secondary", 2, "I7", "an empty disk in place of a secondary's is filled wholly", replaced_secondary, NULL },
	{ "G16-behind-the-back", 3, "I5 G10", "a disk that was replaced and filled meanwhile is compared by those who did not see it",
	  new_disk_behind_the_back, NULL },
	{ "G16-replaced-primary", 2, "I7", "an empty disk in place of a crashed primary's is filled wholly", replaced_primary, NULL },
	{ "G17-unrelated-histories", 2, "G10 G5", "equal numbers, other ids: refused at both ends, nothing changed",
	  unrelated_histories, NULL },
	{ "G19-history-changes-at-the-end", 3, "G2 R2", "the last step of a resync while a third replica is lost",
	  history_changes_at_the_end, NULL },
	{ "G19-added-behind-the-writer", 3, "G2 I1", "a secondary adds a member while another one has begun to write",
	  added_behind_the_writer, NULL },
	{ "G19-joiner-lost-unasked", 2, "W4 G2 D1", "the node that is being added is lost before it gets the record; work goes on",
	  joiner_lost_unasked, NULL },
	{ "G19-joiner-lost-unheard", 2, "W4 G2 D1", "the node that is being added is lost before its answer; work goes on",
	  joiner_lost_unheard, NULL },
	{ "G19-writer-lost-at-the-end", 3, "G2 I1", "the writer is lost while it adds a member", writer_lost_at_the_end, NULL },
};

STORY_TABLE(stories)
