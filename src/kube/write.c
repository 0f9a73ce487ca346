/* write.c — the bodies and paths of what we change */
#include "kube/write.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "kube/kube_int.h"
#include "loop/loop.h"

enum { EVENT_RETRIES = 2, NAME_MAX_ = 253, EVENT_SUFFIX = 18 };

#define LEASES "/apis/coordination.k8s.io/v1"

/* "/api/v1/namespaces/NS/pods/NAME/binding"; `name` and `sub` NULL = without. */
static void add_path(struct buf *b, const char *ns, const char *resource, const char *name, const char *sub)
{
	const char *slash = strrchr(resource, '/');

	if (str_is_empty(ns)) {
		buf_adds(b, resource);
	} else {	/* the namespace goes between the group and the resource */
		buf_add(b, resource, (size_t)(slash - resource));
		buf_adds(b, "/namespaces/");
		kube_escape(b, ns);
		buf_adds(b, slash);
	}
	if (name) {
		buf_addc(b, '/');
		kube_escape(b, name);
	}
	if (sub)
		buf_addf(b, "/%s", sub);
}

struct call { const char *method, *ns, *resource, *name, *sub, *content_type; int retries; };

static struct op *call(struct kube_client *c, const struct call *what, const json_object *body, kube_done_fn done,
		       void *arg)
{
	cleanup(buf_fini) struct buf path = BUF_INIT;
	struct kube_request_params p = {
		.method = what->method, .content_type = what->content_type, .retries = what->retries,
		.body = body ? json_text(body) : NULL,
	};

	add_path(&path, what->ns, what->resource, what->name, what->sub);
	p.path = path.data;
	return kube_request(c, &p, done, arg);
}

static json_object *new_object(const char *api_version, const char *kind)
{
	json_object *o = json_new_object();

	json_set_str(o, "apiVersion", api_version);
	json_set_str(o, "kind", kind);
	return o;
}

static json_object *new_metadata(const char *ns, const char *name, const char *uid)
{
	json_object *m = json_new_object();

	json_set_str(m, "name", name);
	json_set_str(m, "namespace", str_is_empty(ns) ? NULL : ns);
	json_set_str(m, "uid", str_is_empty(uid) ? NULL : uid);
	return m;
}

/* ---- a call that we refuse ourselves ---- */

struct refusal {
	struct op op;
	struct timer *timer;
	kube_done_fn done;
	void *arg;
};

static void refusal_cancel(struct op *op)
{
	struct refusal *r = container_of(op, struct refusal, op);

	timer_free(r->timer);
	free(r);
}

static void on_refusal(void *arg)
{
	static const struct kube_answer answer = {
		.outcome = KUBE_E_INVALID, .body = "", .reason = "", .message = "the uid precondition is missing",
	};
	struct refusal *r = arg;
	kube_done_fn done = r->done;
	void *done_arg = r->arg;

	refusal_cancel(&r->op);
	done(done_arg, &answer);
}

static struct op *refuse(struct kube_client *c, kube_done_fn done, void *arg)
{
	struct refusal *r = mem_new(struct refusal);

	r->op.cancel = refusal_cancel;
	r->done = done;
	r->arg = arg;
	r->timer = timer_new(kube_client_loop(c), "kube-refusal", on_refusal, r);
	timer_start_ms(r->timer, 0);
	return &r->op;
}

/* ---- pods ---- */

struct op *kube_bind(struct kube_client *c, const struct kube_ref *pod, const char *node, kube_done_fn done, void *arg)
{
	const struct call what = {
	    .method = "POST", .ns = pod->ns, .resource = "/api/v1/pods", .name = pod->name, .sub = "binding"};
	cleanup(json_putp) json_object *b = new_object("v1", "Binding");
	json_object *target = new_object("v1", "Node");

	json_set(b, "metadata", new_metadata(pod->ns, pod->name, pod->uid));
	json_set_str(target, "name", node);
	json_set(b, "target", target);
	return call(c, &what, b, done, arg);
}

