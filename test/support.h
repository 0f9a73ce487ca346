/* support.h — what a unit test includes first: cmocka, and a folder of its own */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "patience.h"

#define TMP_SIZE 256

static inline void tmp_new(char out[TMP_SIZE])
{
	const char *base = getenv("TMPDIR");

	(void)snprintf(out, TMP_SIZE, "%.200s/eh-test-XXXXXX", base ? base : "/tmp");
	assert_non_null(mkdtemp(out));
}

static inline int tmp_remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static inline void tmp_free(const char *dir)
{
	(void)nftw(dir, tmp_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* How many entries a folder has, dotfiles included. */
static inline int tmp_entry_count_one(const char *path, const struct stat *st, int kind, struct FTW *at);
static int tmp_entries;
static inline int tmp_entry_count_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)path;
	(void)st;
	(void)kind;
	tmp_entries += at->level == 1;
	return 0;
}

static inline int tmp_count(const char *dir)
{
	tmp_entries = 0;
	(void)nftw(dir, tmp_entry_count_one, 16, FTW_PHYS);
	return tmp_entries;
}

/* "<dir>/<name>" in one of a few static buffers. */
static inline const char *tmp_path(const char *dir, const char *name)
{
	static char paths[8][1024];
	static unsigned at;
	char *p = paths[at++ % ARRAY_LEN(paths)];

	(void)snprintf(p, sizeof(paths[0]), "%s/%s", dir, name);
	return p;
}

static inline void tmp_write(const char *path, const char *text)
{
	assert_int_equal(file_write_atomic(path, text, strlen(text), 0600), 0);
}
