/* test_heal_reconcile.c — a copy goes when something better is Ready, never before */
#include "heal_rig.h"

/* n5 was lost offline, we hold a copy of its only pod; the link has just come back, the node has not. */
static struct pod *story(struct rig *g, int32_t replicas)
{
	struct pod *p;

	rig_init(g, 5);
	rig_rs(g, "web", replicas);
	p = rig_pod(g, "web-1", "web", "n5");
	rig_lose(g, "n5");
	(void)rig_copy(g, p->uid, COPY_RUNNING);
	rig_after(g, 1000);
	assert_int_equal(g->plan.count, 0);
	rig_link(g, LINK_ONLINE);
	for (size_t i = 0; i < g->peers.count; i++)
		g->items[i].api = true;
	return p;
}

static void expect_only(struct rig *g, enum action_kind kind, const char *reason)
{
	assert_int_equal(rig_effects(g), 1);
	assert_int_equal(rig_count(g, kind), 1);
	for (size_t i = 0; i < g->plan.count; i++)
		if (g->plan.items[i].kind == kind && !strstr(g->plan.items[i].reason, reason))
			fail_msg("reason: %s", g->plan.items[i].reason);
}

static void expect_nothing_for(struct rig *g, int64_t ms)
{
	for (int64_t left = ms; left > 0; left -= 500) {
		rig_after(g, 500);
		for (size_t i = 0; i < g->plan.count; i++)
			if (g->plan.items[i].kind != ACTION_READ_LEASE && g->plan.items[i].kind != ACTION_PROBE)
				fail_msg("%s: %s", action_name(g->plan.items[i].kind), g->plan.items[i].reason);
	}
}

static void a_stale_ready_does_not_count(void **state)
{
	struct rig g;

	(void)state;
	(void)story(&g, 1);			/* the API still shows web-1 Ready on n5, and n5 Ready */
	expect_nothing_for(&g, 30000);
	assert_true(mono_is_set(g.plan.next_due));
	rig_fini(&g);
}

static void a_returned_node_is_believed_after_a_while(void **state)
{
	struct rig g;

	(void)state;
	(void)story(&g, 1);
	rig_after(&g, 20000);
	rig_status(&g, "n5", PEER_ALIVE);
	expect_nothing_for(&g, HEAL_SETTLE_MS - 500);
	rig_after(&g, 500);
	expect_only(&g, ACTION_DROP, "original is back");
	rig_fini(&g);
}

static void a_young_link_is_not_believed_either(void **state)
{
	struct rig g;

	(void)state;
	(void)story(&g, 1);
	rig_link(&g, LINK_OFFLINE);
	rig_status(&g, "n5", PEER_ALIVE);
	rig_after(&g, 20000);
	rig_link(&g, LINK_ONLINE);
	expect_nothing_for(&g, HEAL_SETTLE_MS - 500);
	rig_after(&g, 500);
	expect_only(&g, ACTION_DROP, "original is back");
	rig_fini(&g);
}

static void ready_after_our_claim_is_proof_at_once(void **state)
{
	struct rig g;
	struct pod *p;

	(void)state;
	p = story(&g, 1);
	rig_status(&g, "n5", PEER_ALIVE);
	p->ready_since.ns = 999;		/* before we claimed */
	rig_after(&g, 10);
	assert_int_equal(g.plan.count, 0);
	p->ready_since.ns = 1001;
	rig_after(&g, 10);
	expect_only(&g, ACTION_DROP, "original is back");
	rig_fini(&g);
}

static void what_is_not_ready_is_no_replacement(void **state)
{
	(void)state;
	for (int i = 0; i < 7; i++) {
		struct rig g;
		struct pod *r;

		(void)story(&g, 1);
		r = rig_pod(&g, "web-2", "web", "n2");
		r->ready_since.ns = 5000;
		switch (i) {
		case 0: r->ready = false; break;
		case 1: r->deleting = true; break;
		case 2: rig_node(&g, "n2")->ready = false; break;
		case 3: rig_status(&g, "n2", PEER_FAILED); break;
		case 4: rig_link(&g, LINK_SUSPECT); break;
		case 5: g.f.synced_at.ns = 0; break;
		case 6: rig_link(&g, LINK_OFFLINE); break;
		default: break;
		}
		rig_after(&g, 100);
		if (rig_count(&g, ACTION_DROP))
			fail_msg("row %d: dropped", i);
		rig_fini(&g);
	}
}

