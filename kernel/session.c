// SPDX-License-Identifier: GPL-2.0
/*
 * The state machine of a session between two nodes [N1] [N2] [N6].
 *
 *   DISCONNECTED --connect--> CONNECTING --lane 0 stands--> AUTHENTICATING --all lanes proved--> OPEN
 *        ^                       ^                               |                                |
 *        |                       |   braid_session_fail/end, timeout, disconnect, new lane 0      |
 *        +---not wanted----------+-------------------------- ENDING <-----------------------------+
 *
 * Who runs it: session->work alone decides, changes the state and opens and closes lanes. A work never runs twice at the
 * same time, so what is marked "session work" in lane.h needs no lock. Everybody else only leaves a wish under
 * session->lock (wanted, end_wanted, retry_now) and kicks the work. The one exception is braid_session_destroy(), which
 * ends the work for good first and then closes in its place.
 *
 * Who owns what:
 *   struct braid_session  bn->session[], under bn->lock; freed by braid_session_destroy() after a grace period.
 *   struct braid_lane     until it is taken: the pending list of node.c; then session->lane[], closed by the session work
 *                         only. A lane's own works are ended before it goes, so they use lane->session freely.
 *   struct braid_frame    whoever holds it; braid_session_send() takes it over; then the lane's queue until it is sent.
 *
 * Order of one incarnation: lane 0, data lanes, all proved -> lanes accept frames of volumes -> braid_volumes_session_up()
 * -> lanes deliver ... -> no lane accepts or delivers any more, works ended, sockets closed -> braid_volumes_session_down()
 * -> next incarnation. The responder's last message of a lane (PROOF) is sent when the session takes the lane; therefore
 * the initiator opens data lanes, and an old incarnation is gone, only after that.
 *
 * Locks, outermost first: bn->lock (mutex; never taken by session or lane works), braid_net_private.lock,
 * lane->lock, session->lock (interrupts off). Nothing sleeps under the last three.
 *
 * Numbers: every incarnation that opens gets one, never used before in this module. Lanes carry it, a frame of a volume
 * goes out only on lanes with the number that the volume has seen begin, and what arrives is delivered with it. How a
 * volume that is slow to see an end is kept out of the next incarnation: dispatch.c.
 *
 * Failure detection: PING on the control lane every min(1 s, timeout / 4). Only a PONG is a sign of life: it proves both
 * directions, so a link that is dead in one of them is seen at both ends within the timeout, and bulk data on other lanes
 * masks nothing. When idle, this timer is all that runs.
 */
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/jiffies.h>
#include <linux/random.h>
#include <linux/sched/mm.h>
#include <linux/smp.h>
#include "lane.h"

/* Session work, or the remover after its end: the only writer of session->lane[]. */
static struct braid_lane *own_lane(const struct braid_session *session, unsigned int number)
{
	return rcu_dereference_protected(session->lane[number], true);
}

u32 braid_auth_timeout_ms(const struct braid_net *bn)
{
	return min_t(u32, READ_ONCE(bn->options.timeout_ms), LANE_AUTH_TIMEOUT_MS_MAX);
}

static u64 timeout_ns(const struct braid_session *session)
{
	return (u64)READ_ONCE(session->bn->options.timeout_ms) * NSEC_PER_MSEC;
}

static u64 ping_interval_ns(const struct braid_session *session)
{
	return min_t(u64, (u64)SESSION_PING_MS_MAX * NSEC_PER_MSEC, timeout_ns(session) / 4);
}

/* An incarnation has begun: there may be lanes. */
static bool has_begun(const struct braid_session *session)
{
	return session->session_id != 0;
}

/* ---- wishes of others ---- */

void braid_session_kick(struct braid_session *session)
{
	unsigned long flags;

	spin_lock_irqsave(&session->lock, flags);
	if (!session->removed)
		mod_delayed_work(braid_session_queue, &session->work, 0);
	spin_unlock_irqrestore(&session->lock, flags);
}

