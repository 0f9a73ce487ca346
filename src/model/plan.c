/* plan.c — a growing list of actions */
#include "model/plan.h"

#include <stdlib.h>

#include "base/mem.h"

void plan_fini(struct plan *p)
{
	free(p->items);
	*p = (struct plan){ 0 };
}

struct action *plan_add(struct plan *p, enum action_kind kind)
{
	struct action *a;

	if (p->count == p->cap) {
		p->cap = p->cap ? 2 * p->cap : 16;
		p->items = mem_resize(p->items, p->cap, sizeof(p->items[0]));
	}
	a = &p->items[p->count++];
	*a = (struct action){ .kind = kind };
	return a;
}

void plan_wake_at(struct plan *p, struct mono due)
{
	if (due.ns != MONO_NEVER.ns)
		p->next_due = mono_min(p->next_due, due);
}

const char *action_name(enum action_kind k)
{
	static const char *const names[] = {
		"probe", "witness", "bind", "restore", "withdraw", "drop", "replace", "evict", "taint", "untaint", "stop", "resume",
		"read-lease", "ask-mine", "ask-grant", "ask-fence", "ask-runs", "ask-unused", "ask-blank", "ask-fate", "refuse",
	};

	return names[k];
}
