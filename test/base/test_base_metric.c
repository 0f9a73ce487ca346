/* test_base_metric.c — the text forms, and that every row of metrics.def is in them */
#include "../support.h"

#include "base/metric.h"

enum kind { COUNTER, GAUGE, HISTOGRAM };
static const struct {
	const char *name;
	enum kind kind;
	const char *label, *values;
} rows[] = {
#define X(id, name, type, l1, v1, l2, v2, help) {name, type, l1, v1},
#include "base/metrics.def"
#undef X
};

static int teardown(void **state)
{
	(void)state;
	metric_fini();
	return 0;
}

static bool has_line(const char *text, const char *line)
{
	size_t n = strlen(line);

	for (const char *p = text; (p = strstr(p, line)); p++)
		if ((p == text || p[-1] == '\n') && p[n] == '\n')
			return true;
	return false;
}

static void test_every_row(void **state)
{
	(void)state;
	for (int open = 0; open < 2; open++) {
		cleanup(buf_fini) struct buf b = BUF_INIT;

		metric_render(&b, open, "1.2.3");
		for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
			static const char *const types[] = {"counter", "gauge", "histogram"};
			size_t n = strlen(rows[i].name) - (open && rows[i].kind == COUNTER ? strlen("_total") : 0);
			cleanup(freep) char *type =
			    str_format("# TYPE %.*s %s", (int)n, rows[i].name, types[rows[i].kind]);
			cleanup(freep) char *help = str_format("\n# HELP %.*s ", (int)n, rows[i].name);
			cleanup(freep) char *sample =
			    str_format("\n%s%s", rows[i].name, rows[i].kind == HISTOGRAM ? "_sum" : "");

			if (!has_line(b.data, type) || (i && !strstr(b.data, help)) || !strstr(b.data, sample))
				fail_msg("%s is missing (openmetrics=%d)", rows[i].name, open);
			if (rows[i].kind == COUNTER)
				assert_true(str_has_suffix(rows[i].name, "_total"));
		}
		assert_true(has_line(b.data, "edge_healer_build_info{version=\"1.2.3\"} 1"));
		assert_non_null(strstr(b.data, "\nprocess_resident_memory_bytes "));
		assert_int_equal(str_has_suffix(b.data, "\n# EOF\n"), open);
	}
}

/* One HELP and TYPE per family, every other line "name{labels} number". */
static void test_grammar(void **state)
{
	cleanup(buf_fini) struct buf b = BUF_INIT;
	char *save = NULL;

	(void)state;
	metric_render(&b, false, "x");
	for (char *line = strtok_r(b.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		const char *value = strrchr(line, ' ');
		char *end;

		if (str_has_prefix(line, "# HELP ") || str_has_prefix(line, "# TYPE "))
			continue;
		assert_non_null(value);
		(void)strtod(value + 1, &end);
		if (*end || end == value + 1 || strcspn(line, " {") == 0)
			fail_msg("%s", line);
	}
}

static void test_values(void **state)
{
	cleanup(buf_fini) struct buf b = BUF_INIT;

	(void)state;
	metric_inc(METRIC_BIND_CONFLICTS);
	metric_add(METRIC_BIND_CONFLICTS, 0, 2);
	metric_set(METRIC_LINK_STATE, 1, 1);
	metric_set(METRIC_MIRROR_AGE, 0, 0.25);
	assert_true(metric_get(METRIC_BIND_CONFLICTS, 0) == 3);
	metric_render(&b, false, "x");
	assert_true(has_line(b.data, "bind_conflicts_total 3"));
	assert_true(has_line(b.data, "edge_healer_link_state{state=\"online\"} 1"));
	assert_true(has_line(b.data, "edge_healer_link_state{state=\"suspect\"} 0"));
	assert_true(has_line(b.data, "edge_healer_mirror_age_seconds 0.25"));
}

static void test_histogram(void **state)
{
	cleanup(buf_fini) struct buf b = BUF_INIT;

	(void)state;
	/* cause=node (1), mode=offline (1) */
	metric_observe(METRIC_RESTORE_LATENCY, METRIC_AT2(1, 1, 2), 0.3);
	metric_observe(METRIC_RESTORE_LATENCY, METRIC_AT2(1, 1, 2), 4);
	metric_observe(METRIC_RESTORE_LATENCY, METRIC_AT2(1, 1, 2), 1000);
	assert_true(metric_get(METRIC_RESTORE_LATENCY, METRIC_AT2(1, 1, 2)) == 3);
	assert_true(metric_get(METRIC_RESTORE_LATENCY, METRIC_AT2(1, 0, 2)) == 0);
	metric_render(&b, false, "x");
#define BUCKET(le, n) "restore_latency_seconds_bucket{cause=\"node\",mode=\"offline\",le=\"" le "\"} " n
	assert_true(has_line(b.data, BUCKET("0.2", "0")));
	assert_true(has_line(b.data, BUCKET("0.3", "1"))); /* a bound is inside */
	assert_true(has_line(b.data, BUCKET("2", "1")));
	assert_true(has_line(b.data, BUCKET("5", "2")));
	assert_true(has_line(b.data, BUCKET("352", "2")));
	assert_true(has_line(b.data, BUCKET("+Inf", "3")));
	assert_true(has_line(b.data, "restore_latency_seconds_sum{cause=\"node\",mode=\"offline\"} 1004.3"));
	assert_true(has_line(b.data, "restore_latency_seconds_count{cause=\"node\",mode=\"offline\"} 3"));
	assert_true(has_line(b.data, "edge_healer_stage_write_seconds_count 0"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(test_every_row, teardown),
	    cmocka_unit_test_teardown(test_grammar, teardown),
	    cmocka_unit_test_teardown(test_values, teardown),
	    cmocka_unit_test_teardown(test_histogram, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
