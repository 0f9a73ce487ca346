/* test_heal_online.c — a node is lost while the API server answers: taint, delete, untaint, and who does it */
#include "heal_rig.h"

static const struct wall wall_now = { INT64_C(1800000000) * 1000 * NS_PER_MS };

/* n5 is lost by witnesses; web-1 and web-2 are bound to it. The API server answers everybody. */
static void lost_online(struct rig *g)
{
	rig_init(g, 5);
	rig_rs(g, "web", 2);
	rig_pod(g, "web-1", "web", "n5");
	rig_pod(g, "web-2", "web", "n5");
	rig_link(g, LINK_ONLINE);
	for (size_t i = 0; i < g->peers.count; i++)
		g->items[i].api = true;
	g->f.wall = wall_now;
	rig_lose(g, "n5");
	assert_int_equal(rig_suspect(g, "n5"), SUSPECT_LOST);
}

static void lease(struct rig *g, int64_t renewed_ms_ago)
{
	heal_on_node_lease(g->heal, "n5", (struct wall){ wall_now.ns - renewed_ms_ago * NS_PER_MS }, wall_now);
	rig_after(g, 1);
}

static size_t effects(const struct rig *g)
{
	return rig_count(g, ACTION_TAINT) + rig_count(g, ACTION_REPLACE) + rig_count(g, ACTION_RESTORE);
}

static void tainted(struct rig *g, const char *node)
{
	struct node *n = rig_node(g, node);

	n->taints = mem_resize(n->taints, 1, sizeof(n->taints[0]));
	n->taints[0] = (struct taint){ intern(HEAL_TAINT), intern(""), TAINT_NO_SCHEDULE };
	n->taint_count = 1;
}

static void nothing_before_its_lease_was_read(void **state)
{
	struct rig g;

	(void)state;
	lost_online(&g);
	for (int i = 0; i < 100; i++) {
		rig_after(&g, 100);
		assert_int_equal(effects(&g), 0);
	}
	lease(&g, 20000);
	assert_non_null(rig_find(&g, ACTION_TAINT, "n5"));
	assert_int_equal(effects(&g), 1);			/* the scheduler would use the dead node */
	tainted(&g, "n5");
	rig_after(&g, 1);
	assert_int_equal(rig_count(&g, ACTION_REPLACE), 2);
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 0);
	for (int64_t ms = 0; ms < HEAL_REPLACE_RETRY_MS - 100; ms += 100) {
		rig_after(&g, 100);
		assert_int_equal(effects(&g), 0);		/* once */
	}
	rig_fini(&g);
}

static void a_taint_that_cannot_be_written_holds_nothing_up(void **state)
{
	struct rig g;

	(void)state;
	lost_online(&g);
	lease(&g, 20000);
	rig_after(&g, HEAL_TAINT_WAIT_MS - 2);
	assert_int_equal(effects(&g), 0);
	assert_true(g.plan.next_due.ns <= mono_add_ms(g.now, 2).ns);
	rig_after(&g, 2);
	assert_int_equal(rig_count(&g, ACTION_REPLACE), 2);
	rig_fini(&g);
}

static void a_renewed_lease_proves_it_alive(void **state)
{
	struct rig g;

	(void)state;
	lost_online(&g);
	lease(&g, 500);						/* later than gossip lost it */
	assert_int_equal(rig_suspect(&g, "n5"), SUSPECT_REFUTED);
	heal_on_asked(g.heal, "n5", g.now);			/* a peer is in a hurry: not a reason */
	for (int64_t ms = 0; ms < HEAL_LEASE_HOLD_MS - 100; ms += 100) {
		rig_after(&g, 100);
		assert_int_equal(effects(&g), 0);
		assert_int_equal(rig_suspect(&g, "n5"), SUSPECT_REFUTED);
	}
	rig_fini(&g);
}

static void two_readings_that_differ_prove_it_whatever_the_clocks_say(void **state)
{
	struct rig g;

	(void)state;
	lost_online(&g);
	lease(&g, 3600 * 1000);					/* its clock is an hour late */
	assert_int_equal(rig_count(&g, ACTION_TAINT), 1);
	lease(&g, 3590 * 1000);
	assert_int_equal(rig_suspect(&g, "n5"), SUSPECT_REFUTED);
	rig_fini(&g);
	lost_online(&g);
	lease(&g, -3600 * 1000);				/* an hour ahead: by itself no proof */
	assert_int_equal(rig_suspect(&g, "n5"), SUSPECT_LOST);
	rig_fini(&g);
}

static void one_acts_the_others_wait_their_turn(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	g.conf.self = intern("n3");
	heal_free(g.heal);
	g.heal = heal_new(&g.conf);
	rig_rs(&g, "web", 1);
	rig_pod(&g, "web-1", "web", "n5");
	rig_link(&g, LINK_ONLINE);
	for (size_t i = 0; i < g.peers.count; i++)
		g.items[i].api = true;
	g.f.wall = wall_now;
	rig_lose(&g, "n5");
	for (size_t i = 0; i < g.peers.count; i++)		/* their words are newer than their tags */
		heal_on_witness(g.heal, "n5", g.items[i].name, (struct witness){ .api = true }, g.now);
	lease(&g, 20000);
	for (int64_t ms = 0; ms < 2 * g.conf.claim_timeout_ms - 200; ms += 100) {
		assert_int_equal(effects(&g), 0);
		rig_after(&g, 100);
	}
	rig_after(&g, 300);
	assert_int_equal(rig_count(&g, ACTION_TAINT), 1);	/* n1 and n2 stayed silent */
	rig_fini(&g);
}

