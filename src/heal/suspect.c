/* suspect.c — is a silent node lost? Never on one piece of evidence
 *
 * Evidence for it: gossip, our own probe of its ports, the peers' views and probes. Proof against it, at any time: its kubelet
 * or healer shows who it is, it answers our question itself, and while the API server answers its own Lease, if that was
 * renewed after gossip lost the node. A port that only accepts and a peer that says it sees the node are no proof: they delay
 * (doubt.c).
 *
 * A node that gossip reports as failed is watched for node_grace and probed by ourselves, at the beginning and at the end.
 * Only if that fails too are the peers asked. It is lost when `witnesses` peers (all others in a smaller site) confirm and
 * nobody contradicts, and only when those who answered are, with us, a majority of its last known members: who is cut off may
 * see the others alive in gossip for a while yet. What ends it: gossip says alive again, or the node left (an operator at
 * work, not a failure).
 *
 * A goodbye of its healer can make the grace longer (goodbye.c).
 *
 *   GRACE ──probe failed──> ASKING ──enough confirm──> LOST ──majority gone, or it answers──> REFUTED
 *     └──it answers──> REFUTED <──proof, delay or too few──┘      REFUTED ──retry──> GRACE
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "heal_int.h"

#define NOTE_MINORITY "we do not see a majority of the site"
#define NOTE_ANSWERS "its healer answers us"
#define NOTE_KUBELET "its kubelet answers us, its healer does not"
#define NOTE_ITSELF "it answers our question itself"
#define NOTE_ACCEPTS "a port of it accepts, and nobody there shows who he is"
#define NOTE_GOODBYE "its healer said goodbye: it is stopping"
#define NOTE_LEASE "its Lease in the API server is renewed"
#define NOTE_LEASE_OLD "its Lease was renewed while the API server answered"

static const char *const state_names[] = { "grace", "asking", "refuted", "lost" };

const char *suspect_state_name(enum suspect_state s)
{
	return state_names[s];
}

/* Alive members of the site other than us and the suspect: those who can be asked. */
static size_t other_witnesses(const struct heal *h, const struct peers *peers, const char *suspect)
{
	size_t n = 0;

	for (size_t i = 0; i < peers->count; i++) {
		const struct peer *p = &peers->items[i];

		n += in_my_site(h, p) && p->status == PEER_ALIVE && p->name != h->conf.self && p->name != suspect;
	}
	return n;
}

static void suspect_move(struct suspect *s, enum suspect_state to, struct mono now, const char *note)
{
	s->state = to;
	s->since = now;
	(void)str_copy(s->note, sizeof(s->note), note);
}

static void suspect_refute(struct suspect *s, struct mono now, const char *note)
{
	suspect_move(s, SUSPECT_REFUTED, now, note);
	s->due = mono_add_ms(now, HEAL_REFUTED_RETRY_MS);
}

static bool was_asked(const struct heal *h, const char *node, struct mono now)
{
	for (size_t i = 0; i < HEAL_ASKED_MAX; i++)
		if (h->asked[i].node == node && mono_since_ms(now, h->asked[i].at) < HEAL_ANSWER_MS)
			return true;
	return false;
}

static struct suspect *suspect_add(struct heal *h, const struct peer *p, const struct heal_facts *f, struct mono now)
{
	struct suspect *s = mem_new(struct suspect);

	s->node = p->name;
	s->found = !mono_is_set(h->there_since) || mono_since_ms(p->status_since, h->there_since) < HEAL_FOUND_MS;
	s->failed.ns = f->wall.ns - (now.ns - p->status_since.ns);
	suspect_move(s, SUSPECT_GRACE, p->status_since, "gossip reports it failed");
	s->due = mono_add_ms(p->status_since, h->conf.node_grace_ms);
	if (was_asked(h, p->name, now) && !mono_reached(now, s->due))
		s->due = now;		/* a peer has waited its grace out already */
	(void)map_put(h->suspects, s->node, s);
	return s;
}

static void suspect_probe(struct suspect *s, struct mono now, struct plan *plan)
{
	s->probing = true;
	s->probed = false;
	s->probed_at = now;
	s->probe_due = mono_add_ms(now, HEAL_ANSWER_MS);
	plan_add(plan, ACTION_PROBE)->node = s->node;
}

