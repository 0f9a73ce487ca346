/* test_node_bundle.c — references of a template, their values as literals and files, and the files on disk */
#include "../support.h"

#include <sys/stat.h>

#include "base/base64.h"
#include "base/json.h"
#include "node/bundle.h"
#include "node/refs.h"
#include "node/render.h"

#define UID_LOST "bdedc685-793f-415f-80c0-fdb7fddfd6e1"
#define UID_A "00000000-0000-5000-8000-00000000000a"
#define UID_B "00000000-0000-5000-8000-00000000000b"

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

/* ---- what there is ---- */

static const struct {
	const char *key, *doc;
} objects[] = {
    {"ConfigMap/shop/c", "{'data':{'a':'one','b':'$(a) $$ $','1bad':'x','dot.name':'d'},'binaryData':{'bin':'AAEC'}}"},
    {"ConfigMap/shop/d", "{'data':{'a':'two'}}"},
    {"ConfigMap/shop/evil", "{'data':{'..':'x'}}"},
    {"Secret/shop/s",
     "{'data':{'p':'JHt9JChhKQ==','nul':'YQBi','latin':'6Q==','tail':'/4CAgICAgICAgICAgIA=','snow':'4piD','half':'4pg=','bad':'*'}}"},
    {"Secret/shop/q", "{'data':{'p':'cXE=','r':'cnI='}}"},
};

static enum render_lookup lookup(void *arg, const struct ref *r, const json_object **out_object, const char **out_why)
{
	struct json_object **docs = arg;
	char key[REF_KEY_SIZE];

	ref_key(r, key);
	if (str_eq(r->name, "later")) {
		*out_why = "no answer yet";
		return LOOKUP_UNKNOWN;
	}
	for (size_t i = 0; i < ARRAY_LEN(objects); i++)
		if (str_eq(objects[i].key, key)) {
			*out_object = docs[i];
			return LOOKUP_FOUND;
		}
	return LOOKUP_MISSING;
}

static json_object *docs[ARRAY_LEN(objects)];

static int setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(objects); i++)
		docs[i] = parse(objects[i].doc);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(objects); i++)
		json_wipe_putp(&docs[i]);
	return 0;
}

static bool relaxed, no_secrets;

/* Render a pod of these container and pod fields; "" = it was rendered. */
static json_object *render(const char *container, const char *spec, struct bundle *b, char reason[REASON_SIZE])
{
	cleanup(freep) char *text =
	    str_format("{'metadata':{'name':'web','namespace':'shop'},'spec':{'containers':[{'name':'c','image':'i'%s}]%s}}", container,
		       spec);
	cleanup(json_putp) json_object *pod = parse(text);
	const struct render_params p = {.node = "n", .original_uid = UID_LOST, .epoch = 1, .lookup = lookup, .lookup_arg = docs,
					.bundle_dir = "/b", .bundle = b, .relaxed_env = relaxed,
					.no_secret_env = no_secrets};
	const struct render_params judged = {.ns = "shop", .lookup = lookup, .lookup_arg = docs, .relaxed_env = relaxed,
					     .no_secret_env = no_secrets};
	json_object *out = NULL;
	char again[REASON_SIZE] = "";

	reason[0] = '\0';
	(void)render_static_pod(pod, &p, &out, reason);
	(void)render_check_template(pod, &judged, again);
	assert_string_equal(again, reason); /* the question and the deed agree */
	return out;
}

/* ---- env ---- */

/* What the container's env becomes, or the reason. */
static void check_env(const char *container, const char *env)
{
	char reason[REASON_SIZE];
	cleanup(json_wipe_putp) json_object *out = render(container, "", NULL, reason);
	const json_object *c = json_at(json_get(out, "spec.containers"), 0);
	cleanup(freep) char *got = str_dup(out ? str_or(json_text(json_get(c, "env")), "null") : reason);
	cleanup(json_putp) json_object *want = strchr("[n", env[0]) && env[0] ? parse(env) : NULL;

	assert_null(json_get(c, "envFrom"));
	if (!str_eq(got, want ? json_text(want) : str_eq(env, "null") ? "null" : env))
		fail_msg("%s:\n%s instead of\n%s", container, got, env);
}

