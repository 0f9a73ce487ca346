/* controller.c — which mount is a cgroup below, and where is the controller asked for
 *
 * A mount of a cgroup file system shows the hierarchy from some cgroup on, its root. The name of a cgroup is that root and the
 * rest of the path; with another controller the same name is looked for below the root of its mount.
 *
 * In a cgroup namespace the roots are told from its own cgroup: the host's whole hierarchy, mounted for us, is "/../..". How many
 * steps up depends on where we are in that very hierarchy, so leading ".." say nothing and are left out.
 */
#include "node/controller.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"

#define MOUNTINFO "/proc/self/mountinfo"

struct mount {
	char *line;			/* owns the rest */
	const char *root, *point, *type, *options;
};

static void mount_fini(struct mount *m)
{
	free(m->line);
}

static void file_closep(FILE **f)
{
	if (*f)
		(void)fclose(*f);
}

/* "\040" → " ", in place. */
static void unescape(char *s)
{
	char *out = s;

	while (*s) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' && s[3] <= '7') {
			*out++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 4;
		} else {
			*out++ = *s++;
		}
	}
	*out = '\0';
}

/* "36 35 98:0 /root /point rw,noatime master:1 - ext3 /dev/root rw,errors=continue" (proc(5)). Takes the line apart. */
static bool mount_parse(char *line, struct mount *out)
{
	char *fields[5], *rest = NULL, *tail = strstr(line, " - "), *source;

	if (!tail)
		return false;
	*tail = '\0';
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		fields[i] = strtok_r(i ? NULL : line, " ", &rest);
		if (!fields[i])
			return false;
	}
	out->type = strtok_r(tail + 3, " \n", &rest);
	source = strtok_r(NULL, " \n", &rest);
	out->options = strtok_r(NULL, " \n", &rest);
	if (!source || !out->options)
		return false;
	unescape(fields[3]);
	unescape(fields[4]);
	out->root = fields[3];
	out->point = fields[4];
	while (str_has_prefix(out->root, "/..") && (out->root[3] == '/' || !out->root[3]))
		out->root += 3;
	out->root = str_eq(out->root, "/") ? "" : out->root;
	out->point = str_eq(out->point, "/") ? "" : out->point;
	return true;
}

static bool is_cgroup(const struct mount *m)
{
	return str_eq(m->type, "cgroup") || str_eq(m->type, "cgroup2");
}

/* What is left of `path` below `dir`: "" or "/…"; NULL = it is not below. */
static const char *below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && (path[n] == '/' || !path[n]) ? path + n : NULL;
}

static bool has_option(const struct mount *m, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = m->options; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
		if (strncmp(p, name, n) == 0 && (p[n] == ',' || !p[n]))
			return true;
	return false;
}

/* Visit the mounts in the order of mounting; `fn` may take one over (and empty it). 0 or -errno. */
static int each_mount(const char *mountinfo, void (*fn)(void *arg, struct mount *m), void *arg)
{
	cleanup(file_closep) FILE *f = fopen(mountinfo ? mountinfo : MOUNTINFO, "re");
	cleanup(freep) char *line = NULL;
	size_t size = 0;

	if (!f)
		return -errno;
	while (getline(&line, &size, f) > 0) {
		cleanup(mount_fini) struct mount m = { .line = str_dup(line) };

		if (mount_parse(m.line, &m))
			fn(arg, &m);
	}
	return ferror(f) ? -EIO : 0;
}

/* ---- the mount that a path is below ---- */

struct home { const char *path; struct mount found; };

/* The deepest; of two at one point the later covers the other. */
static void note_home(void *arg, struct mount *m)
{
	struct home *h = arg;

	if (!below(h->path, m->point) || (h->found.line && strlen(m->point) < strlen(h->found.point)))
		return;
	mount_fini(&h->found);
	h->found = *m;
	*m = (struct mount){ 0 };
}

/* ---- the controller's mount ---- */

struct search {
	const char *controller;
	const char *beside;		/* where the mount of the given folder is */
	const char *name;		/* of the cgroup, from the hierarchy's root; "" is the root itself */
	char *folder;
	bool is_beside;
};

static bool same_parent(const char *x, const char *y)
{
	const char *slash_x = strrchr(x, '/'), *slash_y = strrchr(y, '/');

	return slash_x && slash_y && slash_x - x == slash_y - y && strncmp(x, y, (size_t)(slash_x - x)) == 0;
}

/* A container may see its own cgroup and the host's: those of one set were mounted side by side. Else the later covers. */
static void note_controller(void *arg, struct mount *m)
{
	struct search *s = arg;
	bool is_beside = same_parent(m->point, s->beside);
	const char *rest = below(s->name, m->root);

	if (!str_eq(m->type, "cgroup") || !has_option(m, s->controller) || !rest || (s->is_beside && !is_beside))
		return;
	free(s->folder);
	s->folder = str_format("%s%s", m->point, rest);
	s->is_beside = is_beside;
}

int controller_folder(const char *mountinfo, const char *folder, const char *controller, char **out_folder)
{
	cleanup(freep) char *path = realpath(folder, NULL), *name = NULL;
	struct home h = { .path = path };
	struct search s = { .controller = controller };
	int r;

	if (!path)
		return -errno;
	r = each_mount(mountinfo, note_home, &h);
	if (r == 0 && !(h.found.line && is_cgroup(&h.found)))
		r = -ENXIO;
	if (r == 0) {
		name = str_format("%s%s", h.found.root, below(path, h.found.point));
		s.name = name;
		s.beside = h.found.point;
		r = each_mount(mountinfo, note_controller, &s);
	}
	mount_fini(&h.found);
	if (r == 0 && !s.folder)
		r = -ENOENT;
	if (r < 0)
		free(s.folder);
	else
		*out_folder = s.folder;
	return r;
}
