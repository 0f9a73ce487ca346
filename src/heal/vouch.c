/* vouch.c — a member says that it is online: then the cluster replaces lost pods, and we start none. But does it?
 *
 * A tag is a promise. Its credentials may let it read and not delete, it may only observe, its own mirror may be stale: then nobody
 * would bring the pods back. So whoever is held by such a peer asks all of them what became of the pods, every HEAL_VOUCH_ASK_MS:
 *
 *   gone              the cluster has replaced it: it is never restored here, until we are online ourselves
 *   working, alive    held on, for HEAL_VOUCH_MS from this answer
 *   failed, nothing   the hold ends HEAL_VOUCH_MS after the last good answer, or after the first question
 *
 * Each pod for itself: of two pods one may be replaced and the other refused. A peer that is too old for the question holds as it
 * always did.
 *
 * The other side, heal_fate_of(): what we say of a pod is what our own deletions came to (heal_on_replaced()).
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "heal_int.h"

#define KEY_SIZE (NODE_NAME_SIZE + 16)

struct vouched {
	char uid[UID_SIZE];
	const char *node;		/* interned: the pod's, as everybody's mirror has it */
	struct mono first, asked;	/* questions; 0 = none yet */
	struct mono good;		/* the last answer that it is seen to */
	bool gone, held;
	bool seen;			/* in this tick: still a lost pod */
};

struct vouches {
	struct map *by_pod;
	struct mono due;		/* of the next question */
};

struct vouches *vouches_new(void)
{
	struct vouches *v = mem_new(struct vouches);

	v->by_pod = map_new();
	return v;
}

static void forget(struct vouches *v, struct vouched *e)
{
	(void)map_remove(v->by_pod, e->uid);
	free(e);
}

void vouches_free(struct vouches *v)
{
	map_for_each(struct vouched, e, v->by_pod)
		free(e);
	map_free(v->by_pod);
	free(v);
}

bool vouch_holds(const struct heal *h, const char *uid)
{
	const struct vouched *e = map_get(h->vouches->by_pod, uid);

	return e && e->held;
}

/* ---- who holds what ---- */

struct online { bool any, old; };	/* old: one that cannot be asked */

static struct online online_peers(const struct heal *h, const struct peers *peers, struct mono now)
{
	struct online o = { 0 };

	for (size_t i = 0; i < peers->count; i++) {
		const struct peer *p = &peers->items[i];

		if (p->status != PEER_ALIVE || !in_my_site(h, p) || p->name == h->conf.self || !peer_knows_api(h, p, now))
			continue;
		o.any = true;
		o.old = o.old || p->protocol < PEER_PROTOCOL_FATE;
	}
	return o;
}

static void see(struct vouches *v, const struct pod *p)
{
	struct vouched *e = map_get(v->by_pod, p->uid);

	if (!e) {
		e = mem_new(struct vouched);
		(void)str_copy(e->uid, sizeof(e->uid), p->uid);
		(void)map_put(v->by_pod, e->uid, e);
	}
	e->node = p->node;
	e->seen = true;
}

static void see_lost(struct heal *h, const struct heal_facts *f)
{
	struct lost_pods lost = { 0 };

	map_for_each(struct suspect, s, h->suspects)
		if (s->state == SUSPECT_LOST)
			suspect_scan(h, s, f, &lost);
	blanks_lost(h, f->view, &lost);
	for (size_t i = 0; i < lost.count; i++)
		if (lost.items[i]->node && lost_pod_counts(h, f, lost.items[i]) && !pod_is_held(h, f, lost.items[i]->uid))
			see(h->vouches, lost.items[i]);
	free(lost.items);
}

static struct mono hold_until(const struct vouched *e)
{
	struct mono from = e->good.ns > e->first.ns ? e->good : e->first;

	return mono_is_set(e->first) ? mono_add_ms(from, HEAL_VOUCH_MS) : MONO_NEVER;
}

static bool is_held(const struct vouched *e, struct online o, const struct tick *t, struct plan *plan)
{
	if (e->gone || !o.any || o.old)
		return e->gone || o.old;
	if (mono_reached(t->now, hold_until(e)))
		return false;
	plan_wake_at(plan, hold_until(e));
	return true;
}

/* A lost node is scanned once: when a pod of it is held no more it must be looked at again. */
static void scan_again(struct heal *h)
{
	map_for_each(struct suspect, s, h->suspects)
		s->scanned = false;
}

static void judge(struct heal *h, struct online o, const struct tick *t, struct plan *plan)
{
	struct vouches *v = h->vouches;
	bool released = false;

	map_for_each(struct vouched, e, v->by_pod) {
		bool held;

		if (!e->gone && (!o.any || !e->seen)) {
			released = released || e->held;
			forget(v, e);
			continue;
		}
		held = is_held(e, o, t, plan);
		released = released || (e->held && !held);
		e->held = held;
		e->seen = false;
	}
	if (released)
		scan_again(h);
}

static bool wants_answer(const struct vouches *v)
{
	map_for_each(struct vouched, e, v->by_pod)
		if (!e->gone)
			return true;
	return false;
}

