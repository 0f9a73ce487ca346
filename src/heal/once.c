/* once.c — at most once: nobody starts such a pod before its node has stopped it
 *
 * No clocks are compared, only durations. Who may run at-most-once pods holds a lease: it asks its peers for a grant every
 * quarter of stop_after; with a majority of the site's last known members (itself included) the lease lasts stop_after from
 * the moment of asking. When it has run out the pods here are frozen.
 *
 *   holder   asks at A ──────────────── frozen by A + stop_after
 *   granter    hears it at G ≥ A ──────────────────────── permits a fence from G + start delay
 *
 * Who wants to start a lost pod needs a fence from a majority without the lost node: each peer permits it only when its last
 * grant to that node is older than the start delay, and to one asker only. Two majorities share a member, so the pod's node
 * has stopped, and there is one asker. A node that comes back asks for its lease and is told which of its pods are fenced:
 * those stay frozen until the claim on them has ended.
 *
 * This file is the holder's side; who grants is in fence.c.
 *
 * Unresolved: a node whose healer is dead while its pods run and that is cut off then. kubelet restarts a dead healer, also
 * offline.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "heal_int.h"

/* Our own question for a fence. */
struct asking {
	char pod_uid[UID_SIZE];
	const char *node;
	struct mono asked;
	bool ended;
	const char *voices[SUSPECT_VOICES_MAX];
	size_t count;
};

struct once {
	struct map *askings;		/* pod uid → struct asking */
	struct mono until;		/* of our own lease */
	struct mono asked, ask_due;	/* the round under way, the next one */
	bool open;			/* not all answers of the round are there */
	struct mono first_asked;	/* of this need: until the first answers nothing is judged */
	const char *granters[SUSPECT_VOICES_MAX];
	size_t granter_count;
	struct map *fenced, *fenced_next;	/* uids of pods here that somebody else may run; those of this round alone */
	bool lapsed;			/* a lease is there, but before it others could have had fences: our copies go first */
	bool anew;			/* nothing was asked for until now: the first answers are waited for */
	bool settled;			/* a round of this process has ended with a majority */
};

static void uids_clear(struct map *m)
{
	map_for_each(char, uid, m) {
		(void)map_remove(m, uid);
		free(uid);
	}
}

struct once *once_new(void)
{
	struct once *o = mem_new(struct once);

	o->askings = map_new();
	o->fenced = map_new();
	o->fenced_next = map_new();
	return o;
}

void once_free(struct once *o)
{
	map_for_each(struct asking, a, o->askings)
		free(a);
	uids_clear(o->fenced);
	uids_clear(o->fenced_next);
	map_free(o->askings);
	map_free(o->fenced);
	map_free(o->fenced_next);
	free(o);
}

int64_t heal_start_delay_ms(int64_t stop_after_ms)
{
	return stop_after_ms + stop_after_ms * HEAL_ALLOWANCE_PERCENT / 100 + HEAL_ALLOWANCE_MS;
}

/* ---- the lease of this node ---- */

struct mono heal_lease_until(const struct heal *h)
{
	return h->once->until;
}

void heal_lease_anew(struct heal *h)
{
	heal_set_lease(h, h->once->until);
	h->once->first_asked = (struct mono){ 0 };
	h->once->anew = true;
}

/* Answers of a round under way are dropped: they would make it what it was before. */
void heal_set_lease(struct heal *h, struct mono until)
{
	struct once *o = h->once;

	o->until = until;
	o->asked = o->ask_due = (struct mono){ 0 };
	o->granter_count = 0;
	o->open = false;
}

/* Until the agent has answered nothing is known of the site; a lease of an earlier process says that it was not small. */
static bool site_is_small(const struct heal *h, const struct peers *peers)
{
	if (!mono_is_set(peers->as_of) && mono_is_set(h->once->until))
		return false;
	return !site_can_lease(site_count(h, peers));
}

bool once_holds_lease(const struct heal *h, const struct peers *peers, struct mono now)
{
	return site_is_small(h, peers) ||
	       (mono_is_set(h->once->until) && !mono_reached(now, h->once->until));
}

static bool is_once(const struct heal *h, const struct view *view, const char *workload_uid)
{
	const struct workload *w = workload_uid ? view_workload(view, workload_uid) : NULL;

	return w && policy_of(h, w) == POLICY_AT_MOST_ONCE;
}

bool once_applies(const struct heal *h, const struct heal_facts *f, const struct pod *p)
{
	return p->owner && is_once(h, f->view, p->owner);
}

