/* test_conf_load.c — every key good and bad, every error with its place, and printing what loads again */
#include "../support.h"

#include "conf/conf_int.h"
#include "model/workload.h"

static char dir[TMP_SIZE];
static struct conf *conf;
static struct buf errors, warnings;

static int setup(void **state)
{
	(void)state;
	tmp_new(dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	conf_free(conf);
	conf = NULL;
	buf_fini(&errors);
	buf_fini(&warnings);
	tmp_free(dir);
	return 0;
}

static int load(const char *text, const char *const *env)
{
	char path[TMP_SIZE + 16];

	(void)snprintf(path, sizeof(path), "%s/c.yaml", dir);
	conf_free(conf);
	conf = NULL;
	buf_clear(&errors);
	buf_clear(&warnings);
	if (text)
		tmp_write(path, text);
	return conf_load(text ? path : NULL, env, &conf, &errors, &warnings);
}

static const char *const node_env[] = {"NODE_NAME=edge-1", NULL};

static void expect_error(const char *part)
{
	if (!errors.data || !strstr(errors.data, part))
		fail_msg("\"%s\" is not in \"%s\"", part, str_or(errors.data, ""));
}

static void test_defaults(void **state)
{
	(void)state;
	assert_int_equal(load(NULL, node_env), 0);
	assert_string_equal(conf->node, "edge-1");
	assert_string_equal(conf->site, "");
	assert_int_equal(conf->mode, CONF_MODE_HEAL);
	assert_string_equal(conf->serf_rpc, "127.0.0.1:7373");
	assert_int_equal(conf->serf_poll_ms, 250);
	assert_int_equal(conf->kube_offline_after_ms, 3000);
	assert_string_equal(conf->http_listen, "0.0.0.0:8000");
	assert_string_equal(conf->http_socket, "/run/edge-healer.sock");
	assert_int_equal(conf->http_loopback, CONF_LOOPBACK_OPEN);
	assert_int_equal(conf->heal_namespaces.count, 2);
	assert_string_equal(conf->heal_namespaces.items[1], "!kube-system");
	assert_int_equal(conf->heal_policy, POLICY_AT_LEAST_ONCE);
	assert_int_equal(conf->budget_max_lost_nodes, 50);
	assert_null(warnings.data);
	assert_int_equal(load("", node_env), 0);
	assert_int_equal(load("# only a comment\nheal:\nserf:\n  # rpc: x\n", node_env), 0);
}

static void test_node_is_required(void **state)
{
	const char *const empty[] = {NULL};

	(void)state;
	assert_int_equal(load(NULL, empty), -EINVAL);
	expect_error("node: required");
	assert_int_equal(load(NULL, NULL), -EINVAL);
	assert_int_equal(load("node: edge-7\n", empty), 0);
	assert_string_equal(conf->node, "edge-7");
}

static void test_good(void **state)
{
	(void)state;
	assert_int_equal(load("node: edge-2\nmode: observe\nsite: 'west: 1'\n"
			      "serf:\n  poll: 1s500ms\n  peer_ttl: 5s\n  join: [a, \"b:1\"]\n"
			      "kube:\n  page: 7\n"
			      "heal:\n  policy: never\n  namespaces:\n  - shop-*\n  - '!shop-test'\n"
			      "budget:\n  max_lost_nodes: 25%\n",
			      NULL),
			 0);
	assert_string_equal(conf->site, "west: 1");
	assert_int_equal(conf->mode, CONF_MODE_OBSERVE);
	assert_int_equal(conf->serf_poll_ms, 1500);
	assert_int_equal(conf->serf_join.count, 2);
	assert_string_equal(conf->serf_join.items[1], "b:1");
	assert_int_equal(conf->kube_page, 7);
	assert_int_equal(conf->heal_policy, POLICY_NEVER);
	assert_int_equal(conf->heal_namespaces.count, 2); /* instead of the default, not added to it */
	assert_string_equal(conf->heal_namespaces.items[0], "shop-*");
	assert_int_equal(conf->budget_max_lost_nodes, 25);
	assert_int_equal(load("budget:\n  max_lost_nodes: 25\nheal:\n  namespaces: a,b\n", node_env), 0);
	assert_int_equal(conf->budget_max_lost_nodes, 25);
	assert_int_equal(conf->heal_namespaces.count, 2);
}

static void test_bad_values(void **state)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
	    {"serf:\n  poll: 5\n", "c.yaml:2: serf.poll: \"5\" is no duration"},
	    {"serf:\n  poll: 1.5s\n", "no duration"},
	    {"serf:\n  poll: 1ms\n", "serf.poll: 1ms is out of range: use 50ms to 1m"},
	    {"kube:\n  page: 0\n", "\"0\" is not a whole number from 1 to 10000"},
	    {"kube:\n  page: ten\n", "not a whole number"},
	    {"budget:\n  max_lost_nodes: 101%\n", "not a whole number from 1 to 100"},
	    {"budget:\n  max_lost_nodes: '%'\n", "not a whole number"},
	    {"mode: Heal\n", "c.yaml:1: mode:"},
	    {"mode: [heal]\n", "must be one value"},
	    {"heal:\n  namespaces: {a: b}\n", "must be a list"},
	    {"heal:\n  namespaces: [[a]]\n", "items must be text"},
	    {"log:\n  level: loud\n", "log.level: \"loud\""},
	    {"serf:\n  rpc: localhost\n", "c.yaml:2: serf.rpc: \"localhost\": it has no port: write 127.0.0.1:7373"},
	    {"http:\n  listen: localhost\n", "http.listen"},
	    {"http:\n  socket: run/x.sock\n",
	     "http.socket: \"run/x.sock\": write a whole path, from / on, of at most 107 bytes"},
	    {"http:\n  loopback: closed\n", "http.loopback"},
	    {"serf:\n  poll: 2s\n  peer_ttl: 2s\n", "c.yaml:3: serf.peer_ttl: 2s, with serf.poll 2s ("},
	    {"store:\n  path: ''\n",
	     "c.yaml:2: store.path: it may not be empty: leave the key out for the default (/data/desired.db)"},
	    {"[a, b]\n", "must be a mapping"},
	    {"just text\n", "must be a mapping"},
	    {"mode: 'heal\n", "not YAML"},
	    {"a: b: c\n", "c.yaml:1: not YAML"},
	    {"\tmode: heal\n", "not YAML"},
	    {"? [a]\n: b\n", "keys must be text"},
	    {"serf: 5\n", "unknown key"},
	    {"mode:\n  deep: 1\n", "must be one value"},
	    {"serf:\n  rpc:\n    deep: 1\n", "must be one value"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (load(rows[i].text, node_env) != -EINVAL)
			fail_msg("%s was taken", rows[i].text);
		expect_error(rows[i].error);
	}
}

