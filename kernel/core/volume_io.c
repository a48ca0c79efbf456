// SPDX-License-Identifier: GPL-2.0
/*
 * The data plane of a volume: small calls that the I/O path makes directly under the volume's lock [W4] [D1].
 * None of them waits for the control plane while nothing is wrong.
 */
#include "probe.h"
#include "volume_internal.h"

/*
 * [I3] After a crash members may differ in writes that nobody acknowledged. What is read here must not vanish when
 * another member takes over, so reads wait too, until those members are compared or out of the set.
 */
static bool reads_are_guarded(const struct volume *volume)
{
	u32 nodes = volume->super.reconcile & volume_members(volume) & ~NODE_BIT(volume->node);

	return nodes ? nodes & ~volume_in_sync(volume) : 0;	/* asked for every write: nearly always none */
}

enum volume_gate volume_gate_write(const struct volume *volume)
{
	if (volume->role != VOLUME_PRIMARY)
		return VOLUME_GATE_FAIL;
	if (volume->quiet || (volume->proposal.active && !MUTANT(gate_open_early)) || volume->resetting ||
	    (volume->unyielding.token && !MUTANT(gate_open_yielding)))
		return VOLUME_GATE_WAIT;
	if (volume->record_fits)	/* asked for every write, and every peer would have to be looked at */
		return VOLUME_GATE_OPEN;
	if (!volume_required_members(volume)) {
		MARK(nobody_takes_writes);
		return VOLUME_GATE_FAIL;
	}
	return volume_generation_fits(volume) ? VOLUME_GATE_OPEN : VOLUME_GATE_WAIT;
}

enum volume_gate volume_gate_read(const struct volume *volume)
{
	if (volume->role != VOLUME_PRIMARY || !volume_required_members(volume))
		return VOLUME_GATE_FAIL;
	if (reads_are_guarded(volume) && !volume_generation_fits(volume) && !MUTANT(reads_unguarded)) {
		MARK(read_waits);
		return VOLUME_GATE_WAIT;
	}
	return VOLUME_GATE_OPEN;
}

u8 volume_read_from(const struct volume *volume, u32 failed)
{
	const struct volume_peer *peer;

	if (volume->disk == VOLUME_DISK_OK && !(failed & NODE_BIT(volume->node)))
		return volume->node;
	MARK(read_elsewhere);
	for_each_peer(volume, peer)
		if ((peer->relation == VOLUME_IN_SYNC || (peer->relation == VOLUME_TARGET && MUTANT(read_from_target))) &&
		    !(failed & NODE_BIT(peer->node)) && (peer->facts->flags & WIRE_GREET_DISK))
			return peer->node;
	return NODE_NONE;
}

bool volume_reads_are_local(const struct volume *volume)
{
	return volume_gate_read(volume) == VOLUME_GATE_OPEN && volume_read_from(volume, 0) == volume->node;
}

static u32 takers(const struct volume *volume)
{
	return volume->streaming | (volume->disk == VOLUME_DISK_OK ? NODE_BIT(volume->node) : 0);
}

void volume_begin(struct volume *volume, struct volume_ack *ack, u64 offset_bytes, u32 length_bytes)
{
	struct volume_peer *peer;

	memset(ack, 0, sizeof(*ack));
	ack->pending = takers(volume);
	ack->nodes = ack->pending;
	volume->in_flight++;
	for_each_peer(volume, peer) {
		if (volume->streaming & NODE_BIT(peer->node))
			peer->acks_pending++;
		else if (length_bytes && (volume->super.replicas & NODE_BIT(peer->node)) && !MUTANT(absent_unmarked) &&
			 !(peer->relation == VOLUME_TARGET_STARTING && MUTANT(starting_target_unmarked)))
			dirty_mark(&peer->map, offset_bytes, length_bytes);
	}
}

static u64 tail_id(const struct volume *volume)
{
	const struct generation *tail = volume_tail(volume);

	return tail ? tail->id : 0;
}

