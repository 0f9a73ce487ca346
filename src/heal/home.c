/* home.c — pods of this very node that should run here and do not
 *
 * Cold boot: after a boot without the API server kubelet starts none of the node's pods. The peers are asked which of them
 * are still ours. Who does not name a pod knows that it was replaced or is held elsewhere, and counts, unless its mirror is too
 * old to show the pod: confirmed before ours, and before the pod was made. How large a version is says nothing: history may have
 * gone back while we were away.
 *
 *   WAIT ──a peer is there──> ASKING ──enough answered──> KNOWN: what all name and what does not run is lost
 *     └──nobody for HEAL_ALONE_MS──────────────────────────> KNOWN ──somebody comes──> ASKING
 *
 * KNOWN is not enough to act: like everybody it needs a majority of the site (of two: its gateway). A lone rebooted node of three
 * or more starts nothing of its own until a majority answers.
 *
 * Local: a pod was seen running since the link went offline and its cgroup has been empty for local_grace. kubelet restarts
 * containers by itself; what is gone for so long, it does not bring back.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "heal_int.h"
#include "model/stamp.h"

enum cold { COLD_NONE, COLD_WAIT, COLD_ASKING, COLD_KNOWN };

struct named { char uid[UID_SIZE]; bool by[SUSPECT_VOICES_MAX]; };	/* by which of the voices */
struct sighting { char uid[UID_SIZE]; struct mono gone; };	/* a pod seen running; gone: since when it is not */

struct home {
	enum cold cold;
	struct mono since, due;
	uint64_t stamp;			/* of our own mirror, as of the last tick */
	struct { const char *from; uint64_t stamp; } voices[SUSPECT_VOICES_MAX];
	size_t voice_count;
	bool ended;
	struct map *named;		/* uid → struct named */
	struct map *sightings;		/* uid → struct sighting */
};

struct home *home_new(void)
{
	struct home *o = mem_new(struct home);

	o->named = map_new();
	o->sightings = map_new();
	return o;
}

static void named_clear(struct home *o)
{
	map_for_each(struct named, n, o->named) {
		(void)map_remove(o->named, n->uid);
		free(n);
	}
}

static void sightings_clear(struct home *o)
{
	map_for_each(struct sighting, s, o->sightings) {
		(void)map_remove(o->sightings, s->uid);
		free(s);
	}
}

void home_free(struct home *o)
{
	named_clear(o);
	sightings_clear(o);
	map_free(o->named);
	map_free(o->sightings);
	free(o);
}

/* ---- the question after a boot ---- */

static size_t who_can_answer(const struct heal *h, const struct peers *peers)
{
	size_t n = 0;

	for (size_t i = 0; i < peers->count; i++) {
		const struct peer *p = &peers->items[i];

		n += p->status == PEER_ALIVE && p->name != h->conf.self && in_my_site(h, p) && p->protocol >= 2 && !p->silent;
	}
	return n;
}

static void cold_ask(struct home *o, struct mono now, struct plan *plan)
{
	named_clear(o);
	o->voice_count = 0;
	o->ended = false;
	o->cold = COLD_ASKING;
	o->due = mono_add_ms(now, HEAL_ANSWER_MS);
	plan_add(plan, ACTION_ASK_MINE);
	plan_wake_at(plan, o->due);
}

static void cold_wait(struct home *o, size_t others, struct mono now, struct plan *plan)
{
	if (!mono_reached(now, o->due))
		plan_wake_at(plan, o->due);
	else if (others)
		cold_ask(o, now, plan);
	else if (mono_since_ms(now, o->since) >= HEAL_ALONE_MS)
		o->cold = COLD_KNOWN;
	else
		plan_wake_at(plan, mono_add_ms(o->since, HEAL_ALONE_MS));
}

static void cold_tick(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan)
{
	struct home *o = h->home;
	size_t others = who_can_answer(h, f->peers);
	size_t needed = (size_t)h->conf.witnesses < others ? (size_t)h->conf.witnesses : others;

	o->stamp = f->mirror_version;
	if (!f->cold_boot || f->link == LINK_ONLINE)
		o->cold = COLD_NONE;
	if (!f->cold_boot || f->link != LINK_OFFLINE)
		return;
	switch (o->cold) {
	case COLD_NONE:
		o->cold = COLD_WAIT;
		o->since = o->due = t->now;
		cold_wait(o, others, t->now, plan);
		break;
	case COLD_WAIT:
		cold_wait(o, others, t->now, plan);
		break;
	case COLD_ASKING:
		if (o->voice_count < others && !o->ended && !mono_reached(t->now, o->due)) {
			plan_wake_at(plan, o->due);
		} else if (o->voice_count >= needed && site_answers(h, f->peers, o->voice_count)) {
			o->cold = COLD_KNOWN;
		} else {
			o->cold = COLD_WAIT;
			o->due = mono_add_ms(t->now, HEAL_MINE_RETRY_MS);
			plan_wake_at(plan, o->due);
		}
		break;
	case COLD_KNOWN:
		if (others && !o->voice_count) {	/* nobody was there before: what we know alone may be old */
			o->cold = COLD_WAIT;
			o->due = t->now;
			cold_wait(o, others, t->now, plan);
		}
		break;
	}
}

