/* stream.c — the splitter of watch streams and list bodies
 *
 * It walks over the bytes once and knows three things: whether it is inside a string, how deep it is, and, down to the
 * depth where managedFields lives, whether the next string is a key. Deeper than that only quotes and brackets matter,
 * which is what makes it fast.
 *
 *   watch: { "type": …, "object": { "metadata": { "managedFields"     an element starts at depth 1, keys to depth 3
 *   list:  { "items": [ { "metadata": { "managedFields"               at depth 3, keys to depth 4
 *   list:  { "metadata": { "continue"                                 kept for kube_stream_list_meta()
 *
 * Bytes of an element are copied in runs: `mark` is the first byte of the chunk that is wanted and not copied yet. When
 * a key turns out to be managedFields, what was copied of it is cut off again and nothing is wanted until the comma
 * behind its value.
 */
#include "kube/stream.h"

#include <errno.h>
#include <stdbool.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "kube/outcome.h"

enum {
	KEY_MAX = 16,			/* longer keys are none of ours */
	BUF_KEEP = 256 * 1024,		/* an emptied buffer larger than this is given back */
	DEPTH_WATCH_ELEM = 1, DEPTH_LIST_META = 2, DEPTH_LIST_ELEM = 3,
	DEPTH_HOSTILE = 1000000,
};

enum element { ELEM_NONE, ELEM_VALUE, ELEM_META };
enum envelope { KEY_OTHER, KEY_ITEMS, KEY_META };	/* the key at depth 1 of a list whose value we are in */

struct kube_stream {
	struct kube_stream_handlers fn;
	enum kube_stream_mode mode;
	int error;
	/* the scanner */
	int depth, keys_to;		/* keys are looked at down to this depth */
	unsigned arrays;		/* bit per depth up to keys_to: an array, not an object */
	bool in_string, escaped, want_key, in_key;
	char key[KEY_MAX];
	size_t key_len;
	/* where we are in the structure */
	enum envelope envelope;
	bool in_object;			/* watch: inside the value of "object" */
	bool next_object, next_meta;	/* the value that comes next is the one of "object" / "metadata" */
	bool in_meta;			/* inside the element's metadata */
	bool ended;			/* list: its last bracket was seen */
	/* the element */
	enum element elem;
	int elem_depth;
	struct buf out;
	const char *mark;		/* into the current chunk; NULL = nothing wanted */
	size_t key_at;			/* where the current key starts in the element */
	bool dropping, skipped;
	struct kube_list_meta meta;
	uint64_t skip_count;
};

enum { C_QUOTE = 1, C_OPEN = 2, C_CLOSE = 4, C_COMMA = 8, C_ESCAPE = 16, C_OTHER = 32 };
static const unsigned char class_of[256] = {
    ['"'] = C_QUOTE, ['\\'] = C_ESCAPE, ['{'] = C_OPEN,  ['['] = C_OPEN,
    ['}'] = C_CLOSE, [']'] = C_CLOSE,   [','] = C_COMMA,
};

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

struct kube_stream *kube_stream_new(const struct kube_stream_handlers *handlers)
{
	struct kube_stream *s = mem_new(struct kube_stream);

	s->fn = *handlers;
	kube_stream_reset(s, KUBE_STREAM_WATCH);
	return s;
}

void kube_stream_free(struct kube_stream *s)
{
	if (!s)
		return;
	buf_wipe(&s->out);		/* it may have held a Secret */
	free(s);
}

void kube_stream_freep(struct kube_stream **s)
{
	kube_stream_free(*s);
}

static void out_clear(struct kube_stream *s)
{
	if (s->out.cap > BUF_KEEP) {
		buf_wipe(&s->out);
	} else {
		if (s->out.data)
			explicit_bzero(s->out.data, s->out.len);
		buf_clear(&s->out);
	}
}

void kube_stream_reset(struct kube_stream *s, enum kube_stream_mode mode)
{
	struct kube_stream old = *s;

	*s = (struct kube_stream){ .fn = old.fn, .mode = mode, .out = old.out, .skip_count = old.skip_count };
	s->keys_to = mode == KUBE_STREAM_WATCH ? DEPTH_WATCH_ELEM + 2 : DEPTH_LIST_ELEM + 1;
	s->meta.remaining = -1;
	out_clear(s);
}

uint64_t kube_stream_skipped(const struct kube_stream *s)
{
	return s->skip_count;
}

const struct kube_list_meta *kube_stream_list_meta(const struct kube_stream *s)
{
	return &s->meta;
}

int kube_stream_end(const struct kube_stream *s)
{
	if (s->error)
		return s->error;
	return s->depth || (s->mode == KUBE_STREAM_LIST && !s->ended) ? KUBE_E_TRUNCATED : 0;
}

/* ---- the element ---- */

