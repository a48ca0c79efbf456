// SPDX-License-Identifier: GPL-2.0
/*
 * [M] [I17] [G10]: any block is safe to decode; a superblock that is accepted makes sense and encodes to the same block, and
 * of two copies never the one counts that a newer braid may have replaced.
 *
 * Input: byte 0 what, then 1 PiB-odd numbers for the layout or two blocks, each u16 length and so many bytes; the rest of a
 * block is zero. The mutator makes magic, version and checksum right, and now and then a valid superblock from scratch.
 */
#include "../../kernel/core/actlog.h"
#include "../../kernel/core/ondisk.h"
#include "fuzz.h"

static u8 block[2][META_BLOCK_BYTES], again[META_BLOCK_BYTES];
static struct ondisk_super super, other;
static u32 regions[2 * ACTLOG_PART_REGIONS];

enum { REGIONS = 1000, WHATS = 4 };

static void seal(u8 *bytes, u16 kind)
{
	memcpy(bytes, "BRAIDmet", 8);
	core_put_le16(bytes + 12, kind);
	core_put_le16(bytes + 14, ONDISK_VERSION);
	core_put_le32(bytes + 8, core_crc32c(0, bytes + 12, META_BLOCK_BYTES - 12));
}

/* Accepted is sane, and encodes to what it was. */
static void try_super(u32 copy)
{
	if (ondisk_super_decode(block[copy], copy, &super) != ONDISK_OK)
		return;
	CHECK(ondisk_super_valid(&super));
	ondisk_super_encode(&super, copy, again);
	if (!(super.compat & ~ONDISK_COMPAT_KNOWN) && !super.ro_compat)
		CHECK(memcmp(again, block[copy], META_BLOCK_BYTES) == 0);
	CHECK(ondisk_super_decode(again, copy, &other) == ONDISK_OK);
}

static void try_choose(void)
{
	enum ondisk_error error[2], single[2];
	int copy = ondisk_super_choose(block[0], block[1], &super, error);

	single[0] = ondisk_super_decode(block[0], 0, &other);
	single[1] = ondisk_super_decode(block[1], 1, &other);
	if (copy < 0)
		return;
	CHECK(single[copy] == ONDISK_OK && error[copy] == ONDISK_OK && error[!copy] == single[!copy]);
	CHECK(ondisk_super_valid(&super));
	CHECK(single[!copy] != ONDISK_BAD_VERSION);
	CHECK(super.sequence == core_get_le64(block[copy] + 32));
	if (single[!copy] == ONDISK_OK || single[!copy] == ONDISK_INCOMPATIBLE)
		CHECK(super.sequence >= core_get_le64(block[!copy] + 32));
	if (single[!copy] == ONDISK_OK)
		CHECK(core_get_le64(block[0] + 16) == core_get_le64(block[1] + 16) &&
		      core_get_le64(block[0] + 40) == core_get_le64(block[1] + 40));
}

static void try_actlog(void)
{
	struct ondisk_header expected = { .kind = ONDISK_ACTLOG };
	u64 sequence, written_id;
	u32 nr, newest_copy, i;
	bool known;

	expected.volume_id = core_get_le64(block[0] + 16);
	expected.location = core_get_le64(block[0] + 24);
	expected.replica_id = core_get_le64(block[0] + 40);
	if (ondisk_actlog_decode(&expected, block[0], &sequence, &written_id, regions) == ONDISK_OK) {
		expected.sequence = sequence;
		ondisk_actlog_encode(&expected, written_id, regions, again);
		CHECK(memcmp(again, block[0], META_BLOCK_BYTES) == 0);
	}
	known = ondisk_actlog_load(&expected, &expected, block[0], block[1], REGIONS, regions, &nr, &sequence, &written_id,
				   &newest_copy);
	CHECK(nr <= CORE_ARRAY_SIZE(regions) && newest_copy <= 1);
	for (i = 0; i < nr; i++)
		CHECK(regions[i] < REGIONS);
	CHECK(known || !written_id);
	CHECK(!ondisk_actlog_load(&expected, &expected, block[0], NULL, REGIONS, regions, &nr, &sequence, &written_id,
				  &newest_copy));
}

