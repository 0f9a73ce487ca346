/* test_store_faults.c — corrupt files, kill -9, a full disk, a folder that cannot be written */
#include "../support.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "store/store.h"
#include "store/store_int.h"

enum { DOC_SIZE = 2000, DOCS = 200 };

static char dir[TMP_SIZE], path[TMP_SIZE + 8], aside[STORE_PATH_SIZE];
static struct store *s;

static int setup(void **state)
{
	(void)state;
	tmp_new(dir);
	(void)snprintf(path, sizeof(path), "%s/s.db", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store_close(s);
	s = NULL;
	tmp_free(dir);
	return 0;
}

static int put_doc(int i)
{
	char uid[32], doc[DOC_SIZE + 1];

	(void)snprintf(uid, sizeof(uid), "u%d", i);
	memset(doc, 'a' + i % 26, DOC_SIZE);
	doc[DOC_SIZE] = '\0';
	return store_put_doc(s, STORE_WORKLOAD, uid, doc);
}

static void count_doc(void *arg, const char *doc)
{
	(void)doc;
	++*(int *)arg;
}

static int doc_count(void)
{
	int n = 0;

	assert_int_equal(store_each_doc(s, STORE_WORKLOAD, count_doc, &n), 0);
	return n;
}

static void fill(void)
{
	assert_int_equal(store_open(path, &s, aside), 0);
	for (int i = 0; i < DOCS; i++)
		assert_int_equal(put_doc(i), 0);
	store_close(s); /* the last connection: everything is in the file itself */
	s = NULL;
}

static void overwrite(off_t at, const char *bytes, size_t n)
{
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, n, at), n);
	assert_int_equal(close(fd), 0);
}

static off_t file_size(void)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static void damage_header(void)
{
	overwrite(0, "this is no database at all, it is a letter to my aunt", 50);
}

static void damage_truncate(void)
{
	assert_int_equal(truncate(path, file_size() / 2 / 4096 * 4096), 0);
}

static void damage_truncate_odd(void)
{
	assert_int_equal(truncate(path, file_size() / 2 + 123), 0);
}

/* The head of every fourth page: what a dying flash block looks like. */
static void damage_pages(void)
{
	for (off_t at = 4096; at < file_size(); at += 4 * 4096)
		overwrite(at, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12);
}

static void damage_schema(void)
{
	overwrite(100, "\x0d\xff\xff\xff\xff\xff\xff\xff", 8);
}

static void test_corrupt(void **state)
{
	static void (*const damages[])(void) = {damage_header, damage_truncate, damage_truncate_odd, damage_pages,
						damage_schema};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
		(void)unlink(path);
		fill();
		damages[i]();
		if (store_open(path, &s, aside) != 0 || !*aside)
			fail_msg("damage %zu: not noticed", i);
		assert_true(str_has_prefix(aside, path));
		assert_int_equal(access(aside, F_OK), 0); /* kept for a person to look at */
		assert_null(store_fault(s));
		assert_int_equal(doc_count(), 0);
		assert_int_equal(put_doc(1), 0);
		store_close(s);
		assert_int_equal(store_open(path, &s, aside), 0);
		assert_string_equal(aside, "");
		assert_int_equal(doc_count(), 1);
		store_close(s);
		s = NULL;
	}
}

/* Bits flip anywhere: opening and reading must end, with data or with an error, and never crash. */
static void test_flipped_bytes(void **state)
{
	uint64_t seed = 7;

	(void)state;
	for (int round = 0; round < 40; round++) {
		int n = 0, r;

		(void)unlink(path);
		fill();
		for (int i = 0; i < 5; i++) {
			char c;

			seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
			c = (char)(seed >> 40);
			overwrite((off_t)((seed >> 20) % (uint64_t)file_size()), &c, 1);
		}
		r = store_open(path, &s, aside);
		if (r < 0)
			continue;
		r = store_each_doc(s, STORE_WORKLOAD, count_doc, &n);
		assert_true(r == 0 || r == -EILSEQ || r == -EIO);
		assert_true(n <= DOCS);
		(void)put_doc(DOCS);
		store_close(s);
		s = NULL;
	}
}

