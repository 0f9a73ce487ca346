/* test_heal_rank.c — the same order on every node */
#include "heal_rig.h"

#define NODES 9
#define PODS 20

struct place {
	struct node nodes[NODES];
	char names[NODES][16], uids[PODS][16];
	struct bidder bidders[NODES];
	struct rank_pod pods[PODS];
	struct constraints none;
};

static void place_init(struct place *p)
{
	*p = (struct place){ 0 };
	for (int i = 0; i < NODES; i++) {
		(void)snprintf(p->names[i], sizeof(p->names[i]), "n%d", i);
		p->nodes[i].name = intern(p->names[i]);
		list_init(&p->nodes[i].pods);
		p->bidders[i] = (struct bidder){ .name = p->nodes[i].name, .node = &p->nodes[i],
						 .free = { i < 4 ? 1000 : 500, GIB, 5 }, .bid_cpu = i < 4 ? 1000 : 500 };
	}
	for (int i = 0; i < PODS; i++) {
		(void)snprintf(p->uids[i], sizeof(p->uids[i]), "uid-%d", i);
		p->pods[i] = (struct rank_pod){ .uid = p->uids[i], .ns = "default", .name = p->uids[i], .owner = "rs",
						.priority = i % 3, .request = { 100, GIB / 16, 1 }, .constraints = &p->none };
	}
}

static void shuffle(void *items, size_t n, size_t size, unsigned *seed)
{
	char tmp[sizeof(struct rank_pod)], *a = items;

	for (size_t i = n - 1; i > 0; i--) {
		size_t j = (size_t)rand_r(seed) % (i + 1);

		memcpy(tmp, a + i * size, size);
		memcpy(a + i * size, a + j * size, size);
		memcpy(a + j * size, tmp, size);
	}
}

static void shuffled_inputs_give_one_result(void **state)
{
	struct place first;
	unsigned seed = 1;

	(void)state;
	place_init(&first);
	rank_place(first.pods, PODS, first.bidders, NODES, false);
	for (int round = 0; round < 1000; round++) {
		struct place p;

		place_init(&p);
		shuffle(p.pods, PODS, sizeof(p.pods[0]), &seed);
		shuffle(p.bidders, NODES, sizeof(p.bidders[0]), &seed);
		rank_place(p.pods, PODS, p.bidders, NODES, false);
		for (int i = 0; i < PODS; i++) {
			assert_string_equal(p.pods[i].uid, first.pods[i].uid);
			assert_int_equal(p.pods[i].rank_count, first.pods[i].rank_count);
			assert_int_equal(p.pods[i].misfit, first.pods[i].misfit);
			for (size_t k = 0; k < p.pods[i].rank_count; k++)
				if (p.pods[i].ranks[k] != first.pods[i].ranks[k])
					fail_msg("round %d pod %s rank %zu: %s, not %s", round, p.pods[i].uid, k,
						 p.pods[i].ranks[k], first.pods[i].ranks[k]);
		}
	}
}

static void important_pods_are_placed_first(void **state)
{
	struct place p;

	(void)state;
	place_init(&p);
	p.pods[0].ns = "a";
	rank_place(p.pods, PODS, p.bidders, NODES, false);
	for (int i = 1; i < PODS; i++)
		assert_true(p.pods[i - 1].priority >= p.pods[i].priority);
	assert_string_equal(p.pods[PODS - 7].ns, "a");		/* first of the seven with priority 0 */
	assert_string_equal(p.pods[0].uid, "uid-11");		/* then by name */
}

static void the_freest_node_wins_then_spread_then_hash(void **state)
{
	struct place p;
	struct pod *sibling = pod_new();
	const char *tied;

	(void)state;
	place_init(&p);
	p.bidders[7].free.cpu_milli = 1001;
	p.bidders[7].bid_cpu = 1250;
	rank_place(p.pods, 1, p.bidders, NODES, false);
	assert_string_equal(p.pods[0].ranks[0], "n7");
	assert_int_equal(p.bidders[7].free.cpu_milli, 901);	/* the capacity is taken */
	assert_int_equal(p.bidders[7].bid_cpu, 1150);
	assert_int_equal(p.bidders[7].free.pods, 4);
	tied = p.pods[0].ranks[1];				/* one of four equals, by hash */
	sibling->owner = "rs";
	sibling->node = tied;
	sibling->phase = POD_RUNNING;
	for (int i = 0; i < NODES; i++)
		if (p.nodes[i].name == tied)
			list_add_tail(&p.nodes[i].pods, &sibling->by_node);
	p.bidders[7].bid_cpu = 1250;
	sibling->owner = p.pods[0].owner;
	rank_place(p.pods, 1, p.bidders, NODES, false);
	assert_true(p.pods[0].ranks[1] != tied);		/* it has a sibling already */
	list_remove(&sibling->by_node);
	pod_free(sibling);
}

