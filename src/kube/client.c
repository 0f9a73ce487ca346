/* client.c — requests: waiting for a slot, attempts, and the answer in words
 *
 *   queued → running → done
 *               ↓ ↑ (401 with newer credentials: at once; 429, 5xx or no answer: after a pause, while retries are left)
 *             pausing
 *
 * A request ends in its transfer's on_end or, when it stalls, in its own timer. Its callback is the last thing that
 * happens: the request is unlinked before and freed by whoever called it, so that the callback may do anything but free
 * the client.
 */
#include "kube/client.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "kube/credentials.h"
#include "kube/kube_int.h"
#include "kube/transport.h"
#include "loop/loop.h"

enum { CLIENT_MAGIC = 0x0c11e217, REQUEST_MAGIC = 0x4e90e571 };

struct kube_client {
	unsigned magic;
	struct loop *loop;
	struct kube_credentials *credentials;
	struct transport *transport;
	kube_contact_fn on_contact;
	void *contact_arg;
	struct list queued, others;	/* struct request */
	size_t slots_used;
	struct mono heard;		/* the last byte of any answer */
	struct wall date;		/* of the last answer whose headers came */
	struct request *reporting;	/* on_contact is on the stack for it; NULL when it was cancelled there */
};

enum request_state { REQUEST_QUEUED, REQUEST_RUNNING, REQUEST_PAUSING };

struct request {
	struct op op;			/* first: the caller's handle */
	unsigned magic;
	struct list link;
	struct kube_client *client;
	enum request_state state;
	struct kube_request_params p;	/* its texts are below */
	char *method, *path, *query, *content_type, *accept, *body_out;
	kube_done_fn done;
	void *arg;
	struct transfer *transfer;
	struct timer *timer;		/* queued: time is up; running: stall; pausing: try again */
	struct mono queued_at, last_byte;
	struct buf body;		/* of the answer */
	bool too_big, refreshed, streamed, slot, opened, stalled;
	int attempts;
	unsigned generation;		/* of the credentials it was sent with */
};

static void request_try(struct request *q);

/* ---- the life of a request ---- */

static bool needs_slot(const struct request *q)
{
	return !q->p.on_data && !q->p.fresh;
}

static int64_t timeout_of(const struct request *q)
{
	return q->p.timeout_ms ? q->p.timeout_ms : KUBE_TIMEOUT_MS;
}

static void slot_release(struct request *q)
{
	if (!q->slot)
		return;
	q->slot = false;
	q->client->slots_used--;
}

/* Give free slots to those who wait. */
static void slots_fill(struct kube_client *c)
{
	struct request *next;

	while (c->slots_used < KUBE_INFLIGHT_MAX && (next = list_first(&c->queued, struct request, link)))
		request_try(next);
}

static void request_free(struct request *q)
{
	if (q->client->reporting == q)
		q->client->reporting = NULL;
	if (q->transfer)
		transfer_cancel(take(q->transfer));
	slot_release(q);
	list_remove(&q->link);
	timer_free(q->timer);
	free(q->method);
	free(q->path);
	free(q->query);
	free(q->content_type);
	free(q->accept);
	free(q->body_out);
	buf_fini(&q->body);
	q->magic = 0;
	free(q);
}

static void request_cancel(struct op *op)
{
	struct request *q = container_of(op, struct request, op);
	struct kube_client *c = q->client;

	assert(q->magic == REQUEST_MAGIC);
	request_free(q);
	slots_fill(c);
}

static void cancel_nothing(struct op *op)
{
	(void)op;
}

static void request_finish(struct request *q, const struct kube_answer *answer)
{
	struct kube_client *c = q->client;

	if (q->transfer)
		transfer_cancel(take(q->transfer));
	slot_release(q);
	list_remove(&q->link);
	timer_stop(q->timer);
	q->op.cancel = cancel_nothing;
	q->done(q->arg, answer);
	request_free(q);
	slots_fill(c);
}

/* ---- answers ---- */

/* False: the callback cancelled this request, which is gone. */
static bool report_contact(struct request *q, const struct kube_contact *contact)
{
	struct kube_client *c = q->client;
	bool alive;

	if (!c->on_contact)
		return true;
	c->reporting = q;
	c->on_contact(c->contact_arg, contact);
	alive = c->reporting == q;
	c->reporting = NULL;
	return alive;
}

