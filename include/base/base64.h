/* base/base64.h — RFC 4648 base64, strict */
#pragma once
#include <stddef.h>

/* Decode; white space between digits is skipped. 0 and *out_data (terminated for convenience; the caller frees,
 * secret_free() if it is one), -EINVAL (no base64) or -ENOMEM. */
int b64_decode(const char *text, void **out_data, size_t *out_len);
/* Encode with padding; `out` has room for B64_SIZE(n) bytes. */
#define B64_SIZE(n) (((n) + 2) / 3 * 4 + 1)
void b64_encode(const void *data, size_t n, char *out);
