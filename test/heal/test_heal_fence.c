/* test_heal_fence.c — at most once, as one who grants: who was granted what, and which fences are given, kept and ended */
#include "heal_rig.h"
#include "model/stamp.h"

static void tick(struct rig *g)
{
	rig_tick(g);
}

static void after(struct rig *g, int64_t ms)
{
	g->now = mono_add_ms(g->now, ms);
	rig_tick(g);
}

static void a_fence_is_permitted_only_after_the_start_delay(void **state)
{
	const char *fenced[HEAL_MINE_MAX];
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	rig_once_rs(&g, 1);
	rig_pod(&g, "one-1", "one", "n5");
	tick(&g);
	rig_all_ask(&g);
	rig_status(&g, "n5", PEER_FAILED);
	g.now = mono_add_ms(g.now, heal_start_delay_ms(g.conf.stop_after_ms) - 1);
	assert_false(rig_ask_fence(&g, "n5", "n2"));		/* what we granted before our start we do not know */
	g.now = mono_add_ms(g.now, 1);
	assert_true(rig_ask_fence(&g, "n5", "n2"));
	assert_true(rig_ask_fence(&g, "n5", "n2"));			/* the same once more */
	assert_false(rig_ask_fence(&g, "n5", "n3"));		/* n2 has it, and lives */
	assert_int_equal(rig_asked_by(&g, "n5", fenced), 1);
	assert_string_equal(fenced[0], "uid-one-1");
	rig_status(&g, "n2", PEER_FAILED);
	(void)rig_asked_by(&g, "n2", fenced);
	g.now = mono_add_ms(g.now, heal_start_delay_ms(g.conf.stop_after_ms) - 1);
	assert_false(rig_ask_fence(&g, "n5", "n3"));		/* n2 may run it still */
	g.now = mono_add_ms(g.now, 1);
	assert_true(rig_ask_fence(&g, "n5", "n3"));
	rig_fini(&g);
}

static void carry_over(void *arg, const struct fence_question *f)
{
	heal_set_fence(arg, f, (struct mono){ 1 });
}

/* Whoever of a majority forgot it would let n5 go on beside n2. */
static void a_fence_outlives_the_process(void **state)
{
	const char *fenced[HEAL_MINE_MAX];
	struct heal *next;
	unsigned before;
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	tick(&g);
	rig_all_ask(&g);
	rig_status(&g, "n5", PEER_FAILED);
	g.now = mono_add_ms(g.now, heal_start_delay_ms(g.conf.stop_after_ms));
	before = heal_fences_version(g.heal);
	assert_true(rig_ask_fence(&g, "n5", "n2"));
	assert_int_not_equal(heal_fences_version(g.heal), before);
	before = heal_fences_version(g.heal);
	assert_true(rig_ask_fence(&g, "n5", "n2"));
	assert_int_equal(heal_fences_version(g.heal), before);	/* nothing to store */
	next = heal_new(&g.conf);
	heal_each_fence(g.heal, carry_over, next);
	assert_int_equal(heal_asked_grant(next, &(struct grant_question){ "n5", 1 }, fenced, g.now), 1);
	assert_string_equal(fenced[0], "uid-one-1");
	heal_free(next);
	rig_fini(&g);
}

/* The pod of n5, then the copy of n4: both may come back. */
static void every_node_that_lost_the_pod_is_told(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	tick(&g);
	rig_all_ask(&g);
	rig_status(&g, "n5", PEER_FAILED);
	g.now = mono_add_ms(g.now, heal_start_delay_ms(g.conf.stop_after_ms));
	assert_true(rig_ask_fence(&g, "n5", "n4"));
	rig_status(&g, "n4", PEER_FAILED);
	assert_true(rig_ask_fence(&g, "n4", "n2"));
	assert_int_equal(rig_fenced_for(&g, "n5"), 1);
	assert_int_equal(rig_fenced_for(&g, "n4"), 1);
	assert_int_equal(rig_fenced_for(&g, "n2"), 0);
	rig_status(&g, "n2", PEER_FAILED);
	g.now = mono_add_ms(g.now, 2 * heal_start_delay_ms(g.conf.stop_after_ms));
	rig_status(&g, "n4", PEER_ALIVE);
	assert_true(rig_ask_fence(&g, "n2", "n4"));		/* it had the pod before, and has it again */
	assert_int_equal(rig_fenced_for(&g, "n4"), 0);
	assert_int_equal(rig_fenced_for(&g, "n5"), 1);
	assert_int_equal(rig_fenced_for(&g, "n2"), 1);
	rig_fini(&g);
}

