/* base/str.h — strings, growing buffers, strict numbers, interned names */
#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

bool str_eq(const char *a, const char *b);		/* NULL equals NULL only */
bool str_has_prefix(const char *s, const char *prefix);
bool str_has_suffix(const char *s, const char *suffix);
/* Equal, without the time telling where they differ. */
bool str_eq_secret(const char *given, const char *secret);
bool str_is_empty(const char *s);			/* NULL or "" */
const char *str_or(const char *s, const char *fallback);
char *str_dup(const char *s);				/* NULL → NULL; caller frees; aborts without memory */
char *str_ndup(const char *s, size_t n);
void str_set(char **dst, const char *src);		/* free *dst, then str_dup */
char *str_format(const char *fmt, ...) PRINTF_LIKE(1, 2);	/* caller frees */
/* Bounded copy, always terminated. False when it did not fit (and was cut). */
bool str_copy(char *dst, size_t size, const char *src);
/* Shell-style match of `*` only. */
bool str_glob(const char *pattern, const char *s);
/* The nearest of `names` within edit distance 3, or NULL; borrowed from `names`. */
const char *str_nearest(const char *word, const char *const *names, size_t n);
/* A stable 64-bit FNV-1a hash; the same on every node. Chain by passing the previous value, start with STR_HASH_INIT. */
#define STR_HASH_INIT UINT64_C(0xcbf29ce484222325)
uint64_t str_hash(uint64_t h, const void *data, size_t n);

/* Strict: no sign for unsigned, no space, no trailing text. 0, -EINVAL, or -ERANGE; *out untouched on failure. */
int num_parse_i64(const char *s, int64_t min, int64_t max, int64_t *out);

/* A growing byte buffer. Zero-initialise; always NUL-terminated once written to. */
struct buf {
	char *data;
	size_t len, cap;
};
#define BUF_INIT { NULL, 0, 0 }
void buf_fini(struct buf *b);
void buf_wipe(struct buf *b);				/* buf_fini() of what nobody may find in memory */
void buf_clear(struct buf *b);				/* keeps the memory */
void buf_add(struct buf *b, const void *data, size_t n);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_addv(struct buf *b, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);
void buf_consume(struct buf *b, size_t n);		/* drop n bytes from the front */
char *buf_take(struct buf *b);				/* move the text out; never NULL; caller frees */
/* Like buf_add, but refuses to grow beyond `limit` bytes: -E2BIG, or -ENOMEM. */
int buf_try_add(struct buf *b, const void *data, size_t n, size_t limit);

/* Interned names: one stored copy per distinct text, alive until intern_fini(). Compare pointers for equality. */
const char *intern(const char *s);			/* NULL → NULL */
/* The same for a text that anybody may invent, such as the name of a gossip member that is no Node: what is not known yet is
 * taken up INTERN_STRANGERS_MAX times in the life of a process. NULL beyond that. */
const char *intern_stranger(const char *s);
#define INTERN_STRANGERS_MAX 4096	/* half a MiB of the longest names of serf; a site has some hundred members */
size_t intern_count(void);
void intern_fini(void);
