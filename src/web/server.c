/* server.c — libmicrohttpd without threads, on a budget
 *
 * listen.c accepts; a connection gets a place (places.c) and is added to the daemon, whose epoll descriptor our loop
 * watches: MHD_run() does what is pending, and MHD_get_timeout() (milliseconds, relative) says when it must run again
 * without an event. Its own limit of connections lies above ours, so it never refuses one.
 *
 * What a tick spends on requests is counted in CPU time. When WEB_BUDGET_MS are spent, handlers and streams are put
 * off: libmicrohttpd asks again in its next run for a request without an answer and for a stream that gave nothing.
 * Nothing of ours is watched then for at least as long, so that everything else on the loop has its turn. Urgent routes
 * (health) do not wait.
 *
 * Each second the places are looked through for requests that do not get complete and answers that nobody takes.
 */
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/utf8.h"
#include "places.h"
#include "web_int.h"

#define SWEEP_MS 1000
#define BATCHES_MAX 8 /* of connections that come in one tick */
#define MHD_CONNECTIONS_MAX (WEB_PLACES_REMOTE + WEB_PLACES_LOOPBACK + WEB_PLACES_SOCKET + 4 * WEB_ACCEPT_MAX)

enum { LARGE_OTHERS, LARGE_SOCKET, LARGE_SLOTS };

struct web {
	struct loop *loop;
	struct MHD_Daemon *daemon;
	struct io *io;
	struct timer *timer, *sweep;
	struct listener tcp, local;
	struct web_params params;
	struct places places;
	struct place *arriving;    /* during MHD_add_connection() */
	bool large[LARGE_SLOTS];   /* a large answer is on its way */
	struct mono window;        /* the budget counts from here */
	int64_t spent_ns, mark_ns; /* in this window; CPU time when the current callback began */
	bool paused;
};

/* One request while its body arrives. */
struct upload {
	struct buf body;
	bool too_big;
};

/* ---- the budget ---- */

static void budget_begin(struct web *w)
{
	struct mono now = loop_now(w->loop);

	if (mono_since_ms(now, w->window) >= 2 * WEB_BUDGET_MS) {
		w->window = now;
		w->spent_ns = 0;
	}
	w->mark_ns = cpu_read_ns();
}

static bool budget_is_left(const struct web *w)
{
	return w->spent_ns + cpu_read_ns() - w->mark_ns < WEB_BUDGET_MS * NS_PER_MS;
}

static void web_pause(struct web *w, bool paused)
{
	w->paused = paused;
	io_watch(w->io, paused ? 0 : IO_READ);
	listener_pause(&w->tcp, paused);
	listener_pause(&w->local, paused);
}

/* False: it is spent, and we come again later. */
static bool budget_end(struct web *w)
{
	int64_t just_now = cpu_read_ns() - w->mark_ns;

	w->spent_ns += just_now;
	if (w->spent_ns < WEB_BUDGET_MS * NS_PER_MS)
		return true;
	metric_inc(METRIC_HTTP_PUT_OFF);
	w->window = (struct mono){0};
	web_pause(w, true);
	timer_start_ms(w->timer, just_now / NS_PER_MS + WEB_BUDGET_MS); /* loop_now() is from before all that */
	return false;
}

/* Who waits outside comes in although the budget may be spent: it may be urgent. Each batch is heard before the next
 * one comes. */
static void run_batches(struct web *w)
{
	int came = 1;

	for (int i = 0; i < BATCHES_MAX && came; i++) {
		came = listener_accept(&w->local) + listener_accept(&w->tcp);
		(void)MHD_run(w->daemon);
		if (came)
			list_for_each(pl, &w->places.all, struct place, link)
				pl->fresh = false;
	}
}

static void web_run(struct web *w)
{
	MHD_UNSIGNED_LONG_LONG ms;

	if (w->paused)
		return;
	budget_begin(w);
	run_batches(w);
	if (!budget_end(w))
		return;
	if (MHD_get_timeout(w->daemon, &ms) == MHD_YES)
		timer_start_ms(w->timer, ms ? (int64_t)ms + 1 : 0);
	else
		timer_stop(w->timer);
}

static void on_epoll(void *arg, int events)
{
	(void)events;
	web_run(arg);
}

