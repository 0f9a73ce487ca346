/* test_heal_vouch.c — a peer says that it is online: how long that keeps us from restoring, and what is told of a lost pod */
#include "heal_rig.h"

#define HOLD_MS HEAL_VOUCH_MS
#define STEP_MS 1000
#define SILENT FATE_COUNT		/* no answer */

/* Four nodes; n1 is offline and n2 says that it is online; two pods of n4, which is lost now. Only n1 may take them. */
static void begin(struct rig *g)
{
	rig_init(g, 4);
	rig_rs(g, "web", 2);
	rig_pod(g, "first", "web", "n4");
	rig_pod(g, "other", "web", "n4");
	rig_only_me(g);
	rig_lose_evidence(g, "n4");		/* its witnesses say that they are offline … */
	rig_peer(g, "n2")->api = true;
	heal_on_link(g->heal, "n2", true, g->now);	/* … and one is not any more */
	rig_tick(g);
	assert_int_equal(rig_suspect(g, "n4"), SUSPECT_LOST);
	assert_int_equal(rig_count(g, ACTION_RESTORE), 0);
}

/* The plan of the last tick asks: takes the question. How many pods it is about. */
static size_t take_question(struct rig *g)
{
	const char *node = NULL, *uids[HEAL_FATE_MAX];
	size_t n = 0;

	if (!rig_count(g, ACTION_ASK_FATE))
		return 0;
	for (size_t k; (k = heal_fate_question(g->heal, &node, uids, g->now)) > 0; n += k)
		assert_string_equal(node, "n4");
	return n;
}

/* `ms` go by without a restore; each question is answered. How often was asked. */
static size_t pass(struct rig *g, int64_t ms, enum fate first, enum fate other)
{
	size_t asked = 0;

	for (int64_t at = 0; at < ms; at += STEP_MS) {
		size_t n = take_question(g);

		assert_int_equal(rig_count(g, ACTION_RESTORE), 0);
		if (n && first != SILENT)
			heal_on_fate(g->heal, "uid-first", first, g->now);
		if (n && other != SILENT)
			heal_on_fate(g->heal, "uid-other", other, g->now);
		asked += n > 0;
		rig_after(g, STEP_MS);
	}
	return asked;
}

static void test_failed_or_nothing_for_30_s(void **state)
{
	static const enum fate answers[] = { FATE_FAILED, SILENT };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		struct rig g;

		begin(&g);
		assert_int_equal(pass(&g, HOLD_MS, answers[i], answers[i]), HOLD_MS / HEAL_VOUCH_ASK_MS);
		assert_int_equal(rig_count(&g, ACTION_RESTORE), 2);
		rig_fini(&g);
	}
}

static void test_a_good_answer_renews(void **state)
{
	static const enum fate answers[] = { FATE_WORKING, FATE_ALIVE };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		struct rig g;

		begin(&g);
		(void)pass(&g, 301000, answers[i], answers[i]);		/* the last question was at 300 s */
		(void)pass(&g, HOLD_MS - STEP_MS, SILENT, SILENT);
		assert_int_equal(rig_count(&g, ACTION_RESTORE), 2);
		rig_fini(&g);
	}
}

/* n1 alone lost its uplink, n2 and n3 heal online: no duplicates, not after 30 s and not when n2 loses its uplink as well. */
static void test_what_is_gone_is_never_restored(void **state)
{
	struct rig g;

	(void)state;
	begin(&g);
	(void)pass(&g, STEP_MS, FATE_GONE, FATE_GONE);
	assert_int_equal(pass(&g, 120000, SILENT, SILENT), 0);		/* nothing is left to ask about */
	rig_peer(&g, "n2")->api = false;
	(void)pass(&g, 600000, SILENT, SILENT);
	rig_fini(&g);
}

static void test_each_pod_for_itself(void **state)
{
	struct rig g;

	(void)state;
	begin(&g);
	(void)pass(&g, HOLD_MS, FATE_GONE, FATE_FAILED);
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 1);
	assert_non_null(rig_find(&g, ACTION_RESTORE, "uid-other"));
	rig_fini(&g);
}

