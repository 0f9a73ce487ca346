/* test_node_mounts.c — mount points inside the volumes that become a bundle */
#include "../support.h"

#include <sys/stat.h>

#include "base/json.h"
#include "node/bundle.h"
#include "node/render.h"

#define UID_LOST "bdedc685-793f-415f-80c0-fdb7fddfd6e1"

static json_object *parse(const char *text)
{
	json_object *o = NULL;
	cleanup(freep) char *quoted = str_dup(text);

	for (char *p = quoted; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	if (json_parse(quoted, strlen(quoted), &o) != 0)
		fail_msg("no JSON: %s", quoted);
	return o;
}

/* Every ConfigMap and Secret has the keys a and b. */
static enum render_lookup lookup(void *arg, const struct ref *r, const json_object **out_object, const char **out_why)
{
	json_object **objects = arg;

	(void)out_why;
	*out_object = objects[r->kind == REF_SECRET];
	return LOOKUP_FOUND;
}

static json_object *objects[2];

static int setup(void **state)
{
	(void)state;
	objects[0] = parse("{'data':{'a':'one','b':'two'}}");
	objects[1] = parse("{'data':{'a':'b25l','b':'dHdv'}}");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	json_putp(&objects[0]);
	json_putp(&objects[1]);
	return 0;
}

static json_object *render(const char *spec, struct bundle *b, char reason[REASON_SIZE])
{
	cleanup(freep) char *text = str_format("{'metadata':{'name':'web','namespace':'shop'},'spec':{%s}}", spec);
	cleanup(json_putp) json_object *pod = parse(text);
	const struct render_params p = {.node = "n", .original_uid = UID_LOST, .epoch = 1, .lookup = lookup, .lookup_arg = objects,
					.bundle_dir = "/b", .bundle = b};
	const struct render_params judged = {.ns = "shop", .lookup = lookup, .lookup_arg = objects};
	json_object *out = NULL;
	char again[REASON_SIZE] = "";

	reason[0] = '\0';
	(void)render_static_pod(pod, &p, &out, reason);
	(void)render_check_template(pod, &judged, again);
	assert_string_equal(again, reason); /* the question and the deed agree */
	return out;
}

#define MOUNT(name, path) "{'name':'" name "','mountPath':'" path "'}"
#define SUB(name, path, sub) "{'name':'" name "','mountPath':'" path "','subPath':'" sub "'}"
#define C(mounts) "{'name':'c','image':'i','volumeMounts':[" mounts "]}"
#define POD(mounts) "'containers':[" C(mounts) "],'volumes':[" VOLUMES "]"
#define HOST(name, type) "{'name':'" name "','hostPath':{'path':'/x','type':'" type "'}}"
#define VOLUMES                                                                                                                      \
	"{'name':'v','secret':{'secretName':'s'}},{'name':'w','configMap':{'name':'c'}},{'name':'e','emptyDir':{}},"                 \
	"{'name':'d','downwardAPI':{'items':[{'path':'./labels','fieldRef':{'fieldPath':'metadata.labels'}}]}},"                     \
	"{'name':'p','projected':{'sources':[{'downwardAPI':{'items':[{'path':'x/n'}]}}]}},"                                         \
	"{'name':'h','hostPath':{'path':'/x'}}," HOST("hf", "File") "," HOST("hc", "FileOrCreate") "," HOST("hs", "Socket") ","      \
	HOST("hchar", "CharDevice") "," HOST("hblock", "BlockDevice") "," HOST("hd", "Directory")

static const struct {
	const char *spec, *want;	/* the mount points: what is in the bundle besides the files of the volumes; or the reason */
} rows[] = {
    /* Grafana as kube-prometheus has it */
    {POD(MOUNT("v", "/etc/grafana") "," MOUNT("w", "/etc/grafana/provisioning/dashboards") "," MOUNT("e", "/etc/grafana/plugins")),
     "v/provisioning/dashboards/ v/plugins/"},
    {POD(MOUNT("e", "/etc/grafana") "," MOUNT("w", "/etc/grafana/x")), ""},
    {POD(MOUNT("v", "/etc/v") "," MOUNT("w", "/etc/vw")), ""},
    {POD(MOUNT("v", "/v") "," MOUNT("v", "/v/again")), "v/again/"},
    {POD(MOUNT("v", "/") "," MOUNT("e", "/x/y")), "v/etc/hosts v/etc/hostname v/etc/resolv.conf v/dev/termination-log v/x/y/"},
    /* order does not matter; a mount point belongs to the mount that holds it */
    {POD(MOUNT("e", "/v/e/x") "," MOUNT("e", "/v/e") "," MOUNT("v", "/v")), "v/e/"},
    {POD(MOUNT("v", "/v") "," MOUNT("w", "/v/w") "," MOUNT("e", "/v/w/e")), "v/w/ w/e/"},
    /* any container */
    {"'initContainers':[" C(MOUNT("v", "/v") "," MOUNT("e", "/v/i")) ",{'name':'s','image':'i','restartPolicy':'Always','volumeMounts':["
	 MOUNT("v", "/v") "," MOUNT("e", "/v/s") "]}],'containers':[" C(MOUNT("v", "/v") "," MOUNT("e", "/v/c")) "," C(MOUNT("e", "/v/no"))
	 "],'volumes':[" VOLUMES "]",
     "v/i/ v/s/ v/c/"},
    /* files */
    {POD(MOUNT("v", "/v") "," SUB("w", "/v/file", "a") "," SUB("w", "/v/none", "gone") "," SUB("w", "/v/same", "./a")),
     "v/file v/none/ v/same"},
    {POD(MOUNT("v", "/v") "," MOUNT("hf", "/v/hf") "," MOUNT("hc", "/v/hc") "," MOUNT("hs", "/v/hs") "," MOUNT("hchar", "/v/hchar")
	 "," MOUNT("hblock", "/v/hblock") "," MOUNT("hd", "/v/hd") "," MOUNT("h", "/v/h")),
     "v/hf v/hc v/hs v/hchar v/hblock v/hd/ v/h/"},
    {POD(MOUNT("v", "/v") "," SUB("d", "/v/l", "labels") "," SUB("d", "/v/m", "no") "," SUB("p", "/v/n", "x//n") "," SUB("p", "/v/o", "x")),
     "v/l v/m/ v/n v/o/"},
    {POD(MOUNT("v", "/v") "," SUB("e", "/v/e", "f") "," SUB("none", "/v/f", "g")), "v/e/ v/f/"},
    /* below the subPath that is mounted */
    {POD(SUB("v", "/v", "sub/x") "," MOUNT("e", "/v/e")), "v/sub/x/e/"},
    {POD(SUB("v", "/v", ".") "," MOUNT("e", "/v/e")), "v/e/"},
    {POD(SUB("v", "/v", "../w") "," MOUNT("e", "/v/e")),
     "spec.containers[0].volumeMounts[1]: mounted inside spec.containers[0].volumeMounts[0], whose subPath only kubelet knows"},
    {POD(SUB("v", "/v", "a") "," MOUNT("e", "/v/e")),
     "spec.containers[0].volumeMounts[1]: needs a folder at /v/e, where the volume has a file"},
    {"'containers':[{'name':'c','image':'i','env':[{'name':'A','value':'x'},{'name':'N','valueFrom':{'fieldRef':{}}}],'volumeMounts':["
     "{'name':'v','mountPath':'/v','subPathExpr':'s-$(A)/$$(A)'}," MOUNT("e", "/v/e") "]}],'volumes':[" VOLUMES "]",
     "v/s-x/$(A)/e/"},
    {"'containers':[{'name':'c','image':'i','env':[{'name':'N','valueFrom':{'fieldRef':{}}}],'volumeMounts':["
     "{'name':'v','mountPath':'/v','subPathExpr':'$(N)'}," MOUNT("e", "/v/e") "]}],'volumes':[" VOLUMES "]",
     "spec.containers[0].volumeMounts[1]: mounted inside spec.containers[0].volumeMounts[0], whose subPath only kubelet knows"},
    {"'containers':[{'name':'c','image':'i','volumeMounts':[{'name':'v','mountPath':'/v','subPathExpr':'$(N)'},"
     "{'name':'w','mountPath':'/v/x','subPathExpr':'$(N)'}," MOUNT("w", "/w") ",{'name':'v','mountPath':'/w/a','subPathExpr':'$(N)'}]}],"
     "'volumes':[" VOLUMES "]",
     "spec.containers[0].volumeMounts[1]: mounted inside spec.containers[0].volumeMounts[0], whose subPath only kubelet knows"},
    /* paths as people write them; never out of the volume */
    {POD(MOUNT("v", "//etc/./v/") "," MOUNT("e", "/etc/v//e/./f/") "," MOUNT("e", "/etc/x/../v/g")), "v/e/f/ v/g/"},
    {POD(MOUNT("v", "etc/v") "," MOUNT("e", "/../../etc/v/e")), "v/e/"},
    {POD(MOUNT("v", "/v") "," MOUNT("e", "/v/../e") "," MOUNT("e", "/v/x/../../w")), ""},
    {POD(MOUNT("v", "/v") "," MOUNT("e", "/v/..data")), "spec.containers[0].volumeMounts[1].mountPath: /v/..data cannot be in a volume"},
    {POD(MOUNT("v", "/v") "," MOUNT("e", "/v/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3")),
     "spec.containers[0].volumeMounts[1].mountPath: /v/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3 cannot be"},
    /* what is there already stays where the kinds agree */
    {POD(MOUNT("v", "/v") "," SUB("w", "/v/a", "b")), ""},
    {POD(MOUNT("v", "/v") "," MOUNT("h", "/v/a") "," SUB("e", "/v/b", "x")), ""},
    {POD(MOUNT("v", "/v") "," MOUNT("e", "/v/a")),
     "spec.containers[0].volumeMounts[1]: needs a folder at /v/a, where the volume has a file"},
    {POD(MOUNT("v", "/v") "," MOUNT("e", "/v/a/x")),
     "spec.containers[0].volumeMounts[1]: needs a folder at /v/a/x, where the volume has a file"},
    {POD(MOUNT("v", "/v") "," MOUNT("hf", "/v/x") "," MOUNT("e", "/v/x/y/z") "," MOUNT("v", "/u") "," MOUNT("e", "/u/x")),
     "spec.containers[0].volumeMounts[4]: needs a folder at /u/x, where the volume has a file"},
    {"'containers':[" C(MOUNT("v", "/v") "," MOUNT("e", "/v/x/y")) "," C(MOUNT("v", "/v") "," MOUNT("hs", "/v/x")) "],'volumes':[" VOLUMES "]",
     "spec.containers[1].volumeMounts[1]: needs a file at /v/x, where the volume has a folder"},
    {"'containers':[" C(MOUNT("v", "/v") "," MOUNT("h", "/v/x")) "," C(MOUNT("v", "/v") "," MOUNT("hs", "/v/x")) "],'volumes':[" VOLUMES "]",
     "v/x"},
    /* what the runtime mounts by itself, unless a volume is mounted there */
    {POD(MOUNT("w", "/etc")), "w/hosts w/hostname w/resolv.conf"},
    {POD(MOUNT("w", "/etc") "," MOUNT("e", "/etc/hosts")), "w/hostname w/resolv.conf w/hosts/"},
    {"'containers':[{'name':'c','image':'i','terminationMessagePath':'/w/log/end','volumeMounts':[" MOUNT("w", "/w") "]}],'volumes':[" VOLUMES "]",
     "w/log/end"},
    {"'containers':[{'name':'c','image':'i','terminationMessagePath':'/w/a/end','volumeMounts':[" MOUNT("w", "/w") "]}],'volumes':[" VOLUMES "]",
     "spec.containers[0].terminationMessagePath: needs a file at /w/a/end, where the volume has a file"},
};

/* What is in the bundle besides the volumes and their own files; each path once, below its volume. */
static void describe(const struct bundle *b, struct buf *out)
{
	static const char *const own[] = {"v", "v/a", "v/b", "w", "w/a", "w/b"};

	buf_adds(out, "");
	for (size_t i = 0; i < b->count; i++) {
		const struct bundle_item *it = &b->items[i];
		bool known = false;

		for (size_t k = 0; k < ARRAY_LEN(own); k++)
			known = known || str_eq(own[k], it->path);
		if (known)
			continue;
		buf_addf(out, "%s%s%s", out->len ? " " : "", it->path, it->is_dir ? "/" : "");
		assert_int_equal(it->mode, it->is_dir ? 0755 : 0644);
		assert_int_equal(it->len, 0);
	}
}

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup(bundle_fini) struct bundle b = {0};
		cleanup(buf_fini) struct buf got = BUF_INIT;
		char reason[REASON_SIZE];
		cleanup(json_putp) json_object *out = render(rows[i].spec, &b, reason);

		if (out)
			describe(&b, &got);
		else
			buf_adds(&got, reason);
		if (out ? !str_eq(got.data, rows[i].want) : !*rows[i].want || !str_has_prefix(got.data, rows[i].want))
			fail_msg("%s:\n%s instead of\n%s", rows[i].spec, got.data, rows[i].want);
	}
}

