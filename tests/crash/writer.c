// SPDX-License-Identifier: GPL-2.0
/*
 * The workload of the crash replay: stamped writes in batches, and marks in the logs of both nodes that say what was
 * acknowledged when [W4] [W5]. The texts of the marks and the format of a sector are in format.h.
 *
 *   writer serve DM PORT                                        on each node: puts marks that the other one asks for
 *   writer tick DM PEER PORT ID SECONDS MAX_MS                  pairs of marks at random moments
 *   writer pair DM PEER PORT KIND ID                            one pair of marks
 *   writer write DEVICE OFFSET BYTES SEED ID STAMP SECONDS THREADS DM PEER PORT
 *
 * A batch: each thread makes some writes in its own stripe, one at a time, so that of two writes to one block the one with
 * the higher stamp is the later one. A third of them with FUA. Then a flush, then the marks; the next batch begins when both
 * nodes have theirs. The last batch is not flushed: it is in volatile caches when braid lets regions go [W6]. Marks go by UDP:
 * one that is lost is asked for again, one that stays lost makes no pair.
 * "end BATCHES WRITES" when the time is over, not before BATCHES_MIN; an I/O error ends the program with status 1.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "format.h"

enum { THREADS_MAX = 8, BATCH_WRITES_MAX = 6, BLOCKS_MAX = 8, BATCHES_MIN = 20, TRIES = 5, TRY_MS = 100 };

struct span {
	uint64_t block, blocks, stamp;
};

struct worker {
	pthread_t thread;
	uint64_t random, first_block, nr_blocks;
	unsigned int nr;
	struct span span[BATCH_WRITES_MAX];
	struct crash_sector *buffer;
};

static int device;
static int control = -1;	/* device-mapper */
static int peer = -1;		/* UDP socket, connected */
static const char *dm_name;
static _Atomic uint64_t next_stamp;

static void die(const char *what)
{
	fprintf(stderr, "writer: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t draw(uint64_t *random, uint64_t below)
{
	uint64_t value = *random += 0x9e3779b97f4a7c15ull;

	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ull;
	value = (value ^ value >> 27) * 0x94d049bb133111ebull;
	return (value ^ value >> 31) % below;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void pause_ms(uint64_t ms)
{
	struct timespec time = { (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 };

	nanosleep(&time, NULL);
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 0);

	if (!*text || *end) {
		fprintf(stderr, "writer: %s is not a number\n", text);
		exit(2);
	}
	return value;
}

/* ---- marks ---- */

static void marks_open(const char *name)
{
	dm_name = name;
	control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	if (control < 0)
		die("/dev/mapper/control");
}

/* Put one mark into this node's log. It stands behind every write that had ended and been flushed, or had FUA. */
static void mark_here(const char *text)
{
	struct request {
		struct dm_ioctl head;
		uint64_t sector;	/* struct dm_target_msg, whose text has no size */
		char text[CRASH_MARK_BYTES_MAX + 16];
	} request = {
		.head = {
			.version = { DM_VERSION_MAJOR, 0, 0 },
			.data_size = sizeof(request),
			.data_start = offsetof(struct request, sector),
		},
	};

	snprintf(request.head.name, sizeof(request.head.name), "%s", dm_name);
	snprintf(request.text, sizeof(request.text), "mark %s", text);
	if (ioctl(control, DM_TARGET_MSG, &request))
		die("mark");
}

static struct sockaddr_in address(const char *host, const char *port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)number(port)) };

	if (inet_pton(AF_INET, host, &at.sin_addr) != 1) {
		fprintf(stderr, "writer: %s is not an address\n", host);
		exit(2);
	}
	return at;
}

static void peer_open(const char *host, const char *port)
{
	struct sockaddr_in at = address(host, port);
	struct timeval wait = { 0, TRY_MS * 1000 };

	peer = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (peer < 0 || connect(peer, (struct sockaddr *)&at, sizeof(at)) ||
	    setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)))
		die("peer");
}

/* The mark on the other node; whether it confirmed. An answer to an earlier one is passed over. */
static bool mark_there(const char *text)
{
	char answer[CRASH_MARK_BYTES_MAX];
	int try;

	for (try = 0; try < TRIES; try++) {
		uint64_t until = now_ms() + TRY_MS;

		send(peer, text, strlen(text), 0);
		while (now_ms() < until) {
			ssize_t got = recv(peer, answer, sizeof(answer) - 1, 0);

			if (got <= 0)
				break;
			answer[got] = 0;
			if (!strcmp(answer, text))
				return true;
		}
	}
	return false;
}

/* False: no pair, the other node did not answer. */
static bool mark_pair(char kind, const char *id, uint64_t count)
{
	char text[96], confirmed[100];

	snprintf(text, sizeof(text), "%c:%s.%llu", kind, id, (unsigned long long)count);
	mark_here(text);
	if (!mark_there(text))
		return false;
	snprintf(confirmed, sizeof(confirmed), "k:%s", text);
	mark_here(confirmed);
	return true;
}

static void __attribute__((noreturn)) serve(const char *port)
{
	struct sockaddr_in at = address("0.0.0.0", port), from;
	char text[CRASH_MARK_BYTES_MAX];
	int listener = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof(at)))
		die("serve");
	for (;;) {
		socklen_t length = sizeof(from);
		ssize_t got = recvfrom(listener, text, sizeof(text) - 1, 0, (struct sockaddr *)&from, &length);

		if (got <= 0)
			continue;
		text[got] = 0;
		mark_here(text);
		sendto(listener, text, (size_t)got, 0, (struct sockaddr *)&from, length);
	}
}

