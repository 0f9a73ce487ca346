/* client.c — asking the daemon over HTTP
 *
 * The daemon is the only one asked: these verbs work on a node whose API server is out of reach. First through its Unix
 * socket, which is root's own and has places of its own; then at http.listen. A proxy of the environment is not used,
 * since the daemon is on this machine or on a neighbour.
 */
#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli_int.h"

/* The same names and defaults as the daemon's (conf/keys.c): in its container they are set alike. */
#define SOCKET_ENV "EDGE_HEALER_HTTP_SOCKET"
#define SOCKET_DEFAULT "/run/edge-healer.sock"
#define LISTEN_ENV "EDGE_HEALER_HTTP_LISTEN"
#define LISTEN_DEFAULT "0.0.0.0:8000"
#define PORT_ENV "METRICS_PORT"
#define TOKEN_ENV "EDGE_HEALER_HTTP_TOKEN_FILE"

#define UNIX_PREFIX "unix:"
#define CONNECT_TIMEOUT_MS 3000L
#define TIMEOUT_MS 15000L
#define ANSWER_MAX (64 * 1024 * 1024)
#define PAGES_MAX 10000
#define TRIES 15 /* while the daemon is busy with another large answer */
#define RETRY_MAX_S 5
#define TOKEN_MAX 4096

/* ---- asking ---- */

void client_query(struct buf *path, const char *name, const char *value)
{
	if (!value || !*value)
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

/* Who is asked. */
struct target {
	char *base, *socket; /* socket NULL: over TCP */
	char *header;        /* Authorization, or NULL */
};

static void target_fini(struct target *t)
{
	free(t->base);
	free(t->socket);
	if (t->header)
		secret_free(t->header, strlen(t->header));
}

/* Of this machine, when http.listen is one of all addresses. */
static char *listen_url(void)
{
	const char *listen = str_or(getenv(LISTEN_ENV), LISTEN_DEFAULT), *colon = strrchr(listen, ':');
	const char *port = getenv(PORT_ENV);
	size_t n = colon ? (size_t)(colon - listen) : 0;
	bool any = n == 0 || strncmp(listen, "0.0.0.0:", n + 1) == 0 || strncmp(listen, "[::]:", n + 1) == 0;

	port = !str_is_empty(port) ? port : colon ? colon + 1 : "8000";
	return any ? str_format("http://127.0.0.1:%s", port) : str_format("http://%.*s:%s", (int)n, listen, port);
}

static int read_token(struct target *t, const char *path, struct buf *why)
{
	char token[TOKEN_MAX];
	int r = file_read_line(path, token, sizeof(token));

	if (r < 0)
		buf_addf(why, "%s: %s", path, err_str(r));
	else
		t->header = str_format("Authorization: Bearer %s", token);
	explicit_bzero(token, sizeof(token));
	return r < 0 ? CLI_FAILED : CLI_OK;
}

/* local: through the socket of this node, if there is one. */
static int target_init(struct target *t, const struct cli_options *o, bool local, struct buf *why)
{
	const char *path = getenv(SOCKET_ENV), *token = o->token_file;

	if (o->server && str_has_prefix(o->server, UNIX_PREFIX)) {
		t->socket = str_dup(o->server + strlen(UNIX_PREFIX));
		t->base = str_dup("http://localhost");
	} else if (o->server) {
		t->base = base_url(o->server);
	} else if (local) {
		t->socket = str_dup(path ? path : SOCKET_DEFAULT);
		t->base = str_dup("http://localhost");
	} else {
		t->base = listen_url();
		token = token ? token : getenv(TOKEN_ENV); /* ours: it is told to nobody but this machine */
	}
	return str_is_empty(token) || t->socket ? CLI_OK : read_token(t, token, why);
}

static void slist_freep(struct curl_slist **l)
{
	curl_slist_free_all(*l);
}

struct answer {
	struct buf text;
	long status;
	curl_off_t retry_after_s;
	char error[CURL_ERROR_SIZE];
};

/* post_ms: a POST, and how long it may take; 0 = a GET. */
static CURLcode fetch(const struct target *t, const char *path, long post_ms, struct answer *answer)
{
	cleanup(curl_freep) CURL *c = curl_easy_init();
	cleanup(slist_freep) struct curl_slist *headers = t->header ? curl_slist_append(NULL, t->header) : NULL;
	cleanup(freep) char *url = str_format("%s%s", t->base, path);
	CURLcode rc;

	buf_clear(&answer->text);
	answer->error[0] = '\0';
	if (!c)
		return CURLE_FAILED_INIT;
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	if (t->socket)
		curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, t->socket);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	if (post_ms)
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, "");
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, post_ms ? post_ms : TIMEOUT_MS);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, answer->error);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, &answer->text);
	rc = curl_easy_perform(c);
	(void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &answer->status);
	(void)curl_easy_getinfo(c, CURLINFO_RETRY_AFTER, &answer->retry_after_s);
	return rc;
}

/* Again while it is busy. */
static CURLcode fetch_patiently(const struct target *t, const char *path, struct answer *answer)
{
	CURLcode rc = fetch(t, path, 0, answer);

	for (int i = 1; i < TRIES && rc == CURLE_OK && answer->status == 429; i++) {
		unsigned s = answer->retry_after_s > 0 && answer->retry_after_s < RETRY_MAX_S
				 ? (unsigned)answer->retry_after_s
				 : RETRY_MAX_S;

		(void)sleep(s);
		rc = fetch(t, path, 0, answer);
	}
	return rc;
}

