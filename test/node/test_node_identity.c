/* test_node_identity.c — kubelets and healers that show who they are, strangers at a node's address, and ports that say nothing */
#include "../support.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "node/identity.h"

#define ACCEPT_MS 200
#define SHOW_MS 3000 /* also under ASan on a busy machine */

static char dir[] = "/tmp/edge-healer-identity-XXXXXX";

struct cert_row { const char *file, *subject, *ext; };
static const struct cert_row certs[] = {
	{ "self", "/CN=edge-1@1700000000", "" },
	{ "san", "/CN=anything", "-addext subjectAltName=DNS:localhost,DNS:Edge-1,IP:10.0.0.1" },
	{ "csr", "/O=system:nodes/CN=system:node:edge-1", "" },
	{ "plain", "/CN=edge-1", "" },
	{ "custom", "/CN=some machine", "" },
	{ "other", "/CN=edge-10@1700000000", "-addext subjectAltName=DNS:edge-10,DNS:edge-1.example.org" },
	{ "prefix", "/CN=edge-1@17x", "" },
	{ "no-time", "/CN=edge-1@", "" },
};

static int make_certs(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(certs); i++) {
		cleanup(freep) char *command =
		    str_format("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -keyout %s/%s.key "
			       "-out %s/%s.crt -subj '%s' %s 2>/dev/null", dir, certs[i].file, dir, certs[i].file, certs[i].subject,
			       certs[i].ext);

		if (system(command) != 0)
			return -1;
	}
	return 0;
}

static int remove_certs(void **state)
{
	cleanup(freep) char *command = str_format("rm -r %s", dir);

	(void)state;
	return system(command);
}

/* ---- servers ---- */

struct server { int fd; uint16_t port; pid_t pid; };

static void serve_tls(int fd, const char *cert)
{
	cleanup(freep) char *crt = str_format("%s/%s.crt", dir, cert), *key = str_format("%s/%s.key", dir, cert);
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	SSL *ssl;
	char byte;

	if (SSL_CTX_use_certificate_file(ctx, crt, SSL_FILETYPE_PEM) != 1 || SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
		_exit(1);
	ssl = SSL_new(ctx);
	(void)SSL_set_fd(ssl, fd);
	(void)SSL_accept(ssl);
	(void)SSL_read(ssl, &byte, 1);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
}

/* In two pieces, so that it does not come as one. */
static void serve_text(int fd, const char *text)
{
	char request[512];
	size_t half = strlen(text) / 2;

	(void)!read(fd, request, sizeof(request));
	(void)!write(fd, text, half);
	usleep(20000);
	(void)!write(fd, text + half, strlen(text) - half);
}

/* cert: TLS with that one; text: what a client gets; neither: the kernel accepts, and nobody ever answers. */
static void server_start(struct server *s, const char *cert, const char *text)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(at);

	s->pid = 0;
	s->fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(s->fd, 8), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&at, &n), 0);
	s->port = ntohs(at.sin_port);
	if (!cert && !text)
		return;
	s->pid = fork();
	assert_int_not_equal(s->pid, -1);
	if (s->pid)
		return;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)signal(SIGPIPE, SIG_IGN);
	for (;;) {
		int fd = accept(s->fd, NULL, NULL);

		if (cert)
			serve_tls(fd, cert);
		else
			serve_text(fd, text);
		(void)close(fd);
	}
}

static void server_stop(struct server *s)
{
	(void)close(s->fd);
	if (!s->pid)
		return;
	(void)kill(s->pid, SIGKILL);
	(void)waitpid(s->pid, NULL, 0);
}

/* ---- looking ---- */

struct got { bool done; struct identity id; int64_t ms; };

static void on_done(void *arg, const struct identity *id)
{
	struct got *g = arg;

	assert_false(g->done);
	g->done = true;
	g->id = *id;
}

static struct got look(const char *print, uint16_t kubelet, uint16_t healer)
{
	struct loop *loop = loop_new();
	struct mono began = loop_now(loop);
	struct got g = { 0 };
	const struct identity_params p = { .addr = "127.0.0.1", .node = "edge-1", .print = print, .kubelet_port = kubelet,
					   .healer_port = healer, .accept_ms = ACCEPT_MS, .show_ms = SHOW_MS };

