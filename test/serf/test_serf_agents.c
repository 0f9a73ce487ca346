/* test_serf_agents.c — the client against real serf agents */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent_rig.h"
#include "../patience.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"
#include "serf/client.h"

#define WAIT_MS patient_ms(30000)
enum { HEARD_MAX = 64, HEARD_SIZE = 64 };	/* payloads of events, cut */
enum { AGENTS = 3, SEEN_MAX = 64 };

#define KEY_OLD "MDEyMzQ1Njc4OWFiY2RlZg=="
#define KEY_NEW "ZmVkY2JhOTg3NjU0MzIxMA=="

/* One client and what it heard. */
struct node {
	struct serf_client *client;
	struct rig_agent *agent;
	char name[32];
	unsigned ups, downs, polls, changes;
	char reason[256];
	char last_event[64], heard[HEARD_MAX][HEARD_SIZE];
	size_t heard_count;
	unsigned events, queries;
	uint64_t last_query;
	bool mute;			/* leave queries unanswered */
};

struct rig {
	struct loop *loop;
	struct node nodes[AGENTS];
};

static void on_up(void *arg) { ((struct node *)arg)->ups++; }

static void on_down(void *arg, const char *reason)
{
	struct node *n = arg;

	n->downs++;
	(void)str_copy(n->reason, sizeof(n->reason), reason);
}

static void on_members(void *arg, const struct serf_members *m, bool changed)
{
	struct node *n = arg;

	assert_true(m->as_of.ns > 0);
	n->polls++;
	n->changes += changed;
}

static void on_user_event(void *arg, const char *name, const void *payload, size_t size)
{
	struct node *n = arg;

	n->events++;
	(void)str_copy(n->last_event, sizeof(n->last_event), name);
	if (n->heard_count < HEARD_MAX)
		(void)snprintf(n->heard[n->heard_count++], HEARD_SIZE, "%.*s", (int)size, (const char *)payload);
}

static void on_query(void *arg, uint64_t id, const char *name, const void *payload, size_t size)
{
	struct node *n = arg;
	char answer[96];

	(void)name;
	n->queries++;
	n->last_query = id;
	if (n->mute)
		return;
	(void)snprintf(answer, sizeof(answer), "%s:%.*s", n->name, (int)size, (const char *)payload);
	assert_int_equal(serf_client_respond(n->client, id, answer, strlen(answer)), 0);
}

static void node_connect(struct rig *rig, struct node *n, const char *key)
{
	struct serf_client_conf conf = { .rpc_addr = rig_agent_rpc(n->agent), .auth_key = key, .poll_ms = 50,
					 .request_timeout_ms = 3000 };
	struct serf_handlers h = { n, on_up, on_down, on_members, on_user_event, on_query };

	assert_int_equal(serf_client_new(rig->loop, &conf, &h, &n->client), 0);
}

static bool is_up(void *arg)
{
	struct node *n = arg;

	return serf_client_is_up(n->client) && serf_client_members(n->client)->count > 0;
}

static void on_joined(void *arg, int r, unsigned joined)
{
	*(int *)arg = r == 0 ? (int)joined : -1;
}

static bool int_is_set(void *arg) { return *(int *)arg != INT32_MIN; }

static size_t count_status(const struct node *n, enum serf_status status)
{
	const struct serf_members *m = serf_client_members(n->client);
	size_t count = 0;

	for (size_t i = 0; i < m->count; i++)
		count += m->items[i].status == status;
	return count;
}

static bool all_alive(void *arg)
{
	struct rig *rig = arg;

	for (size_t i = 0; i < AGENTS; i++)
		if (count_status(&rig->nodes[i], SERF_ALIVE) != AGENTS)
			return false;
	return true;
}

static void rig_join(struct rig *rig, struct node *n, struct node *to)
{
	const char *addr = rig_agent_gossip(to->agent);
	int joined = INT32_MIN;

	assert_non_null(serf_client_join(n->client, &addr, 1, on_joined, &joined));
	assert_true(rig_until(rig->loop, int_is_set, &joined, WAIT_MS));
	assert_int_equal(joined, 1);
}

