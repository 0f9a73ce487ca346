/* token.c — the service account's token, which no static pod can have
 *
 * Admission mounts one into every pod that does not refuse it, whether it is used or not: a volume
 * kube-api-access-XXXXX of exactly the shape below (k8s.io/kubernetes/plugin/pkg/admission/serviceaccount,
 * TokenVolumeSource). That one is dropped, with the mounts that name it. Any other volume is the user's, whatever its
 * name is. The annotation edge-healer.io/needs-token says that the containers really use the token, or do not.
 *
 * A token of a ServiceAccount that somebody made for the pod is hardly there by accident: nobody can know, but it is said.
 * A content has no token volume any more; automountServiceAccountToken: true says there that it had one.
 */
#include "base/str.h"
#include "model/pod.h"
#include "node/render.h"
#include "node_int.h"

#define TOKEN_VOLUME_PREFIX "kube-api-access-"
#define TOKEN_MODE 0644 /* ProjectedVolumeSourceDefaultMode */

/* The one field of an object that has one, of that name. */
static const json_object *only(const json_object *o, const char *key)
{
	struct json_iter it = json_iter(o);

	return json_iter_next(&it) && str_eq(it.key, key) && !json_iter_next(&it) ? json_get_key(o, key) : NULL;
}

static bool shows_key(const json_object *source, const char *name, const char *key)
{
	const json_object *from = only(source, "configMap"), *items = json_get_key(from, "items");

	return str_eq(json_get_str(from, "name"), name) && json_len(items) == 1 &&
	       str_eq(json_get_str(json_at(items, 0), "key"), key) &&
	       str_eq(json_get_str(json_at(items, 0), "path"), key);
}

static bool shows_token(const json_object *source)
{
	const json_object *from = only(source, "serviceAccountToken");

	return str_eq(json_get_str(from, "path"), "token") && str_is_empty(json_get_str(from, "audience"));
}

static bool shows_namespace(const json_object *source)
{
	const json_object *items = json_get_key(only(source, "downwardAPI"), "items"), *one = json_at(items, 0);

	return json_len(items) == 1 && str_eq(json_get_str(one, "path"), "namespace") &&
	       str_eq(json_get_str(one, "fieldRef.fieldPath"), "metadata.namespace");
}

bool volume_is_token(const json_object *v)
{
	const char *name = json_get_str(v, "name");
	const json_object *sources = json_get(v, "projected.sources");
	size_t n = json_len(sources);

	if (!name || !str_has_prefix(name, TOKEN_VOLUME_PREFIX) ||
	    json_get_i64(v, "projected.defaultMode", TOKEN_MODE) != TOKEN_MODE)
		return false;
	if (!shows_token(json_at(sources, 0)) || !shows_key(json_at(sources, 1), "kube-root-ca.crt", "ca.crt") ||
	    !shows_namespace(json_at(sources, 2)))
		return false;
	return n == 3 || (n == 4 && shows_key(json_at(sources, 3), "openshift-service-ca.crt",
					      "service-ca.crt")); /* OpenShift's */
}

static bool mounts(const json_object *container, const char *volume)
{
	const json_object *list = json_get_key(container, "volumeMounts");

	for (size_t i = 0; i < json_len(list); i++)
		if (str_eq(json_get_str(json_at(list, i), "name"), volume))
			return true;
	return false;
}

static bool any_mounts(const json_object *spec, const char *containers, const char *volume)
{
	const json_object *list = json_get_key(spec, containers);

	for (size_t i = 0; i < json_len(list); i++)
		if (mounts(json_at(list, i), volume))
			return true;
	return false;
}

static bool has_token(const json_object *spec)
{
	const json_object *volumes = json_get_key(spec, "volumes");

	for (size_t i = 0; i < json_len(volumes); i++) {
		const char *name = json_get_str(json_at(volumes, i), "name");

		if (volume_is_token(json_at(volumes, i)))
			return any_mounts(spec, "containers", name) || any_mounts(spec, "initContainers", name);
	}
	return false;
}

static const char *account_of(const json_object *spec)
{
	const char *name = json_get_str(spec, "serviceAccountName");

	return str_is_empty(name) || str_eq(name, "default") ? NULL : name;
}

void token_mark(json_object *spec)
{
	if (has_token(spec) && account_of(spec))
		json_set_bool(spec, "automountServiceAccountToken", true);
	else if (account_of(spec))
		json_remove(spec, "automountServiceAccountToken");
}

const char *render_own_account(const json_object *meta, const json_object *spec)
{
	const json_object *notes = json_get_key(meta, "annotations");

	if (str_eq(json_str(json_get_key(notes, ANNOTATION_NEEDS_TOKEN)), "false"))
		return NULL;
	return has_token(spec) || json_get_bool(spec, "automountServiceAccountToken", false) ? account_of(spec) : NULL;
}

static json_object *without_named(const json_object *list, const char *name)
{
	json_object *out = json_new_array();

	for (size_t i = 0; i < json_len(list); i++)
		if (!str_eq(json_get_str(json_at(list, i), "name"), name))
			json_append(out, json_share(json_at(list, i)));
	return out;
}

static void drop_mounts(json_object *spec, const char *containers, const char *volume)
{
	const json_object *list = json_get_key(spec, containers);
	json_object *out;

	if (!list)
		return;
	out = json_new_array();
	for (size_t i = 0; i < json_len(list); i++) {
		const json_object *from = json_at(list, i);
		json_object *container = mounts(from, volume) ? json_copy_shallow(from) : json_share(from);

		if (mounts(from, volume))
			json_set(container, "volumeMounts", without_named(json_get_key(from, "volumeMounts"), volume));
		json_append(out, container);
	}
	json_set(spec, containers, out);
}

/* What lies below `spec` may be shared with another document: it is replaced, not changed. */
void token_drop(json_object *spec)
{
	json_object *volumes = json_get_key(spec, "volumes");

	for (size_t i = json_len(volumes); i-- > 0;) {
		cleanup(freep) char *name = NULL;

		if (!volume_is_token(json_at(volumes, i)))
			continue;
		name = str_dup(json_get_str(json_at(volumes, i), "name"));
		drop_mounts(spec, "initContainers", name);
		drop_mounts(spec, "containers", name);
		json_set(spec, "volumes", without_named(volumes, name));
		volumes = json_get_key(spec, "volumes");
	}
}

int token_check(const json_object *meta, const json_object *spec, const struct render_params *p, char reason[REASON_SIZE])
{
	const json_object *needs = json_get_key(json_get(meta, "annotations"), ANNOTATION_NEEDS_TOKEN);
	const char *text = json_str(needs), *mark = text ? "\"" : "", *account = render_own_account(meta, spec);

	if (!needs && account && p->no_own_account)
		return refuse(reason, "spec.serviceAccountName: a token of %.60s is mounted and no copy can have one "
			      "(heal.own_service_account)", account);
	if (!needs || str_eq(text, "false"))
		return 0;
	if (str_eq(text, "true"))
		return refuse(reason, "annotation %s: a service account token needs the API server",
			      ANNOTATION_NEEDS_TOKEN);
	return refuse(reason, "annotation %s: invalid value %s%.40s%s, allowed are \"true\" and \"false\"",
		      ANNOTATION_NEEDS_TOKEN, mark, text ? text : json_text(needs), mark);
}
