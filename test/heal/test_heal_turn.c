/* test_heal_turn.c — whose turn it is: ranks, claims, pauses, the budget */
#include "heal_rig.h"

static void rank_k_waits_k_timeouts(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 4);
	rig_rs(&g, "web", 1);
	rig_pod(&g, "web-1", "web", "n4");
	rig_rank_first(&g, "n2");
	rig_after(&g, HEAL_STIR_MS);
	rig_lose(&g, "n4");
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 0);
	assert_string_equal(rig_rank(&g, "uid-web-1", 0), "n2");
	assert_string_equal(rig_rank(&g, "uid-web-1", 1), "n3");
	assert_string_equal(rig_rank(&g, "uid-web-1", 2), "n1");
	assert_int_equal(mono_since_ms(g.plan.next_due, g.now), 750);	/* its claim is told half a timeout before it acts */
	rig_after(&g, 749);
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 0);
	rig_after(&g, 1);
	assert_int_equal(rig_find(&g, ACTION_RESTORE, "uid-web-1")->rank, 2);
	assert_int_equal(rig_find(&g, ACTION_RESTORE, "uid-web-1")->wait_ms, 250);
	rig_fini(&g);
}

/* How long do we wait between claim and manifest, we are the first, when n5 changed so long before? */
static int64_t wait_after(int64_t ms, enum peer_status status, const char *site)
{
	struct rig g;
	int64_t wait_ms;

	rig_init(&g, 6);
	rig_rs(&g, "web", 1);
	rig_pod(&g, "web-1", "web", "n4");
	rig_rank_first(&g, "n1");
	rig_peer(&g, "n1")->free.cpu_milli = 3000;
	rig_peer(&g, "n5")->site = intern(site);
	rig_after(&g, HEAL_STIR_MS);
	rig_status(&g, "n5", status);
	rig_after(&g, ms);
	rig_lose(&g, "n4");
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 1);
	wait_ms = rig_find(&g, ACTION_RESTORE, "uid-web-1")->wait_ms;
	rig_fini(&g);
	return wait_ms;
}

/* Where a second node goes or comes, two may both be the first. */
static void in_a_stirred_site_the_claim_comes_before_the_act(void **state)
{
	(void)state;
	assert_int_equal(wait_after(HEAL_STIR_MS - 3000, PEER_FAILED, ""), 500);
	assert_int_equal(wait_after(2 * HEAL_STIR_MS, PEER_FAILED, ""), 0);
	assert_int_equal(wait_after(HEAL_STIR_MS - 3000, PEER_FAILED, "elsewhere"), 0);
}

/* One that could take it, and never says a word, is asked between the others' giving up: that does not undo it. */
static void one_that_stays_silent_does_not_keep_the_others_from_trying_again(void **state)
{
	struct rig g;
	const struct action *a = NULL;

	(void)state;
	rig_init(&g, 4);
	rig_rs(&g, "web", 1);
	rig_pod(&g, "web-1", "web", "n4");
	rig_rank_first(&g, "n2");
	for (int i = 0; i < 2; i++) {
		(void)rig_claim(&g, "uid-web-1", i ? "n3" : "n1", 1, CLAIM_LIVE);
		(void)rig_claim(&g, "uid-web-1", i ? "n3" : "n1", 1, CLAIM_WITHDRAWN);
	}
	rig_lose(&g, "n4");
	for (int64_t waited = 0; !a && waited < HEAL_GAVE_UP_FIRST_MS + 4 * HEAL_REFUSED_RETRY_MS; waited += 100) {
		rig_after(&g, 100);
		a = rig_find(&g, ACTION_RESTORE, "uid-web-1");
	}
	assert_non_null(a);
	assert_int_equal(a->epoch, 2);
	rig_fini(&g);
}

