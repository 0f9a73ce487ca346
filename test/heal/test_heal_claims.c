/* test_heal_claims.c — who holds a pod, whatever the order of the messages */
#include "heal_rig.h"

static struct claim make(const char *node, uint32_t epoch, uint32_t rank, uint64_t mirror, enum claim_state state)
{
	struct claim c = { .pod_uid = "p", .epoch = epoch, .rank = rank, .mirror = mirror, .state = state };

	(void)str_copy(c.node, sizeof(c.node), node);
	return c;
}

static void the_better_claim_wins_in_any_order(void **state)
{
	/* best first: epoch, then fresher mirror, then rank, then name */
	const struct claim best_first[] = {
		make("n9", 2, 3, 1, CLAIM_LIVE), make("n8", 1, 2, 50, CLAIM_LIVE), make("n7", 1, 0, 40, CLAIM_LIVE),
		make("n1", 1, 1, 40, CLAIM_LIVE), make("n2", 1, 1, 40, CLAIM_LIVE),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(best_first); i++)
		for (size_t j = i + 1; j < ARRAY_LEN(best_first); j++)
			for (int order = 0; order < 2; order++) {
				struct claims *c = claims_new();

				(void)claims_put(c, &best_first[order ? j : i]);
				(void)claims_put(c, &best_first[order ? i : j]);
				assert_string_equal(claims_live(c, "p")->node, best_first[i].node);
				claims_free(c);
			}
}

/* n5 took the pod after n4 had given it up; the messages in between were not heard. */
static void a_missed_end_is_made_up_for(void **state)
{
	struct claims *c = claims_new();
	struct claim m = make("n4", 1, 1, 7, CLAIM_LIVE);

	(void)state;
	(void)claims_put(c, &m);
	m = make("n5", 1, 1, 6, CLAIM_DONE);
	(void)claims_put(c, &m);
	assert_string_equal(claims_live(c, "p")->node, "n4");	/* worse than n4's: n4 may have it still */
	m = make("n5", 1, 1, 8, CLAIM_DONE);
	assert_int_equal(claims_put(c, &m), CLAIM_NEWS_WITHDRAWN);
	assert_null(claims_live(c, "p"));
	m = make("n4", 2, 0, 8, CLAIM_LIVE);
	(void)claims_put(c, &m);
	m.state = CLAIM_WITHDRAWN;
	(void)claims_put(c, &m);
	assert_false(claims_has_given_up(c, "p", "n4"));	/* its end is the best claim: told as such */
	m = make("n5", 2, 1, 8, CLAIM_LIVE);
	(void)claims_put(c, &m);
	assert_true(claims_has_given_up(c, "p", "n4"));
	assert_false(claims_has_given_up(c, "p", "n5"));
	claims_free(c);
}

static void news_say_what_changed(void **state)
{
	static const struct { const char *node; uint32_t epoch, rank; enum claim_state s; enum claim_news news; } story[] = {
		{ "n2", 1, 1, CLAIM_LIVE, CLAIM_NEWS_FIRST },
		{ "n2", 1, 1, CLAIM_LIVE, CLAIM_NEWS_NONE },		/* told again */
		{ "n3", 1, 2, CLAIM_LIVE, CLAIM_NEWS_BEATEN },
		{ "n1", 1, 0, CLAIM_LIVE, CLAIM_NEWS_TAKEN_OVER },
		{ "n2", 1, 1, CLAIM_WITHDRAWN, CLAIM_NEWS_NONE },	/* it was not the holder any more */
		{ "n1", 1, 0, CLAIM_WITHDRAWN, CLAIM_NEWS_WITHDRAWN },
		{ "n1", 1, 0, CLAIM_LIVE, CLAIM_NEWS_NONE },		/* overtaken by its own end */
		{ "n2", 1, 1, CLAIM_LIVE, CLAIM_NEWS_NONE },
		{ "n3", 1, 2, CLAIM_LIVE, CLAIM_NEWS_FIRST },
		{ "n4", 2, 0, CLAIM_LIVE, CLAIM_NEWS_TAKEN_OVER },
		{ "n1", 1, 0, CLAIM_LIVE, CLAIM_NEWS_NONE },		/* an older loss */
		{ "n4", 2, 0, CLAIM_DONE, CLAIM_NEWS_WITHDRAWN },
		{ "n5", 2, 0, CLAIM_LIVE, CLAIM_NEWS_NONE },		/* that loss is over */
		{ "n5", 3, 0, CLAIM_LIVE, CLAIM_NEWS_FIRST },
	};
	struct claims *c = claims_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(story); i++) {
		struct claim m = make(story[i].node, story[i].epoch, story[i].rank, 7, story[i].s);

		if (claims_put(c, &m) != story[i].news)
			fail_msg("line %zu", i);
	}
	assert_int_equal(claims_count(c), 1);
	claims_free(c);
}

