/* model/goodbye.h — why a healer says that it goes */
#pragma once

enum goodbye {
	GOODBYE_STOPPING,		/* nobody knows why: a restart of its pod, or the machine shuts down */
	GOODBYE_ROLLOUT,		/* the API server says that its own pod is deleted */
	GOODBYE_REMOVAL,		/* its DaemonSet is gone: edge-healer leaves this node */
	GOODBYE_COUNT,
};

const char *goodbye_name(enum goodbye reason);	/* "stopping", "rollout", "removal" */
