/* test_kube_tls.c — TLS for real: wrong CA, expired, wrong name, client certificates, tokens; HTTP/2 behind nghttpx */
#include "kube_rig.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "http_rig.h"

static char *dir;

static int make_certs(void **state)
{
	cleanup(freep) char *command = NULL;

	(void)state;
	dir = rig_dir_new();
	command = str_format("test/kube/certs.sh %s", dir);
	return system(command);
}

static int remove_certs(void **state)
{
	(void)state;
	rig_dir_remove(dir);
	return 0;
}

/* A kubeconfig for `url` with these lines of the cluster and the user; files are named relative to its folder. */
static char *kubeconfig(const char *url, const char *cluster, const char *user)
{
	cleanup(freep) char *text = str_format(
	    "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
	    "clusters:\n- name: k\n  cluster: {server: '%s'%s}\nusers:\n- name: u\n  user: {%s}\n",
	    url, cluster, user);

	return rig_write(dir, "config", text);
}

static struct got get_with(const struct rig_tls *tls, const char *cluster, const char *user)
{
	struct http_rig *http = http_rig_new(tls);
	cleanup(freep) char *config = kubeconfig(http_rig_url(http), cluster, user);
	struct kube_rig kube;
	struct got g;

	http_rig_add(http, &(struct rig_step){ .body = "{}", .forever = true });
	kube_rig_init_from(&kube, config);
	g = rig_get(&kube, "/version", 0);
	assert_int_equal(kube.contacts, g.outcome == KUBE_OK);
	kube_rig_fini(&kube);
	http_rig_free(http);
	return g;
}

static void check(const char *cert, const char *cluster, const char *user, const char *message)
{
	cleanup(freep) char *crt = str_format("%s/%s.crt", dir, cert), *key = str_format("%s/%s.key", dir, cert);
	struct got g = get_with(&(struct rig_tls){ .cert = crt, .key = key }, cluster, user);

	if (message) {
		assert_int_equal(g.outcome, KUBE_E_UNREACHABLE);
		assert_int_equal(g.status, 0);
		if (!strstr(g.message, message))
			fail_msg("\"%s\" does not say \"%s\"", g.message, message);
	} else if (g.outcome != KUBE_OK) {
		fail_msg("%s", g.message);
	}
	got_fini(&g);
}

static void a_good_certificate_is_accepted(void **state)
{
	(void)state;
	check("good", ", certificate-authority: ca.crt", "", NULL);
}

static void a_wrong_ca_is_refused(void **state)
{
	(void)state;
	check("good", ", certificate-authority: other-ca.crt", "", "unable to get local issuer certificate");
}

static void the_system_ca_is_refused(void **state)
{
	(void)state;
	check("good", "", "", "certificate");
}

static void an_expired_certificate_is_refused(void **state)
{
	(void)state;
	check("expired", ", certificate-authority: ca.crt", "", "certificate has expired");
}

static void a_wrong_name_is_refused(void **state)
{
	(void)state;
	check("wrong-name", ", certificate-authority: ca.crt", "", "127.0.0.1");
}

static void the_name_to_expect_can_be_given(void **state)
{
	(void)state;
	check("wrong-name", ", certificate-authority: ca.crt, tls-server-name: api.example.org", "", NULL);
	check("good", ", certificate-authority: ca.crt, tls-server-name: api.example.org", "", "api.example.org");
}

static void verification_can_be_skipped(void **state)
{
	(void)state;
	check("expired", ", insecure-skip-tls-verify: true", "", NULL);
	check("wrong-name", ", insecure-skip-tls-verify: true", "", NULL);
}

static void check_client(const char *user, bool ok)
{
	cleanup(freep) char *crt = str_format("%s/good.crt", dir), *key = str_format("%s/good.key", dir);
	cleanup(freep) char *ca = str_format("%s/ca.crt", dir);
	struct got g = get_with(&(struct rig_tls){.cert = crt, .key = key, .client_ca = ca},
				", certificate-authority: ca.crt", user);

	if (ok)
		assert_string_equal(g.message, "");
	assert_int_equal(g.outcome, ok ? KUBE_OK : KUBE_E_UNREACHABLE);
	got_fini(&g);
}

static void a_client_certificate_is_presented(void **state)
{
	(void)state;
	check_client("client-certificate: client.crt, client-key: client.key", true);
	check_client("client-certificate: stranger.crt, client-key: stranger.key", false);
	check_client("", false);
}

