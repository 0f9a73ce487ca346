/* name.c — see the header */
#include "model/name.h"

#include <stddef.h>
#include <string.h>

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Labels of small letters, digits and inner hyphens, with `dots` between them. */
static bool is_name(const char *s, size_t max, bool dots)
{
	char before = '.';

	if (!s || strlen(s) > max)
		return false;
	for (; *s; before = *s++) {
		bool edge = before == '.' || s[1] == '.' || s[1] == '\0';

		if (!is_alnum(*s) && !(*s == '-' && !edge) && !(dots && *s == '.' && before != '.' && before != '-' && s[1]))
			return false;
	}
	return before != '.';
}

bool name_is_subdomain(const char *s)
{
	return is_name(s, NAME_SUBDOMAIN_MAX, true);
}

bool name_is_label(const char *s)
{
	return is_name(s, NAME_LABEL_MAX, false);
}

bool name_is_uid(const char *s)
{
	static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	size_t i;

	if (!s)
		return false;
	for (i = 0; shape[i]; i++) {
		bool hex = (s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f');

		if (shape[i] == 'x' ? !hex : s[i] != shape[i])
			return false;
	}
	return s[i] == '\0';
}
