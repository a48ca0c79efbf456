// SPDX-License-Identifier: GPL-2.0
/*
 * Crash replay: walks through the logs of two nodes' disks, builds the states that a crash may leave, and checks each.
 *
 *   replay [--seed N] [--states N|all] [--least N] [--only STATE] [--mutate KIND] [--ignore-log] [--failures N]
 *          FIRST.log SECOND.log
 *   replay --kinds
 *
 * --states N checks about N of those that there are, "all" each of them and many more samples; without it each of them and some
 * samples. Fewer than --least (500) are a failure: a log that says nothing proves nothing. A failure prints what replays it.
 *
 * States: each one at which something became durable on one node (a write with FUA, a flush with all that it covers), and
 * samples in which unflushed writes are there, or not, or in part. What must hold of one node alone:
 *   [M]    once formatted, attach accepts the metadata; without a torn block nothing of it is damaged
 *   [I17]  the chain never goes back behind what was durable, no written mark is lost, sequences ascend
 * and of both, when they come up and greet each other with the core's own dialogue:
 *   [I9]   both ends agree on the plan; [I10] no split; [G4] somebody holds everything
 *   [I5]   where data differ, a dirty map or an activity log says so; in sync without a resync: nothing differs
 *   [I1]   whoever is up to date, and whoever becomes the source, has every promised write
 *
 * Which states of two nodes belong together: the marks come in pairs (format.h). At a pair everything is checked. Between two
 * pairs any position of one node goes with any of the other only while neither superblock nor maps are written; and a
 * region that leaves a log meanwhile is not judged (excused), since the other node may have to be further than it is here.
 * While they hear nothing of each other there is no such order, and all goes with all.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "crash.h"
#include "marks.h"

/* Samples of one unsettled position, in quarters. */
enum { SAMPLES_SOME = 2, SAMPLES_MANY = 32 };

struct node {
	struct dmlog log;
	struct disk disk;
	struct replica replica;
	bool formatted;
	struct chain high;		/* what was durable at the last settled state that was checked */
	u64 high_sequence, high_attach_count;
};

struct run {
	struct node node[2];
	struct marks marks;
	struct judge judge;
	u64 *promised;		/* of each sector: the newest stamp that was acknowledged and flushed */
	u32 next_batch;		/* batches before it are promised */
	u64 seed, paths;	/* of all states; what is drawn for the way through an interval */
	u64 wanted, total;	/* states to check of those there are; wanted == 0: all */
	u64 least;		/* fewer checked states are a failure */
	u64 only;
	bool counting;
	u64 state, checked, sampled, pairs, excused_blocks;
	u32 samples;		/* SAMPLES_* */
	u32 failures, failures_max;
	const char *where;	/* the last pair of marks */
};

static struct run run;

static void __attribute__((format(printf, 2, 3))) violation(const char *label, const char *format, ...)
{
	va_list args;
	u32 n;

	if (run.only && run.state != run.only)
		return;		/* on the way to it */
	printf("VIOLATION %s: ", label);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n  state %llu, after mark %s", (unsigned long long)run.state, run.where);
	for (n = 0; n < 2; n++)
		printf(", %s at entry %u of %u", run.node[n].log.name, run.node[n].disk.position, run.node[n].log.nr);
	printf("\n  again: --seed %llu%s --only %llu\n", (unsigned long long)run.seed,
	       run.samples > SAMPLES_SOME ? " --states all" : "", (unsigned long long)run.state);
	if (++run.failures >= run.failures_max) {
		printf("stopped after %u failures\n0 passed, 1 failed\n", run.failures);
		exit(1);
	}
}

/* ---- one node ---- */

static bool lost_mark(const struct chain *now, const struct chain *before)
{
	u32 i;

	for (i = 0; i < before->count; i++) {
		const struct generation *record = lineage_find(now, before->record[i].id);

		if (record && before->record[i].written && !record->written)
			return true;
	}
	return false;
}

