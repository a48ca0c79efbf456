// SPDX-License-Identifier: GPL-2.0
/*
 * Seeded disasters. Each run: safety under faults, then everything heals (first a part of it that can go on, then all) and
 * the replicas must become identical and hold what was promised.
 *
 *   sim SEED=n | SEEDS=a..b [NODES=2..5] [STEPS=n] [SKIP=list] [SHRINK=no]
 *   sim STORY=name | STORIES=all
 *
 * A failing run prints label, step and the command that replays it; then it is tried again with fewer actions of the
 * outside, and the shortest that still fails in the same way is printed, too. BRAID_TRACE=1 prints one line per event.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "world.h"

enum { ACTIONS_MAX = 1 << 16, STEPS_PER_ACTION = 2, HEAL_STEPS = 30000 };

static struct world world;
static bool skip[ACTIONS_MAX];		/* by number of the action */
static u32 run_steps;
static bool shrinking;
static bool quiet;			/* in a child of shrink(): the exit status says it */

static void shrink(u64 seed, u32 nr_nodes, u32 steps, int status);

/* Exit statuses of a run while it is shrunk: the label of the violation, mixed. */
static int label_status(const char *label)
{
	u32 mix = 7;

	while (*label)
		mix = mix * 31 + (u8)*label++;
	return (int)(mix % 200) + 20;
}

void world_violation(struct world *at, const char *label, const char *format, ...)
{
	va_list args;
	u8 node;

	if (quiet)
		_exit(label_status(label));
	printf("VIOLATION %s at step %llu: ", label, (unsigned long long)at->steps);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	for (node = 0; node < at->nr_nodes; node++)
		world_describe(at, node);
	if (run_steps)	/* else it is a story, which says by itself what replays it */
		printf("replay: sim SEED=%llu NODES=%u STEPS=%u (BRAID_TRACE=1 for the trace)\n", (unsigned long long)at->seed,
		       at->nr_nodes, run_steps);
	fflush(stdout);
	if (shrinking)
		shrink(at->seed, at->nr_nodes, run_steps, label_status(label));
	_exit(label_status(label));
}

/* ---- a run ---- */

/* What is still under way at this node, or NULL. */
static const char *unsettled(const struct node *n)
{
	if (!n->listed || n->detaching)
		return "its volume is down";
	if (n->disk_failed_posted || n->volume.disk != VOLUME_DISK_OK)
		return "its disk is given up";
	if (n->demote != DEMOTE_NONE)
		return "it is being demoted";
	if (!path_idle(n))
		return "requests are open";
	if (n->nr_applies)
		return "requests of peers are open";
	if (n->nr_events)
		return "events are not looked at";
	return n->meta.nr_queued || n->meta.phase != PHASE_IDLE ? "metadata is not written" : NULL;
}

/* Why these nodes are not one healthy volume, or NULL; *@node is the one that it is about. */
static const char *unhealthy(u32 core, u8 *node)
{
	u8 primary = world_primary(&world), i, j;

	*node = NODE_NONE;
	if (primary == NODE_NONE || !(core >> primary & 1))
		return "no primary";
	for (i = 0; i < world.nr_nodes; i++) {
		if (!(core >> i & 1))
			continue;
		*node = i;
		if (unsettled(&world.node[i]))
			return unsettled(&world.node[i]);
		for (j = 0; j < world.nr_nodes; j++) {
			const struct volume_peer *peer = volume_peer_const(&world.node[i].volume, j);

			if (i != j && core >> j & 1 && (!peer || peer->relation != VOLUME_IN_SYNC))
				return peer ? volume_relation_name(peer->relation) : "knows a node not";
			if (i != j && core >> j & 1 && peer->map.nr_set)
				return "dirty bits are left for one that is in sync";
		}
	}
	return NULL;
}

/* The nodes that go on first: enough of them, and one that nobody has to fear losing something with. */
static u32 choose_core(u64 seed)
{
	u32 all = (1u << world.nr_nodes) - 1, core = (u32)(seed * 0x9e3779b97f4a7c15ull >> 40) & all;
	u8 i, best = NODE_NONE;

	if (world.knobs.splits || seed % 3 == 0)
		return all;
	for (i = 0; i < world.nr_nodes; i++)
		if (world.node[i].listed && !world.node[i].disk.dead && !world.node[i].disk_failed_posted &&
		    volume_up_to_date(&world.node[i].volume) && check_holds_everything(&world, i) && check_knows_newest(&world, i))
			best = i;
	return best == NODE_NONE ? all : core | 1u << best;
}

