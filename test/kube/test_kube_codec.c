/* test_kube_codec.c — recorded objects and hand-made corners into model/ structs */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "kube/codec.h"
#include "model/node.h"
#include "model/pod.h"
#include "model/workload.h"

static json_object *parse(const char *text)
{
	json_object *o = NULL;

	if (json_parse(text, strlen(text), &o) < 0)
		fail_msg("no JSON: %s", text);
	return o;
}

static json_object *read_json(const char *path)
{
	cleanup(buf_fini) struct buf b = BUF_INIT;

	assert_int_equal(file_read(path, 1 << 20, &b), 0);
	return parse(b.data);
}

#define U "bdedc685-793f-415f-80c0-fdb7fddfd6e1"
#define V "bdedc685-793f-415f-80c0-fdb7fddfd6e2"
#define ID "\"name\":\"n\",\"uid\":\"" U "\",\"namespace\":\"x\""
#define META "\"metadata\":{" ID "}"

static void a_recorded_pod(void **state)
{
	cleanup(buf_fini) struct buf b = BUF_INIT;
	cleanup(json_putp) json_object *event = NULL;
	cleanup(pod_freep) struct pod *p = NULL;

	(void)state;
	assert_int_equal(file_read("test/data/kube/watch-pods.jsonl", 1 << 20, &b), 0);
	*strchr(b.data, '\n') = '\0';
	event = parse(b.data);
	assert_int_equal(kube_decode_pod(json_get(event, "object"), &p), 0);
	assert_string_equal(p->name, "web-6dd6cc4bbf-4n5tl");
	assert_string_equal(p->ns, "default");
	assert_string_equal(p->uid, "e6f6ef69-ec9e-42e6-b2e4-f052ccb05287");
	assert_string_equal(p->owner, "e1014ed3-a57d-4518-a77e-054a10a799a2");
	assert_int_equal(p->version, 672);
	assert_non_null(p->node);
	assert_true(p->deleting);
	assert_true(p->default_scheduler);
	assert_false(p->is_mirror || p->gated || p->has_claims);
	assert_int_equal(p->request.pods, 1);
	assert_int_equal(p->constraints->toleration_count, 2);
	assert_true(p->constraints->tolerations[0].exists);
	assert_string_equal(p->constraints->tolerations[0].key, "node.kubernetes.io/not-ready");
	assert_int_equal(p->constraints->tolerations[0].effect, TAINT_NO_EXECUTE);
	assert_false(p->constraints->unsupported);
}

static void recorded_replicasets(void **state)
{
	cleanup(json_putp) json_object *list = read_json("test/data/kube/replicasets.json");
	cleanup(workload_freep) struct workload *w = NULL;

	(void)state;
	assert_int_equal(kube_decode_workload(json_at(json_get(list, "items"), 0), &w), 0);
	assert_string_equal(w->name, "web-6dd6cc4bbf");
	assert_string_equal(w->ns, "default");
	assert_string_equal(w->deployment, "web");
	assert_int_equal(w->version, 714);
	assert_int_equal(w->replicas, 6);
	assert_int_equal(w->ready_replicas, 6);
	assert_int_equal(w->policy, POLICY_DEFAULT);
	assert_false(w->deleting);
	assert_null(w->fault);
}

static void recorded_nodes(void **state)
{
	cleanup(json_putp) json_object *list = read_json("test/data/kube/nodes.json");

	(void)state;
	assert_int_equal(json_len(json_get(list, "items")), 3);
	for (size_t i = 0; i < 3; i++) {
		cleanup(node_freep) struct node *n = NULL;

		assert_int_equal(kube_decode_node(json_at(json_get(list, "items"), i), &n), 0);
		assert_true(n->allocatable.cpu_milli > 0 && n->allocatable.mem_bytes > 0);
		assert_int_equal(n->allocatable.pods, 110);
		assert_string_equal(node_label(n, "kubernetes.io/os"), "linux");
		assert_non_null(n->address);
		assert_non_null(n->boot_id);
		assert_int_equal(n->kubelet, KUBELET_VERSION(1, 36));
		assert_int_equal(image_list_has(&n->images, image_hash("localhost/busybox:1")), IMAGE_THERE);
		assert_int_equal(image_list_has(&n->images, image_hash("localhost/shop:1")), IMAGE_ABSENT);
	}
}

