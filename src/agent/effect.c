/* effect.c — what we change through the API server: bind a Pending pod, delete a lost one
 *
 * Both are safe to repeat: a binding carries the uid and the API server accepts one only; a delete carries the uid as a
 * precondition. The intent is written before the request and closed with its answer; one found open after a restart is closed
 * without repeating the request, because heal/ asks again if the pod is still there.
 */
#include <stdlib.h>

#include "agent_int.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "kube/write.h"

struct effect {
	struct list link;
	struct agent *a;
	struct op *op;
	struct intent intent;
	char *ns, *name;
	const char *node;
	uint32_t rank;
	struct mono declared;
	struct mono seen;		/* bind: when the watch first showed the pod Pending */
};

static void effect_free(struct effect *e)
{
	list_remove(&e->link);
	free(e->ns);
	free(e->name);
	free(e);
}

static enum fault_id fault_of(enum action_kind k, enum fault_id bind, enum fault_id evict, enum fault_id del)
{
	return k == ACTION_BIND ? bind : k == ACTION_EVICT ? evict : del;
}

static void effect_close(struct effect *e)
{
	struct agent *a = e->a;

	fault_pass(fault_of(e->intent.kind, FAULT_BIND_CLOSE, FAULT_EVICT_CLOSE, FAULT_DELETE_CLOSE));
	if (store_batch_begin(a) == 0 && store_close_intent(a->store, e->intent.id) < 0)
		a->store_failed = true;
	effect_free(e);
}

/* NULL when the intent cannot be written: then nothing is done. */
static struct effect *effect_new(struct agent *a, const struct action *act, const struct pod *p)
{
	struct effect *e = mem_new(struct effect);
	int r;

	*e = (struct effect){ .a = a, .ns = str_dup(p->ns), .name = str_dup(p->name), .node = act->node,
			      .rank = act->rank, .declared = act->declared, .seen = p->unbound_since };
	e->intent = (struct intent){ .kind = act->kind, .epoch = act->epoch };
	(void)str_copy(e->intent.pod_uid, sizeof(e->intent.pod_uid), p->uid);
	(void)str_copy(e->intent.target, sizeof(e->intent.target), str_or(act->node, ""));
	list_add_tail(&a->effects, &e->link);
	fault_pass(fault_of(act->kind, FAULT_BIND_INTENT, FAULT_EVICT_INTENT, FAULT_DELETE_INTENT));
	r = store_batch_begin(a);
	r = r < 0 ? r : store_open_intent(a->store, &e->intent, loop_wall(a->loop));
	if (r == 0)
		store_batch_flush(a);	/* on disk before the request leaves */
	if (r == 0 && !a->store_failed)
		return e;
	log_warn(LOG_STORE, "no intent, no effect", "effect=%s pod=%s/%s error=%s", action_name(act->kind), p->ns, p->name,
		 err_str(r));
	effect_free(e);
	return NULL;
}

static void on_bound(void *arg, const struct kube_answer *answer)
{
	struct effect *e = arg;
	struct agent *a = e->a;
	struct tale t = { .event = "won bid", .kube_reason = "Restored", .ns = e->ns, .pod = e->name, .uid = e->intent.pod_uid,
			  .node = e->node };
	int64_t ms = mono_since_ms(loop_now(a->loop), e->declared);

	e->op = NULL;
	heal_on_bind(a->heal, e->intent.pod_uid, answer->outcome == KUBE_OK, loop_now(a->loop));
	if (answer->outcome == KUBE_OK) {
		metric_observe(METRIC_RESTORE_LATENCY, METRIC_AT2(0, 0, 2), (double)ms / 1e3);
		metric_add(METRIC_CLAIMS, 0, 1);
		tell(a, &t, "mode=online cause=unbound rank=%u bound_after_ms=%lld seen_to_bound_us=%lld", e->rank, (long long)ms,
		     (long long)((loop_now(a->loop).ns - e->seen.ns) / 1000));
	} else if (answer->outcome == KUBE_E_CONFLICT) {
		metric_inc(METRIC_BIND_CONFLICTS);	/* somebody else was first: fine */
		log_debug(LOG_HEAL, "bind conflict", "pod=%s/%s %s", e->ns, e->name, answer->message);
	} else if (answer->outcome != KUBE_E_NOT_FOUND) {
		metric_add(METRIC_EFFECT_ERRORS, EFFECT_BIND, 1);
		log_warn(LOG_HEAL, "bind failed", "pod=%s/%s node=%s outcome=%s message=\"%s\"", e->ns, e->name, e->node,
			 kube_outcome_name(answer->outcome), answer->message);
	}
	effect_close(e);
	think_soon(a);
}

