/* codec.c — Pods, ReplicaSets and Nodes as JSON into model/ structs
 *
 * Requests are counted in model/request.c. Constraints are in constraints.c.
 */
#include "kube/codec.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "model/name.h"
#include "model/node.h"
#include "model/pod.h"
#include "model/request.h"
#include "model/workload.h"

/* ---- metadata ---- */

static int take_uid(const json_object *meta, char uid[UID_SIZE])
{
	const char *text = json_str(json_get_key(meta, "uid"));

	return name_is_uid(text) && str_copy(uid, UID_SIZE, text) ? 0 : -EINVAL;
}

/* The name and the namespace of a Pod or a ReplicaSet; 0 or -EINVAL: no API server admits it. */
static int take_names(const json_object *meta, char **out_name, const char **out_ns)
{
	const char *name = json_str(json_get_key(meta, "name")), *ns = json_str(json_get_key(meta, "namespace"));

	if (!name_is_subdomain(name) || !name_is_label(ns))
		return -EINVAL;
	*out_name = str_dup(name);
	*out_ns = intern(ns);
	return 0;
}

/* An annotation that names an object: whoever may edit the pod writes it. */
static const char *uid_or_null(const char *text)
{
	return name_is_uid(text) ? intern(text) : NULL;
}

static int64_t version_of(const json_object *meta)
{
	int64_t v = 0;
	const char *text = json_str(json_get_key(meta, "resourceVersion"));

	if (text)
		(void)num_parse_i64(text, 0, INT64_MAX, &v);
	return v;
}

static const char *annotation(const json_object *meta, const char *key)
{
	return json_str(json_get_key(json_get_key(meta, "annotations"), key));
}

static json_object *controller_of(const json_object *meta)
{
	json_object *refs = json_get_key(meta, "ownerReferences");

	for (size_t i = 0; i < json_len(refs); i++)
		if (json_get_bool(json_at(refs, i), "controller", false))
			return json_at(refs, i);
	return NULL;
}

static int32_t int32_of(const json_object *o, const char *key, int32_t fallback)
{
	int64_t v = json_get_i64(o, key, fallback);

	return v < INT32_MIN || v > INT32_MAX ? fallback : (int32_t)v;
}

/* The condition of that type, if its status is True. */
static json_object *condition_true(const json_object *status, const char *type)
{
	json_object *all = json_get_key(status, "conditions");

	for (size_t i = 0; i < json_len(all); i++) {
		json_object *c = json_at(all, i);

		if (str_eq(json_str(json_get_key(c, "type")), type))
			return str_eq(json_str(json_get_key(c, "status")), "True") ? c : NULL;
	}
	return NULL;
}

void kube_pod_request(const json_object *spec, const json_object *status, struct resources *out_request)
{
	(void)pod_request(spec, status, out_request, NULL);	/* the API server has checked every quantity */
}

/* ---- Pod ---- */

static enum pod_phase phase_of(const json_object *status)
{
	static const char *const phases[] = {
	    [POD_PENDING] = "Pending",
	    [POD_RUNNING] = "Running",
	    [POD_SUCCEEDED] = "Succeeded",
	    [POD_FAILED] = "Failed",
	};
	const char *text = json_str(json_get_key(status, "phase"));

	for (size_t i = 0; i < ARRAY_LEN(phases); i++)
		if (str_eq(text, phases[i]))
			return (enum pod_phase)i;
	return text ? POD_UNKNOWN : POD_PENDING;
}

static bool has_claims(const json_object *spec)
{
	const json_object *volumes = json_get_key(spec, "volumes");

	if (json_len(json_get_key(spec, "resourceClaims")))
		return true;
	for (size_t i = 0; i < json_len(volumes); i++) {
		const json_object *v = json_at(volumes, i);

		if (json_get_key(v, "persistentVolumeClaim") || json_get_key(v, "ephemeral"))
			return true;
	}
	return false;
}

