/* client.c — options of the client verbs, and asking the daemon over HTTP
 *
 * The daemon is the only one asked: these verbs work on a node whose API server is out of reach. A proxy of the
 * environment is not used, since the daemon is on this machine or on a neighbour.
 */
#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli_int.h"

#define SERVER_DEFAULT "http://127.0.0.1:8000"
#define SERVER_ENV "EDGE_HEALER_URL"
#define CONNECT_TIMEOUT_MS 3000L
#define TIMEOUT_MS 15000L
#define ANSWER_MAX (64 * 1024 * 1024)

/* ---- options ---- */

static int usage(const struct cli_options *o, const char *what, const char *word)
{
	fprintf(stderr, "edge-healer %s: %s \"%s\". See edge-healer %s --help.\n", o->verb, what, word, o->verb);
	return CLI_USAGE;
}

static int unknown_option(const struct cli_options *o, const char *word)
{
	const char *names[32] = {"--server", "--output", "--help"};
	size_t n = 3;
	cleanup(freep) char *name = str_ndup(word, strcspn(word, "="));
	const char *near;

	if (o->can_watch)
		names[n++] = "--watch";
	for (size_t i = 0; i < o->flag_count && n < ARRAY_LEN(names); i++)
		names[n++] = o->flags[i].name;
	near = strlen(name) > 2 ? str_nearest(name, names, n) : NULL;
	fprintf(stderr, "edge-healer %s: unknown option \"%s\".%s%s%s See edge-healer %s --help.\n", o->verb, name,
		near ? " Did you mean " : "", near ? near : "", near ? "?" : "", o->verb);
	return CLI_USAGE;
}

/* Where the value of option `name` (n bytes) goes; NULL = no such option. */
static const char **value_of(struct cli_options *o, const char *name, size_t n)
{
	const struct cli_flag common[] = {{"--server", "-s", &o->server}, {"--output", "-o", &o->output}};

	for (size_t i = 0; i < ARRAY_LEN(common) + o->flag_count; i++) {
		const struct cli_flag *f = i < ARRAY_LEN(common) ? &common[i] : &o->flags[i - ARRAY_LEN(common)];

		if ((strlen(f->name) == n && strncmp(f->name, name, n) == 0) ||
		    (f->alias && strlen(f->alias) == n && strncmp(f->alias, name, n) == 0))
			return f->value;
	}
	return NULL;
}

static int set_form(struct cli_options *o)
{
	static const char *const forms[] = {[CLI_TABLE] = "table", [CLI_WIDE] = "wide", [CLI_JSON] = "json"};

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		if (str_eq(o->output, forms[i])) {
			o->form = (enum cli_form)i;
			return CLI_OK;
		}
	}
	return usage(o, "--output: write table, wide or json instead of", o->output);
}

static int set_defaults(struct cli_options *o)
{
	const char *env = str_or(getenv(SERVER_ENV), "");

	if (str_is_empty(o->server))
		o->server = *env ? env : SERVER_DEFAULT;
	if (strstr(o->server, "://") && !str_has_prefix(o->server, "http://") && !str_has_prefix(o->server, "https://"))
		return usage(o, "--server: write http://HOST:PORT instead of", o->server);
	return o->output ? set_form(o) : CLI_OK;
}

int cli_parse(int argc, char **argv, struct cli_options *o)
{
	bool words_only = false;

	o->verb = argv[0];
	o->args = argv + 1;
	for (int i = 1; i < argc; i++) {
		size_t n = strcspn(argv[i], "=");
		const char **value;

		if (words_only || argv[i][0] != '-') {
			if (o->arg_count == o->args_max)
				return usage(o, "unexpected argument", argv[i]);
			o->args[o->arg_count++] = argv[i];
			continue;
		}
		if (str_eq(argv[i], "--")) {
			words_only = true;
			continue;
		}
		if (o->can_watch && (str_eq(argv[i], "--watch") || str_eq(argv[i], "-w"))) {
			o->watch = true;
			continue;
		}
		value = value_of(o, argv[i], n);
		if (!value)
			return unknown_option(o, argv[i]);
		if (argv[i][n] == '=')
			*value = argv[i] + n + 1;
		else if (i + 1 < argc)
			*value = argv[++i];
		else
			return usage(o, "a value is missing behind", argv[i]);
	}
	return set_defaults(o);
}

