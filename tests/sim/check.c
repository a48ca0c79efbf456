// SPDX-License-Identifier: GPL-2.0
/*
 * The invariants, judged from outside. This file knows every stamp that was written, acknowledged and flushed, and compares
 * it with what the disks hold; of the core it reads roles, relations, chains, maps and logs, but shares none of its
 * reasoning.
 *
 * Histories: a branch is one line of history. It forks when an administrator promotes by force or calls a node down; then
 * two writers may be at work, and what one side acknowledged is not owed by the other. Every record belongs to the branch of
 * its maker. What a writer's power cut may lose is what was acknowledged and not flushed; a replica in sync that survives it and goes on
 * holds that too.
 */
#include "world.h"

enum { STAMPS_MAX = 1 << 18 };

static u32 cells_of_stamp[STAMPS_MAX];

static u32 record_slot(const struct world *world, u64 id)
{
	u32 slot = (u32)(id * 0x9e3779b97f4a7c15ull >> 40) % (2 * WORLD_RECORDS_MAX);

	while (world->record_at[slot] && world->record[world->record_at[slot] - 1].id != id)
		slot = (slot + 1) % (2 * WORLD_RECORDS_MAX);
	return slot;
}

static struct record *record_find(const struct world *world, u64 id)
{
	u32 at = world->record_at[record_slot(world, id)];

	return at ? (struct record *)&world->record[at - 1] : NULL;
}

static struct record *record_add(struct world *world, u64 id, u16 branch, u8 maker)
{
	struct record *record = &world->record[world->nr_records];

	if (world->nr_records == WORLD_RECORDS_MAX)
		world_violation(world, "bound", "too many generation records");
	world->record_at[record_slot(world, id)] = (u16)++world->nr_records;
	*record = (struct record){ .id = id, .branch = branch, .maker = maker };
	world->count_records++;
	return record;
}

static u16 branch_of_chain(const struct world *world, const struct chain *chain)
{
	const struct generation *tail = lineage_tail(chain);
	const struct record *record = tail ? record_find(world, tail->id) : NULL;

	return record ? record->branch : NO_BRANCH;
}

u16 check_branch(const struct world *world, u8 node)
{
	const struct node *n = &world->node[node];

	if (world_is_primary(world, node) && n->branch != NO_BRANCH)
		return n->branch;
	return branch_of_chain(world, &n->volume.super.chain);
}

void check_init(struct world *world)
{
	world->nr_branches = 1;
	world->branch[0].parent = NO_BRANCH;
	record_add(world, 1, 0, 0);	/* the first record of meta_format() */
}

u32 check_foreign_stamp(struct world *world)
{
	cells_of_stamp[++world->next_stamp] = ~0u;
	return world->next_stamp;
}

static void remember_chain(struct node *n)
{
	const struct chain *chain = &n->volume.super.chain;
	u32 i;

	n->chain_count = chain->count;
	n->chain_complete = !(n->volume.super.flags & ONDISK_SYNCING);
	for (i = 0; i < chain->count; i++) {
		n->chain_id[i] = chain->record[i].id;
		n->chain_number[i] = chain->record[i].number;
		n->chain_members[i] = chain->record[i].members;
	}
}

void check_attached(struct world *world, u8 node)
{
	struct node *n = &world->node[node];

	(void)world;
	n->branch = NO_BRANCH;
	n->in_sync = 0;
	memset(n->survives, 0, sizeof(n->survives));
	remember_chain(n);
}

void check_content(struct world *world, u8 node, const u32 *floor, const char *label, const char *what)
{
	const struct disk *disk = &world->node[node].disk;
	u32 cell;

	for (cell = 0; cell < WORLD_CELLS; cell++) {
		if (disk->cache[cell] < floor[cell])
			world_violation(world, label, "%s: node %u cell %u holds %u, owed %u", what, node, cell,
					disk->cache[cell], floor[cell]);
		if (disk->cache[cell] && !(cells_of_stamp[disk->cache[cell] % STAMPS_MAX] >> cell & 1))
			world_violation(world, "I4", "%s: node %u cell %u holds %u, which was never written there", what, node,
					cell, disk->cache[cell]);
	}
}

