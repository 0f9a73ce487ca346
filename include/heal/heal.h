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
#include "model/fate.h"
#include "model/goodbye.h"
#include "model/peer.h"
#include "model/plan.h"
#include "model/view.h"
#include "model/workload.h"

#define HEAL_NAMESPACES_MAX 64
#define HEAL_LOST_PROBE_MS 5000		/* a lost node is probed this often: gossip can be half a minute late with its return */
#define HEAL_REFUTED_RETRY_MS 1000	/* a refuted suspicion is looked at again after this */
#define HEAL_FLAP_MS 5000		/* a suspect that answered must be silent for this long before peers are asked again … */
#define HEAL_FLAP_PROBE_MS 500		/* … and is probed this often meanwhile: a link that flaps may be there for no longer */
#define HEAL_PROBES_PER_S 5		/* of one suspect that answers, by all of its site together */
#define HEAL_HEALER_DEAD_MS 20000	/* a pod that is replaced, its image being there, is back within this */
#define HEAL_DOUBTS_ALONE 3		/* what is no proof delays a loss once; so often where the only other witness sees it */
#define HEAL_GOODBYE_MS 60000		/* a suspect whose healer said goodbye is not called lost for this long (a reboot), or … */
#define HEAL_GOODBYE_SILENT 3		/* … until its ports have been silent for this many times node_grace: it is down */
#define HEAL_DISSENTERS_MAX 8		/* that are named */
#define HEAL_REFUSED_RETRY_MS 5000	/* a pod that fits nowhere is ranked again after this */
#define HEAL_GAVE_UP_FIRST_MS 10000	/* when all who could take a pod gave up, they are asked again after this, then twice … */
#define HEAL_GAVE_UP_RETRY_MS 60000	/* … and this at most */
#define HEAL_STALE_RETRY_MS 500		/* without fresh membership: look again after this */
#define HEAL_ANSWER_MS 3000		/* a probe or a question without any answer for this long is given up */
#define HEAL_PROBE_LOOK_MS 100		/* how often a probe that is overdue is looked at */
#define HEAL_BIND_RETRY_MS 5000		/* a binding without a visible effect is tried again after this */
#define HEAL_SETTLE_MS 10000		/* how long a returned node must look healthy before its old "Ready" is believed */
#define HEAL_ROOM_MS 30000		/* a replacement that finds no room for this long gets that of the copy it replaces … */
#define HEAL_ROOM_STEP_MS 5000		/* … the next copy of the same ReplicaSet this much later */
#define HEAL_API_SETTLE_MS 60000	/* … this long where gossip does not show the node: NotReady took 51.7 s (seen) */
#define HEAL_HOME_MS 90000		/* kubelet gets this long to start its own pods: a mirror pod took as long (seen) */
#define HEAL_REPLACE_RETRY_MS 10000	/* a lost API pod that is still there is deleted again after this */
#define HEAL_VOICE_MS 15000		/* what a peer said of its own link is believed rather than its tag for this long */
#define HEAL_LEASE_HOLD_MS 12000	/* a node that its Lease proved alive is looked at again: kubelet renews every 10 s */
#define HEAL_LEASE_READ_MS 5000		/* how often a lost node's Lease is read again: it may prove us wrong */
#define HEAL_LEASE_AGAIN_MS 1000	/* the same, while it proves neither */
#define HEAL_LEASE_SILENCE_MS 3000	/* gossip reports a failure after at least this much silence (Serf's suspicion is 4 s) */
#define HEAL_FOUND_MS 3000		/* who is failed within this after we came, was so before: its Lease must be older */
#define HEAL_LEASE_SKEW_MS 5000		/* a Lease from further in the future has another clock and proves nothing by its time */
#define HEAL_TAINT "edge-healer.io/unreachable"
#define HEAL_TAINT_WAIT_MS 1000		/* a lost node's pods are deleted when it has the taint, or after this */
#define HEAL_MARK_KEEP_MS 600000	/* how long it is remembered what was done, when nothing is left to heal */
#define HEAL_TAINT_RETRY_MS 10000	/* a taint that is not as it should be is written again after this */
#define HEAL_ALONE_MS 5000		/* a rebooted node waits this long for its first peer; then it is a site of one, or of
					 * two with its gateway, that goes on: a lone node of three or more starts nothing */
