/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The pieces of encoding that the wire and the disk have in common, so that there is one codec of each:
 * generation records, chains [G1], names, and the tests of single fields.
 *
 * Generation record, CODEC_GENERATION_BYTES, little endian:
 *   0  u64 id             16 u64 number       28 u8 writer     30 ..31 zero
 *   8  u64 parent_id      24 u32 members      29 u8 written (0 or 1)
 * Chain: 0 u32 count, 4 u8 trimmed (0 or 1), 5 ..7 zero, 8 records, oldest first.
 *
 * Pure functions on the caller's memory; any context.
 */
#ifndef BRAID_CORE_CODEC_H
#define BRAID_CORE_CODEC_H

#include "lineage.h"

enum {
	CODEC_GENERATION_BYTES = 32,
	CODEC_CHAIN_HEADER_BYTES = 8,
	CODEC_CHAIN_BYTES_MAX = CODEC_CHAIN_HEADER_BYTES + CHAIN_RECORDS_MAX * CODEC_GENERATION_BYTES,
};

/* CODEC_GENERATION_BYTES at @buffer. */
void codec_generation_encode(const struct generation *record, u8 *buffer);
/* False if a field is impossible by itself: zero id, no members, unknown writer, its own parent, reserved bytes. */
bool codec_generation_decode(const u8 *buffer, struct generation *record);

/* Up to CODEC_CHAIN_BYTES_MAX at @buffer; returns the bytes used. */
u32 codec_chain_encode(const struct chain *chain, u8 *buffer);
/* Decode from @length_bytes at @buffer, *@used_bytes of which belong to the chain. False unless lineage_valid(). */
bool codec_chain_decode(const u8 *buffer, u32 length_bytes, struct chain *chain, u32 *used_bytes);

/* NAME_BYTES_MAX at @buffer, zero after the end of @name. */
void codec_name_encode(const char *name, u8 *buffer);
/* Decode NAME_BYTES_MAX bytes; false unless codec_name_valid() and zero up to the end. */
bool codec_name_decode(const u8 *buffer, char *name);
/* [A-Za-z0-9_.-], not empty, not starting with '.' or '-', terminated within NAME_BYTES_MAX bytes. */
bool codec_name_valid(const char *name);

bool codec_is_zero(const u8 *bytes, size_t length_bytes);
/* Node id 0..NODES_MAX - 1; with @or_none also NODE_NONE. */
bool codec_node_valid(u8 node, bool or_none);
/* Both multiples of @unit_bytes, and the end neither overflows nor lies beyond VOLUME_BYTES_MAX. */
bool codec_extent_valid(u64 start_bytes, u64 length_bytes, u32 unit_bytes);
/* A power of two within the bounds of a granule [D4]. */
bool codec_granule_valid(u32 granule_bytes);
/* Logical blocks of 512 bytes (0) or 4096. */
bool codec_block_shift_valid(u8 block_shift);
u32 codec_count_bits(u32 mask);

#endif
