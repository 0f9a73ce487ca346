/* bidders.c — who may take a lost pod, and how much each can still take
 *
 * A node counts with the lower of what it says (tags mem, pods) and what the mirror says, less what live claims and open losses
 * will take of it. CPU fits by the mirror and the claims alone; the tag, which load lowers, is the bid. A claim whose copy the
 * mirror shows already (its mirror pod) is not counted twice.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "heal_int.h"

struct reserve_ctx {
	struct bidder *bidders;
	size_t count;
	const struct view *view;
};

static struct bidder *bidder_find(struct bidder *b, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (b[i].name == name)
			return &b[i];
	return NULL;
}

/* What it has claimed, or will: the spread and the host ports must come out the same whether its claim has been heard or not. */
static void bidder_take(struct bidder *b, const struct pod *p)
{
	b->claimed = mem_resize(b->claimed, b->claimed_count + 1, sizeof(b->claimed[0]));
	b->claimed[b->claimed_count++] = p->owner;
	if (!p->constraints || !p->constraints->port_count)
		return;
	b->held = mem_resize(b->held, b->held_count + 1, sizeof(b->held[0]));
	b->held[b->held_count++] = p->constraints;
}

/* A live claim takes room on its node before any tag shows it. */
static void reserve_claim(void *arg, const struct claim *c)
{
	struct reserve_ctx *ctx = arg;
	struct bidder *b = c->state == CLAIM_LIVE ? bidder_find(ctx->bidders, ctx->count, intern(c->node)) : NULL;
	const struct pod *p = b ? view_pod(ctx->view, c->pod_uid) : NULL;

	if (!p || p->node == b->name)
		return;
	resources_sub(&b->free, &p->request);
	bidder_take(b, p);
}

/* What the mirror shows of a claimed copy is counted by its claim, or on its own node by its original, if that is not finished. */
static void unreserve_copies(const struct heal *h, const struct view *view, struct bidder *b)
{
	list_for_each(p, &b->node->pods, struct pod, by_node) {
		const struct claim *c = p->is_mirror && p->original_uid ? claims_live(h->claims, p->original_uid) : NULL;
		const struct pod *original = c ? view_pod(view, p->original_uid) : NULL;

		if (original && pod_is_active(p) && str_eq(c->node, b->name) &&
		    (original->node != b->name || pod_is_active(original)))
			resources_add(&b->free, &p->request);
	}
}

static void reserve_losses(const struct heal *h, const struct heal_facts *f, struct bidder *b, size_t n)
{
	map_for_each(struct loss, l, h->losses) {
		bool open = l->state <= LOSS_ACTING && l->rank_count && !claims_live(h->claims, l->uid);
		struct bidder *first = open ? bidder_find(b, n, l->ranks[0]) : NULL;
		const struct pod *p = first ? view_pod(f->view, l->uid) : NULL;

		if (!p)
			continue;
		resources_sub(&first->free, &l->request);
		first->bid_cpu -= l->request.cpu_milli;
		bidder_take(first, p);
	}
}

static bool may_bid(const struct heal *h, const struct heal_facts *f, const struct peer *p)
{
	return p->status == PEER_ALIVE && in_my_site(h, p) && p->has_capacity && !p->blank && p->protocol >= 1 &&
	       view_node(f->view, p->name) != NULL;
}

static int64_t lower(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Its CPU tag is lowered by load, which passes: it lowers the bid, not what fits. */
static void cap_by_tags(struct bidder *b, const struct peer *p)
{
	b->bid_cpu = lower(b->free.cpu_milli, p->free.cpu_milli);
	b->free.mem_bytes = lower(b->free.mem_bytes, p->free.mem_bytes);
	b->free.pods = lower(b->free.pods, p->free.pods);
}

struct bidder *bidders_collect(const struct heal *h, const struct heal_facts *f, size_t *out_count)
{
	struct bidder *b = mem_new_n(struct bidder, f->peers->count + 1);
	size_t n = 0;

	for (size_t i = 0; i < f->peers->count; i++) {
		const struct peer *p = &f->peers->items[i];

		if (!may_bid(h, f, p))
			continue;
		b[n] = (struct bidder){ .name = p->name, .node = view_node(f->view, p->name) };
		b[n].free = node_free_resources(b[n].node);
		unreserve_copies(h, f->view, &b[n]);
		n++;
	}
	claims_each(h->claims, reserve_claim, &(struct reserve_ctx){ b, n, f->view });
	for (size_t i = 0; i < n; i++)
		cap_by_tags(&b[i], peers_find(f->peers, b[i].name));
	reserve_losses(h, f, b, n);
	*out_count = n;
	return b;
}

void bidders_free(struct bidder *b, size_t n)
{
	for (size_t i = 0; b && i < n; i++) {
		free(b[i].held);
		free(b[i].claimed);
	}
	free(b);
}
