/* render.c — making a pod self-contained
 *
 * Three passes: first everything that would need the API server is looked for and refused with its field, then what a
 * static pod may not carry or does not need is dropped from a copy, then what it takes from ConfigMaps and Secrets
 * becomes literals (env.c) and files (volumes.c, mountpoints.c). The token is in token.c, the hostname in hostname.c.
 */
#include "node/render.h"

#include <errno.h>
#include <stdio.h>

#include "base/str.h"
#include "model/image.h"
#include "model/name.h"
#include "model/pod.h"
#include "model/request.h"
#include "node/manifest.h"
#include "node_int.h"

#define POD_NAME_MAX 253		/* RFC 1123 subdomain */
#define OS "linux"
#define META_MAX 2048			/* what a copy has besides its template: names, uids, our annotations */
#define ANNOTATION_LAST_APPLIED "kubectl.kubernetes.io/last-applied-configuration"

int refuse(char reason[REASON_SIZE], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(reason, REASON_SIZE, fmt, ap);
	va_end(ap);
	return RENDER_E_REFUSED;
}

/* ---- what cannot be made self-contained ---- */

/* RFC 6761: a host below .invalid never exists, so such an image can be neither present nor pulled. */
static bool image_is_impossible(const char *image)
{
	size_t host = strcspn(image, "/");
	size_t name = strcspn(image, ":/");
	size_t n = name < host ? name : host;

	return image[host] == '/' && n > 8 && strncmp(image + n - 8, ".invalid", 8) == 0;
}

static bool image_is_listed(const struct render_params *p, const char *image)
{
	cleanup(buf_fini) struct buf wanted = BUF_INIT, listed = BUF_INIT;

	image_name(image, &wanted);
	for (size_t i = 0; i < p->image_count; i++) {
		buf_clear(&listed);
		image_name(p->images[i], &listed);
		if (str_eq(listed.data, wanted.data))
			return true;
	}
	return !p->images;
}

static int check_container(const json_object *c, const char *where, const struct render_params *p,
			   char reason[REASON_SIZE])
{
	const char *image = json_get_str(c, "image");

	if (str_is_empty(image))
		return refuse(reason, "%s.image: required", where);
	if (image_is_impossible(image) || !image_is_listed(p, image))
		return refuse(reason, "%s.image: %s is not on this node and nothing can be pulled offline", where, image);
	if (json_len(json_get(c, "resources.claims")))
		return refuse(reason, "%s.resources.claims: resource claims need the API server", where);
	return 0;
}

static int check_containers(const json_object *spec, const char *key, const struct render_params *p,
			    char reason[REASON_SIZE])
{
	const json_object *list = json_get_key(spec, key);

	for (size_t i = 0; i < json_len(list); i++) {
		char where[64];
		int r;

		(void)snprintf(where, sizeof(where), "spec.%s[%zu]", key, i);
		r = check_container(json_at(list, i), where, p, reason);
		if (r)
			return r;
	}
	return 0;
}

/* The volume types that live on the node alone, or are made to (volumes.c). */
static bool volume_is_local(const json_object *v)
{
	return json_get(v, "emptyDir") || json_get(v, "hostPath") || json_get(v, "downwardAPI") || json_get(v, "nfs") ||
	       json_get(v, "configMap") || json_get(v, "secret");
}

static const struct { const char *key, *what, *name; } refused_volumes[] = {
	{ "persistentVolumeClaim", "PersistentVolumeClaim", "persistentVolumeClaim.claimName" },
	{ "ephemeral", "an ephemeral PersistentVolumeClaim", NULL },
	{ "csi", "CSI driver", "csi.driver" },
};

static int check_projected(const json_object *v, size_t at, char reason[REASON_SIZE])
{
	const json_object *sources = json_get(v, "projected.sources");

	for (size_t i = 0; i < json_len(sources); i++) {
		const json_object *s = json_at(sources, i);
		struct json_iter it = json_iter(s);

		while (json_iter_next(&it)) {
			if (str_eq(it.key, "downwardAPI") || str_eq(it.key, "configMap") || str_eq(it.key, "secret"))
				continue;
			return refuse(reason, "spec.volumes[%zu].projected.sources[%zu]: needs %s %s", at, i, it.key,
				      str_or(json_get_str(it.value, "name"), ""));
		}
	}
	return 0;
}

