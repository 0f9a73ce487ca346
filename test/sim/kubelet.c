/* kubelet.c — machines and what runs on them
 *
 * A kubelet that reaches the API server starts what is bound to its node, ends what was deleted and reports what is Ready. Without it
 * what runs runs on, and only static pods come and go; if it was started so, they come but do not go.
 */
#include <stdio.h>
#include <string.h>

#include "sim.h"

enum { STATIC_MS = 200, BOOT_MONO_S = 10, HOLD_MS = 950 };

struct run *run_find(struct world *w, int i, const char *uid, bool copy)
{
	for (int k = 0; k < SIM_RUNS; k++) {
		struct run *r = &w->n[i].runs[k];

		if (r->used && r->copy == copy && str_eq(r->uid, uid))
			return r;
	}
	return NULL;
}

bool run_counts(const struct world *w, int i, const struct run *r)
{
	return r->used && !r->frozen && w->n[i].up && !w->n[i].suspended;
}

static struct run *run_add(struct world *w, int i, const char *uid, int rs)
{
	for (int k = 0; k < SIM_RUNS; k++) {
		struct run *r = &w->n[i].runs[k];

		if (r->used)
			continue;
		*r = (struct run){ .used = true, .rs = rs, .since = w->now };
		(void)str_copy(r->uid, sizeof(r->uid), uid);
		w->runs_changed = true;
		return r;
	}
	abort();
}

static void run_end(struct world *w, struct run *r)
{
	int p = api_pod(w, r->uid);

	if (p >= 0 && !r->copy)
		w->api.pods[p].last_run = w->now;
	r->ended = w->now;
	r->used = false;
}

/* ---- files ---- */

struct sfile *file_find(struct world *w, int i, const char *uid)
{
	for (int k = 0; k < SIM_FILES; k++)
		if (w->n[i].files[k].used && str_eq(w->n[i].files[k].uid, uid))
			return &w->n[i].files[k];
	return NULL;
}

bool file_add(struct world *w, int i, const char *uid, uint32_t epoch, int rs)
{
	for (int k = 0; k < SIM_FILES && !w->n[i].disk_full; k++) {
		struct sfile *f = &w->n[i].files[k];

		if (f->used)
			continue;
		*f = (struct sfile){ .used = true, .epoch = epoch, .rs = rs };
		(void)str_copy(f->uid, sizeof(f->uid), uid);
		kubelet_look(w, i);
		return true;
	}
	return false;
}

void file_remove(struct world *w, int i, const char *uid)
{
	struct sfile *f = file_find(w, i, uid);

	if (f)
		f->used = false;
	kubelet_look(w, i);
}

/* ---- starting and ending ---- */

static void on_stopped(struct world *w, const struct event *e)
{
	struct run *r = run_find(w, e->a.node, e->a.data, e->a.n);

	if (w->n[e->a.node].boot != e->a.life || !r)
		return;
	run_end(w, r);
	kubelet_look(w, e->a.node);
	agent_soon(w, e->a.node);
}

static void run_stop(struct world *w, int i, struct run *r)
{
	if (r->stopping)
		return;
	r->stopping = true;
	after_ms(w, chance(w, 90) ? roll_in(w, 100, 2000) : roll_in(w, 5000, 30000), on_stopped,
		 (struct about){ .node = i, .life = w->n[i].boot, .n = r->copy, .data = str_dup(r->uid) });
}

static struct resources room_for(const struct world *w, int i)
{
	struct resources left = w->n[i].allocatable;

	for (int k = 0; k < SIM_RUNS; k++)
		if (w->n[i].runs[k].used)
			resources_sub(&left, &w->api.rs[w->n[i].runs[k].rs].request);
	return left;
}

/* A healer looks every second at what it holds still (src/agent/local.c): kubelet may start the original beside the frozen copy. */
static void on_hold(struct world *w, const struct event *e)
{
	int i = e->a.node;
	const struct run *copy = run_find(w, i, e->a.data, true), *own = run_find(w, i, e->a.data, false);

	if (w->n[i].boot == e->a.life && copy && copy->frozen && own && !own->frozen && w->n[i].a.up && !w->n[i].suspended)
		run_freeze(w, i, e->a.data, true);
}

static void hold_twin(struct world *w, int i, const char *uid)
{
	const struct run *copy = run_find(w, i, uid, true);

	if (copy && copy->frozen)
		after_ms(w, roll_in(w, 0, HOLD_MS), on_hold, (struct about){ .node = i, .life = w->n[i].boot, .data = str_dup(uid) });
}

