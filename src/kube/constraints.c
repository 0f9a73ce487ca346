/* constraints.c — where a pod may run, decoded once per distinct content
 *
 * The key under which constraints are shared is the compact text of exactly the fields they are decoded from. What we
 * do not understand (an operator of a later release, a list beyond CONSTRAINT_LIST_MAX) makes them `unsupported`: only
 * kube-scheduler judges such a pod.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "kube/codec.h"
#include "model/constraint.h"

/* Length of a list we are going to keep. */
static size_t bounded(struct constraints *c, size_t n)
{
	if (n <= CONSTRAINT_LIST_MAX)
		return n;
	c->unsupported = true;
	return 0;
}

/* ---- selector and affinity ---- */

static void take_selector(struct constraints *c, const json_object *selector)
{
	struct json_iter it = json_iter(selector);
	size_t n = 0;

	while (json_iter_next(&it))
		n++;
	n = bounded(c, n);
	if (!n)
		return;
	c->selector = mem_new_n(struct label, n);
	for (it = json_iter(selector); json_iter_next(&it) && c->selector_count < n;) {
		if (!json_is_str(it.value))
			c->unsupported = true;
		else
			c->selector[c->selector_count++] = (struct label){ intern(it.key), intern(json_str(it.value)) };
	}
}

static void take_expr(struct constraints *c, struct match_expr *e, const json_object *o, bool is_field)
{
	static const char *const ops[] = {
		[MATCH_IN] = "In", [MATCH_NOT_IN] = "NotIn", [MATCH_EXISTS] = "Exists",
		[MATCH_DOES_NOT_EXIST] = "DoesNotExist", [MATCH_GT] = "Gt", [MATCH_LT] = "Lt",
	};
	const char *op = json_str(json_get_key(o, "operator")), *key = json_str(json_get_key(o, "key"));
	const json_object *values = json_get_key(o, "values");
	size_t n = bounded(c, json_len(values)), which = 0;

	while (which < ARRAY_LEN(ops) && !str_eq(op, ops[which]))
		which++;
	if (which == ARRAY_LEN(ops) || !key || (is_field && !str_eq(key, "metadata.name")))
		c->unsupported = true;
	*e = (struct match_expr){ .key = intern(str_or(key, "")), .is_field = is_field };
	e->op = which < ARRAY_LEN(ops) ? (enum match_op)which : MATCH_IN;
	e->values = n ? mem_new_n(const char *, n) : NULL;
	for (size_t i = 0; i < n; i++)
		e->values[e->value_count++] = intern(str_or(json_str(json_at(values, i)), ""));
}

static void take_term(struct constraints *c, struct match_term *t, const json_object *o)
{
	const json_object *labels = json_get_key(o, "matchExpressions"), *fields = json_get_key(o, "matchFields");
	size_t n = bounded(c, json_len(labels)), m = bounded(c, json_len(fields));

	if (n + m)
		t->exprs = mem_new_n(struct match_expr, n + m);
	for (size_t i = 0; i < n; i++)
		take_expr(c, &t->exprs[t->count++], json_at(labels, i), false);
	for (size_t i = 0; i < m; i++)
		take_expr(c, &t->exprs[t->count++], json_at(fields, i), true);
}

static void take_affinity(struct constraints *c, const json_object *affinity)
{
#define REQUIRED "requiredDuringSchedulingIgnoredDuringExecution"
	const json_object *required = json_get_key(json_get_key(affinity, "nodeAffinity"), REQUIRED);
	const json_object *terms = json_get_key(required, "nodeSelectorTerms");
	size_t n = bounded(c, json_len(terms));

	if (json_len(json_get_key(json_get_key(affinity, "podAffinity"), REQUIRED)) ||
	    json_len(json_get_key(json_get_key(affinity, "podAntiAffinity"), REQUIRED)))
		c->unsupported = true;
	if (!required)
		return;
	c->has_affinity = true;
	c->terms = n ? mem_new_n(struct match_term, n) : NULL;
	for (size_t i = 0; i < n; i++)
		take_term(c, &c->terms[c->term_count++], json_at(terms, i));
}

static void take_spread(struct constraints *c, const json_object *spread)
{
	for (size_t i = 0; i < json_len(spread); i++)
		if (!str_eq(json_str(json_get_key(json_at(spread, i), "whenUnsatisfiable")), "ScheduleAnyway"))
			c->unsupported = true;
}

/* ---- tolerations and ports ---- */

static void take_toleration(struct constraints *c, const json_object *o)
{
	static const struct { const char *text; enum taint_effect effect; } effects[] = {
		{ "", TAINT_NONE }, { "NoSchedule", TAINT_NO_SCHEDULE }, { "PreferNoSchedule", TAINT_PREFER_NO_SCHEDULE },
		{ "NoExecute", TAINT_NO_EXECUTE },
	};
	const char *key = json_str(json_get_key(o, "key")), *effect = str_or(json_str(json_get_key(o, "effect")), "");
	const char *op = str_or(json_str(json_get_key(o, "operator")), "");
	struct toleration t = { .key = str_is_empty(key) ? NULL : intern(key), .exists = str_eq(op, "Exists") };

	/* One that we do not understand tolerates nothing. */
	if (!t.exists && ((op[0] && !str_eq(op, "Equal")) || !t.key))
		return;
	t.value = intern(str_or(json_str(json_get_key(o, "value")), ""));
	for (size_t i = 0; i < ARRAY_LEN(effects); i++) {
		if (!str_eq(effect, effects[i].text))
			continue;
		t.effect = effects[i].effect;
		c->tolerations[c->toleration_count++] = t;
		return;
	}
}

