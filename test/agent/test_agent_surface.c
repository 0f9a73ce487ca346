/* test_agent_surface.c — what a stranger named himself is told as JSON that is JSON */
#include "../support.h"

#include "agent/surface.h"
#include "base/json.h"
#include "base/utf8.h"

static void test_hostile_names(void **state)
{
	static const char *const names[] = {"\xff\xfe", "a\"b\\c\n\x01\x7f", "\xed\xa0\x80", "</script>\xc3", "web-0"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct web_response rs = {0};
		cleanup(buf_fini) struct buf again = BUF_INIT, clean = BUF_INIT;
		cleanup(json_putp) json_object *got = NULL;
		json_object *o = json_new_object();

		json_set_str(o, "node", names[i]);
		surface_json(&rs, o);
		buf_add_utf8(&again, rs.body.data, rs.body.len);
		assert_string_equal(again.data, rs.body.data);
		assert_int_equal(json_parse(rs.body.data, rs.body.len, &got), 0);
		buf_add_utf8(&clean, names[i], strlen(names[i]));
		assert_string_equal(json_get_str(got, "node"), clean.data);
		buf_fini(&rs.body);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_hostile_names)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
