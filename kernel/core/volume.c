// SPDX-License-Identifier: GPL-2.0
/*
 * The control plane of a volume: dispatch of events, greetings, peers that come and go.
 *
 * What must hold here: [G5] a plan becomes effective only when both ends computed it from the same two greetings;
 * [D1] a peer that leaves the stream gets every region of the activity log as dirty, in the same step; [L1] no
 * state waits for anything but a named event (peer's frame, completion of a save, end of a session).
 */
#include "probe.h"
#include "codec.h"
#include "volume_internal.h"

/* ---- actions ---- */

struct volume_action *step_emit(struct step *step, enum volume_action_type type)
{
	struct volume_actions *actions = step->actions;
	/* The bound holds for every step; should it not, the last action is overwritten, never memory. */
	u32 at = actions->nr < VOLUME_ACTIONS_MAX ? actions->nr++ : VOLUME_ACTIONS_MAX - 1;
	struct volume_action *action = &actions->action[at];

	memset(action, 0, sizeof(*action));
	action->type = type;
	action->node = NODE_NONE;
	action->map_node = NODE_NONE;
	return action;
}

struct volume_action *step_send(struct step *step, const struct volume_peer *peer, u8 frame_type)
{
	struct volume_action *action = step_emit(step, VOLUME_DO_SEND);

	action->node = peer->node;
	action->frame_type = frame_type;
	return action;
}

void step_end_session(struct step *step, const struct volume_peer *peer, u8 reason)
{
	struct volume_action *action = step_emit(step, VOLUME_DO_END_SESSION);

	action->node = peer->node;
	action->reason = reason;
}

u32 step_save(struct step *step, bool maps_first)
{
	struct volume_action *action = step_emit(step, VOLUME_DO_SAVE_SUPER);

	if (++step->volume->next_token == 0)
		step->volume->next_token = 1;
	action->token = step->volume->next_token;
	action->maps_first = maps_first;
	return action->token;
}

void step_changed(struct step *step)
{
	u32 i;

	for (i = 0; i < step->actions->nr; i++)
		if (step->actions->action[i].type == VOLUME_DO_CHANGED)
			return;
	step_emit(step, VOLUME_DO_CHANGED);
}

/* ---- peers ---- */

u32 volume_members(const struct volume *volume)
{
	const struct generation *tail = volume_tail(volume);

	return tail ? tail->members : 0;
}

bool volume_is_member(const struct volume *volume, u8 node)
{
	return node < NODES_MAX && (volume_members(volume) & NODE_BIT(node));
}

void volume_facts_changed(struct volume *volume)
{
	volume->facts_serial++;
}

void volume_greet_all(struct volume *volume)
{
	struct volume_peer *peer;

	volume_facts_changed(volume);
	for_each_peer(volume, peer)
		peer->greet_wanted = peer->up;
}

static bool in_lockstep(const struct volume_peer *peer)
{
	return peer->relation >= VOLUME_IN_SYNC && peer->relation <= VOLUME_JOINING;
}

void volume_greet_others(struct volume *volume)
{
	struct volume_peer *peer;

	volume_facts_changed(volume);
	for_each_peer(volume, peer)
		if (peer->up && !in_lockstep(peer))
			peer->greet_wanted = true;
}

u32 volume_in_sync(const struct volume *volume)
{
	const struct volume_peer *peer;
	u32 mask = 0;

	for_each_peer(volume, peer)
		if (peer->relation == VOLUME_IN_SYNC)
			mask |= NODE_BIT(peer->node);
	return mask;
}

/* [D1] Every region still in the log becomes dirty for @peer: its volatile cache may be lost. */
void volume_mark_log(struct volume *volume, struct volume_peer *peer)
{
	u32 slot, region;
	bool any = false;

	for (slot = actlog_next(&volume->log, 0, &region); slot != ACTLOG_NO_SLOT;
	     slot = actlog_next(&volume->log, slot + 1, &region)) {
		dirty_mark(&peer->map, (u64)region * ACTLOG_REGION_BYTES, ACTLOG_REGION_BYTES);
		any = true;
	}
	if (any && volume_is_member(volume, peer->node))
		volume->super.reconcile |= NODE_BIT(peer->node);
}

