/* test_model_view.c — pods, nodes and ReplicaSets in any order of coming and going; claims; names */
#include "../support.h"

#include "model/claim.h"
#include "model/copy.h"
#include "model/plan.h"
#include "model/view.h"

static struct view *v;

static int setup(void **state)
{
	(void)state;
	v = view_new();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	view_free(v);
	intern_fini();
	return 0;
}

static struct pod *pod_make(const char *uid, const char *node, const char *owner)
{
	struct pod *p = pod_new();

	(void)str_copy(p->uid, sizeof(p->uid), uid);
	p->name = str_dup(uid);
	p->ns = intern("default");
	p->node = intern(node);
	p->owner = intern(owner);
	p->phase = node ? POD_RUNNING : POD_PENDING;
	p->request = (struct resources){100, 1000, 1};
	return p;
}

static void put_pod(const char *uid, const char *node, const char *owner, int64_t now)
{
	view_put_pod(v, pod_make(uid, node, owner), (struct mono){now});
}

static void put_node(const char *name)
{
	struct node *n = node_new();

	n->name = intern(name);
	n->allocatable = (struct resources){1000, 10000, 10};
	view_put_node(v, n);
}

static void put_workload(const char *uid)
{
	struct workload *w = workload_new();

	(void)str_copy(w->uid, sizeof(w->uid), uid);
	view_put_workload(v, w);
}

static int count(const struct list *l)
{
	int n = 0;

	for (const struct list *at = l->next; at != l; at = at->next)
		n++;
	return n;
}

static void test_pods_first(void **state)
{
	(void)state;
	put_pod("p1", "n1", "w1", 1);
	put_pod("p2", "n1", "w2", 1);
	put_pod("p3", "n2", "w1", 1);
	assert_int_equal(count(&v->orphans), 3);
	assert_int_equal(count(&v->loose), 3);
	put_node("n1");
	assert_int_equal(count(&v->orphans), 1);
	assert_int_equal(count(&view_node(v, "n1")->pods), 2);
	put_workload("w1");
	assert_int_equal(count(&v->loose), 1);
	assert_int_equal(count(&view_workload(v, "w1")->pods), 2);
}

static void test_replace_and_remove(void **state)
{
	(void)state;
	put_node("n1");
	put_workload("w1");
	put_pod("p1", "n1", "w1", 1);
	put_pod("p2", "n1", "w1", 1);
	put_node("n1"); /* a newer version: its pods stay on it */
	put_workload("w1");
	assert_int_equal(count(&view_node(v, "n1")->pods), 2);
	assert_int_equal(count(&view_workload(v, "w1")->pods), 2);
	view_remove_node(v, "n1");
	view_remove_workload(v, "w1");
	view_remove_node(v, "n1"); /* absent is fine */
	view_remove_workload(v, "w1");
	assert_null(view_node(v, "n1"));
	assert_int_equal(count(&v->orphans), 2);
	assert_int_equal(count(&v->loose), 2);
	put_node("n1");
	assert_int_equal(count(&view_node(v, "n1")->pods), 2);
	view_remove_pod(v, "p1");
	view_remove_pod(v, "p1");
	assert_int_equal(count(&view_node(v, "n1")->pods), 1);
	assert_int_equal(count(&v->loose), 1);
	assert_null(view_pod(v, "p1"));
	assert_int_equal(map_count(v->pods), 1);
}

static void test_pod_moves(void **state)
{
	(void)state;
	put_node("n1");
	put_node("n2");
	put_pod("p1", "n1", NULL, 1);
	put_pod("p1", "n2", NULL, 2);
	assert_int_equal(count(&view_node(v, "n1")->pods), 0);
	assert_int_equal(count(&view_node(v, "n2")->pods), 1);
	assert_int_equal(count(&v->orphans) + count(&v->loose), 0);
	assert_int_equal(map_count(v->pods), 1);
}

static void test_unbound_since(void **state)
{
	struct pod *p;

	(void)state;
	put_pod("p1", NULL, "w1", 100);
	assert_int_equal(view_pod(v, "p1")->unbound_since.ns, 100);
	assert_int_equal(count(&v->unbound), 1);
	put_pod("p1", NULL, "w1", 200); /* an update of something else */
	assert_int_equal(view_pod(v, "p1")->unbound_since.ns, 100);
	assert_int_equal(count(&v->unbound), 1);
	put_pod("p1", "n1", "w1", 300);
	assert_int_equal(view_pod(v, "p1")->unbound_since.ns, 0);
	assert_int_equal(count(&v->unbound), 0);
	p = pod_make("p2", NULL, NULL);
	p->deleting = true;
	view_put_pod(v, p, (struct mono){1});
	p = pod_make("p3", NULL, NULL);
	p->phase = POD_FAILED;
	view_put_pod(v, p, (struct mono){1});
	assert_int_equal(count(&v->unbound), 0);
}

