/* rates.h — how much gossip is listened to in a second
 *
 * Token buckets: one for each member, for what is said in its name, one for all that is said in no member's name, and one for
 * all of it together. A sender is not proven, for gossip signs nothing: so what is said in one name costs that name, and
 * all names together have an end too. What is dropped is told or asked again by whoever needs it.
 *
 * A healthy site stays far below. The most that one member has to say is after many nodes were lost, or at the end of a
 * partition: kubelet runs 110 pods by default, so with the claims of ten nodes taken over it has 1,100, each at worst in a
 * message of its own, told three times within 6 s. Serf itself begins to drop at 512 events that wait.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/clock.h"

enum rate_kind {
	RATE_MESSAGES,			/* user events: claims, links, addresses, hellos */
	RATE_QUESTIONS,			/* queries of others; a query names nobody that could be believed, so only all count */
	RATE_CHANGES,			/* claims that change what is stored */
	RATE_KINDS
};

/* In a second, and at once after a quiet time. */
#define RATE_MEMBER_PER_S 500		/* messages, and changes, in one member's name */
#define RATE_MEMBER_BURST 4000
#define RATE_NOBODY_PER_S 50		/* messages in the names of all who are no members, and hellos, which carry no name: */
#define RATE_NOBODY_BURST 500		/* … a site that powers up says one hello a node */
#define RATE_ALL_PER_S 1000		/* messages, and changes, in all names */
#define RATE_ALL_BURST 8000
#define RATE_QUESTIONS_PER_S 500	/* in all: a healer of many nodes asks ten a second while it suspects somebody */
#define RATE_QUESTIONS_BURST 2000
#define RATES_MEMBERS_MAX 1024		/* members with a bucket of their own; those beyond share that of nobody */

struct rates;

struct rates *rates_new(void);
void rates_free(struct rates *r);	/* NULL-safe */
/* May one more of this kind pass that is said in the name of `member` (NULL or "" = of no member)? If so it counts. */
bool rates_take(struct rates *r, enum rate_kind kind, const char *member, struct mono now);
/* The same without counting: for what may turn out to be no change. */
bool rates_may(struct rates *r, enum rate_kind kind, const char *member, struct mono now);
size_t rates_member_count(const struct rates *r);	/* with a bucket of their own */
