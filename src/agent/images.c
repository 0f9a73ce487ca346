/* images.c — the images that this node has, as its own Node object lists them
 *
 * kubelet lists the largest ones only (nodeStatusMaxImages, 50 by default), and at most five names of each: from a list
 * that may be cut it does not follow that an image is not there, and the reason says so. The list is kept in the store,
 * since the mirrored Node is kept without it. A node that lists none tells nothing, and nothing is concluded from it. A
 * pod that is Ready here proves its images, whatever is listed: the list is up to a minute late.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "objects.h"

#define IMAGES_META "images"
#define IMAGES_MAX 10000		/* names that we take from one Node */
#define IMAGES_LISTED_DEFAULT 50	/* k8s.io/kubernetes/pkg/kubelet/apis/config/v1beta1: NodeStatusMaxImages */
#define IMAGES_NAMES_LISTED 5		/* k8s.io/kubernetes/pkg/kubelet/nodestatus: MaxNamesPerImageInNodeStatus */

struct images {
	struct map *names;		/* interned name → itself */
	size_t listed;
	bool cut;			/* there may be more names than these */
	uint64_t hash;
};

/* The rules of github.com/distribution/reference, ParseDockerRef: what both docker and containerd make of a name. */
const char *image_name(const char *image)
{
	size_t host = strcspn(image, "/"), digest = strcspn(image, "@"), n = digest;
	bool has_host = image[host] && (memchr(image, '.', host) || memchr(image, ':', host) ||
					(host == strlen("localhost") && memcmp(image, "localhost", host) == 0));
	const char *path = has_host ? image + host + 1 : image;
	bool hub = !has_host || (host == strlen("docker.io") && memcmp(image, "docker.io", host) == 0) ||
		   (host == strlen("index.docker.io") && memcmp(image, "index.docker.io", host) == 0);
	size_t start = (size_t)(path - image), colon;
	cleanup(buf_fini) struct buf out = BUF_INIT;

	for (colon = n; colon > start && image[colon - 1] != ':' && image[colon - 1] != '/'; colon--)
		;
	if (colon > start && image[colon - 1] == ':' && image[n])
		n = colon - 1;		/* a tag before a digest says nothing more */
	if (hub)
		buf_adds(&out, "docker.io/");
	else
		buf_add(&out, image, host + 1);
	if (hub && !memchr(path, '/', n - start))
		buf_adds(&out, "library/");
	buf_add(&out, path, n - start);
	if (image[digest])
		buf_adds(&out, image + digest);
	else if (colon == start || image[colon - 1] != ':')
		buf_adds(&out, ":latest");
	return intern(out.data);
}

static void images_clear(struct images *m)
{
	map_for_each(char, name, m->names)
		(void)map_remove(m->names, name);
	m->listed = 0;
}

static void images_take(struct images *m, const json_object *list)
{
	images_clear(m);
	m->listed = json_len(list);
	m->cut = m->listed >= IMAGES_LISTED_DEFAULT;
	for (size_t i = 0; i < json_len(list); i++) {
		const json_object *names = json_get_key(json_at(list, i), "names");

		m->cut = m->cut || json_len(names) >= IMAGES_NAMES_LISTED;
		for (size_t k = 0; k < json_len(names) && map_count(m->names) < IMAGES_MAX; k++) {
			const char *name = json_str(json_at(names, k));

			name = str_is_empty(name) ? NULL : image_name(name);
			if (name && !map_get(m->names, name))
				(void)map_put(m->names, name, (void *)(uintptr_t)name);
		}
	}
}

void images_note_node(struct agent *a, const json_object *node)
{
	const json_object *list = json_get(node, "status.images");
	const char *text = json_len(list) ? json_text(list) : NULL;
	uint64_t hash = text ? str_hash(STR_HASH_INIT, text, strlen(text)) : 0;

	if (!text || hash == a->images->hash)
		return;
	a->images->hash = hash;
	images_take(a->images, list);
	if (store_batch_begin(a) == 0 && store_put_meta(a->store, IMAGES_META, text) < 0)
		a->store_failed = true;
	readiness_soon(a);
}

static enum image_presence images_has(const struct images *m, const char *name)
{
	if (!m->listed || map_get(m->names, name))
		return IMAGE_THERE;
	return m->cut ? IMAGE_NOT_LISTED : IMAGE_ABSENT;
}

static bool runs_here(const struct agent *a, const struct workload *w)
{
	list_for_each(p, &w->pods, struct pod, by_owner)
		if (p->node == a->self && p->ready)
			return true;
	return false;
}

enum image_presence images_of(const struct agent *a, const struct workload *w, const char **out_lacks)
{
	const struct needs *n = objects_needs(a, w->uid);

	for (size_t i = 0; n && i < n->image_count && !runs_here(a, w); i++) {
		enum image_presence has = images_has(a->images, n->images[i]);

		if (has == IMAGE_THERE)
			continue;
		*out_lacks = n->images[i];
		return has;
	}
	return IMAGE_THERE;
}

void images_load(struct agent *a)
{
	cleanup(freep) char *text = store_get_meta(a->store, IMAGES_META);
	cleanup(json_putp) json_object *list = NULL;

	a->images = mem_new(struct images);
	a->images->names = map_new();
	if (text && json_parse(text, strlen(text), &list) == 0)
		images_take(a->images, list);
}

void images_free(struct agent *a)
{
	if (!a->images)
		return;
	map_free(a->images->names);
	free(a->images);
	a->images = NULL;
}
