/* fuzz_wire.c — any bytes as a message between healers; what is taken survives being sent again */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/wire.h"
#include "base/mem.h"

enum { CLAIMS_MAX = 256 };

static void look(void *arg, const char *half_uid)
{
	(void)arg;
	if (strlen(half_uid) != WIRE_UID_LEN)
		abort();
}

struct fates { struct wire_fate items[WIRE_FATES_MAX]; size_t n; };

static void keep_fate(void *arg, const char *half_uid, enum fate fate)
{
	struct fates *all = arg;

	if (all->n == WIRE_FATES_MAX || strlen(half_uid) != WIRE_UID_LEN || fate >= FATE_COUNT)
		abort();
	(void)str_copy(all->items[all->n].uid, UID_SIZE, half_uid);
	all->items[all->n++].fate = fate;
}

static void fates_again(const uint8_t *data, size_t size)
{
	cleanup(buf_fini) struct buf b = BUF_INIT;
	struct fates got = { .n = 0 }, again = { .n = 0 };

	if (wire_get_fates(data, size, keep_fate, &got) < 0)
		return;
	wire_put_fates(&b, got.items, got.n);
	if (b.len != size || memcmp(b.data, data, size) != 0 || wire_get_fates(b.data, b.len, keep_fate, &again) < 0 ||
	    again.n != got.n)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct got {
	struct claim claims[CLAIMS_MAX];
	size_t n;
};

static void keep(void *arg, const struct claim *c)
{
	struct got *g = arg;

	if (g->n == CLAIMS_MAX || strlen(c->pod_uid) != WIRE_UID_LEN || !c->node[0] || c->epoch == 0 || c->state > CLAIM_DONE)
		abort();
	g->claims[g->n++] = *c;
}

static void send_again(struct got *g)
{
	cleanup(buf_fini) struct buf b = BUF_INIT;
	cleanup(freep) struct got *again = mem_new(struct got);

	for (size_t i = 0; i < g->n; i++)	/* a message carries half of the uid: any other half will do */
		memcpy(g->claims[i].pod_uid + WIRE_UID_LEN, "-0000-000000000000", WIRE_UID_FULL - WIRE_UID_LEN + 1);
	if (wire_put_claims(&b, g->claims, g->n) != g->n)
		abort();
	if (wire_get_claims(b.data, b.len, keep, again) != 0 || again->n != g->n)
		abort();
	for (size_t i = 0; i < g->n; i++)
		if (claim_compare(&g->claims[i], &again->claims[i]) != 0 ||
		    strncmp(g->claims[i].pod_uid, again->claims[i].pod_uid, WIRE_UID_LEN) != 0 ||
		    g->claims[i].at.ns != again->claims[i].at.ns)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup(freep) struct got *g = mem_new(struct got);
	struct wire_witness w;
	char addr[PEER_ADDR_SIZE];
	enum goodbye reason;
	bool api, yes;
	uint64_t mirror;
	struct wire_fence fence;
	struct wire_running running;
	int64_t ms;

	/* What was sent fits into one message; a longer one need not go back into one. */
	if (wire_get_claims(data, size, keep, g) == 0 && g->n && g->n <= wire_claims_max(g->claims[0].node))
		send_again(g);
	if (wire_get_witness(data, size, &w) == 0) {
		cleanup(buf_fini) struct buf b = BUF_INIT;
		struct wire_witness again = {!w.sees, !w.api, !w.bare};

		wire_put_witness(&b, &w);
		if (wire_get_witness(b.data, b.len, &again) != 0 || again.sees != w.sees || again.api != w.api ||
		    again.bare != w.bare)
			abort();
	}
	if (wire_get_fence(data, size, &fence) == 0 && (!fence.pod_uid[0] || !fence.node[0] || !fence.asker[0]))
		abort();
	(void)wire_get_uids(data, size, &mirror, look, NULL);
	(void)wire_get_yes(data, size, &yes);
	fates_again(data, size);
	if (wire_get_ask_fate(data, size, fence.node, look, NULL) == 0 && !fence.node[0])
		abort();
	if (wire_get_ask_grant(data, size, fence.node, &ms) == 0 && (!fence.node[0] || ms <= 0))
		abort();
	if (wire_get_running(data, size, &running) == 0 && (!running.boot_id[0] || running.count > WIRE_RUNNING_MAX))
		abort();
	if (wire_get_here(data, size, fence.node, addr) == 0) {
		cleanup(buf_fini) struct buf b = BUF_INIT;

		if (!fence.node[0] || wire_put_here(&b, fence.node, addr) != 0 || b.len != size ||
		    memcmp(b.data, data, size) != 0)
			abort();
	}
	if (wire_get_goodbye(data, size, fence.node, &reason) == 0) {
		cleanup(buf_fini) struct buf b = BUF_INIT;

		wire_put_goodbye(&b, fence.node, reason);
		if (!fence.node[0] || reason >= GOODBYE_COUNT || b.len != size || memcmp(b.data, data, size) != 0)
			abort();
	}
	if (wire_get_link(data, size, fence.node, &api) == 0 && !fence.node[0])
		abort();
	if (wire_event_node(WIRE_CLAIM_EVENT, data, size, fence.node) && !fence.node[0])
		abort();
	if (wire_event_node(WIRE_HELLO_EVENT, data, size, fence.node))
		abort();
	return 0;
}
