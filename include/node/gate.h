/* node/gate.h — connections of this machine to the API server fail at once instead of hanging
 *
 * While the uplink swallows packets, whoever talks to the API server waits for TCP: kubelet 30 to 56 s before it starts a
 * static pod. A closed gate answers its packets with a TCP reset: 0.2 s. It rejects TCP to the given destinations only, lets
 * packets with GATE_MARK through (our own probes), and destroys once the connections that hang already.
 *
 * It cannot outlive us for long: the destinations expire in the kernel after GATE_EXPIRY_S and are renewed every
 * GATE_RENEW_MS. After a kill -9 an empty table is left, which rejects nothing; the next gate_new() removes it. One gate per
 * network namespace, ours: two would open each other's.
 *
 * Calls take a few milliseconds and do not wait for the network; see gate.c for numbers.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/endpoint.h"

/* SO_MARK of sockets that a closed gate lets through. Bits that kube-proxy (0x4000, 0x8000), Cilium (0xf00), Calico
 * (0xffff0000), Tailscale (0xff0000) and the AWS CNI (0x80) do not use: theirs would send our packets elsewhere. */
#define GATE_MARK 0x2065u
#define GATE_EXPIRY_S 10
#define GATE_RENEW_MS 3000
#define GATE_ENDPOINTS_MAX 64

enum gate_outcome {
	GATE_E_UNABLE = 1,	/* not closed: no CAP_NET_ADMIN, or the kernel lacks nf_tables; trying again is of no use */
	GATE_E_FAILED,		/* the kernel refused this time */
	GATE_E_HANGING,		/* closed, but what hangs already keeps hanging (no CONFIG_INET_DIAG_DESTROY) */
};

struct loop;
struct gate;

struct gate_conf {
	struct loop *loop;
	/* May be NULL. Renewing began to fail (`fault`), or works again (NULL). From the loop; may not free the gate. */
	void (*on_renew)(void *arg, const char *fault);
	void *arg;
};

/* Never NULL. Removes what a killed predecessor left and tries, without effect, whether it could close: gate_fault(). */
struct gate *gate_new(const struct gate_conf *conf);
void gate_free(struct gate *g);		/* NULL-safe; opens first */

/* Close, or, when it is closed, exchange the destinations: atomically, without a gap. n: 1 … GATE_ENDPOINTS_MAX; copied.
 * *out_destroyed (may be NULL) is how many hanging connections were ended. 0 or GATE_E_…; never negative. */
int gate_close(struct gate *g, const struct endpoint *endpoints, size_t n, size_t *out_destroyed);
/* 0 (also when it is open), or GATE_E_FAILED: then it opens by itself within GATE_EXPIRY_S. */
int gate_open(struct gate *g);
bool gate_is_closed(const struct gate *g);
bool gate_can_close(const struct gate *g);	/* false: GATE_E_UNABLE */
const char *gate_fault(const struct gate *g);	/* NULL = all is well; else what and why, for a person; borrowed */