static void what_is_not_replaced(void **state)
{
	static const char *const rows[] = { "never", "StatefulSet", "volume", "deleting", "minority", "breaker", "tilted", "not synced" };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct workload *w;
		struct rig g;
		struct pod *p;

		(void)state;
		lost_online(&g);
		tainted(&g, "n5");
		w = view_workload(g.view, "rs-web");
		p = view_pod(g.view, "uid-web-1");
		view_remove_pod(g.view, "uid-web-2");
		switch (i) {
		case 0: w->policy = POLICY_NEVER; break;
		case 1: p->owner = NULL; break;
		case 2: p->has_claims = true; break;
		case 3: p->deleting = true; break;
		case 4: rig_status(&g, "n3", PEER_FAILED); rig_status(&g, "n4", PEER_FAILED); break;
		case 5: g.conf.max_lost_percent = 10; rig_reconf(&g); break;
		case 6: g.tilted = true; break;
		default: g.f.synced_at = (struct mono){ 0 }; break;
		}
		lease(&g, 20000);
		if (rig_count(&g, ACTION_REPLACE))
			fail_msg("replaced in spite of: %s", rows[i]);
		rig_fini(&g);
	}
}

static void a_volume_only_when_the_policy_says_so(void **state)
{
	struct rig g;

	(void)state;
	lost_online(&g);
	view_pod(g.view, "uid-web-1")->has_claims = true;
	view_workload(g.view, "rs-web")->policy = POLICY_AT_LEAST_ONCE;
	tainted(&g, "n5");
	lease(&g, 20000);
	assert_non_null(rig_find(&g, ACTION_REPLACE, "uid-web-1"));
	rig_fini(&g);
}

static void the_taint_goes_when_the_node_is_back(void **state)
{
	struct rig g;

	(void)state;
	lost_online(&g);
	tainted(&g, "n5");
	lease(&g, 20000);
	assert_int_equal(rig_count(&g, ACTION_UNTAINT), 0);
	rig_status(&g, "n5", PEER_ALIVE);
	rig_after(&g, 10);
	assert_non_null(rig_find(&g, ACTION_UNTAINT, "n5"));
	rig_after(&g, 100);
	assert_int_equal(rig_count(&g, ACTION_UNTAINT), 0);
	rig_fini(&g);
}

/* Gossip never sees it again: its serf is gone, or it has left. */
static void the_taint_goes_where_gossip_does_not_come_back(void **state)
{
	struct rig g;

	(void)state;
	lost_online(&g);
	tainted(&g, "n5");
	rig_status(&g, "n5", PEER_LEFT);
	rig_node(&g, "n5")->ready = false;
	rig_after(&g, 2 * HEAL_API_SETTLE_MS);
	assert_int_equal(rig_count(&g, ACTION_UNTAINT), 0);
	rig_node(&g, "n5")->ready = true;
	rig_after(&g, 10);
	assert_non_null(rig_find(&g, ACTION_UNTAINT, "n5"));
	rig_fini(&g);
	lost_online(&g);
	tainted(&g, "n5");
	lease(&g, 500);						/* alive, says its Lease */
	assert_non_null(rig_find(&g, ACTION_UNTAINT, "n5"));
	rig_fini(&g);
}

/* Our healer has just started: nobody knows since when n5 is silent, and its Lease may be renewed any moment. */
static void who_was_failed_when_we_came_must_have_missed_a_renewal(void **state)
{
	(void)state;
	for (int came_late = 0; came_late < 2; came_late++) {
		struct rig g;

		rig_init(&g, 5);
		rig_rs(&g, "web", 1);
		rig_pod(&g, "web-1", "web", "n5");
		rig_link(&g, LINK_ONLINE);
		for (size_t i = 0; i < g.peers.count; i++)
			g.items[i].api = true;
		g.f.wall = wall_now;
		rig_tick(&g);
		if (!came_late)
			rig_after(&g, 2 * HEAL_FOUND_MS);
		rig_lose(&g, "n5");
		lease(&g, HEAL_LEASE_HOLD_MS - 1000);
		assert_int_equal(rig_count(&g, ACTION_TAINT), !came_late);
		rig_fini(&g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_before_its_lease_was_read),
		cmocka_unit_test(a_taint_that_cannot_be_written_holds_nothing_up),
		cmocka_unit_test(a_renewed_lease_proves_it_alive),
		cmocka_unit_test(two_readings_that_differ_prove_it_whatever_the_clocks_say),
		cmocka_unit_test(one_acts_the_others_wait_their_turn),
		cmocka_unit_test(what_is_not_replaced),
		cmocka_unit_test(a_volume_only_when_the_policy_says_so),
		cmocka_unit_test(who_was_failed_when_we_came_must_have_missed_a_renewal),
		cmocka_unit_test(the_taint_goes_when_the_node_is_back),
		cmocka_unit_test(the_taint_goes_where_gossip_does_not_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
