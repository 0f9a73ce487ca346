/* fuzz_kube_objects.c — any JSON as what an API server may answer: objects, Leases, Services and EndpointSlices
 *
 * What is taken has a uid, a name and a namespace that may become paths; what is kept of a pod is JSON that can be kept again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "kube/codec.h"
#include "kube/write.h"
#include "model/name.h"
#include "model/node.h"
#include "model/pod.h"
#include "model/workload.h"
#include "node/render.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
	if (!good)
		abort();
}

static void decode_pod(const json_object *o)
{
	struct pod *p = NULL;

	if (kube_decode_pod(o, &p) < 0)
		return;
	must(name_is_uid(p->uid) && name_is_subdomain(p->name) && name_is_label(p->ns));
	must(!p->node || name_is_subdomain(p->node));
	must(!p->owner || name_is_uid(p->owner));
	must(!p->original_uid || name_is_uid(p->original_uid));
	pod_free(p);
}

static void decode_others(const json_object *o)
{
	struct workload *w = NULL;
	struct node *n = NULL;

	if (kube_decode_workload(o, &w) == 0) {
		must(name_is_uid(w->uid) && name_is_subdomain(w->name) && name_is_label(w->ns));
		must(!w->fault || w->policy == POLICY_NEVER);
		workload_free(w);
	}
	if (kube_decode_node(o, &n) == 0) {
		must(name_is_uid(n->uid) && name_is_subdomain(n->name));
		node_free(n);
	}
}

static void decode_ways(const json_object *o)
{
	struct kube_endpoints all = { .count = 0 };
	struct kube_lease lease = { 0 };

	kube_decode_service(o, &all);
	kube_decode_slices(o, &all);
	must(all.count <= KUBE_ENDPOINTS_MAX);
	(void)kube_lease_decode(o, &lease);
}

/* Kept once or twice, it is the same: otherwise each start would take the contents for new ones. */
static void keep(const json_object *o)
{
	cleanup(json_putp) json_object *kept = render_content(o), *again = render_content(kept);
	cleanup(freep) char *first = str_dup(json_text(kept));

	must(strcmp(first, json_text(again)) == 0);
	must(json_hash(kept, 1) == json_hash(again, 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup(json_putp) json_object *o = NULL;

	if (json_parse((const char *)data, size, &o) < 0)
		return 0;
	decode_pod(o);
	decode_others(o);
	decode_ways(o);
	keep(o);
	intern_fini();
	return 0;
}
