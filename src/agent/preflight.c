/* preflight.c — files, folders, credentials and the address that a configuration names, as the agent would use them
 *
 * Each part is the one that the start itself uses, tried and given back.
 */
#include "agent/preflight.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent_int.h"
#include "base/endpoint.h"
#include "base/err.h"
#include "base/mem.h"
#include "kube/credentials.h"
#include "surface.h"

enum { ERROR_SIZE = 512, KEY_SIZE = 4096 };

static void check_credentials(const struct conf *c, struct buf *errors)
{
	const struct kube_credentials_conf cc = {.kubeconfig = c->kube_kubeconfig, .server = c->kube_server};
	cleanup(kube_credentials_freep) struct kube_credentials *credentials = NULL;
	char err[ERROR_SIZE] = "";

	if (conf_is_bad(c, "kube.kubeconfig") || conf_is_bad(c, "kube.server"))
		return;
	if (kube_credentials_load(&cc, &credentials, err, sizeof(err)) < 0)
		conf_complain(c,
			      str_is_empty(c->kube_kubeconfig) && !str_is_empty(c->kube_server) ? "kube.server"
												: "kube.kubeconfig",
			      errors, "%s", err);
}

static void check_key_files(const struct conf *c, struct buf *errors)
{
	static const char empty[] = "its first line is empty: write the key or token there";
	char text[KEY_SIZE];
	int r = gossip_read_auth_key(c->serf_auth_key_file, text, sizeof(text));

	if (r < 0 && !conf_is_bad(c, "serf.auth_key_file"))
		conf_complain(c, "serf.auth_key_file", errors, "\"%s\": %s", c->serf_auth_key_file,
			      r == -EINVAL ? empty : err_str(r));
	r = surface_read_token(c->http_token_file, text, sizeof(text));
	if (r < 0 && !conf_is_bad(c, "http.token_file"))
		conf_complain(c, "http.token_file", errors, "\"%s\": %s", c->http_token_file,
			      r == -EINVAL ? empty : err_str(r));
	explicit_bzero(text, sizeof(text));
}

/* The store and its companions are made there. */
static void check_store(const struct conf *c, struct buf *errors)
{
	cleanup(freep) char *dir = str_dup(c->store_path);
	char *slash = strrchr(dir, '/');
	struct stat st;
	int r = 0;

	if (conf_is_bad(c, "store.path"))
		return;
	slash[slash == dir] = '\0';
	if (stat(dir, &st) < 0 || (!S_ISDIR(st.st_mode) && (errno = ENOTDIR)) ||
	    faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) < 0)
		r = -errno;
	if (r < 0)
		conf_complain(c, "store.path", errors, "its folder \"%s\": %s: it must exist and be writable", dir,
			      err_str(r));
	else if (stat(c->store_path, &st) == 0 && !S_ISREG(st.st_mode))
		conf_complain(c, "store.path", errors, "\"%s\" is there and is no file: name another", c->store_path);
}

/* Bound to any port of that address: the one that is meant may be in use, by the agent itself. */
static void check_listen(const struct conf *c, struct buf *errors)
{
	struct sockaddr_storage at;
	size_t len = 0;
	int fd, r = 0;

	if (conf_is_bad(c, "http.listen") || endpoint_listen_parse(c->http_listen, &at, &len) < 0)
		return;
	if (at.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&at)->sin6_port = 0;
	else
		((struct sockaddr_in *)&at)->sin_port = 0;
	fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)(const void *)&at, (socklen_t)len) < 0)
		r = -errno;
	if (fd >= 0)
		(void)close(fd);
	if (r < 0)
		conf_complain(c, "http.listen", errors,
			      "\"%s\": %s: write an address of this machine, or 0.0.0.0:PORT for all", c->http_listen,
			      err_str(r));
}

void preflight_check(const struct conf *c, bool standby, struct buf *errors)
{
	if (!standby)
		check_credentials(c, errors);
	check_key_files(c, errors);
	check_store(c, errors);
	check_listen(c, errors);
}
