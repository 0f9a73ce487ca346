/* loss.c — pods that should run and do not, and whose turn it is to bring each back
 *
 * A loss is ranked once, when it is declared, over all pods lost together; the ranking then stays frozen, because the
 * winners' own capacity tags change as soon as they act. Rank 0 acts at once, rank k after k × claim_timeout if nobody
 * claimed. A withdrawn claim (the copy did not start) ranks the pod again without those who gave up. When all kept ranks
 * stayed silent the pod is ranked again from fresh facts, without them. While we may not act there are no losses: turns that
 * came meanwhile would all be taken at once.
 *
 *   OPEN ──my turn──> ACTING ──(bound / copy appears / claim seen)──> gone or TAKEN
 *     └──fits nowhere or may not be restored──> REFUSED ──retry──> OPEN
 */
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
	static const char *const names[] = { "unbound", "node", "local", "cold-boot" };

	return names[c];
}

/* ---- one loss ---- */

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

static void loss_drop(struct heal *h, struct loss *l)
{
	(void)map_remove(h->losses, l->uid);
	free(l);
}

/* When this node's turn comes; past the kept ranks, when the pod is to be ranked again. Who steps in for a silent one claims before
 * it acts: see claim_wait_ms(). */
static struct mono loss_turn(const struct heal *h, const struct loss *l)
{
	int k = my_rank(h, l);
	int64_t after_ms = (k >= 0 ? k : (int64_t)l->rank_count + 1) * h->conf.claim_timeout_ms;

	return mono_add_ms(l->declared, after_ms - (k > 0 && l->may_cross ? claim_lead_ms(h) : 0));
}

static uint32_t loss_epoch(const struct heal *h, const char *uid)
{
	const struct loss *l = map_get(h->losses, uid);
	uint32_t next = claims_next_epoch(h->claims, uid);

	return l && l->min_epoch > next ? l->min_epoch : next;
}

/* Soon at first: a healer that was killed between its claim and the manifest has given up as well. */
static int64_t gave_up_retry_ms(const struct loss *l)
{
	int64_t ms = HEAL_GAVE_UP_FIRST_MS;

	for (unsigned i = 0; i < l->rounds && ms < HEAL_GAVE_UP_RETRY_MS; i++)
		ms *= 2;
	return ms < HEAL_GAVE_UP_RETRY_MS ? ms : HEAL_GAVE_UP_RETRY_MS;
}

static bool anybody_gave_up(const struct heal *h, const struct loss *l)
{
	const char *gone[RANK_GONE];

	claims_withdrawn(h->claims, l->uid, l->epoch, gone);
	return gone[0] != NULL;
}

/* Nobody can take it now. If that is because all who could gave up, they are asked again much later, in a new epoch. */
static void loss_no_bidder(struct heal *h, struct loss *l, const struct rank_pod *rp, const struct tick *t, struct plan *plan)
{
	l->due = mono_add_ms(t->now, HEAL_REFUSED_RETRY_MS);
	if (!anybody_gave_up(h, l)) {
		l->gave_up = (struct mono){ 0 };
		loss_tell(l, plan, rp->misfit == FIT_OK ? "no node of the site may bid" : fit_reason(rp->misfit));
		return;
	}
	if (!mono_is_set(l->gave_up)) {
		l->gave_up = t->now;
	} else if (mono_since_ms(t->now, l->gave_up) >= gave_up_retry_ms(l)) {
		l->min_epoch = l->epoch == UINT32_MAX ? l->epoch : l->epoch + 1;
		l->rounds++;
	}
	loss_tell(l, plan, "every node that could take it gave up");
}

