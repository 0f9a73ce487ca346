/* test_heal_blank.c — a member that lives, has no mirror, and says what runs on it */
#include "heal_rig.h"

static const char *const both[] = { "uid-web-1", "uid-web-2" };

/* n5 lost its store. web-1 and web-2 are its own, web-3 is n2's. Only we can take them. */
static void wiped(struct rig *g)
{
	rig_init(g, 5);
	rig_only_me(g);
	rig_rs(g, "web", 3);
	rig_pod(g, "web-1", "web", "n5");
	rig_pod(g, "web-2", "web", "n5");
	rig_pod(g, "web-3", "web", "n2");
	rig_tick(g);
	rig_after(g, HEAL_BLANK_SETTLE_MS);	/* we have heard whatever the others claim */
	rig_peer(g, "n5")->blank = true;
}

/* It leaves the first `missing` of its pods out. */
static void says(struct rig *g, bool rebooted, size_t missing)
{
	(void)heal_on_blank(g->heal, "n5", &(struct blank_answer){ rebooted, both, missing }, g->now);
}

static void in_another_boot_what_it_does_not_name_is_lost_at_once(void **state)
{
	struct rig g;

	(void)state;
	wiped(&g);
	rig_tick(&g);
	assert_int_equal(rig_count(&g, ACTION_ASK_BLANK), 1);
	assert_string_equal(rig_find(&g, ACTION_ASK_BLANK, "n5")->node, "n5");
	assert_int_equal(rig_effects(&g), 0);
	says(&g, true, 2);
	rig_after(&g, 1);
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 2);
	assert_string_equal(rig_find(&g, ACTION_RESTORE, "uid-web-1")->node, "n5");
	(void)rig_copy(&g, "uid-web-1", COPY_STARTING);
	(void)rig_copy(&g, "uid-web-2", COPY_STARTING);
	for (int i = 0; i < 100; i++) {		/* and that is all */
		says(&g, true, 2);
		rig_after(&g, 1000);
		assert_int_equal(rig_effects(&g), 0);
	}
	rig_fini(&g);
}

static void in_the_same_boot_it_must_say_so_for_local_grace(void **state)
{
	struct rig g;

	(void)state;
	wiped(&g);
	rig_tick(&g);
	says(&g, false, 1);
	for (int64_t ms = 1000; ms < g.conf.local_grace_ms; ms += 1000) {
		rig_after(&g, 1000);
		says(&g, false, 1);
		rig_tick(&g);
		assert_int_equal(rig_effects(&g), 0);
	}
	rig_after(&g, 1000);
	assert_int_equal(rig_effects(&g), 0);		/* time alone says nothing */
	says(&g, false, 1);
	rig_tick(&g);
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 1);
	assert_non_null(rig_find(&g, ACTION_RESTORE, "uid-web-1"));
	rig_fini(&g);
}

/* Named in between: kubelet started it again. */
static void what_it_names_again_runs(void **state)
{
	struct rig g;

	(void)state;
	wiped(&g);
	for (int i = 0; i < 60; i++) {
		rig_tick(&g);
		says(&g, false, i % 3 == 0 ? 0 : 2);
		rig_after(&g, 2000);
		assert_int_equal(rig_effects(&g), 0);
	}
	rig_fini(&g);
}

static void what_all_runs_is_left_alone(void **state)
{
	struct rig g;

	(void)state;
	for (int rebooted = 0; rebooted < 2; rebooted++) {
		wiped(&g);
		for (int i = 0; i < 60; i++) {
			rig_after(&g, 1000);
			says(&g, rebooted, 0);
			assert_int_equal(rig_effects(&g), 0);
		}
		rig_fini(&g);
	}
}

/* Its answers stopped: two of them, far apart, are no row. */
static void who_has_not_answered_for_long_begins_anew(void **state)
{
	struct rig g;

	(void)state;
	wiped(&g);
	for (int i = 0; i < 10; i++) {
		rig_tick(&g);
		says(&g, false, 2);
		for (int k = 0; k < HEAL_BLANK_FRESH_MS / 1000 + 1; k++) {
			rig_after(&g, 1000);
			assert_int_equal(rig_effects(&g), 0);
		}
	}
	rig_fini(&g);
}

static void nothing_happens_unless_all_of_it_is_true(void **state)
{
	static const char *const rows[] = { "online", "has a mirror", "failed", "other site", "no member", "minority",
					    "a peer is online", "policy never", "at most once", "held by another", "tilted", "gone" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig g;

		wiped(&g);
		rig_tick(&g);
		says(&g, true, 2);
		switch (i) {
		case 0: rig_link(&g, LINK_ONLINE); break;
		case 1: rig_peer(&g, "n5")->blank = false; break;
		case 2: rig_status(&g, "n5", PEER_FAILED); break;
		case 3: rig_peer(&g, "n5")->site = intern("x"); break;
		case 4: rig_peer(&g, "n5")->standing = PEER_STRANGER; break;
		case 5: for (size_t k = 1; k < 4; k++) g.items[k].status = PEER_FAILED; break;
		case 6: heal_on_link(g.heal, "n2", true, g.now); break;
		case 7: view_workload(g.view, "rs-web")->policy = POLICY_NEVER; break;
		case 8: view_workload(g.view, "rs-web")->policy = POLICY_AT_MOST_ONCE; break;
		case 9:
			(void)rig_claim(&g, both[0], "n3", 1, CLAIM_LIVE);
			(void)rig_claim(&g, both[1], "n3", 1, CLAIM_LIVE);
			break;
		case 10: g.tilted = true; break;
		case 11: view_remove_pod(g.view, both[0]); view_remove_pod(g.view, both[1]); break;
		default: break;
		}
		for (int k = 0; k < 30; k++) {
			rig_after(&g, 100);
			if (rig_count(&g, ACTION_RESTORE))
				fail_msg("%s: restored", rows[i]);
		}
		rig_fini(&g);
	}
}

