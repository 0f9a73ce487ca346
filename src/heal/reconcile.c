/* reconcile.c — what becomes of our copies
 *
 * A copy ends in one of these ways, looked at in this order:
 *   its claim lost against another live one           → withdraw (the other copy stays)
 *   it did not run within start_timeout               → withdraw (the next rank's turn)
 *   link online and the mirror in sync:
 *     a newer ReplicaSet of its Deployment is Ready   → drop   (newer template wins)
 *     its ReplicaSet is gone, or scaled to 0, for gone_grace → drop   (a stale mirror looks the same)
 *     the original pod is Ready on its living node    → drop, or by policy the original is evicted and replaced first
 *     its ReplicaSet has all its own pods Ready       → drop   (also: scaled down)
 *     it and the other copies are more than is missing → drop   (room.c)
 *     its replacement finds room nowhere else         → drop   (room.c)
 *     nobody else runs it and its node is still lost  → delete the lost API pod, so that the ReplicaSet makes its own; keep ours
 *
 * Policy: best and keep_original keep a Ready original; keep_original also leaves a lost one its place for gone_grace before
 * it is replaced. keep_replacement has a Ready original evicted (as its disruption budgets allow), so that what replaces it
 * takes over from the copy. longest keeps whichever has run longer: an original that became Ready after our copy ran is
 * evicted.
 *
 * Make before break: nothing is dropped because something better is promised, only because it is Ready. A "Ready" that may be
 * older than the outage (the API server shows the last status of a dead kubelet) is not believed: the pod must have become
 * Ready after we took over, or its node must have looked healthy for HEAL_SETTLE_MS and reach the API server itself.
 *
 * At most once is the other way round, break before make: a copy ends as soon as its own node is back or the cluster has
 * bound another pod of its ReplicaSet, and nothing is replaced while it runs.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "heal_int.h"

#define NOTE_SURPLUS "ReplicaSet has its own pods Ready, but for those that other copies stand in for"
#define NOTE_ROOM "its replacement has room nowhere else"

static struct action *copy_action(struct plan *plan, enum action_kind kind, const struct copy *c, const char *reason)
{
	struct action *a = plan_add(plan, kind);

	(void)str_copy(a->pod_uid, sizeof(a->pod_uid), c->pod_uid);
	a->node = intern(c->lost_node);
	a->epoch = c->epoch;
	a->rank = c->rank;
	(void)str_copy(a->reason, sizeof(a->reason), reason);
	return a;
}

/* How long the node has been alive in gossip; negative = it is not. */
static int64_t alive_for_ms(const struct heal_facts *f, const char *node, struct mono now)
{
	const struct peer *p = peers_find(f->peers, node);

	return p && p->status == PEER_ALIVE ? mono_since_ms(now, p->status_since) : -1;
}

/* Its own link is online, so that its kubelet can say what is Ready. */
static bool is_online(const struct heal *h, const struct heal_facts *f, const char *node, struct mono now)
{
	const struct peer *p = peers_find(f->peers, node);

	return p && (p->name == h->conf.self || peer_knows_api(h, p, now));
}

/* Gossip does not show the node: it has no healer, or its serf is gone for good. The control plane calls a silent node NotReady
 * within a minute, so that what it calls Ready after that is. */
static bool api_alone_is_true(const struct heal *h, const struct heal_facts *f, const char *node, struct mono now)
{
	return !suspect_is_lost(h, node) && mono_since_ms(now, f->synced_at) >= HEAL_API_SETTLE_MS;
}

static bool ready_is_true(const struct heal *h, const struct heal_facts *f, const struct pod *p, const struct copy *c,
			  struct mono now)
{
	const struct node *n = p->node ? view_node(f->view, p->node) : NULL;
	int64_t alive_ms = p->node ? alive_for_ms(f, p->node, now) : -1;

