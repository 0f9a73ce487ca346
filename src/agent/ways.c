/* ways.c — which addresses the API server has, and which of them requests take
 *
 * The server of our kubeconfig, the one of kubelet's, the Service "kubernetes" with its EndpointSlices (fetched each
 * time the mirror is in sync, remembered in the store: they are needed when nobody can be asked), and
 * kubelet.gate_addresses. Two names for one address are one way. Names are not looked up by us; for the name of our own
 * server we know which address answered last.
 *
 * Requests take our own server while it answers, else kubelet's, else any other: the same CA and the same credentials.
 *
 * For which of them the gate may ever be closed: two traps. Where kubelet (as on k3s) or we ourselves reach the API
 * server through a proxy on this machine, that proxy's way must stay open, for its packets do not have our mark and we
 * would never see the API server return: only destinations on this machine are closed. And where an API server runs on
 * this machine (its address is in the EndpointSlices), no destination on this machine is: it talks to itself before it
 * is ready, and what is local and dead is refused anyway.
 *
 * What cannot be read or fetched is left out and told at level debug; what was known before stays.
 */
#include "ways.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

#define META_SERVICE "gate_service" /* "10.96.0.1:443 [fd00::1]:443" */
#define META_SLICES "gate_slices"
#define META_SERVER "gate_server" /* "https://api.example.com:6443 192.0.2.1:6443": the URL, and what it stood for */
#define SERVICE_PATH "/api/v1/namespaces/default/services/kubernetes"
#define SLICES_PATH "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
#define SLICES_QUERY "labelSelector=kubernetes.io%2Fservice-name%3Dkubernetes"
enum { ERROR_SIZE = 512 };

/* ---- kubelet's own ---- */

/* Where kubelet's kubeconfig is: kubeadm, by hand, k3s, RKE2, k0s, MicroK8s; as it is or, in a container, below /host.
 */
static const char *const kubeconfigs[] = {
    "/etc/kubernetes/kubelet.conf",
    "/var/lib/kubelet/kubeconfig",
    "/var/lib/rancher/k3s/agent/kubelet.kubeconfig",
    "/var/lib/rancher/rke2/agent/kubelet.kubeconfig",
    "/var/lib/k0s/kubelet.conf",
    "/var/snap/microk8s/current/credentials/kubelet.config",
};
static const char *const host_prefixes[] = {"", "/host"};

int ways_kubelet_cluster(const struct agent *a, struct kube_cluster *out)
{
	const char *given = a->conf->kubelet_kubeconfig;
	char err[ERROR_SIZE];
	int r;

	for (size_t p = 0; str_is_empty(given) && p < ARRAY_LEN(host_prefixes); p++) {
		for (size_t i = 0; i < ARRAY_LEN(kubeconfigs); i++) {
			cleanup(freep) char *path = str_format("%s%s", host_prefixes[p], kubeconfigs[i]);

			r = kube_kubeconfig_cluster(path, host_prefixes[p], out, err, sizeof(err));
			if (r == 0)
				return 0;
			if (r != -ENOENT && r != -ENOTDIR)
				log_debug(LOG_NODE, "ways", "kubelet's kubeconfig %s: %s", path, err);
		}
	}
	if (str_is_empty(given))
		return -ENOENT;
	r = kube_kubeconfig_cluster(given, "", out, err, sizeof(err));
	if (r < 0)
		log_debug(LOG_NODE, "ways", "kubelet.kubeconfig=%s: %s", given, err);
	return r;
}

/* ---- addresses ---- */

void ways_format(const struct endpoint *list, size_t n, struct buf *out)
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
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	bool six = e->family == AF_INET6;
	cleanup(fd_closep) int fd = socket(e->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(&v4.sin_addr, e->addr, sizeof(v4.sin_addr));
	memcpy(&v6.sin6_addr, e->addr, sizeof(v6.sin6_addr));
	return fd >= 0 && bind(fd, six ? (const void *)&v6 : &v4, six ? sizeof(v6) : sizeof(v4)) == 0;
}

/* A URL in its parts: what one way is. */
struct place {
	enum way_source source;
	char host[WAY_HOST_SIZE], name[WAY_HOST_SIZE];
	uint16_t port;
	bool tls, closable;
	struct endpoint at;
};

