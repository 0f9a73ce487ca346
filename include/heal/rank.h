/* heal/rank.h — who should take which lost pod; the same answer on every node that has the same facts
 *
 * Lost pods are taken in the order (priority descending, namespace, name, uid). For each, the fit candidates are ordered by free
 * CPU after placement (descending, in steps of RANK_CPU_STEP), pods of the same ReplicaSet already there or claimed (ascending)
 * and hash(pod uid, node name); the first one's capacity is reduced and the next pod placed. No two nodes compare equal, so
 * there is one rank 0.
 */
#pragma once
#include <stddef.h>
#include "heal/fit.h"
#include "model/node.h"
#include "model/pod.h"

#define RANK_CPU_STEP 250		/* milli-CPU: a smaller difference of load is noise and must not beat the spread */
#define RANK_DEPTH 4			/* ranks kept per pod; when all of them stay silent the pod is ranked anew */
#define RANK_GONE 16			/* nodes that gave a pod up in one epoch, as many as are remembered */
#define RANK_EXCLUDE (RANK_GONE + RANK_DEPTH + 1)	/* who gave up, who stayed silent, and ourselves */

struct bidder {
	const char *name;		/* interned */
	const struct node *node;	/* its mirrored Node, for the filters */
	struct resources free;		/* what it may still take, by requests; rank_place() subtracts from it */
	int64_t bid_cpu;		/* what it bids: free CPU as its tag tells, lowered by its load; never decides what fits */
	const struct constraints **held;	/* host ports taken by what the mirror does not show: claims, losses */
	size_t held_count;
	const char **claimed;		/* owners of the pods it claimed: they count for the spread */
	size_t claimed_count;
};

struct rank_pod {			/* one lost pod */
	const char *uid, *ns, *name;	/* borrowed */
	const char *owner;		/* interned uid of the ReplicaSet */
	int32_t priority;
	struct resources request;
	const struct constraints *constraints;
	const struct workload *workload;	/* for its images; NULL = not known */
	const char *exclude[RANK_EXCLUDE];	/* interned nodes that shall not take it now; NULL = none */
	/* filled in: */
	const char *ranks[RANK_DEPTH];	/* interned node names, best first */
	size_t rank_count;		/* 0 = fits nowhere */
	enum fit misfit;		/* how far the best candidate came, when rank_count is 0; FIT_OK: there was none */
};

/* Sorts `pods` and fills in their ranks. `offline`: the outage's taints do not count (fit_constraints()), the images do
 * (fit_images()). O(pods × bidders). */
void rank_place(struct rank_pod *pods, size_t pod_count, struct bidder *bidders, size_t bidder_count, bool offline);
/* It shall not take the pod now. */
bool rank_excludes(const struct rank_pod *p, const char *node);	/* node: interned */
/* My place in the ranking, or -1. */
int rank_of(const struct rank_pod *p, const char *node);
