/* resource.c — Kubernetes quantities
 *
 * Grammar: k8s.io/apimachinery/pkg/api/resource/quantity.go. A number with an optional fraction, then a binary suffix
 * (Ki … Ei), a decimal suffix (n u m k M G T P E) or an exponent (e3, E-2). Rounded up, as Quantity.MilliValue() does.
 * What is larger than 64 bits hold is as much as they hold, there ("capped") and here; so are sums and differences: two
 * huge requests fit nowhere, and never look small.
 */
#include "model/resource.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { EXPONENT_MAX = 1000 };	/* beyond it whatever is not 0 is too large, or rounds up to the smallest */

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

		if (*end || end == p + 1 || isspace((unsigned char)p[1]))
			return -EINVAL;
		*out_bin = 0;
		*out_dec = e < -EXPONENT_MAX ? -EXPONENT_MAX : e > EXPONENT_MAX ? EXPONENT_MAX : (int)e;
		return 0;
	}
	return -EINVAL;
}

/* The number in front: value × 10^dec. Digits beyond what 64 bits hold are a power of ten, or a `rest` that rounds up. */
struct number { __int128 value; int64_t dec; bool negative, rest; };

static int parse_number(const char **text, struct number *out)
{
	const char *p = *text;
	struct number n = { .negative = *p == '-' };
	bool digits = false, point = false;

	p += *p == '-' || *p == '+';
	for (; isdigit((unsigned char)*p) || (*p == '.' && !point); p++) {
		if (*p == '.') {
			point = true;
			continue;
		}
		digits = true;
		if (n.value > (__int128)INT64_MAX) {
			n.rest = n.rest || *p != '0';
			n.dec += !point;
			continue;
		}
		n.value = n.value * 10 + (*p - '0');
		n.dec -= point;
	}
	*text = p;
	*out = n;
	return digits ? 0 : -EINVAL;
}

/* value × 10^dec, rounded up; never beyond INT64_MAX. `value` is not negative. */
static int64_t scale(__int128 value, int64_t dec, bool rest)
{
	for (; dec > 0 && value; dec--) {
		if (value > (__int128)INT64_MAX)
			return INT64_MAX;
		value *= 10;
	}
	for (; dec < 0 && value; dec++) {
		rest = rest || value % 10 != 0;
		value /= 10;
	}
	value += rest;
	return value > (__int128)INT64_MAX ? INT64_MAX : (int64_t)value;
}

/* text × 10^places, rounded away from zero like the scheduler's MilliValue/Value. */
static int quantity_scaled(const char *text, int places, int64_t *out)
{
	struct number n;
	int bin, dec;
	int64_t v;

	if (!text || parse_number(&text, &n) < 0 || parse_suffix(text, &bin, &dec) < 0)
		return -EINVAL;
	v = scale(n.value << bin, n.dec + dec + places, n.rest);
	*out = n.negative ? -v : v;
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

static int64_t add(int64_t a, int64_t b)
{
	int64_t sum;

	return !__builtin_add_overflow(a, b, &sum) ? sum : b > 0 ? INT64_MAX : INT64_MIN;
}

static int64_t sub(int64_t a, int64_t b)
{
	int64_t difference;

	return !__builtin_sub_overflow(a, b, &difference) ? difference : b < 0 ? INT64_MAX : INT64_MIN;
}

void resources_add(struct resources *a, const struct resources *b)
{
	a->cpu_milli = add(a->cpu_milli, b->cpu_milli);
	a->mem_bytes = add(a->mem_bytes, b->mem_bytes);
	a->pods = add(a->pods, b->pods);
}

void resources_sub(struct resources *a, const struct resources *b)
{
	a->cpu_milli = sub(a->cpu_milli, b->cpu_milli);
	a->mem_bytes = sub(a->mem_bytes, b->mem_bytes);
	a->pods = sub(a->pods, b->pods);
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
