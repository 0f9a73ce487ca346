/* agent/agent_int.h — shared by the files of agent/ only */
#pragma once
#include "agent/agent.h"
#include "base/map.h"
#include "heal/heal.h"
#include "kube/client.h"
#include "kube/credentials.h"
#include "kube/watch.h"
#include "model/view.h"
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
#define IDLE_MS 60000			/* checkpoint, history, rejoin */
#define CLAIMS_REPEAT_MS 30000		/* own claims are told again, for those who were not there */
#define HELLO_SPREAD_MS 200		/* answers to a hello are spread over this */
#define TILT_STEP_MS 2000		/* a clock step or a pause of this size … */
#define TILT_MS 10000			/* … makes us only observe for this long */
#define WITNESS_TIMEOUT_MS 1000		/* of the query */
#define WITNESS_ANSWER_MS 800		/* an answer later than this is of no use */
#define DIAL_TIMEOUT_MS 500		/* of one probe of a suspect's ports */
#define CONFIG_QUIET_MS 200		/* a changed configuration is read when nothing wrote for this long */
#define EVENTS_MAX 256			/* Kubernetes Events that wait for the link */
#define CLAIMS_MAX 50000			/* more than this are not believed */
#define CPU_TAG_STEP 50			/* milli-CPU: smaller changes of the tag are not told */
#define MEM_TAG_STEP 64			/* MiB */
#define LOAD_STEPS 4			/* load is told in quarters of the machine … */
#define LOAD_SLACK 0.15			/* … when it has moved this far from what was told */

enum watch_kind { WATCH_NODES, WATCH_WORKLOADS, WATCH_PODS, WATCH_COUNT };	/* in the order of starting */

struct agent;

struct mirror_watch {
	struct agent *a;
	enum watch_kind kind;
	struct kube_watch *watch;
	uint32_t generation;
	bool synced;
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

	struct view *view;
	struct mirror_watch watches[WATCH_COUNT];
	uint64_t mirror_version;
	struct mono mirror_confirmed;		/* last word of the API server about the mirror */

	struct kube_credentials *credentials;
	struct kube_client *kube;
	struct link link;
	struct timer *probe_timer;
	struct op *probe;
	struct mono synced_at;

	struct serf_client *serf;
	struct peers peers;
	struct timer *tags_timer, *claims_timer;
	struct cpu_load load;
	double load_told;
	int64_t cpu_tag, mem_tag;		/* last told */
	bool isolated_before;
	struct op *join;

	struct heal *heal;
	struct plan plan;
	struct timer *think_timer;
	struct mono tilted_until;
	int64_t wall_offset_ns, boot_offset_ms;	/* against the monotonic clock, at the last tick */
	struct mono last_tick;

	struct map *copies;			/* pod uid → struct copy */
	struct timer *proof_timer, *drop_timer;
	struct list dials, witnesses, questions, effects;	/* operations under way */

	struct list events;			/* Kubernetes Events that wait */
	int event_count;
	struct op *event_op;

