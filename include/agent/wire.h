/* agent/wire.h — the messages between healers (bytes are described in wire.c) */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/str.h"
#include "model/claim.h"

#define WIRE_VERSION 1
#define WIRE_CLAIM_EVENT "eh-claim"
#define WIRE_WITNESS_QUERY "eh-witness"
/* serf's limit of 512 bytes is on the encoded message, whose envelope takes up to 40 (seen with serf 0.9.4) */
#define WIRE_EVENT_MAX (512 - 40 - (sizeof(WIRE_CLAIM_EVENT) - 1))

/* How many claims of this node fit into one message. */
size_t wire_claims_max(const char *node);
/* Append claims of one node (node, mirror and time of the first stand for all). 0, or -EINVAL: too many, or a uid that is no
 * UUID (nothing usable was appended then). */
int wire_put_claims(struct buf *b, const struct claim *claims, size_t n);
/* Each claim of a message; fn is not called for a message that is cut short. 0 or -EPROTO. */
int wire_get_claims(const void *data, size_t n, void (*fn)(void *arg, const struct claim *c), void *arg);

void wire_put_witness(struct buf *b, bool sees);
int wire_get_witness(const void *data, size_t n, bool *out_sees);	/* 0 or -EPROTO */