/* `from`: when the ranks begin to count. */
static void loss_rank(struct heal *h, struct loss *l, const struct rank_pod *rp, const struct tick *t, struct mono from,
		      struct plan *plan)
{
	l->declared = from;
	l->epoch = loss_epoch(h, l->uid);
	l->request = rp->request;
	l->rank_count = rp->rank_count;
	memcpy(l->ranks, rp->ranks, sizeof(l->ranks));
	if (!rp->rank_count) {
		loss_no_bidder(h, l, rp, t, plan);
		return;
	}
	if (!anybody_gave_up(h, l))	/* one that stays silent does not make the others' giving up undone */
		l->gave_up = (struct mono){ 0 };
	l->state = LOSS_OPEN;
	l->due = loss_turn(h, l);
}

/* Is it to be ranked again? The ranks that let their turns pass are noted. */
static bool loss_wants_rank(const struct heal *h, struct loss *l, struct mono now)
{
	bool mine = my_rank(h, l) >= 0;

	if (l->due.ns == MONO_NEVER.ns || (mono_is_set(l->due) && !mono_reached(now, l->due) && l->epoch >= loss_epoch(h, l->uid)))
		return false;
	if (mono_is_set(l->due) && l->state == LOSS_OPEN && mine && l->epoch >= loss_epoch(h, l->uid))
		return false;		/* it is our turn */
	memset(l->silent, 0, sizeof(l->silent));
	if (l->state == LOSS_OPEN && !mine && mono_reached(now, l->due))
		memcpy(l->silent, l->ranks, l->rank_count * sizeof(l->ranks[0]));
	return true;
}

/* ---- many ---- */

static void batch_add(struct batch *b, const struct heal *h, const struct heal_facts *f, const struct pod *p, struct mono now)
{
	struct loss *l = map_get(h->losses, p->uid);
	struct rank_pod *rp;

	if (b->count == b->cap) {
		b->cap = b->cap ? 2 * b->cap : 32;
		b->pods = mem_resize(b->pods, b->cap, sizeof(b->pods[0]));
	}
	rp = &b->pods[b->count++];
	*rp = (struct rank_pod){ .uid = p->uid, .ns = p->ns, .name = p->name, .owner = p->owner, .priority = p->priority,
				 .request = p->request, .constraints = p->constraints,
				 .workload = p->owner ? view_workload(f->view, p->owner) : NULL };
	claims_withdrawn(h->claims, p->uid, loss_epoch(h, p->uid), rp->exclude);
	if (!l)
		return;
	memcpy(rp->exclude + RANK_GONE, l->silent, sizeof(l->silent));
	if (mono_is_set(l->barred_until) && !mono_reached(now, l->barred_until))
		rp->exclude[RANK_EXCLUDE - 1] = h->conf.self;
}

/* Whom did the pod lose: the node it was bound to, or the holder of its copy. */
static const char *lost_node_of(const struct heal *h, const struct pod *p)
{
	const struct claim *held = claims_live(h->claims, p->uid);

	return held && holder_has_lost(h, held->node, p->uid) ? intern(held->node) : p->node;
}

static struct mono unbound_due(const struct heal *h, const struct pod *p)
{
	return mono_add_ms(p->unbound_since, h->conf.bind_grace_ms);
}

/* When the turns begin to be counted: at once, after the scheduler's head start, or when the lost node must have stopped an
 * at-most-once pod. */
static struct mono turns_from(const struct heal *h, const struct tick *t, const struct heal_facts *f, const struct pod *p,
			      const char *lost_node)
{
	const struct suspect *s = lost_node ? map_get(h->suspects, lost_node) : NULL;
	struct mono from = t->now;

	if (!lost_node)
		from = unbound_due(h, p);
	else if (s && once_applies(h, f, p))
		from = mono_add_ms(s->since, heal_start_delay_ms(h->conf.stop_after_ms));
	return from.ns > t->now.ns ? from : t->now;
}

static void batch_open(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan, struct batch *b,
		       enum loss_cause cause)
{
	struct bidder *bidders;
	size_t n;

