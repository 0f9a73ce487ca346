/* http_rig.c — see http_rig.h; one thread accepts, one more for each connection */
#include "http_rig.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

enum { CONNS_MAX = 256, STEPS_MAX = 256, REQUESTS_MAX = 1024, HEAD_MAX = 64 * 1024 };

struct conn {
	struct http_rig *rig;
	pthread_t thread;
	SSL *ssl;
	int fd;
	bool open;
};

struct http_rig {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t acceptor;
	SSL_CTX *ctx;
	char url[64];
	int fd, port;
	bool stopping;
	struct conn conns[CONNS_MAX];
	size_t conn_count;
	struct rig_step steps[STEPS_MAX];
	bool used[STEPS_MAX];
	size_t step_count;
	char *requests[REQUESTS_MAX];
	size_t request_count;
	unsigned releases;
};

/* ---- bytes ---- */

static bool conn_write(struct conn *c, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t k = c->ssl ? SSL_write(c->ssl, p, (int)n) : send(c->fd, p, n, MSG_NOSIGNAL);

		if (k <= 0)
			return false;
		p += k;
		n -= (size_t)k;
	}
	return true;
}

static ssize_t conn_read(struct conn *c, char *p, size_t n)
{
	return c->ssl ? SSL_read(c->ssl, p, (int)n) : recv(c->fd, p, n, 0);
}

/* One request, head and body, into `b`. False at the end of the connection. */
static bool read_request(struct conn *c, struct buf *b)
{
	size_t want = 0;
	char chunk[4096];

	buf_clear(b);
	for (;;) {
		char *end = b->len ? strstr(b->data, "\r\n\r\n") : NULL;
		ssize_t n;

		if (end && !want) {
			const char *length = strcasestr(b->data, "content-length:");

			want = (size_t)(end + 4 - b->data) + (length ? strtoul(length + 15, NULL, 10) : 0);
		}
		if (want && b->len >= want)
			return true;
		n = conn_read(c, chunk, sizeof(chunk));
		if (n <= 0 || b->len > HEAD_MAX)
			return false;
		buf_add(b, chunk, (size_t)n);
	}
}

static bool write_chunks(struct conn *c, const char *body, size_t cut)
{
	size_t n = strlen(str_or(body, "")), at = 0;

	cut = cut ? cut : n;
	while (at < n) {
		size_t k = cut < n - at ? cut : n - at;
		char head[32];

		(void)snprintf(head, sizeof(head), "%zx\r\n", k);
		if (!conn_write(c, head, strlen(head)) || !conn_write(c, body + at, k) || !conn_write(c, "\r\n", 2))
			return false;
		at += k;
	}
	return true;
}

/* ---- steps ---- */

static struct rig_step step_for(struct http_rig *r, const char *request)
{
	static const struct rig_step unscripted = { .status = 500, .body = "unscripted" };
	cleanup(freep) char *line = str_ndup(request, strcspn(request, "\r"));
	struct rig_step found = unscripted;

	pthread_mutex_lock(&r->lock);
	if (r->request_count < REQUESTS_MAX)
		r->requests[r->request_count++] = str_dup(request);
	for (size_t i = 0; i < r->step_count; i++) {
		if (r->used[i] || (r->steps[i].want && !strstr(line, r->steps[i].want)))
			continue;
		r->used[i] = !r->steps[i].forever;
		found = r->steps[i];
		break;
	}
	pthread_mutex_unlock(&r->lock);
	return found;
}

static bool wait_for_release(struct http_rig *r)
{
	bool ok;

	pthread_mutex_lock(&r->lock);
	while (!r->releases && !r->stopping)
		pthread_cond_wait(&r->changed, &r->lock);
	ok = !r->stopping;
	r->releases -= ok;
	pthread_mutex_unlock(&r->lock);
	return ok;
}

static void hold(struct conn *c)
{
	char chunk[256];

	while (conn_read(c, chunk, sizeof(chunk)) > 0)
		;
}

/* False: the connection is over. */
static bool play(struct conn *c, const struct rig_step *s)
{
	cleanup(freep) char *head = str_format(
	    "HTTP/1.1 %d Scripted\r\nContent-Type: application/json\r\n"
	    "Transfer-Encoding: chunked\r\n%s%s\r\n",
	    s->status ? s->status : 200, s->end == RIG_CLOSE ? "Connection: close\r\n" : "", str_or(s->headers, ""));

	if (s->end == RIG_NOTHING)
		return false;
	if (s->end == RIG_NO_ANSWER) {
		hold(c);
		return false;
	}
	if (!conn_write(c, head, strlen(head)) || !write_chunks(c, s->body, s->cut))
		return false;
	if (s->gate && (!wait_for_release(c->rig) || !write_chunks(c, s->tail, s->cut)))
		return false;
	if (s->end == RIG_HOLD)
		hold(c);
	if (s->end == RIG_CUT || s->end == RIG_HOLD)
		return false;
	return conn_write(c, "0\r\n\r\n", 5) && s->end != RIG_CLOSE;
}

