/* test_agent_rates.c — token buckets of gossip under a clock that is told, not read */
#include "../support.h"

#include "agent/rates.h"

#define START ((struct mono){1000 * NS_PER_MS})

static int setup(void **state)
{
	*state = rates_new();
	return 0;
}

static int teardown(void **state)
{
	rates_free(*state);
	return 0;
}

/* How many of `tries` pass at once. */
static int passed(struct rates *r, enum rate_kind kind, const char *name, struct mono now, int tries)
{
	int n = 0;

	for (int i = 0; i < tries; i++)
		n += rates_take(r, kind, name, now);
	return n;
}

static void test_a_member_that_floods_is_not_heard_and_the_others_are(void **state)
{
	struct rates *r = *state;

	assert_int_equal(passed(r, RATE_MESSAGES, "n1", START, 100000), RATE_MEMBER_BURST);
	assert_false(rates_may(r, RATE_MESSAGES, "n1", START));
	assert_int_equal(passed(r, RATE_MESSAGES, "n2", START, 1100), 1100); /* 110 pods of each of ten lost nodes */
	assert_true(rates_take(r, RATE_CHANGES, "n1", START));
	assert_int_equal(rates_member_count(r), 2);
}

static void test_tokens_come_back_with_time(void **state)
{
	struct rates *r = *state;
	struct mono now = START;

	(void)passed(r, RATE_MESSAGES, "n1", now, RATE_MEMBER_BURST);
	assert_int_equal(passed(r, RATE_MESSAGES, "n1", mono_add_ms(now, 1), 100), 0);
	now = mono_add_ms(now, 1000);
	assert_int_equal(passed(r, RATE_MESSAGES, "n1", now, 100000), RATE_MEMBER_PER_S);
	for (int i = 0; i < 1000; i++) /* nothing is lost by looking often */
		(void)rates_may(r, RATE_MESSAGES, "n1", mono_add_ms(now, i));
	assert_int_equal(passed(r, RATE_MESSAGES, "n1", mono_add_ms(now, 1000), 100000), RATE_MEMBER_PER_S);
	now = (struct mono){INT64_MAX / 2}; /* a long quiet time: full, not overflown */
	assert_int_equal(passed(r, RATE_MESSAGES, "n1", now, 100000), RATE_MEMBER_BURST);
	assert_int_equal(passed(r, RATE_MESSAGES, "n1", START, 10), 0); /* a clock that goes back gives nothing */
}

static void test_many_names_have_an_end_in_all(void **state)
{
	struct rates *r = *state;
	int n = 0;

	for (int i = 0; i < 100; i++) {
		cleanup(freep) char *name = str_format("n%d", i);

		n += passed(r, RATE_MESSAGES, name, START, 1000);
	}
	assert_int_equal(n, RATE_ALL_BURST);
	assert_int_equal(passed(r, RATE_QUESTIONS, NULL, START, 100000), RATE_QUESTIONS_BURST);
	assert_int_equal(passed(r, RATE_QUESTIONS, NULL, mono_add_ms(START, 1000), 100000), RATE_QUESTIONS_PER_S);
}

static void test_who_is_no_member_shares_one(void **state)
{
	struct rates *r = *state;

	assert_int_equal(passed(r, RATE_MESSAGES, NULL, START, 10000) + passed(r, RATE_MESSAGES, "", START, 10000),
			 RATE_NOBODY_BURST);
	assert_int_equal(rates_member_count(r), 0);
	assert_true(rates_take(r, RATE_MESSAGES, "n1", START));
}

static void test_the_table_is_bounded(void **state)
{
	struct rates *r = *state;
	struct mono later = mono_add_ms(START, 1000);

	for (int i = 0; i < 2 * RATES_MEMBERS_MAX; i++) {
		cleanup(freep) char *name = str_format("n%d", i);

		(void)rates_take(r, RATE_MESSAGES, name, START);
		assert_true(rates_member_count(r) <= RATES_MEMBERS_MAX);
	}
	(void)passed(r, RATE_MESSAGES, "n7", later, RATE_MEMBER_BURST); /* one of them floods */
	assert_true(rates_take(r, RATE_MESSAGES, "fresh", mono_add_ms(later, 1000)));
	assert_true(rates_member_count(r) < 4); /* those that were full again made room, it did not */
	assert_int_equal(passed(r, RATE_MESSAGES, "n7", mono_add_ms(later, 1000), 100000), RATE_MEMBER_PER_S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_a_member_that_floods_is_not_heard_and_the_others_are, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_tokens_come_back_with_time, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_many_names_have_an_end_in_all, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_who_is_no_member_shares_one, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_the_table_is_bounded, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
