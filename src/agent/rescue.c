/* rescue.c — the store's file is deleted, corrupt, or took no writes for a while: what is known is written again
 *
 * Looked at every STORE_LOOK_MS and before each transaction that an effect waits for: an intent in a file without a name
 * is none. A file that is gone is written out anew, with all that was in it (store/rescue.c). Where that cannot be, in an
 * empty one, and after rows were lost: claims, copies, the frozen pods, the lease and Events are written from memory at once; the
 * mirror is synced anew and written whole, and rows of what went meanwhile are deleted when it is in sync.
 */
#include <errno.h>

#include "agent_int.h"
#include "base/err.h"
#include "base/log.h"
#include "freshness.h"
#include "specs.h"

/* ---- what memory holds ---- */

static void put_claim(void *arg, const struct claim *c)
{
	struct agent *a = arg;
	struct claim given_up = *c;

	if (claims_has_given_up(heal_claims(a->heal), c->pod_uid, a->self)) {
		given_up.state = CLAIM_WITHDRAWN;
		(void)str_copy(given_up.node, sizeof(given_up.node), a->self);
		a->store_failed |= store_put_claim(a->store, &given_up) < 0;
	}
	a->store_failed |= store_put_claim(a->store, c) < 0;
}

static void journal_rewrite(struct agent *a)
{
	int r;

	if (!a->heal || store_in_transaction(a->store))
		return;
	r = store_begin(a->store, true);
	r = r < 0 ? r : store_clear_claims(a->store);
	r = r < 0 ? r : store_clear_copies(a->store);
	if (r == 0)
		claims_each(heal_claims(a->heal), put_claim, a);
	map_for_each(struct copy, c, a->copies)
		r = r < 0 ? r : store_put_copy(a->store, c);
	r = r < 0 ? r : local_rewrite(a);
	r = r < 0 ? r : freshness_rewrite(a);
	r = r < 0 ? r : store_commit(a->store);
	if (r < 0) {
		store_rollback(a->store);
		a->store_failed = true;
	}
}

void rescue_rows(struct agent *a)
{
	journal_rewrite(a);
	mirror_forget_versions(a);
	specs_rewrite(a);
	objects_rewrite(a);
	tell_rewrite(a);
	identities_rewrite(a);
	a->store_sweep = true;
	if (a->watches[WATCH_PODS].watch && a->link.state == LINK_ONLINE)
		mirror_start(a);
}

/* ---- the mirror's rows ---- */

static bool keep_node(void *arg, const char *uid)
{
	return view_node(((struct agent *)arg)->view, uid) != NULL;	/* its rows are kept by name */
}

static bool keep_workload(void *arg, const char *uid)
{
	return view_workload(((struct agent *)arg)->view, uid) != NULL;
}

static bool keep_pod(void *arg, const char *uid)
{
	return view_pod(((struct agent *)arg)->view, uid) != NULL;
}

void rescue_sweep(struct agent *a)
{
	if (!a->store_sweep || store_batch_begin(a) < 0)
		return;
	a->store_sweep = store_keep_only(a->store, STORE_NODE_ROWS, keep_node, a) < 0 ||
			 store_keep_only(a->store, STORE_WORKLOAD_ROWS, keep_workload, a) < 0 ||
			 store_keep_only(a->store, STORE_POD_ROWS, keep_pod, a) < 0 || store_sweep_specs(a->store) < 0;
}

/* ---- the file ---- */

void rescue_look(struct agent *a)
{
	char aside[STORE_PATH_SIZE];
	int r;

	if (store_is_there(a->store))
		return;
	store_batch_flush(a);
	r = store_rescue(a->store, aside);
	if (r < 0) {
		if (!a->store_gone)
			log_error(LOG_STORE, "store was deleted", "store.path=%s error=%s: no effects until it can be made anew",
				  a->conf->store_path, err_str(r));
		a->store_gone = a->store_failed = true;
		return;
	}
	a->store_gone = false;
	tell(a, &(struct tale){ .event = "store was deleted", .node = a->self }, "store.path=%s written_anew=%s set_aside=%s",
	     a->conf->store_path, r == 0 ? "all" : "from_memory", aside[0] ? aside : "-");
	if (r == STORE_E_EMPTY)
		rescue_rows(a);
}

int rescue_begin(struct agent *a)
{
	store_batch_flush(a);
	rescue_look(a);
	store_batch_flush(a);			/* what looking told */
	return a->store_gone ? -ESTALE : store_begin(a->store, true);
}