bool check_holds_everything(const struct world *world, u8 node)
{
	u32 cell, i;

	for (i = 0; i < world->nr_branches; i++)
		for (cell = 0; cell < WORLD_CELLS && !world->branch[i].yields; cell++)
			if (world->node[node].disk.cache[cell] < world->branch[i].acked[cell])
				return false;
	return true;
}

/* Is the newest generation that any machine has heard of one that this node continues? */
bool check_knows_newest(const struct world *world, u8 node)
{
	u8 i;

	for (i = 0; i < world->nr_nodes; i++) {
		struct chain mine = world->node[node].volume.super.chain, theirs = world->node[i].volume.super.chain;
		enum lineage_verdict verdict;
		u32 at;

		/*
		 * What a machine had under way when its power went may be on its disk: its log will tell (seed 1795371915300,
		 * 4 nodes). Or the log of another one that it told of it, under a later record (seed 512484, 4 nodes).
		 */
		for (at = 0; !world->node[i].powered && at < theirs.count; at++) {
			const struct record *record = record_find(world, theirs.record[at].id);

			if (record && record->attempts) {
				lineage_mark_written(&theirs, theirs.record[at].id);
				lineage_mark_written(&mine, theirs.record[at].id);
			}
		}
		verdict = lineage_compare(&mine, &theirs, NULL);

		if (verdict != LINEAGE_SAME && verdict != LINEAGE_I_AM_AHEAD)
			return false;
	}
	return true;
}

/* ---- promotion ---- */

/*
 * Who forces the target of a resync has in the end what its last pieces say, which may still wait for the disk (seed 9100000007707,
 * 3 nodes). The module's promotion waits for them; here the node is primary at once.
 */
static void resync_ends_late(struct branch *branch, const struct node *n)
{
	u32 i, cell;

	for (i = 0; i < WORLD_APPLIES_MAX; i++) {
		const struct apply *a = &n->applies[i];

		for (cell = 0; a->used && a->resync && cell < WORLD_CELLS; cell++) {
			u32 stamp = a->stamp[cell % GROUP_CELLS];

			if (!(a->cells >> cell & 1) || stamp >= branch->acked[cell])
				continue;
			branch->acked[cell] = stamp;
			branch->over[cell] = stamp;
			branch->firm[cell] = branch->firm[cell] < stamp ? branch->firm[cell] : stamp;
		}
	}
}

static void fork_branch(struct world *world, u8 node, u16 from)
{
	struct node *n = &world->node[node];
	struct branch *branch = &world->branch[world->nr_branches];
	u32 cell;

	if (world->nr_branches == WORLD_BRANCHES_MAX)
		world_violation(world, "bound", "too many branches");
	memset(branch, 0, sizeof(*branch));
	branch->parent = from;
	if (n->command_sure && from != NO_BRANCH) {
		memcpy(branch->acked, world->branch[from].acked, sizeof(branch->acked));
		memcpy(branch->over, world->branch[from].over, sizeof(branch->over));
		memcpy(branch->firm, world->branch[from].firm, sizeof(branch->firm));
	} else {
		memcpy(branch->acked, n->disk.cache, sizeof(branch->acked));
		memcpy(branch->over, n->disk.cache, sizeof(branch->over));
		for (cell = 0; cell < WORLD_CELLS; cell++)	/* after a power cut it may be either */
			branch->firm[cell] = n->disk.platter[cell] < n->disk.cache[cell] ? n->disk.platter[cell] : n->disk.cache[cell];
		resync_ends_late(branch, n);
	}
	n->branch = (u16)world->nr_branches++;
}

/*
 * Damage took the log, and with it the mark whether anybody wrote under the newest record: it must count as written, which can make a
 * split where there is none. What goes on at the side that nobody wrote at is a branch of its own (seed 1795385141875, 3 nodes), also
 * when that side took in members since (seed 9510000011948, 4 nodes).
 */
