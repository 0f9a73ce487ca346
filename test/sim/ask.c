/* ask.c — questions to ports, peers and the API server, and what they answer
 *
 * A query reaches the peers as gossip does and ends after a second; an answer comes back directly or is lost. The answers are those of
 * heal_asked_…() and of src/agent/witness.c: who is asked about a node probes it himself, and if that fails while his gossip has not
 * noticed yet, waits for his gossip.
 */
#include <stdio.h>
#include <string.h>

#include "sim.h"

enum { QUERY_MS = 1000, DIAL_MS = 500, ANSWER_MS = 800, LOOK_MS = 50, ANSWER_UIDS = HEAL_FATE_MAX };

struct answer {				/* on its way back */
	enum action_kind kind;
	int from;
	char about[NODE_NAME_SIZE];	/* node or pod */
	bool yes, api;
	uint64_t mirror;
	int64_t asked;			/* a witness: when it heard the question */
	int64_t stop_after_ms;		/* of who asks for a grant */
	struct mono round;		/* a grant, a fence, what is unused: of which question */
	char uids[ANSWER_UIDS][UID_SIZE];
	enum fate fates[ANSWER_UIDS];
	size_t count;
};

int node_index(const struct world *w, const char *name)
{
	for (int i = 0; i < w->nodes; i++)
		if (str_eq(w->n[i].name, name))
			return i;
	return -1;
}

bool is_liar(const struct world *w, int i)
{
	return w->args.liar && i == (int)(w->args.seed % (unsigned)w->nodes);
}

/* ---- ports ---- */

struct probe { char node[NODE_NAME_SIZE]; bool reachable; };

static void on_probed(struct world *w, const struct event *e)
{
	const struct probe *p = e->a.data;
	struct sagent *a = &w->n[e->a.node].a;

	if (!a->up || a->life != e->a.life)
		return;
	heal_on_probe(a->heal, p->node, p->reachable ? PROBE_HEALER : PROBE_SILENT, node_mono(w, e->a.node));
	agent_soon(w, e->a.node);
}

void ask_probe(struct world *w, int i, const char *node)
{
	struct probe *p = mem_new(struct probe);
	int j = node_index(w, node);

	(void)str_copy(p->node, sizeof(p->node), node);
	p->reachable = reaches(w, i, j);
	after_ms(w, p->reachable ? roll_in(w, 1, 40) : DIAL_MS, on_probed,
		 (struct about){ .node = i, .life = w->n[i].a.life, .data = p });
}

struct lease_read { char node[NODE_NAME_SIZE]; struct wall renewed; };

static void on_lease(struct world *w, const struct event *e)
{
	const struct lease_read *l = e->a.data;
	struct sagent *a = &w->n[e->a.node].a;

	if (!a->up || a->life != e->a.life || !api_ok(w, e->a.node))
		return;
	heal_on_node_lease(a->heal, l->node, l->renewed, node_wall(w, e->a.node));
	agent_soon(w, e->a.node);
}

void ask_lease(struct world *w, int i, const char *node)
{
	struct lease_read *l = mem_new(struct lease_read);

	(void)str_copy(l->node, sizeof(l->node), node);
	l->renewed = api_lease(w, node_index(w, node));
	after_ms(w, roll_in(w, 5, 80), on_lease, (struct about){ .node = i, .life = w->n[i].a.life, .data = l });
}

/* ---- queries ---- */

/* As src/agent/blank.c: its pods, and those that it claims, of which it does not name the pod or the copy. */
struct hearing { struct world *w; int at; const struct answer *x; const char *missing[SIM_PODS]; size_t count; };

static void hear(struct hearing *g, const char *uid)
{
	for (size_t k = 0; k < g->x->count; k++)
		if (str_eq(g->x->uids[k], uid))
			return;
	g->missing[g->count++] = uid;
}

static void hear_claim(void *arg, const struct claim *c)
{
	struct hearing *g = arg;

	if (c->state == CLAIM_LIVE && str_eq(c->node, g->w->n[g->x->from].name) && view_pod(g->w->n[g->at].a.view, c->pod_uid))
		hear(g, c->pod_uid);
}

