/* refs.c — walking a pod's spec for what it refers to
 *
 * Each place is a row: where the reference is, what kind it is of, and how its name is called there.
 */
#include "node/refs.h"

#include "model/pod.h"
#include "node_int.h"

struct walk {
	const char *ns;
	void (*fn)(void *arg, const struct ref *r);
	void *arg;
	size_t count;
};

static void visit(struct walk *w, enum ref_kind kind, const json_object *source, const char *name_key, bool optional)
{
	const char *name = json_str(json_get_key(source, name_key));

	if (str_is_empty(name) || w->count == REFS_MAX)
		return;
	w->count++;
	w->fn(w->arg, &(struct ref){ .kind = kind, .ns = w->ns, .name = name,
				     .optional = optional || json_get_bool(source, "optional", false) });
}

/* An object that has one of two keys, each a source of its kind. */
static void visit_either(struct walk *w, const json_object *o, const char *config_map, const char *secret, const char *secret_name)
{
	visit(w, REF_CONFIG_MAP, json_get_key(o, config_map), "name", false);
	visit(w, REF_SECRET, json_get_key(o, secret), secret_name, false);
}

static void visit_containers(struct walk *w, const json_object *list)
{
	for (size_t i = 0; i < json_len(list); i++) {
		const json_object *from = json_get_key(json_at(list, i), "envFrom"), *env = json_get_key(json_at(list, i), "env");

		for (size_t k = 0; k < json_len(from); k++)
			visit_either(w, json_at(from, k), "configMapRef", "secretRef", "name");
		for (size_t k = 0; k < json_len(env); k++)
			visit_either(w, json_get_key(json_at(env, k), "valueFrom"), "configMapKeyRef", "secretKeyRef", "name");
	}
}

static void visit_volumes(struct walk *w, const json_object *list)
{
	for (size_t i = 0; i < json_len(list); i++) {
		const json_object *v = json_at(list, i), *sources = json_get(v, "projected.sources");

		if (volume_is_token(v))
			continue;
		visit_either(w, v, "configMap", "secret", "secretName");
		for (size_t k = 0; k < json_len(sources); k++)
			visit_either(w, json_at(sources, k), "configMap", "secret", "name");
	}
}

size_t refs_each(const json_object *pod, const char *ns, void (*fn)(void *arg, const struct ref *r), void *arg)
{
	struct walk w = { .ns = ns, .fn = fn, .arg = arg };
	const json_object *spec = json_get_key(pod, "spec"), *pulls = json_get_key(spec, "imagePullSecrets");

	visit_containers(&w, json_get_key(spec, "initContainers"));
	visit_containers(&w, json_get_key(spec, "containers"));
	visit_volumes(&w, json_get_key(spec, "volumes"));
	for (size_t i = 0; i < json_len(pulls); i++)	/* a copy runs without them: its image is there already */
		visit(&w, REF_SECRET, json_at(pulls, i), "name", true);
	return w.count;
}
