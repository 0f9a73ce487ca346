/* status.c — what the daemon tells about itself: /v1, health and metrics
 *
 * JSON field names are what the client verbs print; times are RFC 3339.
 */
#include <stdio.h>
#include <stdlib.h>

#include "agent_int.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/metric.h"

#define HISTORY_DEFAULT 100
#define HISTORY_LIMIT_MAX 1000
#define LEFT_ALONE_MAX 100
#define LIST_MAX 20000			/* pods in one answer */
#define MIRROR_SYNC_MS 30000		/* a mirror that is not in sync for longer than this while online is not ready */

static void set_time(json_object *o, const char *key, struct wall t)
{
	char text[WALL_TEXT_SIZE];

	if (!t.ns)
		return;
	wall_format(t, text);
	json_set_str(o, key, text);
}

/* A monotonic time as wall time, for people. */
static void set_mono(const struct agent *a, json_object *o, const char *key, struct mono t)
{
	if (mono_is_set(t))
		set_time(o, key, (struct wall){ loop_wall(a->loop).ns - (loop_now(a->loop).ns - t.ns) });
}

static void respond_json(struct web_response *rs, json_object *o)
{
	buf_adds(&rs->body, json_text(o));
	buf_addc(&rs->body, '\n');
	json_putp(&o);
}

/* ---- health ---- */

struct check {
	const char *name;
	bool ok, degraded;		/* degraded: told, but still ready */
	char note[200];
};

enum { CHECKS = 9 };

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

	*out_ok = map_count(a->view->nodes) > 0 && (!online || !settled || mono_is_set(a->synced_at));
	if (map_count(a->view->nodes) == 0)
		return "empty: nothing to heal from";
	if (mono_is_set(a->synced_at))
		return "in sync";
	return online ? str_or(mirror_trouble(a), "syncing") : "from the last contact";
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
	struct check loop;

	(void)arg;
	check_set(&loop, "loop", true, "runs");
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

static void add_suspect(void *arg, const struct suspect_view *s)
{
	json_object *o = json_new_object();

	json_set_str(o, "node", s->node);
	json_set_str(o, "state", suspect_state_name(s->state));
	json_set_str(o, "note", s->note);
	json_append(arg, o);
}

struct loss_ctx { const struct agent *a; json_object *list; };

static void add_loss(void *arg, const struct loss_view *l)
{
	struct loss_ctx *ctx = arg;
	const struct pod *p = view_pod(ctx->a->view, l->pod_uid);
	json_object *o = json_new_object(), *ranks = json_new_array();

	json_set_str(o, "uid", l->pod_uid);
	json_set_str(o, "namespace", p ? p->ns : NULL);
	json_set_str(o, "pod", p ? p->name : NULL);
	json_set_str(o, "cause", loss_cause_name(l->cause));
	json_set_str(o, "state", loss_state_name(l->state));
	json_set_str(o, "lostNode", l->lost_node);
	json_set_str(o, "note", l->note);
	for (size_t i = 0; i < l->rank_count; i++)
		json_append_str(ranks, l->ranks[i]);
	json_set(o, "ranks", ranks);
	set_mono(ctx->a, o, "declared", l->declared);
	json_append(ctx->list, o);
}

