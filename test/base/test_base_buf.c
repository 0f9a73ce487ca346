/* test_base_buf.c — growing buffers and their limits */
#include "../support.h"

static void test_grow(void **state)
{
	cleanup(buf_fini) struct buf b = BUF_INIT;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		buf_addf(&b, "%d,", i % 10);
		assert_int_equal(b.len, 2 * (i + 1));
		assert_int_equal(b.data[b.len], '\0');
	}
	buf_clear(&b);
	assert_int_equal(b.len, 0);
	assert_string_equal(b.data, "");
	buf_add(&b, "a\0b", 3);
	assert_int_equal(b.len, 3);
	assert_memory_equal(b.data, "a\0b", 4);
}

static void test_limit(void **state)
{
	cleanup(buf_fini) struct buf b = BUF_INIT;
	static const char block[300];

	(void)state;
	assert_int_equal(buf_try_add(&b, block, 300, 1000), 0);
	assert_int_equal(buf_try_add(&b, block, 300, 1000), 0);
	assert_int_equal(buf_try_add(&b, block, 300, 1000), 0);
	assert_int_equal(buf_try_add(&b, block, 101, 1000), -E2BIG);
	assert_int_equal(b.len, 900); /* unchanged */
	assert_int_equal(buf_try_add(&b, block, 100, 1000), 0);
	assert_int_equal(buf_try_add(&b, block, 1, 1000), -E2BIG);
	assert_int_equal(buf_try_add(&b, block, 0, 1000), 0);
	assert_int_equal(buf_try_add(&b, block, SIZE_MAX, 1000), -E2BIG); /* no wrap around */
	assert_int_equal(buf_try_add(&b, block, SIZE_MAX - 999, SIZE_MAX), -E2BIG);
	assert_int_equal(b.len, 1000);
}

static void test_consume(void **state)
{
	cleanup(buf_fini) struct buf b = BUF_INIT;

	(void)state;
	buf_consume(&b, 0); /* empty is fine */
	buf_adds(&b, "hello world");
	buf_consume(&b, 6);
	assert_string_equal(b.data, "world");
	buf_consume(&b, 5);
	assert_int_equal(b.len, 0);
	assert_string_equal(b.data, "");
}

static void test_take(void **state)
{
	struct buf b = BUF_INIT;
	cleanup(freep) char *empty = buf_take(&b);
	cleanup(freep) char *full = NULL;

	(void)state;
	assert_string_equal(empty, "");
	buf_addc(&b, 'x');
	full = buf_take(&b);
	assert_string_equal(full, "x");
	assert_null(b.data);
	assert_int_equal(b.len + b.cap, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_grow),
	    cmocka_unit_test(test_limit),
	    cmocka_unit_test(test_consume),
	    cmocka_unit_test(test_take),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
