// SPDX-License-Identifier: GPL-2.0
/*
 * Two honest replicas on nodes 0 and 1, connected, and an attacker who is every other node: authenticated, with sessions to both,
 * sending any sequence of legal frames [N4] [I12] [I22]. The frames are made from what the victim would like to hear and then
 * bent; they go through the codec. In between sessions come and go, disks fail, saves end, administrators command, writes
 * begin and end, machines crash. replica.c has what must hold.
 *
 * Input: byte 0 chooses the start, then operations of a few bytes each.
 */
#include "replica.h"

enum { ATTACKER = 2 };

static struct world {
	struct replica replica[2];
	struct queue queue[2];	/* [i]: to replica i */
} world, cold, paired;

static struct fuzz_input input;
static union wire_body body;
static u8 encoded[WIRE_FIXED_BYTES_MAX];

static struct replica *other(const struct replica *replica)
{
	return &world.replica[!replica->volume.node];
}

static void link_down(void)
{
	u8 at;

	for (at = 0; at < 2; at++) {
		struct replica *replica = &world.replica[at];

		world.queue[at] = (struct queue){ .nr = 0 };
		if (replica->sessions & NODE_BIT(!at))
			replica_simple(replica, VOLUME_EVENT_PEER_DOWN, !at);
	}
}

static void link_up(void)
{
	if ((world.replica[0].sessions & NODE_BIT(1)) || (world.replica[1].sessions & NODE_BIT(0)))
		return;
	replica_simple(&world.replica[0], VOLUME_EVENT_PEER_UP, 1);
	replica_simple(&world.replica[1], VOLUME_EVENT_PEER_UP, 0);
}

static void sent(struct replica *replica, u8 node, u8 type, const u8 *bytes, u32 length_bytes)
{
	struct queue *queue;
	u32 at;

	if (node > 1 || !(replica->sessions & NODE_BIT(node)))
		return;
	queue = &world.queue[node];
	if (queue->first == queue->nr)
		queue->first = queue->nr = queue->bytes_used = 0;
	if (queue->nr == QUEUE_FRAMES || queue->bytes_used + length_bytes > QUEUE_BYTES) {
		replica->ending |= NODE_BIT(node);	/* the connection is stuck: it ends */
		return;
	}
	at = queue->nr++;
	queue->frame[at].type = type;
	queue->frame[at].at = queue->bytes_used;
	queue->frame[at].length_bytes = length_bytes;
	memcpy(queue->bytes + queue->bytes_used, bytes, length_bytes);
	queue->bytes_used += length_bytes;
}

/* A frame arrives; false when the codec refuses it. */
static bool arrive(struct replica *replica, u8 node, u8 type, const u8 *bytes, u32 length_bytes)
{
	struct wire_header header = { .type = type, .length_bytes = length_bytes };
	struct volume_event event = {
		.type = VOLUME_EVENT_FRAME, .node = node, .frame_type = type, .body = &body, .random = ++replica->ids,
	};

	if (wire_decode_body(&header, bytes, length_bytes, &body) != WIRE_OK)
		return false;
	if (body.volume.volume_id == replica->volume.super.volume_id)
		replica_step(replica, &event);
	return true;
}

static bool deliver(u8 to)
{
	static u8 bytes[WIRE_FIXED_BYTES_MAX];
	struct queue *queue = &world.queue[to];
	u32 at = queue->first;

	if (at == queue->nr)
		return false;
	queue->first++;
	memcpy(bytes, queue->bytes + queue->frame[at].at, queue->frame[at].length_bytes);
	CHECK(arrive(&world.replica[to], !to, queue->frame[at].type, bytes, queue->frame[at].length_bytes));
	return true;
}

static void sessions_end(struct replica *replica)
{
	u8 node;

	for (node = ATTACKER; node < NODES_MAX; node++)
		if (replica->ending & NODE_BIT(node))
			replica_simple(replica, VOLUME_EVENT_PEER_DOWN, node);
	if (replica->ending)
		link_down();
}

