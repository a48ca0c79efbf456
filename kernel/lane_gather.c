// SPDX-License-Identifier: GPL-2.0
/*
 * Writes that gather on a lane [N5], so that many share a call of the socket and a packet. Whose: direct writes that come one by one
 * (LANE_SOON; io_plug.c says who). Which of them wait for company: core/dues.h.
 *
 * What gathered goes out with the first of: an answer; enough for a burst; a frame that does not wait, as a flush; the processor has
 * nothing better to do, when a thread of low priority gets its turn. That is at once if another processor is idle, or when the
 * submitter sleeps. An answer that never comes (the peer's stream ended) or others who keep the processor busy leave the thread, which
 * gets its share. No timer is set for it; should all fail, the next ping of the session takes it along.
 */
#include "lane.h"

enum { GATHERER_NICE = 10 };	/* does not take the processor from the writer, and has it when the writer sleeps */

/*
 * One for each number that a data lane can have, whatever the number of peers. They are made when the module is loaded: a thread
 * cannot be made when memory is short and a session has to open [L4].
 */
static struct kthread_worker *gatherers[WIRE_LANES_MAX];

int braid_gatherers_init(void)
{
	unsigned int i;

	for (i = 1; i < WIRE_LANES_MAX; i++) {
		struct kthread_worker *gatherer = kthread_create_worker(0, "braid_gather%u", i);

		if (IS_ERR(gatherer))
			return PTR_ERR(gatherer);
		set_user_nice(gatherer->task, GATHERER_NICE);
		gatherers[i] = gatherer;
	}
	return 0;
}

void braid_gatherers_exit(void)
{
	unsigned int i;

	for (i = 1; i < WIRE_LANES_MAX; i++) {
		if (gatherers[i])
			kthread_destroy_worker(gatherers[i]);
		gatherers[i] = NULL;
	}
}

static void gather_work(struct kthread_work *work)
{
	struct braid_lane *lane = container_of(work, struct braid_lane, gather_work);

	spin_lock_bh(&lane->lock);
	if (lane->gathering)
		dues_looked(&lane->dues, list_is_singular(&lane->queue));
	spin_unlock_bh(&lane->lock);
	if (braid_lane_send_held(lane, LANE_AT_ONCE))
		braid_lane_send_now(lane);
}

void braid_lane_gather_init(struct braid_lane *lane)
{
	kthread_init_work(&lane->gather_work, gather_work);
}

void braid_lane_came(struct braid_lane *lane, const struct braid_frame *frame)
{
	if (frame->header.request_id & SESSION_ID_GATHERS)
		dues_came(&lane->dues);
}

bool braid_lane_gathers(struct braid_lane *lane)
{
	if (!dues_wait(&lane->dues, READ_ONCE(lane->unanswered_id), lane->queued_bytes >= LANE_BURST_BYTES))
		return false;
	if (!lane->gathering)
		kthread_queue_work(gatherers[lane->number], &lane->gather_work);
	lane->gathering = true;
	return true;
}

void braid_lane_answered(struct braid_lane *lane, const struct wire_acks *acks)
{
	u64 unanswered_id = READ_ONCE(lane->unanswered_id);
	u32 i, ended = 0;

	for (i = 0; i < acks->nr; i++) {
		u64 id = acks->ack[i].request_id;

		if (id & SESSION_ID_GATHERS)
			ended++;
		if (id == unanswered_id)
			cmpxchg64(&lane->unanswered_id, id, 0);
	}
	if (!ended)
		return;
	spin_lock_bh(&lane->lock);
	dues_ended(&lane->dues, ended);
	spin_unlock_bh(&lane->lock);
}

void braid_lane_release(struct braid_lane *lane)
{
	if (READ_ONCE(lane->gathering))
		braid_lane_kick_send(lane);
}
