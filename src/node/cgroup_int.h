/* node/cgroup_int.h — what cgroup.c reads out of texts and names, for its tests. All pure */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/uuid.h"

/* What the text of cgroup.events says of `key`: 1, 0, -ENODATA (nothing), or -EPROTO (neither 0 nor 1 on a whole
 * line). */
int cgroup_event_of(const char *text, const char *key);
/* The uid of the pod whose cgroup has this folder's name, below `top` ("kubepods", "x-kubepods.slice") and a QoS class
 * ("", "burstable", "besteffort"). False: it is no pod's. */
bool cgroup_uid_of(const char *top, const char *qos, const char *folder, char out[UUID_TEXT_SIZE]);
/* The other way: "/<top>/…", the path of that pod's folder. False: it does not fit, or `top` is no top. */
bool cgroup_path_of(const char *top, const char *qos, const char *uid, char *out, size_t size);
