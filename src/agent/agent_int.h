/* agent/agent_int.h — shared by the files of agent/ only */
#pragma once
#include "agent/agent.h"
#include "base/map.h"
#include "base/endpoint.h"
#include "heal/heal.h"
#include "kube/client.h"
#include "kube/codec.h"
#include "kube/credentials.h"
#include "kube/watch.h"
#include "model/image.h"
#include "model/view.h"
#include "node/gate.h"
#include "node/identity.h"
#include "node/render.h"
#include "node/machine.h"
#include "serf/client.h"
#include "store/store.h"
#include "web/server.h"

#define FLUSH_MS 50			/* mirror writes are committed together after this, or after … */
#define FLUSH_ROWS 500
#define PROOF_MS 20			/* how often a starting copy is looked at */
#define DROP_LOOK_MS 250		/* how often a stopping copy is looked at */
#define TAGS_MS 5000			/* how often load is measured and tags are refreshed */
#define TAGS_SOON_MS 200		/* after a change */
#define STORE_LOOK_MS 5000		/* how often it is looked whether the store is still where it was opened */
#define IDLE_MS 60000			/* checkpoint, history, rejoin */
#define CLAIMS_REPEAT_MS 30000		/* own claims are told again, for those who were not there */
#define CLAIMS_SOON_MS 200		/* … and a new one a few times before: gossip loses messages while members fail. First
					 * within heal.claim_timeout, then after five times as long each time */
#define CLAIMS_ENDED_MS INT64_C(600000)	/* one that ended is told for this long, by the wall clock: its time is that of its maker */
#define LINK_REPEATS 3			/* a change of our link is told this often */
#define HELLO_SPREAD_MS 200		/* answers to a hello are spread over this */
#define SLEEP_MIN_MS 50			/* the two clocks are read one after the other: less than this is no sleep */
#define TILT_STEP_MS 2000		/* a clock step or a pause of this size … */
#define TILT_MS 10000			/* … makes us only observe for this long */
#define WITNESS_TIMEOUT_MS 1000		/* of the query */
#define WITNESS_ANSWER_MS 800		/* an answer later than this is of no use */
#define DIAL_TIMEOUT_MS 500		/* of one probe of a suspect's ports */
#define IDENTITY_SHOW_MS 2000		/* who accepted has until then to show who he is; a witness's answer cannot wait as long: */
#define WITNESS_SHOW_MS 700
#define IDENTITY_PACE_MS 2000		/* certificates of kubelets are looked at one in so much time, whatever the site's size … */
#define IDENTITY_RENEW_MS INT64_C(600000)	/* … and each of them so often: kubelet renews its own after months */
#define IDENTITY_RETRY_MS 60000		/* … or after this, when it did not answer */
#define IDENTITY_LOOK_MS 10000		/* how often it is looked whether there is a new member */
#define LOCAL_LOOK_MS 1000		/* how often this machine is looked at while the link is away */
#define HOLD_LOOK_MS 20			/* how often a pod that was just frozen is looked at … */
#define HOLD_PROOF_MS 1000		/* … until it is told that it does not stand still */
#define START_MAX_MS 60000		/* a copy that kubelet is at work on gets so long in all, or heal.start_timeout if that is more */
#define KILL_SLACK_MS 5000		/* so long after a pod's grace kubelet has sent SIGKILL … */
#define KUBELET_LAG_MS 30000		/* … from when it reaches the API server: its longest pause between two attempts */
#define GATEWAY_TIMEOUT_MS 800		/* an answer later than this is none */
#define HEALER_LOOKS 5			/* the neighbours' healers are tried with every fifth look */
#define SILENT_MISSES 2			/* a healer that did not answer this often in a row is dead */
#define CONFIG_QUIET_MS 200		/* a changed configuration is read when nothing wrote for this long */
#define GATE_HANG_MS 75000		/* a kubelet that hangs in its own calls starts a static pod within this: up to 56 s seen */
#define GATE_START_MS 20000		/* the gate is closed for a start for so long at most … */
#define GATE_END_MS 5000		/* … for a removal … */
#define GATE_BUDGET_MS 60000		/* … and over all for this in any GATE_WINDOW_MS: each refused call doubles kubelet's back-off */
#define GATE_WINDOW_MS 300000
#define GATE_SPELLS_MAX 64		/* closings remembered; more in one window are not made */
#define MIRROR_STALE_MS 80000		/* a watch that nobody has confirmed for longer is stale: bookmarks come each minute … */
#define MIRROR_CLOSED_MS 10000		/* … and so is one that has not been open for this long */
#define OBSERVED_MAX 4096		/* what mode observe tells between two changes of the link */
#define META_OWN_POD "own_pod"		/* in the store: uid of the last primary's pod */
#define ROSTER_MAX 1024			/* members that are remembered */
#define EVENTS_MAX 1000			/* Kubernetes Events that wait for the link: a few for each of 110 pods, lost twice */
#define EVENT_RETRY_MS 10000		/* one that was not taken is sent again after this … */
#define EVENT_RETRY_MAX_MS 60000	/* … or as the API server says, but after this at the latest */
#define CLAIMS_MAX 50000			/* more than this are not believed */
#define EPOCH_JUMP_MAX 1000		/* nor one whose epoch is further than this from what is known of its pod */
#define ANSWERS_WAIT_MS 20		/* that promise something share the sync of what they promise */
#define ANSWERS_MAX 64			/* … and so many wait for one */
#define QUESTIONS_MAX 64		/* of witnesses, under way at once */
#define TAG_MEM_MAX (INT64_C(1) << 30)	/* MiB, either way; what is beyond is no tag */
#define TAG_CPU_MAX INT64_C(1000000000)	/* milli-CPU */
#define TAG_PODS_MAX 1000000
#define CPU_TAG_STEP 50			/* milli-CPU: smaller changes of the tag are not told */
#define MEM_TAG_STEP 64			/* MiB */
#define LOAD_STEPS 4			/* load is told in quarters of the machine … */
#define LOAD_SLACK 0.15			/* … when it has moved this far from what was told */