static void check_claims(struct node *node, bool settled)
{
	const struct replica *replica = &node->replica;
	const char *name = node->log.name;
	enum lineage_verdict verdict = lineage_compare(&replica->super.chain, &node->high, NULL);

	if (node->high.count && verdict != LINEAGE_SAME && verdict != LINEAGE_I_AM_AHEAD)
		violation("I17", "%s: its chain was further before: %s", name, lineage_verdict_name(verdict));
	else if (lost_mark(&replica->super.chain, &node->high))
		violation("I17", "%s: the written mark of a record is gone [G2]", name);
	if (replica->super.sequence < node->high_sequence || replica->super.attach_count < node->high_attach_count)
		violation("I17", "%s: an older superblock counts: sequence %llu after %llu", name,
			  (unsigned long long)replica->super.sequence, (unsigned long long)node->high_sequence);
	if (!settled)
		return;
	node->high = replica->super.chain;
	node->high_sequence = replica->super.sequence;
	node->high_attach_count = replica->super.attach_count;
}

/* @settled: nothing is torn, what was durable is there and no more. */
static void check_node(struct node *node, bool settled)
{
	struct replica *replica = &node->replica;

	replica_attach(replica, &node->disk, &run.judge);
	if (replica->result != ATTACH_OK) {
		if (node->formatted)
			violation("M", "%s: attach refuses: %s (%s, %s)", node->log.name, replica->why,
				  ondisk_error_name(replica->error[0]), ondisk_error_name(replica->error[1]));
		return;
	}
	if (settled) {
		node->formatted = true;
		if (replica->log_lost || replica->damaged)
			violation("M", "%s: %u damaged blocks of metadata, log %s", node->log.name, replica->damaged,
				  replica->log_lost ? "lost" : "there");
	}
	if (node->formatted)
		check_claims(node, settled);
}

/* ---- both nodes ---- */

static bool is_alone(const struct node *node)
{
	return !node->formatted || node->replica.result != ATTACH_OK;
}

static void check_promised(const struct node *node, const char *why)
{
	u64 sector;

	for (sector = 0; sector < node->log.data_sectors; sector++) {
		u64 value = node->disk.value[sector];

		if (run.promised[sector] && (value < run.promised[sector] || value & VALUE_OTHER)) {
			violation("I1", "%s %s, and block %llu (sector %llu) holds %s %llx where stamp %llx was promised",
				  node->log.name, why, (unsigned long long)(sector / CRASH_BLOCK_SECTORS),
				  (unsigned long long)sector, value & VALUE_OTHER ? "something else," : "stamp",
				  (unsigned long long)value, (unsigned long long)run.promised[sector]);
			return;
		}
	}
}

static void check_plan(const struct meeting *meeting)
{
	const struct chain *chain[2] = { &run.node[0].replica.super.chain, &run.node[1].replica.super.chain };

	if (!meeting->agreed)
		violation("I9", "the ends do not agree on plan %s", volume_plan_name(meeting->plan));
	else if (meeting->plan == VOLUME_PLAN_SPLIT)
		violation("I10", "a split, and only one node at a time has written");
	else if (meeting->plan == VOLUME_PLAN_WAIT_INCOMPLETE && (chain[0]->count || chain[1]->count))
		violation("G4", "nobody holds everything");
	else if (meeting->plan != VOLUME_PLAN_IN_SYNC && meeting->plan != VOLUME_PLAN_I_AM_SOURCE &&
		 meeting->plan != VOLUME_PLAN_PEER_IS_SOURCE && meeting->plan != VOLUME_PLAN_WAIT_INCOMPLETE)
		violation("G5", "plan %s", volume_plan_name(meeting->plan));
}

