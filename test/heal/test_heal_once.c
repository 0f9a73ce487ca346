/* test_heal_once.c — at most once, as the holder: leases and questions for fences, each with its exact time */
#include "heal_rig.h"

static struct mono asked;		/* the last question for a grant */

static void tick(struct rig *g)
{
	rig_tick(g);
	if (rig_count(g, ACTION_ASK_GRANT))
		asked = rig_find(g, ACTION_ASK_GRANT, "")->declared;
}

static void after(struct rig *g, int64_t ms)
{
	g->now = mono_add_ms(g->now, ms);
	tick(g);
}

/* A round of grants: `n` of the peers answer, none of our pods is fenced. */
static void grants(struct rig *g, size_t n)
{
	for (size_t i = 1; i <= n; i++)
		heal_on_grant(g->heal, g->items[i].name, &(struct grant){ .asked = asked });
	heal_on_grant_end(g->heal, asked);
	after(g, 1);
}

static void quiet_for(struct rig *g, int64_t ms, enum action_kind kind)
{
	for (; ms > 0; ms -= 100) {
		after(g, 100);
		if (rig_count(g, kind))
			fail_msg("%s after all", action_name(kind));
	}
}

static void the_lease_lasts_from_when_it_was_asked_for(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	rig_once_rs(&g, 1);
	rig_pod(&g, "one-1", "one", "n1");
	tick(&g);
	assert_int_equal(rig_count(&g, ACTION_ASK_GRANT), 1);
	assert_true(asked.ns == g.now.ns);
	after(&g, 700);
	grants(&g, 1);				/* with ourselves two of five: no majority */
	assert_false(mono_is_set(heal_lease_until(g.heal)));
	assert_int_equal(rig_count(&g, ACTION_ASK_GRANT), 1);	/* a message may have been lost: again at once */
	after(&g, HEAL_LEASE_FIRST_MS - 701);
	assert_int_equal(rig_count(&g, ACTION_STOP), 1);	/* HEAL_LEASE_FIRST_MS are over and nobody granted one */
	after(&g, g.conf.stop_after_ms / HEAL_LEASE_PARTS - HEAL_LEASE_FIRST_MS + 701);
	assert_int_equal(rig_count(&g, ACTION_ASK_GRANT), 1);
	assert_true(asked.ns == g.now.ns);
	after(&g, 300);
	grants(&g, 2);
	assert_int_equal(mono_since_ms(heal_lease_until(g.heal), asked), g.conf.stop_after_ms);
	rig_fini(&g);
}

static void without_a_majority_the_pods_are_stopped_in_time(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	rig_once_rs(&g, 1);
	rig_pod(&g, "one-1", "one", "n1");
	tick(&g);
	grants(&g, 4);
	quiet_for(&g, g.conf.stop_after_ms - 200, ACTION_STOP);
	after(&g, 200);
	assert_non_null(rig_find(&g, ACTION_STOP, "uid-one-1"));
	rig_fini(&g);
}

/* A healer without its serf: nothing is known of the others, and yet the pod ends. */
static void stale_membership_does_not_keep_it_running(void **state)
{
	struct rig g;
	struct tick t;

	(void)state;
	rig_init(&g, 5);
	rig_once_rs(&g, 1);
	rig_pod(&g, "one-1", "one", "n1");
	tick(&g);
	grants(&g, 4);
	t.now = mono_add_ms(g.now, g.conf.stop_after_ms);
	t.tilted = true;
	heal_tick(g.heal, &t, &g.f, &g.plan);	/* peers.as_of is old */
	assert_non_null(rig_find(&g, ACTION_STOP, "uid-one-1"));
	rig_fini(&g);
}

static void others_and_small_sites_are_not_stopped(void **state)
{
	for (int i = 0; i < 3; i++) {
		struct rig g;

		(void)state;
		rig_init(&g, i == 0 ? 2 : i == 1 ? 1 : 5);
		if (i < 2)
			rig_once_rs(&g, 1);
		else
			rig_rs(&g, "one", 1);
		rig_pod(&g, "one-1", "one", "n1");
		quiet_for(&g, 60000, ACTION_STOP);
		assert_int_equal(rig_count(&g, ACTION_ASK_GRANT), 0);
		rig_fini(&g);
	}
}

static void a_stopped_pod_goes_on_only_when_nobody_else_may_run_it(void **state)
{
	for (int i = 0; i < 4; i++) {
		const char *fenced[] = { "uid-one-1" };
		struct map *stopped = map_new();
		struct rig g;

		(void)state;
		rig_init(&g, 5);
		rig_once_rs(&g, 1);
		rig_pod(&g, "one-1", "one", "n1");
		(void)map_put(stopped, "uid-one-1", stopped);
		g.f.stopped = stopped;
		tick(&g);
		assert_int_equal(rig_count(&g, ACTION_RESUME), 0);	/* no round of this process yet */
		if (i == 1)
			heal_on_grant(g.heal, "n4", &(struct grant){ asked, fenced, 1 });
		if (i == 2)
			(void)rig_claim(&g, "uid-one-1", "n3", 1, CLAIM_LIVE);
		if (i == 3)
			g.tilted = true;
		grants(&g, 3);
		assert_int_equal(rig_count(&g, ACTION_RESUME), i == 0);
		rig_fini(&g);
		map_free(stopped);
	}
}

