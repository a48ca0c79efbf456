// SPDX-License-Identifier: GPL-2.0
/*
 * Writes stamped blocks to a device and tells which writes were acknowledged; later checks that each of those blocks holds
 * that stamp or a later one [I1] [I3]. The list of acknowledgements leaves the machine before its power is cut.
 *
 *   stamp write  DEVICE OFFSET BYTES SEED BASE SECONDS THREADS MAX_KIB [ack|durable]
 *   stamp verify DEVICE OFFSET BYTES <LIST
 *
 * Every 4 KiB block is a function of (stamp, offset), so a torn or misplaced one is seen. Each thread writes in its own
 * part of the area, one write at a time: of two writes to a block the one with the higher stamp is the later one. BASE is
 * the first stamp; the next run on the same area wants a higher one.
 *
 * Output of write, each line by one write(2): "w OFFSET LENGTH STAMP" when a write is acknowledged; with "durable" only
 * when it is also covered by a completed fdatasync or was made with O_DSYNC semantics (FUA). "end WRITES
 * MAX_LATENCY_MS" when the time is over. An I/O error ends the program with status 1.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK_BYTES = 4096, WORDS = BLOCK_BYTES / 8, THREADS_MAX = 32, PENDING_MAX = 16, CHUNK_BYTES = 1 << 20 };

#define MAGIC 0x706d617473646972ull

struct span {
	uint64_t offset_bytes, stamp;
	uint32_t length_bytes;
};

struct writer {
	pthread_t thread;
	uint64_t random, offset_bytes, size_bytes, writes, max_latency_ms;
	struct span pending[PENDING_MAX];	/* acknowledged, not flushed */
	unsigned int nr_pending;
};

static int device;
static bool durable;
static uint32_t max_blocks;
static uint64_t deadline_ms;
static _Atomic uint64_t next_stamp;

static uint64_t mix(uint64_t value)
{
	value += 0x9e3779b97f4a7c15ull;
	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ull;
	value = (value ^ value >> 27) * 0x94d049bb133111ebull;
	return value ^ value >> 31;
}

static uint64_t draw(struct writer *writer)
{
	writer->random += 0x9e3779b97f4a7c15ull;
	return mix(writer->random);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void die(const char *what, uint64_t offset_bytes)
{
	fprintf(stderr, "stamp: %s at %llu: %s\n", what, (unsigned long long)offset_bytes, strerror(errno));
	exit(1);
}

static void fill(uint64_t *block, uint64_t stamp, uint64_t offset_bytes)
{
	uint64_t key = mix(stamp) ^ mix(~offset_bytes);
	unsigned int i;

	block[0] = MAGIC;
	block[1] = stamp;
	block[2] = offset_bytes;
	for (i = 3; i < WORDS; i++) {
		key += 0xd1342543de82ef95ull;
		block[i] = key ^ key >> 29;
	}
}

static void tell(const struct span *span)
{
	char line[80];
	int length = snprintf(line, sizeof(line), "w %llu %u %llu\n", (unsigned long long)span->offset_bytes,
			      span->length_bytes, (unsigned long long)span->stamp);

	if (write(1, line, (size_t)length) != length)
		exit(1);
}

static void flush(struct writer *writer)
{
	unsigned int i;

	if (fdatasync(device))
		die("fdatasync", 0);
	for (i = 0; i < writer->nr_pending; i++)
		tell(&writer->pending[i]);
	writer->nr_pending = 0;
}

static void write_once(struct writer *writer, uint64_t *buffer)
{
	uint64_t blocks = writer->size_bytes / BLOCK_BYTES;
	uint32_t count = (uint32_t)(draw(writer) % max_blocks) + 1, i;
	struct span span;
	struct iovec vector;
	bool fua = durable && draw(writer) % 4 == 0;
	uint64_t start;

	if (draw(writer) % 2)
		count = 1;
	if (count > blocks)
		count = (uint32_t)blocks;
	span.stamp = atomic_fetch_add(&next_stamp, 1);
	span.offset_bytes = writer->offset_bytes + draw(writer) % (blocks - count + 1) * BLOCK_BYTES;
	span.length_bytes = count * BLOCK_BYTES;
	for (i = 0; i < count; i++)
		fill(buffer + i * WORDS, span.stamp, span.offset_bytes + (uint64_t)i * BLOCK_BYTES);
	vector = (struct iovec){ buffer, span.length_bytes };
	start = now_ms();
	if (pwritev2(device, &vector, 1, (off_t)span.offset_bytes, fua ? RWF_DSYNC : 0) != (ssize_t)span.length_bytes)
		die("write", span.offset_bytes);
	if (!durable || fua)
		tell(&span);
	else
		writer->pending[writer->nr_pending++] = span;
	if (writer->nr_pending == PENDING_MAX || (writer->nr_pending && draw(writer) % 8 == 0))
		flush(writer);
	writer->writes++;
	if (now_ms() - start > writer->max_latency_ms)
		writer->max_latency_ms = now_ms() - start;
}

static void *writer_main(void *argument)
{
	struct writer *writer = argument;
	void *buffer;

	if (posix_memalign(&buffer, BLOCK_BYTES, (size_t)max_blocks * BLOCK_BYTES))
		exit(1);
	while (now_ms() < deadline_ms)
		write_once(writer, buffer);
	if (writer->nr_pending)
		flush(writer);
	return NULL;
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 0);

	if (!*text || *end) {
		fprintf(stderr, "stamp: %s is not a number\n", text);
		exit(2);
	}
	return value;
}

