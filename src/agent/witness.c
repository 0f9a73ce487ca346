/* witness.c — is that node really gone? Asking the peers, answering theirs
 *
 * A question is answered by a probe of our own: who shows that it is the node settles it. If nobody does but our gossip has not
 * noticed yet, the answer waits for gossip, at most WITNESS_ANSWER_MS: the first to notice must not be contradicted by the last.
 */
#include <stdlib.h>

#include "agent/wire.h"
#include "agent_int.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"

#define WITNESS_REUSE_MS 300		/* questions about one node share a look at it: each costs its kubelet a handshake */
#define WITNESS_RELAYS 2		/* answers come through so many others too: the suspect's own, where we cannot hear it */

/* A question of a peer: it waits for our own probe, and for gossip to agree with it. */
struct question {
	struct list link;
	struct agent *a;
	uint64_t id;
	const char *node;
	struct timer *deadline;
	struct op *seek;
	bool sought;			/* our own probe has ended … */
	enum probe_answer answer;	/* … so, and nobody showed himself */
};

/* Our own question to the peers. */
struct witness_round {
	struct list link;
	struct agent *a;
	const char *node;
	struct op *op;
};

struct dialing {
	struct list link;
	struct agent *a;
	const char *node;
	struct op *op;
};

/* ---- answering witness questions ---- */

static void question_free(struct question *q)
{
	list_remove(&q->link);
	op_cancelp(&q->seek);
	timer_free(q->deadline);
	free(q);
}

static void answer_witness(struct question *q, bool sees, bool bare)
{
	cleanup(buf_fini) struct buf b = BUF_INIT;

	wire_put_witness(&b, &(struct wire_witness){ sees, uplink_has_answers(q->a), bare });
	(void)serf_client_respond(q->a->serf, q->id, b.data, b.len);
	question_free(q);
}

static bool gossip_says_alive(const struct agent *a, const char *node)
{
	const struct peer *p = peers_find(&a->peers, node);

	return p && p->status == PEER_ALIVE;
}

/* Too late for our own gossip to change its mind: alive it is. Without gossip or probe there is no honest answer. */
static void on_question_late(void *arg)
{
	struct question *q = arg;

	if (gossip_says_alive(q->a, q->node))
		answer_witness(q, true, false);
	else
		question_free(q);
}

/* Gossip does not see it: what our probe found is the answer. */
static void answer_as_sought(struct question *q)
{
	bool accepts = q->answer == PROBE_ACCEPTS;

	answer_witness(q, accepts, accepts);
}

/* That it lives settles the question. Anything else does not, while gossip has not noticed either. */
static void question_settle(struct question *q, enum probe_answer answer)
{
	q->sought = true;
	q->answer = answer;
	if (answer == PROBE_HEALER || answer == PROBE_KUBELET)
		answer_witness(q, true, false);
	else if (!gossip_says_alive(q->a, q->node))
		answer_as_sought(q);
}

/* Our own look, for all who have asked about that node. */
static void on_question_sought(void *arg, enum probe_answer answer)
{
	struct question *first = arg;
	struct agent *a = first->a;
	const char *node = first->node;

	first->seek = NULL;
	list_for_each_safe(q, &a->questions, struct question, link)
		if (q->node == node && !q->sought)
			question_settle(q, answer);
}

static bool is_being_sought(const struct agent *a, const char *node)
{
	list_for_each(q, &a->questions, struct question, link)
		if (q->node == node && q->seek)
			return true;
	return false;
}

static void question_seek(struct question *q)
{
	enum probe_answer answer;

	if (is_being_sought(q->a, q->node))
		return;			/* that one answers this question too */
	if (identities_found(q->a, q->node, WITNESS_REUSE_MS, &answer))
		question_settle(q, answer);
	else
		q->seek = identities_seek(q->a, q->node, WITNESS_SHOW_MS, on_question_sought, q);
}

/* The members changed: whoever waits because gossip still said alive may have its answer now. */
void witness_look(struct agent *a)
{
	list_for_each_safe(q, &a->questions, struct question, link)
		if (q->sought && !gossip_says_alive(a, q->node))
			answer_as_sought(q);
}

uint16_t witness_http_port(const struct agent *a)
{
	const char *colon = strrchr(a->conf->http_listen, ':');
	int64_t port = 0;

	(void)num_parse_i64(colon + 1, 0, UINT16_MAX, &port);
	return (uint16_t)port;
}

static size_t count_questions(const struct agent *a)
{
	size_t n = 0;

	list_for_each(q, &a->questions, struct question, link)
		n++;
	return n;
}

