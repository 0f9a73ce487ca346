/* transport.c — libcurl's multi interface on our loop
 *
 * libcurl tells us which sockets to watch (on_curl_socket) and when to call it (on_curl_timer); we call it when one of
 * them is due and then settle(): take out what was cancelled, put in what was started meanwhile; and drain(): end what is
 * complete.
 *
 * What was learnt about libcurl 7.88 and shapes this file:
 *   - Inside its callbacks nothing may be added to or removed from the multi handle (CURLM_RECURSIVE_API_CALL), hence
 *     `inside`.
 *   - A socket may be closed before CURL_POLL_REMOVE is told (curl #14976): we close sockets ourselves and stop
 *     watching first.
 *   - Ending a transfer whose name is still being resolved joins the resolver's thread, for as long as DNS takes;
 *     CURLOPT_QUICK_EXIT detaches it. Without it a dead uplink would stop our loop.
 *   - Removing a transfer leaves its HTTP/2 connection alive, also a dead one: only a new multi handle drops them all.
 */
#include "kube/transport.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "kube/client.h"
#include "kube/kube_int.h"
#include "loop/loop.h"

enum {
	KEEPALIVE_IDLE_S = 5,
	KEEPALIVE_EVERY_S = 3,
	KEEPALIVE_PROBES = 3,
	USER_TIMEOUT_MS = 15000, /* unacknowledged bytes for so long: the connection is dead */
	READ_BUFFER = 64 * 1024,
	DATE_SIZE = 64,		/* a Date header line and its end */
	KEPT_CONNECTIONS = 48, /* HTTP/1.1 needs one a request; fewer would be closed and reopened all the time */
};

#define DATE_MAX_S INT64_C(7258118400) /* the year 2200: a Date beyond is none, and its nanoseconds fit an int64_t */

struct transport {
	struct transport_conf conf;
	char *user_agent;
	CURLM *multi;
	struct timer *timer, *drop_timer;
	struct list socks;		/* struct sock: what libcurl watches */
	struct list transfers;		/* all */
	struct kube_route route;	/* host NULL = the credentials' server; its texts are ours */
	bool inside;			/* libcurl is on the stack */
};

struct sock {
	struct list link;
	struct transport *t;
	struct io *io;
	int fd;
};

enum transfer_state { TRANSFER_NEW, TRANSFER_RUNNING, TRANSFER_CANCELLED };

struct transfer {
	struct list link;
	struct transport *t;
	struct transfer_params fn;	/* the callbacks; its texts are not kept */
	enum transfer_state state;
	bool added;			/* the multi handle has it */
	bool opened;
	struct wall date;		/* of the answer, by the server's clock; 0 = not said */
	CURL *easy;
	struct curl_slist *headers, *connect_to;
	char error[CURL_ERROR_SIZE];
};
static void settle(struct transport *t);
static void drain(struct transport *t);

/* ---- libcurl ↔ loop ---- */

static struct sock *sock_find(struct transport *t, int fd)
{
	list_for_each(s, &t->socks, struct sock, link)
		if (s->fd == fd)
			return s;
	return NULL;
}

static void sock_free(struct sock *s)
{
	list_remove(&s->link);
	io_free(s->io);
	free(s);
}

static void sock_forget(struct transport *t, int fd)
{
	struct sock *s = sock_find(t, fd);

	if (s)
		sock_free(s);
}

static void enter(struct transport *t, curl_socket_t fd, int events)
{
	int running;

	t->inside = true;
	(void)curl_multi_socket_action(t->multi, fd, events, &running);
	t->inside = false;
	settle(t);
	drain(t);
}

static void on_socket_ready(void *arg, int events)
{
	struct sock *s = arg;

	enter(s->t, s->fd, (events & IO_READ ? CURL_CSELECT_IN : 0) | (events & IO_WRITE ? CURL_CSELECT_OUT : 0));
}

