/* agent.c — one healer: facts in, a plan out, a timer for the next
 *
 * What src/agent/think.c, gossip.c and uplink.c do around heal_tick(). What survives a kill -9 is in the maps `rows` and `claims`, the
 * lease and the mirror.
 */
#include <stdio.h>

#include "sim.h"

enum { TILT_STEP_MS = 2000, TILT_FOR_MS = 10000, PROBE_MS = 1000, IDLE_S = 60, ENDED_S = 600, GRACE_S = 7 };

struct resources local_free(const struct world *w, int i)
{
	const struct sagent *a = &w->n[i].a;
	const struct node *n = view_node(a->view, w->n[i].name);
	struct resources left = n ? n->allocatable : (struct resources){ 0 };

	if (!n || !a->up)
		return left;
	list_for_each(p, &n->pods, struct pod, by_node)
		if (pod_is_active(p) && !(p->is_mirror && p->original_uid))
			resources_sub(&left, &p->request);
	map_for_each(struct copy, c, a->copies)
		resources_sub(&left, &c->request);
	return left;
}

/* ---- the link ---- */

static void on_probe(struct world *w, const struct event *e)
{
	int i = e->a.node;
	struct sagent *a = &w->n[i].a;
	bool answers = api_ok(w, i);

	if (!a->up || a->life != e->a.life)
		return;
	a->probe_pending = false;
	if (w->n[i].suspended)
		return;			/* waking looks again */
	if (answers ? link_replied(&a->link, LINK_READ, node_mono(w, i), NULL)
		    : link_unreached(&a->link, node_mono(w, i), node_mono(w, i), NULL)) {
		tell(w, i, "link %s", link_state_name(a->link.state));
		if (a->link.state == LINK_OFFLINE)
			a->synced_at = (struct mono){ 0 };
		if (a->link.state == LINK_ONLINE)
			w->n[i].cold = false;
		tags_soon(w, i);
		tell_link(w, i);
		claims_repeat_soon(w, i);
		agent_soon(w, i);
	}
	if (answers && a->link.state == LINK_ONLINE)
		api_resync(w, i);	/* its watches were broken, however short it was */
	if (a->link.state != (answers ? LINK_ONLINE : LINK_OFFLINE)) {
		a->probe_pending = true;
		after_ms(w, PROBE_MS, on_probe, e->a);
	}
}

void agent_link(struct world *w, int i)
{
	struct sagent *a = &w->n[i].a;

	if (!a->up || a->probe_pending)
		return;
	a->probe_pending = true;
	after_ms(w, roll_in(w, 10, PROBE_MS), on_probe, (struct about){ .node = i, .life = a->life });
}

/* ---- facts ---- */

static void peers_fill(struct world *w, int i)
{
	struct sagent *a = &w->n[i].a;

	a->peers.count = 0;
	if (has_serf(w, i))
		w->n[i].serf_seen = node_mono(w, i);
	a->peers.as_of = w->n[i].serf_seen;
	for (int j = 0; j < w->nodes; j++) {
		const struct member *m = &w->n[i].seen[j];

		if (m->known)
			a->items[a->peers.count++] = (struct peer){
				.name = w->n[j].name, .status = m->status, .status_since = m->since, .site = w->n[j].site,
				.free = m->tags.free, .has_capacity = m->tags.set, .api = m->tags.api,
				.blank = m->tags.blank, .protocol = m->tags.set ? PEER_PROTOCOL : 0 };
	}
	a->peers.items = a->items;
}

static void runs_fill(struct world *w, int i)
{
	struct sagent *a = &w->n[i].a;

	map_free(a->running);
	map_free(a->stopped);
	a->running = map_new();
	a->stopped = map_new();
	for (int k = 0; k < SIM_RUNS; k++) {
		struct run *r = &w->n[i].runs[k];
		const struct copy *c = r->used && r->copy ? map_get(a->copies, r->uid) : NULL;

		if (r->used && !r->copy)
			(void)map_put(a->running, r->uid, r);
		if (r->used && r->frozen && !(c && c->state == COPY_DROPPING))
			(void)map_put(a->stopped, r->uid, r);
	}
}

