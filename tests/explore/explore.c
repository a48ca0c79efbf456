// SPDX-License-Identifier: GPL-2.0
/*
 * Breadth-first search through every state that the shipped core can reach in a small world. Nothing is drawn by chance: what
 * is found is found by the shortest path, and "exhaustive" means that within the budgets there is nothing else.
 *
 *   explore [NODES=2] [BLOCKS=2] [WRITES=1] [FLUSHES=0] [EVICTIONS=0] [CRASHES=1] [CUTS=0] [PROMOTES=1] [DEMOTES=0] [MISTAKES=0]
 *           [DISKS=0]     how often each may happen
 *           [START=cold]  nothing is connected and nobody is primary at first (else: in sync, node 0 is primary)
 *           [FIRST=n]     node 0 has the first replica, the others are new (else: all were made together, long ago). Which of
 *                         them read as zeroes and say so [R4]: 1 the new ones, and node 0 has data; 2 all; 3 node 0, and the
 *                         new ones have junk
 *           [REGION=1]    two blocks share a region of the activity log
 *           [SAVES=2]     other things may happen while a superblock is being written
 *           [DELAYS=n]    what happens by itself happens in the order of move.c, but for n exceptions: for three nodes
 *           [STATES=n] [SECONDS=n] [MEMORY=MiB]   stop there and say so
 *           [PATH=i,i,...] replay: print what happens     [SELFCHECK=n] n random walks that check state.c
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../lib/random.h"
#include "world.h"

struct arguments {
	const char *name;
	unsigned long long value;
};

enum { ARG_NODES, ARG_BLOCKS, ARG_FIRST_BUDGET, ARG_REGION = ARG_FIRST_BUDGET + BUDGETS, ARG_SAVES, ARG_FIRST, ARG_STATES,
       ARG_SECONDS, ARG_MEMORY, ARG_SELFCHECK, ARGS };

static struct arguments arg[ARGS] = {
	[ARG_NODES] = { "NODES", 2 }, [ARG_BLOCKS] = { "BLOCKS", 2 },
	[ARG_FIRST_BUDGET + BUDGET_WRITES] = { "WRITES", 1 }, [ARG_FIRST_BUDGET + BUDGET_FLUSHES] = { "FLUSHES", 0 },
	[ARG_FIRST_BUDGET + BUDGET_EVICTIONS] = { "EVICTIONS", 0 }, [ARG_FIRST_BUDGET + BUDGET_CRASHES] = { "CRASHES", 1 },
	[ARG_FIRST_BUDGET + BUDGET_CUTS] = { "CUTS", 0 }, [ARG_FIRST_BUDGET + BUDGET_PROMOTES] = { "PROMOTES", 1 },
	[ARG_FIRST_BUDGET + BUDGET_DEMOTES] = { "DEMOTES", 0 }, [ARG_FIRST_BUDGET + BUDGET_MISTAKES] = { "MISTAKES", 0 },
	[ARG_FIRST_BUDGET + BUDGET_DISK_FAILURES] = { "DISKS", 0 }, [ARG_FIRST_BUDGET + BUDGET_DELAYS] = { "DELAYS", 255 },
	[ARG_REGION] = { "REGION", 0 }, [ARG_SAVES] = { "SAVES", 1 }, [ARG_FIRST] = { "FIRST", 0 }, [ARG_STATES] = { "STATES", 0 },
	[ARG_SECONDS] = { "SECONDS", 0 }, [ARG_MEMORY] = { "MEMORY", 4000 }, [ARG_SELFCHECK] = { "SELFCHECK", 0 },
};

static struct world world;
static bool cold_start;
static const char *replay_path;

/* ---- what has been seen ---- */

struct seen {
	u64 hash[2];
	u32 parent;
	u8 move;	/* index into the parent's list of moves */
};

static struct seen *seen;
static u32 *table;	/* index into seen + 1, 0 free */
static u64 table_mask;
static u32 nr_seen;
static u64 seen_room;

static u64 mix(u64 x)
{
	x ^= x >> 32;
	x *= 0x9fb21c651e98df25ull;
	x ^= x >> 29;
	return x;
}