static void take_tolerations(struct constraints *c, const json_object *all)
{
	size_t n = bounded(c, json_len(all));

	c->tolerations = n ? mem_new_n(struct toleration, n) : NULL;
	for (size_t i = 0; i < n; i++)
		take_toleration(c, json_at(all, i));
}

static void take_ports(struct constraints *c, const json_object *ports)
{
	size_t n = bounded(c, json_len(ports));

	c->ports = n ? mem_new_n(struct host_port, n) : NULL;
	for (size_t i = 0; i < n; i++) {
		const json_object *p = json_at(ports, i);
		int64_t number = json_get_i64(p, "hostPort", 0);

		if (number > 0 && number < 65536)
			c->ports[c->port_count++] = (struct host_port){
				(int32_t)number, intern(str_or(json_str(json_get_key(p, "protocol")), "TCP")),
				intern(str_or(json_str(json_get_key(p, "hostIP")), "")) };
	}
}

/* ---- the key ---- */

static bool stays(const json_object *container)
{
	return str_eq(json_str(json_get_key(container, "restartPolicy")), "Always");
}

/* A port of the host. In a pod of the host's network each port is one: the API server writes it into Pods, not into templates. */
static json_object *host_port(const json_object *port, bool host_network)
{
	int64_t number = json_get_i64(port, "hostPort", 0);
	json_object *out;

	if (number <= 0 && host_network)
		number = json_get_i64(port, "containerPort", 0);
	if (number <= 0)
		return NULL;
	out = json_copy(port);
	json_set_i64(out, "hostPort", number);
	return out;
}

/* The host's ports of all containers that stay: sidecars, not the other init containers. NULL = none. */
static void add_ports(json_object **all, const json_object *spec, const char *list, bool sidecars_only)
{
	const json_object *containers = json_get_key(spec, list);
	bool host_network = json_get_bool(spec, "hostNetwork", false);

	for (size_t i = 0; i < json_len(containers); i++) {
		const json_object *c = json_at(containers, i), *ports = json_get_key(c, "ports");

		if (sidecars_only && !stays(c))
			continue;
		for (size_t k = 0; k < json_len(ports); k++) {
			json_object *port = host_port(json_at(ports, k), host_network);

			if (!port)
				continue;
			*all = *all ? *all : json_new_array();
			json_append(*all, port);
		}
	}
}

/* Requests that only kube-scheduler counts: devices ("nvidia.com/gpu") and huge pages. NULL = none. */
static void add_extended(json_object **all, const json_object *containers)
{
	for (size_t i = 0; i < json_len(containers); i++) {
		struct json_iter it = json_iter(json_get(json_at(containers, i), "resources.requests"));

		while (json_iter_next(&it)) {
			if (!strchr(it.key, '/') && !str_has_prefix(it.key, "hugepages-"))
				continue;
			*all = *all ? *all : json_new_object();
			json_set(*all, it.key, json_copy(it.value));
		}
	}
}

static void add_key(struct buf *key, const char *name, const json_object *o)
{
	if (o)
		buf_addf(key, "%s\"%s\":%s", key->len > 1 ? "," : "", name, json_text(o));
}

/* The key is itself a pod spec of just the fields that matter: decoding it again gives the same constraints. */
static void build_key(struct buf *key, const json_object *spec, const json_object *ports, const json_object *extended)
{
	buf_addc(key, '{');
	add_key(key, "nodeSelector", json_get_key(spec, "nodeSelector"));
	add_key(key, "affinity", json_get_key(spec, "affinity"));
	add_key(key, "tolerations", json_get_key(spec, "tolerations"));
	add_key(key, "topologySpreadConstraints", json_get_key(spec, "topologySpreadConstraints"));
	if (ports || extended) {
		buf_addf(key, "%s\"containers\":[{", key->len > 1 ? "," : "");
		if (ports)
			buf_addf(key, "\"ports\":%s%s", json_text(ports), extended ? "," : "");
		if (extended)
			buf_addf(key, "\"resources\":{\"requests\":%s}", json_text(extended));
		buf_adds(key, "}]");
	}
	buf_addc(key, '}');
}

const struct constraints *kube_pod_constraints(const json_object *spec)
{
	cleanup(json_putp) json_object *ports = NULL, *extended = NULL;
	cleanup(buf_fini) struct buf key = BUF_INIT;
	const struct constraints *known;
	struct constraints *c;

	add_ports(&ports, spec, "containers", false);
	add_ports(&ports, spec, "initContainers", true);
	add_extended(&extended, json_get_key(spec, "containers"));
	add_extended(&extended, json_get_key(spec, "initContainers"));
	build_key(&key, spec, ports, extended);
	known = constraints_find(key.data);
	if (known)
		return known;
	c = mem_new(struct constraints);
	take_selector(c, json_get_key(spec, "nodeSelector"));
	take_affinity(c, json_get_key(spec, "affinity"));
	take_tolerations(c, json_get_key(spec, "tolerations"));
	take_spread(c, json_get_key(spec, "topologySpreadConstraints"));
	take_ports(c, ports);
	c->unsupported = c->unsupported || extended;
	return constraints_intern(key.data, c);
}
