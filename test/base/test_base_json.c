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

/* What is shared is the same value; what is added to a shallow copy is its own. */
static void a_shallow_copy_shares_what_it_holds(void **state)
{
	static const char text[] = "{\"a\":{\"b\":1},\"l\":[{\"c\":2},3]}";
	cleanup(json_putp) json_object *o = NULL, *copy = NULL, *list = NULL;

	(void)state;
	assert_int_equal(json_parse(text, strlen(text), &o), 0);
	copy = json_copy_shallow(o);
	list = json_copy_shallow(json_get(o, "l"));
	json_set_i64(copy, "d", 4);
	json_remove_at(list, 1);
	assert_string_equal(json_text(o), text);
	assert_string_equal(json_text(copy), "{\"a\":{\"b\":1},\"l\":[{\"c\":2},3],\"d\":4}");
	assert_string_equal(json_text(list), "[{\"c\":2}]");
	assert_ptr_equal(json_get(copy, "a"), json_get(o, "a"));
	json_putp(&o);
	o = NULL;
	assert_int_equal(json_get_i64(copy, "a.b", 0), 1);	/* it lives as long as anybody has it */
}

static void a_hash_tells_all_that_differs(void **state)
{
	static const char *const texts[] = {
		"{}", "[]", "null", "0", "1", "-1", "true", "false", "1.0", "1.5", "\"\"", "\"1\"", "\"true\"", "[null]", "[[]]", "[{}]",
		"[[],[]]", "[[[]]]", "{\"a\":1}", "{\"a\":\"1\"}", "{\"b\":1}", "{\"a\":{\"b\":1}}", "{\"a\":{},\"b\":1}", "[\"ab\",\"c\"]",
		"[\"a\",\"bc\"]", "{\"ab\":\"c\"}", "{\"a\":\"bc\"}", "18446744073709551615", "9223372036854775807",
		"-9223372036854775808",
	};
	uint64_t seen[ARRAY_LEN(texts)];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		cleanup(json_putp) json_object *o = NULL, *again = NULL;

		assert_int_equal(json_parse(texts[i], strlen(texts[i]), &o), 0);
		assert_int_equal(json_parse(texts[i], strlen(texts[i]), &again), 0);
		seen[i] = json_hash(o, 7);
		assert_true(seen[i] == json_hash(again, 7));
		assert_true(seen[i] != json_hash(o, 8));
		for (size_t k = 0; k < i; k++)
			if (seen[k] == seen[i])
				fail_msg("%s and %s", texts[k], texts[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good),  cmocka_unit_test(test_hostile), cmocka_unit_test(test_depth),
	    cmocka_unit_test(test_cut),   cmocka_unit_test(test_getters), cmocka_unit_test(test_iterate),
	    cmocka_unit_test(a_shallow_copy_shares_what_it_holds), cmocka_unit_test(a_hash_tells_all_that_differs),
	    cmocka_unit_test(test_build),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
