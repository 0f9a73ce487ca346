/* agent/copies.h — private to agent/: what copies.c (the life of a copy) and restore.c (its beginning) share */
#pragma once
#include "agent_int.h"
#include "base/json.h"
#include "specs.h"

enum { CLAIM_WON = 0, CLAIM_LOST = 1, CLAIM_GIVEN_UP = 2 };	/* labels of METRIC_CLAIMS */

struct tale copy_tale(const struct copy *c, const char *event, const char *reason);
void copy_save(struct agent *a, const struct copy *c);
struct claim copy_claim(const struct agent *a, const struct copy *c, enum claim_state state);
/* Our claim is over: the next rank may go on (withdrawn) or all is well (done). Its row and the copy's, "dropping", are on disk
 * before anybody hears of it: else we would come back from a crash with a claim that the others have seen end. */
struct claim copy_note_end(struct agent *a, struct copy *c, enum claim_state state);
void copy_forget(struct agent *a, struct copy *c);		/* frees it */
bool copy_is_gone(const struct agent *a, const struct copy *c);	/* no manifest and no pod cgroup; false where that is not known */
void copy_set_deadline(const struct agent *a, struct copy *c, struct mono now);	/* of its start */
int copy_cause(const struct agent *a, const char *lost_node);	/* enum loss_cause, a label */

/* What the pod was made of, as the cluster admitted it; NULL = not there. Of a batch each is read once: borrowed from `docs`. */
json_object *copies_content(struct agent *a, struct map *docs, const struct spec *s);
void copies_docs_free(struct map *docs);