static void a_claim_keeps_us_out_and_a_withdrawal_lets_us_in_at_once(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 4);
	rig_rs(&g, "web", 1);
	rig_pod(&g, "web-1", "web", "n4");
	rig_rank_first(&g, "n2");
	rig_lose(&g, "n4");
	(void)rig_claim(&g, "uid-web-1", "n2", 1, CLAIM_LIVE);
	for (int i = 0; i < 50; i++) {
		rig_after(&g, 200);
		assert_int_equal(rig_effects(&g), 0);
	}
	rig_peer(&g, "n1")->free.cpu_milli = 2500;		/* next in line today */
	(void)rig_claim(&g, "uid-web-1", "n2", 1, CLAIM_WITHDRAWN);
	rig_tick(&g);
	assert_int_equal(rig_find(&g, ACTION_RESTORE, "uid-web-1")->rank, 0);
	assert_int_equal(g.plan.items[0].epoch, 1);
	assert_string_equal(rig_rank(&g, "uid-web-1", 1), "n3");	/* and n2 is out */
	assert_null(rig_rank(&g, "uid-web-1", 2));
	rig_fini(&g);
}

static void when_all_ranks_are_silent_others_are_asked(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 8);
	rig_rs(&g, "web", 1);
	rig_pod(&g, "web-1", "web", "n8");
	rig_rank_first(&g, "n2");
	rig_lose(&g, "n8");
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 0);	/* n2, n7, n6, n5 */
	rig_after(&g, 2499);
	assert_string_equal(rig_rank(&g, "uid-web-1", 0), "n2");
	rig_after(&g, 1);
	assert_string_equal(rig_rank(&g, "uid-web-1", 0), "n4");
	assert_string_equal(rig_rank(&g, "uid-web-1", 2), "n1");
	rig_after(&g, 1000);
	assert_non_null(rig_find(&g, ACTION_RESTORE, "uid-web-1"));
	rig_fini(&g);
}

static void everyone_gave_up_is_not_for_ever(void **state)
{
	struct rig g;
	const struct action *a = NULL;
	int64_t waited = 0;

	(void)state;
	rig_init(&g, 4);
	rig_only_me(&g);
	rig_rs(&g, "web", 1);
	rig_pod(&g, "web-1", "web", "n4");
	rig_lose(&g, "n4");
	(void)rig_copy(&g, "uid-web-1", COPY_STARTING);
	rig_after(&g, 10);
	(void)rig_claim(&g, "uid-web-1", "n1", 1, CLAIM_WITHDRAWN);
	rig_copy_gone(&g, "uid-web-1");
	for (uint32_t epoch = 2; epoch < 8; epoch++) {		/* soon at first, then less often */
		int64_t pause = HEAL_GAVE_UP_FIRST_MS << (epoch - 2);

		pause = pause < HEAL_GAVE_UP_RETRY_MS ? pause : HEAL_GAVE_UP_RETRY_MS;
		for (a = NULL, waited = 0; !a && waited < 200000; waited += 500) {
			rig_after(&g, 500);
			a = rig_find(&g, ACTION_RESTORE, "uid-web-1");
		}
		assert_in_range(waited, pause, pause + 3 * HEAL_REFUSED_RETRY_MS);
		assert_int_equal(a->epoch, epoch);
		(void)rig_claim(&g, "uid-web-1", "n1", epoch, CLAIM_LIVE);
		(void)rig_claim(&g, "uid-web-1", "n1", epoch, CLAIM_WITHDRAWN);
	}
	rig_fini(&g);
}

static void a_failed_restore_is_left_to_others_first(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 4);
	rig_rs(&g, "web", 1);
	rig_pod(&g, "web-1", "web", "n4");
	rig_rank_first(&g, "n1");
	rig_peer(&g, "n1")->free.cpu_milli = 3000;
	rig_lose(&g, "n4");
	assert_non_null(rig_find(&g, ACTION_RESTORE, "uid-web-1"));
	heal_on_restore_failed(g.heal, "uid-web-1", g.now);
	for (int i = 0; i < 15; i++) {
		rig_after(&g, 100);
		assert_int_equal(rig_count(&g, ACTION_RESTORE), 0);
	}
	for (int i = 0; i < 100 && !rig_count(&g, ACTION_RESTORE); i++)
		rig_after(&g, 100);
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 1);	/* nobody came: ours again */
	rig_fini(&g);
}

