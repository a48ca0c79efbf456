// SPDX-License-Identifier: GPL-2.0
/*
 * [M] [D5] [I17]: metadata blocks come back as written or not at all, and a crash while one is written loses nothing
 * that was committed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../kernel/core/actlog.h"
#include "../../kernel/core/codec.h"
#include "../../kernel/core/dirty.h"
#include "../../kernel/core/ondisk.h"
#include "../lib/random.h"

enum { TORN_BYTES = 512, NR_REGIONS = 5000 };

#define MIB (1ull << 20)
#define TIB (1ull << 40)

static u8 block[META_BLOCK_BYTES], other[META_BLOCK_BYTES], torn[META_BLOCK_BYTES];
static struct ondisk_super super, found;
static u32 regions[2 * ACTLOG_PART_REGIONS];

static void random_super(struct ondisk_super *s)
{
	u32 i;

	memset(s, 0, sizeof(*s));
	assert_true(ondisk_plan(16 * MIB + random_below(TIB), 0, false, 0, 0, s));
	s->volume_id = random_u64() | 1;
	s->replica_id = random_u64() | 1;
	s->sequence = random_u64() >> 1;
	random_fill(s->cluster_id, UUID_BYTES);
	random_fill(s->node_instance, UUID_BYTES);
	memcpy(s->name, "web-1_a.b", 9);
	s->replaced = (u32)random_u64();
	s->flags = (u32)random_u64() & (ONDISK_SYNCING | ONDISK_SPLIT | ONDISK_YIELD | ONDISK_ATTACHED | ONDISK_BLANK);
	s->node_id = (u8)random_below(NODES_MAX);
	s->replicas = NODE_BIT(s->node_id) | (u32)random_below(256);
	for (i = 0; i < REPLICAS_MAX; i++) {
		s->slot_node[i] = random_u64() & 1 ? NODE_NONE : (u8)(NODES_MAX - 1 - i);
		s->slot_replica[i] = random_u64();
	}
	s->split_peer = (s->node_id + 1) % NODES_MAX;
	s->block_shift = random_u64() & 1 ? VOLUME_BLOCK_SHIFT_MAX : 0;
	s->split_id = random_u64() | 1;
	s->split_ancestor_id = random_u64();
	s->split_ancestor_number = random_u64();
	s->attach_count = random_u64();
	s->voters = (u32)random_u64();
	s->voters_epoch = random_u64();
	s->chain.count = (u32)random_below(CHAIN_RECORDS_MAX + 1);
	for (i = 0; i < s->chain.count; i++) {
		s->chain.record[i].id = random_u64() | 1;
		s->chain.record[i].parent_id = i ? s->chain.record[i - 1].id : 0;
		s->chain.record[i].number = i + 1;
		s->chain.record[i].members = (u32)random_u64() | 1;
		s->chain.record[i].writer = random_u64() & 1 ? NODE_NONE : (u8)random_below(NODES_MAX);
		s->chain.record[i].written = random_u64() & 1;
	}
}

/* One kind of block: how to make a random one in @block, and whether @bytes are accepted as that very one. */
struct kind {
	const char *name;
	void (*make)(void);
	bool (*accepted)(const u8 *bytes);
};

static struct ondisk_header header;
static u64 written_id;
static u8 body[META_BODY_BYTES];

static void random_header(u16 kind)
{
	header.volume_id = random_u64() | 1;
	header.replica_id = random_u64() | 1;
	header.location = random_below(1000) * META_BLOCK_BYTES;
	header.sequence = random_u64();
	header.kind = kind;
}

static void make_super(void)
{
	random_super(&super);
	ondisk_super_encode(&super, 1, block);
}

static bool super_accepted(const u8 *bytes)
{
	memset(&found, 0, sizeof(found));
	if (ondisk_super_decode(bytes, 1, &found) != ONDISK_OK)
		return false;
	assert_memory_equal(&found, &super, sizeof(super));
	return true;
}

static void make_actlog(void)
{
	u32 i;

	random_header(ONDISK_ACTLOG);
	written_id = random_u64();
	for (i = 0; i < ACTLOG_PART_REGIONS; i++)
		regions[i] = random_u64() & 1 ? ACTLOG_NO_REGION :
						(u32)random_below(VOLUME_BYTES_MAX / ACTLOG_REGION_BYTES);
	ondisk_actlog_encode(&header, written_id, regions, block);
}

