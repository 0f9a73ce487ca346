/* standby.c — our own pod, kept on this node as a static pod that waits: what a kubelet starts that boots without the API server
 *
 * As the primary, when the mirror is in sync (and once a minute until it worked):
 *   1. GET our own pod; its controller must be a DaemonSet
 *   2. it is rendered as the standby (node/standby.c); the same text in the folder already: done
 *   3. dotfile; a durable intent; fsync, rename, fsync of the folder; the intent is closed
 * A changed template comes as a new pod of the DaemonSet, whose agent renders anew: another revision, another uid, another pod.
 *
 * Removed (an intent; unlink; it is closed): when a stopping primary hears that its DaemonSet is gone or going, and has no copies;
 * with pod.standby: off. A standby that works removes itself (removal.c). If the API server cannot be asked the standby stays: that
 * is the outage it is for.
 *
 * How it fails: refused or not written is told once, shown in /readyz and /v1/status, and tried again. A file of that name
 * without our mark is left alone. kill -9 before the rename leaves a dotfile, which the next start removes; after it, the file is
 * found equal.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent_int.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "node/manifest.h"
#include "node/standby.h"

#define ASK_MS 1500			/* within AGENT_STOP_MS, with time for the file */

/* ---- what is known ---- */

static bool is_tracked(const struct agent *a)
{
	return !a->is_standby && a->conf->pod_standby != CONF_STANDBY_OFF;
}

/* True when that is news. */
static bool note(struct agent *a, enum standby_state state, const char *text)
{
	struct agent_standby *s = &a->standby;
	bool news = s->state != state || !str_eq(s->note, text);

	s->state = state;
	(void)str_copy(s->note, sizeof(s->note), text);
	metric_set(METRIC_STANDBY_WRITTEN, 0, state == STANDBY_WRITTEN);
	return news;
}

static void note_impossible(struct agent *a, const char *reason)
{
	if (!note(a, STANDBY_IMPOSSIBLE, reason))
		return;
	if (a->conf->pod_standby == CONF_STANDBY_ON)
		log_error(LOG_NODE, "no standby", "pod.standby is on, but: %s", reason);
	else
		log_warn(LOG_NODE, "no standby", "%s: after a boot without the API server nobody heals on this node", reason);
}

static void note_written(struct agent *a, const char *revision)
{
	cleanup(freep) char *text = str_format("waits, revision %.100s", revision);

	(void)note(a, STANDBY_WRITTEN, text);
}

bool standby_owns(const char *file)
{
	return str_eq(file, STANDBY_FILE);
}

/* ---- the intent ---- */

static int commit(struct agent *a, enum action_kind kind, const char *uid, struct intent *out_intent)
{
	int r;

	*out_intent = (struct intent){ .kind = kind, .epoch = 1 };
	(void)str_copy(out_intent->pod_uid, sizeof(out_intent->pod_uid), uid);
	(void)str_copy(out_intent->target, sizeof(out_intent->target), STANDBY_FILE);
	r = rescue_begin(a);
	r = r < 0 ? r : store_open_intent(a->store, out_intent, loop_wall(a->loop));
	if (r < 0) {
		store_rollback(a->store);
		return r;
	}
	return store_commit(a->store);
}

static void close_intent(struct agent *a, const struct intent *intent)
{
	if (store_batch_begin(a) == 0)
		(void)store_close_intent(a->store, intent->id);
}

/* ---- removing ---- */

static void remove_file(struct agent *a, const struct standby_mark *m, const char *reason)
{
	struct intent intent;
	int r;

	if (!agent_may_act(a)) {
		metric_inc(METRIC_EFFECTS_OBSERVED);
		log_info(LOG_NODE, "would act", "action=\"remove the standby\" reason=\"%s\"", reason);
		return;
	}
	r = commit(a, ACTION_DROP, "", &intent);
	fault_pass(FAULT_STANDBY_REMOVE);
	r = r < 0 ? r : manifest_remove(a->conf->kubelet_static_pod_path, STANDBY_FILE);
	close_intent(a, &intent);
	if (r < 0) {
		metric_add(METRIC_EFFECT_ERRORS, EFFECT_REMOVE, 1);
		log_error(LOG_NODE, "standby not removed", "file=%s error=%s: remove it by hand", STANDBY_FILE, err_str(r));
		return;
	}
	(void)note(a, STANDBY_OFF, reason);
	tell(a, &(struct tale){ .event = "standby removed", .node = a->self }, "daemonset=%s/%s reason=\"%s\"", m->ns, m->set,
	     reason);
}

/* ---- is our DaemonSet still there? ---- */

static bool is_gone(const struct kube_answer *answer, const struct standby_mark *m)
{
	cleanup(json_putp) json_object *o = NULL;

	if (answer->outcome == KUBE_E_NOT_FOUND)
		return str_eq(answer->reason, "NotFound");	/* the API's word, not some proxy's */
	if (answer->outcome != KUBE_OK || json_parse(answer->body, answer->body_len, &o) < 0)
		return false;
	return json_get(o, "metadata.deletionTimestamp") || !str_eq(json_get_str(o, "metadata.uid"), m->set_uid);
}

