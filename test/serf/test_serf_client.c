/* test_serf_client.c — the client against an agent that misbehaves */
#include <setjmp.h>
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
#include "fake_agent.h"
#include "loop/loop.h"
#include "serf/addr.h"
#include "serf/client.h"

#define WAIT_MS patient_ms(10000)
enum { TIMEOUT_MS = 150, POLL_MS = 20 };

struct rig {
	struct loop *loop;
	struct fake_agent *fake;
	struct serf_client *client;
	unsigned ups, downs, polls, changes, events, queries;
	uint64_t query_id;
	char reason[256];
	bool free_in_callback;
	unsigned polls_wanted, events_wanted;
};

static void on_up(void *arg) { ((struct rig *)arg)->ups++; }

static void on_down(void *arg, const char *reason)
{
	struct rig *rig = arg;

	rig->downs++;
	(void)str_copy(rig->reason, sizeof(rig->reason), reason);
	if (rig->free_in_callback)
		serf_client_free(take(rig->client));
}

static void on_members(void *arg, const struct serf_members *m, bool changed)
{
	struct rig *rig = arg;

	assert_true(mono_is_set(m->as_of));
	rig->polls++;
	rig->changes += changed;
	if (rig->free_in_callback)
		serf_client_free(take(rig->client));
}

static void on_user_event(void *arg, const char *name, const void *payload, size_t n)
{
	struct rig *rig = arg;

	(void)name;
	(void)payload;
	(void)n;
	rig->events++;
	if (rig->free_in_callback)
		serf_client_free(take(rig->client));
}

static void on_query(void *arg, uint64_t id, const char *name, const void *payload, size_t n)
{
	struct rig *rig = arg;

	(void)name;
	(void)payload;
	(void)n;
	rig->queries++;
	rig->query_id = id;
}

static void client_start(struct rig *rig)
{
	struct serf_client_conf conf = { fake_agent_addr(rig->fake), NULL, POLL_MS, TIMEOUT_MS };
	struct serf_handlers h = { rig, on_up, on_down, on_members, on_user_event, on_query };

	assert_int_equal(serf_client_new(rig->loop, &conf, &h, &rig->client), 0);
}

static int setup(void **state)
{
	struct rig *rig = mem_new(struct rig);

	rig->loop = loop_new();
	rig->fake = fake_agent_new(rig->loop);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	serf_client_free(rig->client);
	fake_agent_free(rig->fake);
	loop_free(rig->loop);
	free(rig);
	return 0;
}

static bool is_up(void *arg) { return serf_client_is_up(((struct rig *)arg)->client); }
static bool is_down(void *arg) { return ((struct rig *)arg)->downs > 0; }
static bool is_freed(void *arg) { return !((struct rig *)arg)->client; }
static bool has_polled(void *arg) { return ((struct rig *)arg)->polls >= ((struct rig *)arg)->polls_wanted; }
static bool has_events(void *arg) { return ((struct rig *)arg)->events >= ((struct rig *)arg)->events_wanted; }
static bool has_query(void *arg) { return ((struct rig *)arg)->queries > 0; }
static bool int_is_set(void *arg) { return *(int *)arg != INT32_MIN; }

static bool polls_more(struct rig *rig, unsigned more)
{
	rig->polls_wanted = rig->polls + more;
	return rig_until(rig->loop, has_polled, rig, WAIT_MS);
}

/* ---- faults: it says why it is down, and comes back ---- */