static void heal(u32 core, u64 first_action)
{
	u32 steps, bound = HEAL_STEPS * world.nr_nodes;
	u8 i, j, node;

	world_trace(&world, "---- nodes %x heal ----", core);
	world.healing = true;
	for (i = 0; i < world.nr_nodes; i++) {
		for (j = 0; j < world.nr_nodes; j++) {
			world.cut[i][j] = !(core >> i & core >> j & 1) && i != j;
			world.slow[i][j] = false;
		}
		world.node[i].disk.bad = 0;
		world.node[i].disk.meta_fails_in = 0;
		if (!(core >> i & 1) && world.node[i].powered)
			world_power_cut(&world, i);
	}
	for (steps = 0; steps < bound; steps++) {
		world_step(&world);
		if (steps % 40 == 0)
			fault_mend(&world, first_action + steps, core);
		if (steps % (steps < bound / 8 ? 16 : 2000) == 0)	/* who never writes shows nobody that it is ahead */
			fault_workload(&world, world.seed ^ (first_action + steps));
		check_now(&world);
		if (steps > 500 && !unhealthy(core, &node))
			return;
	}
	world_violation(&world, "liveness", "nodes %x are not in sync %u steps after everything healed: %s, node %d", core, bound,
			unhealthy(core, &node), node == NODE_NONE ? -1 : node);
}

static void run(u64 seed, u32 nr_nodes, u32 steps)
{
	u32 all = (1u << nr_nodes) - 1, core, i;

	world_init(&world, seed, nr_nodes);
	fault_choose_knobs(&world, seed);
	for (i = 0; i < nr_nodes; i++)
		world_boot(&world, (u8)i);
	for (i = 0; i < steps; i++) {
		world_step(&world);
		if (i % STEPS_PER_ACTION == 0 && i / STEPS_PER_ACTION < ACTIONS_MAX && !skip[i / STEPS_PER_ACTION])
			fault_action(&world, i / STEPS_PER_ACTION);
		check_now(&world);
		if (i % 32 == 0) {
			check_pairs(&world);
			check_claims(&world);
		}
	}
	core = choose_core(seed);
	heal(core, 1 << 20);
	check_equal(&world, core);
	if (core != all) {
		heal(all, 1 << 22);
		check_equal(&world, all);
	}
	world_free(&world);
}

/* ---- shrinking ---- */

static u32 default_nodes(u64 seed)
{
	static const u8 nodes[] = { 2, 3, 2, 3, 4, 2, 3, 5 };

	return nodes[seed % CORE_ARRAY_SIZE(nodes)];
}

