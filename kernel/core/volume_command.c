// SPDX-License-Identifier: GPL-2.0
/*
 * Administrators' commands: promotion, demotion, the end of a split, a replica that is gone for good.
 *
 * Promotion asks every peer that can be asked; one refusal is enough [I12] [I19]. A grant lasts until the asker's next
 * greeting or the end of the session, so two nodes never both hold all grants.
 */
#include "probe.h"
#include "volume_internal.h"

static void done(struct step *step, enum volume_refusal refusal, u32 nodes)
{
	struct volume_action *action = step_emit(step, VOLUME_DO_COMMAND_DONE);

	action->refusal = refusal;
	action->nodes = nodes;
	step->volume->command.active = false;
	step->volume->command.token = 0;
}

static u32 asked_peers(const struct volume *volume)
{
	const struct volume_peer *peer;
	u32 mask = 0;

	for_each_peer(volume, peer)
		if (peer->up && peer->greeted && peer->relation > VOLUME_ABSENT)
			mask |= NODE_BIT(peer->node);
	return mask;
}

/* Peers whose plan is not agreed yet, or that hold something newer than this replica. */
static enum volume_refusal peers_allow(const struct volume *volume, bool force, u32 *nodes)
{
	const struct volume_peer *peer;

	for_each_peer(volume, peer) {
		*nodes = NODE_BIT(peer->node);
		if (!peer->up || !peer->greeted)
			continue;
		if (peer->facts->flags & WIRE_GREET_PRIMARY)
			return VOLUME_REFUSED_PEER_PRIMARY;
		if (peer->granted || (!peer->confirmed && !force))
			return VOLUME_REFUSED_BUSY;
		if (peer->relation == VOLUME_IN_SYNC || MUTANT(promote_behind))
			continue;
		if (peer->verdict == LINEAGE_PEER_IS_AHEAD && !force)
			return VOLUME_REFUSED_STALE;
		if (peer->plan == VOLUME_PLAN_PEER_IS_SOURCE && !force)
			return VOLUME_REFUSED_BUSY;	/* it is about to resync us */
	}
	*nodes = 0;
	return VOLUME_OK;
}

/*
 * Whoever may know something newer has to be asked [G4]. A record that left this node out was made by members of its own last record,
 * and is known to them. When the disk of one of them is a new one, what it knew is gone, and others to whom it told it, or whom it
 * took in, may be the only ones who know: then every replica is asked (seed 9300000023046, 3 nodes).
 */
static u32 unreachable_witnesses(const struct volume *volume)
{
	u32 wanted = volume_members(volume);

	if ((volume->super.replaced & wanted) && !MUTANT(new_disk_testifies)) {
		MARK(every_replica_asked);
		wanted |= volume->super.replicas;
	}
	return wanted & ~asked_peers(volume) & ~NODE_BIT(volume->node);
}

static enum volume_refusal may_be_primary(const struct volume *volume, bool force, u32 peer_down, u32 *nodes)
{
	enum volume_refusal refusal;

	*nodes = 0;
	if (volume->disk != VOLUME_DISK_OK)
		return VOLUME_REFUSED_NO_DISK;
	if (!volume->online || volume->resetting || volume->accepting.token)
		return VOLUME_REFUSED_BUSY;
	if (!volume->super.chain.count)
		return VOLUME_REFUSED_STALE;
	refusal = peers_allow(volume, force, nodes);
	if (refusal == VOLUME_REFUSED_PEER_PRIMARY || refusal == VOLUME_REFUSED_BUSY)
		return refusal;
	if (force)
		return VOLUME_OK;
	if ((volume->super.flags & ONDISK_SYNCING) && !MUTANT(promote_half_synced))
		return VOLUME_REFUSED_SYNCING;
	if (!volume_is_member(volume, volume->node) && !MUTANT(promote_stale))
		return VOLUME_REFUSED_STALE;
	if (refusal)
		return refusal;
	if (volume->sync_source != NODE_NONE)
		return VOLUME_REFUSED_BUSY;
	*nodes = MUTANT(promote_unreachable) ? 0 : unreachable_witnesses(volume) & ~peer_down;
	return *nodes ? VOLUME_REFUSED_UNREACHABLE : VOLUME_OK;
}

