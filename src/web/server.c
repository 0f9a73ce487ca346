/* server.c — libmicrohttpd without threads
 *
 * The daemon's epoll descriptor is watched by our loop; MHD_run() does what is pending, and MHD_get_timeout() (milliseconds,
 * relative) says when it must run again without an event. libmicrohttpd itself bounds connections, time and header memory; we
 * bound the body.
 */
#include "web/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "loop/loop.h"

#define LISTEN_BACKLOG 64

struct web {
	struct loop *loop;
	struct MHD_Daemon *daemon;
	struct io *io;
	struct timer *timer;
	const struct web_route *routes;
	size_t route_count;
	void *arg;
	uint16_t port;
};

/* One request while its body arrives. */
struct upload {
	struct buf body;
	bool too_big;
};

static void web_run(struct web *w)
{
	MHD_UNSIGNED_LONG_LONG ms;

	(void)MHD_run(w->daemon);
	if (MHD_get_timeout(w->daemon, &ms) == MHD_YES)
		timer_start_ms(w->timer, (int64_t)ms + 1);
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
	web_run(arg);
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
	for (const char *p = text.data; *p; p++) {
		if (*p == '"' || *p == '\\')
			buf_addc(&rs->body, '\\');
		buf_addc(&rs->body, (unsigned char)*p < 0x20 ? ' ' : *p);
	}
	buf_adds(&rs->body, "\"}\n");
}

static bool is_loopback(struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *sa = info ? info->client_addr : NULL;

	if (sa && sa->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr) >> 24 == 127;
	if (sa && sa->sa_family == AF_INET6) {
		const struct in6_addr *in6 = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;

		return IN6_IS_ADDR_LOOPBACK(in6) || (IN6_IS_ADDR_V4MAPPED(in6) && in6->s6_addr[12] == 127);
	}
	return false;
}

const char *web_query(const struct web_request *rq, const char *name)
{
	const char *value = NULL;
	size_t n;

	if (MHD_lookup_connection_value_n(rq->connection, MHD_GET_ARGUMENT_KIND, name, strlen(name), &value, &n) != MHD_YES)
		return NULL;
	return value ? value : "";
}

static bool path_matches(const char *route, const char *path)
{
	size_t n = strlen(route);

	return n && route[n - 1] == '*' ? strncmp(route, path, n - 1) == 0 : str_eq(route, path);
}

static const struct web_route *route_find(const struct web *w, const char *method, const char *path, bool *out_path_known)
{
	*out_path_known = false;
	if (str_eq(method, "HEAD"))
		method = "GET";
	for (size_t i = 0; i < w->route_count; i++) {
		if (!path_matches(w->routes[i].path, path))
			continue;
		*out_path_known = true;
		if (str_eq(w->routes[i].method, method))
			return &w->routes[i];
	}
	return NULL;
}

static enum MHD_Result queue(struct MHD_Connection *c, struct web_response *rs)
{
	struct MHD_Response *r;
	enum MHD_Result ok;
	size_t n = rs->body.len;

	r = MHD_create_response_from_buffer(n, buf_take(&rs->body), MHD_RESPMEM_MUST_FREE);
	if (!r)
		return MHD_NO;
	(void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, str_or(rs->content_type, "application/json"));
	(void)MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	if (rs->status == MHD_HTTP_METHOD_NOT_ALLOWED)
		(void)MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD, POST");
	ok = MHD_queue_response(c, (unsigned)(rs->status ? rs->status : 200), r);
	MHD_destroy_response(r);
	return ok;
}

static enum MHD_Result respond(struct web *w, struct MHD_Connection *c, const char *path, const char *method,
			       const struct upload *up)
{
	struct web_request rq = {
		.method = method, .path = path, .body = up->body.data ? up->body.data : "", .body_len = up->body.len,
		.loopback = is_loopback(c), .connection = c,
		.accept = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT),
		.authorization = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION),
	};
	struct web_response rs = { 0 };
	bool known;
	const struct web_route *route = route_find(w, method, path, &known);

	if (up->too_big)
		web_error(&rs, MHD_HTTP_CONTENT_TOO_LARGE, "the body is larger than %d bytes", WEB_BODY_MAX);
	else if (route)
		route->handler(w->arg, &rq, &rs);
	else if (known)
		web_error(&rs, MHD_HTTP_METHOD_NOT_ALLOWED, "%s is not allowed here", method);
	else
		web_error(&rs, MHD_HTTP_NOT_FOUND, "no such path; GET / lists them");
	return queue(c, &rs);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url, const char *method, const char *version,
				  const char *data, size_t *data_size, void **con_cls)
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

	(void)cls;
	(void)c;
	(void)why;
	if (!up)
		return;
	buf_fini(&up->body);
	free(up);
	*con_cls = NULL;
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

