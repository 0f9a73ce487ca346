/* test_node_cgroup.c — pod cgroups of every layout and both versions: found, counted, held still; and pod logs
 *
 * What the kernel does is tried on real cgroups where the machine permits it; the rest stands on plain folders.
 */
#include "../support.h"

#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "node/cgroup.h"
#include "node/controller.h"

#define POD "bdedc685-793f-415f-80c0-fdb7fddfd6e1"
#define POD_SLICE "bdedc685_793f_415f_80c0_fdb7fddfd6e1"
#define OTHER "bdedc685-793f-415f-80c0-fdb7fddfd6e2"

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

static void put(const char *folder, const char *name, const char *text)
{
	cleanup(freep) char *path = str_format("%s/%s", folder, name);

	tmp_write(path, text);
}

static void make(const char *path)
{
	assert_int_equal(file_make_dirs(path, 0700), 0);
}

static struct cgroups *found(const char *root)
{
	struct cgroups *g = NULL;

	assert_int_equal(cgroups_find(root, NULL, &g), 0);
	return g;
}

struct seen {
	int n;
	char uid[64];
};

static void on_pod(void *arg, const char *uid)
{
	struct seen *s = arg;

	s->n++;
	(void)str_copy(s->uid, sizeof(s->uid), uid);
}

/* ---- layouts ---- */

static const char *const layouts[] = {
    "kubepods/pod" POD,
    "kubepods/burstable/pod" POD,
    "kubepods/besteffort/pod" POD,
    "kubepods.slice/kubepods-pod" POD_SLICE ".slice",
    "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" POD_SLICE ".slice",
    "kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" POD_SLICE ".slice",
    "kubelet-kubepods.slice/kubelet-kubepods-pod" POD_SLICE ".slice", /* kind */
    "kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod" POD_SLICE ".slice",
    "kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod" POD_SLICE ".slice",
    /* kubelet's cgroupRoot is /n1, or /n1/n2 */
    "n1-kubepods.slice/n1-kubepods-pod" POD_SLICE ".slice",
    "n1-kubepods.slice/n1-kubepods-burstable.slice/n1-kubepods-burstable-pod" POD_SLICE ".slice",
    "n1-n2-kubepods.slice/n1-n2-kubepods-besteffort.slice/n1-n2-kubepods-besteffort-pod" POD_SLICE ".slice",
};

static void test_layouts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(layouts); i++) {
		cleanup(freep) char *root = str_format("%s/%zu", dir, i), *at = str_format("%s/%s", root, layouts[i]);
		cleanup(cgroups_freep) struct cgroups *g = NULL;
		struct seen seen = {0};

		assert_int_equal(cgroups_find(root, NULL, &g), -ENOENT);
		assert_null(g);
		make(at);
		g = found(root);
		assert_string_equal(cgroups_folder(g), root);
		assert_int_equal(cgroup_pod_look(g, POD), 0);
		assert_int_equal(cgroup_pod_look(g, OTHER), -ENOENT);
		put(at, "cgroup.events", "frozen 0\npopul"); /* cut: nothing is known, least of all that it has ended */
		assert_int_equal(cgroup_pod_is_populated(g, POD), -EPROTO);
		assert_int_equal(cgroup_pod_is_still(g, POD), -EPROTO);
		put(at, "cgroup.events", "");
		assert_int_equal(cgroup_pod_is_populated(g, POD), -EPROTO);
		put(at, "cgroup.events", "populated 0\nfrozen 0\n");
		assert_int_equal(cgroup_pod_is_populated(g, POD), 0);
		assert_int_equal(cgroup_each_pod(g, on_pod, &seen), 0);
		assert_int_equal(seen.n, 0);
		put(at, "cgroup.events", "populated 1\nfrozen 0\n");
		assert_int_equal(cgroup_pod_is_populated(g, POD), 1);
		assert_int_equal(cgroup_pod_is_populated(g, OTHER), -ENOENT);
		assert_int_equal(cgroup_each_pod(g, on_pod, &seen), 0);
		assert_int_equal(seen.n, 1);
		assert_string_equal(seen.uid, POD);
	}
}

