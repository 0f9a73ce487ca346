/* node/bundle.h — ConfigMaps and Secrets of a copy as files
 *
 * A bundle is what one pod's configMap, secret and projected volumes hold: rendered in memory (render.h), then written
 * below <bundle dir>/<static uid>/<volume>/…, which the pod mounts by hostPath. The outer folder is 0700, so that only
 * root and the pod's own mounts reach the files; folders and files below it have the modes kubelet would give them, so
 * that a container that does not run as root can read them.
 *
 * A folder is ours when its name is a UUID and it holds the marker: nothing else is ever removed.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define BUNDLE_MARKER ".edge-healer-bundle"	/* holds the uid that names the folder */
#define BUNDLE_FILES_MAX 4096			/* of one pod */
#define BUNDLE_BYTES_MAX ((size_t)32 * 1024 * 1024)
#define BUNDLE_PATH_MAX 1024			/* of a file below its bundle */
#define BUNDLE_DEPTH_MAX 32			/* names in a path below its volume */

struct bundle_item {
	char *path;			/* "<volume>", "<volume>/<file>", "<volume>/<mount point>" */
	mode_t mode;
	bool is_dir;
	void *data;
	size_t len;
};

/* Zero-initialise. Owns its items; their data is wiped. */
struct bundle {
	struct bundle_item *items;
	size_t count, cap, bytes;
	bool has_gid;			/* files belong to gid: spec.securityContext.fsGroup, which may be 0 */
	gid_t gid;
};
void bundle_fini(struct bundle *b);		/* leaves an empty bundle */

/* Write all and sync it to disk; a folder of ours of that name is replaced. Nothing to write: nothing is made. 0 or
 * -errno; on failure nothing of it is left. */
int bundle_write(const char *dir, const char *uid, const struct bundle *b);
/* Remove a folder of ours. 0 (also when it was not there), -EPERM (not ours) or -errno. */
int bundle_remove(const char *dir, const char *uid);
/* Visit the folders whose name is a UUID. 0 (also when there is no such folder) or -errno. */
int bundle_each(const char *dir, void (*fn)(void *arg, const char *uid), void *arg);
