// SPDX-License-Identifier: GPL-2.0
/*
 * The primary's reads [W7]: here when this replica is in sync, else from a peer.
 *
 * A local read that fails takes the range lock like a write, reads from a peer while it holds it, answers the user and
 * writes the good data back. Without the lock the rewrite could put older data over a newer write. The disk is
 * given up only when that rewrite fails. The rewrite needs no log: it stores what the in-sync replicas hold anyway.
 *
 * Without a disk here every read takes the lock, and so waits for writes of these blocks that are in flight: an earlier read, here or
 * at another peer, may have seen what this one has not got yet, and what was read does not vanish [I3].
 */
#include <linux/bio.h>
#include "io_internal.h"

static void local_read_endio(struct bio *clone)
{
	struct braid_request *request = clone->bi_private;
	struct braid_volume *volume = request->volume;
	bool ok = clone->bi_status == BLK_STS_OK;
	unsigned long flags;

	bio_put(clone);
	if (ok) {
		braid_request_succeed(request);
		return;
	}
	spin_lock_irqsave(&volume->lock, flags);
	request->failed_nodes |= NODE_BIT(volume->core.node);
	braid_request_ready(request);
	spin_unlock_irqrestore(&volume->lock, flags);
}

/* The failure of a missing disk is found like that of a bad one: another node is asked. */
static void read_here(struct braid_request *request)
{
	struct braid_volume *volume = request->volume;
	struct braid_disk *disk = READ_ONCE(volume->data);
	struct bio *clone;
	unsigned long flags;

	if (!disk) {
		spin_lock_irqsave(&volume->lock, flags);
		request->failed_nodes |= NODE_BIT(volume->core.node);
		braid_request_ready(request);
		spin_unlock_irqrestore(&volume->lock, flags);
		return;
	}
	clone = bio_alloc_clone(disk->bdev, request->bio, GFP_NOIO, &volume->io->read_set);
	clone->bi_iter.bi_sector += volume->core.super.data_offset_bytes >> SECTOR_SHIFT;
	clone->bi_end_io = local_read_endio;
	clone->bi_private = request;
	submit_bio(clone);
}

static void read_there(struct braid_request *request, u8 node, u64 id)
{
	struct braid_volume *volume = request->volume;
	struct wire_io io = {
		.offset_bytes = request->offset_bytes,
		.length_bytes = request->length_bytes,
	};

	/* Not sent: the session is gone. When the core knows, the request is redirected (io.c). */
	if (braid_send_io(volume, node, WIRE_READ, 0, id, &io, NULL, LANE_AT_ONCE) == -ENOMEM)
		braid_session_end(volume->bn, node, WIRE_BYE_STUCK);
}

/*
 * Which node? NODE_NONE: the request is somewhere else now, or *@failed. Under the lock.
 */
static u8 choose_node(struct braid_request *request, bool *failed, bool *io_waits)
{
	struct braid_volume *volume = request->volume;
	enum volume_gate gate = volume_gate_read(&volume->core);
	u8 self = volume->core.node;
	u8 node = volume_read_from(&volume->core, request->failed_nodes);

	*failed = volume->io->failing || gate == VOLUME_GATE_FAIL ||
		  (gate == VOLUME_GATE_OPEN && node == NODE_NONE && request->failed_nodes);
	if (*failed)
		return NODE_NONE;
	if (!request->admitted) {
		request->admitted = true;
		volume->io->nr_reads++;
	}
	if (gate == VOLUME_GATE_WAIT || node == NODE_NONE) {
		*io_waits = braid_request_gate(request);
		return NODE_NONE;
	}
	if (node == self)
		return node;
	if (!braid_request_range(request))
		return NODE_NONE;
	request->read_node = node;
	braid_request_insert(request);
	volume->io->nr_asked++;
	volume->count.remote_reads++;
	return node;
}

void braid_read_start(struct braid_request *request)
{
	struct braid_volume *volume = request->volume;
	bool failed, io_waits = false;
	unsigned long flags;
	u64 id;
	u8 node;

	spin_lock_irqsave(&volume->lock, flags);
	node = choose_node(request, &failed, &io_waits);
	id = request->id;
	if (node != NODE_NONE)
		refcount_inc(&request->references);
	spin_unlock_irqrestore(&volume->lock, flags);
	if (io_waits)
		braid_engine_post_simple(volume, VOLUME_EVENT_IO_WAITS, NODE_NONE);
	if (failed) {
		braid_request_fail(request);
		return;
	}
	if (node == NODE_NONE)
		return;
	if (node == volume->core.node)
		read_here(request);
	else
		read_there(request, node, id);
	braid_request_put(request);
}

/* The user has the data already in hand; what happens to the rewrite is the disk's affair only. */
static void rewrite_endio(struct bio *bio)
{
	struct braid_request *request = bio->bi_private;
	int error = blk_status_to_errno(bio->bi_status);

	bio_put(bio);
	if (error)
		braid_disk_failed(request->volume, "rewrite after a failed read", error);
	braid_request_succeed(request);
}

/*
 * The disk may make it wait, and a lane has more to do than that. FUA: the block was stable before, maybe, and a flush that
 * finds nothing to do would not make it so again.
 */
static void rewrite_work(struct work_struct *work)
{
	struct braid_request *request = container_of(work, struct braid_request, work);
	struct braid_volume *volume = request->volume;
	struct bio *bio = braid_local_bio(volume, &volume->io->bio_set, REQ_OP_WRITE | REQ_FUA, request->buffer,
					  request->offset_bytes, request->length_bytes, rewrite_endio, request,
					  GFP_NOIO);

	if (bio)
		submit_bio(bio);
	else
		braid_request_succeed(request);
}

void braid_io_read_data(struct braid_volume *volume, u8 node, const struct wire_header *header,
			const struct wire_io *io, struct braid_buffer *payload)
{
	struct braid_request *request;
	bool good, rewrite = false;
	unsigned long flags;

	spin_lock_irqsave(&volume->lock, flags);
	request = braid_request_find(volume, header->request_id);
	if (!request || request->kind != REQUEST_READ || request->read_node != node) {
		spin_unlock_irqrestore(&volume->lock, flags);
		braid_buffer_put(payload);
		return;
	}
	braid_read_take_back(request);
	good = !io->error && payload && payload->length_bytes == request->length_bytes &&
	       io->offset_bytes == request->offset_bytes;
	if (good) {
		rewrite = (request->failed_nodes & NODE_BIT(volume->core.node)) && volume->core.disk == VOLUME_DISK_OK;
	} else {
		request->failed_nodes |= NODE_BIT(node);
		braid_request_ready(request);
	}
	spin_unlock_irqrestore(&volume->lock, flags);
	if (!good) {
		braid_buffer_put(payload);
		return;
	}
	request->buffer = payload;
	braid_buffer_to_bio(payload, request->bio);
	if (rewrite) {
		INIT_WORK(&request->work, rewrite_work);
		queue_work(volume->sleeper_workqueue, &request->work);
	} else {
		braid_request_succeed(request);
	}
}
