/* content.c — what of an admitted pod a copy is made from
 *
 * Two pods of one ReplicaSet have the same content unless somebody made them differ: what the cluster adds to each pod
 * for itself is left out (its name, its node, its token volume), and so is what CNI and runtime report of it. What asks
 * for something stays: networks, fixed addresses, a sidecar that admission injected.
 */
#include "base/str.h"
#include "model/pod.h"
#include "node/render.h"
#include "node_int.h"

/* Annotations in which somebody reports what became of the pod. '*' at the end: all that begin so. */
static const char *const reports[] = {
	"cni.projectcalico.org/containerID",	/* Calico, node/pkg/.../k8s.go: podIP and podIPs are written by the plugin; */
	"cni.projectcalico.org/podIP",		/* what asks is cni.projectcalico.org/ipAddrs and ipv4pools */
	"cni.projectcalico.org/podIPs",
	"k8s.v1.cni.cncf.io/network-status",	/* Multus (the networks themselves are asked for in …/networks) */
	"k8s.v1.cni.cncf.io/networks-status",
	"k8s.ovn.org/pod-networks",		/* OVN-Kubernetes */
	"ovn.kubernetes.io/allocated",		/* Kube-OVN: what asks is ovn.kubernetes.io/ip_address */
	"ovn.kubernetes.io/routed",
	"ovn.kubernetes.io/vlan_id",
	"vpc.amazonaws.com/pod-eni",		/* AWS VPC CNI, security groups for pods */
	"vpc.amazonaws.com/pod-ips",
	"io.kubernetes.cri-o.*",		/* CRI-O keeps its state there for checkpoints */
	"kubernetes.io/config.*",		/* kubelet, of static pods */
	"kubectl.kubernetes.io/last-applied-configuration",
	ANNOTATION_ORIGINAL_UID,
	ANNOTATION_EPOCH,
	ANNOTATION_WORKLOAD_UID,
};

static bool is_report(const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(reports); i++) {
		size_t n = strlen(reports[i]);

		if (reports[i][n - 1] == '*' ? strncmp(key, reports[i], n - 1) == 0 : str_eq(key, reports[i]))
			return true;
	}
	return false;
}

static json_object *asking(const json_object *annotations)
{
	struct json_iter it = json_iter(annotations);
	json_object *out = json_new_object();

	while (json_iter_next(&it))
		if (!is_report(it.key))
			json_set(out, it.key, json_share(it.value));
	return out;
}

/* Not asked for by anybody, but different in each pod. */
static const char *const own_spec[] = { "nodeName", "ephemeralContainers", "schedulingGates" };

json_object *render_content(const json_object *pod)
{
	const json_object *meta = json_get_key(pod, "metadata"), *labels = json_get_key(meta, "labels");
	json_object *out = json_new_object(), *kept = json_new_object(), *spec = json_copy_shallow(json_get_key(pod, "spec"));

	for (size_t i = 0; i < ARRAY_LEN(own_spec); i++)
		json_remove(spec, own_spec[i]);
	token_mark(spec);
	token_drop(spec);
	json_set(kept, "labels", labels ? json_share(labels) : json_new_object());
	json_set(kept, "annotations", asking(json_get_key(meta, "annotations")));
	json_set(out, "metadata", kept);
	json_set(out, "spec", spec);
	return out;
}