/* n2 was permitted to take the copy of n4 and never did; n4 was only cut off and claims the pod still. */
static void a_fence_that_is_not_used_is_its_former_holders_again(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	rig_once_rs(&g, 1);
	rig_pod(&g, "one-1", "one", "n5");
	tick(&g);
	rig_all_ask(&g);
	rig_status(&g, "n5", PEER_FAILED);
	g.now = mono_add_ms(g.now, heal_start_delay_ms(g.conf.stop_after_ms));
	assert_true(rig_ask_fence(&g, "n5", "n4"));
	(void)rig_claim(&g, "uid-one-1", "n4", 1, CLAIM_LIVE);
	rig_status(&g, "n4", PEER_FAILED);
	assert_true(rig_ask_fence(&g, "n4", "n2"));
	rig_status(&g, "n4", PEER_ALIVE);
	after(&g, HEAL_FENCE_HOLD_MS);
	assert_int_equal(rig_fenced_for(&g, "n5"), 1);		/* n4 runs it */
	assert_int_equal(rig_fenced_for(&g, "n4"), 0);
	rig_fini(&g);
}

/* A site of five where n5 is lost and we let n2 start its pod. */
static void rig_init_fenced(struct rig *g)
{
	rig_init(g, 5);
	rig_once_rs(g, 1);
	rig_pod(g, "one-1", "one", "n5");
	tick(g);
	rig_all_ask(g);
	rig_status(g, "n5", PEER_FAILED);
	g->now = mono_add_ms(g->now, heal_start_delay_ms(g->conf.stop_after_ms));
	assert_true(rig_ask_fence(g, "n5", "n2"));
	rig_status(g, "n5", PEER_ALIVE);
}

/* The round of the question that is in the plan, about that one pod. */
static struct mono unused_round(struct rig *g)
{
	const struct action *act = rig_find(g, ACTION_ASK_UNUSED, NULL);
	const char *uids[HEAL_UNUSED_MAX];

	assert_int_equal(rig_count(g, ACTION_ASK_UNUSED), 1);
	assert_int_equal(heal_fences_unseen(g->heal, uids, act->declared), 1);
	assert_string_equal(uids[0], "uid-one-1");
	return act->declared;
}

static void unused(struct rig *g, const char *from, struct mono round)
{
	heal_on_unused(g->heal, from, round, (const char *const[]){ "uid-one-1" }, 1);
	tick(g);
}

/* Two asked for the pod at once, and we let the one that lost. Nobody may start it by our word, and n5 is back. */
static void the_holder_of_a_fence_says_that_it_has_no_use_for_it(void **state)
{
	struct rig g;
	struct mono round;

	(void)state;
	rig_init_fenced(&g);
	after(&g, HEAL_FENCE_FRESH_MS - 1);
	assert_int_equal(rig_count(&g, ACTION_ASK_UNUSED), 0);	/* it may be about to claim */
	g.tilted = true;
	after(&g, 1);
	assert_int_equal(rig_count(&g, ACTION_ASK_UNUSED), 0);
	g.tilted = false;
	tick(&g);
	round = unused_round(&g);
	after(&g, HEAL_UNUSED_RETRY_MS - 1);
	assert_int_equal(rig_count(&g, ACTION_ASK_UNUSED), 0);
	unused(&g, "n3", round);				/* not the holder */
	assert_int_equal(rig_fenced_for(&g, "n5"), 1);
	after(&g, 1);
	assert_true(unused_round(&g).ns > round.ns);		/* no answer: once more */
	unused(&g, "n2", round);				/* to a former question */
	assert_int_equal(rig_fenced_for(&g, "n5"), 1);
	after(&g, HEAL_UNUSED_RETRY_MS);
	unused(&g, "n2", unused_round(&g));
	assert_int_equal(rig_fenced_for(&g, "n5"), 0);
	after(&g, 10 * HEAL_UNUSED_RETRY_MS);
	assert_int_equal(rig_count(&g, ACTION_ASK_UNUSED), 0);
	rig_fini(&g);
}