/* A resync pass: everything is compared and proven. */
static void resync_ends(struct replica *replica, u8 node)
{
	struct volume_peer *peer = volume_peer(&replica->volume, node);

	if (!(replica->resyncing & NODE_BIT(node)) || !peer)
		return;
	dirty_clear(&peer->map, 0, REPLICA_BYTES);
	replica->resyncing &= ~NODE_BIT(node);
	replica_simple(replica, VOLUME_EVENT_RESYNC_DRY, node);
}

/* Let the honest ones do what they would, for a while. */
static void settle(void)
{
	u32 turns, at;

	for (turns = 0; turns < 16; turns++) {
		bool busy = deliver(0);

		busy |= deliver(1);
		for (at = 0; at < 2; at++) {
			struct replica *replica = &world.replica[at];

			busy |= replica->nr_saves || replica->reset_wanted;
			replica_saved(replica, true);
			if (replica->reset_wanted) {
				replica->reset_wanted = false;
				actlog_clear(&replica->volume.log);
				replica_simple(replica, VOLUME_EVENT_LOG_RESET, NODE_NONE);
			}
			resync_ends(replica, !at);
			sessions_end(replica);
		}
		if (!busy)
			return;
	}
}

static void bend_chain(struct chain *chain, const struct volume *volume)
{
	u8 bits = fuzz_u8(&input), more = bits >> 3 & 3, less = bits >> 5 & 3;

	*chain = volume->super.chain;
	if (bits & 1)
		*chain = other(&world.replica[volume->node])->volume.super.chain;
	chain->count = less < chain->count ? chain->count - less : less == 3 ? 0 : chain->count;
	if (bits & 2 && chain->count)
		chain->record[chain->count - 1].written ^= true;
	if (bits & 128 && !fuzz_u8(&input)) {	/* as long as it gets, or a number that nothing follows */
		for (; chain->count < CHAIN_RECORDS_MAX; chain->count++)
			chain->record[chain->count] = lineage_next(chain, 1000 + chain->count, 7, 2);
		if (bits & 4) {
			chain->record[0] = chain->record[chain->count - 1];
			chain->count = 1;
			chain->trimmed = true;
			chain->record[0].number = ~(u64)fuzz_u8(&input);
		}
	}
	for (; more && chain->count < CHAIN_RECORDS_MAX; more--) {
		struct generation next = lineage_next(chain, 500 + fuzz_u8(&input) % 8, fuzz_u8(&input), ATTACKER);

		next.written = bits & 4;
		if (next.members & 128)
			next.members = next.members << 9 | 7;
		chain->record[chain->count++] = next;
	}
}

static void make_greet(struct replica *replica, const struct volume_peer *peer)
{
	struct volume_action action = { .node = peer->node, .frame_type = WIRE_GREET };
	u8 bits = fuzz_u8(&input);

	volume_fill(&replica->volume, &action, &body);
	body.greet.number = bits & 1 ? peer->facts->number + 1 : 1 + fuzz_u8(&input);
	body.greet.flags = bits & 2 ? fuzz_u8(&input) : WIRE_GREET_DISK;
	if (bits & 128)
		body.greet.flags |= WIRE_GREET_BLANK;
	body.greet.authority = peer->node;
	if (bits & 4)
		body.greet.replicas = fuzz_u32(&input);
	if (bits & 8)
		bend_chain(&body.greet.chain, &replica->volume);
	if (bits & 16)
		body.greet.primary = fuzz_u8(&input);
	if (bits & 32)
		body.greet.sync_source = fuzz_u8(&input);
	if (bits & 64)
		body.greet.authority = fuzz_u8(&input) % NODES_MAX;
}

