/* hold.c — pods that are held still, for they may run elsewhere (at most once)
 *
 * Holding one: its uid goes to the store first, then its cgroup is frozen, and frozen again at each look, for kubelet may start
 * further containers. Letting it go is the reverse. So a pod that was frozen is known after kill -9 at any point.
 *
 * Frozen is what the kernel says, not what was asked of it: "pod stopped" is told when every process of the pod is held, or it has
 * none. That is looked at every HOLD_LOOK_MS; what does not stand still within HOLD_PROOF_MS is told as "pod not stopped", and
 * tried again with each look. The start delay of those who may start it elsewhere leaves more than twice that time.
 *
 * Under cgroup version 1 a frozen process cannot be killed: what kubelet ends is let go when kubelet must have sent its SIGKILL, or
 * the pod would stay for ever.
 */
#include <errno.h>
#include <stdlib.h>

#include "agent_int.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "node/cgroup.h"
#include "node/manifest.h"

#define META_STOPPED "stopped"

enum held_state {
	HELD_ASKED,			/* frozen, and not yet seen to stand still */
	HELD_STILL,
	HELD_NOT,			/* it goes on, and that was told */
};

struct held {
	char uid[UID_SIZE];
	enum held_state state;
	bool told;			/* that it stands still */
	struct mono asked;
	struct mono ending;		/* since when kubelet has been ending it; 0 = it is not */
	int64_t grace_ms;		/* what kubelet gives it for that */
	char reason[REASON_SIZE];
};

static struct held *held_put(struct agent *a, const char *uid)
{
	struct held *h = map_get(a->stopped, uid);

	if (h)
		return h;
	h = mem_new(struct held);
	(void)str_copy(h->uid, sizeof(h->uid), uid);
	h->asked = loop_now(a->loop);
	(void)map_put(a->stopped, h->uid, h);
	return h;
}

static void held_remove(struct agent *a, const char *uid)
{
	struct held *h = map_remove(a->stopped, uid);

	free(h);
}

/* ---- what outlives the process ---- */

/* In the open transaction. */
int hold_put(struct agent *a)
{
	cleanup(buf_fini) struct buf text = BUF_INIT;

	map_for_each(struct held, h, a->stopped)
		buf_addf(&text, "%s%s", text.len ? " " : "", h->uid);
	buf_adds(&text, "");
	return store_put_meta(a->store, META_STOPPED, text.data);
}

static int hold_save(struct agent *a)
{
	int r = rescue_begin(a);

	r = r < 0 ? r : hold_put(a);
	if (r == 0)
		return store_commit(a->store);
	store_rollback(a->store);
	return r;
}

void hold_load(struct agent *a)
{
	cleanup(freep) char *text = store_get_meta(a->store, META_STOPPED);
	char *rest = text;

	for (char *uid = text ? strtok_r(text, " ", &rest) : NULL; uid; uid = strtok_r(NULL, " ", &rest)) {
		struct held *h = held_put(a, uid);

		h->told = true;		/* by the one before us */
		(void)str_copy(h->reason, sizeof(h->reason), "held since before this start");
	}
	if (map_count(a->stopped))
		log_info(LOG_HEAL, "pods are held still", "pods=%zu", map_count(a->stopped));
}

/* ---- telling ---- */

static struct tale tale_of(const struct agent *a, const char *uid, const char *event, const char *kube_reason)
{
	const struct pod *p = view_pod(a->view, uid);
	const struct copy *c = map_get(a->copies, uid);

	return (struct tale){ .event = event, .kube_reason = kube_reason, .warning = true, .ns = p ? p->ns : c ? c->ns : NULL,
			      .pod = p ? p->name : c ? c->name : uid, .uid = uid, .node = a->self };
}

static void tell_held(struct agent *a, const char *uid, const char *event, const char *kube_reason, const char *why)
{
	struct tale t = tale_of(a, uid, event, kube_reason);
	struct mono until = heal_lease_until(a->heal);

	tell(a, &t, "reason=\"%s\" lease_ended_ms_ago=%lld stop_after_ms=%lld start_delay_ms=%lld", why,
	     mono_is_set(until) ? (long long)mono_since_ms(loop_now(a->loop), until) : -1LL,
	     (long long)a->conf->heal_stop_after_ms, (long long)heal_start_delay_ms(a->conf->heal_stop_after_ms));
}