static bool place_of_url(const char *url, const char *server_name, struct place *out)
{
	bool tls = url && str_has_prefix(url, "https://");
	const char *host = !url ? NULL : tls ? url + 8 : str_has_prefix(url, "http://") ? url + 7 : NULL;
	size_t n = host ? strcspn(host, host[0] == '[' ? "]/" : ":/") : 0;
	const char *end = host ? host + n + (host[0] == '[' && host[n] == ']') : NULL;
	int64_t port = tls ? 443 : 80;
	char digits[8] = "";

	if (!host || !n || n >= WAY_HOST_SIZE)
		return false;
	if (*end == ':') {
		if (strcspn(end + 1, "/") >= sizeof(digits))
			return false;
		memcpy(digits, end + 1, strcspn(end + 1, "/"));
		if (num_parse_i64(digits, 1, UINT16_MAX, &port) < 0)
			return false;
	}
	*out = (struct place){.port = (uint16_t)port, .tls = tls};
	(void)snprintf(out->host, sizeof(out->host), "%.*s", (int)(n - (host[0] == '[')), host + (host[0] == '['));
	(void)str_copy(out->name, sizeof(out->name), str_or(server_name, ""));
	(void)endpoint_of(out->host, out->port, &out->at);
	return true;
}

static struct place place_of(enum way_source source, const struct endpoint *e, bool tls)
{
	struct place p = {.source = source, .port = e->port, .tls = tls, .at = *e};

	endpoint_ip(e, p.host);
	(void)str_copy(p.name, sizeof(p.name), tls ? WAY_NAME : "");
	return p;
}

static bool is_same(const struct way *w, const struct place *p)
{
	if (w->at.port && p->at.port)
		return endpoint_eq(&w->at, &p->at) && w->tls == p->tls;
	return w->port == p->port && w->tls == p->tls && str_eq(w->host, p->host);
}

static struct way *way_find(const struct ways *ways, const struct place *p)
{
	list_for_each (w, &ways->all, struct way, link)
		if (is_same(w, p))
			return w;
	return NULL;
}

static void way_free(struct way *w)
{
	way_stop(w);
	list_remove(&w->link);
	w->a->ways->count--;
	free(w);
}

/* The first that names an address says how it is taken; any of them may allow the gate to be closed for it. */
static void add(struct agent *a, const struct place *p)
{
	struct ways *ways = a->ways;
	struct way *w = way_find(ways, p);
	bool fresh = !w;

	if (w && w->known) {
		w->closable = w->closable || p->closable;
		return;
	}
	if (fresh && ways->count == WAYS_MAX) {
		if (!ways->told_many)
			log_warn(LOG_NODE, "ways", "more than %d addresses of the API server: the rest is left out",
				 WAYS_MAX);
		ways->told_many = true;
		return;
	}
	if (fresh) {
		w = mem_new(struct way);
		w->a = a;
		list_add_tail(&ways->all, &w->link);
		ways->count++;
	}
	w->known = true;
	w->source = p->source;
	w->tls = p->tls;
	w->port = p->port;
	w->closable = p->closable;
	(void)str_copy(w->host, sizeof(w->host), p->host);
	(void)str_copy(w->name, sizeof(w->name), p->name);
	if (p->at.port)
		w->at = p->at;
	if (fresh)
		way_start(w);
}

/* Which destinations may be closed at all: see the traps above. */
struct rule {
	bool here, elsewhere;
};

static void add_if(struct agent *a, struct rule may, struct place p)
{
	p.closable = p.at.port && (is_here(&p.at) ? may.here : may.elsewhere);
	add(a, &p);
}

static bool has_api_here(const struct agent *a)
{
	for (size_t i = 0; i < a->ways->slices.count; i++)
		if (is_here(&a->ways->slices.items[i]))
			return true;
	return false;
}

static void add_endpoints(struct agent *a, struct rule may, enum way_source source, const struct kube_endpoints *list,
			  bool tls)
{
	for (size_t i = 0; i < list->count; i++)
		add_if(a, may, place_of(source, &list->items[i], tls));
}

/* Of our own server: `own` is filled. A name stands for what answered last. */
static void own_place(const struct agent *a, struct place *own)
{
	const char *url = kube_client_server(a->kube);

	if (!place_of_url(url, NULL, own)) /* checked when it was read */
		*own = (struct place){.port = 443, .tls = true};
	own->source = WAY_OWN;
	if (!own->at.port)
		own->at = a->ways->server;
}

static bool kubelet_place(struct agent *a, struct place *out)
{
	struct kube_cluster c = {0};
	bool known = ways_kubelet_cluster(a, &c) == 0 && place_of_url(c.server, c.tls_server_name, out);

	if (known)
		kube_credentials_set_answer_ca(a->credentials, c.ca);
	if (known && !out->at.port && !a->ways->told_name && !str_eq(c.server, kube_client_server(a->kube))) {
		a->ways->told_name = true;
		log_warn(LOG_NODE, "ways",
			 "kubelet's server=%s is a name: put its addresses into kubelet.gate_addresses", c.server);
	}
	out->source = WAY_KUBELET;
	kube_cluster_fini(&c);
	return known;
}

