// SPDX-License-Identifier: GPL-2.0
/*
 * Who counts as never written, and what that saves: only what both ends say of themselves at one moment is not compared [R4] [D2].
 */
#include "volume_bed.h"

enum { ALONE = NODE_BIT(ME), PAIR = NODE_BIT(ME) | NODE_BIT(HIGH) };

static struct chain chain_unwritten(u32 members)
{
	struct chain chain = { 0 };

	chain_add(&chain, 1, members, NODE_NONE, false);
	return chain;
}

static void meet_as(u8 node, const struct chain *chain, u32 flags, u64 features)
{
	bed.number[node] = 0;
	post((struct volume_event){ .type = VOLUME_EVENT_PEER_UP, .node = node, .features = features });
	greet(node, chain, flags);
	agree(node);
}

static void blank_start(const struct chain *chain, u32 replicas)
{
	bed_start(chain, replicas);
	volume->super.flags |= ONDISK_BLANK;
}

static bool greets_as_blank(u8 node)
{
	return peer_of(node)->sent_flags & WIRE_GREET_BLANK;
}

static bool has_flag(void)
{
	return volume->super.flags & ONDISK_BLANK;
}

/* ---- the word ---- */

static void test_who_is_blank_R4(void **state)
{
	static const struct {
		const char *what;
		u32 flags;
		u8 writer;
		bool written, trimmed, logged, in_flight, failed, blank;
		u64 features;
	} cases[] = {
		{ "made so", ONDISK_BLANK, NODE_NONE, .features = WIRE_FEATURE_BLANK, .blank = true },
		{ "nobody said so", 0, NODE_NONE, .features = WIRE_FEATURE_BLANK },
		{ "the peer does not know the word", ONDISK_BLANK, NODE_NONE, .features = WIRE_FEATURE_STABLE },
		{ "somebody is about to write", ONDISK_BLANK, HIGH, .features = WIRE_FEATURE_BLANK },
		{ "somebody wrote", ONDISK_BLANK, NODE_NONE, .written = true, .features = WIRE_FEATURE_BLANK },
		{ "records are lost", ONDISK_BLANK, NODE_NONE, .trimmed = true, .features = WIRE_FEATURE_BLANK },
		{ "a region is in the log", ONDISK_BLANK, NODE_NONE, .logged = true, .features = WIRE_FEATURE_BLANK },
		{ "something is in flight", ONDISK_BLANK, NODE_NONE, .in_flight = true, .features = WIRE_FEATURE_BLANK },
		{ "the disk is gone", ONDISK_BLANK, NODE_NONE, .failed = true, .features = WIRE_FEATURE_BLANK },
	};
	u32 i;

	(void)state;
	for (i = 0; i < CORE_ARRAY_SIZE(cases); i++) {
		struct chain chain = { 0 };

		print_message("%s\n", cases[i].what);
		chain_add(&chain, 1, ALONE, cases[i].writer, cases[i].written);
		chain.trimmed = cases[i].trimmed;
		bed_start(&chain, ALONE);
		volume->super.flags |= cases[i].flags;
		volume->in_flight = cases[i].in_flight;
		if (cases[i].logged)
			assert_int_equal(actlog_get_regions(&volume->log, 0, 0, volume->log.epoch), ACTLOG_WAIT);
		if (cases[i].failed)
			post_node(VOLUME_EVENT_DISK_FAILED, NODE_NONE);
		meet_as(HIGH, &chain, 0, cases[i].features);
		assert_int_equal(greets_as_blank(HIGH), cases[i].blank);
	}
}

static void log_names_a_region(void)
{
	volume_log_found(volume, 3);
}

static void log_has_a_mark(void)
{
	volume_written_found(volume, 99);
}

static void promoted_by_force(void)
{
	post_node(VOLUME_EVENT_ONLINE, NODE_NONE);
	post_promote(true, 0);
	expect_done(VOLUME_OK, 0);
}

