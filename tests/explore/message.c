// SPDX-License-Identifier: GPL-2.0
/*
 * Control frames in the explorer's queues: the fields that can differ between two frames of a type, and nothing else.
 * volume_fill() makes the whole body when a frame is sent; it is made again when the frame is delivered [N4].
 */
#include "world.h"

static void pack_chain(struct world *world, struct small_chain *to, const struct chain *from)
{
	if (from->count > WORLD_RECORDS_MAX || from->trimmed) {
		world_violation(world, "bound", "a chain of %u records", from->count);
		return;
	}
	to->count = from->count;
	memcpy(to->record, from->record, from->count * sizeof(to->record[0]));
}

static void unpack_chain(struct chain *to, const struct small_chain *from)
{
	to->count = from->count;
	to->trimmed = false;
	memcpy(to->record, from->record, from->count * sizeof(to->record[0]));
}

static void pack_greet(struct world *world, struct message *m, const struct wire_greet *greet)
{
	m->id = greet->number;
	m->flags = greet->flags;
	m->bits[0] = (u8)greet->replicas;
	m->bits[1] = greet->primary;
	m->bits[2] = greet->sync_source;
	m->bits[3] = greet->authority;
	pack_chain(world, &m->chain, &greet->chain);
}

static void pack_fields(struct world *world, struct message *m, const union wire_body *body)
{
	switch (m->frame_type) {
	case WIRE_GREET:
		pack_greet(world, m, &body->greet);
		break;
	case WIRE_VERDICT:
		m->id = body->verdict.my_number;
		m->your_number = body->verdict.your_number;
		m->bits[0] = body->verdict.verdict;
		m->bits[1] = body->verdict.plan;
		break;
	case WIRE_RECORD:
		m->id = body->record.serial;
		m->bits[0] = body->record.parent_written;
		m->record = body->record.record;
		break;
	case WIRE_RECORD_ACK:
		m->id = body->record_ack.serial;
		m->bits[0] = body->record_ack.ok;
		break;
	case WIRE_PROMOTE_ASK:
	case WIRE_PROMOTE_ANSWER:
		m->id = body->promote.serial;
		m->bits[0] = body->promote.granted;
		m->bits[1] = body->promote.reason;
		break;
	case WIRE_SYNC_ACCEPT:
		pack_chain(world, &m->chain, &body->accept.chain);
		break;
	default:
		m->generation_id = body->volume.value;
		break;
	}
}

bool message_pack(struct world *world, u8 from, u8 to, const struct volume_action *action)
{
	static union wire_body body;
	struct message *m = world_send(world, from, to, true);

	if (!m)
		return false;
	volume_fill(&world->node[from].volume, action, &body);
	m->kind = MESSAGE_FRAME;
	m->frame_type = action->frame_type;
	pack_fields(world, m, &body);
	return true;
}

static void unpack_greet(const struct message *m, const struct wire_greet *constants, struct wire_greet *greet)
{
	*greet = *constants;
	greet->number = m->id;
	greet->flags = m->flags;
	greet->replicas = m->bits[0];
	greet->primary = m->bits[1];
	greet->sync_source = m->bits[2];
	greet->authority = m->bits[3];
	unpack_chain(&greet->chain, &m->chain);
}

/* @constants: a greeting with all that no greeting changes. */
void message_unpack(const struct message *m, const struct wire_greet *constants, union wire_body *body)
{
	switch (m->frame_type) {
	case WIRE_GREET:
		unpack_greet(m, constants, &body->greet);
		break;
	case WIRE_VERDICT:
		body->verdict.my_number = m->id;
		body->verdict.your_number = m->your_number;
		body->verdict.verdict = m->bits[0];
		body->verdict.plan = m->bits[1];
		break;
	case WIRE_RECORD:
		body->record.serial = m->id;
		body->record.parent_written = m->bits[0];
		body->record.record = m->record;
		break;
	case WIRE_RECORD_ACK:
		body->record_ack.serial = m->id;
		body->record_ack.ok = m->bits[0];
		break;
	case WIRE_PROMOTE_ASK:
	case WIRE_PROMOTE_ANSWER:
		body->promote.serial = m->id;
		body->promote.granted = m->bits[0];
		body->promote.reason = m->bits[1];
		break;
	case WIRE_SYNC_ACCEPT:
		unpack_chain(&body->accept.chain, &m->chain);
		break;
	default:
		body->volume.value = m->generation_id;
		body->volume.node = m->bits[0];
		break;
	}
}
