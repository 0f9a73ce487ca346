/* test_heal_suspect.c — no verdict on one piece of evidence */
#include "heal_rig.h"

static void every_piece_of_evidence_is_needed(void **state)
{
	/* five nodes, n5 fails; each row leaves one thing out */
	static const struct { const char *name; bool probe_fails; int confirm, refute; bool lost, only_first_fails; } rows[] = {
		{ "all", true, 3, 0, true, false },
		{ "two witnesses are enough", true, 2, 0, true, false },
		{ "our probe reaches it", false, 3, 0, false, false },
		{ "our second probe reaches it", true, 3, 0, false, true },
		{ "one witness", true, 1, 0, false, false },
		{ "no witness", true, 0, 0, false, false },
		{ "a peer still sees it", true, 2, 1, false, false },
	};
	static const char *const others[] = { "n2", "n3", "n4" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig g;
		int n = 0;

		rig_init(&g, 5);
		rig_status(&g, "n5", PEER_FAILED);
		rig_tick(&g);
		heal_on_probe(g.heal, "n5", !rows[i].probe_fails, g.now);
		rig_after(&g, 1000);
		heal_on_probe(g.heal, "n5", !rows[i].probe_fails || rows[i].only_first_fails, g.now);
		for (int k = 0; k < rows[i].confirm; k++)
			rig_voice(&g, "n5", others[n++], false);
		for (int k = 0; k < rows[i].refute; k++)
			rig_voice(&g, "n5", others[n++], true);
		heal_on_witness_end(g.heal, "n5");
		rig_after(&g, 10);
		if ((rig_suspect(&g, "n5") == SUSPECT_LOST) != rows[i].lost)
			fail_msg("%s: %s", rows[i].name, suspect_state_name(rig_suspect(&g, "n5")));
		rig_fini(&g);
	}
}

static void grace_comes_first(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	rig_status(&g, "n5", PEER_FAILED);
	rig_tick(&g);
	assert_int_equal(rig_count(&g, ACTION_PROBE), 1);
	heal_on_probe(g.heal, "n5", false, g.now);
	rig_after(&g, 999);
	assert_int_equal(rig_count(&g, ACTION_WITNESS) + rig_count(&g, ACTION_PROBE), 0);
	assert_int_equal(mono_since_ms(g.plan.next_due, g.now), 1);
	rig_after(&g, 1);
	assert_non_null(rig_find(&g, ACTION_WITNESS, "n5"));
	rig_fini(&g);
}

static void one_voice_per_peer_and_only_of_the_site(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 6);
	rig_peer(&g, "n6")->site = intern("elsewhere");
	rig_status(&g, "n5", PEER_FAILED);
	rig_tick(&g);
	heal_on_probe(g.heal, "n5", false, g.now);
	rig_after(&g, 1000);
	rig_voice(&g, "n5", "n2", false);
	rig_voice(&g, "n5", "n2", false);		/* twice the same */
	rig_voice(&g, "n5", "n1", false);		/* ourselves */
	rig_voice(&g, "n5", "n6", false);		/* another site */
	rig_voice(&g, "n5", "n5", false);		/* the suspect */
	rig_voice(&g, "n5", "nobody", false);
	heal_on_probe(g.heal, "n5", false, g.now);
	heal_on_witness_end(g.heal, "n5");
	rig_after(&g, 1);
	assert_int_equal(rig_suspect(&g, "n5"), SUSPECT_REFUTED);
	rig_fini(&g);
}

/* Gossip has not noticed yet that it is back. */
static void a_lost_node_that_answers_is_not_lost(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	rig_lose(&g, "n5");
	rig_after(&g, HEAL_LOST_PROBE_MS - 10);
	assert_int_equal(rig_count(&g, ACTION_PROBE), 0);
	rig_after(&g, 20);
	assert_non_null(rig_find(&g, ACTION_PROBE, "n5"));
	heal_on_probe(g.heal, "n5", false, g.now);
	rig_after(&g, HEAL_LOST_PROBE_MS);
	assert_int_equal(rig_suspect(&g, "n5"), SUSPECT_LOST);
	heal_on_probe(g.heal, "n5", true, g.now);
	rig_after(&g, 10);
	assert_int_equal(rig_suspect(&g, "n5"), SUSPECT_REFUTED);
	rig_fini(&g);
}

static void another_site_cannot_speak_for_it_either(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 6);
	rig_peer(&g, "n6")->site = intern("elsewhere");
	rig_lose_evidence(&g, "n5");
	rig_voice(&g, "n5", "n6", true);
	rig_after(&g, 1);
	assert_int_equal(rig_suspect(&g, "n5"), SUSPECT_LOST);
	rig_fini(&g);
}

