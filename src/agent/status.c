/* status.c — what the daemon tells about itself: health, metrics, /v1/status, and the table of routes
 *
 * JSON field names are what the client verbs print; times are RFC 3339. Each answer here is small whatever the site: lists in it
 * end at a named limit and say how many there are.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/metric.h"
#include "freshness.h"
#include "surface.h"

#define LEFT_ALONE_MAX 100
#define LEFT_ALONE_LOOKED_AT 2000	/* Pending pods */
#define LOSSES_MAX 200
#define SUSPECTS_MAX 200
#define RANKS_MAX 16			/* of a loss */
#define HINT_MS 50			/* a hint makes us look within this, however many come */
#define MIRROR_SYNC_MS 30000		/* a mirror that is not in sync for longer than this while online is not ready */

/* ---- health ---- */

struct check {
	const char *name;
	bool ok, degraded;		/* degraded: told, but still ready */
	char note[200];
};

enum { CHECKS = 10 };

static void check_set(struct check *c, const char *name, bool ok, const char *note)
{
	*c = (struct check){ .name = name, .ok = ok };
	(void)str_copy(c->note, sizeof(c->note), note);
}

/* Offline it is as fresh as it can be. Online it must be confirmed; a sync that has just begun is given its time. */
static const char *mirror_note(const struct agent *a, bool *out_ok)
{
	bool online = a->link.state == LINK_ONLINE && !a->anonymous;
	bool settled = mono_since_ms(loop_now(a->loop), a->link.since) > MIRROR_SYNC_MS;

	if (freshness_is_rewound(a)) {
		*out_ok = false;
		return "history went back (the API server was restored from a backup?): nothing acts until all is listed anew";
	}
	*out_ok = map_count(a->view->nodes) > 0 && (!online || !settled || mono_is_set(a->synced_at));
	if (map_count(a->view->nodes) == 0)
		return "empty: nothing to heal from";
	if (mono_is_set(a->synced_at))
		return "in sync";
	return online ? str_or(mirror_trouble(a), "syncing") : "from the last contact";
}

/* Who is in the gossip and no Node: a test machine, a node of another cluster, or somebody who should not have the key. */
static void check_members(const struct agent *a, struct check *c)
{
	const char *first = NULL;
	size_t n = roster_strangers(a, &first);
	char note[sizeof(c->note)];

	(void)snprintf(note, sizeof(note), "%zu in the gossip %s for nothing: no Node of this cluster; the first is %.63s", n,
		       n == 1 ? "counts" : "count", str_or(first, ""));
	check_set(c, "members", true, n ? note : "all are Nodes");
	c->degraded = n > 0;
}

static size_t checks_collect(const struct agent *a, struct check out[CHECKS])
{
	const struct node *self = view_node(a->view, a->self);
	const char *fault = store_fault(a->store), *note;
	bool ok, degraded;
	bool fresh = mono_is_set(a->peers.as_of) &&
		     mono_since_ms(loop_now(a->loop), a->peers.as_of) < a->conf->serf_peer_ttl_ms;

	check_set(&out[0], "store", !fault && !a->store_failed,
		  fault ? fault : a->store_failed ? "rows were lost" : "takes writes");
	check_set(&out[1], "serf", fresh, fresh ? "answers" : "no fresh answer of the serf agent: not acting");
	note = mirror_note(a, &ok);
	check_set(&out[2], "mirror", ok, note);
	check_set(&out[3], "node", self != NULL, self ? "known" : "our own Node is not in the mirror: cannot bid");
	check_set(&out[4], "link", a->link.state != LINK_DENIED, a->link.state == LINK_ONLINE ? "online" : a->link.reason);
	out[4].degraded = a->link.state != LINK_ONLINE;	/* working offline is what we are for */
	ok = agent_gate_is_fine(a, &degraded, &note);
	check_set(&out[5], "gate", ok, note);
	out[5].degraded = degraded;
	ok = standby_is_fine(a, &degraded, &note);
	check_set(&out[6], "standby", ok, note);
	out[6].degraded = degraded;
	ok = local_is_fine(a, &note);
	check_set(&out[7], "cgroups", ok, note);
	degraded = !kubelet_removes(a, &note);
	check_set(&out[8], "kubelet", true, note);
	out[8].degraded = degraded;
	check_members(a, &out[9]);
	return CHECKS;
}

