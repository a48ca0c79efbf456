/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Metadata on disk: codec and layout [M] [D5].
 *
 * Every block is META_BLOCK_BYTES, little endian, and starts with one header:
 *   0  u64 magic          "BRAIDmet"
 *   8  u32 crc            CRC32C of bytes 12..4095
 *   12 u16 kind           enum ondisk_kind
 *   14 u16 version        ONDISK_VERSION
 *   16 u64 volume_id
 *   24 u64 location       byte offset of this block from the start of the metadata area
 *   32 u64 sequence       of this kind at this place, ascending; so many writes no disk lives to see
 *   40 u64 replica_id     random per format of this replica: blocks of a former life are not ours
 *   48 ..63 zero
 * A block whose magic, crc, kind, volume, replica or location does not fit is not there.
 *
 * Layout of the metadata area (offsets in bytes from its start, all multiples of 4096):
 *   0       superblock copy 0        8192  reserved (zero)
 *   4096    superblock copy 1
 *   16384   activity log: nr_parts * 2 blocks, part p copy c at 16384 + (2 p + c) * 4096;
 *           room for ACTLOG_PARTS_MAX parts is always there
 *   then    dirty index: REPLICAS_MAX slots * index blocks
 *   then    dirty pages: REPLICAS_MAX slots * pages
 * Internal metadata: the area is at the start of the disk, data begins at data_offset (multiple of 1 MiB).
 * Separate: the area is on its own device, data_offset 0 on the data disk.
 * A dirty-map slot is given to a replica (node id) on first need; the table is in the superblock.
 *
 * Superblock writes alternate between the copies; the valid one with the higher sequence counts.
 */
#ifndef BRAID_CORE_ONDISK_H
#define BRAID_CORE_ONDISK_H

#include "lineage.h"

enum ondisk_kind {
	ONDISK_SUPERBLOCK = 1,
	ONDISK_ACTLOG = 2,
	ONDISK_DIRTY_INDEX = 3,
	ONDISK_DIRTY_PAGE = 4,
};

enum { ONDISK_VERSION = 1 };

/* Compat: the replica's submitters are trusted [W2]. Who does not know it copies, which is always right. */
#define ONDISK_COMPAT_TRUST (1ull << 0)

/* Feature bits known to this version. */
#define ONDISK_COMPAT_KNOWN ONDISK_COMPAT_TRUST
#define ONDISK_RO_COMPAT_KNOWN 0ull
#define ONDISK_INCOMPAT_KNOWN 0ull

enum ondisk_super_flags {
	ONDISK_SYNCING = 1 << 0,	/* content is half-synced: not promotable without force */
	ONDISK_SPLIT = 1 << 1,		/* [G7] */
	ONDISK_YIELD = 1 << 2,		/* `resolve`: this side's own changes may be overwritten */
	ONDISK_SEPARATE = 1 << 3,	/* metadata on its own device */
	ONDISK_ATTACHED = 1 << 4,	/* was attached and not detached cleanly */
	ONDISK_BLANK = 1 << 5,		/* made with a data area that reads as zeroes [R4]; see volume_blank.c */
};

struct ondisk_super {
	u64 volume_id;
	u64 replica_id;
	u64 sequence;
	u64 compat, ro_compat, incompat;
	u8 cluster_id[UUID_BYTES];
	char name[NAME_BYTES_MAX];
	u64 volume_bytes;	/* usable size */
	u64 data_offset_bytes;
	u64 meta_bytes;		/* size of the metadata area */
	u32 granule_bytes;
	u32 actlog_parts;
	u32 flags;		/* enum ondisk_super_flags */
	u32 replicas;		/* mask of nodes that have a replica, this one included */
	u32 reconcile;		/* members whose dirty bits come from the activity log after a crash [G6] */
	u32 replaced;		/* nodes whose replica is another than the one that records speak of [G4] [G10] */
	u8 node_id;		/* this replica's node */
	u8 block_shift;		/* logical blocks of the volume, 512 << this: no replica's disk has larger ones */
	u8 slot_node[REPLICAS_MAX];	/* dirty-map slot -> node id, NODE_NONE when free */
	u64 slot_replica[REPLICAS_MAX];	/* replica id met there last, 0 none: a new one is another disk [G10] */
	u8 split_peer;		/* with ONDISK_SPLIT: node id of the other side */
	u64 split_id;
	u64 split_ancestor_id, split_ancestor_number;
	u64 attach_count;	/* incremented at every attach: with instance, detects rolled-back copies [G10] */
	u8 node_instance[UUID_BYTES];	/* instance id of the node that attached it last [G10] */
	u32 voters;		/* [G8] mask; 0: none configured */
	u64 voters_epoch;
	struct chain chain;
};

struct ondisk_header {
	u64 volume_id;
	u64 replica_id;
	u64 location;
	u64 sequence;
	u16 kind;
};

