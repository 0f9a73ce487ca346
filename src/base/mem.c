/* mem.c — allocation policy */
#include "base/mem.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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

/* Only mappings that were never written: what the dynamic linker relocated is in others. */
void mem_trim(void)
{
	FILE *maps;
	char line[4096], mode[8], slash[2];
	unsigned long from, to;

	(void)malloc_trim(0);
	maps = fopen("/proc/self/maps", "re");
	while (maps && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %1[/]", &from, &to, mode, slash) == 4 && strcmp(mode, "r-xp") == 0)
			(void)madvise((void *)from, to - from, MADV_DONTNEED);
	if (maps)
		(void)fclose(maps);
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