	if (!b->count)
		return;
	bidders = bidders_collect(h, f, &n);
	rank_place(b->pods, b->count, bidders, n, cause == LOSS_NODE);
	for (size_t i = 0; i < b->count; i++) {
		const struct pod *p = view_pod(f->view, b->pods[i].uid);
		const char *lost_node = cause == LOSS_UNBOUND ? NULL : lost_node_of(h, p);
		struct mono from = turns_from(h, t, f, p, lost_node);
		struct loss *l = loss_open(h, p->uid, cause, lost_node);

		l->may_cross = cause == LOSS_NODE && !once_applies(h, f, p);
		loss_rank(h, l, &b->pods[i], t, from, plan);
	}
	bidders_free(bidders, n);
}

/* A loss about to be ranked again gives its old place back. */
static void loss_again(struct loss *l, struct lost_pods *lost, const struct pod *p)
{
	l->rank_count = 0;
	lost_add(lost, p);
}

/* ---- Pending pods ---- */

static void unbound_find(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan,
			 struct lost_pods *lost)
{
	struct mono first = { 0 };

	list_for_each(p, &f->view->unbound, struct pod, unbound) {
		struct loss *l = map_get(h->losses, p->uid);

		if (l && l->cause == LOSS_UNBOUND && loss_wants_rank(h, l, t->now))
			loss_again(l, lost, p);
		if (!l && unbound_is_ours(h, f, p))
			first = mono_min(first, unbound_due(h, p));
	}
	if (!mono_is_set(first) || !mono_reached(t->now, first)) {
		plan_wake_at(plan, first);
		return;
	}
	/* One is due: all that wait are ranked with it, each for its own time. Pods of one Deployment come within milliseconds, in
	 * pieces that differ from node to node; by the end of the first one's grace everybody has seen the same. */
	list_for_each(p, &f->view->unbound, struct pod, unbound)
		if (!map_get(h->losses, p->uid) && unbound_is_ours(h, f, p))
			lost_add(lost, p);
}

static void unbound_open(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan)
{
	struct lost_pods lost = { 0 };
	struct batch b = { 0 };

	unbound_find(h, t, f, plan, &lost);
	lost_sort(&lost);
	for (size_t i = 0; i < lost.count; i++)
		batch_add(&b, h, f, lost.items[i], t->now);
	batch_open(h, t, f, plan, &b, LOSS_UNBOUND);
	free(lost.items);
	free(b.pods);
}

/* ---- pods of lost nodes ---- */

struct held_ctx {
	const struct heal *h;
	const struct heal_facts *f;
	const struct suspect *s;
	struct lost_pods *lost;
};

static void find_held(void *arg, const struct claim *c)
{
	struct held_ctx *ctx = arg;
	const struct pod *p = view_pod(ctx->f->view, c->pod_uid);

	if (p && c->state == CLAIM_LIVE && str_eq(c->node, ctx->s->node))
		lost_add(ctx->lost, p);
}

void suspect_scan(const struct heal *h, const struct suspect *s, const struct heal_facts *f, struct lost_pods *lost)
{
	const struct node *n = view_node(f->view, s->node);

	if (n)
		list_for_each(p, &n->pods, struct pod, by_node)
			lost_add(lost, p);
	claims_each(h->claims, find_held, &(struct held_ctx){ h, f, s, lost });
}

static void refuse_lost(struct loss *l, const struct tick *t, struct plan *plan, const char *reason)
{
	l->declared = t->now;
	l->rank_count = 0;
	l->due = MONO_NEVER;
	loss_tell(l, plan, reason);
}

/* At most once on another node needs a majority without the lost one. */
static const char *nobody_can_know(const struct heal *h, const struct heal_facts *f, const struct pod *p)
{
	if (!once_applies(h, f, p) || lost_node_of(h, p) == h->conf.self)
		return NULL;
	if (!site_can_lease(site_count(h, f->peers)))
		return "policy at-most-once: with fewer than three members of this version nobody can know that it has stopped";
	if (suspect_may_run(h, lost_node_of(h, p)))
		return "policy at-most-once: a port of its node accepts, or a peer still sees it";
	return heal_has_majority(h, f->peers) ? NULL : "policy at-most-once: we do not see a majority of the site";
}

