// SPDX-License-Identifier: GPL-2.0
/*
 * Options and operands of one verb.
 */
#include <stdio.h>
#include "args.h"
#include "fail.h"
#include "state.h"

static void print_help(const struct verb *verb, const struct option_spec *specs)
{
	const struct option_spec *spec;

	printf("usage: braid %s%s%s\n\n%s\n", verb->name, *verb->synopsis ? " " : "", verb->synopsis, verb->summary);
	if (verb->details)
		printf("\n%s\n", verb->details);
	printf("\noptions:\n");
	for (spec = specs; spec->name; spec++)
		printf("  --%-26s %s\n", spec->value ? textf("%s %s", spec->name, spec->value) : spec->name, spec->help);
	printf("  --%-26s %s\n", "state-dir DIR", "where this node's identity is kept");
	printf("  --%-26s %s\n", "help", "this text");
}

static const struct option_spec *find(const struct option_spec *specs, const char *name, size_t length)
{
	for (; specs->name; specs++)
		if (strlen(specs->name) == length && !memcmp(specs->name, name, length))
			return specs;
	return NULL;
}

/* NULL, or what is wrong. */
static const char *store(const struct option_spec *spec, const char *value)
{
	if (spec->flag) {
		if (value)
			return textf("--%s takes no value", spec->name);
		*spec->flag = true;
		return NULL;
	}
	if (!value || !*value)
		return textf("--%s needs a value: %s", spec->name, spec->value);
	if (spec->string) {
		if (*spec->string)
			return textf("--%s is given twice", spec->name);
		*spec->string = value;
		return NULL;
	}
	if (spec->list->nr == TEXT_LIST_MAX)
		return textf("too many --%s", spec->name);
	spec->list->item[spec->list->nr++] = value;
	return NULL;
}

/* One option at argv[0]; *@used is how many arguments it took. */
static const char *read_option(const struct option_spec *specs, int argc, char **argv, int *used)
{
	static const char *state_dir;
	const struct option_spec state_spec[] = { { .name = "state-dir", .value = "DIR", .string = &state_dir }, { 0 } };
	const char *name = argv[0] + 2;
	const char *equals = strchr(name, '=');
	size_t length = equals ? (size_t)(equals - name) : strlen(name);
	const struct option_spec *spec = find(specs, name, length);
	const char *value = equals ? equals + 1 : NULL;
	const char *wrong;

	if (argv[0][1] != '-')
		return textf("unknown option %s", argv[0]);
	if (!spec)
		spec = find(state_spec, name, length);
	if (!spec)
		return textf("unknown option --%.*s", (int)length, name);
	*used = 1;
	if (!spec->flag && !value && argc > 1) {
		value = argv[1];
		*used = 2;
	}
	wrong = store(spec, value);
	if (!wrong && spec == state_spec)
		state_set_directory(state_dir);
	return wrong;
}

bool args_parse(const struct verb *verb, int argc, char **argv, const struct option_spec *specs, u32 min_operands,
		u32 max_operands, struct operands *operands, int *status)
{
	const char *wrong = NULL;
	bool options = true;
	int i, used = 1;

	operands->nr = 0;
	for (i = 0; i < argc; i++) {
		if (options && (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))) {
			print_help(verb, specs);
			*status = STATUS_OK;
			return false;
		}
	}
	for (i = 0; i < argc && !wrong; i += used) {
		used = 1;
		if (options && !strcmp(argv[i], "--"))
			options = false;
		else if (options && argv[i][0] == '-' && argv[i][1])
			wrong = read_option(specs, argc - i, argv + i, &used);
		else if (operands->nr == max_operands)
			wrong = textf("'%s' is one operand too many", argv[i]);
		else
			operands->word[operands->nr++] = argv[i];
	}
	if (!wrong && operands->nr < min_operands)
		wrong = textf("an operand is missing: %s", verb->synopsis);
	if (!wrong)
		return true;
	*status = fail_usage(textf("braid %s", verb->name), wrong);
	return false;
}
