/* wire.c — what healers say to each other, in bytes
 *
 * A claims message (user event "eh-claim", bounded by WIRE_EVENT_MAX):
 *
 *   'E' 'H' version=1 type=1 | name length u8, node name | mirror u64 | at u64 (seconds) | epoch u32 | rank u8 | state u8 |
 *   count u8 | count × first 8 bytes of a pod's uid
 *
 * Gossip carries about two such events per 200 ms and peer (its packets hold 1,400 bytes), so a message is kept small: claims
 * that share epoch, rank and state travel together, and half a random UUID names a pod among those of one cluster.
 *
 * A `mirror` is a stamp of model/stamp.h; healers up to protocol 2 put their newest resourceVersion there.
 *
 * A link message (user event "eh-link"): type=6 | flags u8: 2 = online | length u8, node name
 *
 * An address message (user event "eh-here"): type=9 | length u8, node name | length u8, IP address as text
 *
 * A goodbye (user event "eh-goodbye"): type=12 | reason u8: enum goodbye | length u8, node name
 *
 * Answers to queries (responses are bounded by serf's 1,024 bytes):
 *
 *   "eh-witness" (payload: the node's name)  type=2 | flags u8: 1 = sees it, 2 = its own link is online, 4 = that was only a
 *                                            port without identity
 *   "eh-mine" (payload: who asks)            type=3 | mirror u64 | count u8 | count × 8 bytes: pods that are still its own
 *   "eh-grant" (payload: type=7 | stop_after u32 in ms | length u8, who asks)
 *                                            type=3 | mirror u64 | count u8 | count × 8 bytes: its pods that are fenced
 *   "eh-fence" (payload: type=4 | length u8, pod uid | length u8, node | length u8, who asks | mirror u64)
 *                                            type=5 | flags u8: 1 = yes
 *   "eh-runs" (payload: as the answer, the pods asked about)
 *                                            type=3 | mirror u64 | count u8 | count × 8 bytes: those of which a copy runs there
 *   "eh-unused" (payload: as the answer, the pods asked about)
 *                                            type=3 | mirror u64 | count u8 | count × 8 bytes: those that it does not need
 *   "eh-blank" (payload: the node's name)    type=8 | length u8, boot id | count u8 | count × 4 bytes: pods that run there
 *   "eh-fate" (payload: type=10 | length u8, node | count u8 | count × 8 bytes: pods that were bound to it)
 *                                            type=11 | count u8 | count × (8 bytes, fate u8: enum fate)
 *
 * All numbers are big-endian. Unknown versions are dropped by the receiver: an older healer ignores what it does not know.
 */
#include "agent/wire.h"

#include <errno.h>
#include <stdio.h>

#include "base/endpoint.h"
#include "base/str.h"

enum { WIRE_CLAIMS = 1, WIRE_WITNESS, WIRE_UIDS, WIRE_FENCE, WIRE_YES, WIRE_LINK, WIRE_ASK_GRANT, WIRE_RUNNING, WIRE_HERE,
       WIRE_ASK_FATE, WIRE_FATES, WIRE_GOODBYE };
enum { WIRE_HEAD = 4, CLAIMS_HEAD = 1 + 8 + 8 + 4 + 1 + 1 + 1, ITEM_SIZE = 8, SHORT_UID_SIZE = 4, FLAG_SEES = 1,
       FLAG_API = 2, FLAG_BARE = 4 };

static void put(struct buf *b, uint64_t v, int bytes)
{
	while (bytes-- > 0)
		buf_addc(b, (char)(v >> (8 * bytes)));
}

/* A cursor that never reads past its end; `bad` sticks. */
struct cursor {
	const unsigned char *p, *end;
	bool bad;
};

static uint64_t get(struct cursor *c, int bytes)
{
	uint64_t v = 0;

	if (c->end - c->p < bytes) {
		c->bad = true;
		return 0;
	}
	while (bytes-- > 0)
		v = v << 8 | *c->p++;
	return v;
}

static void put_head(struct buf *b, int type)
{
	buf_add(b, "EH", 2);
	put(b, WIRE_VERSION, 1);
	put(b, (uint64_t)type, 1);
}

static bool get_head(struct cursor *c, int type)
{
	uint64_t head = get(c, WIRE_HEAD);

	return !c->bad && head == ((uint64_t)'E' << 24 | (uint64_t)'H' << 16 | WIRE_VERSION << 8 | (uint64_t)type);
}

