/* fuzz_render.c — a pod with ConfigMaps and Secrets to paths, files and a manifest
 *
 * Input that begins with `{` is a document {"pod": …, "objects": […]}. Anything else is read as choices from small
 * alphabets, out of which a pod is built whose volumes and mounts get into each other's way. In both cases: what is
 * rendered stays in its bundle, can be written there, refers to nothing in the API, and is JSON; and what is rendered is
 * judged ready.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/json_check.h"
#include "node/bundle.h"
#include "node/render.h"

#define DIR "/bundles"
#define UID "bdedc685-793f-415f-80c0-fdb7fddfd6e1"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
	if (!good)
		abort();
}

/* ---- a pod out of choices ---- */

struct choices { const uint8_t *p, *end; };

static unsigned choose(struct choices *c, unsigned n)
{
	return c->p < c->end ? *c->p++ % n : 0;
}

#define PICK(c, list) (list)[choose(c, ARRAY_LEN(list))]

static const char *const names[] = { "v", "w", "e", "h", "d", "kube-api-access-1", "..", "" };
static const char *const paths[] = { "a", "b", "./a", "a//b", "a/b", "..", "a/../..", "/a", "", "..data",
				     "a/b/c/d/e", "hosts" };
static const char *const folders[] = { "/v", "/v/a", "/v/a/b", "/v/../w", "/", "/etc", "//v//", "v/e", "/v/hosts",
				       "/v/..x", "/etc/hosts", "/v/a/b/c/d/e/f", "/w", "" };
static const char *const types[] = { "", "File", "Directory", "Socket", "FileOrCreate" };
static const char *const keys[] = { "a", "b", "c.d", "..", "hosts", "a/b" };

static json_object *list_in(json_object *o, const char *key)
{
	json_set(o, key, json_new_array());
	return json_get_key(o, key);
}

static json_object *object_in(json_object *o, const char *key)
{
	json_set(o, key, json_new_object());
	return json_get_key(o, key);
}

static json_object *append_object(json_object *list)
{
	json_append(list, json_new_object());
	return json_at(list, json_len(list) - 1);
}

static void fill_source(struct choices *c, json_object *from)
{
	json_object *items;

	json_set_bool(from, "optional", choose(c, 2));
	if (!choose(c, 2))
		return;
	items = list_in(from, "items");
	for (unsigned n = choose(c, 3); n; n--) {
		json_object *it = append_object(items);

		json_set_str(it, "key", PICK(c, keys));
		json_set_str(it, "path", PICK(c, paths));
		json_set_i64(it, "mode", choose(c, 256) * 16);
	}
}

static void add_volume(struct choices *c, json_object *list)
{
	json_object *v = append_object(list), *from, *sources;

	json_set_str(v, "name", PICK(c, names));
	switch (choose(c, 6)) {
	case 0:
		from = object_in(v, "configMap");
		json_set_str(from, "name", PICK(c, names));
		fill_source(c, from);
		break;
	case 1:
		from = object_in(v, "secret");
		json_set_str(from, "secretName", PICK(c, names));
		fill_source(c, from);
		break;
	case 2:
		sources = list_in(object_in(v, "projected"), "sources");
		for (unsigned n = choose(c, 4); n; n--) {
			from = object_in(append_object(sources), choose(c, 2) ? "configMap" : "secret");
			json_set_str(from, "name", PICK(c, names));
			fill_source(c, from);
		}
		break;
	case 3:
		from = object_in(v, "hostPath");
		json_set_str(from, "path", PICK(c, folders));
		json_set_str(from, "type", PICK(c, types));
		break;
	case 4:
		fill_source(c, object_in(v, "downwardAPI"));
		break;
	default:
		(void)object_in(v, "emptyDir");
	}
}

