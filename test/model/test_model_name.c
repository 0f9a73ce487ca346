/* test_model_name.c — names and uids that the API server would have admitted */
#include "../support.h"

#include "model/name.h"

#define L63 "a23456789012345678901234567890123456789012345678901234567890123"

static void names(void **state)
{
	static const struct { const char *text; bool subdomain, label; } rows[] = {
		{ "web", true, true }, { "web-7d9f8b6c5-x2v4q", true, true }, { "edge.site-1", true, false },
		{ "0", true, true }, { L63, true, true }, { L63 "x", true, false },
		{ L63 "." L63 "." L63 "." "b123456789012345678901234567890123456789012345678901234567890", true, false },
		{ L63 "." L63 "." L63 "." "b1234567890123456789012345678901234567890123456789012345678901", false, false },
		{ NULL, false, false }, { "", false, false }, { ".", false, false }, { "..", false, false },
		{ "../../etc", false, false }, { "a/b", false, false }, { "a\nb", false, false }, { "Web", false, false },
		{ "-a", false, false }, { "a-", false, false }, { "a.-b", false, false }, { "a-.b", false, false },
		{ "a..b", false, false }, { ".a", false, false }, { "a.", false, false }, { "a_b", false, false },
		{ "a\xc3\xa9", false, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (name_is_subdomain(rows[i].text) != rows[i].subdomain || name_is_label(rows[i].text) != rows[i].label)
			fail_msg("row %zu: \"%s\"", i, rows[i].text ? rows[i].text : "(null)");
}

static void uids(void **state)
{
	static const struct { const char *text; bool ok; } rows[] = {
		{ "bdedc685-793f-415f-80c0-fdb7fddfd6e1", true }, { "00000000-0000-0000-0000-000000000000", true },
		{ NULL, false }, { "", false }, { "u", false }, { "BDEDC685-793F-415F-80C0-FDB7FDDFD6E1", false },
		{ "bdedc685-793f-415f-80c0-fdb7fddfd6e", false }, { "bdedc685-793f-415f-80c0-fdb7fddfd6e11", false },
		{ "bdedc685x793f-415f-80c0-fdb7fddfd6e1", false }, { "../../../../../../../../../../etc/cron", false },
		{ "bdedc685-793f-415f-80c0-fdb7fddfd6g1", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (name_is_uid(rows[i].text) != rows[i].ok)
			fail_msg("row %zu: \"%s\"", i, rows[i].text ? rows[i].text : "(null)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(uids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
