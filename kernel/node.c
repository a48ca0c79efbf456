// SPDX-License-Identifier: GPL-2.0
/*
 * The node of a network namespace: listener, accepted connections until they have proved who they are [I22], and the
 * configured peers [N1]. Everything is per namespace; the sockets do not keep it alive, so nothing here outlives
 * braid_node_stop() [L3].
 *
 * An accepted connection is pending until its peer's session takes it. At most NODE_PENDING_MAX are, each for at most
 * min(timeout, 10 s); a newcomer displaces the oldest one that has not authenticated, so silence does not keep
 * others out. Locks: see session.c. Whoever removes a lane from the pending list owns it.
 */
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/jiffies.h>
#include <linux/random.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <net/tcp_states.h>
#include "core/codec.h"
#include "lane.h"

enum {
	LISTEN_BACKLOG = 128,
	ACCEPTS_PER_RUN = 32,
	ACCEPT_RETRY_MS = 100,
	DISCONNECT_WAIT_MS = 5000,
	SETTLE_WAIT_MS = 1000,
	LEARN_RETRY_MS = 100,
};

struct workqueue_struct *braid_session_queue;
struct workqueue_struct *braid_lane_queue;
struct workqueue_struct *braid_send_queue;

struct learned_node {
	struct list_head entry;
	struct wire_node node;
};

