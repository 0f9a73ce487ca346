/* volumes.c — volumes from ConfigMaps and Secrets as folders of files
 *
 * The rules are those of kubelet (pkg/volume/configmap, secret, projected): without `items` every key becomes a file
 * of its name, with them only those, at their paths; a key that is not there is an error unless the source is
 * optional; a missing optional object is an empty folder; items[].mode before defaultMode before 0644; in a projected
 * volume a later source replaces an earlier one's file. Such volumes are mounted read-only, whatever the mount says.
 * With an fsGroup the files are given to that group and it may read them.
 *
 * A projected volume of nothing but downwardAPI stays as it is: kubelet fills it without the API server. Mixed with
 * other sources it is refused: we cannot write what only kubelet knows.
 */
#include <stdio.h>

#include "base/str.h"
#include "node_int.h"

#define MODE_DEFAULT 0644
#define MODE_FOLDER 0755
#define MODE_GROUP 0440			/* what kubelet adds for an fsGroup to what is mounted read-only */
#define VOLUME_NAME_MAX 63		/* RFC 1123 label */

/* One source (a volume, or one of a projected volume) on its way into the bundle. */
struct source {
	const char *where, *volume;
	const json_object *items;
	struct ref ref;
	int64_t mode;
};

/* ---- the bundle in memory ---- */

static void item_fini(struct bundle_item *it)
{
	free(it->path);
	secret_free(it->data, it->len);
}

void bundle_fini(struct bundle *b)
{
	for (size_t i = 0; i < b->count; i++)
		item_fini(&b->items[i]);
	free(b->items);
	*b = (struct bundle){ 0 };
}

static struct bundle_item *bundle_find(const struct bundle *b, const char *path)
{
	for (size_t i = 0; i < b->count; i++)
		if (str_eq(b->items[i].path, path))
			return &b->items[i];
	return NULL;
}

static bool bundle_add(struct bundle *b, struct bundle_item *it)
{
	struct bundle_item *known = bundle_find(b, it->path);

	if (b->count == BUNDLE_FILES_MAX || it->len > BUNDLE_BYTES_MAX - b->bytes) {
		item_fini(it);
		return false;
	}
	b->bytes += it->len;
	if (known) {
		b->bytes -= known->len;
		item_fini(known);
		*known = *it;
		return true;
	}
	if (b->count == b->cap) {
		b->cap = b->cap ? 2 * b->cap : 16;
		b->items = mem_resize(b->items, b->cap, sizeof(b->items[0]));
	}
	b->items[b->count++] = *it;
	return true;
}

/* ---- files ---- */

