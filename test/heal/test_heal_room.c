/* test_heal_room.c — a full cluster: copies that are too many, and those that stand where their own replacements should */
#include "heal_rig.h"

/* What kubelet shows of a copy in the API. */
static struct pod *mirror(struct rig *g, const char *pod, const char *rs, const char *node)
{
	char uid[UID_SIZE], name[64], owner[UID_SIZE];
	struct pod *p;

	(void)snprintf(name, sizeof(name), "%s-%s", pod, node);
	(void)snprintf(uid, sizeof(uid), "uid-%s", pod);
	(void)snprintf(owner, sizeof(owner), "rs-%s", rs);
	p = rig_pod(g, name, "none", node);
	p->is_mirror = true;
	p->original_uid = intern(uid);
	p->copy_of = intern(owner);
	return p;
}

/* A copy of `pod`, which ran on n3, on `node`. Its original is deleted from the API already. */
static void stand_in(struct rig *g, const char *pod, const char *node)
{
	char uid[UID_SIZE];

	(void)snprintf(uid, sizeof(uid), "uid-%s", pod);
	(void)rig_pod(g, pod, "web", "n3");
	if (str_eq(node, g->conf.self))
		(void)rig_copy(g, uid, COPY_RUNNING);
	else
		(void)rig_claim(g, uid, node, 1, CLAIM_LIVE);
	view_remove_pod(g->view, uid);
	(void)mirror(g, pod, "web", node);
}

static void pending(struct rig *g, const char *name, const char *rs)
{
	(void)rig_pod(g, name, rs, NULL);
}

/* n3 was lost, "web" wants two and had both there: n1 and n2 hold a copy each, its two replacements are Pending, and nobody has
 * room for more than that one copy. */
static void full(struct rig *g)
{
	rig_init(g, 3);
	(void)rig_rs(g, "web", 2);
	for (size_t i = 0; i < 3; i++) {
		rig_node(g, g->items[i].name)->allocatable.pods = 1;
		g->items[i].api = true;
	}
	rig_link(g, LINK_ONLINE);
	rig_status(g, "n3", PEER_FAILED);
	stand_in(g, "web-1", "n1");
	stand_in(g, "web-2", "n2");
	g->f.local_free.pods = 0;
	rig_node(g, "n3")->unschedulable = true;
	pending(g, "new-1", "web");
	pending(g, "new-2", "web");
	rig_tick(g);
}

static bool drops(struct rig *g)
{
	return rig_find(g, ACTION_DROP, "uid-web-1") != NULL;
}

/* In steps: the refusals of Pending pods are looked at again every few seconds. */
static bool drops_within(struct rig *g, int64_t ms)
{
	for (; ms > 0; ms -= 500) {
		rig_after(g, 500);
		if (drops(g))
			return true;
	}
	return false;
}

static void the_first_copy_makes_room_after_a_while(void **state)
{
	struct rig g;

	(void)state;
	full(&g);
	assert_false(drops_within(&g, HEAL_ROOM_MS - 500));
	assert_true(drops_within(&g, 1500));
	assert_int_equal(rig_count(&g, ACTION_DROP), 1);
	rig_fini(&g);
}

static void the_second_waits_until_the_first_is_replaced(void **state)
{
	struct rig g;

	(void)state;
	full(&g);
	(void)rig_claim(&g, "uid-web-2", "n2", 1, CLAIM_DONE);	/* n2 went first, and its pod is not there yet */
	assert_false(drops_within(&g, 4 * HEAL_ROOM_MS));
	view_remove_pod(g.view, "uid-new-2");
	view_remove_pod(g.view, "uid-web-2-n2");
	rig_pod(&g, "new-2", "web", "n2")->ready_since.ns = 2000;
	assert_true(drops_within(&g, HEAL_ROOM_MS));
	rig_fini(&g);
}

static void whoever_is_not_the_first_waits_for_those_before(void **state)
{
	struct rig g;

	(void)state;
	full(&g);
	view_remove_pod(g.view, "uid-web-2-n2");
	stand_in(&g, "web-0", "n2");
	assert_false(drops_within(&g, HEAL_ROOM_MS + HEAL_ROOM_STEP_MS - 1000));
	assert_true(drops_within(&g, 2000));
	rig_fini(&g);
}

