/* test_heal_link.c — the link: which contacts lead from which state to which, and when */
#include "heal_rig.h"

#define OFFLINE_AFTER_MS 3000
#define HUNG_AFTER_MS 20000

static struct mono at(int64_t ms)
{
	return (struct mono){ ms * NS_PER_MS };
}

static struct link fresh(void)
{
	struct link l;

	link_init(&l, &(struct link_conf){ .offline_after_ms = OFFLINE_AFTER_MS, .hung_after_ms = HUNG_AFTER_MS }, at(1000));
	return l;
}

/* Online since 1,000 ms with a useful answer, and settled there. */
static struct link online(void)
{
	struct link l = fresh();

	assert_true(link_replied(&l, LINK_READ, at(1000), NULL));
	assert_int_equal(l.state, LINK_ONLINE);
	return l;
}

static struct link offline(void)
{
	struct link l = online();

	(void)link_unreached(&l, at(2000), at(2000), "refused");
	assert_true(link_unreached(&l, at(3000), at(5000), "refused"));
	assert_int_equal(l.state, LINK_OFFLINE);
	return l;
}

/* Since 40,000 ms: nothing but errors. */
static struct link failing(void)
{
	struct link l = online();

	for (int64_t ms = 20000; ms < 40000; ms += 5000)
		assert_false(link_replied(&l, LINK_ERROR, at(ms), "500"));
	assert_true(link_tick(&l, false, at(40000)));
	assert_int_equal(l.state, LINK_FAILING);
	return l;
}

static struct link denied(void)
{
	struct link l = online();

	assert_false(link_replied(&l, LINK_REFUSED, at(10000), "401"));
	assert_false(link_tick(&l, false, at(10000 + LINK_DENIED_MS - 1)));
	assert_true(link_tick(&l, false, at(10000 + LINK_DENIED_MS)));
	assert_int_equal(l.state, LINK_DENIED);
	return l;
}

static void any_address_that_answers_leads_from_suspect_to_online(void **state)
{
	struct link l = fresh();

	(void)state;
	assert_int_equal(l.state, LINK_SUSPECT);
	assert_true(link_reached(&l, at(1100)));
	assert_int_equal(l.state, LINK_ONLINE);
	assert_true(l.since.ns == at(1100).ns);
	assert_string_equal(l.reason, "answers");
}

static void one_failure_makes_suspect_only(void **state)
{
	struct link l = online();

	(void)state;
	assert_true(link_unreached(&l, at(2000), at(2000), "timeout"));
	assert_int_equal(l.state, LINK_SUSPECT);
	assert_string_equal(l.reason, "timeout");
	assert_false(link_unreached(&l, at(2000), at(4999), "timeout"));
	assert_true(link_unreached(&l, at(3000), at(5000), "refused"));	/* counts from the beginning of the first */
	assert_int_equal(l.state, LINK_OFFLINE);
	assert_string_equal(l.reason, "refused");
}

static void an_answer_between_starts_the_count_anew(void **state)
{
	struct link l = online();

	(void)state;
	(void)link_unreached(&l, at(2000), at(2000), "x");
	assert_true(link_reached(&l, at(4900)));
	assert_int_equal(l.state, LINK_ONLINE);
	(void)link_unreached(&l, at(5000), at(5000), "x");
	assert_false(link_unreached(&l, at(6000), at(7999), "x"));
	assert_true(link_unreached(&l, at(7000), at(8000), "x"));
}

static void slow_is_not_dead(void **state)
{
	struct link l = online();

	(void)state;
	for (int64_t ms = 3000; ms < 600000; ms += 3000) {	/* each answer comes 2.9 s late */
		(void)link_unreached(&l, at(ms), at(ms + 1000), "late");
		(void)link_reached(&l, at(ms + 2900));
		assert_int_equal(l.state, LINK_ONLINE);
		assert_false(link_tick(&l, false, at(ms + 2900)));
	}
}

static void one_lucky_answer_does_not_lead_out_of_offline(void **state)
{
	struct link l = offline();

	(void)state;
	assert_false(link_replied(&l, LINK_READ, at(6000), NULL));
	assert_false(link_unreached(&l, at(7000), at(7000), "x"));	/* the row is broken */
	assert_false(link_replied(&l, LINK_READ, at(8000), NULL));
	assert_int_equal(l.state, LINK_OFFLINE);
	assert_true(link_replied(&l, LINK_READ, at(9000), NULL));
	assert_int_equal(l.state, LINK_ONLINE);
}

