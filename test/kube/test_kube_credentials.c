/* test_kube_credentials.c — kubeconfig good and bad, the service account of a pod, rotation */
#include "kube_rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kube/kube_int.h"

static char *dir;

static int setup(void **state)
{
	(void)state;
	dir = rig_dir_new();
	(void)unsetenv("KUBERNETES_SERVICE_HOST");
	(void)unsetenv("KUBERNETES_SERVICE_PORT");
	(void)unsetenv("KUBECONFIG");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_dir_remove(dir);
	return 0;
}

#define CONFIG(cluster, user) \
	"current-context: c\ncontexts:\n- name: c\n  context: {cluster: k, user: u}\n" \
	"clusters:\n- name: k\n  cluster: {" cluster "}\nusers:\n- name: u\n  user: {" user "}\n"
#define SERVER "server: 'https://h:6443'"
#define PEM "-----BEGIN X-----\nMA==\n-----END X-----\n"
#define PEM64 "LS0tLS1CRUdJTiBYLS0tLS0KTUE9PQotLS0tLUVORCBYLS0tLS0K"

static int load(const char *text, struct kube_credentials **c, char *err, size_t size)
{
	cleanup(freep) char *path = rig_write(dir, "config", text);
	const struct kube_credentials_conf conf = { .kubeconfig = path };

	return kube_credentials_load(&conf, c, err, size);
}

static struct kube_credentials *load_good(const char *text)
{
	struct kube_credentials *c = NULL;
	char err[512] = "";

	if (load(text, &c, err, sizeof(err)) < 0)
		fail_msg("%s", err);
	return c;
}

/* Kubelet's: its user may log in as we never would (EKS starts a helper), its files may not be ours to read. */
static void the_cluster_of_somebody_elses_kubeconfig(void **state)
{
	cleanup(freep) char *path = rig_write(dir, "kubelet.conf", CONFIG(SERVER ", certificate-authority: nowhere",
									  "exec: {command: aws}"));
	cleanup(freep) char *beside = rig_write(dir, "beside.conf", CONFIG(SERVER ", certificate-authority: c, tls-server-name: n", ""));
	cleanup(freep) char *inside = rig_write(dir, "inside.conf", CONFIG(SERVER ", certificate-authority-data: " PEM64, ""));
	cleanup(freep) char *host = rig_write(dir, "host.conf", CONFIG(SERVER ", certificate-authority: /c", ""));
	cleanup(freep) char *bad = rig_write(dir, "bad.conf", "current-context: x\n"), *none = str_format("%s/none", dir);
	const struct { const char *path, *name, *ca; } rows[] = {
		{ path, NULL, NULL }, { beside, "n", PEM }, { inside, NULL, PEM }, { host, NULL, PEM },
	};
	struct kube_cluster c = { 0 };
	char err[512] = "";

	(void)state;
	free(rig_write(dir, "c", PEM));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(kube_kubeconfig_cluster(rows[i].path, dir, &c, err, sizeof(err)), 0);
		assert_string_equal(c.server, "https://h:6443");
		assert_string_equal(str_or(c.tls_server_name, "-"), str_or(rows[i].name, "-"));
		assert_string_equal(str_or(c.ca, "-"), str_or(rows[i].ca, "-"));
		kube_cluster_fini(&c);
	}
	assert_int_equal(kube_kubeconfig_cluster(bad, "", &c, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "no context"));
	err[0] = '\0';
	assert_int_equal(kube_kubeconfig_cluster(none, "", &c, err, sizeof(err)), -ENOENT);
	assert_true(err[0] != '\0');
}

static void embedded_credentials_are_decoded(void **state)
{
	struct kube_credentials *c =
	    load_good(CONFIG(SERVER ", certificate-authority-data: " PEM64 ", tls-server-name: n",
			     "client-certificate-data: " PEM64 ", client-key-data: " PEM64 ", token: abc"));

	(void)state;
	assert_string_equal(kube_credentials_server(c), "https://h:6443");
	assert_non_null(strstr(kube_credentials_source(c), "config context c"));
	assert_string_equal(c->ca.data, PEM);
	assert_string_equal(c->cert.data, PEM);
	assert_string_equal(c->key.data, PEM);
	assert_string_equal(c->token.data, "abc");
	assert_string_equal(c->tls_server_name, "n");
	kube_credentials_free(c);
}

static void files_are_looked_for_beside_the_kubeconfig(void **state)
{
	struct kube_credentials *c;

	(void)state;
	free(rig_write(dir, "ca.pem", PEM));
	free(rig_write(dir, "t", &" tok \n"[1]));
	c = load_good(CONFIG(SERVER ", certificate-authority: ca.pem", "tokenFile: ./t, token: other"));
	assert_non_null(strstr(c->ca.data, "BEGIN X"));
	assert_string_equal(c->token.data, "tok");
	kube_credentials_free(c);
}