/* Three agents, joined, each with a client that is up. */
static void rig_start(struct rig *rig, const char *encrypt)
{
	*rig = (struct rig){ .loop = loop_new() };
	for (size_t i = 0; i < AGENTS; i++) {
		struct node *n = &rig->nodes[i];
		struct rig_agent_conf conf = { .name = n->name, .encrypt = encrypt };

		(void)snprintf(n->name, sizeof(n->name), "edge-%zu", i);
		n->agent = rig_agent_start(&conf);
		node_connect(rig, n, NULL);
		assert_true(rig_until(rig->loop, is_up, n, WAIT_MS));
		assert_string_equal(serf_client_self(n->client), n->name);
		if (i > 0)
			rig_join(rig, n, &rig->nodes[0]);
	}
	assert_true(rig_until(rig->loop, all_alive, rig, WAIT_MS));
}

static void rig_stop(struct rig *rig)
{
	for (size_t i = 0; i < AGENTS; i++) {
		serf_client_free(rig->nodes[i].client);
		rig_agent_free(rig->nodes[i].agent);
	}
	loop_free(rig->loop);
}

/* ---- predicates ---- */

struct want { struct node *node; const char *name, *key, *value; enum serf_status status; unsigned count; };

static bool has_status(void *arg)
{
	struct want *w = arg;
	const struct serf_member *m = serf_members_find(serf_client_members(w->node->client), w->name);

	return m && m->status == w->status;
}

static bool is_absent(void *arg)
{
	struct want *w = arg;

	return !serf_members_find(serf_client_members(w->node->client), w->name);
}

static bool has_tag(void *arg)
{
	struct want *w = arg;
	const struct serf_member *m = serf_members_find(serf_client_members(w->node->client), w->name);

	return m && str_eq(serf_member_tag(m, w->key), w->value);
}

/* At some time: gossip keeps no order, and what an earlier test said may come after it. */
static bool has_event(void *arg)
{
	struct want *w = arg;

	for (size_t i = 0; i < w->node->heard_count; i++)
		if (str_eq(w->node->heard[i], w->value))
			return true;
	return false;
}

static bool has_polled(void *arg)
{
	struct want *w = arg;

	return w->node->polls >= w->count;
}

static bool is_down(void *arg) { return ((struct node *)arg)->downs > 0; }

/* ---- one reply, kept ---- */

struct answer {
	bool done;
	int r;
	char error[SERF_ERROR_SIZE];
	struct serf_keys keys;
	struct serf_stats stats;
	struct serf_coordinate coordinate;
	struct serf_members members;
};

static bool is_done(void *arg) { return ((struct answer *)arg)->done; }

static void on_keys(void *arg, const struct serf_reply *reply)
{
	struct answer *a = arg;

	a->done = true;
	a->r = reply->r;
	(void)str_copy(a->error, sizeof(a->error), reply->error);
	if (reply->r >= 0)
		assert_int_equal(serf_decode_keys(&reply->body, &a->keys), 0);
}

static void ask(struct rig *rig, struct node *n, const struct serf_request *req, serf_reply_fn fn, struct answer *a)
{
	*a = (struct answer){ .done = false };
	assert_non_null(serf_rpc_call(serf_client_commands(n->client), req, WAIT_MS, fn, a));
	assert_true(rig_until(rig->loop, is_done, a, WAIT_MS));
}

/* ---- tests ---- */

