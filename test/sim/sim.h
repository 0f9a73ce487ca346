/* test/sim/sim.h — many agents in virtual time: what the files of the simulator share
 *
 * The thinking is the real heal/; everything around it is a model. The world has one true time in ns; each node's clocks run at
 * their own speed. What a function does at a later time is an event; nothing is polled. docs/simulator.md tells the whole story.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "heal/heal.h"

#define MS(x) ((int64_t)(x) * NS_PER_MS)
#define SEC(x) MS((int64_t)(x) * MS_PER_S)
#define GIB (INT64_C(1) << 30)

enum { SIM_NODES = 9, SIM_RS = 16, SIM_PODS = 2000, SIM_RUNS = 96, SIM_FILES = 64, SIM_FENCES = 256, SIM_FAULTS = 1024, SIM_REASON = 240,
       SIM_UID = UID_SIZE + 8 };

struct world;
struct event;
typedef void event_fn(struct world *w, const struct event *e);

/* What an event is about; `life` is compared with that of its subject: an event of a former life does nothing. */
struct about { int node, other; unsigned life; int64_t n; void *data; };	/* data: owned, freed after the event */
struct event { int64_t at; uint64_t seq; event_fn *fn; struct about a; };

struct queue { struct event *items; size_t count, cap; uint64_t seq; };

/* ---- faults: data, derived from the seed ---- */

enum fault_kind {
	FAULT_CRASH,			/* the machine dies; it boots after `for_ns`, n = 1: with an empty disk */
	FAULT_API_CUT,			/* this node's way to the API server */
	FAULT_API_DOWN,			/* everybody's */
	FAULT_SPLIT,			/* nodes of `mask` against the others, both ways */
	FAULT_ONE_WAY,			/* packets from node to other are lost */
	FAULT_PAIR,			/* node and other do not reach each other */
	FAULT_SERF,			/* the serf agent of the node restarts */
	FAULT_FLAP,			/* the node looks failed to some although it is well */
	FAULT_AGENT,			/* kill -9 of the healer */
	FAULT_AGENT_STEP,		/* the same, at its n-th effect from now on */
	FAULT_CLOCK,			/* its wall clock jumps by n ms */
	FAULT_SUSPEND,			/* the machine sleeps */
	FAULT_SLOW,			/* its kubelet takes n ms to start a pod */
	FAULT_REFUSE,			/* its kubelet does not start static pods */
	FAULT_DISK,			/* its disk is full */
	FAULT_VANISH,			/* a pod of the node ends and kubelet does not bring it back */
	FAULT_CONF,			/* other settings for all */
	FAULT_SCALE,			/* a ReplicaSet gets n replicas */
	FAULT_ROLLOUT,			/* a Deployment gets a new template */
	FAULT_DELETE,			/* a Deployment is deleted */
	FAULT_GATEWAY,			/* the node does not reach its gateway */
	FAULT_KINDS,
};
struct fault { int64_t at, for_ns; enum fault_kind kind; int node, other; unsigned mask; int64_t n; };

/* ---- the control plane ---- */

struct spod {
	char uid[UID_SIZE], original[UID_SIZE];	/* original: of the mirror pod of a copy */
	char name[48];
	int rs, node;			/* node -1 = unbound */
	enum pod_phase phase;
	bool gone, deleting, ready, mirror;
	struct wall ready_since;
	int64_t version, created, last_run, cleared;	/* last_run: when it was last seen to run in truth */
	unsigned starting;		/* boot in which its kubelet starts it */
	bool unseen;			/* it vanished, and its healer died before it could know for sure */
};

struct srs {
	char uid[UID_SIZE], name[32];
	const char *deployment;
	int replicas, ready;
	enum heal_policy policy;
	enum keep_policy keep;
	struct resources request;
	const struct constraints *constraints;
	bool gone, excused;		/* excused: the cluster itself broke at-most-once */
	bool scaling;			/* a controller will look at it */
	int64_t version, since;		/* since: when replicas were last changed */
	int newer;			/* the rollout that replaces it; -1 = none */
	const char *ns;
};