static void json_and_other_contexts_are_read_too(void **state)
{
	static const char text[] =
	    "{\"contexts\":[{\"name\":\"a\",\"context\":{\"cluster\":\"x\"}},{\"name\":\"b\",\"context\":"
	    "{\"cluster\":\"y\",\"user\":\"\"}}],\"clusters\":[{\"name\":\"x\",\"cluster\":{\"server\":\"https://x/"
	    "\"}},"
	    "{\"name\":\"y\",\"cluster\":{\"server\":\"http://y:80/k8s/c1//\"}}],\"users\":null}";
	cleanup(freep) char *path = rig_write(dir, "json", text);
	struct kube_credentials *c = NULL;
	char err[256];

	(void)state;
	assert_int_equal(kube_credentials_load(&(struct kube_credentials_conf){.kubeconfig = path, .context = "b"}, &c,
					       err, sizeof(err)),
			 0);
	assert_string_equal(kube_credentials_server(c), "http://y:80/k8s/c1");
	kube_credentials_free(c);
	assert_int_equal(kube_credentials_load(&(struct kube_credentials_conf){ .kubeconfig = path, .context = "a",
					       .server = "https://other" }, &c, err, sizeof(err)), 0);
	assert_string_equal(kube_credentials_server(c), "https://other");
	kube_credentials_free(c);
}

