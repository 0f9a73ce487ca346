/* model/stamp.h — how fresh a mirror is, as healers tell each other
 *
 * Fresher is who was confirmed by the API server more recently, by that server's own clock (its `Date` header): never who has
 * the larger resourceVersion, because a restored etcd takes those back. Stamps are compared with stamps and with what the API
 * server wrote itself, never with a clock of ours.
 *
 * Healers up to protocol 2 told their newest resourceVersion in the same place. Every stamp is larger than any of those, as the
 * same unsigned number, so that both kinds of healers order claims alike.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/clock.h"

#define STAMP_NONE UINT64_C(0)		/* there is no mirror */
#define STAMP_UNKNOWN UINT64_C(1)	/* there is one, and nobody knows of when: older than stamps, or history went back */
#define STAMP_SLACK_MS 5000		/* API servers of one cluster may differ in their clocks by this */

/* Of two claims the one of the fresher mirror wins before rank is looked at: it may know that the pod is gone. Mirrors of one site
 * are confirmed seconds apart, which says nothing; where rank did not decide, who acts late would take what others have started. */
#define STAMP_CLAIM_STEP_MS (15 * 60 * 1000)

uint64_t stamp_of(struct wall confirmed);	/* STAMP_UNKNOWN for a time before 1970-01-01T00:00:00.001Z */
bool stamp_is_set(uint64_t stamp);		/* it says a time */
struct wall stamp_time(uint64_t stamp);		/* 0 = it says none */
uint64_t stamp_for_claim(uint64_t stamp);	/* rounded down to STAMP_CLAIM_STEP_MS; what says no time stays */
/* Had the mirror of `theirs` to show what the API server made at `made` (0 = not known) and our mirror of `ours` shows? If not,
 * its silence about it says nothing. Where nobody can tell it had to: a contradiction counts. */
bool stamp_must_show(uint64_t theirs, uint64_t ours, struct wall made);
