// SPDX-License-Identifier: GPL-2.0
/*
 * A world as bytes, and back. One visitor does both, so they cannot differ. Two worlds that nothing can tell apart have the
 * same bytes:
 *
 * - generation ids are random: renamed by order of first appearance; a split id by the two ids that it mixes;
 * - tokens, write ids, serials and numbers of greetings are only compared for equality: they become distances from the
 *   newest, and what nothing refers to any more becomes WORLD_STALE;
 * - facts_serial becomes "does the greeting sent last still say what is so";
 * - facts of a peer that has not greeted, and whatever else the core does not read before it writes it, are left out;
 * - slots of the activity log, pages of the dirty maps: what they say, not where they are.
 */
#include <stdio.h>
#include <stdlib.h>

#include "world.h"

struct codec {
	struct world *world;
	u8 *at;
	bool load;
	u8 rank[WORLD_IDS_MAX + 1];	/* saving: id -> rank, 0 none yet */
	u8 id[WORLD_IDS_MAX + 1];	/* saving: rank -> id */
	u32 nr_ids;
	struct {
		struct ondisk_super *super;
		u64 *pair;
	} split[3 * WORLD_NODES_MAX];	/* their ids come when all chains have named theirs */
	u32 nr_splits;
};

static void byte(struct codec *c, u8 *value)
{
	if (c->load)
		*value = *c->at;
	else
		*c->at = *value;
	c->at++;
}

/* A field of any integer type whose values fit a byte. */
#define FIELD(codec, field)						\
	do {								\
		u8 field_value_ = (u8)(field);				\
									\
		byte(codec, &field_value_);				\
		if ((codec)->load)					\
			(field) = (__typeof__(field))field_value_;	\
	} while (0)

/* The same of two bytes, for flags of greetings. */
#define FIELD16(codec, field)						\
	do {								\
		u8 low_ = (u8)(field), high_ = (u8)((field) >> 8);	\
									\
		byte(codec, &low_);					\
		byte(codec, &high_);					\
		if ((codec)->load)					\
			(field) = low_ | (u32)high_ << 8;		\
	} while (0)

static void generation_id(struct codec *c, u64 *id)
{
	u8 rank = 0;

	if (!c->load && *id) {
		if (!c->rank[*id]) {
			c->rank[*id] = (u8)++c->nr_ids;
			c->id[c->nr_ids] = (u8)*id;
		}
		rank = c->rank[*id];
	}
	byte(c, &rank);
	if (c->load)
		*id = rank;
}

/* @newest counts up; it is what the others are distances from. 1 is special: "the first of a session". */
enum { NEWEST = 100 };

static void newest_number(struct codec *c, u32 *newest)
{
	u8 value = *newest > 2 ? 2 : (u8)*newest;

	byte(c, &value);
	if (c->load)
		*newest = value > 1 ? NEWEST : value;
}

static void number(struct codec *c, u32 *value, u32 newest)
{
	u8 out = (u8)*value;

	if (*value > 1)
		out = *value > newest || newest - *value > 90 ? WORLD_STALE : (u8)(2 + newest - *value);
	byte(c, &out);
	if (c->load)
		*value = out == WORLD_STALE ? 9999 : out > 1 ? newest - (out - 2u) : out;
}

static void generation(struct codec *c, struct generation *record)
{
	generation_id(c, &record->id);
	generation_id(c, &record->parent_id);
	FIELD(c, record->number);
	FIELD(c, record->members);
	FIELD(c, record->writer);
	FIELD(c, record->written);
}

/* Never trimmed here: number and parent follow from the place. */
static void records(struct codec *c, u32 *count, struct generation *record)
{
	u32 i;

	FIELD(c, *count);
	for (i = 0; i < *count; i++) {
		generation_id(c, &record[i].id);
		FIELD(c, record[i].members);
		FIELD(c, record[i].writer);
		FIELD(c, record[i].written);
		record[i].number = i + 1;
		record[i].parent_id = i ? record[i - 1].id : 0;
	}
}