	if (p->phase != POD_RUNNING || !p->ready || p->deleting || p->is_mirror || !n || !n->ready)
		return false;
	if (alive_ms < 0)
		return api_alone_is_true(h, f, p->node, now);
	if (!is_online(h, f, p->node, now))
		return false;
	if (c->claimed.ns && p->ready_since.ns > c->claimed.ns)
		return true;
	return alive_ms >= HEAL_SETTLE_MS && mono_since_ms(now, f->link_since) >= HEAL_SETTLE_MS;
}

int ready_pods(const struct heal *h, const struct heal_facts *f, const struct copy *c, struct mono now)
{
	const struct workload *w = view_workload(f->view, c->workload_uid);
	int n = 0;

	if (!w)
		return 0;
	list_for_each(p, &w->pods, struct pod, by_owner)
		n += ready_is_true(h, f, p, c, now);
	return n;
}

/* Once, and again only if it is still there much later. */
static void original_end(struct heal *h, const struct copy *c, const struct pod *p, const struct tick *t, struct plan *plan,
			 bool healthy)
{
	enum action_kind kind = healthy ? ACTION_EVICT : ACTION_REPLACE;
	const char *reason = healthy ? "policy keeps what replaces it" : "node is lost: let its ReplicaSet replace it";

	if (mark_take(h, c->pod_uid, HEAL_REPLACE_RETRY_MS, t->now, plan))
		copy_action(plan, kind, c, reason)->node = p->node;
}

/* The ReplicaSet is gone or wants no pods. A stale mirror looks the same: the grace begins with a synced one. */
static void unwanted_reconcile(struct heal *h, const struct copy *c, const struct tick *t, const struct heal_facts *f,
			       struct plan *plan, const char *reason)
{
	struct mono since = mark_at(h, c->workload_uid), due;

	if (since.ns < f->synced_at.ns || !mono_is_set(since)) {
		since = mono_is_set(since) ? f->synced_at : t->now;
		mark_put(h, c->workload_uid, since);
	}
	due = mono_add_ms(since, h->conf.gone_grace_ms);
	if (mono_reached(t->now, due))
		copy_action(plan, ACTION_DROP, c, reason);
	else
		plan_wake_at(plan, due);
}

/* Its node is lost by witnesses; that the control plane misses the node too is the second piece of evidence. */
static bool original_is_lost(const struct heal *h, const struct heal_facts *f, const struct pod *p)
{
	const struct node *n = p->node ? view_node(f->view, p->node) : NULL;

	return p->node && !p->deleting && suspect_is_lost(h, p->node) && heal_has_majority(h, f->peers) && (!n || !n->ready);
}

/* The Deployment has moved on and its newer pods are Ready. */
static bool newer_is_ready(const struct heal_facts *f, const struct workload *w)
{
	if (!w->deployment)
		return false;
	map_for_each(struct workload, o, f->view->workloads)
		if (o != w && o->ns == w->ns && o->deployment == w->deployment && !o->deleting && o->replicas > 0 &&
		    o->ready_replicas >= o->replicas)
			return true;
	return false;
}

static void copy_unwanted(struct heal *h, const struct copy *c, const struct tick *t, const struct heal_facts *f,
			  struct plan *plan)
{
	const struct workload *w = view_workload(f->view, c->workload_uid);

	if (w && !w->deleting && newer_is_ready(f, w))
		copy_action(plan, ACTION_DROP, c, "a newer ReplicaSet of its Deployment is Ready");
	else
		unwanted_reconcile(h, c, t, f, plan, w && !w->deleting ? "ReplicaSet is scaled to 0" : "ReplicaSet is gone");
}

static enum keep_policy keep_of(const struct heal *h, const struct workload *w)
{
	return w->keep == KEEP_DEFAULT ? h->conf.keep : w->keep;
}

