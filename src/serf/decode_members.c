/* decode_members.c — the body of a `members` answer
 *
 * The agent lists its members, and the tags of each, in the random order of a Go map, so two answers that say
 * the same differ in their bytes. An answer is therefore first held against the members we know, without copying
 * anything; only one that says something new is copied out.
 */
#include "serf/codec.h"

#include <arpa/inet.h>
#include <errno.h>

#include "base/mem.h"
#include "serf/doc.h"

static bool name_is_usable(struct view v)
{
	for (size_t i = 0; i < v.n; i++)
		if ((unsigned char)v.p[i] < 0x20 || v.p[i] == 0x7f)
			return false;
	return v.n > 0 && v.n <= SERF_NAME_MAX;
}

static enum serf_status status_of(struct view v)
{
	for (int s = SERF_ALIVE; s < SERF_NONE; s++)
		if (view_is(v, serf_status_name((enum serf_status)s)))
			return (enum serf_status)s;
	return SERF_NONE;
}

/* net.IP: 4 or 16 bytes, or text from a codec that marshals it. */
static int addr_text(struct view v, char out[SERF_ADDR_SIZE])
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };

	out[0] = '\0';
	if (v.n == 0)
		return 0;
	if (v.n == 16 && memcmp(v.p, mapped, sizeof(mapped)) == 0)
		v = (struct view){ v.p + 12, 4 };
	if (v.n == 4 || v.n == 16)
		return inet_ntop(v.n == 4 ? AF_INET : AF_INET6, v.p, out, SERF_ADDR_SIZE) ? 0 : -EPROTO;
	if (v.n >= SERF_ADDR_SIZE || view_has_nul(v))
		return -EPROTO;
	memcpy(out, v.p, v.n);
	out[v.n] = '\0';
	return 0;
}

/* A member as the frame has it, not copied. */
struct member_view {
	struct view name;
	char addr[SERF_ADDR_SIZE];
	uint16_t port;
	enum serf_status status;
	const struct msgpack_object *tags;
};

static int member_read(const struct msgpack_object *o, struct member_view *out)
{
	struct view addr = { NULL, 0 }, status = { NULL, 0 };
	uint64_t port = 0;
	int r = value_is_map(o) ? 0 : -EPROTO;

	if (r == 0)
		r = field_view(o, "Name", &out->name);
	if (r == 0)
		r = field_view(o, "Addr", &addr);
	if (r == 0)
		r = addr_text(addr, out->addr);
	if (r == 0)
		r = field_u64(o, "Port", UINT16_MAX, &port);
	if (r == 0)
		r = field_view(o, "Status", &status);
	if (r == 0)
		r = field_map(o, "Tags", &out->tags);
	if (r < 0)
		return r;
	out->port = (uint16_t)port;
	out->status = status_of(status);
	return 0;
}

static bool member_is_same(const struct member_view *v, const struct serf_member *m)
{
	size_t count = 0;

	if (v->status != m->status || v->port != m->port || !str_eq(v->addr, m->addr))
		return false;
	for (size_t i = 0, n = value_len(v->tags); i < n; i++) {
		struct view key, value;
		size_t j = 0;

		if (!value_text_pair(v->tags, i, &key, &value))
			continue;
		while (j < m->tag_count && !view_is(key, m->tags[j].key))
			j++;
		if (j == m->tag_count || !view_is(value, m->tags[j].value))
			return false;
		count++;
	}
	return count == m->tag_count;
}

static bool members_are_same(const struct msgpack_object *array, const struct serf_members *known)
{
	cleanup(freep) bool *met = mem_try(known->count, sizeof(bool));
	size_t count = 0;

	for (size_t i = 0, n = value_len(array); met && i < n; i++) {
		const struct serf_member *m;
		char name[SERF_NAME_MAX + 1];
		struct member_view v;

		if (member_read(value_at(array, i), &v) < 0)
			return false;
		if (!name_is_usable(v.name))
			continue;
		memcpy(name, v.name.p, v.name.n);
		name[v.name.n] = '\0';
		m = serf_members_find(known, name);
		if (!m || met[m - known->items] || !member_is_same(&v, m))
			return false;
		met[m - known->items] = true;
		count++;
	}
	return met && count == known->count;
}

static int member_copy(const struct member_view *v, struct serf_member *out)
{
	size_t n = value_len(v->tags);

	*out = (struct serf_member){ .name = view_dup(v->name), .port = v->port, .status = v->status };
	memcpy(out->addr, v->addr, sizeof(out->addr));
	out->tags = n ? mem_try(n, sizeof(out->tags[0])) : NULL;
	if (!out->name || (n && !out->tags))
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct serf_tag *t = &out->tags[out->tag_count];
		struct view key, value;

		if (!value_text_pair(v->tags, i, &key, &value))
			continue;
		*t = (struct serf_tag){ view_dup(key), view_dup(value) };
		out->tag_count++;
		if (!t->key || !t->value)
			return -ENOMEM;
	}
	return 0;
}

static int members_copy(const struct msgpack_object *array, struct serf_members *out)
{
	out->items = mem_try(value_len(array), sizeof(out->items[0]));
	if (!out->items)
		return -ENOMEM;
	for (size_t i = 0, n = value_len(array); i < n; i++) {
		struct member_view v;
		int r = member_read(value_at(array, i), &v);

		if (r == 0 && name_is_usable(v.name))
			r = member_copy(&v, &out->items[out->count++]);
		if (r < 0)
			return r;
	}
	return 0;
}

static void members_drop(struct serf_members *m)
{
	for (size_t i = 0; i < m->count; i++)	/* a member half copied has no name yet */
		if (!m->items[i].name)
			m->items[i].name = str_dup("");
	serf_members_fini(m);
}

int serf_decode_members(const struct serf_frame *f, const struct serf_members *known, struct serf_members *out_members)
{
	cleanup(doc_fini) struct doc d;
	cleanup(members_drop) struct serf_members m = { .items = NULL };
	const struct msgpack_object *array = NULL;
	int r = doc_open(f, &d);

	if (r == 0)
		r = field_array(d.root, "Members", &array);
	if (r < 0)
		return r;
	if (known && members_are_same(array, known))
		return SERF_E_SAME;
	r = members_copy(array, &m);
	if (r < 0)
		return r;
	serf_members_sort(&m);
	*out_members = m;
	m = (struct serf_members){ .items = NULL };
	return 0;
}