static void respond_checks(const struct web_request *rq, struct web_response *rs, const struct check *checks, size_t n)
{
	bool ok = true, verbose = web_query(rq, "verbose") != NULL;

	rs->content_type = "text/plain; charset=utf-8";
	for (size_t i = 0; i < n; i++)
		ok = ok && checks[i].ok;
	for (size_t i = 0; (verbose || !ok) && i < n; i++)
		buf_addf(&rs->body, "[%s]%s %s: %s\n", checks[i].ok ? (checks[i].degraded ? "~" : "+") : "-", checks[i].name,
			 checks[i].ok ? "ok" : "failed", checks[i].note);
	rs->status = ok ? 200 : 503;
	buf_adds(&rs->body, ok ? "ok" : "not ready");
	buf_addc(&rs->body, '\n');
}

static void on_ready(void *arg, const struct web_request *rq, struct web_response *rs)
{
	struct check checks[CHECKS];

	respond_checks(rq, rs, checks, checks_collect(arg, checks));
}

/* Alive = the loop runs, or nobody would answer. What restarts cannot mend must not fail here. */
static void on_live(void *arg, const struct web_request *rq, struct web_response *rs)
{
	const struct agent *a = arg;
	struct check loop;

	check_set(&loop, "loop", true, "runs");
	rs->node = a->self; /* peers ask who is there: an address is no identity */
	respond_checks(rq, rs, &loop, 1);
}

static void on_metrics(void *arg, const struct web_request *rq, struct web_response *rs)
{
	const struct agent *a = arg;
	bool open = rq->accept && strstr(rq->accept, "application/openmetrics-text");
	size_t config_maps, secrets;

	metric_set(METRIC_MIRROR_OBJECTS, 0, (double)map_count(a->view->pods));
	metric_set(METRIC_MIRROR_OBJECTS, 1, (double)map_count(a->view->workloads));
	metric_set(METRIC_MIRROR_OBJECTS, 2, (double)map_count(a->view->nodes));
	objects_count(a, &config_maps, &secrets);
	metric_set(METRIC_MIRROR_OBJECTS, 3, (double)config_maps);
	metric_set(METRIC_MIRROR_OBJECTS, 4, (double)secrets);
	metric_set(METRIC_MIRROR_AGE, 0, mono_is_set(a->mirror_confirmed)
						 ? (double)mono_since_ms(loop_now(a->loop), a->mirror_confirmed) / 1e3
						 : -1);
	for (int i = 0; i < WATCH_COUNT; i++) {
		int64_t age_ms = mirror_watch_age_ms(a, (enum watch_kind)i);

		metric_set(METRIC_WATCH_AGE, i, age_ms < 0 ? -1 : (double)age_ms / 1e3);
	}
	rs->content_type = open ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
				: "text/plain; version=0.0.4; charset=utf-8";
	metric_render(&rs->body, open, a->version);
}

/* ---- /v1 ---- */

struct shown { const struct agent *a; json_object *list; int64_t all; };

static void add_suspect(void *arg, const struct suspect_view *s)
{
	struct shown *ctx = arg;
	json_object *o, *names;

	if (ctx->all++ >= SUSPECTS_MAX)
		return;
	o = json_new_object();
	names = json_new_array();
	json_set_str(o, "node", s->node);
	json_set_str(o, "state", suspect_state_name(s->state));
	json_set_str(o, "note", s->note);
	json_set_bool(o, "healerDead", mono_is_set(s->healer_dead));
	json_set_bool(o, "contested", s->contested);
	if (mono_is_set(s->doubt_until))
		surface_set_mono(ctx->a, o, "doubtUntil", s->doubt_until);
	for (size_t i = 0; i < s->dissenter_count; i++)
		json_append_str(names, s->dissenters[i]);
	json_set(o, "dissenters", names);
	json_append(ctx->list, o);
}

