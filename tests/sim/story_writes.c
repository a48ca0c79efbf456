// SPDX-License-Identifier: GPL-2.0
/*
 * Plays of group W: order and durability of writes, flushes and reads [W].
 */
#include "story.h"

static u32 lane_of(struct ticket ticket)
{
	return 1 + (u32)(request_of(ticket)->id % (WORLD_LANES - 1));
}

static bool took_off(struct ticket ticket)
{
	return request_of(ticket)->state > REQUEST_QUEUED;
}

static u32 held_by(u8 node, u32 number)
{
	return stage.node[node].disk.cache[number];
}

/* A write is held up, one that overlaps waits for it, a flush comes after both: it stands for neither. */
static void flush_beside_a_held_write(void)
{
	struct ticket held, waiting, flush;
	u32 steps = choice(300);

	promote(0);
	write_everything(0);
	flush_done(0);
	held = write_begins(0, group(1));
	until(took_off(held));
	hold(1, 0, 1u << lane_of(held), ANY);
	waiting = write_begins(0, group(1));
	flush = flush_begins(0);
	throughout(100 + steps, over(held) || request_of(waiting)->state == REQUEST_QUEUED);
	must(!acked(waiting) || acked(held));
	power_cut(0);
	power_cut(1);
	boot(1);
	boot(0);
	settle();
	promote((u8)choice(2));
	(void)flush;
}

static void quiet_before_drained(void)
{
	struct node *n = &stage.node[0];
	struct ticket first, second;

	promote(0);
	until(together(3));
	hold_kind(1, 0, MESSAGE_ACK);
	first = write_begins(0, group(1));
	until(took_off(first));
	n->command_pending = true;	/* a demotion that begins beside work */
	n->demote = DEMOTE_QUIET;
	volume_quiesce(&n->volume);
	second = write_begins(0, group(2));
	throughout(300, world_is_primary(&stage, 0) && !over(first) && (!took_off(second) || n->demote == DEMOTE_NONE));
	release_all();
	until(over(first) && over(second));
	must(acked(first) && acked(second));
	until(n->demote == DEMOTE_NONE);
	demote(0);
	promote(1);
	settle();
}

static void both_lose_power(void)
{
	u8 first = (u8)choice(2);
	u32 i;

	promote(0);
	write_everything(0);
	flush_done(0);
	for (i = 0; i < 5; i++)
		if (choice(4))
			write_begins(0, group(choice(WORLD_GROUPS)));
		else
			flush_begins(0);
	pass(choice(200));
	power_cut(first);
	power_cut(1 - first);
	boot((u8)choice(2));
	for (i = 0; i < 2; i++)
		boot((u8)i);
	settle();
	promote((u8)choice(2));	/* what a flush covered is there: checked by the promotion */
	settle();
}

/* A volatile cache that is turned off is written back. */
static void switch_cache(u8 node, bool through)
{
	disk_flush(&stage.node[node].disk);
	stage.node[node].disk.through = through;
}

/* No frame passes to the peer, and the flush is done all the same. */
static void flush_needs_nobody(void)
{
	struct ticket flush;

	hold(0, 1, LANES_DATA, ANY);
	flush = flush_begins(0);
	until(over(flush));
	must(acked(flush));
	release_all();
}

static void flush_needs_peer(void)
{
	struct ticket flush;

	hold(0, 1, LANES_DATA, ANY);
	flush = flush_begins(0);
	throughout(300, !over(flush));
	release_all();
	until(acked(flush));
}

static void caches_come_and_go(void)
{
	promote(0);
	switch_cache(0, true);
	switch_cache(1, true);
	write_everything(0);
	flush_done(0);
	write_everything(0);
	flush_needs_nobody();
	switch_cache(1, false);
	write_everything(0);
	flush_needs_peer();
	flush_needs_nobody();
	write_everything(0);
	switch_cache(1, true);		/* too late for what was acknowledged: it is not known here */
	flush_needs_peer();
	switch_cache(0, false);
	switch_cache(1, false);
	write_done(0, group(choice(WORLD_GROUPS)));
	flush_done(0);
	power_cut(0);
	power_cut(1);
	boot(0);
	boot(1);
	settle();
	promote(1);
	write_done(1, group(1));
	settle();
}

