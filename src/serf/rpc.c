/* rpc.c — one connection to a Serf agent: getting up, staying up, coming back
 *
 * Getting up: connect → handshake (version 1) → auth, if there is a key → stats, which tells the agent's name →
 * up. Stats has no body, so an agent that wants a key which we do not have refuses it cleanly instead of losing
 * step.
 * What goes wrong, and what happens: refused, reset, closed, not up within the deadline, refused handshake
 * or key, bytes that are no msgpack or a Seq that we never sent → the connection is dropped, whoever waits gets
 * -ECONNRESET, on_down tells the reason, and the next attempt comes after a pause. Callbacks of a lost
 * connection run from the settle timer, never from inside the call that noticed.
 */
#include "serf/rpc_int.h"

#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"

/* So much is read at once: some 60 messages of gossip, after which the loop sees to others. With 64 KiB a flood of them held it for
 * 15 ms, and 56 ms under AddressSanitizer. */
#define RPC_READ_SIZE (16 << 10)
enum { RPC_MAGIC = 0x5e2f0001, RPC_STEADY_MS = 1000, IPC_VERSION = 1 };

static const struct { const char *name; unsigned next; } states[RPC_STATE_COUNT] = {
	[RPC_IDLE]	 = { "idle", 1u << RPC_CONNECTING },
	[RPC_CONNECTING] = { "connecting", 1u << RPC_HANDSHAKE },
	[RPC_HANDSHAKE]	 = { "handshake", 1u << RPC_AUTH | 1u << RPC_GREETING },
	[RPC_AUTH]	 = { "auth", 1u << RPC_GREETING },
	[RPC_GREETING]	 = { "greeting", 1u << RPC_UP },
	[RPC_UP]	 = { "up", 0 },
};

static void rpc_move(struct serf_rpc *rpc, enum rpc_state to)
{
	assert(to == RPC_IDLE || states[rpc->state].next & 1u << to);
	log_debug(LOG_SERF, "rpc", "from=%s to=%s", states[rpc->state].name, states[to].name);
	rpc->state = to;
}

int64_t serf_backoff_ms(unsigned attempt)
{
	int64_t ms = SERF_BACKOFF_MIN_MS;

	while (attempt-- > 0 && ms < SERF_BACKOFF_MAX_MS)
		ms *= 2;
	return ms < SERF_BACKOFF_MAX_MS ? ms : SERF_BACKOFF_MAX_MS;
}

static void rpc_close(struct serf_rpc *rpc)
{
	io_free(take(rpc->io));
	fd_closep(&rpc->fd);
	rpc->fd = -1;
	rpc->awaiting = NULL;
	rpc->send_error = 0;
	rpc->epoch++;
	buf_clear(&rpc->out);
	timer_stop(rpc->phase);
}

void rpc_lost(struct serf_rpc *rpc, const char *fmt, ...)
{
	struct buf reason = BUF_INIT;
	int64_t ms;
	va_list ap;

	if (rpc->state == RPC_IDLE)
		return;
	va_start(ap, fmt);
	buf_addv(&reason, fmt, ap);
	va_end(ap);
	free(rpc->down_reason);
	rpc->down_reason = buf_take(&reason);
	if (rpc->state == RPC_UP && mono_since_ms(loop_now(rpc->loop), rpc->up_since) >= RPC_STEADY_MS)
		rpc->attempt = 0;
	ms = loop_jitter_ms(rpc->loop, serf_backoff_ms(rpc->attempt++));
	rpc_close(rpc);
	rpc_move(rpc, RPC_IDLE);
	calls_fail(rpc, -ECONNRESET);
	timer_start_ms(rpc->retry, ms < SERF_BACKOFF_MAX_MS ? ms : SERF_BACKOFF_MAX_MS);
	timer_start_ms(rpc->settle, 0);
}

static void on_settle(void *arg)
{
	struct serf_rpc *rpc = arg;
	cleanup(freep) char *reason = NULL;
	uint32_t epoch;

	if (rpc->send_error)
		rpc_lost(rpc, "write: %s", err_str(-rpc->send_error));
	epoch = rpc->epoch;
	reason = take(rpc->down_reason);
	calls_settle(rpc);
	if (reason && rpc->magic == RPC_MAGIC && rpc->epoch == epoch)
		rpc->h.on_down(rpc->h.arg, reason);
}

