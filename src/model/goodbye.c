/* goodbye.c — the words for why a healer goes */
#include "model/goodbye.h"

const char *goodbye_name(enum goodbye reason)
{
	static const char *const names[GOODBYE_COUNT] = { "stopping", "rollout", "removal" };

	return names[reason];
}