/*
 * Writes and resync data on their way to the peer may arrive at any time while the session lives, and must never arrive after
 * newer ones [I15], not even at the peer's next life: the session ends with the stream.
 */
static void stream_ends(struct step *step, const struct volume_peer *peer, enum volume_relation relation, bool resyncing)
{
	if (peer->acks_pending && !MUTANT(missed_forgotten))
		step_emit(step, VOLUME_DO_MISSED)->node = peer->node;
	if ((peer->acks_pending || resyncing) && relation != VOLUME_OFF && !MUTANT(session_outlives_stream)) {
		MARK(stream_ends_in_session);
		step_end_session(step, peer, WIRE_BYE_STUCK);
	}
}

/* Do writes of a primary come from there, as far as can be known? */
static bool is_writer(const struct volume *volume, const struct volume_peer *peer)
{
	return volume->role == VOLUME_SECONDARY && (peer->relation == VOLUME_IN_SYNC || peer->relation == VOLUME_SOURCE) &&
	       (volume->primary == NODE_NONE || volume->primary == peer->node || (peer->facts->flags & WIRE_GREET_PRIMARY));
}

/* The relation ends, whatever it was; the peer gets no further writes. */
void volume_leave(struct step *step, struct volume_peer *peer, enum volume_relation relation)
{
	struct volume *volume = step->volume;
	/* One that joins still counts as our target there, and would wait for ever (seed 12100000619047, 5 nodes). */
	bool resyncing = peer->relation == VOLUME_TARGET || peer->relation == VOLUME_JOINING;
	bool was_in_sync = peer->relation == VOLUME_IN_SYNC;
	u32 bit = NODE_BIT(peer->node);

	if (peer->relation == VOLUME_TARGET || peer->relation == VOLUME_JOINING)
		step_emit(step, VOLUME_DO_RESYNC_STOP)->node = peer->node;
	if (peer->relation == VOLUME_SOURCE_ASKED || peer->relation == VOLUME_SOURCE) {
		volume->sync_source = NODE_NONE;
		volume->adopting.token = 0;
		volume->fresh = MUTANT(fresh_with_any_source) && volume->fresh;
		volume->unchanged = false;
		volume_greet_others(volume);
	}
	volume->stream_lost |= is_writer(volume, peer);
	if (peer->relation == VOLUME_SOURCE && relation != VOLUME_OFF && !MUTANT(session_outlives_stream))
		step_end_session(step, peer, WIRE_BYE_STUCK);	/* [I15] resync data on its way must not come later */
	if (volume->streaming & bit) {
		core_trace(volume->super.volume_id, "peer leaves the stream -> logged regions dirty [D1]");
		volume->streaming &= ~bit;
		flush_forget(&volume->flush, bit);
		if ((volume->role == VOLUME_PRIMARY || peer->relation != VOLUME_IN_SYNC) && !MUTANT(leaver_log_unmarked))
			volume_mark_log(volume, peer);
		volume_note_lacking(volume, peer->node);
		step_save(step, false);
		volume_proposal_lost(step, peer->node);
		stream_ends(step, peer, relation, resyncing);
		if (!volume_is_member(volume, peer->node) || MUTANT(release_before_record)) {
			step_emit(step, VOLUME_DO_RELEASE)->node = peer->node;
		} else if (peer->acks_pending) {
			MARK(member_lost_with_writes);
			volume->io_waits = true;
		}
	}
	if (peer->relation != relation)
		step_changed(step);
	peer->relation = relation;
	if (was_in_sync)
		volume_greet_others(volume);	/* this one included */
}