static void on_timer(void *arg)
{
	enter(arg, CURL_SOCKET_TIMEOUT, 0);
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct transport *t = arg;

	(void)multi;
	if (timeout_ms < 0)
		timer_stop(t->timer);
	else
		timer_start_ms(t->timer, timeout_ms);
	return 0;
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *sock_arg)
{
	struct transport *t = arg;
	struct sock *s = sock_find(t, fd);

	(void)easy;
	(void)sock_arg;
	if (what == CURL_POLL_REMOVE) {
		sock_forget(t, fd);
		return 0;
	}
	if (!s) {
		s = mem_new(struct sock);
		s->t = t;
		s->fd = fd;
		s->io = io_new(t->conf.loop, fd, on_socket_ready, s);
		list_add_tail(&t->socks, &s->link);
	}
	io_watch(s->io, (what & CURL_POLL_IN ? IO_READ : 0) | (what & CURL_POLL_OUT ? IO_WRITE : 0));
	return 0;
}

static int on_curl_close(void *arg, curl_socket_t fd)
{
	sock_forget(arg, fd);
	return close(fd);
}

/* Options that fail are ones this kernel or our rights do not offer; the connection works without them. */
static int on_curl_sockopt(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	struct transport *t = arg;
	int probes = KEEPALIVE_PROBES;
	unsigned user_timeout = USER_TIMEOUT_MS;

	(void)purpose;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout, sizeof(user_timeout));
	if (t->conf.packet_mark)
		(void)setsockopt(fd, SOL_SOCKET, SO_MARK, &t->conf.packet_mark, sizeof(t->conf.packet_mark));
	return CURL_SOCKOPT_OK;
}

/* ---- one transfer ---- */

static size_t on_curl_data(char *data, size_t size, size_t n, void *arg)
{
	struct transfer *x = arg;
	long status = 0;

	if (x->state == TRANSFER_CANCELLED)
		return 0;
	(void)curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
	x->fn.on_data(x->fn.arg, (int)status, data, size * n);
	explicit_bzero(data, size * n);	/* taken; it may have held a Secret, and curl keeps the buffer */
	return x->state == TRANSFER_CANCELLED ? 0 : size * n;
}

/* "Date: Tue, 15 Nov 1994 08:12:31 GMT"; the line is not terminated. */
static void note_date(struct transfer *x, const char *line, size_t n)
{
	static const char name[] = "date:";
	char text[DATE_SIZE];
	time_t t;

	if (n >= sizeof(text) || n < sizeof(name) || strncasecmp(line, name, sizeof(name) - 1) != 0)
		return;
	memcpy(text, line, n);
	text[n] = '\0';
	t = curl_getdate(text + sizeof(name) - 1, NULL);
	x->date.ns = t > 0 && t < DATE_MAX_S ? (int64_t)t * MS_PER_S * NS_PER_MS : 0;
}

static size_t on_curl_header(char *line, size_t size, size_t n, void *arg)
{
	struct transfer *x = arg;
	long status = 0;

	if (x->state == TRANSFER_CANCELLED)
		return 0;
	if (x->opened || n * size == 0)
		return size * n;
	if (line[0] != '\r' && line[0] != '\n') {
		note_date(x, line, n * size);
		return size * n;
	}
	(void)curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 200) {
		x->opened = true;
		x->fn.on_open(x->fn.arg, (int)status, x->date);
	}
	return x->state == TRANSFER_CANCELLED ? 0 : size * n;
}

static void add_header(struct transfer *x, const char *name, const char *value)
{
	cleanup(secret_wipe) char *line = str_format("%s: %s", name, value);

	x->headers = curl_slist_append(x->headers, line);
}

static void set_blob(CURL *easy, CURLoption option, const char *data, size_t len)
{
	struct curl_blob blob = { .data = (void *)(uintptr_t)data, .len = len, .flags = CURL_BLOB_COPY };

	if (data)
		(void)curl_easy_setopt(easy, option, &blob);
}

