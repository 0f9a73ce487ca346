/* test_base_map.c — the map under change while it is walked; lists */
#include "../support.h"

#include "base/list.h"
#include "base/map.h"

struct item {
	char key[16];
	int n;
};

static void map_freep(struct map **m)
{
	map_free(*m);
}

static void test_put_get_remove(void **state)
{
	cleanup(map_freep) struct map *m = map_new();
	struct item a = {"a", 1}, again = {"a", 2};

	(void)state;
	assert_null(map_get(m, "a"));
	assert_null(map_get(m, NULL));
	assert_null(map_put(m, a.key, &a));
	assert_ptr_equal(map_put(m, again.key, &again), &a);
	memset(a.key, 'x', 3); /* the replaced key is not looked at any more */
	assert_ptr_equal(map_get(m, "a"), &again);
	assert_int_equal(map_count(m), 1);
	assert_ptr_equal(map_remove(m, "a"), &again);
	assert_null(map_remove(m, "a"));
	assert_int_equal(map_count(m), 0);
	map_free(NULL);
}

static void test_order_and_removal(void **state)
{
	cleanup(map_freep) struct map *m = map_new();
	struct item items[1000];
	int seen = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		(void)snprintf(items[i].key, sizeof(items[i].key), "k%d", i);
		items[i].n = i;
		(void)map_put(m, items[i].key, &items[i]);
	}
	map_for_each (struct item, it, m) {
		assert_int_equal(it->n, seen++); /* insertion order */
		if (it->n % 3)
			assert_ptr_equal(map_remove(m, it->key), it);
	}
	assert_int_equal(seen, 1000);
	assert_int_equal(map_count(m), 334);
	seen = 0;
	map_for_each (struct item, it, m) {
		assert_int_equal(it->n, 3 * seen++);
		(void)map_remove(m, it->key);
		memset(it, 0xff, sizeof(*it)); /* as if freed */
	}
	assert_int_equal(seen, 334);
	assert_int_equal(map_count(m), 0);
	map_for_each (struct item, it, m)
		fail_msg("%d", it->n);
}

static void test_list(void **state)
{
	struct node {
		struct list link;
		int n;
	} a = {.n = 1}, b = {.n = 2}, c = {.n = 3};
	struct list head = LIST_INIT(head), other;
	int sum = 0;

	(void)state;
	list_add_tail(&head, &a.link);
	list_add_tail(&head, &b.link);
	list_add_tail(&head, &c.link);
	assert_int_equal(list_first(&head, struct node, link)->n, 1);
	list_for_each_safe (it, &head, struct node, link) {
		sum = 10 * sum + it->n;
		if (it->n == 2)
			list_remove(&it->link);
	}
	assert_int_equal(sum, 123);
	assert_false(list_is_linked(&b.link));
	list_remove(&b.link); /* twice is fine */
	list_move_all(&other, &head);
	assert_true(list_is_empty(&head));
	sum = 0;
	list_for_each (it, &other, struct node, link)
		sum = 10 * sum + it->n;
	assert_int_equal(sum, 13);
	assert_null(list_first(&head, struct node, link));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_put_get_remove),
	    cmocka_unit_test(test_order_and_removal),
	    cmocka_unit_test(test_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