/* Differences that nobody would look for. */
static void check_differences(const struct meeting *meeting, u64 excused)
{
	const u64 *value[2] = { run.node[0].disk.value, run.node[1].disk.value };
	u64 sectors = run.node[0].log.data_sectors, at, s, nr = 0, first = 0;

	for (at = 0; at < sectors; at += CRASH_BLOCK_SECTORS) {
		u64 offset = at * CRASH_SECTOR_BYTES;

		for (s = at; s < at + CRASH_BLOCK_SECTORS && value[0][s] == value[1][s]; s++)
			;
		if (s == at + CRASH_BLOCK_SECTORS)
			continue;
		if (excused >> offset / ACTLOG_REGION_BYTES & 1) {
			run.excused_blocks++;
			continue;
		}
		if (meeting->plan != VOLUME_PLAN_IN_SYNC &&
		    replicas_know(&run.node[0].replica, &run.node[1].replica, offset))
			continue;
		if (!nr++)
			first = s;
	}
	if (nr)
		violation("I5", "%llu blocks differ and %s; first block %llu (sector %llu: %llx and %llx); regions logged %llx, %llx",
			  (unsigned long long)nr, meeting->plan == VOLUME_PLAN_IN_SYNC ? "both say in sync" :
			  "no map or log says so", (unsigned long long)(first / CRASH_BLOCK_SECTORS),
			  (unsigned long long)first, (unsigned long long)value[0][first], (unsigned long long)value[1][first],
			  (unsigned long long)run.node[0].replica.regions, (unsigned long long)run.node[1].replica.regions);
}

static void check_both(u64 excused)
{
	struct node *node = run.node;
	struct meeting meeting;
	u32 n;

	for (n = 0; n < 2; n++)
		if (is_alone(&node[n])) {
			if (!is_alone(&node[!n]) && volume_up_to_date(node[!n].replica.volume))
				check_promised(&node[!n], "is alone");
			return;
		}
	run.pairs++;
	replicas_meet(&node[0].replica, &node[1].replica, &meeting);
	check_plan(&meeting);
	check_differences(&meeting, excused);
	for (n = 0; n < 2; n++) {
		bool source = meeting.plan == (n ? VOLUME_PLAN_PEER_IS_SOURCE : VOLUME_PLAN_I_AM_SOURCE);

		if (meeting.up_to_date[n] || source)
			check_promised(&node[n], source ? "is the source" : "is up to date");
	}
}

/* ---- states ---- */

static bool is_wanted(void)
{
	u64 random = run.seed ^ ++run.state << 20;

	if (run.counting)
		return false;
	if (run.only)
		return run.state == run.only;
	return !run.wanted || run.total <= run.wanted || crash_random(&random, run.total) < run.wanted;
}

/* The state as it is: @moved is the node that just changed, both with -1. */
static void state_settled(int moved, bool together, u64 excused)
{
	bool wanted = is_wanted();
	u32 n;

	/* A single state is judged by what was durable before it. */
	if (!wanted && (!run.only || run.state > run.only || run.counting))
		return;
	run.checked += wanted;
	for (n = 0; n < 2; n++)
		if (together || moved == (int)n)
			check_node(&run.node[n], true);
	if (together && wanted)
		check_both(excused);
}

static void state_sampled(u32 moved, bool together, u64 excused)
{
	u64 random;
	bool torn[2] = { false, false };
	u32 n;

	if (!is_wanted())
		return;
	random = run.seed * 0x9e3779b97f4a7c15ull + run.state;
	run.checked++;
	run.sampled++;
	for (n = 0; n < 2; n++)
		if (n == moved || (together && crash_random(&random, 2)))
			disk_sample(&run.node[n].disk, &random, &torn[n]);
	for (n = 0; n < 2; n++)
		if (together || moved == n)
			check_node(&run.node[n], false);
	if (together)
		check_both(excused);
	for (n = 0; n < 2; n++)
		disk_restore(&run.node[n].disk);
}

static void samples_at(u32 moved, bool together, u64 excused)
{
	u32 left = run.samples;

	if (!disk_unsettled(&run.node[moved].disk))
		return;
	for (; left >= 4; left -= 4)
		state_sampled(moved, together, excused);
	if (crash_random(&run.paths, 4) < left)
		state_sampled(moved, together, excused);
}

/* ---- the way ---- */

/* Regions that leave this node's log on disk between two positions. */
static u64 regions_leaving(const struct dmlog *log, u64 before, u32 from, u32 to)
{
	u64 leaving = 0, now;

	for (; from < to; from++) {
		if (log->entry[from].place != PLACE_LOG)
			continue;
		now = replica_log_regions(log, &log->entry[from]);
		leaving |= before & ~now;
		before = now;
	}
	return leaving;
}