static u64 split_id_of(const u64 pair[2])
{
	static struct chain low, high;

	low.count = pair[0] != 0;
	high.count = pair[1] != 0;
	low.record[0].id = pair[0];
	low.record[0].number = 1;
	high.record[0].id = pair[1];
	high.record[0].number = 2;
	return lineage_split_id(&low, &high);
}

/* Which replicas this one has met: disks are never replaced here. */
static void met(struct codec *c, struct ondisk_super *s)
{
	u16 mask = 0;
	u8 slot, half;

	for (slot = 0; !c->load && slot < REPLICAS_MAX; slot++)
		mask |= (u16)((s->slot_replica[slot] != 0) << slot);
	for (half = 0; half < 2; half++) {
		u8 out = (u8)(mask >> 8 * half);

		byte(c, &out);
		mask = (u16)((mask & ~(0xff << 8 * half)) | out << 8 * half);
	}
	for (slot = 0; c->load && slot < REPLICAS_MAX; slot++)
		s->slot_replica[slot] = mask >> slot & 1 ? world_replica_id(s->slot_node[slot]) : 0;
}

/* A split id does not tell which of its two generations is which: the one that was named first comes first. */
static void order_pair(const struct codec *c, u64 pair[2])
{
	u32 first = c->rank[pair[0]] ? c->rank[pair[0]] : UINT8_MAX, second = c->rank[pair[1]] ? c->rank[pair[1]] : UINT8_MAX;
	u64 swap = pair[0];

	if (c->load || first <= second)
		return;
	pair[0] = pair[1];
	pair[1] = swap;
}

static void super(struct codec *c, struct ondisk_super *s, u64 pair[2])
{
	FIELD(c, s->flags);
	FIELD(c, s->replicas);
	FIELD(c, s->reconcile);
	FIELD(c, s->replaced);
	met(c, s);
	records(c, &s->chain.count, s->chain.record);
	if (!(s->flags & ONDISK_SPLIT))
		return;
	FIELD(c, s->split_peer);
	FIELD(c, s->split_ancestor_number);
	c->split[c->nr_splits].super = s;
	c->split[c->nr_splits++].pair = pair;
}

static void split_ids(struct codec *c)
{
	u32 i;

	for (i = 0; i < c->nr_splits; i++) {
		struct ondisk_super *s = c->split[i].super;
		u64 *pair = c->split[i].pair;

		order_pair(c, pair);
		generation_id(c, &pair[0]);
		generation_id(c, &pair[1]);
		generation_id(c, &s->split_ancestor_id);
		if (c->load)
			s->split_id = split_id_of(pair);
	}
}

static void map(struct codec *c, struct node *n, u8 slot)
{
	struct dirty_map *m = &n->volume.peer[slot].map;
	u8 mask = c->load ? 0 : world_map_mask(c->world, m);
	u32 block;

	byte(c, &mask);
	if (!c->load)
		return;
	volume_slot_give(&n->volume, slot, &n->pool, n->entries[slot], &n->facts[slot]);
	for (block = 0; block < c->world->nr_blocks; block++)
		if (mask >> block & 1)
			dirty_mark(m, world_offset(c->world, block), world_block_bytes(c->world));
}

static void log_empty(struct actlog *log)
{
	u32 i;

	for (i = 0; i < log->nr_slots; i++)
		log->slots[i].in_flight = 0;
	actlog_clear(log);
	log->lru_first = log->lru_last = ACTLOG_NO_SLOT;
	log->nr_adding = log->nr_used = log->nr_busy = 0;
	log->part_adding[0] = 0;
	log->part_changed = log->part_committing = 0;
}

static void log_slot(struct codec *c, struct actlog *log, u32 region)
{
	struct actlog_slot *found = NULL;
	u8 state = ACTLOG_FREE, in_flight = 0, epoch = 0;
	u32 i;

	for (i = 0; !c->load && i < log->nr_slots; i++)
		if (log->slots[i].state != ACTLOG_FREE && log->slots[i].region == region)
			found = &log->slots[i];
	if (found) {
		state = found->state;
		in_flight = (u8)found->in_flight;
		epoch = (u8)found->epoch;
	}
	byte(c, &state);
	byte(c, &in_flight);
	byte(c, &epoch);
	if (!c->load || state == ACTLOG_FREE)
		return;
	actlog_get(log, region, epoch);
	for (i = 0; log->slots[i].state == ACTLOG_FREE || log->slots[i].region != region; i++)
		;
	found = &log->slots[i];
	if (state == ACTLOG_ACTIVE) {
		found->state = ACTLOG_ACTIVE;
		log->nr_adding--;
		log->part_adding[0]--;
	}
	if (!in_flight)
		actlog_put(log, region, false);
	else
		found->in_flight = in_flight;
}

