/* conf.c — defaults, file, environment, then the checks that need more than one key */
#include "conf/conf.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/endpoint.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf_int.h"

#define ENV_PREFIX "EDGE_HEALER_"
#define SOCKET_PATH_MAX 107	/* unix(7): sun_path has 108 bytes */

/* The plain names that manifests of such daemons use. */
static const struct { const char *name, *path; } plain_names[] = {
	{ "NODE_NAME", "node" },
	{ "GOSSIP_ADDR", "serf.rpc" },
	{ "CACHE_PATH", "store.path" },
	{ "LOG_LEVEL", "log.level" },
	{ "POD_NAME", "pod.name" },
	{ "POD_NAMESPACE", "pod.namespace" },
};
#define ENV_METRICS_PORT "METRICS_PORT"

/* With our prefix, but no keys: of the binary itself, and what kubelet sets for a Service named edge-healer. */
static const char *const other_names[] = { "CONFIG=", "FAULT=", "URL=", "SERVICE_HOST=", "SERVICE_PORT", "PORT=", "PORT_" };

void conf_free(struct conf *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < conf_key_count; i++)
		conf_key_clear(c, &conf_keys[i]);
	free(c);
}

void conf_freep(struct conf **c)
{
	conf_free(*c);
}

static void set_defaults(struct conf *c)
{
	cleanup(buf_fini) struct buf why = BUF_INIT;

	for (size_t i = 0; i < conf_key_count; i++)
		(void)conf_key_set(c, &conf_keys[i], conf_keys[i].fallback, &why);
}

static void read_file(struct conf *c, const char *path, struct buf *errors, struct buf *warnings)
{
	cleanup(buf_fini) struct buf text = BUF_INIT;
	int r = file_read(path, CONF_FILE_MAX, &text);

	if (r == -E2BIG)
		buf_addf(errors, "%s: larger than %d bytes\n", path, CONF_FILE_MAX);
	else if (r < 0)
		buf_addf(errors, "%s: %s\n", path, err_str(r));
	else
		conf_yaml_read(c, path, text.data ? text.data : "", text.len, errors, warnings);
}

/* "serf.rpc" → "EDGE_HEALER_SERF_RPC" */
static void env_name(const char *path, char *out, size_t size)
{
	size_t n = (size_t)snprintf(out, size, ENV_PREFIX);

	for (; *path && n + 1 < size; path++)
		out[n++] = *path == '.' ? '_' : (char)toupper((unsigned char)*path);
	out[n] = '\0';
}

static const char *env_get(const char *const *env, const char *name)
{
	size_t n = strlen(name);

	for (; env && *env; env++)
		if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
			return *env + n + 1;
	return NULL;
}

static void set_from_env(struct conf *c, const struct conf_key *k, const char *name, const char *value, struct buf *errors)
{
	cleanup(buf_fini) struct buf why = BUF_INIT;

	if (value && conf_key_set(c, k, value, &why) < 0)
		buf_addf(errors, "environment %s: %s: %s\n", name, k->path, why.data);
}

static bool is_other_name(const char *var)
{
	for (size_t i = 0; i < ARRAY_LEN(other_names); i++)
		if (str_has_prefix(var + strlen(ENV_PREFIX), other_names[i]))
			return true;
	return false;
}

static void check_unknown_env(const char *const *env, struct buf *errors)
{
	char name[128];

	for (; env && *env; env++) {
		size_t i;

		if (!str_has_prefix(*env, ENV_PREFIX) || is_other_name(*env))
			continue;
		for (i = 0; i < conf_key_count; i++) {
			env_name(conf_keys[i].path, name, sizeof(name));
			if (strncmp(*env, name, strlen(name)) == 0 && (*env)[strlen(name)] == '=')
				break;
		}
		if (i == conf_key_count)
			buf_addf(errors, "environment %.*s: no such key\n", (int)strcspn(*env, "="), *env);
	}
}

static void set_metrics_port(struct conf *c, const char *port, struct buf *errors)
{
	cleanup(freep) char *listen = NULL;
	const char *colon = strrchr(c->http_listen, ':');
	int64_t n;

	if (!port)
		return;
	if (num_parse_i64(port, 0, 65535, &n) < 0) {
		buf_addf(errors, "environment " ENV_METRICS_PORT ": \"%s\" is no port\n", port);
		return;
	}
	listen = str_format("%.*s:%lld", colon ? (int)(colon - c->http_listen) : 0, c->http_listen, (long long)n);
	str_set(&c->http_listen, listen);
}

