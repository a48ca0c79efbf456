// SPDX-License-Identifier: GPL-2.0
/*
 * The runner of the plays, and their vocabulary (story.h). Every story runs in a process of its own, so that one that fails
 * does not end the others.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "story.h"

enum { SEEDS = 20, STORIES_MAX = 200, HOLDS_MAX = 16, TRIES_MAX = 400 };

#define FAR_AWAY (1ull << 60)

struct held {
	u8 from, to;
	u32 lanes;
	int frame, kind;
};

struct world stage;

static const struct story *stories[STORIES_MAX];
static u32 nr_stories;
static struct held held[HOLDS_MAX];
static u32 nr_held;
static u64 choices;

void story_fails(const char *what, const char *file, int line)
{
	const char *name = strrchr(file, '/');

	world_violation(&stage, "story", "%s:%d %s", name ? name + 1 : file, line, what);
}

/* ---- steps ---- */

static bool is_held(const struct held *h, u32 index, const struct message *message)
{
	if (!(h->lanes >> index & 1))
		return false;
	if (h->kind != ANY)
		return (int)message->kind == h->kind;
	return h->frame == ANY || (message->kind == MESSAGE_FRAME && message->frame_type == h->frame);
}

/* What is held is not ready: the lane's first message, and all behind it. */
static void hold_back(void)
{
	u32 i, index;

	for (i = 0; i < nr_held; i++)
		for (index = 0; index < WORLD_LANES; index++) {
			struct lane *lane = &stage.lane[held[i].from][held[i].to][index];

			if (lane->first && is_held(&held[i], index, lane->first))
				lane->first->ready_us = FAR_AWAY;
		}
}

void step_towards(u32 *left, const char *what, const char *file, int line)
{
	if (!--*left)
		story_fails(what, file, line);
	hold_back();
	world_step(&stage);
	check_now(&stage);
	if (stage.steps % 8 == 0) {
		check_pairs(&stage);
		check_claims(&stage);
	}
}

void pass(u32 steps)
{
	throughout(steps, true);
}

u32 choice(u32 limit)
{
	u64 z = choices += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	return (u32)((z ^ z >> 27) >> 20) % limit;
}

/* ---- requests ---- */

u32 group(u32 number)
{
	return ((1u << GROUP_CELLS) - 1) << number * GROUP_CELLS;
}

u32 cell(u32 number)
{
	return 1u << number;
}

static struct ticket begins(u8 node, enum request_kind kind, u32 cells)
{
	struct ticket ticket = { node, 0 };

	while (request_of(ticket)->state != REQUEST_FREE)
		ticket.at++;
	must(path_submit(&stage, node, kind, cells, false));
	return ticket;
}

struct ticket write_begins(u8 node, u32 cells)
{
	return begins(node, REQUEST_WRITE, cells);
}

struct ticket flush_begins(u8 node)
{
	return begins(node, REQUEST_FLUSH, 0);
}

struct ticket read_begins(u8 node, u32 cells)
{
	return begins(node, REQUEST_READ, cells);
}

const struct request *request_of(struct ticket ticket)
{
	return &stage.node[ticket.node].requests[ticket.at];
}

bool over(struct ticket ticket)
{
	return request_of(ticket)->state == REQUEST_FREE;
}

bool acked(struct ticket ticket)
{
	return over(ticket) && request_of(ticket)->ok_nodes;
}

void write_done(u8 node, u32 cells)
{
	struct ticket ticket = write_begins(node, cells);

	until(over(ticket));
	must(acked(ticket));
}

void write_everything(u8 node)
{
	u32 i;

	for (i = 0; i < WORLD_GROUPS; i++)
		write_done(node, group(i));
}

void flush_done(u8 node)
{
	struct ticket ticket = flush_begins(node);

	until(over(ticket));
	must(acked(ticket));
}

/* ---- administrators ---- */

enum volume_refusal try_command(u8 node, enum volume_event_type type, u32 nodes, bool force)
{
	until(fault_command(&stage, node, type, nodes, force));
	until(!stage.node[node].command_pending);
	return stage.node[node].command_refusal;
}

