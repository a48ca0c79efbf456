// SPDX-License-Identifier: GPL-2.0
/*
 * The identity file: text and struct, and the questions that commands ask it. Files and locks are in state_file.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include "../kernel/core/codec.h"
#include "state.h"
#include "text.h"

enum { WORDS_MAX = 6 };

struct line {
	u32 number;
	u32 nr_words;
	char *word[WORDS_MAX];
};

/* Which single-valued keys were seen, to refuse repeats and to find what is missing. */
enum seen {
	SEEN_VERSION = 1 << 0,
	SEEN_CLUSTER = 1 << 1,
	SEEN_NODE = 1 << 2,
	SEEN_NAME = 1 << 3,
	SEEN_INSTANCE = 1 << 4,
	SEEN_SECRET = 1 << 5,
	SEEN_LISTEN = 1 << 6,
	SEEN_NEXT = 1 << 7,
	SEEN_TIMEOUT = 1 << 8,
	SEEN_LANES = 1 << 9,
	SEEN_REQUIRED = SEEN_VERSION | SEEN_CLUSTER | SEEN_NODE | SEEN_NAME | SEEN_INSTANCE | SEEN_SECRET | SEEN_LISTEN,
};

/* Each returns NULL or what is wrong. */
typedef const char *(*line_reader)(struct state *state, struct line *line);

static const char *read_number(const char *word, u64 min, u64 max, u64 *value)
{
	u64 found;

	if (!text_parse_u64(word, max, &found) || found < min)
		return textf("'%s' is not a number from %llu to %llu", word, (unsigned long long)min,
			     (unsigned long long)max);
	*value = found;
	return NULL;
}

static const char *read_name(const char *word, char name[NAME_BYTES_MAX])
{
	if (!codec_name_valid(word))
		return textf("'%s' is not a valid name", word);
	memset(name, 0, NAME_BYTES_MAX);
	memcpy(name, word, strlen(word));
	return NULL;
}

static const char *read_hex(const char *word, u8 *bytes, size_t length_bytes)
{
	if (!text_parse_hex(word, bytes, length_bytes))
		return textf("a value of %zu hexadecimal digits is needed", 2 * length_bytes);
	return NULL;
}

static const char *read_version(struct state *state, struct line *line)
{
	u64 version = 0;
	const char *wrong = read_number(line->word[1], 1, UINT32_MAX, &version);

	(void)state;
	if (!wrong && version != STATE_VERSION)
		wrong = textf("version %llu is not known to this braid", (unsigned long long)version);
	return wrong;
}

static const char *read_cluster(struct state *state, struct line *line)
{
	return read_hex(line->word[1], state->cluster_id, UUID_BYTES);
}

static const char *read_node(struct state *state, struct line *line)
{
	u64 value = 0;
	const char *wrong = read_number(line->word[1], 0, NODES_MAX - 1, &value);

	state->node = (u8)value;
	return wrong;
}

static const char *read_own_name(struct state *state, struct line *line)
{
	return read_name(line->word[1], state->name);
}

static const char *read_instance(struct state *state, struct line *line)
{
	return read_hex(line->word[1], state->instance, UUID_BYTES);
}

static const char *read_secret(struct state *state, struct line *line)
{
	return read_hex(line->word[1], state->secret, SECRET_BYTES);
}

static const char *read_insecure(struct state *state, struct line *line)
{
	(void)line;
	state->insecure = true;
	return NULL;
}

static const char *read_listen(struct state *state, struct line *line)
{
	const char *why = NULL;

	address_parse(line->word[1], &state->listen, &why);
	return why;
}

static const char *read_next(struct state *state, struct line *line)
{
	u64 value = 0;
	const char *wrong = read_number(line->word[1], 0, NODES_MAX, &value);

	state->next_node = (u8)value;
	return wrong;
}

static const char *read_timeout(struct state *state, struct line *line)
{
	u64 value = 0;
	const char *wrong = read_number(line->word[1], STATE_TIMEOUT_MS_MIN, STATE_TIMEOUT_MS_MAX, &value);

	state->timeout_ms = (u32)value;
	return wrong;
}

static const char *read_lanes(struct state *state, struct line *line)
{
	u64 value = 0;
	const char *wrong = read_number(line->word[1], 1, STATE_DATA_LANES_MAX, &value);

	state->data_lanes = (u32)value;
	return wrong;
}

static const char *read_peer(struct state *state, struct line *line)
{
	struct state_peer peer = { 0 };
	const char *wrong;
	u64 id = 0;

	wrong = read_number(line->word[1], 0, NODES_MAX - 1, &id);
	peer.node = (u8)id;
	if (!wrong)
		wrong = read_name(line->word[2], peer.name);
	if (!wrong && !address_parse(line->word[3], &peer.address, &wrong))
		return wrong;
	if (!wrong && line->nr_words == 5) {
		wrong = read_hex(line->word[4], peer.instance, UUID_BYTES);
		peer.instance_known = true;
	}
	if (wrong)
		return wrong;
	if (state_find_peer(state, peer.node) || !state_put_peer(state, &peer))
		return textf("node id %u or name %s is already in use", peer.node, peer.name);
	return NULL;
}