static const char *why_not(const struct agent *a, int r)
{
	switch (r) {
	case -ENODATA:
		return a->cgroups_note;
	case -ENOTSUP:
		return "there is no freezer for it";
	default:
		return r < 0 ? err_str(r) : "the kernel does not hold all of its processes";
	}
}

void hold_tell_failure(struct agent *a, const struct tale *t, int r)
{
	metric_add(METRIC_EFFECT_ERRORS, EFFECT_FREEZE, 1);
	log_error(LOG_NODE, "cannot freeze", "pod=%s/%s cgroup_root=%s error=%s: stop it by hand", str_or(t->ns, ""), t->pod,
		  a->conf->kubelet_cgroup_root, why_not(a, r));
	tell(a, t, "reason=\"%s\"", why_not(a, r));
}

/* ---- freezing ---- */

/* Our copy, or the pod itself. Both when it is to stand still: kubelet may have started the original beside a frozen copy. */
static int freeze(const struct agent *a, const char *uid, bool frozen)
{
	const struct copy *c = map_get(a->copies, uid);
	int r = c && !frozen ? -ENOENT : cgroup_pod_freeze(a->cgroups, uid, frozen), copy_r;

	if (!c || (frozen && c->let_go))
		return r;
	copy_r = cgroup_pod_freeze(a->cgroups, c->static_uid, frozen);
	return r < 0 && r != -ENOENT ? r : copy_r;
}

/* Of both: 1, 0 or -errno, as cgroup_pod_is_still(). */
static int is_still(const struct agent *a, const char *uid)
{
	const struct copy *c = map_get(a->copies, uid);
	int r = cgroup_pod_is_still(a->cgroups, uid);

	return r != 1 || !c || c->let_go ? r : cgroup_pod_is_still(a->cgroups, c->static_uid);
}

/* Freeze it, look whether it is, and tell what is news. */
static void hold(struct agent *a, struct held *h)
{
	int r = freeze(a, h->uid, true), still = is_still(a, h->uid);

	if (still == 1) {
		h->state = HELD_STILL;
		if (!h->told)
			tell_held(a, h->uid, "pod stopped", "AtMostOnceStopped", h->reason);
		h->told = true;
		return;
	}
	if (h->state == HELD_STILL) {		/* something of it goes on again, or is new */
		h->state = HELD_ASKED;
		h->asked = loop_now(a->loop);
	}
	if (h->state == HELD_ASKED && mono_since_ms(loop_now(a->loop), h->asked) >= HOLD_PROOF_MS) {
		struct tale t = tale_of(a, h->uid, "pod not stopped", "AtMostOnceNotStopped");

		h->state = HELD_NOT;
		h->told = false;
		hold_tell_failure(a, &t, r < 0 && r != -ENOENT ? r : still);
	}
}

static void on_hold_due(void *arg)
{
	struct agent *a = arg;
	bool more = false;

	map_for_each(struct held, h, a->stopped) {
		if (h->state != HELD_ASKED)
			continue;
		hold(a, h);
		more = more || h->state == HELD_ASKED;
	}
	if (more)
		timer_start_ms(a->hold_timer, HOLD_LOOK_MS);
}

/* ---- ACTION_STOP, ACTION_RESUME ---- */

void hold_stop(struct agent *a, const struct action *act)
{
	struct held *h;
	int r;

	fault_pass(FAULT_STOP_NOTE);
	h = held_put(a, act->pod_uid);
	(void)str_copy(h->reason, sizeof(h->reason), act->reason);
	r = hold_save(a);
	if (r < 0)			/* it is stopped all the same: running twice is worse than a frozen pod that nobody thaws */
		log_error(LOG_STORE, "cannot note a frozen pod", "pod=%s error=%s", act->pod_uid, err_str(r));
	fault_pass(FAULT_STOP_FREEZE);
	hold(a, h);
	if (h->state == HELD_ASKED)
		timer_start_ms(a->hold_timer, HOLD_LOOK_MS);
	local_look_soon(a);
}