/* The certificate must be for `name`, wherever the server is: connect there, but speak to `name`. */
static char *apply_server_name(struct transfer *x, const char *server, const char *name)
{
	const char *host = strstr(server, "://") + 3;
	size_t authority = strcspn(host, "/");
	cleanup(freep) char *at = str_ndup(host, authority);
	cleanup(freep) char *connect_to = str_format("%s::%s", name, at);
	char *colon = at[0] == '[' ? strchr(strchr(at, ']') ? strchr(at, ']') : at, ':') : strchr(at, ':');

	x->connect_to = curl_slist_append(NULL, connect_to);
	(void)curl_easy_setopt(x->easy, CURLOPT_CONNECT_TO, x->connect_to);
	add_header(x, "Host", at);
	return str_format("%.*s%s%s%s", (int)(host - server), server, name, str_or(colon, ""), host + authority);
}

/* The scheme, host and port of a route, in front of a path. */
static char *apply_route(struct transfer *x, const struct kube_route *r)
{
	const char *scheme = r->tls ? "https" : "http", *name = str_is_empty(r->name) ? r->host : r->name;
	cleanup(freep) char *host = str_format(strchr(r->host, ':') ? "[%s]" : "%s", r->host);
	cleanup(freep) char *connect_to = NULL;

	if (str_eq(name, r->host))
		return str_format("%s://%s:%u", scheme, host, r->port);
	connect_to = str_format("%s:%u:%s:%u", name, r->port, host, r->port);
	x->connect_to = curl_slist_append(NULL, connect_to);
	(void)curl_easy_setopt(x->easy, CURLOPT_CONNECT_TO, x->connect_to);
	return str_format("%s://%s:%u", scheme, name, r->port);
}

/* A probe asks about one address, whichever requests take. */
static const struct kube_route *route_of(const struct transfer *x, const struct transfer_params *p)
{
	return p->route || p->handshake ? p->route : x->t->route.host ? &x->t->route : NULL;
}

static bool uses_tls(const struct transfer *x, const struct transfer_params *p)
{
	const struct kube_route *r = route_of(x, p);

	return r ? r->tls : str_has_prefix(x->t->conf.credentials->server, "https://");
}

/* Requests believe our own CA alone. A handshake tells only that the API server is there: kubelet's CA will do as well, also where
 * we have none. */
static void setup_tls(struct transfer *x, const struct transfer_params *p, const struct kube_credentials *c)
{
	const struct credential *more = p->handshake && c->answer_ca.data ? &c->answer_ca : NULL;
	bool insecure = c->insecure && !(more && !c->ca.data && c->conf.anonymous);
	cleanup(freep) char *both = more && c->ca.data ? str_format("%s\n%s\n", c->ca.data, more->data) : NULL;
	const char *ca = both ? both : more ? more->data : c->ca.data;
	CURL *e = x->easy;

	(void)curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	(void)curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, insecure ? 0L : 1L);
	(void)curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, insecure ? 0L : 2L);
	set_blob(e, CURLOPT_CAINFO_BLOB, ca, ca ? strlen(ca) : 0);
	set_blob(e, CURLOPT_SSLCERT_BLOB, c->cert.data, c->cert.len);
	set_blob(e, CURLOPT_SSLKEY_BLOB, c->key.data, c->key.len);
}