static void on_phase(void *arg)
{
	struct serf_rpc *rpc = arg;

	rpc_lost(rpc, "%s: no answer within %lld ms", states[rpc->state].name, (long long)rpc->timeout_ms);
}

/* ---- getting up ---- */

static bool greeting_failed(struct serf_rpc *rpc, const struct serf_reply *reply)
{
	if (reply->r == SERF_E_REFUSED)
		rpc_lost(rpc, "%s refused: %s", states[rpc->state].name, reply->error);
	return reply->r != 0;
}

static void on_greeting(void *arg, const struct serf_reply *reply)
{
	cleanup(serf_stats_fini) struct serf_stats stats = { .items = NULL };
	struct serf_rpc *rpc = arg;
	const char *name;

	if (greeting_failed(rpc, reply))
		return;
	if (serf_decode_stats(&reply->body, &stats) < 0) {
		rpc_lost(rpc, "greeting: the agent's statistics are malformed");
		return;
	}
	name = serf_stats_get(&stats, "agent", "name");
	str_set(&rpc->agent_name, str_or(name, ""));
	timer_stop(rpc->phase);
	rpc_move(rpc, RPC_UP);
	rpc->generation++;
	rpc->up_since = loop_now(rpc->loop);
	subs_send(rpc);
	rpc->h.on_up(rpc->h.arg);
}

static void greeting_send(struct serf_rpc *rpc, enum rpc_state to, const struct serf_request *req, serf_reply_fn fn)
{
	rpc_move(rpc, to);
	(void)call_start(rpc, req, INT64_MAX, &(struct call_fns){ .reply = fn }, rpc);
}

static void on_auth(void *arg, const struct serf_reply *reply)
{
	struct serf_rpc *rpc = arg;

	if (!greeting_failed(rpc, reply))
		greeting_send(rpc, RPC_GREETING, &(struct serf_request){ .cmd = SERF_CMD_STATS }, on_greeting);
}

static void on_handshake(void *arg, const struct serf_reply *reply)
{
	struct serf_rpc *rpc = arg;
	struct serf_request auth = { .cmd = SERF_CMD_AUTH, .u.text = rpc->auth_key };

	if (greeting_failed(rpc, reply))
		return;
	if (str_is_empty(rpc->auth_key))
		on_auth(rpc, reply);
	else
		greeting_send(rpc, RPC_AUTH, &auth, on_auth);
}

/* Linux may connect a socket to itself when nobody listens on a port that it would hand out. */
static bool is_self_connected(int fd)
{
	struct sockaddr_storage here = { .ss_family = 0 }, there = { .ss_family = 0 };
	socklen_t n = sizeof(here), m = sizeof(there);

	return getsockname(fd, (struct sockaddr *)&here, &n) == 0 &&
	       getpeername(fd, (struct sockaddr *)&there, &m) == 0 && n == m && memcmp(&here, &there, n) == 0;
}

