/* test_kube_client.c — requests against a scripted server: outcomes, retries, time limits, dead connections, cancelling
 */
#include "kube_rig.h"

#include <unistd.h>

#include "http_rig.h"
#include "loop/op.h"

struct rig { struct http_rig *http; struct kube_rig kube; };

static int setup(void **state)
{
	struct rig *r = mem_new(struct rig);

	r->http = http_rig_new(NULL);
	kube_rig_init(&r->kube, http_rig_url(r->http));
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	kube_rig_fini(&r->kube);
	http_rig_free(r->http);
	free(r);
	return 0;
}

#define STATUS(code, reason, message)                                                                                  \
	"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"message\":\"" message                     \
	"\",\"reason\":\"" reason "\",\"code\":" #code "}"

static void an_answer_comes_with_its_body(void **state)
{
	struct rig *r = *state;
	struct got g;

	http_rig_add(r->http, &(struct rig_step){ .want = "GET /api/v1/pods?x=1 ", .body = "{\"a\":1}", .cut = 1 });
	g = rig_get(&r->kube, "/api/v1/pods?x=1", 0);
	assert_int_equal(g.outcome, KUBE_OK);
	assert_int_equal(g.status, 200);
	assert_int_equal(g.http_version, 11);
	assert_string_equal(g.body, "{\"a\":1}");
	assert_string_equal(g.message, "");
	assert_int_equal(r->kube.contacts, 1);
	assert_non_null(strstr(http_rig_request(r->http, 0), "Accept: application/json\r\n"));
	assert_non_null(strstr(http_rig_request(r->http, 0), "User-Agent: edge-healer"));
	assert_null(strstr(http_rig_request(r->http, 0), "Authorization"));
	got_fini(&g);
}

static void statuses_become_outcomes(void **state)
{
	static const struct {
		int status;
		const char *body;
		enum kube_outcome outcome;
		const char *message;
		enum kube_contact_kind kind;
	} rows[] = {
		{ 404, STATUS(404, "NotFound", "pods \\\"x\\\" not found"), KUBE_E_NOT_FOUND, "pods \"x\" not found",
		  KUBE_CONTACT_READ },
		{ 409, STATUS(409, "Conflict", "c"), KUBE_E_CONFLICT, "c", KUBE_CONTACT_READ },
		{ 409, STATUS(409, "AlreadyExists", "e"), KUBE_E_ALREADY_EXISTS, "e", KUBE_CONTACT_READ },
		{ 410, STATUS(410, "Expired", "g"), KUBE_E_GONE, "g", KUBE_CONTACT_OTHER },
		{ 403, "forbidden, says a proxy", KUBE_E_FORBIDDEN, "forbidden", KUBE_CONTACT_REFUSED },
		{ 401, "", KUBE_E_UNAUTHORIZED, "unauthorized", KUBE_CONTACT_REFUSED },
		{ 422, STATUS(422, "Invalid", "i"), KUBE_E_INVALID, "i", KUBE_CONTACT_OTHER },
		{ 503, "<html>", KUBE_E_SERVER, "server error", KUBE_CONTACT_ERROR },
		{ 302, "", KUBE_E_SERVER, "server error", KUBE_CONTACT_ERROR },
	};
	struct rig *r = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct got g;

		http_rig_add(r->http, &(struct rig_step){ .status = rows[i].status, .body = rows[i].body });
		g = rig_get(&r->kube, "/x", 0);
		assert_int_equal(g.outcome, rows[i].outcome);
		assert_int_equal(g.status, rows[i].status);
		assert_string_equal(g.message, rows[i].message);
		assert_int_equal(r->kube.last, rows[i].kind);
		got_fini(&g);
	}
	assert_int_equal(r->kube.contacts, ARRAY_LEN(rows));
	assert_int_equal(r->kube.failures, 0);
}

