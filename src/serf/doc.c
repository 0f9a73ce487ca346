/* doc.c — msgpack-c's unpacker behind doc.h
 *
 * A frame has passed the limits of frame.c, so the allocations here are bounded and msgpack-c's own depth is
 * never reached.
 */
#include "serf/doc.h"

#include <errno.h>
#include <msgpack/unpack.h>
#include <string.h>

#include "base/mem.h"

bool view_is(struct view v, const char *s)
{
	return strlen(s) == v.n && memcmp(v.p, s, v.n) == 0;
}

bool view_has_nul(struct view v)
{
	return memchr(v.p, '\0', v.n) != NULL;
}

char *view_dup(struct view v)
{
	char *s = mem_try(v.n + 1, 1);

	if (s)
		memcpy(s, v.p, v.n);
	return s;
}

void doc_fini(struct doc *d)
{
	if (d->zone)
		msgpack_zone_free(d->zone);
	d->zone = NULL;
}

int doc_open(const struct serf_frame *f, struct doc *out_doc)
{
	size_t off = 0;
	msgpack_unpacked m;
	msgpack_unpack_return r;
	msgpack_object *root;

	*out_doc = (struct doc){ .zone = NULL };
	msgpack_unpacked_init(&m);
	r = msgpack_unpack_next(&m, f->data, f->n, &off);
	out_doc->zone = msgpack_unpacked_release_zone(&m);
	if (r == MSGPACK_UNPACK_NOMEM_ERROR)
		return -ENOMEM;
	if (r != MSGPACK_UNPACK_SUCCESS || off != f->n || m.data.type != MSGPACK_OBJECT_MAP)
		return -EPROTO;
	root = msgpack_zone_malloc(out_doc->zone, sizeof(*root));
	if (!root)
		return -ENOMEM;
	*root = m.data;
	out_doc->root = root;
	return 0;
}

int value_view(const msgpack_object *o, struct view *out)
{
	if (!o || o->type == MSGPACK_OBJECT_NIL)
		*out = (struct view){ "", 0 };
	else if (o->type == MSGPACK_OBJECT_STR)
		*out = (struct view){ o->via.str.size ? o->via.str.ptr : "", o->via.str.size };
	else if (o->type == MSGPACK_OBJECT_BIN)
		*out = (struct view){ o->via.bin.size ? o->via.bin.ptr : "", o->via.bin.size };
	else
		return -EPROTO;
	return 0;
}

int value_u64(const msgpack_object *o, uint64_t max, uint64_t *out)
{
	if (!o || o->type != MSGPACK_OBJECT_POSITIVE_INTEGER || o->via.u64 > max)
		return -EPROTO;
	*out = o->via.u64;
	return 0;
}

int value_double(const msgpack_object *o, double *out)
{
	if (!o || (o->type != MSGPACK_OBJECT_FLOAT64 && o->type != MSGPACK_OBJECT_FLOAT32))
		return -EPROTO;
	*out = o->via.f64;
	return 0;
}

bool value_is_map(const msgpack_object *o)
{
	return o->type == MSGPACK_OBJECT_MAP;
}

size_t value_len(const msgpack_object *o)
{
	if (o->type == MSGPACK_OBJECT_ARRAY)
		return o->via.array.size;
	return o->type == MSGPACK_OBJECT_MAP ? o->via.map.size : 0;
}

const msgpack_object *value_at(const msgpack_object *array, size_t i)
{
	return &array->via.array.ptr[i];
}

void value_pair(const msgpack_object *map, size_t i, const msgpack_object **out_key, const msgpack_object **out_value)
{
	*out_key = &map->via.map.ptr[i].key;
	*out_value = &map->via.map.ptr[i].val;
}

bool value_text_pair(const msgpack_object *map, size_t i, struct view *out_key, struct view *out_value)
{
	return value_view(&map->via.map.ptr[i].key, out_key) == 0 &&
	       value_view(&map->via.map.ptr[i].val, out_value) == 0 && !view_has_nul(*out_key) &&
	       !view_has_nul(*out_value);
}

static const msgpack_object *field(const msgpack_object *map, const char *key)
{
	for (uint32_t i = 0; i < map->via.map.size; i++) {
		struct view k;

		if (value_view(&map->via.map.ptr[i].key, &k) == 0 && view_is(k, key))
			return &map->via.map.ptr[i].val;
	}
	return NULL;
}

int field_view(const msgpack_object *map, const char *key, struct view *out)
{
	return value_view(field(map, key), out);
}

int field_text(const msgpack_object *map, const char *key, char *out, size_t size)
{
	struct view v;
	size_t n;
	int r = field_view(map, key, &v);

	if (r < 0)
		return r;
	if (view_has_nul(v))
		return -EPROTO;
	n = v.n < size ? v.n : size - 1;
	memcpy(out, v.p, n);
	out[n] = '\0';
	return 0;
}

int field_u64(const msgpack_object *map, const char *key, uint64_t max, uint64_t *out)
{
	return value_u64(field(map, key), max, out);
}

int field_unsigned(const msgpack_object *map, const char *key, unsigned *out)
{
	uint64_t v = 0;
	int r = field_u64(map, key, INT32_MAX, &v);

	if (r == 0)
		*out = (unsigned)v;
	return r;
}

int field_double(const msgpack_object *map, const char *key, double *out)
{
	return value_double(field(map, key), out);
}

bool field_is_present(const msgpack_object *map, const char *key)
{
	return field(map, key) != NULL;
}

bool field_is_true(const msgpack_object *map, const char *key)
{
	const msgpack_object *o = field(map, key);

	return o && o->type == MSGPACK_OBJECT_BOOLEAN && o->via.boolean;
}

int field_array(const msgpack_object *map, const char *key, const msgpack_object **out)
{
	static const msgpack_object none = { .type = MSGPACK_OBJECT_ARRAY };
	const msgpack_object *o = field(map, key);

	*out = !o || o->type == MSGPACK_OBJECT_NIL ? &none : o;
	return (*out)->type == MSGPACK_OBJECT_ARRAY ? 0 : -EPROTO;
}

int field_map(const msgpack_object *map, const char *key, const msgpack_object **out)
{
	static const msgpack_object none = { .type = MSGPACK_OBJECT_MAP };
	const msgpack_object *o = field(map, key);

	*out = !o || o->type == MSGPACK_OBJECT_NIL ? &none : o;
	return (*out)->type == MSGPACK_OBJECT_MAP ? 0 : -EPROTO;
}