static void test_nobody_is_online_any_more(void **state)
{
	struct rig g;

	(void)state;
	begin(&g);
	(void)pass(&g, 5000, FATE_WORKING, FATE_WORKING);
	rig_peer(&g, "n2")->api = false;
	rig_tick(&g);
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 2);
	rig_fini(&g);
}

static void test_one_that_is_too_old_to_be_asked_holds(void **state)
{
	struct rig g;

	(void)state;
	begin(&g);
	rig_peer(&g, "n2")->protocol = PEER_PROTOCOL_FATE - 1;
	rig_tick(&g);
	assert_int_equal(pass(&g, 600000, SILENT, SILENT), 0);
	rig_fini(&g);
}

static void test_back_online_all_of_it_is_forgotten(void **state)
{
	struct rig g;

	(void)state;
	begin(&g);
	(void)pass(&g, STEP_MS, FATE_GONE, FATE_GONE);
	rig_peer(&g, "n2")->api = false;
	rig_link(&g, LINK_ONLINE);
	rig_tick(&g);
	rig_link(&g, LINK_OFFLINE);		/* the mirror has them still: it knows better than an old answer */
	rig_tick(&g);
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 2);
	rig_fini(&g);
}

static void test_an_answer_that_names_nothing(void **state)
{
	struct rig g;

	(void)state;
	begin(&g);
	(void)take_question(&g);
	heal_on_fate(g.heal, "uid-", FATE_GONE, g.now);		/* too short to name a pod */
	heal_on_fate(g.heal, "uid-somebody", FATE_GONE, g.now);
	(void)pass(&g, HOLD_MS, SILENT, SILENT);
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 2);
	rig_fini(&g);
}

/* ---- the other side ---- */

static enum fate fate_of(struct rig *g, const char *uid)
{
	return heal_fate_of(g->heal, g->view, "n4", uid, g->now);
}

static void test_what_is_told(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 4);
	rig_rs(&g, "web", 2);
	rig_pod(&g, "first", "web", "n4");
	rig_pod(&g, "other", "web", "n4");
	rig_tick(&g);
	assert_int_equal(fate_of(&g, "uid-first"), FATE_ALIVE);		/* we do not miss its node */
	assert_int_equal(fate_of(&g, "uid-nobody"), FATE_GONE);
	rig_lose(&g, "n4");
	assert_int_equal(fate_of(&g, "uid-first"), FATE_WORKING);	/* our turn comes */
	heal_on_replaced(g.heal, "uid-first", "n4", false, g.now);	/* 403 */
	assert_int_equal(fate_of(&g, "uid-first"), FATE_FAILED);
	assert_int_equal(fate_of(&g, "uid-other"), FATE_WORKING);
	heal_on_replaced(g.heal, "uid-other", "n4", true, g.now);
	rig_after(&g, HOLD_MS - 1000);
	assert_int_equal(fate_of(&g, "uid-other"), FATE_WORKING);	/* one of the node went a moment ago */
	rig_after(&g, 1000);
	assert_int_equal(fate_of(&g, "uid-other"), FATE_FAILED);	/* nothing more was done */
	(void)rig_claim(&g, "uid-other", "n2", 1, CLAIM_LIVE);
	assert_int_equal(fate_of(&g, "uid-other"), FATE_ALIVE);		/* its copy runs */
	view_pod(g.view, "uid-first")->deleting = true;
	assert_int_equal(fate_of(&g, "uid-first"), FATE_GONE);
	rig_fini(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failed_or_nothing_for_30_s),
		cmocka_unit_test(test_a_good_answer_renews),
		cmocka_unit_test(test_what_is_gone_is_never_restored),
		cmocka_unit_test(test_each_pod_for_itself),
		cmocka_unit_test(test_nobody_is_online_any_more),
		cmocka_unit_test(test_one_that_is_too_old_to_be_asked_holds),
		cmocka_unit_test(test_back_online_all_of_it_is_forgotten),
		cmocka_unit_test(test_an_answer_that_names_nothing),
		cmocka_unit_test(test_what_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
