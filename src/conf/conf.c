/* conf.c — defaults, file, environment, then the checks that need more than one key */
#include "conf/conf.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "conf_int.h"

#define ENV_PREFIX "EDGE_HEALER_"

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
	conf_origins_free(c->origins);
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

static void read_file(struct conf *c, const struct conf_source *src, struct buf *errors, struct buf *warnings)
{
	cleanup(buf_fini) struct buf text = BUF_INIT;
	int r = src->text ? 0 : file_read(src->path, CONF_FILE_MAX, &text);

	if (r == -E2BIG || (src->text && strlen(src->text) > CONF_FILE_MAX))
		buf_addf(errors, "%s: larger than %d bytes\n", src->path, CONF_FILE_MAX);
	else if (r < 0)
		buf_addf(errors, "%s: %s\n", src->path, err_str(r));
	else if (src->text)
		conf_yaml_read(c, src->path, src->text, strlen(src->text), errors, warnings);
	else
		conf_yaml_read(c, src->path, text.data ? text.data : "", text.len, errors, warnings);
}

void conf_env_name(const char *path, char out[ENV_NAME_SIZE])
{
	size_t n = (size_t)snprintf(out, ENV_NAME_SIZE, ENV_PREFIX);

	for (; *path && n + 1 < ENV_NAME_SIZE; path++)
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

	if (!value)
		return;
	conf_set_env(c, k, name);
	if (conf_key_set(c, k, value, &why) == 0)
		return;
	conf_mark_bad(c, k);
	conf_complain(c, k->path, errors, "%s", why.data);
}

static bool is_other_name(const char *var)
{
	for (size_t i = 0; i < ARRAY_LEN(other_names); i++)
		if (str_has_prefix(var + strlen(ENV_PREFIX), other_names[i]))
			return true;
	return false;
}

/* The variable that was meant; "" = none is near. EDGE_HEALER_NODE_NAME is NODE_NAME. */
static void nearest_env(const char *var, char out[ENV_NAME_SIZE])
{
	const char *paths[128], *near;
	cleanup(freep) char *path = str_dup(var + strlen(ENV_PREFIX));
	size_t n = 0;

	*out = '\0';
	for (size_t i = 0; i < ARRAY_LEN(plain_names); i++)
		if (str_eq(path, plain_names[i].name))
			(void)str_copy(out, ENV_NAME_SIZE, plain_names[i].name);
	for (char *p = path; *p; p++)
		*p = *p == '_' ? '.' : (char)tolower((unsigned char)*p);
	for (; n < conf_key_count && n < ARRAY_LEN(paths); n++)
		paths[n] = conf_keys[n].path;
	near = *out ? NULL : str_nearest(path, paths, n);
	if (near)
		conf_env_name(near, out);
}

static void check_unknown_env(const char *const *env, struct buf *errors)
{
	char name[ENV_NAME_SIZE], near[ENV_NAME_SIZE];

	for (; env && *env; env++) {
		cleanup(freep) char *var = str_ndup(*env, strcspn(*env, "="));
		size_t i;

		if (!str_has_prefix(*env, ENV_PREFIX) || is_other_name(*env))
			continue;
		for (i = 0; i < conf_key_count; i++) {
			conf_env_name(conf_keys[i].path, name);
			if (str_eq(name, var))
				break;
		}
		if (i < conf_key_count)
			continue;
		nearest_env(var, near);
		i = errors->len;
		buf_addf(errors, "environment %s: no such key%s%s%s", var, *near ? "; did you mean " : "", near,
			 *near ? "?" : "");
		conf_end_line(errors, i);
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
		size_t begin = errors->len;

		buf_addf(errors, "environment %s: \"%s\" is no port: write a number from 0 to 65535", ENV_METRICS_PORT, port);
		conf_end_line(errors, begin);
		return;
	}
	listen = str_format("%.*s:%lld", colon ? (int)(colon - c->http_listen) : 0, c->http_listen, (long long)n);
	set_from_env(c, conf_key_find("http.listen"), ENV_METRICS_PORT, listen, errors);
}

static void read_env(struct conf *c, const char *const *env, struct buf *errors)
{
	char name[ENV_NAME_SIZE];

	for (size_t i = 0; i < ARRAY_LEN(plain_names); i++)
		set_from_env(c, conf_key_find(plain_names[i].path), plain_names[i].name, env_get(env, plain_names[i].name),
			     errors);
	set_metrics_port(c, env_get(env, ENV_METRICS_PORT), errors);
	for (size_t i = 0; i < conf_key_count; i++) {
		conf_env_name(conf_keys[i].path, name);
		set_from_env(c, &conf_keys[i], name, env_get(env, name), errors);
	}
	check_unknown_env(env, errors);
}

int conf_read(const struct conf_source *src, struct conf **out_conf, struct buf *errors, struct buf *warnings)
{
	struct conf *c = mem_new(struct conf);
	size_t before = errors->len;

	c->origins = conf_origins_new(src->path);
	set_defaults(c);
	if (src->path)
		read_file(c, src, errors, warnings);
	read_env(c, src->environ_like, errors);
	conf_check_cross(c, src->alone, errors, warnings);
	*out_conf = c;
	return errors->len > before ? -EINVAL : 0;
}

int conf_load(const char *path, const char *const *env, struct conf **out_conf, struct buf *errors, struct buf *warnings)
{
	cleanup(conf_freep) struct conf *c = NULL;
	const struct conf_source src = { .path = path, .environ_like = env };

	if (conf_read(&src, &c, errors, warnings) < 0)
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
	char name[ENV_NAME_SIZE];

	buf_adds(out, "| key | default | environment | meaning |\n|---|---|---|---|\n");
	for (size_t i = 0; i < conf_key_count; i++) {
		const struct conf_key *k = &conf_keys[i];

		conf_env_name(k->path, name);
		buf_addf(out, "| `%s` | `%s` | `%s` | %s%s |\n", k->path, *k->fallback ? k->fallback : "\"\"", name, k->help,
			 k->pending ? " (no effect yet)" : "");
	}
}
