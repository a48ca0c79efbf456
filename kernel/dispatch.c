// SPDX-License-Identifier: GPL-2.0
/*
 * From sessions to volumes: who gets a frame, who learns that a session began or ended, and which volumes the peers have
 * that are not here [N1].
 *
 * A volume comes and goes independently of sessions. So that each volume sees each session begin exactly once and
 * before anything of it arrives, joining the list and the begin and end of sessions exclude each other by
 * braid_dispatch.lock. Inside it events are only queued, nothing waits.
 *
 * Locks: bn->lock > braid_dispatch.lock > volume->lock. The session layer's calls come without bn->lock.
 */
#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include "device.h"

struct known_entry {
	struct list_head entry;
	struct braid_known_volume volume;
};

struct braid_dispatch {
	struct mutex lock;	/* all below, and changes of bn->volumes */
	u32 up;			/* nodes with an open session */
	struct list_head known;
	u32 nr_known;
};

static atomic64_t request_sequence = ATOMIC64_INIT(0);

enum { REQUEST_MINOR_SHIFT = 48, REQUEST_MINOR_MASK = 0x7fff };

u64 braid_request_id(const struct braid_volume *volume, bool resync)
{
	u64 sequence = (u64)atomic64_inc_return(&request_sequence) & ((1ull << REQUEST_MINOR_SHIFT) - 1);

	return (resync ? BRAID_REQUEST_RESYNC : 0) | (u64)volume->minor << REQUEST_MINOR_SHIFT | sequence;
}

/* ---- lookup ---- */

struct braid_volume *braid_volume_find(struct braid_net *bn, u64 id)
{
	struct braid_volume *volume;

	rcu_read_lock();
	list_for_each_entry_rcu(volume, &bn->volumes, entry) {
		if (volume->id == id && kref_get_unless_zero(&volume->references)) {
			rcu_read_unlock();
			return volume;
		}
	}
	rcu_read_unlock();
	return NULL;
}

struct braid_volume *braid_volume_find_name(struct braid_net *bn, const char *name)
{
	struct braid_volume *volume;

	rcu_read_lock();
	list_for_each_entry_rcu(volume, &bn->volumes, entry) {
		if (!strncmp(volume->name, name, NAME_BYTES_MAX) && kref_get_unless_zero(&volume->references)) {
			rcu_read_unlock();
			return volume;
		}
	}
	rcu_read_unlock();
	return NULL;
}

static struct braid_volume *find_minor(struct braid_net *bn, u32 minor)
{
	struct braid_volume *volume;

	rcu_read_lock();
	list_for_each_entry_rcu(volume, &bn->volumes, entry) {
		if (volume->minor == minor && kref_get_unless_zero(&volume->references)) {
			rcu_read_unlock();
			return volume;
		}
	}
	rcu_read_unlock();
	return NULL;
}

/* ---- what peers have ---- */

/* Bounded; a peer that names more volumes than that has its newest ones ignored. */
static void known_remember(struct braid_net *bn, u8 node, const struct wire_greet *greet)
{
	struct braid_dispatch *dispatch = bn->device_private;
	struct known_entry *found = NULL, *known;

	mutex_lock(&dispatch->lock);
	list_for_each_entry(known, &dispatch->known, entry) {
		if (known->volume.id == greet->volume_id) {
			found = known;
			break;
		}
	}
	if (!found && dispatch->nr_known < BRAID_KNOWN_VOLUMES_MAX) {
		found = kzalloc(sizeof(*found), GFP_NOIO);
		if (found) {
			list_add_tail(&found->entry, &dispatch->known);
			dispatch->nr_known++;
		}
	}
	if (found) {
		found->volume.id = greet->volume_id;
		strscpy(found->volume.name, greet->name, sizeof(found->volume.name));
		found->volume.volume_bytes = greet->volume_bytes;
		found->volume.granule_bytes = greet->granule_bytes;
		found->volume.actlog_parts = greet->actlog_parts;
		found->volume.replicas = greet->replicas;
		found->volume.seen_from |= NODE_BIT(node);
	}
	mutex_unlock(&dispatch->lock);
}

