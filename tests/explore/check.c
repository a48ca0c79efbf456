// SPDX-License-Identifier: GPL-2.0
/*
 * What must hold in every state, and in states where nothing more happens by itself [I].
 *
 * [I1] a primary that was promoted by its own right holds every acknowledged write that was flushed, and every acknowledged
 * one while no machine lost power; [I5] where two replicas differ in a block that nobody is changing, one of them has a bit
 * for the other or has the region in its log; [I7] replicas that are in sync with each other are equal; [I9] (world.c) the
 * ends never disagree; [I11] a split has divergent writes on both sides, and none is seen unless an administrator made a
 * mistake; [I12] one primary, and a write only under a generation of its writer. Liveness: when nothing more happens by
 * itself, no I/O and no change of the core waits; and if nothing is cut or down, all are in sync.
 */
#include <stdio.h>

#include "world.h"

static bool message_touches(const struct queue *queue, u8 block)
{
	u32 i;

	for (i = 0; i < queue->nr; i++)
		if (queue->entry[i].slot == block &&
		    (queue->entry[i].kind == MESSAGE_WRITE || queue->entry[i].kind == MESSAGE_RESYNC ||
		     queue->entry[i].kind == MESSAGE_RESYNCED))
			return true;
	return false;
}

/* Is anybody changing the block, or about to? */
static bool block_quiet(const struct world *world, u8 block)
{
	u8 a, b;

	for (a = 0; a < world->nr_nodes; a++) {
		if (world->node[a].up && path_block_busy(world, a, block))
			return false;
		for (b = 0; b < world->nr_nodes; b++)
			if (message_touches(&world->data[a][b], block))
				return false;
	}
	return true;
}

static bool has_bit(const struct world *world, u8 node, u8 peer, u8 block)
{
	const struct node *n = &world->node[node];

	if (!n->up)
		return n->disk_map[peer] >> block & 1;
	return world_map_mask(world, &n->volume.peer[peer].map) >> block & 1;
}

static bool in_log(const struct world *world, u8 node, u8 block)
{
	const struct node *n = &world->node[node];
	u32 slot, region;

	if (!n->up)
		return n->disk_log >> world_region(world, block) & 1;
	for (slot = actlog_next(&n->volume.log, 0, &region); slot != ACTLOG_NO_SLOT;
	     slot = actlog_next(&n->volume.log, slot + 1, &region))
		if (region == world_region(world, block))
			return true;
	return false;
}

static bool disk_ok(const struct node *n)
{
	return !n->up || n->volume.disk == VOLUME_DISK_OK;
}

static enum volume_relation relation_of(const struct world *world, u8 node, u8 peer)
{
	const struct node *n = &world->node[node];

	return n->up ? n->volume.peer[peer].relation : VOLUME_OFF;
}

static bool in_sync(const struct world *world, u8 a, u8 b)
{
	return relation_of(world, a, b) == VOLUME_IN_SYNC && relation_of(world, b, a) == VOLUME_IN_SYNC &&
	       world->node[a].session[b] == SESSION_UP && world->node[b].session[a] == SESSION_UP;
}

/* Two survivors of a writer that they have not missed yet may differ in regions of their logs [G6]. */
static bool with_primary(const struct world *world, u8 a, u8 b)
{
	return world->node[a].volume.role == VOLUME_PRIMARY || world->node[b].volume.role == VOLUME_PRIMARY;
}

/* Whoever has not met a replica takes it to lack everything when they meet (learn_life()). */
static bool has_met(const struct world *world, u8 node, u8 peer)
{
	const struct node *n = &world->node[node];

	return (n->up ? &n->volume.super : &n->disk.super)->slot_replica[peer] || relation_of(world, node, peer) > VOLUME_GREETING;
}

static void check_pair(struct world *world, u8 a, u8 b)
{
	u8 block;

	if (!disk_ok(&world->node[a]) || !disk_ok(&world->node[b]))
		return;
	for (block = 0; block < world->nr_blocks; block++) {
		u8 x = world->node[a].cache[block], y = world->node[b].cache[block];

		if (x == y || !block_quiet(world, block))
			continue;
		if (in_sync(world, a, b) && (with_primary(world, a, b) || (!in_log(world, a, block) && !in_log(world, b, block))))
			world_violation(world, "I7", "in sync, but block %u is %u at %u and %u at %u", block, x, a, y, b);
		if (has_met(world, a, b) && has_met(world, b, a) &&
		    !has_bit(world, a, b, block) && !has_bit(world, b, a, block) &&
		    !in_log(world, a, block) && !in_log(world, b, block))
			world_violation(world, "I5", "block %u is %u at %u and %u at %u: no bit and no log says so", block, x, a, y, b);
	}
}

static void check_primary(struct world *world, u8 node)
{
	const struct node *n = &world->node[node];
	u8 block, other;

	for (other = 0; other < node && !world->mistaken; other++)
		if (world->node[other].up && world->node[other].volume.role == VOLUME_PRIMARY)
			world_violation(world, "I12", "%u and %u are primary", other, node);
	for (block = 0; block < world->nr_blocks && !world->mistaken && disk_ok(n); block++)
		if (n->cache[block] < world->acked[block] || n->cache[block] > world->next_stamp)
			world_violation(world, "I1", "primary %u has %u in block %u, acknowledged is %u", node,
					n->cache[block], block, world->acked[block]);
}

static bool real_beyond(const struct world *world, const struct chain *chain, const struct chain *other)
{
	u32 i;

	for (i = 0; i < chain->count; i++)
		if (world->real[chain->record[i].id] && !lineage_find(other, chain->record[i].id))
			return true;
	return false;
}

