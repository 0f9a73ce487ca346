/* copies.c — the life of our copies, from claim to removal
 *
 * Happy path of a batch (all pods that one plan gives to this node):
 *   1. (restore.c) dotfiles of all manifests; one durable transaction: intent, claim and copy row of each (state claimed)
 *   2. the claims are told
 *   3. the files of ConfigMaps and Secrets (bundles.c); fsync and rename of each manifest; one fsync of the folder (state starting)
 *   4. every PROOF_MS it is looked whether their pod cgroups are populated and one of their containers has its log (state running)
 *   5. later: one commit says that the copy is dropping and its claim over, the file is removed, the end is told; the row goes when
 *      file and cgroup are gone
 *
 * What can fail: 1 → nothing happened, the next rank takes over. 3 → the claim is withdrawn, the next rank takes over. 4 → after
 * start_timeout heal/ withdraws; while kubelet is evidently at work on one its deadline moves on, START_MAX_MS in all. 5 → what
 * must not go on is held still (hold.c). kill -9 anywhere: copies_load() finds the row and finishes or undoes by its state; a file
 * with our prefix and a matching uid but no row is removed, any other file of that prefix is left alone and told.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "copies.h"
#include "freshness.h"
#include "model/stamp.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "kube/codec.h"
#include "node/bundle.h"
#include "node/cgroup.h"
#include "node/manifest.h"
#include "node/render.h"

#define DROP_GRACE_S 30				/* Kubernetes' default of terminationGracePeriodSeconds */
#define DROP_PATIENCE_MS 15000			/* a pod that outlives its file and its grace for longer is told, and held still */

/* ---- small things ---- */

void copies_count(const struct agent *a)
{
	double n[COPY_DROPPING + 1] = { 0 };

	map_for_each(struct copy, c, a->copies)
		n[c->state]++;
	for (int i = 0; i <= COPY_DROPPING; i++)
		metric_set(METRIC_COPIES, i, n[i]);
}

bool copies_any(const struct agent *a, enum copy_state state)
{
	map_for_each(struct copy, c, a->copies)
		if (c->state == state)
			return true;
	return false;
}

struct tale copy_tale(const struct copy *c, const char *event, const char *reason)
{
	return (struct tale){ .event = event, .kube_reason = reason, .ns = c->ns, .pod = c->name, .uid = c->pod_uid,
			      .node = c->lost_node };
}

void copy_save(struct agent *a, const struct copy *c)
{
	if (store_batch_begin(a) == 0 && store_put_copy(a->store, c) < 0)
		a->store_failed = true;
}

struct claim copy_claim(const struct agent *a, const struct copy *c, enum claim_state state)
{
	struct claim claim = { .epoch = c->epoch, .rank = c->rank, .mirror = stamp_for_claim(freshness_stamp(a)),
			       .state = state, .at = loop_wall(a->loop) };

	(void)str_copy(claim.pod_uid, sizeof(claim.pod_uid), c->pod_uid);
	(void)str_copy(claim.node, sizeof(claim.node), a->self);
	return claim;
}

/* Our claim is over: the next rank may go on (withdrawn) or all is well (done). Its row and the copy's, "dropping", are on disk
 * before anybody hears of it: else we would come back from a crash with a claim that the others have seen end. */
struct claim copy_note_end(struct agent *a, struct copy *c, enum claim_state state)
{
	struct claim claim = copy_claim(a, c, state);

	c->state = COPY_DROPPING;
	copy_save(a, c);
	(void)heal_on_claim(a->heal, &claim, loop_now(a->loop));
	if (store_batch_begin(a) == 0 && store_put_claim(a->store, &claim) < 0)
		a->store_failed = true;
	return claim;
}

void copy_forget(struct agent *a, struct copy *c)
{
	fault_pass(FAULT_DROP_GONE);
	if (store_batch_begin(a) == 0 && store_delete_copy(a->store, c->pod_uid) < 0)
		a->store_failed = true;
	bundles_remove(a, c);
	hold_forget(a, c);
	(void)map_remove(a->copies, c->pod_uid);
	copy_free(c);
	copies_count(a);
	gossip_tags_soon(a);
	think_soon(a);
}

