/* objects.c — ConfigMaps as text, Secrets sealed; what readiness said last
 *
 * Both are rows of one table; a Secret's row names the key that sealed it. A row that does not open (its key is gone
 * from the file, or it was changed) is reported as such and never returned: for the caller it is absent. Re-sealing
 * reads all such rows and writes them in one transaction, so that after it only the first key is needed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "store/seal.h"
#include "store_int.h"

void store_set_seal(struct store *s, struct seal *seal)
{
	seal_free(s->seal);
	s->seal = seal;
}

bool store_has_seal(const struct store *s)
{
	return s->seal != NULL;
}

static int put_row(struct store *s, const struct object_row *row, const char *key, const void *doc, size_t n)
{
	return store_exec(s, STMT_PUT_OBJECT, "ittiitb", (int64_t)row->ref.kind, row->ref.ns, row->ref.name, row->version,
			  (int64_t)row->gone, key, doc, n);
}

int store_put_object(struct store *s, const struct object_row *row)
{
	cleanup(buf_fini) struct buf sealed = BUF_INIT;
	char context[REF_KEY_SIZE];
	int r;

	if (row->gone || row->ref.kind != REF_SECRET)
		return put_row(s, row, NULL, row->doc, row->doc ? row->len : 0);
	if (!s->seal)
		return -ENOKEY;
	ref_key(&row->ref, context);
	r = seal_close(s->seal, context, row->doc, row->len, &sealed);
	return r < 0 ? r : put_row(s, row, seal_first_id(s->seal), sealed.data, sealed.len);
}

int store_delete_object(struct store *s, const struct ref *ref)
{
	return store_exec(s, STMT_DEL_OBJECT, "itt", (int64_t)ref->kind, ref->ns, ref->name);
}

/* ---- reading ---- */

struct read_ctx {
	struct store *s;
	store_object_fn fn;
	void *arg;
	const char *skip_key;		/* rows sealed with this one are passed over */
};

static int open_row(struct store *s, const struct object_row *row, const char *key, struct buf *out_plain)
{
	char context[REF_KEY_SIZE];

	ref_key(&row->ref, context);
	switch (s->seal ? seal_unseal(s->seal, key, context, row->doc, row->len, out_plain) : SEAL_E_NO_KEY) {
	case 0:
		return 0;
	case SEAL_E_NO_KEY:
		return STORE_E_NO_KEY;
	default:
		return STORE_E_FORGED;
	}
}

static void on_object(void *arg, sqlite3_stmt *st)
{
	struct read_ctx *ctx = arg;
	cleanup(buf_wipe) struct buf plain = BUF_INIT;
	const char *key = row_text(st, 5);
	struct object_row row = {
		.ref = { (enum ref_kind)sqlite3_column_int(st, 0), row_text(st, 1), row_text(st, 2), false },
		.version = sqlite3_column_int64(st, 3), .gone = sqlite3_column_int(st, 4) != 0,
		.doc = sqlite3_column_blob(st, 6), .len = (size_t)sqlite3_column_bytes(st, 6),
	};

	if (!row.gone && row.ref.kind == REF_SECRET) {
		if (ctx->skip_key && str_eq(key, ctx->skip_key))
			return;
		row.state = open_row(ctx->s, &row, str_or(key, ""), &plain);
		row.doc = row.state ? NULL : plain.data;
		row.len = row.state ? 0 : plain.len;
	}
	ctx->fn(ctx->arg, &row);
}

int store_get_object(struct store *s, const struct ref *ref, store_object_fn fn, void *arg)
{
	struct read_ctx ctx = { s, fn, arg, NULL };

	return store_query(s, STMT_GET_OBJECT, on_object, &ctx, "itt", (int64_t)ref->kind, ref->ns, ref->name);
}

int store_each_object(struct store *s, store_object_fn fn, void *arg)
{
	struct read_ctx ctx = { s, fn, arg, NULL };

	return store_query(s, STMT_ALL_OBJECTS, on_object, &ctx, "");
}

/* ---- another first key ---- */

struct resealed {
	struct resealed *next;
	char *ns, *name;
	int64_t version;
	struct buf doc;
};

struct reseal_ctx {
	struct resealed *list;
	int unreadable;
};

static void collect(void *arg, const struct object_row *row)
{
	struct reseal_ctx *ctx = arg;
	struct resealed *o;

	if (row->gone || row->ref.kind != REF_SECRET)
		return;
	if (row->state) {
		ctx->unreadable++;
		return;
	}
	o = mem_new(struct resealed);
	*o = (struct resealed){ ctx->list, str_dup(row->ref.ns), str_dup(row->ref.name), row->version, BUF_INIT };
	buf_add(&o->doc, row->doc, row->len);
	ctx->list = o;
}

int store_reseal(struct store *s, int *out_sealed, int *out_unreadable)
{
	struct reseal_ctx found = { 0 };
	struct read_ctx ctx = { s, collect, &found, s->seal ? seal_first_id(s->seal) : NULL };
	int r = s->seal ? store_query(s, STMT_ALL_OBJECTS, on_object, &ctx, "") : -ENOKEY, sealed = 0;
	bool own = r == 0 && found.list;

	r = own ? store_begin(s, true) : r;
	while (found.list) {
		struct resealed *o = found.list;
		const struct object_row row = { .ref = { REF_SECRET, o->ns, o->name, false }, .version = o->version,
						.doc = o->doc.data, .len = o->doc.len };

		r = r < 0 ? r : store_put_object(s, &row);
		sealed += r == 0;
		found.list = o->next;
		buf_wipe(&o->doc);
		free(o->ns);
		free(o->name);
		free(o);
	}
	if (own && r == 0)
		r = store_commit(s);
	else if (own)
		store_rollback(s);
	if (r < 0)
		return r;
	*out_sealed = sealed;
	*out_unreadable = found.unreadable;
	return 0;
}

/* ---- readiness ---- */

int store_put_readiness(struct store *s, const char *uid, bool ready, const char *reason)
{
	return store_exec(s, STMT_PUT_READINESS, "tit", uid, (int64_t)ready, reason);
}

int store_delete_readiness(struct store *s, const char *uid)
{
	return store_exec(s, STMT_DEL_READINESS, "t", uid);
}

struct readiness_ctx {
	void (*fn)(void *arg, const char *uid, bool ready, const char *reason);
	void *arg;
};

static void on_readiness(void *arg, sqlite3_stmt *row)
{
	struct readiness_ctx *ctx = arg;

	ctx->fn(ctx->arg, row_text(row, 0), sqlite3_column_int(row, 1) != 0, str_or(row_text(row, 2), ""));
}

int store_each_readiness(struct store *s, void (*fn)(void *arg, const char *uid, bool ready, const char *reason), void *arg)
{
	struct readiness_ctx ctx = { fn, arg };

	return store_query(s, STMT_ALL_READINESS, on_readiness, &ctx, "");
}
