// SPDX-License-Identifier: GPL-2.0
/*
 * Invitation tokens [N2]: any text is safe; what is accepted is what the encoder makes of it again, blanks aside. Text as it is,
 * and bytes to which the fuzzer adds the checksum that it would never find.
 *
 * Input: byte 0: 1 bytes to be sealed, else text.
 */
#include "../../user/token.h"
#include "fuzz.h"

enum { BYTES_MAX = 3000 };

static char text[2 * TOKEN_TEXT_MAX], again[TOKEN_TEXT_MAX];
static struct token token;

static size_t to_text(const u8 *bytes, size_t length)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	size_t at, nr = 0;
	u32 bits = 0, nr_bits = 0;

	for (at = 0; at < length; at++) {
		bits = bits << 8 | bytes[at];
		for (nr_bits += 8; nr_bits >= 6; nr_bits -= 6)
			text[nr++] = digits[bits >> (nr_bits - 6) & 63];
	}
	if (nr_bits)
		text[nr++] = digits[bits << (6 - nr_bits) & 63];
	text[nr] = '\0';
	return nr;
}

/* @text is what @token was made from, without blanks around it. */
static void check(void)
{
	const char *why = NULL;
	size_t blanks = strspn(text, " \t\r\n"), length;
	struct token second;
	u32 i;

	CHECK(token.nr_nodes < NODES_MAX && token.joiner.node < NODES_MAX && strnlen(token.joiner.name, 64) < 64);
	for (i = 0; i < token.nr_nodes; i++)
		CHECK(token.node[i].node < NODES_MAX && token.node[i].address.port && strnlen(token.node[i].name, 64) < 64);
	token_encode(&token, again);
	length = strlen(again);
	CHECK(length < TOKEN_TEXT_MAX && !memcmp(text + blanks, again, length));
	CHECK(token_decode(again, &second, &why));
	/* One character less is never a token. */
	again[length - 1] = '\0';
	CHECK(!token_decode(again, &second, &why) && why);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static u8 bytes[BYTES_MAX + 4];
	const char *why = NULL;

	if (!size || size > BYTES_MAX)
		return 0;
	if (data[0] & 1) {
		memcpy(bytes, data + 1, size - 1);
		core_put_le32(bytes + size - 1, core_crc32c(0, bytes, size - 1));
		to_text(bytes, size + 3);
	} else {
		memcpy(text, data + 1, size - 1);
		text[size - 1] = '\0';
	}
	if (token_decode(text, &token, &why))
		check();
	else
		CHECK(why && *why);
	fuzz_memory_free();
	return 0;
}

/* A token of a few nodes, so that there is something to bend. */
size_t LLVMFuzzerCustomMutator(u8 *data, size_t size, size_t max_size, unsigned int seed)
{
	u32 random = seed | 1, nodes, i;
	u8 *at = data;

	if (fuzz_random(&random) % 64 || max_size < 400)
		return LLVMFuzzerMutate(data, size, max_size);
	*at++ = 1;
	*at++ = 1;
	*at = fuzz_random(&random) & 1;
	nodes = fuzz_random(&random) % 4;
	size = *at++ ? UUID_BYTES : UUID_BYTES + SECRET_BYTES;
	memset(at, 7, size);
	at += size;
	for (i = 0; i <= nodes; i++) {
		*at++ = (u8)i;
		*at++ = 1;
		*at++ = (u8)('a' + i);
		*at = fuzz_random(&random) & 1 ? 4 : 6;
		size = *at++ == 4 ? 4 : 16;
		memset(at, 1, size + 2);
		at += size + 2;
		if (!i)
			*at++ = (u8)nodes;
	}
	memset(at, 9, TOKEN_NONCE_BYTES);
	return (size_t)(at + TOKEN_NONCE_BYTES - data);
}