enum ondisk_error {
	ONDISK_OK = 0,
	ONDISK_BAD_MAGIC,
	ONDISK_BAD_CHECKSUM,
	ONDISK_BAD_VERSION,
	ONDISK_BAD_KIND,
	ONDISK_WRONG_PLACE,	/* location does not fit: misdirected or copied */
	ONDISK_WRONG_VOLUME,
	ONDISK_WRONG_REPLICA,
	ONDISK_BAD_FIELD,	/* checksum right, content impossible */
	ONDISK_INCOMPATIBLE,	/* unknown incompat feature */
};

const char *ondisk_error_name(enum ondisk_error error);

/* Offsets from the start of the metadata area, bytes. */
struct ondisk_layout {
	u64 actlog_offset;
	u64 index_offset;
	u64 page_offset;
	u64 end;			/* size of the area */
	u32 index_blocks_per_slot;
	u32 pages_per_slot;
};

/* Layout for a volume. False when sizes are out of range. */
bool ondisk_layout(u64 volume_bytes, u32 granule_bytes, struct ondisk_layout *layout);
u64 ondisk_super_offset(u32 copy);
u64 ondisk_actlog_offset(const struct ondisk_layout *layout, u32 part, u32 copy);
u64 ondisk_index_offset(const struct ondisk_layout *layout, u32 slot, u32 block);
u64 ondisk_page_offset(const struct ondisk_layout *layout, u32 slot, u32 page);

/*
 * Geometry of a new replica on a disk of @disk_bytes. Internal: *@volume_bytes is what remains after metadata, down
 * to VOLUME_BLOCK_BYTES, not more than @wanted_bytes when that is not 0 (it is the size of the existing volume
 * then: false if it does not fit). Separate: @meta_disk_bytes must hold the area. Fills volume_bytes,
 * data_offset_bytes, meta_bytes, granule_bytes, actlog_parts (@actlog_parts_wanted 0: default) of @super.
 */
bool ondisk_plan(u64 disk_bytes, u64 meta_disk_bytes, bool separate, u64 wanted_bytes, u32 actlog_parts_wanted,
		 struct ondisk_super *super);

/* Blocks are META_BLOCK_BYTES. Encoding fills the whole block, header and checksum included. */
void ondisk_super_encode(const struct ondisk_super *super, u32 copy, u8 *block);
enum ondisk_error ondisk_super_decode(const u8 *block, u32 copy, struct ondisk_super *super);
/*
 * Pick the copy that counts: 0, 1, or -1 if neither is valid. @error[2] has each copy's verdict; *@chosen is decoded
 * when one counts, else undefined. Also -1 [G10]: both valid but of different volumes or replicas (WRONG_VOLUME or
 * WRONG_REPLICA for both: a format was broken off), and the newer copy, or one whose age is not known, needs a newer
 * braid (INCOMPATIBLE, BAD_VERSION): going on with the older copy would roll the replica back.
 */
int ondisk_super_choose(const u8 *block0, const u8 *block1, struct ondisk_super *chosen,
			enum ondisk_error error[2]);
/* Do the fields make sense together (sizes, layout, chain, slots)? */
bool ondisk_super_valid(const struct ondisk_super *super);

/*
 * Activity log part: the written mark [G2] and the regions (ACTLOG_NO_REGION = free slot).
 * @written_id: id of the generation that is marked written by this transaction, 0 none. @regions may be memory of its own, or
 * stand in @block at ONDISK_ACTLOG_REGIONS.
 */
enum { ONDISK_ACTLOG_REGIONS = META_HEADER_BYTES + 8 };
void ondisk_actlog_encode(const struct ondisk_header *header, u64 written_id, const u32 *regions, u8 *block);
enum ondisk_error ondisk_actlog_decode(const struct ondisk_header *expected, const u8 *block, u64 *sequence,
				       u64 *written_id, u32 *regions);
/*
 * Read a part after a crash: of two copies the newer valid one counts; the regions that a damaged copy (right magic
 * but bad checksum) names are added, which can only claim more [I17]. At most 2 * ACTLOG_PART_REGIONS results in
 * @regions; *@nr. False if no copy is valid: everything may differ (unless both blocks were never written, all
 * zero, which is the state after format: then true with none). *@sequence: the newest seen. A block that could not
 * be read is NULL: the result is false then, since it may have been the newer one; so it is when a copy that was written once
 * is no transaction at all, torn or whole [D7]. *@newest_copy is 1 when there is
 * none, so that the next write goes to copy 0. @nr_regions: regions of the volume; a copy that names others is damaged.
 */
bool ondisk_actlog_load(const struct ondisk_header *expected0, const struct ondisk_header *expected1,
			const u8 *block0, const u8 *block1, u32 nr_regions, u32 *regions, u32 *nr,
			u64 *sequence, u64 *written_id, u32 *newest_copy);

/* Dirty index block and dirty page: body is META_BODY_BYTES, and may be where it belongs in @block already. */
void ondisk_body_encode(const struct ondisk_header *header, const u8 *body, u8 *block);
/* On success *@body points into @block. @expected->sequence is not compared; the found one goes to *@sequence. */
enum ondisk_error ondisk_body_decode(const struct ondisk_header *expected, const u8 *block, const u8 **body,
				     u64 *sequence);

#endif
