/* serf/codec.h — Serf's msgpack frames: requests out, replies and stream records in
 *
 * Pure: no descriptor, no clock. A connection is a sequence of msgpack objects: a header, and for some commands
 * a body after it. The decoder cuts the agent's byte stream into objects within the limits below before
 * msgpack-c sees any of it; whatever is beyond them is -EPROTO and the connection is of no further use.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/str.h"
#include "serf/member.h"

enum {
	SERF_FRAME_MAX = 4 << 20,	/* bytes of one object; 1,000 members with full tags take about 0.8 MiB */
	SERF_DEPTH_MAX = 8,		/* containers in containers; members take 4 */
	SERF_ELEMENTS_MAX = 32768,	/* of one array, pairs of one map */
	SERF_OBJECTS_MAX = 1 << 18,	/* of one frame, all depths; 1,000 members take about 40,000 */
	SERF_BYTES_MAX = 64 << 10,	/* of one string */
	SERF_REQUEST_MAX = 64 << 10,	/* bytes of one request */
	SERF_ERROR_SIZE = 256,		/* an agent's error text, cut to this */

	SERF_EVENT_MAX = 512,		/* the agent's limit on a user event as it is gossiped … */
	SERF_EVENT_OVERHEAD = 40,	/* … of which the envelope takes this much */
	SERF_QUERY_MAX = 1024,		/* the same for a query and for a response to it */
	SERF_RESPONSE_OVERHEAD = 64,	/* and the responder's name */
	SERF_EVENT_NAME_SIZE = SERF_QUERY_MAX + 1,
};

/* What follows the header of a reply: */
enum serf_answer {
	SERF_ANSWER_HEADER,	/* nothing */
	SERF_ANSWER_BODY,	/* a body, also after an error; but see serf_header_is_refusal() */
	SERF_ANSWER_STREAM,	/* nothing; then records (header and body) with the same Seq */
};

#define SERF_COMMANDS(X) \
	X(HANDSHAKE, "handshake", HEADER) \
	X(AUTH, "auth", HEADER) \
	X(EVENT, "event", HEADER) \
	X(FORCE_LEAVE, "force-leave", HEADER) \
	X(JOIN, "join", BODY) \
	X(MEMBERS, "members", BODY) \
	X(MEMBERS_FILTERED, "members-filtered", BODY) \
	X(TAGS, "tags", HEADER) \
	X(STREAM, "stream", STREAM) \
	X(MONITOR, "monitor", STREAM) \
	X(STOP, "stop", HEADER) \
	X(LEAVE, "leave", HEADER) \
	X(QUERY, "query", STREAM) \
	X(RESPOND, "respond", HEADER) \
	X(INSTALL_KEY, "install-key", BODY) \
	X(USE_KEY, "use-key", BODY) \
	X(REMOVE_KEY, "remove-key", BODY) \
	X(LIST_KEYS, "list-keys", BODY) \
	X(STATS, "stats", BODY) \
	X(GET_COORDINATE, "get-coordinate", BODY)
enum serf_command {
#define X(id, name, answer) SERF_CMD_##id,
	SERF_COMMANDS(X)
#undef X
	SERF_CMD_COUNT
};
const char *serf_command_name(enum serf_command cmd);
enum serf_answer serf_command_answer(enum serf_command cmd);

/* ---- requests ---- */

struct serf_pair { const char *key, *value; };

struct serf_query_params {
	const char *name;
	const void *payload;
	size_t n;
	const char *const *nodes;	/* only these; none = all */
	size_t node_count;
	const struct serf_pair *tags;	/* only nodes whose tag matches the regular expression */
	size_t tag_count;
	bool want_acks;
	uint8_t relay_factor;		/* also send responses through this many other nodes */
	int64_t timeout_ms;		/* 0 = the agent's own: some seconds, more in larger clusters */
};

/* Everything is borrowed until the encoding call returns. NULL texts are sent as "". */
struct serf_request {
	enum serf_command cmd;
	union {
		int version;						/* handshake */
		const char *text;					/* auth: key; stream: filter; monitor: level;
									   *-key: key; get-coordinate: node */
		struct { const char *name; const void *payload; size_t n; bool coalesce; } event;
		struct { const char *node; bool prune; } force_leave;
		struct { const char *const *addrs; size_t n; bool replay; } join;
		/* regular expressions, matched whole; a bad one makes the agent close the connection */
		struct { const struct serf_pair *tags; size_t n; const char *status, *name; } filter;
		struct { const struct serf_pair *set; size_t n; const char *const *remove; size_t remove_n; } tags;
		uint64_t stop;						/* the Seq of the stream */
		struct serf_query_params query;
		struct { uint64_t id; const void *payload; size_t n; } respond;
	} u;
};