void witness_on_query(void *arg, uint64_t id, const char *name, const void *payload, size_t n)
{
	struct agent *a = arg;
	char node[NODE_NAME_SIZE];
	struct question *q;

	if (!str_eq(name, WIRE_WITNESS_QUERY)) {
		ask_on_query(a, id, name, payload, n);
		return;
	}
	if (n == 0 || n >= sizeof(node) || memchr(payload, 0, n)) {
		metric_inc(METRIC_GOSSIP_DROPPED);
		return;
	}
	memcpy(node, payload, n);
	node[n] = '\0';
	if (!gossip_is_member(a, node) || count_questions(a) >= QUESTIONS_MAX) {
		metric_inc(METRIC_GOSSIP_DROPPED);	/* nobody's business here, or more than a site asks */
		return;
	}
	q = mem_new(struct question);
	*q = (struct question){ .a = a, .id = id, .node = intern(node) };
	q->deadline = timer_new(a->loop, "question", on_question_late, q);
	timer_start_ms(q->deadline, WITNESS_ANSWER_MS);
	list_add_tail(&a->questions, &q->link);
	heal_on_asked(a->heal, q->node, loop_now(a->loop));
	question_seek(q);			/* may be the end of it */
	think_soon(a);
}

/* ---- our own probe of a suspect ---- */

static void on_dialed(void *arg, enum probe_answer answer)
{
	struct dialing *d = arg;
	struct agent *a = d->a;
	const char *node = d->node;

	list_remove(&d->link);
	free(d);
	heal_on_probe(a->heal, node, answer, loop_now(a->loop));
	think_soon(a);
}

void witness_dial(struct agent *a, const char *node)
{
	struct dialing *d = mem_new(struct dialing);

	*d = (struct dialing){ .a = a, .node = node };
	list_add_tail(&a->dials, &d->link);
	d->op = identities_seek(a, node, IDENTITY_SHOW_MS, on_dialed, d);
	if (!d->op) {			/* no usable address: nothing to reach */
		list_remove(&d->link);
		free(d);
		heal_on_probe(a->heal, node, PROBE_SILENT, loop_now(a->loop));
		think_soon(a);
	}
}

/* ---- asking the peers ---- */

static void on_response(void *arg, const char *from, const void *payload, size_t n)
{
	struct witness_round *w = arg;
	struct wire_witness got;
	struct witness answer;

	if (wire_get_witness(payload, n, &got) < 0) {
		metric_inc(METRIC_GOSSIP_DROPPED);
		return;
	}
	answer = (struct witness){ .sees = got.sees, .api = got.api, .bare = got.bare };
	log_debug(LOG_HEAL, "witness", "node=%s from=%s sees=%d bare=%d api=%d", w->node, from, got.sees, got.bare, got.api);
	from = gossip_node_name(w->a, from);
	if (gossip_is_member(w->a, from))
		heal_on_witness(w->a->heal, w->node, from, answer, loop_now(w->a->loop));
	think_soon(w->a);
}

static void on_query_done(void *arg, int r, unsigned acks)
{
	struct witness_round *w = arg;
	struct agent *a = w->a;

	(void)r;
	(void)acks;
	heal_on_witness_end(a->heal, w->node);
	list_remove(&w->link);
	free(w);
	think_soon(a);
}

void witness_ask(struct agent *a, const char *node)
{
	struct witness_round *w = mem_new(struct witness_round);
	struct serf_query_params p = { .name = WIRE_WITNESS_QUERY, .payload = node, .n = strlen(node),
				       .relay_factor = WITNESS_RELAYS, .timeout_ms = WITNESS_TIMEOUT_MS };
	struct serf_query_handlers h = { .arg = w, .on_response = on_response, .on_done = on_query_done };

	*w = (struct witness_round){ .a = a, .node = node };
	list_add_tail(&a->witnesses, &w->link);
	w->op = serf_client_query(a->serf, &p, &h);
}

/* ---- ending ---- */

void witness_forget_questions(struct agent *a)
{
	list_for_each_safe(q, &a->questions, struct question, link)
		question_free(q);
}

void witness_free(struct agent *a)
{
	list_for_each_safe(d, &a->dials, struct dialing, link) {
		op_cancelp(&d->op);
		free(d);
	}
	list_for_each_safe(w, &a->witnesses, struct witness_round, link) {
		op_cancelp(&w->op);
		free(w);
	}
	witness_forget_questions(a);
}
