/* fence.c — at most once, as one who grants: whom we have let run, and who may start what was lost
 *
 * A peer that asks for a grant tells how long its lease lasts, and lives. A fence says that one node may start a lost pod, and on
 * which nodes it must not run: its own, and holders that were lost since. It is permitted only
 *
 *   - when the pod's node has asked us for a grant before (a healer that only observes, is too old for leases, takes its site for a
 *     small one or does not know the policy stops nothing), and the last grant is older than the start delay of its stop_after
 *   - when we do not know better: a mirror at least as fresh as the asker's does not show the pod any more
 *   - to one asker at a time
 *
 * Two may ask at once, and then both have some of the permits: one of them a majority, or neither. What the loser has nobody uses,
 * and it would keep the pod's node from going on for long after the winner has ended. So a holder whose claim is not seen is asked;
 * when it answers that it has no use for its fence, that is over. A claim of somebody else proves nothing: it may be an old one,
 * heard late.
 *
 * What we granted before our own start is not known: until a start delay has passed we permit nothing. Fences, and who asks us, are
 * stored: who forgot a fence would let the pod's node go on beside the holder.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "heal_int.h"
#include "model/stamp.h"

struct granted {
	const char *node;		/* interned */
	int64_t stop_after_ms;		/* of its configuration */
	struct mono at;			/* our last grant; 0 = of a former process */
};

struct fence {
	char pod_uid[UID_SIZE];
	const char *nodes[HEAL_FENCE_NODES];	/* interned: where it must not run */
	size_t node_count;
	const char *holder;		/* interned: who may start it */
	struct mono at;
	struct mono asked;		/* the holder, whether it has a use for it; 0 = not since `at` */
	bool unused;			/* it has none, as it said */
};

struct granter {
	struct mono ask_due;		/* the next question to holders */
	struct map *grants, *fences;	/* node → struct granted, pod uid → struct fence */
	unsigned version;		/* moves with every change that is to be stored */
	struct mono born;		/* since when we remember */
};

struct granter *granter_new(void)
{
	struct granter *o = mem_new(struct granter);

	o->grants = map_new();
	o->fences = map_new();
	return o;
}

static void grants_clear(struct granter *o)
{
	map_for_each(struct granted, g, o->grants) {
		(void)map_remove(o->grants, g->node);
		free(g);
	}
}

void granter_free(struct granter *o)
{
	grants_clear(o);
	map_free(o->grants);
	map_for_each(struct fence, f, o->fences)
		free(f);
	map_free(o->fences);
	free(o);
}

static void remember(struct granter *o, struct mono now)
{
	if (!mono_is_set(o->born))
		o->born = now;
}

/* ---- grants ---- */

static struct granted *granted_put(struct granter *o, const struct grant_question *q)
{
	struct granted *g = map_get(o->grants, q->node);

	if (!g) {
		g = mem_new(struct granted);
		g->node = intern(q->node);
		(void)map_put(o->grants, g->node, g);
	}
	if (g->stop_after_ms != q->stop_after_ms)
		o->version++;
	g->stop_after_ms = q->stop_after_ms;
	return g;
}

static bool fence_has(const struct fence *f, const char *node)
{
	for (size_t i = 0; i < f->node_count; i++)
		if (f->nodes[i] == node)
			return true;
	return false;
}

size_t heal_asked_grant(struct heal *h, const struct grant_question *q, const char *fenced[HEAL_MINE_MAX], struct mono now)
{
	struct granted *g = granted_put(h->granter, q);
	size_t n = 0;

	remember(h->granter, now);
	g->at = now;
	map_for_each(struct fence, f, h->granter->fences)
		if (fence_has(f, g->node) && n < HEAL_MINE_MAX)
			fenced[n++] = f->pod_uid;
	return n;
}

void heal_set_grant(struct heal *h, const struct grant_question *q)
{
	(void)granted_put(h->granter, q);
}

void heal_each_grant(const struct heal *h, void (*fn)(void *arg, const struct grant_question *q), void *arg)
{
	map_for_each(struct granted, g, h->granter->grants)
		fn(arg, &(struct grant_question){ g->node, g->stop_after_ms });
}

/* It has stopped what it may not run any more: it asked us for its lease, and that is over. */
static bool has_stopped(const struct heal *h, const char *node, struct mono now)
{
	const struct granted *g = map_get(h->granter->grants, node);
	int64_t ours = h->conf.stop_after_ms, theirs = g ? g->stop_after_ms : 0;
	int64_t delay = heal_start_delay_ms(theirs > ours ? theirs : ours);

	return g && mono_since_ms(now, h->granter->born) >= delay && mono_since_ms(now, g->at) >= delay;
}

/* In a small site nobody holds a lease: what was granted before says nothing any more. */
void grants_forget(struct heal *h)
{
	if (map_count(h->granter->grants))
		h->granter->version++;
	grants_clear(h->granter);
}

/* ---- fences ---- */

static bool is_alive(const struct peers *peers, const char *node)
{
	const struct peer *p = peers_find(peers, node);

	return p && p->status == PEER_ALIVE;
}

