/* base/utf8.h — text of strangers in what must be UTF-8 */
#pragma once
#include "base/str.h"

/* Append, with U+FFFD in place of each byte that is not part of well-formed UTF-8 (RFC 3629: no surrogates, nothing
 * overlong). */
void buf_add_utf8(struct buf *b, const char *text, size_t n);
/* Append as the inside of a JSON string: escaped, and well-formed. */
void buf_add_json_text(struct buf *b, const char *text);
/* Append as the value of a metric's label: https://prometheus.io/docs/instrumenting/exposition_formats/ */
void buf_add_label(struct buf *b, const char *text);
/* How many bytes of `data` are well-formed UTF-8: n, or where the first one that is not begins. NUL is a character. */
size_t utf8_length(const void *data, size_t n);
