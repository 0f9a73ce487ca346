/* json_check.c — a strict reader of JSON that keeps nothing: it only says what is wrong, and on which line */
#include "base/json_check.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/utf8.h"

/* Characters: the smallest double written out has 324 digits behind the point, and more say nothing. */
enum { NUMBER_MAX = 400 };

struct scan {
	const char *start, *p, *end;
	struct buf *why;
	int depth;
};

static bool value(struct scan *s);

/* ---- saying what is wrong ---- */

static bool wrong(const struct scan *s, const char *fmt, ...) PRINTF_LIKE(2, 3);

static bool wrong(const struct scan *s, const char *fmt, ...)
{
	size_t line = 1;
	va_list ap;

	for (const char *p = s->start; p < s->p && p < s->end; p++)
		line += *p == '\n';
	buf_addf(s->why, "line %zu: ", line);
	va_start(ap, fmt);
	buf_addv(s->why, fmt, ap);
	va_end(ap);
	return false;
}

/* A word as it stands there, cut. */
static int word(const struct scan *s)
{
	int n = 0;

	while (n < 20 && s->p + n < s->end && (isalnum((unsigned char)s->p[n]) || strchr("+-._", s->p[n])) && s->p[n])
		n++;
	return n;
}

static bool starts(const struct scan *s, const char *text)
{
	size_t n = strlen(text);

	return (size_t)(s->end - s->p) >= n && memcmp(s->p, text, n) == 0;
}

static bool unexpected(const struct scan *s)
{
	static const char *const no_numbers[] = { "NaN",       "nan", "Infinity", "-Infinity",
						  "+Infinity", "Inf", "-Inf",     "+Inf" };
	int n;

	if (s->p == s->end)
		return wrong(s, "ends in the middle");
	for (size_t i = 0; i < ARRAY_LEN(no_numbers); i++)
		if (starts(s, no_numbers[i]))
			return wrong(s, "%s is no number in JSON: write a finite one", no_numbers[i]);
	if (*s->p == '#' || starts(s, "//") || starts(s, "/*"))
		return wrong(s, "JSON has no comments: remove it");
	if (*s->p == '\'')
		return wrong(s, "a text in single quotes: JSON has \" only");
	n = word(s);
	if (n)
		return wrong(s, "unexpected %.*s", n, s->p);
	return isprint((unsigned char)*s->p) ? wrong(s, "unexpected character %c", *s->p)
					     : wrong(s, "unexpected byte 0x%02x", (unsigned)(unsigned char)*s->p);
}

/* ---- parts ---- */

static void skip_space(struct scan *s)
{
	while (s->p < s->end && strchr(" \t\r\n", *s->p) && *s->p)
		s->p++;
}

static bool take_char(struct scan *s, char c)
{
	skip_space(s);
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

static bool escape(struct scan *s)
{
	if (++s->p == s->end)
		return unexpected(s);
	if (*s->p != 'u')
		return strchr("\"\\/bfnrt", *s->p) && *s->p ? (s->p++, true) : wrong(s, "unknown escape in a text");
	for (int i = 1; i <= 4; i++)
		if (s->p + i >= s->end || !isxdigit((unsigned char)s->p[i]))
			return wrong(s, "\\u needs four hexadecimal digits");
	if (starts(s, "u0000"))
		return wrong(s, "\\u0000 cannot be in a text");
	s->p += 5;
	return true;
}

/* At its opening quote; afterwards behind the closing one. */
static bool text(struct scan *s)
{
	s->p++;
	while (s->p < s->end && *s->p != '"') {
		if (*s->p == '\n')
			return wrong(s, "a text does not end on its line");
		if ((unsigned char)*s->p < ' ')
			return wrong(s, "control character 0x%02x in a text: write \\u%04x", (unsigned)*s->p,
				     (unsigned)*s->p);
		if (*s->p != '\\')
			s->p++;
		else if (!escape(s))
			return false;
	}
	if (s->p == s->end)
		return wrong(s, "a text does not end");
	s->p++;
	return true;
}

static bool digits(struct scan *s)
{
	const char *from = s->p;

	while (s->p < s->end && isdigit((unsigned char)*s->p))
		s->p++;
	return s->p > from;
}

static bool number_fits(struct scan *s, const char *from, bool integer)
{
	char copy[NUMBER_MAX + 1];
	size_t n = (size_t)(s->p - from);

	s->p = from; /* where it is told */
	if (n > NUMBER_MAX)
		return wrong(s, "a number of %zu characters", n);
	memcpy(copy, from, n);
	copy[n] = '\0';
	errno = 0;
	if (integer && (strtoll(copy, NULL, 10), errno == ERANGE))
		return wrong(s, "the integer %.40s does not fit into 64 bits", copy);
	if (!integer && isinf(strtod(copy, NULL)))
		return wrong(s, "the number %.40s is too large", copy);
	s->p = from + n;
	return true;
}

static bool number(struct scan *s)
{
	const char *from = s->p;
	bool integer = true, good;

	s->p += *s->p == '-';
	good = s->p < s->end && *s->p == '0' ? (s->p++, true) : digits(s);
	if (good && s->p < s->end && *s->p == '.') {
		integer = false;
		s->p++;
		good = digits(s);
	}
	if (good && s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
		integer = false;
		s->p++;
		s->p += s->p < s->end && (*s->p == '+' || *s->p == '-');
		good = digits(s);
	}
	if (!good || word(s)) {
		s->p = from;
		return starts(s, "-I") || s->p + 1 == s->end ? unexpected(s)
							     : wrong(s, "%.*s is no number in JSON", word(s), s->p);
	}
	return number_fits(s, from, integer);
}

static bool literal(struct scan *s)
{
	static const char *const all[] = { "true", "false", "null" };

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (starts(s, all[i]) && word(s) == (int)strlen(all[i])) {
			s->p += strlen(all[i]);
			return true;
		}
	}
	return unexpected(s);
}