/* ---- 5: ending ---- */

/* Where pod cgroups cannot be read it may be there. */
bool copy_is_gone(const struct agent *a, const struct copy *c)
{
	return !manifest_exists(a->conf->kubelet_static_pod_path, c->file) &&
	       cgroup_pod_look(a->cgroups, c->static_uid) == -ENOENT;
}

/* A folder that was read-only or full may take it by now. */
static void remove_again(struct agent *a, const struct copy *c)
{
	if (manifest_exists(a->conf->kubelet_static_pod_path, c->file) &&
	    manifest_remove(a->conf->kubelet_static_pod_path, c->file) == 0)
		log_info(LOG_NODE, "manifest removed after all", "file=%s", c->file);
}

/* At most once: the others take the end of its claim for a proof that it has stopped. */
static void tell_end(struct agent *a, struct copy *c)
{
	if (!c->end_untold)
		return;
	c->end_untold = false;
	gossip_new_claims(a, &c->end, 1);
}

static bool is_proven_or_late(const struct agent *a, const struct copy *c)
{
	return c->frozen || c->not_frozen || cgroup_pod_is_still(a->cgroups, c->static_uid) == 1;
}

static void on_drop_due(void *arg)
{
	struct agent *a = arg;
	bool more = false, soon = false;

	map_for_each(struct copy, c, a->copies) {
		if (c->state != COPY_DROPPING)
			continue;
		remove_again(a, c);
		if (copy_is_gone(a, c)) {
			struct tale t = copy_tale(c, "copy gone", NULL);

			tell(a, &t, "file=%s", c->file);
			tell_end(a, c);
			copy_forget(a, c);
			continue;
		}
		more = true;
		hold_copy_if_stuck(a, c);
		hold_copy_let_go(a, c);
		if (c->end_untold && is_proven_or_late(a, c))
			tell_end(a, c);
		soon = soon || c->end_untold;
		if (mono_is_set(c->deadline) && mono_reached(loop_now(a->loop), c->deadline)) {
			c->deadline = (struct mono){ 0 };
			log_warn(LOG_NODE, "copy does not stop",
				 "pod=%s/%s file=%s: kubelet removes it when it reaches the API server again", c->ns, c->name,
				 c->file);
		}
	}
	if (more)
		timer_start_ms(a->drop_timer, soon ? HOLD_LOOK_MS : DROP_LOOK_MS);
	else
		agent_gate_over(a, GATE_FOR_END);
}

int64_t copies_grace_ms(struct agent *a, const char *workload_uid)
{
	cleanup(json_putp) json_object *content = spec_doc(a, specs_newest(a, workload_uid));

	return json_get_i64(content, "spec.terminationGracePeriodSeconds", DROP_GRACE_S) * MS_PER_S;
}

static bool is_once(const struct agent *a, const struct copy *c)
{
	const struct workload *w = view_workload(a->view, c->workload_uid);
	int policy = !w ? POLICY_DEFAULT : w->policy == POLICY_DEFAULT ? a->conf->heal_policy : (int)w->policy;

	return policy == POLICY_AT_MOST_ONCE;
}

/* Its row says "dropping". Remove the file; the row stays until the pod is really gone. */
static void copy_remove_file(struct agent *a, struct copy *c)
{
	const char *note;
	int r;

	c->ending = loop_now(a->loop);
	c->grace_ms = copies_grace_ms(a, c->workload_uid);
	c->deadline = mono_add_ms(c->ending, c->grace_ms + DROP_PATIENCE_MS);
	c->once = is_once(a, c);
	if (c->once)
		hold_copy(a, c, "at most once: it must not run while another one may");
	fault_pass(FAULT_DROP_REMOVE);
	if (kubelet_removes(a, &note))	/* else it will not, however fast its calls fail */
		agent_gate_need(a, GATE_FOR_END);
	r = manifest_remove(a->conf->kubelet_static_pod_path, c->file);
	if (r < 0) {
		metric_add(METRIC_EFFECT_ERRORS, EFFECT_REMOVE, 1);
		log_error(LOG_NODE, "manifest not removed", "file=%s error=%s: tried again until it is", c->file, err_str(r));
	}
	hold_copy_if_stuck(a, c);
	copies_count(a);
	if (!timer_is_running(a->drop_timer))
		timer_start_ms(a->drop_timer, DROP_LOOK_MS);
}