static void hash_of(const u8 *bytes, u32 length, u64 hash[2])
{
	u64 a = 0x243f6a8885a308d3ull ^ length, b = 0x13198a2e03707344ull;
	u32 i;

	for (i = 0; i < length; i += 8) {
		u64 word = 0;

		memcpy(&word, &bytes[i], length - i < 8 ? length - i : 8);
		a = mix(a ^ word * 0xa0761d6478bd642full);
		b = mix(b + word) * 0xe7037ed1a0b428dbull + a;
	}
	hash[0] = mix(a);
	hash[1] = mix(b);
}

static void *room(void *old, u64 bytes)
{
	void *memory = realloc(old, bytes);

	if (!memory) {
		fprintf(stderr, "explore: no memory for %llu bytes\n", (unsigned long long)bytes);
		exit(2);
	}
	return memory;
}

static void table_grow(void)
{
	u64 size = table ? (table_mask + 1) * 2 : 1 << 16, at;
	u32 i;

	free(table);
	table = room(NULL, size * sizeof(table[0]));
	memset(table, 0, size * sizeof(table[0]));
	table_mask = size - 1;
	for (i = 0; i < nr_seen; i++) {
		for (at = seen[i].hash[0] & table_mask; table[at]; at = (at + 1) & table_mask)
			;
		table[at] = i + 1;
	}
}

/* True when it is new. */
static bool seen_add(const u8 *bytes, u32 length, u32 parent, u8 move)
{
	u64 hash[2], at;

	if (!table || nr_seen >= (table_mask + 1) / 4 * 3)
		table_grow();
	hash_of(bytes, length, hash);
	for (at = hash[0] & table_mask; table[at]; at = (at + 1) & table_mask)
		if (seen[table[at] - 1].hash[0] == hash[0] && seen[table[at] - 1].hash[1] == hash[1])
			return false;
	if (nr_seen == seen_room) {
		seen_room = seen_room ? seen_room * 3 / 2 : 1 << 14;
		seen = room(seen, seen_room * sizeof(seen[0]));
	}
	seen[nr_seen] = (struct seen){ { hash[0], hash[1] }, parent, move };
	table[at] = ++nr_seen;
	return true;
}

/* ---- states whose moves have not been tried ---- */

struct level {
	u8 *bytes;
	u64 nr_bytes, room;
	u32 nr, first;	/* index of the first one in seen: they are consecutive */
};

static void level_add(struct level *level, const u8 *bytes, u32 length)
{
	u16 length16 = (u16)length;

	if (level->nr_bytes + length + sizeof(length16) > level->room) {
		level->room = (level->room + length) * 3 / 2 + (1 << 16);
		level->bytes = room(level->bytes, level->room);
	}
	memcpy(&level->bytes[level->nr_bytes], &length16, sizeof(length16));
	memcpy(&level->bytes[level->nr_bytes + sizeof(length16)], bytes, length);
	level->nr_bytes += length + sizeof(length16);
	level->nr++;
}

/* ---- the first state ---- */

static void settle(void)
{
	struct move moves[MOVES_MAX];
	u32 nr_internal;

	while (move_list(&world, moves, &nr_internal) && nr_internal)
		move_apply(&world, moves[0]);
}

static void start(void)
{
	u32 i;

	memset(&world, 0, sizeof(world));
	world.nr_nodes = (u32)arg[ARG_NODES].value;
	world.nr_blocks = (u32)arg[ARG_BLOCKS].value;
	world.one_region = arg[ARG_REGION].value;
	world.two_phase_saves = arg[ARG_SAVES].value == 2;
	world.first = (u8)arg[ARG_FIRST].value;
	world.delay_bounded = arg[ARG_FIRST_BUDGET + BUDGET_DELAYS].value != 255;
	world_init(&world);
	if (!cold_start) {
		struct move promote = { .kind = MOVE_PROMOTE };

		settle();
		move_apply(&world, promote);
		settle();
	}
	for (i = 0; i < BUDGETS; i++)
		world.left[i] = (u8)arg[ARG_FIRST_BUDGET + i].value;
	world.peer_down_used = false;
}

/* ---- a path, for the eye ---- */

