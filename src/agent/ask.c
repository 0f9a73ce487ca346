/* ask.c — questions to the peers other than the witnesses', and our answers to theirs
 *
 *   eh-mine    after a reboot: which of my pods are still mine?            answered by members of the same site from their mirror
 *   eh-blank   member without a mirror: what runs on you?                  answered by that member alone, see blank.c
 *   eh-grant   at-most-once: I live; which of my pods have you let go?     answered always: a grant is what it takes to run on
 *   eh-fence   at-most-once: that pod's node is lost, may I start it?      answered yes at most once, see heal/once.c
 *   eh-runs    my copies of these run, and better claims are known: whose run?   answered by whoever runs one, see heal/overtake.c
 *   eh-unused  at-most-once: we let you start these, do you?     answered with those that it has no use for, see heal/fence.c
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
#include "blank.h"
#include "freshness.h"
#include "model/stamp.h"

#define STOP_AFTER_MAX_MS 600000		/* of heal.stop_after, src/conf/keys.c */

struct ask {
	struct list link;
	struct agent *a;
	const struct ask_kind *kind;
	struct op *op;
	char pod_uid[UID_SIZE];		/* eh-fence */
	struct mono asked;		/* eh-grant, eh-fence, eh-unused: which round */
	const char *node;		/* eh-blank: interned, who is asked */
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

/* ---- eh-blank ---- */

/* For itself alone: whoever else answers is not heard. */
static bool blank_on_response(struct ask *q, const char *from, const void *payload, size_t n)
{
	return str_eq(from, q->node) && blank_on_answer(q->a, from, payload, n);
}

static void blank_on_end(struct ask *q)
{
	(void)q;			/* heal/ asks again as long as it needs to know */
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

/* A healer of an older version compares versions with our stamp, and may permit what a mirror fresher than ours shows as gone. */
static bool knows_stamps(const struct agent *a, const char *node)
{
	const struct peer *p = peers_find(&a->peers, node);

	return p && p->protocol >= PEER_PROTOCOL_STAMPS;
}

static bool fence_on_answer(struct ask *q, const char *from, const void *payload, size_t n)
{
	bool yes;

	if (wire_get_yes(payload, n, &yes) < 0)
		return false;
	yes = yes && knows_stamps(q->a, from);
	log_info(LOG_HEAL, "fence", "pod=%s from=%s permits=%d", q->pod_uid, from, yes);
	heal_on_fence(q->a->heal, from, &(struct permit){ q->pod_uid, q->asked, yes });
	return true;
}

static void fence_on_end(struct ask *q)
{
	heal_on_fence_end(q->a->heal, q->pod_uid, q->asked);
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

/* ---- eh-unused ---- */

struct fence_match { struct uid_list *list; const char *half; };

static void match_fence(void *arg, const struct fence_question *f)
{
	struct fence_match *m = arg;
	struct uid_list *l = m->list;

	if (l->count < HEAL_MINE_MAX && strncmp(f->pod_uid, m->half, WIRE_UID_LEN) == 0)
		l->uids[l->count++] = f->pod_uid;
}

static void add_fenced(void *arg, const char *half)
{
	struct uid_list *l = arg;

	heal_each_fence(l->a->heal, match_fence, &(struct fence_match){ l, half });
}

static bool unused_on_answer(struct ask *q, const char *from, const void *payload, size_t n)
{
	struct uid_list l = { .a = q->a };
	uint64_t mirror;

	if (wire_get_uids(payload, n, &mirror, add_fenced, &l) < 0)
		return false;
	log_info(LOG_HEAL, "unused", "from=%s pods=%zu", from, l.count);
	heal_on_unused(q->a->heal, from, q->asked, l.uids, l.count);
	return true;
}

static void nothing_on_end(struct ask *q)
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

static const struct ask_kind fate_kind = { WIRE_FATE_QUERY, fate_on_answer, nothing_on_end };
static const struct ask_kind unused_kind = { WIRE_UNUSED_QUERY, unused_on_answer, nothing_on_end };
static const struct ask_kind runs_kind = { WIRE_RUNS_QUERY, runs_on_answer, nothing_on_end };
static const struct ask_kind blank_kind = { WIRE_BLANK_QUERY, blank_on_response, blank_on_end };
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

void ask_blank(struct agent *a, const char *node)
{
	ask(a, &blank_kind, node, strlen(node))->node = intern(node);
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
	struct ask *q;

	(void)str_copy(f.pod_uid, sizeof(f.pod_uid), act->pod_uid);
	(void)str_copy(f.node, sizeof(f.node), act->node);
	(void)str_copy(f.asker, sizeof(f.asker), a->self);
	f.mirror = freshness_stamp(a);
	if (wire_put_fence(&b, &f) < 0) {
		heal_on_fence_end(a->heal, act->pod_uid, act->declared);
		return;
	}
	q = ask(a, &fence_kind, b.data, b.len);
	(void)str_copy(q->pod_uid, sizeof(q->pod_uid), act->pod_uid);
	q->asked = act->declared;
}

void ask_unused(struct agent *a, const struct action *act)
{
	cleanup(buf_fini) struct buf b = BUF_INIT;
	const char *uids[HEAL_UNUSED_MAX];
	size_t n = heal_fences_unseen(a->heal, uids, act->declared);

	if (!n)
		return;
	wire_put_uids(&b, freshness_stamp(a), uids, n);
	ask(a, &unused_kind, b.data, b.len)->asked = act->declared;
}

void ask_runs(struct agent *a)
{
	cleanup(buf_fini) struct buf b = BUF_INIT;
	const char *uids[HEAL_RUNS_MAX];
	size_t n = heal_overtaken(a->heal, uids, loop_now(a->loop));

	if (!n)
		return;
	wire_put_uids(&b, freshness_stamp(a), uids, n);
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
	if (freshness_stamp(a) == STAMP_NONE)	/* a voice that knows nothing, not silence: it is counted on for an answer */
		wire_put_uids(&r->out, STAMP_NONE, uids, 0);
	else if (is_neighbour(a, node))
		wire_put_uids(&r->out, freshness_stamp(a), uids, heal_mine_of(a->heal, a->view, node, uids));
	return true;
}

static bool answer_blank(struct agent *a, const void *payload, size_t n, struct reply *r)
{
	char node[NODE_NAME_SIZE];

	if (!name_of(payload, n, node))
		return false;
	blank_answer(a, node, &r->out);
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
	wire_put_uids(&r->out, freshness_stamp(a), uids, fenced);
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
	/* without a stamp the pod may be gone, for all we know; a node that nobody knows of is kept only while there is room */
	r->promises = (stamp_is_set(freshness_stamp(a)) || view_pod(a->view, f.pod_uid)) && !heal_may_still_run(a->heal, f.node) &&
		      intern_stranger(f.node) && heal_asked_fence(a->heal, a->view, &a->peers, &q, loop_now(a->loop));
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
		wire_put_uids(&r->out, freshness_stamp(a), l.uids, l.count);
	return true;
}

struct halves {
	const struct agent *a;
	char text[HEAL_UNUSED_MAX][WIRE_UID_LEN + 1];
	const char *uids[HEAL_UNUSED_MAX];	/* of `text` */
	size_t count;
};

/* Of the pods whose fence is ours: those that we neither claim nor have, in whatever state. */
static void add_unused(void *arg, const char *half)
{
	struct halves *l = arg;

	if (l->count == HEAL_UNUSED_MAX || heal_uses(l->a->heal, half, WIRE_UID_LEN))
		return;
	map_for_each(struct copy, c, l->a->copies)
		if (strncmp(c->pod_uid, half, WIRE_UID_LEN) == 0)
			return;
	(void)str_copy(l->text[l->count], sizeof(l->text[0]), half);
	l->uids[l->count] = l->text[l->count];
	l->count++;
}

static bool answer_unused(struct agent *a, const void *payload, size_t n, struct reply *r)
{
	struct halves l = { .a = a };
	uint64_t mirror;

	if (wire_get_uids(payload, n, &mirror, add_unused, &l) < 0)
		return false;
	if (l.count)
		wire_put_uids(&r->out, freshness_stamp(a), l.uids, l.count);
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
	{ WIRE_BLANK_QUERY, answer_blank },
	{ WIRE_GRANT_QUERY, answer_grant },
	{ WIRE_FENCE_QUERY, answer_fence },
	{ WIRE_RUNS_QUERY, answer_runs },
	{ WIRE_UNUSED_QUERY, answer_unused },
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