static int handover_label(const struct action *act)
{
	return act->kind == ACTION_WITHDRAW ? 3 : strstr(act->reason, "original") ? 0 : strstr(act->reason, "gone") ? 2 : 1;
}

void copy_end(struct agent *a, const struct action *act)
{
	struct copy *c = map_get(a->copies, act->pod_uid);
	bool withdrawn = act->kind == ACTION_WITHDRAW, lost = withdrawn && str_has_prefix(act->reason, "lost the claim");
	struct tale t;

	if (!c || c->state == COPY_DROPPING)
		return;
	t = copy_tale(c, withdrawn ? "withdrawn" : "handed over", withdrawn ? "CopyWithdrawn" : "HandedOver");
	t.warning = withdrawn;
	metric_add(METRIC_HANDOVER, handover_label(act), 1);
	if (withdrawn)
		metric_add(METRIC_CLAIMS, lost ? CLAIM_LOST : CLAIM_GIVEN_UP, 1);
	tell(a, &t, "reason=\"%s\" epoch=%u", act->reason, c->epoch);
	fault_pass(FAULT_DROP_NOTE);
	if (lost) {
		c->state = COPY_DROPPING;
		copy_save(a, c);
	} else {
		c->end = copy_note_end(a, c, withdrawn ? CLAIM_WITHDRAWN : CLAIM_DONE);
		c->end_untold = true;
	}
	store_batch_flush(a);		/* the rows say so before the file goes and anybody hears of it */
	copy_remove_file(a, c);
	fault_pass(FAULT_DROP_TELL);
	if (lost)
		return;
	if (!c->once || is_proven_or_late(a, c))
		tell_end(a, c);
	else
		timer_start_ms(a->drop_timer, HOLD_LOOK_MS);
}

/* ---- 4: proof ---- */

/* Its log folder; `pod` holds its final name. */
static struct pod_log log_of(const struct agent *a, const struct copy *c, const char *pod)
{
	return (struct pod_log){ a->conf->kubelet_pod_logs, c->ns, pod, c->static_uid };
}

static bool is_running(const struct agent *a, struct copy *c)
{
	cleanup(freep) char *pod = NULL;
	struct pod_log log;

	if (cgroup_pod_is_populated(a->cgroups, c->static_uid) != 1)
		return false;
	if (!c->containers)
		c->containers = manifest_containers(a->conf->kubelet_static_pod_path, c->file);
	pod = str_format("%s-%s", c->name, a->self);
	log = log_of(a, c, pod);
	return pod_log_exists(&log, c->containers);
}

/* kubelet has admitted it: it waits for volumes, pulls the sandbox up, or an init container runs. A sandbox without any container's
 * folder is what a missing image leaves. */
static bool is_worked_on(const struct agent *a, const struct copy *c)
{
	cleanup(freep) char *pod = str_format("%s-%s", c->name, a->self);
	const struct pod_log log = log_of(a, c, pod);

	return cgroup_pod_look(a->cgroups, c->static_uid) == 0 &&
	       (cgroup_pod_is_populated(a->cgroups, c->static_uid) != 1 || pod_log_is_begun(&log));
}

/* A kubelet that hangs in the black hole gets its time as well. */
void copy_set_deadline(const struct agent *a, struct copy *c, struct mono now)
{
	int64_t ms = a->conf->heal_start_timeout_ms, hang_ms = agent_gate_hang_ms(a);

	ms = ms > hang_ms ? ms : hang_ms;
	c->deadline = mono_add_ms(now, ms);
	c->start_limit = mono_add_ms(now, ms > START_MAX_MS ? ms : START_MAX_MS);
}

