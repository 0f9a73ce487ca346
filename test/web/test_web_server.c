/* test_web_server.c — the HTTP server against well-behaved and hostile clients, all in one loop */
#include "../support.h"
#include "web_rig.h"

static int calls;
static enum web_origin last_origin;

static void on_hello(void *arg, const struct web_request *rq, struct web_response *rs)
{
	const char *name = web_query(rq, "name"), *flag = web_query(rq, "flag");

	assert_ptr_equal(arg, &calls);
	calls++;
	last_origin = rq->origin;
	rs->content_type = "text/plain";
	buf_addf(&rs->body, "hello %s%s", str_or(name, "nobody"), flag ? " flag" : "");
}

static void on_echo(void *arg, const struct web_request *rq, struct web_response *rs)
{
	(void)arg;
	calls++;
	assert_int_equal(rq->body[rq->body_len], '\0');
	buf_addf(&rs->body, "%s %s %zu ", rq->method, rq->path, rq->body_len);
	buf_add(&rs->body, rq->body, rq->body_len < 100 ? rq->body_len : 100);
}

static void on_fail(void *arg, const struct web_request *rq, struct web_response *rs)
{
	(void)arg;
	(void)rq;
	buf_adds(&rs->body, "half an answer");
	web_error(rs, 400, "bad \"%s\"\n\\", "thing");
}

static void on_big(void *arg, const struct web_request *rq, struct web_response *rs)
{
	(void)arg;
	(void)rq;
	for (int i = 0; i < 100000; i++)
		buf_adds(&rs->body, "0123456789");
}

static const struct web_route routes[] = {
    {"GET", "/hello", on_hello, "", WEB_OPEN}, {"POST", "/echo", on_echo, "", WEB_OPEN},
    {"GET", "/files/*", on_echo, "", WEB_OPEN}, {"GET", "/fail", on_fail, "", WEB_OPEN},
    {"GET", "/big", on_big, "", WEB_OPEN},
};

static int open_at(const char *address, struct web **out_web)
{
	return web_new(&(struct web_params){.loop = loop, .listen = address, .routes = routes, .route_count = ARRAY_LEN(routes),
					    .arg = &calls}, out_web);
}

