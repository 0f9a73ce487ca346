/* test_node_manifest.c — the static-pod folder: nothing but ours goes in, nothing but ours comes out */
#include "../support.h"

#include <sys/stat.h>

#include "model/pod.h"
#include "node/manifest.h"
#include "node/render.h"

#define LOST "bdedc685-793f-415f-80c0-fdb7fddfd6e1"

static char dir[TMP_SIZE];
static struct buf seen;

static int setup(void **state)
{
	(void)state;
	tmp_new(dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	buf_fini(&seen);
	tmp_free(dir);
	return 0;
}

static void see(void *arg, const char *file)
{
	(void)arg;
	buf_addf(&seen, "%s;", file);
}

/* Both halves in one, as without anything to commit between them. */
static size_t write_all(const char *folder, struct manifest *items, size_t n)
{
	manifest_prepare(folder, items, n);
	return manifest_publish(folder, items, n);
}

static void test_name(void **state)
{
	char out[MANIFEST_NAME_SIZE], longest[254];

	(void)state;
	manifest_name("web-0", "0123456789abcdef", out);
	assert_string_equal(out, "edge-healer-web-0-01234567.json");
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	manifest_name(longest, LOST, out);
	assert_true(strlen(out) + strlen(".") + strlen(".tmp") <= 255); /* NAME_MAX, also of its temporary file */
	assert_true(str_has_suffix(out, "-bdedc685.json"));
}

static void test_write_and_remove(void **state)
{
	struct manifest items[] = {{.file = "edge-healer-a.json", .text = "{\"a\":1}"},
				   {.file = "edge-healer-b.json", .text = ""}};
	cleanup(buf_fini) struct buf b = BUF_INIT;
	struct stat st;

	(void)state;
	assert_int_equal(write_all(dir, items, 0), 0);
	assert_int_equal(write_all(dir, items, 2), 2);
	assert_int_equal(items[0].result | items[1].result, 0);
	assert_int_equal(file_read(tmp_path(dir, items[0].file), 100, &b), 0);
	assert_string_equal(b.data, "{\"a\":1}");
	assert_int_equal(stat(tmp_path(dir, items[0].file), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(tmp_count(dir), 2);
	assert_true(manifest_exists(dir, items[0].file));
	items[0].text = "{}";
	assert_int_equal(write_all(dir, items, 1), 1); /* again: replaced */
	assert_int_equal(tmp_count(dir), 2);
	assert_int_equal(manifest_remove(dir, items[0].file), 0);
	assert_int_equal(manifest_remove(dir, items[0].file), 0); /* gone already */
	assert_false(manifest_exists(dir, items[0].file));
}

static void test_prefix_protects(void **state)
{
	static const char *const foreign[] = {
	    "kube-apiserver.json",       "edge-healer-x.yaml",    "edge-healer",        "", ".", "..",
	    "edge-healer-/../kube.json", "../edge-healer-x.json", ".edge-healer-x.json"};

	(void)state;
	tmp_write(tmp_path(dir, "kube-apiserver.json"), "theirs");
	assert_int_equal(mkdir(tmp_path(dir, "edge-healer-"), 0700), 0);
	for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
		struct manifest m = {.file = foreign[i], .text = "ours"};

		assert_int_equal(manifest_remove(dir, foreign[i]), -EPERM);
		assert_int_equal(write_all(dir, &m, 1), 0);
		assert_int_equal(m.result, -EPERM);
	}
	assert_int_equal(tmp_count(dir), 2);
	assert_true(manifest_exists(dir, "kube-apiserver.json"));
}

/* One item cannot be put in place: the others are, and nothing of it is left. */
static void test_one_fails(void **state)
{
	struct manifest items[] = {{.file = "edge-healer-a.json", .text = "a"},
				   {.file = "edge-healer-taken.json", .text = "b"},
				   {.file = "kube.json", .text = "c"},
				   {.file = "edge-healer-d.json", .text = "d"}};

	(void)state;
	assert_int_equal(mkdir(tmp_path(dir, "edge-healer-taken.json"), 0700), 0);
	assert_int_equal(write_all(dir, items, ARRAY_LEN(items)), 2);
	assert_int_equal(items[0].result, 0);
	assert_true(items[1].result < 0);
	assert_int_equal(items[2].result, -EPERM);
	assert_int_equal(items[3].result, 0);
	assert_int_equal(tmp_count(dir), 3);
	assert_int_equal(write_all(tmp_path(dir, "none"), items, 1), 0);
	assert_int_equal(items[0].result, -ENOENT);
}

static void test_too_big(void **state)
{
	cleanup(freep) char *text = mem_calloc(MANIFEST_MAX + 2, 1);
	struct manifest m = {.file = "edge-healer-a.json", .text = text};

	(void)state;
	memset(text, 'x', MANIFEST_MAX + 1);
	assert_int_equal(write_all(dir, &m, 1), 0);
	assert_int_equal(m.result, -E2BIG);
	assert_int_equal(tmp_count(dir), 0);
	assert_true(MANIFEST_MAX < 10 << 20); /* kubelet fails at 10 MiB already */
	text[MANIFEST_MAX] = '\0';
	assert_int_equal(write_all(dir, &m, 1), 1);
}

static void test_each(void **state)
{
	(void)state;
	tmp_write(tmp_path(dir, "edge-healer-a.json"), "");
	tmp_write(tmp_path(dir, "kube.json"), "");
	tmp_write(tmp_path(dir, ".edge-healer-x.json.tmp"), "left by a crash");
	tmp_write(tmp_path(dir, ".other.tmp"), "");
	assert_int_equal(manifest_each(dir, see, NULL), 0);
	assert_string_equal(seen.data, "edge-healer-a.json;");
	assert_int_equal(access(tmp_path(dir, ".edge-healer-x.json.tmp"), F_OK), -1);
	assert_int_equal(access(tmp_path(dir, ".other.tmp"), F_OK), 0);
	assert_int_equal(manifest_each(tmp_path(dir, "none"), see, NULL), -ENOENT);
}

static int identify(const char *text, char uid[UID_SIZE], unsigned *epoch)
{
	tmp_write(tmp_path(dir, "edge-healer-i.json"), text);
	return manifest_identify(dir, "edge-healer-i.json", uid, UID_SIZE, epoch);
}

#define ANNOTATED(uid, original, epoch)                                                                                \
	"{\"metadata\":{\"uid\":\"" uid "\",\"annotations\":{\"" ANNOTATION_ORIGINAL_UID "\":\"" original              \
	"\",\"" ANNOTATION_EPOCH "\":\"" epoch "\"}}}"

static void test_identify(void **state)
{
	static const char *const bad[] = {
	    "",
	    "{",
	    "[]",
	    "null",
	    "{}",
	    "{\"metadata\":{\"annotations\":5}}",
	    ANNOTATED("bdedc685-793f-415f-80c0-fdb7fddfd6e1", LOST, "2"), /* a uid that is not that of the pair */
	    ANNOTATED("", LOST, "0"),
	    ANNOTATED("", LOST, "x"),
	    ANNOTATED("", LOST, "-1"),
	    ANNOTATED("", LOST, "99999999999"),
	};
	char uid[UID_SIZE] = "", fresh[UUID_TEXT_SIZE], tiny[8];
	cleanup(freep) char *good = NULL, *other = NULL, *path = NULL;
	unsigned epoch = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (identify(bad[i], uid, &epoch) != -EINVAL)
			fail_msg("%s was taken", bad[i]);
		assert_int_equal(epoch, 0);
	}
	render_uid(LOST, 2, fresh);
	good = str_format("{\"metadata\":{\"uid\":\"%s\",\"annotations\":{\"%s\":\"%s\",\"%s\":\"2\"}}}", fresh,
			  ANNOTATION_ORIGINAL_UID, LOST, ANNOTATION_EPOCH);
	other = str_format("{\"metadata\":{\"uid\":\"%s\",\"annotations\":{\"%s\":\"%s\",\"%s\":\"3\"}}}", fresh,
			   ANNOTATION_ORIGINAL_UID, LOST, ANNOTATION_EPOCH);
	assert_int_equal(identify(other, uid, &epoch), -EINVAL);
	render_uid("../../etc", 2, fresh);
	path = str_format("{\"metadata\":{\"uid\":\"%s\",\"annotations\":{\"%s\":\"../../etc\",\"%s\":\"2\"}}}", fresh,
			  ANNOTATION_ORIGINAL_UID, ANNOTATION_EPOCH);
	assert_int_equal(identify(path, uid, &epoch), -EINVAL);
	assert_int_equal(identify(good, uid, &epoch), 0);
	assert_string_equal(uid, LOST);
	assert_int_equal(epoch, 2);
	assert_int_equal(manifest_identify(dir, "edge-healer-i.json", tiny, sizeof(tiny), &epoch), -EINVAL);
	assert_int_equal(manifest_identify(dir, "edge-healer-none.json", uid, sizeof(uid), &epoch), -ENOENT);
	assert_int_equal(rename(tmp_path(dir, "edge-healer-i.json"), tmp_path(dir, "kube.json")), 0);
	assert_int_equal(manifest_identify(dir, "kube.json", uid, sizeof(uid), &epoch), -EINVAL);
}

static void test_containers(void **state)
{
	cleanup(freep) char *names = NULL, *none = NULL;

	(void)state;
	assert_null(manifest_containers(dir, "edge-healer-none.json"));
	tmp_write(tmp_path(dir, "edge-healer-a.json"), "{\"spec\":{\"initContainers\":[{\"name\":\"init\"}],"
						       "\"containers\":[{\"name\":\"web\"},{\"name\":\"side\"}]}}");
	names = manifest_containers(dir, "edge-healer-a.json");
	assert_string_equal(names, "web side");
	none = manifest_containers_of(NULL);
	assert_string_equal(none, "");
	tmp_write(tmp_path(dir, "edge-healer-b.json"), "no JSON");
	assert_null(manifest_containers(dir, "edge-healer-b.json"));
	assert_null(manifest_containers(dir, "other.json"));
}

/* They are looked for below the folder of logs. */
static void test_containers_are_no_paths(void **state)
{
	cleanup(freep) char *names = NULL;

	(void)state;
	tmp_write(tmp_path(dir, "edge-healer-i.json"),
		  "{\"spec\":{\"containers\":[{\"name\":\"../../etc\"},{\"name\":\"web\"},{\"name\":\"a b\"},{},"
		  "{\"name\":\"side\"}]}}");
	names = manifest_containers(dir, "edge-healer-i.json");
	assert_string_equal(names, "web side");
	assert_null(manifest_containers(dir, "edge-healer-none.json"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_name),
	    cmocka_unit_test_setup_teardown(test_write_and_remove, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_prefix_protects, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_one_fails, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_too_big, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_each, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_identify, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_containers_are_no_paths, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_containers, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
