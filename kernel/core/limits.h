/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every constant of the core, with its unit, and the relations between them.
 */
#ifndef BRAID_CORE_LIMITS_H
#define BRAID_CORE_LIMITS_H

#include "env.h"

enum limits {
	NODES_MAX = 32,			/* node ids 0..31; a set of nodes is a u32 mask */
	REPLICAS_MAX = 16,		/* replicas of one volume */
	NODE_NONE = 0xff,		/* "no node" where a node id stands */
	NAME_BYTES_MAX = 64,		/* node and volume names, terminating zero included */
	SECRET_BYTES = 32,		/* cluster secret */
	NONCE_BYTES = 32,
	MAC_BYTES = 32,
	UUID_BYTES = 16,		/* cluster id, node instance id */

	CHAIN_RECORDS_MAX = 64,		/* generation records kept per replica */

	META_BLOCK_BYTES = 4096,	/* every metadata block */
	META_HEADER_BYTES = 64,		/* checksummed header of every metadata block */
	META_BODY_BYTES = META_BLOCK_BYTES - META_HEADER_BYTES,

	GRANULE_BYTES_MIN = 4096,	/* [D4] one bit of the dirty map */
	GRANULE_BYTES_MAX = 1 << 20,
	DIRTY_PAGE_BYTES = META_BODY_BYTES,
	DIRTY_PAGE_BITS = DIRTY_PAGE_BYTES * 8,		/* 32256 granules */
	DIRTY_INDEX_ENTRIES = META_BODY_BYTES * 4,	/* 2 bits a page: 16128 pages */
	DIRTY_BITS_WANTED_MAX = 1 << 24,	/* the granule grows while a map has more bits */

	ACTLOG_REGION_BYTES = 4 << 20,	/* [D6] one activity log region */
	ACTLOG_PART_REGIONS = META_BODY_BYTES / 4 - 2,	/* regions in one log block */
	ACTLOG_PARTS_MAX = 8,
	ACTLOG_REGIONS_MAX = ACTLOG_PARTS_MAX * ACTLOG_PART_REGIONS,

	WIRE_HEADER_BYTES = 32,
	WIRE_VERSION = 1,
	WIRE_PORT = 7790,
	WIRE_PAYLOAD_BYTES_MAX = 1 << 20,	/* data in one frame */
	WIRE_FIXED_BYTES_MAX = 4096,		/* everything in a frame that is not data */
	WIRE_PREAUTH_BYTES_MAX = 512,		/* [I22] body of a frame before authentication */
	WIRE_LANES_MAX = 9,			/* control lane 0 and data lanes 1..8 */
	WIRE_RANGES_MAX = 250,			/* ranges in one WIRE_RANGES frame */
	WIRE_ACKS_MAX = 250,			/* acknowledgements in one WIRE_ACKS frame */
	WIRE_REGIONS_MAX = 1000,		/* regions in one WIRE_EVICT frame */

	IO_BYTES_MAX = 1 << 20,		/* one write or read; larger bios are split */
	RESYNC_PIECE_BYTES = 4096,	/* [D4] one digest */
	RESYNC_CHUNK_BYTES = 128 << 10,	/* one resync request: 32 pieces */
	RESYNC_CHUNK_PIECES = RESYNC_CHUNK_BYTES / RESYNC_PIECE_BYTES,

	VOLUME_SECTOR_BYTES = 512,	/* logical blocks of a volume are this << block_shift */
	VOLUME_BLOCK_SHIFT_MAX = 3,	/* 512 or 4096, nothing between */
	VOLUME_BLOCK_BYTES = 4096,	/* sizes of volumes are multiples of this */
};

#define VOLUME_BYTES_MAX (1ull << 50)	/* 1 PiB */
#define GENERATION_NUMBER_MAX (1ull << 62)	/* so that every chain can be continued */
#define NODE_BIT(id) (1u << (id))

CORE_STATIC_ASSERT(RESYNC_CHUNK_PIECES == 32, "a piece mask is a u32");
CORE_STATIC_ASSERT(WIRE_PAYLOAD_BYTES_MAX >= IO_BYTES_MAX, "one write fits one frame");
CORE_STATIC_ASSERT((VOLUME_BYTES_MAX / GRANULE_BYTES_MAX) / DIRTY_PAGE_BITS < 4 * DIRTY_INDEX_ENTRIES,
		   "the index of the largest volume has few blocks");

#endif
