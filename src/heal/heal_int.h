/* heal/heal_int.h — shared by the files of heal/ only */
#pragma once
#include "heal/heal.h"

#define SUSPECT_VOICES_MAX 128

struct voice { const char *from; struct witness says; };	/* interned; one witness's answer */

struct suspect {
	const char *node;		/* interned */
	enum suspect_state state;
	struct mono since;		/* of the state */
	struct mono due;		/* when to look again */
	bool probing, probed;
	enum probe_answer answer;	/* of the last probe that ended */
	bool proven;			/* it was alive when it was last looked at */
	bool patient;			/* therefore it is probed all through its grace */
	bool ended;			/* nobody else will answer our question */
	struct mono probed_at;		/* when the last probe was sent */
	struct mono probe_due;		/* an outstanding probe is repeated then */
	struct voice voices[SUSPECT_VOICES_MAX];
	size_t voice_count;
	struct mono doubt_until;	/* what is no proof delays the verdict until then; 0 = nothing has */
	unsigned doubts;		/* how often it has */
	bool disputed;			/* lost, although a peer sees it or reaches a port: asked about again … */
	bool asking_again;		/* … now … */
	struct mono again_due;		/* … then */
	bool contested;			/* disputed, or a port accepts us: at most once nothing starts */
	struct mono kubelet_alone;	/* since when its kubelet answers and its healer does not; 0 = not so … */
	struct mono healer_dead;	/* … and when that had lasted for HEAL_HEALER_DEAD_MS */
	struct mono silent_since;	/* no port of it has answered us since; 0 = one has, or none was tried */
	struct mono goodbye_until;	/* its goodbye delays the verdict until then at most; 0 = none was heard */
	bool scanned;			/* its pods have been turned into losses */
	bool found;			/* it was failed already when we came: nobody knows since when it is silent */
	struct wall failed;		/* when gossip reported it first, for its Lease */
	struct wall renewed;		/* its Lease, as last read; 0 = not read */
	struct wall renewed_seen;	/* since when it has not changed */
	struct mono lease_due;		/* when it is read (again) */
	struct mono alive_until;	/* its Lease proved it alive: no verdict before the next renewal must have shown */
	bool lease_read, lease_alive;	/* read since the link is online, and a renewal is missing; it proved the node alive */
	char note[REASON_SIZE];
};

struct loss {
	char uid[UID_SIZE];
	enum loss_cause cause;
	enum loss_state state;
	const char *lost_node;		/* interned; NULL for unbound */
	struct mono declared;		/* when ranked first */
	struct mono due;		/* when this node acts, or looks again; 0 = when its holder gives up */
	uint32_t epoch, min_epoch;	/* min_epoch: all gave up the ones before */
	const char *ranks[RANK_DEPTH];
	size_t rank_count;
	const char *silent[RANK_DEPTH];	/* ranked last time and never heard of */
	struct resources request;
	struct mono barred_until;	/* we failed to restore it: others first */
	struct mono gave_up;		/* since when everyone who fits has given up; 0 = not so */
	unsigned rounds;		/* how often all of them have */
	bool told;			/* the refusal has been told */
	bool may_cross;			/* others may claim it at the same moment, and nothing but the claims decides */
	char note[REASON_SIZE];
};

/* Pods found lost in one tick, ranked together: the result must not depend on the order in which they were found. */
struct batch {
	struct rank_pod *pods;
	size_t count, cap;
};

/* Pods that may be lost, before it is decided. */
struct lost_pods {
	const struct pod **items;
	size_t count, cap;
};

#define HEAL_ASKED_MAX 8		/* questions of peers that are remembered until our gossip notices too */
struct asked { const char *node; struct mono at; };

struct once;				/* of once.c */
struct granter;				/* of fence.c */
struct home;				/* of home.c */
struct vouches;				/* of vouch.c */

/* A copy of any node that runs: of which ReplicaSet, for which pod. */
struct standin { const char *workload, *uid; };		/* interned */
struct standins { struct standin *items; size_t count, cap; };

struct site_count {
	size_t known, alive, old;	/* old: too old for leases */
	size_t newcomers;		/* who may be members by now: they count where a majority must be certain */
};

