/* test_heal_home.c — pods of this node that do not run: after a boot without the API server, or gone by themselves */
#include "heal_rig.h"
#include "model/stamp.h"

/* When the API server confirmed our mirror, by its own clock. */
#define CONFIRMED_S INT64_C(1700000000)

static struct wall api_time(int64_t s)
{
	return (struct wall){ s * MS_PER_S * NS_PER_MS };
}

static uint64_t confirmed(int64_t later_s)
{
	return stamp_of(api_time(CONFIRMED_S + later_s));
}

/* n1 has booted. web-1 and web-2 are its own, web-3 is n2's. */
static void booted(struct rig *g, size_t nodes)
{
	rig_init(g, nodes);
	rig_rs(g, "web", 3);
	rig_pod(g, "web-1", "web", "n1");
	rig_pod(g, "web-2", "web", "n1");
	if (nodes > 1)
		rig_pod(g, "web-3", "web", "n2");
	for (size_t i = 0; i < nodes; i++)
		g->items[i].protocol = PEER_PROTOCOL;
	g->f.cold_boot = true;
	g->f.mirror_version = confirmed(0);
	g->f.running = map_new();
	g->f.running_at = g->now;
}

static void ended(struct rig *g)
{
	map_free((struct map *)(uintptr_t)g->f.running);
	rig_fini(g);
}

static void answer(struct rig *g, const char *from, uint64_t mirror, const char *const *uids, size_t n)
{
	heal_on_mine(g->heal, from, &(struct mine){ mirror, uids, n });
}

static const char *const both[] = { "uid-web-1", "uid-web-2" };

static void the_peers_are_asked_first(void **state)
{
	struct rig g;

	(void)state;
	booted(&g, 5);
	rig_tick(&g);
	assert_int_equal(rig_count(&g, ACTION_ASK_MINE), 1);
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 0);
	answer(&g, "n2", confirmed(0), both, 2);
	answer(&g, "n2", confirmed(0), both, 0);			/* one voice each */
	rig_after(&g, 100);
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 0);
	answer(&g, "n3", confirmed(0), both, 2);
	heal_on_mine_end(g.heal, g.now);
	rig_after(&g, 100);
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 2);
	assert_string_equal(rig_find(&g, ACTION_RESTORE, "uid-web-1")->node, "n1");
	ended(&g);
}

/* created: when our pods were, in seconds before our mirror was confirmed; 0 = not known. */
static void what_a_peer_does_not_name_is_not_ours(void **state)
{
	const struct { uint64_t mirror; int64_t created; size_t named, restored; } rows[] = {
		{ confirmed(0), 3600, 2, 2 }, { confirmed(0), 3600, 1, 1 }, { confirmed(1), 3600, 0, 0 },
		{ confirmed(-60), 30, 0, 2 },			/* made after it was cut off: it cannot know them … */
		{ confirmed(-60), 57, 0, 2 }, { confirmed(-60), 64, 0, 2 },	/* … nor perhaps within the slack of clocks */
		{ confirmed(-60), 66, 0, 0 }, { confirmed(-60), 3600, 0, 0 },	/* it must have seen them */
		{ confirmed(-60), 3600, 1, 1 },
		{ confirmed(-60), 0, 0, 0 },			/* nobody can tell: a contradiction counts */
		{ STAMP_UNKNOWN, 30, 0, 0 }, { 5000, 30, 0, 0 },	/* 5000: a version, of an older healer */
		{ STAMP_NONE, 3600, 0, 2 },			/* it has no mirror, and says nothing */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig g;

		booted(&g, 5);
		if (rows[i].created)
			for (size_t k = 0; k < 2; k++)
				view_pod(g.view, both[k])->created = api_time(CONFIRMED_S - rows[i].created);
		rig_tick(&g);
		answer(&g, "n2", rows[i].mirror, both, rows[i].named);
		answer(&g, "n3", STAMP_NONE, both, 0);
		heal_on_mine_end(g.heal, g.now);
		rig_after(&g, 1);
		assert_int_equal(rig_count(&g, ACTION_RESTORE), rows[i].restored);
		ended(&g);
	}
}

/* Our mirror is of a history that is no more: its versions are higher, and it was confirmed earlier. */
static void a_restored_backup_is_fresher_than_what_slept_through_it(void **state)
{
	struct rig g;

	(void)state;
	booted(&g, 3);
	for (size_t k = 0; k < 2; k++)
		view_pod(g.view, both[k])->created = api_time(CONFIRMED_S - 30);
	rig_tick(&g);
	answer(&g, "n2", confirmed(600), both, 0);
	answer(&g, "n3", confirmed(-60), both, 0);
	heal_on_mine_end(g.heal, g.now);
	rig_after(&g, 1);
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 0);
	ended(&g);
}

