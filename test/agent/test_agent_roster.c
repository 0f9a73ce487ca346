/* test_agent_roster.c — who of the gossip belongs to the site, and what a leave says
 *
 * Hand-made members and a real store; the mirror's Nodes are put as the API server would have them.
 */
#include "../support.h"

#include "agent/agent_int.h"

struct rig {
	struct agent a;
	char dir[TMP_SIZE];
};

static void on_flush(void *arg)
{
	store_batch_flush(arg);
}

static void put_node(struct rig *g, const char *name)
{
	struct node *n = node_new();

	n->name = intern(name);
	view_put_node(g->a.view, n);
	roster_stand(&g->a);
}

static int setup(void **state)
{
	struct rig *g = mem_new(struct rig);
	struct agent *a = &g->a;
	char path[TMP_SIZE + 8], aside[STORE_PATH_SIZE];

	tmp_new(g->dir);
	(void)snprintf(path, sizeof(path), "%s/db", g->dir);
	*a = (struct agent){ .self = intern("n1"), .config_fd = -1 };
	a->loop = loop_new_virtual((struct mono){ 1000 * NS_PER_MS }, (struct wall){ INT64_C(1700000000) * 1000000000 }, 1);
	a->view = view_new();
	assert_int_equal(store_open(path, &a->store, aside), 0);
	a->flush = timer_new(a->loop, "flush", on_flush, a);
	assert_int_equal(roster_load(a), 0);
	identities_new(a);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct rig *g = *state;
	struct agent *a = &g->a;

	store_batch_flush(a);
	roster_free(a);
	identities_free(a);
	view_free(a->view);
	store_close(a->store);
	timer_free(a->flush);
	free(a->peers.items);
	loop_free(a->loop);
	tmp_free(g->dir);
	free(g);
	intern_fini();
	return 0;
}

/* What serf lists now: alive healers, unless marked. */
static struct peer *listed(struct rig *g, const char *const *names, size_t n)
{
	struct peers *p = &g->a.peers;

	p->items = mem_resize(p->items, n, sizeof(p->items[0]));
	p->count = n;
	for (size_t i = 0; i < n; i++) {
		p->items[i] = (struct peer){ .name = intern(names[i]), .addr = "10.0.0.1", .port = 7946,
					     .status = PEER_ALIVE, .site = intern(""), .protocol = 1 };
	}
	return p->items;
}

static const struct peer *at(const struct rig *g, const char *name)
{
	const struct peer *p = peers_find(&g->a.peers, name);

	assert_non_null(p);
	return p;
}

static void who_has_no_node_counts_for_nothing(void **state)
{
	static const char *const names[] = { "n1", "n2", "ghost", "laptop" };
	struct rig *g = *state;
	const char *first = NULL;

	put_node(g, "n1");
	put_node(g, "n2");
	listed(g, names, 4)[3].protocol = 0;
	roster_apply(&g->a);
	assert_int_equal(at(g, "n2")->standing, PEER_MEMBER);
	assert_int_equal(at(g, "ghost")->standing, PEER_NEWCOMER);	/* no list of Nodes was confirmed since it came */
	assert_int_equal(at(g, "laptop")->standing, PEER_STRANGER);	/* a serf agent without a healer */
	assert_int_equal(roster_strangers(&g->a, &first), 2);
	assert_string_equal(first, "ghost");

	loop_advance_ms(g->a.loop, 1000);
	g->a.mirror_confirmed = loop_now(g->a.loop);
	roster_stand(&g->a);
	assert_int_equal(at(g, "ghost")->standing, PEER_STRANGER);
	put_node(g, "ghost");
	assert_int_equal(at(g, "ghost")->standing, PEER_MEMBER);
	view_remove_node(g->a.view, "ghost");
	roster_stand(&g->a);
	assert_int_equal(at(g, "ghost")->standing, PEER_STRANGER);
}

