/* credentials.c — find, read and reread what proves who we are
 *
 * A reread is a second loading, taken only if all of it is usable: a file caught half-written must not log us out, and a server
 * must not meet the credentials of another. When it is not, each file that can be read is taken for itself: a rotated token must
 * not wait for a CA that is gone.
 */
#include "kube/credentials.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/endpoint.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "kube/kube_int.h"

enum { REFRESH_ERROR_SIZE = 512 };

static int refuse(char *err, size_t err_size, int r, const char *fmt, ...) PRINTF_LIKE(4, 5);
static int refuse(char *err, size_t err_size, int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(err, err_size, fmt, ap);
	va_end(ap);
	return r;
}

void secret_wipe(char **secret)
{
	if (!*secret)
		return;
	explicit_bzero(*secret, strlen(*secret));
	free(*secret);
	*secret = NULL;
}

int base64_decode(const char *text, char **out, size_t *out_len)
{
	void *data = NULL;
	size_t len = 0;
	int r = b64_decode(text, &data, &len);

	if (r < 0)
		return r;
	if (memchr(data, '\0', len)) {
		secret_free(data, len);
		return -EINVAL;		/* PEM is text, and what is behind the NUL would not be wiped */
	}
	*out_len = len;
	*out = data;
	return 0;
}

/* ---- one credential ---- */

static void credential_fini(struct credential *c)
{
	free(c->path);
	c->path = NULL;
	secret_wipe(&c->data);
}

/* Read its file; *out_changed only says more than before. */
static int credential_read(struct credential *c, bool *out_changed)
{
	struct buf b = BUF_INIT;
	int r = file_read(c->path, c->limit, &b);

	while (r == 0 && b.len && strchr(" \t\r\n", b.data[b.len - 1]))
		b.data[--b.len] = '\0';
	if (r == 0 && b.len == 0)
		r = -ENODATA;
	if (r == 0 && strlen(b.data) != b.len)
		r = -EBADMSG;		/* a NUL inside */
	if (r == 0 && !str_eq(b.data, c->data)) {
		secret_wipe(&c->data);
		c->len = b.len;
		c->data = buf_take(&b);
		*out_changed = true;
	}
	if (b.data)
		explicit_bzero(b.data, b.cap);
	buf_fini(&b);
	return r;
}

static bool is_text_line(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || *s == 0x7f)
			return false;
	return true;
}

/* ---- the parts ---- */

static int check_server(struct kube_credentials *c, char *err, size_t err_size)
{
	const char *fault = endpoint_url_fault(c->server);
	const char *from = str_is_empty(c->conf.server) ? c->source : "kube.server";
	size_t n = strlen(c->server);

	if (fault && (strchr(c->server, '@') || !is_text_line(c->server)))	/* a password is not repeated */
		return refuse(err, err_size, -EINVAL, "%s: server: %s", from, fault);
	if (fault)
		return refuse(err, err_size, -EINVAL, "%s: server \"%.200s\": %s", from, c->server, fault);
	while (c->server[n - 1] == '/')
		c->server[--n] = '\0';
	return 0;
}

static bool is_loopback(const char *url)
{
	static const char *const hosts[] = { "127.0.0.1", "localhost", "[::1]" };
	const char *host = strstr(url, "://") + 3;

	for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
		if (str_has_prefix(host, hosts[i]) && strchr(":/", host[strlen(hosts[i])]))
			return true;
	return false;
}

/* A secret does not travel in the clear. */
static int check_exposure(const struct kube_credentials *c, char *err, size_t err_size)
{
	if (c->token.data && !is_text_line(c->token.data))
		return refuse(err, err_size, -EINVAL, "%s: the token contains a space or a control character", c->source);
	if (c->token.data && str_has_prefix(c->server, "http://") && !is_loopback(c->server))
		return refuse(err, err_size, -EINVAL, "server \"%s\": a token is not sent over plain http; use https",
			      c->server);
	return 0;
}

/* ---- the service account of our pod ---- */

