// SPDX-License-Identifier: GPL-2.0
/*
 * What no writer of ours produces and no caller of ours asks: each is refused by the right error, or does nothing [I17] [I22].
 * The round trips, flips and random bytes of the other programs hardly ever meet these.
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
#include "../../kernel/core/volume.h"

enum { UNKNOWN_TYPE = 200 };

static u8 buffer[WIRE_FIXED_BYTES_MAX + 64];
static union wire_body body, decoded;

/* ---- frames ---- */

/* A legal body of @type with the least in it. */
static void make_body(u8 type)
{
	memset(&body, 0, sizeof(body));
	body.volume.volume_id = 7;		/* it stands first in every body of a volume */
	switch (type) {
	case WIRE_BYE:
		body.bye.reason = WIRE_BYE_DOWN;
		break;
	case WIRE_GREET:
		body.greet.replica_id = 8;
		body.greet.volume_bytes = 1 << 20;
		body.greet.granule_bytes = GRANULE_BYTES_MIN;
		body.greet.actlog_parts = 1;
		body.greet.number = 1;
		body.greet.flags = WIRE_GREET_DISK;
		body.greet.replicas = 1;
		body.greet.primary = NODE_NONE;
		body.greet.sync_source = NODE_NONE;
		body.greet.name[0] = 'v';
		break;
	case WIRE_VERDICT:
		body.verdict.my_number = 1;
		body.verdict.your_number = 1;
		break;
	case WIRE_RECORD:
		body.record.record = (struct generation){ .id = 3, .number = 1, .members = 1, .writer = NODE_NONE };
		break;
	case WIRE_SYNC_READY:
	case WIRE_SYNC_DONE:
	case WIRE_RESOLVE:
		body.volume.value = 9;
		body.volume.node = NODE_NONE;
		break;
	case WIRE_DIGESTS:
	case WIRE_DIFFERS:
		body.resync.length_bytes = RESYNC_PIECE_BYTES;
		break;
	case WIRE_READ:
		body.io.length_bytes = VOLUME_SECTOR_BYTES;
		break;
	default:
		break;
	}
}

static enum wire_error decode(u8 type, u32 length_bytes)
{
	struct wire_header header = { .type = type, .length_bytes = length_bytes };

	memset(&decoded, 0, sizeof(decoded));
	return wire_decode_body(&header, buffer, length_bytes, &decoded);
}

static void test_frames_of_no_volume(void **state)
{
	static const u8 types[] = {
		WIRE_GREET, WIRE_VERDICT, WIRE_RECORD, WIRE_RECORD_ACK, WIRE_PROMOTE_ASK, WIRE_PROMOTE_ANSWER, WIRE_SYNC_READY,
		WIRE_RANGES, WIRE_SYNC_ACCEPT, WIRE_SYNC_DONE, WIRE_RESOLVE, WIRE_READ, WIRE_EVICT, WIRE_DIGESTS, WIRE_DIFFERS,
	};
	u32 i, length_bytes;

	(void)state;
	for (i = 0; i < CORE_ARRAY_SIZE(types); i++) {
		make_body(types[i]);
		length_bytes = wire_encode_body(types[i], &body, buffer);
		assert_int_equal(decode(types[i], length_bytes), WIRE_OK);
		memset(buffer, 0, 8);
		assert_int_equal(decode(types[i], length_bytes), WIRE_BAD_FIELD);
	}
}

#define GREET_ERROR(change)								\
	(make_body(WIRE_GREET), body.greet.change, decode(WIRE_GREET, wire_encode_body(WIRE_GREET, &body, buffer)))

