/* kube/client.h — requests to one API server, without blocking
 *
 * One client per API server: HTTP/2 over TLS where the server offers it, else HTTP/1.1, connections kept alive and
 * shared. Each request has a time limit of its own; what waits for a free slot waits inside that limit. Retries happen
 * only where the caller asks for them: the caller knows what is idempotent. One exception is libcurl's: a kept
 * connection that dies before a byte of the answer came is replaced once and the request sent again, a POST too. Our
 * writes bear it: each has a precondition or a name.
 *
 * A dead link: every socket has TCP keep-alive and a user timeout (about 15 s). Whoever knows better calls
 * kube_client_drop_connections(): all of them go in the next round, nothing waits for TCP. kube_probe() always makes a
 * new connection, so that a dead one kept alive neither hides nor fakes a failure.
 *
 * An API server has several addresses. A client takes the one that its credentials name, or a route that the caller chose: the
 * same CA, the same credentials, another way there.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/clock.h"
#include "base/endpoint.h"
#include "kube/outcome.h"
#include "loop/op.h"

#define KUBE_BODY_MAX ((size_t)4 * 1024 * 1024)		/* bytes of an answer that is not streamed */
#define KUBE_TIMEOUT_MS 30000			/* of a request that names none: slow is not dead */
#define KUBE_CONNECT_TIMEOUT_MS 15000		/* TCP and TLS together */
#define KUBE_INFLIGHT_MAX 32			/* requests under way at once, streams and probes not counted */
#define KUBE_RETRY_MIN_MS 200
#define KUBE_RETRY_MAX_MS 10000
#define KUBE_RETRY_AFTER_MAX_MS 30000		/* we believe a Retry-After up to this, whatever it says */

struct kube_client;
struct kube_credentials;
struct loop;

/* Another way to the same API server. */
struct kube_route {
	const char *host;		/* address (IPv6 without brackets) or name to connect to */
	uint16_t port;
	const char *name;		/* whom its certificate must name; NULL or "" = host */
	bool tls;			/* false: plain HTTP, only where the credentials' server is plain too */
};

/* What became of one attempt of a request, for whoever judges the link. Not told: what was cancelled or dropped, and an answer that
 * broke off; the next request will tell. */
enum kube_contact_kind {
	KUBE_CONTACT_STREAM,		/* a stream is open: it may come from a cache, and says nothing about reads */
	KUBE_CONTACT_READ,		/* 2xx, 404 or 409 to a GET */
	KUBE_CONTACT_WRITTEN,		/* 2xx, 404 or 409 to anything else */
	KUBE_CONTACT_OTHER,		/* any other 3xx or 4xx */
	KUBE_CONTACT_THROTTLED,		/* 429 */
	KUBE_CONTACT_REFUSED,		/* 401 with freshly read credentials, 403 */
	KUBE_CONTACT_ERROR,		/* 5xx */
	KUBE_CONTACT_UNANSWERED,	/* the request was sent, and no answer came in time */
	KUBE_CONTACT_NONE,		/* no answer: refused, not connected in time, TLS, cut short */
};
struct kube_contact {
	enum kube_contact_kind kind;
	const char *reason;		/* of THROTTLED and what follows: "connection refused"; "" otherwise */
};
/* It may start, cancel and drop, but not free the client. */
typedef void (*kube_contact_fn)(void *arg, const struct kube_contact *c);

struct kube_client_conf {
	struct loop *loop;
	struct kube_credentials *credentials;	/* borrowed; outlives the client */
	const char *user_agent;			/* NULL = "edge-healer" */
	int64_t connect_timeout_ms;		/* 0 = KUBE_CONNECT_TIMEOUT_MS */
	uint32_t packet_mark;			/* SO_MARK of our sockets, where we may set it; 0 = none */
	kube_contact_fn on_contact;		/* may be NULL */
	void *arg;
};

/* 0, or -ENOMEM / -ENOSYS when libcurl cannot be used. */
int kube_client_new(const struct kube_client_conf *conf, struct kube_client **out_client);
/* NULL-safe. Asserts that no request is left; not from inside a callback of this client. */
void kube_client_free(struct kube_client *c);
void kube_client_freep(struct kube_client **c);

