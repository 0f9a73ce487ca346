/* gate_list.c — the addresses that the gate is for, and those that it must not be for
 *
 * The server of kubelet's kubeconfig, our own server, the Service "kubernetes" with its EndpointSlices (fetched each time the
 * mirror is in sync, remembered in the store: they are needed when nobody can be asked), and kubelet.gate_addresses. Names are
 * not looked up; for the name of our own server we know which address answered last.
 *
 * Two traps. Where kubelet (as on k3s) or we ourselves reach the API server through a proxy on this machine, that proxy's way
 * must stay open, for its packets do not have our mark and we would never see the API server return: only destinations on this
 * machine are closed. And where an API server runs on this machine (its address is in the EndpointSlices), no destination on
 * this machine is: it talks to itself before it is ready, and what is local and dead is refused anyway.
 *
 * What cannot be read or fetched is left out and told at level debug; what was known before stays.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent_int.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

#define META_SERVICE "gate_service"	/* "10.96.0.1:443 [fd00::1]:443" */
#define META_SLICES "gate_slices"
#define META_SERVER "gate_server"	/* "https://api.example.com:6443 192.0.2.1:6443": the URL, and what it stood for */
#define SERVICE_PATH "/api/v1/namespaces/default/services/kubernetes"
#define SLICES_PATH "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
#define SLICES_QUERY "labelSelector=kubernetes.io%2Fservice-name%3Dkubernetes"
enum { ERROR_SIZE = 512 };

/* ---- addresses ---- */

/* Where kubelet's kubeconfig is: kubeadm, by hand, k3s, RKE2, k0s, MicroK8s; as it is or, in a container, below /host. */
static const char *const kubeconfigs[] = {
	"/etc/kubernetes/kubelet.conf",
	"/var/lib/kubelet/kubeconfig",
	"/var/lib/rancher/k3s/agent/kubelet.kubeconfig",
	"/var/lib/rancher/rke2/agent/kubelet.kubeconfig",
	"/var/lib/k0s/kubelet.conf",
	"/var/snap/microk8s/current/credentials/kubelet.config",
};
static const char *const host_prefixes[] = { "", "/host" };

char *gate_list_kubelet_server(const struct agent *a)
{
	const char *given = a->conf->kubelet_kubeconfig;
	char err[ERROR_SIZE], *server = NULL;
	int r;

	for (size_t p = 0; str_is_empty(given) && p < ARRAY_LEN(host_prefixes); p++) {
		for (size_t i = 0; i < ARRAY_LEN(kubeconfigs); i++) {
			cleanup(freep) char *path = str_format("%s%s", host_prefixes[p], kubeconfigs[i]);

			r = kube_kubeconfig_server(path, &server, err, sizeof(err));
			if (r == 0)
				return server;
			if (r != -ENOENT && r != -ENOTDIR)
				log_debug(LOG_NODE, "gate", "kubelet's kubeconfig %s: %s", path, err);
		}
	}
	if (!str_is_empty(given) && kube_kubeconfig_server(given, &server, err, sizeof(err)) < 0)
		log_warn(LOG_NODE, "gate", "kubelet.kubeconfig=%s: %s", given, err);
	return server;
}

void gate_list_format(const struct endpoint *list, size_t n, struct buf *out)
{
	char text[ENDPOINT_TEXT_SIZE];

	buf_adds(out, "");
	for (size_t i = 0; i < n; i++) {
		endpoint_format(&list[i], text);
		buf_addf(out, "%s%s", i ? " " : "", text);
	}
}

static void parse_list(const char *text, struct kube_endpoints *out)
{
	struct endpoint e;

	for (const char *p = str_or(text, ""); *p;) {
		size_t n = strcspn(p, " ");
		cleanup(freep) char *item = str_ndup(p, n);

		if (endpoint_parse(item, &e) == 0)
			(void)endpoint_add(out->items, &out->count, KUBE_ENDPOINTS_MAX, &e);
		p += n + (p[n] == ' ');
	}
}

/* Only an address of this machine can be bound to. */
static bool is_here(const struct endpoint *e)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	bool six = e->family == AF_INET6;
	cleanup(fd_closep) int fd = socket(e->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(&v4.sin_addr, e->addr, sizeof(v4.sin_addr));
	memcpy(&v6.sin6_addr, e->addr, sizeof(v6.sin6_addr));
	return fd >= 0 && bind(fd, six ? (const void *)&v6 : &v4, six ? sizeof(v6) : sizeof(v4)) == 0;
}

static void add(struct agent *a, const struct endpoint *e)
{
	if (!endpoint_add(a->gate.list, &a->gate.count, GATE_ENDPOINTS_MAX, e))
		log_warn(LOG_NODE, "gate", "more than %d addresses: the rest is left out", GATE_ENDPOINTS_MAX);
}

/* What a server's URL stands for. False for a name that is not known. */
static bool resolve(const struct agent *a, const char *url, struct endpoint *out)
{
	if (url && endpoint_of_url(url, out) == 0)
		return true;
	if (!str_eq(url, kube_client_server(a->kube)) || !a->gate.server.port)
		return false;
	*out = a->gate.server;
	return true;
}

/* Which destinations may be closed at all: see the traps above. */
struct rule { bool here, elsewhere; };

static void add_if(struct agent *a, struct rule may, const struct endpoint *e)
{
	if (is_here(e) ? may.here : may.elsewhere)
		add(a, e);
}

