/* images.c — are the images of a workload on this node? By what our own Node lists (model/image.h)
 *
 * A pod of the ReplicaSet that is Ready here proves its images, whatever is listed: the list is up to a minute late.
 */
#include "objects.h"

enum image_presence images_of(const struct agent *a, const struct workload *w, const char **out_lacks)
{
	const struct node *self = view_node(a->view, a->self);
	const struct needs *n = objects_needs(a, w->uid);

	if (!self || !n || workload_is_ready_on(w, a->self))
		return IMAGE_THERE;
	for (size_t i = 0; i < n->image_count; i++) {
		enum image_presence has = image_list_has(&self->images, image_hash(n->images[i]));

		if (has == IMAGE_THERE)
			continue;
		*out_lacks = n->images[i];
		return has;
	}
	return IMAGE_THERE;
}