/* What is no pod is none: QoS folders, containers, and whatever else lies there. */
static void test_each_pod_and_nothing_else(void **state)
{
	static const char *const others[] = {"kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod.slice",
					     "kubepods.slice/kubepods-burstable.slice/other.slice",
					     ("kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" POD_SLICE),
					     "kubepods.slice/podium", "mykubepods.slice/kubepods-pod1.slice", "kubepods.slice/kubepods-podcast"};
	cleanup(freep) char *at = str_format("%s/%s", dir, layouts[4]);
	cleanup(cgroups_freep) struct cgroups *g = NULL;
	struct seen seen = {0};

	(void)state;
	make(at);
	put(at, "cgroup.events", "populated 1\nfrozen 0\n");
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		cleanup(freep) char *other = str_format("%s/%s", dir, others[i]);

		make(other);
		put(other, "cgroup.events", "populated 1\nfrozen 0\n");
	}
	g = found(dir);
	assert_int_equal(cgroup_each_pod(g, on_pod, &seen), 0);
	assert_int_equal(seen.n, 1);
	assert_string_equal(seen.uid, POD);
}

/* With the default root on a machine with version 1 the pods are below the controllers. */
static void test_root_is_looked_for(void **state)
{
	static const char *const rows[] = {"systemd", "pids", "memory", "freezer", "cpu", "unified"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup(freep) char *root = str_format("%s/%zu", dir, i), *at = str_format("%s/%s/kubepods", root, rows[i]);
		cleanup(freep) char *expected = str_format("%s/%s", root, rows[i]), *other = str_format("%s/blkio/kubepods", root);
		cleanup(cgroups_freep) struct cgroups *g = NULL;

		make(other);
		assert_int_equal(cgroups_find(root, NULL, &g), -ENOENT);
		make(at);
		g = found(root);
		assert_string_equal(cgroups_folder(g), expected);
	}
}

/* ---- what cannot be read is not "no such pod" ---- */

static void test_nothing_is_known(void **state)
{
	cleanup(cgroups_freep) struct cgroups *g = NULL;
	struct seen seen = {0};
	char longest[4000];

	(void)state;
	assert_int_equal(cgroups_find(tmp_path(dir, "none"), NULL, &g), -ENOENT);
	assert_int_equal(cgroup_pod_look(NULL, POD), -ENODATA);
	assert_int_equal(cgroup_pod_is_populated(NULL, POD), -ENODATA);
	assert_int_equal(cgroup_pod_freeze(NULL, POD, true), -ENODATA);
	assert_int_equal(cgroup_pod_is_still(NULL, POD), -ENODATA);
	assert_int_equal(cgroup_each_pod(NULL, on_pod, &seen), -ENODATA);
	make(tmp_path(dir, "kubepods"));
	g = found(dir);
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(cgroup_pod_look(g, longest), -ENOENT);
	assert_int_equal(cgroup_pod_look(g, POD), -ENOENT);
	assert_int_equal(rmdir(tmp_path(dir, "kubepods")), 0);
	assert_int_equal(cgroup_pod_look(g, POD), -ENODATA);
	assert_int_equal(cgroup_pod_is_still(g, POD), -ENODATA);
	assert_int_equal(cgroup_each_pod(g, on_pod, &seen), -ENOENT);
}

/* One class cannot be read: its pods have not vanished. */
static void test_an_unreadable_class_is_an_error(void **state)
{
	cleanup(freep) char *at = str_format("%s/kubepods/pod%s", dir, POD);
	cleanup(cgroups_freep) struct cgroups *g = NULL;
	struct seen seen = {0};

	(void)state;
	make(at);
	put(at, "cgroup.events", "populated 1\nfrozen 0\n");
	g = found(dir);
	assert_int_equal(cgroup_each_pod(g, on_pod, &seen), 0); /* without any folder of a class */
	assert_int_equal(symlink("burstable", tmp_path(dir, "kubepods/burstable")), 0);
	assert_int_equal(cgroup_each_pod(g, on_pod, &seen), -ELOOP);
	assert_int_equal(cgroup_pod_look(g, OTHER), -ELOOP);
}

