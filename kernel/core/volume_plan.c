// SPDX-License-Identifier: GPL-2.0
/*
 * What two replicas do with each other: one total function of the two newest greetings, computed by both
 * ends, each from its side [G5] [I9]. No flag overrides the verdict of the chains; flags only say who is able.
 */
#include "probe.h"
#include "volume.h"

struct side {
	const struct wire_greet *facts;
	const struct generation *tail;
	u8 node;
};

const char *volume_relation_name(enum volume_relation relation)
{
	static const char *const names[VOLUME_RELATIONS] = {
		[VOLUME_OFF] = "off",
		[VOLUME_ABSENT] = "absent",
		[VOLUME_GREETING] = "greeting",
		[VOLUME_WAITING] = "waiting",
		[VOLUME_IN_SYNC] = "in-sync",
		[VOLUME_SOURCE_ASKED] = "source-asked",
		[VOLUME_SOURCE] = "source",
		[VOLUME_TARGET_STARTING] = "target-starting",
		[VOLUME_TARGET] = "target",
		[VOLUME_JOINING] = "joining",
		[VOLUME_SPLIT] = "split",
		[VOLUME_REFUSED] = "refused",
	};

	return relation < VOLUME_RELATIONS ? names[relation] : "?";
}

const char *volume_refusal_name(enum volume_refusal refusal)
{
	static const char *const names[VOLUME_REFUSALS] = {
		[VOLUME_OK] = "ok",
		[VOLUME_REFUSED_NO_DISK] = "no-disk",
		[VOLUME_REFUSED_STALE] = "stale",
		[VOLUME_REFUSED_SYNCING] = "syncing",
		[VOLUME_REFUSED_PEER_PRIMARY] = "peer-primary",
		[VOLUME_REFUSED_UNREACHABLE] = "unreachable",
		[VOLUME_REFUSED_BUSY] = "busy",
		[VOLUME_REFUSED_NOT_PRIMARY] = "not-primary",
		[VOLUME_REFUSED_NO_SPLIT] = "no-split",
		[VOLUME_REFUSED_OTHER_SPLIT] = "other-split",
		[VOLUME_REFUSED_IS_PRIMARY] = "is-primary",
		[VOLUME_REFUSED_META] = "metadata-write",
		[VOLUME_REFUSED_MEMBER] = "in-sync-member",
	};

	return refusal < VOLUME_REFUSALS ? names[refusal] : "?";
}

const char *volume_plan_name(enum volume_plan plan)
{
	static const char *const names[VOLUME_PLANS] = {
		[VOLUME_PLAN_IN_SYNC] = "in-sync",
		[VOLUME_PLAN_I_AM_SOURCE] = "source",
		[VOLUME_PLAN_PEER_IS_SOURCE] = "target",
		[VOLUME_PLAN_WAIT_INCOMPLETE] = "wait-incomplete",
		[VOLUME_PLAN_WAIT_PRIMARY] = "wait-primary",
		[VOLUME_PLAN_WAIT_DISK] = "wait-disk",
		[VOLUME_PLAN_SPLIT] = "split",
		[VOLUME_PLAN_REFUSE_UNRELATED] = "unrelated",
		[VOLUME_PLAN_REFUSE_TWO_PRIMARIES] = "two-primaries",
		[VOLUME_PLAN_REFUSE_STALE_PRIMARY] = "stale-primary",
		[VOLUME_PLAN_REFUSE_SIZE] = "size",
	};

	return plan < VOLUME_PLANS ? names[plan] : "?";
}

enum volume_plan volume_plan_mirror(enum volume_plan plan)
{
	if (plan == VOLUME_PLAN_I_AM_SOURCE)
		return VOLUME_PLAN_PEER_IS_SOURCE;
	if (plan == VOLUME_PLAN_PEER_IS_SOURCE)
		return VOLUME_PLAN_I_AM_SOURCE;
	return plan;
}

static bool has(const struct side *side, u32 flag)
{
	return side->facts->flags & flag;
}

