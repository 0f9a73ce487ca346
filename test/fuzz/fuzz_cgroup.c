/* fuzz_cgroup.c — names of folders below kubepods, cgroup.events, and the table of mounts
 *
 * The first byte picks what the rest is; the second picks a top and a QoS class.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "node/cgroup_int.h"
#include "node/controller.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
	if (!good)
		abort();
}

/* Which of the names is the pod's is found again from its uid, unless that name writes a '-' or a '.' where kubelet would not. */
static void read_folder(const char *top, const char *qos, const char *name)
{
	char uid[UUID_TEXT_SIZE], path[4096];
	const char *last;

	if (strchr(name, '/') || !cgroup_uid_of(top, qos, name, uid))
		return;
	must(*uid && strlen(uid) < sizeof(uid) && !strchr(uid, '/'));
	must(cgroup_path_of(top, qos, uid, path, sizeof(path)));
	last = strrchr(path, '/') + 1;
	must(strlen(last) == strlen(name) && (strpbrk(uid, "-.") || str_eq(last, name)));
}

static void read_events(const char *text)
{
	int populated = cgroup_event_of(text, "populated"), frozen = cgroup_event_of(text, "frozen");

	must(populated == 0 || populated == 1 || populated == -EPROTO || populated == -ENODATA);
	must(frozen == 0 || frozen == 1 || frozen == -EPROTO || frozen == -ENODATA);
	must(populated != 1 || strstr(text, "populated 1"));
	must(populated != 0 || strstr(text, "populated 0"));
}

static void read_mounts(const uint8_t *data, size_t size)
{
	cleanup(fd_closep) int fd = memfd_create("mountinfo", MFD_CLOEXEC);
	cleanup(freep) char *path = str_format("/proc/self/fd/%d", fd), *folder = NULL;

	must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	if (controller_folder(path, "/proc/self", "pids", &folder) == 0)
		must(folder != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const tops[] = { "kubepods", "kubepods.slice", "n1-kubepods.slice", "n1" };
	static const char *const classes[] = { "", "burstable", "besteffort" };
	cleanup(freep) char *text = NULL;

	if (size < 2)
		return 0;
	text = str_ndup((const char *)data + 2, size - 2);
	switch (data[0] % 3) {
	case 0:
		read_folder(tops[data[1] % ARRAY_LEN(tops)], classes[data[1] / 4 % ARRAY_LEN(classes)], text);
		break;
	case 1:
		read_events(text);
		break;
	default:
		read_mounts(data + 2, size - 2);
	}
	return 0;
}