/* A store from before there were stamps, or history went back and the link with it. */
static void without_a_stamp_of_its_own_any_contradiction_counts(void **state)
{
	struct rig g;

	(void)state;
	booted(&g, 3);
	g.f.mirror_version = STAMP_UNKNOWN;
	for (size_t k = 0; k < 2; k++)
		view_pod(g.view, both[k])->created = api_time(CONFIRMED_S);
	rig_tick(&g);
	answer(&g, "n2", confirmed(-3600), both, 1);
	answer(&g, "n3", STAMP_UNKNOWN, both, 2);
	heal_on_mine_end(g.heal, g.now);
	rig_after(&g, 1);
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 1);
	assert_non_null(rig_find(&g, ACTION_RESTORE, "uid-web-1"));
	ended(&g);
}

static void a_pod_that_another_node_claims_stays_there(void **state)
{
	struct rig g;

	(void)state;
	booted(&g, 5);
	(void)rig_claim(&g, "uid-web-1", "n4", 1, CLAIM_LIVE);
	rig_tick(&g);
	answer(&g, "n2", confirmed(0), both, 2);
	answer(&g, "n3", confirmed(0), both, 2);
	heal_on_mine_end(g.heal, g.now);
	rig_after(&g, 1);
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 1);
	assert_non_null(rig_find(&g, ACTION_RESTORE, "uid-web-2"));
	ended(&g);
}

/* It waited for its image when the node went down: tried, it would wait for ever. Told once. */
static void a_pod_whose_image_is_not_here_is_refused(void **state)
{
	static const char *const has[] = { "busybox:1" };
	const struct action *refused;
	struct rig g;
	int told = 0;

	(void)state;
	booted(&g, 5);
	rig_needs(view_workload(g.view, "rs-web"), "shop:1");
	rig_lists(rig_node(&g, "n1"), has, 1);
	view_pod(g.view, "uid-web-1")->ready = view_pod(g.view, "uid-web-2")->ready = false;
	rig_tick(&g);
	answer(&g, "n2", confirmed(0), both, 2);
	answer(&g, "n3", confirmed(0), both, 2);
	heal_on_mine_end(g.heal, g.now);
	rig_after(&g, 1);
	refused = rig_find(&g, ACTION_REFUSE, "uid-web-1");
	assert_non_null(refused);
	assert_non_null(strstr(refused->reason, "its image is not on the node"));
	for (int i = 0; i < 100; i++) {
		assert_int_equal(rig_count(&g, ACTION_RESTORE), 0);
		told += (int)rig_count(&g, ACTION_REFUSE);
		rig_after(&g, 1000);
	}
	assert_int_equal(told, 2);
	ended(&g);
}

static void too_few_answers_are_asked_for_again(void **state)
{
	struct rig g;

	(void)state;
	booted(&g, 5);
	rig_tick(&g);
	answer(&g, "n2", confirmed(0), both, 2);
	heal_on_mine_end(g.heal, g.now);
	rig_after(&g, 1);
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 0);
	rig_after(&g, HEAL_MINE_RETRY_MS);
	assert_int_equal(rig_count(&g, ACTION_ASK_MINE), 1);
	ended(&g);
}

static void alone_it_waits_and_goes_on_only_in_a_site_of_one(void **state)
{
	for (int nodes = 1; nodes <= 3; nodes++) {
		struct rig g;
		size_t restored = 0;

		(void)state;
		booted(&g, (size_t)nodes);
		for (int i = 1; i < nodes; i++)
			g.items[i].status = PEER_FAILED;
		for (int i = 0; i < 100; i++) {
			rig_after(&g, 100);
			restored += rig_count(&g, ACTION_RESTORE);
			if (i * 100 < HEAL_ALONE_MS - 200)
				assert_int_equal(restored, 0);
		}
		assert_int_equal(restored > 0, nodes == 1);
		ended(&g);
	}
}

/* What it knew alone may be old: the peers are asked as soon as there are any. */
static void who_was_alone_asks_when_somebody_comes(void **state)
{
	struct rig g;

	(void)state;
	booted(&g, 3);
	g.items[1].status = g.items[2].status = PEER_FAILED;
	for (int i = 0; i < 100; i++) {
		rig_after(&g, 100);
		assert_int_equal(rig_count(&g, ACTION_ASK_MINE), 0);
	}
	g.items[1].status = g.items[2].status = PEER_ALIVE;
	rig_after(&g, 100);
	assert_int_equal(rig_count(&g, ACTION_ASK_MINE), 1);
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 0);
	ended(&g);
}