enum volume_refusal volume_promote_check(const struct volume *volume, bool force, u32 peer_down, u32 *nodes)
{
	enum volume_refusal refusal = may_be_primary(volume, force, peer_down, nodes);

	return !refusal && volume->command.active ? VOLUME_REFUSED_BUSY : refusal;
}

static void promote_fails(struct step *step, enum volume_refusal refusal, u32 nodes)
{
	done(step, refusal, nodes);
	volume_greet_all(step->volume);	/* ends the grants that we got */
}

/* Epochs of the new writer must lie behind all that the log has seen of former ones [W6]. */
static void epoch_after_all(struct actlog *log)
{
	u32 slot, region;

	for (slot = actlog_next(log, 0, &region); slot != ACTLOG_NO_SLOT; slot = actlog_next(log, slot + 1, &region))
		if (log->slots[slot].epoch >= log->epoch && !MUTANT(epoch_not_raised))
			log->epoch = log->slots[slot].epoch + 1;
}

/*
 * Promotion by force: this node is no member of the records that it adopted last as a resync target, and their writer may still
 * acknowledge writes under them. What is written here must not look like their continuation [I10], so they are dropped; a
 * replica that never was a member begins a history of its own. The record added here has no writer, so the first write waits
 * for one that is durable [G3], and with it the shorter chain is.
 */
static void own_history(struct volume *volume, u64 random)
{
	struct chain *chain = &volume->super.chain;
	u32 before = chain->count;
	struct generation first;

	while (chain->count && !volume_is_member(volume, volume->node) && !MUTANT(forced_in_foreign_history))
		chain->count--;
	if (chain->count == before)
		return;
	if (!chain->count) {
		MARK(forced_without_history);
		chain->trimmed = false;
	}
	/* Another id than the step's own: it may propose a record, too. */
	first = lineage_next(chain, random * 0x9e3779b97f4a7c15ull, NODE_BIT(volume->node), NODE_NONE);
	lineage_append(chain, &first);
	volume->super.replaced &= ~first.members;
}

/* What a primary writes, here or on the node that is granted to be one, nobody has given up [G7]: not even should the power go now. */
u32 volume_end_yield(struct step *step, bool maps_first)
{
	struct volume *volume = step->volume;

	volume->super.flags &= ~ONDISK_YIELD;
	volume->unyielding.token = step_save(step, maps_first);
	return volume->unyielding.token;
}

static void become_primary(struct step *step)
{
	struct volume *volume = step->volume;
	struct volume_peer *peer;
	u32 nodes;
	/* What was asked of the peers may no longer be so: a newer record, a peer that turned out to be ahead. */
	enum volume_refusal refusal = may_be_primary(volume, volume->command.force, volume->command.peer_down, &nodes);

	if (refusal && !MUTANT(promotion_not_rechecked)) {
		MARK(promotion_lost_meanwhile);
		promote_fails(step, refusal, nodes);
		return;
	}
	core_trace(volume->super.volume_id, "nobody objects -> primary");
	if (volume->command.force) {
		MARK(promoted_by_force);
		own_history(volume, step->random);
		volume->super.flags &= ~ONDISK_SYNCING;
		if (!MUTANT(blank_after_force))
			volume_not_blank(volume);
		for_each_peer(volume, peer)
			if (peer->relation == VOLUME_SOURCE || peer->relation == VOLUME_SOURCE_ASKED)
				volume_leave(step, peer, VOLUME_GREETING);
		step_save(step, true);
	}
	if (volume->super.flags & ONDISK_YIELD)
		volume_end_yield(step, false);
	volume->role = VOLUME_PRIMARY;
	volume->primary = volume->node;
	volume->lacking = 0;
	flush_forget(&volume->flush, ~0u);
	epoch_after_all(&volume->log);
	volume_greet_all(volume);
	done(step, VOLUME_OK, 0);
	step_emit(step, VOLUME_DO_GATE);
	step_changed(step);
}

