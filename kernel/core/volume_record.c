// SPDX-License-Identifier: GPL-2.0
/*
 * Agreeing on a generation record [G1] [G2] [G3].
 *
 * One proposal at a time: the record is made durable here first, then on every peer that gets our writes; until
 * all of them have answered or left, the gate is closed. So a write of a generation is never acknowledged before its
 * record is durable on every member, and a record that adds a member is on the writer first [G2]. Requests that wait
 * for a peer which left are released only when a record without it is agreed [W4].
 */
#include "probe.h"
#include "volume_internal.h"

u32 volume_required_members(const struct volume *volume)
{
	u32 members = volume_in_sync(volume);

	if (volume->disk == VOLUME_DISK_OK || MUTANT(failed_disk_stays_member))
		members |= NODE_BIT(volume->node);
	return members;
}

bool volume_generation_fits(const struct volume *volume)
{
	const struct generation *tail = volume_tail(volume);

	return tail && (tail->writer == volume->node || MUTANT(writer_not_recorded)) &&
	       !(volume->super.replaced & tail->members) &&
	       (tail->members == volume_required_members(volume) || MUTANT(member_by_label));
}

void volume_note_lacking(struct volume *volume, u8 node)
{
	if (volume->role == VOLUME_PRIMARY && volume->log.nr_used)
		volume->lacking |= NODE_BIT(node);
}

/*
 * Was anything acknowledged under one of the records that this writer has made in turn? What its log names may all be from the
 * writer before it, who left with everything flushed [I11] (explorer: WRITES=2 CUTS=2 PROMOTES=2 MISTAKES=1 DEMOTES=1). Without a
 * disk there is no log to mark a record in, and nobody can tell.
 */
static bool wrote_here(const struct volume *volume)
{
	const struct chain *chain = &volume->super.chain;
	u32 i;

	if (volume->disk != VOLUME_DISK_OK || MUTANT(lacking_of_others))
		return true;
	for (i = chain->count; i && chain->record[i - 1].writer == volume->node; i--)
		if (chain->record[i - 1].written)
			return true;
	return i == 0;	/* older ones are not kept */
}

/* Members by this writer's own record that may lack what was acknowledged under it: nobody else knows that. */
static u32 lacking_members(const struct volume *volume)
{
	const struct generation *tail = volume_tail(volume);

	if (volume->role != VOLUME_PRIMARY || !tail || tail->writer != volume->node || !wrote_here(volume))
		return 0;
	return volume->lacking & tail->members;
}

/*
 * Without one, a member that lacks something counts as complete once the writer's word about it is gone: it could be the source
 * for all others, or promoted (seed 9500000033768, 2 nodes). Where nobody is left who could hold a record, nothing is owed either.
 */
bool volume_record_is_due(const struct volume *volume)
{
	if (volume->proposal.active && volume->proposal.adding == NODE_NONE)
		return true;
	return lacking_members(volume) && volume_required_members(volume);
}

/*
 * Whom does a record vouch for? One that adds a member: for the replica that joins. Any other is its writer's, made with all of its
 * members present: for these.
 */
static void record_vouches(struct volume *volume, u32 before, u32 members)
{
	u32 added = members & ~before;

	volume->super.replaced &= ~(added ? added : members);
}

static void propose(struct step *step, u32 members, u8 writer, u8 adding)
{
	struct volume *volume = step->volume;
	struct generation record = lineage_next(&volume->super.chain, step->random, members, writer);
	u32 before = volume_members(volume);
	struct volume_peer *peer;

	/*
	 * [G2] What is in flight now is acknowledged under this record, and what was acknowledged before and a member that drops out may
	 * lack, only this record protects: it counts as written from its first moment, on every member that makes it durable.
	 */
	record.written = (volume->in_flight > 0 && !MUTANT(in_flight_not_written)) ||
			 ((lacking_members(volume) & ~members) && !MUTANT(lacking_not_written));
	if (!lineage_append(&volume->super.chain, &record))
		return;
	for_each_peer(volume, peer)	/* [D1] whoever drops out lacks what the log still covers */
		if (!(members & NODE_BIT(peer->node)) && !(volume->streaming & NODE_BIT(peer->node)))
			volume->super.reconcile &= ~NODE_BIT(peer->node);
	volume->proposal.replaced = volume->super.replaced;
	record_vouches(volume, before, members);
	volume->proposal.active = true;
	volume->proposal.saved = false;
	volume->proposal.kept = false;
	volume->proposal.held = false;
	volume->proposal.joiner_next = false;
	volume->proposal.member_left = false;
	volume->proposal.id = record.id;
	volume->proposal.adding = adding;
	volume->proposal.waiting = 0;
	volume->proposal.serial++;
	core_trace(volume->super.volume_id, adding == NODE_NONE ? "in-sync set or writer changes -> new generation [G2]" :
		   "resync complete -> new generation adds the member [G2]");
	volume_greet_others(volume);
	volume->proposal.token = 0;
	if (volume->disk == VOLUME_DISK_OK) {
		volume->proposal.token = step_save(step, adding != NODE_NONE);
	} else {
		MARK(proposal_without_disk);
		volume_proposal_saved(step, true);
	}
}