static void make_record(struct replica *replica)
{
	u8 bits = fuzz_u8(&input);
	u32 members = bits & 1 ? fuzz_u32(&input) : fuzz_u8(&input);

	body.record.serial = bits >> 4;
	body.record.parent_written = bits >> 1 & 1;
	body.record.record = lineage_next(&replica->volume.super.chain, 300 + fuzz_u8(&input), members, bits & 4 ? ATTACKER : 0);
	body.record.record.written = bits & 8;
}

/* What the victim waits for, in @body. */
static void make_body(struct replica *replica, const struct volume_peer *peer, u8 type)
{
	const struct volume *volume = &replica->volume;
	const struct generation *tail = lineage_tail(&volume->super.chain);

	memset(&body, 0, 64);
	body.volume.volume_id = volume->super.volume_id;
	switch (type) {
	case WIRE_GREET:
		make_greet(replica, peer);
		break;
	case WIRE_VERDICT:
		body.verdict.my_number = peer->facts->number;
		body.verdict.your_number = peer->my_number;
		body.verdict.verdict = (u8)lineage_mirror(peer->verdict);
		body.verdict.plan = (u8)volume_plan_mirror(peer->plan);
		break;
	case WIRE_RECORD:
		make_record(replica);
		break;
	case WIRE_RECORD_ACK:
		body.record_ack.serial = volume->proposal.serial;
		body.record_ack.ok = fuzz_u8(&input) & 1;
		break;
	case WIRE_PROMOTE_ANSWER:
		body.promote.reason = fuzz_u8(&input);
		body.promote.granted = !body.promote.reason;
		body.promote.serial = volume->command.serial;
		break;
	case WIRE_RANGES:
		body.ranges.node = fuzz_u8(&input) % NODES_MAX;
		body.ranges.nr = 1;
		body.ranges.range[0].start_bytes = (u64)fuzz_u16(&input) << 9;
		body.ranges.range[0].length_bytes = (u64)(1 + fuzz_u16(&input)) << 9;
		break;
	case WIRE_SYNC_ACCEPT:
		bend_chain(&body.accept.chain, volume);
		break;
	default:
		body.volume.node = type == WIRE_RANGES_END ? peer->node : NODE_NONE;
		if (type == WIRE_SYNC_READY || type == WIRE_SYNC_DONE)
			body.volume.value = tail ? tail->id : 1;
		else if (type == WIRE_RESOLVE)
			body.volume.value = volume->super.split_id;
		break;
	}
}

static void attack(struct replica *replica, u8 bits)
{
	static u8 bytes[WIRE_FIXED_BYTES_MAX];
	u8 node = ATTACKER + (bits >> 4 & 3), type = WIRE_GREET + (fuzz_u8(&input) % 14);
	const struct volume_peer *peer;
	u32 length_bytes;

	if (!(replica->sessions & NODE_BIT(node)))
		replica_simple(replica, VOLUME_EVENT_PEER_UP, node);
	peer = volume_peer(&replica->volume, node);
	if (!peer)
		return;
	make_body(replica, peer, type);
	length_bytes = wire_encode_body(type, &body, bytes);
	if (bits & 128) {
		u32 at = fuzz_u8(&input) % length_bytes;

		bytes[at] ^= fuzz_u8(&input);
	}
	arrive(replica, node, type, bytes, length_bytes);
}

static void command(struct replica *replica)
{
	static const enum volume_event_type types[] = {
		VOLUME_EVENT_PROMOTE, VOLUME_EVENT_CANCEL, VOLUME_EVENT_DEMOTE, VOLUME_EVENT_RESOLVE, VOLUME_EVENT_FORGET,
	};
	u8 bits = fuzz_u8(&input);
	struct volume_event event = {
		.type = types[(bits & 15) % CORE_ARRAY_SIZE(types)], .node = NODE_NONE, .random = ++replica->ids,
		.force = bits & 16, .nodes = bits & 32 ? ~0u : 0, .value = replica->volume.super.split_id,
	};

	if (event.type == VOLUME_EVENT_DEMOTE && replica->volume.in_flight)
		return;		/* the module waits for the end of every request */
	if (event.type == VOLUME_EVENT_FORGET)
		event.node = fuzz_u8(&input) % NODES_MAX;
	if (event.type == VOLUME_EVENT_RESOLVE)
		event.node = bits & 64 ? replica->volume.node : replica->volume.super.split_peer;
	replica_step(replica, &event);
}

