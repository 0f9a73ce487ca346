/* test_node_content.c — two pods of one ReplicaSet have one content; what somebody asked for stays in it */
#include "../support.h"

#include "base/json.h"
#include "base/mem.h"
#include "node/render.h"

#define TOKEN(name)                                                                                                           \
	"{\"name\":\"" name "\",\"projected\":{\"defaultMode\":420,\"sources\":[{\"serviceAccountToken\":{\"expirationSeconds\":3607," \
	"\"path\":\"token\"}},{\"configMap\":{\"name\":\"kube-root-ca.crt\",\"items\":[{\"key\":\"ca.crt\",\"path\":\"ca.crt\"}]}},"   \
	"{\"downwardAPI\":{\"items\":[{\"path\":\"namespace\",\"fieldRef\":{\"apiVersion\":\"v1\",\"fieldPath\":\"metadata.namespace\"}" \
	"}]}}]}}"
#define MOUNT(name) "{\"name\":\"" name "\",\"readOnly\":true,\"mountPath\":\"/var/run/secrets/kubernetes.io/serviceaccount\"}"
#define POD(name, node, token, annotations)                                                                                   \
	"{\"metadata\":{\"name\":\"" name "\",\"uid\":\"u-" name "\",\"resourceVersion\":\"7\",\"labels\":{\"app\":\"web\"},"          \
	"\"annotations\":{" annotations "}},\"spec\":{\"nodeName\":\"" node "\",\"serviceAccountName\":\"default\","                 \
	"\"volumes\":[{\"name\":\"data\",\"emptyDir\":{}}," TOKEN(token) "],\"containers\":[{\"name\":\"c\",\"image\":\"i\","         \
	"\"volumeMounts\":[{\"name\":\"data\",\"mountPath\":\"/data\"}," MOUNT(token) "]},"                                         \
	"{\"name\":\"injected-proxy\",\"image\":\"p\"}]},\"status\":{\"podIP\":\"10.0.0.7\"}}"

static char *content(const char *text)
{
	json_object *pod = NULL, *out;
	char *copy;

	assert_int_equal(json_parse(text, strlen(text), &pod), 0);
	out = render_content(pod);
	copy = str_dup(json_text(out));
	json_putp(&pod);
	json_putp(&out);
	return copy;
}

static void test_pods_of_one_replicaset_have_one_content(void **state)
{
	cleanup(freep) char *a = content(POD("web-a", "n1", "kube-api-access-x7k2p",
					     "\"k8s.v1.cni.cncf.io/network-status\":\"[{1}]\",\"cni.projectcalico.org/podIP\":\"10.0.0.7/32\""));
	cleanup(freep) char *b = content(POD("web-b", "n2", "kube-api-access-99999",
					     "\"cni.projectcalico.org/podIP\":\"10.0.0.8/32\",\"cni.projectcalico.org/containerID\":\"f00\""));

	(void)state;
	assert_string_equal(a, b);
	assert_null(strstr(a, "web-a"));
	assert_null(strstr(a, "kube-api-access"));
	assert_null(strstr(a, "10.0.0.7"));
	assert_non_null(strstr(a, "injected-proxy"));	/* which no template has */
	assert_non_null(strstr(a, "\"/data\""));
}

static void test_what_asks_for_something_stays(void **state)
{
	static const char *const asks[] = {
		"\"k8s.v1.cni.cncf.io/networks\":\"vlan7\"",	      "\"cni.projectcalico.org/ipAddrs\":\"[10.0.0.9]\"",
		"\"ovn.kubernetes.io/ip_address\":\"10.0.0.9\"",      "\"kubectl.kubernetes.io/restartedAt\":\"2026\"",
		"\"edge-healer.io/needs-token\":\"true\"",
	};
	cleanup(freep) char *none = content(POD("web-a", "n1", "kube-api-access-x7k2p", ""));

	(void)state;
	for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
		cleanup(freep) char *text = str_format("{\"metadata\":{\"annotations\":{%s}},\"spec\":{}}", asks[i]);
		cleanup(freep) char *one = content(text);

		assert_non_null(strstr(one, asks[i]));
		assert_string_not_equal(one, none);
	}
}

/* Whose token, "" = nobody's, in an admitted pod and in what is kept of it: both say the same. */
static void check_account(const char *text, const char *wanted)
{
	cleanup(json_putp) json_object *pod = NULL, *kept = NULL;

	assert_int_equal(json_parse(text, strlen(text), &pod), 0);
	kept = render_content(pod);
	assert_string_equal(str_or(render_own_account(json_get_key(pod, "metadata"), json_get_key(pod, "spec")), ""), wanted);
	assert_string_equal(str_or(render_own_account(json_get_key(kept, "metadata"), json_get_key(kept, "spec")), ""), wanted);
}

#define WITH(account, notes, volumes, mounts)                                                                                 \
	"{\"metadata\":{\"annotations\":{" notes "}},\"spec\":{\"serviceAccountName\":\"" account "\",\"volumes\":[" volumes "],"    \
	"\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"volumeMounts\":[" mounts "]}]}}"
#define V "kube-api-access-x7k2p"

static void test_a_token_of_an_account_of_its_own_is_remembered(void **state)
{
	static const char needs_not[] = "\"edge-healer.io/needs-token\":\"false\"";
	struct render_params p = { .no_own_account = true };
	cleanup(json_putp) json_object *pod = NULL;
	char reason[REASON_SIZE];
	cleanup(freep) char *text = str_format(WITH("ci", "%s", TOKEN(V), MOUNT(V)), needs_not);

	(void)state;
	check_account(WITH("ci", "", TOKEN(V), MOUNT(V)), "ci");
	check_account(WITH("default", "", TOKEN(V), MOUNT(V)), "");
	check_account(WITH("ci", "", "", ""), "");		/* automountServiceAccountToken: false, there or at the account */
	check_account(WITH("ci", "", TOKEN(V), ""), "");	/* mounted by nobody */
	check_account(text, "");				/* its owner knows better */
	assert_int_equal(json_parse(WITH("ci", "", TOKEN(V), MOUNT(V)), strlen(WITH("ci", "", TOKEN(V), MOUNT(V))), &pod), 0);
	assert_int_equal(render_check_template(pod, &p, reason), RENDER_E_REFUSED);
	assert_string_equal(reason, "spec.serviceAccountName: a token of ci is mounted and no copy can have one "
				    "(heal.own_service_account)");
	p.no_own_account = false;
	assert_int_equal(render_check_template(pod, &p, reason), 0);
}

static void test_of_nothing_nothing(void **state)
{
	cleanup(freep) char *none = content("{}");

	(void)state;
	assert_string_equal(none, "{\"metadata\":{\"labels\":{},\"annotations\":{}},\"spec\":{}}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pods_of_one_replicaset_have_one_content),
		cmocka_unit_test(test_what_asks_for_something_stays),
		cmocka_unit_test(test_a_token_of_an_account_of_its_own_is_remembered),
		cmocka_unit_test(test_of_nothing_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
