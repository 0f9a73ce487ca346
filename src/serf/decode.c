/* decode.c — replies and stream records out of complete frames; the members have a file of their own */
#include "serf/codec.h"

#include <errno.h>

#include "base/mem.h"
#include "serf/doc.h"

int serf_decode_header(const struct serf_frame *f, struct serf_header *out_header)
{
	cleanup(doc_fini) struct doc d;
	struct serf_header h;
	int r = doc_open(f, &d);

	if (r == 0)
		r = field_u64(d.root, "Seq", UINT64_MAX, &h.seq);
	if (r == 0)	/* without it this may be a body: the stream would be out of step */
		r = field_is_present(d.root, "Error") ? field_text(d.root, "Error", h.error, sizeof(h.error)) : -EPROTO;
	if (r == 0)
		*out_header = h;
	return r;
}

bool serf_header_is_refusal(const struct serf_header *h)
{
	return str_eq(h->error, "Authentication required") || str_eq(h->error, "Handshake required");
}

/* ---- stream records ---- */

static enum serf_event_kind event_kind(const char *event)
{
	return str_eq(event, "user") ? SERF_EVENT_USER : str_eq(event, "query") ? SERF_EVENT_QUERY :
	       str_has_prefix(event, "member-") ? SERF_EVENT_MEMBER : SERF_EVENT_OTHER;
}

static int event_fill(const struct msgpack_object *o, struct serf_event *e)
{
	struct view payload = { NULL, 0 };
	int r = field_text(o, "Event", e->name, sizeof(e->name));

	if (r < 0)
		return r;
	e->kind = event_kind(e->name);
	if (e->kind == SERF_EVENT_MEMBER || e->kind == SERF_EVENT_OTHER)
		return 0;
	r = field_text(o, "Name", e->name, sizeof(e->name));
	if (r == 0)
		r = field_view(o, "Payload", &payload);
	if (r == 0)
		r = field_u64(o, "LTime", UINT64_MAX, &e->ltime);
	if (r == 0 && e->kind == SERF_EVENT_QUERY)
		r = field_u64(o, "ID", UINT64_MAX, &e->id);
	if (r < 0)
		return r;
	e->payload = payload.p;
	e->n = payload.n;
	e->coalesce = field_is_true(o, "Coalesce");
	return 0;
}

int serf_decode_event(const struct serf_frame *f, struct serf_event *out_event)
{
	cleanup(doc_fini) struct doc d;
	struct serf_event e = { .kind = SERF_EVENT_OTHER };
	int r = doc_open(f, &d);

	if (r == 0)
		r = event_fill(d.root, &e);
	if (r == 0)
		*out_event = e;
	return r;
}

int serf_decode_query_record(const struct serf_frame *f, struct serf_query_record *out_record)
{
	static const char *const kinds[] = { "ack", "response", "done" };
	cleanup(doc_fini) struct doc d;
	struct serf_query_record rec = { .n = 0 };
	struct view type = { NULL, 0 }, payload = { NULL, 0 };
	size_t kind = 0;
	int r = doc_open(f, &d);

	if (r == 0)
		r = field_view(d.root, "Type", &type);
	if (r == 0)
		r = field_text(d.root, "From", rec.from, sizeof(rec.from));
	if (r == 0)
		r = field_view(d.root, "Payload", &payload);
	if (r < 0)
		return r;
	while (kind < ARRAY_LEN(kinds) && !view_is(type, kinds[kind]))
		kind++;
	if (kind == ARRAY_LEN(kinds))
		return -EPROTO;
	rec.kind = (enum serf_record_kind)kind;
	rec.payload = payload.p;
	rec.n = payload.n;
	*out_record = rec;
	return 0;
}

int serf_decode_log(const struct serf_frame *f, const char **out_line, size_t *out_n)
{
	cleanup(doc_fini) struct doc d;
	struct view v = { NULL, 0 };
	int r = doc_open(f, &d);

	if (r == 0)
		r = field_view(d.root, "Log", &v);
	if (r < 0)
		return r;
	*out_line = v.p;
	*out_n = v.n;
	return 0;
}

/* ---- other bodies ---- */

int serf_decode_join(const struct serf_frame *f, unsigned *out_joined)
{
	cleanup(doc_fini) struct doc d;
	int r = doc_open(f, &d);

	return r == 0 ? field_unsigned(d.root, "Num", out_joined) : r;
}

void serf_keys_fini(struct serf_keys *k)
{
	for (size_t i = 0; i < k->count; i++)
		free(k->keys[i].key);
	for (size_t i = 0; i < k->message_count; i++) {
		free(k->messages[i].key);
		free(k->messages[i].value);
	}
	free(k->keys);
	free(k->messages);
	*k = (struct serf_keys){ .keys = NULL };
}

static int keys_fill(const struct msgpack_object *keys, struct serf_keys *k)
{
	k->keys = mem_try(value_len(keys), sizeof(k->keys[0]));
	if (!k->keys)
		return -ENOMEM;
	for (size_t i = 0, n = value_len(keys); i < n; i++) {
		const struct msgpack_object *key, *count;
		struct view text;
		uint64_t nodes;

		value_pair(keys, i, &key, &count);
		if (value_view(key, &text) < 0 || view_has_nul(text) || value_u64(count, INT32_MAX, &nodes) < 0)
			return -EPROTO;
		k->keys[k->count] = (struct serf_key){ view_dup(text), (unsigned)nodes };
		if (!k->keys[k->count++].key)
			return -ENOMEM;
	}
	return 0;
}