static void setup_connection(struct transfer *x, const struct transfer_params *p)
{
	struct transport *t = x->t;
	CURL *e = x->easy;

	bool tls = uses_tls(x, p);
	int64_t connect_ms = p->handshake ? p->timeout_ms : t->conf.connect_timeout_ms;

	/* With TLS wait until ALPN has said whether one connection will do; plain HTTP/1.1 would wait for a whole
	 * answer. */
	(void)curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)(tls ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
	(void)curl_easy_setopt(e, CURLOPT_PIPEWAIT, tls && !p->fresh ? 1L : 0L);
	(void)curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, p->fresh ? 1L : 0L);
	(void)curl_easy_setopt(e, CURLOPT_FORBID_REUSE, p->fresh ? 1L : 0L);
	(void)curl_easy_setopt(e, CURLOPT_PROXY, "");		/* nor one of the environment */
	(void)curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
	(void)curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
	(void)curl_easy_setopt(e, CURLOPT_CONNECT_ONLY, p->handshake && tls ? 1L : 0L);
	(void)curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
	(void)curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, p->timeout_ms > 0 ? (long)p->timeout_ms : 0L);
	(void)curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
	(void)curl_easy_setopt(e, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_IDLE_S);
	(void)curl_easy_setopt(e, CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_EVERY_S);
	(void)curl_easy_setopt(e, CURLOPT_SOCKOPTFUNCTION, on_curl_sockopt);
	(void)curl_easy_setopt(e, CURLOPT_SOCKOPTDATA, t);
	(void)curl_easy_setopt(e, CURLOPT_CLOSESOCKETFUNCTION, on_curl_close);
	(void)curl_easy_setopt(e, CURLOPT_CLOSESOCKETDATA, t);
}

static void setup_request(struct transfer *x, const struct transfer_params *p)
{
	const struct kube_credentials *c = x->t->conf.credentials;
	const struct kube_route *route = route_of(x, p);
	cleanup(freep) char *server = route		   ? apply_route(x, route)
				      : c->tls_server_name ? apply_server_name(x, c->server, c->tls_server_name)
							   : str_dup(c->server);
	cleanup(freep) char *url = str_format("%s%s%s%s", server, p->path, p->query ? "?" : "", str_or(p->query, ""));
	CURL *e = x->easy;

	(void)curl_easy_setopt(e, CURLOPT_URL, url);
	(void)curl_easy_setopt(e, CURLOPT_USERAGENT, x->t->user_agent);
	if (p->body) {
		(void)curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)p->body_len);
		(void)curl_easy_setopt(e, CURLOPT_POSTFIELDS, p->body);
		add_header(x, "Content-Type", p->content_type);
		add_header(x, "Expect", "");
	}
	(void)curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, p->method);
	add_header(x, "Accept", str_or(p->accept, "application/json"));
	if (c->token.data && !p->handshake) {
		cleanup(secret_wipe) char *bearer = str_format("Bearer %s", c->token.data);

		add_header(x, "Authorization", bearer);
	}
	(void)curl_easy_setopt(e, CURLOPT_HTTPHEADER, x->headers);
	(void)curl_easy_setopt(e, CURLOPT_BUFFERSIZE, (long)READ_BUFFER);
	(void)curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_curl_data);
	(void)curl_easy_setopt(e, CURLOPT_WRITEDATA, x);
	(void)curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_curl_header);
	(void)curl_easy_setopt(e, CURLOPT_HEADERDATA, x);
	(void)curl_easy_setopt(e, CURLOPT_ERRORBUFFER, x->error);
	(void)curl_easy_setopt(e, CURLOPT_PRIVATE, x);
}

struct transfer *transport_start(struct transport *t, const struct transfer_params *p)
{
	struct transfer *x = mem_new(struct transfer);

	x->t = t;
	x->fn = *p;
	x->easy = curl_easy_init();
	if (!x->easy)
		abort();	/* no memory for a small fixed object: as mem_new() */
	setup_request(x, p);
	setup_connection(x, p);
	setup_tls(x, p, t->conf.credentials);
	list_add_tail(&t->transfers, &x->link);
	if (!t->inside)
		settle(t);
	return x;
}

static void transfer_free(struct transfer *x)
{
	assert(!x->t->inside);
	list_remove(&x->link);
	if (x->added)
		(void)curl_multi_remove_handle(x->t->multi, x->easy);
	curl_easy_cleanup(x->easy);
	for (struct curl_slist *h = x->headers; h; h = h->next)
		if (str_has_prefix(h->data, "Authorization"))
			explicit_bzero(h->data, strlen(h->data));
	curl_slist_free_all(x->headers);
	curl_slist_free_all(x->connect_to);
	free(x);
}

