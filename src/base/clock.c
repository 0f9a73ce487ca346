/* clock.c — reading, printing and parsing time */
#include "base/clock.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { YEAR_MIN = 1900, YEAR_MAX = 2200 };	/* 64 bits of nanoseconds reach from 1678 to 2262 */
#define DURATION_MAX_MS (INT64_C(1000) * 366 * 86400 * 1000)

static int64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	(void)clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000 * NS_PER_MS + ts.tv_nsec;
}

struct mono mono_read(void)
{
	return (struct mono){ clock_ns(CLOCK_MONOTONIC) };
}

struct wall wall_read(void)
{
	return (struct wall){ clock_ns(CLOCK_REALTIME) };
}

int64_t cpu_read_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

int64_t boottime_read_ms(void)
{
	return clock_ns(CLOCK_BOOTTIME) / NS_PER_MS;
}

static void format_utc(struct wall t, int digits, int64_t unit_ns, char buf[WALL_TEXT_SIZE])
{
	time_t s = (time_t)(t.ns / (1000 * NS_PER_MS));
	int frac = (int)(t.ns % (1000 * NS_PER_MS) / unit_ns);
	struct tm tm;
	char day[24];

	(void)gmtime_r(&s, &tm);
	(void)strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(buf, WALL_TEXT_SIZE, "%s.%0*dZ", day, digits, frac < 0 ? 0 : frac);
}

void wall_format(struct wall t, char buf[WALL_TEXT_SIZE])
{
	format_utc(t, 3, NS_PER_MS, buf);
}

void wall_format_micro(struct wall t, char buf[WALL_TEXT_SIZE])
{
	format_utc(t, 6, 1000, buf);
}

/* The fraction behind the seconds, at most nine digits; returns what follows it. */
static const char *parse_fraction(const char *p, int64_t *out_ns)
{
	int64_t unit = 100 * NS_PER_MS;

	*out_ns = 0;
	for (p++; isdigit((unsigned char)*p); p++, unit /= 10)
		*out_ns += (*p - '0') * unit;
	return p;
}

/* "Z", "+hh:mm" or "-hh:mm", and nothing behind it, as seconds east of Greenwich. */
static int parse_offset(const char *p, int64_t *out_s)
{
	unsigned h, m;
	char end;

	*out_s = 0;
	if (strcmp(p, "Z") == 0)
		return 0;
	if ((*p != '+' && *p != '-') || !isdigit((unsigned char)p[1]) ||
	    sscanf(p + 1, "%2u:%2u%c", &h, &m, &end) != 2 || h > 23 || m > 59)
		return -EINVAL;
	*out_s = (*p == '-' ? -1 : 1) * (int64_t)(h * 60 + m) * 60;
	return 0;
}

int wall_parse(const char *text, struct wall *out_time)
{
	struct tm tm = { 0 };
	int64_t frac = 0, offset;
	const char *p = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;

	if (!p || tm.tm_year < YEAR_MIN - 1900 || tm.tm_year > YEAR_MAX - 1900)
		return -EINVAL;
	if (*p == '.')
		p = parse_fraction(p, &frac);
	if (parse_offset(p, &offset) < 0)
		return -EINVAL;
	out_time->ns = ((int64_t)timegm(&tm) - offset) * 1000 * NS_PER_MS + frac;
	return 0;
}

static const struct { const char *name; int64_t ms; } units[] = {
	{ "ms", 1 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 },	/* "ms" before "m" */
};

int duration_parse_ms(const char *text, int64_t *out_ms)
{
	int64_t total = 0;
	const char *p = text;

	if (!p || !*p)
		return -EINVAL;
	while (*p) {
		int64_t n = 0;
		size_t i;

		if (!isdigit((unsigned char)*p))
			return -EINVAL;
		for (; isdigit((unsigned char)*p); p++) {
			n = n * 10 + (*p - '0');
			if (n > INT64_C(1000000000))
				return -EINVAL;
		}
		for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
			if (strncmp(p, units[i].name, strlen(units[i].name)) == 0)
				break;
		if (i == sizeof(units) / sizeof(units[0]))
			return -EINVAL;
		p += strlen(units[i].name);
		total += n * units[i].ms;
		if (total > DURATION_MAX_MS)
			return -EINVAL;
	}
	*out_ms = total;
	return 0;
}

void duration_format_ms(int64_t ms, char buf[DURATION_TEXT_SIZE])
{
	if (ms % 3600000 == 0 && ms)
		(void)snprintf(buf, DURATION_TEXT_SIZE, "%lldh", (long long)(ms / 3600000));
	else if (ms % 60000 == 0 && ms)
		(void)snprintf(buf, DURATION_TEXT_SIZE, "%lldm", (long long)(ms / 60000));
	else if (ms % 1000 == 0)
		(void)snprintf(buf, DURATION_TEXT_SIZE, "%llds", (long long)(ms / 1000));
	else
		(void)snprintf(buf, DURATION_TEXT_SIZE, "%lldms", (long long)ms);
}
