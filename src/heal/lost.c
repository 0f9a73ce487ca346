/* lost.c — which pods are ours to bring back
 *
 * Only pods of ReplicaSets that the mirror knows, in the wanted namespaces; never more of a ReplicaSet than its replicas less
 * those of its pods that run on living nodes, are held by a living claimant, or are being restored already.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "heal_int.h"

bool heal_wants_namespace(const struct heal_conf *conf, const char *ns)
{
	bool wanted = false;

	for (size_t i = 0; i < conf->namespace_count; i++) {
		const char *glob = conf->namespaces[i];

		if (*glob == '!' && str_glob(glob + 1, ns))
			wanted = false;
		else if (*glob != '!' && str_glob(glob, ns))
			wanted = true;
	}
	return wanted;
}

enum heal_policy policy_of(const struct heal *h, const struct workload *w)
{
	return w->policy == POLICY_DEFAULT ? h->conf.policy : w->policy;
}

/* Why this pod is not ours to restore offline; NULL = it is. */
const char *offline_refusal(const struct heal *h, const struct pod *p, const struct workload *w)
{
	enum heal_policy policy = policy_of(h, w);

	if (policy == POLICY_NEVER)
		return "policy never";
	if (p->has_claims)
		return "it uses a PersistentVolumeClaim, ephemeral volume or resource claim";
	return w->refusal;
}

const char *heal_leaves_alone(const struct heal *h, const struct view *view, const struct pod *p)
{
	const struct workload *w = p->owner ? view_workload(view, p->owner) : NULL;

	if (!w || w->deleting || p->is_mirror || !p->constraints)
		return "no ReplicaSet of the mirror owns it";
	if (!heal_wants_namespace(&h->conf, p->ns))
		return "heal.namespaces leaves its namespace out";
	if (!p->default_scheduler)
		return "its schedulerName is not default-scheduler";
	if (p->gated)
		return "it has scheduling gates";
	if (p->has_claims)
		return "it uses a PersistentVolumeClaim, ephemeral volume or resource claim";
	return policy_of(h, w) == POLICY_NEVER ? "policy never" : NULL;
}

/* Pending pods of a ReplicaSet that nobody scheduled; others are not ours. */
bool unbound_is_ours(const struct heal *h, const struct heal_facts *f, const struct pod *p)
{
	return !p->node && !p->deleting && p->phase == POD_PENDING && !heal_leaves_alone(h, f->view, p);
}

/* Does somebody alive hold the pod already? A claim of ours counts only while we have the copy. */
bool pod_is_held(const struct heal *h, const struct heal_facts *f, const char *uid)
{
	const struct claim *c = claims_live(h->claims, uid);

	if (map_get(f->copies, uid))
		return true;
	return c && !str_eq(c->node, h->conf.self) && !holder_has_lost(h, c->node, uid);
}

bool lost_pod_counts(const struct heal *h, const struct heal_facts *f, const struct pod *p)
{
	const struct workload *w = p->owner ? view_workload(f->view, p->owner) : NULL;

	return w && !w->deleting && w->replicas > 0 && pod_is_active(p) && !p->deleting && !p->is_mirror && p->constraints &&
	       heal_wants_namespace(&h->conf, p->ns);
}

/* Runs, or will without anything more being done. A claimed pod is where its claim says. */
static bool pod_is_covered(const struct heal *h, const struct heal_facts *f, const struct pod *p, struct mono now)
{
	const struct loss *l = map_get(h->losses, p->uid);
	enum loss_cause cause;

	if (pod_is_held(h, f, p->uid) || (l && l->cause != LOSS_UNBOUND && l->state <= LOSS_ACTING && l->rank_count))
		return true;
	if (home_has_lost(h, f, p, now, &cause))
		return false;
	return pod_is_active(p) && !p->deleting && !claims_live(h->claims, p->uid) && !holder_has_lost(h, p->node, p->uid);
}

bool workload_wants_more(const struct heal *h, const struct heal_facts *f, const struct workload *w, const struct batch *b,
			 struct mono now)
{
	const char *uid = intern(w->uid);
	int32_t have = 0;

	list_for_each(p, &w->pods, struct pod, by_owner)
		have += pod_is_covered(h, f, p, now);
	for (size_t i = 0; i < b->count; i++)
		have += b->pods[i].owner == uid;
	return have < w->replicas;
}

void lost_add(struct lost_pods *l, const struct pod *p)
{
	if (l->count == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 32;
		l->items = mem_resize(l->items, l->cap, sizeof(l->items[0]));
	}
	l->items[l->count++] = p;
}

static int lost_order(const void *x, const void *y)
{
	const struct pod *a = *(const struct pod *const *)x, *b = *(const struct pod *const *)y;
	int d;

	if (a->priority != b->priority)
		return a->priority > b->priority ? -1 : 1;
	d = strcmp(a->ns, b->ns);
	d = d ? d : strcmp(a->name, b->name);
	return d ? d : strcmp(a->uid, b->uid);
}

void lost_sort(struct lost_pods *l)
{
	size_t n = 0;

	if (l->count > 1)
		qsort(l->items, l->count, sizeof(l->items[0]), lost_order);
	for (size_t i = 0; i < l->count; i++)
		if (!n || l->items[n - 1] != l->items[i])
			l->items[n++] = l->items[i];
	l->count = n;
}
