/* test_heal_loss.c — which pods are brought back, and which are not */
#include "heal_rig.h"

static void a_lost_pod_comes_back(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	rig_only_me(&g);
	rig_rs(&g, "web", 1);
	rig_pod(&g, "web-1", "web", "n5");
	rig_lose(&g, "n5");
	assert_int_equal(g.plan.count, 1);
	assert_non_null(rig_find(&g, ACTION_RESTORE, "uid-web-1"));
	assert_string_equal(g.plan.items[0].node, "n5");
	assert_int_equal(g.plan.items[0].epoch, 1);
	assert_int_equal(g.plan.items[0].rank, 0);
	assert_true(g.plan.items[0].declared.ns == g.now.ns);
	(void)rig_copy(&g, "uid-web-1", COPY_STARTING);
	for (int i = 0; i < 100; i++) {
		rig_after(&g, 100);
		assert_int_equal(rig_count(&g, ACTION_RESTORE), 0);
	}
	rig_fini(&g);
}

static void nothing_happens_unless_all_of_it_is_true(void **state)
{
	static const char *const rows[] = { "online", "suspect link", "a peer is online", "minority", "breaker", "policy never",
					    "at most once", "claims", "refusal", "kube-system", "no ReplicaSet", "scaled to 0",
					    "finished", "deleting", "mirror pod", "cordoned", "no tags", "old protocol",
					    "other site", "tilted", "no room by tag", "no room by mirror", "no node object" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig g;
		struct workload *w;
		struct pod *p;

		rig_init(&g, 5);
		rig_only_me(&g);
		w = rig_rs(&g, "web", 1);
		p = rig_pod(&g, "web-1", "web", "n5");
		rig_lose_evidence(&g, "n5");
		switch (i) {
		case 0: rig_link(&g, LINK_ONLINE); break;
		case 1: rig_link(&g, LINK_SUSPECT); break;
		case 2: heal_on_witness(g.heal, "n5", "n2", (struct witness){ .api = true }, g.now); break;
		case 3: rig_status(&g, "n3", PEER_FAILED); rig_status(&g, "n4", PEER_FAILED); break;
		case 4: g.conf.max_lost_percent = 19; rig_reconf(&g); break;
		case 5: w->policy = POLICY_NEVER; break;
		case 6: w->policy = POLICY_AT_MOST_ONCE; break;
		case 7: p->has_claims = true; break;
		case 8: w->refusal = "it needs a Secret"; break;
		case 9: p->ns = intern("kube-system"); break;
		case 10: p->owner = NULL; break;
		case 11: w->replicas = 0; break;
		case 12: p->phase = POD_SUCCEEDED; break;
		case 13: p->deleting = true; break;
		case 14: p->is_mirror = true; break;
		case 15: rig_node(&g, "n1")->unschedulable = true; break;
		case 16: rig_peer(&g, "n1")->has_capacity = false; break;
		case 17: rig_peer(&g, "n1")->protocol = 0; break;
		case 18: rig_peer(&g, "n1")->site = intern("x"); break;
		case 19: g.tilted = true; break;
		case 20: rig_peer(&g, "n1")->free.mem_bytes = 0; break;
		case 21: rig_node(&g, "n1")->allocatable.mem_bytes = GIB / 8 - 1; break;
		case 22: view_remove_node(g.view, "n1"); break;
		default: break;
		}
		for (int k = 0; k < 30; k++) {
			rig_after(&g, 10);
			if (rig_count(&g, ACTION_RESTORE))
				fail_msg("restored in spite of: %s", rows[i]);
		}
		rig_fini(&g);
	}
}

static void a_refusal_says_why_and_once(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	rig_only_me(&g);
	rig_rs(&g, "web", 2)->policy = POLICY_NEVER;
	rig_pod(&g, "web-1", "web", "n5");
	rig_rs(&g, "big", 1);
	rig_pod(&g, "big-1", "big", "n5")->request.cpu_milli = 5000;
	rig_lose(&g, "n5");
	assert_string_equal(rig_find(&g, ACTION_REFUSE, "uid-web-1")->reason, "policy never");
	assert_string_equal(rig_find(&g, ACTION_REFUSE, "uid-big-1")->reason, "not enough CPU");
	assert_int_equal(g.plan.count, 2);
	for (int i = 0; i < 50; i++) {
		rig_link(&g, i % 10 < 2 ? LINK_SUSPECT : LINK_OFFLINE);
		rig_after(&g, 1000);
		assert_int_equal(rig_count(&g, ACTION_REFUSE), 0);
	}
	view_pod(g.view, "uid-big-1")->request.cpu_milli = 900;	/* now it fits: looked at again by itself */
	rig_link(&g, LINK_OFFLINE);
	rig_after(&g, HEAL_REFUSED_RETRY_MS);
	assert_non_null(rig_find(&g, ACTION_RESTORE, "uid-big-1"));
	rig_fini(&g);
}

