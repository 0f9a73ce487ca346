/* loss.c — pods that should run and do not, and whose turn it is to bring each back
 *
 * A loss is ranked once, when it is declared, over all pods lost together; the ranking then stays frozen, because the
 * winners' own capacity tags change as soon as they act. Rank 0 acts at once, rank k after k × claim_timeout if nobody
 * claimed. A withdrawn claim (the copy did not start) ranks the pod again without those who gave up. When all kept ranks
 * stayed silent the pod is ranked again from fresh facts.
 *
 *   OPEN ──my turn──> ACTING ──(bound / copy appears / claim seen)──> gone or TAKEN
 *     └──fits nowhere or may not be restored──> REFUSED ──retry──> OPEN
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "heal_int.h"

const char *loss_state_name(enum loss_state s)
{
	static const char *const names[] = { "open", "acting", "taken", "refused" };

	return names[s];
}

const char *loss_cause_name(enum loss_cause c)
{
	return c == LOSS_UNBOUND ? "unbound" : "node";
}

bool heal_wants_namespace(const struct heal_conf *conf, const char *ns)
{
	bool wanted = false;

	for (size_t i = 0; i < conf->namespace_count; i++) {
		const char *glob = conf->namespaces[i];

		if (*glob == '!' && str_glob(glob + 1, ns))
			wanted = false;
		else if (*glob != '!' && str_glob(glob, ns))
			wanted = true;
	}
	return wanted;
}

/* ---- who may bid ---- */

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

/* A live claim takes room on its node before any tag shows it. */
static void reserve_claim(void *arg, const struct claim *c)
{
	struct reserve_ctx *ctx = arg;
	struct bidder *b = c->state == CLAIM_LIVE ? bidder_find(ctx->bidders, ctx->count, intern(c->node)) : NULL;
	const struct pod *p = b ? view_pod(ctx->view, c->pod_uid) : NULL;

	if (p && p->node != b->name)
		resources_sub(&b->free, &p->request);
}

static void reserve_losses(const struct heal *h, struct bidder *b, size_t n)
{
	map_for_each(struct loss, l, h->losses) {
		struct bidder *first = l->state <= LOSS_ACTING && l->rank_count && !claims_live(h->claims, l->uid)
					       ? bidder_find(b, n, l->ranks[0])
					       : NULL;

		if (first)
			resources_sub(&first->free, &l->request);
	}
}

static bool may_bid(const struct heal *h, const struct heal_facts *f, const struct peer *p)
{
	return p->status == PEER_ALIVE && in_my_site(h, p) && p->has_capacity && p->protocol >= 1 &&
	       view_node(f->view, p->name) != NULL;
}

/* What the node can take: the lower of what it says (tags) and what the mirror says, less what is claimed on it. */
static struct bidder *bidders_collect(const struct heal *h, const struct heal_facts *f, size_t *out_count)
{
	struct bidder *b = mem_new_n(struct bidder, f->peers->count);
	size_t n = 0;

	for (size_t i = 0; i < f->peers->count; i++) {
		const struct peer *p = &f->peers->items[i];

		if (!may_bid(h, f, p))
			continue;
		b[n] = (struct bidder){ .name = p->name, .node = view_node(f->view, p->name) };
		b[n].free = node_free_resources(b[n].node);
		n++;
	}
	claims_each(h->claims, reserve_claim, &(struct reserve_ctx){ b, n, f->view });
	for (size_t i = 0; i < n; i++) {
		const struct peer *p = peers_find(f->peers, b[i].name);

		b[i].free.cpu_milli = b[i].free.cpu_milli < p->free.cpu_milli ? b[i].free.cpu_milli : p->free.cpu_milli;
		b[i].free.mem_bytes = b[i].free.mem_bytes < p->free.mem_bytes ? b[i].free.mem_bytes : p->free.mem_bytes;
		b[i].free.pods = b[i].free.pods < p->free.pods ? b[i].free.pods : p->free.pods;
	}
	reserve_losses(h, b, n);
	*out_count = n;
	return b;
}

/* ---- opening losses ---- */

/* Lost pods found in one tick, ranked together. */
struct batch {
	struct rank_pod *pods;
	size_t count, cap;
};

