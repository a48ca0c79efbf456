/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Everything that the core may use from outside: the whole porting surface.
 *
 * The core is compiled into the module, the braid command, the unit tests, the
 * simulator and the fuzzers.  It never allocates, sleeps, locks, reads a clock
 * or prints.  The functions declared below are supplied by whoever links it.
 */
#ifndef BRAID_CORE_ENV_H
#define BRAID_CORE_ENV_H

#ifdef __KERNEL__
#include <linux/types.h>
#include <linux/stddef.h>
#include <linux/string.h>
#else
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
#endif

#define CORE_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define CORE_STATIC_ASSERT(condition, text) _Static_assert(condition, text)

/* CRC32C (Castagnoli), standard form: core_crc32c(0, "123456789", 9) == 0xe3069283. Any context. */
u32 core_crc32c(u32 seed, const void *data, size_t length_bytes);

/*
 * HMAC-SHA256 of @length_bytes at @data under @key, 32 bytes to @mac. May sleep: only session
 * authentication calls it, never the data plane.
 */
void core_hmac_sha256(const u8 *key, size_t key_bytes, const void *data, size_t length_bytes,
		      u8 mac[32]);

/* The core's only voice: one line "condition -> decision" about the volume or session @id. Any context. */
void core_trace(u64 id, const char *text);

static inline u16 core_get_le16(const void *p)
{
	const u8 *b = p;

	return (u16)(b[0] | b[1] << 8);
}

static inline u32 core_get_le32(const void *p)
{
	const u8 *b = p;

	return (u32)b[0] | (u32)b[1] << 8 | (u32)b[2] << 16 | (u32)b[3] << 24;
}

static inline u64 core_get_le64(const void *p)
{
	const u8 *b = p;

	return (u64)core_get_le32(b) | (u64)core_get_le32(b + 4) << 32;
}

static inline void core_put_le16(void *p, u16 value)
{
	u8 *b = p;

	b[0] = (u8)value;
	b[1] = (u8)(value >> 8);
}

static inline void core_put_le32(void *p, u32 value)
{
	u8 *b = p;

	core_put_le16(b, (u16)value);
	core_put_le16(b + 2, (u16)(value >> 16));
}

static inline void core_put_le64(void *p, u64 value)
{
	u8 *b = p;

	core_put_le32(b, (u32)value);
	core_put_le32(b + 4, (u32)(value >> 32));
}

#endif