static void test_members_and_events(void **state)
{
	struct rig *rig = *state;
	struct node *a = &rig->nodes[0], *b = &rig->nodes[1], *c = &rig->nodes[2];
	const struct serf_members *m = serf_client_members(a->client);
	uint64_t version = m->version;
	unsigned changes = a->changes;

	assert_int_equal(m->count, AGENTS);
	for (size_t i = 0; i < m->count; i++) {
		char ip[SERF_ADDR_SIZE];

		rig_address(ip, sizeof(ip));
		assert_string_equal(m->items[i].addr, ip);
		assert_string_equal(m->items[i].name, rig->nodes[i].name);
		assert_true(m->items[i].port >= 7946 && mono_is_set(m->items[i].status_since));
	}
	assert_true(rig_until(rig->loop, has_polled, &(struct want){ .node = a, .count = a->polls + 20 }, WAIT_MS));
	assert_int_equal(m->version, version);		/* though the agent shuffles its answers */
	assert_int_equal(a->changes, changes);

	assert_int_equal(serf_client_event(a->client, "claim", "one", 3), 0);
	assert_true(rig_until(rig->loop, has_event, &(struct want){ .node = b, .value = "one" }, WAIT_MS));
	assert_true(rig_until(rig->loop, has_event, &(struct want){ .node = c, .value = "one" }, WAIT_MS));
	assert_true(rig_until(rig->loop, has_event, &(struct want){ .node = a, .value = "one" }, WAIT_MS));
	for (int i = 0; i < 20; i++)			/* nothing is coalesced */
		assert_int_equal(serf_client_event(a->client, "claim", i < 19 ? "more" : "last", 4), 0);
	assert_true(rig_until(rig->loop, has_event, &(struct want){ .node = a, .value = "last" }, WAIT_MS));
	assert_int_equal(a->events, 21);
}

static void test_event_limit(void **state)
{
	struct rig *rig = *state;
	struct node *a = &rig->nodes[0], *b = &rig->nodes[1];
	char payload[SERF_EVENT_MAX] = { 0 };
	size_t n = SERF_EVENT_MAX - SERF_EVENT_OVERHEAD - strlen("claim");

	memset(payload, 'x', sizeof(payload));
	memcpy(payload, "full", 5);
	assert_int_equal(serf_client_event(a->client, "claim", payload, n + 1), -EMSGSIZE);
	assert_int_equal(serf_client_event(a->client, "claim", payload, n), 0);
	assert_true(rig_until(rig->loop, has_event, &(struct want){ .node = b, .value = "full" }, WAIT_MS));
}

static void test_tags(void **state)
{
	struct rig *rig = *state;
	struct node *a = &rig->nodes[0], *b = &rig->nodes[1];
	char huge[SERF_TAGS_MAX + 1];

	memset(huge, 'x', sizeof(huge));
	huge[SERF_TAGS_MAX] = '\0';
	assert_int_equal(serf_client_set_tag(a->client, "cpu", "1500"), 0);
	assert_int_equal(serf_client_set_tag(a->client, "mem", "812"), 0);
	assert_int_equal(serf_client_set_tag(a->client, "huge", huge), -EMSGSIZE);
	assert_true(rig_until(rig->loop, has_tag,
			      &(struct want){ .node = b, .name = a->name, .key = "cpu", .value = "1500" }, WAIT_MS));
	assert_int_equal(serf_client_set_tag(a->client, "mem", NULL), 0);
	assert_int_equal(serf_client_set_tag(a->client, "cpu", "1400"), 0);
	assert_true(rig_until(rig->loop, has_tag,
			      &(struct want){ .node = b, .name = a->name, .key = "mem", .value = NULL }, WAIT_MS));
	assert_true(rig_until(rig->loop, has_tag,
			      &(struct want){ .node = b, .name = a->name, .key = "cpu", .value = "1400" }, WAIT_MS));
}

struct asked { unsigned responses, acks, done_acks; bool done, named[AGENTS]; int r; };

static void on_ack(void *arg, const char *from)
{
	(void)from;
	((struct asked *)arg)->acks++;
}

static void on_response(void *arg, const char *from, const void *payload, size_t n)
{
	struct asked *q = arg;
	char want[32];

	q->responses++;
	q->named[from[5] - '0'] = true;
	(void)snprintf(want, sizeof(want), "%s:hi", from);
	assert_int_equal(n, strlen(want));
	assert_memory_equal(payload, want, n);
}

static void on_query_done(void *arg, int r, unsigned acks)
{
	struct asked *q = arg;

	q->done = true;
	q->r = r;
	q->done_acks = acks;
}

static bool is_asked(void *arg) { return ((struct asked *)arg)->done; }

static struct asked query(struct rig *rig, const struct serf_query_params *p)
{
	struct asked q = { .r = INT32_MIN };
	struct serf_query_handlers h = { &q, on_ack, on_response, on_query_done };

	assert_non_null(serf_client_query(rig->nodes[0].client, p, &h));
	assert_true(rig_until(rig->loop, is_asked, &q, WAIT_MS));
	return q;
}

