// SPDX-License-Identifier: GPL-2.0
/*
 * JSON writer.
 */
#include "json.h"

static void put_string(struct json *json, const char *text)
{
	fputc('"', json->out);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			fprintf(json->out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			fprintf(json->out, "\\u%04x", c);
		else
			fputc(c, json->out);
	}
	fputc('"', json->out);
}

static void break_line(struct json *json)
{
	if (!json->compact)
		fprintf(json->out, "\n%*s", (int)(2 * json->depth), "");
}

static void begin_item(struct json *json, const char *key)
{
	if (json->filled[json->depth])
		fputc(',', json->out);
	json->filled[json->depth] = true;
	break_line(json);
	if (key) {
		put_string(json, key);
		fputs(json->compact ? ":" : ": ", json->out);
	}
}

static void open_level(struct json *json, char bracket)
{
	fputc(bracket, json->out);
	if (json->depth + 1 < JSON_DEPTH_MAX)
		json->depth++;
	json->filled[json->depth] = false;
}

static void close_level(struct json *json, char bracket)
{
	bool filled = json->filled[json->depth];

	if (json->depth)
		json->depth--;
	if (filled)
		break_line(json);
	fputc(bracket, json->out);
}

void json_begin(struct json *json, FILE *out, bool compact)
{
	*json = (struct json){ .out = out, .compact = compact };
	open_level(json, '{');
}

void json_end(struct json *json)
{
	close_level(json, '}');
	fputc('\n', json->out);
}

void json_object(struct json *json, const char *key)
{
	begin_item(json, key);
	open_level(json, '{');
}

void json_array(struct json *json, const char *key)
{
	begin_item(json, key);
	open_level(json, '[');
}

void json_close_object(struct json *json)
{
	close_level(json, '}');
}

void json_close_array(struct json *json)
{
	close_level(json, ']');
}

void json_string(struct json *json, const char *key, const char *value)
{
	begin_item(json, key);
	if (value)
		put_string(json, value);
	else
		fputs("null", json->out);
}

void json_number(struct json *json, const char *key, u64 value)
{
	begin_item(json, key);
	fprintf(json->out, "%llu", (unsigned long long)value);
}

void json_bool(struct json *json, const char *key, bool value)
{
	begin_item(json, key);
	fputs(value ? "true" : "false", json->out);
}

void json_id(struct json *json, const char *key, u64 id)
{
	begin_item(json, key);
	if (id)
		fprintf(json->out, "\"%016llx\"", (unsigned long long)id);
	else
		fputs("null", json->out);
}