static int setup(void **state)
{
	(void)state;
	calls = 0;
	loop = loop_new();
	assert_int_equal(open_at("127.0.0.1:0", &web), 0);
	assert_int_not_equal(web_port(web), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	web_free(web);
	web = NULL;
	loop_free(loop);
	return 0;
}

/* The server still answers. */
static void check_alive(void)
{
	cleanup(client_fini) struct client c = {0};

	assert_int_equal(exchange(&c, "GET /hello?name=you" CLOSE), 200);
	assert_string_equal(body_of(&c), "hello you");
}

static void test_routes(void **state)
{
	static const struct {
		const char *request;
		int status;
		const char *part;
	} rows[] = {
	    {"GET /hello" CLOSE, 200, "hello nobody"},
	    {"GET /hello?name=a%20b%26c&flag" CLOSE, 200, "hello a b&c flag"},
	    {"GET /hello?name=" CLOSE, 200, "hello "},
	    {"GET /files/a/b?x=1" CLOSE, 200, "GET /files/a/b 0 "},
	    {"GET /nothing" CLOSE, 404, "{\"error\":\"no such path; GET / lists them\"}\n"},
	    {"GET /hello/" CLOSE, 404, "no such path"},
	    {"GET /" CLOSE, 404, "no such path"},
	    {"POST /hello" CLOSE, 405, "POST is not allowed here"},
	    {"DELETE /files/a" CLOSE, 405, "DELETE is not allowed here"},
	    {"GET /echo" CLOSE, 405, "not allowed"},
	    {"GET /fail" CLOSE, 400, "{\"error\":\"bad \\\"thing\\\"\\u000a\\\\\"}\n"},
	    {"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nabcde", 200,
	     "POST /echo 5 abcde"},
	    {"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: "
	     "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
	     200, "POST /echo 5 abcde"},
	    {"GET /hello HTTP/1.0\r\n\r\n", 200, "hello nobody"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup(client_fini) struct client c = {0};

		if (exchange(&c, rows[i].request) != rows[i].status || !strstr(body_of(&c), rows[i].part))
			fail_msg("%s: %s", rows[i].request, str_or(c.in.data, "no answer"));
	}
}

static void test_head_and_headers(void **state)
{
	cleanup(client_fini) struct client head = {0}, get = {0}, not_allowed = {0};

	(void)state;
	assert_int_equal(exchange(&head, "HEAD /hello" CLOSE), 200);
	assert_string_equal(body_of(&head), "");
	assert_non_null(strstr(head.in.data, "Content-Length: 12\r\n"));
	assert_int_equal(last_origin, WEB_LOOPBACK);
	assert_int_equal(exchange(&get, "GET /hello" CLOSE), 200);
	assert_non_null(strstr(get.in.data, "Content-Type: text/plain\r\n"));
	assert_non_null(strstr(get.in.data, "Cache-Control: no-store\r\n"));
	assert_int_equal(exchange(&not_allowed, "POST /hello" CLOSE), 405);
	assert_non_null(strstr(not_allowed.in.data, "Allow: "));
}

static void test_big_answer(void **state)
{
	cleanup(client_fini) struct client c = {0};

	(void)state;
	assert_int_equal(exchange(&c, "GET /big" CLOSE), 200);
	assert_int_equal(strlen(body_of(&c)), 1000000);
}

static void test_body_limit(void **state)
{
	static const struct {
		int size, status;
	} rows[] = {
	    {WEB_BODY_MAX, 200},
	    {WEB_BODY_MAX + 1, 413},
	    {3000000, 413},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup(client_fini) struct client c = {0};
		cleanup(freep) char *body = mem_calloc((size_t)rows[i].size + 1, 1);
		int before = calls;

		memset(body, 'x', (size_t)rows[i].size);
		buf_addf(&c.out, "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s",
			 rows[i].size, body);
		assert_int_equal(exchange(&c, NULL), rows[i].status);
		assert_int_equal(calls - before, rows[i].status == 200); /* no handler sees a body that is cut */
	}
	check_alive();
}

static void test_header_flood(void **state)
{
	cleanup(client_fini) struct client many = {0}, longest = {0};

	(void)state;
	buf_adds(&many.out, "GET /hello HTTP/1.1\r\nHost: x\r\n");
	for (int i = 0; i < 20000; i++)
		buf_addf(&many.out, "X-%d: %d\r\n", i, i);
	buf_adds(&many.out, "\r\n");
	assert_int_not_equal(exchange(&many, NULL), 200);
	buf_adds(&longest.out, "GET /hello?name=");
	for (int i = 0; i < 200000; i++)
		buf_addc(&longest.out, 'a');
	buf_adds(&longest.out, CLOSE);
	assert_int_not_equal(exchange(&longest, NULL), 200);
	assert_int_equal(calls, 0);
	check_alive();
}

/* Somebody sends one byte at a time; others are served meanwhile, and so is he in the end. */
static void test_slow_client(void **state)
{
	cleanup(client_fini) struct client slow = {.step = 1};
	int served = 0;

	(void)state;
	client_start(&slow, "GET /hello?name=slow" CLOSE);
	while (!slow.closed && served < 1000) {
		check_alive();
		served++;
	}
	assert_true(served > 0);
	assert_true(loop_run_until(loop, &slow.closed, patient_ms(20000)));
	assert_string_equal(body_of(&slow), "hello slow");
}

/* Connections that never say anything do not keep others out until they are timed out. */
static void test_silent_clients(void **state)
{
	struct client silent[2 * WEB_PLACES_PER_ADDRESS] = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(silent); i++)
		client_start(&silent[i], NULL);
	check_alive();
	for (size_t i = 0; i < ARRAY_LEN(silent); i++)
		client_fini(&silent[i]);
	check_alive();
}

static void test_many_at_once(void **state)
{
	enum { N = 200 };
	static struct client c[N];
	int answered = 0;

	(void)state;
	memset(c, 0, sizeof(c));
	for (int i = 0; i < N; i++)
		client_start(&c[i], "GET /hello" CLOSE);
	for (int i = 0; i < N; i++) { /* each ends: with an answer, or refused because of the limit */
		assert_true(loop_run_until(loop, &c[i].closed, patient_ms(20000)));
		assert_true(status_of(&c[i]) == 200 || c[i].in.len == 0);
		answered += status_of(&c[i]) == 200;
	}
	assert_in_range(answered, 1, N);
	for (int i = 0; i < N; i++)
		client_fini(&c[i]);
	check_alive();
}

static void test_malformed(void **state)
{
	static const char *const rows[] = {
	    "\r\n\r\n",
	    "GET\r\n\r\n",
	    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
	    "GET /hello HTTP/9.9\r\n\r\n",
	    "GET /hello HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
	    "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
	    "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
	    "GET /hello HTTP/1.1\r\nbroken header\r\n\r\n",
	    "GET /%zz%00%ff?%=%&=&& HTTP/1.1\r\nHost: x\r\n\r\n",
	    "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\ncut",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup(client_fini) struct client c = {.half_close = true};

		client_start(&c, rows[i]);
		(void)loop_run_until(loop, &c.closed, 100); /* an answer, or nothing until the server's timeout */
		if (status_of(&c) == 200 && !str_has_prefix(rows[i], "GET /hello HTTP/9.9"))
			fail_msg("%s was taken", rows[i]);
		check_alive();
	}
}

/* The client sends its request, closes its half and still gets the answer. */
static void test_half_closed(void **state)
{
	cleanup(client_fini) struct client c = {.half_close = true};

	(void)state;
	assert_int_equal(exchange(&c, "GET /hello" CLOSE), 200);
	assert_string_equal(body_of(&c), "hello nobody");
}

static void test_gone_before_the_answer(void **state)
{
	(void)state;
	for (int i = 0; i < 50; i++) {
		struct client c = {0};
		bool never = false;

		client_start(&c, "GET /big" CLOSE);
		(void)loop_run_until(loop, &never, i % 3);
		client_fini(&c);
	}
	check_alive();
}

static void test_keep_alive(void **state)
{
	cleanup(client_fini) struct client c = {0};

	(void)state;
	(void)exchange(&c, "GET /hello?name=1 HTTP/1.1\r\nHost: x\r\n\r\nGET /hello?name=2 HTTP/1.1\r\nHost: "
			   "x\r\n\r\nGET /hello?name=3" CLOSE);
	assert_non_null(strstr(c.in.data, "hello 1"));
	assert_non_null(strstr(c.in.data, "hello 2"));
	assert_non_null(strstr(c.in.data, "hello 3"));
	assert_int_equal(calls, 3);
}

static void test_listen(void **state)
{
	static const char *const bad[] = {
	    "", "8000", "localhost", "127.0.0.1:x", "127.0.0.1:99999", "no such host:1", "256.0.0.1:1"};
	struct web *other = NULL;
	cleanup(freep) char *taken = str_format("127.0.0.1:%u", web_port(web));

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (open_at(bad[i], &other) >= 0)
			fail_msg("%s was taken", bad[i]);
	assert_int_equal(open_at(taken, &other), -EADDRINUSE);
	assert_null(other);
	assert_int_equal(open_at(":0", &other), 0);
	web_free(other);
	web_free(NULL);
}

/* Freed with requests in the middle: nothing is left behind (ASan, and the assertion in loop_free, look on). */
static void test_free_in_the_middle(void **state)
{
	cleanup(client_fini) struct client a = {0}, b = {0};
	bool never = false;

	(void)state;
	client_start(&a, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf");
	client_start(&b, "GET /hel");
	(void)loop_run_until(loop, &never, 20);
	web_free(web);
	web = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_routes, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_head_and_headers, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_big_answer, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_body_limit, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_header_flood, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_slow_client, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_silent_clients, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_many_at_once, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_malformed, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_half_closed, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_gone_before_the_answer, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_keep_alive, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_listen, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_free_in_the_middle, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
