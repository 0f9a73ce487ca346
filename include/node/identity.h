/* node/identity.h — who answers at the address of a node?
 *
 * An address is no identity: DHCP may have given it to another machine. kubelet shows itself by its serving certificate (a TLS
 * handshake proves that it has the key), a healer by the header IDENTITY_HEADER of its answer to IDENTITY_PATH.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "loop/loop.h"
#include "loop/op.h"

#define IDENTITY_PRINT_SIZE 65 /* SHA-256 of a certificate, as hex digits and a NUL */
#define IDENTITY_PATH "/livez"
#define IDENTITY_HEADER "Edge-Healer-Node"

struct identity_params {
	const char *addr;                  /* IPv4 or IPv6 text; copied */
	const char *node;                  /* its name; copied */
	const char *print;                 /* of its kubelet's certificate, as it was seen last; "" = not known; copied */
	uint16_t kubelet_port, healer_port; /* 0 = skip */
	int64_t accept_ms;                 /* a port that has not accepted within this does not … */
	int64_t show_ms; /* … and whoever accepted has until then, in all, to show who he is; not less than accept_ms */
};

struct identity {
	bool accepts; /* a port did */
	bool kubelet; /* the certificate is the known one, or names the node */
	bool healer;  /* the healer there names the node */
	bool other;   /* the healer there names another node */
	char print[IDENTITY_PRINT_SIZE]; /* of the certificate that the kubelet port showed; "" = none */
};

typedef void (*identity_fn)(void *arg, const struct identity *id);

/* The value of IDENTITY_HEADER among the headers that have come; NULL = not there. Cut out of `headers`. */
char *identity_header(char *headers);

/* Look at both ports at once. done() fires once, from the loop: as soon as the healer has shown itself, else when
 * nothing more is to be learned. NULL when the address is no address. */
struct op *identity_start(struct loop *loop, const struct identity_params *params, identity_fn done, void *arg);
