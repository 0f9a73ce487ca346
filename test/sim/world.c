/* world.c — one run: a cluster made from the seed, its faults, and the invariants after every step */
#include <stdio.h>
#include <string.h>

#include "sim.h"

enum { SETTLE_S = 240, CALM_S = 45, LOOK_MS = 5000, CPU = 4000, DENIED_IN = 6 };

static void conf_make(struct world *w)
{
	int64_t stop_after_ms = chance(w, 50) ? 20000 : 8000;	/* one draw a statement: their order is the compiler's */
	bool minority_active = chance(w, 4);
	int witnesses = chance(w, 70) ? 2 : (int)roll_in(w, 1, 3);

	w->conf = (struct heal_conf){
		.namespaces = { "*", "!kube-system" }, .namespace_count = 2, .policy = POLICY_AT_LEAST_ONCE, .keep = KEEP_BEST,
		.bind_grace_ms = 200, .node_grace_ms = 1000, .claim_timeout_ms = 500, .start_timeout_ms = 10000, .peer_ttl_ms = 2000,
		.gone_grace_ms = 60000, .local_grace_ms = 5000, .doubt_ms = 60000, .stop_after_ms = stop_after_ms, .lease_grace_ms = 12000,
		.minority_active = minority_active, .witnesses = witnesses, .max_lost_percent = 50,
		.restores_per_minute = 120 };
}

static void nodes_make(struct world *w)
{
	int64_t drift = chance(w, 50) ? 10000 : 100;

	w->sites = w->nodes >= 4 && chance(w, 30) ? 2 : 1;
	for (int i = 0; i < w->nodes; i++) {
		struct snode *n = &w->n[i];
		char name[16];

		(void)snprintf(name, sizeof(name), "n%d", i + 1);
		n->name = intern(name);
		n->site = intern(w->sites == 1 ? "" : i % 2 ? "west" : "east");
		n->allocatable = (struct resources){ CPU, 8 * GIB, 110 };
		n->up = n->serf_up = true;
		n->boot = 1;
		n->ppm = 1000000 + roll_in(w, -drift, drift);
		n->mono_base = SEC(roll_in(w, 100, 100000));
		n->wall_off = MS(roll_in(w, -100, 100)) - n->mono_base;
		n->tags = (struct tags){ .free = n->allocatable, .api = true, .set = true, .version = 1 };
		agent_init(w, i);
		n->a.conf = w->conf;
		n->a.conf.self = n->name;
		n->a.conf.site = n->site;
		n->a.observe = w->all_observe;
	}
}

static const struct constraints *constraints_of(const char *site)
{
	struct constraints *c;
	const struct constraints *known = constraints_find(site);

	if (known)
		return known;
	c = mem_new(struct constraints);
	if (*site) {
		c->selector = mem_new(struct label);
		c->selector[0] = (struct label){ intern(LABEL_ZONE), intern(site) };
		c->selector_count = 1;
	}
	return constraints_intern(site, c);
}

/* At most a half of the cluster is in use: what is lost has room elsewhere, mostly. */
static void workloads_make(struct world *w)
{
	int64_t budget = (int64_t)w->nodes * CPU * roll_in(w, 20, 60) / 100;
	int count = (int)roll_in(w, 1, 5);

	for (int k = 0; k < count; k++) {
		int64_t kind = roll(w, 100), cpu = roll_in(w, 1, 8) * 100;
		struct srs like = { .ns = intern(chance(w, 5) ? "kube-system" : "default"), .policy = POLICY_DEFAULT, .keep = KEEP_DEFAULT };
		int replicas = (int)roll_in(w, 1, 2 * w->nodes);
		char name[16];

		like.policy = kind < 30 ? POLICY_AT_MOST_ONCE : kind < 36 ? POLICY_NEVER : POLICY_DEFAULT;
		like.keep = (enum keep_policy)roll(w, KEEP_DEFAULT + 1);
		like.constraints = constraints_of(w->sites == 2 && chance(w, 70) ? w->n[roll(w, 2)].site : "");
		like.request = (struct resources){ cpu, cpu * (GIB / 2000), 1 };
		if (like.policy == POLICY_AT_MOST_ONCE)
			replicas = (int)roll_in(w, 1, 2);
		while (replicas > 1 && replicas * cpu > budget)
			replicas--;
		budget -= replicas * cpu;
		(void)snprintf(name, sizeof(name), "w%d", k);
		(void)api_rs_add(w, name, replicas, &like);
	}
}

static void on_look(struct world *w, const struct event *e)
{
	char why[SIM_REASON];

	after_ms(w, LOOK_MS, on_look, e->a);
	check_settled(w);
	check_promise(w);
	if (w->now < w->calm_at)
		return;
	if (!check_converged(w, why))
		w->converged_at = 0;
	else if (!w->converged_at)
		w->converged_at = w->now;
}

/* Agents start when the cluster runs. */
static void on_begin(struct world *w, const struct event *e)
{
	(void)e;
	for (int i = 0; i < w->nodes; i++) {
		watch_fill(w, i);
		agent_start(w, i);
	}
	w->api.scheduler = chance(w, 50);
}

/* Of numbers of its own: the worlds of all other seeds stay as they were. */
static bool denied_make(const struct world *w)
{
	uint64_t own = w->args.seed * 6 + 5;

	return roll_next(&own) % DENIED_IN == 0;
}

static void world_make(struct world *w, const struct sim_args *args)
{
	*w = (struct world){ .args = *args, .rng = args->seed * 2 + 1, .rng_faults = ~args->seed, .restored = map_new() };
	w->nodes = args->nodes ? args->nodes : (int)roll_in(w, 1, SIM_NODES);
	if (!args->for_ns)
		w->args.for_ns = SEC(roll_in(w, 30, 240));
	w->loss_pct = (int)roll(w, 4);
	w->dup_pct = (int)roll(w, 5);
	w->only_api = chance(w, 10);
	w->all_observe = chance(w, 4);
	w->denied = denied_make(w);
	w->api.host = w->nodes > 1 && chance(w, 25) ? 0 : -1;
	conf_make(w);
	nodes_make(w);
	api_start(w);
	network_start(w);
	w->api.scheduler = true;
	w->api.lifecycle = chance(w, 80);
	workloads_make(w);
	faults_make(w);
	after_ms(w, 6000, on_begin, (struct about){ 0 });
	after_ms(w, LOOK_MS, on_look, (struct about){ 0 });
	faults_start(w);
	w->end_at = w->calm_at + SEC(SETTLE_S);
}

static bool is_over(const struct world *w)
{
	return w->broken || w->now >= w->end_at || (w->converged_at && w->now - w->converged_at > SEC(CALM_S));
}

void world_run(struct world *w, const struct sim_args *args)
{
	struct event e;
	char why[SIM_REASON] = "";

	world_make(w, args);
	while (!is_over(w) && queue_pop(&w->q, &e)) {
		w->now = e.at;
		w->events++;
		e.fn(w, &e);
		free(e.a.data);
		check_step(w);
	}
	if (!w->broken && !w->converged_at && !w->all_observe) {
		(void)check_converged(w, why);
		broken(w, 0, "%d s after the last fault: %s", SETTLE_S, why);
	}
}

void world_fini(struct world *w)
{
	for (int i = 0; i < w->nodes; i++)
		agent_fini(w, i);
	queue_fini(&w->q);
	map_for_each(char, key, w->restored) {
		(void)map_remove(w->restored, key);
		free(key);
	}
	map_free(w->restored);
}