static void activity_log(struct codec *c, struct actlog *log)
{
	bool limited = log->busy_limit != 0;
	u32 region;

	if (c->load)
		log_empty(log);
	for (region = 0; region < log->nr_regions; region++)
		log_slot(c, log, region);
	FIELD(c, log->epoch);
	FIELD(c, log->stable_epoch);
	FIELD(c, log->forced);
	FIELD(c, limited);
	if (c->load)
		log->busy_limit = limited ? ACTLOG_PART_REGIONS : 0;
	if (c->load)
		log->part_changed = log->nr_adding != 0;
}

/* Tokens: place in the queue of saves + 1. */
static void token(struct codec *c, struct node *n, u32 *value)
{
	u8 out = *value ? WORLD_STALE : 0;
	u32 i;

	for (i = 0; !c->load && i < n->nr_saves; i++)
		if (n->saves[i].token == *value)
			out = (u8)(i + 1);
	byte(c, &out);
	if (c->load)
		*value = out == WORLD_STALE ? 9999 : out;
}

static void saves(struct codec *c, struct node *n)
{
	u32 i;

	FIELD(c, n->nr_saves);
	FIELD(c, n->saving);
	for (i = 0; i < n->nr_saves; i++) {
		FIELD(c, n->saves[i].maps_first);
		if (c->load)
			n->saves[i].token = i + 1;
	}
	if (c->load)
		n->volume.next_token = n->nr_saves;
	if (!n->saving)
		return;
	super(c, &n->pending.super, n->pending.split_pair);
	FIELD(c, n->pending_maps_first);
	for (i = 0; n->pending_maps_first && i < c->world->nr_nodes; i++)
		FIELD(c, n->pending_map[i]);
}

static void facts(struct codec *c, struct volume_peer *peer, u32 newest)
{
	struct wire_greet *f = peer->facts;

	if (!peer->greeted) {
		if (c->load) {
			f->number = f->flags = f->chain.count = 0;
			peer->verdict = LINEAGE_SAME;
			peer->plan = VOLUME_PLAN_IN_SYNC;
		}
		return;
	}
	number(c, &f->number, newest);
	FIELD16(c, f->flags);
	FIELD(c, f->replicas);
	FIELD(c, f->primary);
	FIELD(c, f->sync_source);
	FIELD(c, f->authority);
	records(c, &f->chain.count, f->chain.record);
	f->chain.trimmed = false;
	f->replica_id = world_replica_id(peer->node);
	f->actlog_parts = 1;
	f->volume_bytes = c->world->node[0].disk.super.volume_bytes;
	FIELD(c, peer->verdict);
	FIELD(c, peer->plan);
}

static void relation(struct codec *c, u8 node, u8 slot)
{
	struct node *n = &c->world->node[node];
	struct volume_peer *peer = &n->volume.peer[slot];
	bool current = peer->sent_serial == n->volume.facts_serial;

	FIELD(c, peer->relation);
	FIELD(c, peer->up);
	FIELD(c, peer->greeted);
	FIELD(c, peer->confirmed);
	FIELD(c, peer->granted);
	FIELD(c, peer->greet_wanted);
	FIELD(c, peer->knows_blank);
	FIELD(c, current);
	if (c->load)
		peer->sent_serial = n->volume.facts_serial - !current;
	FIELD16(c, peer->sent_flags);
	FIELD(c, peer->acks_pending);
	FIELD(c, peer->acks_missed);
	FIELD(c, peer->start_pending);
	FIELD(c, peer->start_unsaved);
	token(c, n, &peer->start_token);
	map(c, n, slot);
}