static void suspect_ask(struct suspect *s, struct mono now, struct plan *plan)
{
	s->voice_count = 0;
	s->ended = false;
	s->lease_due = (struct mono){ 0 };	/* read it again: now it counts */
	suspect_move(s, SUSPECT_ASKING, now, "asking the peers");
	s->due = mono_add_ms(now, HEAL_ANSWER_MS);
	plan_wake_at(plan, s->due);
	suspect_probe(s, now, plan);		/* once more: a short outage is over by now */
	plan_add(plan, ACTION_WITNESS)->node = s->node;
}

static bool has_answered(const struct suspect *s)
{
	return s->answer == PROBE_HEALER || s->answer == PROBE_KUBELET;
}

static bool is_answered(const struct suspect *s)
{
	return s->probed && has_answered(s);
}

static bool is_accepted(const struct suspect *s)
{
	return s->probed && s->answer == PROBE_ACCEPTS;
}

/* All of a large site look at it: together not more often than its kubelet can bear, and not all at once. */
static int64_t answered_retry_ms(const struct heal *h, const struct heal_facts *f)
{
	int64_t ms = (int64_t)site_count(h, f->peers).known * MS_PER_S / HEAL_PROBES_PER_S;
	uint64_t hash = str_hash(STR_HASH_INIT, h->conf.self, strlen(h->conf.self));

	return ms > HEAL_REFUTED_RETRY_MS ? ms / 2 + (int64_t)(hash % (uint64_t)ms) : HEAL_REFUTED_RETRY_MS;
}

/* A healer that is only being replaced is not dead. */
static void note_healer(struct suspect *s, struct mono now)
{
	if (s->answer != PROBE_KUBELET)
		s->kubelet_alone = s->healer_dead = (struct mono){ 0 };
	else if (!mono_is_set(s->kubelet_alone))
		s->kubelet_alone = now;
	else if (!mono_is_set(s->healer_dead) && mono_since_ms(now, s->kubelet_alone) >= HEAL_HEALER_DEAD_MS)
		s->healer_dead = now;
}

/* It lives. */
static void suspect_answers(const struct heal *h, struct suspect *s, const struct heal_facts *f, struct mono now)
{
	suspect_refute(s, now, s->answer == PROBE_KUBELET ? NOTE_KUBELET : NOTE_ANSWERS);
	s->due = mono_add_ms(now, answered_retry_ms(h, f));
	s->proven = true;
	note_healer(s, now);
}

/* Only a port accepts: is that a reason to wait? */
static bool suspect_is_doubted(const struct heal *h, struct suspect *s, size_t others, struct mono now)
{
	if (!is_accepted(s) || !doubt_delays(h, s, &(struct verdict){ .bare = 1 }, others, now))
		return false;
	suspect_refute(s, now, NOTE_ACCEPTS);
	s->proven = true;
	return true;
}

/* One that answered a moment ago is probed all through its grace: two looks can both meet a link that flaps. */
static struct mono next_probe(const struct suspect *s)
{
	if (!s->probed)
		return s->probing ? s->probe_due : (struct mono){ 0 };
	return s->patient ? mono_add_ms(s->probed_at, HEAL_FLAP_PROBE_MS) : MONO_NEVER;
}

/* What said goodbye is probed all through its grace: from the silence of its ports it is known when it is down. */
static struct mono grace_ends(const struct heal *h, struct suspect *s, struct mono now)
{
	struct mono held = goodbye_holds(h, s, now);

	if (held.ns <= s->due.ns || mono_reached(now, held))
		return s->due;
	s->patient = true;
	(void)str_copy(s->note, sizeof(s->note), NOTE_GOODBYE);
	return held;
}

/* GRACE: wait for both the time and our own probe. */
static void grace_tick(struct heal *h, struct suspect *s, const struct tick *t, const struct heal_facts *f, bool majority,
		       struct plan *plan)
{
	struct mono due = grace_ends(h, s, t->now);
	bool over = mono_reached(t->now, due);

	if (is_answered(s) && (over || s->patient)) {
		suspect_answers(h, s, f, t->now);
		return;
	}
	if ((over || s->patient) && suspect_is_doubted(h, s, other_witnesses(h, f->peers, s->node), t->now))
		return;
	if (mono_reached(t->now, next_probe(s)) && (!over || !s->probed))
		suspect_probe(s, t->now, plan);
	if (!over)
		plan_wake_at(plan, mono_min(due, next_probe(s)));
	else if (!s->probed)
		plan_wake_at(plan, mono_add_ms(t->now, HEAL_PROBE_LOOK_MS));
	else if (!majority)
		suspect_refute(s, t->now, NOTE_MINORITY);
	else
		suspect_ask(s, t->now, plan);
}

