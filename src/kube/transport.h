/* transport.h — HTTP exchanges over libcurl on our loop; private to kube/
 *
 * Knows sockets, TLS and time, and nothing of Kubernetes. Callbacks run from the loop. Any call is allowed in any of
 * them: what libcurl forbids inside its own callbacks is put off until it has returned.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/clock.h"

struct loop;
struct kube_credentials;
struct kube_route;
struct transport;
struct transfer;

struct transport_conf {
	struct loop *loop;
	struct kube_credentials *credentials;
	const char *user_agent;
	int64_t connect_timeout_ms;
	uint32_t packet_mark;
};

struct transfer_end {
	int status;			/* 0 = no HTTP answer */
	bool complete;			/* the whole body came */
	bool dropped;			/* by transport_drop() */
	bool refused;			/* the connection was refused at once */
	bool stranger;			/* whoever answers has a certificate that does not verify */
	bool unanswered;		/* the request went out, and nothing came back in time */
	const char *error;		/* for a person; "" if complete */
	int64_t retry_after_ms;
	int http_version;		/* 11, 20; 0 = unknown */
	const char *peer_ip;		/* what answered; "" = unknown, or nothing did */
	uint16_t peer_port;
};

struct transfer_params {
	const char *method, *path, *query, *content_type, *accept;
	const char *body;		/* borrowed until the end; NULL = none */
	size_t body_len;
	int64_t timeout_ms;		/* <= 0: none */
	bool fresh;
	/* Only the connection: with TLS its handshake, nothing is sent after it and on_open does not come. */
	bool handshake;
	/* NULL = the transport's, see transport_set_route(); of a handshake: the credentials' server. Borrowed for the call. */
	const struct kube_route *route;
	void *arg;
	void (*on_open)(void *arg, int status, struct wall date);	/* headers are there; date: the server's, 0 = not said */
	void (*on_data)(void *arg, int status, const char *data, size_t n);
	void (*on_end)(void *arg, const struct transfer_end *end);	/* the transfer is gone afterwards */
};

int transport_new(const struct transport_conf *conf, struct transport **out_transport);
void transport_free(struct transport *t);	/* NULL-safe; asserts that no transfer is left */
struct transfer *transport_start(struct transport *t, const struct transfer_params *params);	/* never NULL */
void transfer_cancel(struct transfer *x);	/* no callback any more */
bool transfer_is_sent(const struct transfer *x);	/* its connection stands and the request is under way */
/* Transfers that name no route take this one from now on; NULL = the credentials' server. Copied. */
void transport_set_route(struct transport *t, const struct kube_route *route);
/* In the next round: end every transfer as dropped and close every connection. */
void transport_drop(struct transport *t);
