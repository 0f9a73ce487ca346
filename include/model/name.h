/* model/name.h — names and uids as the API server checks them
 *
 * They become paths and file names: what it would never have admitted is not taken from anybody, not from the API server itself.
 */
#pragma once
#include <stdbool.h>

#define NAME_SUBDOMAIN_MAX 253		/* RFC 1123; apimachinery, pkg/util/validation: DNS1123SubdomainMaxLength */
#define NAME_LABEL_MAX 63		/* DNS1123LabelMaxLength; namespaces are labels */

bool name_is_subdomain(const char *s);	/* false for NULL and "" too, as below */
bool name_is_label(const char *s);
/* A UUID as text, of any version: 8-4-4-4-12 hexadecimal digits, in small letters as the API server writes them. */
bool name_is_uid(const char *s);
