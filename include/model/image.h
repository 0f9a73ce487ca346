/* model/image.h — names of images, and which of them a Node lists
 *
 * A list holds hashes, not names: a thousand Nodes with two hundred names each take 800 kB, and their order is of no matter. Two
 * names with one hash (1 in 2^32) make an image count as there that is not; that costs what not knowing it would.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/json.h"
#include "base/str.h"

#define IMAGE_NAMES_MAX 2048		/* of one Node; a longer list is cut */

/* An image's name as nodes list it, appended: registry, repository and tag or digest written out, so that equal images have
 * equal names ("busybox" → "docker.io/library/busybox:latest"). */
void image_name(const char *image, struct buf *out);
uint32_t image_hash(const char *image);	/* of that name */

enum image_presence { IMAGE_THERE, IMAGE_ABSENT, IMAGE_NOT_LISTED };

struct image_list {
	uint32_t *hashes;		/* sorted, each once */
	size_t count;			/* 0: nothing is known */
	bool cut;			/* the Node may have more than it lists */
};

/* From status.images of a Node, or from the text that image_list_format() made of it. Zero-initialise; image_list_fini(). */
void image_list_read(struct image_list *l, const json_object *images);
void image_list_fini(struct image_list *l);
void image_list_format(const struct image_list *l, struct buf *out);	/* appends; nothing when nothing is known */
/* IMAGE_THERE also when nothing is known. */
enum image_presence image_list_has(const struct image_list *l, uint32_t hash);
