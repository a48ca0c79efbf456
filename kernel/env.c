// SPDX-License-Identifier: GPL-2.0
/*
 * What the core demands of its environment (core/env.h), from the kernel's libraries: checksum, MAC [N2], trace.
 */
#include <linux/crc32c.h>
#include <linux/printk.h>
#include <linux/string.h>
#include <crypto/sha2.h>
#include "core/env.h"

/* The kernel's crc32c() has no inversions; the standard form inverts on the way in and out, so calls chain. */
u32 core_crc32c(u32 seed, const void *data, size_t length_bytes)
{
	return ~crc32c(~seed, data, length_bytes);
}

static void hash_padded_key(struct sha256_state *state, const u8 key_block[SHA256_BLOCK_SIZE], u8 pad)
{
	u8 padded[SHA256_BLOCK_SIZE];
	unsigned int i;

	for (i = 0; i < SHA256_BLOCK_SIZE; i++)
		padded[i] = key_block[i] ^ pad;
	sha256_init(state);
	sha256_update(state, padded, sizeof(padded));
	memzero_explicit(padded, sizeof(padded));
}

/* RFC 2104 over SHA-256. */
void core_hmac_sha256(const u8 *key, size_t key_bytes, const void *data, size_t length_bytes, u8 mac[32])
{
	u8 key_block[SHA256_BLOCK_SIZE] = {};
	u8 inner[SHA256_DIGEST_SIZE];
	struct sha256_state state;

	if (key_bytes > sizeof(key_block)) {
		sha256_init(&state);
		sha256_update(&state, key, key_bytes);
		sha256_final(&state, key_block);
	} else {
		memcpy(key_block, key, key_bytes);
	}
	hash_padded_key(&state, key_block, 0x36);
	sha256_update(&state, data, length_bytes);
	sha256_final(&state, inner);
	hash_padded_key(&state, key_block, 0x5c);
	sha256_update(&state, inner, sizeof(inner));
	sha256_final(&state, mac);
	memzero_explicit(key_block, sizeof(key_block));
	memzero_explicit(inner, sizeof(inner));
	memzero_explicit(&state, sizeof(state));
}

/* Dynamic debug: `echo "func core_trace +p" > /proc/dynamic_debug/control`. */
void core_trace(u64 id, const char *text)
{
	pr_debug("braid: %016llx: %s\n", id, text);
}