static void epochs_grow_with_each_loss(void **state)
{
	struct claims *c = claims_new();
	struct claim m = make("n1", 4, 0, 7, CLAIM_LIVE);

	(void)state;
	assert_int_equal(claims_next_epoch(c, "p"), 1);
	assert_int_equal(claims_epoch(c, "p"), 0);
	(void)claims_put(c, &m);
	assert_int_equal(claims_next_epoch(c, "p"), 5);		/* the holder was lost */
	m.state = CLAIM_WITHDRAWN;
	(void)claims_put(c, &m);
	assert_int_equal(claims_next_epoch(c, "p"), 4);		/* the next rank's turn in the same loss */
	m = make("n2", 4, 1, 7, CLAIM_LIVE);
	(void)claims_put(c, &m);
	m.state = CLAIM_DONE;
	(void)claims_put(c, &m);
	assert_int_equal(claims_next_epoch(c, "p"), 5);
	assert_null(claims_live(c, "p"));
	claims_remove(c, "p");
	assert_int_equal(claims_next_epoch(c, "p"), 1);
	claims_free(c);
}

static void those_who_gave_up_are_remembered_for_their_epoch(void **state)
{
	struct claims *c = claims_new();
	const char *gone[RANK_GONE];
	struct claim m = make("n1", 1, 0, 7, CLAIM_WITHDRAWN);

	(void)state;
	assert_int_equal(claims_put(c, &m), CLAIM_NEWS_NONE);	/* its live claim never reached us */
	m = make("n2", 1, 1, 7, CLAIM_LIVE);
	(void)claims_put(c, &m);
	m.state = CLAIM_WITHDRAWN;
	(void)claims_put(c, &m);
	(void)claims_put(c, &m);
	claims_withdrawn(c, "p", 1, gone);
	assert_string_equal(gone[0], "n1");
	assert_string_equal(gone[1], "n2");
	assert_null(gone[2]);
	claims_withdrawn(c, "p", 2, gone);
	assert_null(gone[0]);
	for (uint32_t i = 0; i < 2 * RANK_GONE; i++) {		/* more than there is room for: no harm */
		char name[32];

		(void)snprintf(name, sizeof(name), "m%u", i);
		m = make(name, 1, i, 7, CLAIM_WITHDRAWN);
		(void)claims_put(c, &m);
	}
	claims_withdrawn(c, "p", 1, gone);
	assert_non_null(gone[RANK_GONE - 1]);
	claims_free(c);
}

static bool is_lost(struct rig *g)
{
	rig_after(g, 10);
	return rig_find(g, ACTION_RESTORE, "uid-web-1") != NULL;
}

/* n2 has ended its claim while we were away, and has stopped telling that: it would keep the pod for ever. */
static void a_claim_that_nobody_repeats_has_ended(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	rig_only_me(&g);
	rig_rs(&g, "web", 1);
	rig_pod(&g, "web-1", "web", "n5");
	(void)rig_claim(&g, "uid-web-1", "n2", 1, CLAIM_LIVE);
	rig_lose(&g, "n5");
	for (int64_t ms = 0; ms < 2 * HEAL_CLAIM_HOLD_MS; ms += 30000) {
		(void)rig_claim(&g, "uid-web-1", "n2", 1, CLAIM_LIVE);	/* told again: it holds the pod */
		rig_after(&g, 30000);
		assert_false(is_lost(&g));
	}
	rig_after(&g, HEAL_CLAIM_HOLD_MS);
	rig_after(&g, HEAL_REFUSED_RETRY_MS);
	assert_null(claims_live(heal_claims(g.heal), "uid-web-1"));
	rig_fini(&g);
}

static void nothing_ends_while_we_do_not_hear(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 5);
	rig_tick(&g);
	(void)rig_claim(&g, "p", "n2", 1, CLAIM_LIVE);
	g.tilted = true;
	rig_after(&g, 2 * HEAL_CLAIM_HOLD_MS);
	g.tilted = false;
	rig_after(&g, 1000);
	rig_after(&g, HEAL_CLAIM_HOLD_MS - 1000);
	assert_non_null(claims_live(heal_claims(g.heal), "p"));
	rig_status(&g, "n2", PEER_FAILED);			/* it may hold it still */
	rig_after(&g, 2 * HEAL_CLAIM_HOLD_MS);
	assert_non_null(claims_live(heal_claims(g.heal), "p"));
	rig_fini(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_better_claim_wins_in_any_order),
		cmocka_unit_test(news_say_what_changed),
		cmocka_unit_test(a_missed_end_is_made_up_for),
		cmocka_unit_test(epochs_grow_with_each_loss),
		cmocka_unit_test(those_who_gave_up_are_remembered_for_their_epoch),
		cmocka_unit_test(a_claim_that_nobody_repeats_has_ended),
		cmocka_unit_test(nothing_ends_while_we_do_not_hear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
