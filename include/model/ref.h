/* model/ref.h — a ConfigMap or Secret that a pod template refers to */
#pragma once
#include <stdbool.h>

enum ref_kind { REF_CONFIG_MAP, REF_SECRET };

struct ref {
	enum ref_kind kind;
	const char *ns, *name;
	bool optional;			/* the pod runs without it */
};

/* Kind, namespace and name as one text. Names are RFC 1123 subdomains of at most 253 bytes, namespaces labels of at most 63. */
#define REF_KEY_SIZE 336
void ref_key(const struct ref *r, char out[REF_KEY_SIZE]);	/* "Secret/shop/tls" */
const char *ref_kind_name(enum ref_kind k);			/* "ConfigMap", "Secret" */