static const char *read_path(const char *word, const char **path)
{
	char *plain = text_unquote(word);

	if (!plain || plain[0] != '/')
		return textf("'%s' is not an absolute path", word);
	*path = plain;
	return NULL;
}

static const char *read_volume(struct state *state, struct line *line)
{
	struct state_volume volume = { 0 };
	const char *wrong = read_name(line->word[1], volume.name);

	if (wrong)
		return wrong;
	if (!text_parse_id(line->word[2], &volume.id))
		return "a volume id of 16 hexadecimal digits is needed";
	volume.wanted_up = !strcmp(line->word[3], "up");
	if (!volume.wanted_up && strcmp(line->word[3], "down"))
		return textf("'%s' is neither 'up' nor 'down'", line->word[3]);
	wrong = read_path(line->word[4], &volume.data_path);
	if (!wrong && line->nr_words == 6)
		wrong = read_path(line->word[5], &volume.meta_path);
	if (wrong)
		return wrong;
	if (state_find_volume(state, volume.name))
		return textf("volume %s is named twice", volume.name);
	return state_put_volume(state, &volume) ? NULL : "too many volumes";
}

static const struct {
	const char *key;
	u32 seen;		/* 0: may be repeated */
	u32 min_words, max_words;
	line_reader read;
} keys[] = {
	{ "version", SEEN_VERSION, 2, 2, read_version },
	{ "cluster", SEEN_CLUSTER, 2, 2, read_cluster },
	{ "node", SEEN_NODE, 2, 2, read_node },
	{ "name", SEEN_NAME, 2, 2, read_own_name },
	{ "instance", SEEN_INSTANCE, 2, 2, read_instance },
	{ "secret", SEEN_SECRET, 2, 2, read_secret },
	{ "insecure", SEEN_SECRET, 1, 1, read_insecure },
	{ "listen", SEEN_LISTEN, 2, 2, read_listen },
	{ "next-node", SEEN_NEXT, 2, 2, read_next },
	{ "timeout-ms", SEEN_TIMEOUT, 2, 2, read_timeout },
	{ "data-lanes", SEEN_LANES, 2, 2, read_lanes },
	{ "peer", 0, 4, 5, read_peer },
	{ "volume", 0, 5, 6, read_volume },
};

static const char *read_line(struct state *state, struct line *line, u32 *seen)
{
	size_t i;

	for (i = 0; i < CORE_ARRAY_SIZE(keys); i++) {
		if (strcmp(line->word[0], keys[i].key))
			continue;
		if (line->nr_words < keys[i].min_words || line->nr_words > keys[i].max_words)
			return textf("'%s' has the wrong number of values", keys[i].key);
		if (*seen & keys[i].seen)
			return textf("'%s' is given twice", keys[i].key);
		if (!(*seen & SEEN_VERSION) && keys[i].seen != SEEN_VERSION)
			return "the first line must be 'version'";
		if (!keys[i].seen && (*seen & SEEN_REQUIRED) != SEEN_REQUIRED)
			return textf("'%s' comes before the identity is complete", keys[i].key);
		*seen |= keys[i].seen;
		return keys[i].read(state, line);
	}
	return textf("unknown key '%s'", line->word[0]);
}

static bool split_words(char *text, struct line *line)
{
	char *rest = NULL;
	char *word;

	line->nr_words = 0;
	for (word = strtok_r(text, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest)) {
		if (line->nr_words == WORDS_MAX)
			return false;
		line->word[line->nr_words++] = word;
	}
	return true;
}

/* Ids of nodes are never given twice: a dirty map of the former node would be taken for the new one's. */
static void reckon_next_node(struct state *state)
{
	u32 i;

	if (state->next_node <= state->node)
		state->next_node = (u8)(state->node + 1);
	for (i = 0; i < state->nr_peers; i++)
		if (state->next_node <= state->peer[i].node)
			state->next_node = (u8)(state->peer[i].node + 1);
}

bool state_parse(char *text, struct state *state, const char **why)
{
	struct line line = { 0 };
	const char *wrong = NULL;
	u32 seen = 0;
	char *end;

	memset(state, 0, sizeof(*state));
	state->timeout_ms = STATE_TIMEOUT_MS_DEFAULT;
	state->data_lanes = STATE_DATA_LANES_DEFAULT;
	for (; *text; text = end) {
		line.number++;
		end = strchr(text, '\n');
		if (!end) {
			wrong = "the line is cut off";
			break;
		}
		*end++ = '\0';
		if (*text == '#')
			continue;
		if (!split_words(text, &line))
			wrong = "too many words";
		else if (line.nr_words)
			wrong = read_line(state, &line, &seen);
		if (wrong)
			break;
	}
	if (!wrong && (seen & SEEN_REQUIRED) != SEEN_REQUIRED)
		wrong = "the file ends before the identity is complete";
	if (wrong) {
		*why = textf("line %u: %s", line.number, wrong);
		return false;
	}
	reckon_next_node(state);
	return true;
}