static void add_container(struct choices *c, json_object *list)
{
	json_object *o = append_object(list), *mounts = list_in(o, "volumeMounts"), *env = list_in(o, "env"), *one;

	json_set_str(o, "name", "c");
	json_set_str(o, "image", "i");
	for (unsigned n = choose(c, 6); n; n--) {
		one = append_object(mounts);
		json_set_str(one, "name", PICK(c, names));
		json_set_str(one, "mountPath", PICK(c, folders));
		if (choose(c, 2))
			json_set_str(one, "subPath", PICK(c, paths));
		else if (!choose(c, 3))
			json_set_str(one, "subPathExpr", choose(c, 2) ? "$(A)/x" : "$$(B)$(");
	}
	for (unsigned n = choose(c, 3); n; n--) {
		one = append_object(env);
		json_set_str(one, "name", "A");
		if (choose(c, 2))
			json_set_str(one, "value", PICK(c, paths));
		else
			json_set_str(object_in(object_in(one, "valueFrom"), choose(c, 2) ? "secretKeyRef" : "configMapKeyRef"),
				     "name", "v");
	}
	if (choose(c, 2))
		json_set_str(o, "terminationMessagePath", PICK(c, folders));
}

static json_object *build(struct choices *c)
{
	json_object *doc = json_new_object(), *pod = object_in(doc, "pod"), *spec = object_in(pod, "spec");
	json_object *list, *data;

	json_set_str(object_in(pod, "metadata"), "name", "web");
	list = list_in(spec, "volumes");
	for (unsigned n = choose(c, 6); n; n--)
		add_volume(c, list);
	list = list_in(spec, "containers");
	for (unsigned n = 1 + choose(c, 2); n; n--)
		add_container(c, list);
	if (choose(c, 2))
		add_container(c, list_in(spec, "initContainers"));
	list = list_in(doc, "objects");
	for (unsigned n = choose(c, 4); n; n--) {
		json_object *o = append_object(list);

		json_set_str(o, "kind", choose(c, 2) ? "ConfigMap" : "Secret");
		json_set_str(object_in(o, "metadata"), "name", PICK(c, names));
		data = object_in(o, "data");
		for (unsigned k = choose(c, 4); k; k--)
			json_set_str(data, PICK(c, keys), choose(c, 2) ? "Zm9v" : "YQBi/w==");
	}
	return doc;
}

/* ---- what must hold ---- */

static enum render_lookup lookup(void *arg, const struct ref *r, const json_object **out_object, const char **out_why)
{
	const json_object *list = arg;

	*out_why = "it is unknown";
	for (size_t i = 0; i < json_len(list); i++) {
		if (!str_eq(json_get_str(json_at(list, i), "kind"), ref_kind_name(r->kind)) ||
		    !str_eq(json_get_str(json_at(list, i), "metadata.name"), r->name))
			continue;
		*out_object = json_at(list, i);
		return json_get(json_at(list, i), "unknown") ? LOOKUP_UNKNOWN : LOOKUP_FOUND;
	}
	return LOOKUP_MISSING;
}

/* Relative and clean: no empty name, no ".", no "..". */
static void check_path(const char *path)
{
	must(*path && strlen(path) < BUNDLE_PATH_MAX && !str_eq(path, BUNDLE_MARKER));
	for (const char *p = path;; p++) {
		size_t n = strcspn(p, "/");

		must(n && n <= 255 && !(n == 1 && *p == '.') && !(n == 2 && p[0] == '.' && p[1] == '.'));
		p += n;
		if (!*p)
			return;
	}
}

/* No path twice, and every one goes through folders: then all can be written. */
static void check_bundle(const struct bundle *b)
{
	size_t bytes = 0;

	must(b->count <= BUNDLE_FILES_MAX);
	for (size_t i = 0; i < b->count; i++) {
		const struct bundle_item *it = &b->items[i];

		check_path(it->path);
		bytes += it->len;
		must((it->mode & ~(mode_t)0777) == 0 && !(it->is_dir && it->len));
		for (size_t k = 0; k < b->count; k++) {
			size_t n = strlen(b->items[k].path);

			must(k == i || !str_eq(it->path, b->items[k].path));
			must(b->items[k].is_dir || strncmp(it->path, b->items[k].path, n) != 0 || it->path[n] != '/');
		}
	}
	must(bytes == b->bytes && bytes <= BUNDLE_BYTES_MAX);
}

