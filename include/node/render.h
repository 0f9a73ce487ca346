/* node/render.h — a Pod (or a ReplicaSet's template) as a self-contained static pod, or the reason why not
 *
 * What kubelet accepts as a static pod is in test/data/static-pods.json (a real kubelet 1.36) and, for references to API
 * objects, in Kubernetes' feature PreventStaticPodAPIReferences (since 1.34).
 */
#pragma once
#include <stddef.h>
#include "base/json.h"
#include "base/uuid.h"
#include "model/plan.h"
#include "model/resource.h"

enum { RENDER_E_REFUSED = 1 };		/* cannot be made self-contained: `reason` says what and where */

struct render_params {
	const char *node;		/* where it will run: part of the pod's final name */
	const char *original_uid;	/* of the lost pod; NULL: metadata.uid of the input, or none */
	uint32_t epoch;
	const struct resources *capacity;	/* NULL = do not compare requests with it */
	const char *const *images;	/* present on the node; NULL = not known, not checked */
	size_t image_count;
};

/* Render. 0 and *out_pod (owned by the caller), or RENDER_E_REFUSED and `reason`. The input is not changed. */
int render_static_pod(const json_object *pod, const struct render_params *params, json_object **out_pod,
		      char reason[REASON_SIZE]);

/* Only the question whether a template (spec.template of a ReplicaSet) can be rendered: 0 or RENDER_E_REFUSED. */
int render_check_template(const json_object *tmpl, char reason[REASON_SIZE]);

/* The Pod that a ReplicaSet's template describes, named `name`; owned by the caller. */
json_object *render_pod_of_template(const json_object *tmpl, const char *ns, const char *name, const char *uid);

/* UID of the copy of pod `uid` in `epoch`. */
void render_uid(const char *uid, uint32_t epoch, char out[UUID_TEXT_SIZE]);
