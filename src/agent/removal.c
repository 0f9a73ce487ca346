/* removal.c — a standby that works and was left alone for good removes itself, and all of ours on this node
 *
 * When: its DaemonSet is gone by the API server's own word (standby.c asks where it may), or for pod.standby_alone the API server
 * answered whoever asked and this node had no pod of our DaemonSet: no log folder of one, no cgroup of the last one that worked
 * here (heal/abandon.h). What cannot be seen counts as there. In an outage nobody can tell: the time counts anew from its end. One
 * whose etcd is away answers too, and kubelet learns nothing of it: before the first step /readyz is asked, and a 5xx is a no.
 *
 * In this order, so that a kill -9 anywhere leaves a standby that begins to count anew and comes to the same end:
 *   1. nothing is decided any more: no claim, no copy; peers see a node without room
 *   2. copies end as after a handover, their bundles go when their pods are gone; what was frozen goes on
 *   3. everything stops; the gate's table goes with it
 *   4. the store, its key and what was set aside of it; the lock files stay, for whoever is next must find the same ones
 *   5. its own file, last: kubelet then ends this very pod
 *
 * Before 3 it is called off when the API server goes away or a pod of the DaemonSet comes: copies that ended stay ended.
 * mode observe: told once, and nothing is done.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent_int.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "heal/abandon.h"
#include "node/cgroup.h"
#include "node/manifest.h"
#include "node/podlogs.h"
#include "node/standby.h"

#define REMOVAL_LOOK_MS 1000		/* how often it is looked whether the copies have ended */
#define READYZ_MS 5000

struct removal {
	struct agent *a;
	struct abandon abandon;
	struct timer *timer;
	struct op *asked;		/* /readyz */
	bool told_gone;			/* by the API server */
	bool under_way, observed, over;
	void (*removed)(void *arg);
	void *removed_arg;
};

static const char *const waits = "works: the DaemonSet's pod is not there";

static void note(struct agent *a, const char *text)
{
	(void)str_copy(a->standby.note, sizeof(a->standby.note), text);
}

/* ---- what can be seen ---- */

struct sight { const struct standby_mark *mark; bool there; };

static void on_pod_log(void *arg, const char *pod, const char *uid)
{
	struct sight *s = arg;

	if (pod_is_of_daemon_set(pod, s->mark->set) && !str_eq(uid, s->mark->uid))
		s->there = true;
}

static enum abandon_pods pods_here(struct agent *a, const struct standby_mark *m)
{
	cleanup(freep) char *last = store_get_meta(a->store, META_OWN_POD);
	struct sight s = { .mark = m };
	int logs = pod_logs_each(a->conf->kubelet_pod_logs, m->ns, on_pod_log, &s), r = -ENOENT;

	if (!str_is_empty(last))
		r = cgroup_pod_look(a->cgroups, last);
	if (s.there || r == 0)
		return ABANDON_POD_THERE;
	return logs < 0 || r != -ENOENT ? ABANDON_POD_UNKNOWN : ABANDON_POD_NONE;
}

/* ---- 1 and 2 ---- */

static const char *reason_of(const struct removal *r)
{
	return r->told_gone ? "its DaemonSet is gone" : "the API server answers, and no pod of the DaemonSet is here";
}

static void begin(struct removal *r, const struct standby_mark *m)
{
	const char *reason = reason_of(r);
	struct agent *a = r->a;

	if (!agent_may_act(a)) {
		if (!r->observed)
			log_info(LOG_NODE, "would act", "action=\"remove the standby and all of ours\" reason=\"%s\"", reason);
		if (!r->observed)
			metric_inc(METRIC_EFFECTS_OBSERVED);
		r->observed = true;
		return;
	}
	r->under_way = true;
	note(a, "removes itself");
	tell(a, &(struct tale){ .event = "removal begins", .kube_reason = "RemovalBegins", .warning = true, .node = a->self },
	     "daemonset=%s/%s reason=\"%s\" copies=%zu", m->ns, m->set, reason, map_count(a->copies));
	gossip_tags_soon(a);
	timer_start_ms(r->timer, 0);
}

static void on_readyz(void *arg, const struct kube_answer *answer)
{
	struct removal *r = arg;
	struct standby_mark m;

	r->asked = NULL;
	if (answer->outcome == KUBE_E_SERVER || answer->outcome == KUBE_E_UNREACHABLE || answer->outcome == KUBE_E_TRUNCATED) {
		log_info(LOG_NODE, "standby stays", "reason=\"the API server is not ready: %s\"", answer->message);
		r->abandon = (struct abandon){ 0 };
	} else if (!r->under_way && standby_identify(r->a->conf->kubelet_static_pod_path, &m) == 0) {
		begin(r, &m);
	}
}

static void ask_readyz(struct removal *r)
{
	const struct kube_request_params p = { .path = "/readyz", .timeout_ms = READYZ_MS };

	if (!r->asked && !r->observed)
		r->asked = kube_request(r->a->kube, &p, on_readyz, r);
}

