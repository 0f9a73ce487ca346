/* test_agent_identities.c — what anybody in the gossip may make us do about a node: one look at a time, one address a second
 *
 * A real store and real sockets on loopback; no serf agent, so that what is answered goes nowhere.
 */
#include "../support.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/agent_int.h"
#include "agent/wire.h"
#include "base/metric.h"

#define HOST "127.77.77.1"	/* of n2 */

struct rig {
	struct agent a;
	char dir[TMP_SIZE];
	int listener;			/* n2's kubelet port: the kernel accepts, nobody answers */
	struct peer items[3];
};

static void on_flush(void *arg)
{
	store_batch_flush(arg);
}

static void on_think(void *arg)
{
	(void)arg;
}

static int listen_at(const char *host, uint16_t *out_port)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t n = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	(void)inet_pton(AF_INET, host, &at.sin_addr);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, n), 0);
	assert_int_equal(listen(fd, 128), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
	*out_port = ntohs(at.sin_port);
	return fd;
}

static int setup(void **state)
{
	static const char *const environ_like[] = { "NODE_NAME=n1", "EDGE_HEALER_HTTP_LISTEN=127.0.0.1:1", NULL };
	struct heal_conf h = { .self = intern("n1"), .site = intern(""), .stop_after_ms = 20000 };
	struct serf_client_conf serf = { .rpc_addr = "127.0.0.1:1", .auth_key = "", .poll_ms = 60000, .request_timeout_ms = 60000 };
	const struct serf_handlers handlers = { 0 };
	struct buf errors = BUF_INIT, warnings = BUF_INIT;
	struct rig *g = mem_new(struct rig);
	struct agent *a = &g->a;
	char aside[STORE_PATH_SIZE];
	uint16_t port;

	tmp_new(g->dir);
	*a = (struct agent){ .self = intern("n1"), .config_fd = -1 };
	a->loop = loop_new();
	assert_int_equal(conf_load(NULL, environ_like, &a->conf, &errors, &warnings), 0);
	buf_fini(&errors);
	buf_fini(&warnings);
	g->listener = listen_at(HOST, &port);
	a->conf->kubelet_port = port;
	assert_int_equal(store_open(tmp_path(g->dir, "db"), &a->store, aside), 0);
	a->flush = timer_new(a->loop, "flush", on_flush, a);
	a->think_timer = timer_new(a->loop, "think", on_think, a);
	a->heal = heal_new(&h);
	list_init(&a->questions);
	list_init(&a->dials);
	list_init(&a->witnesses);
	assert_int_equal(serf_client_new(a->loop, &serf, &handlers, &a->serf), 0);
	g->items[0] = (struct peer){ .name = intern("n1"), .addr = "127.0.0.1", .site = intern("") };
	g->items[1] = (struct peer){ .name = intern("n2"), .addr = HOST, .site = intern("") };
	g->items[2] = (struct peer){ .name = intern("ghost"), .addr = HOST, .site = intern(""), .standing = PEER_STRANGER };
	a->peers = (struct peers){ .items = g->items, .count = 3 };
	identities_new(a);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct rig *g = *state;
	struct agent *a = &g->a;

	witness_free(a);
	identities_free(a);
	serf_client_free(a->serf);
	store_batch_flush(a);
	heal_free(a->heal);
	store_close(a->store);
	timer_free(a->think_timer);
	timer_free(a->flush);
	conf_free(a->conf);
	loop_free(a->loop);
	(void)close(g->listener);
	tmp_free(g->dir);
	free(g);
	intern_fini();
	return 0;
}

static void run(struct rig *g, int ms)
{
	bool never = false;

	(void)loop_run_until(g->a.loop, &never, ms);
}

/* Connections that have come; they are closed. */
static size_t looks(const struct rig *g)
{
	size_t n = 0;

	for (int fd; (fd = accept(g->listener, NULL, NULL)) >= 0; n++)
		(void)close(fd);
	return n;
}

static void questions_about_one_node_share_a_look(void **state)
{
	struct rig *g = *state;

	g->items[1].status = PEER_FAILED;
	for (uint64_t i = 0; i < 2 * QUESTIONS_MAX; i++)
		witness_on_query(&g->a, i, WIRE_WITNESS_QUERY, "n2", 2);
	run(g, 100);
	assert_int_equal(looks(g), 1);			/* closed: that look is over, and answers all */
	run(g, 20);
	assert_true(list_is_empty(&g->a.questions));
	for (uint64_t i = 0; i < QUESTIONS_MAX; i++)
		witness_on_query(&g->a, i, WIRE_WITNESS_QUERY, "n2", 2);
	assert_true(list_is_empty(&g->a.questions));	/* as it was found a moment ago */
	run(g, 20);
	assert_int_equal(looks(g), 0);
}

static void here(struct rig *g, const char *node, const char *addr)
{
	cleanup(buf_fini) struct buf b = BUF_INIT;

	assert_int_equal(wire_put_here(&b, node, addr), 0);
	identities_on_here(&g->a, b.data, b.len);
}

struct found { bool done; enum probe_answer answer; };

static void on_found(void *arg, enum probe_answer answer)
{
	struct found *f = arg;

	f->done = true;
	f->answer = answer;
}

/* It is looked for where it says it is; there an open port is nothing at all. */
static void a_told_address_is_looked_at_and_not_believed(void **state)
{
	struct rig *g = *state;
	struct found f = { 0 };

	(void)snprintf(g->items[1].addr, sizeof(g->items[1].addr), "127.77.77.9");	/* nobody listens there */
	assert_non_null(identities_seek(&g->a, "n2", WITNESS_SHOW_MS, on_found, &f));
	assert_true(loop_run_until(g->a.loop, &f.done, 5000));
	assert_int_equal(f.answer, PROBE_SILENT);
	assert_int_equal(looks(g), 0);
	here(g, "n2", HOST);
	f.done = false;
	assert_non_null(identities_seek(&g->a, "n2", WITNESS_SHOW_MS, on_found, &f));
	assert_true(loop_run_until(g->a.loop, &f.done, 5000));
	assert_int_equal(f.answer, PROBE_SILENT);
	assert_int_equal(looks(g), 1);
}

static void who_tells_addresses_all_the_time_is_not_heard(void **state)
{
	struct rig *g = *state;
	double before = metric_get(METRIC_GOSSIP_DROPPED, 0);
	char addr[PEER_ADDR_SIZE];

	g->items[1].status = PEER_FAILED;		/* each new address is looked at, at once */
	for (int i = 1; i <= 200; i++) {
		(void)snprintf(addr, sizeof(addr), "127.77.78.%d", i);
		here(g, "n2", addr);
		here(g, "ghost", addr);			/* no member */
		here(g, "nobody", addr);
		here(g, "n1", addr);			/* ourselves */
	}
	assert_int_equal(metric_get(METRIC_GOSSIP_DROPPED, 0) - before, 199);
	run(g, 50);
	assert_int_equal(looks(g), 1);			/* with the first one: where gossip has it, too */
	identities_on_here(&g->a, "EH", 2);
	assert_int_equal(metric_get(METRIC_GOSSIP_DROPPED, 0) - before, 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(questions_about_one_node_share_a_look, setup, teardown),
		cmocka_unit_test_setup_teardown(a_told_address_is_looked_at_and_not_believed, setup, teardown),
		cmocka_unit_test_setup_teardown(who_tells_addresses_all_the_time_is_not_heard, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
