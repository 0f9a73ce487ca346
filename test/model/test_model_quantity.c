/* test_model_quantity.c — Kubernetes quantities, against k8s.io/apimachinery's rules; resources */
#include "../support.h"

#include "model/resource.h"

#define EINV (-EINVAL), 0
#define MOST 0, INT64_MAX

static const struct {
	const char *text;
	int milli_r;
	int64_t milli;
	int unit_r;
	int64_t unit;
} rows[] = {
    {"0", 0, 0, 0, 0},
    {"1", 0, 1000, 0, 1},
    {"250m", 0, 250, 0, 1},
    {"1500m", 0, 1500, 0, 2},
    {"0.1", 0, 100, 0, 1},
    {"1.5", 0, 1500, 0, 2},
    {"2.", 0, 2000, 0, 2},
    {".5", 0, 500, 0, 1},
    {"+2", 0, 2000, 0, 2},
    {"-2", 0, -2000, 0, -2},
    {"-0.5", 0, -500, 0, -1},
    {"007", 0, 7000, 0, 7},
    /* rounded up */
    {"1u", 0, 1, 0, 1},
    {"1n", 0, 1, 0, 1},
    {"1000000n", 0, 1, 0, 1},
    {"1000001n", 0, 2, 0, 1},
    {"0.0001", 0, 1, 0, 1},
    {"1.0001", 0, 1001, 0, 2},
    /* suffixes */
    {"1k", 0, 1000000, 0, 1000},
    {"1M", 0, 1000000000, 0, 1000000},
    {"1G", 0, INT64_C(1000000000000), 0, 1000000000},
    {"1T", 0, INT64_C(1000000000000000), 0, INT64_C(1000000000000)},
    {"1P", 0, INT64_C(1000000000000000000), 0, INT64_C(1000000000000000)},
    {"1E", MOST, 0, INT64_C(1000000000000000000)},
    {"1Ki", 0, 1024000, 0, 1024},
    {"64Mi", 0, INT64_C(67108864000), 0, 67108864},
    {"1.5Gi", 0, INT64_C(1610612736000), 0, 1610612736},
    {"1Ti", 0, INT64_C(1099511627776000), 0, INT64_C(1099511627776)},
    {"1Pi", 0, INT64_C(1125899906842624000), 0, INT64_C(1125899906842624)},
    {"7Ei", MOST, 0, INT64_C(8070450532247928832)},
    {"0.1Ki", 0, 102400, 0, 103},
    /* exponents */
    {"1e3", 0, 1000000, 0, 1000},
    {"1E3", 0, 1000000, 0, 1000},
    {"1e+3", 0, 1000000, 0, 1000},
    {"1e-3", 0, 1, 0, 1},
    {"1.5e1", 0, 15000, 0, 15},
    {"12E-1", 0, 1200, 0, 2},
    /* too large: as much as there is */
    {"8Ei", MOST, MOST},
    {"-8Ei", 0, -INT64_MAX, 0, -INT64_MAX},
    {"9223372036854775807", MOST, MOST},
    {"9223372036854775807m", 0, INT64_MAX, 0, INT64_C(9223372036854776)},
    {"9223372036854775806", MOST, 0, INT64_MAX - 1},
    {"9223372036854775808", MOST, MOST},
    {"-9223372036854775808", 0, -INT64_MAX, 0, -INT64_MAX},
    {"9223372036854775807.5", MOST, MOST},
    {"9223372036854775806.5", MOST, MOST},
    {"99999999999999999999999999", MOST, MOST},
    {"99999999999999999999999999e-20", 0, INT64_C(1000000000), 0, 1000000},
    {"12345678901234567890123n", 0, INT64_C(12345678901234568), 0, INT64_C(12345678901235)},
    {"0.00000000000000000000000001e26", 0, 1000, 0, 1},
    {"9007199254740993Ki", MOST, MOST},
    {"1e18", MOST, 0, INT64_C(1000000000000000000)},
    {"100e18", MOST, MOST},
    {"1e19", MOST, MOST},
    {"1e999999999999", MOST, MOST},
    {"1e99999999999999999999999", MOST, MOST},
    {"0e99", 0, 0, 0, 0},
    {"1e-19", 0, 1, 0, 1},
    {"1e-99999999999999999999999", 0, 1, 0, 1},
    {"92233720368547758079Ei", MOST, MOST},
    /* no quantities */
    {"", EINV, EINV},
    {" 1", EINV, EINV},
    {"1 ", EINV, EINV},
    {"m", EINV, EINV},
    {".", EINV, EINV},
    {"-", EINV, EINV},
    {"1K", EINV, EINV},
    {"1ki", EINV, EINV},
    {"1mi", EINV, EINV},
    {"1.2.3", EINV, EINV},
    {"1e", EINV, EINV},
    {"1e+", EINV, EINV},
    {"1e 3", EINV, EINV},
    {"1e3m", EINV, EINV},
    {"1e1.5", EINV, EINV},
    {"0x10", EINV, EINV},
    {"1,5", EINV, EINV},
    {"--1", EINV, EINV},
    {"1MiB", EINV, EINV},
    {"NaN", EINV, EINV},
    {NULL, EINV, EINV},
};

