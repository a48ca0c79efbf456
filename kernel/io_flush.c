// SPDX-License-Identifier: GPL-2.0
/*
 * Flushes of the primary: whom they reach, what an answer proves [W5]. The rules are the core's (core/flush.h).
 *
 * One flush of users at a time is in flight, as on a disk. Those that come meanwhile wait, since the one in flight may not cover
 * what was acknowledged before them; all of them then share the next one: one of them leads, the others follow. So eight
 * clients that wait for eight flushes wait for two, and the peers see two.
 */
#include "io_internal.h"

void braid_request_into_flight(struct braid_request *request)
{
	struct volume *core = &request->volume->core;

	if (!request->flushing) {
		volume_begin(core, &request->ack, request->offset_bytes, request->length_bytes);
		if (!request->fua)
			request->fua = volume_expects_flush(core) && request->kind == REQUEST_WRITE;
	} else if (braid_request_is_internal(request)) {
		volume_begin(core, &request->ack, 0, 0);
	} else {
		volume_begin_flush(core, &request->ack);
	}
	request->ok_nodes = request->ack.nodes & ~request->ack.pending;
}

enum volume_answer braid_request_local_answer(const struct braid_request *request, bool failed)
{
	if (failed)
		return VOLUME_ANSWER_NONE;
	return flush_is_stable(request->flushing, request->fua, request->cached || braid_local_cached(request->volume)) ?
	       VOLUME_ANSWER_STABLE : VOLUME_ANSWER_VOLATILE;
}

/* ---- shared flushes ---- */

bool braid_flush_lead(struct braid_request *request)
{
	struct braid_io *io = request->volume->io;

	if (io->flush_leader) {
		list_add_tail(&request->entry, &io->flush_waiters);
		return false;
	}
	io->flush_leader = request;
	list_splice_tail_init(&io->flush_waiters, &io->flush_followers);
	return true;
}

void braid_flush_led(struct braid_request *request, struct list_head *followers)
{
	struct braid_io *io = request->volume->io;

	if (io->flush_leader != request)
		return;
	io->flush_leader = NULL;
	list_splice_init(&io->flush_followers, followers);
	if (!list_empty(&io->flush_waiters))
		queue_work(io->volume->workqueue, &io->work);
}

static void follower_end(struct braid_request *request, bool ok)
{
	struct braid_volume *volume = request->volume;
	unsigned long flags;

	if (!ok) {
		braid_request_fail(request);
		return;
	}
	if (request->kind == REQUEST_FLUSH) {
		braid_request_succeed(request);
		return;
	}
	spin_lock_irqsave(&volume->lock, flags);
	request->preflush = false;	/* now the write itself */
	request->flushing = false;
	braid_request_ready(request);
	spin_unlock_irqrestore(&volume->lock, flags);
}

void braid_flush_end(struct list_head *followers, bool ok)
{
	struct braid_request *request, *next;

	list_for_each_entry_safe(request, next, followers, entry) {
		list_del_init(&request->entry);
		follower_end(request, ok);
	}
}

void braid_flush_next(struct braid_io *io)
{
	if (!io->flush_leader && !list_empty(&io->flush_waiters))
		list_move_tail(io->flush_waiters.next, &io->ready);
}

void braid_flush_fail_all(struct braid_io *io)
{
	list_splice_tail_init(&io->flush_waiters, &io->ready);
	list_splice_tail_init(&io->flush_followers, &io->ready);
}