static int hex_value(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The first half of a UUID in canonical lower-case form; of the other half nothing is asked. */
static int put_half_uid(struct buf *b, const char *uid)
{
	unsigned char raw[ITEM_SIZE];
	size_t n = 0;

	for (const char *p = uid; *p && n < sizeof(raw); p++) {
		int hi, lo;

		if (*p == '-')
			continue;
		hi = hex_value(p[0]);
		lo = hi < 0 ? -1 : hex_value(p[1]);
		if (lo < 0)
			return -EINVAL;
		raw[n++] = (unsigned char)(hi << 4 | lo);
		p++;
	}
	if (n != sizeof(raw))
		return -EINVAL;
	buf_add(b, raw, sizeof(raw));
	return 0;
}

static int put_uid(struct buf *b, const char *uid)
{
	return strlen(uid) == WIRE_UID_FULL ? put_half_uid(b, uid) : -EINVAL;
}

/* "e6f6ef69-ec9e-42e6": WIRE_UID_LEN characters. */
static void get_uid(struct cursor *c, char out[UID_SIZE])
{
	unsigned v[ITEM_SIZE];

	for (int i = 0; i < ITEM_SIZE; i++)
		v[i] = (unsigned)get(c, 1);
	(void)snprintf(out, UID_SIZE, "%02x%02x%02x%02x-%02x%02x-%02x%02x", v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]);
}

size_t wire_claims_max(const char *node)
{
	return (WIRE_EVENT_MAX - WIRE_HEAD - CLAIMS_HEAD - strlen(node)) / ITEM_SIZE;
}

static bool travel_together(const struct claim *a, const struct claim *b)
{
	return a->mirror == b->mirror && a->epoch == b->epoch && a->rank == b->rank && a->state == b->state;
}

size_t wire_put_claims(struct buf *b, const struct claim *claims, size_t n)
{
	size_t name = n ? strlen(claims[0].node) : 0, most = n ? wire_claims_max(claims[0].node) : 0, count = 0, at;

	if (n == 0)
		return 0;
	put_head(b, WIRE_CLAIMS);
	put(b, name, 1);
	buf_add(b, claims[0].node, name);
	put(b, claims[0].mirror, 8);
	put(b, (uint64_t)(claims[0].at.ns / (1000 * NS_PER_MS)), 8);
	put(b, claims[0].epoch, 4);
	put(b, claims[0].rank > UINT8_MAX ? UINT8_MAX : claims[0].rank, 1);
	put(b, claims[0].state, 1);
	at = b->len;
	put(b, 0, 1);
	while (count < n && count < most && travel_together(&claims[0], &claims[count]) && put_uid(b, claims[count].pod_uid) == 0)
		count++;
	b->data[at] = (char)count;
	return count;
}

static bool get_claims_head(struct cursor *c, struct claim *claim, size_t *out_count)
{
	size_t name;

	if (!get_head(c, WIRE_CLAIMS))
		return false;
	name = get(c, 1);
	if (c->bad || name == 0 || name >= sizeof(claim->node) || (size_t)(c->end - c->p) < name || memchr(c->p, 0, name))
		return false;
	memcpy(claim->node, c->p, name);
	c->p += name;
	claim->mirror = get(c, 8);
	claim->at.ns = (int64_t)(get(c, 8) % (UINT64_MAX >> 33)) * 1000 * NS_PER_MS;
	claim->epoch = (uint32_t)get(c, 4);
	claim->rank = (uint32_t)get(c, 1);
	claim->state = (enum claim_state)get(c, 1);
	*out_count = get(c, 1);
	return !c->bad && claim->state <= CLAIM_DONE && claim->epoch > 0;
}

int wire_get_claims(const void *data, size_t n, void (*fn)(void *arg, const struct claim *c), void *arg)
{
	struct cursor c = { data, (const unsigned char *)data + n, false };
	struct claim claim = { 0 };
	size_t count;

	if (!get_claims_head(&c, &claim, &count) || (size_t)(c.end - c.p) != count * ITEM_SIZE)
		return -EPROTO;
	for (size_t i = 0; i < count; i++) {
		get_uid(&c, claim.pod_uid);
		fn(arg, &claim);
	}
	return 0;
}

/* ---- answers to queries ---- */

