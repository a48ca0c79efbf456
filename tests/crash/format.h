/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What writer.c writes and replay.c recognises: the stamp in every sector, and the texts of the marks in the logs.
 *
 * Sector of 512 bytes, little endian: 0 u64 magic, 8 u64 stamp, 16 u64 number of the sector in the volume, then zeroes (a log
 * of them compresses well). So what a sector holds is known even when a write was torn between sectors.
 *
 * Marks. FIRST is the node that the writer runs on (or, without a writer, the source of a resync), SECOND the other one:
 *   "l:ID:RUN..."   FIRST      writes of batch ID, each RUN "BLOCK,BLOCKS,STAMP", hexadecimal, blocks of 4 KiB,
 *                             separated by colons (a mark is one word); of the last batch of a run without a "b"
 *   "s:ID"          both       every write of the batch is acknowledged, none need be flushed
 *   "b:ID"          both       a flush after the batch is acknowledged: its writes are promised [W5]
 *   "t:ID"          both       a moment, nothing else
 *   "c:ID" "h:ID"   both       silence between the two nodes' braid begins; ends
 *   "k:TEXT"        FIRST      SECOND has confirmed mark TEXT: both marks are a pair
 * FIRST always gets its mark before SECOND. So SECOND may know more than FIRST at a pair, never the other way round:
 * nothing that SECOND did later has influenced what FIRST had on disk.
 */
#ifndef BRAID_CRASH_FORMAT_H
#define BRAID_CRASH_FORMAT_H

#include <stdint.h>

enum {
	CRASH_SECTOR_BYTES = 512,
	CRASH_BLOCK_BYTES = 4096,
	CRASH_BLOCK_SECTORS = CRASH_BLOCK_BYTES / CRASH_SECTOR_BYTES,
	CRASH_MARK_BYTES_MAX = 440,	/* what fits into one sector of the log, with room to spare */
};

#define CRASH_MAGIC 0x3168736172637242ull

struct crash_sector {
	uint64_t magic, stamp, sector;
	uint8_t zero[CRASH_SECTOR_BYTES - 24];
};

#endif