static void who_claims_the_pod_is_not_asked_whether_it_does(void **state)
{
	struct rig g;

	(void)state;
	rig_init_fenced(&g);
	(void)rig_claim(&g, "uid-one-1", "n2", 1, CLAIM_LIVE);
	after(&g, HEAL_FENCE_FRESH_MS);
	assert_int_equal(rig_count(&g, ACTION_ASK_UNUSED), 0);
	rig_fini(&g);
}

/* n2 answered, and asked again before its answer was here: what it was let do since is not over. */
static void a_fence_that_was_given_again_is_not_ended_by_an_older_answer(void **state)
{
	struct rig g;
	struct mono round;

	(void)state;
	rig_init_fenced(&g);
	after(&g, HEAL_FENCE_FRESH_MS);
	round = unused_round(&g);
	rig_status(&g, "n5", PEER_FAILED);
	g.now = mono_add_ms(g.now, heal_start_delay_ms(g.conf.stop_after_ms));
	assert_true(rig_ask_fence(&g, "n5", "n2"));
	unused(&g, "n2", round);
	assert_int_equal(rig_fenced_for(&g, "n5"), 1);
	rig_fini(&g);
}

/* As the holder: from the question for the fence on it has a use for the pod, until it gives up or its claim ends. */
static void a_holder_knows_what_it_has_a_use_for(void **state)
{
	struct rig g;

	(void)state;
	rig_init_fenced(&g);
	assert_false(heal_uses(g.heal, "uid-one-1", 7));	/* n2 may start it, not we */
	(void)rig_claim(&g, "uid-one-2", "n1", 1, CLAIM_LIVE);
	assert_true(heal_uses(g.heal, "uid-one-2", 9));
	assert_false(heal_uses(g.heal, "uid-one-3", 9));
	rig_status(&g, "n5", PEER_FAILED);
	rig_status(&g, "n2", PEER_FAILED);
	g.now = mono_add_ms(g.now, heal_start_delay_ms(g.conf.stop_after_ms));
	assert_true(rig_ask_fence(&g, "n5", "n1"));
	assert_true(heal_uses(g.heal, "uid-one-1", 9));
	after(&g, HEAL_FENCE_FRESH_MS);				/* not claimed: given up */
	assert_false(heal_uses(g.heal, "uid-one-1", 9));
	rig_fini(&g);
}

static void a_pod_is_lost_by_so_many_nodes_at_most(void **state)
{
	struct rig g;
	char lost[16], next[16];

	(void)state;
	rig_init(&g, HEAL_FENCE_NODES + 4);
	tick(&g);
	rig_all_ask(&g);
	for (int i = 0; i <= HEAL_FENCE_NODES; i++) {
		(void)snprintf(lost, sizeof(lost), "n%d", i + 2);
		(void)snprintf(next, sizeof(next), "n%d", i + 3);
		rig_status(&g, lost, PEER_FAILED);
		g.now = mono_add_ms(g.now, heal_start_delay_ms(g.conf.stop_after_ms));
		assert_int_equal(rig_ask_fence(&g, lost, next), i < HEAL_FENCE_NODES);
	}
	assert_int_equal(rig_fenced_for(&g, "n2"), 1);
	rig_fini(&g);
}

