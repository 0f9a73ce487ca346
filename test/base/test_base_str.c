/* test_base_str.c — globs, nearest words, strict numbers, the stable hash, interned names */
#include "../support.h"

static void test_glob(void **state)
{
	static const struct {
		const char *pattern, *s;
		bool match;
	} rows[] = {
	    {"", "", true},
	    {"", "a", false},
	    {"*", "", true},
	    {"*", "anything", true},
	    {"a", "a", true},
	    {"a", "b", false},
	    {"a*", "abc", true},
	    {"a*", "bac", false},
	    {"*c", "abc", true},
	    {"*c", "abcd", false},
	    {"a*c", "abbbc", true},
	    {"a*c", "ac", true},
	    {"a*b*c", "aXbYc", true},
	    {"a*b*c", "aXcYb", false},
	    {"*ab", "aab", true},
	    {"*aab", "aaab", true},
	    {"**", "x", true},
	    {"kube-*", "kube-system", true},
	    {"kube-*", "kube", false},
	    {"?", "a", false},
	    {"[a]", "a", false},
	    {"a*a", "a", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (str_glob(rows[i].pattern, rows[i].s) != rows[i].match)
			fail_msg("%s against %s", rows[i].pattern, rows[i].s);
}

/* Without a bound on backtracking this would take longer than the universe lasts. */
static void test_glob_hostile(void **state)
{
	char s[10001];

	(void)state;
	memset(s, 'a', sizeof(s) - 1);
	s[sizeof(s) - 1] = '\0';
	assert_false(str_glob("*a*a*a*a*a*a*a*a*a*a*a*a*b", s));
}

static void test_nearest(void **state)
{
	static const char *const names[] = {"status", "members", "pods", "claims", "history"};
	static const struct {
		const char *word, *near;
	} rows[] = {
	    {"status", "status"}, {"stats", "status"},    {"member", "members"}, {"pod", "pods"},
	    {"clams", "claims"},  {"histroy", "history"}, {"xyzzyx", NULL},      {"", NULL},
	};
	char longer[100];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *near = str_nearest(rows[i].word, names, ARRAY_LEN(names));

		if (!str_eq(near, rows[i].near))
			fail_msg("%s: %s instead of %s", rows[i].word, str_or(near, "-"), str_or(rows[i].near, "-"));
	}
	memset(longer, 's', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_null(str_nearest(longer, names, ARRAY_LEN(names)));
	assert_null(str_nearest("status", names, 0));
}

static void test_numbers(void **state)
{
	static const struct {
		const char *text;
		int64_t min, max;
		int r;
		int64_t value;
	} rows[] = {
	    {"0", 0, 10, 0, 0},
	    {"10", 0, 10, 0, 10},
	    {"11", 0, 10, -ERANGE, 0},
	    {"-1", -5, 5, 0, -1},
	    {"-1", 0, 10, -ERANGE, 0},
	    {"", 0, 10, -EINVAL, 0},
	    {" 1", 0, 10, -EINVAL, 0},
	    {"1 ", 0, 10, -EINVAL, 0},
	    {"+1", 0, 10, -EINVAL, 0},
	    {"1x", 0, 10, -EINVAL, 0},
	    {"0x1", 0, 10, -EINVAL, 0},
	    {"-", 0, 10, -EINVAL, 0},
	    {"--1", -5, 10, -EINVAL, 0},
	    {"1.0", 0, 10, -EINVAL, 0},
	    {"1e3", 0, 10000, -EINVAL, 0},
	    {"9223372036854775807", 0, INT64_MAX, 0, INT64_MAX},
	    {"9223372036854775808", 0, INT64_MAX, -ERANGE, 0},
	    {"-9223372036854775808", INT64_MIN, 0, 0, INT64_MIN},
	    {"99999999999999999999999", INT64_MIN, INT64_MAX, -ERANGE, 0},
	    {NULL, 0, 10, -EINVAL, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t v = 777;
		int r = num_parse_i64(rows[i].text, rows[i].min, rows[i].max, &v);

		if (r != rows[i].r || v != (r ? 777 : rows[i].value))
			fail_msg("%s: %d, %lld", str_or(rows[i].text, "NULL"), r, (long long)v);
	}
}

/* Ranks of nodes come from this hash: it must be the same on every node and in every version. */
static void test_hash_is_stable(void **state)
{
	(void)state;
	assert_true(str_hash(STR_HASH_INIT, "", 0) == UINT64_C(0xcbf29ce484222325));
	assert_true(str_hash(STR_HASH_INIT, "a", 1) == UINT64_C(0xaf63dc4c8601ec8c));
	assert_true(str_hash(STR_HASH_INIT, "foobar", 6) == UINT64_C(0x85944171f73967e8));
	assert_true(str_hash(str_hash(STR_HASH_INIT, "foo", 3), "bar", 3) == UINT64_C(0x85944171f73967e8));
	assert_true(str_hash(STR_HASH_INIT, "\xff\x80", 2) != str_hash(STR_HASH_INIT, "\x7f", 1));
}

static void test_small(void **state)
{
	char small[4];
	char *p = NULL;

	(void)state;
	assert_true(str_eq(NULL, NULL));
	assert_false(str_eq(NULL, ""));
	assert_true(str_eq("a", "a"));
	assert_true(str_is_empty(NULL) && str_is_empty("") && !str_is_empty(" "));
	assert_true(str_has_prefix("abc", "ab") && !str_has_prefix("a", "ab") && str_has_prefix("a", ""));
	assert_true(str_has_suffix("abc", "bc") && !str_has_suffix("c", "bc") && str_has_suffix("a", ""));
	assert_true(str_copy(small, sizeof(small), "abc"));
	assert_string_equal(small, "abc");
	assert_false(str_copy(small, sizeof(small), "abcd"));
	assert_string_equal(small, "abc");
	str_set(&p, "one");
	str_set(&p, p); /* from itself */
	assert_string_equal(p, "one");
	str_set(&p, NULL);
	assert_null(p);
	assert_null(str_dup(NULL));
}

static void test_intern(void **state)
{
	char text[] = "edge-1";
	const char *a = intern(text), *b = intern("edge-1");

	(void)state;
	assert_ptr_equal(a, b);
	assert_ptr_not_equal(a, text);
	text[5] = '2';
	assert_string_equal(a, "edge-1");
	assert_ptr_not_equal(intern(text), a);
	assert_null(intern(NULL));
	intern_fini();
	intern_fini(); /* nothing left: nothing happens */
}

static void test_invented_names_have_an_end(void **state)
{
	const char *node = intern("edge-1");
	size_t before = intern_count(), taken = 0;

	(void)state;
	for (int i = 0; i < 10000; i++) {
		cleanup(freep) char *name = str_format("invented-%d", i);

		taken += intern_stranger(name) != NULL;
	}
	assert_int_equal(taken, INTERN_STRANGERS_MAX);
	assert_int_equal(intern_count(), before + INTERN_STRANGERS_MAX);
	assert_ptr_equal(intern_stranger("edge-1"), node); /* what is known is no stranger's */
	assert_ptr_equal(intern_stranger("invented-0"), intern("invented-0"));
	assert_null(intern_stranger(NULL));
	assert_non_null(intern("edge-2")); /* the API server's names have no end */
	intern_fini();
}

static void test_secrets_are_equal_or_not(void **state)
{
	static const struct { const char *given, *secret; bool equal; } rows[] = {
	    {"abc", "abc", true},   {"", "", true},	  {"", "abc", false},	  {"abc", "", false},
	    {"abcabc", "abc", false}, {"ab", "abc", false}, {"abd", "abc", false}, {"xbc", "abc", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (str_eq_secret(rows[i].given, rows[i].secret) != rows[i].equal)
			fail_msg("%s %s", rows[i].given, rows[i].secret);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_glob),    cmocka_unit_test(test_glob_hostile),   cmocka_unit_test(test_nearest),
	    cmocka_unit_test(test_numbers), cmocka_unit_test(test_hash_is_stable), cmocka_unit_test(test_small),
	    cmocka_unit_test(test_invented_names_have_an_end),
	    cmocka_unit_test(test_intern),  cmocka_unit_test(test_secrets_are_equal_or_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