static void suspect_is_contradicted(struct suspect *s, const struct verdict *v, struct mono now)
{
	suspect_refute(s, now, NOTE_ACCEPTS);
	if (v->first)
		(void)snprintf(s->note, sizeof(s->note), "%.63s still sees it", v->first);
}

/* Those against are named: they were heard, and the majority decided. */
static void suspect_lose(const struct heal *h, struct suspect *s, const struct verdict *v, size_t others, struct mono now)
{
	suspect_move(s, SUSPECT_LOST, now, "");
	s->disputed = v->against || v->bare;
	s->contested = s->disputed || s->answer == PROBE_ACCEPTS;
	s->again_due = mono_add_ms(now, h->conf.doubt_ms);
	s->asking_again = false;
	(void)snprintf(s->note, sizeof(s->note), "confirmed by %zu of %zu peers%s%.63s%s", v->confirm + v->bare, others,
		       v->first ? ", against " : "", str_or(v->first, ""), v->against > 1 ? " and others" : "");
}

/* All who will answer have, and so has our own probe. */
static bool suspect_is_heard(const struct suspect *s, const struct verdict *v, size_t others, struct mono now)
{
	return mono_reached(now, s->due) || (s->probed && (verdict_answered(v) >= others || s->ended));
}

static void asking_tick(struct heal *h, struct suspect *s, const struct tick *t, const struct heal_facts *f, bool majority,
			struct plan *plan)
{
	size_t others = other_witnesses(h, f->peers, s->node);
	struct verdict v = verdict_count(h, s, f->peers);

	if (is_answered(s)) {
		suspect_answers(h, s, f, t->now);
	} else if (v.proven) {
		suspect_refute(s, t->now, NOTE_ITSELF);
	} else if (!suspect_is_heard(s, &v, others, t->now)) {
		plan_wake_at(plan, s->due);
	} else if (suspect_is_doubted(h, s, others, t->now)) {
		return;				/* refuted */
	} else if (((v.against || v.bare) && doubt_delays(h, s, &v, others, t->now)) || v.against > v.confirm + v.bare + 1) {
		suspect_is_contradicted(s, &v, t->now);
	} else if (!verdict_is_lost(h, &v, f->peers, others)) {
		suspect_refute(s, t->now, "too few witnesses answered");
	} else if (!majority) {
		suspect_refute(s, t->now, NOTE_MINORITY);
	} else {
		suspect_lose(h, s, &v, others, t->now);
	}
}

/* Somebody saw it when it was lost: do they still? */
static void ask_again(struct heal *h, struct suspect *s, const struct heal_facts *f, struct mono now, struct plan *plan)
{
	struct verdict v;

	if (s->asking_again && (s->ended || mono_reached(now, s->again_due))) {
		v = verdict_count(h, s, f->peers);
		s->asking_again = false;
		s->again_due = mono_add_ms(now, h->conf.doubt_ms);
		s->disputed = v.against || v.bare || !v.confirm;
	} else if (!s->asking_again && mono_reached(now, s->again_due)) {
		s->voice_count = 0;
		s->ended = false;
		s->asking_again = true;
		s->again_due = mono_add_ms(now, HEAL_ANSWER_MS);
		plan_add(plan, ACTION_WITNESS)->node = s->node;
	}
	plan_wake_at(plan, s->again_due);
}

/* At most once nothing starts for it while there is a sign that it runs. */
static void contested_tick(struct heal *h, struct suspect *s, const struct heal_facts *f, struct mono now, struct plan *plan)
{
	bool before = s->contested;

	if (s->disputed)
		ask_again(h, s, f, now, plan);
	s->contested = s->disputed || s->answer == PROBE_ACCEPTS;
	if (s->contested != before)
		losses_reconsider(h);	/* what was refused may be done now, and the other way round */
}

/* Gossip can be late with a return, and the Leases are old after an outage: who shows that it is the node is proof. */
static void lost_tick(struct heal *h, struct suspect *s, const struct tick *t, const struct heal_facts *f, bool majority,
		      struct plan *plan)
{
	struct mono again = mono_add_ms(s->probed_at, HEAL_LOST_PROBE_MS);

	if (!majority) {		/* what a minority believes must be proven again when it meets the others */
		suspect_refute(s, t->now, NOTE_MINORITY);
	} else if (is_answered(s)) {
		suspect_answers(h, s, f, t->now);
	} else if (!suspect_is_doubted(h, s, other_witnesses(h, f->peers, s->node), t->now)) {
		contested_tick(h, s, f, t->now, plan);
		if (mono_reached(t->now, again))
			suspect_probe(s, t->now, plan);
		plan_wake_at(plan, mono_add_ms(s->probed_at, HEAL_LOST_PROBE_MS));
	}
}