/* Found only later, while it runs: the caller is told, and a reset mends it. */
static void test_corrupt_while_open(void **state)
{
	int n = 0;

	(void)state;
	fill();
	assert_int_equal(store_open(path, &s, aside), 0);
	(void)sqlite3_db_release_memory(s->db);
	(void)sqlite3_exec(s->db, "PRAGMA cache_size=0; PRAGMA shrink_memory", NULL, NULL, NULL);
	damage_pages();
	assert_int_equal(store_each_doc(s, STORE_WORKLOAD, count_doc, &n), -EILSEQ);
	assert_non_null(store_fault(s));
	assert_int_equal(store_reset(s, aside), 0);
	assert_int_equal(access(aside, F_OK), 0);
	assert_null(store_fault(s));
	assert_int_equal(put_doc(1), 0);
	assert_int_equal(doc_count(), 1);
}

/* ---- kill -9 ---- */

enum { PER_COMMIT = 3 };

/* The child: commit three rows at a time, and report each commit after it returned. */
static void child_commits(int report)
{
	for (int i = 0;; i++) {
		if (store_begin(s, i % 2) < 0)
			_exit(1);
		for (int k = 0; k < PER_COMMIT; k++)
			if (put_doc(PER_COMMIT * i + k) < 0)
				_exit(2);
		if (store_commit(s) < 0 || write(report, &i, sizeof(i)) != sizeof(i))
			_exit(3);
		if (i % 500 == 499)
			store_idle(s);
	}
}

static int kill_after(int commits)
{
	int fds[2], last = -1, i, status;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		(void)close(fds[0]);
		if (store_open(path, &s, aside) < 0)
			_exit(4);
		child_commits(fds[1]);
	}
	(void)close(fds[1]);
	while (last < commits && read(fds[0], &i, sizeof(i)) == sizeof(i))
		last = i;
	assert_int_equal(kill(pid, SIGKILL), 0);
	while (read(fds[0], &i, sizeof(i)) == sizeof(i)) /* what it reported before it died */
		last = i;
	(void)close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	return last;
}

static void test_kill(void **state)
{
	static const int when[] = {3, 250, 999, 2000};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(when); i++) {
		int last, have;

		(void)unlink(path);
		last = kill_after(when[i]);
		assert_true(last >= when[i]);
		assert_int_equal(store_open(path, &s, aside), 0);
		assert_string_equal(aside, "");
		have = doc_count();
		assert_int_equal(have % PER_COMMIT, 0);       /* whole transactions only */
		assert_true(have >= PER_COMMIT * (last + 1)); /* none of the reported ones is lost */
		assert_true(have <= PER_COMMIT * (last + 2));
		store_close(s);
		s = NULL;
	}
}

/* ---- full ---- */

