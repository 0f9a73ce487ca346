/* cgroup.c — finding a pod's cgroup under any driver and version */
#include "node/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

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