/* @number: only the open session with this number; 0: whichever. */
static void want_end(struct braid_session *session, u8 error, u8 bye, bool only_open, u64 number)
{
	unsigned long flags;

	spin_lock_irqsave(&session->lock, flags);
	if (!session->end_wanted && (session->state == BRAID_SESSION_OPEN || !only_open) &&
	    (!number || session->number == number)) {
		session->end_wanted = true;
		session->end_error = error;
		session->end_bye = bye;
		if (!session->removed)
			mod_delayed_work(braid_session_queue, &session->work, 0);
	}
	spin_unlock_irqrestore(&session->lock, flags);
}

void braid_session_fail(struct braid_session *session, u8 error, u8 bye)
{
	want_end(session, error, bye, false, 0);
}

static u8 error_of_own_end(u8 reason)
{
	switch (reason) {
	case WIRE_BYE_DOWN:
		return BRAID_SESSION_NO_ERROR;
	case WIRE_BYE_PROTOCOL:
		return BRAID_SESSION_PROTOCOL;
	default:
		return BRAID_SESSION_BYE_FIRST + reason;
	}
}

void braid_session_end(struct braid_net *bn, u8 node, u8 reason)
{
	braid_session_end_numbered(bn, node, 0, reason);
}

void braid_session_end_numbered(struct braid_net *bn, u8 node, u64 number, u8 reason)
{
	struct braid_session *session;

	rcu_read_lock();
	session = node < NODES_MAX ? rcu_dereference(bn->session[node]) : NULL;
	if (session)
		want_end(session, error_of_own_end(reason), reason, true, number);
	rcu_read_unlock();
}

/* ---- questions and frames of others ---- */

/* Under RCU. */
static struct braid_lane *find_lane(struct braid_net *bn, u8 node, unsigned int lane)
{
	struct braid_session *session = node < NODES_MAX ? rcu_dereference(bn->session[node]) : NULL;

	return session && lane < WIRE_LANES_MAX ? rcu_dereference(session->lane[lane]) : NULL;
}

int braid_session_send(struct braid_net *bn, u8 node, unsigned int lane, struct braid_frame *frame,
		       enum lane_haste haste)
{
	struct braid_lane *target;
	int result = -ENOTCONN;
	bool sender = false;

	rcu_read_lock();
	target = find_lane(bn, node, lane);
	/* A lane has one number in its life: what fits it now cannot go out on the lane of another incarnation. */
	if (target && braid_volumes_may_send(bn, node, READ_ONCE(target->session_number), frame))
		result = braid_lane_send_open(target, frame, haste, &sender);
	else
		braid_frame_free(frame);
	rcu_read_unlock();
	if (sender)
		braid_lane_send_now(target);
	return result;
}

void braid_session_send_held(struct braid_net *bn, u8 node, u32 lanes, enum lane_haste haste)
{
	for (; lanes; lanes &= lanes - 1) {
		struct braid_lane *lane;
		bool sender;

		rcu_read_lock();
		lane = find_lane(bn, node, __ffs(lanes));
		sender = lane && braid_lane_send_held(lane, haste);
		rcu_read_unlock();
		if (sender)
			braid_lane_send_now(lane);
	}
}

int braid_session_send_in(struct braid_net *bn, u8 node, u64 number, unsigned int lane, struct braid_frame *frame)
{
	struct braid_lane *target;
	int result = -ENOTCONN;
	bool sender;

	rcu_read_lock();
	target = find_lane(bn, node, lane);
	if (target && number && READ_ONCE(target->session_number) == number)
		result = braid_lane_send_open(target, frame, LANE_BY_WORK, &sender);
	else
		braid_frame_free(frame);
	rcu_read_unlock();
	return result;
}

bool braid_session_is_open(struct braid_net *bn, u8 node)
{
	struct braid_session *session;
	bool open;

	rcu_read_lock();
	session = node < NODES_MAX ? rcu_dereference(bn->session[node]) : NULL;
	open = session && READ_ONCE(session->state) == BRAID_SESSION_OPEN;
	rcu_read_unlock();
	return open;
}

unsigned int braid_session_data_lane(struct braid_net *bn, u8 node)
{
	struct braid_session *session;
	unsigned int lane = 0;
	u32 nr_lanes;

	rcu_read_lock();
	session = node < NODES_MAX ? rcu_dereference(bn->session[node]) : NULL;
	if (session && READ_ONCE(session->state) == BRAID_SESSION_OPEN) {
		nr_lanes = READ_ONCE(session->nr_lanes);
		if (nr_lanes > 1)
			lane = 1 + raw_smp_processor_id() % (nr_lanes - 1);
	}
	rcu_read_unlock();
	return lane;
}

