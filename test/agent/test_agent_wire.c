/* test_agent_wire.c — messages between healers: round trip, limits, hostile bytes */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/wire.h"
#include "base/mem.h"

struct got { struct claim items[64]; size_t count; };

static void on_claim(void *arg, const struct claim *c)
{
	struct got *g = arg;

	if (g->count < ARRAY_LEN(g->items))
		g->items[g->count] = *c;
	g->count++;
}

/* Claims of one message: they differ in the pod only. */
static void make(struct claim *c, const char *node, unsigned i)
{
	*c = (struct claim){ .epoch = 0xfffffff0u, .rank = 3, .mirror = UINT64_C(0xfedcba9876543210), .state = CLAIM_DONE,
			     .at = { 1700000000LL * 1000 * NS_PER_MS } };
	(void)snprintf(c->pod_uid, sizeof(c->pod_uid), "e6f6ef69-ec9e-%04x-b2e4-f052ccb00001", i);
	(void)str_copy(c->node, sizeof(c->node), node);
}

static void round_trip(const char *node)
{
	cleanup(buf_fini) struct buf b = BUF_INIT;
	size_t n = wire_claims_max(node);
	struct claim in[64];
	struct got g = { .count = 0 };

	assert_in_range(n, 1, 60);
	for (unsigned i = 0; i <= n; i++)
		make(&in[i], node, i);
	assert_int_equal(wire_put_claims(&b, in, n + 1), n);	/* what fits */
	assert_true(b.len <= WIRE_EVENT_MAX);
	assert_true(b.len + 8 > WIRE_EVENT_MAX);		/* the limit is not wasted */
	assert_int_equal(wire_get_claims(b.data, b.len, on_claim, &g), 0);
	assert_int_equal(g.count, n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(strlen(g.items[i].pod_uid), WIRE_UID_LEN);
		assert_memory_equal(g.items[i].pod_uid, in[i].pod_uid, WIRE_UID_LEN);
		assert_string_equal(g.items[i].node, node);
		assert_int_equal(g.items[i].epoch, in[i].epoch);
		assert_int_equal(g.items[i].rank, in[i].rank);
		assert_int_equal(g.items[i].state, in[i].state);
		assert_true(g.items[i].mirror == in[i].mirror && g.items[i].at.ns == in[i].at.ns);
	}
	assert_int_equal(wire_put_claims(&b, in, 0), 0);
}

static void what_differs_travels_apart(void **state)
{
	struct claim in[4];

	(void)state;
	for (int field = 0; field < 4; field++) {
		cleanup(buf_fini) struct buf b = BUF_INIT;

		for (unsigned i = 0; i < ARRAY_LEN(in); i++)
			make(&in[i], "n", i);
		in[2].mirror += field == 0;
		in[2].epoch += field == 1;
		in[2].rank += field == 2;
		in[2].state = field == 3 ? CLAIM_LIVE : in[2].state;
		assert_int_equal(wire_put_claims(&b, in, ARRAY_LEN(in)), 2);
	}
}

static void claims_make_the_round_trip_with_short_and_long_names(void **state)
{
	char name[129];

	(void)state;
	round_trip("n");
	round_trip("edge-3");
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';				/* 128 bytes: the longest serf takes */
	round_trip(name);
	assert_true(wire_claims_max(name) < wire_claims_max("n"));
	assert_true(wire_claims_max(name) >= 10);
	assert_true(wire_claims_max("edge-3") >= 50);	/* half of 100 lost pods in one message */
}

static void a_rank_beyond_a_byte_is_capped_and_a_bad_uid_refused(void **state)
{
	static const char *const bad[] = { "", "web-1", "e6f6ef69-ec9e-42e6-b2e4-f052ccb0000",
					   "E6F6EF69-ec9e-42e6-b2e4-f052ccb00000",
					   "e6f6ef69-ec9e-42e6-b2e4-f052ccb000001", "e6f6ef69-ec9g-42e6-b2e4-f052ccb00001" };
	struct claim c;
	struct got g = { .count = 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		cleanup(buf_fini) struct buf b = BUF_INIT;

		make(&c, "n1", 1);
		(void)str_copy(c.pod_uid, sizeof(c.pod_uid), bad[i]);
		assert_int_equal(wire_put_claims(&b, &c, 1), 0);
	}
	{
		cleanup(buf_fini) struct buf b = BUF_INIT;

		make(&c, "n1", 1);
		c.rank = 70000;
		assert_int_equal(wire_put_claims(&b, &c, 1), 1);
		assert_int_equal(wire_get_claims(b.data, b.len, on_claim, &g), 0);
		assert_int_equal(g.items[0].rank, UINT8_MAX);
	}
}

