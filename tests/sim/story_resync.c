// SPDX-License-Identifier: GPL-2.0
/*
 * Plays of group B: dirty map, activity log, resync [D] [R].
 */
#include "story.h"

static struct resync *resync_of(u8 node, u8 peer)
{
	return &stage.node[node].resync[peer];
}

/* Node @target lacks @cells and is alone. */
static void falls_behind(u8 target, u32 cells)
{
	isolate(target);
	write_done(0, cells);
}

static void everything_written_and_flushed(void)
{
	promote(0);
	write_everything(0);
	flush_done(0);
}

static void write_between_maps_and_resync(u8 from, u8 to, u8 frame_type)
{
	everything_written_and_flushed();
	falls_behind(1, group(0));
	hold(from, to, LANE_CONTROL, frame_type);
	rejoin(1);
	until(next_frame(from, to, frame_type) && relation(0, 1) == VOLUME_TARGET_STARTING);
	write_done(0, group(5));
	must(is_dirty(0, 1, group(5)));
	settle();
}

static void write_before_accept(void)
{
	write_between_maps_and_resync(1, 0, WIRE_RANGES_END);
	demote(0);
	write_between_maps_and_resync(0, 1, WIRE_SYNC_ACCEPT);
}

static void write_before_ready(void)
{
	write_between_maps_and_resync(1, 0, WIRE_SYNC_READY);
}

static void paused_target(void)
{
	everything_written_and_flushed();
	falls_behind(2, group(1));
	must(is_dirty(0, 2, group(1)) && is_dirty(1, 2, group(1)));
	heal(1, 2);		/* the primary cannot be reached: it waits */
	until(relation(1, 2) == VOLUME_WAITING && relation(2, 1) == VOLUME_WAITING);
	write_done(0, group(2));
	must(is_dirty(0, 2, group(2)) && is_dirty(1, 2, group(2)));
	power_cut(0);
	promote_peer_down(1, NODE_BIT(0));
	until(together(6));
	boot(0);
	settle();
}

/* The joining node is told what a third one lacks, while more of that happens; then it is alone with it. */
static void notices_in_the_pipe(void)
{
	struct ticket first, second;

	everything_written_and_flushed();
	falls_behind(2, group(1));
	cut(0, 1);
	write_done(0, group(2));
	heal(0, 1);
	until(relation(0, 1) == VOLUME_TARGET);
	first = write_begins(0, group(3));
	until(relation(0, 1) == VOLUME_JOINING);
	second = write_begins(0, group(4));
	until(relation(1, 0) == VOLUME_IN_SYNC && over(first) && over(second));
	must(acked(first) && acked(second));
	must(is_dirty(1, 2, group(1) | group(2) | group(3) | group(4)));
	power_cut(0);
	promote_peer_down(1, NODE_BIT(0));
	rejoin(2);
	until(together(6));
	boot(0);
	settle();
}

/* A new replica knows nothing of a third one but what it is told before it counts. */
static void new_member_is_told(void)
{
	everything_written_and_flushed();
	falls_behind(2, group(1));
	power_cut(1);
	write_done(0, group(2));
	new_disk(1);
	until(relation(0, 1) == VOLUME_JOINING);
	until(relation(0, 1) == VOLUME_IN_SYNC);
	power_cut(1);
	power_cut(0);
	boot(1);
	must(is_dirty(1, 2, group(1) | group(2)));
	promote_peer_down(1, NODE_BIT(0));
	rejoin(2);
	until(together(6));
	boot(0);
	settle();
}

/* Its first word of the third one: that may lack anything. */
static void unknown_replica(void)
{
	everything_written_and_flushed();
	falls_behind(2, group(1));
	new_disk(1);
	until(relation(1, 0) > VOLUME_GREETING && volume_peer_const(&stage.node[1].volume, 2));
	must(is_dirty(1, 2, group(1) | group(7)));
	settle();
}

static void pipe_of_a_short_resync(void)
{
	struct ticket ticket;

	everything_written_and_flushed();
	falls_behind(1, group(2));
	hold(0, 1, LANES_DATA & ~(1u << (1 + choice(2))), ANY);
	rejoin(1);
	until(relation(0, 1) == VOLUME_TARGET);
	ticket = write_begins(0, group(2));
	pass(50 + choice(300));
	release_all();
	until(over(ticket) && together(3));
	settle();
}

