/* volumes.c — volumes from ConfigMaps and Secrets as folders of files
 *
 * The rules are those of kubelet (pkg/volume/configmap, secret, projected): without `items` every key becomes a file
 * of its name, with them only those, at their paths; a key that is not there is an error unless the source is
 * optional; a missing optional object is an empty folder; items[].mode before defaultMode before 0644; in a projected
 * volume a later source replaces an earlier one's file. Such volumes are mounted read-only, whatever the mount says.
 * With an fsGroup the files are given to that group and it may read them. What is mounted inside such a volume needs
 * its mount point in the bundle (mountpoints.c).
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

/* One source (a volume, or one of a projected volume) on its way into the bundle. */
struct source {
	const char *where, *volume;
	const json_object *items;
	struct ref ref;
	int64_t mode;
};

/* ---- files ---- */

static bool volume_name_is_safe(const char *name)
{
	return !str_is_empty(name) && strlen(name) <= VOLUME_NAME_MAX && *name != '.' && !strchr(name, '/');
}

static int add_file(const struct resolver *rs, const struct source *s, const json_object *o, const char *key,
		    const char *name, int64_t mode)
{
	cleanup(value_fini) struct value v = { 0 };
	cleanup(freep) char *path = path_below(name);
	struct bundle_item it = { .mode = (mode_t)(mode & 0777) | (rs->bundle->has_gid ? MODE_GROUP : 0) };
	int r;

	if (!path)
		return refuse(rs->reason, "%s: the path %.40s leaves the volume", s->where, name);
	r = resolver_value(rs, &s->ref, o, key, true, s->where, &v);
	if (r == RESOLVE_E_NO_KEY)
		return s->ref.optional ? 0 : RENDER_E_REFUSED;
	if (r)
		return r;
	it.path = str_format("%s/%s", s->volume, path);
	it.data = rs->keeps_data ? take(v.data) : NULL;
	it.len = v.len;
	switch (bundle_add(rs->bundle, &it)) {
	case BUNDLE_E_FULL:
		return refuse(rs->reason, "%s: more than %d files or %zu bytes", s->where, BUNDLE_FILES_MAX, BUNDLE_BYTES_MAX);
	case BUNDLE_E_CONFLICT:
		return refuse(rs->reason, "%s: the path %.40s is a file and a folder", s->where, path);
	default:
		return 0;
	}
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

bool volume_needs_bundle(const json_object *v)
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

static int render_volume(const struct resolver *rs, const json_object *v, const char *where)
{
	const char *name = json_get_str(v, "name");
	struct bundle_item folder = { .mode = MODE_FOLDER, .is_dir = true };

	if (!volume_name_is_safe(name))
		return refuse(rs->reason, "%s.name: %.40s cannot name a folder", where, str_or(name, "(none)"));
	folder.path = str_dup(name);
	if (bundle_add(rs->bundle, &folder))
		return refuse(rs->reason, "%s: more than %d files", where, BUNDLE_FILES_MAX);
	return json_get_key(v, "projected") ? render_projected(rs, v, where) : render_simple(rs, v, where);
}

static void take_group(struct bundle *b, const json_object *spec)
{
	int64_t group = json_get_i64(spec, "securityContext.fsGroup", -1);	/* 0 is a group, too */

	b->has_gid = group >= 0 && group < UINT32_MAX;
	b->gid = b->has_gid ? (gid_t)group : 0;
}

int volumes_render(const struct resolver *rs, json_object *spec, const char *uid)
{
	json_object *volumes = json_get_key(spec, "volumes");
	int r = 0;

	take_group(rs->bundle, spec);
	for (size_t i = 0; !r && i < json_len(volumes); i++) {
		char where[64];

		(void)snprintf(where, sizeof(where), "spec.volumes[%zu]", i);
		if (volume_needs_bundle(json_at(volumes, i)))
			r = render_volume(rs, json_at(volumes, i), where);
	}
	r = r ? r : mountpoints_render(rs, spec);
	for (size_t i = 0; !r && i < json_len(volumes); i++)
		if (volume_needs_bundle(json_at(volumes, i)))
			become_host_path(rs, spec, json_at(volumes, i), uid);
	return r;
}
