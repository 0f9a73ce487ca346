/* ask.c — questions to the peers other than the witnesses', and our answers to theirs
 *
 *   eh-mine    after a reboot: which of my pods are still mine?            answered by members of the same site from their mirror
 *   eh-grant   at-most-once: I live; which of my pods have you let go?     answered always: a grant is what it takes to run on
 *   eh-fence   at-most-once: that pod's node is lost, may I start it?      answered yes at most once, see heal/once.c
 *   eh-runs    my copies of these run, and better claims are known: whose run?   answered by whoever runs one, see heal/overtake.c
 *   eh-fate    offline, and somebody is online: what became of these?     answered by whoever is in sync, see heal/vouch.c
 *
 * A question is one Serf query; answers come one by one, then its end, whatever happened.
 */
#include <stdlib.h>

#include "agent/wire.h"
#include "agent_int.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"

#define STOP_AFTER_MAX_MS 600000		/* of heal.stop_after, src/conf/keys.c */

struct ask {
	struct list link;
	struct agent *a;
	const struct ask_kind *kind;
	struct op *op;
	char pod_uid[UID_SIZE];		/* eh-fence */
	struct mono asked;		/* eh-grant */
};

struct ask_kind {
	const char *query;
	bool (*on_answer)(struct ask *q, const char *from, const void *payload, size_t n);	/* false: malformed */
	void (*on_end)(struct ask *q);
};

/* ---- lists of half uids ---- */

struct uid_list { const struct agent *a; const char *uids[HEAL_MINE_MAX]; size_t count; };

/* Which pod of this node does half a uid mean? */
static void add_own(void *arg, const char *half)
{
	struct uid_list *l = arg;
	const struct node *self = view_node(l->a->view, l->a->self);

	if (!self || l->count == HEAL_MINE_MAX)
		return;
	list_for_each(p, &self->pods, struct pod, by_node) {
		if (strncmp(p->uid, half, WIRE_UID_LEN) != 0)
			continue;
		l->uids[l->count++] = p->uid;
		return;
	}
	map_for_each(struct copy, c, l->a->copies) {
		if (strncmp(c->pod_uid, half, WIRE_UID_LEN) != 0)
			continue;
		l->uids[l->count++] = c->pod_uid;
		return;
	}
}

/* ---- eh-mine ---- */

static bool mine_on_answer(struct ask *q, const char *from, const void *payload, size_t n)
{
	struct uid_list l = { .a = q->a };
	struct mine m = { .uids = l.uids };

	if (wire_get_uids(payload, n, &m.mirror, add_own, &l) < 0)
		return false;
	m.count = l.count;
	heal_on_mine(q->a->heal, from, &m);
	log_info(LOG_HEAL, "mine", "from=%s pods=%zu mirror=%llu", from, l.count, (unsigned long long)m.mirror);
	return true;
}

static void mine_on_end(struct ask *q)
{
	heal_on_mine_end(q->a->heal, loop_now(q->a->loop));
}

/* ---- eh-grant ---- */

static bool grant_on_answer(struct ask *q, const char *from, const void *payload, size_t n)
{
	struct uid_list l = { .a = q->a };
	uint64_t mirror;

	if (wire_get_uids(payload, n, &mirror, add_own, &l) < 0)
		return false;
	heal_on_grant(q->a->heal, from, &(struct grant){ q->asked, l.uids, l.count });
	return true;
}

static void grant_on_end(struct ask *q)
{
	heal_on_grant_end(q->a->heal, q->asked);
}

/* ---- eh-fence ---- */

static bool fence_on_answer(struct ask *q, const char *from, const void *payload, size_t n)
{
	bool yes;

	if (wire_get_yes(payload, n, &yes) < 0)
		return false;
	log_info(LOG_HEAL, "fence", "pod=%s from=%s permits=%d", q->pod_uid, from, yes);
	heal_on_fence(q->a->heal, q->pod_uid, from, yes);
	return true;
}

static void fence_on_end(struct ask *q)
{
	heal_on_fence_end(q->a->heal, q->pod_uid);
}

/* ---- eh-runs ---- */

static bool runs_on_answer(struct ask *q, const char *from, const void *payload, size_t n)
{
	struct uid_list l = { .a = q->a };
	uint64_t mirror;

	if (wire_get_uids(payload, n, &mirror, add_own, &l) < 0)
		return false;
	heal_on_runs(q->a->heal, from, l.uids, l.count);
	return true;
}

static void runs_on_end(struct ask *q)
{
	(void)q;			/* heal/ asks again as long as it needs to know */
}

/* ---- eh-fate ---- */

struct fates { struct ask *q; int of[FATE_COUNT]; };

static void on_fate(void *arg, const char *half, enum fate fate)
{
	struct fates *all = arg;

	all->of[fate]++;
	heal_on_fate(all->q->a->heal, half, fate, loop_now(all->q->a->loop));
}

