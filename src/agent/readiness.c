/* readiness.c — could this node bring a workload back while the API server is away? Answered before the outage
 *
 * For each ReplicaSet that wants pods in a wanted namespace: yes, or no because … The first reason counts, the ones a
 * person can mend for good first: the node as a whole, the policy, what its pods are made of (render), its images and who may use
 * them, where it may run, whether it fits right now, and whether what we hold is still what the cluster has.
 *
 * It is looked at anew READINESS_QUIET_MS after something it depends on changed, and once when a confirmation of the
 * mirror is overdue; there is no polling. A verdict that differs from the last one told (kept in the store, so that a
 * restart tells nothing) becomes a line, a row and a Kubernetes Event on the ReplicaSet. A first verdict is told only
 * when it is "no".
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/utf8.h"
#include "heal/fit.h"
#include "objects.h"

#define READINESS_QUIET_MS 5000
#define READINESS_STALE_MS 300000	/* bookmarks confirm the mirror each minute or so: five missed ones are no hiccup */
#define READINESS_SETTLE_MS 10000	/* objects that were just asked for get this long before a "no" is told */
#define READINESS_SERIES_MAX 500	/* of edge_healer_offline_ready */

struct verdict {
	bool ready, settling;		/* settling: not to be told yet */
	bool warns;			/* ready, and `reason` says what may be amiss all the same */
	char reason[REASON_SIZE];
};

struct told {
	char uid[UID_SIZE];
	bool ready;
	char reason[REASON_SIZE];
	struct wall since;		/* when it last changed between yes and no; 0 = before this run */
};

struct readiness {
	struct map *told;		/* workload uid → struct told */
	struct timer *timer, *stale_timer;
};

/* ---- one workload ---- */

static bool no(struct verdict *v, const char *fmt, ...) PRINTF_LIKE(2, 3);
static bool no(struct verdict *v, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(v->reason, sizeof(v->reason), fmt, ap);
	va_end(ap);
	return false;
}

/* What heal/ refuses to restore offline, whatever the pods are made of. An annotation that nobody understands is "never". */
static bool policy_allows(const struct agent *a, const struct workload *w, struct verdict *v)
{
	enum heal_policy p = w->policy == POLICY_DEFAULT ? (enum heal_policy)a->conf->heal_policy : w->policy;

	if (w->fault)
		return no(v, "%s", w->fault);
	if (p == POLICY_NEVER)
		return no(v, "policy never");
	return true;
}

static bool images_are_here(const struct agent *a, const struct workload *w, struct verdict *v)
{
	const char *lacks = NULL;

	switch (images_of(a, w, &lacks)) {
	case IMAGE_THERE:
		break;
	case IMAGE_ABSENT:
		return no(v, "image %s is not on this node and nothing can be pulled offline", lacks);
	case IMAGE_NOT_LISTED:
		return no(v, "image %.80s is not among those this Node lists; it may not list all it has", lacks);
	}
	return true;
}

static bool has_pull_secrets(const struct workload *w)
{
	if (w->pull_secrets)
		return true;
	list_for_each(p, &w->pods, struct pod, by_owner)	/* its ServiceAccount's */
		if (p->pull_secrets)
			return true;
	return false;
}

/* kubelet remembers with which Secret an image was pulled (KEP-2535, on by default since 1.35). A pod without that Secret, and
 * a static pod can have none, makes it ask the registry again, although the image is there. A preloaded image is free for all, so
 * a restore is tried all the same. */
static bool images_may_be_used(const struct agent *a, const struct workload *w, struct verdict *v)
{
	const struct node *self = view_node(a->view, a->self);

	if (!self || self->kubelet < KUBELET_VERSION(1, 35) || !has_pull_secrets(w) ||
	    a->conf->kubelet_pulled_images == CONF_PULLED_TRUSTED)
		return true;
	return no(v, "its image was pulled with an imagePullSecret, and kubelet 1.35 and above asks the registry again "
		     "(imagePullCredentialsVerificationPolicy)");
}

static bool fits_here(const struct agent *a, const struct needs *n, struct verdict *v)
{
	const struct node *self = view_node(a->view, a->self);
	struct resources left = local_free(a);
	enum fit f;

	if (!self)
		return no(v, "our own Node is not in the mirror");
	f = fit_constraints(n->constraints, self, true);
	f = f == FIT_OK ? fit_ports(n->constraints, self) : f;
	f = f == FIT_OK ? fit_resources(&n->request, &left) : f;
	return f == FIT_OK || no(v, "%s", fit_reason(f));
}

