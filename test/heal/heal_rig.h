/* heal_rig.h — one engine with hand-made facts in virtual time
 *
 * A rig begins with N living nodes n1 … nN of one site (4 cores, 8 GiB, 110 pods each), the link offline, no pods; the engine is
 * n1's. A tick answers nothing by itself: the plan of the last one is looked at with rig_find() and rig_count().
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "heal/heal.h"

#define RIG_NODES_MAX 64
#define GIB (INT64_C(1) << 30)

struct rig {
	struct mono now;
	bool tilted;
	struct view *view;
	struct peer items[RIG_NODES_MAX];
	struct peers peers;
	struct map *copies;
	struct heal_conf conf;
	struct heal *heal;
	struct heal_facts f;
	struct plan plan;
};

void rig_init(struct rig *g, size_t nodes);
void rig_fini(struct rig *g);
void rig_reconf(struct rig *g);				/* after a change of g->conf */
struct peer *rig_peer(struct rig *g, const char *name);
struct node *rig_node(struct rig *g, const char *name);
/* A ReplicaSet with uid "rs-NAME". */
struct workload *rig_rs(struct rig *g, const char *name, int32_t replicas);
/* A running, Ready pod of 100m with uid "uid-NAME" on `node` (NULL = Pending); borrowed from the view. */
struct pod *rig_pod(struct rig *g, const char *name, const char *rs, const char *node);
struct copy *rig_copy(struct rig *g, const char *uid, enum copy_state state);	/* ours, of a pod in the view, claimed by us */
void rig_copy_gone(struct rig *g, const char *uid);
enum claim_news rig_claim(struct rig *g, const char *uid, const char *node, uint32_t epoch, enum claim_state state);

void rig_status(struct rig *g, const char *node, enum peer_status s);
void rig_link(struct rig *g, enum link_state s);
void rig_tick(struct rig *g);				/* with fresh membership; fails when the plan would spin */
void rig_after(struct rig *g, int64_t ms);		/* advance, then tick */
/* All the evidence: gossip says failed, our probe fails, every other living member of the site confirms. Ends with a tick. */
void rig_lose(struct rig *g, const char *node);
void rig_lose_evidence(struct rig *g, const char *node);	/* the same, without the last tick */

void rig_voice(struct rig *g, const char *node, const char *from, bool sees);	/* a witness speaks */

size_t rig_effects(const struct rig *g);		/* actions that change something: no questions */
size_t rig_count(const struct rig *g, enum action_kind kind);
const struct action *rig_find(const struct rig *g, enum action_kind kind, const char *uid_or_node);	/* NULL = absent */
const char *rig_rank(const struct rig *g, const char *uid, size_t k);	/* of the loss; NULL = none */
bool rig_view(const struct rig *g, const char *node, struct suspect_view *out);	/* false: it is no suspect */
enum suspect_state rig_suspect(const struct rig *g, const char *node);	/* fails when it is none */
bool rig_loss(const struct rig *g, const char *uid, struct loss_view *out);

struct workload *rig_once_rs(struct rig *g, int32_t replicas);	/* "one", at most once */
size_t rig_asked_by(struct rig *g, const char *node, const char *fenced[HEAL_MINE_MAX]);	/* it asks for a grant: its fenced pods */
size_t rig_fenced_for(struct rig *g, const char *node);	/* the same, how many */
void rig_all_ask(struct rig *g);			/* whose leases are to run out before anybody takes their pods */
bool rig_ask_fence(struct rig *g, const char *node, const char *asker);	/* for the node's uid-one-1 */

void rig_only_me(struct rig *g);			/* only n1 may take pods: the others lose their capacity tags */
void rig_rank_first(struct rig *g, const char *first);	/* free CPU decides: `first` before the others, we last */
void rig_lists(struct node *n, const char *const *images, size_t count);	/* just these images */
void rig_needs(struct workload *w, const char *image);	/* its template, one more image */