static void hear_blank(struct world *w, int i, const struct answer *x)
{
	struct sagent *a = &w->n[i].a;
	const char *from = w->n[x->from].name;
	const struct node *n = view_node(a->view, from);
	struct hearing *g = mem_new(struct hearing);

	*g = (struct hearing){ .w = w, .at = i, .x = x };
	if (n)
		list_for_each(p, &n->pods, struct pod, by_node)
			if (pod_is_active(p) && !p->deleting && !p->is_mirror && !claims_live(heal_claims(a->heal), p->uid))
				hear(g, p->uid);
	claims_each(heal_claims(a->heal), hear_claim, g);
	(void)heal_on_blank(a->heal, from, &(struct blank_answer){ x->yes, g->missing, g->count }, node_mono(w, i));
	free(g);
}

static void give(struct world *w, int i, const struct answer *x)
{
	struct heal *h = w->n[i].a.heal;
	const char *uids[HEAL_MINE_MAX];

	for (size_t k = 0; k < x->count; k++)
		uids[k] = x->uids[k];
	if (x->kind == ACTION_WITNESS)
		heal_on_witness(h, x->about, w->n[x->from].name, (struct witness){ .sees = x->yes, .api = x->api }, node_mono(w, i));
	else if (x->kind == ACTION_ASK_MINE)
		heal_on_mine(h, w->n[x->from].name, &(struct mine){ x->mirror, uids, x->count });
	else if (x->kind == ACTION_ASK_BLANK)
		hear_blank(w, i, x);
	else if (x->kind == ACTION_ASK_GRANT)
		heal_on_grant(h, w->n[x->from].name, &(struct grant){ x->round, uids, x->count });
	else if (x->kind == ACTION_ASK_RUNS)
		heal_on_runs(h, w->n[x->from].name, uids, x->count);
	else if (x->kind == ACTION_ASK_UNUSED)
		heal_on_unused(h, w->n[x->from].name, x->round, uids, x->count);
	else if (x->kind == ACTION_ASK_FATE)
		for (size_t k = 0; k < x->count; k++)
			heal_on_fate(h, uids[k], x->fates[k], node_mono(w, i));
	else
		heal_on_fence(h, w->n[x->from].name, &(struct permit){ x->about, x->round, x->yes });
}

static void on_answer(struct world *w, const struct event *e)
{
	struct sagent *a = &w->n[e->a.node].a;
	const struct answer *x = e->a.data;

	if (!a->up || a->life != e->a.life || w->now > e->a.n || !gossips(w, e->a.node, x->from))
		return;
	give(w, e->a.node, x);
	agent_soon(w, e->a.node);
}

/* e->a of a question: node is asked, other asks, n is when the query ends, life is of the asker. */
static void answer(struct world *w, const struct event *e, const struct answer *x)
{
	struct answer *copy;

	if (chance(w, w->loss_pct))
		return;
	copy = mem_new(struct answer);
	*copy = *x;
	copy->from = e->a.node;
	after_ms(w, roll_in(w, 1, 30), on_answer,
		 (struct about){ .node = e->a.other, .life = e->a.life, .n = e->a.n, .data = copy });
}

static void on_witness_look(struct world *w, const struct event *e)
{
	struct snode *n = &w->n[e->a.node];
	const struct answer *q = e->a.data;
	struct answer x = *q, *again;
	int about = node_index(w, q->about);
	bool late = w->now - q->asked >= MS(ANSWER_MS), alive = n->seen[about].status == PEER_ALIVE;

	if (!n->a.up || n->suspended)
		return;
	x.yes = q->yes || alive;
	x.api = n->a.link.state == LINK_ONLINE;
	if (q->yes || !alive || late) {
		answer(w, e, &x);
		return;
	}
	again = mem_new(struct answer);
	*again = *q;
	after_ms(w, LOOK_MS, on_witness_look,
		 (struct about){ .node = e->a.node, .other = e->a.other, .life = e->a.life, .n = e->a.n, .data = again });
}

static void asked_witness(struct world *w, const struct event *e, struct answer *x)
{
	int i = e->a.node, about = node_index(w, x->about);
	struct answer *copy = mem_new(struct answer);

	heal_on_asked(w->n[i].a.heal, x->about, node_mono(w, i));
	agent_soon(w, i);
	*copy = *x;
	copy->asked = w->now;
	copy->yes = reaches(w, i, about) || i == about || is_liar(w, i);
	after_ms(w, copy->yes ? roll_in(w, 1, 40) : DIAL_MS, on_witness_look,
		 (struct about){ .node = i, .other = e->a.other, .life = e->a.life, .n = e->a.n, .data = copy });
}

