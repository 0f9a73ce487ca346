/* test_base_endpoint.c — addresses with ports, in every spelling that may come */
#include "../support.h"

#include <sys/socket.h>

#include "base/endpoint.h"

static const struct { const char *text, *want; } good[] = {
	{ "10.0.0.1:6443", "10.0.0.1:6443" },
	{ "localhost:6444", "127.0.0.1:6444" },
	{ "[fd00::1]:6443", "[fd00::1]:6443" },
	{ "[FD00:0:0::1]:65535", "[fd00::1]:65535" },
	{ "[::ffff:10.0.0.1]:6443", "10.0.0.1:6443" },	/* what a dual-stack socket calls it */
	{ "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535" },
};

static const char *const bad[] = {
	"", ":", ":6443", "10.0.0.1", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:6443x", "10.0.0:6443", "api:6443",
	"fd00::1", "fd00::1:6443", "[fd00::1]", "[fd00::1]:", "[fd00::1:6443", "[10.0.0.1]:6443", "[]:1", "[fd00::1]6443",
	"10.0.0.1:6443:1", " 10.0.0.1:6443", "10.0.0.1:-1", "10.0.0.1:000000006443", "[fd00::1%eth0]:6443",
	"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:1",
};

static void test_parse(void **state)
{
	char text[ENDPOINT_TEXT_SIZE];
	struct endpoint e, again;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(endpoint_parse(good[i].text, &e), 0);
		endpoint_format(&e, text);
		assert_string_equal(text, good[i].want);
		assert_int_equal(endpoint_parse(text, &again), 0);
		assert_true(endpoint_eq(&e, &again));
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (endpoint_parse(bad[i], &e) != -EINVAL)
			fail_msg("\"%s\" was taken", bad[i]);
}

static void test_url(void **state)
{
	static const struct { const char *url, *want; } rows[] = {
		{ "https://10.0.0.1:6443", "10.0.0.1:6443" },	{ "https://10.0.0.1", "10.0.0.1:443" },
		{ "http://10.0.0.1/", "10.0.0.1:80" },		{ "https://[fd00::1]:6443/k8s/c1", "[fd00::1]:6443" },
		{ "https://[fd00::1]", "[fd00::1]:443" },	{ "https://127.0.0.1:6444?x", "127.0.0.1:6444" },
		{ "https://api.example.com:6443", NULL },	{ "https://", NULL },
		{ "ftp://10.0.0.1:6443", NULL },		{ "10.0.0.1:6443", NULL },
		{ "https:///10.0.0.1", NULL },			{ "", NULL },
		{ NULL, NULL },
	};
	char text[ENDPOINT_TEXT_SIZE];
	struct endpoint e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(endpoint_of_url(rows[i].url, &e), rows[i].want ? 0 : -EINVAL);
		if (!rows[i].want)
			continue;
		endpoint_format(&e, text);
		assert_string_equal(text, rows[i].want);
	}
}

static void test_add(void **state)
{
	struct endpoint list[2], e;
	size_t n = 0;

	(void)state;
	assert_int_equal(endpoint_parse("10.0.0.1:1", &e), 0);
	assert_true(endpoint_add(list, &n, 2, &e));
	assert_true(endpoint_add(list, &n, 2, &e));
	assert_int_equal(n, 1);
	e.port = 2;
	assert_true(endpoint_add(list, &n, 2, &e));
	assert_true(endpoint_add(list, &n, 2, &e));
	assert_int_equal(endpoint_parse("[::1]:1", &e), 0);
	assert_false(endpoint_add(list, &n, 2, &e));
	assert_int_equal(n, 2);
	assert_int_equal(endpoint_of("10.0.0.1", 0, &e), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_url),
		cmocka_unit_test(test_add),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