static void replay(const u8 *path, u32 length)
{
	static u8 bytes[STATE_BYTES_MAX];
	struct move moves[MOVES_MAX];
	u32 i, nr_internal;

	start();
	state_load(&world, bytes, state_save(&world, bytes));
	printf("   start\n");
	check_print(&world);
	for (i = 0; i < length; i++) {
		u32 nr = move_list(&world, moves, &nr_internal);

		if (path[i] >= nr) {
			printf("no move %u here\n", path[i]);
			return;
		}
		if (path[i] < nr_internal && world.delay_bounded)
			move_charge(&world, path[i]);
		printf("%4u    ", i + 1);
		move_print(&world, moves[path[i]]);
		world_tracing = true;
		move_apply(&world, moves[path[i]]);
		world_tracing = false;
		check_print(&world);
		if (!world.violation[0])
			check_state(&world);
		if (!world.violation[0]) {
			move_list(&world, moves, &nr_internal);
			if (!nr_internal)
				check_quiescent(&world);
		}
		if (world.violation[0])
			printf("   =>   VIOLATION %s\n", world.violation);
		world.violation[0] = 0;
		state_load(&world, bytes, state_save(&world, bytes));
	}
}

static void report(u32 state, int last_move, const char *violation)
{
	static u8 path[65536];
	u32 length = 0, at, i;

	for (at = state; at; at = seen[at].parent)
		length++;
	for (at = state, i = length; at; at = seen[at].parent)
		path[--i] = seen[at].move;
	if (last_move >= 0)
		path[length++] = (u8)last_move;
	printf("VIOLATION %s\nafter %u steps:\n", violation, length);
	replay(path, length);
	printf("replay: the same arguments and PATH=");
	for (i = 0; i < length; i++)
		printf("%s%u", i ? "," : "", path[i]);
	putchar('\n');
}

/* ---- the search ---- */

static u64 nr_transitions, nr_duplicates, nr_quiescent;
static double started;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static u64 memory_used(const struct level *a, const struct level *b)
{
	return seen_room * sizeof(seen[0]) + (table_mask + 1) * sizeof(table[0]) + a->room + b->room;
}

static bool over_bound(const struct level *a, const struct level *b)
{
	if (arg[ARG_STATES].value && nr_seen >= arg[ARG_STATES].value)
		return true;
	if (nr_seen % 1024 == 0 && arg[ARG_SECONDS].value && now() - started > (double)arg[ARG_SECONDS].value)
		return true;
	return memory_used(a, b) > arg[ARG_MEMORY].value << 20 || nr_seen > 4000000000u;
}

/* All moves of one state. False: a violation was found and printed. */
static bool expand(const u8 *bytes, u32 length, u32 state, struct level *next)
{
	static u8 child[STATE_BYTES_MAX];
	struct move moves[MOVES_MAX];
	u32 nr, nr_internal, i;

	state_load(&world, bytes, length);
	nr = move_list(&world, moves, &nr_internal);
	if (!nr_internal) {
		nr_quiescent++;
		check_quiescent(&world);
	}
	if (world.violation[0]) {
		report(state, -1, world.violation);
		return false;
	}
	for (i = 0; i < nr; i++) {
		u32 child_length;

		if (i)
			state_load(&world, bytes, length);
		if (i < nr_internal && world.delay_bounded && !move_charge(&world, i))
			continue;
		move_apply(&world, moves[i]);
		nr_transitions++;
		if (!world.violation[0])
			check_state(&world);
		if (world.violation[0]) {
			char violation[sizeof(world.violation)];

			memcpy(violation, world.violation, sizeof(violation));
			report(state, (int)i, violation);
			return false;
		}
		child_length = state_save(&world, child);
		if (seen_add(child, child_length, state, (u8)i))
			level_add(next, child, child_length);
		else
			nr_duplicates++;
	}
	return true;
}

static void print_counts(const char *how, u32 depth, u32 frontier)
{
	double seconds = now() - started;

	printf("explore: %s: %u states, %llu transitions, depth %u, %llu duplicates, %llu quiescent states, frontier %u, "
	       "%.1f s, %.0f states/s\n", how, nr_seen, (unsigned long long)nr_transitions, depth,
	       (unsigned long long)nr_duplicates, (unsigned long long)nr_quiescent, frontier, seconds,
	       nr_seen / (seconds + 0.001));
}

