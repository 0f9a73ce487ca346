/* api.c — the control plane: objects, ReplicaSets, the scheduler, the node lifecycle
 *
 * A ReplicaSet replaces what was deleted, within 200 ms. The scheduler, where there is one, binds what is Pending. A node whose kubelet
 * was not heard of for 40 s is NotReady, 300 s later its pods are deleted: gracefully, so that those of a dead node stay. While the
 * API server is down its controllers rest. Watches are in watch.c.
 */
#include <stdio.h>
#include <string.h>

#include "sim.h"

enum { NOT_READY_S = 40, EVICT_S = 300, LEASE_S = 10, RETRY_MS = 1000, SCHEDULE_RETRY_MS = 5000 };

/* For everybody, and its controllers rest. */
bool api_is_down(const struct world *w)
{
	const struct snode *host = w->api.host < 0 ? NULL : &w->n[w->api.host];

	return w->api.down || (host && (!host->up || host->suspended));
}

bool api_ok(const struct world *w, int i)
{
	const struct snode *n = &w->n[i];

	return n->up && !n->suspended && !n->api_cut && !api_is_down(w) &&
	       (w->api.host < 0 || i == w->api.host || reaches(w, i, w->api.host));
}

int api_pod(const struct world *w, const char *uid)
{
	for (int p = w->api.pod_count - 1; p >= 0; p--)
		if (!w->api.pods[p].gone && str_eq(w->api.pods[p].uid, uid))
			return p;
	return -1;
}

int rs_find(const struct world *w, const char *uid)
{
	for (int r = 0; r < w->api.rs_count; r++)
		if (str_eq(w->api.rs[r].uid, uid))
			return r;
	return -1;
}

static bool is_active(const struct spod *p)
{
	return !p->gone && p->node >= 0 && p->phase < POD_SUCCEEDED;
}

static struct resources free_but(const struct world *w, int i, bool without_copies)
{
	struct resources left = w->n[i].allocatable;

	for (int p = 0; p < w->api.pod_count; p++)
		if (is_active(&w->api.pods[p]) && w->api.pods[p].node == i && !(without_copies && w->api.pods[p].mirror))
			resources_sub(&left, &w->api.rs[w->api.pods[p].rs].request);
	return left;
}

struct resources api_free(const struct world *w, int i)
{
	return free_but(w, i, false);
}

/* ---- the scheduler ---- */

bool may_host(const struct world *w, int p, int i, bool without_copies)
{
	const struct srs *r = &w->api.rs[w->api.pods[p].rs];
	struct resources left = free_but(w, i, without_copies);

	if (!w->api.node[i].ready || w->api.node[i].tainted || !resources_fit(&r->request, &left))
		return false;
	return !r->constraints->selector_count || str_eq(r->constraints->selector[0].value, w->n[i].site);
}

int best_node(const struct world *w, int p)
{
	int best = -1;
	int64_t most = -1;

	for (int i = 0; i < w->nodes; i++) {
		int64_t left = api_free(w, i).cpu_milli;

		if (left > most && may_host(w, p, i, false)) {
			best = i;
			most = left;
		}
	}
	return best;
}

static void on_schedule(struct world *w, const struct event *e)
{
	int p = (int)e->a.n, i;

	if (w->api.pods[p].gone || w->api.pods[p].node >= 0 || w->api.pods[p].deleting)
		return;
	i = api_is_down(w) ? -1 : best_node(w, p);
	if (i < 0)
		after_ms(w, api_is_down(w) ? RETRY_MS : SCHEDULE_RETRY_MS, on_schedule, e->a);
	else if (api_bind(w, w->api.pods[p].uid, i))
		tell(w, -1, "scheduler: %s to %s", w->api.pods[p].name, w->n[i].name);
}

bool api_bind(struct world *w, const char *uid, int i)
{
	int p = api_pod(w, uid);

	if (p < 0 || w->api.pods[p].node >= 0 || w->api.pods[p].deleting)
		return false;
	w->api.pods[p].node = i;
	api_pod_changed(w, p);
	return true;
}

/* ---- ReplicaSets ---- */

static int pod_add(struct world *w, int r)
{
	struct spod *p;
	int at_index = w->api.pod_count++;

	if (at_index >= SIM_PODS)
		abort();
	p = &w->api.pods[at_index];
	*p = (struct spod){ .rs = r, .node = -1, .phase = POD_PENDING, .created = w->now };
	(void)snprintf(p->uid, sizeof(p->uid), "%08x-0000-4000-8000-%012x", at_index + 1, r + 1);
	(void)snprintf(p->name, sizeof(p->name), "%.20s-%c-%d", w->api.rs[r].deployment, 'a' + r, at_index);
	return at_index;
}