static void bad_kubeconfigs_say_what_is_wrong(void **state)
{
	static const struct { const char *text, *message;
	} rows[] = {
	    {"", "no kubeconfig"},
	    {"[1, 2]", "no kubeconfig"},
	    {"a: [", "line "},
	    {"a: 1\n\tb: 2", "line 2"},
	    {"contexts: []", "current-context is not set"},
	    {"current-context: x", "there is no context \"x\""},
	    {"current-context: x\ncontexts: [{name: x, context: {user: u}}]",
	     "contexts[\"x\"].context.cluster is missing"},
	    {"current-context: x\ncontexts: [{name: x, context: {cluster: k}}]", "there is no cluster \"k\""},
	    {"current-context: x\ncontexts: [{name: x, context: {cluster: k, user: u}}]\n"
	     "clusters: [{name: k, cluster: {server: 'https://h'}}]",
	     "there is no user \"u\""},
	    {CONFIG("a: b", ""), "clusters[\"k\"].cluster.server is missing"},
	    {CONFIG("server: 'h:6443'", ""), "give a URL with https://"},
	    {CONFIG("server: 'https://'", ""), "give https://HOST"},
	    {CONFIG("server: 'https://u:p@h'", ""), "without a user"},
	    {CONFIG("server: 'https://h /x'", ""), "contains a space"},
	    {CONFIG(SERVER ", proxy-url: 'http://p'", ""),
	     "clusters[\"k\"].cluster.proxy-url is not supported: connect directly"},
	    {CONFIG(SERVER ", insecure-skip-tls-verify: maybe", ""), "neither true nor false"},
	    {CONFIG(SERVER ", insecure-skip-tls-verify: true, certificate-authority: x", ""), "exclude each other"},
	    {CONFIG(SERVER, "exec: {command: aws}"),
	     "users[\"u\"].user.exec is not supported: edge-healer starts no login helpers; "
	     "use a token"},
	    {CONFIG(SERVER, "auth-provider: {name: gcp}"), "users[\"u\"].user.auth-provider is not supported"},
	    {CONFIG(SERVER, "username: a, password: b"), "basic authentication"},
	    {CONFIG(SERVER, "as: root"), "users[\"u\"].user.as is not supported"},
	    {CONFIG(SERVER, "client-certificate: x"), "needs its key"},
	    {CONFIG(SERVER, "client-key: x"), "needs its key"},
	    {CONFIG(SERVER, "client-certificate: x, client-key: y"), "client-certificate"},
	    {CONFIG(SERVER ", certificate-authority: nowhere", ""), "No such file"},
	    {CONFIG(SERVER ", certificate-authority-data: '%%'", ""), "certificate-authority-data is no base64"},
	    {CONFIG(SERVER ", certificate-authority-data: QUJD", ""), "no PEM block"},
	    {CONFIG(SERVER, "tokenFile: nowhere"), "tokenFile"},
	    {CONFIG(SERVER, "token: 'a b'"), "the token contains a space"},
	    {CONFIG("server: 'http://example.org'", "token: s3cret"), "not sent over plain http"},
	    {CONFIG("server: 'http://127.0.0.1.example.org'", "token: s3cret"), "not sent over plain http"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct kube_credentials *c = NULL;
		char err[512] = "";

		if (load(rows[i].text, &c, err, sizeof(err)) >= 0)
			fail_msg("accepted: %s", rows[i].text);
		assert_null(c);
		if (!strstr(err, rows[i].message))
			fail_msg("\"%s\" does not say \"%s\"", err, rows[i].message);
		assert_null(strstr(err, "s3cret"));
	}
}

static void loopback_may_be_plain(void **state)
{
	struct kube_credentials *c = load_good(CONFIG("server: 'http://127.0.0.1:8080'", "token: t"));

	(void)state;
	kube_credentials_free(c);
}

static void huge_files_are_refused(void **state)
{
	cleanup(freep) char *big = mem_calloc(KUBECONFIG_MAX + 2, 1);
	struct kube_credentials *c = NULL;
	char err[512];

	(void)state;
	memset(big, '#', KUBECONFIG_MAX + 1);
	assert_int_equal(load(big, &c, err, sizeof(err)), -E2BIG);
	assert_non_null(strstr(err, "larger than"));
	big[KUBE_SECRET_FILE_MAX + 1] = '\0';
	free(rig_write(dir, "t", big));
	assert_int_equal(load(CONFIG(SERVER, "tokenFile: t"), &c, err, sizeof(err)), -E2BIG);
}

static void a_pod_uses_its_service_account(void **state)
{
	const struct kube_credentials_conf conf = { .in_cluster_dir = dir };
	struct kube_credentials *c = NULL;
	char err[512];

	(void)state;
	(void)setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1", 1);
	(void)setenv("KUBERNETES_SERVICE_PORT", "443", 1);
	assert_int_equal(kube_credentials_load(&conf, &c, err, sizeof(err)), -ENOENT);
	assert_non_null(strstr(err, "automountServiceAccountToken"));
	free(rig_write(dir, "token", "t1\n"));
	free(rig_write(dir, "ca.crt", PEM));
	assert_int_equal(kube_credentials_load(&conf, &c, err, sizeof(err)), 0);
	assert_string_equal(kube_credentials_server(c), "https://10.96.0.1:443");
	assert_string_equal(kube_credentials_source(c), "in-cluster");
	assert_string_equal(c->token.data, "t1");
	kube_credentials_free(c);
	(void)setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
	assert_int_equal(kube_credentials_load(&conf, &c, err, sizeof(err)), 0);
	assert_string_equal(kube_credentials_server(c), "https://[fd00::1]:443");
	kube_credentials_free(c);
}

static void the_environment_names_one_kubeconfig(void **state)
{
	cleanup(freep) char *path = rig_write(dir, "config", CONFIG(SERVER, "")), *with_colons = str_format(":%s:", path);
	cleanup(freep) char *two = str_format("%s:%s", path, path);
	const struct kube_credentials_conf conf = { 0 };
	struct kube_credentials *c = NULL;
	char err[512];

	(void)state;
	assert_int_equal(kube_credentials_load(&conf, &c, err, sizeof(err)), -ENOENT);
	assert_non_null(strstr(err, "set kube.kubeconfig or kube.server"));
	(void)setenv("KUBECONFIG", with_colons, 1);
	assert_int_equal(kube_credentials_load(&conf, &c, err, sizeof(err)), 0);
	kube_credentials_free(c);
	(void)setenv("KUBECONFIG", two, 1);
	assert_int_equal(kube_credentials_load(&conf, &c, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "several files"));
}

static void rotated_files_are_read_again(void **state)
{
	struct mono now = { INT64_C(1000000000000) };
	struct kube_credentials *c;

	(void)state;
	free(rig_write(dir, "t", "t1"));
	free(rig_write(dir, "c", PEM));
	free(rig_write(dir, "k", PEM));
	c = load_good(CONFIG(SERVER, "tokenFile: t, client-certificate: c, client-key: k"));
	assert_false(kube_credentials_refresh(c, now, false));
	free(rig_write(dir, "t", "t2"));
	assert_false(kube_credentials_refresh(c, mono_add_ms(now, KUBE_CREDENTIALS_TTL_MS - 1), false));
	assert_string_equal(c->token.data, "t1");
	now = mono_add_ms(now, KUBE_CREDENTIALS_TTL_MS);
	assert_true(kube_credentials_refresh(c, now, false));
	assert_string_equal(c->token.data, "t2");
	assert_false(kube_credentials_refresh(c, now, true));
	free(rig_write(dir, "t", "t3"));
	assert_true(kube_credentials_refresh(c, now, true));		/* forced */
	assert_string_equal(c->token.data, "t3");
	free(rig_write(dir, "t", "\n"));				/* caught in the middle of being written */
	assert_false(kube_credentials_refresh(c, now, true));
	assert_string_equal(c->token.data, "t3");
	free(rig_write(dir, "t", "two words"));
	assert_false(kube_credentials_refresh(c, now, true));
	assert_string_equal(c->token.data, "t3");
	free(rig_write(dir, "c", PEM "2"));
	assert_true(kube_credentials_refresh(c, now, true));
	assert_non_null(strstr(c->cert.data, "\n2"));
	rig_dir_remove(dir);						/* all gone: what we have stays */
	dir = rig_dir_new();
	assert_false(kube_credentials_refresh(c, now, true));
	assert_string_equal(c->token.data, "t3");
	kube_credentials_free(c);
}

/* In place, as kubeadm, k3s and operators do: another server, CA, certificate or token, also embedded ones. */
static void a_kubeconfig_that_is_rewritten_is_read_again(void **state)
{
	struct mono now = { INT64_C(1000000000000) };
	struct kube_credentials *c = load_good(CONFIG(SERVER, "token: t1"));

	(void)state;
	assert_false(kube_credentials_refresh(c, now, true));
	assert_int_equal(kube_credentials_generation(c), 0);
	free(rig_write(dir, "config", CONFIG("server: 'https://other:6443'", "token: t1")));
	assert_true(kube_credentials_refresh(c, now, true));
	assert_string_equal(kube_credentials_server(c), "https://other:6443");
	assert_int_equal(kube_credentials_generation(c), 1);
	free(rig_write(dir, "config", CONFIG(SERVER ", certificate-authority-data: " PEM64,
					     "client-certificate-data: " PEM64 ", client-key-data: " PEM64)));
	assert_false(kube_credentials_refresh(c, mono_add_ms(now, KUBE_CREDENTIALS_TTL_MS - 1), false));
	assert_true(kube_credentials_refresh(c, mono_add_ms(now, KUBE_CREDENTIALS_TTL_MS), false));
	assert_string_equal(kube_credentials_server(c), "https://h:6443");
	assert_null(c->token.data);
	assert_string_equal(c->cert.data, PEM);
	assert_string_equal(c->ca.data, PEM);
	kube_credentials_set_answer_ca(c, "kubelet's");
	free(rig_write(dir, "config", CONFIG(SERVER, "token: t3")));
	assert_true(kube_credentials_refresh(c, now, true));
	assert_string_equal(c->answer_ca.data, "kubelet's");
	free(rig_write(dir, "config", "current-context: c\ncontexts:\n- name: c\n  context: {clus"));	/* half of it */
	assert_false(kube_credentials_refresh(c, now, true));
	free(rig_write(dir, "config", CONFIG("server: 'http://evil:80'", "token: t3")));	/* a token is not sent in the clear */
	assert_false(kube_credentials_refresh(c, now, true));
	assert_string_equal(kube_credentials_server(c), "https://h:6443");
	assert_string_equal(c->token.data, "t3");
	assert_int_equal(kube_credentials_generation(c), 3);
	kube_credentials_free(c);
}

static void a_token_does_not_wait_for_a_ca_that_is_gone(void **state)
{
	struct mono now = { INT64_C(1000000000000) };
	cleanup(freep) char *ca = rig_write(dir, "ca", PEM);
	struct kube_credentials *c;

	(void)state;
	free(rig_write(dir, "t", "t1"));
	c = load_good(CONFIG(SERVER ", certificate-authority: ca", "tokenFile: t"));
	assert_int_equal(unlink(ca), 0);
	free(rig_write(dir, "t", "t2"));
	assert_true(kube_credentials_refresh(c, now, true));
	assert_string_equal(c->token.data, "t2");
	assert_non_null(strstr(c->ca.data, "BEGIN X"));
	kube_credentials_free(c);
}

static void base64_is_strict(void **state)
{
	static const char *const bad[] = { "Q", "QQ", "QQ=", "Q===", "QQ==QQ==", "QQ=Q", "====", "Q?==", "QUI", "AA==" };
	static const struct {
		const char *in, *out;
	} good[] = {{"", ""}, {"QQ==", "A"}, {"QUI=", "AB"}, {" Q U\nJD", "ABC"}};
	char *out = NULL;
	size_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(base64_decode(bad[i], &out, &n), -EINVAL);
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(base64_decode(good[i].in, &out, &n), 0);
		assert_string_equal(out, good[i].out);
		assert_int_equal(n, strlen(good[i].out));
		free(out);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(embedded_credentials_are_decoded), T(files_are_looked_for_beside_the_kubeconfig),
		T(json_and_other_contexts_are_read_too), T(bad_kubeconfigs_say_what_is_wrong), T(loopback_may_be_plain),
		T(huge_files_are_refused), T(a_pod_uses_its_service_account), T(the_environment_names_one_kubeconfig),
		T(rotated_files_are_read_again), T(the_cluster_of_somebody_elses_kubeconfig),
		T(a_kubeconfig_that_is_rewritten_is_read_again), T(a_token_does_not_wait_for_a_ca_that_is_gone),
		cmocka_unit_test(base64_is_strict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
