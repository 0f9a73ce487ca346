/* test_agent_freshness.c — the stamp of the mirror, as it is told and as it is stored */
#include "../support.h"

#include "../../src/agent/freshness.h"
#include "agent/agent_int.h"
#include "model/stamp.h"

#define NOW_NS (INT64_C(1700000000) * 1000000000)

struct rig {
	struct agent a;
	char dir[TMP_SIZE];
};

static void begin(struct agent *a, const char *stored)
{
	if (stored)
		assert_int_equal(store_put_meta(a->store, "mirror_stamp", stored), 0);
	freshness_new(a);
}

static int setup(void **state)
{
	struct rig *g = mem_new(struct rig);
	struct agent *a = &g->a;
	struct node *n = node_new();
	char path[TMP_SIZE + 8], aside[STORE_PATH_SIZE];

	tmp_new(g->dir);
	(void)snprintf(path, sizeof(path), "%s/db", g->dir);
	*a = (struct agent){ .self = intern("n1") };
	a->loop = loop_new_virtual((struct mono){ 1000 * NS_PER_MS }, (struct wall){ NOW_NS }, 1);
	a->view = view_new();
	n->name = intern("n1");
	view_put_node(a->view, n);
	assert_int_equal(store_open(path, &a->store, aside), 0);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct rig *g = *state;

	freshness_free(&g->a);
	view_free(g->a.view);
	store_close(g->a.store);
	loop_free(g->a.loop);
	tmp_free(g->dir);
	free(g);
	intern_fini();
	return 0;
}

static void what_was_stored_is_told(void **state)
{
	struct rig *g = *state;

	begin(&g->a, "1700000000000000000");
	assert_true(stamp_is_set(freshness_stamp(&g->a)));
	assert_true(stamp_time(freshness_stamp(&g->a)).ns == NOW_NS);
	view_remove_node(g->a.view, "n1");
	assert_int_equal(freshness_stamp(&g->a), STAMP_NONE);	/* a stamp without a mirror is none */
}

/* Our own clock says nothing about it. */
static void a_store_without_a_stamp_is_of_unknown_age(void **state)
{
	static const char *const texts[] = { NULL, "0", "-5", "soon", "99999999999999999999" };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct rig *g = *state;

		begin(&g->a, texts[i]);
		assert_int_equal(freshness_stamp(&g->a), STAMP_UNKNOWN);
		freshness_free(&g->a);
	}
}

/* No watch has been confirmed: nothing is. */
static void what_nobody_confirmed_stays_what_it_was(void **state)
{
	struct rig *g = *state;

	begin(&g->a, "1600000000000000000");
	freshness_confirmed(&g->a);
	assert_true(stamp_time(freshness_stamp(&g->a)).ns == INT64_C(1600000000) * 1000000000);
}

static void it_is_written_when_it_has_changed_or_rows_were_lost(void **state)
{
	struct rig *g = *state;
	char *text;

	begin(&g->a, "1600000000000000000");
	assert_int_equal(store_put_meta(g->a.store, "mirror_stamp", "lost"), 0);
	assert_int_equal(freshness_put(&g->a), 0);
	text = store_get_meta(g->a.store, "mirror_stamp");
	assert_string_equal(text, "lost");
	free(text);
	assert_int_equal(freshness_rewrite(&g->a), 0);
	text = store_get_meta(g->a.store, "mirror_stamp");
	assert_string_equal(text, "1600000000000000000");
	free(text);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(what_was_stored_is_told), T(a_store_without_a_stamp_is_of_unknown_age),
		T(what_nobody_confirmed_stays_what_it_was), T(it_is_written_when_it_has_changed_or_rows_were_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
