// SPDX-License-Identifier: GPL-2.0
/*
 * Which writes wait for company on a lane [N5]: never one at a time, always a deep queue, and not for those who are gone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../kernel/core/dues.h"

static struct dues dues;

/* A write comes while @under_way others are: does it wait? */
static bool comes(u32 under_way)
{
	dues_came(&dues);
	return dues_wait(&dues, under_way, false);
}

static void test_one_at_a_time_never_waits(void **state)
{
	u32 i;

	(void)state;
	dues = (struct dues) { 0 };
	for (i = 0; i < 1000; i++) {
		assert_false(comes(0));
		dues_ended(&dues, 1);
	}
}

static void test_company_under_way(void **state)
{
	(void)state;
	dues = (struct dues) { 0 };
	assert_false(comes(0));
	assert_true(comes(1));
	assert_false(dues_wait(&dues, true, true));	/* enough for a burst */
}

/* All of a deep queue ends at once: the first that comes again has nothing under way, and waits for the others all the same. */
static void test_queue_comes_again(void **state)
{
	u32 round, i;

	(void)state;
	dues = (struct dues) { 0 };
	for (round = 0; round < 10; round++) {
		for (i = 0; i < 32; i++)
			assert_int_equal(comes(0), round && i < 31);
		dues_ended(&dues, 32);
		assert_false(dues_wait(&dues, false, true));
	}
}

/* A queue of 32 becomes one write at a time: after two looks at a lone write nothing waits any more. */
static void test_those_who_went_are_not_waited_for(void **state)
{
	(void)state;
	dues = (struct dues) { 0 };
	dues_ended(&dues, 32);
	assert_true(comes(0));
	dues_looked(&dues, true);
	assert_true(dues_wait(&dues, false, false));	/* once may be chance */
	dues_ended(&dues, 1);
	assert_true(comes(0));
	dues_looked(&dues, true);
	dues_ended(&dues, 1);
	assert_false(comes(0));

	dues = (struct dues) { 0 };
	dues_ended(&dues, 32);
	assert_true(comes(0));
	dues_looked(&dues, true);
	dues_looked(&dues, false);	/* company came between */
	dues_looked(&dues, true);
	assert_true(dues_wait(&dues, false, false));
}

static void test_dues_are_bounded(void **state)
{
	u32 i;

	(void)state;
	dues = (struct dues) { 0 };
	dues_ended(&dues, ~0u);
	dues_ended(&dues, DUES_MAX);
	assert_int_equal(dues.nr, DUES_MAX);
	dues_ended(&dues, ~0u);
	assert_int_equal(dues.nr, DUES_MAX);
	for (i = 0; i < DUES_MAX - 1; i++)
		assert_true(comes(0));
	assert_false(comes(0));
	assert_false(comes(0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_at_a_time_never_waits),
		cmocka_unit_test(test_company_under_way),
		cmocka_unit_test(test_queue_comes_again),
		cmocka_unit_test(test_those_who_went_are_not_waited_for),
		cmocka_unit_test(test_dues_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