static void test_list_limit(void **state)
{
	cleanup(buf_fini) struct buf text = BUF_INIT;

	(void)state;
	buf_adds(&text, "serf:\n  join: [a");
	for (int i = 1; i < CONF_LIST_MAX; i++)
		buf_adds(&text, ", a");
	buf_adds(&text, "]\n");
	assert_int_equal(load(text.data, node_env), 0);
	assert_int_equal(conf->serf_join.count, CONF_LIST_MAX);
	text.len -= 2;
	buf_adds(&text, ", a]\n");
	assert_int_equal(load(text.data, node_env), -EINVAL);
	expect_error("more than 64 items");
}

static void test_all_errors_at_once(void **state)
{
	static const char *const env[] = {"NODE_NAME=n", "EDGE_HEALER_SERF_POLL=never", "METRICS_PORT=99999",
					  "EDGE_HEALER_NO=1", NULL};
	int lines = 0;

	(void)state;
	assert_int_equal(load("mode: x\nserf:\n  pol: 1s\n  poll: 1\nnosuch: 1\n", env), -EINVAL);
	expect_error("c.yaml:1: mode:");
	expect_error("c.yaml:3: serf.pol: unknown key; did you mean serf.poll?");
	expect_error("c.yaml:4: serf.poll:");
	expect_error("c.yaml:5: nosuch: unknown key");
	expect_error("environment EDGE_HEALER_SERF_POLL: serf.poll:");
	expect_error("environment METRICS_PORT: \"99999\" is no port");
	expect_error("environment EDGE_HEALER_NO: no such key");
	for (const char *p = errors.data; *p; p++)
		lines += *p == '\n';
	assert_int_equal(lines, 7);
}

static void test_failure_keeps_old(void **state)
{
	static const char *const bad[] = {"mode: x\n", "{", "nosuch: 1\n"};
	struct conf *old;

	(void)state;
	assert_int_equal(load("mode: observe\n", node_env), 0);
	old = conf;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		tmp_write(tmp_path(dir, "bad.yaml"), bad[i]);
		assert_int_equal(conf_load(tmp_path(dir, "bad.yaml"), node_env, &conf, &errors, &warnings), -EINVAL);
		assert_ptr_equal(conf, old);
		assert_int_equal(conf->mode, CONF_MODE_OBSERVE);
		buf_clear(&errors);
	}
	assert_int_equal(conf_load(tmp_path(dir, "none.yaml"), node_env, &conf, &errors, &warnings), -EINVAL);
	expect_error("none.yaml: No such file");
	assert_ptr_equal(conf, old);
}

