/* http_rig.h — a scripted HTTP/1.1 server for tests: what to answer, how to cut it, when to stop
 *
 * It runs in threads of its own on 127.0.0.1, with or without TLS. Each request takes the first unused step whose
 * `want` is part of its request line; one that no step fits gets a 500 "unscripted". Nothing sleeps: steps wait for
 * rig_release() or for the end.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct http_rig;

enum rig_end {
	RIG_OK,			/* the body ends properly, the connection stays */
	RIG_CLOSE,		/* ends properly, with "Connection: close" */
	RIG_CUT,		/* the connection closes in the middle of the body */
	RIG_HOLD,		/* nothing more is sent, the connection stays until the peer closes it */
	RIG_NO_ANSWER,		/* not even headers; then as RIG_HOLD */
	RIG_NOTHING,		/* close without a word */
};

struct rig_step {
	const char *want;	/* NULL = any request */
	int status;		/* 0 = 200 */
	const char *headers;	/* more lines, each with \r\n */
	const char *body;
	size_t cut;		/* bytes a chunk; 0 = all in one */
	bool gate;		/* after `body` wait for a rig_release() */
	const char *tail;	/* sent after the gate */
	enum rig_end end;
	bool forever;		/* never used up */
};

struct rig_tls { const char *cert, *key, *client_ca; };		/* files; client_ca NULL = clients need none */

struct http_rig *http_rig_new(const struct rig_tls *tls);	/* NULL = plain */
void http_rig_free(struct http_rig *r);				/* closes everything, joins its threads */
const char *http_rig_url(const struct http_rig *r);
int http_rig_port(const struct http_rig *r);
void http_rig_add(struct http_rig *r, const struct rig_step *step);	/* the texts must live as long as the rig */
void http_rig_release(struct http_rig *r);			/* one step may pass its gate */
size_t http_rig_requests(struct http_rig *r);			/* received so far */
/* Head and body of the i-th request; "" when there is none. Borrowed until the rig is freed. */
const char *http_rig_request(struct http_rig *r, size_t i);
size_t http_rig_connections(struct http_rig *r);		/* accepted so far */
size_t http_rig_open(struct http_rig *r);			/* open now */