/* serf force-leave of a dead node: its Node is there, so it is lost, and not gone on purpose. */
static void a_leave_of_a_member_is_a_failure(void **state)
{
	static const char *const names[] = { "n1", "n2", "ghost" };
	struct rig *g = *state;
	struct peer *p;

	put_node(g, "n1");
	put_node(g, "n2");
	p = listed(g, names, 3);
	p[1].status = p[2].status = PEER_LEFT;
	p[1].left = p[2].left = true;
	roster_apply(&g->a);
	assert_int_equal(at(g, "n2")->status, PEER_FAILED);
	assert_int_equal(at(g, "ghost")->status, PEER_LEFT);
	view_remove_node(g->a.view, "n2");
	roster_stand(&g->a);
	assert_int_equal(at(g, "n2")->status, PEER_LEFT);
}

/* Reaped by serf, or forgotten by an agent that began anew: a member is remembered, a stranger is not. */
static void a_stranger_is_not_remembered(void **state)
{
	static const char *const names[] = { "n1", "n2", "ghost" };
	struct rig *g = *state;

	put_node(g, "n1");
	put_node(g, "n2");
	(void)listed(g, names, 3);
	roster_apply(&g->a);
	(void)listed(g, names, 1);
	roster_apply(&g->a);
	assert_int_equal(at(g, "n2")->status, PEER_FAILED);
	assert_int_equal(at(g, "n2")->standing, PEER_MEMBER);
	assert_null(peers_find(&g->a.peers, "ghost"));
	store_batch_flush(&g->a);
	roster_free(&g->a);
	assert_int_equal(roster_load(&g->a), 0);
	(void)listed(g, names, 1);
	roster_apply(&g->a);
	assert_int_equal(g->a.peers.count, 2);
	assert_int_equal(at(g, "n2")->status, PEER_FAILED);
}

/* kubelet writes its node's name in small letters; serf takes it as the machine has it. */
static void a_machine_in_capitals_is_its_node(void **state)
{
	struct rig *g = *state;

	put_node(g, "edge-7");
	assert_string_equal(gossip_node_name(&g->a, "EDGE-7"), "edge-7");
	assert_string_equal(gossip_node_name(&g->a, "N1"), "n1");
	assert_string_equal(gossip_node_name(&g->a, "Other"), "Other");
	put_node(g, "EDGE-7");			/* no Kubernetes has it, but what is equal is equal */
	assert_string_equal(gossip_node_name(&g->a, "EDGE-7"), "EDGE-7");
}

/* Anybody may join the gossip under a new name again and again, with a new site each time. */
static void invented_names_are_not_kept_for_ever(void **state)
{
	struct rig *g = *state;
	size_t before;

	put_node(g, "n2");
	before = intern_count();
	for (int i = 0; i < 10000; i++) {
		cleanup(freep) char *name = str_format("invented-%d", i), *site = str_format("site-%d", i);
		char v[] = "1", v_key[] = "v", site_key[] = "site", us[] = "n1", them[] = "N2";
		struct serf_tag tags[] = { { v_key, v }, { site_key, site } };
		struct serf_member members[] = {
			{ .name = us, .status = SERF_ALIVE }, { .name = them, .status = SERF_ALIVE },
			{ .name = name, .addr = "10.0.0.9", .status = SERF_ALIVE, .tags = tags, .tag_count = 2 },
		};

		gossip_fill_peers(&g->a, &(struct serf_members){ .items = members, .count = 3 });
		roster_apply(&g->a);
		assert_int_equal(at(g, "n1")->standing, PEER_MEMBER);
		assert_int_equal(at(g, "n2")->standing, PEER_MEMBER);
	}
	assert_true(intern_count() <= before + INTERN_STRANGERS_MAX + 1); /* 1: a site of none */
	assert_null(peers_find(&g->a.peers, "invented-9999"));
	put_node(g, "invented-9999");	/* it has become a Node: it counts, as ever */
	{
		char name[] = "invented-9999";
		struct serf_member member = { .name = name, .status = SERF_ALIVE };

		gossip_fill_peers(&g->a, &(struct serf_members){ .items = &member, .count = 1 });
		roster_apply(&g->a);
		assert_int_equal(at(g, name)->standing, PEER_MEMBER);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_has_no_node_counts_for_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(a_leave_of_a_member_is_a_failure, setup, teardown),
		cmocka_unit_test_setup_teardown(a_stranger_is_not_remembered, setup, teardown),
		cmocka_unit_test_setup_teardown(a_machine_in_capitals_is_its_node, setup, teardown),
		cmocka_unit_test_setup_teardown(invented_names_are_not_kept_for_ever, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
