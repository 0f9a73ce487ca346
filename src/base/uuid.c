/* uuid.c — UUIDv5 over libcrypto's SHA-1 */
#include "base/uuid.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

static int hex_value(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool uuid_parse(const char *text, unsigned char out[16])
{
	size_t n = 0;

	for (const char *p = text; *p; p++) {
		int hi, lo;

		if (*p == '-')
			continue;
		hi = hex_value(p[0]);
		lo = hi < 0 ? -1 : hex_value(p[1]);
		if (lo < 0 || n == 16)
			return false;
		out[n++] = (unsigned char)(hi << 4 | lo);
		p++;
	}
	return n == 16;
}

void uuid5(const char *ns, const char *name, char out[UUID_TEXT_SIZE])
{
	unsigned char h[EVP_MAX_MD_SIZE], space[16];
	struct buf in = BUF_INIT;
	unsigned n = 0;
	int ok;

	if (uuid_parse(ns, space))
		buf_add(&in, space, sizeof(space));
	else
		buf_adds(&in, ns);
	buf_adds(&in, name);
	ok = EVP_Digest(in.data, in.len, h, &n, EVP_sha1(), NULL);
	assert(ok == 1 && n >= 16);
	(void)ok;
	buf_fini(&in);
	h[6] = (unsigned char)((h[6] & 0x0f) | 0x50);
	h[8] = (unsigned char)((h[8] & 0x3f) | 0x80);
	(void)snprintf(out, UUID_TEXT_SIZE, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", h[0], h[1],
		       h[2], h[3], h[4], h[5], h[6], h[7], h[8], h[9], h[10], h[11], h[12], h[13], h[14], h[15]);
}
