/* test_serf_codec.c — frames as a real agent (serf 0.9.4) sent them, cut anywhere, and what a hostile peer might
 * send */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <msgpack.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "serf/codec.h"

#define HEAD(seq) "82a54572726f72a0a3536571" seq
#define MEMBER_1                                                                                                       \
	"8ba441646472c4047f000301ab44656c656761746543757205ab44656c65676174654d617805ab44656c65676174654d696e02"       \
	"a44e616d65a6656467652d31a4506f7274cd1f0aab50726f746f636f6c43757202ab50726f746f636f6c4d617805"                 \
	"ab50726f746f636f6c4d696e01a6537461747573a5616c697665a45461677382a36d656da3383132a3637075a431353030"
#define MEMBER_1_OTHER_ORDER                                                                                           \
	"8ba441646472c4047f000301ab44656c656761746543757205ab44656c65676174654d617805ab44656c65676174654d696e02"       \
	"a44e616d65a6656467652d31a4506f7274cd1f0aab50726f746f636f6c43757202ab50726f746f636f6c4d617805"                 \
	"ab50726f746f636f6c4d696e01a6537461747573a5616c697665a45461677382a3637075a431353030a36d656da3383132"
#define MEMBER_2                                                                                                       \
	"8ba441646472c4047f000302ab44656c656761746543757205ab44656c65676174654d617805ab44656c65676174654d696e02"       \
	"a44e616d65a6656467652d32a4506f7274cd1f0aab50726f746f636f6c43757202ab50726f746f636f6c4d617805"                 \
	"ab50726f746f636f6c4d696e01a6537461747573a5616c697665a45461677380"
#define MEMBERS "81a74d656d6265727392"
#define USER_EVENT                                                                                                     \
	"85a8436f616c65736365c2a54576656e74a475736572a54c54696d6501a44e616d65a66465706c6f79a75061796c6f6164c40170"
#define QUERY_EVENT "85a54576656e74a57175657279a2494401a54c54696d6501a44e616d65a171a75061796c6f6164c4026869"
#define QUERY_ACK "83a446726f6da6656467652d31a75061796c6f6164c0a454797065a361636b"
#define QUERY_DONE "83a446726f6da0a75061796c6f6164c0a454797065a4646f6e65"
#define MEMBER_EVENT "82a54576656e74ad6d656d6265722d757064617465a74d656d6265727391" MEMBER_1
#define KEYS "85a44b65797381b84d4445794d7a51314e6a63344f5746695932526c5a673d3d02a84d6573736167657380a64e756d45727200" \
	"a84e756d4e6f64657302a74e756d5265737002"
#define KEYS_FAILED "85a44b657973c0a84d6573736167657380a64e756d45727200a84e756d4e6f64657300a74e756d5265737000"
#define COORDINATE                                                                                                     \
	"82a5436f6f726484aa41646a7573746d656e74cb3f05236c652c1a1ba54572726f72cb3feadcc7dfa9b37ca6486569676874"         \
	"cb3efcbf95b304eaa2a356656398cb3f13206252f9ed78cb3f0bc39cbef6314acbbf07524aa4fedc86cb3f0e30f0ad0bfefa"         \
	"cbbf0f944adc54ec92cbbf10fd749ef44bc9cb3f087cd435c86c2dcbbf18fcc0649f37f6a24f6bc3"
#define NO_COORDINATE "82a5436f6f726484aa41646a7573746d656e74cb0000000000000000a54572726f72cb0000000000000000" \
	"a6486569676874cb0000000000000000a3566563c0a24f6bc2"
#define JOIN_0 "81a34e756d00"
#define LOG_LINE                                                                                                       \
	"81a34c6f67d935323032362f31312f32302031313a35353a3531205b494e464f5d206167656e743a2053657266206167656e74"       \
	"207374617274696e67"
