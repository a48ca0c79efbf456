// SPDX-License-Identifier: GPL-2.0
/*
 * One volume under test and what must hold of it from outside, whatever its peers send: [I12] nobody becomes primary by a frame
 * alone, [D1] no frame clears a dirty bit but the one that ends a resync, what is saved can be read again [M], what is sent is
 * legal [N4], acknowledgements are counted right [W4].
 */
#include "replica.h"

static struct actlog_slot slots[2][ACTLOG_PART_REGIONS];
static u32 heads[2][1024];
static struct dirty_page pages[2][REPLICA_PAGES];
static replica_send_fn send_frame;
static struct volume_actions actions;
static union wire_body body;
static u8 encoded[WIRE_FIXED_BYTES_MAX];

/* Of a step: what the checks after it compare with. */
static struct {
	u8 node[REPLICAS_MAX];
	bool durable[REPLICAS_MAX];
	u64 nr_set[REPLICAS_MAX];
	enum volume_role role;
	enum volume_disk disk;
	bool empty_chain, promoting, demoting, forced, member;
	u32 flags;
	u64 tail_id;
	u64 unkept_id;	/* proposed by a primary without a disk: nobody has it yet, as far as it knows; or 0 */
} before;

/* As the module does, before each step. */
static void give_slots(struct replica *replica, const struct volume_event *event)
{
	u32 slot;

	while ((slot = volume_slot_lacking(&replica->volume, event)) < REPLICAS_MAX)
		volume_slot_give(&replica->volume, slot, &replica->pool, &replica->entries[slot], &replica->facts[slot]);
}

static void load(struct replica *replica, const struct ondisk_super *super, u8 node)
{
	memset(&replica->volume, 0, sizeof(replica->volume));
	dirty_pool_init(&replica->pool, pages[node], replica->next_free, REPLICA_PAGES);
	actlog_init(&replica->volume.log, slots[node], heads[node], 1, super->volume_bytes);
	volume_init(&replica->volume, super, node, &replica->scratch);
	give_slots(replica, NULL);
}

void replica_init(struct replica *replica, u8 node, const struct ondisk_super *super, replica_send_fn send)
{
	memset(replica, 0, sizeof(*replica));
	send_frame = send;
	replica->saved = *super;
	load(replica, super, node);
	replica_simple(replica, VOLUME_EVENT_ONLINE, NODE_NONE);
}

static void check_peers(const struct replica *replica)
{
	const struct volume *volume = &replica->volume;
	u32 seen = 0, pending[REPLICAS_MAX] = { 0 }, missed[REPLICAS_MAX] = { 0 }, in_flight = 0, sources = 0, slot, i;

	for (slot = 0; slot < REPLICAS_MAX; slot++) {
		const struct volume_peer *peer = &volume->peer[slot];
		u8 durable = volume->super.slot_node[slot];
		bool stream = peer->relation == VOLUME_IN_SYNC || peer->relation == VOLUME_TARGET ||
			      peer->relation == VOLUME_JOINING;

		CHECK(durable == NODE_NONE || durable == peer->node);
		if (peer->node == NODE_NONE)
			continue;
		CHECK(peer->node < NODES_MAX && peer->node != volume->node && !(seen & NODE_BIT(peer->node)));
		seen |= NODE_BIT(peer->node);
		CHECK(peer->relation < VOLUME_RELATIONS && (peer->relation == VOLUME_OFF) == !peer->up);
		CHECK(peer->relation < VOLUME_WAITING || peer->greeted);
		CHECK(stream == !!(volume->streaming & NODE_BIT(peer->node)));
		CHECK(!stream || durable == peer->node);
		if (peer->relation == VOLUME_SOURCE || peer->relation == VOLUME_SOURCE_ASKED) {
			CHECK(volume->sync_source == peer->node);
			sources++;
		}
		for (i = 0; i < REPLICA_REQUESTS; i++)
			if (replica->request[i].active) {
				pending[slot] += replica->request[i].ack.pending >> peer->node & 1;
				missed[slot] += (replica->request[i].ack.pending & replica->request[i].ack.missed) >>
						peer->node & 1;
			}
		CHECK(peer->acks_pending == pending[slot] && peer->acks_missed == missed[slot]);
	}
	CHECK(!(volume->streaming & ~seen));
	CHECK(sources == (volume->sync_source != NODE_NONE));
	for (i = 0; i < REPLICA_REQUESTS; i++)
		in_flight += replica->request[i].active;
	CHECK(volume->in_flight == in_flight);
}