u32 braid_address_bytes(const struct sockaddr_storage *address)
{
	return address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

static bool address_valid(const struct sockaddr_storage *address)
{
	if (address->ss_family == AF_INET6)
		return ((const struct sockaddr_in6 *)address)->sin6_port != 0;
	return address->ss_family == AF_INET && ((const struct sockaddr_in *)address)->sin_port != 0;
}

static struct braid_session *peer_locked(struct braid_net *bn, u8 node)
{
	if (node >= NODES_MAX)
		return NULL;
	return rcu_dereference_protected(bn->session[node], lockdep_is_held(&bn->lock));
}

/* ---- pending connections ---- */

static void arm_reaper(struct braid_net_private *private, unsigned long delay)
{
	if (!private->stopped)
		mod_delayed_work(braid_session_queue, &private->reap_work, delay);
}

/* For status: why the peer that it claims to be cannot get in. Only a remark, and only while there is no session. */
static void note_refusal(struct braid_net *bn, u8 node, u8 error)
{
	struct braid_session *session;
	unsigned long flags;

	rcu_read_lock();
	session = node < NODES_MAX ? rcu_dereference(bn->session[node]) : NULL;
	if (session) {
		spin_lock_irqsave(&session->lock, flags);
		if (session->state == BRAID_SESSION_CONNECTING && !session->initiator)
			session->last_error = error;
		spin_unlock_irqrestore(&session->lock, flags);
	}
	rcu_read_unlock();
}

/* From the lane's receive work. */
void braid_node_lane_failed(struct braid_lane *lane, u8 error)
{
	struct braid_net_private *private = braid_private(lane->bn);

	if (error > BRAID_SESSION_REFUSED_FIRST)
		note_refusal(lane->bn, lane->claimed_node, error);
	spin_lock_bh(&private->lock);
	arm_reaper(private, 0);
	spin_unlock_bh(&private->lock);
}

void braid_node_lane_authenticated(struct braid_lane *lane)
{
	struct braid_session *session;

	rcu_read_lock();
	session = rcu_dereference(lane->bn->session[lane->auth.peer_id]);
	if (session)
		braid_session_kick(session);
	rcu_read_unlock();
}

struct braid_lane *braid_node_take_arrival(struct braid_net *bn, u8 node)
{
	struct braid_net_private *private = braid_private(bn);
	struct braid_lane *lane, *found = NULL;

	spin_lock_bh(&private->lock);
	list_for_each_entry(lane, &private->pending, pending) {
		if (smp_load_acquire(&lane->authenticated) && lane->auth.peer_id == node) {
			list_del_init(&lane->pending);
			private->nr_pending--;
			found = lane;
			break;
		}
	}
	spin_unlock_bh(&private->lock);
	return found;
}

void braid_node_lookup(void *context, const struct wire_hello *hello, struct auth_peer *peer)
{
	const struct braid_lane *lane = context;
	struct braid_session *session;
	unsigned long flags;

	memset(peer, 0, sizeof(*peer));
	rcu_read_lock();
	session = hello->node_id < NODES_MAX ? rcu_dereference(lane->bn->session[hello->node_id]) : NULL;
	if (session && session->initiator == lane->initiator) {	/* the smaller id connects, never the other one */
		spin_lock_irqsave(&session->lock, flags);
		peer->known = !session->removed;
		peer->disconnected = !session->wanted;
		peer->instance_known = session->config.instance_known;
		memcpy(peer->node_instance, session->config.instance, UUID_BYTES);
		if (hello->lane == 0)
			peer->lane_fits = hello->nr_lanes > 1;
		else
			peer->lane_fits = session->session_id == hello->session_id &&
					  session->nr_lanes == hello->nr_lanes &&
					  session->state == BRAID_SESSION_AUTHENTICATING &&
					  !(session->lanes >> hello->lane & 1);
		spin_unlock_irqrestore(&session->lock, flags);
	}
	rcu_read_unlock();
}

static void reap_work(struct work_struct *work)
{
	struct braid_net_private *private = container_of(to_delayed_work(work), struct braid_net_private, reap_work);
	u64 now_ns = ktime_get_ns(), next_ns = U64_MAX;
	unsigned int noio = memalloc_noio_save();
	struct braid_lane *lane, *next;
	LIST_HEAD(dead);

	spin_lock_bh(&private->lock);
	list_for_each_entry_safe(lane, next, &private->pending, pending) {
		if (READ_ONCE(lane->failed) || lane->deadline_ns <= now_ns) {
			list_move_tail(&lane->pending, &dead);
			private->nr_pending--;
		} else {
			next_ns = min(next_ns, lane->deadline_ns);
		}
	}
	if (private->accept_again && !private->stopped)
		queue_work(braid_session_queue, &private->bn->accept_work);
	private->accept_again = false;
	if (next_ns != U64_MAX && !private->stopped)	/* not later than a kick that came meanwhile */
		queue_delayed_work(braid_session_queue, &private->reap_work, nsecs_to_jiffies(next_ns - now_ns) + 1);
	spin_unlock_bh(&private->lock);
	list_for_each_entry_safe(lane, next, &dead, pending) {
		list_del_init(&lane->pending);
		atomic64_inc(&private->rejected);
		braid_lane_close(lane);
	}
	memalloc_noio_restore(noio);
}

/* ---- accepting ---- */

static void make_room(struct braid_net_private *private)
{
	struct braid_lane *lane, *victim = NULL;

	spin_lock_bh(&private->lock);
	if (private->nr_pending >= NODE_PENDING_MAX) {
		list_for_each_entry(lane, &private->pending, pending) {
			if (!smp_load_acquire(&lane->authenticated)) {
				victim = lane;
				break;
			}
		}
	}
	if (victim) {
		list_del_init(&victim->pending);
		private->nr_pending--;
	}
	spin_unlock_bh(&private->lock);
	if (victim) {
		atomic64_inc(&private->rejected);
		braid_lane_close(victim);
	}
}

static void accept_one(struct braid_net *bn, struct socket *socket)
{
	struct braid_net_private *private = braid_private(bn);
	struct braid_lane *lane;
	u8 nonce[NONCE_BYTES];
	u64 deadline_ns;
	bool room;

	make_room(private);
	lane = braid_lane_alloc(bn, socket, false);
	if (!lane)
		return;
	get_random_bytes(nonce, sizeof(nonce));
	auth_init_responder(&lane->auth, nonce);
	deadline_ns = lane->deadline_ns;
	spin_lock_bh(&private->lock);
	room = private->nr_pending < NODE_PENDING_MAX;
	if (room) {
		lane->deadline_ns = U64_MAX;	/* the reaper leaves it alone until it is started */
		list_add_tail(&lane->pending, &private->pending);
		private->nr_pending++;
	}
	spin_unlock_bh(&private->lock);
	if (!room) {
		atomic64_inc(&private->rejected);
		braid_lane_close(lane);
		return;
	}
	rcu_read_lock();	/* once started, its session may take and close it at any moment */
	braid_lane_start(lane, private->listener_data_ready);
	braid_lane_kick_receive(lane);
	spin_lock_bh(&private->lock);
	lane->deadline_ns = deadline_ns;
	arm_reaper(private, 0);
	spin_unlock_bh(&private->lock);
	rcu_read_unlock();
}

static void accept_work(struct work_struct *work)
{
	struct braid_net *bn = container_of(work, struct braid_net, accept_work);
	struct braid_net_private *private = braid_private(bn);
	unsigned int noio = memalloc_noio_save();	/* a reconnection must not wait for a write to what it reconnects */
	struct socket *socket;
	unsigned int i;
	int error = 0;

	for (i = 0; i < ACCEPTS_PER_RUN && !error; i++) {
		error = kernel_accept(bn->listener, &socket, O_NONBLOCK);
		if (!error)
			accept_one(bn, socket);
	}
	spin_lock_bh(&private->lock);
	if (!private->stopped && !error) {
		queue_work(braid_session_queue, &bn->accept_work);
	} else if (!private->stopped && error != -EAGAIN) {
		private->accept_again = true;
		queue_delayed_work(braid_session_queue, &private->reap_work, msecs_to_jiffies(ACCEPT_RETRY_MS));
	}
	spin_unlock_bh(&private->lock);
	memalloc_noio_restore(noio);
}

/* Also called for accepted connections that have not got a lane's callbacks yet: they inherit it. */
static void listener_data_ready(struct sock *sk)
{
	struct braid_net *bn;

	read_lock_bh(&sk->sk_callback_lock);
	bn = sk->sk_user_data;
	if (bn && sk->sk_state == TCP_LISTEN)
		queue_work(braid_session_queue, &bn->accept_work);
	read_unlock_bh(&sk->sk_callback_lock);
}

static int listen_start(struct braid_net *bn)
{
	struct braid_net_private *private = braid_private(bn);
	struct sockaddr_storage address = bn->identity.listen;
	struct socket *socket;
	struct sock *sk;
	int error;

	error = sock_create_kern(bn->net, address.ss_family, SOCK_STREAM, IPPROTO_TCP, &socket);
	if (error)
		return error;
	sk = socket->sk;
	sock_set_reuseaddr(sk);
	braid_socket_prepare(bn, socket);
	error = kernel_bind(socket, (struct sockaddr *)&address, braid_address_bytes(&address));
	if (error) {
		sock_release(socket);
		return error;
	}
	bn->listener = socket;
	write_lock_bh(&sk->sk_callback_lock);
	private->listener_data_ready = sk->sk_data_ready;
	sk->sk_user_data = bn;
	sk->sk_data_ready = listener_data_ready;
	write_unlock_bh(&sk->sk_callback_lock);
	spin_lock_bh(&private->lock);
	private->stopped = false;
	spin_unlock_bh(&private->lock);
	return kernel_listen(socket, LISTEN_BACKLOG);
}

static void listen_stop(struct braid_net *bn)
{
	struct braid_net_private *private = braid_private(bn);
	struct sock *sk = bn->listener->sk;

	spin_lock_bh(&private->lock);
	private->stopped = true;
	spin_unlock_bh(&private->lock);
	write_lock_bh(&sk->sk_callback_lock);
	sk->sk_user_data = NULL;
	sk->sk_data_ready = private->listener_data_ready;
	write_unlock_bh(&sk->sk_callback_lock);
	cancel_work_sync(&bn->accept_work);
	cancel_delayed_work_sync(&private->reap_work);
	sock_release(bn->listener);
	bn->listener = NULL;
}

/* Nothing adds to the list any more. */
static void close_pending(struct braid_net_private *private)
{
	struct braid_lane *lane, *next;
	LIST_HEAD(rest);

	spin_lock_bh(&private->lock);
	list_splice_init(&private->pending, &rest);
	private->nr_pending = 0;
	spin_unlock_bh(&private->lock);
	list_for_each_entry_safe(lane, next, &rest, pending) {
		list_del_init(&lane->pending);
		braid_lane_close(lane);
	}
}

/* ---- nodes that peers told us about ---- */

static void learned_take(struct braid_net_private *private, struct list_head *taken)
{
	spin_lock_bh(&private->lock);
	list_splice_init(&private->learned, taken);
	private->nr_learned = 0;
	spin_unlock_bh(&private->lock);
}

static void learned_free(struct list_head *taken)
{
	struct learned_node *learned, *next;

	list_for_each_entry_safe(learned, next, taken, entry) {
		list_del(&learned->entry);
		kfree(learned);
	}
}

void braid_node_learn(struct braid_net *bn, const struct wire_node *node)
{
	struct braid_net_private *private = braid_private(bn);
	struct learned_node *learned = kmalloc(sizeof(*learned), GFP_NOIO);

	if (!learned)
		return;	/* told again with the next session */
	learned->node = *node;
	spin_lock_bh(&private->lock);
	if (!private->stopped && private->nr_learned < NODE_LEARNED_MAX) {
		list_add_tail(&learned->entry, &private->learned);
		private->nr_learned++;
		queue_delayed_work(braid_session_queue, &private->learn_work, 0);
		learned = NULL;
	}
	spin_unlock_bh(&private->lock);
	kfree(learned);
}

static void node_to_config(const struct wire_node *node, struct braid_peer_config *config)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&config->address;
	struct sockaddr_in *in = (struct sockaddr_in *)&config->address;

	memset(config, 0, sizeof(*config));
	config->node_id = node->node_id;
	strscpy(config->name, node->name, sizeof(config->name));
	if (node->family == 6) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(node->port);
		memcpy(&in6->sin6_addr, node->address, 16);
	} else {
		in->sin_family = AF_INET;
		in->sin_port = htons(node->port);
		memcpy(&in->sin_addr, node->address, 4);
	}
}

