// SPDX-License-Identifier: GPL-2.0
/*
 * Bytes of one lane's TCP connection to frames, and its authentication [N2] [N4] [I22]; see lane.c.
 *
 * The receive work runs with a budget from the socket's callbacks. Payload is received straight into pages of a braid_buffer. A lane
 * on which acknowledgements arrive, which are small and need no memory, is read by a tasklet; the receive work gets the rest. Not by
 * the callback itself: requests end in there, and what users do then must not happen under the socket's lock.
 *
 *   receiving  the bit LANE_RECEIVING is taken by the receive work or the tasklet; who does not get it queues the work.
 */
#include <linux/blkdev.h>
#include <linux/sched/mm.h>
#include <linux/tcp.h>
#include <net/tcp.h>
#include "lane.h"

enum { LANE_RECEIVING };	/* bit of lane->receiving */

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

		iov_iter_bvec(&message.msg_iter, ITER_DEST, payload->vec, payload->nr_vecs, payload->length_bytes);
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

/* -ENOMEM with a @gfp that does not sleep: to be called again. */
static int fixed_received(struct braid_lane *lane, gfp_t gfp)
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
		lane->payload = braid_buffer_alloc(payload_bytes, BRAID_PAYLOAD_RECEIVED, gfp);
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
	if (lane->header.type == WIRE_ACKS)
		braid_lane_return_lent(lane);	/* first: then what is acknowledged ends here and now */
	if (payload && wire_body_crc(lane->fixed_crc, braid_buffer_sum(payload, 0, payload->length_bytes,
									wire_payload_checksum(lane->auth.features))) !=
		       lane->header.body_crc)
		return bad_input(lane, WIRE_BAD_BODY_CRC);
	if (!lane->authenticated)
		return auth_frame_received(lane);
	atomic64_inc(&session->received_frames);
	atomic64_add(WIRE_HEADER_BYTES + lane->header.length_bytes, &session->received_bytes);
	/* Before: whoever is woken by an answer and has nothing else under way sends at once. */
	if (lane->header.type == WIRE_ACKS)
		braid_lane_answered(lane, &lane->body.acks);
	error = braid_session_frame(session, lane);
	if (lane->header.type == WIRE_ACKS)
		braid_lane_release(lane);
	if (error == -ETIMEDOUT) {	/* our fault, not the peer's */
		braid_lane_fail(lane, BRAID_SESSION_BYE_FIRST + WIRE_BYE_STUCK, WIRE_BYE_STUCK);
		return -EAGAIN;
	}
	return error ? bad_input(lane, WIRE_BAD_STATE) : 0;
}

/*
 * The rest of a frame, call by call: what the socket has to say about its end, and what has to wait for memory. Most frames arrive
 * by take_frame(), and nothing is left to be done here but to look at them.
 */
static int receive_rest(struct braid_lane *lane)
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
			error = fixed_received(lane, GFP_NOIO);
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

/* ---- many bytes in one call ---- */

/* What tcp_read_sock() is asked for: a frame. */
struct take {
	struct braid_lane *lane;
	bool acks_only;		/* the tasklet: up to the end of the fixed part, and not even that of other types */
};

static bool copy_payload(struct braid_lane *lane, struct sk_buff *skb, u32 offset_bytes, u32 part_bytes)
{
	struct braid_buffer *payload = lane->payload;
	u32 page = lane->have_bytes >> PAGE_SHIFT;
	struct iov_iter to;

	iov_iter_bvec(&to, ITER_DEST, payload->vec + page, payload->nr_vecs - page,
		      payload->length_bytes - page * PAGE_SIZE);
	iov_iter_advance(&to, offset_in_page(lane->have_bytes));
	if (skb_copy_datagram_iter(skb, offset_bytes, &to, part_bytes))
		return false;
	lane->have_bytes += part_bytes;
	return true;
}

static u32 stage_bytes(const struct braid_lane *lane)
{
	switch (lane->stage) {
	case LANE_HEADER:
		return WIRE_HEADER_BYTES;
	case LANE_FIXED:
		return lane->fixed_bytes;
	case LANE_PAYLOAD:
		return lane->payload ? lane->payload->length_bytes : 0;
	}
	return 0;
}

static bool take_part(struct braid_lane *lane, struct sk_buff *skb, u32 offset_bytes, u32 part_bytes)
{
	u8 *to = lane->stage == LANE_HEADER ? lane->header_bytes : lane->fixed;

	if (lane->stage == LANE_PAYLOAD)
		return copy_payload(lane, skb, offset_bytes, part_bytes);
	if (skb_copy_bits(skb, offset_bytes, to + lane->have_bytes, part_bytes))
		return false;
	lane->have_bytes += part_bytes;
	return true;
}

