/* podlogs.c — see the header */
#include "node/podlogs.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

#define FOLDER_SIZE 512			/* namespace, pod, uid */
/* k8s.io/apiserver/pkg/storage/names: generateName is cut to 58 characters, and 5 of a set without vowels follow. */
#define GENERATED_BASE_MAX 58
#define GENERATED_LEN 5
#define GENERATED_SET "bcdfghjklmnpqrstvwxz2456789"

static void dir_closep(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

static void visit(const char *folder, const char *ns, void (*fn)(void *arg, const char *pod, const char *uid), void *arg)
{
	char name[FOLDER_SIZE];
	char *pod, *uid;

	if (!str_copy(name, sizeof(name), folder) || !(pod = strchr(name, '_')))
		return;
	*pod++ = '\0';
	uid = strchr(pod, '_');
	if (!uid || strcmp(name, ns) != 0)
		return;
	*uid++ = '\0';
	fn(arg, pod, uid);
}

int pod_logs_each(const char *logs, const char *ns, void (*fn)(void *arg, const char *pod, const char *uid), void *arg)
{
	cleanup(dir_closep) DIR *d = opendir(logs);

	if (!d)
		return -errno;
	for (;;) {
		const struct dirent *e;

		errno = 0;
		e = readdir(d);
		if (!e)
			return -errno;
		visit(e->d_name, ns, fn, arg);
	}
}

bool pod_is_of_daemon_set(const char *pod, const char *set)
{
	cleanup(freep) char *base = str_format("%s-", set);
	size_t n = strlen(base);

	n = n < GENERATED_BASE_MAX ? n : GENERATED_BASE_MAX;
	return strncmp(pod, base, n) == 0 && strlen(pod + n) == GENERATED_LEN &&
	       strspn(pod + n, GENERATED_SET) == GENERATED_LEN;
}
