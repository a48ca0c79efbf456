// SPDX-License-Identifier: GPL-2.0
/*
 * All that can happen in a world, one step each. The list has a fixed order: a path is a list of indices into it.
 *
 * Reductions: blocks are interchangeable, so block n + 1 is first written after block n. A plain `promote` is tried only
 * where the core would not refuse it at once, since a refusal changes nothing; `promote --peer-down` only by somebody who
 * knows that the others have no power, and who does not promote a copy that lacks what was acknowledged [G8].
 */
#include <stdio.h>

#include "world.h"

static const char *const names[MOVES] = {
	[MOVE_SAVE] = "save", [MOVE_SAVE_BEGIN] = "save begins", [MOVE_RESET] = "log reset", [MOVE_COMMIT] = "log commit",
	[MOVE_LOCAL] = "local write", [MOVE_APPLY] = "apply", [MOVE_ENDING] = "session ended here",
	[MOVE_CONTROL] = "frame", [MOVE_DATA] = "data", [MOVE_RESYNC_SEND] = "resync block",
	[MOVE_RESYNC_DRY] = "resync dry", [MOVE_NOTICE] = "session lost", [MOVE_SESSION] = "session begins",
	[MOVE_WRITE] = "WRITE", [MOVE_EVICT] = "EVICT", [MOVE_PROMOTE] = "PROMOTE", [MOVE_DEMOTE] = "DEMOTE",
	[MOVE_MISTAKE] = "PROMOTE BY MISTAKE", [MOVE_CUT] = "CUT", [MOVE_CRASH] = "CRASH",
	[MOVE_DISK_FAILS] = "DISK FAILS", [MOVE_BOOT] = "BOOT", [MOVE_HEAL] = "HEAL",
};

struct list {
	struct world *world;
	struct move *moves;
	u32 nr;
};

static void add(struct list *list, enum move_kind kind, u8 a, u8 b, u8 c)
{
	struct move move = { (u8)kind, a, b, c };

	if (list->nr == MOVES_MAX)
		world_violation(list->world, "bound", "too many moves");
	else
		list->moves[list->nr++] = move;
}

static void list_meta(struct list *list, u8 node)
{
	struct node *n = &list->world->node[node];

	if (n->saving)
		add(list, MOVE_SAVE, node, 0, 0);
	else if (n->nr_saves)
		add(list, list->world->two_phase_saves ? MOVE_SAVE_BEGIN : MOVE_SAVE, node, 0, 0);
	if (n->reset_wanted && !n->reset_after && !n->nr_applies && !n->volume.in_flight)
		add(list, MOVE_RESET, node, 0, 0);
	if (actlog_commit_wanted(&n->volume.log))
		add(list, MOVE_COMMIT, node, 0, 0);
}

static void list_data(struct list *list, u8 node)
{
	struct world *world = list->world;
	struct node *n = &world->node[node];
	u32 i;

	for (i = 0; i < WORLD_WRITES; i++)
		if (path_local_ready(world, node, (u8)i))
			add(list, MOVE_LOCAL, node, (u8)i, 0);
	for (i = 0; i < n->nr_applies; i++)
		if (path_apply_ready(world, node, i))
			add(list, MOVE_APPLY, node, (u8)i, 0);
}

static void list_resync(struct list *list, u8 node, u8 peer)
{
	struct world *world = list->world;
	struct node *n = &world->node[node];
	const struct volume_peer *p = volume_peer_const(&n->volume, peer);
	u8 mask, block;

	if (!n->resync[peer].running || !p || p->relation != VOLUME_TARGET || n->session[peer] != SESSION_UP)
		return;
	mask = world_map_mask(world, &p->map);
	for (block = 0; block < world->nr_blocks && !n->resync[peer].locked; block++)
		if ((mask >> block & 1) && !path_block_busy(world, node, block))
			add(list, MOVE_RESYNC_SEND, node, peer, block);
	if (!mask && !n->resync[peer].locked)
		add(list, MOVE_RESYNC_DRY, node, peer, 0);
}

