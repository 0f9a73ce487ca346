/* client.c — two connections to the local agent, and what the daemon does with them
 *
 * Up means: both connections are up and the stream is subscribed. Then the members are polled (poll.c) and the
 * tags kept (tags.c). When either connection is lost the client is down; it comes up again by itself, and the
 * tags are written anew if the agent lost them. The ids of queries count from 1 on every connection, so ours
 * carry the connection's number in their upper half: an answer to a query of a former connection cannot reach
 * another query.
 */
#include <assert.h>
#include <errno.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "serf/client_int.h"

enum { CLIENT_MAGIC = 0x5e2f0002, QUERY_ID_BITS = 32, JOIN_MAX_MS = 60000 };

/* ---- up and down ---- */

static void client_came_up(struct serf_client *c)
{
	if (c->up || !c->stream_ready || !serf_rpc_is_up(c->fast) || !serf_rpc_is_up(c->slow))
		return;
	c->up = true;
	free(take(c->down_reason));
	poll_now(c);
	if (c->h.on_up)
		c->h.on_up(c->h.arg);
}

static void client_went_down(struct serf_client *c, const char *reason)
{
	bool news = c->up || !str_eq(c->down_reason, reason);

	c->up = false;
	if (!news)
		return;
	str_set(&c->down_reason, reason);
	if (c->h.on_down)
		c->h.on_down(c->h.arg, c->down_reason);
}

static void on_fast_up(void *arg)
{
	(void)arg;	/* the stream's first answer follows */
}

static void on_slow_up(void *arg)
{
	client_came_up(arg);
}

static void on_fast_down(void *arg, const char *reason)
{
	struct serf_client *c = arg;

	c->stream_ready = false;
	poll_stop(c);
	client_went_down(c, reason);
}

static void on_slow_down(void *arg, const char *reason)
{
	client_went_down(arg, reason);
}

/* ---- the stream ---- */

static void on_stream_ready(void *arg, const struct serf_reply *reply)
{
	struct serf_client *c = arg;

	if (reply->r != 0) {
		serf_rpc_reset(c->fast, reply->error);
		return;
	}
	c->stream_ready = true;
	client_came_up(c);
}

static void on_stream_record(void *arg, const struct serf_frame *record)
{
	struct serf_client *c = arg;
	struct serf_event e;

	if (serf_decode_event(record, &e) < 0) {
		log_debug(LOG_SERF, "bad record", "bytes=%zu", record->n);
		return;
	}
	switch (e.kind) {
	case SERF_EVENT_USER:
		if (c->h.on_user_event)
			c->h.on_user_event(c->h.arg, e.name, e.payload, e.n);
		break;
	case SERF_EVENT_QUERY:
		if (c->h.on_query && e.id >> QUERY_ID_BITS == 0)
			c->h.on_query(c->h.arg, (uint64_t)serf_rpc_generation(c->fast) << QUERY_ID_BITS | e.id, e.name,
				      e.payload, e.n);
		break;
	case SERF_EVENT_MEMBER:
		poll_hint(c);
		break;
	case SERF_EVENT_OTHER:
		break;
	}
}

/* ---- what the daemon asks for ---- */

int serf_client_event(struct serf_client *c, const char *name, const void *payload, size_t n)
{
	struct serf_request req = { .cmd = SERF_CMD_EVENT, .u.event = { .name = name, .payload = payload, .n = n } };

	return serf_event_fits(name, n) ? serf_rpc_tell(c->fast, &req) : -EMSGSIZE;
}

struct op *serf_client_query(struct serf_client *c, const struct serf_query_params *params,
			     const struct serf_query_handlers *handlers)
{
	return serf_rpc_query(c->fast, params, handlers);
}

int serf_client_respond(struct serf_client *c, uint64_t id, const void *payload, size_t n)
{
	struct serf_request req = { .cmd = SERF_CMD_RESPOND,
				    .u.respond = { .id = id & UINT32_MAX, .payload = payload, .n = n } };

	if (n > SERF_QUERY_MAX || n + SERF_RESPONSE_OVERHEAD + strlen(serf_client_self(c)) > SERF_QUERY_MAX)
		return -EMSGSIZE;
	if (!serf_rpc_is_up(c->fast))
		return -ENOTCONN;
	if (id >> QUERY_ID_BITS != serf_rpc_generation(c->fast))
		return -ENOENT;
	return serf_rpc_tell(c->fast, &req);
}

