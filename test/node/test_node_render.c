/* test_node_render.c — rendering held against what a real kubelet accepted and refused */
#include "../support.h"

#include "base/json.h"
#include "model/pod.h"
#include "node/manifest.h"
#include "node/render.h"

#define DATA "test/data/"
#define UID_LOST "bdedc685-793f-415f-80c0-fdb7fddfd6e1"

/* NULL = we render it: it runs as it is, or what kubelet refused is something that we leave out. */
static const struct {
	const char *name, *refusal;
} cases[] = {
    {"plain", NULL},
    {"configmap-env", "spec.containers[0].env[0] (X): needs ConfigMap c"},
    {"configmap-env-optional", "spec.containers[0].env[0] (X): needs ConfigMap c"},
    {"configmap-envfrom", "spec.containers[0].envFrom[0]: needs ConfigMap c"},
    {"configmap-volume", "spec.volumes[0]: needs ConfigMap c"},
    {"secret-env", "spec.containers[0].env[0] (X): needs Secret c"},
    {"secret-volume", "spec.volumes[0]: needs Secret c"},
    {"image-pull-secrets", NULL}, /* left out: the image must be on the node anyway */
    {"service-account-default", NULL},
    {"pvc", "spec.volumes[0]: needs PersistentVolumeClaim c"},
    {"ephemeral-volume", "spec.volumes[0]: needs an ephemeral PersistentVolumeClaim"},
    {"csi-inline", "spec.volumes[0]: needs CSI driver x.y"},
    {"projected-token", "spec.volumes[0].projected.sources[0]: needs serviceAccountToken"},
    {"projected-configmap", "spec.volumes[0].projected.sources[0]: needs ConfigMap c"},
    {"projected-downward", NULL},
    {"downward-env", NULL},
    {"emptydir-hostpath", NULL},
    {"node-selector-unmatched", NULL}, /* left out: heal/ has judged it */
    {"node-affinity-unmatched", NULL},
    {"pod-anti-affinity", NULL},
    {"topology-spread", NULL},
    {"priority-class-name", NULL},
    {"stale-priority-number", NULL},
    {"wrong-node-name", NULL},
    {"scheduler-name", NULL},
    {"owner-reference", NULL},
    {"resource-version-and-status", NULL},
    {"fixed-uid", NULL},
    {"ephemeral-containers", NULL},
    {"init-container", NULL},
    {"host-network", NULL},
    {"host-port", NULL},
    {"resource-claims", "spec.resourceClaims"},
    {"scheduling-gates", NULL},
    {"too-much-cpu", "requests 64000m CPU, this node has 4000m"},
    {"image-missing", "spec.containers[0].image: registry.invalid/none:1 is not on this node"},
    {"no-containers", "spec.containers: required"},
    {"unknown-field", NULL},
    {"bad-name", "metadata.name: Bad_Name is not a lowercase RFC 1123 subdomain"},
};

static const char *const images[] = {"localhost/busybox:1"};
static const struct resources capacity = {4000, INT64_C(8) << 30, 110};
static const struct render_params params = {
    .node = "node1", .original_uid = UID_LOST, .epoch = 3, .capacity = &capacity, .images = images, .image_count = 1};

static json_object *load(const char *path)
{
	cleanup(buf_fini) struct buf b = BUF_INIT;
	json_object *o = NULL;

	if (file_read(path, 1 << 20, &b) < 0)
		fail_msg("%s: run the tests from the top folder of the repository", path);
	assert_int_equal(json_parse(b.data, b.len, &o), 0);
	return o;
}

static json_object *parse(const char *text)
{
	json_object *o = NULL;

	assert_int_equal(json_parse(text, strlen(text), &o), 0);
	return o;
}

static void check_containers(const json_object *list)
{
	for (size_t i = 0; i < json_len(list); i++) {
		const json_object *c = json_at(list, i), *env = json_get(c, "env"),
				  *mounts = json_get(c, "volumeMounts");

		assert_true(str_eq(json_get_str(c, "imagePullPolicy"), "IfNotPresent") ||
			    str_eq(json_get_str(c, "imagePullPolicy"), "Never"));
		assert_int_equal(json_len(json_get(c, "envFrom")), 0);
		for (size_t k = 0; k < json_len(env); k++) {
			assert_null(json_get(json_at(env, k), "valueFrom.configMapKeyRef"));
			assert_null(json_get(json_at(env, k), "valueFrom.secretKeyRef"));
		}
		for (size_t k = 0; k < json_len(mounts); k++)
			assert_false(str_has_prefix(json_get_str(json_at(mounts, k), "name"), "kube-api-access-"));
	}
}

