/* check.c — the invariants, judged by the truth of the world and not by what an agent believes
 *
 * Their numbers and names are in tell.c; docs/simulator.md says what each one means here and which slack it has.
 */
#include <stdio.h>
#include <string.h>

#include "sim.h"

enum { LATE_S = 40,			/* gossip may tell of a return this late, and a retry follow */
       SETTLED_S = 95,			/* three repeats of a claim */
       RAN_S = 32,			/* a pod that ran so recently may still be taken for Ready */
       GONE_S = 50,			/* gone_grace less the drift of the clocks */
       WAITS_S = 29,			/* HEAL_ROOM_MS less that */
       BOOT_S = 12,			/* a healer starts beside kubelet, not before it */
       SKEW_MS = 1900,		/* a clock so far behind makes a Lease look old */
       ANSWERED_S = 2,			/* a proof that a node lives is so old at most */
       SEEN_S = 1,			/* a healer sees a pod that kubelet starts … */
       RESTART_S = 3,			/* … if it was not killed just then */
       ONLINE_S = 45, STORM = 60, STORM_S = 10 };

struct tally { char key[16 + NODE_NAME_SIZE]; int64_t from; int count; };

/* ---- a plan ---- */

static bool is_quiet(enum action_kind k)
{
	switch (k) {
	case ACTION_PROBE:
	case ACTION_WITNESS:
	case ACTION_READ_LEASE:
	case ACTION_ASK_MINE:
	case ACTION_ASK_GRANT:
	case ACTION_ASK_FENCE:
	case ACTION_ASK_RUNS:
	case ACTION_ASK_BLANK:
	case ACTION_ASK_FATE:
	case ACTION_REFUSE:
		return true;
	default:
		return false;
	}
}

static void check_storm(struct world *w, int i, const struct action *act)
{
	struct map *told = w->n[i].a.told;
	char key[sizeof(((struct tally *)0)->key)];
	struct tally *t;

	(void)snprintf(key, sizeof(key), "%d %.200s", act->kind, act->pod_uid[0] ? act->pod_uid : str_or(act->node, ""));
	t = map_get(told, key);
	if (!t) {
		t = mem_new(struct tally);
		(void)str_copy(t->key, sizeof(t->key), key);
		(void)map_put(told, t->key, t);
	}
	if (w->now - t->from > SEC(STORM_S)) {
		t->from = w->now;
		t->count = 0;
	}
	if (++t->count > STORM)
		broken(w, 13, "%s does %s of %s again and again", w->n[i].name, action_name(act->kind), key);
}

/* kubelet saw the API server for a moment in which its healer did not, and ended what the cluster had evicted. */
static bool is_evicted(const struct world *w, const struct action *act)
{
	int p = act->pod_uid[0] ? api_pod(w, act->pod_uid) : 0;

	return p < 0 || (act->pod_uid[0] && w->api.pods[p].deleting);
}

void check_plan(struct world *w, int i, const struct tick *t, const struct plan *plan, const struct heal_facts *f)
{
	(void)f;
	for (size_t k = 0; k < plan->count; k++) {
		const struct action *act = &plan->items[k];

		if (!w->n[i].a.observe)	/* there nothing comes of it */
			check_storm(w, i, act);
		if (t->tilted && !is_quiet(act->kind) && act->kind != ACTION_STOP)
			broken(w, 10, "%s: %s while tilted", w->n[i].name, action_name(act->kind));
		if (w->only_api && !is_quiet(act->kind) && act->kind != ACTION_BIND && !w->n[i].a.observe && !is_evicted(w, act))
			broken(w, 11, "%s: %s %.8s %s", w->n[i].name, action_name(act->kind), act->pod_uid, act->reason);
	}
}

/* ---- one restore ---- */

static bool is_well(const struct world *w, int i)
{
	return w->n[i].reach_since && w->now - w->n[i].reach_since > SEC(LATE_S);
}

/* So lately that its ports have just answered. */
static bool was_there(const struct world *w, int i, int j)
{
	return w->now - w->n[i].seen[j].cut_at < SEC(ANSWERED_S) || (w->n[j].suspended && w->now - w->n[j].slept_at < SEC(ANSWERED_S));
}

