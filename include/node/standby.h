/* node/standby.h — the standby: our own DaemonSet pod as a static pod that waits until the DaemonSet's is gone */
#pragma once
#include "base/json.h"
#include "base/uuid.h"
#include "model/plan.h"

#define STANDBY_NAME "edge-healer-standby"
#define STANDBY_FILE STANDBY_NAME ".json"
#define STANDBY_NAME_SIZE 256
#define STANDBY_OPTION "--standby"		/* of edge-healer agent */
#define STANDBY_BINARY "/usr/bin/edge-healer"	/* in the other containers, unless the annotation names another */
#define ANNOTATION_STANDBY_BINARY "edge-healer.io/standby-binary"
#define ANNOTATION_STANDBY_OF "edge-healer.io/standby-of"		/* the DaemonSet's uid */
#define ANNOTATION_STANDBY_SET "edge-healer.io/standby-daemonset"	/* its name */
#define ANNOTATION_STANDBY_REVISION "edge-healer.io/standby-revision"

enum { STANDBY_E_REFUSED = 1 };		/* there can be none: `reason` says why */

struct standby_params {
	const char *node;		/* where it will run */
	const char *container;		/* which one is ours; with a single container that one is, whatever its name */
	const char *store;		/* store.path, as our container sees it */
};

/* Render our own pod as read from the API. 0 and *out_pod (owned by the caller), or STANDBY_E_REFUSED and `reason`. The input is
 * not changed. */
int standby_render(const json_object *pod, const struct standby_params *params, json_object **out_pod, char reason[REASON_SIZE]);

/* Whose standby a file is. */
struct standby_mark {
	char uid[UID_SIZE];		/* of the standby's own pod */
	char set_uid[UID_SIZE], set[STANDBY_NAME_SIZE], ns[STANDBY_NAME_SIZE], revision[STANDBY_NAME_SIZE];
};
/* Read the mark of the standby in kubelet's folder. 0; -ENOENT: there is none; -EINVAL: that file is not ours; or -errno. */
int standby_identify(const char *dir, struct standby_mark *out_mark);
/* The file as it is; -ENOENT or -errno. *out is cleared first. */
int standby_read(const char *dir, struct buf *out);