/* [G10] Who is known stays as configured; a contradiction is reported and nothing is changed. bn->lock held. */
static void learn_one(struct braid_net *bn, const struct wire_node *node)
{
	struct braid_session *session = peer_locked(bn, node->node_id);
	struct braid_peer_config config;
	const char *known = NULL;
	int error;

	if (node->node_id == bn->identity.node_id)
		known = bn->identity.name;
	else if (session)
		known = session->config.name;
	if (known) {
		if (strcmp(known, node->name))
			pr_warn_ratelimited("braid: a peer knows node %u as %s, here it is %s; ignored: make the names agree\n",
					    node->node_id, node->name, known);
		return;
	}
	node_to_config(node, &config);
	error = braid_peer_add(bn, &config);
	if (error)
		pr_warn_ratelimited("braid: node %u (%s), named by a peer, was not added: error %d\n", node->node_id,
				    node->name, error);
}

static void learn_work(struct work_struct *work)
{
	struct braid_net_private *private = container_of(to_delayed_work(work), struct braid_net_private, learn_work);
	struct braid_net *bn = private->bn;
	struct learned_node *learned;
	unsigned int noio;
	LIST_HEAD(taken);

	if (!mutex_trylock(&bn->lock)) {
		spin_lock_bh(&private->lock);
		if (!private->stopped)
			queue_delayed_work(braid_session_queue, &private->learn_work,
					   msecs_to_jiffies(LEARN_RETRY_MS));
		spin_unlock_bh(&private->lock);
		return;
	}
	noio = memalloc_noio_save();	/* sessions that others' memory waits for have their rescuer in this queue [L4] */
	learned_take(private, &taken);
	if (bn->configured && !bn->dying) {
		list_for_each_entry(learned, &taken, entry)
			learn_one(bn, &learned->node);
	}
	memalloc_noio_restore(noio);
	mutex_unlock(&bn->lock);
	learned_free(&taken);
}