static void test_file_limit(void **state)
{
	cleanup(freep) char *text = mem_calloc(CONF_FILE_MAX + 2, 1);

	(void)state;
	memset(text, '#', CONF_FILE_MAX);
	assert_int_equal(load(text, node_env), 0);
	text[CONF_FILE_MAX] = '#';
	assert_int_equal(load(text, node_env), -EINVAL);
	expect_error("larger than");
}

static void test_environment(void **state)
{
	static const char *const plain[] = {"NODE_NAME=e",       "GOSSIP_ADDR=10.0.0.1:7373",
					    "CACHE_PATH=/x.db",  "LOG_LEVEL=debug",
					    "METRICS_PORT=9100", "NODE_NAMES=no",
					    "UNRELATED=1",       NULL};
	static const char *const both[] = {"NODE_NAME=plain",          "EDGE_HEALER_NODE=ours",
					   "EDGE_HEALER_SERF_RPC=10.0.0.2:1", "EDGE_HEALER_HEAL_NAMESPACES=a,b,c",
					   "EDGE_HEALER_SITE=",        NULL};
	/* of the client, and what kubelet sets for a Service that is named edge-healer */
	static const char *const foreign[] = {"NODE_NAME=e",
					      "EDGE_HEALER_CONFIG=/x",
					      "EDGE_HEALER_URL=http://h:1",
					      "EDGE_HEALER_SERVICE_HOST=10.96.0.7",
					      "EDGE_HEALER_SERVICE_PORT=8000",
					      "EDGE_HEALER_SERVICE_PORT_HTTP=8000",
					      "EDGE_HEALER_PORT=tcp://10.96.0.7:8000",
					      "EDGE_HEALER_PORT_8000_TCP_ADDR=10.96.0.7",
					      NULL};

	(void)state;
	assert_int_equal(load("serf:\n  rpc: 10.9.9.9:1\n", plain), 0);
	assert_string_equal(conf->node, "e");
	assert_string_equal(conf->serf_rpc, "10.0.0.1:7373"); /* above the file */
	assert_string_equal(conf->store_path, "/x.db");
	assert_string_equal(conf->log_level, "debug");
	assert_string_equal(conf->http_listen, "0.0.0.0:9100");
	assert_int_equal(load("http:\n  listen: '[::]:1'\n", plain), 0);
	assert_string_equal(conf->http_listen, "[::]:9100");
	assert_int_equal(load("site: file\n", both), 0);
	assert_string_equal(conf->node, "ours");
	assert_string_equal(conf->serf_rpc, "10.0.0.2:1");
	assert_int_equal(conf->heal_namespaces.count, 3);
	assert_string_equal(conf->site, "");
	assert_int_equal(load(NULL, foreign), 0);
	assert_string_equal(conf->http_listen, "0.0.0.0:8000");
}

static void test_pending_keys_warn(void **state)
{
	(void)state;
	assert_int_equal(load("mode: heal\nheal:\n  selector: a=b\n", node_env), 0);
	assert_non_null(warnings.data);
	assert_non_null(strstr(warnings.data, "c.yaml:3: heal.selector: accepted, but has no effect"));
	assert_null(strstr(warnings.data, "mode"));
}

static void test_gate_addresses(void **state)
{
	(void)state;
	assert_int_equal(load("kubelet:\n  gate: on\n  gate_addresses: ['10.0.0.1:6443', '[fd00::1]:6443']\n", node_env), 0);
	assert_int_equal(conf->kubelet_gate, CONF_GATE_ON);
	assert_int_equal(conf->kubelet_gate_addresses.count, 2);
	assert_true(warnings.len == 0);
	assert_int_equal(load("kubelet:\n  gate_addresses: ['10.0.0.1', 'api:6443']\n", node_env), -EINVAL);
	assert_non_null(strstr(errors.data, "kubelet.gate_addresses: \"10.0.0.1\": write an IP address and a port"));
	assert_non_null(strstr(errors.data, "c.yaml:2: kubelet.gate_addresses: \"api:6443\": write"));
}

