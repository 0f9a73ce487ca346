/* mirror.c — three watches into the view and the store
 *
 * Nodes, ReplicaSets and pods are synced in that order, so that a pod finds its owner. An object whose resourceVersion we have
 * is only marked as seen; everything else goes to the view at once and to the store in a batched transaction. What a finished
 * list did not show is removed from both.
 *
 * When a write to the store fails (disk full) the view goes on; as soon as writes work again the mirror is synced anew and
 * written whole.
 */
#include <errno.h>
#include <stdlib.h>

#include "agent_int.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "freshness.h"
#include "kube/codec.h"
#include "specs.h"

static const char *const watch_paths[] = {
	[WATCH_NODES] = "/api/v1/nodes",
	[WATCH_WORKLOADS] = "/apis/apps/v1/replicasets",
	[WATCH_PODS] = "/api/v1/pods",
};
static const int watch_labels[] = { [WATCH_NODES] = 2, [WATCH_WORKLOADS] = 1, [WATCH_PODS] = 0 };	/* metrics.def */

/* ---- the batched transaction ---- */

int store_batch_begin(struct agent *a)
{
	int r;

	if (store_in_transaction(a->store))
		return 0;
	r = store_begin(a->store, false);
	if (r < 0)
		a->store_failed = true;
	else if (!timer_is_running(a->flush))
		timer_start_ms(a->flush, FLUSH_MS);
	return r;
}

void store_batch_flush(struct agent *a)
{
	timer_stop(a->flush);
	a->pending_rows = 0;
	if (store_in_transaction(a->store)) {
		fault_pass(FAULT_STORE_COMMIT);
		if (freshness_put(a) < 0 || store_commit(a->store) < 0)
			a->store_failed = true;
	}
	mirror_check_store(a);
}

/* One row; a failure is remembered, not reported here: /readyz and the idle timer deal with it. */
static void wrote(struct agent *a, int r)
{
	if (r < 0)
		a->store_failed = true;
	if (++a->pending_rows >= FLUSH_ROWS)
		store_batch_flush(a);
}

static void store_recover(struct agent *a)
{
	char aside[STORE_PATH_SIZE];

	if (!a->store_failed || store_in_transaction(a->store) || (a->store_gone && !store_is_there(a->store)))
		return;
	if (store_put_meta(a->store, "probe", "1") == -EILSEQ && store_reset(a->store, aside) == 0)
		log_error(LOG_STORE, "store was corrupt", "set_aside=%s begun_anew=true", aside);
	if (store_fault(a->store))
		return;			/* still failing: the idle timer tries again */
	a->store_failed = false;
	log_info(LOG_STORE, "store takes writes again", "syncing the mirror anew");
	rescue_rows(a);
}

void mirror_check_store(struct agent *a)
{
	store_recover(a);
	metric_set(METRIC_STORE_OK, 0, !a->store_failed && !store_fault(a->store));
}

void mirror_forget_versions(struct agent *a)
{
	if (!a->view)
		return;
	map_for_each(struct node, n, a->view->nodes)
		n->version = 0;
	map_for_each(struct workload, w, a->view->workloads)
		w->version = 0;
	map_for_each(struct pod, p, a->view->pods)
		p->version = 0;
	for (int i = 0; i < WATCH_COUNT; i++)
		a->watches[i].newest = 0;
}

/* ---- decoding ---- */

static void note_version(struct agent *a, enum watch_kind kind, int64_t version)
{
	if (version > a->watches[kind].newest)
		a->watches[kind].newest = version;
}

/* The same object as we have it? In a quorum list none is ever older: if one is, history went back. */
static bool is_known(struct agent *a, enum watch_kind kind, int64_t known, int64_t version)
{
	if (version && version < known)
		a->watches[kind].went_back = true;
	note_version(a, kind, version);
	return version && version == known && !a->store_failed;
}

