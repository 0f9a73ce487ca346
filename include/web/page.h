/* web/page.h — lists in pages, as Kubernetes has them: ?limit=, ?continue=, and an opaque token for what comes next
 *
 * A page is picked by key: those of the smallest keys behind the last one. So the order is stable, an object that comes
 * or goes between two pages moves no other, and a token never expires.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/str.h"

#define PAGE_KEY_MAX 256       /* bytes of a key, its end included: a node name has 253 */
#define PAGE_LIMIT_MAX 1000    /* objects in one answer */
#define PAGE_LIMIT_DEFAULT 500 /* what kubectl asks for at once */
#define PAGE_TOKEN_MAX 640     /* characters of a token that we look at */

/* The token for "what is behind `key` in the list `kind`": letters and digits only. */
void page_token_add(struct buf *b, const char *kind, const char *key);
/* Its key. 0, or -EINVAL: no token of ours, or one of another list. */
int page_token_read(const char *token, const char *kind, char out_key[PAGE_KEY_MAX]);

/* Picks one page out of all keys, offered in any order. */
struct page {
	size_t limit;
	char after[PAGE_KEY_MAX]; /* "" = from the beginning */
	const char **keys;        /* borrowed until page_pick() */
	size_t count, beyond;     /* picked; how many more there are */
	char *text;               /* the picked keys, one after the other: ours */
};
/* limit: 1 to PAGE_LIMIT_MAX. */
void page_init(struct page *p, size_t limit);
void page_fini(struct page *p);
void page_offer(struct page *p, const char *key); /* shorter than PAGE_KEY_MAX; others are skipped */
/* Sorts what was picked, ascending, and copies it: from here on the owners of the keys may go. */
void page_pick(struct page *p);
