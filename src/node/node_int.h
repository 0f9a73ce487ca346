/* node/node_int.h — shared by the files of node/ only: how rendering finds what a pod refers to */
#pragma once
#include "node/bundle.h"
#include "node/render.h"

/* Fill `reason`; returns RENDER_E_REFUSED. */
int refuse(char reason[REASON_SIZE], const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The token volume that admission added (kube-api-access-*). */
bool volume_is_token(const json_object *v);

/* ---- resolve.c ---- */

enum { RESOLVE_E_NO_KEY = 2 };		/* the object has no such key; `reason` says so */

struct resolver {
	const struct render_params *params;
	const char *ns;
	char *reason;			/* REASON_SIZE */
};

/* The object of a reference found at `where`. 0 and *out_object (borrowed; NULL = missing, and optional), or RENDER_E_REFUSED. */
int resolver_find(const struct resolver *rs, const struct ref *ref, const char *where, const json_object **out_object);

/* Bytes of one key. Zero-initialise, end with value_fini(), which wipes. */
struct value { void *data; size_t len; };
void value_fini(struct value *v);
/* 0, RESOLVE_E_NO_KEY or RENDER_E_REFUSED. `binary`: a ConfigMap's binaryData too, which only volumes show. */
int resolver_value(const struct resolver *rs, const struct ref *ref, const json_object *object, const char *key, bool binary,
		   const char *where, struct value *out_value);

/* ---- env.c ---- */
/* Make a container's env and envFrom literal, in place. 0 or RENDER_E_REFUSED. */
int env_render(const struct resolver *rs, json_object *container, const char *where);

/* ---- volumes.c ---- */
/* Turn the volumes of a spec that come from ConfigMaps and Secrets into hostPath volumes below <bundle_dir>/<uid>, in
 * place, and add their files to params->bundle, if there is one. 0 or RENDER_E_REFUSED. */
int volumes_render(const struct resolver *rs, json_object *spec, const char *uid);