static void check_split(struct world *world, u8 node, u8 peer)
{
	const struct volume_peer *p = &world->node[node].volume.peer[peer];
	const struct chain *mine = &world->node[node].volume.super.chain;

	if (p->relation != VOLUME_SPLIT)
		return;
	if (!world->mistaken)
		world_violation(world, "I11", "node %u claims a split with %u, and nobody made a mistake", node, peer);
	else if (!real_beyond(world, mine, &p->facts->chain) || !real_beyond(world, &p->facts->chain, mine))
		world_violation(world, "I11", "node %u claims a split with %u without divergent writes", node, peer);
}

void check_state(struct world *world)
{
	u8 a, b;

	for (a = 0; a < world->nr_nodes; a++) {
		if (world->node[a].up && world->node[a].volume.role == VOLUME_PRIMARY)
			check_primary(world, a);
		for (b = 0; b < world->nr_nodes; b++) {
			if (a < b)
				check_pair(world, a, b);
			if (a != b && world->node[a].up)
				check_split(world, a, b);
		}
	}
}

/* ---- nothing happens by itself any more ---- */

static void check_idle(struct world *world, u8 node)
{
	const struct node *n = &world->node[node];
	const struct volume *v = &n->volume;
	u32 slot;

	for (slot = 0; slot < WORLD_WRITES; slot++)
		if (n->writes[slot].state)
			world_violation(world, "liveness", "a %s of %u waits for ever, nodes %x have not answered",
					slot == WORLD_FLUSH ? "flush" : "write", node, n->writes[slot].ack.pending);
	if (n->nr_applies)
		world_violation(world, "liveness", "a write that arrived at %u is never applied", node);
	if (v->proposal.active || v->accepting.token || v->adopting.token || v->resetting)
		world_violation(world, "liveness", "node %u waits for ever:%s%s%s%s", node,
				v->proposal.active ? " proposal" : "", v->accepting.token ? " record" : "",
				v->adopting.token ? " chain" : "", v->resetting ? " log reset" : "");
	if (v->command.active)
		world_violation(world, "liveness", "a command on %u waits for ever", node);
}

static bool may_stay_apart(const struct volume_peer *peer)
{
	return peer->plan == VOLUME_PLAN_SPLIT || peer->plan == VOLUME_PLAN_REFUSE_TWO_PRIMARIES ||
	       peer->plan == VOLUME_PLAN_REFUSE_STALE_PRIMARY;
}

static void check_healed(struct world *world)
{
	bool apart = false;
	u8 a, b, block;

	for (a = 0; a < world->nr_nodes; a++)
		for (b = 0; b < world->nr_nodes; b++)
			if (a != b && !in_sync(world, a, b)) {
				if (!world->mistaken || !may_stay_apart(&world->node[a].volume.peer[b]))
					world_violation(world, "liveness", "all is healed, but %u is %s with %u, plan %s", a,
							volume_relation_name(relation_of(world, a, b)), b,
							volume_plan_name(world->node[a].volume.peer[b].plan));
				apart = true;
			}
	for (a = 0; a < world->nr_nodes && !apart; a++)
		for (block = 0; block < world->nr_blocks; block++)
			if (world->node[a].cache[block] < world->firm[block])
				world_violation(world, "I10", "all are in sync, and block %u is %u, flushed was %u", block,
						world->node[a].cache[block], world->firm[block]);
}

void check_quiescent(struct world *world)
{
	bool healed = true;
	u8 a, b;

	for (a = 0; a < world->nr_nodes; a++) {
		if (world->node[a].up)
			check_idle(world, a);
		healed &= world->node[a].up && world->node[a].volume.disk == VOLUME_DISK_OK;
		for (b = 0; b < world->nr_nodes; b++)
			healed &= !world->cut[a][b];
	}
	if (healed)
		check_healed(world);
}

/* ---- a state for the eye ---- */

static void print_node(const struct world *world, u8 node)
{
	const struct node *n = &world->node[node];
	const struct generation *tail = lineage_tail(n->up ? &n->volume.super.chain : &n->disk.super.chain);
	u8 i;

	printf("        %u %-9s", node, !n->up ? "down" : n->volume.role == VOLUME_PRIMARY ? "PRIMARY" : "secondary");
	if (tail)
		printf(" gen %llu=#%llu{%x}%s", (unsigned long long)tail->number, (unsigned long long)tail->id, tail->members,
		       tail->written ? "w" : "");
	if ((n->up ? &n->volume.super : &n->disk.super)->flags & ONDISK_BLANK)
		printf(" BLANK");
	for (i = 0; i < world->nr_blocks; i++)
		printf(" %u/%u%s", n->cache[i], n->platter[i], in_log(world, node, i) ? "L" : "");
	for (i = 0; i < world->nr_nodes && n->up; i++)
		if (i != node)
			printf(" [%u:%s%s bits %x]", i, volume_relation_name(n->volume.peer[i].relation),
			       n->session[i] == SESSION_ENDING ? " ending" : "", world_map_mask(world, &n->volume.peer[i].map));
	for (i = 0; i < world->nr_nodes && !n->up; i++)
		if (i != node)
			printf(" [%u: bits %x]", i, n->disk_map[i]);
	if (n->up && n->volume.super.flags & ONDISK_SYNCING)
		printf(" SYNCING");
	if (n->up && n->volume.super.reconcile)
		printf(" reconcile %x", n->volume.super.reconcile);
	putchar('\n');
}

void check_print(const struct world *world)
{
	u8 node;

	for (node = 0; node < world->nr_nodes; node++)
		print_node(world, node);
}
