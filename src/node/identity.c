/* identity.c — who answers at the address of a node: one look at its kubelet's and its healer's port
 *
 *   CONNECTING ──accepts──> SHOWING ──certificate, or headers──> SETTLED
 *       └──refused, or accept_ms──> SETTLED <──nonsense, closed, or show_ms──┘
 *
 * It is over when both ports are settled, or as soon as the healer has named itself. A kubelet that has shown itself waits for
 * a healer that is slow at most until accept_ms: that it lives is known by then.
 */
#include "node/identity.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "node/cert.h"
#include "node/dial.h"

#define ANSWER_MAX 2048 /* bytes of a healer's answer that are read: its headers are far smaller */

enum leg_state { LEG_SETTLED, LEG_CONNECTING, LEG_SHOWING };

struct look;
struct leg {
	struct look *look;
	struct io *io;
	int fd;
	enum leg_state state;
	struct cert_shake *shake; /* kubelet's */
	size_t sent;              /* of the question to the healer */
	struct buf answer;
};

struct look {
	struct op op; /* first: the caller's handle */
	struct loop *loop;
	struct timer *timer;
	struct leg kubelet, healer;
	char *node, *print;
	struct mono began;
	int64_t accept_ms, show_ms;
	struct identity seen;
	identity_fn done;
	void *arg;
};

static const char question[] = "GET " IDENTITY_PATH " HTTP/1.1\r\nHost: healer\r\nConnection: close\r\n\r\n";

static void leg_settle(struct leg *l)
{
	io_free(l->io);
	l->io = NULL;
	cert_shake_free(l->shake);
	l->shake = NULL;
	buf_fini(&l->answer);
	if (l->fd >= 0)
		(void)close(l->fd);
	l->fd = -1;
	l->state = LEG_SETTLED;
}

static void look_free(void *arg)
{
	struct look *k = arg;

	free(k->node);
	free(k->print);
	free(k);
}

static void look_cancel(struct op *op)
{
	struct look *k = container_of(op, struct look, op);

	leg_settle(&k->kubelet);
	leg_settle(&k->healer);
	timer_free(k->timer);
	loop_free_later(k->loop, k, look_free);
}

static void look_finish(struct look *k)
{
	struct identity seen = k->seen;
	identity_fn done = k->done;
	void *arg = k->arg;

	look_cancel(&k->op);
	done(arg, &seen);
}

/* Nothing is free after it has returned true. */
static bool look_is_over(struct look *k)
{
	bool late = mono_since_ms(loop_now(k->loop), k->began) >= k->accept_ms;

	if (k->kubelet.state == LEG_SETTLED && k->healer.state == LEG_SETTLED)
		return true;
	return k->seen.healer || (k->seen.kubelet && late);
}

static void look_on(struct look *k)
{
	if (look_is_over(k))
		look_finish(k);
}

/* ---- kubelet ---- */

static void kubelet_step(struct leg *l)
{
	struct look *k = l->look;
	cleanup(buf_fini) struct buf der = BUF_INIT;

	switch (cert_shake_step(l->shake)) {
	case CERT_WANTS_READ:
		io_watch(l->io, IO_READ);
		return;
	case CERT_WANTS_WRITE:
		io_watch(l->io, IO_WRITE);
		return;
	case CERT_SHOWN:
		if (cert_shake_der(l->shake, &der) < 0)
			break;
		cert_print(der.data, der.len, k->seen.print);
		k->seen.kubelet = (k->print[0] && str_eq(k->print, k->seen.print)) || cert_names(der.data, der.len, k->node);
		break;
	case CERT_FAILED:
		break;
	}
	leg_settle(l);
}

/* ---- the healer ---- */

char *identity_header(char *headers)
{
	static const char name[] = IDENTITY_HEADER ":";

	for (char *line = headers, *end; (end = strstr(line, "\r\n")) && end != line; line = end + 2) {
		if (strncasecmp(line, name, sizeof(name) - 1) != 0)
			continue;
		*end = '\0';
		line += sizeof(name) - 1;
		return line + strspn(line, " \t");
	}
	return NULL;
}

