// SPDX-License-Identifier: GPL-2.0
/*
 * Bodies of the control frames that a step wants sent. The steps only name them; what they say is the volume's state
 * after the step [N4].
 */
#include "probe.h"
#include "volume_internal.h"

void volume_fill_greet(const struct volume *volume, const struct volume_peer *peer,
		       struct wire_greet *greet)
{
	const struct ondisk_super *super = &volume->super;

	memset(greet, 0, sizeof(*greet));
	greet->volume_id = super->volume_id;
	greet->replica_id = super->replica_id;
	greet->volume_bytes = super->volume_bytes;
	greet->granule_bytes = super->granule_bytes;
	greet->actlog_parts = super->actlog_parts;
	greet->block_shift = super->block_shift;
	greet->number = peer->my_number;
	greet->flags = peer->sent_flags;
	greet->replicas = super->replicas;
	greet->primary = volume->primary;
	greet->sync_source = volume->sync_source;
	greet->authority = volume->authority;
	memcpy(greet->name, super->name, sizeof(greet->name));
	greet->chain = super->chain;
}

static void fill_verdict(const struct volume *volume, const struct volume_action *action, struct wire_verdict *body)
{
	body->volume_id = volume->super.volume_id;
	body->my_number = action->frame.number;
	body->your_number = action->frame.your_number;
	body->verdict = action->frame.verdict;
	body->plan = action->frame.plan;
}

static void fill_record(const struct volume *volume, const struct volume_action *action, struct wire_record *body)
{
	const struct generation *record = lineage_find(&volume->super.chain, action->frame.value);
	const struct generation *parent = record ? lineage_find(&volume->super.chain, record->parent_id) : NULL;

	body->volume_id = volume->super.volume_id;
	body->serial = action->frame.serial;
	if (record)
		body->record = *record;
	body->parent_written = parent && parent->written;
}

/*
 * Without a record that is not durable here: it may have been proposed in the very step that sends this (seed 9810000094579,
 * 3 nodes). The target hears of it when it is ready.
 */
static void fill_accept(const struct volume *volume, struct wire_accept *body)
{
	const struct generation *tail;

	body->volume_id = volume->super.volume_id;
	body->chain = volume->super.chain;
	tail = lineage_tail(&body->chain);
	if (tail && volume->proposal.active && !volume->proposal.kept && tail->id == volume->proposal.id &&
	    !MUTANT(accept_before_durable))
		body->chain.count--;
}

void volume_fill(const struct volume *volume, const struct volume_action *action, union wire_body *body)
{
	const struct volume_peer *peer = volume_peer_const(volume, action->node);
	u64 id = volume->super.volume_id;

	memset(body, 0, sizeof(*body));
	switch (action->frame_type) {
	case WIRE_GREET:
		if (peer)
			volume_fill_greet(volume, peer, &body->greet);
		break;
	case WIRE_VERDICT:
		fill_verdict(volume, action, &body->verdict);
		break;
	case WIRE_RECORD:
		fill_record(volume, action, &body->record);
		break;
	case WIRE_RECORD_ACK:
		body->record_ack.volume_id = id;
		body->record_ack.serial = action->frame.serial;
		body->record_ack.ok = action->frame.ok;
		break;
	case WIRE_PROMOTE_ASK:
	case WIRE_PROMOTE_ANSWER:
		body->promote.volume_id = id;
		body->promote.serial = action->frame.serial;
		body->promote.granted = action->frame.ok;
		body->promote.reason = action->frame.why;
		break;
	case WIRE_SYNC_ACCEPT:
		fill_accept(volume, &body->accept);
		break;
	default:
		body->volume.volume_id = id;
		body->volume.value = action->frame.value;
		body->volume.node = NODE_NONE;
		break;
	}
}

/* ---- numbers of greetings and serials ---- */

u32 volume_life_base(const struct volume *volume)
{
	u64 disk = volume->super.replica_id * 0x9e3779b97f4a7c15ull >> 32;	/* a new disk counts its attaches anew */

	return (u32)(volume->super.attach_count + disk) * LIFE_NUMBERS;
}

/* 0 stands for none, and the first number says that a life begins: then a peer leaves what this end is in the middle of (L8). */
u32 volume_next_number(const struct volume *volume, const struct volume_peer *peer)
{
	u32 number = peer->my_number ? peer->my_number + 1 : volume_life_base(volume) + 1;

	while (peer->my_number && (!number || number % LIFE_NUMBERS == 1))
		number++;
	return number;
}