u64 braid_session_features(struct braid_net *bn, u8 node)
{
	struct braid_session *session;
	u64 features = 0;

	rcu_read_lock();
	session = node < NODES_MAX ? rcu_dereference(bn->session[node]) : NULL;
	if (session)
		features = READ_ONCE(session->features);
	rcu_read_unlock();
	return features;
}

bool braid_session_status(struct braid_net *bn, u8 node, struct braid_session_status *status)
{
	struct braid_session *session;
	unsigned long flags;

	rcu_read_lock();
	session = node < NODES_MAX ? rcu_dereference(bn->session[node]) : NULL;
	if (session) {
		memset(status, 0, sizeof(*status));
		spin_lock_irqsave(&session->lock, flags);
		status->config = session->config;
		status->state = session->state;
		status->last_error = session->last_error;
		status->since_ns = session->since_ns;
		status->rtt_ns = session->rtt_ns;
		status->reconnects = session->reconnects;
		status->nr_lanes = session->nr_lanes;
		spin_unlock_irqrestore(&session->lock, flags);
		status->sent_frames = atomic64_read(&session->sent_frames);
		status->received_frames = atomic64_read(&session->received_frames);
		status->sent_bytes = atomic64_read(&session->sent_bytes);
		status->received_bytes = atomic64_read(&session->received_bytes);
		status->dropped_frames = atomic64_read(&session->dropped_frames);
	}
	rcu_read_unlock();
	return session != NULL;
}

/* ---- state ---- */

static void set_state(struct braid_session *session, enum braid_session_state state)
{
	unsigned long flags;
	bool changed;

	spin_lock_irqsave(&session->lock, flags);
	changed = session->state != state;
	if (changed) {
		WRITE_ONCE(session->state, state);
		session->since_ns = ktime_get_ns();
	}
	spin_unlock_irqrestore(&session->lock, flags);
	if (!changed)
		return;
	wake_up_all(&session->changed);
	braid_notify_peer(session->bn, session->node);
}

static bool end_is_wanted(struct braid_session *session)
{
	unsigned long flags;
	bool due;

	spin_lock_irqsave(&session->lock, flags);
	due = session->end_wanted || !session->wanted;
	spin_unlock_irqrestore(&session->lock, flags);
	return due;
}

/* What others see of the incarnation that begins. @session_id 0: it is over. */
static void set_incarnation(struct braid_session *session, u64 session_id, u32 nr_lanes)
{
	unsigned long flags;

	spin_lock_irqsave(&session->lock, flags);
	session->session_id = session_id;
	WRITE_ONCE(session->nr_lanes, nr_lanes);
	session->lanes = 0;
	session->rtt_ns = 0;
	session->end_wanted = false;
	spin_unlock_irqrestore(&session->lock, flags);
	session->patience_ms = READ_ONCE(session->bn->options.timeout_ms);
	session->deadline_ns = ktime_get_ns() + (u64)braid_auth_timeout_ms(session->bn) * NSEC_PER_MSEC;
}

/* The administrator may change the failure timeout while the session is open. */
static void follow_timeout(struct braid_session *session)
{
	u32 timeout_ms = READ_ONCE(session->bn->options.timeout_ms);
	unsigned int i;

	if (timeout_ms == session->patience_ms)
		return;
	session->patience_ms = timeout_ms;
	for (i = 0; i < session->nr_lanes; i++)
		braid_lane_set_patience(own_lane(session, i), timeout_ms);
}

static void take_lane(struct braid_session *session, struct braid_lane *lane, u8 number)
{
	unsigned long flags;
	bool failed;

	lane->number = number;
	braid_lane_set_patience(lane, session->patience_ms);
	spin_lock_bh(&lane->lock);
	WRITE_ONCE(lane->session, session);
	failed = lane->failed;
	spin_unlock_bh(&lane->lock);
	rcu_assign_pointer(session->lane[number], lane);
	spin_lock_irqsave(&session->lock, flags);
	session->lanes |= 1u << number;
	spin_unlock_irqrestore(&session->lock, flags);
	if (failed)
		braid_session_fail(session, BRAID_SESSION_CLOSED, 0);
}