static void promote_anyhow(u8 node, u32 down, bool force)
{
	enum volume_refusal refusal;
	u32 tries = 0;

	while ((refusal = try_command(node, VOLUME_EVENT_PROMOTE, down, force)) != VOLUME_OK) {
		if (++tries == TRIES_MAX)
			story_fails(volume_refusal_name(refusal), "promotion refused", node);
		pass(20);
	}
	must(world_is_primary(&stage, node));
}

void promote(u8 node)
{
	promote_anyhow(node, 0, false);
}

void promote_peer_down(u8 node, u32 down)
{
	promote_anyhow(node, down, false);
}

void promote_by_force(u8 node)
{
	stage.knobs.splits = true;
	promote_anyhow(node, 0, true);
}

void must_refuse(u8 node, u32 down, enum volume_refusal refusal)
{
	enum volume_refusal got = VOLUME_REFUSED_BUSY;
	u32 tries = 0;

	while (got == VOLUME_REFUSED_BUSY && tries++ < TRIES_MAX) {
		pass(20);
		got = try_command(node, VOLUME_EVENT_PROMOTE, down, false);
	}
	if (got != refusal)
		world_violation(&stage, "story", "promotion of %u says %s, not %s", node, volume_refusal_name(got),
				volume_refusal_name(refusal));
}

void demote(u8 node)
{
	u32 tries = 0;

	while (world_is_primary(&stage, node)) {
		must(tries++ < TRIES_MAX);
		until(fault_demote(&stage, node));
		until(!stage.node[node].command_pending && stage.node[node].demote == DEMOTE_NONE);
	}
}

void take_down(u8 node)
{
	until(fault_detach(&stage, node));
	until(!stage.node[node].attached);
}

void resolve(u8 loser)
{
	struct node *n = &stage.node[loser];
	struct volume_event event = { .type = VOLUME_EVENT_RESOLVE, .node = n->volume.super.split_peer,
				      .value = n->volume.super.split_id };

	until(!n->command_pending);
	stage.count_splits++;
	check_yields(&stage, loser, event.node);
	n->command_pending = true;
	world_event(&stage, loser, &event);
	until(!n->command_pending);
	must(n->command_refusal == VOLUME_OK);
}

enum volume_refusal forget(u8 node, u8 gone)
{
	struct node *n = &stage.node[node];
	struct volume_event event = { .type = VOLUME_EVENT_FORGET, .node = gone };

	until(!n->command_pending);
	n->command_pending = true;
	world_event(&stage, node, &event);
	until(!n->command_pending);
	return n->command_refusal;
}

/* ---- network ---- */

static bool session_seen_down(u8 node, u8 peer)
{
	const struct node *n = &stage.node[node];

	return !n->powered || (!n->session[peer] && (!n->listed || !n->volume_session[peer]));
}

void cut_now(u8 a, u8 b)
{
	world_cut(&stage, a, b, true);
	world_cut(&stage, b, a, true);
}

void cut(u8 a, u8 b)
{
	cut_now(a, b);
	until(session_seen_down(a, b) && session_seen_down(b, a));
}

void heal(u8 a, u8 b)
{
	world_cut(&stage, a, b, false);
	world_cut(&stage, b, a, false);
}

void isolate(u8 node)
{
	u8 i;

	for (i = 0; i < stage.nr_nodes; i++)
		if (i != node)
			cut_now(node, i);
	for (i = 0; i < stage.nr_nodes; i++)
		if (i != node)
			cut(node, i);
}

void rejoin(u8 node)
{
	u8 i;

	for (i = 0; i < stage.nr_nodes; i++)
		if (i != node)
			heal(node, i);
}

void session_ends(u8 a, u8 b)
{
	world_end_session(&stage, a, b);
	world_end_session(&stage, b, a);
}

static void hold_anything(u8 from, u8 to, u32 lanes, int frame, int kind)
{
	must(nr_held < HOLDS_MAX);
	held[nr_held++] = (struct held){ from, to, lanes, frame, kind };
}

void hold(u8 from, u8 to, u32 lanes, int what)
{
	hold_anything(from, to, lanes, what, ANY);
}