/* ---- peers ---- */

static bool name_taken(struct braid_net *bn, const struct braid_peer_config *peer)
{
	unsigned int i;

	if (!strcmp(bn->identity.name, peer->name))
		return true;
	for (i = 0; i < NODES_MAX; i++) {
		const struct braid_session *session = peer_locked(bn, i);

		if (session && i != peer->node_id && !strcmp(session->config.name, peer->name))
			return true;
	}
	return false;
}

static void peer_update(struct braid_session *session, const struct braid_peer_config *peer)
{
	unsigned long flags;

	spin_lock_irqsave(&session->lock, flags);
	strscpy(session->config.name, peer->name, sizeof(session->config.name));
	session->config.address = peer->address;
	if (peer->instance_known) {
		session->config.instance_known = true;
		memcpy(session->config.instance, peer->instance, UUID_BYTES);
	}
	session->retry_now = true;
	spin_unlock_irqrestore(&session->lock, flags);
	braid_session_kick(session);
}

int braid_peer_add(struct braid_net *bn, const struct braid_peer_config *peer)
{
	struct braid_session *session;

	lockdep_assert_held(&bn->lock);
	if (!bn->configured)
		return -ENXIO;
	if (peer->node_id >= NODES_MAX || peer->node_id == bn->identity.node_id || !address_valid(&peer->address) ||
	    !codec_name_valid(peer->name))
		return -EINVAL;
	if (name_taken(bn, peer))
		return -EEXIST;
	session = peer_locked(bn, peer->node_id);
	if (session) {
		peer_update(session, peer);
		return 0;
	}
	session = braid_session_alloc(bn, peer);
	if (!session)
		return -ENOMEM;
	rcu_assign_pointer(bn->session[peer->node_id], session);
	braid_session_kick(session);
	braid_session_tell_all(bn, peer);
	braid_notify_peer(bn, peer->node_id);
	return 0;
}

