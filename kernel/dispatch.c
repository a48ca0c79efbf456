// SPDX-License-Identifier: GPL-2.0
/*
 * From sessions to volumes: who gets a frame, who learns that a session began or ended, and which volumes the peers have
 * that are not here [N1].
 *
 * A volume comes and goes independently of sessions. So that each volume sees each session begin exactly once and
 * before anything of it arrives, joining the list and the begin and end of sessions exclude each other by
 * braid_dispatch.lock. Inside it events are only queued, nothing waits.
 *
 * A volume sees the end of a session when its engine gets there, which may be late (an engine may wait for a resync that
 * waits for a disk), and the next session does not wait for it: a volume with a hung disk holds up no other. So
 * nothing may pass between a volume and a session that it has not seen begin, in neither direction:
 *
 *   Sessions are numbered; volume->session[node] is the number of the one whose PEER_UP was stepped, 0 after PEER_DOWN.
 *   Out: a frame goes out only on a lane with that number.  In: frames of the control plane are queued behind PEER_UP; all
 *   others are dropped unless their session has that number. Nothing is lost by that: a peer sends such frames only to
 *   a relation, and relations begin with the greeting that this end sends after it has stepped PEER_UP.
 *   Numbers and request ids come from one sequence, and one more is taken when PEER_UP is stepped (volume->entered[node]), under
 *   the lock under which ids are taken. A request that was begun in an older session and is sent late, or the answer to one, has
 *   an id below that: neither sent nor accepted. (Who waits for the answer was told by the core when PEER_DOWN was
 *   stepped.) The number of the session itself would not do: a write may take its id, for peers of the old stream, after the next
 *   session opened and before the engine has stepped the end of the old one.
 *
 * A frame that is being delivered counts as a receiver of its volume: what it works on is freed after the last one only.
 *
 * Locks: bn->lock > braid_dispatch.lock > volume->lock. The session layer's calls come without bn->lock.
 */
#include <linux/hash.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include "device.h"

enum { DISPATCH_HASH_BITS = 8 };

struct known_entry {
	struct list_head entry;
	struct hlist_node by_id;
	u32 number;		/* grows along the list */
	struct braid_known_volume volume;
};

struct braid_dispatch {
	struct mutex lock;	/* all below, and changes of bn->volumes */
	u64 session[NODES_MAX];	/* number of the open session with each node, or 0 */
	/* The same volumes as in bn->volumes, for each frame; read under RCU. */
	struct hlist_head by_id[1 << DISPATCH_HASH_BITS];
	struct hlist_head by_minor[1 << DISPATCH_HASH_BITS];
	struct list_head known;
	struct hlist_head known_by_id[1 << DISPATCH_HASH_BITS];
	u32 nr_known;
	u32 known_number;	/* of the newest */
};

static atomic64_t request_sequence = ATOMIC64_INIT(0);

enum { REQUEST_MINOR_SHIFT = 48, REQUEST_MINOR_MASK = 0x7fff };

#define REQUEST_SEQUENCE_MASK (SESSION_ID_GATHERS - 1)

u64 braid_request_id(const struct braid_volume *volume, u64 flags)
{
	u64 sequence;

	/* A session lives for two years at a million a second (id_is_older()), then a new one follows. 0: no request in a frame. */
	do
		sequence = (u64)atomic64_inc_return(&request_sequence) & REQUEST_SEQUENCE_MASK;
	while (!sequence);
	return flags | (u64)volume->minor << REQUEST_MINOR_SHIFT | sequence;
}

u64 braid_volumes_session_number(void)
{
	return (u64)atomic64_inc_return(&request_sequence);
}

static bool is_in_session(const struct braid_volume *volume, u8 node, u64 number)
{
	return number && smp_load_acquire(&volume->session[node]) == number;
}

/* Was the request begun before the volume entered the session that it is in? Sequence numbers may wrap. */
static bool id_is_older(const struct braid_volume *volume, u8 node, u64 id)
{
	return ((READ_ONCE(volume->entered[node]) - id) & REQUEST_SEQUENCE_MASK) <= REQUEST_SEQUENCE_MASK / 2;
}

