/* rpc_call.c — requests, streams and queries on one connection
 *
 * Every request is a call with a Seq of its own. A reply is a header; whether a body follows says the table of
 * commands. A cancelled or timed-out call stays until its answer came and swallows it, for without it the next
 * header could not be told from a body. A stopped stream stays for the life of the connection: the agent may
 * still flush what it had queued.
 */
#include <assert.h>
#include <errno.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "serf/rpc_int.h"

/* ---- calls ---- */

void call_free(struct call *c)
{
	list_remove(&c->link);
	timer_free(c->deadline);
	free(c);
}

void call_forget(struct call *c)
{
	c->forgotten = true;
	timer_free(take(c->deadline));
}

static void call_cancel(struct op *op)
{
	call_forget(container_of(op, struct call, op));
}

static bool call_is_stream(const struct call *c)
{
	return serf_command_answer(c->cmd) == SERF_ANSWER_STREAM;
}

static void on_call_deadline(void *arg)
{
	struct call *c = arg;
	struct serf_reply reply = { .r = -ETIMEDOUT, .error = "" };

	call_forget(c);
	c->fns.reply(c->arg, &reply);
}

static void call_fail(struct call *c, int r)
{
	c->failure = r;
	list_remove(&c->link);
	list_add_tail(&c->rpc->failed, &c->link);
	timer_free(take(c->deadline));
	timer_start_ms(c->rpc->settle, 0);
}

static bool calls_are_many(const struct serf_rpc *rpc)
{
	size_t n = 0;

	list_for_each(c, &rpc->calls, struct call, link)
		n++;
	return n >= SERF_CALLS_MAX;
}

static int call_send(struct serf_rpc *rpc, const struct serf_request *req, uint64_t seq)
{
	int r;

	if (calls_are_many(rpc))
		return -EAGAIN;
	if (rpc->out.len >= SERF_OUT_MAX)
		return -ENOBUFS;
	r = serf_encode(&rpc->out, req, seq);
	if (r == 0)
		rpc_flush(rpc);
	return r;
}

struct call *call_start(struct serf_rpc *rpc, const struct serf_request *req, int64_t timeout_ms,
			const struct call_fns *fns, void *arg)
{
	struct call *c = mem_new(struct call);
	int r;

	*c = (struct call){ .op = { call_cancel }, .rpc = rpc, .cmd = req->cmd, .seq = ++rpc->seq };
	c->fns = *fns;
	c->arg = arg;
	c->deadline = timer_new(rpc->loop, "serf-call", on_call_deadline, c);
	list_init(&c->link);
	r = rpc->state == RPC_UP || arg == rpc ? call_send(rpc, req, c->seq) : -ENOTCONN;
	list_add_tail(&rpc->calls, &c->link);
	if (r < 0)
		call_fail(c, r);
	else if (timeout_ms < INT64_MAX)
		timer_start_ms(c->deadline, timeout_ms);
	return c;
}

void calls_fail(struct serf_rpc *rpc, int r)
{
	list_for_each_safe(c, &rpc->calls, struct call, link)
		call_fail(c, r);
}

/* The last word of a call; it is gone when its holder hears it. */
static void call_finish(struct call *c, const struct serf_reply *reply)
{
	struct call old = *c;

	call_free(c);
	if (old.forgotten)
		return;
	if (old.acked)
		old.fns.end(old.arg, reply->r);
	else
		old.fns.reply(old.arg, reply);
}

void calls_settle(struct serf_rpc *rpc)
{
	struct list all;

	list_move_all(&all, &rpc->failed);
	list_for_each_safe(c, &all, struct call, link) {	/* a callback forgets others at most, it frees none */
		struct serf_reply reply = { .r = c->failure, .error = "" };

		if (rpc->magic == 0)		/* freed by a callback: who waits was told to cancel first */
			call_free(c);
		else
			call_finish(c, &reply);
	}
}

void calls_drop(struct serf_rpc *rpc)
{
	struct list *const lists[] = { &rpc->calls, &rpc->failed };

	assert(list_is_empty(&rpc->subs));
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		list_for_each_safe(c, lists[i], struct call, link) {
			assert(c->forgotten || c->arg == rpc);	/* domain rooms stop first */
			call_free(c);
		}
}

/* ---- what comes in ---- */