/* Every prefix, in memory of exactly its size so that a read beyond it is seen. */
static void a_message_cut_anywhere_is_refused(void **state)
{
	cleanup(buf_fini) struct buf b = BUF_INIT;
	struct claim in[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		make(&in[i], "edge-3", i);
	assert_int_equal(wire_put_claims(&b, in, 3), 3);
	for (size_t n = 0; n <= b.len + 1; n++) {
		char *cut = malloc(n ? n : 1);
		struct got g = { .count = 0 };
		int r;

		assert_non_null(cut);
		memset(cut, 0, n ? n : 1);
		memcpy(cut, b.data, n < b.len ? n : b.len);
		r = wire_get_claims(cut, n, on_claim, &g);
		free(cut);
		assert_int_equal(r, n == b.len ? 0 : -EPROTO);
		assert_int_equal(g.count, n == b.len ? 3 : 0);
	}
}

static void each_field_is_checked(void **state)
{
	/* E H version type | 6 e d g e - 3 | mirror 8 | at 8 | epoch 4 | rank | state | count | uid 8 */
	static const struct { size_t at; unsigned char value; } rows[] = {
		{ 0, 'e' }, { 1, 'x' }, { 2, WIRE_VERSION + 1 }, { 3, 2 }, { 4, 0 }, { 4, 200 }, { 4, 255 }, { 7, 0 }, { 32, 3 },
		{ 32, 255 }, { 33, 0 }, { 33, 2 },
	};
	cleanup(buf_fini) struct buf b = BUF_INIT;
	struct claim c;
	struct got g = { .count = 0 };

	(void)state;
	make(&c, "edge-3", 1);
	c.epoch = 1;
	assert_int_equal(wire_put_claims(&b, &c, 1), 1);
	assert_int_equal(b.len, 42);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char keep = b.data[rows[i].at];

		b.data[rows[i].at] = (char)rows[i].value;
		if (wire_get_claims(b.data, b.len, on_claim, &g) != -EPROTO)
			fail_msg("row %zu", i);
		b.data[rows[i].at] = keep;
	}
	b.data[30] = 0;						/* epoch 0 */
	assert_int_equal(wire_get_claims(b.data, b.len, on_claim, &g), -EPROTO);
	assert_int_equal(g.count, 0);
}

static void garbage_does_no_harm(void **state)
{
	unsigned seed = 7;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t n = (size_t)rand_r(&seed) % 80;
		char *data = malloc(n + 1);
		struct got g = { .count = 0 };
		struct wire_witness w;

		assert_non_null(data);
		for (size_t i = 0; i < n; i++)
			data[i] = (char)rand_r(&seed);
		if (round % 2 && n > 4)
			memcpy(data, round % 4 == 1 ? "EH\1\1" : "EH\1\2", 4);
		(void)wire_get_claims(data, n, on_claim, &g);
		(void)wire_get_witness(data, n, &w);
		free(data);
	}
}

static void a_witness_answers_yes_or_no(void **state)
{
	(void)state;
	for (int flags = 0; flags < 8; flags++) {
		cleanup(buf_fini) struct buf b = BUF_INIT;
		struct wire_witness w = { flags & 1, flags & 2, flags & 4 }, before = { !w.sees, !w.api, !w.bare }, got = before;

		wire_put_witness(&b, &w);
		for (size_t n = 0; n < b.len; n++)
			assert_int_equal(wire_get_witness(b.data, n, &got), -EPROTO);
		assert_memory_equal(&got, &before, sizeof(got));	/* untouched on failure */
		assert_int_equal(wire_get_witness(b.data, b.len, &got), 0);
		assert_memory_equal(&got, &w, sizeof(got));
	}
}

static void an_address_comes_back_and_must_be_one(void **state)
{
	static const char *const good[] = { "10.0.0.1", "fd00::1" }, *const bad[] = { "", "edge-2", "10.0.0.1:80", "10.0.0", "[fd00::1]" };
	char node[NODE_NAME_SIZE] = "-", addr[PEER_ADDR_SIZE] = "-";

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		cleanup(buf_fini) struct buf b = BUF_INIT;

		assert_int_equal(wire_put_here(&b, "edge-2", good[i]), 0);
		for (size_t n = 0; n < b.len; n++)
			assert_int_equal(wire_get_here(b.data, n, node, addr), -EPROTO);
		assert_int_equal(wire_get_here(b.data, b.len, node, addr), 0);
		assert_string_equal(node, "edge-2");
		assert_string_equal(addr, good[i]);
		buf_addc(&b, 'x');
		assert_int_equal(wire_get_here(b.data, b.len, node, addr), -EPROTO);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		cleanup(buf_fini) struct buf b = BUF_INIT;

		assert_int_equal(wire_put_here(&b, "edge-2", bad[i]), -EINVAL);
		buf_add(&b, "EH\1\10\6edge-2", 11);
		buf_addc(&b, (char)strlen(bad[i]));
		buf_adds(&b, bad[i]);
		assert_int_equal(wire_get_here(b.data, b.len, node, addr), -EPROTO);
	}
	assert_string_equal(addr, good[1]);			/* untouched on failure */
}

