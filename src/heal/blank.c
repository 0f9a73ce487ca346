/* blank.c — members that live and have no mirror: what they say they do not run is lost
 *
 * A node whose store was lost, and that boots while the API server is away, knows none of its pods: it cannot bring them back,
 * and nobody else would, because it lives. It tells that it has no mirror, and is asked what runs on it. It names the pods that its
 * cgroups show; those of its pods (and of its copies) that it does not name are lost
 *
 *   - at once when its boot id is not the one that its Node had: kubelet started nothing in this boot
 *   - else when it has left them out of every answer for local_grace
 *
 * Each such member speaks for itself alone, and for as long as it goes on speaking. At-most-once pods need permits as ever, and
 * nobody gives one for a pod of a node that lives.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "heal_int.h"

struct missing { char uid[UID_SIZE]; struct mono first, last; };	/* left out of every answer from first to last */

struct blank {
	const char *node;		/* interned */
	struct mono due, heard;		/* when it is asked again; its last answer, 0 = none */
	bool rebooted;
	struct map *missing;		/* pod uid → struct missing */
};

static void missing_clear(struct blank *b)
{
	map_for_each(struct missing, m, b->missing) {
		(void)map_remove(b->missing, m->uid);
		free(m);
	}
}

static void blank_free(struct blank *b)
{
	missing_clear(b);
	map_free(b->missing);
	free(b);
}

void blanks_free(struct heal *h)
{
	map_for_each(struct blank, b, h->blanks)
		blank_free(b);
	map_free(h->blanks);
}

/* ---- asking ---- */

static bool is_blank(const struct heal *h, const struct peer *p)
{
	return p && p->blank && p->status == PEER_ALIVE && p->name != h->conf.self && in_my_site(h, p);
}

static void blank_ask(struct heal *h, const char *node, const struct tick *t, struct plan *plan)
{
	struct blank *b = map_get(h->blanks, node);

	if (!b) {
		b = mem_new(struct blank);
		b->node = node;
		b->missing = map_new();
		(void)map_put(h->blanks, b->node, b);
	}
	if (mono_is_set(b->heard) && mono_since_ms(t->now, b->heard) >= HEAL_BLANK_FRESH_MS)
		missing_clear(b);	/* its healer may be dead by now, and nobody says any more what runs there */
	if (mono_reached(t->now, b->due)) {
		b->due = mono_add_ms(t->now, HEAL_BLANK_ASK_MS);
		plan_add(plan, ACTION_ASK_BLANK)->node = b->node;
	}
	plan_wake_at(plan, b->due);
}

void blanks_tick(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan)
{
	map_for_each(struct blank, b, h->blanks) {
		if (f->link == LINK_OFFLINE && is_blank(h, peers_find(f->peers, b->node)))
			continue;
		(void)map_remove(h->blanks, b->node);
		blank_free(b);
	}
	for (size_t i = 0; f->link == LINK_OFFLINE && i < f->peers->count; i++)
		if (is_blank(h, &f->peers->items[i]))
			blank_ask(h, f->peers->items[i].name, t, plan);
}

/* ---- what it says ---- */

static bool leaves_out(const struct blank_answer *x, const char *uid)
{
	for (size_t i = 0; i < x->count; i++)
		if (str_eq(x->missing[i], uid))
			return true;
	return false;
}

/* True: some of them run now. */
static bool forget_named(struct blank *b, const struct blank_answer *x)
{
	size_t before = map_count(b->missing);

	map_for_each(struct missing, m, b->missing) {
		if (leaves_out(x, m->uid))
			continue;
		(void)map_remove(b->missing, m->uid);
		free(m);
	}
	return map_count(b->missing) != before;
}

bool heal_on_blank(struct heal *h, const char *node, const struct blank_answer *x, struct mono now)
{
	struct blank *b = map_get(h->blanks, node);
	bool news;

	if (!b)
		return false;
	news = forget_named(b, x) || !mono_is_set(b->heard) || b->rebooted != x->rebooted || map_count(b->missing) != x->count;
	b->heard = now;
	b->rebooted = x->rebooted;
	for (size_t i = 0; i < x->count; i++) {
		struct missing *m = map_get(b->missing, x->missing[i]);

		if (!m) {
			m = mem_new(struct missing);
			(void)str_copy(m->uid, sizeof(m->uid), x->missing[i]);
			m->first = now;
			(void)map_put(b->missing, m->uid, m);
		}
		m->last = now;
	}
	return news;
}

static bool is_lost(const struct heal *h, const struct blank *b, const struct missing *m)
{
	return b->rebooted || mono_since_ms(m->last, m->first) >= h->conf.local_grace_ms;
}

bool holder_has_lost(const struct heal *h, const char *node, const char *uid)
{
	const struct blank *b = node ? map_get(h->blanks, node) : NULL;
	const struct missing *m = b ? map_get(b->missing, uid) : NULL;

	return (node && suspect_is_lost(h, node)) || (m && is_lost(h, b, m));
}

/* When everybody who may hold one of the pods has been heard: who comes back from a partition, or from a sleep, hears the
 * others' claims within a while. */
static struct mono settled_at(const struct heal *h, const struct peers *peers)
{
	struct mono last = h->there_since;

	for (size_t i = 0; i < peers->count; i++) {
		const struct peer *p = &peers->items[i];

		if (p->status == PEER_ALIVE && !p->blank && p->name != h->conf.self && in_my_site(h, p) &&
		    p->status_since.ns > last.ns)
			last = p->status_since;
	}
	return mono_add_ms(last, HEAL_BLANK_SETTLE_MS);
}

void blanks_lost(const struct heal *h, const struct view *view, struct lost_pods *lost)
{
	map_for_each(struct blank, b, h->blanks)
		map_for_each(struct missing, m, b->missing) {
			const struct pod *p = is_lost(h, b, m) ? view_pod(view, m->uid) : NULL;

			if (p)
				lost_add(lost, p);
		}
}

void blanks_scan(const struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan,
		 struct lost_pods *lost)
{
	struct mono due = settled_at(h, f->peers);

	if (!map_count(h->blanks))
		return;
	if (!mono_reached(t->now, due)) {
		plan_wake_at(plan, due);
		return;
	}
	map_for_each(struct blank, b, h->blanks)
		map_for_each(struct missing, m, b->missing) {
			const struct pod *p = is_lost(h, b, m) && !map_get(h->losses, m->uid) ? view_pod(f->view, m->uid) : NULL;

			if (p)
				lost_add(lost, p);
		}
}
