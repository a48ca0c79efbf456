// SPDX-License-Identifier: GPL-2.0
/*
 * Frames of one lane to bytes of its TCP connection [N5]; see lane.c.
 *
 * A write should not wait for threads on its way, and many should share calls and packets. Who queues a frame that somebody waits for
 * (a write, acknowledgements) becomes the lane's sender if nobody is, and sends all that is queued: no thread is woken. What
 * others queue meanwhile, on other processors, goes out with it. Frames that nobody waits for (resync, eviction) wake the send
 * work, or whoever completes a burst sends it. Who says that it has more to queue (a submitter's plug: io_plug.c) queues all of it
 * first.
 *
 * Direct writes of one who has many under way do not call the socket one by one (LANE_SOON): lane_gather.c.
 *
 *   sender     false -> true: the send work, braid_lane_send_open() or braid_lane_send_held() (the end of a plug; the gatherer); back:
 *              send_ends(), which hands what came meanwhile to the work. braid_lane_close() sets stopped and waits for false.
 *
 * Many frames go out in one call of the socket. Those with more than LANE_COPY_BYTES of payload by reference: payload pages as they are,
 * headers and fixed parts from pages of the lane's own, which nobody writes to again. Smaller ones are copied: a packet can refer to 17
 * pieces of memory, and small writes, two pieces each, would leave it half empty. Frames end when the socket took them; those with
 * pages of a submitter's bio that TCP refers to, when it has no more use for these.
 */
#include <linux/sched/mm.h>
#include <linux/tcp.h>
#include <net/tcp.h>
#include "compat.h"
#include "lane.h"

static u32 prefix_bytes(const struct braid_frame *frame)
{
	return WIRE_HEADER_BYTES + frame->fixed_bytes;
}

/* The same for as long as the frame lives. Payload whose pages come from a reserve is not to wait for others. */
static bool is_copied(const struct braid_frame *frame)
{
	return !frame->payload || (frame->payload_bytes <= LANE_COPY_BYTES && !frame->payload->scarce);
}

/*
 * Header and fixed part go into a page that is only ever added to, so that TCP may refer to them for as long as it likes. Without
 * memory for one they are copied.
 */
static void place_prefix(struct braid_lane *lane, struct braid_frame *frame)
{
	u32 bytes = prefix_bytes(frame);

	if (bytes > PAGE_SIZE)
		return;
	if (!lane->prefix_page || lane->prefix_page_bytes + bytes > PAGE_SIZE) {
		struct page *page = alloc_page(GFP_NOWAIT | __GFP_NOWARN);

		if (!page)
			return;
		braid_lane_drop_prefix_page(lane);
		lane->prefix_page = page;
		lane->prefix_page_bytes = 0;
	}
	memcpy(page_address(lane->prefix_page) + lane->prefix_page_bytes, frame->encoded_header, bytes);
	get_page(lane->prefix_page);
	frame->prefix_page = lane->prefix_page;
	frame->prefix_offset_bytes = lane->prefix_page_bytes;
	lane->prefix_page_bytes += bytes;
}

void braid_lane_drop_prefix_page(struct braid_lane *lane)
{
	if (lane->prefix_page)
		put_page(lane->prefix_page);
	lane->prefix_page = NULL;
}

static bool is_change(const struct braid_frame *frame)
{
	u8 type = frame->header.type;

	return type == WIRE_WRITE || type == WIRE_DISCARD || type == WIRE_ZEROES;
}

/* Frames get their numbers here, in the order in which they were queued. */
static void take_queued(struct braid_lane *lane)
{
	struct braid_frame *frame, *next;
	LIST_HEAD(taken);

	if (list_empty_careful(&lane->queue))	/* send_ends() looks again */
		return;
	spin_lock_bh(&lane->lock);
	list_splice_init(&lane->queue, &taken);
	lane->queued_bytes = 0;
	lane->gathering = false;
	spin_unlock_bh(&lane->lock);
	list_for_each_entry_safe(frame, next, &taken, entry) {
		if (is_change(frame))
			WRITE_ONCE(lane->unanswered_id, frame->header.request_id);
		frame->header.sequence = lane->send_sequence++;
		wire_encode_header(&frame->header, frame->encoded_header);
		if (!is_copied(frame))
			place_prefix(lane, frame);
		list_move_tail(&frame->entry, &lane->sending);
	}
}

/* ---- one call of the socket ---- */