/* Does a request wait for a member that is gone? */
static bool member_missed(const struct volume *volume)
{
	const struct volume_peer *peer;

	for_each_peer(volume, peer)
		if (peer->acks_missed && volume_is_member(volume, peer->node))
			return true;
	return false;
}

static struct volume_peer *joining(struct volume *volume)
{
	struct volume_peer *peer;

	for_each_peer(volume, peer)
		if (peer->relation == VOLUME_JOINING)
			return peer;
	return NULL;
}

/* Its last save failed: DISK_FAILED is on its way, and what is proposed before that would not be kept either. */
static bool disk_is_failing(const struct volume *volume)
{
	return volume->disk == VOLUME_DISK_OK && volume->proposal.saved && !volume->proposal.kept && !MUTANT(unsaved_record_withdrawn);
}

void volume_try_propose(struct step *step)
{
	struct volume *volume = step->volume;
	const struct generation *tail = volume_tail(volume);
	struct volume_peer *peer = joining(volume);
	bool writer = volume->role == VOLUME_PRIMARY;

	if (volume->proposal.active || volume->accepting.token || !tail || disk_is_failing(volume))
		return;
	if (writer && (volume->io_waits || member_missed(volume) || volume_demotion_waits(volume)) &&
	    !volume_generation_fits(volume)) {
		u32 members = volume_required_members(volume);

		if (members) {
			propose(step, members, volume->node, NODE_NONE);
		} else {
			MARK(nobody_to_propose_to);
			step_emit(step, VOLUME_DO_GATE);
		}
		return;
	}
	if (peer && volume_is_member(volume, peer->node))
		volume_enter_in_sync(step, peer);
	else if (peer && (writer || volume->primary == NODE_NONE))
		propose(step, tail->members | NODE_BIT(peer->node), tail->writer, peer->node);
}

static void release_dropped(struct step *step)
{
	struct volume *volume = step->volume;
	struct volume_peer *peer;

	for_each_peer(volume, peer)
		if (peer->acks_missed && !volume_is_member(volume, peer->node))
			step_emit(step, VOLUME_DO_RELEASE)->node = peer->node;
	if (volume->disk != VOLUME_DISK_OK && !volume_is_member(volume, volume->node))
		step_emit(step, VOLUME_DO_RELEASE)->node = volume->node;
}

static void proposal_done(struct step *step)
{
	struct volume *volume = step->volume;
	struct volume_peer *peer = volume_peer(volume, volume->proposal.adding);

	volume->proposal.active = false;
	volume->proposal.adding = NODE_NONE;
	if (peer && peer->relation == VOLUME_JOINING && (volume->streaming & NODE_BIT(peer->node)))	/* it may be leaving just now */
		volume_enter_in_sync(step, peer);
	release_dropped(step);
	volume->lacking &= volume_members(volume);
	if (volume_generation_fits(volume))
		volume->io_waits = false;
	step_emit(step, VOLUME_DO_GATE);
	volume_greet_others(volume);
	step_changed(step);
}

/* What the new member has to know about others that are absent, before it may go on alone [D1]. */
static void send_maps(struct step *step, const struct volume_peer *to)
{
	struct volume *volume = step->volume;
	struct volume_peer *peer;

	for_each_peer(volume, peer) {
		struct volume_action *action;

		if (peer == to || !(volume->super.replicas & NODE_BIT(peer->node)) ||
		    volume_is_member(volume, peer->node))
			continue;
		if (MUTANT(joiner_gets_no_maps))
			continue;
		MARK(joiner_gets_maps);
		action = step_emit(step, VOLUME_DO_SEND_RANGES);
		action->node = to->node;
		action->map_node = peer->node;
		action->with_log = true;
	}
}

