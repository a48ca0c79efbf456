// SPDX-License-Identifier: GPL-2.0
/*
 * Plugin of the emulator: how often each block of guest code was executed, so how many instructions each function takes. It
 * depends far less than time on what else the host does. Option out=PREFIX: when PREFIX.request appears, all counts so far are
 * written to PREFIX.counts, lines of "address instructions executions", and the request is removed. Cost: one addition for each block.
 *
 * The few declarations of the emulator's interface (version 1) are repeated here, so that its sources are not needed.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum { BLOCKS_MAX = 1 << 22, BUCKETS = 1 << 23, INLINE_ADD_U64 = 0, POLL_US = 20000 };

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, void (*callback)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *block, int operation, void *counter, uint64_t value);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *block);

struct block {
	uint64_t address, instructions, executions;
};

EXPORT int qemu_plugin_version = 1;

static struct block *blocks;	/* the first one takes what has no room */
static uint32_t *buckets, nr_blocks = 1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char request_path[4096], counts_path[4096], partial_path[4096];

/* Translated again, the same code goes on with its counter. Under the lock. */
static struct block *find_block(uint64_t address, uint64_t instructions)
{
	uint64_t bucket = ((address * 0x9e3779b97f4a7c15ull) ^ (instructions * 0xc2b2ae3d27d4eb4full)) >> 41;

	for (;; bucket++) {
		uint32_t *at = &buckets[bucket % BUCKETS];
		struct block *block = &blocks[*at];

		if (*at && block->address == address && block->instructions == instructions)
			return block;
		if (*at)
			continue;
		if (nr_blocks == BLOCKS_MAX)
			return &blocks[0];
		*at = nr_blocks++;
		blocks[*at] = (struct block){ .address = address, .instructions = instructions };
		return &blocks[*at];
	}
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *code)
{
	struct block *block;

	(void)id;
	pthread_mutex_lock(&lock);
	block = find_block(qemu_plugin_tb_vaddr(code), qemu_plugin_tb_n_insns(code));
	pthread_mutex_unlock(&lock);
	qemu_plugin_register_vcpu_tb_exec_inline(code, INLINE_ADD_U64, &block->executions, 1);
}

static void write_counts(void)
{
	FILE *file = fopen(partial_path, "w");
	uint32_t i, nr;

	if (!file)
		return;		/* who asked sees that the request stays */
	pthread_mutex_lock(&lock);
	nr = nr_blocks;
	pthread_mutex_unlock(&lock);
	for (i = 0; i < nr; i++)
		if (blocks[i].executions)
			fprintf(file, "%llx %llu %llu\n", (unsigned long long)blocks[i].address,
				(unsigned long long)blocks[i].instructions, (unsigned long long)blocks[i].executions);
	if (!fclose(file) && !rename(partial_path, counts_path))
		unlink(request_path);
}

static void *wait_for_requests(void *unused)
{
	for (;; usleep(POLL_US))
		if (!access(request_path, F_OK))
			write_counts();
	return unused;
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int nr_options, char **options)
{
	pthread_t thread;

	(void)info;
	if (nr_options != 1 || strncmp(options[0], "out=", 4))
		return -1;
	snprintf(request_path, sizeof(request_path), "%s.request", options[0] + 4);
	snprintf(counts_path, sizeof(counts_path), "%s.counts", options[0] + 4);
	snprintf(partial_path, sizeof(partial_path), "%s.partial", options[0] + 4);
	blocks = calloc(BLOCKS_MAX, sizeof(*blocks));
	buckets = calloc(BUCKETS, sizeof(*buckets));
	if (!blocks || !buckets || pthread_create(&thread, NULL, wait_for_requests, NULL))
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
