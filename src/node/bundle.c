/* bundle.c — bundles on disk
 *
 * Happy path of a write: make the folder, the marker, the volumes' folders and their files; sync each file, then the
 * folders from the inside out, then the folder of bundles. Nothing looks at it before the manifest that names it is
 * renamed into place, so there is no temporary name: a half-written bundle is found at the next start by its marker
 * (or it is empty) and removed.
 *
 * Everything is opened relative to a folder that is open already and never through a symbolic link: who could plant
 * one here is root anyway, but a mistake must not reach beyond the bundle.
 */
#include "node/bundle.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

enum { DEPTH_MAX = 2 * BUNDLE_DEPTH_MAX, UUID_LEN = 36 };	/* what a pod or kubelet left in it may be deeper */

static bool is_uuid(const char *s)
{
	if (strlen(s) != UUID_LEN)
		return false;
	for (int i = 0; i < UUID_LEN; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? s[i] != '-' : !strchr("0123456789abcdef", s[i]))
			return false;
	}
	return true;
}

static void dir_closep(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

static int open_dir(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* ---- removing ---- */

static int remove_below(int at, const char *name, int depth)
{
	int fd = open_dir(at, name), r = 0;
	cleanup(dir_closep) DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (fd < 0)
		return fd;
	if (!d || depth == DEPTH_MAX)
		return -ELOOP;
	while (r == 0 && (e = readdir(d))) {
		if (str_eq(e->d_name, ".") || str_eq(e->d_name, "..") || (depth == 0 && str_eq(e->d_name, BUNDLE_MARKER)))
			continue;	/* the marker goes last: without it the rest would not be ours any more */
		if (unlinkat(fd, e->d_name, 0) < 0)
			r = errno == EISDIR || errno == EPERM ? remove_below(fd, e->d_name, depth + 1) : -errno;
	}
	if (r == 0 && depth == 0)
		(void)unlinkat(fd, BUNDLE_MARKER, 0);
	return r < 0 ? r : unlinkat(at, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

static bool is_marked(int at, const char *uid)
{
	cleanup(freep) char *path = str_format("%s/" BUNDLE_MARKER, uid);
	cleanup(fd_closep) int fd = openat(at, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char text[UUID_LEN + 1] = "";

	return fd >= 0 && read(fd, text, UUID_LEN) == UUID_LEN && str_eq(text, uid);
}

static int remove_at(int at, const char *uid)
{
	if (!is_uuid(uid))
		return -EPERM;
	if (faccessat(at, uid, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (is_marked(at, uid))
		return remove_below(at, uid, 0);
	/* Without a marker only an empty one can be ours: we stopped between the two. */
	if (unlinkat(at, uid, AT_REMOVEDIR) == 0)
		return 0;
	return errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR ? -EPERM : -errno;
}

int bundle_remove(const char *dir, const char *uid)
{
	cleanup(fd_closep) int at = open_dir(AT_FDCWD, dir);
	int r = at < 0 ? at : remove_at(at, uid);

	if (r == 0 && fsync(at) < 0)
		return -errno;
	return r == -ENOENT ? 0 : r;
}

int bundle_each(const char *dir, void (*fn)(void *arg, const char *uid), void *arg)
{
	cleanup(dir_closep) DIR *d = opendir(dir);
	struct dirent *e;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while ((e = readdir(d)))
		if (is_uuid(e->d_name))
			fn(arg, e->d_name);
	return 0;
}

/* ---- writing ---- */

static int make_dir(int at, const char *name, mode_t mode)
{
	cleanup(fd_closep) int fd = -1;

	if (mkdirat(at, name, 0700) < 0)
		return errno == EEXIST ? 0 : -errno;
	fd = open_dir(at, name);
	return fd < 0 ? fd : fchmod(fd, mode) < 0 ? -errno : 0;		/* whatever the umask is */
}

/* The folders that a path goes through, and the synced ones on the way back are the caller's. */
static int make_parents(int at, const char *path)
{
	cleanup(freep) char *copy = str_dup(path);
	int r = 0;

	for (char *p = strchr(copy, '/'); r == 0 && p; p = strchr(p + 1, '/')) {
		*p = '\0';
		r = make_dir(at, copy, 0755);
		*p = '/';
	}
	return r;
}

/* `b` NULL: of nobody's group. */
static int write_file(int at, const struct bundle_item *it, const struct bundle *b)
{
	cleanup(fd_closep) int fd = openat(at, it->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	const char *p = it->data;

	if (fd < 0)
		return -errno;
	for (size_t n = it->len; n;) {
		ssize_t k = write(fd, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		p += k;
		n -= (size_t)k;
	}
	if (b && b->has_gid && fchown(fd, (uid_t)-1, b->gid) < 0)
		return -errno;
	return fchmod(fd, it->mode) < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* Sync the folders of a bundle, inside out. */
static int sync_below(int at, const char *name, int depth)
{
	int fd = open_dir(at, name), r = 0;
	cleanup(dir_closep) DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (fd < 0)
		return fd;
	if (!d || depth == DEPTH_MAX)
		return -ELOOP;
	while (r == 0 && (e = readdir(d)))
		if (e->d_type == DT_DIR && !str_eq(e->d_name, ".") && !str_eq(e->d_name, ".."))
			r = sync_below(fd, e->d_name, depth + 1);
	return r < 0 ? r : fsync(fd) < 0 ? -errno : 0;
}

static int write_items(int at, const char *uid, const struct bundle *b)
{
	const struct bundle_item marker = { .path = (char *)(uintptr_t)BUNDLE_MARKER, .mode = 0600,
					    .data = (char *)(uintptr_t)uid, .len = UUID_LEN };
	cleanup(fd_closep) int fd = open_dir(at, uid);
	int r = fd < 0 ? fd : write_file(fd, &marker, NULL);

	for (size_t i = 0; r == 0 && i < b->count; i++) {
		const struct bundle_item *it = &b->items[i];

		fault_pass(FAULT_BUNDLE_FILE);
		r = make_parents(fd, it->path);
		r = r < 0 ? r : it->is_dir ? make_dir(fd, it->path, it->mode) : write_file(fd, it, b);
	}
	return r < 0 ? r : sync_below(at, uid, 0);
}

int bundle_write(const char *dir, const char *uid, const struct bundle *b)
{
	cleanup(fd_closep) int at = -1;
	int r;

	if (!b->count)
		return 0;
	if (!is_uuid(uid))
		return -EINVAL;
	r = file_make_dirs(dir, 0700);
	at = r < 0 ? r : open_dir(AT_FDCWD, dir);
	r = at < 0 ? at : remove_at(at, uid);		/* of an earlier attempt */
	if (r < 0)
		return r;
	if (mkdirat(at, uid, 0700) < 0)
		return -errno;
	r = write_items(at, uid, b);
	if (r == 0 && fsync(at) < 0)
		r = -errno;
	if (r < 0)
		(void)remove_at(at, uid);
	return r;
}
