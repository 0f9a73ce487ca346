/* fault.c — see base/fault.h */
#include "base/fault.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

static const struct { const char *name, *what; } points[] = {
#define X(id, name, what) { name, what },
#include "base/faults.def"
#undef X
};

static int armed = FAULT_COUNT;
static int64_t left;			/* passages until it strikes */

int fault_arm(const char *spec)
{
	size_t n = spec ? strcspn(spec, ":") : 0;
	int64_t times = 1;

	armed = FAULT_COUNT;
	if (!spec || !*spec)
		return 0;
	if (spec[n] == ':' && num_parse_i64(spec + n + 1, 1, INT32_MAX, &times) < 0)
		return -EINVAL;
	for (int i = 0; i < FAULT_COUNT; i++) {
		if (strlen(points[i].name) != n || strncmp(points[i].name, spec, n) != 0)
			continue;
		armed = i;
		left = times;
		return 0;
	}
	return -EINVAL;
}

void fault_pass(enum fault_id id)
{
	if ((int)id == armed && --left == 0)
		(void)kill(getpid(), SIGKILL);
}

const char *fault_name(enum fault_id id)
{
	return points[id].name;
}

const char *fault_what(enum fault_id id)
{
	return points[id].what;
}