static void other_sites_are_no_losses(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	rig_peer(&g, "n5")->site = intern("elsewhere");
	rig_status(&g, "n5", PEER_FAILED);
	rig_tick(&g);
	assert_int_equal(g.plan.count, 0);
	assert_true(heal_has_majority(g.heal, &g.peers));
	rig_fini(&g);
}

/* Every probe of that time fails; it is woken when it wants to be. */
static void silent_for(struct rig *g, int64_t ms)
{
	struct mono end = mono_add_ms(g->now, ms);

	heal_on_probe(g->heal, "n5", false, g->now);
	while (g->now.ns < end.ns) {
		int64_t due_ms = mono_is_set(g->plan.next_due) ? mono_since_ms(g->plan.next_due, g->now) : ms;
		int64_t left_ms = mono_since_ms(end, g->now);

		rig_after(g, due_ms > 0 && due_ms < left_ms ? due_ms : left_ms);
		if (rig_find(g, ACTION_PROBE, "n5"))
			heal_on_probe(g->heal, "n5", false, g->now);
	}
}

static void a_refuted_suspicion_is_looked_at_again(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	rig_status(&g, "n5", PEER_FAILED);
	rig_tick(&g);
	heal_on_probe(g.heal, "n5", true, g.now);
	rig_after(&g, 1000);
	assert_int_equal(rig_suspect(&g, "n5"), SUSPECT_REFUTED);
	assert_int_equal(mono_since_ms(g.plan.next_due, g.now), HEAL_REFUTED_RETRY_MS);
	rig_after(&g, HEAL_REFUTED_RETRY_MS);
	assert_non_null(rig_find(&g, ACTION_PROBE, "n5"));
	silent_for(&g, HEAL_FLAP_MS - 1);			/* it answered: a link that flaps is no loss */
	assert_int_equal(rig_suspect(&g, "n5"), SUSPECT_GRACE);
	rig_after(&g, 1);
	assert_non_null(rig_find(&g, ACTION_WITNESS, "n5"));
	assert_int_equal(rig_count(&g, ACTION_PROBE), 1);	/* once more */
	rig_fini(&g);
}

static void one_answer_within_the_grace_of_a_flapping_node_refutes(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	rig_status(&g, "n5", PEER_FAILED);
	rig_tick(&g);
	heal_on_probe(g.heal, "n5", true, g.now);
	rig_after(&g, 1000);
	rig_after(&g, HEAL_REFUTED_RETRY_MS);
	silent_for(&g, 2 * HEAL_FLAP_PROBE_MS);
	heal_on_probe(g.heal, "n5", true, g.now);
	rig_after(&g, 1);
	assert_int_equal(rig_suspect(&g, "n5"), SUSPECT_REFUTED);
	rig_after(&g, HEAL_REFUTED_RETRY_MS);
	silent_for(&g, HEAL_FLAP_MS - 1);			/* the whole grace anew */
	assert_int_equal(rig_suspect(&g, "n5"), SUSPECT_GRACE);
	rig_fini(&g);
}

static void lost_answers_do_not_stop_us(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	rig_status(&g, "n5", PEER_FAILED);
	rig_tick(&g);
	rig_after(&g, 1000);
	assert_true(mono_is_set(g.plan.next_due));		/* the probe is overdue: we look again by ourselves */
	rig_after(&g, HEAL_ANSWER_MS);
	assert_non_null(rig_find(&g, ACTION_PROBE, "n5"));
	heal_on_probe(g.heal, "n5", false, g.now);
	rig_after(&g, 1);
	assert_non_null(rig_find(&g, ACTION_WITNESS, "n5"));
	assert_int_equal(mono_since_ms(g.plan.next_due, g.now), HEAL_ANSWER_MS);
	rig_voice(&g, "n5", "n2", false);
	rig_voice(&g, "n5", "n3", false);
	rig_after(&g, HEAL_ANSWER_MS);				/* heal_on_witness_end() never came */
	assert_int_equal(rig_suspect(&g, "n5"), SUSPECT_LOST);
	rig_fini(&g);
}