void hold_kind(u8 from, u8 to, enum message_kind kind)
{
	hold_anything(from, to, LANES_DATA, ANY, (int)kind);
}

void release(u8 from, u8 to)
{
	u32 i, index;

	for (i = 0; i < nr_held;) {
		if (held[i].from == from && held[i].to == to)
			held[i] = held[--nr_held];
		else
			i++;
	}
	for (index = 0; index < WORLD_LANES; index++)
		if (stage.lane[from][to][index].first)
			stage.lane[from][to][index].first->ready_us = stage.now_us;
}

void release_all(void)
{
	while (nr_held)
		release(held[0].from, held[0].to);
}

bool next_frame(u8 from, u8 to, u8 frame_type)
{
	const struct message *first = stage.lane[from][to][0].first;

	return first && first->kind == MESSAGE_FRAME && first->frame_type == frame_type;
}

bool next_kind(u8 from, u8 to, enum message_kind kind)
{
	u32 index;

	for (index = 1; index < WORLD_LANES; index++)
		if (stage.lane[from][to][index].first && stage.lane[from][to][index].first->kind == kind)
			return true;
	return false;
}

/* ---- machines and disks ---- */

void power_cut(u8 node)
{
	world_power_cut(&stage, node);
}

void boot(u8 node)
{
	if (!stage.node[node].attached)
		world_boot(&stage, node);
	must(stage.node[node].attached);
	until(stage.node[node].listed);
}

void new_disk(u8 node)
{
	if (stage.node[node].powered)
		power_cut(node);
	fault_replace_disk(&stage, node);
	boot(node);
}

void disk_dies(u8 node)
{
	stage.node[node].disk.dead = true;
}

void disk_recovers(u8 node)
{
	struct disk *disk = &stage.node[node].disk;

	if (stage.node[node].powered)
		power_cut(node);
	disk->dead = false;
	disk->bad = 0;
	disk->meta_fails_in = 0;
	boot(node);
}

void granules(const u32 *shifts)
{
	u8 node;

	for (node = 0; node < stage.nr_nodes; node++) {
		if (stage.node[node].powered)
			power_cut(node);
		stage.knobs.granule_shift[node] = shifts[node];
		meta_format(&stage, node, FORMAT_ALIKE, 0);
	}
	for (node = 0; node < stage.nr_nodes; node++)
		boot(node);
}

void small_log(u8 node, u32 regions)
{
	if (stage.node[node].powered)
		power_cut(node);
	stage.knobs.log_slots[node] = regions;
	boot(node);
}

bool disk_is_given_up(u8 node)
{
	return stage.node[node].volume.disk != VOLUME_DISK_OK;
}

/* ---- states ---- */

enum volume_relation relation(u8 node, u8 peer)
{
	const struct volume_peer *p = volume_peer_const(&stage.node[node].volume, peer);

	return stage.node[node].listed && p ? p->relation : VOLUME_OFF;
}

const struct generation *tail(u8 node)
{
	return lineage_tail(&stage.node[node].volume.super.chain);
}

u64 granules_dirty(u8 node, u8 peer)
{
	const struct volume_peer *p = volume_peer_const(&stage.node[node].volume, peer);

	return p ? p->map.nr_set : 0;
}

bool is_dirty(u8 node, u8 peer, u32 cells)
{
	const struct volume_peer *p = volume_peer_const(&stage.node[node].volume, peer);
	u32 i;

	for (i = 0; i < WORLD_CELLS; i++)
		if (cells >> i & 1 && (!p || !dirty_test(&p->map, cell_offset(i))))
			return false;
	return true;
}

bool in_stream(u8 node, u8 peer)
{
	return stage.node[node].listed && stage.node[node].volume.streaming >> peer & 1;
}

bool is_up(u8 node, u8 peer)
{
	const struct node *n = &stage.node[node];

	return n->listed && n->session[peer] && n->volume_session[peer] == n->session[peer];
}

bool quiet(u8 node)
{
	const struct node *n = &stage.node[node];

	return n->listed && !n->detaching && !n->command_pending && !n->nr_events && !n->nr_applies && path_idle(n) &&
	       !n->meta.nr_queued && n->meta.phase == PHASE_IDLE && n->demote == DEMOTE_NONE;
}