static void test_free_resources(void **state)
{
	struct resources left;
	struct pod *done = pod_make("p3", "n1", NULL);

	(void)state;
	put_node("n1");
	put_pod("p1", "n1", NULL, 1);
	put_pod("p2", "n1", NULL, 1);
	done->phase = POD_SUCCEEDED;
	view_put_pod(v, done, (struct mono){1});
	left = node_free_resources(view_node(v, "n1"));
	assert_true(left.cpu_milli == 800 && left.mem_bytes == 8000 && left.pods == 8);
	for (int i = 0; i < 20; i++) {
		char uid[UID_SIZE];

		(void)snprintf(uid, sizeof(uid), "more%d", i);
		put_pod(uid, "n1", NULL, 1);
	}
	left = node_free_resources(view_node(v, "n1"));
	assert_true(left.cpu_milli == -1200 && left.pods == -12);
}

static struct claim claim_make(uint32_t epoch, uint64_t mirror, uint32_t rank, const char *node)
{
	struct claim c = {.epoch = epoch, .mirror = mirror, .rank = rank};

	(void)str_copy(c.node, sizeof(c.node), node);
	return c;
}

/* Each row beats all rows behind it, on every node alike. */
static void test_claim_compare(void **state)
{
	const struct claim order[] = {
	    claim_make(3, 1, 9, "z"),          claim_make(2, 900, 9, "z"),        claim_make(2, 800, 0, "b"),
	    claim_make(2, 800, 0, "c"),        claim_make(2, 800, 1, "a"),        claim_make(2, 0, 0, "a"),
	    claim_make(1, UINT64_MAX, 0, "a"), claim_make(0, 0, UINT32_MAX, "a"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		for (size_t k = 0; k < ARRAY_LEN(order); k++) {
			int r = claim_compare(&order[i], &order[k]);

			if ((r < 0) != (i < k) || (r > 0) != (i > k))
				fail_msg("%zu against %zu: %d", i, k, r);
		}
}

static void test_names(void **state)
{
	bool known;

	(void)state;
	assert_int_equal(heal_policy_parse("at-most-once", &known), POLICY_AT_MOST_ONCE);
	assert_true(known);
	assert_int_equal(heal_policy_parse(NULL, &known), POLICY_DEFAULT);
	assert_true(known);
	assert_int_equal(heal_policy_parse("default", &known), POLICY_DEFAULT);
	assert_false(known);
	for (int p = POLICY_AT_LEAST_ONCE; p <= POLICY_NEVER; p++) {
		assert_int_equal(heal_policy_parse(heal_policy_name((enum heal_policy)p), &known), p);
		assert_true(known);
	}
	for (int i = ACTION_PROBE; i <= ACTION_REFUSE; i++) {
		assert_non_null(action_name((enum action_kind)i));
		for (int k = ACTION_PROBE; k < i; k++)
			assert_string_not_equal(action_name((enum action_kind)i), action_name((enum action_kind)k));
	}
	assert_string_equal(copy_state_name(COPY_DROPPING), "dropping");
}

static void test_plan(void **state)
{
	struct plan p = {0};

	(void)state;
	for (uint32_t i = 0; i < 100; i++)
		plan_add(&p, ACTION_BIND)->epoch = i;
	assert_int_equal(p.count, 100);
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(p.items[i].epoch, i);
	assert_int_equal(plan_add(&p, ACTION_DROP)->epoch, 0);
	plan_wake_at(&p, (struct mono){50});
	plan_wake_at(&p, (struct mono){90});
	plan_wake_at(&p, (struct mono){0}); /* never */
	assert_int_equal(p.next_due.ns, 50);
	plan_wake_at(&p, (struct mono){20});
	assert_int_equal(p.next_due.ns, 20);
	plan_fini(&p);
}

static void versions_of_kubelets(void **state)
{
	static const struct {
		const char *text;
		int32_t version;
	} rows[] = {
	    {"v1.36.2", 1036},	    {"v1.34.1+k3s1", 1034}, {"v1.9.0-alpha.1", 1009}, {"v2.0", 2000}, {"1.34.0", 0}, {"v1", 0},
	    {"v1.x", 0},	    {"v-1.2", 0},	    {"", 0},		      {NULL, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(kubelet_version(rows[i].text), rows[i].version);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(versions_of_kubelets),
	    cmocka_unit_test_setup_teardown(test_pods_first, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_replace_and_remove, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_pod_moves, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_unbound_since, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_free_resources, setup, teardown),
	    cmocka_unit_test(test_claim_compare),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_plan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
