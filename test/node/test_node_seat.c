/* test_node_seat.c — one agent at a time: real locks, real processes */
#include "../support.h"

#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "node/seat.h"

static char dir[TMP_SIZE];
static const char *store;

static int setup(void **state)
{
	(void)state;
	tmp_new(dir);
	store = tmp_path(dir, "s.db");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tmp_free(dir);
	return 0;
}

static const char *standby_lock(void)
{
	static char path[1024];

	(void)snprintf(path, sizeof(path), "%s" SEAT_STANDBY_SUFFIX, store);
	return path;
}

/* A process in a role; it tells through the pipe that it works, and ends when it is told or wanted. */
struct actor { pid_t pid; int told; };

/* `ours` was inherited: a lock lives as long as any of its descriptors. */
static struct actor act_standby(struct seat *ours)
{
	struct actor a;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	a = (struct actor){ .pid = fork(), .told = fds[0] };
	assert_true(a.pid >= 0);
	if (a.pid == 0) {
		struct seat s = SEAT_INIT;

		seat_leave(ours);
		if (seat_wait(&s, store) != 0 || write(fds[1], "w", 1) != 1)
			_exit(1);
		while (!seat_is_wanted(&s))
			(void)usleep(5000);
		seat_leave(&s);
		_exit(0);
	}
	(void)close(fds[1]);
	return a;
}

static int ends(struct actor *a)
{
	int status;

	assert_int_equal(waitpid(a->pid, &status, 0), a->pid);
	(void)close(a->told);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void wait_works(const struct actor *a)
{
	char c;

	assert_int_equal(read(a->told, &c, 1), 1);
	assert_true(seat_standby_works(standby_lock()));
}

static void test_a_second_primary_is_told_who_is_there(void **state)
{
	struct seat first = SEAT_INIT, second = SEAT_INIT;
	int64_t pid = 0;

	(void)state;
	assert_int_equal(seat_take(&first, store, &pid), 0);
	assert_int_equal(seat_take(&second, store, &pid), SEAT_E_TAKEN);
	assert_int_equal(pid, getpid());
	seat_leave(&second);
	seat_leave(&first);
	assert_int_equal(seat_take(&second, store, &pid), 0);
	seat_leave(&second);
}

static void test_a_standby_yields_to_a_primary(void **state)
{
	struct seat s = SEAT_INIT;
	int64_t pid = 0;
	struct actor a = act_standby(&s);

	(void)state;
	wait_works(&a);
	assert_int_equal(seat_take(&s, store, &pid), 0);
	assert_int_equal(ends(&a), 0);
	assert_false(seat_standby_works(standby_lock()));
	seat_leave(&s);
}

static void test_a_standby_waits_while_the_primary_works(void **state)
{
	struct seat s = SEAT_INIT;
	struct mono left;
	int64_t pid = 0;
	struct actor a;

	(void)state;
	assert_int_equal(seat_take(&s, store, &pid), 0);
	a = act_standby(&s);
	(void)usleep(50000);
	assert_false(seat_standby_works(standby_lock()));
	left = mono_read();
	seat_leave(&s);
	wait_works(&a);
	assert_true(mono_since_ms(mono_read(), left) >= SEAT_GRACE_MS);	/* a restart fits in */
	assert_int_equal(kill(a.pid, SIGKILL), 0);
	assert_int_equal(ends(&a), -SIGKILL);
	assert_false(seat_standby_works(standby_lock()));	/* nothing to clean up */
}

/* The primary comes back within the grace: the standby, which has the lock already, gives it back. */
static void test_a_primary_that_restarts_keeps_its_seat(void **state)
{
	struct seat s = SEAT_INIT;
	int64_t pid = 0;
	struct actor a;

	(void)state;
	assert_int_equal(seat_take(&s, store, &pid), 0);
	a = act_standby(&s);
	for (int i = 0; i < 3; i++) {
		(void)usleep(50000);
		seat_leave(&s);
		(void)usleep(50000);
		assert_int_equal(seat_take(&s, store, &pid), 0);
		assert_false(seat_standby_works(standby_lock()));
	}
	seat_leave(&s);
	wait_works(&a);
	assert_int_equal(kill(a.pid, SIGKILL), 0);
	(void)ends(&a);
}

static void test_of_two_standbys_one_works(void **state)
{
	struct seat s = SEAT_INIT;
	struct actor a = act_standby(&s), b = act_standby(&s);
	int64_t pid = 0;

	(void)state;
	for (int64_t end = mono_add_ms(mono_read(), patient_ms(5000)).ns; !seat_standby_works(standby_lock()) && mono_read().ns < end;)
		(void)usleep(5000);
	assert_true(seat_standby_works(standby_lock()));
	assert_int_equal(seat_take(&s, store, &pid), 0);	/* one yields; the other gives way before it works */
	(void)kill(a.pid, SIGKILL);
	(void)kill(b.pid, SIGKILL);
	(void)ends(&a);
	(void)ends(&b);
	seat_leave(&s);
}

static void test_a_folder_that_is_not_there(void **state)
{
	const char *nowhere = tmp_path(dir, "no/s.db");
	struct seat s = SEAT_INIT;
	int64_t pid = 0;

	(void)state;
	assert_int_equal(seat_take(&s, nowhere, &pid), -ENOENT);
	assert_int_equal(seat_wait(&s, nowhere), -ENOENT);
	assert_false(seat_standby_works(nowhere));
	seat_leave(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_a_second_primary_is_told_who_is_there, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_standby_yields_to_a_primary, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_standby_waits_while_the_primary_works, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_primary_that_restarts_keeps_its_seat, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_of_two_standbys_one_works, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_folder_that_is_not_there, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
