// SPDX-License-Identifier: GPL-2.0
/*
 * volume_plan(): total, mirrored at the other end [I9], and never a source that may lack what was acknowledged [G4] [I8].
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "../../kernel/core/volume.h"
#include "../lib/random.h"

enum { CHAINS = 9 };

static struct chain chains[CHAINS];
static struct wire_greet mine, peer;

static void add(struct chain *chain, u64 id, u32 members, u8 writer, bool written)
{
	struct generation record = lineage_next(chain, id, members, writer);

	record.written = written;
	assert_true(lineage_append(chain, &record));
}

/* Two nodes 0 and 1 (and 2): together; 0 alone, written or not; 1 alone; both alone in turn; another volume's; none. */
static void make_chains(void)
{
	u32 i;

	memset(chains, 0, sizeof(chains));
	for (i = 0; i < 7; i++)
		add(&chains[i], 1, 3, 0, true);
	add(&chains[1], 2, 1, 0, true);
	add(&chains[2], 2, 1, 0, false);
	add(&chains[3], 3, 2, 1, true);
	add(&chains[4], 3, 2, 1, false);
	add(&chains[5], 2, 1, 0, true);
	add(&chains[5], 4, 3, 0, false);
	add(&chains[6], 5, 7, 2, true);
	add(&chains[7], 9, 3, 0, true);
}

static void random_facts(struct wire_greet *greet, u8 node)
{
	static const u8 nodes[] = { NODE_NONE, 0, 1, 2 };

	memset(greet, 0, sizeof(*greet));
	greet->volume_bytes = 1 << 20;
	greet->flags = (u32)random_u64() & 0xff;
	greet->flags |= random_u64() & 1 ? WIRE_GREET_DISK : 0;
	greet->primary = nodes[random_u64() % 4];
	if (greet->flags & WIRE_GREET_PRIMARY)
		greet->primary = node;
	greet->sync_source = random_u64() & 1 ? NODE_NONE : nodes[random_u64() % 4];
	if (greet->sync_source == node)
		greet->sync_source = NODE_NONE;
	greet->authority = (u8)(random_u64() % 3);
	greet->chain = chains[random_u64() % CHAINS];
}

static void test_both_ends_agree_I9(void **state)
{
	u32 i;

	(void)state;
	for (i = 0; i < 1000000; i++) {
		enum lineage_verdict here, there;
		enum volume_plan a, b;

		random_facts(&mine, 0);
		random_facts(&peer, 1);
		a = volume_plan(&mine, 0, &peer, 1, &here);
		b = volume_plan(&peer, 1, &mine, 0, &there);
		assert_int_equal(a, volume_plan_mirror(b));
		assert_int_equal(here, lineage_mirror(there));
	}
}

static bool complete(const struct wire_greet *facts, u8 node)
{
	u8 other = 1 - node;

	const struct generation *tail = lineage_tail(&facts->chain);

	return tail && (tail->members & NODE_BIT(node)) && (facts->flags & WIRE_GREET_DISK) &&
	       !(facts->flags & WIRE_GREET_SYNCING) &&
	       (facts->sync_source == NODE_NONE || facts->sync_source == other);
}

static void test_a_source_is_complete_G4(void **state)
{
	u32 i, sources = 0;

	(void)state;
	for (i = 0; i < 1000000; i++) {
		enum lineage_verdict verdict;
		enum volume_plan plan;

		random_facts(&mine, 0);
		random_facts(&peer, 1);
		plan = volume_plan(&mine, 0, &peer, 1, &verdict);
		if (plan == VOLUME_PLAN_I_AM_SOURCE) {
			sources++;
			assert_true(complete(&mine, 0));
			assert_false(peer.flags & WIRE_GREET_PRIMARY);
			assert_int_not_equal(verdict, LINEAGE_UNRELATED);
			if (verdict == LINEAGE_PEER_IS_AHEAD && !(mine.flags & WIRE_GREET_PRIMARY))
				assert_false(complete(&peer, 1));
			if (verdict == LINEAGE_SPLIT)	/* only over a side that yielded, and never both */
				assert_true((peer.flags & WIRE_GREET_YIELD) && !(mine.flags & WIRE_GREET_YIELD));
		}
		if (plan == VOLUME_PLAN_IN_SYNC && !(mine.flags & peer.flags & WIRE_GREET_IN_SYNC))
			assert_true(complete(&mine, 0) && complete(&peer, 1) && verdict != LINEAGE_SPLIT);
	}
	assert_true(sources > 1000);
}

