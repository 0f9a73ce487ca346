/* page.c — see the header
 *
 * The smallest keys of many are kept in a heap whose top is the largest of them: a list of n objects is looked through
 * once, in O(n), and nearly all are dismissed by one comparison. A token is the list's name and the key in hexadecimal
 * digits: opaque to the reader, and safe in a URL whatever the key is.
 */
#include "web/page.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"

/* ---- tokens ---- */

static void add_hex(struct buf *b, const char *text)
{
	for (; *text; text++)
		buf_addf(b, "%02x", (unsigned)(unsigned char)*text);
}

void page_token_add(struct buf *b, const char *kind, const char *key)
{
	add_hex(b, kind);
	buf_adds(b, "3a"); /* ':' */
	add_hex(b, key);
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int page_token_read(const char *token, const char *kind, char out_key[PAGE_KEY_MAX])
{
	char text[PAGE_TOKEN_MAX / 2 + 1];
	size_t n = strnlen(token, PAGE_TOKEN_MAX + 1), head = strlen(kind) + 1;

	if (n > PAGE_TOKEN_MAX || n % 2)
		return -EINVAL;
	for (size_t i = 0; i < n; i += 2) {
		int high = digit(token[i]), low = digit(token[i + 1]);

		if (high < 0 || low < 0 || (high == 0 && low == 0))
			return -EINVAL;
		text[i / 2] = (char)(high << 4 | low);
	}
	text[n / 2] = '\0';
	if (n / 2 <= head || strncmp(text, kind, head - 1) != 0 || text[head - 1] != ':' ||
	    n / 2 - head >= PAGE_KEY_MAX)
		return -EINVAL;
	(void)str_copy(out_key, PAGE_KEY_MAX, text + head);
	return 0;
}

/* ---- picking ---- */

void page_init(struct page *p, size_t limit)
{
	*p = (struct page){.limit = limit};
	p->keys = mem_new_n(const char *, limit);
}

void page_fini(struct page *p)
{
	free(p->keys);
	free(p->text);
	*p = (struct page){0};
}

/* The heap: no key is smaller than those below it. */
static void sink(struct page *p, size_t at, const char *key)
{
	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= p->count)
			break;
		if (child + 1 < p->count && strcmp(p->keys[child + 1], p->keys[child]) > 0)
			child++;
		if (strcmp(p->keys[child], key) <= 0)
			break;
		p->keys[at] = p->keys[child];
		at = child;
	}
	p->keys[at] = key;
}

static void rise(struct page *p, size_t at, const char *key)
{
	while (at > 0 && strcmp(p->keys[(at - 1) / 2], key) < 0) {
		p->keys[at] = p->keys[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	p->keys[at] = key;
}

void page_offer(struct page *p, const char *key)
{
	if ((p->after[0] && strcmp(key, p->after) <= 0) || !key[0] || strnlen(key, PAGE_KEY_MAX) == PAGE_KEY_MAX)
		return;
	if (p->count < p->limit) {
		p->count++;
		rise(p, p->count - 1, key);
		return;
	}
	p->beyond++;
	if (strcmp(key, p->keys[0]) < 0)
		sink(p, 0, key);
}

static int key_compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void page_pick(struct page *p)
{
	size_t n = 0;

	qsort(p->keys, p->count, sizeof(p->keys[0]), key_compare);
	for (size_t i = 0; i < p->count; i++)
		n += strlen(p->keys[i]) + 1;
	p->text = mem_calloc(n ? n : 1, 1);
	n = 0;
	for (size_t i = 0; i < p->count; i++) {
		size_t len = strlen(p->keys[i]) + 1;

		memcpy(p->text + n, p->keys[i], len);
		p->keys[i] = p->text + n;
		n += len;
	}
}