/* Each row changes one thing, and the copy stays. */
static void what_keeps_a_copy(void **state)
{
	static const char *const rows[] = { "does not fit here either", "selector", "another copy is missing",
					    "a rival without a copy", "holder of the other copy is away", "offline" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig g;

		full(&g);
		switch (i) {
		case 0: view_pod(g.view, "uid-new-1")->request.cpu_milli = view_pod(g.view, "uid-new-2")->request.cpu_milli = 9000; break;
		case 1: rig_node(&g, "n1")->unschedulable = true; break;
		case 2: view_remove_pod(g.view, "uid-web-2-n2"); break;
		case 3: (void)rig_rs(&g, "other", 1); pending(&g, "other-1", "other"); break;
		case 4: rig_status(&g, "n2", PEER_FAILED); break;
		default: rig_link(&g, LINK_OFFLINE); break;
		}
		if (drops_within(&g, 3 * HEAL_ROOM_MS))
			fail_msg("makes room in spite of: %s", rows[i]);
		rig_fini(&g);
	}
}

static void a_rival_with_a_copy_of_its_own_is_none(void **state)
{
	struct rig g;

	(void)state;
	full(&g);
	(void)rig_rs(&g, "other", 1);
	pending(&g, "other-1", "other");
	(void)rig_claim(&g, "uid-old", "n2", 1, CLAIM_LIVE);
	(void)mirror(&g, "old", "other", "n2");
	assert_true(drops_within(&g, 2 * HEAL_ROOM_MS));
	rig_fini(&g);
}

/* One of two is replaced: two copies and a Ready pod are one too many. The first by uid goes; the other one stays for now. */
static void what_is_too_much_goes_one_by_one(void **state)
{
	struct rig g;

	(void)state;
	full(&g);
	view_remove_pod(g.view, "uid-new-1");
	rig_pod(&g, "new-1", "web", "n2")->ready_since.ns = 2000;
	rig_tick(&g);
	assert_true(drops(&g));
	rig_copy_gone(&g, "uid-web-1");
	(void)rig_claim(&g, "uid-web-1", "n1", 1, CLAIM_DONE);
	(void)rig_claim(&g, "uid-web-9", "n1", 1, CLAIM_DONE);
	stand_in(&g, "web-3", "n1");				/* after web-2 */
	rig_tick(&g);
	assert_null(rig_find(&g, ACTION_DROP, "uid-web-3"));
	rig_fini(&g);
}

/* A copy whose original is Ready again goes for that reason: the two are not two. */
static void an_original_and_its_copy_count_once(void **state)
{
	struct rig g;

	(void)state;
	full(&g);
	rig_status(&g, "n3", PEER_ALIVE);
	rig_pod(&g, "web-2", "web", "n3")->ready_since.ns = 2000;
	rig_tick(&g);
	assert_false(drops(&g));
	rig_fini(&g);
}

static void at_most_once_makes_room_as_well(void **state)
{
	struct rig g;

	(void)state;
	full(&g);
	view_workload(g.view, "rs-web")->policy = POLICY_AT_MOST_ONCE;
	heal_set_lease(g.heal, mono_add_ms(g.now, 10 * HEAL_ROOM_MS));
	assert_true(drops_within(&g, HEAL_ROOM_MS + 1500));
	rig_fini(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_copy_makes_room_after_a_while),
		cmocka_unit_test(the_second_waits_until_the_first_is_replaced),
		cmocka_unit_test(whoever_is_not_the_first_waits_for_those_before),
		cmocka_unit_test(what_keeps_a_copy),
		cmocka_unit_test(a_rival_with_a_copy_of_its_own_is_none),
		cmocka_unit_test(what_is_too_much_goes_one_by_one),
		cmocka_unit_test(an_original_and_its_copy_count_once),
		cmocka_unit_test(at_most_once_makes_room_as_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