/* A volume of the bundle is one of its folders. */
static void check_host_path(const json_object *v, const struct bundle *b)
{
	const char *path = json_get_str(v, "hostPath.path"), *name;
	bool found = false;

	if (!path || !str_has_prefix(path, DIR "/"))
		return;
	name = strrchr(path, '/') + 1;
	must(str_eq(name, json_get_str(v, "name")) && strlen(path) == strlen(DIR "/") + strlen(UID "/") + strlen(name));
	for (size_t i = 0; i < b->count; i++)
		found = found || (b->items[i].is_dir && str_eq(b->items[i].path, name));
	must(found);
}

static void check_volumes(const json_object *list, const struct bundle *b)
{
	static const char *const refused[] = { "configMap", "secret", "persistentVolumeClaim", "ephemeral", "csi" };

	for (size_t i = 0; i < json_len(list); i++) {
		const json_object *v = json_at(list, i), *sources = json_get(v, "projected.sources");

		for (size_t k = 0; k < ARRAY_LEN(refused); k++)
			must(!json_get_key(v, refused[k]));
		for (size_t k = 0; k < json_len(sources); k++)
			must(!json_get(json_at(sources, k), "configMap") && !json_get(json_at(sources, k), "secret") &&
			     !json_get(json_at(sources, k), "serviceAccountToken"));
		check_host_path(v, b);
	}
}

static void check_containers(const json_object *list)
{
	for (size_t i = 0; i < json_len(list); i++) {
		const json_object *env = json_get(json_at(list, i), "env");

		must(!json_len(json_get(json_at(list, i), "envFrom")));
		for (size_t k = 0; k < json_len(env); k++)
			must(!json_get(json_at(env, k), "valueFrom.secretKeyRef") &&
			     !json_get(json_at(env, k), "valueFrom.configMapKeyRef"));
	}
}

static void check_pod(const json_object *out, const struct bundle *b)
{
	static const char *const gone[] = { "serviceAccountName", "imagePullSecrets", "nodeName",
					    "affinity", "resourceClaims" };
	cleanup(freep) char *text = str_dup(json_text(out));
	cleanup(json_putp) json_object *again = NULL;

	must(json_parse(text, strlen(text), &again) == 0 && json_is_object(again));
	for (size_t i = 0; i < ARRAY_LEN(gone); i++)
		must(!json_get_key(json_get(out, "spec"), gone[i]));
	check_volumes(json_get(out, "spec.volumes"), b);
	check_containers(json_get(out, "spec.containers"));
	check_containers(json_get(out, "spec.initContainers"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup(json_wipe_putp) json_object *doc = NULL, *out = NULL;
	cleanup(bundle_fini) struct bundle bundle = { 0 };
	cleanup(buf_fini) struct buf why = BUF_INIT;
	struct render_params p = { .node = "node1", .epoch = 1, .original_uid = UID, .lookup = lookup,
				   .bundle_dir = DIR, .bundle = &bundle };
	char reason[REASON_SIZE] = "", judged[REASON_SIZE] = "";
	const json_object *pod;
	int r;

	if (size && *data == '{') {
		if (json_check((const char *)data, size, &why) < 0)
			return 0;
		must(json_parse((const char *)data, size, &doc) == 0);	/* what passes the check can be read */
	} else {
		doc = build(&(struct choices){ data, data + size });
	}
	pod = json_get(doc, "pod");
	p.lookup_arg = json_get(doc, "objects");
	r = render_static_pod(pod, &p, &out, reason);
	must(r == 0 ? out != NULL : r == RENDER_E_REFUSED && !out && *reason);
	if (out) {
		check_bundle(&bundle);
		check_pod(out, &bundle);
		p.ns = json_get_str(out, "metadata.namespace");
		must(render_check_template(pod, &p, judged) == 0);
	}
	return 0;
}