/* A step of the wall clock or a sleep: what we believe may be old. A lease has run on while we slept. */
static void note_clock(struct world *w, int i)
{
	struct sagent *a = &w->n[i].a;
	struct mono now = node_mono(w, i);
	int64_t wall = node_wall(w, i).ns - now.ns - w->n[i].slept, slept = w->n[i].slept - a->slept_seen;
	struct mono lease = heal_lease_until(a->heal);

	if (slept && mono_is_set(lease))
		heal_set_lease(a->heal, (struct mono){ lease.ns > slept ? lease.ns - slept : 1 });
	if (slept > MS(TILT_STEP_MS) || llabs(wall - a->wall_seen) > MS(TILT_STEP_MS)) {
		a->tilted_until = mono_add_ms(now, TILT_FOR_MS);
		tell(w, i, "tilted");
	}
	a->slept_seen = w->n[i].slept;
	a->wall_seen = wall;
}

/* ---- one tick ---- */

static void on_think(struct world *w, const struct event *e)
{
	struct sagent *a = &w->n[e->a.node].a;

	if (!a->up || a->life != e->a.life)
		return;
	a->think_pending = false;
	agent_tick(w, e->a.node);
}

static void on_timer(struct world *w, const struct event *e)
{
	if (w->n[e->a.node].a.up && w->n[e->a.node].a.timer_life == e->a.life)
		agent_tick(w, e->a.node);
}

void agent_soon(struct world *w, int i)
{
	struct sagent *a = &w->n[i].a;

	if (!a->up || a->think_pending)
		return;
	a->think_pending = true;
	at(w, w->now, on_think, (struct about){ .node = i, .life = a->life });
}

static void save_lease(struct world *w, int i)
{
	struct sagent *a = &w->n[i].a;

	if (w->n[i].disk_full)
		return;
	a->lease = heal_lease_until(a->heal);
	a->lease_boot = w->n[i].boot;
	a->lease_slept = w->n[i].slept;
}

static void fence_collect(void *arg, const struct fence_question *f)
{
	struct sagent *a = arg;
	struct sfence *row = &a->fences[a->fence_count++];

	if (a->fence_count > SIM_FENCES)
		abort();
	(void)str_copy(row->uid, sizeof(row->uid), f->pod_uid);
	row->node = f->node;
	row->holder = f->asker;
}

static void grant_collect(void *arg, const struct grant_question *q)
{
	struct sagent *a = arg;

	a->grants[a->grant_count++] = *q;
}

bool fences_save(struct world *w, int i)
{
	struct sagent *a = &w->n[i].a;

	if (heal_fences_version(a->heal) == a->fences_saved)
		return true;
	if (w->n[i].disk_full)
		return false;
	a->fence_count = 0;
	heal_each_fence(a->heal, fence_collect, a);
	a->grant_count = 0;
	heal_each_grant(a->heal, grant_collect, a);
	a->fences_saved = heal_fences_version(a->heal);
	return true;
}

static void fences_load(struct world *w, int i)
{
	struct sagent *a = &w->n[i].a;

	for (size_t k = 0; k < a->fence_count; k++)
		heal_set_fence(a->heal, &(struct fence_question){ a->fences[k].uid, a->fences[k].node, a->fences[k].holder, 0 },
			       node_mono(w, i));
	for (size_t k = 0; k < a->grant_count; k++)
		heal_set_grant(a->heal, &a->grants[k]);
	a->fences_saved = heal_fences_version(a->heal);
}

