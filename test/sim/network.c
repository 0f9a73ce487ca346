/* network.c — who reaches whom, and what Serf makes of it
 *
 * Two nodes reach each other while packets pass both ways. Serf probes through third nodes and spreads what it knows, so those hear
 * each other's gossip who are joined by a chain of such pairs. A change of that is noticed by each observer at its own time: a
 * failure after 5 to 8 s (up to 13, rarely 21), a return within a second or at Serf's next attempt, which can take half a minute. A
 * member that was ever known stays in the list.
 */
#include <stdio.h>
#include <string.h>

#include "sim.h"

enum { TAGS_SOON = 200, HELLO_SPREAD = 200, SITE_MAJORITY = 2, REPEAT_MS = 30000, REPEAT_SOON_MS = 200, TAGS_MS = 5000,
       LINK_REPEATS = 3 };

bool reaches(const struct world *w, int i, int j)
{
	const struct snode *a = &w->n[i], *b = &w->n[j];

	return a->up && b->up && !a->suspended && !b->suspended && !w->block[i][j] && !w->block[j][i];
}

bool gossips(const struct world *w, int i, int j)
{
	return w->n[i].gossip >= 0 && w->n[i].gossip == w->n[j].gossip;
}

bool has_serf(const struct world *w, int i)
{
	return w->n[i].up && !w->n[i].suspended && w->n[i].serf_up;
}

static void components(struct world *w)
{
	for (int i = 0; i < w->nodes; i++)
		w->n[i].gossip = has_serf(w, i) ? i : -1;
	for (bool more = true; more;) {
		more = false;
		for (int i = 0; i < w->nodes; i++)
			for (int j = 0; j < w->nodes; j++)
				if (has_serf(w, i) && has_serf(w, j) && reaches(w, i, j) && w->n[j].gossip > w->n[i].gossip) {
					w->n[j].gossip = w->n[i].gossip;
					more = true;
				}
	}
}

static void note_reach(struct world *w, int i)
{
	int all = 0, there = 1;

	for (int j = 0; j < w->nodes; j++) {
		all += w->n[j].site == w->n[i].site;
		there += j != i && w->n[j].site == w->n[i].site && reaches(w, i, j);
	}
	if (!w->n[i].up || w->n[i].suspended || SITE_MAJORITY * there <= all)
		w->n[i].reach_since = 0;
	else if (!w->n[i].reach_since)
		w->n[i].reach_since = w->now + 1;
}

/* ---- members ---- */

static void on_status(struct world *w, const struct event *e)
{
	struct member *m = &w->n[e->a.node].seen[e->a.other];
	enum peer_status to = (enum peer_status)e->a.n;

	if (m->life != e->a.life || !has_serf(w, e->a.node))
		return;
	if (to == PEER_ALIVE)
		m->tags = w->n[e->a.other].tags;
	if (m->status == to)
		return;
	m->status = to;
	m->since = node_mono(w, e->a.node);
	m->known = true;
	tell(w, e->a.node, "gossip: %s is %s", w->n[e->a.other].name, to == PEER_ALIVE ? "alive" : "failed");
	agent_soon(w, e->a.node);
}

static int64_t detection_ms(struct world *w)
{
	int64_t kind = roll(w, 100);

	return kind < 75 ? roll_in(w, 5000, 8000) : kind < 95 ? roll_in(w, 8000, 13000) : roll_in(w, 13000, 21000);
}

static int64_t return_ms(struct world *w)
{
	return chance(w, 60) ? roll_in(w, 200, 2000) : roll_in(w, 2000, 30000);
}

void network_changed(struct world *w)
{
	int64_t back = return_ms(w);

	components(w);
	w->changed_at = w->now;
	for (int j = 0; j < w->nodes; j++) {
		int64_t lost = detection_ms(w);

		note_reach(w, j);
		for (int i = 0; i < w->nodes; i++) {
			struct member *m = &w->n[i].seen[j];
			bool connected = gossips(w, i, j);
			int64_t late = chance(w, 5) ? roll_in(w, 0, 8000) : roll_in(w, 0, 1500);

			if (i == j || connected == m->connected)
				continue;
			m->connected = connected;
			m->cut_at = w->now;
			m->life++;
			after_ms(w, connected ? back + late / 2 : lost + late, on_status,
				 (struct about){ .node = i, .other = j, .life = m->life, .n = connected ? PEER_ALIVE : PEER_FAILED });
		}
	}
	for (int i = 0; i < w->nodes && w->api.host >= 0; i++)
		way_changed(w, i);
}

/* Everybody has been there for long. */
void network_start(struct world *w)
{
	components(w);
	for (int i = 0; i < w->nodes; i++) {
		for (int j = 0; j < w->nodes; j++)
			w->n[i].seen[j] = (struct member){ .status = PEER_ALIVE, .since = node_mono(w, i), .known = true,
							   .connected = true, .tags = w->n[j].tags };
		note_reach(w, i);
	}
}

