/* cgroup.c — finding a pod's cgroup under any driver and version; is it alive, hold it still
 *
 * kubelet makes three folders for pods, one for each QoS class (Guaranteed has none of its own):
 *
 *   cgroupfs   kubepods/pod<uid>                        kubepods/burstable/pod<uid>
 *   systemd    kubepods.slice/kubepods-pod<uid>.slice   kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid>.slice
 *
 * systemd's slices carry the names of all above them, and '_' for '-' in the uid: with kubelet's cgroupRoot /n1 the folder n1.slice
 * holds n1-kubepods.slice, kind has kubelet-kubepods.slice. So the name of the top folder is read, and the others follow from it.
 *
 * Version 2 tells by cgroup.events what is populated and frozen. Under version 1 the pod is looked for again in the folders of the
 * controllers pids and freezer (controller.c). Which version a pod is under is seen by its files: a machine may have both mounted.
 */
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
#include "node/cgroup_int.h"
#include "node/controller.h"

#define TOP "kubepods"
#define SLICE ".slice"
#define PATH_SIZE 4096
#define NAME_SIZE 256			/* of one folder */
#define LINE_SIZE 32
#define EVENTS_MAX 4096

struct cgroups {
	char *folder;			/* holds kubepods */
	char *freezer, *pids;		/* the same under these controllers of version 1; NULL = not mounted */
};

/* One folder that holds pods, and how they are named there. */
struct shelf {
	char path[PATH_SIZE];
	char prefix[NAME_SIZE];		/* of a pod's name; its uid follows */
	bool slices;
};

static void dir_closep(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

/* NULL at the end (0) or on an error, which a bare readdir() does not tell apart. */
static struct dirent *next_entry(DIR *d, int *out_r)
{
	struct dirent *e;

	errno = 0;
	e = readdir(d);
	*out_r = e ? 0 : -errno;
	return e;
}

/* A cgroup can go while it is looked at; kernfs then says ENODEV. */
static int gone(int r)
{
	return r == -ENODEV || r == -ENOTDIR ? -ENOENT : r;
}

/* ---- where pods are ---- */

static bool is_top(const char *name)
{
	return str_eq(name, TOP) || str_eq(name, TOP SLICE) || str_has_suffix(name, "-" TOP SLICE);
}

/* `qos`: "" or the class's name. False when the names are too long to be true. */
static bool shelf_make(struct shelf *s, const char *root, const char *top, const char *qos)
{
	const char *dash = *qos ? "-" : "", *slash = *qos ? "/" : "";
	int stem = (int)strlen(top), n, m;

	s->slices = str_has_suffix(top, SLICE);
	if (!s->slices) {
		n = snprintf(s->path, sizeof(s->path), "%s/%s%s%s", root, top, slash, qos);
		m = snprintf(s->prefix, sizeof(s->prefix), "pod");
	} else {
		stem -= (int)strlen(SLICE);
		n = *qos ? snprintf(s->path, sizeof(s->path), "%s/%s/%.*s-%s" SLICE, root, top, stem, top, qos)
			 : snprintf(s->path, sizeof(s->path), "%s/%s", root, top);
		m = snprintf(s->prefix, sizeof(s->prefix), "%.*s%s%s-pod", stem, top, dash, qos);
	}
	return n >= 0 && (size_t)n < sizeof(s->path) && m >= 0 && (size_t)m < sizeof(s->prefix);
}

/* A positive result of `fn` ends the visit and is returned, and so does a negative one. -ENOENT: `root` holds no kubepods. */
static int each_shelf(const char *root, int (*fn)(void *arg, const struct shelf *s), void *arg)
{
	static const char *const classes[] = { "", "burstable", "besteffort" };
	cleanup(dir_closep) DIR *d = opendir(root);
	const struct dirent *e;
	bool any = false;
	struct shelf s;
	int r = d ? 0 : gone(-errno);

	while (d && (e = next_entry(d, &r))) {
		if (!is_top(e->d_name))
			continue;
		any = true;
		for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
			int stop = shelf_make(&s, root, e->d_name, classes[i]) ? fn(arg, &s) : 0;

			if (stop)
				return stop;
		}
	}
	return r < 0 ? r : any ? 0 : -ENOENT;
}

