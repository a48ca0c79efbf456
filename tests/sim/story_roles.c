// SPDX-License-Identifier: GPL-2.0
/*
 * Plays of group Q: who may be primary [G4] [G8] [I12].
 */
#include "story.h"

static u32 primaries(void)
{
	u32 nr = 0;
	u8 node;

	for (node = 0; node < stage.nr_nodes; node++)
		nr += world_is_primary(&stage, node);
	return nr;
}

/* The last one goes on alone and dies; the others, who never heard of that, meet without it. */
static void last_one_standing(void)
{
	promote(0);
	write_everything(0);
	isolate(1);
	isolate(2);
	write_done(0, group(1));
	power_cut(0);
	heal(1, 2);
	until(is_up(1, 2) && is_up(2, 1));
	must(try_command(1, VOLUME_EVENT_PROMOTE, 0, false) != VOLUME_OK);
	must(try_command(2, VOLUME_EVENT_PROMOTE, 0, false) != VOLUME_OK);
	rejoin(0);
	boot(0);
	settle();
	promote(1);
}

static void reachable_through_a_third(void)
{
	promote(0);
	write_everything(0);
	until(together(7));
	cut(0, 1);
	write_done(0, group(1));
	until(relation(1, 2) == VOLUME_WAITING);
	must(try_command(1, VOLUME_EVENT_PROMOTE, 0, false) != VOLUME_OK);
	must(try_command(1, VOLUME_EVENT_PROMOTE, NODE_BIT(0), false) != VOLUME_OK);
	write_done(0, group(2));
	must(is_dirty(2, 1, group(2)));
	settle();
}

/*
 * A member loses the primary only, is dropped by a record, and keeps its link to the third, which takes over when nothing of
 * those writes is in its log any more.
 */
static void dropped_but_connected(void)
{
	promote(0);
	write_everything(0);
	until(together(7) && logs_empty());
	cut(0, 1);
	write_done(0, group(1));
	until(!stage.node[2].volume.log.nr_used);
	power_cut(0);
	until(!is_up(2, 0));
	promote_peer_down(2, NODE_BIT(0));
	write_done(2, group(2));
	until(together(6));
	must(stage.node[1].disk.cache[GROUP_CELLS] == stage.node[2].disk.cache[GROUP_CELLS]);
	power_cut(2);
	promote_peer_down(1, NODE_BIT(0) | NODE_BIT(2));
	boot(0);
	boot(2);
	settle();
}

/* The same, but nothing is written after the take-over: a block that cannot be read is not fetched from the stale one. */
static void dropped_and_read_from(void)
{
	struct ticket ticket;

	promote(0);
	write_everything(0);
	until(together(7) && logs_empty());
	cut(0, 1);
	write_done(0, group(1));
	flush_done(0);
	until(!stage.node[2].volume.log.nr_used);
	power_cut(0);
	until(!is_up(2, 0));
	promote_peer_down(2, NODE_BIT(0));
	stage.node[2].disk.bad = group(1);
	ticket = read_begins(2, group(1));
	pass(500);
	until(over(ticket) || relation(2, 1) == VOLUME_TARGET);
	must(stage.node[2].disk.bad || stage.node[2].disk.cache[GROUP_CELLS] == stage.node[0].disk.cache[GROUP_CELLS]);
	write_done(2, group(1));
	boot(0);
	settle();
}

/* The writer dies with a write that one survivor has and the other has not; both want to be primary at once. */
static void survivors_in_a_hurry(void)
{
	struct ticket ticket;
	u8 node;

	promote(0);
	write_everything(0);
	until(together(7));
	hold(0, 2, LANES_DATA, ANY);
	ticket = write_begins(0, group(1));
	until(request_of(ticket)->stamp && stage.node[1].disk.cache[GROUP_CELLS] == request_of(ticket)->stamp);
	power_cut(0);
	release_all();
	until(!is_up(1, 0) && !is_up(2, 0));
	while (!primaries())
		for (node = 1; node < 3; node++) {
			fault_command(&stage, node, VOLUME_EVENT_PROMOTE, NODE_BIT(0), false);
			pass(5);
		}
	until(!stage.node[1].command_pending && !stage.node[2].command_pending);
	must(primaries() == 1);
	until(together(6));
	boot(0);
	settle();
}