static void promote(struct step *step, const struct volume_event *event)
{
	struct volume *volume = step->volume;
	enum volume_refusal refusal;
	struct volume_peer *peer;
	u32 nodes;

	if (volume->role == VOLUME_PRIMARY) {
		done(step, VOLUME_OK, 0);
		return;
	}
	refusal = volume_promote_check(volume, event->force, event->nodes, &nodes);
	if (refusal) {
		struct volume_action *action = step_emit(step, VOLUME_DO_COMMAND_DONE);

		action->refusal = refusal;
		action->nodes = nodes;
		return;
	}
	volume->command.active = true;
	volume->command.type = VOLUME_EVENT_PROMOTE;
	volume->command.force = event->force;
	volume->command.peer_down = event->nodes;
	volume->command.serial++;
	volume->command.token = 0;
	volume->command.waiting = asked_peers(volume);
	for_each_peer(volume, peer)
		if (volume->command.waiting & NODE_BIT(peer->node))
			step_send(step, peer, WIRE_PROMOTE_ASK)->frame.serial = volume->command.serial;
	if (!volume->command.waiting)
		become_primary(step);
}

static void become_secondary(struct step *step)
{
	struct volume *volume = step->volume;

	core_trace(volume->super.volume_id, "quiet and flushed -> secondary");
	if (volume->disk != VOLUME_DISK_OK && !MUTANT(diskless_stays_in_sync))
		volume_leave_for_disk(step, true);
	volume->role = VOLUME_SECONDARY;
	volume->lacking = 0;
	volume->primary = NODE_NONE;
	volume->io_waits = false;
	volume_greet_all(volume);
	done(step, VOLUME_OK, 0);
	step_changed(step);
}

bool volume_demotion_waits(const struct volume *volume)
{
	return volume->command.active && volume->command.type == VOLUME_EVENT_DEMOTE;
}

/*
 * What the members that are gone may lack, is said by a record before the writer goes. One after another, should more of them leave;
 * the caller's deadline ends it (CANCEL), and this node stays primary.
 */
void volume_demotion_goes_on(struct step *step)
{
	if (volume_demotion_waits(step->volume) && !volume_record_is_due(step->volume))
		become_secondary(step);
}

static void demote(struct step *step)
{
	struct volume *volume = step->volume;

	if (volume->role != VOLUME_PRIMARY) {
		done(step, VOLUME_OK, 0);
	} else if ((volume->in_flight || (volume->disk == VOLUME_DISK_OK && volume->log.nr_used)) && !MUTANT(demoted_beside_writes)) {
		MARK(demoted_too_late);		/* its caller gave up, and users write again */
		done(step, VOLUME_REFUSED_BUSY, 0);
	} else if (!volume_record_is_due(volume) || MUTANT(demoted_without_record)) {
		become_secondary(step);
	} else {
		MARK(demotion_waits_for_record);
		core_trace(volume->super.volume_id, "a lost member may lack writes -> a record without it before the demotion [G3]");
		volume->command.active = true;
		volume->command.type = VOLUME_EVENT_DEMOTE;
		volume->command.waiting = 0;
		volume->command.token = 0;
		step_changed(step);
	}
}

static void cancel(struct step *step)
{
	struct volume *volume = step->volume;

	if (!volume->command.active)
		return;
	if (volume->command.type == VOLUME_EVENT_PROMOTE)
		promote_fails(step, VOLUME_REFUSED_BUSY, volume->command.waiting);
	else if (volume_demotion_waits(volume))
		done(step, VOLUME_REFUSED_BUSY, volume->proposal.active ? volume->proposal.waiting : 0);
}