/* ---- objects and lists ---- */

/* A key as it is meant: two may be written differently and be one. Owned by the caller. */
static char *key_of(const char *from, const char *end)
{
	cleanup(json_putp) json_object *o = NULL;
	size_t n = (size_t)(end - from);

	if (!memchr(from, '\\', n) || json_parse(from, n, &o) < 0)
		return str_ndup(from + 1, n - 2);
	return str_dup(json_str(o));
}

static bool member(struct scan *s, struct map *keys)
{
	const char *from;
	char *key;

	skip_space(s);
	if (s->p == s->end || *s->p != '"')
		return unexpected(s);
	from = s->p;
	if (!text(s))
		return false;
	key = key_of(from, s->p);
	if (map_get(keys, key)) {
		(void)wrong(s, "the key \"%.60s\" is there twice", key);
		free(key);
		return false;
	}
	(void)map_put(keys, key, key);
	return take_char(s, ':') ? value(s) : unexpected(s);
}

static void keys_freep(struct map **keys)
{
	map_for_each (char, key, *keys)
		free(key);
	map_free(*keys);
}

static bool object(struct scan *s)
{
	cleanup(keys_freep) struct map *keys = map_new();

	s->p++;
	if (take_char(s, '}'))
		return true;
	do {
		skip_space(s);
		if (s->p < s->end && *s->p == '}')
			return wrong(s, "a comma too many before }");
		if (!member(s, keys))
			return false;
	} while (take_char(s, ','));
	return take_char(s, '}') || unexpected(s);
}

static bool list(struct scan *s)
{
	s->p++;
	if (take_char(s, ']'))
		return true;
	do {
		skip_space(s);
		if (s->p < s->end && *s->p == ']')
			return wrong(s, "a comma too many before ]");
		if (!value(s))
			return false;
	} while (take_char(s, ','));
	return take_char(s, ']') || unexpected(s);
}

/* Bounded recursion: JSON_DEPTH_MAX. */
static bool value(struct scan *s)
{
	bool good;

	skip_space(s);
	if (s->p == s->end)
		return unexpected(s);
	if (*s->p == '"')
		return text(s);
	if (isdigit((unsigned char)*s->p) || *s->p == '-')
		return number(s);
	if (*s->p != '{' && *s->p != '[')
		return literal(s);
	if (++s->depth >= JSON_DEPTH_MAX)
		return wrong(s, "nested more than %d deep", JSON_DEPTH_MAX);
	good = *s->p == '{' ? object(s) : list(s);
	s->depth--;
	return good;
}

static bool encoding(struct scan *s)
{
	if (starts(s, "\xef\xbb\xbf"))
		return wrong(s, "begins with a byte order mark: save it as UTF-8 without one");
	if (starts(s, "\xff\xfe") || starts(s, "\xfe\xff"))
		return wrong(s, "is UTF-16: save it as UTF-8");
	s->p += utf8_length(s->p, (size_t)(s->end - s->p));
	if (s->p < s->end)
		return wrong(s, "byte 0x%02x is no UTF-8", (unsigned)(unsigned char)*s->p);
	s->p = s->start;
	return true;
}

int json_check(const char *bytes, size_t n, struct buf *why)
{
	struct scan s = { .start = bytes, .p = bytes, .end = bytes + n, .why = why };
	bool good = encoding(&s);

	skip_space(&s);
	if (good && s.p == s.end) {
		buf_adds(why, "it is empty");
		return -EINVAL;
	}
	good = good && value(&s);
	skip_space(&s);
	if (good && s.p < s.end)
		good = strchr("{[\"-", *s.p) && *s.p ? wrong(&s, "a second document begins here: give one alone")
						     : unexpected(&s);
	return good ? 0 : -EINVAL;
}
