/* web_rig.c — see the header */
#include "../support.h"
#include "../patience.h"
#include "web_rig.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

struct loop *loop;
struct web *web;

/* ---- a client that sends what it has as fast as it is taken, and reads to the end ---- */

static void client_stop(struct client *c)
{
	io_free(c->io);
	c->io = NULL;
	c->closed = true;
}

static void client_write(struct client *c)
{
	size_t left = c->out.len - c->sent, n = c->step && c->step < left ? c->step : left;
	ssize_t k = send(c->fd, c->out.data + c->sent, n, MSG_NOSIGNAL);

	if (k > 0)
		c->sent += (size_t)k;
	if ((k < 0 && errno != EAGAIN) || c->sent == c->out.len) {
		if (c->half_close)
			(void)shutdown(c->fd, SHUT_WR);
		io_watch(c->io, c->mute ? 0 : IO_READ);
	}
}

static void client_read(struct client *c)
{
	char chunk[65536];
	ssize_t n = recv(c->fd, chunk, sizeof(chunk), 0);

	if (n > 0)
		buf_add(&c->in, chunk, (size_t)n);
	else if (n == 0 || errno != EAGAIN)
		client_stop(c);
}

static void on_client(void *arg, int events)
{
	struct client *c = arg;

	if (events & IO_WRITE)
		client_write(c);
	if ((events & IO_READ) && c->io)
		client_read(c);
}

static void client_begin(struct client *c, const char *text)
{
	if (text)
		buf_adds(&c->out, text);
	c->io = io_new(loop, c->fd, on_client, c);
	io_watch(c->io, (c->out.len ? IO_WRITE : 0) | (c->mute ? 0 : IO_READ));
}

void client_start_from(struct client *c, const char *source, const char *text)
{
	struct sockaddr_in sa = {
	    .sin_family = AF_INET, .sin_port = htons(web_port(web)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in from = {.sin_family = AF_INET};
	const int small = 4096;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(c->fd >= 0);
	if (c->mute)
		assert_int_equal(setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	assert_int_equal(inet_pton(AF_INET, source, &from.sin_addr), 1);
	assert_int_equal(bind(c->fd, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_true(connect(c->fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 || errno == EINPROGRESS);
	client_begin(c, text);
}

void client_start(struct client *c, const char *text)
{
	client_start_from(c, "127.0.0.1", text);
}

void client_start_path(struct client *c, const char *path, const char *text)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	assert_true(str_copy(sun.sun_path, sizeof(sun.sun_path), path));
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(c->fd >= 0);
	assert_int_equal(connect(c->fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	client_begin(c, text);
}

void client_fini(struct client *c)
{
	if (c->io)
		io_free(c->io);
	if (c->fd > 0)
		(void)close(c->fd);
	buf_fini(&c->out);
	buf_fini(&c->in);
}

int status_of(const struct client *c)
{
	int status = 0;

	return c->in.data && sscanf(c->in.data, "HTTP/1.%*d %d", &status) == 1 ? status : 0;
}

const char *body_of(const struct client *c)
{
	const char *end = c->in.data ? strstr(c->in.data, "\r\n\r\n") : NULL;

	return end ? end + 4 : "";
}

int exchange(struct client *c, const char *text)
{
	client_start(c, text);
	assert_true(loop_run_until(loop, &c->closed, patient_ms(20000)));
	return status_of(c);
}