/* ---- connections ---- */

static void *conn_main(void *arg)
{
	struct conn *c = arg;
	struct buf request = BUF_INIT;
	bool ok = !c->ssl || SSL_accept(c->ssl) == 1;

	while (ok && read_request(c, &request)) {
		struct rig_step s = step_for(c->rig, request.data);

		ok = play(c, &s);
	}
	buf_fini(&request);
	if (c->ssl) {
		(void)SSL_shutdown(c->ssl);
		SSL_free(c->ssl);
	}
	pthread_mutex_lock(&c->rig->lock);
	c->open = false;
	(void)close(c->fd);
	pthread_mutex_unlock(&c->rig->lock);
	return NULL;
}

static void conn_start(struct http_rig *r, int fd)
{
	struct conn *c = &r->conns[r->conn_count];
	int one = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	*c = (struct conn){ .rig = r, .fd = fd, .open = true };
	if (r->ctx) {
		c->ssl = SSL_new(r->ctx);
		(void)SSL_set_fd(c->ssl, fd);
	}
	r->conn_count++;
	if (pthread_create(&c->thread, NULL, conn_main, c) != 0)
		abort();
}

static void *acceptor_main(void *arg)
{
	struct http_rig *r = arg;

	for (;;) {
		int fd = accept4(r->fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			return NULL;
		pthread_mutex_lock(&r->lock);
		if (r->stopping || r->conn_count == CONNS_MAX)
			(void)close(fd);
		else
			conn_start(r, fd);
		pthread_mutex_unlock(&r->lock);
	}
}

/* ---- the rig ---- */

static SSL_CTX *tls_new(const struct rig_tls *tls)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (SSL_CTX_use_certificate_chain_file(ctx, tls->cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, tls->key, SSL_FILETYPE_PEM) != 1)
		abort();
	if (tls->client_ca) {
		if (SSL_CTX_load_verify_locations(ctx, tls->client_ca, NULL) != 1)
			abort();
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	}
	return ctx;
}

struct http_rig *http_rig_new(const struct rig_tls *tls)
{
	struct http_rig *r = mem_new(struct http_rig);
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(a);

	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->changed, NULL);
	r->ctx = tls ? tls_new(tls) : NULL;
	r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(r->fd, (struct sockaddr *)&a, size) < 0 || listen(r->fd, 64) < 0 ||
	    getsockname(r->fd, (struct sockaddr *)&a, &size) < 0)
		abort();
	r->port = ntohs(a.sin_port);
	(void)snprintf(r->url, sizeof(r->url), "http%s://127.0.0.1:%d", tls ? "s" : "", r->port);
	if (pthread_create(&r->acceptor, NULL, acceptor_main, r) != 0)
		abort();
	return r;
}

void http_rig_free(struct http_rig *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	r->stopping = true;
	pthread_cond_broadcast(&r->changed);
	(void)shutdown(r->fd, SHUT_RDWR);
	for (size_t i = 0; i < r->conn_count; i++)
		if (r->conns[i].open)
			(void)shutdown(r->conns[i].fd, SHUT_RDWR);
	pthread_mutex_unlock(&r->lock);
	(void)pthread_join(r->acceptor, NULL);
	for (size_t i = 0; i < r->conn_count; i++)
		(void)pthread_join(r->conns[i].thread, NULL);
	(void)close(r->fd);
	SSL_CTX_free(r->ctx);
	for (size_t i = 0; i < r->request_count; i++)
		free(r->requests[i]);
	free(r);
}

const char *http_rig_url(const struct http_rig *r)
{
	return r->url;
}

int http_rig_port(const struct http_rig *r)
{
	return r->port;
}

void http_rig_add(struct http_rig *r, const struct rig_step *step)
{
	pthread_mutex_lock(&r->lock);
	assert(r->step_count < STEPS_MAX);
	r->steps[r->step_count++] = *step;
	pthread_mutex_unlock(&r->lock);
}

void http_rig_release(struct http_rig *r)
{
	pthread_mutex_lock(&r->lock);
	r->releases++;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

size_t http_rig_requests(struct http_rig *r)
{
	size_t n;

	pthread_mutex_lock(&r->lock);
	n = r->request_count;
	pthread_mutex_unlock(&r->lock);
	return n;
}

const char *http_rig_request(struct http_rig *r, size_t i)
{
	const char *text;

	pthread_mutex_lock(&r->lock);
	text = i < r->request_count ? r->requests[i] : "";
	pthread_mutex_unlock(&r->lock);
	return text;
}

size_t http_rig_connections(struct http_rig *r)
{
	size_t n;

	pthread_mutex_lock(&r->lock);
	n = r->conn_count;
	pthread_mutex_unlock(&r->lock);
	return n;
}

size_t http_rig_open(struct http_rig *r)
{
	size_t n = 0;

	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < r->conn_count; i++)
		n += r->conns[i].open;
	pthread_mutex_unlock(&r->lock);
	return n;
}