static void call_off(struct removal *r, const char *reason)
{
	struct agent *a = r->a;

	r->under_way = false;
	timer_stop(r->timer);
	note(a, waits);
	tell(a, &(struct tale){ .event = "removal called off", .node = a->self }, "reason=\"%s\"", reason);
	gossip_tags_soon(a);
	think_soon(a);
}

static void end_copies(struct agent *a)
{
	struct action act = { .kind = ACTION_DROP };

	(void)str_copy(act.reason, sizeof(act.reason), "edge-healer is gone from this node");
	map_for_each(struct copy, c, a->copies) {
		if (c->state == COPY_DROPPING)
			continue;
		fault_pass(FAULT_REMOVAL_COPY);
		(void)str_copy(act.pod_uid, sizeof(act.pod_uid), c->pod_uid);
		copy_end(a, &act);
	}
}

static void on_step(void *arg)
{
	struct removal *r = arg;
	struct agent *a = r->a;

	end_copies(a);
	hold_resume_all(a, "edge-healer is gone from this node");
	if (map_count(a->copies)) {
		timer_start_ms(r->timer, REMOVAL_LOOK_MS);
		return;
	}
	bundles_load(a);		/* what is left of others */
	store_batch_flush(a);
	r->over = true;
	if (r->removed)
		r->removed(r->removed_arg);
}

/* ---- 3 to 5 ---- */

static int remove_data(const char *store, bool own_key)
{
	cleanup(freep) char *key = str_format("%s.key", store);
	int r;

	fault_pass(FAULT_REMOVAL_DATA);
	r = store_remove_files(store);
	if (own_key && remove(key) < 0 && errno != ENOENT && r == 0)
		r = -errno;
	return r;
}

int agent_remove(struct agent *a, char **out_static_pod_path)
{
	cleanup(freep) char *store = str_dup(a->conf->store_path);
	bool own_key = str_is_empty(a->conf->store_key_file);
	int r;

	*out_static_pod_path = str_dup(a->conf->kubelet_static_pod_path);
	agent_free(a);
	r = remove_data(store, own_key);
	if (r < 0)
		log_error(LOG_STORE, "data not removed", "store.path=%s error=%s: remove it by hand", store, err_str(r));
	return agent_remove_standby(*out_static_pod_path);
}

int agent_remove_standby(const char *dir)
{
	int r;

	fault_pass(FAULT_REMOVAL_FILE);
	r = manifest_remove(dir, STANDBY_FILE);
	if (r < 0)
		log_error(LOG_NODE, "standby not removed", "file=%s/%s error=%s: tried again, or remove it by hand", dir,
			  STANDBY_FILE, err_str(r));
	else
		log_warn(LOG_NODE, "standby removed", "file=%s/%s: edge-healer has left this node", dir, STANDBY_FILE);
	return r;
}

/* ---- life ---- */

void agent_on_removed(struct agent *a, void (*removed)(void *arg), void *arg)
{
	struct removal *r = a->standby.removal;

	if (!r)
		return;
	r->removed = removed;
	r->removed_arg = arg;
}

bool removal_is_under_way(const struct agent *a)
{
	return a->standby.removal && a->standby.removal->under_way;
}

void removal_gone(struct agent *a, const struct standby_mark *m)
{
	struct removal *r = a->standby.removal;

	r->told_gone = true;
	if (!r->under_way)
		begin(r, m);
}

void removal_look(struct agent *a)
{
	struct removal *r = a->standby.removal;
	bool answers = link_answers(&a->link), counted, due;
	struct standby_mark m;
	enum abandon_pods pods;

	if (!r || r->over || standby_identify(a->conf->kubelet_static_pod_path, &m) < 0)
		return;
	counted = mono_is_set(r->abandon.since);
	pods = pods_here(a, &m);
	due = abandon_look(&r->abandon, answers, pods, a->conf->pod_standby_alone_ms, loop_now(a->loop));
	if (r->under_way && (pods == ABANDON_POD_THERE || !answers)) {
		call_off(r, answers ? "a pod of the DaemonSet is here" : "the API server does not answer");
		return;
	}
	if (!r->under_way && (due || r->told_gone) && answers)
		ask_readyz(r);
	else if (!counted && mono_is_set(r->abandon.since))
		log_info(LOG_NODE, "standby is alone", "daemonset=%s/%s removed_after_ms=%lld: the API server answers, and no pod "
			 "of the DaemonSet is here", m.ns, m.set, (long long)a->conf->pod_standby_alone_ms);
}

void removal_new(struct agent *a)
{
	struct removal *r = mem_new(struct removal);

	r->a = a;
	r->timer = timer_new(a->loop, "removal", on_step, r);
	a->standby.removal = r;
}

void removal_free(struct agent *a)
{
	struct removal *r = take(a->standby.removal);

	if (!r)
		return;
	op_cancelp(&r->asked);
	timer_free(r->timer);
	free(r);
}
