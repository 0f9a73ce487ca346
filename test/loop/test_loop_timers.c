/* test_loop_timers.c — timers on the virtual clock: order, passes, freeing oneself */
#include "../support.h"

#include "loop/loop.h"

static struct loop *loop;
static struct buf trace;

static int setup(void **state)
{
	(void)state;
	loop = loop_new_virtual((struct mono){1000 * NS_PER_MS}, (struct wall){5000 * NS_PER_MS}, 42);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	loop_free(loop);
	buf_fini(&trace);
	return 0;
}

struct item {
	struct timer *t;
	char name;
	int64_t again_ms;
	struct item *other;
	void (*then)(struct item *it);
};

static void on_item(void *arg)
{
	struct item *it = arg;

	buf_addf(&trace, "%c%lld ", it->name, (long long)(loop_now(loop).ns / NS_PER_MS));
	if (it->then)
		it->then(it);
}

static void item_start(struct item *it, char name, int64_t ms)
{
	it->name = name;
	it->t = timer_new(loop, "item", on_item, it);
	timer_start_ms(it->t, ms);
}

static void test_order(void **state)
{
	struct item items[5] = {0};

	(void)state;
	item_start(&items[0], 'd', 30);
	item_start(&items[1], 'b', 20);
	item_start(&items[2], 'c', 20); /* the same time: order of starting */
	item_start(&items[3], 'a', 10);
	item_start(&items[4], 'x', 25);
	timer_stop(items[4].t);
	assert_false(timer_is_running(items[4].t));
	assert_int_equal(timer_due(items[4].t).ns, 0);
	assert_int_equal(timer_due(items[0].t).ns, 1030 * NS_PER_MS);
	loop_advance_ms(loop, 25);
	assert_string_equal(trace.data, "a1010 b1020 c1020 ");
	assert_int_equal(loop_now(loop).ns, 1025 * NS_PER_MS);
	assert_int_equal(loop_wall(loop).ns, 5025 * NS_PER_MS);
	timer_start_ms(items[1].t, 5); /* behind d, which was started before */
	loop_advance_ms(loop, 100);
	assert_string_equal(trace.data, "a1010 b1020 c1020 d1030 b1030 ");
	for (size_t i = 0; i < ARRAY_LEN(items); i++)
		timer_free(items[i].t);
}

static void test_restart_moves(void **state)
{
	struct item a = {0};

	(void)state;
	item_start(&a, 'a', 10);
	timer_start_ms(a.t, 50);
	loop_advance_ms(loop, 20);
	assert_null(trace.data);
	loop_advance_ms(loop, 30);
	assert_string_equal(trace.data, "a1050 ");
	timer_free(a.t);
}

/* Many timers against a plain sorted list. */
static void test_heap(void **state)
{
	enum { N = 500 };
	static struct item items[N];
	int64_t last = 0;
	int n = 0;
	char *save = NULL;

	(void)state;
	for (int i = 0; i < N; i++)
		item_start(&items[i], 'h', (int64_t)(loop_random(loop) % 200));
	for (int i = 0; i < N; i += 3)
		timer_free(items[i].t);
	loop_advance_ms(loop, 1000);
	for (char *w = strtok_r(trace.data, " ", &save); w; w = strtok_r(NULL, " ", &save), n++) {
		assert_true(atoll(w + 1) >= last);
		last = atoll(w + 1);
	}
	assert_int_equal(n, N - (N + 2) / 3);
	for (int i = 0; i < N; i++)
		if (i % 3)
			timer_free(items[i].t);
}

static void start_other(struct item *it)
{
	item_start(it->other, 'n', 0);
	it->then = NULL;
}

/* b was due before n was started: n waits for the next pass. */
static void test_started_in_callback(void **state)
{
	struct item n = {0}, a = {.other = &n, .then = start_other}, b = {0};

	(void)state;
	item_start(&a, 'a', 10);
	item_start(&b, 'b', 10);
	loop_advance_ms(loop, 10);
	assert_string_equal(trace.data, "a1010 b1010 n1010 ");
	timer_free(n.t);
	timer_free(a.t);
	timer_free(b.t);
}

static void free_both(struct item *it)
{
	timer_free(it->t);
	timer_free(it->other->t);
}

static void test_free_in_callback(void **state)
{
	struct item b = {0}, a = {.other = &b, .then = free_both};

	(void)state;
	item_start(&a, 'a', 10);
	item_start(&b, 'b', 10); /* due in the same pass, but gone by then */
	loop_advance_ms(loop, 10);
	assert_string_equal(trace.data, "a1010 ");
	timer_free(NULL);
}

static void on_free(void *obj)
{
	buf_adds(&trace, "freed ");
	free(obj);
}

static void free_later(struct item *it)
{
	it->other = mem_new(struct item);
	loop_free_later(loop, it->other, on_free);
	it->other->name = 'o'; /* still alive */
	buf_adds(&trace, "kept ");
}

static void test_free_later(void **state)
{
	struct item a = {.then = free_later}, b = {0};

	(void)state;
	item_start(&a, 'a', 10);
	item_start(&b, 'b', 10);
	loop_advance_ms(loop, 10);
	assert_string_equal(trace.data, "a1010 kept freed b1010 ");
	timer_free(a.t);
	timer_free(b.t);
	loop_free_later(loop, mem_new(struct item), on_free); /* outside a callback: at the latest with the loop */
}

static void repeat(struct item *it)
{
	timer_start_ms(it->t, it->again_ms);
}

static void test_repeat(void **state)
{
	struct item a = {.again_ms = 10, .then = repeat};

	(void)state;
	item_start(&a, 'a', 10);
	loop_advance_ms(loop, 35);
	assert_string_equal(trace.data, "a1010 a1020 a1030 ");
	timer_free(a.t);
}

static void set_done(void *arg)
{
	*(bool *)arg = true;
}

static void test_run_until(void **state)
{
	bool done = false;
	struct timer *t = timer_new(loop, "done", set_done, &done);

	(void)state;
	timer_start_ms(t, 500);
	assert_false(loop_run_until(loop, &done, 100));
	assert_true(loop_run_until(loop, &done, 1000));
	assert_int_equal(loop_now(loop).ns / NS_PER_MS, 1500);
	timer_free(t);
}

static void test_random(void **state)
{
	struct loop *twin = loop_new_virtual((struct mono){1}, (struct wall){1}, 42);
	int64_t lo = 1000, hi = 1000;

	(void)state;
	assert_true(loop_random(loop) == loop_random(twin)); /* seeded: a simulation can be run again */
	for (int i = 0; i < 1000; i++) {
		int64_t ms = loop_jitter_ms(loop, 1000);

		lo = ms < lo ? ms : lo;
		hi = ms > hi ? ms : hi;
	}
	assert_in_range(lo, 800, 850);
	assert_in_range(hi, 1150, 1200);
	assert_int_equal(loop_jitter_ms(loop, 0), 0);
	assert_int_equal(loop_jitter_ms(loop, 1), 1);
	loop_free(twin);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_order, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_restart_moves, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_heap, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_started_in_callback, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_free_in_callback, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_free_later, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_repeat, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_run_until, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_random, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