static void test_actlog_in_place(void **state)
{
	u64 aligned[META_BLOCK_BYTES / 8];
	u8 *other = (u8 *)aligned;
	u32 i;

	(void)state;
	for (i = 0; i < 100; i++) {
		make_actlog();
		memset(other, 0xa5, META_BLOCK_BYTES);
		memcpy(other + ONDISK_ACTLOG_REGIONS, regions, ACTLOG_PART_REGIONS * sizeof(regions[0]));
		ondisk_actlog_encode(&header, written_id, (u32 *)(other + ONDISK_ACTLOG_REGIONS), other);
		assert_memory_equal(other, block, META_BLOCK_BYTES);
	}
}

static bool actlog_accepted(const u8 *bytes)
{
	u32 got[ACTLOG_PART_REGIONS];
	u64 sequence, id;

	if (ondisk_actlog_decode(&header, bytes, &sequence, &id, got) != ONDISK_OK)
		return false;
	assert_memory_equal(got, regions, sizeof(got));
	assert_true(sequence == header.sequence && id == written_id);
	return true;
}

static void make_index(void)
{
	random_header(ONDISK_DIRTY_INDEX);
	random_fill(body, sizeof(body));
	ondisk_body_encode(&header, body, block);
}

static void make_page(void)
{
	make_index();
	header.kind = ONDISK_DIRTY_PAGE;
	ondisk_body_encode(&header, body, block);
}

static bool body_accepted(const u8 *bytes)
{
	const u8 *got;
	u64 sequence;

	if (ondisk_body_decode(&header, bytes, &got, &sequence) != ONDISK_OK)
		return false;
	assert_memory_equal(got, body, sizeof(body));
	assert_true(sequence == header.sequence && got == bytes + META_HEADER_BYTES);
	return true;
}

static const struct kind kinds[] = {
	{ "superblock", make_super, super_accepted },
	{ "activity log part", make_actlog, actlog_accepted },
	{ "dirty index block", make_index, body_accepted },
	{ "dirty page", make_page, body_accepted },
};

static void test_round_trip_of_every_kind(void **state)
{
	u32 k, i;

	(void)state;
	for (k = 0; k < CORE_ARRAY_SIZE(kinds); k++) {
		for (i = 0; i < 200; i++) {
			kinds[k].make();
			assert_true(kinds[k].accepted(block));
		}
	}
}

static void test_flips_zeroes_and_torn_sectors(void **state)
{
	u32 k, at, bit, copy;

	(void)state;
	for (k = 0; k < CORE_ARRAY_SIZE(kinds); k++) {
		kinds[k].make();
		memcpy(other, block, META_BLOCK_BYTES);
		kinds[k].make();
		for (bit = 0; bit < META_BLOCK_BYTES * 8; bit += bit < 2048 ? 1 : 61) {
			block[bit / 8] ^= (u8)(1 << bit % 8);
			assert_false(kinds[k].accepted(block));
			block[bit / 8] ^= (u8)(1 << bit % 8);
		}
		for (at = 0; at < META_BLOCK_BYTES; at += TORN_BYTES) {
			for (copy = 0; copy < 3; copy++) {
				/* Old before @at and new after, the reverse, or one sector of zeroes. */
				memcpy(torn, copy ? block : other, META_BLOCK_BYTES);
				if (copy < 2)
					memcpy(torn + at, copy ? other + at : block + at, META_BLOCK_BYTES - at);
				else
					memset(torn + at, 0, TORN_BYTES);
				if (memcmp(torn, block, META_BLOCK_BYTES) == 0)
					continue;
				if (memcmp(torn, other, META_BLOCK_BYTES) == 0)
					continue;
				assert_false(kinds[k].accepted(torn));
			}
		}
		memset(torn, 0, META_BLOCK_BYTES);
		assert_false(kinds[k].accepted(torn));
		memset(torn, 0xff, META_BLOCK_BYTES);
		assert_false(kinds[k].accepted(torn));
	}
}

/* Correct the checksum after a change. */
static void reseal(u8 *bytes)
{
	core_put_le32(bytes + 8, core_crc32c(0, bytes + 12, META_BLOCK_BYTES - 12));
}