static void late_proof(void)
{
	u32 i;

	everything_written_and_flushed();
	for (i = 0; i < 3; i++) {
		falls_behind(1, group(1 + i));
		hold_kind(1, 0, MESSAGE_ACK);
		rejoin(1);
		if (i < 2)
			until(next_kind(1, 0, MESSAGE_ACK) && relation(0, 1) == VOLUME_TARGET);
		if (i == 1) {	/* let the data through, hold the answer to the flush */
			release(1, 0);
			until(resync_of(0, 1)->proof_active);
			hold_kind(1, 0, MESSAGE_ACK);
			pass(100);
		}
		cut(0, 1);
		write_done(0, group(1 + i));
		must(is_dirty(0, 1, group(1 + i)));
		release_all();
		throughout(100, is_dirty(0, 1, group(1 + i)));
		rejoin(1);
		until(together(3));
	}
	settle();
}

/* Seed 1795373995403, 3 nodes: the source is a secondary, and the writer does not know its target. */
/* Is nothing of @cells sent, or to be sent, that is not part of the proof under way? */
static bool proof_covers_dirty(u8 node, u8 peer, u32 cells)
{
	const struct resync *resync = resync_of(node, peer);
	u32 cell;

	for (cell = 0; cell < WORLD_CELLS; cell++)
		if (cells >> cell & 1 && is_dirty(node, peer, 1u << cell) && !(resync->proving >> cell & 1))
			return false;
	return true;
}

static void marked_while_proving(void)
{
	struct ticket ticket;

	everything_written_and_flushed();
	falls_behind(2, group(1));
	demote(0);
	hold_kind(0, 2, MESSAGE_FLUSH);
	heal(0, 2);
	until(resync_of(0, 2)->proof_active && next_kind(0, 2, MESSAGE_FLUSH));
	while (!proof_covers_dirty(0, 2, group(1))) {	/* what follows on that lane would wait behind the flush, with its range */
		release(0, 2);
		until(!resync_of(0, 2)->proof_active);
		hold_kind(0, 2, MESSAGE_FLUSH);
		until(resync_of(0, 2)->proof_active && next_kind(0, 2, MESSAGE_FLUSH));
	}
	hold(2, 0, LANE_CONTROL, ANY);		/* the present plan stands */
	promote(1);
	ticket = write_begins(1, group(1));
	until(over(ticket));
	must(acked(ticket) && is_dirty(0, 2, group(1)));
	release(0, 2);
	until(!resync_of(0, 2)->proof_active);
	must(is_dirty(0, 2, group(1)));
	release_all();
	power_cut(1);
	rejoin(2);
	promote_peer_down(0, NODE_BIT(1));
	until(together(5));
	boot(1);
	settle();
}

static void bits_behind_the_cursor(void)
{
	struct ticket tickets[6];
	u32 i;

	everything_written_and_flushed();
	isolate(1);
	write_everything(0);
	rejoin(1);
	until(relation(0, 1) == VOLUME_TARGET);
	pass(choice(200));
	for (i = 0; i < 6; i++)
		tickets[i] = write_begins(0, group(i));
	for (i = 0; i < 6; i++) {
		until(over(tickets[i]));
		must(acked(tickets[i]));
	}
	settle();
}

static void two_half_synced_targets(void)
{
	everything_written_and_flushed();
	isolate(1);
	isolate(2);
	write_everything(0);
	hold_kind(0, 1, MESSAGE_RESYNC);
	hold_kind(0, 2, MESSAGE_RESYNC);
	heal(0, 1);
	heal(0, 2);
	until(in_stream(0, 1) && in_stream(0, 2) && relation(1, 0) == VOLUME_SOURCE && relation(2, 0) == VOLUME_SOURCE);
	if (choice(2)) {	/* some of it arrives */
		release(0, 1);
		until(relation(1, 0) != VOLUME_SOURCE || stage.node[1].nr_applies);
	}
	cut_now(0, 1);
	cut_now(0, 2);
	cut(0, 1);
	cut(0, 2);
	release_all();
	must(stage.node[2].volume.super.flags & ONDISK_SYNCING);
	heal(1, 2);
	until(is_up(1, 2) && is_up(2, 1));
	if (stage.node[1].volume.super.flags & ONDISK_SYNCING) {
		until(relation(1, 2) == VOLUME_WAITING && relation(2, 1) == VOLUME_WAITING);
		throughout(200, relation(1, 2) == VOLUME_WAITING && relation(2, 1) == VOLUME_WAITING);
		must_refuse(1, 7, VOLUME_REFUSED_SYNCING);
	}
	must_refuse(2, 7, VOLUME_REFUSED_SYNCING);
	settle();
}