static void withdraw(struct volume *volume)
{
	volume->proposal.active = false;
	if (volume_tail(volume)->id == volume->proposal.id) {	/* unless another chain was adopted meanwhile */
		volume->super.chain.count--;
		volume->super.replaced |= volume->proposal.replaced;
	}
	volume_greet_others(volume);
}

/*
 * Everybody asked has answered or left. A record that no disk has is not agreed: whom it drops would not be known to lack the
 * writes that it releases, and may overwrite them (seed 8000000034681, 3 nodes). What waits for it then fails. It stays in the chain
 * when the disk here may have it and failed since: that one may come back, and whoever is greeted meanwhile should know
 * (seed 7000000101459, 3 nodes).
 */
static void nobody_waited_for(struct step *step)
{
	struct volume *volume = step->volume;

	if ((volume->disk == VOLUME_DISK_OK && volume->proposal.kept) || volume->proposal.held || MUTANT(record_held_by_nobody)) {
		proposal_done(step);
	} else if (volume->proposal.token) {
		MARK(record_on_failed_disk);
		volume->proposal.active = false;
	} else {
		MARK(record_without_a_disk);
		withdraw(volume);
	}
}

static void ask(struct step *step, const struct volume_peer *peer)
{
	struct volume *volume = step->volume;
	struct volume_action *action;

	if (peer->node == volume->proposal.adding)
		send_maps(step, peer);
	action = step_send(step, peer, WIRE_RECORD);
	action->frame.serial = volume->proposal.serial;
	action->frame.value = volume_tail(volume)->id;
	volume->proposal.waiting |= NODE_BIT(peer->node);
}

/*
 * A replica that is no writer adds a member: one of those in sync may be a primary by now, and what that one writes is acknowledged
 * without the joiner; it refuses the record. So the joiner is asked when all of them have it [G2], and if one leaves before it
 * answered, the two compare anew instead (seed 1795922760828, 4 nodes).
 */
static void joiner_is_next(struct step *step, struct volume_peer *peer)
{
	struct volume *volume = step->volume;

	volume->proposal.joiner_next = false;
	if (!(volume->streaming & NODE_BIT(peer->node)))
		return;
	if (!volume->proposal.member_left || MUTANT(joiner_beside_leaver)) {
		ask(step, peer);
		return;
	}
	MARK(member_left_before_joiner);
	volume_leave(step, peer, VOLUME_GREETING);
	peer->greet_wanted = peer->up;
}

static void everybody_answered(struct step *step)
{
	struct volume *volume = step->volume;
	struct volume_peer *peer = volume_peer(volume, volume->proposal.adding);

	if (peer && volume->proposal.joiner_next)
		joiner_is_next(step, peer);
	if (!volume->proposal.waiting)
		nobody_waited_for(step);
}

/*
 * A save that failed may be on the disk all the same, which is being given up: DISK_FAILED follows and asks for another generation.
 * That one continues this, which the peers get as well. In its place it would be the other side of a split, should the disk
 * come back (seed 9820000027299, 3 nodes).
 */
void volume_proposal_saved(struct step *step, bool ok)
{
	struct volume *volume = step->volume;
	struct volume_peer *peer;

	if (!ok) {
		MARK(proposal_save_failed);
		if (MUTANT(unsaved_record_withdrawn)) {
			withdraw(volume);
			return;
		}
	}
	volume->proposal.saved = true;
	volume->proposal.kept = ok;
	for_each_peer(volume, peer) {
		if (peer->relation == VOLUME_TARGET_STARTING)	/* it waits for a chain that is durable here */
			volume_send_accept(step, peer);
		if (!(volume->streaming & NODE_BIT(peer->node)))
			continue;
		if (peer->node == volume->proposal.adding && volume->role != VOLUME_PRIMARY && !MUTANT(joiner_not_last))
			volume->proposal.joiner_next = true;
		else
			ask(step, peer);
	}
	if (!volume->proposal.waiting)
		everybody_answered(step);
	else if (MUTANT(record_acks_not_awaited))
		proposal_done(step);
}

void volume_proposal_lost(struct step *step, u8 node)
{
	struct volume *volume = step->volume;

	if (!volume->proposal.active || !volume->proposal.saved || !(volume->proposal.waiting & NODE_BIT(node)))
		return;
	volume->proposal.waiting &= ~NODE_BIT(node);
	volume->proposal.member_left = true;
	if (!volume->proposal.waiting)
		everybody_answered(step);
}

