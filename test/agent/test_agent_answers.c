/* test_agent_answers.c — however many ask for what must be stored first, the disk is asked once
 *
 * A real store and a real engine; no serf agent, so that what is answered goes nowhere.
 */
#include "../support.h"

#include "agent/wire.h"
#include "agent/agent_int.h"
#include "base/metric.h"

struct rig {
	struct agent a;
	char dir[TMP_SIZE];
	int ms;				/* of the last question: each one asks for something else */
};

static void on_flush(void *arg)
{
	store_batch_flush(arg);
}

static int setup(void **state)
{
	static const char *const environ_like[] = { "NODE_NAME=n1", NULL };
	struct heal_conf h = { .self = intern("n1"), .site = intern(""), .stop_after_ms = 20000 };
	struct serf_client_conf serf = { .rpc_addr = "127.0.0.1:1", .auth_key = "", .poll_ms = 1000, .request_timeout_ms = 1000 };
	const struct serf_handlers handlers = { 0 };
	struct buf errors = BUF_INIT, warnings = BUF_INIT;
	struct rig *g = mem_new(struct rig);
	struct agent *a = &g->a;
	char aside[STORE_PATH_SIZE];

	tmp_new(g->dir);
	*a = (struct agent){ .self = intern("n1"), .config_fd = -1 };
	a->loop = loop_new();
	assert_int_equal(conf_load(NULL, environ_like, &a->conf, &errors, &warnings), 0);
	buf_fini(&errors);
	buf_fini(&warnings);
	assert_int_equal(store_open(tmp_path(g->dir, "db"), &a->store, aside), 0);
	a->flush = timer_new(a->loop, "flush", on_flush, a);
	a->heal = heal_new(&h);
	list_init(&a->events);
	assert_int_equal(tell_load(a), 0);
	assert_int_equal(serf_client_new(a->loop, &serf, &handlers, &a->serf), 0);
	answers_new(a);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct rig *g = *state;
	struct agent *a = &g->a;

	answers_free(a);
	tell_free(a);
	serf_client_free(a->serf);
	store_batch_flush(a);
	heal_free(a->heal);
	store_close(a->store);
	timer_free(a->flush);
	conf_free(a->conf);
	loop_free(a->loop);
	tmp_free(g->dir);
	free(g);
	intern_fini();
	return 0;
}

/* n2 asks for a grant, each time for longer: something to store. */
static void ask(struct rig *g, uint64_t id)
{
	cleanup(buf_fini) struct buf out = BUF_INIT;
	const char *fenced[HEAL_MINE_MAX];

	(void)heal_asked_grant(g->a.heal, &(struct grant_question){ "n2", ++g->ms }, fenced, loop_now(g->a.loop));
	buf_adds(&out, "answer");
	answers_put(&g->a, id, &out, NULL);
}

static bool is_stored(const struct rig *g)
{
	return g->a.fences_saved == heal_fences_version(g->a.heal);
}

static void run(struct rig *g, int ms)
{
	bool never = false;

	(void)loop_run_until(g->a.loop, &never, ms);
}

static void all_that_ask_at_once_share_a_sync(void **state)
{
	struct rig *g = *state;
	cleanup(freep) char *row = NULL;

	for (uint64_t i = 0; i < ANSWERS_MAX; i++) {
		ask(g, i);
		assert_false(is_stored(g));		/* nothing is written for a question alone */
	}
	run(g, 2 * ANSWERS_WAIT_MS);
	assert_true(is_stored(g));
	row = store_get_meta(g->a.store, "grants");
	assert_string_equal(row, "n2 64\n");
}

static void beyond_the_limit_nobody_waits(void **state)
{
	struct rig *g = *state;
	double before = metric_get(METRIC_GOSSIP_DROPPED, 0);

	for (uint64_t i = 0; i < ANSWERS_MAX + 5; i++)
		ask(g, i);
	assert_int_equal(metric_get(METRIC_GOSSIP_DROPPED, 0) - before, 5);
	run(g, 2 * ANSWERS_WAIT_MS);
	assert_true(is_stored(g));			/* what was not answered is stored all the same */
	ask(g, 100);					/* and there is room again */
	assert_int_equal(metric_get(METRIC_GOSSIP_DROPPED, 0) - before, 5);
}

static void what_is_stored_is_answered_at_once(void **state)
{
	struct rig *g = *state;
	double before = metric_get(METRIC_GOSSIP_DROPPED, 0);

	ask(g, 0);
	run(g, 2 * ANSWERS_WAIT_MS);
	for (uint64_t i = 0; i < 2 * ANSWERS_MAX; i++) {	/* the same question again: a lease is renewed */
		g->ms--;
		ask(g, i);
		assert_true(is_stored(g));
	}
	assert_int_equal(metric_get(METRIC_GOSSIP_DROPPED, 0) - before, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_that_ask_at_once_share_a_sync, setup, teardown),
		cmocka_unit_test_setup_teardown(beyond_the_limit_nobody_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_stored_is_answered_at_once, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