static bool has_all_lanes(const struct braid_session *session)
{
	unsigned int i;

	for (i = 0; i < session->nr_lanes; i++) {
		const struct braid_lane *lane = own_lane(session, i);

		if (!lane || !smp_load_acquire(&lane->authenticated))
			return false;
	}
	return session->nr_lanes > 1;
}

/* ---- ending ---- */

static void lanes_refuse_volumes(struct braid_session *session)
{
	unsigned int i;

	for (i = 0; i < WIRE_LANES_MAX; i++) {
		struct braid_lane *lane = own_lane(session, i);

		if (!lane)
			continue;
		spin_lock_bh(&lane->lock);
		lane->open = false;
		spin_unlock_bh(&lane->lock);
	}
}

static void close_lanes(struct braid_session *session)
{
	unsigned int i;

	for (i = 0; i < WIRE_LANES_MAX; i++) {
		struct braid_lane *lane = own_lane(session, i);

		if (!lane)
			continue;
		RCU_INIT_POINTER(session->lane[i], NULL);
		braid_lane_close(lane);
	}
}

static void send_bye(struct braid_session *session, u8 reason)
{
	struct braid_lane *control = own_lane(session, 0);

	session->body.bye.reason = reason;
	if (control)
		braid_lane_send(control, braid_frame_alloc(WIRE_BYE, 0, 0, &session->body, NULL, 0, 0,
							   GFP_NOWAIT));
}

/* Doubles from attempt to attempt; which two nodes they are spreads the attempts of a whole cluster. */
static void back_off(struct braid_session *session, bool was_open)
{
	u32 spread = (session->bn->identity.node_id * 29u + session->node * 13u) % 64;

	if (was_open || !session->backoff_ms)
		session->backoff_ms = SESSION_BACKOFF_MS_MIN;
	else
		session->backoff_ms = min_t(u32, 2 * session->backoff_ms, SESSION_BACKOFF_MS_MAX);
	session->next_attempt_ns = ktime_get_ns() +
				   (u64)(session->backoff_ms + session->backoff_ms * spread / 256) * NSEC_PER_MSEC;
}

/* The whole session ends, whatever its state: readable verbs in an order that may not change [L2]. */
static void tear_down(struct braid_session *session)
{
	bool was_open = session->state == BRAID_SESSION_OPEN;
	unsigned long flags;
	bool wanted;
	u8 error = BRAID_SESSION_NO_ERROR, bye = WIRE_BYE_DOWN;

	spin_lock_irqsave(&session->lock, flags);
	if (session->end_wanted) {
		error = session->end_error;
		bye = session->end_bye;
	}
	spin_unlock_irqrestore(&session->lock, flags);

	set_state(session, BRAID_SESSION_ENDING);
	lanes_refuse_volumes(session);
	if (was_open && bye)
		send_bye(session, bye);
	close_lanes(session);
	if (session->up) {
		session->up = false;
		braid_volumes_session_down(session->bn, session->node);
	}
	set_incarnation(session, 0, 0);

	spin_lock_irqsave(&session->lock, flags);
	session->last_error = error;
	wanted = session->wanted;
	spin_unlock_irqrestore(&session->lock, flags);
	if (was_open)
		pr_info("braid: session with %s ended, reason %u\n", session->config.name, error);
	back_off(session, was_open);
	set_state(session, wanted ? BRAID_SESSION_CONNECTING : BRAID_SESSION_DISCONNECTED);
}

/* ---- beginning ---- */

static int connect_socket(struct braid_session *session, const struct sockaddr_storage *address, struct socket **result)
{
	struct braid_net *bn = session->bn;
	struct sockaddr_storage source = bn->identity.listen;
	struct socket *socket;
	int error;

	error = sock_create_kern(bn->net, address->ss_family, SOCK_STREAM, IPPROTO_TCP, &socket);
	if (error)
		return error;
	if (source.ss_family == address->ss_family) {
		if (source.ss_family == AF_INET6)
			((struct sockaddr_in6 *)&source)->sin6_port = 0;
		else
			((struct sockaddr_in *)&source)->sin_port = 0;
		error = kernel_bind(socket, (struct sockaddr *)&source, braid_address_bytes(&source));
		if (error) {
			sock_release(socket);
			return error;
		}
	}
	*result = socket;
	return 0;
}

