/* web/server.h — HTTP on the loop (libmicrohttpd in external-epoll mode), routes as rows
 *
 * Everything a client can do is bounded: connections, the time of one, the size of headers and body. A handler runs to its end
 * from the loop and builds its answer in memory.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/str.h"

#define WEB_CONNECTIONS_MAX 64
#define WEB_CONNECTIONS_PER_IP_MAX 32
#define WEB_TIMEOUT_S 10		/* idle or slow connections are closed after this */
#define WEB_MEMORY_PER_CONNECTION (32 * 1024)	/* request line and headers */
#define WEB_BODY_MAX (64 * 1024)	/* larger: 413 */

struct loop;
struct web;

struct web_request {
	const char *method, *path, *body;	/* body is terminated; "" when there is none */
	size_t body_len;
	bool loopback;			/* the client is on this machine */
	const char *accept, *authorization;	/* headers; NULL = absent */
	void *connection;		/* for web_query() */
};
struct web_response {
	int status;			/* 200 unless set */
	const char *content_type;	/* static; application/json unless set */
	struct buf body;
};
/* The value of a query parameter: NULL = absent, "" = given without a value. Borrowed. */
const char *web_query(const struct web_request *rq, const char *name);

struct web_route {
	const char *method, *path;	/* a path ending in '*' matches the rest */
	void (*handler)(void *arg, const struct web_request *rq, struct web_response *rs);
	const char *help;
};

/* Listen on "host:port" ("[::]:8000", port 0 = any). Routes are borrowed. 0 or -errno. */
int web_new(struct loop *loop, const char *listen, const struct web_route *routes, size_t route_count, void *arg,
	    struct web **out_web);
void web_free(struct web *w);		/* NULL-safe */
uint16_t web_port(const struct web *w);

/* A JSON error body {"error": "…"} with this status. */
void web_error(struct web_response *rs, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);
