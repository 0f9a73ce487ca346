/* base/map.h — a hash map from text to pointer (uthash inside), iterated in insertion order
 *
 * The key is borrowed: it must live as long as the entry, usually inside the value.
 */
#pragma once
#include <stddef.h>

struct map;				/* opaque; zero entries cost one pointer */
struct map_entry;

struct map *map_new(void);
void map_free(struct map *m);		/* NULL-safe; the values are the caller's */
void *map_get(const struct map *m, const char *key);			/* NULL = absent */
void *map_put(struct map *m, const char *key, void *value);		/* returns the value it replaced, or NULL */
void *map_remove(struct map *m, const char *key);			/* returns the removed value, or NULL */
size_t map_count(const struct map *m);

/* Iteration; removing the current entry is allowed, nothing else. */
struct map_entry *map_first(const struct map *m);
struct map_entry *map_next(const struct map_entry *e);
void *map_value(const struct map_entry *e);
const char *map_key(const struct map_entry *e);

#define map_for_each(type, it, m) \
	for (struct map_entry *it##_e = map_first(m), *it##_n = it##_e ? map_next(it##_e) : NULL; \
	     it##_e; it##_e = it##_n, it##_n = it##_e ? map_next(it##_e) : NULL) \
		for (type *it = map_value(it##_e), *it##_once = it; it##_once; it##_once = NULL)