static int check_volume(const json_object *v, size_t at, char reason[REASON_SIZE])
{
	if (volume_is_token(v) || volume_is_local(v))
		return 0;
	if (json_get(v, "projected"))
		return check_projected(v, at, reason);
	for (size_t i = 0; i < ARRAY_LEN(refused_volumes); i++)
		if (json_get_key(v, refused_volumes[i].key))
			return refuse(reason, "spec.volumes[%zu]: needs %s %s", at, refused_volumes[i].what,
				      refused_volumes[i].name ? str_or(json_get_str(v, refused_volumes[i].name), "?") : "");
	if (json_is_object(v)) {
		struct json_iter it = json_iter(v);

		while (json_iter_next(&it))
			if (!str_eq(it.key, "name"))
				return refuse(reason, "spec.volumes[%zu]: volume type %s is not known to work offline", at,
					      it.key);
	}
	return 0;			/* no type given: an emptyDir by Kubernetes' defaults */
}

/* `have` NULL: only whether its requests can be read. */
static int check_capacity(const json_object *spec, const struct resources *have, char reason[REASON_SIZE])
{
	char fault[REQUEST_FAULT_SIZE];
	struct resources want;

	if (pod_request(spec, NULL, &want, fault) < 0)
		return refuse(reason, "%s", fault);
	if (have && want.cpu_milli > have->cpu_milli)
		return refuse(reason, "requests %lldm CPU, this node has %lldm", (long long)want.cpu_milli,
			      (long long)have->cpu_milli);
	if (have && want.mem_bytes > have->mem_bytes)
		return refuse(reason, "requests %lld bytes of memory, this node has %lld", (long long)want.mem_bytes,
			      (long long)have->mem_bytes);
	return 0;
}

static int check_os(const json_object *spec, char reason[REASON_SIZE])
{
	const char *os = json_get_str(spec, "os.name");

	if (!json_get_key(spec, "os") || str_eq(os, OS))
		return 0;
	if (!os)
		return refuse(reason, "spec.os.name: required");
	return refuse(reason, "spec.os.name: %.40s, but this node runs " OS, os);
}

static int check_spec(const json_object *meta, const json_object *spec, const struct render_params *p,
		      char reason[REASON_SIZE])
{
	const json_object *volumes = json_get(spec, "volumes");
	const char *ns = str_or(json_get_str(meta, "namespace"), str_or(p->ns, "default"));
	int r;

	if (json_len(json_get(spec, "containers")) == 0)
		return refuse(reason, "spec.containers: required");
	if (json_len(json_get(spec, "resourceClaims")))
		return refuse(reason, "spec.resourceClaims: resource claims need the API server");
	r = token_check(meta, spec, p, reason);
	r = r ? r : check_os(spec, reason);
	r = r ? r : hostname_check(spec, json_get_str(meta, "name"), ns, p, reason);
	r = r ? r : check_containers(spec, "initContainers", p, reason);
	r = r ? r : check_containers(spec, "containers", p, reason);
	for (size_t i = 0; !r && i < json_len(volumes); i++)
		r = check_volume(json_at(volumes, i), i, reason);
	return r ? r : check_capacity(spec, p->capacity, reason);
}

/* ---- names ---- */

static int check_name(const char *name, const struct render_params *p, char reason[REASON_SIZE])
{
	if (str_is_empty(name))
		return refuse(reason, "metadata.name: required");
	if (!name_is_subdomain(name))
		return refuse(reason, "metadata.name: %.60s is not a lowercase RFC 1123 subdomain", name);
	if (strlen(name) + 1 + strlen(str_or(p->node, "")) > POD_NAME_MAX)
		return refuse(reason, "metadata.name: with -%.60s behind it longer than %d", str_or(p->node, ""), POD_NAME_MAX);
	return 0;
}

/* ---- dropping ---- */

static const char *const dropped_spec[] = {
	"serviceAccountName", "serviceAccount", "imagePullSecrets", "nodeName", "nodeSelector", "affinity",
	"topologySpreadConstraints", "schedulerName", "schedulingGates", "priority", "preemptionPolicy",
	"ephemeralContainers",
};
static const char *const kept_meta[] = { "name", "namespace", "labels", "annotations" };

