// SPDX-License-Identifier: GPL-2.0
/*
 * Seeded disasters: a workload on the primary, cuts, crashes with volatile caches, administrators that promote and
 * demote; then everything heals and the replicas must become identical and hold what was promised.
 *
 *   sim SEED=n | SEEDS=a..b [NODES=2|3] [STEPS=n]
 *
 * [I1] whoever is promoted without force holds every acknowledged write that was flushed, and every acknowledged one
 * if no machine lost power; [I7] after healing all replicas are equal; [I9] the ends agree; [I11] no split
 * without two writers, [I12] one primary; liveness: the healed cluster becomes in sync within a bound.
 */
#include <stdio.h>
#include <stdlib.h>

#include "path.h"
#include "world.h"

static struct world world;

static void check_content(u8 node, const u32 *floor, const char *what)
{
	u32 block;

	for (block = 0; block < WORLD_BLOCKS; block++)
		if (world.node[node].cache[block] < floor[block])
			world_violation(&world, "I1", "%s: node %u block %u holds %u, acknowledged %u", what, node, block,
					world.node[node].cache[block], floor[block]);
}

/* Would this node's copy lose anything that was acknowledged? An omniscient administrator's question. */
static bool holds_everything(u8 node)
{
	u32 block;

	for (block = 0; block < WORLD_BLOCKS; block++)
		if (world.node[node].cache[block] < world.acked[block])
			return false;
	return true;
}

/* A write that a surviving copy lost with a power cut before any flush may be gone: then it was never promised. */
static void forget_unflushed(void)
{
	memcpy(world.acked, world.firm, sizeof(world.acked));
}

static void command(u8 node, enum volume_event_type type, u32 nodes)
{
	struct volume_event event = { .type = type, .nodes = nodes };

	if (world.node[node].command_pending || world.node[node].nr_events > 100)
		return;
	world.node[node].command_pending = true;
	world_event(&world, node, &event);
}

/* Is the newest generation, as far as any disk knows, one whose in-sync set has this node? */
static bool knows_newest(u8 node)
{
	const struct chain *mine = &world.node[node].volume.super.chain;
	u8 i;

	for (i = 0; i < world.nr_nodes; i++) {
		const struct chain *other = world.node[i].up ? &world.node[i].volume.super.chain :
					    &world.node[i].disk_super.chain;
		struct chain copy = *other;

		if (!world.node[i].up && lineage_tail(&copy)->id == world.node[i].disk_written_id)
			lineage_mark_written(&copy);
		if (lineage_compare(mine, &copy, NULL) != LINEAGE_SAME &&
		    lineage_compare(mine, &copy, NULL) != LINEAGE_I_AM_AHEAD)
			return false;
	}
	return true;
}

static void administrator(void)
{
	u8 node = (u8)(world_random() % world.nr_nodes), primary = world_primary(&world), i;
	struct node *n = &world.node[node];
	u32 down = 0, refused;

	if (!n->up)
		return;
	if (node == primary) {
		if (world_random() % 8 == 0 && path_idle(&world, node) && !n->volume.in_flight)
			command(node, VOLUME_EVENT_DEMOTE, 0);
		return;
	}
	if (primary != NODE_NONE)
		return;
	for (i = 0; i < world.nr_nodes; i++)	/* only what is really without power is called down, by someone who knows */
		if (!world.node[i].up)
			down |= 1u << i;
	if (!knows_newest(node) || !holds_everything(node)) {
		/*
		 * Once somebody was promoted over the head of another that was called down, that one may come back and find
		 * itself the only member of what it knows [G8]: without a witness only a cautious administrator helps.
		 */
		if (world.peer_down_used)
			return;
		down = 0;
	}
	if (volume_promote_check(&n->volume, false, down, &refused) == VOLUME_OK) {
		world.count_promotes++;
		world.peer_down_used |= down != 0;
		command(node, VOLUME_EVENT_PROMOTE, down);
	}
}

static void workload(void)
{
	u8 primary = world_primary(&world);

	if (primary != NODE_NONE && !world.node[primary].command_pending)
		path_submit(&world, primary, (u32)(world_random() % (WORLD_BLOCKS + 2)) % (WORLD_BLOCKS + 1));
}

static void fault(void)
{
	u8 a = (u8)(world_random() % world.nr_nodes), b = (u8)(world_random() % world.nr_nodes);

	switch (world_random() % 6) {
	case 0:
		if (world.node[a].up) {
			world_crash(&world, a);
			forget_unflushed();
		}
		break;
	case 1:
	case 2:
		if (!world.node[a].up)
			world_boot(&world, a);
		break;
	case 3:
		if (a != b)
			world_cut(&world, a, b, true);
		break;
	default:
		if (a != b && world.cut[a][b])
			world_cut(&world, a, b, false);
		break;
	}
}