static void test_no_descriptors_is_an_error(void **state)
{
	cleanup(freep) char *at = str_format("%s/kubepods/burstable/pod%s", dir, POD);
	cleanup(cgroups_freep) struct cgroups *g = NULL;
	struct rlimit before, few;
	struct seen seen = {0};
	int next, known;

	(void)state;
	make(at);
	put(at, "cgroup.events", "populated 1\nfrozen 0\n");
	g = found(dir);
	next = dup(0);
	(void)close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	for (int more = 0; more < 3; more++) { /* the root's folder, the class's, the pod's file */
		few = (struct rlimit){(rlim_t)(next + more), before.rlim_max};
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
		known = cgroup_each_pod(g, on_pod, &seen);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
		if (known != -EMFILE)
			fail_msg("%d descriptors: %d", more, known);
	}
	assert_int_equal(cgroup_each_pod(g, on_pod, &seen), 0);
}

/* ---- version 1 on plain folders ---- */

static void test_v1_counts_by_pids(void **state)
{
	cleanup(freep) char *at = str_format("%s/kubepods/besteffort/pod%s", dir, POD);
	cleanup(cgroups_freep) struct cgroups *g = NULL;

	(void)state;
	make(tmp_path(at, "0123abcd"));
	put(at, "0123abcd/cgroup.procs", ""); /* those of another pid namespace are not listed */
	put(at, "pids.current", "2\n");
	g = found(dir);
	assert_int_equal(cgroup_pod_is_populated(g, POD), 1);
	put(at, "pids.current", "0\n");
	assert_int_equal(cgroup_pod_is_populated(g, POD), 0);
	put(at, "pids.current", "many\n");
	assert_int_equal(cgroup_pod_is_populated(g, POD), -EPROTO);
}

static void test_v1_without_pids_counts_containers(void **state)
{
	cleanup(freep) char *at = str_format("%s/kubepods/besteffort/pod%s", dir, POD);
	cleanup(cgroups_freep) struct cgroups *g = NULL;
	struct seen seen = {0};

	(void)state;
	make(at);
	put(at, "cgroup.procs", "");
	g = found(dir);
	assert_int_equal(cgroup_pod_is_populated(g, POD), 0);
	assert_int_equal(cgroup_pod_is_still(g, POD), 1);
	make(tmp_path(at, "0123abcd"));
	assert_int_equal(cgroup_pod_is_still(g, POD), -ENOTSUP);
	assert_int_equal(cgroup_pod_is_populated(g, POD), 1);
	assert_int_equal(cgroup_each_pod(g, on_pod, &seen), 0);
	assert_int_equal(seen.n, 1);
}

/* Two controllers' mounts, and a kubelet whose cgroupRoot is /n1. */
static struct cgroups *two_mounts(char **out_pids, char **out_freezer)
{
	cleanup(freep) char *text = str_format("1 0 0:1 / %s/pids rw - cgroup cgroup rw,pids\n"
					       "2 0 0:2 / %s/freezer rw - cgroup cgroup rw,freezer\n", dir, dir);
	struct cgroups *g = NULL;

	*out_pids = str_format("%s/pids/n1/kubepods/burstable/pod%s", dir, POD);
	*out_freezer = str_format("%s/freezer/n1/kubepods/burstable/pod%s", dir, POD);
	make(*out_pids);
	tmp_write(tmp_path(dir, "mountinfo"), text);
	assert_int_equal(cgroups_find(tmp_path(dir, "pids/n1"), tmp_path(dir, "mountinfo"), &g), 0);
	return g;
}

static void assert_reads(const char *folder, const char *name, const char *expected)
{
	cleanup(freep) char *path = str_format("%s/%s", folder, name);
	char line[64] = "";

	assert_int_equal(file_read_line(path, line, sizeof(line)), 0);
	assert_string_equal(line, expected);
}