static void test_wrong_place_volume_replica(void **state)
{
	const u8 *got;
	u64 sequence;

	(void)state;
	make_page();
	header.location += META_BLOCK_BYTES;
	assert_int_equal(ondisk_body_decode(&header, block, &got, &sequence), ONDISK_WRONG_PLACE);
	header.location -= META_BLOCK_BYTES;
	header.volume_id ^= 1;
	assert_int_equal(ondisk_body_decode(&header, block, &got, &sequence), ONDISK_WRONG_VOLUME);
	header.volume_id ^= 1;
	header.replica_id ^= 1;
	assert_int_equal(ondisk_body_decode(&header, block, &got, &sequence), ONDISK_WRONG_REPLICA);
	header.replica_id ^= 1;
	header.kind = ONDISK_DIRTY_INDEX;
	assert_int_equal(ondisk_body_decode(&header, block, &got, &sequence), ONDISK_BAD_KIND);
	header.kind = ONDISK_DIRTY_PAGE;
	core_put_le16(block + 14, 2);
	assert_int_equal(ondisk_body_decode(&header, block, &got, &sequence), ONDISK_BAD_CHECKSUM);
	reseal(block);
	assert_int_equal(ondisk_body_decode(&header, block, &got, &sequence), ONDISK_BAD_VERSION);
	make_super();
	assert_int_equal(ondisk_super_decode(block, 0, &found), ONDISK_WRONG_PLACE);
	block[0] ^= 1;
	assert_int_equal(ondisk_super_decode(block, 1, &found), ONDISK_BAD_MAGIC);
	assert_string_equal(ondisk_error_name(ONDISK_WRONG_REPLICA), "WRONG_REPLICA");
	assert_string_equal(ondisk_error_name(99), "?");
}

#define IMPOSSIBLE(assignment)								\
	do {										\
		random_super(&super);							\
		super.chain.count = 0;							\
		assert_true(ondisk_super_valid(&super));				\
		assignment;								\
		assert_false(ondisk_super_valid(&super));				\
		ondisk_super_encode(&super, 1, block);					\
		assert_int_equal(ondisk_super_decode(block, 1, &found), ONDISK_BAD_FIELD); \
	} while (0)

static void test_impossible_superblocks(void **state)
{
	(void)state;
	IMPOSSIBLE(super.volume_id = 0);
	IMPOSSIBLE(super.replica_id = 0);
	IMPOSSIBLE(super.name[0] = '-');
	IMPOSSIBLE(super.name[2] = ' ');
	IMPOSSIBLE(super.volume_bytes += 512);
	IMPOSSIBLE(super.volume_bytes = 0);
	IMPOSSIBLE(super.volume_bytes = VOLUME_BYTES_MAX + 4096);
	IMPOSSIBLE(super.granule_bytes = 3 * 4096);
	IMPOSSIBLE(super.granule_bytes = GRANULE_BYTES_MAX * 2);
	IMPOSSIBLE(super.meta_bytes -= META_BLOCK_BYTES);
	IMPOSSIBLE(super.meta_bytes = ~0ull - 4095);
	IMPOSSIBLE(super.data_offset_bytes += 512);
	IMPOSSIBLE(super.data_offset_bytes = 0);
	IMPOSSIBLE(super.flags |= ONDISK_SEPARATE);
	IMPOSSIBLE(super.flags |= 1u << 20);
	IMPOSSIBLE(super.actlog_parts = 0);
	IMPOSSIBLE(super.actlog_parts = ACTLOG_PARTS_MAX + 1);
	IMPOSSIBLE(super.block_shift = 1);
	IMPOSSIBLE(super.block_shift = VOLUME_BLOCK_SHIFT_MAX + 1);
	IMPOSSIBLE(super.node_id = NODES_MAX);
	IMPOSSIBLE(super.replicas &= ~NODE_BIT(super.node_id));
	IMPOSSIBLE(super.replicas |= 0x1ffff);
	IMPOSSIBLE((super.slot_node[0] = 3, super.slot_node[9] = 3));
	IMPOSSIBLE(super.slot_node[15] = NODES_MAX);
	IMPOSSIBLE((super.flags |= ONDISK_SPLIT, super.split_id = 0));
	IMPOSSIBLE((super.flags |= ONDISK_SPLIT, super.split_peer = NODE_NONE));
	IMPOSSIBLE((super.chain.count = 1, super.chain.record[0].id = 0));
}

