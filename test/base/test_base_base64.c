/* test_base_base64.c — there and back, and what is none */
#include "../support.h"

#include "base/base64.h"

static void test_there_and_back(void **state)
{
	unsigned char data[64];

	(void)state;
	for (size_t n = 0; n <= sizeof(data); n++) {
		char text[B64_SIZE(sizeof(data))];
		void *out = NULL;
		size_t len = 99;

		for (size_t i = 0; i < n; i++)
			data[i] = (unsigned char)(i * 37 + n);
		b64_encode(data, n, text);
		assert_int_equal(strlen(text), B64_SIZE(n) - 1);
		assert_int_equal(b64_decode(text, &out, &len), 0);
		assert_int_equal(len, n);
		assert_memory_equal(out, data, n);
		free(out);
	}
}

static void test_what_is_none(void **state)
{
	static const char *const bad[] = {"A", "AA", "AAA", "AA=", "=", "====", "AA==A", "A*==", "AAA==", "AAAA=", "\xff\xff\xff\xff"};
	void *out = NULL;
	size_t len = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (b64_decode(bad[i], &out, &len) != -EINVAL)
			fail_msg("%s is no base64", bad[i]);
	assert_null(out);
	assert_int_equal(b64_decode(" QQ =\n=", &out, &len), 0);
	assert_string_equal(out, "A");
	free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_what_is_none)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