/* While the API server answers, it is asked for the suspect's Lease: with the peers, and as long as the node is lost. */
static void lease_tick(struct suspect *s, const struct tick *t, const struct heal_facts *f, struct plan *plan)
{
	if (f->link != LINK_ONLINE) {
		s->lease_read = s->lease_alive = false;
		s->lease_due = (struct mono){ 0 };
		if (s->state == SUSPECT_REFUTED && str_eq(s->note, NOTE_LEASE))	/* no proof of now any more */
			(void)str_copy(s->note, sizeof(s->note), NOTE_LEASE_OLD);
		return;
	}
	if (s->lease_alive) {
		suspect_refute(s, t->now, NOTE_LEASE);
		s->due = s->alive_until = mono_add_ms(t->now, HEAL_LEASE_HOLD_MS);
		s->lease_alive = false;
		return;
	}
	if (s->state != SUSPECT_ASKING && s->state != SUSPECT_LOST)
		return;
	if (mono_reached(t->now, s->lease_due)) {
		s->lease_due = mono_add_ms(t->now, s->lease_read ? HEAL_LEASE_READ_MS : HEAL_LEASE_AGAIN_MS);
		plan_add(plan, ACTION_READ_LEASE)->node = s->node;
	}
	plan_wake_at(plan, s->lease_due);
}

static void suspect_tick(struct heal *h, struct suspect *s, const struct tick *t, const struct heal_facts *f,
			 struct plan *plan)
{
	bool majority = site_may_act(h, f->peers);

	switch (s->state) {
	case SUSPECT_GRACE:
		grace_tick(h, s, t, f, majority, plan);
		break;
	case SUSPECT_ASKING:
		asking_tick(h, s, t, f, majority, plan);
		break;
	case SUSPECT_REFUTED:
		if (mono_reached(t->now, s->due)) {
			suspect_move(s, SUSPECT_GRACE, t->now, "looking again");
			s->patient = s->proven;
			if (s->proven)		/* it answered a moment ago: it must be silent for longer than a link flaps */
				s->due = mono_add_ms(t->now, HEAL_FLAP_MS);
			s->proven = false;
			suspect_probe(s, t->now, plan);
			plan_wake_at(plan, mono_add_ms(t->now, HEAL_PROBE_LOOK_MS));
		}
		break;
	case SUSPECT_LOST:
		lost_tick(h, s, t, f, majority, plan);
		break;
	}
	lease_tick(s, t, f, plan);
	if (s->state == SUSPECT_REFUTED)
		plan_wake_at(plan, s->due);
}

void suspects_tick(struct heal *h, const struct tick *t, const struct heal_facts *f, struct plan *plan)
{
	for (size_t i = 0; i < f->peers->count; i++) {
		const struct peer *p = &f->peers->items[i];
		struct suspect *s = map_get(h->suspects, p->name);

		if (p->status == PEER_FAILED && p->name != h->conf.self && in_my_site(h, p)) {
			suspect_tick(h, s ? s : suspect_add(h, p, f, t->now), t, f, plan);
		} else if (s) {
			goodbye_forget(h, s->node);		/* it was there to go and come back */
			(void)map_remove(h->suspects, s->node);
			free(s);
		}
	}
	map_for_each(struct suspect, s, h->suspects) {
		if (peers_find(f->peers, s->node))
			continue;
		(void)map_remove(h->suspects, s->node);	/* reaped from gossip */
		free(s);
	}
}

/* After a pause of ours a verdict from before it is old: the node may have come back meanwhile. */
void suspects_doubt(struct heal *h, struct mono now)
{
	map_for_each(struct suspect, s, h->suspects)
		if (s->state == SUSPECT_LOST)
			suspect_refute(s, now, "we were away ourselves: looking again");
}

void suspects_free(struct heal *h)
{
	map_for_each(struct suspect, s, h->suspects)
		free(s);
	map_free(h->suspects);
}

bool suspect_is_lost(const struct heal *h, const char *node)
{
	const struct suspect *s = map_get(h->suspects, node);

	return s && s->state == SUSPECT_LOST;
}

/* It was given up as lost by gossip, and is not: it answers us, or its Lease is renewed. */
bool suspect_is_alive(const struct heal *h, const char *node)
{
	const struct suspect *s = map_get(h->suspects, node);

	return s && s->state == SUSPECT_REFUTED && (has_answered(s) || str_eq(s->note, NOTE_LEASE));
}

