/* base/uuid.h — name-based UUIDs (RFC 9562, version 5) */
#pragma once
#include <stddef.h>

#define UUID_TEXT_SIZE 37

/* Version 5 of `name` in the namespace `ns`: a UUID as text, or any other text (then hashed as it is). */
void uuid5(const char *ns, const char *name, char out[UUID_TEXT_SIZE]);