static enum kube_contact_kind kind_of_answer(const struct request *q, enum kube_outcome outcome)
{
	switch (outcome) {
	case KUBE_OK:
	case KUBE_E_NOT_FOUND:
	case KUBE_E_CONFLICT:
	case KUBE_E_ALREADY_EXISTS:
	case KUBE_E_TOO_BIG:
		return str_eq(q->method, "GET") ? KUBE_CONTACT_READ : KUBE_CONTACT_WRITTEN;
	case KUBE_E_TOO_MANY:
		return KUBE_CONTACT_THROTTLED;
	case KUBE_E_FORBIDDEN:
	case KUBE_E_UNAUTHORIZED:
		return KUBE_CONTACT_REFUSED;
	case KUBE_E_SERVER:
		return KUBE_CONTACT_ERROR;
	case KUBE_E_GONE:
	case KUBE_E_INVALID:
	case KUBE_E_UNREACHABLE:
	case KUBE_E_TRUNCATED:
		break;
	}
	return KUBE_CONTACT_OTHER;
}

static bool report_opened(struct request *q)
{
	return report_contact(q, &(struct kube_contact){ .kind = KUBE_CONTACT_STREAM, .reason = "" });
}

/* A stream that was opened has been told of. A 401 whose credentials are read again is told when they were of no use either. */
static bool report_end(struct request *q, const struct kube_answer *a, const struct transfer_end *end)
{
	struct kube_contact c = { .kind = kind_of_answer(q, a->outcome), .reason = "" };

	if (!a->status) {
		if (q->opened)
			return true;
		c.kind = end->unanswered ? KUBE_CONTACT_UNANSWERED : KUBE_CONTACT_NONE;
	} else if (q->p.on_data && a->status < 300) {
		return true;
	}
	if (c.kind >= KUBE_CONTACT_THROTTLED)
		c.reason = a->message;
	return report_contact(q, &c);
}

/* What the Status object in an error's body says; `o` keeps the texts alive. */
static void read_status(const struct request *q, json_object **o, struct kube_answer *a)
{
	int64_t after;

	if (a->status < 400 || !q->body.len || json_parse(q->body.data, q->body.len, o) < 0 ||
	    !str_eq(json_get_str(*o, "kind"), "Status"))
		return;
	a->reason = str_or(json_get_str(*o, "reason"), "");
	a->message = str_or(json_get_str(*o, "message"), "");
	after = json_get_i64(*o, "details.retryAfterSeconds", 0);
	if (!a->retry_after_ms && after > 0)
		a->retry_after_ms = after < KUBE_RETRY_AFTER_MAX_MS / MS_PER_S ? after * MS_PER_S : KUBE_RETRY_AFTER_MAX_MS;
}

static enum kube_outcome outcome_of(const struct request *q, const struct kube_answer *a, bool complete)
{
	if (q->too_big)
		return KUBE_E_TOO_BIG;
	if (!a->status || (!complete && a->status < 400))
		return KUBE_E_UNREACHABLE;
	return kube_outcome_of(a->status, a->reason);
}

static bool is_passing(enum kube_outcome o)
{
	return o == KUBE_E_TOO_MANY || o == KUBE_E_SERVER || o == KUBE_E_UNREACHABLE;
}

static int64_t pause_ms(struct request *q, const struct kube_answer *a, bool dropped)
{
	int64_t backoff = KUBE_RETRY_MIN_MS;

	if (dropped)
		return 0;
	for (int i = 1; i < q->attempts && backoff < KUBE_RETRY_MAX_MS; i++)
		backoff *= 2;
	backoff = loop_jitter_ms(q->client->loop, backoff < KUBE_RETRY_MAX_MS ? backoff : KUBE_RETRY_MAX_MS);
	return a->retry_after_ms > backoff ? a->retry_after_ms : backoff;
}

/* Are there other credentials than those that were not accepted? Looked at once for each request. */
static bool has_newer_credentials(struct request *q, const struct kube_answer *a)
{
	struct kube_client *c = q->client;

	if (q->streamed || a->outcome != KUBE_E_UNAUTHORIZED || q->refreshed)
		return false;
	q->refreshed = true;
	(void)kube_credentials_refresh(c->credentials, loop_now(c->loop), true);
	return c->credentials->generation != q->generation;
}

/* Another attempt, if there is reason for one. */
static bool try_again(struct request *q, const struct kube_answer *a, bool dropped, bool renewed)
{
	struct kube_client *c = q->client;
	int64_t pause;

	if (q->streamed)
		return false;
	if (renewed) {
		pause = 0;
	} else {
		if (!is_passing(a->outcome) || q->p.retries <= 0)
			return false;
		q->p.retries--;
		pause = pause_ms(q, a, dropped);
	}
	slot_release(q);
	q->state = REQUEST_PAUSING;
	timer_start_ms(q->timer, pause);
	slots_fill(c);
	return true;
}