/* ---- lookup ---- */

/* Under RCU. */
static struct braid_volume *find_id(struct braid_net *bn, u64 id)
{
	struct braid_dispatch *dispatch = bn->device_private;
	struct braid_volume *volume;

	hlist_for_each_entry_rcu(volume, &dispatch->by_id[hash_64(id, DISPATCH_HASH_BITS)], by_id)
		if (volume->id == id)
			return volume;
	return NULL;
}

static struct braid_volume *find_minor(struct braid_net *bn, u32 minor)
{
	struct braid_dispatch *dispatch = bn->device_private;
	struct braid_volume *volume;

	hlist_for_each_entry_rcu(volume, &dispatch->by_minor[hash_32(minor, DISPATCH_HASH_BITS)], by_minor)
		if (volume->minor == minor)
			return volume;
	return NULL;
}

struct braid_volume *braid_volume_find(struct braid_net *bn, u64 id)
{
	struct braid_volume *volume;

	rcu_read_lock();
	volume = find_id(bn, id);
	if (volume && !kref_get_unless_zero(&volume->references))
		volume = NULL;
	rcu_read_unlock();
	return volume;
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

struct braid_volume *braid_volume_next(struct braid_net *bn, u64 after_id)
{
	struct braid_volume *volume;
	u64 best_id;

	do {
		best_id = 0;
		rcu_read_lock();
		list_for_each_entry_rcu(volume, &bn->volumes, entry)
			if (volume->id > after_id && (!best_id || volume->id < best_id))
				best_id = volume->id;
		rcu_read_unlock();
		if (!best_id)
			return NULL;
		volume = braid_volume_find(bn, best_id);
		after_id = best_id;	/* it went down just now: the next one then */
	} while (!volume);
	return volume;
}

/* Under RCU, so that the grace period of braid_dispatch_remove() is the end of it. */
static bool receiver_begin(struct braid_volume *volume)
{
	if (!kref_get_unless_zero(&volume->references))
		return false;
	atomic_inc(&volume->receivers);
	return true;
}

static void receiver_end(struct braid_volume *volume)
{
	if (atomic_dec_and_test(&volume->receivers))
		wake_up_all(&volume->changed);
	braid_volume_put(volume);
}

static struct braid_volume *receiver_of_id(struct braid_net *bn, u64 id)
{
	struct braid_volume *volume;

	rcu_read_lock();
	volume = find_id(bn, id);
	if (volume && !receiver_begin(volume))
		volume = NULL;
	rcu_read_unlock();
	return volume;
}

static struct braid_volume *receiver_of_minor(struct braid_net *bn, u32 minor)
{
	struct braid_volume *volume;