static void prepare_containers(json_object *spec, const char *key)
{
	json_object *list = json_get_key(spec, key);

	for (size_t i = 0; i < json_len(list); i++) {
		json_object *c = json_at(list, i);

		if (!str_eq(json_get_str(c, "imagePullPolicy"), "Never"))
			json_set_str(c, "imagePullPolicy", "IfNotPresent");
	}
}

static void prepare_spec(json_object *spec)
{
	for (size_t i = 0; i < ARRAY_LEN(dropped_spec); i++)
		json_remove(spec, dropped_spec[i]);
	token_drop(spec);
	prepare_containers(spec, "initContainers");
	prepare_containers(spec, "containers");
	json_set_bool(spec, "automountServiceAccountToken", false);
}

static json_object *prepare_annotations(const json_object *meta, const char *uid, const struct render_params *p)
{
	json_object *a = json_copy(json_get(meta, "annotations"));
	char text[16];

	a = a ? a : json_new_object();
	json_remove(a, ANNOTATION_LAST_APPLIED);
	json_remove(a, ANNOTATION_MIRROR);
	json_remove(a, "kubernetes.io/config.hash");
	json_remove(a, "kubernetes.io/config.seen");
	json_remove(a, "kubernetes.io/config.source");
	if (uid) {
		(void)snprintf(text, sizeof(text), "%u", p->epoch);
		json_set_str(a, ANNOTATION_ORIGINAL_UID, uid);
		json_set_str(a, ANNOTATION_EPOCH, text);
	}
	json_set_str(a, ANNOTATION_WORKLOAD_UID, p->workload_uid);
	return a;
}

static json_object *prepare_meta(const json_object *meta, const struct render_params *p)
{
	const char *uid = p->original_uid ? p->original_uid : json_get_str(meta, "uid");
	json_object *out = json_new_object();
	char fresh[UUID_TEXT_SIZE];

	for (size_t i = 0; i < ARRAY_LEN(kept_meta); i++) {
		json_object *v = json_copy(json_get_key(meta, kept_meta[i]));

		if (v)
			json_set(out, kept_meta[i], v);
	}
	if (!json_get(out, "namespace"))
		json_set_str(out, "namespace", str_or(p->ns, "default"));
	json_set(out, "annotations", prepare_annotations(meta, uid, p));
	if (uid) {
		render_uid(uid, p->epoch, fresh);
		json_set_str(out, "uid", fresh);
	}
	return out;
}

void render_uid(const char *uid, uint32_t epoch, char out[UUID_TEXT_SIZE])
{
	char name[64];

	(void)snprintf(name, sizeof(name), "edge-healer.io/epoch/%u", epoch);
	uuid5(uid, name, out);
}

/* What names the folder of its files: its uid, or (a pod written by hand) one made of its name. */
static const char *bundle_uid(const json_object *out, const struct render_params *p, char made[UUID_TEXT_SIZE])
{
	const char *uid = json_get_str(out, "metadata.uid");
	cleanup(freep) char *name = NULL;

	if (uid)
		return uid;
	name = str_format("%s/%s", json_get_str(out, "metadata.namespace"), json_get_str(out, "metadata.name"));
	render_uid(name, p->epoch, made);
	return made;
}

static int resolve_containers(const struct resolver *rs, json_object *spec, const char *key)
{
	json_object *list = json_get_key(spec, key);
	int r = 0;

	for (size_t i = 0; !r && i < json_len(list); i++) {
		char where[64];

		(void)snprintf(where, sizeof(where), "spec.%s[%zu]", key, i);
		r = env_render(rs, json_at(list, i), where);
	}
	return r;
}

/* What the spec takes from ConfigMaps and Secrets becomes part of it, or of the bundle. */
static int resolve_spec(const struct render_params *p, const char *ns, json_object *spec, const char *uid,
			char reason[REASON_SIZE])
{
	cleanup(bundle_fini) struct bundle judged = { 0 };
	const struct resolver rs = { .params = p, .ns = ns, .reason = reason, .bundle = p->bundle ? p->bundle : &judged,
				     .keeps_data = p->bundle != NULL };
	int r = resolve_containers(&rs, spec, "initContainers");

	r = r ? r : resolve_containers(&rs, spec, "containers");
	return r ? r : volumes_render(&rs, spec, uid);
}

