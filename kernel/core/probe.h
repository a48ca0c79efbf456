/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Two probes for the tests, so that tests can be tested. In the module and in every normal build both are nothing.
 *
 * MUTANT(name): an expression, constant false. In a build with -DBRAID_PROBES true when the mutant of that name was chosen
 * (BRAID_MUTANT=name): the line that asks for it does the wrong thing then, on purpose, and some test has to notice. Names,
 * labels and sentences are listed once, in tests/lib/probe_list.h; a name that is not there does not link.
 * MARK(name): a statement on a branch that is rarely taken. With -DBRAID_PROBES it counts, and tests/mutants/run --marks fails
 * if no test ever came by.
 *
 * Any context; with -DBRAID_PROBES one thread.
 */
#ifndef BRAID_CORE_PROBE_H
#define BRAID_CORE_PROBE_H

#ifdef BRAID_PROBES

struct probe_mark {
	const char *name;
	unsigned long long hits;
};

extern int probe_mutant;	/* number of the chosen mutant, 0 none */

#define MUTANT(name) (__extension__({ extern const int probe_mutant_##name; probe_mutant == probe_mutant_##name; }))
#define MARK(name)									\
	do {										\
		static struct probe_mark probe_mark_##name				\
			__attribute__((section("probe_marks"), used, aligned(16))) = { #name, 0 };	\
		probe_mark_##name.hits++;						\
	} while (0)

#else

#define MUTANT(name) false
#define MARK(name) do { } while (0)

#endif

#endif
