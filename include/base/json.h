/* base/json.h — accessors over json-c that never crash on a missing or mistyped field
 *
 * Every getter takes NULL for the object and answers "absent". Strings and children are borrowed from the parent.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/mem.h"
#include "base/str.h"

struct json_object;			/* json-c's own type: our `json` in prose */
typedef struct json_object json_object;	/* the one typedef we keep: it is json-c's */

#define JSON_DEPTH_MAX 64		/* nesting we accept from a peer; Kubernetes objects need about 20 */

void json_putp(json_object **o);	/* cleanup(json_putp) */

/* Parse exactly one value of n bytes (trailing space allowed). 0, -EINVAL (not JSON, deeper than JSON_DEPTH_MAX, trailing
 * text) or -ENOMEM. The caller owns *out_value and drops it with json_object_put(). */
int json_parse(const char *text, size_t n, json_object **out_value);

/* Child by dotted path ("spec.template.spec"); keys with dots need json_get_key. NULL = absent or null. */
json_object *json_get(const json_object *o, const char *path);
json_object *json_get_key(const json_object *o, const char *key);
const char *json_get_str(const json_object *o, const char *path);		/* NULL = absent or no string */
bool json_get_bool(const json_object *o, const char *path, bool fallback);
int64_t json_get_i64(const json_object *o, const char *path, int64_t fallback);
size_t json_len(const json_object *array);					/* 0 for anything but an array */
json_object *json_at(const json_object *array, size_t i);
bool json_is_object(const json_object *o);
bool json_is_array(const json_object *o);
bool json_is_str(const json_object *o);

/* Building. The setters own what they are given. */
json_object *json_new_object(void);
json_object *json_ref(const json_object *o);		/* one more owner of the same value; NULL → NULL */
json_object *json_new_array(void);
json_object *json_copy(const json_object *o);		/* deep; NULL → NULL */
/* The same value once more, not a copy: whoever changes it changes both. Given to json_set() and json_append() like any other. */
json_object *json_share(const json_object *o);
/* Of the value with all that is in it, in its order; like str_hash(). Two that differ have the same by chance alone, or by
 * design of somebody who knows `seed`. */
uint64_t json_hash(const json_object *o, uint64_t seed);
/* A new object or array with the values of the other: to add and remove members, not to change what they hold. */
json_object *json_copy_shallow(const json_object *o);
void json_set(json_object *o, const char *key, json_object *value);
void json_set_str(json_object *o, const char *key, const char *value);	/* NULL value: nothing is set */
void json_set_i64(json_object *o, const char *key, int64_t value);
void json_set_double(json_object *o, const char *key, double value);
void json_set_bool(json_object *o, const char *key, bool value);
void json_append(json_object *array, json_object *value);
void json_append_str(json_object *array, const char *value);
void json_remove(json_object *o, const char *key);
void json_remove_at(json_object *array, size_t i);
const char *json_text(const json_object *o);		/* compact; borrowed until the object changes */
const char *json_text_pretty(const json_object *o);
const char *json_str(const json_object *o);		/* of a string value, else NULL */

/* Overwrite every text below `o` (not the keys): what the parser kept of a Secret. Its value is void afterwards. NULL-safe. */
void json_wipe(json_object *o);
/* Overwrite what json_text() returned. */
void json_wipe_text(const char *text);
void json_wipe_putp(json_object **o);	/* cleanup(): json_wipe() and json_putp() */

/* Iterate an object's fields in order:
 *	struct json_iter it = json_iter(o);
 *	while (json_iter_next(&it)) use(it.key, it.value);
 */
struct json_iter { const char *key; json_object *value; void *entry; bool started; const json_object *o; };
struct json_iter json_iter(const json_object *o);
bool json_iter_next(struct json_iter *it);