/* One write, one flush, again and again: the write is FUA, the flush finds nothing to do. Then both lose power. */
static void write_and_flush_in_turn(void)
{
	u32 i;

	promote(0);
	write_everything(0);
	for (i = 0; i < 4; i++) {
		write_done(0, group(choice(WORLD_GROUPS)));
		flush_done(0);
	}
	for (i = 0; i < 4; i++) {
		write_done(0, group(choice(WORLD_GROUPS)));
		flush_needs_nobody();
	}
	write_done(0, group(0));
	write_done(0, group(1));
	flush_needs_peer();
	power_cut(0);
	power_cut(1);
	boot(0);
	boot(1);
	settle();
	promote((u8)choice(2));
	settle();
}

static void overlapping_writes(void)
{
	struct ticket tickets[6];
	u32 i, round;

	promote(0);
	for (round = 0; round < 4; round++) {
		u32 base = choice(WORLD_GROUPS) * GROUP_CELLS;

		hold(0, 1, 1u << (1 + choice(2)), ANY);
		for (i = 0; i < 6; i++)
			tickets[i] = write_begins(0, (1 + choice(15)) << base);
		pass(choice(300));
		release_all();
		for (i = 0; i < 6; i++)
			until(over(tickets[i]));
		tickets[0] = read_begins(0, group(base / GROUP_CELLS));
		until(over(tickets[0]));
	}
	settle();
}

static void secondary_write_error(void)
{
	struct ticket ticket;

	promote(0);
	write_everything(0);
	ticket = write_begins(0, group(2));
	until(took_off(ticket));
	disk_dies(1);
	until(over(ticket));
	must(acked(ticket));
	write_done(0, group(3));
	must(!(tail(0)->members & NODE_BIT(1)) && is_dirty(0, 1, group(3)));
	disk_recovers(1);
	settle();
}

static void primary_write_error(void)
{
	struct ticket ticket;

	promote(0);
	write_everything(0);
	until(together(3));
	hold(0, 1, LANE_CONTROL, ANY);	/* no record can be agreed */
	disk_dies(0);
	ticket = write_begins(0, group(2));
	throughout(300, !over(ticket));
	release_all();
	until(over(ticket));
	must(acked(ticket) && !(tail(1)->members & NODE_BIT(0)));
	disk_recovers(0);
	settle();
}

static void answer_after_the_end(void)
{
	struct ticket ticket;

	promote(0);
	write_everything(0);
	until(together(3));
	hold_kind(1, 0, MESSAGE_ACK);
	ticket = write_begins(0, group(2));
	until(next_kind(1, 0, MESSAGE_ACK));
	world_event_simple(&stage, 0, VOLUME_EVENT_PEER_IO_FAILED, 1);
	until(over(ticket) && stage.node[0].volume.in_flight == 0);
	must(acked(ticket) && tail(0)->members == NODE_BIT(0));
	release_all();
	write_done(0, group(2));
	settle();
}

static void lanes_out_of_order(void)
{
	struct ticket slow, fast, same, flush;

	promote(0);
	until(together(3));
	slow = write_begins(0, group(1));
	until(took_off(slow) || over(slow));
	if (!over(slow))
		hold(0, 1, 1u << lane_of(slow), ANY);
	fast = write_begins(0, group(2));
	same = write_begins(0, group(1));
	flush = flush_begins(0);
	pass(300);
	must(!acked(same) || acked(slow));
	release_all();
	until(over(slow) && over(fast) && over(same) && over(flush));
	must(acked(slow) && acked(fast) && acked(same) && acked(flush));
	must(held_by(1, GROUP_CELLS) == request_of(same)->stamp);
	settle();
}