int api_mirror_add(struct world *w, int i, const char *original, int rs)
{
	int p = pod_add(w, rs);

	w->api.pods[p].mirror = true;
	w->api.pods[p].node = i;
	w->api.pods[p].phase = POD_RUNNING;
	(void)str_copy(w->api.pods[p].original, sizeof(w->api.pods[p].original), original);
	api_pod_changed(w, p);
	return p;
}

/* Pending first, then those that are not Ready, then the newest. */
static int worst_pod(const struct world *w, int r)
{
	int worst = -1, worst_score = -1;

	for (int p = 0; p < w->api.pod_count; p++) {
		const struct spod *x = &w->api.pods[p];
		int score = x->node < 0 ? 2 : !x->ready;

		if (x->rs != r || x->gone || x->deleting || x->mirror || x->phase >= POD_SUCCEEDED || score < worst_score)
			continue;
		worst = p;
		worst_score = score;
	}
	return worst;
}

static int active_pods(const struct world *w, int r)
{
	int n = 0;

	for (int p = 0; p < w->api.pod_count; p++) {
		const struct spod *x = &w->api.pods[p];

		n += x->rs == r && !x->gone && !x->deleting && !x->mirror && x->phase < POD_SUCCEEDED;
	}
	return n;
}

static void on_rs(struct world *w, const struct event *e)
{
	int r = (int)e->a.n, have = active_pods(w, r);
	struct srs *rs = &w->api.rs[r];
	int want = rs->gone ? 0 : rs->replicas;

	if (api_is_down(w)) {
		after_ms(w, RETRY_MS, on_rs, e->a);
		return;
	}
	rs->scaling = false;
	for (; have < want; have++) {
		int p = pod_add(w, r);

		tell(w, -1, "ReplicaSet %s makes %s", rs->name, w->api.pods[p].name);
		api_pod_changed(w, p);
		if (w->api.scheduler)
			after_ms(w, roll_in(w, 50, 400), on_schedule, (struct about){ .n = p });
	}
	for (; have > want; have--)
		api_pod_delete(w, worst_pod(w, r), false);
	if (!rs->gone && rs->newer >= 0 && w->api.rs[rs->newer].ready >= w->api.rs[rs->newer].replicas && rs->replicas)
		api_scale(w, r, 0);
}

static void rs_look(struct world *w, int r)
{
	if (w->api.rs[r].scaling)
		return;
	w->api.rs[r].scaling = true;
	after_ms(w, roll_in(w, 20, 200), on_rs, (struct about){ .n = r });
}

static void rs_count(struct world *w, int r)
{
	struct srs *rs = &w->api.rs[r];
	int ready = 0;

	for (int p = 0; p < w->api.pod_count; p++)
		ready += w->api.pods[p].rs == r && !w->api.pods[p].gone && w->api.pods[p].ready && !w->api.pods[p].mirror;
	if (ready != rs->ready) {
		rs->ready = ready;
		api_rs_changed(w, r);
	}
	for (int o = 0; o < w->api.rs_count; o++)
		if (w->api.rs[o].newer == r && !w->api.rs[o].gone)
			rs_look(w, o);
	rs_look(w, r);
}

int api_rs_add(struct world *w, const char *deployment, int replicas, const struct srs *like)
{
	int r = w->api.rs_count++;
	struct srs *rs = &w->api.rs[r];

	if (r >= SIM_RS)
		abort();
	*rs = (struct srs){ .ns = like->ns, .policy = like->policy, .keep = like->keep, .constraints = like->constraints,
			    .request = like->request };
	rs->replicas = replicas;
	rs->newer = -1;
	rs->since = w->now;
	(void)snprintf(rs->uid, sizeof(rs->uid), "%08x-0000-4000-9000-000000000000", r + 1);
	rs->deployment = intern(deployment);
	(void)snprintf(rs->name, sizeof(rs->name), "%.20s-%c", rs->deployment, 'a' + r);
	api_rs_changed(w, r);
	rs_look(w, r);
	return r;
}

void api_scale(struct world *w, int r, int replicas)
{
	tell(w, -1, "ReplicaSet %s is scaled to %d", w->api.rs[r].name, replicas);
	w->api.rs[r].replicas = replicas;
	w->api.rs[r].since = w->now;
	api_rs_changed(w, r);
	rs_look(w, r);
}

void api_rollout(struct world *w, int r)
{
	int replicas = w->api.rs[r].replicas;

	w->api.rs[r].newer = w->api.rs_count;
	tell(w, -1, "Deployment %s rolls out", w->api.rs[r].deployment);
	(void)api_rs_add(w, w->api.rs[r].deployment, replicas, &w->api.rs[r]);
}

void api_rs_delete(struct world *w, int r)
{
	tell(w, -1, "ReplicaSet %s is deleted", w->api.rs[r].name);
	w->api.rs[r].gone = true;
	w->api.rs[r].since = w->now;
	api_rs_changed(w, r);
	rs_look(w, r);
}