/* Load passes: it lowers the bid, and never decides what fits. */
static void a_loaded_node_bids_less_but_still_fits(void **state)
{
	struct place p;

	(void)state;
	place_init(&p);
	for (int i = 0; i < NODES; i++)
		p.bidders[i].bid_cpu = i == 5 ? 50 : -400;	/* less than the pod requests */
	rank_place(p.pods, 1, p.bidders, NODES, false);
	assert_int_equal(p.pods[0].rank_count, RANK_DEPTH);
	assert_string_equal(p.pods[0].ranks[0], "n5");
}

/* Equal nodes never tell exactly the same load: less than a step apart they are equal, and the spread decides. */
static void noise_of_load_does_not_beat_the_spread(void **state)
{
	struct place p;
	int taken[NODES] = { 0 };

	(void)state;
	place_init(&p);
	for (int i = 0; i < NODES; i++) {
		p.bidders[i].free = (struct resources){ 4000, GIB, 50 };
		p.bidders[i].bid_cpu = 3800 + 10 * i;
	}
	for (size_t i = 0; i < ARRAY_LEN(p.pods); i++)
		p.pods[i].request.cpu_milli = 1;
	rank_place(p.pods, ARRAY_LEN(p.pods), p.bidders, NODES, false);
	for (size_t i = 0; i < ARRAY_LEN(p.pods); i++)
		for (int k = 0; k < NODES; k++)
			taken[k] += p.bidders[k].name == p.pods[i].ranks[0];
	for (int k = 0; k < NODES; k++)
		assert_true(taken[k] <= (int)(ARRAY_LEN(p.pods) / NODES) + 1);
}

static void different_pods_choose_different_equals(void **state)
{
	struct place p;
	bool chosen[4] = { false };

	(void)state;
	place_init(&p);
	for (int i = 0; i < PODS; i++) {			/* each alone: only the hash decides */
		rank_place(&p.pods[i], 1, p.bidders, 4, false);
		chosen[p.pods[i].ranks[0][1] - '0'] = true;
		for (int b = 0; b < 4; b++)
			p.bidders[b] = (struct bidder){ .name = p.bidders[b].name, .node = p.bidders[b].node,
							.free = { 1000, GIB, 5 }, .bid_cpu = 1000 };
	}
	assert_true(chosen[0] && chosen[1] && chosen[2] && chosen[3]);
}

static void nobody_takes_more_than_fits(void **state)
{
	struct place p;
	int placed = 0, on[NODES] = { 0 };

	(void)state;
	place_init(&p);
	for (int i = 0; i < NODES; i++)
		p.bidders[i].free.pods = 2;
	rank_place(p.pods, PODS, p.bidders, NODES, false);
	for (int i = 0; i < PODS; i++) {
		if (!p.pods[i].rank_count) {
			assert_int_equal(p.pods[i].misfit, FIT_PODS);
			continue;
		}
		placed++;
		on[p.pods[i].ranks[0][1] - '0']++;
	}
	assert_int_equal(placed, 2 * NODES);
	for (int i = 0; i < NODES; i++)
		assert_int_equal(on[i], 2);
}

static void the_excluded_are_out(void **state)
{
	struct place p;

	(void)state;
	place_init(&p);
	for (int i = 0; i < NODES - 1; i++)
		p.pods[0].exclude[RANK_EXCLUDE - 1 - i] = p.nodes[i].name;
	rank_place(p.pods, 1, p.bidders, NODES, false);
	assert_int_equal(p.pods[0].rank_count, 1);
	assert_string_equal(p.pods[0].ranks[0], "n8");
	assert_int_equal(rank_of(&p.pods[0], "n8"), 0);
	assert_int_equal(rank_of(&p.pods[0], "n1"), -1);
	p.pods[0].exclude[0] = p.nodes[8].name;
	rank_place(p.pods, 1, p.bidders, NODES, false);
	assert_int_equal(p.pods[0].rank_count, 0);
	assert_int_equal(p.pods[0].misfit, FIT_OK);		/* not that it would not fit */
}

static void host_ports_are_taken_by_what_is_placed_and_claimed(void **state)
{
	struct place p;
	struct host_port port = { 80, "TCP", "" };
	struct constraints web = { .ports = &port, .port_count = 1 };
	const struct constraints *held[] = { &web };
	int on[NODES] = { 0 };

	(void)state;
	place_init(&p);
	for (int i = 0; i < PODS; i++)
		p.pods[i].constraints = &web;
	p.bidders[8].held = held;
	p.bidders[8].held_count = 1;
	rank_place(p.pods, PODS, p.bidders, NODES, false);
	for (int i = 0; i < PODS; i++)
		if (p.pods[i].rank_count)
			on[p.pods[i].ranks[0][1] - '0']++;
	for (int i = 0; i < NODES; i++)
		assert_int_equal(on[i], i != 8);
	assert_int_equal(p.pods[PODS - 1].misfit, FIT_PORT);
}

