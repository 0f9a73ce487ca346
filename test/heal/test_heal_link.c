/* test_heal_link.c — hysteresis of the link */
#include "heal_rig.h"

static struct mono at(int64_t ms)
{
	return (struct mono){ ms * NS_PER_MS };
}

static void one_answer_leads_from_suspect_to_online(void **state)
{
	struct link l;

	(void)state;
	link_init(&l, 3000, at(1000));
	assert_int_equal(l.state, LINK_SUSPECT);
	assert_true(link_observe(&l, at(1100), true, NULL));
	assert_int_equal(l.state, LINK_ONLINE);
	assert_true(l.since.ns == at(1100).ns);
	assert_string_equal(l.reason, "answers");
}

static void one_failure_makes_suspect_only(void **state)
{
	struct link l;

	(void)state;
	link_init(&l, 3000, at(1000));
	(void)link_observe(&l, at(1100), true, NULL);
	assert_true(link_observe(&l, at(2000), false, "timeout"));
	assert_int_equal(l.state, LINK_SUSPECT);
	assert_string_equal(l.reason, "timeout");
	assert_false(link_observe(&l, at(4999), false, "timeout"));
	assert_int_equal(l.state, LINK_SUSPECT);
	assert_true(link_observe(&l, at(5000), false, "refused"));
	assert_int_equal(l.state, LINK_OFFLINE);
	assert_string_equal(l.reason, "refused");
}

static void an_answer_between_starts_the_count_anew(void **state)
{
	struct link l;

	(void)state;
	link_init(&l, 3000, at(1000));
	(void)link_observe(&l, at(1000), false, "x");
	(void)link_observe(&l, at(3900), true, NULL);
	(void)link_observe(&l, at(4000), false, "x");
	assert_false(link_observe(&l, at(6999), false, "x"));
	assert_int_equal(l.state, LINK_SUSPECT);
	assert_true(link_observe(&l, at(7000), false, "x"));
}

static void one_lucky_answer_does_not_lead_out_of_offline(void **state)
{
	struct link l;

	(void)state;
	link_init(&l, 3000, at(1000));
	(void)link_observe(&l, at(1000), false, "x");
	(void)link_observe(&l, at(4000), false, "x");
	assert_int_equal(l.state, LINK_OFFLINE);
	assert_false(link_observe(&l, at(5000), true, NULL));
	assert_false(link_observe(&l, at(6000), false, "x"));	/* the row is broken */
	assert_false(link_observe(&l, at(7000), true, NULL));
	assert_int_equal(l.state, LINK_OFFLINE);
	assert_true(link_observe(&l, at(8000), true, NULL));
	assert_int_equal(l.state, LINK_ONLINE);
}

static void states_have_names(void **state)
{
	(void)state;
	assert_string_equal(link_state_name(LINK_SUSPECT), "suspect");
	assert_string_equal(link_state_name(LINK_ONLINE), "online");
	assert_string_equal(link_state_name(LINK_OFFLINE), "offline");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_answer_leads_from_suspect_to_online),
		cmocka_unit_test(one_failure_makes_suspect_only),
		cmocka_unit_test(an_answer_between_starts_the_count_anew),
		cmocka_unit_test(one_lucky_answer_does_not_lead_out_of_offline),
		cmocka_unit_test(states_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