static void the_holder_dies_too_and_the_epoch_grows(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 7);
	rig_rs(&g, "web", 1);
	rig_pod(&g, "web-1", "web", "n7");
	rig_rank_first(&g, "n2");
	rig_lose(&g, "n7");
	(void)rig_claim(&g, "uid-web-1", "n2", 1, CLAIM_LIVE);
	rig_after(&g, 100);
	rig_only_me(&g);
	rig_lose(&g, "n2");
	assert_int_equal(rig_find(&g, ACTION_RESTORE, "uid-web-1")->epoch, 2);
	assert_string_equal(rig_find(&g, ACTION_RESTORE, "uid-web-1")->node, "n2");
	rig_fini(&g);
}

static void a_holder_that_returns_and_gives_up_leaves_no_hole(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 7);
	rig_rs(&g, "web", 1);
	rig_pod(&g, "web-1", "web", "n7");
	(void)rig_claim(&g, "uid-web-1", "n2", 1, CLAIM_LIVE);	/* known before the loss: from the store */
	rig_lose(&g, "n7");
	assert_int_equal(g.plan.count, 0);
	rig_rank_first(&g, "n3");
	rig_lose(&g, "n2");
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 0);	/* n3's turn */
	rig_status(&g, "n2", PEER_ALIVE);
	rig_after(&g, 100);
	rig_only_me(&g);
	(void)rig_claim(&g, "uid-web-1", "n2", 1, CLAIM_WITHDRAWN);
	rig_after(&g, 100);
	assert_non_null(rig_find(&g, ACTION_RESTORE, "uid-web-1"));
	rig_fini(&g);
}

static void a_claim_of_ours_without_a_copy_holds_nothing(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	rig_only_me(&g);
	rig_rs(&g, "web", 1);
	rig_pod(&g, "web-1", "web", "n5");
	(void)rig_claim(&g, "uid-web-1", "n1", 3, CLAIM_LIVE);
	rig_lose(&g, "n5");
	assert_int_equal(rig_find(&g, ACTION_RESTORE, "uid-web-1")->epoch, 4);
	rig_fini(&g);
}

static void a_pause_does_not_give_everybody_the_turn(void **state)
{
	/* rank 2 of 3; its deadline passes while it may not act */
	for (int how = 0; how < 3; how++) {
		struct rig g;

		(void)state;
		rig_init(&g, 4);
		rig_rs(&g, "web", 1);
		rig_pod(&g, "web-1", "web", "n4");
		rig_rank_first(&g, "n2");
		rig_lose(&g, "n4");
		if (how == 0)
			rig_link(&g, LINK_SUSPECT);
		else if (how == 1)
			g.tilted = true;
		else
			rig_peer(&g, "n2")->api = true;
		rig_after(&g, 5000);
		assert_int_equal(rig_count(&g, ACTION_RESTORE), 0);
		rig_link(&g, LINK_OFFLINE);
		g.tilted = false;
		rig_peer(&g, "n2")->api = false;
		rig_after(&g, 10);
		assert_int_equal(rig_count(&g, ACTION_RESTORE), 0);
		if (how == 1) {		/* the verdict from before is old */
			assert_int_equal(rig_suspect(&g, "n4"), SUSPECT_REFUTED);
			rig_after(&g, HEAL_REFUTED_RETRY_MS);
			heal_on_probe(g.heal, "n4", PROBE_SILENT, g.now);
			rig_after(&g, 1);
			heal_on_probe(g.heal, "n4", PROBE_SILENT, g.now);
			rig_voice(&g, "n4", "n2", false);
			rig_voice(&g, "n4", "n3", false);
			rig_after(&g, 1);
			assert_int_equal(rig_suspect(&g, "n4"), SUSPECT_LOST);
			assert_int_equal(rig_count(&g, ACTION_RESTORE), 0);
		}
		rig_after(&g, 1000);
		assert_int_equal(rig_count(&g, ACTION_RESTORE), 1);
		rig_fini(&g);
	}
}

/* What the plan restores is a copy of ours now. */
static void take_all(struct rig *g)
{
	for (size_t i = 0; i < g->plan.count; i++)
		if (g->plan.items[i].kind == ACTION_RESTORE)
			(void)rig_copy(g, g->plan.items[i].pod_uid, COPY_RUNNING);
}