static void on_serf_up(struct world *w, const struct event *e)
{
	struct snode *n = &w->n[e->a.node];

	if (n->serf_life != e->a.life || !n->up)
		return;
	n->serf_up = true;
	for (int j = 0; j < w->nodes; j++) {	/* the list that the healer kept: none of them is there yet */
		n->seen[j].connected = false;
		n->seen[j].life++;
		n->seen[j].status = j == e->a.node ? PEER_ALIVE : PEER_FAILED;
		n->seen[j].since = node_mono(w, e->a.node);
	}
	tell(w, e->a.node, "serf is up");
	network_changed(w);
	tags_soon(w, e->a.node);
	if (n->a.up)
		hello(w, e->a.node);
	agent_soon(w, e->a.node);
}

void serf_restart(struct world *w, int i)
{
	struct snode *n = &w->n[i];

	n->serf_life++;
	n->serf_up = false;
	n->serf_seen = node_mono(w, i);
	n->tags.set = false;
	network_changed(w);
	after_ms(w, roll_in(w, 300, 2500), on_serf_up, (struct about){ .node = i, .life = n->serf_life });
}

/* Some observers take a node for failed that is well. */
void serf_flap(struct world *w, int i, int64_t for_ns)
{
	for (int j = 0; j < w->nodes; j++) {
		struct member *m = &w->n[j].seen[i];

		if (j == i || !m->connected || chance(w, 30))
			continue;
		m->life++;
		after_ms(w, roll_in(w, 0, 1500), on_status,
			 (struct about){ .node = j, .other = i, .life = m->life, .n = PEER_FAILED });
		at(w, w->now + for_ns + MS(roll_in(w, 1500, 3000)), on_status,
		   (struct about){ .node = j, .other = i, .life = m->life, .n = PEER_ALIVE });
	}
}

/* ---- messages ---- */

int64_t gossip_delay_ms(struct world *w)
{
	int64_t kind = roll(w, 100);

	return kind < 50 ? roll_in(w, 15, 119) : kind < 90 ? roll_in(w, 119, 186) : kind < 99 ? roll_in(w, 186, 321) :
			   roll_in(w, 321, 1500);
}

static void on_tags(struct world *w, const struct event *e)
{
	struct member *m = &w->n[e->a.node].seen[e->a.other];
	const struct tags *t = e->a.data;

	if (!m->connected || m->tags.version >= t->version)
		return;
	m->tags = *t;
	agent_soon(w, e->a.node);
}

static void on_tags_due(struct world *w, const struct event *e)
{
	int i = e->a.node;
	struct snode *n = &w->n[i];
	struct tags t = { .free = local_free(w, i), .api = n->a.link.state == LINK_ONLINE,
			  .blank = agent_is_blank(w, i) && n->a.link.state == LINK_OFFLINE, .set = true,
			  .version = n->tags.version + 1 };

	n->tags_pending = false;
	if (!n->a.up || !has_serf(w, i) ||
	    (n->tags.set && !memcmp(&t.free, &n->tags.free, sizeof(t.free)) && t.api == n->tags.api &&
	     t.blank == n->tags.blank))
		return;
	n->tags = n->seen[i].tags = t;
	for (int j = 0; j < w->nodes; j++) {
		struct tags *copy = j == i ? NULL : mem_new(struct tags);

		if (!copy)
			continue;
		*copy = t;
		after_ms(w, chance(w, 3) ? roll_in(w, 1000, 30000) : gossip_delay_ms(w), on_tags,
			 (struct about){ .node = j, .other = i, .data = copy });
	}
}

void tags_soon(struct world *w, int i)
{
	if (w->n[i].tags_pending)
		return;
	w->n[i].tags_pending = true;
	after_ms(w, TAGS_SOON, on_tags_due, (struct about){ .node = i });
}

static bool knows_pod(const struct sagent *a, const char *uid)
{
	return map_get(a->copies, uid) || view_pod(a->view, uid) || claims_epoch(heal_claims(a->heal), uid);
}

static void on_claims(struct world *w, const struct event *e)
{
	struct sagent *a = &w->n[e->a.node].a;
	const struct claim *c = e->a.data;

	if (!a->up || !gossips(w, e->a.node, e->a.other))
		return;
	for (int64_t k = 0; k < e->a.n; k++) {
		enum claim_news news;

		if (!knows_pod(a, c[k].pod_uid))
			continue;
		news = heal_on_claim(a->heal, &c[k], node_mono(w, e->a.node));
		if (news == CLAIM_NEWS_NONE)
			continue;
		if (news != CLAIM_NEWS_BEATEN)
			claim_save(w, e->a.node, &c[k]);
		agent_soon(w, e->a.node);
	}
}

