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

/* A container of the pod has a log file below <logs>/<ns>_<pod>_<uid>/: it was created, not only its sandbox. `pod` is the
 * final name of a static pod (with -<node>). True also when `logs` itself cannot be read (not mounted): then only the cgroup
 * counts. */
bool pod_log_exists(const char *logs, const char *ns, const char *pod, const char *uid);
