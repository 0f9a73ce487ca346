/* heal/claims.h — the claims we know, our own and those gossip brought */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/map.h"
#include "heal/rank.h"
#include "model/claim.h"

struct claims;

/* What a claim changed. */
enum claim_news {
	CLAIM_NEWS_NONE,		/* known already, or older than what we know */
	CLAIM_NEWS_FIRST,		/* nobody held it */
	CLAIM_NEWS_TAKEN_OVER,		/* it beats the live claim we knew */
	CLAIM_NEWS_BEATEN,		/* the live claim we know beats it: its claimant will withdraw */
	CLAIM_NEWS_WITHDRAWN,		/* the live claim was given up */
};

struct claims *claims_new(void);
void claims_free(struct claims *c);
enum claim_news claims_put(struct claims *c, const struct claim *claim);
/* The live claim on a pod, or NULL; borrowed until the next put or remove. */
const struct claim *claims_live(const struct claims *c, const char *pod_uid);
/* The best claim on a pod in any state, or NULL; likewise. */
const struct claim *claims_best(const struct claims *c, const char *pod_uid);
/* Highest epoch ever seen for the pod; 0 = none. */
uint32_t claims_epoch(const struct claims *c, const char *pod_uid);
/* The epoch of a loss declared now: the next one after a live claim (the copy was lost with its node) or a finished one; the
 * same one after a withdrawal (the next rank's turn). */
uint32_t claims_next_epoch(const struct claims *c, const char *pod_uid);
/* Nodes that gave up this epoch, into exclude[RANK_GONE] (interned, rest NULL). */
void claims_withdrawn(const struct claims *c, const char *pod_uid, uint32_t epoch, const char *exclude[RANK_GONE]);
/* Has the node given it up in the epoch of the best claim, which is another's? Then it is still to be told: who missed it would
 * believe in it for ever. */
bool claims_has_given_up(const struct claims *c, const char *pod_uid, const char *node);
/* Its claimant has told it (again). */
void claims_heard(struct claims *c, const struct claim *claim, struct mono now);
/* Live claims for which the test is true have ended without our hearing it. heard: when it was told last, 0 = not by now. */
typedef bool claim_test_fn(void *arg, const struct claim *claim, struct mono heard);
void claims_expire(struct claims *c, claim_test_fn *is_over, void *arg);
/* The pod is well again: who gave it up then may take it when it is lost anew, in a new epoch. NULL = there was nothing to change,
 * else the claim as it is now. */
const struct claim *claims_settle(struct claims *c, const char *pod_uid);
void claims_remove(struct claims *c, const char *pod_uid);
size_t claims_count(const struct claims *c);
/* Visit every known claim (the best one per pod). Do not change the table meanwhile. */
void claims_each(const struct claims *c, void (*fn)(void *arg, const struct claim *claim), void *arg);