static bool fate_on_answer(struct ask *q, const char *from, const void *payload, size_t n)
{
	struct fates all = { .q = q };

	if (wire_get_fates(payload, n, on_fate, &all) < 0)
		return false;
	log_info(LOG_HEAL, "fate", "from=%s gone=%d working=%d alive=%d failed=%d", from, all.of[FATE_GONE], all.of[FATE_WORKING],
		 all.of[FATE_ALIVE], all.of[FATE_FAILED]);
	return true;
}

static const struct ask_kind fate_kind = { WIRE_FATE_QUERY, fate_on_answer, runs_on_end };
static const struct ask_kind runs_kind = { WIRE_RUNS_QUERY, runs_on_answer, runs_on_end };
static const struct ask_kind mine_kind = { WIRE_MINE_QUERY, mine_on_answer, mine_on_end };
static const struct ask_kind grant_kind = { WIRE_GRANT_QUERY, grant_on_answer, grant_on_end };
static const struct ask_kind fence_kind = { WIRE_FENCE_QUERY, fence_on_answer, fence_on_end };

/* ---- asking ---- */

static void on_response(void *arg, const char *from, const void *payload, size_t n)
{
	struct ask *q = arg;

	from = gossip_node_name(q->a, from);
	if (!gossip_is_member(q->a, from) || !q->kind->on_answer(q, from, payload, n))
		metric_inc(METRIC_GOSSIP_DROPPED);
	else
		think_soon(q->a);
}

static void on_done(void *arg, int r, unsigned acks)
{
	struct ask *q = arg;
	struct agent *a = q->a;

	(void)r;
	(void)acks;
	q->kind->on_end(q);
	list_remove(&q->link);
	free(q);
	think_soon(a);
}

static struct ask *ask(struct agent *a, const struct ask_kind *kind, const void *payload, size_t n)
{
	struct ask *q = mem_new(struct ask);
	struct serf_query_params p = { .name = kind->query, .payload = payload, .n = n, .timeout_ms = WITNESS_TIMEOUT_MS };
	struct serf_query_handlers h = { .arg = q, .on_response = on_response, .on_done = on_done };

	*q = (struct ask){ .a = a, .kind = kind };
	list_add_tail(&a->asks, &q->link);
	q->op = serf_client_query(a->serf, &p, &h);
	return q;
}

void ask_mine(struct agent *a)
{
	(void)ask(a, &mine_kind, a->self, strlen(a->self));
}

/* Who only observes stops nothing: nobody shall count on it. */
void ask_grant(struct agent *a, const struct action *act)
{
	cleanup(buf_fini) struct buf b = BUF_INIT;

	if (!agent_may_act(a)) {
		heal_on_grant_end(a->heal, act->declared);
		return;
	}
	wire_put_ask_grant(&b, a->self, a->conf->heal_stop_after_ms);
	ask(a, &grant_kind, b.data, b.len)->asked = act->declared;
}

void ask_fence(struct agent *a, const struct action *act)
{
	cleanup(buf_fini) struct buf b = BUF_INIT;
	struct wire_fence f = { 0 };

	(void)str_copy(f.pod_uid, sizeof(f.pod_uid), act->pod_uid);
	(void)str_copy(f.node, sizeof(f.node), act->node);
	(void)str_copy(f.asker, sizeof(f.asker), a->self);
	f.mirror = a->mirror_version;
	if (wire_put_fence(&b, &f) == 0)
		(void)str_copy(ask(a, &fence_kind, b.data, b.len)->pod_uid, UID_SIZE, act->pod_uid);
	else
		heal_on_fence_end(a->heal, act->pod_uid);
}

void ask_runs(struct agent *a)
{
	cleanup(buf_fini) struct buf b = BUF_INIT;
	const char *uids[HEAL_RUNS_MAX];
	size_t n = heal_overtaken(a->heal, uids, loop_now(a->loop));

	if (!n)
		return;
	wire_put_uids(&b, a->mirror_version, uids, n);
	(void)ask(a, &runs_kind, b.data, b.len);
}

void ask_fate(struct agent *a)
{
	const char *node, *uids[HEAL_FATE_MAX];

	for (int i = 0; i < HEAL_FATE_QUESTIONS; i++) {
		cleanup(buf_fini) struct buf b = BUF_INIT;
		size_t n = heal_fate_question(a->heal, &node, uids, loop_now(a->loop));

		if (!n)
			return;
		wire_put_ask_fate(&b, node, uids, n);
		(void)ask(a, &fate_kind, b.data, b.len);
	}
}

void asks_free(struct agent *a)
{
	list_for_each_safe(q, &a->asks, struct ask, link) {
		op_cancelp(&q->op);
		free(q);
	}
}

/* ---- answering ---- */

static bool name_of(const void *payload, size_t n, char out[NODE_NAME_SIZE])
{
	if (n == 0 || n >= NODE_NAME_SIZE || memchr(payload, 0, n))
		return false;
	memcpy(out, payload, n);
	out[n] = '\0';
	return true;
}

static bool is_neighbour(const struct agent *a, const char *node)
{
	const struct peer *p = peers_find(&a->peers, node), *self = peers_find(&a->peers, a->self);

	return p && self && p->standing == PEER_MEMBER && p->site == self->site && !str_eq(node, a->self);
}