static void cri_o_may_list_an_image_under_another_name(void **state)
{
	cleanup(json_putp) json_object *o =
	    parse("{" META ",\"status\":{\"images\":[{\"names\":[\"quay.io/some/busybox:1\"]}],"
		  "\"nodeInfo\":{\"containerRuntimeVersion\":\"cri-o://1.30.0\"}}}");
	cleanup(node_freep) struct node *n = NULL;

	(void)state;
	assert_int_equal(kube_decode_node(o, &n), 0);
	assert_int_equal(image_list_has(&n->images, image_hash("busybox:1")), IMAGE_NOT_LISTED);
}

static void check_request(const char *spec, const char *status, int64_t cpu, int64_t mem)
{
	cleanup(json_putp) json_object *s = parse(spec), *st = status ? parse(status) : NULL;
	struct resources r;

	kube_pod_request(s, st, &r);
	if (r.cpu_milli != cpu || r.mem_bytes != mem)
		fail_msg("%s: %lld m, %lld bytes", spec, (long long)r.cpu_milli, (long long)r.mem_bytes);
	assert_int_equal(r.pods, 1);
}

#define C(cpu, mem) "{\"name\":\"c\",\"resources\":{\"requests\":{\"cpu\":\"" cpu "\",\"memory\":\"" mem "\"}}}"
#define S(cpu, mem)                                                                                                    \
	"{\"restartPolicy\":\"Always\",\"resources\":{\"requests\":{\"cpu\":\"" cpu "\",\"memory\":\"" mem "\"}}}"

static void requests_are_counted_as_the_scheduler_does(void **state)
{
	(void)state;
	check_request("{}", NULL, 0, 0);
	check_request("{\"containers\":[" C("100m", "1Ki") "," C("1", "1M") ",{}]}", NULL, 1100, 1001024);
	/* an init container larger than all containers together, in one resource */
	check_request("{\"containers\":[" C("1", "10") "],\"initContainers\":[" C("2", "5") "]}", NULL, 2000, 10);
	/* a sidecar counts for the whole life, and beside the init containers after it only */
	check_request("{\"containers\":[" C("1", "10") "],\"initContainers\":[" C("3", "1") "," S("500m", "7") "]}",
		      NULL, 3000, 17);
	check_request("{\"containers\":[" C("1", "10") "],\"initContainers\":[" S("500m", "7") "," C("3", "1") "]}",
		      NULL, 3500, 17);
	check_request("{\"containers\":[" C("1", "1") "],\"overhead\":{\"cpu\":\"250m\",\"memory\":\"5\"}}", NULL, 1250,
		      6);
	check_request("{\"resources\":{\"requests\":{\"cpu\":\"4\"}},\"containers\":[" C(
			  "1", "9") "],\"overhead\":{\"cpu\":\"1\"}}",
		      NULL, 5000, 9);
	check_request("{\"containers\":[{\"resources\":{\"requests\":{\"cpu\":2,\"memory\":1000}}}]}", NULL, 2000, 1000);
	check_request("{\"containers\":[" C("nonsense", "-5") ",null,7,\"x\"]}", NULL, 0, 0);
}

static void endpoints_of_the_api_server(void **state)
{
	cleanup(json_putp) json_object *service =
	    parse("{\"spec\":{\"clusterIP\":\"10.96.0.1\",\"clusterIPs\":[\"10.96.0.1\",\"fd00::1\"],\"ports\":[{\"port\":443},"
		  "{\"port\":53,\"protocol\":\"UDP\"},{\"port\":0},{\"port\":70000},7]}}");
	cleanup(json_putp) json_object *slices =
	    parse("{\"items\":[{\"ports\":[{\"port\":6443,\"protocol\":\"TCP\"}],\"endpoints\":[{\"addresses\":[\"192.0.2.1\"]},"
		  "{\"addresses\":[\"192.0.2.2\",\"192.0.2.1\",\"api.example.com\",5]},null]},{\"addressType\":\"FQDN\"},"
		  "{\"ports\":[{\"port\":6443}],\"endpoints\":[{\"addresses\":[\"fd00::2\"]}]}]}");
	static const char *const want[] = { "10.96.0.1:443", "[fd00::1]:443", "192.0.2.1:6443", "192.0.2.2:6443", "[fd00::2]:6443" };
	struct kube_endpoints e = { .count = 0 };
	char text[ENDPOINT_TEXT_SIZE];

	(void)state;
	kube_decode_service(service, &e);
	kube_decode_slices(slices, &e);
	kube_decode_service(NULL, &e);
	kube_decode_slices(NULL, &e);
	assert_int_equal(e.count, ARRAY_LEN(want));
	for (size_t i = 0; i < e.count; i++) {
		endpoint_format(&e.items[i], text);
		assert_string_equal(text, want[i]);
	}
}