static void yield_split(struct step *step)
{
	struct volume *volume = step->volume;

	core_trace(volume->super.volume_id, "this side of the split yields -> its changes may be overwritten [G7]");
	MARK(split_yields);
	volume->super.flags |= ONDISK_YIELD;
	volume->command.token = step_save(step, true);
	volume_greet_all(volume);
}

/* The last word counts: else both sides would yield, each to the other, and stay as they are (seed 9500000016227, 3 nodes). */
static void keep_after_all(struct step *step)
{
	struct volume *volume = step->volume;

	core_trace(volume->super.volume_id, "this side of the split yields no more [G7]");
	MARK(yield_withdrawn);
	volume->command.token = volume_end_yield(step, false);
	volume_greet_all(volume);
}

/* Several replicas may stand on the other side of one split. */
static bool is_in_split(const struct volume *volume, u8 node)
{
	const struct volume_peer *peer = volume_peer_const(volume, node);

	return node == volume->super.split_peer || (peer && peer->up && peer->relation == VOLUME_SPLIT);
}

/* What @peer writes as primary comes here, too. */
static bool takes_writes_of(const struct volume_peer *peer)
{
	return peer->relation == VOLUME_IN_SYNC || peer->relation == VOLUME_SOURCE;
}

/*
 * [G7] A side that has a primary does not yield, on whichever of its nodes: what is acknowledged after the administrator's
 * word, nobody gives up. A grant makes a primary in a moment (seed 4000000015451, 3 nodes).
 */
static enum volume_refusal may_yield(const struct volume *volume)
{
	const struct volume_peer *peer;

	if (volume->role == VOLUME_PRIMARY)
		return VOLUME_REFUSED_IS_PRIMARY;
	for_each_peer(volume, peer) {
		if (!takes_writes_of(peer) || MUTANT(yields_under_primary))
			continue;
		if (peer->facts->flags & WIRE_GREET_PRIMARY)
			return VOLUME_REFUSED_IS_PRIMARY;
		if (peer->granted)
			return VOLUME_REFUSED_BUSY;
	}
	return VOLUME_OK;
}

static enum volume_refusal resolve_check(const struct volume *volume, const struct volume_event *event)
{
	const struct volume_peer *peer;
	enum volume_refusal refusal = VOLUME_REFUSED_UNREACHABLE;

	if (!(volume->super.flags & ONDISK_SPLIT))
		return VOLUME_REFUSED_NO_SPLIT;
	if (event->value != volume->super.split_id)
		return VOLUME_REFUSED_OTHER_SPLIT;
	if (event->node != volume->node && !is_in_split(volume, event->node))
		return VOLUME_REFUSED_OTHER_SPLIT;
	if (event->node != volume->node)
		return may_yield(volume);
	for_each_peer(volume, peer) {
		if (!peer->up || peer->relation != VOLUME_SPLIT)
			continue;
		if (peer->facts->flags & (WIRE_GREET_PRIMARY | WIRE_GREET_WITH_PRIMARY))
			return VOLUME_REFUSED_IS_PRIMARY;
		refusal = VOLUME_OK;
	}
	return refusal;
}

static void resolve(struct step *step, const struct volume_event *event)
{
	struct volume *volume = step->volume;
	enum volume_refusal refusal = resolve_check(volume, event);
	struct volume_action *action;
	struct volume_peer *peer;

	if (volume->command.active)
		refusal = VOLUME_REFUSED_BUSY;
	if (refusal) {
		action = step_emit(step, VOLUME_DO_COMMAND_DONE);
		action->refusal = refusal;
		action->nodes = NODE_BIT(volume->super.split_peer % NODES_MAX);
		return;
	}
	volume->command.type = VOLUME_EVENT_RESOLVE;
	volume->command.active = true;
	if (event->node != volume->node) {
		yield_split(step);
		return;
	}
	for_each_peer(volume, peer)
		if (peer->up && peer->relation == VOLUME_SPLIT)
			step_send(step, peer, WIRE_RESOLVE)->frame.value = volume->super.split_id;
	if ((volume->super.flags & ONDISK_YIELD) && !MUTANT(yield_for_good))
		keep_after_all(step);
	else
		done(step, VOLUME_OK, 0);
}