/* What is answered, and what of it must be stored first. */
struct reply { struct buf out; bool promises; struct wire_fence permitted; };

static bool answer_mine(struct agent *a, const void *payload, size_t n, struct reply *r)
{
	const char *uids[HEAL_MINE_MAX];
	char node[NODE_NAME_SIZE];

	if (!name_of(payload, n, node))
		return false;
	if (is_neighbour(a, node))
		wire_put_uids(&r->out, a->mirror_version, uids, heal_mine_of(a->heal, a->view, node, uids));
	return true;
}

static bool answer_grant(struct agent *a, const void *payload, size_t n, struct reply *r)
{
	const char *uids[HEAL_MINE_MAX];
	char node[NODE_NAME_SIZE];
	struct grant_question q = { .node = node };
	size_t fenced;

	if (wire_get_ask_grant(payload, n, node, &q.stop_after_ms) < 0)
		return false;
	if (!is_neighbour(a, node))
		return true;
	if (q.stop_after_ms > STOP_AFTER_MAX_MS)
		q.stop_after_ms = STOP_AFTER_MAX_MS;	/* what a configuration may say at most */
	fenced = heal_asked_grant(a->heal, &q, uids, loop_now(a->loop));
	wire_put_uids(&r->out, a->mirror_version, uids, fenced);
	r->promises = true;		/* who asked us is stored first, and for how long */
	return true;
}

static bool answer_fence(struct agent *a, const void *payload, size_t n, struct reply *r)
{
	struct wire_fence f;
	struct fence_question q = { .pod_uid = f.pod_uid, .node = f.node, .asker = f.asker };

	if (wire_get_fence(payload, n, &f) < 0)
		return false;
	q.mirror = f.mirror;
	if (!is_neighbour(a, f.asker))
		return true;
	r->promises = heal_asked_fence(a->heal, a->view, &a->peers, &q, loop_now(a->loop));
	wire_put_yes(&r->out, r->promises);
	if (r->promises)
		r->permitted = f;
	return true;
}

/* Of the copies that are asked about: those that run here. */
static void add_running(void *arg, const char *half)
{
	struct uid_list *l = arg;

	map_for_each(struct copy, c, l->a->copies)
		if (l->count < HEAL_MINE_MAX && c->state == COPY_RUNNING && strncmp(c->pod_uid, half, WIRE_UID_LEN) == 0)
			l->uids[l->count++] = c->pod_uid;
}

static bool answer_runs(struct agent *a, const void *payload, size_t n, struct reply *r)
{
	struct uid_list l = { .a = a };
	uint64_t mirror;

	if (wire_get_uids(payload, n, &mirror, add_running, &l) < 0)
		return false;
	if (l.count)
		wire_put_uids(&r->out, a->mirror_version, l.uids, l.count);
	return true;
}

/* Halves of uids to be looked for, of one node. */
struct fate_list { struct wire_fate items[WIRE_FATES_MAX]; size_t count; };

static void add_asked(void *arg, const char *half)
{
	struct fate_list *l = arg;

	(void)str_copy(l->items[l->count++].uid, UID_SIZE, half);
}

/* A mirror that is not in sync knows nothing of it, and who only believes to be online says nothing either. */
static bool answer_fate(struct agent *a, const void *payload, size_t n, struct reply *r)
{
	struct fate_list l = { .count = 0 };
	char node[NODE_NAME_SIZE];

	if (wire_get_ask_fate(payload, n, node, add_asked, &l) < 0)
		return false;
	if (!uplink_has_answers(a) || a->anonymous || !mono_is_set(a->synced_at) || mirror_trouble(a) || !l.count)
		return true;
	for (size_t i = 0; i < l.count; i++)
		l.items[i].fate = heal_fate_of(a->heal, a->view, node, l.items[i].uid, loop_now(a->loop));
	wire_put_fates(&r->out, l.items, l.count);
	return true;
}

static const struct {
	const char *query;
	bool (*answer)(struct agent *a, const void *payload, size_t n, struct reply *r);	/* false: malformed */
} answers[] = {
	{ WIRE_MINE_QUERY, answer_mine },
	{ WIRE_GRANT_QUERY, answer_grant },
	{ WIRE_FENCE_QUERY, answer_fence },
	{ WIRE_RUNS_QUERY, answer_runs },
	{ WIRE_FATE_QUERY, answer_fate },
};

void ask_on_query(struct agent *a, uint64_t id, const char *name, const void *payload, size_t n)
{
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		struct reply r = { .out = BUF_INIT };

		if (!str_eq(name, answers[i].query))
			continue;
		if (!answers[i].answer(a, payload, n, &r))
			metric_inc(METRIC_GOSSIP_DROPPED);
		else if (r.promises)
			answers_put(a, id, &r.out, r.permitted.pod_uid[0] ? &r.permitted : NULL);
		else if (r.out.len)
			(void)serf_client_respond(a->serf, id, r.out.data, r.out.len);
		buf_fini(&r.out);
	}
}