static void all_replicas_must_be_ready(void **state)
{
	struct rig g;
	struct workload *w;

	(void)state;
	(void)story(&g, 2);
	rig_pod(&g, "web-2", "web", "n2")->ready_since.ns = 5000;
	rig_after(&g, 100);
	assert_int_equal(rig_count(&g, ACTION_DROP), 0);
	w = view_workload(g.view, "rs-web");
	w->replicas = 1;			/* scaled down: what is there is enough */
	rig_after(&g, 100);
	expect_only(&g, ACTION_DROP, "its own pods Ready");
	rig_fini(&g);
}

static void gone_or_scaled_to_nothing_after_a_grace(void **state)
{
	for (int scaled = 0; scaled < 2; scaled++) {
		struct rig g;

		(void)state;
		(void)story(&g, 1);
		if (scaled)
			view_workload(g.view, "rs-web")->replicas = 0;
		else
			view_remove_workload(g.view, "rs-web");
		expect_nothing_for(&g, 30000);
		rig_link(&g, LINK_SUSPECT);	/* a flap: the grace begins with a mirror in sync */
		rig_after(&g, 100);
		rig_link(&g, LINK_ONLINE);
		expect_nothing_for(&g, g.conf.gone_grace_ms - 500);
		rig_after(&g, 500);
		expect_only(&g, ACTION_DROP, scaled ? "scaled to 0" : "gone");
		rig_fini(&g);
	}
}

static void a_workload_that_comes_back_starts_the_grace_anew(void **state)
{
	struct rig g;
	struct workload *w;

	(void)state;
	(void)story(&g, 1);
	w = view_workload(g.view, "rs-web");
	w->replicas = 0;
	expect_nothing_for(&g, 59000);
	w->replicas = 1;
	rig_after(&g, 500);
	w->replicas = 0;
	expect_nothing_for(&g, 59000);
	rig_fini(&g);
}

static void the_lost_pod_is_replaced_once_both_sides_miss_its_node(void **state)
{
	struct rig g;

	(void)state;
	(void)story(&g, 1);
	rig_after(&g, 1000);
	assert_int_equal(rig_count(&g, ACTION_REPLACE), 0);	/* the API still shows n5 Ready */
	rig_node(&g, "n5")->ready = false;
	rig_after(&g, 1000);
	expect_only(&g, ACTION_REPLACE, "node is lost");
	assert_non_null(rig_find(&g, ACTION_REPLACE, "n5"));
	expect_nothing_for(&g, HEAL_REPLACE_RETRY_MS - 500);
	rig_after(&g, 500);
	expect_only(&g, ACTION_REPLACE, "node is lost");	/* it is still there */
	view_remove_pod(g.view, "uid-web-1");
	expect_nothing_for(&g, 30000);				/* make before break */
	rig_pod(&g, "web-2", "web", "n2")->ready_since.ns = 5000;
	rig_after(&g, 1);
	expect_only(&g, ACTION_DROP, "its own pods Ready");
	rig_fini(&g);
}

static void nothing_is_replaced_on_one_word(void **state)
{
	struct rig g;

	(void)state;
	(void)story(&g, 1);
	rig_node(&g, "n5")->ready = false;
	rig_status(&g, "n5", PEER_ALIVE);			/* gossip sees it: only the API misses it */
	rig_after(&g, 1000);
	assert_int_equal(rig_count(&g, ACTION_REPLACE), 0);
	rig_status(&g, "n5", PEER_FAILED);			/* failed, but no witnesses */
	rig_after(&g, 1000);
	assert_int_equal(rig_count(&g, ACTION_REPLACE), 0);
	rig_status(&g, "n3", PEER_FAILED);
	rig_status(&g, "n4", PEER_FAILED);
	rig_after(&g, 1000);
	assert_int_equal(rig_count(&g, ACTION_REPLACE), 0);
	rig_fini(&g);
}

