// SPDX-License-Identifier: GPL-2.0
/*
 * Submitters that have more to come [N5]: writeback, a journal's commit, many requests in one system call. They hold a plug while they
 * submit. Their writes are queued on the lanes and sent when the plug ends, together: one call of the socket and few packets for all
 * of them, where each had its own. What makes a burst before that is sent as it is.
 *
 * Nothing waits for others: the block layer ends the plug when its owner has submitted everything, and before it sleeps for whatever
 * reason. In the latter case it must not sleep once more in here, so the lanes' works send.
 *
 * References: the plug counts as a request, so that the volume is there when it ends.
 */
#include <linux/blkdev.h>
#include <linux/slab.h>
#include "io_internal.h"

struct io_plug {
	struct blk_plug_cb cb;	/* first: the block layer allocates and finds it, we free it */
	u32 nodes;		/* with frames on lanes; 0: new */
	u32 lanes;		/* on which ones */
	enum lane_haste haste;	/* when it ends */
};

static void send_held(struct braid_volume *volume, u32 nodes, u32 lanes, enum lane_haste haste)
{
	for (; nodes; nodes &= nodes - 1)
		braid_session_send_held(volume->bn, __ffs(nodes), lanes, haste);
}

static void unplug(struct blk_plug_cb *cb, bool from_schedule)
{
	struct io_plug *plug = container_of(cb, struct io_plug, cb);
	struct braid_volume *volume = cb->data;

	send_held(volume, plug->nodes, plug->lanes, from_schedule ? LANE_BY_WORK : plug->haste);
	kfree(plug);
	braid_request_uncount(volume);
}

/*
 * Direct I/O of one by one: its submitter may have many under way, and may be about to make the next. Who writes back pages or a
 * journal waits for just that, and what he has together he has said by a plug. Who wants a write on stable storage waits for it.
 */
bool braid_write_gathers(const struct bio *bio)
{
	return (bio->bi_opf & (REQ_SYNC | REQ_IDLE | REQ_META | REQ_FUA | REQ_PREFLUSH)) == (REQ_SYNC | REQ_IDLE);
}

static enum lane_haste haste_of(const struct braid_request *request)
{
	return request->gathers ? LANE_SOON : LANE_AT_ONCE;
}

enum lane_haste braid_plug_haste(const struct braid_request *request)
{
	return current->plug ? LANE_HELD : haste_of(request);
}

void braid_plug(const struct braid_request *request, u32 nodes, u32 lanes)
{
	struct braid_volume *volume = request->volume;
	struct blk_plug_cb *cb = blk_check_plugged(unplug, volume, sizeof(struct io_plug));
	struct io_plug *plug;

	if (!cb) {
		send_held(volume, nodes, lanes, haste_of(request));
		return;
	}
	plug = container_of(cb, struct io_plug, cb);
	if (!plug->nodes)
		atomic_inc(&volume->io->nr_requests);	/* that of the caller is among them: not 0 */
	plug->haste = plug->nodes ? LANE_AT_ONCE : haste_of(request);	/* 6.12 puts a plug around each single bio */
	plug->nodes |= nodes;
	plug->lanes |= lanes;
}
