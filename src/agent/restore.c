/* restore.c — the beginning of our copies: steps 1 to 3 of copies.c
 *
 * A batch is all pods that one plan gives to this node. Those with action.wait_ms have their claims told with the others', and
 * their manifests written that much later, if no better claim was heard until then: heal/ withdraws a copy whose claim is beaten,
 * in whatever state it is. A crash meanwhile is one between a claim and its manifest.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "copies.h"
#include "node/bundle.h"
#include "node/manifest.h"
#include "node/render.h"
#include "objects.h"

struct restore {
	struct copy *c;			/* NULL: it was withdrawn while it waited, and may be freed */
	int64_t wait_ms;
	json_object *pod;		/* rendered; may hold values of Secrets */
	struct bundle bundle;		/* its files */
	struct intent intent;
	int result;
	char reason[REASON_SIZE];
};

/* The last look before a claim; heal/ ranked by the same list. kubelet would try to pull it until start_timeout. */
static bool image_is_absent(const struct agent *a, const struct workload *w, char reason[REASON_SIZE])
{
	const char *lacks = NULL;

	if (!w || images_of(a, w, &lacks) != IMAGE_ABSENT)
		return false;
	(void)snprintf(reason, REASON_SIZE, "image %s is not on this node", lacks);
	return true;
}

/* A kubelet that began without the API server knows no RuntimeClass: it would try the pod for ever. */
static bool kubelet_lacks_its_class(const struct agent *a, const json_object *content, char reason[REASON_SIZE])
{
	const char *class = render_runtime_class(json_get_key(content, "spec"));

	if (!class || !(a->cold_boot || a->kubelet.young))
		return false;
	(void)snprintf(reason, REASON_SIZE, "runtimeClassName %.60s: this kubelet was started offline, and only the API server "
					    "says what it is", class);
	return true;
}

static int restore_render(struct agent *a, struct restore *r, struct map *docs, const struct pod *p, const struct action *act)
{
	const struct workload *w = view_workload(a->view, p->owner);
	json_object *content = copies_content(a, docs, p->spec);
	cleanup(json_putp) json_object *pod = NULL;
	struct render_params params = { .node = a->self, .original_uid = p->uid, .workload_uid = p->owner, .epoch = act->epoch,
					.lookup = objects_lookup, .lookup_arg = a, .bundle_dir = a->conf->kubelet_bundle_dir,
					.bundle = &r->bundle };
	struct copy *c = r->c;
	char file[MANIFEST_NAME_SIZE], uid[UUID_TEXT_SIZE];

	if (!content) {
		(void)str_copy(r->reason, sizeof(r->reason), "what the cluster admitted of it is not in the store");
		return RENDER_E_REFUSED;
	}
	if (kubelet_lacks_its_class(a, content, r->reason) || image_is_absent(a, w, r->reason))
		return RENDER_E_REFUSED;
	objects_set_rules(a, &params);
	pod = render_pod_of_template(content, p->ns, p->name, p->uid);
	r->result = render_static_pod(pod, &params, &r->pod, r->reason);
	if (r->result)
		return r->result;
	render_uid(p->uid, act->epoch, uid);
	manifest_name(p->name, uid, file);
	(void)str_copy(c->pod_uid, sizeof(c->pod_uid), p->uid);
	(void)str_copy(c->static_uid, sizeof(c->static_uid), uid);
	(void)str_copy(c->workload_uid, sizeof(c->workload_uid), p->owner);
	c->ns = str_dup(p->ns);
	c->name = str_dup(p->name);
	c->workload = str_dup(w ? w->name : "");
	c->lost_node = str_dup(act->node);
	c->file = str_dup(file);
	c->containers = manifest_containers_of(r->pod);
	c->epoch = act->epoch;
	c->rank = act->rank;
	c->request = p->request;
	r->wait_ms = act->wait_ms;
	c->declared_mono = act->declared;
	c->claimed = loop_wall(a->loop);
	c->declared.ns = c->claimed.ns - (loop_now(a->loop).ns - act->declared.ns);
	return 0;
}