static void test_features(void **state)
{
	(void)state;
	random_super(&super);
	super.incompat = 1ull << 40;
	ondisk_super_encode(&super, 1, block);
	assert_int_equal(ondisk_super_decode(block, 1, &found), ONDISK_INCOMPATIBLE);
	random_super(&super);
	ondisk_super_encode(&super, 1, block);
	block[424] = 1;
	reseal(block);
	assert_int_equal(ondisk_super_decode(block, 1, &found), ONDISK_BAD_FIELD);
	/* Under an unknown compat feature the reserved space may be in use; one that is known claims none of it. */
	core_put_le64(block + 64, ONDISK_COMPAT_TRUST);
	reseal(block);
	assert_int_equal(ondisk_super_decode(block, 1, &found), ONDISK_BAD_FIELD);
	core_put_le64(block + 64, 1ull << 63);
	reseal(block);
	assert_int_equal(ondisk_super_decode(block, 1, &found), ONDISK_OK);
}

/* Both copies of @super, sequences given, into @block (copy 0) and @other (copy 1). */
static void two_copies(u64 sequence0, u64 sequence1)
{
	random_super(&super);
	super.sequence = sequence0;
	ondisk_super_encode(&super, 0, block);
	super.sequence = sequence1;
	ondisk_super_encode(&super, 1, other);
}

static void test_choice_of_copies(void **state)
{
	enum ondisk_error error[2];

	(void)state;
	two_copies(5, 6);
	assert_int_equal(ondisk_super_choose(block, other, &found, error), 1);
	assert_int_equal(found.sequence, 6);
	two_copies(7, 6);
	assert_int_equal(ondisk_super_choose(block, other, &found, error), 0);
	assert_int_equal(found.sequence, 7);
	assert_true(error[0] == ONDISK_OK && error[1] == ONDISK_OK);
	two_copies(5, 5);
	assert_int_equal(ondisk_super_choose(block, other, &found, error), 0);
	two_copies(5, 6);
	other[2000] ^= 1;
	assert_int_equal(ondisk_super_choose(block, other, &found, error), 0);
	assert_int_equal(found.sequence, 5);
	assert_int_equal(error[1], ONDISK_BAD_CHECKSUM);
	two_copies(7, 6);
	memset(block, 0, sizeof(block));
	assert_int_equal(ondisk_super_choose(block, other, &found, error), 1);
	assert_int_equal(found.sequence, 6);
	assert_int_equal(error[0], ONDISK_BAD_MAGIC);
	memset(other, 0, sizeof(other));
	assert_int_equal(ondisk_super_choose(block, other, &found, error), -1);
	/* Copy 1 in the place of copy 0 and the reverse. */
	two_copies(7, 6);
	assert_int_equal(ondisk_super_choose(other, block, &found, error), -1);
	assert_true(error[0] == ONDISK_WRONG_PLACE && error[1] == ONDISK_WRONG_PLACE);
}

static void test_choice_refuses_the_impossible(void **state)
{
	enum ondisk_error error[2];

	(void)state;
	two_copies(5, 6);
	super.replica_id += 2;
	ondisk_super_encode(&super, 1, other);
	assert_int_equal(ondisk_super_choose(block, other, &found, error), -1);
	assert_true(error[0] == ONDISK_WRONG_REPLICA && error[1] == ONDISK_WRONG_REPLICA);
	super.volume_id += 2;
	ondisk_super_encode(&super, 1, other);
	assert_int_equal(ondisk_super_choose(block, other, &found, error), -1);
	assert_int_equal(error[0], ONDISK_WRONG_VOLUME);
	/* The newer copy needs a newer version: the older one is no way out; an older such copy is no obstacle. */
	two_copies(5, 6);
	super.incompat = 1;
	ondisk_super_encode(&super, 1, other);
	assert_int_equal(ondisk_super_choose(block, other, &found, error), -1);
	assert_int_equal(error[1], ONDISK_INCOMPATIBLE);
	super.sequence = 4;
	ondisk_super_encode(&super, 1, other);
	assert_int_equal(ondisk_super_choose(block, other, &found, error), 0);
	two_copies(9, 6);
	core_put_le16(block + 14, 9);
	reseal(block);
	assert_int_equal(ondisk_super_choose(block, other, &found, error), -1);
}

