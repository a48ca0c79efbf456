// SPDX-License-Identifier: GPL-2.0
/*
 * What the core asks of its environment (kernel/core/env.h), for programs outside the kernel: the command, the unit
 * tests, the simulator and the fuzzers.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../kernel/core/env.h"
#include "sha256.h"

/* CRC32C of each byte, reflected polynomial 0x82f63b78: computed at load, before main() and any thread. */
static u32 crc_table[256];

__attribute__((constructor)) static void fill_crc_table(void)
{
	u32 byte, bit;

	for (byte = 0; byte < 256; byte++) {
		u32 crc = byte;

		for (bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
		crc_table[byte] = crc;
	}
}

u32 core_crc32c(u32 seed, const void *data, size_t length_bytes)
{
	const u8 *bytes = data;
	u32 crc = ~seed;

	while (length_bytes--)
		crc = crc_table[(crc ^ *bytes++) & 0xff] ^ crc >> 8;
	return ~crc;
}

void core_hmac_sha256(const u8 *key, size_t key_bytes, const void *data, size_t length_bytes, u8 mac[32])
{
	hmac_sha256(key, key_bytes, data, length_bytes, mac);
}

/* Silent unless BRAID_TRACE=1. */
void core_trace(u64 id, const char *text)
{
	static int wanted = -1;

	if (wanted < 0) {
		const char *value = getenv("BRAID_TRACE");

		wanted = value && value[0] == '1';
	}
	if (wanted)
		fprintf(stderr, "trace %016llx %s\n", (unsigned long long)id, text);
}
