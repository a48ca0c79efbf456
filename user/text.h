/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Text in and out: numbers, sizes, ids, names and addresses as people write them, and the strings that messages are
 * made of. Parsers accept the whole string or nothing and never change the result when they refuse.
 *
 * Strings made here are never freed: the command is short-lived. What runs for long (events, wait) makes none per turn.
 */
#ifndef BRAID_USER_TEXT_H
#define BRAID_USER_TEXT_H

#include <stdarg.h>
#include "../kernel/core/limits.h"

enum { TEXT_LIST_MAX = NODES_MAX };

/* Values of an option that may be given several times. */
struct text_list {
	u32 nr;
	const char *item[TEXT_LIST_MAX];
};

/* Formatted text in new memory; out of memory ends the command. */
char *textf(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *text_vf(const char *format, va_list arguments);
char *text_copy(const char *text);
/* @text with ", " and @item appended (NULL or "": just @item). */
char *text_join(const char *text, const char *item);

/* Decimal, at most @max. */
bool text_parse_u64(const char *text, u64 max, u64 *value);
/* Bytes, with an optional suffix K M G T P (powers of 1024, "iB" or "B" may follow). */
bool text_parse_size(const char *text, u64 *bytes);
/* Seconds, with decimals, at most 3 of them counted; in milliseconds. */
bool text_parse_seconds(const char *text, u32 *timeout_ms);
/* 16 hexadecimal digits, not all zero. */
bool text_parse_id(const char *text, u64 *id);
/* 2 * @length_bytes hexadecimal digits. */
bool text_parse_hex(const char *text, u8 *bytes, size_t length_bytes);

void text_hex(const u8 *bytes, size_t length_bytes, char *text);	/* 2 * length + 1 characters */
char *text_id(u64 id);
char *text_size(u64 bytes);	/* "1.0 GiB" */
char *text_age(u64 age_ms);	/* "3 min" */
/* "{alpha,beta}" from a mask; @name gives NULL for an unknown node, which is shown as "#3". */
char *text_nodes(u32 mask, const char *(*name)(u8 node, const void *context), const void *context);

/* Whitespace, control characters and '%' as %XX, so that a value is one word. */
char *text_quote(const char *text);
/* NULL when an escape is damaged. */
char *text_unquote(const char *text);

#endif