static void on_ack(struct step *step, struct volume_peer *peer, const struct wire_record_ack *ack)
{
	struct volume *volume = step->volume;

	if (!volume->proposal.active || (ack->serial != volume->proposal.serial && !MUTANT(stale_record_ack_counts))) {
		MARK(stale_record_ack);
		return;
	}
	if (!ack->ok && !MUTANT(refused_record_counts)) {
		MARK(record_refused_there);
		step_end_session(step, peer, WIRE_BYE_STUCK);	/* its chain went another way meanwhile */
	} else if (volume->proposal.waiting & NODE_BIT(peer->node)) {
		volume->proposal.held = true;
		volume->proposal.waiting &= ~NODE_BIT(peer->node);
		if (!volume->proposal.waiting)
			everybody_answered(step);
	}
}

static void answer(struct step *step, struct volume_peer *peer, u32 serial, bool ok)
{
	struct volume_action *action = step_send(step, peer, WIRE_RECORD_ACK);

	action->frame.serial = serial;
	action->frame.ok = ok;
}

/* @writer goes on without them, and so does whoever follows it. It may drop itself, its disk, and stay the writer. */
static void mark_dropped(struct step *step, const struct volume_peer *writer, u32 dropped)
{
	struct volume *volume = step->volume;
	struct volume_peer *peer;

	for_each_peer(volume, peer)
		if (dropped & NODE_BIT(peer->node)) {
			MARK(member_dropped_by_record);
			if (!MUTANT(dropped_member_unmarked))
				volume_mark_log(volume, peer);
			volume->super.reconcile &= ~NODE_BIT(peer->node);
			if (peer != writer && peer->relation == VOLUME_IN_SYNC) {
				volume_leave(step, peer, VOLUME_GREETING);
				peer->greet_wanted = true;
			}
		}
}

static void on_record(struct step *step, struct volume_peer *peer, const struct wire_record *body)
{
	struct volume *volume = step->volume;
	u32 before = volume_members(volume), me = NODE_BIT(volume->node);
	bool stream = peer->relation == VOLUME_IN_SYNC || peer->relation == VOLUME_SOURCE;
	const struct generation *tail = volume_tail(volume);

	if (stream && tail && tail->id == body->record.parent_id && body->parent_written && !MUTANT(parent_mark_ignored) &&
	    lineage_mark_written(&volume->super.chain, tail->id))	/* a resync target has its writes but could not tell */
		volume_greet_others(volume);
	if (!stream || volume->role == VOLUME_PRIMARY || volume->proposal.active ||
	    !lineage_append(&volume->super.chain, &body->record)) {
		MARK(record_refused_here);
		answer(step, peer, body->serial, false);
		return;
	}
	core_trace(volume->super.volume_id, "record of the writer continues the chain -> made durable [G3]");
	volume_learn_replicas(volume, body->record.members);
	record_vouches(volume, before, body->record.members);
	mark_dropped(step, peer, before & ~body->record.members);
	if ((before & me) && !(body->record.members & me) && peer->relation == VOLUME_SOURCE &&
	    !MUTANT(dropped_target_complete)) {
		MARK(target_dropped_by_record);
		volume->super.flags |= ONDISK_SYNCING;
	}
	volume->accepting.joined = !(before & me) && (body->record.members & me);
	if (volume->accepting.joined)
		volume->super.flags &= ~ONDISK_SYNCING;
	volume->accepting.from = peer->node;
	volume->accepting.serial = body->serial;
	volume->accepting.token = step_save(step, volume->accepting.joined && !MUTANT(joined_before_maps));
	if (MUTANT(record_acked_before_durable))
		answer(step, peer, body->serial, true);
	volume_greet_others(volume);
}

void volume_record_saved(struct step *step, bool ok)
{
	struct volume *volume = step->volume;
	struct volume_peer *peer = volume_peer(volume, volume->accepting.from);

	volume->accepting.token = 0;
	if (!peer || !peer->up)
		return;
	if (!ok)
		MARK(record_save_failed);
	answer(step, peer, volume->accepting.serial, ok);
	if (ok && volume->accepting.joined && peer->relation == VOLUME_SOURCE) {
		volume_enter_in_sync(step, peer);
	}
}

void volume_record_frame(struct step *step, struct volume_peer *peer, const struct volume_event *event)
{
	if (event->frame_type == WIRE_RECORD)
		on_record(step, peer, &event->body->record);
	else
		on_ack(step, peer, &event->body->record_ack);
}