/* All bytes of a stage are there. True: the next one wants some. Under the socket's lock: nothing here sleeps. */
static bool next_stage(const struct take *take)
{
	struct braid_lane *lane = take->lane;

	switch (lane->stage) {
	case LANE_HEADER:
		if (header_received(lane) || (take->acks_only && lane->header.type != WIRE_ACKS))
			return false;
		if (lane->fixed_bytes)
			return true;
		fallthrough;
	case LANE_FIXED:
		return !take->acks_only && !fixed_received(lane, GFP_NOWAIT) && lane->payload;
	case LANE_PAYLOAD:
		return false;
	}
	return false;
}

/* tcp_read_sock() actor. count is 0 when no more is wanted: the frame is complete, bad, not for us, or waits for memory. */
static int take_bytes(read_descriptor_t *desc, struct sk_buff *skb, unsigned int offset, size_t length)
{
	const struct take *take = desc->arg.data;
	struct braid_lane *lane = take->lane;
	size_t used = 0;

	while (used < length && desc->count) {
		u32 part_bytes = min_t(size_t, length - used, stage_bytes(lane) - lane->have_bytes);

		if (!take_part(lane, skb, offset + used, part_bytes))
			break;
		used += part_bytes;
		if (lane->have_bytes == stage_bytes(lane) && !next_stage(take))
			desc->count = 0;
	}
	return used;
}

/* Under the socket's lock. False: the socket has something to say that only recvmsg() tells. */
static bool read_socket(struct sock *sk, read_descriptor_t *desc)
{
	return sk->sk_state == TCP_ESTABLISHED && !sk->sk_err && !(sk->sk_shutdown & RCV_SHUTDOWN) &&
	       tcp_read_sock(sk, desc, take_bytes) >= 0;
}

/* 0: go on with receive_rest(). -EAGAIN: nothing more has arrived. */
static int take_frame(struct braid_lane *lane)
{
	struct take take = { .lane = lane };
	read_descriptor_t desc = { .arg.data = &take, .count = 1 };
	struct sock *sk = lane->socket->sk;
	bool read;

	if (lane->have_bytes == stage_bytes(lane))	/* waits for memory */
		return 0;
	lock_sock(sk);
	read = read_socket(sk, &desc);
	release_sock(sk);
	if (READ_ONCE(lane->failed))
		return -EPROTO;
	return read && desc.count ? -EAGAIN : 0;
}

static int receive_frame(struct braid_lane *lane)
{
	int error = take_frame(lane);

	return error ? error : receive_rest(lane);
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

static bool more_arrived(const struct braid_lane *lane)
{
	const struct tcp_sock *tcp = tcp_sk(lane->socket->sk);

	return READ_ONCE(tcp->rcv_nxt) != READ_ONCE(tcp->copied_seq);
}

/*
 * 0: the budget is used up, go on later. Writes that arrived together go to the disk together: @plug has begun. A lone write or a
 * large one does not wait.
 */
static int receive_run(struct braid_lane *lane, struct blk_plug *plug)
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
		if (lane->header.length_bytes >= LANE_BURST_BYTES || !more_arrived(lane)) {
			blk_finish_plug(plug);
			blk_start_plug(plug);
		}
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
	struct blk_plug plug;
	int error;

	if (test_and_set_bit_lock(LANE_RECEIVING, &lane->receiving)) {
		braid_lane_kick_receive(lane);	/* the tasklet is at it, on another processor, and soon done */
		memalloc_noio_restore(noio);
		return;
	}
	blk_start_plug(&plug);
	error = READ_ONCE(lane->failed) ? -EAGAIN : receive_run(lane, &plug);
	blk_finish_plug(&plug);
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
	PEEK_BUSY,	/* the socket is in use */
	PEEK_OTHER,	/* something else, or an error: for the receive work */
};

static enum peek peek_frame(struct braid_lane *lane)
{
	struct take take = { .lane = lane, .acks_only = true };
	read_descriptor_t desc = { .arg.data = &take, .count = 1 };
	struct sock *sk = lane->socket->sk;
	bool busy, read;

	bh_lock_sock(sk);
	busy = sock_owned_by_user(sk);
	read = !busy && read_socket(sk, &desc);
	bh_unlock_sock(sk);
	if (busy)
		return PEEK_BUSY;
	if (!read || lane->failed)
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
			if (fixed_received(lane, GFP_ATOMIC) || frame_received(lane)) {
				peek = PEEK_OTHER;
				break;
			}
		}
	}
	clear_bit_unlock(LANE_RECEIVING, &lane->receiving);
	if (peek == PEEK_BUSY && braid_lane_acks_wait(lane))
		return;
	if (peek != PEEK_EMPTY)
		braid_lane_kick_receive(lane);
}

void braid_lane_receive_init(struct braid_lane *lane)
{
	INIT_WORK(&lane->receive_work, receive_work);
	tasklet_setup(&lane->acks_tasklet, acks_tasklet);
}
