// SPDX-License-Identifier: GPL-2.0
/*
 * Log transactions that wait for company: never longer than what peers take anyway, and never for nothing [W3] [D6].
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../kernel/core/gather.h"

enum { MS = 1000000 };

static struct gather gather;
static struct actlog actlog;

static void state(u32 adding, u32 busy)
{
	memset(&actlog, 0, sizeof(actlog));
	actlog.nr_adding = adding;
	actlog.nr_busy = busy;
}

static void test_waits_while_others_are_under_way(void **unused)
{
	(void)unused;
	gather = (struct gather){ .slack_ns = MS };
	state(1, 4);
	gather_came(&gather, 10 * MS);
	assert_int_equal(gather_wait(&gather, &actlog, 10 * MS), MS);
	state(2, 4);
	gather_came(&gather, 10 * MS + 400000);	/* the first one counts */
	assert_int_equal(gather_wait(&gather, &actlog, 10 * MS + 400000), 600000);
	assert_int_equal(gather_wait(&gather, &actlog, 11 * MS), 0);
	assert_int_equal(gather_wait(&gather, &actlog, 12 * MS), 0);
	gather_came(&gather, 12 * MS);
	assert_int_equal(gather_wait(&gather, &actlog, 12 * MS), 0);
	actlog.nr_committing = 1;
	gather_began(&gather, &actlog);
	gather_came(&gather, 12 * MS);
	assert_int_equal(gather_wait(&gather, &actlog, 12 * MS), MS);
	state(4, 4);						/* nothing else is */
	assert_int_equal(gather_wait(&gather, &actlog, 12 * MS), 0);
	state(1, 4);
	actlog.forced = true;					/* a mark is waited for [G2] */
	assert_int_equal(gather_wait(&gather, &actlog, 12 * MS), 0);
}

/* Eight wrote, and all have ended: the first one of them that writes again is not alone for long. */
static void test_as_many_as_before_are_expected(void **unused)
{
	u32 nr;

	(void)unused;
	gather = (struct gather){ .slack_ns = MS };
	state(0, 8);
	actlog.nr_committing = 8;
	gather_began(&gather, &actlog);
	gather_came(&gather, 10 * MS);
	for (nr = 1; nr < 6; nr++) {
		state(nr, nr);
		assert_int_equal(gather_wait(&gather, &actlog, 10 * MS), MS);
	}
	state(6, 6);
	assert_int_equal(gather_wait(&gather, &actlog, 10 * MS), 0);
	state(1, 1);						/* the others do not come: once it waits for them */
	assert_int_equal(gather_wait(&gather, &actlog, 11 * MS), 0);
	actlog.nr_committing = 1;
	gather_began(&gather, &actlog);
	gather_came(&gather, 12 * MS);
	assert_int_equal(gather_wait(&gather, &actlog, 12 * MS), 0);
}

static void test_without_peers_never(void **unused)
{
	(void)unused;
	gather = (struct gather){ .slack_ns = MS };
	gather_ended(&gather, 20 * MS, 0);
	assert_int_equal(gather.slack_ns, 0);
	state(1, 9);
	gather_came(&gather, 20 * MS);
	assert_int_equal(gather_wait(&gather, &actlog, 20 * MS), 0);
}

/* Peers answer @late_ns after a local part that is not put off would end. Where does the slack go? */
static u64 settles_at(u64 late_ns)
{
	u64 now_ns = 0;
	u32 i, waited;

	for (i = 0; i < 3000; i++) {
		now_ns += 100 * MS;
		for (waited = 0; waited < 8; waited++) {	/* the first waits for all of the slack, the last for an eighth */
			u64 here_ns = now_ns + gather.slack_ns * (8 - waited) / 8;

			gather_ended(&gather, here_ns, now_ns + late_ns);
		}
	}
	return gather.slack_ns;
}

static void test_slack_is_what_peers_take_longer(void **unused)
{
	u64 slack_ns;

	(void)unused;
	gather = (struct gather){ .slack_ns = 0 };
	slack_ns = settles_at(MS);
	assert_true(slack_ns > MS * 3 / 2 && slack_ns <= 2 * MS);	/* half of it is waited for, on average */
	slack_ns = settles_at(MS / 10);				/* they became faster */
	assert_true(slack_ns > MS / 10 && slack_ns <= MS / 5);
	assert_true(settles_at(0) < 1000);
	assert_int_equal(settles_at(50 * MS), GATHER_NS_MAX);
}

static void test_this_node_is_the_last_one(void **unused)
{
	u32 i;

	(void)unused;
	gather = (struct gather){ .slack_ns = MS };
	for (i = 0; i < 300; i++)
		gather_ended(&gather, 30 * MS, 29 * MS);
	assert_int_equal(gather.slack_ns, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waits_while_others_are_under_way),
		cmocka_unit_test(test_as_many_as_before_are_expected),
		cmocka_unit_test(test_without_peers_never),
		cmocka_unit_test(test_slack_is_what_peers_take_longer),
		cmocka_unit_test(test_this_node_is_the_last_one),
	};

	return cmocka_run_group_tests_name("gather", tests, NULL, NULL);
}