static void check_passive(struct world *w, int i)
{
	const struct sagent *a = &w->n[i].a;
	int known = 0, alive = 0, away = 0;

	for (size_t k = 0; k < a->peers.count; k++) {
		const struct peer *p = &a->peers.items[k];

		if (p->site != w->n[i].site || p->status == PEER_LEFT)
			continue;
		known++;
		alive += p->status == PEER_ALIVE;
		away += p->status == PEER_FAILED && !reaches(w, i, node_index(w, p->name)) && !was_there(w, i, node_index(w, p->name));
	}
	if (!a->conf.minority_active && 2 * alive <= known && !(known == 2 && !w->n[i].no_gateway))
		broken(w, 7, "%s acts and sees %d of %d", w->n[i].name, alive, known);
	if (away * 100 > known * a->conf.max_lost_percent)
		broken(w, 7, "%s acts although %d of %d are away", w->n[i].name, away, known);
}

/* Somebody of the site has been online for long, we know it, and he may do what he should. */
static void check_offline(struct world *w, int i)
{
	for (int j = 0; j < w->nodes; j++) {
		const struct link *l = &w->n[j].a.link;
		const struct member *m = &w->n[i].seen[j];

		if (j != i && !w->denied && w->n[j].site == w->n[i].site && w->n[j].a.up && m->status == PEER_ALIVE && m->connected &&
		    m->tags.api && l->state == LINK_ONLINE && mono_since_ms(node_mono(w, j), l->since) > ONLINE_S * MS_PER_S &&
		    w->now - m->cut_at > SEC(ONLINE_S))
			broken(w, 1, "%s restores although %s is online", w->n[i].name, w->n[j].name);
	}
	if (w->n[i].a.link.state != LINK_OFFLINE)
		broken(w, 1, "%s restores and is not offline", w->n[i].name);
}

/* Pods that run here and are known here, and the copies: all must fit. */
static void check_room(struct world *w, int i, const struct action *act)
{
	const struct sagent *a = &w->n[i].a;
	struct resources left = w->n[i].allocatable;
	const struct pod *p = view_pod(a->view, act->pod_uid);

	for (int k = 0; k < SIM_RUNS; k++) {
		const struct run *r = &w->n[i].runs[k];

		if (r->used && !r->copy && view_pod(a->view, r->uid) && !str_eq(r->uid, act->pod_uid))
			resources_sub(&left, &w->api.rs[r->rs].request);
	}
	map_for_each(struct copy, c, a->copies)
		resources_sub(&left, &c->request);
	if (p && !resources_fit(&p->request, &left))
		broken(w, 6, "%s takes %s with %lld milli-CPU left", w->n[i].name, p->name, (long long)left.cpu_milli);
}

/* With its store it has lost the epochs as well. */
void check_forgets(struct world *w, int i)
{
	char prefix[16];

	(void)snprintf(prefix, sizeof(prefix), "%d ", i);
	map_for_each(char, key, w->restored) {
		if (!str_has_prefix(key, prefix))
			continue;
		(void)map_remove(w->restored, key);
		free(key);
	}
}

static void check_once_more(struct world *w, int i, const struct action *act)
{
	char key[NODE_NAME_SIZE + UID_SIZE + 16], *kept;

	(void)snprintf(key, sizeof(key), "%d %s %u", i, act->pod_uid, act->epoch);
	if (map_get(w->restored, key)) {
		broken(w, 8, "%s restores %.8s of epoch %u twice", w->n[i].name, act->pod_uid, act->epoch);
		return;
	}
	if (w->n[i].disk_full)
		return;			/* it will not be done */
	kept = str_dup(key);
	(void)map_put(w->restored, kept, kept);
}

static void check_pod_is_ours(struct world *w, int i, const struct action *act)
{
	int p = api_pod(w, act->pod_uid);
	const struct srs *rs = p < 0 ? NULL : &w->api.rs[w->api.pods[p].rs];

	if (!rs)
		return;
	if (w->api.pods[p].mirror || rs->policy == POLICY_NEVER || str_eq(rs->ns, "kube-system"))
		broken(w, 5, "%s: %s of %s", w->n[i].name, action_name(act->kind), w->api.pods[p].name);
}

/* It lives, knows nothing of the pod, and does not run it: its own word for that is enough. */
static bool has_forgotten(struct world *w, int i, const char *uid)
{
	return agent_is_blank(w, i) && !run_find(w, i, uid, false) && !run_find(w, i, uid, true);
}