#define STATS "85a4736572668ca9656e63727970746564a474727565b1636f6f7264696e6174655f726573657473a130a66661696c6564a130" \
	"a46c656674a130ab6d656d6265725f74696d65a132ab6576656e745f7175657565a130ab71756572795f7175657565a130" \
	"a76d656d62657273a132ac6865616c74685f73636f7265a130aa6576656e745f74696d65a133aa71756572795f74696d65a132" \
	"ac696e74656e745f7175657565a130a47461677381a3637075a431343030ae6576656e745f68616e646c65727380" \
	"a56167656e7481a46e616d65a6656467652d31a772756e74696d6580"

static struct buf hex(const char *text)
{
	struct buf b = BUF_INIT;

	for (; text[0] && text[1]; text += 2) {
		const char *digits = "0123456789abcdef";

		buf_addc(&b, (char)((strchr(digits, text[0]) - digits) << 4 | (strchr(digits, text[1]) - digits)));
	}
	return b;
}

/* A frame of this hex; free with buf_fini(). */
static struct serf_frame frame(const char *text, struct buf *b)
{
	*b = hex(text);
	return (struct serf_frame){ b->data, b->len };
}

/* ---- golden frames ---- */

static void test_headers(void **state)
{
	struct buf b;
	struct serf_frame f = frame(HEAD("15"), &b);
	struct serf_header h;

	(void)state;
	assert_int_equal(serf_decode_header(&f, &h), 0);
	assert_int_equal(h.seq, 0x15);
	assert_string_equal(h.error, "");
	buf_fini(&b);
	f = frame(
	    "82a54572726f72be4e6f2070656e64696e672071756572696573206d61746368696e67204944a3536571cf0123456789abcdef",
	    &b);
	assert_int_equal(serf_decode_header(&f, &h), 0);
	assert_true(h.seq == UINT64_C(0x0123456789abcdef));
	assert_string_equal(h.error, "No pending queries matching ID");
	assert_false(serf_header_is_refusal(&h));
	buf_fini(&b);
	f = frame("82a54572726f72b741757468656e7469636174696f6e207265717569726564a353657101", &b);
	assert_int_equal(serf_decode_header(&f, &h), 0);
	assert_true(serf_header_is_refusal(&h));
	buf_fini(&b);
}

static void test_members(void **state)
{
	struct serf_members m = { .items = NULL }, other = { .items = NULL };
	struct buf b, c, d;
	struct serf_frame f = frame(MEMBERS MEMBER_2 MEMBER_1, &b),
			  same = frame(MEMBERS MEMBER_1_OTHER_ORDER MEMBER_2, &c),
			  twice = frame(MEMBERS MEMBER_1 MEMBER_1, &d);

	(void)state;
	assert_int_equal(serf_decode_members(&f, NULL, &m), 0);
	assert_int_equal(m.count, 2);
	assert_string_equal(m.items[0].name, "edge-1");
	assert_string_equal(m.items[0].addr, "127.0.3.1");
	assert_int_equal(m.items[0].port, 7946);
	assert_int_equal(m.items[0].status, SERF_ALIVE);
	assert_int_equal(m.items[0].tag_count, 2);
	assert_string_equal(serf_member_tag(&m.items[0], "cpu"), "1500");
	assert_null(serf_member_tag(&m.items[0], "pods"));
	assert_ptr_equal(serf_members_find(&m, "edge-2"), &m.items[1]);
	assert_null(serf_members_find(&m, "edge-3"));
	assert_int_equal(serf_decode_members(&f, &m, &other), SERF_E_SAME);
	assert_int_equal(serf_decode_members(&same, &m, &other), SERF_E_SAME);
	assert_int_equal(serf_decode_members(&twice, &m, &other), 0);
	assert_int_equal(other.count, 1);
	serf_members_fini(&other);
	serf_members_fini(&m);
	buf_fini(&b);
	buf_fini(&c);
	buf_fini(&d);
}