static void a_pod_that_is_going_already_is_not_replaced(void **state)
{
	struct rig g;

	(void)state;
	story(&g, 1)->deleting = true;
	rig_node(&g, "n5")->ready = false;
	expect_nothing_for(&g, 30000);
	rig_fini(&g);
}

static void a_copy_that_does_not_start_is_withdrawn(void **state)
{
	struct rig g;
	struct copy *c;

	(void)state;
	rig_init(&g, 5);
	rig_rs(&g, "web", 1);
	rig_pod(&g, "web-1", "web", "n5");
	rig_lose(&g, "n5");
	c = rig_copy(&g, "uid-web-1", COPY_STARTING);
	c->deadline = mono_add_ms(g.now, 10000);
	rig_after(&g, 9999);
	assert_int_equal(rig_effects(&g), 0);
	assert_int_equal(mono_since_ms(g.plan.next_due, g.now), 1);
	rig_after(&g, 1);
	expect_only(&g, ACTION_WITHDRAW, "did not start in time");
	c->state = COPY_DROPPING;
	expect_nothing_for(&g, 5000);
	rig_fini(&g);
}

static const char *const overtaken[] = { "uid-web-1" };

/* Of how many copies of ours does it ask now whether another one runs? */
static size_t asked_about(struct rig *g)
{
	const char *uids[HEAL_RUNS_MAX];

	return rig_count(g, ACTION_ASK_RUNS) ? heal_overtaken(g->heal, uids, g->now) : 0;
}

static void the_loser_of_a_claim_withdraws(void **state)
{
	static const struct { const char *node; uint32_t epoch; bool lost; } rows[] = {
		{ "n0", 1, true },		/* the same epoch: the lower name wins */
		{ "n3", 1, false },
		{ "n3", 2, true },		/* we were thought dead */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig g;

		rig_init(&g, 5);
		rig_rs(&g, "web", 1);
		rig_pod(&g, "web-1", "web", "n5");
		rig_lose(&g, "n5");
		(void)rig_copy(&g, "uid-web-1", COPY_RUNNING);
		(void)rig_claim(&g, "uid-web-1", rows[i].node, rows[i].epoch, CLAIM_LIVE);
		rig_after(&g, 1);
		if (rows[i].lost) {
			assert_int_equal(asked_about(&g), 1);
			heal_on_runs(g.heal, rows[i].node, overtaken, 1);
			rig_after(&g, 1);
			expect_only(&g, ACTION_WITHDRAW, "lost the claim");
		} else {
			assert_int_equal(g.plan.count, 0);
		}
		rig_fini(&g);
	}
}

/* A claim comes before the deed, and may never be followed by one. */
static void what_runs_goes_only_for_what_runs(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	rig_rs(&g, "web", 1);
	rig_pod(&g, "web-1", "web", "n5");
	rig_lose(&g, "n5");
	(void)rig_copy(&g, "uid-web-1", COPY_RUNNING);
	(void)rig_claim(&g, "uid-web-1", "n3", 2, CLAIM_LIVE);
	for (int i = 0; i < 20; i++) {		/* asked again and again, and not in each tick */
		rig_after(&g, 1);
		assert_int_equal(asked_about(&g), 1);
		rig_after(&g, HEAL_RUNS_RETRY_MS - 2);
		assert_int_equal(rig_count(&g, ACTION_ASK_RUNS), 0);
		heal_on_runs(g.heal, "n4", overtaken, 1);	/* whoever it is, it is not the claimant */
		rig_after(&g, 1);
		assert_int_equal(rig_count(&g, ACTION_WITHDRAW), 0);
	}
	(void)rig_claim(&g, "uid-web-1", "n4", 3, CLAIM_LIVE);	/* what one said is nothing about the next one */
	heal_on_runs(g.heal, "n3", overtaken, 1);
	rig_after(&g, 1);
	assert_int_equal(asked_about(&g), 1);
	assert_int_equal(rig_count(&g, ACTION_WITHDRAW), 0);
	(void)rig_claim(&g, "uid-web-1", "n4", 3, CLAIM_WITHDRAWN);	/* it gave up: ours is as good as ever */
	rig_after(&g, HEAL_RUNS_RETRY_MS);
	assert_int_equal(rig_count(&g, ACTION_ASK_RUNS) + rig_count(&g, ACTION_WITHDRAW), 0);
	rig_fini(&g);
}

