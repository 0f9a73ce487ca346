/* link.c — hysteresis over single contacts; see the header for the states */
#include "heal/link.h"

#include "base/str.h"

void link_init(struct link *l, const struct link_conf *conf, struct mono now)
{
	*l = (struct link){
	    .conf = *conf, .state = LINK_SUSPECT, .settled = LINK_SUSPECT, .since = now, .settled_since = now};
	(void)str_copy(l->reason, sizeof(l->reason), "not contacted yet");
}

static void note(struct link *l, const char *reason)
{
	if (!str_is_empty(reason))
		(void)str_copy(l->reason, sizeof(l->reason), reason);
}

static bool move(struct link *l, enum link_state to, struct mono now, const char *reason)
{
	note(l, reason);
	if (l->state == to)
		return false;
	l->state = to;
	l->since = now;
	l->streak = 0;
	if (to == LINK_SUSPECT || to == l->settled)
		return true;
	l->settled = to; /* what was wrong before is over: it must be seen anew */
	l->settled_since = now;
	l->errors_since = l->refused_since = l->proven_since = (struct mono){0};
	return true;
}

/* Has this settled state been kept long enough to leave it for another that answers? */
static bool has_dwelt(const struct link *l, struct mono now)
{
	return mono_since_ms(now, l->settled_since) >= LINK_DWELL_MS;
}

/* ---- reach ---- */

static bool rise(struct link *l, struct mono now)
{
	return ++l->streak >= LINK_RISE && move(l, LINK_ONLINE, now, "answers");
}

bool link_reached(struct link *l, struct mono now)
{
	l->reached_at = now;
	l->silent_since = (struct mono){0};
	if (l->state == LINK_SUSPECT)
		return move(l, LINK_ONLINE, now, "answers");
	return l->state == LINK_OFFLINE && l->conf.anonymous && rise(l, now);
}

bool link_unreached(struct link *l, struct mono began, struct mono now, const char *reason)
{
	if (!mono_is_set(l->silent_since) || began.ns < l->silent_since.ns)
		l->silent_since = began;
	l->streak = 0;
	note(l, str_or(reason, "no answer"));
	if (l->state == LINK_ONLINE)
		return move(l, LINK_SUSPECT, now, NULL);
	if (l->state == LINK_OFFLINE)
		l->errors_since = (struct mono){0}; /* nobody answers now, be it with an error */
	return mono_since_ms(now, l->silent_since) >= l->conf.offline_after_ms && move(l, LINK_OFFLINE, now, NULL);
}

/* ---- replies ---- */

static bool on_useful(struct link *l, enum link_reply reply, struct mono now)
{
	l->useful_at = now;
	l->errors_since = l->refused_since = (struct mono){0};
	switch (l->state) {
	case LINK_OFFLINE:
		return rise(l, now);
	case LINK_DENIED:
		return has_dwelt(l, now) && move(l, LINK_ONLINE, now, "answers");
	case LINK_FAILING:
		if (!mono_is_set(l->proven_since)) {
			l->proven_since = now;
			l->read_proven = l->write_proven = false;
		}
		*(reply == LINK_READ ? &l->read_proven : &l->write_proven) = true;
		break;
	case LINK_SUSPECT:
	case LINK_ONLINE:
		break;
	}
	return false;
}

static bool on_refused(struct link *l, struct mono now, const char *reason)
{
	l->errors_since = l->proven_since = (struct mono){0};
	l->streak = 0;
	if (!mono_is_set(l->refused_since))
		l->refused_since = now;
	if (l->state != LINK_ONLINE)
		note(l, reason);
	return false;
}

/* It proves nothing in failing, and is no reason to begin the proof anew. */
static bool on_throttled(struct link *l, struct mono now)
{
	l->errors_since = l->refused_since = (struct mono){0};
	return l->state == LINK_OFFLINE && rise(l, now);
}

static bool on_error(struct link *l, struct mono now, const char *reason)
{
	l->refused_since = l->proven_since = (struct mono){0};
	l->streak = 0;
	if (!mono_is_set(l->errors_since))
		l->errors_since = now;
	if (l->state != LINK_ONLINE)
		note(l, reason);
	return false;
}