/* An answer that nobody asked for, or in the name of one that has a mirror. */
static void only_a_member_without_a_mirror_has_a_say(void **state)
{
	struct rig g;

	(void)state;
	wiped(&g);
	rig_peer(&g, "n5")->blank = false;
	rig_tick(&g);
	assert_int_equal(rig_count(&g, ACTION_ASK_BLANK), 0);
	says(&g, true, 2);
	(void)heal_on_blank(g.heal, "n9", &(struct blank_answer){ true, both, 2 }, g.now);
	rig_after(&g, 100);
	assert_int_equal(rig_effects(&g), 0);
	rig_fini(&g);
}

/* Who has just come may hold the pods, and we not have heard of it; so it is after a sleep of our own. */
static void claims_that_may_not_have_been_heard_are_waited_for(void **state)
{
	for (int slept = 0; slept < 2; slept++) {
		struct rig g;
		size_t restored = 0;

		(void)state;
		wiped(&g);
		rig_tick(&g);
		if (slept) {
			g.tilted = true;
			rig_after(&g, 100);
			g.tilted = false;
		} else {
			rig_status(&g, "n3", PEER_FAILED);
			rig_tick(&g);
			rig_status(&g, "n3", PEER_ALIVE);
		}
		for (int64_t ms = 1000; ms < HEAL_BLANK_SETTLE_MS; ms += 1000) {
			says(&g, true, 2);
			rig_tick(&g);
			assert_int_equal(rig_effects(&g), 0);
			rig_after(&g, 1000);
		}
		for (int i = 0; i < 3; i++) {
			says(&g, true, 2);
			rig_after(&g, 1000);
			restored += rig_count(&g, ACTION_RESTORE);
		}
		assert_int_equal(restored, 2);
		rig_fini(&g);
	}
}

/* An answer comes every two seconds, for as long as the outage lasts: what is not new is not told. */
static void what_is_news(void **state)
{
	static const struct { bool rebooted; size_t missing; bool news; } rows[] = {
		{ false, 0, true }, { false, 0, false }, { false, 1, true }, { false, 1, false }, { true, 1, true },
		{ true, 2, true }, { true, 2, false }, { true, 0, true },
	};
	struct rig g;

	(void)state;
	wiped(&g);
	rig_tick(&g);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct blank_answer x = { rows[i].rebooted, both, rows[i].missing };

		if (heal_on_blank(g.heal, "n5", &x, g.now) != rows[i].news)
			fail_msg("row %zu", i);
	}
	assert_false(heal_on_blank(g.heal, "n4", &(struct blank_answer){ true, both, 2 }, g.now));
	rig_fini(&g);
}

static void its_copies_are_lost_with_it(void **state)
{
	static const char *const copy[] = { "uid-web-3" };
	struct rig g;

	(void)state;
	wiped(&g);
	(void)rig_claim(&g, copy[0], "n5", 1, CLAIM_LIVE);
	rig_lose(&g, "n2");
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 0);	/* n5 has it */
	(void)heal_on_blank(g.heal, "n5", &(struct blank_answer){ true, copy, 1 }, g.now);
	rig_after(&g, 1);
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 1);
	assert_int_equal(rig_find(&g, ACTION_RESTORE, copy[0])->epoch, 2);
	rig_fini(&g);
}

static void it_is_given_nothing(void **state)
{
	struct loss_view l;
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	rig_rs(&g, "web", 1);
	rig_pod(&g, "web-1", "web", "n4");
	rig_peer(&g, "n5")->blank = true;
	rig_lose(&g, "n4");
	assert_true(rig_loss(&g, "uid-web-1", &l));
	assert_int_equal(l.rank_count, 3);
	for (size_t k = 0; k < l.rank_count; k++)
		assert_string_not_equal(l.ranks[k], "n5");
	rig_fini(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_another_boot_what_it_does_not_name_is_lost_at_once),
		cmocka_unit_test(in_the_same_boot_it_must_say_so_for_local_grace), cmocka_unit_test(what_it_names_again_runs),
		cmocka_unit_test(what_all_runs_is_left_alone), cmocka_unit_test(who_has_not_answered_for_long_begins_anew),
		cmocka_unit_test(nothing_happens_unless_all_of_it_is_true),
		cmocka_unit_test(only_a_member_without_a_mirror_has_a_say),
		cmocka_unit_test(claims_that_may_not_have_been_heard_are_waited_for), cmocka_unit_test(what_is_news),
		cmocka_unit_test(its_copies_are_lost_with_it),
		cmocka_unit_test(it_is_given_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
