// SPDX-License-Identifier: GPL-2.0
/*
 * One lane: bytes of one TCP connection to frames and back [N4] [N5], and its authentication [N2] [I22].
 *
 * Two works per lane, neither of which ever waits for the socket: the receive work runs from the socket's data-ready and
 * state-change callbacks with a budget, the send work from new frames and from the write-space callback. Payload is
 * received straight into pages of a braid_buffer and sent from them. Both run with memalloc_noio: they are needed to make
 * memory free [L4].
 *
 * A write should not wait for threads on its way, and many should share packets [N5]. Who queues a frame that somebody waits for
 * (a write, acknowledgements) becomes the lane's sender if nobody is, and sends all that is queued: no thread is woken. What
 * others queue meanwhile, on other processors, goes out with it. Frames that nobody waits for (resync, eviction) wake the send
 * work, or whoever completes a burst sends it. No timer, nothing waits for more to come. And a lane on which acknowledgements
 * arrive, which are small and need no memory, is read by a tasklet; the receive work gets the rest. Not by
 * the callback itself: requests end in there, and what users do then must not happen under the socket's lock.
 *
 *   sender     false -> true: the send work, or braid_lane_send_open(); back: send_ends(), which hands what came meanwhile to
 *              the work. braid_lane_close() sets stopped and waits for false.
 *   receiving  the bit LANE_RECEIVING is taken by the receive work or the tasklet; who does not get it queues the work.
 *
 * A lane that fails only reports it; whoever owns the lane closes it from another context.
 */
#include <linux/sched/mm.h>
#include <linux/tcp.h>
#include <net/tcp.h>
#include "compat.h"
#include "lane.h"

enum { LANE_RECEIVING };	/* bit of lane->receiving */

static void free_frames(struct list_head *frames)
{
	struct braid_frame *frame, *next;

	list_for_each_entry_safe(frame, next, frames, entry) {
		list_del(&frame->entry);
		braid_frame_free(frame);
	}
}

/* ---- sending ---- */

static u32 prefix_bytes(const struct braid_frame *frame)
{
	return WIRE_HEADER_BYTES + frame->fixed_bytes;
}

/* Frames get their numbers here, in the order in which they were queued. */
static void take_queued(struct braid_lane *lane)
{
	struct braid_frame *frame, *next;
	LIST_HEAD(taken);

	spin_lock_bh(&lane->lock);
	list_splice_init(&lane->queue, &taken);
	lane->queued_bytes = 0;
	spin_unlock_bh(&lane->lock);
	list_for_each_entry_safe(frame, next, &taken, entry) {
		frame->header.sequence = lane->send_sequence++;
		wire_encode_header(&frame->header, frame->encoded_header);
		list_move_tail(&frame->entry, &lane->sending);
	}
}

/* Headers and fixed parts up to and including the next frame with payload, in one call. */
static int send_prefixes(struct braid_lane *lane)
{
	struct msghdr message = { .msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL };
	struct kvec vec[LANE_SEND_VECTORS];
	u32 skip_bytes = lane->sent_bytes;
	struct braid_frame *frame;
	unsigned int nr = 0;
	size_t bytes = 0;

	list_for_each_entry(frame, &lane->sending, entry) {
		vec[nr].iov_base = (u8 *)frame + offsetof(struct braid_frame, encoded_header) + skip_bytes;
		vec[nr].iov_len = prefix_bytes(frame) - skip_bytes;
		bytes += vec[nr].iov_len;
		skip_bytes = 0;
		nr++;
		if (frame->payload_bytes || nr == LANE_SEND_VECTORS) {
			if (frame->payload_bytes || !list_is_last(&frame->entry, &lane->sending))
				message.msg_flags |= MSG_MORE;
			break;
		}
	}
	return kernel_sendmsg(lane->socket, &message, vec, nr, bytes);
}

static int send_payload(struct braid_lane *lane, const struct braid_frame *frame)
{
	u32 done_bytes = lane->sent_bytes - prefix_bytes(frame);
	u32 at_bytes = frame->payload_offset_bytes + done_bytes;
	u32 page = at_bytes >> PAGE_SHIFT;
	int flags = MSG_DONTWAIT | MSG_NOSIGNAL;

	if (!list_is_last(&frame->entry, &lane->sending))
		flags |= MSG_MORE;
	return braid_socket_send_pages(lane->socket, frame->payload->vec + page, frame->payload->nr_pages - page,
				       offset_in_page(at_bytes), frame->payload_bytes - done_bytes, flags);
}