void hold_resume(struct agent *a, const struct action *act)
{
	int r;

	fault_pass(FAULT_RESUME_THAW);
	r = freeze(a, act->pod_uid, false);
	if (r < 0 && r != -ENOENT && r != -ENOTSUP) {
		metric_add(METRIC_EFFECT_ERRORS, EFFECT_FREEZE, 1);
		log_error(LOG_NODE, "cannot thaw", "pod=%s error=%s", act->pod_uid, err_str(r));
	}
	fault_pass(FAULT_RESUME_NOTE);
	held_remove(a, act->pod_uid);
	(void)hold_save(a);
	tell_held(a, act->pod_uid, "pod resumed", "AtMostOnceResumed", act->reason);
}

void hold_resume_all(struct agent *a, const char *reason)
{
	struct action act = { .kind = ACTION_RESUME };

	(void)str_copy(act.reason, sizeof(act.reason), reason);
	map_for_each(struct held, h, a->stopped) {
		(void)str_copy(act.pod_uid, sizeof(act.pod_uid), h->uid);
		hold_resume(a, &act);
	}
}

/* A copy is gone. An original of this node that was frozen beside it goes on, unless it shall stand still itself. */
void hold_forget(struct agent *a, const struct copy *c)
{
	bool stopped = map_get(a->stopped, c->pod_uid) != NULL;

	if (str_eq(c->lost_node, a->self)) {
		if (!stopped)
			(void)cgroup_pod_freeze(a->cgroups, c->pod_uid, false);
		return;
	}
	if (!stopped)
		return;
	held_remove(a, c->pod_uid);
	(void)hold_save(a);
}

/* ---- what kubelet ends ---- */

/* Since when kubelet has known that it shall end a pod, at least: it reaches the API server some time after us. */
struct mono hold_kill_due(const struct agent *a, struct mono ending, int64_t grace_ms, bool once)
{
	struct mono from = once ? mono_add_ms(a->link.since, KUBELET_LAG_MS) : a->link.since;

	return mono_add_ms(from.ns > ending.ns ? from : ending, grace_ms + KILL_SLACK_MS);
}

/* The API server deletes it, or has, and kubelet can know. */
static bool is_being_ended(const struct agent *a, const struct held *h)
{
	const struct pod *p = view_pod(a->view, h->uid);

	return a->link.state == LINK_ONLINE && mono_is_set(a->synced_at) && !map_get(a->copies, h->uid) && (!p || p->deleting);
}

/* True: it is left to kubelet's SIGKILL. */
static bool is_let_go(struct agent *a, struct held *h)
{
	const struct pod *p = view_pod(a->view, h->uid);

	if (!is_being_ended(a, h)) {
		h->ending = (struct mono){ 0 };
		return false;
	}
	if (!mono_is_set(h->ending)) {
		h->ending = loop_now(a->loop);
		h->grace_ms = copies_grace_ms(a, p ? p->owner : NULL);
	}
	if (!mono_reached(loop_now(a->loop), hold_kill_due(a, h->ending, h->grace_ms, true)))
		return false;
	if (cgroup_pod_outlives_kill(a->cgroups, h->uid)) {
		tell_held(a, h->uid, "pod let go", "AtMostOnceLetGo", "kubelet ends it, and what is frozen cannot be killed");
		(void)cgroup_pod_freeze(a->cgroups, h->uid, false);
	}
	return true;
}

/* Nothing is left of it, here and in the cluster. */
static bool is_over(const struct agent *a, const struct held *h)
{
	return !view_pod(a->view, h->uid) && !map_get(a->copies, h->uid) && a->link.state == LINK_ONLINE &&
	       cgroup_pod_look(a->cgroups, h->uid) == -ENOENT;
}