static void batch_add(struct batch *b, const struct heal *h, const struct pod *p)
{
	struct rank_pod *rp;

	if (b->count == b->cap) {
		b->cap = b->cap ? 2 * b->cap : 32;
		b->pods = mem_resize(b->pods, b->cap, sizeof(b->pods[0]));
	}
	rp = &b->pods[b->count++];
	*rp = (struct rank_pod){ .uid = p->uid, .ns = p->ns, .name = p->name, .owner = p->owner, .priority = p->priority,
				 .request = p->request, .constraints = p->constraints };
	claims_withdrawn(h->claims, p->uid, claims_next_epoch(h->claims, p->uid), rp->exclude);
}

/* Why this pod is not ours to restore offline; NULL = it is. */
static const char *offline_refusal(const struct heal *h, const struct pod *p, const struct workload *w)
{
	enum heal_policy policy = w->policy == POLICY_DEFAULT ? h->conf.policy : w->policy;

	if (policy == POLICY_NEVER)
		return "policy never";
	if (policy == POLICY_AT_MOST_ONCE)
		return "policy at-most-once: the original may still run";
	if (p->has_claims)
		return "it uses a PersistentVolumeClaim, ephemeral volume or resource claim";
	return w->refusal;
}

static void loss_tell(struct loss *l, struct plan *plan, const char *reason)
{
	struct action *a;

	l->state = LOSS_REFUSED;
	if (l->told && str_eq(l->note, reason))
		return;
	l->told = true;
	(void)str_copy(l->note, sizeof(l->note), reason);
	a = plan_add(plan, ACTION_REFUSE);
	(void)str_copy(a->pod_uid, sizeof(a->pod_uid), l->uid);
	a->node = l->lost_node;
	a->declared = l->declared;
	(void)str_copy(a->reason, sizeof(a->reason), reason);
}

/* Our place in the frozen ranking, or -1. */
static int my_rank(const struct heal *h, const struct loss *l)
{
	for (size_t k = 0; k < l->rank_count; k++)
		if (l->ranks[k] == h->conf.self)
			return (int)k;
	return -1;
}

/* When this node's turn comes; past the kept ranks, when the pod is to be ranked again. */
static struct mono loss_turn(const struct heal *h, const struct loss *l)
{
	int k = my_rank(h, l);

	return mono_add_ms(l->declared, (k >= 0 ? k : (int64_t)l->rank_count + 1) * h->conf.claim_timeout_ms);
}

static struct loss *loss_open(struct heal *h, const char *uid, enum loss_cause cause, const char *lost_node)
{
	struct loss *l = map_get(h->losses, uid);

	if (!l) {
		l = mem_new(struct loss);
		(void)str_copy(l->uid, sizeof(l->uid), uid);
		(void)map_put(h->losses, l->uid, l);
	}
	l->cause = cause;
	l->lost_node = lost_node;
	return l;
}

static void loss_rank(struct heal *h, struct loss *l, const struct rank_pod *rp, const struct tick *t, struct plan *plan)
{
	l->declared = t->now;
	l->epoch = claims_next_epoch(h->claims, l->uid);
	l->request = rp->request;
	l->rank_count = rp->rank_count;
	memcpy(l->ranks, rp->ranks, sizeof(l->ranks));
	if (!rp->rank_count) {
		loss_tell(l, plan, rp->misfit == FIT_OK ? "no node of the site may bid" : fit_reason(rp->misfit));
		l->due = mono_add_ms(t->now, HEAL_REFUSED_RETRY_MS);
		return;
	}
	l->state = LOSS_OPEN;
	l->due = loss_turn(h, l);
}

static void batch_open(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan, struct batch *b,
		       enum loss_cause cause)
{
	cleanup(freep) struct bidder *bidders = NULL;
	size_t n;

	if (!b->count)
		return;
	bidders = bidders_collect(h, f, &n);
	rank_place(b->pods, b->count, bidders, n, cause == LOSS_NODE);
	for (size_t i = 0; i < b->count; i++) {
		const struct pod *p = view_pod(f->view, b->pods[i].uid);
		const struct claim *held = claims_live(h->claims, p->uid);
		const char *lost_node = cause == LOSS_UNBOUND ? NULL : held ? intern(held->node) : p->node;

		loss_rank(h, loss_open(h, p->uid, cause, lost_node), &b->pods[i], t, plan);
	}
}

