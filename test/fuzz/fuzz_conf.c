/* fuzz_conf.c — any bytes as a configuration file; what is taken prints as a file that means the same */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "conf/conf_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const env[] = {"NODE_NAME=n", NULL};

/* The same reader as conf_load() uses, without a file in between. */
static struct conf *read_text(const char *text, size_t n)
{
	cleanup(buf_fini) struct buf errors = BUF_INIT, warnings = BUF_INIT;
	cleanup(conf_freep) struct conf *c = NULL;

	if (conf_load(NULL, env, &c, &errors, &warnings) < 0)
		abort();
	conf_yaml_read(c, "fuzz", text, n, &errors, &warnings);
	if (errors.len)
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