static void test_faults(void **state)
{
	static const struct { enum fake_fault fault; const char *reason; } rows[] = {
		{ FAKE_CLOSE_AT_HANDSHAKE, "closed" },
		{ FAKE_HALF_HANDSHAKE, "handshake: no answer within 150 ms" },
		{ FAKE_REFUSE_HANDSHAKE, "handshake refused: Unsupported IPC version" },
		{ FAKE_SILENT, "members: no answer in time" },
		{ FAKE_GARBAGE, "no message of its protocol" },
		{ FAKE_HUGE, "no message of its protocol" },
		{ FAKE_HALF, "closed" },
		{ FAKE_WRONG_SEQ, "which nobody asked" },
		{ FAKE_WRONG_TYPES, "members: bad answer" },
	};
	struct rig *rig = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		rig->downs = rig->ups = 0;
		fake_agent_fault(rig->fake, rows[i].fault, 1);
		client_start(rig);
		assert_true(rig_until(rig->loop, is_down, rig, WAIT_MS));
		if (!strstr(rig->reason, rows[i].reason))
			fail_msg("fault %zu: \"%s\" does not say \"%s\"", i, rig->reason, rows[i].reason);
		assert_true(rig_until(rig->loop, is_up, rig, WAIT_MS));
		assert_true(polls_more(rig, 2));
		assert_true(rig->ups >= 1);
		serf_client_free(take(rig->client));
		fake_agent_drop(rig->fake);	/* or what it sent last meets the next fault, and uses it up */
	}
}

static void test_drip(void **state)
{
	struct rig *rig = *state;

	fake_agent_fault(rig->fake, FAKE_DRIP, 1);
	client_start(rig);
	assert_true(rig_until(rig->loop, is_up, rig, WAIT_MS));
	assert_true(polls_more(rig, 3));
	assert_int_equal(rig->downs, 0);
	assert_int_equal(serf_client_members(rig->client)->count, 3);
}

static void test_nobody_listens(void **state)
{
	struct rig *rig = *state;
	struct serf_client_conf conf = { "127.0.0.1:1", NULL, POLL_MS, TIMEOUT_MS };
	struct serf_handlers h = { rig, on_up, on_down, on_members, on_user_event, on_query };

	assert_int_equal(serf_client_new(rig->loop, &conf, &h, &rig->client), 0);
	assert_true(rig_until(rig->loop, is_down, rig, WAIT_MS));
	assert_non_null(strstr(rig->reason, "refused"));
	(void)rig_until(rig->loop, is_up, rig, 500);
	assert_int_equal(rig->downs, 1);	/* the same reason is told once */
	assert_int_equal(serf_client_event(rig->client, "x", "", 0), -ENOTCONN);
}

static void test_resubscribes(void **state)
{
	struct rig *rig = *state;
	uint64_t old;

	client_start(rig);
	assert_true(rig_until(rig->loop, is_up, rig, WAIT_MS));
	fake_agent_query(rig->fake, 1, "see");
	assert_true(rig_until(rig->loop, has_query, rig, WAIT_MS));
	old = rig->query_id;
	assert_int_equal(serf_client_respond(rig->client, old, "x", 1), 0);
	fake_agent_drop(rig->fake);
	assert_true(rig_until(rig->loop, is_down, rig, WAIT_MS));
	assert_true(rig_until(rig->loop, is_up, rig, WAIT_MS));
	assert_int_equal(serf_client_respond(rig->client, old, "x", 1), -ENOENT);
	rig->queries = 0;
	fake_agent_query(rig->fake, 1, "see");
	assert_true(rig_until(rig->loop, has_query, rig, WAIT_MS));
	assert_true(rig->query_id != old);
	fake_agent_event(rig->fake, "claim", "x");
	rig->events_wanted = 1;
	assert_true(rig_until(rig->loop, has_events, rig, WAIT_MS));
}

static void test_unchanged_answers(void **state)
{
	struct rig *rig = *state;

	fake_agent_members(rig->fake, 50);
	client_start(rig);
	assert_true(polls_more(rig, 5));
	assert_int_equal(rig->changes, 1);	/* the first; the fake shuffles its answers */
	assert_int_equal(serf_client_members(rig->client)->version, 1);
	fake_agent_members(rig->fake, 49);
	assert_true(polls_more(rig, 2));
	assert_int_equal(rig->changes, 2);
	assert_int_equal(serf_client_members(rig->client)->count, 49);
}

static void on_left(void *arg, int r) { *(int *)arg = r; }