/* Its images are most of a Node: of them only the hashes are kept. */
static void store_node(struct agent *a, const struct node *n, const json_object *o)
{
	cleanup(json_putp) json_object *doc = json_copy(o);
	cleanup(buf_fini) struct buf images = BUF_INIT;
	json_object *status = json_get(doc, "status");

	json_remove(status, "images");
	json_remove(json_get(doc, "metadata"), "annotations");
	image_list_format(&n->images, &images);
	if (images.len)
		json_set_str(status, "images", images.data);
	wrote(a, store_put_doc(a->store, STORE_NODE, n->name, json_text(doc)));
}

static void put_node(struct agent *a, const json_object *o, uint32_t generation, bool persist)
{
	cleanup(node_freep) struct node *n = NULL;
	struct node *known;
	bool own, other_kubelet, moved;

	if (kube_decode_node(o, &n) < 0) {
		metric_inc(METRIC_OBJECTS_SKIPPED);
		return;
	}
	known = view_node(a->view, n->name);
	n->generation = generation;
	if (is_known(a, WATCH_NODES, known ? known->version : 0, n->version)) {
		known->generation = generation;
		return;
	}
	if (persist && store_batch_begin(a) == 0)
		store_node(a, n, o);
	own = n->name == a->self;
	other_kubelet = own && (known ? known->kubelet : 0) != n->kubelet;
	moved = own && (!known || !str_eq(node_label(known, LABEL_ZONE), node_label(n, LABEL_ZONE)));
	view_put_node(a->view, take(n));
	if (!known)
		roster_stand(a);	/* who had no Node before is a member now */
	if (other_kubelet)
		objects_judge_again(a);
	if (moved && a->heal) {		/* the site that our Node names is ours from now on */
		agent_refresh_heal(a);
		gossip_tags_soon(a);
	}
}

static void put_workload(struct agent *a, const json_object *o, uint32_t generation, bool persist)
{
	cleanup(workload_freep) struct workload *w = NULL;
	struct workload *known;

	if (kube_decode_workload(o, &w) < 0) {
		metric_inc(METRIC_OBJECTS_SKIPPED);
		return;
	}
	known = view_workload(a->view, w->uid);
	w->generation = generation;
	if (is_known(a, WATCH_WORKLOADS, known ? known->version : 0, w->version)) {
		known->generation = generation;
		return;
	}
	specs_apply(a, w);
	if (persist && store_batch_begin(a) == 0) {
		json_object *doc = json_copy(o);

		json_remove(doc, "status");
		wrote(a, store_put_doc(a->store, STORE_WORKLOAD, w->uid, json_text(doc)));
		json_putp(&doc);
	}
	view_put_workload(a->view, take(w));
}

static void put_pod(struct agent *a, const json_object *o, uint32_t generation)
{
	cleanup(pod_freep) struct pod *p = NULL;
	struct pod *known;

	if (kube_decode_pod(o, &p) < 0) {
		metric_inc(METRIC_OBJECTS_SKIPPED);
		return;
	}
	known = view_pod(a->view, p->uid);
	p->generation = generation;
	if (is_known(a, WATCH_PODS, known ? known->version : 0, p->version) && known->created.ns) {
		known->generation = generation;
		return;
	}
	if (store_batch_begin(a) == 0)
		wrote(a, store_put_pod(a->store, p));
	specs_note_pod(a, p, known, o);
	view_put_pod(a->view, take(p), loop_now(a->loop));
}

/* ---- removing ---- */

static void remove_pod(struct agent *a, const char *uid)
{
	const struct pod *p = view_pod(a->view, uid);

	if (p)
		specs_forget_pod(a, p);
	if (store_batch_begin(a) == 0)
		wrote(a, store_delete_pod(a->store, uid));
	view_remove_pod(a->view, uid);
}

static void remove_workload(struct agent *a, const char *uid)
{
	if (store_batch_begin(a) == 0)
		wrote(a, store_delete_doc(a->store, STORE_WORKLOAD, uid));
	specs_forget_workload(a, uid);
	view_remove_workload(a->view, uid);	/* last: `uid` may be the object's own */
}

