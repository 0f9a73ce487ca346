/* loop.c — libevent underneath, a timer heap on top
 *
 * Timers live in one binary heap for both kinds of loop: a real loop arms one libevent timeout for the earliest of them, a
 * virtual one fires them from loop_advance_ms(). Order is (due, order of starting), so both kinds agree. A timer started by a
 * callback never fires in the same pass. Objects given to loop_free_later() go after the callback that gave them.
 */
#include "loop/loop.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <sys/random.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "loop/op.h"

enum { LOOP_MAGIC = 0x100b0001, TIMER_MAGIC = 0x100b0002, IO_MAGIC = 0x100b0003, SIGNALS_MAX = 8 };
#define TIMER_NOT_QUEUED SIZE_MAX

struct timer {
	unsigned magic;
	struct loop *loop;
	const char *name;
	timer_fn fn;
	void *arg;
	struct mono due;
	uint64_t seq;		/* order of starting */
	size_t pos;		/* in the heap, or TIMER_NOT_QUEUED */
};

struct io {
	unsigned magic;
	struct loop *loop;
	struct event *ev;
	io_fn fn;
	void *arg;
	int fd, events;
};

struct handler {
	struct loop *loop;
	struct event *ev;
	signal_fn fn;
	void *arg;
};

struct garbage {
	struct list link;
	void *obj;
	void (*fn)(void *obj);
};

struct loop {
	unsigned magic;
	struct event_base *base;	/* NULL = virtual */
	struct event *tick;
	struct mono now;
	struct wall wall;		/* virtual only */
	uint64_t random, seq;
	struct timer **heap;
	size_t heap_len, heap_cap;
	size_t timers, ios;
	struct handler handlers[SIGNALS_MAX];
	size_t handler_count;
	struct list garbage;
	bool stopping;
};

/* ---- the heap ---- */

static bool timer_before(const struct timer *a, const struct timer *b)
{
	return a->due.ns != b->due.ns ? a->due.ns < b->due.ns : a->seq < b->seq;
}

static void heap_place(struct loop *l, size_t pos, struct timer *t)
{
	l->heap[pos] = t;
	t->pos = pos;
}

static void heap_up(struct loop *l, size_t pos, struct timer *t)
{
	while (pos > 0 && timer_before(t, l->heap[(pos - 1) / 2])) {
		heap_place(l, pos, l->heap[(pos - 1) / 2]);
		pos = (pos - 1) / 2;
	}
	heap_place(l, pos, t);
}

static void heap_down(struct loop *l, size_t pos, struct timer *t)
{
	for (;;) {
		size_t child = 2 * pos + 1;

		if (child >= l->heap_len)
			break;
		if (child + 1 < l->heap_len && timer_before(l->heap[child + 1], l->heap[child]))
			child++;
		if (!timer_before(l->heap[child], t))
			break;
		heap_place(l, pos, l->heap[child]);
		pos = child;
	}
	heap_place(l, pos, t);
}

static void heap_add(struct loop *l, struct timer *t)
{
	if (l->heap_len == l->heap_cap) {
		l->heap_cap = l->heap_cap ? 2 * l->heap_cap : 32;
		l->heap = mem_resize(l->heap, l->heap_cap, sizeof(l->heap[0]));
	}
	heap_up(l, l->heap_len++, t);
}

static void heap_remove(struct loop *l, struct timer *t)
{
	size_t pos = t->pos;
	struct timer *last = l->heap[--l->heap_len];

	t->pos = TIMER_NOT_QUEUED;
	if (last == t)
		return;
	if (pos > 0 && timer_before(last, l->heap[(pos - 1) / 2]))
		heap_up(l, pos, last);
	else
		heap_down(l, pos, last);
}

/* ---- rounds ---- */

static void garbage_collect(struct loop *l)
{
	struct list all;

	list_move_all(&all, &l->garbage);
	list_for_each_safe(g, &all, struct garbage, link) {
		g->fn(g->obj);
		free(g);
	}
}

/* A callback that began at `cpu_ns` is over: nothing else happened meanwhile. CPU time, so that a busy machine does not count. */
static void note_pause(const struct loop *l, int64_t cpu_ns)
{
	double seconds;

	if (!l->base)
		return;
	seconds = (double)(cpu_read_ns() - cpu_ns) / 1e9;
	metric_observe(METRIC_LOOP_PAUSE, 0, seconds);
	if (seconds > metric_get(METRIC_LOOP_PAUSE_MAX, 0))
		metric_set(METRIC_LOOP_PAUSE_MAX, 0, seconds);
}