void heal_on_probe(struct heal *h, const char *node, enum probe_answer answer, struct mono now)
{
	struct suspect *s = map_get(h->suspects, node);

	(void)now;
	if (!s)
		return;
	s->probing = false;
	s->probed = true;
	s->answer = answer;
	if (answer != PROBE_SILENT)
		s->silent_since = (struct mono){ 0 };
	else if (!mono_is_set(s->silent_since))
		s->silent_since = s->probed_at;
}

/* One voice per peer: the first one stands. When the table is full a voice for the suspect still finds a place. */
void heal_on_witness(struct heal *h, const char *node, const char *from, struct witness w, struct mono now)
{
	struct suspect *s = map_get(h->suspects, node);

	words_put(h, from, w.api, now);
	if (!s || (s->state != SUSPECT_ASKING && !s->asking_again) || str_eq(from, h->conf.self))
		return;
	for (size_t i = 0; i < s->voice_count; i++)
		if (str_eq(s->voices[i].from, from))
			return;
	if (s->voice_count < SUSPECT_VOICES_MAX)
		s->voices[s->voice_count++] = (struct voice){ intern(from), w };
	else if (w.sees)
		s->voices[SUSPECT_VOICES_MAX - 1] = (struct voice){ intern(from), w };
}

/* It has not been renewed for lease_grace. A Lease from the future has another clock: it must not change for as long. */
static bool lease_is_stale(const struct heal *h, const struct suspect *s, struct wall now)
{
	bool of_our_time = s->renewed.ns < now.ns + HEAL_LEASE_SKEW_MS * NS_PER_MS;
	int64_t grace_ms = h->conf.lease_grace_ms, grace;

	if (s->found && grace_ms < HEAL_LEASE_HOLD_MS)
		grace_ms = HEAL_LEASE_HOLD_MS;
	grace = grace_ms * NS_PER_MS;

	return (of_our_time && now.ns - s->renewed.ns >= grace) || now.ns - s->renewed_seen.ns >= grace;
}

/* Two readings that differ prove it alive whatever the clocks say; a single one does if it is later than the silence began. */
void heal_on_node_lease(struct heal *h, const char *node, struct wall renewed, struct wall now)
{
	struct suspect *s = map_get(h->suspects, node);

	if (!s)
		return;
	if (s->renewed.ns)
		s->lease_alive = renewed.ns > s->renewed.ns;
	else
		s->lease_alive = renewed.ns > s->failed.ns - HEAL_LEASE_SILENCE_MS * NS_PER_MS &&
				 renewed.ns < now.ns + HEAL_LEASE_SKEW_MS * NS_PER_MS;
	if (s->renewed.ns != renewed.ns)
		s->renewed_seen = now;
	s->renewed = renewed;
	s->lease_read = !s->lease_alive && lease_is_stale(h, s, now);
}

void heal_on_asked(struct heal *h, const char *node, struct mono now)
{
	struct suspect *s = map_get(h->suspects, node);

	h->asked[h->asked_next++ % HEAL_ASKED_MAX] = (struct asked){ intern(node), now };
	if (s && (s->state == SUSPECT_GRACE || s->state == SUSPECT_REFUTED) && !mono_reached(now, s->due) &&
	    mono_reached(now, s->alive_until))
		s->due = now;
}

void heal_on_witness_end(struct heal *h, const char *node)
{
	struct suspect *s = map_get(h->suspects, node);

	if (s && (s->state == SUSPECT_ASKING || s->asking_again))
		s->ended = true;
}

static void view_dissenters(const struct suspect *s, struct suspect_view *v)
{
	for (size_t i = 0; i < s->voice_count && v->dissenter_count < HEAL_DISSENTERS_MAX; i++)
		if (s->voices[i].says.sees && !s->voices[i].says.bare && s->voices[i].from != s->node)
			v->dissenters[v->dissenter_count++] = s->voices[i].from;
}

void heal_each_suspect(const struct heal *h, void (*fn)(void *arg, const struct suspect_view *s), void *arg)
{
	map_for_each(struct suspect, s, h->suspects) {
		struct suspect_view v = { .node = s->node, .state = s->state, .since = s->since, .note = s->note,
					  .doubt_until = s->doubt_until, .contested = s->contested,
					  .healer_dead = s->healer_dead };

		view_dissenters(s, &v);
		fn(arg, &v);
	}
}