/* [D1] What is written here and does not go to a replica is dirty for it at once. */
static void check_marked(const struct volume *volume, u64 offset, u32 absent)
{
	u32 slot;

	for (slot = 0; slot < REPLICAS_MAX; slot++) {
		const struct volume_peer *peer = &volume->peer[slot];

		if (peer->node != NODE_NONE && absent & NODE_BIT(peer->node))
			CHECK(dirty_test(&peer->map, offset));
	}
}

static void begin(struct replica *replica)
{
	struct volume *volume = &replica->volume;
	u32 i, region = fuzz_u8(&input) % REPLICA_REGIONS;

	switch (volume_gate_write(volume)) {
	case VOLUME_GATE_WAIT:
		replica_simple(replica, VOLUME_EVENT_IO_WAITS, NODE_NONE);
		return;
	case VOLUME_GATE_FAIL:
		return;
	default:
		break;
	}
	for (i = 0; i < REPLICA_REQUESTS; i++) {
		struct request *request = &replica->request[i];

		if (request->active || actlog_get(&volume->log, region, volume->log.epoch) == ACTLOG_FULL)
			continue;
		volume_begin(volume, &request->ack, (u64)region * ACTLOG_REGION_BYTES, 4096);
		request->active = request->ack.pending;
		CHECK(request->active);
		check_marked(volume, (u64)region * ACTLOG_REGION_BYTES, volume->super.replicas & ~volume->streaming);
		actlog_put(&volume->log, region, true);
		volume_mark_wanted(volume, lineage_tail(&volume->super.chain)->id);
		return;
	}
}

static void acknowledge(struct replica *replica, u8 bits)
{
	struct request *request = &replica->request[bits % REPLICA_REQUESTS];
	u8 node = bits >> 2 & 7;

	if (!request->active || request->ack.missed & NODE_BIT(node))
		return;
	if (!volume_acked(&replica->volume, &request->ack, node, VOLUME_ANSWER_VOLATILE))
		return;
	request->active = false;
	volume_end(&replica->volume, &request->ack);
}

/* The data plane, as the module calls it when frames of data arrive. */
static void data(struct replica *replica, u8 bits)
{
	struct volume *volume = &replica->volume;
	u8 node = ATTACKER + (bits & 3);
	u64 offset = (u64)fuzz_u8(&input) << 17;
	u32 length = (u32)fuzz_u8(&input) << 12;
	u32 members = lineage_tail(&volume->super.chain) ? lineage_tail(&volume->super.chain)->members : 0;

	CHECK(volume_may_read(volume, node) <= !!(replica->sessions & NODE_BIT(node)));
	if (volume_may_apply(volume, node, offset, length)) {
		CHECK(volume->role == VOLUME_SECONDARY && replica->sessions & NODE_BIT(node));
		CHECK(offset + length <= REPLICA_BYTES);
		if (actlog_get(&volume->log, actlog_region(offset) % REPLICA_REGIONS, 1 + (bits >> 4)) != ACTLOG_FULL)
			actlog_put(&volume->log, actlog_region(offset) % REPLICA_REGIONS, true);
		volume_apply(volume, node, offset, length);
		if (length)
			check_marked(volume, offset, volume->super.replicas & ~members);
	}
	if (volume_may_resync(volume, node) && offset + length <= REPLICA_BYTES)
		volume_apply_resync(volume, node, offset, length);
	if (bits & 4 && actlog_commit_begin(&volume->log)) {
		u64 id = volume_mark_id(volume);

		actlog_commit_end(&volume->log, true);
		volume_marked(volume, id);
	}
}

