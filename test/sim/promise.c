/* promise.c — what is lost while the API server is away runs again: the invariant that says so
 *
 * Looked at when nothing has changed for PROMISE_S: then each pod of an at-least-once workload runs on its own node or as a copy, if its
 * site is offline as a whole, in one piece with a majority, knows the pod, and has room for it. A cut that takes the API server away from
 * some healers of a site only, a disturbed kubelet or disk, and a breaker that is rightly open promise nothing. A member that always says "I
 * see it" delays that by its doubts, and no longer; among four, of whom one is cut off or dead too, it is half of the voices.
 */
#include "sim.h"

enum { PROMISE_S = 60, LIES_S = HEAL_DOUBTS_ALONE * 60 + 20 };

static int64_t promise_s(const struct world *w)
{
	return PROMISE_S + (w->args.liar ? LIES_S : 0);
}

static bool is_disturbed(const struct world *w)
{
	for (int i = 0; i < w->nodes; i++) {
		const struct snode *n = &w->n[i];

		if (n->disk_full || n->refuses || n->slow_ms || n->suspended || n->no_gateway || mono_is_set(n->a.tilted_until))
			return true;
	}
	return false;
}

/* All healers of the site know for so long that the API server is away. */
static bool is_offline(const struct world *w, const char *site)
{
	for (int i = 0; i < w->nodes; i++) {
		const struct sagent *a = &w->n[i].a;

		if (w->n[i].site != site || !w->n[i].up)
			continue;
		if (!a->up || a->link.state != LINK_OFFLINE || mono_since_ms(node_mono(w, i), a->link.since) < promise_s(w) * MS_PER_S)
			return false;
	}
	return true;
}

static bool is_promised(const struct world *w, const struct spod *x)
{
	const struct srs *rs = &w->api.rs[x->rs];
	bool wanted = !rs->gone && rs->replicas && rs->newer < 0 && str_eq(rs->ns, "default");

	if (x->unseen || x->gone || x->deleting || x->mirror || x->node < 0 || x->phase >= POD_SUCCEEDED)
		return false;
	return wanted && rs->policy != POLICY_NEVER && rs->policy != POLICY_AT_MOST_ONCE && is_offline(w, w->n[x->node].site);
}

static bool runs_at(struct world *w, int i, const char *uid)
{
	return run_find(w, i, uid, false) || run_find(w, i, uid, true);
}

static bool runs_anywhere(struct world *w, const char *uid)
{
	for (int i = 0; i < w->nodes; i++)
		if (runs_at(w, i, uid))
			return true;
	return false;
}

static bool is_whole(struct world *w, int r)
{
	int have = 0;

	for (int p = 0; p < w->api.pod_count; p++)
		have += w->api.pods[p].rs == r && runs_anywhere(w, w->api.pods[p].uid);
	return have >= w->api.rs[r].replicas;
}

static bool knows(const struct world *w, int i, const struct spod *x)
{
	const struct sagent *a = &w->n[i].a;
	const struct pod *p = view_pod(a->view, x->uid);
	const struct workload *rs = view_workload(a->view, w->api.rs[x->rs].uid);

	return p && !p->deleting && str_eq(p->node, w->n[x->node].name) && rs && rs->replicas == w->api.rs[x->rs].replicas;
}

/* Its own node is up and brings it back, or the others do. */
static bool has_room(const struct world *w, int i, const struct spod *x)
{
	const struct resources *request = &w->api.rs[x->rs].request;
	struct resources left = local_free(w, i);

	if (i == x->node)
		resources_add(&left, request);
	if (agent_is_blank(w, i))
		return false;
	return (w->n[x->node].up && !agent_is_blank(w, x->node)) == (i == x->node) && resources_fit(request, &left);
}

/* The site is in one piece, with a majority, and somebody can take it. */
static bool is_possible(const struct world *w, const struct spod *x)
{
	int known = 0, alive = 0, room = 0, piece = -1;

	for (int i = 0; i < w->nodes; i++) {
		if (w->n[i].site != w->n[x->node].site)
			continue;
		known++;
		if (!w->n[i].up)
			continue;
		if (w->n[i].gossip < 0 || (piece >= 0 && w->n[i].gossip != piece) ||
		    (!agent_is_blank(w, i) && !knows(w, i, x)))
			return false;
		piece = w->n[i].gossip;
		alive++;
		room += has_room(w, i, x);
	}
	return room && (2 * alive > known || known == 2) && (known - alive) * 100 <= known * w->conf.max_lost_percent;
}

void check_promise(struct world *w)
{
	if (w->all_observe || w->conf.minority_active || w->now - w->changed_at < SEC(promise_s(w)) || is_disturbed(w))
		return;
	for (int p = 0; p < w->api.pod_count; p++) {
		const struct spod *x = &w->api.pods[p];

		if (is_promised(w, x) && !runs_anywhere(w, x->uid) && is_possible(w, x) && !is_whole(w, x->rs))
			broken(w, 14, "%s of %s does not run anywhere", x->name, w->n[x->node].name);
	}
}