static bool has_api_here(const struct agent *a)
{
	for (size_t i = 0; i < a->gate.slices.count; i++)
		if (is_here(&a->gate.slices.items[i]))
			return true;
	return false;
}

void gate_list_gather(struct agent *a)
{
	cleanup(freep) char *url = gate_list_kubelet_server(a);
	struct endpoint kubelet, own, e;
	bool has_kubelet = resolve(a, url, &kubelet), has_own = resolve(a, kube_client_server(a->kube), &own);
	/* In a cluster our server is the Service: kube-proxy in mode IPVS binds its address here, but that is no proxy. */
	bool in_cluster = str_eq(kube_credentials_source(a->credentials), "in-cluster"), api_here = has_api_here(a);
	bool own_proxied = !api_here && has_own && !in_cluster && is_here(&own);
	bool kubelet_proxied = !api_here && has_kubelet && is_here(&kubelet);
	const struct rule all = { .here = !api_here, .elsewhere = !own_proxied };
	const struct rule direct = { .here = !api_here, .elsewhere = !own_proxied && !kubelet_proxied };

	a->gate.count = 0;
	if (url && !has_kubelet && !a->gate.told_name) {
		a->gate.told_name = true;
		log_warn(LOG_NODE, "gate", "kubelet's server=%s is a name: put its addresses into kubelet.gate_addresses", url);
	}
	if (has_kubelet)
		add_if(a, all, &kubelet);
	if (has_own)
		add_if(a, direct, &own);
	for (size_t i = 0; direct.elsewhere && i < a->gate.service.count; i++)
		add(a, &a->gate.service.items[i]);
	for (size_t i = 0; i < a->gate.slices.count; i++)
		add_if(a, direct, &a->gate.slices.items[i]);
	for (size_t i = 0; i < a->conf->kubelet_gate_addresses.count; i++)
		if (endpoint_parse(a->conf->kubelet_gate_addresses.items[i], &e) == 0)
			add_if(a, all, &e);
}

/* ---- what the cluster says ---- */

void gate_list_note_server(struct agent *a)
{
	const char *url = kube_client_server(a->kube);
	cleanup(freep) char *value = NULL;
	char text[ENDPOINT_TEXT_SIZE];
	struct endpoint e;

	if (endpoint_of_url(url, &e) == 0 || !kube_client_peer(a->kube, &e) || endpoint_eq(&e, &a->gate.server))
		return;
	a->gate.server = e;
	endpoint_format(&e, text);
	value = str_format("%s %s", url, text);
	(void)store_put_meta(a->store, META_SERVER, value);
}

void gate_list_recall(struct agent *a)
{
	cleanup(freep) char *service = store_get_meta(a->store, META_SERVICE), *slices = store_get_meta(a->store, META_SLICES);
	cleanup(freep) char *server = store_get_meta(a->store, META_SERVER);
	const char *url = kube_client_server(a->kube);
	size_t n = strlen(url);

	parse_list(service, &a->gate.service);
	parse_list(slices, &a->gate.slices);
	if (server && str_has_prefix(server, url) && server[n] == ' ')
		(void)endpoint_parse(server + n + 1, &a->gate.server);
}

static void adopt(struct agent *a, const char *key, struct kube_endpoints *known, const struct kube_endpoints *fresh)
{
	cleanup(buf_fini) struct buf before = BUF_INIT, now = BUF_INIT;

	gate_list_format(known->items, known->count, &before);
	gate_list_format(fresh->items, fresh->count, &now);
	*known = *fresh;
	if (str_eq(before.data, now.data))
		return;			/* flash wears out: only what is new is written */
	(void)store_put_meta(a->store, key, now.data);
	log_info(LOG_NODE, key, "addresses=\"%s\"", now.data);
}

/* Parse the answer; false: it is none, and what was known stays. */
static bool take_answer(const struct kube_answer *answer, const char *what, json_object **out)
{
	if (answer->outcome == KUBE_OK && json_parse(answer->body, answer->body_len, out) == 0)
		return true;
	log_debug(LOG_NODE, "gate", "%s: %s", what, answer->message);
	return false;
}

static void on_slices(void *arg, const struct kube_answer *answer)
{
	cleanup(json_putp) json_object *o = NULL;
	struct kube_endpoints slices = { .count = 0 };
	struct agent *a = arg;

	a->gate.fetch = NULL;
	if (!take_answer(answer, SLICES_PATH, &o))
		return;
	kube_decode_slices(o, &slices);
	adopt(a, META_SERVICE, &a->gate.service, &a->gate.fetched);
	adopt(a, META_SLICES, &a->gate.slices, &slices);
	gate_list_gather(a);
}

static void on_service(void *arg, const struct kube_answer *answer)
{
	static const struct kube_request_params slices = { .path = SLICES_PATH, .query = SLICES_QUERY };
	cleanup(json_putp) json_object *o = NULL;
	struct agent *a = arg;

	a->gate.fetch = NULL;
	if (!take_answer(answer, SERVICE_PATH, &o))
		return;
	a->gate.fetched.count = 0;
	kube_decode_service(o, &a->gate.fetched);
	a->gate.fetch = kube_request(a->kube, &slices, on_slices, a);
}

void gate_list_fetch(struct agent *a)
{
	static const struct kube_request_params service = { .path = SERVICE_PATH };

	if (a->gate.fetch || a->conf->kubelet_gate == CONF_GATE_OFF)
		return;
	gate_list_note_server(a);
	a->gate.fetch = kube_request(a->kube, &service, on_service, a);
}