static int batch_commit(struct agent *a, struct restore *items, size_t n)
{
	int r;

	r = rescue_begin(a);
	for (size_t i = 0; r == 0 && i < n; i++) {
		struct restore *it = &items[i];
		struct claim claim = copy_claim(a, it->c, CLAIM_LIVE);

		it->intent = (struct intent){ .kind = ACTION_RESTORE, .epoch = it->c->epoch };
		(void)str_copy(it->intent.pod_uid, sizeof(it->intent.pod_uid), it->c->pod_uid);
		(void)str_copy(it->intent.target, sizeof(it->intent.target), it->c->file);
		r = store_open_intent(a->store, &it->intent, it->c->claimed);
		r = r < 0 ? r : store_put_claim(a->store, &claim);
		r = r < 0 ? r : store_put_copy(a->store, it->c);
	}
	if (r == 0)
		return store_commit(a->store);
	store_rollback(a->store);
	return r;
}

static void batch_claim(struct agent *a, struct restore *items, size_t n)
{
	struct claim *claims = mem_new_n(struct claim, n);

	for (size_t i = 0; i < n; i++) {
		claims[i] = copy_claim(a, items[i].c, CLAIM_LIVE);
		(void)heal_on_claim(a->heal, &claims[i], loop_now(a->loop));
		(void)map_put(a->copies, items[i].c->pod_uid, items[i].c);
	}
	gossip_new_claims(a, claims, n);
	free(claims);
}

static void restore_written(struct agent *a, struct restore *it, struct mono now)
{
	struct copy *c = it->c;
	struct tale t = copy_tale(c, "manifest written", NULL);

	c->state = COPY_STARTING;
	c->written = loop_wall(a->loop);
	c->written_mono = now;
	copy_set_deadline(a, c, now);
	metric_observe(METRIC_STAGE_WRITE, 0, (double)mono_since_ms(now, c->declared_mono) / 1e3);
	copy_save(a, c);
	tell(a, &t, "file=%s after_us=%lld", c->file, (long long)((now.ns - c->declared_mono.ns) / 1000));
}

static void restore_failed(struct agent *a, struct restore *it)
{
	struct copy *c = it->c;
	struct tale t = copy_tale(c, "manifest not written", "RestoreFailed");
	struct claim claim = copy_note_end(a, c, CLAIM_WITHDRAWN);

	t.warning = true;
	metric_add(METRIC_EFFECT_ERRORS, EFFECT_WRITE, 1);
	metric_add(METRIC_CLAIMS, CLAIM_GIVEN_UP, 1);
	tell(a, &t, "folder=%s error=\"%s\"", a->conf->kubelet_static_pod_path, err_str(it->result));
	store_batch_flush(a);
	fault_pass(FAULT_RESTORE_UNDO);
	(void)manifest_remove(a->conf->kubelet_static_pod_path, c->file);	/* renamed, but its folder was not synced */
	gossip_new_claims(a, &claim, 1);
	heal_on_restore_failed(a->heal, c->pod_uid, loop_now(a->loop));
	if (copy_is_gone(a, c))
		copy_forget(a, c);
	else
		timer_start_ms(a->drop_timer, DROP_LOOK_MS);
}

static void batch_finish(struct agent *a, struct restore *items, size_t n)
{
	struct mono written = mono_read();	/* the batch took time that the loop's clock does not show */

	for (size_t i = 0; i < n; i++) {
		if (store_batch_begin(a) == 0)
			(void)store_close_intent(a->store, items[i].intent.id);
		if (items[i].result == 0)
			restore_written(a, &items[i], written);
		else
			restore_failed(a, &items[i]);
	}
	copies_count(a);
	gossip_tags_soon(a);
	timer_start_ms(a->proof_timer, PROOF_MS);
}

/* Render all; what is refused is told and left out. Returns how many remain. */
static size_t batch_render(struct agent *a, struct restore *items, const struct action *const *acts, size_t n)
{
	struct map *docs = map_new();
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		const struct pod *p = view_pod(a->view, acts[i]->pod_uid);
		struct restore *it = &items[kept];

		*it = (struct restore){ .c = copy_new() };
		if (p && p->owner && !map_get(a->copies, p->uid) && restore_render(a, it, docs, p, acts[i]) == 0) {
			metric_add(METRIC_LOSSES, copy_cause(a, acts[i]->node), 1);
			kept++;
			continue;
		}
		if (p && it->reason[0]) {
			metric_add(METRIC_REFUSED, copy_cause(a, acts[i]->node), 1);
			tell(a, &(struct tale){ .event = "refused", .kube_reason = "RestoreRefused", .warning = true, .ns = p->ns,
						.pod = p->name, .uid = p->uid, .node = acts[i]->node },
			     "reason=\"%s\"", it->reason);
			heal_on_restore_failed(a->heal, p->uid, loop_now(a->loop));
		}
		bundle_fini(&it->bundle);
		copy_free(it->c);
	}
	objects_forget_docs(a);
	copies_docs_free(docs);
	return kept;
}