static json_object *new_delete_options(const char *uid, int64_t grace_s)
{
	json_object *o = new_object("v1", "DeleteOptions"), *pre = json_new_object();

	json_set_str(pre, "uid", uid);
	json_set(o, "preconditions", pre);
	if (grace_s >= 0)
		json_set_i64(o, "gracePeriodSeconds", grace_s);
	return o;
}

struct op *kube_delete_pod(struct kube_client *c, const struct kube_ref *pod, int64_t grace_s, kube_done_fn done,
			   void *arg)
{
	const struct call what = { .method = "DELETE", .ns = pod->ns, .resource = "/api/v1/pods", .name = pod->name };
	cleanup(json_putp) json_object *o = NULL;

	if (str_is_empty(pod->uid))
		return refuse(c, done, arg);
	o = new_delete_options(pod->uid, grace_s);
	return call(c, &what, o, done, arg);
}

struct op *kube_evict(struct kube_client *c, const struct kube_ref *pod, int64_t grace_s, kube_done_fn done, void *arg)
{
	const struct call what = {
	    .method = "POST", .ns = pod->ns, .resource = "/api/v1/pods", .name = pod->name, .sub = "eviction"};
	cleanup(json_putp) json_object *e = NULL;

	if (str_is_empty(pod->uid))
		return refuse(c, done, arg);
	e = new_object("policy/v1", "Eviction");
	json_set(e, "metadata", new_metadata(pod->ns, pod->name, NULL));
	json_set(e, "deleteOptions", new_delete_options(pod->uid, grace_s));
	return call(c, &what, e, done, arg);
}

struct op *kube_patch(struct kube_client *c, const struct kube_patch_params *params, kube_done_fn done, void *arg)
{
	const struct call what = {
		.method = "PATCH", .ns = params->ns, .resource = params->resource, .name = params->name,
		.sub = params->subresource,
		.content_type = params->type == KUBE_PATCH_MERGE ? "application/merge-patch+json"
								 : "application/strategic-merge-patch+json",
	};

	return call(c, &what, params->patch, done, arg);
}

/* ---- Events ---- */

/* At most `max` bytes, without cutting a UTF-8 character. */
static char *cut(const char *text, size_t max)
{
	size_t n = strlen(str_or(text, ""));

	if (n > max)
		for (n = max; n && ((unsigned char)text[n] & 0xc0) == 0x80; n--)
			;
	return str_ndup(str_or(text, ""), n);
}

/* The new field and the old ones: kubectl and dashboards still sort by these. */
static void set_event_times(json_object *e, struct wall t)
{
	char at[WALL_TEXT_SIZE];

	wall_format_micro(t, at);
	json_set_str(e, "eventTime", at);
	wall_format(t, at);
	json_set_str(e, "firstTimestamp", at);
	json_set_str(e, "lastTimestamp", at);
	json_set_i64(e, "count", 1);
}

static json_object *new_event(const struct kube_event_params *p, const char *ns)
{
	cleanup(freep) char *base = cut(p->name, NAME_MAX_ - EVENT_SUFFIX);
	cleanup(freep) char *name = str_format("%s.%016llx", base, (unsigned long long)p->key);
	cleanup(freep) char *reason = cut(p->reason, KUBE_EVENT_REASON_MAX);
	cleanup(freep) char *message = cut(p->message, KUBE_EVENT_MESSAGE_MAX);
	cleanup(freep) char *action = cut(p->action ? p->action : p->reason, KUBE_EVENT_REASON_MAX);
	json_object *e = new_object("v1", "Event"), *about = new_object(p->api_version, p->kind),
		    *source = json_new_object();
	cleanup(freep) char *instance =
	    cut(str_is_empty(p->instance) ? KUBE_COMPONENT : p->instance, KUBE_EVENT_REASON_MAX);

	json_set(e, "metadata", new_metadata(ns, name, NULL));
	json_set_str(about, "name", p->name);
	json_set_str(about, "namespace", str_is_empty(p->ns) ? NULL : p->ns);
	json_set_str(about, "uid", str_is_empty(p->uid) ? NULL : p->uid);
	json_set(e, "involvedObject", about);
	json_set_str(e, "type", str_or(p->type, "Normal"));
	json_set_str(e, "reason", reason);
	json_set_str(e, "message", message);
	json_set_str(e, "action", action);
	json_set_str(e, "reportingComponent", KUBE_COMPONENT);
	json_set_str(e, "reportingInstance", instance);
	json_set_str(source, "component", KUBE_COMPONENT);
	json_set_str(source, "host", instance);
	json_set(e, "source", source);
	set_event_times(e, p->at);
	return e;
}