static void test_print_loads_again(void **state)
{
	cleanup(buf_fini) struct buf once = BUF_INIT, twice = BUF_INIT;

	(void)state;
	assert_int_equal(
	    load("site: \"a\\\"b\\\\c\\td: #e\\u00e9\"\nmode: observe\nserf:\n  join: ['x', 'b:1']\n  poll: 750ms\n"
		 "budget:\n  max_lost_nodes: 33\nheal:\n  namespaces: [\"*\", \"!a\"]\n  policy: at-most-once\n",
		 node_env),
	    0);
	conf_print(conf, &once);
	assert_int_equal(load(once.data, NULL), 0);
	conf_print(conf, &twice);
	assert_string_equal(once.data, twice.data);
	assert_string_equal(conf->site, "a\"b\\c\td: #e\xc3\xa9");
	assert_string_equal(conf->serf_join.items[1], "b:1");
	assert_string_equal(conf->heal_namespaces.items[1], "!a");
	for (size_t i = 0; i < conf_key_count; i++) {
		const char *dot = strrchr(conf_keys[i].path, '.');
		cleanup(freep) char *key = str_format("%s: ", dot ? dot + 1 : conf_keys[i].path);

		assert_non_null(strstr(once.data, key));
	}
}

static void test_reference(void **state)
{
	cleanup(buf_fini) struct buf b = BUF_INIT;

	(void)state;
	conf_print_reference(&b);
	for (size_t i = 0; i < conf_key_count; i++) {
		cleanup(freep) char *row = str_format("\n| `%s` | ", conf_keys[i].path);

		if (!strstr(b.data, row) || !strstr(b.data, conf_keys[i].help))
			fail_msg("%s is missing", conf_keys[i].path);
	}
	assert_non_null(strstr(b.data, "`EDGE_HEALER_SERF_AUTH_KEY_FILE`"));
}

/* Every default is a value that the key itself would take, and every key can be set by the environment. */
static void test_defaults_are_valid(void **state)
{
	(void)state;
	assert_int_equal(load(NULL, node_env), 0);
	for (size_t i = 0; i < conf_key_count; i++) {
		cleanup(buf_fini) struct buf why = BUF_INIT;

		if (conf_key_set(conf, &conf_keys[i], conf_keys[i].fallback, &why) != 0)
			fail_msg("%s: %s", conf_keys[i].path, why.data);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(conf_keys[i].path, conf_keys[k].path);
	}
}

/* Cross-checks stand where the key was set, be it a variable, and name the other with its place. */
static void test_places(void **state)
{
	static const char *const env[] = {"NODE_NAME=n", "EDGE_HEALER_SERF_POLL=5s", "METRICS_PORT=10250", NULL};
	static const char *const both[] = {"NODE_NAME=n", "EDGE_HEALER_SERF_POLL=5s", "EDGE_HEALER_SERF_PEER_TTL=1s",
					   NULL};

	(void)state;
	assert_int_equal(load(NULL, env), -EINVAL);
	expect_error("environment EDGE_HEALER_SERF_POLL: serf.poll: 5s, with serf.peer_ttl 2s (the default): ");
	expect_error(
	    "environment METRICS_PORT: http.listen: \"0.0.0.0:10250\", with kubelet.port 10250 (the default): ");
	assert_int_equal(load("serf:\n  peer_ttl: 4s\n", env), -EINVAL);
	expect_error("c.yaml:2: serf.peer_ttl: 4s, with serf.poll 5s (EDGE_HEALER_SERF_POLL in the environment): ");
	assert_int_equal(load("serf:\n  peer_ttl: 9s\n", both), -EINVAL);
	expect_error(
	    "environment EDGE_HEALER_SERF_PEER_TTL: serf.peer_ttl: 1s, with serf.poll 5s (EDGE_HEALER_SERF_POLL in");
}

static void test_unknown_variables(void **state)
{
	static const char *const env[] = {"NODE_NAME=n", "EDGE_HEALER_SERFRPC=x", "EDGE_HEALER_NODE_NAME=n",
					  "EDGE_HEALER_QUITE_ELSE=x", "EDGE_HEALER_A\nB=x", NULL};

	(void)state;
	assert_int_equal(load(NULL, env), -EINVAL);
	assert_string_equal(errors.data,
			    "environment EDGE_HEALER_SERFRPC: no such key; did you mean EDGE_HEALER_SERF_RPC?\n"
			    "environment EDGE_HEALER_NODE_NAME: no such key; did you mean NODE_NAME?\n"
			    "environment EDGE_HEALER_QUITE_ELSE: no such key\n"
			    "environment EDGE_HEALER_A?B: no such key\n");
}

