/* remove.c — the files of a store that is not needed any more: the database, its log, and what was set aside of it */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "store_int.h"

static void dir_closep(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

static int remove_file(const char *path)
{
	return remove(path) == 0 || errno == ENOENT ? 0 : -errno;
}

/* <name>.corrupt-<time>, with the companions of each. */
static int remove_aside(const char *dir, const char *name)
{
	cleanup(freep) char *prefix = str_format("%s.corrupt-", name);
	cleanup(dir_closep) DIR *d = opendir(dir);
	const struct dirent *e;
	int r = d ? 0 : -errno;

	while (d && (e = readdir(d))) {
		cleanup(freep) char *path = str_format("%s/%s", dir, e->d_name);
		int one = str_has_prefix(e->d_name, prefix) ? remove_file(path) : 0;

		r = r < 0 ? r : one;
	}
	return r;
}

int store_remove_files(const char *path)
{
	static const char *const suffixes[] = { "", "-wal", "-shm" };
	cleanup(freep) char *dir = str_dup(path);
	char *slash = strrchr(dir, '/');
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		cleanup(freep) char *file = str_format("%s%s", path, suffixes[i]);
		int one = remove_file(file);

		r = r < 0 ? r : one;
	}
	if (slash) {
		int aside;

		*slash = '\0';
		aside = remove_aside(*dir ? dir : "/", slash + 1);
		r = r < 0 ? r : aside;
	}
	return r;
}
