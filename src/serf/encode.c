/* encode.c — requests as msgpack-c packs them
 *
 * Strings go out in the old raw format (no str8, no bin), which every Serf since 0.5 reads. Both header fields
 * are always sent.
 */
#include "serf/codec.h"

#include <assert.h>
#include <errno.h>
#include <msgpack/pack.h>

#include "base/mem.h"

static const struct { const char *name; enum serf_answer answer; } commands[SERF_CMD_COUNT] = {
#define X(id, name, answer) [SERF_CMD_##id] = { name, SERF_ANSWER_##answer },
	SERF_COMMANDS(X)
#undef X
};

const char *serf_command_name(enum serf_command cmd)
{
	return commands[cmd].name;
}

enum serf_answer serf_command_answer(enum serf_command cmd)
{
	return commands[cmd].answer;
}

static int pack_write(void *arg, const char *data, size_t n)
{
	buf_add(arg, data, n);
	return 0;
}

/* The writer cannot fail, so neither can the packer: its results are ignored throughout. */
static void put_raw(msgpack_packer *pk, const void *data, size_t n)
{
	(void)msgpack_pack_v4raw(pk, n);
	if (n)
		(void)msgpack_pack_v4raw_body(pk, data, n);
}

static void put_str(msgpack_packer *pk, const char *s)
{
	put_raw(pk, s, s ? strlen(s) : 0);
}

static void put_bool(msgpack_packer *pk, bool v)
{
	(void)(v ? msgpack_pack_true(pk) : msgpack_pack_false(pk));
}

static void put_strs(msgpack_packer *pk, const char *const *strs, size_t n)
{
	(void)msgpack_pack_array(pk, n);
	for (size_t i = 0; i < n; i++)
		put_str(pk, strs[i]);
}

static void put_pairs(msgpack_packer *pk, const struct serf_pair *pairs, size_t n)
{
	(void)msgpack_pack_map(pk, n);
	for (size_t i = 0; i < n; i++) {
		put_str(pk, pairs[i].key);
		put_str(pk, pairs[i].value);
	}
}

static void put_text_body(msgpack_packer *pk, const char *key, const char *text)
{
	(void)msgpack_pack_map(pk, 1);
	put_str(pk, key);
	put_str(pk, text);
}

static void put_event(msgpack_packer *pk, const struct serf_request *req)
{
	(void)msgpack_pack_map(pk, 3);
	put_str(pk, "Name");
	put_str(pk, req->u.event.name);
	put_str(pk, "Payload");
	put_raw(pk, req->u.event.payload, req->u.event.n);
	put_str(pk, "Coalesce");
	put_bool(pk, req->u.event.coalesce);
}

static void put_force_leave(msgpack_packer *pk, const struct serf_request *req)
{
	(void)msgpack_pack_map(pk, 2);
	put_str(pk, "Node");
	put_str(pk, req->u.force_leave.node);
	put_str(pk, "Prune");
	put_bool(pk, req->u.force_leave.prune);
}

static void put_join(msgpack_packer *pk, const struct serf_request *req)
{
	(void)msgpack_pack_map(pk, 2);
	put_str(pk, "Existing");
	put_strs(pk, req->u.join.addrs, req->u.join.n);
	put_str(pk, "Replay");
	put_bool(pk, req->u.join.replay);
}

static void put_filter(msgpack_packer *pk, const struct serf_request *req)
{
	(void)msgpack_pack_map(pk, 3);
	put_str(pk, "Tags");
	put_pairs(pk, req->u.filter.tags, req->u.filter.n);
	put_str(pk, "Status");
	put_str(pk, req->u.filter.status);
	put_str(pk, "Name");
	put_str(pk, req->u.filter.name);
}

static void put_tags(msgpack_packer *pk, const struct serf_request *req)
{
	(void)msgpack_pack_map(pk, 2);
	put_str(pk, "Tags");
	put_pairs(pk, req->u.tags.set, req->u.tags.n);
	put_str(pk, "DeleteTags");
	put_strs(pk, req->u.tags.remove, req->u.tags.remove_n);
}

