/* model/view.h — the mirror in memory: pods, ReplicaSets and nodes, and how they hang together
 *
 * Owns what is put into it. Iteration order is never used for a decision (it differs between nodes): heal/ sorts.
 */
#pragma once
#include "base/clock.h"
#include "base/map.h"
#include "model/node.h"
#include "model/pod.h"
#include "model/workload.h"

struct view {
	struct map *pods;		/* uid → struct pod */
	struct map *workloads;		/* uid → struct workload */
	struct map *nodes;		/* name → struct node */
	struct list unbound;		/* struct pod.unbound: Pending, no node, not deleting */
	struct list orphans;		/* pods on no known node or of no known ReplicaSet hang here by_node / by_owner */
	struct list loose;
};

struct view *view_new(void);
void view_free(struct view *v);

/* Insert or replace; ownership moves in. A pod keeps its unbound_since over updates while it stays unbound. */
void view_put_pod(struct view *v, struct pod *p, struct mono now);
void view_put_workload(struct view *v, struct workload *w);
void view_put_node(struct view *v, struct node *n);
/* Remove and free; absent is fine. */
void view_remove_pod(struct view *v, const char *uid);
void view_remove_workload(struct view *v, const char *uid);
void view_remove_node(struct view *v, const char *name);

struct pod *view_pod(const struct view *v, const char *uid);			/* NULL = absent */
struct workload *view_workload(const struct view *v, const char *uid);
struct node *view_node(const struct view *v, const char *name);
/* allocatable minus the requests of the active pods on it; may be negative. */
struct resources node_free_resources(const struct node *n);