static void take_spec(struct pod *p, const json_object *spec, const json_object *status)
{
	const char *node = json_str(json_get_key(spec, "nodeName"));
	const char *scheduler = json_str(json_get_key(spec, "schedulerName"));

	p->node = str_is_empty(node) ? NULL : intern(node);
	p->default_scheduler = str_is_empty(scheduler) || str_eq(scheduler, "default-scheduler");
	p->gated = json_len(json_get_key(spec, "schedulingGates")) > 0;
	p->has_claims = has_claims(spec);
	p->pull_secrets = json_len(json_get_key(spec, "imagePullSecrets")) > 0;
	p->priority = int32_of(spec, "priority", 0);
	p->constraints = kube_pod_constraints(spec);
	kube_pod_request(spec, status, &p->request);
}

static void take_status(struct pod *p, const json_object *status)
{
	const json_object *ready = condition_true(status, "Ready");
	const char *since = json_str(json_get_key(ready, "lastTransitionTime"));

	p->phase = phase_of(status);
	p->ready = ready != NULL;
	if (since)
		(void)wall_parse(since, &p->ready_since);
}

int kube_decode_pod(const json_object *o, struct pod **out_pod)
{
	cleanup(pod_freep) struct pod *p = pod_new();
	const json_object *meta = json_get_key(o, "metadata"), *status = json_get_key(o, "status"), *owner;
	const char *node = json_get_str(o, "spec.nodeName");

	if (take_uid(meta, p->uid) < 0 || take_names(meta, &p->name, &p->ns) < 0 ||
	    (!str_is_empty(node) && !name_is_subdomain(node)))
		return -EINVAL;
	p->version = version_of(meta);
	p->deleting = json_get_key(meta, "deletionTimestamp") != NULL;
	if (json_get_str(meta, "creationTimestamp"))
		(void)wall_parse(json_get_str(meta, "creationTimestamp"), &p->created);
	p->is_mirror = annotation(meta, ANNOTATION_MIRROR) != NULL;
	p->original_uid = uid_or_null(annotation(meta, ANNOTATION_ORIGINAL_UID));
	p->copy_of = uid_or_null(annotation(meta, ANNOTATION_WORKLOAD_UID));
	owner = controller_of(meta);
	if (str_eq(json_str(json_get_key(owner, "kind")), "ReplicaSet"))
		p->owner = uid_or_null(json_str(json_get_key(owner, "uid")));
	take_spec(p, json_get_key(o, "spec"), status);
	take_status(p, status);
	*out_pod = take(p);
	return 0;
}

/* ---- ReplicaSet ---- */

/* On the ReplicaSet, or else on its Deployment's template. */
static const char *own_annotation(const json_object *meta, const json_object *spec, const char *key)
{
	const char *own = annotation(meta, key);

	return own ? own : annotation(json_get(spec, "template.metadata"), key);
}

/* Their values are shown; whoever may write them may write anything. */
static char *fault_of(const char *key, const char *value, const char *allowed)
{
	char *text = str_format("annotation %s: invalid value \"%.40s\": use %s", key, value, allowed);

	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	return text;
}

/* What is not understood is never guessed: nothing is started for it, and nothing stopped. */
static void take_annotations(struct workload *w, const json_object *meta, const json_object *spec)
{
	const char *policy = own_annotation(meta, spec, ANNOTATION_POLICY);
	const char *keep = own_annotation(meta, spec, ANNOTATION_RECONCILE);
	const char *token = own_annotation(meta, spec, ANNOTATION_NEEDS_TOKEN);
	bool policy_known, keep_known;

	w->policy = heal_policy_parse(policy, &policy_known);
	w->keep = keep_policy_parse(keep, &keep_known);
	w->needs_token = str_eq(token, "true");
	if (!policy_known)
		w->fault = fault_of(ANNOTATION_POLICY, policy, "at-least-once, at-most-once or never");
	else if (!keep_known)
		w->fault = fault_of(ANNOTATION_RECONCILE, keep, "best, keep_original, keep_replacement or longest");
	else if (token && !w->needs_token && !str_eq(token, "false"))
		w->fault = fault_of(ANNOTATION_NEEDS_TOKEN, token, "true or false");
	if (w->fault)
		w->policy = POLICY_NEVER;
}

