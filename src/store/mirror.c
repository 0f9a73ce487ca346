/* mirror.c — ReplicaSets and nodes as documents, pods as rows
 *
 * A pod's constraints are stored once per distinct content, like in memory.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "store_int.h"

enum {
	FLAG_READY = 1, FLAG_DELETING = 2, FLAG_MIRROR = 4, FLAG_GATED = 8, FLAG_OTHER_SCHEDULER = 16, FLAG_CLAIMS = 32,
	FLAG_PULL_SECRETS = 64,
};
#define CREATED_SHIFT 16	/* above the flags: when the API server made it, in seconds; older versions do not look there */

struct constraint_id {
	char *key;
	int64_t id;
};

static const struct { enum store_stmt put, del, get, all; } doc_stmts[] = {
	[STORE_WORKLOAD] = { STMT_PUT_WORKLOAD, STMT_DEL_WORKLOAD, STMT_GET_WORKLOAD, STMT_ALL_WORKLOADS },
	[STORE_NODE] = { STMT_PUT_NODE, STMT_DEL_NODE, STMT_GET_NODE, STMT_ALL_NODES },
};

int store_put_doc(struct store *s, enum store_kind kind, const char *uid, const char *doc)
{
	return store_exec(s, doc_stmts[kind].put, "tt", uid, doc);
}

int store_delete_doc(struct store *s, enum store_kind kind, const char *uid)
{
	return store_exec(s, doc_stmts[kind].del, "t", uid);
}

static void keep_text(void *arg, sqlite3_stmt *row)
{
	str_set(arg, row_text(row, 0));
}

char *store_get_doc(struct store *s, enum store_kind kind, const char *uid)
{
	char *doc = NULL;

	(void)store_query(s, doc_stmts[kind].get, keep_text, &doc, "t", uid);
	return doc;
}

struct doc_ctx {
	void (*fn)(void *arg, const char *doc);
	void *arg;
};

static void on_doc(void *arg, sqlite3_stmt *row)
{
	struct doc_ctx *ctx = arg;

	ctx->fn(ctx->arg, row_text(row, 0));
}

int store_each_doc(struct store *s, enum store_kind kind, void (*fn)(void *arg, const char *doc), void *arg)
{
	struct doc_ctx ctx = { fn, arg };

	return store_query(s, doc_stmts[kind].all, on_doc, &ctx, "");
}

void constraint_ids_clear(struct store *s)
{
	map_for_each(struct constraint_id, c, s->constraint_ids) {
		(void)map_remove(s->constraint_ids, c->key);
		free(c->key);
		free(c);
	}
}

static void keep_i64(void *arg, sqlite3_stmt *row)
{
	*(int64_t *)arg = sqlite3_column_int64(row, 0);
}

static int constraint_id_of(struct store *s, const char *key, int64_t *out_id)
{
	struct constraint_id *c = map_get(s->constraint_ids, key);
	int r;

	if (c) {
		*out_id = c->id;
		return 0;
	}
	*out_id = 0;
	r = store_exec(s, STMT_PUT_CONSTRAINTS, "t", key);
	r = r < 0 ? r : store_query(s, STMT_GET_CONSTRAINTS, keep_i64, out_id, "t", key);
	if (r < 0)
		return r;
	c = mem_new(struct constraint_id);
	c->key = str_dup(key);
	c->id = *out_id;
	(void)map_put(s->constraint_ids, c->key, c);
	return 0;
}

static int64_t pod_flags(const struct pod *p)
{
	return (p->ready ? FLAG_READY : 0) | (p->deleting ? FLAG_DELETING : 0) | (p->is_mirror ? FLAG_MIRROR : 0) |
	       (p->gated ? FLAG_GATED : 0) | (p->default_scheduler ? 0 : FLAG_OTHER_SCHEDULER) |
	       (p->has_claims ? FLAG_CLAIMS : 0) | (p->pull_secrets ? FLAG_PULL_SECRETS : 0) |
	       (p->created.ns > 0 ? p->created.ns / (MS_PER_S * NS_PER_MS) << CREATED_SHIFT : 0);
}

int store_put_pod(struct store *s, const struct pod *p)
{
	int64_t constraints = 0;
	int r = p->constraints ? constraint_id_of(s, p->constraints->key, &constraints) : 0;

	if (r < 0)
		return r;
	return store_exec(s, STMT_PUT_POD, "ttttttiiiiiiiit", p->uid, p->ns, p->name, p->node, p->owner, p->original_uid,
			  p->version, (int64_t)p->phase, pod_flags(p), (int64_t)p->priority, p->request.cpu_milli,
			  p->request.mem_bytes, p->ready_since.ns, constraints, p->copy_of);
}

int store_delete_pod(struct store *s, const char *uid)
{
	return store_exec(s, STMT_DEL_POD, "t", uid);
}

struct pod_ctx {
	void (*fn)(void *arg, struct pod *p, const char *constraints);
	void *arg;
};

static void on_pod(void *arg, sqlite3_stmt *row)
{
	struct pod_ctx *ctx = arg;
	struct pod *p = pod_new();
	int64_t flags = sqlite3_column_int64(row, 8);

	(void)str_copy(p->uid, sizeof(p->uid), str_or(row_text(row, 0), ""));
	p->ns = intern(row_text(row, 1));
	p->name = str_dup(row_text(row, 2));
	p->node = intern(row_text(row, 3));
	p->owner = intern(row_text(row, 4));
	p->original_uid = intern(row_text(row, 5));
	p->version = sqlite3_column_int64(row, 6);
	p->phase = (enum pod_phase)sqlite3_column_int(row, 7);
	p->ready = flags & FLAG_READY;
	p->deleting = flags & FLAG_DELETING;
	p->is_mirror = flags & FLAG_MIRROR;
	p->gated = flags & FLAG_GATED;
	p->default_scheduler = !(flags & FLAG_OTHER_SCHEDULER);
	p->has_claims = flags & FLAG_CLAIMS;
	p->pull_secrets = flags & FLAG_PULL_SECRETS;
	p->created.ns = flags > 0 ? (flags >> CREATED_SHIFT) * MS_PER_S * NS_PER_MS : 0;
	p->priority = sqlite3_column_int(row, 9);
	p->request.cpu_milli = sqlite3_column_int64(row, 10);
	p->request.mem_bytes = sqlite3_column_int64(row, 11);
	p->ready_since.ns = sqlite3_column_int64(row, 12);
	p->copy_of = intern(row_text(row, 14));
	ctx->fn(ctx->arg, p, row_text(row, 13));
}

int store_each_pod(struct store *s, void (*fn)(void *arg, struct pod *p, const char *constraints), void *arg)
{
	struct pod_ctx ctx = { fn, arg };

	return store_query(s, STMT_ALL_PODS, on_pod, &ctx, "");
}