/* A long init container or a slow disk is no reason to withdraw. */
static void extend_deadline(const struct agent *a, struct copy *c)
{
	struct mono now = loop_now(a->loop);

	if (mono_since_ms(c->deadline, now) < a->conf->heal_start_timeout_ms / 2 && c->deadline.ns < c->start_limit.ns &&
	    is_worked_on(a, c))
		c->deadline = mono_min(mono_add_ms(now, a->conf->heal_start_timeout_ms), c->start_limit);
}

/* Label of the cause: a node, or a pod of our own. */
int copy_cause(const struct agent *a, const char *lost_node)
{
	return !str_eq(lost_node, a->self) ? LOSS_NODE : a->cold_boot ? LOSS_COLD_BOOT : LOSS_LOCAL;
}

static void copy_proven(struct agent *a, struct copy *c)
{
	struct mono now = loop_now(a->loop);
	struct tale t = copy_tale(c, "restored", "Restored");

	fault_pass(FAULT_RESTORE_PROVEN);
	c->state = COPY_RUNNING;
	c->deadline = (struct mono){ 0 };
	c->running = loop_wall(a->loop);
	if (mono_is_set(c->written_mono))
		metric_observe(METRIC_STAGE_START, 0, (double)mono_since_ms(now, c->written_mono) / 1e3);
	if (mono_is_set(c->declared_mono))
		metric_observe(METRIC_RESTORE_LATENCY, METRIC_AT2(copy_cause(a, c->lost_node), 1, 2),
			       (double)mono_since_ms(now, c->declared_mono) / 1e3);
	metric_add(METRIC_CLAIMS, CLAIM_WON, 1);
	copy_save(a, c);
	tell(a, &t, "won bid rank=%u epoch=%u mode=offline running_after_ms=%lld uid=%s", c->rank, c->epoch,
	     mono_is_set(c->declared_mono) ? (long long)mono_since_ms(now, c->declared_mono) : -1LL, c->static_uid);
}

static void on_proof_due(void *arg)
{
	struct agent *a = arg;
	bool more = false;

	map_for_each(struct copy, c, a->copies) {
		if (c->state != COPY_STARTING)
			continue;
		if (is_running(a, c)) {
			copy_proven(a, c);
			continue;
		}
		extend_deadline(a, c);
		more = true;
	}
	copies_count(a);
	if (more)
		timer_start_ms(a->proof_timer, PROOF_MS);
	else
		agent_gate_over(a, GATE_FOR_START);
}

/* ---- after a restart ---- */

/* What the pod was made of, as the cluster admitted it; of a batch each is read once. Borrowed from `docs`. */
json_object *copies_content(struct agent *a, struct map *docs, const struct spec *s)
{
	json_object *doc = s ? map_get(docs, s->hash) : NULL;

	if (s && !doc) {
		doc = spec_doc(a, s);
		if (doc)
			(void)map_put(docs, s->hash, doc);
	}
	return doc;
}

void copies_docs_free(struct map *docs)
{
	map_for_each(json_object, rs, docs)
		json_putp(&rs);
	map_free(docs);
}

static void resume_copy(void *arg, struct copy *c)
{
	struct agent *a = arg;
	bool there = manifest_exists(a->conf->kubelet_static_pod_path, c->file);

	(void)map_put(a->copies, c->pod_uid, c);
	if (c->state == COPY_CLAIMED || c->state == COPY_STARTING) {
		/* Written or not, kubelet has what the folder says. Without a file heal/ withdraws it at once. */
		c->state = COPY_STARTING;
		copy_set_deadline(a, c, loop_now(a->loop));
		if (!there)
			c->deadline = c->start_limit = loop_now(a->loop);
	} else if (c->state == COPY_RUNNING && there && a->cold_boot) {
		c->state = COPY_STARTING;	/* it ran before this boot: kubelet starts it anew, or does not */
		copy_set_deadline(a, c, loop_now(a->loop));
		c->deadline = c->start_limit;
	}
	log_info(LOG_HEAL, "resumed", "pod=%s/%s state=%s file=%s there=%d", c->ns, c->name, copy_state_name(c->state), c->file,
		 there);
}

static void resume_claim(void *arg, const struct claim *c)
{
	struct agent *a = arg;

	(void)heal_on_claim(a->heal, c, loop_now(a->loop));
}

