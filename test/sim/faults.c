/* faults.c — what goes wrong, when: a list derived from the seed, and its execution
 *
 * Most runs have one long outage of the API server with other faults inside and around it. All faults end; a machine that died boots.
 */
#include <stdio.h>

#include "sim.h"

enum { WIPED_OF = 2 };				/* one of so many machines that die boots with an empty disk */
enum { FIRST_S = 15, BUSY_S = 240,		/* so many faults in this time, in a longer run accordingly */
       LIE_S = 480 };				/* longer than a promise may be delayed by a liar */

static int64_t pick(struct world *w, int64_t lo, int64_t hi)
{
	return lo + (int64_t)(roll_next(&w->rng_faults) % (uint64_t)(hi - lo + 1));
}

static int64_t pick_ms(struct world *w, int64_t lo, int64_t hi)
{
	return MS(pick(w, lo, hi));
}

static struct fault *add(struct world *w, enum fault_kind kind, int64_t when, int64_t for_ns)
{
	struct fault *f = &w->faults[w->fault_count++];

	*f = (struct fault){ .kind = kind, .at = when, .for_ns = for_ns, .node = (int)pick(w, 0, w->nodes - 1) };
	f->other = (int)((f->node + 1 + pick(w, 0, w->nodes > 2 ? w->nodes - 2 : 0)) % w->nodes);
	f->mask = (unsigned)pick(w, 1, (1 << w->nodes) - 1);
	return f;
}

static void add_any(struct world *w, int64_t from, int64_t until)
{
	static const struct { enum fault_kind kind; int weight; int64_t lo_ms, hi_ms, n_lo, n_hi; } kinds[] = {
		{ FAULT_CRASH, 30, 3000, 120000, 0, 0 },	 { FAULT_API_CUT, 12, 1000, 90000, 0, 0 },
		{ FAULT_API_DOWN, 6, 1000, 90000, 0, 0 },	 { FAULT_SPLIT, 12, 2000, 90000, 0, 0 },
		{ FAULT_ONE_WAY, 4, 2000, 60000, 0, 0 },	 { FAULT_PAIR, 5, 2000, 60000, 0, 0 },
		{ FAULT_SERF, 5, 0, 0, 0, 0 },			 { FAULT_FLAP, 8, 1000, 9000, 0, 0 },
		{ FAULT_AGENT, 6, 0, 0, 0, 0 },			 { FAULT_AGENT_STEP, 10, 0, 0, 1, 8 },
		{ FAULT_CLOCK, 3, 0, 0, -600000, 600000 },	 { FAULT_SUSPEND, 4, 500, 90000, 0, 0 },
		{ FAULT_SLOW, 4, 10000, 90000, 2000, 30000 },	 { FAULT_REFUSE, 4, 10000, 90000, 0, 0 },
		{ FAULT_DISK, 4, 5000, 90000, 0, 0 },		 { FAULT_VANISH, 5, 0, 0, 0, 0 },
		{ FAULT_CONF, 2, 0, 0, 0, 0 },			 { FAULT_SCALE, 4, 0, 0, 0, 6 },
		{ FAULT_ROLLOUT, 4, 0, 0, 0, 0 },		 { FAULT_DELETE, 2, 0, 0, 0, 0 },
		{ FAULT_GATEWAY, 3, 5000, 90000, 0, 0 },
	};
	int64_t at_weight = pick(w, 0, 136), k = 0, for_ns;
	struct fault *f;

	for (; at_weight >= kinds[k].weight && k + 1 < (int64_t)ARRAY_LEN(kinds); k++)
		at_weight -= kinds[k].weight;
	for_ns = kinds[k].hi_ms ? pick_ms(w, kinds[k].lo_ms, kinds[k].hi_ms) : 0;
	f = add(w, kinds[k].kind, from + (int64_t)(roll_next(&w->rng_faults) % (uint64_t)(until - from)), for_ns);
	f->n = kinds[k].n_hi ? pick(w, kinds[k].n_lo, kinds[k].n_hi) : 0;
	if (f->kind == FAULT_SCALE || f->kind == FAULT_ROLLOUT || f->kind == FAULT_DELETE)
		f->node = 0;
}

/* One draw a statement: the order of arguments is the compiler's. */
static void add_api(struct world *w, int64_t from, int64_t until)
{
	int64_t for_ns = pick_ms(w, 500, 60000), when = pick(w, from, until);

	add(w, pick(w, 0, 1) ? FAULT_API_CUT : FAULT_API_DOWN, when, for_ns);
}

static int by_time(const void *x, const void *y)
{
	const struct fault *a = x, *b = y;

	if (a->at != b->at)
		return a->at < b->at ? -1 : 1;
	return a->kind != b->kind ? (int)a->kind - (int)b->kind : a->node - b->node;
}

/* No machine dies and no part of the site is away for long: nothing of this is a loss, one thing after the other. The API server is down
 * all the while, so that a false loss would be restored. */
