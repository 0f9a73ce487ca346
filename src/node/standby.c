/* standby.c — from our own pod to one that waits in its place
 *
 * By the rules of every static pod (render.c), then what makes it a standby:
 *   - a name of its own, no label by which a DaemonSet or Service could select it, a uid from (DaemonSet, revision): a changed
 *     template is another pod for kubelet, the same one is left alone
 *   - our container gets --standby; each other one waits in `edge-healer hold` until the standby works, and for that sees the
 *     folder of the store as we do
 *   - no probes, hooks or ports: nothing answers while it waits, and kubelet admits a host port once only
 *   - small requests: a static pod that does not fit evicts others
 *
 * Refused, with the reason: a pod of anything but a DaemonSet, one that cannot be self-contained, a container whose command only
 * its image knows, and a store that the two pods would not share.
 */
#include "node/standby.h"

#include <errno.h>
#include <stdio.h>

#include "base/file.h"
#include "node/manifest.h"
#include "node/render.h"
#include "node/seat.h"

#define LABEL_REVISION "controller-revision-hash"
#define REQUEST_CPU "1m"		/* of a process that waits */
#define REQUEST_MEMORY "4Mi"

static int refuse(char reason[REASON_SIZE], const char *fmt, ...) PRINTF_LIKE(2, 3);
static int refuse(char reason[REASON_SIZE], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(reason, REASON_SIZE, fmt, ap);
	va_end(ap);
	return STANDBY_E_REFUSED;
}

/* ---- what it is the standby of ---- */

static const json_object *daemon_set(const json_object *pod)
{
	const json_object *owners = json_get(pod, "metadata.ownerReferences");

	for (size_t i = 0; i < json_len(owners); i++) {
		const json_object *o = json_at(owners, i);

		if (json_get_bool(o, "controller", false) && str_eq(json_get_str(o, "kind"), "DaemonSet"))
			return o;
	}
	return NULL;
}

static void standby_uid(const char *set_uid, const char *revision, char out[UUID_TEXT_SIZE])
{
	cleanup(freep) char *name = str_format("edge-healer.io/standby/%s", revision);

	uuid5(set_uid, name, out);
}

static int set_meta(json_object *out, const json_object *pod, char reason[REASON_SIZE])
{
	const json_object *owner = daemon_set(pod);
	const char *revision = json_str(json_get_key(json_get(pod, "metadata.labels"), LABEL_REVISION));
	json_object *meta = json_get(out, "metadata"), *labels = json_new_object(), *notes = json_get(meta, "annotations");
	const char *set_uid = json_get_str(owner, "uid");
	char uid[UUID_TEXT_SIZE];

	json_set_str(labels, "app.kubernetes.io/component", "standby");
	json_set(meta, "labels", labels);
	if (str_is_empty(set_uid) || str_is_empty(json_get_str(owner, "name")))
		return refuse(reason, "metadata.ownerReferences: the controller is no DaemonSet");
	if (str_is_empty(revision))
		return refuse(reason, "metadata.labels: no %s", LABEL_REVISION);
	standby_uid(set_uid, revision, uid);
	json_set_str(meta, "uid", uid);
	json_set_str(notes, ANNOTATION_STANDBY_OF, set_uid);
	json_set_str(notes, ANNOTATION_STANDBY_SET, json_get_str(owner, "name"));
	json_set_str(notes, ANNOTATION_STANDBY_REVISION, revision);
	return 0;
}

/* ---- the folder of the store ---- */

static bool path_covers(const char *folder, const char *path)
{
	size_t n = strlen(folder);

	while (n && folder[n - 1] == '/')
		n--;
	return strncmp(folder, path, n) == 0 && path[n] == '/';
}

/* The mount that a path is on: the deepest. NULL = none. */
static json_object *mount_of(const json_object *container, const char *path)
{
	const json_object *mounts = json_get(container, "volumeMounts");
	json_object *best = NULL;

	for (size_t i = 0; i < json_len(mounts); i++) {
		json_object *m = json_at(mounts, i);
		const char *at = json_get_str(m, "mountPath");

		if (at && path_covers(at, path) && (!best || strlen(at) > strlen(json_get_str(best, "mountPath"))))
			best = m;
	}
	return best;
}

static bool is_host_path(const json_object *spec, const char *volume)
{
	const json_object *volumes = json_get(spec, "volumes");

	for (size_t i = 0; i < json_len(volumes); i++)
		if (str_eq(json_get_str(json_at(volumes, i), "name"), volume))
			return json_get(json_at(volumes, i), "hostPath") != NULL;
	return false;
}

