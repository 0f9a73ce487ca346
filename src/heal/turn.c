/* turn.c — may we act, and is it our turn
 *
 * The turns of one tick are taken in the order of rank.h, so that what matters most gets the last of the budget and of the room
 * on this node.
 */
#include <stdlib.h>

#include "base/str.h"
#include "heal_int.h"

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

bool may_restore_offline(struct heal *h, const struct heal_facts *f)
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

static void loss_act(struct heal *h, struct loss *l, const struct tick *t, struct plan *plan)
{
	struct action *a;

	if (fit_resources(&l->request, &h->local_left) != FIT_OK) {
		(void)str_copy(l->note, sizeof(l->note), "our own books say it does not fit here");
		l->due = mono_add_ms(t->now, HEAL_REFUSED_RETRY_MS);
		l->state = LOSS_TAKEN;
		plan_wake_at(plan, l->due);
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
		loss_act(h, map_get(h->losses, mine.items[i]->uid), t, plan);
	free(mine.items);
}
