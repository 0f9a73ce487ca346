/* test_node_standby.c — our own pod as its standby, and whose a file is */
#include "../support.h"

#include "base/json.h"
#include "node/manifest.h"
#include "node/standby.h"

#define SET_UID "0f1b2c3d-0000-4000-8000-000000000001"

static const char pod_text[] =
    "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'edge-healer-x7k2p','namespace':'edge',"
    "'uid':'bdedc685-793f-415f-80c0-fdb7fddfd6e1',"
    "'generateName':'edge-healer-','labels':{'app':'edge-healer','controller-revision-hash':'5d8'},"
    "'ownerReferences':[{'kind':'DaemonSet','name':'edge-healer','uid':'" SET_UID "','controller':true}]},"
    "'spec':{'nodeName':'node1','hostNetwork':true,'serviceAccountName':'edge-healer','volumes':["
    "{'name':'data','hostPath':{'path':'/var/lib/edge-healer'}},{'name':'snap','emptyDir':{}},"
    "{'name':'kube-api-access-1','projected':{'sources':[{'serviceAccountToken':{'path':'token'}},{'configMap':{"
    "'name':'kube-root-ca.crt','items':[{'key':'ca.crt','path':'ca.crt'}]}},{'downwardAPI':{'items':[{'path':'namespace','fieldRef':"
    "{'fieldPath':'metadata.namespace'}}]}}]}}],"
    "'initContainers':[{'name':'prepare','image':'i','resources':{'requests':{'cpu':'500m'}}},"
    "{'name':'proxy','image':'i','restartPolicy':'Always','command':['proxy']}],"
    "'containers':["
    "{'name':'edge-healer','image':'i','args':['agent','-c','/c.yaml'],'ports':[{'containerPort':8000,'hostPort':8000}],"
    "'livenessProbe':{},'readinessProbe':{},'startupProbe':{},'lifecycle':{},"
    "'resources':{'requests':{'cpu':'100m','memory':'64Mi'},'limits':{'memory':'128Mi'}},"
    "'volumeMounts':[{'name':'data','mountPath':'/data'},{'name':'kube-api-access-1','mountPath':'/var/run/secrets'}]},"
    "{'name':'serf','image':'s','command':['serf','agent'],'args':['-node=$(NODE_NAME)'],"
    "'volumeMounts':[{'name':'snap','mountPath':'/snap'}]}]}}";

static const struct standby_params params = { .node = "node1", .container = "edge-healer", .store = "/data/desired.db" };

