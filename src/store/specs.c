/* specs.c — contents of admitted pods, each once for its ReplicaSet, and which pod has which
 *
 * Before schema 6 there is no place for them: what is put is dropped, what is asked for is not there.
 */
#include <stdlib.h>

#include "base/str.h"
#include "store_int.h"

#define SCHEMA_SPECS 6

static bool has_tables(const struct store *s)
{
	return s->version >= SCHEMA_SPECS;
}

static void keep_id(void *arg, sqlite3_stmt *row)
{
	*(int64_t *)arg = sqlite3_column_int64(row, 0);
}

int store_put_spec(struct store *s, struct spec_row *row)
{
	int r;

	row->id = 0;
	if (!has_tables(s))
		return 0;
	r = store_exec(s, STMT_PUT_SPEC, "ttit", row->hash, row->owner, row->made, row->doc);
	return r < 0 ? r : store_query(s, STMT_GET_SPEC_ID, keep_id, &row->id, "tt", row->owner, row->hash);
}

int store_delete_spec(struct store *s, int64_t id)
{
	return has_tables(s) ? store_exec(s, STMT_DEL_SPEC, "i", id) : 0;
}

static void keep_doc(void *arg, sqlite3_stmt *row)
{
	str_set(arg, row_text(row, 0));
}

char *store_get_spec(struct store *s, int64_t id)
{
	char *doc = NULL;

	if (has_tables(s))
		(void)store_query(s, STMT_GET_SPEC, keep_doc, &doc, "i", id);
	return doc;
}

struct spec_ctx {
	void (*fn)(void *arg, const struct spec_row *row);
	void *arg;
};

static void on_spec(void *arg, sqlite3_stmt *row)
{
	struct spec_ctx *ctx = arg;
	const struct spec_row spec = { .id = sqlite3_column_int64(row, 0), .hash = row_text(row, 1), .owner = row_text(row, 2),
				       .made = sqlite3_column_int64(row, 3), .doc = row_text(row, 4) };

	ctx->fn(ctx->arg, &spec);
}

int store_each_spec(struct store *s, void (*fn)(void *arg, const struct spec_row *row), void *arg)
{
	struct spec_ctx ctx = { fn, arg };

	return has_tables(s) ? store_query(s, STMT_ALL_SPECS, on_spec, &ctx, "") : 0;
}

int store_put_pod_spec(struct store *s, const char *pod_uid, int64_t spec)
{
	if (!has_tables(s))
		return 0;
	return spec ? store_exec(s, STMT_PUT_POD_SPEC, "ti", pod_uid, spec) : store_exec(s, STMT_DEL_POD_SPEC, "t", pod_uid);
}

struct pod_spec_ctx {
	void (*fn)(void *arg, const char *pod_uid, int64_t spec);
	void *arg;
};

static void on_pod_spec(void *arg, sqlite3_stmt *row)
{
	struct pod_spec_ctx *ctx = arg;

	ctx->fn(ctx->arg, row_text(row, 0), sqlite3_column_int64(row, 1));
}

int store_each_pod_spec(struct store *s, void (*fn)(void *arg, const char *pod_uid, int64_t spec), void *arg)
{
	struct pod_spec_ctx ctx = { fn, arg };

	return has_tables(s) ? store_query(s, STMT_ALL_POD_SPECS, on_pod_spec, &ctx, "") : 0;
}

int store_sweep_specs(struct store *s)
{
	int r = has_tables(s) ? store_exec(s, STMT_SWEEP_POD_SPECS, "") : 0;

	return r < 0 || !has_tables(s) ? r : store_exec(s, STMT_SWEEP_SPECS, "");
}