static void check_volumes(const json_object *list)
{
	static const char *const refused[] = {"configMap", "secret", "persistentVolumeClaim", "ephemeral", "csi"};

	for (size_t i = 0; i < json_len(list); i++) {
		const json_object *v = json_at(list, i), *sources = json_get(v, "projected.sources");

		assert_false(str_has_prefix(json_get_str(v, "name"), "kube-api-access-"));
		for (size_t k = 0; k < ARRAY_LEN(refused); k++)
			assert_null(json_get_key(v, refused[k]));
		for (size_t k = 0; k < json_len(sources); k++) {
			assert_null(json_get(json_at(sources, k), "serviceAccountToken"));
			assert_null(json_get(json_at(sources, k), "configMap"));
			assert_null(json_get(json_at(sources, k), "secret"));
		}
	}
}

/* Nothing is left that the recorded kubelet refused or that only an API server can resolve. */
static void check_rendered(const json_object *in, const json_object *out)
{
	static const char *const spec[] = {
	    "serviceAccountName", "serviceAccount", "imagePullSecrets",          "nodeName",
	    "nodeSelector",       "affinity",       "topologySpreadConstraints", "schedulerName",
	    "schedulingGates",    "priority",       "ephemeralContainers",       "resourceClaims"};
	static const char *const meta[] = {"ownerReferences",   "resourceVersion", "generateName",
					   "creationTimestamp", "managedFields",   "finalizers",
					   "deletionTimestamp", "generation"};
	const json_object *annotations = json_get(out, "metadata.annotations");
	char uid[UUID_TEXT_SIZE];

	for (size_t i = 0; i < ARRAY_LEN(spec); i++)
		if (json_get_key(json_get(out, "spec"), spec[i]))
			fail_msg("spec.%s is left", spec[i]);
	for (size_t i = 0; i < ARRAY_LEN(meta); i++)
		if (json_get_key(json_get(out, "metadata"), meta[i]))
			fail_msg("metadata.%s is left", meta[i]);
	assert_null(json_get(out, "status"));
	assert_string_equal(json_get_str(out, "kind"), "Pod");
	assert_string_equal(json_get_str(out, "apiVersion"), "v1");
	assert_string_equal(json_get_str(out, "metadata.name"), json_get_str(in, "metadata.name"));
	assert_string_equal(json_get_str(out, "metadata.namespace"), json_get_str(in, "metadata.namespace"));
	assert_string_equal(json_text(json_get(out, "metadata.labels")), json_text(json_get(in, "metadata.labels")));
	render_uid(UID_LOST, 3, uid);
	assert_string_equal(json_get_str(out, "metadata.uid"), uid);
	assert_string_equal(json_str(json_get_key(annotations, ANNOTATION_ORIGINAL_UID)), UID_LOST);
	assert_string_equal(json_str(json_get_key(annotations, ANNOTATION_EPOCH)), "3");
	assert_false(json_get_bool(out, "spec.automountServiceAccountToken", true));
	assert_true(json_len(json_get(out, "spec.containers")) > 0);
	check_containers(json_get(out, "spec.containers"));
	check_containers(json_get(out, "spec.initContainers"));
	check_volumes(json_get(out, "spec.volumes"));
}

static void check_case(const json_object *c, const char *refusal)
{
	const json_object *pod = json_get(c, "pod");
	cleanup(freep) char *before = str_dup(json_text(pod));
	cleanup(json_putp) json_object *out = NULL;
	char reason[REASON_SIZE] = "";
	int r = render_static_pod(pod, &params, &out, reason);

	assert_string_equal(json_text(pod), before); /* the input is not changed */
	if (refusal) {
		if (r != RENDER_E_REFUSED || !str_has_prefix(reason, refusal))
			fail_msg("%s: %d \"%s\" instead of \"%s\"", json_get_str(c, "case"), r, reason, refusal);
		assert_null(out);
		return;
	}
	if (r != 0)
		fail_msg("%s: %s", json_get_str(c, "case"), reason);
	check_rendered(pod, out);
}