static void the_link_goes_after_the_node_and_the_reverse(void **state)
{
	for (int online = 0; online < 2; online++) {
		struct rig g;

		(void)state;
		rig_init(&g, 5);
		rig_only_me(&g);
		rig_rs(&g, "web", 1);
		rig_pod(&g, "web-1", "web", "n5");
		rig_link(&g, online ? LINK_ONLINE : LINK_SUSPECT);
		rig_lose(&g, "n5");
		assert_int_equal(g.plan.count, 0);
		rig_link(&g, LINK_OFFLINE);
		rig_after(&g, 10);
		assert_int_equal(rig_count(&g, ACTION_RESTORE), 1);
		rig_link(&g, LINK_ONLINE);		/* back before anything was done */
		rig_after(&g, 10);
		assert_int_equal(heal_open_losses(g.heal), 0);
		rig_link(&g, LINK_OFFLINE);		/* and away again */
		rig_after(&g, 10);
		assert_int_equal(rig_count(&g, ACTION_RESTORE), 1);
		rig_status(&g, "n5", PEER_ALIVE);
		rig_after(&g, 10);
		assert_int_equal(heal_open_losses(g.heal), 0);
		rig_fini(&g);
	}
}

static void never_more_than_the_replicas(void **state)
{
	struct rig g;
	struct workload *w;

	(void)state;
	rig_init(&g, 7);
	rig_only_me(&g);
	w = rig_rs(&g, "web", 4);
	rig_pod(&g, "web-b", "web", "n7");
	rig_pod(&g, "web-c", "web", "n7");
	rig_pod(&g, "web-a", "web", "n7");
	rig_pod(&g, "web-x", "web", "n2");			/* lives */
	rig_pod(&g, "web-y", "web", "n3")->deleting = true;	/* is going */
	rig_pod(&g, "web-z", "web", "n6");
	(void)rig_claim(&g, "uid-web-z", "n4", 1, CLAIM_LIVE);	/* held by a living node */
	rig_lose(&g, "n7");
	assert_int_equal(w->replicas, 4);
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 2);
	assert_non_null(rig_find(&g, ACTION_RESTORE, "uid-web-a"));
	assert_non_null(rig_find(&g, ACTION_RESTORE, "uid-web-b"));
	(void)rig_copy(&g, "uid-web-a", COPY_RUNNING);
	(void)rig_copy(&g, "uid-web-b", COPY_RUNNING);
	rig_lose(&g, "n2");
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 1);	/* web-x, and web-c is still too much */
	assert_non_null(rig_find(&g, ACTION_RESTORE, "uid-web-x"));
	rig_fini(&g);
}

static void claims_take_room_before_tags_show_it(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	rig_only_me(&g);
	rig_peer(&g, "n2")->has_capacity = true;
	rig_node(&g, "n2")->allocatable.cpu_milli = 2500;
	rig_peer(&g, "n1")->free.cpu_milli = 2000;
	rig_rs(&g, "web", 4);
	rig_rs(&g, "old", 1);
	rig_pod(&g, "old-1", "old", "n4")->request.cpu_milli = 1000;
	(void)rig_claim(&g, "uid-old-1", "n2", 1, CLAIM_LIVE);	/* 1500 of 2500 are left */
	rig_pod(&g, "web-1", "web", "n5");
	rig_lose(&g, "n5");
	assert_string_equal(rig_rank(&g, "uid-web-1", 0), "n1");
	rig_fini(&g);
}