void volume_enter_in_sync(struct step *step, struct volume_peer *peer)
{
	struct volume *volume = step->volume;

	if (peer->relation == VOLUME_IN_SYNC)
		return;
	if (peer->relation == VOLUME_TARGET || (peer->relation == VOLUME_JOINING && !MUTANT(joined_run_goes_on)))
		step_emit(step, VOLUME_DO_RESYNC_STOP)->node = peer->node;
	if (peer->relation == VOLUME_SOURCE || peer->relation == VOLUME_SOURCE_ASKED) {
		volume->sync_source = NODE_NONE;
		volume->authority = peer->facts->authority;
		volume_blank_joins(volume);
	} else if (peer->facts->authority < volume->authority) {
		volume->authority = peer->facts->authority;
	}
	core_trace(volume->super.volume_id, "same generation, nothing differs -> in sync");
	/*
	 * [D2] Bits left from before the peer joined: by its own greeting or acknowledgement it is a complete member of
	 * this generation. Bits that came from the log after a crash were cleared by the resync, or we would not be here.
	 */
	dirty_clear_all(&peer->map);
	volume->super.reconcile &= ~NODE_BIT(peer->node);
	volume->lacking &= ~NODE_BIT(peer->node);
	if ((volume->super.flags & ONDISK_SPLIT) && volume->super.split_peer == peer->node) {
		MARK(split_ends_in_sync);
		volume->super.flags &= ~ONDISK_SPLIT;
	}
	volume->super.slot_replica[peer - volume->peer] = peer->facts->replica_id;
	volume->fresh = false;
	peer->judged_number = 0;	/* a VERDICT of greetings from before may still come: nobody waits for it any more */
	peer->plan = VOLUME_PLAN_IN_SYNC;
	peer->confirmed = true;
	peer->relation = VOLUME_IN_SYNC;
	volume->streaming |= NODE_BIT(peer->node);
	flush_forget(&volume->flush, NODE_BIT(peer->node));
	if (peer->acks_missed)	/* what it missed was in the log, and compared: it holds it now */
		step_emit(step, VOLUME_DO_RELEASE)->node = peer->node;
	volume_greet_others(volume);
	if (volume->super.flags & ONDISK_YIELD)
		volume_end_yield(step, true);	/* what is acknowledged from here on, nobody has given up [G7] */
	else
		step_save(step, true);
	step_emit(step, VOLUME_DO_GATE);
	step_changed(step);
}

/* ---- greetings ---- */

static bool is_dirty_for(const struct volume *volume, const struct volume_peer *peer)
{
	return peer->map.nr_set && volume_slot_durable(volume, peer) &&
	       (!volume_is_member(volume, peer->node) || (volume->super.reconcile & NODE_BIT(peer->node)));
}

static bool with_primary(const struct volume *volume)
{
	const struct volume_peer *primary = volume_peer_const(volume, volume->primary);

	return primary && primary->relation == VOLUME_IN_SYNC;
}

static u32 greet_flags(const struct volume *volume, const struct volume_peer *peer)
{
	u32 flags = 0;

	if (volume->role == VOLUME_PRIMARY)
		flags |= WIRE_GREET_PRIMARY;
	if (volume->disk == VOLUME_DISK_OK)
		flags |= WIRE_GREET_DISK;
	if (volume->super.flags & ONDISK_SYNCING)
		flags |= WIRE_GREET_SYNCING;
	if (volume->super.flags & ONDISK_YIELD)
		flags |= WIRE_GREET_YIELD;
	if (volume->super.flags & ONDISK_SPLIT)
		flags |= WIRE_GREET_SPLIT;
	if (peer->relation == VOLUME_IN_SYNC)
		flags |= WIRE_GREET_IN_SYNC;
	if (is_dirty_for(volume, peer))
		flags |= WIRE_GREET_DIRTY;
	if (with_primary(volume))
		flags |= WIRE_GREET_WITH_PRIMARY;
	if (volume_is_blank(volume) && (peer->knows_blank || MUTANT(blank_to_old_peer)))
		flags |= WIRE_GREET_BLANK;
	return flags;
}

static void evaluate(struct step *step, struct volume_peer *peer)
{
	struct volume *volume = step->volume;
	struct volume_action *action;

	if (!peer->greeted || !peer->my_number)
		return;
	volume_fill_greet(volume, peer, volume->scratch);
	peer->plan = volume_plan(volume->scratch, volume->node, peer->facts, peer->node, &peer->verdict);
	peer->judged_number = peer->facts->number;
	peer->confirmed = false;
	action = step_send(step, peer, WIRE_VERDICT);
	action->frame.number = peer->my_number;
	action->frame.your_number = peer->facts->number;
	action->frame.verdict = (u8)peer->verdict;
	action->frame.plan = (u8)peer->plan;
}

static void send_greet(struct step *step, struct volume_peer *peer)
{
	struct volume *volume = step->volume;

	peer->greet_wanted = false;
	peer->my_number = volume_next_number(volume, peer);
	peer->sent_serial = volume->facts_serial;
	peer->sent_flags = greet_flags(volume, peer);
	step_send(step, peer, WIRE_GREET);
	evaluate(step, peer);
}