static bool split_by_damage(const struct world *world, const struct volume *volume)
{
	const struct generation *tail = lineage_stripped_tail(&volume->super.chain);
	const struct record *record = tail ? record_find(world, tail->id) : NULL;

	return world->knobs.damage && (volume->super.flags & ONDISK_SPLIT) && tail && tail->written && record && !record->attempts;
}

/* He did not see that something was missing, or somebody whom he called down came back meanwhile (seed 9830000022545, 3 nodes). */
static bool overruled(const struct world *world, const struct node *n)
{
	u8 i;

	for (i = 0; i < world->nr_nodes; i++)
		if (n->command_down >> i & 1 && (!n->command_sure || world->node[i].powered))
			return true;
	return false;
}

static void promoted(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	u16 branch = branch_of_chain(world, &n->volume.super.chain);
	bool own_word = !n->command_force && !n->command_down && !split_by_damage(world, &n->volume);

	world->count_promotes++;
	world->count_forced += n->command_force;
	world->overruled |= overruled(world, n);
	check_content(world, node, n->survives, "I1", "promoted survivor");
	if ((own_word || n->command_sure) && branch != NO_BRANCH)	/* nobody took the risk on himself [G4] */
		check_content(world, node, world->branch[branch].acked, "I1", "promoted");
	if (own_word)
		n->branch = branch;
	else
		fork_branch(world, node, branch);
	world_trace(world, "%u is primary of branch %u", node, n->branch);
}

/* ---- steps ---- */

static bool in_chain(const struct chain *chain, u64 id)
{
	return lineage_find(chain, id) != NULL;
}

/* [I8] The node takes over another history: did it give up writes that somebody was promised? */
static void history_given_up(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	const struct chain *now = &n->volume.super.chain;
	u32 i = n->chain_count;

	while (i-- && !in_chain(now, n->chain_id[i])) {
		const struct record *record = record_find(world, n->chain_id[i]);

		if (now->trimmed && now->count && n->chain_number[i] < now->record[0].number)
			return;
		if (!n->chain_complete || !(n->chain_members[i] >> node & 1))
			continue;	/* it knew of them and did not hold them */
		if (record && record->acks && !n->yields)
			world_violation(world, "I8", "node %u gives up record %llu, under which %u writes were acknowledged", node,
					(unsigned long long)n->chain_number[i], record->acks);
	}
}

/* Was anything attempted under an earlier record of the last one's writer? */
static bool wrote_before(const struct world *world, const struct chain *chain)
{
	u8 writer = lineage_tail(chain)->writer;
	u32 i;

	for (i = 0; i + 1 < chain->count; i++) {
		const struct record *record = record_find(world, chain->record[i].id);

		if (chain->record[i].writer == writer && record && record->attempts)
			return true;
	}
	return false;
}

static void tail_changed(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	const struct chain *chain = &n->volume.super.chain;
	const struct generation *tail = lineage_tail(chain);
	const struct generation *parent;
	u16 branch = n->branch;

	if (!tail)
		return;
	if (record_find(world, tail->id)) {
		history_given_up(world, node);
		return;
	}
	parent = chain->count > 1 ? &chain->record[chain->count - 2] : NULL;
	if (!world_is_primary(world, node) || branch == NO_BRANCH) {
		const struct record *record = parent ? record_find(world, parent->id) : NULL;

		branch = record ? record->branch : NO_BRANCH;
	}
	if (branch == NO_BRANCH)
		world_violation(world, "I20", "node %u makes a record that continues nothing", node);
	/* It may be written from its first moment, for what was acknowledged under an earlier one of its writer. */
	if (tail->written && !n->volume.in_flight && !wrote_before(world, chain))
		world_violation(world, "I11", "node %u makes a record that counts as written, and wrote nothing", node);
	record_add(world, tail->id, branch, node)->attempts = n->volume.in_flight || tail->written;
}

static u32 in_sync_with(const struct volume *volume)
{
	const struct volume_peer *peer;
	u32 mask = 0;

	for (peer = volume->peer; peer < volume->peer + REPLICAS_MAX; peer++)
		if (peer->node != NODE_NONE && peer->relation == VOLUME_IN_SYNC)
			mask |= NODE_BIT(peer->node);
	return mask;
}