/* Held wherever the cluster has such a workload: a pod may come at any time. */
static bool wants_lease(const struct heal *h, const struct heal_facts *f)
{
	if (site_is_small(h, f->peers))
		return false;
	map_for_each(struct workload, w, f->view->workloads)
		if (policy_of(h, w) == POLICY_AT_MOST_ONCE)
			return true;
	return false;
}

static void lease_ask(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan)
{
	struct once *o = h->once;

	struct mono due = o->ask_due, give_up = mono_add_ms(o->asked, HEAL_ANSWER_MS);

	if (o->open && due.ns < give_up.ns)
		due = give_up;
	if (!mono_reached(t->now, due)) {
		if (mono_is_set(o->asked))
			plan_wake_at(plan, due);
		return;
	}
	o->ask_due = mono_add_ms(t->now, h->conf.stop_after_ms / HEAL_LEASE_PARTS);
	if (!wants_lease(h, f)) {
		o->until = o->asked = o->first_asked = (struct mono){ 0 };
		return;			/* looked at again with the next change */
	}
	o->asked = t->now;
	if (!mono_is_set(o->first_asked))
		o->first_asked = t->now;
	o->granter_count = 0;
	o->open = true;
	uids_clear(o->fenced_next);
	plan_add(plan, ACTION_ASK_GRANT)->declared = t->now;
	plan_wake_at(plan, o->ask_due);
}

static void uid_add(struct map *m, const char *text)
{
	char *uid = map_get(m, text) || map_count(m) >= HEAL_FENCES_MAX ? NULL : str_dup(text);

	if (uid)
		(void)map_put(m, uid, uid);
}

void heal_on_grant(struct heal *h, const char *from, const struct grant *g)
{
	struct once *o = h->once;

	for (size_t i = 0; i < o->granter_count; i++)
		if (str_eq(o->granters[i], from))
			return;
	if (!mono_is_set(o->asked) || g->asked.ns != o->asked.ns || str_eq(from, h->conf.self) ||
	    o->granter_count == SUSPECT_VOICES_MAX)
		return;
	o->granters[o->granter_count++] = intern(from);
	for (size_t i = 0; i < g->count; i++) {
		uid_add(o->fenced, g->fenced[i]);	/* at once: the same answers may renew the lease */
		uid_add(o->fenced_next, g->fenced[i]);
	}
}

/* Voices of the site's members, ourselves included where we have one. */
static bool is_majority(const struct heal *h, const struct peers *peers, const char *const *from, size_t n)
{
	struct site_count site = site_count(h, peers);
	size_t voices = 1;

	for (size_t i = 0; i < n; i++) {
		const struct peer *p = peers_find(peers, from[i]);

		voices += p && in_my_site(h, p) && p->status != PEER_LEFT && p->status != PEER_LEAVING;
	}
	return 2 * voices > site.known + site.newcomers;
}

static bool has_copies(const struct heal *h, const struct heal_facts *f)
{
	map_for_each(struct copy, c, f->copies)
		if (c->state != COPY_DROPPING && is_once(h, f->view, c->workload_uid))
			return true;
	return false;
}

/* The first lease of a boot, or one after a gap: others could have had fences. Whoever had one may have ended it again, so that
 * nobody tells of it. The lease begins when our copies are gone, so that no crash in between can make them valid again. */
static void lease_count(struct heal *h, const struct heal_facts *f)
{
	struct once *o = h->once;
	struct mono until = mono_add_ms(o->asked, h->conf.stop_after_ms);
	bool gap = !mono_is_set(o->until) || until.ns > mono_add_ms(o->until, heal_start_delay_ms(h->conf.stop_after_ms)).ns;

	if (!mono_is_set(o->asked) || until.ns <= o->until.ns || !is_majority(h, f->peers, o->granters, o->granter_count))
		return;
	o->anew = false;
	o->lapsed = gap && has_copies(h, f);
	if (!o->lapsed)
		o->until = until;
}

void heal_on_grant_end(struct heal *h, struct mono asked)
{
	if (mono_is_set(asked) && h->once->asked.ns == asked.ns)
		h->once_ended = true;
}

/* Without a lease from a former process the first answers are waited for. */
static bool can_judge(const struct once *o, struct mono now)
{
	return (mono_is_set(o->until) && !o->anew) ||
	       (mono_is_set(o->first_asked) && mono_since_ms(now, o->first_asked) >= HEAL_LEASE_FIRST_MS);
}

/* All answers are there. If they are those of a majority, what none of them calls fenced is ours again. A node without a lease yet
 * asks again at once, as long as nothing is stopped for the lack of one: a message may have been lost. */
