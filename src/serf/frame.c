/* frame.c — cuts the agent's byte stream into msgpack objects
 *
 * It reads the type and length in front of every object and keeps a fixed stack of how many objects each open
 * container still awaits, so it resumes at any byte and never recurses. msgpack-c allocates for a container as
 * soon as its length arrives, and gives up only at its own depth of 32; so every length is checked here first,
 * and it sees complete, bounded frames only.
 */
#include "serf/codec.h"

#include <errno.h>

#include "base/mem.h"

#define DECODER_IDLE_MAX ((size_t)(64 << 10))	/* memory kept while no frame is waiting */

struct token {
	size_t head;		/* bytes in front of the data */
	uint64_t bytes;		/* bytes of data after the head */
	uint64_t children;	/* objects that follow, for a container */
};

void serf_decoder_init(struct serf_decoder *d)
{
	*d = (struct serf_decoder){ .in = BUF_INIT };
}

void serf_decoder_fini(struct serf_decoder *d)
{
	buf_fini(&d->in);
	serf_decoder_init(d);
}

void serf_decoder_reset(struct serf_decoder *d)
{
	serf_decoder_fini(d);
}

/* Drop what was handed out already, so that the memory stays that of one frame. */
static void decoder_compact(struct serf_decoder *d)
{
	if (d->start == 0)
		return;
	if (d->start == d->in.len && d->in.cap > DECODER_IDLE_MAX)
		buf_fini(&d->in);
	else
		buf_consume(&d->in, d->start);
	d->scan -= d->start;
	d->start = 0;
}

int serf_decoder_feed(struct serf_decoder *d, const void *data, size_t n)
{
	int r;

	decoder_compact(d);
	r = buf_try_add(&d->in, data, n, SERF_FRAME_MAX);
	return r == -E2BIG ? -EPROTO : r;
}

static uint64_t be_read(const unsigned char *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

enum shape { SHAPE_BAD, SHAPE_PLAIN, SHAPE_BYTES, SHAPE_ARRAY, SHAPE_MAP };

/* Types 0xc0 … 0xdf: what they are, and the width of their value or length. No extension types: Serf has none. */
static const struct { unsigned char shape, width; } wide[32] = {
	[0x00] = { SHAPE_PLAIN, 0 },	/* nil */
	[0x02] = { SHAPE_PLAIN, 0 },	/* false, true */
	[0x03] = { SHAPE_PLAIN, 0 },
	[0x04] = { SHAPE_BYTES, 1 },	/* bin */
	[0x05] = { SHAPE_BYTES, 2 },
	[0x06] = { SHAPE_BYTES, 4 },
	[0x0a] = { SHAPE_PLAIN, 4 },	/* float */
	[0x0b] = { SHAPE_PLAIN, 8 },
	[0x0c] = { SHAPE_PLAIN, 1 },	/* unsigned */
	[0x0d] = { SHAPE_PLAIN, 2 },
	[0x0e] = { SHAPE_PLAIN, 4 },
	[0x0f] = { SHAPE_PLAIN, 8 },
	[0x10] = { SHAPE_PLAIN, 1 },	/* signed */
	[0x11] = { SHAPE_PLAIN, 2 },
	[0x12] = { SHAPE_PLAIN, 4 },
	[0x13] = { SHAPE_PLAIN, 8 },
	[0x19] = { SHAPE_BYTES, 1 },	/* str */
	[0x1a] = { SHAPE_BYTES, 2 },
	[0x1b] = { SHAPE_BYTES, 4 },
	[0x1c] = { SHAPE_ARRAY, 2 },
	[0x1d] = { SHAPE_ARRAY, 4 },
	[0x1e] = { SHAPE_MAP, 2 },
	[0x1f] = { SHAPE_MAP, 4 },
};

/* 0, SERF_E_MORE or -EPROTO (an unknown type, a length beyond the limits). */
static int token_read(const unsigned char *p, size_t n, struct token *out)
{
	enum shape shape = SHAPE_PLAIN;
	size_t width = 0;
	uint64_t len = 0;

	if (n == 0)
		return SERF_E_MORE;
	if (p[0] >= 0xc0 && p[0] <= 0xdf) {
		shape = wide[p[0] - 0xc0].shape;
		width = wide[p[0] - 0xc0].width;
		if (shape == SHAPE_BAD)
			return -EPROTO;
		if (n < 1 + width)
			return SERF_E_MORE;
		len = be_read(p + 1, width);
	} else if (p[0] >= 0x80 && p[0] <= 0x8f) {
		shape = SHAPE_MAP;
		len = p[0] & 0x0f;
	} else if (p[0] >= 0x90 && p[0] <= 0x9f) {
		shape = SHAPE_ARRAY;
		len = p[0] & 0x0f;
	} else if (p[0] >= 0xa0 && p[0] <= 0xbf) {
		shape = SHAPE_BYTES;
		len = p[0] & 0x1f;
	}
	if ((shape == SHAPE_BYTES && len > SERF_BYTES_MAX) || (shape >= SHAPE_ARRAY && len > SERF_ELEMENTS_MAX))
		return -EPROTO;
	*out = (struct token){ .head = 1 + width, .bytes = shape == SHAPE_BYTES ? len : 0,
			       .children = shape == SHAPE_MAP ? 2 * len : shape == SHAPE_ARRAY ? len : 0 };
	return 0;
}

/* Take one object; with the last child of the outermost container the frame is complete. */
static int decoder_push(struct serf_decoder *d, const struct token *t, bool *out_complete)
{
	if (++d->objects > SERF_OBJECTS_MAX || (t->children > 0 && d->depth == SERF_DEPTH_MAX))
		return -EPROTO;
	d->scan += t->head + (size_t)t->bytes;
	if (t->children > 0) {
		d->left[d->depth++] = (uint32_t)t->children;
		return 0;
	}
	while (d->depth > 0 && --d->left[d->depth - 1] == 0)
		d->depth--;
	*out_complete = d->depth == 0;
	return 0;
}

int serf_decoder_next(struct serf_decoder *d, struct serf_frame *out_frame)
{
	bool complete = false;

	while (!complete) {
		struct token t;
		size_t n = d->in.len - d->scan;
		int r = d->broken ? -EPROTO : token_read(n ? (const unsigned char *)d->in.data + d->scan : NULL, n, &t);

		if (r == 0 && d->scan - d->start + t.head + t.bytes > SERF_FRAME_MAX)
			r = -EPROTO;
		if (r == 0 && t.head + t.bytes > n)
			r = SERF_E_MORE;
		if (r == 0)
			r = decoder_push(d, &t, &complete);
		d->broken = r < 0;
		if (r != 0)
			return r;
	}
	*out_frame = (struct serf_frame){ .data = d->in.data + d->start, .n = d->scan - d->start };
	d->start = d->scan;
	d->objects = 0;
	return 0;
}