/* ---- one pod ---- */

struct search { const char *uid; char *out; size_t size; };

static bool pod_path(const struct shelf *s, const char *uid, char *out, size_t size)
{
	int n = snprintf(out, size, "%s/%s%s%s", s->path, s->prefix, uid, s->slices ? SLICE : "");

	if (n < 0 || (size_t)n >= size)
		return false;
	if (s->slices)
		for (char *p = out + strlen(s->path) + 1 + strlen(s->prefix); *p && *p != '.'; p++)
			*p = *p == '-' ? '_' : *p;
	return true;
}

static int look_on_shelf(void *arg, const struct shelf *s)
{
	const struct search *q = arg;
	struct stat st;

	if (!pod_path(s, q->uid, q->out, q->size))
		return 0;
	if (stat(q->out, &st) == 0)
		return S_ISDIR(st.st_mode);
	return errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG ? 0 : -errno;
}

/* The pod's folder below one controller's `root` (NULL: there is no such controller). 0, -ENOENT or another -errno. */
static int find_pod(const char *root, const char *uid, char out[PATH_SIZE])
{
	struct search q = { uid, out, PATH_SIZE };
	int r = root ? each_shelf(root, look_on_shelf, &q) : -ENOENT;

	return r > 0 ? 0 : r == 0 ? -ENOENT : r;
}

/* -ENOENT here means that the tops were read and have no such pod; without any top nothing is known. */
static int find_ours(const struct cgroups *g, const char *uid, char out[PATH_SIZE])
{
	struct search q = { uid, out, PATH_SIZE };
	int r = g ? each_shelf(g->folder, look_on_shelf, &q) : -ENODATA;

	return r > 0 ? 0 : r == 0 ? -ENOENT : r == -ENOENT ? -ENODATA : r;
}

int cgroup_pod_look(const struct cgroups *g, const char *uid)
{
	char path[PATH_SIZE];

	return find_ours(g, uid, path);
}

int cgroup_event_of(const char *text, const char *key)
{
	size_t n = strlen(key);

	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
		if (strncmp(line, key, n) == 0 && line[n] == ' ')
			return str_has_prefix(line + n, " 0\n") ? 0 : str_has_prefix(line + n, " 1\n") ? 1 : -EPROTO;
	return -ENODATA;
}

/* cgroup.events of version 2: 1, 0, -ENODATA (it does not say), -ENOENT (version 1, or the pod is gone) or -errno. */
static int read_event(const char *pod, const char *key)
{
	cleanup(freep) char *file = str_format("%s/cgroup.events", pod);
	cleanup(buf_fini) struct buf text = BUF_INIT;
	int r = gone(file_read(file, EVENTS_MAX, &text));

	return r < 0 ? r : cgroup_event_of(str_or(text.data, ""), key);
}

static int has_container_folder(const char *pod)
{
	cleanup(dir_closep) DIR *d = opendir(pod);
	const struct dirent *e;
	int r = d ? 0 : gone(-errno);

	while (d && (e = next_entry(d, &r)))
		if (e->d_name[0] != '.' && e->d_type == DT_DIR)
			return 1;
	return r;
}

/* The first line of a file that one controller of version 1 has for a pod. It is in the pod's folder if that is a folder of this
 * controller, else in the same pod's folder below `root`. 0, -ENOENT (neither) or another -errno. */
static int read_v1(const char *pod, const char *root, const char *uid, const char *name, char line[LINE_SIZE])
{
	cleanup(freep) char *own = str_format("%s/%s", pod, name), *file = NULL;
	char path[PATH_SIZE];
	int r = gone(file_read_line(own, line, LINE_SIZE));

	if (r != -ENOENT)
		return r;
	r = find_pod(root, uid, path);
	if (r < 0)
		return r;
	file = str_format("%s/%s", path, name);
	return gone(file_read_line(file, line, LINE_SIZE));
}