static void check_pair(struct world *world, u8 a, u8 b);

static void joined(struct world *world, u8 node)
{
	struct node *n = &world->node[node];
	u32 now = in_sync_with(&n->volume), more = now & ~n->in_sync;
	u8 peer;

	n->in_sync = now;
	if (more)
		n->yields = false;
	/* The administrator's word may have waited while this replica joined (seed 1795386308295, 5 nodes). */
	if (n->resolving && n->volume.super.flags & ONDISK_YIELD) {
		n->yields = true;
		n->resolving = false;
	}
	for (peer = 0; peer < world->nr_nodes && more; peer++)
		if (more >> peer & 1)
			check_pair(world, node, peer);
}

/* [D3] No step used, or looked for, a slot that has no memory. */
static void check_slots(struct world *world, u8 node)
{
	const struct volume *volume = &world->node[node].volume;
	const struct volume_peer *peer;

	for (peer = volume->peer; peer < volume->peer + REPLICAS_MAX; peer++)
		if (!peer->map.entries && (peer->node != NODE_NONE || peer->facts || peer->map.nr_set || peer->map.nr_unsaved ||
					   volume->super.slot_node[peer - volume->peer] != NODE_NONE))
			world_violation(world, "D3", "node %u: slot %u is used and has no memory", node,
					(u32)(peer - volume->peer));
	if (volume->slots_short)
		world_violation(world, "D3", "node %u: a slot was wanted that had been given no memory", node);
}

/* A run costs every write something, and shares its window with others: it ends with its reason [R3]. */
static void check_runs(struct world *world, u8 node)
{
	const struct node *n = &world->node[node];
	u8 i;

	for (i = 0; i < REPLICAS_MAX; i++) {
		const struct volume_peer *peer = &n->volume.peer[i];

		if (peer->node != NODE_NONE && n->resync[peer->node].running && peer->relation != VOLUME_TARGET &&
		    peer->relation != VOLUME_JOINING)
			world_violation(world, "R3", "a resync runs towards a node that is no target");
	}
}

void check_after_step(struct world *world, u8 node, enum volume_role before)
{
	struct node *n = &world->node[node];
	const struct chain *chain = &n->volume.super.chain;
	const struct generation *tail = lineage_tail(chain);

	check_slots(world, node);
	check_runs(world, node);
	if (before == VOLUME_SECONDARY && n->volume.role == VOLUME_PRIMARY)
		promoted(world, node);
	if (n->volume.role != VOLUME_PRIMARY)
		n->branch = NO_BRANCH;
	if (chain->count != n->chain_count || (tail && tail->id != n->chain_id[n->chain_count - 1])) {
		tail_changed(world, node);
		remember_chain(n);
	}
	n->chain_complete = !(n->volume.super.flags & ONDISK_SYNCING);
	if (n->volume.sync_source != NODE_NONE)	/* a copy that lost its cache may have become the source */
		memset(n->survives, 0, sizeof(n->survives));
	joined(world, node);
}

/* ---- requests ---- */

static struct record *tail_record(const struct world *world, const struct volume *volume)
{
	const struct generation *tail = lineage_tail(&volume->super.chain);

	return tail ? record_find(world, tail->id) : NULL;
}

void check_attempt(struct world *world, u8 node, u32 cells, u32 stamp)
{
	const struct volume *volume = &world->node[node].volume;
	struct record *record;

	if (stamp >= STAMPS_MAX)
		world_violation(world, "bound", "too many writes");
	if (cells)
		cells_of_stamp[stamp] = cells;
	record = tail_record(world, volume);
	if (record)
		record->attempts++;
}

/*
 * It belongs to the first generation, from the one in which it was asked, whose members have all acknowledged it, though another may
 * be proposed meanwhile, which may fail (seeds 1795375390059, 3 nodes, and 9810000053684, 4 nodes). Else to the newest.
 */
