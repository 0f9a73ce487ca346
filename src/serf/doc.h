/* doc.h — one unpacked frame, without showing msgpack-c to who reads it
 *
 * Values and views are borrowed from the doc and from the frame under it. Go's codec writes text as str or as
 * raw, addresses and payloads as bin or as raw, and nil for whatever is empty: all of them read as a view, nil
 * and absent as the empty one.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "serf/codec.h"

struct msgpack_object;			/* a value */

struct view { const char *p; size_t n; };
bool view_is(struct view v, const char *s);
bool view_has_nul(struct view v);
char *view_dup(struct view v);		/* NULL without memory; the caller frees */

struct doc { void *zone; const struct msgpack_object *root; };
int doc_open(const struct serf_frame *f, struct doc *out_doc);	/* the root is a map; 0, -EPROTO or -ENOMEM */
void doc_fini(struct doc *d);					/* cleanup(doc_fini) */

/* 0, or -EPROTO when it is of another type. */
int value_view(const struct msgpack_object *o, struct view *out);
int value_u64(const struct msgpack_object *o, uint64_t max, uint64_t *out);
int value_double(const struct msgpack_object *o, double *out);
bool value_is_map(const struct msgpack_object *o);
size_t value_len(const struct msgpack_object *o);		/* of an array, or pairs of a map; else 0 */
const struct msgpack_object *value_at(const struct msgpack_object *array, size_t i);
void value_pair(const struct msgpack_object *map, size_t i, const struct msgpack_object **out_key,
		const struct msgpack_object **out_value);
/* Both as text that a C string can carry. */
bool value_text_pair(const struct msgpack_object *map, size_t i, struct view *out_key, struct view *out_value);

/* Fields of a map; absent reads as nil. */
int field_view(const struct msgpack_object *map, const char *key, struct view *out);
int field_text(const struct msgpack_object *map, const char *key, char *out, size_t size);	/* cut to size */
int field_u64(const struct msgpack_object *map, const char *key, uint64_t max, uint64_t *out);
int field_unsigned(const struct msgpack_object *map, const char *key, unsigned *out);
int field_double(const struct msgpack_object *map, const char *key, double *out);
bool field_is_present(const struct msgpack_object *map, const char *key);
bool field_is_true(const struct msgpack_object *map, const char *key);
int field_array(const struct msgpack_object *map, const char *key, const struct msgpack_object **out);
int field_map(const struct msgpack_object *map, const char *key, const struct msgpack_object **out);
