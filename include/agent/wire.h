/* agent/wire.h — the messages between healers (bytes are described in wire.c) */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/str.h"
#include "model/claim.h"
#include "model/fate.h"
#include "model/goodbye.h"
#include "model/peer.h"

#define WIRE_VERSION 1
#define WIRE_CLAIM_EVENT "eh-claim"
#define WIRE_WITNESS_QUERY "eh-witness"
#define WIRE_HELLO_EVENT "eh-hello"		/* a healer that starts asks the others to tell their claims again; no payload */
/* serf's limit of 512 bytes is on the encoded message, whose envelope takes up to 40 (seen with serf 0.9.4) */
#define WIRE_EVENT_MAX (512 - 40 - (sizeof(WIRE_CLAIM_EVENT) - 1))

#define WIRE_UID_LEN 18			/* "e6f6ef69-ec9e-42e6": what a message carries of a pod's uid */
#define WIRE_UID_FULL 36

/* How many claims of this node fit into one message. */
size_t wire_claims_max(const char *node);
/* Append one message with the leading claims that fit into it: those that share mirror, epoch, rank and state with the first.
 * Returns how many; 0 when the first one's uid is no UUID (what was appended is of no use then). */
size_t wire_put_claims(struct buf *b, const struct claim *claims, size_t n);
/* Each claim of a message, with WIRE_UID_LEN characters of the pod's uid; fn is not called for a message that is malformed.
 * 0 or -EPROTO. */
int wire_get_claims(const void *data, size_t n, void (*fn)(void *arg, const struct claim *c), void *arg);

/* The node in whose name a user event of ours is sent; what it says is not looked at. False: a hello, malformed, or none
 * of ours. */
bool wire_event_node(const char *event, const void *data, size_t n, char out_node[NODE_NAME_SIZE]);

#define WIRE_LINK_EVENT "eh-link"		/* a healer's link has changed */
void wire_put_link(struct buf *b, const char *node, bool api);
int wire_get_link(const void *data, size_t n, char out_node[NODE_NAME_SIZE], bool *out_api);	/* 0 or -EPROTO */

#define WIRE_HERE_EVENT "eh-here"		/* a healer has another address than before */
int wire_put_here(struct buf *b, const char *node, const char *addr);		/* 0, or -EINVAL: addr is no IP address */
int wire_get_here(const void *data, size_t n, char out_node[NODE_NAME_SIZE], char out_addr[PEER_ADDR_SIZE]);	/* 0 or -EPROTO */

#define WIRE_GOODBYE_EVENT "eh-goodbye"		/* a healer goes, and why */
void wire_put_goodbye(struct buf *b, const char *node, enum goodbye reason);
/* 0 or -EPROTO: malformed, or a reason that we do not know. The out-parameters stay then. */
int wire_get_goodbye(const void *data, size_t n, char out_node[NODE_NAME_SIZE], enum goodbye *out_reason);

/* Answers to queries. Each getter returns 0 or -EPROTO and leaves its out-parameters untouched on failure. */
/* bare: what it sees is a port without identity. A version that does not know that takes it for seen. */
struct wire_witness { bool sees, api, bare; };
void wire_put_witness(struct buf *b, const struct wire_witness *w);
int wire_get_witness(const void *data, size_t n, struct wire_witness *out_witness);

#define WIRE_MINE_QUERY "eh-mine"		/* payload: the rebooted node's name; answer: pods that are still its own */
#define WIRE_GRANT_QUERY "eh-grant"		/* payload: see wire_put_ask_grant; answer: its pods that are fenced */
#define WIRE_FENCE_QUERY "eh-fence"		/* payload: see wire_put_fence; answer: yes or no */
#define WIRE_UNUSED_QUERY "eh-unused"		/* payload: a list of pods; answer: those whose fence it has no use for */
#define WIRE_RUNS_QUERY "eh-runs"		/* payload: a list of pods; answer: those of which a copy runs there */
#define WIRE_FATE_QUERY "eh-fate"		/* payload: see wire_put_ask_fate; answer: what became of them */
#define WIRE_UIDS_MAX 120			/* pods in one answer: serf's limit of a response is 1,024 bytes */

/* A list of pods by half their uids, with the stamp of the sender's mirror (model/stamp.h). Those beyond WIRE_UIDS_MAX are
 * left out. */
void wire_put_uids(struct buf *b, uint64_t mirror, const char *const *uids, size_t n);
int wire_get_uids(const void *data, size_t n, uint64_t *out_mirror, void (*fn)(void *arg, const char *half_uid), void *arg);

#define WIRE_BLANK_QUERY "eh-blank"		/* payload: a member without a mirror, which alone answers: what runs there */
#define WIRE_BOOT_ID_SIZE 40
#define WIRE_RUNNING_MAX 200			/* pods in one answer, four bytes each: kubelet's own limit is 110 by default */
/* What runs on a node, by the first four bytes of each uid; two that share them count as one, which runs. */
struct wire_running { char boot_id[WIRE_BOOT_ID_SIZE]; uint32_t uids[WIRE_RUNNING_MAX]; size_t count; };
void wire_put_running(struct buf *b, const struct wire_running *w);
int wire_get_running(const void *data, size_t n, struct wire_running *out_running);
/* The first four bytes of a uid, with or without dashes (a static pod's has none). False: it begins with no eight hex digits. */
bool wire_short_uid(const char *uid, uint32_t *out_short);

/* The question for a grant: who asks, and for how long its lease lasts. */
void wire_put_ask_grant(struct buf *b, const char *node, int64_t stop_after_ms);
int wire_get_ask_grant(const void *data, size_t n, char out_node[NODE_NAME_SIZE], int64_t *out_stop_after_ms);

/* The question for a fence: the pod's whole uid, its node, who asks, and the stamp of its mirror. Texts are copied out. */
struct wire_fence { char pod_uid[UID_SIZE], node[NODE_NAME_SIZE], asker[NODE_NAME_SIZE]; uint64_t mirror; };
int wire_put_fence(struct buf *b, const struct wire_fence *f);		/* 0, or -EINVAL: the uid is no UUID */
int wire_get_fence(const void *data, size_t n, struct wire_fence *out_fence);
/* What became of these pods, all bound to one node? Those beyond WIRE_FATES_MAX are left out. */
#define WIRE_FATES_MAX 64
void wire_put_ask_fate(struct buf *b, const char *node, const char *const *uids, size_t n);
int wire_get_ask_fate(const void *data, size_t n, char out_node[NODE_NAME_SIZE], void (*fn)(void *arg, const char *half_uid),
		      void *arg);
struct wire_fate { char uid[UID_SIZE]; enum fate fate; };	/* uid: half of it is enough */
void wire_put_fates(struct buf *b, const struct wire_fate *fates, size_t n);
/* fn is not called for a message that is malformed. */
int wire_get_fates(const void *data, size_t n, void (*fn)(void *arg, const char *half_uid, enum fate fate), void *arg);
void wire_put_yes(struct buf *b, bool yes);
int wire_get_yes(const void *data, size_t n, bool *out_yes);
