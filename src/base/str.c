/* str.c — strings and strict numbers */
#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

bool str_eq(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

bool str_has_prefix(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_has_suffix(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && strcmp(s + n - m, suffix) == 0;
}

/* Continuation bytes behind the first one; -1: no character begins like this. */
static int utf8_tail(unsigned char first)
{
	if (first < 0x80)
		return 0;
	if (first < 0xc2 || first > 0xf4)
		return -1;
	return first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
}

static bool utf8_is_character(const unsigned char *p, int tail)
{
	if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) || (*p == 0xf0 && p[1] < 0x90) ||
	    (*p == 0xf4 && p[1] > 0x8f))
		return false;		/* overlong, a surrogate, or beyond U+10FFFF */
	for (int i = 1; i <= tail; i++)
		if ((p[i] & 0xc0) != 0x80)
			return false;
	return true;
}

size_t utf8_length(const void *data, size_t n)
{
	const unsigned char *p = data;
	size_t at = 0;

	while (at < n) {
		int tail = utf8_tail(p[at]);

		if (tail < 0 || (size_t)tail > n - at - 1 || !utf8_is_character(p + at, tail))
			break;
		at += (size_t)tail + 1;
	}
	return at;
}

bool str_is_empty(const char *s)
{
	return !s || !*s;
}

const char *str_or(const char *s, const char *fallback)
{
	return s ? s : fallback;
}

char *str_dup(const char *s)
{
	return s ? str_ndup(s, strlen(s)) : NULL;
}

char *str_ndup(const char *s, size_t n)
{
	char *p = mem_calloc(n + 1, 1);

	memcpy(p, s, n);
	return p;
}

void str_set(char **dst, const char *src)
{
	char *copy = str_dup(src);

	free(*dst);
	*dst = copy;
}

char *str_format(const char *fmt, ...)
{
	struct buf b = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_addv(&b, fmt, ap);
	va_end(ap);
	return buf_take(&b);
}

bool str_copy(char *dst, size_t size, const char *src)
{
	size_t n = strlen(src), k = n < size ? n : size - 1;

	memcpy(dst, src, k);
	dst[k] = '\0';
	return n < size;
}

bool str_glob(const char *pattern, const char *s)
{
	const char *star = NULL, *mark = NULL;

	while (*s) {
		if (*pattern == '*') {
			star = pattern++;
			mark = s;
		} else if (*pattern == *s) {
			pattern++;
			s++;
		} else if (star) {
			pattern = star + 1;
			s = ++mark;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

/* Levenshtein distance of two short words; words beyond WORD_MAX count as far apart. */
enum { WORD_MAX = 63, WORD_FAR = 99, WORD_NEAR = 3 };

static int word_distance(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	int row[WORD_MAX + 1];

	if (n > WORD_MAX || m > WORD_MAX)
		return WORD_FAR;
	for (size_t j = 0; j <= m; j++)
		row[j] = (int)j;
	for (size_t i = 1; i <= n; i++) {
		int diag = row[0];

		row[0] = (int)i;
		for (size_t j = 1; j <= m; j++) {
			int up = row[j], best = diag + (a[i - 1] != b[j - 1]);

			if (up + 1 < best)
				best = up + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
			diag = up;
		}
	}
	return row[m];
}

const char *str_nearest(const char *word, const char *const *names, size_t n)
{
	const char *best = NULL;
	int least = WORD_NEAR + 1;

	for (size_t i = 0; i < n; i++) {
		int d = word_distance(word, names[i]);

		if (d < least) {
			least = d;
			best = names[i];
		}
	}
	return best;
}

uint64_t str_hash(uint64_t h, const void *data, size_t n)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	return h;
}

int num_parse_i64(const char *s, int64_t min, int64_t max, int64_t *out)
{
	char *end;
	long long v;

	if (!s || !(*s == '-' || (*s >= '0' && *s <= '9')) || (*s == '-' && !(s[1] >= '0' && s[1] <= '9')))
		return -EINVAL;
	errno = 0;
	v = strtoll(s, &end, 10);
	if (*end)
		return -EINVAL;
	if (errno == ERANGE || v < min || v > max)
		return -ERANGE;
	*out = v;
	return 0;
}