static bool add_piece(struct braid_lane *lane, struct page *page, u32 offset_bytes, u32 length_bytes)
{
	if (lane->nr_pieces == LANE_SEND_PIECES)
		return false;
	lane->pieces[lane->nr_pieces++] = (struct bio_vec) {
		.bv_page = page,
		.bv_offset = offset_bytes,
		.bv_len = length_bytes,
	};
	lane->pieces_bytes += length_bytes;
	return true;
}

static bool add_payload(struct braid_lane *lane, const struct braid_frame *frame, u32 done_bytes)
{
	const struct braid_buffer *payload = frame->payload;
	struct bvec_iter iter;
	struct bio_vec part;

	if (!payload)
		return true;
	for_each_bvec(part, payload->vec, iter, braid_buffer_part(payload, frame->payload_offset_bytes + done_bytes,
								  frame->payload_bytes - done_bytes))
		if (!add_piece(lane, part.bv_page, part.bv_offset, part.bv_len))
			return false;
	return true;
}

/* The frame without its first @done_bytes, to be copied. False: what is missing goes out by reference, or found no room. */
static bool add_copied(struct braid_lane *lane, struct braid_frame *frame, u32 done_bytes)
{
	u8 *head = (u8 *)frame + offsetof(struct braid_frame, encoded_header);
	u32 prefix = prefix_bytes(frame);

	if (frame->prefix_page)
		return false;
	if (done_bytes < prefix) {
		if (!add_piece(lane, virt_to_page(head + done_bytes), offset_in_page(head + done_bytes), prefix - done_bytes))
			return false;
		done_bytes = prefix;
	}
	return is_copied(frame) && add_payload(lane, frame, done_bytes - prefix);
}

static int send_copied(struct braid_lane *lane)
{
	struct msghdr message = { .msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL };
	u32 done_bytes = lane->sent_bytes;
	struct braid_frame *frame;

	lane->nr_pieces = 0;
	lane->pieces_bytes = 0;
	list_for_each_entry(frame, &lane->sending, entry) {
		if (!add_copied(lane, frame, done_bytes)) {
			message.msg_flags |= MSG_MORE;
			break;
		}
		done_bytes = 0;
	}
	iov_iter_bvec(&message.msg_iter, ITER_SOURCE, lane->pieces, lane->nr_pieces, lane->pieces_bytes);
	return sock_sendmsg(lane->socket, &message);
}

/* The same by reference. False: not all of it found room, or the rest is to be copied. */
static bool add_frame(struct braid_lane *lane, const struct braid_frame *frame, u32 done_bytes)
{
	u32 prefix = prefix_bytes(frame);

	if (done_bytes < prefix) {
		if (!frame->prefix_page || !add_piece(lane, frame->prefix_page, frame->prefix_offset_bytes + done_bytes,
						      prefix - done_bytes))
			return false;
		done_bytes = prefix;
	}
	return add_payload(lane, frame, done_bytes - prefix);
}

static int send_pieces(struct braid_lane *lane)
{
	int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
	u32 done_bytes = lane->sent_bytes;
	struct braid_frame *frame;

	lane->nr_pieces = 0;
	lane->pieces_bytes = 0;
	list_for_each_entry(frame, &lane->sending, entry) {
		if (!add_frame(lane, frame, done_bytes)) {
			flags |= MSG_MORE;
			break;
		}
		done_bytes = 0;
	}
	return braid_socket_send_pages(lane->socket, lane->pieces, lane->nr_pieces, lane->pieces_bytes, flags);
}

/*
 * Pages that are not ours must not be reused by their owner while TCP may send them again [W2]: a frame that refers to some is kept until
 * the peer's TCP has them. It is the lane that looks, whenever acknowledgements arrive: the segment that brings them says so
 * of all that they are about. Who else waits (the request was given up) is found by the next ping.
 */
void braid_lane_return_lent(struct braid_lane *lane)
{
	struct braid_frame *frame, *next;
	LIST_HEAD(returned);
	u32 acked;

	smp_mb();	/* Of a frame that is lent just now, here its entry is seen, or there that TCP is done with it. */
	acked = READ_ONCE(tcp_sk(lane->socket->sk)->snd_una);
	if (list_empty_careful(&lane->lent))
		return;
	spin_lock_bh(&lane->lock);
	list_for_each_entry_safe(frame, next, &lane->lent, entry) {
		if (after(frame->end_sequence, acked))
			break;
		list_move_tail(&frame->entry, &returned);
	}
	spin_unlock_bh(&lane->lock);
	braid_frames_free(&returned);
}

static void lend(struct braid_lane *lane, struct list_head *frames)
{
	if (list_empty(frames))
		return;
	spin_lock_bh(&lane->lock);
	list_splice_tail(frames, &lane->lent);
	spin_unlock_bh(&lane->lock);
	braid_lane_return_lent(lane);
}

