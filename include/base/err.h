/* base/err.h — the three lanes of a return value
 *
 *   0             it worked
 *   -errno        unexpected: pass it up unchanged, never match on it
 *   ROOM_E_*  > 0 a documented outcome of that one function: its direct caller switches on it and never forwards it
 */
#pragma once
#include <errno.h>

/* Turn an outcome that the caller did not expect into -EPROTO (negatives pass unchanged, 0 stays 0). */
int err_unexpected(int r);

/* Text of a negative errno; borrowed, static or thread-local. */
const char *err_str(int r);