static void test_v1_freezer_of_a_nested_root(void **state)
{
	cleanup(freep) char *pids = NULL, *freezer = NULL;
	cleanup(cgroups_freep) struct cgroups *g = two_mounts(&pids, &freezer);

	(void)state;
	make(freezer);
	put(pids, "pids.current", "1\n");
	put(freezer, "freezer.state", "THAWED\n");
	assert_int_equal(cgroup_pod_is_still(g, POD), 0);
	assert_int_equal(cgroup_pod_freeze(g, POD, true), 0);
	assert_reads(freezer, "freezer.state", "FROZEN");
	assert_int_equal(cgroup_pod_is_still(g, POD), 1);
	assert_true(cgroup_pod_outlives_kill(g, POD));
	put(freezer, "freezer.state", "FREEZING\n"); /* asked for, and not all have stopped */
	assert_int_equal(cgroup_pod_is_still(g, POD), 0);
	put(freezer, "freezer.state", "FROZEN\n");
	assert_int_equal(cgroup_pod_freeze(g, POD, false), 0);
	assert_reads(freezer, "freezer.state", "THAWED");
	assert_false(cgroup_pod_outlives_kill(g, POD));
}

/* A pod that runs and cannot be frozen is not the same as no pod. */
static void test_v1_no_freezer_is_not_no_pod(void **state)
{
	cleanup(freep) char *pids = NULL, *freezer = NULL;
	cleanup(cgroups_freep) struct cgroups *g = two_mounts(&pids, &freezer);

	(void)state;
	put(pids, "pids.current", "1\n");
	assert_int_equal(cgroup_pod_freeze(g, POD, true), -ENOTSUP);
	assert_int_equal(cgroup_pod_is_still(g, POD), -ENOTSUP);
	assert_int_equal(cgroup_pod_freeze(g, OTHER, true), -ENOENT);
	assert_int_equal(cgroup_pod_is_still(g, OTHER), 1);
	put(pids, "pids.current", "0\n"); /* nothing of it runs */
	assert_int_equal(cgroup_pod_is_still(g, POD), 1);
}

static void test_v2_is_read_back(void **state)
{
	cleanup(freep) char *at = str_format("%s/kubepods/pod%s", dir, POD);
	cleanup(cgroups_freep) struct cgroups *g = NULL;

	(void)state;
	make(at);
	put(at, "cgroup.events", "populated 1\nfrozen 0\n");
	put(at, "cgroup.freeze", "0\n");
	g = found(dir);
	assert_int_equal(cgroup_pod_freeze(g, POD, true), 0);
	assert_reads(at, "cgroup.freeze", "1");
	assert_int_equal(cgroup_pod_is_still(g, POD), 0); /* a task that sleeps in the kernel stops only when it wakes */
	put(at, "cgroup.events", "populated 1\nfrozen 1\n");
	assert_int_equal(cgroup_pod_is_still(g, POD), 1);
	assert_false(cgroup_pod_outlives_kill(g, POD));
	put(at, "cgroup.events", "populated 1\nfrozen 10\n");
	assert_int_equal(cgroup_pod_is_still(g, POD), -EPROTO);
	put(at, "cgroup.events", "populated 1\n"); /* before Linux 5.2 */
	assert_int_equal(cgroup_pod_is_still(g, POD), -ENOTSUP);
}

/* ---- mounts ---- */

#define V1(point, root, controllers) "1 0 0:1 " root " " point " rw - cgroup cgroup rw," controllers "\n"

