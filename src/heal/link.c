/* link.c — hysteresis over single contacts */
#include "heal/link.h"

#include "base/str.h"

void link_init(struct link *l, int64_t offline_after_ms, struct mono now)
{
	*l = (struct link){ .state = LINK_SUSPECT, .since = now, .offline_after_ms = offline_after_ms };
	(void)str_copy(l->reason, sizeof(l->reason), "not contacted yet");
}

static bool link_move(struct link *l, enum link_state to, struct mono now)
{
	if (l->state == to)
		return false;
	l->state = to;
	l->since = now;
	return true;
}

static bool on_answer(struct link *l, struct mono now)
{
	int needed = l->state == LINK_OFFLINE ? LINK_RISE : 1;

	l->last_answer = now;
	l->failing_since = (struct mono){ 0 };
	if (++l->streak < needed)
		return false;
	(void)str_copy(l->reason, sizeof(l->reason), "answers");
	return link_move(l, LINK_ONLINE, now);
}

bool link_observe(struct link *l, struct mono now, bool answered, const char *reason)
{
	if (answered)
		return on_answer(l, now);
	l->streak = 0;
	(void)str_copy(l->reason, sizeof(l->reason), str_or(reason, "no answer"));
	if (!mono_is_set(l->failing_since))
		l->failing_since = now;
	if (l->state == LINK_ONLINE)
		return link_move(l, LINK_SUSPECT, now);
	if (l->state == LINK_SUSPECT && mono_since_ms(now, l->failing_since) >= l->offline_after_ms)
		return link_move(l, LINK_OFFLINE, now);
	return false;
}

const char *link_state_name(enum link_state s)
{
	static const char *const names[] = { "suspect", "online", "offline" };

	return names[s];
}
