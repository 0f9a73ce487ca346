/* bench_rank.c — how long ranking one pod among 1,000 nodes takes; prints {"rank_1000_nodes_us": …} */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "heal/rank.h"

enum { NODES = 1000, PODS_EACH = 30, ROUNDS = 200 };

static struct pod *make_pod(int node, int i)
{
	struct pod *p = pod_new();
	cleanup(freep) char *owner = str_format("owner-%d", i % 20), *name = str_format("node%d", node);

	p->node = intern(name);
	p->owner = intern(owner);
	p->phase = POD_RUNNING;
	return p;
}

static void make_nodes(struct node *nodes, struct bidder *bidders)
{
	for (int i = 0; i < NODES; i++) {
		cleanup(freep) char *name = str_format("node%d", i);

		list_init(&nodes[i].pods);
		nodes[i].name = intern(name);
		for (int k = 0; k < PODS_EACH; k++)
			list_add_tail(&nodes[i].pods, &make_pod(i, k)->by_node);
		bidders[i] = (struct bidder){ .name = nodes[i].name, .node = &nodes[i],
					      .free = { 2000, INT64_C(4) << 30, 80 },
					      .bid_cpu = 2000 - i % 5 * 100 };
	}
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

int main(void)
{
	static struct node nodes[NODES];
	static struct bidder bidders[NODES];
	struct constraints none = { 0 };
	int64_t ns[ROUNDS];

	make_nodes(nodes, bidders);
	for (int i = 0; i < ROUNDS; i++) {
		cleanup(freep) char *uid = str_format("uid-%d", i);
		struct rank_pod p = { .uid = uid, .ns = "default", .name = "web", .owner = intern("owner-1"),
				      .request = { 100, 1 << 20, 1 }, .constraints = &none };
		struct mono began = mono_read();

		rank_place(&p, 1, bidders, NODES, false);
		ns[i] = mono_read().ns - began.ns;
		if (p.rank_count != RANK_DEPTH)
			return 1;
	}
	qsort(ns, ROUNDS, sizeof(ns[0]), by_value);
	printf("{\"rank_1000_nodes_us\": %.1f}\n", (double)ns[ROUNDS / 2] / 1e3);
	return 0;
}