static void a_resize_counts_the_larger_side(void **state)
{
	static const char status[] =
	    "{\"conditions\":[{\"type\":\"PodResizeInProgress\",\"status\":\"True\"}],\"containerStatuses\":"
	    "[{\"name\":\"c\",\"allocatedResources\":{\"cpu\":\"2\"},\"resources\":{\"requests\":{\"cpu\":\"3\","
	    "\"memory\":\"1\"}}}]}";

	(void)state;
	check_request("{\"containers\":[" C("1", "10") "]}", status, 3000, 10);
	check_request("{\"containers\":[" C("1", "10") "]}",
		      "{\"containerStatuses\":[{\"name\":\"c\",\"allocatedResources\":{\"cpu\":\"2\"}}]}", 1000, 10);
}

/* The store keeps the key: decoding it again must find the same constraints. */
static void key_decodes_to_itself(const json_object *spec)
{
	const struct constraints *c = kube_pod_constraints(spec);
	json_object *again = NULL;

	assert_int_equal(json_parse(c->key, strlen(c->key), &again), 0);
	assert_ptr_equal(kube_pod_constraints(again), c);
	json_putp(&again);
}

static void pods_of_equal_content_share_their_constraints(void **state)
{
	cleanup(json_putp) json_object *a = parse("{\"nodeSelector\":{\"disk\":\"ssd\"}}");
	cleanup(json_putp) json_object *b = parse("{\"nodeSelector\":{\"disk\":\"ssd\"},\"priority\":3}");
	cleanup(json_putp) json_object *c = parse("{\"nodeSelector\":{\"disk\":\"hdd\"}}");
	cleanup(json_putp) json_object *d = parse("{\"tolerations\":[]}");
	const struct constraints *k = kube_pod_constraints(a);

	(void)state;
	assert_ptr_equal(k, kube_pod_constraints(b));
	assert_ptr_not_equal(k, kube_pod_constraints(c));
	assert_ptr_not_equal(k, kube_pod_constraints(d));
	assert_non_null(kube_pod_constraints(NULL));
	key_decodes_to_itself(a);
	key_decodes_to_itself(b);
	key_decodes_to_itself(c);
	key_decodes_to_itself(d);
	assert_int_equal(k->selector_count, 1);
	assert_string_equal(k->selector[0].key, "disk");
	assert_string_equal(k->selector[0].value, "ssd");
}

static void affinity_is_decoded(void **state)
{
#define REQ "requiredDuringSchedulingIgnoredDuringExecution"
	cleanup(json_putp) json_object *o =
	    parse("{\"affinity\":{\"nodeAffinity\":{\"" REQ "\":{\"nodeSelectorTerms\":[{\"matchExpressions\":["
		  "{\"key\":\"zone\",\"operator\":\"In\",\"values\":[\"a\",\"b\"]},{\"key\":\"gen\",\"operator\":"
		  "\"Gt\",\"values\":[\"3\"]}],"
		  "\"matchFields\":[{\"key\":\"metadata.name\",\"operator\":\"NotIn\",\"values\":[\"n1\"]}]},{}]}}}}");
	const struct constraints *c = kube_pod_constraints(o);

	(void)state;
	assert_true(c->has_affinity);
	assert_false(c->unsupported);
	assert_int_equal(c->term_count, 2);
	assert_int_equal(c->terms[1].count, 0);
	assert_int_equal(c->terms[0].count, 3);
	assert_int_equal(c->terms[0].exprs[0].op, MATCH_IN);
	assert_string_equal(c->terms[0].exprs[0].values[1], "b");
	assert_int_equal(c->terms[0].exprs[1].op, MATCH_GT);
	assert_true(c->terms[0].exprs[2].is_field);
	assert_int_equal(c->terms[0].exprs[2].op, MATCH_NOT_IN);
}