static void forget(struct step *step, const struct volume_event *event)
{
	struct volume *volume = step->volume;
	struct volume_peer *peer = volume_peer(volume, event->node);
	struct volume_action *action = step_emit(step, VOLUME_DO_COMMAND_DONE);

	action->refusal = VOLUME_OK;
	if (!peer)
		return;
	/* Writes that it owes an answer to are released when the record that drops it is durable, and not without its slot. */
	if ((volume_is_member(volume, event->node) && !MUTANT(forget_member)) || peer->relation > VOLUME_ABSENT ||
	    ((volume->proposal.active || peer->acks_pending) && !MUTANT(forget_with_writes))) {
		action->refusal = volume_is_member(volume, event->node) ? VOLUME_REFUSED_MEMBER : VOLUME_REFUSED_BUSY;
		action->nodes = NODE_BIT(event->node);
		return;
	}
	MARK(replica_forgotten);
	dirty_clear_all(&peer->map);
	if (!MUTANT(forget_keeps_replica))
		volume->super.replicas &= ~NODE_BIT(event->node);
	volume->super.reconcile &= ~NODE_BIT(event->node);
	volume->super.replaced &= ~NODE_BIT(event->node);
	volume->super.slot_node[peer - volume->peer] = NODE_NONE;
	volume->super.slot_replica[peer - volume->peer] = 0;
	if (peer->relation == VOLUME_OFF)
		peer->node = NODE_NONE;
	step_save(step, true);
	step_changed(step);
}

void volume_command(struct step *step, const struct volume_event *event)
{
	switch (event->type) {
	case VOLUME_EVENT_PROMOTE:
		promote(step, event);
		break;
	case VOLUME_EVENT_CANCEL:
		cancel(step);
		break;
	case VOLUME_EVENT_DEMOTE:
		demote(step);
		break;
	case VOLUME_EVENT_RESOLVE:
		resolve(step, event);
		break;
	default:
		forget(step, event);
		break;
	}
}

/* This node still hears from a writer, of this history; in a split either side may have one [G7]. */
static bool other_primary(const struct volume *volume, const struct volume_peer *asker)
{
	return volume->primary != NODE_NONE && volume->primary != asker->node && asker->greeted &&
	       asker->verdict != LINEAGE_SPLIT;
}

static void answer_ask(struct step *step, const struct volume_peer *peer, u32 serial, enum volume_refusal refusal)
{
	struct volume_action *action = step_send(step, peer, WIRE_PROMOTE_ANSWER);

	action->frame.serial = serial;
	action->frame.ok = !refusal;
	action->frame.why = (u8)refusal;
}

static void on_ask(struct step *step, struct volume_peer *peer, u32 serial)
{
	struct volume *volume = step->volume;
	enum volume_refusal refusal = VOLUME_OK;
	struct volume_peer *other;

	if ((volume->role == VOLUME_PRIMARY || other_primary(volume, peer)) && !MUTANT(primary_grants))
		refusal = VOLUME_REFUSED_PEER_PRIMARY;
	else if (volume->command.active && volume->command.type == VOLUME_EVENT_PROMOTE && volume->node < peer->node)
		refusal = VOLUME_REFUSED_BUSY;
	else if (peer->greeted && (peer->verdict == LINEAGE_SAME || peer->verdict == LINEAGE_I_AM_AHEAD) &&
		 volume_is_member(volume, volume->node) && !volume_is_member(volume, peer->node) && !MUTANT(stale_asker_granted))
		refusal = VOLUME_REFUSED_STALE;	/* a record that the asker may not know left it out [G4]; not in a split [G7] */
	for_each_peer(volume, other)
		if (other != peer && other->granted && !refusal && !MUTANT(two_grants)) {
			MARK(asked_while_granted);
			refusal = VOLUME_REFUSED_BUSY;
		}
	peer->granted = !refusal;
	if (!refusal && takes_writes_of(peer) && (volume->super.flags & ONDISK_YIELD) && !MUTANT(granted_while_yielding)) {
		MARK(yield_ends_with_grant);
		volume_end_yield(step, false);
		volume_greet_others(volume);	/* not to the asker: that would end its promotion */
	}
	if (!refusal && volume->unyielding.token && !MUTANT(granted_before_durable)) {
		other = volume_peer(volume, volume->unyielding.to);
		if (other && other != peer && other->up)	/* its grant has ended, or this one would be refused */
			answer_ask(step, other, volume->unyielding.serial, VOLUME_REFUSED_BUSY);
		volume->unyielding.to = peer->node;
		volume->unyielding.serial = serial;
		return;
	}
	answer_ask(step, peer, serial, refusal);
}