/* Why nobody may restore it; NULL = somebody may. */
static const char *refusal_of(const struct heal *h, const struct heal_facts *f, const struct pod *p)
{
	const char *reason = offline_refusal(h, p, view_workload(f->view, p->owner));

	return reason ? reason : nobody_can_know(h, f, p);
}

/* Decide about one pod that may be lost. */
static void lost_take(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan, const struct pod *p,
		      struct batch *b)
{
	bool counts = lost_pod_counts(h, f, p) && !vouch_holds(h, p->uid);
	struct loss *l = map_get(h->losses, p->uid);
	enum loss_cause cause = LOSS_NODE;

	if (l)
		cause = l->cause;
	else
		(void)home_has_lost(h, f, p, t->now, &cause);
	if (counts && pod_is_held(h, f, p->uid)) {
		l = loss_open(h, p->uid, cause, p->node);
		l->state = LOSS_TAKEN;
		l->due = (struct mono){ 0 };
	} else if (counts && refusal_of(h, f, p)) {
		refuse_lost(loss_open(h, p->uid, cause, lost_node_of(h, p)), t, plan, refusal_of(h, f, p));
	} else if (counts && workload_wants_more(h, f, view_workload(f->view, p->owner), b, t->now)) {
		batch_add(b, h, f, p, t->now);
	} else if (l) {
		loss_drop(h, l);
	}
}

static void node_losses_find(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan,
			     struct lost_pods *lost)
{
	map_for_each(struct suspect, s, h->suspects) {
		if (s->state == SUSPECT_LOST && !s->scanned)
			suspect_scan(h, s, f, lost);
		s->scanned = s->state == SUSPECT_LOST;
	}
	blanks_scan(h, t, f, plan, lost);
	map_for_each(struct loss, l, h->losses) {
		if (l->cause != LOSS_NODE)
			continue;
		if (pod_is_held(h, f, l->uid)) {
			l->state = LOSS_TAKEN;
			l->due = (struct mono){ 0 };
		} else if (loss_wants_rank(h, l, t->now)) {
			loss_again(l, lost, view_pod(f->view, l->uid));
		}
	}
}

static void node_losses_open(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan)
{
	struct lost_pods lost = { 0 };
	struct batch b = { 0 };

	node_losses_find(h, t, f, plan, &lost);
	lost_sort(&lost);
	for (size_t i = 0; i < lost.count; i++)
		lost_take(h, t, f, plan, lost.items[i], &b);
	batch_open(h, t, f, plan, &b, LOSS_NODE);
	free(lost.items);
	free(b.pods);
}

/* ---- pods of this node ---- */

static enum fit home_fit(const struct heal *h, const struct heal_facts *f, const struct rank_pod *rp, const struct resources *left)
{
	enum fit r = fit_images(rp->workload, view_node(f->view, h->conf.self));

	return r == FIT_OK ? fit_resources(&rp->request, left) : r;
}

/* Only here, where they were: the node's constraints and ports were met before. */
static void home_batch_open(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan, struct batch *b)
{
	struct resources left = h->local_left;

	for (size_t i = 0; i < b->count; i++) {
		struct rank_pod *rp = &b->pods[i];
		const struct pod *p = view_pod(f->view, rp->uid);
		enum loss_cause cause = LOSS_LOCAL;

		(void)home_has_lost(h, f, p, t->now, &cause);
		rp->rank_count = 0;
		rp->misfit = rank_excludes(rp, h->conf.self) ? FIT_OK : home_fit(h, f, rp, &left);
		if (rp->misfit == FIT_OK && !rank_excludes(rp, h->conf.self)) {
			rp->ranks[rp->rank_count++] = h->conf.self;
			resources_sub(&left, &rp->request);
		}
		loss_rank(h, loss_open(h, rp->uid, cause, h->conf.self), rp, t, t->now, plan);
	}
}

