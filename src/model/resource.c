/* resource.c — Kubernetes quantities
 *
 * Grammar: k8s.io/apimachinery/pkg/api/resource/quantity.go. A number with an optional fraction, then a binary suffix
 * (Ki … Ei), a decimal suffix (n u m k M G T P E) or an exponent (e3, E-2). Rounded up, as Quantity.MilliValue() does.
 */
#include "model/resource.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const struct { const char *suffix; int bin, dec; } suffixes[] = {
	{ "Ki", 10, 0 }, { "Mi", 20, 0 }, { "Gi", 30, 0 }, { "Ti", 40, 0 }, { "Pi", 50, 0 }, { "Ei", 60, 0 },
	{ "n", 0, -9 }, { "u", 0, -6 }, { "m", 0, -3 }, { "", 0, 0 }, { "k", 0, 3 }, { "M", 0, 6 }, { "G", 0, 9 },
	{ "T", 0, 12 }, { "P", 0, 15 }, { "E", 0, 18 },
};

/* The part behind the number: powers of two and ten. */
static int parse_suffix(const char *p, int *out_bin, int *out_dec)
{
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		if (strcmp(p, suffixes[i].suffix) == 0) {
			*out_bin = suffixes[i].bin;
			*out_dec = suffixes[i].dec;
			return 0;
		}
	}
	if ((*p == 'e' || *p == 'E') && p[1]) {
		char *end;
		long e = strtol(p + 1, &end, 10);

		if (*end || e < -18 || e > 18 || isspace((unsigned char)p[1]))
			return -EINVAL;
		*out_bin = 0;
		*out_dec = (int)e;
		return 0;
	}
	return -EINVAL;
}

/* text × 10^scale, rounded away from zero like the scheduler's MilliValue/Value. */
static int quantity_scaled(const char *text, int scale, int64_t *out)
{
	const char *p = text;
	__int128 v = 0;
	bool negative, rest = false, digits = false, point = false;
	int bin, dec, places = 0;

	if (!p)
		return -EINVAL;
	negative = *p == '-';
	p += *p == '-' || *p == '+';
	for (; isdigit((unsigned char)*p) || (*p == '.' && !point); p++) {
		if (*p == '.') {
			point = true;
			continue;
		}
		digits = true;
		if (v > (__int128)INT64_MAX)
			return -ERANGE;
		v = v * 10 + (*p - '0');
		places += point;
	}
	if (!digits || parse_suffix(p, &bin, &dec) < 0)
		return -EINVAL;
	v <<= bin;
	for (dec += scale - places; dec > 0; dec--) {
		if (v > (__int128)INT64_MAX * 1024)
			return -ERANGE;
		v *= 10;
	}
	for (; dec < 0; dec++) {
		rest = rest || v % 10 != 0;
		v /= 10;
	}
	v += rest;
	if (v > INT64_MAX)
		return -ERANGE;
	*out = negative ? -(int64_t)v : (int64_t)v;
	return 0;
}

int quantity_parse_milli(const char *text, int64_t *out_milli)
{
	return quantity_scaled(text, 3, out_milli);
}

int quantity_parse(const char *text, int64_t *out_units)
{
	return quantity_scaled(text, 0, out_units);
}

void resources_add(struct resources *a, const struct resources *b)
{
	a->cpu_milli += b->cpu_milli;
	a->mem_bytes += b->mem_bytes;
	a->pods += b->pods;
}

void resources_sub(struct resources *a, const struct resources *b)
{
	a->cpu_milli -= b->cpu_milli;
	a->mem_bytes -= b->mem_bytes;
	a->pods -= b->pods;
}

void resources_max(struct resources *a, const struct resources *b)
{
	a->cpu_milli = a->cpu_milli > b->cpu_milli ? a->cpu_milli : b->cpu_milli;
	a->mem_bytes = a->mem_bytes > b->mem_bytes ? a->mem_bytes : b->mem_bytes;
	a->pods = a->pods > b->pods ? a->pods : b->pods;
}

bool resources_fit(const struct resources *want, const struct resources *have)
{
	/* A pod without a CPU or memory request fits an overcommitted node, as in the scheduler's NodeResourcesFit. */
	return (want->cpu_milli == 0 || want->cpu_milli <= have->cpu_milli) &&
	       (want->mem_bytes == 0 || want->mem_bytes <= have->mem_bytes) && want->pods <= have->pods;
}