static void dispatch_body(struct serf_rpc *rpc, struct call *c, const struct serf_frame *f)
{
	struct serf_reply reply = { rpc->head.error[0] ? SERF_E_REFUSED : 0, rpc->head.error, *f };
	struct serf_query_record rec;

	if (!c->acked)
		call_finish(c, &reply);
	else if (!c->forgotten)
		c->fns.record(c->arg, f);
	else if (c->cmd == SERF_CMD_QUERY && serf_decode_query_record(f, &rec) == 0 && rec.kind == SERF_RECORD_DONE)
		call_free(c);
}

static void dispatch_reply(struct call *c, const struct serf_header *h)
{
	struct serf_reply reply = { .r = h->error[0] ? SERF_E_REFUSED : 0, .error = h->error };

	if (!call_is_stream(c) || reply.r != 0) {
		call_finish(c, &reply);
		return;
	}
	c->acked = true;
	timer_free(take(c->deadline));
	if (!c->forgotten)
		c->fns.reply(c->arg, &reply);
}

static void dispatch_header(struct serf_rpc *rpc, const struct serf_frame *f)
{
	struct call *c = NULL;

	if (serf_decode_header(f, &rpc->head) < 0) {
		rpc_lost(rpc, "the agent sent something else where a header was due");
		return;
	}
	list_for_each(it, &rpc->calls, struct call, link)
		if (it->seq == rpc->head.seq) {
			c = it;
			break;
		}
	if (!c)
		rpc_lost(rpc, "the agent answered Seq %llu, which nobody asked", (unsigned long long)rpc->head.seq);
	else if (serf_header_is_refusal(&rpc->head) || (c->acked && rpc->head.error[0]))
		rpc_lost(rpc, "%s refused: %s", serf_command_name(c->cmd), rpc->head.error);
	else if (c->acked || serf_command_answer(c->cmd) == SERF_ANSWER_BODY)
		rpc->awaiting = c;
	else
		dispatch_reply(c, &rpc->head);
}

void calls_dispatch(struct serf_rpc *rpc)
{
	uint32_t epoch = rpc->epoch;

	while (rpc->magic != 0 && rpc->epoch == epoch) {
		struct serf_frame f;
		int r = serf_decoder_next(&rpc->in, &f);

		if (r == SERF_E_MORE)
			return;
		if (r < 0)
			rpc_lost(rpc, "the agent sent bytes that are no message of its protocol");
		else if (rpc->awaiting)
			dispatch_body(rpc, take(rpc->awaiting), &f);
		else
			dispatch_header(rpc, &f);
	}
}

/* ---- one reply ---- */

struct op *serf_rpc_call(struct serf_rpc *rpc, const struct serf_request *req, int64_t timeout_ms, serf_reply_fn done,
			 void *arg)
{
	struct call *c;

	assert(serf_command_answer(req->cmd) != SERF_ANSWER_STREAM);
	c = call_start(rpc, req, timeout_ms ? timeout_ms : rpc->timeout_ms, &(struct call_fns){ .reply = done }, arg);
	return &c->op;
}

static void on_told(void *arg, const struct serf_reply *reply)
{
	(void)arg;
	if (reply->r == SERF_E_REFUSED)
		log_debug(LOG_SERF, "refused", "error=%s", reply->error);
}

int serf_rpc_tell(struct serf_rpc *rpc, const struct serf_request *req)
{
	struct call *c;
	int r;

	if (rpc->state != RPC_UP)
		return -ENOTCONN;
	c = call_start(rpc, req, rpc->timeout_ms, &(struct call_fns){ .reply = on_told }, rpc);
	r = c->failure;
	if (r < 0)
		call_free(c);
	return r;
}

/* ---- subscriptions ---- */

struct sub {
	struct op op;
	struct list link;
	struct serf_rpc *rpc;
	enum serf_command cmd;
	char *text;
	serf_reply_fn on_ready;
	serf_record_fn on_record;
	void *arg;
	struct call *call;		/* on the present connection */
};

static void on_sub_reply(void *arg, const struct serf_reply *reply)
{
	struct sub *s = arg;

	if (reply->r != 0)
		s->call = NULL;
	if (reply->r < 0)
		rpc_lost(s->rpc, "%s: %s", serf_command_name(s->cmd), err_str(reply->r));
	if (reply->r >= 0)
		s->on_ready(s->arg, reply);
}

static void on_sub_record(void *arg, const struct serf_frame *record)
{
	struct sub *s = arg;

	s->on_record(s->arg, record);
}

