/* cross.c — checks that need more than one key: what is valid by itself and useless or harmful together
 *
 * Each complaint stands at the key that was set, and names the other with its value and place. A key whose own value
 * was refused already takes no part.
 */
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/endpoint.h"
#include "base/mem.h"
#include "conf_int.h"

static bool both_sound(const struct conf *c, const char *a, const char *b)
{
	return !conf_is_bad(c, a) && !conf_is_bad(c, b);
}

/* At `a`, or at `b` when only that was set: its value, and the other's with its place. */
static void complain_pair(const struct conf *c, const char *a, const char *b, struct buf *errors, const char *what)
{
	bool at_b = !conf_is_set(c, a) && conf_is_set(c, b);
	const char *at = at_b ? b : a, *other = at_b ? a : b;
	cleanup(buf_fini) struct buf values = BUF_INIT;

	conf_key_format(c, conf_key_find(at), &values);
	buf_adds(&values, ", with ");
	conf_add_value(c, other, &values);
	conf_complain(c, at, errors, "%s: %s", values.data, what);
}

static void check_times(const struct conf *c, struct buf *errors)
{
	if (both_sound(c, "serf.peer_ttl", "serf.poll") && c->serf_peer_ttl_ms <= c->serf_poll_ms)
		complain_pair(c, "serf.peer_ttl", "serf.poll", errors,
			      "serf.peer_ttl must be longer than serf.poll, or no answer is ever fresh");
	if (both_sound(c, "kube.probe", "kube.offline_after") && c->kube_probe_ms > c->kube_offline_after_ms)
		complain_pair(c, "kube.probe", "kube.offline_after", errors,
			      "kube.probe must not be longer than kube.offline_after, or it is offline after one "
			      "failed probe");
}

/* A smaller part misses half of the site or more, and the breaker opens above budget.max_lost_nodes. */
static void check_minority(const struct conf *c, struct buf *errors)
{
	static const char minority[] = "heal.minority", budget[] = "budget.max_lost_nodes";

	if (both_sound(c, minority, budget) && c->heal_minority == CONF_MINORITY_ACTIVE &&
	    c->budget_max_lost_nodes <= 50)
		complain_pair(c, minority, budget, errors,
			      "the smaller part of a site misses more than half of it, and the breaker stops it: set "
			      "budget.max_lost_nodes above 50%, or heal.minority to passive");
}

/* ---- namespaces ---- */

/* Does `later` match all that `earlier` does? As far as a '*' alone and equal globs tell. */
static bool covers(const char *later, const char *earlier)
{
	return str_eq(later, "*") || str_eq(later, earlier);
}

static void check_namespaces(const struct conf *c, struct buf *errors)
{
	static const char key[] = "heal.namespaces";
	const struct conf_list *l = &c->heal_namespaces;
	bool any = false;

	if (conf_is_bad(c, key))
		return;
	if (l->count == 0) {
		conf_complain(c, key, errors,
			      "the list is empty, so nothing would be healed: write [\"*\", \"!kube-system\"]");
		return;
	}
	for (size_t i = 0; i < l->count; i++) {
		bool excludes = l->items[i][0] == '!';

		any = excludes ? any && !str_eq(l->items[i], "!*") : true;
		for (size_t k = i + 1; excludes && k < l->count; k++) {
			if (!covers(l->items[k], l->items[i] + 1))
				continue;
			conf_complain(c, key, errors,
				      "\"%s\" has no effect: \"%s\" behind it takes the same namespaces "
				      "in again: put \"%s\" last",
				      l->items[i], l->items[k], l->items[i]);
			break;
		}
	}
	if (!any)
		conf_complain(c, key, errors,
			      "everything is excluded, so nothing would be healed: begin with \"*\" or the "
			      "namespaces to heal");
}

/* ---- ports ---- */

static bool listen_endpoint(const struct conf *c, struct endpoint *out, bool *out_all)
{
	struct sockaddr_storage at;
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&at;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&at;
	size_t n;

	*out = (struct endpoint){0};
	if (endpoint_listen_parse(c->http_listen, &at, &n) < 0)
		return false;
	out->family = at.ss_family;
	if (at.ss_family == AF_INET6) {
		out->port = ntohs(v6->sin6_port);
		memcpy(out->addr, &v6->sin6_addr, sizeof(v6->sin6_addr));
		*out_all = IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);
	} else {
		out->port = ntohs(v4->sin_port);
		memcpy(out->addr, &v4->sin_addr, sizeof(v4->sin_addr));
		*out_all = v4->sin_addr.s_addr == htonl(INADDR_ANY);
	}
	return out->port != 0;
}

/* Who listens there already would keep us from starting. */
static void check_ports(const struct conf *c, struct buf *errors)
{
	static const char listen[] = "http.listen";
	struct endpoint ours, other;
	bool all = false;

	if (conf_is_bad(c, listen) || !listen_endpoint(c, &ours, &all))
		return;
	if (!conf_is_bad(c, "kubelet.port") && ours.port == c->kubelet_port)
		complain_pair(c, listen, "kubelet.port", errors, "kubelet has this port: give http.listen another");
	if (!conf_is_bad(c, "serf.rpc") && endpoint_parse(c->serf_rpc, &other) == 0 && other.port == ours.port &&
	    (all || endpoint_eq(&other, &ours)))
		complain_pair(c, listen, "serf.rpc", errors, "the serf agent has this port: give http.listen another");
	if (!conf_is_bad(c, "kubelet.healthz") && endpoint_of_url(c->kubelet_healthz, &other) == 0 &&
	    other.port == ours.port && (all || endpoint_eq(&other, &ours)))
		complain_pair(c, listen, "kubelet.healthz", errors, "kubelet has this port: give http.listen another");
}

static void check_askers(const struct conf *c, struct buf *errors)
{
	if (both_sound(c, "http.loopback", "http.token_file") && !conf_is_bad(c, "http.socket") &&
	    c->http_loopback == CONF_LOOPBACK_TOKEN && str_is_empty(c->http_token_file) && str_is_empty(c->http_socket))
		complain_pair(
		    c, "http.loopback", "http.token_file", errors,
		    "nobody could ask /v1, the client verbs neither: name a http.token_file or a http.socket");
}

static void check_standby(const struct conf *c, struct buf *warnings)
{
	const char *missing = str_is_empty(c->pod_name)        ? "pod.name"
			      : str_is_empty(c->pod_namespace) ? "pod.namespace"
							       : NULL;

	if (missing && c->pod_standby == CONF_STANDBY_ON && !conf_is_bad(c, missing))
		complain_pair(
		    c, "pod.standby", missing, warnings,
		    "there will be no standby, and the agent is not ready: set POD_NAME and POD_NAMESPACE by the "
		    "downward API");
}

void conf_check_cross(const struct conf *c, bool alone, struct buf *errors, struct buf *warnings)
{
	if (!alone && str_is_empty(c->node) && !conf_is_bad(c, "node"))
		conf_complain(c, "node", errors,
			      "required: set NODE_NAME (spec.nodeName by the downward API) or the key node");
	check_times(c, errors);
	check_minority(c, errors);
	check_namespaces(c, errors);
	check_ports(c, errors);
	check_askers(c, errors);
	conf_check_paths(c, alone, errors);
	if (!alone)
		check_standby(c, warnings);
}