static void test_split_needs_a_decision_G7(void **state)
{
	enum lineage_verdict verdict;

	(void)state;
	memset(&mine, 0, sizeof(mine));
	memset(&peer, 0, sizeof(peer));
	mine.flags = peer.flags = WIRE_GREET_DISK;
	mine.primary = peer.primary = mine.sync_source = peer.sync_source = NODE_NONE;
	mine.chain = chains[1];
	peer.chain = chains[3];
	assert_int_equal(volume_plan(&mine, 0, &peer, 1, &verdict), VOLUME_PLAN_SPLIT);
	assert_int_equal(verdict, LINEAGE_SPLIT);
	peer.flags |= WIRE_GREET_YIELD;
	assert_int_equal(volume_plan(&mine, 0, &peer, 1, &verdict), VOLUME_PLAN_I_AM_SOURCE);
	mine.flags |= WIRE_GREET_YIELD;
	assert_int_equal(volume_plan(&mine, 0, &peer, 1, &verdict), VOLUME_PLAN_SPLIT);
	mine.chain = chains[2];		/* promoted, nobody wrote [I11] */
	peer.chain = chains[4];
	volume_plan(&mine, 0, &peer, 1, &verdict);
	assert_int_equal(verdict, LINEAGE_SAME);
}

/* Ahead by the written mark of a record that both have as complete members: whoever is half-synced gives way, and anybody to a primary. */
static void test_ahead_by_a_mark_G4(void **state)
{
	enum lineage_verdict verdict;

	(void)state;
	memset(&mine, 0, sizeof(mine));
	memset(&peer, 0, sizeof(peer));
	mine.flags = peer.flags = WIRE_GREET_DISK | WIRE_GREET_DIRTY;
	mine.primary = peer.primary = mine.sync_source = peer.sync_source = NODE_NONE;
	add(&mine.chain, 1, 3, 0, true);
	add(&mine.chain, 2, 3, 0, false);
	peer.chain = mine.chain;
	peer.chain.record[1].written = true;
	assert_int_equal(volume_plan(&mine, 0, &peer, 1, &verdict), VOLUME_PLAN_PEER_IS_SOURCE);
	assert_int_equal(verdict, LINEAGE_PEER_IS_AHEAD);
	peer.flags |= WIRE_GREET_SYNCING;
	assert_int_equal(volume_plan(&mine, 0, &peer, 1, &verdict), VOLUME_PLAN_I_AM_SOURCE);
	peer.flags &= ~(u32)WIRE_GREET_SYNCING;
	mine.flags |= WIRE_GREET_PRIMARY;
	mine.primary = peer.primary = 0;
	assert_int_equal(volume_plan(&mine, 0, &peer, 1, &verdict), VOLUME_PLAN_I_AM_SOURCE);
}

/* Half-synced with records of a side that yielded elsewhere: when its administrator ends the split, too, it is resynced. */
static void test_leftover_of_a_side_that_yielded_G7(void **state)
{
	enum lineage_verdict verdict;

	(void)state;
	memset(&mine, 0, sizeof(mine));
	memset(&peer, 0, sizeof(peer));
	mine.flags = WIRE_GREET_DISK | WIRE_GREET_DIRTY;
	peer.flags = WIRE_GREET_DISK | WIRE_GREET_DIRTY | WIRE_GREET_SPLIT | WIRE_GREET_SYNCING;
	mine.primary = peer.primary = mine.sync_source = peer.sync_source = NODE_NONE;
	add(&mine.chain, 1, 7, 0, true);
	peer.chain = mine.chain;
	add(&mine.chain, 2, 5, 0, false);
	add(&peer.chain, 3, 4, 2, true);
	assert_int_equal(volume_plan(&mine, 0, &peer, 1, &verdict), VOLUME_PLAN_WAIT_INCOMPLETE);
	assert_int_equal(verdict, LINEAGE_PEER_IS_AHEAD);
	peer.flags |= WIRE_GREET_YIELD;
	assert_int_equal(volume_plan(&mine, 0, &peer, 1, &verdict), VOLUME_PLAN_I_AM_SOURCE);
	mine.flags |= WIRE_GREET_YIELD;		/* so does the other, in a split of its own */
	assert_int_equal(volume_plan(&mine, 0, &peer, 1, &verdict), VOLUME_PLAN_WAIT_INCOMPLETE);
	mine.flags &= ~(u32)WIRE_GREET_YIELD;
	mine.flags |= WIRE_GREET_SYNCING;
	assert_int_equal(volume_plan(&mine, 0, &peer, 1, &verdict), VOLUME_PLAN_WAIT_INCOMPLETE);
	mine.flags &= ~(u32)WIRE_GREET_SYNCING;
	peer.flags &= ~(u32)WIRE_GREET_SYNCING;	/* what it holds is whole, and nobody else wrote: nothing to be given up */
	peer.chain.record[1].members = 6;
	assert_int_equal(volume_plan(&mine, 0, &peer, 1, &verdict), VOLUME_PLAN_PEER_IS_SOURCE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ends_agree_I9),
		cmocka_unit_test(test_a_source_is_complete_G4),
		cmocka_unit_test(test_split_needs_a_decision_G7),
		cmocka_unit_test(test_ahead_by_a_mark_G4),
		cmocka_unit_test(test_leftover_of_a_side_that_yielded_G7),
	};

	random_init();
	make_chains();
	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
