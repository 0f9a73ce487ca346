/* test_agent_hint.c — hints from outside: however many come, the healer looks once in so many milliseconds */
#include "../support.h"

#include "agent/agent_int.h"

static int thoughts;

static void on_think(void *arg)
{
	(void)arg;
	thoughts++;
}

static void test_hints_are_one(void **state)
{
	struct agent *a = mem_new(struct agent);

	(void)state;
	thoughts = 0;
	a->loop = loop_new_virtual((struct mono){1000 * NS_PER_MS}, (struct wall){1}, 1);
	a->think_timer = timer_new(a->loop, "think", on_think, a);
	for (int ms = 0; ms < 1000; ms++) { /* one each millisecond: they neither push it back nor add up */
		think_within(a, 50);
		loop_advance_ms(a->loop, 1);
	}
	assert_in_range(thoughts, 19, 20);
	timer_start_ms(a->think_timer, 5); /* what is due earlier stays so */
	think_within(a, 50);
	thoughts = 0;
	loop_advance_ms(a->loop, 5);
	assert_int_equal(thoughts, 1);
	timer_start_ms(a->think_timer, 5000); /* what is due later comes now */
	think_within(a, 50);
	loop_advance_ms(a->loop, 50);
	assert_int_equal(thoughts, 2);
	timer_free(a->think_timer);
	loop_free(a->loop);
	free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_hints_are_one)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