static void connect_lane(struct braid_session *session, u8 number)
{
	struct sockaddr_storage address;
	struct braid_lane *lane = NULL;
	u8 nonce[NONCE_BYTES];
	struct socket *socket;
	unsigned long flags;
	int error;

	spin_lock_irqsave(&session->lock, flags);
	address = session->config.address;
	spin_unlock_irqrestore(&session->lock, flags);
	error = connect_socket(session, &address, &socket);
	if (!error)
		lane = braid_lane_alloc(session->bn, socket, true);
	if (!lane) {
		braid_session_fail(session, BRAID_SESSION_UNREACHABLE, 0);
		return;
	}
	get_random_bytes(nonce, sizeof(nonce));
	auth_init_initiator(&lane->auth, &braid_private(session->bn)->local, session->node, session->session_id,
			    number, session->nr_lanes, nonce);
	take_lane(session, lane, number);
	braid_lane_start(lane, socket->sk->sk_data_ready);
	error = kernel_connect(socket, (struct sockaddr *)&address, braid_address_bytes(&address), O_NONBLOCK);
	if (error && error != -EINPROGRESS)
		braid_lane_fail(lane, BRAID_SESSION_UNREACHABLE, 0);
	else
		braid_lane_kick_receive(lane);
}

static void begin_attempt(struct braid_session *session)
{
	u64 session_id;

	do {
		session_id = get_random_u64();
	} while (!session_id);
	set_incarnation(session, session_id, 1 + READ_ONCE(session->bn->options.nr_data_lanes));
	connect_lane(session, 0);
}

/* [G10] A node id belongs to one installation: the first that proved it. */
static bool instance_matches(struct braid_session *session, const struct braid_lane *lane)
{
	const u8 *instance = lane->initiator ? lane->auth.challenge.node_instance : lane->auth.hello.node_instance;
	unsigned long flags;
	bool matches;

	spin_lock_irqsave(&session->lock, flags);
	if (!session->config.instance_known) {
		memcpy(session->config.instance, instance, UUID_BYTES);
		session->config.instance_known = true;
	}
	matches = !memcmp(session->config.instance, instance, UUID_BYTES);
	spin_unlock_irqrestore(&session->lock, flags);
	if (!matches)
		pr_warn_ratelimited("braid: %s refused: another machine uses its node id %u; remove and add the peer if it was reinstalled\n",
				    session->config.name, session->node);
	return matches;
}

static void tell_about_others(struct braid_session *session);

static void open_session(struct braid_session *session)
{
	u64 number = braid_volumes_session_number();
	u64 now_ns = ktime_get_ns();
	unsigned long flags;
	unsigned int i;

	spin_lock_irqsave(&session->lock, flags);
	session->number = number;
	WRITE_ONCE(session->features, own_lane(session, 0)->auth.features);
	session->last_error = BRAID_SESSION_NO_ERROR;
	if (session->opened_ns)
		session->reconnects++;
	session->opened_ns = now_ns;
	session->pong_ns = now_ns;
	spin_unlock_irqrestore(&session->lock, flags);
	session->backoff_ms = 0;
	session->next_ping_ns = now_ns;
	for (i = 0; i < session->nr_lanes; i++) {
		struct braid_lane *lane = own_lane(session, i);

		spin_lock_bh(&lane->lock);
		WRITE_ONCE(lane->session_number, number);
		lane->open = true;
		spin_unlock_bh(&lane->lock);
	}
	session->up = true;
	set_state(session, BRAID_SESSION_OPEN);
	pr_info("braid: session with %s open, %u lanes\n", session->config.name, session->nr_lanes);
	braid_volumes_session_up(session->bn, session->node, number);
	for (i = 0; i < session->nr_lanes; i++) {
		struct braid_lane *lane = own_lane(session, i);

		smp_store_release(&lane->deliver, true);
		braid_lane_kick_receive(lane);
	}
	tell_about_others(session);
}

