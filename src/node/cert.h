/* node/cert.h — a TLS handshake for the sake of the other side's certificate; shared by the files of node/ only */
#pragma once
#include <stdbool.h>
#include "base/str.h"
#include "node/identity.h"

struct cert_shake;

enum cert_state { CERT_FAILED, CERT_SHOWN, CERT_WANTS_READ, CERT_WANTS_WRITE };

/* On a connected descriptor (not owned), as a client that verifies nothing. NULL: no memory. */
struct cert_shake *cert_shake_new(int fd);
void cert_shake_free(struct cert_shake *c); /* NULL-safe; sends nothing */
/* Go on, whenever the descriptor can. CERT_SHOWN: the handshake is complete, so the other side has the key. */
enum cert_state cert_shake_step(struct cert_shake *c);

/* The certificate that was shown, as DER, is added to *out. 0 or -EBADMSG. */
int cert_shake_der(const struct cert_shake *c, struct buf *out);

void cert_print(const void *der, size_t n, char out[IDENTITY_PRINT_SIZE]); /* SHA-256 */
/* A DNS name of it is `node`, or its common name is as kubelets have it: NAME, NAME@TIME, system:node:NAME. Case does
 * not matter. False also for what is no certificate. */
bool cert_names(const void *der, size_t n, const char *node);
