/* hostname.c — a copy has the hostname that the lost pod had
 *
 * kubelet takes spec.hostname, or else the pod's name, cut to 63 characters without '-' and '.' at its end
 * (kubelet_pods.go, GeneratePodHostNameAndDomain). A static pod's name has the node's behind it, so the hostname is
 * written down. It must be a label: a name with dots in its first 63 characters cannot be kept, and the copy's hostname
 * is then name-node, as kubelet makes it.
 *
 * With subdomain and setHostnameAsFQDN the kernel gets the whole name, which has 64 characters at most
 * (pkg/kubelet/util, GetNodenameForKernel); kubelet fails each start of a pod whose name is longer. The cluster's
 * domain is not in the API: "cluster.local" unless we are told otherwise.
 */
#include <stdio.h>

#include "base/str.h"
#include "node_int.h"

#define HOSTNAME_MAX 63                        /* k8s.io/kubernetes/pkg/kubelet/kubelet_pods.go: hostnameMaxLen */
#define FQDN_MAX 64                            /* k8s.io/kubernetes/pkg/kubelet/util: fqdnMaxLen, of struct utsname */
#define CLUSTER_DOMAIN_DEFAULT "cluster.local" /* kubeadm, k3s and others; kubelet's clusterDomain */

static bool is_label(const char *s)
{
	size_t n = strlen(s);

	if (!n || n > HOSTNAME_MAX || s[0] == '-' || s[n - 1] == '-')
		return false;
	return strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

/* As kubelet cuts it. */
static void cut(const char *name, char out[HOSTNAME_MAX + 1])
{
	size_t n = strlen(name);
	bool long_one = n > HOSTNAME_MAX;

	n = long_one ? HOSTNAME_MAX : n;
	while (long_one && n && (name[n - 1] == '-' || name[n - 1] == '.'))
		n--;
	memcpy(out, name, n);
	out[n] = '\0';
}

/* What will be its hostname; `name` is the lost pod's. */
static void hostname_of(const json_object *spec, const char *name, const char *node, char out[HOSTNAME_MAX + 1])
{
	const char *own = json_get_str(spec, "hostname");
	cleanup(freep) char *of_static_pod = str_format("%s-%s", name, str_or(node, ""));

	cut(str_is_empty(own) ? name : own, out);
	if (!is_label(out))
		cut(of_static_pod, out);
}

void hostname_keep(json_object *spec, const char *name)
{
	char kept[HOSTNAME_MAX + 1];

	if (!str_is_empty(json_get_str(spec, "hostname")) || json_get_bool(spec, "hostNetwork", false))
		return;
	cut(name, kept);
	if (is_label(kept))
		json_set_str(spec, "hostname", kept);
}

static int check_fqdn(const json_object *spec, const char *name, const char *ns, const struct render_params *p,
		      char reason[REASON_SIZE])
{
	const char *subdomain = json_get_str(spec, "subdomain");
	cleanup(freep) char *fqdn = NULL;
	char host[HOSTNAME_MAX + 1];

	if (str_is_empty(subdomain) || !json_get_bool(spec, "setHostnameAsFQDN", false) ||
	    json_get_bool(spec, "hostNetwork", false))
		return 0;
	hostname_of(spec, name, p->node, host);
	fqdn = str_format("%s.%s.%s.svc.%s", host, subdomain, ns, str_or(p->cluster_domain, CLUSTER_DOMAIN_DEFAULT));
	if (strlen(fqdn) <= FQDN_MAX)
		return 0;
	return refuse(reason, "spec.setHostnameAsFQDN: never starts, hostname of %zu characters (at most %d): %s",
		      strlen(fqdn), FQDN_MAX, fqdn);
}

int hostname_check(const json_object *spec, const char *name, const char *ns, const struct render_params *p,
		   char reason[REASON_SIZE])
{
	static const char *const labels[] = { "hostname", "subdomain" };

	for (size_t i = 0; i < ARRAY_LEN(labels); i++) {
		const char *text = json_get_str(spec, labels[i]);

		if (!str_is_empty(text) && !is_label(text))
			return refuse(reason, "spec.%s: %.70s is not a lowercase RFC 1123 label", labels[i], text);
	}
	if (!name && str_is_empty(json_get_str(spec, "hostname")))
		return 0; /* of a template: its pods' names are not known yet */
	return check_fqdn(spec, str_or(name, ""), ns, p, reason);
}
