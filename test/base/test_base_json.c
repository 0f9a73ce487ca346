/* test_base_json.c — what is taken as JSON, getters that cannot crash, building */
#include "../support.h"

#include "base/json.h"

static int parse(const char *text, json_object **out)
{
	return json_parse(text, strlen(text), out);
}

static void test_good(void **state)
{
	static const char *const rows[] = {
	    "{}",    "[]",    "{\"a\":1}", "  {}  \n", "12",          "-1",
	    "1.5e3", "\"x\"", "true",      "false",    "\"\\u0000\"", "[[[[]]]]",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup(json_putp) json_object *o = NULL;

		if (parse(rows[i], &o) != 0 || !o)
			fail_msg("%s was refused", rows[i]);
	}
}

static void test_hostile(void **state)
{
	static const char *const rows[] = {
	    "",     " ",  "{",   "[",     "{\"a\"", "{\"a\":",     "{\"a\":1", "{\"a\":1}}", "{} {}", "{}x",
	    "[1,2", "\"", "tru", "12 34", "nul",    "{\"a\":1}\1", "]",        "}",          ":",     ",",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_object *o = (json_object *)(uintptr_t)&state;

		if (parse(rows[i], &o) >= 0 || o != (json_object *)(uintptr_t)&state)
			fail_msg("\"%s\" was taken", rows[i]);
	}
}

static void test_depth(void **state)
{
	char text[2 * 20000 + 1];

	(void)state;
	for (int depth = 1; depth <= 20000; depth = depth < 100 ? depth + 1 : depth * 3) {
		cleanup(json_putp) json_object *o = NULL;
		int r;

		memset(text, '[', (size_t)depth);
		memset(text + depth, ']', (size_t)depth);
		text[2 * depth] = '\0';
		r = parse(text, &o);
		if (depth < JSON_DEPTH_MAX)
			assert_int_equal(r, 0);
		if (depth > JSON_DEPTH_MAX)
			assert_int_equal(r, -EINVAL);
	}
}

/* Every prefix of a document is refused, and no byte after n is read (ASan looks on). */
static void test_cut(void **state)
{
	static const char doc[] = "{\"a\":{\"b\":[1,\"\\u00e9\",null,true,1.5]},\"c\":\"d\"}";

	(void)state;
	for (size_t n = 0; n < sizeof(doc); n++) {
		cleanup(freep) char *exact = mem_calloc(n ? n : 1, 1);
		cleanup(json_putp) json_object *o = NULL;

		memcpy(exact, doc, n);
		assert_int_equal(json_parse(exact, n, &o), n == sizeof(doc) - 1 ? 0 : -EINVAL);
	}
}

static void test_getters(void **state)
{
	cleanup(json_putp) json_object *o = NULL;
	char deep[400];

	(void)state;
	assert_int_equal(
	    parse("{\"s\":\"x\",\"n\":5,\"b\":true,\"z\":null,\"o\":{\"p\":{\"q\":\"r\"}},\"l\":[1,2],\"a.b\":\"dot\"}",
		  &o),
	    0);
	assert_string_equal(json_get_str(o, "s"), "x");
	assert_string_equal(json_get_str(o, "o.p.q"), "r");
	assert_null(json_get_str(o, "n")); /* mistyped = absent */
	assert_null(json_get_str(o, "z"));
	assert_null(json_get_str(o, "s.t"));
	assert_null(json_get_str(o, ""));
	assert_null(json_get_str(NULL, "s"));
	assert_null(json_get_str(o, "a.b"));
	assert_string_equal(json_str(json_get_key(o, "a.b")), "dot");
	assert_int_equal(json_get_i64(o, "n", 7), 5);
	assert_int_equal(json_get_i64(o, "s", 7), 7);
	assert_true(json_get_bool(o, "b", false));
	assert_true(json_get_bool(o, "n", true));
	assert_int_equal(json_len(json_get(o, "l")), 2);
	assert_int_equal(json_len(json_get(o, "s")), 0);
	assert_null(json_at(json_get(o, "l"), 2));
	assert_null(json_at(NULL, 0));
	memset(deep, 'k', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	assert_null(json_get(o, deep));
}

static void test_iterate(void **state)
{
	cleanup(json_putp) json_object *o = NULL;
	cleanup(buf_fini) struct buf seen = BUF_INIT;
	struct json_iter it;

	(void)state;
	assert_int_equal(parse("{\"c\":1,\"a\":2,\"b\":3}", &o), 0);
	it = json_iter(o);
	while (json_iter_next(&it))
		buf_addf(&seen, "%s%s ", it.key, json_text(it.value));
	assert_string_equal(seen.data, "c1 a2 b3 ");
	it = json_iter(NULL);
	assert_false(json_iter_next(&it));
}

static void test_build(void **state)
{
	cleanup(json_putp) json_object *o = json_new_object(), *copy = NULL;
	json_object *l = json_new_array();

	(void)state;
	json_set_str(o, "s", "a/b\"\n");
	json_set_str(o, "none", NULL);
	json_set_i64(o, "n", INT64_MAX);
	json_append_str(l, "x");
	json_append_str(l, "y");
	json_set(o, "l", l);
	copy = json_copy(o);
	json_remove_at(l, 0);
	json_remove_at(l, 9);
	json_remove(o, "s");
	json_remove(o, "s");
	assert_string_equal(json_text(o), "{\"n\":9223372036854775807,\"l\":[\"y\"]}");
	assert_string_equal(json_text(copy), "{\"s\":\"a/b\\\"\\n\",\"n\":9223372036854775807,\"l\":[\"x\",\"y\"]}");
	assert_null(json_copy(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good),  cmocka_unit_test(test_hostile), cmocka_unit_test(test_depth),
	    cmocka_unit_test(test_cut),   cmocka_unit_test(test_getters), cmocka_unit_test(test_iterate),
	    cmocka_unit_test(test_build),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