static void put_flags(struct buf *b, int type, int flags)
{
	put_head(b, type);
	put(b, (uint64_t)flags, 1);
}

static int get_flags(const void *data, size_t n, int type, int *out_flags)
{
	struct cursor c = { data, (const unsigned char *)data + n, false };
	int flags;

	if (!get_head(&c, type))
		return -EPROTO;
	flags = (int)get(&c, 1);
	if (c.bad)
		return -EPROTO;
	*out_flags = flags;
	return 0;
}

void wire_put_witness(struct buf *b, const struct wire_witness *w)
{
	put_flags(b, WIRE_WITNESS, (w->sees ? FLAG_SEES : 0) | (w->api ? FLAG_API : 0) | (w->bare ? FLAG_BARE : 0));
}

int wire_get_witness(const void *data, size_t n, struct wire_witness *out_witness)
{
	int flags, r = get_flags(data, n, WIRE_WITNESS, &flags);

	if (r < 0)
		return r;
	*out_witness = (struct wire_witness){ flags & FLAG_SEES, flags & FLAG_API, flags & FLAG_BARE };
	return 0;
}

void wire_put_yes(struct buf *b, bool yes)
{
	put_flags(b, WIRE_YES, yes);
}

int wire_get_yes(const void *data, size_t n, bool *out_yes)
{
	int flags, r = get_flags(data, n, WIRE_YES, &flags);

	if (r < 0)
		return r;
	*out_yes = flags & 1;
	return 0;
}

void wire_put_uids(struct buf *b, uint64_t mirror, const char *const *uids, size_t n)
{
	size_t at, count = 0;

	put_head(b, WIRE_UIDS);
	put(b, mirror, 8);
	at = b->len;
	put(b, 0, 1);
	for (size_t i = 0; i < n && count < WIRE_UIDS_MAX; i++)
		count += put_uid(b, uids[i]) == 0;
	b->data[at] = (char)count;
}

int wire_get_uids(const void *data, size_t n, uint64_t *out_mirror, void (*fn)(void *arg, const char *half_uid), void *arg)
{
	struct cursor c = { data, (const unsigned char *)data + n, false };
	uint64_t mirror;
	size_t count;

	if (!get_head(&c, WIRE_UIDS))
		return -EPROTO;
	mirror = get(&c, 8);
	count = get(&c, 1);
	if (c.bad || (size_t)(c.end - c.p) != count * ITEM_SIZE)
		return -EPROTO;
	*out_mirror = mirror;
	for (size_t i = 0; i < count; i++) {
		char uid[UID_SIZE];

		get_uid(&c, uid);
		fn(arg, uid);
	}
	return 0;
}

static void put_name(struct buf *b, const char *name)
{
	put(b, strlen(name), 1);
	buf_add(b, name, strlen(name));
}

static void get_name(struct cursor *c, char *out, size_t size)
{
	size_t n = get(c, 1);

	if (c->bad || n == 0 || n >= size || (size_t)(c->end - c->p) < n || memchr(c->p, 0, n)) {
		c->bad = true;
		return;
	}
	memcpy(out, c->p, n);
	out[n] = '\0';
	c->p += n;
}

void wire_put_running(struct buf *b, const struct wire_running *w)
{
	put_head(b, WIRE_RUNNING);
	put_name(b, w->boot_id);
	put(b, w->count, 1);
	for (size_t i = 0; i < w->count; i++)
		put(b, w->uids[i], SHORT_UID_SIZE);
}

int wire_get_running(const void *data, size_t n, struct wire_running *out_running)
{
	struct cursor c = { data, (const unsigned char *)data + n, false };
	struct wire_running w = { 0 };

	if (!get_head(&c, WIRE_RUNNING))
		return -EPROTO;
	get_name(&c, w.boot_id, sizeof(w.boot_id));
	w.count = get(&c, 1);
	if (c.bad || w.count > WIRE_RUNNING_MAX || (size_t)(c.end - c.p) != w.count * SHORT_UID_SIZE)
		return -EPROTO;
	for (size_t i = 0; i < w.count; i++)
		w.uids[i] = (uint32_t)get(&c, SHORT_UID_SIZE);
	*out_running = w;
	return 0;
}