/* ---- asking ---- */

void client_query(struct buf *path, const char *name, const char *value)
{
	if (str_is_empty(value))
		return;
	buf_addf(path, "%c%s=", strchr(path->data, '?') ? '&' : '?', name);
	for (const char *p = value; *p; p++) {
		if (isalnum((unsigned char)*p) || strchr("-._~", *p))
			buf_addc(path, *p);
		else
			buf_addf(path, "%%%02X", (unsigned char)*p);
	}
}

static void curl_freep(CURL **c)
{
	curl_easy_cleanup(*c);
}

static size_t on_data(char *data, size_t size, size_t n, void *arg)
{
	return buf_try_add(arg, data, size * n, ANSWER_MAX) < 0 ? 0 : size * n;
}

/* The server without a trailing slash, with a scheme. */
static char *base_url(const char *server)
{
	size_t n = strlen(server);

	while (n && server[n - 1] == '/')
		n--;
	return str_format("%s%.*s", strstr(server, "://") ? "" : "http://", (int)n, server);
}

static CURLcode fetch(const char *url, struct buf *answer, long *out_status, char error[CURL_ERROR_SIZE])
{
	cleanup(curl_freep) CURL *c = curl_easy_init();
	CURLcode rc;

	error[0] = '\0';
	if (!c)
		return CURLE_FAILED_INIT;
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, error);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, answer);
	rc = curl_easy_perform(c);
	(void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, out_status);
	return rc;
}

static void say_unreachable(const char *base, CURLcode rc, const char *error, struct buf *why)
{
	buf_addf(why, "no answer from %s (", base);
	add_clean(why, *error ? error : curl_easy_strerror(rc));
	buf_adds(why, "). Is the daemon running there? Another one: --server URL, or " SERVER_ENV);
}

int client_get(const struct cli_options *o, const char *path, json_object **out_value, struct buf *why)
{
	cleanup(freep) char *base = base_url(o->server);
	cleanup(freep) char *url = str_format("%s%s", base, path);
	cleanup(buf_fini) struct buf answer = BUF_INIT;
	cleanup(json_putp) json_object *v = NULL;
	char error[CURL_ERROR_SIZE];
	long status = 0;
	CURLcode rc = fetch(url, &answer, &status, error);
	bool json;

	if (rc == CURLE_WRITE_ERROR) {
		buf_addf(why, "%s: the answer is larger than %d bytes", base, ANSWER_MAX);
		return CLI_FAILED;
	}
	if (rc != CURLE_OK) {
		say_unreachable(base, rc, error, why);
		return CLI_FAILED;
	}
	json = json_parse(answer.data ? answer.data : "", answer.len, &v) == 0;
	if (status != 200) {
		buf_addf(why, "%s answered %ld: ", base, status);
		add_clean(why, str_or(json_get_str(v, "error"), "no reason given; is this an edge-healer?"));
		return CLI_FAILED;
	}
	if (!json || !(json_is_object(v) || json_is_array(v))) {
		buf_addf(why, "%s: the answer is not edge-healer's JSON", base);
		return CLI_FAILED;
	}
	*out_value = take(v);
	return CLI_OK;
}

int client_show(const struct cli_options *o, const char *path,
		void (*print)(const struct cli_options *o, const json_object *v))
{
	cleanup(json_putp) json_object *v = NULL;
	cleanup(buf_fini) struct buf why = BUF_INIT;

	if (client_get(o, path, &v, &why) != CLI_OK) {
		fprintf(stderr, "edge-healer %s: %s\n", o->verb, why.data);
		return CLI_FAILED;
	}
	if (o->form == CLI_JSON)
		printf("%s\n", json_text_pretty(v));
	else
		print(o, v);
	return CLI_OK;
}