void vouches_tick(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan)
{
	struct vouches *v = h->vouches;
	struct online o = online_peers(h, f->peers, t->now);

	if (f->link == LINK_ONLINE) {		/* we see for ourselves */
		map_for_each(struct vouched, e, v->by_pod)
			forget(v, e);
		return;
	}
	if (o.any && f->link == LINK_OFFLINE)
		see_lost(h, f);
	judge(h, o, t, plan);
	if (f->link != LINK_OFFLINE || !o.any || o.old || !wants_answer(v))
		return;
	if (mono_reached(t->now, v->due)) {
		v->due = mono_add_ms(t->now, HEAL_VOUCH_ASK_MS);
		plan_add(plan, ACTION_ASK_FATE)->declared = t->now;
	}
	plan_wake_at(plan, v->due);
}

/* ---- asking ---- */

size_t heal_fate_question(struct heal *h, const char **out_node, const char *uids[HEAL_FATE_MAX], struct mono now)
{
	const char *node = NULL;
	size_t n = 0;

	map_for_each(struct vouched, e, h->vouches->by_pod) {
		if (e->gone || e->asked.ns == now.ns || (node && e->node != node) || n == HEAL_FATE_MAX)
			continue;
		node = e->node;
		e->asked = now;
		if (!mono_is_set(e->first))
			e->first = now;
		uids[n++] = e->uid;
	}
	if (n)
		*out_node = node;
	return n;
}

void heal_on_fate(struct heal *h, const char *uid_prefix, enum fate fate, struct mono now)
{
	size_t n = strlen(uid_prefix);

	map_for_each(struct vouched, e, h->vouches->by_pod) {
		if (n < HEAL_FATE_PREFIX_MIN || strncmp(e->uid, uid_prefix, n) != 0 || !mono_is_set(e->asked))
			continue;
		e->gone = e->gone || fate == FATE_GONE;
		if (fate != FATE_FAILED)
			e->good = now;
	}
}

/* ---- answering ---- */

static void key_of(char key[KEY_SIZE], const char *what, const char *whose)
{
	(void)snprintf(key, KEY_SIZE, "%s %s", what, whose);
}

void heal_on_replaced(struct heal *h, const char *pod_uid, const char *node, bool done, struct mono now)
{
	char key[KEY_SIZE];

	key_of(key, done ? "replaced" : "unreplaced", done ? str_or(node, "") : pod_uid);
	mark_put(h, key, now);
}

static const struct pod *find_pod(const struct view *view, const char *node, const char *uid_prefix)
{
	const struct node *n = view_node(view, node);
	size_t len = strlen(uid_prefix);

	if (!n) {				/* its Node is deleted, its pods may not be yet */
		map_for_each(struct pod, p, view->pods)
			if (strncmp(p->uid, uid_prefix, len) == 0)
				return p;
		return NULL;
	}
	list_for_each(p, &n->pods, struct pod, by_node)
		if (strncmp(p->uid, uid_prefix, len) == 0)
			return p;
	return NULL;
}

/* By when its deletion must have been tried, if all is well with us. */
static int64_t patience_ms(const struct heal *h, const struct view *view, const struct pod *p)
{
	const struct workload *w = p->owner ? view_workload(view, p->owner) : NULL;
	int64_t ms = HEAL_VOUCH_MS + h->conf.lease_grace_ms;

	return w && policy_of(h, w) == POLICY_AT_MOST_ONCE ? ms + heal_start_delay_ms(h->conf.stop_after_ms) : ms;
}

/* Its node is lost for us too. One budget is for all pods of a node: as long as any of them goes, the others are not forgotten. */
static enum fate fate_of_lost(const struct heal *h, const struct view *view, const struct suspect *s, const struct pod *p,
			      struct mono now)
{
	struct mono tried = mark_at(h, p->uid), refused, progress;
	char key[KEY_SIZE];

	key_of(key, "unreplaced", p->uid);
	refused = mark_at(h, key);
	key_of(key, "replaced", s->node);
	progress = mark_at(h, key);
	if (mono_is_set(refused) && refused.ns >= tried.ns)
		return FATE_FAILED;
	if (mono_is_set(progress) && mono_since_ms(now, progress) < HEAL_VOUCH_MS)
		return FATE_WORKING;
	if (mono_is_set(tried))
		return mono_since_ms(now, tried) < HEAL_REPLACE_RETRY_MS ? FATE_WORKING : FATE_FAILED;
	return mono_since_ms(now, s->since) < patience_ms(h, view, p) ? FATE_WORKING : FATE_FAILED;
}

enum fate heal_fate_of(const struct heal *h, const struct view *view, const char *node, const char *uid_prefix, struct mono now)
{
	const struct pod *p = find_pod(view, node, uid_prefix);
	const struct suspect *s = map_get(h->suspects, node);
	const struct claim *c = p ? claims_live(h->claims, p->uid) : NULL;

	if (!p || p->deleting || !pod_is_active(p))
		return FATE_GONE;
	if ((c && !suspect_is_lost(h, c->node)) || !s || suspect_is_alive(h, node))
		return FATE_ALIVE;
	return s->state == SUSPECT_LOST ? fate_of_lost(h, view, s, p, now) : FATE_FAILED;
}
