/* test_kube_stream.c — the splitter: recorded streams cut at every byte, lists, limits, hostile input */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "kube/outcome.h"
#include "kube/stream.h"

struct sink {
	struct buf all;		/* values, one a line */
	int values, skipped, stop_after;
	enum kube_skip why;
};

static int on_value(void *arg, const char *json, size_t n)
{
	struct sink *s = arg;

	buf_add(&s->all, json, n);
	buf_addc(&s->all, '\n');
	return ++s->values == s->stop_after ? -ECANCELED : 0;
}

static void on_skipped(void *arg, enum kube_skip why)
{
	struct sink *s = arg;

	s->skipped++;
	s->why = why;
}

static struct kube_stream *stream_new(struct sink *sink, enum kube_stream_mode mode)
{
	const struct kube_stream_handlers h = { .arg = sink, .on_value = on_value, .on_skipped = on_skipped };
	struct kube_stream *s = kube_stream_new(&h);

	*sink = (struct sink){ 0 };
	kube_stream_reset(s, mode);
	return s;
}

/* Feed in pieces of `step` bytes after a first one of `first`; returns the first result that is not 0. */
static int feed(struct kube_stream *s, const char *data, size_t n, size_t first, size_t step)
{
	size_t at = 0, piece = first;

	while (at < n) {
		int r;

		piece = piece > n - at ? n - at : piece;
		r = kube_stream_feed(s, data + at, piece);
		if (r != 0)
			return r;
		at += piece;
		piece = step;
	}
	return 0;
}

static void check(enum kube_stream_mode mode, const char *in, const char *want)
{
	for (size_t step = 1; step <= strlen(in); step++) {
		struct sink sink;
		cleanup(kube_stream_freep) struct kube_stream *s = stream_new(&sink, mode);

		assert_int_equal(feed(s, in, strlen(in), step, step), 0);
		assert_int_equal(kube_stream_end(s), 0);
		assert_string_equal(sink.all.data ? sink.all.data : "", want);
		buf_fini(&sink.all);
	}
}

static void watch_lines_come_out_whole(void **state)
{
	(void)state;
	check(KUBE_STREAM_WATCH, "{\"type\":\"ADDED\",\"object\":{\"a\":\"}{\\\"\\\\\"}}\n {\"b\":[1,{}]}\n",
	      "{\"type\":\"ADDED\",\"object\":{\"a\":\"}{\\\"\\\\\"}}\n{\"b\":[1,{}]}\n");
	check(KUBE_STREAM_WATCH, "", "");
	check(KUBE_STREAM_WATCH, " \r\n\t ", "");
}

static void managed_fields_are_dropped_wherever_they_stand(void **state)
{
	(void)state;
#define EVENT(meta) "{\"type\":\"ADDED\",\"object\":{\"metadata\":{" meta "},\"x\":1}}"
	check(KUBE_STREAM_WATCH, EVENT("\"managedFields\":[{\"a\":{\"f:b\":{}}},2],\"name\":\"n\""),
	      EVENT("\"name\":\"n\"") "\n");
	check(KUBE_STREAM_WATCH, EVENT("\"name\":\"n\",\"managedFields\":[{\"a\":\"]}\"}]"),
	      EVENT("\"name\":\"n\"") "\n");
	check(KUBE_STREAM_WATCH, EVENT("\"name\":\"n\" , \"managedFields\" : [ ] "), EVENT("\"name\":\"n\" ") "\n");
	check(KUBE_STREAM_WATCH, EVENT("\"a\":\"n\",\"managedFields\":null,\"b\":3"), EVENT("\"a\":\"n\",\"b\":3") "\n");
	check(KUBE_STREAM_WATCH, EVENT("\"managedFields\":[]"), EVENT("") "\n");
	check(KUBE_STREAM_LIST, "{\"items\":[{\"metadata\":{\"name\":\"n\",\"managedFields\":[{\"k\":[1,2]}]}}]}",
	      "{\"metadata\":{\"name\":\"n\"}}\n");
}