static void what_only_the_scheduler_can_judge_is_marked(void **state)
{
	static const char *const rows[] = {
	    "{\"affinity\":{\"podAntiAffinity\":{\"" REQ "\":[{}]}}}",
	    "{\"affinity\":{\"podAffinity\":{\"" REQ "\":[{}]}}}",
	    "{\"topologySpreadConstraints\":[{\"whenUnsatisfiable\":\"DoNotSchedule\"}]}",
	    "{\"affinity\":{\"nodeAffinity\":{\"" REQ
	    "\":{\"nodeSelectorTerms\":[{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"New\"}]}]}}}}",
	    "{\"affinity\":{\"nodeAffinity\":{\"" REQ
	    "\":{\"nodeSelectorTerms\":[{\"matchFields\":[{\"key\":\"b\",\"operator\":\"In\"}]}]}}}}",
	    "{\"nodeSelector\":{\"a\":1}}",
		"{\"containers\":[{\"resources\":{\"requests\":{\"cpu\":\"1\",\"nvidia.com/gpu\":\"1\"}}}]}",
		"{\"initContainers\":[{\"resources\":{\"requests\":{\"hugepages-2Mi\":\"4Mi\"}}}]}",
	};
	static const char *const fine[] = {
		"{\"topologySpreadConstraints\":[{\"whenUnsatisfiable\":\"ScheduleAnyway\"}]}",
		"{\"affinity\":{\"podAntiAffinity\":{\"preferredDuringSchedulingIgnoredDuringExecution\":[{}]}}}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup(json_putp) json_object *o = parse(rows[i]);

		if (!kube_pod_constraints(o)->unsupported)
			fail_msg("%s", rows[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(fine); i++) {
		cleanup(json_putp) json_object *o = parse(fine[i]);

		if (kube_pod_constraints(o)->unsupported)
			fail_msg("%s", fine[i]);
	}
}

/* Into Pods the API server writes the hostPort, into templates it does not: both are the same port here. */
static void each_port_of_the_hosts_network_is_one_of_the_host(void **state)
{
	cleanup(json_putp) json_object *template =
	    parse("{\"hostNetwork\":true,\"containers\":[{\"ports\":[{\"containerPort\":8080}]}]}");
	cleanup(json_putp) json_object *pod =
	    parse("{\"hostNetwork\":true,\"containers\":[{\"ports\":[{\"containerPort\":8080,\"hostPort\":8080}]}]}");
	cleanup(json_putp) json_object *other = parse("{\"containers\":[{\"ports\":[{\"containerPort\":8080}]}]}");
	const struct constraints *c = kube_pod_constraints(template);

	(void)state;
	assert_ptr_equal(c, kube_pod_constraints(pod));
	assert_int_equal(c->port_count, 1);
	assert_int_equal(c->ports[0].port, 8080);
	assert_int_equal(kube_pod_constraints(other)->port_count, 0);
}

static void tolerations_and_ports(void **state)
{
	cleanup(json_putp) json_object *o = parse(
	    "{\"tolerations\":[{\"operator\":\"Exists\"},{\"key\":\"a\",\"value\":\"b\",\"effect\":\"NoSchedule\"},"
	    "{\"key\":\"c\",\"operator\":\"Lt\",\"value\":\"5\"},{\"value\":\"no "
	    "key\"},{\"key\":\"d\",\"effect\":\"Future\"}],"
	    "\"containers\":[{\"ports\":[{\"containerPort\":1},{\"hostPort\":80},{\"hostPort\":53,\"protocol\":\"UDP\","
	    "\"hostIP\":\"10.0.0.1\"}]}],"
	    "\"initContainers\":[{\"ports\":[{\"hostPort\":81}]},{\"restartPolicy\":\"Always\",\"ports\":[{"
	    "\"hostPort\":82}]}]}");
	const struct constraints *c = kube_pod_constraints(o);

	(void)state;
	assert_int_equal(c->toleration_count, 2);
	assert_null(c->tolerations[0].key);
	assert_true(c->tolerations[0].exists);
	assert_int_equal(c->tolerations[0].effect, TAINT_NONE);
	assert_false(c->tolerations[1].exists);
	assert_string_equal(c->tolerations[1].value, "b");
	assert_int_equal(c->port_count, 3);
	assert_int_equal(c->ports[0].port, 80);
	assert_string_equal(c->ports[0].protocol, "TCP");
	assert_string_equal(c->ports[0].ip, "");
	assert_string_equal(c->ports[1].ip, "10.0.0.1");
	assert_int_equal(c->ports[2].port, 82);
}

static void the_flags_of_a_pod(void **state)
{
	cleanup(json_putp) json_object *o = parse(
	    "{\"metadata\":{" ID ",\"creationTimestamp\":\"2026-11-20T10:46:30Z\","
	    "\"annotations\":{\"kubernetes.io/config.mirror\":\"h\","
	    "\"edge-healer.io/original-uid\":\"" U "\",\"edge-healer.io/workload-uid\":\"" V "\"},"
	    "\"ownerReferences\":[{\"kind\":\"ReplicaSet\",\"uid\":\"no\"},"
	    "{\"kind\":\"Node\",\"uid\":\"nn\",\"controller\":true}]},\"spec\":{\"schedulerName\":\"mine\","
	    "\"priority\":-7,"
	    "\"schedulingGates\":[{\"name\":\"g\"}],\"volumes\":[{\"emptyDir\":{}},{\"persistentVolumeClaim\":{"
	    "\"claimName\":\"c\"}}]},"
	    "\"status\":{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\","
	    "\"lastTransitionTime\":\"2026-11-20T10:46:32Z\"}]}}");
	cleanup(pod_freep) struct pod *p = NULL;

	(void)state;
	assert_int_equal(kube_decode_pod(o, &p), 0);
	assert_true(p->is_mirror && p->gated && p->has_claims && p->ready && !p->default_scheduler && !p->deleting);
	assert_string_equal(p->original_uid, U);
	assert_string_equal(p->copy_of, V);
	assert_null(p->owner);
	assert_null(p->node);
	assert_int_equal(p->priority, -7);
	assert_int_equal(p->phase, POD_RUNNING);
	assert_true(p->ready_since.ns - p->created.ns == 2 * MS_PER_S * NS_PER_MS);
}

static void pull_secrets_are_seen(void **state)
{
	cleanup(json_putp) json_object *with = parse("{" META ",\"spec\":{\"imagePullSecrets\":[{\"name\":\"reg\"}]}}");
	cleanup(json_putp) json_object *without = parse("{" META ",\"spec\":{\"imagePullSecrets\":[]}}");
	cleanup(pod_freep) struct pod *p = NULL, *q = NULL;

	(void)state;
	assert_int_equal(kube_decode_pod(with, &p), 0);
	assert_int_equal(kube_decode_pod(without, &q), 0);
	assert_true(p->pull_secrets && !q->pull_secrets);
}

/* Never guessed: what nobody understands starts nothing and stops nothing, and is shown. */
static void annotations_that_are_not_understood_mean_never(void **state)
{
	static const struct { const char *key, *value, *shown; } rows[] = {
		{ "policy", "At-Most-Once", "edge-healer.io/policy: invalid value \"At-Most-Once\": use at-least-once, at-most-once" },
		{ "policy", "at-most-onec", "invalid value \"at-most-onec\"" },
		{ "policy", "", "invalid value \"\"" },
		{ "policy", "never ", "invalid value \"never \"" },
		{ "policy", "a\\nb", "invalid value \"a?b\"" },
		{ "reconcile", "keep-original", "edge-healer.io/reconcile: invalid value \"keep-original\": use best" },
		{ "needs-token", "True", "edge-healer.io/needs-token: invalid value \"True\": use true or false" },
		{ "needs-token", "yes", "invalid value \"yes\"" },
		{ "policy", "at-most-once", NULL }, { "reconcile", "longest", NULL }, { "needs-token", "false", NULL },
	};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
		const size_t row = i / 2;
		bool on_template = i % 2;	/* of its Deployment */
		cleanup(freep) char *notes = str_format("\"annotations\":{\"edge-healer.io/%s\":\"%s\"}", rows[row].key, rows[row].value);
		cleanup(freep) char *text =
		    on_template ? str_format("{" META ",\"spec\":{\"template\":{\"metadata\":{%s}}}}", notes)
				: str_format("{\"metadata\":{" ID ",%s}}", notes);
		cleanup(json_putp) json_object *o = parse(text);
		cleanup(workload_freep) struct workload *w = NULL;

		assert_int_equal(kube_decode_workload(o, &w), 0);
		assert_int_equal(w->fault != NULL, rows[row].shown != NULL);
		if (!w->fault)
			continue;
		assert_int_equal(w->policy, POLICY_NEVER);
		if (!strstr(w->fault, rows[row].shown))
			fail_msg("\"%s\" does not say \"%s\"", w->fault, rows[row].shown);
	}
}

static void a_replicaset_may_say_that_it_needs_a_token(void **state)
{
	cleanup(json_putp) json_object *o =
	    parse("{\"metadata\":{" ID ",\"annotations\":{\"edge-healer.io/needs-token\":\"true\"}}}");
	cleanup(workload_freep) struct workload *w = NULL;

	(void)state;
	assert_int_equal(kube_decode_workload(o, &w), 0);
	assert_true(w->needs_token && !w->fault);
}

static void policies_come_from_the_replicaset_or_its_template(void **state)
{
	static const struct { const char *text; enum heal_policy policy;
	} rows[] = {
	    {"{\"metadata\":{" ID ",\"annotations\":{\"edge-healer.io/"
	     "policy\":\"never\"}},\"spec\":{\"template\":"
	     "{\"metadata\":{\"annotations\":{\"edge-healer.io/policy\":\"at-most-once\"}}}}}",
	     POLICY_NEVER},
	    {"{" META
	     ",\"spec\":{\"template\":{\"metadata\":{\"annotations\":{\"edge-healer.io/policy\":\"at-most-once\"}}}}}",
	     POLICY_AT_MOST_ONCE},
	    {"{" META "}", POLICY_DEFAULT},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup(json_putp) json_object *o = parse(rows[i].text);
		cleanup(workload_freep) struct workload *w = NULL;

		assert_int_equal(kube_decode_workload(o, &w), 0);
		assert_int_equal(w->policy, rows[i].policy);
		assert_int_equal(w->replicas, 1);
		assert_null(w->deployment);
	}
}

static void a_tainted_node(void **state)
{
	cleanup(json_putp) json_object *o =
	    parse("{" META ",\"spec\":{\"unschedulable\":true,\"taints\":[{\"key\":\"k\",\"value\":\"v\",\"effect\":"
			   "\"NoExecute\"},{\"key\":\"x\"},"
		  "{\"key\":\"y\",\"effect\":\"NoSchedule\"}]},\"status\":{\"allocatable\":{\"cpu\":\"3920m\","
		  "\"memory\":\"1Gi\",\"pods\":\"7\"},"
		  "\"conditions\":[{\"type\":\"Ready\",\"status\":\"Unknown\"}]}}");
	cleanup(node_freep) struct node *n = NULL;

	(void)state;
	assert_int_equal(kube_decode_node(o, &n), 0);
	assert_true(n->unschedulable && !n->ready);
	assert_int_equal(n->taint_count, 2);
	assert_string_equal(n->taints[0].value, "v");
	assert_int_equal(n->taints[1].effect, TAINT_NO_SCHEDULE);
	assert_int_equal(n->allocatable.cpu_milli, 3920);
	assert_int_equal(n->allocatable.pods, 7);
	assert_null(n->address);
}

/* A Node has no namespace. */
static void pods_and_replicasets_without_a_namespace_are_refused(void **state)
{
	static const char *const rows[] = {
	    "{\"metadata\":{\"name\":\"n\",\"uid\":\"" U "\"}}",
	    "{\"metadata\":{\"name\":\"n\",\"uid\":\"" U "\",\"namespace\":\"\"}}",
	    "{\"metadata\":{\"name\":\"n\",\"uid\":\"" U "\",\"namespace\":\"../kube-system\"}}",
	    "{\"metadata\":{\"name\":\"n\",\"uid\":\"" U "\",\"namespace\":\"a.b\"}}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup(json_putp) json_object *o = parse(rows[i]);
		struct pod *p = NULL;
		struct workload *w = NULL;

		assert_int_equal(kube_decode_pod(o, &p), -EINVAL);
		assert_int_equal(kube_decode_workload(o, &w), -EINVAL);
	}
}

/* Whoever may edit a pod may write there what he likes. */
static void an_annotation_that_names_no_object_is_none(void **state)
{
	cleanup(json_putp) json_object *o = parse("{\"metadata\":{" ID ",\"annotations\":{\"edge-healer.io/original-uid\":\"../x\","
						  "\"edge-healer.io/workload-uid\":\"w\"}}}");
	cleanup(json_putp) json_object *far = parse("{" META ",\"spec\":{\"nodeName\":\"../n1\"}}");
	cleanup(pod_freep) struct pod *p = NULL, *q = NULL;

	(void)state;
	assert_int_equal(kube_decode_pod(o, &p), 0);
	assert_null(p->original_uid);
	assert_null(p->copy_of);
	assert_int_equal(kube_decode_pod(far, &q), -EINVAL);
}

static void objects_without_identity_are_refused(void **state)
{
	static const char *const rows[] = {
	    "{}",
	    "[]",
	    "{\"metadata\":[]}",
	    "{\"metadata\":{\"name\":\"n\",\"namespace\":\"x\"}}",
	    "{\"metadata\":{\"uid\":\"" U "\",\"namespace\":\"x\"}}",
	    "{\"metadata\":{\"name\":\"\",\"uid\":\"" U "\",\"namespace\":\"x\"}}",
	    "{\"metadata\":{\"name\":\"n\",\"uid\":\"\",\"namespace\":\"x\"}}",
	    "{\"metadata\":{\"name\":1,\"uid\":2,\"namespace\":\"x\"}}",
	    "{\"metadata\":{\"name\":\"n\",\"uid\":\"" U "1\",\"namespace\":\"x\"}}",
	    "{\"metadata\":{\"name\":\"n\",\"uid\":\"../../../../../../../../../../etc/cron\",\"namespace\":\"x\"}}",
	    "{\"metadata\":{\"name\":\"../n\",\"uid\":\"" U "\",\"namespace\":\"x\"}}",
	    "{\"metadata\":{\"name\":\"n/m\",\"uid\":\"" U "\",\"namespace\":\"x\"}}",
	    "{\"metadata\":{\"name\":\"N\",\"uid\":\"" U "\",\"namespace\":\"x\"}}",
	    "{\"metadata\":{\"name\":\"a\\nb\",\"uid\":\"" U "\",\"namespace\":\"x\"}}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup(json_putp) json_object *o = parse(rows[i]);
		struct pod *p = NULL;
		struct workload *w = NULL;
		struct node *n = NULL;

		assert_int_equal(kube_decode_pod(o, &p), -EINVAL);
		assert_int_equal(kube_decode_workload(o, &w), -EINVAL);
		assert_int_equal(kube_decode_node(o, &n), -EINVAL);
		assert_true(!p && !w && !n);
	}
}

static int fini(void **state)
{
	(void)state;
	constraints_fini();
	intern_fini();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_recorded_pod),
		cmocka_unit_test(recorded_replicasets),
		cmocka_unit_test(recorded_nodes),
		cmocka_unit_test(pull_secrets_are_seen),
		cmocka_unit_test(cri_o_may_list_an_image_under_another_name),
		cmocka_unit_test(requests_are_counted_as_the_scheduler_does),
		cmocka_unit_test(a_resize_counts_the_larger_side),
		cmocka_unit_test(pods_of_equal_content_share_their_constraints),
		cmocka_unit_test(affinity_is_decoded),
		cmocka_unit_test(what_only_the_scheduler_can_judge_is_marked),
		cmocka_unit_test(tolerations_and_ports),
		cmocka_unit_test(each_port_of_the_hosts_network_is_one_of_the_host),
		cmocka_unit_test(the_flags_of_a_pod),
		cmocka_unit_test(policies_come_from_the_replicaset_or_its_template),
		cmocka_unit_test(annotations_that_are_not_understood_mean_never),
		cmocka_unit_test(a_replicaset_may_say_that_it_needs_a_token),
		cmocka_unit_test(a_tainted_node),
		cmocka_unit_test(pods_and_replicasets_without_a_namespace_are_refused),
		cmocka_unit_test(an_annotation_that_names_no_object_is_none),
		cmocka_unit_test(objects_without_identity_are_refused),
		cmocka_unit_test(endpoints_of_the_api_server),
	};

	return cmocka_run_group_tests(tests, NULL, fini);
}
