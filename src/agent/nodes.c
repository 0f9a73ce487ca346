/* nodes.c — what we read and change of Node objects: the taint of a lost node, its Lease
 *
 * The list of taints is replaced as a whole by a merge patch with the resourceVersion that it was read at: somebody else's taint is
 * never undone, a conflict is tried again later by heal/. A human's cordon is no taint of ours and is not touched.
 */
#include <stdlib.h>

#include "agent_int.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "kube/write.h"

#define LEASE_NAMESPACE "kube-node-lease"

struct node_op {
	struct list link;
	struct agent *a;
	struct op *op;
	const char *node;		/* interned */
	bool tainted;			/* as it shall be */
	struct intent intent;		/* id 0 = none: only reading */
};

static struct node_op *node_op_new(struct agent *a, const char *node)
{
	struct node_op *n = mem_new(struct node_op);

	*n = (struct node_op){ .a = a, .node = node };
	list_add_tail(&a->node_ops, &n->link);
	return n;
}

static void node_op_free(struct node_op *n)
{
	struct agent *a = n->a;

	if (n->intent.id && store_batch_begin(a) == 0 && store_close_intent(a->store, n->intent.id) < 0)
		a->store_failed = true;
	list_remove(&n->link);
	free(n);
}

/* ---- Leases ---- */

static void on_lease(void *arg, const struct kube_answer *answer)
{
	struct node_op *n = arg;
	struct agent *a = n->a;
	struct kube_lease lease = { 0 };
	json_object *o = NULL;

	n->op = NULL;
	if (answer->outcome == KUBE_OK && json_parse(answer->body, answer->body_len, &o) == 0 && kube_lease_decode(o, &lease) == 0)
		heal_on_node_lease(a->heal, n->node, lease.renewed, loop_wall(a->loop));
	else if (answer->outcome == KUBE_E_NOT_FOUND)
		heal_on_node_lease(a->heal, n->node, (struct wall){ 0 }, loop_wall(a->loop));
	log_debug(LOG_HEAL, "lease", "node=%s outcome=%s renewed_ms_ago=%lld", n->node, kube_outcome_name(answer->outcome),
		  (long long)((loop_wall(a->loop).ns - lease.renewed.ns) / NS_PER_MS));
	json_putp(&o);
	node_op_free(n);
	think_soon(a);
}

void node_read_lease(struct agent *a, const char *node)
{
	struct node_op *n = node_op_new(a, node);

	n->op = kube_lease_get(a->kube, LEASE_NAMESPACE, node, on_lease, n);
}

/* ---- the taint ---- */

static json_object *taints_with(const json_object *node, bool tainted)
{
	const json_object *old = json_get(node, "spec.taints");
	json_object *list = json_new_array(), *ours;

	for (size_t i = 0; i < json_len(old); i++)
		if (!str_eq(json_get_str(json_at(old, i), "key"), HEAL_TAINT))
			json_append(list, json_copy(json_at(old, i)));
	if (!tainted)
		return list;
	ours = json_new_object();
	json_set_str(ours, "key", HEAL_TAINT);
	json_set_str(ours, "effect", "NoSchedule");
	json_append(list, ours);
	return list;
}

static void on_patched(void *arg, const struct kube_answer *answer)
{
	struct node_op *n = arg;
	struct agent *a = n->a;
	struct tale t = { .event = n->tainted ? "node tainted" : "node untainted",
			  .kube_reason = n->tainted ? "NodeTainted" : "NodeUntainted", .warning = n->tainted, .node = n->node };

	n->op = NULL;
	fault_pass(FAULT_TAINT_CLOSE);
	if (answer->outcome == KUBE_OK) {
		tell(a, &t, "taint=" HEAL_TAINT ":NoSchedule");
	} else if (answer->outcome != KUBE_E_CONFLICT && answer->outcome != KUBE_E_NOT_FOUND) {
		metric_add(METRIC_EFFECT_ERRORS, EFFECT_TAINT, 1);
		log_warn(LOG_HEAL, "taint failed", "node=%s outcome=%s message=\"%s\"", n->node, kube_outcome_name(answer->outcome),
			 answer->message);
	}
	node_op_free(n);
}

static void taint_patch(struct node_op *n, const json_object *node)
{
	json_object *patch = json_new_object(), *meta = json_new_object(), *spec = json_new_object();
	struct kube_patch_params p = { .type = KUBE_PATCH_MERGE, .resource = "/api/v1/nodes", .name = n->node, .patch = patch };

	json_set_str(meta, "resourceVersion", json_get_str(node, "metadata.resourceVersion"));
	json_set(spec, "taints", taints_with(node, n->tainted));
	json_set(patch, "metadata", meta);
	json_set(patch, "spec", spec);
	fault_pass(FAULT_TAINT_SEND);
	n->op = kube_patch(n->a->kube, &p, on_patched, n);
	json_putp(&patch);
}

static void on_node_read(void *arg, const struct kube_answer *answer)
{
	struct node_op *n = arg;
	json_object *o = NULL;

	n->op = NULL;
	if (answer->outcome == KUBE_OK && json_parse(answer->body, answer->body_len, &o) == 0)
		taint_patch(n, o);
	else
		node_op_free(n);	/* heal/ asks again */
	json_putp(&o);
}

void node_taint(struct agent *a, const struct action *act)
{
	cleanup(buf_fini) struct buf path = BUF_INIT;
	struct node_op *n = node_op_new(a, act->node);
	int r;

	n->tainted = act->kind == ACTION_TAINT;
	n->intent = (struct intent){ .kind = act->kind };
	(void)str_copy(n->intent.target, sizeof(n->intent.target), act->node);
	fault_pass(FAULT_TAINT_INTENT);
	r = store_batch_begin(a);
	r = r < 0 ? r : store_open_intent(a->store, &n->intent, loop_wall(a->loop));
	if (r == 0)
		store_batch_flush(a);	/* on disk before the request leaves */
	if (r < 0 || a->store_failed) {
		log_warn(LOG_STORE, "no intent, no effect", "effect=%s node=%s", action_name(act->kind), act->node);
		n->intent.id = 0;
		node_op_free(n);
		return;
	}
	buf_adds(&path, "/api/v1/nodes/");
	kube_escape(&path, act->node);
	n->op = kube_request(a->kube, &(struct kube_request_params){ .path = path.data }, on_node_read, n);
}

void node_ops_free(struct agent *a)
{
	list_for_each_safe(n, &a->node_ops, struct node_op, link) {
		op_cancelp(&n->op);
		list_remove(&n->link);
		free(n);
	}
}