	struct objects *objects;		/* ConfigMaps, Secrets, and what templates need */
	struct images *images;			/* of this node */
	struct readiness *readiness;
	/* Why nothing could be restored here offline, whatever the workload; NULL = nothing known. Static text; whoever sets it
	 * calls readiness_soon(). */
	const char *node_fault;

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
int store_batch_begin(struct agent *a);		/* join or open the batched transaction */
void store_batch_flush(struct agent *a);

/* uplink.c */
int uplink_new(struct agent *a);
void uplink_free(struct agent *a);
void uplink_start(struct agent *a);

/* gossip.c */
int gossip_new(struct agent *a);
void gossip_free(struct agent *a);
void gossip_tags_soon(struct agent *a);
void gossip_tell_claims(struct agent *a, struct claim *claims, size_t n);	/* sorts them */
void gossip_forget_claims(struct agent *a);	/* those that mean nothing any more; while online */
struct resources local_free(const struct agent *a);

/* witness.c */
void witness_ask(struct agent *a, const char *node);		/* ACTION_WITNESS */
void witness_dial(struct agent *a, const char *node);		/* ACTION_PROBE */
void witness_on_query(void *arg, uint64_t id, const char *name, const void *payload, size_t n);
void witness_look(struct agent *a);				/* the members changed */
void witness_forget_questions(struct agent *a);
void witness_free(struct agent *a);

/* think.c */
void think_soon(struct agent *a);		/* in the next round of the loop */
void think_now(struct agent *a);
void think_note_clock(struct agent *a);
bool agent_wants_namespace(const struct agent *a, const char *ns);	/* heal.namespaces */
bool agent_may_act(const struct agent *a);	/* false in mode observe */
void agent_refresh_heal(struct agent *a);	/* hand the configuration (and the site our Node names) to heal/ */

/* effect.c */
void effect_bind(struct agent *a, const struct action *act);
void effect_replace(struct agent *a, const struct action *act);
void effects_free(struct agent *a);

/* copies.c */
int copies_load(struct agent *a);
void copies_free_all(struct agent *a);
void copies_restore(struct agent *a, const struct action *const *acts, size_t n);
void copy_end(struct agent *a, const struct action *act);	/* ACTION_WITHDRAW, ACTION_DROP */
void copies_count(const struct agent *a);

/* objects.c: the ConfigMaps and Secrets that templates refer to */
void objects_new(struct agent *a);
int objects_load(struct agent *a);		/* what the store holds; again after other keys were read */
void objects_free(struct agent *a);
void objects_start(struct agent *a);		/* the link is there and the mirror in sync */
void objects_stop(struct agent *a);
void objects_soon(struct agent *a);
void objects_note(struct agent *a, struct workload *w, const json_object *rs);	/* sets w->refusal */
void objects_forget(struct agent *a, const char *workload_uid);
/* For render_params; what it finds is kept until objects_forget_docs(), which wipes it. `arg` is the agent. */
enum render_lookup objects_lookup(void *arg, const struct ref *ref, const json_object **out_object, const char **out_why);
void objects_forget_docs(struct agent *a);
void objects_count(const struct agent *a, size_t *out_config_maps, size_t *out_secrets);

/* secrets.c */
void secrets_open(struct agent *a);		/* read the key file; logs what is wrong with it */
void secrets_harden(void);			/* no core dumps */

/* bundles.c: the files of copies */
struct bundle;
int bundles_write(struct agent *a, const struct copy *c, const struct bundle *b);	/* 0 or -errno, logged */
void bundles_remove(struct agent *a, const struct copy *c);
void bundles_load(struct agent *a);		/* after the copies: remove what belongs to none */

/* images.c: what this node has */
enum image_presence { IMAGE_THERE, IMAGE_ABSENT, IMAGE_NOT_LISTED };
void images_load(struct agent *a);
void images_free(struct agent *a);
void images_note_node(struct agent *a, const json_object *node);	/* our own Node object */
enum image_presence images_has(const struct agent *a, const char *name);	/* of image_name() */

/* readiness.c */
int readiness_load(struct agent *a);
void readiness_free(struct agent *a);
void readiness_soon(struct agent *a);		/* something it depends on may have changed */
void readiness_forget(struct agent *a, const char *workload_uid);
json_object *readiness_counts(const struct agent *a);	/* for /v1/status; the caller owns it */
void readiness_show(void *arg, const struct web_request *rq, struct web_response *rs);	/* GET /v1/readiness */

/* tell.c: log line + history row + Kubernetes Event, together */
struct tale {
	const char *event;		/* stable word: "restored", "refused", … */
	const char *kube_reason;	/* CamelCase reason of a Kubernetes Event; NULL = none */
	bool warning;
	const char *ns, *pod, *uid, *node;	/* may be NULL */
	const char *workload;		/* instead of a pod: the ReplicaSet it is about */
};
void tell(struct agent *a, const struct tale *t, const char *fmt, ...) PRINTF_LIKE(3, 4);
void tell_send_events(struct agent *a);
void tell_free(struct agent *a);

/* status.c */
extern const struct web_route agent_routes[];
extern const size_t agent_route_count;
