/* test_model_stamp.c — how fresh a mirror is, and what its silence says */
#include "../support.h"

#include "model/stamp.h"

static struct wall at_s(int64_t s)
{
	return (struct wall){ s * MS_PER_S * NS_PER_MS };
}

static void a_stamp_is_a_time_and_above_any_version(void **state)
{
	uint64_t stamp = stamp_of(at_s(1700000000));

	(void)state;
	assert_true(stamp_is_set(stamp));
	assert_true(stamp_time(stamp).ns == at_s(1700000000).ns);
	assert_true(stamp_of(at_s(1700000001)) > stamp);
	assert_true(stamp > (uint64_t)INT64_MAX / 2 && stamp <= INT64_MAX);	/* positive in the store */
	assert_true(stamp_of(at_s(1)) > UINT64_C(4000000000000000000));		/* a version of an older healer */
	assert_int_equal(stamp_of(at_s(0)), STAMP_UNKNOWN);
	assert_int_equal(stamp_of(at_s(-5)), STAMP_UNKNOWN);
}

static void what_is_no_stamp_has_no_time(void **state)
{
	static const uint64_t none[] = { STAMP_NONE, STAMP_UNKNOWN, 123456, UINT64_C(1) << 63, UINT64_MAX };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		assert_false(stamp_is_set(none[i]));
		assert_true(stamp_time(none[i]).ns == 0);
	}
	assert_true(stamp_time((UINT64_C(1) << 63) - 1).ns == 0);	/* a time that no clock shows */
}

static void who_must_show_it(void **state)
{
	static const struct { int64_t theirs, ours, made; bool must; } rows[] = {
		{ 1000, 1000, 990, true }, { 1001, 1000, 999, true }, { 1000, 1000, 1000, true },
		{ 900, 1000, 890, true }, { 900, 1000, 895, true }, { 900, 1000, 896, false }, { 900, 1000, 950, false },
		{ 900, 1000, 0, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (stamp_must_show(stamp_of(at_s(rows[i].theirs)), stamp_of(at_s(rows[i].ours)), at_s(rows[i].made)) !=
		    rows[i].must)
			fail_msg("row %zu", i);
	assert_true(stamp_must_show(STAMP_UNKNOWN, stamp_of(at_s(1000)), at_s(999)));
	assert_true(stamp_must_show(stamp_of(at_s(1)), STAMP_UNKNOWN, at_s(999)));
	assert_true(stamp_must_show(42, stamp_of(at_s(1000)), at_s(999)));
	assert_false(stamp_must_show(STAMP_NONE, STAMP_UNKNOWN, at_s(1)));
}

/* Mirrors that were confirmed a few seconds apart are as fresh; one that is older by more than the step is not. */
static void claims_of_one_site_are_equally_fresh(void **state)
{
	const int64_t step = STAMP_CLAIM_STEP_MS / 1000, at = 2000 * step;

	(void)state;
	assert_true(stamp_for_claim(stamp_of(at_s(at))) == stamp_of(at_s(at)));
	assert_true(stamp_for_claim(stamp_of(at_s(at + 1))) == stamp_of(at_s(at)));
	assert_true(stamp_for_claim(stamp_of(at_s(at + step - 1))) == stamp_of(at_s(at)));
	assert_true(stamp_for_claim(stamp_of(at_s(at + step))) > stamp_for_claim(stamp_of(at_s(at + step - 1))));
	assert_true(stamp_for_claim(stamp_of(at_s(1))) > UINT32_MAX);	/* above any version still */
	assert_int_equal(stamp_for_claim(STAMP_NONE), STAMP_NONE);
	assert_int_equal(stamp_for_claim(STAMP_UNKNOWN), STAMP_UNKNOWN);
	assert_int_equal(stamp_for_claim(4711), 4711);			/* a version */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stamp_is_a_time_and_above_any_version), cmocka_unit_test(what_is_no_stamp_has_no_time),
		cmocka_unit_test(who_must_show_it), cmocka_unit_test(claims_of_one_site_are_equally_fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
