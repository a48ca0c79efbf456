// SPDX-License-Identifier: GPL-2.0
/*
 * Requests of odd shape, against a model of what the device must hold [W2] [W8].
 *
 *   odd run DEVICE BYTES SEED ROUNDS THREADS [SUM]     SUM: what the area must hold at the beginning
 *   odd sum DEVICE BYTES SEED                          read it all, in odd pieces
 *   odd restless DEVICE BYTES SEED ROUNDS              writers whose memory changes all the time while it is written
 *
 * Odd are: many vectors of n logical blocks (of 512 bytes), several in one page, across pages, beginning in the middle of pages, also of huge
 * ones; requests of one block to 3 MiB that begin anywhere; discards and zeroes of such ranges beside them. Each thread has
 * a share of the area whose ends are in the middle of 4 KiB blocks, so neighbours meet within blocks and regions, and it reads
 * back, in other pieces, what it wrote there.
 *
 * "run" and "sum" print the sum of the whole area, "sum HEX". Content that is not the model's: status 1, with the place.
 * What "restless" leaves is anything, but the same anything on each replica: see same_replicas().
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	SECTOR_BYTES = 512, PAGE_BYTES = 4096, THREADS_MAX = 8, VECTORS_MAX = 1024,
	REQUEST_BYTES_MAX = 3 << 20, ARENA_BYTES = 28 << 20, HUGE_BYTES = 2 << 20,
	RESTLESS_BLOCKS = 96,
};

struct worker {
	pthread_t thread;
	uint64_t random, start_bytes, end_bytes;
	unsigned int rounds;
	uint8_t *arena;			/* memory of requests; its first half lies in huge pages where there are any */
	struct iovec vector[VECTORS_MAX];
	int nr_vectors;
};

static int device;
static uint32_t block_bytes;	/* logical block of the device */
static uint8_t *model;
static atomic_bool over;

static uint64_t mix(uint64_t value)
{
	value += 0x9e3779b97f4a7c15ull;
	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ull;
	value = (value ^ value >> 27) * 0x94d049bb133111ebull;
	return value ^ value >> 31;
}

/* 0 to @limit - 1 */
static uint64_t draw(struct worker *worker, uint64_t limit)
{
	worker->random += 0x9e3779b97f4a7c15ull;
	return mix(worker->random) % limit;
}

static void die(const char *what, uint64_t offset_bytes, uint64_t length_bytes)
{
	fprintf(stderr, "odd: %s of %llu bytes at %llu: %s\n", what, (unsigned long long)length_bytes,
		(unsigned long long)offset_bytes, strerror(errno));
	exit(1);
}

static uint8_t *arena_alloc(void)
{
	uint8_t *arena;

	if (posix_memalign((void **)&arena, HUGE_BYTES, ARENA_BYTES))
		exit(1);
	madvise(arena, ARENA_BYTES / 2, MADV_HUGEPAGE);
	madvise(arena + ARENA_BYTES / 2, ARENA_BYTES / 2, MADV_NOHUGEPAGE);
	memset(arena, 0, ARENA_BYTES);
	return arena;
}

/* Half of them are a few sectors, some are larger than any frame. */
static uint64_t draw_length(struct worker *worker, uint64_t limit_bytes)
{
	static const uint32_t limits[] = { 8, 8, 24, 24, 128, 128, 700, 2048, 2100, REQUEST_BYTES_MAX / SECTOR_BYTES };
	uint64_t length_bytes = (draw(worker, limits[draw(worker, sizeof(limits) / sizeof(limits[0]))]) + 1) * SECTOR_BYTES;

	length_bytes = (length_bytes + block_bytes - 1) / block_bytes * block_bytes;

	return length_bytes < limit_bytes ? length_bytes : limit_bytes;
}

/*
 * Cut @length_bytes into vectors. Their memory does not overlap, since reads fill it: it goes on after a gap, mostly within the
 * same page or from the middle of a page near by.
 */
static void draw_vectors(struct worker *worker, uint64_t length_bytes)
{
	static const uint32_t limits[] = { 1, 1, 3, 3, 7, 20, 200, 6000 };
	uint32_t limit = limits[draw(worker, sizeof(limits) / sizeof(limits[0]))];
	uint64_t at = draw(worker, 2) * (ARENA_BYTES / 2) + draw(worker, 64) * block_bytes;

	for (worker->nr_vectors = 0; length_bytes; worker->nr_vectors++) {
		uint64_t part_bytes = (draw(worker, limit) + 1) * block_bytes;

		if (part_bytes > length_bytes || worker->nr_vectors == VECTORS_MAX - 1)
			part_bytes = length_bytes;
		worker->vector[worker->nr_vectors] = (struct iovec){ worker->arena + at, part_bytes };
		length_bytes -= part_bytes;
		at += part_bytes + (draw(worker, 3) ? draw(worker, 3) : draw(worker, 12)) * SECTOR_BYTES;
		at = (at + block_bytes - 1) / block_bytes * block_bytes;	/* null_blk copies beyond pages otherwise */
	}
}

