/* rpc_int.h — what rpc.c (connection) and rpc_call.c (requests on it) share */
#pragma once
#include "base/list.h"
#include "base/str.h"
#include "loop/loop.h"
#include "serf/addr.h"
#include "serf/rpc.h"

enum rpc_state { RPC_IDLE, RPC_CONNECTING, RPC_HANDSHAKE, RPC_AUTH, RPC_GREETING, RPC_UP, RPC_STATE_COUNT };

/* Who waits for what comes with one Seq. `reply` runs at most once and is the last word unless it says r = 0 to
 * a stream; then records follow and `end` is the last word. */
struct call_fns {
	serf_reply_fn reply;
	serf_record_fn record;
	void (*end)(void *arg, int r);
};

struct call {
	struct op op;
	struct list link;		/* in rpc->calls while its connection lives, then in rpc->failed */
	struct serf_rpc *rpc;
	struct timer *deadline;
	enum serf_command cmd;
	uint64_t seq;
	struct call_fns fns;
	void *arg;
	int failure;			/* why it is in rpc->failed */
	bool acked;			/* a stream's first reply came */
	bool forgotten;			/* nobody waits, but its answers still have to be swallowed */
};

struct serf_rpc {
	unsigned magic;
	struct loop *loop;
	struct serf_addr addr;
	char *auth_key;
	int64_t timeout_ms;
	struct serf_rpc_handlers h;

	enum rpc_state state;
	int fd;
	struct io *io;
	struct timer *retry;		/* the next attempt */
	struct timer *phase;		/* the deadline of getting up */
	struct timer *settle;		/* tells who waits that it failed, outside whatever call noticed */
	unsigned attempt;
	uint32_t generation, epoch;	/* times up; times lost */
	struct mono up_since;
	char *agent_name;
	char *down_reason;		/* not told yet */
	int send_error;			/* not acted upon yet */

	uint64_t seq;
	struct buf out;
	struct serf_decoder in;
	struct serf_header head;	/* whose body is awaited … */
	struct call *awaiting;		/* … by this call */
	struct list calls, failed, subs;
};

/* rpc.c */
void rpc_lost(struct serf_rpc *rpc, const char *fmt, ...) PRINTF_LIKE(2, 3);
void rpc_flush(struct serf_rpc *rpc);

/* rpc_call.c */
struct call *call_start(struct serf_rpc *rpc, const struct serf_request *req, int64_t timeout_ms,
			const struct call_fns *fns, void *arg);
void call_forget(struct call *c);
void call_free(struct call *c);
void calls_fail(struct serf_rpc *rpc, int r);		/* all of the lost connection: to rpc->failed */
void calls_settle(struct serf_rpc *rpc);		/* run the callbacks of rpc->failed */
void calls_drop(struct serf_rpc *rpc);			/* the rpc goes: only forgotten calls may be left */
void calls_dispatch(struct serf_rpc *rpc);		/* whatever complete objects the decoder holds */
void subs_send(struct serf_rpc *rpc);			/* (re)subscribe */