static struct record *acked_under(const struct world *world, const struct volume *volume, const struct request *request)
{
	const struct chain *chain = &volume->super.chain;
	bool since = false;
	u32 i;

	for (i = 0; i < chain->count; i++) {
		since |= chain->record[i].id == request->generation_id;
		if (since && !(chain->record[i].members & ~request->ok_nodes))
			return record_find(world, chain->record[i].id);
	}
	return tail_record(world, volume);
}

static void count_acked(struct world *world, u8 node, const struct request *request)
{
	struct record *record = acked_under(world, &world->node[node].volume, request);

	if (record) {
		record->attempts++;
		record->acks++;
		if (record->branch != check_branch(world, node))
			world->branch[check_branch(world, node)].under = record->id;
	}
}

void check_acked(struct world *world, u8 node, const struct request *request)
{
	struct branch *branch;
	u32 cell;
	u8 peer;

	if (check_branch(world, node) == NO_BRANCH)
		world_violation(world, "I12", "node %u acknowledges without a history", node);
	branch = &world->branch[check_branch(world, node)];
	world->count_acks++;
	if (!request->internal)
		count_acked(world, node, request);
	/* Who saw, before he used force, that nothing was missing, did not see this (seed 1795400008575, 5 nodes). */
	for (peer = 0; peer < world->nr_nodes; peer++)
		if (peer != node && request->kind == REQUEST_WRITE)
			world->node[peer].command_sure = false;
	for (cell = 0; cell < WORLD_CELLS; cell++) {
		if (request->kind == REQUEST_FLUSH && request->floor[cell] > branch->firm[cell])
			branch->firm[cell] = request->floor[cell];
		if (!(request->cells >> cell & 1))
			continue;
		if (request->stamp > branch->acked[cell])
			branch->acked[cell] = request->stamp;
		if (request->stamp > branch->over[cell])
			branch->over[cell] = request->stamp;
		if (request->fua_asked && request->stamp > branch->firm[cell])
			branch->firm[cell] = request->stamp;
	}
}

void check_floor(const struct world *world, u8 node, enum request_kind kind, u32 *floor)
{
	u16 branch = check_branch(world, node);

	if (branch == NO_BRANCH)
		memset(floor, 0, WORLD_CELLS * sizeof(*floor));
	else
		memcpy(floor, kind == REQUEST_FLUSH ? world->branch[branch].over : world->branch[branch].acked,
		       WORLD_CELLS * sizeof(*floor));
}

static bool in_flight(const struct node *n, u32 stamp)
{
	u32 i;

	for (i = 0; i < WORLD_WRITES_MAX; i++)
		if (n->requests[i].state >= REQUEST_LOGGING && n->requests[i].state <= REQUEST_SENT &&
		    n->requests[i].kind == REQUEST_WRITE && n->requests[i].stamp == stamp)
			return true;
	return false;
}

/*
 * What was read does not vanish [I3]. A flush covers it when the write that it is from was over before [W5]: one that is in flight
 * can be read here before the others have it, and the flush asks nobody whose answers were all stable (seed 4000000004526,
 * 3 nodes).
 */
void check_read(struct world *world, u8 node, const struct request *request, const u32 *value)
{
	struct branch *branch;
	u32 cell;

	world->count_reads++;
	if (check_branch(world, node) == NO_BRANCH)
		return;
	branch = &world->branch[check_branch(world, node)];
	for (cell = 0; cell < WORLD_CELLS; cell++) {
		u32 v = value[cell % GROUP_CELLS];

		if (!(request->cells >> cell & 1))
			continue;
		if (v < request->floor[cell])
			world_violation(world, "I3", "node %u reads %u from cell %u, %u was acknowledged or read before", node, v,
					cell, request->floor[cell]);
		if (v && !(cells_of_stamp[v % STAMPS_MAX] >> cell & 1))
			world_violation(world, "I4", "node %u reads %u from cell %u, never written there", node, v, cell);
		if (v > branch->acked[cell])
			branch->acked[cell] = v;
		if (v > branch->over[cell] && !in_flight(&world->node[node], v))
			branch->over[cell] = v;
	}
}