static void add_uids(struct answer *x, const char *const *uids, size_t n)
{
	for (size_t k = 0; k < n && k < ANSWER_UIDS; k++)
		(void)str_copy(x->uids[x->count++], UID_SIZE, uids[k]);
}

static void asked_fence(struct world *w, int i, int asker, struct answer *x)
{
	struct fence_question q = { .pod_uid = x->about, .asker = w->n[asker].name, .mirror = x->mirror };

	q.node = w->n[x->from].name;	/* of a question: the lost node */
	x->yes = !heal_may_still_run(w->n[i].a.heal, q.node) &&
		 heal_asked_fence(w->n[i].a.heal, w->n[i].a.view, &w->n[i].a.peers, &q, node_mono(w, i)) && fences_save(w, i);
}

/* Of the pods of a question those of which a copy runs here; false: none. */
static bool keep_running(const struct map *copies, struct answer *x)
{
	size_t n = 0;

	for (size_t k = 0; k < x->count; k++) {
		const struct copy *c = map_get(copies, x->uids[k]);

		if (c && c->state == COPY_RUNNING)
			memmove(x->uids[n++], x->uids[k], UID_SIZE);
	}
	x->count = n;
	return n > 0;
}

/* Of the pods of a question those that this node has no use for; false: none. */
static bool keep_unused(const struct sagent *a, struct answer *x)
{
	size_t n = 0;

	for (size_t k = 0; k < x->count; k++)
		if (!map_get(a->copies, x->uids[k]) && !heal_uses(a->heal, x->uids[k], UID_SIZE))
			memmove(x->uids[n++], x->uids[k], UID_SIZE);
	x->count = n;
	return n > 0;
}

/* The disk was lost with a boot: it is always another one than its Node had. */
static void name_runs(const struct snode *n, struct answer *x)
{
	x->yes = true;
	x->count = 0;
	for (int k = 0; k < SIM_RUNS && x->count < ANSWER_UIDS; k++)
		if (n->runs[k].used)
			(void)str_copy(x->uids[x->count++], UID_SIZE, n->runs[k].uid);
}

/* False: its mirror is not in sync with the API server. */
static bool tell_fates(struct world *w, int i, struct answer *x)
{
	const struct sagent *a = &w->n[i].a;

	if (a->link.state != LINK_ONLINE || !mono_is_set(a->synced_at))
		return false;
	for (size_t k = 0; k < x->count; k++)
		x->fates[k] = heal_fate_of(a->heal, a->view, x->about, x->uids[k], node_mono(w, i));
	return true;
}

static void on_question(struct world *w, const struct event *e)
{
	struct answer x = *(const struct answer *)e->a.data;
	struct snode *n = &w->n[e->a.node];
	const char *uids[HEAL_MINE_MAX];
	const char *asker = w->n[e->a.other].name;

	if (!n->a.up || n->suspended || !has_serf(w, e->a.node) || !gossips(w, e->a.node, e->a.other))
		return;
	if (x.kind == ACTION_WITNESS) {
		asked_witness(w, e, &x);
		return;
	}
	if (x.kind == ACTION_ASK_MINE) {
		x.mirror = n->a.mirror_version;
		add_uids(&x, uids, heal_mine_of(n->a.heal, n->a.view, asker, uids));
	} else if (x.kind == ACTION_ASK_GRANT) {
		struct grant_question q = { asker, x.stop_after_ms };
		size_t fenced = heal_asked_grant(n->a.heal, &q, uids, node_mono(w, e->a.node));

		if (!fences_save(w, e->a.node))
			return;
		add_uids(&x, uids, fenced);
	} else if (x.kind == ACTION_ASK_BLANK) {
		if (!str_eq(x.about, n->name) || !agent_is_blank(w, e->a.node) || n->a.link.state != LINK_OFFLINE)
			return;
		name_runs(n, &x);
	} else if (x.kind == ACTION_ASK_RUNS) {
		if (!keep_running(n->a.copies, &x))
			return;
	} else if (x.kind == ACTION_ASK_UNUSED) {
		if (!keep_unused(&n->a, &x))
			return;
	} else if (x.kind == ACTION_ASK_FATE) {
		if (!tell_fates(w, e->a.node, &x))
			return;
	} else {
		asked_fence(w, e->a.node, e->a.other, &x);
	}
	answer(w, e, &x);
}