static void test_recorded_cases(void **state)
{
	cleanup(json_putp) json_object *file = load(DATA "static-pods.json");
	const json_object *list = json_get(file, "cases");

	(void)state;
	assert_int_equal(json_len(list), ARRAY_LEN(cases));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const json_object *c = json_at(list, i);

		assert_string_equal(json_get_str(c, "case"), cases[i].name);
		if (str_eq(json_get_str(c, "verdict"), "runs"))
			assert_null(cases[i].refusal); /* what a kubelet runs we must not refuse */
		check_case(c, cases[i].refusal);
	}
}

static void test_real_pod(void **state)
{
	cleanup(json_putp) json_object *pod = load(DATA "pod-of-replicaset.json"), *out = NULL, *again = NULL;
	struct render_params p = params;
	char reason[REASON_SIZE] = "";

	(void)state;
	p.original_uid = NULL; /* its own uid */
	assert_non_null(strstr(json_text(pod), "kube-api-access-"));
	assert_int_equal(render_static_pod(pod, &p, &out, reason), 0);
	assert_null(strstr(json_text(out), "kube-api-access-"));
	assert_null(strstr(json_text(out), "serviceAccountToken"));
	check_rendered(pod, out);
	assert_non_null(json_get(out, "spec.tolerations"));
	/* What we rendered can be rendered again: a copy that is lost too. */
	assert_int_equal(render_static_pod(out, &params, &again, reason), 0);
}

static void test_uid(void **state)
{
	char a[UUID_TEXT_SIZE], b[UUID_TEXT_SIZE];

	(void)state;
	render_uid(UID_LOST, 1, a);
	render_uid(UID_LOST, 1, b);
	assert_string_equal(a, b);
	render_uid(UID_LOST, 2, b);
	assert_string_not_equal(a, b);
	render_uid("bdedc685-793f-415f-80c0-fdb7fddfd6e2", 1, b);
	assert_string_not_equal(a, b);
	uuid5(UID_LOST, "edge-healer.io/epoch/1", b);
	assert_string_equal(a, b);
}

#define POD(meta, spec)                                                                                                \
	"{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\"" meta "},\"spec\":{\"containers\":[{\"name\":\"c\","           \
	"\"image\":\"localhost/busybox:1\"}]" spec "}}"

