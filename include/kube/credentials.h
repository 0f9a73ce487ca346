/* kube/credentials.h — where the API server is and how we prove who we are
 *
 * Sources, first match wins: conf.kubeconfig; the pod's service account (KUBERNETES_SERVICE_HOST and its token file);
 * $KUBECONFIG; conf.server alone, without any credentials. conf.server replaces the address of the others.
 *
 * All of it is read again when older than KUBE_CREDENTIALS_TTL_MS, after a 401, and when somebody asks: service account tokens
 * live an hour and are rewritten in place, and a kubeconfig may name another server, user or certificate tomorrow. What cannot
 * be used then (half written, not there) changes nothing: what was read before stays.
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
/* The cluster that a kubeconfig's current context names, whatever its user is: for other people's files. */
struct kube_cluster {
	char *server;			/* URL */
	char *tls_server_name;		/* NULL = as in the URL */
	char *ca;			/* PEM; NULL = none, or its file cannot be read */
};
/* 0 and *out (caller frees by kube_cluster_fini()), -EINVAL, or -errno of the file (-ENOENT); `err` gets a sentence whenever the
 * result is negative. A path in the file is looked up below `root` ("" = as it is, "/host" in a container). */
int kube_kubeconfig_cluster(const char *path, const char *root, struct kube_cluster *out, char *err, size_t err_size);
void kube_cluster_fini(struct kube_cluster *c);
/* "in-cluster", "kubeconfig FILE context NAME" "server only" or "anonymous"; borrowed. For the log: names no secret. */
const char *kube_credentials_source(const struct kube_credentials *c);
/* Read all again when it is due (`force`: now). True when anything changed, the server included. */
bool kube_credentials_refresh(struct kube_credentials *c, struct mono now, bool force);
unsigned kube_credentials_generation(const struct kube_credentials *c);		/* grows with each change */
/* A CA besides our own that proves that somebody is the API server: for probes (kube_probe()), never for requests. PEM,
 * copied; NULL = none. */
void kube_credentials_set_answer_ca(struct kube_credentials *c, const char *pem);