static void fence_drop(struct granter *o, struct fence *f)
{
	o->version++;
	(void)map_remove(o->fences, f->pod_uid);
	free(f);
}

static void forget_oldest_fence(struct granter *o)
{
	struct fence *oldest = NULL;

	map_for_each(struct fence, f, o->fences)
		if (!oldest || f->at.ns < oldest->at.ns)
			oldest = f;
	if (oldest)
		fence_drop(o, oldest);
}

static struct fence *fence_new(struct granter *o, const char *pod_uid)
{
	struct fence *f = mem_new(struct fence);

	if (map_count(o->fences) >= HEAL_FENCES_MAX)
		forget_oldest_fence(o);
	(void)str_copy(f->pod_uid, sizeof(f->pod_uid), pod_uid);
	(void)map_put(o->fences, f->pod_uid, f);
	return f;
}

/* It may run the pod now: it is none of those that must not. */
static void fence_give(struct granter *o, struct fence *f, const char *holder, struct mono now)
{
	size_t n = 0;

	for (size_t i = 0; i < f->node_count; i++)
		if (f->nodes[i] != holder)
			f->nodes[n++] = f->nodes[i];
	if (n != f->node_count || f->holder != holder)
		o->version++;
	f->node_count = n;
	f->holder = holder;
	f->at = now;
	f->asked = (struct mono){ 0 };
	f->unused = false;
}

/* False: the pod was lost by too many nodes, one after the other; who of them comes back could not be told. */
static bool fence_put(struct granter *o, const struct fence_question *q, struct mono now)
{
	struct fence *f = map_get(o->fences, q->pod_uid);
	const char *node = intern(q->node);

	if (f && !fence_has(f, node) && f->node_count == HEAL_FENCE_NODES)
		return false;
	f = f ? f : fence_new(o, q->pod_uid);
	if (!fence_has(f, node)) {
		f->nodes[f->node_count++] = node;
		o->version++;
	}
	fence_give(o, f, intern(q->asker), now);
	return true;
}

/* Its holder does not use it. If somebody claims the pod who had it before, it is that one's again. */
static void fence_release(struct heal *h, struct fence *f, struct mono now)
{
	const struct claim *c = claims_live(h->claims, f->pod_uid);
	const char *node = c ? intern(c->node) : NULL;

	if (node && node != f->holder && fence_has(f, node) && f->node_count > 1)
		fence_give(h->granter, f, node, now);
	else
		fence_drop(h->granter, f);
}

/* Where nobody can tell it is; a contradiction counts. */
static bool is_as_fresh(uint64_t ours, uint64_t theirs)
{
	if (ours == STAMP_NONE)
		return false;
	if (!stamp_is_set(ours) || !stamp_is_set(theirs))
		return true;
	return stamp_time(ours).ns + STAMP_SLACK_MS * NS_PER_MS >= stamp_time(theirs).ns;
}

bool heal_asked_fence(struct heal *h, const struct view *view, const struct peers *peers, const struct fence_question *q,
		      struct mono now)
{
	const struct fence *f = map_get(h->granter->fences, q->pod_uid);

	remember(h->granter, now);
	if (!view_pod(view, q->pod_uid) && is_as_fresh(h->mirror, q->mirror))
		return false;
	if (is_alive(peers, q->node) || !has_stopped(h, q->node, now))
		return false;
	if (f && !str_eq(f->holder, q->asker) && (is_alive(peers, f->holder) || !has_stopped(h, f->holder, now)))
		return false;
	return fence_put(h->granter, q, now);
}

unsigned heal_fences_version(const struct heal *h)
{
	return h->granter->version;
}

void heal_each_fence(const struct heal *h, void (*fn)(void *arg, const struct fence_question *f), void *arg)
{
	map_for_each(struct fence, f, h->granter->fences)
		for (size_t i = 0; i < f->node_count; i++)
			fn(arg, &(struct fence_question){ f->pod_uid, f->nodes[i], f->holder, 0 });
}

void heal_set_fence(struct heal *h, const struct fence_question *f, struct mono now)
{
	(void)fence_put(h->granter, f, now);
}

/* The pod is gone from the cluster, and all who must not run it know that by now. */
static bool fence_is_void(const struct heal *h, const struct fence *fence, const struct tick *t, const struct heal_facts *f)
{
	if (view_pod(f->view, fence->pod_uid) || !mono_is_set(f->synced_at) ||
	    mono_since_ms(t->now, f->synced_at) < HEAL_FENCE_HOLD_MS)
		return false;
	for (size_t i = 0; i < fence->node_count; i++) {
		const struct peer *p = peers_find(f->peers, fence->nodes[i]);

		if (!p || p->status != PEER_ALIVE || mono_since_ms(t->now, p->status_since) < HEAL_FENCE_HOLD_MS ||
		    !peer_knows_api(h, p, t->now))
			return false;
	}
	return true;
}

/* ---- fences that nobody uses ---- */