struct snode_status {			/* a Node object and its Lease */
	bool ready, tainted, contact;	/* contact: its kubelet reaches the API server */
	int64_t version, since;		/* since: of the contact */
	unsigned life;
	struct wall renewed;		/* last renewal before the contact was lost */
};

struct api {
	struct spod pods[SIM_PODS];
	int pod_count;
	struct srs rs[SIM_RS];
	int rs_count;
	struct snode_status node[SIM_NODES];
	bool scheduler, lifecycle;
	int64_t version;
	int down;			/* faults under way */
	int host;			/* the node that it runs on, as in a small k3s site; -1 = elsewhere */
};

/* ---- a machine ---- */

struct run {				/* a pod that has processes */
	bool used, copy, frozen, stopping;
	char uid[UID_SIZE];		/* of the pod; of the lost one for a copy */
	int rs;
	uint32_t epoch;
	int64_t since, ended;
};

struct sfile { bool used, starting; char uid[UID_SIZE]; uint32_t epoch; int rs; };	/* a static-pod manifest of ours */

struct tags { struct resources free; bool api, blank, set; uint64_t version; };

struct member {				/* one node as another sees it */
	enum peer_status status;
	struct mono since;		/* by the observer's clock */
	bool known, connected;		/* connected: gossip between the two works, in truth */
	int64_t cut_at;			/* when `connected` changed last */
	unsigned life;			/* of the next change of the status */
	struct tags tags;
};

struct sagent {
	bool up, observe, think_pending, sync_pending, probe_pending;
	unsigned life, timer_life;
	int crash_in;			/* effects until it is killed; 0 = not so */
	int64_t repeat_ms;		/* until its claims are told again */
	unsigned repeat_life;		/* of that timer */
	struct heal *heal;
	struct heal_conf conf;
	struct view *view;		/* the mirror: survives in the store */
	uint64_t mirror_version;
	struct map *copies;
	struct peer items[SIM_NODES];
	struct peers peers;
	struct link link;
	struct mono synced_at, tilted_until;
	int64_t slept_seen, wall_seen;
	struct map *running, *stopped;	/* facts, made anew for each tick */
	struct plan plan;
	/* the store */
	struct map *rows, *claims;	/* claims: "uid node" → struct claim_row */
	struct mono lease;
	unsigned lease_boot;
	int64_t lease_slept;		/* the node's sleep when it was stored */
	struct sfence { char uid[UID_SIZE]; const char *node, *holder; } fences[SIM_FENCES];
	size_t fence_count;
	struct grant_question grants[SIM_NODES];
	size_t grant_count;
	unsigned fences_saved;		/* version of what is stored */
	struct map *told;		/* "kind uid" → struct tally: storms */
};

struct claim_row { char key[UID_SIZE + NODE_NAME_SIZE]; struct claim c; };

struct snode {
	const char *name, *site;
	struct resources allocatable;
	bool up, suspended, serf_up, started_offline, cold, tags_pending;	/* cold: booted, and the API server has not answered */
	int no_gateway;
	unsigned boot, serf_life;
	int64_t mono_base, mono_at, ppm, wall_off, booted, slept, slept_at, woke;
	struct mono serf_seen;		/* last answer of its serf while that was up */
	int api_cut, disk_full, refuses;
	int64_t slow_ms;
	int64_t reach_since;		/* since when a majority of its site reaches it; 0 = it does not */
	int gossip;			/* nodes of one number hear each other's gossip; -1 = none */
	struct tags tags;		/* its own */
	bool kubelet_looking;
	int restores;
	struct member seen[SIM_NODES];
	struct run runs[SIM_RUNS];
	struct sfile files[SIM_FILES];
	struct sagent a;
};

/* ---- the world ---- */

struct sim_args { uint64_t seed; int nodes; int64_t for_ns; bool quiet, list, flap, liar; uint64_t drop; };