/* Pending pods that we leave to others, and why. */
static json_object *left_alone_json(const struct agent *a)
{
	json_object *list = json_new_array();

	list_for_each(p, &a->view->unbound, struct pod, unbound) {
		const char *why = heal_leaves_alone(a->heal, a->view, p);
		json_object *o;

		if (!why || json_len(list) == LEFT_ALONE_MAX)
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
	set_mono(a, o, "since", a->link.since);
	json_set_str(o, "server", kube_client_server(a->kube));
	set_mono(a, o, "usefulAt", a->link.useful_at);
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
	set_mono(a, o, "confirmed", a->mirror_confirmed);
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
	json_object *o = json_new_object(), *suspects = json_new_array(), *losses = json_new_array(), *gate;

	(void)rq;
	json_set_str(o, "node", a->self);
	json_set_str(o, "version", a->version);
	json_set_str(o, "mode", agent_may_act(a) ? "heal" : "observe");
	json_set_str(o, "role", a->is_standby ? "standby" : "primary");
	set_time(o, "started", a->started);
	json_set(o, "standby", standby_json(a));
	json_set(o, "link", link_json(a));
	gate = agent_gate_json(a);
	if (a->gate.gate && gate_is_closed(a->gate.gate))
		set_mono(a, gate, "since", a->gate.since);
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
	json_set(o, "readiness", readiness_counts(a));
	heal_each_suspect(a->heal, add_suspect, suspects);
	heal_each_loss(a->heal, add_loss, &(struct loss_ctx){ a, losses });
	json_set(o, "suspects", suspects);
	json_set(o, "losses", losses);
	json_set(o, "leftAlone", left_alone_json(a));
	respond_json(rs, o);
}

static void on_members(void *arg, const struct web_request *rq, struct web_response *rs)
{
	static const char *const statuses[] = { "alive", "leaving", "left", "failed", "unknown" };
	const struct agent *a = arg;
	json_object *list = json_new_array();

	(void)rq;
	for (size_t i = 0; i < a->peers.count; i++) {
		const struct peer *p = &a->peers.items[i];
		json_object *o = json_new_object();

		json_set_str(o, "node", p->name);
		json_set_str(o, "address", p->addr);
		json_set_str(o, "status", statuses[p->status]);
		json_set_str(o, "site", p->site);
		json_set_bool(o, "api", p->api);
		json_set_bool(o, "canBid", p->status == PEER_ALIVE && p->has_capacity && view_node(a->view, p->name));
		if (p->has_capacity) {
			json_set_i64(o, "cpuMilli", p->free.cpu_milli);
			json_set_i64(o, "memoryMiB", p->free.mem_bytes >> 20);
			json_set_i64(o, "pods", p->free.pods);
		}
		set_mono(a, o, "since", p->status_since);
		json_append(list, o);
	}
	respond_json(rs, list);
}

static const char *phase_name(const struct pod *p)
{
	static const char *const phases[] = { "Pending", "Running", "Succeeded", "Failed", "Unknown" };

	return p->deleting ? "Terminating" : phases[p->phase];
}

static json_object *pod_json(const struct agent *a, const struct pod *p)
{
	const struct workload *w = p->owner ? view_workload(a->view, p->owner) : NULL;
	json_object *o = json_new_object();

	json_set_str(o, "namespace", p->ns);
	json_set_str(o, "pod", p->name);
	json_set_str(o, "uid", p->uid);
	json_set_str(o, "node", p->node);
	json_set_str(o, "replicaSet", w ? w->name : NULL);
	json_set_str(o, "phase", phase_name(p));
	json_set_bool(o, "ready", p->ready);
	json_set_str(o, "copyOf", p->original_uid);
	json_set_str(o, "offlineRefusal", w ? w->refusal : NULL);
	return o;
}

static void on_pods(void *arg, const struct web_request *rq, struct web_response *rs)
{
	const struct agent *a = arg;
	const char *node = web_query(rq, "node"), *ns = web_query(rq, "namespace");
	json_object *list = json_new_array();

	map_for_each(struct pod, p, a->view->pods) {
		if ((str_is_empty(node) || str_eq(p->node, node)) && (str_is_empty(ns) || str_eq(p->ns, ns)) &&
		    json_len(list) < LIST_MAX)
			json_append(list, pod_json(a, p));
	}
	respond_json(rs, list);
}

static void add_claim(void *arg, const struct claim *c)
{
	struct loss_ctx *ctx = arg;
	const struct pod *p = view_pod(ctx->a->view, c->pod_uid);
	const struct copy *own = map_get(ctx->a->copies, c->pod_uid);
	json_object *o = json_new_object();

	json_set_str(o, "uid", c->pod_uid);
	json_set_str(o, "namespace", own ? own->ns : p ? p->ns : NULL);
	json_set_str(o, "pod", own ? own->name : p ? p->name : NULL);
	json_set_str(o, "node", c->node);
	json_set_i64(o, "epoch", c->epoch);
	json_set_i64(o, "rank", c->rank);
	json_set_str(o, "state", claim_state_name(c->state));
	set_time(o, "at", c->at);
	if (own) {
		json_set_str(o, "copy", copy_state_name(own->state));
		json_set_str(o, "lostNode", own->lost_node);
		json_set_str(o, "file", own->file);
		json_set_str(o, "copyUid", own->static_uid);
		set_time(o, "declared", own->declared);
		set_time(o, "written", own->written);
		set_time(o, "running", own->running);
	}
	json_append(ctx->list, o);
}

static void on_claims(void *arg, const struct web_request *rq, struct web_response *rs)
{
	const struct agent *a = arg;
	json_object *list = json_new_array();

	(void)rq;
	claims_each(heal_claims(a->heal), add_claim, &(struct loss_ctx){ a, list });
	respond_json(rs, list);
}

static void add_history(void *arg, const struct history_row *h)
{
	json_object *o = json_new_object();

	json_set_i64(o, "id", h->id);
	set_time(o, "at", h->at);
	json_set_str(o, "event", h->event);
	json_set_str(o, "namespace", h->ns);
	json_set_str(o, "pod", h->pod);
	json_set_str(o, "node", h->node);
	json_set_str(o, "detail", h->detail);
	json_append(arg, o);
}

static void on_history(void *arg, const struct web_request *rq, struct web_response *rs)
{
	const struct agent *a = arg;
	const char *limit = web_query(rq, "limit"), *filter = web_query(rq, "for");
	json_object *list;
	int64_t n = HISTORY_DEFAULT;

	if (limit && num_parse_i64(limit, 1, HISTORY_LIMIT_MAX, &n) < 0) {
		web_error(rs, 400, "limit: write a number from 1 to %d", HISTORY_LIMIT_MAX);
		return;
	}
	list = json_new_array();
	(void)store_each_history(a->store, str_is_empty(filter) ? NULL : filter, (int)n, add_history, list);
	respond_json(rs, list);
}

static bool may_post(const struct agent *a, const struct web_request *rq)
{
	static const char bearer[] = "Bearer ";

	return rq->loopback || (a->http_token && rq->authorization && str_has_prefix(rq->authorization, bearer) &&
				str_eq(rq->authorization + strlen(bearer), a->http_token));
}

/* A hint from serf's event handler: look now instead of at the next poll. */
static void on_serf_event(void *arg, const struct web_request *rq, struct web_response *rs)
{
	struct agent *a = arg;

	if (!may_post(a, rq)) {
		web_error(rs, 403, "from loopback, or with the bearer token of http.token_file");
		return;
	}
	think_soon(a);
	respond_json(rs, json_new_object());
}

static void on_index(void *arg, const struct web_request *rq, struct web_response *rs);

const struct web_route agent_routes[] = {
	{ "GET", "/", on_index, "this list" },
	{ "GET", "/metrics", on_metrics, "Prometheus or OpenMetrics text" },
	{ "GET", "/livez", on_live, "200 while the daemon runs" },
	{ "GET", "/healthz", on_live, "the same" },
	{ "GET", "/health", on_live, "the same" },
	{ "GET", "/readyz", on_ready, "200 when it could heal; ?verbose says why not" },
	{ "GET", "/ready", on_ready, "the same" },
	{ "GET", "/v1/status", on_status, "link, mirror, checks, suspects, losses" },
	{ "GET", "/v1/members", on_members, "the nodes as gossip shows them" },
	{ "GET", "/v1/pods", on_pods, "mirrored pods; ?node= ?namespace=" },
	{ "GET", "/v1/claims", on_claims, "who restores what; our copies" },
	{ "GET", "/v1/readiness", readiness_show, "what could be restored here offline, or why not; ?namespace=" },
	{ "GET", "/v1/history", on_history, "what happened; ?limit= ?for=POD|NODE" },
	{ "POST", "/v1/serf-event", on_serf_event, "a hint: look at the members now" },
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
