/* view.c — the mirror in memory
 *
 * A pod may arrive before its node or its ReplicaSet: it then waits in `orphans` (by_node) or `loose` (by_owner) and is moved
 * when they come. When they go, their pods wait there again.
 */
#include "model/view.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"

struct view *view_new(void)
{
	struct view *v = mem_new(struct view);

	v->pods = map_new();
	v->workloads = map_new();
	v->nodes = map_new();
	list_init(&v->unbound);
	list_init(&v->orphans);
	list_init(&v->loose);
	return v;
}

static void pod_unlink(struct pod *p)
{
	list_remove(&p->by_node);
	list_remove(&p->by_owner);
	list_remove(&p->unbound);
}

void view_free(struct view *v)
{
	if (!v)
		return;
	map_for_each(struct pod, p, v->pods) {
		pod_unlink(p);
		pod_free(p);
	}
	map_for_each(struct workload, w, v->workloads)
		workload_free(w);
	map_for_each(struct node, n, v->nodes)
		node_free(n);
	map_free(v->pods);
	map_free(v->workloads);
	map_free(v->nodes);
	free(v);
}

static bool pod_is_unbound(const struct pod *p)
{
	return !p->node && p->phase == POD_PENDING && !p->deleting;
}

static void pod_link(struct view *v, struct pod *p)
{
	struct node *n = p->node ? map_get(v->nodes, p->node) : NULL;
	struct workload *w = p->owner ? map_get(v->workloads, p->owner) : NULL;

	if (p->node)
		list_add_tail(n ? &n->pods : &v->orphans, &p->by_node);
	if (p->owner)
		list_add_tail(w ? &w->pods : &v->loose, &p->by_owner);
	if (pod_is_unbound(p))
		list_add_tail(&v->unbound, &p->unbound);
}

void view_put_pod(struct view *v, struct pod *p, struct mono now)
{
	struct pod *old = map_get(v->pods, p->uid);

	if (pod_is_unbound(p))
		p->unbound_since = old && mono_is_set(old->unbound_since) ? old->unbound_since : now;
	if (old) {
		pod_unlink(old);
		(void)map_remove(v->pods, old->uid);
		pod_free(old);
	}
	(void)map_put(v->pods, p->uid, p);
	pod_link(v, p);
}

void view_put_workload(struct view *v, struct workload *w)
{
	struct workload *old = map_remove(v->workloads, w->uid);
	const char *uid = intern(w->uid);	/* owners are interned: one pointer to compare */

	if (old)
		list_for_each_safe(p, &old->pods, struct pod, by_owner) {
			list_remove(&p->by_owner);
			list_add_tail(&w->pods, &p->by_owner);
		}
	workload_free(old);
	(void)map_put(v->workloads, w->uid, w);
	list_for_each_safe(p, &v->loose, struct pod, by_owner) {
		if (p->owner != uid)
			continue;
		list_remove(&p->by_owner);
		list_add_tail(&w->pods, &p->by_owner);
	}
}

void view_put_node(struct view *v, struct node *n)
{
	struct node *old = map_remove(v->nodes, n->name);

	if (old)
		list_for_each_safe(p, &old->pods, struct pod, by_node) {
			list_remove(&p->by_node);
			list_add_tail(&n->pods, &p->by_node);
		}
	node_free(old);
	(void)map_put(v->nodes, n->name, n);
	list_for_each_safe(p, &v->orphans, struct pod, by_node) {
		if (p->node != n->name)
			continue;
		list_remove(&p->by_node);
		list_add_tail(&n->pods, &p->by_node);
	}
}

void view_remove_pod(struct view *v, const char *uid)
{
	struct pod *p = map_remove(v->pods, uid);

	if (!p)
		return;
	pod_unlink(p);
	pod_free(p);
}

void view_remove_workload(struct view *v, const char *uid)
{
	struct workload *w = map_remove(v->workloads, uid);

	if (!w)
		return;
	list_for_each_safe(p, &w->pods, struct pod, by_owner) {
		list_remove(&p->by_owner);
		list_add_tail(&v->loose, &p->by_owner);
	}
	workload_free(w);
}

void view_remove_node(struct view *v, const char *name)
{
	struct node *n = map_remove(v->nodes, name);

	if (!n)
		return;
	list_for_each_safe(p, &n->pods, struct pod, by_node) {
		list_remove(&p->by_node);
		list_add_tail(&v->orphans, &p->by_node);
	}
	node_free(n);
}

struct pod *view_pod(const struct view *v, const char *uid)
{
	return map_get(v->pods, uid);
}

struct workload *view_workload(const struct view *v, const char *uid)
{
	return map_get(v->workloads, uid);
}

struct node *view_node(const struct view *v, const char *name)
{
	return map_get(v->nodes, name);
}

struct resources node_free_resources(const struct node *n)
{
	struct resources left = n->allocatable;

	list_for_each(p, &n->pods, struct pod, by_node)
		if (pod_is_active(p))
			resources_sub(&left, &p->request);
	return left;
}
