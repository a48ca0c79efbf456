// SPDX-License-Identifier: GPL-2.0
/*
 * The dialogue around a resync [G6] [R]:
 *
 *   target                                    source
 *   SYNC_START, RANGES (its own dirty bits) -> marks them for the target
 *                                          <- SYNC_ACCEPT (chain to adopt)
 *   chain, half-synced mark, own maps durable
 *   SYNC_READY ----------------------------->  from here on the target is in the stream of writes, and what is
 *                                              dirty is compared and sent (glue: sync.c)
 *                                          <- nothing dirty, all proven [D2]:
 *                                             already a member: SYNC_DONE
 *                                             else RANGES of other absent replicas, RECORD that adds it [G2]
 *   own maps and the record durable: RECORD_ACK -> in sync
 *
 * The target keeps its own dirty bits until it is in sync and sends them again with every start: any source learns
 * what it wrote on its own [I8]. A new replica wrote nothing and keeps none. Between RANGES and SYNC_READY the source marks what
 * it writes [D1].
 */
#include "probe.h"
#include "volume_internal.h"

static bool may_ask(const struct volume_peer *peer)
{
	return peer->up && peer->confirmed && peer->relation == VOLUME_WAITING &&
	       peer->plan == VOLUME_PLAN_PEER_IS_SOURCE &&
	       !peer->greet_wanted;	/* else the plan is about facts of before: this node may not yield any more [I8] */
}

/*
 * Our content is going to change: whoever was in sync with it will not be, until it is compared again. What the resync
 * writes is marked for them (volume_apply_resync()), and survives a crash as bits to be reconciled [I5].
 */
static void part_from_others(struct step *step, const struct volume_peer *source)
{
	struct volume *volume = step->volume;
	struct volume_peer *peer;

	volume->super.reconcile |= volume_members(volume) & ~NODE_BIT(volume->node) & ~NODE_BIT(source->node);
	for_each_peer(volume, peer)
		if (peer != source && peer->relation >= VOLUME_IN_SYNC && peer->relation <= VOLUME_JOINING &&
		    !MUTANT(others_not_parted)) {
			MARK(target_parts_from_others);
			volume_leave(step, peer, VOLUME_GREETING);	/* nor is it a source any more */
		}
	volume_greet_others(volume);
}

void volume_ask_source(struct step *step, struct volume_peer *peer)
{
	struct volume_action *action;

	if (step->volume->adopting.token) {
		MARK(adopting_when_asked_again);
		return;
	}
	step_send(step, peer, WIRE_SYNC_START);
	action = step_emit(step, VOLUME_DO_SEND_RANGES);
	action->node = peer->node;
	action->map_node = peer->node;
}

/* One source at a time; the primary is the best, else the lowest node id. */
void volume_choose_source(struct step *step)
{
	struct volume *volume = step->volume;
	struct volume_peer *peer, *best = NULL;

	if (volume->sync_source != NODE_NONE || volume->role == VOLUME_PRIMARY || volume->disk != VOLUME_DISK_OK ||
	    (volume->command.active && volume->command.type == VOLUME_EVENT_PROMOTE))
		return;
	for_each_peer(volume, peer) {
		if (!may_ask(peer))
			continue;
		if (!best || (peer->facts->flags & WIRE_GREET_PRIMARY) > (best->facts->flags & WIRE_GREET_PRIMARY) ||
		    ((peer->facts->flags & WIRE_GREET_PRIMARY) == (best->facts->flags & WIRE_GREET_PRIMARY) &&
		     peer->node < best->node))
			best = peer;
	}
	if (!best)
		return;
	volume->sync_source = best->node;
	best->relation = VOLUME_SOURCE_ASKED;
	part_from_others(step, best);
	volume_ask_source(step, best);
	step_changed(step);
}

