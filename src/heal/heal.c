/* heal.c — one tick: observe always, act only on fresh facts
 *
 * Without a fresh answer of the local agent (peer_ttl) there is no membership to judge by: nothing is decided. Tilted (after a
 * clock jump or a suspend) suspicions are followed but nothing is acted upon. After such a pause all turns are given anew:
 * deadlines that passed meanwhile would make every rank act at once.
 */
#include "heal/heal.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "heal_int.h"

struct heal *heal_new(const struct heal_conf *conf)
{
	struct heal *h = mem_new(struct heal);

	h->conf = *conf;
	h->suspects = map_new();
	h->losses = map_new();
	h->marks = map_new();
	h->words = map_new();
	h->blanks = map_new();
	h->once = once_new();
	h->overtakes = overtakes_new();
	h->vouches = vouches_new();
	h->granter = granter_new();
	h->home = home_new();
	h->goodbyes = map_new();
	h->claims = claims_new();
	return h;
}

void heal_free(struct heal *h)
{
	if (!h)
		return;
	suspects_free(h);
	losses_free(h);
	marks_free(h);
	words_free(h);
	once_free(h->once);
	overtakes_free(h->overtakes);
	vouches_free(h->vouches);
	granter_free(h->granter);
	home_free(h->home);
	blanks_free(h);
	goodbyes_free(h);
	claims_free(h->claims);
	free(h->standins.items);
	free(h);
}

void heal_set_conf(struct heal *h, const struct heal_conf *conf)
{
	h->conf = *conf;
	losses_reconsider(h);
}

static bool membership_is_fresh(const struct heal *h, const struct heal_facts *f, struct mono now)
{
	return mono_is_set(f->peers->as_of) && mono_since_ms(now, f->peers->as_of) < h->conf.peer_ttl_ms;
}

bool heal_claim_is_in_use(const struct view *v, const struct claim *c)
{
	const struct node *holder = view_node(v, c->node);

	if (view_pod(v, c->pod_uid))
		return true;
	if (holder)
		list_for_each(p, &holder->pods, struct pod, by_node)
			if (p->is_mirror && str_eq(p->original_uid, c->pod_uid))
				return true;
	return false;
}

struct expiring { const struct heal *h; const struct peers *peers; struct mono now; };

/* Whoever lives tells its live claims every half minute. If we have been there all the time and heard nothing, it has ended. */
static bool nobody_repeats(void *arg, const struct claim *c, struct mono heard)
{
	const struct expiring *x = arg;
	const struct peer *p = peers_find(x->peers, c->node);
	int64_t patience = HEAL_CLAIM_HOLD_MS;

	return p && p->status == PEER_ALIVE && p->name != x->h->conf.self && mono_since_ms(x->now, p->status_since) >= patience &&
	       mono_since_ms(x->now, x->h->there_since) >= patience && mono_since_ms(x->now, heard) >= patience;
}

/* there_since: since when we hear the others without a break. */
static void claims_tick(struct heal *h, const struct tick *t, const struct heal_facts *f, bool fresh)
{
	if (!fresh || t->tilted)
		h->there_since = (struct mono){ 0 };
	else if (!mono_is_set(h->there_since))
		h->there_since = t->now;
	else if (claims_count(h->claims))
		claims_expire(h->claims, nobody_repeats, &(struct expiring){ h, f->peers, t->now });
}

void heal_tick(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan)
{
	bool fresh = membership_is_fresh(h, f, t->now);

	plan->count = 0;
	plan->next_due = (struct mono){ 0 };
	h->gateway = f->gateway;
	h->mirror = f->mirror_version;
	claims_tick(h, t, f, fresh);
	if (t->tilted && !h->tilted)
		suspects_doubt(h, t->now);
	h->tilted = t->tilted;
	once_tick(h, t, f, plan);	/* always: what may not run any more is stopped, whatever we know of the others */
	if (!fresh) {
		h->paused = true;
		plan_wake_at(plan, mono_add_ms(t->now, HEAL_STALE_RETRY_MS));
		return;
	}
	h->local_left = f->local_free;
	suspects_tick(h, t, f, plan);
	if (t->tilted) {
		h->paused = true;
		return;
	}
	home_tick(h, t, f, plan);
	blanks_tick(h, t, f, plan);
	home_give_back(h, f, t->now);
	vouches_tick(h, t, f, plan);
	losses_tick(h, t, f, plan);
	online_tick(h, t, f, plan);
	copies_tick(h, t, f, plan);
	if (map_count(f->copies) == 0 && map_count(h->suspects) == 0)
		marks_forget(h, t->now);
}

enum claim_news heal_on_claim(struct heal *h, const struct claim *c, struct mono now)
{
	enum claim_news news;

	once_claim_ended(h, c);
	news = claims_put(h->claims, c);
	claims_heard(h->claims, c, now);
	return news;
}

const struct claims *heal_claims(const struct heal *h)
{
	return h->claims;
}

const struct claim *heal_settle_claim(struct heal *h, const char *pod_uid)
{
	return claims_settle(h->claims, pod_uid);
}

void heal_forget_claim(struct heal *h, const char *pod_uid)
{
	claims_remove(h->claims, pod_uid);
}

bool heal_breaker_is_open(const struct heal *h)
{
	return h->breaker_open;
}
