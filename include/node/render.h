/* node/render.h — a Pod (or a ReplicaSet's template) as a self-contained static pod, or the reason why not
 *
 * What kubelet accepts as a static pod is in test/data/static-pods.json (a real kubelet 1.36) and, for references to
 * API objects, in Kubernetes' feature PreventStaticPodAPIReferences (since 1.34).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/json.h"
#include "base/uuid.h"
#include "model/plan.h"
#include "model/ref.h"
#include "model/resource.h"

enum { RENDER_E_REFUSED = 1 };		/* cannot be made self-contained: `reason` says what and where */

struct bundle;

/* What is known of a ConfigMap or Secret. UNKNOWN: it may exist or not, *out_why says why that is not known. */
enum render_lookup { LOOKUP_FOUND, LOOKUP_MISSING, LOOKUP_UNKNOWN };
typedef enum render_lookup (*render_lookup_fn)(void *arg, const struct ref *r, const json_object **out_object,
					       const char **out_why);

struct render_params {
	const char *node;		/* where it will run: part of the pod's final name */
	const char *original_uid;	/* of the lost pod; NULL: metadata.uid of the input, or none */
	const char *workload_uid;	/* of its ReplicaSet; NULL = none */
	uint32_t epoch;
	const struct resources *capacity;	/* NULL = do not compare requests with it */
	const char *const *images;	/* on the node, under any of their names; NULL = not known */
	size_t image_count;

	const char *cluster_domain;	/* kubelet's clusterDomain; NULL = "cluster.local" */
	const char *ns;			/* where a template without metadata.namespace lives; NULL = "default" */
	render_lookup_fn lookup;	/* NULL = whoever needs a ConfigMap or Secret is refused; what it finds is borrowed */
	void *lookup_arg;
	const char *bundle_dir;		/* on the host; with lookup */
	struct bundle *bundle;		/* the files to write are added here; NULL = none are wanted */
	bool no_secret_env;		/* refuse variables from Secrets: their values would be literals */
	bool no_own_account;		/* refuse what has the token of a ServiceAccount of its own */
	bool relaxed_env;		/* names of variables as kubelet 1.34 and above allows them in a static pod */
};

/* Render. 0 and *out_pod (owned by the caller), or RENDER_E_REFUSED and `reason`. The input is not changed. With a
 * lookup the pod may hold the values of Secrets: json_wipe_putp() it. On refusal params->bundle may be filled in part.
 * */
int render_static_pod(const json_object *pod, const struct render_params *params, json_object **out_pod,
		      char reason[REASON_SIZE]);

/* What of an admitted pod a copy is made from: { metadata: { labels, annotations }, spec }, without what is its own (name, node,
 * token volume) and what CNI and runtime report of it. Pods of one ReplicaSet have the same unless somebody made them differ.
 * Owned by the caller. */
json_object *render_content(const json_object *pod);

/* Only the question whether a content (or a template) can be rendered: 0 or RENDER_E_REFUSED. Of the params only ns,
 * lookup and what is allowed are used; NULL = none. */
int render_check_template(const json_object *tmpl, const struct render_params *params, char reason[REASON_SIZE]);

/* The RuntimeClass that a pod's spec names, borrowed from it; NULL = none. kubelet learns what it means from the API
 * server alone: one that was started without it cannot start such a pod, copy or not. Rendering does not refuse it. */
const char *render_runtime_class(const json_object *spec);

/* The ServiceAccount of its own whose token an admitted pod (or a content) has mounted, borrowed from it: it may well talk to the
 * API server, which a copy cannot. NULL: none, "default", or its annotation says that it does not need it. */
const char *render_own_account(const json_object *meta, const json_object *spec);

/* The Pod of a content (or a ReplicaSet's template), named `name`; owned by the caller. */
json_object *render_pod_of_template(const json_object *tmpl, const char *ns, const char *name, const char *uid);

/* UID of the copy of pod `uid` in `epoch`. */
void render_uid(const char *uid, uint32_t epoch, char out[UUID_TEXT_SIZE]);
