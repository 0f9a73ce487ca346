/* node/podlogs.h — which pods kubelet keeps log folders for: <logs>/<namespace>_<pod>_<uid>/
 *
 * kubelet makes the folder with the pod's sandbox, before any image is pulled, and removes it within about a minute after the
 * pod is gone, once it knows from the API server which pods there are. So the folder of a pod that a node lost in its reboot
 * stays until then.
 */
#pragma once
#include <stdbool.h>

/* Visit the pods of a namespace; `pod` and `uid` are borrowed. 0, or -errno: then what was visited is not all. */
int pod_logs_each(const char *logs, const char *ns, void (*fn)(void *arg, const char *pod, const char *uid), void *arg);
/* Is this the name of a pod that the API server made up for that DaemonSet: its name, cut, and five characters? */
bool pod_is_of_daemon_set(const char *pod, const char *set);