static void arm(struct world *w, int i, const struct tick *t)
{
	struct sagent *a = &w->n[i].a;
	struct mono due = t->tilted ? mono_min(a->plan.next_due, a->tilted_until) : a->plan.next_due;

	if (mono_is_set(due) && mono_reached(t->now, due))
		broken(w, 13, "%s wants to think again at once", w->n[i].name);
	a->timer_life++;
	if (mono_is_set(due))
		at(w, node_true(w, i, due), on_timer, (struct about){ .node = i, .life = a->timer_life });
}

void agent_tick(struct world *w, int i)
{
	struct snode *n = &w->n[i];
	struct sagent *a = &n->a;
	struct tick t = { .now = node_mono(w, i) };
	struct heal_facts f;

	if (!a->up || n->suspended)
		return;
	note_clock(w, i);
	copies_look(w, i);
	peers_fill(w, i);
	runs_fill(w, i);
	t.tilted = mono_is_set(a->tilted_until) && !mono_reached(t.now, a->tilted_until);
	f = (struct heal_facts){
		.view = a->view, .peers = &a->peers, .copies = a->copies, .link = a->link.state, .link_since = a->link.since,
		.synced_at = a->synced_at, .local_free = local_free(w, i), .mirror_version = a->mirror_version,
		.wall = node_wall(w, i), .cold_boot = n->cold, .gateway = n->no_gateway ? -1 : 1, .running = a->running,
		.running_at = t.now, .stopped = a->stopped,
	};
	heal_tick(a->heal, &t, &f, &a->plan);
	save_lease(w, i);
	(void)fences_save(w, i);
	check_plan(w, i, &t, &a->plan, &f);
	arm(w, i, &t);
	plan_run(w, i, &a->plan);
}

/* ---- its life ---- */

bool agent_step(struct world *w, int i)
{
	struct sagent *a = &w->n[i].a;

	if (!a->crash_in || --a->crash_in)
		return true;
	tell(w, i, "healer is killed between two steps");
	agent_kill(w, i);
	return false;
}

static void on_restart(struct world *w, const struct event *e)
{
	if (w->n[e->a.node].up && w->n[e->a.node].boot == e->a.life && !w->n[e->a.node].a.up)
		agent_start(w, e->a.node);
}

/* kubelet starts it again. */
void agent_kill(struct world *w, int i)
{
	struct sagent *a = &w->n[i].a;

	if (!a->up)
		return;
	for (int p = 0; p < w->api.pod_count; p++)	/* what it has seen vanish a moment ago dies with it */
		w->api.pods[p].unseen |= w->api.pods[p].node == i && w->now - w->api.pods[p].last_run < SEC(GRACE_S);
	a->up = a->think_pending = a->sync_pending = a->probe_pending = false;
	a->crash_in = 0;
	a->life++;
	a->timer_life++;
	heal_free(a->heal);
	a->heal = NULL;
	map_for_each(struct copy, c, a->copies)
		copy_free(c);
	map_free(a->copies);
	a->copies = map_new();
	after_ms(w, roll_in(w, 300, 1500), on_restart, (struct about){ .node = i, .life = w->n[i].boot });
}

bool claim_ended_long_ago(const struct world *w, int i, const struct claim *c)
{
	return c->state != CLAIM_LIVE && llabs(node_wall(w, i).ns - c->at.ns) > SEC(ENDED_S);
}

struct old_claims { const struct world *w; int node; struct claim items[64]; size_t count; };

static void collect_old(void *arg, const struct claim *c)
{
	struct old_claims *old = arg;
	const struct sagent *a = &old->w->n[old->node].a;

	if (old->count < ARRAY_LEN(old->items) && !map_get(a->copies, c->pod_uid) &&
	    (claim_ended_long_ago(old->w, old->node, c) || !heal_claim_is_in_use(a->view, c)))
		old->items[old->count++] = *c;
}