int braid_peer_remove(struct braid_net *bn, u8 node)
{
	struct braid_session *session = peer_locked(bn, node);

	if (!session)
		return -ENOENT;
	RCU_INIT_POINTER(bn->session[node], NULL);
	braid_session_destroy(session);
	braid_notify_peer(bn, node);	/* a session that never began has told nobody of its end */
	return 0;
}

int braid_peer_connect(struct braid_net *bn, u8 node)
{
	struct braid_session *session = peer_locked(bn, node);
	unsigned long flags;

	if (!session)
		return -ENOENT;
	spin_lock_irqsave(&session->lock, flags);
	session->wanted = true;
	session->retry_now = true;
	spin_unlock_irqrestore(&session->lock, flags);
	braid_session_kick(session);
	return 0;
}

int braid_peer_disconnect(struct braid_net *bn, u8 node)
{
	struct braid_session *session = peer_locked(bn, node);
	unsigned long flags;

	if (!session)
		return -ENOENT;
	braid_volumes_settle(bn, node, SETTLE_WAIT_MS);
	spin_lock_irqsave(&session->lock, flags);
	session->wanted = false;
	spin_unlock_irqrestore(&session->lock, flags);
	braid_session_kick(session);
	/* The session work never takes bn->lock, which we hold. */
	if (!wait_event_timeout(session->changed, READ_ONCE(session->state) == BRAID_SESSION_DISCONNECTED,
				msecs_to_jiffies(DISCONNECT_WAIT_MS)))
		return -ETIMEDOUT;
	return 0;
}

void braid_options_set(struct braid_net *bn, const struct braid_options *options)
{
	unsigned int i;

	lockdep_assert_held(&bn->lock);
	WRITE_ONCE(bn->options.timeout_ms, clamp_t(u32, options->timeout_ms, 500, 60000));
	WRITE_ONCE(bn->options.nr_data_lanes, clamp_t(u32, options->nr_data_lanes, 1, WIRE_LANES_MAX - 1));
	WRITE_ONCE(bn->options.disk_timeout_ms, clamp_t(u32, options->disk_timeout_ms, 5000, 600000));
	for (i = 0; i < NODES_MAX; i++) {
		struct braid_session *session = peer_locked(bn, i);

		if (session)
			braid_session_kick(session);
	}
}

/* ---- node ---- */

static void set_auth_local(struct auth_local *local, const struct braid_identity *identity)
{
	memset(local, 0, sizeof(*local));
	memcpy(local->cluster_id, identity->cluster_id, UUID_BYTES);
	memcpy(local->node_instance, identity->instance, UUID_BYTES);
	local->node_id = identity->node_id;
	local->insecure = identity->insecure;
	local->features = WIRE_FEATURE_STABLE | WIRE_FEATURE_BLANK | braid_buffer_features();
	memcpy(local->secret, identity->secret, SECRET_BYTES);
}

