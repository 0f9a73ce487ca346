/* test_base_json_check.c — what is no JSON: each with its line and what to do */
#include "../support.h"

#include "base/json.h"
#include "base/json_check.h"

static const char *const good[] = {
    "{}",
    " [ ] \r\n\t",
    "0",
    "-0",
    "-12.5e+3",
    "1E9",
    "\"\"",
    "\"a\\u00e9\\n\\\"\"",
    "true",
    "[false,null]",
    "{\"a\":{\"a\":[{\"a\":1},{\"a\":2}]},\"b\":9223372036854775807,\"c\":-9223372036854775808}",
    "\"\xe2\x98\x83\"",
    "1e-999",
};

static const struct {
	const char *text, *why;
} bad[] = {
    {"", "it is empty"},
    {" \n\t\n", "it is empty"},
    {"\xef\xbb\xbf{}", "line 1: begins with a byte order mark: save it as UTF-8 without one"},
    {"\xff\xfe{", "line 1: is UTF-16: save it as UTF-8"},
    {"{\n\"a\":\n\"\xff\"}", "line 3: byte 0xff is no UTF-8"},
    {"\"\xed\xa0\x80\"", "line 1: byte 0xed is no UTF-8"},
    {"{\n  \"a\": 1 // one\n}", "line 2: JSON has no comments: remove it"},
    {"{\n\n  /* x */ \"a\": 1}", "line 3: JSON has no comments: remove it"},
    {"# x\n{}", "line 1: JSON has no comments: remove it"},
    {"{\"a\":1}\n#", "line 2: JSON has no comments: remove it"},
    {"{}\n{}", "line 2: a second document begins here: give one alone"},
    {"{}\n---\n{}", "line 2: a second document begins here: give one alone"},
    {"{}\nx", "line 2: unexpected x"},
    {"{}}", "line 1: unexpected character }"},
    {"[\nNaN]", "line 2: NaN is no number in JSON: write a finite one"},
    {"[Infinity]", "line 1: Infinity is no number in JSON: write a finite one"},
    {"[1,\n-Infinity]", "line 2: -Infinity is no number in JSON: write a finite one"},
    {"[\n9223372036854775808]", "line 2: the integer 9223372036854775808 does not fit into 64 bits"},
    {"[-9223372036854775809]", "line 1: the integer -9223372036854775809 does not fit into 64 bits"},
    {"[1e999]", "line 1: the number 1e999 is too large"},
    {"{\"a\":1,\n\"b\":2,\n\"a\":3}", "line 3: the key \"a\" is there twice"},
    {"{\"a\":1,\"\\u0061\":3}", "line 1: the key \"a\" is there twice"},
    {"{\"\":1,\"\":3}", "line 1: the key \"\" is there twice"},
    {"{'a':1}", "line 1: a text in single quotes: JSON has \" only"},
    {"{\"a\":1,\n}", "line 2: a comma too many before }"},
    {"[1,]", "line 1: a comma too many before ]"},
    {"[1 2]", "line 1: unexpected 2"},
    {"{\"a\" 1}", "line 1: unexpected 1"},
    {"{a:1}", "line 1: unexpected a"},
    {"[True]", "line 1: unexpected True"},
    {"[truex]", "line 1: unexpected truex"},
    {"[01]", "line 1: 01 is no number in JSON"},
    {"[1.]", "line 1: 1. is no number in JSON"},
    {"[.5]", "line 1: unexpected .5"},
    {"[+1]", "line 1: unexpected +1"},
    {"[-]", "line 1: - is no number in JSON"},
    {"[1e]", "line 1: 1e is no number in JSON"},
    {"[0x10]", "line 1: 0x10 is no number in JSON"},
    {"-", "line 1: unexpected -"},
    {"{\n\"a\":", "line 2: ends in the middle"},
    {"[", "line 1: ends in the middle"},
    {"\"a", "line 1: a text does not end"},
    {"\"a\\", "line 1: ends in the middle"},
    {"\"a\nb\"", "line 1: a text does not end on its line"},
    {"\"a\tb\"", "line 1: control character 0x09 in a text: write \\u0009"},
    {"\"\\x\"", "line 1: unknown escape in a text"},
    {"\"\\u12g4\"", "line 1: \\u needs four hexadecimal digits"},
    {"\"\\u12", "line 1: \\u needs four hexadecimal digits"},
    {"\"\\u0000\"", "line 1: \\u0000 cannot be in a text"},
    {"[\001]", "line 1: unexpected byte 0x01"},
};

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		cleanup(buf_fini) struct buf why = BUF_INIT;
		cleanup(json_putp) json_object *o = NULL;

		if (json_check(good[i], strlen(good[i]), &why) != 0)
			fail_msg("%s: %s", good[i], why.data);
		assert_int_equal(json_parse(good[i], strlen(good[i]), &o), 0); /* what passes can be read */
		assert_null(why.data);
	}
}

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		cleanup(buf_fini) struct buf why = BUF_INIT;
		size_t n = strlen(bad[i].text);
		cleanup(freep) char *exact = mem_calloc(n ? n : 1, 1); /* of exactly this size: no end behind it */

		memcpy(exact, bad[i].text, n);
		assert_int_equal(json_check(exact, n, &why), -EINVAL);
		if (!str_eq(why.data, bad[i].why))
			fail_msg("%s:\n%s instead of\n%s", bad[i].text, why.data, bad[i].why);
	}
}

static void test_depth_and_length(void **state)
{
	cleanup(buf_fini) struct buf why = BUF_INIT;
	char deep[2 * JSON_DEPTH_MAX + 1], zero[] = "[1,\0]", digits[1000];

	(void)state;
	memset(deep, '[', JSON_DEPTH_MAX);
	memset(deep + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	assert_int_equal(json_check(deep, 2 * JSON_DEPTH_MAX, &why), -EINVAL);
	assert_string_equal(why.data, "line 1: nested more than 64 deep");
	assert_int_equal(json_check(deep + 1, 2 * JSON_DEPTH_MAX - 2, &why), 0);
	buf_clear(&why);
	assert_int_equal(json_check(zero, 5, &why), -EINVAL);
	assert_string_equal(why.data, "line 1: unexpected byte 0x00");
	buf_clear(&why);
	memset(digits, '1', sizeof(digits));
	digits[1] = '.';
	assert_int_equal(json_check(digits, sizeof(digits), &why), -EINVAL);
	assert_string_equal(why.data, "line 1: a number of 1000 characters");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good),
	    cmocka_unit_test(test_bad),
	    cmocka_unit_test(test_depth_and_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