static void on_end(struct world *w, const struct event *e)
{
	struct sagent *a = &w->n[e->a.node].a;
	const struct answer *x = e->a.data;

	if (!a->up || a->life != e->a.life)
		return;
	if (x->kind == ACTION_WITNESS)
		heal_on_witness_end(a->heal, x->about);
	else if (x->kind == ACTION_ASK_MINE)
		heal_on_mine_end(a->heal, node_mono(w, e->a.node));
	else if (x->kind == ACTION_ASK_GRANT)
		heal_on_grant_end(a->heal, x->round);
	else if (x->kind == ACTION_ASK_FENCE)
		heal_on_fence_end(a->heal, x->about, x->round);
	agent_soon(w, e->a.node);
}

static void query(struct world *w, int i, const struct answer *x)
{
	struct about me = { .node = i, .life = w->n[i].a.life };

	for (int j = 0; j < w->nodes; j++) {
		if (j == i || !gossips(w, i, j) || chance(w, w->loss_pct))
			continue;
		me.data = mem_new(struct answer);
		*(struct answer *)me.data = *x;
		after_ms(w, gossip_delay_ms(w), on_question,
			 (struct about){ .node = j, .other = i, .life = me.life, .n = w->now + MS(QUERY_MS), .data = me.data });
	}
	me.data = mem_new(struct answer);
	*(struct answer *)me.data = *x;
	after_ms(w, QUERY_MS, on_end, me);
}

static void ask_about(struct world *w, int i, enum action_kind kind, const char *about, int from, struct mono round)
{
	struct answer x = { .kind = kind, .from = from, .mirror = w->n[i].a.mirror_version, .round = round };

	(void)str_copy(x.about, sizeof(x.about), str_or(about, ""));
	query(w, i, &x);
}

void ask_witness(struct world *w, int i, const char *node)
{
	tell(w, i, "asks about %s", node);
	ask_about(w, i, ACTION_WITNESS, node, 0, (struct mono){ 0 });
}

void ask_mine(struct world *w, int i)
{
	ask_about(w, i, ACTION_ASK_MINE, NULL, 0, (struct mono){ 0 });
}

void ask_blank(struct world *w, int i, const char *node)
{
	ask_about(w, i, ACTION_ASK_BLANK, node, 0, (struct mono){ 0 });
}

void ask_grant(struct world *w, int i, const struct action *act)
{
	query(w, i, &(struct answer){ .kind = ACTION_ASK_GRANT, .round = act->declared, .stop_after_ms = w->n[i].a.conf.stop_after_ms });
}

void ask_fence(struct world *w, int i, const struct action *act)
{
	ask_about(w, i, ACTION_ASK_FENCE, act->pod_uid, node_index(w, act->node), act->declared);
}

void ask_runs(struct world *w, int i)
{
	struct answer x = { .kind = ACTION_ASK_RUNS };
	const char *uids[HEAL_RUNS_MAX];
	size_t n = heal_overtaken(w->n[i].a.heal, uids, node_mono(w, i));

	add_uids(&x, uids, n);
	if (n)
		query(w, i, &x);
}

void ask_unused(struct world *w, int i, const struct action *act)
{
	struct answer x = { .kind = ACTION_ASK_UNUSED, .round = act->declared };
	const char *uids[HEAL_UNUSED_MAX];
	size_t n = heal_fences_unseen(w->n[i].a.heal, uids, act->declared);

	add_uids(&x, uids, n);
	if (n)
		query(w, i, &x);
}

void ask_fate(struct world *w, int i)
{
	const char *node, *uids[HEAL_FATE_MAX];
	size_t n;

	while ((n = heal_fate_question(w->n[i].a.heal, &node, uids, node_mono(w, i))) > 0) {
		struct answer x = { .kind = ACTION_ASK_FATE };

		(void)str_copy(x.about, sizeof(x.about), node);
		add_uids(&x, uids, n);
		query(w, i, &x);
	}
}