/* A value that was refused takes no part in the checks of several keys: one complaint, not two. */
static void test_one_complaint_a_fault(void **state)
{
	(void)state;
	assert_int_equal(load("serf:\n  poll: 5\n  peer_ttl: 200ms\n", node_env), -EINVAL);
	assert_string_equal(strchr(errors.data, '\n'), "\n");
	assert_int_equal(load("store:\n  path: x.db\n", node_env), -EINVAL);
	assert_string_equal(strchr(errors.data, '\n'), "\n");
	assert_int_equal(load("node: A\n", NULL), -EINVAL);
	assert_string_equal(strchr(errors.data, '\n'), "\n");
}

/* The file of another machine: its environment gives the node, and its links are not ours. */
static void test_alone(void **state)
{
	struct conf_source src = {.path = "x.yaml", .alone = true};
	cleanup(freep) char *link = str_format("%s/link", dir);
	cleanup(freep) char *text = str_format("store:\n  path: %s/db\nkubelet:\n  static_pod_path: %s\n", link, dir);

	(void)state;
	assert_int_equal(symlink(dir, link), 0);
	src.text = text;
	assert_int_equal(conf_read(&src, &conf, &errors, &warnings), -EINVAL);	/* as written it is in there */
	conf_free(take(conf));
	buf_clear(&errors);
	tmp_write(tmp_path(dir, "c.yaml"), "");
	src.text = "site: here\n";
	assert_int_equal(conf_read(&src, &conf, &errors, &warnings), 0);
	assert_string_equal(conf->site, "here");
	conf_free(take(conf));
	src.alone = false;
	assert_int_equal(conf_read(&src, &conf, &errors, &warnings), -EINVAL);
	expect_error("node: required");
}

static void test_links(void **state)
{
	cleanup(freep) char *manifests = str_format("%s/manifests", dir), *link = str_format("%s/link", dir);
	const char *const paths[] = {link, manifests};
	struct conf_source src = {.path = "x.yaml"};

	(void)state;
	assert_int_equal(file_make_dirs(tmp_path(manifests, "deep"), 0700), 0);
	assert_int_equal(symlink(tmp_path(manifests, "deep"), link), 0);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		cleanup(freep) char *text = str_format(
		    "node: n\nkubelet:\n  static_pod_path: %s\n  bundle_dir: %s/new/one\n", manifests, paths[i]);

		src.text = text;
		src.alone = false;
		assert_int_equal(conf_read(&src, &conf, &errors, &warnings), -EINVAL);
		expect_error("x.yaml:4: kubelet.bundle_dir: ");
		conf_free(take(conf));
		buf_clear(&errors);
		src.alone = true;	/* then the link is only a name */
		assert_int_equal(conf_read(&src, &conf, &errors, &warnings), i == 0 ? 0 : -EINVAL);
		conf_free(take(conf));
		buf_clear(&errors);
	}
}

/* Two names of one file (a hard link) are seen too. */
static void test_one_file(void **state)
{
	cleanup(freep) char *a = str_format("%s/a", dir), *b = str_format("%s/b", dir);
	cleanup(freep) char *text = str_format("node: n\nstore:\n  path: %s\nkube:\n  kubeconfig: %s\n", a, b);
	const struct conf_source src = {.path = "x.yaml", .text = text};

	(void)state;
	tmp_write(a, "apiVersion: v1\n");
	assert_int_equal(link(a, b), 0);
	assert_int_equal(conf_read(&src, &conf, &errors, &warnings), -EINVAL);
	expect_error("x.yaml:3: store.path: ");
	expect_error("is the same file as kube.kubeconfig");
}

static void test_nul(void **state)
{
	(void)state;
	assert_int_equal(load("store:\n  path: \"/data/x\\0.db\"\n", node_env), -EINVAL);
	expect_error("c.yaml:2: store.path: the value contains a NUL: take it out");
	assert_int_equal(load("\"mode\\0x\": observe\n", node_env), -EINVAL);
	expect_error("c.yaml:1: (top): keys must be text");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_defaults, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_node_is_required, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_good, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_bad_values, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_list_limit, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_all_errors_at_once, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_failure_keeps_old, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_file_limit, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_environment, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_pending_keys_warn, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_gate_addresses, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_print_loads_again, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_reference, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_defaults_are_valid, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_places, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_unknown_variables, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_one_complaint_a_fault, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_alone, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_links, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_one_file, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_nul, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