static void round_end(struct heal *h, const struct tick *t, const struct heal_facts *f)
{
	struct once *o = h->once;
	struct map *swap = o->fenced;

	h->once_ended = o->open = false;
	if (!is_majority(h, f->peers, o->granters, o->granter_count)) {
		if (!can_judge(o, t->now))
			o->ask_due = t->now;
		return;
	}
	o->settled = true;
	o->fenced = o->fenced_next;
	o->fenced_next = swap;
	uids_clear(o->fenced_next);
}

static void act_on(struct plan *plan, enum action_kind kind, const char *uid, const char *reason)
{
	struct action *a = plan_add(plan, kind);

	(void)str_copy(a->pod_uid, sizeof(a->pod_uid), uid);
	(void)str_copy(a->reason, sizeof(a->reason), reason);
}

static bool claimed_elsewhere(const struct heal *h, const char *uid)
{
	const struct claim *c = claims_live(h->claims, uid);

	return c && !str_eq(c->node, h->conf.self);
}

/* A claim stops nothing that runs: whoever wants to start the pod needs permits of a majority, and these end our lease or are told
 * with it. It does keep asleep what is stopped. */
struct enforcing { const struct heal_facts *f; struct plan *plan; bool holds, tilted, may_resume; };

static void stop_or_resume(struct heal *h, const struct enforcing *e, const char *uid)
{
	bool stopped = e->f->stopped && map_get(e->f->stopped, uid);
	bool fenced = map_get(h->once->fenced, uid) != NULL;

	if (!stopped && !e->holds)
		act_on(e->plan, ACTION_STOP, uid, "at-most-once: no lease from a majority of the site any more");
	else if (!stopped && fenced)
		act_on(e->plan, ACTION_STOP, uid, "at-most-once: another node may run it");
	else if (stopped && e->holds && !fenced && !claimed_elsewhere(h, uid) && e->may_resume)
		act_on(e->plan, ACTION_RESUME, uid, "at-most-once: the lease is held and nobody else may run it");
}

/* An original is where the cluster wants the pod; a copy that somebody may have overtaken is of no use any more. One whose claim
 * has ended was told to be gone: nothing but its end may follow. */
static void copy_enforce(struct heal *h, const struct enforcing *e, const struct copy *c)
{
	bool ended = !claims_live(h->claims, c->pod_uid), stopped = e->f->stopped && map_get(e->f->stopped, c->pod_uid);

	if (!ended && !h->once->lapsed)
		stop_or_resume(h, e, c->pod_uid);
	else if (!e->tilted)
		act_on(e->plan, ACTION_WITHDRAW, c->pod_uid,
		       ended ? "at-most-once: its claim has ended" : "at-most-once: somebody else may have taken it meanwhile");
	else if (!stopped)
		act_on(e->plan, ACTION_STOP, c->pod_uid, "at-most-once: somebody else may have taken it meanwhile");
}

/* Stopped once, and not of such a workload any more. */
static void resume_others(struct heal *h, const struct enforcing *e)
{
	struct map_entry *next;

	for (struct map_entry *it = map_first(e->f->stopped); it; it = next) {
		const struct pod *p = view_pod(e->f->view, map_key(it));

		next = map_next(it);
		if (p && !once_applies(h, e->f, p))
			act_on(e->plan, ACTION_RESUME, p->uid, "its policy is not at-most-once any more");
	}
}

/* The pods of such workloads on this node: those the cluster put here, and our copies. */
static void lease_enforce(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan)
{
	const struct node *self = view_node(f->view, h->conf.self);
	bool small = site_is_small(h, f->peers), known = mono_is_set(f->peers->as_of);
	struct enforcing e = { .f = f, .plan = plan, .holds = once_holds_lease(h, f->peers, t->now),
			       .tilted = t->tilted, .may_resume = !t->tilted && known && (small || h->once->settled) };

	if (self)
		list_for_each(p, &self->pods, struct pod, by_node)
			if (pod_is_active(p) && !p->is_mirror && once_applies(h, f, p) && !map_get(f->copies, p->uid) &&
			    (!f->running || map_get(f->running, p->uid)))
				stop_or_resume(h, &e, p->uid);
	map_for_each(struct copy, c, f->copies)
		if (is_once(h, f->view, c->workload_uid) && c->state != COPY_DROPPING)
			copy_enforce(h, &e, c);
	if (f->stopped && !t->tilted && known)
		resume_others(h, &e);
	if (mono_is_set(h->once->until) && !mono_reached(t->now, h->once->until))
		plan_wake_at(plan, h->once->until);
}

/* ---- asking for a fence ---- */

static void asking_drop(struct heal *h, struct asking *a)
{
	(void)map_remove(h->once->askings, a->pod_uid);
	free(a);
}