/* Labels of METRIC_EFFECT_ERRORS, in the order of metrics.def. */
enum effect_label { EFFECT_BIND, EFFECT_WRITE, EFFECT_REMOVE, EFFECT_DELETE, EFFECT_CLAIM, EFFECT_TAINT, EFFECT_FREEZE };

enum watch_kind { WATCH_NODES, WATCH_WORKLOADS, WATCH_PODS, WATCH_COUNT };	/* in the order of starting */

struct agent;

struct mirror_watch {
	struct agent *a;
	enum watch_kind kind;
	struct kube_watch *watch;
	uint32_t generation;
	bool synced;
	int64_t newest;				/* resourceVersion of what it has shown, or the store held; 0 = nothing */
	bool went_back;				/* in this sync: an object is older than we know it */
	struct mono closed_since;		/* seen not open; 0 = it is */
};

/* What the gate is closed for. */
enum gate_need { GATE_FOR_START, GATE_FOR_END, GATE_NEEDS };

/* The gate, see gate.c. */
struct agent_gate {
	struct gate *gate;			/* NULL: off, or mode observe */
	struct timer *timer;			/* while it is closed: when it opens at the latest */
	struct mono until[GATE_NEEDS];		/* how long it is needed; 0 = not */
	struct mono since;			/* of its state */
	struct { struct mono from, to; } spells[GATE_SPELLS_MAX];	/* when it was closed, the latest ones */
	size_t spell_count;			/* ever */
	bool told;				/* in this outage: why it did not close */
};

/* Why nothing could be restored here offline, whatever the workload. */
enum node_fault { NODE_FAULT_GATE, NODE_FAULT_CGROUPS, NODE_FAULTS };

/* kubelet's listener, and whether it is another than when the link was last there; see kubelet.c. */
struct agent_kubelet {
	uint64_t inode;			/* 0 = nobody listened */
	bool noted, young;
};

