/* patience.h — how long a test waits for what must happen: longer on a slow machine */
#pragma once
#include <stdlib.h>

/* A deadline on this machine: `ms` times TEST_DEADLINE_FACTOR, which test/rig/machine.py measures; at least `ms`. */
static inline int patient_ms(int ms)
{
	const char *text = getenv("TEST_DEADLINE_FACTOR");
	double factor = text ? strtod(text, NULL) : 1;

	return factor > 1 ? (int)(ms * factor) : ms;
}