static void change_while_a_page_is_written(void)
{
	u32 i;

	small_log(0, 3);
	until(together(3));
	promote(0);
	cut(0, 1);
	for (i = 0; i < 10; i++) {
		struct ticket first = write_begins(0, group(i % WORLD_GROUPS)), second;

		until(over(first) || (stage.node[0].meta.phase == PHASE_MAPS && stage.node[0].meta.nr_pending));
		second = write_begins(0, cell((i * 5 + 9) % WORLD_CELLS));
		until(over(first) && over(second));
		must(acked(first) && acked(second));
		must(is_dirty(0, 1, group(i % WORLD_GROUPS)));
	}
	write_begins(0, group(3));
	pass(choice(60));
	power_cut(0);
	boot(0);
	check_pairs(&stage);
	settle();
}

static void slot_cleared_on_a_failing_disk(void)
{
	everything_written_and_flushed();
	take_down(2);
	write_done(0, group(1));
	until(quiet(1));
	stage.node[1].disk.meta_fails_in = 1 + choice(2);
	must(forget(1, 2) == VOLUME_OK);
	write_done(0, group(2));
	stage.node[1].disk.meta_fails_in = 0;
	disk_recovers(1);
	write_done(0, group(3));
	boot(2);
	settle();
}

static void crash_with_an_absent_third(void)
{
	struct ticket ticket;

	everything_written_and_flushed();
	falls_behind(2, group(1));
	ticket = write_begins(0, group(4));
	until(request_of(ticket)->state == REQUEST_LOCAL || request_of(ticket)->state == REQUEST_SENT);
	cut_now(0, 1);
	power_cut(0);
	boot(0);
	must(is_dirty(0, 2, group(4)) && is_dirty(0, 1, group(4)));
	settle();
}

/* A write that one member never got; that member is dropped, the write leaves all logs, and the other member takes over. */
static void dropped_while_in_flight(void)
{
	struct ticket ticket;

	everything_written_and_flushed();
	until(together(7));
	hold(0, 2, LANES_DATA, ANY);
	ticket = write_begins(0, group(4));
	until(request_of(ticket)->stamp && stage.node[1].disk.cache[4 * GROUP_CELLS] == request_of(ticket)->stamp);
	isolate(2);
	release_all();
	until(over(ticket));
	must(acked(ticket) && is_dirty(0, 2, group(4)) && is_dirty(1, 2, group(4)));
	until(logs_empty());
	power_cut(0);
	promote_peer_down(1, NODE_BIT(0));
	rejoin(2);
	until(together(6));
	boot(0);
	settle();
}

static bool data_without_log(u8 node, u32 cell)
{
	const struct node *n = &stage.node[node];

	return n->disk.cache[cell] && !actlog_is_ready(&n->volume.log, actlog_region(cell_offset(cell)));
}

static void data_after_log(void)
{
	u32 i, left = 60000;

	promote(0);
	until(together(3));
	for (i = 0; i < WORLD_GROUPS; i++) {
		struct ticket ticket = write_begins(0, group(i));

		while (!over(ticket)) {
			step_towards(&left, "never: all groups written", __FILE__, __LINE__);
			must(!data_without_log(0, i * GROUP_CELLS) && !data_without_log(1, i * GROUP_CELLS));
		}
		must(acked(ticket));
	}
	settle();
}

static void log_write_fails_here(void)
{
	struct ticket ticket;

	promote(0);
	until(together(3));
	stage.node[0].disk.meta_fails_in = 1;
	ticket = write_begins(0, group(5));
	until(over(ticket));
	must(acked(ticket));
	until(disk_is_given_up(0));
	must(stage.node[0].disk.cache[5 * GROUP_CELLS] == 0);
	must(!(tail(1)->members & NODE_BIT(0)));
	disk_recovers(0);
	settle();
}