static void a_token_is_sent_and_reread_after_401(void **state)
{
	cleanup(freep) char *crt = str_format("%s/good.crt", dir), *key = str_format("%s/good.key", dir);
	struct http_rig *http = http_rig_new(&(struct rig_tls){ .cert = crt, .key = key });
	cleanup(freep) char *config =
	    kubeconfig(http_rig_url(http), ", certificate-authority: ca.crt", "tokenFile: token");
	struct kube_rig kube;
	struct got g;

	(void)state;
	free(rig_write(dir, "token", "old-token\n"));
	http_rig_add(http, &(struct rig_step){ .status = 401, .forever = true });
	kube_rig_init_from(&kube, config);
	g = rig_get(&kube, "/a", 0);		/* the same token is in the file: no use trying again */
	assert_int_equal(g.outcome, KUBE_E_UNAUTHORIZED);
	assert_int_equal(g.attempts, 1);
	got_fini(&g);
	free(rig_write(dir, "token", "new-token\n"));
	g = rig_get(&kube, "/a", 0);
	assert_int_equal(g.outcome, KUBE_E_UNAUTHORIZED);
	assert_int_equal(g.attempts, 2);
	assert_non_null(strstr(http_rig_request(http, 0), "Authorization: Bearer old-token\r\n"));
	assert_non_null(strstr(http_rig_request(http, 1), "Authorization: Bearer old-token\r\n"));
	assert_non_null(strstr(http_rig_request(http, 2), "Authorization: Bearer new-token\r\n"));
	got_fini(&g);
	kube_rig_fini(&kube);
	http_rig_free(http);
}

/* ---- probes ---- */

struct expected { const char *cert, *cluster, *answer_ca, *name; enum kube_probe_outcome outcome; };

static struct found probe(const struct expected *e)
{
	cleanup(freep) char *crt = str_format("%s/%s.crt", dir, e->cert), *key = str_format("%s/%s.key", dir, e->cert);
	struct http_rig *http = http_rig_new(&(struct rig_tls){ .cert = crt, .key = key });
	cleanup(freep) char *config = kubeconfig(http_rig_url(http), e->cluster, "");
	cleanup(freep) char *ca_file = str_format("%s/%s", dir, str_or(e->answer_ca, ""));
	const struct kube_route route = { .host = "127.0.0.1", .port = (uint16_t)http_rig_port(http), .name = e->name, .tls = true };
	cleanup(buf_fini) struct buf ca = BUF_INIT;
	struct kube_rig kube;
	struct found f = { 0 };

	kube_rig_init_from(&kube, config);
	if (e->answer_ca) {
		assert_int_equal(file_read(ca_file, 100000, &ca), 0);
		kube_credentials_set_answer_ca(kube.credentials, ca.data);
	}
	(void)kube_probe(kube.client, e->name ? &route : NULL, 3000, got_probe, &f);
	rig_wait(&kube, &f.done);
	assert_int_equal(http_rig_requests(http), 0);	/* nothing is asked, and nothing told */
	kube_rig_fini(&kube);
	http_rig_free(http);
	return f;
}

static void a_handshake_that_verifies_is_an_answer(void **state)
{
	static const struct expected rows[] = {
		{ "good", ", certificate-authority: ca.crt", NULL, NULL, KUBE_PROBE_ANSWERS },
		{ "good", ", certificate-authority: ca.crt", NULL, "localhost", KUBE_PROBE_ANSWERS },
		{ "good", ", certificate-authority: ca.crt", NULL, "elsewhere.example.org", KUBE_PROBE_STRANGER },
		{ "wrong-name", ", certificate-authority: ca.crt", NULL, "api.example.org", KUBE_PROBE_ANSWERS },
		{ "wrong-name", ", certificate-authority: ca.crt", NULL, NULL, KUBE_PROBE_STRANGER },
		{ "expired", ", certificate-authority: ca.crt", NULL, NULL, KUBE_PROBE_STRANGER },
		{ "good", ", certificate-authority: other-ca.crt", NULL, NULL, KUBE_PROBE_STRANGER },
		{ "good", ", certificate-authority: other-ca.crt", "ca.crt", NULL, KUBE_PROBE_ANSWERS },	/* kubelet's */
		{ "good", "", NULL, NULL, KUBE_PROBE_STRANGER },	/* the system's CAs are not asked */
		{ "expired", ", insecure-skip-tls-verify: true", NULL, NULL, KUBE_PROBE_ANSWERS },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct found f = probe(&rows[i]);

		if (f.outcome != rows[i].outcome)
			fail_msg("row %zu: outcome %d: %s", i, (int)f.outcome, f.reason);
		assert_true(f.outcome == KUBE_PROBE_ANSWERS ? f.at.port != 0 : f.reason[0] != '\0');
	}
}