/* Initiator: lane 0 was proved -> data lanes; all were proved -> open. */
static void continue_attempt(struct braid_session *session)
{
	struct braid_lane *control = own_lane(session, 0);
	unsigned int i;

	if (!control || end_is_wanted(session))
		return;
	if (READ_ONCE(control->connected) && session->state == BRAID_SESSION_CONNECTING)
		set_state(session, BRAID_SESSION_AUTHENTICATING);
	if (!smp_load_acquire(&control->authenticated))
		return;
	for (i = 0; i < session->nr_lanes; i++) {
		struct braid_lane *lane = own_lane(session, i);

		if (lane && smp_load_acquire(&lane->authenticated) && !instance_matches(session, lane)) {
			braid_session_fail(session, BRAID_SESSION_REFUSED_FIRST + WIRE_REFUSED_INSTANCE, 0);
			return;
		}
		if (!lane) {
			session->deadline_ns = ktime_get_ns() +
					       (u64)braid_auth_timeout_ms(session->bn) * NSEC_PER_MSEC;
			connect_lane(session, i);
		}
		if (end_is_wanted(session))
			return;
	}
	if (has_all_lanes(session))
		open_session(session);
}

/* ---- responder: authenticated lanes arrive ---- */

static bool lane_fits(const struct braid_session *session, const struct auth *auth)
{
	return session->session_id == auth->session_id && session->nr_lanes == auth->nr_lanes &&
	       session->state == BRAID_SESSION_AUTHENTICATING && auth->lane < session->nr_lanes &&
	       !own_lane(session, auth->lane);
}

static void adopt_lane(struct braid_session *session, struct braid_lane *lane)
{
	const struct auth *auth = &lane->auth;
	struct braid_frame *proof;

	if (session->initiator || !session->wanted || !instance_matches(session, lane)) {
		braid_lane_close(lane);
		return;
	}
	if (auth->lane == 0 && auth->session_id != session->session_id && auth->nr_lanes > 1) {
		/* The peer began anew: what we have of the old session is dead, whether we noticed or not. */
		if (has_begun(session)) {
			braid_session_fail(session, BRAID_SESSION_CLOSED, 0);
			tear_down(session);
		}
		set_incarnation(session, auth->session_id, auth->nr_lanes);
		set_state(session, BRAID_SESSION_AUTHENTICATING);
	}
	if (!lane_fits(session, auth)) {
		braid_lane_close(lane);
		return;
	}
	take_lane(session, lane, auth->lane);
	proof = lane->proof;
	lane->proof = NULL;
	braid_lane_send(lane, proof);
	if (has_all_lanes(session) && !end_is_wanted(session))
		open_session(session);
}

static void adopt_arrivals(struct braid_session *session)
{
	struct braid_lane *lane;

	while ((lane = braid_node_take_arrival(session->bn, session->node)))
		adopt_lane(session, lane);
}

/* ---- time ---- */

/* [N6] Decide with what was measured, and say it. */
static void check_time(struct braid_session *session)
{
	const struct braid_lane *control = own_lane(session, 0);
	u64 now_ns = ktime_get_ns();
	unsigned long flags;
	u64 pong_ns, rtt_ns;

	if (!has_begun(session))
		return;
	if (session->state != BRAID_SESSION_OPEN) {
		if (now_ns >= session->deadline_ns)
			braid_session_fail(session, control && READ_ONCE(control->connected) ?
					   BRAID_SESSION_TIMEOUT : BRAID_SESSION_UNREACHABLE, 0);
		return;
	}
	spin_lock_irqsave(&session->lock, flags);
	pong_ns = session->pong_ns;
	rtt_ns = session->rtt_ns;
	spin_unlock_irqrestore(&session->lock, flags);
	if (now_ns < pong_ns + timeout_ns(session))
		return;
	pr_warn("braid: no answer from %s for %llu ms, limit %llu ms, round trip was %llu us: session ends\n",
		session->config.name, div_u64(now_ns - pong_ns, NSEC_PER_MSEC),
		div_u64(timeout_ns(session), NSEC_PER_MSEC), div_u64(rtt_ns, NSEC_PER_USEC));
	braid_session_fail(session, BRAID_SESSION_TIMEOUT, 0);
}