void ways_gather(struct agent *a)
{
	struct ways *ways = a->ways;
	struct place own, kubelet = {0};
	bool has_kubelet = kubelet_place(a, &kubelet);
	/* In a cluster our server is the Service: kube-proxy in mode IPVS binds its address here, but that is no proxy.
	 */
	bool in_cluster = str_eq(kube_credentials_source(a->credentials), "in-cluster"), api_here = has_api_here(a);
	bool own_proxied, kubelet_proxied;
	struct rule all, direct;

	own_place(a, &own);
	if (has_kubelet && !kubelet.at.port && str_eq(kubelet.host, own.host) && kubelet.port == own.port)
		kubelet.at = own.at;
	own_proxied = !api_here && own.at.port && !in_cluster && is_here(&own.at);
	kubelet_proxied = !api_here && has_kubelet && kubelet.at.port && is_here(&kubelet.at);
	all = (struct rule){.here = !api_here, .elsewhere = !own_proxied};
	direct = (struct rule){.here = !api_here, .elsewhere = !own_proxied && !kubelet_proxied};
	list_for_each (w, &ways->all, struct way, link)
		w->known = false;
	add_if(a, direct, own);
	if (has_kubelet && kubelet.tls == own.tls) /* plain HTTP only where we are configured so */
		add_if(a, all, kubelet);
	add_endpoints(a, direct, WAY_SERVICE, &ways->service, own.tls);
	add_endpoints(a, direct, WAY_SLICE, &ways->slices, own.tls);
	for (size_t i = 0; i < a->conf->kubelet_gate_addresses.count; i++) {
		struct endpoint e;

		if (endpoint_parse(a->conf->kubelet_gate_addresses.items[i], &e) == 0)
			add_if(a, all, place_of(WAY_CONFIG, &e, own.tls));
	}
	list_for_each_safe (w, &ways->all, struct way, link)
		if (!w->known && w != ways->used)
			way_free(w);
	(void)ways_choose(a);
	list_for_each_safe (w, &ways->all, struct way, link) /* the one that was in use until now */
		if (!w->known && w != ways->used)
			way_free(w);
}

/* ---- which one requests take ---- */

static struct way *own_way(const struct ways *ways)
{
	list_for_each (w, &ways->all, struct way, link)
		if (w->known && w->source == WAY_OWN)
			return w;
	return NULL;
}

static void use(struct agent *a, struct way *w)
{
	const struct kube_route route = {.host = w->host, .port = w->port, .name = w->name, .tls = w->tls};
	bool first = !a->ways->used;
	char text[WAY_HOST_SIZE + 8];

	a->ways->used = w;
	kube_client_set_route(a->kube, w->source == WAY_OWN ? NULL : &route);
	if (first)
		return;
	ways_reschedule(a); /* the one in use is looked at more often */
	way_format(w, text);
	log_info(LOG_KUBE, "way", "requests go by %s (%s)", text, way_source_name(w->source));
	kube_client_drop_connections(a->kube);
}

static bool is_healthy(const struct way *w, struct mono now)
{
	return w->known && w->state == WAY_ANSWERS && mono_reached(now, w->sick_until);
}

/* Its first answer is not late yet. */
static bool is_promising(const struct way *w)
{
	return w->known && w->state == WAY_UNTRIED && !w->doubted;
}

static struct way *choose(const struct agent *a, struct way *own)
{
	struct mono now = loop_now(a->loop);
	struct way *used = a->ways->used && a->ways->used->known ? a->ways->used : NULL, *other = NULL;
	bool used_is_well = used && (is_healthy(used, now) || is_promising(used));

	if (own && is_healthy(own, now) && (!used_is_well || mono_since_ms(now, own->answering_since) >= WAY_BACK_MS))
		return own;
	if (used_is_well)
		return used;
	if (own && is_promising(own))
		return own;
	list_for_each (w, &a->ways->all, struct way, link) {
		if (is_healthy(w, now))
			return w;
		other = other ? other : w->known && w->state == WAY_ANSWERS ? w : NULL;
	}
	if (used && used->state == WAY_ANSWERS)
		return used;
	return other ? other : used ? used : own;
}

bool ways_choose(struct agent *a)
{
	struct way *own = own_way(a->ways), *w = choose(a, own);

	if (!w || w == a->ways->used)
		return false;
	use(a, w);
	return true;
}

void ways_avoid_used(struct agent *a)
{
	a->ways->used->sick_until = mono_add_ms(loop_now(a->loop), WAY_SICK_MS);
	(void)ways_choose(a);
}

/* ---- what the cluster says ---- */

void ways_note_server(struct agent *a, const struct way *w)
{
	const char *url = kube_client_server(a->kube);
	cleanup(freep) char *value = NULL;
	char text[ENDPOINT_TEXT_SIZE];
	struct endpoint e;

	if (w->source != WAY_OWN || !w->at.port || endpoint_of_url(url, &e) == 0 ||
	    endpoint_eq(&w->at, &a->ways->server))
		return;
	a->ways->server = w->at;
	endpoint_format(&w->at, text);
	value = str_format("%s %s", url, text);
	(void)store_put_meta(a->store, META_SERVER, value);
}