static void transfer(struct worker *worker, bool writing, uint64_t offset_bytes, uint64_t length_bytes, int flags)
{
	ssize_t done;

	done = writing ? pwritev2(device, worker->vector, worker->nr_vectors, (off_t)offset_bytes, flags) :
			 preadv2(device, worker->vector, worker->nr_vectors, (off_t)offset_bytes, 0);
	if (done != (ssize_t)length_bytes)
		die(writing ? "write" : "read", offset_bytes, length_bytes);
}

static void fill(struct worker *worker, uint8_t *to, uint64_t length_bytes)
{
	uint64_t key = draw(worker, UINT64_MAX), i;

	for (i = 0; i < length_bytes; i += 8) {
		uint64_t word;

		key += 0xd1342543de82ef95ull;
		word = key ^ key >> 29;
		memcpy(to + i, &word, 8);
	}
}

static void write_some(struct worker *worker, uint64_t offset_bytes, uint64_t length_bytes)
{
	uint64_t at = offset_bytes;
	int i;

	fill(worker, model + offset_bytes, length_bytes);
	draw_vectors(worker, length_bytes);
	for (i = 0; i < worker->nr_vectors; i++) {
		memcpy(worker->vector[i].iov_base, model + at, worker->vector[i].iov_len);
		at += worker->vector[i].iov_len;
	}
	transfer(worker, true, offset_bytes, length_bytes, draw(worker, 12) ? 0 : RWF_DSYNC);
	if (!draw(worker, 40) && fdatasync(device))
		die("flush", 0, 0);
}

static void zero_some(struct worker *worker, uint64_t offset_bytes, uint64_t length_bytes)
{
	uint64_t range[2] = { offset_bytes, length_bytes };

	memset(model + offset_bytes, 0, length_bytes);
	if (ioctl(device, draw(worker, 2) ? BLKDISCARD : BLKZEROOUT, range))
		die("zeroes", offset_bytes, length_bytes);
}

static void read_some(struct worker *worker, uint64_t offset_bytes, uint64_t length_bytes)
{
	uint64_t at = offset_bytes;
	int i;

	draw_vectors(worker, length_bytes);
	for (i = 0; i < worker->nr_vectors; i++)
		memset(worker->vector[i].iov_base, 0x5a, worker->vector[i].iov_len);
	transfer(worker, false, offset_bytes, length_bytes, 0);
	for (i = 0; i < worker->nr_vectors; i++) {
		const uint8_t *got = worker->vector[i].iov_base;
		uint64_t wrong;

		for (wrong = 0; wrong < worker->vector[i].iov_len && got[wrong] == model[at + wrong]; wrong++)
			;
		if (wrong < worker->vector[i].iov_len) {
			printf("odd: wrong content at %llu, in vector %d of a read of %llu bytes at %llu\n",
			       (unsigned long long)(at + wrong), i, (unsigned long long)length_bytes,
			       (unsigned long long)offset_bytes);
			exit(1);
		}
		at += worker->vector[i].iov_len;
	}
}

static void *worker_main(void *argument)
{
	struct worker *worker = argument;

	while (worker->rounds--) {
		uint64_t share_bytes = worker->end_bytes - worker->start_bytes;
		uint64_t length_bytes = draw_length(worker, share_bytes);
		uint64_t offset_bytes = worker->start_bytes +
					draw(worker, (share_bytes - length_bytes) / block_bytes + 1) * block_bytes;
		uint64_t kind = draw(worker, 10);

		if (kind < 6)
			write_some(worker, offset_bytes, length_bytes);
		else if (kind < 7)
			zero_some(worker, offset_bytes, length_bytes);
		else
			read_some(worker, offset_bytes, length_bytes);
	}
	return NULL;
}