static void on_start(struct world *w, const struct event *e)
{
	struct spod *p = &w->api.pods[e->a.n];
	int i = e->a.node;
	struct resources left = room_for(w, i);

	if (w->n[i].boot != e->a.life || p->gone || p->deleting || p->phase >= POD_SUCCEEDED)
		return;
	if (w->n[i].suspended) {
		after_ms(w, 500, on_start, e->a);
		return;
	}
	if (run_find(w, i, p->uid, false))
		return;
	if (!resources_fit(&w->api.rs[p->rs].request, &left)) {
		p->starting = 0;
		if (!api_ok(w, i))
			return;
		tell(w, i, "kubelet: no room for %s", p->name);
		p->phase = POD_FAILED;
		p->ready = false;
		w->api.rs[p->rs].excused = true;	/* the cluster goes on without asking anybody */
		api_pod_changed(w, (int)e->a.n);
		return;
	}
	(void)run_add(w, i, p->uid, p->rs);
	tell(w, i, "kubelet: %s runs", p->name);
	hold_twin(w, i, p->uid);
	kubelet_look(w, i);
	agent_soon(w, i);
}

static void on_static_start(struct world *w, const struct event *e)
{
	int i = e->a.node;
	struct sfile *f = file_find(w, i, e->a.data);
	struct run *r;

	if (w->n[i].boot != e->a.life || !f || run_find(w, i, f->uid, true))
		return;
	f->starting = false;
	if (w->n[i].suspended || w->n[i].refuses) {
		kubelet_look(w, i);
		return;
	}
	r = run_add(w, i, f->uid, f->rs);
	r->copy = true;
	r->epoch = f->epoch;
	tell(w, i, "kubelet: a copy of %.8s runs", f->uid);
	kubelet_look(w, i);
	agent_soon(w, i);
}

/* ---- one look ---- */

static void look_at_pod(struct world *w, int i, int p)
{
	struct spod *x = &w->api.pods[p];
	struct run *r = run_find(w, i, x->uid, false);

	if (x->deleting && r) {
		run_stop(w, i, r);
	} else if (x->deleting) {
		api_pod_remove(w, p);
	} else if (!r && x->starting != w->n[i].boot) {
		x->starting = w->n[i].boot;
		api_pod_ready(w, p, false);	/* its first status, before any container starts: what was true in another boot ends */
		after_ms(w, w->n[i].slow_ms + roll_in(w, 200, 1500), on_start,
			 (struct about){ .node = i, .life = w->n[i].boot, .n = p });
	} else if (x->ready != (r && !r->frozen)) {
		api_pod_ready(w, p, r && !r->frozen);
	}
}

static int mirror_of(const struct world *w, int i, const char *uid)
{
	for (int p = 0; p < w->api.pod_count; p++) {
		const struct spod *x = &w->api.pods[p];

		if (x->mirror && !x->gone && x->node == i && str_eq(x->original, uid))
			return p;
	}
	return -1;
}

static void look_at_api(struct world *w, int i)
{
	for (int p = 0; p < w->api.pod_count; p++) {
		struct spod *x = &w->api.pods[p];

		if (x->gone || x->node != i)
			continue;
		if (x->mirror && !run_find(w, i, x->original, true))
			api_pod_remove(w, p);
		else if (!x->mirror && x->phase < POD_SUCCEEDED)
			look_at_pod(w, i, p);
		else if (!x->mirror && x->deleting)
			api_pod_remove(w, p);
	}
	for (int k = 0; k < SIM_RUNS; k++) {
		struct run *r = &w->n[i].runs[k];

		if (r->used && !r->copy && api_pod(w, r->uid) < 0)
			run_stop(w, i, r);
		else if (r->used && r->copy && mirror_of(w, i, r->uid) < 0)
			(void)api_mirror_add(w, i, r->uid, r->rs);
	}
}

static void look_at_files(struct world *w, int i)
{
	struct snode *n = &w->n[i];

	for (int k = 0; k < SIM_FILES; k++) {
		struct sfile *f = &n->files[k];

		if (!f->used || f->starting || n->refuses || run_find(w, i, f->uid, true))
			continue;
		f->starting = true;
		after_ms(w, STATIC_MS + n->slow_ms, on_static_start,
			 (struct about){ .node = i, .life = n->boot, .data = str_dup(f->uid) });
	}
	for (int k = 0; k < SIM_RUNS; k++) {
		struct run *r = &n->runs[k];

		if (r->used && r->copy && !n->started_offline && !file_find(w, i, r->uid))
			run_stop(w, i, r);
	}
}