static int share_store(json_object *container, const json_object *mount, const char *store, char reason[REASON_SIZE])
{
	json_object *present = mount_of(container, store);
	const char *name = str_or(json_get_str(container, "name"), "?");

	if (present && str_eq(json_get_str(present, "name"), json_get_str(mount, "name")) &&
	    str_eq(json_get_str(present, "mountPath"), json_get_str(mount, "mountPath")) &&
	    str_eq(str_or(json_get_str(present, "subPath"), ""), str_or(json_get_str(mount, "subPath"), "")))
		return 0;
	if (present && str_eq(json_get_str(present, "mountPath"), json_get_str(mount, "mountPath")))
		return refuse(reason, "container %.40s: something else than the store is mounted at %.60s", name,
			      json_get_str(mount, "mountPath"));
	if (!json_is_array(json_get(container, "volumeMounts")))
		json_set(container, "volumeMounts", json_new_array());
	json_append(json_get(container, "volumeMounts"), json_copy(mount));
	return 0;
}

/* ---- containers ---- */

static const char *const dropped[] = { "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "ports" };

static void make_small(json_object *c)
{
	json_object *resources = json_get(c, "resources"), *requests = json_new_object();

	if (!resources) {
		resources = json_new_object();
		json_set(c, "resources", resources);
	}
	json_set_str(requests, "cpu", REQUEST_CPU);
	json_set_str(requests, "memory", REQUEST_MEMORY);
	json_set(resources, "requests", requests);
}

static bool has_host_port(const json_object *c)
{
	const json_object *ports = json_get(c, "ports");

	for (size_t i = 0; i < json_len(ports); i++)
		if (json_get_i64(json_at(ports, i), "hostPort", 0))
			return true;
	return false;
}

static bool has_word(const json_object *list, const char *word)
{
	for (size_t i = 0; i < json_len(list); i++)
		if (str_eq(json_str(json_at(list, i)), word))
			return true;
	return false;
}

static int make_wait(json_object *c, char reason[REASON_SIZE])
{
	json_object *args = json_get(c, "args"), *command = json_get(c, "command");
	json_object *words = json_len(args) ? args : command;

	if (!json_len(words))
		return refuse(reason, "container %.60s: needs an explicit command or args to which " STANDBY_OPTION " can be added",
			      str_or(json_get_str(c, "name"), "?"));
	if (!has_word(args, "agent") && !has_word(command, "agent"))
		return refuse(reason, "container %.60s: neither command nor args contain the word agent",
			      str_or(json_get_str(c, "name"), "?"));
	if (!has_word(words, STANDBY_OPTION))
		json_append_str(words, STANDBY_OPTION);
	return 0;
}

static int make_held(json_object *c, const char *binary, const char *store, char reason[REASON_SIZE])
{
	json_object *lists[] = { json_get(c, "command"), json_get(c, "args") }, *words = json_new_array();
	cleanup(freep) char *lock = str_format("%s" SEAT_STANDBY_SUFFIX, store);
	const char *const head[] = { binary, "hold", "--lock", lock, "--" };

	for (size_t i = 0; i < ARRAY_LEN(head); i++)
		json_append_str(words, head[i]);
	for (size_t k = 0; k < ARRAY_LEN(lists); k++)
		for (size_t i = 0; i < json_len(lists[k]); i++)
			json_append(words, json_copy(json_at(lists[k], i)));
	if (!json_len(lists[0])) {
		json_putp(&words);
		return refuse(reason, "container %.60s: needs an explicit command, so that it can be held until the standby works",
			      str_or(json_get_str(c, "name"), "?"));
	}
	json_set(c, "command", words);
	json_remove(c, "args");
	return 0;
}

static int set_container(json_object *spec, json_object *c, const json_object *mount, const char *binary,
			 const struct standby_params *p, char reason[REASON_SIZE])
{
	int r;

	if (!json_get_bool(spec, "hostNetwork", false) && has_host_port(c))
		return refuse(reason, "container %.60s: a hostPort cannot be had twice; use hostNetwork",
			      str_or(json_get_str(c, "name"), "?"));
	for (size_t i = 0; i < ARRAY_LEN(dropped); i++)
		json_remove(c, dropped[i]);
	make_small(c);
	if (str_eq(json_get_str(c, "name"), p->container))
		return make_wait(c, reason);
	r = share_store(c, mount, p->store, reason);
	return r ? r : make_held(c, binary, p->store, reason);
}

static const json_object *our_container(const json_object *spec, const char *name)
{
	const json_object *list = json_get(spec, "containers");

	for (size_t i = 0; i < json_len(list); i++)
		if (json_len(list) == 1 || str_eq(json_get_str(json_at(list, i), "name"), name))
			return json_at(list, i);
	return NULL;
}

/* A sidecar (an init container that is restarted) runs for as long as the others; the rest runs to its end before them. */
static bool runs_along(const char *key, const json_object *c)
{
	return str_eq(key, "containers") || str_eq(json_get_str(c, "restartPolicy"), "Always");
}

static int set_containers(json_object *out, const struct standby_params *p, char reason[REASON_SIZE])
{
	static const char *const keys[] = { "initContainers", "containers" };
	json_object *spec = json_get(out, "spec");
	const char *binary = json_str(json_get_key(json_get(out, "metadata.annotations"), ANNOTATION_STANDBY_BINARY));
	const json_object *ours = our_container(spec, p->container);
	cleanup(json_putp) json_object *mount = json_copy(ours ? mount_of(ours, p->store) : NULL);
	const struct standby_params own = { p->node, json_get_str(ours, "name"), p->store };
	int r = 0;

	if (!ours)
		return refuse(reason, "no container is called %.60s: set pod.container", str_or(p->container, "?"));
	if (!mount || !is_host_path(spec, json_get_str(mount, "name")))
		return refuse(reason, "store.path %.80s is not on a hostPath volume: the standby could not take it over", p->store);
	for (size_t k = 0; !r && k < ARRAY_LEN(keys); k++) {
		json_object *list = json_get_key(spec, keys[k]);

		for (size_t i = 0; !r && i < json_len(list); i++) {
			json_object *c = json_at(list, i);

			if (runs_along(keys[k], c))
				r = set_container(spec, c, mount, str_or(binary, STANDBY_BINARY), &own, reason);
			else
				make_small(c);
		}
	}
	return r;
}

int standby_render(const json_object *pod, const struct standby_params *p, json_object **out_pod, char reason[REASON_SIZE])
{
	cleanup(json_putp) json_object *named = json_copy(pod), *out = NULL;
	const struct render_params rp = { .node = p->node, .epoch = 1 };
	int r;

	if (!daemon_set(pod))
		return refuse(reason, "metadata.ownerReferences: the controller is no DaemonSet");
	json_set_str(json_get(named, "metadata"), "name", STANDBY_NAME);
	json_remove(json_get(named, "metadata"), "uid");	/* it is no copy of a lost pod */
	json_remove(json_get(json_get(named, "metadata"), "annotations"), ANNOTATION_ORIGINAL_UID);
	json_remove(json_get(json_get(named, "metadata"), "annotations"), ANNOTATION_EPOCH);
	r = render_static_pod(named, &rp, &out, reason);
	r = r ? r : set_meta(out, pod, reason);
	r = r ? r : set_containers(out, p, reason);
	if (r)
		return STANDBY_E_REFUSED;
	*out_pod = take(out);
	return 0;
}

/* ---- its file ---- */

int standby_read(const char *dir, struct buf *out)
{
	cleanup(freep) char *path = str_format("%s/" STANDBY_FILE, dir);

	return file_read(path, MANIFEST_MAX, out);
}

static bool copy_note(const json_object *notes, const char *key, char *out, size_t size)
{
	return str_copy(out, size, str_or(json_str(json_get_key(notes, key)), "")) && *out;
}

int standby_identify(const char *dir, struct standby_mark *out_mark)
{
	cleanup(buf_fini) struct buf text = BUF_INIT;
	cleanup(json_putp) json_object *pod = NULL;
	struct standby_mark m;
	const json_object *notes;
	int r = standby_read(dir, &text);

	if (r < 0)
		return r;
	if (json_parse(str_or(text.data, ""), text.len, &pod) < 0)
		return -EINVAL;
	notes = json_get(pod, "metadata.annotations");
	if (!copy_note(notes, ANNOTATION_STANDBY_OF, m.set_uid, sizeof(m.set_uid)) ||
	    !copy_note(notes, ANNOTATION_STANDBY_SET, m.set, sizeof(m.set)) ||
	    !copy_note(notes, ANNOTATION_STANDBY_REVISION, m.revision, sizeof(m.revision)) ||
	    !str_copy(m.ns, sizeof(m.ns), str_or(json_get_str(pod, "metadata.namespace"), "")))
		return -EINVAL;
	standby_uid(m.set_uid, m.revision, m.uid);
	if (!str_eq(json_get_str(pod, "metadata.uid"), m.uid))
		return -EINVAL;
	*out_mark = m;
	return 0;
}
