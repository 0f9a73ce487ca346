/* test_agent_images.c — names of images, written out as nodes list them */
#include "../support.h"

#include "agent/objects.h"

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
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (!str_eq(image_name(rows[i].image), rows[i].name))
			fail_msg("%s: %s instead of %s", rows[i].image, image_name(rows[i].image), rows[i].name);
	intern_fini();
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_names)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
