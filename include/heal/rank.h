/* heal/rank.h — who should take which lost pod; the same answer on every node that has the same facts
 *
 * Lost pods are taken in the order (priority descending, namespace, name, uid). For each, the fit candidates are ordered by free
 * CPU after placement (descending), pods of the same ReplicaSet already there (ascending) and hash(pod uid, node name); the
 * first one's capacity is reduced and the next pod placed. No two nodes compare equal, so there is one rank 0.
 */
#pragma once
#include <stddef.h>
#include "heal/fit.h"
#include "model/node.h"
#include "model/pod.h"

#define RANK_DEPTH 4			/* ranks kept per pod; when all of them stay silent the pod is ranked anew */

struct bidder {
	const char *name;		/* interned */
	const struct node *node;	/* its mirrored Node, for the filters */
	struct resources free;		/* what it may still take; rank_place() subtracts from it */
};

struct rank_pod {			/* one lost pod */
	const char *uid, *ns, *name;	/* borrowed */
	const char *owner;		/* interned uid of the ReplicaSet */
	int32_t priority;
	struct resources request;
	const struct constraints *constraints;
	const char *exclude[RANK_DEPTH];	/* interned nodes that tried and withdrew, or held it before; NULL = none */
	/* filled in: */
	const char *ranks[RANK_DEPTH];	/* interned node names, best first */
	size_t rank_count;		/* 0 = fits nowhere */
	enum fit misfit;		/* why the last candidate was rejected, when rank_count is 0 */
};

/* Sorts `pods` and fills in their ranks. `ignore_outage` as in fit_constraints(). O(pods × bidders). */
void rank_place(struct rank_pod *pods, size_t pod_count, struct bidder *bidders, size_t bidder_count, bool ignore_outage);
/* My place in the ranking, or -1. */
int rank_of(const struct rank_pod *p, const char *node);