static void put_query(msgpack_packer *pk, const struct serf_query_params *q)
{
	(void)msgpack_pack_map(pk, 7);
	put_str(pk, "FilterNodes");
	put_strs(pk, q->nodes, q->node_count);
	put_str(pk, "FilterTags");
	put_pairs(pk, q->tags, q->tag_count);
	put_str(pk, "RequestAck");
	put_bool(pk, q->want_acks);
	put_str(pk, "RelayFactor");
	(void)msgpack_pack_uint8(pk, q->relay_factor);
	put_str(pk, "Timeout");
	(void)msgpack_pack_int64(pk, q->timeout_ms * NS_PER_MS);
	put_str(pk, "Name");
	put_str(pk, q->name);
	put_str(pk, "Payload");
	put_raw(pk, q->payload, q->n);
}

static void put_respond(msgpack_packer *pk, const struct serf_request *req)
{
	(void)msgpack_pack_map(pk, 2);
	put_str(pk, "ID");
	(void)msgpack_pack_uint64(pk, req->u.respond.id);
	put_str(pk, "Payload");
	put_raw(pk, req->u.respond.payload, req->u.respond.n);
}

static void put_number_body(msgpack_packer *pk, const char *key, uint64_t v)
{
	(void)msgpack_pack_map(pk, 1);
	put_str(pk, key);
	(void)msgpack_pack_uint64(pk, v);
}

static void put_body(msgpack_packer *pk, const struct serf_request *req)
{
	switch (req->cmd) {
	case SERF_CMD_HANDSHAKE:	put_number_body(pk, "Version", (uint64_t)req->u.version); break;
	case SERF_CMD_AUTH:		put_text_body(pk, "AuthKey", req->u.text); break;
	case SERF_CMD_EVENT:		put_event(pk, req); break;
	case SERF_CMD_FORCE_LEAVE:	put_force_leave(pk, req); break;
	case SERF_CMD_JOIN:		put_join(pk, req); break;
	case SERF_CMD_MEMBERS_FILTERED:	put_filter(pk, req); break;
	case SERF_CMD_TAGS:		put_tags(pk, req); break;
	case SERF_CMD_STREAM:		put_text_body(pk, "Type", req->u.text); break;
	case SERF_CMD_MONITOR:		put_text_body(pk, "LogLevel", req->u.text); break;
	case SERF_CMD_STOP:		put_number_body(pk, "Stop", req->u.stop); break;
	case SERF_CMD_QUERY:		put_query(pk, &req->u.query); break;
	case SERF_CMD_RESPOND:		put_respond(pk, req); break;
	case SERF_CMD_INSTALL_KEY:
	case SERF_CMD_USE_KEY:
	case SERF_CMD_REMOVE_KEY:	put_text_body(pk, "Key", req->u.text); break;
	case SERF_CMD_GET_COORDINATE:	put_text_body(pk, "Node", req->u.text); break;
	case SERF_CMD_MEMBERS:
	case SERF_CMD_LEAVE:
	case SERF_CMD_LIST_KEYS:
	case SERF_CMD_STATS:
	case SERF_CMD_COUNT:		break;	/* no body: the agent would take it for the next header */
	}
}

int serf_encode(struct buf *out, const struct serf_request *req, uint64_t seq)
{
	size_t before = out->len;
	msgpack_packer pk;

	assert((unsigned)req->cmd < SERF_CMD_COUNT);
	msgpack_packer_init(&pk, out, pack_write);
	(void)msgpack_pack_map(&pk, 2);
	put_str(&pk, "Command");
	put_str(&pk, commands[req->cmd].name);
	put_str(&pk, "Seq");
	(void)msgpack_pack_uint64(&pk, seq);
	put_body(&pk, req);
	if (out->len - before > SERF_REQUEST_MAX) {
		out->len = before;
		out->data[before] = '\0';
		return -EMSGSIZE;
	}
	return 0;
}

bool serf_event_fits(const char *name, size_t n)
{
	size_t m = strlen(name);

	return n <= SERF_EVENT_MAX && m <= SERF_EVENT_MAX && m + n + SERF_EVENT_OVERHEAD <= SERF_EVENT_MAX;
}

size_t serf_tags_encoded_size(const struct serf_pair *tags, size_t n)
{
	struct buf b = BUF_INIT;
	msgpack_packer pk;
	size_t size;

	msgpack_packer_init(&pk, &b, pack_write);
	put_pairs(&pk, tags, n);
	size = b.len + 1;	/* and a byte that tells tags from an old-style role */
	buf_fini(&b);
	return size;
}