static int messages_fill(const struct msgpack_object *messages, struct serf_keys *k)
{
	k->messages = mem_try(value_len(messages), sizeof(k->messages[0]));
	if (!k->messages)
		return -ENOMEM;
	for (size_t i = 0, n = value_len(messages); i < n; i++) {
		struct serf_tag *t = &k->messages[k->message_count];
		struct view key, value;

		if (!value_text_pair(messages, i, &key, &value))
			return -EPROTO;
		*t = (struct serf_tag){ view_dup(key), view_dup(value) };
		k->message_count++;
		if (!t->key || !t->value)
			return -ENOMEM;
	}
	return 0;
}

int serf_decode_keys(const struct serf_frame *f, struct serf_keys *out_keys)
{
	cleanup(doc_fini) struct doc d;
	cleanup(serf_keys_fini) struct serf_keys k = { .keys = NULL };
	const struct msgpack_object *keys = NULL, *messages = NULL;
	int r = doc_open(f, &d);

	if (r == 0)
		r = field_map(d.root, "Keys", &keys);
	if (r == 0)
		r = field_map(d.root, "Messages", &messages);
	if (r == 0)
		r = field_unsigned(d.root, "NumNodes", &k.nodes);
	if (r == 0)
		r = field_unsigned(d.root, "NumErr", &k.errors);
	if (r == 0)
		r = field_unsigned(d.root, "NumResp", &k.responses);
	if (r == 0)
		r = keys_fill(keys, &k);
	if (r == 0)
		r = messages_fill(messages, &k);
	if (r < 0)
		return r;
	*out_keys = k;
	k = (struct serf_keys){ .keys = NULL };
	return 0;
}

void serf_stats_fini(struct serf_stats *s)
{
	for (size_t i = 0; i < s->count; i++) {
		free(s->items[i].section);
		free(s->items[i].key);
		free(s->items[i].value);
	}
	free(s->items);
	*s = (struct serf_stats){ .items = NULL };
}

const char *serf_stats_get(const struct serf_stats *s, const char *section, const char *key)
{
	for (size_t i = 0; i < s->count; i++)
		if (str_eq(s->items[i].section, section) && str_eq(s->items[i].key, key))
			return s->items[i].value;
	return NULL;
}

static int stats_fill(struct view section, const struct msgpack_object *map, struct serf_stats *s)
{
	for (size_t i = 0, n = value_len(map); i < n; i++) {
		struct serf_stat *st = &s->items[s->count];
		struct view key, value;

		if (!value_text_pair(map, i, &key, &value))
			continue;
		*st = (struct serf_stat){ view_dup(section), view_dup(key), view_dup(value) };
		s->count++;
		if (!st->section || !st->key || !st->value)
			return -ENOMEM;
	}
	return 0;
}

static size_t stats_total(const struct msgpack_object *root)
{
	size_t total = 0;

	for (size_t i = 0, n = value_len(root); i < n; i++) {
		const struct msgpack_object *name, *map;

		value_pair(root, i, &name, &map);
		total += value_is_map(map) ? value_len(map) : 0;
	}
	return total;
}

int serf_decode_stats(const struct serf_frame *f, struct serf_stats *out_stats)
{
	cleanup(doc_fini) struct doc d;
	cleanup(serf_stats_fini) struct serf_stats s = { .items = NULL };
	int r = doc_open(f, &d);

	if (r < 0)
		return r;
	s.items = mem_try(stats_total(d.root), sizeof(s.items[0]));
	if (!s.items)
		return -ENOMEM;
	for (size_t i = 0, n = value_len(d.root); r == 0 && i < n; i++) {
		const struct msgpack_object *name, *map;
		struct view section;

		value_pair(d.root, i, &name, &map);
		if (value_is_map(map) && value_view(name, &section) == 0 && !view_has_nul(section))
			r = stats_fill(section, map, &s);
	}
	if (r < 0)
		return r;
	*out_stats = s;
	s = (struct serf_stats){ .items = NULL };
	return 0;
}

int serf_decode_coordinate(const struct serf_frame *f, struct serf_coordinate *out_coordinate)
{
	cleanup(doc_fini) struct doc d;
	struct serf_coordinate c = { .known = false };
	const struct msgpack_object *coord = NULL, *vec = NULL;
	int r = doc_open(f, &d);

	if (r == 0)
		r = field_map(d.root, "Coord", &coord);
	if (r == 0)
		r = field_array(coord, "Vec", &vec);
	if (r < 0)
		return r;
	c.known = field_is_true(d.root, "Ok");
	if (c.known && value_len(vec) != SERF_COORD_DIMS)
		return -EPROTO;
	for (size_t i = 0; c.known && i < SERF_COORD_DIMS; i++)
		if (value_double(value_at(vec, i), &c.vec[i]) < 0)
			return -EPROTO;
	if (field_double(coord, "Error", &c.error) < 0 || field_double(coord, "Adjustment", &c.adjustment) < 0 ||
	    field_double(coord, "Height", &c.height) < 0)
		return -EPROTO;
	*out_coordinate = c;
	return 0;
}