static void check_layout(u64 volume_bytes, u32 granule_bytes)
{
	struct ondisk_layout layout;
	u64 bits;

	assert_true(ondisk_layout(volume_bytes, granule_bytes, &layout));
	bits = (volume_bytes + granule_bytes - 1) / granule_bytes;
	assert_int_equal(layout.pages_per_slot, dirty_entries_needed(volume_bytes, granule_bytes));
	assert_true((u64)layout.pages_per_slot * DIRTY_PAGE_BITS >= bits);
	assert_true((u64)layout.index_blocks_per_slot * DIRTY_INDEX_ENTRIES >= layout.pages_per_slot);
	/* Every area begins at or after the end of the one before it, first to last block. */
	assert_true(ondisk_super_offset(1) >= ondisk_super_offset(0) + META_BLOCK_BYTES);
	assert_true(ondisk_actlog_offset(&layout, 0, 0) >= ondisk_super_offset(1) + 2 * META_BLOCK_BYTES);
	assert_true(ondisk_index_offset(&layout, 0, 0) ==
		    ondisk_actlog_offset(&layout, ACTLOG_PARTS_MAX - 1, 1) + META_BLOCK_BYTES);
	assert_true(ondisk_index_offset(&layout, 1, 0) ==
		    ondisk_index_offset(&layout, 0, layout.index_blocks_per_slot - 1) + META_BLOCK_BYTES);
	assert_true(ondisk_page_offset(&layout, 0, 0) ==
		    ondisk_index_offset(&layout, REPLICAS_MAX - 1, layout.index_blocks_per_slot - 1) + META_BLOCK_BYTES);
	assert_true(ondisk_page_offset(&layout, 1, 0) ==
		    ondisk_page_offset(&layout, 0, layout.pages_per_slot - 1) + META_BLOCK_BYTES);
	assert_true(layout.end ==
		    ondisk_page_offset(&layout, REPLICAS_MAX - 1, layout.pages_per_slot - 1) + META_BLOCK_BYTES);
	assert_true(layout.end % META_BLOCK_BYTES == 0);
}

static void test_layout_from_4k_to_1p(void **state)
{
	struct ondisk_layout layout;
	u64 bytes;
	int i;

	(void)state;
	for (bytes = 4096; bytes <= VOLUME_BYTES_MAX; bytes *= 2) {
		check_layout(bytes, dirty_granule_bytes(bytes));
		check_layout(bytes, GRANULE_BYTES_MIN);
		check_layout(bytes, GRANULE_BYTES_MAX);
		if (bytes < VOLUME_BYTES_MAX)
			check_layout(bytes + 4096, dirty_granule_bytes(bytes + 4096));
	}
	for (i = 0; i < 1000; i++) {
		bytes = 4096 * (1 + random_below(VOLUME_BYTES_MAX / 4096));
		check_layout(bytes, dirty_granule_bytes(bytes));
	}
	assert_false(ondisk_layout(0, 4096, &layout));
	assert_false(ondisk_layout(4095, 4096, &layout));
	assert_false(ondisk_layout(VOLUME_BYTES_MAX + 4096, 4096, &layout));
	assert_false(ondisk_layout(~0ull - 4095, 4096, &layout));
	assert_false(ondisk_layout(4096, 2048, &layout));
	assert_false(ondisk_layout(4096, 4096 * 3, &layout));
}

static void check_plan(u64 disk_bytes, u64 meta_disk_bytes, bool separate, u64 wanted_bytes)
{
	u64 slack_bytes;

	random_super(&super);
	assert_true(ondisk_plan(disk_bytes, meta_disk_bytes, separate, wanted_bytes, 0, &super));
	super.flags = separate ? ONDISK_SEPARATE : 0;
	assert_true(ondisk_super_valid(&super));
	assert_true(super.data_offset_bytes + super.volume_bytes <= disk_bytes);
	if (separate)
		assert_true(super.meta_bytes <= meta_disk_bytes);
	if (wanted_bytes) {
		assert_true(super.volume_bytes == wanted_bytes);
		return;
	}
	slack_bytes = disk_bytes - super.data_offset_bytes - super.volume_bytes;
	assert_true(slack_bytes < VOLUME_BLOCK_BYTES || super.volume_bytes == VOLUME_BYTES_MAX);
}