static void list_pair(struct list *list, u8 from, u8 to)
{
	struct world *world = list->world;
	struct node *n = &world->node[to];
	enum session_state mine = n->session[from], theirs = world->node[from].session[to];

	if (!n->up)
		return;
	if (mine == SESSION_ENDING)
		add(list, MOVE_ENDING, to, from, 0);
	if (mine != SESSION_NONE && world->control[from][to].nr)
		add(list, MOVE_CONTROL, from, to, 0);
	if (mine == SESSION_UP && world->data[from][to].nr && path_may_deliver(world, from, to))
		add(list, MOVE_DATA, from, to, 0);
	list_resync(list, to, from);
	if (mine == SESSION_UP && (!world->node[from].up || theirs != SESSION_UP || world->cut[from][to]))
		add(list, MOVE_NOTICE, to, from, 0);
	if (from < to && mine == SESSION_NONE && theirs == SESSION_NONE && world->node[from].up && !world->cut[from][to])
		add(list, MOVE_SESSION, from, to, 0);
}

static void list_internal(struct list *list)
{
	u8 a, b;

	for (a = 0; a < list->world->nr_nodes; a++)
		if (list->world->node[a].up) {
			list_meta(list, a);
			list_data(list, a);
		}
	for (a = 0; a < list->world->nr_nodes; a++)
		for (b = 0; b < list->world->nr_nodes; b++)
			if (a != b)
				list_pair(list, a, b);
}

/* ---- the world outside ---- */

/* Is the newest generation that any disk knows one that this node knows, too? */
static bool knows_newest(const struct world *world, u8 node)
{
	static struct chain copy;
	const struct chain *mine = &world->node[node].volume.super.chain;
	u8 i;

	for (i = 0; i < world->nr_nodes; i++) {
		const struct node *other = &world->node[i];
		enum lineage_verdict verdict;

		copy = other->up ? other->volume.super.chain : other->disk.super.chain;
		if (!other->up)
			lineage_mark_written(&copy, other->disk_written_id);
		verdict = lineage_compare(mine, &copy, NULL);
		if (verdict != LINEAGE_SAME && verdict != LINEAGE_I_AM_AHEAD)
			return false;
	}
	return true;
}

static bool holds_everything(const struct world *world, u8 node)
{
	u32 block;

	for (block = 0; block < world->nr_blocks; block++)
		if (world->node[node].cache[block] < world->acked[block])
			return false;
	return true;
}

static void list_promotions(struct list *list, u8 node)
{
	struct world *world = list->world;
	struct volume *v = &world->node[node].volume;
	u32 refused, down = 0;
	bool wise;
	u8 i;

	if (!world->left[BUDGET_PROMOTES] || v->role == VOLUME_PRIMARY || v->command.active)
		return;
	for (i = 0; i < world->nr_nodes; i++)
		if (!world->node[i].up)
			down |= NODE_BIT(i);
	wise = knows_newest(world, node) && holds_everything(world, node);
	if (world->peer_down_used && (!wise || world_primary(world) != NODE_NONE))
		return;
	if (volume_promote_check(v, false, 0, &refused) == VOLUME_OK)
		add(list, MOVE_PROMOTE, node, 0, 0);
	else if (wise && down && volume_promote_check(v, false, down, &refused) == VOLUME_OK)
		add(list, MOVE_PROMOTE, node, (u8)down, 0);
	else if (world->left[BUDGET_MISTAKES] && volume_promote_check(v, false, ~0u, &refused) == VOLUME_OK)
		add(list, MOVE_MISTAKE, node, 0, 0);
}