static void on_look(struct world *w, const struct event *e)
{
	struct snode *n = &w->n[e->a.node];

	n->kubelet_looking = false;
	if (!n->up || n->suspended)
		return;
	if (api_ok(w, e->a.node))
		n->started_offline = false;	/* before the files: what was removed meanwhile ends now */
	look_at_files(w, e->a.node);
	if (api_ok(w, e->a.node))
		look_at_api(w, e->a.node);
}

void kubelet_look(struct world *w, int i)
{
	if (w->n[i].kubelet_looking || !w->n[i].up)
		return;
	w->n[i].kubelet_looking = true;
	after_ms(w, roll_in(w, 1, 50), on_look, (struct about){ .node = i });
}

void run_freeze(struct world *w, int i, const char *uid, bool frozen)
{
	for (int copy = 0; copy <= 1; copy++) {
		struct run *r = run_find(w, i, uid, copy);

		if (r)
			r->frozen = frozen;
	}
	w->runs_changed = true;
	kubelet_look(w, i);
}

/* The first of the node's pods that is no copy. */
void run_vanish(struct world *w, int i)
{
	for (int k = 0; k < SIM_RUNS; k++) {
		struct run *r = &w->n[i].runs[k];
		int p = r->used && !r->copy && !r->frozen ? api_pod(w, r->uid) : -1;

		if (p < 0)
			continue;
		tell(w, i, "%s vanishes", w->api.pods[p].name);
		w->api.pods[p].starting = 0;
		run_end(w, r);
		kubelet_look(w, i);
		agent_soon(w, i);
		return;
	}
}

/* ---- machines ---- */

void way_changed(struct world *w, int i)
{
	api_contact(w, i);
	agent_link(w, i);
}

void machine_dies(struct world *w, int i)
{
	struct snode *n = &w->n[i];

	if (!n->up)
		return;
	agent_kill(w, i);
	for (int k = 0; k < SIM_RUNS; k++)
		if (n->runs[k].used)
			run_end(w, &n->runs[k]);
	n->wall_off = node_wall(w, i).ns - SEC(1700000000) - w->now;	/* the RTC keeps it */
	n->up = n->suspended = n->serf_up = n->tags.set = false;
	n->boot++;
	n->serf_life++;
	network_changed(w);
	way_changed(w, i);
}

static void on_agent_start(struct world *w, const struct event *e)
{
	if (w->n[e->a.node].up && w->n[e->a.node].boot == e->a.life && !w->n[e->a.node].a.up)
		agent_start(w, e->a.node);
}

void kubelet_boot(struct world *w, int i)
{
	struct snode *n = &w->n[i];

	if (n->up)
		return;
	n->up = n->cold = true;
	n->booted = n->mono_at = w->now;
	n->mono_base = SEC(BOOT_MONO_S);
	n->wall_off += w->now - n->mono_base;
	n->slept = 0;
	n->kubelet_looking = false;
	for (int k = 0; k < SIM_FILES; k++)
		n->files[k].starting = false;
	n->started_offline = !api_ok(w, i);
	tell(w, i, "boots");
	serf_restart(w, i);
	way_changed(w, i);
	kubelet_look(w, i);
	after_ms(w, roll_in(w, 500, 4000), on_agent_start, (struct about){ .node = i, .life = n->boot });
}

void machine_sleeps(struct world *w, int i)
{
	struct snode *n = &w->n[i];

	if (!n->up || n->suspended)
		return;
	n->slept_at = w->now;
	n->suspended = true;
	network_changed(w);
	way_changed(w, i);
}

void machine_wakes(struct world *w, int i)
{
	struct snode *n = &w->n[i];

	if (!n->up || !n->suspended)
		return;
	n->mono_base = node_mono(w, i).ns;
	n->mono_at = w->now;
	n->slept += w->now - n->slept_at;
	n->woke = w->now;
	n->suspended = false;
	w->runs_changed = true;
	tell(w, i, "wakes");
	agent_tick(w, i);		/* the instant between waking and the first look is not counted */
	network_changed(w);
	way_changed(w, i);
	kubelet_look(w, i);
}