static void flapping(struct world *w)
{
	static const struct { enum fault_kind kind; int64_t lo_ms, hi_ms; } kinds[] = {
		{ FAULT_FLAP, 1000, 9000 }, { FAULT_PAIR, 2000, 60000 }, { FAULT_ONE_WAY, 500, 5000 }, { FAULT_SPLIT, 200, 3000 },
	};
	int64_t first = SEC(FIRST_S), last = first + w->args.for_ns, at = first + SEC(10);

	add(w, FAULT_API_DOWN, first, w->args.for_ns)->node = 0;
	while (at < last - SEC(60) && w->fault_count < SIM_FAULTS) {
		size_t k = (size_t)pick(w, 0, (int64_t)ARRAY_LEN(kinds) - 1);
		int64_t for_ns = pick_ms(w, kinds[k].lo_ms, kinds[k].hi_ms);

		add(w, kinds[k].kind, at, for_ns);
		at += for_ns + pick_ms(w, 500, 5000);
	}
	w->calm_at = last;
}

/* The API server is down, and one machine dies for as long: nothing else happens, so that what is promised is due. Its neighbour lies. */
static void lying(struct world *w)
{
	int64_t first = SEC(FIRST_S), for_ns = w->args.for_ns > SEC(LIE_S) ? w->args.for_ns : SEC(LIE_S);
	struct fault *crash;

	w->only_api = false;
	add(w, FAULT_API_DOWN, first, for_ns)->node = 0;
	crash = add(w, FAULT_CRASH, first + pick_ms(w, 5000, 20000), for_ns - SEC(30));
	while (w->nodes > 1 && is_liar(w, crash->node))
		crash->node = (crash->node + 1) % w->nodes;
	w->calm_at = first + for_ns;
}

void faults_make(struct world *w)
{
	int64_t first = SEC(FIRST_S), last = first + w->args.for_ns, begin = first, end = last;
	int64_t count = pick(w, 1, 10) * (w->args.for_ns > SEC(BUSY_S) ? w->args.for_ns / SEC(BUSY_S) : 1);

	if (w->args.flap) {
		flapping(w);
		return;
	}
	if (w->args.liar) {
		lying(w);
		return;
	}
	if (pick(w, 0, 99) < 75 || w->only_api) {
		int64_t from = pick_ms(w, 0, 10000) + first, length = w->args.for_ns * pick(w, 30, 95) / 100;
		struct fault *f = add(w, pick(w, 0, 1) ? FAULT_API_DOWN : FAULT_API_CUT, from, length);

		f->mask = (1U << w->nodes) - 1;
		f->node = 0;
		begin = from;
		end = from + length + SEC(10);
	}
	for (int64_t k = 0; k < count && w->fault_count < SIM_FAULTS; k++) {
		bool within = pick(w, 0, 99) < 80;

		if (w->only_api)
			add_api(w, first, last);
		else
			add_any(w, within ? begin : first, within ? end : last);
	}
	qsort(w->faults, (size_t)w->fault_count, sizeof(w->faults[0]), by_time);
	for (int k = 0; k < w->fault_count; k++) {	/* no draw: the faults of a seed stay what they were */
		struct fault *f = &w->faults[k];

		if (f->kind == FAULT_CRASH)
			f->n = (f->at / MS(1) + f->mask) % WIPED_OF == 0;
	}
	for (int k = 0; k < w->fault_count; k++) {
		int64_t over = w->faults[k].at + w->faults[k].for_ns;

		if (k < 64 && w->args.drop >> k & 1)
			continue;
		w->calm_at = over > w->calm_at ? over : w->calm_at;
	}
}

/* ---- execution ---- */

static void ways_changed(struct world *w, unsigned mask)
{
	for (int i = 0; i < w->nodes; i++)
		if (mask >> i & 1)
			way_changed(w, i);
}

static void split(struct world *w, const struct fault *f, int by)
{
	for (int i = 0; i < w->nodes; i++)
		for (int j = 0; j < w->nodes; j++)
			if ((f->mask >> i & 1) != (f->mask >> j & 1))
				w->block[i][j] += by;
	network_changed(w);
}

static void block(struct world *w, const struct fault *f, int by)
{
	if (f->node == f->other)
		return;
	w->block[f->node][f->other] += by;
	if (f->kind == FAULT_PAIR)
		w->block[f->other][f->node] += by;
	network_changed(w);
}

/* Who forgets such a pod cannot hold it when its kubelet starts it: a lost store breaks at-most-once, whatever peers do. */
static bool has_once_pods(const struct world *w, int i)
{
	for (int p = 0; p < w->api.pod_count; p++) {
		const struct spod *x = &w->api.pods[p];

		if (x->node == i && !x->gone && w->api.rs[x->rs].policy == POLICY_AT_MOST_ONCE)
			return true;
	}
	return false;
}