static void log_write_fails_there(void)
{
	struct ticket ticket;

	promote(0);
	until(together(3));
	stage.node[1].disk.meta_fails_in = 1;
	ticket = write_begins(0, group(5));
	until(over(ticket));
	must(acked(ticket));
	must(disk_is_given_up(1) && stage.node[1].disk.cache[5 * GROUP_CELLS] == 0);
	must(!(tail(0)->members & NODE_BIT(1)) && is_dirty(0, 1, group(5)));
	disk_recovers(1);
	settle();
}

/* The maps cannot be saved: regions stay in the log, and the disk is given up. */
static void map_write_fails(void)
{
	small_log(0, 3);
	until(together(3));
	promote(0);
	cut(0, 1);
	write_done(0, group(0));
	stage.node[0].disk.meta_fails_in = 3 + choice(4);
	write_begins(0, group(1));
	write_begins(0, group(2));
	write_begins(0, group(3));
	pass(2000);
	disk_recovers(0);
	must(is_dirty(0, 1, group(0)));
	settle();
}

static void log_full(u8 node)
{
	struct ticket tickets[6];
	u32 i, round;

	small_log(node, 2);
	until(together(3));
	promote(0);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 6; i++)
			tickets[i] = write_begins(0, group((i + round) % WORLD_GROUPS));
		for (i = 0; i < 6; i++) {
			until(over(tickets[i]));
			must(acked(tickets[i]));
		}
	}
	power_cut(node);
	boot(node);
	settle();
}

static void log_full_there(void)
{
	log_full(1);
}

static void log_full_here(void)
{
	log_full(0);
}

static void resync_then_write(void)
{
	struct ticket ticket;
	u32 busy;

	everything_written_and_flushed();
	falls_behind(1, group(2));
	hold_kind(0, 1, MESSAGE_RESYNC);
	rejoin(1);
	until(next_kind(0, 1, MESSAGE_RESYNC));
	busy = resync_of(0, 1)->busy;
	must(busy);
	ticket = write_begins(0, busy & -busy);
	throughout(200, request_of(ticket)->state == REQUEST_QUEUED);
	release_all();
	until(over(ticket));
	must(acked(ticket));
	settle();
}

static void write_then_resync(void)
{
	struct ticket ticket;

	everything_written_and_flushed();
	falls_behind(1, group(2));
	rejoin(1);
	until(relation(0, 1) == VOLUME_TARGET);
	must(!resync_of(0, 1)->busy);
	hold(0, 1, LANES_DATA, ANY);
	ticket = write_begins(0, group(2));
	until(request_of(ticket)->ranged || resync_of(0, 1)->busy & group(2));
	throughout(200, !request_of(ticket)->ranged || !(resync_of(0, 1)->busy & group(2)));
	release_all();
	until(over(ticket));
	must(acked(ticket));
	settle();
}

/* An old write that a lost session leaves behind must not arrive after the resync of the same cells. */
static void old_write_after_resync(void)
{
	struct ticket ticket;

	everything_written_and_flushed();
	hold(0, 1, LANES_DATA, ANY);
	ticket = write_begins(0, group(2));
	until(request_of(ticket)->state > REQUEST_QUEUED);
	world_event_simple(&stage, 0, VOLUME_EVENT_PEER_IO_FAILED, 1);
	until(over(ticket));
	must(acked(ticket));
	release_all();
	write_done(0, group(2));
	settle();
}

static void source_becomes_target(void)
{
	struct ticket ticket;

	everything_written_and_flushed();
	falls_behind(2, group(1));
	hold(0, 1, LANES_DATA, ANY);
	ticket = write_begins(0, group(3));
	until(request_of(ticket)->state == REQUEST_SENT);
	power_cut(0);
	release_all();
	hold_kind(1, 2, MESSAGE_RESYNC);
	heal(1, 2);
	until(relation(1, 2) == VOLUME_TARGET);
	rejoin(0);
	boot(0);
	until(is_up(0, 1) && is_up(1, 0));
	pass(300);
	must(try_command(2, VOLUME_EVENT_PROMOTE, 0, false) != VOLUME_OK);
	release_all();
	settle();
	promote(2);
	write_done(2, group(4));
	settle();
}