#define HEAL_MINE_RETRY_MS 2000		/* the question of a rebooted node is put again after this, if too few answered */
#define HEAL_BLANK_ASK_MS 2000		/* how often a member without a mirror is asked what runs there … */
#define HEAL_BLANK_FRESH_MS 10000	/* … and for how long its last answer counts */
#define HEAL_BLANK_SETTLE_MS 35000	/* who came within this may hold a claim that we have not heard: repeated every 30 s */
#define HEAL_MINE_MAX 128		/* pods of one node; kubelet's own limit is 110 */
/* At most once: whoever may run such a pod holds a lease of stop_after from a majority of its site, counted from when it asked.
 * Others start the pod only when a majority says that its last grant is older than heal_start_delay_ms(): no clocks are compared,
 * only durations, and the allowance is for clocks that run at different speeds and for the time that freezing takes. */
#define HEAL_LEASE_PARTS 4		/* the lease is asked for anew this many times in stop_after */
#define HEAL_STIR_MS 10000		/* a member that came or went within this is not seen alike by all: claims may cross */
#define HEAL_RUNS_MAX 64		/* pods in one question who runs them: it must fit into a Serf query */
#define HEAL_RUNS_RETRY_MS 1000	/* between two questions who runs the copies that overtook ours */
#define HEAL_VOUCH_MS 30000		/* an online peer holds a lost pod for this long after it was seen to work on it */
#define HEAL_VOUCH_ASK_MS 10000	/* … and is asked this often */
#define HEAL_FATE_MAX 64		/* pods in one question what became of them: it must fit into a Serf query */
#define HEAL_FATE_QUESTIONS 16		/* … and so many questions at once */
#define HEAL_FATE_PREFIX_MIN 8		/* fewer characters of a uid name no pod */
#define HEAL_LEASE_FIRST_MS 3000	/* the first lease of a node must come within this */
#define HEAL_ALLOWANCE_MS 2000
#define HEAL_ALLOWANCE_PERCENT 10
#define HEAL_ONCE_MEMBERS 3		/* a smaller site has no majority without the lost node: nobody else starts its pods */
#define HEAL_FENCE_FRESH_MS 5000	/* a fence is acted upon within this, else asked for again … */
#define HEAL_FENCE_RETRY_MS 2000
#define HEAL_FENCE_PAUSE_MS 700		/* … up to three of these later, so that two askers do not refuse each other for ever */
#define HEAL_FENCE_HOLD_MS 90000	/* … and held by those who gave it for this long at least: three repeats of a claim */
#define HEAL_UNUSED_RETRY_MS 5000	/* between two questions to the holders of fences that nobody sees used */
#define HEAL_UNUSED_MAX 64		/* pods in one of them: it must fit into a Serf query */
#define HEAL_CLAIM_HOLD_MS 105000	/* a claim that its living claimant did not repeat for this long has ended: three repeats */
#define HEAL_FENCE_NODES 8		/* so many nodes lose an at-most-once pod in turn; then it waits for the API server */
#define HEAL_FENCES_MAX 1024		/* remembered; the oldest go first */

struct heal_conf {
	const char *self;		/* interned node name */
	const char *site;		/* interned; "" = the cluster is one site */
	const char *namespaces[HEAL_NAMESPACES_MAX];	/* globs, "!" excludes; the last match decides */
	size_t namespace_count;
	enum heal_policy policy;	/* of workloads without an annotation */
	enum keep_policy keep;		/* of those without that annotation */
	int64_t bind_grace_ms, node_grace_ms, claim_timeout_ms, start_timeout_ms, peer_ttl_ms, gone_grace_ms;
	int64_t local_grace_ms, stop_after_ms;
	int64_t doubt_ms;		/* what is no proof delays a loss for so long, see doubt.c */
	int64_t lease_grace_ms;		/* a lost node's Lease must be this old before its pods are replaced */
	bool minority_active;		/* act for at-least-once workloads without a majority too */
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
	uint64_t mirror_version;	/* how fresh the mirror is, see model/stamp.h */
	struct wall wall;		/* for Leases and "longest" only */
	bool cold_boot;			/* this machine booted and the API server has not answered since */
	int gateway;			/* our default gateway: 1 answers, 0 not known, -1 does not answer */
	const struct map *running;	/* uid → anything: pods with a process here, at running_at; NULL = not known */
	struct mono running_at;
	const struct map *stopped;	/* uid → anything: pods that are frozen here; NULL = none */
};

struct tick { struct mono now; bool tilted; };

/* One suspected or lost node, for status. */
enum suspect_state { SUSPECT_GRACE, SUSPECT_ASKING, SUSPECT_REFUTED, SUSPECT_LOST };
struct suspect_view {
	const char *node;
	enum suspect_state state;
	struct mono since;
	const char *note;
	struct mono doubt_until;	/* what is no proof may delay its verdict until then; 0 = nothing has */
	bool contested;			/* lost, although a peer sees it or a port accepts */
	struct mono healer_dead;	/* when its kubelet had answered for HEAL_HEALER_DEAD_MS, and its healer not; 0 = not so */
	const char *dissenters[HEAL_DISSENTERS_MAX];	/* peers that say that they see it; interned */
	size_t dissenter_count;
};