/* Pending pods of a ReplicaSet that nobody scheduled; others are not ours. */
static bool unbound_is_ours(const struct heal *h, const struct heal_facts *f, const struct pod *p)
{
	const struct workload *w = p->owner ? view_workload(f->view, p->owner) : NULL;

	return w && p->default_scheduler && !p->gated && !p->has_claims && !p->is_mirror && p->constraints &&
	       heal_wants_namespace(&h->conf, p->ns) &&
	       (w->policy == POLICY_DEFAULT ? h->conf.policy : w->policy) != POLICY_NEVER;
}

/* A loss that is open already is looked after by losses_act(). */
static bool unbound_is_due(const struct heal *h, const struct heal_facts *f, const struct pod *p, struct mono now,
			   struct plan *plan)
{
	struct mono due = mono_add_ms(p->unbound_since, h->conf.bind_grace_ms);

	if (map_get(h->losses, p->uid) || !unbound_is_ours(h, f, p))
		return false;
	if (mono_reached(now, due))
		return true;
	plan_wake_at(plan, due);
	return false;
}

static void unbound_open(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan)
{
	struct batch b = { 0 };

	list_for_each(p, &f->view->unbound, struct pod, unbound)
		if (unbound_is_due(h, f, p, t->now, plan))
			batch_add(&b, h, p);
	batch_open(h, t, f, plan, &b, LOSS_UNBOUND);
	free(b.pods);
}

/* Does somebody alive hold the pod already? */
static bool held_by_living(const struct heal *h, const char *uid, const char *dead)
{
	const struct claim *c = claims_live(h->claims, uid);

	return c && !str_eq(c->node, dead) && !suspect_is_lost(h, c->node);
}

static bool lost_pod_counts(const struct heal *h, const struct heal_facts *f, const struct pod *p)
{
	const struct workload *w = p->owner ? view_workload(f->view, p->owner) : NULL;

	return w && !w->deleting && w->replicas > 0 && pod_is_active(p) && !p->deleting && !p->is_mirror && p->constraints &&
	       heal_wants_namespace(&h->conf, p->ns);
}

struct held_ctx {
	struct heal *h;
	const struct heal_facts *f;
	const struct suspect *s;
	struct batch *b;
};

static void collect_held(void *arg, const struct claim *c)
{
	struct held_ctx *ctx = arg;
	const struct pod *p = view_pod(ctx->f->view, c->pod_uid);

	if (c->state == CLAIM_LIVE && str_eq(c->node, ctx->s->node) && p && p->node != ctx->s->node &&
	    lost_pod_counts(ctx->h, ctx->f, p))
		batch_add(ctx->b, ctx->h, p);
}

static void refuse_lost(struct heal *h, const struct tick *t, struct plan *plan, const struct pod *p, const char *reason)
{
	struct loss *l = loss_open(h, p->uid, LOSS_NODE, p->node);

	l->declared = t->now;
	l->rank_count = 0;
	l->due = MONO_NEVER;
	loss_tell(l, plan, reason);
}

/* Turn the pods of a lost node into losses, once. */
static void suspect_scan(struct heal *h, struct suspect *s, const struct tick *t, const struct heal_facts *f,
			 struct plan *plan)
{
	const struct node *n = view_node(f->view, s->node);
	struct batch b = { 0 };

	s->scanned = true;
	if (n) {
		list_for_each(p, &n->pods, struct pod, by_node) {
			const struct workload *w = p->owner ? view_workload(f->view, p->owner) : NULL;
			const char *why = w ? offline_refusal(h, p, w) : NULL;

			if (!lost_pod_counts(h, f, p) || held_by_living(h, p->uid, s->node))
				continue;
			if (why)
				refuse_lost(h, t, plan, p, why);
			else
				batch_add(&b, h, p);
		}
	}
	claims_each(h->claims, collect_held, &(struct held_ctx){ h, f, s, &b });
	batch_open(h, t, f, plan, &b, LOSS_NODE);
	free(b.pods);
}

/* ---- may we act at all ---- */