/* n0 has both images, n1 only one, n2 lists none, n3 lists fifty others: it may have more. */
static void images_init(struct place *p, struct workload *w)
{
	static const char *const both[] = { "busybox:1", "shop:1" };
	const char *many[50];
	char names[50][24];

	place_init(p);
	for (int i = 0; i < 50; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "other:%d", i);
		many[i] = names[i];
	}
	rig_lists(&p->nodes[0], both, 2);
	rig_lists(&p->nodes[1], both, 1);
	rig_lists(&p->nodes[3], many, 50);
	for (int i = 4; i < NODES; i++)
		rig_lists(&p->nodes[i], both + 1, 1);
	rig_needs(w, "docker.io/library/busybox:1");
	rig_needs(w, "shop:1");
	p->pods[0].workload = w;
}

static void images_fini(struct place *p)
{
	for (int i = 0; i < NODES; i++)
		image_list_fini(&p->nodes[i].images);
}

static void offline_who_is_known_to_lack_an_image_does_not_rank(void **state)
{
	cleanup(workload_freep) struct workload *w = workload_new();
	struct place p;

	(void)state;
	images_init(&p, w);
	rank_place(p.pods, 1, p.bidders, NODES, true);
	assert_int_equal(p.pods[0].rank_count, 3);
	for (size_t i = 0; i < 3; i++)
		assert_true(p.pods[0].ranks[i][1] == '0' || p.pods[0].ranks[i][1] == '2' || p.pods[0].ranks[i][1] == '3');
	rank_place(p.pods, 1, p.bidders + 4, NODES - 4, true);
	assert_int_equal(p.pods[0].rank_count, 0);
	assert_int_equal(p.pods[0].misfit, FIT_IMAGE);
	images_fini(&p);
}

static void online_images_are_pulled_and_do_not_count(void **state)
{
	cleanup(workload_freep) struct workload *w = workload_new();
	struct place p;

	(void)state;
	images_init(&p, w);
	rank_place(p.pods, 1, p.bidders + 4, NODES - 4, false);
	assert_int_equal(p.pods[0].rank_count, RANK_DEPTH);
	images_fini(&p);
}

static void a_ready_pod_of_the_replicaset_proves_its_images(void **state)
{
	cleanup(workload_freep) struct workload *w = workload_new();
	struct pod *sibling = pod_new();
	struct place p;

	(void)state;
	images_init(&p, w);
	sibling->node = p.nodes[5].name;
	list_add_tail(&w->pods, &sibling->by_owner);
	rank_place(p.pods, 1, p.bidders + 4, NODES - 4, true);
	assert_int_equal(p.pods[0].rank_count, 0);		/* it is there, but pulls perhaps */
	sibling->ready = true;
	rank_place(p.pods, 1, p.bidders + 4, NODES - 4, true);
	assert_int_equal(p.pods[0].rank_count, 1);
	assert_string_equal(p.pods[0].ranks[0], "n5");
	list_remove(&sibling->by_owner);
	pod_free(sibling);
	images_fini(&p);
}

/* The whole way: a lost node's pods are ranked by what the mirror says of images. */
static void lost_pods_go_where_their_image_is(void **state)
{
	static const char *const has[] = { "shop:1" }, *const lacks[] = { "busybox:1" };
	struct rig g;

	(void)state;
	rig_init(&g, 4);
	rig_needs(rig_rs(&g, "shop", 1), "shop:1");
	(void)rig_pod(&g, "shop-0", "shop", "n4");
	rig_rank_first(&g, "n2");
	rig_lists(rig_node(&g, "n1"), has, 1);
	rig_lists(rig_node(&g, "n2"), lacks, 1);
	rig_lists(rig_node(&g, "n3"), has, 1);
	rig_lose(&g, "n4");
	assert_string_equal(rig_rank(&g, "uid-shop-0", 0), "n3");
	assert_string_equal(rig_rank(&g, "uid-shop-0", 1), "n1");
	assert_null(rig_rank(&g, "uid-shop-0", 2));
	rig_fini(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shuffled_inputs_give_one_result),
		cmocka_unit_test(important_pods_are_placed_first),
		cmocka_unit_test(the_freest_node_wins_then_spread_then_hash),
		cmocka_unit_test(a_loaded_node_bids_less_but_still_fits),
		cmocka_unit_test(noise_of_load_does_not_beat_the_spread),
		cmocka_unit_test(different_pods_choose_different_equals),
		cmocka_unit_test(nobody_takes_more_than_fits),
		cmocka_unit_test(the_excluded_are_out),
		cmocka_unit_test(host_ports_are_taken_by_what_is_placed_and_claimed),
		cmocka_unit_test(offline_who_is_known_to_lack_an_image_does_not_rank),
		cmocka_unit_test(online_images_are_pulled_and_do_not_count),
		cmocka_unit_test(a_ready_pod_of_the_replicaset_proves_its_images),
		cmocka_unit_test(lost_pods_go_where_their_image_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