void transfer_cancel(struct transfer *x)
{
	x->state = TRANSFER_CANCELLED;
	if (!x->t->inside)
		transfer_free(x);
}

static bool is_sent(CURL *easy)
{
	curl_off_t us = 0;

	return curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &us) == CURLE_OK && us > 0;
}

bool transfer_is_sent(const struct transfer *x)
{
	return is_sent(x->easy);
}

/* libcurl's texts are long; say the usual ones as people do. */
static const char *error_text(const struct transfer *x, CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return "";
	case CURLE_COULDNT_RESOLVE_HOST:
		return "the server's name cannot be resolved";
	case CURLE_OPERATION_TIMEDOUT:
		return "timed out";
	case CURLE_GOT_NOTHING:
		return "the server closed the connection without an answer";
	case CURLE_PARTIAL_FILE:
		return "the answer was cut short";
	case CURLE_COULDNT_CONNECT:
		if (strstr(x->error, "efused"))
			return "connection refused";
		if (strstr(x->error, "nreachable"))
			return "network unreachable";
		if (strstr(x->error, "o route"))
			return "no route to host";
		break;
	default:
		break;
	}
	return x->error[0] ? x->error : curl_easy_strerror(code);
}

/* A connect error hides in errno: libcurl's text names only the address when all of them failed. 0 = none. */
static long connect_errno(struct transfer *x, CURLcode code)
{
	long e = 0;

	return code == CURLE_COULDNT_CONNECT && curl_easy_getinfo(x->easy, CURLINFO_OS_ERRNO, &e) == CURLE_OK ? e : 0;
}

/* A host that is not there (EHOSTUNREACH) takes ARP its three seconds. */
static bool is_refused(long e)
{
	return e == ECONNREFUSED || e == ENETUNREACH;
}

static const char *connect_text(struct transfer *x, CURLcode code)
{
	long e = connect_errno(x, code);

	if (e) {
		switch (e) {
		case ECONNREFUSED:
			return "connection refused";
		case ENETUNREACH:
			return "network unreachable";
		case EHOSTUNREACH:
			return "no route to host";
		default:
			break;
		}
	}
	return error_text(x, code);
}

static void transfer_finish(struct transfer *x, CURLcode code, bool dropped)
{
	struct transfer_end end = { .complete = code == CURLE_OK && !dropped, .dropped = dropped };
	struct transfer_params fn = x->fn;
	char error[CURL_ERROR_SIZE], peer[INET6_ADDRSTRLEN + 1] = "", *ip = NULL;
	long status = 0, version = 0, port = 0;
	curl_off_t retry_after = 0;

	(void)curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
	(void)curl_easy_getinfo(x->easy, CURLINFO_HTTP_VERSION, &version);
	(void)curl_easy_getinfo(x->easy, CURLINFO_RETRY_AFTER, &retry_after);
	end.refused = !dropped && is_refused(connect_errno(x, code));
	end.stranger = !dropped && code == CURLE_PEER_FAILED_VERIFICATION;
	end.unanswered = !dropped && !x->opened && code == CURLE_OPERATION_TIMEDOUT && is_sent(x->easy);
	(void)str_copy(error, sizeof(error), dropped ? "connection dropped" : connect_text(x, code));
	if ((x->opened || (end.complete && fn.handshake)) && curl_easy_getinfo(x->easy, CURLINFO_PRIMARY_IP, &ip) == CURLE_OK && ip)
		(void)str_copy(peer, sizeof(peer), ip);
	(void)curl_easy_getinfo(x->easy, CURLINFO_PRIMARY_PORT, &port);
	end.peer_ip = peer;
	end.peer_port = (uint16_t)port;
	end.status = x->opened ? (int)status : 0;
	end.http_version = version == CURL_HTTP_VERSION_2_0 ? 20 : version == CURL_HTTP_VERSION_1_1 ? 11 : 0;
	end.retry_after_ms = (int64_t)(retry_after < 86400 ? retry_after : 86400) * MS_PER_S;
	end.error = error;
	transfer_free(x);
	fn.on_end(fn.arg, &end);
}