static void test_greeting_of_an_impossible_disk(void **state)
{
	u32 length_bytes;

	(void)state;
	assert_int_equal(GREET_ERROR(number = 2), WIRE_OK);
	assert_int_equal(GREET_ERROR(replica_id = 0), WIRE_BAD_FIELD);
	assert_int_equal(GREET_ERROR(volume_bytes = 0), WIRE_BAD_FIELD);
	assert_int_equal(GREET_ERROR(granule_bytes = 0), WIRE_BAD_FIELD);
	assert_int_equal(GREET_ERROR(actlog_parts = 0), WIRE_BAD_FIELD);
	assert_int_equal(GREET_ERROR(replicas = 0), WIRE_BAD_FIELD);
	assert_int_equal(GREET_ERROR(replicas = 0x1ffff), WIRE_BAD_FIELD);
	assert_int_equal(GREET_ERROR(flags = 0), WIRE_OK);
	make_body(WIRE_GREET);
	body.greet = (struct wire_greet){ .volume_id = 7, .number = 1, .primary = NODE_NONE, .sync_source = NODE_NONE,
					  .name = "v" };	/* without a disk it knows no sizes */
	assert_int_equal(decode(WIRE_GREET, wire_encode_body(WIRE_GREET, &body, buffer)), WIRE_OK);
	make_body(WIRE_BYE);
	length_bytes = wire_encode_body(WIRE_BYE, &body, buffer);
	assert_int_equal(decode(WIRE_BYE, length_bytes), WIRE_OK);
	buffer[0] = 0;
	assert_int_equal(decode(WIRE_BYE, length_bytes), WIRE_BAD_FIELD);
}

static void test_lengths_outside_the_table(void **state)
{
	const struct wire_rule *rule = wire_rule(WIRE_BYE);
	struct wire_header header = { .type = WIRE_BYE };

	(void)state;
	make_body(WIRE_BYE);
	wire_encode_body(WIRE_BYE, &body, buffer);
	assert_int_equal(decode(WIRE_BYE, rule->min_bytes), WIRE_OK);
	assert_int_equal(decode(WIRE_BYE, rule->min_bytes - 1), WIRE_BAD_LENGTH);
	assert_int_equal(decode(WIRE_BYE, rule->max_bytes + 1), WIRE_BAD_LENGTH);
	header.length_bytes = rule->min_bytes;		/* the fixed part is not what the caller holds */
	assert_int_equal(wire_decode_body(&header, buffer, rule->min_bytes - 1, &decoded), WIRE_BAD_LENGTH);
}

static void test_types_that_are_none(void **state)
{
	struct wire_header header = { .type = UNKNOWN_TYPE, .length_bytes = 12 };

	(void)state;
	assert_null(wire_rule(UNKNOWN_TYPE));
	assert_int_equal(wire_flags_allowed(UNKNOWN_TYPE), 0);
	assert_int_equal(wire_fixed_bytes(&header), 12);
	assert_int_equal(wire_encode_body(UNKNOWN_TYPE, &body, buffer), 0);
	assert_int_equal(decode(UNKNOWN_TYPE, 12), WIRE_BAD_TYPE);
	assert_string_equal(wire_refusal_name(WIRE_REFUSED_MAX + 1), "?");
}

static void test_header_of_another_version(void **state)
{
	struct wire_header header = { .type = WIRE_PING, .length_bytes = 8, .sequence = 1 };

	(void)state;
	wire_encode_header(&header, buffer);
	assert_int_equal(wire_decode_header(buffer, true, WIRE_PHASE_OPEN, true, 1, &header), WIRE_OK);
	buffer[4] = WIRE_VERSION + 1;
	assert_int_equal(wire_decode_header(buffer, true, WIRE_PHASE_OPEN, true, 1, &header), WIRE_BAD_HEADER_CRC);
	core_put_le32(buffer + 28, core_crc32c(0, buffer, 28));
	assert_int_equal(wire_decode_header(buffer, true, WIRE_PHASE_OPEN, true, 1, &header), WIRE_BAD_VERSION);
}

