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
		{ "a peer still sees it", true, 2, 1, false, false },	/* a delay: see one_voice_delays */
	};
	static const char *const others[] = { "n2", "n3", "n4" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig g;
		int n = 0;

		rig_init(&g, 5);
		rig_status(&g, "n5", PEER_FAILED);
		rig_tick(&g);
		heal_on_probe(g.heal, "n5", rows[i].probe_fails ? PROBE_SILENT : PROBE_HEALER, g.now);
		rig_after(&g, 1000);
		heal_on_probe(g.heal, "n5", rows[i].probe_fails && !rows[i].only_first_fails ? PROBE_SILENT : PROBE_HEALER, g.now);
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
	heal_on_probe(g.heal, "n5", PROBE_SILENT, g.now);
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
	heal_on_probe(g.heal, "n5", PROBE_SILENT, g.now);
	rig_after(&g, 1000);
	rig_voice(&g, "n5", "n2", false);
	rig_voice(&g, "n5", "n2", false);		/* twice the same */
	rig_voice(&g, "n5", "n1", false);		/* ourselves */
	rig_voice(&g, "n5", "n6", false);		/* another site */
	rig_voice(&g, "n5", "n5", false);		/* the suspect */
	rig_voice(&g, "n5", "nobody", false);
	heal_on_probe(g.heal, "n5", PROBE_SILENT, g.now);
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
	heal_on_probe(g.heal, "n5", PROBE_SILENT, g.now);
	rig_after(&g, HEAL_LOST_PROBE_MS);
	assert_int_equal(rig_suspect(&g, "n5"), SUSPECT_LOST);
	heal_on_probe(g.heal, "n5", PROBE_HEALER, g.now);
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

	heal_on_probe(g->heal, "n5", PROBE_SILENT, g->now);
	while (g->now.ns < end.ns) {
		int64_t due_ms = mono_is_set(g->plan.next_due) ? mono_since_ms(g->plan.next_due, g->now) : ms;
		int64_t left_ms = mono_since_ms(end, g->now);

		rig_after(g, due_ms > 0 && due_ms < left_ms ? due_ms : left_ms);
		if (rig_find(g, ACTION_PROBE, "n5"))
			heal_on_probe(g->heal, "n5", PROBE_SILENT, g->now);
	}
}