static void work(uint64_t bytes, uint64_t seed, uint64_t rounds, uint64_t nr)
{
	static struct worker workers[THREADS_MAX];
	uint64_t share_bytes = bytes / nr / SECTOR_BYTES * SECTOR_BYTES, i;

	for (i = 0; i < nr; i++) {
		struct worker *worker = &workers[i];

		worker->random = mix(seed) ^ mix(i + 1);
		worker->rounds = (unsigned int)rounds;
		/* Ends in the middle of 4 KiB, where blocks are smaller. */
		worker->start_bytes = i ? workers[i - 1].end_bytes : 0;
		worker->end_bytes = i == nr - 1 ? bytes : (i + 1) * share_bytes / PAGE_BYTES * PAGE_BYTES + (i % 7 + 1) * SECTOR_BYTES / block_bytes * block_bytes;
		worker->arena = arena_alloc();
		if (pthread_create(&worker->thread, NULL, worker_main, worker))
			exit(1);
	}
	for (i = 0; i < nr; i++)
		pthread_join(workers[i].thread, NULL);
}

static uint64_t sum_of(const uint8_t *content, uint64_t bytes)
{
	uint64_t sum = bytes, i, word;

	for (i = 0; i < bytes; i += 8) {
		memcpy(&word, content + i, 8);
		sum = mix(sum ^ word);
	}
	return sum;
}

/* The whole area into the model, in odd pieces. */
static void load(uint64_t bytes, uint64_t seed)
{
	static struct worker reader;
	uint64_t at, length_bytes;
	int i;

	reader.random = mix(~seed);
	reader.arena = arena_alloc();
	for (at = 0; at < bytes; at += length_bytes) {
		uint64_t to = at;

		length_bytes = draw_length(&reader, bytes - at);
		draw_vectors(&reader, length_bytes);
		transfer(&reader, false, at, length_bytes, 0);
		for (i = 0; i < reader.nr_vectors; i++) {
			memcpy(model + to, reader.vector[i].iov_base, reader.vector[i].iov_len);
			to += reader.vector[i].iov_len;
		}
	}
}

static void *scribble(void *argument)
{
	struct worker *worker = argument;
	uint64_t word = 1, i;

	while (!atomic_load(&over))
		for (i = 0; i < RESTLESS_BLOCKS * 2 * block_bytes; i += 8)
			memcpy(worker->arena + i, &(uint64_t){ word++ }, 8);
	return NULL;
}

static void restless(uint64_t bytes, uint64_t seed, uint64_t rounds)
{
	static struct worker writer;
	pthread_t scribbler;

	writer.random = mix(seed);
	writer.arena = arena_alloc();
	if (pthread_create(&scribbler, NULL, scribble, &writer))
		exit(1);
	while (rounds--) {
		uint64_t length_bytes = (draw(&writer, RESTLESS_BLOCKS) + 1) * block_bytes;
		uint64_t offset_bytes = draw(&writer, (bytes - length_bytes) / block_bytes + 1) * block_bytes;

		writer.vector[0] = (struct iovec){ writer.arena + draw(&writer, RESTLESS_BLOCKS) * block_bytes, length_bytes };
		writer.nr_vectors = 1;
		transfer(&writer, true, offset_bytes, length_bytes, 0);
	}
	atomic_store(&over, true);
	pthread_join(scribbler, NULL);
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 0);

	if (!*text || *end) {
		fprintf(stderr, "odd: %s is not a number\n", text);
		exit(2);
	}
	return value;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	uint64_t bytes, seed, found;

	if (!(!strcmp(verb, "run") && (argc == 7 || argc == 8)) && !(!strcmp(verb, "sum") && argc == 5) &&
	    !(!strcmp(verb, "restless") && argc == 6)) {
		fprintf(stderr, "usage: see the head of odd.c\n");
		return 2;
	}
	device = open(argv[2], O_RDWR | O_DIRECT | O_CLOEXEC);
	if (device < 0 || ioctl(device, BLKSSZGET, &block_bytes))
		die(argv[2], 0, 0);
	bytes = number(argv[3]);
	seed = number(argv[4]);
	model = calloc(1, bytes);
	if (!model || bytes % PAGE_BYTES)
		return 2;
	if (!strcmp(verb, "restless")) {
		restless(bytes, seed, number(argv[5]));
		return 0;
	}
	load(bytes, seed);
	if (argc == 8 && (found = sum_of(model, bytes)) != strtoull(argv[7], NULL, 16)) {
		printf("odd: the area holds sum %llx at the beginning, not %s\n", (unsigned long long)found, argv[7]);
		return 1;
	}
	if (!strcmp(verb, "run")) {
		uint64_t nr = number(argv[6]);

		if (!nr || nr > THREADS_MAX)
			return 2;
		work(bytes, seed, number(argv[5]), nr);
		found = sum_of(model, bytes);
		load(bytes, seed + 1);
		if (found != sum_of(model, bytes)) {
			printf("odd: the area does not hold what was written there\n");
			return 1;
		}
	}
	printf("sum %llx\n", (unsigned long long)sum_of(model, bytes));
	return 0;
}