static void what_ends_a_suspicion(void **state)
{
	static const enum peer_status ends[] = { PEER_ALIVE, PEER_LEFT, PEER_LEAVING, PEER_UNKNOWN };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct rig g;

		rig_init(&g, 5);
		rig_lose(&g, "n5");
		assert_int_equal(rig_suspect(&g, "n5"), SUSPECT_LOST);
		rig_status(&g, "n5", ends[i]);
		rig_after(&g, 1);
		rig_status(&g, "n5", PEER_FAILED);		/* again: from the beginning */
		rig_after(&g, 1);
		assert_int_equal(rig_suspect(&g, "n5"), SUSPECT_GRACE);
		g.peers.count = 4;				/* reaped from gossip */
		rig_after(&g, 1);
		g.peers.count = 5;
		rig_after(&g, 1);
		assert_non_null(rig_find(&g, ACTION_PROBE, "n5"));
		rig_fini(&g);
	}
}

static void a_minority_declares_nothing_and_keeps_nothing(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	rig_lose(&g, "n5");
	assert_int_equal(rig_suspect(&g, "n5"), SUSPECT_LOST);
	rig_status(&g, "n4", PEER_FAILED);
	rig_status(&g, "n3", PEER_FAILED);
	rig_after(&g, 1);
	assert_false(heal_has_majority(g.heal, &g.peers));
	assert_int_equal(rig_suspect(&g, "n5"), SUSPECT_REFUTED);	/* to be proven again among the others */
	heal_on_probe(g.heal, "n4", false, g.now);
	rig_after(&g, 1000);
	assert_null(rig_find(&g, ACTION_WITNESS, "n4"));
	assert_int_equal(rig_suspect(&g, "n4"), SUSPECT_REFUTED);
	rig_fini(&g);
}

static void majority_counts_members_of_the_site_that_have_not_left(void **state)
{
	static const struct { enum peer_status n2, n3, n4; const char *site4; bool majority; } rows[] = {
		{ PEER_ALIVE, PEER_FAILED, PEER_FAILED, "", false },		/* half is none */
		{ PEER_ALIVE, PEER_ALIVE, PEER_FAILED, "", true },
		{ PEER_ALIVE, PEER_FAILED, PEER_LEFT, "", true },
		{ PEER_ALIVE, PEER_FAILED, PEER_LEAVING, "", true },
		{ PEER_ALIVE, PEER_FAILED, PEER_FAILED, "other", true },
		{ PEER_FAILED, PEER_FAILED, PEER_ALIVE, "other", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig g;

		rig_init(&g, 4);
		rig_peer(&g, "n2")->status = rows[i].n2;
		rig_peer(&g, "n3")->status = rows[i].n3;
		rig_peer(&g, "n4")->status = rows[i].n4;
		rig_peer(&g, "n4")->site = intern(rows[i].site4);
		if (heal_has_majority(g.heal, &g.peers) != rows[i].majority)
			fail_msg("row %zu", i);
		rig_fini(&g);
	}
}

static void stale_membership_decides_nothing_but_wakes_us(void **state)
{
	struct rig g;
	struct tick t;

	(void)state;
	rig_init(&g, 5);
	rig_status(&g, "n5", PEER_FAILED);
	g.peers.as_of = g.now;
	t = (struct tick){ .now = mono_add_ms(g.now, 2000) };
	heal_tick(g.heal, &t, &g.f, &g.plan);
	assert_int_equal(g.plan.count, 0);
	assert_int_equal(mono_since_ms(g.plan.next_due, t.now), HEAL_STALE_RETRY_MS);
	t.now = mono_add_ms(g.now, 1999);
	heal_tick(g.heal, &t, &g.f, &g.plan);
	assert_int_equal(rig_count(&g, ACTION_PROBE), 1);
	rig_fini(&g);
}

/* ---- who may act ---- */

static void in_a_site_of_two_the_gateway_decides(void **state)
{
	for (int gateway = -1; gateway <= 1; gateway++) {
		struct rig g;

		(void)state;
		rig_init(&g, 2);
		g.f.gateway = gateway;
		rig_status(&g, "n2", PEER_FAILED);
		rig_tick(&g);
		heal_on_probe(g.heal, "n2", false, g.now);
		for (int i = 0; i < 50; i++)
			rig_after(&g, 100);
		assert_int_equal(rig_suspect(&g, "n2") == SUSPECT_LOST, gateway > 0);
		rig_fini(&g);
	}
}

static void a_minority_acts_only_if_told_to(void **state)
{
	for (int active = 0; active < 2; active++) {
		struct rig g;

		(void)state;
		rig_init(&g, 3);
		g.conf.minority_active = active;
		g.conf.max_lost_percent = 100;
		rig_reconf(&g);
		rig_status(&g, "n2", PEER_FAILED);
		rig_status(&g, "n3", PEER_FAILED);
		rig_tick(&g);
		heal_on_probe(g.heal, "n2", false, g.now);
		heal_on_probe(g.heal, "n3", false, g.now);
		for (int i = 0; i < 50; i++)
			rig_after(&g, 100);
		assert_int_equal(rig_suspect(&g, "n2") == SUSPECT_LOST, active);
		assert_false(heal_has_majority(g.heal, &g.peers));
		rig_fini(&g);
	}
}

/* Two of five have failed and one verdict is spoken: that is beyond 30 % already. */
static void the_breaker_sees_failures_before_their_verdicts(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	g.conf.max_lost_percent = 30;
	rig_reconf(&g);
	rig_only_me(&g);
	rig_rs(&g, "web", 1);
	rig_pod(&g, "web-1", "web", "n5");
	rig_status(&g, "n4", PEER_FAILED);
	rig_lose(&g, "n5");
	assert_int_equal(rig_suspect(&g, "n5"), SUSPECT_LOST);
	assert_true(heal_breaker_is_open(g.heal));
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 0);
	heal_on_probe(g.heal, "n4", true, g.now);		/* its ports answer: gossip alone lost it */
	rig_after(&g, g.conf.node_grace_ms);
	assert_false(heal_breaker_is_open(g.heal));
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 1);
	rig_fini(&g);
}