static void a_refuted_suspicion_is_looked_at_again(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	rig_status(&g, "n5", PEER_FAILED);
	rig_tick(&g);
	heal_on_probe(g.heal, "n5", PROBE_HEALER, g.now);
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
	heal_on_probe(g.heal, "n5", PROBE_HEALER, g.now);
	rig_after(&g, 1000);
	rig_after(&g, HEAL_REFUTED_RETRY_MS);
	silent_for(&g, 2 * HEAL_FLAP_PROBE_MS);
	heal_on_probe(g.heal, "n5", PROBE_HEALER, g.now);
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
	heal_on_probe(g.heal, "n5", PROBE_SILENT, g.now);
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
	heal_on_probe(g.heal, "n4", PROBE_SILENT, g.now);
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

/* Two of four boxes are carried away while offline. */
static void who_is_forgotten_does_not_count_and_is_lost_all_the_same(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 4);
	rig_status(&g, "n3", PEER_FAILED);
	rig_status(&g, "n4", PEER_FAILED);
	rig_after(&g, 1);
	assert_false(heal_has_majority(g.heal, &g.peers));
	rig_peer(&g, "n4")->forgotten = true;
	rig_after(&g, 1);
	assert_true(heal_has_majority(g.heal, &g.peers));	/* two of three */
	rig_peer(&g, "n3")->forgotten = true;
	rig_after(&g, 1);
	assert_false(heal_breaker_is_open(g.heal));
	for (int i = 0; i < 100 && rig_suspect(&g, "n4") != SUSPECT_LOST; i++) {
		heal_on_probe(g.heal, "n4", PROBE_SILENT, g.now);
		if (rig_find(&g, ACTION_WITNESS, "n4")) {
			rig_voice(&g, "n4", "n2", false);
			heal_on_witness_end(g.heal, "n4");
		}
		rig_after(&g, 100);
	}
	assert_int_equal(rig_suspect(&g, "n4"), SUSPECT_LOST);
	rig_fini(&g);
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
		heal_on_probe(g.heal, "n2", PROBE_SILENT, g.now);
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
		heal_on_probe(g.heal, "n2", PROBE_SILENT, g.now);
		heal_on_probe(g.heal, "n3", PROBE_SILENT, g.now);
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
	heal_on_probe(g.heal, "n4", PROBE_HEALER, g.now);		/* its ports answer: gossip alone lost it */
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

/* ---- what is no proof ---- */

/* As the world stands still: every probe ends in `answer`, every question in the voices. Stops when n5 is lost; when. */
struct scene { enum probe_answer answer; struct witness n2, n3, n4; bool silent3, silent4; };

static int64_t lost_after_ms(struct rig *g, const struct scene *s, int64_t most_ms)
{
	struct mono began = g->now;

	while (mono_since_ms(g->now, began) < most_ms) {
		if (rig_find(g, ACTION_PROBE, "n5"))
			heal_on_probe(g->heal, "n5", s->answer, g->now);
		if (rig_find(g, ACTION_WITNESS, "n5")) {
			heal_on_witness(g->heal, "n5", "n2", s->n2, g->now);
			if (!s->silent3)
				heal_on_witness(g->heal, "n5", "n3", s->n3, g->now);
			if (!s->silent4)
				heal_on_witness(g->heal, "n5", "n4", s->n4, g->now);
			heal_on_witness_end(g->heal, "n5");
		}
		rig_after(g, 50);
		if (rig_suspect(g, "n5") == SUSPECT_LOST)
			return mono_since_ms(g->now, began);
	}
	return -1;
}

static void begin(struct rig *g, size_t nodes)
{
	rig_init(g, nodes);
	rig_status(g, "n5", PEER_FAILED);
	rig_tick(g);
}

/* A healer is OOM-killed, kubelet and pods are fine. */
static void a_kubelet_that_shows_itself_is_alive_without_end(void **state)
{
	const struct scene s = { .answer = PROBE_KUBELET }, healer = { .answer = PROBE_HEALER };
	struct suspect_view v;
	struct rig g;

	(void)state;
	begin(&g, 5);
	assert_int_equal(lost_after_ms(&g, &s, HEAL_HEALER_DEAD_MS), -1);
	assert_true(rig_view(&g, "n5", &v));
	assert_false(mono_is_set(v.healer_dead));		/* a rollout, perhaps */
	assert_int_equal(lost_after_ms(&g, &s, 10 * g.conf.doubt_ms), -1);
	assert_true(rig_view(&g, "n5", &v));
	assert_true(mono_is_set(v.healer_dead));
	assert_false(mono_is_set(v.doubt_until));
	assert_int_equal(lost_after_ms(&g, &healer, 5000), -1);	/* gossip is late */
	assert_true(rig_view(&g, "n5", &v));
	assert_false(mono_is_set(v.healer_dead));
	rig_fini(&g);
}

/* All of a site look at the kubelet of a dead healer: together at most HEAL_PROBES_PER_S times a second. */
static void a_kubelet_is_not_asked_too_often(void **state)
{
	const size_t nodes = 60;
	struct rig g;
	size_t probes = 0;

	(void)state;
	begin(&g, nodes);
	for (int i = 0; i < 20 * 600; i++) {
		if (rig_find(&g, ACTION_PROBE, "n5")) {
			heal_on_probe(g.heal, "n5", PROBE_KUBELET, g.now);
			probes++;
		}
		rig_after(&g, 50);
	}
	assert_in_range(probes, 30, 600 * HEAL_PROBES_PER_S * 2 / nodes);
	rig_fini(&g);
}

/* DHCP gave its address to another machine: a port accepts, and that is all. */
static void a_port_without_identity_delays_once(void **state)
{
	const struct scene s = { .answer = PROBE_ACCEPTS, .n2 = { .sees = true, .bare = true }, .n3 = { .sees = true, .bare = true },
				 .n4 = { .sees = true, .bare = true } };
	struct suspect_view v;
	struct rig g;

	(void)state;
	begin(&g, 5);
	assert_in_range(lost_after_ms(&g, &s, 3 * g.conf.doubt_ms), g.conf.doubt_ms, g.conf.doubt_ms + 10000);
	assert_true(rig_view(&g, "n5", &v));
	assert_true(v.contested);
	assert_int_equal(v.dissenter_count, 0);		/* nobody said more than what we see ourselves */
	rig_after(&g, 1);
	assert_int_equal(rig_suspect(&g, "n5"), SUSPECT_LOST);
	rig_fini(&g);
}

/* The other machine came after the node was found lost: it delays what is not started yet, once. */
static void a_port_that_opens_on_a_lost_node_delays_once(void **state)
{
	const struct scene s = { .answer = PROBE_ACCEPTS };
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	rig_lose(&g, "n5");
	rig_after(&g, HEAL_LOST_PROBE_MS);
	heal_on_probe(g.heal, "n5", PROBE_ACCEPTS, g.now);
	rig_after(&g, 1);
	assert_int_equal(rig_suspect(&g, "n5"), SUSPECT_REFUTED);
	assert_in_range(lost_after_ms(&g, &s, 3 * g.conf.doubt_ms), g.conf.doubt_ms - 1000, g.conf.doubt_ms + 10000);
	rig_after(&g, HEAL_LOST_PROBE_MS);
	heal_on_probe(g.heal, "n5", PROBE_ACCEPTS, g.now);
	rig_after(&g, 1);
	assert_int_equal(rig_suspect(&g, "n5"), SUSPECT_LOST);
	rig_fini(&g);
}

/* One member always says "I see it". */
static void one_voice_delays_once_and_is_named(void **state)
{
	static const struct { const char *name; size_t nodes; struct scene s; int delays; } rows[] = {
		{ "five nodes, one says so", 5, { .n4.sees = true }, 1 },
		{ "five nodes, two of three say so", 5, { .n3.sees = true, .n4.sees = true }, -1 },
		{ "two of three who answer say so", 6, { .n3.sees = true, .n4.sees = true }, -1 },
		{ "one says so, one only reaches a port", 5, { .n3 = { .sees = true, .bare = true }, .n4.sees = true }, 1 },
		{ "one says so, one is silent: too few without it", 5, { .silent3 = true, .n4.sees = true }, -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct suspect_view v;
		int64_t ms;
		struct rig g;

		begin(&g, rows[i].nodes);
		ms = lost_after_ms(&g, &rows[i].s, 6 * g.conf.doubt_ms);
		if (rows[i].delays < 0 ? ms != -1 : ms < rows[i].delays * g.conf.doubt_ms || ms > rows[i].delays * g.conf.doubt_ms + 10000)
			fail_msg("%s: lost after %lld ms", rows[i].name, (long long)ms);
		assert_true(rig_view(&g, "n5", &v));
		if (ms >= 0 && (v.dissenter_count != 1 || !str_eq(v.dissenters[0], "n4") || !v.contested || !strstr(v.note, "against n4")))
			fail_msg("%s: %zu named, note \"%s\"", rows[i].name, v.dissenter_count, v.note);
		rig_fini(&g);
	}
}

/* A site of three: there is no majority among two. */
static void the_only_other_witness_delays_three_times(void **state)
{
	struct rig g;
	int64_t began, ms = -1;

	(void)state;
	rig_init(&g, 3);
	rig_status(&g, "n3", PEER_FAILED);
	rig_tick(&g);
	for (began = g.now.ns; ms < 0 && g.now.ns - began < 8 * g.conf.doubt_ms * NS_PER_MS;) {
		heal_on_probe(g.heal, "n3", PROBE_SILENT, g.now);
		if (rig_find(&g, ACTION_WITNESS, "n3")) {
			heal_on_witness(g.heal, "n3", "n2", (struct witness){ .sees = true }, g.now);
			heal_on_witness_end(g.heal, "n3");
		}
		rig_after(&g, 50);
		if (rig_suspect(&g, "n3") == SUSPECT_LOST)
			ms = (g.now.ns - began) / NS_PER_MS;
	}
	assert_in_range(ms, HEAL_DOUBTS_ALONE * g.conf.doubt_ms, HEAL_DOUBTS_ALONE * g.conf.doubt_ms + 10000);
	rig_fini(&g);
}

/* It may say so itself: our question reaches it through the others, and its answer comes back through them. */
static void its_own_answer_is_proof(void **state)
{
	struct rig g;

	(void)state;
	begin(&g, 5);
	for (int64_t began = g.now.ns; g.now.ns - began < 3 * g.conf.doubt_ms * NS_PER_MS;) {
		heal_on_probe(g.heal, "n5", PROBE_SILENT, g.now);
		if (rig_find(&g, ACTION_WITNESS, "n5")) {
			rig_voice(&g, "n5", "n2", false);
			rig_voice(&g, "n5", "n3", false);
			rig_voice(&g, "n5", "n5", true);
			heal_on_witness_end(g.heal, "n5");
		}
		rig_after(&g, 50);
		assert_int_not_equal(rig_suspect(&g, "n5"), SUSPECT_LOST);
	}
	rig_fini(&g);
}

/* What was doubted ends the doubt: it is silent now, and all say so. */
static void a_doubt_ends_with_its_reason(void **state)
{
	const struct scene accepts = { .answer = PROBE_ACCEPTS }, silent = { .answer = PROBE_SILENT };
	struct suspect_view v;
	struct rig g;

	(void)state;
	begin(&g, 5);
	assert_int_equal(lost_after_ms(&g, &accepts, 5000), -1);
	assert_in_range(lost_after_ms(&g, &silent, g.conf.doubt_ms), HEAL_FLAP_MS - 1000, HEAL_FLAP_MS + 3000);
	assert_true(rig_view(&g, "n5", &v));
	assert_false(v.contested);
	rig_fini(&g);
}

/* ---- at most once ---- */

static struct loss_view once_loss(struct rig *g)
{
	struct loss_view l = { 0 };

	assert_true(rig_loss(g, "uid-once-1", &l));
	return l;
}

static void once_pod(struct rig *g)
{
	rig_only_me(g);
	rig_rs(g, "once", 1)->policy = POLICY_AT_MOST_ONCE;
	rig_pod(g, "once-1", "once", "n5");
	rig_rs(g, "web", 1);
	rig_pod(g, "web-1", "web", "n5");
}

static void at_most_once_never_starts_against_a_sign_of_life(void **state)
{
	static const struct { const char *name; struct scene s; } rows[] = {
		{ "a port accepts", { .answer = PROBE_ACCEPTS } },
		{ "a port accepts a peer", { .n2 = { .sees = true, .bare = true } } },
		{ "a peer sees it", { .n4.sees = true } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct loss_view web;
		struct rig g;

		rig_init(&g, 5);
		once_pod(&g);
		rig_status(&g, "n5", PEER_FAILED);
		rig_tick(&g);
		assert_true(lost_after_ms(&g, &rows[i].s, 3 * g.conf.doubt_ms) > 0);
		assert_true(heal_may_still_run(g.heal, "n5"));		/* nor do we permit it to others */
		if (once_loss(&g).state != LOSS_REFUSED)
			fail_msg("%s: %s", rows[i].name, loss_state_name(once_loss(&g).state));
		assert_true(rig_loss(&g, "uid-web-1", &web));
		assert_int_not_equal(web.state, LOSS_REFUSED);		/* at least once goes on */
		rig_fini(&g);
	}
}

static void at_most_once_waits_until_nobody_sees_it_any_more(void **state)
{
	const struct scene seen = { .n4.sees = true }, gone = { 0 };
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	once_pod(&g);
	rig_status(&g, "n5", PEER_FAILED);
	rig_tick(&g);
	assert_true(lost_after_ms(&g, &seen, 3 * g.conf.doubt_ms) > 0);
	for (int64_t began = g.now.ns; g.now.ns - began < 2 * g.conf.doubt_ms * NS_PER_MS;) {	/* asked again, still seen */
		if (rig_find(&g, ACTION_PROBE, "n5"))
			heal_on_probe(g.heal, "n5", seen.answer, g.now);
		if (rig_find(&g, ACTION_WITNESS, "n5")) {
			rig_voice(&g, "n5", "n2", false);
			rig_voice(&g, "n5", "n4", true);
			heal_on_witness_end(g.heal, "n5");
		}
		rig_after(&g, 50);
		assert_int_equal(rig_suspect(&g, "n5"), SUSPECT_LOST);
		assert_int_equal(once_loss(&g).state, LOSS_REFUSED);
	}
	for (int64_t began = g.now.ns; heal_may_still_run(g.heal, "n5");) {
		assert_true(g.now.ns - began <= (g.conf.doubt_ms + 1000) * NS_PER_MS);
		if (rig_find(&g, ACTION_PROBE, "n5"))
			heal_on_probe(g.heal, "n5", gone.answer, g.now);
		if (rig_find(&g, ACTION_WITNESS, "n5")) {
			rig_voice(&g, "n5", "n2", false);
			rig_voice(&g, "n5", "n4", false);
			heal_on_witness_end(g.heal, "n5");
		}
		rig_after(&g, 50);
	}
	assert_int_equal(once_loss(&g).state, LOSS_OPEN);
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
		cmocka_unit_test(who_is_forgotten_does_not_count_and_is_lost_all_the_same),
		cmocka_unit_test(stale_membership_decides_nothing_but_wakes_us),
		cmocka_unit_test(in_a_site_of_two_the_gateway_decides),
		cmocka_unit_test(a_minority_acts_only_if_told_to),
		cmocka_unit_test(the_breaker_sees_failures_before_their_verdicts),
		cmocka_unit_test(a_dead_healer_does_not_know_the_api_server),
		cmocka_unit_test(a_healer_that_speaks_is_not_dead),
		cmocka_unit_test(a_word_counts_until_the_tag_moves),
		cmocka_unit_test(a_kubelet_that_shows_itself_is_alive_without_end),
		cmocka_unit_test(a_kubelet_is_not_asked_too_often),
		cmocka_unit_test(a_port_without_identity_delays_once),
		cmocka_unit_test(a_port_that_opens_on_a_lost_node_delays_once),
		cmocka_unit_test(one_voice_delays_once_and_is_named),
		cmocka_unit_test(the_only_other_witness_delays_three_times),
		cmocka_unit_test(its_own_answer_is_proof),
		cmocka_unit_test(a_doubt_ends_with_its_reason),
		cmocka_unit_test(at_most_once_never_starts_against_a_sign_of_life),
		cmocka_unit_test(at_most_once_waits_until_nobody_sees_it_any_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