static void remove_node(struct agent *a, const char *name)
{
	if (store_batch_begin(a) == 0)
		wrote(a, store_delete_doc(a->store, STORE_NODE, name));
	view_remove_node(a->view, name);
	roster_stand(a);
}

static void remove_object(struct agent *a, enum watch_kind kind, const json_object *o)
{
	const char *uid = json_get_str(o, "metadata.uid"), *name = json_get_str(o, "metadata.name");

	if (kind == WATCH_NODES && name)
		remove_node(a, name);
	else if (kind == WATCH_WORKLOADS && uid)
		remove_workload(a, uid);
	else if (kind == WATCH_PODS && uid)
		remove_pod(a, uid);
}

/* What the finished list did not show is gone. */
static void sweep(struct agent *a, enum watch_kind kind, uint32_t generation)
{
	if (kind == WATCH_NODES) {
		map_for_each(struct node, n, a->view->nodes)
			if (n->generation != generation)
				remove_node(a, n->name);
	} else if (kind == WATCH_WORKLOADS) {
		map_for_each(struct workload, w, a->view->workloads)
			if (w->generation != generation)
				remove_workload(a, w->uid);
	} else {
		map_for_each(struct pod, p, a->view->pods)
			if (p->generation != generation)
				remove_pod(a, p->uid);
	}
}

/* ---- how fresh it is ---- */

/* As fresh as the watch that was confirmed the longest ago. */
static void note_confirmed(struct agent *a)
{
	struct mono oldest = { 0 };

	for (int i = 0; i < WATCH_COUNT; i++) {
		struct mono t = a->watches[i].watch ? kube_watch_confirmed(a->watches[i].watch) : (struct mono){ 0 };

		if (!mono_is_set(t))
			return;
		oldest = mono_min(oldest, t);
	}
	if (oldest.ns == a->mirror_confirmed.ns)
		return;
	a->mirror_confirmed = oldest;
	freshness_confirmed(a);
	if (a->roster)
		roster_stand(a);	/* who came before that, and has no Node, is none */
}

int64_t mirror_watch_age_ms(const struct agent *a, enum watch_kind kind)
{
	const struct kube_watch *w = a->watches[kind].watch;
	struct mono t = w ? kube_watch_confirmed(w) : (struct mono){ 0 };

	return mono_is_set(t) ? mono_since_ms(loop_now(a->loop), t) : -1;
}

static bool is_stale(const struct agent *a, const struct mirror_watch *m)
{
	int64_t age_ms = mirror_watch_age_ms(a, m->kind);
	bool closed = mono_is_set(m->closed_since) && mono_since_ms(loop_now(a->loop), m->closed_since) >= MIRROR_CLOSED_MS;

	return closed || !m->synced || age_ms < 0 || age_ms > MIRROR_STALE_MS;
}

const char *mirror_trouble(const struct agent *a)
{
	static const char *const texts[] = {
		[WATCH_NODES] = "the watch of Nodes is not confirmed: nothing is healed by what it showed",
		[WATCH_WORKLOADS] = "the watch of ReplicaSets is not confirmed: nothing is healed by what it showed",
		[WATCH_PODS] = "the watch of Pods is not confirmed: nothing is healed by what it showed",
	};

	for (int i = 0; i < WATCH_COUNT; i++)
		if (is_stale(a, &a->watches[i]))
			return texts[i];
	return NULL;
}

static void note_in_sync(struct agent *a)
{
	if (!mono_is_set(a->synced_at))
		a->synced_at = loop_now(a->loop);
	ways_fetch(a);
	agent_refresh_heal(a);		/* our Node may name another site now */
	local_is_online(a);
	objects_start(a);
	readiness_soon(a);
	standby_check(a);
	log_info(LOG_KUBE, "mirror in sync", "nodes=%zu replicasets=%zu pods=%zu", map_count(a->view->nodes),
		 map_count(a->view->workloads), map_count(a->view->pods));
	think_soon(a);
	gossip_tags_soon(a);
}

