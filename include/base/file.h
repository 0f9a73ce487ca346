/* base/file.h — whole files: bounded reads, atomic writes */
#pragma once
#include <stddef.h>
#include <sys/types.h>
#include "base/str.h"

/* Read all of `path` into *out (cleared first). 0, -E2BIG beyond `limit` bytes, or -errno. */
int file_read(const char *path, size_t limit, struct buf *out);
/* The same for the first line, without its newline. */
int file_read_line(const char *path, char *buf, size_t size);

/* Temp file in the same folder → fsync → rename → fsync of the folder. 0 or -errno; on failure nothing is left behind. */
int file_write_atomic(const char *path, const void *data, size_t n, mode_t mode);
int file_fsync_dir(const char *dir);
int file_make_dirs(const char *path, mode_t mode);	/* mkdir -p */