static void bytes_were_sent(struct braid_lane *lane, u32 bytes)
{
	struct braid_session *session = READ_ONCE(lane->session);
	struct braid_frame *frame, *next;
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
		list_del(&frame->entry);
		braid_frame_free(frame);
		frames++;
		if (!bytes)
			break;
	}
	if (session)
		atomic64_add(frames, &session->sent_frames);
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

/* True: call again. False: nothing more to send, or the socket takes no more; write-space (or the next ping) wakes us. */
static bool send_some(struct braid_lane *lane, bool may_wait)
{
	struct braid_frame *first;
	int sent;

	take_queued(lane);
	first = list_first_entry_or_null(&lane->sending, struct braid_frame, entry);
	if (!first || lane->send_error)
		return false;
	if (lane->sent_bytes < prefix_bytes(first))
		sent = send_prefixes(lane);
	else
		sent = send_payload(lane, first);
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
		lane->queued_bytes += prefix_bytes(frame) + frame->payload_bytes;
		begins = !lane->sender && (haste == LANE_AT_ONCE ||
					   (haste == LANE_IN_BURSTS && lane->queued_bytes >= LANE_BURST_BYTES));
		if (begins)
			lane->sender = true;
		else if (!lane->sender)
			queue_work(braid_send_queue, &lane->send_work);
	}
	spin_unlock_bh(&lane->lock);
	*sender = begins;
	if (!accepted)
		braid_frame_free(frame);
	return accepted ? 0 : -ENOTCONN;
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

void braid_lane_kick_receive(struct braid_lane *lane)
{
	spin_lock_bh(&lane->lock);
	if (!lane->stopped)
		queue_work(braid_lane_queue, &lane->receive_work);
	spin_unlock_bh(&lane->lock);
}

/* An empty run of the send work costs nothing worth avoiding; `sending` is not ours to look at. */
void braid_lane_kick_send(struct braid_lane *lane)
{
	spin_lock_bh(&lane->lock);
	if (!lane->stopped)
		queue_work(braid_send_queue, &lane->send_work);
	spin_unlock_bh(&lane->lock);
}

void braid_lane_fail(struct braid_lane *lane, u8 error, u8 bye)
{
	struct braid_session *session;
	bool first;

	spin_lock_bh(&lane->lock);
	first = !lane->failed;
	WRITE_ONCE(lane->failed, true);
	session = lane->session;
	spin_unlock_bh(&lane->lock);
	if (!first)
		return;
	if (session)
		braid_session_fail(session, error, bye);
	else
		braid_node_lane_failed(lane, error);
}

/* ---- receiving ---- */

/* Something is wrong with what arrived: count it, say what, end it [N4]. */
static int bad_input(struct braid_lane *lane, enum wire_error error)
{
	struct braid_session *session = READ_ONCE(lane->session);

	if (session)
		atomic64_inc(&session->dropped_frames);
	pr_debug("braid: lane %u: frame of type %s: %s\n", lane->number, wire_type_name(lane->header.type),
		 wire_error_name(error));
	braid_lane_fail(lane, BRAID_SESSION_PROTOCOL, WIRE_BYE_PROTOCOL);
	return -EPROTO;
}

/* 0 when @want_bytes of this stage are there; -EAGAIN: later; else the connection is over. */
static int receive_into(struct braid_lane *lane, u8 *data, u32 want_bytes)
{
	while (lane->have_bytes < want_bytes) {
		struct kvec vec = { data + lane->have_bytes, want_bytes - lane->have_bytes };
		struct msghdr message = {};
		int got = kernel_recvmsg(lane->socket, &message, &vec, 1, vec.iov_len, MSG_DONTWAIT);

		if (got <= 0)
			return got ? got : -ECONNRESET;
		lane->have_bytes += got;
	}
	return 0;
}