static void test_query(void **state)
{
	struct rig *rig = *state;
	struct serf_query_params p = { .name = "see", .payload = "hi", .n = 2, .want_acks = true, .timeout_ms = 1500 };
	const char *only = rig->nodes[1].name;
	struct serf_pair tag = { "cpu", "1.00" };
	struct op *op;
	struct asked q = query(rig, &p);

	assert_int_equal(q.r, 0);
	assert_int_equal(q.responses, AGENTS);
	assert_int_equal(q.acks, AGENTS);
	assert_int_equal(q.done_acks, AGENTS);
	assert_true(q.named[0] && q.named[1] && q.named[2]);

	p.nodes = &only;
	p.node_count = 1;
	p.timeout_ms = 500;
	q = query(rig, &p);
	assert_int_equal(q.responses, 1);
	assert_true(q.named[1]);

	p.node_count = 0;
	p.tags = &tag;
	p.tag_count = 1;
	assert_int_equal(query(rig, &p).responses, 1);	/* test_tags left cpu=1400 at edge-0 */

	op =
	    serf_client_query(rig->nodes[0].client, &p, &(struct serf_query_handlers){NULL, NULL, NULL, on_query_done});
	op_cancelp(&op);
	assert_null(op);
	assert_int_equal(serf_client_respond(rig->nodes[0].client, 1, "x", 1), -ENOENT);
}

static void on_stats(void *arg, const struct serf_reply *reply)
{
	struct answer *a = arg;

	a->done = true;
	assert_int_equal(serf_decode_stats(&reply->body, &a->stats), 0);
}

static void on_coordinate(void *arg, const struct serf_reply *reply)
{
	struct answer *a = arg;

	a->done = true;
	assert_int_equal(serf_decode_coordinate(&reply->body, &a->coordinate), 0);
}

static void on_filtered(void *arg, const struct serf_reply *reply)
{
	struct answer *a = arg;

	a->done = true;
	assert_int_equal(serf_decode_members(&reply->body, NULL, &a->members), 0);
}

static void test_other_commands(void **state)
{
	struct rig *rig = *state;
	struct node *a = &rig->nodes[0];
	struct serf_pair tag = { "cpu", "14.*" };
	struct serf_request req = { .cmd = SERF_CMD_MEMBERS_FILTERED,
				    .u.filter = { .tags = &tag, .n = 1, .status = "alive", .name = "edge-.*" } };
	struct answer got;

	ask(rig, a, &(struct serf_request){ .cmd = SERF_CMD_STATS }, on_stats, &got);
	assert_string_equal(serf_stats_get(&got.stats, "agent", "name"), "edge-0");
	assert_string_equal(serf_stats_get(&got.stats, "serf", "members"), "3");
	assert_null(serf_stats_get(&got.stats, "serf", "nonsense"));
	serf_stats_fini(&got.stats);
	ask(rig, a, &(struct serf_request){ .cmd = SERF_CMD_GET_COORDINATE, .u.text = "edge-0" }, on_coordinate, &got);
	assert_true(got.coordinate.known);
	ask(rig, a, &(struct serf_request){ .cmd = SERF_CMD_GET_COORDINATE, .u.text = "nobody" }, on_coordinate, &got);
	assert_false(got.coordinate.known);
	ask(rig, a, &req, on_filtered, &got);
	assert_int_equal(got.members.count, 1);
	assert_string_equal(got.members.items[0].name, "edge-0");
	serf_members_fini(&got.members);
}

struct monitor { unsigned ready, lines; };

static void on_monitor_ready(void *arg, const struct serf_reply *reply)
{
	assert_int_equal(reply->r, 0);
	((struct monitor *)arg)->ready++;
}

static void on_monitor_line(void *arg, const struct serf_frame *record)
{
	const char *line;
	size_t n;

	assert_int_equal(serf_decode_log(record, &line, &n), 0);
	((struct monitor *)arg)->lines++;
}

static bool has_lines(void *arg) { return ((struct monitor *)arg)->lines > 5; }