void replica_check(const struct replica *replica)
{
	const struct volume *volume = &replica->volume;

	check_peers(replica);
	CHECK(ondisk_super_valid(&volume->super));	/* lineage_valid() included */
	CHECK(volume->primary == NODE_NONE || volume->primary < NODES_MAX);
	CHECK(volume->authority < NODES_MAX);
	CHECK((volume->role == VOLUME_PRIMARY) <= (volume->primary == volume->node));
}

static void remember(const struct volume *volume)
{
	u32 slot;

	for (slot = 0; slot < REPLICAS_MAX; slot++) {
		before.node[slot] = volume->peer[slot].node;
		before.durable[slot] = volume->super.slot_node[slot] == volume->peer[slot].node;
		before.nr_set[slot] = volume->peer[slot].map.nr_set;
	}
	before.role = volume->role;
	before.disk = volume->disk;
	before.empty_chain = !volume->super.chain.count;
	before.promoting = volume->command.active && volume->command.type == VOLUME_EVENT_PROMOTE;
	before.demoting = volume->command.active && volume->command.type == VOLUME_EVENT_DEMOTE;
	before.forced = volume->command.force;
	before.flags = volume->super.flags;
	before.tail_id = before.empty_chain ? 0 : lineage_tail(&volume->super.chain)->id;
	before.member = !before.empty_chain && lineage_tail(&volume->super.chain)->members & NODE_BIT(volume->node);
	before.unkept_id = volume->proposal.active && volume->disk != VOLUME_DISK_OK ? volume->proposal.id : 0;
}

static bool is_in_sync(const struct volume *volume)
{
	u32 slot, nr = 0;

	for (slot = 0; slot < REPLICAS_MAX; slot++)
		nr += volume->peer[slot].node != NODE_NONE && volume->peer[slot].relation == VOLUME_IN_SYNC;
	return nr > 0;
}

/* What a step may change. */
static void compare(const struct replica *replica, const struct volume_event *event)
{
	const struct volume *volume = &replica->volume;
	bool frame = event->type == VOLUME_EVENT_FRAME;
	/* These may end a resync; and the next one, from another source, may begin in the same step. */
	bool proof = event->type == VOLUME_EVENT_SUPER_SAVED || (frame &&
		     (event->frame_type == WIRE_SYNC_DONE || event->frame_type == WIRE_VERDICT ||
		      event->frame_type == WIRE_RECORD_ACK));
	u32 slot;

	if (volume->role != before.role && volume->role == VOLUME_PRIMARY)
		CHECK(event->type == VOLUME_EVENT_PROMOTE ||
		      (frame && event->frame_type == WIRE_PROMOTE_ANSWER && before.promoting &&
		       (event->body->promote.granted || before.forced)));
	else if (volume->role != before.role)
		CHECK(event->type == VOLUME_EVENT_DEMOTE || before.demoting);
	/*
	 * History goes on; another one is adopted by a secondary only, from the source that it asked, and begun by a replica that is
	 * promoted by force and no member of the newest record. What a primary without a disk proposes is withdrawn when all leave
	 * who were asked to keep it.
	 */
	if (frame && before.tail_id && (event->frame_type != WIRE_SYNC_ACCEPT || before.role == VOLUME_PRIMARY) &&
	    !(volume->role != before.role && before.forced && !before.member))
		CHECK(lineage_find(&volume->super.chain, before.tail_id) || before.tail_id == before.unkept_id);
	CHECK(volume->disk == before.disk || event->type == VOLUME_EVENT_DISK_FAILED);
	for (slot = 0; slot < REPLICAS_MAX && event->type != VOLUME_EVENT_FORGET; slot++)
		if (before.durable[slot] && before.node[slot] != NODE_NONE && volume->peer[slot].map.nr_set < before.nr_set[slot])
			CHECK(volume->peer[slot].relation == VOLUME_IN_SYNC || before.empty_chain || proof ||
			      (frame && event->frame_type == WIRE_SYNC_READY && before.flags & ONDISK_BLANK));
	/* Never written again, only who has joined and got nothing [R4]. */
	if (volume->super.flags & ~before.flags & ONDISK_BLANK)
		CHECK(proof && before.tail_id && is_in_sync(volume));
	if (before.flags & ~volume->super.flags & ONDISK_SYNCING)
		CHECK((event->type == VOLUME_EVENT_PROMOTE && event->force) ||
		      (frame && (event->frame_type == WIRE_SYNC_DONE || event->frame_type == WIRE_RECORD || before.promoting)));
}