void check_restore(struct world *w, int i, const struct action *act)
{
	int lost = node_index(w, act->node);

	w->restores++;
	if (w->n[i].a.observe)
		broken(w, 9, "%s restores", w->n[i].name);
	if (lost < 0 || w->n[lost].site != w->n[i].site) {
		broken(w, 12, "%s restores a pod of %s", w->n[i].name, str_or(act->node, "nobody"));
		return;
	}
	if (lost == i && run_find(w, i, act->pod_uid, false))
		broken(w, 1, "%s restores its own pod, which runs", w->n[i].name);
	if (lost != i && is_well(w, lost) && !has_forgotten(w, lost, act->pod_uid) && !w->conf.minority_active)
		broken(w, 1, "%s restores a pod of %s, which is well", w->n[i].name, act->node);
	if (lost != i) {
		check_passive(w, i);
		check_offline(w, i);
	}
	check_pod_is_ours(w, i, act);
	check_room(w, i, act);
	check_once_more(w, i, act);
}

/* ---- effects in the API ---- */

/* Its healer does not run, or has not looked yet. */
static bool is_blind(const struct world *w, int i)
{
	return !w->n[i].a.up || w->n[i].a.think_pending;
}

/* It has just booted; or it woke, and its healer was killed in that very instant: nobody has looked yet. */
static bool is_new_boot(const struct world *w, int i)
{
	const struct snode *n = &w->n[i];

	return (n->booted && w->now - n->booted < SEC(BOOT_S)) || (is_blind(w, i) && n->woke && w->now - n->woke < SEC(BOOT_S));
}

/* Its Lease must have told by now that it lives. */
static bool renews(const struct world *w, int i, int lost)
{
	int64_t behind = node_wall(w, i).ns - node_wall(w, lost).ns;
	const struct snode_status *s = &w->api.node[lost];
	const struct member *m = &w->n[i].seen[lost];

	return s->contact && w->now - s->since > SEC(LATE_S) && !m->connected && behind < MS(SKEW_MS);
}

void check_api_effect(struct world *w, int i, const struct action *act)
{
	int lost = act->node ? node_index(w, act->node) : -1, p = act->pod_uid[0] ? api_pod(w, act->pod_uid) : -1;
	bool hostile = lost != i && (act->kind == ACTION_REPLACE || act->kind == ACTION_TAINT);

	if (w->n[i].a.observe)
		broken(w, 9, "%s: %s", w->n[i].name, action_name(act->kind));
	if (act->pod_uid[0])
		check_pod_is_ours(w, i, act);
	if (act->kind != ACTION_BIND && lost >= 0 && w->n[lost].site != w->n[i].site)
		broken(w, 12, "%s: %s of %s", w->n[i].name, action_name(act->kind), act->node);
	if (p >= 0 && act->kind != ACTION_BIND && w->api.pods[p].node != lost)
		broken(w, 5, "%s: %s of %s, which is not on %s", w->n[i].name, action_name(act->kind), w->api.pods[p].name,
		       str_or(act->node, "any node"));
	if (hostile && lost >= 0 && ((is_well(w, lost) && !w->conf.minority_active) || renews(w, i, lost)))
		broken(w, 1, "%s: %s of %s, which is well", w->n[i].name, action_name(act->kind), act->node);
	if (hostile && lost >= 0)
		check_passive(w, i);
	if (act->kind == ACTION_REPLACE && lost == i && run_find(w, i, act->pod_uid, false))
		broken(w, 1, "%s replaces its own pod, which runs", w->n[i].name);
	if (act->kind == ACTION_REPLACE && p >= 0 && w->api.rs[w->api.pods[p].rs].policy == POLICY_AT_MOST_ONCE) {
		const struct run *r = run_find(w, lost, act->pod_uid, false);

		if (r && run_counts(w, lost, r) && !is_new_boot(w, lost))
			broken(w, 3, "%s replaces %s, which runs", w->n[i].name, w->api.pods[p].name);
	}
}

/* ---- the end of a copy ---- */

