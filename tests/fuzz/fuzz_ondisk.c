// SPDX-License-Identifier: GPL-2.0
/*
 * [M] [I17]: any block is safe to decode. The input is patched into blocks of zeroes under right magic, version and
 * checksum, since no fuzzer finds those; a superblock that is accepted makes sense and encodes to the same block.
 */
#include <stdlib.h>

#include "../../kernel/core/actlog.h"
#include "../../kernel/core/ondisk.h"

static u8 block[2][META_BLOCK_BYTES], again[META_BLOCK_BYTES];
static struct ondisk_super super;
static u32 regions[2 * ACTLOG_PART_REGIONS];

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void seal(u8 *bytes, u16 kind)
{
	memcpy(bytes, "BRAIDmet", 8);
	core_put_le16(bytes + 12, kind);
	core_put_le16(bytes + 14, ONDISK_VERSION);
	core_put_le32(bytes + 8, core_crc32c(0, bytes + 12, META_BLOCK_BYTES - 12));
}

static void try_super(void)
{
	enum ondisk_error error[2];

	core_put_le64(block[0] + 24, 0);
	seal(block[0], ONDISK_SUPERBLOCK);
	ondisk_super_choose(block[0], block[1], &super, error);
	if (ondisk_super_decode(block[0], 0, &super) != ONDISK_OK)
		return;
	if (!ondisk_super_valid(&super))
		abort();
	ondisk_super_encode(&super, 0, again);
	if (!super.compat && !super.ro_compat && memcmp(again, block[0], META_BLOCK_BYTES) != 0)
		abort();
}

static void try_actlog(void)
{
	struct ondisk_header expected = { .kind = ONDISK_ACTLOG };
	u64 sequence, written_id;
	u32 nr, newest_copy, i;

	expected.volume_id = core_get_le64(block[0] + 16);
	expected.location = core_get_le64(block[0] + 24);
	expected.replica_id = core_get_le64(block[0] + 40);
	seal(block[0], ONDISK_ACTLOG);
	ondisk_actlog_decode(&expected, block[0], &sequence, &written_id, regions);
	ondisk_actlog_load(&expected, &expected, block[0], block[1], 1000, regions, &nr, &sequence, &written_id,
			   &newest_copy);
	if (nr > CORE_ARRAY_SIZE(regions) || newest_copy > 1)
		abort();
	for (i = 0; i < nr; i++)
		if (regions[i] >= 1000)
			abort();
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct ondisk_layout layout;
	struct ondisk_super plan;
	size_t half = size / 2;

	memset(block, 0, sizeof(block));
	memcpy(block[0] + 16, data, half < META_BLOCK_BYTES - 16 ? half : META_BLOCK_BYTES - 16);
	memcpy(block[1], data + half, size - half < META_BLOCK_BYTES ? size - half : META_BLOCK_BYTES);
	try_super();
	try_actlog();
	if (size >= 28) {
		ondisk_layout(core_get_le64(data), core_get_le32(data + 8), &layout);
		ondisk_plan(core_get_le64(data), core_get_le64(data + 8), data[27] & 1, core_get_le64(data + 16),
			    data[26], &plan);
	}
	return 0;
}
