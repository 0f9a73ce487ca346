/* poll.c — the members, polled
 *
 * The agent's member events come 1 to 3 s late, so `members` is asked again and again and is the truth; an event
 * only brings the next poll forward. A poll's cost grows with the cluster, here and in the agent: the pause
 * grows with it, so that both together stay below 2 % of a core. An answer that says nothing new is compared in
 * place and not copied.
 */
#include <errno.h>
#include <time.h>

#include "base/err.h"
#include "base/mem.h"
#include "serf/client_int.h"

/* Beside the decoding, which is measured as it happens: a poll takes about 25 us in the agent and 10 here
 * whatever its size, a byte about 10 ns to encode there (serf 0.9.4) and 2 to read and frame here; both doubled
 * for slower machines. */
#define POLL_NS_FIXED 50000
#define POLL_NS_PER_BYTE 24
#define POLL_SHARE 50		/* 1/50 of a core */

int64_t serf_poll_cost_ns(int64_t decode_ns, size_t bytes)
{
	return decode_ns + POLL_NS_FIXED + (int64_t)bytes * POLL_NS_PER_BYTE;
}

int64_t serf_poll_cost_smooth(int64_t before_ns, int64_t now_ns)
{
	return now_ns > before_ns ? now_ns : before_ns - (before_ns - now_ns) / 8;
}

int64_t serf_poll_interval_ms(int64_t base_ms, int64_t cost_ns)
{
	int64_t ms = (cost_ns * POLL_SHARE + NS_PER_MS - 1) / NS_PER_MS;

	ms = ms < SERF_POLL_MAX_MS ? ms : SERF_POLL_MAX_MS;
	return ms > base_ms ? ms : base_ms;
}

static int64_t cpu_ns(void)
{
	struct timespec t = { 0, 0 };

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1000 * NS_PER_MS + t.tv_nsec;
}

int64_t serf_client_poll_interval_ms(const struct serf_client *c)
{
	return serf_poll_interval_ms(c->poll_ms, c->poll_cost_ns);
}

static void poll_schedule(struct serf_client *c)
{
	int64_t ms = serf_poll_interval_ms(c->hinted ? SERF_HINT_MIN_MS : c->poll_ms, c->poll_cost_ns);

	c->hinted = false;
	timer_start_at(c->poll_timer, mono_add_ms(c->poll_sent, ms));
}

/* 0 = they changed, SERF_E_SAME, or a failure; the members are brought up to date. */
static int poll_take(struct serf_client *c, const struct serf_frame *body)
{
	struct serf_members fresh = { .items = NULL };
	int64_t before = cpu_ns();
	int r = serf_decode_members(body, mono_is_set(c->members.as_of) ? &c->members : NULL, &fresh);

	if (r == 0)
		serf_members_replace(&c->members, &fresh, loop_now(c->loop));
	/* As old as the question: the answer may have waited in the socket while this process did not run. */
	if (r == 0 || r == SERF_E_SAME)
		c->members.as_of = c->poll_sent;
	c->poll_cost_ns = serf_poll_cost_smooth(c->poll_cost_ns, serf_poll_cost_ns(cpu_ns() - before, body->n));
	return r;
}

static void on_poll(void *arg, const struct serf_reply *reply)
{
	struct serf_client *c = arg;
	int r = reply->r;

	c->poll_op = NULL;
	if (r == 0)
		r = poll_take(c, &reply->body);
	if (r < 0 || reply->r != 0) {
		if (r != -ECONNRESET && r != -ENOTCONN)
			serf_rpc_reset(c->fast, r == -ETIMEDOUT ? "members: no answer in time" : "members: bad answer");
		return;
	}
	poll_schedule(c);
	if (c->h.on_members)
		c->h.on_members(c->h.arg, &c->members, r != SERF_E_SAME);
	if (c->magic)
		tags_check(c);
}

static void on_poll_due(void *arg)
{
	static const struct serf_request req = { .cmd = SERF_CMD_MEMBERS };
	struct serf_client *c = arg;

	if (c->poll_op)
		return;
	c->poll_sent = loop_now(c->loop);
	c->poll_op = serf_rpc_call(c->fast, &req, c->timeout_ms, on_poll, c);
}

void poll_now(struct serf_client *c)
{
	timer_start_ms(c->poll_timer, 0);
}

void poll_hint(struct serf_client *c)
{
	c->hinted = true;
	if (!c->poll_op)
		poll_schedule(c);
}

void poll_stop(struct serf_client *c)
{
	timer_stop(c->poll_timer);
	op_cancelp(&c->poll_op);
	c->hinted = false;
}

void poll_init(struct serf_client *c)
{
	c->poll_timer = timer_new(c->loop, "serf-poll", on_poll_due, c);
}

void poll_fini(struct serf_client *c)
{
	poll_stop(c);
	timer_free(c->poll_timer);
}