/* What does not run yet leaves no hole, and of what may run once there is never a second. */
static void others_go_for_the_claim_alone(void **state)
{
	for (int once = 0; once < 2; once++) {
		struct rig g;

		(void)state;
		rig_init(&g, 5);
		if (once)
			rig_rs(&g, "web", 1)->policy = POLICY_AT_MOST_ONCE;
		else
			rig_rs(&g, "web", 1);
		rig_pod(&g, "web-1", "web", "n5");
		(void)rig_copy(&g, "uid-web-1", once ? COPY_RUNNING : COPY_STARTING);
		(void)rig_claim(&g, "uid-web-1", "n3", 2, CLAIM_LIVE);
		rig_after(&g, 1);
		assert_non_null(rig_find(&g, ACTION_WITHDRAW, "uid-web-1"));
		assert_int_equal(rig_count(&g, ACTION_ASK_RUNS), 0);
		rig_fini(&g);
	}
}

static void offline_and_tilted_nothing_is_handed_over(void **state)
{
	struct rig g;

	(void)state;
	story(&g, 1)->ready_since.ns = 5000;
	rig_status(&g, "n5", PEER_ALIVE);
	g.tilted = true;
	expect_nothing_for(&g, 20000);
	g.tilted = false;
	rig_link(&g, LINK_OFFLINE);
	expect_nothing_for(&g, 20000);
	rig_link(&g, LINK_ONLINE);
	rig_after(&g, 1);
	expect_only(&g, ACTION_DROP, "original is back");
	rig_fini(&g);
}

/* ---- policies ---- */

/* The original is back on n5 and Ready; it became so before or after our copy ran. */
static void both_run(struct rig *g, enum keep_policy keep, bool original_is_older)
{
	struct pod *p = story(g, 1);
	struct copy *c = map_get(g->copies, p->uid);

	view_workload(g->view, "rs-web")->keep = keep;
	rig_status(g, "n5", PEER_ALIVE);
	c->running.ns = 2000;
	p->ready_since.ns = original_is_older ? 1500 : 3000;
	rig_after(g, HEAL_SETTLE_MS + 1000);
}

static void which_of_two_healthy_ones_stays(void **state)
{
	static const struct { enum keep_policy keep; bool older; enum action_kind kind; } rows[] = {
		{ KEEP_BEST, true, ACTION_DROP }, { KEEP_BEST, false, ACTION_DROP },
		{ KEEP_ORIGINAL, true, ACTION_DROP }, { KEEP_ORIGINAL, false, ACTION_DROP },
		{ KEEP_REPLACEMENT, true, ACTION_EVICT }, { KEEP_REPLACEMENT, false, ACTION_EVICT },
		{ KEEP_LONGEST, true, ACTION_DROP }, { KEEP_LONGEST, false, ACTION_EVICT },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig g;

		both_run(&g, rows[i].keep, rows[i].older);
		if (rig_count(&g, rows[i].kind) != 1)
			fail_msg("row %zu: not one %s", i, action_name(rows[i].kind));
		assert_int_equal(rig_count(&g, ACTION_DROP) + rig_count(&g, ACTION_EVICT), 1);
		rig_fini(&g);
	}
}