/* It only observes, or is too old for leases, or does not know the policy: it stops nothing. */
static void no_fence_for_a_node_that_never_asked_us(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	rig_once_rs(&g, 1);
	rig_pod(&g, "one-1", "one", "n5");
	tick(&g);
	(void)rig_fenced_for(&g, "n4");
	rig_status(&g, "n5", PEER_FAILED);
	g.now = mono_add_ms(g.now, 10 * heal_start_delay_ms(g.conf.stop_after_ms));
	assert_false(rig_ask_fence(&g, "n5", "n2"));
	rig_fini(&g);
}

/* n1 and n2 alone are a small site: whoever was there before, and was granted something, may run without a lease since. */
static void what_was_granted_before_the_site_was_small_says_nothing(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 3);
	rig_once_rs(&g, 1);
	rig_pod(&g, "one-1", "one", "n2");
	tick(&g);
	rig_all_ask(&g);
	rig_status(&g, "n3", PEER_LEFT);
	tick(&g);
	rig_status(&g, "n3", PEER_ALIVE);
	rig_status(&g, "n2", PEER_FAILED);
	after(&g, 10 * heal_start_delay_ms(g.conf.stop_after_ms));
	assert_false(rig_ask_fence(&g, "n2", "n3"));
	rig_fini(&g);
}

/* The configuration of n5 is newer: its lease lasts longer than ours would. */
static void the_longer_stop_after_counts(void **state)
{
	const char *fenced[HEAL_MINE_MAX];
	struct rig g;
	int64_t longer;

	(void)state;
	rig_init(&g, 5);
	tick(&g);
	longer = 3 * g.conf.stop_after_ms;
	(void)heal_asked_grant(g.heal, &(struct grant_question){ "n5", longer }, fenced, g.now);
	rig_status(&g, "n5", PEER_FAILED);
	g.now = mono_add_ms(g.now, heal_start_delay_ms(longer) - 1);
	assert_false(rig_ask_fence(&g, "n5", "n2"));
	g.now = mono_add_ms(g.now, 1);
	assert_true(rig_ask_fence(&g, "n5", "n2"));
	rig_fini(&g);
}

/* The asker has missed that the pod is gone. */
static uint64_t confirmed_at(int64_t ms)
{
	return stamp_of((struct wall){ ms * NS_PER_MS });
}

