/* web/server.h — HTTP on the loop (libmicrohttpd in external-epoll mode), routes as rows
 *
 * Everything a client can do is bounded: connections by origin and address, their time, the size of headers, body and
 * answer, and the work of one tick. A handler runs to its end from the loop and builds a small answer in memory; what
 * can be large it gives as a stream, which is asked for slice after slice while the client reads.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/str.h"

#define WEB_PLACES_REMOTE 64            /* connections from elsewhere */
#define WEB_PLACES_LOOPBACK 64          /* … from this machine */
#define WEB_PLACES_SOCKET 16            /* … through the Unix socket */
#define WEB_PLACES_PER_ADDRESS 16       /* … of one client elsewhere (IPv6: of one /64) */
#define WEB_PLACES_PER_LOCAL_ADDRESS 48 /* … of one loopback address, which many clients share */
#define WEB_STALE_MS 1000               /* who has not asked after this goes first when places are short */
#define WEB_TIMEOUT_S 10                /* without a byte for so long a connection is closed */
#define WEB_REQUEST_S 20    /* a request that is not complete, an answer that is not taken after this: closed */
#define WEB_LARGE_S 5       /* the same of a large answer: nobody else can have one meanwhile */
#define WEB_RETRY_AFTER_S 1 /* what a 429 tells */
#define WEB_MEMORY_PER_CONNECTION (32 * 1024) /* request line and headers, and what is on its way out */
#define WEB_BODY_MAX (64 * 1024)              /* larger: 413 */
#define WEB_SLICE (16 * 1024)                 /* a stream stops adding here */
#define WEB_BUDGET_MS 10 /* of CPU time in one tick; then everything else has its turn for at least as long */
#define WEB_ACCEPT_MAX 8 /* connections taken in one go: fewer than there are places, so that each is heard once */
#define WEB_ACCEPT_RETRY_MS 100 /* after accept() found no descriptor or memory */

struct loop;
struct web;

enum web_origin { WEB_REMOTE, WEB_LOOPBACK, WEB_SOCKET, WEB_ORIGINS };

struct web_request {
	const char *method, *path, *body; /* body is terminated; "" when there is none */
	size_t body_len;
	enum web_origin origin;
	const char *accept, *authorization; /* headers; NULL = absent */
	void *connection;                   /* for web_query() */
	struct web *web;                    /* for web_large() */
};

/* An answer that is made while it is sent. */
struct web_stream {
	bool (*next)(void *state,
		     struct buf *out); /* append about WEB_SLICE bytes at most; false = those were the last */
	void (*free)(void *state);
	void *state;
};

struct web_response {
	int status;               /* 200 unless set */
	const char *content_type; /* static; application/json unless set */
	const char *node;         /* the header Edge-Healer-Node: who answers; NULL = none; borrowed */
	struct buf body;
	struct web_stream stream; /* instead of `body`, when .next is set; owned from then on */
	bool large;               /* set by web_large() */
};
/* The value of a query parameter: NULL = absent, "" = given without a value. Borrowed. */
const char *web_query(const struct web_request *rq, const char *name);
/* Ask before a large answer is built: one at a time (root's socket has one of its own). False: *rs is a 429 with
 * Retry-After. */
bool web_large(const struct web_request *rq, struct web_response *rs);

enum web_access {
	WEB_OPEN,    /* for everybody */
	WEB_GUARDED, /* only for those whom web_params.may lets in */
	WEB_URGENT,  /* for everybody, and so cheap that it is answered although this tick's budget is spent */
};

struct web_route {
	const char *method, *path; /* a path ending in '*' matches the rest */
	void (*handler)(void *arg, const struct web_request *rq, struct web_response *rs);
	const char *help;
	enum web_access access;
};

struct web_params {
	struct loop *loop;
	const char *listen;             /* "host:port" ("[::]:8000", port 0 = any) */
	const struct web_route *routes; /* borrowed */
	size_t route_count;
	/* May this request go to a route that is WEB_GUARDED? If not, *rs is filled in. NULL: all may. */
	bool (*may)(void *arg, const struct web_request *rq, struct web_response *rs);
	void *arg; /* of may() and the handlers */
};

/* 0 or -errno. */
int web_new(const struct web_params *params, struct web **out_web);
/* Listen on a Unix socket of mode 0600 too; it is unlinked at the end. A stale one is replaced. 0; -EADDRINUSE: another
 * process lives behind it; -EEXIST: the path is something else; or -errno. */
int web_listen_path(struct web *w, const char *path);
void web_free(struct web *w); /* NULL-safe */
uint16_t web_port(const struct web *w);
/* Connections of that origin that hold a place now. */
size_t web_places(const struct web *w, enum web_origin origin);

/* A JSON error body {"error": "…"} with this status. */
void web_error(struct web_response *rs, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);