static void test_plan(void **state)
{
	u64 bytes, wanted;
	int i;

	(void)state;
	check_plan(MIB + 4096, 0, false, 0);
	for (bytes = 2 * MIB; bytes <= VOLUME_BYTES_MAX; bytes *= 2) {
		check_plan(bytes, 0, false, 0);
		check_plan(bytes - 1, 0, false, 0);
		check_plan(bytes + 512, 0, false, 0);
		check_plan(bytes, bytes, true, 0);
	}
	check_plan(VOLUME_BYTES_MAX + MIB, 0, false, 0);
	check_plan(~0ull, 0, false, 0);
	check_plan(~0ull, TIB, true, 0);
	for (i = 0; i < 1000; i++) {
		bytes = 4 * MIB + random_below(VOLUME_BYTES_MAX - 4 * MIB);
		check_plan(bytes, 0, false, 0);
		wanted = super.volume_bytes / 2 / 4096 * 4096;
		check_plan(bytes, 0, false, wanted);
	}
	assert_true(ondisk_plan(2 * TIB, 0, false, TIB, 3, &super));
	assert_int_equal(super.actlog_parts, 3);
	assert_int_equal(super.granule_bytes, dirty_granule_bytes(TIB));
}

static void test_plan_refuses(void **state)
{
	struct ondisk_layout layout;

	(void)state;
	assert_false(ondisk_plan(0, 0, false, 0, 0, &super));
	assert_false(ondisk_plan(4095, 0, false, 0, 0, &super));
	assert_false(ondisk_plan(MIB, 0, false, 0, 0, &super));
	assert_false(ondisk_plan(MIB + 4095, 0, false, 0, 0, &super));
	assert_false(ondisk_plan(TIB, 0, false, TIB, 0, &super));
	assert_false(ondisk_plan(TIB, 0, false, 2 * TIB, 0, &super));
	assert_false(ondisk_plan(TIB, TIB, true, TIB + 4096, 0, &super));
	assert_true(ondisk_plan(TIB, TIB, true, TIB, 0, &super));
	assert_false(ondisk_plan(TIB, 0, false, 5000, 0, &super));
	assert_false(ondisk_plan(TIB, 0, false, ~0ull - 4095, 0, &super));
	assert_false(ondisk_plan(TIB, 0, false, 0, ACTLOG_PARTS_MAX + 1, &super));
	assert_true(ondisk_layout(TIB, dirty_granule_bytes(TIB), &layout));
	assert_false(ondisk_plan(TIB, layout.end - 1, true, 0, 0, &super));
	assert_true(ondisk_plan(TIB, layout.end, true, 0, 0, &super));
}

/* ---- activity log after a crash ---- */

static struct ondisk_header log_header[2];
static u8 log_block[2][META_BLOCK_BYTES];
static u32 loaded[2 * ACTLOG_PART_REGIONS], nr_loaded, newest_copy;
static u64 loaded_sequence, loaded_written;

static void log_format(void)
{
	u32 copy;

	random_header(ONDISK_ACTLOG);
	for (copy = 0; copy < 2; copy++) {
		log_header[copy] = header;
		log_header[copy].location = ACTLOG_PART_REGIONS * META_BLOCK_BYTES + copy * META_BLOCK_BYTES;
		memset(log_block[copy], 0, META_BLOCK_BYTES);
	}
}

static bool log_load(void)
{
	return ondisk_actlog_load(&log_header[0], &log_header[1], log_block[0], log_block[1], NR_REGIONS, loaded,
				  &nr_loaded, &loaded_sequence, &loaded_written, &newest_copy);
}

static bool log_names(u32 region)
{
	u32 i;

	for (i = 0; i < nr_loaded; i++)
		if (loaded[i] == region)
			return true;
	return false;
}

static void log_write(u32 copy, u64 sequence, u64 id, const u32 *what, u8 *bytes)
{
	log_header[copy].sequence = sequence;
	ondisk_actlog_encode(&log_header[copy], id, what, bytes);
}

static void random_regions(u32 *what)
{
	u32 i;

	for (i = 0; i < ACTLOG_PART_REGIONS; i++)
		what[i] = random_u64() % 4 ? (u32)random_below(NR_REGIONS) : ACTLOG_NO_REGION;
}