/* What ends: by is +1 at its begin and -1 at its end. */
static void lasting(struct world *w, const struct fault *f, int by)
{
	struct snode *n = &w->n[f->node];

	switch (f->kind) {
	case FAULT_CRASH:
		if (by > 0) {
			machine_dies(w, f->node);
			break;
		}
		if (f->n && !n->up && !has_once_pods(w, f->node))
			agent_wipe(w, f->node);
		kubelet_boot(w, f->node);
		break;
	case FAULT_SUSPEND:
		if (by > 0)
			machine_sleeps(w, f->node);
		else
			machine_wakes(w, f->node);
		break;
	case FAULT_API_CUT:
		for (int i = 0; i < w->nodes; i++)
			w->n[i].api_cut += f->mask >> i & 1 ? by : 0;
		ways_changed(w, f->mask);
		break;
	case FAULT_API_DOWN:
		w->api.down += by;
		ways_changed(w, ~0U);
		break;
	case FAULT_SPLIT:
		split(w, f, by);
		break;
	case FAULT_ONE_WAY:
	case FAULT_PAIR:
		block(w, f, by);
		break;
	case FAULT_SLOW:
		n->slow_ms += by * f->n;
		break;
	case FAULT_REFUSE:
		n->refuses += by;
		kubelet_look(w, f->node);
		break;
	case FAULT_DISK:
		n->disk_full += by;
		break;
	case FAULT_GATEWAY:
		n->no_gateway += by;
		agent_soon(w, f->node);
		break;
	default:
		break;
	}
}

static void new_conf(struct world *w, const struct fault *f)
{
	static const struct { int witnesses; int64_t grace_ms, claim_ms; } confs[] = {
		{ 1, 1000, 500 }, { 2, 2000, 500 }, { 3, 500, 1000 }, { 2, 1000, 300 },
	};
	unsigned k = f->mask % ARRAY_LEN(confs);

	for (int i = 0; i < w->nodes; i++) {
		struct heal_conf *c = &w->n[i].a.conf;

		c->witnesses = confs[k].witnesses;
		c->node_grace_ms = confs[k].grace_ms;
		c->claim_timeout_ms = confs[k].claim_ms;
		if (w->n[i].a.up)
			heal_set_conf(w->n[i].a.heal, c);
		agent_soon(w, i);
	}
}

/* Changes come through the API server: while it is down they cannot. */
static void change(struct world *w, const struct fault *f)
{
	int r = (int)(f->mask % (unsigned)w->api.rs_count);
	const struct srs *rs = &w->api.rs[r];

	if (api_is_down(w) || rs->gone || !rs->replicas || rs->newer >= 0 || rs->policy == POLICY_AT_MOST_ONCE ||
	    w->api.rs_count == SIM_RS)
		return;
	if (f->kind == FAULT_SCALE)
		api_scale(w, r, (int)f->n < rs->replicas + 2 ? (int)f->n : rs->replicas + 1);
	else if (f->kind == FAULT_ROLLOUT)
		api_rollout(w, r);
	else
		api_rs_delete(w, r);
}

static void on_fault(struct world *w, const struct event *e)
{
	const struct fault *f = &w->faults[e->a.n];
	struct snode *n = &w->n[f->node];
	char text[128];

	w->changed_at = w->now;
	tell(w, -1, "FAULT %lld: %s", (long long)e->a.n, fault_text(w, f, text, sizeof(text)));
	switch (f->kind) {
	case FAULT_SERF:
		if (n->up)
			serf_restart(w, f->node);
		break;
	case FAULT_FLAP:
		serf_flap(w, f->node, f->for_ns);
		break;
	case FAULT_AGENT:
		agent_kill(w, f->node);
		break;
	case FAULT_AGENT_STEP:
		n->a.crash_in = (int)f->n;
		break;
	case FAULT_CLOCK:
		n->wall_off += MS(f->n);
		agent_soon(w, f->node);
		break;
	case FAULT_VANISH:
		if (n->up && !n->suspended)
			run_vanish(w, f->node);
		break;
	case FAULT_CONF:
		new_conf(w, f);
		break;
	case FAULT_SCALE:
	case FAULT_ROLLOUT:
	case FAULT_DELETE:
		change(w, f);
		break;
	default:
		lasting(w, f, 1);
		break;
	}
}

static void on_fault_over(struct world *w, const struct event *e)
{
	char text[128];

	w->changed_at = w->now;
	tell(w, -1, "OVER  %lld: %s", (long long)e->a.n, fault_text(w, &w->faults[e->a.n], text, sizeof(text)));
	lasting(w, &w->faults[e->a.n], -1);
}

void faults_start(struct world *w)
{
	for (int k = 0; k < w->fault_count; k++) {
		const struct fault *f = &w->faults[k];

		if (k < 64 && w->args.drop >> k & 1)
			continue;
		at(w, f->at, on_fault, (struct about){ .n = k });
		if (f->for_ns && f->kind != FAULT_FLAP)
			at(w, f->at + f->for_ns, on_fault_over, (struct about){ .n = k });
	}
}
