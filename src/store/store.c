/* store.c — opening, migrations, transactions, one way to run a statement
 *
 * A migration is a numbered entry of migrations[]; PRAGMA user_version says how many have run. Entries are never edited, only
 * added. All of them run in one transaction at open.
 */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "store_int.h"

#define BUSY_TIMEOUT_MS 2000		/* somebody has the file open with the sqlite3 shell */
#define CACHE_KIB 1024
#define WAL_PAGES 2000			/* 8 MiB before a commit checkpoints by itself; normally store_idle() does */

static const char *const statements[] = {
#define X(id, sql) [STMT_##id] = sql,
	STORE_STATEMENTS(X)
#undef X
};

static const char *const migrations[] = {
	/* 1 */
	"CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;"
	"CREATE TABLE workloads(uid TEXT PRIMARY KEY, doc TEXT NOT NULL);"
	"CREATE TABLE nodes(uid TEXT PRIMARY KEY, doc TEXT NOT NULL);"
	"CREATE TABLE constraints(id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);"
	"CREATE TABLE pods(uid TEXT PRIMARY KEY, ns TEXT NOT NULL, name TEXT NOT NULL, node TEXT, owner TEXT, original TEXT,"
	" version INTEGER, phase INTEGER, flags INTEGER, priority INTEGER, cpu INTEGER, mem INTEGER, ready_since INTEGER,"
	" constraints INTEGER) WITHOUT ROWID;"
	"CREATE TABLE claims(pod TEXT PRIMARY KEY, node TEXT NOT NULL, epoch INTEGER, rank INTEGER, mirror INTEGER,"
	" state INTEGER, at INTEGER) WITHOUT ROWID;"
	"CREATE TABLE copies(pod TEXT PRIMARY KEY, static TEXT NOT NULL, ns TEXT, name TEXT, workload_uid TEXT, workload TEXT,"
	" lost_node TEXT, file TEXT, epoch INTEGER, rank INTEGER, state INTEGER, declared INTEGER, claimed INTEGER,"
	" written INTEGER, running INTEGER) WITHOUT ROWID;"
	"CREATE TABLE intents(id INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER, pod TEXT, epoch INTEGER, target TEXT,"
	" at INTEGER);"
	"CREATE TABLE peers(name TEXT PRIMARY KEY, addr TEXT, port INTEGER, seen INTEGER) WITHOUT ROWID;"
	"CREATE TABLE history(id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER, event TEXT, ns TEXT, pod TEXT, node TEXT,"
	" detail TEXT);",
	/* 2: doc of a Secret is sealed, key names the key; gone: known not to exist */
	"CREATE TABLE objects(kind INTEGER, ns TEXT, name TEXT, version INTEGER, gone INTEGER, key TEXT, doc BLOB,"
	" PRIMARY KEY(kind,ns,name));"
	"CREATE TABLE readiness(uid TEXT PRIMARY KEY, ready INTEGER, reason TEXT) WITHOUT ROWID;",
	/* 3: a member counts for its site also when Serf has forgotten it */
	"ALTER TABLE peers ADD COLUMN site TEXT;",
	/* 4: who gave a pod up is remembered beside who holds it now */
	"CREATE TABLE claims4(pod TEXT NOT NULL, node TEXT NOT NULL, epoch INTEGER, rank INTEGER, mirror INTEGER,"
	" state INTEGER, at INTEGER, PRIMARY KEY(pod,node)) WITHOUT ROWID;"
	"INSERT INTO claims4(pod,node,epoch,rank,mirror,state,at) SELECT pod,node,epoch,rank,mirror,state,at FROM claims;"
	"DROP TABLE claims;"
	"ALTER TABLE claims4 RENAME TO claims;"
	"ALTER TABLE pods ADD COLUMN copy_of TEXT;",
	/* 5: Kubernetes Events that wait for the link; the images of our Node are in its document */
	"CREATE TABLE events(id INTEGER PRIMARY KEY, key INTEGER NOT NULL, at INTEGER, ns TEXT, pod TEXT, workload TEXT, uid TEXT,"
	" node TEXT, reason TEXT NOT NULL, message TEXT, warning INTEGER);"
	"DELETE FROM meta WHERE key='images';",
	/* 6: copies are made from what was admitted, not from templates */
	"CREATE TABLE specs(id INTEGER PRIMARY KEY, hash TEXT NOT NULL, owner TEXT NOT NULL, made INTEGER, doc TEXT NOT NULL,"
	" UNIQUE(owner,hash));"
	"CREATE TABLE pod_specs(pod TEXT PRIMARY KEY, spec INTEGER NOT NULL) WITHOUT ROWID;",
};
#define MIGRATED_AT_OPEN 5		/* the statements need these; what is above waits for store_migrate() */

static int errno_of(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EILSEQ;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CANTOPEN:
		return -ENOENT;
	default:
		return -EIO;
	}
}