static int run_write(char **argv)
{
	static struct writer writers[THREADS_MAX];
	uint64_t offset = number(argv[0]), bytes = number(argv[1]), seed = number(argv[2]), share;
	uint64_t nr = number(argv[5]), writes = 0, latency = 0, i;

	atomic_store(&next_stamp, number(argv[3]));
	deadline_ms = now_ms() + number(argv[4]) * 1000;
	max_blocks = (uint32_t)(number(argv[6]) * 1024 / BLOCK_BYTES);
	share = nr ? bytes / nr / BLOCK_BYTES * BLOCK_BYTES : 0;
	if (!share || nr > THREADS_MAX || !max_blocks || offset % BLOCK_BYTES)
		return 2;
	for (i = 0; i < nr; i++) {
		writers[i].random = mix(seed) ^ mix(i + 1);
		writers[i].offset_bytes = offset + i * share;
		writers[i].size_bytes = share;
		if (pthread_create(&writers[i].thread, NULL, writer_main, &writers[i]))
			return 1;
	}
	for (i = 0; i < nr; i++) {
		pthread_join(writers[i].thread, NULL);
		writes += writers[i].writes;
		if (writers[i].max_latency_ms > latency)
			latency = writers[i].max_latency_ms;
	}
	printf("end %llu %llu\n", (unsigned long long)writes, (unsigned long long)latency);
	return 0;
}

/* Newest acknowledged stamp of each block of the area, 0 where none. */
static uint64_t read_list(uint64_t *newest, uint64_t offset, uint64_t bytes)
{
	unsigned long long from, stamp;
	uint64_t acknowledged = 0, at;
	unsigned int length;
	char line[256];

	while (fgets(line, sizeof(line), stdin)) {
		/* The last line may be cut short by the power cut. */
		if (!strchr(line, '\n') || sscanf(line, "w %llu %u %llu", &from, &length, &stamp) != 3)
			continue;
		if (from < offset || from + length > offset + bytes)
			continue;
		acknowledged++;
		for (at = from; at < from + length; at += BLOCK_BYTES)
			if (stamp > newest[(at - offset) / BLOCK_BYTES])
				newest[(at - offset) / BLOCK_BYTES] = stamp;
	}
	return acknowledged;
}

static const char *judge(const uint64_t *block, uint64_t wanted, uint64_t offset_bytes, bool *later)
{
	uint64_t made[WORDS];

	*later = false;
	/* Where nothing was acknowledged there may be what was there before. */
	if (!wanted && block[0] != MAGIC)
		return NULL;
	if (block[0] != MAGIC || block[2] != offset_bytes)
		return block[0] == MAGIC ? "holds another block" : "holds no stamp";
	fill(made, block[1], offset_bytes);
	if (memcmp(block, made, BLOCK_BYTES))
		return "is torn";
	*later = block[1] > wanted;
	return block[1] < wanted ? "holds an older write" : NULL;
}

static int run_verify(char **argv)
{
	uint64_t offset = number(argv[0]), bytes = number(argv[1]), at, checked = 0, nr_later = 0, wrong = 0, i;
	uint64_t *newest = calloc(bytes / BLOCK_BYTES, sizeof(*newest));
	uint64_t acknowledged = newest ? read_list(newest, offset, bytes) : 0;
	void *buffer;
	bool later;

	if (!newest || posix_memalign(&buffer, BLOCK_BYTES, CHUNK_BYTES))
		return 1;
	for (at = 0; at < bytes; at += CHUNK_BYTES) {
		size_t length = bytes - at < CHUNK_BYTES ? bytes - at : CHUNK_BYTES;

		if (pread(device, buffer, length, (off_t)(offset + at)) != (ssize_t)length)
			die("read", offset + at);
		for (i = 0; i < length / BLOCK_BYTES; i++) {
			uint64_t place = offset + at + i * BLOCK_BYTES, wanted = newest[(place - offset) / BLOCK_BYTES];
			const uint64_t *block = (uint64_t *)buffer + i * WORDS;
			const char *fault = judge(block, wanted, place, &later);

			checked += !!wanted;
			nr_later += wanted && later;
			if (fault && wrong++ < 10)
				printf("block at %llu %s: wanted stamp %llu, found %llu\n", (unsigned long long)place, fault,
				       (unsigned long long)wanted, (unsigned long long)block[1]);
		}
	}
	printf("%s: %llu writes acknowledged, %llu blocks checked, %llu hold later writes, %llu wrong\n",
	       wrong ? "LOST" : "all there", (unsigned long long)acknowledged, (unsigned long long)checked,
	       (unsigned long long)nr_later, (unsigned long long)wrong);
	return wrong ? 1 : 0;
}

int main(int argc, char **argv)
{
	bool writing = argc > 2 && !strcmp(argv[1], "write");

	if (!(writing && (argc == 10 || argc == 11)) && !(argc == 5 && !strcmp(argv[1], "verify"))) {
		fprintf(stderr, "usage: see the head of stamp.c\n");
		return 2;
	}
	durable = argc == 11 && !strcmp(argv[10], "durable");
	device = open(argv[2], (writing ? O_WRONLY : O_RDONLY) | O_DIRECT | O_CLOEXEC);
	if (device < 0)
		die(argv[2], 0);
	return writing ? run_write(argv + 3) : run_verify(argv + 3);
}