static void enter_split(struct step *step, struct volume_peer *peer)
{
	struct volume *volume = step->volume;
	struct generation ancestor = { 0 };
	u64 id = lineage_split_id(&volume->super.chain, &peer->facts->chain);

	volume_leave(step, peer, VOLUME_SPLIT);
	if ((volume->super.flags & ONDISK_SPLIT) && volume->super.split_id == id) {
		MARK(split_known);
		return;
	}
	core_trace(volume->super.volume_id, "both sides wrote since the ancestor -> split [G7]");
	lineage_compare(&volume->super.chain, &peer->facts->chain, &ancestor);
	volume->super.flags |= ONDISK_SPLIT;
	volume->super.split_id = id;
	volume->super.split_peer = peer->node;
	volume->super.split_ancestor_id = ancestor.id;
	volume->super.split_ancestor_number = ancestor.number;
	if (!MUTANT(split_not_stored))
		step_save(step, false);
	step_changed(step);
}

/* Both ends agree: do it, unless it is being done already. */
static void act(struct step *step, struct volume_peer *peer)
{
	enum volume_relation relation = peer->relation;

	switch (peer->plan) {
	case VOLUME_PLAN_IN_SYNC:
		volume_enter_in_sync(step, peer);
		break;
	case VOLUME_PLAN_I_AM_SOURCE:
		if (relation != VOLUME_TARGET_STARTING && relation != VOLUME_TARGET &&
		    relation != VOLUME_JOINING)
			volume_leave(step, peer, VOLUME_WAITING);
		break;
	case VOLUME_PLAN_PEER_IS_SOURCE:
		if (relation == VOLUME_SOURCE_ASKED) {
			MARK(source_asked_again);
			volume_ask_source(step, peer);	/* it may have dropped the first one, under an older plan */
		} else if (relation != VOLUME_SOURCE) {
			volume_leave(step, peer, VOLUME_WAITING);
		}
		break;
	case VOLUME_PLAN_SPLIT:
		enter_split(step, peer);
		break;
	case VOLUME_PLAN_WAIT_INCOMPLETE:
	case VOLUME_PLAN_WAIT_PRIMARY:
	case VOLUME_PLAN_WAIT_DISK:
		volume_leave(step, peer, VOLUME_WAITING);
		break;
	case VOLUME_PLAN_REFUSE_UNRELATED:
	case VOLUME_PLAN_REFUSE_TWO_PRIMARIES:
	case VOLUME_PLAN_REFUSE_STALE_PRIMARY:
	case VOLUME_PLAN_REFUSE_SIZE:
	case VOLUME_PLANS:
		volume_leave(step, peer, VOLUME_REFUSED);
		break;
	}
}

/*
 * The writer's stream has ended: whatever was in flight may differ between those who got it [G6]. They compare, and the log, which no
 * other writer would ever empty, becomes dirty bits.
 */
static void stream_lost(struct step *step)
{
	struct volume *volume = step->volume;
	struct volume_peer *peer;

	volume->stream_lost = false;
	if (!volume->log.nr_used || MUTANT(survivors_not_compared))
		return;
	MARK(writer_lost_with_log);
	volume->authority = volume->node;
	core_trace(volume->super.volume_id, "writer lost with regions in the log -> survivors compare them [G6]");
	for_each_peer(volume, peer) {
		if (volume_slot_durable(volume, peer))
			volume_mark_log(volume, peer);
		if (peer->relation < VOLUME_WAITING)
			continue;
		volume_leave(step, peer, VOLUME_GREETING);
		peer->greet_wanted = true;
	}
	volume->stream_lost = false;
	volume->resetting = true;
	step_save(step, true);
	step_emit(step, VOLUME_DO_LOG_RESET);
}

/* Of several primaries, in a split, the one whose writes come here. */
static u8 known_primary(const struct volume *volume)
{
	const struct volume_peer *peer;
	u8 primary = NODE_NONE;

	if (volume->role == VOLUME_PRIMARY)
		return volume->node;
	for_each_peer(volume, peer) {
		if (!peer->greeted || !(peer->facts->flags & WIRE_GREET_PRIMARY))
			continue;
		if (primary == NODE_NONE || in_lockstep(peer))
			primary = peer->node;
	}
	return primary;
}