static void the_copy_stays_until_what_replaces_the_original_is_ready(void **state)
{
	struct rig g;
	struct pod *fresh;

	(void)state;
	both_run(&g, KEEP_REPLACEMENT, true);
	view_remove_pod(g.view, "uid-web-1");			/* evicted */
	fresh = rig_pod(&g, "web-2", "web", "n4");
	fresh->ready = false;
	expect_nothing_for(&g, 20000);
	fresh->ready = true;
	rig_after(&g, 1000);
	expect_only(&g, ACTION_DROP, "own pods Ready");
	rig_fini(&g);
}

static void keep_original_gives_its_node_time(void **state)
{
	struct rig g;

	(void)state;
	(void)story(&g, 1);
	view_workload(g.view, "rs-web")->keep = KEEP_ORIGINAL;
	rig_node(&g, "n5")->ready = false;
	for (int64_t ms = 0; ms < g.conf.gone_grace_ms - 1000; ms += 1000) {
		rig_after(&g, 1000);
		assert_int_equal(rig_count(&g, ACTION_REPLACE), 0);
	}
	rig_after(&g, 2000);
	assert_int_equal(rig_count(&g, ACTION_REPLACE), 1);
	rig_fini(&g);
}

/* This node booted without the API server and runs its own pod as a copy; now kubelet reaches the API server too. */
static struct pod *booted(struct rig *g)
{
	struct pod *p;

	rig_init(g, 3);
	rig_rs(g, "web", 1);
	p = rig_pod(g, "web-1", "web", "n1");
	g->f.running = map_new();
	(void)rig_copy(g, p->uid, COPY_RUNNING);
	rig_link(g, LINK_ONLINE);
	return p;
}

static void runs_here(struct rig *g, const struct pod *p)
{
	(void)map_put((struct map *)(uintptr_t)g->f.running, p->uid, g);
}

static void end(struct rig *g)
{
	map_free((struct map *)(uintptr_t)g->f.running);
	rig_fini(g);
}

/* The clock of the holder is behind: any old Ready would be later than its claim. */
static void a_ready_from_a_node_without_its_uplink_is_no_proof(void **state)
{
	struct rig g;
	struct pod *p;

	(void)state;
	p = story(&g, 1);
	rig_status(&g, "n5", PEER_ALIVE);
	rig_peer(&g, "n5")->api = false;
	p->ready_since.ns = 2000;
	expect_nothing_for(&g, 60000);
	rig_peer(&g, "n5")->api = true;
	rig_after(&g, 10);
	expect_only(&g, ACTION_DROP, "original is back");
	rig_fini(&g);
}

/* Its replacement runs where no healer is. */
static void a_node_outside_gossip_is_believed_after_a_minute(void **state)
{
	struct rig g;
	struct node *n;

	(void)state;
	(void)story(&g, 1);
	n = rig_node(&g, "n5");
	n->ready = false;
	view_remove_pod(g.view, "uid-web-1");
	n = node_new();
	n->name = intern("other");
	n->ready = true;
	view_put_node(g.view, n);
	rig_pod(&g, "web-2", "web", "other")->ready_since.ns = 2000;
	expect_nothing_for(&g, HEAL_API_SETTLE_MS - 2000);
	for (int i = 0; i < 6 && !rig_count(&g, ACTION_DROP); i++)
		rig_after(&g, 500);
	expect_only(&g, ACTION_DROP, "ReplicaSet has its own pods Ready");
	rig_fini(&g);
}

static void on_its_own_node_the_original_stays_whatever_the_policy(void **state)
{
	(void)state;
	for (int keep = KEEP_BEST; keep <= KEEP_LONGEST; keep++) {
		struct rig g;
		struct pod *p = booted(&g);

		view_workload(g.view, "rs-web")->keep = (enum keep_policy)keep;
		p->ready = false;
		runs_here(&g, p);
		expect_nothing_for(&g, 2 * HEAL_SETTLE_MS);
		p->ready = true;
		rig_after(&g, 10);
		expect_only(&g, ACTION_DROP, "original is back");
		end(&g);
	}
}

