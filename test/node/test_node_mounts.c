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
	const struct render_params p = {.node = "n", .original_uid = UID_LOST, .epoch = 1, .lookup = lookup,
					.lookup_arg = objects,
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

#define M(name, path) "{'name':'" name "','mountPath':'" path "'}"
#define S(name, path, sub) "{'name':'" name "','mountPath':'" path "','subPath':'" sub "'}"
#define C(mounts) "{'name':'c','image':'i','volumeMounts':[" mounts "]}"
#define POD(mounts) "'containers':[" C(mounts) END
#define END "],'volumes':[" VOLUMES "]"
#define END_C "]}" END
#define KUBELET_ONLY \
	"spec.containers[0].volumeMounts[1]: mounted inside spec.containers[0].volumeMounts[0], " \
	"whose subPath only kubelet knows"
#define HOST(name, type) "{'name':'" name "','hostPath':{'path':'/x','type':'" type "'}}"
#define VOLUMES \
	"{'name':'v','secret':{'secretName':'s'}},{'name':'w','configMap':{'name':'c'}},{'name':'e','emptyDir':{}}," \
	"{'name':'d','downwardAPI':{'items':[{'path':'./labels','fieldRef':{'fieldPath':'metadata.labels'}}]}}," \
	"{'name':'p','projected':{'sources':[{'downwardAPI':{'items':[{'path':'x/n'}]}}]}}," \
	"{'name':'h','hostPath':{'path':'/x'}}," HOST("hf", "File") "," HOST("hc", "FileOrCreate") "," HOST("hs", "Socket") "," \
	HOST("hchar", "CharDevice") "," HOST("hblock", "BlockDevice") "," HOST("hd", "Directory")

static const struct {
	/* The mount points (what is in the bundle besides the files of the volumes), or the reason. */
	const char *spec, *want;
} rows[] = {
    /* Grafana as kube-prometheus has it */
    {POD(M("v", "/etc/grafana") "," M("w", "/etc/grafana/provisioning/dashboards") "," M("e", "/etc/grafana/plugins")),
     "v/provisioning/dashboards/ v/plugins/"},
    {POD(M("e", "/etc/grafana") "," M("w", "/etc/grafana/x")), ""},
    {POD(M("v", "/etc/v") "," M("w", "/etc/vw")), ""},
    {POD(M("v", "/v") "," M("v", "/v/again")), "v/again/"},
    {POD(M("v", "/") "," M("e", "/x/y")), "v/etc/hosts v/etc/hostname v/etc/resolv.conf v/dev/termination-log v/x/y/"},
    /* order does not matter; a mount point belongs to the mount that holds it */
    {POD(M("e", "/v/e/x") "," M("e", "/v/e") "," M("v", "/v")), "v/e/"},
    {POD(M("v", "/v") "," M("w", "/v/w") "," M("e", "/v/w/e")), "v/w/ w/e/"},
    /* any container */
    {"'initContainers':[" C(M("v", "/v") "," M("e", "/v/i")) ",{'name':'s','image':'i','restartPolicy':'Always','volumeMounts':["
	 M("v", "/v") "," M("e", "/v/s") "]}],'containers':[" C(M("v", "/v") "," M("e", "/v/c")) "," C(M("e", "/v/no"))
	 END,
     "v/i/ v/s/ v/c/"},
    /* files */
    {POD(M("v", "/v") "," S("w", "/v/file", "a") "," S("w", "/v/none", "gone") "," S("w", "/v/same", "./a")),
     "v/file v/none/ v/same"},
    {POD(M("v", "/v") "," M("hf", "/v/hf") "," M("hc", "/v/hc") "," M("hs", "/v/hs") "," M("hchar", "/v/hchar")
	 "," M("hblock", "/v/hblock") "," M("hd", "/v/hd") "," M("h", "/v/h")),
     "v/hf v/hc v/hs v/hchar v/hblock v/hd/ v/h/"},
    {POD(M("v", "/v") "," S("d", "/v/l", "labels") "," S("d", "/v/m", "no") "," S("p", "/v/n", "x//n") "," S("p", "/v/o", "x")),
     "v/l v/m/ v/n v/o/"},
    {POD(M("v", "/v") "," S("e", "/v/e", "f") "," S("none", "/v/f", "g")), "v/e/ v/f/"},
    /* below the subPath that is mounted */
    {POD(S("v", "/v", "sub/x") "," M("e", "/v/e")), "v/sub/x/e/"},
    {POD(S("v", "/v", ".") "," M("e", "/v/e")), "v/e/"},
    {POD(S("v", "/v", "../w") "," M("e", "/v/e")),
     KUBELET_ONLY},
    {POD(S("v", "/v", "a") "," M("e", "/v/e")),
     "spec.containers[0].volumeMounts[1]: needs a folder at /v/e, where the volume has a file"},
    {"'containers':[{'name':'c','image':'i','env':[{'name':'A','value':'x'},{'name':'N','valueFrom':{'fieldRef':{}}}],'volumeMounts':["
     "{'name':'v','mountPath':'/v','subPathExpr':'s-$(A)/$$(A)'}," M("e", "/v/e") END_C,
     "v/s-x/$(A)/e/"},
    {"'containers':[{'name':'c','image':'i','env':[{'name':'N','valueFrom':{'fieldRef':{}}}],'volumeMounts':["
     "{'name':'v','mountPath':'/v','subPathExpr':'$(N)'}," M("e", "/v/e") END_C,
     KUBELET_ONLY},
    {"'containers':[{'name':'c','image':'i','volumeMounts':[{'name':'v','mountPath':'/v','subPathExpr':'$(N)'},"
     "{'name':'w','mountPath':'/v/x','subPathExpr':'$(N)'}," M("w", "/w") ",{'name':'v','mountPath':'/w/a','subPathExpr':'$(N)'}" END_C,
     KUBELET_ONLY},
    /* paths as people write them; never out of the volume */
    {POD(M("v", "//etc/./v/") "," M("e", "/etc/v//e/./f/") "," M("e", "/etc/x/../v/g")), "v/e/f/ v/g/"},
    {POD(M("v", "etc/v") "," M("e", "/../../etc/v/e")), "v/e/"},
    {POD(M("v", "/v") "," M("e", "/v/../e") "," M("e", "/v/x/../../w")), ""},
    {POD(M("v", "/v") "," M("e", "/v/..data")),
     "spec.containers[0].volumeMounts[1].mountPath: /v/..data cannot be in a volume"},
    {POD(M("v", "/v") "," M("e", "/v/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3")),
     "spec.containers[0].volumeMounts[1].mountPath: /v/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3 cannot be"},
    /* what is there already stays where the kinds agree */
    {POD(M("v", "/v") "," S("w", "/v/a", "b")), ""},
    {POD(M("v", "/v") "," M("h", "/v/a") "," S("e", "/v/b", "x")), ""},
    {POD(M("v", "/v") "," M("e", "/v/a")),
     "spec.containers[0].volumeMounts[1]: needs a folder at /v/a, where the volume has a file"},
    {POD(M("v", "/v") "," M("e", "/v/a/x")),
     "spec.containers[0].volumeMounts[1]: needs a folder at /v/a/x, where the volume has a file"},
    {POD(M("v", "/v") "," M("hf", "/v/x") "," M("e", "/v/x/y/z") "," M("v", "/u") "," M("e", "/u/x")),
     "spec.containers[0].volumeMounts[4]: needs a folder at /u/x, where the volume has a file"},
    {"'containers':[" C(M("v", "/v") "," M("e", "/v/x/y")) "," C(M("v", "/v") "," M("hs", "/v/x")) END,
     "spec.containers[1].volumeMounts[1]: needs a file at /v/x, where the volume has a folder"},
    {"'containers':[" C(M("v", "/v") "," M("h", "/v/x")) "," C(M("v", "/v") "," M("hs", "/v/x")) END,
     "v/x"},
    /* what the runtime mounts by itself, unless a volume is mounted there */
    {POD(M("w", "/etc")), "w/hosts w/hostname w/resolv.conf"},
    {POD(M("w", "/etc") "," M("e", "/etc/hosts")), "w/hostname w/resolv.conf w/hosts/"},
    {"'containers':[{'name':'c','image':'i','terminationMessagePath':'/w/log/end','volumeMounts':[" M("w", "/w") END_C,
     "w/log/end"},
    {"'containers':[{'name':'c','image':'i','terminationMessagePath':'/w/a/end','volumeMounts':[" M("w", "/w") END_C,
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
	    POD(M("v", "/etc") "," M("e", "/etc/e/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1")), &b, reason);
	struct stat st;

	(void)state;
	assert_string_equal(reason, "");
	assert_non_null(out);
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
	buf_adds(&spec, "'volumes':[" VOLUMES "],'containers':[{'name':'c','image':'i','volumeMounts':[" M("v", "/v"));
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