/* Whatever one byte of the answer says else must be noticed, or be a field we do not carry. */
static void test_any_change_is_noticed(void **state)
{
	struct serf_members m = { .items = NULL };
	struct buf b;
	struct serf_frame f = frame(MEMBERS MEMBER_1 MEMBER_2, &b);
	static const char *const spots[] = { "edge-1", "alive", "1500", "cpu", "\x7f", "\xcd\x1f" };

	(void)state;
	assert_int_equal(serf_decode_members(&f, NULL, &m), 0);
	for (size_t i = 0; i < ARRAY_LEN(spots); i++) {
		char *at = memmem(b.data, b.len, spots[i], strlen(spots[i]));
		struct serf_members other = { .items = NULL };

		assert_non_null(at);
		at += strlen(spots[i]) - 1;
		*at ^= 1;
		assert_int_equal(serf_decode_members(&f, &m, &other), 0);
		serf_members_fini(&other);
		*at ^= 1;
	}
	serf_members_fini(&m);
	buf_fini(&b);
}

static void test_replace_keeps_since(void **state)
{
	struct serf_members m = { .items = NULL }, fresh = { .items = NULL };
	struct buf b;
	struct serf_frame f = frame(MEMBERS MEMBER_1 MEMBER_2, &b);

	(void)state;
	assert_int_equal(serf_decode_members(&f, NULL, &fresh), 0);
	serf_members_replace(&m, &fresh, (struct mono){ 100 });
	assert_int_equal(serf_decode_members(&f, NULL, &fresh), 0);
	fresh.items[1].status = SERF_FAILED;
	serf_members_replace(&m, &fresh, (struct mono){ 200 });
	assert_int_equal(m.items[0].status_since.ns, 100);
	assert_int_equal(m.items[1].status_since.ns, 200);
	assert_int_equal(m.as_of.ns, 200);
	assert_int_equal(m.version, 2);
	assert_null(fresh.items);
	serf_members_fini(&m);
	buf_fini(&b);
}

static void test_records(void **state)
{
	struct serf_event *e = mem_new(struct serf_event);
	struct serf_query_record q;
	const char *line;
	struct buf b;
	struct serf_frame f = frame(USER_EVENT, &b);
	size_t n;

	(void)state;
	assert_int_equal(serf_decode_event(&f, e), 0);
	assert_true(e->kind == SERF_EVENT_USER && e->n == 1 && !e->coalesce && e->ltime == 1);
	assert_string_equal(e->name, "deploy");
	assert_memory_equal(e->payload, "p", 1);
	buf_fini(&b);
	f = frame(QUERY_EVENT, &b);
	assert_int_equal(serf_decode_event(&f, e), 0);
	assert_true(e->kind == SERF_EVENT_QUERY && e->id == 1 && e->n == 2);
	buf_fini(&b);
	f = frame(MEMBER_EVENT, &b);
	assert_int_equal(serf_decode_event(&f, e), 0);
	assert_int_equal(e->kind, SERF_EVENT_MEMBER);
	assert_string_equal(e->name, "member-update");
	buf_fini(&b);
	f = frame(QUERY_ACK, &b);
	assert_int_equal(serf_decode_query_record(&f, &q), 0);
	assert_true(q.kind == SERF_RECORD_ACK && q.n == 0);
	assert_string_equal(q.from, "edge-1");
	buf_fini(&b);
	f = frame(QUERY_DONE, &b);
	assert_int_equal(serf_decode_query_record(&f, &q), 0);
	assert_int_equal(q.kind, SERF_RECORD_DONE);
	buf_fini(&b);
	f = frame(LOG_LINE, &b);
	assert_int_equal(serf_decode_log(&f, &line, &n), 0);
	assert_int_equal(n, 53);
	buf_fini(&b);
	free(e);
}