static void tick_arm(struct loop *l)
{
	int64_t ns;
	struct timeval tv;

	if (!l->base)
		return;
	if (!l->heap_len) {
		(void)evtimer_del(l->tick);
		return;
	}
	ns = l->heap[0]->due.ns - mono_read().ns;
	ns = ns > 0 ? ns + 999 : 0;	/* rounded up: never wake before it is due */
	tv = (struct timeval){ ns / (1000 * NS_PER_MS), ns % (1000 * NS_PER_MS) / 1000 };
	(void)evtimer_add(l->tick, &tv);
}

/* Fire what is due now; timers started meanwhile wait for the next pass. */
static void timers_fire(struct loop *l)
{
	uint64_t pass = l->seq;

	while (l->heap_len && mono_reached(l->now, l->heap[0]->due) && l->heap[0]->seq <= pass) {
		struct timer *t = l->heap[0];
		int64_t began = l->base ? cpu_read_ns() : 0;

		assert(t->magic == TIMER_MAGIC);
		heap_remove(l, t);
		t->fn(t->arg);
		garbage_collect(l);
		note_pause(l, began);
	}
	tick_arm(l);
}

static void on_tick(evutil_socket_t fd, short events, void *arg)
{
	struct loop *l = arg;

	(void)fd;
	(void)events;
	l->now = mono_read();
	timers_fire(l);
}

static void on_io(evutil_socket_t fd, short events, void *arg)
{
	struct io *io = arg;
	struct loop *l = io->loop;
	int64_t began = cpu_read_ns();

	(void)fd;
	assert(io->magic == IO_MAGIC);
	l->now = mono_read();
	io->fn(io->arg, (events & EV_READ ? IO_READ : 0) | (events & EV_WRITE ? IO_WRITE : 0));
	garbage_collect(l);
	note_pause(l, began);
}

static void on_signal(evutil_socket_t signo, short events, void *arg)
{
	struct handler *h = arg;
	struct loop *l = h->loop;
	int64_t began = cpu_read_ns();

	(void)events;
	l->now = mono_read();
	h->fn(h->arg, (int)signo);
	garbage_collect(l);
	note_pause(l, began);
}

/* ---- the loop ---- */

static void event_log(int severity, const char *msg)
{
	if (severity >= EVENT_LOG_WARN)
		log_warn(LOG_LOOP, "libevent", "msg=%s", msg);
}

static struct loop *loop_alloc(void)
{
	struct loop *l = mem_new(struct loop);

	l->magic = LOOP_MAGIC;
	list_init(&l->garbage);
	return l;
}

struct loop *loop_new(void)
{
	struct loop *l = loop_alloc();

	event_set_log_callback(event_log);
	l->base = event_base_new();
	assert(l->base);
	l->tick = evtimer_new(l->base, on_tick, l);
	assert(l->tick);
	l->now = mono_read();
	if (getrandom(&l->random, sizeof(l->random), 0) != sizeof(l->random))
		l->random = (uint64_t)l->now.ns;
	(void)signal(SIGPIPE, SIG_IGN);
	return l;
}

struct loop *loop_new_virtual(struct mono start, struct wall wall, uint64_t seed)
{
	struct loop *l = loop_alloc();

	l->now = start;
	l->wall = wall;
	l->random = seed;
	return l;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	assert(l->magic == LOOP_MAGIC);
	garbage_collect(l);
	assert(l->timers == 0 && l->ios == 0);	/* owners go first */
	for (size_t i = 0; i < l->handler_count; i++)
		event_free(l->handlers[i].ev);
	if (l->base) {
		event_free(l->tick);
		event_base_free(l->base);
		libevent_global_shutdown();
	}
	free(l->heap);
	l->magic = 0;
	free(l);
}

static int loop_round(struct loop *l)
{
	int r = event_base_loop(l->base, EVLOOP_ONCE);

	l->now = mono_read();
	return r < 0 ? -EIO : 0;
}

int loop_run(struct loop *l)
{
	assert(l->magic == LOOP_MAGIC && l->base);
	l->stopping = false;
	l->now = mono_read();
	while (!l->stopping) {
		int r = loop_round(l);

		if (r < 0)
			return r;
	}
	return 0;
}

void loop_stop(struct loop *l)
{
	l->stopping = true;
	if (l->base)
		(void)event_base_loopbreak(l->base);
}

static void on_deadline(void *arg)
{
	*(bool *)arg = true;
}

bool loop_run_until(struct loop *l, const bool *done, int64_t timeout_ms)
{
	bool late = false;
	struct timer *deadline = timer_new(l, "deadline", on_deadline, &late);

	l->now = l->base ? mono_read() : l->now;
	timer_start_ms(deadline, timeout_ms);
	while (!*done && !late && l->base && loop_round(l) == 0)
		;
	while (!*done && !late && !l->base && l->heap_len)
		loop_advance_ms(l, 1);
	timer_free(deadline);
	return *done;
}

