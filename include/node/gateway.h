/* node/gateway.h — does this machine's default gateway answer? In a site of two it decides who is cut off */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "loop/loop.h"
#include "loop/op.h"

#define GATEWAY_ADDR_SIZE 46		/* INET6_ADDRSTRLEN */

/* Address of the default gateway, from the text of /proc/net/route (`ipv4`) or else of /proc/net/ipv6_route; either may be NULL.
 * True and out filled in, or false: there is none. Pure. */
bool gateway_parse(const char *ipv4, const char *ipv6, char out[GATEWAY_ADDR_SIZE]);

/* An ICMP echo (IPv4, where we may send one) and TCP connects to a few usual ports, where a refusal is an answer too.
 * done(arg, true) with the first answer, done(arg, false) after timeout_ms; once, from the loop. NULL: no default gateway. */
struct op *gateway_probe(struct loop *loop, int64_t timeout_ms, void (*done)(void *arg, bool answers), void *arg);