static void test_further_refusals(void **state)
{
	static const struct {
		const char *pod, *refusal;
	} rows[] = {
	    {"{}", "metadata and spec: required"},
	    {"[]", "metadata and spec: required"},
	    {"{\"kind\":\"Deployment\"}", "kind: Deployment is not a Pod"},
	    {"{\"kind\":\"Pod\",\"metadata\":5,\"spec\":\"x\"}", "metadata and spec: required"},
	    {"{\"metadata\":{},\"spec\":{}}", "metadata.name: required"},
	    {"{\"metadata\":{\"name\":\"a\"},\"spec\":{\"containers\":[5]}}", "spec.containers[0].image: required"},
	    {POD(",\"annotations\":{\"edge-healer.io/needs-token\":\"true\"}", ""),
	     "annotation edge-healer.io/needs-token"},
	    {POD("", ",\"volumes\":[{\"name\":\"v\",\"iscsi\":{}}]"),
	     "spec.volumes[0]: volume type iscsi is not known"},
	    {POD("", ",\"volumes\":[{\"name\":\"v\",\"projected\":{\"sources\":[{\"clusterTrustBundle\":{\"name\":"
		     "\"x\"}}]}}]"),
	     "spec.volumes[0].projected.sources[0]: needs clusterTrustBundle x"},
	    {POD("", ",\"initContainers\":[{\"image\":\"other:1\"}]"),
	     "spec.initContainers[0].image: other:1 is not on this node"},
	    {POD("", ",\"initContainers\":[{\"image\":\"localhost/"
		     "busybox:1\",\"envFrom\":[{\"secretRef\":{\"name\":\"s\"}}]}]"),
	     "spec.initContainers[0].envFrom[0]: needs Secret s"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup(json_putp) json_object *pod = parse(rows[i].pod), *out = NULL;
		char reason[REASON_SIZE] = "";

		if (render_static_pod(pod, &params, &out, reason) != RENDER_E_REFUSED ||
		    !str_has_prefix(reason, rows[i].refusal))
			fail_msg("%s: \"%s\" instead of \"%s\"", rows[i].pod, reason, rows[i].refusal);
	}
}

/* As kube-scheduler counts: also what only runs first, what runs beside, what the pod as a whole asks for, and its overhead. */
static void test_capacity(void **state)
{
#define HAS(cpu, memory) "\"resources\":{\"requests\":{\"cpu\":\"" cpu "\",\"memory\":\"" memory "\"}}"
#define INIT(more) ",\"initContainers\":[{\"name\":\"i\",\"image\":\"localhost/busybox:1\"," more "}]"
	static const struct {
		const char *spec, *refusal;
	} rows[] = {
	    {INIT(HAS("4", "8Gi")), NULL},
	    {INIT(HAS("5", "1Gi")), "requests 5000m CPU, this node has 4000m"},
	    {INIT("\"restartPolicy\":\"Always\"," HAS("1", "9Gi")),
	     "requests 9663676416 bytes of memory, this node has 8589934592"},
	    {"," HAS("4001m", "1"), "requests 4001m CPU"},
	    {",\"overhead\":{\"cpu\":\"4100m\"}", "requests 4100m CPU"},
	    {INIT("\"resources\":{\"limits\":{\"cpu\":\"5\"}}"), "requests 5000m CPU"},
	    {INIT(HAS("9e18", "9e18")) "," HAS("1e99", "1"), "requests 9223372036854775807m CPU"},
	    {INIT(HAS("two", "1")), "spec.initContainers[0].resources.requests.cpu: invalid quantity \"two\""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup(freep) char *text = str_format("%.*s%s}}", (int)(strlen(POD("", "")) - 2), POD("", ""), rows[i].spec);
		cleanup(json_putp) json_object *pod = parse(text), *out = NULL;
		char reason[REASON_SIZE] = "";

		(void)render_static_pod(pod, &params, &out, reason);
		if (rows[i].refusal ? !str_has_prefix(reason, rows[i].refusal) : reason[0] != '\0')
			fail_msg("%s: \"%s\"", rows[i].spec, reason);
	}
}

/* One image has many names. */
static void test_image_names(void **state)
{
	static const char *const there[] = {"nginx:1.25", "registry.example:5000/a/b@sha256:0123", "localhost/x"};
	static const struct {
		const char *name;
		bool there;
	} rows[] = {
	    {"nginx:1.25", true},
	    {"docker.io/library/nginx:1.25", true},
	    {"index.docker.io/library/nginx:1.25", true},
	    {"docker.io/nginx:1.25", true},
	    {"library/nginx:1.25", true},
	    {"nginx", false},
	    {"nginx:latest", false},
	    {"quay.io/library/nginx:1.25", false},
	    {"localhost/x:latest", true},
	    {"docker.io/localhost/x", false},
	    {"registry.example:5000/a/b:tag@sha256:0123", true},
	    {"registry.example:5000/a/b:tag", false},
	    {"registry.example:5000/a/b@sha256:9999", false},
	};
	struct render_params p = params;

	(void)state;
	p.images = there;
	p.image_count = ARRAY_LEN(there);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup(json_putp) json_object *pod = parse(POD("", "")), *out = NULL;
		char reason[REASON_SIZE] = "";

		json_set_str(json_at(json_get(pod, "spec.containers"), 0), "image", rows[i].name);
		if ((render_static_pod(pod, &p, &out, reason) == 0) != rows[i].there)
			fail_msg("%s: \"%s\"", rows[i].name, reason);
	}
}

/* Rendered with these fields of metadata and spec: the value at `path` as text ("none": it is not there), or the reason. */
struct field_case { const char *meta, *spec, *want; };

static void check_fields(const struct field_case *rows, size_t n, const struct render_params *p, const char *path)
{
	for (size_t i = 0; i < n; i++) {
		cleanup(freep) char *text = str_format("{\"metadata\":{%s},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":"
						       "\"localhost/busybox:1\"}]%s}}", rows[i].meta, rows[i].spec);
		cleanup(json_putp) json_object *pod = parse(text), *out = NULL;
		char reason[REASON_SIZE] = "";
		const json_object *got = render_static_pod(pod, p, &out, reason) == 0 ? json_get(out, path) : NULL;
		const char *is = !out ? reason : !got ? "none" : json_is_str(got) ? json_str(got) : json_text(got);

		if (!str_eq(is, rows[i].want))
			fail_msg("%s %s:\n%s instead of\n%s", rows[i].meta, rows[i].spec, is, rows[i].want);
	}
}

#define TEN "abcdefghij"
#define SIXTY TEN TEN TEN TEN TEN TEN
#define NAME(name) "\"name\":\"" name "\""
#define FQDN(subdomain) ",\"subdomain\":\"" subdomain "\",\"setHostnameAsFQDN\":true"
#define FQDN_TOO_LONG(what, n)                                                                                                       \
	"spec.setHostnameAsFQDN: never starts, hostname of " n " characters (at most 64): " what

/* A static pod is called name-node; its hostname is to be what the lost pod's was. */
static void test_hostname(void **state)
{
	static const struct field_case rows[] = {
	    {NAME("web-0"), "", "web-0"},
	    {NAME("web-0"), ",\"hostname\":\"own\"", "own"},
	    {NAME("web-0"), ",\"hostname\":\"\"", "web-0"},
	    {NAME("web-0"), ",\"hostNetwork\":true", "none"}, /* it is the node's */
	    {NAME(SIXTY "abc"), "", SIXTY "abc"},
	    {NAME(SIXTY "abcd"), "", SIXTY "abc"},
	    {NAME(SIXTY "ab-d"), "", SIXTY "ab"},
	    {NAME(SIXTY "a--d"), "", SIXTY "a"},
	    {NAME(SIXTY "abc.d"), "", SIXTY "abc"},
	    {NAME(SIXTY "ab.d"), "", SIXTY "ab"},
	    {NAME(SIXTY "a.cd"), "", "none"},
	    {NAME("web.shop"), "", "none"}, /* spec.hostname cannot have dots: it becomes web.shop-node1 */
	    {NAME("web-0"), ",\"hostname\":\"a.b\"", "spec.hostname: a.b is not a lowercase RFC 1123 label"},
	    {NAME("web-0"), ",\"hostname\":\"-a\"", "spec.hostname: -a is not a lowercase RFC 1123 label"},
	    {NAME("web-0"), ",\"subdomain\":\"a.b\"", "spec.subdomain: a.b is not a lowercase RFC 1123 label"},
	    {NAME("web-0"), FQDN("sub"), "web-0"},
	    /* 64 and 65 characters with .default.svc.cluster.local */
	    {NAME(TEN TEN TEN "abcd"), FQDN("sub"), TEN TEN TEN "abcd"},
	    {NAME(TEN TEN TEN "abcde"), FQDN("sub"), FQDN_TOO_LONG(TEN TEN TEN "abcde.sub.default.svc.cluster.local",
	     "65")},
	    {NAME(TEN TEN TEN "abcde"), ",\"hostNetwork\":true" FQDN("sub"), "none"},
	    {NAME(TEN TEN TEN "abcde"), ",\"subdomain\":\"sub\"", TEN TEN TEN "abcde"},
	    {NAME(TEN TEN TEN "abcde"), ",\"setHostnameAsFQDN\":true", TEN TEN TEN "abcde"},
	    {NAME("a") ",\"namespace\":\"" TEN TEN TEN "\"", FQDN("sub-domain"), "a"},
	    {NAME("ab") ",\"namespace\":\"" TEN TEN TEN "abcd\"", FQDN("sub-domain"),
	     FQDN_TOO_LONG("ab.sub-domain." TEN TEN TEN "abcd.svc.cluster.local", "66")},
	    /* a name with dots gets the node's behind it */
	    {NAME(TEN TEN "xweb.shop"), FQDN("sub"),
	     FQDN_TOO_LONG(TEN TEN "xweb.shop-node1.sub.default.svc.cluster.local",
	     "65")},
	};
	static const struct field_case dots[] = {
	    {NAME("web-0"), "", "web-0"},
	    {NAME("web-0"), FQDN("sub"), "web-0"},
	    {NAME(SIXTY "abcd"), "", SIXTY "abc"},
	};
	static const struct field_case domain[] = {
	    {NAME(TEN TEN TEN TEN "abcd"), FQDN("sub"), TEN TEN TEN TEN "abcd"},
	    {NAME(TEN TEN TEN TEN "abcde"), FQDN("sub"), FQDN_TOO_LONG(TEN TEN TEN TEN "abcde.sub.default.svc.k8s",
	     "65")},
	};
	struct render_params p = params;

	(void)state;
	check_fields(rows, ARRAY_LEN(rows), &p, "spec.hostname");
	p.node = "edge-1.site-4.example.com";
	check_fields(dots, ARRAY_LEN(dots), &p, "spec.hostname");
	p.cluster_domain = "k8s";
	check_fields(domain, ARRAY_LEN(domain), &p, "spec.hostname");
}

static void test_os(void **state)
{
	static const struct field_case rows[] = {
	    {NAME("a"), ",\"os\":{\"name\":\"linux\"}", "linux"},
	    {NAME("a"), "", "none"},
	    {NAME("a"), ",\"os\":{\"name\":\"windows\"}", "spec.os.name: windows, but this node runs linux"},
	    {NAME("a"), ",\"os\":{\"name\":\"\"}", "spec.os.name: , but this node runs linux"},
	    {NAME("a"), ",\"os\":{}", "spec.os.name: required"},
	};

	(void)state;
	check_fields(rows, ARRAY_LEN(rows), &params, "spec.os.name");
}

/* A mistyped answer must not be taken for "no". */
static void test_needs_token(void **state)
{
#define NEEDS(value) NAME("a") ",\"annotations\":{\"edge-healer.io/needs-token\":" value "}"
#define UNKNOWN(value) "annotation edge-healer.io/needs-token: invalid value " value ", allowed are \"true\" and \"false\""
	static const struct field_case rows[] = {
	    {NEEDS("\"false\""), "", "a"},
	    {NEEDS("null"), "", "a"},
	    {NEEDS("\"true\""), "",
	     "annotation edge-healer.io/needs-token: a service account token needs the API server"},
	    {NEEDS("\"True\""), "", UNKNOWN("\"True\"")},
	    {NEEDS("\"yes\""), "", UNKNOWN("\"yes\"")},
	    {NEEDS("\"\""), "", UNKNOWN("\"\"")},
	    {NEEDS("\"true \""), "", UNKNOWN("\"true \"")},
	    {NEEDS("true"), "", UNKNOWN("true")},
	    {NEEDS("1"), "", UNKNOWN("1")},
	};

	(void)state;
	check_fields(rows, ARRAY_LEN(rows), &params, "spec.hostname");
}

#define API_TOKEN "{\"serviceAccountToken\":{\"path\":\"token\",\"expirationSeconds\":3607}}"
#define API_CA "{\"configMap\":{\"name\":\"kube-root-ca.crt\",\"items\":[{\"key\":\"ca.crt\",\"path\":\"ca.crt\"}]}}"
#define API_NS(path)                                                                                                                 \
	"{\"downwardAPI\":{\"items\":[{\"path\":\"" path "\",\"fieldRef\":{\"fieldPath\":\"metadata.namespace\"}}]}}"
#define TOKEN_VOLUME(name, sources) ",\"volumes\":[{\"name\":\"" name "\",\"projected\":{\"sources\":[" sources "]}}]"

/* Only what admission adds is dropped; what only looks like it is the user's. */
static void test_token_volume(void **state)
{
	static const struct field_case rows[] = {
	    {NAME("a"), TOKEN_VOLUME("kube-api-access-1", API_TOKEN "," API_CA "," API_NS("namespace")), "[]"},
	    {NAME("a"), TOKEN_VOLUME("mine", API_TOKEN "," API_CA "," API_NS("namespace")),
	     "spec.volumes[0].projected.sources[0]: needs serviceAccountToken "},
	    {NAME("a"), TOKEN_VOLUME("kube-api-access-1", API_TOKEN),
	     "spec.volumes[0].projected.sources[0]: needs serviceAccountToken "},
	    {NAME("a"), TOKEN_VOLUME("kube-api-access-1", API_TOKEN "," API_CA "," API_NS("other")),
	     "spec.volumes[0].projected.sources[0]: needs serviceAccountToken "},
	    {NAME("a"),
	     TOKEN_VOLUME("kube-api-access-1", "{\"serviceAccountToken\":{\"path\":\"token\",\"audience\":\"vault\"}}," API_CA
						    "," API_NS("namespace")),
	     "spec.volumes[0].projected.sources[0]: needs serviceAccountToken "},
	    {NAME("a"),
	     TOKEN_VOLUME("kube-api-access-1", API_TOKEN "," API_CA "," API_NS("namespace") ",{\"configMap\":{\"name\":\"more\"}}"),
	     "spec.volumes[0].projected.sources[0]: needs serviceAccountToken "},
	    {NAME("a"), TOKEN_VOLUME("kube-api-access-1", API_CA),
	     "spec.volumes[0].projected.sources[0]: needs ConfigMap kube-root-ca.crt"},
	    {NAME("a"), ",\"volumes\":[{\"name\":\"kube-api-access-1\",\"emptyDir\":{}}]",
	     "[{\"name\":\"kube-api-access-1\",\"emptyDir\":{}}]"},
	    {NAME("a"), TOKEN_VOLUME("kube-api-access-1", API_NS("namespace")),
	     "[{\"name\":\"kube-api-access-1\",\"projected\":{\"sources\":[" API_NS("namespace") "]}}]"},
	};
	cleanup(json_putp) json_object *pod = parse(POD("", ",\"volumes\":[{\"name\":\"kube-api-access-mine\",\"emptyDir\":{}},{\"name\":"
							    "\"kube-api-access-1\",\"projected\":{\"sources\":[" API_TOKEN "," API_CA
							    "," API_NS("namespace") "]}}]")), *out = NULL;
	cleanup(json_putp) json_object *mounts = parse("[{\"name\":\"kube-api-access-1\",\"mountPath\":\"/t\"},{\"name\":"
						       "\"kube-api-access-mine\",\"mountPath\":\"/m\"}]");
	char reason[REASON_SIZE] = "";

	(void)state;
	check_fields(rows, ARRAY_LEN(rows), &params, "spec.volumes");
	json_set(json_at(json_get(pod, "spec.containers"), 0), "volumeMounts", json_copy(mounts));
	assert_int_equal(render_static_pod(pod, &params, &out, reason), 0); /* mounts go by the volume that they name */
	assert_string_equal(json_text(json_get(json_at(json_get(out, "spec.containers"), 0), "volumeMounts")),
			    "[{\"name\":\"kube-api-access-mine\",\"mountPath\":\"/m\"}]");
}

/* What kubelet would not read is refused, not written; a template that becomes it is not ready. */
static void test_size(void **state)
{
	cleanup(json_putp) json_object *pod = parse(POD("", "")), *small = NULL;
	json_object *c = json_at(json_get(pod, "spec.containers"), 0);
	cleanup(freep) char *filler = mem_calloc(MANIFEST_MAX + 1, 1);
	char reason[REASON_SIZE] = "";
	size_t room;

	(void)state;
	memset(filler, 'x', MANIFEST_MAX);
	json_set_str(c, "workingDir", "");
	assert_int_equal(render_static_pod(pod, &params, &small, reason), 0);
	room = MANIFEST_MAX - strlen(json_text(small));
	for (size_t more = 0; more < 2; more++) {
		cleanup(json_putp) json_object *out = NULL;

		filler[room + more] = '\0';
		json_set_str(c, "workingDir", filler);
		filler[room + more] = 'x';
		assert_int_equal(render_static_pod(pod, &params, &out, reason), more ? RENDER_E_REFUSED : 0);
		if (!more)
			assert_int_equal(strlen(json_text(out)), MANIFEST_MAX);
	}
	assert_string_equal(reason, "the manifest has 10485760 bytes, kubelet reads at most 10485759");
	assert_int_equal(render_check_template(pod, NULL, reason), RENDER_E_REFUSED);
	assert_true(str_has_suffix(reason, "kubelet reads at most 10485759"));
}

static void test_runtime_class(void **state)
{
	cleanup(json_putp) json_object *with = parse("{\"runtimeClassName\":\"gvisor\"}"), *empty = parse("{\"runtimeClassName\":\"\"}"),
				       *none = parse("{}");
	static const struct field_case rows[] = {{NAME("a"), ",\"runtimeClassName\":\"gvisor\"", "gvisor"}};

	(void)state;
	assert_string_equal(render_runtime_class(with), "gvisor");
	assert_null(render_runtime_class(empty));
	assert_null(render_runtime_class(none));
	assert_null(render_runtime_class(NULL));
	check_fields(rows, ARRAY_LEN(rows), &params, "spec.runtimeClassName"); /* kept, and not refused in general */
}

static void test_names(void **state)
{
	static const struct {
		const char *name;
		bool good;
	} rows[] = {
	    {"a", true},     {"web-0", true}, {"a.b-c.d", true}, {"0", true},     {"-a", false},       {"a-", false},
	    {"a..b", false}, {".a", false},   {"a.", false},     {"a-.b", false}, {"a.-b", false},     {"A", false},
	    {"a_b", false},  {"a/b", false},  {"../a", false},   {"a b", false},  {"\xc3\xa9", false},
	};
	char longest[254];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup(json_putp) json_object *pod = parse(POD("", "")), *out = NULL;
		char reason[REASON_SIZE] = "";

		json_set_str(json_get(pod, "metadata"), "name", rows[i].name);
		if ((render_static_pod(pod, &params, &out, reason) == 0) != rows[i].good)
			fail_msg("%s", rows[i].name);
	}
	for (size_t n = 246; n <= 248; n++) { /* with "-node1" behind it at most 253 */
		cleanup(json_putp) json_object *pod = parse(POD("", "")), *out = NULL;
		char reason[REASON_SIZE] = "";

		memset(longest, 'a', n);
		longest[n] = '\0';
		json_set_str(json_get(pod, "metadata"), "name", longest);
		assert_int_equal(render_static_pod(pod, &params, &out, reason), n + 6 <= 253 ? 0 : RENDER_E_REFUSED);
	}
}