/* The next question, at a time of our own: meanwhile somebody else may have the fence. */
static int64_t fence_retry_ms(const struct heal *h, const char *pod_uid)
{
	uint64_t hash = str_hash(STR_HASH_INIT, pod_uid, strlen(pod_uid));

	hash = str_hash(hash, h->conf.self, strlen(h->conf.self));
	return HEAL_FENCE_RETRY_MS + (int64_t)(hash >> 8 & 3) * HEAL_FENCE_PAUSE_MS;
}

static void fence_ask(struct heal *h, const struct pod *p, const char *node, const struct tick *t, struct plan *plan)
{
	struct asking *a = mem_new(struct asking);
	struct action *act = plan_add(plan, ACTION_ASK_FENCE);

	(void)str_copy(a->pod_uid, sizeof(a->pod_uid), p->uid);
	a->node = node;
	a->asked = t->now;
	(void)map_put(h->once->askings, a->pod_uid, a);
	act->node = node;
	act->declared = t->now;
	(void)str_copy(act->pod_uid, sizeof(act->pod_uid), p->uid);
}

bool once_asks(const struct heal *h, const char *uid, size_t len)
{
	map_for_each(struct asking, a, h->once->askings)
		if (strncmp(a->pod_uid, uid, len) == 0)
			return true;
	return false;
}

/* May the pod of `node` start elsewhere, here or by the cluster? Asks the peers as needed. The node itself needs no fence for
 * its own pods. */
bool once_may_start(struct heal *h, const struct pod *p, const char *node, const struct tick *t, const struct heal_facts *f,
		    struct plan *plan)
{
	struct asking *a = map_get(h->once->askings, p->uid);
	struct fence_question own = { p->uid, node, h->conf.self, f->mirror_version };
	bool fresh = a && mono_since_ms(t->now, a->asked) < HEAL_FENCE_FRESH_MS;

	if (!once_holds_lease(h, f->peers, t->now) || map_get(h->once->fenced, p->uid))
		return false;
	if (node == h->conf.self)
		return true;
	if (site_is_small(h, f->peers))
		return false;
	if (a && fresh && is_majority(h, f->peers, a->voices, a->count) && heal_asked_fence(h, f->view, f->peers, &own, t->now)) {
		asking_drop(h, a);
		return true;
	}
	if (a && mono_since_ms(t->now, a->asked) < fence_retry_ms(h, p->uid)) {
		if (a->ended)
			own_fence_release(h, p->uid, t->now);
		plan_wake_at(plan, mono_add_ms(a->asked, fence_retry_ms(h, p->uid)));
		return false;
	}
	if (a)
		asking_drop(h, a);
	if (heal_asked_fence(h, f->view, f->peers, &own, t->now))	/* we are one of those who must permit it */
		fence_ask(h, p, node, t, plan);
	plan_wake_at(plan, mono_add_ms(t->now, HEAL_FENCE_RETRY_MS));
	return false;
}

/* Of that question and no former one: what was permitted then may have been given to another since. */
static struct asking *asking_of(struct heal *h, const char *pod_uid, struct mono asked)
{
	struct asking *a = map_get(h->once->askings, pod_uid);

	return a && a->asked.ns == asked.ns ? a : NULL;
}

void heal_on_fence(struct heal *h, const char *from, const struct permit *p)
{
	struct asking *a = asking_of(h, p->pod_uid, p->asked);

	if (!a || !p->permits || str_eq(from, h->conf.self) || str_eq(from, a->node) || a->count == SUSPECT_VOICES_MAX)
		return;
	for (size_t i = 0; i < a->count; i++)
		if (str_eq(a->voices[i], from))
			return;
	a->voices[a->count++] = intern(from);
}

void heal_on_fence_end(struct heal *h, const char *pod_uid, struct mono asked)
{
	struct asking *a = asking_of(h, pod_uid, asked);

	if (a)
		a->ended = true;
}

/* ---- one tick ---- */

/* Runs always, tilted or not: to stop what may not run is never too early. A tilt may mean that time has passed unseen. */
void once_tick(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan)
{
	if (mono_is_set(f->peers->as_of) && site_is_small(h, f->peers))
		grants_forget(h);
	lease_count(h, f);
	if (h->once_ended)
		round_end(h, t, f);
	lease_ask(h, t, f, plan);
	if (can_judge(h->once, t->now) || h->once->lapsed || (f->stopped && map_count(f->stopped)))
		lease_enforce(h, t, f, plan);
	else if (mono_is_set(h->once->first_asked))
		plan_wake_at(plan, mono_add_ms(h->once->first_asked, HEAL_LEASE_FIRST_MS));
	fences_tick(h, t, f, plan);
}
