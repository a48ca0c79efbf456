// SPDX-License-Identifier: GPL-2.0
/*
 * The identity file: any text is safe; what is accepted is written and read again unchanged, and its parts make sense.
 *
 * Input: the file. The mutator puts whole lines in, since a file without all of its keys is never accepted.
 */
#include "../../kernel/core/codec.h"
#include "../../user/state.h"
#include "fuzz.h"

static struct state state, second;

static const char *const lines[] = {
	"version 1\n", "cluster 00112233445566778899aabbccddeeff\n", "node 3\n", "name alpha\n",
	"instance 00112233445566778899aabbccddee00\n", "insecure\n",
	"secret 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n", "listen 192.0.2.1:7790\n",
	"listen [2001:db8::1]:7790\n", "next-node 9\n", "next-node 32\n", "timeout-ms 5000\n", "data-lanes 2\n",
	"peer 1 beta 192.0.2.2:7790\n", "peer 31 gamma [2001:db8::2]:1 00112233445566778899aabbccddee01\n",
	"volume web 0123456789abcdef up /dev/disk/by-id/a%20b\n", "volume db 0123456789abcdee down /dev/a /dev/b\n", "# words\n", "\n",
	" \tnode\t4 \n",
};

/* The first lines of this many make a whole identity. */
enum { IDENTITY_LINES = 6, LISTEN_LINE = 7 };

static void check_state(void)
{
	u32 i, j;

	CHECK(state.node < NODES_MAX && codec_name_valid(state.name));
	CHECK(state.listen.port && (state.listen.family == 4 || state.listen.family == 6));
	CHECK(state.next_node > state.node && state.next_node <= NODES_MAX);
	CHECK(state.timeout_ms >= STATE_TIMEOUT_MS_MIN && state.timeout_ms <= STATE_TIMEOUT_MS_MAX);
	CHECK(state.data_lanes >= 1 && state.data_lanes <= STATE_DATA_LANES_MAX);
	CHECK(state.nr_peers < NODES_MAX && state.nr_volumes <= STATE_VOLUMES_MAX);
	for (i = 0; i < state.nr_peers; i++) {
		CHECK(state.peer[i].node < NODES_MAX && state.peer[i].node != state.node && codec_name_valid(state.peer[i].name));
		CHECK(state.peer[i].node < state.next_node && state.peer[i].address.port);
		CHECK(!i || state.peer[i - 1].node < state.peer[i].node);
		CHECK(strcmp(state.peer[i].name, state.name));
		for (j = 0; j < i; j++)
			CHECK(strcmp(state.peer[j].name, state.peer[i].name));
	}
	for (i = 0; i < state.nr_volumes; i++) {
		CHECK(state.volume[i].id && codec_name_valid(state.volume[i].name) && state.volume[i].data_path[0] == '/');
		CHECK(state_find_volume(&state, state.volume[i].name) == &state.volume[i]);
	}
}

static void check_again(void)
{
	const char *why = NULL;
	char *text = state_format(&state), *copy, *text_again;

	CHECK(text);
	copy = strdup(text);
	CHECK(state_parse(copy, &second, &why));
	text_again = state_format(&second);
	CHECK(!strcmp(text, text_again));
	CHECK(second.nr_peers == state.nr_peers && second.nr_volumes == state.nr_volumes);
	CHECK(!memcmp(second.secret, state.secret, SECRET_BYTES) && second.insecure == state.insecure);
	free(copy);
	free(text_again);
	free(text);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	const char *why = NULL;
	char *text;

	if (memchr(data, 0, size))
		return 0;	/* refused before it is parsed */
	text = malloc(size + 1);
	memcpy(text, data, size);
	text[size] = '\0';
	if (state_parse(text, &state, &why)) {
		check_state();
		check_again();
	} else {
		CHECK(why && *why);
	}
	free(text);
	fuzz_memory_free();
	return 0;
}

static size_t add(char *to, size_t size, size_t max_size, const char *line)
{
	size_t length = strlen(line);

	if (size + length > max_size)
		return size;
	memcpy(to + size, line, length);
	return size + length;
}

size_t LLVMFuzzerCustomMutator(u8 *data, size_t size, size_t max_size, unsigned int seed)
{
	u32 random = seed | 1, what = fuzz_random(&random) % 32, i;

	if (what == 0) {	/* anew */
		for (size = 0, i = 0; i < IDENTITY_LINES; i++)
			size = add((char *)data, size, max_size, lines[i]);
		size = add((char *)data, size, max_size, lines[LISTEN_LINE + fuzz_random(&random) % 2]);
	}
	if (what < 8)
		return add((char *)data, size, max_size, lines[fuzz_random(&random) % CORE_ARRAY_SIZE(lines)]);
	return LLVMFuzzerMutate(data, size, max_size);
}
