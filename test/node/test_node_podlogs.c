/* test_node_podlogs.c — the log folders that kubelet keeps, and whose names they are */
#include "../support.h"

#include <errno.h>
#include <sys/stat.h>

#include "node/podlogs.h"

static char seen[512];

static void on_pod(void *arg, const char *pod, const char *uid)
{
	size_t n = strlen(seen);

	assert_ptr_equal(arg, seen);
	(void)snprintf(seen + n, sizeof(seen) - n, "%s=%s ", pod, uid);
}

static void test_pods_of_a_namespace(void **state)
{
	static const char *const names[] = { "kube-system_edge-healer-x7k2p_1b", "default_web-1_2c", "kube-systems_a_3d", "stray",
					     "kube-system_b" };
	char dir[TMP_SIZE], path[TMP_SIZE + 64];

	(void)state;
	tmp_new(dir);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	seen[0] = '\0';
	assert_int_equal(pod_logs_each(dir, "kube-system", on_pod, seen), 0);
	assert_string_equal(seen, "edge-healer-x7k2p=1b ");
	(void)snprintf(path, sizeof(path), "%s/none", dir);
	assert_int_equal(pod_logs_each(path, "kube-system", on_pod, seen), -ENOENT);
	tmp_free(dir);
}

static void test_names_that_the_api_server_makes_up(void **state)
{
	static const char long_set[] = "edge-healer-of-the-north-eastern-shops-and-of-their-warehouses";	/* 62 */

	(void)state;
	assert_true(pod_is_of_daemon_set("edge-healer-x7k2p", "edge-healer"));
	assert_false(pod_is_of_daemon_set("edge-healer-x7k2p", "edge"));
	assert_false(pod_is_of_daemon_set("edge-healer-standby-shop1", "edge-healer"));
	assert_false(pod_is_of_daemon_set("edge-healer-shop1", "edge-healer"));		/* 'o' is never made up */
	assert_false(pod_is_of_daemon_set("edge-healer-x7k2", "edge-healer"));
	assert_false(pod_is_of_daemon_set("edge-healer-x7k2p2", "edge-healer"));
	assert_true(pod_is_of_daemon_set("edge-healer-of-the-north-eastern-shops-and-of-their-warehox7k2p", long_set));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pods_of_a_namespace),
		cmocka_unit_test(test_names_that_the_api_server_makes_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