/* ---- pods ---- */

static void on_rs_count(struct world *w, const struct event *e)
{
	rs_count(w, (int)e->a.n);
}

void api_pod_ready(struct world *w, int p, bool ready)
{
	struct spod *x = &w->api.pods[p];

	if (x->ready == ready && (x->phase == POD_RUNNING || !ready))
		return;
	if (ready) {
		x->phase = POD_RUNNING;
		x->ready_since = node_wall(w, x->node);
	} else {
		x->ready_since = (struct wall){ 0 };
	}
	x->ready = ready;
	api_pod_changed(w, p);
}

void api_pod_remove(struct world *w, int p)
{
	w->api.pods[p].gone = true;
	api_pod_changed(w, p);
}

void api_pod_delete(struct world *w, int p, bool force)
{
	struct spod *x = &w->api.pods[p];

	tell(w, -1, "%s is deleted%s", x->name, force ? " at once" : "");
	x->deleting = true;
	if (force || x->node < 0)
		x->gone = true;
	api_pod_changed(w, p);
}

void api_pod_changed(struct world *w, int p)
{
	struct spod *x = &w->api.pods[p];

	x->version = ++w->api.version;
	watch_tell(w, WATCHED_POD, p);
	if (!x->mirror)
		after_ms(w, 10, on_rs_count, (struct about){ .n = x->rs });
	if (x->node >= 0)
		kubelet_look(w, x->node);
}

void api_rs_changed(struct world *w, int r)
{
	w->api.rs[r].version = ++w->api.version;
	watch_tell(w, WATCHED_RS, r);
}

/* ---- nodes ---- */

void api_node_changed(struct world *w, int i)
{
	w->api.node[i].version = ++w->api.version;
	watch_tell(w, WATCHED_NODE, i);
}

void api_taint(struct world *w, int i, bool tainted)
{
	w->api.node[i].tainted = tainted;
	api_node_changed(w, i);
}

struct wall api_lease(const struct world *w, int i)
{
	const struct snode_status *s = &w->api.node[i];
	struct wall wall = node_wall(w, i);

	if (!s->contact)
		return s->renewed;
	wall.ns -= (w->now - s->since) % SEC(LEASE_S);
	return wall;
}

static void on_evict(struct world *w, const struct event *e)
{
	int i = e->a.node;

	if (w->api.node[i].life != e->a.life)
		return;
	tell(w, -1, "node lifecycle: the pods of %s are evicted", w->n[i].name);
	for (int p = 0; p < w->api.pod_count; p++) {
		struct spod *x = &w->api.pods[p];

		if (!is_active(x) || x->node != i || x->deleting || x->mirror)
			continue;
		w->api.rs[x->rs].excused = true;
		api_pod_delete(w, p, false);
	}
}

static void on_not_ready(struct world *w, const struct event *e)
{
	int i = e->a.node;

	if (w->api.node[i].life != e->a.life)
		return;
	if (api_is_down(w)) {		/* it has heard of nobody: it waits anew */
		after_ms(w, NOT_READY_S * MS_PER_S, on_not_ready, e->a);
		return;
	}
	tell(w, -1, "node lifecycle: %s is NotReady", w->n[i].name);
	w->api.node[i].ready = false;
	api_node_changed(w, i);
	for (int p = 0; p < w->api.pod_count; p++)
		if (is_active(&w->api.pods[p]) && w->api.pods[p].node == i)
			api_pod_ready(w, p, false);
	if (w->api.lifecycle)
		after_ms(w, EVICT_S * MS_PER_S, on_evict, e->a);
}

static void on_node_ready(struct world *w, const struct event *e)
{
	struct snode_status *s = &w->api.node[e->a.node];

	if (s->life != e->a.life || s->ready)
		return;
	s->ready = true;
	api_node_changed(w, e->a.node);
	tell(w, -1, "node %s is Ready", w->n[e->a.node].name);
}

void api_contact(struct world *w, int i)
{
	struct snode_status *s = &w->api.node[i];
	bool contact = api_ok(w, i);

	if (contact == s->contact)
		return;
	if (!contact)
		s->renewed = api_lease(w, i);
	s->contact = contact;
	s->life++;
	if (contact) {
		s->since = w->now;
		after_ms(w, roll_in(w, 200, 2000), on_node_ready, (struct about){ .node = i, .life = s->life });
		kubelet_look(w, i);
	} else {
		after_ms(w, NOT_READY_S * MS_PER_S, on_not_ready, (struct about){ .node = i, .life = s->life });
	}
}

void api_start(struct world *w)
{
	for (int i = 0; i < w->nodes; i++)
		w->api.node[i] = (struct snode_status){ .ready = true, .contact = true, .since = w->now - MS(roll(w, 10000)),
							.version = ++w->api.version };
}