static void all_at_once(void)
{
	u32 round;
	u8 node;

	for (round = 0; round < 4; round++) {
		until(together(7));
		for (node = 0; node < 3; node++)
			fault_command(&stage, node, VOLUME_EVENT_PROMOTE, 0, false);
		if (round & 1)
			session_ends(0, 1);
		until(!stage.node[0].command_pending && !stage.node[1].command_pending && !stage.node[2].command_pending);
		must(primaries() <= 1);
		if (world_primary(&stage) == NODE_NONE)
			promote((u8)round % 3);
		write_done(world_primary(&stage), group(round));
		demote(world_primary(&stage));
	}
	settle();
}

/* Two that cannot hear each other ask the third at the same time, each with the other called down. */
static void two_askers(void)
{
	until(together(7));
	cut(0, 2);
	while (!primaries()) {
		fault_command(&stage, 0, VOLUME_EVENT_PROMOTE, NODE_BIT(2), false);
		fault_command(&stage, 2, VOLUME_EVENT_PROMOTE, NODE_BIT(0), false);
		until(!stage.node[0].command_pending && !stage.node[2].command_pending);
		must(primaries() <= 1);
	}
	heal(0, 2);
	settle();
}

static void ring(void)
{
	promote(0);
	write_everything(0);
	until(together(7));
	world_cut(&stage, 0, 1, true);
	world_cut(&stage, 1, 2, true);
	world_cut(&stage, 2, 0, true);
	write_begins(0, group(1));
	until(path_idle(&stage.node[0]));
	write_done(0, group(2));
	must(tail(0)->members == NODE_BIT(0));
	must_refuse(1, 0, VOLUME_REFUSED_UNREACHABLE);
	settle();
}

static void flapping(void)
{
	u32 i;

	promote(0);
	write_everything(0);
	for (i = 0; i < 20; i++) {
		u8 a = (u8)choice(3), b = (u8)((a + 1 + choice(2)) % 3);
		struct ticket ticket = write_begins(0, group(choice(WORLD_GROUPS)));

		cut_now(a, b);
		pass(choice(60));
		heal(a, b);
		until(over(ticket));
		must(acked(ticket));
	}
	settle();
}

/* A member loses power, and with it what only its cache had; the writer goes at once. Either could be the source then. */
static void demoted_after_a_loss(void)
{
	promote(1);
	write_everything(1);
	flush_done(1);
	write_everything(1);
	power_cut(0);
	if (choice(2))
		until(!is_up(1, 0));
	demote(1);
	must(tail(1)->members == NODE_BIT(1) && tail(1)->written);
	if (choice(2)) {
		power_cut(1);
		boot(1);
	}
	boot(0);
	settle();
	promote((u8)choice(2));
	settle();
}

/* The member is back, and not compared to its end yet. */
static void demoted_beside_a_target(void)
{
	u64 number;

	promote(1);
	write_everything(1);
	flush_done(1);
	write_everything(1);
	power_cut(0);
	until(!is_up(1, 0));
	number = tail(1)->number;
	boot(0);
	until(relation(1, 0) == VOLUME_TARGET && relation(0, 1) == VOLUME_SOURCE);
	demote(1);
	must(tail(1)->number > number || relation(1, 0) == VOLUME_IN_SYNC);
	power_cut(1);
	power_cut(0);
	boot(0);
	boot(1);
	settle();
	promote((u8)choice(2));
	settle();
}

static void demotion_waits_for_the_record(void)
{
	promote(1);
	write_everything(1);
	until(together(7));
	write_done(1, group(2));
	hold(1, 2, LANE_CONTROL, WIRE_RECORD);
	power_cut(0);
	until(!is_up(1, 0));
	/* A round of its own that was under way wants the record, too, and before. */
	until(fault_demote(&stage, 1) || next_frame(1, 2, WIRE_RECORD));
	until(next_frame(1, 2, WIRE_RECORD));
	throughout(200, world_is_primary(&stage, 1));
	if (stage.node[1].command_pending && choice(2)) {	/* nobody waits any more: it stays what it is */
		world_event_simple(&stage, 1, VOLUME_EVENT_CANCEL, NODE_NONE);
		until(!stage.node[1].command_pending);
		must(stage.node[1].command_refusal == VOLUME_REFUSED_BUSY && world_is_primary(&stage, 1));
	}
	if (choice(2))
		power_cut(2);
	release_all();
	until(!stage.node[1].command_pending);
	demote(1);
	must(!(tail(1)->members & NODE_BIT(0)) && tail(1)->written);
	if (!stage.node[2].powered)
		boot(2);
	boot(0);
	settle();
	promote(0);
	settle();
}

