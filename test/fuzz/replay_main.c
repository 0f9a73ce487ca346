/* replay_main.c — feeds files, or every file of folders, to a fuzz target: its corpus as an ordinary test */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"

#define INPUT_MAX (64 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int passed, failed;

static void dir_closep(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

static void feed(const char *path)
{
	cleanup(buf_fini) struct buf text = BUF_INIT;
	cleanup(freep) uint8_t *exact = NULL;
	int r = file_read(path, INPUT_MAX, &text);

	if (r < 0) {
		fprintf(stderr, "%s: %s\n", path, err_str(r));
		failed++;
		return;
	}
	exact = mem_calloc(text.len, 1); /* of exactly this size: reading past the end is noticed */
	memcpy(exact, text.data, text.len);
	(void)LLVMFuzzerTestOneInput(exact, text.len); /* a failure aborts */
	passed++;
}

static void feed_folder(const char *path)
{
	cleanup(dir_closep) DIR *d = opendir(path);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		cleanup(freep) char *file = str_format("%s/%s", path, e->d_name);
		struct stat st;

		if (e->d_name[0] != '.' && stat(file, &st) == 0 && S_ISREG(st.st_mode))
			feed(file);
	}
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		struct stat st;

		if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode))
			feed_folder(argv[i]);
		else
			feed(argv[i]);
	}
	printf("%d passed, %d failed\n", passed, failed);
	return passed > 0 && failed == 0 ? 0 : 1;
}
