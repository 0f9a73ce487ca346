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
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/endpoint.h"
#include "kube/outcome.h"
#include "loop/op.h"

#define KUBE_BODY_MAX ((size_t)4 * 1024 * 1024)		/* bytes of an answer that is not streamed */
#define KUBE_TIMEOUT_MS 10000			/* of a request that names none */
#define KUBE_CONNECT_TIMEOUT_MS 5000		/* TCP and TLS together */
#define KUBE_INFLIGHT_MAX 32			/* requests under way at once, streams and probes not counted */
#define KUBE_RETRY_MIN_MS 200
#define KUBE_RETRY_MAX_MS 10000
#define KUBE_RETRY_AFTER_MAX_MS 60000		/* we believe a Retry-After up to this */

struct kube_client;
struct kube_credentials;
struct loop;

/* One request got an HTTP answer below 500 (a stream: when its headers are there), or none at all. Not told are 5xx, what was
 * cancelled or dropped, and an answer that broke off: the next request will tell. */
struct kube_contact {
	bool answered;
	bool refused;			/* not answered, and known at once: nobody who tries it hangs */
	const char *reason;		/* why not: "connection refused"; "" when answered */
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

/* GET /readyz on a fresh connection, no retries. timeout_ms 0 = 2000. */
struct op *kube_probe(struct kube_client *c, int64_t timeout_ms, kube_done_fn done, void *arg);

/* Close every connection in the next round of the loop. Requests under way end as KUBE_E_UNREACHABLE "connection
 * dropped", or start again if they have retries left. */
void kube_client_drop_connections(struct kube_client *c);

const char *kube_client_server(const struct kube_client *c);		/* URL; borrowed */
/* The address that answered last: what the server's name stands for. False while nothing has. */
bool kube_client_peer(const struct kube_client *c, struct endpoint *out_peer);
/* Requests that wait or are under way. For tests and metrics. */
size_t kube_client_in_flight(const struct kube_client *c);

/* Append `text` percent-encoded for a path segment or a query value. */
struct buf;
void kube_escape(struct buf *out, const char *text);