static int tick(const char *id, uint64_t seconds, uint64_t max_ms)
{
	uint64_t until = now_ms() + seconds * 1000, random = now_ms(), count;

	for (count = 1; now_ms() < until; count++) {
		mark_pair('t', id, count);
		pause_ms(draw(&random, max_ms) + 1);
	}
	return 0;
}

/* ---- writes ---- */

static void fill(struct crash_sector *sector, const struct span *span)
{
	uint64_t i;

	for (i = 0; i < span->blocks * CRASH_BLOCK_SECTORS; i++) {
		sector[i].magic = CRASH_MAGIC;
		sector[i].stamp = span->stamp;
		sector[i].sector = span->block * CRASH_BLOCK_SECTORS + i;
	}
}

/* Half of the blocks from an eighth of the stripe: they are written again and again. */
static void write_once(struct worker *worker, struct span *span)
{
	uint64_t area = draw(&worker->random, 2) ? worker->nr_blocks : worker->nr_blocks / 8;
	struct iovec vector;

	span->blocks = draw(&worker->random, 4) ? 1 : draw(&worker->random, BLOCKS_MAX) + 1;
	span->block = worker->first_block + draw(&worker->random, area - span->blocks + 1);
	span->stamp = atomic_fetch_add(&next_stamp, 1);
	fill(worker->buffer, span);
	vector = (struct iovec){ worker->buffer, span->blocks * CRASH_BLOCK_BYTES };
	if (pwritev2(device, &vector, 1, (off_t)(span->block * CRASH_BLOCK_BYTES),
		     draw(&worker->random, 3) ? 0 : RWF_DSYNC) != (ssize_t)vector.iov_len)
		die("write");
}

static void *batch_part(void *argument)
{
	struct worker *worker = argument;
	unsigned int i;

	worker->nr = (unsigned int)draw(&worker->random, BATCH_WRITES_MAX) + 1;
	for (i = 0; i < worker->nr; i++)
		write_once(worker, &worker->span[i]);
	return NULL;
}

static void mark_list(const char *id, uint64_t count, const struct worker *workers, uint64_t threads)
{
	char text[CRASH_MARK_BYTES_MAX];
	int head = snprintf(text, sizeof(text), "l:%s.%llu", id, (unsigned long long)count), at = head;
	uint64_t t;
	unsigned int i;

	for (t = 0; t < threads; t++)
		for (i = 0; i < workers[t].nr; i++) {
			const struct span *span = &workers[t].span[i];

			if (at > CRASH_MARK_BYTES_MAX - 48) {
				mark_here(text);
				at = head;
			}
			at += snprintf(text + at, sizeof(text) - (size_t)at, ":%llx,%llx,%llx", (unsigned long long)span->block,
				       (unsigned long long)span->blocks, (unsigned long long)span->stamp);
		}
	mark_here(text);
}

static uint64_t batch(const char *id, uint64_t count, struct worker *workers, uint64_t threads, uint64_t *random, bool last)
{
	uint64_t t, writes = 0;

	for (t = 0; t < threads; t++)
		if (pthread_create(&workers[t].thread, NULL, batch_part, &workers[t]))
			die("thread");
	for (t = 0; t < threads; t++) {
		pthread_join(workers[t].thread, NULL);
		writes += workers[t].nr;
	}
	if (last || draw(random, 2)) {
		mark_pair('s', id, count);
		pause_ms(draw(random, 20));
	}
	if (last) {
		mark_list(id, count, workers, threads);
		return writes;
	}
	if (fdatasync(device))
		die("fdatasync");
	mark_list(id, count, workers, threads);
	mark_pair('b', id, count);
	return writes;
}

static int run_write(char **argv)
{
	static struct worker workers[THREADS_MAX];
	uint64_t offset = number(argv[1]), bytes = number(argv[2]), random = number(argv[3]), threads = number(argv[7]);
	uint64_t until = now_ms() + number(argv[6]) * 1000, batches = 0, writes = 0, t;

	atomic_store(&next_stamp, number(argv[5]));
	device = open(argv[0], O_WRONLY | O_DIRECT | O_CLOEXEC);
	if (device < 0)
		die(argv[0]);
	if (!threads || threads > THREADS_MAX)
		return 2;
	for (t = 0; t < threads; t++) {
		workers[t].random = random * 31 + t;
		workers[t].nr_blocks = bytes / CRASH_BLOCK_BYTES / threads;
		workers[t].first_block = offset / CRASH_BLOCK_BYTES + t * workers[t].nr_blocks;
		if (posix_memalign((void **)&workers[t].buffer, CRASH_BLOCK_BYTES, BLOCKS_MAX * CRASH_BLOCK_BYTES))
			return 1;
		memset(workers[t].buffer, 0, BLOCKS_MAX * CRASH_BLOCK_BYTES);
	}
	while (now_ms() < until || batches < BATCHES_MIN)
		writes += batch(argv[4], ++batches, workers, threads, &random, false);
	writes += batch(argv[4], ++batches, workers, threads, &random, true);
	printf("end %llu %llu\n", (unsigned long long)batches, (unsigned long long)writes);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "serve")) {
		marks_open(argv[2]);
		serve(argv[3]);
	}
	if (argc == 8 && !strcmp(argv[1], "tick")) {
		marks_open(argv[2]);
		peer_open(argv[3], argv[4]);
		return tick(argv[5], number(argv[6]), number(argv[7]));
	}
	if (argc == 7 && !strcmp(argv[1], "pair")) {
		marks_open(argv[2]);
		peer_open(argv[3], argv[4]);
		return !mark_pair(argv[5][0], argv[6], 1);
	}
	if (argc == 13 && !strcmp(argv[1], "write")) {
		marks_open(argv[10]);
		peer_open(argv[11], argv[12]);
		return run_write(argv + 2);
	}
	fprintf(stderr, "usage: see the head of writer.c\n");
	return 2;
}