static int private_alloc(struct braid_net *bn)
{
	struct braid_net_private *private = kzalloc(sizeof(*private), GFP_KERNEL);

	if (!private)
		return -ENOMEM;
	private->bn = bn;
	private->stopped = true;
	spin_lock_init(&private->lock);
	INIT_LIST_HEAD(&private->pending);
	INIT_LIST_HEAD(&private->learned);
	INIT_DELAYED_WORK(&private->reap_work, reap_work);
	INIT_DELAYED_WORK(&private->learn_work, learn_work);
	INIT_WORK(&bn->accept_work, accept_work);
	bn->session_private = private;
	return 0;
}

/* The last steps of the end; without sessions and listener nobody looks here any more. */
static void forget_node(struct braid_net *bn)
{
	struct braid_net_private *private = braid_private(bn);
	LIST_HEAD(taken);

	close_pending(private);
	cancel_delayed_work_sync(&private->learn_work);
	learned_take(private, &taken);
	learned_free(&taken);
	bn->session_private = NULL;
	kfree_sensitive(private);
	memzero_explicit(&bn->identity, sizeof(bn->identity));
}

int braid_node_start(struct braid_net *bn, const struct braid_identity *identity, const struct braid_options *options)
{
	int error;

	lockdep_assert_held(&bn->lock);
	if (bn->dying)
		return -ESHUTDOWN;
	if (bn->configured)
		return -EALREADY;
	if (identity->node_id >= NODES_MAX || !address_valid(&identity->listen) || !codec_name_valid(identity->name))
		return -EINVAL;
	error = private_alloc(bn);
	if (error)
		return error;
	bn->identity = *identity;
	set_auth_local(&braid_private(bn)->local, identity);
	braid_options_set(bn, options);
	error = listen_start(bn);
	if (error) {
		if (bn->listener)
			listen_stop(bn);
		forget_node(bn);
		return error;
	}
	bn->configured = true;
	bn->starts++;
	return 0;
}

void braid_node_stop(struct braid_net *bn)
{
	unsigned int i;

	lockdep_assert_held(&bn->lock);
	if (!bn->configured)
		return;
	bn->configured = false;
	listen_stop(bn);
	for (i = 0; i < NODES_MAX; i++)
		braid_peer_remove(bn, i);
	forget_node(bn);
}

u64 braid_node_rejected(const struct braid_net *bn)
{
	const struct braid_net_private *private = bn->session_private;

	lockdep_assert_held(&bn->lock);
	return private ? atomic64_read(&private->rejected) : 0;
}

int braid_sessions_init(void)
{
	int error = braid_frames_init();

	if (error)
		return error;
	braid_session_queue = alloc_workqueue("braid_session", WQ_UNBOUND | WQ_MEM_RECLAIM | WQ_HIGHPRI, 0);
	braid_lane_queue = alloc_workqueue("braid_lane", WQ_UNBOUND | WQ_MEM_RECLAIM | WQ_HIGHPRI, WQ_MAX_ACTIVE);
	braid_send_queue = alloc_workqueue("braid_send", WQ_UNBOUND | WQ_MEM_RECLAIM, WQ_MAX_ACTIVE);
	if (braid_session_queue && braid_lane_queue && braid_send_queue && !braid_gatherers_init())
		return 0;
	braid_sessions_exit();
	return -ENOMEM;
}

void braid_sessions_exit(void)
{
	braid_gatherers_exit();
	if (braid_send_queue)
		destroy_workqueue(braid_send_queue);
	if (braid_lane_queue)
		destroy_workqueue(braid_lane_queue);
	if (braid_session_queue)
		destroy_workqueue(braid_session_queue);
	braid_send_queue = NULL;
	braid_lane_queue = NULL;
	braid_session_queue = NULL;
	synchronize_net();	/* socket callbacks that were entered before they were restored */
	braid_frames_exit();
}
