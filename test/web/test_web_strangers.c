/* test_web_strangers.c — whatever is sent to it: it goes on listening, others are served, the loop has time for other
 * work */
#include "../support.h"
#include "../patience.h"
#include "web_rig.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/metric.h"

#define HEAVY_MS 3
#define STREAM_SLICES 4000 /* 64 MB: more than any socket takes */

static int heavy_calls, heavy_at_light, light_calls, slices, streams_freed;
static char folder[TMP_SIZE], *path;

static void on_light(void *arg, const struct web_request *rq, struct web_response *rs)
{
	(void)arg;
	(void)rq;
	light_calls++;
	heavy_at_light = heavy_calls;
	buf_adds(&rs->body, "light");
}

static void on_heavy(void *arg, const struct web_request *rq, struct web_response *rs)
{
	int64_t end = cpu_read_ns() + HEAVY_MS * NS_PER_MS;

	(void)arg;
	(void)rq;
	heavy_calls++;
	while (cpu_read_ns() < end)
		;
	buf_adds(&rs->body, "heavy");
}

static bool stream_next(void *state, struct buf *out)
{
	int *left = state;

	slices++;
	for (int i = 0; i < WEB_SLICE / 16; i++)
		buf_adds(out, "0123456789abcdef");
	return --*left > 0;
}

static void stream_free(void *state)
{
	streams_freed++;
	free(state);
}

static void on_stream(void *arg, const struct web_request *rq, struct web_response *rs)
{
	int *left;
	int64_t n = 3;

	(void)arg;
	(void)num_parse_i64(str_or(web_query(rq, "slices"), "3"), 1, STREAM_SLICES, &n);
	if (n > 100 && !web_large(rq, rs))
		return;
	left = mem_new(int);
	*left = (int)n;
	rs->stream = (struct web_stream){stream_next, stream_free, left};
}

static bool may(void *arg, const struct web_request *rq, struct web_response *rs)
{
	(void)arg;
	if (str_eq(rq->authorization, "Bearer yes") || rq->origin == WEB_SOCKET)
		return true;
	web_error(rs, 401, "no");
	return false;
}

static const struct web_route routes[] = {
    {"GET", "/light", on_light, "", WEB_OPEN},    {"GET", "/heavy", on_heavy, "", WEB_OPEN},
    {"GET", "/urgent", on_light, "", WEB_URGENT}, {"GET", "/guarded", on_light, "", WEB_GUARDED},
    {"GET", "/stream", on_stream, "", WEB_OPEN},
};

