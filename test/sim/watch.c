/* watch.c — what an agent's mirror sees of the API server, and when
 *
 * A change reaches every mirror that is in sync after 5 to 80 ms, as it is then. An agent that comes back lists everything.
 */
#include <string.h>

#include "model/stamp.h"
#include "sim.h"

/* By the API server's clock. */
static struct wall api_wall(int64_t now)
{
	return (struct wall){ SEC(1700000000) + now };
}

static void see_pod(struct world *w, int i, int p)
{
	struct sagent *a = &w->n[i].a;
	const struct spod *x = &w->api.pods[p];
	const struct srs *r = &w->api.rs[x->rs];
	const struct pod *known = view_pod(a->view, x->uid);
	struct pod *pod;

	if (x->gone) {
		view_remove_pod(a->view, x->uid);
		return;
	}
	if (known && known->version == x->version)
		return;
	pod = pod_new();
	(void)str_copy(pod->uid, sizeof(pod->uid), x->uid);
	pod->name = str_dup(x->name);
	pod->ns = r->ns;
	pod->node = x->node < 0 ? NULL : w->n[x->node].name;
	pod->owner = x->mirror ? NULL : intern(r->uid);
	pod->original_uid = x->mirror ? intern(x->original) : NULL;
	pod->copy_of = x->mirror ? intern(r->uid) : NULL;
	pod->is_mirror = x->mirror;
	pod->constraints = r->constraints;
	pod->request = r->request;
	pod->version = x->version;
	pod->created = api_wall(x->created);
	pod->ready_since = x->ready_since;
	pod->phase = x->phase;
	pod->ready = x->ready;
	pod->deleting = x->deleting;
	pod->default_scheduler = true;
	view_put_pod(a->view, pod, node_mono(w, i));
}

static void see_rs(struct world *w, int i, int r)
{
	struct sagent *a = &w->n[i].a;
	const struct srs *x = &w->api.rs[r];
	struct workload *l;

	if (x->gone) {
		view_remove_workload(a->view, x->uid);
		return;
	}
	l = workload_new();
	(void)str_copy(l->uid, sizeof(l->uid), x->uid);
	l->name = str_dup(x->name);
	l->ns = x->ns;
	l->deployment = intern(x->deployment);
	l->version = x->version;
	l->replicas = x->replicas;
	l->ready_replicas = x->ready;
	l->policy = x->policy;
	l->keep = x->keep;
	view_put_workload(a->view, l);
}

static void see_node(struct world *w, int i, int k)
{
	const struct snode *x = &w->n[k];
	struct node *n = node_new();

	n->name = x->name;
	n->version = w->api.node[k].version;
	n->allocatable = x->allocatable;
	n->ready = w->api.node[k].ready;
	n->label_count = 1;
	n->labels = mem_new(struct label);
	n->labels[0] = (struct label){ intern(LABEL_ZONE), x->site };
	if (w->api.node[k].tainted) {
		n->taint_count = 1;
		n->taints = mem_new(struct taint);
		n->taints[0] = (struct taint){ intern(HEAL_TAINT), intern(""), TAINT_NO_SCHEDULE };
	}
	view_put_node(w->n[i].a.view, n);
}

static void on_watch(struct world *w, const struct event *e)
{
	struct sagent *a = &w->n[e->a.node].a;

	if (!a->up || a->life != e->a.life || !mono_is_set(a->synced_at) || !api_ok(w, e->a.node))
		return;
	if (e->a.other == WATCHED_POD)
		see_pod(w, e->a.node, (int)e->a.n);
	else if (e->a.other == WATCHED_RS)
		see_rs(w, e->a.node, (int)e->a.n);
	else
		see_node(w, e->a.node, (int)e->a.n);
	a->mirror_version = stamp_of(api_wall(w->now));
	tags_soon(w, e->a.node);
	agent_soon(w, e->a.node);
}

void watch_tell(struct world *w, enum watched kind, int index)
{
	for (int i = 0; i < w->nodes; i++)
		if (w->n[i].a.up && mono_is_set(w->n[i].a.synced_at) && api_ok(w, i))
			after_ms(w, roll_in(w, 5, 80), on_watch,
				 (struct about){ .node = i, .other = (int)kind, .n = index, .life = w->n[i].a.life });
}

/* Everything, at once; the mirror is in sync then. */
void watch_fill(struct world *w, int i)
{
	for (int k = 0; k < w->nodes; k++)
		see_node(w, i, k);
	for (int r = 0; r < w->api.rs_count; r++)
		see_rs(w, i, r);
	for (int p = 0; p < w->api.pod_count; p++)
		see_pod(w, i, p);
	w->n[i].a.mirror_version = stamp_of(api_wall(w->now));
}

static void on_sync(struct world *w, const struct event *e)
{
	struct sagent *a = &w->n[e->a.node].a;

	if (!a->up || a->life != e->a.life)
		return;
	a->sync_pending = false;
	if (!api_ok(w, e->a.node) || a->link.state != LINK_ONLINE)
		return;
	watch_fill(w, e->a.node);
	if (!mono_is_set(a->synced_at))
		a->synced_at = node_mono(w, e->a.node);
	tell(w, e->a.node, "mirror is in sync");
	tags_soon(w, e->a.node);
	agent_soon(w, e->a.node);
}

void api_resync(struct world *w, int i)
{
	struct sagent *a = &w->n[i].a;

	if (a->sync_pending)
		return;
	a->sync_pending = true;
	after_ms(w, roll_in(w, 50, 500), on_sync, (struct about){ .node = i, .life = a->life });
}