static void connections_are_kept_but_probes_make_their_own(void **state)
{
	struct rig *r = *state;
	struct got g = { 0 };
	char ip[ENDPOINT_TEXT_SIZE];

	http_rig_add(r->http, &(struct rig_step){ .body = "ok", .forever = true });
	for (int i = 0; i < 3; i++) {
		g = rig_get(&r->kube, "/x", 0);
		got_fini(&g);
	}
	assert_int_equal(http_rig_connections(r->http), 1);
	for (int i = 0; i < 2; i++) {
		struct found f = { 0 };

		(void)kube_probe(r->kube.client, NULL, 1000, got_probe, &f);
		rig_wait(&r->kube, &f.done);
		assert_int_equal(f.outcome, KUBE_PROBE_ANSWERS);
		endpoint_ip(&f.at, ip);
		assert_string_equal(ip, "127.0.0.1");
	}
	assert_int_equal(http_rig_connections(r->http), 3);
	assert_non_null(strstr(http_rig_request(r->http, 4), "GET /version "));
	g = rig_get(&r->kube, "/x", 0);
	assert_int_equal(http_rig_connections(r->http), 3);
	got_fini(&g);
}

static void too_many_waits_as_told_and_tries_again(void **state)
{
	struct rig *r = *state;
	struct mono start;
	struct got g;

	http_rig_add(r->http, &(struct rig_step){ .status = 429, .headers = "Retry-After: 1\r\n" });
	http_rig_add(r->http, &(struct rig_step){ .status = 500 });
	http_rig_add(r->http, &(struct rig_step){ .body = "{}" });
	start = mono_read();
	g = rig_get(&r->kube, "/x", 5);
	assert_int_equal(g.outcome, KUBE_OK);
	assert_int_equal(g.attempts, 3);
	assert_true(mono_since_ms(mono_read(), start) >= 1000);
	got_fini(&g);
	http_rig_add(r->http, &(struct rig_step){ .status = 429, .headers = "Retry-After: 7\r\n" });
	g = rig_get(&r->kube, "/x", 0);
	assert_int_equal(g.outcome, KUBE_E_TOO_MANY);
	assert_int_equal(g.retry_after_ms, 7000);
	got_fini(&g);
}

static void retries_end(void **state)
{
	struct rig *r = *state;
	struct got g;

	http_rig_add(r->http, &(struct rig_step){ .status = 503, .forever = true });
	g = rig_get(&r->kube, "/x", 2);
	assert_int_equal(g.outcome, KUBE_E_SERVER);
	assert_int_equal(g.attempts, 3);
	assert_int_equal(http_rig_requests(r->http), 3);
	got_fini(&g);
}

static void what_is_wrong_is_not_tried_again(void **state)
{
	struct rig *r = *state;
	struct got g;

	http_rig_add(r->http, &(struct rig_step){ .status = 404, .forever = true });
	g = rig_get(&r->kube, "/x", 5);
	assert_int_equal(g.attempts, 1);
	got_fini(&g);
}

/* One "wait for a day" must not stop us for a day. */
static void a_retry_after_is_believed_up_to_a_limit(void **state)
{
	static const char *const headers[] = { "Retry-After: 3600\r\n", "Retry-After: 86400\r\n", "Retry-After: 99999999999\r\n" };
	struct rig *r = *state;
	struct got g;

	for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
		http_rig_add(r->http, &(struct rig_step){ .status = 429, .headers = headers[i] });
		g = rig_get(&r->kube, "/x", 0);
		assert_int_equal(g.retry_after_ms, KUBE_RETRY_AFTER_MAX_MS);
		got_fini(&g);
	}
	http_rig_add(r->http, &(struct rig_step){ .status = 429,
						  .body = "{\"kind\":\"Status\",\"details\":{\"retryAfterSeconds\":7200}}" });
	g = rig_get(&r->kube, "/x", 0);
	assert_int_equal(g.retry_after_ms, KUBE_RETRY_AFTER_MAX_MS);
	got_fini(&g);
}

