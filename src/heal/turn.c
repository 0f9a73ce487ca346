/* turn.c — may we act, and is it our turn
 *
 * The turns of one tick are taken in the order of rank.h, so that what matters most gets the last of the budget and of the room
 * on this node.
 */
#include <stdlib.h>

#include "base/str.h"
#include "heal_int.h"

/* Pods that somebody else brings back, for he reaches the API server, are left out one by one: vouch.c. */
bool may_restore_offline(const struct heal *h, const struct heal_facts *f)
{
	return f->link == LINK_OFFLINE && !h->breaker_open && site_may_act(h, f->peers);
}

/* Token bucket: one minute's budget at most at once. */
bool budget_take(struct heal *h, struct mono now, struct plan *plan)
{
	double rate = h->conf.restores_per_minute / 60000.0;

	if (mono_is_set(h->tokens_at))
		h->tokens += rate * (double)mono_since_ms(now, h->tokens_at);
	if (!mono_is_set(h->tokens_at) || h->tokens > h->conf.restores_per_minute)
		h->tokens = h->conf.restores_per_minute;
	h->tokens_at = now;
	if (h->tokens >= 1) {
		h->tokens -= 1;
		return true;
	}
	if (rate > 0)
		plan_wake_at(plan, mono_add_ms(now, (int64_t)((1 - h->tokens) / rate) + 1));
	return false;
}

/* Our place in the frozen ranking, or -1. */
int my_rank(const struct heal *h, const struct loss *l)
{
	for (size_t k = 0; k < l->rank_count; k++)
		if (l->ranks[k] == h->conf.self)
			return (int)k;
	return -1;
}

/* At most once needs more than a turn. */
static bool may_start(struct heal *h, struct loss *l, const struct tick *t, const struct heal_facts *f, struct plan *plan)
{
	const struct pod *p = view_pod(f->view, l->uid);

	if (l->cause == LOSS_UNBOUND || !once_applies(h, f, p) || once_may_start(h, p, l->lost_node, t, f, plan))
		return true;
	(void)str_copy(l->note, sizeof(l->note), "waiting: at-most-once, until its node must have stopped it");
	return false;
}

int64_t claim_lead_ms(const struct heal *h)
{
	return h->conf.claim_timeout_ms / 2;
}

/* A member has come or gone, besides the lost one. */
static bool site_is_stirred(const struct heal *h, const struct loss *l, const struct heal_facts *f, struct mono now)
{
	for (size_t i = 0; i < f->peers->count; i++) {
		const struct peer *p = &f->peers->items[i];

		if (p->name != l->lost_node && p->name != h->conf.self && in_my_site(h, p) &&
		    mono_since_ms(now, p->status_since) < HEAL_STIR_MS)
			return true;
	}
	return false;
}

/* From the claim to the manifest. All rank alike while they see alike. Where a second node has gone, or one has come, some know it
 * and others do not yet: two may then both be the first. And who steps in for a first one that is silent cannot know whether it is
 * dead or its verdict late. So these say their claim, and act when a better one must have been heard; the first one of a quiet site
 * does not wait. Of two claims that cross it is enough that one was made in doubt. */
static int64_t claim_wait_ms(const struct heal *h, const struct loss *l, const struct heal_facts *f, struct mono now)
{
	if (!l->may_cross)
		return 0;
	if (site_is_stirred(h, l, f, now))
		return h->conf.claim_timeout_ms;
	return my_rank(h, l) > 0 ? claim_lead_ms(h) : 0;
}

static void loss_act(struct heal *h, struct loss *l, const struct tick *t, const struct heal_facts *f, struct plan *plan)
{
	struct action *a;

	if (fit_resources(&l->request, &h->local_left) != FIT_OK) {
		(void)str_copy(l->note, sizeof(l->note), "our own books say it does not fit here");
		l->due = mono_add_ms(t->now, HEAL_REFUSED_RETRY_MS);
		l->state = LOSS_TAKEN;
		plan_wake_at(plan, l->due);
		return;
	}
	if (!may_start(h, l, t, f, plan))
		return;
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
	a->wait_ms = claim_wait_ms(h, l, f, t->now);
	plan_wake_at(plan, l->due);
}

void losses_act(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan)
{
	struct lost_pods mine = { 0 };

	map_for_each(struct loss, l, h->losses) {
		if (mono_is_set(l->due) && !mono_reached(t->now, l->due))
			plan_wake_at(plan, l->due);
		else if (l->state == LOSS_OPEN && my_rank(h, l) >= 0)
			lost_add(&mine, view_pod(f->view, l->uid));
	}
	lost_sort(&mine);
	for (size_t i = 0; i < mine.count; i++)
		loss_act(h, map_get(h->losses, mine.items[i]->uid), t, f, plan);
	free(mine.items);
}
