/* history.c — peers to join again, small facts about ourselves, what happened, and Events that are to tell it */
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "store_int.h"

int store_put_peer(struct store *s, const struct store_peer *p, struct wall seen)
{
	return store_exec(s, STMT_PUT_PEER, "ttiit", p->name, p->addr, (int64_t)p->port, seen.ns, p->site);
}

int store_delete_peer(struct store *s, const char *name)
{
	return store_exec(s, STMT_DEL_PEER, "t", name);
}

struct peer_ctx {
	void (*fn)(void *arg, const struct store_peer *p);
	void *arg;
};

static void on_peer(void *arg, sqlite3_stmt *row)
{
	struct peer_ctx *ctx = arg;

	struct store_peer p = { row_text(row, 0), row_text(row, 1), row_text(row, 3), (uint16_t)sqlite3_column_int(row, 2) };

	p.addr = p.addr ? p.addr : "";
	p.site = p.site ? p.site : "";
	ctx->fn(ctx->arg, &p);
}

int store_each_peer(struct store *s, void (*fn)(void *arg, const struct store_peer *p), void *arg)
{
	struct peer_ctx ctx = { fn, arg };

	return store_query(s, STMT_ALL_PEERS, on_peer, &ctx, "");
}

int store_put_meta(struct store *s, const char *key, const char *value)
{
	return store_exec(s, STMT_PUT_META, "tt", key, value);
}

int store_delete_meta(struct store *s, const char *key)
{
	return store_exec(s, STMT_DEL_META, "t", key);
}

static void keep_text(void *arg, sqlite3_stmt *row)
{
	str_set(arg, row_text(row, 0));
}

char *store_get_meta(struct store *s, const char *key)
{
	char *value = NULL;

	(void)store_query(s, STMT_GET_META, keep_text, &value, "t", key);
	return value;
}

int store_add_history(struct store *s, const struct history_row *row)
{
	return store_exec(s, STMT_ADD_HISTORY, "ittttt", row->at.ns, row->event, row->ns, row->pod, row->node, row->detail);
}

struct history_ctx {
	void (*fn)(void *arg, const struct history_row *row);
	void *arg;
};

static void on_row(void *arg, sqlite3_stmt *row)
{
	struct history_ctx *ctx = arg;
	struct history_row h = {
		.id = sqlite3_column_int64(row, 0),
		.at = { sqlite3_column_int64(row, 1) },
		.event = row_text(row, 2),
		.ns = row_text(row, 3),
		.pod = row_text(row, 4),
		.node = row_text(row, 5),
		.detail = row_text(row, 6),
	};

	ctx->fn(ctx->arg, &h);
}

int store_each_history(struct store *s, const char *filter, int64_t before, int limit,
		       void (*fn)(void *arg, const struct history_row *row), void *arg)
{
	struct history_ctx ctx = { fn, arg };

	return store_query(s, STMT_ALL_HISTORY, on_row, &ctx, "tii", filter, (int64_t)limit, before);
}

/* ---- Kubernetes Events ---- */

int store_add_event(struct store *s, const struct event_row *e)
{
	return store_exec(s, STMT_ADD_EVENT, "iittttttti", e->key, e->at.ns, e->ns, e->pod, e->workload, e->uid, e->node, e->reason,
			  e->message, (int64_t)e->warning);
}

int store_delete_event(struct store *s, int64_t key)
{
	return store_exec(s, STMT_DEL_EVENT, "i", key);
}

int store_clear_events(struct store *s)
{
	return store_exec(s, STMT_CLEAR_EVENTS, "");
}

struct event_ctx {
	void (*fn)(void *arg, const struct event_row *e);
	void *arg;
};

static void on_event(void *arg, sqlite3_stmt *row)
{
	struct event_ctx *ctx = arg;
	struct event_row e = {
		.key = sqlite3_column_int64(row, 0),
		.at = { sqlite3_column_int64(row, 1) },
		.ns = row_text(row, 2),
		.pod = row_text(row, 3),
		.workload = row_text(row, 4),
		.uid = row_text(row, 5),
		.node = row_text(row, 6),
		.reason = row_text(row, 7),
		.message = row_text(row, 8),
		.warning = sqlite3_column_int(row, 9) != 0,
	};

	ctx->fn(ctx->arg, &e);
}

int store_each_event(struct store *s, int limit, void (*fn)(void *arg, const struct event_row *e), void *arg)
{
	struct event_ctx ctx = { fn, arg };

	return store_query(s, STMT_ALL_EVENTS, on_event, &ctx, "i", (int64_t)limit);
}