static void test_bodies(void **state)
{
	struct serf_keys k = { .keys = NULL };
	struct serf_stats s = { .items = NULL };
	struct serf_coordinate c;
	struct buf b;
	struct serf_frame f = frame(KEYS, &b);
	unsigned joined = 9;

	(void)state;
	assert_int_equal(serf_decode_keys(&f, &k), 0);
	assert_true(k.count == 1 && k.keys[0].nodes == 2 && k.nodes == 2 && k.responses == 2 && k.errors == 0);
	assert_string_equal(k.keys[0].key, "MDEyMzQ1Njc4OWFiY2RlZg==");
	serf_keys_fini(&k);
	buf_fini(&b);
	f = frame(KEYS_FAILED, &b);
	assert_int_equal(serf_decode_keys(&f, &k), 0);
	assert_int_equal(k.count, 0);
	serf_keys_fini(&k);
	buf_fini(&b);
	f = frame(STATS, &b);
	assert_int_equal(serf_decode_stats(&f, &s), 0);
	assert_string_equal(serf_stats_get(&s, "agent", "name"), "edge-1");
	assert_string_equal(serf_stats_get(&s, "serf", "encrypted"), "true");
	serf_stats_fini(&s);
	buf_fini(&b);
	f = frame(COORDINATE, &b);
	assert_int_equal(serf_decode_coordinate(&f, &c), 0);
	assert_true(c.known && c.vec[0] > 0 && c.error > 0.8 && c.error < 0.9 && c.height > 0);
	buf_fini(&b);
	f = frame(NO_COORDINATE, &b);
	assert_int_equal(serf_decode_coordinate(&f, &c), 0);
	assert_false(c.known);
	buf_fini(&b);
	f = frame(JOIN_0, &b);
	assert_int_equal(serf_decode_join(&f, &joined), 0);
	assert_int_equal(joined, 0);
	buf_fini(&b);
}

/* ---- the byte stream ---- */

static const char *const stream[] = {HEAD("00"),  HEAD("01"), MEMBERS MEMBER_1 MEMBER_2,
				     HEAD("04"),  USER_EVENT, HEAD("04"),
				     QUERY_EVENT, HEAD("06"), QUERY_ACK,
				     HEAD("09"),  STATS,      HEAD("0a"),
				     COORDINATE,  HEAD("11"), LOG_LINE,
				     HEAD("0e"),  KEYS,       "c0",
				     "7f",        "90",       "80",
				     "a0"};

/* Feed n bytes and hold every object that comes out against what must come next. */
static void feed(struct serf_decoder *d, const char *data, size_t n, size_t *next)
{
	struct serf_frame f;
	int r;

	assert_int_equal(serf_decoder_feed(d, data, n), 0);
	while ((r = serf_decoder_next(d, &f)) == 0) {
		struct buf want = hex(stream[*next]);

		assert_int_equal(f.n, want.len);
		assert_memory_equal(f.data, want.data, want.len);
		buf_fini(&want);
		++*next;
	}
	assert_int_equal(r, SERF_E_MORE);
}

static void test_split_anywhere(void **state)
{
	struct buf all = BUF_INIT;
	struct serf_decoder d;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(stream); i++) {
		struct buf b = hex(stream[i]);

		buf_add(&all, b.data, b.len);
		buf_fini(&b);
	}
	serf_decoder_init(&d);
	for (size_t cut = 0; cut <= all.len; cut++) {
		size_t next = 0;

		feed(&d, all.data, cut, &next);
		feed(&d, all.data + cut, all.len - cut, &next);
		assert_int_equal(next, ARRAY_LEN(stream));
	}
	for (size_t step = 1; step < 40; step++) {
		size_t next = 0;

		for (size_t at = 0; at < all.len; at += step)
			feed(&d, all.data + at, at + step < all.len ? step : all.len - at, &next);
		assert_int_equal(next, ARRAY_LEN(stream));
	}
	serf_decoder_fini(&d);
	buf_fini(&all);
}

static int decode_all(const char *data, size_t n)
{
	struct serf_decoder d;
	struct serf_frame f;
	int r;

	serf_decoder_init(&d);
	r = serf_decoder_feed(&d, data, n);
	while (r == 0)
		r = serf_decoder_next(&d, &f);
	if (r < 0)	/* and it stays so, whatever comes */
		assert_true(serf_decoder_feed(&d, "\xc0", 1) < 0 || serf_decoder_next(&d, &f) == -EPROTO);
	serf_decoder_fini(&d);
	return r;
}