/* One pod under treatment, for status. */
enum loss_cause { LOSS_UNBOUND, LOSS_NODE, LOSS_LOCAL, LOSS_COLD_BOOT };
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
enum probe_answer {
	PROBE_SILENT,			/* nothing accepts, or somebody else is there by now */
	PROBE_HEALER,			/* its healer names the node */
	PROBE_KUBELET,			/* its kubelet shows its certificate, and its healer does not answer */
	PROBE_ACCEPTS,			/* a port accepts, and nobody shows who he is */
};
void heal_on_probe(struct heal *h, const char *node, enum probe_answer answer, struct mono now);
/* What a peer says. sees: its gossip does, or its probe; bare: that was a port without identity; api: its own link is online. */
struct witness { bool sees, api, bare; };
void heal_on_witness(struct heal *h, const char *node, const char *from, struct witness w, struct mono now);
/* A peer tells of its own link: gossip can be late with its tag. */
void heal_on_link(struct heal *h, const char *from, bool api, struct mono now);
/* A member says that it goes, or somebody says so in its name: that delays its loss, once, and proves nothing (goodbye.c). */
void heal_on_goodbye(struct heal *h, const char *node, enum goodbye reason, struct mono now);
/* A peer asks about the node: it has waited its grace out. We look at once too, if we suspect it ourselves, so that all reach
 * the same verdict at nearly the same time: ranks are counted from it. */
void heal_on_asked(struct heal *h, const char *node, struct mono now);
void heal_on_witness_end(struct heal *h, const char *node);	/* nobody else will answer */
void heal_on_bind(struct heal *h, const char *pod_uid, bool bound, struct mono now);
void heal_on_observed(struct heal *h, const char *pod_uid);	/* mode observe: the action was only reported */
void heal_on_restore_failed(struct heal *h, const char *pod_uid, struct mono now);

/* The Lease of a suspect, as the API server has it: a renewal after gossip lost the node proves it alive. */
void heal_on_node_lease(struct heal *h, const char *node, struct wall renewed, struct wall now);

/* After a reboot: what a peer knows of our pods. `uids`: those bound to us in its mirror that nobody else holds. */
struct mine { uint64_t mirror /* model/stamp.h */; const char *const *uids; size_t count; };
void heal_on_mine(struct heal *h, const char *from, const struct mine *m);
void heal_on_mine_end(struct heal *h, struct mono now);
/* Our side of that question: fills uids (borrowed from the view) and returns how many. */
size_t heal_mine_of(const struct heal *h, const struct view *view, const char *node, const char *uids[HEAL_MINE_MAX]);

/* A member without a mirror has answered, for itself alone. missing: pods that should run there (bound to it and not claimed by
 * others, or claimed by it) and that it does not name. rebooted: its boot id is not the one that its Node has. */
struct blank_answer { bool rebooted; const char *const *missing; size_t count; };
/* True: that is news. */
bool heal_on_blank(struct heal *h, const char *node, const struct blank_answer *x, struct mono now);

/* Our copies that run although a peer's claim is better: which to ask about (borrowed until the next tick), and the answer: it runs
 * copies of these. */
size_t heal_overtaken(struct heal *h, const char *uids[HEAL_RUNS_MAX], struct mono now);
void heal_on_runs(struct heal *h, const char *from, const char *const *uids, size_t n);

/* We are offline and a peer is online: which lost pods to ask its kind about, all of one node (borrowed until the next tick);
 * called until it returns 0. The answer for one of them, by the first characters of its uid. */
size_t heal_fate_question(struct heal *h, const char **out_node, const char *uids[HEAL_FATE_MAX], struct mono now);
void heal_on_fate(struct heal *h, const char *uid_prefix, enum fate fate, struct mono now);
/* Our side of that question, while we are online and the mirror is in sync. `node`: where the pod was bound. */
enum fate heal_fate_of(const struct heal *h, const struct view *view, const char *node, const char *uid_prefix, struct mono now);
/* ACTION_REPLACE came to an end: the pod is gone from the cluster, or that was refused. */
void heal_on_replaced(struct heal *h, const char *pod_uid, const char *node, bool done, struct mono now);

/* At most once, as the holder of a lease. `fenced`: uids of our pods that the peer has let somebody else take. An answer to an
 * older question than the last one is of no use: the lease counts from the question. */