/* ---- listening ---- */

static void addrinfo_freep(struct addrinfo **ai)
{
	if (*ai)
		freeaddrinfo(*ai);
}

static uint16_t port_of(const struct sockaddr_storage *sa)
{
	if (sa->ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)(const void *)sa)->sin6_port);
	return ntohs(((const struct sockaddr_in *)(const void *)sa)->sin_port); /* NOLINT: getsockname() filled it */
}

/* "host:port", "[v6]:port" or ":port"; the caller frees *out_ai. */
static int address_resolve(const char *address, struct addrinfo **out_ai)
{
	const char *colon = strrchr(address, ':');
	cleanup(freep) char *host = colon ? str_ndup(address, (size_t)(colon - address)) : NULL;
	struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
	char *bare = host;
	int64_t port;

	if (!colon || num_parse_i64(colon + 1, 0, UINT16_MAX, &port) < 0)	/* getaddrinfo() cuts 99999 to 34463 */
		return -EINVAL;
	if (*bare == '[' && bare[strlen(bare) - 1] == ']') {
		bare[strlen(bare) - 1] = '\0';
		bare++;
	}
	return getaddrinfo(*bare ? bare : NULL, colon + 1, &hints, out_ai) == 0 ? 0 : -EINVAL;
}

/* The listening descriptor, or -errno. */
static int listen_on(const char *address, uint16_t *out_port)
{
	cleanup(addrinfo_freep) struct addrinfo *ai = NULL;
	struct sockaddr_storage bound = { 0 };
	socklen_t n = sizeof(bound);
	const int on = 1;
	int r = address_resolve(address, &ai);
	int fd = r < 0 ? r : socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (r < 0 || fd < 0)
		return r < 0 ? r : -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, LISTEN_BACKLOG) < 0 ||
	    getsockname(fd, (struct sockaddr *)&bound, &n) < 0) {
		r = -errno;
		(void)close(fd);
		return r;
	}
	*out_port = port_of(&bound);
	return fd;
}

static int daemon_start(struct web *w, int fd)
{
	const union MHD_DaemonInfo *info;

	w->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, w,
				     MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,	/* first: it covers the others */
				     MHD_OPTION_LISTEN_SOCKET, fd,
				     MHD_OPTION_CONNECTION_LIMIT, (unsigned)WEB_CONNECTIONS_MAX,
				     MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)WEB_CONNECTIONS_PER_IP_MAX,
				     MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)WEB_TIMEOUT_S,
				     MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)WEB_MEMORY_PER_CONNECTION,
				     MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
	if (!w->daemon) {
		(void)close(fd);
		return -EIO;
	}
	info = MHD_get_daemon_info(w->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info)
		return -EIO;
	w->io = io_new(w->loop, info->epoll_fd, on_epoll, w);
	io_watch(w->io, IO_READ);
	return 0;
}

int web_new(struct loop *loop, const char *listen_address, const struct web_route *routes, size_t route_count, void *arg,
	    struct web **out_web)
{
	struct web *w;
	uint16_t port = 0;
	int fd = listen_on(listen_address, &port);
	int r;

	if (fd < 0)
		return fd;
	w = mem_new(struct web);
	*w = (struct web){ .loop = loop, .routes = routes, .route_count = route_count, .arg = arg, .port = port };
	w->timer = timer_new(loop, "web", on_timer, w);
	r = daemon_start(w, fd);
	if (r < 0) {
		web_free(w);
		return r;
	}
	*out_web = w;
	return 0;
}

void web_free(struct web *w)
{
	if (!w)
		return;
	io_free(w->io);
	timer_free(w->timer);
	if (w->daemon)
		MHD_stop_daemon(w->daemon);
	free(w);
}

uint16_t web_port(const struct web *w)
{
	return w->port;
}