static void on_timer(void *arg)
{
	struct web *w = arg;

	if (w->paused)
		web_pause(w, false);
	web_run(w);
}

/* ---- answering ---- */

void web_error(struct web_response *rs, int status, const char *fmt, ...)
{
	cleanup(buf_fini) struct buf text = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_addv(&text, fmt, ap);
	va_end(ap);
	rs->status = status;
	rs->content_type = "application/json";
	buf_clear(&rs->body);
	buf_adds(&rs->body, "{\"error\":\"");
	buf_add_json_text(&rs->body, text.data);
	buf_adds(&rs->body, "\"}\n");
}

const char *web_query(const struct web_request *rq, const char *name)
{
	const char *value = NULL;
	size_t n;

	if (MHD_lookup_connection_value_n(rq->connection, MHD_GET_ARGUMENT_KIND, name, strlen(name), &value, &n) !=
	    MHD_YES)
		return NULL;
	return value ? value : "";
}

static bool *large_slot(struct web *w, enum web_origin origin)
{
	return &w->large[origin == WEB_SOCKET ? LARGE_SOCKET : LARGE_OTHERS];
}

bool web_large(const struct web_request *rq, struct web_response *rs)
{
	rs->large = !*large_slot(rq->web, rq->origin);
	if (!rs->large) {
		metric_inc(METRIC_HTTP_BUSY);
		web_error(rs, MHD_HTTP_TOO_MANY_REQUESTS, "another large answer is on its way: ask again in %d s",
			  WEB_RETRY_AFTER_S);
	}
	return rs->large;
}

static bool path_matches(const char *route, const char *path)
{
	size_t n = strlen(route);

	return n && route[n - 1] == '*' ? strncmp(route, path, n - 1) == 0 : str_eq(route, path);
}

static const struct web_route *route_find(const struct web *w, const char *method, const char *path,
					  bool *out_path_known)
{
	*out_path_known = false;
	if (str_eq(method, "HEAD"))
		method = "GET";
	for (size_t i = 0; i < w->params.route_count; i++) {
		const struct web_route *r = &w->params.routes[i];

		if (!path_matches(r->path, path))
			continue;
		*out_path_known = true;
		if (str_eq(r->method, method))
			return r;
	}
	return NULL;
}

/* ---- streams ---- */

struct sending {
	struct web *w;
	struct web_stream stream;
	struct buf slice;
	size_t sent; /* of the slice */
	bool last;
	bool *slot; /* of a large answer, else NULL */
};

static ssize_t on_stream(void *cls, uint64_t pos, char *out, size_t max)
{
	struct sending *s = cls;
	size_t n;

	(void)pos;
	while (s->sent == s->slice.len) {
		if (s->last)
			return MHD_CONTENT_READER_END_OF_STREAM;
		if (!budget_is_left(s->w))
			return 0; /* asked again in the next run */
		buf_clear(&s->slice);
		s->sent = 0;
		s->last = !s->stream.next(s->stream.state, &s->slice);
	}
	n = s->slice.len - s->sent < max ? s->slice.len - s->sent : max;
	memcpy(out, s->slice.data + s->sent, n);
	s->sent += n;
	return (ssize_t)n;
}

static void on_stream_free(void *cls)
{
	struct sending *s = cls;

	if (s->slot)
		*s->slot = false;
	s->stream.free(s->stream.state);
	buf_fini(&s->slice);
	free(s);
}

static struct MHD_Response *stream_new(struct web *w, struct place *pl, struct web_response *rs)
{
	struct sending *s = mem_new(struct sending);
	struct MHD_Response *r;

	*s = (struct sending){.w = w, .stream = rs->stream, .slot = rs->large ? large_slot(w, pl->origin) : NULL};
	if (s->slot)
		*s->slot = true;
	pl->large = rs->large;
	r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, WEB_SLICE, on_stream, s, on_stream_free);
	if (!r)
		on_stream_free(s);
	return r;
}

/* ---- a request ---- */

