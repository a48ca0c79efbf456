// SPDX-License-Identifier: GPL-2.0
/*
 * What the core asks of its environment, made for speed: the checksum is most of what a run would cost.
 */
#include "fuzz.h"
#include "../../user/sha256.h"

#ifdef __SSE4_2__
u32 core_crc32c(u32 seed, const void *data, size_t length_bytes)
{
	const u8 *bytes = data;
	u64 crc = ~seed;

	for (; length_bytes >= 8; bytes += 8, length_bytes -= 8)
		crc = __builtin_ia32_crc32di(crc, core_get_le64(bytes));
	while (length_bytes--)
		crc = __builtin_ia32_crc32qi((u32)crc, *bytes++);
	return ~(u32)crc;
}
#else
u32 core_crc32c(u32 seed, const void *data, size_t length_bytes)
{
	const u8 *bytes = data;
	u32 crc = ~seed, bit;

	while (length_bytes--) {
		crc ^= *bytes++;
		for (bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
	}
	return ~crc;
}
#endif

void core_hmac_sha256(const u8 *key, size_t key_bytes, const void *data, size_t length_bytes, u8 mac[32])
{
	hmac_sha256(key, key_bytes, data, length_bytes, mac);
}

bool fuzz_tracing(void)
{
	static int wanted = -1;

	if (wanted < 0)
		wanted = getenv("BRAID_TRACE") != NULL;
	return wanted;
}

/* To see what a failing input does. */
void core_trace(u64 id, const char *text)
{
	if (fuzz_tracing())
		fprintf(stderr, "trace %016llx %s\n", (unsigned long long)id, text);
}
