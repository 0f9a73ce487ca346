/* kube/codec.h — API objects into the structs of model/
 *
 * Pure and quick: one pass over what we need, unknown fields are ignored. A missing name or uid is -EINVAL; anything
 * else that is missing or mistyped counts as absent. The caller owns *out.
 */
#pragma once
#include "base/endpoint.h"
#include "base/json.h"

struct node;
struct pod;
struct workload;

int kube_decode_pod(const json_object *o, struct pod **out_pod);
int kube_decode_workload(const json_object *o, struct workload **out_workload);	/* apps/v1 ReplicaSet */
int kube_decode_node(const json_object *o, struct node **out_node);

#define KUBE_ENDPOINTS_MAX 48		/* of API servers, with the addresses of their Service */
struct kube_endpoints { struct endpoint items[KUBE_ENDPOINTS_MAX]; size_t count; };
/* Add the TCP endpoints of a Service's cluster IPs, and of a list of EndpointSlices; those beyond the limit are left out. */
void kube_decode_service(const json_object *service, struct kube_endpoints *out);
void kube_decode_slices(const json_object *list, struct kube_endpoints *out);

/* pod_request() (model/request.h) of a pod that the API server has admitted: a quantity that cannot be read is 0. */
struct resources;
void kube_pod_request(const json_object *spec, const json_object *status, struct resources *out_request);
/* Where it may run; shared, see constraints_intern(). Never NULL. */
struct constraints;
const struct constraints *kube_pod_constraints(const json_object *spec);
