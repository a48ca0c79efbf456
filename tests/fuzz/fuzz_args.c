// SPDX-License-Identifier: GPL-2.0
/*
 * What people type: sizes, numbers, seconds, ids, addresses, escapes, and whole command lines. Any text is safe; refused means
 * nothing is changed; what is accepted is in bounds, and the forms that are also written are read back as they were.
 *
 * Input: byte 0 which parser, then the text; for command lines words are separated by line ends.
 */
#include "../../user/address.h"
#include "../../user/args.h"
#include "../../user/fail.h"
#include "../../user/state.h"
#include "fuzz.h"

enum { WORDS_MAX = 40 };

/* What args.c needs of the rest of the command. */
int fail_usage(const char *what, const char *cause)
{
	CHECK(what && cause && *cause);
	return STATUS_USAGE;
}

void state_set_directory(const char *directory)
{
	CHECK(directory && *directory);
}

static void try_numbers(const char *text)
{
	u64 value = 99, id = 99;
	u32 timeout_ms = 99;
	u8 bytes[4] = { 1, 2, 3, 4 };
	char hex[9];

	if (text_parse_u64(text, 1000, &value))
		CHECK(value <= 1000 && strspn(text, "0123456789") == strlen(text));
	else
		CHECK(value == 99);
	value = 99;
	if (text_parse_u64(text, UINT64_MAX, &value))
		CHECK(value == strtoull(text, NULL, 10));
	value = 99;
	if (!text_parse_size(text, &value))
		CHECK(value == 99);
	else
		CHECK(value == 0 || value >= strtoull(text, NULL, 10));
	if (text_parse_seconds(text, &timeout_ms))
		CHECK(timeout_ms <= 4000000999u);
	else
		CHECK(timeout_ms == 99);
	if (text_parse_id(text, &id))
		CHECK(id && text_parse_id(text_id(id), &value) && value == id);
	else
		CHECK(id == 99);
	if (text_parse_hex(text, bytes, sizeof(bytes))) {
		text_hex(bytes, sizeof(bytes), hex);
		CHECK(!strcasecmp(hex, text));
	} else {
		CHECK(bytes[0] == 1 && bytes[3] == 4);
	}
	CHECK(*text_size(value) && *text_age(value));
}

static void try_address(const char *text)
{
	struct node_address address = { .port = 1 }, second;
	char written[ADDRESS_TEXT_MAX];
	const char *why = NULL;

	if (!address_parse(text, &address, &why)) {
		CHECK(why && *why && address.port == 1 && !address.family);
		return;
	}
	CHECK(address.port && (address.family == 4 || address.family == 6));
	address_text(&address, written);
	CHECK(address_parse(written, &second, &why) && address_equal(&address, &second));
}

static void try_quote(const char *text)
{
	char *quoted = text_quote(text), *plain = text_unquote(quoted), *damaged = text_unquote(text);

	CHECK(plain && !strcmp(plain, text));
	CHECK(!strpbrk(quoted, " \t\r\n"));
	CHECK(!damaged || strlen(damaged) <= strlen(text));
}

static void try_line(char *text)
{
	static const struct verb verb = { .name = "verb", .synopsis = "A [B]", .summary = "what it does" };
	struct text_list list = { 0 };
	const char *string = NULL;
	bool flag = false;
	const struct option_spec specs[] = {
		{ .name = "flag", .help = "f", .flag = &flag }, { .name = "string", .value = "S", .help = "s", .string = &string },
		{ .name = "list", .value = "L", .help = "l", .list = &list }, { 0 },
	};
	struct operands operands;
	char *word[WORDS_MAX], *rest = NULL;
	int nr = 0, status = -1;

	for (text = strtok_r(text, "\n", &rest); text && nr < WORDS_MAX; text = strtok_r(NULL, "\n", &rest))
		word[nr++] = text;
	if (!args_parse(&verb, nr, word, specs, 1, 2, &operands, &status)) {
		CHECK(status == STATUS_USAGE || status == STATUS_OK);
		return;
	}
	CHECK(operands.nr >= 1 && operands.nr <= 2 && list.nr <= TEXT_LIST_MAX && (!string || *string));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return freopen("/dev/null", "w", stdout) ? 0 : 1;	/* --help */
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	char *text;

	if (!size || memchr(data + 1, 0, size - 1))
		return 0;
	text = malloc(size);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	switch (data[0] % 4) {
	case 0:
		try_numbers(text);
		break;
	case 1:
		try_address(text);
		break;
	case 2:
		try_quote(text);
		break;
	default:
		try_line(text);
		break;
	}
	free(text);
	fuzz_memory_free();
	return 0;
}

/* Whole words now and then: options are hard to guess. */
size_t LLVMFuzzerCustomMutator(u8 *data, size_t size, size_t max_size, unsigned int seed)
{
	static const char *const words[] = {
		"--flag\n", "--string=a\n", "--string\nb\n", "--list=c\n", "--list\nd\n", "--\n", "-\n", "--state-dir=e\n", "--help\n", "f\n",
		"192.0.2.1", ":7790", "[2001:db8::1]", "0123456789abcdef", "KiB", "18446744073709551615", "3999999.9999", "%41",
	};
	u32 random = seed | 1;
	const char *word = words[fuzz_random(&random) % CORE_ARRAY_SIZE(words)];
	size_t length = strlen(word);

	if (fuzz_random(&random) % 4 || !size || size + length > max_size)
		return LLVMFuzzerMutate(data, size, max_size);
	memcpy(data + size, word, length);
	return size + length;
}
