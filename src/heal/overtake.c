/* overtake.c — a copy of ours runs, and a peer's claim is better: ours goes when that peer says that its own runs
 *
 * A claim comes before the deed, and anybody who is a member can make one. Two nodes that did not hear each other's claims may
 * both start the pod; the worse one goes, but not for a word: that would leave nobody for as long as the other one starts, or for
 * ever if it never does. The claimant is asked until it answers, its claim ends, or our copy is not needed any more.
 * At-most-once copies go at once: whoever has the better claim has the fence.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "heal_int.h"

struct overtake {
	char pod_uid[UID_SIZE];
	const char *by;			/* interned: the claimant */
	struct mono asked;		/* 0 = not yet */
	bool confirmed;
};

struct overtakes { struct map *by_pod; struct mono due; };

struct overtakes *overtakes_new(void)
{
	struct overtakes *all = mem_new(struct overtakes);

	all->by_pod = map_new();
	return all;
}

void overtakes_free(struct overtakes *all)
{
	map_for_each(struct overtake, o, all->by_pod)
		free(o);
	map_free(all->by_pod);
	free(all);
}

bool overtake_is_confirmed(struct overtakes *all, const char *pod_uid, const char *by)
{
	struct overtake *o = map_get(all->by_pod, pod_uid);

	by = intern(by);
	if (!o) {
		o = mem_new(struct overtake);
		(void)str_copy(o->pod_uid, sizeof(o->pod_uid), pod_uid);
		(void)map_put(all->by_pod, o->pod_uid, o);
	} else if (o->by == by) {
		return o->confirmed;
	}
	o->by = by;
	o->asked = (struct mono){ 0 };
	o->confirmed = false;
	return false;
}

void overtake_ended(struct overtakes *all, const char *pod_uid)
{
	free(map_remove(all->by_pod, pod_uid));
}

void overtakes_tick(struct overtakes *all, const struct tick *t, const struct heal_facts *f, struct plan *plan)
{
	bool open = false;

	map_for_each(struct overtake, o, all->by_pod) {
		const struct copy *c = map_get(f->copies, o->pod_uid);

		if (!c || c->state != COPY_RUNNING)
			overtake_ended(all, o->pod_uid);
		else
			open = open || !o->confirmed;
	}
	if (!open)
		return;
	if (mono_reached(t->now, all->due)) {
		all->due = mono_add_ms(t->now, HEAL_RUNS_RETRY_MS);
		plan_add(plan, ACTION_ASK_RUNS)->declared = t->now;
	}
	plan_wake_at(plan, all->due);
}

/* Those that were not asked about for longest: an answer holds so many and not more. */
size_t heal_overtaken(struct heal *h, const char *uids[HEAL_RUNS_MAX], struct mono now)
{
	size_t n = 0;

	while (n < HEAL_RUNS_MAX) {
		struct overtake *next = NULL;

		map_for_each(struct overtake, o, h->overtakes->by_pod)
			if (!o->confirmed && o->asked.ns != now.ns && (!next || o->asked.ns < next->asked.ns))
				next = o;
		if (!next)
			break;
		next->asked = now;
		uids[n++] = next->pod_uid;
	}
	return n;
}

void heal_on_runs(struct heal *h, const char *from, const char *const *uids, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct overtake *o = map_get(h->overtakes->by_pod, uids[i]);

		if (o && mono_is_set(o->asked) && str_eq(o->by, from))
			o->confirmed = true;
	}
}