static void operate(u8 op)
{
	struct replica *replica = &world.replica[op >> 4 & 1];
	u8 bits = fuzz_u8(&input);

	switch (op & 15) {
	case 0:
		settle();
		break;
	case 1:
		deliver(replica->volume.node);
		break;
	case 2:
		bits & 1 ? link_down() : link_up();
		break;
	case 3:
		if (replica->sessions & NODE_BIT(ATTACKER + bits % 30))
			replica_simple(replica, VOLUME_EVENT_PEER_DOWN, ATTACKER + bits % 30);
		else
			replica_simple(replica, VOLUME_EVENT_PEER_UP, ATTACKER + bits % 30);
		break;
	case 4:
		replica_saved(replica, bits % 32 != 1);
		break;
	case 5:
		if (replica->reset_wanted)
			replica_simple(replica, VOLUME_EVENT_LOG_RESET, NODE_NONE);
		replica->reset_wanted = false;
		break;
	case 6:
		command(replica);
		break;
	case 7:
		begin(replica);
		break;
	case 8:
		acknowledge(replica, bits);
		break;
	case 9:
		data(replica, bits);
		break;
	case 10:
		if (bits & 128 && replica->resyncing & NODE_BIT(bits % NODES_MAX))
			replica_simple(replica, VOLUME_EVENT_RESYNC_FAILED, bits % NODES_MAX);
		else
			resync_ends(replica, bits % NODES_MAX);
		break;
	case 11:
		if (bits & 128)
			replica_simple(replica, VOLUME_EVENT_PEER_IO_FAILED, bits % NODES_MAX);
		else if (bits == 1)
			replica_simple(replica, VOLUME_EVENT_DISK_FAILED, NODE_NONE);
		sessions_end(replica);
		break;
	case 12:
		link_down();
		if (bits & 1)
			replica_simple(replica, VOLUME_EVENT_GOING_DOWN, NODE_NONE);
		replica_restart(replica);
		break;
	default:
		attack(replica, bits);
		break;
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct ondisk_super super = { .volume_id = 7, .name = "v", .replicas = 3, .split_peer = NODE_NONE };
	struct generation first;
	u8 node;

	(void)argc;
	(void)argv;
	CHECK(ondisk_plan(REPLICA_BYTES, 1 << 30, true, 0, 1, &super));
	super.flags = ONDISK_SEPARATE | ONDISK_BLANK;
	memset(super.slot_node, NODE_NONE, sizeof(super.slot_node));
	first = lineage_next(&super.chain, 9, 3, NODE_NONE);
	lineage_append(&super.chain, &first);
	for (node = 0; node < 2; node++) {
		super.node_id = node;
		super.replica_id = 1 + node;
		super.slot_node[0] = !node;
		replica_init(&world.replica[node], node, &super, sent);
		world.replica[node].ids = 1000000ull * (1 + node);
	}
	cold = world;
	link_up();
	settle();
	settle();
	CHECK(world.replica[0].volume.peer[0].relation == VOLUME_IN_SYNC);
	paired = world;
	return 0;
}

int LLVMFuzzerTestOneInput(const u8 *bytes, size_t size)
{
	u32 steps, at;

	input = (struct fuzz_input){ bytes, size };
	world = fuzz_u8(&input) & 1 ? cold : paired;
	replica_logs_reset();
	for (steps = 0; input.left && steps < 32; steps++)
		operate(fuzz_u8(&input));
	at = size & 1;	/* the other one costs as much and is as likely */
	ondisk_super_encode(&world.replica[at].volume.super, 1, encoded);
	CHECK(ondisk_super_decode(encoded, 1, &world.replica[at].saved) == ONDISK_OK);
	return 0;
}