static int search(void)
{
	static u8 bytes[STATE_BYTES_MAX];
	struct level level = { 0 }, next = { 0 }, swap;
	u32 depth = 0, length;

	started = now();
	start();
	length = state_save(&world, bytes);
	seen_add(bytes, length, 0, 0);
	level_add(&level, bytes, length);
	for (; level.nr; depth++) {
		u64 at = 0;
		u32 i;

		next.nr_bytes = next.nr = 0;
		next.first = nr_seen;
		for (i = 0; i < level.nr; i++) {
			u16 length16;

			memcpy(&length16, &level.bytes[at], sizeof(length16));
			if (over_bound(&level, &next)) {
				print_counts("bounded", depth, level.nr - i + next.nr);
				return 0;
			}
			if (!expand(&level.bytes[at + sizeof(length16)], length16, level.first + i, &next)) {
				print_counts("violation", depth, level.nr - i + next.nr);
				return 1;
			}
			at += length16 + sizeof(length16);
		}
		swap = level;
		level = next;
		next = swap;
	}
	print_counts(world.delay_bounded ? "every schedule with that many delays" : "exhaustive", depth, 0);
	return 0;
}

/* ---- is a state the same after it was saved and loaded? ---- */

static int selfcheck(void)
{
	static u8 path[2000], before[STATE_BYTES_MAX], after[STATE_BYTES_MAX];
	static struct world raw;
	struct move moves[MOVES_MAX], loaded_moves[MOVES_MAX];
	u32 walk, steps, nr, nr_internal, length;

	random_init();
	for (walk = 0; walk < arg[ARG_SELFCHECK].value; walk++) {
		start();
		for (steps = 0; steps < sizeof(path); steps++) {
			length = state_save(&world, before);
			memcpy(&raw, &world, sizeof(raw));
			nr = move_list(&world, moves, &nr_internal);
			state_load(&world, before, length);
			if (state_save(&world, after) != length || memcmp(before, after, length) ||
			    move_list(&world, loaded_moves, &nr_internal) != nr || memcmp(moves, loaded_moves, nr * sizeof(moves[0])))
				return printf("walk %u step %u: a loaded state differs\n", walk, steps), 1;
			if (!nr)
				break;
			path[steps] = (u8)(random_u64() % (nr_internal && random_u64() % 8 ? nr_internal : nr));
			move_apply(&world, moves[path[steps]]);
			length = state_save(&world, after);
			memcpy(&world, &raw, sizeof(raw));
			move_apply(&world, moves[path[steps]]);
			if (state_save(&world, before) != length || memcmp(before, after, length))
				return printf("walk %u step %u: a loaded state goes on differently\n", walk, steps), 1;
			if (world.violation[0])
				break;
		}
	}
	printf("explore: %llu walks: a state that was saved and loaded goes on in the same way\n", arg[ARG_SELFCHECK].value);
	return 0;
}

static bool parse(const char *text)
{
	char name[32];
	unsigned long long value;
	u32 i;

	if (!strcmp(text, "START=cold"))
		return cold_start = true;
	if (!strncmp(text, "PATH=", 5)) {
		replay_path = text + 5;
		return true;
	}
	if (sscanf(text, "%31[A-Z]=%llu", name, &value) != 2)
		return false;
	for (i = 0; i < ARGS; i++)
		if (!strcmp(arg[i].name, name)) {
			arg[i].value = value;
			return true;
		}
	return false;
}

int main(int argc, char **argv)
{
	static u8 path[65536];
	u32 length = 0;
	int i;

	for (i = 1; i < argc; i++)
		if (!parse(argv[i]))
			return fprintf(stderr, "explore: %s: no such argument; they are in the head of explore.c\n", argv[i]), 2;
	if (arg[ARG_NODES].value < 2 || arg[ARG_NODES].value > WORLD_NODES_MAX || arg[ARG_BLOCKS].value < 1 ||
	    arg[ARG_BLOCKS].value > WORLD_BLOCKS_MAX || arg[ARG_FIRST].value > FIRST_JUNK)
		return fprintf(stderr, "explore: 2 or 3 nodes, 1 to 3 blocks, FIRST up to %u\n", FIRST_JUNK), 2;
	if (arg[ARG_SELFCHECK].value)
		return selfcheck();
	if (!replay_path)
		return search();
	while (*replay_path && length < sizeof(path)) {
		path[length++] = (u8)strtoul(replay_path, (char **)&replay_path, 10);
		replay_path += *replay_path == ',';
	}
	replay(path, length);
	return 0;
}