static void other_fields_of_that_name_stay(void **state)
{
	(void)state;
	/* a ConfigMap key, an annotation, a value, a deeper one, a longer one */
#define SAME(mode, x) check(mode, x, x "\n")
	SAME(KUBE_STREAM_WATCH, "{\"object\":{\"data\":{\"managedFields\":\"x\"}}}");
	SAME(KUBE_STREAM_WATCH, "{\"object\":{\"metadata\":{\"annotations\":{\"managedFields\":\"x\"}}}}");
	SAME(KUBE_STREAM_WATCH, "{\"object\":{\"metadata\":{\"name\":\"managedFields\",\"b\":1}}}");
	SAME(KUBE_STREAM_WATCH, "{\"object\":{\"spec\":{\"metadata\":{\"managedFields\":\"x\"}}}}");
	SAME(KUBE_STREAM_WATCH, "{\"object\":{\"metadata\":{\"managedFieldsAndMoreThanThat\":\"x\"}}}");
	SAME(KUBE_STREAM_WATCH, "{\"object\":{\"metadata\":\"metadata\",\"x\":{\"managedFields\":1}}}");
	SAME(KUBE_STREAM_WATCH, "{\"type\":{\"metadata\":{\"managedFields\":1}}}");
	SAME(KUBE_STREAM_WATCH, "{\"object\":[\"metadata\",{\"managedFields\":1}]}");
	check(KUBE_STREAM_LIST, "{\"items\":[{\"spec\":{\"managedFields\":1}}]}", "{\"spec\":{\"managedFields\":1}}\n");
}

static void lists_give_their_items_and_metadata(void **state)
{
	static const char list[] =
		"{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"other\":{\"items\":[{\"no\":1}]},"
		"\"metadata\":{\"resourceVersion\":\"123\",\"continue\":\"abc==\",\"remainingItemCount\":7},"
		"\"items\":[{\"a\":1},\n{\"b\":{\"items\":[{}]}}]}\n";

	(void)state;
	check(KUBE_STREAM_LIST, list, "{\"a\":1}\n{\"b\":{\"items\":[{}]}}\n");
	for (size_t step = 1; step < sizeof(list); step++) {
		struct sink sink;
		cleanup(kube_stream_freep) struct kube_stream *s = stream_new(&sink, KUBE_STREAM_LIST);

		assert_int_equal(feed(s, list, sizeof(list) - 1, step, step), 0);
		assert_string_equal(kube_stream_list_meta(s)->version, "123");
		assert_string_equal(kube_stream_list_meta(s)->cont, "abc==");
		assert_int_equal(kube_stream_list_meta(s)->remaining, 7);
		buf_fini(&sink.all);
	}
	check(KUBE_STREAM_LIST, "{\"items\":null,\"metadata\":{\"resourceVersion\":\"1\"}}", "");
	check(KUBE_STREAM_LIST, "{\"items\":[],\"metadata\":{}}", "");
	check(KUBE_STREAM_LIST, "{\"items\":[{}],\"metadata\":{}}", "{}\n");	/* as kubectl sorts them */
}

static void a_recorded_watch_survives_every_cut(void **state)
{
	cleanup(buf_fini) struct buf in = BUF_INIT;
	struct sink whole, cut;
	struct kube_stream *s = stream_new(&whole, KUBE_STREAM_WATCH);
	size_t first_line;

	(void)state;
	assert_int_equal(file_read("test/data/kube/watch-pods.jsonl", 1 << 20, &in), 0);
	assert_int_equal(kube_stream_feed(s, in.data, in.len), 0);
	assert_int_equal(whole.values, 9);
	assert_null(strstr(whole.all.data, "managedFields"));
	assert_non_null(strstr(whole.all.data, "initial-events-end"));
	kube_stream_free(s);
	first_line = (size_t)(strchr(in.data, '\n') - in.data);
	for (size_t first = 1; first < in.len;
	     first++) { /* two pieces: at every byte of the first and the last event */
		if (first == first_line + 2)
			first = in.len - 200;
		s = stream_new(&cut, KUBE_STREAM_WATCH);
		assert_int_equal(feed(s, in.data, in.len, first, in.len), 0);
		assert_int_equal(cut.all.len, whole.all.len);
		assert_memory_equal(cut.all.data, whole.all.data, whole.all.len);
		kube_stream_free(s);
		buf_fini(&cut.all);
	}
	for (size_t step = 1; step < 64; step++) {
		s = stream_new(&cut, KUBE_STREAM_WATCH);
		assert_int_equal(feed(s, in.data, in.len, step, step), 0);
		assert_string_equal(cut.all.data, whole.all.data);
		kube_stream_free(s);
		buf_fini(&cut.all);
	}
	buf_fini(&whole.all);
}