/* What was rendered can be written, and removed. */
static void test_on_disk(void **state)
{
	static const char uid[] = "00000000-0000-5000-8000-00000000000a";
	cleanup(bundle_fini) struct bundle b = {0};
	char dir[TMP_SIZE], reason[REASON_SIZE];
	cleanup(json_putp) json_object *out = render(
	    POD(MOUNT("v", "/etc") "," MOUNT("e", "/etc/e/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1")), &b, reason);
	struct stat st;

	(void)state;
	assert_string_equal(reason, "");
	tmp_new(dir);
	assert_int_equal(bundle_write(dir, uid, &b), 0);
	assert_int_equal(lstat(tmp_path(dir, "00000000-0000-5000-8000-00000000000a/v/hosts"), &st), 0);
	assert_true(S_ISREG(st.st_mode) && st.st_size == 0);
	assert_int_equal(lstat(tmp_path(dir, "00000000-0000-5000-8000-00000000000a/v/e/1/2/3/4/5"), &st), 0);
	assert_true(S_ISDIR(st.st_mode) && (st.st_mode & 0777) == 0755);
	assert_int_equal(bundle_remove(dir, uid), 0);
	assert_int_equal(tmp_count(dir), 0);
	tmp_free(dir);
}

/* Readiness says no as well where a limit is passed. */
static void test_limits(void **state)
{
	cleanup(buf_fini) struct buf spec = BUF_INIT;
	cleanup(bundle_fini) struct bundle b = {0};
	char reason[REASON_SIZE];
	json_object *out;

	(void)state;
	buf_adds(&spec, "'volumes':[" VOLUMES "],'containers':[{'name':'c','image':'i','volumeMounts':[" MOUNT("v", "/v"));
	for (int i = 0; i < BUNDLE_FILES_MAX; i++)
		buf_addf(&spec, ",{'name':'e','mountPath':'/v/%d'}", i);
	buf_adds(&spec, "]}]");
	out = render(spec.data, &b, reason);
	assert_null(out);
	if (!strstr(reason, ": more than 4096 files"))
		fail_msg("%s", reason);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_rows, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_on_disk, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