static void conclude(struct request *q, const struct transfer_end *end)
{
	cleanup(json_putp) json_object *status = NULL;
	struct kube_answer a = {
		.status = end->status, .reason = "", .message = end->error,
		.retry_after_ms = end->retry_after_ms < KUBE_RETRY_AFTER_MAX_MS ? end->retry_after_ms : KUBE_RETRY_AFTER_MAX_MS,
		.http_version = end->http_version, .attempts = q->attempts,
	};
	bool renewed;

	read_status(q, &status, &a);
	a.outcome = outcome_of(q, &a, end->complete);
	a.stalled = q->stalled;
	a.body = q->body.data ? q->body.data : "";
	a.body_len = q->body.len;
	if (a.outcome == KUBE_E_TOO_BIG)
		a.message = "the answer is larger than we accept";
	else if (a.outcome != KUBE_OK && str_is_empty(a.message))
		a.message = kube_outcome_name(a.outcome);
	renewed = has_newer_credentials(q, &a);
	if (!end->dropped && !renewed && !report_end(q, &a, end))
		return;
	if (!try_again(q, &a, end->dropped, renewed))
		request_finish(q, &a);
}

/* ---- callbacks of the transfer ---- */

static void on_open(void *arg, int status, struct wall date)
{
	struct request *q = arg;

	q->client->date = date;
	q->last_byte = q->client->heard = loop_now(q->client->loop);
	q->opened = true;
	if (!q->p.on_data || status >= 300)
		return;
	if (!report_opened(q))
		return;
	if (q->p.on_open)
		q->p.on_open(q->arg);
}

static void on_data(void *arg, int status, const char *data, size_t n)
{
	struct request *q = arg;

	q->last_byte = q->client->heard = loop_now(q->client->loop);
	if (q->p.on_data && status >= 200 && status < 300) {
		q->streamed = true;
		q->p.on_data(q->arg, data, n);
	} else if (!q->too_big && buf_try_add(&q->body, data, n, KUBE_BODY_MAX) < 0) {
		q->too_big = true;
		buf_fini(&q->body);
	}
}

static void on_end(void *arg, const struct transfer_end *end)
{
	struct request *q = arg;

	assert(q->magic == REQUEST_MAGIC);
	q->transfer = NULL;
	conclude(q, end);
}

/* ---- attempts ---- */

static void stall_check(struct request *q)
{
	struct loop *loop = q->client->loop;
	int64_t idle = mono_since_ms(loop_now(loop), q->last_byte);
	cleanup(freep) char *why = NULL;
	struct transfer_end end = { 0 };

	if (idle < q->p.stall_ms) {
		timer_start_ms(q->timer, q->p.stall_ms - idle);
		return;
	}
	end.unanswered = !q->opened && transfer_is_sent(q->transfer);
	transfer_cancel(take(q->transfer));
	why = str_format("no data for %lld ms", (long long)idle);
	end.error = why;
	q->stalled = true;
	conclude(q, &end);
}

static void on_request_timer(void *arg)
{
	struct request *q = arg;

	assert(q->magic == REQUEST_MAGIC);
	if (q->state == REQUEST_RUNNING) {
		stall_check(q);
	} else if (q->state == REQUEST_QUEUED) {
		/* It says nothing about the link: those in front of it do. */
		struct kube_answer a = {
		    .outcome = KUBE_E_UNREACHABLE, .body = "", .reason = "", .message = "timed out in the queue"};

		request_finish(q, &a);
	} else {
		q->queued_at = loop_now(q->client->loop);
		request_try(q);
	}
}

static void request_run(struct request *q, int64_t timeout_ms)
{
	struct kube_client *c = q->client;
	struct transfer_params t = {
		.method = q->method, .path = q->path, .query = q->query, .content_type = q->content_type,
		.body = q->body_out, .body_len = q->body_out ? strlen(q->body_out) : 0, .timeout_ms = timeout_ms,
		.fresh = q->p.fresh, .accept = q->accept, .arg = q, .on_open = on_open, .on_data = on_data, .on_end = on_end,
	};

	list_remove(&q->link);
	list_add_tail(&c->others, &q->link);
	q->state = REQUEST_RUNNING;
	q->attempts++;
	q->too_big = q->opened = q->stalled = false;
	buf_clear(&q->body);
	q->last_byte = loop_now(c->loop);
	(void)kube_credentials_refresh(c->credentials, loop_now(c->loop), false);
	q->generation = c->credentials->generation;
	timer_stop(q->timer);
	if (q->p.stall_ms > 0)
		timer_start_ms(q->timer, q->p.stall_ms);
	q->transfer = transport_start(c->transport, &t);
}

