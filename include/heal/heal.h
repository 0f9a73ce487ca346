/* heal/heal.h — the thinking: facts and `now` in, a plan out
 *
 * No I/O, no clock, no log. The agent calls heal_tick() whenever a fact changed or plan.next_due came, and feeds answers of
 * actions back through heal_on_*(). The happy path of a node lost while the API server is away:
 *
 *   members poll says failed ─> grace ─> own probe fails ─> ask peers ─> enough witnesses, majority visible ─> LOST
 *   ─> its pods ranked once ─> rank 0 restores at once, rank k after k × claim_timeout without a claim
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/clock.h"
#include "base/map.h"
#include "heal/claims.h"
#include "heal/link.h"
#include "model/copy.h"
#include "model/peer.h"
#include "model/plan.h"
#include "model/view.h"
#include "model/workload.h"

#define HEAL_NAMESPACES_MAX 64
#define HEAL_REFUTED_RETRY_MS 1000	/* a refuted suspicion is looked at again after this */
#define HEAL_REFUSED_RETRY_MS 5000	/* a pod that fits nowhere is ranked again after this */
#define HEAL_GAVE_UP_RETRY_MS 60000	/* when all who could take a pod gave up, they are asked again after this */
#define HEAL_STALE_RETRY_MS 500		/* without fresh membership: look again after this */
#define HEAL_ANSWER_MS 3000		/* a probe or a question without any answer for this long is given up */
#define HEAL_PROBE_LOOK_MS 100		/* how often a probe that is overdue is looked at */
#define HEAL_BIND_RETRY_MS 5000		/* a binding without a visible effect is tried again after this */
#define HEAL_SETTLE_MS 10000		/* how long a returned node must look healthy before its old "Ready" is believed */
#define HEAL_REPLACE_RETRY_MS 10000	/* a lost API pod that is still there is deleted again after this */

struct heal_conf {
	const char *self;		/* interned node name */
	const char *site;		/* interned; "" = the cluster is one site */
	const char *namespaces[HEAL_NAMESPACES_MAX];	/* globs, "!" excludes; the last match decides */
	size_t namespace_count;
	enum heal_policy policy;	/* of workloads without an annotation */
	int64_t bind_grace_ms, node_grace_ms, claim_timeout_ms, start_timeout_ms, peer_ttl_ms, gone_grace_ms;
	int witnesses;
	int max_lost_percent;		/* of the site's members; beyond it the breaker opens */
	int restores_per_minute;
};

/* What is true now. Everything is borrowed for the call. */
struct heal_facts {
	const struct view *view;
	const struct peers *peers;
	const struct map *copies;	/* pod uid → struct copy: ours */
	enum link_state link;
	struct mono link_since;
	struct mono synced_at;		/* all watches in sync with the API server since then; 0 = not now */
	struct resources local_free;	/* what this node can still take, by its own books */
	uint64_t mirror_version;	/* newest resourceVersion in the mirror */
};

struct tick { struct mono now; bool tilted; };

/* One suspected or lost node, for status. */
enum suspect_state { SUSPECT_GRACE, SUSPECT_ASKING, SUSPECT_REFUTED, SUSPECT_LOST };
struct suspect_view { const char *node; enum suspect_state state; struct mono since; const char *note; };

/* One pod under treatment, for status. */
enum loss_cause { LOSS_UNBOUND, LOSS_NODE };
enum loss_state { LOSS_OPEN, LOSS_ACTING, LOSS_TAKEN, LOSS_REFUSED };
struct loss_view {
	const char *pod_uid, *lost_node;
	enum loss_cause cause;
	enum loss_state state;
	struct mono declared;
	const char *const *ranks;
	size_t rank_count;
	const char *note;
};

struct heal;

struct heal *heal_new(const struct heal_conf *conf);	/* copies *conf; strings in it are interned or static */
void heal_free(struct heal *h);
void heal_set_conf(struct heal *h, const struct heal_conf *conf);

/* Decide. *plan is cleared first; deterministic: the same facts and history give the same plan. */
void heal_tick(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan);

/* Answers. Unknown nodes or pods are ignored: the question was dropped meanwhile. */
void heal_on_probe(struct heal *h, const char *node, bool reachable, struct mono now);
void heal_on_witness(struct heal *h, const char *node, const char *from, bool sees_it);
/* A peer asks about the node: it has waited its grace out. We look at once too, if we suspect it ourselves, so that all reach
 * the same verdict at nearly the same time: ranks are counted from it. */
void heal_on_asked(struct heal *h, const char *node, struct mono now);
void heal_on_witness_end(struct heal *h, const char *node);	/* nobody else will answer */
void heal_on_bind(struct heal *h, const char *pod_uid, bool bound, struct mono now);
void heal_on_observed(struct heal *h, const char *pod_uid);	/* mode observe: the action was only reported */
void heal_on_restore_failed(struct heal *h, const char *pod_uid, struct mono now);

/* A claim from gossip, the store or ourselves. */
enum claim_news heal_on_claim(struct heal *h, const struct claim *c);
const struct claims *heal_claims(const struct heal *h);
void heal_forget_claim(struct heal *h, const char *pod_uid);

/* The answer to a peer's witness question: do we see the node (alive in gossip, or its port answered lately)?
 * False with *out_known = false: our own probe has not finished. */
bool heal_sees(const struct heal *h, const struct peers *peers, const char *node, bool *out_known);

/* Why a Pending pod is not ours to bind; NULL = it is. Static text. */
const char *heal_leaves_alone(const struct heal *h, const struct view *view, const struct pod *p);
bool heal_wants_namespace(const struct heal_conf *conf, const char *ns);
bool heal_has_majority(const struct heal *h, const struct peers *peers);
bool heal_breaker_is_open(const struct heal *h);
size_t heal_open_losses(const struct heal *h);
void heal_each_suspect(const struct heal *h, void (*fn)(void *arg, const struct suspect_view *s), void *arg);
void heal_each_loss(const struct heal *h, void (*fn)(void *arg, const struct loss_view *l), void *arg);
const char *suspect_state_name(enum suspect_state s);
const char *loss_state_name(enum loss_state s);
const char *loss_cause_name(enum loss_cause c);
