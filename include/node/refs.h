/* node/refs.h — which ConfigMaps and Secrets a pod needs
 *
 * env, envFrom (init containers too), volumes, projected volumes, imagePullSecrets. Volumes that only admission adds
 * (kube-api-access-*) are left out: they are dropped from a copy.
 */
#pragma once
#include "base/json.h"
#include "model/ref.h"

#define REFS_MAX 256		/* of one template; what is beyond is not mirrored, and its render says so */

/* Visit each reference of a pod or template (an object with `spec`), in the order of the spec, repeated as it is
 * written there. Texts are borrowed from `pod` and `ns`. Returns how many were visited. */
size_t refs_each(const json_object *pod, const char *ns, void (*fn)(void *arg, const struct ref *r), void *arg);
