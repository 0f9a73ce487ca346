/* bundle_items.c — a bundle in memory: its paths, and what may stand beside what
 *
 * Every path is clean (no empty name, no ".", no ".."), stands once, and goes through folders only: so that what was
 * rendered can be written.
 */
#include <limits.h>

#include "base/str.h"
#include "node_int.h"

static void item_fini(struct bundle_item *it)
{
	free(it->path);
	secret_free(it->data, it->data ? it->len : 0);
}

void bundle_fini(struct bundle *b)
{
	for (size_t i = 0; i < b->count; i++)
		item_fini(&b->items[i]);
	free(b->items);
	*b = (struct bundle){ 0 };
}

/* Does `path` go through `folder`? */
static bool is_below(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return strncmp(path, folder, n) == 0 && path[n] == '/';
}

enum bundle_kind bundle_kind(const struct bundle *b, const char *path)
{
	for (size_t i = 0; i < b->count; i++) {
		if (str_eq(b->items[i].path, path))
			return b->items[i].is_dir ? BUNDLE_FOLDER : BUNDLE_FILE;
		if (is_below(b->items[i].path, path))
			return BUNDLE_FOLDER;
	}
	return BUNDLE_NOTHING;
}

/* The item of that path, which may be replaced. 0, or BUNDLE_E_CONFLICT. */
static int find_place(const struct bundle *b, const struct bundle_item *it, struct bundle_item **out_known)
{
	struct bundle_item *known = NULL;

	for (size_t i = 0; i < b->count; i++) {
		struct bundle_item *other = &b->items[i];

		if (str_eq(other->path, it->path))
			known = other;
		if ((known == other && known->is_dir != it->is_dir) ||
		    (!other->is_dir && is_below(it->path, other->path)) ||
		    (!it->is_dir && is_below(other->path, it->path)))
			return BUNDLE_E_CONFLICT;
	}
	*out_known = known;
	return 0;
}

int bundle_add(struct bundle *b, struct bundle_item *it)
{
	struct bundle_item *known = NULL;
	int r = find_place(b, it, &known);
	size_t others = b->bytes - (known ? known->len : 0);

	if (r == 0 && ((!known && b->count == BUNDLE_FILES_MAX) || it->len > BUNDLE_BYTES_MAX - others))
		r = BUNDLE_E_FULL;
	if (r) {
		item_fini(it);
		return r;
	}
	b->bytes = others + it->len;
	if (known) {
		item_fini(known);
		*known = *it;
		return 0;
	}
	if (b->count == b->cap) {
		b->cap = b->cap ? 2 * b->cap : 16;
		b->items = mem_resize(b->items, b->cap, sizeof(b->items[0]));
	}
	b->items[b->count++] = *it;
	return 0;
}

/* One name of a path, appended behind `/`; ".." and what no file system takes are refused. */
static bool add_name(struct buf *out, const char *name, size_t n)
{
	if (n == 0 || (n == 1 && *name == '.'))
		return true;
	if ((n == 2 && name[0] == '.' && name[1] == '.') || n > NAME_MAX)
		return false;
	if (out->len)
		buf_addc(out, '/');
	buf_add(out, name, n);
	return true;
}

char *path_below(const char *path)
{
	cleanup(buf_fini) struct buf out = BUF_INIT;
	size_t names = 1;

	if (*path == '/' || strlen(path) > PATH_MAX)
		return NULL;
	for (;;) {
		size_t n = strcspn(path, "/");

		if (!add_name(&out, path, n))
			return NULL;
		path += n;
		if (!*path)
			break;
		path++;
	}
	for (size_t i = 0; i < out.len; i++)
		names += out.data[i] == '/';
	if (!out.len || str_has_prefix(out.data, "..") || out.len > BUNDLE_PATH_MAX - VOLUME_NAME_MAX - 2 ||
	    names > BUNDLE_DEPTH_MAX)
		return NULL;
	return buf_take(&out);
}