static int receive_payload(struct braid_lane *lane)
{
	struct braid_buffer *payload = lane->payload;

	while (lane->have_bytes < payload->length_bytes) {
		struct msghdr message = {};
		int got;

		iov_iter_bvec(&message.msg_iter, ITER_DEST, payload->vec, payload->nr_pages, payload->length_bytes);
		iov_iter_advance(&message.msg_iter, lane->have_bytes);
		got = sock_recvmsg(lane->socket, &message, MSG_DONTWAIT);
		if (got <= 0)
			return got ? got : -ECONNRESET;
		lane->have_bytes += got;
	}
	return 0;
}

static int header_received(struct braid_lane *lane)
{
	enum wire_phase phase = auth_phase(&lane->auth);
	struct wire_header *header = &lane->header;
	enum wire_error error;

	error = wire_decode_header(lane->header_bytes, lane->number == 0, phase, lane->initiator,
				   lane->receive_sequence, header);
	if (error != WIRE_OK)
		return bad_input(lane, error);
	lane->fixed_bytes = wire_fixed_bytes(header);
	if (lane->fixed_bytes > header->length_bytes || lane->fixed_bytes > WIRE_FIXED_BYTES_MAX ||
	    (phase != WIRE_PHASE_OPEN && header->length_bytes > WIRE_PREAUTH_BYTES_MAX))
		return bad_input(lane, WIRE_BAD_LENGTH);
	lane->receive_sequence++;
	lane->stage = LANE_FIXED;
	lane->have_bytes = 0;
	return 0;
}

static int fixed_received(struct braid_lane *lane)
{
	struct wire_header *header = &lane->header;
	u32 payload_bytes = header->length_bytes - lane->fixed_bytes;
	enum wire_error error;

	lane->fixed_crc = core_crc32c(0, lane->fixed, lane->fixed_bytes);
	if (!payload_bytes && lane->fixed_crc != header->body_crc)
		return bad_input(lane, WIRE_BAD_BODY_CRC);
	error = wire_decode_body(header, lane->fixed, lane->fixed_bytes, &lane->body);
	if (error != WIRE_OK)
		return bad_input(lane, error);
	if (payload_bytes) {
		lane->payload = braid_buffer_alloc(payload_bytes, GFP_NOIO);
		if (!lane->payload)
			return -ENOMEM;
	}
	lane->stage = LANE_PAYLOAD;
	lane->have_bytes = 0;
	return 0;
}

/* One message of the authentication. Nothing but the lane changes before it has succeeded [I22]. */
static int auth_frame_received(struct braid_lane *lane)
{
	struct braid_net_private *private = braid_private(lane->bn);
	struct auth *auth = &lane->auth;
	struct auth_reply *reply = &lane->reply;
	struct braid_frame *frame = NULL;

	memset(reply, 0, sizeof(*reply));
	if (lane->header.type == WIRE_HELLO)
		lane->claimed_node = lane->body.hello.node_id;
	auth_receive(auth, &private->local, &lane->header, &lane->body, lane->fixed, lane->fixed_bytes,
		     braid_node_lookup, lane, reply);
	if (reply->type) {
		frame = braid_frame_from_reply(reply);
		if (!frame)
			return -ENOMEM;
	}
	if (auth->state == AUTH_FAILED) {
		braid_lane_send(lane, frame);
		braid_lane_fail(lane, auth->refusal ? BRAID_SESSION_REFUSED_FIRST + auth->refusal :
				BRAID_SESSION_PROTOCOL, 0);
		return -EACCES;
	}
	if (auth->state != AUTH_OPEN) {
		if (!lane->initiator)
			lane->number = auth->lane;
		braid_lane_send(lane, frame);
		return 0;
	}
	lane->proof = frame;	/* the initiator has none; the responder's waits until the session takes the lane */
	smp_store_release(&lane->authenticated, true);
	if (lane->initiator)
		braid_session_kick(lane->session);
	else
		braid_node_lane_authenticated(lane);
	return 0;
}