/* Who is primary decides who may be a source: every plan is made anew. */
static void note_primary(struct volume *volume)
{
	u8 primary = known_primary(volume);

	if (volume->primary == primary)
		return;
	volume->primary = primary;
	volume_greet_all(volume);
}

static void learn(struct step *step, u32 nodes)
{
	u32 before = step->volume->super.replicas;

	volume_learn_replicas(step->volume, nodes);
	if (step->volume->super.replicas != before)
		step_save(step, true);
}

/*
 * A replica that was never met, or that has a new disk since, may hold anything, whatever the records say of its node: it was
 * resynced by somebody whom this one may be ahead of [I5] [G10]. The peers of one primary find each other equal by that.
 */
static void learn_life(struct step *step, struct volume_peer *peer, u64 replica_id)
{
	struct volume *volume = step->volume;
	u64 *known = &volume->super.slot_replica[peer - volume->peer];

	/* In a resync or in sync it is known by its content; the id is noted when it joins. */
	if (*known == replica_id || !volume->super.chain.count || in_lockstep(peer))
		return;
	MARK(new_life_met);
	*known = replica_id;
	volume->super.replaced |= NODE_BIT(peer->node);
	if (!MUTANT(new_life_unnoticed)) {
		dirty_mark_all(&peer->map);
		if (volume_is_member(volume, peer->node))
			volume->super.reconcile |= NODE_BIT(peer->node);
	}
	volume_facts_changed(volume);
	step_save(step, true);
}

static void on_greet(struct step *step, struct volume_peer *peer, const struct wire_greet *greet)
{
	struct volume *volume = step->volume;
	bool fresh = greet->number % LIFE_NUMBERS == 1 && peer->my_number > 0, known;

	learn(step, NODE_BIT(peer->node));
	known = volume_slot_durable(volume, peer);
	learn(step, greet->replicas);
	if (!known)
		return;		/* more replicas than slots: it is not ours to keep track of; its slot may be another's now */
	if (fresh && peer->greeted) {	/* the volume went down and came back within one session */
		MARK(back_within_session);
		volume_leave(step, peer, VOLUME_GREETING);
	}
	learn_life(step, peer, greet->replica_id);
	*peer->facts = *greet;
	peer->greeted = true;
	if (!MUTANT(grant_never_ends))
		peer->granted = false;
	if (peer->relation <= VOLUME_ABSENT) {
		peer->relation = VOLUME_GREETING;
		step_changed(step);
	}
	note_primary(volume);
	if (volume->resetting || !volume->online) {
		MARK(greeting_during_reset);
		return;
	}
	if (fresh || !peer->my_number || (peer->sent_serial != volume->facts_serial && !MUTANT(changed_facts_not_greeted)) ||
	    (peer->sent_flags | WIRE_GREET_DIRTY) != (greet_flags(volume, peer) | WIRE_GREET_DIRTY))
		send_greet(step, peer);
	else
		evaluate(step, peer);
}

/*
 * The record that adds @peer is on its way there, or its answer back: it may count itself in sync already, and what was agreed on
 * before, it hears no more. The answer decides, and none comes only when the session ends (seed 7000000021730, 2 nodes).
 */
static bool record_decides(const struct volume *volume, const struct volume_peer *peer)
{
	return peer->relation == VOLUME_JOINING && volume->proposal.active && volume->proposal.adding == peer->node &&
	       !volume->proposal.joiner_next && !MUTANT(joiner_left_by_verdict);
}

/*
 * Before a resync starts the target is not greeted, and gets no records either. A verdict about what was before may say that
 * nothing differs, while a primary has gone on without it since [I7] (explorer: FLUSHES=1 EVICTIONS=1 CRASHES=1 CUTS=1).
 */
static bool starting_facts_changed(const struct volume *volume, const struct volume_peer *peer)
{
	return (peer->relation == VOLUME_TARGET_STARTING || peer->relation == VOLUME_SOURCE_ASKED) &&
	       peer->sent_serial != volume->facts_serial && !MUTANT(verdict_while_starting);
}