static void recall(struct agent *a)
{
	cleanup(freep) char *service = store_get_meta(a->store, META_SERVICE),
			    *slices = store_get_meta(a->store, META_SLICES);
	cleanup(freep) char *server = store_get_meta(a->store, META_SERVER);
	const char *url = kube_client_server(a->kube);
	size_t n = strlen(url);

	parse_list(service, &a->ways->service);
	parse_list(slices, &a->ways->slices);
	if (server && str_has_prefix(server, url) && server[n] == ' ')
		(void)endpoint_parse(server + n + 1, &a->ways->server);
}

static void adopt(struct agent *a, const char *key, struct kube_endpoints *known, const struct kube_endpoints *fresh)
{
	cleanup(buf_fini) struct buf before = BUF_INIT, now = BUF_INIT;

	ways_format(known->items, known->count, &before);
	ways_format(fresh->items, fresh->count, &now);
	*known = *fresh;
	if (str_eq(before.data, now.data))
		return; /* flash wears out: only what is new is written */
	(void)store_put_meta(a->store, key, now.data);
	log_info(LOG_NODE, key, "addresses=\"%s\"", now.data);
}

/* Parse the answer; false: it is none, and what was known stays. */
static bool take_answer(const struct kube_answer *answer, const char *what, json_object **out)
{
	if (answer->outcome == KUBE_OK && json_parse(answer->body, answer->body_len, out) == 0)
		return true;
	log_debug(LOG_NODE, "ways", "%s: %s", what, answer->message);
	return false;
}

static void on_slices(void *arg, const struct kube_answer *answer)
{
	cleanup(json_putp) json_object *o = NULL;
	struct kube_endpoints slices = {.count = 0};
	struct agent *a = arg;

	a->ways->fetch = NULL;
	if (!take_answer(answer, SLICES_PATH, &o))
		return;
	kube_decode_slices(o, &slices);
	adopt(a, META_SERVICE, &a->ways->service, &a->ways->fetched);
	adopt(a, META_SLICES, &a->ways->slices, &slices);
	ways_gather(a);
}

static void on_service(void *arg, const struct kube_answer *answer)
{
	static const struct kube_request_params slices = {.path = SLICES_PATH, .query = SLICES_QUERY};
	cleanup(json_putp) json_object *o = NULL;
	struct agent *a = arg;

	a->ways->fetch = NULL;
	if (!take_answer(answer, SERVICE_PATH, &o))
		return;
	a->ways->fetched.count = 0;
	kube_decode_service(o, &a->ways->fetched);
	a->ways->fetch = kube_request(a->kube, &slices, on_slices, a);
}

void ways_fetch(struct agent *a)
{
	static const struct kube_request_params service = {.path = SERVICE_PATH};

	if (a->ways->fetch)
		return;
	a->ways->fetch = kube_request(a->kube, &service, on_service, a);
}

/* ---- life ---- */

void ways_new(struct agent *a)
{
	a->ways = mem_new(struct ways);
	a->ways->a = a;
	list_init(&a->ways->all);
	recall(a);
	ways_gather(a);
}

void ways_free(struct agent *a)
{
	if (!a->ways)
		return;
	op_cancelp(&a->ways->fetch);
	list_for_each_safe (w, &a->ways->all, struct way, link)
		way_free(w);
	free(take(a->ways));
}

/* ---- showing ---- */

void way_format(const struct way *w, char out[WAY_HOST_SIZE + 8])
{
	(void)snprintf(out, WAY_HOST_SIZE + 8, strchr(w->host, ':') ? "[%s]:%u" : "%s:%u", w->host, w->port);
}

const char *way_source_name(enum way_source s)
{
	static const char *const names[] = {"own server", "kubelet's server", "Service", "EndpointSlice",
					    "configuration"};

	return names[s];
}

const char *way_state_name(enum way_state s)
{
	static const char *const names[] = {"untried", "answers", "fails", "silent"};

	return names[s];
}

json_object *ways_json(const struct agent *a)
{
	json_object *list = json_new_array();

	list_for_each (w, &a->ways->all, struct way, link) {
		json_object *o = json_new_object();
		char text[WAY_HOST_SIZE + 8];

		way_format(w, text);
		json_set_str(o, "address", text);
		json_set_str(o, "from", way_source_name(w->source));
		json_set_str(o, "state", way_state_name(w->state));
		json_set_str(o, "reason", w->state == WAY_ANSWERS || !w->reason[0] ? NULL : w->reason);
		json_set_bool(o, "used", w == a->ways->used);
		json_set_bool(o, "closable", w->closable);
		json_append(list, o);
	}
	return list;
}