static int load_in_cluster(struct kube_credentials *c, const char *host, const char *dir, char *err, size_t err_size)
{
	const char *port = str_or(getenv("KUBERNETES_SERVICE_PORT"), "443");
	bool changed = false;
	int r;

	c->source = str_dup("in-cluster");
	c->server = str_format(strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host, port);
	c->token.path = str_format("%s/token", dir);
	c->ca.path = str_format("%s/ca.crt", dir);
	r = credential_read(&c->token, &changed);
	if (r < 0)
		return refuse(err, err_size, r, "%s: %s; is automountServiceAccountToken off?", c->token.path,
			      err_str(r));
	r = credential_read(&c->ca, &changed);
	if (r < 0)
		return refuse(err, err_size, r, "%s: %s", c->ca.path, err_str(r));
	return 0;
}

/* ---- kubeconfig ---- */

/* A path in a kubeconfig is relative to its folder. */
static char *path_beside(const char *kubeconfig, const char *path)
{
	const char *slash = strrchr(kubeconfig, '/');

	if (path[0] == '/' || !slash)
		return str_dup(path);
	return str_format("%.*s/%s", (int)(slash - kubeconfig), kubeconfig, path);
}

struct pem { const char *field, *file, *data; struct credential *into; };

static int load_pem(const char *kubeconfig, const struct pem *p, char *err, size_t err_size)
{
	bool changed = false;
	int r;

	if (p->data) {		/* wins over the file, as for kubectl */
		if (base64_decode(p->data, &p->into->data, &p->into->len) < 0)
			return refuse(err, err_size, -EINVAL, "%s: %s-data is no base64 text", kubeconfig, p->field);
	} else if (p->file) {
		p->into->path = path_beside(kubeconfig, p->file);
		r = credential_read(p->into, &changed);
		if (r < 0)
			return refuse(err, err_size, r, "%s: %s %s: %s", kubeconfig, p->field, p->into->path, err_str(r));
	}
	if (p->into->data && !strstr(p->into->data, "-----BEGIN "))
		return refuse(err, err_size, -EINVAL, "%s: %s contains no PEM block", kubeconfig, p->field);
	return 0;
}

static int take_kubeconfig(struct kube_credentials *c, const char *path, struct kubeconfig *k, char *err, size_t err_size)
{
	const struct pem pems[] = {
		{ "certificate-authority", k->ca_file, k->ca_data, &c->ca },
		{ "client-certificate", k->cert_file, k->cert_data, &c->cert },
		{ "client-key", k->key_file, k->key_data, &c->key },
	};
	bool changed = false;
	int r = 0;

	c->source = str_format("kubeconfig %s context %s", path, k->context);
	c->server = take(k->server);
	c->tls_server_name = take(k->tls_server_name);
	c->insecure = k->insecure;
	for (size_t i = 0; i < ARRAY_LEN(pems) && r == 0; i++)
		r = load_pem(path, &pems[i], err, err_size);
	if (r < 0)
		return r;
	if (!k->token_file) {
		c->token.data = take(k->token);
		c->token.len = c->token.data ? strlen(c->token.data) : 0;
		return 0;
	}
	c->token.path = path_beside(path, k->token_file);	/* wins over the token, as for kubectl */
	r = credential_read(&c->token, &changed);
	return r < 0 ? refuse(err, err_size, r, "%s: tokenFile %s: %s", path, c->token.path, err_str(r)) : 0;
}

static int load_kubeconfig(struct kube_credentials *c, const char *path, const char *context, char *err, size_t err_size)
{
	struct kubeconfig k = { 0 };
	struct buf text = BUF_INIT;
	char why[512] = "";
	int r = file_read(path, KUBECONFIG_MAX, &text);

	if (r == -E2BIG)
		(void)refuse(err, err_size, r, "kubeconfig %s: larger than %zu bytes", path, KUBECONFIG_MAX);
	else if (r < 0)
		(void)refuse(err, err_size, r, "kubeconfig %s: %s", path, err_str(r));
	if (r == 0) {
		r = kubeconfig_parse(text.data ? text.data : "", text.len, context, &k, why, sizeof(why));
		if (r < 0)
			(void)refuse(err, err_size, r, "kubeconfig %s: %s", path, why);
	}
	if (text.data)
		explicit_bzero(text.data, text.cap);
	buf_fini(&text);
	if (r == 0)
		r = take_kubeconfig(c, path, &k, err, err_size);
	kubeconfig_fini(&k);
	return r;
}