static void test_controller_folder(void **state)
{
	static const struct {
		const char *folder, *mounts, *expected;
		int r;
	} rows[] = {
	    {"pids/n1", V1("@/pids", "/", "pids") V1("@/freezer", "/", "freezer"), "freezer/n1", 0},
	    {"pids", V1("@/pids", "/", "pids") V1("@/freezer", "/", "freezer"), "freezer", 0},
	    {"pids/n1", V1("@/pids", "/", "pids") V1("@/both", "/", "devices,freezer"), "both/n1", 0},
	    {"pids/n1", V1("@/pids", "/", "pids"), "", -ENOENT},
	    {"pids/n1", V1("@/pids", "/", "pids") V1("@/freezers", "/", "freezers"), "", -ENOENT},
	    {"other", V1("@/pids", "/", "pids") V1("@/freezer", "/", "freezer"), "", -ENXIO},
	    {"pids/n1", V1("@/pids", "/", "pids") V1("@/freezer", "/", "freezer") "9 1 0:9 / @/pids/n1 rw - tmpfs tmpfs rw\n", "", -ENXIO},
	    {"absent", V1("@/pids", "/", "pids"), "", -ENOENT},
	    {"pids/n1", "nonsense\n1 2 3 - \n - \n" V1("@/pids", "/", "pids") V1("@/freezer", "/", "freezer"), "freezer/n1", 0},
	    /* it is under the freezer already */
	    {"freezer/n1", V1("@/pids", "/", "pids") V1("@/freezer", "/", "freezer"), "freezer/n1", 0},
	    /* hybrid: from version 2 to the freezer of version 1 */
	    {"unified/n1", "1 0 0:1 / @/unified rw shared:4 - cgroup2 cgroup2 rw\n" V1("@/freezer", "/", "freezer"), "freezer/n1", 0},
	    /* mounts that show a part of the hierarchy */
	    {"pids/n2", V1("@/pids", "/n1", "pids") V1("@/freezer", "/", "freezer"), "freezer/n1/n2", 0},
	    {"pids/n1/n2", V1("@/pids", "/", "pids") V1("@/freezer", "/n1", "freezer"), "freezer/n2", 0},
	    {"pids/n2", V1("@/pids", "/", "pids") V1("@/freezer", "/n1", "freezer"), "", -ENOENT},
	    /* in a cgroup namespace the whole hierarchy is told relative to our own place in it */
	    {"pids/n1", V1("@/pids", "/../../..", "pids") V1("@/freezer", "/../..", "freezer"), "freezer/n1", 0},
	    {"pids/n2", V1("@/pids", "/../n1", "pids") V1("@/freezer", "/..", "freezer"), "freezer/n1/n2", 0},
	    /* a container's own mounts, and the host's: each with its own */
	    {"host/pids/n1",
	     V1("@/host/pids", "/", "pids") V1("@/host/freezer", "/", "freezer") V1("@/freezer", "/", "freezer"), "host/freezer/n1", 0},
	    {"pids/n1", V1("@/pids", "/", "pids") V1("@/freezer", "/", "freezer") V1("@/host/freezer", "/", "freezer"), "freezer/n1", 0},
	    {"a b/pids/n1", V1("@/a\\040b/pids", "/", "pids") V1("@/a\\040b/freezer", "/", "freezer"), "a b/freezer/n1", 0},
	};
	static const char *const folders[] = {"pids/n1/n2", "pids/n2", "other", "freezer/n1", "unified/n1", "host/pids/n1", "a b/pids/n1"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(folders); i++)
		make(tmp_path(dir, folders[i]));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup(freep) char *got = NULL;
		cleanup(buf_fini) struct buf mounts = BUF_INIT;
		int r;

		for (const char *p = rows[i].mounts; *p; p++)
			if (*p == '@')
				buf_adds(&mounts, dir);
			else
				buf_addc(&mounts, *p);
		tmp_write(tmp_path(dir, "mountinfo"), mounts.data);
		r = controller_folder(tmp_path(dir, "mountinfo"), tmp_path(dir, rows[i].folder), "freezer", &got);
		if (r != rows[i].r || (r == 0 && !str_eq(got, tmp_path(dir, rows[i].expected))))
			fail_msg("row %zu: %d %s instead of %d %s", i, r, str_or(got, "-"), rows[i].r, rows[i].expected);
	}
	assert_int_equal(controller_folder(tmp_path(dir, "none"), dir, "freezer", &(char *){NULL}), -ENOENT);
}

/* ---- real cgroups ---- */

/* A pod of one process. Removed again by real_teardown(), however the test ends: a frozen process would stay for ever. */
static struct {
	char *roots[2]; /* one for each controller */
	pid_t pid;
} real;

