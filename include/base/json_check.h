/* base/json_check.h — is a text exactly one JSON value, as strictly as RFC 8259 has it? For what people write
 *
 * json_parse() takes much that is no JSON (comments, NaN, single quotes, a comma too many), keeps the last of two equal
 * keys and cuts large integers: whoever reads it later, as kubelet, may see something else.
 */
#pragma once
#include <stddef.h>
#include "base/str.h"

/* 0; or -EINVAL, and one line is appended to `why`: "line N: …" with what to do, where that is not plain. Also refused:
 * equal keys in one object, integers beyond 64 bits, numbers beyond a double, \u0000, text that is no UTF-8, a nesting
 * beyond JSON_DEPTH_MAX. */
int json_check(const char *text, size_t n, struct buf *why);
