/* constraint.c — shared constraints, one copy per distinct content */
#include "model/constraint.h"

#include <stdlib.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"

struct shared {
	char *key;
	struct constraints *c;
};

static struct map *all;

const struct constraints *constraints_find(const char *key)
{
	const struct shared *s = all ? map_get(all, key) : NULL;

	return s ? s->c : NULL;
}

const struct constraints *constraints_intern(const char *key, struct constraints *c)
{
	const struct constraints *known = constraints_find(key);
	struct shared *s;

	if (known) {
		constraints_free(c);
		return known;
	}
	if (!all)
		all = map_new();
	s = mem_new(struct shared);
	s->key = str_dup(key);
	s->c = c;
	c->key = s->key;
	(void)map_put(all, s->key, s);
	return c;
}

static void terms_free(struct match_term *terms, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < terms[i].count; j++)
			free(terms[i].exprs[j].values);
		free(terms[i].exprs);
	}
	free(terms);
}

void constraints_free(struct constraints *c)
{
	if (!c)
		return;
	free(c->selector);
	terms_free(c->terms, c->term_count);
	free(c->tolerations);
	free(c->ports);
	free(c);
}

void constraints_fini(void)
{
	if (!all)
		return;
	map_for_each(struct shared, s, all) {
		(void)map_remove(all, s->key);
		constraints_free(s->c);
		free(s->key);
		free(s);
	}
	map_free(all);
	all = NULL;
}
