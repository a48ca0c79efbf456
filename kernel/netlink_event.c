// SPDX-License-Identifier: GPL-2.0
/*
 * Multicast events: a peer or a volume changed [C1].
 *
 * Notifications come from any context, so they only note what changed; one work item builds the messages from
 * snapshots taken then. A change that is noted already is not noted twice. Each event has the next number of its
 * namespace; a notification or message for which there is no memory uses up a number, which listeners see as a gap.
 */
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include "netlink.h"

enum { EVENT_BYTES = 8 << 10 };

struct note {
	struct list_head entry;
	struct net *net;		/* reference held */
	struct braid_volume *volume;	/* reference held; NULL: a peer */
	u8 node;
};

static LIST_HEAD(notes);		/* under notes_lock */
static DEFINE_SPINLOCK(notes_lock);
static bool running;			/* changed under notes_lock */
static struct workqueue_struct *workqueue;
static struct work_struct event_work;

static u32 next_sequence(struct braid_net *bn)
{
	unsigned long flags;
	u32 sequence;

	spin_lock_irqsave(&bn->event_lock, flags);
	sequence = ++bn->event_sequence;
	spin_unlock_irqrestore(&bn->event_lock, flags);
	return sequence;
}

static bool is_noted(const struct net *net, const struct braid_volume *volume, u8 node)
{
	const struct note *note;

	list_for_each_entry(note, &notes, entry)
		if (note->net == net && note->volume == volume && note->node == node)
			return true;
	return false;
}

/* Takes over the reference to @net if it returns true. Under notes_lock. */
static bool add_note(struct braid_net *bn, struct net *net, struct braid_volume *volume, u8 node)
{
	struct note *note;

	if (!running || is_noted(net, volume, node))
		return false;
	note = kmalloc(sizeof(*note), GFP_ATOMIC | __GFP_NOWARN);
	if (!note) {
		next_sequence(bn);
		return false;
	}
	*note = (struct note) { .net = net, .volume = volume, .node = node };
	if (volume)
		braid_volume_get(volume);
	list_add_tail(&note->entry, &notes);
	queue_work(workqueue, &event_work);
	return true;
}

static void notify(struct braid_net *bn, struct braid_volume *volume, u8 node)
{
	struct net *net = NULL;
	unsigned long flags;
	bool added;

	/* A volume may outlive its namespace: bn->net is good as long as bn is not dying, and a grace period longer. */
	rcu_read_lock();
	if (!READ_ONCE(bn->dying))
		net = maybe_get_net(bn->net);
	rcu_read_unlock();
	if (!net)
		return;
	spin_lock_irqsave(&notes_lock, flags);
	added = add_note(bn, net, volume, node);
	spin_unlock_irqrestore(&notes_lock, flags);
	if (!added)
		put_net(net);
}

void braid_notify_peer(struct braid_net *bn, u8 node)
{
	notify(bn, NULL, node);
}

void braid_notify_volume(struct braid_volume *volume)
{
	notify(volume->bn, volume, NODE_NONE);
}

/* ---- messages ---- */

static int put_peer_event(struct sk_buff *skb, struct braid_net *bn, u8 node)
{
	struct braid_session_status status;

	if (braid_session_status(bn, node, &status))
		return braid_put_peer(skb, &status);
	return nla_put_u8(skb, BRAID_A_PEER_ID, node) ?: nla_put_flag(skb, BRAID_A_PEER_GONE);
}

static int put_volume_event(struct sk_buff *skb, struct braid_net *bn, struct braid_volume *volume)
{
	struct braid_volume *found = braid_volume_find(bn, volume->id);
	struct braid_volume_status *status;
	int error;

	if (found)
		braid_volume_put(found);
	/* Another one may have been attached under the same id since: that is an event of its own. */
	if (found != volume)
		return nla_put_u64_64bit(skb, BRAID_A_VOLUME_ID, volume->id, BRAID_A_VOLUME_PAD) ?:
		       nla_put_string(skb, BRAID_A_VOLUME_NAME, volume->name) ?:
		       nla_put_flag(skb, BRAID_A_VOLUME_GONE);
	status = kmalloc(sizeof(*status), GFP_KERNEL);
	if (!status)
		return -ENOMEM;
	braid_volume_status(volume, status);
	error = braid_put_volume(skb, status);
	kfree(status);
	return error;
}

/* A failure shows as a gap: the number is used up. */
static void send_event(const struct note *note)
{
	struct braid_net *bn = braid_net(note->net);
	u32 sequence = next_sequence(bn);
	struct sk_buff *skb;
	void *header;
	int error;

	if (!genl_has_listeners(&braid_genl_family, note->net, 0))
		return;
	skb = genlmsg_new(EVENT_BYTES, GFP_KERNEL);
	if (!skb)
		return;
	header = genlmsg_put(skb, 0, 0, &braid_genl_family, 0, note->volume ? BRAID_CMD_VOLUME_EVENT : BRAID_CMD_PEER_EVENT);
	if (!header)
		error = -EMSGSIZE;
	else if (note->volume)
		error = nla_put_u32(skb, BRAID_A_VOLUME_SEQUENCE, sequence) ?: put_volume_event(skb, bn, note->volume);
	else
		error = nla_put_u32(skb, BRAID_A_PEER_SEQUENCE, sequence) ?: put_peer_event(skb, bn, note->node);
	if (error) {
		nlmsg_free(skb);
		return;
	}
	genlmsg_end(skb, header);
	/* Listeners that are too slow learn it from their socket (ENOBUFS) and from the gap. */
	genlmsg_multicast_netns(&braid_genl_family, note->net, skb, 0, 0, GFP_KERNEL);
}

static struct note *pop_note(void)
{
	struct note *note;
	unsigned long flags;

	spin_lock_irqsave(&notes_lock, flags);
	note = list_first_entry_or_null(&notes, struct note, entry);
	if (note)
		list_del(&note->entry);
	spin_unlock_irqrestore(&notes_lock, flags);
	return note;
}

static void send_events(struct work_struct *work)
{
	struct note *note;

	while ((note = pop_note())) {
		send_event(note);
		if (note->volume)
			braid_volume_put(note->volume);
		put_net(note->net);
		kfree(note);
		cond_resched();
	}
}

int braid_events_start(void)
{
	/* Ordered: numbers ascend on the wire. */
	workqueue = alloc_ordered_workqueue("braid_events", 0);
	if (!workqueue)
		return -ENOMEM;
	INIT_WORK(&event_work, send_events);
	spin_lock_irq(&notes_lock);
	running = true;
	spin_unlock_irq(&notes_lock);
	return 0;
}

void braid_events_stop(void)
{
	spin_lock_irq(&notes_lock);
	running = false;
	spin_unlock_irq(&notes_lock);
	destroy_workqueue(workqueue);	/* sends what was noted before */
}