/* The standby of this node; see standby.c. */
enum standby_state { STANDBY_UNKNOWN, STANDBY_OFF, STANDBY_IMPOSSIBLE, STANDBY_WRITTEN };
struct removal;
struct agent_standby {
	struct op *op;
	struct removal *removal;		/* of removal.c; NULL in a primary */
	enum standby_state state;
	char note[REASON_SIZE];			/* why it is not written, or for which revision it is */
	void (*stopped)(void *arg);		/* of agent_stop() */
	void *stopped_arg;
};

struct agent {
	struct loop *loop;
	struct conf *conf;
	char *config_path;
	const char *version;
	const char *self;			/* interned */
	char boot_id[BOOT_ID_SIZE];
	struct wall started;

	struct store *store;
	struct timer *flush;
	int pending_rows;
	bool store_failed;			/* rows were lost: the mirror must be written again */
	bool store_gone;			/* its file was deleted and could not be made anew */
	bool store_sweep;			/* it may hold rows of what is gone: when the mirror is in sync they are deleted */
	struct timer *store_timer;

	struct view *view;
	struct mirror_watch watches[WATCH_COUNT];
	struct freshness *freshness;		/* of freshness.c */
	struct mono mirror_confirmed;		/* last word of the API server about the mirror */

	struct kube_credentials *credentials;
	struct kube_client *kube;
	bool anonymous;				/* a standby without credentials: it only sees whether the API server answers */
	bool is_standby;
	struct agent_standby standby;
	struct link link;
	struct uplink *uplink;			/* of uplink.c */
	struct ways *ways;			/* of ways.c */
	struct answers *answers;		/* of answers.c */
	struct mono synced_at;
	struct agent_gate gate;

	struct serf_client *serf;
	struct peers peers;
	struct timer *tags_timer, *claims_timer;
	int link_repeats;			/* how often the state of our link is still told */
	int64_t claims_wait_ms;			/* until they are told again */
	struct cpu_load load;
	double load_told;
	int64_t cpu_tag, mem_tag;		/* last told */
	bool isolated_before;
	struct op *join;
	struct rates *rates;			/* how much gossip is listened to; of rates.c */
	struct map *roster;			/* node name → struct known, of roster.c */
	struct identities *identities;		/* of identities.c */

	struct heal *heal;
	struct plan plan;
	struct timer *think_timer;
	bool breaker_told;			/* that it is open */
	struct map *observed;			/* mode observe: "action pod" told since the link changed */
	struct mono tilted_until;
	int64_t wall_offset_ns, boot_offset_ms;	/* against the monotonic clock, at the last tick */
	struct mono last_tick;

	struct map *copies;			/* pod uid → struct copy */
	struct timer *proof_timer, *drop_timer;
	struct list restores;			/* claimed, and not written yet: restore.c */
	struct list dials, witnesses, questions, effects, asks, node_ops;	/* operations under way */

	struct timer *look_timer;		/* local.c */
	unsigned looks;
	struct map *running;			/* uids of pods with a process here; NULL = not known */
	struct mono running_at;
	struct map *stopped;			/* uid → struct held, of hold.c: pods that are held still */
	struct timer *hold_timer;
	struct cgroups *cgroups;		/* of the pods; NULL = not found (yet) */
	char cgroups_note[REASON_SIZE];		/* why not */
	struct timer *cgroups_timer;
	bool cold_boot;
	struct agent_kubelet kubelet;
	int gateway;				/* 1 answers, -1 does not, 0 not known */
	struct op *gateway_op;
	struct list silences;
	struct mono lease_saved;
	unsigned fences_saved;		/* version of what is stored */

	struct list events;			/* Kubernetes Events that wait */
	int event_count;
	struct op *event_op;
	struct timer *event_timer;