static void bytes_were_sent(struct braid_lane *lane, u32 bytes)
{
	struct braid_session *session = READ_ONCE(lane->session);
	u32 end_sequence = READ_ONCE(tcp_sk(lane->socket->sk)->write_seq);
	struct braid_frame *frame, *next;
	LIST_HEAD(lent);
	u32 frames = 0;

	if (session)
		atomic64_add(bytes, &session->sent_bytes);
	list_for_each_entry_safe(frame, next, &lane->sending, entry) {
		u32 left_bytes = prefix_bytes(frame) + frame->payload_bytes - lane->sent_bytes;

		if (bytes < left_bytes) {
			lane->sent_bytes += bytes;
			break;
		}
		bytes -= left_bytes;
		lane->sent_bytes = 0;
		if (frame->payload && frame->payload->lender && !is_copied(frame)) {
			frame->end_sequence = end_sequence - bytes;
			list_move_tail(&frame->entry, &lent);
		} else {
			list_del(&frame->entry);
			braid_frame_free(frame);
		}
		frames++;
		if (!bytes)
			break;
	}
	if (session)
		atomic64_add(frames, &session->sent_frames);
	lend(lane, &lent);
}

/*
 * TCP that lacks memory and not room calls write_space within the very call that failed, if its queue is empty: without a pause
 * the send work would queue itself again and again, on one CPU, until memory is there [L4].
 */
static void wait_for_memory(struct sock *sk)
{
	if (READ_ONCE(*sk->sk_prot->memory_pressure) && sk_stream_is_writeable(sk))
		schedule_timeout_idle(msecs_to_jiffies(LANE_MEMORY_PAUSE_MS));
}

/* The socket took nothing. Who sends its own frame does not wait for memory: the work does. */
static void socket_is_full(struct braid_lane *lane, bool may_wait)
{
	if (may_wait)
		wait_for_memory(lane->socket->sk);
	else if (sk_stream_is_writeable(lane->socket->sk))
		braid_lane_kick_send(lane);
}

/*
 * A segment that arrives while the socket is in use is looked at when the call ends, with the socket still in use: too early for the
 * tasklet, and waking the receive work for it would be a change of context for each call.
 */
bool braid_lane_acks_wait(struct braid_lane *lane)
{
	bool waits;

	spin_lock(&lane->lock);
	waits = lane->sender;
	if (waits)
		lane->acks_waiting = true;
	spin_unlock(&lane->lock);
	return waits;
}

/* Under the lock; the tasklet runs when that is given back. */
static void run_acks(struct braid_lane *lane)
{
	if (!lane->acks_waiting)
		return;
	lane->acks_waiting = false;
	tasklet_schedule(&lane->acks_tasklet);
}

static void call_ended(struct braid_lane *lane)
{
	if (!READ_ONCE(lane->acks_waiting))
		return;
	spin_lock_bh(&lane->lock);
	run_acks(lane);
	spin_unlock_bh(&lane->lock);
}

/* True: call again. False: nothing more to send, or the socket takes no more; write-space (or the next ping) wakes us. */
static bool send_some(struct braid_lane *lane, bool may_wait)
{
	struct braid_frame *first;
	int sent;

	take_queued(lane);
	first = list_first_entry_or_null(&lane->sending, struct braid_frame, entry);
	if (!first || lane->send_error)
		return false;
	if (first->prefix_page || (!is_copied(first) && lane->sent_bytes >= prefix_bytes(first)))
		sent = send_pieces(lane);
	else
		sent = send_copied(lane);
	call_ended(lane);
	if (sent > 0) {
		bytes_were_sent(lane, sent);
		return true;
	}
	if (sent == 0 || sent == -EAGAIN || sent == -ENOMEM || sent == -ENOBUFS) {
		socket_is_full(lane, may_wait);
		return false;
	}
	/* What the peer said before it closed (BYE, REFUSE) is still to be read: the receive work reports the failure. */
	WRITE_ONCE(lane->send_error, sent);
	if (READ_ONCE(lane->socket->sk->sk_state) == TCP_ESTABLISHED)
		braid_lane_fail(lane, BRAID_SESSION_CLOSED, 0);
	else
		braid_lane_kick_receive(lane);
	return false;
}

static bool send_begins(struct braid_lane *lane)
{
	bool begins;

	spin_lock_bh(&lane->lock);
	begins = !lane->sender && !lane->stopped;
	if (begins)
		lane->sender = true;
	else
		lane->send_again = true;
	spin_unlock_bh(&lane->lock);
	return begins;
}