static void try_plan(struct fuzz_input *input)
{
	u64 disk_bytes = fuzz_u64(input), meta_bytes = fuzz_u64(input), wanted_bytes = fuzz_u64(input);
	struct ondisk_super plan = { 0 };
	struct ondisk_layout layout;
	u32 parts = fuzz_u8(input), separate = fuzz_u8(input) & 1;

	ondisk_layout(disk_bytes, fuzz_u32(input), &layout);
	if (!ondisk_plan(disk_bytes, meta_bytes, separate, wanted_bytes, parts, &plan))
		return;
	CHECK(ondisk_layout(plan.volume_bytes, plan.granule_bytes, &layout));
	CHECK(layout.end <= plan.meta_bytes && plan.volume_bytes <= disk_bytes);
	CHECK(separate ? plan.meta_bytes <= meta_bytes : plan.data_offset_bytes >= plan.meta_bytes &&
	      plan.data_offset_bytes <= disk_bytes - plan.volume_bytes);
	CHECK(!wanted_bytes || plan.volume_bytes == wanted_bytes);
	CHECK(plan.actlog_parts >= 1 && plan.actlog_parts <= ACTLOG_PARTS_MAX);
	CHECK(ondisk_page_offset(&layout, REPLICAS_MAX - 1, layout.pages_per_slot - 1) + META_BLOCK_BYTES == layout.end);
}

static void read_block(struct fuzz_input *input, u8 *to)
{
	u32 length = fuzz_u16(input) % (META_BLOCK_BYTES + 1);

	if (length > input->left)
		length = (u32)input->left;
	memcpy(to, input->at, length);
	memset(to + length, 0, META_BLOCK_BYTES - length);
	input->at += length;
	input->left -= length;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fuzz_input input = { data, size };
	u32 what = fuzz_u8(&input) % WHATS;

	if (what == 0) {
		try_plan(&input);
		return 0;
	}
	read_block(&input, block[0]);
	read_block(&input, block[1]);
	if (what == 1) {
		try_actlog();
		return 0;
	}
	try_super(0);
	try_super(1);
	try_choose();
	return 0;
}

/* A valid superblock of a small volume, all of it drawn. */
static u32 fresh_super(u32 copy, u32 *random, u8 *to)
{
	struct ondisk_super made = { .volume_id = 1, .replica_id = 2, .name = "v", .split_peer = NODE_NONE };
	u64 size = (u64)4096 << fuzz_random(random) % 30;
	u32 length;

	if (!ondisk_plan(size + (64u << 20), size, fuzz_random(random) % 2, 0, 1 + fuzz_random(random) % 8, &made))
		ondisk_plan(1ull << 30, 1ull << 30, false, 0, 1, &made);
	made.flags = made.data_offset_bytes ? 0 : ONDISK_SEPARATE;
	made.sequence = fuzz_random(random) % 4;
	made.node_id = fuzz_random(random) % NODES_MAX;
	made.replicas = NODE_BIT(made.node_id);
	memset(made.slot_node, NODE_NONE, sizeof(made.slot_node));
	for (length = fuzz_random(random) % 8; length; length--) {
		struct generation next = lineage_next(&made.chain, fuzz_random(random), made.replicas, made.node_id);

		lineage_append(&made.chain, &next);
	}
	ondisk_super_encode(&made, copy, to);
	for (length = META_BLOCK_BYTES; length && !to[length - 1];)
		length--;
	return length;
}

/* Blocks as the input has them: zero-extended, sealed, cut again. */
static void repair(u8 *data, size_t size, u32 *random)
{
	static u8 whole[META_BLOCK_BYTES];
	size_t at = 1;
	u32 copy;

	for (copy = 0; copy < 2 && at + 2 + 64 <= size; copy++) {
		u32 length = core_get_le16(data + at) % (META_BLOCK_BYTES + 1);

		if (length < 64 || length > size - at - 2)
			length = (u32)(size - at - 2) > META_BLOCK_BYTES ? META_BLOCK_BYTES : (u32)(size - at - 2);
		core_put_le16(data + at, (u16)length);
		memcpy(whole, data + at + 2, length);
		memset(whole + length, 0, sizeof(whole) - length);
		if (data[0] % WHATS != 1)
			core_put_le64(whole + 24, ondisk_super_offset(copy));
		memset(whole + 48, 0, 16);
		if (fuzz_random(random) % 8)
			seal(whole, data[0] % WHATS == 1 ? ONDISK_ACTLOG : ONDISK_SUPERBLOCK);
		memcpy(data + at + 2, whole, length);
		at += 2 + length;
	}
}

size_t LLVMFuzzerCustomMutator(u8 *data, size_t size, size_t max_size, unsigned int seed)
{
	static u8 whole[META_BLOCK_BYTES];
	u32 random = seed | 1, copy;

	if (fuzz_random(&random) % 32 == 0 && max_size > 2 * META_BLOCK_BYTES + 8) {
		data[0] = 2;
		size = 1;
		for (copy = 0; copy < 2; copy++) {
			u32 length = fresh_super(copy, &random, whole);

			core_put_le16(data + size, (u16)length);
			memcpy(data + size + 2, whole, length);
			size += 2 + length;
		}
		return size;
	}
	size = LLVMFuzzerMutate(data, size, max_size);
	if (size && data[0] % WHATS && fuzz_random(&random) % 16)
		repair(data, size, &random);
	return size;
}