struct heal {
	struct heal_conf conf;
	int gateway;			/* facts.gateway of the last tick */
	struct map *words;		/* node name → struct word, of site.c */
	struct once *once;
	struct overtakes *overtakes;	/* of overtake.c */
	struct vouches *vouches;	/* of vouch.c */
	struct granter *granter;
	uint64_t mirror;		/* facts.mirror_version of the last tick */
	struct mono there_since;	/* since when we hear the others without a break; 0 = we do not */
	bool once_ended;		/* a round of grants has ended and is to be counted */
	struct home *home;
	struct map *blanks;		/* node name → struct blank, of blank.c */
	struct map *goodbyes;		/* node name → struct said, of goodbye.c */
	struct asked asked[HEAL_ASKED_MAX];
	unsigned asked_next;
	struct map *suspects;		/* node name → struct suspect */
	struct map *losses;		/* pod uid → struct loss */
	struct map *marks;		/* uid or name → struct mark, of marks.c */
	struct claims *claims;
	struct standins standins;	/* of this tick */
	bool breaker_open;
	bool paused;			/* the last tick decided nothing: turns are given anew */
	bool tilted;			/* so was the last tick */
	double tokens;			/* of the restore budget */
	struct mono tokens_at;
	struct resources local_left;	/* of facts.local_free, within one tick */
};

/* suspect.c */
void suspects_tick(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan);
void suspects_doubt(struct heal *h, struct mono now);
void suspects_free(struct heal *h);
bool suspect_is_lost(const struct heal *h, const char *node);
bool suspect_is_alive(const struct heal *h, const char *node);	/* suspected, and proven to be alive */

/* doubt.c: what is no proof */
struct verdict {
	bool proven;			/* the suspect has answered us itself */
	size_t confirm;			/* neither see nor reach it */
	size_t bare;			/* reach a port of it that shows no identity */
	size_t against;			/* see it, they say */
	const char *first;		/* of those against; NULL = none */
};
struct verdict verdict_count(const struct heal *h, const struct suspect *s, const struct peers *peers);
size_t verdict_answered(const struct verdict *v);
/* May `v`, which is no proof, still delay? Begins a delay if so. others: who can be asked. */
bool doubt_delays(const struct heal *h, struct suspect *s, const struct verdict *v, size_t others, struct mono now);
bool verdict_is_lost(const struct heal *h, const struct verdict *v, const struct peers *peers, size_t others);
bool suspect_may_run(const struct heal *h, const char *node);	/* somebody sees it, or a port accepts */

/* goodbye.c */
struct mono goodbye_holds(const struct heal *h, struct suspect *s, struct mono now);	/* the verdict until then; 0 = not at all */
void goodbye_forget(struct heal *h, const char *node);
void goodbyes_free(struct heal *h);

/* site.c */
bool in_my_site(const struct heal *h, const struct peer *p);
struct site_count site_count(const struct heal *h, const struct peers *peers);
bool site_can_lease(struct site_count n);	/* enough members that take part */
bool site_may_act(const struct heal *h, const struct peers *peers);
bool site_answers(const struct heal *h, const struct peers *peers, size_t voices);
bool breaker_trips(const struct heal *h, const struct peers *peers);
void words_put(struct heal *h, const char *from, bool api, struct mono now);
void words_free(struct heal *h);
bool peer_knows_api(const struct heal *h, const struct peer *p, struct mono now);	/* its own link is online */
int64_t online_turn_ms(const struct heal *h, const struct peers *peers, struct mono now);

/* vouch.c: peers that are online, and what they say of lost pods */
struct vouches *vouches_new(void);
void vouches_free(struct vouches *v);
void vouches_tick(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan);
bool vouch_holds(const struct heal *h, const char *uid);	/* somebody else brings that pod back, or has */

/* once.c */
/* overtake.c: a copy of ours runs and `by` has the better claim. Confirmed: `by` says that its own runs. */
struct overtakes *overtakes_new(void);
void overtakes_free(struct overtakes *all);
bool overtake_is_confirmed(struct overtakes *all, const char *pod_uid, const char *by);
void overtake_ended(struct overtakes *all, const char *pod_uid);	/* nobody's claim is better any more */
void overtakes_tick(struct overtakes *all, const struct tick *t, const struct heal_facts *f, struct plan *plan);

struct once *once_new(void);
void once_free(struct once *o);
void once_tick(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan);
bool once_applies(const struct heal *h, const struct heal_facts *f, const struct pod *p);	/* its policy is at-most-once */
bool once_holds_lease(const struct heal *h, const struct peers *peers, struct mono now);
bool once_may_start(struct heal *h, const struct pod *p, const char *node, const struct tick *t, const struct heal_facts *f,
		    struct plan *plan);
