/* store/store.h — SQLite behind plain functions: mirror, claims, copies, intents, peers, history
 *
 * One connection, WAL, short transactions. Writes of the mirror are batched by the caller between store_begin(…, false) and
 * store_commit(); they survive kill -9. Claims, copies and intents are committed with a sync (store_begin(…, true)): they
 * survive a power cut too. Every function returns 0 or a negative errno:
 *
 *   -ENOSPC  disk or file system full        -EROFS  read-only        -EIO  I/O error
 *   -EILSEQ  the file is corrupt: call store_reset()
 *
 * A failed write also sets store_fault() until a later write succeeds, so that /readyz can tell.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/clock.h"
#include "model/claim.h"
#include "model/copy.h"
#include "model/plan.h"
#include "model/pod.h"
#include "model/ref.h"

struct store;

#define STORE_HISTORY_MAX 10000		/* rows kept; the oldest go first */
#define STORE_PATH_SIZE 512

/* Open or create, migrate. A corrupt file is renamed to <path>.corrupt-<unix time> and a new one made; then *out_set_aside
 * (STORE_PATH_SIZE bytes) holds its new name, else "". */
int store_open(const char *path, struct store **out_store, char *out_set_aside);
void store_close(struct store *s);			/* NULL-safe; an open transaction is rolled back */
/* Remove the files of a closed store, also those that were set aside. 0, or the first -errno: all were tried. */
int store_remove_files(const char *path);
int store_reset(struct store *s, char *out_set_aside);	/* set the file aside and begin an empty one */
/* Is its file, and that of its log, still the one at its path? If not, everything is lost with this process: */
bool store_is_there(const struct store *s);
enum { STORE_E_EMPTY = 1 };
/* … write all of it to its path anew. What is there now is renamed, out_set_aside (STORE_PATH_SIZE bytes) says how, else "".
 * 0; STORE_E_EMPTY: the old one could not be read, the new one is empty; or -errno: as it was, try again later. */
int store_rescue(struct store *s, char *out_set_aside);
const char *store_fault(const struct store *s);		/* NULL = the last write worked; borrowed */
void store_idle(struct store *s);			/* checkpoint and trim; from an idle timer */

int store_begin(struct store *s, bool durable);		/* nested calls are an error: -EBUSY */
int store_commit(struct store *s);			/* on failure the transaction is rolled back */
void store_rollback(struct store *s);			/* no transaction: nothing happens */
bool store_in_transaction(const struct store *s);

/* ---- mirror ---- */
enum store_kind { STORE_WORKLOAD, STORE_NODE };		/* kept as JSON documents */
int store_put_doc(struct store *s, enum store_kind kind, const char *uid, const char *doc);
int store_delete_doc(struct store *s, enum store_kind kind, const char *uid);
char *store_get_doc(struct store *s, enum store_kind kind, const char *uid);	/* NULL = absent; caller frees */
int store_each_doc(struct store *s, enum store_kind kind, void (*fn)(void *arg, const char *doc), void *arg);
int store_put_pod(struct store *s, const struct pod *p);
int store_delete_pod(struct store *s, const char *uid);
/* Ownership of the pod moves to fn; `constraints` is the text it was shared under, or NULL: the caller sets p->constraints. */
int store_each_pod(struct store *s, void (*fn)(void *arg, struct pod *p, const char *constraints), void *arg);

/* ---- contents: what the admitted pods of a ReplicaSet were made of ---- */
struct spec_row {
	int64_t id;			/* given by the store */
	const char *hash, *owner;	/* of the content; uid of the ReplicaSet */
	int64_t made;			/* creation of the newest pod that has it, seconds since 1970 */
	const char *doc;		/* JSON; NULL where it is not asked for */
};
int store_put_spec(struct store *s, struct spec_row *row);	/* sets row->id; the same owner and hash: the same row */
int store_delete_spec(struct store *s, int64_t id);
char *store_get_spec(struct store *s, int64_t id);		/* its document; NULL = absent; caller frees */
int store_each_spec(struct store *s, void (*fn)(void *arg, const struct spec_row *row), void *arg);	/* oldest first */
int store_put_pod_spec(struct store *s, const char *pod_uid, int64_t spec);	/* spec 0: it has none any more */
int store_each_pod_spec(struct store *s, void (*fn)(void *arg, const char *pod_uid, int64_t spec), void *arg);
int store_sweep_specs(struct store *s);		/* rows of pods and ReplicaSets that have none */

/* A store of an older schema is opened as it is, and moved on when the mirror has been in sync once: until then the version before
 * could still take over. What the older schema has no place for is not kept meanwhile: the calls above do nothing. */
bool store_is_behind(const struct store *s);
int store_migrate(struct store *s);		/* 0 or -errno; one durable transaction of its own */