static int read_answer(const struct target *t, CURLcode rc, const struct answer *answer, json_object **out_value,
		       struct buf *why)
{
	const char *who = t->socket ? t->socket : t->base;
	cleanup(json_putp) json_object *v = NULL;
	bool json;

	if (rc == CURLE_WRITE_ERROR) {
		buf_addf(why, "%s: the answer is larger than %d bytes", who, ANSWER_MAX);
		return CLI_FAILED;
	}
	if (rc != CURLE_OK) {
		buf_addf(why, "no answer from %s (", who);
		add_clean(why, *answer->error ? answer->error : curl_easy_strerror(rc));
		buf_adds(why, "). Is the daemon running there? Another one: --server URL, or " CLI_SERVER_ENV);
		return CLI_FAILED;
	}
	json = json_parse(str_or(answer->text.data, ""), answer->text.len, &v) == 0;
	if (answer->status != 200) {
		buf_addf(why, "%s answered %ld: ", who, answer->status);
		add_clean(why, str_or(json_get_str(v, "error"), "no reason given; is this an edge-healer?"));
		return CLI_FAILED;
	}
	if (!json || !(json_is_object(v) || json_is_array(v))) {
		buf_addf(why, "%s: the answer is not edge-healer's JSON", who);
		return CLI_FAILED;
	}
	*out_value = take(v);
	return CLI_OK;
}

static void answer_fini(struct answer *a)
{
	buf_fini(&a->text);
}

static int get_from(const struct cli_options *o, const char *path, bool local, json_object **out_value, struct buf *why)
{
	cleanup(target_fini) struct target t = {0};
	cleanup(answer_fini) struct answer answer = {0};
	CURLcode rc;

	if (local && getenv(SOCKET_ENV) && str_is_empty(getenv(SOCKET_ENV)))
		local = false;
	if (target_init(&t, o, local, why) != CLI_OK)
		return CLI_FAILED;
	rc = fetch_patiently(&t, path, &answer);
	if (local && rc == CURLE_COULDNT_CONNECT)
		return get_from(o, path, false, out_value, why);
	return read_answer(&t, rc, &answer, out_value, why);
}

int client_get(const struct cli_options *o, const char *path, json_object **out_value, struct buf *why)
{
	return get_from(o, path, !o->server, out_value, why);
}

int client_post(const struct cli_options *o, const char *path, json_object **out_value, struct buf *why)
{
	cleanup(target_fini) struct target t = {0};
	cleanup(answer_fini) struct answer answer = {0};

	if (target_init(&t, o, true, why) != CLI_OK)
		return CLI_FAILED;
	if (str_is_empty(t.socket)) {
		buf_adds(why, "only through http.socket of the node: --server unix:PATH, or run it there");
		return CLI_FAILED;
	}
	return read_answer(&t, fetch(&t, path, o->timeout_ms ? o->timeout_ms : TIMEOUT_MS, &answer), &answer, out_value, why);
}

/* ---- lists ---- */

/* Move the items of a page (or of the bare list that an older daemon gives) to `all`. The token of the next page, or
 * NULL. */
static char *add_page(json_object *all, const json_object *page)
{
	const json_object *items = json_is_array(page) ? page : json_get(page, "items");

	for (size_t i = 0; i < json_len(items); i++)
		json_append(all, json_ref(json_at(items, i)));
	return json_is_object(page) ? str_dup(json_get_str(page, "metadata.continue")) : NULL;
}

static int get_list(const struct cli_options *o, const char *path, bool all, json_object **out_array, struct buf *why)
{
	cleanup(json_putp) json_object *list = json_new_array();
	cleanup(freep) char *token = NULL;

	for (int i = 0; i == 0 || (token && all); i++) {
		cleanup(json_putp) json_object *page = NULL;
		cleanup(buf_fini) struct buf next = BUF_INIT;
		char *before = token;

		buf_adds(&next, path);
		client_query(&next, "continue", token);
		if (client_get(o, next.data, &page, why) != CLI_OK)
			return CLI_FAILED;
		token = add_page(list, page);
		free(before);
		if (i == PAGES_MAX) {
			buf_addf(why, "%s has no end after %d pages", path, PAGES_MAX);
			return CLI_FAILED;
		}
	}
	*out_array = take(list);
	return CLI_OK;
}

int client_show(const struct cli_options *o, const char *path, enum client_answer kind,
		void (*print)(const struct cli_options *o, const json_object *v))
{
	cleanup(json_putp) json_object *v = NULL;
	cleanup(buf_fini) struct buf why = BUF_INIT;
	int r =
	    kind == CLIENT_OBJECT ? client_get(o, path, &v, &why) : get_list(o, path, kind == CLIENT_LIST, &v, &why);

	if (r != CLI_OK) {
		fprintf(stderr, "edge-healer %s: %s\n", o->verb, why.data);
		return CLI_FAILED;
	}
	if (o->form == CLI_JSON)
		printf("%s\n", json_text_pretty(v));
	else
		print(o, v);
	return CLI_OK;
}
