/* model/plan.h — what heal/ decided; agent/ executes it */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/clock.h"
#include "model/claim.h"
#include "model/pod.h"

#define REASON_SIZE 160

enum action_kind {
	ACTION_PROBE,		/* node: try its kubelet and healer port; answer with heal_on_probe() */
	ACTION_WITNESS,		/* node: ask the peers; answer with heal_on_witness(), then heal_on_witness_end() */
	ACTION_BIND,		/* pod: bind it to this node; answer with heal_on_bind() */
	ACTION_RESTORE,		/* pod of node: claim it and start a copy here */
	ACTION_WITHDRAW,	/* our copy of pod: it lost its claim or did not start */
	ACTION_DROP,		/* our copy of pod: handed over */
	ACTION_REPLACE,		/* pod of node: delete it from the API so that its ReplicaSet replaces it */
	ACTION_REFUSE,		/* pod: cannot be restored, `reason` says why; to be told, not to be done */
};

struct action {
	enum action_kind kind;
	char pod_uid[UID_SIZE];
	const char *node;		/* interned: the lost node, or the node in question */
	uint32_t epoch, rank;
	struct mono declared;		/* when the loss was declared; 0 = not about a loss */
	char reason[REASON_SIZE];
};

struct plan {
	struct action *items;
	size_t count, cap;
	struct mono next_due;		/* when to think again although nothing changed; 0 = only on a change */
};

void plan_fini(struct plan *p);
struct action *plan_add(struct plan *p, enum action_kind kind);	/* zeroed; borrowed until the next add */
void plan_wake_at(struct plan *p, struct mono due);		/* next_due = the earlier of the two */
const char *action_name(enum action_kind k);
