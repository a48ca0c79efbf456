/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Random numbers of the tests: a run prints its seed and SEED=number in the environment replays it.
 */
#ifndef BRAID_TEST_RANDOM_H
#define BRAID_TEST_RANDOM_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../../kernel/core/env.h"

static u64 random_state;

/* Call once at the start of main(). */
static inline void random_init(void)
{
	const char *text = getenv("SEED");

	random_state = text ? strtoull(text, NULL, 0) : (u64)time(NULL) * 1000003u;
	printf("seed: SEED=%llu\n", (unsigned long long)random_state);
	fflush(stdout);
}

/* A Weyl sequence through a mixing function: every state is good, zero included. */
static inline u64 random_u64(void)
{
	u64 z = random_state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* 0..@limit - 1; often one of the ends, where mistakes live. */
static inline u64 random_below(u64 limit)
{
	u64 choice = random_u64() % 8;

	if (choice == 0)
		return 0;
	if (choice == 1)
		return limit - 1;
	return random_u64() % limit;
}

static inline void random_fill(void *data, size_t length_bytes)
{
	u8 *bytes = data;

	while (length_bytes--)
		*bytes++ = (u8)random_u64();
}

#endif
