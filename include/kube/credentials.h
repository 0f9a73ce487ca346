/* kube/credentials.h — where the API server is and how we prove who we are
 *
 * Sources, first match wins: conf.kubeconfig; the pod's service account (KUBERNETES_SERVICE_HOST and its token file);
 * $KUBECONFIG; conf.server alone, without any credentials. conf.server replaces the address of the others.
 *
 * Files (token, certificates, keys) are read again when older than KUBE_CREDENTIALS_TTL_MS and after a 401: service
 * account tokens live an hour and are rewritten in place. A file that cannot be read then keeps what was read before.
 * Everything is bounded, secrets are wiped when dropped and never appear in a message.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/clock.h"

#define KUBECONFIG_MAX ((size_t)1024 * 1024)		/* bytes of a kubeconfig file */
#define KUBE_SECRET_FILE_MAX ((size_t)64 * 1024)	/* bytes of a token file */
#define KUBE_PEM_FILE_MAX ((size_t)1024 * 1024)		/* bytes of a CA bundle, certificate or key */
#define KUBE_CREDENTIALS_TTL_MS 60000
#define KUBE_IN_CLUSTER_DIR "/var/run/secrets/kubernetes.io/serviceaccount"

struct kube_credentials;

struct kube_credentials_conf {
	const char *kubeconfig;		/* path; NULL or "" = look elsewhere */
	const char *context;		/* of the kubeconfig; NULL or "" = its current-context */
	const char *server;		/* URL; NULL or "" = as the source says */
	const char *in_cluster_dir;	/* NULL = KUBE_IN_CLUSTER_DIR */
	/* Look for no credentials and do not check who answers at `server`: only whether it answers is wanted, nothing is
	 * told to it. */
	bool anonymous;
};

/* 0; -EINVAL (unusable: `err` says which field and what to do), -ENOENT (no source at all), or -errno of a file. `err`
 * gets a sentence for a person whenever the result is negative. */
int kube_credentials_load(const struct kube_credentials_conf *conf, struct kube_credentials **out_credentials,
			  char *err, size_t err_size);
void kube_credentials_free(struct kube_credentials *c);		/* NULL-safe */
void kube_credentials_freep(struct kube_credentials **c);

const char *kube_credentials_server(const struct kube_credentials *c);	/* URL without a trailing slash; borrowed */
/* The server that a kubeconfig's current context names, whatever its user is: for other people's files. 0 and *out_server
 * (caller frees), -EINVAL, or -errno of the file (-ENOENT); `err` gets a sentence whenever the result is negative. */
int kube_kubeconfig_server(const char *path, char **out_server, char *err, size_t err_size);
/* "in-cluster", "kubeconfig FILE context NAME" "server only" or "anonymous"; borrowed. For the log: names no secret. */
const char *kube_credentials_source(const struct kube_credentials *c);
/* Read the files again when they are due (`force`: now). True when anything changed. */
bool kube_credentials_refresh(struct kube_credentials *c, struct mono now, bool force);
