/* agent/surface.h — what the files behind HTTP share: status.c (health, metrics, /v1/status), lists.c, surface.c */
#pragma once
#include "agent_int.h"
#include "base/json.h"

/* ---- surface.c ---- */

int surface_start(struct agent *a);   /* the token, the address, the socket; 0 or -errno, told */
/* The token of http.token_file ("" = there is none, `out` stays); -EINVAL when its first line is empty, or -errno. */
int surface_read_token(const char *path, char *out, size_t size);
void surface_reload(struct agent *a); /* the token file may have changed; an unreadable one is told, the old stays */

/* The object as the answer, with what strangers wrote made well-formed. Owns `o`. */
void surface_json(struct web_response *rs, json_object *o);
void surface_add_json(struct buf *out, json_object *o);                /* owns `o` */
void surface_set_time(json_object *o, const char *key, struct wall t); /* 0: nothing is set */
/* A monotonic time as wall time, for people. */
void surface_set_mono(const struct agent *a, json_object *o, const char *key, struct mono t);

/* ---- forget.c ---- */

void on_forget(void *arg, const struct web_request *rq, struct web_response *rs);

/* ---- goodbye.c ---- */

void on_goodbye(void *arg, const struct web_request *rq, struct web_response *rs);

/* ---- lists.c ---- */

void list_members(void *arg, const struct web_request *rq, struct web_response *rs);
void list_pods(void *arg, const struct web_request *rq, struct web_response *rs);
void list_claims(void *arg, const struct web_request *rq, struct web_response *rs);
void list_readiness(void *arg, const struct web_request *rq, struct web_response *rs);
void list_history(void *arg, const struct web_request *rq, struct web_response *rs);
