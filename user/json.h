/* SPDX-License-Identifier: GPL-2.0 */
/*
 * JSON writer: keeps track of commas and indentation, escapes strings. Ids are strings of 16 hexadecimal digits,
 * because 64-bit numbers do not survive every JSON parser.
 */
#ifndef BRAID_USER_JSON_H
#define BRAID_USER_JSON_H

#include <stdio.h>
#include "../kernel/core/limits.h"

enum { JSON_DEPTH_MAX = 16 };

struct json {
	FILE *out;
	bool compact;		/* one line: for streams of objects */
	u32 depth;
	bool filled[JSON_DEPTH_MAX];
};

void json_begin(struct json *json, FILE *out, bool compact);	/* opens the outermost object */
void json_end(struct json *json);				/* closes it, ends the line */
/* @key NULL inside arrays. */
void json_object(struct json *json, const char *key);
void json_array(struct json *json, const char *key);
void json_close_object(struct json *json);
void json_close_array(struct json *json);
void json_string(struct json *json, const char *key, const char *value);	/* value NULL: null */
void json_number(struct json *json, const char *key, u64 value);
void json_bool(struct json *json, const char *key, bool value);
void json_id(struct json *json, const char *key, u64 id);	/* 0: null */

#endif