static int run_in_child(u64 seed, u32 nr_nodes, u32 steps)
{
	pid_t child = fork();
	int status;

	if (!child) {
		quiet = true;
		world_tracing = false;
		alarm(60);
		run(seed, nr_nodes, steps);
		_exit(0);
	}
	if (waitpid(child, &status, 0) < 0)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static void print_skip(char *text, size_t size, u32 actions)
{
	int at = snprintf(text, size, " STEPS=%u SKIP=", actions * STEPS_PER_ACTION);
	u32 i = 0, end;

	while (i < actions && at < (int)size - 32) {
		if (!skip[i]) {
			i++;
			continue;
		}
		for (end = i; end + 1 < actions && skip[end + 1]; end++)
			;
		at += snprintf(text + at, size - (size_t)at, "%u-%u,", i, end);
		i = end + 1;
	}
}

/* Delta debugging: drop ever smaller pieces of the list of actions as long as it fails in the same way. */
static void shrink(u64 seed, u32 nr_nodes, u32 steps, int status)
{
	u32 actions = steps / STEPS_PER_ACTION, size, at, i, kept = 0, attempts = 0;
	static char text[1 << 16];
	time_t until = time(NULL) + 60;

	while (actions > 8 && run_in_child(seed, nr_nodes, actions * 3 / 4 * STEPS_PER_ACTION) == status)
		actions = actions * 3 / 4;
	for (size = actions / 2; size && time(NULL) < until; size /= 2)
		for (at = 0; at < actions && time(NULL) < until; at += size) {
			static bool before[ACTIONS_MAX];

			memcpy(before, skip, sizeof(before));
			for (i = at; i < at + size && i < actions; i++)
				skip[i] = true;
			if (!memcmp(before, skip, sizeof(before)))
				continue;
			attempts++;
			if (run_in_child(seed, nr_nodes, actions * STEPS_PER_ACTION) != status)
				memcpy(skip, before, sizeof(skip));
		}
	for (i = 0; i < actions; i++)
		kept += !skip[i];
	print_skip(text, sizeof(text), actions);
	printf("shrunk in %u attempts to %u actions of the outside:\n  sim SEED=%llu NODES=%u%s\n", attempts, kept,
	       (unsigned long long)seed, nr_nodes, text);
	fflush(stdout);
}

static void parse_skip(const char *text)
{
	unsigned int first, last;
	int used;

	while (sscanf(text, "%u-%u,%n", &first, &last, &used) == 2) {
		for (; first <= last && first < ACTIONS_MAX; first++)
			skip[first] = true;
		text += used;
	}
}

/* ---- command line ---- */

struct options {
	unsigned long long first, last, nodes, steps;
	bool shrink;
	const char *story;
};

static bool parse(int argc, char **argv, struct options *options)
{
	int i;

	for (i = 1; i < argc; i++) {
		if (sscanf(argv[i], "SEEDS=%llu..%llu", &options->first, &options->last) == 2 ||
		    sscanf(argv[i], "NODES=%llu", &options->nodes) == 1 || sscanf(argv[i], "STEPS=%llu", &options->steps) == 1)
			continue;
		if (sscanf(argv[i], "SEED=%llu", &options->first) == 1)
			options->last = options->first;
		else if (!strncmp(argv[i], "SKIP=", 5))
			parse_skip(argv[i] + 5);
		else if (!strcmp(argv[i], "SHRINK=no"))
			options->shrink = false;
		else if (!strncmp(argv[i], "STORY=", 6))
			options->story = argv[i] + 6;
		else
			return false;
	}
	return !options->nodes || (options->nodes >= 2 && options->nodes <= WORLD_NODES_MAX);
}

static void add(struct world *total)
{
	total->core_steps += world.core_steps;
	total->steps += world.steps;
	total->count_acks += world.count_acks;
	total->count_reads += world.count_reads;
	total->count_crashes += world.count_crashes;
	total->count_cuts += world.count_cuts;
	total->count_promotes += world.count_promotes;
	total->count_forced += world.count_forced;
	total->count_resyncs += world.count_resyncs;
	total->count_replaced += world.count_replaced;
	total->count_splits += world.count_splits;
	total->count_detached += world.count_detached;
	total->count_disk_errors += world.count_disk_errors;
	total->count_records += world.count_records;
	total->count_torn += world.count_torn;
}

static void print_total(const struct options *options, const struct world *t, double seconds)
{
	printf("sim: SEEDS=%llu..%llu clean: %llu steps (%.0f a second), %llu of them of the core; %llu acknowledged, %llu reads, %llu records, %llu resyncs, %llu promotions (%llu forced)\n",
	       options->first, options->last, (unsigned long long)t->steps, (double)t->steps / (seconds > 0 ? seconds : 1),
	       (unsigned long long)t->core_steps, (unsigned long long)t->count_acks, (unsigned long long)t->count_reads,
	       (unsigned long long)t->count_records, (unsigned long long)t->count_resyncs,
	       (unsigned long long)t->count_promotes, (unsigned long long)t->count_forced);
	printf("sim: %llu power cuts, %llu torn metadata blocks, %llu link cuts, %llu disks given up, %llu replaced, %llu volumes taken down, %llu splits resolved\n",
	       (unsigned long long)t->count_crashes, (unsigned long long)t->count_torn, (unsigned long long)t->count_cuts,
	       (unsigned long long)t->count_disk_errors, (unsigned long long)t->count_replaced,
	       (unsigned long long)t->count_detached, (unsigned long long)t->count_splits);
}

int main(int argc, char **argv)
{
	struct options options = { .first = 1, .last = 0, .steps = 6000, .shrink = true };
	static struct world total;
	struct timespec begin, end;
	u64 seed;

	world_tracing = getenv("BRAID_TRACE") && getenv("BRAID_TRACE")[0] == '1';
#ifndef BRAID_PROBES
	if (getenv("BRAID_MUTANT")) {
		fprintf(stderr, "sim: BRAID_MUTANT means nothing here: build/mutants/bin/sim has the mutants\n");
		return 2;
	}
#endif
	if (!parse(argc, argv, &options)) {
		fprintf(stderr, "usage: sim SEED=n | SEEDS=a..b [NODES=2..5] [STEPS=n] [SKIP=list] [SHRINK=no] | STORY=name|all\n");
		return 2;
	}
	if (options.story)
		return story_main(options.story);
	if (options.last < options.first)
		options.last = options.first + 199;
	shrinking = options.shrink && !world_tracing;
	run_steps = (u32)options.steps;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
	for (seed = options.first; seed <= options.last; seed++) {
		run(seed, options.nodes ? (u32)options.nodes : default_nodes(seed), (u32)options.steps);
		add(&total);
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
	print_total(&options, &total, (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9);
	return 0;
}
