// SPDX-License-Identifier: GPL-2.0
/*
 * Prints tables of the documentation from the code, for scripts/check-tables:
 *   print_tables wire     the frames of the wire [N4]
 */
#include <stdio.h>
#include <string.h>

#include "../../kernel/core/wire.h"

static const char *phases(u8 mask)
{
	switch (mask) {
	case 1 << WIRE_PHASE_HELLO:
		return "hello";
	case 1 << WIRE_PHASE_PROOF:
		return "proof";
	case 1 << WIRE_PHASE_OPEN:
		return "open";
	default:
		return "hello, proof";
	}
}

static void print_flags(u16 flags)
{
	static const char *const names[] = { "FUA", "LAST", "ZERO_PIECES" };
	const char *separator = "";
	u32 bit;

	if (!flags)
		printf("-");
	for (bit = 0; bit < CORE_ARRAY_SIZE(names); bit++) {
		if (!(flags >> bit & 1))
			continue;
		printf("%s%s", separator, names[bit]);
		separator = ", ";
	}
}

static void print_wire(void)
{
	static const char *const directions[] = { "?", "to responder", "to initiator", "both" };
	u32 type;

	printf("| type | name | body bytes | lanes | phase | direction | flags |\n");
	printf("|---:|---|---|---|---|---|---|\n");
	for (type = 0; type < 256; type++) {
		const struct wire_rule *rule = wire_rule((u8)type);

		if (!rule)
			continue;
		printf("| %u | %s | %u", type, rule->name, rule->min_bytes);
		if (rule->max_bytes != rule->min_bytes)
			printf("..%u", rule->max_bytes);
		printf(" | %s | %s | %s | ", !rule->data ? "control" : !rule->control ? "data" : "all",
		       phases(rule->phases), directions[rule->direction]);
		print_flags(wire_flags_allowed((u8)type));
		printf(" |\n");
	}
}

int main(int argc, char **argv)
{
	if (argc != 2 || strcmp(argv[1], "wire") != 0) {
		fprintf(stderr, "usage: print_tables wire\n");
		return 2;
	}
	print_wire();
	return 0;
}