/* The API server behind another address: requests go there, and back. */
static void requests_take_the_route_that_was_chosen(void **state)
{
	struct rig *r = *state;
	struct http_rig *other = http_rig_new(NULL);
	const struct kube_route route = { .host = "127.0.0.1", .port = (uint16_t)http_rig_port(other), .name = "" };
	struct found f = { 0 };
	struct got g;

	http_rig_add(r->http, &(struct rig_step){ .body = "own", .forever = true });
	http_rig_add(other, &(struct rig_step){ .body = "other", .forever = true });
	kube_client_set_route(r->kube.client, &route);
	g = rig_get(&r->kube, "/x", 0);
	assert_string_equal(g.body, "other");
	got_fini(&g);
	(void)kube_probe(r->kube.client, NULL, 3000, got_probe, &f);	/* is about our own all the same */
	rig_wait(&r->kube, &f.done);
	assert_int_equal(f.at.port, http_rig_port(r->http));
	kube_client_set_route(r->kube.client, NULL);
	g = rig_get(&r->kube, "/x", 0);
	assert_string_equal(g.body, "own");
	got_fini(&g);
	http_rig_free(other);
}

static void nobody_there_is_unreachable(void **state)
{
	struct rig *r = *state;
	struct kube_rig dead;
	cleanup(freep) char *url = NULL;
	struct http_rig *gone = http_rig_new(NULL);
	struct got g;

	url = str_dup(http_rig_url(gone));
	http_rig_free(gone);
	kube_rig_init(&dead, url);
	g = rig_get(&dead, "/x", 0);
	assert_int_equal(g.outcome, KUBE_E_UNREACHABLE);
	assert_int_equal(g.status, 0);
	assert_string_equal(g.message, "connection refused");
	assert_int_equal(dead.failures, 1);
	assert_int_equal(dead.contacts, 0);
	assert_string_equal(dead.last_failure, "connection refused");
	assert_int_equal(dead.last, KUBE_CONTACT_NONE);
	got_fini(&g);
	kube_rig_fini(&dead);
	(void)r;
}

static void silence_ends_at_the_time_limit(void **state)
{
	struct rig *r = *state;
	const struct kube_request_params p = { .path = "/x", .timeout_ms = 100 };
	struct got g = { 0 };
	struct found f = { 0 };

	http_rig_add(r->http, &(struct rig_step){ .end = RIG_NO_ANSWER });
	(void)kube_request(r->kube.client, &p, got_answer, &g);
	rig_wait(&r->kube, &g.done);
	assert_int_equal(g.outcome, KUBE_E_UNREACHABLE);
	assert_string_equal(g.message, "timed out");
	assert_int_equal(r->kube.failures, 1);
	assert_int_equal(r->kube.last, KUBE_CONTACT_UNANSWERED);
	got_fini(&g);
	http_rig_add(r->http, &(struct rig_step){ .end = RIG_NO_ANSWER });
	(void)kube_probe(r->kube.client, NULL, 100, got_probe, &f);
	rig_wait(&r->kube, &f.done);
	assert_int_equal(f.outcome, KUBE_PROBE_SILENT);	/* a connection that is accepted proves nothing */
}

static void broken_answers_are_no_answers(void **state)
{
	struct rig *r = *state;
	struct got g;

	http_rig_add(r->http, &(struct rig_step){ .body = "{\"half\":", .end = RIG_CUT });
	g = rig_get(&r->kube, "/x", 0);
	assert_int_equal(g.outcome, KUBE_E_UNREACHABLE);
	assert_int_equal(g.status, 200);
	assert_true(g.message[0]);
	got_fini(&g);
	http_rig_add(r->http, &(struct rig_step){ .end = RIG_NOTHING, .forever = true });
	g = rig_get(&r->kube, "/x", 0);
	assert_int_equal(g.outcome, KUBE_E_UNREACHABLE);
	assert_int_equal(g.status, 0);
	got_fini(&g);
}

static void a_body_beyond_the_limit_is_refused(void **state)
{
	struct rig *r = *state;
	cleanup(freep) char *big = mem_calloc(KUBE_BODY_MAX + 2, 1);
	struct got g;

	memset(big, 'x', KUBE_BODY_MAX + 1);
	http_rig_add(r->http, &(struct rig_step){ .body = big });
	g = rig_get(&r->kube, "/x", 0);
	assert_int_equal(g.outcome, KUBE_E_TOO_BIG);
	assert_string_equal(g.body, "");
	got_fini(&g);
}

