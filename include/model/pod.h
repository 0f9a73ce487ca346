/* model/pod.h — what we keep of a Pod: enough to judge it, not enough to run it (what it was made of is in the store) */
#pragma once
#include <stdbool.h>
#include "base/clock.h"
#include "base/list.h"
#include "model/constraint.h"
#include "model/resource.h"

#define UID_SIZE 40		/* text of a UUID and its end */

#define ANNOTATION_POLICY "edge-healer.io/policy"
#define ANNOTATION_RECONCILE "edge-healer.io/reconcile"
#define ANNOTATION_NEEDS_TOKEN "edge-healer.io/needs-token"
#define ANNOTATION_ORIGINAL_UID "edge-healer.io/original-uid"	/* on a copy: the pod it stands in for */
#define ANNOTATION_EPOCH "edge-healer.io/epoch"
#define ANNOTATION_WORKLOAD_UID "edge-healer.io/workload-uid"	/* of its ReplicaSet */
#define ANNOTATION_MIRROR "kubernetes.io/config.mirror"		/* the API's picture of a static pod */

struct spec;

enum pod_phase { POD_PENDING, POD_RUNNING, POD_SUCCEEDED, POD_FAILED, POD_UNKNOWN };

struct pod {
	char uid[UID_SIZE];
	char *name;
	const char *ns, *node;		/* interned; node NULL = unbound */
	const char *owner;		/* interned uid of the controlling ReplicaSet, or NULL */
	const char *original_uid;	/* interned; set on the mirror pod of one of our copies */
	const char *copy_of;		/* interned; likewise: uid of the ReplicaSet that it stands in for */
	const struct constraints *constraints;	/* shared */
	struct spec *spec;		/* what it was made of, kept by the agent; NULL = nothing is kept */
	struct resources request;	/* max(init, sum of containers) + overhead; pods = 1 */
	int64_t version;		/* resourceVersion */
	struct wall created;		/* creationTimestamp; 0 = not known */
	struct wall ready_since;	/* lastTransitionTime of Ready; 0 = not ready */
	int32_t priority;
	enum pod_phase phase;
	bool ready, deleting;
	bool is_mirror;			/* static pod */
	bool gated;			/* schedulingGates */
	bool default_scheduler;		/* schedulerName is default-scheduler (or empty) */
	bool has_claims;		/* PVC, ephemeral volume or resourceClaims */
	bool pull_secrets;		/* imagePullSecrets, its own or of its ServiceAccount */
	uint32_t generation;		/* of the list that last showed it; set by the agent */
	struct mono unbound_since;	/* when we first saw it Pending without a node; set by view_put_pod */
	struct list by_node, by_owner, unbound;	/* links of the view */
};

struct pod *pod_new(void);
void pod_free(struct pod *p);		/* NULL-safe; must not be in a view */
void pod_freep(struct pod **p);
/* Counts against a node: bound, not finished. */
bool pod_is_active(const struct pod *p);
