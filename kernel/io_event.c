// SPDX-License-Identifier: GPL-2.0
/*
 * What peers and the core say about changes in flight: acknowledged, missed, released, given up, forced down. io.c has their way
 * until they are sent, and their end.
 *
 * Whoever finds that a request has its last answer drops the hold after unlocking: then the request ends.
 */
#include <linux/bio.h>
#include "io_internal.h"

static void end_collected(struct list_head *ending)
{
	struct braid_request *request, *next;

	list_for_each_entry_safe(request, next, ending, ending) {
		list_del_init(&request->ending);
		braid_request_drop_hold(request);
	}
}

/* ---- from peers and from the core ---- */

void braid_io_acks(struct braid_volume *volume, u8 node, u64 request_id, u8 result)
{
	enum volume_answer answer = result == WIRE_ACK_STABLE ? VOLUME_ANSWER_STABLE : VOLUME_ANSWER_VOLATILE;
	struct braid_request *request;
	bool last = false, report = false;
	unsigned long flags;

	spin_lock_irqsave(&volume->lock, flags);
	request = braid_request_find(volume, request_id);
	/* Of a peer that left the stream since: the answer belongs to its former incarnation. */
	if (request && request->ack.missed & NODE_BIT(node))
		request = NULL;
	if (request && request->kind != REQUEST_READ && node != volume->core.node) {
		report = result == WIRE_ACK_FAILED && volume_waits_for(&request->ack, node);
		if (result != WIRE_ACK_FAILED)
			last = braid_request_acked(request, node, answer);
	}
	spin_unlock_irqrestore(&volume->lock, flags);
	if (report)
		braid_engine_post_simple(volume, VOLUME_EVENT_PEER_IO_FAILED, node);
	if (last)
		braid_request_drop_hold(request);
}

void braid_io_missed(struct braid_volume *volume, u8 node)
{
	struct braid_io *io = volume->io;
	struct braid_request *request;
	unsigned long flags;
	u32 bucket;

	spin_lock_irqsave(&volume->lock, flags);
	for (bucket = 0; bucket < ARRAY_SIZE(io->in_flight); bucket++)
		hlist_for_each_entry(request, &io->in_flight[bucket], by_id)
			if (request->kind != REQUEST_READ)
				volume_missed(&volume->core, &request->ack, node);
	spin_unlock_irqrestore(&volume->lock, flags);
}

void braid_io_release(struct braid_volume *volume, u8 node)
{
	struct braid_io *io = volume->io;
	struct braid_request *request;
	LIST_HEAD(ending);
	unsigned long flags;
	u32 bucket;

	spin_lock_irqsave(&volume->lock, flags);
	for (bucket = 0; bucket < ARRAY_SIZE(io->in_flight); bucket++)
		hlist_for_each_entry(request, &io->in_flight[bucket], by_id)
			if (request->kind != REQUEST_READ && braid_request_released(request, node))
				list_add_tail(&request->ending, &ending);
	spin_unlock_irqrestore(&volume->lock, flags);
	end_collected(&ending);
}

/* Nobody will be asked any more, whoever has not answered. Under the lock. */
static void give_up(struct braid_request *request, struct list_head *ending)
{
	u8 node;

	for (node = 0; node < NODES_MAX; node++)
		if (braid_request_acked(request, node, VOLUME_ANSWER_NONE))
			list_add_tail(&request->ending, ending);
}

/* No complete replica is left, though a resync target may have taken the writes in flight. Under the lock. */
static void doom_in_flight(struct braid_io *io, struct list_head *ending)
{
	struct braid_request *request;
	u32 bucket;

	for (bucket = 0; bucket < ARRAY_SIZE(io->in_flight); bucket++) {
		hlist_for_each_entry(request, &io->in_flight[bucket], by_id) {
			if (request->kind == REQUEST_READ)
				continue;
			request->doomed = true;
			give_up(request, ending);
		}
	}
}

