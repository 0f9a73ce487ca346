/* ref.c — names of references */
#include "model/ref.h"

#include <stdio.h>

const char *ref_kind_name(enum ref_kind k)
{
	return k == REF_SECRET ? "Secret" : "ConfigMap";
}

void ref_key(const struct ref *r, char out[REF_KEY_SIZE])
{
	(void)snprintf(out, REF_KEY_SIZE, "%s/%s/%s", ref_kind_name(r->kind), r->ns, r->name);
}