static void the_budget_spreads_a_wave_and_the_important_go_first(void **state)
{
	struct rig g;
	size_t done = 0;

	(void)state;
	rig_init(&g, 5);
	rig_only_me(&g);
	g.conf.restores_per_minute = 6;
	rig_reconf(&g);
	rig_rs(&g, "web", 10);
	for (int i = 0; i < 10; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "web-%d", i);
		rig_pod(&g, name, "web", "n5")->priority = i;
	}
	rig_lose(&g, "n5");
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 6);
	assert_non_null(rig_find(&g, ACTION_RESTORE, "uid-web-9"));
	assert_null(rig_find(&g, ACTION_RESTORE, "uid-web-3"));
	take_all(&g);
	for (int i = 0; i < 45 && g.plan.next_due.ns; i++) {
		g.now = g.plan.next_due;
		rig_tick(&g);
		done += rig_count(&g, ACTION_RESTORE);
		take_all(&g);
	}
	assert_int_equal(done, 4);
	g.conf.restores_per_minute = 0;				/* no budget at all: nothing, and no spin */
	rig_reconf(&g);
	rig_fini(&g);
}

static void our_own_books_have_the_last_word(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	rig_only_me(&g);
	rig_rs(&g, "web", 3);
	rig_pod(&g, "web-1", "web", "n5");
	rig_pod(&g, "web-2", "web", "n5");
	g.f.local_free.cpu_milli = 150;
	rig_lose(&g, "n5");
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 1);
	assert_non_null(rig_find(&g, ACTION_RESTORE, "uid-web-1"));
	rig_fini(&g);
}

static void with_equal_facts_exactly_one_of_us_acts(void **state)
{
	(void)state;
	for (int unbound = 0; unbound < 2; unbound++) {
		int winners[10] = { 0 };

		for (int self = 1; self <= 6 + unbound; self++) {	/* offline the seventh is the one that dies */
			struct rig g;
			char name[32];

			rig_init(&g, 7);
			(void)snprintf(name, sizeof(name), "n%d", self);
			g.conf.self = intern(name);
			rig_reconf(&g);
			rig_link(&g, unbound ? LINK_ONLINE : LINK_OFFLINE);
			rig_rs(&g, "web", 10);
			for (int i = 0; i < 10; i++) {		/* put in a different order on every node */
				(void)snprintf(name, sizeof(name), "web-%d", (i * 3 + self) % 10);
				rig_pod(&g, name, "web", unbound ? NULL : "n7");
			}
			if (unbound)
				rig_after(&g, 200);
			else
				rig_lose(&g, "n7");
			for (size_t i = 0; i < g.plan.count; i++) {
				assert_int_equal(g.plan.items[i].kind, unbound ? ACTION_BIND : ACTION_RESTORE);
				assert_int_equal(g.plan.items[i].rank, 0);
				winners[g.plan.items[i].pod_uid[8] - '0']++;
			}
			rig_fini(&g);
		}
		for (int i = 0; i < 10; i++)
			assert_int_equal(winners[i], 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rank_k_waits_k_timeouts),
		cmocka_unit_test(in_a_stirred_site_the_claim_comes_before_the_act),
		cmocka_unit_test(one_that_stays_silent_does_not_keep_the_others_from_trying_again),
		cmocka_unit_test(a_claim_keeps_us_out_and_a_withdrawal_lets_us_in_at_once),
		cmocka_unit_test(when_all_ranks_are_silent_others_are_asked),
		cmocka_unit_test(everyone_gave_up_is_not_for_ever),
		cmocka_unit_test(a_failed_restore_is_left_to_others_first),
		cmocka_unit_test(the_holder_dies_too_and_the_epoch_grows),
		cmocka_unit_test(a_holder_that_returns_and_gives_up_leaves_no_hole),
		cmocka_unit_test(a_claim_of_ours_without_a_copy_holds_nothing),
		cmocka_unit_test(a_pause_does_not_give_everybody_the_turn),
		cmocka_unit_test(the_budget_spreads_a_wave_and_the_important_go_first),
		cmocka_unit_test(our_own_books_have_the_last_word),
		cmocka_unit_test(with_equal_facts_exactly_one_of_us_acts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
