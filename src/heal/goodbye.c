/* goodbye.c — a node whose healer said that it goes, and that gossip then lost
 *
 * `stopping` says that nobody knows why: kubelet restarts the pod, or the machine goes down, perhaps to come back. The verdict
 * waits for HEAL_GOODBYE_MS after the goodbye, and no longer than the node's ports have been silent for HEAL_GOODBYE_SILENT
 * times node_grace: a machine that is down is healed then, one that only restarts what leaves is not healed at all.
 *
 * Anybody in the gossip can send one in another's name, or again. So it is no evidence, and does nothing but delay, once per
 * loss: what was heard before the loss, or the first that comes after it. A node that is back has its goodbye forgotten.
 *
 * `rollout` and `removal` delay nothing: kubelet of such a node shows itself, which refutes the loss (suspect.c). Where it
 * does not, the machine is gone too.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "heal_int.h"

struct said {
	const char *node;		/* interned */
	enum goodbye reason;
	struct mono at;			/* when it was heard last */
};

static bool is_old(const struct said *g, struct mono now)
{
	return mono_since_ms(now, g->at) >= HEAL_GOODBYE_MS;
}

static void forget_old(struct heal *h, struct mono now)
{
	map_for_each(struct said, g, h->goodbyes)
		if (is_old(g, now))
			goodbye_forget(h, g->node);
}

void heal_on_goodbye(struct heal *h, const char *node, enum goodbye reason, struct mono now)
{
	struct said *g;

	forget_old(h, now);
	g = map_get(h->goodbyes, node);
	if (!g) {
		g = mem_new(struct said);
		g->node = intern(node);
		(void)map_put(h->goodbyes, g->node, g);
	}
	g->reason = reason;
	g->at = now;
}

void goodbye_forget(struct heal *h, const char *node)
{
	free(map_remove(h->goodbyes, node));
}

struct mono goodbye_holds(const struct heal *h, struct suspect *s, struct mono now)
{
	const struct said *g = map_get(h->goodbyes, s->node);

	if (!mono_is_set(s->goodbye_until)) {
		if (!g || g->reason != GOODBYE_STOPPING || is_old(g, now))
			return (struct mono){ 0 };
		s->goodbye_until = mono_add_ms(g->at, HEAL_GOODBYE_MS);
	}
	if (!mono_is_set(s->silent_since))
		return s->goodbye_until;
	return mono_min(s->goodbye_until, mono_add_ms(s->silent_since, HEAL_GOODBYE_SILENT * h->conf.node_grace_ms));
}

void goodbyes_free(struct heal *h)
{
	map_for_each(struct said, g, h->goodbyes)
		free(g);
	map_free(h->goodbyes);
}