/* What happens once ends it for good: the flag goes. */
static void test_what_ends_it_R4(void **state)
{
	static void (*const happens[])(void) = { log_names_a_region, log_has_a_mark, promoted_by_force };
	struct chain chain = chain_unwritten(ALONE);
	u32 i;

	(void)state;
	for (i = 0; i < CORE_ARRAY_SIZE(happens); i++) {
		bed_attach(&chain, ALONE);
		volume->super.flags |= ONDISK_BLANK;
		happens[i]();
		assert_false(has_flag());
	}
	chain.count = 0;
	bed_attach(&chain, ALONE);
	volume->super.flags |= ONDISK_BLANK;
	volume_log_lost(volume);
	assert_false(has_flag());
}

/* ---- the source ---- */

/* HIGH is new. It says @its_flags, and is ready. */
static void new_target(const struct chain *chain, u32 my_flags, u32 its_flags)
{
	struct chain none = { 0 };

	bed_start(chain, ALONE);
	volume->super.flags |= my_flags;
	meet_as(HIGH, &none, WIRE_GREET_SYNCING | its_flags, WIRE_FEATURE_BLANK);
	agree_all();
	post_value(HIGH, WIRE_SYNC_START, 0);
	memset(&bed.body, 0, sizeof(bed.body));
	bed.body.ranges.node = HIGH;
	bed.body.ranges.nr = 1;
	bed.body.ranges.range[0].length_bytes = BED_BYTES;
	post_frame(HIGH, WIRE_RANGES);
	post_value(HIGH, WIRE_RANGES_END, 0);
	post_saved(true);
	assert_non_null(sent(HIGH, WIRE_SYNC_ACCEPT));
	assert_int_equal(peer_of(HIGH)->map.nr_set, BED_BYTES / GRANULE_BYTES_MIN);
}

static void test_both_have_to_say_so_D2(void **state)
{
	u32 mine, its, written;

	(void)state;
	for (mine = 0; mine < 2; mine++)
		for (its = 0; its < 2; its++)
			for (written = 0; written < 2; written++) {
				struct chain chain = { 0 };

				chain_add(&chain, 1, ALONE, written ? ME : NODE_NONE, false);
				new_target(&chain, mine ? ONDISK_BLANK : 0, its ? WIRE_GREET_BLANK : 0);
				post_value(HIGH, WIRE_SYNC_READY, 1);
				expect_relation(HIGH, VOLUME_TARGET);
				assert_int_equal(!peer_of(HIGH)->map.nr_set, mine && its && !written);
				assert_non_null(wanted(VOLUME_DO_RESYNC_START, HIGH));	/* that is what ends in a record */
			}
}

/* The moment that counts is when it is ready: a record of a writer came since it was told the chain. */
static void test_written_before_it_is_ready_D2(void **state)
{
	struct chain chain = chain_unwritten(ALONE);

	(void)state;
	new_target(&chain, ONDISK_BLANK, WIRE_GREET_BLANK);
	post_promote(false, 0);
	answer_promotion(HIGH, true, VOLUME_OK);
	post_node(VOLUME_EVENT_IO_WAITS, NODE_NONE);
	post_saved(true);
	post_value(HIGH, WIRE_SYNC_READY, 1);
	assert_non_null(sent(HIGH, WIRE_SYNC_ACCEPT));
	post_value(HIGH, WIRE_SYNC_READY, lineage_tail(&volume->super.chain)->id);
	expect_relation(HIGH, VOLUME_TARGET);
	assert_int_equal(peer_of(HIGH)->map.nr_set, BED_BYTES / GRANULE_BYTES_MIN);
}

/* ---- the target ---- */

/* This node is new, and adopted the chain of HIGH. */
static struct chain adopts(u32 flags)
{
	struct chain chain = chain_unwritten(NODE_BIT(HIGH)), none = { 0 };

