// SPDX-License-Identifier: GPL-2.0
/*
 * What comes from outside: faults, administrators, users. Every action has a number; what it is depends on the run's seed,
 * its number and the state it meets, so that a run can be repeated without some of them (sim.c shrinks that way).
 */
#include "world.h"

struct dice {
	u64 state;
};

static u64 roll(struct dice *dice)
{
	u64 z = dice->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static u32 below(struct dice *dice, u32 limit)
{
	return (u32)((roll(dice) >> 32) * limit >> 32);
}

static bool percent(struct dice *dice, u32 chance)
{
	return below(dice, 100) < chance;
}

void fault_choose_knobs(struct world *world, u64 seed)
{
	struct dice dice = { seed * 0xd1342543de82ef95ull };
	struct knobs *k = &world->knobs;
	bool tiny = percent(&dice, 40), uneven = percent(&dice, 30), granules;
	u32 i;

	for (i = 0; i < WORLD_NODES_MAX; i++)
		k->log_slots[i] = i && !uneven ? k->log_slots[0] : tiny ? 2 + below(&dice, 6) : 0;
	k->latency_us = percent(&dice, 50) ? 20 : 2000;
	k->slow_us = 20000;
	k->fault_every = 30 + below(&dice, 500);
	k->workload_percent = 20 + below(&dice, 50);
	k->flush_percent = 2 + below(&dice, 25);
	k->read_percent = below(&dice, 40);
	k->disk_errors = percent(&dice, 30);
	k->meta_errors = percent(&dice, 20);
	k->damage = percent(&dice, 20);
	k->splits = percent(&dice, 25);
	k->replacements = percent(&dice, 25);
	k->early_timeouts = percent(&dice, 30);
	k->through = percent(&dice, 50);
	k->terse = percent(&dice, 10);
	if (percent(&dice, 25))
		k->flush_percent = 40;
	for (i = 0; i < WORLD_NODES_MAX; i++)
		world->node[i].disk.through = k->through && percent(&dice, 70);
	k->blank = percent(&dice, 20);
	granules = percent(&dice, 30);
	for (i = 0; granules && i < world->nr_nodes; i++)
		k->granule_shift[i] = below(&dice, 9);
	for (i = 0; k->blank && i < world->nr_nodes; i++)
		meta_format(world, (u8)i, i ? FORMAT_NEW : FORMAT_ALONE, percent(&dice, 75) ? ONDISK_BLANK : 0);
	for (i = 0; granules && !k->blank && i < world->nr_nodes; i++)	/* they were formatted already */
		meta_format(world, (u8)i, FORMAT_ALIKE, 0);
	world_trace(world, "knobs: log %u granules %u %u latency %u%s%s%s%s%s%s%s%s%s", k->log_slots[0], k->granule_shift[0],
		    k->granule_shift[1], k->latency_us, k->disk_errors ? " disk-errors" : "",
		    k->meta_errors ? " meta-errors" : "", k->damage ? " damage" : "", k->splits ? " splits" : "",
		    k->replacements ? " replacements" : "", k->early_timeouts ? " early-timeouts" : "",
		    k->through ? " write-through" : "", k->terse ? " terse" : "", k->blank ? " blank" : "");
}

/* ---- commands ---- */

bool fault_command(struct world *world, u8 node, enum volume_event_type type, u32 nodes, bool force)
{
	struct node *n = &world->node[node];
	struct volume_event event = { .type = type, .nodes = nodes, .force = force, .node = NODE_NONE };

	if (!n->listed || n->detaching || n->command_pending || n->nr_events > WORLD_EVENTS_MAX / 4)
		return false;
	n->command_pending = true;
	n->command_down = nodes;
	n->command_force = force;
	n->command_sure = check_holds_everything(world, node) && check_knows_newest(world, node);
	world_trace(world, "%u: administrator: command %u nodes %x%s", node, type, nodes, force ? " by force" : "");
	world_event(world, node, &event);
	return true;
}

bool fault_demote(struct world *world, u8 node)
{
	struct node *n = &world->node[node];

	if (!world_is_primary(world, node) || n->command_pending || n->demote != DEMOTE_NONE || !path_idle(n))
		return false;
	world_trace(world, "%u: administrator: demote", node);
	n->command_pending = true;
	n->demote = DEMOTE_QUIET;
	volume_quiesce(&n->volume);
	return true;
}

bool fault_detach(struct world *world, u8 node)
{
	struct node *n = &world->node[node];

	if (!n->listed || n->detaching || n->command_pending || n->volume.role == VOLUME_PRIMARY ||
	    n->nr_events > WORLD_EVENTS_MAX / 4)
		return false;
	world_trace(world, "%u: administrator: down", node);
	world->count_detached++;
	n->detaching = true;
	world_event_simple(world, node, VOLUME_EVENT_GOING_DOWN, NODE_NONE);
	return true;
}

/*
 * Somebody else, up and complete, holds all that was acknowledged: an administrator who looks may give this copy up. Complete on
 * its disk as well: what its superblock does not say yet, goes with its power (seed 1795920091760, 2 nodes).
 */
static bool spare(const struct world *world, u8 node)
{
	u8 i;

	for (i = 0; i < world->nr_nodes; i++) {
		const struct node *n = &world->node[i];

		if (i != node && n->listed && volume_up_to_date(&n->volume) && !n->disk.dead && !n->disk_failed_posted &&
		    !n->meta.nr_queued && n->meta.phase == PHASE_IDLE &&
		    (world->healing || (check_holds_everything(world, i) && check_knows_newest(world, i))))
			return true;
	}
	return false;
}

/* What is on it: zeroes, and who made the replica may have said so, or what its owner had there before. */
void fault_replace_disk(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	bool used = world->knobs.blank && world_percent(world, 30);
	bool blank = world->knobs.blank && !used && world_percent(world, 70);

	world_trace(world, "%u: gets a new disk", node);
	world->count_replaced++;
	n->disk.through = world->knobs.through && world_percent(world, 50);
	if (!used) {
		memset(n->disk.platter, 0, sizeof(n->disk.platter));
		memset(n->disk.cache, 0, sizeof(n->disk.cache));
	}
	meta_format(world, node, FORMAT_NEW, blank ? ONDISK_BLANK : 0);
	memset(&n->volume.super.chain, 0, sizeof(n->volume.super.chain));
}

/* Only what is really without power is called down, by someone who looked at all the disks. */
static u32 really_down(const struct world *world)
{
	u32 down = 0;
	u8 i;

	for (i = 0; i < world->nr_nodes; i++)
		if (!world->node[i].powered)
			down |= NODE_BIT(i);
	return down;
}

/* A new replica that nobody has taken in begins an unrelated history when it is forced. Only a format would end that. */
static bool was_member(const struct volume *volume)
{
	const struct chain *chain = &volume->super.chain;
	u32 i;

	for (i = 0; i < chain->count; i++)
		if (chain->record[i].members & NODE_BIT(volume->node))
			return true;
	return false;
}

static void try_promote(struct world *world, u8 node, u32 down, bool force)
{
	u32 nodes;

	if (force && !was_member(&world->node[node].volume))
		return;
	if (volume_promote_check(&world->node[node].volume, force, down, &nodes) != VOLUME_OK)
		return;
	world->peer_down_used |= down != 0;
	fault_command(world, node, VOLUME_EVENT_PROMOTE, down, force);
}

/* All that anybody knows is known here: what is missing nevertheless was never durable anywhere. */
static bool is_equal_to_all(const struct world *world, u8 node)
{
	u8 i;

	for (i = 0; i < world->nr_nodes; i++) {
		const struct volume_peer *peer = volume_peer_const(&world->node[node].volume, i);

		if (i != node && (!peer || peer->relation != VOLUME_IN_SYNC))
			return false;
	}
	return true;
}

/* Somewhere else, and not answered yet. */
static bool is_promotion_under_way(const struct world *world)
{
	u8 i;

	for (i = 0; i < world->nr_nodes; i++)
		if (world->node[i].command_pending && world->node[i].demote == DEMOTE_NONE)
			return true;
	return false;
}

static void careful_promote(struct world *world, u8 node)
{
	u32 down = really_down(world);

	if (world_primary(world) != NODE_NONE)
		return;
	/*
	 * Two may each be the only member of what they know, when each was promoted while the other was down and wrote nothing: then he
	 * promotes one of them, and not two that do not see each other (seeds 1795958198121 and 1795958232947, 3 nodes).
	 */
	if (world->peer_down_used && is_promotion_under_way(world))
		return;
	if (!check_knows_newest(world, node) || !check_holds_everything(world, node)) {
		/*
		 * Once somebody was promoted over the head of another that was called down, that one may come back and find
		 * itself the only member of what it knows [G8]: without a witness only a careful administrator helps. He has nothing
		 * to fear where everybody is (seed 1795948652540, 4 nodes).
		 */
		if (world->peer_down_used && !is_equal_to_all(world, node))
			return;
		down = 0;
	}
	try_promote(world, node, down, false);
}

/* The caller went away. */
static void cancel_promotion(struct world *world, u8 node)
{
	struct node *n = &world->node[node];

	if (n->command_pending && n->demote == DEMOTE_NONE && n->nr_events < WORLD_EVENTS_MAX / 4)
		world_event_simple(world, node, VOLUME_EVENT_CANCEL, NODE_NONE);
}

static void administrator(struct world *world, struct dice *dice)
{
	u8 node = (u8)below(dice, world->nr_nodes);
	struct node *n = &world->node[node];
	u32 what = below(dice, 100);

	if (!n->listed || n->detaching)
		return;
	if (world_is_primary(world, node)) {
		if (what < 12)
			fault_demote(world, node);
		return;
	}
	if (what < 2)
		fault_detach(world, node);
	else if (what < 4 && world->knobs.splits)
		try_promote(world, node, (u32)roll(dice) & ((1u << world->nr_nodes) - 1), false);
	else if (what < 6 && world->knobs.splits)
		try_promote(world, node, 0, true);
	else if (what < 8)
		cancel_promotion(world, node);
	else if (world->knobs.splits && what < 40)
		try_promote(world, node, 0, false);
	else
		careful_promote(world, node);
}

/* ---- users ---- */

static u32 some_cells(struct dice *dice)
{
	u32 group = below(dice, WORLD_GROUPS), from = below(dice, GROUP_CELLS);
	u32 length = 1 + below(dice, GROUP_CELLS - from);

	return ((1u << length) - 1) << (group * GROUP_CELLS + from);
}

void fault_workload(struct world *world, u64 chance)
{
	struct dice dice = { chance };
	u8 node = (u8)below(&dice, world->nr_nodes);
	const struct knobs *k = &world->knobs;
	u8 i;

	for (i = 0; i < world->nr_nodes && !world_is_primary(world, node); i++)
		node = (u8)((node + 1) % world->nr_nodes);
	if (!world_is_primary(world, node) || world->node[node].demote != DEMOTE_NONE)
		return;
	if (percent(&dice, k->flush_percent))
		path_submit(world, node, REQUEST_FLUSH, 0, false);
	else
		path_submit(world, node, percent(&dice, k->read_percent) ? REQUEST_READ : REQUEST_WRITE, some_cells(&dice),
			    percent(&dice, 10));
}

/* An administrator, or the drive's firmware, turns a volatile cache on or off. Turned off it is written back. */
static void switch_cache(struct world *world, u8 node)
{
	struct disk *disk = &world->node[node].disk;

	disk_flush(disk);
	disk->through = !disk->through;
	world_trace(world, "%u: volatile cache %s", node, disk->through ? "off" : "on");
}

/* ---- faults ---- */

/*
 * A metadata block that cannot be read, or that another one was written over [D7]. Of log, index and pages: a superblock that
 * lost its newest copy is refused by whoever reads it, or another life of the replica.
 */
static void damage(struct world *world, struct dice *dice, u8 node)
{
	struct disk *disk = &world->node[node].disk;
	u32 block = 4 + below(dice, percent(dice, 50) ? 2 : WORLD_META_BLOCKS - 4);
	u32 other = below(dice, WORLD_META_BLOCKS);

	if (disk->meta[block][0] == 0)
		return;		/* never written */
	if (percent(dice, 50)) {
		disk->unreadable |= 1ull << block;
	} else if (other != block && disk->meta[other][0]) {
		memcpy(disk->meta[block], disk->meta[other], META_BLOCK_BYTES);
	}
	world_trace(world, "%u: metadata block %u is damaged", node, block);
}

static void boot(struct world *world, struct dice *dice, u8 node)
{
	struct node *n = &world->node[node];

	if (n->attached)
		return;
	if ((n->disk.dead || (world->knobs.replacements && percent(dice, 20)))) {
		if (!spare(world, node))
			return;
		fault_replace_disk(world, node);
	} else if (world->knobs.damage && !n->powered && percent(dice, 50)) {
		damage(world, dice, node);
	}
	world_boot(world, node);
}

static bool disks_are_well(const struct world *world)
{
	u8 i;

	for (i = 0; i < world->nr_nodes; i++)
		if (world->node[i].disk.dead || world->node[i].disk.bad || world->node[i].disk_failed_posted ||
		    world->node[i].disk.meta_fails_in)
			return false;
	return true;
}

static void disk_fault(struct world *world, struct dice *dice, u8 node)
{
	struct node *n = &world->node[node];

	if (!n->attached || !disks_are_well(world) || !spare(world, node))
		return;
	if (world->knobs.meta_errors && percent(dice, 40)) {
		n->disk.meta_fails_in = 1 + below(dice, 12);
	} else if (world->knobs.disk_errors && percent(dice, 60)) {
		n->disk.bad = some_cells(dice);
		world_trace(world, "%u: cells %x cannot be read", node, n->disk.bad);
	} else if (world->knobs.disk_errors) {
		n->disk.dead = true;
		world_trace(world, "%u: disk is dead", node);
	}
}

static void timeout_too_early(struct world *world, struct dice *dice)
{
	u8 primary = world_primary(world), peer = (u8)below(dice, world->nr_nodes);
	u32 i;

	if (primary == NODE_NONE || peer == primary || world->node[primary].nr_events > 20)
		return;
	for (i = 0; i < WORLD_WRITES_MAX; i++)
		if (volume_waits_for(&world->node[primary].requests[i].ack, peer) &&
		    world->node[primary].requests[i].state != REQUEST_FREE) {
			world_event_simple(world, primary, VOLUME_EVENT_PEER_IO_FAILED, peer);
			return;
		}
}

static void link_fault(struct world *world, struct dice *dice)
{
	u8 a = (u8)below(dice, world->nr_nodes), b = (u8)below(dice, world->nr_nodes), i, j;
	u32 what = below(dice, 10);

	if (what == 0) {	/* a ring, or two halves, or all heals in no particular order */
		u32 half = (u32)roll(dice);

		for (i = 0; i < world->nr_nodes; i++)
			for (j = 0; j < world->nr_nodes; j++)
				if (i != j)
					world_cut(world, i, j, ((half >> i) ^ (half >> j)) & 1);
		return;
	}
	if (a == b)
		return;
	switch (what) {
	case 1:
		world->slow[a][b] = !world->slow[a][b];
		break;
	case 2: case 3:
		world_cut(world, a, b, true);
		world_cut(world, b, a, true);
		break;
	case 4:
		world_cut(world, a, b, true);
		break;
	case 5:
		world_end_session(world, a, b);
		break;
	default:
		world_cut(world, a, b, false);
		world_cut(world, b, a, false);
		break;
	}
}

static void fault(struct world *world, struct dice *dice)
{
	u8 node = (u8)below(dice, world->nr_nodes);

	switch (below(dice, 8)) {
	case 0:
		if (world->node[node].powered)
			world_power_cut(world, node);
		break;
	case 1: case 2:
		boot(world, dice, node);
		break;
	case 3:
		if (world->knobs.through && percent(dice, 30))
			switch_cache(world, node);
		else
			disk_fault(world, dice, node);
		break;
	case 4:
		if (world->knobs.early_timeouts)
			timeout_too_early(world, dice);
		break;
	default:
		link_fault(world, dice);
		break;
	}
}

void fault_action(struct world *world, u64 index)
{
	struct dice dice = { (world->seed << 24 ^ index) * 0x9fb21c651e98df25ull };
	u32 what = below(&dice, 1000);

	roll(&dice);
	if (what < world->knobs.workload_percent * 8)
		fault_workload(world, roll(&dice));
	else if (what < world->knobs.workload_percent * 8 + 80)
		administrator(world, &dice);
	else if (below(&dice, world->knobs.fault_every) < 8)
		fault(world, &dice);
}

/* ---- mending ---- */

/* Somebody on the other side of a split, a primary if there is one; NODE_NONE when there is no split. */
static u8 other_side(const struct world *world, u8 node)
{
	const struct volume *volume = &world->node[node].volume;
	u8 i, other = NODE_NONE;

	for (i = 0; i < world->nr_nodes; i++) {
		const struct volume_peer *peer = volume_peer_const(volume, i);

		if (peer && peer->up && peer->relation == VOLUME_SPLIT && (other == NODE_NONE || world_is_primary(world, i)))
			other = i;
	}
	return volume->super.flags & ONDISK_SPLIT ? other : NODE_NONE;
}

/*
 * Half-synced from a side that yielded since: it shows the split still and nobody stands on the other side any more. Who looks at all of
 * them and finds a whole copy ends it there, too (seed 9400000031327, 5 nodes).
 */
static bool is_leftover(const struct world *world, u8 node)
{
	const struct volume *volume = &world->node[node].volume;
	u8 i;

	if (!(volume->super.flags & ONDISK_SPLIT) || !(volume->super.flags & ONDISK_SYNCING) || volume->super.flags & ONDISK_YIELD)
		return false;
	for (i = 0; i < world->nr_nodes; i++) {
		const struct volume_peer *peer = volume_peer_const(volume, i);

		if (peer && peer->relation == VOLUME_WAITING && peer->plan == VOLUME_PLAN_WAIT_INCOMPLETE &&
		    !(peer->facts->flags & WIRE_GREET_SYNCING) && check_holds_everything(world, i))
			return true;
	}
	return false;
}

/* Its side has a primary, which goes on: it is refused to yield. Who asks anyway would have the judge owe nothing any more. */
static bool side_has_primary(const struct volume *volume)
{
	const struct volume_peer *primary = volume_peer_const(volume, volume->primary);

	return primary && (primary->relation == VOLUME_IN_SYNC || primary->relation == VOLUME_SOURCE);
}

static void end_split(struct world *world, struct dice *dice, u8 node)
{
	struct node *n = &world->node[node];
	u8 other = other_side(world, node);
	struct volume_event event = { .type = VOLUME_EVENT_RESOLVE, .value = n->volume.super.split_id, .node = other };

	if (other == NODE_NONE && !n->command_pending && is_leftover(world, node)) {
		world_trace(world, "%u: administrator: nobody needs this half-synced rest of a split", node);
		event.node = n->volume.super.split_peer;
		n->command_pending = true;
		world_event(world, node, &event);
		return;
	}
	if (other == NODE_NONE || n->command_pending)
		return;
	if (world_is_primary(world, node)) {
		if (world_is_primary(world, other) && node > other)
			fault_demote(world, node);
		return;
	}
	/* It was told already. When all were told, whoever is promoted yields no more (seed 9500000016227, 3 nodes). */
	if (n->volume.super.flags & ONDISK_YIELD)
		return;
	if (side_has_primary(&n->volume) || (!world_is_primary(world, other) && node < other && percent(dice, 80)))
		return;
	world_trace(world, "%u: administrator: the other side of the split wins", node);
	world->count_splits++;
	check_yields(world, node, other);
	n->command_pending = true;
	world_event(world, node, &event);
}

/* A primary whom another one, or a newer history, stands against. */
static bool is_refused(const struct volume *volume)
{
	const struct volume_peer *peer;

	for (peer = volume->peer; peer < volume->peer + REPLICAS_MAX; peer++)
		if (peer->node != NODE_NONE && peer->relation == VOLUME_REFUSED)
			return true;
	return false;
}

/*
 * Forced while it took over a history in which it is no member yet: what it began is related to nothing (seed 12000000416323, 3 nodes).
 * Of two such replicas the one that began later is made anew.
 */
static bool is_outsider(const struct world *world, u8 node)
{
	const struct volume *volume = &world->node[node].volume;
	const struct volume_peer *peer;

	for (peer = volume->peer; peer < volume->peer + REPLICAS_MAX; peer++)
		if (peer->node != NODE_NONE && peer->relation == VOLUME_REFUSED && peer->plan == VOLUME_PLAN_REFUSE_UNRELATED &&
		    check_root(world, node) > check_root(world, peer->node))
			return volume->role == VOLUME_SECONDARY;
	return false;
}

/*
 * When the only complete disk is lost, one that was being resynced may hold everything and cannot know it. Lost for now is also a
 * machine outside @core, whose last record was still on its way (seed 3000000019297, 3 nodes).
 */
static bool anybody_complete(const struct world *world, u32 core)
{
	u8 i;

	for (i = 0; i < world->nr_nodes; i++)
		if (core >> i & 1 &&
		    (world->node[i].attached ? volume_up_to_date(&world->node[i].volume) : !world->node[i].disk.dead))
			return true;
	return false;
}

void fault_mend(struct world *world, u64 index, u32 core)
{
	struct dice dice = { (world->seed << 24 ^ index) * 0xda942042e4dd58b5ull };
	u8 node = (u8)below(&dice, world->nr_nodes);
	struct node *n = &world->node[node];
	u32 nodes;

	if (!(core >> node & 1))
		return;
	if (!n->attached) {
		if (n->disk.dead && !spare(world, node))
			return;
		if (n->disk.dead)
			fault_replace_disk(world, node);
		world_boot(world, node);
		return;
	}
	if (!n->listed)
		return;
	if (n->disk_failed_posted || n->volume.disk != VOLUME_DISK_OK) {
		/* A primary can be demoted while somebody else is in sync with it. */
		if (world_is_primary(world, node) && !percent(&dice, 3))
			fault_demote(world, node);
		else if (world_is_primary(world, node) || !fault_detach(world, node))
			world_power_cut(world, node);
		return;
	}
	if (world->knobs.splits || world->knobs.damage || world->count_forced || world->overruled) {
		end_split(world, &dice, node);
		if (is_refused(&n->volume) && percent(&dice, 20))
			fault_demote(world, node);
		if (is_outsider(world, node)) {
			check_given_up(world, node);
			world_power_cut(world, node);
			fault_replace_disk(world, node);
			return;
		}
	}
	if (world_primary(world) != NODE_NONE || percent(&dice, 50))
		return;
	careful_promote(world, node);
	if (!anybody_complete(world, core) && check_holds_everything(world, node) && percent(&dice, 10))
		try_promote(world, node, 0, true);
	/*
	 * Who is down may have begun writes that nobody was promised; it does not come back (seed 1795390496486, 3 nodes). If it does
	 * after all, later in the mending, that is a split, and whoever overruled it has to end it (seed 4000000001282, 2 nodes).
	 */
	if (check_holds_everything(world, node) && percent(&dice, 5))
		try_promote(world, node, really_down(world), false);
	if ((world->knobs.splits || world->knobs.damage) && volume_promote_check(&n->volume, false, really_down(world), &nodes) == VOLUME_OK)
		try_promote(world, node, really_down(world), false);
}