static bool join(const char *pod, pid_t pid)
{
	cleanup(freep) char *path = str_format("%s/c/cgroup.procs", pod);
	FILE *f = fopen(path, "w");
	bool written = f && fprintf(f, "%d", (int)pid) > 0;

	return f && fclose(f) == 0 && written;
}

static bool join_all(size_t n)
{
	bool able = true;

	for (size_t i = 0; i < n; i++) {
		cleanup(freep) char *pod = str_format("%s/kubepods/pod%s", real.roots[i], POD);

		make(tmp_path(pod, "c"));
		able = join(pod, real.pid) && able;
	}
	return able;
}

static bool real_init(const char *const *mounts, size_t n)
{
	bool able = true;

	for (size_t i = 0; i < n; i++) {
		cleanup(freep) char *procs = str_format("%s/cgroup.procs", mounts[i]);

		real.roots[i] = str_format("%s/edge-healer-test-%d", mounts[i], (int)getpid());
		able = able && access(procs, W_OK) == 0 && mkdir(real.roots[i], 0755) == 0;
	}
	if (able) {
		real.pid = fork();
		assert_true(real.pid >= 0);
		if (real.pid == 0)
			for (;;)
				(void)pause();
		able = join_all(n);
	}
	if (!able)
		print_message("no real cgroups to be made at %s here\n", mounts[0]);
	return able;
}

/* Until the kernel is done with it. */
static bool wait_still(const struct cgroups *g, int expected)
{
	int r = -1;

	for (int i = 0; i < patient_ms(2000) && r != expected; i++) {
		r = cgroup_pod_is_still(g, POD);
		if (r != expected)
			(void)usleep(1000);
	}
	return r == expected;
}

static void thaw(const char *root)
{
	cleanup(freep) char *path = str_format("%s/kubepods/pod%s/freezer.state", root, POD);
	FILE *f = fopen(path, "r+");

	if (f) {
		(void)fputs("THAWED", f);
		(void)fclose(f);
	}
}

static int real_teardown(void **state)
{
	static const char *const parts[] = {("/kubepods/pod" POD "/c"), ("/kubepods/pod" POD), "/kubepods", ""};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(real.roots) && real.roots[i]; i++)
		thaw(real.roots[i]);
	if (real.pid > 0) {
		(void)kill(real.pid, SIGKILL);
		(void)waitpid(real.pid, NULL, 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(real.roots) && real.roots[i]; i++) {
		for (size_t k = 0; k < ARRAY_LEN(parts); k++) {
			cleanup(freep) char *path = str_format("%s%s", real.roots[i], parts[k]);

			for (int tries = 0; rmdir(path) < 0 && errno == EBUSY && tries < patient_ms(1000); tries++)
				(void)usleep(1000);
		}
		free(take(real.roots[i]));
	}
	real.pid = 0;
	return 0;
}

/* The answer of a process in another pid namespace: 1, 0, or 2 = it cannot be made. */
static int asked_in_another_namespace(const struct cgroups *g)
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		pid_t inner = unshare(CLONE_NEWPID) == 0 ? fork() : -1;

		if (inner == 0)
			_exit(cgroup_pod_is_populated(g, POD) == 1);
		if (inner < 0 || waitpid(inner, &status, 0) < 0)
			_exit(2);
		_exit(WEXITSTATUS(status));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static void test_real_v1(void **state)
{
	static const char *const mounts[] = {"/sys/fs/cgroup/pids", "/sys/fs/cgroup/freezer"};
	cleanup(cgroups_freep) struct cgroups *g = NULL;
	int elsewhere;

	(void)state;
	if (!real_init(mounts, 2))
		skip();
	g = found(real.roots[0]);
	assert_int_equal(cgroup_pod_is_populated(g, POD), 1);
	elsewhere = asked_in_another_namespace(g);
	if (elsewhere == 2)
		print_message("no other pid namespace here: not asked from there\n");
	else
		assert_int_equal(elsewhere, 1);
	assert_int_equal(cgroup_pod_is_still(g, POD), 0);
	assert_int_equal(cgroup_pod_freeze(g, POD, true), 0);
	assert_true(wait_still(g, 1));
	assert_true(cgroup_pod_outlives_kill(g, POD));
	assert_int_equal(kill(real.pid, SIGKILL), 0);
	(void)usleep(50000);
	assert_int_equal(waitpid(real.pid, NULL, WNOHANG), 0); /* version 1: it outlives SIGKILL */
	assert_int_equal(cgroup_pod_is_populated(g, POD), 1);
	assert_int_equal(cgroup_pod_freeze(g, POD, false), 0);
	assert_int_equal(waitpid(real.pid, NULL, 0), real.pid);
	assert_int_equal(cgroup_pod_is_populated(g, POD), 0);
	assert_int_equal(cgroup_pod_is_still(g, POD), 1);
	real.pid = 0;
}