/* Under dispatch->lock. */
static void known_forget_node(struct braid_dispatch *dispatch, u8 node)
{
	struct known_entry *known, *next;

	list_for_each_entry_safe(known, next, &dispatch->known, entry) {
		known->volume.seen_from &= ~NODE_BIT(node);
		if (known->volume.seen_from)
			continue;
		list_del(&known->entry);
		dispatch->nr_known--;
		kfree(known);
	}
}

bool braid_known_volume(struct braid_net *bn, unsigned int index, struct braid_known_volume *out)
{
	struct braid_dispatch *dispatch = bn->device_private;
	struct known_entry *known;
	bool found = false;

	mutex_lock(&dispatch->lock);
	list_for_each_entry(known, &dispatch->known, entry) {
		struct braid_volume *here = braid_volume_find(bn, known->volume.id);

		if (here) {
			braid_volume_put(here);
			continue;
		}
		if (index--)
			continue;
		*out = known->volume;
		found = true;
		break;
	}
	mutex_unlock(&dispatch->lock);
	return found;
}

/* ---- volumes and sessions come and go ---- */

void braid_dispatch_add(struct braid_volume *volume)
{
	struct braid_dispatch *dispatch = volume->bn->device_private;
	u32 node;

	mutex_lock(&dispatch->lock);
	braid_engine_post_simple(volume, VOLUME_EVENT_ONLINE, NODE_NONE);
	for (node = 0; node < NODES_MAX; node++) {
		if (dispatch->up & NODE_BIT(node))
			braid_engine_post_simple(volume, VOLUME_EVENT_PEER_UP, node);
	}
	list_add_tail_rcu(&volume->entry, &volume->bn->volumes);
	/* Only now may a step send anything: its answers find the volume. */
	braid_engine_start(volume);
	mutex_unlock(&dispatch->lock);
}

void braid_dispatch_remove(struct braid_volume *volume)
{
	struct braid_dispatch *dispatch = volume->bn->device_private;

	mutex_lock(&dispatch->lock);
	list_del_rcu(&volume->entry);
	mutex_unlock(&dispatch->lock);
	synchronize_rcu();
}

void braid_volumes_session_up(struct braid_net *bn, u8 node)
{
	struct braid_dispatch *dispatch = bn->device_private;
	struct braid_volume *volume;

	mutex_lock(&dispatch->lock);
	dispatch->up |= NODE_BIT(node);
	list_for_each_entry(volume, &bn->volumes, entry)
		braid_engine_post_simple(volume, VOLUME_EVENT_PEER_UP, node);
	mutex_unlock(&dispatch->lock);
}

void braid_volumes_session_down(struct braid_net *bn, u8 node)
{
	struct braid_dispatch *dispatch = bn->device_private;
	struct braid_volume *volume;

	mutex_lock(&dispatch->lock);
	dispatch->up &= ~NODE_BIT(node);
	known_forget_node(dispatch, node);
	list_for_each_entry(volume, &bn->volumes, entry)
		braid_engine_post_simple(volume, VOLUME_EVENT_PEER_DOWN, node);
	mutex_unlock(&dispatch->lock);
}

/* ---- frames ---- */

/* Acknowledgements of several volumes may share a frame: the ids say whose they are. */
static void receive_acks(struct braid_net *bn, u8 node, const struct wire_acks *acks)
{
	struct braid_volume *volume = NULL;
	u32 i;

	for (i = 0; i < acks->nr; i++) {
		const struct wire_ack *ack = &acks->ack[i];
		u32 minor = ack->request_id >> REQUEST_MINOR_SHIFT & REQUEST_MINOR_MASK;

		if (!volume || volume->minor != minor) {
			if (volume)
				braid_volume_put(volume);
			volume = find_minor(bn, minor);
		}
		if (!volume)
			continue;
		if (ack->request_id & BRAID_REQUEST_RESYNC)
			braid_sync_acks(volume, node, ack->request_id, ack->error);
		else
			braid_io_acks(volume, node, ack->request_id, ack->error);
	}
	if (volume)
		braid_volume_put(volume);
}

