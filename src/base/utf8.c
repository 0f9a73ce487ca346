/* utf8.c — see the header; the table of RFC 3629, section 4 */
#include "base/utf8.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* Bytes of the well-formed character at p, at most n; 0 = none. */
static size_t char_len(const unsigned char *p, size_t n)
{
	static const struct {
		unsigned char from, to, second_from, second_to;
		size_t len;
	} rows[] = {
	    {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
	    {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
	    {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (*p < rows[i].from || *p > rows[i].to)
			continue;
		if (rows[i].len > n || (rows[i].len > 1 && (p[1] < rows[i].second_from || p[1] > rows[i].second_to)))
			return 0;
		for (size_t k = 2; k < rows[i].len; k++)
			if (p[k] < 0x80 || p[k] > 0xbf)
				return 0;
		return rows[i].len;
	}
	return 0;
}

size_t utf8_length(const void *data, size_t n)
{
	const unsigned char *p = data;
	size_t at = 0, len;

	while (at < n && (len = char_len(p + at, n - at)) > 0)
		at += len;
	return at;
}

void buf_add_utf8(struct buf *b, const char *text, size_t n)
{
	size_t good = 0, i = 0; /* text[good..i] is well-formed and not yet added */

	while (i < n) {
		size_t len = char_len((const unsigned char *)text + i, n - i);

		if (len) {
			i += len;
			continue;
		}
		buf_add(b, text + good, i - good);
		buf_adds(b, REPLACEMENT);
		good = ++i;
	}
	buf_add(b, text + good, n - good);
}

void buf_add_json_text(struct buf *b, const char *text)
{
	struct buf escaped = BUF_INIT;

	for (const char *p = text; *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			buf_addf(&escaped, "\\u%04x", (unsigned)*p);
		else if (*p == '"' || *p == '\\')
			buf_addf(&escaped, "\\%c", *p);
		else
			buf_addc(&escaped, *p);
	}
	buf_add_utf8(b, escaped.data ? escaped.data : "", escaped.len);
	buf_fini(&escaped);
}

void buf_add_label(struct buf *b, const char *text)
{
	struct buf escaped = BUF_INIT;

	for (const char *p = text; *p; p++) {
		if (*p == '\\' || *p == '"')
			buf_addf(&escaped, "\\%c", *p);
		else if (*p == '\n')
			buf_adds(&escaped, "\\n");
		else
			buf_addc(&escaped, *p);
	}
	buf_add_utf8(b, escaped.data ? escaped.data : "", escaped.len);
	buf_fini(&escaped);
}
