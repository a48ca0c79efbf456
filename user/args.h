/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Verbs and their options: one declarative description serves parsing and --help.
 */
#ifndef BRAID_USER_ARGS_H
#define BRAID_USER_ARGS_H

#include "text.h"

struct verb {
	const char *name;	/* one or two words: "promote", "node init" */
	const char *synopsis;	/* operands and options as in the manual */
	const char *summary;	/* one line, for the list */
	const char *details;	/* more for its own --help, or NULL */
	int (*run)(const struct verb *verb, int argc, char **argv);	/* argv: what follows the name; returns exit_status */
};

/* One option. Exactly one of the three targets is set. */
struct option_spec {
	const char *name;	/* without the dashes */
	const char *value;	/* placeholder; NULL for flags */
	const char *help;
	bool *flag;
	const char **string;
	struct text_list *list;
};

struct operands {
	u32 nr;
	const char *word[TEXT_LIST_MAX];
};

/*
 * Options anywhere, "--" ends them; "--name value" and "--name=value". @specs ends with a NULL name. Handles --help and
 * --state-dir. False: return *@status from the verb.
 */
bool args_parse(const struct verb *verb, int argc, char **argv, const struct option_spec *specs, u32 min_operands,
		u32 max_operands, struct operands *operands, int *status);

#endif
