/* client_int.h — what client.c, poll.c and tags.c share */
#pragma once
#include "loop/loop.h"
#include "serf/client.h"

struct serf_client {
	unsigned magic;			/* 0 once freed: checked after every callback */
	struct loop *loop;
	struct serf_handlers h;
	int64_t poll_ms, timeout_ms;
	struct serf_rpc *fast, *slow;
	struct op *stream;
	bool stream_ready, up;
	char *down_reason;		/* told last; NULL while up */

	/* poll.c */
	struct serf_members members;
	struct timer *poll_timer;
	struct op *poll_op;
	struct mono poll_sent;
	int64_t poll_cost_ns;
	bool hinted;			/* a member event came while a poll was under way */

	/* tags.c */
	struct serf_tag *want;		/* value NULL = to be removed */
	size_t want_count;
	struct timer *tags_timer;
	struct op *tags_op;
	struct mono tags_sent, tags_answered;
};

/* poll.c */
void poll_init(struct serf_client *c);
void poll_fini(struct serf_client *c);
void poll_now(struct serf_client *c);
void poll_hint(struct serf_client *c);
void poll_stop(struct serf_client *c);

/* tags.c */
void tags_init(struct serf_client *c);
void tags_fini(struct serf_client *c);
void tags_check(struct serf_client *c);		/* write them if the members show something else */