bool once_asks(const struct heal *h, const char *uid, size_t len);	/* for a fence; matches so much of the pod's uid */

/* fence.c */
struct granter *granter_new(void);
void granter_free(struct granter *g);
void grants_forget(struct heal *h);
void fences_tick(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan);
void own_fence_release(struct heal *h, const char *pod_uid, struct mono now);
void once_claim_ended(struct heal *h, const struct claim *c);

/* home.c */
struct home *home_new(void);
void home_free(struct home *home);
void home_tick(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan);
/* A pod of this node that should run and does not. */
bool home_has_lost(const struct heal *h, const struct heal_facts *f, const struct pod *p, struct mono now,
		   enum loss_cause *out_cause);
void home_give_back(struct heal *h, const struct heal_facts *f, struct mono now);	/* their requests, to local_left */

/* blank.c */
void blanks_tick(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan);
void blanks_lost(const struct heal *h, const struct view *view, struct lost_pods *lost);	/* what they do not run, settled or not */
void blanks_scan(const struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan,
		 struct lost_pods *lost);	/* adds what is lost and no loss yet */
void blanks_free(struct heal *h);
/* Whoever held the pod has lost it: the node is lost, or lives without a mirror and says that the pod does not run there. */
bool holder_has_lost(const struct heal *h, const char *node, const char *uid);

/* online.c */
void online_tick(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan);

/* marks.c: when something was done last, by uid or name */
struct mono mark_at(const struct heal *h, const char *key);	/* 0 = no mark */
bool mark_is_due(const struct heal *h, const char *key, int64_t again_ms, struct mono now, struct plan *plan);
bool mark_take(struct heal *h, const char *key, int64_t again_ms, struct mono now, struct plan *plan);	/* and mark it */
void mark_put(struct heal *h, const char *key, struct mono at);		/* MONO_NEVER: never due again */
void mark_remove(struct heal *h, const char *key);
void marks_forget(struct heal *h, struct mono now);		/* those older than HEAL_MARK_KEEP_MS */
void marks_free(struct heal *h);

/* bidders.c */
struct bidder *bidders_collect(const struct heal *h, const struct heal_facts *f, size_t *out_count);
void bidders_free(struct bidder *b, size_t n);

/* lost.c */
bool pod_is_held(const struct heal *h, const struct heal_facts *f, const char *uid);
bool lost_pod_counts(const struct heal *h, const struct heal_facts *f, const struct pod *p);
bool unbound_is_ours(const struct heal *h, const struct heal_facts *f, const struct pod *p);
enum heal_policy policy_of(const struct heal *h, const struct workload *w);
const char *offline_refusal(const struct heal *h, const struct pod *p, const struct workload *w);
bool workload_wants_more(const struct heal *h, const struct heal_facts *f, const struct workload *w, const struct batch *b,
			 struct mono now);
void lost_add(struct lost_pods *l, const struct pod *p);
void lost_sort(struct lost_pods *l);	/* in the order of rank.h, each once */

/* loss.c */
/* The pods bound to a lost node and the copies it held. */
void suspect_scan(const struct heal *h, const struct suspect *s, const struct heal_facts *f, struct lost_pods *lost);
void losses_tick(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan);
void losses_reconsider(struct heal *h);		/* what was refused or only reported may be done now */
void losses_free(struct heal *h);

/* turn.c */
bool may_restore_offline(const struct heal *h, const struct heal_facts *f);
bool budget_take(struct heal *h, struct mono now, struct plan *plan);
int my_rank(const struct heal *h, const struct loss *l);
int64_t claim_lead_ms(const struct heal *h);	/* who steps in for a silent one claims so long before it acts */
void losses_act(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan);

/* room.c */
void standins_collect(struct heal *h, const struct heal_facts *f);	/* once a tick, for what follows */
bool copy_is_surplus(const struct heal *h, const struct copy *c, int64_t own, int64_t wanted);	/* own: pods of the cluster */
bool room_is_owed(struct heal *h, const struct copy *c, const struct tick *t, const struct heal_facts *f, struct plan *plan);

/* reconcile.c */
/* Pods of the copy's ReplicaSet that the cluster runs itself and whose Ready is to be believed. */
int ready_pods(const struct heal *h, const struct heal_facts *f, const struct copy *c, struct mono now);
void copies_tick(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan);