static void rpc_connected(struct serf_rpc *rpc)
{
	struct serf_request hello = { .cmd = SERF_CMD_HANDSHAKE, .u.version = IPC_VERSION };
	socklen_t len = sizeof(int);
	int error = 0, on = 1;

	if (getsockopt(rpc->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (!error && is_self_connected(rpc->fd))
		error = ECONNREFUSED;
	if (error) {
		rpc_lost(rpc, "connect: %s", err_str(-error));
		return;
	}
	(void)setsockopt(rpc->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	io_watch(rpc->io, IO_READ);
	greeting_send(rpc, RPC_HANDSHAKE, &hello, on_handshake);
}

/* ---- bytes ---- */

void rpc_flush(struct serf_rpc *rpc)
{
	while (rpc->out.len > 0 && !rpc->send_error) {
		ssize_t n = send(rpc->fd, rpc->out.data, rpc->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n >= 0) {
			buf_consume(&rpc->out, (size_t)n);
		} else if (errno == EAGAIN) {
			break;
		} else if (errno != EINTR) {
			rpc->send_error = errno;
			timer_start_ms(rpc->settle, 0);
		}
	}
	io_watch(rpc->io, IO_READ | (rpc->out.len > 0 && !rpc->send_error ? IO_WRITE : 0));
}

static void rpc_read(struct serf_rpc *rpc)
{
	char chunk[RPC_READ_SIZE];
	ssize_t n = recv(rpc->fd, chunk, sizeof(chunk), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		rpc_lost(rpc, "read: %s", err_str(-errno));
	} else if (n == 0) {
		rpc_lost(rpc, "the agent closed the connection");
	} else if (serf_decoder_feed(&rpc->in, chunk, (size_t)n) < 0) {
		rpc_lost(rpc, "the agent sent more than %d bytes at once", SERF_FRAME_MAX);
	} else {
		calls_dispatch(rpc);
	}
}

static void on_io(void *arg, int events)
{
	struct serf_rpc *rpc = arg;

	assert(rpc->magic == RPC_MAGIC);
	if (rpc->state == RPC_CONNECTING) {
		rpc_connected(rpc);
		return;
	}
	if (events & IO_WRITE)
		rpc_flush(rpc);
	if (events & IO_READ)
		rpc_read(rpc);
}

static void on_retry(void *arg)
{
	struct serf_rpc *rpc = arg;

	serf_decoder_reset(&rpc->in);
	rpc_move(rpc, RPC_CONNECTING);
	rpc->fd = socket(rpc->addr.sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (rpc->fd < 0) {
		rpc_lost(rpc, "socket: %s", err_str(-errno));
		return;
	}
	rpc->io = io_new(rpc->loop, rpc->fd, on_io, rpc);
	timer_start_ms(rpc->phase, rpc->timeout_ms);
	if (connect(rpc->fd, (struct sockaddr *)&rpc->addr.sa, rpc->addr.len) < 0 && errno != EINPROGRESS)
		rpc_lost(rpc, "connect: %s", err_str(-errno));
	else
		io_watch(rpc->io, IO_WRITE);
}

/* ---- life ---- */

static void rpc_release(void *obj)
{
	struct serf_rpc *rpc = obj;

	serf_decoder_fini(&rpc->in);
	buf_fini(&rpc->out);
	free(rpc->auth_key);
	free(rpc->agent_name);
	free(rpc->down_reason);
	free(rpc);
}

int serf_rpc_new(struct loop *loop, const struct serf_rpc_conf *conf, const struct serf_rpc_handlers *handlers,
		 struct serf_rpc **out_rpc)
{
	struct serf_addr addr;
	struct serf_rpc *rpc;
	int r = serf_addr_parse(conf->addr, &addr, NULL);

	if (r < 0)
		return r;
	rpc = mem_new(struct serf_rpc);
	*rpc = (struct serf_rpc){ .magic = RPC_MAGIC, .loop = loop, .addr = addr, .timeout_ms = conf->timeout_ms,
				  .h = *handlers, .state = RPC_IDLE, .fd = -1 };
	rpc->auth_key = str_dup(conf->auth_key);
	rpc->agent_name = str_dup("");
	serf_decoder_init(&rpc->in);
	list_init(&rpc->calls);
	list_init(&rpc->failed);
	list_init(&rpc->subs);
	rpc->retry = timer_new(loop, "serf-retry", on_retry, rpc);
	rpc->phase = timer_new(loop, "serf-phase", on_phase, rpc);
	rpc->settle = timer_new(loop, "serf-settle", on_settle, rpc);
	timer_start_ms(rpc->retry, 0);
	*out_rpc = rpc;
	return 0;
}

void serf_rpc_free(struct serf_rpc *rpc)
{
	if (!rpc)
		return;
	assert(rpc->magic == RPC_MAGIC);
	rpc->magic = 0;
	rpc_close(rpc);
	timer_free(rpc->retry);
	timer_free(rpc->phase);
	timer_free(rpc->settle);
	rpc->state = RPC_IDLE;
	calls_drop(rpc);
	loop_free_later(rpc->loop, rpc, rpc_release);
}

bool serf_rpc_is_up(const struct serf_rpc *rpc)
{
	return rpc->state == RPC_UP;
}

void serf_rpc_reset(struct serf_rpc *rpc, const char *reason)
{
	rpc_lost(rpc, "%s", reason);
}

const char *serf_rpc_agent_name(const struct serf_rpc *rpc)
{
	return rpc->agent_name;
}

uint32_t serf_rpc_generation(const struct serf_rpc *rpc)
{
	return rpc->generation;
}