static void a_goodbye_names_its_reason(void **state)
{
	char node[NODE_NAME_SIZE] = "-";
	enum goodbye got = GOODBYE_COUNT;

	(void)state;
	for (enum goodbye reason = 0; reason < GOODBYE_COUNT; reason++) {
		cleanup(buf_fini) struct buf b = BUF_INIT;

		wire_put_goodbye(&b, "edge-2", reason);
		assert_true(b.len <= WIRE_EVENT_MAX);
		for (size_t n = 0; n < b.len; n++)
			assert_int_equal(wire_get_goodbye(b.data, n, node, &got), -EPROTO);
		assert_int_equal(wire_get_goodbye(b.data, b.len, node, &got), 0);
		assert_string_equal(node, "edge-2");
		assert_int_equal(got, reason);
		b.data[4] = GOODBYE_COUNT;		/* a reason of later versions */
		assert_int_equal(wire_get_goodbye(b.data, b.len, node, &got), -EPROTO);
		assert_int_equal(got, reason);		/* untouched on failure */
		b.data[4] = (char)reason;
		buf_addc(&b, 'x');
		assert_int_equal(wire_get_goodbye(b.data, b.len, node, &got), -EPROTO);
	}
	assert_string_equal(goodbye_name(GOODBYE_STOPPING), "stopping");
	assert_string_equal(goodbye_name(GOODBYE_ROLLOUT), "rollout");
	assert_string_equal(goodbye_name(GOODBYE_REMOVAL), "removal");
}

static void questions_for_grants_and_fences_come_back(void **state)
{
	struct wire_fence f = { "e6f6ef69-ec9e-42e6-8f3a-1d1c4b2f0a11", "edge-5", "edge-2", UINT64_MAX - 7 }, got;
	cleanup(buf_fini) struct buf grant = BUF_INIT, fence = BUF_INIT;
	char node[NODE_NAME_SIZE];
	int64_t ms = 0;

	(void)state;
	wire_put_ask_grant(&grant, "edge-2", 20000);
	assert_int_equal(wire_get_ask_grant(grant.data, grant.len, node, &ms), 0);
	assert_string_equal(node, "edge-2");
	assert_int_equal(ms, 20000);
	assert_int_equal(wire_put_fence(&fence, &f), 0);
	assert_int_equal(wire_get_fence(fence.data, fence.len, &got), 0);
	assert_true(str_eq(got.pod_uid, f.pod_uid) && str_eq(got.node, f.node) && str_eq(got.asker, f.asker) && got.mirror == f.mirror);
	for (size_t n = 0; n < fence.len; n++)
		assert_int_equal(wire_get_fence(fence.data, n, &got), -EPROTO);
	for (size_t n = 0; n < grant.len; n++)
		assert_int_equal(wire_get_ask_grant(grant.data, n, node, &ms), -EPROTO);
	assert_int_equal(wire_get_ask_grant(fence.data, fence.len, node, &ms), -EPROTO);	/* each is what it says */
}

static void what_runs_is_told_by_short_uids(void **state)
{
	static const char *const uids[] = { "e6f6ef69-ec9e-42e6-8d7f-000000000001", "0123456789abcdef0123456789abcdef",
					    "ffffffff" };
	static const uint32_t shorts[] = { 0xe6f6ef69, 0x01234567, 0xffffffff };
	cleanup(buf_fini) struct buf b = BUF_INIT;
	struct wire_running w = { .boot_id = "5f2b" }, got = { 0 };
	uint32_t v = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(uids); i++) {
		assert_true(wire_short_uid(uids[i], &v));
		assert_int_equal(v, shorts[i]);
	}
	assert_false(wire_short_uid("e6f6ef6", &v) || wire_short_uid("", &v) || wire_short_uid("e6f6-f69ec9e", &v));
	for (w.count = 0; w.count < WIRE_RUNNING_MAX; w.count++)
		w.uids[w.count] = (uint32_t)w.count << 24 | 5;
	wire_put_running(&b, &w);
	assert_true(b.len <= 900);		/* serf's limit of a response is 1,024 bytes, with its envelope */
	assert_int_equal(wire_get_running(b.data, b.len, &got), 0);
	assert_string_equal(got.boot_id, "5f2b");
	assert_int_equal(got.count, WIRE_RUNNING_MAX);
	assert_memory_equal(got.uids, w.uids, sizeof(w.uids));
	for (size_t n = 0; n < b.len; n++)	/* cut anywhere */
		assert_int_equal(wire_get_running(b.data, n, &got), -EPROTO);
	buf_addc(&b, 0);
	assert_int_equal(wire_get_running(b.data, b.len, &got), -EPROTO);
	b.len = 0;
	w.boot_id[0] = '\0';			/* nobody without a boot id */
	wire_put_running(&b, &w);
	assert_int_equal(wire_get_running(b.data, b.len, &got), -EPROTO);
}

