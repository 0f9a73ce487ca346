/* rates.c — token buckets, in billionths of a token so that nothing is lost by rounding
 *
 * A bucket that is full again says nothing, so it goes when the table is full and another member wants its place.
 */
#include "rates.h"

#include <stdint.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"

#define NS_PER_S (1000 * NS_PER_MS)

struct limit { int64_t per_s, burst; };

struct bucket {
	int64_t level;			/* billionths of a token */
	struct mono at;			/* when it was that */
};

struct member {
	char *name;
	struct bucket buckets[RATE_KINDS];
};

struct rates {
	struct map *members;		/* name → struct member */
	struct bucket nobody[RATE_KINDS], all[RATE_KINDS];
};

static const struct limit of_member[RATE_KINDS] = {
	[RATE_MESSAGES] = { RATE_MEMBER_PER_S, RATE_MEMBER_BURST },
	[RATE_QUESTIONS] = { RATE_QUESTIONS_PER_S, RATE_QUESTIONS_BURST },
	[RATE_CHANGES] = { RATE_MEMBER_PER_S, RATE_MEMBER_BURST },
};
static const struct limit of_nobody[RATE_KINDS] = {
	[RATE_MESSAGES] = { RATE_NOBODY_PER_S, RATE_NOBODY_BURST },
	[RATE_QUESTIONS] = { RATE_QUESTIONS_PER_S, RATE_QUESTIONS_BURST },
	[RATE_CHANGES] = { RATE_NOBODY_PER_S, RATE_NOBODY_BURST },
};
static const struct limit of_all[RATE_KINDS] = {
	[RATE_MESSAGES] = { RATE_ALL_PER_S, RATE_ALL_BURST },
	[RATE_QUESTIONS] = { RATE_QUESTIONS_PER_S, RATE_QUESTIONS_BURST },
	[RATE_CHANGES] = { RATE_ALL_PER_S, RATE_ALL_BURST },
};

/* ---- one bucket ---- */

/* One that was never used is full. Hours of quiet would overflow the product, so time counts up to what fills it. */
static void refill(struct bucket *b, const struct limit *l, struct mono now)
{
	int64_t passed = now.ns - b->at.ns, full = l->burst * NS_PER_S, missing = full - b->level;

	if (!mono_is_set(b->at) || passed > missing / l->per_s)
		b->level = full;
	else if (passed > 0)
		b->level += passed * l->per_s;
	b->at = now;
}

static bool has_one(const struct bucket *b)
{
	return b->level >= NS_PER_S;
}

/* ---- the table ---- */

struct rates *rates_new(void)
{
	struct rates *r = mem_new(struct rates);

	r->members = map_new();
	return r;
}

static void member_drop(struct rates *r, struct member *m)
{
	(void)map_remove(r->members, m->name);
	free(m->name);
	free(m);
}

void rates_free(struct rates *r)
{
	if (!r)
		return;
	map_for_each(struct member, m, r->members)
		member_drop(r, m);
	map_free(r->members);
	free(r);
}

static bool is_full(struct member *m, struct mono now)
{
	for (int k = 0; k < RATE_KINDS; k++) {
		refill(&m->buckets[k], &of_member[k], now);
		if (m->buckets[k].level < of_member[k].burst * NS_PER_S)
			return false;
	}
	return true;
}

static void make_room(struct rates *r, struct mono now)
{
	map_for_each(struct member, m, r->members)
		if (is_full(m, now))
			member_drop(r, m);
}

/* NULL: it has none, and there is no place for it. */
static struct member *member_of(struct rates *r, const char *name, struct mono now)
{
	struct member *m = map_get(r->members, name);

	if (!m && map_count(r->members) >= RATES_MEMBERS_MAX)
		make_room(r, now);
	if (m || map_count(r->members) >= RATES_MEMBERS_MAX)
		return m;
	m = mem_new(struct member);
	m->name = str_dup(name);
	(void)map_put(r->members, m->name, m);
	return m;
}

static bool pass(struct rates *r, enum rate_kind kind, const char *name, struct mono now, int64_t cost)
{
	struct member *m = str_is_empty(name) ? NULL : member_of(r, name, now);
	struct bucket *own = m ? &m->buckets[kind] : &r->nobody[kind], *all = &r->all[kind];

	refill(own, m ? &of_member[kind] : &of_nobody[kind], now);
	refill(all, &of_all[kind], now);
	if (!has_one(own) || !has_one(all))
		return false;
	own->level -= cost;
	all->level -= cost;
	return true;
}

bool rates_take(struct rates *r, enum rate_kind kind, const char *member, struct mono now)
{
	return pass(r, kind, member, now, NS_PER_S);
}

bool rates_may(struct rates *r, enum rate_kind kind, const char *member, struct mono now)
{
	return pass(r, kind, member, now, 0);
}

size_t rates_member_count(const struct rates *r)
{
	return map_count(r->members);
}