/* ---- the transport ---- */

/* Outside of libcurl: bring the multi handle in line with our list. Calls nobody back: it is part of transport_start(). */
static void settle(struct transport *t)
{
	list_for_each_safe(x, &t->transfers, struct transfer, link) {
		if (x->state == TRANSFER_CANCELLED) {
			transfer_free(x);
		} else if (!x->added) {
			x->added = true;
			x->state = TRANSFER_RUNNING;
			t->inside = true;	/* it may call on_curl_timer at once */
			(void)curl_multi_add_handle(t->multi, x->easy);
			t->inside = false;
		}
	}
}

/* From the loop only: a callback may start transfers, and no other's end may come to it in the middle of that. */
static void drain(struct transport *t)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(t->multi, &left))) {
		struct transfer *x = NULL;
		CURLcode code = m->data.result;

		if (m->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&x);
		transfer_finish(x, code, false);
	}
}

static int multi_open(struct transport *t)
{
	t->multi = curl_multi_init();
	if (!t->multi)
		return -ENOMEM;
	(void)curl_multi_setopt(t->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
	(void)curl_multi_setopt(t->multi, CURLMOPT_SOCKETDATA, t);
	(void)curl_multi_setopt(t->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
	(void)curl_multi_setopt(t->multi, CURLMOPT_TIMERDATA, t);
	(void)curl_multi_setopt(t->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
	(void)curl_multi_setopt(t->multi, CURLMOPT_MAXCONNECTS, (long)KEPT_CONNECTIONS);
	return 0;
}

static void multi_close(struct transport *t)
{
	t->inside = true;
	(void)curl_multi_cleanup(t->multi);
	t->inside = false;
	timer_stop(t->timer);
	list_for_each_safe(s, &t->socks, struct sock, link)
		sock_free(s);
	t->multi = NULL;
}

static void on_drop(void *arg)
{
	struct transport *t = arg;
	struct list old;

	list_move_all(&old, &t->transfers);
	list_for_each(x, &old, struct transfer, link) {
		if (x->added)
			(void)curl_multi_remove_handle(t->multi, x->easy);
		x->added = false;
	}
	multi_close(t);
	if (multi_open(t) < 0)
		abort();
	/* A callback may cancel any of the others: it then leaves this list. */
	while (!list_is_empty(&old))
		transfer_finish(list_first(&old, struct transfer, link), CURLE_OK, true);
}

void transport_drop(struct transport *t)
{
	timer_start_ms(t->drop_timer, 0);
}

void transport_set_route(struct transport *t, const struct kube_route *route)
{
	struct kube_route old = t->route;

	t->route = (struct kube_route){ 0 };
	if (route)
		t->route = (struct kube_route){ .host = str_dup(route->host), .port = route->port, .name = str_dup(route->name),
						.tls = route->tls };
	free((char *)(uintptr_t)old.host);
	free((char *)(uintptr_t)old.name);
}

int transport_new(const struct transport_conf *conf, struct transport **out_transport)
{
	static bool ready;
	struct transport *t;

	if (!ready && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOSYS;
	ready = true;
	t = mem_new(struct transport);
	t->conf = *conf;
	list_init(&t->socks);
	list_init(&t->transfers);
	if (multi_open(t) < 0) {
		free(t);
		return -ENOMEM;
	}
	t->user_agent = str_dup(conf->user_agent);
	t->timer = timer_new(conf->loop, "curl", on_timer, t);
	t->drop_timer = timer_new(conf->loop, "curl-drop", on_drop, t);
	*out_transport = t;
	return 0;
}

void transport_free(struct transport *t)
{
	if (!t)
		return;
	assert(!t->inside && list_is_empty(&t->transfers));
	multi_close(t);
	timer_free(t->timer);
	timer_free(t->drop_timer);
	transport_set_route(t, NULL);
	free(t->user_agent);
	free(t);
}
