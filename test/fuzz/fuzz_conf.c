/* fuzz_conf.c — any bytes as a configuration file; what is taken prints as a file that means the same */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "conf/conf_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* All checks of values, but those that look at the files of this machine. */
static struct conf *read_text(const char *data, size_t n)
{
	cleanup(buf_fini) struct buf errors = BUF_INIT, warnings = BUF_INIT;
	cleanup(conf_freep) struct conf *c = NULL;
	cleanup(freep) char *text = str_ndup(data, n);
	const struct conf_source src = {.path = "fuzz", .text = text, .alone = true};

	if (conf_read(&src, &c, &errors, &warnings) < 0)
		return NULL;
	return take(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup(conf_freep) struct conf *c = read_text((const char *)data, size), *again = NULL;
	cleanup(buf_fini) struct buf once = BUF_INIT, twice = BUF_INIT;

	if (!c)
		return 0;
	conf_print(c, &once);
	again = read_text(once.data, once.len);
	if (!again)
		abort();
	conf_print(again, &twice);
	if (strcmp(once.data, twice.data) != 0)
		abort();
	return 0;
}