static void list_node_outside(struct list *list, u8 node)
{
	struct world *world = list->world;
	struct node *n = &world->node[node];
	u8 slot;

	if (!n->up) {
		add(list, MOVE_BOOT, node, 0, 0);
		return;
	}
	for (slot = 0; n->volume.role == VOLUME_PRIMARY && slot < world->nr_blocks; slot++)
		if (world->left[BUDGET_WRITES] && !n->writes[slot].state &&
		    (!slot || (world->touched >> (slot - 1) & 1)))
			add(list, MOVE_WRITE, node, slot, 0);
	if (n->volume.role == VOLUME_PRIMARY && world->left[BUDGET_FLUSHES] && !n->writes[WORLD_FLUSH].state)
		add(list, MOVE_WRITE, node, WORLD_FLUSH, 0);
	if (n->volume.role == VOLUME_PRIMARY && world->left[BUDGET_EVICTIONS] && !n->reset_wanted) {
		u32 region;

		if (actlog_evict_candidates(&n->volume.log, &region, 1))
			add(list, MOVE_EVICT, node, 0, 0);
	}
	list_promotions(list, node);
	if (world->left[BUDGET_DEMOTES] && path_can_demote(world, node))
		add(list, MOVE_DEMOTE, node, 0, 0);
	if (world->left[BUDGET_DISK_FAILURES] && n->volume.disk == VOLUME_DISK_OK)
		add(list, MOVE_DISK_FAILS, node, 0, 0);
	if (!world->left[BUDGET_CRASHES])
		return;
	add(list, MOVE_CRASH, node, 0, 0);
	if (memcmp(n->cache, n->platter, world->nr_blocks))
		add(list, MOVE_CRASH, node, 1, 0);
}

static void list_outside(struct list *list)
{
	struct world *world = list->world;
	u8 a, b;

	for (a = 0; a < world->nr_nodes; a++) {
		list_node_outside(list, a);
		for (b = (u8)(a + 1); b < world->nr_nodes; b++) {
			if (world->cut[a][b])
				add(list, MOVE_HEAL, a, b, 0);
			else if (world->left[BUDGET_CUTS])
				add(list, MOVE_CUT, a, b, 0);
		}
	}
}

u32 move_list(struct world *world, struct move *moves, u32 *nr_internal)
{
	struct list list = { world, moves, 0 };

	list_internal(&list);
	*nr_internal = list.nr;
	list_outside(&list);
	return list.nr;
}

bool move_charge(struct world *world, u32 index)
{
	if (!index)
		return true;
	if (!world->left[BUDGET_DELAYS])
		return false;
	world->left[BUDGET_DELAYS]--;
	return true;
}

/* ---- doing it ---- */

static void promote(struct world *world, u8 node, u32 peer_down)
{
	struct volume_event event = { .type = VOLUME_EVENT_PROMOTE, .nodes = peer_down };

	world_event(world, node, &event);
	world_run(world);
}

static void disk_fails(struct world *world, u8 node)
{
	world_simple_event(world, node, VOLUME_EVENT_DISK_FAILED, NODE_NONE);
	world_run(world);
}

static void apply_internal(struct world *world, struct move m)
{
	switch (m.kind) {
	case MOVE_SAVE:
		if (!world->two_phase_saves)
			world_save_begin(world, m.a);
		world_save_end(world, m.a);
		break;
	case MOVE_SAVE_BEGIN:
		world_save_begin(world, m.a);
		break;
	case MOVE_RESET:
		world_reset(world, m.a);
		break;
	case MOVE_COMMIT:
		path_commit(world, m.a);
		break;
	case MOVE_LOCAL:
		path_local(world, m.a, m.b);
		break;
	case MOVE_APPLY:
		path_apply(world, m.a, m.b);
		break;
	case MOVE_CONTROL:
		world_deliver_frame(world, m.a, m.b);
		break;
	case MOVE_DATA:
		path_deliver(world, m.a, m.b);
		break;
	case MOVE_RESYNC_SEND:
		path_resync_send(world, m.a, m.b, m.c);
		break;
	case MOVE_RESYNC_DRY:
		path_resync_dry(world, m.a, m.b);
		break;
	case MOVE_SESSION:
		world_session(world, m.a, m.b);
		break;
	default:
		world_notice(world, m.a, m.b);
		break;
	}
}