/* ---- those that wait ---- */

struct waiting_item { char pod_uid[UID_SIZE]; uint32_t epoch; };

struct waiting {
	struct list link;
	struct agent *a;
	struct timer *timer;
	struct restore *items;
	struct waiting_item *keys;	/* of the items: their copies may be gone */
	struct manifest *files;		/* theirs, with names of their own */
	size_t n;
};

static void restore_fini(struct restore *it)
{
	bundle_fini(&it->bundle);
	json_wipe_putp(&it->pod);
}

static void files_fini(struct manifest *files, size_t n)
{
	for (size_t i = 0; i < n; i++)
		json_wipe_text(files[i].text);
}

static void waiting_free(struct waiting *w)
{
	timer_free(w->timer);
	list_remove(&w->link);
	files_fini(w->files, w->n);
	for (size_t i = 0; i < w->n; i++) {
		restore_fini(&w->items[i]);
		free((char *)(uintptr_t)w->files[i].file);
	}
	free(w->files);
	free(w->keys);
	free(w->items);
	free(w);
}

/* Their claims are told: the files of ConfigMaps and Secrets, then the manifests. */
static void batch_publish(struct agent *a, struct restore *items, struct manifest *files, size_t n)
{
	fault_pass(FAULT_RESTORE_BUNDLE);
	for (size_t i = 0; i < n; i++)
		if (files[i].result == 0)
			files[i].result = bundles_write(a, items[i].c, &items[i].bundle);
	fault_pass(FAULT_RESTORE_PUBLISH);
	agent_gate_need(a, GATE_FOR_START);
	(void)manifest_publish(a->conf->kubelet_static_pod_path, files, n);
	fault_pass(FAULT_RESTORE_CLOSE);
	for (size_t i = 0; i < n; i++)
		items[i].result = files[i].result;
	batch_finish(a, items, n);
}

/* Ended while it waited: nothing is published. Its intent is closed. */
static void waiting_drop(struct waiting *w, size_t i)
{
	struct agent *a = w->a;

	manifest_abandon(a->conf->kubelet_static_pod_path, &w->files[i], 1);
	if (store_batch_begin(a) == 0)
		(void)store_close_intent(a->store, w->items[i].intent.id);
}

/* In mode observe since: as if it had failed. */
static void waiting_give_up(struct agent *a, struct copy *c)
{
	struct claim claim = copy_note_end(a, c, CLAIM_WITHDRAWN);

	metric_add(METRIC_CLAIMS, CLAIM_GIVEN_UP, 1);
	store_batch_flush(a);
	gossip_new_claims(a, &claim, 1);
	heal_on_restore_failed(a->heal, c->pod_uid, loop_now(a->loop));
	copy_forget(a, c);
}

/* The copy of item i if it still waits, else NULL. */
static struct copy *waiting_copy(const struct waiting *w, size_t i)
{
	struct copy *c = map_get(w->a->copies, w->keys[i].pod_uid);

	return c && c->state == COPY_CLAIMED && c->epoch == w->keys[i].epoch ? c : NULL;
}

static void on_waited(void *arg)
{
	struct waiting *w = arg;
	struct agent *a = w->a;
	cleanup(freep) struct restore *items = mem_new_n(struct restore, w->n);
	cleanup(freep) struct manifest *files = mem_new_n(struct manifest, w->n);
	size_t n = 0;

	if (mono_is_set(a->tilted_until) && !mono_reached(loop_now(a->loop), a->tilted_until)) {
		timer_start_at(w->timer, mono_add_ms(a->tilted_until, a->conf->heal_claim_timeout_ms));
		return;			/* after that we have heard what happened meanwhile */
	}
	for (size_t i = 0; i < w->n; i++) {
		struct copy *c = waiting_copy(w, i);

		if (c && agent_may_act(a)) {
			items[n] = w->items[i];
			files[n++] = w->files[i];
			continue;
		}
		waiting_drop(w, i);
		if (c)
			waiting_give_up(a, c);
	}
	if (n)
		batch_publish(a, items, files, n);
	waiting_free(w);
	think_soon(a);
}

