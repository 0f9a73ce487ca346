/* test_base_clock.c — RFC 3339 and durations, both ways */
#include "../support.h"

#include "base/clock.h"

#define S (1000 * NS_PER_MS)

static void test_wall_parse(void **state)
{
	static const struct {
		const char *text;
		int64_t ns;
	} good[] = {
	    {"1970-01-01T00:00:00Z", 0},
	    {"1970-01-01T00:00:01Z", S},
	    {"2026-11-20T10:46:32Z", INT64_C(1795171592) * S},
	    {"2026-11-20T10:46:32.123456Z", INT64_C(1795171592) * S + 123456000},
	    {"2026-11-20T10:46:32.5Z", INT64_C(1795171592) * S + 500000000},
	    {"2026-11-20T10:46:32.123456789123Z", INT64_C(1795171592) * S + 123456789},
	    {"2026-11-20T12:46:32+02:00", INT64_C(1795171592) * S},
	    {"2026-11-20T05:16:32-05:30", INT64_C(1795171592) * S},
	    {"2024-02-29T00:00:00Z", INT64_C(1709164800) * S},
	};
	static const char *const bad[] = {
	    NULL,
	    "",
	    "now",
	    "2026-11-20",
	    "2026-11-20T10:46:32",
	    "2026-11-20 10:46:32Z",
	    "2026-13-20T10:46:32Z",
	    "2026-11-20T10:46:32Zjunk",
	    "2026-11-20T10:46:32+02:00junk",
	    "2026-11-20T10:46:32+2",
	    "2026-11-20T10:46:32+99:99",
	    "2026-11-20T10:46:32+-1:-1",
	    "2026-11-20T25:46:32Z",
	    "9999-12-31T23:59:59Z", /* beyond 64 bits of ns */
	    "0001-01-01T00:00:00Z",
	};
	struct wall t;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		t.ns = -1;
		if (wall_parse(good[i].text, &t) != 0 || t.ns != good[i].ns)
			fail_msg("%s: %lld", good[i].text, (long long)t.ns);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		t.ns = -1;
		if (wall_parse(bad[i], &t) != -EINVAL || t.ns != -1)
			fail_msg("%s was taken as %lld", str_or(bad[i], "NULL"), (long long)t.ns);
	}
}

static void test_wall_format(void **state)
{
	char text[WALL_TEXT_SIZE];
	struct wall t = {INT64_C(1795171592) * S + 7654321}, again;

	(void)state;
	wall_format(t, text);
	assert_string_equal(text, "2026-11-20T10:46:32.007Z");
	wall_format_micro(t, text);
	assert_string_equal(text, "2026-11-20T10:46:32.007654Z");
	assert_int_equal(wall_parse(text, &again), 0);
	assert_true(again.ns == t.ns - 321);
}

static void test_durations(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = {
	    {"0s", 0},          {"250ms", 250},     {"2s", 2000},      {"5m", 300000},
	    {"1h30m", 5400000}, {"1m1s1ms", 61001}, {"24h", 86400000},
	};
	static const char *const bad[] = {
	    NULL, "",   "5",   "s",   "5 s", "1.5s", "-5s",          "+5s",
	    "5S", "5d", "5s ", " 5s", "5sm", "ms",   "99999999999s", "1h-1m",
	};
	int64_t ms;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		ms = -1;
		if (duration_parse_ms(good[i].text, &ms) != 0 || ms != good[i].ms)
			fail_msg("%s: %lld", good[i].text, (long long)ms);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ms = -1;
		if (duration_parse_ms(bad[i], &ms) != -EINVAL || ms != -1)
			fail_msg("%s was taken as %lld", str_or(bad[i], "NULL"), (long long)ms);
	}
}

/* Each term is in range, their sum is not. */
static void test_duration_overflow(void **state)
{
	cleanup(buf_fini) struct buf b = BUF_INIT;
	int64_t ms = -1;

	(void)state;
	for (int i = 0; i < 5000; i++)
		buf_adds(&b, "1000000000h");
	assert_int_equal(duration_parse_ms(b.data, &ms), -EINVAL);
	assert_int_equal(ms, -1);
}

static void test_duration_format(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} rows[] = {
	    {0, "0s"},      {1, "1ms"},     {250, "250ms"},   {1000, "1s"},      {1001, "1001ms"},
	    {90000, "90s"}, {300000, "5m"}, {5400000, "90m"}, {86400000, "24h"},
	};
	char text[DURATION_TEXT_SIZE];
	int64_t back;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		duration_format_ms(rows[i].ms, text);
		assert_string_equal(text, rows[i].text);
		assert_int_equal(duration_parse_ms(text, &back), 0);
		assert_int_equal(back, rows[i].ms);
	}
}

static void test_mono(void **state)
{
	struct mono never = {0}, a = {5}, b = {9};

	(void)state;
	assert_int_equal(mono_min(a, b).ns, 5);
	assert_int_equal(mono_min(b, a).ns, 5);
	assert_int_equal(mono_min(never, b).ns, 9); /* 0 = never, not the earliest */
	assert_int_equal(mono_min(a, never).ns, 5);
	assert_true(mono_reached(b, a) && mono_reached(a, a) && !mono_reached(a, b));
	assert_false(mono_reached((struct mono){INT64_MAX - 1}, MONO_NEVER));
	assert_int_equal(mono_since_ms(mono_add_ms(a, 1500), a), 1500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_wall_parse),      cmocka_unit_test(test_wall_format),
	    cmocka_unit_test(test_durations),       cmocka_unit_test(test_duration_overflow),
	    cmocka_unit_test(test_duration_format), cmocka_unit_test(test_mono),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
