/* kubelet.c — has kubelet been started while the API server is away?
 *
 * Such a kubelet adds static pods and does not remove them until it has reached the API server (Kubernetes #105543, #112814): a
 * copy that must end is held still then instead of waited for. A boot is seen by the boot id; a kubelet that was only restarted
 * listens on its health port with another socket than when the link was last there.
 *
 * The socket is noted when the mirror is in sync and when the link stops being online, and compared with each look while it is
 * offline. The note is stored: a healer that is restarted in the outage compares with what the one before it saw. If kubelet was
 * restarted online since, and we were not there when the outage began, it is taken for younger than it is; then copies that end are
 * frozen which it would have removed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "agent_int.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "node/listener.h"

#define META_KUBELET "kubelet"
#define TABLES "/proc/net"

/* 0: nobody listens. Not when it cannot be known. */
static bool read_inode(const struct agent *a, uint64_t *out_inode)
{
	struct endpoint at;
	int r = endpoint_of_url(str_or(a->conf->kubelet_healthz, ""), &at);

	r = r < 0 ? r : listener_inode(TABLES, &at, out_inode);
	if (r == -ENOENT)
		*out_inode = 0;
	return r == 0 || r == -ENOENT;
}

/* "<boot id> <inode>": sockets of another boot mean nothing. */
int kubelet_put(struct agent *a)
{
	char text[BOOT_ID_SIZE + 32];

	if (!a->kubelet.noted)
		return 0;
	(void)snprintf(text, sizeof(text), "%s %" PRIu64, a->boot_id, a->kubelet.inode);
	return store_put_meta(a->store, META_KUBELET, text);
}

void kubelet_load(struct agent *a)
{
	cleanup(freep) char *text = store_get_meta(a->store, META_KUBELET);
	size_t n = strlen(a->boot_id);
	int64_t inode;

	if (!text || !n || strncmp(text, a->boot_id, n) != 0 || text[n] != ' ' ||
	    num_parse_i64(text + n + 1, 0, INT64_MAX, &inode) < 0)
		return;
	a->kubelet.inode = (uint64_t)inode;
	a->kubelet.noted = true;
}

void kubelet_note(struct agent *a)
{
	uint64_t inode;

	if (!read_inode(a, &inode) || (a->kubelet.noted && inode == a->kubelet.inode))
		return;
	a->kubelet.inode = inode;
	a->kubelet.noted = true;
	if (store_batch_begin(a) == 0 && kubelet_put(a) < 0)
		a->store_failed = true;
}

void kubelet_is_online(struct agent *a)
{
	a->kubelet.young = false;
	kubelet_note(a);
}

void kubelet_look(struct agent *a)
{
	uint64_t inode;

	if (!link_is_away(a->link.state) || a->kubelet.young || !read_inode(a, &inode))
		return;
	if (!a->kubelet.noted) {	/* the first start here, or the first since a boot: later than this we shall know */
		kubelet_note(a);
		return;
	}
	if (!inode || inode == a->kubelet.inode)
		return;
	a->kubelet.young = true;
	tell(a, &(struct tale){ .event = "kubelet restarted", .kube_reason = "KubeletRestartedOffline", .warning = true,
				.node = a->self },
	     "listener=%s: while the API server is away it adds static pods and removes none; copies that end are frozen",
	     a->conf->kubelet_healthz);
}

bool kubelet_removes(const struct agent *a, const char **out_note)
{
	bool young = a->cold_boot || a->kubelet.young;

	*out_note = !young ? "removes static pods" :
		    a->cold_boot ? "booted without the API server: it removes no static pods, copies that end are frozen" :
				   "restarted without the API server: it removes no static pods, copies that end are frozen";
	return !young;
}