static void add_loss(void *arg, const struct loss_view *l)
{
	struct shown *ctx = arg;
	const struct pod *p = view_pod(ctx->a->view, l->pod_uid);
	json_object *o, *ranks;

	if (ctx->all++ >= LOSSES_MAX)
		return;
	o = json_new_object();
	ranks = json_new_array();
	json_set_str(o, "uid", l->pod_uid);
	json_set_str(o, "namespace", p ? p->ns : NULL);
	json_set_str(o, "pod", p ? p->name : NULL);
	json_set_str(o, "cause", loss_cause_name(l->cause));
	json_set_str(o, "state", loss_state_name(l->state));
	json_set_str(o, "lostNode", l->lost_node);
	json_set_str(o, "note", l->note);
	for (size_t i = 0; i < l->rank_count && i < RANKS_MAX; i++)
		json_append_str(ranks, l->ranks[i]);
	json_set(o, "ranks", ranks);
	surface_set_mono(ctx->a, o, "declared", l->declared);
	json_append(ctx->list, o);
}

/* Pending pods that we leave to others, and why. */
static json_object *left_alone_json(const struct agent *a)
{
	json_object *list = json_new_array();
	int looked_at = 0;

	list_for_each(p, &a->view->unbound, struct pod, unbound) {
		const char *why;
		json_object *o;

		if (json_len(list) == LEFT_ALONE_MAX || ++looked_at > LEFT_ALONE_LOOKED_AT)
			break;
		why = heal_leaves_alone(a->heal, a->view, p);
		if (!why)
			continue;
		o = json_new_object();
		json_set_str(o, "namespace", p->ns);
		json_set_str(o, "pod", p->name);
		json_set_str(o, "reason", why);
		json_append(list, o);
	}
	return list;
}

static json_object *link_json(const struct agent *a)
{
	json_object *o = json_new_object();

	json_set_str(o, "state", link_state_name(a->link.state));
	json_set_str(o, "reason", a->link.reason);
	surface_set_mono(a, o, "since", a->link.since);
	json_set_str(o, "server", kube_client_server(a->kube));
	surface_set_mono(a, o, "usefulAt", a->link.useful_at);
	json_set(o, "ways", ways_json(a));
	return o;
}

static json_object *mirror_json(const struct agent *a)
{
	static const char *const kinds[] = { [WATCH_NODES] = "nodes", [WATCH_WORKLOADS] = "replicaSets", [WATCH_PODS] = "pods" };
	json_object *o = json_new_object(), *watches = json_new_object();

	json_set_i64(o, "nodes", (int64_t)map_count(a->view->nodes));
	json_set_i64(o, "replicaSets", (int64_t)map_count(a->view->workloads));
	json_set_i64(o, "pods", (int64_t)map_count(a->view->pods));
	json_set_bool(o, "inSync", mono_is_set(a->synced_at));
	surface_set_mono(a, o, "confirmed", a->mirror_confirmed);
	for (int i = 0; i < WATCH_COUNT; i++)
		json_set_i64(watches, kinds[i], mirror_watch_age_ms(a, (enum watch_kind)i));
	json_set(o, "watchAgeMs", watches);
	return o;
}

static json_object *checks_json(const struct agent *a)
{
	json_object *list = json_new_array();
	struct check checks[CHECKS];
	size_t n = checks_collect(a, checks);

	for (size_t i = 0; i < n; i++) {
		json_object *o = json_new_object();

		json_set_str(o, "name", checks[i].name);
		json_set_bool(o, "ok", checks[i].ok);
		json_set_str(o, "note", checks[i].note);
		json_append(list, o);
	}
	return list;
}

/* At most once: may its pods run here? */
static json_object *lease_json(const struct agent *a)
{
	json_object *o = json_new_object();
	struct mono until = heal_lease_until(a->heal), now = loop_now(a->loop);

	json_set_bool(o, "held", mono_is_set(until) && !mono_reached(now, until));
	if (mono_is_set(until))
		json_set_i64(o, "leftMs", mono_since_ms(until, now));
	json_set_i64(o, "stoppedPods", a->stopped ? (int64_t)map_count(a->stopped) : 0);
	return o;
}