void volume_begin_flush(struct volume *volume, struct volume_ack *ack)
{
	struct volume_peer *peer;

	memset(ack, 0, sizeof(*ack));
	ack->nodes = takers(volume);
	ack->flush_generation_id = tail_id(volume);
	ack->pending = flush_needed(&volume->flush, ack->flush_generation_id, ack->nodes);
	ack->flush_since = flush_begin(&volume->flush, ack->flush_generation_id);
	volume->in_flight++;
	for_each_peer(volume, peer)
		if (ack->pending & NODE_BIT(peer->node))
			peer->acks_pending++;
}

bool volume_flush_is_done(struct volume *volume)
{
	u64 generation_id = tail_id(volume);
	u32 nodes = takers(volume);

	if (!nodes || flush_needed(&volume->flush, generation_id, nodes))
		return false;
	flush_begin(&volume->flush, generation_id);
	return true;
}

bool volume_expects_flush(struct volume *volume)
{
	return flush_expected(&volume->flush);
}

bool volume_acked(struct volume *volume, struct volume_ack *ack, u8 node, enum volume_answer answer)
{
	struct volume_peer *peer = volume_peer(volume, node);

	if (node >= NODES_MAX || !(ack->pending & NODE_BIT(node))) {
		MARK(answer_too_late);
		return false;
	}
	if (!(ack->missed & NODE_BIT(node))) {
		if (!ack->flush_generation_id && answer == VOLUME_ANSWER_VOLATILE)
			flush_volatile(&volume->flush, node);
		else if (ack->flush_generation_id && answer == VOLUME_ANSWER_STABLE)
			flush_ended(&volume->flush, node, ack->flush_generation_id, ack->flush_since);
	}
	ack->pending &= ~NODE_BIT(node);
	if (peer) {
		peer->acks_pending--;
		peer->acks_missed -= ack->missed >> node & 1;
	}
	return !ack->pending;
}

void volume_missed(struct volume *volume, struct volume_ack *ack, u8 node)
{
	struct volume_peer *peer = volume_peer(volume, node);

	if (!peer || !(ack->pending & ~ack->missed & NODE_BIT(node)))
		return;
	ack->missed |= NODE_BIT(node);
	peer->acks_missed++;
}

bool volume_released(struct volume *volume, struct volume_ack *ack, u8 node)
{
	if (node != volume->node && !(ack->missed & NODE_BIT(node)) && !MUTANT(release_of_unmissed)) {
		MARK(release_spares_newer_write);
		return false;
	}
	return volume_acked(volume, ack, node, VOLUME_ANSWER_NONE);
}

void volume_end(struct volume *volume, const struct volume_ack *ack)
{
	(void)ack;
	volume->in_flight--;
}

static bool in_range(const struct volume *volume, u64 offset_bytes, u32 length_bytes)
{
	return offset_bytes <= volume->super.volume_bytes &&
	       length_bytes <= volume->super.volume_bytes - offset_bytes;
}

bool volume_may_apply(const struct volume *volume, u8 from, u64 offset_bytes, u32 length_bytes)
{
	const struct volume_peer *peer = volume_peer_const(volume, from);

	return peer && (volume->role == VOLUME_SECONDARY || MUTANT(primary_applies)) &&
	       (peer->relation == VOLUME_IN_SYNC || peer->relation == VOLUME_SOURCE) &&
	       in_range(volume, offset_bytes, length_bytes);
}

void volume_apply(struct volume *volume, u8 from, u64 offset_bytes, u32 length_bytes)
{
	struct volume_peer *peer;
	u32 absent = volume->super.replicas & ~volume_members(volume) & ~NODE_BIT(volume->node);

	(void)from;
	volume->unchanged = false;
	for_each_peer(volume, peer)
		if ((absent & NODE_BIT(peer->node)) && !MUTANT(apply_unmarked))
			dirty_mark(&peer->map, offset_bytes, length_bytes);
}