static void a_copy_shown_by_the_mirror_is_counted_once(void **state)
{
	struct rig g;
	struct pod *mirror;

	(void)state;
	rig_init(&g, 5);
	rig_only_me(&g);
	rig_peer(&g, "n2")->has_capacity = true;
	rig_peer(&g, "n1")->free.cpu_milli = 1500;
	rig_node(&g, "n2")->allocatable.cpu_milli = 3000;	/* 2000 left: more than n1 */
	rig_rs(&g, "web", 4);
	rig_rs(&g, "old", 1);
	rig_pod(&g, "old-1", "old", "n4")->request.cpu_milli = 1000;
	(void)rig_claim(&g, "uid-old-1", "n2", 1, CLAIM_LIVE);
	mirror = rig_pod(&g, "old-1-n2", "none", "n2");
	mirror->request.cpu_milli = 1000;
	mirror->is_mirror = true;
	mirror->original_uid = intern("uid-old-1");
	rig_pod(&g, "web-1", "web", "n5");
	rig_lose(&g, "n5");
	assert_string_equal(rig_rank(&g, "uid-web-1", 0), "n2");
	rig_fini(&g);
}

/* Two nodes die one after the other: where the pods of the second go must not depend on whether the claims on those of the first
 * have been heard. */
static void the_spread_counts_what_will_be_claimed(void **state)
{
	char first[8][8], name[16], uid[24];

	(void)state;
	for (int heard = 0; heard < 2; heard++) {
		struct rig g;

		rig_init(&g, 6);
		rig_only_me(&g);
		rig_peer(&g, "n1")->has_capacity = false;
		rig_peer(&g, "n2")->has_capacity = rig_peer(&g, "n3")->has_capacity = rig_peer(&g, "n4")->has_capacity = true;
		rig_rs(&g, "web", 20);
		for (int i = 0; i < 8; i++) {
			(void)snprintf(name, sizeof(name), "web-%d", i);
			rig_pod(&g, name, "web", i < 2 ? "n5" : "n6");
		}
		rig_lose(&g, "n5");
		for (int i = 0; i < 2 && heard; i++) {
			(void)snprintf(uid, sizeof(uid), "uid-web-%d", i);
			(void)rig_claim(&g, uid, rig_rank(&g, uid, 0), 1, CLAIM_LIVE);
		}
		rig_lose(&g, "n6");
		for (int i = 2; i < 8; i++) {
			(void)snprintf(uid, sizeof(uid), "uid-web-%d", i);
			if (heard)
				assert_string_equal(rig_rank(&g, uid, 0), first[i]);
			(void)str_copy(first[i], sizeof(first[i]), rig_rank(&g, uid, 0));
		}
		rig_fini(&g);
	}
}

/* n2 booted, runs old-1 as a copy, and kubelet refuses the original beside it: the copy alone takes its room. */
static void a_copy_beside_its_refused_original_is_counted_once(void **state)
{
	struct pod *mirror, *original;
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	rig_only_me(&g);
	rig_peer(&g, "n2")->has_capacity = true;
	rig_peer(&g, "n1")->free.cpu_milli = 1500;
	rig_node(&g, "n2")->allocatable.cpu_milli = 2000;	/* 1000 left: less than n1 */
	rig_rs(&g, "web", 4);
	rig_rs(&g, "old", 1);
	original = rig_pod(&g, "old-1", "old", "n2");
	original->request.cpu_milli = 1000;
	original->phase = POD_FAILED;
	(void)rig_claim(&g, "uid-old-1", "n2", 1, CLAIM_LIVE);
	mirror = rig_pod(&g, "old-1-n2", "none", "n2");
	mirror->request.cpu_milli = 1000;
	mirror->is_mirror = true;
	mirror->original_uid = intern("uid-old-1");
	rig_pod(&g, "web-1", "web", "n5");
	rig_lose(&g, "n5");
	assert_string_equal(rig_rank(&g, "uid-web-1", 0), "n1");
	rig_fini(&g);
}

