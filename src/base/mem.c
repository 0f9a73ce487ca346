/* mem.c — allocation policy */
#include "base/mem.h"

#include <stdio.h>
#include <unistd.h>
#include <string.h>

static void *mem_checked(void *p, size_t n, size_t size)
{
	if (!p) {
		fprintf(stderr, "edge-healer: out of memory (%zu x %zu bytes): restart and resume from the journal\n", n, size);
		abort();
	}
	return p;
}

void *mem_calloc(size_t n, size_t size)
{
	return mem_checked(calloc(n ? n : 1, size ? size : 1), n, size);
}

void *mem_try(size_t n, size_t size)
{
	return calloc(n ? n : 1, size ? size : 1);
}

void *mem_resize(void *p, size_t n, size_t size)
{
	return mem_checked(reallocarray(p, n ? n : 1, size ? size : 1), n, size);
}

void freep(void *p)
{
	free(*(void **)p);
}

void fd_closep(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

void secret_free(void *p, size_t size)
{
	if (!p)
		return;
	explicit_bzero(p, size);
	free(p);
}