static void request_missed(struct replica *replica, u8 node)
{
	u32 i;

	for (i = 0; i < REPLICA_REQUESTS; i++)
		if (replica->request[i].active)
			volume_missed(&replica->volume, &replica->request[i].ack, node);
}

static void request_released(struct replica *replica, u8 node)
{
	u32 i;

	for (i = 0; i < REPLICA_REQUESTS; i++) {
		struct request *request = &replica->request[i];

		if (!request->active || !volume_released(&replica->volume, &request->ack, node))
			continue;
		request->active = false;
		volume_end(&replica->volume, &request->ack);
	}
}

/* What this end sends, every end accepts [N4]. */
static void send(struct replica *replica, const struct volume_action *action)
{
	struct wire_header header = { .type = action->frame_type };

	volume_fill(&replica->volume, action, &body);
	header.length_bytes = wire_encode_body(action->frame_type, &body, encoded);
	CHECK(wire_decode_body(&header, encoded, header.length_bytes, &body) == WIRE_OK);
	send_frame(replica, action->node, action->frame_type, encoded, header.length_bytes);
}

static void send_ranges(struct replica *replica, const struct volume_action *action)
{
	const struct volume_peer *peer = volume_peer(&replica->volume, action->map_node);
	u64 from = 0, start = 0, length = 0;

	memset(&body, 0, 24);
	body.ranges.volume_id = replica->volume.super.volume_id;
	body.ranges.node = action->map_node;
	while (peer && body.ranges.nr < 4 && from < REPLICA_BYTES &&
	       dirty_next(&peer->map, from, REPLICA_BYTES, &start, &length)) {
		CHECK(start >= from && length && start + length <= REPLICA_BYTES);
		body.ranges.range[body.ranges.nr++] = (struct wire_range){ start, length };
		from = start + length;
	}
	send_frame(replica, action->node, WIRE_RANGES, encoded, wire_encode_body(WIRE_RANGES, &body, encoded));
	memset(&body.volume, 0, sizeof(body.volume));
	body.volume.volume_id = replica->volume.super.volume_id;
	body.volume.node = action->map_node;
	send_frame(replica, action->node, WIRE_RANGES_END, encoded, wire_encode_body(WIRE_RANGES_END, &body, encoded));
}

static void perform(struct replica *replica, const struct volume_action *action)
{
	switch (action->type) {
	case VOLUME_DO_SEND:
		send(replica, action);
		break;
	case VOLUME_DO_SEND_RANGES:
		send_ranges(replica, action);
		break;
	case VOLUME_DO_SAVE_SUPER:
		CHECK(action->token);
		/* Later saves absorb earlier ones: the answers come one by one all the same. */
		CHECK(replica->nr_saves < REPLICA_SAVES);
		replica->save[replica->nr_saves++] = action->token;
		break;
	case VOLUME_DO_LOG_RESET:
		replica->reset_wanted = true;
		break;
	case VOLUME_DO_MISSED:
		request_missed(replica, action->node);
		break;
	case VOLUME_DO_RELEASE:
		request_released(replica, action->node);
		break;
	case VOLUME_DO_RESYNC_START:
		replica->resyncing |= NODE_BIT(action->node);
		break;
	case VOLUME_DO_RESYNC_STOP:
		replica->resyncing &= ~NODE_BIT(action->node);
		break;
	case VOLUME_DO_END_SESSION:
		replica->ending |= NODE_BIT(action->node) & replica->sessions;
		break;
	default:
		break;
	}
}

static void trace_after(const struct replica *replica)
{
	const struct volume *volume = &replica->volume;
	u32 i;

	fprintf(stderr, "  role %u disk %u chain %u flags %x replicas %x reconcile %x streaming %x source %u saves %u:", volume->role,
		volume->disk, volume->super.chain.count, volume->super.flags, volume->super.replicas, volume->super.reconcile,
		volume->streaming, volume->sync_source, replica->nr_saves);
	for (i = 0; i < REPLICAS_MAX; i++)
		if (volume->peer[i].node != NODE_NONE)
			fprintf(stderr, " %u=%s", volume->peer[i].node, volume_relation_name(volume->peer[i].relation));
	fprintf(stderr, "\n");
	for (i = 0; i < actions.nr; i++)
		fprintf(stderr, "    -> %u node %u %s\n", actions.action[i].type, actions.action[i].node,
			actions.action[i].type == VOLUME_DO_SEND ? wire_type_name(actions.action[i].frame_type) : "");
}

