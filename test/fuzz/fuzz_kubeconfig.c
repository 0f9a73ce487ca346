/* fuzz_kubeconfig.c — any bytes as a kubeconfig, and what it embeds as base64 */
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "kube/kube_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(const char *text)
{
	char *out = NULL;
	size_t n;

	if (text && base64_decode(text, &out, &n) == 0 && strlen(out) != n)
		abort();
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup(freep) char *text = str_ndup((const char *)data, size);
	struct kubeconfig k = { 0 };
	char err[256] = "";

	if (kubeconfig_parse((const char *)data, size, NULL, &k, err, sizeof(err)) < 0 && !err[0])
		abort();
	decode(k.ca_data);
	decode(k.key_data);
	kubeconfig_fini(&k);
	decode(text);
	return 0;
}
