/* serf/rpc.h — one connection to a Serf agent's RPC port
 *
 * It connects, shakes hands, authenticates, asks the agent for its name, and is up. Many requests may be in
 * flight; replies and stream records find their way by Seq. When the connection is lost every request fails with
 * -ECONNRESET, and it reconnects by itself with a capped, jittered, exponential pause; subscriptions survive
 * that. Requests while it is down fail with -ENOTCONN.
 *
 * The agent serves the requests of one connection one after the other, and some block for seconds (tags, join,
 * force-leave, keys): give those a connection of their own.
 *
 * All callbacks run from the loop, never inside the starting call. The rpc and any op may be given up inside any
 * callback.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "loop/op.h"
#include "serf/codec.h"

struct loop;
struct serf_rpc;

enum { SERF_E_REFUSED = 1 };	/* the agent answered with an error; its text is in the reply */

enum {
	SERF_BACKOFF_MIN_MS = 100,
	SERF_BACKOFF_MAX_MS = 5000,
	SERF_CALLS_MAX = 1024,		/* in flight on one connection; beyond it -EAGAIN */
	SERF_OUT_MAX = 1 << 20,		/* bytes that wait for a slow agent; beyond it -ENOBUFS */
	SERF_QUERY_DEFAULT_MS = 30000,	/* how long a query without a timeout may take */
};

struct serf_rpc_conf {
	const char *addr;		/* see serf/addr.h */
	const char *auth_key;		/* NULL or "": none */
	int64_t timeout_ms;		/* to get up; and the default deadline of a request */
};

struct serf_rpc_handlers {
	void *arg;
	void (*on_up)(void *arg);
	void (*on_down)(void *arg, const char *reason);		/* up was lost, or an attempt to get up failed */
};

struct serf_reply {
	int r; /* 0, SERF_E_REFUSED, -ETIMEDOUT, -ECONNRESET, -ENOTCONN, -EMSGSIZE, -EAGAIN, -ENOBUFS */
	const char *error;		/* the agent's text, "" without; borrowed */
	struct serf_frame body;		/* n = 0: none; borrowed */
};
typedef void (*serf_reply_fn)(void *arg, const struct serf_reply *reply);
typedef void (*serf_record_fn)(void *arg, const struct serf_frame *record);

struct serf_query_handlers {
	void *arg;
	void (*on_ack)(void *arg, const char *from);						/* may be NULL */
	void (*on_response)(void *arg, const char *from, const void *payload, size_t n);	/* may be NULL */
	/* The op is over. 0 when the agent closed the query at its timeout; else as serf_reply's r. */
	void (*on_done)(void *arg, int r, unsigned acks);
};

/* 0, or -EINVAL for an address that serf_addr_parse() refuses. Starts to connect at once. `handlers` is copied. */
int serf_rpc_new(struct loop *loop, const struct serf_rpc_conf *conf, const struct serf_rpc_handlers *handlers,
		 struct serf_rpc **out_rpc);
void serf_rpc_free(struct serf_rpc *rpc);		/* NULL-safe; asserts that no op of it is left */
bool serf_rpc_is_up(const struct serf_rpc *rpc);
/* The connection is of no use (an answer never came): drop it and connect again. */
void serf_rpc_reset(struct serf_rpc *rpc, const char *reason);
/* The name of the agent's node; "" until it was up once. Borrowed. */
const char *serf_rpc_agent_name(const struct serf_rpc *rpc);
/* How often it came up. Ids of queries are valid within one such period only. */
uint32_t serf_rpc_generation(const struct serf_rpc *rpc);

/* One request with one reply: any command but stream, monitor and query. timeout_ms 0 = the connection's. After
 * a timeout a late reply is swallowed. Never NULL. */
struct op *serf_rpc_call(struct serf_rpc *rpc, const struct serf_request *req, int64_t timeout_ms, serf_reply_fn done,
			 void *arg);
/* The same when nobody waits for the reply. 0, -ENOTCONN, -EMSGSIZE, -EAGAIN or -ENOBUFS. */
int serf_rpc_tell(struct serf_rpc *rpc, const struct serf_request *req);

/* A stream or monitor: on_ready after each (re)subscription, with r = 0 or SERF_E_REFUSED (then the next try is
 * at the next reconnect). Lives until it is cancelled. */
struct op *serf_rpc_subscribe(struct serf_rpc *rpc, enum serf_command cmd, const char *text, serf_reply_fn on_ready,
			      serf_record_fn on_record, void *arg);

/* A query; its acks and responses come until on_done. `handlers` is copied. */
struct op *serf_rpc_query(struct serf_rpc *rpc, const struct serf_query_params *params,
			  const struct serf_query_handlers *handlers);

/* The pause before the next attempt, without jitter. Pure. */
int64_t serf_backoff_ms(unsigned attempt);
