// SPDX-License-Identifier: GPL-2.0
/*
 * What happens next. Every thing that can happen somewhere has a weight; whatever can not, by a look at it, is left out, and of
 * the rest one is drawn. Some of these find that they have to wait: then another one is drawn. When none of them goes on,
 * time passes.
 *
 * A machine gets its turn, then one of its parts, as if drawn one after the other and drawn again when there was nothing to do;
 * world_step() counts those draws without making them, since time passes after so many in vain.
 */
#include "world.h"

enum act {
	ACT_SESSION,
	ACT_DELIVER,
	ACT_ENGINE,
	ACT_SAVE,
	ACT_LOG,
	ACT_RESYNC,
	ACT_ROUND,
	ACT_DEMOTE,
	ACT_APPLY,
	ACT_REQUEST,
};

enum schedule_limits {
	OPTIONS_MAX = WORLD_NODES_MAX * (WORLD_NODES_MAX * (WORLD_LANES + 2) + WORLD_WRITES_MAX + 6),
	DRAWS_MAX = 300,	/* in vain, until a step counts as one in which nothing happened */
	DRAWS_FOR_TIME = 60,	/* in vain, until time passes */
};

/* Shares of one machine's turn, in SHARES_ALL; a machine without power has no turn, and sometimes ends a session instead. */
enum share {
	SHARES_ALL = 16 * 8 * WORLD_WRITES_MAX * WORLD_LANES,
	SHARE_SESSION = SHARES_ALL / 16,
	SHARE_SESSION_OFF = SHARES_ALL / 4,
	SHARE_DELIVER = 5 * SHARES_ALL / 16,	/* of all peers and lanes */
	SHARE_ENGINE = 3 * SHARES_ALL / 16,
	SHARE_SAVE = 3 * SHARES_ALL / 32,
	SHARE_LOG = 3 * SHARES_ALL / 32,
	SHARE_RESYNC = SHARES_ALL / 16,		/* of all peers */
	SHARE_PATH = SHARES_ALL / 4,
	SHARE_ROUND = SHARE_PATH / 8,
	SHARE_DEMOTE = SHARE_PATH / 8,
	SHARE_APPLY = 3 * SHARE_PATH / 8,
	SHARE_REQUEST = 3 * SHARE_PATH / 8 / WORLD_WRITES_MAX,
};

struct option {
	u8 act, node, peer, index;
	u32 weight_to;	/* its weight and that of all before it */
};

struct options {
	struct option option[OPTIONS_MAX];
	u32 nr, weight;
};

static void add(struct options *options, enum act act, u8 node, u8 peer, u32 index, u32 weight)
{
	options->weight += weight;
	options->option[options->nr++] = (struct option) {
		.act = (u8)act, .node = node, .peer = peer, .index = (u8)index, .weight_to = options->weight,
	};
}

/* ---- sessions and lanes ---- */

static bool session_is_broken(const struct world *world, u8 a, u8 b)
{
	const struct node *x = &world->node[a], *y = &world->node[b];

	return x->session[b] && (!y->powered || !y->session[a] || world->cut[a][b] || world->cut[b][a]);
}

static bool session_may_open(const struct world *world, u8 a, u8 b)
{
	const struct node *x = &world->node[a], *y = &world->node[b];

	return !x->session[b] && y->powered && !y->session[a] && !world->cut[a][b] && !world->cut[b][a];
}

static void session_opens(struct world *world, u8 a, u8 b)
{
	u8 side;

	world_lanes_clear(world, a, b);
	world_lanes_clear(world, b, a);
	for (side = 0; side < 2; side++) {
		u8 node = side ? b : a, peer = side ? a : b;
		struct volume_event event = { .type = VOLUME_EVENT_PEER_UP, .node = peer, .features = world_features(world) };

		world->node[node].session[peer] = (u32)++world->sequence;
		event.value = world->node[node].session[peer];
		if (world->node[node].listed)
			world_event(world, node, &event);
	}
	world_trace(world, "session %u - %u opens", a, b);
}

/* Sessions follow the links: each end notices by itself; a new one opens when both have noticed. */
static bool session_step(struct world *world, u8 a, u8 b)
{
	if (session_may_open(world, a, b)) {
		session_opens(world, a, b);
	} else if (!world_percent(world, 70)) {	/* half open for a while */
		world_lanes_clear(world, b, a);
		world_end_session(world, a, b);
	}
	return true;
}

static bool may_deliver(const struct world *world, u8 from, u8 to, u32 index)
{
	const struct lane *lane = &world->lane[from][to][index];

	/* [engine.c] a lane is throttled while many events wait */
	return lane->nr && lane->first->ready_us <= world->now_us && !world->cut[from][to] && world->node[to].session[from] &&
	       world->node[from].powered && world->node[to].nr_events <= WORLD_EVENTS_MAX / 2;
}

static void deliver(struct world *world, u8 from, u8 to, u32 index)
{
	struct message *message = world_lane_take(&world->lane[from][to][index]);
	struct node *n = &world->node[to];

	if (n->listed && message->kind == MESSAGE_FRAME) {
		struct volume_event event = { .type = VOLUME_EVENT_FRAME, .node = from,
					      .frame_type = message->frame_type, .body = message->body };

		message->body = NULL;
		world_event(world, to, &event);
	} else if (n->listed && n->volume_session[from] == n->session[from]) {
		path_receive(world, from, to, index, message);
	}
	world_message_free(world, message);
}

/* ---- what can happen ---- */

