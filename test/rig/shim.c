/* shim.c — preloaded into a healer under test: another wall clock, an idle machine, a store whose disk takes no writes
 *
 * Each is the name of a file in the environment, looked at whenever it matters; no such file, no effect:
 *   SHIM_CLOCK     seconds to add to CLOCK_REALTIME
 *   SHIM_STAT      read instead of /proc/stat
 *   SHIM_READONLY  while it exists, pwrite (SQLite's way to write) fails as on a file system that went read-only
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long read_number(const char *path)
{
	char text[32] = "";
	long fd = path ? syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		return 0;
	if (read((int)fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	(void)close((int)fd);
	return strtol(text, NULL, 10);
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
	int r = (int)syscall(SYS_clock_gettime, id, ts), e = errno;

	if (r == 0 && id == CLOCK_REALTIME)
		ts->tv_sec += read_number(getenv("SHIM_CLOCK"));
	errno = e;
	return r;
}

static int open_path(const char *path, int flags, va_list ap)
{
	const char *stat = getenv("SHIM_STAT");
	mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;

	return (int)syscall(SYS_openat, AT_FDCWD, stat && strcmp(path, "/proc/stat") == 0 ? stat : path, flags, mode);
}

int open(const char *path, int flags, ...)
{
	va_list ap;
	int fd;

	va_start(ap, flags);
	fd = open_path(path, flags, ap);
	va_end(ap);
	return fd;
}

int open64(const char *path, int flags, ...)
{
	va_list ap;
	int fd;

	va_start(ap, flags);
	fd = open_path(path, flags, ap);
	va_end(ap);
	return fd;
}

static int is_read_only(void)
{
	const char *path = getenv("SHIM_READONLY");

	return path && access(path, F_OK) == 0;
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at)
{
	if (is_read_only()) {
		errno = EROFS;
		return -1;
	}
	return syscall(SYS_pwrite64, fd, data, n, at);
}

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at)
{
	return pwrite(fd, data, n, at);
}
