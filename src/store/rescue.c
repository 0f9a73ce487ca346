/* rescue.c — the store's file is deleted or replaced under us
 *
 * The open file has no name any more, but it is whole and still written to, and all of it is lost with this process. So it is
 * written out as a new file (VACUUM INTO, synced), renamed into place and opened instead. What somebody else has put there
 * meanwhile is set aside, not overwritten. A write-ahead log that is deleted counts as well: it holds the newest rows.
 *
 * What can fail: no room, no folder that can be made → the old file stays open and it is tried again later; the old file
 * cannot be read → an empty one is begun, its owner writes what it knows.
 */
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

static struct file_id id_of(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 ? (struct file_id){ 0 } : (struct file_id){ st.st_dev, st.st_ino };
}

static bool same_file(struct file_id x, struct file_id y)
{
	return x.dev == y.dev && x.ino == y.ino;
}

static struct file_id id_of_log(const struct store *s)
{
	cleanup(freep) char *path = str_format("%s-wal", s->path);

	return id_of(path);
}

void store_note_files(struct store *s)
{
	s->file = id_of(s->path);
	s->log = id_of_log(s);
}

bool store_is_there(const struct store *s)
{
	return same_file(s->file, id_of(s->path)) && (!s->log.ino || same_file(s->log, id_of_log(s)));
}

static int sync_file(const char *path)
{
	cleanup(fd_closep) int fd = open(path, O_RDWR | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int write_out(struct store *s, const char *to)
{
	cleanup(freep) char *folder = str_dup(to);
	sqlite3_stmt *st = NULL;
	mode_t before;
	int rc, r = file_make_dirs(dirname(folder), 0700);

	if (r < 0)
		return r;
	(void)unlink(to);
	rc = sqlite3_prepare_v2(s->db, "VACUUM INTO ?1", -1, &st, NULL);
	if (rc == SQLITE_OK) {
		(void)sqlite3_bind_text(st, 1, to, -1, SQLITE_STATIC);
		before = umask(0077);
		rc = sqlite3_step(st);
		(void)umask(before);
	}
	(void)sqlite3_finalize(st);
	r = store_result(s, rc, false);
	return r < 0 ? r : sync_file(to);
}

int store_rescue(struct store *s, char *out_set_aside)
{
	cleanup(freep) char *fresh = str_format("%s.new", s->path);
	cleanup(freep) char *folder = str_dup(s->path);
	struct file_id now = id_of(s->path);
	int r = s->in_transaction ? -EBUSY : s->db ? write_out(s, fresh) : -EILSEQ, opened;

	out_set_aside[0] = '\0';
	if (r < 0)
		(void)unlink(fresh);
	if (r < 0 && r != -EILSEQ)
		return r;
	if (now.ino && !same_file(now, s->file))	/* before SQLite closes: it removes the log by its name */
		(void)store_set_aside(s, out_set_aside);
	store_close_db(s);
	if (r == 0 && rename(fresh, s->path) < 0)
		r = -errno;
	(void)file_fsync_dir(dirname(folder));
	opened = store_open_db(s);
	return opened < 0 ? opened : r < 0 ? STORE_E_EMPTY : 0;
}

/* ---- rows that nothing stands for any more ---- */

struct strangers {
	bool (*keep)(void *arg, const char *uid);
	void *arg;
	char **items;
	size_t count, cap;
};

static void note_stranger(void *arg, sqlite3_stmt *row)
{
	struct strangers *l = arg;
	const char *uid = row_text(row, 0);

	if (!uid || l->keep(l->arg, uid))
		return;
	if (l->count == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 16;
		l->items = mem_resize(l->items, l->cap, sizeof(l->items[0]));
	}
	l->items[l->count++] = str_dup(uid);
}

int store_keep_only(struct store *s, enum store_rows rows, bool (*keep)(void *arg, const char *uid), void *arg)
{
	static const enum store_stmt all[] = { STMT_NODE_UIDS, STMT_WORKLOAD_UIDS, STMT_POD_UIDS };
	static const enum store_stmt del[] = { STMT_DEL_NODE, STMT_DEL_WORKLOAD, STMT_DEL_POD };
	struct strangers l = { .keep = keep, .arg = arg };
	int r = store_query(s, all[rows], note_stranger, &l, "");

	for (size_t i = 0; i < l.count; i++) {
		r = r < 0 ? r : store_exec(s, del[rows], "t", l.items[i]);
		free(l.items[i]);
	}
	free(l.items);
	return r;
}
