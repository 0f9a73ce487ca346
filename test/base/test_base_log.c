/* test_base_log.c — levels, the limit per site, and lines that nobody can forge */
#include "../support.h"

#include "base/json.h"
#include "base/log.h"

static struct buf lines;
static int line_count;

static void keep(const char *line, void *arg)
{
	(void)arg;
	line_count++;
	buf_clear(&lines);
	buf_adds(&lines, line);
}

static int setup(void **state)
{
	(void)state;
	line_count = 0;
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	log_set_sink(keep, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	log_set_sink(NULL, NULL);
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	buf_fini(&lines);
	return 0;
}

static void test_levels(void **state)
{
	static const char *const bad[] = {"loud",        "info,serf",      "serf=", "=debug",
					  "nobody=info", "info,serf=loud", "INFO",  "info serf=debug"};

	(void)state;
	assert_int_equal(log_set_levels("warn,serf=debug,heal=info"), 0);
	assert_true(log_is_on(LOG_SERF, LOG_LEVEL_DEBUG));
	assert_true(log_is_on(LOG_HEAL, LOG_LEVEL_INFO));
	assert_false(log_is_on(LOG_HEAL, LOG_LEVEL_DEBUG));
	assert_false(log_is_on(LOG_KUBE, LOG_LEVEL_INFO));
	assert_true(log_is_on(LOG_KUBE, LOG_LEVEL_WARN));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (log_check_levels(bad[i]) >= 0 || log_set_levels(bad[i]) >= 0)
			fail_msg("%s was taken", bad[i]);
	assert_true(log_is_on(LOG_SERF, LOG_LEVEL_DEBUG)); /* nothing changed */
	assert_false(log_is_on(LOG_KUBE, LOG_LEVEL_INFO));
	assert_int_equal(log_check_levels("debug"), 0);
	assert_false(log_is_on(LOG_KUBE, LOG_LEVEL_INFO)); /* a check sets nothing */
}

static void test_text_line(void **state)
{
	(void)state;
	log_warn(LOG_KUBE, "gone", "pod=%s", "web-0");
	assert_int_equal(line_count, 1);
	assert_true(str_has_suffix(lines.data, "Z warn  kube: gone pod=web-0"));
	log_debug(LOG_KUBE, "hidden", "x=%d", 1);
	assert_int_equal(line_count, 1);
}

/* A peer's name cannot start a line of its own, ring, or steer a terminal. */
static void test_no_forgery(void **state)
{
	static const char evil[] = "a\n2026-01-01T00:00:00Z error agent: forged\r\x1b[2J\x07";

	(void)state;
	log_warn(LOG_SERF, "member", "name=%s", evil);
	assert_int_equal(line_count, 1);
	for (const char *p = lines.data; *p; p++)
		assert_true((unsigned char)*p >= 0x20);
	assert_non_null(strstr(lines.data, "name=a 2026-01-01"));
}

static void test_json_line(void **state)
{
	cleanup(json_putp) json_object *o = NULL;

	(void)state;
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	log_error(LOG_STORE, "fault", "why=\"%s\" tab=\t path=C:\\x\n\x01", "full");
	assert_null(strchr(lines.data, '\n'));
	assert_int_equal(json_parse(lines.data, lines.len, &o), 0);
	assert_string_equal(json_get_str(o, "level"), "error");
	assert_string_equal(json_get_str(o, "subsystem"), "store");
	assert_string_equal(json_get_str(o, "event"), "fault");
	assert_string_equal(json_get_str(o, "detail"), "why=\"full\" tab=\t path=C:\\x\n\x01");
}

static void burst(struct log_site *site, int n)
{
	for (int i = 0; i < n; i++)
		log_write(site, LOG_WEB, LOG_LEVEL_INFO, "again", "i=%d", i);
}

static void test_site_limit(void **state)
{
	struct log_site site = {0}, other = {0};

	(void)state;
	burst(&site, LOG_BURST);
	assert_int_equal(line_count, LOG_BURST);
	burst(&site, 7);
	assert_int_equal(line_count, LOG_BURST);
	burst(&other, 1); /* a neighbour is not silenced */
	assert_int_equal(line_count, LOG_BURST + 1);
	site.window_ms -= LOG_WINDOW_MS; /* as if the window had passed */
	burst(&site, 1);
	assert_int_equal(line_count, LOG_BURST + 2);
	assert_non_null(strstr(lines.data, "suppressed=7"));
	burst(&site, 1);
	assert_null(strstr(lines.data, "suppressed"));
	burst(&site, LOG_BURST + 3);
	assert_int_equal(line_count, 2 * LOG_BURST + 1);
	assert_int_equal(site.suppressed, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_levels, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_text_line, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_no_forgery, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_json_line, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_site_limit, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