static int frame_received(struct braid_lane *lane)
{
	struct braid_session *session = READ_ONCE(lane->session);
	struct braid_buffer *payload = lane->payload;
	int error;

	lane->stage = LANE_HEADER;
	lane->have_bytes = 0;
	WRITE_ONCE(lane->acks_expected, lane->header.type == WIRE_ACKS);
	if (payload && wire_body_crc(lane->fixed_crc, braid_buffer_sum(payload, 0, payload->length_bytes,
									wire_payload_checksum(lane->auth.features))) !=
		       lane->header.body_crc)
		return bad_input(lane, WIRE_BAD_BODY_CRC);
	if (!lane->authenticated)
		return auth_frame_received(lane);
	atomic64_inc(&session->received_frames);
	atomic64_add(WIRE_HEADER_BYTES + lane->header.length_bytes, &session->received_bytes);
	error = braid_session_frame(session, lane);
	if (error == -ETIMEDOUT) {	/* our fault, not the peer's */
		braid_lane_fail(lane, BRAID_SESSION_BYE_FIRST + WIRE_BYE_STUCK, WIRE_BYE_STUCK);
		return -EAGAIN;
	}
	return error ? bad_input(lane, WIRE_BAD_STATE) : 0;
}

static int receive_frame(struct braid_lane *lane)
{
	int error;

	switch (lane->stage) {
	case LANE_HEADER:
		error = receive_into(lane, lane->header_bytes, WIRE_HEADER_BYTES);
		if (!error)
			error = header_received(lane);
		if (error)
			return error;
		fallthrough;
	case LANE_FIXED:
		error = receive_into(lane, lane->fixed, lane->fixed_bytes);
		if (!error)
			error = fixed_received(lane);
		if (error)
			return error;
		fallthrough;
	case LANE_PAYLOAD:
		error = lane->payload ? receive_payload(lane) : 0;
		if (error)
			return error;
	}
	return frame_received(lane);
}

/* The initiator speaks first, as soon as the connection stands. */
static int check_connected(struct braid_lane *lane)
{
	struct braid_frame *hello;

	if (lane->connected)
		return 0;
	switch (READ_ONCE(lane->socket->sk->sk_state)) {
	case TCP_SYN_SENT:
	case TCP_SYN_RECV:
		return -EAGAIN;
	case TCP_CLOSE:
		return -ECONNREFUSED;
	}
	auth_hello(&lane->auth, &braid_private(lane->bn)->local, &lane->reply);
	hello = braid_frame_from_reply(&lane->reply);
	if (!hello)
		return -ENOMEM;
	WRITE_ONCE(lane->connected, true);
	braid_lane_send(lane, hello);
	braid_session_kick(lane->session);
	return 0;
}

/* 0: the budget is used up, go on later. */
static int receive_run(struct braid_lane *lane)
{
	u32 frames, bytes = 0;
	int error;

	error = check_connected(lane);
	if (error)
		return error;
	for (frames = 0; frames < LANE_RECEIVE_FRAMES && bytes < LANE_RECEIVE_BYTES; frames++) {
		/* Between authentication and the opening of the session nothing is read; it only has to stay alive. */
		if (lane->authenticated && !smp_load_acquire(&lane->deliver))
			return READ_ONCE(lane->socket->sk->sk_state) == TCP_ESTABLISHED ? -EAGAIN : -ECONNRESET;
		error = receive_frame(lane);
		if (error)
			return error;
		bytes += WIRE_HEADER_BYTES + lane->header.length_bytes;
	}
	return 0;
}

static u8 session_error(const struct braid_lane *lane, int error)
{
	int send_error = READ_ONCE(lane->send_error);

	if (!lane->connected)
		return BRAID_SESSION_UNREACHABLE;
	if (error == -ETIMEDOUT || send_error == -ETIMEDOUT)
		return BRAID_SESSION_TIMEOUT;
	return BRAID_SESSION_CLOSED;
}

static void receive_work(struct work_struct *work)
{
	struct braid_lane *lane = container_of(work, struct braid_lane, receive_work);
	unsigned int noio = memalloc_noio_save();
	int error;

	if (test_and_set_bit_lock(LANE_RECEIVING, &lane->receiving)) {
		braid_lane_kick_receive(lane);	/* the tasklet is at it, on another processor, and soon done */
		memalloc_noio_restore(noio);
		return;
	}
	error = READ_ONCE(lane->failed) ? -EAGAIN : receive_run(lane);
	clear_bit_unlock(LANE_RECEIVING, &lane->receiving);
	if (!error)
		braid_lane_kick_receive(lane);
	else if (error != -EAGAIN)
		braid_lane_fail(lane, session_error(lane, error), 0);
	memalloc_noio_restore(noio);
}