	rcu_read_lock();
	volume = find_minor(bn, minor);
	if (volume && !receiver_begin(volume))
		volume = NULL;
	rcu_read_unlock();
	return volume;
}

/* ---- what peers have ---- */

/* Bounded; a peer that names more volumes than that has its newest ones ignored. */
static void known_remember(struct braid_net *bn, u8 node, const struct wire_greet *greet)
{
	struct braid_dispatch *dispatch = bn->device_private;
	struct hlist_head *head = &dispatch->known_by_id[hash_64(greet->volume_id, DISPATCH_HASH_BITS)];
	struct known_entry *found = NULL, *known;

	mutex_lock(&dispatch->lock);
	hlist_for_each_entry(known, head, by_id) {
		if (known->volume.id == greet->volume_id) {
			found = known;
			break;
		}
	}
	if (!found && dispatch->nr_known < BRAID_KNOWN_VOLUMES_MAX) {
		found = kzalloc(sizeof(*found), GFP_NOIO);
		if (found) {
			list_add_tail(&found->entry, &dispatch->known);
			hlist_add_head(&found->by_id, head);
			found->number = ++dispatch->known_number;
			dispatch->nr_known++;
		}
	}
	if (found) {
		found->volume.id = greet->volume_id;
		strscpy(found->volume.name, greet->name, sizeof(found->volume.name));
		found->volume.volume_bytes = greet->volume_bytes;
		found->volume.granule_bytes = greet->granule_bytes;
		found->volume.actlog_parts = greet->actlog_parts;
		found->volume.block_bytes = VOLUME_SECTOR_BYTES << greet->block_shift;
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
		hlist_del(&known->by_id);
		dispatch->nr_known--;
		kfree(known);
	}
}

bool braid_known_volume(struct braid_net *bn, u32 *number, struct braid_known_volume *out)
{
	struct braid_dispatch *dispatch = bn->device_private;
	struct known_entry *known;
	bool found = false;

	mutex_lock(&dispatch->lock);
	list_for_each_entry(known, &dispatch->known, entry) {
		if (known->number <= *number)
			continue;
		rcu_read_lock();
		found = !find_id(bn, known->volume.id);
		rcu_read_unlock();
		if (!found)
			continue;
		*out = known->volume;
		*number = known->number;
		break;
	}
	mutex_unlock(&dispatch->lock);
	return found;
}

/* ---- volumes and sessions come and go ---- */

static void post_session(struct braid_volume *volume, enum volume_event_type type, u8 node, u64 number)
{
	struct volume_event event = { .type = type, .node = node, .value = number,
				      .features = braid_session_features(volume->bn, node) };

	braid_engine_post(volume, &event);
}

void braid_dispatch_add(struct braid_volume *volume)
{
	struct braid_dispatch *dispatch = volume->bn->device_private;
	u32 node;

	mutex_lock(&dispatch->lock);
	braid_engine_post_simple(volume, VOLUME_EVENT_ONLINE, NODE_NONE);
	for (node = 0; node < NODES_MAX; node++) {
		if (dispatch->session[node])
			post_session(volume, VOLUME_EVENT_PEER_UP, node, dispatch->session[node]);
	}
	list_add_tail_rcu(&volume->entry, &volume->bn->volumes);
	hlist_add_head_rcu(&volume->by_id, &dispatch->by_id[hash_64(volume->id, DISPATCH_HASH_BITS)]);
	hlist_add_head_rcu(&volume->by_minor, &dispatch->by_minor[hash_32(volume->minor, DISPATCH_HASH_BITS)]);
	/* Only now may a step send anything: its answers find the volume. */
	braid_engine_start(volume);
	mutex_unlock(&dispatch->lock);
}

void braid_dispatch_remove(struct braid_volume *volume)
{
	struct braid_dispatch *dispatch = volume->bn->device_private;

	mutex_lock(&dispatch->lock);
	list_del_rcu(&volume->entry);
	hlist_del_rcu(&volume->by_id);
	hlist_del_rcu(&volume->by_minor);
	mutex_unlock(&dispatch->lock);
	synchronize_rcu();
}

void braid_dispatch_drain(struct braid_volume *volume)
{
	wait_event(volume->changed, !atomic_read(&volume->receivers));
}

void braid_volumes_session_up(struct braid_net *bn, u8 node, u64 number)
{
	struct braid_dispatch *dispatch = bn->device_private;
	struct braid_volume *volume;

	mutex_lock(&dispatch->lock);
	dispatch->session[node] = number;
	list_for_each_entry(volume, &bn->volumes, entry)
		post_session(volume, VOLUME_EVENT_PEER_UP, node, number);
	mutex_unlock(&dispatch->lock);
}

void braid_volumes_settle(struct braid_net *bn, u8 node, u32 timeout_ms)
{
	u64 deadline = get_jiffies_64() + msecs_to_jiffies(timeout_ms);
	struct braid_volume *volume;
	u64 now, id = 0;

	while ((now = get_jiffies_64(), time_before64(now, deadline)) && (volume = braid_volume_next(bn, id))) {
		id = volume->id;
		/* A promotion or demotion under way empties the log by itself, or has none. */
		if (mutex_trylock(&volume->command_lock)) {
			/* Who sets it waits for command_lock, or holds it. */
			if (!READ_ONCE(volume->removing))
				braid_io_settle(volume, node, jiffies_to_msecs(deadline - now));
			braid_command_unlock(volume);
		}
		braid_volume_put(volume);
	}
}

void braid_volumes_session_down(struct braid_net *bn, u8 node)
{
	struct braid_dispatch *dispatch = bn->device_private;
	struct braid_volume *volume;

	mutex_lock(&dispatch->lock);
	dispatch->session[node] = 0;
	known_forget_node(dispatch, node);
	list_for_each_entry(volume, &bn->volumes, entry)
		post_session(volume, VOLUME_EVENT_PEER_DOWN, node, 0);
	mutex_unlock(&dispatch->lock);
}

/* ---- frames ---- */

static bool is_data_request(u8 type)
{
	switch (type) {
	case WIRE_WRITE:
	case WIRE_DISCARD:
	case WIRE_ZEROES:
	case WIRE_FLUSH:
	case WIRE_READ:
	case WIRE_DIGESTS:
	case WIRE_RESYNC_DATA:
		return true;
	default:
		return false;
	}
}

bool braid_volumes_may_send(struct braid_net *bn, u8 node, u64 number, const struct braid_frame *frame)
{
	bool request = is_data_request(frame->header.type);
	const struct braid_volume *volume;

	if (!frame->volume_id)	/* of no volume, or acknowledgements, which who asked looks through */
		return true;
	volume = find_id(bn, frame->volume_id);
	if (!volume)	/* it is going down: late answers go out, its engine looks itself; nobody waits for what it asks */
		return !request;
	return is_in_session(volume, node, number) && !(request && id_is_older(volume, node, frame->header.request_id));
}

/* Acknowledgements of several volumes may share a frame: the ids say whose they are. */
static void receive_acks(struct braid_net *bn, u8 node, u64 number, const struct wire_acks *acks)
{
	struct braid_volume *volume = NULL;
	u32 i;

	for (i = 0; i < acks->nr; i++) {
		const struct wire_ack *ack = &acks->ack[i];
		u32 minor = ack->request_id >> REQUEST_MINOR_SHIFT & REQUEST_MINOR_MASK;

		if (!volume || volume->minor != minor) {
			if (volume)
				receiver_end(volume);
			volume = receiver_of_minor(bn, minor);
		}
		if (!volume || !is_in_session(volume, node, number) || id_is_older(volume, node, ack->request_id))
			continue;
		if (ack->request_id & BRAID_REQUEST_RESYNC)
			braid_sync_acks(volume, node, ack->request_id, ack->result == WIRE_ACK_FAILED);
		else
			braid_io_acks(volume, node, ack->request_id, ack->result);
	}
	if (volume)
		receiver_end(volume);
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

/* Frames that do not go through the engine: is the volume in the session, and the question of it? See the head comment. */
static bool may_receive(const struct braid_volume *volume, u8 node, u64 number, const struct wire_header *header)
{
	if (header->type < WIRE_WRITE)
		return true;
	if (!is_in_session(volume, node, number))
		return false;
	return (header->type != WIRE_READ_DATA && header->type != WIRE_DIFFERS) ||
	       !id_is_older(volume, node, header->request_id);
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

int braid_volumes_receive(struct braid_net *bn, u8 node, u64 number, unsigned int lane, const struct wire_header *header,
			  const union wire_body *body, struct braid_buffer *payload)
{
	struct braid_volume *volume = NULL;
	int result = 0;

	if (header->type == WIRE_ACKS) {
		receive_acks(bn, node, number, &body->acks);
	} else if (braid_type_is_of_volume(header->type)) {
		if (header->type == WIRE_GREET)
			known_remember(bn, node, &body->greet);
		volume = receiver_of_id(bn, body->volume.volume_id);
	} else {
		result = -EPROTO;
	}
	if (volume && may_receive(volume, node, number, header))
		result = receive_volume(volume, node, lane, header, body, payload);
	else
		braid_buffer_put(payload);
	if (volume)
		receiver_end(volume);
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