static void keep_alive(struct braid_session *session)
{
	u64 now_ns = ktime_get_ns();
	unsigned int i;

	if (now_ns < session->next_ping_ns)
		return;
	session->next_ping_ns = now_ns + ping_interval_ns(session);
	session->body.ping.stamp_ns = now_ns;
	braid_lane_send(own_lane(session, 0), braid_frame_alloc(WIRE_PING, 0, 0, &session->body, NULL, 0, 0,
								GFP_NOWAIT));
	/* A lane that ran out of memory with nothing in flight gets no write-space callback: this is its second chance. */
	for (i = 1; i < session->nr_lanes; i++)
		braid_lane_kick_send(own_lane(session, i));
}

/* When the work has to run again by itself; 0: not before somebody kicks it. */
static u64 next_run_ns(struct braid_session *session)
{
	unsigned long flags;
	u64 due_ns = 0;

	spin_lock_irqsave(&session->lock, flags);
	if (session->state == BRAID_SESSION_OPEN)
		due_ns = min(session->next_ping_ns, session->pong_ns + timeout_ns(session));
	else if (has_begun(session))
		due_ns = session->deadline_ns;
	else if (session->initiator && session->wanted)
		due_ns = session->next_attempt_ns;
	spin_unlock_irqrestore(&session->lock, flags);
	return due_ns;
}

static void schedule_next(struct braid_session *session)
{
	u64 due_ns = next_run_ns(session), now_ns = ktime_get_ns();
	unsigned long delay = due_ns > now_ns ? nsecs_to_jiffies(due_ns - now_ns) + 1 : 0;
	unsigned long flags;

	if (!due_ns)
		return;
	spin_lock_irqsave(&session->lock, flags);
	if (!session->removed)	/* a kick that came meanwhile stays: queue, not modify */
		queue_delayed_work(braid_session_queue, &session->work, delay);
	spin_unlock_irqrestore(&session->lock, flags);
}

static void follow_wishes(struct braid_session *session)
{
	unsigned long flags;
	bool wanted, retry;

	spin_lock_irqsave(&session->lock, flags);
	wanted = session->wanted;
	retry = session->retry_now;
	session->retry_now = false;
	spin_unlock_irqrestore(&session->lock, flags);
	if (retry) {
		session->backoff_ms = 0;
		session->next_attempt_ns = 1;
	}
	if (has_begun(session))
		return;
	set_state(session, wanted ? BRAID_SESSION_CONNECTING : BRAID_SESSION_DISCONNECTED);
	if (wanted && session->initiator && ktime_get_ns() >= session->next_attempt_ns)
		begin_attempt(session);
}

static void session_work(struct work_struct *work)
{
	struct braid_session *session = container_of(to_delayed_work(work), struct braid_session, work);
	unsigned int noio = memalloc_noio_save();

	check_time(session);
	if (has_begun(session) && end_is_wanted(session))
		tear_down(session);
	adopt_arrivals(session);
	follow_wishes(session);
	if (session->initiator && has_begun(session) && session->state != BRAID_SESSION_OPEN)
		continue_attempt(session);
	if (session->state == BRAID_SESSION_OPEN) {
		follow_timeout(session);
		keep_alive(session);
	}
	schedule_next(session);
	memalloc_noio_restore(noio);
}

/* ---- frames of the session itself ---- */

static int pong_received(struct braid_session *session, u64 stamp_ns)
{
	u64 now_ns = ktime_get_ns();
	unsigned long flags;
	int result = -EPROTO;

	spin_lock_irqsave(&session->lock, flags);
	if (stamp_ns >= session->opened_ns && stamp_ns <= now_ns) {
		u64 sample_ns = now_ns - stamp_ns;

		session->pong_ns = now_ns;
		session->rtt_ns = session->rtt_ns ? (7 * session->rtt_ns + sample_ns) / 8 : sample_ns;
		result = 0;
	}
	spin_unlock_irqrestore(&session->lock, flags);
	return result;
}

