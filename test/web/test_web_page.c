/* test_web_page.c — pages of lists: every key once, in order, whatever comes and goes; tokens that are none */
#include "../support.h"

#include "web/page.h"

enum { N = 2500, KEY = 32 };

/* All keys that pages of this size show, one after the other; `gone`: keys that vanish after the first page (a number's
 * suffix). */
static size_t walk(size_t limit, char (*keys)[KEY], size_t n, char *last_gone, struct buf *out)
{
	char after[PAGE_KEY_MAX] = "";
	size_t pages = 0;

	for (bool more = true; more; pages++) {
		struct page p;

		page_init(&p, limit);
		(void)str_copy(p.after, sizeof(p.after), after);
		for (size_t i = 0; i < n; i++)
			if (!(pages && last_gone && strcmp(keys[i], last_gone) == 0))
				page_offer(&p, keys[i]);
		page_pick(&p);
		assert_true(p.count <= limit);
		for (size_t i = 0; i < p.count; i++)
			buf_addf(out, "%s ", p.keys[i]);
		more = p.beyond > 0;
		if (p.count)
			(void)str_copy(after, sizeof(after), p.keys[p.count - 1]);
		page_fini(&p);
	}
	return pages;
}

static void make_keys(char (*keys)[KEY], size_t n)
{
	for (size_t i = 0; i < n; i++)
		(void)snprintf(keys[i], sizeof(keys[i]), "k%05zu",
			       i * 7919 % n); /* 7919 is prime: each number once, in no order */
}

static void test_every_key_once_in_order(void **state)
{
	static char keys[N][KEY];
	cleanup(buf_fini) struct buf expected = BUF_INIT;
	static const size_t limits[] = {1, 2, 7, 500, 999, 1000};

	(void)state;
	make_keys(keys, N);
	for (size_t i = 0; i < N; i++)
		buf_addf(&expected, "k%05zu ", i);
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		cleanup(buf_fini) struct buf got = BUF_INIT;

		assert_int_equal(walk(limits[i], keys, N, NULL, &got), (N + limits[i] - 1) / limits[i]);
		assert_string_equal(got.data, expected.data);
	}
}

/* The last key of a page vanishes: the next page begins behind the place where it was. */
static void test_the_last_one_vanishes(void **state)
{
	static char keys[20][KEY];
	cleanup(buf_fini) struct buf got = BUF_INIT;
	char gone[] = "k00006";

	(void)state;
	make_keys(keys, 20);
	(void)walk(7, keys, 20, gone, &got);
	assert_string_equal(
	    got.data, "k00000 k00001 k00002 k00003 k00004 k00005 k00006 k00007 k00008 k00009 k00010 k00011 k00012 "
		      "k00013 k00014 k00015 k00016 k00017 k00018 k00019 ");
}

static void test_keys_that_are_none(void **state)
{
	struct page p;
	char longest[PAGE_KEY_MAX + 1];

	(void)state;
	memset(longest, 'x', sizeof(longest));
	longest[PAGE_KEY_MAX] = '\0';
	page_init(&p, 10);
	page_offer(&p, "");
	page_offer(&p, longest);
	page_pick(&p);
	assert_int_equal(p.count, 0);
	assert_int_equal(p.beyond, 0);
	page_fini(&p);
}

static void test_picked_keys_outlive_their_owners(void **state)
{
	struct page p;
	char key[] = "web-0";

	(void)state;
	page_init(&p, 10);
	page_offer(&p, key);
	page_pick(&p);
	memset(key, 'x', sizeof(key) - 1);
	assert_string_equal(p.keys[0], "web-0");
	page_fini(&p);
}

static void test_tokens(void **state)
{
	static const char *const keys[] = {"a", "bdedc685-793f-415f-80c0-fdb7fddfd6e1", "x\"\\\n\xff%&=", ":"};
	char key[PAGE_KEY_MAX], longest[PAGE_KEY_MAX];

	(void)state;
	memset(longest, 'y', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	for (size_t i = 0; i <= ARRAY_LEN(keys); i++) {
		const char *k = i < ARRAY_LEN(keys) ? keys[i] : longest;
		cleanup(buf_fini) struct buf token = BUF_INIT;

		page_token_add(&token, "readiness", k);
		assert_int_equal(strspn(token.data, "0123456789abcdef"), token.len);
		assert_int_equal(page_token_read(token.data, "readiness", key), 0);
		assert_string_equal(key, k);
		assert_int_equal(page_token_read(token.data, "pods", key), -EINVAL);
	}
}

static void test_bad_tokens(void **state)
{
	static const char *const bad[] = {"",
					  "x",
					  "7",
					  "706f6473",
					  "706f64733a",
					  "706f64733A61",
					  "706f64733a6",
					  "706f64733a0061",
					  "706f64733a 1",
					  "00",
					  "706f64783a61",
					  "3a61"};
	char key[PAGE_KEY_MAX] = "untouched";
	cleanup(buf_fini) struct buf text = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(page_token_read(bad[i], "pods", key), -EINVAL);
	buf_adds(&text, "706f64733a");
	while (text.len < PAGE_TOKEN_MAX + 10) { /* too long a key, then too long a token */
		if (text.len > 10 + 2 * (PAGE_KEY_MAX - 1))
			assert_int_equal(page_token_read(text.data, "pods", key), -EINVAL);
		buf_adds(&text, "61");
	}
	assert_string_equal(key, "untouched");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_key_once_in_order),
	    cmocka_unit_test(test_the_last_one_vanishes),
	    cmocka_unit_test(test_keys_that_are_none),
	    cmocka_unit_test(test_picked_keys_outlive_their_owners),
	    cmocka_unit_test(test_tokens),
	    cmocka_unit_test(test_bad_tokens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