/* Delete the rows that `keep` refuses. */
enum store_rows { STORE_NODE_ROWS, STORE_WORKLOAD_ROWS, STORE_POD_ROWS };
int store_keep_only(struct store *s, enum store_rows rows, bool (*keep)(void *arg, const char *uid), void *arg);

/* ---- ConfigMaps and Secrets ---- */

struct seal;
enum { STORE_E_NO_KEY = 1, STORE_E_FORGED };	/* why a sealed row does not open */

struct object_row {
	struct ref ref;
	int64_t version;		/* resourceVersion */
	bool gone;			/* known not to exist; no document */
	const void *doc;		/* JSON text, not terminated; of a Secret in the clear: wipe what you copy of it */
	size_t len;
	int state;			/* 0, or why a Secret could not be opened: then there is no document */
};
typedef void (*store_object_fn)(void *arg, const struct object_row *row);	/* the row is borrowed */

/* The keys for Secrets; moves in, the former ones are freed. NULL: no Secret can be written or read. */
void store_set_seal(struct store *s, struct seal *seal);
bool store_has_seal(const struct store *s);
int store_put_object(struct store *s, const struct object_row *row);	/* a Secret without keys: -ENOKEY */
int store_delete_object(struct store *s, const struct ref *ref);
int store_get_object(struct store *s, const struct ref *ref, store_object_fn fn, void *arg);	/* fn runs once, or not at all */
int store_each_object(struct store *s, store_object_fn fn, void *arg);
/* Seal anew what another than the first key sealed, in one durable transaction of its own. */
int store_reseal(struct store *s, int *out_sealed, int *out_unreadable);

/* ---- the last told readiness of ReplicaSets, by uid ---- */
int store_put_readiness(struct store *s, const char *uid, bool ready, const char *reason);
int store_delete_readiness(struct store *s, const char *uid);
int store_each_readiness(struct store *s, void (*fn)(void *arg, const char *uid, bool ready, const char *reason), void *arg);

/* ---- claims and copies ---- */
/* Replaces what was known of the pod's holder; who gave it up in the same epoch is remembered beside it. */
int store_put_claim(struct store *s, const struct claim *c);
int store_clear_claims(struct store *s);
int store_clear_copies(struct store *s);
int store_delete_claim(struct store *s, const char *pod_uid);
int store_each_claim(struct store *s, void (*fn)(void *arg, const struct claim *c), void *arg);	/* those withdrawn last */
int store_put_copy(struct store *s, const struct copy *c);
int store_delete_copy(struct store *s, const char *pod_uid);
int store_each_copy(struct store *s, void (*fn)(void *arg, struct copy *c), void *arg);	/* ownership moves to fn */

/* ---- intents: written before an effect, closed after it ---- */
struct intent {
	int64_t id;
	enum action_kind kind;
	char pod_uid[UID_SIZE];
	uint32_t epoch;
	char target[NODE_NAME_SIZE];	/* node, or file */
};
int store_open_intent(struct store *s, struct intent *i, struct wall at);	/* sets i->id */
int store_close_intent(struct store *s, int64_t id);
int store_clear_intents(struct store *s);
int store_each_intent(struct store *s, void (*fn)(void *arg, const struct intent *i), void *arg);

/* ---- peers, meta, history ---- */
struct store_peer { const char *name, *addr, *site; uint16_t port; };
int store_put_peer(struct store *s, const struct store_peer *p, struct wall seen);
int store_delete_peer(struct store *s, const char *name);
int store_each_peer(struct store *s, void (*fn)(void *arg, const struct store_peer *p), void *arg);	/* rows are borrowed */
int store_put_meta(struct store *s, const char *key, const char *value);
int store_delete_meta(struct store *s, const char *key);
char *store_get_meta(struct store *s, const char *key);		/* NULL = absent; caller frees */

struct history_row {
	int64_t id;			/* filled by the store */
	struct wall at;
	const char *event;		/* "restored", "refused", … */
	const char *ns, *pod, *node;	/* may be NULL */
	const char *detail;		/* key=value text */
};
int store_add_history(struct store *s, const struct history_row *row);
/* Newest first, at most `limit`; `filter` NULL or a pod or node name; `before` an id, 0 = from the newest on. Rows are borrowed. */
int store_each_history(struct store *s, const char *filter, int64_t before, int limit,
		       void (*fn)(void *arg, const struct history_row *row), void *arg);

/* ---- Kubernetes Events that wait to be sent ---- */
struct event_row {
	int64_t key;			/* of our own making: it names the Event too */
	struct wall at;
	const char *ns, *pod, *workload, *uid, *node;	/* may be NULL */
	const char *reason, *message;
	bool warning;
};
int store_add_event(struct store *s, const struct event_row *e);
int store_delete_event(struct store *s, int64_t key);
int store_clear_events(struct store *s);
/* The oldest first, at most `limit`. Rows are borrowed. */
int store_each_event(struct store *s, int limit, void (*fn)(void *arg, const struct event_row *e), void *arg);