static void format_identity(FILE *out, const struct state *state)
{
	char hex[2 * SECRET_BYTES + 1];
	char address[ADDRESS_TEXT_MAX];

	fputs("# Identity of this braid node, written by the command braid. Keep it secret.\n", out);
	fprintf(out, "version %u\n", STATE_VERSION);
	text_hex(state->cluster_id, UUID_BYTES, hex);
	fprintf(out, "cluster %s\nnode %u\nname %s\n", hex, state->node, state->name);
	text_hex(state->instance, UUID_BYTES, hex);
	fprintf(out, "instance %s\n", hex);
	if (state->insecure) {
		fputs("insecure\n", out);
	} else {
		text_hex(state->secret, SECRET_BYTES, hex);
		fprintf(out, "secret %s\n", hex);
	}
	address_text(&state->listen, address);
	fprintf(out, "listen %s\nnext-node %u\n", address, state->next_node);
	fprintf(out, "timeout-ms %u\ndata-lanes %u\n", state->timeout_ms, state->data_lanes);
}

char *state_format(const struct state *state)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);
	u32 i;

	if (!out)
		return NULL;
	format_identity(out, state);
	for (i = 0; i < state->nr_peers; i++) {
		const struct state_peer *peer = &state->peer[i];
		char hex[2 * UUID_BYTES + 1] = "";
		char address[ADDRESS_TEXT_MAX];

		address_text(&peer->address, address);
		if (peer->instance_known)
			text_hex(peer->instance, UUID_BYTES, hex);
		fprintf(out, "peer %u %s %s%s%s\n", peer->node, peer->name, address, *hex ? " " : "", hex);
	}
	for (i = 0; i < state->nr_volumes; i++) {
		const struct state_volume *volume = &state->volume[i];

		fprintf(out, "volume %s %016llx %s %s%s%s\n", volume->name, (unsigned long long)volume->id,
			volume->wanted_up ? "up" : "down", text_quote(volume->data_path), volume->meta_path ? " " : "",
			volume->meta_path ? text_quote(volume->meta_path) : "");
	}
	return fclose(out) ? NULL : text;
}

struct state_peer *state_find_peer(struct state *state, u8 node)
{
	u32 i;

	for (i = 0; i < state->nr_peers; i++)
		if (state->peer[i].node == node)
			return &state->peer[i];
	return NULL;
}

struct state_peer *state_find_peer_name(struct state *state, const char *name)
{
	u32 i;

	for (i = 0; i < state->nr_peers; i++)
		if (!strcmp(state->peer[i].name, name))
			return &state->peer[i];
	return NULL;
}

struct state_volume *state_find_volume(struct state *state, const char *name)
{
	u32 i;

	for (i = 0; i < state->nr_volumes; i++)
		if (!strcmp(state->volume[i].name, name))
			return &state->volume[i];
	return NULL;
}

bool state_put_peer(struct state *state, const struct state_peer *peer)
{
	struct state_peer *same_name = state_find_peer_name(state, peer->name);
	struct state_peer *old = state_find_peer(state, peer->node);
	u32 at;

	if (peer->node == state->node || !strcmp(peer->name, state->name) || (same_name && same_name != old))
		return false;
	if (old) {
		*old = *peer;
		return true;
	}
	if (state->nr_peers == NODES_MAX)
		return false;
	for (at = state->nr_peers; at && state->peer[at - 1].node > peer->node; at--)
		state->peer[at] = state->peer[at - 1];
	state->peer[at] = *peer;
	state->nr_peers++;
	reckon_next_node(state);
	return true;
}

bool state_remove_peer(struct state *state, u8 node)
{
	struct state_peer *peer = state_find_peer(state, node);

	if (!peer)
		return false;
	state->nr_peers--;
	memmove(peer, peer + 1, (size_t)(state->peer + state->nr_peers - peer) * sizeof(*peer));
	return true;
}

bool state_put_volume(struct state *state, const struct state_volume *volume)
{
	struct state_volume *old = state_find_volume(state, volume->name);

	if (!old) {
		if (state->nr_volumes == STATE_VOLUMES_MAX)
			return false;
		old = &state->volume[state->nr_volumes++];
	}
	*old = *volume;
	return true;
}

bool state_remove_volume(struct state *state, const char *name)
{
	struct state_volume *volume = state_find_volume(state, name);

	if (!volume)
		return false;
	state->nr_volumes--;
	memmove(volume, volume + 1, (size_t)(state->volume + state->nr_volumes - volume) * sizeof(*volume));
	return true;
}

const char *state_node_name(u8 node, const void *context)
{
	const struct state *state = context;
	u32 i;

	if (node == state->node)
		return state->name;
	for (i = 0; i < state->nr_peers; i++)
		if (state->peer[i].node == node)
			return state->peer[i].name;
	return NULL;
}
