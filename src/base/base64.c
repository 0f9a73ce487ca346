/* base64.c — digits in, bytes out */
#include "base/base64.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int digit_of(char c)
{
	return c >= 'A' && c <= 'Z'   ? c - 'A'
	       : c >= 'a' && c <= 'z' ? c - 'a' + 26
	       : c >= '0' && c <= '9' ? c - '0' + 52
	       : c == '+'	      ? 62
	       : c == '/'	      ? 63
				      : -1;
}

int b64_decode(const char *text, void **out_data, size_t *out_len)
{
	size_t size = strlen(text) / 4 * 3 + 4, len = 0, digits = 0, pads = 0;
	unsigned char *data = mem_try(size, 1);
	uint32_t bits = 0;
	bool bad = false;

	if (!data)
		return -ENOMEM;
	for (const char *p = text; *p && !bad; p++) {
		int d = digit_of(*p);

		if (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n')
			continue;
		if (*p == '=' && digits % 4 >= 2 && digits % 4 + pads < 4) {
			pads++;
			continue;
		}
		bad = d < 0 || pads;
		bits = bits << 6 | (uint32_t)(d & 0x3f);
		if (++digits % 4 != 1)
			data[len++] = (unsigned char)(bits >> (6 - 2 * ((digits - 1) % 4)));
	}
	if (bad || (digits + pads) % 4) {
		secret_free(data, size);
		return -EINVAL;
	}
	data[len] = '\0';
	*out_data = data;
	*out_len = len;
	return 0;
}

void b64_encode(const void *data, size_t n, char *out)
{
	const unsigned char *p = data;

	for (; n >= 3; n -= 3, p += 3) {
		*out++ = alphabet[p[0] >> 2];
		*out++ = alphabet[(p[0] & 3) << 4 | p[1] >> 4];
		*out++ = alphabet[(p[1] & 15) << 2 | p[2] >> 6];
		*out++ = alphabet[p[2] & 63];
	}
	if (n) {
		unsigned second = n == 2 ? p[1] : 0;

		*out++ = alphabet[p[0] >> 2];
		*out++ = alphabet[(p[0] & 3u) << 4 | second >> 4];
		*out++ = n == 2 ? alphabet[(second & 15) << 2] : '=';
		*out++ = '=';
	}
	*out = '\0';
}
