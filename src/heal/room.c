/* room.c — copies beside what the cluster runs again: which of them are too many, and which stand in the way
 *
 * Too many: the ReplicaSet's own Ready pods and its copies are more than it wants. So many of the copies go, in the order of their
 * pods' uids: what is left is still all that is wanted.
 *
 * In the way: make before break needs room for both. In a full cluster there is none: the ReplicaSet's replacement stays Pending
 * because our copy has its place, and the copy stays because its replacement is not Ready. The same happens on a node that booted
 * without the API server and runs its own pods as copies. So the copy goes first, when all of this is true:
 *
 *   - a Pending pod of its ReplicaSet has waited for HEAL_ROOM_MS, and neither the scheduler nor we found a node for it
 *   - it would fit here without the copy, and no other Pending pod, one without a copy, would take the room
 *   - nothing else of the ReplicaSet is missing: its Ready pods and the copies that run are all it wants, so that there is one
 *     hole at a time and never a first one
 *   - it is our turn: the copies of a ReplicaSet go in that same order; who is not the first waits HEAL_ROOM_STEP_MS for each
 *     before it, in which it hears that another one has gone
 *
 * When the copy is gone the Pending pod is bound here like any other (loss.c). How long nothing runs in its place is the pod's own
 * time to stop and to start, and up to HEAL_REFUSED_RETRY_MS.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "heal_int.h"

#define ROOM_KEY_SIZE (UID_SIZE + 8)

/* ---- the copies of all nodes ---- */

struct collecting { struct heal *h; const struct heal_facts *f; };

/* Its holder is there, and its original is not counted itself. */
static bool stands_in(const struct heal_facts *f, const struct claim *c)
{
	const struct peer *holder = peers_find(f->peers, c->node);
	const struct pod *original = view_pod(f->view, c->pod_uid);

	return c->state == CLAIM_LIVE && holder && holder->status == PEER_ALIVE && !(original && original->ready);
}

/* Claims say who holds what, the mirror pods that it runs. */
static void add_standin(void *arg, const struct claim *c)
{
	const struct collecting *ctx = arg;
	const struct node *n = stands_in(ctx->f, c) ? view_node(ctx->f->view, c->node) : NULL;
	struct standins *s = &ctx->h->standins;

	if (!n)
		return;
	list_for_each(p, &n->pods, struct pod, by_node) {
		if (!p->is_mirror || !p->copy_of || !str_eq(p->original_uid, c->pod_uid) || p->phase != POD_RUNNING || p->deleting)
			continue;
		if (s->count == s->cap) {
			s->cap = s->cap ? 2 * s->cap : 32;
			s->items = mem_resize(s->items, s->cap, sizeof(s->items[0]));
		}
		s->items[s->count++] = (struct standin){ .workload = p->copy_of, .uid = p->original_uid };
		return;
	}
}

void standins_collect(struct heal *h, const struct heal_facts *f)
{
	h->standins.count = 0;
	claims_each(h->claims, add_standin, &(struct collecting){ h, f });
}

/* How many copies of that ReplicaSet run; out_before: for pods before `uid`. */
static size_t count_standins(const struct heal *h, const char *workload, const char *uid, size_t *out_before)
{
	const char *interned = intern(workload);
	size_t n = 0;

	*out_before = 0;
	for (size_t i = 0; i < h->standins.count; i++) {
		if (h->standins.items[i].workload != interned)
			continue;
		n++;
		*out_before += strcmp(h->standins.items[i].uid, uid) < 0;
	}
	return n;
}

bool copy_is_surplus(const struct heal *h, const struct copy *c, int64_t own, int64_t wanted)
{
	size_t before = 0, copies = 0;

	if (own > 0 && c->state == COPY_RUNNING)
		copies = count_standins(h, c->workload_uid, c->pod_uid, &before);
	return copies && (int64_t)before < own + (int64_t)copies - wanted;
}

/* ---- in the way ---- */

/* Neither the scheduler nor the healers have a place for it. */
static bool is_homeless(const struct heal *h, const struct pod *p)
{
	const struct loss *l = map_get(h->losses, p->uid);

	return !p->node && !p->deleting && l && l->cause == LOSS_UNBOUND && l->state == LOSS_REFUSED && !l->rank_count;
}

/* Host ports are not compared: the copy itself has those of its template. */
static bool fits_instead(const struct heal *h, const struct heal_facts *f, const struct pod *p, const struct copy *c)
{
	const struct node *self = view_node(f->view, h->conf.self);
	struct resources left = h->local_left;

	resources_add(&left, &c->request);
	return self && fit_constraints(p->constraints, self, false) == FIT_OK && fit_resources(&p->request, &left) == FIT_OK;
}

/* The one that has waited longest of those that could take the copy's place. */
static const struct pod *find_homeless(const struct heal *h, const struct heal_facts *f, const struct workload *w,
				       const struct copy *c)
{
	const struct pod *found = NULL;

	list_for_each(p, &w->pods, struct pod, by_owner)
		if (is_homeless(h, p) && fits_instead(h, f, p, c) && (!found || p->unbound_since.ns < found->unbound_since.ns))
			found = p;
	return found;
}

/* It would take the room and leave the copy's own replacement without: the cluster is too small, and what runs stays. */
static bool has_rival(const struct heal *h, const struct heal_facts *f, const struct copy *c)
{
	size_t before;

	list_for_each(p, &f->view->unbound, struct pod, unbound)
		if (!str_eq(p->owner, c->workload_uid) && is_homeless(h, p) && fits_instead(h, f, p, c) &&
		    !count_standins(h, p->owner, p->uid, &before))
			return true;
	return false;
}

/* Since when that is so; 0 = it is not. */
static struct mono note_since(struct heal *h, const struct copy *c, bool is_so, struct mono now)
{
	char key[ROOM_KEY_SIZE];

	(void)snprintf(key, sizeof(key), "room %s", c->pod_uid);
	if (!is_so)
		mark_remove(h, key);
	else if (!mono_is_set(mark_at(h, key)))
		mark_put(h, key, now);
	return mark_at(h, key);
}

bool room_is_owed(struct heal *h, const struct copy *c, const struct tick *t, const struct heal_facts *f, struct plan *plan)
{
	const struct workload *w = view_workload(f->view, c->workload_uid);
	const struct pod *p = w && c->state == COPY_RUNNING ? find_homeless(h, f, w, c) : NULL;
	size_t before = 0, copies = p ? count_standins(h, c->workload_uid, c->pod_uid, &before) : 0;
	bool whole = p && ready_pods(h, f, c, t->now) + (int64_t)copies >= w->replicas;
	struct mono since = note_since(h, c, whole && !has_rival(h, f, c), t->now), due;

	if (!p || !mono_is_set(since))
		return false;
	due = mono_add_ms(p->unbound_since, HEAL_ROOM_MS);
	due = mono_add_ms(due.ns > since.ns ? due : since, (int64_t)before * HEAL_ROOM_STEP_MS);
	if (mono_reached(t->now, due))
		return true;
	plan_wake_at(plan, due);
	return false;
}
