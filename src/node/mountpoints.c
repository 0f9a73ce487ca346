/* mountpoints.c — what is mounted inside a volume that became a bundle
 *
 * A container runtime makes a mount point that is not there; inside a bundle, which is mounted read-only, it cannot.
 * kubelet makes those of a ConfigMap volume itself (pkg/volume/util/nested_volumes.go), of a hostPath volume it does
 * not: so they must be in the bundle beforehand. For each mount of each container:
 *   1. the mount that holds it is the one with the longest path that its own goes through
 *   2. if that is a mount of a bundle, the rest of the path, below the subPath that is mounted there, is a mount point
 *   3. it is a folder, or an empty file where a file is mounted: a subPath that names one, or a hostPath of such a type
 *
 * What is there already stays, if it is of the right kind; where only the node knows the kind, anything will do. Also
 * counted are the files that every runtime mounts by itself, and the termination log.
 */
#include <stdio.h>

#include "base/map.h"
#include "base/str.h"
#include "node_int.h"

#define MODE_POINT_FILE 0644
#define MODE_POINT_FOLDER 0755
#define TERMINATION_LOG_DEFAULT "/dev/termination-log" /* k8s.io/api/core/v1: TerminationMessagePathDefault */

struct mount {
	char *path;                /* in the container: absolute and clean */
	char where[128];           /* the field, for a refusal */
	const json_object *volume; /* NULL = of the runtime, or of no volume of the pod */
	char *sub;                 /* clean subPath; NULL = the whole volume */
	bool sub_is_known;         /* false: a subPathExpr that only kubelet can expand, or no path */
	bool is_file_of_runtime;
};

/* One container's mounts, and where each is mounted. */
struct mounts {
	struct mount *items;
	size_t count;
	struct map *at; /* path → struct mount */
};

static void mounts_fini(struct mounts *m)
{
	map_free(m->at);
	for (size_t i = 0; i < m->count; i++) {
		free(m->items[i].path);
		free(m->items[i].sub);
	}
	free(m->items);
}

/* ---- reading ---- */

/* As path.Clean("/" + path) makes it: ".." never leads above the root. */
static char *clean_absolute(const char *path)
{
	struct buf out = BUF_INIT;

	while (*path) {
		size_t n = strcspn(path, "/");

		if (n == 2 && path[0] == '.' && path[1] == '.') {
			while (out.len && out.data[--out.len] != '/')
				;
		} else if (n && !(n == 1 && *path == '.')) {
			buf_addc(&out, '/');
			buf_add(&out, path, n);
		}
		path += n + (path[n] == '/');
	}
	if (!out.len) {
		buf_addc(&out, '/');
		return buf_take(&out);
	}
	out.data[out.len] = '\0';
	return buf_take(&out);
}

/* The value that a variable of the container has; the last one of a name counts. */
static const char *literal_of(const json_object *env, const char *name)
{
	for (size_t i = json_len(env); i-- > 0;)
		if (str_eq(json_get_str(json_at(env, i), "name"), name))
			return json_get_str(json_at(env, i), "value");
	return NULL;
}

/* subPathExpr with each $(NAME) replaced; NULL: it takes a variable whose value we do not know. */
static char *expand(const char *text, const json_object *env)
{
	cleanup(buf_fini) struct buf out = BUF_INIT;

	for (const char *end; *text; text = end) {
		cleanup(freep) char *name = NULL;
		const char *value;

		end = text + 1;
		if (*text != '$' || (*end != '(' && *end != '$')) {
			buf_addc(&out, *text);
			continue;
		}
		end++;
		if (end[-1] == '$') {
			buf_addc(&out, '$');
			continue;
		}
		name = str_ndup(end, strcspn(end, ")"));
		end += strlen(name) + (end[strlen(name)] == ')');
		value = literal_of(env, name);
		if (!value || strchr(value, '$'))
			return NULL;
		buf_adds(&out, value);
	}
	return buf_take(&out);
}

