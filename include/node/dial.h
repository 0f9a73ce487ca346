/* node/dial.h — does any of these TCP ports accept a connection? For witnesses, and for the gateway */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include "loop/loop.h"
#include "loop/op.h"

#define DIAL_PORTS_MAX 4

struct dial_params {
	const char *addr;		/* IPv4 or IPv6 text; copied */
	const uint16_t *ports;		/* 0 = skip; at most DIAL_PORTS_MAX are tried */
	size_t port_count;
	int64_t timeout_ms;
	bool refused_counts;		/* is the machine there, rather than the service */
};

/* Try all ports at once; done(arg, true) with the first that answers, done(arg, false) when all failed or the time is over. Fires
 * once, from the loop. NULL when the address is no address. */
struct op *dial_start(struct loop *loop, const struct dial_params *params, void (*done)(void *arg, bool reachable), void *arg);

/* A numeric address as connect() takes it. False, and *out is zero, when it is none. */
bool dial_address(const char *addr, uint16_t port, struct sockaddr_storage *out, socklen_t *out_len);