struct world {
	struct sim_args args;
	uint64_t rng, rng_faults;
	int64_t now, calm_at, end_at;	/* calm: all faults are over */
	int64_t changed_at;		/* the network, a machine or a healer, last */
	struct queue q;
	int nodes, sites;
	struct snode n[SIM_NODES];
	int block[SIM_NODES][SIM_NODES];	/* faults that swallow packets from, to */
	struct api api;
	struct fault faults[SIM_FAULTS];
	int fault_count;
	struct heal_conf conf;		/* of every node but for self and site */
	bool denied;			/* the healers' role lets them delete no pod, until all is calm */
	bool only_api;			/* nothing but the API server fails: nothing may be done */
	bool all_observe;
	int loss_pct, dup_pct;		/* of gossip messages */
	uint64_t events, restores, actions;
	struct map *restored;		/* "node uid epoch" */
	int invariant;			/* the one that broke */
	bool broken, runs_changed;	/* runs_changed: since the last look at the invariants */
	int64_t looked_at;
	int64_t converged_at;		/* since when nothing is left to do; 0 = not so */
	char reason[SIM_REASON];
};

/* clock.c: random numbers, the queue, the clocks of the nodes */
uint64_t roll_next(uint64_t *state);
int64_t roll(struct world *w, int64_t below);			/* 0 … below-1 */
int64_t roll_in(struct world *w, int64_t lo, int64_t hi);	/* lo … hi */
bool chance(struct world *w, int pct);
void at(struct world *w, int64_t when, event_fn *fn, struct about a);
void after_ms(struct world *w, int64_t ms, event_fn *fn, struct about a);
bool queue_pop(struct queue *q, struct event *out);
void queue_fini(struct queue *q);
struct mono node_mono(const struct world *w, int i);
struct wall node_wall(const struct world *w, int i);
int64_t node_true(const struct world *w, int i, struct mono local);	/* true time of a reading; not before now */

/* tell.c: the timeline */
void tell(struct world *w, int node, const char *fmt, ...) PRINTF_LIKE(3, 4);	/* node -1 = the world */
void broken(struct world *w, int invariant, const char *fmt, ...) PRINTF_LIKE(3, 4);
const char *fault_text(const struct world *w, const struct fault *f, char *buf, size_t size);
const char *invariant_name(int invariant);

/* network.c: who reaches whom, and what Serf makes of it */
bool reaches(const struct world *w, int i, int j);		/* both ways, directly */
bool gossips(const struct world *w, int i, int j);
void network_changed(struct world *w);
void network_start(struct world *w);
void serf_restart(struct world *w, int i);
void serf_flap(struct world *w, int i, int64_t for_ns);
void tags_soon(struct world *w, int i);
int64_t gossip_delay_ms(struct world *w);
void tell_claims(struct world *w, int i, const struct claim *claims, size_t n);
void hello(struct world *w, int i);
void claims_repeat_start(struct world *w, int i);
void claims_repeat_soon(struct world *w, int i);
void tell_link(struct world *w, int i);

/* api.c: objects, watches, controllers */
bool api_ok(const struct world *w, int i);
bool api_is_down(const struct world *w);
int api_pod(const struct world *w, const char *uid);		/* index or -1 */
int rs_find(const struct world *w, const char *uid);
int api_rs_add(struct world *w, const char *deployment, int replicas, const struct srs *like);
void api_pod_changed(struct world *w, int p);
void api_rs_changed(struct world *w, int r);
void api_node_changed(struct world *w, int i);
int api_mirror_add(struct world *w, int i, const char *original, int rs);
void api_pod_remove(struct world *w, int p);
void api_pod_delete(struct world *w, int p, bool force);
void api_scale(struct world *w, int r, int replicas);
void api_rollout(struct world *w, int r);
void api_rs_delete(struct world *w, int r);
int best_node(const struct world *w, int p);			/* as the scheduler would, or -1 */
bool may_host(const struct world *w, int p, int i, bool without_copies);	/* node i may take pod p */
bool api_bind(struct world *w, const char *uid, int i);
void api_start(struct world *w);
void api_taint(struct world *w, int i, bool tainted);
struct wall api_lease(const struct world *w, int i);
void api_pod_ready(struct world *w, int p, bool ready);
void api_contact(struct world *w, int i);			/* the node's kubelet reaches it (again), or not any more */
struct resources api_free(const struct world *w, int i);