static void what_comes_out_of_a_recording_is_the_same_json(void **state)
{
	cleanup(buf_fini) struct buf in = BUF_INIT;
	struct sink sink;
	cleanup(kube_stream_freep) struct kube_stream *s = stream_new(&sink, KUBE_STREAM_WATCH);
	char *save_in = NULL, *save_out = NULL;

	(void)state;
	assert_int_equal(file_read("test/data/kube/watch-pods.jsonl", 1 << 20, &in), 0);
	assert_int_equal(kube_stream_feed(s, in.data, in.len), 0);
	for (char *a = strtok_r(in.data, "\n", &save_in), *b = strtok_r(sink.all.data, "\n", &save_out); a;
	     a = strtok_r(NULL, "\n", &save_in), b = strtok_r(NULL, "\n", &save_out)) {
		cleanup(json_putp) json_object *x = NULL, *y = NULL;

		assert_non_null(b);
		assert_int_equal(json_parse(a, strlen(a), &x), 0);
		assert_int_equal(json_parse(b, strlen(b), &y), 0);
		json_remove(json_get(x, "object.metadata"), "managedFields");
		assert_string_equal(json_text(x), json_text(y));
	}
	buf_fini(&sink.all);
}

static void a_list_is_the_same_at_every_cut(void **state)
{
	cleanup(buf_fini) struct buf in = BUF_INIT;
	struct sink whole, cut;
	struct kube_stream *s = stream_new(&whole, KUBE_STREAM_LIST);

	(void)state;
	assert_int_equal(file_read("test/data/kube/nodes.json", 1 << 20, &in), 0);
	assert_int_equal(kube_stream_feed(s, in.data, in.len), 0);
	assert_int_equal(kube_stream_end(s), 0);
	assert_int_equal(whole.values, 3);
	kube_stream_free(s);
	for (size_t first = 1; first < in.len; first++) {
		s = stream_new(&cut, KUBE_STREAM_LIST);
		assert_int_equal(feed(s, in.data, in.len, first, in.len), 0);
		assert_string_equal(cut.all.data, whole.all.data);
		kube_stream_free(s);
		buf_fini(&cut.all);
	}
	buf_fini(&whole.all);
}

static void oversized_objects_are_passed_over(void **state)
{
	struct sink sink;
	cleanup(kube_stream_freep) struct kube_stream *s = stream_new(&sink, KUBE_STREAM_WATCH);
	cleanup(freep) char *big = malloc(KUBE_OBJECT_MAX);

	(void)state;
	memset(big, 'x', KUBE_OBJECT_MAX);
	assert_int_equal(kube_stream_feed(s, "{\"a\":\"", 6), 0);
	assert_int_equal(kube_stream_feed(s, big, KUBE_OBJECT_MAX), 0);
	assert_int_equal(kube_stream_feed(s, "\"}{\"b\":1}", 9), 0);
	assert_int_equal(sink.skipped, 1);
	assert_int_equal(sink.why, KUBE_SKIP_SIZE);
	assert_int_equal(kube_stream_skipped(s), 1);
	assert_string_equal(sink.all.data, "{\"b\":1}\n");
	/* but managedFields may be as large as they like */
	assert_int_equal(feed(s, "{\"object\":{\"metadata\":{\"managedFields\":\"", 40, 40, 1), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(kube_stream_feed(s, big, KUBE_OBJECT_MAX), 0);
	assert_int_equal(kube_stream_feed(s, "\"}}}", 4), 0);
	assert_int_equal(sink.skipped, 1);
	assert_string_equal(sink.all.data, "{\"b\":1}\n{\"object\":{\"metadata\":{}}}\n");
	buf_fini(&sink.all);
}

static void deep_objects_are_passed_over(void **state)
{
	struct sink sink;
	cleanup(kube_stream_freep) struct kube_stream *s = stream_new(&sink, KUBE_STREAM_LIST);
	cleanup(buf_fini) struct buf in = BUF_INIT;

	(void)state;
	buf_adds(&in, "{\"items\":[{\"a\":1},{\"metadata\":{\"managedFields\":");
	for (int i = 0; i < 1000; i++)
		buf_addc(&in, '[');
	for (int i = 0; i < 1000; i++)
		buf_addc(&in, ']');
	buf_adds(&in, "}},{\"b\":2}]}");
	assert_int_equal(feed(s, in.data, in.len, 7, 7), 0);
	assert_int_equal(kube_stream_end(s), 0);
	assert_int_equal(sink.skipped, 1);
	assert_int_equal(sink.why, KUBE_SKIP_DEPTH);
	assert_string_equal(sink.all.data, "{\"a\":1}\n{\"b\":2}\n");
	buf_fini(&sink.all);
}

static int feed_once(enum kube_stream_mode mode, const char *in)
{
	struct sink sink;
	cleanup(kube_stream_freep) struct kube_stream *s = stream_new(&sink, mode);
	int r = feed(s, in, strlen(in), 1, 1);

	buf_fini(&sink.all);
	return r ? r : kube_stream_end(s);
}

static void what_is_no_stream_is_refused(void **state)
{
	static const char *const bad_watches[] = { "<html>", "[1]", "\"x\"", "}", "]", "{}x", "null", "{},{}" };
	static const char *const bad_lists[] = {
		"[]", "{}{}", "{} {", "x{}", "{\"items\":{}}", "{\"items\":[[]]}", "]", "{\"items\":[{}]}]",
	};
	static const char *const cut_lists[] = {"",         "{", "{\"items\":[", "{\"items\":[{}", "{\"items\":[{}]",
						"{\"a\":\""};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad_watches); i++)
		assert_int_equal(feed_once(KUBE_STREAM_WATCH, bad_watches[i]), -EPROTO);
	for (size_t i = 0; i < ARRAY_LEN(bad_lists); i++)
		assert_int_equal(feed_once(KUBE_STREAM_LIST, bad_lists[i]), -EPROTO);
	for (size_t i = 0; i < ARRAY_LEN(cut_lists); i++)
		assert_int_equal(feed_once(KUBE_STREAM_LIST, cut_lists[i]), KUBE_E_TRUNCATED);
	assert_int_equal(feed_once(KUBE_STREAM_WATCH, "{}\n{\"a\":"), KUBE_E_TRUNCATED);
}