static bool restores_when(struct rig *g)
{
	rig_only_me(g);
	rig_rs(g, "web", 1);
	rig_pod(g, "web-1", "web", "n5");
	rig_lose(g, "n5");
	rig_after(g, 10);
	return rig_loss(g, "uid-web-1", &(struct loss_view){ 0 });
}

static void a_dead_healer_does_not_know_the_api_server(void **state)
{
	for (int silent = 0; silent < 2; silent++) {
		struct rig g;

		(void)state;
		rig_init(&g, 5);
		rig_peer(&g, "n2")->api = true;
		rig_peer(&g, "n2")->silent = silent;
		assert_true(restores_when(&g));			/* it has just said that its link is offline */
		rig_after(&g, HEAL_VOICE_MS);
		assert_int_equal(rig_loss(&g, "uid-web-1", &(struct loss_view){ 0 }), silent);
		rig_fini(&g);
	}
}

/* Its port is closed to us, its word is not. */
static void a_healer_that_speaks_is_not_dead(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	rig_peer(&g, "n2")->silent = true;
	assert_true(restores_when(&g));
	heal_on_link(g.heal, "n2", true, g.now);
	rig_after(&g, 10);
	assert_false(rig_loss(&g, "uid-web-1", &(struct loss_view){ 0 }));
	rig_fini(&g);
}

static void a_word_counts_until_the_tag_moves(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	rig_peer(&g, "n2")->api = true;				/* its tag is late: it said that its link is offline */
	assert_true(restores_when(&g));
	rig_peer(&g, "n2")->api = false;
	rig_after(&g, 10);
	assert_true(rig_loss(&g, "uid-web-1", &(struct loss_view){ 0 }));
	rig_peer(&g, "n2")->api = true;				/* moved: now it is online */
	rig_after(&g, 10);
	assert_false(rig_loss(&g, "uid-web-1", &(struct loss_view){ 0 }));
	rig_fini(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_piece_of_evidence_is_needed),
		cmocka_unit_test(grace_comes_first),
		cmocka_unit_test(one_voice_per_peer_and_only_of_the_site),
		cmocka_unit_test(a_lost_node_that_answers_is_not_lost),
		cmocka_unit_test(another_site_cannot_speak_for_it_either),
		cmocka_unit_test(other_sites_are_no_losses),
		cmocka_unit_test(a_refuted_suspicion_is_looked_at_again),
		cmocka_unit_test(one_answer_within_the_grace_of_a_flapping_node_refutes),
		cmocka_unit_test(lost_answers_do_not_stop_us),
		cmocka_unit_test(what_ends_a_suspicion),
		cmocka_unit_test(a_minority_declares_nothing_and_keeps_nothing),
		cmocka_unit_test(majority_counts_members_of_the_site_that_have_not_left),
		cmocka_unit_test(stale_membership_decides_nothing_but_wakes_us),
		cmocka_unit_test(in_a_site_of_two_the_gateway_decides),
		cmocka_unit_test(a_minority_acts_only_if_told_to),
		cmocka_unit_test(the_breaker_sees_failures_before_their_verdicts),
		cmocka_unit_test(a_dead_healer_does_not_know_the_api_server),
		cmocka_unit_test(a_healer_that_speaks_is_not_dead),
		cmocka_unit_test(a_word_counts_until_the_tag_moves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