bool logs_empty(void)
{
	u8 node;

	for (node = 0; node < stage.nr_nodes; node++)
		if (stage.node[node].listed && (stage.node[node].volume.log.nr_used || stage.node[node].volume.in_flight))
			return false;
	return true;
}

bool together(u32 nodes)
{
	u8 i, j;

	for (i = 0; i < stage.nr_nodes; i++) {
		if (!(nodes >> i & 1))
			continue;
		if (!quiet(i) || disk_is_given_up(i))
			return false;
		for (j = 0; j < stage.nr_nodes; j++)
			if (i != j && nodes >> j & 1 && relation(i, j) != VOLUME_IN_SYNC)
				return false;
	}
	return true;
}

void everyone_equal(void)
{
	u32 i;
	u8 node;

	for (node = 1; node < stage.nr_nodes; node++)
		for (i = 0; i < WORLD_CELLS; i++)
			if (stage.node[node].disk.cache[i] != stage.node[0].disk.cache[i])
				world_violation(&stage, "I7", "cell %u: node %u has %u, node 0 has %u", i, node,
						stage.node[node].disk.cache[i], stage.node[0].disk.cache[i]);
	if (world_primary(&stage) != NODE_NONE)
		check_equal(&stage, (1u << stage.nr_nodes) - 1);
}

void settle(void)
{
	u8 i, j;

	release_all();
	for (i = 0; i < stage.nr_nodes; i++)
		for (j = 0; j < i; j++)
			heal(i, j);
	for (i = 0; i < stage.nr_nodes; i++) {
		until(!stage.node[i].detaching);
		if (!stage.node[i].listed)
			boot(i);
	}
	until(together((1u << stage.nr_nodes) - 1));
	check_pairs(&stage);
	everyone_equal();
}

/* ---- the runner ---- */

void story_table(const struct story *table, u32 nr)
{
	u32 i;

	for (i = 0; i < nr && nr_stories < STORIES_MAX; i++)
		stories[nr_stories++] = &table[i];
}

static void play(const struct story *story, u64 seed)
{
	u8 node;

	nr_held = 0;
	choices = seed * 0xd1342543de82ef95ull;
	world_trace(&stage, "---- %s, seed %llu ----", story->name, (unsigned long long)seed);
	world_init(&stage, seed, story->nodes);
	for (node = 0; node < story->nodes; node++)
		world_boot(&stage, node);
	until(together((1u << story->nodes) - 1));
	story->play();
	world_free(&stage);
}

/* In a child: the seed that it is at is left in *@at. */
static int play_in_child(const struct story *story, u64 first, u64 last, u64 *at)
{
	pid_t child = fork();
	int status;

	if (!child) {
		alarm(120);
		for (*at = first; *at <= last; ++*at)
			play(story, *at);
		exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int story_main(const char *name)
{
	u64 *at = mmap(NULL, sizeof(*at), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	size_t length = strcspn(name, ":");
	u64 seed = name[length] ? strtoull(name + length + 1, NULL, 0) : 0;
	u32 i, passed = 0, failed = 0;

	if (at == MAP_FAILED)
		return 1;
	for (i = 0; i < nr_stories; i++) {
		const struct story *story = stories[i];

		if (strcmp(name, "all") && (strncmp(story->name, name, length) || story->name[length]))
			continue;
		fflush(stdout);
		if (!play_in_child(story, seed ? seed : 1, seed ? seed : SEEDS, at)) {
			printf("ok      %-36s %s [%s]\n", story->name, story->sentence, story->labels);
			passed++;
			continue;
		}
		printf("FAILED  %-36s %s [%s]; replay: sim STORY=%s:%llu\n", story->name, story->sentence, story->labels,
		       story->name, (unsigned long long)*at);
		if (story->known)
			printf("        known: %s\n", story->known);
		failed++;
	}
	if (!passed && !failed)
		printf("no story of the name %s\n", name);
	printf("%u passed, %u failed\n", passed, failed);
	return failed || !passed;
}