static void healer_judge(struct leg *l)
{
	char *named = l->answer.data ? identity_header(l->answer.data) : NULL;

	if (named && strcasecmp(named, l->look->node) == 0)
		l->look->seen.healer = true;
	else if (named)
		l->look->seen.other = true;
	leg_settle(l);
}

static void healer_ask(struct leg *l)
{
	size_t left = sizeof(question) - 1 - l->sent;
	ssize_t n = send(l->fd, question + l->sent, left, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		leg_settle(l);
		return;
	}
	l->sent += n > 0 ? (size_t)n : 0;
	io_watch(l->io, l->sent == sizeof(question) - 1 ? IO_READ : IO_WRITE);
}

static void healer_hear(struct leg *l)
{
	char part[512];
	ssize_t n = recv(l->fd, part, sizeof(part), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		buf_add(&l->answer, part, (size_t)n);
	if (n <= 0 || l->answer.len >= ANSWER_MAX || strstr(l->answer.data, "\r\n\r\n"))
		healer_judge(l);
}

/* ---- both ---- */

static void leg_accepted(struct leg *l)
{
	struct look *k = l->look;

	k->seen.accepts = true;
	l->state = LEG_SHOWING;
	if (l == &k->healer) {
		healer_ask(l);
		return;
	}
	l->shake = cert_shake_new(l->fd);
	if (l->shake)
		kubelet_step(l);
	else
		leg_settle(l);
}

static void on_io(void *arg, int events)
{
	struct leg *l = arg;
	struct look *k = l->look;
	socklen_t n = sizeof(int);
	int err = 0;

	(void)events;
	if (l->state == LEG_CONNECTING) {
		if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &err, &n) < 0 || err)
			leg_settle(l);
		else
			leg_accepted(l);
	} else if (l == &k->kubelet) {
		kubelet_step(l);
	} else if (l->sent < sizeof(question) - 1) {
		healer_ask(l);
	} else {
		healer_hear(l);
	}
	look_on(k);
}

static void on_timer(void *arg)
{
	struct look *k = arg;
	bool all = mono_since_ms(loop_now(k->loop), k->began) >= k->show_ms;

	if (all || k->kubelet.state == LEG_CONNECTING)
		leg_settle(&k->kubelet);
	if (all || k->healer.state == LEG_CONNECTING)
		leg_settle(&k->healer);
	timer_start_at(k->timer, mono_add_ms(k->began, k->show_ms));
	look_on(k);
}

/* A connect that fails at once is settled, not reported here: the callback must come from the loop. */
static void leg_start(struct leg *l, const char *addr, uint16_t port)
{
	struct sockaddr_storage sa;
	socklen_t len;
	int fd;

	if (!port || !dial_address(addr, port, &sa, &len))
		return;
	fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)&sa, len) < 0 && errno != EINPROGRESS) {
		(void)close(fd);
		return;
	}
	l->fd = fd;
	l->state = LEG_CONNECTING;
	l->io = io_new(l->look->loop, fd, on_io, l);
	io_watch(l->io, IO_WRITE);
}

struct op *identity_start(struct loop *loop, const struct identity_params *p, identity_fn done, void *arg)
{
	struct sockaddr_storage sa;
	socklen_t len;
	struct look *k;

	if (!dial_address(p->addr, 0, &sa, &len))
		return NULL;
	k = mem_new(struct look);
	*k = (struct look){.op.cancel = look_cancel,
			   .loop = loop,
			   .node = str_dup(p->node),
			   .print = str_dup(str_or(p->print, "")),
			   .began = loop_now(loop),
			   .accept_ms = p->accept_ms,
			   .show_ms = p->show_ms,
			   .done = done,
			   .arg = arg};
	k->kubelet = k->healer = (struct leg){.look = k, .fd = -1, .answer = BUF_INIT};
	leg_start(&k->kubelet, p->addr, p->kubelet_port);
	leg_start(&k->healer, p->addr, p->healer_port);
	k->timer = timer_new(loop, "identity", on_timer, k);
	timer_start_ms(k->timer, look_is_over(k) ? 0 : p->accept_ms);
	return &k->op;
}