static void read_sub(struct mount *m, const json_object *mount, const json_object *env)
{
	const char *plain = json_get_str(mount, "subPath"), *expression = json_get_str(mount, "subPathExpr");
	cleanup(freep) char *expanded = str_is_empty(expression) ? NULL : expand(expression, env);
	const char *sub = str_is_empty(expression) ? str_or(plain, "") : expanded;

	m->sub_is_known = sub != NULL;
	if (!sub || !*sub)
		return;
	m->sub = path_below(sub);
	if (!m->sub) /* "." and "./" are the whole volume */
		m->sub_is_known = *sub == '.' && strspn(sub, "./") == strlen(sub) && !strstr(sub, "..");
}

static void add_mount(struct mounts *all, const char *path, struct mount m)
{
	m.path = clean_absolute(path);
	all->items[all->count] = m;
	(void)map_put(all->at, all->items[all->count].path, &all->items[all->count]);
	all->count++;
}

/* `volumes`: name → volume. */
static void read_mounts(struct mounts *all, const struct map *volumes, const json_object *container, const char *where)
{
	static const char *const of_runtime[] = { "/etc/hosts", "/etc/hostname", "/etc/resolv.conf" };
	const json_object *list = json_get_key(container, "volumeMounts");
	const char *log = json_get_str(container, "terminationMessagePath");
	struct mount own = { .sub_is_known = true, .is_file_of_runtime = true };

	all->items = mem_new_n(struct mount, json_len(list) + ARRAY_LEN(of_runtime) + 1);
	all->at = map_new();
	for (size_t i = 0; i < ARRAY_LEN(of_runtime); i++) { /* first: a volume that is mounted there replaces it */
		(void)snprintf(own.where, sizeof(own.where), "%s (%s, mounted by the runtime)", where, of_runtime[i]);
		add_mount(all, of_runtime[i], own);
	}
	(void)snprintf(own.where, sizeof(own.where), "%s.terminationMessagePath", where);
	add_mount(all, str_is_empty(log) ? TERMINATION_LOG_DEFAULT : log, own);
	for (size_t i = 0; i < json_len(list); i++) {
		const json_object *one = json_at(list, i);
		struct mount m = { .volume = map_get(volumes, str_or(json_get_str(one, "name"), "")) };

		(void)snprintf(m.where, sizeof(m.where), "%s.volumeMounts[%zu]", where, i);
		read_sub(&m, one, json_get_key(container, "env"));
		add_mount(all, str_or(json_get_str(one, "mountPath"), ""), m);
	}
}

/* ---- judging ---- */

/* What a downwardAPI volume shows at `sub`. */
static enum bundle_kind downward_kind(const json_object *items, const char *sub)
{
	for (size_t i = 0; i < json_len(items); i++) {
		cleanup(freep) char *path = path_below(str_or(json_get_str(json_at(items, i), "path"), ""));

		if (path && str_eq(path, sub))
			return BUNDLE_FILE;
	}
	return BUNDLE_FOLDER;
}

static enum bundle_kind host_kind(const char *type, bool sub)
{
	static const char *const files[] = { "File", "FileOrCreate", "Socket", "CharDevice", "BlockDevice" };

	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		if (str_eq(type, files[i]))
			return BUNDLE_FILE;
	return sub || str_is_empty(type) ? BUNDLE_NOTHING : BUNDLE_FOLDER;
}

/* What is mounted there; BUNDLE_NOTHING: only the node knows. */
static enum bundle_kind kind_of(const struct bundle *b, const struct mount *m)
{
	const json_object *v = m->volume, *sources = json_get(v, "projected.sources");

	if (m->is_file_of_runtime)
		return BUNDLE_FILE;
	if (json_get_key(v, "hostPath"))
		return host_kind(json_get_str(v, "hostPath.type"), m->sub || !m->sub_is_known);
	if (!m->sub_is_known)
		return BUNDLE_NOTHING;
	if (!m->sub)
		return BUNDLE_FOLDER;
	if (volume_needs_bundle(v)) {
		cleanup(freep) char *path = str_format("%s/%s", json_get_str(v, "name"), m->sub);

		return bundle_kind(b, path) == BUNDLE_FILE ? BUNDLE_FILE : BUNDLE_FOLDER;
	}
	if (json_get_key(v, "downwardAPI"))
		return downward_kind(json_get(v, "downwardAPI.items"), m->sub);
	for (size_t i = 0; i < json_len(sources); i++)
		if (downward_kind(json_get(json_at(sources, i), "downwardAPI.items"), m->sub) == BUNDLE_FILE)
			return BUNDLE_FILE;
	return sources ? BUNDLE_FOLDER : BUNDLE_NOTHING;
}

