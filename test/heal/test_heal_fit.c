/* test_heal_fit.c — the scheduler's filters, row by row */
#include "heal_rig.h"

static struct label node_labels[] = { { "zone", "a" }, { "cores", "8" }, { "empty", "" }, { "word", "eight" } };

static struct node plain_node(void)
{
	return (struct node){ .name = "n1", .labels = node_labels, .label_count = ARRAY_LEN(node_labels) };
}

static void operators(void **state)
{
	static const struct {
		const char *key;
		enum match_op op;
		const char *values[2];
		size_t n;
		bool field, matches;
	} rows[] = {
		{ "zone", MATCH_IN, { "b", "a" }, 2, false, true },
		{ "zone", MATCH_IN, { "b" }, 1, false, false },
		{ "none", MATCH_IN, { "a" }, 1, false, false },
		{ "empty", MATCH_IN, { "" }, 1, false, true },
		{ "none", MATCH_IN, { "" }, 1, false, false },
		{ "zone", MATCH_NOT_IN, { "b" }, 1, false, true },
		{ "zone", MATCH_NOT_IN, { "a" }, 1, false, false },
		{ "none", MATCH_NOT_IN, { "a" }, 1, false, true },
		{ "zone", MATCH_EXISTS, { NULL }, 0, false, true },
		{ "none", MATCH_EXISTS, { NULL }, 0, false, false },
		{ "empty", MATCH_EXISTS, { NULL }, 0, false, true },
		{ "zone", MATCH_DOES_NOT_EXIST, { NULL }, 0, false, false },
		{ "none", MATCH_DOES_NOT_EXIST, { NULL }, 0, false, true },
		{ "cores", MATCH_GT, { "7" }, 1, false, true },
		{ "cores", MATCH_GT, { "8" }, 1, false, false },
		{ "cores", MATCH_LT, { "9" }, 1, false, true },
		{ "cores", MATCH_LT, { "8" }, 1, false, false },
		{ "word", MATCH_GT, { "7" }, 1, false, false },
		{ "cores", MATCH_GT, { "x" }, 1, false, false },
		{ "cores", MATCH_LT, { "9", "10" }, 2, false, false },
		{ "none", MATCH_GT, { "1" }, 1, false, false },
		{ "metadata.name", MATCH_IN, { "n1" }, 1, true, true },
		{ "metadata.name", MATCH_IN, { "n2" }, 1, true, false },
		{ "metadata.name", MATCH_NOT_IN, { "n1" }, 1, true, false },
		{ "metadata.name", MATCH_IN, { "n1" }, 1, false, false },
	};
	struct node n = plain_node();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *values[2] = { rows[i].values[0], rows[i].values[1] };
		struct match_expr e = { rows[i].key, rows[i].op, values, rows[i].n, rows[i].field };
		struct match_term t = { &e, 1 };
		struct constraints c = { .has_affinity = true, .terms = &t, .term_count = 1 };

		if (fit_constraints(&c, &n, false) != (rows[i].matches ? FIT_OK : FIT_AFFINITY))
			fail_msg("row %zu: %s op %d", i, rows[i].key, (int)rows[i].op);
	}
}

static void terms_are_ored_and_expressions_anded(void **state)
{
	const char *a[] = { "a" }, *b[] = { "b" };
	struct match_expr yes = { "zone", MATCH_IN, a, 1, false }, no = { "zone", MATCH_IN, b, 1, false };
	struct match_expr both[] = { yes, no };
	struct match_term terms[] = { { both, 2 }, { NULL, 0 }, { &yes, 1 } };
	struct constraints c = { .has_affinity = true, .terms = terms, .term_count = 2 };
	struct node n = plain_node();

	(void)state;
	assert_int_equal(fit_constraints(&c, &n, false), FIT_AFFINITY);	/* one half matches; an empty term matches nothing */
	c.term_count = 3;
	assert_int_equal(fit_constraints(&c, &n, false), FIT_OK);
	c.term_count = 0;
	assert_int_equal(fit_constraints(&c, &n, false), FIT_AFFINITY);	/* required, but no term at all */
	c.has_affinity = false;
	assert_int_equal(fit_constraints(&c, &n, false), FIT_OK);
}