void braid_io_gate(struct braid_volume *volume)
{
	struct braid_io *io = volume->io;
	LIST_HEAD(ending);
	unsigned long flags;

	spin_lock_irqsave(&volume->lock, flags);
	if (volume_gate_write(&volume->core) == VOLUME_GATE_FAIL)
		doom_in_flight(io, &ending);
	list_splice_tail_init(&io->gate_waiters, &io->ready);
	if (!list_empty(&io->ready))
		queue_work(volume->workqueue, &io->work);
	spin_unlock_irqrestore(&volume->lock, flags);
	end_collected(&ending);
}

void braid_io_peer_down(struct braid_volume *volume, u8 node)
{
	struct braid_io *io = volume->io;
	struct braid_request *request;
	struct hlist_node *next;
	bool waits = false;
	unsigned long flags;
	u32 bucket;

	spin_lock_irqsave(&volume->lock, flags);
	for (bucket = 0; bucket < ARRAY_SIZE(io->in_flight); bucket++) {
		hlist_for_each_entry_safe(request, next, &io->in_flight[bucket], by_id) {
			waits |= request->kind != REQUEST_READ && volume_waits_for(&request->ack, node);
			if (request->kind != REQUEST_READ || request->read_node != node)
				continue;
			braid_read_take_back(request);
			braid_request_ready(request);
		}
	}
	spin_unlock_irqrestore(&volume->lock, flags);
	if (waits)
		braid_engine_post_simple(volume, VOLUME_EVENT_IO_WAITS, NODE_NONE);
}

/* ---- forced down ---- */

/* Everything in flight: the user's bio of a change ends now; peers are waited for no more, @owing were. Under the lock. */
static void fail_in_flight(struct braid_volume *volume, struct list_head *ending, struct bio_list *bios, u32 *owing)
{
	struct braid_io *io = volume->io;
	struct braid_request *request;
	struct hlist_node *next;
	struct bio *bio;
	u32 bucket;

	for (bucket = 0; bucket < ARRAY_SIZE(io->in_flight); bucket++) {
		hlist_for_each_entry_safe(request, next, &io->in_flight[bucket], by_id) {
			if (request->kind == REQUEST_READ) {
				braid_read_take_back(request);
				braid_request_ready(request);	/* finds io->failing */
				continue;
			}
			request->preflush = false;
			request->flush_epoch = 0;	/* proves nothing any more */
			bio = braid_request_take_bio(request, false);
			*owing |= request->ack.pending & ~NODE_BIT(volume->core.node);
			if (bio)
				bio_list_add(bios, bio);
			request->kind = request->kind == REQUEST_FLUSH ? REQUEST_WRITE : request->kind;
			give_up(request, ending);
		}
	}
}

/* Who has the range may not be through before the volume has left its sessions, which comes later than this. Under the lock. */
static void fail_range_waiters(struct braid_volume *volume)
{
	struct braid_io *io = volume->io;
	struct braid_request *request;

	while ((request = list_first_entry_or_null(&io->range_waiters, struct braid_request, entry))) {
		list_move_tail(&request->entry, &io->ready);
		braid_range_unlock(&volume->ranges, &request->range);
	}
}

void braid_io_fail_all(struct braid_volume *volume)
{
	struct braid_io *io = volume->io;
	LIST_HEAD(ending);
	struct bio_list bios;
	struct bio *bio;
	unsigned long flags;
	u32 owing = 0;

	bio_list_init(&bios);
	spin_lock_irqsave(&volume->lock, flags);
	io->failing = true;
	fail_in_flight(volume, &ending, &bios, &owing);
	list_splice_tail_init(&io->gate_waiters, &io->ready);
	list_splice_tail_init(&io->full_waiters, &io->ready);
	fail_range_waiters(volume);
	braid_flush_fail_all(io);
	queue_work(volume->workqueue, &io->work);
	wake_up_all(&volume->changed);	/* who waits for an eviction round */
	spin_unlock_irqrestore(&volume->lock, flags);
	while ((bio = bio_list_pop(&bios)))
		bio_endio(bio);
	end_collected(&ending);
	/*
	 * Writes on their way may arrive at any time while the session lives: not at the volume's next life [I15], nor beside another
	 * writer. And a peer may leave its socket full for as long as it likes; a user's bio whose pages are in there does not wait [L1].
	 */
	for (; owing; owing &= owing - 1)
		braid_session_end(volume->bn, __ffs(owing), WIRE_BYE_STUCK);
}