/* Takes over those of the batch that wait, in their order, and closes up the rest; returns how many that is. */
static size_t batch_set_aside(struct agent *a, struct restore *items, struct manifest *files, size_t n)
{
	struct waiting *w = mem_new(struct waiting);
	int64_t wait_ms = 0;
	size_t kept = 0;

	*w = (struct waiting){ .a = a, .items = mem_new_n(struct restore, n), .keys = mem_new_n(struct waiting_item, n),
			       .files = mem_new_n(struct manifest, n) };
	list_add_tail(&a->restores, &w->link);
	for (size_t i = 0; i < n; i++) {
		struct copy *c = items[i].c;

		if (!items[i].wait_ms) {
			items[kept] = items[i];
			files[kept++] = files[i];
			continue;
		}
		wait_ms = items[i].wait_ms > wait_ms ? items[i].wait_ms : wait_ms;
		c->deadline = mono_add_ms(loop_now(a->loop), items[i].wait_ms);
		w->items[w->n] = items[i];
		w->keys[w->n].epoch = c->epoch;
		(void)str_copy(w->keys[w->n].pod_uid, UID_SIZE, c->pod_uid);
		w->files[w->n] = files[i];
		w->files[w->n++].file = str_dup(files[i].file);
	}
	if (!w->n) {
		waiting_free(w);
		return kept;
	}
	log_info(LOG_HEAL, "waiting", "copies=%zu ms=%lld: others may be claiming the same", w->n, (long long)wait_ms);
	w->timer = timer_new(a->loop, "restore", on_waited, w);
	timer_start_ms(w->timer, wait_ms);
	return kept;
}

void restores_free(struct agent *a)
{
	list_for_each_safe(w, &a->restores, struct waiting, link) {
		manifest_abandon(a->conf->kubelet_static_pod_path, w->files, w->n);
		waiting_free(w);
	}
}

/* ---- a batch ---- */

/* The dotfiles are written before the commit (they are no effect): its sync carries theirs. On return *n are those that did not go
 * their own way. */
static int batch_run(struct agent *a, struct restore *items, size_t *n)
{
	cleanup(freep) struct manifest *files = mem_new_n(struct manifest, *n);
	const char *dir = a->conf->kubelet_static_pod_path;
	int r;

	for (size_t i = 0; i < *n; i++)
		files[i] = (struct manifest){ .file = items[i].c->file, .text = json_text(items[i].pod) };
	fault_pass(FAULT_RESTORE_PREPARE);
	manifest_prepare(dir, files, *n);
	fault_pass(FAULT_RESTORE_COMMIT);
	r = batch_commit(a, items, *n);
	if (r < 0) {
		manifest_abandon(dir, files, *n);
		return r;
	}
	fault_pass(FAULT_RESTORE_TELL);
	batch_claim(a, items, *n);
	*n = batch_set_aside(a, items, files, *n);
	if (*n)
		batch_publish(a, items, files, *n);
	files_fini(files, *n);
	return 0;
}

void copies_restore(struct agent *a, const struct action *const *acts, size_t n)
{
	struct restore *items = mem_new_n(struct restore, n);
	int r;

	n = batch_render(a, items, acts, n);
	r = n ? batch_run(a, items, &n) : 0;
	for (size_t i = 0; i < n; i++) {
		if (r < 0) {		/* no intent, no effect: somebody else's turn */
			heal_on_restore_failed(a->heal, items[i].c->pod_uid, loop_now(a->loop));
			copy_free(items[i].c);
		}
		restore_fini(&items[i]);
	}
	if (r < 0) {
		a->store_failed = true;
		log_error(LOG_STORE, "no intent, no effect", "copies=%zu error=%s", n, err_str(r));
	}
	free(items);
}