static void an_unbound_pod_is_bound_after_its_grace(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 3);
	rig_only_me(&g);
	rig_link(&g, LINK_ONLINE);
	rig_rs(&g, "web", 1);
	rig_pod(&g, "web-1", "web", NULL);
	rig_tick(&g);
	assert_int_equal(g.plan.count, 0);
	assert_int_equal(mono_since_ms(g.plan.next_due, g.now), 200);
	rig_after(&g, 200);
	assert_string_equal(rig_find(&g, ACTION_BIND, "uid-web-1")->node, "n1");
	rig_after(&g, 100);
	assert_int_equal(rig_count(&g, ACTION_BIND), 0);	/* under way */
	heal_on_bind(g.heal, "uid-web-1", false, g.now);
	rig_after(&g, 1);
	assert_int_equal(rig_count(&g, ACTION_BIND), 0);
	rig_after(&g, HEAL_REFUTED_RETRY_MS);
	assert_int_equal(rig_count(&g, ACTION_BIND), 1);	/* tried again */
	heal_on_bind(g.heal, "uid-web-1", true, g.now);
	rig_after(&g, 1000);
	assert_int_equal(rig_count(&g, ACTION_BIND), 0);
	rig_pod(&g, "web-1", "web", "n2");			/* the watch shows it */
	rig_after(&g, 1);
	assert_int_equal(heal_open_losses(g.heal), 0);
	rig_fini(&g);
}

static void pods_that_are_not_ours_to_bind(void **state)
{
	(void)state;
	for (int i = 0; i < 13; i++) {
		struct rig g;
		struct workload *w;
		struct pod *p;
		struct constraints unsupported = { .unsupported = true };

		rig_init(&g, 3);
		rig_only_me(&g);
		rig_link(&g, LINK_ONLINE);
		w = rig_rs(&g, "web", 1);
		p = rig_pod(&g, "web-1", "web", NULL);
		switch (i) {
		case 0: p->gated = true; break;
		case 1: p->default_scheduler = false; break;
		case 2: p->has_claims = true; break;
		case 3: p->owner = NULL; break;
		case 4: p->ns = intern("kube-system"); break;
		case 5: w->policy = POLICY_NEVER; break;
		case 6: rig_link(&g, LINK_OFFLINE); break;
		case 7: rig_link(&g, LINK_SUSPECT); break;
		case 8: g.f.synced_at.ns = 0; break;
		case 9: p->constraints = &unsupported; break;
		case 10: rig_node(&g, "n1")->unschedulable = true; break;
		case 11: p->request.cpu_milli = 4001; break;
		case 12: w->deleting = true; break;
		default: break;
		}
		for (int k = 0; k < 10; k++) {
			rig_after(&g, 1000);
			if (rig_count(&g, ACTION_BIND))
				fail_msg("row %d was bound", i);
		}
		rig_fini(&g);
	}
}

static void observing_reports_once(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	rig_only_me(&g);
	rig_rs(&g, "web", 1);
	rig_pod(&g, "web-1", "web", "n5");
	rig_lose(&g, "n5");
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 1);
	heal_on_observed(g.heal, "uid-web-1");
	for (int i = 0; i < 100; i++) {
		rig_after(&g, 1000);
		assert_int_equal(rig_effects(&g), 0);
	}
	rig_reconf(&g);						/* now in earnest, say */
	rig_after(&g, 1);
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 1);
	rig_fini(&g);
}

static void healthy_pods_and_a_lost_link_cause_nothing(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	rig_rs(&g, "web", 3);
	rig_pod(&g, "web-1", "web", "n1");
	rig_pod(&g, "web-2", "web", "n5");
	rig_pod(&g, "web-3", "web", NULL);
	for (int i = 0; i < 500; i++) {
		rig_after(&g, 100);
		assert_int_equal(g.plan.count, 0);
	}
	rig_fini(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lost_pod_comes_back),
		cmocka_unit_test(nothing_happens_unless_all_of_it_is_true),
		cmocka_unit_test(a_refusal_says_why_and_once),
		cmocka_unit_test(the_link_goes_after_the_node_and_the_reverse),
		cmocka_unit_test(never_more_than_the_replicas),
		cmocka_unit_test(claims_take_room_before_tags_show_it),
		cmocka_unit_test(a_copy_shown_by_the_mirror_is_counted_once),
		cmocka_unit_test(a_copy_beside_its_refused_original_is_counted_once),
		cmocka_unit_test(the_spread_counts_what_will_be_claimed),
		cmocka_unit_test(an_unbound_pod_is_bound_after_its_grace),
		cmocka_unit_test(pods_that_are_not_ours_to_bind),
		cmocka_unit_test(observing_reports_once),
		cmocka_unit_test(healthy_pods_and_a_lost_link_cause_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
