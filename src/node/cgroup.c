/* cgroup.c — finding a pod's cgroup under any driver and version */
#include "node/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/uuid.h"

/* %1$s = uid as it is, %2$s = uid with '_' for '-' (systemd's slices use '-' for nesting). */
static const char *const layouts[] = {
	"kubepods/pod%1$s",
	"kubepods/burstable/pod%1$s",
	"kubepods/besteffort/pod%1$s",
	"kubepods.slice/kubepods-pod%2$s.slice",
	"kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod%2$s.slice",
	"kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod%2$s.slice",
	"kubelet-kubepods.slice/kubelet-kubepods-pod%2$s.slice",
	"kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod%2$s.slice",
	"kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod%2$s.slice",
};

/* Substitute without a variable format string. */
static void layout_path(const char *root, const char *layout, const char *uid, char *out, size_t size)
{
	const char *mark = strchr(layout, '%');
	bool escape = mark[1] == '2';
	int n = snprintf(out, size, "%s/%.*s", root, (int)(mark - layout), layout);

	for (const char *p = uid; *p && n >= 0 && (size_t)n + 1 < size; p++)
		out[n++] = escape && *p == '-' ? '_' : *p;
	if (n >= 0 && (size_t)n < size)
		(void)snprintf(out + n, size - (size_t)n, "%s", mark + 4);
}

static bool find_cgroup(const char *root, const char *uid, char *out, size_t size)
{
	struct stat st;

	for (size_t i = 0; i < ARRAY_LEN(layouts); i++) {
		layout_path(root, layouts[i], uid, out, size);
		if (stat(out, &st) == 0 && S_ISDIR(st.st_mode))
			return true;
	}
	return false;
}

bool cgroup_pod_exists(const char *root, const char *uid)
{
	char path[4096];

	return find_cgroup(root, uid, path, sizeof(path));
}

static void dir_closep(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

/* cgroup v1 has no cgroup.events: look for a process in a container's folder. */
static bool has_process_v1(const char *path)
{
	cleanup(dir_closep) DIR *d = opendir(path);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		cleanup(freep) char *procs = str_format("%s/%s/cgroup.procs", path, e->d_name);
		char line[32];

		if (e->d_name[0] != '.' && file_read_line(procs, line, sizeof(line)) == 0 && line[0])
			return true;
	}
	return false;
}

bool cgroup_pod_is_populated(const char *root, const char *uid)
{
	cleanup(buf_fini) struct buf text = BUF_INIT;
	cleanup(freep) char *events = NULL;
	char path[4096];

	if (!find_cgroup(root, uid, path, sizeof(path)))
		return false;
	events = str_format("%s/cgroup.events", path);
	if (file_read(events, 4096, &text) == 0 && text.data)
		return strstr(text.data, "populated 1") != NULL;
	return has_process_v1(path);
}

/* ---- holding a pod still ---- */

static int write_text(const char *path, const char *text)
{
	cleanup(fd_closep) int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* Version 1: the root we were given is one controller's folder, the freezer is its sibling or the same. */
static int freeze_v1(const char *root, const char *uid, bool frozen)
{
	cleanup(freep) char *sibling = str_format("%s/../freezer", root);
	cleanup(freep) char *file = NULL;
	char path[4096];

	if (!find_cgroup(sibling, uid, path, sizeof(path)) && !find_cgroup(root, uid, path, sizeof(path)))
		return -ENOENT;
	file = str_format("%s/freezer.state", path);
	return write_text(file, frozen ? "FROZEN" : "THAWED");
}

int cgroup_pod_freeze(const char *root, const char *uid, bool frozen)
{
	cleanup(freep) char *file = NULL;
	char path[4096];
	int r;

	if (!find_cgroup(root, uid, path, sizeof(path)))
		return freeze_v1(root, uid, frozen);
	file = str_format("%s/cgroup.freeze", path);
	r = write_text(file, frozen ? "1" : "0");
	return r == -ENOENT ? freeze_v1(root, uid, frozen) : r;
}

/* ---- who runs here ---- */

/* "pod<uid>" or "…-pod<uid with _>.slice" → uid; false: not a pod's folder. */
static bool uid_of_folder(const char *name, char out[UUID_TEXT_SIZE])
{
	const char *at = strstr(name, "pod");
	size_t n = 0;

	while (at && strncmp(at, "pods", 4) == 0)	/* kubepods-burstable-pod… */
		at = strstr(at + 4, "pod");
	if (!at)
		return false;
	for (at += 3; *at && *at != '.' && n + 1 < UUID_TEXT_SIZE; at++)
		out[n++] = *at == '_' ? '-' : *at;
	out[n] = '\0';
	return n > 0 && (*at == '\0' || str_eq(at, ".slice"));
}

static int each_pod_in(const char *root, const char *folder, void (*fn)(void *arg, const char *uid), void *arg)
{
	cleanup(freep) char *path = str_format("%s/%s", root, folder);
	cleanup(dir_closep) DIR *d = opendir(path);
	struct dirent *e;
	char uid[UUID_TEXT_SIZE];

	if (!d)
		return -errno;
	while ((e = readdir(d)))
		if (uid_of_folder(e->d_name, uid) && cgroup_pod_is_populated(root, uid))
			fn(arg, uid);
	return 0;
}

int cgroup_each_pod(const char *root, void (*fn)(void *arg, const char *uid), void *arg)
{
	int result = -ENOENT;

	for (size_t i = 0; i < ARRAY_LEN(layouts); i++) {
		cleanup(freep) char *folder = str_dup(layouts[i]);
		int r;

		*strrchr(folder, '/') = '\0';
		r = each_pod_in(root, folder, fn, arg);
		if (r == 0 || result == -ENOENT)
			result = r;
	}
	return result;
}

static bool folder_has_file(const char *path)
{
	cleanup(dir_closep) DIR *d = opendir(path);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			return true;
	return false;
}

bool pod_log_exists(const char *logs, const char *ns, const char *pod, const char *uid)
{
	cleanup(freep) char *path = str_format("%s/%s_%s_%s", logs, ns, pod, uid);
	cleanup(dir_closep) DIR *d = opendir(path);
	struct dirent *e;
	struct stat st;

	if (!d)
		return stat(logs, &st) < 0;
	while ((e = readdir(d))) {
		cleanup(freep) char *container = str_format("%s/%s", path, e->d_name);

		if (e->d_name[0] != '.' && folder_has_file(container))
			return true;
	}
	return false;
}