struct kube_answer {
	enum kube_outcome outcome;
	int status;			/* HTTP; 0 = no answer */
	const char *body;		/* terminated; "" when there is none, or when it was streamed */
	size_t body_len;
	const char *reason;		/* of the Status object ("AlreadyExists"), or "" */
	const char *message; /* for a person: the Status' message, or why there was no answer; "" if all is well */
	int64_t retry_after_ms;		/* 0 = not said */
	int http_version;		/* 11, 20; 0 = unknown */
	int attempts;			/* 1 = no retry */
	bool stalled;			/* unreachable because no byte came for stall_ms */
};

/* `answer` and its texts are borrowed until the callback returns. */
typedef void (*kube_done_fn)(void *arg, const struct kube_answer *answer);

struct kube_request_params {
	const char *method;		/* NULL = GET */
	const char *path;		/* "/api/v1/pods"; escaped already */
	const char *query;		/* "limit=5&watch=1", escaped already; NULL = none */
	const char *body;		/* copied; NULL = none */
	const char *content_type;	/* NULL = application/json */
	const char *accept;		/* NULL = application/json */
	int64_t timeout_ms;		/* of each attempt; 0 = KUBE_TIMEOUT_MS, -1 = none (watches) */
	int64_t stall_ms;		/* give up when no byte came for so long; 0 = off */
	int retries;			/* further attempts after 429, 5xx and no answer */
	bool fresh;			/* a connection of its own, closed afterwards */
	/* Optional. The body of a 2xx answer goes here piece by piece; both run from the loop and may cancel the
	 * request or start others. A streamed request is not retried once data came. */
	void (*on_open)(void *arg);	/* a 2xx answer's headers are there */
	void (*on_data)(void *arg, const char *data, size_t n);
};

/* Never NULL: whatever goes wrong is told to `done`. All of `params` is copied. */
struct op *kube_request(struct kube_client *c, const struct kube_request_params *params, kube_done_fn done, void *arg);

/* Is the API server there? A connection of its own: a TLS handshake that verifies (kubelet's CA will do, see
 * kube_credentials_set_answer_ca()), or on plain HTTP any status line. A TCP connection alone proves nothing. */
enum kube_probe_outcome {
	KUBE_PROBE_ANSWERS,
	KUBE_PROBE_REFUSED,		/* whoever tries knows at once: connection refused, no route */
	KUBE_PROBE_STRANGER,		/* somebody answers whose certificate does not verify */
	KUBE_PROBE_SILENT,		/* packets vanish, or it is accepted and nothing is said; a name that cannot be resolved */
};
struct kube_probe_result {
	enum kube_probe_outcome outcome;
	struct mono began;
	const char *reason;		/* for a person; "" if it answers; borrowed until the callback returns */
	struct endpoint at;		/* who answered; port 0 = not known */
};
typedef void (*kube_probe_fn)(void *arg, const struct kube_probe_result *result);
/* route NULL = the credentials' server. Never NULL; `done` is called once, from the loop. */
struct op *kube_probe(struct kube_client *c, const struct kube_route *route, int64_t timeout_ms, kube_probe_fn done, void *arg);

/* Requests that start from now on take this way; NULL = the credentials' server. Copied. */
void kube_client_set_route(struct kube_client *c, const struct kube_route *route);
/* The server's own time (its `Date` header) in the last answer whose headers came; 0 = it said none. In a request's on_open:
 * of that request's answer. */
struct wall kube_client_date(const struct kube_client *c);
/* When the last byte of any answer came; 0 = none yet. */
struct mono kube_client_heard(const struct kube_client *c);

/* Close every connection in the next round of the loop. Requests under way end as KUBE_E_UNREACHABLE "connection
 * dropped", or start again if they have retries left. */
void kube_client_drop_connections(struct kube_client *c);

const char *kube_client_server(const struct kube_client *c);		/* URL; borrowed */
/* Requests that wait or are under way. For tests and metrics. */
size_t kube_client_in_flight(const struct kube_client *c);

/* Append `text` percent-encoded for a path segment or a query value. */
struct buf;
void kube_escape(struct buf *out, const char *text);