static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t v = -77, want = rows[i].milli_r ? -77 : rows[i].milli;
		int r = quantity_parse_milli(rows[i].text, &v);

		if (r != rows[i].milli_r || v != want)
			fail_msg("%s in thousandths: %d, %lld", str_or(rows[i].text, "NULL"), r, (long long)v);
		v = -77;
		want = rows[i].unit_r ? -77 : rows[i].unit;
		r = quantity_parse(rows[i].text, &v);
		if (r != rows[i].unit_r || v != want)
			fail_msg("%s in units: %d, %lld", str_or(rows[i].text, "NULL"), r, (long long)v);
	}
}

/* 10,000 digits, in front of and behind the point. */
static void test_long(void **state)
{
	char text[10003];
	int64_t v = -77;

	(void)state;
	memset(text, '0', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(quantity_parse(text, &v), 0);
	assert_int_equal(v, 0);
	text[1] = '.';
	text[10001] = '1';
	assert_int_equal(quantity_parse_milli(text, &v), 0);
	assert_int_equal(v, 1);
	memset(text, '9', sizeof(text) - 1);
	assert_int_equal(quantity_parse(text, &v), 0);
	assert_int_equal(v, INT64_MAX);
	text[1] = '.';
	assert_int_equal(quantity_parse_milli(text, &v), 0);
	assert_int_equal(v, 10000); /* 9.99…, rounded up */
}

static void test_resources(void **state)
{
	struct resources a = {100, 200, 1};

	(void)state;
	resources_add(&a, &(struct resources){10, 20, 1});
	assert_int_equal(a.cpu_milli, 110);
	resources_sub(&a, &(struct resources){200, 20, 2});
	assert_int_equal(a.cpu_milli, -90);
	assert_int_equal(a.mem_bytes, 200);
	assert_int_equal(a.pods, 0);
	resources_max(&a, &(struct resources){5, 100, 3});
	assert_true(a.cpu_milli == 5 && a.mem_bytes == 200 && a.pods == 3);
}

/* Two huge requests are together as much as there is, and never little. */
static void test_edges(void **state)
{
	static const struct {
		int64_t a, b, sum, difference;
	} edges[] = {
	    {INT64_MAX, INT64_MAX, INT64_MAX, 0},
	    {INT64_MAX, 1, INT64_MAX, INT64_MAX - 1},
	    {INT64_MAX - 1, 1, INT64_MAX, INT64_MAX - 2},
	    {INT64_MAX, -1, INT64_MAX - 1, INT64_MAX},
	    {INT64_MIN, 1, INT64_MIN + 1, INT64_MIN},
	    {INT64_MIN, -1, INT64_MIN, INT64_MIN + 1},
	    {INT64_MIN, INT64_MIN, INT64_MIN, 0},
	    {-2, INT64_MAX, INT64_MAX - 2, INT64_MIN},
	    {0, INT64_MIN, INT64_MIN, INT64_MAX},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(edges); i++) {
		const struct resources b = {edges[i].b, edges[i].b, edges[i].b};
		struct resources sum = {edges[i].a, edges[i].a, edges[i].a}, difference = sum;

		resources_add(&sum, &b);
		resources_sub(&difference, &b);
		if (sum.cpu_milli != edges[i].sum || sum.mem_bytes != edges[i].sum || sum.pods != edges[i].sum)
			fail_msg("sum of row %zu: %lld", i, (long long)sum.cpu_milli);
		if (difference.cpu_milli != edges[i].difference || difference.mem_bytes != edges[i].difference ||
		    difference.pods != edges[i].difference)
			fail_msg("difference of row %zu: %lld", i, (long long)difference.cpu_milli);
	}
}

static void test_fit(void **state)
{
	static const struct {
		struct resources want, have;
		bool fits;
	} fits[] = {
	    {{100, 100, 1}, {100, 100, 1}, true},  {{101, 100, 1}, {100, 100, 1}, false},
	    {{100, 101, 1}, {100, 100, 1}, false}, {{100, 100, 1}, {100, 100, 0}, false},
	    {{0, 100, 1}, {-5, 100, 1}, true}, /* asks for no CPU: an overcommitted node will do */
	    {{0, 0, 1}, {-5, -5, 1}, true},        {{1, 0, 1}, {-5, -5, 1}, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fits); i++)
		if (resources_fit(&fits[i].want, &fits[i].have) != fits[i].fits)
			fail_msg("row %zu", i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_long),
	    cmocka_unit_test(test_resources),
	    cmocka_unit_test(test_edges),
	    cmocka_unit_test(test_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
