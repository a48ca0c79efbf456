// SPDX-License-Identifier: GPL-2.0
/*
 * Text in and out: see text.h for the rules all of these keep.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "text.h"

static void *must(void *memory)
{
	if (!memory) {
		fputs("braid: out of memory\n", stderr);
		exit(4);
	}
	return memory;
}

char *text_vf(const char *format, va_list arguments)
{
	char *text = NULL;

	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	return must(text);
}

char *textf(const char *format, ...)
{
	va_list arguments;
	char *text;

	va_start(arguments, format);
	text = text_vf(format, arguments);
	va_end(arguments);
	return text;
}

char *text_copy(const char *text)
{
	return must(strdup(text));
}

char *text_join(const char *text, const char *item)
{
	return text && *text ? textf("%s, %s", text, item) : text_copy(item);
}

bool text_parse_u64(const char *text, u64 max, u64 *value)
{
	u64 result = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		u64 digit;

		if (*text < '0' || *text > '9')
			return false;
		digit = (u64)(*text - '0');
		if (result > (max - digit) / 10 || digit > max)
			return false;
		result = result * 10 + digit;
	}
	*value = result;
	return true;
}

bool text_parse_size(const char *text, u64 *bytes)
{
	static const char suffixes[] = "KMGTP";
	size_t digits = strspn(text, "0123456789");
	const char *suffix = text + digits;
	const char *found;
	u64 value, unit = 1;
	char number[24];

	if (!digits || digits >= sizeof(number))
		return false;
	memcpy(number, text, digits);
	number[digits] = '\0';
	if (!text_parse_u64(number, UINT64_MAX, &value))
		return false;
	if (*suffix) {
		found = strchr(suffixes, toupper((unsigned char)*suffix));
		if (!found)
			return false;
		unit = 1ull << (10 * (found - suffixes + 1));
		suffix++;
		if (*suffix && strcmp(suffix, "iB") && strcmp(suffix, "B"))
			return false;
	}
	if (value > UINT64_MAX / unit)
		return false;
	*bytes = value * unit;
	return true;
}

bool text_parse_seconds(const char *text, u32 *timeout_ms)
{
	const char *point = strchr(text, '.');
	size_t whole = point ? (size_t)(point - text) : strlen(text);
	u64 seconds, thousandths = 0;
	char number[16];
	u32 unit = 100;

	if (!whole || whole >= sizeof(number))
		return false;
	memcpy(number, text, whole);
	number[whole] = '\0';
	if (!text_parse_u64(number, 4000000, &seconds))
		return false;
	if (point && !point[1])
		return false;
	for (point = point ? point + 1 : ""; *point; point++) {
		if (!isdigit((unsigned char)*point))
			return false;
		thousandths += (u64)(*point - '0') * unit;
		unit /= 10;
	}
	*timeout_ms = (u32)(seconds * 1000 + thousandths);
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool text_parse_hex(const char *text, u8 *bytes, size_t length_bytes)
{
	size_t i;

	if (strlen(text) != 2 * length_bytes)
		return false;
	for (i = 0; i < 2 * length_bytes; i++)
		if (hex_digit(text[i]) < 0)
			return false;
	for (i = 0; i < length_bytes; i++)
		bytes[i] = (u8)(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
	return true;
}

bool text_parse_id(const char *text, u64 *id)
{
	u8 bytes[8];
	u64 value = 0;
	u32 i;

	if (!text_parse_hex(text, bytes, sizeof(bytes)))
		return false;
	for (i = 0; i < sizeof(bytes); i++)
		value = value << 8 | bytes[i];
	if (!value)
		return false;
	*id = value;
	return true;
}

void text_hex(const u8 *bytes, size_t length_bytes, char *text)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < length_bytes; i++) {
		text[2 * i] = digits[bytes[i] >> 4];
		text[2 * i + 1] = digits[bytes[i] & 15];
	}
	text[2 * length_bytes] = '\0';
}

char *text_id(u64 id)
{
	return textf("%016llx", (unsigned long long)id);
}

char *text_size(u64 bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes;
	size_t unit = 0;

	if (bytes < 1024)
		return textf("%llu B", (unsigned long long)bytes);
	while (value >= 1024 && unit + 1 < CORE_ARRAY_SIZE(units)) {
		value /= 1024;
		unit++;
	}
	return textf("%.1f %s", value, units[unit]);
}

char *text_age(u64 age_ms)
{
	u64 seconds = age_ms / 1000;

	if (seconds < 120)
		return textf("%llu s", (unsigned long long)seconds);
	if (seconds < 120 * 60)
		return textf("%llu min", (unsigned long long)(seconds / 60));
	if (seconds < 48 * 3600)
		return textf("%llu h", (unsigned long long)(seconds / 3600));
	return textf("%llu d", (unsigned long long)(seconds / 86400));
}

char *text_nodes(u32 mask, const char *(*name)(u8 node, const void *context), const void *context)
{
	char *text = text_copy("{");
	const char *separator = "";
	u8 node;

	for (node = 0; node < NODES_MAX; node++) {
		const char *found;

		if (!(mask & NODE_BIT(node)))
			continue;
		found = name(node, context);
		text = found ? textf("%s%s%s", text, separator, found) : textf("%s%s#%u", text, separator, node);
		separator = ",";
	}
	return textf("%s}", text);
}

char *text_quote(const char *text)
{
	char *quoted = must(malloc(strlen(text) * 3 + 1));
	char *out = quoted;

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c <= ' ' || c == '%' || c == 0x7f)
			out += sprintf(out, "%%%02x", c);
		else
			*out++ = *text;
	}
	*out = '\0';
	return quoted;
}

char *text_unquote(const char *text)
{
	char *plain = text_copy(text);
	char *out = plain;

	while (*text) {
		int high, low;

		if (*text != '%') {
			*out++ = *text++;
			continue;
		}
		high = hex_digit(text[1]);
		low = high < 0 ? -1 : hex_digit(text[2]);
		if (low < 0 || !(high | low)) {
			free(plain);
			return NULL;
		}
		*out++ = (char)(high << 4 | low);
		text += 3;
	}
	*out = '\0';
	return plain;
}