/* ---- acknowledgements, read by the tasklet ---- */

enum peek {
	PEEK_FRAME,	/* acknowledgements are complete */
	PEEK_EMPTY,
	PEEK_OTHER,	/* something else, or an error: for the receive work */
};

/* tcp_read_sock() actor: bytes of one frame, up to the end of its fixed part if that is all of it. */
static int take_bytes(read_descriptor_t *desc, struct sk_buff *skb, unsigned int offset, size_t length)
{
	struct braid_lane *lane = desc->arg.data;
	size_t used = 0;

	while (used < length && desc->count) {
		bool in_header = lane->stage == LANE_HEADER;
		u32 want_bytes = in_header ? WIRE_HEADER_BYTES : lane->fixed_bytes;
		u32 part_bytes = min_t(size_t, length - used, want_bytes - lane->have_bytes);
		u8 *to = in_header ? lane->header_bytes : lane->fixed;

		if (skb_copy_bits(skb, offset + used, to + lane->have_bytes, part_bytes))
			break;
		used += part_bytes;
		lane->have_bytes += part_bytes;
		if (lane->have_bytes < want_bytes)
			continue;
		if (!in_header || header_received(lane) || lane->header.type != WIRE_ACKS)
			desc->count = 0;
	}
	return used;
}

static enum peek peek_frame(struct braid_lane *lane)
{
	read_descriptor_t desc = { .arg.data = lane, .count = 1 };
	struct sock *sk = lane->socket->sk;
	int got = -EBUSY;

	bh_lock_sock(sk);
	if (!sock_owned_by_user(sk) && sk->sk_state == TCP_ESTABLISHED && !sk->sk_err &&
	    !(sk->sk_shutdown & RCV_SHUTDOWN))
		got = tcp_read_sock(sk, &desc, take_bytes);
	bh_unlock_sock(sk);
	if (got < 0 || lane->failed)
		return PEEK_OTHER;
	if (desc.count)
		return PEEK_EMPTY;
	return lane->stage == LANE_FIXED && lane->header.type == WIRE_ACKS && lane->have_bytes == lane->fixed_bytes &&
	       lane->header.length_bytes == lane->fixed_bytes ? PEEK_FRAME : PEEK_OTHER;
}

static void acks_tasklet(struct tasklet_struct *tasklet)
{
	struct braid_lane *lane = from_tasklet(lane, tasklet, acks_tasklet);
	enum peek peek = PEEK_OTHER;
	u32 frames;

	if (test_and_set_bit_lock(LANE_RECEIVING, &lane->receiving)) {
		braid_lane_kick_receive(lane);
		return;
	}
	if (!READ_ONCE(lane->failed) && lane->stage != LANE_PAYLOAD && smp_load_acquire(&lane->deliver)) {
		for (frames = 0; frames < LANE_RECEIVE_FRAMES; frames++) {
			peek = peek_frame(lane);
			if (peek != PEEK_FRAME)
				break;
			if (fixed_received(lane) || frame_received(lane)) {
				peek = PEEK_OTHER;
				break;
			}
		}
	}
	clear_bit_unlock(LANE_RECEIVING, &lane->receiving);
	if (peek != PEEK_EMPTY)
		braid_lane_kick_receive(lane);
}

/* ---- life ---- */

static void lane_data_ready(struct sock *sk)
{
	struct braid_lane *lane;

	read_lock_bh(&sk->sk_callback_lock);
	lane = sk->sk_user_data;
	if (lane && READ_ONCE(lane->acks_expected))
		tasklet_schedule(&lane->acks_tasklet);
	else if (lane)
		queue_work(braid_lane_queue, &lane->receive_work);
	read_unlock_bh(&sk->sk_callback_lock);
}

static void lane_state_change(struct sock *sk)
{
	struct braid_lane *lane;

	read_lock_bh(&sk->sk_callback_lock);
	lane = sk->sk_user_data;
	if (lane)
		queue_work(braid_lane_queue, &lane->receive_work);
	read_unlock_bh(&sk->sk_callback_lock);
}

