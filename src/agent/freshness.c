/* freshness.c — when the API server confirmed our mirror last, by its own clock
 *
 * The mirror is as fresh as the watch that was confirmed the longest ago. The stamp is stored with each batch of rows, and at least
 * every STAMP_SAVE_MS while the mirror is confirmed: after a loss of power it is older than the mirror by so much, never newer.
 *
 * When history goes back (etcd restored from a backup) the mirror says nothing any more: the stamp is forgotten, also in the
 * store, and everything is listed anew. Until that is done nothing acts, whatever becomes of the link. Two API servers with
 * histories of their own behind one address would make us list for ever: from the second time on it is begun REWOUND_PAUSE_MS
 * later.
 */
#include "freshness.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent_int.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "model/stamp.h"

#define META_STAMP "mirror_stamp"	/* nanoseconds since 1970 by the API server's clock; 0 = not known */
#define STAMP_SAVE_MS 60000
#define REWOUND_PAUSE_MS 10000
#define STAMP_TEXT_SIZE 24

struct freshness {
	struct wall stamp, stored;
	struct mono save_due;
	struct timer *timer;		/* to list anew */
	struct mono rewound_at;		/* last time; 0 = never */
	bool rewound;
};

uint64_t freshness_stamp(const struct agent *a)
{
	return map_count(a->view->nodes) == 0 ? STAMP_NONE : stamp_of(a->freshness->stamp);
}

bool freshness_is_rewound(const struct agent *a)
{
	return a->freshness->rewound;
}

int freshness_put(struct agent *a)
{
	struct freshness *o = a->freshness;
	char text[STAMP_TEXT_SIZE];

	if (!o || o->stamp.ns == o->stored.ns)
		return 0;		/* before the mirror is loaded there is nothing to tell */
	(void)snprintf(text, sizeof(text), "%" PRId64, o->stamp.ns);
	o->stored = o->stamp;
	o->save_due = mono_add_ms(loop_now(a->loop), STAMP_SAVE_MS);
	return store_put_meta(a->store, META_STAMP, text);
}


int freshness_rewrite(struct agent *a)
{
	a->freshness->stored.ns = -1;
	return freshness_put(a);
}

/* 0 while one of the watches has not been confirmed since it was started, or the server does not tell its time. */
static struct wall oldest_stamp(const struct agent *a)
{
	struct wall oldest = { INT64_MAX };

	for (int i = 0; i < WATCH_COUNT; i++) {
		struct wall t = a->watches[i].synced ? kube_watch_stamp(a->watches[i].watch) : (struct wall){ 0 };

		oldest = t.ns < oldest.ns ? t : oldest;
	}
	return oldest;
}

void freshness_confirmed(struct agent *a)
{
	struct wall stamp = oldest_stamp(a);

	if (!stamp.ns || a->freshness->rewound)
		return;
	a->freshness->stamp = stamp;
	if (mono_reached(loop_now(a->loop), a->freshness->save_due))
		(void)store_batch_begin(a);	/* its commit takes the stamp along */
}

void freshness_rewound(struct agent *a, const char *why)
{
	struct freshness *o = a->freshness;
	struct mono now = loop_now(a->loop);
	bool again = mono_is_set(o->rewound_at) && mono_since_ms(now, o->rewound_at) < REWOUND_PAUSE_MS;

	o->rewound = true;
	o->rewound_at = now;
	o->stamp = (struct wall){ 0 };
	if (store_batch_begin(a) == 0)
		store_batch_flush(a);
	metric_inc(METRIC_HISTORY_REWOUND);
	tell(a,
	     &(struct tale){ .event = "history went back", .kube_reason = "HistoryWentBack", .warning = true, .node = a->self },
	     "reason=\"%s\": the API server was restored from a backup? All is listed anew, nothing is healed until then", why);
	mirror_stop(a);
	mirror_forget_versions(a);
	objects_forget_versions(a);
	timer_start_ms(o->timer, again ? REWOUND_PAUSE_MS : 0);
	think_soon(a);
}

/* Without the link it begins when that is back. */
static void on_due(void *arg)
{
	struct agent *a = arg;

	if (a->link.state == LINK_ONLINE && !mono_is_set(a->synced_at))
		mirror_start(a);
}

void freshness_listed(struct agent *a)
{
	a->freshness->rewound = false;
	freshness_confirmed(a);
}

void freshness_new(struct agent *a)
{
	struct freshness *o = mem_new(struct freshness);
	cleanup(freep) char *text = store_get_meta(a->store, META_STAMP);
	int64_t ns = 0;

	if (text)
		(void)num_parse_i64(text, 0, INT64_MAX, &ns);
	o->stamp = o->stored = (struct wall){ ns };
	o->timer = timer_new(a->loop, "relist", on_due, a);
	a->freshness = o;
}

void freshness_free(struct agent *a)
{
	if (!a->freshness)
		return;
	timer_free(a->freshness->timer);
	free(take(a->freshness));
}