void hold_look(struct agent *a)
{
	bool asked = false;

	map_for_each(struct held, h, a->stopped) {
		if (is_over(a, h)) {
			held_remove(a, h->uid);
			(void)hold_save(a);
			continue;
		}
		if (is_let_go(a, h))
			continue;
		hold(a, h);
		asked = asked || h->state == HELD_ASKED;
	}
	if (asked && !timer_is_running(a->hold_timer))
		timer_start_ms(a->hold_timer, HOLD_LOOK_MS);
}

/* ---- copies that end ---- */

static void tell_copy(struct agent *a, struct copy *c, const char *why, int r)
{
	struct tale t = { .event = c->frozen ? "copy frozen" : "copy not frozen", .warning = true, .ns = c->ns, .pod = c->name,
			  .uid = c->pod_uid, .node = c->lost_node };

	if (c->frozen) {
		t.kube_reason = "CopyFrozen";
		tell(a, &t, "reason=\"%s\"", why);
		return;
	}
	c->not_frozen = true;
	t.kube_reason = c->once ? "AtMostOnceNotStopped" : "CopyNotFrozen";
	hold_tell_failure(a, &t, r);
}

/* It must not run, and kubelet cannot be waited for. */
void hold_copy(struct agent *a, struct copy *c, const char *why)
{
	struct mono now = loop_now(a->loop);
	int r, still;

	if (c->frozen || c->let_go)
		return;
	fault_pass(FAULT_DROP_FREEZE);
	r = cgroup_pod_freeze(a->cgroups, c->static_uid, true);
	if (r == -ENOENT)
		return;
	still = cgroup_pod_is_still(a->cgroups, c->static_uid);
	if (!mono_is_set(c->freeze_asked))
		c->freeze_asked = now;
	c->frozen = r == 0 && still == 1;
	if (c->frozen || (still != 1 && !c->not_frozen && mono_since_ms(now, c->freeze_asked) >= HOLD_PROOF_MS))
		tell_copy(a, c, why, r < 0 ? r : still);
}

/* A kubelet that was started without the API server adds static pods and does not remove them (Kubernetes #105543). */
void hold_copy_if_stuck(struct agent *a, struct copy *c)
{
	if (c->once)
		hold_copy(a, c, "at most once: it must not run while another one may");
	if (a->link.state == LINK_ONLINE)
		return;
	if (a->kubelet.young)
		hold_copy(a, c, "kubelet was restarted without the API server and removes it only when that is back");
	else if (a->cold_boot)
		hold_copy(a, c, "kubelet was started without the API server and removes it only when that is back");
	else if (mono_is_set(c->deadline) && mono_reached(loop_now(a->loop), c->deadline))
		hold_copy(a, c, "kubelet did not remove it in time");
}

/* Under cgroup version 1 it outlives the SIGKILL that kubelet has sent it by now. */
void hold_copy_let_go(struct agent *a, struct copy *c)
{
	if (a->link.state != LINK_ONLINE) {
		c->let_go = false;
		return;
	}
	if (c->let_go || manifest_exists(a->conf->kubelet_static_pod_path, c->file) ||
	    !mono_reached(loop_now(a->loop), hold_kill_due(a, c->ending, c->grace_ms, c->once)) ||
	    !cgroup_pod_outlives_kill(a->cgroups, c->static_uid))
		return;
	c->let_go = true;
	c->frozen = false;
	tell(a, &(struct tale){ .event = "copy let go", .kube_reason = "CopyLetGo", .ns = c->ns, .pod = c->name, .uid = c->pod_uid,
				.node = c->lost_node },
	     "reason=\"kubelet ends it, and what is frozen cannot be killed\"");
	(void)cgroup_pod_freeze(a->cgroups, c->static_uid, false);
}

/* ---- start and stop ---- */

void hold_new(struct agent *a)
{
	a->stopped = map_new();
	a->hold_timer = timer_new(a->loop, "hold", on_hold_due, a);
}

void hold_free(struct agent *a)
{
	map_for_each(struct held, h, a->stopped)
		free(h);
	map_free(a->stopped);
	timer_free(a->hold_timer);
}