/* Regions that the first node logs between its mark and its word that the other one has it too. */
static u64 regions_coming(const struct node *node, u32 from, u32 to)
{
	u64 coming = 0;

	for (; from < to && from < node->log.nr; from++)
		if (node->log.entry[from].place == PLACE_LOG)
			coming |= replica_log_regions(&node->log, &node->log.entry[from]);
	return coming & ~node->replica.regions;
}

static bool is_quiet(const struct dmlog *log, u32 from, u32 to)
{
	for (; from < to; from++)
		if (log->entry[from].place == PLACE_SUPER || log->entry[from].place == PLACE_INDEX ||
		    log->entry[from].place == PLACE_PAGE)
			return false;
	return true;
}

static u32 choose(u32 way, const u32 to[2])
{
	bool left[2] = { run.node[0].disk.position < to[0], run.node[1].disk.position < to[1] };

	if (left[0] != left[1])
		return left[1];
	return way < 2 ? way : (u32)crash_random(&run.paths, 2);
}

/* To the positions @to: one node first, or the other, or in turns. @judged: both nodes together, where that can be. */
static void go_on(const u32 to[2], bool judged, bool silent)
{
	u32 way = (u32)crash_random(&run.paths, 4), n;
	bool together = judged;
	u64 excused = 0;

	for (n = 0; n < 2; n++) {
		const struct node *node = &run.node[n];

		together = together && (silent || is_quiet(&node->log, node->disk.position, to[n]));
	}
	for (n = 0; n < 2 && together; n++) {
		replica_attach(&run.node[n].replica, &run.node[n].disk, &run.judge);
		if (!silent)
			excused |= regions_leaving(&run.node[n].log, run.node[n].replica.regions,
						   run.node[n].disk.position, to[n]);
	}
	while (run.node[0].disk.position < to[0] || run.node[1].disk.position < to[1]) {
		n = choose(way, to);
		if (disk_advance(&run.node[n].disk))
			state_settled((int)n, together, excused);
		samples_at(n, together, excused);
	}
}

static void promise(const struct pair *pair)
{
	const struct batch *batch;
	u32 i;
	u64 s;

	for (; run.next_batch < run.marks.nr_batches; run.next_batch++) {
		batch = &run.marks.batch[run.next_batch];
		if (batch->promised_at[batch->owner] > pair->at[batch->owner])
			break;
		if (!batch->promised_at[batch->owner])
			continue;
		for (i = 0; i < batch->nr_spans; i++) {
			const struct span *span = &batch->span[i];

			for (s = 0; s < span->nr_sectors && span->sector + s < run.node[0].log.data_sectors; s++)
				if (run.promised[span->sector + s] < span->stamp)
					run.promised[span->sector + s] = span->stamp;
		}
	}
}

static void walk(void)
{
	u32 end[2] = { run.node[0].log.nr, run.node[1].log.nr }, i, n;

	run.where = "(none)";
	for (i = 0; i < run.marks.nr_pairs; i++) {
		const struct pair *pair = &run.marks.pair[i], *last = i ? pair - 1 : NULL;
		u64 excused;

		go_on(pair->at, last && last->first == pair->first, last && last->silent);
		run.where = pair->text;
		promise(pair);
		replica_attach(&run.node[pair->first].replica, &run.node[pair->first].disk, &run.judge);
		excused = regions_coming(&run.node[pair->first], pair->at[pair->first], pair->confirmed_at);
		state_settled(-1, true, excused);
		for (n = 0; n < 2; n++)
			samples_at(n, true, excused);
	}
	go_on(end, false, false);
	run.where = "(end)";
	state_settled(-1, true, 0);
}

/* ---- start ---- */

static void __attribute__((noreturn)) usage(void)
{
	fprintf(stderr, "usage: see the head of replay.c\n");
	exit(2);
}

static u64 number(const char *text)
{
	char *end;
	u64 value = text ? strtoull(text, &end, 0) : 0;

	if (!text || !*text || *end)
		usage();
	return value;
}