static void apply_outside(struct world *world, struct move m)
{
	switch (m.kind) {
	case MOVE_WRITE:
		world->left[m.b == WORLD_FLUSH ? BUDGET_FLUSHES : BUDGET_WRITES]--;
		path_submit(world, m.a, m.b);
		break;
	case MOVE_EVICT:
		world->left[BUDGET_EVICTIONS]--;
		path_evict(world, m.a);
		break;
	case MOVE_PROMOTE:
		world->left[BUDGET_PROMOTES]--;
		world->peer_down_used |= m.b != 0;
		promote(world, m.a, m.b);
		break;
	case MOVE_MISTAKE:
		world->left[BUDGET_PROMOTES]--;
		world->left[BUDGET_MISTAKES]--;
		world->mistaken = true;
		promote(world, m.a, ~0u);
		break;
	case MOVE_DEMOTE:
		world->left[BUDGET_DEMOTES]--;
		path_demote(world, m.a);
		break;
	case MOVE_CRASH:
		world->left[BUDGET_CRASHES]--;
		world_crash(world, m.a, m.b);
		break;
	case MOVE_DISK_FAILS:
		world->left[BUDGET_DISK_FAILURES]--;
		disk_fails(world, m.a);
		break;
	case MOVE_BOOT:
		world_boot(world, m.a);
		break;
	default:
		world->left[BUDGET_CUTS] -= m.kind == MOVE_CUT;
		world->cut[m.a][m.b] = world->cut[m.b][m.a] = m.kind == MOVE_CUT;
		break;
	}
}

void move_apply(struct world *world, struct move move)
{
	if (move.kind < MOVE_WRITE)
		apply_internal(world, move);
	else
		apply_outside(world, move);
}

/* One line: what is about to happen. */
void move_print(const struct world *world, struct move m)
{
	const struct message *message;

	printf("%-20s", names[m.kind]);
	switch (m.kind) {
	case MOVE_CONTROL:
		message = &world->control[m.a][m.b].entry[0];
		printf("%u -> %u %s", m.a, m.b, wire_type_name(message->frame_type));
		if (message->frame_type == WIRE_VERDICT)
			printf(" %s %s", lineage_verdict_name(message->bits[0]), volume_plan_name(message->bits[1]));
		if (message->frame_type == WIRE_GREET)
			printf(" flags %x", message->flags);
		break;
	case MOVE_DATA:
		message = &world->data[m.a][m.b].entry[0];
		printf("%u -> %u %s %u", m.a, m.b, (const char *const[]){ "", "write", "ack", "evict", "resync", "resynced", "error",
			"resync error" }[message->kind],
		       message->slot);
		break;
	case MOVE_CRASH:
		printf("%u%s", m.a, m.b ? ", its cache reaches the disk" : ", its cache is lost");
		break;
	case MOVE_WRITE:
	case MOVE_LOCAL:
		if (m.b == WORLD_FLUSH)
			printf("%u flush", m.a);
		else
			printf("%u block %u", m.a, m.b);
		break;
	case MOVE_RESYNC_SEND:
		printf("%u -> %u block %u", m.a, m.b, m.c);
		break;
	case MOVE_PROMOTE:
		printf("%u%s", m.a, m.b ? " --peer-down" : "");
		break;
	case MOVE_SESSION:
	case MOVE_CUT:
	case MOVE_HEAL:
		printf("%u - %u", m.a, m.b);
		break;
	default:
		printf("%u", m.a);
		if (m.kind == MOVE_NOTICE || m.kind == MOVE_ENDING || m.kind == MOVE_RESYNC_DRY)
			printf(" with %u", m.b);
		break;
	}
	putchar('\n');
}