static void add_peers(const struct world *world, u8 node, struct options *options)
{
	const struct node *n = &world->node[node];
	u8 peer;
	u32 i;

	for (peer = 0; peer < world->nr_nodes; peer++) {
		if (peer == node)
			continue;
		for (i = 0; i < WORLD_LANES; i++)
			if (may_deliver(world, peer, node, i))
				add(options, ACT_DELIVER, node, peer, i, SHARE_DELIVER / WORLD_LANES);
		if (n->listed && sync_wanted(&n->resync[peer]))
			add(options, ACT_RESYNC, node, peer, 0, SHARE_RESYNC);
	}
}

/* Weights are those of a machine with that many peers and itself to draw from. */
static void add_machine(const struct world *world, u8 node, struct options *options)
{
	const struct node *n = &world->node[node];
	u32 i;

	if (n->attached && n->nr_events)
		add(options, ACT_ENGINE, node, 0, 0, SHARE_ENGINE * world->nr_nodes);
	if (n->attached && meta_save_wanted(n))
		add(options, ACT_SAVE, node, 0, 0, SHARE_SAVE * world->nr_nodes);
	if (n->attached && meta_log_wanted(n))
		add(options, ACT_LOG, node, 0, 0, SHARE_LOG * world->nr_nodes);
	if (!n->listed)
		return;
	if (path_round_wanted(n))
		add(options, ACT_ROUND, node, 0, 0, SHARE_ROUND * world->nr_nodes);
	if (path_demote_wanted(n))
		add(options, ACT_DEMOTE, node, 0, 0, SHARE_DEMOTE * world->nr_nodes);
	if (n->nr_applies)
		add(options, ACT_APPLY, node, 0, 0, SHARE_APPLY * world->nr_nodes);
	for (i = 0; n->volume.role == VOLUME_PRIMARY && i < WORLD_WRITES_MAX; i++)
		if (path_request_wanted(&n->requests[i]))
			add(options, ACT_REQUEST, node, 0, i, SHARE_REQUEST * world->nr_nodes);
}

static void add_sessions(const struct world *world, u32 weight, struct options *options)
{
	u8 a, b;

	for (a = 0; a < world->nr_nodes; a++)
		for (b = 0; b < world->nr_nodes; b++)
			if (a != b && world->node[a].powered && (session_is_broken(world, a, b) || session_may_open(world, a, b)))
				add(options, ACT_SESSION, a, b, 0, weight);
}

static void collect(const struct world *world, struct options *options)
{
	u32 sessions = 0;
	u8 node;

	options->nr = 0;
	options->weight = 0;
	for (node = 0; node < world->nr_nodes; node++) {
		if (!world->node[node].powered) {
			sessions += SHARE_SESSION_OFF;
			continue;
		}
		sessions += SHARE_SESSION;
		add_peers(world, node, options);
		add_machine(world, node, options);
	}
	add_sessions(world, sessions / world->nr_nodes, options);
}

static bool act(struct world *world, const struct option *option)
{
	struct node *n = &world->node[option->node];

	switch (option->act) {
	case ACT_SESSION:
		return session_step(world, option->node, option->peer);
	case ACT_DELIVER:
		deliver(world, option->peer, option->node, option->index);
		return true;
	case ACT_ENGINE:
		world_engine_step(world, option->node);
		return true;
	case ACT_SAVE:
		return meta_save_step(world, option->node);
	case ACT_LOG:
		return meta_log_step(world, option->node);
	case ACT_RESYNC:
		return sync_step(world, option->node, option->peer);
	case ACT_ROUND:
		return path_round_step(world, option->node);
	case ACT_DEMOTE:
		return path_demote_step(world, option->node);
	case ACT_APPLY:
		return path_apply_step(world, option->node);
	default:
		return path_request_step(world, option->node, &n->requests[option->index]);
	}
}

/* ---- one step ---- */

/* Nothing was found to do: time passes until something may arrive. */
static void pass_time(struct world *world)
{
	u64 next = world->now_us + 1000;
	u8 a, b;
	u32 i;

	for (a = 0; a < world->nr_nodes; a++)
		for (b = 0; b < world->nr_nodes; b++)
			for (i = 0; i < WORLD_LANES; i++) {
				const struct lane *lane = &world->lane[a][b][i];

				if (lane->nr && lane->first->ready_us > world->now_us && lane->first->ready_us < next)
					next = lane->first->ready_us;
			}
	world->now_us = next;
}

/*
 * How many draws until one hits, @mean in the mean: any number, few of them rarely many. So time may pass while something waits for
 * its turn. Half of the cases end within each further half-life, that is 0.7 of the mean.
 */
static u32 draws_to_hit(struct world *world, u32 mean)
{
	u32 half_life = 1 + mean * 7 / 10, draws = 1 + world_below(world, half_life);

	while (draws < DRAWS_MAX && world_below(world, 2))
		draws += half_life;
	return draws;
}

bool world_step(struct world *world)
{
	u32 all = SHARES_ALL * world->nr_nodes * world->nr_nodes, draws = 0, next_time = DRAWS_FOR_TIME;
	struct options options;

	world->steps++;
	world->now_us += 1 + world_below(world, 8);
	while (draws < DRAWS_MAX) {
		const struct option *option = options.option;
		u32 drawn;

		collect(world, &options);
		draws += options.weight ? draws_to_hit(world, all / options.weight) : DRAWS_FOR_TIME;
		while (draws >= next_time && next_time < DRAWS_MAX) {
			pass_time(world);
			next_time += DRAWS_FOR_TIME;
		}
		if (draws < DRAWS_MAX && options.weight) {
			drawn = world_below(world, options.weight);
			while (option->weight_to <= drawn)
				option++;
			if (act(world, option))
				return true;
		}
	}
	return false;
}