/* $KUBECONFIG may be a list; we take it when it names one file. NULL = not set. */
static int kubeconfig_from_env(char **out_path, char *err, size_t err_size)
{
	const char *list = str_or(getenv("KUBECONFIG"), "");
	size_t skip = strspn(list, ":"), n = strcspn(list + skip, ":");

	if (list[skip + n + strspn(list + skip + n, ":")])
		return refuse(err, err_size, -EINVAL,
			      "KUBECONFIG names several files, which edge-healer does not merge: name one, "
			      "or merge them (kubectl config view --flatten)");
	*out_path = n ? str_ndup(list + skip, n) : NULL;
	return 0;
}

/* ---- all together ---- */

static int load_source(struct kube_credentials *c, char *err, size_t err_size)
{
	const struct kube_credentials_conf *conf = &c->conf;

	const char *dir = str_is_empty(conf->in_cluster_dir) ? KUBE_IN_CLUSTER_DIR : conf->in_cluster_dir;
	const char *service = getenv("KUBERNETES_SERVICE_HOST");
	cleanup(freep) char *env_path = NULL;
	int r;

	if (conf->anonymous) {
		c->source = str_dup("anonymous");
		c->insecure = true;
		return str_is_empty(conf->server) ? refuse(err, err_size, -ENOENT, "no API server is known") : 0;
	}
	if (!str_is_empty(conf->kubeconfig))
		return load_kubeconfig(c, conf->kubeconfig, conf->context, err, err_size);
	if (service && service[0])
		return load_in_cluster(c, service, dir, err, err_size);
	r = kubeconfig_from_env(&env_path, err, err_size);
	if (r < 0)
		return r;
	if (env_path)
		return load_kubeconfig(c, env_path, conf->context, err, err_size);
	if (str_is_empty(conf->server))
		return refuse(err, err_size, -ENOENT,
			      "no API server: set kube.kubeconfig or kube.server, or run in a pod with a "
			      "service account");
	c->source = str_dup("server only");
	return 0;
}

int kube_credentials_load(const struct kube_credentials_conf *conf, struct kube_credentials **out_credentials,
			  char *err, size_t err_size)
{
	cleanup(kube_credentials_freep) struct kube_credentials *c = mem_new(struct kube_credentials);
	int r;

	c->conf = (struct kube_credentials_conf){
		.kubeconfig = str_dup(conf->kubeconfig), .context = str_dup(conf->context), .server = str_dup(conf->server),
		.in_cluster_dir = str_dup(conf->in_cluster_dir), .anonymous = conf->anonymous,
	};
	c->token.limit = KUBE_SECRET_FILE_MAX;
	c->ca.limit = c->cert.limit = c->key.limit = KUBE_PEM_FILE_MAX;
	r = load_source(c, err, err_size);
	if (r < 0)
		return r;
	if (!str_is_empty(conf->server))
		str_set(&c->server, conf->server);
	r = check_server(c, err, err_size);
	if (r == 0)
		r = check_exposure(c, err, err_size);
	if (r < 0)
		return r;
	*out_credentials = take(c);
	return 0;
}

void kube_credentials_free(struct kube_credentials *c)
{
	if (!c)
		return;
	free((char *)(uintptr_t)c->conf.kubeconfig);
	free((char *)(uintptr_t)c->conf.context);
	free((char *)(uintptr_t)c->conf.server);
	free((char *)(uintptr_t)c->conf.in_cluster_dir);
	free(c->server);
	free(c->source);
	free(c->tls_server_name);
	credential_fini(&c->answer_ca);
	credential_fini(&c->token);
	credential_fini(&c->ca);
	credential_fini(&c->cert);
	credential_fini(&c->key);
	free(c);
}

