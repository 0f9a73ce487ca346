/* marks.c — when something was done last, by a pod's or ReplicaSet's uid or a node's name */
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "heal_int.h"

struct mark {
	char *key;
	struct mono at;
};

struct mono mark_at(const struct heal *h, const char *key)
{
	const struct mark *m = map_get(h->marks, key);

	return m ? m->at : (struct mono){ 0 };
}

void mark_put(struct heal *h, const char *key, struct mono at)
{
	struct mark *m = map_get(h->marks, key);

	if (!m) {
		m = mem_new(struct mark);
		m->key = str_dup(key);
		(void)map_put(h->marks, m->key, m);
	}
	m->at = at;
}

void mark_remove(struct heal *h, const char *key)
{
	struct mark *m = map_remove(h->marks, key);

	if (!m)
		return;
	free(m->key);
	free(m);
}

/* Is it time to do it (again)? */
bool mark_is_due(const struct heal *h, const char *key, int64_t again_ms, struct mono now, struct plan *plan)
{
	struct mono at = mark_at(h, key);

	if (at.ns == MONO_NEVER.ns)
		return false;
	if (mono_is_set(at) && mono_since_ms(now, at) < again_ms) {
		plan_wake_at(plan, mono_add_ms(at, again_ms));
		return false;
	}
	return true;
}

bool mark_take(struct heal *h, const char *key, int64_t again_ms, struct mono now, struct plan *plan)
{
	if (!mark_is_due(h, key, again_ms, now, plan))
		return false;
	mark_put(h, key, now);
	plan_wake_at(plan, mono_add_ms(now, again_ms));	/* it may come to nothing, and nothing else change */
	return true;
}

void marks_forget(struct heal *h, struct mono now)
{
	map_for_each(struct mark, m, h->marks)
		if (m->at.ns == MONO_NEVER.ns || mono_since_ms(now, m->at) >= HEAL_MARK_KEEP_MS)
			mark_remove(h, m->key);
}

void marks_free(struct heal *h)
{
	map_for_each(struct mark, m, h->marks)
		mark_remove(h, m->key);
	map_free(h->marks);
}
