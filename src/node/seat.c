/* seat.c — one agent at a time
 *
 * Primary: takes .primary, then .lock. In between a standby that works sees .primary taken, stops in order and gives .lock back.
 * Standby: blocks on .lock, which it gets the moment its holder is gone. A primary that only restarts is given SEAT_GRACE_MS to
 * show up in .primary; if it does, .lock is given back and asked for again later. Else it takes .standby too and works.
 *
 * How it fails: kill -9 frees everything. A standby that hangs makes the primary give up after SEAT_YIELD_MS, with its pid; kubelet
 * starts the primary again. Two agents never work at once: both hold .lock alone while they do.
 */
#include "node/seat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

#define PRIMARY_SUFFIX ".primary"
#define LOCK_SUFFIX ".lock"
enum { PID_TEXT_SIZE = 24 };

static void pause_ms(int64_t ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	(void)nanosleep(&t, NULL);
}

static int lock_open(const char *store, const char *suffix, int *out_fd)
{
	cleanup(freep) char *path = str_format("%s%s", store, suffix);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -errno;
	*out_fd = fd;
	return 0;
}

/* Blocks. */
static int lock_take(int fd)
{
	while (flock(fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static bool lock_is_held(int fd)
{
	if (flock(fd, LOCK_SH | LOCK_NB) < 0)
		return errno == EWOULDBLOCK;
	(void)flock(fd, LOCK_UN);
	return false;
}

/* 0, -EWOULDBLOCK when `patience_ms` is over, or -errno. */
static int lock_try(int fd, int64_t patience_ms)
{
	struct mono end = mono_add_ms(mono_read(), patience_ms);

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (mono_reached(mono_read(), end))
			return -EWOULDBLOCK;
		pause_ms(SEAT_POLL_MS);
	}
	return 0;
}

static void sign(int fd)
{
	char text[PID_TEXT_SIZE];
	int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());

	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) < 0)
		return;			/* only for people */
}

static int64_t signature(int fd)
{
	char text[PID_TEXT_SIZE];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	int64_t pid = 0;

	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	(void)num_parse_i64(text, 1, INT32_MAX, &pid);
	return pid;
}

static int seat_open(struct seat *s, const char *store)
{
	int r = lock_open(store, PRIMARY_SUFFIX, &s->primary);

	return r < 0 ? r : lock_open(store, LOCK_SUFFIX, &s->lock);
}

int seat_take(struct seat *s, const char *store, int64_t *out_holder)
{
	int r = seat_open(s, store);

	if (r < 0)
		return r;
	r = lock_try(s->primary, SEAT_TAKEN_MS);
	if (r == -EWOULDBLOCK) {
		*out_holder = signature(s->primary);
		return SEAT_E_TAKEN;
	}
	if (r < 0)
		return r;
	sign(s->primary);
	r = lock_try(s->lock, SEAT_YIELD_MS);
	if (r == -EWOULDBLOCK) {
		*out_holder = signature(s->lock);
		return SEAT_E_BUSY;
	}
	if (r == 0)
		sign(s->lock);
	return r;
}

/* Nobody is coming: true after the whole grace. */
static bool is_deserted(const struct seat *s)
{
	struct mono end = mono_add_ms(mono_read(), SEAT_GRACE_MS);

	while (!lock_is_held(s->primary)) {
		if (mono_reached(mono_read(), end))
			return true;
		pause_ms(SEAT_POLL_MS);
	}
	return false;
}

int seat_wait(struct seat *s, const char *store)
{
	int r = seat_open(s, store);

	for (; r == 0; pause_ms(SEAT_LOOK_MS)) {
		r = lock_take(s->lock);
		if (r < 0)
			return r;
		if (is_deserted(s))
			break;
		(void)flock(s->lock, LOCK_UN);	/* the primary has a moment to take it */
	}
	if (r < 0)
		return r;
	sign(s->lock);
	r = lock_open(store, SEAT_STANDBY_SUFFIX, &s->standby);
	return r < 0 ? r : lock_take(s->standby);
}

bool seat_is_wanted(const struct seat *s)
{
	return lock_is_held(s->primary);
}

void seat_leave(struct seat *s)
{
	/* .standby first: what belongs to the standby ends before the primary's comes. */
	fd_closep(&s->standby);
	fd_closep(&s->lock);
	fd_closep(&s->primary);
	*s = (struct seat)SEAT_INIT;
}

bool seat_standby_works(const char *lock_file)
{
	cleanup(fd_closep) int fd = open(lock_file, O_RDONLY | O_CLOEXEC);

	return fd >= 0 && lock_is_held(fd);
}