static void read_env(struct conf *c, const char *const *env, struct buf *errors)
{
	char name[128];

	for (size_t i = 0; i < ARRAY_LEN(plain_names); i++)
		set_from_env(c, conf_key_find(plain_names[i].path), plain_names[i].name, env_get(env, plain_names[i].name),
			     errors);
	set_metrics_port(c, env_get(env, ENV_METRICS_PORT), errors);
	for (size_t i = 0; i < conf_key_count; i++) {
		env_name(conf_keys[i].path, name, sizeof(name));
		set_from_env(c, &conf_keys[i], name, env_get(env, name), errors);
	}
	check_unknown_env(env, errors);
}

/* Checks across keys, and of texts with a form. */
static void check(const struct conf *c, struct buf *errors)
{
	struct endpoint e;

	if (str_is_empty(c->node))
		buf_adds(errors, "node: required: set NODE_NAME (spec.nodeName by the downward API) or the key node\n");
	if (log_check_levels(c->log_level) < 0)
		buf_addf(errors, "log.level: \"%s\": write error, warn, info or debug, or info,serf=debug\n", c->log_level);
	if (!strrchr(c->serf_rpc, ':'))
		buf_addf(errors, "serf.rpc: \"%s\" has no port: write 127.0.0.1:7373\n", c->serf_rpc);
	if (!strrchr(c->http_listen, ':'))
		buf_addf(errors, "http.listen: \"%s\" has no port: write 0.0.0.0:8000\n", c->http_listen);
	if (!str_is_empty(c->http_socket) && (c->http_socket[0] != '/' || strlen(c->http_socket) > SOCKET_PATH_MAX))
		buf_addf(errors, "http.socket: \"%s\": write a whole path of at most %d bytes\n", c->http_socket, SOCKET_PATH_MAX);
	if (c->serf_peer_ttl_ms <= c->serf_poll_ms)
		buf_adds(errors, "serf.peer_ttl: must be longer than serf.poll, or no answer is ever fresh\n");
	if (str_is_empty(c->store_path))
		buf_adds(errors, "store.path: required\n");
	for (size_t i = 0; i < c->kubelet_gate_addresses.count; i++)
		if (endpoint_parse(c->kubelet_gate_addresses.items[i], &e) < 0)
			buf_addf(errors, "kubelet.gate_addresses: \"%s\": write 10.0.0.1:6443 or [fd00::1]:6443\n",
				 c->kubelet_gate_addresses.items[i]);
}

int conf_load(const char *path, const char *const *env, struct conf **out_conf, struct buf *errors, struct buf *warnings)
{
	cleanup(conf_freep) struct conf *c = mem_new(struct conf);

	set_defaults(c);
	if (path)
		read_file(c, path, errors, warnings);
	read_env(c, env, errors);
	check(c, errors);
	if (errors->len)
		return -EINVAL;
	*out_conf = take(c);
	return 0;
}

void conf_print(const struct conf *c, struct buf *out)
{
	const char *section = "";

	for (size_t i = 0; i < conf_key_count; i++) {
		const struct conf_key *k = &conf_keys[i];
		const char *dot = strchr(k->path, '.');
		size_t n = dot ? (size_t)(dot - k->path) : 0;

		if (dot && (strncmp(section, k->path, n) != 0 || section[n] != '.'))
			buf_addf(out, "%.*s:\n", (int)n, k->path);
		section = k->path;
		buf_addf(out, "%s%s: ", dot ? "  " : "", dot ? dot + 1 : k->path);
		conf_key_format(c, k, out);
		buf_addc(out, '\n');
	}
}

void conf_print_reference(struct buf *out)
{
	char name[128];

	buf_adds(out, "| key | default | environment | meaning |\n|---|---|---|---|\n");
	for (size_t i = 0; i < conf_key_count; i++) {
		const struct conf_key *k = &conf_keys[i];

		env_name(k->path, name, sizeof(name));
		buf_addf(out, "| `%s` | `%s` | `%s` | %s%s |\n", k->path, *k->fallback ? k->fallback : "\"\"", name, k->help,
			 k->pending ? " (no effect yet)" : "");
	}
}