static void test_hostile_bytes(void **state)
{
	static const struct { const char *bytes; int r; } rows[] = {
		{ "c1", -EPROTO },				/* never used */
		{ "c70101", -EPROTO }, { "d40101", -EPROTO },	/* extensions */
		{ "dbffffffff", -EPROTO },			/* a text of 4 GiB */
		{ "db00010001", -EPROTO },			/* one byte over the limit */
		{ "db00010000", SERF_E_MORE },			/* at the limit */
		{ "c600010001", -EPROTO },
		{ "ddffffffff", -EPROTO }, { "dfffffffff", -EPROTO },	/* 4 Gi elements */
		{ "dd00008001", -EPROTO }, { "dd00008000", SERF_E_MORE },
		{ "9191919191919191", SERF_E_MORE },		/* 8 deep */
		{ "919191919191919191", -EPROTO },		/* 9 deep */
		{ "8181", SERF_E_MORE }, { "82a54572", SERF_E_MORE }, { "cd1f", SERF_E_MORE }, { "", SERF_E_MORE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b = hex(rows[i].bytes);

		if (decode_all(b.len ? b.data : "", b.len) != rows[i].r)
			fail_msg("%s: not %d", rows[i].bytes, rows[i].r);
		buf_fini(&b);
	}
}

/* Elements in elements: each container is within its limit, all together are not. */
static void test_object_count(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	for (int i = 0; i < 10; i++) {
		buf_add(&b, i ? "\xdd\x00\x00\x80\x00" : "\x9a\xdd\x00\x00\x80\x00", i ? 5 : 6);
		for (int k = 0; k < SERF_ELEMENTS_MAX; k++)
			buf_addc(&b, '\xc0');
	}
	assert_int_equal(decode_all(b.data, b.len), -EPROTO);
	buf_fini(&b);
}

static void test_frame_limit(void **state)
{
	static char chunk[SERF_BYTES_MAX];
	struct serf_decoder d;
	struct serf_frame f;
	int r = 0;

	(void)state;
	serf_decoder_init(&d);
	assert_int_equal(serf_decoder_feed(&d, "\xdd\x00\x00\x80\x00", 5), 0);
	for (int i = 0; i < SERF_ELEMENTS_MAX && r >= 0; i++) {	/* texts without end */
		r = serf_decoder_feed(&d, "\xdb\x00\x01\x00\x00", 5);
		if (r == 0)
			r = serf_decoder_feed(&d, chunk, sizeof(chunk));
		if (r == 0)
			r = serf_decoder_next(&d, &f);
	}
	assert_int_equal(r, -EPROTO);
	assert_true(d.in.cap <= 2 * SERF_FRAME_MAX);
	serf_decoder_fini(&d);
}

/* Complete frames of the wrong shape, for every typed decoder. */
static void test_hostile_shapes(void **state)
{
	static const char *const shapes[] = {
	    "c0",
	    "90",
	    "80",
	    "a0",
	    "01",
	    "81a74d656d62657273a0",
	    "81a74d656d6265727391c0",
	    "81a74d656d626572739180",
	    "82a54572726f7201a353657101",
	    "81a353657101",
	    "81a54572726f72a0",
	    "82a54572726f72c0a3536571ff",
	    "81a54576656e7401",
	    "82a54576656e74a475736572a44e616d6501",
	    "83a446726f6d01a75061796c6f6164c0a454797065a361636b",
	    "83a446726f6da0a75061796c6f616401a454797065a361636b",
	    "81a454797065a3616161",
	    "81a34e756dff",
	    "81a34e756da131",
	    "81a34c6f6701",
	    "81a44b65797301",
	    "82a5436f6f726481a356656391c0a24f6bc3",
	    "81a5436f6f7264c0",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		struct serf_members m = { .items = NULL };
		struct serf_keys k = { .keys = NULL };
		struct serf_stats s = { .items = NULL };
		struct serf_event *e = mem_new(struct serf_event);
		struct serf_coordinate c;
		struct serf_query_record q;
		struct serf_header h;
		const char *line;
		size_t n;
		unsigned joined;
		struct buf b;
		struct serf_frame f;

		f = frame(shapes[i], &b);
		assert_int_equal(serf_decode_header(&f, &h), -EPROTO);
		if (serf_decode_members(&f, NULL, &m) == 0)	/* no Members at all reads as none */
			assert_int_equal(m.count, 0);
		assert_int_not_equal(serf_decode_query_record(&f, &q), 0);
		assert_int_not_equal(serf_decode_join(&f, &joined), 0);
		assert_int_not_equal(serf_decode_keys(&f, &k), 0);
		assert_int_not_equal(serf_decode_coordinate(&f, &c), 0);
		(void)serf_decode_log(&f, &line, &n);
		(void)serf_decode_event(&f, e);
		if (serf_decode_stats(&f, &s) == 0)
			serf_stats_fini(&s);
		serf_members_fini(&m);
		buf_fini(&b);
		free(e);
	}
}

/* Names that we could not print or look up are left out; the others stay. */
static void test_hostile_names(void **state)
{
	static const char *const names[] = { "a0", "a3610a62", "a3610062", "a17f" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char *text =
		    str_format("%s85a44e616d65%sa441646472c0a4506f727401a6537461747573a46c656674a454616773c0%s",
			       MEMBERS, names[i], MEMBER_2);
		struct serf_members m = { .items = NULL };
		struct buf b;
		struct serf_frame f = frame(text, &b);

		assert_int_equal(serf_decode_members(&f, NULL, &m), 0);
		assert_int_equal(m.count, 1);
		assert_int_equal(serf_decode_members(&f, &m, &m), SERF_E_SAME);
		serf_members_fini(&m);
		buf_fini(&b);
		free(text);
	}
}

/* ---- requests ---- */

static const char *const list[] = { "a", "b" };
static const struct serf_pair pairs[] = { { "cpu", "1" }, { "mem", "2" } };
static const struct { struct serf_request req; const char *want; } requests[] = {
	{ { .cmd = SERF_CMD_HANDSHAKE, .u.version = 1 }, "{\"Version\"=>1}" },
	{ { .cmd = SERF_CMD_AUTH, .u.text = "key" }, "{\"AuthKey\"=>\"key\"}" },
	{ { .cmd = SERF_CMD_EVENT, .u.event = { "n", "p", 1, false } },
	  "{\"Name\"=>\"n\", \"Payload\"=>\"p\", \"Coalesce\"=>false}" },
	{ { .cmd = SERF_CMD_FORCE_LEAVE, .u.force_leave = { "n", true } }, "{\"Node\"=>\"n\", \"Prune\"=>true}" },
	{ { .cmd = SERF_CMD_JOIN, .u.join = { list, 2, false } }, "{\"Existing\"=>[\"a\", \"b\"], \"Replay\"=>false}" },
	{ { .cmd = SERF_CMD_MEMBERS }, NULL },
	{ { .cmd = SERF_CMD_MEMBERS_FILTERED, .u.filter = { pairs, 1, "alive", NULL } },
	  "{\"Tags\"=>{\"cpu\"=>\"1\"}, \"Status\"=>\"alive\", \"Name\"=>\"\"}" },
	{ { .cmd = SERF_CMD_TAGS, .u.tags = { pairs, 2, list, 1 } },
	  "{\"Tags\"=>{\"cpu\"=>\"1\", \"mem\"=>\"2\"}, \"DeleteTags\"=>[\"a\"]}" },
	{ { .cmd = SERF_CMD_STREAM, .u.text = "*" }, "{\"Type\"=>\"*\"}" },
	{ { .cmd = SERF_CMD_MONITOR, .u.text = "INFO" }, "{\"LogLevel\"=>\"INFO\"}" },
	{ { .cmd = SERF_CMD_STOP, .u.stop = 77 }, "{\"Stop\"=>77}" },
	{ { .cmd = SERF_CMD_LEAVE }, NULL },
	{ { .cmd = SERF_CMD_QUERY, .u.query = { "q", "p", 1, list, 1, pairs, 1, true, 2, 1500 } },
	  "{\"FilterNodes\"=>[\"a\"], \"FilterTags\"=>{\"cpu\"=>\"1\"}, \"RequestAck\"=>true, \"RelayFactor\"=>2, "
	  "\"Timeout\"=>1500000000, \"Name\"=>\"q\", \"Payload\"=>\"p\"}" },
	{ { .cmd = SERF_CMD_RESPOND, .u.respond = { 5, "p", 1 } }, "{\"ID\"=>5, \"Payload\"=>\"p\"}" },
	{ { .cmd = SERF_CMD_INSTALL_KEY, .u.text = "k" }, "{\"Key\"=>\"k\"}" },
	{ { .cmd = SERF_CMD_USE_KEY, .u.text = "k" }, "{\"Key\"=>\"k\"}" },
	{ { .cmd = SERF_CMD_REMOVE_KEY, .u.text = "k" }, "{\"Key\"=>\"k\"}" },
	{ { .cmd = SERF_CMD_LIST_KEYS }, NULL },
	{ { .cmd = SERF_CMD_STATS }, NULL },
	{ { .cmd = SERF_CMD_GET_COORDINATE, .u.text = "n" }, "{\"Node\"=>\"n\"}" },
};

static void assert_prints(const struct serf_frame *f, const char *want)
{
	msgpack_unpacked m;
	char text[512] = "";
	size_t off = 0;

	msgpack_unpacked_init(&m);
	assert_int_equal(msgpack_unpack_next(&m, f->data, f->n, &off), MSGPACK_UNPACK_SUCCESS);
	(void)msgpack_object_print_buffer(text, sizeof(text), m.data);
	assert_string_equal(text, want);
	msgpack_unpacked_destroy(&m);
}

static void test_every_request(void **state)
{
	bool seen[SERF_CMD_COUNT] = { false };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		const struct serf_request *req = &requests[i].req;
		char *head = str_format("{\"Command\"=>\"%s\", \"Seq\"=>%zu}", serf_command_name(req->cmd), i + 1000);
		struct serf_decoder d;
		struct serf_frame f;
		struct buf b = BUF_INIT;

		seen[req->cmd] = true;
		serf_decoder_init(&d);
		assert_int_equal(serf_encode(&b, req, i + 1000), 0);
		assert_int_equal(serf_decoder_feed(&d, b.data, b.len), 0);
		assert_int_equal(serf_decoder_next(&d, &f), 0);
		assert_prints(&f, head);
		if (requests[i].want) {
			assert_int_equal(serf_decoder_next(&d, &f), 0);
			assert_prints(&f, requests[i].want);
		}
		assert_int_equal(serf_decoder_next(&d, &f), SERF_E_MORE);
		serf_decoder_fini(&d);
		buf_fini(&b);
		free(head);
	}
	for (int i = 0; i < SERF_CMD_COUNT; i++)
		assert_true(seen[i]);
}

