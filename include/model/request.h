/* model/request.h — what a pod requests, read from its JSON
 *
 * Requests follow k8s.io/component-helpers/resource.PodRequests, as kube-scheduler uses it, after the defaults of
 * k8s.io/kubernetes/pkg/apis/core/v1 (defaults.go): where a container requests nothing of what it has a limit of, it
 * requests the limit. An admitted pod has these defaults already; a template, a file and what kubelet reads from a file
 * get them here.
 */
#pragma once
#include "base/json.h"
#include "model/resource.h"

#define REQUEST_FAULT_SIZE 160

/* A pod's requests (its `spec`; `status` may be NULL): the larger of (containers + sidecars) and of each init container
 * with the sidecars started before it; pod-level requests replace that; plus overhead; pods = 1. While a resize is
 * under way the larger of wanted and actual counts. 0; or -EINVAL when a quantity of `spec` cannot be read or is
 * negative: it counts as nothing in *out_request, and `fault` (NULL = not asked) says which is the first: its field and
 * its text. */
int pod_request(const json_object *spec, const json_object *status, struct resources *out_request,
		char fault[REQUEST_FAULT_SIZE]);

/* cpu, memory and pods of a ResourceList (a Node's allocatable). What it does not name, or what cannot be read: 0. */
struct resources resources_of(const json_object *list);
