/* node/sockdiag.h — end TCP connections of this machine, whoever has them (sock_diag(7)) */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/endpoint.h"

#define SOCKDIAG_DESTROY_MAX 4096	/* connections ended by one call; more stay */

enum sockdiag_outcome {
	SOCKDIAG_E_RIGHTS = 1,		/* no CAP_NET_ADMIN */
	SOCKDIAG_E_UNSUPPORTED,		/* a kernel without CONFIG_INET_DIAG_DESTROY */
};

/* Whether the kernel could destroy, tried on a connection that does not exist: 0, SOCKDIAG_E_UNSUPPORTED, or -errno. Rights
 * show only when there is something to destroy. */
int sockdiag_can_destroy(void);
/* Pure: one datagram of the kernel's answers, which is `n` bytes. *out_found: how many connections of it would be ended.
 * 0 (complete), -EAGAIN (more is to come) or the kernel's -errno. */
int sockdiag_read(const void *answer, size_t n, const struct endpoint *endpoints, size_t count, uint32_t spare_mark,
		  size_t *out_found);
/* End every connection to one of the endpoints, also one that is still connecting, except those with the mark `spare_mark`:
 * their owner gets ECONNABORTED at once. 0, SOCKDIAG_E_…, or -errno; *out_destroyed is set in any case. */
int sockdiag_destroy(const struct endpoint *endpoints, size_t n, uint32_t spare_mark, size_t *out_destroyed);