void tell_claims(struct world *w, int i, const struct claim *claims, size_t n)
{
	for (int j = 0; j < w->nodes && has_serf(w, i); j++) {
		int times = chance(w, w->loss_pct) ? 0 : chance(w, w->dup_pct) ? 2 : 1;

		for (int k = 0; k < times && j != i && gossips(w, i, j); k++) {
			struct claim *copy = mem_new_n(struct claim, n);

			memcpy(copy, claims, n * sizeof(*copy));
			after_ms(w, gossip_delay_ms(w), on_claims,
				 (struct about){ .node = j, .other = i, .n = (int64_t)n, .data = copy });
		}
	}
}

struct own_claims { const struct world *w; int node; const struct claims *all; const char *self; struct claim *items; size_t count; };

static void collect_own(void *arg, const struct claim *c)
{
	struct own_claims *own = arg;

	if (claim_ended_long_ago(own->w, own->node, c))
		return;
	if (str_eq(c->node, own->self)) {	/* ended ones too: who was away has not heard of the end */
		own->items[own->count++] = *c;
	} else if (claims_has_given_up(own->all, c->pod_uid, own->self)) {
		own->items[own->count] = *c;
		own->items[own->count].state = CLAIM_WITHDRAWN;
		(void)str_copy(own->items[own->count++].node, NODE_NAME_SIZE, own->self);
	}
}

static void on_link_word(struct world *w, const struct event *e)
{
	struct sagent *a = &w->n[e->a.node].a;

	if (!a->up || !gossips(w, e->a.node, e->a.other))
		return;
	heal_on_link(a->heal, w->n[e->a.other].name, e->a.n, node_mono(w, e->a.node));
	agent_soon(w, e->a.node);
}

static void on_link_tell(struct world *w, const struct event *e)
{
	int i = e->a.node;

	if (!w->n[i].a.up || w->n[i].a.life != e->a.life)
		return;
	for (int j = 0; j < w->nodes && has_serf(w, i); j++)
		if (j != i && gossips(w, i, j) && !chance(w, w->loss_pct))
			after_ms(w, gossip_delay_ms(w), on_link_word,
				 (struct about){ .node = j, .other = i, .n = w->n[i].a.link.state == LINK_ONLINE });
}

/* A change of its link is told by messages too, with the next tags and a few times more. */
void tell_link(struct world *w, int i)
{
	for (int k = 0; k < LINK_REPEATS; k++)
		after_ms(w, TAGS_SOON + (int64_t)k * TAGS_MS, on_link_tell, (struct about){ .node = i, .life = w->n[i].a.life });
}

/* One timer, as the daemon has it: a hello or a new claim moves it. */
static void repeat_in(struct world *w, int i, int64_t ms);

static void on_repeat(struct world *w, const struct event *e)
{
	struct snode *n = &w->n[e->a.node];
	struct own_claims own = { .w = w, .node = e->a.node, .self = n->name };

	if (!n->a.up || n->a.repeat_life != e->a.life)
		return;
	n->a.repeat_ms = 5 * n->a.repeat_ms < REPEAT_MS ? 5 * n->a.repeat_ms : REPEAT_MS;
	repeat_in(w, e->a.node, roll_in(w, n->a.repeat_ms * 9 / 10, n->a.repeat_ms * 11 / 10));
	own.all = heal_claims(n->a.heal);
	own.items = mem_new_n(struct claim, claims_count(heal_claims(n->a.heal)) + 1);
	claims_each(heal_claims(n->a.heal), collect_own, &own);
	if (own.count)
		tell_claims(w, e->a.node, own.items, own.count);
	free(own.items);
}

static void repeat_in(struct world *w, int i, int64_t ms)
{
	after_ms(w, ms, on_repeat, (struct about){ .node = i, .life = ++w->n[i].a.repeat_life });
}

/* What was told just now is told again soon: messages are lost. */
void claims_repeat_soon(struct world *w, int i)
{
	w->n[i].a.repeat_ms = REPEAT_SOON_MS;
	repeat_in(w, i, REPEAT_SOON_MS);
}

static void on_hello(struct world *w, const struct event *e)
{
	if (w->n[e->a.node].a.up && gossips(w, e->a.node, e->a.other))
		repeat_in(w, e->a.node, roll(w, HELLO_SPREAD));
}

/* A healer has come; its own repeats begin. */
void hello(struct world *w, int i)
{
	for (int j = 0; j < w->nodes; j++)
		if (j != i && gossips(w, i, j) && !chance(w, w->loss_pct))
			after_ms(w, gossip_delay_ms(w), on_hello, (struct about){ .node = j, .other = i });
}

void claims_repeat_start(struct world *w, int i)
{
	w->n[i].a.repeat_ms = REPEAT_MS;
	repeat_in(w, i, REPEAT_MS);
}