/* Another CA answers for the API server, and is not believed by a request. */
static void kubelets_ca_is_for_probes_alone(void **state)
{
	cleanup(freep) char *crt = str_format("%s/good.crt", dir), *key = str_format("%s/good.key", dir);
	cleanup(freep) char *ca_file = str_format("%s/ca.crt", dir);
	struct http_rig *http = http_rig_new(&(struct rig_tls){ .cert = crt, .key = key });
	cleanup(freep) char *config = kubeconfig(http_rig_url(http), ", certificate-authority: other-ca.crt", "token: secret");
	cleanup(buf_fini) struct buf ca = BUF_INIT;
	struct kube_rig kube;
	struct got g;

	(void)state;
	kube_rig_init_from(&kube, config);
	assert_int_equal(file_read(ca_file, 100000, &ca), 0);
	kube_credentials_set_answer_ca(kube.credentials, ca.data);
	g = rig_get(&kube, "/x", 0);
	assert_int_equal(g.outcome, KUBE_E_UNREACHABLE);
	assert_int_equal(kube.last, KUBE_CONTACT_NONE);
	assert_int_equal(http_rig_requests(http), 0);
	got_fini(&g);
	kube_rig_fini(&kube);
	http_rig_free(http);
}

/* TCP is accepted and nobody speaks TLS: a transparent proxy in front of a dead uplink. */
static void a_port_that_accepts_and_is_silent_is_no_answer(void **state)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(sa);
	cleanup(freep) char *config = NULL, *url = NULL;
	struct kube_rig kube;
	struct found f = { 0 };

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
	url = str_format("https://127.0.0.1:%u", ntohs(sa.sin_port));
	config = kubeconfig(url, ", certificate-authority: ca.crt", "");
	kube_rig_init_from(&kube, config);
	(void)kube_probe(kube.client, NULL, 300, got_probe, &f);
	rig_wait(&kube, &f.done);
	assert_int_equal(f.outcome, KUBE_PROBE_SILENT);
	kube_rig_fini(&kube);
	(void)close(fd);
}

static void probes_leave_no_connection_behind(void **state)
{
	cleanup(freep) char *crt = str_format("%s/good.crt", dir), *key = str_format("%s/good.key", dir);
	struct http_rig *http = http_rig_new(&(struct rig_tls){ .cert = crt, .key = key });
	cleanup(freep) char *config = kubeconfig(http_rig_url(http), ", certificate-authority: ca.crt", "");
	struct kube_rig kube;

	(void)state;
	kube_rig_init_from(&kube, config);
	for (int i = 0; i < 20; i++) {
		struct found f = { 0 };

		(void)kube_probe(kube.client, NULL, 3000, got_probe, &f);
		if (i % 2)
			kube_client_drop_connections(kube.client);	/* of no matter to the question */
		rig_wait(&kube, &f.done);
		assert_int_equal(f.outcome, KUBE_PROBE_ANSWERS);
	}
	for (int i = 0; i < 500 && http_rig_open(http); i++)
		(void)usleep(10000);
	assert_int_equal(http_rig_open(http), 0);
	kube_rig_fini(&kube);
	http_rig_free(http);
}

/* ---- HTTP/2 ---- */

static pid_t nghttpx_start(int front, int back)
{
	cleanup(freep) char *f = str_format("-f127.0.0.1,%d", front), *b = str_format("-b127.0.0.1,%d", back);
	cleanup(freep) char *key = str_format("%s/good.key", dir), *crt = str_format("%s/good.crt", dir);
	pid_t pid = fork();

	if (pid == 0) {
		execlp("nghttpx", "nghttpx", "--conf=/dev/null", "--workers=1", "--errorlog-file=/dev/null",
		       "--accesslog-file=/dev/null", f, b, key, crt, (char *)NULL);
		_exit(127);
	}
	return pid;
}