static int setup(void **state)
{
	struct web_params p = {.listen = "127.0.0.1:0", .routes = routes, .route_count = ARRAY_LEN(routes), .may = may};

	(void)state;
	heavy_calls = light_calls = slices = streams_freed = 0;
	loop = loop_new();
	p.loop = loop;
	assert_int_equal(web_new(&p, &web), 0);
	tmp_new(folder);
	path = str_format("%s/web.sock", folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	web_free(web);
	web = NULL;
	loop_free(loop);
	free(path);
	tmp_free(folder);
	return 0;
}

static void run_for(int64_t ms)
{
	bool never = false;

	(void)loop_run_until(loop, &never, ms);
}

static void check_answers(const char *source)
{
	cleanup(client_fini) struct client c = {0};

	client_start_from(&c, source, "GET /light" CLOSE);
	assert_true(loop_run_until(loop, &c.closed, patient_ms(2000)));
	assert_int_equal(status_of(&c), 200);
}

static void finish(struct client *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		client_fini(&c[i]);
}

/* All connections end in one round of libmicrohttpd: nobody waits for anything then, and it must listen all the same.
 */
static void test_all_time_out_at_once(void **state)
{
	static struct client c[64];

	(void)state;
	memset(c, 0, sizeof(c));
	for (size_t i = 0; i < ARRAY_LEN(c); i++)
		client_start_from(&c[i], i % 2 ? "127.0.0.1" : "127.0.0.2", NULL);
	run_for(300);
	assert_int_equal(web_places(web, WEB_LOOPBACK), ARRAY_LEN(c));
	(void)sleep(WEB_TIMEOUT_S + 1); /* the process is stopped, as it were */
	run_for(300);
	assert_int_equal(web_places(web, WEB_LOOPBACK), 0);
	check_answers("127.0.0.1");
	finish(c, ARRAY_LEN(c));
}

/* More connections than places, from one address, then from many: others are answered at once, and all goes on
 * afterwards. */
static void test_idle_flood(void **state)
{
	enum { N = 400 };
	static struct client c[N];

	(void)state;
	for (int many = 0; many < 2; many++) {
		memset(c, 0, sizeof(c));
		for (int i = 0; i < N; i++) {
			char source[32];

			(void)snprintf(source, sizeof(source), "127.0.1.%d", many ? 1 + i % 250 : 1);
			client_start_from(&c[i], source, "GET /li");
			if (i % 50 == 0)
				check_answers("127.0.0.9");
		}
		run_for(50);
		assert_in_range(web_places(web, WEB_LOOPBACK), 1,
				many ? WEB_PLACES_LOOPBACK : WEB_PLACES_PER_LOCAL_ADDRESS);
		check_answers("127.0.0.9");
		check_answers("127.0.1.1");
		finish(c, N);
	}
	check_answers("127.0.0.1");
}

/* Places of this machine are gone, by many addresses: the socket has its own. */
static void test_the_socket_has_its_own_places(void **state)
{
	static struct client idle[WEB_PLACES_LOOPBACK];
	cleanup(client_fini) struct client c = {0};

	(void)state;
	assert_int_equal(web_listen_path(web, path), 0);
	memset(idle, 0, sizeof(idle));
	for (size_t i = 0; i < ARRAY_LEN(idle); i++) {
		char source[32];

		(void)snprintf(source, sizeof(source), "127.0.1.%zu", 1 + i);
		client_start_from(&idle[i], source, NULL);
	}
	run_for(50);
	client_start_path(&c, path, "GET /guarded" CLOSE);
	assert_true(loop_run_until(loop, &c.closed, patient_ms(2000)));
	assert_int_equal(status_of(&c), 200);
	assert_int_equal(web_places(web, WEB_LOOPBACK), WEB_PLACES_LOOPBACK);
	finish(idle, ARRAY_LEN(idle));
}

/* accept() finds no descriptor: it rests instead of spinning, and goes on when there are some again. */
static void test_no_descriptors(void **state)
{
	cleanup(client_fini) struct client c = {0};
	struct rlimit before, none;
	int64_t cpu, next;

	(void)state;
	client_start(&c, "GET /light" CLOSE);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	next = fcntl(c.fd, F_DUPFD_CLOEXEC, 0);
	assert_true(next >= 0);
	assert_int_equal(close((int)next), 0);
	none = (struct rlimit){(rlim_t)next, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	cpu = cpu_read_ns();
	run_for(500);
	cpu = cpu_read_ns() - cpu;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(light_calls, 0);
	assert_true(cpu < 250 * NS_PER_MS);
	assert_true(loop_run_until(loop, &c.closed, patient_ms(2000)));
	assert_int_equal(status_of(&c), 200);
}

/* ---- the budget ---- */

static struct timer *ticker;
static int before_tick, most_between_ticks;

static void on_tick(void *arg)
{
	int between = heavy_calls - before_tick;

	(void)arg;
	most_between_ticks = between > most_between_ticks ? between : most_between_ticks;
	before_tick = heavy_calls;
	timer_start_ms(ticker, 0);
}

/* Many costly requests at once: other work of the loop comes in between, all are answered, health does not wait for them. */
static void test_a_tick_has_a_budget(void **state)
{
	enum { N = 40, SHARE = WEB_BUDGET_MS / HEAVY_MS + 1, SHARES = N / SHARE };
	static struct client c[N];
	cleanup(client_fini) struct client urgent = {0};
	double put_off = metric_get(METRIC_HTTP_PUT_OFF, 0);
	struct mono began = mono_read();
	int64_t took_ms;
	int asked_at;

	(void)state;
	memset(c, 0, sizeof(c));
	before_tick = most_between_ticks = 0;
	ticker = timer_new(loop, "ticker", on_tick, NULL);
	timer_start_ms(ticker, 0);
	for (int i = 0; i < N; i++) {
		char source[32];

		(void)snprintf(source, sizeof(source), "127.0.0.%d", 1 + i / 10);
		client_start_from(&c[i], source, "GET /heavy" CLOSE);
	}
	run_for(5);
	asked_at = heavy_calls;
	client_start_from(&urgent, "127.0.0.9", "GET /urgent" CLOSE);
	assert_true(loop_run_until(loop, &urgent.closed, patient_ms(20000)));
	for (int i = 0; i < N; i++) {
		assert_true(loop_run_until(loop, &c[i].closed, patient_ms(20000)));
		assert_int_equal(status_of(&c[i]), 200);
	}
	took_ms = mono_since_ms(mono_read(), began);
	timer_free(ticker);
	assert_int_equal(status_of(&urgent), 200);
	assert_in_range(most_between_ticks, 1, SHARE);
	assert_true(took_ms >= (SHARES - 1) * 2 * WEB_BUDGET_MS); /* after each share others have as long */
	assert_in_range(heavy_at_light - asked_at, 0, 3 * SHARE);
	assert_true(metric_get(METRIC_HTTP_PUT_OFF, 0) - put_off >= SHARES - 1);
	finish(c, N);
}

/* ---- streams ---- */

static void test_a_stream_arrives(void **state)
{
	static const char *const requests[] = {"GET /stream" CLOSE, "GET /stream HTTP/1.0\r\n\r\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		cleanup(client_fini) struct client c = {0};
		size_t digits = 0;

		assert_int_equal(exchange(&c, requests[i]), 200);
		for (const char *p = body_of(&c); *p; p++)
			digits += *p == '9';
		assert_int_equal(digits, 3 * WEB_SLICE / 16);
		assert_int_equal(streams_freed, (int)i + 1);
	}
}

/* Nobody reads it: no more is made than the socket takes. One at a time; root's socket has one of its own; who does not
 * take his loses it. */
static void test_a_large_answer_at_a_time(void **state)
{
	cleanup(client_fini) struct client mute = {.mute = true}, second = {0}, small = {0}, own = {.mute = true},
					   again = {0};

	(void)state;
	assert_int_equal(web_listen_path(web, path), 0);
	client_start(&mute, "GET /stream?slices=4000" CLOSE);
	run_for(300);
	assert_in_range(slices, 1, STREAM_SLICES / 4);
	client_start(&second, "GET /stream?slices=101" CLOSE);
	assert_true(loop_run_until(loop, &second.closed, patient_ms(2000)));
	assert_int_equal(status_of(&second), 429);
	assert_non_null(strstr(second.in.data, "Retry-After: 1\r\n"));
	assert_int_equal(exchange(&small, "GET /stream" CLOSE), 200);
	client_start_path(&own, path, "GET /stream?slices=101" CLOSE);
	run_for(100);
	assert_int_equal(web_places(web, WEB_SOCKET), 1);
	run_for((WEB_LARGE_S + 2) * MS_PER_S);
	assert_int_equal(web_places(web, WEB_LOOPBACK), 0);
	assert_int_equal(web_places(web, WEB_SOCKET), 0);
	assert_int_equal(exchange(&again, "GET /stream?slices=101" CLOSE), 200);
	assert_int_equal(streams_freed, 4);
}

static void test_the_reader_leaves(void **state)
{
	cleanup(client_fini) struct client again = {0};

	(void)state;
	for (int i = 0; i < 20; i++) {
		struct client c = {.mute = i % 2};

		client_start(&c, "GET /stream?slices=4000" CLOSE);
		run_for(i);
		client_fini(&c);
		run_for(20);
	}
	assert_int_equal(exchange(&again, "GET /stream?slices=101" CLOSE), 200);
	assert_int_equal(web_places(web, WEB_LOOPBACK), 0);
}

static void test_freed_with_a_stream_on_its_way(void **state)
{
	cleanup(client_fini) struct client c = {.mute = true};

	(void)state;
	client_start(&c, "GET /stream?slices=4000" CLOSE);
	run_for(50);
	web_free(web);
	web = NULL;
	assert_int_equal(streams_freed, 1);
}

/* ---- who may ask, and what is said ---- */

static void test_guarded(void **state)
{
	cleanup(client_fini) struct client none = {0}, head = {0}, good = {0};

	(void)state;
	assert_int_equal(exchange(&none, "GET /guarded" CLOSE), 401);
	assert_non_null(strstr(none.in.data, "WWW-Authenticate: Bearer\r\n"));
	assert_int_equal(exchange(&head, "HEAD /guarded" CLOSE), 401);
	assert_int_equal(light_calls, 0);
	assert_int_equal(
	    exchange(&good,
		     "GET /guarded HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer yes\r\nConnection: close\r\n\r\n"),
	    200);
	assert_int_equal(light_calls, 1);
}

/* What the client sent comes back in the answer: as JSON that is JSON. */
static void test_errors_are_json(void **state)
{
	static const char *const requests[] = {"\xff\xfe\"\\T /light" CLOSE, "\xc3\x28 /light" CLOSE,
					       "A\x7f /light" CLOSE};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		cleanup(client_fini) struct client c = {0};
		cleanup(json_putp) json_object *o = NULL;
		const char *body;

		assert_int_equal(exchange(&c, requests[i]), 405);
		body = body_of(&c);
		assert_int_equal(json_parse(body, strlen(body), &o), 0);
		assert_non_null(json_get_str(o, "error"));
		assert_null(strpbrk(body, "\xff\xfe\xc3"));
	}
}

static void test_socket_file(void **state)
{
	struct web_params p = {.loop = loop, .listen = "127.0.0.1:0", .routes = routes, .route_count = 1};
	struct web *other = NULL;
	struct stat st;
	cleanup(buf_fini) struct buf text = BUF_INIT;
	cleanup(freep) char *longest = mem_calloc(200, 1), *stale = str_format("%s.old", path);

	(void)state;
	assert_int_equal(web_listen_path(web, path), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(web_new(&p, &other), 0);
	assert_int_equal(web_listen_path(other, path), -EADDRINUSE); /* somebody lives behind it */
	assert_int_equal(rename(path, stale), 0);
	assert_int_equal(web_listen_path(other, path), 0);
	web_free(web); /* what is there now is not its own */
	web = NULL;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(rename(stale, path), 0); /* nobody behind it: as a killed process leaves it */
	web_free(other);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(web_new(&p, &web), 0);
	assert_int_equal(web_listen_path(web, path), 0);
	web_free(web);
	web = NULL;
	assert_int_equal(stat(path, &st), -1); /* unlinked by its owner */
	assert_int_equal(file_write_atomic(path, "mine", 4, 0600), 0);
	assert_int_equal(web_new(&p, &web), 0);
	assert_int_equal(web_listen_path(web, path), -EEXIST);
	assert_int_equal(file_read(path, 100, &text), 0);
	assert_string_equal(text.data, "mine");
	memset(longest, 'x', 199);
	assert_int_equal(web_listen_path(web, longest), -ENAMETOOLONG);
	assert_true(web_listen_path(web, "/no/such/folder/x") < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_all_time_out_at_once, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_idle_flood, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_the_socket_has_its_own_places, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_no_descriptors, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_tick_has_a_budget, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_stream_arrives, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_large_answer_at_a_time, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_the_reader_leaves, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_freed_with_a_stream_on_its_way, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_guarded, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_errors_are_json, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_socket_file, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
