/* secrets.c — the key file, and that nothing of a Secret leaves the process
 *
 * A key file that cannot be used costs the Secrets, not the healing: it is told, readiness says whose copies will be
 * refused, and all else goes on. With other keys at a reload everything that is sealed is sealed anew; a file that
 * cannot be used then changes nothing.
 */
#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "agent_int.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/seal.h"

static const char *why_not(int r)
{
	return r == -EPERM    ? "it must be a regular file, no symbolic link, that is ours and that only we may read "
				"(chown, chmod 600)"
	       : r == -EINVAL ? "its lines must be: ID BASE64 (32 bytes), the newest first"
			      : err_str(r);
}

/* Core dumps hold what was in memory. (The address sanitizer's leak check needs what this takes away.) */
void secrets_harden(void)
{
	const struct rlimit none = { 0, 0 };

	(void)setrlimit(RLIMIT_CORE, &none);
#ifndef __SANITIZE_ADDRESS__
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

void secrets_open(struct agent *a)
{
	cleanup(freep) char *path = str_is_empty(a->conf->store_key_file) ? str_format("%s.key", a->conf->store_path)
									   : str_dup(a->conf->store_key_file);
	struct seal *seal = NULL;
	int sealed = 0, unreadable = 0, r = seal_open(path, &seal);

	if (r < 0) {
		log_error(LOG_STORE, "key file", "store.key_file=%s: %s; %s", path, why_not(r),
			  store_has_seal(a->store) ? "the keys read before stay" : "no Secret is mirrored");
		return;
	}
	store_set_seal(a->store, seal);
	if (store_in_transaction(a->store))
		store_batch_flush(a);
	r = store_reseal(a->store, &sealed, &unreadable);
	if (r < 0) {
		log_error(LOG_STORE, "secrets not sealed anew", "error=%s: keep the old keys in %s", err_str(r), path);
		return;
	}
	if (sealed)
		log_info(LOG_STORE, "secrets sealed anew", "key=%s rows=%d unreadable=%d", seal_first_id(seal), sealed, unreadable);
}