static void a_continue_token_beyond_the_limit_is_an_error(void **state)
{
	cleanup(buf_fini) struct buf in = BUF_INIT;

	(void)state;
	buf_adds(&in, "{\"metadata\":{\"continue\":\"");
	for (int i = 0; i <= KUBE_CONTINUE_MAX; i++)
		buf_addc(&in, 'c');
	buf_adds(&in, "\"}}");
	assert_int_equal(feed_once(KUBE_STREAM_LIST, in.data), -EPROTO);
}

static void the_receiver_can_stop(void **state)
{
	struct sink sink;
	cleanup(kube_stream_freep) struct kube_stream *s = stream_new(&sink, KUBE_STREAM_WATCH);

	(void)state;
	sink.stop_after = 2;
	assert_int_equal(kube_stream_feed(s, "{}{}{}", 6), -ECANCELED);
	assert_int_equal(sink.values, 2);
	kube_stream_reset(s, KUBE_STREAM_WATCH);
	assert_int_equal(kube_stream_feed(s, "{}", 2), 0);
	assert_int_equal(sink.values, 3);
	buf_fini(&sink.all);
}

static void outcomes_follow_status_and_reason(void **state)
{
	(void)state;
	assert_int_equal(kube_outcome_of(201, NULL), KUBE_OK);
	assert_int_equal(kube_outcome_of(409, "AlreadyExists"), KUBE_E_ALREADY_EXISTS);
	assert_int_equal(kube_outcome_of(409, "Conflict"), KUBE_E_CONFLICT);
	assert_int_equal(kube_outcome_of(410, NULL), KUBE_E_GONE);
	assert_int_equal(kube_outcome_of(500, "Expired"), KUBE_E_GONE);
	assert_int_equal(kube_outcome_of(422, "Invalid"), KUBE_E_INVALID);
	assert_int_equal(kube_outcome_of(429, NULL), KUBE_E_TOO_MANY);
	assert_int_equal(kube_outcome_of(503, NULL), KUBE_E_SERVER);
	assert_int_equal(kube_outcome_of(302, NULL), KUBE_E_SERVER);
	assert_string_equal(kube_outcome_name(KUBE_E_TRUNCATED), "truncated");
	assert_string_equal(kube_outcome_name((enum kube_outcome)99), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(watch_lines_come_out_whole),
		cmocka_unit_test(managed_fields_are_dropped_wherever_they_stand),
		cmocka_unit_test(other_fields_of_that_name_stay),
		cmocka_unit_test(lists_give_their_items_and_metadata),
		cmocka_unit_test(a_recorded_watch_survives_every_cut),
		cmocka_unit_test(what_comes_out_of_a_recording_is_the_same_json),
		cmocka_unit_test(a_list_is_the_same_at_every_cut),
		cmocka_unit_test(oversized_objects_are_passed_over),
		cmocka_unit_test(deep_objects_are_passed_over),
		cmocka_unit_test(what_is_no_stream_is_refused),
		cmocka_unit_test(a_continue_token_beyond_the_limit_is_an_error),
		cmocka_unit_test(the_receiver_can_stop),
		cmocka_unit_test(outcomes_follow_status_and_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
