/* node/node_int.h — shared by the files of node/ only: how rendering finds what a pod refers to */
#pragma once
#include "node/bundle.h"
#include "node/render.h"

/* Fill `reason`; returns RENDER_E_REFUSED. */
int refuse(char reason[REASON_SIZE], const char *fmt, ...) PRINTF_LIKE(2, 3);

/* ---- token.c ---- */
/* Exactly the volume that admission adds for the service account's token. */
bool volume_is_token(const json_object *v);
/* Remove it from a spec, with its mounts. */
void token_drop(json_object *spec);
/* The annotation needs-token of a pod or template: 0, or RENDER_E_REFUSED (it needs one, or the value is unknown). */
int token_check(const json_object *meta, const json_object *spec, const struct render_params *p, char reason[REASON_SIZE]);
/* In a content, before token_drop(): whether there was a token of a ServiceAccount of its own. */
void token_mark(json_object *spec);

/* ---- hostname.c ---- */
/* `name` is the lost pod's; NULL = not known yet. 0 or RENDER_E_REFUSED. */
int hostname_check(const json_object *spec, const char *name, const char *ns, const struct render_params *p,
		   char reason[REASON_SIZE]);
/* Write down the hostname that a pod of this name has, where that can be written down. */
void hostname_keep(json_object *spec, const char *name);

/* ---- resolve.c ---- */

enum { RESOLVE_E_NO_KEY = 2 };		/* the object has no such key; `reason` says so */

struct resolver {
	const struct render_params *params;
	const char *ns;
	char *reason;			/* REASON_SIZE */
	struct bundle *bundle;		/* never NULL: what is only judged keeps to its limits, too */
	bool keeps_data;		/* false: paths and sizes only */
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

/* ---- bundle_items.c ---- */

#define VOLUME_NAME_MAX 63		/* RFC 1123 label */

enum bundle_kind { BUNDLE_NOTHING, BUNDLE_FILE, BUNDLE_FOLDER };
/* Beyond a limit; a file where a folder is needed, or the other way round. */
enum { BUNDLE_E_FULL = 1, BUNDLE_E_CONFLICT = 2 };

/* What is at a clean path: an item, or a folder that one goes through. */
enum bundle_kind bundle_kind(const struct bundle *b, const char *path);
/* Add *it, whose texts are the bundle's from now on (freed on failure); one of the same path and kind is replaced. 0 or
 * BUNDLE_E_*. */
int bundle_add(struct bundle *b, struct bundle_item *it);
/* A relative path as path.Clean makes it ("./a//b/" becomes "a/b"), owned by the caller; NULL: it is empty, leaves its
 * folder, begins with ".." (reserved for kubelet), or is longer or deeper than a bundle allows. */
char *path_below(const char *path);

/* ---- mountpoints.c ---- */
/* Add the mount points of what is mounted inside the volumes that need a bundle, which holds their files already. 0 or
 * RENDER_E_REFUSED. */
int mountpoints_render(const struct resolver *rs, const json_object *spec);

/* ---- volumes.c ---- */
/* Does the volume show ConfigMaps or Secrets? */
bool volume_needs_bundle(const json_object *v);
/* Turn the volumes of a spec that come from ConfigMaps and Secrets into hostPath volumes below <bundle_dir>/<uid>, in
 * place, and add their files to the bundle. 0 or RENDER_E_REFUSED. */
int volumes_render(const struct resolver *rs, json_object *spec, const char *uid);
