/* json.c — json-c behind getters that cannot crash */
#include "base/json.h"

#include <ctype.h>
#include <errno.h>
#include <json-c/json.h>

void json_putp(json_object **o)
{
	if (*o)
		(void)json_object_put(*o);
}

static void tokener_freep(json_tokener **t)
{
	if (!*t)
		return;
	if ((*t)->pb && (*t)->pb->size > 0)	/* its last texts: they may be a Secret's */
		explicit_bzero((*t)->pb->buf, (size_t)(*t)->pb->size);
	json_tokener_free(*t);
}

int json_parse(const char *text, size_t n, json_object **out_value)
{
	cleanup(tokener_freep) json_tokener *tok = json_tokener_new_ex(JSON_DEPTH_MAX);
	cleanup(json_putp) json_object *o = NULL;
	size_t end;

	if (!tok)
		return -ENOMEM;
	if (n > INT32_MAX)
		return -EINVAL;
	o = json_tokener_parse_ex(tok, text, (int)n);
	end = json_tokener_get_parse_end(tok);
	/* A bare number ends only at the end of the text; json-c then wants one byte more. */
	if (!o && json_tokener_get_error(tok) == json_tokener_continue) {
		o = json_tokener_parse_ex(tok, "", 1);
		end = n;
	}
	if (json_tokener_get_error(tok) != json_tokener_success)
		return -EINVAL;
	for (; end < n; end++)
		if (!isspace((unsigned char)text[end]))
			return -EINVAL;
	*out_value = take(o);
	return 0;
}

json_object *json_get_key(const json_object *o, const char *key)
{
	json_object *child = NULL;

	if (!json_is_object(o))
		return NULL;
	(void)json_object_object_get_ex(o, key, &child);
	return child;
}

json_object *json_get(const json_object *o, const char *path)
{
	char key[128];

	for (;;) {
		size_t n = strcspn(path, ".");
		json_object *child;

		if (n >= sizeof(key))
			return NULL;
		memcpy(key, path, n);
		key[n] = '\0';
		child = json_get_key(o, key);
		if (!child || !path[n])
			return child;
		o = child;
		path += n + 1;
	}
}

bool json_is_object(const json_object *o)
{
	return o && json_object_is_type(o, json_type_object);
}

bool json_is_array(const json_object *o)
{
	return o && json_object_is_type(o, json_type_array);
}

bool json_is_str(const json_object *o)
{
	return o && json_object_is_type(o, json_type_string);
}

const char *json_str(const json_object *o)
{
	return json_is_str(o) ? json_object_get_string((json_object *)o) : NULL;
}

const char *json_get_str(const json_object *o, const char *path)
{
	return json_str(json_get(o, path));
}

bool json_get_bool(const json_object *o, const char *path, bool fallback)
{
	json_object *v = json_get(o, path);

	return json_object_is_type(v, json_type_boolean) ? json_object_get_boolean(v) : fallback;
}

int64_t json_get_i64(const json_object *o, const char *path, int64_t fallback)
{
	json_object *v = json_get(o, path);

	return json_object_is_type(v, json_type_int) ? json_object_get_int64(v) : fallback;
}

size_t json_len(const json_object *array)
{
	return json_is_array(array) ? json_object_array_length(array) : 0;
}

json_object *json_at(const json_object *array, size_t i)
{
	return i < json_len(array) ? json_object_array_get_idx(array, i) : NULL;
}

json_object *json_new_object(void)
{
	return json_object_new_object();
}

json_object *json_new_array(void)
{
	return json_object_new_array();
}

json_object *json_copy(const json_object *o)
{
	json_object *copy = NULL;

	if (o)
		(void)json_object_deep_copy((json_object *)o, &copy, NULL);
	return copy;
}

json_object *json_share(const json_object *o)
{
	return json_object_get((json_object *)(uintptr_t)o);
}

/* Its length first: where one ends and the next begins. */
static uint64_t hash_text(uint64_t h, const char *text, size_t n)
{
	return str_hash(str_hash(h, &n, sizeof(n)), text, n);
}