void loop_advance_ms(struct loop *l, int64_t ms)
{
	struct mono end = mono_add_ms(l->now, ms);
	int64_t wall_base = l->wall.ns - l->now.ns;

	assert(!l->base);
	while (l->heap_len && mono_reached(end, l->heap[0]->due)) {
		if (l->heap[0]->due.ns > l->now.ns)
			l->now = l->heap[0]->due;
		l->wall.ns = wall_base + l->now.ns;
		timers_fire(l);
	}
	l->now = end;
	l->wall.ns = wall_base + end.ns;
}

struct mono loop_now(const struct loop *l)
{
	return l->now;
}

struct wall loop_wall(const struct loop *l)
{
	return l->base ? wall_read() : l->wall;
}

/* splitmix64: https://prng.di.unimi.it/splitmix64.c (public domain algorithm) */
uint64_t loop_random(struct loop *l)
{
	uint64_t z = (l->random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

int64_t loop_jitter_ms(struct loop *l, int64_t ms)
{
	int64_t span = ms * 2 / 5;	/* 40 % wide, centred */

	return ms - span / 2 + (span > 0 ? (int64_t)(loop_random(l) % (uint64_t)(span + 1)) : 0);
}

void loop_free_later(struct loop *l, void *obj, void (*fn)(void *obj))
{
	struct garbage *g = mem_new(struct garbage);

	g->obj = obj;
	g->fn = fn;
	list_add_tail(&l->garbage, &g->link);
}

/* ---- timers ---- */

struct timer *timer_new(struct loop *l, const char *name, timer_fn fn, void *arg)
{
	struct timer *t = mem_new(struct timer);

	*t = (struct timer){ .magic = TIMER_MAGIC, .loop = l, .name = name, .fn = fn, .arg = arg, .pos = TIMER_NOT_QUEUED };
	l->timers++;
	return t;
}

void timer_start_at(struct timer *t, struct mono due)
{
	struct loop *l = t->loop;

	assert(t->magic == TIMER_MAGIC);
	timer_stop(t);
	t->due = due;
	t->seq = ++l->seq;
	heap_add(l, t);
	if (t->pos == 0)
		tick_arm(l);
}

void timer_start_ms(struct timer *t, int64_t delay_ms)
{
	timer_start_at(t, mono_add_ms(t->loop->now, delay_ms));
}

void timer_stop(struct timer *t)
{
	if (timer_is_running(t))
		heap_remove(t->loop, t);
}

bool timer_is_running(const struct timer *t)
{
	return t->pos != TIMER_NOT_QUEUED;
}

struct mono timer_due(const struct timer *t)
{
	return timer_is_running(t) ? t->due : (struct mono){ 0 };
}

void timer_free(struct timer *t)
{
	if (!t)
		return;
	assert(t->magic == TIMER_MAGIC);
	timer_stop(t);
	t->loop->timers--;
	t->magic = 0;
	free(t);
}

/* ---- descriptors and signals ---- */

struct io *io_new(struct loop *l, int fd, io_fn fn, void *arg)
{
	struct io *io = mem_new(struct io);

	*io = (struct io){ .magic = IO_MAGIC, .loop = l, .fn = fn, .arg = arg, .fd = fd };
	io->ev = event_new(l->base, fd, 0, on_io, io);
	assert(io->ev);
	l->ios++;
	return io;
}

void io_watch(struct io *io, int events)
{
	short wanted = (short)(EV_PERSIST | (events & IO_READ ? EV_READ : 0) | (events & IO_WRITE ? EV_WRITE : 0));

	assert(io->magic == IO_MAGIC);
	if (events == io->events)
		return;
	(void)event_del(io->ev);
	io->events = events;
	if (!events)
		return;
	(void)event_assign(io->ev, io->loop->base, io->fd, wanted, on_io, io);
	(void)event_add(io->ev, NULL);
}

void io_free(struct io *io)
{
	if (!io)
		return;
	assert(io->magic == IO_MAGIC);
	event_free(io->ev);
	io->loop->ios--;
	io->magic = 0;
	free(io);
}

int loop_on_signal(struct loop *l, int signo, signal_fn fn, void *arg)
{
	struct handler *h = &l->handlers[l->handler_count];

	if (l->handler_count == SIGNALS_MAX)
		return -ENOSPC;
	*h = (struct handler){ .loop = l, .fn = fn, .arg = arg };
	h->ev = evsignal_new(l->base, signo, on_signal, h);
	if (!h->ev || event_add(h->ev, NULL) < 0)
		return -EIO;
	l->handler_count++;
	return 0;
}

void op_cancelp(struct op **op)
{
	struct op *o = *op;

	*op = NULL;
	if (o)
		o->cancel(o);
}