void effect_bind(struct agent *a, const struct action *act)
{
	const struct pod *p = view_pod(a->view, act->pod_uid);
	struct effect *e = p ? effect_new(a, act, p) : NULL;

	if (!e)
		return;
	metric_add(METRIC_LOSSES, 0, 1);
	fault_pass(FAULT_BIND_SEND);
	e->op = kube_bind(a->kube, &(struct kube_ref){ e->ns, e->name, e->intent.pod_uid }, e->node, on_bound, e);
}

static void on_deleted(void *arg, const struct kube_answer *answer)
{
	struct effect *e = arg;
	struct agent *a = e->a;
	bool evicted = e->intent.kind == ACTION_EVICT;
	struct tale t = { .event = evicted ? "original evicted" : "lost pod deleted",
			  .kube_reason = evicted ? "OriginalEvicted" : "LostPodDeleted", .ns = e->ns, .pod = e->name,
			  .uid = e->intent.pod_uid, .node = e->node };

	e->op = NULL;
	if (!evicted)
		heal_on_replaced(a->heal, e->intent.pod_uid, e->node,
				 answer->outcome == KUBE_OK || answer->outcome == KUBE_E_NOT_FOUND ||
					 answer->outcome == KUBE_E_CONFLICT,
				 loop_now(a->loop));
	if (answer->outcome == KUBE_OK) {
		tell(a, &t, "reason=\"%s\"",
		     evicted ? "policy keeps what replaces it" : "its node is lost: the ReplicaSet replaces it");
	} else if (evicted && answer->outcome == KUBE_E_TOO_MANY) {
		log_info(LOG_HEAL, "eviction waits", "pod=%s/%s message=\"%s\"", e->ns, e->name, answer->message);
	} else if (answer->outcome != KUBE_E_NOT_FOUND && answer->outcome != KUBE_E_CONFLICT) {
		metric_add(METRIC_EFFECT_ERRORS, EFFECT_DELETE, 1);
		log_warn(LOG_HEAL, "delete failed", "pod=%s/%s outcome=%s message=\"%s\"", e->ns, e->name,
			 kube_outcome_name(answer->outcome), answer->message);
	}
	effect_close(e);
	think_soon(a);
}

void effect_replace(struct agent *a, const struct action *act)
{
	const struct pod *p = view_pod(a->view, act->pod_uid);
	struct effect *e = p ? effect_new(a, act, p) : NULL;

	if (!e)
		return;
	fault_pass(FAULT_DELETE_SEND);
	e->op = kube_delete_pod(a->kube, &(struct kube_ref){ e->ns, e->name, e->intent.pod_uid }, 0, on_deleted, e);
}

/* A healthy original that its policy lets go: by eviction, so that disruption budgets hold. 429 is asked again by heal/. */
void effect_evict(struct agent *a, const struct action *act)
{
	const struct pod *p = view_pod(a->view, act->pod_uid);
	struct effect *e = p ? effect_new(a, act, p) : NULL;

	if (!e)
		return;
	fault_pass(FAULT_EVICT_SEND);
	e->op = kube_evict(a->kube, &(struct kube_ref){ e->ns, e->name, e->intent.pod_uid }, -1, on_deleted, e);
}

void effects_free(struct agent *a)
{
	list_for_each_safe(e, &a->effects, struct effect, link) {
		op_cancelp(&e->op);
		effect_free(e);
	}
}