static bool really_runs(struct world *w, int p)
{
	const struct spod *x = &w->api.pods[p];
	const struct run *r = x->node >= 0 ? run_find(w, x->node, x->uid, false) : NULL;

	if (x->mirror)
		return false;
	if (r && w->n[x->node].suspended && !r->frozen)
		return w->now - w->n[x->node].slept_at < SEC(RAN_S);
	return (r && run_counts(w, x->node, r)) || (x->last_run && w->now - x->last_run < SEC(RAN_S));
}

/* Copies of a ReplicaSet but one; those of machines that died or fell asleep a moment ago are still believed in. */
static int other_copies(const struct world *w, const char *uid, int r)
{
	int n = 0;

	for (int i = 0; i < w->nodes; i++)
		for (int k = 0; k < SIM_RUNS; k++) {
			const struct run *x = &w->n[i].runs[k];
			int64_t away = !w->n[i].up ? w->now - x->ended : w->n[i].suspended ? w->now - w->n[i].slept_at : 0;

			if (x->copy && x->rs == r && !x->stopping && !x->frozen && (x->used || !w->n[i].up) && away < SEC(RAN_S))
				n += !str_eq(x->uid, uid);
		}
	return n;
}

static bool is_replaced(struct world *w, const char *uid, int r)
{
	const struct srs *rs = &w->api.rs[r];
	int p = api_pod(w, uid), n = 0;

	if ((rs->gone || !rs->replicas) && w->now - rs->since > SEC(GONE_S))
		return true;
	for (int o = 0; o < w->api.rs_count; o++)
		if (o != r && !w->api.rs[o].gone && w->api.rs[o].replicas > 0 && str_eq(w->api.rs[o].deployment, rs->deployment))
			return true;
	if (p >= 0 && really_runs(w, p))
		return true;
	for (p = 0; p < w->api.pod_count; p++)
		n += w->api.pods[p].rs == r && really_runs(w, p);
	n += other_copies(w, uid, r);
	return n >= rs->replicas && rs->replicas;
}

/* What is Pending has waited long enough, would fit where the copies are, and all the rest of its ReplicaSet runs. */
static bool is_in_the_way(struct world *w, int i, int r)
{
	int n = 0, waits = 0;

	for (int p = 0; p < w->api.pod_count; p++) {
		const struct spod *x = &w->api.pods[p];
		struct resources left = api_free(w, i);

		resources_add(&left, &w->api.rs[r].request);
		n += x->rs == r && !x->gone && really_runs(w, p);
		waits += x->rs == r && !x->gone && w->now - x->created > SEC(WAITS_S) &&
			 ((x->node < 0 && resources_fit(&w->api.rs[r].request, &left)) || (x->node >= 0 && !x->ready));
	}
	n += other_copies(w, "", r);
	return waits && n >= w->api.rs[r].replicas;
}

/* It was another's turn after all; should that one give up, it may be this one's again, in the same epoch. */
static void restored_forget(struct world *w, int i, const struct copy *c)
{
	char key[NODE_NAME_SIZE + UID_SIZE + 16];

	(void)snprintf(key, sizeof(key), "%d %s %u", i, c->pod_uid, c->epoch);
	free(map_remove(w->restored, key));
}

void check_end(struct world *w, int i, const struct action *act)
{
	const struct copy *c = map_get(w->n[i].a.copies, act->pod_uid);
	int r = rs_find(w, c->workload_uid);
	const struct run *run = run_find(w, i, act->pod_uid, true);

	if (w->n[i].a.observe)
		broken(w, 9, "%s: %s", w->n[i].name, action_name(act->kind));
	if (str_has_prefix(act->reason, "lost the claim"))
		restored_forget(w, i, c);
	if (w->api.rs[r].policy == POLICY_AT_MOST_ONCE)
		return;			/* break before make */
	if (act->kind == ACTION_DROP && !is_replaced(w, act->pod_uid, r) && !is_in_the_way(w, i, r))
		broken(w, 4, "%s drops the copy of %s: %s", w->n[i].name, c->name, act->reason);
	if (act->kind == ACTION_WITHDRAW && !str_has_prefix(act->reason, "lost the claim") && run && run_counts(w, i, run) &&
	    c->state == COPY_RUNNING)
		broken(w, 4, "%s withdraws the copy of %s, which runs", w->n[i].name, c->name);
}

/* ---- after every step ---- */