bool link_replied(struct link *l, enum link_reply reply, struct mono now, const char *reason)
{
	bool changed = reply != LINK_ERROR && link_reached(l, now);

	switch (reply) {
	case LINK_READ:
	case LINK_WRITTEN:
		return on_useful(l, reply, now) || changed;
	case LINK_THROTTLED:
		return on_throttled(l, now) || changed;
	case LINK_REFUSED:
		return on_refused(l, now, reason) || changed;
	case LINK_ERROR:
		break;
	}
	return on_error(l, now, reason) || changed;
}

/* ---- time ---- */

/* Errors count from the last useful reply, and not from before this state. */
static struct mono failing_due(const struct link *l)
{
	struct mono from = l->useful_at.ns > l->settled_since.ns ? l->useful_at : l->settled_since;

	if (!mono_is_set(l->errors_since))
		return MONO_NEVER;
	if (l->state == LINK_OFFLINE)
		from = l->errors_since;
	return mono_add_ms(from, l->conf.hung_after_ms);
}

static struct mono later(struct mono a, struct mono b)
{
	return a.ns > b.ns ? a : b;
}

struct mono link_due(const struct link *l)
{
	struct mono dwelt = mono_add_ms(l->settled_since, LINK_DWELL_MS), denied = MONO_NEVER;

	if (l->conf.anonymous)
		return MONO_NEVER;
	switch (l->state) {
	case LINK_ONLINE:
		if (mono_is_set(l->refused_since))
			denied = later(mono_add_ms(l->refused_since, LINK_DENIED_MS), dwelt);
		return mono_min(denied, failing_due(l).ns == MONO_NEVER.ns ? MONO_NEVER : later(failing_due(l), dwelt));
	case LINK_OFFLINE:
		return failing_due(l);
	case LINK_FAILING:
		if (!mono_is_set(l->proven_since) || !l->read_proven || !l->write_proven)
			return MONO_NEVER;
		return later(mono_add_ms(l->proven_since, LINK_PROVEN_MS), dwelt);
	case LINK_SUSPECT:
	case LINK_DENIED:
		break;
	}
	return MONO_NEVER;
}

bool link_tick(struct link *l, bool peer_has_answers, struct mono now)
{
	struct mono failing = failing_due(l);

	if (!mono_reached(now, link_due(l)))
		return false;
	if (l->state == LINK_FAILING)
		return move(l, LINK_ONLINE, now, "reads and writes work again");
	if (l->state == LINK_ONLINE && !mono_reached(now, failing))
		return move(l, LINK_DENIED, now,
			    "nothing but 401 and 403: our credentials are not accepted, or its RBAC refuses us");
	if (l->state == LINK_ONLINE && peer_has_answers)
		return false; /* it works for others: ours is a matter of the way there */
	return move(l, LINK_FAILING, now, "it answers, but neither reads nor writes work");
}

/* ---- what it means ---- */

bool link_is_away(enum link_state s)
{
	return s == LINK_OFFLINE || s == LINK_FAILING;
}

enum link_state link_for_healing(enum link_state s)
{
	switch (s) {
	case LINK_FAILING:
		return LINK_OFFLINE;
	case LINK_DENIED:
		return LINK_SUSPECT;
	case LINK_SUSPECT:
	case LINK_ONLINE:
	case LINK_OFFLINE:
		break;
	}
	return s;
}

bool link_is_useful(const struct link *l, int64_t ms, struct mono now)
{
	return mono_is_set(l->useful_at) && mono_since_ms(now, l->useful_at) <= ms;
}

bool link_answers(const struct link *l)
{
	bool errors = !l->conf.anonymous && (mono_is_set(l->errors_since) || l->state == LINK_FAILING);

	return mono_is_set(l->reached_at) && !mono_is_set(l->silent_since) && !errors;
}

const char *link_state_name(enum link_state s)
{
	static const char *const names[] = {"suspect", "online", "offline", "failing", "denied"};

	return names[s];
}
