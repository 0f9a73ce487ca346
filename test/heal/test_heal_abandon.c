/* test_heal_abandon.c — when a standby that works may take it that nobody will come back */
#include "heal_rig.h"

#include "heal/abandon.h"

#define AFTER_MS 300000
#define LOOK_MS 5000

/* Looks every LOOK_MS from `from` to `to`; what the last one said. */
static bool looks(struct abandon *b, bool answers, enum abandon_pods pods, int64_t from, int64_t to)
{
	bool due = false;

	for (int64_t ms = from; ms <= to; ms += LOOK_MS)
		due = abandon_look(b, answers, pods, AFTER_MS, (struct mono){ ms * NS_PER_MS });
	return due;
}

static void test_five_minutes_of_answers_and_no_pod(void **state)
{
	struct abandon b = { 0 };

	(void)state;
	assert_false(looks(&b, true, ABANDON_POD_NONE, 1000, 300999));
	assert_true(looks(&b, true, ABANDON_POD_NONE, 301000, 301000));
}

static void test_an_outage_counts_from_its_end(void **state)
{
	struct abandon b = { 0 };

	(void)state;
	assert_false(looks(&b, false, ABANDON_POD_NONE, 1000, 901000));
	assert_false(looks(&b, true, ABANDON_POD_NONE, 906000, 1201000));
	assert_true(looks(&b, true, ABANDON_POD_NONE, 1206000, 1206000));
	assert_false(looks(&b, false, ABANDON_POD_NONE, 1211000, 1211000));
	assert_false(looks(&b, true, ABANDON_POD_NONE, 1216000, 1511000));
}

/* ImagePullBackOff: it is there, though nothing of it runs. */
static void test_a_pod_that_is_there_or_cannot_be_seen(void **state)
{
	static const enum abandon_pods seen[] = { ABANDON_POD_THERE, ABANDON_POD_UNKNOWN };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(seen); i++) {
		struct abandon b = { 0 };

		assert_false(looks(&b, true, seen[i], 1000, 3001000));
		assert_false(looks(&b, true, ABANDON_POD_NONE, 3006000, 3301000));
		assert_true(looks(&b, true, ABANDON_POD_NONE, 3306000, 3306000));
	}
}

/* Stopped (SIGSTOP, a machine that swaps): what was between two looks is not known. */
static void test_a_gap_between_looks(void **state)
{
	struct abandon b = { 0 };

	(void)state;
	assert_false(looks(&b, true, ABANDON_POD_NONE, 1000, 201000));
	assert_false(looks(&b, true, ABANDON_POD_NONE, 601000, 896000));
	assert_true(looks(&b, true, ABANDON_POD_NONE, 901000, 901000));
}

static void test_who_answers(void **state)
{
	struct link l;
	struct mono now = { 1000 * NS_PER_MS };
	const struct link_conf conf = { .offline_after_ms = 3000, .hung_after_ms = 20000 };

	(void)state;
	link_init(&l, &conf, now);
	assert_false(link_answers(&l));		/* nobody has yet */
	(void)link_replied(&l, LINK_REFUSED, now, "401");
	assert_true(link_answers(&l));
	(void)link_replied(&l, LINK_ERROR, now, "503");
	assert_false(link_answers(&l));
	(void)link_replied(&l, LINK_REFUSED, now, "403");
	assert_true(link_answers(&l));
	(void)link_unreached(&l, now, now, "refused");
	assert_false(link_answers(&l));
	(void)link_unreached(&l, now, (struct mono){ 9000 * NS_PER_MS }, "refused");
	assert_int_equal(l.state, LINK_OFFLINE);
	(void)link_reached(&l, now);		/* 403 does not lead out of offline, and yet somebody is there */
	assert_int_equal(l.state, LINK_OFFLINE);
	assert_true(link_answers(&l));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_five_minutes_of_answers_and_no_pod),
		cmocka_unit_test(test_an_outage_counts_from_its_end),
		cmocka_unit_test(test_a_pod_that_is_there_or_cannot_be_seen),
		cmocka_unit_test(test_a_gap_between_looks),
		cmocka_unit_test(test_who_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