int store_result(struct store *s, int rc, bool write)
{
	int r = errno_of(rc);

	if (r < 0)
		str_set(&s->fault, sqlite3_errmsg(s->db));
	else if (write && s->fault)
		str_set(&s->fault, NULL);
	return r;
}

const char *store_fault(const struct store *s)
{
	return s->fault;
}

static int run_sql(struct store *s, const char *sql)
{
	return store_result(s, sqlite3_exec(s->db, sql, NULL, NULL, NULL), false);
}

/* ---- statements ---- */

static int prepare(struct store *s, enum store_stmt id, sqlite3_stmt **out)
{
	if (!s->db)
		return -EIO;
	if (!s->stmts[id]) {
		int rc = sqlite3_prepare_v3(s->db, statements[id], -1, SQLITE_PREPARE_PERSISTENT, &s->stmts[id], NULL);

		if (rc != SQLITE_OK)
			return store_result(s, rc, false);
	}
	*out = s->stmts[id];
	return 0;
}

static void bind_bytes(sqlite3_stmt *st, int at, const void *data, size_t n)
{
	(void)sqlite3_bind_blob64(st, at, data, n, SQLITE_STATIC);
}

static void bind_all(sqlite3_stmt *st, const char *types, va_list ap)
{
	const void *data;

	for (int i = 1; *types; types++, i++) {
		if (*types == 't')
			(void)sqlite3_bind_text(st, i, va_arg(ap, const char *), -1, SQLITE_STATIC);
		else if (*types == 'b') {
			data = va_arg(ap, const void *);
			bind_bytes(st, i, data, va_arg(ap, size_t));
		} else
			(void)sqlite3_bind_int64(st, i, va_arg(ap, int64_t));
	}
}

int store_exec(struct store *s, enum store_stmt id, const char *types, ...)
{
	sqlite3_stmt *st = NULL;
	va_list ap;
	int r = prepare(s, id, &st);
	int rc;

	if (r < 0)
		return r;
	/* Some errors make SQLite roll back by itself; what follows must not be committed row by row. */
	if (s->in_transaction && sqlite3_get_autocommit(s->db))
		return -EIO;
	va_start(ap, types);
	bind_all(st, types, ap);
	va_end(ap);
	rc = sqlite3_step(st);
	r = store_result(s, rc, true);
	(void)sqlite3_reset(st);
	(void)sqlite3_clear_bindings(st);
	return r;
}

int store_query(struct store *s, enum store_stmt id, row_fn fn, void *arg, const char *types, ...)
{
	sqlite3_stmt *st = NULL;
	va_list ap;
	int r = prepare(s, id, &st);
	int rc;

	if (r < 0)
		return r;
	va_start(ap, types);
	bind_all(st, types, ap);
	va_end(ap);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		fn(arg, st);
	r = store_result(s, rc, false);
	(void)sqlite3_reset(st);
	(void)sqlite3_clear_bindings(st);
	return r;
}

const char *row_text(sqlite3_stmt *row, int column)
{
	return (const char *)sqlite3_column_text(row, column);
}

/* ---- transactions ---- */

int store_begin(struct store *s, bool durable)
{
	int r;

	if (s->in_transaction)
		return -EBUSY;
	if (durable != s->durable) {
		r = run_sql(s, durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
		if (r < 0)
			return r;
		s->durable = durable;
	}
	r = run_sql(s, "BEGIN IMMEDIATE");
	s->in_transaction = r == 0;
	return r;
}

int store_commit(struct store *s)
{
	int r;

	if (!s->in_transaction)
		return -EINVAL;
	r = store_result(s, sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL), true);
	if (r < 0)
		store_rollback(s);
	s->in_transaction = false;
	return r;
}

void store_rollback(struct store *s)
{
	if (!s->in_transaction)
		return;
	s->in_transaction = false;
	constraint_ids_clear(s);		/* some of them may never have been committed */
	if (!sqlite3_get_autocommit(s->db))
		(void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
}

bool store_in_transaction(const struct store *s)
{
	return s->in_transaction;
}

/* ---- opening ---- */

static int scalar(struct store *s, const char *sql, int *out)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL);

	if (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW)
		*out = sqlite3_column_int(st, 0);
	(void)sqlite3_finalize(st);
	return store_result(s, rc, false);
}

static int migrate_to(struct store *s, int want)
{
	char sql[64];
	int r = store_begin(s, true);

	if (r < 0)
		return r;		/* a transaction of somebody else's is not ours to roll back */
	for (int i = s->version; r == 0 && i < want; i++)
		r = run_sql(s, migrations[i]);
	(void)snprintf(sql, sizeof(sql), "PRAGMA user_version=%d", want);
	r = r < 0 ? r : run_sql(s, sql);
	if (r < 0) {
		store_rollback(s);
		return r;
	}
	r = store_commit(s);
	if (r == 0)
		s->version = want;
	return r;
}

