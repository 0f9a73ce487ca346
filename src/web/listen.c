/* listen.c — sockets that listen: TCP, and a Unix socket of root's own
 *
 * We accept ourselves and hand the connections to libmicrohttpd: it would take its listener out of its epoll at its
 * limit and put it back in a later MHD_run(), which nobody calls when all connections end in one. Ours is watched for
 * as long as it lives.
 *
 * Failures: one connection that is gone already is skipped. Without descriptors or memory accept() fails for ever while
 * the socket stays readable, so we rest WEB_ACCEPT_RETRY_MS and try again.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/endpoint.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "web_int.h"

#define LISTEN_BACKLOG                                                                                                 \
	1024 /* a burst that waits here is closed one by one, not dropped and sent again a second later */

static uint16_t port_of(const union web_address *a)
{
	return ntohs(a->sa.sa_family == AF_INET6 ? a->in6.sin6_port : a->in.sin_port);
}

/* ---- accepting ---- */

static bool is_short(int err)
{
	return err == EMFILE || err == ENFILE || err == ENOBUFS || err == ENOMEM;
}

static void on_rest_over(void *arg)
{
	struct listener *l = arg;

	if (!l->paused)
		io_watch(l->io, IO_READ);
}

/* Without descriptors or memory the socket stays readable: later, then. */
static void listener_rest(struct listener *l, int err)
{
	if (!l->is_short)
		log_warn(LOG_WEB, "cannot accept", "error=%s: tried again each %d ms", err_str(-err),
			 WEB_ACCEPT_RETRY_MS);
	l->is_short = true;
	io_watch(l->io, 0);
	timer_start_ms(l->rest, WEB_ACCEPT_RETRY_MS);
}

int listener_accept(struct listener *l)
{
	int came = 0;

	if (!l->io || timer_is_running(l->rest))
		return 0;
	for (int i = 0; i < WEB_ACCEPT_MAX; i++) {
		union web_address from = {.sa.sa_family = AF_UNSPEC};
		socklen_t n = sizeof(from);
		int fd = accept4(l->fd, &from.sa, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			l->is_short = false;
			l->on_arrival(l->arg, fd, &from, n);
			came++;
		} else if (errno == EAGAIN) {
			break;
		} else if (is_short(errno)) {
			listener_rest(l, errno);
			break;
		}
	}
	return came;
}

static void on_connection(void *arg, int events)
{
	struct listener *l = arg;

	(void)events;
	l->on_waiting(l->arg);
}

void listener_pause(struct listener *l, bool paused)
{
	if (!l->io)
		return;
	l->paused = paused;
	if (paused)
		io_watch(l->io, 0);
	else if (!timer_is_running(l->rest))
		io_watch(l->io, IO_READ);
}

/* ---- opening ---- */

/* Owns `fd` from now on. */
static int listener_begin(struct listener *l, int fd, int r)
{
	if (r < 0 || listen(fd, LISTEN_BACKLOG) < 0) {
		r = r < 0 ? r : -errno;
		(void)close(fd);
		return r;
	}
	l->fd = fd;
	l->io = io_new(l->loop, fd, on_connection, l);
	l->rest = timer_new(l->loop, "web rest", on_rest_over, l);
	return 0;
}

int listener_open(struct listener *l, const char *address)
{
	struct sockaddr_storage at;
	union web_address bound = {.sa.sa_family = AF_UNSPEC};
	socklen_t n = sizeof(bound);
	const int on = 1;
	size_t len = 0;
	int r = endpoint_listen_parse(address, &at, &len);
	int fd = r < 0 ? r : socket(at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (r < 0 || fd < 0)
		return r < 0 ? r : -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)(const void *)&at, (socklen_t)len) < 0 ||
	    getsockname(fd, &bound.sa, &n) < 0)
		r = -errno;
	l->port = port_of(&bound);
	return listener_begin(l, fd, r);
}

/* 0: nobody is behind the path any more and it is gone now. */
static int remove_stale(const struct sockaddr_un *sun)
{
	struct stat st;
	int fd, r;

	if (lstat(sun->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	r = connect(fd, (const struct sockaddr *)(const void *)sun, sizeof(*sun)) == 0 ? 0 : -errno;
	(void)close(fd);
	if (r != -ECONNREFUSED)
		return r == 0 || r == -EAGAIN ? -EADDRINUSE : r; /* EAGAIN: alive, and its queue is full */
	return unlink(sun->sun_path) < 0 ? -errno : 0;
}

static int bind_path(int fd, const struct sockaddr_un *sun)
{
	mode_t before = umask(0177);
	int r = bind(fd, (const struct sockaddr *)(const void *)sun, sizeof(*sun)) < 0 ? -errno : 0;

	(void)umask(before);
	return r;
}

int listener_open_path(struct listener *l, const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct stat st;
	int fd, r;

	if (!str_copy(sun.sun_path, sizeof(sun.sun_path), path))
		return -ENAMETOOLONG;
	r = remove_stale(&sun);
	fd = r < 0 ? r : socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return r < 0 ? r : -errno;
	r = listener_begin(l, fd, bind_path(fd, &sun));
	if (r < 0)
		return r;
	l->path = str_dup(path);
	if (lstat(path, &st) == 0) {
		l->dev = st.st_dev;
		l->ino = st.st_ino;
	}
	return 0;
}

void listener_close(struct listener *l)
{
	struct stat st;

	if (!l->io)
		return;
	if (l->path && lstat(l->path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
		(void)unlink(l->path);
	io_free(l->io);
	timer_free(l->rest);
	(void)close(l->fd);
	free(l->path);
	*l = (struct listener){0};
}
