/* node/cgroup.h — local truth about pods: does it run here? Works without the API server and without kubelet's own port
 *
 * kubelet puts a pod's containers below <root>/kubepods[.slice]/…pod<uid>…; the names differ between cgroup drivers (cgroupfs,
 * systemd) and versions. `root` is the folder that holds kubepods or kubepods.slice; under cgroup v1 any one controller's folder.
 */
#pragma once
#include <stdbool.h>

/* The pod's cgroup has a process. */
bool cgroup_pod_is_populated(const char *root, const char *uid);
/* The pod has a cgroup at all. */
bool cgroup_pod_exists(const char *root, const char *uid);

/* Hold all processes of the pod still, or let them go on: cgroup.freeze under version 2; under version 1 the freezer
 * controller's folder beside `root`. Children that appear later are held too. 0, -ENOENT (no such pod, or no freezer) or -errno. */
int cgroup_pod_freeze(const char *root, const char *uid, bool frozen);

/* Visit the uid of every pod that has a process. 0 or -errno: nothing there could be read. */
int cgroup_each_pod(const char *root, void (*fn)(void *arg, const char *uid), void *arg);

/* A container of the pod has a log file below <logs>/<ns>_<pod>_<uid>/: it was created, not only its sandbox. `pod` is the
 * final name of a static pod (with -<node>). True also when `logs` itself cannot be read (not mounted): then only the cgroup
 * counts. */
bool pod_log_exists(const char *logs, const char *ns, const char *pod, const char *uid);