static void add_headers(struct MHD_Response *r, const struct web_response *rs)
{
	char seconds[16];

	(void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, str_or(rs->content_type, "application/json"));
	(void)MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	if (rs->node)
		(void)MHD_add_response_header(r, "Edge-Healer-Node", rs->node);
	if (rs->status == MHD_HTTP_METHOD_NOT_ALLOWED)
		(void)MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD, POST");
	if (rs->status == MHD_HTTP_UNAUTHORIZED)
		(void)MHD_add_response_header(r, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
	if (rs->status == MHD_HTTP_TOO_MANY_REQUESTS) {
		(void)snprintf(seconds, sizeof(seconds), "%d", WEB_RETRY_AFTER_S);
		(void)MHD_add_response_header(r, MHD_HTTP_HEADER_RETRY_AFTER, seconds);
	}
}

static enum MHD_Result queue(struct web *w, struct MHD_Connection *c, struct place *pl, struct web_response *rs)
{
	struct MHD_Response *r;
	enum MHD_Result ok;
	size_t n = rs->body.len;

	r = rs->stream.next ? stream_new(w, pl, rs)
			    : MHD_create_response_from_buffer(n, buf_take(&rs->body), MHD_RESPMEM_MUST_FREE);
	if (!r)
		return MHD_NO;
	add_headers(r, rs);
	ok = MHD_queue_response(c, (unsigned)(rs->status ? rs->status : 200), r);
	MHD_destroy_response(r);
	return ok;
}

static struct place *place_of(struct MHD_Connection *c)
{
	return MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static enum MHD_Result respond(struct web *w, struct MHD_Connection *c, const char *path, const char *method,
			       const struct upload *up)
{
	struct place *pl = place_of(c);
	struct web_request rq = {
	    .method = method,
	    .path = path,
	    .body = up->body.data ? up->body.data : "",
	    .body_len = up->body.len,
	    .origin = pl->origin,
	    .connection = c,
	    .web = w,
	    .accept = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT),
	    .authorization = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION),
	};
	struct web_response rs = {0};
	bool known;
	const struct web_route *route = route_find(w, method, path, &known);

	if (!(route && route->access == WEB_URGENT) && !budget_is_left(w))
		return MHD_YES; /* without an answer: asked again in the next run */
	if (up->too_big)
		web_error(&rs, MHD_HTTP_CONTENT_TOO_LARGE, "the body is larger than %d bytes", WEB_BODY_MAX);
	else if (!route && known)
		web_error(&rs, MHD_HTTP_METHOD_NOT_ALLOWED, "%s is not allowed here", method);
	else if (!route)
		web_error(&rs, MHD_HTTP_NOT_FOUND, "no such path; GET / lists them");
	else if (route->access != WEB_GUARDED || !w->params.may || w->params.may(w->params.arg, &rq, &rs))
		route->handler(w->params.arg, &rq, &rs);
	pl->answering = true;
	pl->large = false;
	pl->since = loop_now(w->loop);
	return queue(w, c, pl, &rs);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url, const char *method,
				  const char *version, const char *data, size_t *data_size, void **con_cls)
{
	struct upload *up = *con_cls;

	(void)version;
	if (!up) {
		*con_cls = mem_new(struct upload);
		return MHD_YES;
	}
	if (*data_size) {
		if (!up->too_big && buf_try_add(&up->body, data, *data_size, WEB_BODY_MAX) < 0)
			up->too_big = true;
		*data_size = 0;
		return MHD_YES;
	}
	return respond(cls, c, url, method, up);
}

static void on_completed(void *cls, struct MHD_Connection *c, void **con_cls, enum MHD_RequestTerminationCode why)
{
	struct upload *up = *con_cls;
	struct place *pl = place_of(c);
	struct web *w = cls;

	(void)why;
	if (pl) {
		pl->answered = pl->answered || pl->answering;
		pl->answering = pl->large = false;
		pl->since = loop_now(w->loop);
	}
	if (!up)
		return;
	buf_fini(&up->body);
	free(up);
	*con_cls = NULL;
}

/* ---- connections ---- */

static void on_connection(void *cls, struct MHD_Connection *c, void **socket_context,
			  enum MHD_ConnectionNotificationCode what)
{
	struct web *w = cls;

	(void)c;
	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		*socket_context = take(w->arriving);
		return;
	}
	place_free(*socket_context);
	*socket_context = NULL;
}

