/* test_agent_preflight.c — what check-config takes, the parts of the agent take too */
#include "../support.h"

#include "agent/preflight.h"
#include "conf/conf_int.h"
#include "kube/credentials.h"
#include "serf/addr.h"

static const char *const addresses[] = {
    "127.0.0.1:7373",  "localhost:1", "[::1]:65535",    "[::ffff:1.2.3.4]:1", "127.0.0.1:0",
    "127.0.0.1:65536", "serf:7373",   "127.0.0.1",      "127.0.0.1:7373x",    "::1:7373",
    ":7373",           "[::1]",       "127.0.0.1:http", "[127.0.0.1]:1",
};

static void test_rpc_addresses(void **state)
{
	int taken = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
		cleanup(buf_fini) struct buf why = BUF_INIT;
		struct serf_addr addr;

		if (!form_rpc(addresses[i], &why))
			continue;
		taken++;
		assert_int_equal(serf_addr_parse(addresses[i], &addr, NULL), 0);
	}
	assert_int_equal(taken, 4);
}

static void test_servers(void **state)
{
	static const char *const servers[] = {"https://10.0.0.1:6443",
					      "http://[fd00::1]:1/k8s/c",
					      "https://api.example.com",
					      "https://h/",
					      "10.0.0.1:6443",
					      "h:6443",
					      "ftp://h",
					      "https://",
					      "https://:6443",
					      "https://h:0",
					      "https://h:65536",
					      "https://h:https",
					      "https://u@h",
					      "https://h?x",
					      "https://h#x",
					      "https://fd00::1:6443",
					      "https://[fd00::1",
					      "https://[fd00::1]x",
					      "https://h ",
					      "HTTPS://h"};
	int taken = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
		const struct kube_credentials_conf cc = {.server = servers[i], .anonymous = true};
		cleanup(kube_credentials_freep) struct kube_credentials *c = NULL;
		cleanup(buf_fini) struct buf why = BUF_INIT;
		char err[512];
		bool ok = form_server(servers[i], &why);

		taken += ok;
		if ((kube_credentials_load(&cc, &c, err, sizeof(err)) == 0) != ok)
			fail_msg("%s: check-config %s it, the agent does not", servers[i], ok ? "takes" : "refuses");
	}
	assert_int_equal(taken, 4);
}

/* A standby starts without credentials; an agent does not. */
static void test_standby(void **state)
{
	const struct conf_source src = {.path = "c.yaml",
					.text = "node: n\nkube:\n  kubeconfig: /no/such\nstore:\n  path: /tmp/x.db\n"};
	struct buf errors = BUF_INIT, warnings = BUF_INIT;
	cleanup(conf_freep) struct conf *c = NULL;

	(void)state;
	assert_int_equal(conf_read(&src, &c, &errors, &warnings), 0);
	preflight_check(c, true, &errors);
	assert_int_equal(errors.len, 0);
	preflight_check(c, false, &errors);
	assert_string_equal(errors.data, "c.yaml:3: kube.kubeconfig: kubeconfig /no/such: No such file or directory\n");
	buf_fini(&errors);
	buf_fini(&warnings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rpc_addresses),
	    cmocka_unit_test(test_servers),
	    cmocka_unit_test(test_standby),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