struct grant { struct mono asked; const char *const *fenced; size_t count; };	/* asked: action.declared of the question */
void heal_on_grant(struct heal *h, const char *from, const struct grant *g);
void heal_on_grant_end(struct heal *h, struct mono asked);
struct mono heal_lease_until(const struct heal *h);		/* 0 = none; to be stored: it outlives the process */
void heal_set_lease(struct heal *h, struct mono until);		/* of a former process in this boot */
/* Until now nothing could be asked for, as in mode observe: pods that run are judged after HEAL_LEASE_FIRST_MS, not at once. */
void heal_lease_anew(struct heal *h);
/* asked: action.declared of the question; an answer to an older one counts for nothing. */
struct permit { const char *pod_uid; struct mono asked; bool permits; };
void heal_on_fence(struct heal *h, const char *from, const struct permit *p);
void heal_on_fence_end(struct heal *h, const char *pod_uid, struct mono asked);
/* As one who grants. A question for a grant is always granted, but for the pods it returns (at most HEAL_MINE_MAX, borrowed until
 * the next call). A fence is permitted when the pod's node has asked us before and its last grant is old enough, and so for who
 * holds the pod's fence now; not if our mirror is as fresh as the asker's and has no such pod. */
struct grant_question { const char *node; int64_t stop_after_ms; };
size_t heal_asked_grant(struct heal *h, const struct grant_question *q, const char *fenced[HEAL_MINE_MAX], struct mono now);
struct fence_question { const char *pod_uid, *node, *asker; uint64_t mirror; };		/* mirror: the asker's stamp */
bool heal_asked_fence(struct heal *h, const struct view *view, const struct peers *peers, const struct fence_question *q,
		      struct mono now);
/* The fences outlive the process and the boot: a permission is stored before it is given. They are saved anew whenever the number
 * that heal_fences_version() gives has changed; asker: who holds the fence. One call for each node where the pod must not run. */
unsigned heal_fences_version(const struct heal *h);
void heal_each_fence(const struct heal *h, void (*fn)(void *arg, const struct fence_question *f), void *arg);
void heal_set_fence(struct heal *h, const struct fence_question *f, struct mono now);	/* of a former process */
/* Who has asked us for grants: saved and set with them. */
void heal_each_grant(const struct heal *h, void (*fn)(void *arg, const struct grant_question *q), void *arg);
void heal_set_grant(struct heal *h, const struct grant_question *q);
/* The pods whose fences we gave and see nobody use: which to ask their holders about (borrowed until the next tick; returns how
 * many), in the round that began at `now`. The answer of a holder: of these it has no use. */
size_t heal_fences_unseen(struct heal *h, const char *uids[HEAL_UNUSED_MAX], struct mono now);
void heal_on_unused(struct heal *h, const char *from, struct mono asked, const char *const *uids, size_t n);
/* As a holder: do we claim the pod, or ask to? Matches the first `len` characters of its uid. That no copy of it is here the caller
 * knows. */
bool heal_uses(const struct heal *h, const char *uid, size_t len);
/* The start delay: longer than stop_after by the allowance. */
int64_t heal_start_delay_ms(int64_t stop_after_ms);

/* A claim from gossip, the store or ourselves. */
enum claim_news heal_on_claim(struct heal *h, const struct claim *c, struct mono now);
const struct claims *heal_claims(const struct heal *h);
/* Does anybody need the claim? The pod may be gone from the cluster and its copy run on: the ReplicaSet has not replaced it yet. */
bool heal_claim_is_in_use(const struct view *v, const struct claim *c);
void heal_forget_claim(struct heal *h, const char *pod_uid);
const struct claim *heal_settle_claim(struct heal *h, const char *pod_uid);	/* as claims_settle() */

/* Why a Pending pod is not ours to bind; NULL = it is. Static text. */
const char *heal_leaves_alone(const struct heal *h, const struct view *view, const struct pod *p);
bool heal_wants_namespace(const struct heal_conf *conf, const char *ns);
bool heal_has_majority(const struct heal *h, const struct peers *peers);
bool heal_breaker_is_open(const struct heal *h);
size_t heal_open_losses(const struct heal *h);
/* At most once: is there a sign that the node still runs? Then nobody permits a start of its pods. */
bool heal_may_still_run(const struct heal *h, const char *node);
void heal_each_suspect(const struct heal *h, void (*fn)(void *arg, const struct suspect_view *s), void *arg);
void heal_each_loss(const struct heal *h, void (*fn)(void *arg, const struct loss_view *l), void *arg);
const char *suspect_state_name(enum suspect_state s);
const char *loss_state_name(enum loss_state s);
const char *loss_cause_name(enum loss_cause c);
