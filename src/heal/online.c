/* online.c — a node is lost and the API server answers: the cluster replaces its pods now, not in five minutes
 *
 *   1. the node gets the taint edge-healer.io/unreachable:NoSchedule
 *   2. when it has it, its pods of ReplicaSets are deleted (grace 0, uid precondition): each ReplicaSet makes its replacement
 *      at once
 *   3. what nobody schedules is bound as any Pending pod is (loss.c)
 *   4. when the node is back the taint goes
 *
 * Never for a node that a port, a peer or its own Lease proves to be alive: its Lease has been read before anything is done,
 * and is read again while it is lost. One healer acts at a time: the first by name of those online at once, the next ones if
 * nothing happens.
 *
 * Unresolved: a node cut off from its peers but not from the API server renews its Lease every 10 s; a loss is declared about
 * 6 s after the cut. In between its Lease proves nothing yet, and its pods may be replaced although they ran. Who would rather
 * wait sets heal.lease_grace to 12 s: then nothing is done before its Lease has missed a renewal, which costs up to 6 s.
 */
#include <stdio.h>

#include "base/str.h"
#include "heal_int.h"

#define MARK_KEY_SIZE (NODE_NAME_SIZE + 16)

static bool is_tainted(const struct node *n)
{
	for (size_t i = 0; i < n->taint_count; i++)
		if (str_eq(n->taints[i].key, HEAL_TAINT))
			return true;
	return false;
}

static void taint_key(char key[MARK_KEY_SIZE], const struct node *n, bool wanted)
{
	(void)snprintf(key, MARK_KEY_SIZE, "%s %s", wanted ? "taint" : "untaint", n->name);
}

static void taint_set(struct heal *h, const struct node *n, bool wanted, const struct tick *t, struct plan *plan)
{
	char key[MARK_KEY_SIZE];

	taint_key(key, n, wanted);
	if (is_tainted(n) == wanted || !mark_take(h, key, HEAL_TAINT_RETRY_MS, t->now, plan))
		return;
	plan_add(plan, wanted ? ACTION_TAINT : ACTION_UNTAINT)->node = n->name;
}

/* Before it has the taint the scheduler would put the replacements on the dead node. Who may not write it is not waited for. */
static bool taint_is_awaited(const struct heal *h, const struct node *n, const struct tick *t, struct plan *plan)
{
	char key[MARK_KEY_SIZE];
	struct mono due;

	taint_key(key, n, true);
	due = mono_add_ms(mark_at(h, key), HEAL_TAINT_WAIT_MS);
	if (is_tainted(n) || mono_reached(t->now, due))
		return false;
	plan_wake_at(plan, due);
	return true;
}

/* StatefulSets have no ReplicaSet and are never ours. A volume may still be attached to the lost node: only on request. */
static bool may_replace(const struct heal *h, const struct heal_facts *f, const struct pod *p)
{
	const struct workload *w = p->owner ? view_workload(f->view, p->owner) : NULL;

	return w && lost_pod_counts(h, f, p) && policy_of(h, w) != POLICY_NEVER &&
	       (!p->has_claims || w->policy == POLICY_AT_LEAST_ONCE);
}

static void pod_replace(struct heal *h, const struct pod *p, const struct tick *t, const struct heal_facts *f,
			struct plan *plan)
{
	struct action *a;

	if (!may_replace(h, f, p))
		return;
	if (!mark_is_due(h, p->uid, HEAL_REPLACE_RETRY_MS, t->now, plan))
		return;
	if (once_applies(h, f, p) && (pod_is_held(h, f, p->uid) || suspect_may_run(h, p->node) ||
				      !once_may_start(h, p, p->node, t, f, plan)))
		return;			/* its copy runs, or nobody knows yet that it has stopped */
	if (!budget_take(h, t->now, plan))
		return;
	mark_put(h, p->uid, t->now);
	a = plan_add(plan, ACTION_REPLACE);
	(void)str_copy(a->pod_uid, sizeof(a->pod_uid), p->uid);
	(void)str_copy(a->reason, sizeof(a->reason), "its node is lost: its ReplicaSet replaces it");
	a->node = p->node;
	a->declared = t->now;
}

static void lost_node_tick(struct heal *h, const struct suspect *s, const struct tick *t, const struct heal_facts *f,
			   struct plan *plan)
{
	const struct node *n = view_node(f->view, s->node);
	struct mono turn = mono_add_ms(s->since, online_turn_ms(h, f->peers, t->now));

	if (!n || !s->lease_read || s->lease_alive)
		return;
	if (!mono_reached(t->now, turn)) {
		plan_wake_at(plan, turn);
		return;
	}
	taint_set(h, n, true, t, plan);
	if (taint_is_awaited(h, n, t, plan))
		return;
	list_for_each(p, &n->pods, struct pod, by_node)
		pod_replace(h, p, t, f, plan);
}

/* Alive in gossip, or proven alive in spite of it; or no member any more that the API server calls Ready. since: of that. */
static bool is_back(const struct heal *h, const struct heal_facts *f, const struct node *n, struct mono *out_since)
{
	const struct peer *p = peers_find(f->peers, n->name);
	bool member = p && p->status != PEER_LEFT;

	if (member && !in_my_site(h, p))
		return false;
	*out_since = member ? p->status_since : mono_add_ms(f->synced_at, HEAL_API_SETTLE_MS);
	return member ? p->status == PEER_ALIVE || suspect_is_alive(h, n->name) : n->ready;
}

static void nodes_back(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan)
{
	int64_t turn_ms = online_turn_ms(h, f->peers, t->now);

	map_for_each(struct node, n, f->view->nodes) {
		struct mono since;

		if (!is_tainted(n) || !is_back(h, f, n, &since))
			continue;
		if (mono_since_ms(t->now, since) >= turn_ms)
			taint_set(h, n, false, t, plan);
		else
			plan_wake_at(plan, mono_add_ms(since, turn_ms));
	}
}

void online_tick(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan)
{
	if (f->link != LINK_ONLINE || !mono_is_set(f->synced_at))
		return;
	nodes_back(h, t, f, plan);
	if (h->breaker_open || !heal_has_majority(h, f->peers))
		return;
	map_for_each(struct suspect, s, h->suspects)
		if (s->state == SUSPECT_LOST)
			lost_node_tick(h, s, t, f, plan);
}