/* Any subset of the sectors of a commit reached the disk: all that the commit before it named is still there. */
static void test_actlog_torn_copies_lose_nothing(void **state)
{
	static u32 committed[ACTLOG_PART_REGIONS], next[ACTLOG_PART_REGIONS];
	u32 mask, i, round;

	(void)state;
	log_format();
	assert_true(log_load());
	assert_int_equal(nr_loaded, 0);
	assert_int_equal(newest_copy, 1);
	random_regions(committed);
	log_write(0, 1, 77, committed, log_block[0]);
	for (round = 2; round < 8; round++) {
		u32 copy = (round + 1) & 1;

		random_regions(next);
		log_write(copy, round, 100 + round, next, block);
		memcpy(other, log_block[copy], META_BLOCK_BYTES);
		for (mask = 0; mask < 256; mask++) {
			for (i = 0; i < 8; i++)
				memcpy(log_block[copy] + i * 512, (mask >> i & 1 ? block : other) + i * 512, 512);
			assert_true(log_load());
			assert_true(nr_loaded <= CORE_ARRAY_SIZE(loaded));
			if (mask == 255) {
				assert_true(loaded_sequence == round && loaded_written == 100 + round);
				assert_int_equal(newest_copy, copy);
			} else {
				assert_true(loaded_sequence == round - 1 || memcmp(log_block[copy], block, 4096) == 0);
				for (i = 0; i < ACTLOG_PART_REGIONS; i++)
					assert_true(committed[i] == ACTLOG_NO_REGION || log_names(committed[i]));
			}
		}
		memcpy(committed, next, sizeof(committed));
	}
}

static void test_actlog_load_claims_when_in_doubt(void **state)
{
	static u32 first[ACTLOG_PART_REGIONS];

	(void)state;
	memset(first, 0xff, sizeof(first));
	first[3] = 42;
	log_format();
	log_write(0, 1, 0, first, log_block[0]);
	first[3] = 43;
	log_write(1, 2, 9, first, log_block[1]);
	assert_true(log_load());
	assert_true(nr_loaded == 1 && loaded[0] == 43 && loaded_written == 9);
	/* The newer copy is damaged: its regions are claimed as well. */
	log_block[1][META_BLOCK_BYTES - 1] ^= 0x40;
	assert_true(log_load());
	assert_true(log_names(42) && log_names(43) && loaded_sequence == 1 && newest_copy == 0);
	/* Both damaged. */
	log_block[0][META_BLOCK_BYTES - 1] ^= 0x40;
	assert_false(log_load());
	/* Unreadable. */
	assert_false(ondisk_actlog_load(&log_header[0], &log_header[1], log_block[0], NULL, NR_REGIONS, loaded,
					&nr_loaded, &loaded_sequence, &loaded_written, &newest_copy));
	/* Copies of another life or place are not there; a region beyond the volume makes a copy worthless. */
	log_write(0, 1, 0, first, log_block[0]);
	log_write(1, 2, 0, first, log_block[1]);
	log_header[0].replica_id ^= 2;
	log_header[1].replica_id ^= 2;
	assert_false(log_load());
	log_header[0].replica_id ^= 2;
	log_header[1].replica_id ^= 2;
	memcpy(log_block[1], log_block[0], META_BLOCK_BYTES);
	assert_true(log_load());
	assert_int_equal(newest_copy, 0);
	first[5] = NR_REGIONS;
	log_write(0, 1, 0, first, log_block[0]);
	assert_false(log_load());
}

static void test_random_blocks(void **state)
{
	enum ondisk_error error[2];
	int i;

	(void)state;
	for (i = 0; i < 3000; i++) {
		u32 changes = 1 + (u32)random_below(20);

		make_super();
		while (changes--)
			block[12 + random_below(META_BLOCK_BYTES - 12)] = (u8)random_u64();
		reseal(block);
		if (ondisk_super_decode(block, 1, &found) == ONDISK_OK)
			assert_true(ondisk_super_valid(&found));
		ondisk_super_choose(other, block, &found, error);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_actlog_in_place),
		cmocka_unit_test(test_round_trip_of_every_kind),
		cmocka_unit_test(test_flips_zeroes_and_torn_sectors),
		cmocka_unit_test(test_wrong_place_volume_replica),
		cmocka_unit_test(test_impossible_superblocks),
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_choice_of_copies),
		cmocka_unit_test(test_choice_refuses_the_impossible),
		cmocka_unit_test(test_layout_from_4k_to_1p),
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_plan_refuses),
		cmocka_unit_test(test_actlog_torn_copies_lose_nothing),
		cmocka_unit_test(test_actlog_load_claims_when_in_doubt),
		cmocka_unit_test(test_random_blocks),
	};

	random_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