static void on_verdict(struct step *step, struct volume_peer *peer, const struct wire_verdict *verdict)
{
	if (!peer->greeted || verdict->my_number != peer->facts->number || verdict->my_number != peer->judged_number ||
	    (verdict->your_number != peer->my_number && !MUTANT(verdict_of_old_greeting))) {
		MARK(greetings_crossed);
		return;		/* about greetings that were replaced meanwhile, or one not looked at during a log reset */
	}
	if (starting_facts_changed(step->volume, peer))
		peer->greet_wanted = true;
	if (step->volume->resetting || peer->greet_wanted) {
		MARK(verdict_outdated);
		return;		/* what this node said of itself is not so any more; it greets again */
	}
	if (verdict->verdict != lineage_mirror(peer->verdict) ||
	    verdict->plan != volume_plan_mirror(peer->plan)) {
		core_trace(step->volume->super.volume_id, "the ends disagree -> session ends [G5]");
		step_end_session(step, peer, WIRE_BYE_VERDICT);
		return;
	}
	if (record_decides(step->volume, peer)) {
		MARK(verdict_while_joining);
		return;
	}
	peer->confirmed = true;
	act(step, peer);
	step_changed(step);
}

/* ---- sessions ---- */

static void peer_up(struct step *step, const struct volume_event *event)
{
	struct volume_peer *peer = volume_need_slot(step->volume, event->node, false);

	if (!peer)
		return;
	volume_peer_reset(peer);
	peer->up = true;
	peer->knows_blank = event->features & WIRE_FEATURE_BLANK;
	peer->relation = VOLUME_ABSENT;
	peer->greet_wanted = true;
	/* Whoever is seen alive is not down, whatever the administrator said before (seed 276020, 4 nodes). */
	if (!MUTANT(called_down_though_seen))
		step->volume->command.peer_down &= ~NODE_BIT(event->node);
	step_changed(step);
}

static void peer_lost(struct step *step, struct volume_peer *peer, enum volume_relation relation)
{
	struct volume *volume = step->volume;
	u8 node = peer->node;

	if (peer->relation == VOLUME_OFF)
		return;
	volume_leave(step, peer, relation);
	peer->greeted = false;
	peer->confirmed = false;
	peer->granted = false;
	if (volume->accepting.from == node) {
		if (volume->accepting.token)
			MARK(proposer_lost_while_saving);
		volume->accepting.token = 0;
	}
	volume_command_peer_lost(step, node);
	note_primary(volume);
	step_changed(step);
}

static void peer_down(struct step *step, struct volume_peer *peer)
{
	peer_lost(step, peer, VOLUME_OFF);
	volume_peer_reset(peer);
}

/* Nothing is agreed on without a disk. A primary goes on with those who are in sync: they have what it wrote. */
void volume_leave_for_disk(struct step *step, bool in_sync)
{
	struct volume_peer *peer;

	for_each_peer(step->volume, peer)
		if (peer->relation > VOLUME_GREETING && (in_sync || peer->relation != VOLUME_IN_SYNC))
			volume_leave(step, peer, VOLUME_GREETING);
}

static void disk_failed(struct step *step)
{
	struct volume *volume = step->volume;

	if (volume->disk != VOLUME_DISK_OK)
		return;
	core_trace(volume->super.volume_id, "local disk failed -> leaves the in-sync set");
	volume->disk = VOLUME_DISK_FAILED;
	if (volume->unyielding.token)
		volume_unyielded(step, false);	/* whoever waits for it is told now */
	volume->unyielding.token = 0;
	volume_leave_for_disk(step, volume->role != VOLUME_PRIMARY);
	if (volume->role == VOLUME_PRIMARY) {
		MARK(primary_without_disk);
		volume->io_waits = true;
		volume_note_lacking(volume, volume->node);
	}
	volume_greet_all(volume);
	step_emit(step, VOLUME_DO_GATE);
	step_changed(step);
}

/* ---- dispatch ---- */