/* What was in sync and is not confirmed any more is no ground to act on; when it is again, it is in sync from then on. */
void mirror_look(struct agent *a)
{
	const char *trouble;

	for (int i = 0; i < WATCH_COUNT; i++) {
		struct mirror_watch *m = &a->watches[i];

		if (!m->watch || kube_watch_is_open(m->watch))
			m->closed_since = (struct mono){ 0 };
		else if (!mono_is_set(m->closed_since))
			m->closed_since = loop_now(a->loop);
	}
	if (a->link.state != LINK_ONLINE || a->anonymous)
		return;
	trouble = mirror_trouble(a);
	if (trouble && mono_is_set(a->synced_at)) {
		a->synced_at = (struct mono){ 0 };
		tell(a, &(struct tale){ .event = "mirror stale", .kube_reason = "MirrorStale", .warning = true, .node = a->self },
		     "reason=\"%s\"", trouble);
		readiness_soon(a);
	} else if (!trouble && !mono_is_set(a->synced_at)) {
		note_in_sync(a);
	}
}

/* ---- watch handlers ---- */

static void on_sync_begin(void *arg)
{
	struct mirror_watch *m = arg;

	m->generation++;
	m->synced = m->went_back = false;
}

static void on_object(void *arg, enum kube_change change, json_object *o)
{
	struct mirror_watch *m = arg;
	struct agent *a = m->a;

	metric_add(METRIC_WATCH_EVENTS, watch_labels[m->kind], 1);
	if (change == KUBE_DELETED)
		remove_object(a, m->kind, o);
	else if (m->kind == WATCH_NODES)
		put_node(a, o, m->generation, true);
	else if (m->kind == WATCH_WORKLOADS)
		put_workload(a, o, m->generation, true);
	else
		put_pod(a, o, m->generation);
	note_confirmed(a);
	if (!m->synced)
		return;
	think_soon(a);
	gossip_tags_soon(a);
	readiness_soon(a);
}

/* The first sync with a store of an older schema: it is moved on now, and all is written again for what it has no rows of.
 * True: the mirror begins anew. */
static bool begin_schema(struct agent *a)
{
	int r;

	if (!store_is_behind(a->store))
		return false;
	r = store_migrate(a->store);
	if (r < 0) {
		log_error(LOG_STORE, "schema not moved on", "error=%s: pods have no stored spec, nothing is restored offline",
			  err_str(r));
		return false;
	}
	log_info(LOG_STORE, "schema moved on", "%s", "syncing the mirror once more");
	mirror_forget_versions(a);
	specs_rewrite(a);
	mirror_start(a);
	return true;
}

/* The list that has just ended is of another history than what the mirror held before. */
static bool went_back(struct mirror_watch *m, const char *version)
{
	int64_t v = m->newest;
	bool older = num_parse_i64(version, 0, INT64_MAX, &v) == 0 && v < m->newest;

	m->newest = v;
	return older || m->went_back;
}

static void on_rewound(void *arg, const char *reason)
{
	struct mirror_watch *m = arg;

	freshness_rewound(m->a, reason);
}

static void on_synced(void *arg, const char *version)
{
	struct mirror_watch *m = arg;
	struct agent *a = m->a;

	if (went_back(m, version)) {
		freshness_rewound(a, "a list is older than the mirror");
		return;
	}
	sweep(a, m->kind, m->generation);
	m->synced = true;
	note_confirmed(a);
	if (m->kind == WATCH_NODES && a->roster)
		roster_stand(a);
	if (m->kind + 1 < WATCH_COUNT && !kube_watch_is_open(a->watches[m->kind + 1].watch))
		kube_watch_start(a->watches[m->kind + 1].watch);
	for (size_t i = 0; i < WATCH_COUNT; i++)
		if (!a->watches[i].synced)
			return;
	rescue_sweep(a);
	store_batch_flush(a);
	if (begin_schema(a))
		return;
	freshness_listed(a);
	note_in_sync(a);
}