static void on_idle(struct world *w, const struct event *e)
{
	struct sagent *a = &w->n[e->a.node].a;
	struct old_claims old = { .w = w, .node = e->a.node };

	if (!a->up || a->life != e->a.life)
		return;
	after_ms(w, IDLE_S * MS_PER_S, on_idle, e->a);
	if (a->link.state != LINK_ONLINE || !mono_is_set(a->synced_at))
		return;
	claims_each(heal_claims(a->heal), collect_old, &old);
	for (size_t k = 0; k < old.count; k++) {
		bool in_use = heal_claim_is_in_use(a->view, &old.items[k]);
		const struct claim *settled = in_use ? heal_settle_claim(a->heal, old.items[k].pod_uid) : NULL;

		if (settled)
			claim_save(w, e->a.node, settled);
		if (in_use)
			continue;
		heal_forget_claim(a->heal, old.items[k].pod_uid);
		claim_forget(w, e->a.node, old.items[k].pod_uid);
	}
}

void agent_start(struct world *w, int i)
{
	struct snode *n = &w->n[i];
	struct sagent *a = &n->a;
	struct about me = { .node = i };

	a->up = true;
	me.life = ++a->life;
	a->heal = heal_new(&a->conf);
	a->tilted_until = a->synced_at = (struct mono){ 0 };
	a->slept_seen = n->slept;
	a->wall_seen = node_wall(w, i).ns - node_mono(w, i).ns - n->slept;
	link_init(&a->link, &(struct link_conf){ .offline_after_ms = 3 * MS_PER_S, .hung_after_ms = 20 * MS_PER_S }, node_mono(w, i));
	if (mono_is_set(a->lease) && a->lease_boot == n->boot)
		heal_set_lease(a->heal, (struct mono){ a->lease.ns - (n->slept - a->lease_slept) });
	fences_load(w, i);
	list_for_each(p, &a->view->unbound, struct pod, unbound)
		p->unbound_since = node_mono(w, i);	/* read from the store anew */
	for (int j = 0; j < w->nodes; j++)
		n->seen[j].since = node_mono(w, i);
	w->changed_at = w->now;
	w->runs_changed = true;
	tell(w, i, "healer starts");
	copies_load(w, i);
	agent_link(w, i);
	if (has_serf(w, i))
		hello(w, i);
	claims_repeat_start(w, i);
	after_ms(w, IDLE_S * MS_PER_S, on_idle, me);
	tags_soon(w, i);
	agent_soon(w, i);
}

bool agent_is_blank(const struct world *w, int i)
{
	return map_count(w->n[i].a.view->nodes) == 0;
}

/* What it permitted is kept: two faults at once are not what is looked for, and who forgets that breaks at-most-once. */
void agent_wipe(struct world *w, int i)
{
	struct sagent *a = &w->n[i].a;

	tell(w, i, "its disk is empty");
	check_forgets(w, i);
	view_free(a->view);
	a->view = view_new();
	a->mirror_version = 0;
	a->lease = (struct mono){ 0 };
	map_for_each(struct copy, c, a->rows) {
		(void)map_remove(a->rows, c->pod_uid);
		copy_free(c);
	}
	map_for_each(struct claim_row, r, a->claims) {
		(void)map_remove(a->claims, r->key);
		free(r);
	}
	memset(w->n[i].files, 0, sizeof(w->n[i].files));
}

void agent_init(struct world *w, int i)
{
	struct sagent *a = &w->n[i].a;

	a->view = view_new();
	a->copies = map_new();
	a->rows = map_new();
	a->claims = map_new();
	a->told = map_new();
}

static void free_values(struct map *m)
{
	map_for_each(void, v, m)
		free(v);
	map_free(m);
}

void agent_fini(struct world *w, int i)
{
	struct sagent *a = &w->n[i].a;

	heal_free(a->heal);
	map_for_each(struct copy, c, a->copies)
		copy_free(c);
	map_for_each(struct copy, c, a->rows)
		copy_free(c);
	map_free(a->copies);
	map_free(a->rows);
	free_values(a->claims);
	free_values(a->told);
	map_free(a->running);
	map_free(a->stopped);
	view_free(a->view);
	plan_fini(&a->plan);
}
