/* fuzz_seal.c — any bytes as the file of keys that seal Secrets; what is taken opens what it sealed, and nothing else */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
	if (!good)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup(seal_freep) struct seal *s = NULL;
	cleanup(buf_fini) struct buf sealed = BUF_INIT, plain = BUF_INIT;
	const char *id;

	if (seal_parse((const char *)data, size, &s) < 0) {
		must(!s);
		return 0;
	}
	id = seal_first_id(s);
	must(seal_key_count(s) > 0 && seal_key_count(s) <= SEAL_KEYS_MAX);
	must(*id && strlen(id) < SEAL_ID_SIZE && !strpbrk(id, " \t\r\n/"));
	must(seal_close(s, "Secret/a/b", data, size, &sealed) == 0);
	must(seal_unseal(s, id, "Secret/a/b", sealed.data, sealed.len, &plain) == 0);
	must(plain.len == size && memcmp(plain.data, data, size) == 0);
	must(seal_unseal(s, id, "Secret/a/c", sealed.data, sealed.len, &plain) == SEAL_E_FORGED);
	must(seal_unseal(s, id, "Secret/a/b", data, size, &plain) != 0);
	return 0;
}