static void kubelet_has_time_to_start_its_own_pods(void **state)
{
	struct rig g;

	(void)state;
	(void)booted(&g);			/* still Ready in the API: its status of before */
	expect_nothing_for(&g, HEAL_HOME_MS - 500);
	rig_after(&g, 1000);
	expect_only(&g, ACTION_REPLACE, "let its ReplicaSet replace it");
	end(&g);
}

static void an_original_that_kubelet_refused_is_not_deleted(void **state)
{
	struct rig g;
	struct pod *p = booted(&g);

	(void)state;
	p->phase = POD_FAILED;			/* OutOfcpu: its copy has the room */
	p->ready = false;
	expect_nothing_for(&g, 2 * HEAL_HOME_MS);
	end(&g);
}

static void a_newer_template_wins_at_once(void **state)
{
	struct rig g;
	struct workload *newer;

	(void)state;
	(void)story(&g, 1);
	view_workload(g.view, "rs-web")->replicas = 0;
	view_workload(g.view, "rs-web")->deployment = intern("web");
	newer = rig_rs(&g, "web-v2", 1);
	newer->deployment = intern("web");
	expect_nothing_for(&g, 3000);				/* it has no Ready pod yet */
	newer->ready_replicas = 1;
	rig_after(&g, 500);
	expect_only(&g, ACTION_DROP, "newer ReplicaSet");
	rig_fini(&g);
}

static void at_most_once_breaks_before_it_makes(void **state)
{
	for (int i = 0; i < 3; i++) {
		struct rig g;

		(void)state;
		(void)story(&g, 1);
		view_workload(g.view, "rs-web")->policy = POLICY_AT_MOST_ONCE;
		rig_node(&g, "n5")->ready = false;
		if (i == 1)
			rig_status(&g, "n5", PEER_ALIVE);
		if (i == 2)
			rig_pod(&g, "web-2", "web", "n4")->ready = false;
		rig_after(&g, 1000);
		assert_int_equal(rig_count(&g, ACTION_DROP), i > 0);	/* bound is enough: it need not be Ready */
		assert_int_equal(rig_count(&g, ACTION_REPLACE), 0);
		rig_fini(&g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stale_ready_does_not_count),
		cmocka_unit_test(a_returned_node_is_believed_after_a_while),
		cmocka_unit_test(a_young_link_is_not_believed_either),
		cmocka_unit_test(ready_after_our_claim_is_proof_at_once),
		cmocka_unit_test(what_is_not_ready_is_no_replacement),
		cmocka_unit_test(all_replicas_must_be_ready),
		cmocka_unit_test(gone_or_scaled_to_nothing_after_a_grace),
		cmocka_unit_test(a_workload_that_comes_back_starts_the_grace_anew),
		cmocka_unit_test(the_lost_pod_is_replaced_once_both_sides_miss_its_node),
		cmocka_unit_test(nothing_is_replaced_on_one_word),
		cmocka_unit_test(a_pod_that_is_going_already_is_not_replaced),
		cmocka_unit_test(a_copy_that_does_not_start_is_withdrawn),
		cmocka_unit_test(the_loser_of_a_claim_withdraws),
		cmocka_unit_test(what_runs_goes_only_for_what_runs),
		cmocka_unit_test(others_go_for_the_claim_alone),
		cmocka_unit_test(offline_and_tilted_nothing_is_handed_over),
		cmocka_unit_test(which_of_two_healthy_ones_stays),
		cmocka_unit_test(the_copy_stays_until_what_replaces_the_original_is_ready),
		cmocka_unit_test(keep_original_gives_its_node_time),
		cmocka_unit_test(a_ready_from_a_node_without_its_uplink_is_no_proof),
		cmocka_unit_test(a_node_outside_gossip_is_believed_after_a_minute),
		cmocka_unit_test(on_its_own_node_the_original_stays_whatever_the_policy),
		cmocka_unit_test(kubelet_has_time_to_start_its_own_pods),
		cmocka_unit_test(an_original_that_kubelet_refused_is_not_deleted),
		cmocka_unit_test(a_newer_template_wins_at_once),
		cmocka_unit_test(at_most_once_breaks_before_it_makes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