/* The administrators of these runs never let two sides write, so a split would be a false one. */
static void check_no_split(void)
{
	u8 i, slot;

	for (i = 0; i < world.nr_nodes; i++)
		for (slot = 0; slot < REPLICAS_MAX; slot++)
			if (world.node[i].up && world.node[i].volume.peer[slot].relation == VOLUME_SPLIT)
				world_violation(&world, "I11", "node %u claims a split with %u", i,
						world.node[i].volume.peer[slot].node);
}

static void check_primaries(void)
{
	u8 i, primaries = 0;
	static u8 last = NODE_NONE;
	u8 primary = NODE_NONE;

	for (i = 0; i < world.nr_nodes; i++)
		if (world.node[i].up && world.node[i].volume.role == VOLUME_PRIMARY) {
			primaries++;
			primary = i;
		}
	if (primaries > 1)
		world_violation(&world, "I12", "two primaries");
	check_no_split();
	if (primary != last && primary != NODE_NONE)
		check_content(primary, world.acked, "promoted");
	last = primary;
}

static bool converged(void)
{
	u8 i, j;

	for (i = 0; i < world.nr_nodes; i++)
		for (j = 0; j < world.nr_nodes; j++) {
			const struct volume_peer *peer = volume_peer_const(&world.node[i].volume, j);

			if (i != j && (!peer || peer->relation != VOLUME_IN_SYNC))
				return false;
		}
	return world_primary(&world) != NODE_NONE && path_idle(&world, world_primary(&world));
}

static void heal(void)
{
	u8 i, j;
	u32 steps;

	world_trace(&world, "---- everything heals ----");
	for (i = 0; i < world.nr_nodes; i++) {
		for (j = 0; j < world.nr_nodes; j++)
			world.cut[i][j] = false;
		if (!world.node[i].up)
			world_boot(&world, i);
	}
	for (steps = 0; steps < 40000; steps++) {
		world_step(&world);
		if (steps % 50 == 0)
			administrator();
		check_primaries();
		if (converged())
			return;
	}
	for (i = 0; i < world.nr_nodes; i++)
		check_content(i, world.acked, "healed but nobody may be promoted");
	world_violation(&world, "liveness", "not in sync 40000 steps after everything healed");
}

static void check_equal(void)
{
	u8 primary = world_primary(&world), i;
	u32 block;

	for (i = 0; i < world.nr_nodes; i++)
		for (block = 0; block < WORLD_BLOCKS; block++)
			if (world.node[i].cache[block] != world.node[primary].cache[block] &&
			    !path_applying(&world, i))
				world_violation(&world, "I7", "block %u: node %u has %u, primary %u has %u", block, i,
						world.node[i].cache[block], primary, world.node[primary].cache[block]);
	check_content(primary, world.acked, "healed");
}

static void run(u64 seed, u32 nr_nodes, u32 steps)
{
	u32 i, fault_every;

	world_init(&world, seed, nr_nodes);
	fault_every = 20 + (u32)(world_random() % 400);
	for (i = 0; i < steps; i++) {
		world_step(&world);
		if (world_random() % 6 == 0)
			workload();
		if (world_random() % 20 == 0)
			administrator();
		if (world_random() % fault_every == 0)
			fault();
		check_primaries();
	}
	heal();
	check_equal();
	world_free(&world);
}

int main(int argc, char **argv)
{
	unsigned long long first = 1, last = 0, nodes = 0, steps = 4000, seed;
	struct world total = { 0 };
	int i;

	for (i = 1; i < argc; i++) {
		if (sscanf(argv[i], "SEEDS=%llu..%llu", &first, &last) == 2)
			continue;
		if (sscanf(argv[i], "SEED=%llu", &first) == 1)
			last = first;
		else if (sscanf(argv[i], "NODES=%llu", &nodes) != 1 && sscanf(argv[i], "STEPS=%llu", &steps) != 1)
			return fprintf(stderr, "usage: sim SEED=n | SEEDS=a..b [NODES=2|3] [STEPS=n]\n"), 2;
	}
	if (last < first)
		last = first + 199;
	for (seed = first; seed <= last; seed++) {
		run(seed, nodes ? (u32)nodes : 2 + (u32)(seed % 2), (u32)steps);
		total.steps += world.steps;
		total.count_acks += world.count_acks;
		total.count_crashes += world.count_crashes;
		total.count_cuts += world.count_cuts;
		total.count_promotes += world.count_promotes;
		total.count_resyncs += world.count_resyncs;
		total.count_joins += world.count_joins;
	}
	printf("sim: SEEDS=%llu..%llu clean: %llu steps, %llu acknowledged, %llu power cuts, %llu link cuts, %llu promotions, %llu resyncs\n",
	       first, last, (unsigned long long)total.steps, (unsigned long long)total.count_acks,
	       (unsigned long long)total.count_crashes, (unsigned long long)total.count_cuts,
	       (unsigned long long)total.count_promotes, (unsigned long long)total.count_resyncs);
	return 0;
}