static bool is_fresh(const struct agent *a, const struct needs *n, struct verdict *v)
{
	struct mono now = loop_now(a->loop);

	if (link_is_away(a->link.state))
		return true;		/* as fresh as it can be */
	if (mono_is_set(a->mirror_confirmed) && mono_since_ms(now, a->mirror_confirmed) > READINESS_STALE_MS)
		return no(v, "stale copy: the API server has not confirmed the mirror for more than %d s",
			  READINESS_STALE_MS / 1000);
	for (size_t i = 0; i < n->object_count; i++) {
		const struct object *o = n->objects[i];

		if (o->watch && !o->synced && mono_since_ms(now, o->asked) > READINESS_STALE_MS)
			return no(v, "stale copy: %s %.80s has not been confirmed for more than %d s", ref_kind_name(o->ref.kind),
				  o->ref.name, READINESS_STALE_MS / 1000);
	}
	return true;
}

static bool is_settling(const struct agent *a, const struct needs *n)
{
	for (size_t i = 0; i < n->object_count; i++) {
		const struct object *o = n->objects[i];

		if (o->watch && !o->synced && mono_since_ms(loop_now(a->loop), o->asked) < READINESS_SETTLE_MS)
			return true;
	}
	return false;
}

static const char *node_fault(const struct agent *a)
{
	for (size_t i = 0; i < NODE_FAULTS; i++)
		if (a->node_faults[i])
			return a->node_faults[i];
	return NULL;
}

/* It may only have the token because admission mounts one. */
static void warn_of_account(const struct needs *n, struct verdict *v)
{
	if (!v->ready || !n->account)
		return;
	v->warns = true;
	(void)no(v, "it has a token of ServiceAccount %.60s, a copy has none: if it talks to the API, it will not run well",
		 n->account);
}

/* Pods whose content is not kept, because there are too many different ones. */
static bool all_are_kept(const struct workload *w, struct verdict *v)
{
	size_t without = 0;

	list_for_each(p, &w->pods, struct pod, by_owner)
		without += !p->spec && !p->is_mirror;
	return !without || no(v, "%zu of its pods differ from the %d newest contents that are kept of it", without, SPECS_MAX);
}

static struct verdict judge(const struct agent *a, const struct workload *w)
{
	const struct needs *n = objects_needs(a, w->uid);
	struct verdict v = { .settling = n && is_settling(a, n) };

	if (!n && list_is_empty(&w->pods) && policy_allows(a, w, &v)) {
		v.ready = true;		/* not a "no": there is nothing that could be lost */
		(void)no(&v, "it has no pods: nothing to restore");
	} else if (!n) {
		(void)(v.reason[0] || no(&v, "%s", SPEC_NONE));
	} else if (node_fault(a))
		(void)no(&v, "%s", node_fault(a));
	else if (w->refusal && policy_allows(a, w, &v))
		(void)no(&v, "%s", w->refusal);
	else if (!v.reason[0])
		v.ready = policy_allows(a, w, &v) && all_are_kept(w, &v) && images_are_here(a, w, &v) &&
			  images_may_be_used(a, w, &v) && fits_here(a, n, &v) && is_fresh(a, n, &v);
	if (n)
		warn_of_account(n, &v);
	return v;
}

/* ---- telling ---- */

static struct told *told_put(struct agent *a, const char *uid)
{
	struct told *t = mem_new(struct told);

	(void)str_copy(t->uid, sizeof(t->uid), uid);
	(void)map_put(a->readiness->told, t->uid, t);
	return t;
}

static void told_save(struct agent *a, const struct told *t)
{
	if (store_batch_begin(a) == 0 && store_put_readiness(a->store, t->uid, t->ready, t->reason) < 0)
		a->store_failed = true;
}

static void tell_verdict(struct agent *a, const struct workload *w, const struct verdict *v)
{
	struct told *t = map_get(a->readiness->told, w->uid);
	bool first = !t, changed = first || t->ready != v->ready, warned = v->warns && !(t && str_eq(t->reason, v->reason));

	if (v->settling || (!changed && str_eq(t->reason, v->reason)))
		return;
	t = t ? t : told_put(a, w->uid);
	t->ready = v->ready;
	(void)str_copy(t->reason, sizeof(t->reason), v->reason);
	if (changed)
		t->since = loop_wall(a->loop);
	told_save(a, t);
	if (!warned && (!changed || (first && v->ready)))
		return;
	store_batch_flush(a);		/* what is told is remembered: kill -9 in between must not tell it twice */
	tell(a, &(struct tale){ .event = v->ready ? "offline ready" : "not offline ready",
				.kube_reason = v->ready ? "OfflineReady" : "NotOfflineReady", .warning = !v->ready || v->warns,
				.ns = w->ns, .workload = w->name, .uid = w->uid, .node = a->self },
	     "%s%s%s%s", v->ready ? "could be restored here offline" : "", v->reason[0] ? " reason=\"" : "", v->reason,
	     v->reason[0] ? "\"" : "");
}