/* After a boot somebody else may have taken its pod, and may have ended that again. */
static void an_old_copy_goes_before_the_lease_begins(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	rig_once_rs(&g, 1);
	rig_pod(&g, "one-1", "one", "n5");
	(void)rig_copy(&g, "uid-one-1", COPY_RUNNING);
	tick(&g);
	grants(&g, 3);
	assert_non_null(rig_find(&g, ACTION_WITHDRAW, "uid-one-1"));
	assert_false(mono_is_set(heal_lease_until(g.heal)));
	rig_copy_gone(&g, "uid-one-1");
	tick(&g);
	assert_true(mono_is_set(heal_lease_until(g.heal)));
	rig_fini(&g);
}

/* The healer was killed between telling that its claim has ended and removing the copy. */
static void a_copy_whose_claim_has_ended_is_not_resumed(void **state)
{
	struct map *stopped = map_new();
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	rig_once_rs(&g, 1);
	rig_pod(&g, "one-1", "one", "n5");
	tick(&g);
	grants(&g, 3);
	(void)rig_copy(&g, "uid-one-1", COPY_RUNNING);
	(void)rig_claim(&g, "uid-one-1", "n1", 1, CLAIM_DONE);
	(void)map_put(stopped, "uid-one-1", stopped);
	g.f.stopped = stopped;
	tick(&g);
	assert_int_equal(rig_count(&g, ACTION_RESUME), 0);
	assert_non_null(rig_find(&g, ACTION_WITHDRAW, "uid-one-1"));
	rig_fini(&g);
	map_free(stopped);
}

static void permit(struct rig *g, struct mono round, const char *from, bool yes)
{
	heal_on_fence(g->heal, from, &(struct permit){ "uid-one-1", round, yes });
}

/* Anybody who is in the gossip can say a claim. Who starts the pod elsewhere has fences, and these end the lease of the others. */
static void a_claim_alone_stops_nothing_that_runs(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	rig_once_rs(&g, 1);
	rig_pod(&g, "one-1", "one", "n1");
	tick(&g);
	grants(&g, 3);
	(void)rig_claim(&g, "uid-one-1", "n3", 7, CLAIM_LIVE);
	for (int i = 0; i < 20; i++) {
		grants(&g, 3);
		after(&g, 100);
		assert_int_equal(rig_count(&g, ACTION_STOP), 0);
	}
	rig_fini(&g);
}

/* From observe to heal: nobody was asked for a lease before, so the lack of one says nothing yet. */
static void a_node_that_begins_to_heal_asks_before_it_judges(void **state)
{
	for (int had_lease = 0; had_lease < 2; had_lease++) {
		struct rig g;

		(void)state;
		rig_init(&g, 5);
		rig_once_rs(&g, 1);
		rig_pod(&g, "one-1", "one", "n1");
		tick(&g);
		if (had_lease)			/* it healed before it observed */
			grants(&g, 4);
		for (int i = 0; i < 30; i++) {	/* its questions are only observed: each round ends without an answer */
			heal_on_grant_end(g.heal, asked);
			after(&g, 1000);
		}
		heal_lease_anew(g.heal);
		after(&g, 1);
		assert_true(asked.ns == g.now.ns);
		assert_int_equal(rig_count(&g, ACTION_STOP), 0);
		quiet_for(&g, HEAL_LEASE_FIRST_MS - 1000, ACTION_STOP);
		grants(&g, 2);
		quiet_for(&g, 2000, ACTION_STOP);
		heal_lease_anew(g.heal);
		g.now = mono_add_ms(g.now, 30000);
		after(&g, 1);
		after(&g, HEAL_LEASE_FIRST_MS + 1);
		assert_int_equal(rig_count(&g, ACTION_STOP), 1);	/* asked, waited, and nobody granted one */
		rig_fini(&g);
	}
}

/* Healers that came after the last list of Nodes may be members of the site by now: a majority must be one with them, too. */
static void newcomers_count_against_a_majority(void **state)
{
	for (int strangers = 0; strangers < 2; strangers++) {
		struct rig g;

		(void)state;
		rig_init(&g, 5);
		rig_once_rs(&g, 1);
		rig_pod(&g, "one-1", "one", "n1");
		rig_peer(&g, "n4")->standing = rig_peer(&g, "n5")->standing = strangers ? PEER_STRANGER : PEER_NEWCOMER;
		tick(&g);
		grants(&g, 1);			/* two of three members, of five machines */
		assert_int_equal(mono_is_set(heal_lease_until(g.heal)), strangers);
		heal_on_grant(g.heal, "n4", &(struct grant){ .asked = asked });
		grants(&g, 1);			/* what they grant is nobody's voice */
		assert_int_equal(mono_is_set(heal_lease_until(g.heal)), strangers);
		rig_fini(&g);
	}
}