static bool is_there(void *arg)
{
	struct kube_rig *kube = arg;
	struct got g = rig_get(kube, "/x", 0);
	bool ok = g.outcome == KUBE_OK;

	got_fini(&g);
	return ok;
}

struct stream { struct got got; struct buf data; bool some; };
static void stream_data(void *arg, const char *data, size_t n)
{
	struct stream *s = arg;

	buf_add(&s->data, data, n);
	s->some = true;
}

static void check_http2(struct kube_rig *kube, struct http_rig *http)
{
	const struct kube_request_params p = {.path = "/x"},
					 stream = {.path = "/stream", .timeout_ms = -1, .on_data = stream_data};
	struct stream s = { 0 }, dropped = { 0 };
	struct got g[20] = { 0 };

	(void)kube_request(kube->client, &stream, got_answer, &s);
	rig_wait(kube, &s.some);
	for (size_t i = 0; i < ARRAY_LEN(g); i++)
		(void)kube_request(kube->client, &p, got_answer, &g[i]);
	for (size_t i = 0; i < ARRAY_LEN(g); i++) {
		rig_wait(kube, &g[i].done);
		assert_int_equal(g[i].outcome, KUBE_OK);
		assert_int_equal(g[i].http_version, 20);
		got_fini(&g[i]);
	}
	http_rig_release(http);
	rig_wait(kube, &s.got.done);
	assert_int_equal(s.got.http_version, 20);
	assert_string_equal(s.data.data, "abcdef");
	got_fini(&s.got);
	buf_fini(&s.data);
	(void)kube_request(kube->client, &stream, got_answer, &dropped);
	rig_wait(kube, &dropped.some);
	kube_client_drop_connections(kube->client);
	rig_wait(kube, &dropped.got.done);
	assert_string_equal(dropped.got.message, "connection dropped");
	assert_true(is_there(kube));
	got_fini(&dropped.got);
	buf_fini(&dropped.data);
}

static void http2_is_used_where_it_is_offered(void **state)
{
	struct http_rig *http = http_rig_new(NULL), *port = http_rig_new(NULL);
	int front = http_rig_port(port);
	cleanup(freep) char *url = str_format("https://127.0.0.1:%d", front);
	cleanup(freep) char *config = kubeconfig(url, ", certificate-authority: ca.crt", "");
	struct kube_rig kube;
	pid_t pid;

	(void)state;
	http_rig_free(port);	/* its port is free now */
	if (system("command -v nghttpx >/dev/null") != 0) {
		http_rig_free(http);
		print_message("SKIPPED: no nghttpx (Debian: nghttp2-proxy)\n");
		skip();
	}
	http_rig_add(http, &(struct rig_step){ .want = "/x", .body = "{}", .forever = true });
	http_rig_add(
	    http, &(struct rig_step){.want = "/stream", .body = "abc", .gate = true, .tail = "def", .forever = true});
	kube_rig_init_from(&kube, config);
	pid = nghttpx_start(front, http_rig_port(http));
	for (int i = 0; i < 500 && !is_there(&kube); i++) {
		bool never = false;

		(void)loop_run_until(kube.loop, &never, 20);	/* it has no other way to say that it listens */
	}
	check_http2(&kube, http);
	kube_rig_fini(&kube);
	(void)kill(pid, SIGTERM);
	(void)waitpid(pid, NULL, 0);
	http_rig_free(http);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_certificate_is_accepted),
		cmocka_unit_test(a_wrong_ca_is_refused),
		cmocka_unit_test(the_system_ca_is_refused),
		cmocka_unit_test(an_expired_certificate_is_refused),
		cmocka_unit_test(a_wrong_name_is_refused),
		cmocka_unit_test(the_name_to_expect_can_be_given),
		cmocka_unit_test(verification_can_be_skipped),
		cmocka_unit_test(a_client_certificate_is_presented),
		cmocka_unit_test(a_token_is_sent_and_reread_after_401),
		cmocka_unit_test(a_handshake_that_verifies_is_an_answer),
		cmocka_unit_test(kubelets_ca_is_for_probes_alone),
		cmocka_unit_test(a_port_that_accepts_and_is_silent_is_no_answer),
		cmocka_unit_test(probes_leave_no_connection_behind),
		cmocka_unit_test(http2_is_used_where_it_is_offered),
	};

	return cmocka_run_group_tests(tests, make_certs, remove_certs);
}