static void read_error(void)
{
	struct ticket ticket;
	u64 reads;

	promote(0);
	write_everything(0);
	until(together(3));
	reads = stage.count_reads;
	stage.node[0].disk.bad = group(2);
	ticket = read_begins(0, group(2));
	until(over(ticket));
	must(stage.count_reads == reads + 1 && !stage.node[0].disk.bad && !disk_is_given_up(0));
	cut(0, 1);
	write_done(0, group(3));
	stage.node[0].disk.bad = group(2);
	ticket = read_begins(0, group(2));
	until(over(ticket));		/* with an error: nobody else has it */
	must(stage.count_reads == reads + 1 && !disk_is_given_up(0));
	write_done(0, group(2));
	must(!stage.node[0].disk.bad);
	settle();
}

/*
 * What was read here beside a write in flight is not gone when the disk here dies and reads go elsewhere [I3]. On which lane a read
 * goes is random, one is free.
 */
static void read_after_the_disk(void)
{
	struct ticket write, other, reads[3];
	u32 i, nr_over = 0;

	promote(0);
	write_everything(0);
	until(together(3));
	hold_kind(0, 1, MESSAGE_WRITE);
	write = write_begins(0, group(2));
	until(took_off(write) && !volume_waits_for(&request_of(write)->ack, 0));
	reads[0] = read_begins(0, group(2));
	until(over(reads[0]));
	disk_dies(0);
	other = write_begins(0, group(3));
	until(disk_is_given_up(0) && !(tail(0)->members & NODE_BIT(0)));
	for (i = 0; i < CORE_ARRAY_SIZE(reads); i++)
		reads[i] = read_begins(0, group(2));
	pass(400);
	must(!over(write));
	for (i = 0; i < CORE_ARRAY_SIZE(reads); i++)
		nr_over += over(reads[i]);
	must(!nr_over);
	release_all();
	until(over(write) && over(other));
	for (i = 0; i < CORE_ARRAY_SIZE(reads); i++)
		until(over(reads[i]));
	disk_recovers(0);
	settle();
}

static void not_from_a_target(void)
{
	struct ticket ticket;
	u64 reads;

	promote(0);
	write_everything(0);
	cut(0, 1);
	write_everything(0);
	hold_kind(0, 1, MESSAGE_RESYNC);
	heal(0, 1);
	until(in_stream(0, 1) && relation(1, 0) == VOLUME_SOURCE);
	stage.node[0].disk.bad = group(2);
	reads = stage.count_reads;
	ticket = read_begins(0, group(2));
	until(over(ticket));
	must(stage.count_reads == reads);
	release_all();
	write_done(0, group(2));
	settle();
}

static void frozen_writes_complete_once(void)
{
	struct ticket tickets[4];
	u32 i;

	promote(0);
	write_everything(0);
	until(together(3));
	hold_kind(1, 0, MESSAGE_ACK);
	for (i = 0; i < 4; i++)
		tickets[i] = write_begins(0, group(i));
	for (i = 0; i < 4; i++)
		until(took_off(tickets[i]));
	hold(0, 2, LANE_CONTROL, WIRE_RECORD);
	cut_now(0, 1);
	cut_now(1, 2);
	until(next_frame(0, 2, WIRE_RECORD));
	throughout(200, !over(tickets[0]) && !over(tickets[1]) && !over(tickets[2]) && !over(tickets[3]));
	release_all();
	for (i = 0; i < 4; i++) {
		until(over(tickets[i]));
		must(acked(tickets[i]));
	}
	until(quiet(0));
	must(!stage.node[0].volume.in_flight);
	must(!volume_peer_const(&stage.node[0].volume, 1)->acks_pending);
	settle();
}

