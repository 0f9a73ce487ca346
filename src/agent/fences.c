/* fences.c — fences that outlive the process: a permission is stored before it is given
 *
 * All of them are one text, "uid node holder" each, and so are those who have asked us for grants, "node stop_after_ms" each.
 * Both are written anew with every change: there are as many as at-most-once pods that somebody else has taken, and as members of
 * the site.
 */
#include <string.h>

#include "agent_int.h"
#include "base/log.h"
#include "base/str.h"

#define META_FENCES "fences"
#define META_GRANTS "grants"

static void add(void *arg, const struct fence_question *f)
{
	struct buf *text = arg;

	buf_addf(text, "%s %s %s\n", f->pod_uid, f->node, f->asker);
}

static void add_grant(void *arg, const struct grant_question *q)
{
	struct buf *text = arg;

	buf_addf(text, "%s %lld\n", q->node, (long long)q->stop_after_ms);
}

/* 0 or -errno: then what was permitted last must not be told. */
int fences_save(struct agent *a)
{
	cleanup(buf_fini) struct buf text = BUF_INIT, grants = BUF_INIT;
	unsigned version = heal_fences_version(a->heal);
	int r;

	if (version == a->fences_saved)
		return 0;
	heal_each_fence(a->heal, add, &text);
	buf_adds(&text, "");
	heal_each_grant(a->heal, add_grant, &grants);
	buf_adds(&grants, "");
	store_batch_flush(a);
	r = store_begin(a->store, true);
	r = r < 0 ? r : store_put_meta(a->store, META_FENCES, text.data);
	r = r < 0 ? r : store_put_meta(a->store, META_GRANTS, grants.data);
	r = r < 0 ? r : store_commit(a->store);
	if (r < 0) {
		store_rollback(a->store);
		a->store_failed = true;
		return r;
	}
	a->fences_saved = version;
	return 0;
}

static void grants_load(struct agent *a)
{
	cleanup(freep) char *text = store_get_meta(a->store, META_GRANTS);
	char *lines = text, *rest;

	for (char *line = text ? strtok_r(text, "\n", &lines) : NULL; line; line = strtok_r(NULL, "\n", &lines)) {
		struct grant_question q = { .node = strtok_r(line, " ", &rest) };
		const char *ms = q.node ? strtok_r(NULL, " ", &rest) : NULL;

		if (ms && num_parse_i64(ms, 1, INT32_MAX, &q.stop_after_ms) == 0)
			heal_set_grant(a->heal, &q);
	}
}

void fences_load(struct agent *a)
{
	cleanup(freep) char *text = store_get_meta(a->store, META_FENCES);
	char *lines = text, *rest;

	for (char *line = text ? strtok_r(text, "\n", &lines) : NULL; line; line = strtok_r(NULL, "\n", &lines)) {
		struct fence_question f = { .pod_uid = strtok_r(line, " ", &rest) };

		f.node = f.pod_uid ? strtok_r(NULL, " ", &rest) : NULL;
		f.asker = f.node ? strtok_r(NULL, " ", &rest) : NULL;
		if (f.asker)
			heal_set_fence(a->heal, &f, loop_now(a->loop));
	}
	grants_load(a);
	a->fences_saved = heal_fences_version(a->heal);
	if (a->fences_saved)
		log_info(LOG_HEAL, "fences and grants are known", "changes=%u", a->fences_saved);
}
