/* reconcile.c — what becomes of our copies
 *
 * A copy ends in one of these ways, looked at in this order:
 *   its claim lost against another live one           → withdraw (the other copy stays)
 *   it did not run within start_timeout               → withdraw (the next rank's turn)
 *   link online and the mirror in sync:
 *     the original pod is Ready on its living node    → drop
 *     its ReplicaSet has all its own pods Ready       → drop   (also: scaled down)
 *     its ReplicaSet is gone, or scaled to 0, for gone_grace → drop   (a stale mirror looks the same)
 *     nobody else runs it and its node is still lost  → delete the lost API pod, so that the ReplicaSet makes its own; keep ours
 *
 * Make before break: nothing is dropped because something better is promised, only because it is Ready. A "Ready" that may be
 * older than the outage (the API server shows the last status of a dead kubelet) is not believed: the pod must have become
 * Ready after we took over, or its node must have looked healthy for HEAL_SETTLE_MS.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "heal_int.h"

/* By uid: a lost API pod that we asked to be deleted, or a ReplicaSet first seen missing or scaled to 0. */
struct mark {
	char uid[UID_SIZE];
	struct mono at;
};

static struct mark *mark_find(const struct heal *h, const char *uid)
{
	return map_get(h->marks, uid);
}

static struct mark *mark_add(struct heal *h, const char *uid, struct mono now)
{
	struct mark *m = mem_new(struct mark);

	(void)str_copy(m->uid, sizeof(m->uid), uid);
	m->at = now;
	(void)map_put(h->marks, m->uid, m);
	return m;
}

static void mark_remove(struct heal *h, const char *uid)
{
	free(map_remove(h->marks, uid));
}

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

static bool ready_is_true(const struct heal_facts *f, const struct pod *p, const struct copy *c, struct mono now)
{
	const struct node *n = p->node ? view_node(f->view, p->node) : NULL;
	int64_t alive_ms = p->node ? alive_for_ms(f, p->node, now) : -1;

	if (p->phase != POD_RUNNING || !p->ready || p->deleting || p->is_mirror || !n || !n->ready || alive_ms < 0)
		return false;
	if (c->claimed.ns && p->ready_since.ns > c->claimed.ns)
		return true;
	return alive_ms >= HEAL_SETTLE_MS && mono_since_ms(now, f->link_since) >= HEAL_SETTLE_MS;
}

static int own_ready(const struct heal_facts *f, const struct workload *w, const struct copy *c, struct mono now)
{
	int n = 0;

	list_for_each(p, &w->pods, struct pod, by_owner)
		n += ready_is_true(f, p, c, now);
	return n;
}

/* Delete the lost pod from the API: once, and again only if it is still there much later. */
static void copy_replace_original(struct heal *h, const struct copy *c, const struct pod *p, const struct tick *t,
				  struct plan *plan)
{
	struct mark *m = mark_find(h, c->pod_uid);

	if (m && mono_since_ms(t->now, m->at) < HEAL_REPLACE_RETRY_MS) {
		plan_wake_at(plan, mono_add_ms(m->at, HEAL_REPLACE_RETRY_MS));
		return;
	}
	if (m)
		m->at = t->now;
	else
		(void)mark_add(h, c->pod_uid, t->now);
	copy_action(plan, ACTION_REPLACE, c, "node is lost: let its ReplicaSet replace it")->node = p->node;
}

/* The ReplicaSet is gone or wants no pods. A stale mirror looks the same: the grace begins with a synced one. */
static void unwanted_reconcile(struct heal *h, const struct copy *c, const struct tick *t, const struct heal_facts *f,
			       struct plan *plan, const char *reason)
{
	struct mark *m = mark_find(h, c->workload_uid);
	struct mono due;

	if (!m)
		m = mark_add(h, c->workload_uid, t->now);
	if (m->at.ns < f->synced_at.ns)
		m->at = f->synced_at;
	due = mono_add_ms(m->at, h->conf.gone_grace_ms);
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

static void copy_reconcile(struct heal *h, const struct copy *c, const struct tick *t, const struct heal_facts *f,
			   struct plan *plan)
{
	const struct workload *w = view_workload(f->view, c->workload_uid);
	const struct pod *p = view_pod(f->view, c->pod_uid);

	if (!w || w->deleting || w->replicas == 0) {
		unwanted_reconcile(h, c, t, f, plan, w && !w->deleting ? "ReplicaSet is scaled to 0" : "ReplicaSet is gone");
		return;
	}
	mark_remove(h, c->workload_uid);
	if (p && ready_is_true(f, p, c, t->now))
		copy_action(plan, ACTION_DROP, c, "original is back");
	else if (own_ready(f, w, c, t->now) >= w->replicas)
		copy_action(plan, ACTION_DROP, c, "ReplicaSet has its own pods Ready");
	else if (p && original_is_lost(h, f, p))
		copy_replace_original(h, c, p, t, plan);
	else
		plan_wake_at(plan, mono_add_ms(t->now, HEAL_SETTLE_MS));
}

static bool claim_is_lost(const struct heal *h, const struct copy *c)
{
	const struct claim *live = claims_live(h->claims, c->pod_uid);

	return live && !str_eq(live->node, h->conf.self) && live->epoch >= c->epoch;
}

static void copy_tick(struct heal *h, const struct copy *c, const struct tick *t, const struct heal_facts *f,
		      struct plan *plan)
{
	char reason[REASON_SIZE];

	if (c->state == COPY_DROPPING)
		return;
	if (claim_is_lost(h, c)) {
		(void)snprintf(reason, sizeof(reason), "lost the claim to %.100s", claims_live(h->claims, c->pod_uid)->node);
		copy_action(plan, ACTION_WITHDRAW, c, reason);
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

static void marks_clear(struct heal *h)
{
	map_for_each(struct mark, m, h->marks)
		mark_remove(h, m->uid);
}

void copies_tick(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan)
{
	map_for_each(struct copy, c, f->copies)
		copy_tick(h, c, t, f, plan);
	if (map_count(f->copies) == 0)
		marks_clear(h);
}

void copies_free(struct heal *h)
{
	marks_clear(h);
	map_free(h->marks);
}