static void test_real_v2(void **state)
{
	static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	cleanup(cgroups_freep) struct cgroups *g = NULL;
	bool unified = access("/sys/fs/cgroup/cgroup.controllers", F_OK) != 0;

	(void)state;
	if (!real_init(&mounts[unified], 1))
		skip();
	g = found(real.roots[0]);
	assert_int_equal(cgroup_pod_is_populated(g, POD), 1);
	assert_int_equal(cgroup_pod_is_still(g, POD), 0);
	assert_int_equal(cgroup_pod_freeze(g, POD, true), 0);
	assert_true(wait_still(g, 1));
	assert_false(cgroup_pod_outlives_kill(g, POD));
	assert_int_equal(kill(real.pid, SIGKILL), 0);
	assert_int_equal(waitpid(real.pid, NULL, 0), real.pid); /* version 2: frozen or not */
	assert_int_equal(cgroup_pod_is_populated(g, POD), 0);
	real.pid = 0;
}

/* ---- logs ---- */

static void test_pod_log(void **state)
{
	cleanup(freep) char *at = str_format("%s/logs/default_web-0-n1_%s", dir, POD), *logs = str_format("%s/logs", dir);
	const struct pod_log l = {logs, "default", "web-0-n1", POD}, other_node = {logs, "default", "web-0-n2", POD},
			     other_ns = {logs, "other", "web-0-n1", POD};

	(void)state;
	assert_true(pod_log_exists(&l, "c d")); /* not mounted: only the cgroup counts */
	assert_true(pod_log_is_begun(&l));
	make(logs);
	assert_false(pod_log_is_begun(&l));
	make(at);
	assert_false(pod_log_exists(&l, "c d")); /* a sandbox is not a container */
	assert_false(pod_log_is_begun(&l));
	make(tmp_path(at, "init"));
	put(at, "init/0.log", "");
	assert_true(pod_log_is_begun(&l));
	assert_false(pod_log_exists(&l, "c d")); /* what runs before them is none of them */
	make(tmp_path(at, "d"));
	assert_false(pod_log_exists(&l, "c d"));
	put(at, "d/0.log", "");
	assert_true(pod_log_exists(&l, "c d"));
	assert_false(pod_log_exists(&l, "c"));
	assert_false(pod_log_exists(&l, ""));
	assert_false(pod_log_exists(&l, NULL));
	assert_false(pod_log_exists(&other_node, "c d"));
	assert_false(pod_log_exists(&other_ns, "c d"));
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    IN_FOLDER(test_layouts),
	    IN_FOLDER(test_each_pod_and_nothing_else),
	    IN_FOLDER(test_root_is_looked_for),
	    IN_FOLDER(test_nothing_is_known),
	    IN_FOLDER(test_an_unreadable_class_is_an_error),
	    IN_FOLDER(test_no_descriptors_is_an_error),
	    IN_FOLDER(test_v1_counts_by_pids),
	    IN_FOLDER(test_v1_without_pids_counts_containers),
	    IN_FOLDER(test_v1_freezer_of_a_nested_root),
	    IN_FOLDER(test_v1_no_freezer_is_not_no_pod),
	    IN_FOLDER(test_v2_is_read_back),
	    IN_FOLDER(test_controller_folder),
	    cmocka_unit_test_teardown(test_real_v1, real_teardown),
	    cmocka_unit_test_teardown(test_real_v2, real_teardown),
	    IN_FOLDER(test_pod_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