static void test_pull_policy(void **state)
{
	cleanup(json_putp) json_object *pod = parse(POD("", ",\"initContainers\":[{\"image\":\"localhost/busybox:1\","
							    "\"imagePullPolicy\":\"Never\"}]")),
				       *out = NULL;
	char reason[REASON_SIZE] = "";

	(void)state;
	json_set_str(json_at(json_get(pod, "spec.containers"), 0), "imagePullPolicy", "Always");
	assert_int_equal(render_static_pod(pod, &params, &out, reason), 0);
	assert_string_equal(json_get_str(json_at(json_get(out, "spec.containers"), 0), "imagePullPolicy"),
			    "IfNotPresent");
	assert_string_equal(json_get_str(json_at(json_get(out, "spec.initContainers"), 0), "imagePullPolicy"), "Never");
	assert_string_equal(json_get_str(out, "metadata.namespace"), "default");
}

static void test_template(void **state)
{
	cleanup(json_putp) json_object *tmpl =
	    parse("{\"metadata\":{\"labels\":{\"app\":\"web\"}},\"spec\":{\"containers\":["
		  "{\"image\":\"localhost/busybox:1\"}]}}");
	cleanup(json_putp) json_object *pod = render_pod_of_template(tmpl, "shop", "web-1", UID_LOST), *out = NULL;
	cleanup(json_putp) json_object *bad =
	    parse("{\"spec\":{\"containers\":[{\"image\":\"a\",\"envFrom\":[{\"configMapRef\":"
		  "{\"name\":\"cm\"}}]}]}}");
	struct render_params p = params;
	char reason[REASON_SIZE] = "";

	(void)state;
	assert_string_equal(json_get_str(pod, "metadata.uid"), UID_LOST);
	p.workload_uid = "rs-1";
	assert_int_equal(render_static_pod(pod, &p, &out, reason), 0);
	check_rendered(pod, out);
	assert_string_equal(json_str(json_get_key(json_get(out, "metadata.annotations"), ANNOTATION_WORKLOAD_UID)), "rs-1");
	assert_int_equal(render_check_template(tmpl, NULL, reason), 0);
	assert_int_equal(render_check_template(bad, NULL, reason), RENDER_E_REFUSED);
	assert_string_equal(reason, "spec.containers[0].envFrom[0]: needs ConfigMap cm");
	assert_int_equal(render_check_template(NULL, NULL, reason), RENDER_E_REFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_recorded_cases),
	    cmocka_unit_test(test_real_pod),
	    cmocka_unit_test(test_uid),
	    cmocka_unit_test(test_further_refusals),
	    cmocka_unit_test(test_capacity),
	    cmocka_unit_test(test_image_names),
	    cmocka_unit_test(test_hostname),
	    cmocka_unit_test(test_os),
	    cmocka_unit_test(test_needs_token),
	    cmocka_unit_test(test_token_volume),
	    cmocka_unit_test(test_size),
	    cmocka_unit_test(test_runtime_class),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_pull_policy),
	    cmocka_unit_test(test_template),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
