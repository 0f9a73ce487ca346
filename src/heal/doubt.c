/* doubt.c — what is no proof that a suspect lives: a port that accepts, a peer that says it sees it
 *
 * An address is no identity (another machine may have it by now), and one peer is one voice. Either delays the verdict by
 * heal.doubt (60 s), once per loss; then those who answered decide, we among them. With a single other witness there is no
 * majority: what it sees delays HEAL_DOUBTS_ALONE times. Such a loss stays contested: pods that may run at most once are not
 * started for it.
 *
 * Proof is what the suspect says itself: our question reaches it through the others too, and so does its answer.
 */
#include "base/str.h"
#include "heal_int.h"

/* Only members of the site have a voice; one that gossip lost can still speak for the suspect, not against it. */
struct verdict verdict_count(const struct heal *h, const struct suspect *s, const struct peers *peers)
{
	struct verdict v = {0};

	for (size_t i = 0; i < s->voice_count; i++) {
		const struct voice *voice = &s->voices[i];
		const struct peer *p = peers_find(peers, voice->from);

		if (!p || !in_my_site(h, p))
			continue;
		if (p->name == s->node) {
			v.proven = v.proven || voice->says.sees;
		} else if (voice->says.sees && voice->says.bare) {
			v.bare++;
		} else if (voice->says.sees) {
			v.against++;
			v.first = v.first ? v.first : voice->from;
		} else if (p->status == PEER_ALIVE) {
			v.confirm++;
		}
	}
	return v;
}

size_t verdict_answered(const struct verdict *v)
{
	return v->confirm + v->bare + v->against;
}

bool doubt_delays(const struct heal *h, struct suspect *s, const struct verdict *v, size_t others, struct mono now)
{
	unsigned most = v->against && others <= 1 ? HEAL_DOUBTS_ALONE : 1;

	if (mono_is_set(s->doubt_until) && !mono_reached(now, s->doubt_until))
		return true;
	if (s->doubts >= most)
		return false;
	s->doubts++;
	s->doubt_until = mono_add_ms(now, h->conf.doubt_ms);
	return true;
}

/* Whoever is against has been heard, and counts among those who answered. */
bool verdict_is_lost(const struct heal *h, const struct verdict *v, const struct peers *peers, size_t others)
{
	size_t confirm = v->confirm + v->bare, left = others > v->against ? others - v->against : 0;
	size_t needed = (size_t)h->conf.witnesses < left ? (size_t)h->conf.witnesses : left;

	return confirm >= needed && site_answers(h, peers, verdict_answered(v)) &&
	       (others <= 1 || confirm + 1 > v->against);
}

bool suspect_may_run(const struct heal *h, const char *node)
{
	const struct suspect *s = map_get(h->suspects, node);

	return s && (s->contested || s->answer != PROBE_SILENT);
}

bool heal_may_still_run(const struct heal *h, const char *node)
{
	return suspect_may_run(h, node);
}