/* A primary has no time for more than the file. What it leaves running and held still, its standby ends (removal.c). */
static void on_gone(struct agent *a, const struct standby_mark *m)
{
	if (a->is_standby)
		removal_gone(a, m);
	else if (map_count(a->copies) || map_count(a->stopped))
		log_info(LOG_NODE, "standby stays", "daemonset=%s/%s is gone: the standby ends the copies that are here", m->ns,
			 m->set);
	else
		remove_file(a, m, "its DaemonSet is gone");
}

static void on_asked(void *arg, const struct kube_answer *answer)
{
	struct agent *a = arg;
	struct standby_mark m;
	void (*done)(void *arg) = a->standby.stopped;

	a->standby.op = NULL;
	if (standby_identify(a->conf->kubelet_static_pod_path, &m) == 0) {
		if (is_gone(answer, &m))
			on_gone(a, &m);
		else if (answer->outcome != KUBE_OK)
			log_info(LOG_NODE, "standby stays", "daemonset=%s/%s could not be asked for: %s", m.ns, m.set,
				 answer->message);
	}
	a->standby.stopped = NULL;
	if (done)
		done(a->standby.stopped_arg);
}

static void ask(struct agent *a, const struct standby_mark *m)
{
	cleanup(buf_fini) struct buf path = BUF_INIT;
	struct kube_request_params p = { .timeout_ms = ASK_MS };

	buf_adds(&path, "/apis/apps/v1/namespaces/");
	kube_escape(&path, m->ns);
	buf_adds(&path, "/daemonsets/");
	kube_escape(&path, m->set);
	p.path = path.data;
	op_cancelp(&a->standby.op);
	a->standby.op = kube_request(a->kube, &p, on_asked, a);
}

void agent_stop(struct agent *a, void (*done)(void *arg), void *arg)
{
	struct standby_mark m;
	bool again = a->standby.stopped != NULL;

	/* A stopped standby is no sign of anything: kubelet stops it when its file changes. */
	if (again || a->is_standby || standby_identify(a->conf->kubelet_static_pod_path, &m) < 0) {
		done(arg);
		return;
	}
	a->standby.stopped = done;
	a->standby.stopped_arg = arg;
	ask(a, &m);
}

void agent_note_yield(struct agent *a)
{
	tell(a, &(struct tale){ .event = "standby yields", .node = a->self }, "reason=\"the DaemonSet's pod is back\"");
}

/* ---- writing ---- */

/* Step 3 of the head comment. */
static int write_file(struct agent *a, const json_object *pod)
{
	struct manifest file = { .file = STANDBY_FILE, .text = json_text(pod) };
	const char *dir = a->conf->kubelet_static_pod_path;
	struct intent intent;
	int r;

	manifest_prepare(dir, &file, 1);
	fault_pass(FAULT_STANDBY_COMMIT);
	r = file.result < 0 ? file.result : commit(a, ACTION_RESTORE, json_get_str(pod, "metadata.uid"), &intent);
	if (r < 0) {
		manifest_abandon(dir, &file, 1);
		return r;
	}
	fault_pass(FAULT_STANDBY_WRITE);
	(void)manifest_publish(dir, &file, 1);
	fault_pass(FAULT_STANDBY_CLOSE);
	close_intent(a, &intent);
	return file.result;
}

static void bring_in_line(struct agent *a, const json_object *pod)
{
	const json_object *notes = json_get(pod, "metadata.annotations");
	const char *revision = json_str(json_get_key(notes, ANNOTATION_STANDBY_REVISION)), *dir = a->conf->kubelet_static_pod_path;
	cleanup(buf_fini) struct buf present = BUF_INIT;
	struct standby_mark m;
	int r = standby_identify(dir, &m);

	if (r == -EINVAL) {
		note_impossible(a, "the folder has a file " STANDBY_FILE " that is not ours");
		return;
	}
	if (r == 0 && standby_read(dir, &present) == 0 && str_eq(present.data, json_text(pod))) {
		note_written(a, revision);
		return;
	}
	if (!agent_may_act(a)) {
		metric_inc(METRIC_EFFECTS_OBSERVED);
		if (note(a, STANDBY_UNKNOWN, "mode observe: it would be written"))
			log_info(LOG_NODE, "would act", "action=\"write the standby\" revision=%s", revision);
		return;
	}
	r = write_file(a, pod);
	if (r < 0) {
		metric_add(METRIC_EFFECT_ERRORS, EFFECT_WRITE, 1);
		note_impossible(a, err_str(r));
		return;
	}
	note_written(a, revision);
	tell(a, &(struct tale){ .event = "standby written", .node = a->self }, "file=%s revision=%s", STANDBY_FILE, revision);
}