static void test_env(void **state)
{
#define CM(name, key, more) "'valueFrom':{'configMapKeyRef':{'name':'" name "','key':'" key "'" more "}}"
#define SEC(name, key, more) "'valueFrom':{'secretKeyRef':{'name':'" name "','key':'" key "'" more "}}"
	static const struct {
		const char *container, *env; /* env: what comes out, or the reason */
	} rows[] = {
	    {"", "null"},
	    {",'env':[{'name':'A','value':'$(B)'}]", "[{'name':'A','value':'$(B)'}]"},
	    {",'env':[{'name':'A'," CM("c", "a", "") "},{'name':'B','value':'$(A)'}]",
	     "[{'name':'A','value':'one'},{'name':'B','value':'$(A)'}]"},
	    {",'env':[{'name':'A'," CM("c", "b", "") "}]", "[{'name':'A','value':'$$(a) $$$$ $$'}]"},
	    {",'env':[{'name':'A'," SEC("s", "p", "") "}]", "[{'name':'A','value':'$${}$$(a)'}]"},
	    {",'env':[{'name':'A','value':'x'," CM("none", "b", "") "}]", /* the value wins, as in kubelet */
	     "[{'name':'A','value':'x','valueFrom':{'configMapKeyRef':{'name':'none','key':'b'}}}]"},
	    {",'env':[{'name':'A'," CM("c", "z", "") "}]", "spec.containers[0].env[0] (A): ConfigMap c has no key z"},
	    {",'env':[{'name':'A'," CM("c", "bin", "") "}]", "spec.containers[0].env[0] (A): ConfigMap c has no key bin"},
	    {",'env':[{'name':'A'," CM("c", "z", ",'optional':true") "}]", "[]"},
	    {",'env':[{'name':'A'," SEC("gone", "z", ",'optional':true") "},{'name':'B','value':''}]", "[{'name':'B','value':''}]"},
	    {",'env':[{'name':'A'," SEC("gone", "z", "") "}]", "spec.containers[0].env[0] (A): Secret gone is missing"},
	    {",'env':[{'name':'A'," SEC("later", "z", ",'optional':true") "}]",
	     "spec.containers[0].env[0] (A): Secret later is not mirrored: no answer yet"},
	    {",'env':[{'name':'A'," SEC("s", "nul", "") "}]", "spec.containers[0].env[0] (A): key nul of Secret s is no text"},
	    {",'env':[{'name':'A'," SEC("s", "latin", "") "}]", "spec.containers[0].env[0] (A): key latin of Secret s is no text"},
	    {",'env':[{'name':'A'," SEC("s", "tail", "") "}]", "spec.containers[0].env[0] (A): key tail of Secret s is no text"},
	    {",'env':[{'name':'A'," SEC("s", "half", "") "}]", "spec.containers[0].env[0] (A): key half of Secret s is no text"},
	    {",'env':[{'name':'A'," SEC("s", "snow", "") "}]", "[{'name':'A','value':'\xe2\x98\x83'}]"},
	    {",'env':[{'name':'A'," SEC("s", "bad", "") "}]", "spec.containers[0].env[0] (A): key bad of Secret s is no base64"},
	    {",'env':[{'name':'A','valueFrom':{'fieldRef':{'fieldPath':'metadata.name'}}}]",
	     "[{'name':'A','valueFrom':{'fieldRef':{'fieldPath':'metadata.name'}}}]"},
	    /* envFrom: no names that begin with a digit, unless a prefix mends them; a later source wins; env behind */
	    {",'envFrom':[{'configMapRef':{'name':'c'}},{'configMapRef':{'name':'d'}}],'env':[{'name':'a','value':'$(a)!'}]",
	     "[{'name':'a','value':'two'},{'name':'b','value':'$$(a) $$$$ $$'},{'name':'dot.name','value':'d'},"
	     "{'name':'a','value':'$(a)!'}]"},
	    {",'envFrom':[{'prefix':'P_','secretRef':{'name':'q'}}]", "[{'name':'P_p','value':'qq'},{'name':'P_r','value':'rr'}]"},
	    {",'envFrom':[{'prefix':'1','secretRef':{'name':'q'}}]", "[]"},
	    {",'envFrom':[{'configMapRef':{'name':'gone','optional':true}}]", "[]"},
	    {",'envFrom':[{'configMapRef':{'name':'gone'}}]", "spec.containers[0].envFrom[0]: ConfigMap gone is missing"},
	    {",'envFrom':[{'configMapRef':{'name':'d'}},{'secretRef':{'name':'s'}}]",
	     "spec.containers[0].envFrom[1]: key nul of Secret s is no text"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check_env(rows[i].container, rows[i].env);
}

/* Since 1.34 a static pod may have any printable name: what kubelet makes of the original, the copy gets too. */
static void keys_that_are_no_names_are_variables_too_since_1_34(void **state)
{
	static const struct {
		const char *container, *strict, *wide;
	} rows[] = {
	    {",'envFrom':[{'configMapRef':{'name':'c'}}]", NULL,
	     "[{'name':'a','value':'one'},{'name':'b','value':'$$(a) $$$$ $$'},{'name':'1bad','value':'x'},"
	     "{'name':'dot.name','value':'d'}]"},
	    {",'envFrom':[{'prefix':'1','secretRef':{'name':'q'}}]", "[]", "[{'name':'1p','value':'qq'},{'name':'1r','value':'rr'}]"},
	    {",'envFrom':[{'configMapRef':{'name':'evil'}}]", "[]", "[{'name':'..','value':'x'}]"},
	    {",'envFrom':[{'prefix':'a b:','configMapRef':{'name':'d'}}]", "[]", "[{'name':'a b:a','value':'two'}]"},
	    {",'envFrom':[{'prefix':'A=','configMapRef':{'name':'d'}}]", "[]", "[]"},
	    {",'envFrom':[{'prefix':'\xc3\xa9','configMapRef':{'name':'d'}}]", "[]", "[]"},
	    {",'envFrom':[{'prefix':'\x7f','configMapRef':{'name':'d'}}]", "[]", "[]"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].strict)
			check_env(rows[i].container, rows[i].strict);
		relaxed = true;
		check_env(rows[i].container, rows[i].wide);
		relaxed = false;
	}
}

/* heal.secret_env: refuse. Files of Secrets are no literals, and ConfigMaps no Secrets. */
static void variables_from_secrets_are_refused_on_request(void **state)
{
	static const char volumes[] = ",'volumes':[{'name':'v','secret':{'secretName':'q'}}]";
	char reason[REASON_SIZE];
	json_object *out;

	(void)state;
	no_secrets = true;
	check_env(",'env':[{'name':'A'," SEC("q", "p", "") "}]",
		  "spec.containers[0].env[0] (A): a value of Secret q would be a literal (heal.secret_env)");
	check_env(",'envFrom':[{'configMapRef':{'name':'d'}},{'secretRef':{'name':'q'}}]",
		  "spec.containers[0].envFrom[1]: a value of Secret q would be a literal (heal.secret_env)");
	check_env(",'env':[{'name':'A'," SEC("q", "z", ",'optional':true") "}]", "[]");
	check_env(",'envFrom':[{'configMapRef':{'name':'d'}},{'secretRef':{'name':'gone','optional':true}}]",
		  "[{'name':'a','value':'two'}]");
	out = render("", volumes, NULL, reason);
	assert_string_equal(reason, "");
	json_wipe_putp(&out);
	no_secrets = false;
}

/* ---- volumes ---- */

static void describe(const struct bundle *b, struct buf *out)
{
	buf_adds(out, "");
	for (size_t i = 0; i < b->count; i++) {
		const struct bundle_item *it = &b->items[i];

		buf_addf(out, "%s%s%s %o", i ? " " : "", it->path, it->is_dir ? "/" : "", (unsigned)it->mode);
		for (size_t k = 0; k < it->len; k++)
			buf_addf(out, "%s%02x", k ? "" : "=", ((unsigned char *)it->data)[k]);
	}
}

static void test_volumes(void **state)
{
#define V(source) ",'volumes':[{'name':'v'," source "}]"
	static const struct {
		const char *spec, *want; /* the files, or the reason */
	} rows[] = {
	    {"", ""},
	    {V("'emptyDir':{}"), ""},
	    {V("'configMap':{'name':'d'}"), "v/ 755 v/a 644=74776f"},
	    {V("'configMap':{'name':'c'}"),
	     "v/ 755 v/a 644=6f6e65 v/b 644=24286129202424202"
	     "4 v/1bad 644=78 v/dot.name 644=64 v/bin 644=000102"},
	    {V("'secret':{'secretName':'q','defaultMode':256}"), "v/ 755 v/p 400=7171 v/r 400=7272"},
	    {V("'secret':{'secretName':'q','items':[{'key':'r','path':'x/y','mode':511}]}"), "v/ 755 v/x/y 777=7272"},
	    {V("'configMap':{'name':'d','items':[{'key':'z','path':'z'}]}"), "spec.volumes[0]: ConfigMap d has no key z"},
	    {V("'configMap':{'name':'d','optional':true,'items':[{'key':'z','path':'z'}]}"), "v/ 755"},
	    {V("'configMap':{'name':'gone','optional':true}"), "v/ 755"},
	    {V("'configMap':{'name':'gone'}"), "spec.volumes[0]: ConfigMap gone is missing"},
	    {V("'secret':{'secretName':'later','optional':true}"), "spec.volumes[0]: Secret later is not mirrored: no answer yet"},
	    {V("'secret':{'secretName':'s'}"), "spec.volumes[0]: key bad of Secret s is no base64"},
	    {V("'configMap':{'name':'d','items':[{'key':'a','path':'../x'}]}"), "spec.volumes[0]: the path ../x leaves the volume"},
	    {V("'configMap':{'name':'d','items':[{'key':'a','path':'x/../../y'}]}"),
	     "spec.volumes[0]: the path x/../../y leaves the volume"},
	    {V("'configMap':{'name':'d','items':[{'key':'a','path':'/etc/x'}]}"), "spec.volumes[0]: the path /etc/x leaves the volume"},
	    {V("'configMap':{'name':'evil'}"), "spec.volumes[0]: the path .. leaves the volume"},
	    {",'volumes':[{'name':'../v','configMap':{'name':'d'}}]", "spec.volumes[0].name: ../v cannot name a folder"},
	    {V("'projected':{'sources':[{'downwardAPI':{}}]}"), ""},
	    {V("'projected':{'defaultMode':288,'sources':[{'configMap':{'name':'d'}},{'secret':{'name':'q','items':["
	       "{'key':'p','path':'a'}]}}]}"),
	     "v/ 755 v/a 440=7171"},
	    {V("'projected':{'sources':[{'configMap':{'name':'d'}},{'downwardAPI':{}}]}"),
	     "spec.volumes[0].projected.sources[1]: downwardAPI beside other sources cannot be written by us"},
	    {V("'projected':{'sources':[{'configMap':{'name':'d'}},{'serviceAccountToken':{'path':'t'}}]}"),
	     "spec.volumes[0].projected.sources[1]: needs serviceAccountToken "},
	    {",'securityContext':{'fsGroup':2000}" V("'secret':{'secretName':'q','defaultMode':256}"),
	     "v/ 755 v/p 440=7171 v/r 440=7272"},
	    {",'securityContext':{'fsGroup':0}" V("'secret':{'secretName':'q','defaultMode':256}"),
	     "v/ 755 v/p 440=7171 v/r 440=7272"},
	    /* what the API allows as a path, as kubelet cleans it */
	    {V("'secret':{'secretName':'q','items':[{'key':'p','path':'./a'},{'key':'p','path':'b//c'},{'key':'p','path':'d/./e/'},"
	       "{'key':'r','path':'b/c'}]}"),
	     "v/ 755 v/a 644=7171 v/b/c 644=7272 v/d/e 644=7171"},
	    {V("'configMap':{'name':'d','items':[{'key':'a','path':'a/./../b'}]}"), "spec.volumes[0]: the path a/./../b leaves the volume"},
	    {V("'configMap':{'name':'d','items':[{'key':'a','path':'./..x'}]}"), "spec.volumes[0]: the path ./..x leaves the volume"},
	    {V("'configMap':{'name':'d','items':[{'key':'a','path':'.'}]}"), "spec.volumes[0]: the path . leaves the volume"},
	    {V("'configMap':{'name':'d','items':[{'key':'a','path':''}]}"), "spec.volumes[0]: the path  leaves the volume"},
	    {V("'configMap':{'name':'d','items':[{'key':'a','path':'x..y/..z'}]}"), "v/ 755 v/x..y/..z 644=74776f"},
	    /* kubelet could not write that either */
	    {V("'secret':{'secretName':'q','items':[{'key':'p','path':'a'},{'key':'p','path':'a/b'}]}"),
	     "spec.volumes[0]: the path a/b is a file and a folder"},
	    {V("'secret':{'secretName':'q','items':[{'key':'p','path':'a/b'},{'key':'p','path':'a/'}]}"),
	     "spec.volumes[0]: the path a is a file and a folder"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup(bundle_fini) struct bundle b = {0};
		cleanup(buf_fini) struct buf got = BUF_INIT;
		char reason[REASON_SIZE];
		cleanup(json_wipe_putp) json_object *out = render("", rows[i].spec, &b, reason);

		if (out)
			describe(&b, &got);
		else
			buf_adds(&got, reason);
		if (!str_eq(got.data, rows[i].want))
			fail_msg("%s:\n%s instead of\n%s", rows[i].spec, got.data, rows[i].want);
	}
}

static void test_mounts_are_read_only(void **state)
{
	cleanup(bundle_fini) struct bundle b = {0};
	char reason[REASON_SIZE], uid[UUID_TEXT_SIZE], path[256];
	cleanup(json_wipe_putp) json_object *out = render(
	    ",'volumeMounts':[{'name':'v','mountPath':'/v','subPath':'a','readOnly':false},{'name':'w','mountPath':'/w'}]",
	    ",'imagePullSecrets':[{'name':'later'}],'volumes':[{'name':'v','configMap':{'name':'d'}},{'name':'w','emptyDir':{}}]", &b,
	    reason);
	const json_object *c = json_at(json_get(out, "spec.containers"), 0), *v = json_at(json_get(out, "spec.volumes"), 0);

	(void)state;
	render_uid(UID_LOST, 1, uid);
	(void)snprintf(path, sizeof(path), "/b/%s/v", uid);
	assert_string_equal(json_get_str(v, "hostPath.path"), path);
	assert_string_equal(json_get_str(v, "hostPath.type"), "Directory");
	assert_null(json_get(v, "configMap"));
	assert_true(json_get_bool(json_at(json_get(c, "volumeMounts"), 0), "readOnly", false));
	assert_string_equal(json_get_str(json_at(json_get(c, "volumeMounts"), 0), "subPath"), "a");
	assert_false(json_get_bool(json_at(json_get(c, "volumeMounts"), 1), "readOnly", false));
	assert_null(json_get(out, "spec.imagePullSecrets"));
}

/* ---- references ---- */

static void see_ref(void *arg, const struct ref *r)
{
	char key[REF_KEY_SIZE];

	ref_key(r, key);
	buf_addf(arg, "%s%s ", key, r->optional ? "?" : "");
}

static void test_refs(void **state)
{
	cleanup(json_putp) json_object *tmpl = parse(
	    "{'spec':{'initContainers':[{'envFrom':[{'secretRef':{'name':'i'}}]}],'containers':[{'envFrom':[{'configMapRef':{"
	    "'name':'f','optional':true}},{}],'env':[{'valueFrom':{'secretKeyRef':{'name':'e','key':'k'}}},{'value':'x'},5]}],"
	    "'volumes':[{'name':'a','configMap':{'name':'v'}},{'name':'b','secret':{'secretName':'w','optional':true}},"
	    "{'name':'c','projected':{'sources':[{'configMap':{'name':'p'}},{'secret':{'name':'p'}},{'downwardAPI':{}}]}},"
	    "{'name':'kube-api-access-x','projected':{'sources':[{'serviceAccountToken':{'path':'token'}},{'configMap':{'name':"
	    "'kube-root-ca.crt','items':[{'key':'ca.crt','path':'ca.crt'}]}},{'downwardAPI':{'items':[{'path':'namespace',"
	    "'fieldRef':{'fieldPath':'metadata.namespace'}}]}}]}},"
	    "{'name':'kube-api-access-y','projected':{'sources':[{'configMap':{'name':'mine'}}]}},{'name':'d','secret':{}}],"
	    "'imagePullSecrets':[{'name':'pull'},{}]}}");
	cleanup(json_putp) json_object *odd = parse("{'spec':{'containers':{},'volumes':'x','imagePullSecrets':[[]]}}");
	cleanup(buf_fini) struct buf seen = BUF_INIT;

	(void)state;
	assert_int_equal(refs_each(tmpl, "n", see_ref, &seen), 9);
	assert_string_equal(seen.data, "Secret/n/i ConfigMap/n/f? Secret/n/e ConfigMap/n/v Secret/n/w? ConfigMap/n/p Secret/n/p "
				       "ConfigMap/n/mine Secret/n/pull? ");
	assert_int_equal(refs_each(odd, "n", see_ref, &seen), 0);
	assert_int_equal(refs_each(NULL, "n", see_ref, &seen), 0);
}

/* ---- on disk ---- */

static char dir[TMP_SIZE];

static void add(struct bundle *b, const char *path, mode_t mode, const char *text)
{
	b->items = mem_resize(b->items, b->count + 1, sizeof(b->items[0]));
	b->items[b->count++] = (struct bundle_item){
	    .path = str_dup(path), .mode = mode, .is_dir = !text, .data = str_dup(text), .len = text ? strlen(text) : 0};
}

static unsigned mode_of(const char *name)
{
	struct stat st;

	if (lstat(tmp_path(dir, name), &st) < 0)
		return 0;
	return st.st_mode & 0777;
}

static void see_uid(void *arg, const char *uid)
{
	buf_addf(arg, "%s;", uid);
}

static void test_on_disk(void **state)
{
	cleanup(bundle_fini) struct bundle b = {0}, none = {0};
	cleanup(buf_fini) struct buf text = BUF_INIT, seen = BUF_INIT;
	mode_t before = umask(077);

	(void)state;
	tmp_new(dir);
	add(&b, "v", 0755, NULL);
	add(&b, "v/x/y", 0640, "hello");
	add(&b, "empty", 0755, NULL);
	assert_int_equal(bundle_write(tmp_path(dir, "in/here"), UID_A, &none), 0);
	assert_int_equal(tmp_count(dir), 0); /* nothing to write makes nothing */
	assert_int_equal(bundle_write(dir, "../x", &b), -EINVAL);
	for (int i = 0; i < 2; i++) /* again: what an earlier attempt left is replaced */
		assert_int_equal(bundle_write(dir, UID_A, &b), 0);
	assert_int_equal(file_read(tmp_path(dir, UID_A "/v/x/y"), 100, &text), 0);
	assert_string_equal(text.data, "hello");
	assert_int_equal(mode_of(UID_A), 0700);
	assert_int_equal(mode_of(UID_A "/v"), 0755);
	assert_int_equal(mode_of(UID_A "/v/x"), 0755);
	assert_int_equal(mode_of(UID_A "/v/x/y"), 0640);
	assert_int_equal(mode_of(UID_A "/empty"), 0755);
	assert_int_equal(bundle_each(dir, see_uid, &seen), 0);
	assert_string_equal(seen.data, UID_A ";");
	assert_int_equal(bundle_remove(dir, UID_A), 0);
	assert_int_equal(tmp_count(dir), 0);
	assert_int_equal(bundle_remove(dir, UID_A), 0);
	assert_int_equal(bundle_remove(tmp_path(dir, "none"), UID_A), 0);
	assert_int_equal(bundle_each(tmp_path(dir, "none"), see_uid, &seen), 0);
	(void)umask(before);
	tmp_free(dir);
}

/* fsGroup: its files are of that group, which may be root's; without one they are of whose the process is. */
static void test_group(void **state)
{
	static const struct { bool has; gid_t gid, want; } groups[] = {
	    {true, 2000, 2000}, {true, 0, 0}, {false, 2000, 0}};

	(void)state;
	if (geteuid() != 0)
		skip();
	tmp_new(dir);
	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		cleanup(bundle_fini) struct bundle b = {.has_gid = groups[i].has, .gid = groups[i].gid};
		struct stat st;

		add(&b, "v/f", 0640, "x");
		assert_int_equal(bundle_write(dir, UID_A, &b), 0);
		assert_int_equal(stat(tmp_path(dir, UID_A "/v/f"), &st), 0);
		assert_int_equal(st.st_gid, groups[i].want);
	}
	assert_int_equal(bundle_remove(dir, UID_A), 0);
	tmp_free(dir);
}

/* Only what is provably ours goes: a marker that names the folder, or an empty folder. Links are not followed. */
static void test_what_is_not_ours_stays(void **state)
{
	cleanup(bundle_fini) struct bundle b = {0};

	(void)state;
	tmp_new(dir);
	assert_int_equal(mkdir(tmp_path(dir, UID_A), 0700), 0);
	tmp_write(tmp_path(dir, UID_A "/precious"), "x");
	assert_int_equal(bundle_remove(dir, UID_A), -EPERM);
	tmp_write(tmp_path(dir, UID_A "/" BUNDLE_MARKER), UID_B);
	assert_int_equal(bundle_remove(dir, UID_A), -EPERM);
	add(&b, "v", 0755, NULL);
	assert_int_equal(bundle_write(dir, UID_A, &b), -EPERM);
	assert_true(access(tmp_path(dir, UID_A "/precious"), F_OK) == 0);
	assert_int_equal(symlink(UID_A, tmp_path(dir, UID_B)), 0);
	assert_true(bundle_remove(dir, UID_B) < 0);
	assert_int_equal(unlink(tmp_path(dir, UID_B)), 0);
	assert_int_equal(mkdir(tmp_path(dir, UID_B), 0700), 0);
	assert_int_equal(bundle_remove(dir, UID_B), 0);
	assert_int_equal(bundle_write(dir, UID_B, &b), 0); /* a link inside is removed, not what it points to */
	assert_int_equal(symlink(tmp_path(dir, UID_A), tmp_path(dir, UID_B "/v/link")), 0);
	assert_int_equal(bundle_remove(dir, UID_B), 0);
	assert_true(access(tmp_path(dir, UID_A "/precious"), F_OK) == 0);
	assert_int_equal(bundle_remove(dir, "a"), -EPERM);
	assert_int_equal(bundle_remove(dir, ".."), -EPERM);
	tmp_free(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_refs),
	    cmocka_unit_test_setup_teardown(test_env, setup, teardown),
    cmocka_unit_test_setup_teardown(keys_that_are_no_names_are_variables_too_since_1_34, setup, teardown),
    cmocka_unit_test_setup_teardown(variables_from_secrets_are_refused_on_request, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_volumes, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_mounts_are_read_only, setup, teardown),
	    cmocka_unit_test(test_on_disk),
	    cmocka_unit_test(test_group),
	    cmocka_unit_test(test_what_is_not_ours_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