/* Append header and body. 0, or -EMSGSIZE beyond SERF_REQUEST_MAX and `out` is as before. */
int serf_encode(struct buf *out, const struct serf_request *req, uint64_t seq);

/* Would the agent gossip a user event of this size? */
bool serf_event_fits(const char *name, size_t n);
/* What a member's tags take of SERF_TAGS_MAX. */
size_t serf_tags_encoded_size(const struct serf_pair *tags, size_t n);

/* ---- the byte stream ---- */

enum { SERF_E_MORE = 1,		/* no complete object yet: feed more */
       SERF_E_SAME };		/* serf_decode_members: nothing changed */

struct serf_frame { const char *data; size_t n; };	/* one complete msgpack object, borrowed */

struct serf_decoder {
	struct buf in;
	size_t start, scan;			/* of the current object; the next byte to look at */
	uint32_t left[SERF_DEPTH_MAX];		/* objects still to come in every open container */
	unsigned depth;
	uint32_t objects;
	bool broken;
};

void serf_decoder_init(struct serf_decoder *d);
void serf_decoder_fini(struct serf_decoder *d);
void serf_decoder_reset(struct serf_decoder *d);	/* forget all input: a new connection */
/* Append bytes as they came. At most SERF_FRAME_MAX may wait undecoded: 0, -EPROTO or -ENOMEM. Drain with
 * serf_decoder_next() between feeds. */
int serf_decoder_feed(struct serf_decoder *d, const void *data, size_t n);
/* The next object, borrowed until the next call with `d`. 0, SERF_E_MORE, or -EPROTO (and it stays so until a
 * reset). */
int serf_decoder_next(struct serf_decoder *d, struct serf_frame *out_frame);

/* ---- replies and records ----
 *
 * All return 0, -EPROTO (a wrong type, a missing field) or -ENOMEM; unknown fields are skipped. Texts that are
 * borrowed live as long as the frame.
 */
struct serf_header { uint64_t seq; char error[SERF_ERROR_SIZE]; };
int serf_decode_header(const struct serf_frame *f, struct serf_header *out_header);
/* Did the agent refuse before it looked at the command? No body follows then, and the request's own body was not
 * read. */
bool serf_header_is_refusal(const struct serf_header *h);

/* Fill *out_members (sorted; as_of, version and status_since are the caller's), or SERF_E_SAME when it says
 * exactly what `known` says: the agent lists members and tags in a new order every time. Members whose name we
 * cannot carry (empty, longer than SERF_NAME_MAX, control characters) are left out. `known` may be NULL. */
int serf_decode_members(const struct serf_frame *f, const struct serf_members *known, struct serf_members *out_members);

enum serf_event_kind { SERF_EVENT_USER, SERF_EVENT_QUERY, SERF_EVENT_MEMBER, SERF_EVENT_OTHER };
struct serf_event {
	enum serf_event_kind kind;
	uint64_t id, ltime;			/* id: queries only, valid on this connection */
	char name[SERF_EVENT_NAME_SIZE];	/* of a member event: "member-failed" … */
	const void *payload;			/* borrowed */
	size_t n;
	bool coalesce;
};
int serf_decode_event(const struct serf_frame *f, struct serf_event *out_event);

enum serf_record_kind { SERF_RECORD_ACK, SERF_RECORD_RESPONSE, SERF_RECORD_DONE };
struct serf_query_record {
	enum serf_record_kind kind;
	char from[SERF_NAME_MAX + 1];
	const void *payload;			/* borrowed */
	size_t n;
};
int serf_decode_query_record(const struct serf_frame *f, struct serf_query_record *out_record);

int serf_decode_join(const struct serf_frame *f, unsigned *out_joined);
int serf_decode_log(const struct serf_frame *f, const char **out_line, size_t *out_n); /* borrowed, not terminated */

struct serf_key { char *key; unsigned nodes; };		/* how many nodes have it installed */
struct serf_keys {
	struct serf_key *keys;				/* list-keys only */
	size_t count;
	struct serf_tag *messages;			/* node → what it complained about */
	size_t message_count;
	unsigned nodes, errors, responses;
};
int serf_decode_keys(const struct serf_frame *f, struct serf_keys *out_keys);
void serf_keys_fini(struct serf_keys *k);

struct serf_stat { char *section, *key, *value; };
struct serf_stats { struct serf_stat *items; size_t count; };
int serf_decode_stats(const struct serf_frame *f, struct serf_stats *out_stats);
const char *serf_stats_get(const struct serf_stats *s, const char *section, const char *key);	/* NULL = absent */
void serf_stats_fini(struct serf_stats *s);

enum { SERF_COORD_DIMS = 8 };
struct serf_coordinate {
	bool known;
	double vec[SERF_COORD_DIMS], error, adjustment, height;		/* seconds */
};
int serf_decode_coordinate(const struct serf_frame *f, struct serf_coordinate *out_coordinate);