static void proposals(struct codec *c, struct node *n)
{
	struct volume *v = &n->volume;

	FIELD(c, v->proposal.active);
	newest_number(c, &v->proposal.serial);
	if (v->proposal.active) {
		FIELD(c, v->proposal.saved);
		FIELD(c, v->proposal.kept);
		FIELD(c, v->proposal.held);
		FIELD(c, v->proposal.joiner_next);
		FIELD(c, v->proposal.member_left);
		FIELD(c, v->proposal.replaced);
		generation_id(c, &v->proposal.id);
		FIELD(c, v->proposal.waiting);
		token(c, n, &v->proposal.token);
	}
	FIELD(c, v->proposal.adding);
	token(c, n, &v->accepting.token);
	if (v->accepting.token) {
		FIELD(c, v->accepting.from);
		FIELD(c, v->accepting.joined);
	}
	token(c, n, &v->adopting.token);
	if (v->adopting.token)
		FIELD(c, v->adopting.from);
	token(c, n, &v->unyielding.token);
	if (v->unyielding.token) {
		FIELD(c, v->unyielding.to);
		if (v->unyielding.to != NODE_NONE)
			FIELD(c, v->unyielding.serial);
	}
	FIELD(c, v->command.active);
	newest_number(c, &v->command.serial);
	if (!v->command.active)
		return;
	FIELD(c, v->command.type);
	FIELD(c, v->command.force);
	FIELD(c, v->command.waiting);
	FIELD(c, v->command.peer_down);
	token(c, n, &v->command.token);
}

static void volume(struct codec *c, u8 node)
{
	struct node *n = &c->world->node[node];
	struct volume *v = &n->volume;
	const struct generation *tail;
	u8 slot;

	if (c->load) {
		v->facts_serial = 10;
		dirty_pool_init(&n->pool, n->pages, n->next_free, WORLD_PAGES);
	}
	super(c, &v->super, n->split_pair);
	FIELD(c, v->role);
	FIELD(c, v->disk);
	FIELD(c, v->online);
	FIELD(c, v->fresh);
	FIELD(c, v->unchanged);
	FIELD(c, v->resetting);
	FIELD(c, v->stream_lost);
	FIELD(c, v->primary);
	FIELD(c, v->sync_source);
	FIELD(c, v->authority);
	tail = lineage_tail(&v->super.chain);
	if (!c->load && (!tail || v->mark_asked_id != tail->id))
		v->mark_asked_id = 0;
	generation_id(c, &v->mark_asked_id);
	FIELD(c, v->streaming);
	FIELD(c, v->in_flight);
	FIELD(c, v->io_waits);
	FIELD(c, v->record_fits);
	FIELD(c, v->lacking);
	activity_log(c, &v->log);
	saves(c, n);
	proposals(c, n);
	for (slot = 0; slot < c->world->nr_nodes; slot++)
		if (slot != node) {
			relation(c, node, slot);
			newest_number(c, &v->peer[slot].my_number);
		}
}

/* What counts up elsewhere: after every volume's own counters are known. */
static void volume_references(struct codec *c, u8 node)
{
	struct node *n = &c->world->node[node];
	u8 slot;

	for (slot = 0; slot < c->world->nr_nodes; slot++) {
		struct volume_peer *peer = &n->volume.peer[slot];
		const struct node *other = &c->world->node[slot];
		u32 newest = other->up ? other->volume.peer[node].my_number : 0;

		if (slot == node)
			continue;
		number(c, &peer->judged_number, newest);
		facts(c, peer, newest);
		if (n->volume.accepting.token && n->volume.accepting.from == slot)
			number(c, &n->volume.accepting.serial, other->up ? other->volume.proposal.serial : 0);
	}
}

static void write(struct codec *c, struct node *n, u8 slot)
{
	struct world_write *w = &n->writes[slot];
	u32 i;

	FIELD(c, w->state);
	if (c->load)
		w->id = slot + 1u;
	if (w->state <= WRITE_GATED)
		return;
	FIELD(c, w->stamp);
	FIELD(c, w->epoch);
	generation_id(c, &w->generation_id);
	FIELD(c, w->ack.pending);
	FIELD(c, w->ack.missed);
	for (i = 0; slot == WORLD_FLUSH && i < c->world->nr_blocks; i++)
		FIELD(c, w->firm[i]);
}