static void limit_pages(int n)
{
	cleanup(freep) char *sql = str_format("PRAGMA max_page_count=%d", n);

	assert_int_equal(sqlite3_exec(s->db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static void test_full(void **state)
{
	int r = 0, n = 0;

	(void)state;
	assert_int_equal(store_open(path, &s, aside), 0);
	limit_pages(60);
	while (n < 10000 && (r = put_doc(n)) == 0)
		n++;
	assert_int_equal(r, -ENOSPC);
	assert_in_range(n, 10, 200);
	assert_non_null(store_fault(s));
	assert_int_equal(doc_count(), n); /* reading works, and does not hide the fault */
	assert_non_null(store_fault(s));
	limit_pages(100000);
	assert_int_equal(put_doc(n), 0);
	assert_null(store_fault(s));
	assert_int_equal(doc_count(), n + 1);
}

/* A caller that overlooks errors in the middle: either the commit fails as a whole, or exactly the rows that worked are
 * there. */
static void test_full_in_transaction(void **state)
{
	int r, worked = 0;

	(void)state;
	assert_int_equal(store_open(path, &s, aside), 0);
	limit_pages(60);
	assert_int_equal(put_doc(0), 0);
	assert_int_equal(store_begin(s, true), 0);
	for (int i = 1; i < 400; i++)
		worked += put_doc(i) == 0;
	assert_in_range(worked, 10, 200);
	r = store_commit(s);
	assert_false(store_in_transaction(s));
	assert_int_equal(doc_count(), r < 0 ? 1 : 1 + worked);
	limit_pages(100000);
	assert_int_equal(store_begin(s, true), 0);
	assert_int_equal(put_doc(500), 0);
	assert_int_equal(store_commit(s), 0);
	assert_null(store_fault(s));
}

/* The kernel refuses to let the file grow, in the middle of a commit. */
static void test_file_limit(void **state)
{
	struct rlimit before, small;
	int r = 0, n = 0;

	(void)state;
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(store_open(path, &s, aside), 0);
	assert_int_equal(put_doc(0), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = (struct rlimit){400000, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	while (n < 10000 && (r = put_doc(n + 1)) == 0)
		n++;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_true(r == -EIO || r == -ENOSPC);
	assert_non_null(store_fault(s));
	assert_int_equal(doc_count(), n + 1);
	assert_int_equal(put_doc(n + 1), 0); /* space again */
	assert_null(store_fault(s));
	store_close(s);
	assert_int_equal(store_open(path, &s, aside), 0);
	assert_string_equal(aside, "");
	assert_int_equal(doc_count(), n + 2);
}

/* A commit that fails takes the remembered ids of constraints with it. */
static void test_failed_commit_forgets_constraints(void **state)
{
	struct constraints one = {.key = "one"};
	struct pod p = {.name = (char *)(uintptr_t) "p", .ns = "default", .uid = "p1", .constraints = &one};
	struct rlimit before, none;
	int r = 0;

	(void)state;
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(store_open(path, &s, aside), 0);
	assert_int_equal(store_begin(s, true), 0);
	assert_int_equal(store_put_pod(s, &p), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	none = (struct rlimit){1, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	r = store_commit(s);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_true(r < 0);
	assert_false(store_in_transaction(s));
	assert_int_equal(map_count(s->constraint_ids), 0);
	assert_int_equal(store_put_pod(s, &p), 0);
	assert_null(store_fault(s));
}

/* ---- read-only ---- */

/* Without root's rights over files. */
static int as_nobody(int (*fn)(void))
{
	uid_t uid = geteuid();
	int r;

	if (uid == 0 && seteuid(65534) < 0)
		return -ENOSYS;
	r = fn();
	assert_int_equal(seteuid(uid), 0);
	return r;
}

static int open_it(void)
{
	return store_open(path, &s, aside);
}

static int write_it(void)
{
	return put_doc(1);
}

static void test_read_only_folder(void **state)
{
	int r;

	(void)state;
	assert_int_equal(chmod(dir, 0555), 0);
	r = as_nobody(open_it);
	if (r == -ENOSYS)
		skip();
	assert_int_equal(r, -EACCES); /* not "no such file" */
	assert_null(s);
	assert_int_equal(tmp_count(dir), 0);
	assert_int_equal(chmod(dir, 0777), 0);
	assert_int_equal(as_nobody(open_it), 0);
	assert_int_equal(as_nobody(write_it), 0);
	store_close(s);
	s = NULL;
	assert_int_equal(chmod(dir, 0700), 0);
}

static void test_no_folder(void **state)
{
	(void)state;
	assert_int_equal(store_open(tmp_path(dir, "no/such/s.db"), &s, aside), -ENOENT);
	assert_null(s);
	assert_true(store_open(dir, &s, aside) < 0); /* the path is a folder */
	assert_null(s);
}

static void test_mode(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(store_open(path, &s, aside), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600); /* Secrets may be inside */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_corrupt, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_flipped_bytes, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_corrupt_while_open, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_kill, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_full, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_full_in_transaction, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_file_limit, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_failed_commit_forgets_constraints, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_read_only_folder, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_no_folder, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_mode, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