static void frame(struct step *step, const struct volume_event *event)
{
	struct volume_peer *peer = volume_peer(step->volume, event->node);

	if (!peer || !peer->up)
		return;
	switch (event->frame_type) {
	case WIRE_GREET:
		on_greet(step, peer, &event->body->greet);
		break;
	case WIRE_VERDICT:
		on_verdict(step, peer, &event->body->verdict);
		break;
	case WIRE_RECORD:
	case WIRE_RECORD_ACK:
		volume_record_frame(step, peer, event);
		break;
	case WIRE_PROMOTE_ASK:
	case WIRE_PROMOTE_ANSWER:
	case WIRE_RESOLVE:
		volume_command_frame(step, peer, event);
		break;
	case WIRE_VOLUME_GONE:
		peer_lost(step, peer, VOLUME_ABSENT);
		break;
	default:
		volume_sync_frame(step, peer, event);
		break;
	}
}

static void super_saved(struct step *step, u32 token, bool ok)
{
	struct volume *volume = step->volume;
	struct volume_peer *peer;

	if (MUTANT(failed_save_ignored))
		ok = true;
	if (volume->proposal.active && volume->proposal.token == token)
		volume_proposal_saved(step, ok);
	if (volume->accepting.token == token)
		volume_record_saved(step, ok);
	if (volume->adopting.token == token)
		volume_sync_adopted(step, ok);
	for_each_peer(volume, peer)
		if (peer->start_token == token)
			volume_start_saved(step, peer, ok);
	if (volume->command.active && volume->command.token == token)
		volume_command_saved(step, ok);
	if (volume->unyielding.token == token)
		volume_unyielded(step, ok);
}

/*
 * The detach empties the log. What it still names may differ from any other replica, if the writer goes on or is lost
 * later: from now on the dirty maps say so [I5].
 */
static void going_down(struct step *step)
{
	struct volume *volume = step->volume;
	struct volume_peer *peer;

	for_each_peer(volume, peer) {
		if (volume_slot_durable(volume, peer))
			volume_mark_log(volume, peer);
		if (!peer->up)
			continue;
		step_send(step, peer, WIRE_VOLUME_GONE);
		volume_leave(step, peer, VOLUME_OFF);
		volume_peer_reset(peer);
	}
	volume->online = false;
}

static void log_was_reset(struct step *step)
{
	struct volume *volume = step->volume;

	volume->resetting = false;
	volume_greet_others(volume);
	step_emit(step, VOLUME_DO_GATE);
}

static void with_peer(struct step *step, const struct volume_event *event)
{
	struct volume *volume = step->volume;
	struct volume_peer *peer = volume_peer(volume, event->node);

	if (!peer)
		return;
	switch (event->type) {
	case VOLUME_EVENT_PEER_DOWN:
		peer_down(step, peer);
		break;
	case VOLUME_EVENT_PEER_IO_FAILED:
		if (!(volume->streaming & NODE_BIT(peer->node)) || MUTANT(peer_error_ignored))
			break;
		MARK(peer_failed_write);
		if (!peer->acks_pending)
			step_end_session(step, peer, WIRE_BYE_STUCK);
		volume_leave(step, peer, VOLUME_GREETING);
		peer->greet_wanted = true;
		break;
	case VOLUME_EVENT_RESYNC_DRY:
		volume_resync_dry(step, peer);
		break;
	case VOLUME_EVENT_RESYNC_FAILED:
		MARK(resync_failed);
		if (peer->relation == VOLUME_TARGET)
			step_end_session(step, peer, WIRE_BYE_STUCK);
		break;
	default:
		break;
	}
}

/* What the event left to do, whatever it was. */
static void settle(struct step *step)
{
	struct volume *volume = step->volume;
	struct volume_peer *peer;

	if (!volume->online || volume->resetting)
		return;
	volume_choose_source(step);
	if (volume->stream_lost)
		stream_lost(step);
	if (volume->resetting)
		return;
	volume_demotion_goes_on(step);
	volume_try_propose(step);
	for_each_peer(volume, peer)
		if (peer->up && peer->greet_wanted)
			send_greet(step, peer);
}

/* [D6] Peers may have smaller logs; what is in flight has to fit into each of them. */
static void limit_log(struct volume *volume)
{
	const struct volume_peer *peer;
	u32 limit = 0;

	for_each_peer(volume, peer) {
		u32 slots = peer->facts->actlog_parts * ACTLOG_PART_REGIONS;

		if (volume->role == VOLUME_PRIMARY && (volume->streaming & NODE_BIT(peer->node)) && (!limit || slots < limit))
			limit = slots;
	}
	volume->log.busy_limit = limit;
}