static void unflushed_is_lost(struct branch *branch)
{
	memcpy(branch->acked, branch->firm, sizeof(branch->acked));
	memcpy(branch->over, branch->firm, sizeof(branch->over));
}

/* What was acknowledged is on every replica in sync: whoever of them goes on holds it, though nobody flushed it. */
static void others_survive(struct world *world, u8 node)
{
	u32 others = in_sync_with(&world->node[node].volume), cell;
	u16 branch = check_branch(world, node);
	u8 i;

	for (i = 0; i < world->nr_nodes; i++) {
		struct node *n = &world->node[i];

		if (!(others >> i & 1) || !n->attached || n->disk_failed_posted || n->volume.sync_source != NODE_NONE)
			continue;
		if (world->node[node].volume_session[i] <= n->cut_at)	/* the writer has not heard of its power cut (seed 12200000090017, 3 nodes) */
			continue;
		for (cell = 0; cell < WORLD_CELLS; cell++)
			if (n->survives[cell] < world->branch[branch].over[cell])
				n->survives[cell] = world->branch[branch].over[cell];
	}
}

/* A writer that loses power takes with it what nobody flushed; so does the last holder of a writer without a disk. */
void check_before_power_cut(struct world *world, u8 node)
{
	u8 i;

	memset(world->node[node].survives, 0, sizeof(world->node[node].survives));
	world->node[node].cut_at = world->sequence;
	if (world_is_primary(world, node) && check_branch(world, node) != NO_BRANCH)
		others_survive(world, node);
	for (i = 0; i < world->nr_nodes; i++) {
		u16 branch = check_branch(world, i);

		if (branch == NO_BRANCH || !world_is_primary(world, i))
			continue;
		if (i == node || world->node[i].volume.disk != VOLUME_DISK_OK || world->node[i].disk_failed_posted)
			unflushed_is_lost(&world->branch[branch]);
	}
}

static void branch_yields(struct branch *branch)
{
	branch->yields = true;
	/*
	 * Both sides may be one branch: where damage made a split of none, and where a third replica that was left behind early in
	 * this branch wins (seed 1795378226892, 4 nodes).
	 */
	memset(branch->acked, 0, sizeof(branch->acked));
	memset(branch->over, 0, sizeof(branch->over));
	memset(branch->firm, 0, sizeof(branch->firm));
}

static u16 root(const struct world *world, u16 branch)
{
	while (branch != NO_BRANCH && world->branch[branch].parent != NO_BRANCH)
		branch = world->branch[branch].parent;
	return branch;
}

u16 check_root(const struct world *world, u8 node)
{
	return root(world, check_branch(world, node));
}

void check_given_up(struct world *world, u8 node)
{
	u16 gone = check_root(world, node);
	u32 i;

	for (i = 0; i < world->nr_branches; i++)
		if (root(world, (u16)i) == gone)
			branch_yields(&world->branch[i]);
}

void check_yields(struct world *world, u8 node, u8 winner)
{
	const struct chain *chain = &world->node[node].volume.super.chain, *kept = &world->node[winner].volume.super.chain;
	u16 branch = check_branch(world, node);
	const struct record *record;
	u32 i;

	world->node[node].yields = true;
	world->node[node].resolving = true;
	if (branch == NO_BRANCH)
		return;
	branch_yields(&world->branch[branch]);
	/* A branch whose writer found its own record fitting, and made none, is given up with that one (seed 9400000031327, 5 nodes). */
	for (i = 0; i < world->nr_branches; i++)
		if (world->branch[i].parent == branch && world->branch[i].under && lineage_find(chain, world->branch[i].under))
			branch_yields(&world->branch[i]);
	/* So are records that the winner never had, of whichever branch (seed 9820000038630, 3 nodes). */
	for (i = 0; i < chain->count; i++) {
		record = in_chain(kept, chain->record[i].id) ? NULL : record_find(world, chain->record[i].id);
		if (record && record->branch != NO_BRANCH)
			branch_yields(&world->branch[record->branch]);
	}
}