/* The target of a resync is promoted when its source is gone: only once it is complete. */
static void target_wants_to_be_primary(void)
{
	everything_written_and_flushed();
	falls_behind(1, group(1));
	hold_kind(0, 1, MESSAGE_RESYNC);
	rejoin(1);
	until(relation(1, 0) == VOLUME_SOURCE);
	power_cut(0);
	until(!is_up(1, 0));
	must_refuse(1, NODE_BIT(0), VOLUME_REFUSED_SYNCING);
	release_all();
	boot(0);
	settle();
	promote(1);
}

struct place {
	u8 from, to, type;
	bool member;		/* the target stayed a member: the resync ends with SYNC_DONE */
};

static bool is_next(const struct place *place)
{
	return place->type < WIRE_WRITE ? next_frame(place->from, place->to, place->type) :
					  next_kind(place->from, place->to, place->type - WIRE_WRITE);
}

static void interrupted_at(const struct place *place)
{
	u32 how = choice(4);
	u8 victim = (u8)choice(2);

	if (world_primary(&stage) == NODE_NONE)
		promote(0);
	write_done(0, group(choice(WORLD_GROUPS)));
	if (place->member) {
		power_cut(1);
	} else {
		falls_behind(1, group(choice(WORLD_GROUPS)));
	}
	if (place->type < WIRE_WRITE)
		hold(place->from, place->to, LANE_CONTROL, place->type);
	else
		hold_kind(place->from, place->to, place->type - WIRE_WRITE);
	if (place->member)
		boot(1);
	else
		rejoin(1);
	until(is_next(place) || together(3));	/* nothing differed: another time */
	pass(choice(100));
	if (how == 0)
		session_ends(0, 1);
	else if (how == 1)
		cut(0, 1);
	else
		power_cut(victim);
	release_all();
	if (how >= 2)
		boot(victim);
	rejoin(1);
	until(together(3));
	everyone_equal();
}

static void interrupted_everywhere(void)
{
	static const struct place places[] = {
		{ 1, 0, WIRE_SYNC_START, false }, { 1, 0, WIRE_RANGES_END, false }, { 0, 1, WIRE_SYNC_ACCEPT, false },
		{ 1, 0, WIRE_SYNC_READY, false }, { 0, 1, WIRE_WRITE + MESSAGE_RESYNC, false },
		{ 1, 0, WIRE_WRITE + MESSAGE_ACK, false }, { 0, 1, WIRE_WRITE + MESSAGE_FLUSH, false },
		{ 0, 1, WIRE_RECORD, false }, { 1, 0, WIRE_RECORD_ACK, false }, { 0, 1, WIRE_SYNC_DONE, true },
	};
	u32 i;

	promote(0);
	write_everything(0);
	for (i = 0; i < CORE_ARRAY_SIZE(places); i++)
		interrupted_at(&places[i]);
	settle();
}

/* The target told what it wrote on its own; the source loses power and with it what it was told. */
static void source_forgets(void)
{
	struct ticket ticket;

	everything_written_and_flushed();
	demote(0);
	until(logs_empty());	/* a log that still names the group would stand in for what is forgotten */
	promote(0);
	hold(0, 1, LANES_DATA, ANY);
	ticket = write_begins(0, group(3));
	until(request_of(ticket)->state == REQUEST_SENT);
	power_cut(0);
	cut(0, 1);
	release_all();
	promote_peer_down(1, NODE_BIT(0));
	write_done(1, group(1));
	flush_done(1);
	boot(0);
	hold_kind(1, 0, MESSAGE_RESYNC);
	heal(0, 1);
	until(in_stream(1, 0));
	power_cut(1);
	if (choice(2))
		power_cut(0);
	boot(1);
	boot(0);
	settle();
}

/*
 * After a crash node 0, alone with a write that nobody else got, resyncs node 1, which loses power over it. It is the member that
 * it was, and what it got already node 2 has not.
 */
