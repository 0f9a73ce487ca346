/* metric.c — series in one flat array per metric, allocated at first use
 *
 * Exposition formats: https://prometheus.io/docs/instrumenting/exposition_formats/ and OpenMetrics 1.0.
 */
#include "base/metric.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

enum metric_type { COUNTER, GAUGE, HISTOGRAM };

/* Seconds; from "one frame on the loop" to "stock Kubernetes would have done it". */
static const double bounds[] = { 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30, 60, 352 };
enum { BOUNDS = sizeof(bounds) / sizeof(bounds[0]) };

struct series {
	double value;			/* of a histogram: the sum */
	uint64_t count, buckets[BOUNDS];
};

static const struct row {
	const char *name;
	enum metric_type type;
	const char *label[2], *values[2];	/* "" = no label; values separated by '|' */
	const char *help;
} rows[] = {
#define X(id, name, type, l1, v1, l2, v2, help) [METRIC_##id] = { name, type, { l1, l2 }, { v1, v2 }, help },
#include "base/metrics.def"
#undef X
};

static struct series *all[METRIC_COUNT];

static int value_count(const char *values)
{
	int n = 1;

	for (; *values; values++)
		n += *values == '|';
	return n;
}

static int series_count(const struct row *r)
{
	return value_count(r->values[0]) * value_count(r->values[1]);
}

static struct series *series_at(enum metric_id id, int label)
{
	assert(label >= 0 && label < series_count(&rows[id]));
	if (!all[id])
		all[id] = mem_new_n(struct series, (size_t)series_count(&rows[id]));
	return &all[id][label];
}

void metric_add(enum metric_id id, int label, double v)
{
	series_at(id, label)->value += v;
}

void metric_set(enum metric_id id, int label, double v)
{
	series_at(id, label)->value = v;
}

void metric_observe(enum metric_id id, int label, double seconds)
{
	struct series *s = series_at(id, label);

	s->value += seconds;
	s->count++;
	for (int i = 0; i < BOUNDS; i++)
		s->buckets[i] += seconds <= bounds[i];
}

double metric_get(enum metric_id id, int label)
{
	const struct series *s = series_at(id, label);

	return rows[id].type == HISTOGRAM ? (double)s->count : s->value;
}

void metric_fini(void)
{
	for (int i = 0; i < METRIC_COUNT; i++) {
		free(all[i]);
		all[i] = NULL;
	}
}

/* ---- text ---- */

static void add_value(struct buf *b, const char *values, int at)
{
	const char *p = values;

	for (; at > 0; at--)
		p += strcspn(p, "|") + 1;
	buf_add(b, p, strcspn(p, "|"));
}

/* The labels of series `at` without braces, "" when there are none. */
static void add_labels(struct buf *b, const struct row *r, int at)
{
	int second = value_count(r->values[1]);

	if (*r->label[0]) {
		buf_addf(b, "%s=\"", r->label[0]);
		add_value(b, r->values[0], at / second);
		buf_addc(b, '"');
	}
	if (*r->label[1]) {
		buf_addf(b, ",%s=\"", r->label[1]);
		add_value(b, r->values[1], at % second);
		buf_addc(b, '"');
	}
}

static void add_head(struct buf *b, const char *name, const char *type, const char *help, bool openmetrics)
{
	size_t n = strlen(name);

	/* OpenMetrics names the family of a counter without its _total. */
	if (openmetrics && str_eq(type, "counter") && str_has_suffix(name, "_total"))
		n -= strlen("_total");
	buf_addf(b, "# HELP %.*s %s\n# TYPE %.*s %s\n", (int)n, name, help, (int)n, name, type);
}

static void add_histogram(struct buf *b, const struct row *r, const struct series *s, const char *labels)
{
	const char *comma = *labels ? "," : "";
	const char *open = *labels ? "{" : "", *close = *labels ? "}" : "";

	for (int i = 0; i < BOUNDS; i++)
		buf_addf(b, "%s_bucket{%s%sle=\"%g\"} %llu\n", r->name, labels, comma, bounds[i],
			 (unsigned long long)s->buckets[i]);
	buf_addf(b, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", r->name, labels, comma, (unsigned long long)s->count);
	buf_addf(b, "%s_sum%s%s%s %.9g\n%s_count%s%s%s %llu\n", r->name, open, labels, close, s->value, r->name, open, labels,
		 close, (unsigned long long)s->count);
}

static void add_row(struct buf *b, enum metric_id id, bool openmetrics)
{
	static const char *const types[] = { "counter", "gauge", "histogram" };
	const struct row *r = &rows[id];

	add_head(b, r->name, types[r->type], r->help, openmetrics);
	for (int i = 0; i < series_count(r); i++) {
		cleanup(buf_fini) struct buf labels = BUF_INIT;
		const struct series *s = series_at(id, i);

		buf_adds(&labels, "");
		add_labels(&labels, r, i);
		if (r->type == HISTOGRAM)
			add_histogram(b, r, s, labels.data);
		else if (labels.len)
			buf_addf(b, "%s{%s} %.15g\n", r->name, labels.data, s->value);
		else
			buf_addf(b, "%s %.15g\n", r->name, s->value);
	}
}

/* /proc/self/stat: start time in ticks after boot (field 22), virtual size (23), resident pages (24); proc(5). */
static void add_memory(struct buf *b, bool openmetrics)
{
	unsigned long long start = 0, vsize = 0;
	long long rss = 0;
	char line[1024];
	const char *p = file_read_line("/proc/self/stat", line, sizeof(line)) == 0 ? strrchr(line, ')') : NULL;
	double boot = (double)wall_read().ns / 1e9 - (double)boottime_read_ms() / 1e3;

	if (!p || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu %llu %lld",
			 &start, &vsize, &rss) != 3)
		return;
	add_head(b, "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", openmetrics);
	buf_addf(b, "process_resident_memory_bytes %lld\n", rss * sysconf(_SC_PAGESIZE));
	add_head(b, "process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", openmetrics);
	buf_addf(b, "process_virtual_memory_bytes %llu\n", vsize);
	add_head(b, "process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.", openmetrics);
	buf_addf(b, "process_start_time_seconds %.3f\n", boot + (double)start / (double)sysconf(_SC_CLK_TCK));
}

static void add_process(struct buf *b, bool openmetrics)
{
	struct rusage u;

	(void)getrusage(RUSAGE_SELF, &u);
	add_head(b, "process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.", openmetrics);
	buf_addf(b, "process_cpu_seconds_total %.6f\n",
		 (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
	add_memory(b, openmetrics);
}

static struct { void (*fn)(void *arg, struct buf *out); void *arg; } more;

void metric_set_more(void (*fn)(void *arg, struct buf *out), void *arg)
{
	more.fn = fn;
	more.arg = arg;
}

void metric_render(struct buf *out, bool openmetrics, const char *version)
{
	for (int i = 0; i < METRIC_COUNT; i++)
		add_row(out, (enum metric_id)i, openmetrics);
	if (more.fn)
		more.fn(more.arg, out);
	add_process(out, openmetrics);
	add_head(out, "edge_healer_build_info", "gauge", "1, with the version as a label", openmetrics);
	buf_addf(out, "edge_healer_build_info{version=\"%s\"} 1\n", version);
	if (openmetrics)
		buf_adds(out, "# EOF\n");
}