static void more_requests_than_slots_wait_for_their_turn(void **state)
{
	enum { MANY = 3 * KUBE_INFLIGHT_MAX };
	struct rig *r = *state;
	const struct kube_request_params p = { .path = "/x" };
	struct got g[MANY] = { 0 };

	http_rig_add(r->http, &(struct rig_step){ .body = "{}", .forever = true });
	for (int i = 0; i < MANY; i++)
		(void)kube_request(r->kube.client, &p, got_answer, &g[i]);
	assert_int_equal(kube_client_in_flight(r->kube.client), MANY);
	for (int i = 0; i < MANY; i++) {
		rig_wait(&r->kube, &g[i].done);
		assert_int_equal(g[i].outcome, KUBE_OK);
		assert_int_equal(g[i].count, 1);
		got_fini(&g[i]);
	}
	assert_int_equal(kube_client_in_flight(r->kube.client), 0);
	assert_true(http_rig_connections(r->http) <= KUBE_INFLIGHT_MAX);
}

static void waiting_in_the_queue_counts(void **state)
{
	struct rig *r = *state;
	const struct kube_request_params slow = {.path = "/slow", .timeout_ms = WAIT_MS},
					 p = {.path = "/x", .timeout_ms = 50};
	struct op *ops[KUBE_INFLIGHT_MAX];
	struct got g[KUBE_INFLIGHT_MAX] = { 0 }, late = { 0 };

	http_rig_add(r->http, &(struct rig_step){ .end = RIG_NO_ANSWER, .forever = true });
	for (int i = 0; i < KUBE_INFLIGHT_MAX; i++)
		ops[i] = kube_request(r->kube.client, &slow, got_answer, &g[i]);
	(void)kube_request(r->kube.client, &p, got_answer, &late);
	rig_wait(&r->kube, &late.done);
	assert_int_equal(late.outcome, KUBE_E_UNREACHABLE);
	assert_string_equal(late.message, "timed out in the queue");
	assert_int_equal(r->kube.failures, 0);
	for (int i = 0; i < KUBE_INFLIGHT_MAX; i++)
		op_cancelp(&ops[i]);
	got_fini(&late);
}

static void a_cancelled_request_says_nothing(void **state)
{
	struct rig *r = *state;
	const struct kube_request_params p = { .path = "/x" };
	struct got g = { 0 }, other;
	struct op *op;

	http_rig_add(r->http, &(struct rig_step){ .want = "/x ", .end = RIG_NO_ANSWER });
	http_rig_add(r->http, &(struct rig_step){ .want = "/y ", .body = "{}" });
	op = kube_request(r->kube.client, &p, got_answer, &g);
	other = rig_get(&r->kube, "/y", 0);
	op_cancelp(&op);
	assert_null(op);
	assert_int_equal(kube_client_in_flight(r->kube.client), 0);
	assert_int_equal(g.count, 0);
	got_fini(&other);
}

struct ending { struct got got; struct rig *rig; int *in_a_start; bool ended; };

static void start_another(void *arg, const struct kube_answer *answer)
{
	struct ending *e = arg;
	const struct kube_request_params p = { .path = "/y", .timeout_ms = WAIT_MS };

	assert_int_equal(*e->in_a_start, 0);	/* never inside of a call that starts something */
	(*e->in_a_start)++;
	(void)kube_request(e->rig->kube.client, &p, got_answer, &e->got);
	(*e->in_a_start)--;
	assert_int_equal(answer->outcome, KUBE_E_UNREACHABLE);
	e->ended = true;
}