/*
 * The same, and meanwhile the member that is cut off is promoted by force and written to. Each side's writes complete once, and
 * both see the split.
 */
static void forced_while_frozen(void)
{
	struct ticket tickets[3];
	u32 i;

	promote(0);
	write_everything(0);
	until(together(7));
	hold_kind(1, 0, MESSAGE_ACK);
	for (i = 0; i < 3; i++)
		tickets[i] = write_begins(0, group(i));
	for (i = 0; i < 3; i++)
		until(took_off(tickets[i]));
	hold(0, 2, LANE_CONTROL, WIRE_RECORD);
	cut_now(0, 1);
	cut_now(1, 2);
	until(next_frame(0, 2, WIRE_RECORD) && !is_up(1, 0) && !is_up(1, 2));
	promote_by_force(1);
	write_done(1, group(choice(4)));
	throughout(50, !over(tickets[0]) && !over(tickets[1]) && !over(tickets[2]));
	release_all();
	for (i = 0; i < 3; i++) {
		until(over(tickets[i]));
		must(acked(tickets[i]));
	}
	until(quiet(0) && quiet(1));
	heal(0, 1);
	heal(1, 2);
	until(relation(0, 1) == VOLUME_SPLIT && relation(1, 0) == VOLUME_SPLIT);
	demote(1);
	resolve(1);
	settle();
}

/* The same, and the writer loses power before the record is agreed: nothing of it was promised. */
static void frozen_writes_and_power(void)
{
	struct ticket ticket;

	promote(0);
	write_everything(0);
	flush_done(0);
	hold_kind(1, 0, MESSAGE_ACK);
	ticket = write_begins(0, group(1));
	until(took_off(ticket));
	hold(2, 0, LANE_CONTROL, WIRE_RECORD_ACK);
	cut_now(0, 1);
	until(next_frame(2, 0, WIRE_RECORD_ACK));
	must(!over(ticket));
	power_cut(0);
	release_all();
	rejoin(0);
	rejoin(1);
	until(!is_up(1, 0) && !is_up(2, 0));
	promote_peer_down(2, NODE_BIT(0) | NODE_BIT(1));
	write_done(2, group(3));
	boot(0);
	settle();
}

/* The region is in use again, by a write that no flush covers, when word of its eviction arrives: it stays in the log. */
static void late_eviction(void)
{
	struct ticket full, again;

	small_log(0, 4);
	until(together(7));
	promote(0);
	hold_kind(0, 1, MESSAGE_EVICT);
	hold_kind(0, 2, MESSAGE_EVICT);
	write_done(0, group(0));
	write_done(0, group(1));
	full = write_begins(0, group(2));
	until(next_kind(0, 1, MESSAGE_EVICT) && next_kind(0, 2, MESSAGE_EVICT));
	again = write_begins(0, group(0));
	pass(400);
	release_all();
	until(over(full) && over(again) && !next_kind(0, 1, MESSAGE_EVICT) && !next_kind(0, 2, MESSAGE_EVICT));
	pass(choice(200));
	power_cut(0);
	power_cut(1);
	boot(1);
	until(together(6));
	boot(0);
	settle();
}

/*
 * The log reset that a demotion had asked for comes when that was broken off and a user has written again, to a replica with the
 * write in its cache only. It is the target of a resync, and the flush that proves its blocks is older than the write.
 */
