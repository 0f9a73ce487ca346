/* test_base_utf8.c — what strangers sent becomes well-formed, and what was well-formed stays as it was */
#include "../support.h"

#include "base/json.h"
#include "base/utf8.h"

#define R "\xef\xbf\xbd"

static void test_replaced(void **state)
{
	static const struct {
		const char *text, *clean;
	} rows[] = {
	    {"", ""},
	    {"web-0", "web-0"},
	    {"\x01\x7f\n", "\x01\x7f\n"},
	    {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
	    {"\xe2\x82\xac\xf0\x9f\x98\x80", "\xe2\x82\xac\xf0\x9f\x98\x80"},
	    {"\xff", R},
	    {"a\xff"
	     "b",
	     "a" R "b"},
	    {"\x80\x80", R R},
	    {"\xc3", R},
	    {"\xc3(", R "("},
	    {"\xc0\xaf", R R},             /* overlong '/' */
	    {"\xe0\x80\xaf", R R R},       /* the same in three */
	    {"\xed\xa0\x80", R R R},       /* a surrogate */
	    {"\xf4\x90\x80\x80", R R R R}, /* beyond U+10FFFF */
	    {"\xf5\x80\x80\x80", R R R R},
	    {"\xf0\x9f\x98", R R R}, /* cut */
	    {"\xe2\x82x", R R "x"},
	    {"\xef\xbf\xbf\xf4\x8f\xbf\xbf", "\xef\xbf\xbf\xf4\x8f\xbf\xbf"}, /* the last ones */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup(buf_fini) struct buf b = BUF_INIT;

		buf_add_utf8(&b, rows[i].text, strlen(rows[i].text));
		if (!str_eq(b.data, rows[i].clean))
			fail_msg("row %zu: %s", i, b.data);
	}
}

/* Every pair of bytes inside a JSON string: it parses, and nothing malformed is left. */
static void test_json_text(void **state)
{
	(void)state;
	for (int a = 1; a < 256; a++) {
		for (int b = 1; b < 256; b++) {
			cleanup(buf_fini) struct buf text = BUF_INIT, again = BUF_INIT;
			cleanup(json_putp) json_object *o = NULL;
			const char pair[] = {(char)a, (char)b, '\0'};

			buf_adds(&text, "{\"error\":\"");
			buf_add_json_text(&text, pair);
			buf_adds(&text, "\"}");
			assert_int_equal(json_parse(text.data, text.len, &o), 0);
			buf_add_utf8(&again, text.data, text.len);
			assert_string_equal(again.data, text.data);
			if (a < 128 && b < 128)
				assert_string_equal(json_get_str(o, "error"), pair);
		}
	}
}

static void test_label(void **state)
{
	cleanup(buf_fini) struct buf b = BUF_INIT;

	(void)state;
	buf_add_label(&b, "a\"b\\c\nd\xff");
	assert_string_equal(b.data, "a\\\"b\\\\c\\nd" R);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_replaced), cmocka_unit_test(test_json_text),
					   cmocka_unit_test(test_label)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
