/* map.c — text → pointer over uthash; also the interned names */
#include "base/map.h"

#include <stdlib.h>
#include <uthash.h>

#include "base/mem.h"
#include "base/str.h"

struct map_entry {
	const char *key;
	void *value;
	UT_hash_handle hh;
};

struct map {
	struct map_entry *head;
};

struct map *map_new(void)
{
	return mem_new(struct map);
}

void map_free(struct map *m)
{
	struct map_entry *e, *next;

	if (!m)
		return;
	HASH_ITER(hh, m->head, e, next) {
		HASH_DEL(m->head, e); /* NOLINT: the analyzer loses uthash's tail */
		free(e);
	}
	free(m);
}

static struct map_entry *map_find(const struct map *m, const char *key)
{
	struct map_entry *e = NULL;

	if (key)
		HASH_FIND_STR(m->head, key, e);
	return e;
}

void *map_get(const struct map *m, const char *key)
{
	struct map_entry *e = map_find(m, key);

	return e ? e->value : NULL;
}

void *map_put(struct map *m, const char *key, void *value)
{
	void *old = map_remove(m, key);
	struct map_entry *e = mem_new(struct map_entry);

	e->key = key;
	e->value = value;
	HASH_ADD_KEYPTR(hh, m->head, e->key, strlen(e->key), e);
	return old;
}

void *map_remove(struct map *m, const char *key)
{
	struct map_entry *e = map_find(m, key);
	void *value = e ? e->value : NULL;

	if (e) {
		HASH_DEL(m->head, e); /* NOLINT: the analyzer loses uthash's tail */
		free(e);
	}
	return value;
}

size_t map_count(const struct map *m)
{
	return HASH_COUNT(m->head);
}

struct map_entry *map_first(const struct map *m)
{
	return m->head;
}

struct map_entry *map_next(const struct map_entry *e)
{
	return e->hh.next;
}

void *map_value(const struct map_entry *e)
{
	return e->value;
}

const char *map_key(const struct map_entry *e)
{
	return e->key;
}

/* The names of a process: namespaces, nodes, label texts. One thread uses them. */
static struct map *names;
static size_t strangers;		/* of them, what intern_stranger() took up */

const char *intern(const char *s)
{
	char *copy;

	if (!s)
		return NULL;
	if (!names)
		names = map_new();
	copy = map_get(names, s);
	if (!copy) {
		copy = str_dup(s);
		(void)map_put(names, copy, copy);
	}
	return copy;
}

const char *intern_stranger(const char *s)
{
	const char *known = s && names ? map_get(names, s) : NULL;

	if (known || !s)
		return known;
	if (strangers == INTERN_STRANGERS_MAX)
		return NULL;
	strangers++;
	return intern(s);
}

size_t intern_count(void)
{
	return names ? map_count(names) : 0;
}

void intern_fini(void)
{
	strangers = 0;
	if (!names)
		return;
	map_for_each(char, name, names) {
		(void)map_remove(names, name);
		free(name);
	}
	map_free(names);
	names = NULL;
}