/* Both are over in the same look of libcurl: whoever starts the next by the end of one must not meet the end of the other there. */
static void what_ends_together_ends_one_after_the_other(void **state)
{
	struct rig *r = *state;
	const struct kube_request_params p = { .path = "/x", .timeout_ms = 50 };
	int in_a_start = 0;
	struct ending e[2] = { { .rig = r, .in_a_start = &in_a_start }, { .rig = r, .in_a_start = &in_a_start } };

	http_rig_add(r->http, &(struct rig_step){ .want = "/x ", .end = RIG_NO_ANSWER });
	http_rig_add(r->http, &(struct rig_step){ .want = "/x ", .end = RIG_NO_ANSWER });
	http_rig_add(r->http, &(struct rig_step){ .body = "{}", .forever = true });
	for (int i = 0; i < 2; i++)
		(void)kube_request(r->kube.client, &p, start_another, &e[i]);
	(void)usleep(100 * 1000);
	for (int i = 0; i < 2; i++) {
		rig_wait(&r->kube, &e[i].got.done);
		assert_true(e[i].ended);
		assert_int_equal(e[i].got.outcome, KUBE_OK);
		got_fini(&e[i].got);
	}
}

static void dropped_connections_end_at_once(void **state)
{
	struct rig *r = *state;
	const struct kube_request_params p = { .path = "/x", .timeout_ms = WAIT_MS };
	const struct kube_request_params again = { .path = "/y", .timeout_ms = WAIT_MS, .retries = 1 };
	struct got g = { 0 }, h = { 0 }, other;

	http_rig_add(r->http, &(struct rig_step){ .want = "/x ", .end = RIG_NO_ANSWER });
	http_rig_add(r->http, &(struct rig_step){ .want = "/y ", .end = RIG_NO_ANSWER });
	http_rig_add(r->http, &(struct rig_step){ .body = "{}", .forever = true });
	(void)kube_request(r->kube.client, &p, got_answer, &g);
	(void)kube_request(r->kube.client, &again, got_answer, &h);
	other = rig_get(&r->kube, "/z", 0);
	kube_client_drop_connections(r->kube.client);
	assert_false(g.done);
	rig_wait(&r->kube, &g.done);
	assert_int_equal(g.outcome, KUBE_E_UNREACHABLE);
	assert_string_equal(g.message, "connection dropped");
	rig_wait(&r->kube, &h.done);
	assert_int_equal(h.outcome, KUBE_OK);
	assert_int_equal(h.attempts, 2);
	assert_int_equal(r->kube.failures, 0);
	assert_int_equal(http_rig_connections(r->http), 4);
	got_fini(&g);
	got_fini(&h);
	got_fini(&other);
}

struct stream {
	struct got got;		/* first: got_answer's argument */
	struct kube_rig *rig;
	struct op *op;
	struct buf data;
	int opened;
	bool cancel_on_open, cancel_on_data, start_on_data, cancelled;
	struct got started;
};

static void stream_open(void *arg)
{
	struct stream *s = arg;

	s->opened++;
	if (!s->cancel_on_open)
		return;
	op_cancelp(&s->op);
	s->cancelled = true;
}

static void stream_data(void *arg, const char *data, size_t n)
{
	struct stream *s = arg;

	buf_add(&s->data, data, n);
	if (s->start_on_data) {
		s->start_on_data = false;
		(void)kube_request(s->rig->client, &(struct kube_request_params){.path = "/started"}, got_answer,
				   &s->started);
	}
	if (s->cancel_on_data) {
		op_cancelp(&s->op);
		s->cancelled = true;
	}
}

static const struct kube_request_params stream_params = {
	.path = "/stream", .timeout_ms = -1, .on_open = stream_open, .on_data = stream_data,
};

static void streams_come_piece_by_piece(void **state)
{
	struct rig *r = *state;
	struct stream s = { .rig = &r->kube, .start_on_data = true };

	http_rig_add(r->http,
		     &(struct rig_step){.want = "/stream", .body = "abcdef", .cut = 2, .gate = true, .tail = "gh"});
	http_rig_add(r->http, &(struct rig_step){ .want = "/started", .body = "{}" });
	(void)kube_request(r->kube.client, &stream_params, got_answer, &s);
	rig_wait(&r->kube, &s.started.done);		/* while the stream is open */
	assert_int_equal(s.started.outcome, KUBE_OK);
	assert_false(s.got.done);
	http_rig_release(r->http);
	rig_wait(&r->kube, &s.got.done);
	assert_int_equal(s.got.outcome, KUBE_OK);
	assert_int_equal(s.opened, 1);
	assert_string_equal(s.data.data, "abcdefgh");
	assert_string_equal(s.got.body, "");
	buf_fini(&s.data);
	got_fini(&s.got);
	got_fini(&s.started);
}