/* Relative, and it stays below: the API server has checked it, but it becomes a path on the host here. */
static bool path_is_safe(const char *path)
{
	if (!*path || str_has_prefix(path, "..") || strlen(path) > BUNDLE_PATH_MAX - VOLUME_NAME_MAX - 2)
		return false;
	for (const char *p = path;; p++) {
		size_t n = strcspn(p, "/");

		if (n == 0 || (n == 1 && *p == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
			return false;
		p += n;
		if (!*p)
			return true;
	}
}

static bool volume_name_is_safe(const char *name)
{
	return !str_is_empty(name) && strlen(name) <= VOLUME_NAME_MAX && *name != '.' && !strchr(name, '/');
}

static int add_file(const struct resolver *rs, const struct source *s, const json_object *o, const char *key, const char *path,
		    int64_t mode)
{
	cleanup(value_fini) struct value v = { 0 };
	struct bundle *b = rs->params->bundle;
	int r;

	if (!path_is_safe(path))
		return refuse(rs->reason, "%s: the path %.40s leaves the volume", s->where, path);
	r = resolver_value(rs, &s->ref, o, key, true, s->where, &v);
	if (r == RESOLVE_E_NO_KEY)
		return s->ref.optional ? 0 : RENDER_E_REFUSED;
	if (r || !b)
		return r;
	struct bundle_item it = { .path = str_format("%s/%s", s->volume, path), .data = take(v.data), .len = v.len,
				  .mode = (mode_t)(mode & 0777) | (b->gid > 0 ? MODE_GROUP : 0) };
	if (!bundle_add(b, &it))
		return refuse(rs->reason, "%s: more than %d files or %zu bytes", s->where, BUNDLE_FILES_MAX, BUNDLE_BYTES_MAX);
	return 0;
}

static int add_items(const struct resolver *rs, const struct source *s, const json_object *o)
{
	int r = 0;

	for (size_t i = 0; !r && i < json_len(s->items); i++) {
		const json_object *it = json_at(s->items, i);

		r = add_file(rs, s, o, str_or(json_get_str(it, "key"), ""), str_or(json_get_str(it, "path"), ""),
			     json_get_i64(it, "mode", s->mode));
	}
	return r;
}

static int add_keys(const struct resolver *rs, const struct source *s, const json_object *o)
{
	static const char *const maps[2][2] = {
		[REF_CONFIG_MAP] = { "data", "binaryData" }, [REF_SECRET] = { "data", "stringData" },
	};
	int r = 0;

	for (size_t i = 0; i < 2; i++) {
		struct json_iter it = json_iter(json_get_key(o, maps[s->ref.kind][i]));

		while (!r && json_iter_next(&it))
			r = add_file(rs, s, o, it.key, it.key, s->mode);
	}
	return r;
}

static int add_source(const struct resolver *rs, const struct source *s)
{
	const json_object *o = NULL;
	int r = resolver_find(rs, &s->ref, s->where, &o);

	if (r || !o)
		return r;
	return json_len(s->items) ? add_items(rs, s, o) : add_keys(rs, s, o);
}

/* ---- volumes ---- */

static int render_simple(const struct resolver *rs, const json_object *v, const char *where)
{
	bool secret = json_get_key(v, "secret") != NULL;
	const json_object *from = json_get_key(v, secret ? "secret" : "configMap");
	const struct source s = {
		.where = where, .volume = json_get_str(v, "name"), .items = json_get_key(from, "items"),
		.mode = json_get_i64(from, "defaultMode", MODE_DEFAULT),
		.ref = { secret ? REF_SECRET : REF_CONFIG_MAP, rs->ns, json_get_str(from, secret ? "secretName" : "name"),
			 json_get_bool(from, "optional", false) },
	};

	return add_source(rs, &s);
}

static int render_projected(const struct resolver *rs, const json_object *v, const char *where)
{
	const json_object *projected = json_get_key(v, "projected"), *sources = json_get_key(projected, "sources");
	int r = 0;

	for (size_t i = 0; !r && i < json_len(sources); i++) {
		const json_object *one = json_at(sources, i);
		bool secret = json_get_key(one, "secret") != NULL;
		const json_object *from = json_get_key(one, secret ? "secret" : "configMap");
		char at[128];
		struct source s = {
			.where = at, .volume = json_get_str(v, "name"), .items = json_get_key(from, "items"),
			.mode = json_get_i64(projected, "defaultMode", MODE_DEFAULT),
			.ref = { secret ? REF_SECRET : REF_CONFIG_MAP, rs->ns, json_get_str(from, "name"),
				 json_get_bool(from, "optional", false) },
		};

		(void)snprintf(at, sizeof(at), "%s.projected.sources[%zu]", where, i);
		if (!from)
			return refuse(rs->reason, "%s: downwardAPI beside other sources cannot be written by us", at);
		r = add_source(rs, &s);
	}
	return r;
}

/* Does a projected volume name a ConfigMap or Secret? Other sources than downwardAPI were refused before. */
static bool needs_bundle(const json_object *v)
{
	const json_object *sources = json_get(v, "projected.sources");

	if (json_get_key(v, "configMap") || json_get_key(v, "secret"))
		return true;
	for (size_t i = 0; i < json_len(sources); i++)
		if (json_get_key(json_at(sources, i), "configMap") || json_get_key(json_at(sources, i), "secret"))
			return true;
	return false;
}

static void mount_read_only(json_object *containers, const char *volume)
{
	for (size_t i = 0; i < json_len(containers); i++) {
		json_object *mounts = json_get_key(json_at(containers, i), "volumeMounts");

		for (size_t k = 0; k < json_len(mounts); k++)
			if (str_eq(json_get_str(json_at(mounts, k), "name"), volume))
				json_set_bool(json_at(mounts, k), "readOnly", true);
	}
}

static void become_host_path(const struct resolver *rs, json_object *spec, json_object *v, const char *uid)
{
	cleanup(freep) char *path =
		str_format("%s/%s/%s", str_or(rs->params->bundle_dir, ""), str_or(uid, ""), json_get_str(v, "name"));
	json_object *host = json_new_object();

	json_remove(v, "configMap");
	json_remove(v, "secret");
	json_remove(v, "projected");
	json_set_str(host, "path", path);
	json_set_str(host, "type", "Directory");
	json_set(v, "hostPath", host);
	mount_read_only(json_get_key(spec, "initContainers"), json_get_str(v, "name"));
	mount_read_only(json_get_key(spec, "containers"), json_get_str(v, "name"));
}

static int render_volume(const struct resolver *rs, json_object *v, const char *where)
{
	const char *name = json_get_str(v, "name");

	if (!volume_name_is_safe(name))
		return refuse(rs->reason, "%s.name: %.40s cannot name a folder", where, str_or(name, "(none)"));
	if (rs->params->bundle) {
		struct bundle_item folder = { .path = str_dup(name), .mode = MODE_FOLDER, .is_dir = true };

		if (!bundle_add(rs->params->bundle, &folder))
			return refuse(rs->reason, "%s: more than %d files", where, BUNDLE_FILES_MAX);
	}
	return json_get_key(v, "projected") ? render_projected(rs, v, where) : render_simple(rs, v, where);
}

int volumes_render(const struct resolver *rs, json_object *spec, const char *uid)
{
	json_object *volumes = json_get_key(spec, "volumes");
	int64_t group = json_get_i64(spec, "securityContext.fsGroup", 0);
	int r = 0;

	if (rs->params->bundle && group > 0 && group < UINT32_MAX)
		rs->params->bundle->gid = group;
	for (size_t i = 0; !r && i < json_len(volumes); i++) {
		json_object *v = json_at(volumes, i);
		char where[64];

		if (!needs_bundle(v))
			continue;
		(void)snprintf(where, sizeof(where), "spec.volumes[%zu]", i);
		r = render_volume(rs, v, where);
		if (!r)
			become_host_path(rs, spec, v, uid);
	}
	return r;
}