static void test_monitor(void **state)
{
	struct rig *rig = *state;
	struct serf_rpc *rpc = serf_client_commands(rig->nodes[0].client);
	struct monitor m = { 0, 0 }, again = { 0, 0 };
	struct op *op = serf_rpc_subscribe(rpc, SERF_CMD_MONITOR, "debug", on_monitor_ready, on_monitor_line, &m);

	assert_true(rig_until(rig->loop, has_lines, &m, WAIT_MS));
	op_cancelp(&op);	/* sends stop: another monitor is allowed then */
	op = serf_rpc_subscribe(rpc, SERF_CMD_MONITOR, "debug", on_monitor_ready, on_monitor_line, &again);
	assert_true(rig_until(rig->loop, has_lines, &again, WAIT_MS));
	assert_int_equal(m.ready + again.ready, 2);
	op_cancelp(&op);
}

static void test_bad_regex_closes_and_comes_back(void **state)
{
	struct rig *rig = *state;
	struct node *a = &rig->nodes[0];
	struct serf_request req = { .cmd = SERF_CMD_MEMBERS_FILTERED, .u.filter = { .name = "(" } };
	struct answer got = { .done = false };

	assert_non_null(serf_rpc_call(serf_client_commands(a->client), &req, WAIT_MS, on_keys, &got));
	assert_true(rig_until(rig->loop, is_done, &got, WAIT_MS));
	assert_int_equal(got.r, -ECONNRESET);
	assert_true(rig_until(rig->loop, is_up, a, WAIT_MS));
}

static void test_restart(void **state)
{
	struct rig *rig = *state;
	struct node *a = &rig->nodes[0], *b = &rig->nodes[1];
	unsigned ups = b->ups;
	uint64_t old = b->last_query;

	b->downs = 0;
	rig_agent_kill(b->agent, SIGKILL);
	assert_true(rig_until(rig->loop, is_down, b, WAIT_MS));
	assert_int_equal(serf_client_event(b->client, "claim", "x", 1), -ENOTCONN);
	assert_true(rig_until(rig->loop, has_status,
			      &(struct want){ .node = a, .name = b->name, .status = SERF_FAILED }, WAIT_MS));
	rig_agent_restart(b->agent);
	assert_true(rig_until(rig->loop, is_up, b, WAIT_MS));
	assert_int_equal(b->ups, ups + 1);
	assert_int_equal(serf_client_respond(b->client, old, "x", 1), -ENOENT);
	rig_join(rig, b, a);
	assert_true(rig_until(rig->loop, all_alive, rig, WAIT_MS));
	for (int i = 0; i < 100 && !has_event(&(struct want){ .node = b, .value = "again" }); i++) {	/* its first events can vanish */
		assert_int_equal(serf_client_event(a->client, "claim", "again", 5), 0);
		(void)rig_until(rig->loop, has_event, &(struct want){ .node = b, .value = "again" }, 200);
	}
	assert_true(has_event(&(struct want){ .node = b, .value = "again" }));
}

static void on_left(void *arg, int r) { *(int *)arg = r; }

static void on_reply_r(void *arg, const struct serf_reply *reply) { *(int *)arg = reply->r; }

static void test_leave_and_prune(void **state)
{
	struct rig *rig = *state;
	struct node *a = &rig->nodes[0], *b = &rig->nodes[1], *c = &rig->nodes[2];
	int left = INT32_MIN;

	assert_non_null(serf_rpc_call(serf_client_commands(c->client), &(struct serf_request){ .cmd = SERF_CMD_LEAVE },
				      WAIT_MS, on_reply_r, &left));
	assert_true(rig_until(rig->loop, has_status,
			      &(struct want){ .node = a, .name = c->name, .status = SERF_LEFT }, WAIT_MS));
	assert_true(rig_until(rig->loop, int_is_set, &left, WAIT_MS));
	rig_agent_kill(b->agent, SIGKILL);
	assert_true(rig_until(rig->loop, has_status,
			      &(struct want){ .node = a, .name = b->name, .status = SERF_FAILED }, WAIT_MS));
	left = INT32_MIN;
	assert_non_null(serf_client_force_leave(a->client, b->name, true, on_left, &left));
	assert_true(rig_until(rig->loop, int_is_set, &left, WAIT_MS));
	assert_int_equal(left, 0);
	assert_true(rig_until(rig->loop, is_absent, &(struct want){ .node = a, .name = b->name }, WAIT_MS));
}

