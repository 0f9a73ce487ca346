/* gate_int.h — the commands of gate.c as text, for its tests */
#pragma once
#include "base/str.h"
#include "node/gate.h"

/* Pure. Commands of one transaction each: the table with its sets and rule … */
void gate_text_table(struct buf *out);
/* … exactly these destinations in the sets, each with its full time again … */
void gate_text_renew(struct buf *out, const struct endpoint *endpoints, size_t n);
/* … and no table, whether there was one or not. */
void gate_text_remove(struct buf *out);
/* The first line of libnftables' text (NULL = none), without where in our text it was: "<what>: <why>". */
void gate_text_fault(const char *what, const char *text, char *out, size_t size);