	assert_non_null(identity_start(loop, &p, on_done, &g));
	assert_false(g.done);
	assert_true(loop_run_until(loop, &g.done, 2 * SHOW_MS));
	g.ms = mono_since_ms(loop_now(loop), began);
	loop_free(loop);
	return g;
}

static void a_certificate_that_names_the_node_is_its_kubelet(void **state)
{
	static const struct { const char *cert; bool names; } rows[] = {
		{ "self", true }, { "san", true }, { "csr", true }, { "plain", true },
		{ "custom", false }, { "other", false }, { "prefix", false }, { "no-time", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct server s;
		struct got g;

		server_start(&s, rows[i].cert, NULL);
		g = look("", s.port, 0);
		if (g.id.kubelet != rows[i].names || !g.id.accepts || strlen(g.id.print) != IDENTITY_PRINT_SIZE - 1)
			fail_msg("%s: kubelet=%d accepts=%d print=%s", rows[i].cert, g.id.kubelet, g.id.accepts, g.id.print);
		server_stop(&s);
	}
}

static void a_certificate_that_is_known_is_its_kubelet(void **state)
{
	struct server s;
	struct got g;
	char print[IDENTITY_PRINT_SIZE];

	(void)state;
	server_start(&s, "custom", NULL);
	g = look("", s.port, 0);
	assert_false(g.id.kubelet);
	(void)str_copy(print, sizeof(print), g.id.print);
	assert_true(look(print, s.port, 0).id.kubelet);
	print[0] = print[0] == '0' ? '1' : '0';
	assert_false(look(print, s.port, 0).id.kubelet);
	server_stop(&s);
}

static void a_healer_names_its_node(void **state)
{
	static const struct { const char *text; bool healer, other; } rows[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nedge-healer-node:  Edge-1\r\n\r\nok", true, false },
		{ "HTTP/1.1 429 Busy\r\nEdge-Healer-Node: edge-1\r\n\r\n", true, false },
		{ "HTTP/1.1 200 OK\r\nEdge-Healer-Node: edge-10\r\n\r\n", false, true },
		{ "HTTP/1.1 200 OK\r\nEdge-Healer-Node: edge-1", false, false },	/* cut off */
		{ "HTTP/1.1 200 OK\r\n\r\nEdge-Healer-Node: edge-1\r\n", false, false },	/* in the body, say of a page that echoes */
		{ "HTTP/1.1 200 OK\r\nServer: nginx\r\n\r\n", false, false },
		{ "SSH-2.0-OpenSSH_9.2\r\n", false, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct server s;
		struct got g;

		server_start(&s, NULL, rows[i].text);
		g = look("", 0, s.port);
		if (g.id.healer != rows[i].healer || g.id.other != rows[i].other || !g.id.accepts)
			fail_msg("row %zu: healer=%d other=%d accepts=%d", i, g.id.healer, g.id.other, g.id.accepts);
		server_stop(&s);
	}
}

static void only_headers_name_a_node(void **state)
{
	char body[] = "HTTP/1.1 200 OK\r\n\r\nEdge-Healer-Node: edge-1\r\n", first[] = "Edge-Healer-Node:a\r\nEdge-Healer-Node: b\r\n";
	char cut[] = "HTTP/1.1 200 OK\r\nEdge-Healer-Node: edge-1", none[] = "";

	(void)state;
	assert_null(identity_header(body));
	assert_null(identity_header(cut));
	assert_null(identity_header(none));
	assert_string_equal(identity_header(first), "a");
}

static void an_answer_without_end_is_cut_off(void **state)
{
	struct server s;
	struct got g;
	char *text = mem_new_n(char, 100001);

	(void)state;
	memset(text, 'x', 100000);
	memcpy(text, "HTTP/1.1 200 OK\r\n", 17);
	server_start(&s, NULL, text);
	g = look("", 0, s.port);
	assert_true(g.id.accepts && !g.id.healer && !g.id.other);
	assert_true(g.ms < SHOW_MS);
	server_stop(&s);
	free(text);
}

/* The kernel accepts for a process that hangs: no identity, known when the time to show one is over. */
static void a_port_that_only_accepts_is_nobody(void **state)
{
	struct server s;
	struct got g;

	(void)state;
	server_start(&s, NULL, NULL);
	g = look("", s.port, s.port);
	assert_true(g.id.accepts);
	assert_false(g.id.kubelet || g.id.healer || g.id.other);
	assert_in_range(g.ms, SHOW_MS, 2 * SHOW_MS);
	server_stop(&s);
}

static void a_refusal_is_no_answer_and_takes_no_time(void **state)
{
	struct server s;
	struct got g;

	(void)state;
	server_start(&s, NULL, NULL);
	server_stop(&s);				/* a port that is free now */
	g = look("", s.port, s.port);
	assert_false(g.id.accepts);
	assert_true(g.ms < ACCEPT_MS);
}

/* After a power loss packets vanish: no slower than accept_ms. */
static void silence_takes_accept_ms(void **state)
{
	struct loop *loop = loop_new();
	struct mono began = loop_now(loop);
	struct got g = { 0 };
	const struct identity_params p = { .addr = "192.0.2.1", .node = "edge-1", .kubelet_port = 10250, .healer_port = 8000,
					   .accept_ms = ACCEPT_MS, .show_ms = SHOW_MS };

	(void)state;
	assert_non_null(identity_start(loop, &p, on_done, &g));
	assert_true(loop_run_until(loop, &g.done, SHOW_MS));
	assert_false(g.id.accepts);
	assert_true(mono_since_ms(loop_now(loop), began) < SHOW_MS);
	loop_free(loop);
}

/* It lives; whether its healer hangs is not worth more time. */
static void a_kubelet_waits_for_a_healer_until_accept_ms(void **state)
{
	struct server kubelet, hung;
	struct got g;

	(void)state;
	server_start(&kubelet, "self", NULL);
	server_start(&hung, NULL, NULL);
	g = look("", kubelet.port, hung.port);
	assert_true(g.id.kubelet && !g.id.healer);
	assert_in_range(g.ms, ACCEPT_MS, SHOW_MS - 1);
	server_stop(&hung);
	server_stop(&kubelet);
}

static void it_can_be_cancelled_and_refuses_what_is_no_address(void **state)
{
	struct loop *loop = loop_new();
	struct got g = { 0 };
	struct server s;
	struct identity_params p = { .addr = "edge-1", .node = "edge-1", .kubelet_port = 1, .accept_ms = 1, .show_ms = 1 };
	struct op *op;

	(void)state;
	assert_null(identity_start(loop, &p, on_done, &g));
	server_start(&s, "self", NULL);
	p = (struct identity_params){ .addr = "127.0.0.1", .node = "edge-1", .kubelet_port = s.port, .healer_port = s.port,
				      .accept_ms = ACCEPT_MS, .show_ms = SHOW_MS };
	op = identity_start(loop, &p, on_done, &g);
	assert_non_null(op);
	op_cancelp(&op);
	assert_false(loop_run_until(loop, &g.done, 50));
	server_stop(&s);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_certificate_that_names_the_node_is_its_kubelet),
		cmocka_unit_test(a_certificate_that_is_known_is_its_kubelet),
		cmocka_unit_test(a_healer_names_its_node),
		cmocka_unit_test(only_headers_name_a_node),
		cmocka_unit_test(an_answer_without_end_is_cut_off),
		cmocka_unit_test(a_port_that_only_accepts_is_nobody),
		cmocka_unit_test(a_refusal_is_no_answer_and_takes_no_time),
		cmocka_unit_test(silence_takes_accept_ms),
		cmocka_unit_test(a_kubelet_waits_for_a_healer_until_accept_ms),
		cmocka_unit_test(it_can_be_cancelled_and_refuses_what_is_no_address),
	};

	return cmocka_run_group_tests(tests, make_certs, remove_certs);
}