static void on_progress(void *arg, const char *version)
{
	struct mirror_watch *m = arg;

	(void)num_parse_i64(version, 0, INT64_MAX, &m->newest);
	note_confirmed(m->a);
}

static void on_lost(void *arg, const char *reason)
{
	struct mirror_watch *m = arg;

	log_debug(LOG_KUBE, "watch lost", "path=%s reason=%s", watch_paths[m->kind], reason);
}

static void on_skipped(void *arg, const char *reason)
{
	struct mirror_watch *m = arg;

	metric_inc(METRIC_OBJECTS_SKIPPED);
	log_warn(LOG_KUBE, "object skipped", "path=%s reason=%s", watch_paths[m->kind], reason);
}

static void watch_new(struct agent *a, enum watch_kind kind)
{
	struct mirror_watch *m = &a->watches[kind];
	struct kube_watch_params p = { .path = watch_paths[kind], .page = (int)a->conf->kube_page,
				       .watch_timeout_ms = a->conf->kube_watch_timeout_ms };
	struct kube_watch_handlers h = { .arg = m, .on_sync_begin = on_sync_begin, .on_object = on_object,
					 .on_synced = on_synced, .on_progress = on_progress, .on_lost = on_lost,
					 .on_skipped = on_skipped, .on_rewound = on_rewound };

	m->a = a;
	m->kind = kind;
	m->watch = kube_watch_new(a->kube, &p, &h);
}

void mirror_start(struct agent *a)
{
	if (a->anonymous)
		return;			/* nobody would tell us anything */
	objects_stop(a);
	for (int i = 0; i < WATCH_COUNT; i++) {
		if (!a->watches[i].watch)
			watch_new(a, (enum watch_kind)i);
		kube_watch_stop(a->watches[i].watch);
		a->watches[i].synced = false;
	}
	a->synced_at = (struct mono){ 0 };
	kube_watch_start(a->watches[0].watch);		/* the others follow when it is synced */
}

void mirror_stop(struct agent *a)
{
	objects_stop(a);
	for (int i = 0; i < WATCH_COUNT; i++)
		if (a->watches[i].watch)
			kube_watch_stop(a->watches[i].watch);
	a->synced_at = (struct mono){ 0 };
}

void mirror_free(struct agent *a)
{
	for (int i = 0; i < WATCH_COUNT; i++) {
		kube_watch_free(a->watches[i].watch);
		a->watches[i].watch = NULL;
	}
	view_free(a->view);
}

/* ---- loading what the last run knew ---- */

static void load_node(void *arg, const char *doc)
{
	json_object *o = NULL;

	if (json_parse(doc, strlen(doc), &o) == 0)
		put_node(arg, o, 0, false);
	json_putp(&o);
}

static void load_workload(void *arg, const char *doc)
{
	json_object *o = NULL;

	if (json_parse(doc, strlen(doc), &o) == 0)
		put_workload(arg, o, 0, false);
	json_putp(&o);
}

static void load_pod(void *arg, struct pod *p, const char *constraints)
{
	struct agent *a = arg;
	json_object *o = NULL;

	if (constraints) {		/* the text is itself a pod spec of just these fields */
		p->constraints = constraints_find(constraints);
		if (!p->constraints && json_parse(constraints, strlen(constraints), &o) == 0)
			p->constraints = kube_pod_constraints(o);
		json_putp(&o);
	}
	note_version(a, WATCH_PODS, p->version);
	view_put_pod(a->view, p, loop_now(a->loop));
}

int mirror_load(struct agent *a)
{
	int r = store_each_doc(a->store, STORE_NODE, load_node, a);

	r = r < 0 ? r : store_each_doc(a->store, STORE_WORKLOAD, load_workload, a);
	r = r < 0 ? r : store_each_pod(a->store, load_pod, a);
	return r < 0 ? r : specs_load(a);
}
