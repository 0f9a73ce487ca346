/* log.c — one line per event, text or JSON, with a limit per call site */
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

static const char *const subsystem_names[] = {
#define X(id, name) [LOG_##id] = name,
	LOG_SUBSYSTEMS(X)
#undef X
};
static const char *const level_names[] = { "error", "warn", "info", "debug" };

static enum log_level levels[LOG_SUBSYSTEM_COUNT] = {
#define X(id, name) [LOG_##id] = LOG_LEVEL_INFO,
	LOG_SUBSYSTEMS(X)
#undef X
};
static enum log_format line_format = LOG_FORMAT_TEXT;
static void (*line_sink)(const char *line, void *arg);
static void *line_sink_arg;

void log_setup(enum log_level level, enum log_format format)
{
	for (int i = 0; i < LOG_SUBSYSTEM_COUNT; i++)
		levels[i] = level;
	line_format = format;
}

static int level_find(const char *name, size_t n)
{
	for (int i = 0; i < (int)ARRAY_LEN(level_names); i++)
		if (strlen(level_names[i]) == n && strncmp(level_names[i], name, n) == 0)
			return i;
	return -EINVAL;
}

static int subsystem_find(const char *name, size_t n)
{
	for (int i = 0; i < LOG_SUBSYSTEM_COUNT; i++)
		if (strlen(subsystem_names[i]) == n && strncmp(subsystem_names[i], name, n) == 0)
			return i;
	return -EINVAL;
}

static int levels_parse(const char *spec, enum log_level fresh[LOG_SUBSYSTEM_COUNT])
{
	const char *p = spec;

	while (*p) {
		size_t n = strcspn(p, ",");
		const char *eq = memchr(p, '=', n);
		const char *word = eq ? eq + 1 : p;
		int sub = eq ? subsystem_find(p, (size_t)(eq - p)) : 0;
		int level = level_find(word, (size_t)(p + n - word));

		if (sub < 0 || level < 0)
			return -EINVAL;
		if (eq)
			fresh[sub] = (enum log_level)level;
		for (int i = 0; !eq && i < LOG_SUBSYSTEM_COUNT; i++)
			fresh[i] = (enum log_level)level;
		p += n + (p[n] == ',');
	}
	return 0;
}

int log_check_levels(const char *spec)
{
	enum log_level fresh[LOG_SUBSYSTEM_COUNT];

	return levels_parse(spec, fresh);
}

int log_set_levels(const char *spec)
{
	enum log_level fresh[LOG_SUBSYSTEM_COUNT];
	int r;

	memcpy(fresh, levels, sizeof(fresh));
	r = levels_parse(spec, fresh);
	if (r == 0)
		memcpy(levels, fresh, sizeof(levels));
	return r;
}

void log_set_sink(void (*sink)(const char *line, void *arg), void *arg)
{
	line_sink = sink;
	line_sink_arg = arg;
}

bool log_is_on(enum log_subsystem sub, enum log_level level)
{
	return level <= levels[sub];
}

/* True when this line may go out; *out_suppressed is what the last window swallowed. */
static bool site_admits(struct log_site *site, unsigned *out_suppressed)
{
	int64_t now = mono_read().ns / NS_PER_MS;

	*out_suppressed = 0;
	if (now - site->window_ms >= LOG_WINDOW_MS) {
		*out_suppressed = site->suppressed;
		*site = (struct log_site){ .window_ms = now };
	}
	if (site->count++ < LOG_BURST)
		return true;
	site->suppressed++;
	return false;
}

static void add_json_string(struct buf *b, const char *s)
{
	buf_addc(b, '"');
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			buf_addf(b, "\\%c", c);
		else if (c < 0x20)
			buf_addf(b, "\\u%04x", c);
		else
			buf_addc(b, (char)c);
	}
	buf_addc(b, '"');
}

/* Control characters of a text line become spaces: what a peer sent cannot forge a line. */
static void add_text_line(struct buf *b, const char *s)
{
	for (; *s; s++)
		buf_addc(b, (unsigned char)*s < 0x20 ? ' ' : *s);
}

static void line_build(struct buf *b, enum log_subsystem sub, enum log_level level, const char *event,
		       const char *detail, unsigned suppressed)
{
	char when[WALL_TEXT_SIZE];

	wall_format(wall_read(), when);
	if (line_format == LOG_FORMAT_JSON) {
		buf_addf(b, "{\"time\":\"%s\",\"level\":\"%s\",\"subsystem\":\"%s\",\"event\":\"%s\",\"detail\":", when,
			 level_names[level], subsystem_names[sub], event);
		add_json_string(b, detail);
		if (suppressed)
			buf_addf(b, ",\"suppressed\":%u", suppressed);
		buf_addc(b, '}');
		return;
	}
	buf_addf(b, "%s %-5s %s: %s%s", when, level_names[level], subsystem_names[sub], event, *detail ? " " : "");
	add_text_line(b, detail);
	if (suppressed)
		buf_addf(b, " suppressed=%u", suppressed);
}

void log_write(struct log_site *site, enum log_subsystem sub, enum log_level level, const char *event,
	       const char *fmt, ...)
{
	cleanup(buf_fini) struct buf detail = BUF_INIT;
	cleanup(buf_fini) struct buf line = BUF_INIT;
	unsigned suppressed;
	va_list ap;

	if (!site_admits(site, &suppressed))
		return;
	va_start(ap, fmt);
	buf_addv(&detail, fmt, ap);
	va_end(ap);
	line_build(&line, sub, level, event, detail.data ? detail.data : "", suppressed);
	if (line_sink) {
		line_sink(line.data, line_sink_arg);
		return;
	}
	buf_addc(&line, '\n');
	(void)fwrite(line.data, 1, line.len, stderr);
}