static void a_stream_can_be_cancelled_from_its_callbacks(void **state)
{
	struct rig *r = *state;
	struct stream s = { .rig = &r->kube, .cancel_on_data = true }, o = { .rig = &r->kube, .cancel_on_open = true };
	struct got g;

	http_rig_add(r->http,
		     &(struct rig_step){.want = "/stream", .body = "abcdef", .end = RIG_HOLD, .forever = true});
	http_rig_add(r->http, &(struct rig_step){ .want = "/x", .body = "{}" });
	s.op = kube_request(r->kube.client, &stream_params, got_answer, &s);
	rig_wait(&r->kube, &s.cancelled);
	o.op = kube_request(r->kube.client, &stream_params, got_answer, &o);
	rig_wait(&r->kube, &o.cancelled);
	g = rig_get(&r->kube, "/x", 0);
	assert_int_equal(s.got.count + o.got.count, 0);
	assert_null(o.data.data);
	assert_int_equal(kube_client_in_flight(r->kube.client), 0);
	buf_fini(&s.data);
	got_fini(&g);
}

static void a_stream_that_stalls_is_given_up(void **state)
{
	struct rig *r = *state;
	struct stream s = { .rig = &r->kube };
	struct kube_request_params p = stream_params;

	p.stall_ms = 100;
	http_rig_add(r->http, &(struct rig_step){ .want = "/stream", .body = "abc", .end = RIG_HOLD });
	(void)kube_request(r->kube.client, &p, got_answer, &s);
	rig_wait(&r->kube, &s.got.done);
	assert_int_equal(s.got.outcome, KUBE_E_UNREACHABLE);
	assert_true(str_has_prefix(s.got.message, "no data for 1"));
	assert_int_equal(r->kube.failures, 0);	/* it had answered: the next request tells */
	buf_fini(&s.data);
	got_fini(&s.got);
}

static void errors_of_streams_are_collected(void **state)
{
	struct rig *r = *state;
	struct stream s = { .rig = &r->kube };

	http_rig_add(r->http, &(struct rig_step){ .status = 410, .body = STATUS(410, "Expired", "too old") });
	(void)kube_request(r->kube.client, &stream_params, got_answer, &s);
	rig_wait(&r->kube, &s.got.done);
	assert_int_equal(s.got.outcome, KUBE_E_GONE);
	assert_string_equal(s.got.message, "too old");
	assert_int_equal(s.opened, 0);
	assert_null(s.data.data);
	got_fini(&s.got);
}

static void escaping_leaves_only_plain_characters(void **state)
{
	cleanup(buf_fini) struct buf b = BUF_INIT;

	(void)state;
	kube_escape(&b, "a-Z_0.~/ &=%\xc3\xa4");
	assert_string_equal(b.data, "a-Z_0.~%2F%20%26%3D%25%C3%A4");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(an_answer_comes_with_its_body),
	    T(statuses_become_outcomes),
	    T(connections_are_kept_but_probes_make_their_own),
	    T(too_many_waits_as_told_and_tries_again),
	    T(retries_end),
	    T(what_is_wrong_is_not_tried_again),
	    T(a_retry_after_is_believed_up_to_a_limit),
	    T(requests_take_the_route_that_was_chosen),
	    T(nobody_there_is_unreachable),
	    T(silence_ends_at_the_time_limit),
	    T(broken_answers_are_no_answers),
	    T(a_body_beyond_the_limit_is_refused),
	    T(more_requests_than_slots_wait_for_their_turn),
	    T(waiting_in_the_queue_counts),
	    T(a_cancelled_request_says_nothing),
	    T(what_ends_together_ends_one_after_the_other),
	    T(dropped_connections_end_at_once),
	    T(streams_come_piece_by_piece),
	    T(a_stream_can_be_cancelled_from_its_callbacks),
	    T(a_stream_that_stalls_is_given_up),
	    T(errors_of_streams_are_collected),
	    cmocka_unit_test(escaping_leaves_only_plain_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