int kube_decode_workload(const json_object *o, struct workload **out_workload)
{
	cleanup(workload_freep) struct workload *w = workload_new();
	const json_object *meta = json_get_key(o, "metadata"), *spec = json_get_key(o, "spec"), *owner;

	if (take_uid(meta, w->uid) < 0 || take_names(meta, &w->name, &w->ns) < 0)
		return -EINVAL;
	w->version = version_of(meta);
	w->deleting = json_get_key(meta, "deletionTimestamp") != NULL;
	owner = controller_of(meta);
	if (str_eq(json_str(json_get_key(owner, "kind")), "Deployment"))
		w->deployment = intern(json_str(json_get_key(owner, "name")));
	w->replicas = int32_of(spec, "replicas", 1);
	w->ready_replicas = int32_of(json_get_key(o, "status"), "readyReplicas", 0);
	take_annotations(w, meta, spec);
	*out_workload = take(w);
	return 0;
}

/* ---- Node ---- */

static void take_labels(struct node *n, const json_object *labels)
{
	struct json_iter it = json_iter(labels);
	size_t count = 0;

	while (json_iter_next(&it))
		count++;
	n->labels = count ? mem_new_n(struct label, count) : NULL;
	for (it = json_iter(labels); json_iter_next(&it) && n->label_count < count;)
		if (json_is_str(it.value))
			n->labels[n->label_count++] = (struct label){ intern(it.key), intern(json_str(it.value)) };
}

static enum taint_effect taint_effect_of(const char *text)
{
	static const char *const effects[] = {
		[TAINT_NO_SCHEDULE] = "NoSchedule", [TAINT_PREFER_NO_SCHEDULE] = "PreferNoSchedule",
		[TAINT_NO_EXECUTE] = "NoExecute",
	};

	for (size_t i = TAINT_NO_SCHEDULE; i < ARRAY_LEN(effects); i++)
		if (str_eq(text, effects[i]))
			return (enum taint_effect)i;
	return TAINT_NONE;
}

static void take_taints(struct node *n, const json_object *taints)
{
	size_t count = json_len(taints);

	n->taints = count ? mem_new_n(struct taint, count) : NULL;
	for (size_t i = 0; i < count; i++) {
		const json_object *t = json_at(taints, i);
		enum taint_effect effect = taint_effect_of(json_str(json_get_key(t, "effect")));
		const char *key = json_str(json_get_key(t, "key"));

		if (key && effect != TAINT_NONE)
			n->taints[n->taint_count++] = (struct taint){
				intern(key), intern(str_or(json_str(json_get_key(t, "value")), "")), effect };
	}
}

static const char *internal_ip(const json_object *status)
{
	const json_object *all = json_get_key(status, "addresses");

	for (size_t i = 0; i < json_len(all); i++)
		if (str_eq(json_str(json_get_key(json_at(all, i), "type")), "InternalIP"))
			return intern(json_str(json_get_key(json_at(all, i), "address")));
	return NULL;
}

/* CRI-O may find a short name in another registry than docker.io: then it is listed under a name that nobody asked for. */
static void take_listed(struct node *n, const json_object *status)
{
	const char *runtime = json_get_str(status, "nodeInfo.containerRuntimeVersion");

	image_list_read(&n->images, json_get_key(status, "images"));
	n->images.cut = n->images.cut || (runtime && str_has_prefix(runtime, "cri-o"));
}

int kube_decode_node(const json_object *o, struct node **out_node)
{
	cleanup(node_freep) struct node *n = node_new();
	const json_object *meta = json_get_key(o, "metadata"), *spec = json_get_key(o, "spec");
	const json_object *status = json_get_key(o, "status"), *allocatable = json_get_key(status, "allocatable");
	const char *name = json_str(json_get_key(meta, "name"));

	if (!name_is_subdomain(name) || take_uid(meta, n->uid) < 0)
		return -EINVAL;
	n->name = intern(name);
	n->version = version_of(meta);
	n->allocatable = resources_of(allocatable);
	take_labels(n, json_get_key(meta, "labels"));
	take_taints(n, json_get_key(spec, "taints"));
	n->unschedulable = json_get_bool(spec, "unschedulable", false);
	n->ready = condition_true(status, "Ready") != NULL;
	n->address = internal_ip(status);
	n->boot_id = intern(json_get_str(status, "nodeInfo.bootID"));
	n->kubelet = kubelet_version(json_get_str(status, "nodeInfo.kubeletVersion"));
	take_listed(n, status);
	*out_node = take(n);
	return 0;
}
