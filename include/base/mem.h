/* base/mem.h — allocation policy and owning locals
 *
 * Small fixed objects: mem_new() aborts with a message when there is no memory (kubelet restarts us, the journal resumes
 * us). Anything sized by a peer is bounded by a named limit first and then taken with mem_try(), whose failure is an
 * ordinary outcome.
 */
#pragma once
#include <stddef.h>
#include <stdlib.h>

#define cleanup(fn) __attribute__((cleanup(fn)))

/* Move a pointer out of an owning local: yields its value and leaves NULL behind. */
#define take(p) (__extension__({ __typeof__(p) take_ = (p); (p) = NULL; take_; }))

/* Zeroed; never NULL. The caller owns the result and frees it with free(). */
void *mem_calloc(size_t n, size_t size);
#define mem_new(type) ((type *)mem_calloc(1, sizeof(type)))
#define mem_new_n(type, n) ((type *)mem_calloc((n), sizeof(type)))

/* Zeroed, or NULL. For sizes that come from outside and are bounded already. */
void *mem_try(size_t n, size_t size);

/* Grow `p` to n * size bytes; never NULL (aborts). */
void *mem_resize(void *p, size_t n, size_t size);

/* Wipe `size` bytes, then free. NULL-safe. For what must not be found in memory afterwards. */
void secret_free(void *p, size_t size);

/* For a process that is about to wait for long: give back free heap, and program text, which is read anew when it runs. */
void mem_trim(void);

void freep(void *p);			/* cleanup(freep) for anything that free() frees */
void fd_closep(int *fd);		/* cleanup(fd_closep); ignores negatives */

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(p, type, member) ((type *)(void *)((char *)(p) - offsetof(type, member)))