/* Encoders write what the arrays hold, never more; the count that lies is refused at the other end. */
static void test_counts_beyond_the_arrays(void **state)
{
	u32 full_bytes;

	(void)state;
	make_body(WIRE_RANGES);
	body.ranges.nr = WIRE_RANGES_MAX;
	full_bytes = wire_encode_body(WIRE_RANGES, &body, buffer);
	body.ranges.nr++;
	assert_int_equal(wire_encode_body(WIRE_RANGES, &body, buffer), full_bytes);
	assert_int_equal(decode(WIRE_RANGES, full_bytes), WIRE_BAD_LENGTH);
	memset(&body, 0, sizeof(body));
	body.acks.nr = WIRE_ACKS_MAX;
	full_bytes = wire_encode_body(WIRE_ACKS, &body, buffer);
	assert_int_equal(decode(WIRE_ACKS, full_bytes), WIRE_OK);
	body.acks.nr++;
	assert_int_equal(wire_encode_body(WIRE_ACKS, &body, buffer), full_bytes);
	assert_int_equal(decode(WIRE_ACKS, full_bytes), WIRE_BAD_LENGTH);
	make_body(WIRE_EVICT);
	body.evict.nr = WIRE_REGIONS_MAX;
	full_bytes = wire_encode_body(WIRE_EVICT, &body, buffer);
	assert_int_equal(decode(WIRE_EVICT, full_bytes), WIRE_OK);
	body.evict.nr++;
	assert_int_equal(wire_encode_body(WIRE_EVICT, &body, buffer), full_bytes);
	assert_int_equal(decode(WIRE_EVICT, full_bytes), WIRE_BAD_LENGTH);
	make_body(WIRE_DIGESTS);
	body.resync.length_bytes = RESYNC_CHUNK_BYTES;
	full_bytes = wire_encode_body(WIRE_DIGESTS, &body, buffer);
	body.resync.length_bytes += RESYNC_PIECE_BYTES;
	assert_int_equal(wire_encode_body(WIRE_DIGESTS, &body, buffer), full_bytes);
	assert_int_equal(decode(WIRE_DIGESTS, full_bytes), WIRE_BAD_FIELD);
}

/* ---- chains and names ---- */

static void test_codec_of_chains_and_names(void **state)
{
	struct generation record = { .id = 3, .number = 1, .members = 1, .writer = NODE_NONE };
	static struct chain chain, got;
	char name[NAME_BYTES_MAX];
	u32 used_bytes, full_bytes;

	(void)state;
	codec_generation_encode(&record, buffer);
	assert_true(codec_generation_decode(buffer, &got.record[0]));
	memset(buffer, 0, 8);
	assert_false(codec_generation_decode(buffer, &got.record[0]));
	chain.count = CHAIN_RECORDS_MAX;
	full_bytes = codec_chain_encode(&chain, buffer);
	chain.count++;
	assert_int_equal(codec_chain_encode(&chain, buffer), full_bytes);
	assert_false(codec_chain_decode(buffer, full_bytes, &got, &used_bytes));
	assert_int_equal(got.count, 0);
	assert_false(codec_chain_decode(buffer, 7, &got, &used_bytes));
	memset(name, 'a', sizeof(name));
	assert_false(codec_name_valid(name));			/* no end */
	name[NAME_BYTES_MAX - 1] = '\0';
	assert_true(codec_name_valid(name));
}

static void test_chains_that_are_none_G1(void **state)
{
	static struct chain chain, other;
	struct generation record;

	(void)state;
	assert_string_equal(lineage_verdict_name((enum lineage_verdict)99), "INVALID");
	memset(&chain, 0, sizeof(chain));
	chain.trimmed = true;
	assert_false(lineage_valid(&chain));			/* of what? */
	chain.trimmed = false;
	record = lineage_next(&chain, 1, 1, NODE_NONE);
	record.number = 0;
	assert_false(lineage_append(&chain, &record));
	record.number = 1;
	assert_true(lineage_append(&chain, &record));
	record = lineage_next(&chain, 2, 1, NODE_NONE);
	other = chain;
	other.count = CHAIN_RECORDS_MAX + 1;
	assert_false(lineage_append(&other, &record));
	assert_true(lineage_append(&chain, &record));
	chain.trimmed = true;
	chain.record[1].number = 5;
	chain.record[1].parent_id = 0;				/* a gap, and no parent */
	assert_false(lineage_valid(&chain));
	chain.record[1].parent_id = 77;
	assert_true(lineage_valid(&chain));
#define EQUAL_BUT(change) (other = chain, other.change, lineage_equal(&chain, &other) || lineage_equal(&other, &chain))
	assert_true(EQUAL_BUT(count = 2));
	assert_false(EQUAL_BUT(count = 1));
	assert_false(EQUAL_BUT(trimmed = false));
	assert_false(EQUAL_BUT(record[1].id = 9));
	assert_false(EQUAL_BUT(record[1].parent_id = 9));
	assert_false(EQUAL_BUT(record[1].number = 9));
	assert_false(EQUAL_BUT(record[1].members = 9));
	assert_false(EQUAL_BUT(record[1].writer = 9));
	assert_false(EQUAL_BUT(record[1].written = true));
#undef EQUAL_BUT
}