	blank_start(&none, ALONE);
	volume->super.flags |= ONDISK_SYNCING;
	meet_as(HIGH, &chain, flags, WIRE_FEATURE_BLANK);
	assert_true(greets_as_blank(HIGH));
	agree_all();
	expect_relation(HIGH, VOLUME_SOURCE_ASKED);
	assert_int_equal(peer_of(HIGH)->map.nr_set, BED_BYTES / GRANULE_BYTES_MIN);
	assert_true(has_flag());
	memset(&bed.body, 0, sizeof(bed.body));
	bed.body.accept.chain = chain;
	post_frame(HIGH, WIRE_SYNC_ACCEPT);
	assert_non_null(wanted(VOLUME_DO_SAVE_SUPER, NODE_NONE));
	assert_false(has_flag());			/* on its disk before it is ready, and before any data */
	post_saved(true);
	assert_non_null(sent(HIGH, WIRE_SYNC_READY));
	return chain;
}

static void joins(const struct chain *chain, bool written)
{
	memset(&bed.body, 0, sizeof(bed.body));
	bed.body.record.serial = 4;
	bed.body.record.record = lineage_next(chain, 2, PAIR, NODE_NONE);
	bed.body.record.parent_written = written;
	post_frame(HIGH, WIRE_RECORD);
	post_saved(true);
	expect_relation(HIGH, VOLUME_IN_SYNC);
}

static void test_flag_comes_back_when_nothing_came_R4(void **state)
{
	enum { NOTHING, A_WRITE, RESYNC_DATA, A_MARK, CASES };
	u32 what;

	(void)state;
	for (what = NOTHING; what < CASES; what++) {
		struct chain chain = adopts(0);

		if (what == A_WRITE)
			volume_apply(volume, HIGH, 0, 4096);
		if (what == RESYNC_DATA)
			volume_apply_resync(volume, HIGH, 0, 4096);
		joins(&chain, what == A_MARK);
		assert_int_equal(has_flag(), what == NOTHING);
	}
}

static void test_broken_off_is_not_blank_R4(void **state)
{
	struct chain chain = adopts(0);

	(void)state;
	post_node(VOLUME_EVENT_PEER_DOWN, HIGH);
	assert_false(has_flag());
	meet_as(HIGH, &chain, 0, WIRE_FEATURE_BLANK);
	assert_false(greets_as_blank(HIGH));
	agree_all();
	expect_relation(HIGH, VOLUME_SOURCE_ASKED);
	assert_non_null(wanted(VOLUME_DO_SEND_RANGES, HIGH));
	assert_int_equal(peer_of(HIGH)->map.nr_set, 0);		/* the source knows what it lacks [R2] */
}

/* Its first source may have cleared what it lacked. Another one that writes here is noted for that one [I5]. */
static void test_second_source_is_noted_for_the_first_I5(void **state)
{
	struct chain chain = adopts(0);

	(void)state;
	assert_false(volume_apply_resync(volume, HIGH, 0, 4096));
	post_node(VOLUME_EVENT_PEER_DOWN, HIGH);
	meet_as(LOW, &chain, 0, 0);
	dirty_clear_all(&peer_of(HIGH)->map);
	assert_true(volume_apply_resync(volume, LOW, 8192, 4096));
	assert_true(dirty_test(&peer_of(HIGH)->map, 8192));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_is_blank_R4),
		cmocka_unit_test(test_what_ends_it_R4),
		cmocka_unit_test(test_both_have_to_say_so_D2),
		cmocka_unit_test(test_written_before_it_is_ready_D2),
		cmocka_unit_test(test_flag_comes_back_when_nothing_came_R4),
		cmocka_unit_test(test_broken_off_is_not_blank_R4),
		cmocka_unit_test(test_second_source_is_noted_for_the_first_I5),
	};

	return cmocka_run_group_tests_name("volume_blank", tests, NULL, NULL);
}
