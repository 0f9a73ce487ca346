/* conf/document.h — YAML (and so JSON) documents as JSON values */
#pragma once
#include "base/json.h"
#include "base/str.h"

#define DOCUMENT_DEPTH_MAX 64
#define DOCUMENT_NODES_MAX 200000	/* aliases multiply: what they stand for is counted each time */

/* All documents of a text, as an array owned by the caller. Plain true, false, null and whole numbers have their JSON
 * types, every other scalar is text. 0, or -EINVAL and one line in *why. */
int document_read(const char *text, size_t n, json_object **out_list, struct buf *why);
