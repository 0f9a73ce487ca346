/* model/claim.h — "node N restores pod P (uid), epoch E" */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/clock.h"
#include "model/pod.h"

#define NODE_NAME_SIZE 254		/* RFC 1123 subdomain: 253 */

enum claim_state {
	CLAIM_LIVE,
	CLAIM_WITHDRAWN,		/* gave up: the next rank may try in the same epoch */
	CLAIM_DONE,			/* handed over: a later loss of the pod is a new epoch */
};

struct claim {
	char pod_uid[UID_SIZE];
	char node[NODE_NAME_SIZE];
	uint32_t epoch;			/* grows by one with each new loss of the same pod */
	uint32_t rank;			/* rank of the claimant when it claimed */
	uint64_t mirror;		/* how fresh the claimant's mirror was, see model/stamp.h: the fresher one wins */
	enum claim_state state;
	struct wall at;			/* for display */
};

/* < 0: a wins over b; > 0: b wins; 0: the same claim. Order: higher epoch, fresher mirror, better rank, lower node name. */
int claim_compare(const struct claim *a, const struct claim *b);
const char *claim_state_name(enum claim_state s);
