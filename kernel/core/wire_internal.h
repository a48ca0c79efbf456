/* SPDX-License-Identifier: GPL-2.0 */
/* The codec of frames, among its own files: wire.c (headers, rules, control lane) and wire_data.c (data lanes). */
#ifndef BRAID_CORE_WIRE_INTERNAL_H
#define BRAID_CORE_WIRE_INTERNAL_H

#include "wire.h"

enum {
	IO_FIXED_BYTES = 40,
	ACKS_BYTES = 4,
	ACK_BYTES = 9,
	EVICT_BYTES = 24,
	REGION_BYTES = 4,
	DIGESTS_BYTES = 40,
	DIGEST_BYTES = 8,
	RESYNC_BYTES = 32,
};

/* One frame during decoding of its body: @bytes of @length_bytes; @flags of the header. */
struct wire_input {
	const u8 *bytes;
	u32 length_bytes;
	u8 type;
	u16 flags;
};

static inline enum wire_error wire_field_error(bool valid)
{
	return valid ? WIRE_OK : WIRE_BAD_FIELD;
}

u32 wire_data_encode_io(u8 type, const union wire_body *body, u8 *buffer);
enum wire_error wire_data_decode_io(const struct wire_input *in, union wire_body *body);
u32 wire_data_encode_acks(u8 type, const union wire_body *body, u8 *buffer);
enum wire_error wire_data_decode_acks(const struct wire_input *in, union wire_body *body);
u32 wire_data_encode_evict(u8 type, const union wire_body *body, u8 *buffer);
enum wire_error wire_data_decode_evict(const struct wire_input *in, union wire_body *body);
u32 wire_data_encode_digests(u8 type, const union wire_body *body, u8 *buffer);
enum wire_error wire_data_decode_digests(const struct wire_input *in, union wire_body *body);
u32 wire_data_encode_resync(u8 type, const union wire_body *body, u8 *buffer);
enum wire_error wire_data_decode_resync(const struct wire_input *in, union wire_body *body);

#endif