void readiness_forget(struct agent *a, const char *workload_uid)
{
	struct told *t = a->readiness ? map_remove(a->readiness->told, workload_uid) : NULL;

	if (!t)
		return;
	if (store_batch_begin(a) == 0 && store_delete_readiness(a->store, workload_uid) < 0)
		a->store_failed = true;
	free(t);
}

static void on_due(void *arg)
{
	struct agent *a = arg;
	double ready = 0, not_ready = 0;

	timer_stop(a->readiness->timer);
	if (!link_is_away(a->link.state) && !mono_is_set(a->synced_at))
		return;			/* comes again when the mirror is in sync */
	map_for_each(struct workload, w, a->view->workloads) {
		struct verdict v;

		if (!objects_wants(a, w)) {
			readiness_forget(a, w->uid);
			continue;
		}
		v = judge(a, w);
		ready += v.ready;
		not_ready += !v.ready;
		tell_verdict(a, w, &v);
		if (v.settling)
			readiness_soon(a);
	}
	metric_set(METRIC_WORKLOADS_READY, 0, ready);
	metric_set(METRIC_WORKLOADS_NOT_READY, 0, not_ready);
	timer_start_ms(a->readiness->stale_timer, READINESS_STALE_MS + MS_PER_S);
}

void readiness_soon(struct agent *a)
{
	if (a->readiness && !timer_is_running(a->readiness->timer))
		timer_start_ms(a->readiness->timer, READINESS_QUIET_MS);
}

void agent_set_node_fault(struct agent *a, enum node_fault which, const char *text)
{
	if (a->node_faults[which] != text)
		readiness_soon(a);
	a->node_faults[which] = text;
}

/* ---- showing ---- */

json_object *readiness_json(const struct agent *a, const struct workload *w)
{
	const struct told *t = map_get(a->readiness->told, w->uid);
	struct verdict v = judge(a, w);
	json_object *o = json_new_object();
	char since[WALL_TEXT_SIZE];

	json_set_str(o, "namespace", w->ns);
	json_set_str(o, "workload", w->name);
	json_set_str(o, "deployment", w->deployment);
	json_set_i64(o, "replicas", w->replicas);
	json_set_bool(o, "ready", v.ready);
	json_set_str(o, "reason", v.reason[0] ? v.reason : NULL);
	json_set_str(o, "uid", w->uid);
	if (t && t->since.ns && t->ready == v.ready) {
		wall_format(t->since, since);
		json_set_str(o, "since", since);
	}
	return o;
}

/* As of the last look: judging all workloads takes longer than an answer may. */
json_object *readiness_counts(void)
{
	json_object *o = json_new_object();

	json_set_i64(o, "ready", (int64_t)metric_get(METRIC_WORKLOADS_READY, 0));
	json_set_i64(o, "notReady", (int64_t)metric_get(METRIC_WORKLOADS_NOT_READY, 0));
	return o;
}

static bool was_ready(const struct agent *a, const struct workload *w)
{
	const struct told *t = map_get(a->readiness->told, w->uid);

	return t ? t->ready : judge(a, w).ready;
}

/* As last told, which is at most READINESS_QUIET_MS old. */
static void render_series(void *arg, struct buf *out)
{
	const struct agent *a = arg;
	int n = 0;

	if (!a->conf->metrics_offline_ready)
		return;
	buf_adds(out, "# HELP edge_healer_offline_ready 1 if this node could restore the workload while the API server is away\n"
		      "# TYPE edge_healer_offline_ready gauge\n");
	map_for_each(struct workload, w, a->view->workloads)
		if (objects_wants(a, w) && n < READINESS_SERIES_MAX) {
			buf_adds(out, "edge_healer_offline_ready{namespace=\"");
			buf_add_label(out, w->ns);
			buf_adds(out, "\",workload=\"");
			buf_add_label(out, w->name);
			buf_addf(out, "\"} %d\n", was_ready(a, w));
			n++;
		}
}

/* ---- start and stop ---- */

static void load_told(void *arg, const char *uid, bool ready, const char *reason)
{
	struct told *t = told_put(arg, uid);

	t->ready = ready;
	(void)str_copy(t->reason, sizeof(t->reason), reason);
}

int readiness_load(struct agent *a)
{
	a->readiness = mem_new(struct readiness);
	a->readiness->told = map_new();
	a->readiness->timer = timer_new(a->loop, "readiness", on_due, a);
	a->readiness->stale_timer = timer_new(a->loop, "stale", on_due, a);
	metric_set_more(render_series, a);
	return store_each_readiness(a->store, load_told, a);
}

void readiness_free(struct agent *a)
{
	struct readiness *r = a->readiness;

	if (!r)
		return;
	metric_set_more(NULL, NULL);
	map_for_each(struct told, t, r->told)
		free(t);
	map_free(r->told);
	timer_free(r->timer);
	timer_free(r->stale_timer);
	free(r);
	a->readiness = NULL;
}