/* When it failed the disk fails too: that opens the gate for those who go on without it. */
void volume_unyielded(struct step *step, bool ok)
{
	struct volume *volume = step->volume;
	struct volume_peer *peer = volume_peer(volume, volume->unyielding.to);

	if (ok)
		volume->unyielding.token = 0;
	volume->unyielding.to = NODE_NONE;
	if (peer && peer->up) {		/* a greeting may have ended the grant: it still waits for an answer (seed 12100000635297, 3 nodes) */
		enum volume_refusal refusal = peer->granted ? VOLUME_OK : VOLUME_REFUSED_BUSY;

		if (!ok)
			refusal = VOLUME_REFUSED_META;
		peer->granted = !refusal;
		answer_ask(step, peer, volume->unyielding.serial, refusal);
	}
	step_emit(step, VOLUME_DO_GATE);
}

static void on_answer(struct step *step, struct volume_peer *peer, const struct wire_promote *answer)
{
	struct volume *volume = step->volume;

	if (!volume->command.active || volume->command.type != VOLUME_EVENT_PROMOTE ||
	    answer->serial != volume->command.serial || !(volume->command.waiting & NODE_BIT(peer->node))) {
		MARK(promote_answer_stale);
		return;
	}
	if (!answer->granted && !(volume->command.force && answer->reason == VOLUME_REFUSED_STALE) &&
	    !MUTANT(refusal_ignored)) {
		MARK(promotion_refused_there);
		promote_fails(step, answer->reason == VOLUME_OK ? VOLUME_REFUSED_BUSY : answer->reason,
			      NODE_BIT(peer->node));
		return;
	}
	volume->command.waiting &= ~NODE_BIT(peer->node);
	if (!volume->command.waiting)
		become_primary(step);
}

void volume_command_frame(struct step *step, struct volume_peer *peer, const struct volume_event *event)
{
	struct volume *volume = step->volume;

	switch (event->frame_type) {
	case WIRE_PROMOTE_ASK:
		on_ask(step, peer, event->body->promote.serial);
		break;
	case WIRE_PROMOTE_ANSWER:
		on_answer(step, peer, &event->body->promote);
		break;
	default:
		if ((volume->super.flags & ONDISK_SPLIT) && volume->super.split_id == event->body->volume.value &&
		    may_yield(volume) == VOLUME_OK && !volume->command.active)
			yield_split(step);
		break;
	}
}

void volume_command_saved(struct step *step, bool ok)
{
	done(step, ok ? VOLUME_OK : VOLUME_REFUSED_META, 0);
}

/* A promotion that asked it cannot know what it would have said. */
void volume_command_peer_lost(struct step *step, u8 node)
{
	struct volume *volume = step->volume;

	if (volume->command.active && volume->command.type == VOLUME_EVENT_PROMOTE &&
	    (volume->command.waiting & NODE_BIT(node))) {
		MARK(asked_peer_lost);
		promote_fails(step, VOLUME_REFUSED_BUSY, NODE_BIT(node));
	}
}
