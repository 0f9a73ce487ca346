/* test_loop_real.c — the loop on real descriptors, signals and time */
#include "../support.h"

#include <signal.h>

#include "base/metric.h"
#include "loop/loop.h"
#include "loop/op.h"

struct rig {
	struct loop *loop;
	struct io *io;
	int fds[2];
	int calls, signo;
	bool done;
	struct buf got;
};

static int setup(void **state)
{
	struct rig *r = mem_new(struct rig);

	r->loop = loop_new();
	assert_int_equal(pipe(r->fds), 0);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	io_free(r->io);
	loop_free(r->loop);
	(void)close(r->fds[0]);
	(void)close(r->fds[1]);
	buf_fini(&r->got);
	free(r);
	return 0;
}

static void on_readable(void *arg, int events)
{
	struct rig *r = arg;
	char c;

	assert_int_equal(events, IO_READ);
	assert_int_equal(read(r->fds[0], &c, 1), 1); /* one at a time: level-triggered, so it comes again */
	buf_addc(&r->got, c);
	r->done = r->got.len == 3;
}

static void test_pipe(void **state)
{
	struct rig *r = *state;

	r->io = io_new(r->loop, r->fds[0], on_readable, r);
	assert_int_equal(write(r->fds[1], "abc", 3), 3);
	assert_false(loop_run_until(r->loop, &r->done, 20)); /* nothing is watched yet */
	assert_int_equal(r->got.len, 0);
	io_watch(r->io, IO_READ);
	assert_true(loop_run_until(r->loop, &r->done, patient_ms(5000)));
	assert_string_equal(r->got.data, "abc");
	io_watch(r->io, 0);
	r->done = false;
	assert_int_equal(write(r->fds[1], "d", 1), 1);
	assert_false(loop_run_until(r->loop, &r->done, 20));
	assert_int_equal(r->got.len, 3);
}

static void free_own_io(void *arg, int events)
{
	struct rig *r = arg;

	(void)events;
	r->calls++;
	io_free(r->io);
	r->io = NULL;
	r->done = true;
}

static void test_free_io_in_callback(void **state)
{
	struct rig *r = *state;
	bool never = false;

	r->io = io_new(r->loop, r->fds[0], free_own_io, r);
	io_watch(r->io, IO_READ);
	assert_int_equal(write(r->fds[1], "abc", 3), 3);
	assert_true(loop_run_until(r->loop, &r->done, patient_ms(5000)));
	assert_false(loop_run_until(r->loop, &never, 20));
	assert_int_equal(r->calls, 1);
}

static void on_signal(void *arg, int signo)
{
	struct rig *r = arg;

	r->signo = signo;
	r->calls++;
	loop_stop(r->loop);
}

static void test_signal(void **state)
{
	struct rig *r = *state;

	assert_int_equal(loop_on_signal(r->loop, SIGUSR1, on_signal, r), 0);
	assert_int_equal(loop_on_signal(r->loop, SIGTERM, on_signal, r), 0);
	assert_int_equal(raise(SIGTERM), 0);
	assert_int_equal(r->calls, 0); /* from the loop, not from the handler */
	assert_int_equal(loop_run(r->loop), 0);
	assert_int_equal(r->signo, SIGTERM);
	assert_int_equal(raise(SIGUSR1), 0);
	assert_int_equal(loop_run(r->loop), 0);
	assert_int_equal(r->signo, SIGUSR1);
	assert_int_equal(r->calls, 2);
}

static void test_signal_limit(void **state)
{
	struct rig *r = *state;
	int n = 0;

	while (n < 100 && loop_on_signal(r->loop, SIGUSR2, on_signal, r) == 0)
		n++;
	assert_in_range(n, 4, 99);
}

static void on_time(void *arg)
{
	struct rig *r = arg;

	r->calls++;
	loop_stop(r->loop);
}

static void test_timer_never_early(void **state)
{
	struct rig *r = *state;
	struct timer *t = timer_new(r->loop, "t", on_time, r);
	struct mono due;

	for (int i = 0; i < 20; i++) {
		timer_start_ms(t, i % 4);
		due = timer_due(t);
		assert_int_equal(r->calls, i); /* also 0 ms: not inside the starting call */
		assert_int_equal(loop_run(r->loop), 0);
		assert_int_equal(r->calls, i + 1);
		assert_true(mono_read().ns >= due.ns);
	}
	timer_free(t);
}

static void cancel(struct op *op)
{
	free(op);
}

static void test_op_cancel(void **state)
{
	struct op *op = mem_new(struct op), *none = NULL;

	(void)state;
	op->cancel = cancel;
	op_cancelp(&op);
	assert_null(op);
	op_cancelp(&op);
	op_cancelp(&none);
}

static void burn(void *arg)
{
	struct rig *r = arg;
	int64_t end = cpu_read_ns() + 60 * NS_PER_MS;

	while (cpu_read_ns() < end)
		;
	r->done = true;
}

static void idle(void *arg)
{
	struct rig *r = arg;

	(void)usleep(60000); /* the machine is busy with others: no pause of ours */
	r->done = true;
}

/* How long a callback held the loop is known, in CPU time. */
static void test_pauses(void **state)
{
	struct rig *r = *state;
	struct timer *idler = timer_new(r->loop, "idle", idle, r), *burner = timer_new(r->loop, "burn", burn, r);
	double before = metric_get(METRIC_LOOP_PAUSE, 0);

	timer_start_ms(idler, 0);
	assert_true(loop_run_until(r->loop, &r->done, 5000));
	assert_true(metric_get(METRIC_LOOP_PAUSE, 0) > before);
	assert_true(metric_get(METRIC_LOOP_PAUSE_MAX, 0) < 0.05);
	r->done = false;
	timer_start_ms(burner, 0);
	assert_true(loop_run_until(r->loop, &r->done, 5000));
	assert_true(metric_get(METRIC_LOOP_PAUSE_MAX, 0) >= 0.06);
	timer_free(idler);
	timer_free(burner);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_pipe, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_free_io_in_callback, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_signal, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_signal_limit, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_timer_never_early, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_pauses, setup, teardown),
	    cmocka_unit_test(test_op_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