static int plain_setup(void **state)
{
	static struct rig rig;

	rig_start(&rig, NULL);
	*state = &rig;
	return 0;
}

static int plain_teardown(void **state)
{
	rig_stop(*state);
	return 0;
}

static void test_keyring(void **state)
{
	struct rig rig;
	struct node *a = &rig.nodes[0];
	struct answer got;

	(void)state;
	rig_start(&rig, KEY_OLD);
	ask(&rig, a, &(struct serf_request){ .cmd = SERF_CMD_INSTALL_KEY, .u.text = KEY_NEW }, on_keys, &got);
	assert_int_equal(got.r, 0);
	assert_int_equal(got.keys.responses, AGENTS);
	serf_keys_fini(&got.keys);
	ask(&rig, a, &(struct serf_request){ .cmd = SERF_CMD_USE_KEY, .u.text = KEY_NEW }, on_keys, &got);
	assert_int_equal(got.r, 0);
	serf_keys_fini(&got.keys);
	ask(&rig, a, &(struct serf_request){ .cmd = SERF_CMD_REMOVE_KEY, .u.text = KEY_OLD }, on_keys, &got);
	assert_int_equal(got.r, 0);
	serf_keys_fini(&got.keys);
	ask(&rig, a, &(struct serf_request){ .cmd = SERF_CMD_LIST_KEYS }, on_keys, &got);
	assert_int_equal(got.keys.count, 1);
	assert_string_equal(got.keys.keys[0].key, KEY_NEW);
	assert_int_equal(got.keys.keys[0].nodes, AGENTS);
	serf_keys_fini(&got.keys);
	ask(&rig, a, &(struct serf_request){ .cmd = SERF_CMD_INSTALL_KEY, .u.text = "%" }, on_keys, &got);
	assert_int_equal(got.r, SERF_E_REFUSED);	/* with a body all the same; the stream stays in step */
	assert_non_null(strstr(got.error, "base64"));
	serf_keys_fini(&got.keys);
	assert_int_equal(serf_client_event(a->client, "claim", "sealed", 6), 0);
	assert_true(rig_until(rig.loop, has_event, &(struct want){.node = &rig.nodes[2], .value = "sealed"}, WAIT_MS));
	rig_stop(&rig);
}

static void test_auth(void **state)
{
	static const struct { const char *key, *reason; } wrong[] = { { "no", "Invalid authentication token" },
								      { NULL, "Authentication required" } };
	struct rig rig = { .loop = loop_new() };
	struct node *n = &rig.nodes[0];

	(void)state;
	n->agent = rig_agent_start(&(struct rig_agent_conf){ .name = "locked", .auth_key = "sesame" });
	node_connect(&rig, n, "sesame");
	assert_true(rig_until(rig.loop, is_up, n, WAIT_MS));
	serf_client_free(n->client);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		n->downs = n->ups = 0;
		node_connect(&rig, n, wrong[i].key);
		assert_true(rig_until(rig.loop, is_down, n, WAIT_MS));
		assert_non_null(strstr(n->reason, wrong[i].reason));
		assert_int_equal(n->ups, 0);
		serf_client_free(n->client);
	}
	rig_agent_free(n->agent);
	loop_free(rig.loop);
}

int main(void)
{
	const struct CMUnitTest joined[] = {
		cmocka_unit_test(test_members_and_events),
		cmocka_unit_test(test_event_limit),
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_query),
		cmocka_unit_test(test_other_commands),
		cmocka_unit_test(test_monitor),
		cmocka_unit_test(test_bad_regex_closes_and_comes_back),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_leave_and_prune),
	};
	const struct CMUnitTest alone[] = {
		cmocka_unit_test(test_keyring),
		cmocka_unit_test(test_auth),
	};

	if (!rig_has_serf()) {
		fprintf(stderr, "serf is not installed: run make deps\n");
		return 1;
	}
	return cmocka_run_group_tests(joined, plain_setup, plain_teardown) + cmocka_run_group_tests(alone, NULL, NULL);
}