/* ---- metadata ---- */

static void test_superblocks_I17(void **state)
{
	static struct ondisk_super good, bad;

	(void)state;
	assert_true(ondisk_plan(1ull << 30, 0, false, 0, 0, &good));
	good.volume_id = good.replica_id = 5;
	good.replicas = 1;
	good.split_peer = NODE_NONE;
	good.name[0] = 'v';
	memset(good.slot_node, NODE_NONE, sizeof(good.slot_node));
	assert_true(ondisk_super_valid(&good));
#define VALID(change) (bad = good, bad.change, ondisk_super_valid(&bad))
	assert_false(VALID(incompat = 1));
	assert_false(VALID(split_peer = NODES_MAX));
	good.flags |= ONDISK_SPLIT;
	good.split_id = 3;
	assert_false(VALID(split_peer = good.node_id));		/* a split with itself */
	assert_true(VALID(split_peer = 4));
#undef VALID
	assert_false(ondisk_plan(1ull << 60, 0, false, VOLUME_BYTES_MAX + VOLUME_BLOCK_BYTES, 0, &bad));
	assert_false(ondisk_plan(1ull << 60, 1ull << 40, true, VOLUME_BYTES_MAX + VOLUME_BLOCK_BYTES, 0, &bad));
}

static void test_blocks_of_the_log_I17(void **state)
{
	static u8 block[META_BLOCK_BYTES], empty[META_BLOCK_BYTES];
	static u32 regions[2 * ACTLOG_PART_REGIONS];
	struct ondisk_header header = { .volume_id = 1, .replica_id = 2, .location = 4096, .sequence = 3, .kind = ONDISK_ACTLOG };
	u64 sequence, written_id;
	u32 nr, newest_copy;

	(void)state;
	memset(regions, 0xff, sizeof(regions));
	ondisk_actlog_encode(&header, 9, regions, block);
	assert_int_equal(ondisk_actlog_decode(&header, block, &sequence, &written_id, regions), ONDISK_OK);
	/* One copy was never written: so it is after the first transaction, and only then [D7]. */
	assert_false(ondisk_actlog_load(&header, &header, empty, block, 10, regions, &nr, &sequence, &written_id, &newest_copy));
	header.sequence = 1;
	ondisk_actlog_encode(&header, 9, regions, block);
	assert_true(ondisk_actlog_load(&header, &header, empty, block, 10, regions, &nr, &sequence, &written_id, &newest_copy));
	assert_int_equal(newest_copy, 1);
	assert_true(ondisk_actlog_load(&header, &header, block, empty, 10, regions, &nr, &sequence, &written_id, &newest_copy));
	assert_int_equal(newest_copy, 0);
	assert_true(written_id == 9);
	regions[3] = VOLUME_BYTES_MAX / ACTLOG_REGION_BYTES;	/* beyond every volume */
	ondisk_actlog_encode(&header, 9, regions, block);
	assert_int_equal(ondisk_actlog_decode(&header, block, &sequence, &written_id, regions), ONDISK_BAD_FIELD);
	header.kind = ONDISK_DIRTY_PAGE;			/* right as a block, wrong as a log */
	memset(block, 0, sizeof(block));
	ondisk_body_encode(&header, empty, block);
	assert_int_equal(ondisk_actlog_decode(&header, block, &sequence, &written_id, regions), ONDISK_BAD_KIND);
}

/* ---- map and log in memory ---- */

