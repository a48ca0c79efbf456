// SPDX-License-Identifier: GPL-2.0
/*
 * The test side of core/probe.h: which mutant was chosen, and how often each mark was passed. Linked into programs that are
 * built with -DBRAID_PROBES; nothing has to be called.
 *
 *   BRAID_MUTANT=name   the mutant of that name is alive
 *   BRAID_MARKS=file    at exit "name hits" of each mark is appended to the file
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../kernel/core/probe.h"
#include "probe_list.h"

#define NUMBER(name, label, scenario, catcher, sentence) NUMBER_##name,
enum { NUMBER_NONE, PROBE_MUTANTS(NUMBER) };

int probe_mutant;

#define CONSTANT(name, label, scenario, catcher, sentence) \
	extern const int probe_mutant_##name; const int probe_mutant_##name = NUMBER_##name;
PROBE_MUTANTS(CONSTANT)

#define NAME(name, label, scenario, catcher, sentence) [NUMBER_##name] = #name,
static const char *const names[] = { [NUMBER_NONE] = "", PROBE_MUTANTS(NAME) };

/* Of the section that the MARKs make up: the linker's bounds. */
extern struct probe_mark __start_probe_marks[] __attribute__((weak));
extern struct probe_mark __stop_probe_marks[] __attribute__((weak));

/* One write for all lines: several programs may append to one file. */
static void write_marks(void)
{
	FILE *file = fopen(getenv("BRAID_MARKS"), "a");
	const struct probe_mark *mark;

	if (!file) {
		perror("BRAID_MARKS");
		return;
	}
	setvbuf(file, NULL, _IOFBF, 1 << 16);
	for (mark = __start_probe_marks; mark < __stop_probe_marks; mark++)
		fprintf(file, "%s %llu\n", mark->name, mark->hits);
	fclose(file);
}

__attribute__((constructor)) static void probe_init(void)
{
	const char *wanted = getenv("BRAID_MUTANT");
	int i;

	if (getenv("BRAID_MARKS"))
		atexit(write_marks);
	if (!wanted || !*wanted)
		return;
	for (i = 1; i < (int)(sizeof(names) / sizeof(names[0])); i++)
		if (!strcmp(names[i], wanted))
			probe_mutant = i;
	if (!probe_mutant) {
		fprintf(stderr, "BRAID_MUTANT=%s: no such mutant, see tests/lib/probe_list.h\n", wanted);
		exit(2);
	}
}
