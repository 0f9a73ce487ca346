/* serf/addr.h — "127.0.0.1:7373", "[::1]:7373", "localhost:7373"
 *
 * Numbers only (and localhost, as 127.0.0.1): a name would have to be looked up, and that may take longer than
 * an outage.
 */
#pragma once
#include <sys/socket.h>

struct serf_addr {
	struct sockaddr_storage sa;
	socklen_t len;
};

/* 0, or -EINVAL and *out_why (static text, may be NULL) says what is wrong with it. */
int serf_addr_parse(const char *text, struct serf_addr *out_addr, const char **out_why);
