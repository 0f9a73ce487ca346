/* fuzz_page.c — any bytes as a continue token, as keys of a list, and as text in an answer */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"
#include "web/page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is taken is written again as it was. */
static void read_token(const char *text)
{
	cleanup(buf_fini) struct buf again = BUF_INIT;
	char key[PAGE_KEY_MAX];

	if (page_token_read(text, "pods", key) != 0)
		return;
	page_token_add(&again, "pods", key);
	if (!key[0] || !str_eq(again.data, text))
		abort();
}

/* Lines as keys: each one that is behind the first is picked once, in order. */
static void pick(char *text)
{
	struct page p;
	size_t offered = 0;

	page_init(&p, 1 + strlen(text) % 7);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), offered++) {
		if (offered == 0)
			(void)str_copy(p.after, sizeof(p.after), line);
		page_offer(&p, line);
	}
	page_pick(&p);
	if (p.count > p.limit || p.count + p.beyond > offered || (p.beyond && p.count < p.limit))
		abort();
	for (size_t i = 0; i < p.count; i++)
		if (strcmp(i ? p.keys[i - 1] : p.after, p.keys[i]) > 0)
			abort();
	page_fini(&p);
}

static void answer(const char *text)
{
	cleanup(buf_fini) struct buf json = BUF_INIT, again = BUF_INIT;
	cleanup(json_putp) json_object *o = NULL;

	buf_adds(&json, "\"");
	buf_add_json_text(&json, text);
	buf_adds(&json, "\"");
	buf_add_utf8(&again, json.data, json.len);
	if (json_parse(json.data, json.len, &o) != 0 || !str_eq(json.data, again.data))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup(freep) char *text = str_ndup((const char *)data, size);

	read_token(text);
	answer(text);
	pick(text);
	return 0;
}
