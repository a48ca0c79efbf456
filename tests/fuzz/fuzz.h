/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the fuzzers share: an input that is read piece by piece and never ends (zeroes follow), a small random generator for
 * mutators, and a check that says what did not hold.
 */
#ifndef BRAID_FUZZ_H
#define BRAID_FUZZ_H

#include <stdio.h>
#include <stdlib.h>

#include "../../kernel/core/env.h"

#define CHECK(condition)									\
	do {											\
		if (!(condition)) {								\
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);	\
			abort();								\
		}										\
	} while (0)

/* libFuzzer calls these, LLVMFuzzerMutate() is its own. */
int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);
size_t LLVMFuzzerCustomMutator(u8 *data, size_t size, size_t max_size, unsigned int seed);
size_t LLVMFuzzerMutate(u8 *data, size_t size, size_t max_size);

struct fuzz_input {
	const u8 *at;
	size_t left;
};

static inline u8 fuzz_u8(struct fuzz_input *input)
{
	if (!input->left)
		return 0;
	input->left--;
	return *input->at++;
}

static inline u32 fuzz_u16(struct fuzz_input *input)
{
	u32 low = fuzz_u8(input);

	return low | (u32)fuzz_u8(input) << 8;
}

static inline u32 fuzz_u32(struct fuzz_input *input)
{
	u32 low = fuzz_u16(input);

	return low | fuzz_u16(input) << 16;
}

static inline u64 fuzz_u64(struct fuzz_input *input)
{
	u64 low = fuzz_u32(input);

	return low | (u64)fuzz_u32(input) << 32;
}

/* xorshift32 for mutators; @state is never 0. */
static inline u32 fuzz_random(u32 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* BRAID_TRACE is set (env.c): say what happens. */
bool fuzz_tracing(void);
/* Memory that user/ allocates and never frees is freed here, after each run (memory.c). */
void fuzz_memory_free(void);

#endif