/* A new file gets all of the schema, an older one what cannot wait. */
static int migrate(struct store *s)
{
	int r = scalar(s, "PRAGMA user_version", &s->version);

	if (r < 0)
		return r;
	if (s->version > (int)ARRAY_LEN(migrations)) {
		str_set(&s->fault, "the store was written by a newer edge-healer");
		return -EPROTO;
	}
	if (s->version == 0)
		return migrate_to(s, (int)ARRAY_LEN(migrations));
	return s->version < MIGRATED_AT_OPEN ? migrate_to(s, MIGRATED_AT_OPEN) : 0;
}

bool store_is_behind(const struct store *s)
{
	return s->version < (int)ARRAY_LEN(migrations);
}

int store_migrate(struct store *s)
{
	return store_is_behind(s) ? migrate_to(s, (int)ARRAY_LEN(migrations)) : 0;
}

static int check_integrity(struct store *s)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &st, NULL);
	int r;

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	r = store_result(s, rc, false);
	if (r == 0 && !str_eq(row_text(st, 0), "ok"))
		r = -EILSEQ;
	(void)sqlite3_finalize(st);
	return r;
}

/* SQLite says only that it cannot open the file, and its last attempt was read-only: find out what was in the way. */
static int why_not_open(const char *path)
{
	cleanup(freep) char *copy = str_dup(path);
	cleanup(fd_closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || faccessat(AT_FDCWD, dirname(copy), W_OK, AT_EACCESS) < 0)
		return -errno;
	return -ENOENT;
}

int store_open_db(struct store *s)
{
	static const char setup[] = "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA foreign_keys=ON;"
				    "PRAGMA temp_store=MEMORY;PRAGMA journal_size_limit=8388608;";
	char sql[128];
	int rc = sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	int r = store_result(s, rc, false);

	if (r < 0)
		return (rc & 0xff) == SQLITE_CANTOPEN ? why_not_open(s->path) : r;
	(void)sqlite3_extended_result_codes(s->db, 1);
	(void)sqlite3_busy_timeout(s->db, BUSY_TIMEOUT_MS);
	(void)snprintf(sql, sizeof(sql), "PRAGMA cache_size=-%d;PRAGMA wal_autocheckpoint=%d;", CACHE_KIB, WAL_PAGES);
	r = run_sql(s, setup);
	r = r < 0 ? r : run_sql(s, sql);
	r = r < 0 ? r : check_integrity(s);
	r = r < 0 ? r : migrate(s);
	if (r == 0) {
		str_set(&s->fault, NULL);
		store_note_files(s);
	}
	return r;
}

void store_close_db(struct store *s)
{
	store_rollback(s);
	for (size_t i = 0; i < STMT_COUNT; i++) {
		(void)sqlite3_finalize(s->stmts[i]);
		s->stmts[i] = NULL;
	}
	constraint_ids_clear(s);
	(void)sqlite3_close(s->db);
	s->db = NULL;
	s->durable = false;
}

/* Rename the database and its companions out of the way; they may still tell a person something. */
int store_set_aside(struct store *s, char *out_name)
{
	static const char *const suffixes[] = { "-wal", "-shm" };
	int r;

	(void)snprintf(out_name, STORE_PATH_SIZE, "%s.corrupt-%lld", s->path,
		       (long long)(wall_read().ns / (1000 * NS_PER_MS)));
	r = rename(s->path, out_name) < 0 ? -errno : 0;
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		cleanup(freep) char *from = str_format("%s%s", s->path, suffixes[i]);
		cleanup(freep) char *to = str_format("%s%s", out_name, suffixes[i]);

		(void)rename(from, to);
	}
	return r;
}

int store_reset(struct store *s, char *out_set_aside)
{
	int r;

	store_close_db(s);
	r = store_set_aside(s, out_set_aside);
	return r < 0 && r != -ENOENT ? r : store_open_db(s);
}

int store_open(const char *path, struct store **out_store, char *out_set_aside)
{
	struct store *s = mem_new(struct store);
	int r;

	(void)sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 256, 64);
	s->path = str_dup(path);
	s->constraint_ids = map_new();
	out_set_aside[0] = '\0';
	r = store_open_db(s);
	if (r == -EILSEQ)
		r = store_reset(s, out_set_aside);
	if (r < 0) {
		store_close(s);
		return r;
	}
	(void)chmod(path, 0600);
	*out_store = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	store_close_db(s);
	map_free(s->constraint_ids);
	store_set_seal(s, NULL);
	free(s->fault);
	free(s->path);
	free(s);
}

void store_idle(struct store *s)
{
	if (!s->db || s->in_transaction)
		return;
	(void)store_exec(s, STMT_TRIM_HISTORY, "i", (int64_t)STORE_HISTORY_MAX);
	(void)sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	(void)sqlite3_db_release_memory(s->db);
}