/* `more` bytes are added to it later. */
static int check_size(const json_object *o, size_t more, char reason[REASON_SIZE])
{
	const char *text = json_text(o);
	size_t n = strlen(text) + more;

	json_wipe_text(text);		/* there may be values of Secrets in it */
	if (n <= MANIFEST_MAX)
		return 0;
	return refuse(reason, "the manifest has %zu bytes, kubelet reads at most %d", n, MANIFEST_MAX);
}

int render_static_pod(const json_object *pod, const struct render_params *p, json_object **out_pod,
		      char reason[REASON_SIZE])
{
	const json_object *meta = json_get(pod, "metadata"), *spec = json_get(pod, "spec");
	const char *kind = json_get_str(pod, "kind");
	char uid[UUID_TEXT_SIZE];
	json_object *out, *fresh;
	int r;

	if (kind && !str_eq(kind, "Pod"))
		return refuse(reason, "kind: %.40s is not a Pod", kind);
	if (!json_is_object(meta) || !json_is_object(spec))
		return refuse(reason, "metadata and spec: required");
	r = check_name(json_get_str(meta, "name"), p, reason);
	r = r ? r : check_spec(meta, spec, p, reason);
	if (r)
		return r;
	out = json_new_object();
	fresh = json_copy(spec);
	prepare_spec(fresh);
	hostname_keep(fresh, json_get_str(meta, "name"));
	json_set_str(out, "apiVersion", "v1");
	json_set_str(out, "kind", "Pod");
	json_set(out, "metadata", prepare_meta(meta, p));
	json_set(out, "spec", fresh);
	r = resolve_spec(p, json_get_str(out, "metadata.namespace"), fresh, bundle_uid(out, p, uid), reason);
	r = r ? r : check_size(out, 0, reason);
	if (r) {
		json_wipe_putp(&out);
		return r;
	}
	*out_pod = out;
	return 0;
}

int render_check_template(const json_object *tmpl, const struct render_params *params, char reason[REASON_SIZE])
{
	static const struct render_params none = { 0 };
	const struct render_params *of = params ? params : &none;
	struct render_params p = { .ns = of->ns, .lookup = of->lookup, .lookup_arg = of->lookup_arg,
				   .cluster_domain = of->cluster_domain, .no_secret_env = of->no_secret_env,
				   .relaxed_env = of->relaxed_env, .no_own_account = of->no_own_account };
	cleanup(json_wipe_putp) json_object *spec = NULL;
	int r;

	if (!json_is_object(json_get(tmpl, "spec")))
		return refuse(reason, "spec.template.spec: required");
	r = check_spec(json_get(tmpl, "metadata"), json_get(tmpl, "spec"), &p, reason);
	if (r)
		return r;
	spec = json_copy(json_get(tmpl, "spec"));
	prepare_spec(spec);
	r = resolve_spec(&p, str_or(p.ns, "default"), spec, NULL, reason);
	return r ? r : check_size(spec, META_MAX + strlen(json_text(json_get(tmpl, "metadata"))), reason);
}

const char *render_runtime_class(const json_object *spec)
{
	const char *name = json_get_str(spec, "runtimeClassName");

	return str_is_empty(name) ? NULL : name;
}

json_object *render_pod_of_template(const json_object *tmpl, const char *ns, const char *name, const char *uid)
{
	json_object *pod = json_new_object();
	json_object *meta = json_copy(json_get(tmpl, "metadata")), *spec = json_copy(json_get(tmpl, "spec"));

	meta = meta ? meta : json_new_object();
	json_set_str(meta, "name", name);
	json_set_str(meta, "namespace", ns);
	json_set_str(meta, "uid", uid);
	json_set_str(pod, "apiVersion", "v1");
	json_set_str(pod, "kind", "Pod");
	json_set(pod, "metadata", meta);
	json_set(pod, "spec", spec ? spec : json_new_object());
	return pod;
}
