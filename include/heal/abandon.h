/* heal/abandon.h — has a standby that works been left alone for good?
 *
 * Deleted with everything else, also with what let it ask, nobody tells it so. What it can see: the API server answers, so
 * kubelet knows which pods belong here, and yet none of our DaemonSet is here. In an outage nobody can tell.
 */
#pragma once
#include <stdbool.h>
#include "base/clock.h"

#define ABANDON_GAP_MS 30000		/* looks that are further apart say nothing of the time between them */

enum abandon_pods {
	ABANDON_POD_THERE,		/* of our DaemonSet, on this node, in whatever state */
	ABANDON_POD_UNKNOWN,		/* cannot be seen: as good as there */
	ABANDON_POD_NONE,
};

struct abandon { struct mono since, last; };	/* zero-initialise */

/* One look. `answers`: the API server answers, whoever asks and whatever it says. True: it has been like this for after_ms. */
bool abandon_look(struct abandon *b, bool answers, enum abandon_pods pods, int64_t after_ms, struct mono now);