static json_object *parse(const char *text)
{
	cleanup(freep) char *json = str_dup(text);
	json_object *o = NULL;

	for (char *p = json; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	assert_int_equal(json_parse(json, strlen(json), &o), 0);
	return o;
}

static json_object *container(json_object *pod, size_t i)
{
	return json_at(json_get(pod, "spec.containers"), i);
}

static json_object *rendered(const json_object *pod)
{
	char reason[REASON_SIZE] = "";
	json_object *out = NULL;

	if (standby_render(pod, &params, &out, reason) != 0)
		fail_msg("refused: %s", reason);
	return out;
}

static void refused(const json_object *pod, const char *why)
{
	json_object *out = NULL;
	char reason[REASON_SIZE] = "";

	assert_int_equal(standby_render(pod, &params, &out, reason), STANDBY_E_REFUSED);
	assert_null(out);
	if (!strstr(reason, why))
		fail_msg("\"%s\" does not tell \"%s\"", reason, why);
}

static void check_list(const json_object *list, const char *const *words, size_t n)
{
	assert_int_equal(json_len(list), n);
	for (size_t i = 0; i < n; i++)
		assert_string_equal(json_str(json_at(list, i)), words[i]);
}

static void test_renders(void **state)
{
	static const char *const args[] = { "agent", "-c", "/c.yaml", "--standby" };
	static const char *const held[] = { STANDBY_BINARY, "hold", "--lock", "/data/desired.db.standby", "--", "serf", "agent",
					    "-node=$(NODE_NAME)" };
	static const char *const sidecar[] = { STANDBY_BINARY, "hold", "--lock", "/data/desired.db.standby", "--", "proxy" };
	static const char *const gone[] = { "ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle" };
	cleanup(json_putp) json_object *pod = parse(pod_text), *out = rendered(pod), *untouched = parse(pod_text);
	json_object *ours = container(out, 0), *serf = container(out, 1), *init = json_get(out, "spec.initContainers");

	(void)state;
	assert_string_equal(json_text(pod), json_text(untouched));
	assert_string_equal(json_get_str(out, "metadata.name"), STANDBY_NAME);
	assert_string_equal(json_get_str(out, "metadata.namespace"), "edge");
	assert_string_equal(json_text(json_get(out, "metadata.labels")), "{\"app.kubernetes.io/component\":\"standby\"}");
	assert_true(json_get_bool(out, "spec.hostNetwork", false));
	assert_null(json_get(out, "spec.serviceAccountName"));
	assert_int_equal(json_len(json_get(out, "spec.volumes")), 2);
	check_list(json_get(ours, "args"), args, ARRAY_LEN(args));
	for (size_t i = 0; i < ARRAY_LEN(gone); i++)
		assert_null(json_get(ours, gone[i]));
	assert_string_equal(json_get_str(ours, "resources.requests.memory"), "4Mi");
	assert_string_equal(json_get_str(ours, "resources.limits.memory"), "128Mi");
	check_list(json_get(serf, "command"), held, ARRAY_LEN(held));
	assert_null(json_get(serf, "args"));
	assert_int_equal(json_len(json_get(serf, "volumeMounts")), 2);
	assert_string_equal(json_get_str(json_at(json_get(serf, "volumeMounts"), 1), "mountPath"), "/data");
	assert_null(json_get(json_at(init, 0), "command")); /* it runs to its end, as before */
	assert_string_equal(json_get_str(json_at(init, 0), "resources.requests.cpu"), "1m");
	check_list(json_get(json_at(init, 1), "command"), sidecar, ARRAY_LEN(sidecar));
}

/* The same template is the same pod for kubelet, another one another; so is another DaemonSet. */
static void test_uid(void **state)
{
	cleanup(json_putp) json_object *pod = parse(pod_text), *one = rendered(pod), *two = NULL, *three = NULL, *four = NULL;

	(void)state;
	json_set_str(json_get(pod, "metadata"), "uid", "another-pod-of-it");
	json_set_str(json_get(pod, "metadata"), "name", "edge-healer-99999");
	two = rendered(pod);
	assert_string_equal(json_text(one), json_text(two));
	json_set_str(json_get(pod, "metadata.labels"), "controller-revision-hash", "5d9");
	three = rendered(pod);
	assert_string_not_equal(json_get_str(one, "metadata.uid"), json_get_str(three, "metadata.uid"));
	json_set_str(json_at(json_get(pod, "metadata.ownerReferences"), 0), "uid", "another");
	four = rendered(pod);
	assert_string_not_equal(json_get_str(four, "metadata.uid"), json_get_str(three, "metadata.uid"));
}

static void test_binary_elsewhere(void **state)
{
	cleanup(json_putp) json_object *pod = parse(pod_text), *out = NULL;
	json_object *notes = json_new_object();

	(void)state;
	json_set_str(notes, ANNOTATION_STANDBY_BINARY, "/shared/edge-healer");
	json_set(json_get(pod, "metadata"), "annotations", notes);
	out = rendered(pod);
	assert_string_equal(json_str(json_at(json_get(container(out, 1), "command"), 0)), "/shared/edge-healer");
}

static void test_refusals(void **state)
{
	cleanup(json_putp) json_object *a = parse(pod_text), *b = parse(pod_text), *c = parse(pod_text), *d = parse(pod_text);
	cleanup(json_putp) json_object *e = parse(pod_text), *f = parse(pod_text), *g = parse(pod_text), *h = parse(pod_text);
	json_object *volume;

	(void)state;
	json_set_str(json_at(json_get(a, "metadata.ownerReferences"), 0), "kind", "ReplicaSet");
	refused(a, "no DaemonSet");
	json_remove(json_get(b, "metadata.labels"), "controller-revision-hash");
	refused(b, "controller-revision-hash");
	json_remove(container(c, 1), "command");
	refused(c, "container serf: needs an explicit command");
	json_remove(container(d, 0), "args");
	refused(d, "container edge-healer: needs an explicit command or args");
	volume = json_at(json_get(e, "spec.volumes"), 0);
	json_remove(volume, "hostPath");
	json_set(volume, "emptyDir", json_new_object());
	refused(e, "not on a hostPath");
	json_set_bool(json_get(f, "spec"), "hostNetwork", false);
	refused(f, "a hostPort cannot be had twice");
	json_set_str(container(g, 0), "name", "main");
	refused(g, "no container is called edge-healer");
	json_set_str(json_at(json_get(container(h, 1), "volumeMounts"), 0), "mountPath", "/data");
	refused(h, "something else than the store is mounted at /data");
}

static void test_whose_a_file_is(void **state)
{
	cleanup(json_putp) json_object *pod = parse(pod_text), *out = rendered(pod);
	struct standby_mark m;
	char dir[TMP_SIZE];

	(void)state;
	tmp_new(dir);
	assert_int_equal(standby_identify(dir, &m), -ENOENT);
	tmp_write(tmp_path(dir, STANDBY_FILE), json_text(out));
	assert_int_equal(standby_identify(dir, &m), 0);
	assert_string_equal(m.set_uid, SET_UID);
	assert_string_equal(m.set, "edge-healer");
	assert_string_equal(m.ns, "edge");
	assert_string_equal(m.revision, "5d8");
	json_set_str(json_get(out, "metadata"), "uid", SET_UID);
	tmp_write(tmp_path(dir, STANDBY_FILE), json_text(out));
	assert_int_equal(standby_identify(dir, &m), -EINVAL);
	tmp_write(tmp_path(dir, STANDBY_FILE), "no JSON");
	assert_int_equal(standby_identify(dir, &m), -EINVAL);
	tmp_write(tmp_path(dir, STANDBY_FILE), "");
	assert_int_equal(standby_identify(dir, &m), -EINVAL);
	tmp_free(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_renders),	   cmocka_unit_test(test_uid),		   cmocka_unit_test(test_binary_elsewhere),
	    cmocka_unit_test(test_refusals),	   cmocka_unit_test(test_whose_a_file_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