static void on_joined(void *arg, int r, unsigned joined)
{
	assert_true(r < 0 || joined == 2);
	*(int *)arg = r;
}

static void on_reply(void *arg, const struct serf_reply *reply) { *(int *)arg = reply->r; }

/* An answer that comes after its deadline must not be taken for another's. */
static void test_late_answer_is_swallowed(void **state)
{
	struct rig *rig = *state;
	const char *addr = "127.0.0.1:7946";
	struct serf_request req = { .cmd = SERF_CMD_JOIN, .u.join = { .addrs = &addr, .n = 1 } };
	int r = INT32_MIN;

	client_start(rig);
	assert_true(rig_until(rig->loop, is_up, rig, WAIT_MS));
	fake_agent_fault(rig->fake, FAKE_LATE, 1);
	assert_non_null(serf_rpc_call(serf_client_commands(rig->client), &req, 50, on_reply, &r));
	assert_int_equal(r, INT32_MIN);		/* never inside the starting call */
	assert_true(rig_until(rig->loop, int_is_set, &r, WAIT_MS));
	assert_int_equal(r, -ETIMEDOUT);
	r = INT32_MIN;
	assert_non_null(serf_client_join(rig->client, &addr, 1, on_joined, &r));
	assert_true(rig_until(rig->loop, int_is_set, &r, WAIT_MS));
	assert_int_equal(r, 0);
	assert_int_equal(rig->downs, 0);
}

static void test_cancel(void **state)
{
	struct rig *rig = *state;
	const char *addr = "127.0.0.1:7946";
	int r = INT32_MIN, other = INT32_MIN;
	struct op *join, *leave;

	client_start(rig);
	assert_true(rig_until(rig->loop, is_up, rig, WAIT_MS));
	join = serf_client_join(rig->client, &addr, 1, on_joined, &r);
	leave = serf_client_force_leave(rig->client, "edge-9", false, on_left, &other);
	op_cancelp(&join);
	assert_true(rig_until(rig->loop, int_is_set, &other, WAIT_MS));
	assert_int_equal(other, 0);
	assert_int_equal(r, INT32_MIN);
	(void)leave;
	fake_agent_fault(rig->fake, FAKE_LATE, 1);
	leave = serf_client_force_leave(rig->client, "edge-9", false, on_left, &r);
	fake_agent_drop(rig->fake);		/* who waits hears of the loss */
	assert_true(rig_until(rig->loop, int_is_set, &r, WAIT_MS));
	assert_int_equal(r, -ECONNRESET);
	r = INT32_MIN;
	leave = serf_client_force_leave(rig->client, "edge-9", false, on_left, &r);
	assert_int_equal(r, INT32_MIN);
	assert_true(rig_until(rig->loop, int_is_set, &r, WAIT_MS));
	assert_int_equal(r, -ENOTCONN);
}

static void test_free_in_callbacks(void **state)
{
	struct rig *rig = *state;

	rig->free_in_callback = true;
	client_start(rig);			/* in on_members */
	assert_true(rig_until(rig->loop, is_freed, rig, WAIT_MS));
	fake_agent_fault(rig->fake, FAKE_CLOSE_AT_HANDSHAKE, 1);
	client_start(rig);			/* in on_down */
	assert_true(rig_until(rig->loop, is_freed, rig, WAIT_MS));
	rig->free_in_callback = false;
	client_start(rig);			/* in on_user_event, with more to come */
	assert_true(rig_until(rig->loop, is_up, rig, WAIT_MS));
	rig->free_in_callback = true;
	for (int i = 0; i < 5; i++)
		fake_agent_event(rig->fake, "claim", "x");
	assert_true(rig_until(rig->loop, is_freed, rig, WAIT_MS));
}