struct op *kube_event_create(struct kube_client *c, const struct kube_event_params *params, kube_done_fn done, void *arg)
{
	const char *ns = str_is_empty(params->ns) ? "default" : params->ns;
	const struct call what = { .method = "POST", .ns = ns, .resource = "/api/v1/events", .retries = EVENT_RETRIES };
	cleanup(json_putp) json_object *e = new_event(params, ns);

	return call(c, &what, e, done, arg);
}

/* ---- Leases ---- */

static void set_time(json_object *o, const char *key, struct wall t)
{
	char text[WALL_TEXT_SIZE];

	if (!t.ns)
		return;
	wall_format_micro(t, text);
	json_set_str(o, key, text);
}

static json_object *new_lease(const struct kube_lease *l)
{
	json_object *o = new_object("coordination.k8s.io/v1", "Lease"), *spec = json_new_object();
	json_object *meta = new_metadata(l->ns, l->name, NULL);

	json_set_str(meta, "resourceVersion", str_is_empty(l->version) ? NULL : l->version);
	json_set(o, "metadata", meta);
	json_set_str(spec, "holderIdentity", l->holder);
	if (l->duration_s > 0)
		json_set_i64(spec, "leaseDurationSeconds", l->duration_s);
	json_set_i64(spec, "leaseTransitions", l->transitions);
	set_time(spec, "acquireTime", l->acquired);
	set_time(spec, "renewTime", l->renewed);
	json_set(o, "spec", spec);
	return o;
}

struct op *kube_lease_get(struct kube_client *c, const char *ns, const char *name, kube_done_fn done, void *arg)
{
	const struct call what = { .method = "GET", .ns = ns, .resource = LEASES "/leases", .name = name };

	return call(c, &what, NULL, done, arg);
}

struct op *kube_lease_create(struct kube_client *c, const struct kube_lease *lease, kube_done_fn done, void *arg)
{
	const struct call what = { .method = "POST", .ns = lease->ns, .resource = LEASES "/leases" };
	cleanup(json_putp) json_object *o = new_lease(lease);

	return call(c, &what, o, done, arg);
}

struct op *kube_lease_update(struct kube_client *c, const struct kube_lease *lease, kube_done_fn done, void *arg)
{
	const struct call what = { .method = "PUT", .ns = lease->ns, .resource = LEASES "/leases", .name = lease->name };
	cleanup(json_putp) json_object *o = new_lease(lease);

	return call(c, &what, o, done, arg);
}

int kube_lease_decode(const json_object *o, struct kube_lease *out_lease)
{
	const json_object *meta = json_get_key(o, "metadata"), *spec = json_get_key(o, "spec");
	const char *acquired = json_str(json_get_key(spec, "acquireTime")),
		   *renewed = json_str(json_get_key(spec, "renewTime"));
	struct kube_lease l = {
		.ns = json_str(json_get_key(meta, "namespace")), .name = json_str(json_get_key(meta, "name")),
		.holder = str_or(json_str(json_get_key(spec, "holderIdentity")), ""),
		.version = str_or(json_str(json_get_key(meta, "resourceVersion")), ""),
		.duration_s = json_get_i64(spec, "leaseDurationSeconds", 0),
		.transitions = json_get_i64(spec, "leaseTransitions", 0),
	};

	if (str_is_empty(l.name) || !json_is_object(spec))
		return -EINVAL;
	if ((acquired && wall_parse(acquired, &l.acquired) < 0) || (renewed && wall_parse(renewed, &l.renewed) < 0))
		return -EINVAL;
	*out_lease = l;
	return 0;
}