/* One of five is of this version: no majority could grant anything, and nobody could take its pods. */
static void among_older_healers_nothing_is_stopped(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	rig_once_rs(&g, 1);
	rig_pod(&g, "one-1", "one", "n1");
	for (size_t i = 1; i < g.peers.count; i++)
		g.items[i].protocol = 1;
	for (int i = 0; i < 300; i++) {
		after(&g, 100);
		assert_int_equal(rig_count(&g, ACTION_STOP), 0);
	}
	rig_fini(&g);
}

/* n5 had the pod. Only after the start delay, with a lease of our own and a majority's fence, it starts here. */
static void a_lost_pod_is_started_with_a_fence(void **state)
{
	struct rig g;
	int64_t waited = 0;
	struct mono round;

	(void)state;
	rig_init(&g, 5);
	rig_only_me(&g);
	rig_once_rs(&g, 1);
	rig_pod(&g, "one-1", "one", "n5");
	tick(&g);
	rig_all_ask(&g);
	grants(&g, 4);
	rig_lose(&g, "n5");
	for (; waited < 2 * heal_start_delay_ms(g.conf.stop_after_ms) && !rig_count(&g, ACTION_ASK_FENCE); waited += 100) {
		if (rig_count(&g, ACTION_ASK_GRANT))
			grants(&g, 3);
		after(&g, 100);
		assert_int_equal(rig_count(&g, ACTION_RESTORE), 0);
	}
	assert_in_range(waited, heal_start_delay_ms(g.conf.stop_after_ms) - 5000, heal_start_delay_ms(g.conf.stop_after_ms) + 500);
	assert_string_equal(rig_find(&g, ACTION_ASK_FENCE, "uid-one-1")->node, "n5");
	round = rig_find(&g, ACTION_ASK_FENCE, "uid-one-1")->declared;
	permit(&g, mono_add_ms(round, -1), "n3", true);	/* an answer to a former question */
	permit(&g, round, "n2", true);
	permit(&g, round, "n2", true);		/* counts once */
	permit(&g, round, "n5", true);		/* not the lost node's to give */
	permit(&g, round, "n4", false);
	after(&g, 10);
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 0);
	permit(&g, round, "n3", true);
	after(&g, 10);
	assert_non_null(rig_find(&g, ACTION_RESTORE, "uid-one-1"));
	rig_fini(&g);
}

static void a_fence_that_took_too_long_is_not_acted_upon(void **state)
{
	struct mono round;
	struct rig g;

	(void)state;
	rig_init(&g, 3);
	rig_only_me(&g);
	rig_once_rs(&g, 1);
	rig_pod(&g, "one-1", "one", "n3");
	tick(&g);
	rig_all_ask(&g);
	grants(&g, 2);
	rig_lose(&g, "n3");
	for (int i = 0; i < 600 && !rig_count(&g, ACTION_ASK_FENCE); i++) {
		if (rig_count(&g, ACTION_ASK_GRANT))
			grants(&g, 1);
		after(&g, 100);
	}
	assert_int_equal(rig_count(&g, ACTION_ASK_FENCE), 1);
	round = rig_find(&g, ACTION_ASK_FENCE, "uid-one-1")->declared;
	g.now = mono_add_ms(g.now, HEAL_FENCE_FRESH_MS);
	permit(&g, round, "n2", true);
	tick(&g);
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 0);
	rig_fini(&g);
}

static void in_a_site_of_two_nobody_starts_it(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 2);
	rig_only_me(&g);
	g.f.gateway = 1;
	rig_once_rs(&g, 1);
	rig_pod(&g, "one-1", "one", "n2");
	rig_lose(&g, "n2");
	assert_non_null(rig_find(&g, ACTION_REFUSE, "uid-one-1"));
	quiet_for(&g, 2 * heal_start_delay_ms(g.conf.stop_after_ms), ACTION_RESTORE);
	rig_fini(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_lease_lasts_from_when_it_was_asked_for),
		cmocka_unit_test(without_a_majority_the_pods_are_stopped_in_time),
		cmocka_unit_test(stale_membership_does_not_keep_it_running),
		cmocka_unit_test(others_and_small_sites_are_not_stopped),
		cmocka_unit_test(a_stopped_pod_goes_on_only_when_nobody_else_may_run_it),
		cmocka_unit_test(a_claim_alone_stops_nothing_that_runs),
		cmocka_unit_test(a_node_that_begins_to_heal_asks_before_it_judges),
		cmocka_unit_test(newcomers_count_against_a_majority),
		cmocka_unit_test(among_older_healers_nothing_is_stopped),
		cmocka_unit_test(an_old_copy_goes_before_the_lease_begins),
		cmocka_unit_test(a_copy_whose_claim_has_ended_is_not_resumed),
		cmocka_unit_test(a_lost_pod_is_started_with_a_fence),
		cmocka_unit_test(a_fence_that_took_too_long_is_not_acted_upon),
		cmocka_unit_test(in_a_site_of_two_nobody_starts_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