static uint64_t hash_scalar(const json_object *o, uint64_t h)
{
	uint64_t whole;
	double real;

	switch (json_object_get_type(o)) {
	case json_type_string:
		return hash_text(h, json_object_get_string((json_object *)(uintptr_t)o),
				 (size_t)json_object_get_string_len(o));
	case json_type_int:		/* the one is saturated where the other is not */
		whole = (uint64_t)json_object_get_int64(o);
		h = str_hash(h, &whole, sizeof(whole));
		whole = json_object_get_uint64(o);
		return str_hash(h, &whole, sizeof(whole));
	case json_type_boolean:
		whole = (uint64_t)json_object_get_boolean(o);
		return str_hash(h, &whole, sizeof(whole));
	case json_type_double:
		real = json_object_get_double(o);
		return str_hash(h, &real, sizeof(real));
	default:
		return h;		/* null */
	}
}

/* Documents are bounded in depth by the parser: JSON_TOKENER_DEFAULT_DEPTH is 32. */
uint64_t json_hash(const json_object *o, uint64_t seed)
{
	int type = json_object_get_type(o);
	uint64_t h = str_hash(seed, &type, sizeof(type));
	struct json_iter it = json_iter(o);
	size_t n = json_len(o);

	if (type != json_type_array && type != json_type_object)
		return hash_scalar(o, h);
	h = str_hash(h, &n, sizeof(n));
	for (size_t i = 0; i < n; i++)
		h = json_hash(json_at(o, i), h);
	while (json_iter_next(&it))
		h = json_hash(it.value, hash_text(h, it.key, strlen(it.key)));
	type = -1;			/* the end of an object */
	return str_hash(h, &type, sizeof(type));
}

json_object *json_copy_shallow(const json_object *o)
{
	struct json_iter it = json_iter(o);
	json_object *copy = json_is_array(o) ? json_new_array() : json_new_object();

	for (size_t i = 0; i < json_len(o); i++)
		json_append(copy, json_share(json_at(o, i)));
	while (json_iter_next(&it))
		json_set(copy, it.key, json_share(it.value));
	return copy;
}

void json_set(json_object *o, const char *key, json_object *value)
{
	(void)json_object_object_add(o, key, value);
}

void json_set_str(json_object *o, const char *key, const char *value)
{
	if (value)
		json_set(o, key, json_object_new_string(value));
}

void json_set_i64(json_object *o, const char *key, int64_t value)
{
	json_set(o, key, json_object_new_int64(value));
}

void json_set_double(json_object *o, const char *key, double value)
{
	json_set(o, key, json_object_new_double(value));
}

void json_set_bool(json_object *o, const char *key, bool value)
{
	json_set(o, key, json_object_new_boolean(value));
}

void json_append(json_object *array, json_object *value)
{
	(void)json_object_array_add(array, value);
}

void json_append_str(json_object *array, const char *value)
{
	json_append(array, json_object_new_string(value));
}

void json_remove(json_object *o, const char *key)
{
	if (json_is_object(o))
		json_object_object_del(o, key);
}

void json_remove_at(json_object *array, size_t i)
{
	if (i < json_len(array))
		(void)json_object_array_del_idx(array, i, 1);
}

const char *json_text(const json_object *o)
{
	return json_object_to_json_string_ext((json_object *)o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
}

const char *json_text_pretty(const json_object *o)
{
	return json_object_to_json_string_ext((json_object *)o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
							       JSON_C_TO_STRING_NOSLASHESCAPE);
}

struct json_iter json_iter(const json_object *o)
{
	return (struct json_iter){ .o = o };
}

bool json_iter_next(struct json_iter *it)
{
	struct lh_entry *e;

	if (!json_is_object(it->o))
		return false;
	e = it->started ? lh_entry_next((struct lh_entry *)it->entry) : lh_table_head(json_object_get_object(it->o));
	it->started = true;
	it->entry = e;
	if (!e)
		return false;
	it->key = lh_entry_k(e);
	it->value = lh_entry_v(e);
	return true;
}

json_object *json_ref(const json_object *o)
{
	return o ? json_object_get((json_object *)o) : NULL;
}

/* Depth is bounded by the parser (JSON_DEPTH_MAX), or by what we built ourselves. */
void json_wipe(json_object *o)
{
	struct json_iter it = json_iter(o);

	if (json_is_str(o))
		explicit_bzero((char *)(uintptr_t)json_object_get_string(o), (size_t)json_object_get_string_len(o));
	for (size_t i = 0; i < json_len(o); i++)
		json_wipe(json_at(o, i));
	while (json_iter_next(&it))
		json_wipe(it.value);
}

void json_wipe_text(const char *text)
{
	explicit_bzero((char *)(uintptr_t)text, strlen(text));
}

void json_wipe_putp(json_object **o)
{
	json_wipe(*o);
	json_putp(o);
}
