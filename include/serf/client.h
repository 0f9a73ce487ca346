/* serf/client.h — the gossip cluster as the daemon uses it
 *
 * Two connections to the local agent. The fast one streams user events, queries and member events, polls
 * `members`, sends user events, queries and responses (the agent knows a query's id on the connection that
 * streamed it only). The slow one carries what may block in the agent for seconds: tags, join, force-leave,
 * keys.
 *
 * All callbacks run from the loop, never inside a call to the client; the client may be freed in any of them.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "serf/member.h"
#include "serf/rpc.h"

struct serf_client;

enum {
	SERF_TAGS_MIN_INTERVAL_MS = 2000,	/* every write is a broadcast to the whole cluster */
	SERF_HINT_MIN_MS = 50,			/* a member event may bring a poll so near to the last one */
	SERF_POLL_MAX_MS = 5000,
	SERF_SLOW_MS = 10000,			/* for tags, force-leave, and for each address of a join */
};

struct serf_client_conf {
	const char *rpc_addr;			/* see serf/addr.h */
	const char *auth_key;			/* NULL or "": none */
	int64_t poll_ms;			/* between polls, while they cost less than 2 % of a core */
	int64_t request_timeout_ms;		/* a poll unanswered for so long resets the connection */
};

struct serf_handlers {
	void *arg;
	void (*on_up)(void *arg);
	/* When up is lost; and while down, whenever the reason is another one. */
	void (*on_down)(void *arg, const char *reason);
	/* After every answered poll. `m` is borrowed. */
	void (*on_members)(void *arg, const struct serf_members *m, bool changed);
	void (*on_user_event)(void *arg, const char *name, const void *payload, size_t n);
	/* `id` is for serf_client_respond(); it is of no use after the connection was lost. */
	void (*on_query)(void *arg, uint64_t id, const char *name, const void *payload, size_t n);
};

/* 0, or -EINVAL for an address that serf_addr_parse() refuses. Connects at once and forever. `handlers` is
 * copied; members of it may be NULL. */
int serf_client_new(struct loop *loop, const struct serf_client_conf *conf, const struct serf_handlers *handlers,
		    struct serf_client **out_client);
void serf_client_free(struct serf_client *c);		/* NULL-safe; asserts that no op of it is left */
bool serf_client_is_up(const struct serf_client *c);	/* both connections, and the stream is subscribed */
const char *serf_client_self(const struct serf_client *c); /* the agent's node name; "" until up once; borrowed */
const struct serf_members *serf_client_members(const struct serf_client *c);	/* borrowed; the last answer */
int64_t serf_client_poll_interval_ms(const struct serf_client *c);		/* as stretched by what polls cost */
struct serf_rpc *serf_client_commands(struct serf_client *c); /* the slow connection, for the rest of the protocol */

/* To all members (and back to us) at once, Coalesce=false; fire and forget. 0, -EMSGSIZE beyond what serf_event_fits()
 * allows, -ENOTCONN while down, -EAGAIN or -ENOBUFS when too much is under way. */
int serf_client_event(struct serf_client *c, const char *name, const void *payload, size_t n);

/* What our own tag shall be; NULL removes it. Written when the members show something else, all changes in one
 * request, at once if nothing was written for SERF_TAGS_MIN_INTERVAL_MS. Written again after the agent lost
 * them. 0, or -EMSGSIZE when our tags would exceed SERF_TAGS_MAX together (and it stays as it was). */
int serf_client_set_tag(struct serf_client *c, const char *key, const char *value);

struct op *serf_client_query(struct serf_client *c, const struct serf_query_params *params,
			     const struct serf_query_handlers *handlers);
/* 0, -ENOENT for an id of a former connection, -EMSGSIZE, or as serf_client_event(). */
int serf_client_respond(struct serf_client *c, uint64_t id, const void *payload, size_t n);

/* r = 0, SERF_E_REFUSED (nobody there could be joined), or as serf_reply's r. Old user events are not replayed. */
struct op *serf_client_join(struct serf_client *c, const char *const *addrs, size_t n,
			    void (*done)(void *arg, int r, unsigned joined), void *arg);
/* Make a failed member a left one, or with `prune` forget it. The agent does not say whether it knew the name. */
struct op *serf_client_force_leave(struct serf_client *c, const char *node, bool prune, void (*done)(void *arg, int r),
				   void *arg);

/* ---- pure ---- */

/* What one poll cost, here and in the agent: CPU time of decoding it, and its size. */
int64_t serf_poll_cost_ns(int64_t decode_ns, size_t bytes);
/* The running estimate: follows a rise at once and a fall slowly. */
int64_t serf_poll_cost_smooth(int64_t before_ns, int64_t now_ns);
/* The interval at which polls of that cost take at most 2 % of a core; within base_ms … SERF_POLL_MAX_MS. */
int64_t serf_poll_interval_ms(int64_t base_ms, int64_t cost_ns);