/* Its holder lives, and its claim is not seen. Within FRESH_MS it may be about to claim. */
static bool fence_is_unseen(const struct heal *h, const struct fence *fence, const struct heal_facts *f, struct mono now)
{
	const struct claim *c = claims_live(h->claims, fence->pod_uid);

	return fence->holder != h->conf.self && is_alive(f->peers, fence->holder) && !(c && str_eq(c->node, fence->holder)) &&
	       view_pod(f->view, fence->pod_uid) && mono_reached(now, mono_add_ms(fence->at, HEAL_FENCE_FRESH_MS));
}

static void unused_ask(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan)
{
	struct granter *o = h->granter;
	bool any = false;

	map_for_each(struct fence, fence, o->fences)
		any = any || fence_is_unseen(h, fence, f, t->now);
	if (!any || t->tilted)
		return;
	if (mono_reached(t->now, o->ask_due)) {
		o->ask_due = mono_add_ms(t->now, HEAL_UNUSED_RETRY_MS);
		map_for_each(struct fence, fence, o->fences)
			if (fence_is_unseen(h, fence, f, t->now))
				fence->asked = t->now;
		plan_add(plan, ACTION_ASK_UNUSED)->declared = t->now;
	}
	plan_wake_at(plan, o->ask_due);
}

/* Those beyond MAX are asked about when the first are answered for, or given up by their age. */
size_t heal_fences_unseen(struct heal *h, const char *uids[HEAL_UNUSED_MAX], struct mono now)
{
	size_t n = 0;

	map_for_each(struct fence, f, h->granter->fences)
		if (mono_is_set(now) && f->asked.ns == now.ns && n < HEAL_UNUSED_MAX)
			uids[n++] = f->pod_uid;
	return n;
}

void heal_on_unused(struct heal *h, const char *from, struct mono asked, const char *const *uids, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct fence *f = map_get(h->granter->fences, uids[i]);

		if (f && mono_is_set(asked) && f->asked.ns == asked.ns && str_eq(f->holder, from))
			f->unused = true;
	}
}

struct claimed_match { const char *self, *uid; size_t len; bool found; };

static void match_claim(void *arg, const struct claim *c)
{
	struct claimed_match *m = arg;

	m->found = m->found ||
		   (c->state == CLAIM_LIVE && str_eq(c->node, m->self) && strncmp(c->pod_uid, m->uid, m->len) == 0);
}

/* Our own permission is what we go by: it lives as long as our question for the others' does, and longer. */
bool heal_uses(const struct heal *h, const char *uid, size_t len)
{
	struct claimed_match m = { .self = h->conf.self, .uid = uid, .len = len };

	map_for_each(struct fence, f, h->granter->fences)
		if (f->holder == h->conf.self && strncmp(f->pod_uid, uid, len) == 0)
			return true;
	claims_each(h->claims, match_claim, &m);
	return m.found || once_asks(h, uid, len);
}

/* A fence goes when its holder lives and claims the pod no more. A pod that is gone from the cluster keeps its fence: its old
 * node may not know that yet. */
void fences_tick(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan)
{
	map_for_each(struct fence, fence, h->granter->fences) {
		const struct claim *c = claims_live(h->claims, fence->pod_uid);
		bool holder_lives = fence->holder == h->conf.self || is_alive(f->peers, fence->holder);
		bool held = c && str_eq(c->node, fence->holder);
		bool mine = fence->holder == h->conf.self && !map_get(f->copies, fence->pod_uid);
		/* what others claim we may not have heard; what we do not hold ourselves we know */
		struct mono due = mono_add_ms(fence->at, mine ? HEAL_FENCE_FRESH_MS : HEAL_FENCE_HOLD_MS);
		struct mono look = mono_add_ms(fence->at, HEAL_FENCE_FRESH_MS);

		if (!mono_reached(t->now, due) && !fence->unused)
			plan_wake_at(plan, mono_reached(t->now, look) ? due : look);
		else if (view_pod(f->view, fence->pod_uid) && holder_lives && !held)
			fence_release(h, fence, t->now);
		else if (fence_is_void(h, fence, t, f))
			fence_drop(h->granter, fence);
	}
	unused_ask(h, t, f, plan);
}

/* The holder says that it has ended its claim: it has stopped the pod before. */
void once_claim_ended(struct heal *h, const struct claim *c)
{
	struct fence *f = map_get(h->granter->fences, c->pod_uid);

	if (f && c->state != CLAIM_LIVE && str_eq(f->holder, c->node) && c->epoch >= claims_epoch(h->claims, c->pod_uid))
		fence_drop(h->granter, f);
}

/* Our own permission to ourselves, not used. Two who ask at once would otherwise refuse each other for ever. */
void own_fence_release(struct heal *h, const char *pod_uid, struct mono now)
{
	struct fence *f = map_get(h->granter->fences, pod_uid);
	const struct claim *c = claims_live(h->claims, pod_uid);

	if (f && f->holder == h->conf.self && !(c && str_eq(c->node, h->conf.self)))
		fence_release(h, f, now);
}