/* Both run, and both are healthy. */
static bool original_goes(enum keep_policy keep, const struct copy *c, const struct pod *p)
{
	return keep == KEEP_REPLACEMENT || (keep == KEEP_LONGEST && c->running.ns && p->ready_since.ns > c->running.ns);
}

/* keep_original: its node may come back yet. */
static bool waits_for_original(enum keep_policy keep, const struct heal *h, const struct heal_facts *f, const struct tick *t,
			       struct plan *plan)
{
	struct mono due = mono_add_ms(f->synced_at, h->conf.gone_grace_ms);

	if (keep != KEEP_ORIGINAL || mono_reached(t->now, due))
		return false;
	plan_wake_at(plan, due);
	return true;
}

/* Gossip and the control plane agree: one of them alone may be cut off from it. */
static bool node_is_away(const struct heal *h, const struct heal_facts *f, const char *name)
{
	const struct node *n = view_node(f->view, name);

	return suspect_is_lost(h, name) && (!n || !n->ready);
}

/* Other pods of its ReplicaSet that the cluster has put on nodes which are there. */
static int32_t others_of_cluster(const struct heal *h, const struct heal_facts *f, const struct workload *w, const struct copy *c)
{
	int32_t n = 0;

	list_for_each(p, &w->pods, struct pod, by_owner)
		n += pod_is_active(p) && !p->deleting && !p->is_mirror && !str_eq(p->uid, c->pod_uid) &&
		     !node_is_away(h, f, p->node) && !claims_live(h->claims, p->uid);
	return n;
}

static void once_reconcile(struct heal *h, const struct copy *c, const struct tick *t, const struct heal_facts *f,
			   struct plan *plan)
{
	const struct workload *w = view_workload(f->view, c->workload_uid);
	const struct pod *p = view_pod(f->view, c->pod_uid);
	int32_t others = others_of_cluster(h, f, w, c);

	if (p && pod_is_active(p) && !p->deleting && (p->node == h->conf.self || alive_for_ms(f, p->node, t->now) >= 0))
		copy_action(plan, ACTION_DROP, c, "original is back on its node: at most once");
	else if (others >= w->replicas || copy_is_surplus(h, c, others, w->replicas))
		copy_action(plan, ACTION_DROP, c, "ReplicaSet has its own pod: at most once");
	else if (room_is_owed(h, c, t, f, plan))
		copy_action(plan, ACTION_DROP, c, NOTE_ROOM);
}

/* A pod of this very node: our own cgroups tell better than the API server whether it runs. kubelet needs a while to start it when
 * the API server is back, and the copy runs meanwhile. Whatever the policy, the original stays: it is on the same machine. */
static void home_reconcile(struct heal *h, const struct copy *c, const struct tick *t, const struct heal_facts *f,
			   struct plan *plan)
{
	const struct pod *p = view_pod(f->view, c->pod_uid);
	struct mono due = mono_add_ms(f->link_since, HEAL_HOME_MS);

	if (f->running && map_get(f->running, p->uid) && p->ready)
		copy_action(plan, ACTION_DROP, c, "original is back");
	else if (f->running && !map_get(f->running, p->uid) && mono_reached(t->now, due) && !p->deleting)
		original_end(h, c, p, t, plan, false);
	else
		plan_wake_at(plan, mono_reached(t->now, due) ? mono_add_ms(t->now, HEAL_SETTLE_MS) : due);
}

static void copy_reconcile(struct heal *h, const struct copy *c, const struct tick *t, const struct heal_facts *f,
			   struct plan *plan)
{
	const struct workload *w = view_workload(f->view, c->workload_uid);
	const struct pod *p = view_pod(f->view, c->pod_uid);
	enum keep_policy keep;

