/* env.c — variables from ConfigMaps and Secrets as literals
 *
 * The rule is that of kubelet (pkg/kubelet/kubelet_pods.go, makeEnvironmentVariables):
 *   1. envFrom in the order of its list, each key with the prefix; a later source replaces a key of an earlier one
 *   2. env in the order of its list; each may use what came before it, also from envFrom, as $(NAME)
 *   3. only env[].value is expanded; what comes from an object is taken as it is
 * So the literals of envFrom come first and env follows as it is. Their order among each other does not matter, since
 * they expand nothing. A name may then be there twice: the later one wins in kubelet too, and what lies between sees
 * the earlier value, as in the original pod.
 *
 * Because a literal is expanded by kubelet, each `$` of a value that came from an object is doubled: expansion makes
 * one of it again, and what looked like $(NAME) stays text. An optional key or object that is not there leaves its
 * variable out.
 *
 * kubelet takes every key of envFrom for a variable since 1.30; but here the names stand in a static pod, which is refused
 * whole if one of them is not allowed. Since 1.34 (RelaxedEnvironmentVariableValidation is GA) that is all printable ASCII
 * but '='. Below, the strict rule: [-._a-zA-Z][-._a-zA-Z0-9]*, neither "." nor beginning with ".."; what it does not allow
 * is left out, as kubelet itself did before 1.30.
 */
#include <ctype.h>
#include <stdio.h>

#include "base/str.h"
#include "base/utf8.h"
#include "node_int.h"

static bool is_printable(const char *s)
{
	for (; *s; s++)
		if (*s < ' ' || *s > '~' || *s == '=')
			return false;
	return true;
}

static bool is_env_name(const char *s, bool relaxed)
{
	if (*s && relaxed)
		return is_printable(s);
	if (!*s || isdigit((unsigned char)*s) || str_eq(s, ".") || str_has_prefix(s, ".."))
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("-._", *s))
			return false;
	return true;
}

/* UTF-8 without NUL: anything else cannot be a variable (nor JSON text). */
static bool is_text(const struct value *v)
{
	return !memchr(v->data, '\0', v->len) && utf8_length(v->data, v->len) == v->len;
}

/* The value with each `$` doubled, as JSON text. */
static json_object *literal_of(const struct value *v)
{
	const char *p = v->data;
	json_object *holder = json_new_object(), *out;
	size_t n = 0, size = 2 * v->len + 1;
	char *text = mem_calloc(size, 1);

	for (size_t i = 0; i < v->len; i++) {
		if (p[i] == '$')
			text[n++] = '$';
		text[n++] = p[i];
	}
	json_set_str(holder, "v", text);
	out = json_ref(json_get_key(holder, "v"));
	json_putp(&holder);
	secret_free(text, size);
	return out;
}

static void add_var(json_object *list, const char *name, json_object *value)
{
	json_object *e = json_new_object();

	json_set_str(e, "name", name);
	json_set(e, "value", value);
	json_append(list, e);
}

static int take_value(const struct resolver *rs, const struct ref *ref, const json_object *o, const char *key, const char *where,
		      json_object **out_literal)
{
	cleanup(value_fini) struct value v = { 0 };
	int r = resolver_value(rs, ref, o, key, false, where, &v);

	if (r)
		return r;
	if (rs->params->no_secret_env && ref->kind == REF_SECRET)
		return refuse(rs->reason, "%s: a value of Secret %s would be a literal (heal.secret_env)", where, ref->name);
	if (!is_text(&v))
		return refuse(rs->reason, "%s: key %s of %s %s is no text", where, key, ref_kind_name(ref->kind), ref->name);
	*out_literal = literal_of(&v);
	return 0;
}

static void merge_var(json_object *merged, const char *name, json_object *literal)
{
	json_wipe(json_get_key(merged, name));
	json_set(merged, name, literal);
}

/* All keys of one source into `merged`: name → literal. */
static int merge_source(const struct resolver *rs, const json_object *source, const char *where, json_object *merged)
{
	bool secret = json_get_key(source, "secretRef") != NULL;
	const json_object *from = json_get_key(source, secret ? "secretRef" : "configMapRef"), *o = NULL;
	const struct ref ref = { secret ? REF_SECRET : REF_CONFIG_MAP, rs->ns, json_get_str(from, "name"),
				 json_get_bool(from, "optional", false) };
	const char *prefix = str_or(json_get_str(source, "prefix"), "");
	static const char *const maps[] = { "data", "stringData" };
	int r = resolver_find(rs, &ref, where, &o);

	for (size_t i = 0; !r && i < (secret ? 2 : 1); i++) {
		struct json_iter it = json_iter(json_get_key(o, maps[i]));

		while (!r && json_iter_next(&it)) {
			cleanup(freep) char *name = str_format("%s%s", prefix, it.key);
			json_object *literal = NULL;

			if (!is_env_name(name, rs->params->relaxed_env))
				continue;
			r = take_value(rs, &ref, o, it.key, where, &literal);
			if (!r)
				merge_var(merged, name, literal);
		}
	}
	return r;
}

static int add_from(const struct resolver *rs, const json_object *from, const char *where, json_object *out)
{
	json_object *merged = json_new_object();
	struct json_iter it;
	int r = 0;

	for (size_t i = 0; !r && i < json_len(from); i++) {
		char at[96];

		(void)snprintf(at, sizeof(at), "%s.envFrom[%zu]", where, i);
		r = merge_source(rs, json_at(from, i), at, merged);
	}
	for (it = json_iter(merged); !r && json_iter_next(&it);)
		add_var(out, it.key, json_ref(it.value));
	if (r)
		json_wipe(merged);
	json_putp(&merged);
	return r;
}

static int add_one(const struct resolver *rs, const json_object *e, const char *where, json_object *out)
{
	const json_object *source = json_get_key(e, "valueFrom"), *secret = json_get_key(source, "secretKeyRef");
	const json_object *from = secret ? secret : json_get_key(source, "configMapKeyRef"), *o = NULL;
	const struct ref ref = { secret ? REF_SECRET : REF_CONFIG_MAP, rs->ns, json_get_str(from, "name"),
				 json_get_bool(from, "optional", false) };
	const char *name = str_or(json_get_str(e, "name"), "?");
	json_object *literal = NULL;
	int r;

	if (!from || !str_is_empty(json_get_str(e, "value"))) {
		json_append(out, json_ref(e));
		return 0;
	}
	r = resolver_find(rs, &ref, where, &o);
	if (r || !o)
		return r;
	r = take_value(rs, &ref, o, str_or(json_get_str(from, "key"), ""), where, &literal);
	if (r == 0)
		add_var(out, name, literal);
	return r == RESOLVE_E_NO_KEY ? (ref.optional ? 0 : RENDER_E_REFUSED) : r;
}

int env_render(const struct resolver *rs, json_object *container, const char *where)
{
	const json_object *env = json_get_key(container, "env"), *from = json_get_key(container, "envFrom");
	json_object *out;
	int r;

	if (!json_len(env) && !json_len(from))
		return 0;
	out = json_new_array();
	r = add_from(rs, from, where, out);
	for (size_t i = 0; !r && i < json_len(env); i++) {
		char at[352];

		(void)snprintf(at, sizeof(at), "%s.env[%zu] (%.255s)", where, i,
			       str_or(json_get_str(json_at(env, i), "name"), "?"));
		r = add_one(rs, json_at(env, i), at, out);
	}
	if (r) {
		json_putp(&out);
		return r;
	}
	json_remove(container, "envFrom");
	json_set(container, "env", out);
	return 0;
}
