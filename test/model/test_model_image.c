/* test_model_image.c — names of images, written out as nodes list them; what a Node's list says */
#include "../support.h"

#include "model/image.h"

static void test_names(void **state)
{
	static const struct {
		const char *image, *name;
	} rows[] = {
	    {"busybox", "docker.io/library/busybox:latest"},
	    {"busybox:1", "docker.io/library/busybox:1"},
	    {"docker.io/busybox", "docker.io/library/busybox:latest"},
	    {"index.docker.io/library/busybox:1", "docker.io/library/busybox:1"},
	    {"shop/web", "docker.io/shop/web:latest"},
	    {"docker.io/shop/web:2", "docker.io/shop/web:2"},
	    {"localhost/busybox:1", "localhost/busybox:1"},
	    {"localhost:5000/web", "localhost:5000/web:latest"},
	    {"registry.local/a/b/c:x", "registry.local/a/b/c:x"},
	    {"registry:5000/a", "registry:5000/a:latest"},
	    {"busybox@sha256:abc", "docker.io/library/busybox@sha256:abc"},
	    {"busybox:1@sha256:abc", "docker.io/library/busybox@sha256:abc"},
	    {"registry:5000/a@sha256:abc", "registry:5000/a@sha256:abc"},
	    {"registry:5000/a:2@sha256:abc", "registry:5000/a@sha256:abc"},
	    {"a:", "docker.io/library/a:"},
	    {"/", "docker.io//:latest"},
	    {":", "docker.io/library/:"},
	    {"@", "docker.io/library/@"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup(buf_fini) struct buf name = BUF_INIT;

		image_name(rows[i].image, &name);
		assert_string_equal(name.data, rows[i].name);
		assert_int_equal(image_hash(rows[i].image), image_hash(rows[i].name));
	}
}

/* `images` names of one image each, then one more image with `more` names. */
static json_object *status_images(int images, int more)
{
	json_object *list = json_new_array(), *last = json_new_array(), *o = json_new_object();
	char name[64];

	for (int i = 0; i < images; i++) {
		json_object *one = json_new_object(), *names = json_new_array();

		(void)snprintf(name, sizeof(name), "localhost/i:%d", i);
		json_append_str(names, name);
		json_set(one, "names", names);
		json_append(list, one);
	}
	for (int i = 0; i < more; i++) {
		(void)snprintf(name, sizeof(name), "docker.io/library/more:%d", i);
		json_append_str(last, name);
	}
	json_set(o, "names", last);
	json_append(list, o);
	return list;
}

static enum image_presence has(const struct image_list *l, const char *image)
{
	return image_list_has(l, image_hash(image));
}

/* As it is read, and as it is stored and read again. */
static void check_list(int images, int more, enum image_presence absent)
{
	cleanup(json_putp) json_object *list = status_images(images, more), *stored = json_new_object();
	cleanup(buf_fini) struct buf text = BUF_INIT;
	struct image_list a = { 0 }, b = { 0 };

	image_list_read(&a, list);
	image_list_format(&a, &text);
	json_set_str(stored, "images", text.len ? text.data : NULL);
	image_list_read(&b, json_get(stored, "images"));
	for (int i = 0; i < 2; i++) {
		const struct image_list *l = i ? &b : &a;

		assert_int_equal(l->count, images + more);
		assert_int_equal(has(l, "localhost/i:0"), IMAGE_THERE);
		assert_int_equal(has(l, "more:1"), more > 1 ? IMAGE_THERE : absent);
		assert_int_equal(has(l, "localhost/i"), absent);
	}
	image_list_fini(&a);
	image_list_fini(&b);
}

static void what_a_complete_list_does_not_have_is_absent(void **state)
{
	(void)state;
	check_list(48, 2, IMAGE_ABSENT);
	check_list(1, 0, IMAGE_ABSENT);
}

static void what_may_be_cut_says_nothing_of_others(void **state)
{
	(void)state;
	check_list(49, 2, IMAGE_NOT_LISTED);	/* nodeStatusMaxImages */
	check_list(1, 5, IMAGE_NOT_LISTED);	/* five names of one image: it may have more */
}

static void a_node_that_lists_none_says_nothing(void **state)
{
	struct image_list l = { 0 };
	cleanup(buf_fini) struct buf text = BUF_INIT;

	(void)state;
	image_list_read(&l, NULL);
	image_list_format(&l, &text);
	assert_int_equal(text.len, 0);
	assert_int_equal(has(&l, "busybox"), IMAGE_THERE);
	image_list_fini(&l);
}

static void a_list_is_bounded(void **state)
{
	cleanup(json_putp) json_object *list = status_images(1, IMAGE_NAMES_MAX + 10);
	struct image_list l = { 0 };

	(void)state;
	image_list_read(&l, list);
	assert_int_equal(l.count, IMAGE_NAMES_MAX);
	assert_int_equal(has(&l, "busybox"), IMAGE_NOT_LISTED);
	image_list_fini(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(what_a_complete_list_does_not_have_is_absent),
		cmocka_unit_test(what_may_be_cut_says_nothing_of_others),
		cmocka_unit_test(a_node_that_lists_none_says_nothing),
		cmocka_unit_test(a_list_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