/* kubelet reaches the API server again and starts an original beside its copy, before the healer on that node can know. */
static bool is_twin(struct world *w, int i, const struct run *x)
{
	return x->copy && run_find(w, i, x->uid, false) && w->now - w->api.node[i].since < SEC(BOOT_S);
}

static bool has_manifest(const struct world *w, int r)
{
	for (int i = 0; i < w->nodes; i++)
		for (int k = 0; k < SIM_FILES; k++)
			if (w->n[i].files[k].used && w->n[i].files[k].rs == r)
				return true;
	return false;
}

static bool is_leaving(const struct world *w, const char *uid)
{
	int p = api_pod(w, uid);

	return p < 0 || w->api.pods[p].deleting;
}

static void check_once_runs(struct world *w, int r)
{
	struct srs *rs = &w->api.rs[r];
	const char *uids[SIM_NODES * 4];
	bool leaving = false;
	int n = 0, live = 0;

	for (int i = 0; i < w->nodes; i++)
		for (int k = 0; k < SIM_RUNS && n < (int)ARRAY_LEN(uids); k++) {
			const struct run *x = &w->n[i].runs[k];

			if (!x->used || x->rs != r)
				continue;
			leaving |= !x->copy && is_leaving(w, x->uid);
			if (!run_counts(w, i, x) || is_new_boot(w, i))
				continue;
			if (is_twin(w, i, x) || (!x->copy && w->now - x->since < SEC(is_blind(w, i) ? RESTART_S : SEEN_S)))
				continue;
			for (int o = 0; o < n; o++)
				if (str_eq(uids[o], x->uid))
					broken(w, 3, "two of %s run, one on %s", x->uid, w->n[i].name);
			uids[n++] = x->uid;
			live += !x->stopping;
		}
	if (live > rs->replicas && !rs->excused && w->now - rs->since > SEC(GONE_S))
		broken(w, 3, "%d of %s run, %d are wanted", live, rs->name, rs->replicas);
	/* what the cluster made beside a copy, or beside a pod that it deleted and that runs still, may wait to be started */
	if (live <= 1 && !leaving && !has_manifest(w, r))
		rs->excused = false;
}

static void check_rows(struct world *w, int i)
{
	const struct sagent *a = &w->n[i].a;

	for (int k = 0; k < SIM_FILES && a->up; k++)
		if (w->n[i].files[k].used && !map_get(a->copies, w->n[i].files[k].uid))
			broken(w, 8, "%s has a manifest of %.8s that it does not know", w->n[i].name, w->n[i].files[k].uid);
	for (int k = 0; k < SIM_RUNS && a->up; k++) {
		const struct run *r = &w->n[i].runs[k];

		if (r->used && r->copy && !r->stopping && !map_get(a->copies, r->uid))
			broken(w, 8, "%s runs a copy of %.8s that it does not know", w->n[i].name, r->uid);
	}
}

static const struct copy *live_copy(struct world *w, int i, const char *uid)
{
	const struct copy *c = w->n[i].a.up ? map_get(w->n[i].a.copies, uid) : NULL;

	return c && c->state != COPY_DROPPING && (file_find(w, i, uid) || run_find(w, i, uid, true)) ? c : NULL;
}

/* Copies of one pod among nodes that hear each other; a claim alone is none: it waits, or its healer was killed before it acted. */
static void check_copies(struct world *w, int most, const char *when)
{
	for (int i = 0; i < w->nodes; i++) {
		if (!w->n[i].a.up)
			continue;
		map_for_each(struct copy, c, w->n[i].a.copies) {
			int n = 0;

			for (int j = i; j < w->nodes; j++)
				n += (j == i || gossips(w, i, j)) && live_copy(w, j, c->pod_uid) &&
				     live_copy(w, j, c->pod_uid)->epoch == c->epoch;
			if (n > most && live_copy(w, i, c->pod_uid))
				broken(w, 2, "%d copies of %s%s", n, c->name, when);
		}
	}
}

void check_step(struct world *w)
{
	if (w->runs_changed) {
		w->runs_changed = false;
		for (int r = 0; r < w->api.rs_count; r++)
			if (w->api.rs[r].policy == POLICY_AT_MOST_ONCE)
				check_once_runs(w, r);
		for (int i = 0; i < w->nodes; i++)
			check_rows(w, i);
		check_copies(w, w->conf.minority_active ? SIM_NODES : 2, "");
	}
}

