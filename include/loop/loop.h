/* loop/loop.h — one thread, one loop: timers, descriptors, signals, deferred free
 *
 * Callbacks run from loop_run() only, never from inside the call that started them. loop_now() is fixed for a whole round.
 * A handle may be freed inside its own callback. Timers are one-shot: start them again from the callback to repeat.
 *
 * loop_new_virtual() gives the same timers on a clock that only loop_advance_ms() moves; descriptors do not work there.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/clock.h"

struct loop;
struct timer;
struct io;

enum { IO_READ = 1, IO_WRITE = 2 };

typedef void (*timer_fn)(void *arg);
typedef void (*io_fn)(void *arg, int events);		/* IO_READ | IO_WRITE */
typedef void (*signal_fn)(void *arg, int signo);

struct loop *loop_new(void);				/* never NULL */
struct loop *loop_new_virtual(struct mono start, struct wall wall, uint64_t seed);
void loop_free(struct loop *loop);			/* asserts that no timer or descriptor is left */
int loop_run(struct loop *loop);			/* until loop_stop(); 0 or -errno */
void loop_stop(struct loop *loop);
/* Run until `*done` is true or `timeout_ms` passed. True when done. For tests and one-shot clients. */
bool loop_run_until(struct loop *loop, const bool *done, int64_t timeout_ms);
void loop_advance_ms(struct loop *loop, int64_t ms);	/* virtual only: fires what is due, in order */

struct mono loop_now(const struct loop *loop);
struct wall loop_wall(const struct loop *loop);
uint64_t loop_random(struct loop *loop);		/* seeded at start; not for secrets */
/* `ms` changed by up to ±20 %, so that peers do not act in step. */
int64_t loop_jitter_ms(struct loop *loop, int64_t ms);

/* Free `obj` with `fn` after the current callback returned. */
void loop_free_later(struct loop *loop, void *obj, void (*fn)(void *obj));

struct timer *timer_new(struct loop *loop, const char *name, timer_fn fn, void *arg);	/* `name` is borrowed, static */
void timer_start_ms(struct timer *t, int64_t delay_ms);	/* restarts when running; 0 = next round */
void timer_start_at(struct timer *t, struct mono due);
void timer_stop(struct timer *t);
bool timer_is_running(const struct timer *t);
struct mono timer_due(const struct timer *t);
void timer_free(struct timer *t);			/* NULL-safe */

/* Watch a descriptor (not owned). No events are watched until io_watch(). */
struct io *io_new(struct loop *loop, int fd, io_fn fn, void *arg);
void io_watch(struct io *io, int events);		/* 0 = none */
void io_free(struct io *io);				/* NULL-safe; free before closing the descriptor */

/* One handler per signal; it lives as long as the loop. 0 or -errno. */
int loop_on_signal(struct loop *loop, int signo, signal_fn fn, void *arg);