static void test_tags_are_written_once(void **state)
{
	struct rig *rig = *state;

	client_start(rig);
	assert_true(polls_more(rig, 1));
	assert_int_equal(serf_client_set_tag(rig->client, "cpu", "3200"), 0);	/* as shown */
	assert_true(polls_more(rig, 3));
	assert_int_equal(fake_agent_count(rig->fake, "tags"), 0);
	assert_int_equal(serf_client_set_tag(rig->client, "cpu", "1"), 0);
	assert_int_equal(serf_client_set_tag(rig->client, "mem", "1"), 0);
	assert_int_equal(serf_client_set_tag(rig->client, "gone", NULL), 0);
	assert_true(polls_more(rig, 5));
	assert_int_equal(fake_agent_count(rig->fake, "tags"), 1);	/* both in one; the next is 2 s away */
	assert_int_equal(serf_client_set_tag(rig->client, "cpu", "3200"), 0);
	assert_int_equal(serf_client_set_tag(rig->client, "mem", "14336"), 0);
}

/* ---- pure ---- */

static void test_poll_interval(void **state)
{
	static const struct { int64_t base, cost_ns, want; } rows[] = {
		{ 250, 0, 250 },			/* nothing known */
		{ 250, 5 * NS_PER_MS, 250 },		/* exactly 2 % */
		{ 250, 5 * NS_PER_MS + 1, 251 },
		{ 250, 20 * NS_PER_MS, 1000 },
		{ 250, 10000 * NS_PER_MS, SERF_POLL_MAX_MS },
		{ 8000, 1, 8000 },			/* what the operator asks for is never shortened */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(serf_poll_interval_ms(rows[i].base, rows[i].cost_ns), rows[i].want);
	assert_int_equal(serf_poll_cost_smooth(100, 900), 900);
	assert_int_equal(serf_poll_cost_smooth(900, 100), 800);
	assert_true(serf_poll_cost_ns(1000, 100) > 1000);
	/* 200 members of 300 bytes, decoded in half a millisecond: still at 250 ms */
	assert_int_equal(serf_poll_interval_ms(250, serf_poll_cost_ns(NS_PER_MS / 2, 200 * 300)), 250);
}

static void test_backoff(void **state)
{
	static const int64_t want[] = { 100, 200, 400, 800, 1600, 3200, 5000, 5000 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(want); i++)
		assert_int_equal(serf_backoff_ms(i), want[i]);
	assert_int_equal(serf_backoff_ms(UINT32_MAX), 5000);
}

static void test_addresses(void **state)
{
	static const char *const good[] = { "127.0.0.1:7373", "[::1]:7373", "localhost:1", "10.0.0.1:65535" };
	static const struct { const char *text, *why;
	} bad[] = {
	    {"", "empty"},
	    {"127.0.0.1", "port is missing"},
	    {"127.0.0.1:", "1 to 65535"},
	    {"127.0.0.1:0", "1 to 65535"},
	    {"127.0.0.1:70000", "1 to 65535"},
	    {"::1:7373", "IPv6"},
	    {"[::1]7373", "IPv6"},
	    {"[::1", "IPv6"},
	    {"agent.example:7373", "IP address"},
	    {":7373", "host is empty"},
	    {"127.0.0.1:7373x", "1 to 65535"},
	};
	struct serf_handlers h = { .arg = NULL };
	struct serf_client *c = NULL;
	struct loop *loop = loop_new();
	struct serf_addr addr;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_int_equal(serf_addr_parse(good[i], &addr, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const char *why = NULL;

		assert_int_equal(serf_addr_parse(bad[i].text, &addr, &why), -EINVAL);
		if (!strstr(why, bad[i].why))
			fail_msg("\"%s\": \"%s\" does not say \"%s\"", bad[i].text, why, bad[i].why);
	}
	assert_int_equal(serf_client_new(loop, &(struct serf_client_conf){ .rpc_addr = "nonsense" }, &h, &c), -EINVAL);
	assert_null(c);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_faults, setup, teardown),
		cmocka_unit_test_setup_teardown(test_drip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nobody_listens, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resubscribes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unchanged_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_late_answer_is_swallowed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_free_in_callbacks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tags_are_written_once, setup, teardown),
		cmocka_unit_test(test_poll_interval),
		cmocka_unit_test(test_backoff),
		cmocka_unit_test(test_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