static int receive_control(struct braid_volume *volume, u8 node, const struct wire_header *header,
			   const union wire_body *body)
{
	struct volume_event event = {
		.type = VOLUME_EVENT_FRAME,
		.node = node,
		.frame_type = header->type,
		.body = body,
	};
	int error = braid_engine_throttle(volume);

	if (error)
		return error;
	braid_engine_post(volume, &event);
	return 0;
}

static int receive_volume(struct braid_volume *volume, u8 node, unsigned int lane, const struct wire_header *header,
			  const union wire_body *body, struct braid_buffer *payload)
{
	switch (header->type) {
	case WIRE_WRITE:
	case WIRE_DISCARD:
	case WIRE_ZEROES:
	case WIRE_FLUSH:
	case WIRE_READ:
	case WIRE_EVICT:
		return braid_apply_frame(volume, node, lane, header, body, payload);
	case WIRE_READ_DATA:
		braid_io_read_data(volume, node, header, &body->io, payload);
		return 0;
	case WIRE_DIGESTS:
	case WIRE_DIFFERS:
	case WIRE_RESYNC_DATA:
		return braid_sync_frame(volume, node, lane, header, body, payload);
	default:
		if (payload)
			braid_buffer_put(payload);
		return receive_control(volume, node, header, body);
	}
}

/* Does a body of @type start with the id of a volume? */
static bool is_of_volume(u8 type)
{
	return (type >= WIRE_GREET && type <= WIRE_RESOLVE) ||
	       (type >= WIRE_WRITE && type <= WIRE_RESYNC_DATA && type != WIRE_ACKS);
}

int braid_volumes_receive(struct braid_net *bn, u8 node, unsigned int lane, const struct wire_header *header,
			  const union wire_body *body, struct braid_buffer *payload)
{
	struct braid_volume *volume = NULL;
	int result = 0;

	if (header->type == WIRE_ACKS) {
		receive_acks(bn, node, &body->acks);
	} else if (is_of_volume(header->type)) {
		if (header->type == WIRE_GREET)
			known_remember(bn, node, &body->greet);
		volume = braid_volume_find(bn, body->volume.volume_id);
	} else {
		result = -EPROTO;
	}
	if (!volume) {
		if (payload)
			braid_buffer_put(payload);
		return result;
	}
	result = receive_volume(volume, node, lane, header, body, payload);
	braid_volume_put(volume);
	return result;
}

/* ---- namespace ---- */

int braid_devices_init_net(struct braid_net *bn)
{
	struct braid_dispatch *dispatch = kzalloc(sizeof(*dispatch), GFP_KERNEL);

	/* Every body of a volume starts alike, so one look tells whose it is. */
	BUILD_BUG_ON(offsetof(struct wire_greet, volume_id) || offsetof(struct wire_verdict, volume_id) ||
		     offsetof(struct wire_record, volume_id) || offsetof(struct wire_record_ack, volume_id) ||
		     offsetof(struct wire_promote, volume_id) || offsetof(struct wire_volume, volume_id) ||
		     offsetof(struct wire_ranges, volume_id) || offsetof(struct wire_accept, volume_id) ||
		     offsetof(struct wire_io, volume_id) || offsetof(struct wire_evict, volume_id) ||
		     offsetof(struct wire_resync, volume_id));
	if (!dispatch)
		return -ENOMEM;
	mutex_init(&dispatch->lock);
	INIT_LIST_HEAD(&dispatch->known);
	bn->device_private = dispatch;
	return 0;
}

void braid_devices_exit_net(struct braid_net *bn)
{
	struct braid_dispatch *dispatch = bn->device_private;
	struct known_entry *known, *next;

	list_for_each_entry_safe(known, next, &dispatch->known, entry)
		kfree(known);
	bn->device_private = NULL;
	kfree(dispatch);
}