static int populated_v1(const struct cgroups *g, const char *pod, const char *uid)
{
	char line[LINE_SIZE];
	int64_t n;
	int r = read_v1(pod, g->pids, uid, "pids.current", line);

	if (r == 0)
		return num_parse_i64(line, 0, INT64_MAX, &n) == 0 ? n > 0 : -EPROTO;
	return r == -ENOENT ? has_container_folder(pod) : r;
}

static int populated(const struct cgroups *g, const char *pod, const char *uid)
{
	int r = read_event(pod, "populated");

	return r == -ENOENT ? populated_v1(g, pod, uid) : r == -ENODATA ? -EPROTO : r;
}

int cgroup_pod_is_populated(const struct cgroups *g, const char *uid)
{
	char path[PATH_SIZE];
	int r = find_ours(g, uid, path);

	return r < 0 ? r : populated(g, path, uid);
}

/* ---- holding a pod still ---- */

static int write_text(const char *dir, const char *name, const char *text)
{
	cleanup(freep) char *path = str_format("%s/%s", dir, name);
	cleanup(fd_closep) int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return gone(-errno);
	return write(fd, text, strlen(text)) < 0 ? gone(-errno) : 0;
}

int cgroup_pod_freeze(const struct cgroups *g, const char *uid, bool frozen)
{
	const char *state = frozen ? "FROZEN" : "THAWED";
	char path[PATH_SIZE];
	int r = find_ours(g, uid, path);

	if (r < 0)
		return r;
	r = write_text(path, "cgroup.freeze", frozen ? "1" : "0");
	r = r == -ENOENT ? write_text(path, "freezer.state", state) : r;
	if (r != -ENOENT)
		return r;
	r = find_pod(g->freezer, uid, path);
	r = r < 0 ? r : write_text(path, "freezer.state", state);
	return r == -ENOENT ? -ENOTSUP : r;
}

/* 1, 0 (also FREEZING), -ENOENT (it is not under that freezer) or -errno. */
static int frozen_v1(const struct cgroups *g, const char *pod, const char *uid)
{
	char line[LINE_SIZE];
	int r = read_v1(pod, g->freezer, uid, "freezer.state", line);

	return r < 0 ? r : str_eq(line, "FROZEN");
}

int cgroup_pod_is_still(const struct cgroups *g, const char *uid)
{
	char path[PATH_SIZE];
	int r = find_ours(g, uid, path);

	r = r < 0 ? r : populated(g, path, uid);
	if (r <= 0)
		return r == 0 || r == -ENOENT ? 1 : r;
	/* A kernel before 5.2 has version 2 without a freezer, perhaps beside version 1. */
	r = read_event(path, "frozen");
	r = r == -ENODATA || r == -ENOENT ? frozen_v1(g, path, uid) : r;
	return r == -ENOENT ? -ENOTSUP : r;
}

bool cgroup_pod_outlives_kill(const struct cgroups *g, const char *uid)
{
	char path[PATH_SIZE];

	return find_ours(g, uid, path) == 0 && frozen_v1(g, path, uid) == 1;
}

/* ---- who runs here ---- */

struct visit {
	const struct cgroups *g;
	void (*fn)(void *arg, const char *uid);
	void *arg;
};

/* A pod's folder on this shelf → its uid. */
static bool uid_of_folder(const struct shelf *s, const char *name, char out[UUID_TEXT_SIZE])
{
	size_t end = s->slices ? strlen(SLICE) : 0, before = strlen(s->prefix), n = strlen(name);

	if (!str_has_prefix(name, s->prefix) || n <= before + end || n - before - end >= UUID_TEXT_SIZE ||
	    (s->slices && !str_has_suffix(name, SLICE)))
		return false;
	(void)snprintf(out, UUID_TEXT_SIZE, "%.*s", (int)(n - before - end), name + before);
	for (char *p = out; s->slices && *p; p++)
		*p = *p == '_' ? '-' : *p;
	return true;
}

bool cgroup_uid_of(const char *top, const char *qos, const char *folder, char out[UUID_TEXT_SIZE])
{
	struct shelf s;

	return is_top(top) && shelf_make(&s, "", top, qos) && uid_of_folder(&s, folder, out);
}