/* watch.c: the agents' mirrors */
enum watched { WATCHED_POD, WATCHED_RS, WATCHED_NODE };
void watch_tell(struct world *w, enum watched kind, int index);
void watch_fill(struct world *w, int i);
void api_resync(struct world *w, int i);			/* an agent lists everything */

/* kubelet.c: what runs */
void kubelet_look(struct world *w, int i);
void kubelet_boot(struct world *w, int i);
void machine_dies(struct world *w, int i);
void machine_sleeps(struct world *w, int i);
void machine_wakes(struct world *w, int i);
void way_changed(struct world *w, int i);			/* to the API server */
bool has_serf(const struct world *w, int i);
struct run *run_find(struct world *w, int i, const char *uid, bool copy);
void run_freeze(struct world *w, int i, const char *uid, bool frozen);
struct sfile *file_find(struct world *w, int i, const char *uid);
bool file_add(struct world *w, int i, const char *uid, uint32_t epoch, int rs);
void file_remove(struct world *w, int i, const char *uid);
void run_vanish(struct world *w, int i);
bool run_counts(const struct world *w, int i, const struct run *r);	/* it does something: not frozen, not asleep */

/* agent.c: facts in, plans out */
void agent_init(struct world *w, int i);
void agent_fini(struct world *w, int i);
void agent_start(struct world *w, int i);
void agent_kill(struct world *w, int i);
void agent_wipe(struct world *w, int i);			/* of a dead machine: its store is lost */
bool agent_is_blank(const struct world *w, int i);		/* it has no mirror */
void agent_soon(struct world *w, int i);			/* think, as soon as possible */
void agent_link(struct world *w, int i);			/* its way to the API server changed */
void agent_tick(struct world *w, int i);
bool claim_ended_long_ago(const struct world *w, int i, const struct claim *c);
bool fences_save(struct world *w, int i);			/* false: they could not be stored */
bool agent_step(struct world *w, int i);			/* false: it was killed at this very step */
struct resources local_free(const struct world *w, int i);

/* effects.c: plans into effects, as src/agent/think.c, copies.c and effect.c do */
void plan_run(struct world *w, int i, const struct plan *plan);
void copies_load(struct world *w, int i);
void copies_look(struct world *w, int i);			/* did they start, are they gone */
void claim_save(struct world *w, int i, const struct claim *c);
void claim_forget(struct world *w, int i, const char *uid);

/* ask.c: questions and answers */
void ask_probe(struct world *w, int i, const char *node);
void ask_witness(struct world *w, int i, const char *node);
void ask_mine(struct world *w, int i);
void ask_grant(struct world *w, int i, const struct action *act);
void ask_fence(struct world *w, int i, const struct action *act);
void ask_runs(struct world *w, int i);
void ask_unused(struct world *w, int i, const struct action *act);
void ask_blank(struct world *w, int i, const char *node);
void ask_fate(struct world *w, int i);
void ask_lease(struct world *w, int i, const char *node);
bool is_liar(const struct world *w, int i);	/* --liar: one of the nodes always says "I see it" */
int node_index(const struct world *w, const char *name);

/* faults.c */
void faults_make(struct world *w);
void faults_start(struct world *w);

/* check.c: the invariants */
void check_plan(struct world *w, int i, const struct tick *t, const struct plan *plan, const struct heal_facts *f);
void check_restore(struct world *w, int i, const struct action *act);
void check_forgets(struct world *w, int i);			/* its store is lost */
void check_end(struct world *w, int i, const struct action *act);
void check_api_effect(struct world *w, int i, const struct action *act);
void check_step(struct world *w);
bool check_converged(struct world *w, char why[SIM_REASON]);
void check_settled(struct world *w);

/* promise.c */
void check_promise(struct world *w);

/* world.c */
void world_run(struct world *w, const struct sim_args *args);	/* until the end or the first broken invariant */
void world_fini(struct world *w);
