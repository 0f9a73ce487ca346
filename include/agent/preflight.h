/* agent/preflight.h — what only this machine can tell of a configuration, before an agent starts with it
 *
 * conf_read() checks values; this checks what they name: credentials (loaded as the agent loads them), key and token
 * files, the folder of the store, the address to listen on. Used by `edge-healer agent` and `edge-healer check-config`,
 * so that one refuses what the other refuses. What changes from one moment to the next (a lock, a port in use) is not
 * checked here.
 */
#pragma once
#include "conf/conf.h"

/* Append a line for each fault, "<place>: <key>: …"; nothing for a key whose value was refused already. `standby`: the
 * agent waits for its turn with --standby, and may do so without credentials. Changes nothing; may read files for a
 * moment. */
void preflight_check(const struct conf *c, bool standby, struct buf *errors);