static void test_request_limits(void **state)
{
	static char big[SERF_REQUEST_MAX];
	struct buf b = BUF_INIT;
	struct serf_request req = { .cmd = SERF_CMD_RESPOND, .u.respond = { 1, big, sizeof(big) } };

	(void)state;
	buf_adds(&b, "kept");
	assert_int_equal(serf_encode(&b, &req, 1), -EMSGSIZE);
	assert_string_equal(b.data, "kept");
	assert_int_equal(b.len, 4);
	buf_fini(&b);
	assert_true(serf_event_fits("claim", SERF_EVENT_MAX - SERF_EVENT_OVERHEAD - 5));
	assert_false(serf_event_fits("claim", SERF_EVENT_MAX - SERF_EVENT_OVERHEAD - 4));
	assert_false(serf_event_fits("claim", SIZE_MAX));
	assert_int_equal(serf_tags_encoded_size(NULL, 0), 2);
	assert_int_equal(serf_tags_encoded_size(pairs, 2), 2 + 2 * (4 + 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_any_change_is_noticed),
		cmocka_unit_test(test_replace_keeps_since),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_split_anywhere),
		cmocka_unit_test(test_hostile_bytes),
		cmocka_unit_test(test_object_count),
		cmocka_unit_test(test_frame_limit),
		cmocka_unit_test(test_hostile_shapes),
		cmocka_unit_test(test_hostile_names),
		cmocka_unit_test(test_every_request),
		cmocka_unit_test(test_request_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