struct fates { struct wire_fate items[WIRE_FATES_MAX]; size_t count; };

static void on_asked(void *arg, const char *half)
{
	struct fates *all = arg;

	assert_true(all->count < WIRE_FATES_MAX);
	(void)str_copy(all->items[all->count++].uid, UID_SIZE, half);
}

static void on_fate(void *arg, const char *half, enum fate fate)
{
	struct fates *all = arg;

	on_asked(arg, half);
	all->items[all->count - 1].fate = fate;
}

/* As many as fit, of a node whose name is as long as may be, in what serf lets through: 1,024 bytes with its envelope. */
static void what_became_of_pods_comes_back(void **state)
{
	cleanup(buf_fini) struct buf ask = BUF_INIT, answer = BUF_INIT;
	char uids[WIRE_FATES_MAX + 1][UID_SIZE], name[NODE_NAME_SIZE], node[NODE_NAME_SIZE];
	const char *list[WIRE_FATES_MAX + 1];
	struct fates asked = { .count = 0 }, told = { .count = 0 };

	(void)state;
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	for (unsigned i = 0; i <= WIRE_FATES_MAX; i++) {
		(void)snprintf(uids[i], UID_SIZE, "e6f6ef69-ec9e-%04x-b2e4-f052ccb00001", i);
		list[i] = uids[i];
	}
	wire_put_ask_fate(&ask, name, list, WIRE_FATES_MAX + 1);
	assert_in_range(ask.len, 512, 1024 - 100);
	assert_int_equal(wire_get_ask_fate(ask.data, ask.len, node, on_asked, &asked), 0);
	assert_string_equal(node, name);
	assert_int_equal(asked.count, WIRE_FATES_MAX);
	for (size_t i = 0; i < asked.count; i++)
		asked.items[i].fate = (enum fate)(i % FATE_COUNT);
	wire_put_fates(&answer, asked.items, asked.count);
	assert_in_range(answer.len, 512, 1024 - 100);
	assert_int_equal(wire_get_fates(answer.data, answer.len, on_fate, &told), 0);
	assert_int_equal(told.count, WIRE_FATES_MAX);
	for (size_t i = 0; i < told.count; i++) {
		assert_memory_equal(told.items[i].uid, uids[i], WIRE_UID_LEN);
		assert_int_equal(told.items[i].fate, i % FATE_COUNT);
	}
	for (size_t n = 0; n < ask.len; n++)
		assert_int_equal(wire_get_ask_fate(ask.data, n, node, on_asked, &asked), -EPROTO);
	for (size_t n = 0; n < answer.len; n++)
		assert_int_equal(wire_get_fates(answer.data, n, on_fate, &told), -EPROTO);
	answer.data[answer.len - 1] = FATE_COUNT;		/* one that we do not know: the others count no more than it */
	told.count = 0;
	assert_int_equal(wire_get_fates(answer.data, answer.len, on_fate, &told), -EPROTO);
	assert_int_equal(told.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(claims_make_the_round_trip_with_short_and_long_names),
		cmocka_unit_test(what_differs_travels_apart),
		cmocka_unit_test(a_rank_beyond_a_byte_is_capped_and_a_bad_uid_refused),
		cmocka_unit_test(a_message_cut_anywhere_is_refused),
		cmocka_unit_test(each_field_is_checked),
		cmocka_unit_test(garbage_does_no_harm),
		cmocka_unit_test(a_witness_answers_yes_or_no),
		cmocka_unit_test(an_address_comes_back_and_must_be_one),
		cmocka_unit_test(a_goodbye_names_its_reason),
		cmocka_unit_test(questions_for_grants_and_fences_come_back),
		cmocka_unit_test(what_runs_is_told_by_short_uids),
		cmocka_unit_test(what_became_of_pods_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
