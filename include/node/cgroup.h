/* node/cgroup.h — local truth about pods: does it run here? Works without the API server and without kubelet's own port
 *
 * kubelet puts a pod's containers below <root>/kubepods[.slice]/…pod<uid>…; the names differ between cgroup drivers (cgroupfs,
 * systemd), versions, and with kubelet's own cgroupRoot. What cannot be read is an error, never "no such pod": whoever takes a
 * pod for gone starts it anew, or believes that it has stopped.
 */
#pragma once
#include <stdbool.h>

struct cgroups;				/* where the pod cgroups of this node are */

/* Look for a folder kubepods, kubepods.slice or <prefix>-kubepods.slice in `root`, then below the names that controllers of
 * version 1 (and systemd) are mounted by. `mountinfo`: NULL = of this process.
 * 0, -ENOENT (none: kubelet makes it when it starts) or -errno. */
int cgroups_find(const char *root, const char *mountinfo, struct cgroups **out_found);
void cgroups_free(struct cgroups *g);	/* NULL-safe */
void cgroups_freep(struct cgroups **g);
const char *cgroups_folder(const struct cgroups *g);	/* the one that holds kubepods; borrowed */

/* In all that follow `g` may be NULL: not found (yet), so -ENODATA, for nothing is known. */

/* The pod has a cgroup: 0, -ENOENT (it has none) or another -errno (cannot be known). */
int cgroup_pod_look(const struct cgroups *g, const char *uid);
/* It has a process: 1, 0, -ENOENT (no cgroup) or another -errno. Under version 1 its processes are counted by the controller
 * pids, for cgroup.procs shows none of another pid namespace. Without that controller a container's folder counts as one. */
int cgroup_pod_is_populated(const struct cgroups *g, const char *uid);

/* Hold all processes of the pod still, or let them go on: cgroup.freeze, or the freezer of version 1. Children that appear
 * later are held too. It takes a moment: see cgroup_pod_is_still().
 * 0, -ENOENT (no such pod), -ENOTSUP (there is one, and no freezer for it) or -errno. */
int cgroup_pod_freeze(const struct cgroups *g, const char *uid, bool frozen);
/* Proven to do nothing: it has no process, or all of them are held. 1, 0, -ENOTSUP (it runs, and there is no freezer) or -errno. */
int cgroup_pod_is_still(const struct cgroups *g, const char *uid);
/* It is held by the freezer of version 1, under which no process can be killed: SIGKILL waits until it is let go. */
bool cgroup_pod_outlives_kill(const struct cgroups *g, const char *uid);

/* Visit the uid of every pod that has a process. 0, -ENOENT (no kubepods there any more) or -errno. Unless it is 0, what was
 * visited is not all. */
int cgroup_each_pod(const struct cgroups *g, void (*fn)(void *arg, const char *uid), void *arg);

/* What kubelet's log folder <logs>/<ns>_<pod>_<uid>/ says of a pod; `pod` is the final name of a static pod (with -<node>). */
struct pod_log {
	const char *root, *ns, *pod, *uid;
};
/* One of these containers (names with spaces between) has a log file: it was created, not only the pod's sandbox or what runs
 * before it. True also when `root` itself cannot be read (not mounted): then only the cgroup counts. */
bool pod_log_exists(const struct pod_log *l, const char *containers);
/* Any container has a folder, an init container too: its image is here, and kubelet is about to create it. True also as above. */
bool pod_log_is_begun(const struct pod_log *l);