static void a_handshake_or_a_refusal_does_not_lead_out_of_offline(void **state)
{
	struct link l = offline();

	(void)state;
	for (int64_t ms = 6000; ms < 900000; ms += 5000) {
		assert_false(link_reached(&l, at(ms)));
		assert_false(link_replied(&l, LINK_REFUSED, at(ms), "401"));
		assert_false(link_tick(&l, false, at(ms)));
	}
	assert_int_equal(l.state, LINK_OFFLINE);
	assert_string_equal(l.reason, "401");
}

static void throttled_is_an_answer(void **state)
{
	struct link l = offline();

	(void)state;
	assert_false(link_replied(&l, LINK_THROTTLED, at(6000), "429"));
	assert_true(link_replied(&l, LINK_THROTTLED, at(7000), "429"));
	assert_int_equal(l.state, LINK_ONLINE);
	for (int64_t ms = 8000; ms < 300000; ms += 5000) {
		assert_false(link_replied(&l, LINK_THROTTLED, at(ms), "429"));
		assert_false(link_tick(&l, false, at(ms)));
	}
}

static void without_credentials_any_answer_means_returned(void **state)
{
	struct link l;

	(void)state;
	link_init(&l, &(struct link_conf){ .offline_after_ms = 3000, .hung_after_ms = 20000, .anonymous = true }, at(1000));
	(void)link_unreached(&l, at(1000), at(4000), "x");
	assert_int_equal(l.state, LINK_OFFLINE);
	assert_false(link_reached(&l, at(5000)));
	assert_true(link_reached(&l, at(6000)));
	for (int64_t ms = 7000; ms < 900000; ms += 5000) {	/* and nobody denies it anything */
		assert_false(link_replied(&l, LINK_REFUSED, at(ms), "401"));
		assert_false(link_tick(&l, false, at(ms)));
	}
	assert_int_equal(l.state, LINK_ONLINE);
}

static void errors_alone_make_failing(void **state)
{
	struct link l = online();

	(void)state;
	assert_false(link_replied(&l, LINK_ERROR, at(35000), "500"));
	assert_false(link_tick(&l, true, at(70000)));		/* it works for a peer */
	assert_int_equal(l.state, LINK_ONLINE);
	assert_false(link_replied(&l, LINK_READ, at(71000), NULL));
	assert_false(link_replied(&l, LINK_ERROR, at(72000), "500"));
	assert_false(link_tick(&l, false, at(71000 + HUNG_AFTER_MS - 1)));
	assert_true(link_due(&l).ns == at(71000 + HUNG_AFTER_MS).ns);
	assert_true(link_tick(&l, false, at(71000 + HUNG_AFTER_MS)));
	assert_int_equal(l.state, LINK_FAILING);
}

static void errors_from_the_first_answer_after_an_outage_make_failing(void **state)
{
	struct link l = offline();

	(void)state;
	assert_false(link_replied(&l, LINK_ERROR, at(60000), "500"));
	assert_false(link_tick(&l, false, at(79999)));
	assert_true(link_tick(&l, false, at(80000)));
	assert_int_equal(l.state, LINK_FAILING);
}

static void failing_ends_with_reads_and_writes_for_half_a_minute(void **state)
{
	struct link l = failing();

	(void)state;
	for (int64_t ms = 45000; ms < 100000; ms += 5000)	/* reads alone prove nothing: an API server answers from its cache */
		assert_false(link_replied(&l, LINK_READ, at(ms), NULL) || link_tick(&l, false, at(ms)));
	assert_false(link_replied(&l, LINK_ERROR, at(100000), "500"));
	assert_false(link_replied(&l, LINK_READ, at(105000), NULL));
	assert_false(link_replied(&l, LINK_WRITTEN, at(110000), NULL));
	assert_false(link_tick(&l, false, at(105000 + LINK_PROVEN_MS - 1)));
	assert_true(link_tick(&l, false, at(105000 + LINK_PROVEN_MS)));
	assert_int_equal(l.state, LINK_ONLINE);
}

static void refusals_alone_make_denied_and_one_answer_ends_it(void **state)
{
	struct link l = denied();

	(void)state;
	assert_false(link_replied(&l, LINK_READ, at(140000), NULL));	/* not faster than LINK_DWELL_MS */
	assert_true(link_replied(&l, LINK_READ, at(130000 + LINK_DWELL_MS), NULL));
	assert_int_equal(l.state, LINK_ONLINE);
}