static void test_map_calls_out_of_order_D1(void **state)
{
	static struct dirty_page pages[4];
	static u8 bits[DIRTY_PAGE_BYTES], index[META_BODY_BYTES];
	u32 next_free[4];
	struct dirty_entry entries[1];
	struct dirty_pool pool;
	struct dirty_map map, before;
	bool page_write, index_write;

	(void)state;
	memset(entries, 0, sizeof(entries));
	dirty_pool_init(&pool, pages, next_free, 4);
	dirty_init(&map, &pool, entries, 1 << 20, GRANULE_BYTES_MIN);
	dirty_mark(&map, 4096, 4096);
	before = map;
	dirty_save_end(&map, 0, false);				/* no save was begun */
	assert_memory_equal(&map, &before, sizeof(map));
	assert_true(dirty_unsaved(&map, 4096, 4096));
	assert_false(dirty_unsaved(&map, 1 << 20, 4096));	/* beyond the end */
	assert_false(dirty_unsaved(&map, 0, 0));
	memset(bits, 0xff, sizeof(bits));
	dirty_load_page(&map, 0, bits);				/* it has its page */
	assert_int_equal(map.nr_set, 1);
	index[0] = DIRTY_CLEAN;
	dirty_load_index(&map, 0, index);			/* changed before it was loaded: claims everything */
	assert_true(map.nr_set == map.nr_granules);
	assert_int_equal(dirty_save_next(&map, 0, bits, &page_write, &index_write), 0);
	assert_false(page_write);
	dirty_save_end(&map, 0, true);
	assert_false(dirty_unsaved(&map, 4096, 4096));
	dirty_load_page(&map, 0, bits);				/* no page is wanted */
	assert_true(map.nr_set == map.nr_granules);
	dirty_release(&map);
	assert_int_equal(pool.nr_free, 4);
	dirty_release(&map);					/* twice gives nothing back twice */
	assert_int_equal(pool.nr_free, 4);
}

static void test_log_calls_out_of_order_W3(void **state)
{
	static struct actlog_slot slots[ACTLOG_PART_REGIONS];
	static u32 hash[4096];
	struct actlog log;

	(void)state;
	assert_true(actlog_hash_size(1, 64 << 20) <= CORE_ARRAY_SIZE(hash));
	actlog_init(&log, slots, hash, 1, 64 << 20);
	actlog_put(&log, 3, true);				/* never taken */
	assert_int_equal(log.nr_used, 0);
	assert_int_equal(actlog_commit_all_begin(&log), 1);	/* what is on disk before the first one nobody knows */
	actlog_commit_end(&log, true);
	assert_int_equal(actlog_commit_all_begin(&log), 0);	/* nothing differs */
	assert_int_equal(actlog_get(&log, 3, 1), ACTLOG_WAIT);
	assert_int_equal(actlog_commit_all_begin(&log), 1);
	assert_int_equal(actlog_commit_all_begin(&log), 0);	/* one at a time */
	actlog_commit_end(&log, true);
	assert_true(actlog_is_ready(&log, 3));
	actlog_commit_end(&log, false);				/* none under way: nothing failed */
	assert_true(actlog_is_ready(&log, 3));
	assert_false(log.forced);
	actlog_put(&log, 3, true);
	actlog_put(&log, 3, true);				/* once too often */
	assert_int_equal(log.nr_busy, 0);
	log.forced = true;
	assert_int_equal(actlog_commit_all_begin(&log), 1);	/* the mark alone is worth a commit */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames_of_no_volume),
		cmocka_unit_test(test_greeting_of_an_impossible_disk),
		cmocka_unit_test(test_lengths_outside_the_table),
		cmocka_unit_test(test_types_that_are_none),
		cmocka_unit_test(test_header_of_another_version),
		cmocka_unit_test(test_counts_beyond_the_arrays),
		cmocka_unit_test(test_codec_of_chains_and_names),
		cmocka_unit_test(test_chains_that_are_none_G1),
		cmocka_unit_test(test_superblocks_I17),
		cmocka_unit_test(test_blocks_of_the_log_I17),
		cmocka_unit_test(test_map_calls_out_of_order_D1),
		cmocka_unit_test(test_log_calls_out_of_order_W3),
	};

	return cmocka_run_group_tests_name("impossible", tests, NULL, NULL);
}
