/* output.c — tables and ages as kubectl prints them */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli_int.h"

enum { COLUMNS_MAX = 16, GAP = 3 };
#define NONE "<none>"

struct table {
	const char *const *heads;
	size_t columns, cells, cap;
	bool wide;
	char **text; /* row by row */
};

struct table *table_new(const char *const *heads, size_t n, bool wide)
{
	struct table *t = mem_new(struct table);

	*t = (struct table){.heads = heads, .columns = n < COLUMNS_MAX ? n : COLUMNS_MAX, .wide = wide};
	return t;
}

void table_freep(struct table **t)
{
	if (!*t)
		return;
	for (size_t i = 0; i < (*t)->cells; i++)
		free((*t)->text[i]);
	free((*t)->text);
	free(*t);
}

void add_clean(struct buf *out, const char *text)
{
	for (; *text; text++)
		buf_addc(out, iscntrl((unsigned char)*text) ? '?' : *text);
}

void table_add(struct table *t, const char *text)
{
	struct buf clean = BUF_INIT;

	add_clean(&clean, str_is_empty(text) ? NONE : text);
	if (t->cells == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 64;
		t->text = mem_resize(t->text, t->cap, sizeof(t->text[0]));
	}
	t->text[t->cells++] = buf_take(&clean);
}

void table_addf(struct table *t, const char *fmt, ...)
{
	cleanup(buf_fini) struct buf text = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_addv(&text, fmt, ap);
	va_end(ap);
	table_add(t, text.data);
}

static int row_compare(const void *a, const void *b, void *arg)
{
	const struct table *t = arg;
	char *const *x = a, *const *y = b;

	for (size_t i = 0; i < t->columns; i++) {
		int r = strcmp(x[i], y[i]);

		if (r)
			return r;
	}
	return 0;
}

void table_sort(struct table *t)
{
	if (t->cells)
		qsort_r(t->text, t->cells / t->columns, t->columns * sizeof(t->text[0]), row_compare, t);
}

/* Characters, not bytes: UTF-8 continuation bytes take no place. */
static size_t width_of(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static bool is_shown(const struct table *t, size_t column)
{
	return t->wide || t->heads[column][0] != '+';
}

static void add_row(const struct table *t, const char *const *cells, const size_t *widths, const char *indent,
		    struct buf *out)
{
	size_t pad = 0;

	buf_adds(out, indent);
	for (size_t i = 0; i < t->columns; i++) {
		if (!is_shown(t, i))
			continue;
		buf_addf(out, "%*s%s", (int)pad, "", cells[i]); /* the last column gets no padding */
		pad = widths[i] - width_of(cells[i]) + GAP;
	}
	buf_addc(out, '\n');
}

void table_render(const struct table *t, const char *indent, struct buf *out)
{
	const char *heads[COLUMNS_MAX];
	size_t widths[COLUMNS_MAX];

	for (size_t i = 0; i < t->columns; i++) {
		heads[i] = t->heads[i] + (t->heads[i][0] == '+');
		widths[i] = width_of(heads[i]);
		for (size_t k = i; k < t->cells; k += t->columns) {
			size_t n = width_of(t->text[k]);

			widths[i] = n > widths[i] ? n : widths[i];
		}
	}
	add_row(t, heads, widths, indent, out);
	for (size_t k = 0; k + t->columns <= t->cells; k += t->columns)
		add_row(t, (const char *const *)&t->text[k], widths, indent, out);
}

void table_print(const struct table *t, const char *what)
{
	cleanup(buf_fini) struct buf out = BUF_INIT;

	if (!t->cells) {
		fprintf(stderr, "no %s found\n", what);
		return;
	}
	table_render(t, "", &out);
	(void)fwrite(out.data, 1, out.len, stdout);
}

/* k8s.io/apimachinery/pkg/util/duration HumanDuration: two units while the first one is small. */
static const struct {
	int64_t below, unit, small, rest;
	char name, rest_name;
} spans[] = {
    {120, 1, 0, 1, 's', 's'},
    {3 * 3600, 60, 10, 1, 'm', 's'},
    {48 * 3600, 3600, 8, 60, 'h', 'm'},
    {INT64_C(86400) * 365 * 2, 86400, 8, 3600, 'd', 'h'},
    {INT64_MAX, INT64_C(86400) * 365, 8, 86400, 'y', 'd'},
};

void age_format(int64_t ms, char out[AGE_TEXT_SIZE])
{
	int64_t s = ms > 0 ? ms / MS_PER_S : 0;
	size_t i = 0;

	while (s >= spans[i].below)
		i++;
	if (s / spans[i].unit < spans[i].small && s % spans[i].unit / spans[i].rest)
		(void)snprintf(out, AGE_TEXT_SIZE, "%lld%c%lld%c", (long long)(s / spans[i].unit), spans[i].name,
			       (long long)(s % spans[i].unit / spans[i].rest), spans[i].rest_name);
	else
		(void)snprintf(out, AGE_TEXT_SIZE, "%lld%c", (long long)(s / spans[i].unit), spans[i].name);
}

void age_of(const json_object *o, const char *key, struct wall now, char out[AGE_TEXT_SIZE])
{
	struct wall t;

	out[0] = '\0';
	if (wall_parse(json_get_str(o, key), &t) == 0)
		age_format((now.ns - t.ns) / NS_PER_MS, out);
}

const char *yes_no(const json_object *o, const char *key)
{
	return !json_get(o, key) ? NULL : json_get_bool(o, key, false) ? "yes" : "no";
}