static void refusals_never_make_failing_and_errors_never_denied(void **state)
{
	struct link l = online();

	(void)state;
	for (int64_t ms = 10000; ms < 900000; ms += 10000) {
		assert_false(link_replied(&l, LINK_REFUSED, at(ms), "403"));
		assert_false(link_replied(&l, LINK_ERROR, at(ms + 1000), "500"));
		assert_false(link_replied(&l, LINK_REFUSED, at(ms + 2000), "403"));
		assert_false(link_tick(&l, false, at(ms + 9000)));
	}
}

static void failing_and_denied_become_offline_when_nobody_answers(void **state)
{
	struct link links[] = { failing(), denied() };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(links); i++) {
		assert_false(link_unreached(&links[i], at(200000), at(200000), "x"));
		assert_true(link_unreached(&links[i], at(201000), at(203000), "x"));
		assert_int_equal(links[i].state, LINK_OFFLINE);
	}
}

/* Whatever comes: no settled state but offline is left before its time. */
static void nothing_flaps(void **state)
{
	static const enum link_reply replies[] = { LINK_READ, LINK_WRITTEN, LINK_THROTTLED, LINK_REFUSED, LINK_ERROR };
	uint64_t seed = 42;
	unsigned seen = 0;

	(void)state;
	for (int run = 0; run < 200; run++) {
		struct link l = fresh();
		struct mono since = at(1000);
		enum link_state settled = LINK_SUSPECT;
		unsigned habit = (unsigned)run % ARRAY_LEN(replies);

		for (int64_t ms = 1000; ms < 1000000; ms += 1000) {
			unsigned what = (unsigned)((seed = seed * 6364136223846793005u + 1442695040888963407u) >> 33);

			if (ms % 200000 == 0)
				habit = what % ARRAY_LEN(replies);	/* for a while it is mostly of one kind */
			if (run % 2 && what % 16 == 0)
				(void)link_unreached(&l, at(ms - 1000), at(ms), "x");
			else
				(void)link_replied(&l, replies[what % 64 ? habit : what % ARRAY_LEN(replies)], at(ms), NULL);
			(void)link_tick(&l, false, at(ms));
			if (l.state == LINK_SUSPECT || l.state == settled)
				continue;
			if (l.state != LINK_OFFLINE && settled != LINK_SUSPECT && settled != LINK_OFFLINE)
				assert_true(mono_since_ms(at(ms), since) >= LINK_DWELL_MS);
			settled = l.state;
			since = at(ms);
			seen |= 1u << l.state;
		}
	}
	assert_int_equal(seen, 1u << LINK_ONLINE | 1u << LINK_OFFLINE | 1u << LINK_FAILING | 1u << LINK_DENIED);
}

static void states_have_names_and_meanings(void **state)
{
	static const struct { enum link_state s; const char *name; bool away; enum link_state healing; } rows[] = {
		{ LINK_SUSPECT, "suspect", false, LINK_SUSPECT }, { LINK_ONLINE, "online", false, LINK_ONLINE },
		{ LINK_OFFLINE, "offline", true, LINK_OFFLINE },  { LINK_FAILING, "failing", true, LINK_OFFLINE },
		{ LINK_DENIED, "denied", false, LINK_SUSPECT },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_string_equal(link_state_name(rows[i].s), rows[i].name);
		assert_int_equal(link_is_away(rows[i].s), rows[i].away);
		assert_int_equal(link_for_healing(rows[i].s), rows[i].healing);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_address_that_answers_leads_from_suspect_to_online),
		cmocka_unit_test(one_failure_makes_suspect_only),
		cmocka_unit_test(an_answer_between_starts_the_count_anew),
		cmocka_unit_test(slow_is_not_dead),
		cmocka_unit_test(one_lucky_answer_does_not_lead_out_of_offline),
		cmocka_unit_test(a_handshake_or_a_refusal_does_not_lead_out_of_offline),
		cmocka_unit_test(throttled_is_an_answer),
		cmocka_unit_test(without_credentials_any_answer_means_returned),
		cmocka_unit_test(errors_alone_make_failing),
		cmocka_unit_test(errors_from_the_first_answer_after_an_outage_make_failing),
		cmocka_unit_test(failing_ends_with_reads_and_writes_for_half_a_minute),
		cmocka_unit_test(refusals_alone_make_denied_and_one_answer_ends_it),
		cmocka_unit_test(refusals_never_make_failing_and_errors_never_denied),
		cmocka_unit_test(failing_and_denied_become_offline_when_nobody_answers),
		cmocka_unit_test(nothing_flaps),
		cmocka_unit_test(states_have_names_and_meanings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
