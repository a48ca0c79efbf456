// SPDX-License-Identifier: GPL-2.0
/*
 * SHA-256 and HMAC-SHA256, so that the command and the tests need no crypto library. Checked against RFC 4231.
 */
#include <string.h>

#include "sha256.h"

/* First 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t round_constants[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t value, unsigned int bits)
{
	return value >> bits | value << (32 - bits);
}

static uint32_t get_be32(const uint8_t *b)
{
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static void put_be32(uint8_t *b, uint32_t value)
{
	b[0] = (uint8_t)(value >> 24);
	b[1] = (uint8_t)(value >> 16);
	b[2] = (uint8_t)(value >> 8);
	b[3] = (uint8_t)value;
}

static void compress(uint32_t state[8], const uint8_t block[SHA256_BLOCK_BYTES])
{
	uint32_t w[64], s[8];
	int i;

	for (i = 0; i < 16; i++)
		w[i] = get_be32(block + i * 4);
	for (; i < 64; i++) {
		uint32_t low = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
		uint32_t high = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;

		w[i] = w[i - 16] + low + w[i - 7] + high;
	}
	memcpy(s, state, sizeof(s));
	for (i = 0; i < 64; i++) {
		uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
		uint32_t majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
		uint32_t t1 = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) + choice +
			      round_constants[i] + w[i];
		uint32_t t2 = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) + majority;

		memmove(s + 1, s, 7 * sizeof(s[0]));
		s[4] += t1;
		s[0] = t1 + t2;
	}
	for (i = 0; i < 8; i++)
		state[i] += s[i];
}

void sha256_init(struct sha256 *sha)
{
	/* First 32 bits of the fractional parts of the square roots of the first 8 primes. */
	static const uint32_t start[8] = {
		0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
	};

	memcpy(sha->state, start, sizeof(start));
	sha->length_bytes = 0;
}

void sha256_update(struct sha256 *sha, const void *data, size_t length_bytes)
{
	const uint8_t *bytes = data;

	while (length_bytes) {
		size_t used = sha->length_bytes % SHA256_BLOCK_BYTES;
		size_t room = SHA256_BLOCK_BYTES - used;
		size_t part = length_bytes < room ? length_bytes : room;

		memcpy(sha->block + used, bytes, part);
		sha->length_bytes += part;
		bytes += part;
		length_bytes -= part;
		if (part == room)
			compress(sha->state, sha->block);
	}
}

void sha256_final(struct sha256 *sha, uint8_t digest[SHA256_BYTES])
{
	static const uint8_t padding[SHA256_BLOCK_BYTES] = { 0x80 };
	uint64_t length_bits = sha->length_bytes * 8;
	size_t used = sha->length_bytes % SHA256_BLOCK_BYTES;
	uint8_t length[8];
	int i;

	put_be32(length, (uint32_t)(length_bits >> 32));
	put_be32(length + 4, (uint32_t)length_bits);
	sha256_update(sha, padding, used < 56 ? 56 - used : 120 - used);
	sha256_update(sha, length, sizeof(length));
	for (i = 0; i < 8; i++)
		put_be32(digest + i * 4, sha->state[i]);
}

void hmac_sha256(const uint8_t *key, size_t key_bytes, const void *data, size_t length_bytes,
		 uint8_t mac[SHA256_BYTES])
{
	uint8_t pad[SHA256_BLOCK_BYTES] = { 0 };
	struct sha256 sha;
	int i;

	if (key_bytes > SHA256_BLOCK_BYTES) {
		sha256_init(&sha);
		sha256_update(&sha, key, key_bytes);
		sha256_final(&sha, pad);
	} else if (key_bytes) {
		memcpy(pad, key, key_bytes);
	}
	for (i = 0; i < SHA256_BLOCK_BYTES; i++)
		pad[i] ^= 0x36;
	sha256_init(&sha);
	sha256_update(&sha, pad, sizeof(pad));
	sha256_update(&sha, data, length_bytes);
	sha256_final(&sha, mac);
	for (i = 0; i < SHA256_BLOCK_BYTES; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	sha256_init(&sha);
	sha256_update(&sha, pad, sizeof(pad));
	sha256_update(&sha, mac, SHA256_BYTES);
	sha256_final(&sha, mac);
}