static void home_losses_open(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan)
{
	const struct node *self = view_node(f->view, h->conf.self);
	struct lost_pods lost = { 0 };
	struct batch b = { 0 };
	enum loss_cause cause;

	if (!self)
		return;
	list_for_each(p, &self->pods, struct pod, by_node) {
		struct loss *l = map_get(h->losses, p->uid);

		if (!home_has_lost(h, f, p, t->now, &cause) || (l && l->state == LOSS_TAKEN && map_get(f->copies, p->uid)))
			continue;
		if (l && !loss_wants_rank(h, l, t->now))
			continue;
		if (l)
			l->rank_count = 0;
		lost_add(&lost, p);
	}
	lost_sort(&lost);
	for (size_t i = 0; i < lost.count; i++)
		lost_take(h, t, f, plan, lost.items[i], &b);
	home_batch_open(h, t, f, plan, &b);
	free(lost.items);
	free(b.pods);
}

/* ---- what is over ---- */

/* What may be done about which losses now. */
struct may { struct mono now; bool restore, home, bind; };

/* Refusals are kept while we may not act, so that they are told once. */
static bool node_loss_is_over(const struct heal *h, const struct heal_facts *f, struct loss *l, bool offline)
{
	const struct pod *p = view_pod(f->view, l->uid);

	if (!holder_has_lost(h, l->lost_node, l->uid))
		l->lost_node = p->node;		/* its holder is back, but the pod's own node may still be lost */
	return f->link == LINK_ONLINE || !p->node || !holder_has_lost(h, l->lost_node, l->uid) || vouch_holds(h, l->uid) ||
	       (!offline && l->state != LOSS_REFUSED);
}

static bool loss_is_over(const struct heal *h, const struct heal_facts *f, struct loss *l, const struct may *may)
{
	const struct pod *p = view_pod(f->view, l->uid);
	enum loss_cause cause;

	if (!p)
		return true;
	switch (l->cause) {
	case LOSS_UNBOUND:
		return !may->bind || !unbound_is_ours(h, f, p);
	case LOSS_NODE:
		return node_loss_is_over(h, f, l, may->restore);
	case LOSS_LOCAL:
	case LOSS_COLD_BOOT:
		break;
	}
	return !may->home || !home_has_lost(h, f, p, may->now, &cause);
}

static void losses_end(struct heal *h, const struct heal_facts *f, const struct may *may)
{
	map_for_each(struct loss, l, h->losses)
		if (loss_is_over(h, f, l, may) || (h->paused && l->state != LOSS_REFUSED))
			loss_drop(h, l);
	map_for_each(struct suspect, s, h->suspects)
		if (!may->restore || h->paused)
			s->scanned = false;
	h->paused = false;
}

void losses_tick(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan)
{
	struct may may = { .now = t->now };

	h->breaker_open = breaker_trips(h, f->peers);
	may.restore = may_restore_offline(h, f);
	may.bind = f->link == LINK_ONLINE && mono_is_set(f->synced_at);
	may.home = f->link == LINK_OFFLINE && site_may_act(h, f->peers);
	losses_end(h, f, &may);
	if (may.restore)
		node_losses_open(h, t, f, plan);
	if (may.home)
		home_losses_open(h, t, f, plan);
	if (may.bind)
		unbound_open(h, t, f, plan);
	losses_act(h, t, f, plan);
}

void losses_reconsider(struct heal *h)
{
	map_for_each(struct loss, l, h->losses)
		if (l->due.ns == MONO_NEVER.ns)
			loss_drop(h, l);
	map_for_each(struct suspect, s, h->suspects)
		s->scanned = false;
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

	if (l && l->cause != LOSS_UNBOUND) {
		l->state = LOSS_TAKEN;		/* somebody else's turn: ranked again without us */
		l->due = mono_add_ms(now, h->conf.claim_timeout_ms);
		l->barred_until = mono_add_ms(now, HEAL_REFUSED_RETRY_MS);
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