/* Now and then: nothing has changed for long, so all messages have arrived. */
void check_settled(struct world *w)
{
	if (w->now - w->changed_at > SEC(SETTLED_S))
		check_copies(w, 1, " after everything has settled");
	w->runs_changed = true;
}

/* ---- convergence ---- */

static int ready_pods(struct world *w, int r)
{
	int n = 0;

	for (int p = 0; p < w->api.pod_count; p++) {
		const struct spod *x = &w->api.pods[p];
		const struct run *run = x->node >= 0 && !x->gone ? run_find(w, x->node, x->uid, false) : NULL;

		n += x->rs == r && !x->gone && !x->mirror && !x->deleting && x->ready && run && run_counts(w, x->node, run);
	}
	return n;
}

static int all_copies(const struct world *w)
{
	int n = 0;

	for (int i = 0; i < w->nodes; i++)
		for (int k = 0; k < SIM_RUNS; k++)
			n += w->n[i].runs[k].used && w->n[i].runs[k].copy;
	return n;
}

static bool is_pending(const struct spod *x)
{
	return !x->gone && !x->deleting && x->node < 0;
}

/* It would not fit anywhere even if all copies were gone. */
static bool fits_nowhere(const struct world *w, int p)
{
	for (int i = 0; i < w->nodes; i++)
		if (may_host(w, p, i, true))
			return false;
	return true;
}

/* Pending for good: nobody may schedule it, it fits nowhere, or more wait than copies stand in the way. */
static bool has_no_room(const struct world *w, int r)
{
	int waiting = 0;

	if (!w->api.scheduler && (w->api.rs[r].policy == POLICY_NEVER || str_eq(w->api.rs[r].ns, "kube-system")))
		return true;
	for (int p = 0; p < w->api.pod_count; p++) {
		const struct spod *x = &w->api.pods[p];

		if (!is_pending(x))
			continue;
		waiting += best_node(w, p) < 0;
		if (x->rs == r && fits_nowhere(w, p))
			return true;
	}
	return waiting > all_copies(w);
}

struct loose { struct world *w; int node; char *why; bool found; };

static void find_loose(void *arg, const struct claim *c)
{
	struct loose *l = arg;

	if (c->state != CLAIM_LIVE || !str_eq(c->node, l->w->n[l->node].name) || map_get(l->w->n[l->node].a.copies, c->pod_uid))
		return;
	l->found = true;
	(void)snprintf(l->why, SIM_REASON, "%.60s claims %.8s and has no copy", c->node, c->pod_uid);
}

bool check_converged(struct world *w, char why[SIM_REASON])
{
	for (int r = 0; r < w->api.rs_count; r++) {
		const struct srs *rs = &w->api.rs[r];
		int want = rs->gone ? 0 : rs->replicas, have = ready_pods(w, r);

		if (want > have && has_no_room(w, r))
			continue;
		if (want != have) {
			(void)snprintf(why, SIM_REASON, "%s has %d pods Ready and wants %d", rs->name, have, want);
			return false;
		}
	}
	for (int i = 0; i < w->nodes; i++) {
		struct loose l = { .w = w, .node = i, .why = why };

		map_for_each(struct copy, c, w->n[i].a.copies) {
			if (has_no_room(w, rs_find(w, c->workload_uid)))
				continue;
			(void)snprintf(why, SIM_REASON, "%s still has a copy of %s", w->n[i].name, c->name);
			return false;
		}
		for (int k = 0; k < SIM_RUNS; k++)
			if (w->n[i].runs[k].used && w->n[i].runs[k].copy && !has_no_room(w, w->n[i].runs[k].rs)) {
				(void)snprintf(why, SIM_REASON, "a copy of %s runs on %s", w->n[i].runs[k].uid, w->n[i].name);
				return false;
			}
		if (w->n[i].a.up)
			claims_each(heal_claims(w->n[i].a.heal), find_loose, &l);
		if (l.found)
			return false;
		if (w->api.node[i].tainted || !w->api.node[i].ready) {
			(void)snprintf(why, SIM_REASON, "%s is %s", w->n[i].name, w->api.node[i].tainted ? "tainted" : "NotReady");
			return false;
		}
	}
	return true;
}
