/* kube/write.h — what we change in the cluster
 *
 * Each call is one request; see kube/client.h for the answer. None is retried unless it is said here: the caller has an
 * intent in its store and knows best. Names are escaped here.
 */
#pragma once
#include <stdint.h>
#include "base/clock.h"
#include "base/json.h"
#include "kube/client.h"

/* One object. uid is a precondition: NULL or "" = any (only where said). */
struct kube_ref { const char *ns, *name, *uid; };

/* POST …/binding. KUBE_OK: bound. KUBE_E_CONFLICT: somebody was first, or another uid. KUBE_E_NOT_FOUND: gone. */
struct op *kube_bind(struct kube_client *c, const struct kube_ref *pod, const char *node, kube_done_fn done, void *arg);
/* DELETE with a uid precondition, which is required (an empty one ends as KUBE_E_INVALID without a request).
 * grace_s < 0: the pod's own. KUBE_E_CONFLICT: another pod has that name now. KUBE_E_NOT_FOUND: gone already. */
struct op *kube_delete_pod(struct kube_client *c, const struct kube_ref *pod, int64_t grace_s, kube_done_fn done,
			   void *arg);
/* POST …/eviction, with the same precondition. KUBE_E_TOO_MANY: a PodDisruptionBudget allows none now. */
struct op *kube_evict(struct kube_client *c, const struct kube_ref *pod, int64_t grace_s, kube_done_fn done, void *arg);

enum kube_patch_type { KUBE_PATCH_MERGE, KUBE_PATCH_STRATEGIC };
struct kube_patch_params {
	enum kube_patch_type type;
	const char *resource;		/* "/api/v1/nodes", "/apis/apps/v1/replicasets" */
	const char *ns;			/* NULL = cluster-scoped */
	const char *name;
	const char *subresource;	/* "status", "scale"; NULL = none */
	const json_object *patch;	/* borrowed for the call */
};
struct op *kube_patch(struct kube_client *c, const struct kube_patch_params *params, kube_done_fn done, void *arg);

#define KUBE_EVENT_REASON_MAX 128	/* the API's limits; longer texts are cut */
#define KUBE_EVENT_MESSAGE_MAX 1024
#define KUBE_COMPONENT "edge-healer"
struct kube_event_params {
	const char *api_version, *kind;	/* of the object it is about: "v1", "Pod" */
	const char *ns;			/* NULL or "": cluster-scoped, the Event goes to "default" */
	const char *name, *uid;
	const char *type;		/* "Normal", "Warning" */
	const char *reason;		/* CamelCase */
	const char *message;
	const char *action;		/* NULL = the reason */
	const char *instance;		/* who reports: our node */
	uint64_t key;			/* makes its name: one key is one Event, however often it is sent */
	struct wall at;
};
/* A core/v1 Event. Retried twice: KUBE_E_ALREADY_EXISTS means that it is there. */
struct op *kube_event_create(struct kube_client *c, const struct kube_event_params *params, kube_done_fn done, void *arg);

/* coordination.k8s.io/v1 Lease. Texts are borrowed from whoever filled it. */
struct kube_lease {
	const char *ns, *name, *holder;
	const char *version;		/* resourceVersion: the precondition of an update */
	int64_t duration_s, transitions;
	struct wall acquired, renewed;
};
struct op *kube_lease_get(struct kube_client *c, const char *ns, const char *name, kube_done_fn done, void *arg);
struct op *kube_lease_create(struct kube_client *c, const struct kube_lease *lease, kube_done_fn done, void *arg);
struct op *kube_lease_update(struct kube_client *c, const struct kube_lease *lease, kube_done_fn done, void *arg);
/* From the JSON of an answer; texts are borrowed from `o`. 0 or -EINVAL. */
int kube_lease_decode(const json_object *o, struct kube_lease *out_lease);