static void the_selector_must_match_in_full(void **state)
{
	struct label want[] = { { "zone", "a" }, { "cores", "9" } };
	struct constraints c = { .selector = want, .selector_count = 1 };
	struct node n = plain_node();

	(void)state;
	assert_int_equal(fit_constraints(&c, &n, false), FIT_OK);
	c.selector_count = 2;
	assert_int_equal(fit_constraints(&c, &n, false), FIT_SELECTOR);
	want[0] = (struct label){ "none", "" };
	c.selector_count = 1;
	assert_int_equal(fit_constraints(&c, &n, false), FIT_SELECTOR);
}

static void taints_and_tolerations(void **state)
{
	static const struct {
		struct taint taint;
		struct toleration tol;
		bool fits;
	} rows[] = {
		{ { "k", "v", TAINT_NO_SCHEDULE }, { "k", "v", false, TAINT_NO_SCHEDULE }, true },
		{ { "k", "v", TAINT_NO_SCHEDULE }, { "k", "w", false, TAINT_NO_SCHEDULE }, false },
		{ { "k", "v", TAINT_NO_SCHEDULE }, { "k", "v", false, TAINT_NO_EXECUTE }, false },
		{ { "k", "v", TAINT_NO_SCHEDULE }, { "k", "v", false, TAINT_NONE }, true },		/* empty effect: any */
		{ { "k", "v", TAINT_NO_EXECUTE }, { "k", "v", false, TAINT_NONE }, true },
		{ { "k", "v", TAINT_NO_SCHEDULE }, { "k", NULL, true, TAINT_NONE }, true },
		{ { "k", "v", TAINT_NO_SCHEDULE }, { "j", NULL, true, TAINT_NONE }, false },
		{ { "k", "v", TAINT_NO_SCHEDULE }, { NULL, NULL, true, TAINT_NONE }, true },		/* empty key: all */
		{ { "k", "v", TAINT_NO_SCHEDULE }, { "", NULL, true, TAINT_NONE }, true },
		{ { "k", "v", TAINT_NO_EXECUTE }, { NULL, NULL, true, TAINT_NO_SCHEDULE }, false },
		{ { "k", "", TAINT_NO_SCHEDULE }, { "k", NULL, false, TAINT_NONE }, true },		/* no value equals "" */
		{ { "k", NULL, TAINT_NO_SCHEDULE }, { "k", "", false, TAINT_NONE }, true },
		{ { "k", "v", TAINT_PREFER_NO_SCHEDULE }, { "j", "x", false, TAINT_NONE }, true },
		{ { "k", "v", TAINT_NO_EXECUTE }, { "j", "x", false, TAINT_NONE }, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct taint taint = rows[i].taint;
		struct toleration tol = rows[i].tol;
		struct constraints c = { .tolerations = &tol, .toleration_count = 1 };
		struct node n = plain_node();

		n.taints = &taint;
		n.taint_count = 1;
		if (fit_constraints(&c, &n, false) != (rows[i].fits ? FIT_OK : FIT_TAINT))
			fail_msg("row %zu", i);
	}
}

static void an_outage_is_no_taint_offline(void **state)
{
	struct taint taints[] = { { "node.kubernetes.io/not-ready", "", TAINT_NO_EXECUTE },
				  { "node.kubernetes.io/unreachable", "", TAINT_NO_SCHEDULE },
				  { "gpu", "", TAINT_NO_SCHEDULE } };
	struct constraints c = { 0 };
	struct node n = plain_node();

	(void)state;
	n.taints = taints;
	n.taint_count = 2;
	assert_int_equal(fit_constraints(&c, &n, false), FIT_TAINT);
	assert_int_equal(fit_constraints(&c, &n, true), FIT_OK);
	n.taint_count = 3;
	assert_int_equal(fit_constraints(&c, &n, true), FIT_TAINT);
}

static void a_cordon_holds_unless_tolerated(void **state)
{
	struct toleration tol = { "node.kubernetes.io/unschedulable", NULL, true, TAINT_NO_EXECUTE };
	struct constraints c = { .tolerations = &tol, .toleration_count = 1 };
	struct node n = plain_node();

	(void)state;
	n.unschedulable = true;
	assert_int_equal(fit_constraints(&c, &n, true), FIT_UNSCHEDULABLE);	/* the wrong effect */
	tol.effect = TAINT_NO_SCHEDULE;
	assert_int_equal(fit_constraints(&c, &n, false), FIT_OK);
	c.toleration_count = 0;
	assert_int_equal(fit_constraints(&c, &n, true), FIT_UNSCHEDULABLE);
	c.unsupported = true;
	assert_int_equal(fit_constraints(&c, &n, true), FIT_UNSUPPORTED);
}

static void host_ports(void **state)
{
	static const struct {
		struct host_port a, b;
		bool fits;
	} rows[] = {
		{ { 80, "TCP", "" }, { 80, "TCP", "" }, false },
		{ { 80, "TCP", "" }, { 81, "TCP", "" }, true },
		{ { 80, "TCP", "" }, { 80, "UDP", "" }, true },
		{ { 80, "TCP", "10.0.0.1" }, { 80, "TCP", "10.0.0.2" }, true },
		{ { 80, "TCP", "10.0.0.1" }, { 80, "TCP", "10.0.0.1" }, false },
		{ { 80, "TCP", "10.0.0.1" }, { 80, "TCP", "" }, false },
		{ { 80, "TCP", "0.0.0.0" }, { 80, "TCP", "10.0.0.1" }, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct host_port a = rows[i].a, b = rows[i].b;
		struct constraints want = { .ports = &a, .port_count = 1 }, there = { .ports = &b, .port_count = 1 };
		struct node n = plain_node();
		struct pod *p = pod_new();

		p->node = n.name;
		p->phase = POD_RUNNING;
		p->constraints = &there;
		list_init(&n.pods);
		list_add_tail(&n.pods, &p->by_node);
		if (fit_ports(&want, &n) != (rows[i].fits ? FIT_OK : FIT_PORT))
			fail_msg("row %zu", i);
		p->phase = POD_SUCCEEDED;		/* a finished pod has let go of its ports */
		assert_int_equal(fit_ports(&want, &n), FIT_OK);
		list_remove(&p->by_node);
		pod_free(p);
	}
}

static void resources_are_compared_as_the_scheduler_does(void **state)
{
	static const struct { struct resources want, have; enum fit fit; } rows[] = {
		{ { 100, 100, 1 }, { 100, 100, 1 }, FIT_OK },
		{ { 101, 100, 1 }, { 100, 100, 1 }, FIT_CPU },
		{ { 100, 101, 1 }, { 100, 100, 1 }, FIT_MEMORY },
		{ { 0, 0, 1 }, { 100, 100, 0 }, FIT_PODS },
		{ { 0, 0, 1 }, { -50, -50, 1 }, FIT_OK },	/* asks for nothing: fits even an overcommitted node */
		{ { 1, 0, 1 }, { -50, -50, 1 }, FIT_CPU },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(fit_resources(&rows[i].want, &rows[i].have), rows[i].fit);
	for (int f = FIT_OK; f <= FIT_PODS; f++)
		assert_non_null(fit_reason((enum fit)f));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(operators),
		cmocka_unit_test(terms_are_ored_and_expressions_anded),
		cmocka_unit_test(the_selector_must_match_in_full),
		cmocka_unit_test(taints_and_tolerations),
		cmocka_unit_test(an_outage_is_no_taint_offline),
		cmocka_unit_test(a_cordon_holds_unless_tolerated),
		cmocka_unit_test(host_ports),
		cmocka_unit_test(resources_are_compared_as_the_scheduler_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