	struct map *specs;			/* uid of a ReplicaSet → struct spec_owner, of specs.c */
	struct objects *objects;		/* ConfigMaps, Secrets, and what contents need */
	struct readiness *readiness;
	const char *node_faults[NODE_FAULTS];	/* see agent_set_node_fault() */

	struct web *web;
	char *http_token;
	struct timer *idle_timer;
	int config_fd;
	struct io *config_io;
	struct timer *config_timer;
};

/* mirror.c */
int mirror_load(struct agent *a);
void mirror_start(struct agent *a);		/* (re)sync all watches */
void mirror_stop(struct agent *a);
void mirror_free(struct agent *a);
void mirror_check_store(struct agent *a);	/* after writes: begin again if rows were lost */
void mirror_look(struct agent *a);		/* time has passed: is every watch still confirmed? */
/* NULL, or which watch is stale and why; static text. */
const char *mirror_trouble(const struct agent *a);
int64_t mirror_watch_age_ms(const struct agent *a, enum watch_kind kind);	/* -1 = never confirmed */
int store_batch_begin(struct agent *a);		/* join or open the batched transaction */
void store_batch_flush(struct agent *a);

void mirror_forget_versions(struct agent *a);	/* the next sync writes everything */

/* rescue.c */
void rescue_look(struct agent *a);		/* is the store's file still there? */
int rescue_begin(struct agent *a);		/* a durable transaction in a file that is there: 0 or -errno */
void rescue_rows(struct agent *a);		/* rows were lost: write what we know */
void rescue_sweep(struct agent *a);		/* the mirror is in sync */

/* uplink.c */
int uplink_new(struct agent *a);
void uplink_free(struct agent *a);
void uplink_start(struct agent *a);
void uplink_reload(struct agent *a);		/* the configuration changed, or credentials may have */
bool uplink_has_answers(const struct agent *a);	/* what our tag `api` says */

/* gate.c */
void agent_gate_start(struct agent *a);		/* after uplink_new() */
void agent_gate_free(struct agent *a);		/* opens */
void agent_gate_reload(struct agent *a);	/* the configuration changed */
void agent_gate_on_link(struct agent *a);	/* its state changed */
void agent_gate_on_answer(struct agent *a);	/* some address of the API server answers */
/* Kubelet must start or end something of ours, from now until agent_gate_over(): make it fail fast instead of hang. */
void agent_gate_need(struct agent *a, enum gate_need need);
void agent_gate_over(struct agent *a, enum gate_need need);
void agent_gate_observe(struct agent *a);	/* mode observe: that is what would have been done */
/* How long kubelet may hang in calls to the API server before it starts a static pod; 0: it does not. */
int64_t agent_gate_hang_ms(const struct agent *a);
bool agent_gate_is_fine(const struct agent *a, bool *out_degraded, const char **out_note);	/* for /readyz; borrowed */
json_object *agent_gate_json(const struct agent *a);

/* ways.c, for others than the uplink */
json_object *ways_json(const struct agent *a);
void ways_fetch(struct agent *a);		/* ask the API server where it is */

/* standby.c */
void standby_start(struct agent *a);		/* when the store is open */
void standby_check(struct agent *a);		/* the mirror is in sync, or time has passed */
void standby_reload(struct agent *a);		/* the configuration changed */
bool standby_owns(const char *file);		/* a file that is not for copies.c */
bool standby_is_fine(const struct agent *a, bool *out_degraded, const char **out_note);	/* for /readyz; borrowed */
json_object *standby_json(const struct agent *a);
void standby_free(struct agent *a);

/* removal.c: a standby that was left alone for good */
struct standby_mark;
void removal_new(struct agent *a);
void removal_free(struct agent *a);
void removal_look(struct agent *a);		/* time has passed */
void removal_gone(struct agent *a, const struct standby_mark *m);	/* the API server says that its DaemonSet is gone */
bool removal_is_under_way(const struct agent *a);	/* nothing is decided any more */