static void target_meets_a_third(void)
{
	u32 *platter[3] = { stage.node[0].disk.platter, stage.node[1].disk.platter, stage.node[2].disk.platter };
	u32 *cache[2] = { stage.node[0].disk.cache, stage.node[1].disk.cache };
	u32 at = 3 * GROUP_CELLS;

	everything_written_and_flushed();
	demote(0);
	until(logs_empty());
	promote(0);
	hold(0, 1, LANES_DATA, ANY);
	hold(0, 2, LANES_DATA, ANY);
	must(path_submit(&stage, 0, REQUEST_WRITE, group(3), true));
	until(platter[0][at] != platter[2][at]);
	power_cut(0);
	release_all();
	cut(0, 2);
	cut(1, 2);
	must(platter[1][at] == platter[2][at]);
	boot(0);
	until(cache[1][at] == cache[0][at]);
	power_cut(1);
	power_cut(0);
	boot(1);
	heal(1, 2);
	until(together(6));
	settle();
}

static void behind_a_diskless_secondary(void)
{
	everything_written_and_flushed();
	disk_dies(1);
	write_done(0, group(0));
	until(disk_is_given_up(1));
	falls_behind(2, group(1));
	rejoin(2);
	until(relation(0, 2) == VOLUME_IN_SYNC && relation(2, 0) == VOLUME_IN_SYNC);
	disk_recovers(1);
	settle();
}

static void behind_a_diskless_primary(void)
{
	everything_written_and_flushed();
	falls_behind(2, group(1));
	disk_dies(0);
	write_done(0, group(2));
	rejoin(2);
	until(relation(1, 2) == VOLUME_WAITING && relation(2, 1) == VOLUME_WAITING);
	throughout(200, !in_stream(1, 2));
	power_cut(0);
	until(relation(1, 2) == VOLUME_IN_SYNC);
	disk_recovers(0);
	settle();
}

static void resync_beside_work(void)
{
	u64 acks;
	u32 left = 60000, i = 0;

	everything_written_and_flushed();
	isolate(1);
	write_everything(0);
	rejoin(1);
	until(relation(0, 1) == VOLUME_TARGET);
	acks = stage.count_acks;
	while (relation(0, 1) != VOLUME_IN_SYNC) {
		struct ticket ticket = { 0, (u8)(i % 4) };

		if (over(ticket))
			write_begins(0, group(choice(WORLD_GROUPS)));
		i++;
		step_towards(&left, "the resync never ends beside writes", __FILE__, __LINE__);
	}
	must(stage.count_acks > acks);
	settle();
}

/*
 * Replicas with maps of 4 KiB, 64 KiB and 1 MiB a bit. What one knows of another is told in ranges [D4]: each may claim more with its
 * own granules, none may claim less, and a granule is cleared only as a whole.
 */
static void granules_that_differ(void)
{
	u32 first = choice(3), shifts[3], i;

	for (i = 0; i < 3; i++)
		shifts[(first + i) % 3] = i * 4;
	granules(shifts);
	until(together(7));
	everything_written_and_flushed();
	falls_behind(1, group(0));
	write_done(0, cell(9));
	must(is_dirty(0, 1, group(0) | cell(9)) && is_dirty(2, 1, group(0) | cell(9)));
	rejoin(1);
	settle();
	/* The other way: what the primary wrote when it lost power it knows with its own granules, and says so when it returns [G6]. */
	write_begins(0, group(3));
	pass(choice(40));
	power_cut(0);
	promote_peer_down(1, NODE_BIT(0));
	write_done(1, cell(13));
	must(is_dirty(1, 0, cell(13)));
	boot(0);
	settle();
}