/* Somebody in the site still reaches the API server: then the cluster replaces lost pods itself. */
static bool peer_is_online(const struct heal *h, const struct heal_facts *f)
{
	for (size_t i = 0; i < f->peers->count; i++) {
		const struct peer *p = &f->peers->items[i];

		if (p->status == PEER_ALIVE && in_my_site(h, p) && p->name != h->conf.self && p->api)
			return true;
	}
	return false;
}

static bool breaker_trips(const struct heal *h, const struct heal_facts *f)
{
	size_t known = 0, lost = 0;

	for (size_t i = 0; i < f->peers->count; i++) {
		const struct peer *p = &f->peers->items[i];

		known += in_my_site(h, p) && p->status != PEER_LEFT && p->status != PEER_LEAVING;
		lost += suspect_is_lost(h, p->name);
	}
	return lost * 100 > known * (size_t)h->conf.max_lost_percent;
}

static bool may_restore_offline(struct heal *h, const struct heal_facts *f)
{
	h->breaker_open = breaker_trips(h, f);
	return f->link == LINK_OFFLINE && !h->breaker_open && heal_has_majority(h, f->peers) && !peer_is_online(h, f);
}

/* Token bucket: one minute's budget at most at once. */
static bool budget_take(struct heal *h, struct mono now, struct plan *plan)
{
	double rate = h->conf.restores_per_minute / 60000.0;

	if (mono_is_set(h->tokens_at))
		h->tokens += rate * (double)mono_since_ms(now, h->tokens_at);
	if (!mono_is_set(h->tokens_at) || h->tokens > h->conf.restores_per_minute)
		h->tokens = h->conf.restores_per_minute;
	h->tokens_at = now;
	if (h->tokens < 1) {
		plan_wake_at(plan, mono_add_ms(now, (int64_t)((1 - h->tokens) / rate) + 1));
		return false;
	}
	h->tokens -= 1;
	return true;
}

/* ---- acting ---- */

static void loss_act(struct heal *h, struct loss *l, const struct tick *t, struct plan *plan)
{
	struct action *a;

	if (fit_resources(&l->request, &h->local_left) != FIT_OK) {
		(void)str_copy(l->note, sizeof(l->note), "our own books say it does not fit here");
		l->due = mono_add_ms(t->now, HEAL_REFUSED_RETRY_MS);
		l->state = LOSS_TAKEN;
		return;
	}
	if (!budget_take(h, t->now, plan)) {
		(void)str_copy(l->note, sizeof(l->note), "waiting: budget.restores_per_minute");
		return;
	}
	resources_sub(&h->local_left, &l->request);
	l->state = LOSS_ACTING;
	l->due = mono_add_ms(t->now, HEAL_BIND_RETRY_MS);
	l->note[0] = '\0';
	a = plan_add(plan, l->cause == LOSS_UNBOUND ? ACTION_BIND : ACTION_RESTORE);
	(void)str_copy(a->pod_uid, sizeof(a->pod_uid), l->uid);
	a->node = l->cause == LOSS_UNBOUND ? h->conf.self : l->lost_node;
	a->epoch = l->epoch;
	a->rank = (uint32_t)my_rank(h, l);
	a->declared = l->declared;
	plan_wake_at(plan, l->due);
}

static void loss_drop(struct heal *h, struct loss *l)
{
	(void)map_remove(h->losses, l->uid);
	free(l);
}

/* Rank a single silent or withdrawn loss again from today's facts. */
static void loss_rank_again(struct heal *h, struct loss *l, const struct tick *t, const struct heal_facts *f,
			    struct plan *plan)
{
	struct batch b = { 0 };

	l->rank_count = 0;		/* its old reservation goes */
	batch_add(&b, h, view_pod(f->view, l->uid));
	batch_open(h, t, f, plan, &b, l->cause);
	free(b.pods);
}

static bool node_loss_is_over(const struct heal *h, const struct heal_facts *f, const struct loss *l)
{
	return !suspect_is_lost(h, l->lost_node) || f->link == LINK_ONLINE || map_get(f->copies, l->uid);
}

