/* surface.c — where HTTP listens and who may ask what
 *
 * Health, metrics and the index are open. What is below /v1 is for root (the Unix socket, mode 0600), for this machine
 * (http.loopback: open) and for whoever brings the token of http.token_file.
 */
#include "surface.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"

#define TOKEN_MAX 4096

/* ---- who may ask ---- */

static bool brings_token(const struct agent *a, const struct web_request *rq)
{
	static const char bearer[] = "Bearer ";
	size_t n = sizeof(bearer) - 1;

	return rq->authorization && strncasecmp(rq->authorization, bearer, n) == 0 &&
	       str_eq_secret(rq->authorization + n, a->http_token);
}

static bool may_ask(void *arg, const struct web_request *rq, struct web_response *rs)
{
	const struct agent *a = arg;

	if (rq->origin == WEB_SOCKET || (rq->origin == WEB_LOOPBACK && a->conf->http_loopback == CONF_LOOPBACK_OPEN))
		return true;
	if (a->http_token && brings_token(a, rq))
		return true;
	if (a->http_token)
		web_error(rs, 401, "the bearer token of http.token_file is needed here");
	else if (rq->origin == WEB_LOOPBACK)
		web_error(rs, 403,
			  "http.loopback is token and http.token_file is not set: only http.socket may ask this");
	else
		web_error(rs, 403, "http.token_file is not set: only this machine may ask this");
	return false;
}

/* ---- start ---- */

int surface_read_token(const char *path, char *out, size_t size)
{
	int r = str_is_empty(path) ? 0 : file_read_line(path, out, size);

	return r == 0 && !str_is_empty(path) && !out[0] ? -EINVAL : r; /* an empty token would let everybody in */
}

static int token_read(struct agent *a)
{
	char token[TOKEN_MAX] = "";
	const char *path = a->conf->http_token_file;
	int r = surface_read_token(path, token, sizeof(token));

	if (r < 0) {
		log_error(LOG_WEB, "token", "http.token_file=%s: %s", path, err_str(r));
	} else {
		if (a->http_token)
			secret_free(a->http_token, strlen(a->http_token));
		a->http_token = str_is_empty(path) ? NULL : str_dup(token);
	}
	explicit_bzero(token, sizeof(token));
	return r;
}

void surface_reload(struct agent *a)
{
	(void)token_read(a);
}

/* Without it the client verbs use http.listen, so only another healer behind it is an error: there must be one on a
 * node. */
static int socket_start(struct agent *a)
{
	const char *path = a->conf->http_socket;
	int r = str_is_empty(path) ? 0 : web_listen_path(a->web, path);

	if (r == -EADDRINUSE) {
		log_error(LOG_WEB, "cannot listen", "http.socket=%s: another process lives behind it", path);
		return r;
	}
	if (r < 0)
		log_warn(LOG_WEB, "no socket", "http.socket=%s error=%s: the client verbs use http.listen", path,
			 err_str(r));
	return 0;
}

int surface_start(struct agent *a)
{
	const struct web_params params = {.loop = a->loop,
					  .listen = a->conf->http_listen,
					  .routes = agent_routes,
					  .route_count = agent_route_count,
					  .may = may_ask,
					  .arg = a};
	int r = token_read(a);

	if (r < 0)
		return r;
	r = web_new(&params, &a->web);
	if (r < 0) {
		log_error(LOG_WEB, "cannot listen", "http.listen=%s error=%s", a->conf->http_listen, err_str(r));
		return r;
	}
	log_info(LOG_WEB, "listening", "address=%s port=%u socket=%s", a->conf->http_listen, web_port(a->web),
		 a->conf->http_socket);
	return socket_start(a);
}

/* ---- answers ---- */

void surface_add_json(struct buf *out, json_object *o)
{
	const char *text = json_text(o);

	buf_add_utf8(out, text, strlen(text));
	json_putp(&o);
}

void surface_json(struct web_response *rs, json_object *o)
{
	surface_add_json(&rs->body, o);
	buf_addc(&rs->body, '\n');
}

void surface_set_time(json_object *o, const char *key, struct wall t)
{
	char text[WALL_TEXT_SIZE];

	if (!t.ns)
		return;
	wall_format(t, text);
	json_set_str(o, key, text);
}

void surface_set_mono(const struct agent *a, json_object *o, const char *key, struct mono t)
{
	if (mono_is_set(t))
		surface_set_time(o, key, (struct wall){loop_wall(a->loop).ns - (loop_now(a->loop).ns - t.ns)});
}