/* A standby looks later whether this pod is still here. */
static void note_own_uid(struct agent *a, const char *uid)
{
	cleanup(freep) char *before = store_get_meta(a->store, META_OWN_POD);

	if (uid && !str_eq(uid, before) && store_batch_begin(a) == 0 && store_put_meta(a->store, META_OWN_POD, uid) < 0)
		a->store_failed = true;
}

static void on_own_pod(void *arg, const struct kube_answer *answer)
{
	cleanup(json_putp) json_object *pod = NULL, *out = NULL;
	struct agent *a = arg;
	const struct standby_params p = { .node = a->self, .container = a->conf->pod_container, .store = a->conf->store_path };
	char reason[REASON_SIZE];

	a->standby.op = NULL;
	if (answer->outcome == KUBE_E_UNREACHABLE || answer->outcome == KUBE_E_SERVER)
		return;			/* the next sync asks again */
	if (answer->outcome != KUBE_OK || json_parse(answer->body, answer->body_len, &pod) < 0) {
		(void)snprintf(reason, sizeof(reason), "our own pod %.50s/%.60s: %.20s", a->conf->pod_namespace, a->conf->pod_name,
			       kube_outcome_name(answer->outcome));
		note_impossible(a, reason);
		return;
	}
	note_own_uid(a, json_get_str(pod, "metadata.uid"));
	if (json_get(pod, "metadata.deletionTimestamp"))
		return;			/* our successor writes its own */
	if (standby_render(pod, &p, &out, reason) == 0)
		bring_in_line(a, out);
	else
		note_impossible(a, reason);
}

/* ---- life ---- */

void standby_check(struct agent *a)
{
	cleanup(buf_fini) struct buf path = BUF_INIT;
	struct kube_request_params p = { .retries = 1 };
	struct standby_mark m;

	if (a->standby.op || a->anonymous || !mono_is_set(a->synced_at))
		return;
	if (a->is_standby) {
		if (standby_identify(a->conf->kubelet_static_pod_path, &m) == 0)
			ask(a, &m);
		return;
	}
	if (!is_tracked(a) || str_is_empty(a->conf->pod_name) || str_is_empty(a->conf->pod_namespace))
		return;
	if (a->standby.state == STANDBY_WRITTEN && standby_identify(a->conf->kubelet_static_pod_path, &m) == 0)
		return;			/* as long as we are this pod it stays the same */
	buf_adds(&path, "/api/v1/namespaces/");
	kube_escape(&path, a->conf->pod_namespace);
	buf_adds(&path, "/pods/");
	kube_escape(&path, a->conf->pod_name);
	p.path = path.data;
	a->standby.op = kube_request(a->kube, &p, on_own_pod, a);
}

/* What the configuration alone decides. */
static void apply(struct agent *a)
{
	struct standby_mark m;

	if (a->conf->pod_standby == CONF_STANDBY_OFF) {
		(void)note(a, STANDBY_OFF, "off");
		if (standby_identify(a->conf->kubelet_static_pod_path, &m) == 0)
			remove_file(a, &m, "pod.standby is off");
	} else if (str_is_empty(a->conf->pod_name) || str_is_empty(a->conf->pod_namespace)) {
		if (a->conf->pod_standby == CONF_STANDBY_ON)
			note_impossible(a, "POD_NAME and POD_NAMESPACE are not set");
		else if (note(a, STANDBY_OFF, "POD_NAME and POD_NAMESPACE are not set"))
			log_info(LOG_NODE, "no standby", "POD_NAME and POD_NAMESPACE are not set");
	} else {
		(void)note(a, STANDBY_UNKNOWN, "our own pod was not read yet");
	}
}

void standby_start(struct agent *a)
{
	metric_set(METRIC_STANDBY_ACTIVE, 0, a->is_standby);
	if (a->is_standby) {
		(void)note(a, STANDBY_WRITTEN, "works: the DaemonSet's pod is not there");
		tell(a, &(struct tale){ .event = "standby took over", .node = a->self },
		     "reason=\"the DaemonSet's pod is not there\"");
		removal_new(a);
		return;
	}
	apply(a);
}

void standby_reload(struct agent *a)
{
	if (a->is_standby)
		return;
	apply(a);
	standby_check(a);
}

void standby_free(struct agent *a)
{
	op_cancelp(&a->standby.op);
	removal_free(a);
}

/* ---- telling ---- */

bool standby_is_fine(const struct agent *a, bool *out_degraded, const char **out_note)
{
	bool impossible = a->standby.state == STANDBY_IMPOSSIBLE;

	*out_note = a->standby.note;
	*out_degraded = impossible || a->is_standby;
	return !impossible || a->conf->pod_standby != CONF_STANDBY_ON;
}

json_object *standby_json(const struct agent *a)
{
	static const char *const names[] = { "unknown", "off", "impossible", "written" };
	json_object *o = json_new_object();

	json_set_str(o, "state", a->is_standby ? "active" : names[a->standby.state]);
	json_set_str(o, "note", a->standby.note);
	return o;
}
