/* paths.c — which path may not be in another, and which files must not be one
 *
 * kubelet reads every file of its static-pod folder as a pod, again and again, and removes what it does not know from
 * its folder of pod logs. A file of ours that is somebody else's would be overwritten, or set aside as a corrupt store.
 *
 * Paths are compared as they are written (without ".", ".." and double slashes) and, on this machine, as they lead:
 * symbolic links are followed as far as they exist, and folders are compared by device and inode, which sees bind
 * mounts too.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "conf_int.h"

enum kind { READ, MADE, FOLDER };

struct place {
	const char *key;
	size_t offset;  /* in struct conf */
	enum kind kind; /* MADE: a file that we write */
	bool ours;      /* what is in it is ours: not for folders that kubelet tidies */
};

#define AT(field) offsetof(struct conf, field)
static const struct place places[] = {
    {"store.path", AT(store_path), MADE, true},
    {"store.key_file", AT(store_key_file), MADE, true},
    {"http.socket", AT(http_socket), MADE, true},
    {"kubelet.bundle_dir", AT(kubelet_bundle_dir), FOLDER, true},
    {"http.token_file", AT(http_token_file), READ, true},
    {"serf.auth_key_file", AT(serf_auth_key_file), READ, true},
    {"kube.kubeconfig", AT(kube_kubeconfig), READ, true},
    {"kubelet.kubeconfig", AT(kubelet_kubeconfig), READ, false},
    {"kubelet.boot_id_file", AT(kubelet_boot_id_file), READ, false},
    {"kubelet.cgroup_root", AT(kubelet_cgroup_root), FOLDER, false},
    {"kubelet.pod_logs", AT(kubelet_pod_logs), FOLDER, false},
    {"kubelet.static_pod_path", AT(kubelet_static_pod_path), FOLDER, false},
};

/* The path at a place; NULL = none, or not worth a look. */
static const char *path_of(const struct conf *c, const struct place *p)
{
	const char *path = *(char *const *)(const void *)((const char *)c + p->offset);

	return str_is_empty(path) || conf_is_bad(c, p->key) ? NULL : path;
}

/* ---- where a path leads ---- */

static void drop_last(struct buf *path)
{
	while (path->len && path->data[path->len - 1] != '/')
		path->len--;
	path->len -= path->len > 0;
	if (path->data)
		path->data[path->len] = '\0';
}

/* A whole path without ".", "..", double and trailing slashes ("" = the root folder); `follow`: without symbolic links
 * either, as far as there is something. The caller frees it. */
static char *tidy(const char *path, bool follow)
{
	struct buf out = BUF_INIT;
	char real[PATH_MAX];

	for (const char *p = path; *p;) {
		size_t n = strcspn(p, "/");

		if (n == 2 && p[0] == '.' && p[1] == '.') {
			drop_last(&out);
		} else if (n && !(n == 1 && *p == '.')) {
			buf_addc(&out, '/');
			buf_add(&out, p, n);
			if (follow && realpath(out.data, real)) {
				buf_clear(&out);
				buf_adds(&out, str_eq(real, "/") ? "" : real);
			}
		}
		p += n + (p[n] == '/');
	}
	return buf_take(&out);
}

static bool is_below(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* A folder on the way to `path`, or it itself, is `folder` by another name. */
static bool leads_into(const char *path, const char *folder)
{
	cleanup(freep) char *at = tidy(path, true);
	struct stat want, st;

	if (stat(folder, &want) < 0)
		return false;
	for (char *slash = at + strlen(at); slash && slash > at; slash = strrchr(at, '/')) {
		*slash = '\0';
		if (*at && stat(at, &st) == 0 && same_file(&st, &want))
			return true;
	}
	return false;
}

static bool is_in(const char *path, const char *folder, bool alone)
{
	cleanup(freep) char *a = tidy(path, false), *b = tidy(folder, false);

	if (is_below(a, b))
		return true;
	if (!alone) {
		cleanup(freep) char *ra = tidy(path, true), *rb = tidy(folder, true);

		return is_below(ra, rb) || leads_into(path, folder);
	}
	return false;
}

static bool is_same(const char *x, const char *y, bool alone)
{
	cleanup(freep) char *a = tidy(x, !alone), *b = tidy(y, !alone);
	struct stat sa, sb;

	return str_eq(a, b) || (!alone && stat(x, &sa) == 0 && stat(y, &sb) == 0 && same_file(&sa, &sb));
}

/* ---- the checks ---- */

/* At `a`, or at `b` when only that was set: its value, how it stands to the other, and that with its place. */
static void complain(const struct conf *c, const struct place *a, const struct place *b, const char *a_to_b,
		     const char *b_to_a, const char *what, struct buf *errors)
{
	bool at_b = !conf_is_set(c, a->key) && conf_is_set(c, b->key);
	const struct place *at = at_b ? b : a;
	cleanup(buf_fini) struct buf other = BUF_INIT;

	conf_add_value(c, at_b ? a->key : b->key, &other);
	conf_complain(c, at->key, errors, "\"%s\" %s %s%s", path_of(c, at), at_b ? b_to_a : a_to_b, other.data, what);
}

static void check_in(const struct conf *c, const struct place *p, const struct place *folder, bool alone,
		     const char *what, struct buf *errors)
{
	const char *path = path_of(c, p), *dir = path_of(c, folder);

	if (path && dir && is_in(path, dir, alone))
		complain(c, p, folder, "is in", "contains", what, errors);
}

static void check_same(const struct conf *c, const struct place *a, const struct place *b, bool alone,
		       struct buf *errors)
{
	static const char same[] = "is the same file as";
	const char *x = path_of(c, a), *y = path_of(c, b);

	if (x && y && is_same(x, y, alone))
		complain(c, a, b, same, same, ", which would be overwritten: give each its own", errors);
}

void conf_check_paths(const struct conf *c, bool alone, struct buf *errors)
{
	const struct place *manifests = &places[ARRAY_LEN(places) - 1], *logs = manifests - 1;

	for (const struct place *p = places; p < manifests; p++) {
		check_in(c, p, manifests, alone, ", and kubelet reads all that is there as pods: move it out", errors);
		if (p->ours)
			check_in(c, p, logs, alone, ", and kubelet removes what it does not know there: move it out",
				 errors);
		for (const struct place *q = p + 1; p->kind == MADE && q < manifests; q++)
			check_same(c, p, q, alone, errors);
	}
}
