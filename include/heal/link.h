/* heal/link.h — our view of the API server: one state out of many contacts, with hysteresis and a reason
 *
 *   suspect ──any address answers──> online ──no address answers──> suspect ──for offline_after──> offline
 *   offline ──LINK_RISE useful answers in a row──> online
 *   online  ──for hung_after only errors, and no peer has a useful answer──> failing
 *   failing ──LINK_PROVEN_MS of reads and writes that work──> online
 *   online  ──for LINK_DENIED_MS nothing but 401 and 403──> denied ──one useful answer──> online
 *   offline ──answers, but for hung_after only errors──> failing
 *   failing, denied ──no address answers for offline_after──> offline
 *
 * Two kinds of evidence. Reach: does any address of the API server answer at all (a TLS handshake that verifies, a status line of
 * plain HTTP)? Reply: what became of a request of ours? Slow is not dead: a reach or a reply counts however late it comes.
 *
 * One lost packet never makes offline, one lucky answer never makes online. Only `offline` is entered at once; any other
 * of the settled states is kept for LINK_DWELL_MS, so that nothing flaps. suspect is no settled state: it is the doubt in
 * front of offline.
 */
#pragma once
#include <stdbool.h>
#include "base/clock.h"

#define LINK_RISE 2			/* useful answers in a row that lead out of offline */
#define LINK_DENIED_MS 120000		/* nothing but 401 and 403 for this long: tokens are written anew within a minute */
#define LINK_PROVEN_MS 30000		/* reads and writes must have worked for this long before `failing` is over */
#define LINK_DWELL_MS 30000		/* online, failing and denied do not follow each other faster than this */
#define LINK_REASON_SIZE 160

enum link_state { LINK_SUSPECT, LINK_ONLINE, LINK_OFFLINE, LINK_FAILING, LINK_DENIED };

enum link_reply {
	LINK_READ,			/* useful: 2xx, 404, 409 to a read that the API server cannot answer by itself */
	LINK_WRITTEN,			/* the same to a write */
	LINK_THROTTLED,			/* 429: it lives and has too much to do */
	LINK_REFUSED,			/* 401, 403 */
	LINK_ERROR,			/* 5xx, or accepted and no answer in time */
};

struct link_conf {
	int64_t offline_after_ms, hung_after_ms;
	bool anonymous;			/* no credentials: reach alone counts, for what is said to us cannot be of use */
};

struct link {
	struct link_conf conf;
	enum link_state state, settled;	/* settled: the last one that was not suspect */
	struct mono since;		/* of this state */
	struct mono settled_since;	/* of that one */
	struct mono silent_since;	/* no address has answered what was tried since then; 0 = one has */
	struct mono reached_at;		/* some address answered; 0 = never */
	struct mono useful_at;		/* the last useful reply; 0 = never */
	struct mono errors_since;	/* first LINK_ERROR without another reply after it; 0 = none */
	struct mono refused_since;	/* first LINK_REFUSED without another reply after it; 0 = none */
	struct mono proven_since;	/* failing: nothing but useful replies since; 0 = none yet */
	bool read_proven, write_proven;	/* … of both kinds */
	int streak;			/* offline: useful answers in a row */
	char reason[LINK_REASON_SIZE];	/* of the last trouble, or how it stands */
};

void link_init(struct link *l, const struct link_conf *conf, struct mono now);
/* All below: true when the state changed. `reason` is copied; NULL = none to tell. */

/* An address answered. */
bool link_reached(struct link *l, struct mono now);
/* Nothing that was tried since `began` has answered, at any known address. */
bool link_unreached(struct link *l, struct mono began, struct mono now, const char *reason);
/* What became of a request. Every reply but LINK_ERROR is a reach as well. */
bool link_replied(struct link *l, enum link_reply reply, struct mono now, const char *reason);
/* Time has passed. peer_has_answers: a member of the site says that it has useful answers. */
bool link_tick(struct link *l, bool peer_has_answers, struct mono now);
/* When link_tick() may change something if nothing else happens; MONO_NEVER = not. */
struct mono link_due(const struct link *l);

/* Is this a state in which pods are healed without the API server? */
bool link_is_away(enum link_state s);
/* The three states that decisions about pods know: failing is like offline, in denied nothing is healed, as in suspect. */
enum link_state link_for_healing(enum link_state s);
/* Has there been a useful reply within `ms`? */
bool link_is_useful(const struct link *l, int64_t ms, struct mono now);
/* Does the API server answer somebody, whatever it says to us? Not with errors alone. */
bool link_answers(const struct link *l);
const char *link_state_name(enum link_state s);
