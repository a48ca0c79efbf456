// SPDX-License-Identifier: GPL-2.0
/*
 * [N4]: any bytes are safe, and a body that is accepted encodes to the same bytes again. Byte 0 of the input is the
 * type, byte 1 the flags, bytes 2..4 the payload that the header claims; the rest is the fixed part.
 */
#include <stdlib.h>

#include "../../kernel/core/wire.h"

static union wire_body body;
static u8 again[WIRE_FIXED_BYTES_MAX];

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct wire_header header = { 0 };
	u32 fixed_bytes;

	if (size >= WIRE_HEADER_BYTES)
		wire_decode_header(data, data[0] & 1, data[1] % 3, data[2] & 1, 0, &header);
	if (size < 5)
		return 0;
	header.type = data[0];
	header.flags = data[1];
	fixed_bytes = (u32)size - 5;
	header.length_bytes = fixed_bytes + ((u32)data[2] | (u32)data[3] << 8 | (u32)data[4] << 16);
	if (wire_decode_body(&header, data + 5, fixed_bytes, &body) != WIRE_OK)
		return 0;
	if (wire_encode_body(header.type, &body, again) != fixed_bytes || memcmp(again, data + 5, fixed_bytes) != 0)
		abort();
	return 0;
}
