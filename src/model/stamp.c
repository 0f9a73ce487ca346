/* stamp.c — how fresh a mirror is */
#include "model/stamp.h"

#define STAMP_MARK (UINT64_C(1) << 62)	/* above any resourceVersion (a revision of etcd), and positive in SQLite */

uint64_t stamp_of(struct wall confirmed)
{
	return confirmed.ns < NS_PER_MS ? STAMP_UNKNOWN : STAMP_MARK | (uint64_t)(confirmed.ns / NS_PER_MS);
}

bool stamp_is_set(uint64_t stamp)
{
	return stamp >> 62 == 1;
}

struct wall stamp_time(uint64_t stamp)
{
	uint64_t ms = stamp & ~STAMP_MARK;

	if (!stamp_is_set(stamp) || ms > INT64_MAX / NS_PER_MS)
		return (struct wall){ 0 };
	return (struct wall){ (int64_t)ms * NS_PER_MS };
}

uint64_t stamp_for_claim(uint64_t stamp)
{
	uint64_t ms = stamp & ~STAMP_MARK;

	return stamp_is_set(stamp) ? STAMP_MARK | (ms - ms % STAMP_CLAIM_STEP_MS) : stamp;
}

bool stamp_must_show(uint64_t theirs, uint64_t ours, struct wall made)
{
	if (theirs == STAMP_NONE)
		return false;
	if (!stamp_is_set(theirs) || !stamp_is_set(ours) || theirs >= ours || made.ns <= 0)
		return true;
	return stamp_time(theirs).ns >= made.ns + STAMP_SLACK_MS * NS_PER_MS;
}
