/* image.c — names of images, and which of them a Node lists
 *
 * kubelet lists the largest images only (nodeStatusMaxImages, 50 by default), and at most five names of each: from a list that
 * may be cut it does not follow that an image is not there. A Node that lists none tells nothing.
 */
#include "model/image.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

#define IMAGES_LISTED_DEFAULT 50	/* k8s.io/kubernetes/pkg/kubelet/apis/config/v1beta1: NodeStatusMaxImages */
#define IMAGE_NAMES_LISTED 5		/* k8s.io/kubernetes/pkg/kubelet/nodestatus: MaxNamesPerImageInNodeStatus */
#define HASH_DIGITS 8
#define MARK_CUT '+'			/* the first character of a stored list that was cut */

/* ---- names ---- */

/* The rules of github.com/distribution/reference, ParseDockerRef: what both docker and containerd make of a name. */
void image_name(const char *image, struct buf *out)
{
	size_t host = strcspn(image, "/"), digest = strcspn(image, "@"), n = digest;
	bool has_host = image[host] && (memchr(image, '.', host) || memchr(image, ':', host) ||
					(host == strlen("localhost") && memcmp(image, "localhost", host) == 0));
	const char *path = has_host ? image + host + 1 : image;
	bool hub = !has_host || (host == strlen("docker.io") && memcmp(image, "docker.io", host) == 0) ||
		   (host == strlen("index.docker.io") && memcmp(image, "index.docker.io", host) == 0);
	size_t start = (size_t)(path - image), colon;

	for (colon = n; colon > start && image[colon - 1] != ':' && image[colon - 1] != '/'; colon--)
		;
	if (colon > start && image[colon - 1] == ':' && image[n])
		n = colon - 1;		/* a tag before a digest says nothing more */
	if (hub)
		buf_adds(out, "docker.io/");
	else
		buf_add(out, image, host + 1);
	if (hub && !memchr(path, '/', n - start))
		buf_adds(out, "library/");
	buf_add(out, path, n - start);
	if (image[digest])
		buf_adds(out, image + digest);
	else if (colon == start || image[colon - 1] != ':')
		buf_adds(out, ":latest");
}

uint32_t image_hash(const char *image)
{
	cleanup(buf_fini) struct buf name = BUF_INIT;
	uint64_t h;

	image_name(image, &name);
	h = str_hash(STR_HASH_INIT, name.data, name.len);
	return (uint32_t)(h ^ (h >> 32));
}

/* ---- lists ---- */

static int hash_order(const void *x, const void *y)
{
	uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;

	return a < b ? -1 : a > b;
}

static void list_sort(struct image_list *l)
{
	size_t n = 0;

	if (!l->hashes)
		return;
	if (l->count > 1)
		qsort(l->hashes, l->count, sizeof(l->hashes[0]), hash_order);
	for (size_t i = 0; i < l->count; i++)
		if (!n || l->hashes[n - 1] != l->hashes[i])
			l->hashes[n++] = l->hashes[i];
	l->count = n;
}

/* Room for `n` names, or none: then nothing is known. */
static size_t list_room(struct image_list *l, size_t n)
{
	size_t room = n < IMAGE_NAMES_MAX ? n : IMAGE_NAMES_MAX;

	l->hashes = room ? mem_try(room, sizeof(l->hashes[0])) : NULL;
	l->cut = l->cut || room < n;
	return l->hashes ? room : 0;
}

static void read_status(struct image_list *l, const json_object *images)
{
	size_t names = 0, room;

	l->cut = json_len(images) >= IMAGES_LISTED_DEFAULT;
	for (size_t i = 0; i < json_len(images); i++) {
		size_t n = json_len(json_get_key(json_at(images, i), "names"));

		names += n;
		l->cut = l->cut || n >= IMAGE_NAMES_LISTED;
	}
	room = list_room(l, names);
	for (size_t i = 0; i < json_len(images); i++) {
		const json_object *list = json_get_key(json_at(images, i), "names");

		for (size_t k = 0; k < json_len(list) && l->count < room; k++) {
			const char *name = json_str(json_at(list, k));

			if (!str_is_empty(name))
				l->hashes[l->count++] = image_hash(name);
		}
	}
}

static void read_stored(struct image_list *l, const char *text)
{
	size_t room;
	unsigned hash;

	l->cut = *text == MARK_CUT;
	text += l->cut;
	room = list_room(l, strlen(text) / HASH_DIGITS);
	for (; l->count < room && sscanf(text, "%8x", &hash) == 1; text += HASH_DIGITS)
		l->hashes[l->count++] = hash;
}

void image_list_read(struct image_list *l, const json_object *images)
{
	if (json_is_str(images))
		read_stored(l, json_str(images));
	else
		read_status(l, images);
	list_sort(l);
}

void image_list_fini(struct image_list *l)
{
	free(l->hashes);
	*l = (struct image_list){ 0 };
}

void image_list_format(const struct image_list *l, struct buf *out)
{
	if (l->count && l->cut)
		buf_addc(out, MARK_CUT);
	for (size_t i = 0; i < l->count; i++)
		buf_addf(out, "%08x", (unsigned)l->hashes[i]);
}

enum image_presence image_list_has(const struct image_list *l, uint32_t hash)
{
	if (!l->count || bsearch(&hash, l->hashes, l->count, sizeof(hash), hash_order))
		return IMAGE_THERE;
	return l->cut ? IMAGE_NOT_LISTED : IMAGE_ABSENT;
}
