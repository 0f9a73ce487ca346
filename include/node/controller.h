/* node/controller.h — cgroup version 1: the same cgroup in another controller's hierarchy
 *
 * Each controller has a mount of its own, usually /sys/fs/cgroup/<controller>, but several may share one (cpu,cpuacct) and a
 * container sees them wherever they were mounted for it. So the mounts are asked, not the names.
 */
#pragma once

/* The folder of `controller` ("freezer") that means the same cgroup as `folder`, which must exist: below the mount of any other
 * controller, or of version 2. `mountinfo`: NULL = of this process. The result need not exist; the caller frees it.
 * 0, -ENXIO (`folder` is no cgroup), -ENOENT (that controller is not mounted where we see it) or -errno. */
int controller_folder(const char *mountinfo, const char *folder, const char *controller, char **out_folder);