static const struct story stories[] = {
	{ "B1-write-before-accept", 2, "D1", "writes between the exchange of bits and its answer are marked", write_before_accept,
	  NULL },
	{ "B1-write-before-ready", 2, "D1", "writes before the target is in the stream are marked", write_before_ready, NULL },
	{ "B2-paused-target", 3, "D1 R1", "a target that has to wait: every in-sync replica marks what it misses", paused_target,
	  NULL },
	{ "B3-notices-in-the-pipe", 3, "D1", "a new member knows what a third replica lacks, up to the last write",
	  notices_in_the_pipe, NULL },
	{ "B3-new-member-is-told", 3, "D1 G2", "a new replica is told what a third one lacks, durably, before it counts",
	  new_member_is_told, NULL },
	{ "B3-unknown-replica", 3, "D1", "a replica heard of for the first time may lack everything", unknown_replica, NULL },
	{ "B3-short-resync", 2, "I15", "a resync of two granules ends while a lane lags", pipe_of_a_short_resync, NULL },
	{ "B4-late-proof", 2, "D2", "answers of a lost session clear nothing that was set since", late_proof, NULL },
	{ "B5-bits-behind-the-cursor", 2, "I16", "writes all over the volume while it is resynced: nothing is missed, it ends",
	  bits_behind_the_cursor, NULL },
	{ "B4-marked-while-proving", 3, "D2 I6", "a secondary that is a source takes a write that its target does not get, before the proof", marked_while_proving,
	  NULL },
	{ "B6-two-half-synced", 3, "D2 G4", "two half-synced replicas meet: they wait, neither is promoted", two_half_synced_targets,
	  NULL },
	{ "B6-target-meets-a-third", 3, "I5 D1", "a target that loses power knows that others lack what it got",
	  target_meets_a_third, NULL },
	{ "B7-change-while-saving", 2, "D1 D5", "bits change while their page is being written; then power is lost",
	  change_while_a_page_is_written, NULL },
	{ "B8-slot-on-a-failing-disk", 3, "D1", "a replica is forgotten while the metadata cannot be written",
	  slot_cleared_on_a_failing_disk, NULL },
	{ "B9-crash-with-an-absent-third", 3, "D1 G6", "after a crash the log becomes dirty for everybody, the absent included",
	  crash_with_an_absent_third, NULL },
	{ "B9-dropped-while-in-flight", 3, "D1", "a member is dropped with a write in flight: every other member marks it",
	  dropped_while_in_flight, NULL },
	{ "B10-data-after-log", 2, "W3", "no data on either disk before its region is in the log there", data_after_log, NULL },
	{ "B10-log-write-fails-here", 2, "W3", "the primary's log cannot be written: no data either", log_write_fails_here, NULL },
	{ "B10-log-write-fails-there", 2, "W3 W4", "a secondary's log cannot be written: no data either, and it is out",
	  log_write_fails_there, NULL },
	{ "B10-map-write-fails", 2, "D1", "the dirty map cannot be written when regions leave the log", map_write_fails, NULL },
	{ "B11-log-full-there", 2, "D6", "a log of two regions on the secondary, six writes at a time", log_full_there, NULL },
	{ "B11-log-full-here", 2, "D6", "a log of two regions on the primary, six writes at a time", log_full_here, NULL },
	{ "B13-resync-then-write", 2, "I15", "a write waits for resync data of the same block", resync_then_write, NULL },
	{ "B13-write-then-resync", 2, "I15", "resync data waits for a write of the same block", write_then_resync, NULL },
	{ "B13-old-write", 2, "I15", "a write given up as lost never arrives after a newer one", old_write_after_resync, NULL },
	{ "B14-source-becomes-target", 3, "I5 G6", "A resyncs B, which resyncs C", source_becomes_target, NULL },
	{ "B14-target-promoted", 2, "G4", "a target whose source is gone is not promoted", target_wants_to_be_primary, NULL },
	{ "B17-granules", 3, "D1 D4 I6", "maps of different granularity, at source, target and a third one", granules_that_differ, NULL },
	{ "B19-interrupted-everywhere", 2, "R2 I16", "a resync is broken off at each of its messages, the last one included",
	  interrupted_everywhere, "an eviction's flush marks the record written on the secondaries alone" },
	{ "B19-source-forgets", 2, "I8 R2", "the source loses power after the target told what it wrote on its own", source_forgets,
	  NULL },
	{ "B20-diskless-secondary", 3, "L1", "a replica without a disk keeps nobody from being resynced",
	  behind_a_diskless_secondary, NULL },
	{ "B20-diskless-primary", 3, "R1 L1", "with a primary that has no disk a resync waits, and goes on when that one is gone",
	  behind_a_diskless_primary, NULL },
	{ "B22-beside-work", 2, "I16", "resync and writes go on together; both end", resync_beside_work, NULL },
};

STORY_TABLE(stories)
