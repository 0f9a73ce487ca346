/* err.c — the trail of an unexpected outcome */
#include "base/err.h"

#include <string.h>

int err_unexpected(int r)
{
	return r > 0 ? -EPROTO : r;
}

const char *err_str(int r)
{
	return strerror(r < 0 ? -r : r);
}