void volume_step(struct volume *volume, const struct volume_event *event, struct volume_actions *actions)
{
	struct step step = { volume, actions, event->random };

	actions->nr = 0;
	switch (event->type) {
	case VOLUME_EVENT_ONLINE:
		volume->online = true;
		step_changed(&step);
		break;
	case VOLUME_EVENT_PEER_UP:
		peer_up(&step, event);
		break;
	case VOLUME_EVENT_FRAME:
		frame(&step, event);
		break;
	case VOLUME_EVENT_SUPER_SAVED:
		super_saved(&step, event->token, event->ok);
		break;
	case VOLUME_EVENT_LOG_RESET:
		log_was_reset(&step);
		break;
	case VOLUME_EVENT_DISK_FAILED:
		disk_failed(&step);
		break;
	case VOLUME_EVENT_IO_WAITS:
		volume->io_waits = true;
		if (volume_generation_fits(volume) && !volume->proposal.active && !volume->unyielding.token) {
			volume->io_waits = false;
			step_emit(&step, VOLUME_DO_GATE);
		}
		break;
	case VOLUME_EVENT_PROMOTE:
	case VOLUME_EVENT_CANCEL:
	case VOLUME_EVENT_DEMOTE:
	case VOLUME_EVENT_RESOLVE:
	case VOLUME_EVENT_FORGET:
		volume_command(&step, event);
		break;
	case VOLUME_EVENT_FACTS:
		break;
	case VOLUME_EVENT_GOING_DOWN:
		going_down(&step);
		break;
	default:
		with_peer(&step, event);
		break;
	}
	settle(&step);
	limit_log(volume);
	volume->reads_here = volume_reads_are_local(volume);
	volume->record_fits = volume_required_members(volume) && volume_generation_fits(volume);
}

/* ---- start ---- */

void volume_init(struct volume *volume, const struct ondisk_super *super, u8 node, struct wire_greet *scratch)
{
	u32 slot;

	volume->scratch = scratch;
	volume->super = *super;
	volume->node = node;
	volume->role = VOLUME_SECONDARY;
	volume->disk = VOLUME_DISK_OK;
	volume->primary = NODE_NONE;
	volume->sync_source = NODE_NONE;
	volume->authority = node;
	volume->proposal.adding = NODE_NONE;
	volume->accepting.from = NODE_NONE;
	volume->adopting.from = NODE_NONE;
	volume->unyielding.to = NODE_NONE;
	volume->facts_serial = 1;
	volume->proposal.serial = volume_life_base(volume);
	volume->command.serial = volume_life_base(volume);
	volume->slots_short = 0;
	for (slot = 0; slot < REPLICAS_MAX; slot++) {
		struct volume_peer *peer = &volume->peer[slot];

		volume_peer_reset(peer);
		peer->node = super->slot_node[slot];
		peer->facts = NULL;
		memset(&peer->map, 0, sizeof(peer->map));
	}
}

void volume_log_found(struct volume *volume, u32 region)
{
	struct volume_peer *peer;

	volume_not_blank(volume);
	for_each_peer(volume, peer) {
		if (!MUTANT(crash_log_ignored))
			dirty_mark(&peer->map, (u64)region * ACTLOG_REGION_BYTES, ACTLOG_REGION_BYTES);
		if (volume_is_member(volume, peer->node) && !MUTANT(crash_not_reconciled))
			volume->super.reconcile |= NODE_BIT(peer->node);
	}
}

void volume_log_lost(struct volume *volume)
{
	const struct generation *tail = volume_tail(volume);
	struct volume_peer *peer;

	if (tail)	/* its mark may have stood in the log only */
		lineage_mark_written(&volume->super.chain, tail->id);
	volume_not_blank(volume);

	MARK(log_unreadable);
	for_each_peer(volume, peer) {
		dirty_mark_all(&peer->map);
		if (volume_is_member(volume, peer->node))
			volume->super.reconcile |= NODE_BIT(peer->node);
	}
}

void volume_written_found(struct volume *volume, u64 generation_id)
{
	if (MUTANT(written_mark_lost))
		return;
	volume_not_blank(volume);
	lineage_mark_written(&volume->super.chain, generation_id);
	volume->marked_id = generation_id;
}
