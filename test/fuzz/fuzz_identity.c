/* fuzz_identity.c — what a stranger at a node's address may answer: HTTP headers, and a certificate */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "node/cert.h"
#include "node/identity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = mem_new_n(char, size + 1), *named;
	char print[IDENTITY_PRINT_SIZE];

	memcpy(text, data, size);
	named = identity_header(text);
	if (named && (named < text || named + strlen(named) >= text + size || strstr(named, "\r\n")))
		abort();
	free(text);
	cert_print(data, size, print);
	if (strlen(print) != IDENTITY_PRINT_SIZE - 1)
		abort();
	if (cert_names(data, size, ""))
		abort();
	(void)cert_names(data, size, "edge-1");
	return 0;
}
