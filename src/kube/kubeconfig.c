/* kubeconfig.c — one context out of a kubeconfig file
 *
 * Only libyaml's document tree is used: it does not expand aliases, so a file cannot grow by them, and we only go down
 * fixed paths, so it cannot send us round in circles. What we cannot do (run a helper program, ask a cloud for a token,
 * go through a proxy, be somebody else) is refused by name, with what to do instead: half a login would look like a
 * dead API server.
 */
#include <errno.h>
#include <stdio.h>
#include <yaml.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "kube/credentials.h"
#include "kube/kube_int.h"

struct source {
	yaml_document_t doc;
	char *err;
	size_t err_size;
};

static int refuse(const struct source *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
static int refuse(const struct source *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(s->err, s->err_size, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static const char *scalar(const yaml_node_t *n)
{
	return n && n->type == YAML_SCALAR_NODE ? (const char *)n->data.scalar.value : NULL;
}

/* The value of a key in a mapping; NULL = absent, or an explicit null. */
static yaml_node_t *field(struct source *s, const yaml_node_t *map, const char *key)
{
	if (!map || map->type != YAML_MAPPING_NODE)
		return NULL;
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
		yaml_node_t *value;

		if (!str_eq(scalar(yaml_document_get_node(&s->doc, p->key)), key))
			continue;
		value = yaml_document_get_node(&s->doc, p->value);
		if (scalar(value) && value->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
		    (str_is_empty(scalar(value)) || str_eq(scalar(value), "null") || str_eq(scalar(value), "~")))
			return NULL;
		return value;
	}
	return NULL;
}

static const char *field_str(struct source *s, const yaml_node_t *map, const char *key)
{
	const char *v = scalar(field(s, map, key));

	return str_is_empty(v) ? NULL : v;
}

/* clusters/contexts/users are lists of { name: …, <what>: { … } }. */
static yaml_node_t *find_named(struct source *s, const char *list, const char *what, const char *name)
{
	yaml_node_t *items = field(s, yaml_document_get_root_node(&s->doc), list);

	if (!items || items->type != YAML_SEQUENCE_NODE)
		return NULL;
	for (yaml_node_item_t *i = items->data.sequence.items.start; i < items->data.sequence.items.top; i++) {
		yaml_node_t *item = yaml_document_get_node(&s->doc, *i);

		if (str_eq(field_str(s, item, "name"), name))
			return field(s, item, what);
	}
	return NULL;
}

struct refusal { const char *key, *why; };

static int check_refused(struct source *s, const yaml_node_t *map, const char *where, const struct refusal *rows,
			 size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (field(s, map, rows[i].key))
			return refuse(s, "%s.%s is not supported: %s", where, rows[i].key, rows[i].why);
	return 0;
}

static int take_cluster(struct source *s, const char *name, struct kubeconfig *k)
{
	static const struct refusal refused[] = {
		{ "proxy-url", "connect directly, or give the proxy's address as kube.server" },
	};
	yaml_node_t *c = find_named(s, "clusters", "cluster", name);
	cleanup(freep) char *where = str_format("clusters[\"%s\"].cluster", name);
	const char *insecure;

	if (!c)
		return refuse(s, "context \"%s\": there is no cluster \"%s\" in this file", k->context, name);
	if (check_refused(s, c, where, refused, ARRAY_LEN(refused)) < 0)
		return -EINVAL;
	str_set(&k->server, field_str(s, c, "server"));
	str_set(&k->ca_file, field_str(s, c, "certificate-authority"));
	str_set(&k->ca_data, field_str(s, c, "certificate-authority-data"));
	str_set(&k->tls_server_name, field_str(s, c, "tls-server-name"));
	insecure = field_str(s, c, "insecure-skip-tls-verify");
	if (insecure && !str_eq(insecure, "true") && !str_eq(insecure, "false"))
		return refuse(s, "%s.insecure-skip-tls-verify is neither true nor false", where);
	k->insecure = str_eq(insecure, "true");
	if (!k->server)
		return refuse(s, "%s.server is missing: give the API server's URL", where);
	if (k->insecure && (k->ca_file || k->ca_data))
		return refuse(
		    s, "%s: insecure-skip-tls-verify and a certificate-authority exclude each other: drop one", where);
	return 0;
}

static int take_user(struct source *s, const char *name, struct kubeconfig *k)
{
#define INSTEAD "use a token, a tokenFile or a client certificate"
	static const struct refusal refused[] = {
		{ "exec", "edge-healer starts no login helpers; " INSTEAD " (kubectl create token NAME)" },
		{ "auth-provider", "it was removed in Kubernetes 1.26; " INSTEAD },
		{ "username", "basic authentication was removed in Kubernetes 1.19; " INSTEAD },
		{ "password", "basic authentication was removed in Kubernetes 1.19; " INSTEAD },
		{ "as", "edge-healer acts as itself only; grant the user what it needs" },
		{ "as-uid", "edge-healer acts as itself only; grant the user what it needs" },
		{ "as-groups", "edge-healer acts as itself only; grant the user what it needs" },
		{ "as-user-extra", "edge-healer acts as itself only; grant the user what it needs" },
	};
	yaml_node_t *u = find_named(s, "users", "user", name);
	cleanup(freep) char *where = str_format("users[\"%s\"].user", name);

	if (!u)
		return refuse(s, "context \"%s\": there is no user \"%s\" in this file", k->context, name);
	if (check_refused(s, u, where, refused, ARRAY_LEN(refused)) < 0)
		return -EINVAL;
	str_set(&k->cert_file, field_str(s, u, "client-certificate"));
	str_set(&k->cert_data, field_str(s, u, "client-certificate-data"));
	str_set(&k->key_file, field_str(s, u, "client-key"));
	str_set(&k->key_data, field_str(s, u, "client-key-data"));
	str_set(&k->token, field_str(s, u, "token"));
	str_set(&k->token_file, field_str(s, u, "tokenFile"));
	if ((k->cert_file || k->cert_data) != (k->key_file || k->key_data))
		return refuse(s, "%s: a client certificate needs its key, and the key its certificate", where);
	return 0;
}

static int take_context(struct source *s, const char *context, bool server_only, struct kubeconfig *k)
{
	yaml_node_t *root = yaml_document_get_root_node(&s->doc), *c;
	const char *cluster, *user;

	if (!root || root->type != YAML_MAPPING_NODE)
		return refuse(s, "this is no kubeconfig: it is empty or no mapping");
	if (str_is_empty(context))
		context = field_str(s, root, "current-context");
	if (!context)
		return refuse(s, "current-context is not set: name a context (kubectl config use-context NAME)");
	str_set(&k->context, context);
	c = find_named(s, "contexts", "context", context);
	if (!c)
		return refuse(s, "there is no context \"%s\" in this file", context);
	cluster = field_str(s, c, "cluster");
	user = field_str(s, c, "user");
	if (!cluster)
		return refuse(s, "contexts[\"%s\"].context.cluster is missing", context);
	if (take_cluster(s, cluster, k) < 0)
		return -EINVAL;
	if (server_only)
		return 0;
	return user ? take_user(s, user, k) : 0;	/* no user: anonymous, as kubectl does */
}

static int parse(struct source *s, const struct buf *text, const char *context, bool server_only, struct kubeconfig *out)
{
	struct kubeconfig k = { 0 };
	yaml_parser_t parser;
	int r;

	if (!yaml_parser_initialize(&parser))
		return refuse(s, "no memory for the YAML parser");
	yaml_parser_set_input_string(&parser, (const unsigned char *)text->data, text->len);
	if (!yaml_parser_load(&parser, &s->doc)) {
		r = refuse(s, "line %zu: %s", parser.problem_mark.line + 1, str_or(parser.problem, "no YAML"));
		yaml_parser_delete(&parser);
		return r;
	}
	r = take_context(s, context, server_only, &k);
	yaml_document_delete(&s->doc);
	yaml_parser_delete(&parser);
	if (r < 0)
		kubeconfig_fini(&k);
	else
		*out = k;
	return r;
}

int kubeconfig_parse(const char *text, size_t n, const char *context, struct kubeconfig *out, char *err, size_t err_size)
{
	struct source s = { .err = err, .err_size = err_size };
	struct buf b = { .data = (char *)(uintptr_t)text, .len = n };

	return parse(&s, &b, context, false, out);
}

/* The CA of somebody else's file: a hint, so that what cannot be read is none. */
static char *read_ca(const struct kubeconfig *k, const char *path, const char *root)
{
	const char *slash = strrchr(path, '/');
	cleanup(buf_fini) struct buf pem = BUF_INIT;
	cleanup(freep) char *file = NULL;
	char *data = NULL;
	size_t n;

	if (k->ca_data)
		return base64_decode(k->ca_data, &data, &n) == 0 ? data : NULL;
	if (!k->ca_file)
		return NULL;
	file = k->ca_file[0] == '/' || !slash ? str_format("%s%s", root, k->ca_file)
					      : str_format("%.*s/%s", (int)(slash - path), path, k->ca_file);
	return file_read(file, KUBE_PEM_FILE_MAX, &pem) == 0 && pem.len ? buf_take(&pem) : NULL;
}

int kube_kubeconfig_cluster(const char *path, const char *root, struct kube_cluster *out, char *err, size_t err_size)
{
	struct source s = { .err = err, .err_size = err_size };
	cleanup(buf_fini) struct buf text = BUF_INIT;
	struct kubeconfig k = { 0 };
	int r = file_read(path, KUBECONFIG_MAX, &text);

	if (r < 0) {
		(void)refuse(&s, "%s", err_str(r));
		return r;
	}
	r = parse(&s, &text, NULL, true, &k);
	if (text.data)
		explicit_bzero(text.data, text.len);	/* it may hold a key */
	if (r < 0)
		return r;
	*out = (struct kube_cluster){ .server = take(k.server), .tls_server_name = take(k.tls_server_name),
				      .ca = read_ca(&k, path, root) };
	kubeconfig_fini(&k);
	return 0;
}

void kube_cluster_fini(struct kube_cluster *c)
{
	free(c->server);
	free(c->tls_server_name);
	free(c->ca);
	*c = (struct kube_cluster){ 0 };
}

void kubeconfig_fini(struct kubeconfig *k)
{
	free(k->context);
	free(k->server);
	free(k->tls_server_name);
	free(k->ca_file);
	free(k->ca_data);
	free(k->cert_file);
	free(k->cert_data);
	free(k->key_file);
	free(k->token_file);
	secret_wipe(&k->key_data);
	secret_wipe(&k->token);
	*k = (struct kubeconfig){ 0 };
}
