// SPDX-License-Identifier: GPL-2.0
/*
 * The slots of a volume: which peer has which, and who is known as a replica.
 *
 * Why it exists: a slot needs memory, for the dirty map of its peer and for the peer's newest greeting. Volumes have few peers,
 * so only slots that are used have it [D3], and a step allocates nothing: before a step the caller asks volume_slot_lacking()
 * and gives what it names.
 *
 * That this is enough. Slots are taken by volume_need_slot() alone. Its callers, the nodes that they take a slot for, and
 * the events in whose step they run:
 *
 *   peer_up()     event->node                                  PEER_UP
 *   on_greet()    the sender, which has one; its `replicas`    FRAME GREET
 *   on_record()   members of the record                        FRAME RECORD
 *   on_accept()   members of the chain's last record           FRAME SYNC_ACCEPT
 *   on_ranges()   the node whose map it is                     FRAME RANGES
 *
 * What settle() does after any event works on peers that have a slot. event_nodes() returns just these nodes, or more. Let W of them
 * have no slot, and F slots be free when the step begins. min(W, F) of the free ones have memory then, and no step gives a slot
 * back and takes one. A slot is taken for a node that has none, so if W <= F at most W are, and nobody finds all used up and
 * takes over another's; if W > F all of F have memory. Either way each search ends as if every slot had memory. Should that ever be
 * wrong, a replica is not taken notice of as if there were too many of them, no memory is touched that is not there, and
 * slots_short says so: tests and glue look at it.
 */
#include "probe.h"
#include "codec.h"
#include "volume_internal.h"

/* ---- peers ---- */

struct volume_peer *volume_peer(struct volume *volume, u8 node)
{
	struct volume_peer *peer;

	for (peer = volume->peer; peer < volume->peer + REPLICAS_MAX; peer++)
		if (peer->node == node && node != NODE_NONE)
			return peer;
	return NULL;
}

const struct volume_peer *volume_peer_const(const struct volume *volume, u8 node)
{
	return volume_peer((struct volume *)volume, node);
}

void volume_peer_reset(struct volume_peer *peer)
{
	peer->relation = VOLUME_OFF;
	peer->up = false;
	peer->greeted = false;
	peer->confirmed = false;
	peer->granted = false;
	peer->greet_wanted = false;
	peer->knows_blank = false;
	peer->my_number = 0;
	peer->judged_number = 0;
	peer->sent_serial = 0;
	peer->sent_flags = 0;
	peer->start_token = 0;
}

static void slot_take(struct volume_peer *peer, u8 node)
{
	volume_peer_reset(peer);
	peer->node = node;
	peer->acks_pending = 0;
	peer->acks_missed = 0;
}

bool volume_slot_durable(const struct volume *volume, const struct volume_peer *peer)
{
	return volume->super.slot_node[peer - volume->peer] == peer->node;
}

/* A slot that nobody uses: one that has memory, or one that has none. */
static struct volume_peer *free_slot(struct volume *volume, bool memory)
{
	struct volume_peer *peer;

	for (peer = volume->peer; peer < volume->peer + REPLICAS_MAX; peer++)
		if (peer->node == NODE_NONE && !peer->map.entries != memory)
			return peer;
	return NULL;
}

/*
 * The peer of @node; takes a free slot, or one that only announces the volume to a node without a replica. With @durable
 * the slot's dirty map counts from now on (clean; the caller marks). NULL when REPLICAS_MAX replicas are known.
 */
struct volume_peer *volume_need_slot(struct volume *volume, u8 node, bool durable)
{
	struct volume_peer *peer = volume_peer(volume, node), *at;