int braid_session_frame(struct braid_session *session, struct braid_lane *lane)
{
	const struct wire_header *header = &lane->header;
	struct braid_buffer *payload = lane->payload;

	lane->payload = NULL;
	switch (header->type) {
	case WIRE_PING:
		braid_lane_send(lane, braid_frame_alloc(WIRE_PONG, 0, header->request_id, &lane->body, NULL, 0, 0,
							GFP_NOIO));
		return 0;
	case WIRE_PONG:
		return pong_received(session, lane->body.ping.stamp_ns);
	case WIRE_NODE:
		braid_node_learn(session->bn, &lane->body.node);
		return 0;
	case WIRE_BYE:
		braid_session_fail(session, BRAID_SESSION_BYE_FIRST + lane->body.bye.reason, 0);
		return 0;
	default:
		return braid_volumes_receive(session->bn, session->node, lane->session_number, lane->number, header,
					     &lane->body, payload);
	}
}

static struct braid_frame *node_frame(const struct braid_peer_config *config, union wire_body *body)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&config->address;
	const struct sockaddr_in *in = (const struct sockaddr_in *)&config->address;
	struct wire_node *node = &body->node;

	memset(node, 0, sizeof(*node));
	node->node_id = config->node_id;
	strscpy(node->name, config->name, sizeof(node->name));
	if (config->address.ss_family == AF_INET6) {
		node->family = 6;
		node->port = ntohs(in6->sin6_port);
		memcpy(node->address, &in6->sin6_addr, 16);
	} else {
		node->family = 4;
		node->port = ntohs(in->sin_port);
		memcpy(node->address, &in->sin_addr, 4);
	}
	return braid_frame_alloc(WIRE_NODE, 0, 0, body, NULL, 0, 0, GFP_NOIO);
}

/* WIRE_NODE for every other peer: how a node learns who else there is. */
static void tell_about_others(struct braid_session *session)
{
	struct braid_session_status *status = kmalloc(sizeof(*status), GFP_NOIO);
	unsigned int i;

	if (!status)
		return;	/* told again with the next session */
	for (i = 0; i < NODES_MAX; i++) {
		if (i == session->node || !braid_session_status(session->bn, i, status))
			continue;
		braid_lane_send(own_lane(session, 0), node_frame(&status->config, &session->body));
	}
	kfree(status);
}

void braid_session_tell_all(struct braid_net *bn, const struct braid_peer_config *config)
{
	union wire_body *body = kmalloc(sizeof(*body), GFP_KERNEL);
	unsigned int i;

	if (!body)
		return;
	for (i = 0; i < NODES_MAX; i++) {
		struct braid_frame *frame;

		if (i == config->node_id || !braid_session_is_open(bn, i))
			continue;
		frame = node_frame(config, body);
		if (frame)
			braid_session_send(bn, i, 0, frame, LANE_IN_BURSTS);
	}
	kfree(body);
}

/* ---- life ---- */

struct braid_session *braid_session_alloc(struct braid_net *bn, const struct braid_peer_config *config)
{
	struct braid_session *session = kzalloc(sizeof(*session), GFP_KERNEL);

	if (!session)
		return NULL;
	session->bn = bn;
	session->node = config->node_id;
	session->initiator = bn->identity.node_id < config->node_id;
	session->config = *config;
	session->state = BRAID_SESSION_CONNECTING;
	session->since_ns = ktime_get_ns();
	session->wanted = true;
	session->next_attempt_ns = 1;
	spin_lock_init(&session->lock);
	init_waitqueue_head(&session->changed);
	INIT_DELAYED_WORK(&session->work, session_work);
	return session;
}

void braid_session_destroy(struct braid_session *session)
{
	/* Volumes are told of the end behind memory that closing sockets may take [L4]. */
	unsigned int noio = memalloc_noio_save();
	unsigned long flags;

	spin_lock_irqsave(&session->lock, flags);
	session->removed = true;
	session->wanted = false;
	spin_unlock_irqrestore(&session->lock, flags);
	cancel_delayed_work_sync(&session->work);
	if (has_begun(session))
		tear_down(session);
	memalloc_noio_restore(noio);
	kfree_rcu(session, rcu);
}