/* Returns the number of words used. */
static int option(char **argv, const char **kind)
{
	if (!strcmp(argv[0], "--ignore-log")) {
		run.judge.ignore_log = true;
		return 1;
	}
	if (!argv[1])
		usage();
	if (!strcmp(argv[0], "--seed"))
		run.seed = number(argv[1]);
	else if (!strcmp(argv[0], "--only"))
		run.only = number(argv[1]);
	else if (!strcmp(argv[0], "--least"))
		run.least = number(argv[1]);
	else if (!strcmp(argv[0], "--failures"))
		run.failures_max = (u32)number(argv[1]);
	else if (!strcmp(argv[0], "--mutate"))
		*kind = argv[1];
	else if (!strcmp(argv[0], "--states") && !strcmp(argv[1], "all"))
		run.samples = SAMPLES_MANY;
	else if (!strcmp(argv[0], "--states"))
		run.wanted = number(argv[1]);
	else
		usage();
	return 2;
}

/* Everything to the begin of the logs. */
static void rewind_all(void)
{
	u32 n;

	for (n = 0; n < 2; n++) {
		disk_free(&run.node[n].disk);
		disk_init(&run.node[n].disk, &run.node[n].log);
	}
	memset(run.promised, 0, run.node[0].log.data_sectors * sizeof(*run.promised));
	run.next_batch = 0;
	run.state = 0;
	run.paths = run.seed;
}

static void start(char **paths, const char *kind)
{
	static const char *const names[2] = { "FIRST", "SECOND" };
	u32 n;

	for (n = 0; n < 2; n++) {
		dmlog_read(&run.node[n].log, paths[n], names[n]);
		if (kind && !mutate(&run.node[n].log, kind, n))
			usage();
	}
	if (run.node[0].log.data_sectors != run.node[1].log.data_sectors || run.node[0].log.super.actlog_parts != 1 ||
	    run.node[1].log.super.actlog_parts != 1) {
		fprintf(stderr, "replay: these are not two replicas of one volume with one log part each\n");
		exit(2);
	}
	marks_read(&run.marks, &run.node[0].log, &run.node[1].log);
	for (n = 0; n < 2; n++) {
		disk_init(&run.node[n].disk, &run.node[n].log);
		replica_init(&run.node[n].replica, &run.node[n].log);
	}
	run.promised = calloc(run.node[0].log.data_sectors, sizeof(*run.promised));
	run.paths = run.seed;
	run.counting = true;
	walk();
	run.counting = false;
	run.total = run.state;
	rewind_all();
}

int main(int argc, char **argv)
{
	const char *kind = NULL;
	struct timespec begin, end;
	double seconds;
	int at = 1;

	run.samples = SAMPLES_SOME;
	run.failures_max = 5;
	run.least = 500;
	run.seed = (u64)time(NULL);
	if (argc == 2 && !strcmp(argv[1], "--kinds")) {
		mutate_list();
		return 0;
	}
	while (at < argc && argv[at][0] == '-')
		at += option(argv + at, &kind);
	if (argc - at != 2)
		usage();
	start(argv + at, kind);
	printf("seed: %llu; %u and %u entries, %u pairs of marks, %u batches, volume of %llu MiB\n",
	       (unsigned long long)run.seed, run.node[0].log.nr, run.node[1].log.nr, run.marks.nr_pairs,
	       run.marks.nr_batches, (unsigned long long)(run.node[0].log.data_sectors >> 11));
	clock_gettime(CLOCK_MONOTONIC, &begin);
	walk();
	clock_gettime(CLOCK_MONOTONIC, &end);
	seconds = (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
	if (!run.only && (run.checked < run.least || !run.pairs || !run.next_batch)) {
		printf("too little to check: %llu states, at least %llu are wanted\n", (unsigned long long)run.checked,
		       (unsigned long long)run.least);
		run.failures++;
	}
	printf("%llu of %llu states checked (%llu sampled, %llu of both nodes) in %.1f s, %.0f a second; %u batches promised\n",
	       (unsigned long long)run.checked, (unsigned long long)run.total, (unsigned long long)run.sampled,
	       (unsigned long long)run.pairs, seconds,
	       (double)run.checked / seconds, run.next_batch);
	printf("%d passed, %d failed\n", !run.failures, !!run.failures);
	return run.failures ? 1 : 0;
}