static void lane_write_space(struct sock *sk)
{
	struct braid_lane *lane;

	read_lock_bh(&sk->sk_callback_lock);
	lane = sk->sk_user_data;
	if (lane && sk_stream_is_writeable(sk)) {
		clear_bit(SOCK_NOSPACE, &sk->sk_socket->flags);
		queue_work(braid_send_queue, &lane->send_work);
	}
	read_unlock_bh(&sk->sk_callback_lock);
}

void braid_socket_prepare(struct braid_net *bn, struct socket *socket)
{
	struct sock *sk = socket->sk;

	tcp_sock_set_nodelay(sk);
	tcp_sock_set_user_timeout(sk, READ_ONCE(bn->options.timeout_ms));
	sock_no_linger(sk);	/* closing is immediate: no socket of ours outlives its namespace */
	sk->sk_allocation = GFP_NOIO;
	sk->sk_use_task_frag = false;
}

void braid_lane_set_patience(struct braid_lane *lane)
{
	u32 patience_ms = LANE_DATA_PATIENCE * READ_ONCE(lane->bn->options.timeout_ms);

	tcp_sock_set_user_timeout(lane->socket->sk, max_t(u32, patience_ms, LANE_DATA_PATIENCE_MS_MIN));
}

struct braid_lane *braid_lane_alloc(struct braid_net *bn, struct socket *socket, bool initiator)
{
	struct braid_lane *lane = kzalloc(sizeof(*lane), GFP_KERNEL);

	if (!lane) {
		sock_release(socket);
		return NULL;
	}
	lane->bn = bn;
	lane->socket = socket;
	lane->initiator = initiator;
	lane->connected = !initiator;
	lane->claimed_node = NODE_NONE;
	lane->deadline_ns = ktime_get_ns() + (u64)braid_auth_timeout_ms(bn) * NSEC_PER_MSEC;
	INIT_LIST_HEAD(&lane->pending);
	spin_lock_init(&lane->lock);
	INIT_LIST_HEAD(&lane->queue);
	INIT_LIST_HEAD(&lane->sending);
	INIT_WORK(&lane->receive_work, receive_work);
	INIT_WORK(&lane->send_work, send_work);
	tasklet_setup(&lane->acks_tasklet, acks_tasklet);
	braid_socket_prepare(bn, socket);
	return lane;
}

void braid_lane_start(struct braid_lane *lane, void (*data_ready)(struct sock *sk))
{
	struct sock *sk = lane->socket->sk;

	write_lock_bh(&sk->sk_callback_lock);
	lane->data_ready = data_ready;
	lane->state_change = sk->sk_state_change;
	lane->write_space = sk->sk_write_space;
	sk->sk_user_data = lane;
	sk->sk_data_ready = lane_data_ready;
	sk->sk_state_change = lane_state_change;
	sk->sk_write_space = lane_write_space;
	write_unlock_bh(&sk->sk_callback_lock);
}

static void restore_callbacks(struct braid_lane *lane)
{
	struct sock *sk = lane->socket->sk;

	write_lock_bh(&sk->sk_callback_lock);
	if (lane->data_ready) {
		sk->sk_user_data = NULL;
		sk->sk_data_ready = lane->data_ready;
		sk->sk_state_change = lane->state_change;
		sk->sk_write_space = lane->write_space;
	}
	write_unlock_bh(&sk->sk_callback_lock);
}

static bool sender_is_there(struct braid_lane *lane)
{
	bool there;

	spin_lock_bh(&lane->lock);	/* it lets go of the lane under the lock */
	there = lane->sender;
	spin_unlock_bh(&lane->lock);
	return there;
}

void braid_lane_close(struct braid_lane *lane)
{
	flush_work(&lane->send_work);	/* BYE or REFUSE go out if the socket takes them */
	spin_lock_bh(&lane->lock);
	lane->open = false;
	lane->stopped = true;
	spin_unlock_bh(&lane->lock);
	wait_var_event(&lane->sender, !sender_is_there(lane));	/* its calls do not wait for the socket */
	restore_callbacks(lane);
	tasklet_kill(&lane->acks_tasklet);
	cancel_work_sync(&lane->receive_work);
	cancel_work_sync(&lane->send_work);
	free_frames(&lane->queue);
	free_frames(&lane->sending);
	braid_frame_free(lane->proof);
	if (lane->payload)
		braid_buffer_put(lane->payload);
	sock_release(lane->socket);
	kfree_rcu(lane, rcu);
}