/* The last touch of the lane by a sender. What was queued since it looked, or while it had enough, goes to the work. */
static void send_ends(struct braid_lane *lane, bool more)
{
	spin_lock_bh(&lane->lock);
	lane->sender = false;
	run_acks(lane);
	if ((more || lane->send_again || !list_empty(&lane->queue)) && !lane->stopped)
		queue_work(braid_send_queue, &lane->send_work);
	lane->send_again = false;
	if (lane->stopped)
		wake_up_var(&lane->sender);
	spin_unlock_bh(&lane->lock);
}

static void send_work(struct work_struct *work)
{
	struct braid_lane *lane = container_of(work, struct braid_lane, send_work);
	unsigned int noio;

	if (!send_begins(lane))
		return;
	noio = memalloc_noio_save();
	braid_lane_return_lent(lane);
	while (send_some(lane, true))
		cond_resched();
	memalloc_noio_restore(noio);
	send_ends(lane, false);
}

void braid_lane_send_now(struct braid_lane *lane)
{
	unsigned int noio = memalloc_noio_save();
	u32 calls = 0;
	bool more;

	do
		more = send_some(lane, false);
	while (more && ++calls < LANE_SEND_CALLS);
	memalloc_noio_restore(noio);
	send_ends(lane, more);
}

/* Both ends agreed on the checksum of payloads when the lane opened; it is computed once for all who get the same. */
static void sum_payload(const struct braid_lane *lane, struct braid_frame *frame)
{
	u32 sum;

	if (!frame->payload)
		return;
	sum = braid_buffer_sum(frame->payload, frame->payload_offset_bytes, frame->payload_bytes,
			       wire_payload_checksum(lane->auth.features));
	frame->header.body_crc = wire_body_crc(frame->header.body_crc, sum);
}

static int lane_enqueue(struct braid_lane *lane, struct braid_frame *frame, bool only_open, enum lane_haste haste, bool *sender)
{
	bool accepted, begins = false;

	spin_lock_bh(&lane->lock);
	accepted = !lane->stopped && (lane->open || !only_open);
	if (accepted) {
		list_add_tail(&frame->entry, &lane->queue);
		braid_lane_came(lane, frame);
		lane->queued_bytes += prefix_bytes(frame) + frame->payload_bytes;
		begins = !lane->sender && (haste == LANE_AT_ONCE || (haste == LANE_SOON && !braid_lane_gathers(lane)) ||
					   (haste != LANE_BY_WORK && lane->queued_bytes >= LANE_BURST_BYTES));
		if (begins)
			lane->sender = true;
		else if (!lane->sender && (haste == LANE_BY_WORK || haste == LANE_IN_BURSTS))
			queue_work(braid_send_queue, &lane->send_work);
	}
	spin_unlock_bh(&lane->lock);
	*sender = begins;
	if (!accepted)
		braid_frame_free(frame);
	return accepted ? 0 : -ENOTCONN;
}

bool braid_lane_send_held(struct braid_lane *lane, enum lane_haste haste)
{
	bool begins;

	spin_lock_bh(&lane->lock);
	begins = !list_empty(&lane->queue) && !lane->sender && !lane->stopped;
	if (begins && haste == LANE_BY_WORK)
		queue_work(braid_send_queue, &lane->send_work);
	begins = begins && (haste == LANE_AT_ONCE || (haste == LANE_SOON && !braid_lane_gathers(lane)));
	if (begins)
		lane->sender = true;
	spin_unlock_bh(&lane->lock);
	return begins;
}

void braid_lane_send(struct braid_lane *lane, struct braid_frame *frame)
{
	bool sender;

	if (frame)
		lane_enqueue(lane, frame, false, LANE_BY_WORK, &sender);
}

int braid_lane_send_open(struct braid_lane *lane, struct braid_frame *frame, enum lane_haste haste, bool *sender)
{
	sum_payload(lane, frame);
	return lane_enqueue(lane, frame, true, haste, sender);
}

/* An empty run of the send work costs nothing worth avoiding; `sending` is not ours to look at. */
void braid_lane_kick_send(struct braid_lane *lane)
{
	spin_lock_bh(&lane->lock);
	if (!lane->stopped)
		queue_work(braid_send_queue, &lane->send_work);
	spin_unlock_bh(&lane->lock);
}

void braid_lane_send_init(struct braid_lane *lane)
{
	INIT_LIST_HEAD(&lane->queue);
	INIT_LIST_HEAD(&lane->sending);
	INIT_LIST_HEAD(&lane->lent);
	INIT_WORK(&lane->send_work, send_work);
	braid_lane_gather_init(lane);
}
