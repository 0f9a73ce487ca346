/* journal.c — claims, copies and intents */
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "store_int.h"

/* One row for the best claim of a pod, and one for each node that gave it up in the same epoch: a restart must not make it the
 * turn of those again. */
int store_put_claim(struct store *s, const struct claim *c)
{
	int r = store_exec(s, STMT_END_CLAIMS, "tiii", c->pod_uid, (int64_t)c->epoch, (int64_t)c->state, (int64_t)CLAIM_WITHDRAWN);

	return r < 0 ? r : store_exec(s, STMT_PUT_CLAIM, "ttiiiii", c->pod_uid, c->node, (int64_t)c->epoch, (int64_t)c->rank,
			  (int64_t)c->mirror, (int64_t)c->state, c->at.ns);
}

int store_delete_claim(struct store *s, const char *pod_uid)
{
	return store_exec(s, STMT_DEL_CLAIM, "t", pod_uid);
}

int store_clear_claims(struct store *s)
{
	return store_exec(s, STMT_CLEAR_CLAIMS, "");
}

int store_clear_copies(struct store *s)
{
	return store_exec(s, STMT_CLEAR_COPIES, "");
}

struct claim_ctx {
	void (*fn)(void *arg, const struct claim *c);
	void *arg;
};

static void on_claim(void *arg, sqlite3_stmt *row)
{
	struct claim_ctx *ctx = arg;
	struct claim c = {
		.epoch = (uint32_t)sqlite3_column_int64(row, 2),
		.rank = (uint32_t)sqlite3_column_int64(row, 3),
		.mirror = (uint64_t)sqlite3_column_int64(row, 4),
		.state = (enum claim_state)sqlite3_column_int(row, 5),
		.at = { sqlite3_column_int64(row, 6) },
	};

	(void)str_copy(c.pod_uid, sizeof(c.pod_uid), str_or(row_text(row, 0), ""));
	(void)str_copy(c.node, sizeof(c.node), str_or(row_text(row, 1), ""));
	ctx->fn(ctx->arg, &c);
}

int store_each_claim(struct store *s, void (*fn)(void *arg, const struct claim *c), void *arg)
{
	struct claim_ctx ctx = { fn, arg };

	return store_query(s, STMT_ALL_CLAIMS, on_claim, &ctx, "i", (int64_t)CLAIM_WITHDRAWN);
}

int store_put_copy(struct store *s, const struct copy *c)
{
	return store_exec(s, STMT_PUT_COPY, "ttttttttiiiiiii", c->pod_uid, c->static_uid, c->ns, c->name, c->workload_uid,
			  c->workload, c->lost_node, c->file, (int64_t)c->epoch, (int64_t)c->rank, (int64_t)c->state,
			  c->declared.ns, c->claimed.ns, c->written.ns, c->running.ns);
}

int store_delete_copy(struct store *s, const char *pod_uid)
{
	return store_exec(s, STMT_DEL_COPY, "t", pod_uid);
}

struct copy_ctx {
	void (*fn)(void *arg, struct copy *c);
	void *arg;
};

static void on_copy(void *arg, sqlite3_stmt *row)
{
	struct copy_ctx *ctx = arg;
	struct copy *c = copy_new();

	(void)str_copy(c->pod_uid, sizeof(c->pod_uid), str_or(row_text(row, 0), ""));
	(void)str_copy(c->static_uid, sizeof(c->static_uid), str_or(row_text(row, 1), ""));
	c->ns = str_dup(row_text(row, 2));
	c->name = str_dup(row_text(row, 3));
	(void)str_copy(c->workload_uid, sizeof(c->workload_uid), str_or(row_text(row, 4), ""));
	c->workload = str_dup(row_text(row, 5));
	c->lost_node = str_dup(row_text(row, 6));
	c->file = str_dup(row_text(row, 7));
	c->epoch = (uint32_t)sqlite3_column_int64(row, 8);
	c->rank = (uint32_t)sqlite3_column_int64(row, 9);
	c->state = (enum copy_state)sqlite3_column_int(row, 10);
	c->declared.ns = sqlite3_column_int64(row, 11);
	c->claimed.ns = sqlite3_column_int64(row, 12);
	c->written.ns = sqlite3_column_int64(row, 13);
	c->running.ns = sqlite3_column_int64(row, 14);
	ctx->fn(ctx->arg, c);
}

int store_each_copy(struct store *s, void (*fn)(void *arg, struct copy *c), void *arg)
{
	struct copy_ctx ctx = { fn, arg };

	return store_query(s, STMT_ALL_COPIES, on_copy, &ctx, "");
}

int store_open_intent(struct store *s, struct intent *i, struct wall at)
{
	int r = store_exec(s, STMT_OPEN_INTENT, "ititi", (int64_t)i->kind, i->pod_uid, (int64_t)i->epoch, i->target, at.ns);

	if (r == 0)
		i->id = sqlite3_last_insert_rowid(s->db);
	return r;
}

int store_close_intent(struct store *s, int64_t id)
{
	return store_exec(s, STMT_CLOSE_INTENT, "i", id);
}

int store_clear_intents(struct store *s)
{
	return store_exec(s, STMT_CLEAR_INTENTS, "");
}

struct intent_ctx {
	void (*fn)(void *arg, const struct intent *i);
	void *arg;
};

static void on_intent(void *arg, sqlite3_stmt *row)
{
	struct intent_ctx *ctx = arg;
	struct intent i = {
		.id = sqlite3_column_int64(row, 0),
		.kind = (enum action_kind)sqlite3_column_int(row, 1),
		.epoch = (uint32_t)sqlite3_column_int64(row, 3),
	};

	(void)str_copy(i.pod_uid, sizeof(i.pod_uid), str_or(row_text(row, 2), ""));
	(void)str_copy(i.target, sizeof(i.target), str_or(row_text(row, 4), ""));
	ctx->fn(ctx->arg, &i);
}

int store_each_intent(struct store *s, void (*fn)(void *arg, const struct intent *i), void *arg)
{
	struct intent_ctx ctx = { fn, arg };

	return store_query(s, STMT_ALL_INTENTS, on_intent, &ctx, "");
}
