/* node/dial.h — does any of these TCP ports accept a connection? For witnesses */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "loop/loop.h"
#include "loop/op.h"

#define DIAL_PORTS_MAX 4

/* Try all ports of `addr` (IPv4 or IPv6 text) at once; done(arg, true) with the first that connects, done(arg, false) when all
 * failed or timeout_ms passed. Fires once, from the loop. NULL when the address is no address. */
struct op *dial_any(struct loop *loop, const char *addr, const uint16_t *ports, size_t n, int64_t timeout_ms,
		    void (*done)(void *arg, bool reachable), void *arg);
