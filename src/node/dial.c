/* dial.c — non-blocking connects to a few ports of one address */
#include "node/dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

struct dial;
struct attempt {
	struct dial *dial;
	struct io *io;
	int fd;
};

struct dial {
	struct op op;
	struct loop *loop;
	struct timer *deadline;
	struct attempt tries[DIAL_PORTS_MAX];
	size_t count, failed;
	bool refused_counts;		/* a refusal is an answer too: somebody is there */
	void (*done)(void *arg, bool reachable);
	void *arg;
};

static void attempt_close(struct attempt *a)
{
	io_free(a->io);
	a->io = NULL;
	fd_closep(&a->fd);
	a->fd = -1;
}

static void dial_cancel(struct op *op)
{
	struct dial *d = container_of(op, struct dial, op);

	for (size_t i = 0; i < d->count; i++)
		attempt_close(&d->tries[i]);
	timer_free(d->deadline);
	loop_free_later(d->loop, d, free);
}

static void dial_finish(struct dial *d, bool reachable)
{
	void (*done)(void *arg, bool reachable) = d->done;
	void *arg = d->arg;

	dial_cancel(&d->op);
	done(arg, reachable);
}

static void on_deadline(void *arg)
{
	dial_finish(arg, false);
}

static void on_writable(void *arg, int events)
{
	struct attempt *a = arg;
	struct dial *d = a->dial;
	int err = 0;
	socklen_t n = sizeof(err);

	(void)events;
	if (getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &err, &n) == 0 && (err == 0 || (d->refused_counts && err == ECONNREFUSED))) {
		dial_finish(d, true);
		return;
	}
	attempt_close(a);
	if (++d->failed == d->count)
		dial_finish(d, false);
}

bool dial_address(const char *addr, uint16_t port, struct sockaddr_storage *out, socklen_t *out_len)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, addr, &v4.sin_addr) == 1) {
		memcpy(out, &v4, sizeof(v4));
		*out_len = sizeof(v4);
		return true;
	}
	if (inet_pton(AF_INET6, addr, &v6.sin6_addr) == 1) {
		memcpy(out, &v6, sizeof(v6));
		*out_len = sizeof(v6);
		return true;
	}
	return false;
}

/* A connect that fails at once is counted, not reported here: the callback must come from the loop. */
static void attempt_start(struct dial *d, const struct sockaddr_storage *sa, socklen_t n)
{
	struct attempt *a = &d->tries[d->count];
	int fd = socket(sa->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)sa, n) < 0 && errno != EINPROGRESS) {
		(void)close(fd);
		return;
	}
	*a = (struct attempt){ .dial = d, .fd = fd };
	a->io = io_new(d->loop, fd, on_writable, a);
	io_watch(a->io, IO_WRITE);
	d->count++;
}

struct op *dial_start(struct loop *loop, const struct dial_params *params, void (*done)(void *arg, bool reachable), void *arg)
{
	struct sockaddr_storage sa;
	socklen_t len;
	struct dial *d;

	if (!dial_address(params->addr, 0, &sa, &len))
		return NULL;
	d = mem_new(struct dial);
	*d = (struct dial){ .op.cancel = dial_cancel, .loop = loop, .done = done, .arg = arg,
			    .refused_counts = params->refused_counts };
	for (size_t i = 0; i < params->port_count && d->count < DIAL_PORTS_MAX; i++)
		if (params->ports[i] && dial_address(params->addr, params->ports[i], &sa, &len))
			attempt_start(d, &sa, len);
	d->deadline = timer_new(loop, "dial", on_deadline, d);
	timer_start_ms(d->deadline, d->count ? params->timeout_ms : 0);
	return &d->op;
}