/* The id of a write of @writer: its slot + 1 while it is in flight. */
static void write_id(struct codec *c, u8 writer, u8 slot, u32 *id)
{
	const struct world_write *w = &c->world->node[writer].writes[slot];
	u8 out = WORLD_STALE;

	if (!c->load && c->world->node[writer].up && w->state > WRITE_GATED && w->id == *id)
		out = slot + 1;
	byte(c, &out);
	if (c->load)
		*id = out;
}

static void applies(struct codec *c, struct node *n)
{
	u32 i;

	FIELD(c, n->nr_applies);
	for (i = 0; i < n->nr_applies; i++) {
		struct apply *a = &n->applies[i];

		FIELD(c, a->from);
		FIELD(c, a->orphan);
		FIELD(c, a->logged);
		FIELD(c, a->resync);
		FIELD(c, a->slot);
		FIELD(c, a->stamp);
		generation_id(c, &a->generation_id);
		if (a->resync || a->orphan)
			a->id = WORLD_STALE;
		else
			write_id(c, a->from, a->slot, &a->id);
	}
}

/* Of a machine that has no power. */
static void forget_memory(const struct world *world, struct node *n)
{
	n->nr_saves = n->saving = n->nr_applies = n->nr_events = 0;
	n->reset_wanted = false;
	memset(n->session, SESSION_NONE, sizeof(n->session));
	memset(n->writes, 0, sizeof(n->writes));
	memset(n->resync, 0, sizeof(n->resync));
	memcpy(n->cache, n->platter, world->nr_blocks);
}

static void node(struct codec *c, u8 at)
{
	struct node *n = &c->world->node[at];
	u8 i;

	if (!n->up) {
		if (c->load)
			forget_memory(c->world, n);
		return;
	}
	FIELD(c, n->reset_wanted);
	if (n->reset_wanted)
		FIELD(c, n->reset_after);
	for (i = 0; i < c->world->nr_nodes; i++) {
		FIELD(c, n->session[i]);
		FIELD(c, n->resync[i].running);
		if (n->resync[i].running)
			FIELD(c, n->resync[i].locked);
		else
			n->resync[i].locked = 0;
	}
	for (i = 0; i < c->world->nr_blocks; i++)
		FIELD(c, n->cache[i]);
	volume(c, at);
	for (i = 0; i < WORLD_WRITES; i++)
		if (i == WORLD_FLUSH || i < c->world->nr_blocks)
			write(c, n, i);
}

static void durable(struct codec *c, struct node *n)
{
	const struct generation *record;
	u8 i;

	super(c, &n->disk.super, n->disk.split_pair);
	for (i = 0; i < c->world->nr_nodes; i++)
		FIELD(c, n->disk_map[i]);
	FIELD(c, n->disk_log);
	for (i = 0; i < c->world->nr_blocks; i++)
		FIELD(c, n->platter[i]);
	record = lineage_find(&n->disk.super.chain, n->disk_written_id);
	if (!c->load && !n->up && (!record || record->written))
		n->disk_written_id = 0;		/* says nothing that the superblock does not */
	generation_id(c, &n->disk_written_id);
	if (c->load)
		n->volume.marked_id = n->disk_written_id;
}

static void frame(struct codec *c, u8 from, u8 to, struct message *m)
{
	const struct volume *sender = &c->world->node[from].volume, *receiver = &c->world->node[to].volume;

	switch (m->frame_type) {
	case WIRE_GREET:
		number(c, &m->id, sender->peer[to].my_number);
		FIELD16(c, m->flags);
		records(c, &m->chain.count, m->chain.record);
		break;
	case WIRE_VERDICT:
		number(c, &m->id, sender->peer[to].my_number);
		number(c, &m->your_number, receiver->peer[from].my_number);
		break;
	case WIRE_RECORD:
		number(c, &m->id, sender->proposal.serial);
		generation(c, &m->record);
		break;
	case WIRE_RECORD_ACK:
		number(c, &m->id, receiver->proposal.serial);
		break;
	case WIRE_PROMOTE_ASK:
		number(c, &m->id, sender->command.serial);
		break;
	case WIRE_PROMOTE_ANSWER:
		number(c, &m->id, receiver->command.serial);
		break;
	case WIRE_SYNC_ACCEPT:
		records(c, &m->chain.count, m->chain.record);
		break;
	default:
		generation_id(c, &m->generation_id);
		break;
	}
}