/*
 * Holds every acknowledged write of the newest generation that it knows [G4], and no third replica is changing its
 * content just now.
 */
static bool complete(const struct side *side, const struct side *other)
{
	u8 source = side->facts->sync_source;

	return has(side, WIRE_GREET_DISK) && (!has(side, WIRE_GREET_SYNCING) || MUTANT(half_synced_complete)) && side->tail &&
	       (side->tail->members & NODE_BIT(side->node)) &&
	       (source == NODE_NONE || source == other->node || MUTANT(changing_copy_complete));
}

/*
 * Of two complete replicas of the same history: whose copy counts where their logs differ? Any would do [G6], but among
 * three or more it has to be the same one in the end: a replica that was resynced speaks with its source's authority.
 */
static const struct side *winner(const struct side *a, const struct side *b)
{
	if (has(a, WIRE_GREET_PRIMARY) != has(b, WIRE_GREET_PRIMARY))
		return has(a, WIRE_GREET_PRIMARY) ? a : b;
	if (a->tail->number != b->tail->number)
		return a->tail->number > b->tail->number ? a : b;
	if (a->facts->authority != b->facts->authority && !MUTANT(authority_ignored))
		return a->facts->authority < b->facts->authority ? a : b;
	return a->node < b->node ? a : b;
}

/* The only one that may be the source, or NULL when nobody is able. */
static const struct side *source_when_same(const struct side *me, const struct side *peer)
{
	if (complete(me, peer) && complete(peer, me))
		return winner(me, peer);
	if (complete(me, peer))
		return me;
	return complete(peer, me) ? peer : NULL;
}

/*
 * Ahead by records that it does not hold, and its administrator ended the split that they are of. Whom it has them from may have given
 * them up before it, and the others have written nothing since: the chains show no split any more (seed 9400000031327, 5 nodes).
 */
static bool leftover_yields(const struct side *ahead, const struct side *behind)
{
	return has(ahead, WIRE_GREET_YIELD) && !has(behind, WIRE_GREET_YIELD) && !MUTANT(leftover_never_yields);
}

/*
 * The one that is ahead, unless it is ahead only by the mark of a record that the other has as well: whoever is a complete
 * member after that record holds all that was acknowledged under it. So a half-synced one gives way, and so does everybody
 * to a primary, whose own mark may still be on its way to its disk.
 */
static const struct side *source_when_ahead(const struct side *ahead, const struct side *behind)
{
	const struct generation *newest = lineage_stripped_tail(&ahead->facts->chain);

	if (!complete(behind, ahead))
		return ahead;
	if (!complete(ahead, behind) && leftover_yields(ahead, behind)) {
		MARK(leftover_yields);
		return behind;
	}
	if ((!complete(ahead, behind) || has(behind, WIRE_GREET_PRIMARY)) &&
	    lineage_find(&behind->facts->chain, newest->id) && !MUTANT(ahead_is_source)) {
		MARK(ahead_but_half_synced);
		return behind;
	}
	return ahead;
}

/* A primary that is neither source nor target has to be the source: only it can send the writes that go on. */
static bool primary_elsewhere(const struct side *source, const struct side *target)
{
	if (has(source, WIRE_GREET_PRIMARY))
		return false;
	return source->facts->primary != NODE_NONE ||
	       (target->facts->primary != NODE_NONE && target->facts->primary != source->node);
}

static enum volume_plan resync(const struct side *me, const struct side *peer, const struct side *source)
{
	const struct side *target = source == me ? peer : me;

	if (!source || !complete(source, target)) {
		MARK(nobody_complete);
		return VOLUME_PLAN_WAIT_INCOMPLETE;
	}
	if (has(target, WIRE_GREET_PRIMARY) && !MUTANT(primary_is_target)) {
		MARK(primary_is_stale);
		return VOLUME_PLAN_REFUSE_STALE_PRIMARY;
	}
	if (primary_elsewhere(source, target) && !MUTANT(source_beside_primary)) {
		MARK(primary_has_to_be_source);
		return VOLUME_PLAN_WAIT_PRIMARY;
	}
	return source == me ? VOLUME_PLAN_I_AM_SOURCE : VOLUME_PLAN_PEER_IS_SOURCE;
}