static void element_skip(struct kube_stream *s, enum kube_skip why)
{
	if (s->skipped)
		return;
	s->skipped = true;
	s->mark = NULL;
	out_clear(s);
	if (s->elem != ELEM_VALUE)
		return;
	s->skip_count++;
	if (s->fn.on_skipped)
		s->fn.on_skipped(s->fn.arg, why);
}

/* Copy what is wanted up to `p`. */
static void element_copy(struct kube_stream *s, const char *p)
{
	if (!s->mark)
		return;
	if (buf_try_add(&s->out, s->mark, (size_t)(p - s->mark), KUBE_OBJECT_MAX) < 0)
		element_skip(s, KUBE_SKIP_SIZE);
	else
		s->mark = p;
}

static void element_begin(struct kube_stream *s, enum element elem, const char *p)
{
	s->elem = elem;
	s->elem_depth = s->depth;
	s->mark = p;
	s->skipped = false;
	s->in_meta = s->next_meta = s->in_object = s->next_object = false;
}

static void meta_take(struct kube_stream *s)
{
	cleanup(json_putp) json_object *o = NULL;

	if (s->skipped || json_parse(s->out.data, s->out.len, &o) < 0)
		return;
	(void)str_copy(s->meta.version, sizeof(s->meta.version), str_or(json_get_str(o, "resourceVersion"), ""));
	if (!str_copy(s->meta.cont, sizeof(s->meta.cont), str_or(json_get_str(o, "continue"), "")))
		s->error = -EPROTO;	/* half a token would skip or repeat pages */
	s->meta.remaining = json_get_i64(o, "remainingItemCount", -1);
}

static int element_finish(struct kube_stream *s, const char *p)
{
	enum element elem = s->elem;
	int r = 0;

	element_copy(s, p);
	s->elem = ELEM_NONE;
	s->mark = NULL;
	if (elem == ELEM_META)
		meta_take(s);
	else if (!s->skipped)
		r = s->fn.on_value(s->fn.arg, s->out.data, s->out.len);
	out_clear(s);
	return r ? r : s->error;
}

/* The key at the current depth is managedFields: forget it, and want nothing until its value is over. */
static void drop_begin(struct kube_stream *s, const char *p)
{
	if (s->skipped)
		return;
	element_copy(s, p);
	if (s->skipped)
		return;
	s->out.len = s->key_at;
	s->mark = NULL;
	s->dropping = true;
}

/* `p` is what follows in the element: behind the comma, or the closing bracket itself. */
static void drop_end(struct kube_stream *s, const char *p, bool last)
{
	s->dropping = false;
	if (s->skipped)
		return;
	s->mark = p;
	if (!last)
		return;
	while (s->out.len && is_space(s->out.data[s->out.len - 1]))
		s->out.len--;
	if (s->out.len && s->out.data[s->out.len - 1] == ',')
		s->out.len--;
}

/* ---- keys ---- */

static bool key_is(const struct kube_stream *s, const char *name)
{
	return s->key_len == strlen(name) && memcmp(s->key, name, s->key_len) == 0;
}

static void key_seen_outside(struct kube_stream *s)
{
	if (s->depth == 1)
		s->envelope = key_is(s, "items") ? KEY_ITEMS : key_is(s, "metadata") ? KEY_META : KEY_OTHER;
}

/* A key of an object at depth <= keys_to is complete; `p` is behind its closing quote. */
static void key_seen(struct kube_stream *s, const char *p)
{
	int parent = s->keys_to - 1;	/* of the object that has "metadata" */

	if (s->elem != ELEM_VALUE) {
		key_seen_outside(s);
		return;
	}
	if (s->mode == KUBE_STREAM_WATCH && s->depth == DEPTH_WATCH_ELEM)
		s->next_object = key_is(s, "object");
	else if (s->depth == parent)
		s->next_meta = (s->in_object || s->mode == KUBE_STREAM_LIST) && key_is(s, "metadata");
	else if (s->depth == s->keys_to && s->in_meta && key_is(s, "managedFields"))
		drop_begin(s, p);
}

/* ---- brackets ---- */

/* An opening bracket outside of any element. */
static int open_outside(struct kube_stream *s, const char *p)
{
	bool object = *p == '{';

	if (s->depth == 1 && (!object || s->ended))
		return -EPROTO;
	if (s->mode == KUBE_STREAM_WATCH) {
		element_begin(s, ELEM_VALUE, p);
		return 0;
	}
	if (s->depth == 2 && s->envelope == KEY_META && object)
		element_begin(s, ELEM_META, p);
	else if (s->depth == 2 && s->envelope == KEY_ITEMS && object)
		return -EPROTO;
	else if (s->depth == DEPTH_LIST_ELEM && s->envelope == KEY_ITEMS) {
		if (!object)
			return -EPROTO;
		element_begin(s, ELEM_VALUE, p);
	}
	return 0;
}