/* The mount whose path is the longest that `m`'s goes through. */
static const struct mount *holder_of(const struct mounts *all, const struct mount *m)
{
	cleanup(freep) char *path = str_dup(m->path);
	const struct mount *found = NULL;

	for (char *p = strrchr(path, '/'); !found && p && p[1]; p = strrchr(path, '/')) {
		*p = '\0';
		found = map_get(all->at, *path ? path : "/");
		if (!*path)
			break;
	}
	return found;
}

/* Below which path of the bundle `holder` shows it. */
static char *root_of(const struct mount *holder)
{
	const char *name = json_get_str(holder->volume, "name");

	return holder->sub ? str_format("%s/%s", name, holder->sub) : str_dup(name);
}

static int add_point(const struct resolver *rs, const struct mount *m, char *path, enum bundle_kind kind)
{
	enum bundle_kind there = bundle_kind(rs->bundle, path);
	bool file = kind == BUNDLE_FILE;
	struct bundle_item it = { .path = path, .is_dir = !file, .mode = file ? MODE_POINT_FILE : MODE_POINT_FOLDER };
	int r = 0;

	if (there == BUNDLE_NOTHING)
		r = bundle_add(rs->bundle, &it);
	else
		free(path);
	if (r == BUNDLE_E_FULL)
		return refuse(rs->reason, "%s: more than %d files", m->where, BUNDLE_FILES_MAX);
	if (r == BUNDLE_E_CONFLICT || (there != BUNDLE_NOTHING && kind != BUNDLE_NOTHING && there != kind))
		return refuse(rs->reason, "%s: needs a %s at %.60s, where the volume has a %s", m->where,
			      file ? "file" : "folder", m->path, r || there == BUNDLE_FILE ? "file" : "folder");
	return 0;
}

static int check_mount(const struct resolver *rs, const struct mounts *all, const struct mount *m, bool sure)
{
	const struct mount *holder = map_get(all->at, m->path) == m ? holder_of(all, m) : NULL;
	enum bundle_kind kind = kind_of(rs->bundle, m);
	cleanup(freep) char *root = NULL, *rest = NULL;

	if (!holder || !volume_needs_bundle(holder->volume) || (kind != BUNDLE_NOTHING) != sure)
		return 0;
	if (!holder->sub_is_known)
		return refuse(rs->reason, "%s: mounted inside %s, whose subPath only kubelet knows", m->where,
			      holder->where);
	root = root_of(holder);
	rest = path_below(m->path + strlen(holder->path) + (holder->path[1] ? 1 : 0));
	if (!rest)
		return refuse(rs->reason, "%s.mountPath: %.80s cannot be in a volume", m->where, m->path);
	return add_point(rs, m, str_format("%s/%s", root, rest), kind);
}

static int add_points(const struct resolver *rs, const json_object *list, const char *key, const struct map *volumes,
		      bool sure)
{
	int r = 0;

	for (size_t i = 0; !r && i < json_len(list); i++) {
		cleanup(mounts_fini) struct mounts all = { 0 };
		char where[64];

		(void)snprintf(where, sizeof(where), "spec.%s[%zu]", key, i);
		read_mounts(&all, volumes, json_at(list, i), where);
		for (size_t k = 0; !r && k < all.count; k++)
			r = check_mount(rs, &all, &all.items[k], sure);
	}
	return r;
}

int mountpoints_render(const struct resolver *rs, const json_object *spec)
{
	const json_object *list = json_get_key(spec, "volumes");
	struct map *volumes = map_new();
	bool any = false;
	int r = 0;

	for (size_t i = 0; i < json_len(list); i++) {
		json_object *v = json_at(list, i);

		(void)map_put(volumes, str_or(json_get_str(v, "name"), ""), v);
		any = any || volume_needs_bundle(v);
	}
	/* First what is surely a file or a folder, then what takes what is there. */
	for (int sure = 1; any && !r && sure >= 0; sure--) {
		r = add_points(rs, json_get_key(spec, "initContainers"), "initContainers", volumes, sure);
		r = r ? r : add_points(rs, json_get_key(spec, "containers"), "containers", volumes, sure);
	}
	map_free(volumes);
	return r;
}
