/* fit.c — the scheduler's filters */
#include "heal/fit.h"

#include "base/str.h"
#include "heal/heal.h"

#define TAINT_UNSCHEDULABLE "node.kubernetes.io/unschedulable"
#define TAINT_NOT_READY "node.kubernetes.io/not-ready"
#define TAINT_UNREACHABLE "node.kubernetes.io/unreachable"

/* k8s.io/api/core/v1/toleration.go ToleratesTaint */
static bool tolerates(const struct toleration *t, const struct taint *taint)
{
	if (t->effect != TAINT_NONE && t->effect != taint->effect)
		return false;
	if (!str_is_empty(t->key) && !str_eq(t->key, taint->key))
		return false;
	return t->exists || str_eq(str_or(t->value, ""), str_or(taint->value, ""));
}

static bool tolerated(const struct constraints *c, const struct taint *taint)
{
	for (size_t i = 0; i < c->toleration_count; i++)
		if (tolerates(&c->tolerations[i], taint))
			return true;
	return false;
}

static bool taint_repels(const struct constraints *c, const struct taint *t, bool ignore_outage)
{
	if (t->effect != TAINT_NO_SCHEDULE && t->effect != TAINT_NO_EXECUTE)
		return false;
	if (ignore_outage && (str_eq(t->key, TAINT_NOT_READY) || str_eq(t->key, TAINT_UNREACHABLE) || str_eq(t->key, HEAL_TAINT)))
		return false;
	return !tolerated(c, t);
}

static bool value_is_in(const struct match_expr *e, const char *value)
{
	for (size_t i = 0; i < e->value_count; i++)
		if (str_eq(e->values[i], value))
			return true;
	return false;
}

static bool compare_numbers(const struct match_expr *e, const char *value)
{
	int64_t have, want;

	if (e->value_count != 1 || num_parse_i64(value, INT64_MIN, INT64_MAX, &have) < 0 ||
	    num_parse_i64(e->values[0], INT64_MIN, INT64_MAX, &want) < 0)
		return false;
	return e->op == MATCH_GT ? have > want : have < want;
}

static bool expr_matches(const struct match_expr *e, const struct node *n)
{
	const char *value = !e->is_field ? node_label(n, e->key) : str_eq(e->key, "metadata.name") ? n->name : NULL;

	switch (e->op) {
	case MATCH_IN:
		return value && value_is_in(e, value);
	case MATCH_NOT_IN:
		return !value || !value_is_in(e, value);
	case MATCH_EXISTS:
		return value != NULL;
	case MATCH_DOES_NOT_EXIST:
		return value == NULL;
	case MATCH_GT:
	case MATCH_LT:
		return value && compare_numbers(e, value);
	}
	return false;
}

static bool term_matches(const struct match_term *t, const struct node *n)
{
	for (size_t i = 0; i < t->count; i++)
		if (!expr_matches(&t->exprs[i], n))
			return false;
	return t->count > 0;
}

static bool affinity_matches(const struct constraints *c, const struct node *n)
{
	for (size_t i = 0; i < c->term_count; i++)
		if (term_matches(&c->terms[i], n))
			return true;
	return !c->has_affinity;
}

static bool selector_matches(const struct constraints *c, const struct node *n)
{
	for (size_t i = 0; i < c->selector_count; i++)
		if (!str_eq(node_label(n, c->selector[i].key), c->selector[i].value))
			return false;
	return true;
}

enum fit fit_constraints(const struct constraints *c, const struct node *n, bool ignore_outage)
{
	static const struct taint cordon = { TAINT_UNSCHEDULABLE, "", TAINT_NO_SCHEDULE };

	if (c->unsupported)
		return FIT_UNSUPPORTED;
	if (n->unschedulable && !tolerated(c, &cordon))
		return FIT_UNSCHEDULABLE;
	for (size_t i = 0; i < n->taint_count; i++)
		if (taint_repels(c, &n->taints[i], ignore_outage))
			return FIT_TAINT;
	if (!selector_matches(c, n))
		return FIT_SELECTOR;
	return affinity_matches(c, n) ? FIT_OK : FIT_AFFINITY;
}

enum fit fit_images(const struct workload *w, const struct node *n)
{
	for (size_t i = 0; w && i < w->image_count; i++)
		if (image_list_has(&n->images, w->images[i]) == IMAGE_ABSENT)
			return workload_is_ready_on(w, n->name) ? FIT_OK : FIT_IMAGE;
	return FIT_OK;
}

static bool any_ip(const char *ip)
{
	return str_is_empty(ip) || str_eq(ip, "0.0.0.0");
}

static bool ports_clash(const struct host_port *a, const struct host_port *b)
{
	return a->port == b->port && str_eq(a->protocol, b->protocol) &&
	       (any_ip(a->ip) || any_ip(b->ip) || str_eq(a->ip, b->ip));
}

bool fit_ports_clash(const struct constraints *a, const struct constraints *b)
{
	for (size_t i = 0; i < a->port_count; i++)
		for (size_t j = 0; j < b->port_count; j++)
			if (ports_clash(&a->ports[i], &b->ports[j]))
				return true;
	return false;
}

enum fit fit_ports(const struct constraints *c, const struct node *n)
{
	if (!c->port_count)
		return FIT_OK;
	list_for_each(p, &n->pods, struct pod, by_node)
		if (pod_is_active(p) && p->constraints && fit_ports_clash(c, p->constraints))
			return FIT_PORT;
	return FIT_OK;
}

enum fit fit_resources(const struct resources *want, const struct resources *have)
{
	if (want->pods > have->pods)
		return FIT_PODS;
	if (want->cpu_milli > 0 && want->cpu_milli > have->cpu_milli)
		return FIT_CPU;
	return want->mem_bytes > 0 && want->mem_bytes > have->mem_bytes ? FIT_MEMORY : FIT_OK;
}

const char *fit_reason(enum fit f)
{
	static const char *const reasons[] = {
		[FIT_OK] = "fits",
		[FIT_UNSUPPORTED] = "required pod affinity, hard topology spread or devices: only kube-scheduler judges these",
		[FIT_UNSCHEDULABLE] = "node is cordoned",
		[FIT_TAINT] = "untolerated taint",
		[FIT_SELECTOR] = "node selector does not match",
		[FIT_AFFINITY] = "node affinity does not match",
		[FIT_IMAGE] = "its image is not on the node, and nothing can be pulled offline",
		[FIT_PORT] = "host port is taken",
		[FIT_CPU] = "not enough CPU",
		[FIT_MEMORY] = "not enough memory",
		[FIT_PODS] = "too many pods",
	};

	return reasons[f];
}