static void open_inside(struct kube_stream *s, const char *p)
{
	bool object = *p == '{';

	if (s->depth == s->keys_to)
		s->in_meta = s->next_meta && object;
	else if (s->mode == KUBE_STREAM_WATCH && s->depth == DEPTH_WATCH_ELEM + 1)
		s->in_object = s->next_object && object;
	if (s->depth - s->elem_depth >= JSON_DEPTH_MAX)
		element_skip(s, KUBE_SKIP_DEPTH);
}

static int bracket_open(struct kube_stream *s, const char *p)
{
	int r = 0;

	if (++s->depth > DEPTH_HOSTILE)
		return -EPROTO;
	if (s->depth <= s->keys_to) {
		unsigned bit = 1U << s->depth;

		s->arrays = *p == '[' ? s->arrays | bit : s->arrays & ~bit;
		s->want_key = *p == '{';
	}
	if (s->elem == ELEM_NONE)
		r = open_outside(s, p);
	else
		open_inside(s, p);
	s->next_meta = s->next_object = false;
	return r;
}

static int bracket_close(struct kube_stream *s, const char *p)
{
	if (s->depth == 0)
		return -EPROTO;
	if (s->dropping && s->depth == s->keys_to)
		drop_end(s, p, true);
	s->want_key = false;
	s->depth--;
	if (s->elem != ELEM_NONE && s->depth < s->elem_depth)
		return element_finish(s, p + 1);
	if (s->depth == s->keys_to - 1)
		s->in_meta = false;
	if (s->mode == KUBE_STREAM_LIST && s->depth == 0)
		s->ended = true;
	return 0;
}

static void comma(struct kube_stream *s, const char *p)
{
	s->want_key = !(s->arrays & (1U << s->depth));
	s->next_meta = s->next_object = false;
	if (s->dropping && s->depth == s->keys_to)
		drop_end(s, p + 1, false);
}

/* ---- the scanner ---- */

static void string_begin(struct kube_stream *s, const char *p)
{
	s->in_string = true;
	s->escaped = false;
	s->in_key = s->want_key && s->depth <= s->keys_to;
	if (!s->in_key)
		return;
	s->key_len = 0;
	s->key_at = s->out.len + (s->mark ? (size_t)(p - s->mark) : 0);
}

static void key_add(struct kube_stream *s, const char *p, size_t n)
{
	if (n <= KEY_MAX - s->key_len)
		memcpy(s->key + s->key_len, p, n);
	else
		n = KEY_MAX - s->key_len;	/* full: equal to no name of ours, all are shorter */
	s->key_len += n;
}

/* Inside a string: returns the byte behind its closing quote, or `end`. */
static const char *string_scan(struct kube_stream *s, const char *p, const char *end)
{
	const char *start = p;

	while (p < end) {
		if (s->escaped) {
			s->escaped = false;
			p++;
			continue;
		}
		while (p < end && !(class_of[(unsigned char)*p] & (C_QUOTE | C_ESCAPE)))
			p++;
		if (p == end)
			break;
		if (*p++ == '\\') {
			s->escaped = true;
			continue;
		}
		s->in_string = false;
		break;
	}
	if (!s->in_key)
		return p;
	key_add(s, start, (size_t)(p - start) - (s->in_string ? 0 : 1));
	if (!s->in_string) {
		s->in_key = s->want_key = false;
		key_seen(s, p);
	}
	return p;
}

/* Between the objects of a watch, and around a list, only space may stand. */
static int outside_check(const char *from, const char *to)
{
	for (; from < to; from++)
		if (!is_space(*from))
			return -EPROTO;
	return 0;
}

static int feed_token(struct kube_stream *s, const char **cursor, const char *end)
{
	const char *p = *cursor;
	unsigned stop = C_QUOTE | C_OPEN | C_CLOSE | (s->depth <= s->keys_to ? C_COMMA : 0);
	int r = 0;

	while (p < end && !(class_of[(unsigned char)*p] & stop))
		p++;
	if (s->depth == 0)
		r = outside_check(*cursor, p);
	*cursor = p < end ? p + 1 : p;
	if (r < 0 || p == end)
		return r;
	switch (class_of[(unsigned char)*p]) {
	case C_QUOTE:
		if (s->depth == 0)
			return -EPROTO;
		string_begin(s, p);
		return 0;
	case C_OPEN:
		return bracket_open(s, p);
	case C_CLOSE:
		return bracket_close(s, p);
	default:
		if (s->depth == 0)
			return -EPROTO;
		comma(s, p);
		return 0;
	}
}

int kube_stream_feed(struct kube_stream *s, const char *data, size_t n)
{
	const char *p = data, *end = data + n;
	int r = s->error;

	s->mark = s->elem != ELEM_NONE && !s->dropping && !s->skipped ? data : NULL;
	while (r == 0 && p < end) {
		if (s->in_string)
			p = string_scan(s, p, end);
		else
			r = feed_token(s, &p, end);
	}
	if (r != 0) {
		s->error = r < 0 ? r : -EPROTO;	/* stopped in the middle: nothing but a reset makes sense */
		return r;
	}
	element_copy(s, end);
	s->mark = NULL;
	return 0;
}
