// SPDX-License-Identifier: GPL-2.0
/*
 * The life of one lane: a TCP connection whose bytes are frames, sent by lane_send.c and received by lane_receive.c [N4] [N5].
 *
 * Two works per lane, neither of which ever waits for the socket: the receive work runs from the socket's data-ready and
 * state-change callbacks with a budget, the send work from new frames and from the write-space callback. Payload is
 * received straight into pages of a braid_buffer, and sent from them, unless it is little. Both run with memalloc_noio: they
 * are needed to make memory free [L4].
 *
 * A lane that fails only reports it; whoever owns the lane closes it from another context.
 */
#include <linux/tcp.h>
#include <net/tcp.h>
#include "lane.h"

void braid_lane_kick_receive(struct braid_lane *lane)
{
	spin_lock_bh(&lane->lock);
	if (!lane->stopped)
		queue_work(braid_lane_queue, &lane->receive_work);
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

void braid_lane_set_patience(struct braid_lane *lane, u32 timeout_ms)
{
	u32 patience_ms = lane->number ? max_t(u32, LANE_DATA_PATIENCE * timeout_ms, LANE_DATA_PATIENCE_MS_MIN) : timeout_ms;

	tcp_sock_set_user_timeout(lane->socket->sk, patience_ms);
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
	braid_lane_send_init(lane);
	braid_lane_receive_init(lane);
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
	/* BYE or REFUSE go out if the socket takes them. Twice: a run that ends just now hands what it did not see to the next. */
	flush_work(&lane->send_work);
	flush_work(&lane->send_work);
	spin_lock_bh(&lane->lock);
	lane->open = false;
	lane->stopped = true;
	spin_unlock_bh(&lane->lock);
	wait_var_event(&lane->sender, !sender_is_there(lane));	/* its calls do not wait for the socket */
	restore_callbacks(lane);
	tasklet_kill(&lane->acks_tasklet);
	cancel_work_sync(&lane->receive_work);
	cancel_work_sync(&lane->send_work);
	kthread_cancel_work_sync(&lane->gather_work);
	/* First of all: what is in the socket refers to pages of bios that end with the frames [W2]. It drops all of it at once. */
	sock_release(lane->socket);
	braid_frames_free(&lane->queue);
	braid_frames_free(&lane->sending);
	braid_frames_free(&lane->lent);
	braid_lane_drop_prefix_page(lane);
	braid_frame_free(lane->proof);
	if (lane->payload)
		braid_buffer_put(lane->payload);
	kfree_rcu(lane, rcu);
}