static void on_start(struct step *step, struct volume_peer *peer)
{
	if (peer->plan != VOLUME_PLAN_I_AM_SOURCE || !peer->confirmed || step->volume->sync_source != NODE_NONE ||
	    (peer->greet_wanted && !MUTANT(start_before_greeting))) {
		MARK(start_under_old_plan);
		return;		/* the plan changed meanwhile; the peer sees it from our newer greeting */
	}
	volume_leave(step, peer, VOLUME_TARGET_STARTING);
	peer->start_pending = !MUTANT(accept_before_bits);
	peer->start_unsaved = false;
	peer->start_token = 0;
}

static void on_ranges(struct step *step, struct volume_peer *peer, const struct wire_ranges *ranges)
{
	struct volume *volume = step->volume;
	struct volume_peer *lacking = peer;
	u16 i;

	if (peer->relation == VOLUME_SOURCE && ranges->node != peer->node)
		lacking = volume_need_slot(volume, ranges->node, true);
	else if (peer->relation != VOLUME_TARGET_STARTING || MUTANT(target_bits_ignored))
		return;
	if (!lacking)
		return;
	for (i = 0; i < ranges->nr; i++) {
		dirty_mark(&lacking->map, ranges->range[i].start_bytes, ranges->range[i].length_bytes);
		if (lacking == peer)
			peer->start_unsaved |= dirty_unsaved(&peer->map, ranges->range[i].start_bytes,
							     ranges->range[i].length_bytes);
	}
}

/*
 * The chain goes out when its last record is durable here [G3]: a target that adopted one which its maker lost with its power
 * would be ahead of everybody and half-synced (fill_accept()). volume_proposal_saved() sends it else. And a new replica forgets its
 * own bits with it.
 */
void volume_send_accept(struct step *step, struct volume_peer *peer)
{
	const struct volume *volume = step->volume;

	if ((!volume->proposal.active || volume->proposal.kept || MUTANT(accept_before_durable)) && !peer->start_pending)
		step_send(step, peer, WIRE_SYNC_ACCEPT);
}

static void on_ranges_end(struct step *step, struct volume_peer *peer)
{
	if (peer->relation != VOLUME_TARGET_STARTING)
		return;
	if (peer->start_pending && peer->start_unsaved) {
		MARK(target_knew_more);
		peer->start_token = step_save(step, true);
		return;
	}
	peer->start_pending = false;
	volume_send_accept(step, peer);
}

void volume_start_saved(struct step *step, struct volume_peer *peer, bool ok)
{
	peer->start_token = 0;
	if (!ok || peer->relation != VOLUME_TARGET_STARTING)
		return;
	peer->start_pending = false;
	volume_send_accept(step, peer);
}

/*
 * Does this replica hold every write that was acknowledged up to @chain's last written record? Only a complete member of a
 * generation that has that very record: whatever was acknowledged under it needed our acknowledgement too.
 */
static bool holds_all(const struct volume *volume, const struct chain *chain)
{
	return volume_is_member(volume, volume->node) && !(volume->super.flags & ONDISK_SYNCING) &&
	       (lineage_tail(chain)->members & NODE_BIT(volume->node)) &&
	       (lineage_find(&volume->super.chain, lineage_stripped_tail(chain)->id) || MUTANT(behind_holds_all));
}

/*
 * A history that comes from elsewhere [G4]. Named as a member in a record that this replica never had, it has the place of a former
 * one on this node. And a replica without a history has not met the members' replicas: any of them may be a new one.
 */
static void replaced_at_adoption(struct volume *volume, const struct generation *tail, u8 source)
{
	if (!lineage_find(&volume->super.chain, tail->id) && !MUTANT(former_place_taken))
		volume->super.replaced |= tail->members & NODE_BIT(volume->node);
	if (!volume->super.chain.count)
		volume->super.replaced |= tail->members & ~NODE_BIT(source);
}

/*
 * The chain whose tail was adopted from this source already. Its written mark may be older than the one here: writes of the stream
 * come on other lanes. It must not be unmarked, nor the resync begin anew, which the source may have ended by now (explorer:
 * WRITES=2 CRASHES=1 CUTS=1 PROMOTES=1).
 */