/* Start an attempt, or wait for a slot. */
static void request_try(struct request *q)
{
	struct kube_client *c = q->client;
	int64_t timeout = timeout_of(q), waited = mono_since_ms(loop_now(c->loop), q->queued_at);

	if (needs_slot(q) && c->slots_used >= KUBE_INFLIGHT_MAX) {
		list_remove(&q->link);
		list_add_tail(&c->queued, &q->link);
		q->state = REQUEST_QUEUED;
		if (timeout > 0)
			timer_start_ms(q->timer, timeout);
		return;
	}
	if (needs_slot(q)) {
		q->slot = true;
		c->slots_used++;
	}
	request_run(q, timeout <= 0 ? -1 : timeout > waited ? timeout - waited : 1);
}

struct op *kube_request(struct kube_client *c, const struct kube_request_params *params, kube_done_fn done, void *arg)
{
	struct request *q = mem_new(struct request);

	assert(c->magic == CLIENT_MAGIC);
	q->op.cancel = request_cancel;
	q->magic = REQUEST_MAGIC;
	q->client = c;
	q->p = *params;
	q->method = str_dup(str_or(params->method, "GET"));
	q->path = str_dup(params->path);
	q->query = str_dup(params->query);
	q->content_type = str_dup(str_or(params->content_type, "application/json"));
	q->accept = str_dup(params->accept);
	q->body_out = str_dup(params->body);
	q->p.method = q->p.path = q->p.query = q->p.content_type = q->p.accept = q->p.body = NULL;
	q->done = done;
	q->arg = arg;
	q->timer = timer_new(c->loop, "kube-request", on_request_timer, q);
	q->queued_at = loop_now(c->loop);
	list_init(&q->link);
	request_try(q);
	return &q->op;
}

/* ---- the client ---- */

int kube_client_new(const struct kube_client_conf *conf, struct kube_client **out_client)
{
	const struct transport_conf tc = {
		.loop = conf->loop, .credentials = conf->credentials,
		.user_agent = str_or(conf->user_agent, "edge-healer"), .packet_mark = conf->packet_mark,
		.connect_timeout_ms = conf->connect_timeout_ms > 0 ? conf->connect_timeout_ms : KUBE_CONNECT_TIMEOUT_MS,
	};
	cleanup(kube_client_freep) struct kube_client *c = mem_new(struct kube_client);
	int r;

	c->magic = CLIENT_MAGIC;
	c->loop = conf->loop;
	c->credentials = conf->credentials;
	c->on_contact = conf->on_contact;
	c->contact_arg = conf->arg;
	list_init(&c->queued);
	list_init(&c->others);
	r = transport_new(&tc, &c->transport);
	if (r < 0)
		return r;
	*out_client = take(c);
	return 0;
}

void kube_client_free(struct kube_client *c)
{
	if (!c)
		return;
	assert(c->magic == CLIENT_MAGIC);
	assert(list_is_empty(&c->queued) && list_is_empty(&c->others));
	transport_free(c->transport);
	c->magic = 0;
	free(c);
}

void kube_client_freep(struct kube_client **c)
{
	kube_client_free(*c);
}

void kube_client_drop_connections(struct kube_client *c)
{
	transport_drop(c->transport);
}

const char *kube_client_server(const struct kube_client *c)
{
	return kube_credentials_server(c->credentials);
}

void kube_client_set_route(struct kube_client *c, const struct kube_route *route)
{
	transport_set_route(c->transport, route);
}

struct wall kube_client_date(const struct kube_client *c)
{
	return c->date;
}

struct mono kube_client_heard(const struct kube_client *c)
{
	return c->heard;
}

struct transport *kube_client_transport(const struct kube_client *c)
{
	return c->transport;
}

struct loop *kube_client_loop(const struct kube_client *c)
{
	return c->loop;
}

size_t kube_client_in_flight(const struct kube_client *c)
{
	size_t n = 0;

	list_for_each(q, &c->queued, struct request, link)
		n++;
	list_for_each(q, &c->others, struct request, link)
		n++;
	return n;
}

void kube_escape(struct buf *out, const char *text)
{
	for (; *text; text++) {
		unsigned char b = (unsigned char)*text;

		if ((b >= '0' && b <= '9') || (b >= 'A' && b <= 'Z') || (b >= 'a' && b <= 'z') || strchr("-._~", b))
			buf_addc(out, (char)b);
		else
			buf_addf(out, "%%%02X", b);
	}
}