void kube_credentials_freep(struct kube_credentials **c)
{
	kube_credentials_free(*c);
}

const char *kube_credentials_server(const struct kube_credentials *c)
{
	return c->server;
}

const char *kube_credentials_source(const struct kube_credentials *c)
{
	return c->source;
}

/* Certificate and key change together or not at all: a pair read across a rotation does not match. */
static bool refresh_pair(struct kube_credentials *c)
{
	struct credential cert = { .path = c->cert.path, .limit = c->cert.limit };
	struct credential key = { .path = c->key.path, .limit = c->key.limit };
	bool got = false, changed = false;

	if (cert.path && key.path && credential_read(&cert, &got) == 0 && credential_read(&key, &got) == 0)
		changed = !str_eq(cert.data, c->cert.data) || !str_eq(key.data, c->key.data);
	if (changed) {
		secret_wipe(&c->cert.data);
		secret_wipe(&c->key.data);
		c->cert = cert;
		c->key = key;
		return true;
	}
	secret_wipe(&cert.data);
	secret_wipe(&key.data);
	return false;
}

/* A token that cannot be a header is a file caught in the middle: the old one stays. */
static bool refresh_token(struct kube_credentials *c)
{
	struct credential token = { .path = c->token.path, .limit = c->token.limit };
	bool got = false;

	if (!token.path || credential_read(&token, &got) < 0 || !token.data || !is_text_line(token.data) ||
	    str_eq(token.data, c->token.data)) {
		secret_wipe(&token.data);
		return false;
	}
	secret_wipe(&c->token.data);
	c->token = token;
	return true;
}

/* The files alone, each for itself. */
static bool refresh_files(struct kube_credentials *c)
{
	bool changed = refresh_token(c);

	changed |= refresh_pair(c);
	if (c->ca.path)
		(void)credential_read(&c->ca, &changed);
	return changed;
}

static bool same_text(const char *x, const char *y)
{
	return str_eq(str_or(x, ""), str_or(y, ""));
}

static bool same_credentials(const struct kube_credentials *x, const struct kube_credentials *y)
{
	return same_text(x->server, y->server) && same_text(x->tls_server_name, y->tls_server_name) &&
	       same_text(x->source, y->source) && x->insecure == y->insecure && same_text(x->token.data, y->token.data) &&
	       same_text(x->ca.data, y->ca.data) && same_text(x->cert.data, y->cert.data) && same_text(x->key.data, y->key.data);
}

static struct credential take_answer_ca(struct kube_credentials *c)
{
	struct credential ca = c->answer_ca;

	c->answer_ca = (struct credential){ 0 };
	return ca;
}

static bool reload(struct kube_credentials *c)
{
	struct kube_credentials *fresh = NULL, old;
	char err[REFRESH_ERROR_SIZE];
	bool changed;

	if (kube_credentials_load(&c->conf, &fresh, err, sizeof(err)) < 0)
		return refresh_files(c);
	changed = !same_credentials(c, fresh);
	if (changed) {			/* all but what is not read from anywhere */
		old = *c;
		*c = *fresh;
		*fresh = old;
		c->answer_ca = take_answer_ca(fresh);
		c->read_at = old.read_at;
		c->generation = old.generation;
	}
	kube_credentials_free(fresh);
	return changed;
}

bool kube_credentials_refresh(struct kube_credentials *c, struct mono now, bool force)
{
	bool changed;

	if (!mono_is_set(c->read_at))
		c->read_at = now;	/* they were read when loaded */
	if (!force && mono_since_ms(now, c->read_at) < KUBE_CREDENTIALS_TTL_MS)
		return false;
	c->read_at = now;
	changed = reload(c);
	c->generation += changed;
	return changed;
}

unsigned kube_credentials_generation(const struct kube_credentials *c)
{
	return c->generation;
}

void kube_credentials_set_answer_ca(struct kube_credentials *c, const char *pem)
{
	credential_fini(&c->answer_ca);
	c->answer_ca = (struct credential){ .data = str_dup(pem), .len = pem ? strlen(pem) : 0 };
}