static void message(struct codec *c, u8 from, u8 to, struct message *m)
{
	u32 i;

	FIELD(c, m->kind);
	FIELD(c, m->slot);
	if (m->kind == MESSAGE_FRAME) {
		FIELD(c, m->frame_type);
		for (i = 0; i < 4; i++)
			FIELD(c, m->bits[i]);
		frame(c, from, to, m);
		return;
	}
	FIELD(c, m->stamp);
	FIELD(c, m->epoch);
	generation_id(c, &m->generation_id);
	if (m->kind == MESSAGE_WRITE)
		write_id(c, from, m->slot, &m->id);
	else if (m->kind == MESSAGE_ACK)
		write_id(c, to, m->slot, &m->id);
}

static void queue(struct codec *c, u8 from, u8 to, struct queue *q)
{
	u32 i;

	FIELD(c, q->nr);
	for (i = 0; i < q->nr; i++)
		message(c, from, to, &q->entry[i]);
}

static void between(struct codec *c)
{
	u8 a, b;

	for (a = 0; a < c->world->nr_nodes; a++)
		for (b = 0; b < c->world->nr_nodes; b++) {
			if (a < b)
				FIELD(c, c->world->cut[a][b]);
			c->world->cut[b][a] = c->world->cut[a][b];
			queue(c, a, b, &c->world->control[a][b]);
			queue(c, a, b, &c->world->data[a][b]);
		}
}

static void ghosts(struct codec *c)
{
	struct world *w = c->world;
	u32 i;

	for (i = 0; i < BUDGETS; i++)
		FIELD(c, w->left[i]);
	for (i = 0; i < w->nr_blocks; i++) {
		FIELD(c, w->acked[i]);
		FIELD(c, w->firm[i]);
	}
	FIELD(c, w->next_stamp);
	FIELD(c, w->touched);
	FIELD(c, w->peer_down_used);
	FIELD(c, w->mistaken);
	FIELD(c, c->nr_ids);
	for (i = 1; i <= c->nr_ids; i++)
		FIELD(c, w->real[c->load ? i : c->id[i]]);
	if (c->load) {
		memset(&w->real[c->nr_ids + 1], 0, WORLD_IDS_MAX - c->nr_ids);
		w->next_generation = c->nr_ids + 1;
		w->next_id = 100;
		w->violation[0] = 0;
	}
}

static u32 visit(struct world *world, u8 *bytes, bool load)
{
	static struct codec c;
	u8 i;

	c.world = world;
	c.at = bytes;
	c.load = load;
	c.nr_ids = 0;
	c.nr_splits = 0;
	memset(c.rank, 0, sizeof(c.rank));
	for (i = 0; i < world->nr_nodes; i++) {
		FIELD(&c, world->node[i].up);
		durable(&c, &world->node[i]);
		node(&c, i);
	}
	split_ids(&c);
	for (i = 0; i < world->nr_nodes; i++)
		if (world->node[i].up) {
			volume_references(&c, i);
			applies(&c, &world->node[i]);
		}
	between(&c);
	ghosts(&c);
	return (u32)(c.at - bytes);
}

/* @bytes: STATE_BYTES_MAX. Also forgets, in @world, what the bytes leave out and nothing reads. */
u32 state_save(struct world *world, u8 *bytes)
{
	return visit(world, bytes, false);
}

/* @world must have been initialised by world_init() with the same sizes. */
void state_load(struct world *world, const u8 *bytes, u32 length_bytes)
{
	if (visit(world, (u8 *)bytes, true) != length_bytes) {
		fprintf(stderr, "a state of %u bytes does not load\n", length_bytes);
		abort();
	}
}