static bool adopted_before(struct step *step, const struct chain *chain)
{
	struct volume *volume = step->volume;
	const struct generation *tail = lineage_tail(chain);

	if (MUTANT(accepted_anew))
		return lineage_equal(chain, &volume->super.chain);
	if (!tail || !volume_tail(volume) || tail->id != volume_tail(volume)->id)
		return false;
	if (tail->written && lineage_mark_written(&volume->super.chain, tail->id)) {
		volume_greet_others(volume);
		step_save(step, false);
	}
	return true;
}

static void on_accept(struct step *step, struct volume_peer *peer, const struct wire_accept *accept)
{
	struct volume *volume = step->volume;
	const struct generation *tail = lineage_tail(&accept->chain);
	struct volume_peer *other;
	bool first = !volume->super.chain.count;

	if (volume->role == VOLUME_PRIMARY)
		return;
	if ((peer->relation != VOLUME_SOURCE_ASKED && peer->relation != VOLUME_SOURCE) || volume->adopting.token)
		return;
	if (peer->relation == VOLUME_SOURCE && adopted_before(step, &accept->chain)) {
		MARK(accepted_twice);
		step_send(step, peer, WIRE_SYNC_READY)->frame.value = tail->id;	/* answers a start that was asked twice */
		return;
	}
	if (!tail || !(tail->members & NODE_BIT(peer->node))) {
		step_end_session(step, peer, WIRE_BYE_PROTOCOL);
		return;
	}
	/*
	 * [I8] The last writes from a primary that was left for this source were marked after it was asked: a split that neither end
	 * knew when they agreed (seed 7000000115167, 5 nodes). They greet anew.
	 */
	if (lineage_compare(&volume->super.chain, &accept->chain, NULL) == LINEAGE_SPLIT && !(volume->super.flags & ONDISK_YIELD) &&
	    !MUTANT(split_adopted)) {
		MARK(split_since_asked);
		step_end_session(step, peer, WIRE_BYE_STUCK);
		return;
	}
	peer->relation = VOLUME_SOURCE_ASKED;
	if (!holds_all(volume, &accept->chain)) {
		MARK(target_half_synced);
		core_trace(volume->super.volume_id, "acknowledged writes may be missing -> half-synced until the resync is done [G4]");
		if (!MUTANT(half_synced_unmarked))
			volume->super.flags |= ONDISK_SYNCING;
	}
	replaced_at_adoption(volume, tail, peer->node);
	volume_blank_adopts(volume);
	volume->super.chain = accept->chain;
	volume->super.flags &= ~(ONDISK_SPLIT | ONDISK_YIELD);
	volume_learn_replicas(volume, volume_members(volume));
	for_each_peer(volume, other)
		/*
		 * A new replica wrote nothing on its own. What it lacks the source has on its disk, and clears as it is proven, so a
		 * resync that is broken off goes on where it was [R2]; of others the source tells before it joins.
		 */
		if (first)
			dirty_clear_all(&other->map);
		else if (other->map.nr_set && volume_is_member(volume, other->node))
			volume->super.reconcile |= NODE_BIT(other->node);	/* what differs stays so, whatever the records say */
	if (first)	/* another disk there than this one would be dirty throughout again (learn_life()) */
		volume->super.slot_replica[peer - volume->peer] = peer->facts->replica_id;
	volume->fresh |= first;
	volume->adopting.from = peer->node;
	volume->adopting.token = step_save(step, !MUTANT(adopted_without_maps));
	volume_greet_others(volume);
	if (MUTANT(ready_before_durable))
		volume_sync_adopted(step, true);
}

void volume_sync_adopted(struct step *step, bool ok)
{
	struct volume *volume = step->volume;
	struct volume_peer *peer = volume_peer(volume, volume->adopting.from);

	volume->adopting.token = 0;
	if (!ok || !peer || peer->relation != VOLUME_SOURCE_ASKED) {
		MARK(adopted_in_vain);
		return;
	}
	if (MUTANT(half_synced_cleared_early))
		volume->super.flags &= ~ONDISK_SYNCING;
	peer->relation = VOLUME_SOURCE;
	step_send(step, peer, WIRE_SYNC_READY)->frame.value = volume_tail(volume)->id;
	step_changed(step);
}

