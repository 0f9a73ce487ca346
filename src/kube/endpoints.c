/* endpoints.c — where the API server is, as the cluster itself says: the Service "kubernetes" and its EndpointSlices
 *
 * Pure. What is no TCP port or no address is passed over: a list that is too long is cut, not refused.
 */
#include "base/endpoint.h"
#include "base/str.h"
#include "kube/codec.h"

/* Every address of the list with every TCP port. */
static void add_product(const json_object *addresses, const json_object *ports, struct kube_endpoints *out)
{
	struct endpoint e;

	for (size_t i = 0; i < json_len(addresses); i++) {
		for (size_t k = 0; k < json_len(ports); k++) {
			int64_t port = json_get_i64(json_at(ports, k), "port", 0);

			if (str_eq(str_or(json_get_str(json_at(ports, k), "protocol"), "TCP"), "TCP") && port > 0 &&
			    port <= UINT16_MAX && endpoint_of(json_str(json_at(addresses, i)), (uint16_t)port, &e) == 0)
				(void)endpoint_add(out->items, &out->count, KUBE_ENDPOINTS_MAX, &e);
		}
	}
}

void kube_decode_service(const json_object *service, struct kube_endpoints *out)
{
	json_object *one = json_new_array();

	json_append_str(one, str_or(json_get_str(service, "spec.clusterIP"), ""));
	add_product(one, json_get(service, "spec.ports"), out);
	add_product(json_get(service, "spec.clusterIPs"), json_get(service, "spec.ports"), out);
	json_putp(&one);
}

void kube_decode_slices(const json_object *list, struct kube_endpoints *out)
{
	const json_object *slices = json_get(list, "items");

	for (size_t i = 0; i < json_len(slices); i++) {
		const json_object *slice = json_at(slices, i), *endpoints = json_get(slice, "endpoints");

		for (size_t k = 0; k < json_len(endpoints); k++)
			add_product(json_get(json_at(endpoints, k), "addresses"), json_get(slice, "ports"), out);
	}
}