static void demotion_broken_off(void)
{
	struct node *n = &stage.node[0];
	struct save_request late;
	struct ticket ticket;
	u32 lane;

	promote(0);
	write_everything(0);
	flush_done(0);
	isolate(1);
	write_done(0, group(1));
	until(fault_demote(&stage, 0));
	until(n->demote == DEMOTE_RESETTING);
	late = n->meta.queue[--n->meta.nr_queued];
	must(late.kind == SAVE_RESET);
	path_demote_broken_off(n);
	hold_kind(0, 1, MESSAGE_FLUSH);
	rejoin(1);
	until(next_kind(0, 1, MESSAGE_FLUSH));
	lane = stage.lane[0][1][1].first && stage.lane[0][1][1].first->kind == MESSAGE_FLUSH ? 1 : 2;
	hold(1, 0, 1u << lane, ANY);	/* its answer is the last that is missing for the proof */
	release(0, 1);
	until(next_kind(1, 0, MESSAGE_ACK));
	ticket = write_begins(0, cell(GROUP_CELLS) | cell(GROUP_CELLS + 1));
	until(took_off(ticket));
	if (lane_of(ticket) != lane) {
		until(over(ticket));
		meta_save(&stage, 0, &late);
		until(!n->meta.nr_queued && n->meta.phase == PHASE_IDLE);
	}
	release_all();
	until(over(ticket));
	must(acked(ticket));
	until(!granules_dirty(0, 1));
	power_cut(1);
	boot(1);
	settle();
}

static const struct story stories[] = {
	{ "W1-flush-beside-a-held-write", 2, "W5 I1", "a flush stands for acknowledged writes, not for one that is held up",
	  flush_beside_a_held_write, NULL },
	{ "W5-quiet-before-drained", 2, "W4 I14", "a demotion that begins beside work waits until all of it has ended",
	  quiet_before_drained, NULL },
	{ "W6-both-lose-power", 2, "W5 W6 I1", "both lose power and caches at once: what a flush covered is there", both_lose_power,
	  NULL },
	{ "W6-caches-come-and-go", 2, "W5 I1", "a flush goes where a cache may hold something, caches are turned on and off meanwhile",
	  caches_come_and_go, NULL },
	{ "W6-write-and-flush-in-turn", 2, "W5 I1", "a write before each flush is FUA, the flush needs no peer; then both lose power",
	  write_and_flush_in_turn, NULL },
	{ "W6-demotion-broken-off", 2, "W6 I6", "the log reset of a demotion that was broken off comes when users write again",
	  demotion_broken_off, NULL },
	{ "W6-late-eviction", 3, "W6 I5", "word of an eviction arrives when the region is in use again", late_eviction, NULL },
	{ "W7-overlapping-writes", 2, "W1 I3", "writes that overlap, on lanes of different speed", overlapping_writes, NULL },
	{ "W8-secondary-write-error", 2, "W4 D1", "a secondary fails a write: it is out and marked before the write completes",
	  secondary_write_error, NULL },
	{ "W8-primary-write-error", 2, "W4 G3", "the writer's disk fails a write: it is out, and that durable, before the write completes",
	  primary_write_error, NULL },
	{ "W9-answer-after-the-end", 2, "W4 I14", "a write was given up for a peer whose answer comes later", answer_after_the_end,
	  NULL },
	{ "W10-lanes-out-of-order", 2, "W1 W5", "one lane is late, the other is not", lanes_out_of_order, NULL },
	{ "W11-read-error", 2, "W7", "a bad block is read from the peer and written again; without a peer the read fails alone",
	  read_error, NULL },
	{ "W11-read-after-the-disk", 3, "I3 W7", "what was read beside a write in flight is read again after the disk died here",
	  read_after_the_disk, NULL },
	{ "W11-not-from-a-target", 2, "I2 W7", "a read error is not repaired from a replica that is being resynced",
	  not_from_a_target, NULL },
	{ "W12-frozen-writes", 3, "W4 G3 I14", "writes that wait for a record complete exactly once", frozen_writes_complete_once,
	  NULL },
	{ "Q11-forced-while-frozen", 3, "I10 I14 W4", "a member is promoted by force while the writer's writes wait for the record without it",
	  forced_while_frozen, NULL },
	{ "W12-frozen-and-power", 3, "W4 G3 I1", "writes wait for a record, and their writer loses power", frozen_writes_and_power,
	  NULL },
};

STORY_TABLE(stories)
