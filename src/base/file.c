/* file.c — bounded reads and atomic writes
 *
 * A write goes to ".<name>.tmp-<pid>" in the same folder (a dotfile: kubelet ignores those in its static-pod folder), is
 * synced, renamed over the target, and the folder is synced. Whatever step fails, the temp file is removed.
 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

int file_read(const char *path, size_t limit, struct buf *out)
{
	cleanup(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	char chunk[16384];

	if (fd < 0)
		return -errno;
	buf_clear(out);
	for (;;) {
		ssize_t n = read(fd, chunk, sizeof(chunk));
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		r = buf_try_add(out, chunk, (size_t)n, limit);
		if (r < 0 || n == 0)
			return r;
	}
}

int file_read_line(const char *path, char *buf, size_t size)
{
	cleanup(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return 0;
}

int file_fsync_dir(const char *dir)
{
	cleanup(fd_closep) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

static int write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t k = write(fd, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

static int write_temp(const char *temp, const void *data, size_t n, mode_t mode)
{
	cleanup(fd_closep) int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	int r;

	if (fd < 0)
		return -errno;
	r = write_all(fd, data, n);
	if (r < 0)
		return r;
	if (fchmod(fd, mode) < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

int file_write_atomic(const char *path, const void *data, size_t n, mode_t mode)
{
	cleanup(freep) char *for_dir = str_dup(path), *for_base = str_dup(path);
	const char *dir = dirname(for_dir);
	cleanup(freep) char *temp = str_format("%s/.%s.tmp-%d", dir, basename(for_base), (int)getpid());
	int r = write_temp(temp, data, n, mode);

	if (r == 0 && rename(temp, path) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlink(temp);
		return r;
	}
	return file_fsync_dir(dir);
}

int file_make_dirs(const char *path, mode_t mode)
{
	cleanup(freep) char *p = str_dup(path);

	for (char *s = p + 1; *s; s++) {
		if (*s != '/')
			continue;
		*s = '\0';
		if (mkdir(p, mode) < 0 && errno != EEXIST)
			return -errno;
		*s = '/';
	}
	return mkdir(p, mode) < 0 && errno != EEXIST ? -errno : 0;
}