/* gossip.c */
/* The key of serf.auth_key_file ("" = no key); -EINVAL when its first line is empty, or -errno. */
int gossip_read_auth_key(const char *path, char *out, size_t size);
int gossip_new(struct agent *a);
void gossip_free(struct agent *a);
void gossip_tags_soon(struct agent *a);
struct serf_members;
void gossip_fill_peers(struct agent *a, const struct serf_members *m);	/* a->peers anew; standings are roster_apply()'s */
bool gossip_is_member(const struct agent *a, const char *node);	/* of this cluster, whatever its site */
/* A node's name as Kubernetes has it; borrowed from the mirror, or `serf_name` itself. */
const char *gossip_node_name(const struct agent *a, const char *serf_name);
void gossip_tell_link(struct agent *a);		/* it changed: tell it by a message too, a few times; tags can be late */
void gossip_tell_claims(struct agent *a, struct claim *claims, size_t n);	/* sorts them */
void gossip_new_claims(struct agent *a, struct claim *claims, size_t n);	/* the same, and again soon */
void gossip_forget_claims(struct agent *a);	/* those that mean nothing any more; while online */
struct resources local_free(const struct agent *a);

/* roster.c */
int roster_load(struct agent *a);
void roster_apply(struct agent *a);		/* after a change of the members: note them, and show those that Serf forgot as failed */
void roster_join(struct agent *a);		/* those that are not there, and serf.join */
bool roster_misses_somebody(const struct agent *a);
void roster_stand(struct agent *a);		/* the Nodes changed: who of the peers is a member now? */
/* An operator says that a member that is away does not count any more. NULL, or why not; static text. */
const char *roster_forget(struct agent *a, const char *node);

/* ---- goodbye.c ---- */

void goodbye_on_told(struct agent *a, const void *payload, size_t n);	/* a member says that it goes */
/* How many alive members of the gossip count for nothing, and the first of them (borrowed; untouched when there is none). */
size_t roster_strangers(const struct agent *a, const char **out_first);
const char *roster_site(const struct agent *a, const char *node);	/* as it was last told; NULL = not known */
void roster_free(struct agent *a);

/* witness.c */
void witness_ask(struct agent *a, const char *node);		/* ACTION_WITNESS */
void witness_dial(struct agent *a, const char *node);		/* ACTION_PROBE */
void witness_on_query(void *arg, uint64_t id, const char *name, const void *payload, size_t n);
void witness_look(struct agent *a);				/* the members changed */
void witness_forget_questions(struct agent *a);
void witness_free(struct agent *a);
uint16_t witness_http_port(const struct agent *a);		/* every healer of the cluster listens on the same */

/* identities.c */
void identities_new(struct agent *a);		/* when the store is open */
void identities_free(struct agent *a);
void identities_rewrite(struct agent *a);	/* rows were lost */
void identities_forget(struct agent *a, const char *node);	/* no member any more */
void identities_on_members(struct agent *a);	/* the members changed */
void identities_on_here(struct agent *a, const void *payload, size_t n);	/* a member tells its address */
/* The known fingerprint of its kubelet's certificate; borrowed; NULL = none. */
const char *identities_print(const struct agent *a, const char *node);
/* Who answers where the member is, and where it says it is? done() fires once, from the loop. NULL: it has no address. */
typedef void (*seek_fn)(void *arg, enum probe_answer answer);
/* What the last look at it found, if that was within so many milliseconds. */
bool identities_found(const struct agent *a, const char *node, int64_t within_ms, enum probe_answer *out_answer);
struct op *identities_seek(struct agent *a, const char *node, int64_t show_ms, seek_fn done, void *arg);

/* ask.c */
void ask_mine(struct agent *a);
void ask_blank(struct agent *a, const char *node);		/* ACTION_ASK_BLANK */
void ask_grant(struct agent *a, const struct action *act);
void ask_fence(struct agent *a, const struct action *act);
void ask_on_query(struct agent *a, uint64_t id, const char *name, const void *payload, size_t n);
/* answers.c: `out` (copied) answers the query when what it promises is stored; never, if that fails. permitted: NULL = no fence */
struct wire_fence;
void answers_new(struct agent *a);
void answers_free(struct agent *a);
void answers_put(struct agent *a, uint64_t id, const struct buf *out, const struct wire_fence *permitted);