bool volume_apply_resync(struct volume *volume, u8 from, u64 offset_bytes, u32 length_bytes)
{
	struct volume_peer *peer;
	u32 others = volume->super.replicas & ~NODE_BIT(volume->node) & ~NODE_BIT(from);
	bool unsaved = false;

	volume->unchanged = volume->unchanged && MUTANT(blank_again_after_data);
	if (volume->fresh || MUTANT(resync_unmarked_for_third))
		return false;	/* never was in sync with anybody: every map but the source's has it as dirty throughout */
	for_each_peer(volume, peer)
		if (others & NODE_BIT(peer->node)) {
			dirty_mark(&peer->map, offset_bytes, length_bytes);
			unsaved |= dirty_unsaved(&peer->map, offset_bytes, length_bytes);
		}
	return unsaved;
}

bool volume_may_read(const struct volume *volume, u8 from)
{
	const struct volume_peer *peer = volume_peer_const(volume, from);

	return peer && peer->relation == VOLUME_IN_SYNC && volume->disk == VOLUME_DISK_OK;
}

bool volume_may_resync(const struct volume *volume, u8 from)
{
	const struct volume_peer *peer = volume_peer_const(volume, from);

	return peer && peer->relation == VOLUME_SOURCE && volume->disk == VOLUME_DISK_OK;
}

/* The newest record of this replica's superblock: the tail, or while that is being made durable the one before it. */
static const struct generation *durable_tail(const struct volume *volume)
{
	const struct chain *chain = &volume->super.chain;
	bool saving = (volume->proposal.active && !volume->proposal.saved) || volume->accepting.token;

	if (chain->count <= saving)
		return NULL;
	return &chain->record[chain->count - 1 - saving];
}

bool volume_mark_wanted(struct volume *volume, u64 generation_id)
{
	const struct generation *record = durable_tail(volume);

	if (MUTANT(mark_not_of_parent) && record != volume_tail(volume))
		return false;
	if (!record || record->written || record->id != generation_id || MUTANT(written_never_marked))
		return false;
	if (MUTANT(written_mark_not_awaited)) {
		lineage_mark_written(&volume->super.chain, record->id);
		return false;
	}
	volume->mark_asked_id = generation_id;
	volume->log.forced = true;
	return true;
}

u64 volume_mark_id(const struct volume *volume)
{
	const struct generation *record = durable_tail(volume);

	if (record && volume->mark_asked_id == record->id)
		return record->id;
	return MUTANT(mark_of_memory) && volume_tail(volume) ? volume_tail(volume)->id : volume->marked_id;
}

bool volume_marked(struct volume *volume, u64 generation_id)
{
	struct volume_peer *peer;
	bool tell = false;

	volume->marked_id = generation_id;
	if (!lineage_mark_written(&volume->super.chain, generation_id))
		return false;
	volume_greet_others(volume);
	for_each_peer(volume, peer)
		tell |= peer->greet_wanted;
	return tell;
}

u64 volume_quiesce(struct volume *volume)
{
	if (!volume->quiet++)
		volume->quiet_spell++;
	return volume->quiet_spell;
}

void volume_unquiesce(struct volume *volume)
{
	if (volume->quiet)
		volume->quiet--;
}

u64 volume_log_reset_begin(struct volume *volume, u64 spell)
{
	if (spell && (!volume->quiet || spell != volume->quiet_spell) && !MUTANT(reset_outlives_quiet)) {
		MARK(reset_after_quiet);
		return 0;
	}
	return actlog_flush_begin(&volume->log);
}

bool volume_up_to_date(const struct volume *volume)
{
	const struct volume_peer *peer;

	if (volume->disk != VOLUME_DISK_OK || (volume->super.flags & ONDISK_SYNCING) ||
	    !volume_is_member(volume, volume->node))
		return false;
	for_each_peer(volume, peer)
		if (peer->up && peer->greeted && peer->verdict == LINEAGE_PEER_IS_AHEAD &&
		    peer->relation != VOLUME_IN_SYNC)
			return false;
	return true;
}

bool volume_healthy(const struct volume *volume)
{
	const struct volume_peer *peer;
	u32 replicas = volume->super.replicas & ~NODE_BIT(volume->node);

	for_each_peer(volume, peer)
		if ((replicas & NODE_BIT(peer->node)) && peer->relation != VOLUME_IN_SYNC)
			return false;
	return volume_up_to_date(volume);
}