	if (node >= NODES_MAX || node == volume->node)
		return NULL;
	if (durable && !(volume->super.replicas & NODE_BIT(node)) &&
	    codec_count_bits(volume->super.replicas) >= REPLICAS_MAX)
		return NULL;	/* there is one slot more than other replicas may be */
	if (!peer) {
		peer = free_slot(volume, true);
		if (peer)
			slot_take(peer, node);
		else if (free_slot(volume, false))
			volume->slots_short++;
	}
	for (at = volume->peer; !peer && durable && at < volume->peer + REPLICAS_MAX; at++)
		if (!volume_slot_durable(volume, at) && at->relation <= VOLUME_ABSENT) {
			MARK(slot_taken_over);
			slot_take(at, node);
			peer = at;
		}
	if (peer && durable && !volume_slot_durable(volume, peer)) {
		volume->super.slot_node[peer - volume->peer] = node;
		volume->super.slot_replica[peer - volume->peer] = 0;
		volume->super.replicas |= NODE_BIT(node);
		dirty_clear_all(&peer->map);
	}
	return peer;
}

/* Replicas heard of for the first time: whoever is not in the in-sync set lacks everything, as far as is known here. */
void volume_learn_replicas(struct volume *volume, u32 nodes)
{
	u8 node;

	for (node = 0; node < NODES_MAX; node++) {
		struct volume_peer *peer;

		if (!(nodes & ~volume->super.replicas & NODE_BIT(node)) || node == volume->node)
			continue;
		peer = volume_need_slot(volume, node, true);
		if (peer && !volume_is_member(volume, node) && !MUTANT(new_replica_clean))
			dirty_mark_all(&peer->map);
		volume_facts_changed(volume);
	}
}

/* ---- memory ---- */

void volume_slot_give(struct volume *volume, u32 slot, struct dirty_pool *pool, struct dirty_entry *entries,
		      struct wire_greet *facts)
{
	struct volume_peer *peer = &volume->peer[slot];

	memset(facts, 0, sizeof(*facts));
	peer->facts = facts;
	dirty_init(&peer->map, pool, entries, volume->super.volume_bytes, volume->super.granule_bytes);
}

static u32 tail_members(const struct chain *chain)
{
	const struct generation *tail = lineage_tail(chain);

	return tail ? tail->members : 0;
}

/* Nodes that may get a slot in the step of @event: see the head of this file. */
static u32 event_nodes(const struct volume_event *event)
{
	const union wire_body *body = event->body;
	u32 sender = event->node < NODES_MAX ? NODE_BIT(event->node) : 0;

	if (event->type == VOLUME_EVENT_PEER_UP)
		return MUTANT(no_slot_for_session) ? 0 : sender;
	if (event->type != VOLUME_EVENT_FRAME)
		return 0;
	switch (event->frame_type) {
	case WIRE_GREET:
		return MUTANT(no_slot_for_replicas) ? sender : sender | body->greet.replicas;
	case WIRE_RECORD:
		return MUTANT(no_slot_for_member) ? 0 : body->record.record.members;
	case WIRE_SYNC_ACCEPT:
		return MUTANT(no_slot_for_chain) ? 0 : tail_members(&body->accept.chain);
	case WIRE_RANGES:
		return body->ranges.node < NODES_MAX && !MUTANT(no_slot_for_map) ? NODE_BIT(body->ranges.node) : 0;
	default:
		return 0;
	}
}

u32 volume_slot_lacking(const struct volume *volume, const struct volume_event *event)
{
	u32 nodes = event ? event_nodes(event) & ~NODE_BIT(volume->node) : 0;
	u32 slot, nr_ready = 0, first = REPLICAS_MAX;

	for (slot = REPLICAS_MAX; slot-- > 0;) {
		const struct volume_peer *peer = &volume->peer[slot];

		if (peer->node != NODE_NONE) {
			if (!peer->map.entries)
				return slot;	/* named by the superblock */
			nodes &= ~NODE_BIT(peer->node);
		} else if (peer->map.entries) {
			nr_ready++;
		} else {
			first = slot;
		}
	}
	return nr_ready < codec_count_bits(nodes) ? first : REPLICAS_MAX;
}