/* Its first SYNC_READY was taken: another one says nothing new. */
static bool gave_stream(const struct volume_peer *peer)
{
	return peer->relation <= VOLUME_ABSENT || peer->relation == VOLUME_TARGET || peer->relation == VOLUME_JOINING ||
	       peer->relation == VOLUME_IN_SYNC;
}

static void on_ready(struct step *step, struct volume_peer *peer, u64 generation_id)
{
	struct volume *volume = step->volume;

	if (peer->relation != VOLUME_TARGET_STARTING) {
		if (!gave_stream(peer))
			step_end_session(step, peer, WIRE_BYE_STUCK);	/* it waits for a resync that was given up here */
		return;
	}
	if (generation_id != volume_tail(volume)->id && !MUTANT(ready_with_old_chain)) {
		/* a new generation since SYNC_ACCEPT: records reach the stream only */
		MARK(ready_with_older_record);
		volume_send_accept(step, peer);
		return;
	}
	core_trace(volume->super.volume_id, "target is ready -> gets every write from here on [R1]");
	if ((volume->super.flags & ONDISK_SPLIT) && volume->super.split_peer == peer->node) {
		volume->super.flags &= ~(ONDISK_SPLIT | ONDISK_YIELD);
		step_save(step, false);
		volume_greet_others(volume);
	}
	volume_target_is_ready(volume, peer);
	if (MUTANT(cleared_without_proof))
		dirty_clear_all(&peer->map);
	peer->relation = MUTANT(joins_before_dry) ? VOLUME_JOINING : VOLUME_TARGET;
	volume->streaming |= NODE_BIT(peer->node);
	flush_forget(&volume->flush, NODE_BIT(peer->node));
	step_emit(step, VOLUME_DO_RESYNC_START)->node = peer->node;
	step_changed(step);
}

static void on_done(struct step *step, struct volume_peer *peer, u64 generation_id)
{
	struct volume *volume = step->volume;
	const struct generation *tail = volume_tail(volume);

	if (peer->relation != VOLUME_SOURCE)
		return;
	if (!tail || tail->id != generation_id || !volume_is_member(volume, volume->node)) {
		MARK(done_for_other_record);
		step_end_session(step, peer, WIRE_BYE_PROTOCOL);
		return;
	}
	volume->super.flags &= ~ONDISK_SYNCING;
	volume_enter_in_sync(step, peer);
}

/* [D2] Nothing is dirty and everything was proven to be on stable storage at the target. */
void volume_resync_dry(struct step *step, struct volume_peer *peer)
{
	struct volume *volume = step->volume;

	if (peer->relation != VOLUME_TARGET)
		return;
	if (peer->map.nr_set && !MUTANT(dry_not_checked)) {
		MARK(dry_but_dirty);
		step_emit(step, VOLUME_DO_RESYNC_START)->node = peer->node;
		return;
	}
	if (!volume_is_member(volume, peer->node)) {
		peer->relation = VOLUME_JOINING;
		step_changed(step);
		return;		/* volume_try_propose() goes on */
	}
	step_send(step, peer, WIRE_SYNC_DONE)->frame.value = volume_tail(volume)->id;
	volume_enter_in_sync(step, peer);
}

void volume_sync_frame(struct step *step, struct volume_peer *peer, const struct volume_event *event)
{
	switch (event->frame_type) {
	case WIRE_SYNC_START:
		on_start(step, peer);
		break;
	case WIRE_RANGES:
		on_ranges(step, peer, &event->body->ranges);
		break;
	case WIRE_RANGES_END:
		on_ranges_end(step, peer);
		break;
	case WIRE_SYNC_ACCEPT:
		on_accept(step, peer, &event->body->accept);
		break;
	case WIRE_SYNC_READY:
		on_ready(step, peer, event->body->volume.value);
		break;
	case WIRE_SYNC_DONE:
		on_done(step, peer, event->body->volume.value);
		break;
	default:
		break;
	}
}