/* Its disk failed, and it went on with its peer; as a secondary it is no replica, and no record names it. */
static void demoted_without_a_disk(void)
{
	u64 number;

	promote(0);
	write_everything(0);
	disk_dies(0);
	write_done(0, group(1));
	until(disk_is_given_up(0) && tail(0)->members == NODE_BIT(1));
	write_done(0, group(choice(WORLD_GROUPS)));
	demote(0);
	until(relation(1, 0) != VOLUME_IN_SYNC);
	number = tail(1)->number;
	promote(1);
	write_done(1, group(2));
	must(tail(1)->number == number + 1 && tail(1)->members == NODE_BIT(1));
	disk_recovers(0);
	settle();
}

/* Whoever is in sync when the writer goes has everything: nothing is to be said. */
static void demoted_in_order(void)
{
	u64 number;

	promote(0);
	write_everything(0);
	number = tail(0)->number;
	demote(0);
	must(tail(0)->number == number);
	promote(0);
	power_cut(1);
	until(relation(0, 1) == VOLUME_OFF);
	demote(0);
	must(tail(0)->number == number);
	boot(1);
	settle();
	promote(1);
	write_done(1, group(1));
	until(together(3) && logs_empty());
	number = tail(1)->number;
	power_cut(0);
	until(relation(1, 0) == VOLUME_OFF);
	demote(1);
	must(tail(1)->number == number);
	boot(0);
	settle();
}

static const struct story stories[] = {
	{ "Q1-last-one-standing", 3, "G8 I1", "the last writer dies; those who did not hear of its record are not promoted",
	  last_one_standing, NULL },
	{ "Q4-through-a-third", 3, "G4 I2", "a replica that hears of the primary only through a third one: left behind, not promoted",
	  reachable_through_a_third, NULL },
	{ "Q4-dropped-but-connected", 3, "G4 I5 I1", "a member that a record dropped is not in sync with the third either",
	  dropped_but_connected, NULL },
	{ "Q4-dropped-and-read-from", 3, "I2 I3 W7", "a read error is not repaired from a member that a record dropped",
	  dropped_and_read_from, NULL },
	{ "Q5-survivors-in-a-hurry", 3, "G6 I12", "two survivors that differ both want to be primary before they are compared",
	  survivors_in_a_hurry, NULL },
	{ "Q6-all-at-once", 3, "I12 I19", "all nodes promote at once: at most one succeeds", all_at_once, NULL },
	{ "Q6-two-askers", 3, "I12", "two ask a third one at the same time: one is granted", two_askers, NULL },
	{ "Q11-demoted-after-a-loss", 2, "G3 I1", "the writer goes after a member was lost with writes in its cache: the record says so first",
	  demoted_after_a_loss, NULL },
	{ "Q11-demoted-beside-a-target", 2, "G3 I1", "the same while the member, back again, is being resynced", demoted_beside_a_target, NULL },
	{ "Q11-demotion-waits", 3, "G3 L1", "the demotion waits for that record to be agreed, or is given up", demotion_waits_for_the_record,
	  NULL },
	{ "Q11-demoted-without-a-disk", 2, "G4 I12", "a diskless writer that is demoted is in sync with nobody", demoted_without_a_disk, NULL },
	{ "Q11-demoted-in-order", 2, "G2", "a demotion after which nobody lacks anything makes no record", demoted_in_order, NULL },
	{ "Q8-ring", 3, "G3 W4", "each node hears one other only", ring, NULL },
	{ "Q8-flapping", 3, "W4 I16", "links that come and go faster than anything converges", flapping, NULL },
};

STORY_TABLE(stories)