	if (!w || w->deleting || w->replicas == 0) {
		copy_unwanted(h, c, t, f, plan);
		return;
	}
	mark_remove(h, c->workload_uid);
	if (policy_of(h, w) == POLICY_AT_MOST_ONCE) {
		once_reconcile(h, c, t, f, plan);
		return;
	}
	if (p && p->node == h->conf.self && pod_is_active(p)) {
		home_reconcile(h, c, t, f, plan);
		return;
	}
	keep = keep_of(h, w);
	if (p && ready_is_true(h, f, p, c, t->now) && original_goes(keep, c, p))
		original_end(h, c, p, t, plan, true);
	else if (p && ready_is_true(h, f, p, c, t->now))
		copy_action(plan, ACTION_DROP, c, "original is back");
	else if (ready_pods(h, f, c, t->now) >= w->replicas)
		copy_action(plan, ACTION_DROP, c, "ReplicaSet has its own pods Ready");
	else if (copy_is_surplus(h, c, ready_pods(h, f, c, t->now), w->replicas))
		copy_action(plan, ACTION_DROP, c, NOTE_SURPLUS);
	else if (room_is_owed(h, c, t, f, plan))
		copy_action(plan, ACTION_DROP, c, NOTE_ROOM);
	else if (p && original_is_lost(h, f, p) && !waits_for_original(keep, h, f, t, plan))
		original_end(h, c, p, t, plan, false);
	else
		plan_wake_at(plan, mono_add_ms(t->now, HEAL_SETTLE_MS));
}

static bool claim_is_lost(const struct heal *h, const struct copy *c)
{
	const struct claim *live = claims_live(h->claims, c->pod_uid);

	return live && !str_eq(live->node, h->conf.self) && live->epoch >= c->epoch;
}

/* What runs goes for what runs. What may run at most once goes at once, and so does what has not started yet. */
static bool must_yield(struct heal *h, const struct copy *c, const struct heal_facts *f)
{
	const struct workload *w = view_workload(f->view, c->workload_uid);

	if (!claim_is_lost(h, c)) {
		overtake_ended(h->overtakes, c->pod_uid);
		return false;
	}
	if (c->state != COPY_RUNNING || !w || policy_of(h, w) == POLICY_AT_MOST_ONCE)
		return true;
	return overtake_is_confirmed(h->overtakes, c->pod_uid, claims_live(h->claims, c->pod_uid)->node);
}

/* kubelet saw the API server for a moment that we did not see, and started the pod itself. */
static bool runs_twice_here(const struct heal *h, const struct copy *c, const struct heal_facts *f)
{
	const struct workload *w = view_workload(f->view, c->workload_uid);

	return w && policy_of(h, w) == POLICY_AT_MOST_ONCE && f->running && map_get(f->running, c->pod_uid);
}

static void copy_tick(struct heal *h, const struct copy *c, const struct tick *t, const struct heal_facts *f,
		      struct plan *plan)
{
	char reason[REASON_SIZE];

	if (c->state == COPY_DROPPING)
		return;
	if (must_yield(h, c, f)) {
		(void)snprintf(reason, sizeof(reason), "lost the claim to %.100s", claims_live(h->claims, c->pod_uid)->node);
		copy_action(plan, ACTION_WITHDRAW, c, reason);
		return;
	}
	if (runs_twice_here(h, c, f)) {
		copy_action(plan, ACTION_DROP, c, "original runs here again: at most once");
		return;
	}
	if (c->state == COPY_STARTING && mono_is_set(c->deadline)) {
		if (mono_reached(t->now, c->deadline)) {
			copy_action(plan, ACTION_WITHDRAW, c, "did not start in time");
			return;
		}
		plan_wake_at(plan, c->deadline);
	}
	if (f->link == LINK_ONLINE && mono_is_set(f->synced_at))
		copy_reconcile(h, c, t, f, plan);
}

void copies_tick(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan)
{
	if (f->link == LINK_ONLINE && map_count(f->copies))
		standins_collect(h, f);
	map_for_each(struct copy, c, f->copies)
		copy_tick(h, c, t, f, plan);
	overtakes_tick(h->overtakes, t, f, plan);
}