/* Its row is lost with the store, and the others believe in its claim still. The end is told with the first hello. */
static void orphan_end(struct agent *a, const char *pod_uid, unsigned epoch)
{
	struct claim claim = { .epoch = epoch, .state = CLAIM_WITHDRAWN, .at = loop_wall(a->loop) };

	(void)str_copy(claim.pod_uid, sizeof(claim.pod_uid), pod_uid);
	(void)str_copy(claim.node, sizeof(claim.node), a->self);
	(void)heal_on_claim(a->heal, &claim, loop_now(a->loop));
	if (store_batch_begin(a) == 0 && store_put_claim(a->store, &claim) < 0)
		a->store_failed = true;
}

static void adopt_or_remove(void *arg, const char *file)
{
	struct agent *a = arg;
	char uid[UID_SIZE];
	unsigned epoch;
	const struct copy *c;

	if (standby_owns(file))
		return;
	if (manifest_identify(a->conf->kubelet_static_pod_path, file, uid, sizeof(uid), &epoch) < 0) {
		log_warn(LOG_NODE, "file is not ours", "file=%s: it has our prefix, but not our mark; left alone", file);
		return;
	}
	c = map_get(a->copies, uid);
	if (c && str_eq(c->file, file))
		return;
	log_warn(LOG_NODE, "orphan removed", "file=%s pod=%s epoch=%u: ours, but not in the store", file, uid, epoch);
	if (!agent_may_act(a))
		return;
	fault_pass(FAULT_ORPHAN_REMOVE);
	(void)manifest_remove(a->conf->kubelet_static_pod_path, file);
	orphan_end(a, uid, epoch);
}

static void close_intent(void *arg, const struct intent *i)
{
	(void)arg;
	log_info(LOG_STORE, "intent was open", "id=%lld kind=%s pod=%s target=%s", (long long)i->id, action_name(i->kind),
		 i->pod_uid, i->target);
}

/* What the copies take of this node: by what their pods were made of, or their ReplicaSet's newest. Those that end are seen to. */
static void resume_copies(struct agent *a)
{
	struct map *docs = map_new();

	map_for_each(struct copy, c, a->copies) {
		const struct pod *p = view_pod(a->view, c->pod_uid);
		const json_object *content = copies_content(a, docs, p && p->spec ? p->spec : specs_newest(a, c->workload_uid));

		c->request.pods = 1;
		if (content)
			kube_pod_request(json_get_key(content, "spec"), NULL, &c->request);
		/* Somebody removed it while we were away. The end of its claim is told with the first hello. */
		if (c->state == COPY_RUNNING && !manifest_exists(a->conf->kubelet_static_pod_path, c->file))
			(void)copy_note_end(a, c, CLAIM_DONE);
		if (c->state == COPY_DROPPING && agent_may_act(a))
			copy_remove_file(a, c);
	}
	copies_docs_free(docs);
}

int copies_load(struct agent *a)
{
	int r;

	a->proof_timer = timer_new(a->loop, "proof", on_proof_due, a);
	a->drop_timer = timer_new(a->loop, "drop", on_drop_due, a);
	r = store_each_claim(a->store, resume_claim, a);
	r = r < 0 ? r : store_each_copy(a->store, resume_copy, a);
	r = r < 0 ? r : store_each_intent(a->store, close_intent, a);
	r = r < 0 ? r : store_begin(a->store, true);
	r = r < 0 ? r : store_clear_intents(a->store);
	r = r < 0 ? r : store_commit(a->store);
	resume_copies(a);
	if (manifest_each(a->conf->kubelet_static_pod_path, adopt_or_remove, a) < 0)
		log_warn(LOG_NODE, "static-pod folder", "kubelet.static_pod_path=%s cannot be read: offline restore will fail",
			 a->conf->kubelet_static_pod_path);
	timer_start_ms(a->proof_timer, 0);
	copies_count(a);
	return r;
}

void copies_free_all(struct agent *a)
{
	timer_free(a->proof_timer);
	timer_free(a->drop_timer);
	map_for_each(struct copy, c, a->copies)
		copy_free(c);
	map_free(a->copies);
}
