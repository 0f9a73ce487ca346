/* cert.c — a TLS handshake for the sake of the other side's certificate
 *
 * Nothing is verified against a CA: which CA signs kubelets' serving certificates differs from cluster to cluster, and most
 * sign themselves. What counts is that the handshake proves the key, and that the certificate is a known one or names the node.
 */
#include "node/cert.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"

struct cert_shake {
	SSL_CTX *ctx;
	SSL *ssl;
};

void cert_shake_free(struct cert_shake *c)
{
	if (!c)
		return;
	SSL_free(c->ssl);
	SSL_CTX_free(c->ctx);
	free(c);
}

struct cert_shake *cert_shake_new(int fd)
{
	struct cert_shake *c = mem_new(struct cert_shake);

	c->ctx = SSL_CTX_new(TLS_client_method());
	if (c->ctx) /* a weak key is an identity too */
		SSL_CTX_set_security_level(c->ctx, 0);
	c->ssl = c->ctx ? SSL_new(c->ctx) : NULL;
	if (c->ssl && SSL_set_fd(c->ssl, fd) == 1)
		return c;
	cert_shake_free(c);
	return NULL;
}

enum cert_state cert_shake_step(struct cert_shake *c)
{
	int r;

	ERR_clear_error(); /* SSL_get_error() would take an old one for ours */
	r = SSL_connect(c->ssl);
	if (r == 1)
		return SSL_get0_peer_certificate(c->ssl) ? CERT_SHOWN : CERT_FAILED;
	switch (SSL_get_error(c->ssl, r)) {
	case SSL_ERROR_WANT_READ:
		return CERT_WANTS_READ;
	case SSL_ERROR_WANT_WRITE:
		return CERT_WANTS_WRITE;
	default:
		ERR_clear_error();
		return CERT_FAILED;
	}
}

int cert_shake_der(const struct cert_shake *c, struct buf *out)
{
	unsigned char *der = NULL;
	int n = i2d_X509(SSL_get0_peer_certificate(c->ssl), &der);

	if (n <= 0)
		return -EBADMSG;
	buf_add(out, der, (size_t)n);
	OPENSSL_free(der);
	return 0;
}

void cert_print(const void *der, size_t n, char out[IDENTITY_PRINT_SIZE])
{
	unsigned char digest[SHA256_DIGEST_LENGTH];

	(void)SHA256(der, n, digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		(void)snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

/* A text of the certificate may hold anything, NULs too. */
static bool is_text(const ASN1_STRING *s, const char *want, size_t n)
{
	return s && (size_t)ASN1_STRING_length(s) == n &&
	       strncasecmp((const char *)ASN1_STRING_get0_data(s), want, n) == 0;
}

static bool has_dns_name(X509 *cert, const char *node)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	bool found = false;

	for (int i = 0; names && i < sk_GENERAL_NAME_num(names) && !found; i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		found = name->type == GEN_DNS && is_text(name->d.dNSName, node, strlen(node));
	}
	GENERAL_NAMES_free(names);
	return found;
}

/* "node1@1700000000" is what kubelet signs for itself. */
static bool is_self_signed_name(const ASN1_STRING *cn, const char *node)
{
	const char *text = (const char *)ASN1_STRING_get0_data(cn);
	size_t len = (size_t)ASN1_STRING_length(cn), n = strlen(node);

	if (len < n + 2 || text[n] != '@' || strncasecmp(text, node, n) != 0)
		return false;
	for (size_t i = n + 1; i < len; i++)
		if (text[i] < '0' || text[i] > '9')
			return false;
	return true;
}

static bool has_common_name(X509 *cert, const char *node)
{
	X509_NAME *subject = X509_get_subject_name(cert);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	const ASN1_STRING *cn = at < 0 ? NULL : X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
	cleanup(freep) char *signed_by_cluster = str_format("system:node:%s", node);

	return cn && (is_text(cn, node, strlen(node)) || is_text(cn, signed_by_cluster, strlen(signed_by_cluster)) ||
		      is_self_signed_name(cn, node));
}

bool cert_names(const void *der, size_t n, const char *node)
{
	const unsigned char *at = der;
	X509 *cert = n <= LONG_MAX ? d2i_X509(NULL, &at, (long)n) : NULL;
	bool names = cert && node[0] && (has_dns_name(cert, node) || has_common_name(cert, node));

	X509_free(cert);
	ERR_clear_error();
	return names;
}
