/* members.c — the membership as plain data: find, compare, replace */
#include "serf/member.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

static const char *const status_names[] = { "alive", "leaving", "left", "failed", "none" };

const char *serf_status_name(enum serf_status s)
{
	return status_names[s];
}

static void member_fini(struct serf_member *m)
{
	for (size_t i = 0; i < m->tag_count; i++) {
		free(m->tags[i].key);
		free(m->tags[i].value);
	}
	free(m->tags);
	free(m->name);
	*m = (struct serf_member){ .status = SERF_NONE };
}

void serf_members_fini(struct serf_members *m)
{
	for (size_t i = 0; i < m->count; i++)
		member_fini(&m->items[i]);
	free(m->items);
	*m = (struct serf_members){ .items = NULL };
}

static int member_order(const void *a, const void *b)
{
	return strcmp(((const struct serf_member *)a)->name, ((const struct serf_member *)b)->name);
}

void serf_members_sort(struct serf_members *m)
{
	size_t kept = 0;

	if (m->count)
		qsort(m->items, m->count, sizeof(m->items[0]), member_order);
	for (size_t i = 0; i < m->count; i++) {
		if (kept > 0 && str_eq(m->items[kept - 1].name, m->items[i].name))
			member_fini(&m->items[i]);
		else
			m->items[kept++] = m->items[i];
	}
	m->count = kept;
}

const struct serf_member *serf_members_find(const struct serf_members *m, const char *name)
{
	struct serf_member key = { .name = (char *)name };

	return m->count ? bsearch(&key, m->items, m->count, sizeof(m->items[0]), member_order) : NULL;
}

const char *serf_member_tag(const struct serf_member *m, const char *key)
{
	for (size_t i = 0; i < m->tag_count; i++)
		if (str_eq(m->tags[i].key, key))
			return m->tags[i].value;
	return NULL;
}

void serf_members_replace(struct serf_members *m, struct serf_members *fresh, struct mono now)
{
	uint64_t version = m->version;

	for (size_t i = 0; i < fresh->count; i++) {
		struct serf_member *f = &fresh->items[i];
		const struct serf_member *old = serf_members_find(m, f->name);

		f->status_since = old && old->status == f->status ? old->status_since : now;
	}
	serf_members_fini(m);
	*m = *fresh;
	m->version = version + 1;
	m->as_of = now;
	*fresh = (struct serf_members){ .items = NULL };
}