/* [D2] The source is about to clear these cells for the peer: it holds them, on stable storage, and so does the source. */
void check_cleared(struct world *world, u8 node, u8 peer, u32 cells)
{
	const struct node *source = &world->node[node], *target = &world->node[peer];
	const struct volume_peer *relation = volume_peer_const(&target->volume, node);
	u32 cell;

	if (!target->attached || !relation || relation->relation != VOLUME_SOURCE)
		return;
	for (cell = 0; cell < WORLD_CELLS; cell++) {
		const struct actlog *log = &source->volume.log;
		u32 slot, region;

		if (!(cells >> cell & 1) || source->disk.platter[cell] == target->disk.platter[cell])
			continue;
		for (slot = actlog_next(log, 0, &region); slot != ACTLOG_NO_SLOT; slot = actlog_next(log, slot + 1, &region))
			if (region == actlog_region(cell_offset(cell)))
				break;
		if (slot == ACTLOG_NO_SLOT)
			world_violation(world, "I6", "node %u clears cell %u for %u without proof: %u here, %u there", node, cell,
					peer, source->disk.platter[cell], target->disk.platter[cell]);
	}
}

/* ---- states ---- */

static u32 logged_cells(const struct actlog *log)
{
	u32 slot, region, cell, mask = 0;
	u64 regions = 0;

	for (slot = actlog_next(log, 0, &region); slot != ACTLOG_NO_SLOT; slot = actlog_next(log, slot + 1, &region))
		regions |= 1ull << (region & 63);
	for (cell = 0; cell < WORLD_CELLS && regions; cell++)
		if (regions >> actlog_region(cell_offset(cell)) & 1)
			mask |= 1u << cell;
	return mask;
}

static u32 dirty_cells(const struct volume *volume, u8 node)
{
	const struct volume_peer *peer = volume_peer_const(volume, node);
	u32 cell, mask = 0;

	for (cell = 0; peer && peer->map.nr_set && cell < WORLD_CELLS; cell += 2)
		if (dirty_test(&peer->map, cell_offset(cell)))
			mask |= 3u << cell;
	return mask;
}

/* @x has met another life of the replica on @node, or none: when they greet, everything may differ (seed 1795380382444, 4 nodes). */
static bool other_life(const struct node *x, u8 node, const struct node *y)
{
	const struct volume_peer *peer = volume_peer_const(&x->volume, node);

	return !peer || (peer->relation <= VOLUME_GREETING &&
			 x->volume.super.slot_replica[peer - x->volume.peer] != y->volume.super.replica_id);
}

/* [I5] [I7] Two replicas of the same history that both count as complete differ only where somebody knows it. */
static void check_pair(struct world *world, u8 a, u8 b)
{
	const struct node *x = &world->node[a], *y = &world->node[b];
	enum lineage_verdict verdict;
	u32 cell, differ = 0, known;

	if (!x->attached || !y->attached || !x->volume.super.chain.count || !y->volume.super.chain.count)
		return;
	if ((x->volume.super.flags | y->volume.super.flags) & ONDISK_SYNCING || x->disk.dead || y->disk.dead ||
	    x->disk_failed_posted || y->disk_failed_posted)
		return;
	for (cell = 0; cell < WORLD_CELLS; cell++)
		if (x->disk.cache[cell] != y->disk.cache[cell])
			differ |= 1u << cell;
	if (!differ)
		return;
	verdict = lineage_compare(&x->volume.super.chain, &y->volume.super.chain, NULL);
	if (verdict == LINEAGE_SPLIT || verdict == LINEAGE_UNRELATED)
		return;
	known = dirty_cells(&x->volume, b) | dirty_cells(&y->volume, a) | logged_cells(&x->volume.log) |
		logged_cells(&y->volume.log);
	if (differ & ~known && !other_life(x, b, y) && !other_life(y, a, x))
		world_violation(world, "I5", "nodes %u and %u (%s) differ in cells %x, known are %x", a, b,
				lineage_verdict_name(verdict), differ, known);
}