/* A slow command on its way, with the caller's own kind of callback. */
struct task {
	struct op op;
	struct op *call;
	void (*joined)(void *arg, int r, unsigned joined);
	void (*left)(void *arg, int r);
	void *arg;
};

static void task_cancel(struct op *op)
{
	struct task *t = container_of(op, struct task, op);

	op_cancelp(&t->call);
	free(t);
}

static void on_task(void *arg, const struct serf_reply *reply)
{
	struct task t = *(struct task *)arg;
	unsigned joined = 0;
	int r = reply->r, parsed = 0;

	free(arg);
	if (r == SERF_E_REFUSED)
		log_debug(LOG_SERF, "refused", "error=%s", reply->error);
	if (t.left) {
		t.left(t.arg, r);
		return;
	}
	if (reply->body.n)
		parsed = serf_decode_join(&reply->body, &joined);
	t.joined(t.arg, r == 0 ? parsed : r, joined);
}

static struct op *task_start(struct serf_client *c, const struct serf_request *req, int64_t timeout_ms,
			     const struct task *like)
{
	struct task *t = mem_new(struct task);

	*t = *like;
	t->op.cancel = task_cancel;
	t->call = serf_rpc_call(c->slow, req, timeout_ms, on_task, t);
	return &t->op;
}

struct op *serf_client_join(struct serf_client *c, const char *const *addrs, size_t n,
			    void (*done)(void *arg, int r, unsigned joined), void *arg)
{
	struct serf_request req = { .cmd = SERF_CMD_JOIN, .u.join = { .addrs = addrs, .n = n } };
	int64_t ms = n < JOIN_MAX_MS / SERF_SLOW_MS ? (int64_t)n * SERF_SLOW_MS : JOIN_MAX_MS;

	return task_start(c, &req, c->timeout_ms + ms, &(struct task){ .joined = done, .arg = arg });
}

struct op *serf_client_force_leave(struct serf_client *c, const char *node, bool prune, void (*done)(void *arg, int r),
				   void *arg)
{
	struct serf_request req = { .cmd = SERF_CMD_FORCE_LEAVE, .u.force_leave = { node, prune } };

	return task_start(c, &req, c->timeout_ms + SERF_SLOW_MS, &(struct task){ .left = done, .arg = arg });
}

/* ---- life ---- */

bool serf_client_is_up(const struct serf_client *c)
{
	return c->up && serf_rpc_is_up(c->fast) && serf_rpc_is_up(c->slow);
}

const char *serf_client_self(const struct serf_client *c)
{
	return serf_rpc_agent_name(c->fast);
}

const struct serf_members *serf_client_members(const struct serf_client *c)
{
	return &c->members;
}

struct serf_rpc *serf_client_commands(struct serf_client *c)
{
	return c->slow;
}

static void client_release(void *obj)
{
	struct serf_client *c = obj;

	serf_members_fini(&c->members);
	free(c->down_reason);
	free(c);
}

int serf_client_new(struct loop *loop, const struct serf_client_conf *conf, const struct serf_handlers *handlers,
		    struct serf_client **out_client)
{
	struct serf_rpc_conf rc = { conf->rpc_addr, conf->auth_key, conf->request_timeout_ms };
	struct serf_client *c = mem_new(struct serf_client);
	struct serf_rpc_handlers fast = { c, on_fast_up, on_fast_down }, slow = { c, on_slow_up, on_slow_down };
	int r;

	*c = (struct serf_client){ .magic = CLIENT_MAGIC, .loop = loop, .h = *handlers, .poll_ms = conf->poll_ms,
				   .timeout_ms = conf->request_timeout_ms };
	r = serf_rpc_new(loop, &rc, &fast, &c->fast);
	if (r == 0)
		r = serf_rpc_new(loop, &rc, &slow, &c->slow);
	if (r < 0) {
		serf_rpc_free(c->fast);
		free(c);
		return r;
	}
	poll_init(c);
	tags_init(c);
	c->stream = serf_rpc_subscribe(c->fast, SERF_CMD_STREAM, "*", on_stream_ready, on_stream_record, c);
	*out_client = c;
	return 0;
}

void serf_client_free(struct serf_client *c)
{
	if (!c)
		return;
	assert(c->magic == CLIENT_MAGIC);
	c->magic = 0;
	poll_fini(c);
	tags_fini(c);
	op_cancelp(&c->stream);
	serf_rpc_free(c->fast);
	serf_rpc_free(c->slow);
	loop_free_later(c->loop, c, client_release);
}
