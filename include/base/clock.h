/* base/clock.h — typed time
 *
 * Deadlines use struct mono only. struct wall is for display, Lease fields and manifests. Durations are int64_t and carry
 * their unit in the name (`..._ms`).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mono { int64_t ns; };		/* CLOCK_MONOTONIC; 0 = never */
struct wall { int64_t ns; };		/* since 1970-01-01T00:00:00Z; 0 = unknown */

#define NS_PER_MS INT64_C(1000000)
#define MS_PER_S INT64_C(1000)

struct mono mono_read(void);		/* reads the clock: only loop/ and bench use it */
struct wall wall_read(void);
int64_t cpu_read_ns(void);		/* CPU time of this thread: another process cannot lengthen it */
int64_t boottime_read_ms(void);		/* CLOCK_BOOTTIME, which counts a suspend */

#define MONO_NEVER ((struct mono){ INT64_MAX })	/* a deadline that does not come */

static inline struct mono mono_add_ms(struct mono t, int64_t ms) { return (struct mono){ t.ns + ms * NS_PER_MS }; }
static inline int64_t mono_since_ms(struct mono now, struct mono then) { return (now.ns - then.ns) / NS_PER_MS; }
static inline bool mono_reached(struct mono now, struct mono due) { return now.ns >= due.ns; }
static inline bool mono_is_set(struct mono t) { return t.ns != 0; }
static inline struct mono mono_min(struct mono a, struct mono b)
{
	return !mono_is_set(a) ? b : !mono_is_set(b) ? a : a.ns < b.ns ? a : b;
}

#define WALL_TEXT_SIZE 48
/* RFC 3339 in UTC with milliseconds, or with microseconds (Kubernetes MicroTime), into buf[WALL_TEXT_SIZE]. */
void wall_format(struct wall t, char buf[WALL_TEXT_SIZE]);
void wall_format_micro(struct wall t, char buf[WALL_TEXT_SIZE]);
/* RFC 3339 as the API server writes it. 0, or -EINVAL and *out_time untouched. */
int wall_parse(const char *text, struct wall *out_time);

/* "250ms", "2s", "5m", "1h30m" (Go's durations without fractions) → milliseconds. 0 or -EINVAL. */
int duration_parse_ms(const char *text, int64_t *out_ms);
/* The shortest such text, into buf[DURATION_TEXT_SIZE]. */
#define DURATION_TEXT_SIZE 32
void duration_format_ms(int64_t ms, char buf[DURATION_TEXT_SIZE]);