void check_pairs(struct world *world)
{
	u8 a, b;

	for (a = 0; a < world->nr_nodes; a++)
		for (b = 0; b < a; b++)
			check_pair(world, a, b);
}

/* [I11] Who claims a split must show two writers, in the histories that it compared. */
static void check_split_claim(struct world *world, u8 node, const struct volume_peer *other)
{
	const struct chain *mine = &world->node[node].volume.super.chain, *theirs = &other->facts->chain;
	u8 peer = other->node;
	bool wrote = false, other_wrote = false;
	u32 i;

	for (i = 0; i < mine->count; i++)
		if (!in_chain(theirs, mine->record[i].id) && record_find(world, mine->record[i].id))
			wrote |= record_find(world, mine->record[i].id)->attempts != 0;
	for (i = 0; i < theirs->count; i++)
		if (!in_chain(mine, theirs->record[i].id) && record_find(world, theirs->record[i].id))
			other_wrote |= record_find(world, theirs->record[i].id)->attempts != 0;
	if (!wrote || !other_wrote)
		world_violation(world, "I11", "node %u claims a split with %u: wrote %d, other wrote %d", node, peer, wrote,
				other_wrote);
}

static void check_splits(struct world *world, u8 node)
{
	const struct volume *volume = &world->node[node].volume;
	const struct volume_peer *peer;

	for (peer = volume->peer; peer < volume->peer + REPLICAS_MAX; peer++) {
		if (peer->node == NODE_NONE || peer->relation != VOLUME_SPLIT || !peer->confirmed || peer->plan != VOLUME_PLAN_SPLIT)
			continue;
		if (world->knobs.damage)	/* who lost his log cannot tell whether he wrote, and must not say that he did not */
			continue;
		if (!world->knobs.splits && !world->count_forced && !world->overruled)
			world_violation(world, "I11", "node %u claims a split with %u, nobody was forced", node, peer->node);
		check_split_claim(world, node, peer);
	}
}

/*
 * A primary that has lost its disk and every peer has nothing to read and nowhere to write, whether it knows of its last peer or
 * not: that one saw the session end before (seed 3000000027197, 2 nodes).
 */
static bool has_data(const struct world *world, u8 node)
{
	const struct node *n = &world->node[node];
	u32 peers = in_sync_with(&n->volume);
	u8 peer;

	for (peer = 0; peer < world->nr_nodes; peer++)
		if (!world->node[peer].attached || !(in_sync_with(&world->node[peer].volume) >> node & 1))
			peers &= ~NODE_BIT(peer);
	return (n->volume.disk == VOLUME_DISK_OK && !n->disk_failed_posted) || peers;
}

void check_now(struct world *world)
{
	u16 branch[WORLD_NODES_MAX];
	u8 i, j;

	for (i = 0; i < world->nr_nodes; i++) {
		branch[i] = world_is_primary(world, i) && has_data(world, i) ? check_branch(world, i) : NO_BRANCH;
		for (j = 0; j < i; j++)
			if (branch[i] != NO_BRANCH && branch[i] == branch[j])
				world_violation(world, "I12", "two primaries of one history: %u and %u", j, i);
	}
}

void check_equal(struct world *world, u32 nodes)
{
	u8 primary = world_primary(world), i;
	u16 branch = check_branch(world, primary);
	u32 cell;

	check_content(world, primary, world->branch[branch].acked, "I1", "healed");
	for (i = 0; i < world->nr_nodes; i++)
		for (cell = 0; cell < WORLD_CELLS && nodes >> i & 1; cell++)
			if (world->node[i].disk.cache[cell] != world->node[primary].disk.cache[cell])
				world_violation(world, "I7", "cell %u: node %u has %u, primary %u has %u", cell, i,
						world->node[i].disk.cache[cell], primary, world->node[primary].disk.cache[cell]);
}

void check_claims(struct world *world)
{
	u8 i;

	for (i = 0; i < world->nr_nodes; i++)
		if (world->node[i].attached)
			check_splits(world, i);
}
