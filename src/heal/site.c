/* site.c — who belongs to us, who is there, and whether we may act
 *
 * A part of the site may act while it sees a majority of the last known members. In a site of two neither has one alone: the one
 * that still reaches its gateway goes on. `minority: active` lets the smaller part act as well, for at-least-once workloads.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "heal_int.h"

static bool is_of_site(const struct heal *h, const struct peer *p)
{
	return str_eq(str_or(p->site, ""), h->conf.site);
}

/* A member: whoever is only in the gossip is no witness, no voice, no bidder. */
bool in_my_site(const struct heal *h, const struct peer *p)
{
	return p->standing == PEER_MEMBER && is_of_site(h, p);
}

/* A member of the site whom majorities are counted from. */
static bool counts(const struct heal *h, const struct peer *p)
{
	return in_my_site(h, p) && !p->forgotten;
}

/* Last known members of the site. */
struct site_count site_count(const struct heal *h, const struct peers *peers)
{
	struct site_count n = { 0 };

	for (size_t i = 0; i < peers->count; i++) {
		const struct peer *p = &peers->items[i];

		n.newcomers += p->standing == PEER_NEWCOMER && is_of_site(h, p) && p->status == PEER_ALIVE;
		if (!counts(h, p) || p->status == PEER_LEFT || p->status == PEER_LEAVING)
			continue;
		n.known++;
		n.old += p->protocol == 1;	/* 0 = its tags are not known now: it counts as a new one */
		n.alive += p->status == PEER_ALIVE;
	}
	return n;
}

bool site_can_lease(struct site_count n)
{
	size_t all = n.known + n.newcomers;

	return all >= HEAL_ONCE_MEMBERS && 2 * (n.known - n.old) > all;
}

bool heal_has_majority(const struct heal *h, const struct peers *peers)
{
	struct site_count n = site_count(h, peers);

	if (n.known == 2 && n.alive == 1)
		return h->gateway > 0;
	return 2 * n.alive > n.known;
}

/* `voices` members have just answered, ourselves not counted. What gossip shows as alive may have been cut off a moment ago. */
bool site_answers(const struct heal *h, const struct peers *peers, size_t voices)
{
	struct site_count n = site_count(h, peers);

	if (h->conf.minority_active || (n.known == 2 && h->gateway > 0))
		return true;
	return 2 * (voices + 1) > n.known;
}

bool site_may_act(const struct heal *h, const struct peers *peers)
{
	return h->conf.minority_active || heal_has_majority(h, peers);
}

/* Members that gossip lost, but for those that proved to be alive: a mass loss is seen before its verdicts are spoken. */
bool breaker_trips(const struct heal *h, const struct peers *peers)
{
	size_t known = site_count(h, peers).known, lost = 0;

	for (size_t i = 0; i < peers->count; i++) {
		const struct peer *p = &peers->items[i];

		lost += counts(h, p) && p->status == PEER_FAILED && !suspect_is_alive(h, p->name);
	}
	return lost * 100 > known * (size_t)h->conf.max_lost_percent;
}

/* ---- the peers' links ---- */

/* What a peer said of its own link last. Gossip can be late with a tag: until the tag moves, the word counts. One from before
 * it was away counts no more. */
struct word {
	const char *from;		/* interned */
	bool api, tag;			/* tag: what gossip said then */
	bool tag_known;
	struct mono at;
};

void words_put(struct heal *h, const char *from, bool api, struct mono now)
{
	struct word *w = map_get(h->words, from);

	if (!w) {
		w = mem_new(struct word);
		w->from = intern(from);
		(void)map_put(h->words, w->from, w);
	}
	*w = (struct word){ .from = w->from, .api = api, .at = now };
}

bool peer_knows_api(const struct heal *h, const struct peer *p, struct mono now)
{
	struct word *w = map_get(h->words, p->name);

	if (!w || mono_since_ms(now, w->at) >= HEAL_VOICE_MS || w->at.ns < p->status_since.ns)
		return p->api && !p->silent;	/* who has spoken a moment ago is not dead, whatever its port does */
	if (!w->tag_known) {
		w->tag_known = true;
		w->tag = p->api;
	}
	if (w->tag != p->api)
		w->at = (struct mono){ 0 };	/* gossip has caught up: the word is over */
	return w->tag == p->api ? w->api : p->api;
}

void heal_on_link(struct heal *h, const char *from, bool api, struct mono now)
{
	words_put(h, from, api, now);
}

/* Everybody online could tell the API server the same: the first by name does at once, the others if it stays silent. */
int64_t online_turn_ms(const struct heal *h, const struct peers *peers, struct mono now)
{
	int64_t before = 0;

	for (size_t i = 0; i < peers->count; i++) {
		const struct peer *p = &peers->items[i];

		before += p->status == PEER_ALIVE && in_my_site(h, p) && peer_knows_api(h, p, now) &&
			  strcmp(p->name, h->conf.self) < 0;
	}
	return before * h->conf.claim_timeout_ms;
}

void words_free(struct heal *h)
{
	map_for_each(struct word, w, h->words)
		free(w);
	map_free(h->words);
}
