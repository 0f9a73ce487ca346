/* rank.c — one deterministic placement
 *
 * Scores of one pod are kept only for the best RANK_DEPTH candidates (insertion into a short sorted array), so that placing one
 * pod among 1,000 nodes is one pass without allocation.
 */
#include "heal/rank.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"

struct score {
	struct bidder *b;
	int64_t cpu_left;
	int siblings;
	uint64_t hash;
};

static int pod_order(const void *x, const void *y)
{
	const struct rank_pod *a = x, *b = y;
	int d;

	if (a->priority != b->priority)
		return a->priority > b->priority ? -1 : 1;
	d = strcmp(a->ns, b->ns);
	d = d ? d : strcmp(a->name, b->name);
	return d ? d : strcmp(a->uid, b->uid);
}

static bool score_before(const struct score *a, const struct score *b)
{
	if (a->cpu_left != b->cpu_left)
		return a->cpu_left > b->cpu_left;
	if (a->siblings != b->siblings)
		return a->siblings < b->siblings;
	if (a->hash != b->hash)
		return a->hash < b->hash;
	return strcmp(a->b->name, b->b->name) < 0;
}

bool rank_excludes(const struct rank_pod *p, const char *name)
{
	for (size_t i = 0; i < RANK_EXCLUDE; i++)
		if (p->exclude[i] == name)
			return true;
	return false;
}

/* Pods of the same ReplicaSet that the mirror shows on the node, plus those placed there in this round. */
static int siblings_on(const struct rank_pod *pods, size_t placed, const struct rank_pod *p, const struct bidder *b)
{
	int n = 0;

	list_for_each(other, &b->node->pods, struct pod, by_node)
		n += other->owner == p->owner && pod_is_active(other);
	for (size_t i = 0; i < b->claimed_count; i++)
		n += b->claimed[i] == p->owner;
	for (size_t i = 0; i < placed; i++)
		n += pods[i].owner == p->owner && pods[i].rank_count && pods[i].ranks[0] == b->name;
	return n;
}

/* Host ports against what runs on the node, what is claimed there and what was placed there in this round. */
static enum fit judge_ports(const struct rank_pod *pods, size_t placed, const struct rank_pod *p, const struct bidder *b)
{
	if (!p->constraints->port_count)
		return FIT_OK;
	for (size_t i = 0; i < b->held_count; i++)
		if (fit_ports_clash(p->constraints, b->held[i]))
			return FIT_PORT;
	for (size_t i = 0; i < placed; i++)
		if (pods[i].rank_count && pods[i].ranks[0] == b->name && fit_ports_clash(p->constraints, pods[i].constraints))
			return FIT_PORT;
	return fit_ports(p->constraints, b->node);
}

static enum fit judge(const struct rank_pod *pods, size_t at, const struct bidder *b, bool offline)
{
	const struct rank_pod *p = &pods[at];
	enum fit f = fit_constraints(p->constraints, b->node, offline);

	if (f == FIT_OK && offline)
		f = fit_images(p->workload, b->node);
	if (f == FIT_OK)
		f = judge_ports(pods, at, p, b);
	return f == FIT_OK ? fit_resources(&p->request, &b->free) : f;
}

static void insert_best(struct score *best, size_t *count, struct score s)
{
	size_t i = *count;

	if (i == RANK_DEPTH && !score_before(&s, &best[RANK_DEPTH - 1]))
		return;
	if (i < RANK_DEPTH)
		(*count)++;
	else
		i = RANK_DEPTH - 1;
	for (; i > 0 && score_before(&s, &best[i - 1]); i--)
		best[i] = best[i - 1];
	best[i] = s;
}

/* Rounded down, also below zero. */
static int64_t cpu_steps(int64_t milli)
{
	return milli >= 0 ? milli / RANK_CPU_STEP : -((-milli + RANK_CPU_STEP - 1) / RANK_CPU_STEP);
}

/* Everything but the siblings, which matter only between equal CPU and are counted for those that may still rank. */
static struct score score_of(const struct rank_pod *p, struct bidder *b)
{
	uint64_t h = str_hash(STR_HASH_INIT, p->uid, strlen(p->uid));

	return (struct score){ .b = b, .cpu_left = cpu_steps(b->bid_cpu - p->request.cpu_milli),
			       .hash = str_hash(h, b->name, strlen(b->name)) };
}

static void place_one(struct rank_pod *pods, size_t at, struct bidder *bidders, size_t n, bool offline)
{
	struct rank_pod *p = &pods[at];
	struct score best[RANK_DEPTH];
	size_t count = 0;

	p->misfit = FIT_OK;
	for (size_t i = 0; i < n; i++) {
		struct score s;
		enum fit f;

		if (rank_excludes(p, bidders[i].name))
			continue;
		f = judge(pods, at, &bidders[i], offline);
		if (f > p->misfit)
			p->misfit = f;
		if (f != FIT_OK)
			continue;
		s = score_of(p, &bidders[i]);
		if (count < RANK_DEPTH || s.cpu_left >= best[RANK_DEPTH - 1].cpu_left)
			s.siblings = siblings_on(pods, at, p, &bidders[i]);
		insert_best(best, &count, s);
	}
	p->rank_count = count;
	for (size_t i = 0; i < count; i++)
		p->ranks[i] = best[i].b->name;
	if (count) {
		resources_sub(&best[0].b->free, &p->request);
		best[0].b->bid_cpu -= p->request.cpu_milli;
	}
}

void rank_place(struct rank_pod *pods, size_t pod_count, struct bidder *bidders, size_t bidder_count, bool offline)
{
	if (pod_count > 1)
		qsort(pods, pod_count, sizeof(pods[0]), pod_order);
	for (size_t i = 0; i < pod_count; i++)
		place_one(pods, i, bidders, bidder_count, offline);
}

int rank_of(const struct rank_pod *p, const char *node)
{
	for (size_t i = 0; i < p->rank_count; i++)
		if (str_eq(p->ranks[i], node))
			return (int)i;
	return -1;
}
