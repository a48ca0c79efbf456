// SPDX-License-Identifier: GPL-2.0
/*
 * What the core asks of its environment (kernel/core/env.h), for the simulator: the checksum with the processor's
 * instruction where it has one, since every simulated metadata write computes it. core_trace() is in world.c.
 */
#include "../../kernel/core/env.h"
#include "../../user/sha256.h"

static u32 crc32c_table[256];
static bool has_instruction;

__attribute__((constructor)) static void prepare(void)
{
	u32 byte, bit;

	for (byte = 0; byte < 256; byte++) {
		u32 crc = byte;

		for (bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
		crc32c_table[byte] = crc;
	}
#ifdef __x86_64__
	has_instruction = __builtin_cpu_supports("sse4.2");
#endif
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static u32 crc32c_by_instruction(u32 crc, const u8 *bytes, size_t length_bytes)
{
	u64 wide = crc, word;

	for (; length_bytes >= 8; length_bytes -= 8, bytes += 8) {
		memcpy(&word, bytes, 8);
		wide = __builtin_ia32_crc32di(wide, word);
	}
	crc = (u32)wide;
	while (length_bytes--)
		crc = __builtin_ia32_crc32qi(crc, *bytes++);
	return crc;
}
#else
static u32 crc32c_by_instruction(u32 crc, const u8 *bytes, size_t length_bytes)
{
	(void)bytes;
	(void)length_bytes;
	return crc;
}
#endif

u32 core_crc32c(u32 seed, const void *data, size_t length_bytes)
{
	const u8 *bytes = data;
	u32 crc = ~seed;

	if (has_instruction)
		return ~crc32c_by_instruction(crc, bytes, length_bytes);
	while (length_bytes--)
		crc = crc32c_table[(crc ^ *bytes++) & 0xff] ^ crc >> 8;
	return ~crc;
}

void core_hmac_sha256(const u8 *key, size_t key_bytes, const void *data, size_t length_bytes, u8 mac[32])
{
	hmac_sha256(key, key_bytes, data, length_bytes, mac);
}