static void on_sub_end(void *arg, int r)
{
	(void)r;
	((struct sub *)arg)->call = NULL;
}

static void sub_send(struct sub *s)
{
	static const struct call_fns fns = { on_sub_reply, on_sub_record, on_sub_end };
	struct serf_request req = { .cmd = s->cmd, .u.text = s->text };

	if (s->rpc->state == RPC_UP && !s->call)
		s->call = call_start(s->rpc, &req, s->rpc->timeout_ms, &fns, s);
}

void subs_send(struct serf_rpc *rpc)
{
	list_for_each(s, &rpc->subs, struct sub, link)
		sub_send(s);
}

static void sub_cancel(struct op *op)
{
	struct sub *s = container_of(op, struct sub, op);

	if (s->call) {
		struct serf_request stop = { .cmd = SERF_CMD_STOP, .u.stop = s->call->seq };

		if (!s->call->failure)
			(void)serf_rpc_tell(s->rpc, &stop);
		call_forget(s->call);
	}
	list_remove(&s->link);
	free(s->text);
	free(s);
}

struct op *serf_rpc_subscribe(struct serf_rpc *rpc, enum serf_command cmd, const char *text, serf_reply_fn on_ready,
			      serf_record_fn on_record, void *arg)
{
	struct sub *s = mem_new(struct sub);

	assert(cmd == SERF_CMD_STREAM || cmd == SERF_CMD_MONITOR);
	*s = (struct sub){ .op = { sub_cancel }, .rpc = rpc, .cmd = cmd, .on_ready = on_ready, .on_record = on_record,
			   .arg = arg };
	s->text = str_dup(text);
	list_add_tail(&rpc->subs, &s->link);
	sub_send(s);
	return &s->op;
}

/* ---- queries ---- */

struct query {
	struct op op;
	struct call *call;
	struct timer *deadline;
	struct serf_query_handlers h;
	unsigned acks;
};

static void query_free(struct query *q)
{
	timer_free(q->deadline);
	free(q);
}

static void query_done(struct query *q, int r)
{
	struct serf_query_handlers h = q->h;
	unsigned acks = q->acks;

	query_free(q);
	h.on_done(h.arg, r, acks);
}

static void on_query_reply(void *arg, const struct serf_reply *reply)
{
	if (reply->r != 0)
		query_done(arg, reply->r);
}

static void on_query_end(void *arg, int r)
{
	query_done(arg, r);
}

static void on_query_record(void *arg, const struct serf_frame *record)
{
	struct query *q = arg;
	struct serf_query_record rec;

	if (serf_decode_query_record(record, &rec) < 0) {
		rpc_lost(q->call->rpc, "a query's record is malformed");
		return;
	}
	if (rec.kind == SERF_RECORD_DONE) {
		call_free(q->call);
		query_done(q, 0);
	} else if (rec.from[0] == '\0') {
		return;			/* the agent's own channel closing */
	} else if (rec.kind == SERF_RECORD_ACK) {
		q->acks++;
		if (q->h.on_ack)
			q->h.on_ack(q->h.arg, rec.from);
	} else if (q->h.on_response) {
		q->h.on_response(q->h.arg, rec.from, rec.payload, rec.n);
	}
}

static void on_query_deadline(void *arg)
{
	struct query *q = arg;

	call_forget(q->call);
	query_done(q, -ETIMEDOUT);
}

static void query_cancel(struct op *op)
{
	struct query *q = container_of(op, struct query, op);

	call_forget(q->call);
	query_free(q);
}

struct op *serf_rpc_query(struct serf_rpc *rpc, const struct serf_query_params *params,
			  const struct serf_query_handlers *handlers)
{
	static const struct call_fns fns = { on_query_reply, on_query_record, on_query_end };
	struct serf_request req = { .cmd = SERF_CMD_QUERY, .u.query = *params };
	struct query *q = mem_new(struct query);

	*q = (struct query){ .op = { query_cancel }, .h = *handlers };
	q->deadline = timer_new(rpc->loop, "serf-query", on_query_deadline, q);
	timer_start_ms(q->deadline,
		       (params->timeout_ms ? params->timeout_ms : SERF_QUERY_DEFAULT_MS) + rpc->timeout_ms);
	q->call = call_start(rpc, &req, INT64_MAX, &fns, q);
	return &q->op;
}