static void no_more_than_fits(void **state)
{
	struct rig g;

	(void)state;
	booted(&g, 1);
	g.f.local_free = (struct resources){ -50, 8 * GIB, 100 };	/* 200m come back, 150m are left: one of two fits */
	for (int i = 0; i < 60 && !rig_count(&g, ACTION_RESTORE); i++)
		rig_after(&g, 100);
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 1);
	assert_int_equal(rig_count(&g, ACTION_REFUSE), 1);
	ended(&g);
}

static void what_runs_already_and_what_is_not_a_boot(void **state)
{
	for (int i = 0; i < 4; i++) {
		struct rig g;

		(void)state;
		booted(&g, 1);
		if (i == 0)
			g.f.cold_boot = false;
		if (i == 1)
			rig_link(&g, LINK_ONLINE);
		if (i == 2) {
			(void)map_put((struct map *)(uintptr_t)g.f.running, "uid-web-1", &g);
			(void)map_put((struct map *)(uintptr_t)g.f.running, "uid-web-2", &g);
		}
		if (i == 3)
			g.tilted = true;
		for (int k = 0; k < 100; k++) {
			rig_after(&g, 100);
			assert_int_equal(rig_count(&g, ACTION_RESTORE), 0);
		}
		ended(&g);
	}
}

static void our_side_of_the_question(void **state)
{
	const char *uids[HEAL_MINE_MAX];
	struct rig g;

	(void)state;
	booted(&g, 5);
	rig_pod(&g, "gone", "web", "n1")->deleting = true;
	rig_pod(&g, "mirror", "web", "n1")->is_mirror = true;
	assert_int_equal(heal_mine_of(g.heal, g.view, "n1", uids), 2);
	(void)rig_claim(&g, "uid-web-1", "n4", 1, CLAIM_LIVE);
	assert_int_equal(heal_mine_of(g.heal, g.view, "n1", uids), 1);
	assert_string_equal(uids[0], "uid-web-2");
	assert_int_equal(heal_mine_of(g.heal, g.view, "nobody", uids), 0);
	ended(&g);
}

/* web-1 was seen running, and is gone. */
static void a_pod_that_vanished_is_brought_back_after_the_grace(void **state)
{
	struct map *running;
	struct rig g;

	(void)state;
	booted(&g, 3);
	running = (struct map *)(uintptr_t)g.f.running;
	g.f.cold_boot = false;
	(void)map_put(running, "uid-web-1", &g);
	rig_tick(&g);
	(void)map_remove(running, "uid-web-1");
	g.f.running_at = g.now;
	for (int64_t ms = 100; ms < g.conf.local_grace_ms; ms += 100) {
		rig_after(&g, 100);
		assert_int_equal(rig_count(&g, ACTION_RESTORE), 0);
	}
	rig_after(&g, 100);
	assert_non_null(rig_find(&g, ACTION_RESTORE, "uid-web-1"));
	assert_int_equal(rig_count(&g, ACTION_RESTORE), 1);		/* web-2 was never seen running: nothing vanished */
	ended(&g);
}

static void a_restarted_container_is_no_loss(void **state)
{
	struct map *running;
	struct rig g;

	(void)state;
	booted(&g, 3);
	running = (struct map *)(uintptr_t)g.f.running;
	g.f.cold_boot = false;
	for (int i = 0; i < 100; i++) {
		g.f.running_at = g.now;
		if (i % 3 == 0)
			(void)map_put(running, "uid-web-1", &g);
		else
			(void)map_remove(running, "uid-web-1");
		rig_after(&g, 1000);
		assert_int_equal(rig_count(&g, ACTION_RESTORE), 0);
	}
	ended(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_peers_are_asked_first),
		cmocka_unit_test(what_a_peer_does_not_name_is_not_ours),
		cmocka_unit_test(a_restored_backup_is_fresher_than_what_slept_through_it),
		cmocka_unit_test(without_a_stamp_of_its_own_any_contradiction_counts),
		cmocka_unit_test(a_pod_that_another_node_claims_stays_there),
		cmocka_unit_test(a_pod_whose_image_is_not_here_is_refused),
		cmocka_unit_test(too_few_answers_are_asked_for_again),
		cmocka_unit_test(alone_it_waits_and_goes_on_only_in_a_site_of_one),
		cmocka_unit_test(who_was_alone_asks_when_somebody_comes),
		cmocka_unit_test(no_more_than_fits),
		cmocka_unit_test(what_runs_already_and_what_is_not_a_boot),
		cmocka_unit_test(our_side_of_the_question),
		cmocka_unit_test(a_pod_that_vanished_is_brought_back_after_the_grace),
		cmocka_unit_test(a_restarted_container_is_no_loss),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