bool wire_short_uid(const char *uid, uint32_t *out_short)
{
	uint32_t v = 0;

	for (int i = 0; i < 2 * SHORT_UID_SIZE; i++) {
		int digit = hex_value(uid[i]);

		if (digit < 0)
			return false;
		v = v << 4 | (uint32_t)digit;
	}
	*out_short = v;
	return true;
}

void wire_put_link(struct buf *b, const char *node, bool api)
{
	put_flags(b, WIRE_LINK, api ? FLAG_API : 0);
	put_name(b, node);
}

int wire_get_link(const void *data, size_t n, char out_node[NODE_NAME_SIZE], bool *out_api)
{
	struct cursor c = { data, (const unsigned char *)data + n, false };
	char node[NODE_NAME_SIZE];
	int flags;

	if (!get_head(&c, WIRE_LINK))
		return -EPROTO;
	flags = (int)get(&c, 1);
	get_name(&c, node, sizeof(node));
	if (c.bad || c.p != c.end)
		return -EPROTO;
	*out_api = flags & FLAG_API;
	(void)str_copy(out_node, NODE_NAME_SIZE, node);
	return 0;
}

int wire_put_here(struct buf *b, const char *node, const char *addr)
{
	struct endpoint at;

	if (endpoint_of(addr, 1, &at) < 0 || strlen(addr) >= PEER_ADDR_SIZE)
		return -EINVAL;
	put_head(b, WIRE_HERE);
	put_name(b, node);
	put_name(b, addr);
	return 0;
}

int wire_get_here(const void *data, size_t n, char out_node[NODE_NAME_SIZE], char out_addr[PEER_ADDR_SIZE])
{
	struct cursor c = { data, (const unsigned char *)data + n, false };
	char node[NODE_NAME_SIZE], addr[PEER_ADDR_SIZE];
	struct endpoint at;

	if (!get_head(&c, WIRE_HERE))
		return -EPROTO;
	get_name(&c, node, sizeof(node));
	get_name(&c, addr, sizeof(addr));
	if (c.bad || c.p != c.end || endpoint_of(addr, 1, &at) < 0)
		return -EPROTO;
	(void)str_copy(out_node, NODE_NAME_SIZE, node);
	(void)str_copy(out_addr, PEER_ADDR_SIZE, addr);
	return 0;
}

void wire_put_goodbye(struct buf *b, const char *node, enum goodbye reason)
{
	put_flags(b, WIRE_GOODBYE, (int)reason);
	put_name(b, node);
}

int wire_get_goodbye(const void *data, size_t n, char out_node[NODE_NAME_SIZE], enum goodbye *out_reason)
{
	struct cursor c = { data, (const unsigned char *)data + n, false };
	char node[NODE_NAME_SIZE];
	uint64_t reason;

	if (!get_head(&c, WIRE_GOODBYE))
		return -EPROTO;
	reason = get(&c, 1);
	get_name(&c, node, sizeof(node));
	if (c.bad || c.p != c.end || reason >= GOODBYE_COUNT)
		return -EPROTO;
	*out_reason = (enum goodbye)reason;
	(void)str_copy(out_node, NODE_NAME_SIZE, node);
	return 0;
}

bool wire_event_node(const char *event, const void *data, size_t n, char out_node[NODE_NAME_SIZE])
{
	struct cursor c = { data, (const unsigned char *)data + n, false };
	struct claim claim = { 0 };
	char addr[PEER_ADDR_SIZE];
	enum goodbye reason;
	size_t count;
	bool api;

	if (str_eq(event, WIRE_LINK_EVENT))
		return wire_get_link(data, n, out_node, &api) == 0;
	if (str_eq(event, WIRE_HERE_EVENT))
		return wire_get_here(data, n, out_node, addr) == 0;
	if (str_eq(event, WIRE_GOODBYE_EVENT))
		return wire_get_goodbye(data, n, out_node, &reason) == 0;
	return str_eq(event, WIRE_CLAIM_EVENT) && get_claims_head(&c, &claim, &count) &&
	       str_copy(out_node, NODE_NAME_SIZE, claim.node);
}

void wire_put_ask_grant(struct buf *b, const char *node, int64_t stop_after_ms)
{
	put_head(b, WIRE_ASK_GRANT);
	put(b, (uint64_t)stop_after_ms, 4);
	put_name(b, node);
}