/*
 * [D2] Each end says of itself that it is in sync with the same primary, under the same record: that is the proof that they
 * equal one another, whatever bits they still keep from before.
 */
static bool equal_by_primary(const struct side *me, const struct side *peer)
{
	return has(me, WIRE_GREET_WITH_PRIMARY) && has(peer, WIRE_GREET_WITH_PRIMARY) &&
	       me->facts->primary == peer->facts->primary && !MUTANT(with_primary_ignored);
}

static bool same_record(const struct side *me, const struct side *peer)
{
	return complete(me, peer) && complete(peer, me) && me->tail->id == peer->tail->id;
}

static bool nothing_differs(const struct side *me, const struct side *peer)
{
	if (!same_record(me, peer))
		return false;
	return (!has(me, WIRE_GREET_DIRTY) && !has(peer, WIRE_GREET_DIRTY)) ||
	       MUTANT(left_over_bits_cleared);
}

static enum volume_plan plan_split(const struct side *me, const struct side *peer)
{
	bool mine = has(me, WIRE_GREET_YIELD), theirs = has(peer, WIRE_GREET_YIELD);

	if (mine == theirs)
		return MUTANT(split_picks_direction) ? resync(me, peer, winner(me, peer)) : VOLUME_PLAN_SPLIT;
	MARK(split_resolved);
	return resync(me, peer, mine ? peer : me);
}

enum volume_plan volume_plan(const struct wire_greet *mine, u8 my_node, const struct wire_greet *peer_facts,
			     u8 peer_node, enum lineage_verdict *verdict)
{
	const struct side me = { mine, lineage_tail(&mine->chain), my_node };
	const struct side peer = { peer_facts, lineage_tail(&peer_facts->chain), peer_node };

	*verdict = lineage_compare(&mine->chain, &peer_facts->chain, NULL);
	/* With smaller blocks the writer could send what the other's disk cannot take. */
	if (mine->volume_bytes != peer_facts->volume_bytes || mine->block_shift != peer_facts->block_shift)
		return VOLUME_PLAN_REFUSE_SIZE;
	if (has(&me, WIRE_GREET_IN_SYNC) && has(&peer, WIRE_GREET_IN_SYNC))
		return has(&me, WIRE_GREET_PRIMARY) && has(&peer, WIRE_GREET_PRIMARY) ?
		       VOLUME_PLAN_REFUSE_TWO_PRIMARIES : VOLUME_PLAN_IN_SYNC;
	if (*verdict == LINEAGE_UNRELATED)
		return VOLUME_PLAN_REFUSE_UNRELATED;
	if (!has(&me, WIRE_GREET_DISK) || !has(&peer, WIRE_GREET_DISK))
		return VOLUME_PLAN_WAIT_DISK;
	if (*verdict == LINEAGE_SPLIT)
		return plan_split(&me, &peer);
	if (has(&me, WIRE_GREET_PRIMARY) && has(&peer, WIRE_GREET_PRIMARY))
		return VOLUME_PLAN_REFUSE_TWO_PRIMARIES;
	/* Whatever the verdict: one may not have its written mark of that record yet. */
	if (same_record(&me, &peer) && equal_by_primary(&me, &peer))
		return VOLUME_PLAN_IN_SYNC;
	if (*verdict == LINEAGE_I_AM_AHEAD)
		return resync(&me, &peer, source_when_ahead(&me, &peer));
	if (*verdict == LINEAGE_PEER_IS_AHEAD)
		return resync(&me, &peer, MUTANT(verdict_one_sided) ? &peer : source_when_ahead(&peer, &me));
	if (nothing_differs(&me, &peer))
		return VOLUME_PLAN_IN_SYNC;
	return resync(&me, &peer, source_when_same(&me, &peer));
}
