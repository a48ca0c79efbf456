/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Included before every file of the core in the mutants' build: MUTANT(name) (kernel/core/probe.h) is true for the name in
 * BRAID_MUTANT, so that the explorer can be seen to fail.
 */
#ifndef BRAID_EXPLORE_MUTANT_H
#define BRAID_EXPLORE_MUTANT_H

#define BRAID_CORE_PROBE_H	/* stands in for probe.h */

_Bool explore_mutant(const char *name);

#define MUTANT(name) (__extension__({			\
	static signed char mutant_chosen_ = -1;		\
							\
	if (mutant_chosen_ < 0)				\
		mutant_chosen_ = explore_mutant(#name);	\
	mutant_chosen_ != 0;				\
}))
#define MARK(name) do { } while (0)

#endif