/* libmicrohttpd sees the end of it in its next run. */
static void place_leave(struct place *pl)
{
	pl->leaving = true;
	(void)shutdown(pl->fd, SHUT_RDWR);
	metric_inc(METRIC_HTTP_CUT);
}

static void on_arrival(void *arg, int fd, const union web_address *from, socklen_t n)
{
	struct web *w = arg;
	struct place *pl, *victim;

	pl = place_new(&w->places, fd, &from->sa, loop_now(w->loop));
	victim = places_victim(&w->places, pl);
	if (victim)
		place_leave(victim);
	if (victim == pl) {
		(void)close(fd);
		place_free(pl);
		return;
	}
	w->arriving = pl;
	if (MHD_add_connection(w->daemon, fd, &from->sa, n) != MHD_YES) /* it has closed fd */
		place_free(take(w->arriving));
	if (!timer_is_running(w->sweep))
		timer_start_ms(w->sweep, SWEEP_MS);
}

static void on_waiting(void *arg)
{
	web_run(arg);
}

static void on_sweep(void *arg)
{
	struct web *w = arg;
	struct mono now = loop_now(w->loop);

	list_for_each(pl, &w->places.all, struct place, link)
		if (place_is_late(pl, now))
			place_leave(pl);
	if (!list_is_empty(&w->places.all))
		timer_start_ms(w->sweep, SWEEP_MS);
	web_run(w);
}

static void on_log(void *arg, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);
static void on_log(void *arg, const char *fmt, va_list ap)
{
	cleanup(buf_fini) struct buf text = BUF_INIT;

	(void)arg;
	buf_addv(&text, fmt, ap);
	if (text.len)
		log_debug(LOG_WEB, "libmicrohttpd", "msg=%s", text.data);
}

/* ---- start and stop ---- */

static int daemon_start(struct web *w)
{
	const union MHD_DaemonInfo *info;

	w->daemon =
	    MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL, on_request, w,
			     MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, /* first: it covers the others */
			     MHD_OPTION_CONNECTION_LIMIT, (unsigned)MHD_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
			     (unsigned)WEB_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
			     (size_t)WEB_MEMORY_PER_CONNECTION, MHD_OPTION_NOTIFY_CONNECTION, on_connection, w,
			     MHD_OPTION_NOTIFY_COMPLETED, on_completed, w, MHD_OPTION_END);
	if (!w->daemon)
		return -EIO;
	info = MHD_get_daemon_info(w->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info)
		return -EIO;
	w->io = io_new(w->loop, info->epoll_fd, on_epoll, w);
	io_watch(w->io, IO_READ);
	return 0;
}

static void listener_prepare(struct web *w, struct listener *l)
{
	*l = (struct listener){.loop = w->loop, .on_waiting = on_waiting, .on_arrival = on_arrival, .arg = w};
}

int web_new(const struct web_params *params, struct web **out_web)
{
	struct web *w = mem_new(struct web);
	int r;

	*w = (struct web){.loop = params->loop, .params = *params};
	places_init(&w->places);
	w->timer = timer_new(w->loop, "web", on_timer, w);
	w->sweep = timer_new(w->loop, "web sweep", on_sweep, w);
	listener_prepare(w, &w->tcp);
	r = listener_open(&w->tcp, params->listen);
	r = r < 0 ? r : daemon_start(w);
	if (r < 0) {
		web_free(w);
		return r;
	}
	listener_pause(&w->tcp, false);
	*out_web = w;
	return 0;
}

int web_listen_path(struct web *w, const char *path)
{
	int r;

	listener_prepare(w, &w->local);
	r = listener_open_path(&w->local, path);
	if (r == 0)
		listener_pause(&w->local, w->paused);
	return r;
}

void web_free(struct web *w)
{
	if (!w)
		return;
	listener_close(&w->tcp);
	listener_close(&w->local);
	io_free(w->io);
	timer_free(w->timer);
	timer_free(w->sweep);
	if (w->daemon)
		MHD_stop_daemon(w->daemon);
	free(w);
}

uint16_t web_port(const struct web *w)
{
	return w->tcp.port;
}

size_t web_places(const struct web *w, enum web_origin origin)
{
	return places_count(&w->places, origin);
}
