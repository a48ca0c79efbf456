// SPDX-License-Identifier: GPL-2.0
/*
 * Encoding shared by wire.c and ondisk.c: records, chains and names look the same on the wire and on disk,
 * and what one accepts the other accepts. Keeps [G1] as far as one chain can show it; any input is safe.
 */
#include "codec.h"

bool codec_is_zero(const u8 *bytes, size_t length_bytes)
{
	/* The first is zero, and each equals the one before it. */
	return !length_bytes || (!bytes[0] && !memcmp(bytes, bytes + 1, length_bytes - 1));
}

bool codec_node_valid(u8 node, bool or_none)
{
	return node < NODES_MAX || (or_none && node == NODE_NONE);
}

bool codec_extent_valid(u64 start_bytes, u64 length_bytes, u32 unit_bytes)
{
	if (start_bytes % unit_bytes || length_bytes % unit_bytes)
		return false;
	return start_bytes <= VOLUME_BYTES_MAX && length_bytes <= VOLUME_BYTES_MAX - start_bytes;
}

bool codec_granule_valid(u32 granule_bytes)
{
	return granule_bytes >= GRANULE_BYTES_MIN && granule_bytes <= GRANULE_BYTES_MAX &&
	       (granule_bytes & (granule_bytes - 1)) == 0;
}

bool codec_block_shift_valid(u8 block_shift)
{
	return block_shift == 0 || block_shift == VOLUME_BLOCK_SHIFT_MAX;
}

u32 codec_count_bits(u32 mask)
{
	u32 nr = 0;

	for (; mask; mask &= mask - 1)
		nr++;
	return nr;
}

void codec_generation_encode(const struct generation *record, u8 *buffer)
{
	core_put_le64(buffer, record->id);
	core_put_le64(buffer + 8, record->parent_id);
	core_put_le64(buffer + 16, record->number);
	core_put_le32(buffer + 24, record->members);
	buffer[28] = record->writer;
	buffer[29] = record->written;
	buffer[30] = 0;
	buffer[31] = 0;
}

bool codec_generation_decode(const u8 *buffer, struct generation *record)
{
	record->id = core_get_le64(buffer);
	record->parent_id = core_get_le64(buffer + 8);
	record->number = core_get_le64(buffer + 16);
	record->members = core_get_le32(buffer + 24);
	record->writer = buffer[28];
	record->written = buffer[29] == 1;
	return record->id && record->id != record->parent_id && record->members && record->number <= GENERATION_NUMBER_MAX &&
	       codec_node_valid(record->writer, true) && buffer[29] <= 1 && codec_is_zero(buffer + 30, 2);
}

u32 codec_chain_encode(const struct chain *chain, u8 *buffer)
{
	u32 used_bytes = CODEC_CHAIN_HEADER_BYTES;
	u32 i;

	core_put_le32(buffer, chain->count);
	core_put_le32(buffer + 4, chain->trimmed);
	for (i = 0; i < chain->count && i < CHAIN_RECORDS_MAX; i++) {
		codec_generation_encode(&chain->record[i], buffer + used_bytes);
		used_bytes += CODEC_GENERATION_BYTES;
	}
	return used_bytes;
}

bool codec_chain_decode(const u8 *buffer, u32 length_bytes, struct chain *chain, u32 *used_bytes)
{
	u32 i;

	chain->count = 0;
	chain->trimmed = false;
	if (length_bytes < CODEC_CHAIN_HEADER_BYTES || core_get_le32(buffer) > CHAIN_RECORDS_MAX ||
	    core_get_le32(buffer + 4) > 1)
		return false;
	*used_bytes = CODEC_CHAIN_HEADER_BYTES + core_get_le32(buffer) * CODEC_GENERATION_BYTES;
	if (*used_bytes > length_bytes)
		return false;
	chain->count = core_get_le32(buffer);
	chain->trimmed = buffer[4] == 1;
	buffer += CODEC_CHAIN_HEADER_BYTES;
	for (i = 0; i < chain->count; i++, buffer += CODEC_GENERATION_BYTES) {
		if (!codec_generation_decode(buffer, &chain->record[i])) {
			chain->count = i;
			return false;
		}
	}
	return lineage_valid(chain);
}

static bool name_byte_valid(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
	       c == '.' || c == '-';
}

bool codec_name_valid(const char *name)
{
	u32 i;

	if (name[0] == '\0' || name[0] == '.' || name[0] == '-')
		return false;
	for (i = 0; i < NAME_BYTES_MAX; i++) {
		if (name[i] == '\0')
			return true;
		if (!name_byte_valid(name[i]))
			return false;
	}
	return false;
}

void codec_name_encode(const char *name, u8 *buffer)
{
	size_t length_bytes = strnlen(name, NAME_BYTES_MAX - 1);

	memset(buffer, 0, NAME_BYTES_MAX);
	memcpy(buffer, name, length_bytes);
}

bool codec_name_decode(const u8 *buffer, char *name)
{
	size_t length_bytes;

	memcpy(name, buffer, NAME_BYTES_MAX);
	name[NAME_BYTES_MAX - 1] = '\0';
	length_bytes = strnlen(name, NAME_BYTES_MAX - 1);
	return codec_name_valid(name) && codec_is_zero(buffer + length_bytes, NAME_BYTES_MAX - length_bytes);
}
