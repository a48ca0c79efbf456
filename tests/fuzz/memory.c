// SPDX-License-Identifier: GPL-2.0
/*
 * The command never frees its strings, since it is short-lived; a fuzzer is not. The files of user/ are compiled with these
 * in place of malloc, strdup, vasprintf and free; what is left after a run is freed by fuzz_memory_free().
 */
#define _GNU_SOURCE
#include <stdarg.h>
#include <string.h>

#include "fuzz.h"

void *fuzz_malloc(size_t bytes);
char *fuzz_strdup(const char *text);
int fuzz_vasprintf(char **text, const char *format, va_list arguments);
void fuzz_free(void *memory);

enum { KEPT_MAX = 1 << 16 };

static void *kept[KEPT_MAX];
static u32 nr_kept;

static void *keep(void *memory)
{
	CHECK(nr_kept < KEPT_MAX);
	kept[nr_kept++] = memory;
	return memory;
}

void *fuzz_malloc(size_t bytes)
{
	return keep(malloc(bytes));
}

char *fuzz_strdup(const char *text)
{
	return keep(strdup(text));
}

int fuzz_vasprintf(char **text, const char *format, va_list arguments)
{
	int length = vasprintf(text, format, arguments);

	if (length >= 0)
		keep(*text);
	return length;
}

/* Memory of others (open_memstream) is not kept. */
void fuzz_free(void *memory)
{
	u32 i;

	for (i = nr_kept; i-- > 0;)
		if (kept[i] == memory) {
			kept[i] = kept[--nr_kept];
			break;
		}
	free(memory);
}

void fuzz_memory_free(void)
{
	while (nr_kept)
		free(kept[--nr_kept]);
}