int wire_get_ask_grant(const void *data, size_t n, char out_node[NODE_NAME_SIZE], int64_t *out_stop_after_ms)
{
	struct cursor c = { data, (const unsigned char *)data + n, false };
	char node[NODE_NAME_SIZE];
	int64_t ms;

	if (!get_head(&c, WIRE_ASK_GRANT))
		return -EPROTO;
	ms = (int64_t)get(&c, 4);
	get_name(&c, node, sizeof(node));
	if (c.bad || c.p != c.end || ms == 0)
		return -EPROTO;
	*out_stop_after_ms = ms;
	(void)str_copy(out_node, NODE_NAME_SIZE, node);
	return 0;
}

int wire_put_fence(struct buf *b, const struct wire_fence *f)
{
	if (strlen(f->pod_uid) != WIRE_UID_FULL)
		return -EINVAL;
	put_head(b, WIRE_FENCE);
	put_name(b, f->pod_uid);
	put_name(b, f->node);
	put_name(b, f->asker);
	put(b, f->mirror, 8);
	return 0;
}

int wire_get_fence(const void *data, size_t n, struct wire_fence *out_fence)
{
	struct cursor c = { data, (const unsigned char *)data + n, false };
	struct wire_fence f = { 0 };

	if (!get_head(&c, WIRE_FENCE))
		return -EPROTO;
	get_name(&c, f.pod_uid, sizeof(f.pod_uid));
	get_name(&c, f.node, sizeof(f.node));
	get_name(&c, f.asker, sizeof(f.asker));
	f.mirror = get(&c, 8);
	if (c.bad || c.p != c.end)
		return -EPROTO;
	*out_fence = f;
	return 0;
}

void wire_put_ask_fate(struct buf *b, const char *node, const char *const *uids, size_t n)
{
	size_t at, count = 0;

	put_head(b, WIRE_ASK_FATE);
	put_name(b, node);
	at = b->len;
	put(b, 0, 1);
	for (size_t i = 0; i < n && count < WIRE_FATES_MAX; i++)
		count += put_uid(b, uids[i]) == 0;
	b->data[at] = (char)count;
}

int wire_get_ask_fate(const void *data, size_t n, char out_node[NODE_NAME_SIZE], void (*fn)(void *arg, const char *half_uid),
		      void *arg)
{
	struct cursor c = { data, (const unsigned char *)data + n, false };
	char node[NODE_NAME_SIZE] = "";
	size_t count;

	if (!get_head(&c, WIRE_ASK_FATE))
		return -EPROTO;
	get_name(&c, node, sizeof(node));
	count = get(&c, 1);
	if (c.bad || count > WIRE_FATES_MAX || (size_t)(c.end - c.p) != count * ITEM_SIZE)
		return -EPROTO;
	(void)str_copy(out_node, NODE_NAME_SIZE, node);
	for (size_t i = 0; i < count; i++) {
		char uid[UID_SIZE];

		get_uid(&c, uid);
		fn(arg, uid);
	}
	return 0;
}

void wire_put_fates(struct buf *b, const struct wire_fate *fates, size_t n)
{
	size_t at, count = 0;

	put_head(b, WIRE_FATES);
	at = b->len;
	put(b, 0, 1);
	for (size_t i = 0; i < n && count < WIRE_FATES_MAX; i++) {
		if (put_half_uid(b, fates[i].uid) < 0)
			continue;
		put(b, fates[i].fate, 1);
		count++;
	}
	b->data[at] = (char)count;
}

/* Every fate is one that we know. */
static bool fates_are_known(struct cursor c, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (c.p[i * (ITEM_SIZE + 1) + ITEM_SIZE] >= FATE_COUNT)
			return false;
	return true;
}

int wire_get_fates(const void *data, size_t n, void (*fn)(void *arg, const char *half_uid, enum fate fate), void *arg)
{
	struct cursor c = { data, (const unsigned char *)data + n, false };
	size_t count;

	if (!get_head(&c, WIRE_FATES))
		return -EPROTO;
	count = get(&c, 1);
	if (c.bad || count > WIRE_FATES_MAX || (size_t)(c.end - c.p) != count * (ITEM_SIZE + 1) ||
	    !fates_are_known(c, count))
		return -EPROTO;
	for (size_t i = 0; i < count; i++) {
		char uid[UID_SIZE];

		get_uid(&c, uid);
		fn(arg, uid, (enum fate)get(&c, 1));
	}
	return 0;
}
