/* test_base_file.c — bounded reads; a write that fails leaves nothing and harms nothing */
#include "../support.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

static char dir[TMP_SIZE];

static int setup(void **state)
{
	(void)state;
	tmp_new(dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tmp_free(dir);
	return 0;
}

static void test_read_limit(void **state)
{
	const char *path = tmp_path(dir, "f");
	cleanup(buf_fini) struct buf b = BUF_INIT;

	(void)state;
	tmp_write(path, "0123456789");
	assert_int_equal(file_read(path, 10, &b), 0);
	assert_string_equal(b.data, "0123456789");
	assert_int_equal(file_read(path, 9, &b), -E2BIG);
	assert_int_equal(file_read(tmp_path(dir, "none"), 9, &b), -ENOENT);
	assert_int_equal(file_read(dir, 9, &b), -EISDIR);
	assert_int_equal(file_read("/dev/zero", 100000, &b), -E2BIG); /* endless */
	tmp_write(path, "");
	assert_int_equal(file_read(path, 9, &b), 0);
	assert_int_equal(b.len, 0);
}

static void test_read_line(void **state)
{
	const char *path = tmp_path(dir, "f");
	char line[6];

	(void)state;
	tmp_write(path, "one\ntwo\n");
	assert_int_equal(file_read_line(path, line, sizeof(line)), 0);
	assert_string_equal(line, "one");
	tmp_write(path, "0123456789");
	assert_int_equal(file_read_line(path, line, sizeof(line)), 0);
	assert_string_equal(line, "01234");
	assert_int_equal(file_read_line(tmp_path(dir, "none"), line, sizeof(line)), -ENOENT);
}

static void test_write(void **state)
{
	const char *path = tmp_path(dir, "f");
	cleanup(buf_fini) struct buf b = BUF_INIT;
	struct stat st;

	(void)state;
	assert_int_equal(file_write_atomic(path, "one", 3, 0600), 0);
	assert_int_equal(file_write_atomic(path, "two2", 4, 0640), 0);
	assert_int_equal(file_read(path, 100, &b), 0);
	assert_string_equal(b.data, "two2");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(tmp_count(dir), 1);
}

static void test_write_onto_folder(void **state)
{
	(void)state;
	assert_int_equal(mkdir(tmp_path(dir, "taken"), 0700), 0);
	assert_true(file_write_atomic(tmp_path(dir, "taken"), "x", 1, 0600) < 0);
	assert_int_equal(tmp_count(dir), 1); /* no temporary file is left */
	assert_int_equal(file_write_atomic(tmp_path(dir, "no/such"), "x", 1, 0600), -ENOENT);
	assert_int_equal(tmp_count(dir), 1);
}

/* The disk fills up in the middle of the write: the old content stays. */
static void test_write_no_space(void **state)
{
	const char *path = tmp_path(dir, "f");
	cleanup(buf_fini) struct buf b = BUF_INIT;
	struct rlimit before, small = {4096, 0};
	static char big[20000];
	int r;

	(void)state;
	tmp_write(path, "old");
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	r = file_write_atomic(path, big, sizeof(big), 0600);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(r, -EFBIG);
	assert_int_equal(file_read(path, 100, &b), 0);
	assert_string_equal(b.data, "old");
	assert_int_equal(tmp_count(dir), 1);
}

/* A link that somebody put where the temporary file goes is not followed. */
static void test_write_no_follow(void **state)
{
	cleanup(freep) char *temp = str_format("%s/.f.tmp-%d", dir, (int)getpid());
	const char *victim = tmp_path(dir, "victim");
	cleanup(buf_fini) struct buf b = BUF_INIT;

	(void)state;
	tmp_write(victim, "safe");
	assert_int_equal(symlink(victim, temp), 0);
	assert_int_equal(file_write_atomic(tmp_path(dir, "f"), "x", 1, 0600), -ELOOP);
	assert_int_equal(file_read(victim, 100, &b), 0);
	assert_string_equal(b.data, "safe");
}

static void test_make_dirs(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(file_make_dirs(tmp_path(dir, "a/b/c"), 0700), 0);
	assert_int_equal(file_make_dirs(tmp_path(dir, "a/b/c"), 0700), 0);
	assert_int_equal(stat(tmp_path(dir, "a/b/c"), &st), 0);
	tmp_write(tmp_path(dir, "a/file"), "");
	assert_int_equal(file_make_dirs(tmp_path(dir, "a/file/d"), 0700), -ENOTDIR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_read_limit, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_read_line, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_write, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_write_onto_folder, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_write_no_space, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_write_no_follow, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_make_dirs, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
