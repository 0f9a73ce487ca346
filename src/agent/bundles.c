/* bundles.c — the files of our copies' ConfigMaps and Secrets, from before the manifest until the copy is gone
 *
 * A bundle is no effect until the manifest that mounts it appears: it is written after the intent and before the
 * rename, and goes when the copy's row does (its pod is gone then). After a crash what has no row is removed at the
 * next start, if it is provably ours.
 */
#include <errno.h>

#include "agent_int.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/log.h"
#include "node/bundle.h"

int bundles_write(struct agent *a, const struct copy *c, const struct bundle *b)
{
	int r = bundle_write(a->conf->kubelet_bundle_dir, c->static_uid, b);

	if (r < 0)
		log_error(LOG_NODE, "bundle not written", "pod=%s/%s kubelet.bundle_dir=%s error=%s", c->ns, c->name,
			  a->conf->kubelet_bundle_dir, err_str(r));
	return r;
}

void bundles_remove(struct agent *a, const struct copy *c)
{
	int r;

	fault_pass(FAULT_BUNDLE_REMOVE);
	r = bundle_remove(a->conf->kubelet_bundle_dir, c->static_uid);
	if (r < 0)
		log_error(LOG_NODE, "bundle not removed", "folder=%s/%s error=%s: remove it by hand", a->conf->kubelet_bundle_dir,
			  c->static_uid, r == -EPERM ? "it lacks our marker" : err_str(r));
	readiness_soon(a);		/* a copy went: there is more room */
}

static void remove_orphan(void *arg, const char *uid)
{
	struct agent *a = arg;
	int r;

	map_for_each(struct copy, c, a->copies)
		if (str_eq(c->static_uid, uid))
			return;
	r = bundle_remove(a->conf->kubelet_bundle_dir, uid);
	log_warn(LOG_NODE, r < 0 ? "bundle left alone" : "orphan removed", "folder=%s reason=\"%s\"", uid,
		 r == -EPERM ? "it lacks our marker" : r < 0 ? err_str(r) : "a bundle of no copy of ours");
}

void bundles_load(struct agent *a)
{
	int r = agent_may_act(a) ? bundle_each(a->conf->kubelet_bundle_dir, remove_orphan, a) : 0;

	if (r < 0)
		log_warn(LOG_NODE, "bundles", "kubelet.bundle_dir=%s cannot be read: %s", a->conf->kubelet_bundle_dir, err_str(r));
}
