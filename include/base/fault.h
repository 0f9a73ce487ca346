/* base/fault.h — named points at which a test may kill the process
 *
 * EDGE_HEALER_FAULT=name[:n] in the environment arms one: the process kills itself with SIGKILL when it passes there for the
 * n-th time (default the first). The names are in base/faults.def, one per write, rename, claim and API call of a restore, a
 * handover and what else has an effect; the tests go through all of them. Not armed, a point costs one comparison.
 */
#pragma once

#define FAULT_ENV "EDGE_HEALER_FAULT"

enum fault_id {
#define X(id, name, what) FAULT_##id,
#include "base/faults.def"
#undef X
	FAULT_COUNT
};

/* Read the environment. 0, or -EINVAL: it names no point we have (then nothing is armed). */
int fault_arm(const char *spec);	/* NULL = none */
void fault_pass(enum fault_id id);
const char *fault_name(enum fault_id id);
const char *fault_what(enum fault_id id);	/* for people: what is about to happen there */
