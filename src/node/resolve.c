/* resolve.c — from a reference to bytes
 *
 * An optional object that is known not to exist counts as empty; one of which we know nothing (not mirrored yet,
 * unreadable) is refused, optional or not: a copy that silently lacks its configuration is worse than none.
 */
#include <errno.h>
#include <stdio.h>

#include "base/base64.h"
#include "base/str.h"
#include "node_int.h"

int resolver_find(const struct resolver *rs, const struct ref *ref, const char *where, const json_object **out_object)
{
	const struct render_params *p = rs->params;
	const json_object *o = NULL;
	const char *why = "";

	if (str_is_empty(ref->name))
		return refuse(rs->reason, "%s: needs a %s without a name", where, ref_kind_name(ref->kind));
	if (!p->lookup)
		return refuse(rs->reason, "%s: needs %s %s", where, ref_kind_name(ref->kind), ref->name);
	switch (p->lookup(p->lookup_arg, ref, &o, &why)) {
	case LOOKUP_FOUND:
		break;
	case LOOKUP_MISSING:
		if (!ref->optional)
			return refuse(rs->reason, "%s: %s %s is missing", where, ref_kind_name(ref->kind), ref->name);
		o = NULL;
		break;
	case LOOKUP_UNKNOWN:
		return refuse(rs->reason, "%s: %s %s is not mirrored: %s", where, ref_kind_name(ref->kind), ref->name, why);
	}
	*out_object = o;
	return 0;
}

void value_fini(struct value *v)
{
	secret_free(v->data, v->len);
	*v = (struct value){ 0 };
}

static int take_text(const char *text, struct value *out)
{
	out->len = strlen(text);
	out->data = str_ndup(text, out->len);
	return 0;
}

int resolver_value(const struct resolver *rs, const struct ref *ref, const json_object *object, const char *key, bool binary,
		   const char *where, struct value *out_value)
{
	const char *plain = json_str(json_get_key(json_get_key(object, ref->kind == REF_SECRET ? "stringData" : "data"), key));
	const char *coded = json_str(json_get_key(json_get_key(object, ref->kind == REF_SECRET ? "data" : "binaryData"), key));

	if (plain)			/* a Secret's stringData: only in files written by hand, and above data */
		return take_text(plain, out_value);
	if (coded && (ref->kind == REF_SECRET || binary)) {
		if (b64_decode(coded, &out_value->data, &out_value->len) == 0)
			return 0;
		return refuse(rs->reason, "%s: key %s of %s %s is no base64", where, key, ref_kind_name(ref->kind), ref->name);
	}
	(void)refuse(rs->reason, "%s: %s %s has no key %s", where, ref_kind_name(ref->kind), ref->name, key);
	return RESOLVE_E_NO_KEY;
}
