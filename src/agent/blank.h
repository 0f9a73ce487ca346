/* blank.h — members that live and have no mirror: asking them what runs there, and being one; see blank.c */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct agent;
struct buf;

/* We have no mirror and cannot get one now: told by the tag `mirror=none`. */
bool blank_is(const struct agent *a);
/* The answer of `from`, itself a member without a mirror. False: malformed. */
bool blank_on_answer(struct agent *a, const char *from, const void *payload, size_t n);
/* What is answered to the question about `node`: nothing, unless that is us and we know what runs here. */
void blank_answer(struct agent *a, const char *node, struct buf *out);