void replica_step(struct replica *replica, const struct volume_event *event)
{
	u32 i;

	while (replica->nr_saves > REPLICA_SAVES - 8 && event->type != VOLUME_EVENT_SUPER_SAVED)
		replica_saved(replica, true);
	if (event->type == VOLUME_EVENT_PEER_UP)
		replica->sessions |= NODE_BIT(event->node);
	if (event->type == VOLUME_EVENT_PEER_DOWN) {
		replica->sessions &= ~NODE_BIT(event->node);
		replica->ending &= ~NODE_BIT(event->node);
	}
	if (fuzz_tracing())
		fprintf(stderr, "node %u: event %u node %u frame %s ok %u\n", replica->volume.node, event->type, event->node,
			event->type == VOLUME_EVENT_FRAME ? wire_type_name(event->frame_type) : "-", event->ok);
	remember(&replica->volume);
	give_slots(replica, event);
	volume_step(&replica->volume, event, &actions);
	CHECK(!replica->volume.slots_short);
	CHECK(actions.nr < VOLUME_ACTIONS_MAX);
	if (fuzz_tracing())
		trace_after(replica);
	compare(replica, event);
	for (i = 0; i < actions.nr; i++)
		perform(replica, &actions.action[i]);
	replica_check(replica);
}

void replica_simple(struct replica *replica, enum volume_event_type type, u8 node)
{
	struct volume_event event = { .type = type, .node = node, .random = ++replica->ids, .ok = true,
				      .features = WIRE_FEATURE_BLANK };

	replica_step(replica, &event);
}

void replica_saved(struct replica *replica, bool ok)
{
	struct volume_event event = { .type = VOLUME_EVENT_SUPER_SAVED, .node = NODE_NONE, .random = ++replica->ids };

	if (!replica->nr_saves)
		return;
	ok = ok && replica->volume.disk == VOLUME_DISK_OK;
	event.token = replica->save[0];
	event.ok = ok;
	memmove(replica->save, replica->save + 1, --replica->nr_saves * sizeof(replica->save[0]));
	if (ok)
		replica->saved = replica->volume.super;
	replica_step(replica, &event);
	if (!ok)	/* a save fails for one reason only */
		replica_simple(replica, VOLUME_EVENT_DISK_FAILED, NODE_NONE);
}

void replica_restart(struct replica *replica)
{
	static u8 block[META_BLOCK_BYTES];
	struct ondisk_super super;
	u32 slot, region;
	u8 node = replica->volume.node;
	u32 logged = 0;

	for (slot = actlog_next(&replica->volume.log, 0, &region); slot != ACTLOG_NO_SLOT;
	     slot = actlog_next(&replica->volume.log, slot + 1, &region))
		logged |= 1u << region;
	ondisk_super_encode(&replica->saved, 0, block);
	CHECK(ondisk_super_decode(block, 0, &super) == ONDISK_OK);
	CHECK(lineage_equal(&super.chain, &replica->saved.chain));
	memset(replica->request, 0, sizeof(replica->request));
	replica->nr_saves = 0;
	replica->reset_wanted = false;
	replica->resyncing = replica->sessions = replica->ending = 0;
	load(replica, &super, node);
	for (region = 0; region < REPLICA_REGIONS; region++)
		if (logged >> region & 1)
			volume_log_found(&replica->volume, region);
	replica_simple(replica, VOLUME_EVENT_ONLINE, NODE_NONE);
}

/* At most REPLICA_REGIONS slots are ever in use, always the first ones. */
void replica_logs_reset(void)
{
	u32 node, i;

	memset(heads, 0xff, sizeof(heads));
	for (node = 0; node < 2; node++)
		for (i = 0; i <= REPLICA_REGIONS; i++)
			slots[node][i] = (struct actlog_slot){ .region = ACTLOG_NO_REGION, .hash_next = i + 1 };
}
