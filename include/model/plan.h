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
	ACTION_EVICT,		/* healthy pod of node: evict it through the API, as budgets allow, so that it is replaced */
	ACTION_TAINT,		/* node: NoSchedule in the API, it is lost */
	ACTION_UNTAINT,		/* node: it is back */
	ACTION_STOP,		/* at-most-once pod here (original or copy): freeze it */
	ACTION_RESUME,		/* the same: thaw it */
	ACTION_READ_LEASE,	/* node: read its Lease; answer with heal_on_node_lease() */
	ACTION_ASK_MINE,	/* ask the peers which pods of this node are still its own; heal_on_mine(), heal_on_mine_end() */
	ACTION_ASK_GRANT,	/* ask the peers for the lease of at-most-once; heal_on_grant(), heal_on_grant_end() */
	ACTION_ASK_FENCE,	/* pod of node: ask the peers to let it run there no more, in the round `declared`;
				 * heal_on_fence(), heal_on_fence_end() */
	ACTION_ASK_RUNS,	/* ask who runs copies of the pods of heal_overtaken(); heal_on_runs() */
	ACTION_ASK_UNUSED,	/* ask who has no use for the fences of heal_fences_unseen(); heal_on_unused() */
	ACTION_ASK_BLANK,	/* node: a member without a mirror, ask it what runs there; heal_on_blank() */
	ACTION_ASK_FATE,	/* ask what became of the pods of heal_fate_question(); heal_on_fate() */
	ACTION_REFUSE,		/* pod: cannot be restored, `reason` says why; to be told, not to be done */
};

struct action {
	enum action_kind kind;
	char pod_uid[UID_SIZE];
	const char *node;		/* interned: the lost node, or the node in question */
	uint32_t epoch, rank;
	struct mono declared;		/* when the loss was declared; 0 = not about a loss */
	int64_t wait_ms;		/* restore: from the claim to the manifest, for a better claim to be heard */
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
