/* heal/link.h — our view of the API server: online, suspect, offline, with hysteresis and a reason
 *
 *   suspect ──first answer──> online ──first failure──> suspect ──nothing but failures for offline_after──> offline
 *   offline ──LINK_RISE answers in a row──> online
 *
 * One lost packet never makes offline, one lucky answer never makes online.
 */
#pragma once
#include <stdbool.h>
#include "base/clock.h"

#define LINK_RISE 2			/* answers in a row that lead out of offline */
#define LINK_REASON_SIZE 128

enum link_state { LINK_SUSPECT, LINK_ONLINE, LINK_OFFLINE };

struct link {
	enum link_state state;
	struct mono since;		/* of this state */
	struct mono failing_since;	/* first failure without an answer after it; 0 = none */
	struct mono last_answer;	/* 0 = never */
	int64_t offline_after_ms;
	int streak;			/* answers in a row */
	char reason[LINK_REASON_SIZE];	/* of the last failure, or how it stands */
};

void link_init(struct link *l, int64_t offline_after_ms, struct mono now);
/* One contact with the API server: it answered, or it did not and `reason` says why (copied). True when the state changed. */
bool link_observe(struct link *l, struct mono now, bool answered, const char *reason);
const char *link_state_name(enum link_state s);