static void node_loss_tick(struct heal *h, struct loss *l, const struct tick *t, const struct heal_facts *f,
			   struct plan *plan)
{
	if (node_loss_is_over(h, f, l)) {
		loss_drop(h, l);
		return;
	}
	if (held_by_living(h, l->uid, l->lost_node)) {
		l->state = LOSS_TAKEN;
		l->due = (struct mono){ 0 };
		return;
	}
	if (l->state == LOSS_TAKEN && !mono_is_set(l->due)) {	/* its holder gave up or died */
		loss_rank_again(h, l, t, f, plan);
		return;
	}
	if (!mono_reached(t->now, l->due)) {
		plan_wake_at(plan, l->due);
		return;
	}
	if (l->state == LOSS_OPEN && my_rank(h, l) >= 0)
		loss_act(h, l, t, plan);
	else
		loss_rank_again(h, l, t, f, plan);
}

static void unbound_loss_tick(struct heal *h, struct loss *l, const struct tick *t, const struct heal_facts *f,
			      struct plan *plan)
{
	const struct pod *p = view_pod(f->view, l->uid);

	if (p->node || p->deleting || p->phase != POD_PENDING || f->link != LINK_ONLINE) {
		loss_drop(h, l);
		return;
	}
	if (!mono_reached(t->now, l->due)) {
		plan_wake_at(plan, l->due);
		return;
	}
	if (l->state == LOSS_OPEN && my_rank(h, l) >= 0)
		loss_act(h, l, t, plan);
	else
		loss_rank_again(h, l, t, f, plan);
}

static void losses_act(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan, bool offline)
{
	map_for_each(struct loss, l, h->losses) {
		if (!view_pod(f->view, l->uid))
			loss_drop(h, l);
		else if (l->cause == LOSS_UNBOUND)
			unbound_loss_tick(h, l, t, f, plan);
		else if (offline || node_loss_is_over(h, f, l))
			node_loss_tick(h, l, t, f, plan);
	}
}

void losses_tick(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan)
{
	bool offline = may_restore_offline(h, f);

	map_for_each(struct suspect, s, h->suspects) {
		if (s->state != SUSPECT_LOST || f->link == LINK_ONLINE)
			s->scanned = false;
		else if (offline && !s->scanned)
			suspect_scan(h, s, t, f, plan);
	}
	if (f->link == LINK_ONLINE && mono_is_set(f->synced_at))
		unbound_open(h, t, f, plan);
	losses_act(h, t, f, plan, offline);
}

void losses_free(struct heal *h)
{
	map_for_each(struct loss, l, h->losses)
		free(l);
	map_free(h->losses);
}

/* ---- answers ---- */

void heal_on_bind(struct heal *h, const char *pod_uid, bool bound, struct mono now)
{
	struct loss *l = map_get(h->losses, pod_uid);

	if (l && l->cause == LOSS_UNBOUND)	/* the watch will show it bound; until then leave it alone */
		l->due = mono_add_ms(now, bound ? HEAL_BIND_RETRY_MS : HEAL_REFUTED_RETRY_MS);
}

void heal_on_restore_failed(struct heal *h, const char *pod_uid, struct mono now)
{
	struct loss *l = map_get(h->losses, pod_uid);

	if (l && l->cause == LOSS_NODE) {
		l->state = LOSS_TAKEN;		/* somebody else's turn: ranked again without us */
		l->due = mono_add_ms(now, h->conf.claim_timeout_ms);
	}
}

void heal_on_observed(struct heal *h, const char *pod_uid)
{
	struct loss *l = map_get(h->losses, pod_uid);

	if (!l)
		return;
	l->state = LOSS_TAKEN;
	l->due = MONO_NEVER;
	(void)str_copy(l->note, sizeof(l->note), "mode observe: reported, not done");
}

void heal_each_loss(const struct heal *h, void (*fn)(void *arg, const struct loss_view *l), void *arg)
{
	map_for_each(struct loss, l, h->losses) {
		struct loss_view v = { .pod_uid = l->uid, .lost_node = l->lost_node, .cause = l->cause, .state = l->state,
				       .declared = l->declared, .ranks = l->ranks, .rank_count = l->rank_count, .note = l->note };

		fn(arg, &v);
	}
}

size_t heal_open_losses(const struct heal *h)
{
	return map_count(h->losses);
}