static void on_status(void *arg, const struct web_request *rq, struct web_response *rs)
{
	const struct agent *a = arg;
	json_object *o = json_new_object(), *gate;
	struct shown suspects = { a, json_new_array(), 0 }, losses = { a, json_new_array(), 0 };

	(void)rq;
	json_set_str(o, "node", a->self);
	json_set_str(o, "version", a->version);
	json_set_str(o, "mode", agent_may_act(a) ? "heal" : "observe");
	json_set_str(o, "role", a->is_standby ? "standby" : "primary");
	surface_set_time(o, "started", a->started);
	json_set(o, "standby", standby_json(a));
	json_set(o, "link", link_json(a));
	gate = agent_gate_json(a);
	if (a->gate.gate && gate_is_closed(a->gate.gate))
		surface_set_mono(a, gate, "since", a->gate.since);
	json_set(o, "gate", gate);
	json_set(o, "mirror", mirror_json(a));
	json_set(o, "checks", checks_json(a));
	json_set_bool(o, "majority", heal_has_majority(a->heal, &a->peers));
	json_set_bool(o, "breakerOpen", heal_breaker_is_open(a->heal));
	json_set_bool(o, "tilted", mono_is_set(a->tilted_until) && !mono_reached(loop_now(a->loop), a->tilted_until));
	json_set_i64(o, "copies", (int64_t)map_count(a->copies));
	json_set_bool(o, "coldBoot", a->cold_boot);
	json_set_bool(o, "kubeletRestartedOffline", a->kubelet.young);
	json_set(o, "lease", lease_json(a));
	json_set(o, "readiness", readiness_counts());
	heal_each_suspect(a->heal, add_suspect, &suspects);
	heal_each_loss(a->heal, add_loss, &losses);
	json_set(o, "suspects", suspects.list);
	json_set_i64(o, "suspectCount", suspects.all);
	json_set(o, "losses", losses.list);
	json_set_i64(o, "lossCount", losses.all);
	json_set(o, "leftAlone", left_alone_json(a));
	surface_json(rs, o);
}

/* A hint from serf's event handler: look now instead of at the next poll. */
static void on_serf_event(void *arg, const struct web_request *rq, struct web_response *rs)
{
	struct agent *a = arg;

	(void)rq;
	think_within(a, HINT_MS);
	surface_json(rs, json_new_object());
}

static void on_index(void *arg, const struct web_request *rq, struct web_response *rs);

const struct web_route agent_routes[] = {
	{ "GET", "/", on_index, "this list", WEB_OPEN },
	{ "GET", "/metrics", on_metrics, "Prometheus or OpenMetrics text", WEB_OPEN },
	{ "GET", "/livez", on_live, "200 while the daemon runs", WEB_URGENT },
	{ "GET", "/healthz", on_live, "the same", WEB_URGENT },
	{ "GET", "/health", on_live, "the same", WEB_URGENT },
	{ "GET", "/readyz", on_ready, "200 when it could heal; ?verbose says why not", WEB_URGENT },
	{ "GET", "/ready", on_ready, "the same", WEB_URGENT },
	{ "GET", "/v1/status", on_status, "link, mirror, checks, suspects, losses", WEB_GUARDED },
	{ "GET", "/v1/members", list_members, "the nodes as gossip shows them; ?limit= ?continue=", WEB_GUARDED },
	{ "GET", "/v1/pods", list_pods, "mirrored pods; ?node= ?namespace= ?limit= ?continue=", WEB_GUARDED },
	{ "GET", "/v1/claims", list_claims, "who restores what; our copies; ?limit= ?continue=", WEB_GUARDED },
	{ "GET", "/v1/readiness", list_readiness,
	  "what could be restored here offline, or why not; ?namespace= ?limit= ?continue=", WEB_GUARDED },
	{ "GET", "/v1/history", list_history, "what happened; ?for=POD|NODE ?limit= ?continue=", WEB_GUARDED },
	{ "POST", "/v1/serf-event", on_serf_event, "a hint: look at the members now", WEB_GUARDED },
	{ "POST", "/v1/forget", on_forget,
	  "through http.socket only: a member that is away does not count any more; ?node=", WEB_GUARDED },
	{ "POST", "/v1/goodbye", on_goodbye,
	  "through http.socket only: tells the site that this healer goes, and why", WEB_GUARDED },
};
const size_t agent_route_count = ARRAY_LEN(agent_routes);

static void on_index(void *arg, const struct web_request *rq, struct web_response *rs)
{
	const struct agent *a = arg;

	(void)rq;
	rs->content_type = "text/plain; charset=utf-8";
	buf_addf(&rs->body, "edge-healer %s on %s\n\n", a->version, a->self);
	for (size_t i = 0; i < agent_route_count; i++)
		buf_addf(&rs->body, "%-5s %-16s %s\n", agent_routes[i].method, agent_routes[i].path, agent_routes[i].help);
}