bool cgroup_path_of(const char *top, const char *qos, const char *uid, char *out, size_t size)
{
	struct shelf s;

	return is_top(top) && shelf_make(&s, "", top, qos) && pod_path(&s, uid, out, size);
}

static int visit_shelf(void *arg, const struct shelf *s)
{
	const struct visit *v = arg;
	cleanup(dir_closep) DIR *d = opendir(s->path);
	const struct dirent *e;
	char uid[UUID_TEXT_SIZE];
	int r = d ? 0 : gone(-errno);

	while (d && (e = next_entry(d, &r))) {
		cleanup(freep) char *pod = NULL;

		if (!uid_of_folder(s, e->d_name, uid))
			continue;
		pod = str_format("%s/%s", s->path, e->d_name);
		r = populated(v->g, pod, uid);
		if (r < 0 && r != -ENOENT)
			return r;
		if (r > 0)
			v->fn(v->arg, uid);
	}
	return r == -ENOENT ? 0 : r;	/* a class that no pod has may lack its folder */
}

int cgroup_each_pod(const struct cgroups *g, void (*fn)(void *arg, const char *uid), void *arg)
{
	struct visit v = { g, fn, arg };

	return g ? each_shelf(g->folder, visit_shelf, &v) : -ENODATA;
}

/* ---- finding the root ---- */

static int is_shelf(void *arg, const struct shelf *s)
{
	(void)arg;
	(void)s;
	return 1;
}

static int set_controller(const char *mountinfo, const char *folder, const char *controller, char **out)
{
	int r = controller_folder(mountinfo, folder, controller, out);

	return r == -ENXIO || r == -ENOENT ? 0 : r;	/* no cgroup (a test's folder), or not mounted */
}

int cgroups_find(const char *root, const char *mountinfo, struct cgroups **out_found)
{
	static const char *const below[] = { "", "/systemd", "/pids", "/memory", "/freezer", "/cpu", "/unified" };
	cleanup(cgroups_freep) struct cgroups *g = mem_new(struct cgroups);
	int r = -ENOENT;

	for (size_t i = 0; r == -ENOENT && i < ARRAY_LEN(below); i++) {
		free(g->folder);
		g->folder = str_format("%s%s", root, below[i]);
		r = each_shelf(g->folder, is_shelf, NULL);
	}
	if (r < 0)
		return r;
	r = set_controller(mountinfo, g->folder, "freezer", &g->freezer);
	r = r < 0 ? r : set_controller(mountinfo, g->folder, "pids", &g->pids);
	if (r == 0)
		*out_found = take(g);
	return r < 0 ? r : 0;
}

void cgroups_free(struct cgroups *g)
{
	if (!g)
		return;
	free(g->folder);
	free(g->freezer);
	free(g->pids);
	free(g);
}

void cgroups_freep(struct cgroups **g)
{
	cgroups_free(*g);
}

const char *cgroups_folder(const struct cgroups *g)
{
	return g->folder;
}

/* ---- logs ---- */

static bool folder_has_file(const char *path)
{
	cleanup(dir_closep) DIR *d = opendir(path);
	const struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			return true;
	return false;
}

static bool is_readable(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0;
}

static char *log_path(const struct pod_log *l)
{
	return str_format("%s/%s_%s_%s", l->root, l->ns, l->pod, l->uid);
}

bool pod_log_exists(const struct pod_log *l, const char *containers)
{
	cleanup(freep) char *path = log_path(l), *names = str_dup(containers);
	char *rest = NULL;

	if (!is_readable(l->root))
		return true;
	for (char *name = names ? strtok_r(names, " ", &rest) : NULL; name; name = strtok_r(NULL, " ", &rest)) {
		cleanup(freep) char *container = str_format("%s/%s", path, name);

		if (folder_has_file(container))
			return true;
	}
	return false;
}

bool pod_log_is_begun(const struct pod_log *l)
{
	cleanup(freep) char *path = log_path(l);

	return !is_readable(l->root) || folder_has_file(path);
}