void heal_on_mine(struct heal *h, const char *from, const struct mine *m)
{
	struct home *o = h->home;

	for (size_t i = 0; i < o->voice_count; i++)
		if (str_eq(o->voices[i].from, from))
			return;
	if (o->cold != COLD_ASKING || str_eq(from, h->conf.self) || o->voice_count == SUSPECT_VOICES_MAX)
		return;
	for (size_t i = 0; i < m->count && i < HEAL_MINE_MAX; i++) {
		struct named *n = map_get(o->named, m->uids[i]);

		if (!n) {
			n = mem_new(struct named);
			(void)str_copy(n->uid, sizeof(n->uid), m->uids[i]);
			(void)map_put(o->named, n->uid, n);
		}
		n->by[o->voice_count] = true;
	}
	o->voices[o->voice_count].from = intern(from);
	o->voices[o->voice_count++].stamp = m->mirror;
}

void heal_on_mine_end(struct heal *h, struct mono now)
{
	(void)now;
	h->home->ended = true;
}

size_t heal_mine_of(const struct heal *h, const struct view *view, const char *node, const char *uids[HEAL_MINE_MAX])
{
	const struct node *n = view_node(view, node);
	size_t count = 0;

	if (!n)
		return 0;
	list_for_each(p, &n->pods, struct pod, by_node) {
		const struct claim *c = claims_live(h->claims, p->uid);

		if (count < HEAL_MINE_MAX && pod_is_active(p) && !p->deleting && !p->is_mirror && (!c || str_eq(c->node, node)))
			uids[count++] = p->uid;
	}
	return count;
}

/* Nobody contradicts. */
static bool is_still_ours(const struct home *o, const struct pod *p)
{
	const struct named *n = map_get(o->named, p->uid);

	for (size_t i = 0; i < o->voice_count; i++)
		if (!(n && n->by[i]) && stamp_must_show(o->voices[i].stamp, o->stamp, p->created))
			return false;
	return true;
}

/* ---- pods that vanish ---- */

static void sighting_look(struct home *o, const struct pod *p, const struct heal_facts *f)
{
	struct sighting *s = map_get(o->sightings, p->uid);

	if (map_get(f->running, p->uid)) {
		if (!s) {
			s = mem_new(struct sighting);
			(void)str_copy(s->uid, sizeof(s->uid), p->uid);
			(void)map_put(o->sightings, s->uid, s);
		}
		s->gone = (struct mono){ 0 };
	} else if (s && !mono_is_set(s->gone)) {
		s->gone = f->running_at;
	}
}

static void local_tick(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan)
{
	const struct node *self = view_node(f->view, h->conf.self);
	struct home *o = h->home;

	if (f->link == LINK_ONLINE)
		sightings_clear(o);	/* what vanishes now is the cluster's to see */
	if (f->link == LINK_ONLINE || !f->running || !self)
		return;
	list_for_each(p, &self->pods, struct pod, by_node) {
		const struct sighting *s;

		sighting_look(o, p, f);
		s = map_get(o->sightings, p->uid);
		if (s && mono_is_set(s->gone)) {
			struct mono due = mono_add_ms(s->gone, h->conf.local_grace_ms);

			if (!mono_reached(t->now, due))
				plan_wake_at(plan, due);
		}
	}
}

void home_tick(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan)
{
	cold_tick(h, t, f, plan);
	local_tick(h, t, f, plan);
}

bool home_has_lost(const struct heal *h, const struct heal_facts *f, const struct pod *p, struct mono now,
		   enum loss_cause *out_cause)
{
	const struct home *o = h->home;
	const struct sighting *s = map_get(o->sightings, p->uid);

	if (p->node != h->conf.self || f->link != LINK_OFFLINE || (f->running && map_get(f->running, p->uid)))
		return false;
	if (o->cold == COLD_KNOWN && f->cold_boot && is_still_ours(o, p)) {
		*out_cause = LOSS_COLD_BOOT;
		return true;
	}
	if (!s || !mono_is_set(s->gone) || mono_since_ms(now, s->gone) < h->conf.local_grace_ms)
		return false;
	*out_cause = LOSS_LOCAL;
	return true;
}

/* What this node has left, were its lost pods not counted: they do not run. */
void home_give_back(struct heal *h, const struct heal_facts *f, struct mono now)
{
	const struct node *self = view_node(f->view, h->conf.self);
	enum loss_cause cause;

	if (!self || f->link != LINK_OFFLINE)
		return;
	list_for_each(p, &self->pods, struct pod, by_node)
		if (pod_is_active(p) && !p->is_mirror && !map_get(f->copies, p->uid) && home_has_lost(h, f, p, now, &cause))
			resources_add(&h->local_left, &p->request);
}
