/* kube_int.h — what the files of kube/ share and nobody else sees */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/clock.h"
#include "kube/credentials.h"

/* Overwrite, then free. NULL-safe; *secret becomes NULL. */
void secret_wipe(char **secret);

/* ---- kubeconfig.c ---- */

/* One context of a kubeconfig: what it says, nothing read or decoded. */
struct kubeconfig {
	char *context, *server, *tls_server_name;
	char *ca_file, *ca_data, *cert_file, *cert_data, *key_file, *key_data;	/* *_data: base64 */
	char *token, *token_file;
	bool insecure;
};
/* Pure. `context` NULL or "" = current-context. 0, or -EINVAL and a sentence in `err`. */
int kubeconfig_parse(const char *text, size_t n, const char *context, struct kubeconfig *out, char *err, size_t err_size);
void kubeconfig_fini(struct kubeconfig *k);

/* ---- credentials.c ---- */

/* A text that is embedded (no path) or read from a file. */
struct credential {
	char *path, *data;
	size_t len, limit;
};

struct kube_credentials {
	struct kube_credentials_conf conf;	/* its texts are ours */
	char *server, *source, *tls_server_name;
	struct credential token, ca, cert, key;
	struct credential answer_ca;	/* who may prove that the API server is there; not asked for anything */
	bool insecure;
	struct mono read_at;
	unsigned generation;		/* grows with each change */
};

/* Standard alphabet, padding required, space ignored. 0 or -EINVAL. *out is terminated; the caller wipes it. */
int base64_decode(const char *text, char **out, size_t *out_len);

/* ---- client.c ---- */

struct kube_client;
struct transport;
struct loop *kube_client_loop(const struct kube_client *c);
struct transport *kube_client_transport(const struct kube_client *c);
