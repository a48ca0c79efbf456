/* SPDX-License-Identifier: GPL-2.0 */
/*
 * SHA-256 (FIPS 180-4) and HMAC (RFC 2104) for programs that link the core outside the kernel [N2].
 */
#ifndef BRAID_SHA256_H
#define BRAID_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { SHA256_BYTES = 32, SHA256_BLOCK_BYTES = 64 };

struct sha256 {
	uint32_t state[8];
	uint64_t length_bytes;			/* hashed so far, buffered bytes included */
	uint8_t block[SHA256_BLOCK_BYTES];	/* the first length_bytes % SHA256_BLOCK_BYTES wait here */
};

void sha256_init(struct sha256 *sha);
void sha256_update(struct sha256 *sha, const void *data, size_t length_bytes);
void sha256_final(struct sha256 *sha, uint8_t digest[SHA256_BYTES]);

void hmac_sha256(const uint8_t *key, size_t key_bytes, const void *data, size_t length_bytes,
		 uint8_t mac[SHA256_BYTES]);

#endif