void ask_runs(struct agent *a);			/* ACTION_ASK_RUNS */
void ask_unused(struct agent *a, const struct action *act);
void ask_fate(struct agent *a);			/* ACTION_ASK_FATE */
void asks_free(struct agent *a);

/* nodes.c */
void node_read_lease(struct agent *a, const char *node);
void node_taint(struct agent *a, const struct action *act);	/* ACTION_TAINT, ACTION_UNTAINT */
void node_ops_free(struct agent *a);

/* local.c */
int local_new(struct agent *a);			/* before the mirror is loaded */
void local_load(struct agent *a);		/* when heal/ is there */
void local_look_soon(struct agent *a);
void local_is_online(struct agent *a);		/* the mirror is in sync */
void local_mark_silent(struct agent *a);	/* the members changed */
void local_save_lease(struct agent *a);
void local_reload(struct agent *a);		/* the configuration changed */
bool local_is_fine(const struct agent *a, const char **out_note);	/* for /readyz; borrowed */
int local_rewrite(struct agent *a);		/* in the open transaction */
void local_free_all(struct agent *a);

/* hold.c: pods that are held still */
struct tale;
void hold_new(struct agent *a);
void hold_load(struct agent *a);
void hold_stop(struct agent *a, const struct action *act);	/* ACTION_STOP */
void hold_resume(struct agent *a, const struct action *act);	/* ACTION_RESUME */
void hold_forget(struct agent *a, const struct copy *c);	/* it is gone */
void hold_look(struct agent *a);		/* each look of local.c */
int hold_put(struct agent *a);			/* in the open transaction */
void hold_resume_all(struct agent *a, const char *reason);
/* Copies that end: hold one still if it must not go on; kubelet does not remove them; let one go that cannot be killed. */
void hold_copy(struct agent *a, struct copy *c, const char *why);
void hold_copy_if_stuck(struct agent *a, struct copy *c);
void hold_copy_let_go(struct agent *a, struct copy *c);
void hold_tell_failure(struct agent *a, const struct tale *t, int r);	/* r: of cgroup_pod_freeze() or cgroup_pod_is_still() */
/* When kubelet must have killed what it has been ending since `ending`. `once`: nothing of it may run before. */
struct mono hold_kill_due(const struct agent *a, struct mono ending, int64_t grace_ms, bool once);
void hold_free(struct agent *a);

/* kubelet.c: was it started while the API server is away? */
void kubelet_load(struct agent *a);
void kubelet_note(struct agent *a);		/* the link is no longer online */
void kubelet_look(struct agent *a);		/* each look of local.c */
void kubelet_is_online(struct agent *a);	/* the mirror is in sync */
bool kubelet_removes(const struct agent *a, const char **out_note);	/* static pods whose file is gone; for /readyz; borrowed */
int kubelet_put(struct agent *a);		/* in the open transaction */

/* fences.c: what we have permitted, stored before it is told */
int fences_save(struct agent *a);
void fences_load(struct agent *a);

/* think.c */
void think_soon(struct agent *a);		/* in the next round of the loop */
void think_within(struct agent *a, int64_t ms);	/* … or so much later, however often it is asked for */
void think_now(struct agent *a);
void think_note_clock(struct agent *a);
int64_t think_slept_ms(void);
bool think_has_slept(const struct agent *a);
bool agent_wants_namespace(const struct agent *a, const char *ns);	/* heal.namespaces */
bool agent_may_act(const struct agent *a);	/* false in mode observe */
void observed_clear(struct agent *a);
void agent_refresh_heal(struct agent *a);	/* hand the configuration (and the site our Node names) to heal/ */