static void no_fence_for_a_pod_that_a_fresher_mirror_misses(void **state)
{
	const int64_t at_ms = 1700000000000;
	const struct { uint64_t ours, theirs; bool permits; } rows[] = {
		{ confirmed_at(at_ms), confirmed_at(at_ms), false },
		{ confirmed_at(at_ms), confirmed_at(at_ms - 60000), false },
		{ confirmed_at(at_ms), confirmed_at(at_ms + STAMP_SLACK_MS), false },
		{ confirmed_at(at_ms), confirmed_at(at_ms + STAMP_SLACK_MS + 1), true },	/* we may not have seen it yet */
		{ confirmed_at(at_ms), STAMP_UNKNOWN, false },
		{ STAMP_UNKNOWN, confirmed_at(at_ms), false },
		{ STAMP_NONE, confirmed_at(at_ms), true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fence_question q = { "uid-gone", "n5", "n2", rows[i].theirs };
		struct rig g;

		rig_init(&g, 5);
		g.f.mirror_version = rows[i].ours;
		tick(&g);
		rig_all_ask(&g);
		rig_status(&g, "n5", PEER_FAILED);
		g.now = mono_add_ms(g.now, heal_start_delay_ms(g.conf.stop_after_ms));
		if (heal_asked_fence(g.heal, g.view, &g.peers, &q, g.now) != rows[i].permits)
			fail_msg("row %zu", i);
		rig_fini(&g);
	}
}

static void carry_grant(void *arg, const struct grant_question *q)
{
	heal_set_grant(arg, q);
}

static void who_asked_us_outlives_the_process(void **state)
{
	struct fence_question q = { "uid-one-1", "n5", "n2", 1 };
	struct heal *next;
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	tick(&g);
	rig_all_ask(&g);
	next = heal_new(&g.conf);
	heal_each_grant(g.heal, carry_grant, next);
	rig_status(&g, "n5", PEER_FAILED);
	assert_false(heal_asked_fence(next, g.view, &g.peers, &q, g.now));	/* its last grant may be of a moment ago */
	g.now = mono_add_ms(g.now, heal_start_delay_ms(g.conf.stop_after_ms));
	assert_true(heal_asked_fence(next, g.view, &g.peers, &q, g.now));
	heal_free(next);
	rig_fini(&g);
}

static void no_fence_for_a_node_that_lives_or_was_granted_lately(void **state)
{
	const char *fenced[HEAL_MINE_MAX];
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	tick(&g);
	rig_all_ask(&g);
	g.now = mono_add_ms(g.now, 2 * heal_start_delay_ms(g.conf.stop_after_ms));
	assert_false(rig_ask_fence(&g, "n5", "n2"));		/* alive */
	(void)rig_asked_by(&g, "n5", fenced);
	rig_status(&g, "n5", PEER_FAILED);
	assert_false(rig_ask_fence(&g, "n5", "n2"));
	g.now = mono_add_ms(g.now, heal_start_delay_ms(g.conf.stop_after_ms));
	assert_true(rig_ask_fence(&g, "n5", "n2"));
	rig_fini(&g);
}

static void a_fence_ends_with_the_claim(void **state)
{
	const char *fenced[HEAL_MINE_MAX];

	for (int i = 0; i < 4; i++) {
		struct rig g;

		(void)state;
		rig_init(&g, 5);
		rig_once_rs(&g, 1);
		rig_pod(&g, "one-1", "one", "n5");
		tick(&g);
		rig_all_ask(&g);
		rig_status(&g, "n5", PEER_FAILED);
		g.now = mono_add_ms(g.now, heal_start_delay_ms(g.conf.stop_after_ms));
		assert_true(rig_ask_fence(&g, "n5", "n2"));
		(void)rig_claim(&g, "uid-one-1", "n2", 1, CLAIM_LIVE);
		if (i == 0)
			(void)rig_claim(&g, "uid-one-1", "n2", 1, CLAIM_DONE);
		if (i == 1)
			(void)rig_claim(&g, "uid-one-1", "n3", 1, CLAIM_WITHDRAWN);	/* not the holder */
		if (i == 3)
			heal_forget_claim(g.heal, "uid-one-1");		/* the end of the claim was not heard: after a while it is believed */
		after(&g, HEAL_FENCE_HOLD_MS);
		assert_int_equal(rig_asked_by(&g, "n5", fenced), i == 0 || i == 3 ? 0 : 1);
		rig_fini(&g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fence_is_permitted_only_after_the_start_delay),
		cmocka_unit_test(a_fence_outlives_the_process),
		cmocka_unit_test(every_node_that_lost_the_pod_is_told),
		cmocka_unit_test(a_fence_that_is_not_used_is_its_former_holders_again),
		cmocka_unit_test(the_holder_of_a_fence_says_that_it_has_no_use_for_it),
		cmocka_unit_test(who_claims_the_pod_is_not_asked_whether_it_does),
		cmocka_unit_test(a_fence_that_was_given_again_is_not_ended_by_an_older_answer),
		cmocka_unit_test(a_holder_knows_what_it_has_a_use_for),
		cmocka_unit_test(a_pod_is_lost_by_so_many_nodes_at_most),
		cmocka_unit_test(no_fence_for_a_node_that_never_asked_us),
		cmocka_unit_test(what_was_granted_before_the_site_was_small_says_nothing),
		cmocka_unit_test(the_longer_stop_after_counts),
		cmocka_unit_test(no_fence_for_a_pod_that_a_fresher_mirror_misses),
		cmocka_unit_test(who_asked_us_outlives_the_process),
		cmocka_unit_test(no_fence_for_a_node_that_lives_or_was_granted_lately),
		cmocka_unit_test(a_fence_ends_with_the_claim),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