/* effect.c */
void effect_bind(struct agent *a, const struct action *act);
void effect_replace(struct agent *a, const struct action *act);
void effect_evict(struct agent *a, const struct action *act);
void effects_free(struct agent *a);

/* copies.c */
int copies_load(struct agent *a);
void copies_free_all(struct agent *a);
void copy_end(struct agent *a, const struct action *act);	/* ACTION_WITHDRAW, ACTION_DROP */
void copies_count(const struct agent *a);
bool copies_any(const struct agent *a, enum copy_state state);
int64_t copies_grace_ms(struct agent *a, const char *workload_uid);	/* terminationGracePeriodSeconds; NULL = the default */

/* restore.c */
void copies_restore(struct agent *a, const struct action *const *acts, size_t n);
void restores_free(struct agent *a);		/* before copies_free_all(): what waits is not written */

/* objects.c: the ConfigMaps and Secrets that pods refer to */
void objects_new(struct agent *a);
int objects_load(struct agent *a);		/* what the store holds; again after other keys were read */
void objects_free(struct agent *a);
void objects_start(struct agent *a);		/* the link is there and the mirror in sync */
void objects_stop(struct agent *a);
void objects_forget_versions(struct agent *a);	/* what is seen next is taken anew */
void objects_rewrite(struct agent *a);		/* rows were lost */
void objects_soon(struct agent *a);
/* For render_params; what it finds is kept until objects_forget_docs(), which wipes it. `arg` is the agent. */
enum render_lookup objects_lookup(void *arg, const struct ref *ref, const json_object **out_object, const char **out_why);
void objects_forget_docs(struct agent *a);
void objects_set_rules(const struct agent *a, struct render_params *p);	/* what our kubelet and the configuration allow */
void objects_judge_again(struct agent *a);	/* that changed */
void objects_count(const struct agent *a, size_t *out_config_maps, size_t *out_secrets);

/* secrets.c */
void secrets_open(struct agent *a);		/* read the key file; logs what is wrong with it */
void secrets_harden(void);			/* no core dumps */

/* bundles.c: the files of copies */
struct bundle;
int bundles_write(struct agent *a, const struct copy *c, const struct bundle *b);	/* 0 or -errno, logged */
void bundles_remove(struct agent *a, const struct copy *c);
void bundles_load(struct agent *a);		/* after the copies: remove what belongs to none */

/* images.c */
/* Those on this node of what the ReplicaSet's template needs, also for init containers: IMAGE_THERE, or what is known of *out_lacks. */
enum image_presence images_of(const struct agent *a, const struct workload *w, const char **out_lacks);

/* readiness.c */
int readiness_load(struct agent *a);
void readiness_free(struct agent *a);
void readiness_soon(struct agent *a);		/* something it depends on may have changed */
void agent_set_node_fault(struct agent *a, enum node_fault which, const char *text);	/* borrowed; NULL = none */
void readiness_forget(struct agent *a, const char *workload_uid);
json_object *readiness_counts(void);			/* for /v1/status; the caller owns it */
json_object *readiness_json(const struct agent *a, const struct workload *w);	/* for /v1/readiness; likewise */

/* tell.c: log line + history row + Kubernetes Event, together */
struct tale {
	const char *event;		/* stable word: "restored", "refused", … */
	const char *kube_reason;	/* CamelCase reason of a Kubernetes Event; NULL = none */
	bool warning;
	const char *ns, *pod, *uid, *node;	/* may be NULL */
	const char *workload;		/* instead of a pod: the ReplicaSet it is about */
};
void tell(struct agent *a, const struct tale *t, const char *fmt, ...) PRINTF_LIKE(3, 4);
int tell_load(struct agent *a);			/* when the store is open: Events that wait since the last run */
void tell_send_events(struct agent *a);		/* the link changed */
void tell_rewrite(struct agent *a);		/* rows were lost */
void tell_free(struct agent *a);

/* status.c; who may ask is surface.c, lists are lists.c */
extern const struct web_route agent_routes[];
extern const size_t agent_route_count;
